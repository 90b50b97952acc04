"""Normalisation: what BatchNorm, LayerNorm and RMSNorm keep, lose and cost.

σ² is the variance with divisor N, ε is added to it inside the root, s = √(σ² + ε), x̂ = (x −
μ)/s; γ and β are learnt. RMSNorm has s = √(mean x² + ε). N or B is the size of the batch, D the
number of features; m is the weight of a new batch in the running statistics (``momentum=``); ȳ is
the gradient by y.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minireg as mr
from minireg.course.claims import Figure, breaks, claim, corrects, holds, reports
from minireg.nn import functional as F  # noqa: N812

from ._data import digits, far, here, mlp

BN, LN, RMS = mr.nn.BatchNorm, mr.nn.LayerNorm, mr.nn.RMSNorm
SEEDS = range(3)


def _norm(kind: type, n: int, eps: float = 0.0) -> Any:
    return kind(n, eps=eps, dtype=np.float64)


def _sample(*shape: int, mean: float = 3.0, std: float = 2.0) -> np.ndarray:
    return np.random.default_rng(0).normal(mean, std, shape)


def _rows(f: Callable[[Any], Any], *samples: np.ndarray) -> list[np.ndarray]:
    """f on several inputs, as arrays."""
    return [f(mr.tensor(here(x))).numpy() for x in samples]


def _jacobian(f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """∂f/∂x by autograd, one row for each component of f(x)."""
    leaf = mr.tensor(here(x), requires_grad=True)
    y = f(leaf)
    rows = np.eye(y.size).reshape(-1, *y.shape)
    pulls = (mr.grad(y, leaf, mr.tensor(here(row)), retain_graph=True)[0] for row in rows)
    return np.stack([pull.numpy().ravel() for pull in pulls])


@claim(
    "C09", "TRUE-WITH-CONDITIONS", "001 eq. 9.3.1 and the paragraph after it; 001 §9.3.6",
    "Normalise, then transform (归一化通式)",
    "x̂ = (x − μ)/σ has mean 0 and variance 1 along the statistics axis; then y = γ⊙x̂ + β.",
    corrected="Exact for ε = 0 and σ > 0, for the biased variance (divisor N); with ε the variance "
    "is σ²/(σ² + ε).",
)  # fmt: skip
def general_form() -> Iterator[Figure]:
    """x̂ = (x − μ)/√(σ² + ε) is affine in x, so its mean is (μ − μ)/√(σ² + ε) = 0 and its variance
    σ²/(σ² + ε). With the divisor N − 1 the variance of x̂ would be N/(N − 1).

    >>> x = np.random.default_rng(0).normal(3, 2, (64, 1))
    >>> y = F.batch_norm(x, training=True, eps=0.0)
    >>> bool(abs(y.mean()) < 1e-12), bool(abs(y.var() - 1) < 1e-12)
    (True, True)
    """
    x = _sample(64, 8)
    exact, small, constant = (
        _rows(_norm(BN, 8, eps), data)[0]
        for eps, data in ((0.0, x), (1e-5, 0.005 * x), (1e-5, 0 * x + 3))
    )
    yield holds("|variance − 1|, ε = 0", abs(exact.var(0) - 1).max(), at_most=1e-12)
    yield holds("|mean|", abs(exact.mean(0)).max(), at_most=1e-12)
    yield breaks("variance for σ = 0.01, ε = 1e-5", small.var(0).max(), at_most=0.95)
    yield breaks("variance of a constant feature", constant.var(0).max(), at_most=1e-12)
    variance = (0.005 * x).var(0)
    predicted = variance / (variance + 1e-5)
    yield corrects("|variance − σ²/(σ² + ε)|", far(small.var(0), predicted), at_most=1e-12)


@claim(
    "C10", "IMPRECISE", "001 §9.3.6; 001 §9.3.1",
    "What tells the three norms apart (统计量计算轴)",
    "The essential difference between BatchNorm, LayerNorm and RMSNorm is the axis of the statistics.",
    corrected="That of BatchNorm and LayerNorm (but for BatchNorm's running statistics). LayerNorm and "
    "RMSNorm share the axis; what tells them apart is the centring, which the same paragraph names: "
    "LN(x) = RMSNorm(x − mean x).",
)  # fmt: skip
def three_norms() -> Iterator[Figure]:
    """RMSNorm is the general form with μ := 0 and σ := RMS. Since RMS² = μ² + σ² its output has
    second moment 1, mean μ/√(μ² + σ²) and variance σ²/(μ² + σ²): for N(3, 2²) 3/√13 = 0.83 and
    4/13 = 0.31. The second moment of x − μ is σ², so RMSNorm after centring is LayerNorm.

    >>> x = np.random.default_rng(0).normal(3, 2, (4, 8))
    >>> centred = x - x.mean(1, keepdims=True)
    >>> bool(np.allclose(F.layer_norm(x, (8,), eps=0.0), F.rms_norm(centred, (8,), eps=0.0)))
    True
    """
    x = _sample(64, 8)
    rms, layer, centred = _norm(RMS, 8), _norm(LN, 8), x - x.mean(1, keepdims=True)
    y, z, by_parts = *_rows(rms, x), *_rows(layer, x), *_rows(rms, centred)
    yield breaks("mean of RMSNorm's output", y.mean(), at_least=0.75, at_most=0.9)
    yield breaks("variance of RMSNorm's output", y.var(1).mean(), at_least=0.2, at_most=0.4)
    yield corrects("|LN(x) − RMSNorm(x − mean)|", far(z, by_parts), at_most=1e-12)
    yield corrects("|RMSNorm's second moment − 1|", abs((y * y).mean(1) - 1).max(), at_most=1e-12)
    (across,) = _rows(_norm(BN, 64), x.T)
    yield corrects("|LN(x) − BN(xᵀ)ᵀ|", far(z, across.T), at_most=1e-12)


@claim(
    "C11", "TRUE-WITH-CONDITIONS", "001 §9.3.1; 000 §BatchNorm的平滑效应",
    "γ and β undo the normalisation (仿射变换恢复表达能力)",
    "The affine step after the normalisation restores what the layer can represent.",
    corrected="BatchNorm: on a given batch, or with running statistics, γ = √(σ² + ε), β = μ give the "
    "identity. LayerNorm and RMSNorm: no, their statistics vary by sample, γ and β do not.",
)  # fmt: skip
def affine_restores() -> Iterator[Figure]:
    """γ(x − μ)/√(σ² + ε) + β = x for all x iff γ = √(σ² + ε) and β = μ. In BatchNorm γ, β, μ and σ
    all belong to a feature. In LayerNorm μ_i and σ_i belong to a sample: x_ij = σ_i x̂_ij + μ_i is
    no function of x̂_ij alone, and the best γ_j, β_j (least squares) leave a part of x.

    >>> x = np.random.default_rng(0).normal(3, 2, (4, 8))
    >>> y = F.batch_norm(x, None, None, x.std(0), x.mean(0), training=True, eps=0.0)
    >>> bool(np.allclose(y, x))
    True
    """
    x = _sample(64, 8)
    norm = _norm(BN, 8, 1e-5)

    def undone(mean: np.ndarray, variance: np.ndarray) -> float:
        norm.weight.assign(np.sqrt(variance + 1e-5))
        norm.bias.assign(mean)
        return far(*_rows(norm, x), x)

    yield holds("|BN(x) − x|, on this batch", undone(x.mean(0), x.var(0)), at_most=1e-12)
    norm.eval()
    running = norm.running_mean.numpy(), norm.running_var.numpy()
    yield holds("|BN(x) − x|, in evaluation", undone(*running), at_most=1e-12)
    for name, kind in (("LN", LN), ("RMSNorm", RMS)):
        (unit,) = _rows(_norm(kind, 8), x)
        kept = [np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(unit.T, x.T, strict=True)]
        yield breaks(f"variance that {name} loses for good", 1 - np.mean(kept), at_least=0.05)


@claim(
    "C12", "TRUE", "001 eq. 9.3.2, eq. 9.3.3 and x̂ after them",
    "Statistics of BatchNorm (批归一化)",
    "μ_j and σ_j² of a feature or channel are means over the batch (and the pixels), divisor N.",
)  # fmt: skip
def batch_statistics() -> Iterator[Figure]:
    """A channel of NCHW has N·H·W values that share μ, σ, γ and β: moving the channel axis last and
    flattening the others gives the N×D case, column by column. What BatchNorm keeps for inference
    estimates the population's variance and so has the divisor N − 1.

    >>> F.batch_norm(np.array([[1.0], [3.0]]), training=True, eps=0.0).ravel()
    array([-1.,  1.])
    """
    x, norm = _sample(4, 3, 5, 6), mr.nn.BatchNorm2d(3, dtype=np.float64)
    (y,) = _rows(norm, x)
    columns = np.moveaxis(x, 1, -1).reshape(-1, 3)
    mean, square = columns.mean(0), ((columns - columns.mean(0)) ** 2).mean(0)
    got = np.moveaxis(y, 1, -1).reshape(-1, 3)
    expected = (columns - mean) / np.sqrt(square + 1e-5)
    yield holds("|BN2d − (x − μ_c)/√(σ_c² + ε)|", far(got, expected), at_most=1e-12)
    flat = _rows(mr.nn.BatchNorm1d(3, dtype=np.float64), columns)[0]
    yield holds("|BN2d − BN1d of pixels as samples|", far(got, flat), at_most=1e-12)
    kept = far(norm.running_var.data, 0.9 + 0.1 * columns.var(0, ddof=1))
    yield holds("|running σ² − (0.9 + 0.1·unbiased σ²)|", kept, at_most=1e-12)


@claim(
    "C13", "TRUE-WITH-CONDITIONS", "001 §9.3.1 after eq. 9.3.3; 001 §9.3.6",
    "BatchNorm at inference (移动平均), and its batch (对批量大小敏感)",
    "Inference uses moving averages of the statistics; the output in training is sensitive to the size "
    "of the batch.",
    corrected="Training and inference differ by a noise that fades as 1/√B. The running mean starts at 0 "
    "and has 1 − (1 − m)ᵗ of μ after t batches; then it is unbiased with deviation "
    "σ/√B·√(m/(2 − m)). At ε = 0 a batch of 2 outputs ±1 and passes no gradient.",
)  # fmt: skip
def running_statistics() -> Iterator[Figure]:
    """The running mean after t batches is Σ m(1 − m)^k μ_{t−k}: expectation (1 − (1 − m)ᵗ)μ, variance
    in the limit σ²/B·m²/(1 − (1 − m)²) = σ²/B·m/(2 − m). A batch mean is off by σ/√B, which is the
    gap between training and evaluation. For B = 2, x̂ = ±(x₁ − x₂)/|x₁ − x₂| is locally constant.

    >>> norm = mr.nn.BatchNorm(1, dtype=np.float64)
    >>> for _ in range(5): _ = norm(mr.tensor(np.array([[0.0], [2.0]])))
    >>> norm.running_mean.numpy().round(4)  # 1 − 0.9⁵ of μ = 1
    array([0.4095])
    """
    rng = np.random.default_rng(0)
    norm, wide, size = _norm(BN, 8).eval(), 4000, 8
    x = _sample(64, 8)
    alone, among = _rows(norm, x[:1], x)
    yield holds("change in evaluation when others change", far(alone, among[:1]), at_most=0)

    follower = _norm(BN, wide)  # every feature is an experiment
    for t in range(1, 61):
        follower(mr.tensor(here(rng.normal(1, 1, (size, wide)))))
        if t == 5:
            share = follower.running_mean.numpy().mean()
    spread = follower.running_mean.numpy().std() / (size**-0.5 * (0.1 / 1.9) ** 0.5)
    yield holds("running mean's deviation / σ√(m/(B(2−m)))", spread, at_least=0.97, at_most=1.03)
    yield breaks("share of μ it has after 5 batches", share, at_least=0.39, at_most=0.43)
    kept = follower.running_var.numpy().mean()
    yield holds("running σ² of 4000 features, σ² = 1", kept, at_least=0.98, at_most=1.02)

    gaps = []
    for size in (8, 32, 128):
        norm.train()
        batch = mr.tensor(here(rng.normal(size=(size, wide))))
        gaps.append(np.sqrt(((F.batch_norm(batch, training=True) - batch) ** 2).mean().item()))
    slope = np.polyfit(np.log([8, 32, 128]), np.log(gaps), 1)[0]
    yield holds("exponent of B in the gap train − eval", slope, at_least=-0.55, at_most=-0.45)
    pair = _jacobian(lambda z: F.batch_norm(z, training=True, eps=0.0), np.array([[1.0], [4.0]]))
    yield corrects("|Jacobian| for B = 2", abs(pair).max(), at_most=1e-12)


@claim(
    "C14", "TRUE", "001 eq. 9.3.4 and the text after it",
    "LayerNorm is for each sample alone (层归一化)",
    "The statistics of LayerNorm are of one sample's D features; other samples change nothing.",
)  # fmt: skip
def layer_norm_by_sample() -> Iterator[Figure]:
    """μ_i and σ_i² are sums over j of x_ij, so ∂y_i/∂x_k = 0 for k ≠ i. In BatchNorm they are sums
    over i, and every sample's output depends on all.

    >>> x = np.array([[1.0, 3.0], [5.0, 9.0]])
    >>> bool((F.layer_norm(x, (2,))[0] == F.layer_norm(x[:1], (2,))[0]).all())
    True
    """
    x = _sample(64, 8)
    other = x.copy()
    other[1:] = np.random.default_rng(1).normal(0, 5, (63, 8))
    for name, kind in (("LN", LN), ("RMSNorm", RMS), ("BN", BN)):
        before, after = _rows(_norm(kind, 8), x, other)
        limits = {"at_least": 0.1} if kind is BN else {"at_most": 0}
        yield holds(
            f"change of sample 0 with the others, {name}", far(before[0], after[0]), **limits
        )
    jacobian = _jacobian(_norm(LN, 8), x[:4]).reshape(4, 8, 4, 8)
    across = [abs(jacobian[i, :, k]).max() for i in range(4) for k in range(4) if i != k]
    yield holds("|∂y_i/∂x_k| for k ≠ i", max(across), at_most=0)


@claim(
    "C15", "IMPRECISE", "001 eq. 9.3.5 and the text after it",
    "What RMSNorm gains and loses (均方根归一化, 缩放不变性)",
    "Giving up the centring and β makes RMSNorm invariant to the scale of its input.",
    corrected="Both norms ignore a scale α > 0 (ε = 0), with β or without; giving up the centring only "
    "costs RMSNorm the invariance to shifts.",
)  # fmt: skip
def scale_and_shift() -> Iterator[Figure]:
    """RMS(αx) = |α| RMS(x), so RMSNorm(αx) = sign(α) RMSNorm(x); mean and standard deviation scale
    likewise, so LN(αx) = sign(α) x̂⊙γ + β. LN(x + c) = LN(x) since x + c − mean(x + c) = x − mean(x);
    RMS(x + c)² = σ² + (μ + c)² keeps nothing. ε sets a scale and so breaks the invariance.

    >>> x = np.array([[1.0, 2.0, 6.0]])
    >>> change = lambda z: abs(F.rms_norm(z, (3,), eps=0.0) - F.rms_norm(x, (3,), eps=0.0)).max()
    >>> round(float(change(7 * x)), 2), round(float(change(x + 3)), 2)
    (0.0, 0.36)
    """
    x, rng = _sample(64, 8), np.random.default_rng(1)
    rms, layer = _norm(RMS, 8), _norm(LN, 8)
    for p in (*rms.parameters(), *layer.parameters()):
        p.assign(rng.normal(size=p.shape))
    change = {
        (name, what): far(*_rows(norm, x, z))
        for name, norm in (("LN", layer), ("RMSNorm", rms))
        for what, z in (("7x", 7 * x), ("x + 3", x + 3))
    }
    yield breaks("change of LN (centred, with β) at 7x", change["LN", "7x"], at_most=1e-12)
    yield corrects("change of RMSNorm at 7x", change["RMSNorm", "7x"], at_most=1e-12)
    yield corrects("change of LN at x + 3", change["LN", "x + 3"], at_most=1e-12)
    yield corrects("change of RMSNorm at x + 3", change["RMSNorm", "x + 3"], at_least=0.5)
    usual = _rows(_norm(RMS, 8, 1e-5), x, x / 1000)
    yield breaks("change of RMSNorm at x/1000, ε = 1e-5", far(*usual), at_least=0.1)


class _Counted(np.ndarray):
    """An array that counts the arithmetic done on it: one operation an element, 2k in a product."""

    work = 0

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **keywords: Any
    ) -> Any:
        each = 2 * inputs[1].shape[0] if ufunc is np.matmul else 1
        bare = [a.view(np.ndarray) if isinstance(a, _Counted) else a for a in inputs]
        y = getattr(ufunc, method)(*bare, out=out and (out[0].view(np.ndarray),), **keywords)
        _Counted.work += each * max(np.size(y), np.size(bare[0]) if method == "reduce" else 0)
        return y.view(_Counted)


def _work(layer: mr.nn.Module, width: int, back: bool = False) -> float:
    """Operations per element of a layer's input, forward or forward and back.

    Of its formula on the host: on a GPU the layer is one kernel, which nothing can look into.
    """
    x, g = (mr.tensor(np.ones((512, width))) for _ in range(2))
    x.data, g.data, _Counted.work = x.data.view(_Counted), g.data.view(_Counted), 0
    y = layer.to("numpy")(x.requires_grad_())
    if back:
        y.backward(g)
    return _Counted.work / x.size


@claim(
    "C16", "TRUE-WITH-CONDITIONS", "001 §9.3.1; 001 §9.3.6",
    "What RMSNorm costs (计算量约一半)",
    "RMSNorm computes about half of what LayerNorm does.",
    corrected="Forward, counted in operations: 4 of 7 an element (57 %). With the way back it is 12 of 18 "
    "(67 %), and of a network, whose products dwarf both, almost nothing is saved. Time is another matter: "
    "it goes by how often memory is read.",
)  # fmt: skip
def cost_of_rmsnorm() -> Iterator[Figure]:
    """LayerNorm: sum, subtract, square, sum, divide, ·γ, +β. RMSNorm: square, sum, divide, ·γ. Back,
    with u = ȳγ: ȳx̂, u, ux̂, Σux̂, x̂·⟨ux̂⟩, subtract, divide, Σȳx̂ for γ̄ in both; LayerNorm also
    ⟨u⟩, its subtraction and β̄. Before it, a linear layer of D×D takes 2D operations an element.
    An array that counts what is done to it goes through the layers; what has one number a row
    (the root, ε) counts as that.

    >>> from minireg.course.claims import load
    >>> print(load()["C16"]().figures[0])
    share of LayerNorm's work, forward: 0.5721 (0.56 to 0.58)
    """
    width = 256
    layers = LN(width), RMS(width)
    forward = [_work(layer, width) for layer in layers]
    both = [_work(layer, width, back=True) for layer in layers]
    blocks = [_work(mr.nn.Sequential(mr.nn.Linear(width, width), n), width) for n in layers]
    share = forward[1] / forward[0]
    yield holds("share of LayerNorm's work, forward", share, at_least=0.56, at_most=0.58)
    yield holds("operations an element, LN", forward[0], at_least=7, at_most=7.05)
    yield holds("operations an element, RMSNorm", forward[1], at_least=4, at_most=4.05)
    yield corrects("that share both ways", both[1] / both[0], at_least=0.65, at_most=0.69)
    yield corrects("the same, after a linear layer", blocks[1] / blocks[0], at_least=0.99)


def _trained(norm: type, seed: int, rate: float, batch: int) -> float:
    """Validation accuracy of a digits MLP (clean labels, 5 epochs)."""
    mr.manual_seed(seed)
    x, y, *validation = digits(noise=0.0)
    model = mlp(norm=norm)
    optimizer = mr.optim.SGD(model.parameters(), rate, momentum=0.9)
    history = mr.fit(
        model, mr.nn.CrossEntropyLoss(), optimizer, (x, y), validation,
        epochs=5, batch_size=batch, seed=seed, progress=False,
    )  # fmt: skip
    return history["validation_accuracy"][-1]


@claim(
    "C17", "EMPIRICAL", "001 §9.3.1; 001 §9.3.6",
    "Which norm for which network (适用场景)",
    "BatchNorm suits CNNs but is sensitive to the size of the batch, LayerNorm suits RNNs and Transformers; "
    "RMSNorm keeps doing well, as LayerNorm's centring is in many cases unnecessary.",
)  # fmt: skip
def which_norm() -> Iterator[Figure]:
    """No theorem, but for one case: features with mean 0 in every sample, where LN = RMSNorm. Measured
    on an MLP, three seeds; nothing here speaks of CNNs, RNNs or Transformers.

    >>> F.batch_norm(np.array([[1.0], [4.0]]), training=True, eps=0.0).ravel()  # any batch of 2
    array([-1.,  1.])
    """
    centred = _sample(64, 8)
    centred -= centred.mean(1, keepdims=True)
    same = far(*_rows(_norm(LN, 8), centred), *_rows(_norm(RMS, 8), centred))
    yield holds("|LN − RMSNorm| on features with mean 0", same, at_most=1e-12)
    batch, layer, rms = (np.mean([_trained(k, s, 0.1, 50) for s in SEEDS]) for k in (BN, LN, RMS))
    yield holds("|accuracy LN − RMSNorm|, batches of 50", abs(layer - rms), at_most=0.04)
    pairs = [_trained(kind, 0, 0.005, batch=2) for kind in (LN, BN)]
    yield holds("accuracy LN − BN, batches of 2", pairs[0] - pairs[1], at_least=0.03)
    yield reports("accuracy LN, batches of 50", layer)
    yield reports("accuracy BN, batches of 50", batch)


@claim(
    "C135", "TRUE-WITH-CONDITIONS", "001 §9.3.1 after eq. 9.3.4",
    "LayerNorm for sequences and single samples (变长序列和单个样本)",
    "LayerNorm normalises a sample by its own features, whatever else is in the batch, which makes it "
    "more stable for sequences of different lengths and for single samples.",
    corrected="So it is if each token has its own statistics, over its D features. Taken over the length "
    "as well, they feel the padding. RMSNorm is as independent, and so is BatchNorm in evaluation; "
    "and D must not be small: at ε = 0 two features become ±1, as a batch of 2 does in BatchNorm.",
)  # fmt: skip
def sequences() -> Iterator[Figure]:
    """Of a batch (N, T, D), padded with zeros, LN over D takes μ and σ² from the D numbers of one token:
    ∂y_nt/∂x_ms = 0 for any other token, of its own sequence too. BatchNorm's are means over all N·T
    tokens: m zeros beside n real tokens turn a mean μ into μn/(n + m). On one token it has σ = 0, and
    the output is β whatever x: in training it is refused.

    >>> short, padded = np.array([[[1.0, 3.0, 5.0]]]), np.zeros((1, 4, 3))
    >>> padded[:, :1] = short
    >>> shift = lambda f: round(float(abs(f(padded)[:, :1] - f(short)).max()), 2)
    >>> shift(lambda x: F.layer_norm(x, (3,))), shift(lambda x: F.layer_norm(x, x.shape[1:]))
    (0.0, 1.55)
    """
    rng, lengths, width, ε = np.random.default_rng(0), (4, 10, 1, 7, 2, 9), 8, 1e-5
    x = _sample(6, 10, width)
    real = np.arange(10) < np.reshape(lengths, (6, 1))
    x[~real] = 0
    weigh = real[..., None] * rng.normal(size=x.shape)  # what a loss takes from each output
    others = x.copy()
    others[1:] = real[1:, :, None] * rng.normal(0, 5, x[1:].shape)
    alone, padded = x[:1, :4], x[:1]

    def first(norm: Any, x: np.ndarray) -> np.ndarray:
        """Outputs and gradients of the first two tokens of the first sequence, (2, 2, D)."""
        leaf = mr.tensor(here(x), requires_grad=True)
        y = norm(leaf)
        (g,) = mr.grad(y, leaf, mr.tensor(here(weigh[: len(x), : x.shape[1]])))
        return np.stack([y.numpy()[0, :2], g.numpy()[0, :2]])

    def tokens(norm: mr.nn.Module) -> Callable[[Any], Any]:
        """BatchNorm over all tokens of (N, T, D)."""
        return lambda x: norm(x.reshape(-1, width)).reshape(x.shape)

    batch = tokens(_norm(BN, width, ε))
    for name, norm in (("LN", _norm(LN, width, ε)), ("RMSNorm", _norm(RMS, width, ε))):
        own = first(norm, alone)
        off = max(far(first(norm, z), own) for z in (alone[:, :2], padded, x, others))
        what = f"{name} over D: change of outputs and gradients with length, padding, others"
        yield holds(what, off, at_most=1e-12)
    (token,) = x[0, :1]
    formula = (token - token.mean()) / np.sqrt(token.var() + ε)
    off = far(first(_norm(LN, width, ε), x)[0, 0], formula)
    yield holds("|LN − (x − μ)/s| of a token by itself", off, at_most=1e-12)
    own = first(batch, alone)
    for what, z in (("length", alone[:, :2]), ("padding", padded), ("others", others)):
        outputs, _ = abs(first(batch, z) - own).max(axis=(1, 2))
        yield holds(f"BN over all tokens: change of outputs with {what}", outputs, at_least=0.1)
    packed = [_rows(_norm(BN, width, ε), z[real])[0][:4] for z in (x, others)]
    yield holds("the same of real tokens only, with others", far(*packed), at_least=0.1)
    try:
        refused = batch(mr.tensor(here(x[:1, :1]))) is None
    except ValueError:
        refused = True
    yield holds("BN in training refuses a single token (1: yes)", refused, at_least=1)

    joint = (LN(z.shape[1:], eps=ε, dtype=np.float64) for z in (alone, padded))
    shift = far(*(first(norm, z)[0] for norm, z in zip(joint, (alone, padded), strict=True)))
    yield breaks("LN over T and D: change of outputs with padding", shift, at_least=0.1)
    pair = _jacobian(_norm(LN, 2), np.array([[1.0, 4.0]]))
    yield breaks("LN of D = 2: |Jacobian|", abs(pair).max(), at_most=1e-12)
    still = tokens(_norm(BN, width, ε).eval())
    off = max(far(first(still, z), first(still, alone)) for z in (padded, others))
    yield corrects("BN in evaluation: change with padding and others", off, at_most=1e-12)


def _steps(norm: type | None, seed: int, rate: float, scale: float = 1.0, limit: int = 300) -> int:
    """Full-batch steps of SGD with momentum until the loss is below 0.3."""
    mr.manual_seed(seed)
    x, y = map(here, digits(noise=0.0)[:2])
    model, loss = mlp(norm=norm), mr.nn.CrossEntropyLoss()
    for p in model.parameters():
        if p.kind == "weight":
            p.assign(scale * p.data)
    optimizer = mr.optim.SGD(model.parameters(), rate, momentum=0.9)
    for step in range(limit):
        optimizer.zero_grad()
        value = loss(model(mr.tensor(x)), y)
        if value.item() < 0.3:
            return step
        value.backward()
        optimizer.step()
    return limit


@claim(
    "C18", "EMPIRICAL", "001 §9.3 introduction, §9.3.5, §9.3.6; 000 §BatchNorm的平滑效应",
    "Normalisation and the speed of training (优化更稳定)",
    "Normalised networks train faster and more stably; BatchNorm smooths the loss surface.",
)  # fmt: skip
def faster_training() -> Iterator[Figure]:
    """Measured: an MLP of 64-128-10 on digits, three seeds each, with BatchNorm and without. What is
    a theorem (C21) cuts both ways: for weights before BatchNorm the gradient goes as 1/‖w‖ and the
    relative step as η/‖w‖², so a large start is not harmless but slow.

    >>> x = np.random.default_rng(0).normal(size=(9, 2))
    >>> w = mr.tensor(np.array([[3.0, 4.0]]), requires_grad=True)
    >>> y = lambda a: F.batch_norm(F.linear(x, a * w), training=True, eps=0.0)[0].sum()
    >>> (mr.grad(y(0.5), w)[0].numpy() / mr.grad(y(1.0), w)[0].numpy()).round(6)  # by aw: 1/a
    array([[1., 1.]])
    """
    none, batch = (
        np.array([[_steps(norm, s, rate) for s in SEEDS] for rate in (0.01, 0.1, 0.5)])
        for norm in (None, BN)
    )
    yield holds("worst ratio of steps BN/none, η = .01 … .5", (batch / none).max(), at_most=0.6)
    large = [[_steps(norm, s, 2.0, limit=60) for s in SEEDS] for norm in (None, BN)]
    yield holds("steps at η = 2, BN", max(large[1]), at_most=20)
    yield holds("steps at η = 2, none (60: never)", min(large[0]), at_least=60)
    slow = [[_steps(norm, s, 0.01, scale=10.0) for s in SEEDS] for norm in (None, BN)]
    ratio = np.divide(slow[1], slow[0]).min()
    yield breaks("ratio of steps BN/none, weights ×10, η = .01", ratio, at_least=1.2)


@claim(
    "C19", "FALSE AS STATED", "000 引理 10.24",
    "The derivative of BatchNorm (批归一化的梯度)",
    "The derivative of BatchNorm's output by its input is γ/σ.",
    corrected="∂y/∂x = (γ/s)(I − 11ᵀ/N − x̂x̂ᵀ/N) over the batch, s = √(σ² + ε): mean and variance depend "
    "on x too. γ/s alone is right in evaluation only.",
)  # fmt: skip
def batchnorm_jacobian() -> Iterator[Figure]:
    """With x̂ = (x − μ)/s: ∂μ/∂x = 1ᵀ/N and ∂s/∂x = x̂ᵀ/N, hence ∂x̂/∂x = (I − 11ᵀ/N)/s − x̂(∂s/∂x)/s
    = (I − 11ᵀ/N − x̂x̂ᵀ/N)/s. For ε = 0, 1/√N and x̂/√N are orthonormal, so the bracket is the
    projection onto N − 2 dimensions; (γ/σ)I is off by ‖I − P‖/‖P‖ = √(2/(N − 2)).

    >>> x, g = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [0.0], [0.0]])
    >>> parts = mr.implicit.batchnorm_gradient(x, g, eps=0.0)
    >>> parts.direct.ravel().round(3), parts.total.ravel().round(3)  # what γ/σ says, what is so
    (array([0.612, 0.   , 0.   ]), array([ 0.102, -0.204,  0.102]))
    """
    γ, norm = 1.7, _norm(BN, 1)
    norm.weight.assign(γ)
    error = {}
    for n in (4, 64, 16):
        x = _sample(n, 1)
        J = _jacobian(norm, x)
        error[n] = np.linalg.norm(γ / x.std() * np.eye(n) - J) / np.linalg.norm(J)
    yield breaks("relative error of γ/σ, N = 16", error[16], at_least=0.3)
    predicted = max(abs(e - (2 / (n - 2)) ** 0.5) for n, e in error.items())
    yield corrects("|that error − √(2/(N−2))|, N = 4, 16, 64", predicted, at_most=1e-10)
    rank = np.linalg.matrix_rank(J, tol=1e-10)
    yield corrects("rank of ∂y/∂x, N = 16", rank, at_least=14, at_most=14)
    norm.eps = 0.1
    s = np.sqrt(x.var() + norm.eps)
    unit = (x - x.mean()) / s
    formula = γ / s * (np.eye(16) - 1 / 16 - unit @ unit.T / 16)
    off = far(_jacobian(norm, x), formula)
    yield corrects("|autograd − (γ/s)(I − 11ᵀ/N − x̂x̂ᵀ/N)|", off, at_most=1e-12)
    s = np.sqrt(norm.running_var.numpy() + norm.eps)
    still = far(_jacobian(norm.eval(), x), γ / s * np.eye(16))
    yield corrects("|autograd − γ/s| in evaluation", still, at_most=1e-12)


def _chain(
    depth: int, width: int, scale: float, norm: bool = True
) -> tuple[list[float], list[float]]:
    """Norms of the gradients of (Linear, BatchNorm, ReLU)×depth, first layer first.

    By each layer's input, and by its weights N(0, scale²/width); at the output it is N(0, 1).
    """
    rng = np.random.default_rng(0)
    x = mr.tensor(here(rng.normal(size=(width, width))), requires_grad=True)
    inputs, weights = [x], []
    for _ in range(depth):
        w = rng.normal(0, scale * width**-0.5, (width, width))
        weights.append(mr.tensor(here(w), requires_grad=True))
        z = F.linear(inputs[-1], weights[-1])
        inputs.append(mr.relu(F.batch_norm(z, training=True, eps=0.0) if norm else z))
    *inputs, y = inputs
    gradients = mr.grad(y, [*inputs, *weights], mr.tensor(here(rng.normal(size=y.shape))))
    norms = [float(np.linalg.norm(g.numpy())) for g in gradients]
    return norms[:depth], norms[depth:]


@claim(
    "C20", "IMPRECISE", "000 引理 10.24, second half",
    "BatchNorm and the flow of gradients (梯度流改善)",
    "Dividing by σ enlarges gradients where σ is small and shrinks them where it is large, which helps "
    "to keep the gradients of different layers stable.",
    corrected="It makes the gradients of activations independent of the scale of the weights before them; "
    "those of weights go as 1/‖W‖, and through ReLU and BatchNorm at initialisation the "
    "gradient grows by √(π/(π − 1)) = 1.21 a layer on its way back.",
)  # fmt: skip
def gradient_flow() -> Iterator[Figure]:
    """BN(αWh) = BN(Wh): the backward factors α (through Wᵀ) and 1/(ασ) (through BN) cancel, while ∂/∂W
    keeps the 1/α. At initialisation ReLU halves the squared gradient, Wᵀ multiplies it by s² and
    BN by 1/σ² with σ² = s²·Var relu(z) = s²(½ − 1/2π), z ~ N(0, 1): ½/(½ − 1/2π) = π/(π − 1). Without
    BN a chain of ReLU layers is homogeneous: the gradient goes as the scale to the power of depth.

    >>> w = mr.tensor(2.0, requires_grad=True)
    >>> y = F.batch_norm(w * np.array([[0.0], [1.0], [3.0]]), training=True, eps=0.0)
    >>> bool(abs(mr.grad(y[0].sum(), w)[0].item()) < 1e-6)  # the scale of the weights does not count
    True
    """
    deep, _ = _chain(30, 256, 1.0)
    growth = (deep[0] / deep[-1]) ** (1 / 29)
    yield breaks("growth of the gradient over 30 layers", deep[0] / deep[-1], at_least=20)
    (small, w_small), (large, w_large) = _chain(10, 64, 0.5), _chain(10, 64, 3.0)
    yield breaks("‖∂L/∂W₁‖ at scale 0.5 over that at 3", w_small[0] / w_large[0], at_least=5)
    relative = growth / (np.pi / (np.pi - 1)) ** 0.5
    yield corrects("growth a layer/√(π/(π − 1))", relative, at_least=0.95, at_most=1.02)
    change = abs(large[0] / small[0] - 1)
    yield corrects("|‖∂L/∂x‖ at 3 over that at 0.5 − 1|", change, at_most=1e-10)
    (small, _), (large, _) = (_chain(10, 64, scale, norm=False) for scale in (0.5, 3.0))
    yield corrects("‖∂L/∂x‖ at 3 over that at 0.5, no BN", large[0] / small[0], at_least=1e6)


@claim(
    "C21", "IMPRECISE", "000 定理 10.15; 001 §9.3.5",
    "BatchNorm and the Hessian (BatchNorm对Hessian的影响)",
    "Unit variance limits the activations and so, indirectly, the gradients; a smaller γ makes gradients "
    "smaller.",
    corrected="|x̂| ≤ √(N − 1), and at a fixed gradient above the one below goes as γ. But for weights "
    "before BatchNorm L(αw) = L(w), so ∇L(αw) = ∇L(w)/α and H(αw) = H(w)/α²: unbounded as "
    "w → 0. And a smaller γ can mean a larger gradient, where the loss saturates.",
)  # fmt: skip
def batchnorm_hessian() -> Iterator[Figure]:
    """Differentiate L(αw) = L(w), α > 0, by w once and twice: α∇L(αw) = ∇L(w), α²H(αw) = H(w). The x̂_i
    sum to 0 and their squares to N, so x̂₁² ≤ (N − 1)(N − x̂₁²) by Cauchy-Schwarz: x̂₁² ≤ N − 1.
    For the loss log(1 + e^(−γm)) the gradient goes as γ/(1 + e^(γm)), which falls for γm > 1.28; both
    γ are measured on the same batch.

    >>> x = np.random.default_rng(0).normal(size=(30, 2))
    >>> def top(scale):
    ...     w = mr.tensor(scale * np.array([[1.0, 2.0]]), requires_grad=True)
    ...     loss = lambda: F.batch_norm(F.linear(x, w), training=True, eps=0.0)[:3].square().sum()
    ...     return float(mr.curvature.eigenvalues(loss, w)[0])
    >>> round(top(0.1) / top(1.0), 3)
    100.0
    """
    rng = np.random.default_rng(0)
    sample, start, norm = rng.normal(size=(80, 5)), rng.normal(size=(1, 5)), _norm(BN, 1)
    noisy = sample @ start.T + 0.5 * rng.normal(size=(80, 1))
    x, labels = mr.tensor(here(sample)), here((noisy > 0).astype(float))
    loss = mr.nn.BCEWithLogitsLoss()

    def at(scale: float) -> tuple[np.ndarray, float]:
        """Gradient, and largest eigenvalue of the Hessian, at scale·start."""
        w = mr.tensor(here(scale * start), requires_grad=True)
        closure = lambda: loss(norm(F.linear(x, w)), labels)
        (gradient,) = mr.grad(closure(), w)
        return gradient.numpy(), float(mr.curvature.eigenvalues(closure, w)[0])

    side = np.repeat([[0.0], [1.0]], 8, axis=0)
    batch = mr.tensor(here(side + rng.normal(0, 0.05, side.shape)), requires_grad=True)

    def pull(γ: float) -> float:
        """‖∂L/∂x‖ of two groups that γx̂ tells apart."""
        pulled = mr.grad(loss(γ * norm(batch), here(side)), batch)[0]
        return np.linalg.norm(pulled.numpy())

    (g, top), scales = at(1.0), (0.1, 0.5, 2.0, 10.0)
    found = [(α, *at(α)) for α in scales]
    yield breaks("curvature at w/10 over that at w", found[0][2] / top, at_least=99, at_most=101)
    yield breaks("‖∂L/∂x‖ at γ = 1 over that at γ = 10", pull(1.0) / pull(10.0), at_least=10)
    slope = max(far(α * gradient, g) for α, gradient, _ in found)
    yield corrects("|α∇L(αw) − ∇L(w)|", slope, at_most=1e-12)
    bend = max(abs(α**2 * h / top - 1) for α, _, h in found)
    yield corrects("|α²H(αw)/H(w) − 1|, largest eigenvalue", bend, at_most=1e-6)
    (spike,) = _rows(_norm(BN, 1), np.eye(16)[:, :1])
    off = abs(spike.max() - 15**0.5)
    yield corrects("|max |x̂| − √(N − 1)|, one spike, N = 16", off, at_most=1e-12)
