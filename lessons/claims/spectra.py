"""Singular values: matrix norms and their penalties, Lipschitz bounds, low rank, rescaling.

σ₁ ≥ σ₂ ≥ … are the singular values of W with vectors u_k and v_k, ‖W‖₂ = σ₁, ‖W‖_F² = Σσ_k²,
‖W‖_* = Σσ_k. The penalties are λ times a norm, without half or square; only L2 is ½λ‖W‖_F². K is
a Lipschitz constant, γ that of an activation (C87), σ in C87 the activation itself; z are logits,
ρ is the spectral radius, μ an eigenvalue, η the learning rate; path norm means the sum of squared
products.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from itertools import product

import numpy as np

import minireg as mr
from minireg.analysis.implicit import stable_rank
from minireg.course.claims import Figure, breaks, claim, corrects, holds, reports
from minireg.penalties import L1, L2, FrobeniusNorm, NuclearNorm, PathNorm, Penalty, SpectralNorm

from ._data import descend, diabetes, digits, fitted, here, host, mlp, parameter

SEEDS = 0, 1, 2


def _matrix(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def _sigma(w: np.ndarray) -> np.ndarray:
    return np.linalg.svd(w, compute_uv=False)


def _lost(penalty: Penalty, w: np.ndarray, lr: float) -> np.ndarray:
    """How much each singular value falls in one step of SGD on the penalty alone."""
    p = parameter(w)
    descend(lambda: penalty(p), mr.optim.SGD([p], lr), 1)
    return _sigma(w) - _sigma(p.numpy())


def _chain(weights: Sequence[np.ndarray], activation: type = mr.nn.ReLU) -> mr.nn.Sequential:
    """Linear layers with these weights and no bias, the activation between them."""
    layers: list[mr.nn.Module] = []
    for w in weights:
        linear = mr.nn.Linear(*w.shape[::-1], bias=False, dtype=np.float64)
        linear.weight.assign(w)
        layers += [linear, activation()]
    return mr.nn.Sequential(*layers[:-1])


@claim(
    "C85", "TRUE-WITH-CONDITIONS",
    "000 定义 谱范数, 引理 10.27, 表 10.3.2; 001 eq. 9.3.18, 表 9.3.2; 002 §谱范数",
    "The spectral norm and its penalty (谱范数)",
    "‖W‖₂ = σ₁ = √λ_max(WᵀW), and penalising it acts on the largest singular value alone.",
    corrected="While σ₁ > σ₂: then the gradient is u₁v₁ᵀ. Where σ₁ = … = σ_r the subgradients are the convex "
    "hull of the uvᵀ with Wv = σ₁u, and all r have to fall together.",
)  # fmt: skip
def spectral_norm() -> Iterator[Figure]:
    """max ‖Wv‖² over ‖v‖ = 1 is the largest eigenvalue of WᵀW, at its eigenvector v₁; u₁ = Wv₁/σ₁.
    u₁ and v₁ are stationary on their spheres, so d(u₁ᵀWv₁) = u₁ᵀ dW v₁: the gradient is u₁v₁ᵀ, and
    W − ηu₁v₁ᵀ has the same singular vectors and σ₁ − η. At I all unit vectors tie: along E₁₁ the
    slope of σ₁ is 1 forwards and 0 backwards. The prox takes ηλ off Σσ_k in all, from the top.

    >>> gradient = P.SpectralNorm(1.0).gradient
    >>> np.diag(gradient(np.diag([3.0, 2.0]))), np.diag(gradient(np.eye(2)))
    (array([1., 0.]), array([0.5, 0.5]))
    """
    w, penalty = _matrix(4, 3), SpectralNorm(1.0)
    squares, v = np.linalg.eigh(w.T @ w)
    σ = squares[-1] ** 0.5
    off = abs(_lost(penalty, w, 0.1) - [0.1, 0, 0]).max()
    yield holds("|fall of σ in a step of 0.1 − (0.1, 0, 0)|", off, at_most=1e-12)
    yield holds("|‖W‖₂ − √λ_max(WᵀW)|", abs(penalty.value(w) - σ), at_most=1e-12)
    p, outer = parameter(w), np.outer(w @ v[:, -1] / σ, v[:, -1])
    found = [mr.grad(value, [p])[0].numpy() for value in (penalty(p), mr.linalg.norm(p, 2))]
    off = abs(np.array([*found, penalty.gradient(w)]) - outer).max()
    yield holds("|gradient − u₁v₁ᵀ|: autograd, closed form", off, at_most=1e-12)
    corner, h = np.diag([1.0, 0, 0]), 1e-6
    forwards, backwards = ((penalty.value(np.eye(3) + t * corner) - 1) / t for t in (h, -h))
    yield breaks("σ₁'s slope at I along E₁₁, kink", forwards - backwards, at_least=0.99)
    share = np.random.default_rng(0).dirichlet([1.0] * 3)
    hull = penalty.subdiff_distance(np.eye(3), -np.diag(share))
    yield holds("distance of Σ p_i e_ie_iᵀ, Σp = 1, to the subgradients at I", hull, at_most=1e-12)
    chosen = penalty.subdiff_distance(np.eye(3), -penalty.gradient(np.eye(3)))
    yield holds("the same of the gradient that is returned there", chosen, at_most=1e-12)
    after = _sigma(penalty.prox(np.diag([3.0, 2.9, 1.0]), 1.0))
    yield breaks("σ₂ after a proximal step of 1 from (3, 2.9, 1)", after[1], at_most=2.451)
    yield holds("|σ − (2.45, 2.45, 1)| there", abs(after - [2.45, 2.45, 1]).max(), at_most=1e-12)


@claim(
    "C86", "FALSE AS STATED", "000 定理 10.17",
    "The spectral penalty and the Hessian (谱正则化的Hessian下界)",
    "Adding λ‖W‖₂ lifts every eigenvalue of the Hessian, ∇²L ⪰ (λ_min(∇²L₀) + λ)I, and so improves its "
    "condition.",
    corrected="‖W‖₂ is convex, so λ_min does not fall; but it grows linearly along W, and for m×n its "
    "Hessian has rank m + n − 2 only. The bound holds for ½λ‖W‖_F²; for ½λ‖W‖₂² it fails as well.",
)  # fmt: skip
def spectral_hessian() -> Iterator[Figure]:
    """σ₁ is the top eigenvalue of [[0, W], [Wᵀ, 0]]; the others are ±σ_k with (u_k, ±v_k)/√2, and 0.
    Second-order perturbation sums |⟨e, M e₁⟩|²·2/(σ₁ − λ_e): curvature 1/(σ₁ − σ_k) and
    1/(σ₁ + σ_k) for k ≥ 2, 1/σ₁ for |m − n| directions, and 0 for all others, W among them. For
    L₀ = ½‖W − Y‖_F² the Hessian is I + λ∇²σ₁: λ_min stays 1, the condition is 1 + λ/(σ₁ − σ₂).

    >>> w = mr.tensor(np.array([[2.0, 0.0], [0.0, 1.0]]), requires_grad=True)
    >>> mr.curvature.eigenvalues(lambda: P.SpectralNorm(1.0)(w), w, k=4).round(4)
    array([0.    , 0.    , 0.3333, 1.    ])
    """
    w, y, lam = parameter(_matrix(4, 3)), here(_matrix(4, 3, seed=1)), 1.0
    σ = _sigma(w.numpy())

    def spectrum(extra: Callable[[mr.Tensor], mr.Tensor]) -> np.ndarray:
        """Eigenvalues of the Hessian of ½‖W − Y‖_F² + extra(W)."""
        total = lambda: 0.5 * ((w - y) ** 2).sum() + extra(w)
        return np.linalg.eigvalsh(host(mr.curvature.hessian(total, w)))

    found = spectrum(SpectralNorm(lam))
    yield breaks("λ_min with λ = 1; the text says 2, L₀ alone has 1", found[0], at_most=1 + 1e-10)
    yield breaks("condition number, where L₀ alone has 1", found[-1] / found[0], at_least=1.5)
    flat = (spectrum(lambda w: 0.5 * lam * SpectralNorm(1.0)(w) ** 2) < 1 + 1e-8).sum()
    yield breaks("of 12 directions, not lifted by ½λ‖W‖₂²", flat, at_least=6, at_most=6)
    tie, norm = 2 * np.linalg.qr(_matrix(4, 3, seed=2))[0], SpectralNorm(1.0)  # σ = (2, 2, 2)
    plane = lambda v: norm.value(tie) + (norm.gradient(tie) * (v - tie)).sum()
    above = min(norm.value(v) - plane(v) for v in (2 * tie, *tie + _matrix(500, 4, 3, seed=3)))
    yield corrects("convex: ‖V‖₂ over its tangent at a triple tie, 501 V", above, at_least=-1e-12)
    pairs = [1 / (σ[0] + sign * s) for s in σ[1:] for sign in (-1, 1)]
    predicted = 1 + lam * np.sort([*[0.0] * 7, *pairs, 1 / σ[0]])
    off = abs(found - predicted).max()
    yield corrects("|the spectrum − (1 + λ{0, 1/(σ₁ ∓ σ_k), 1/σ₁})|", off, at_most=1e-9)
    lifted = abs(spectrum(L2(lam)) - 2).max()
    yield corrects("|spectrum − (1 + λ)| with ½λ‖W‖_F²", lifted, at_most=1e-12)


def _secants(model: mr.nn.Module, points: np.ndarray) -> float:
    """The steepest secant through these points, in pairs."""
    a, b = np.split(points, 2)
    rise = (model(mr.tensor(here(a))) - model(mr.tensor(here(b)))).numpy()
    return (np.linalg.norm(rise, axis=1) / np.linalg.norm(a - b, axis=1)).max()


@claim(
    "C87", "TRUE", "000 引理 10.26; 001 定理 9.3.6",
    "Lipschitz constant of a layer (Lipschitz常数上界)",
    "If σ is γ-Lipschitz, Lip(Wσ(x)) ≤ ‖W‖₂γ.",
)  # fmt: skip
def layer_constant() -> Iterator[Figure]:
    """‖Wσ(x) − Wσ(y)‖ ≤ ‖W‖₂‖σ(x) − σ(y)‖ ≤ ‖W‖₂γ‖x − y‖. It is attained where σ has its steepest
    slope in every coordinate: the sigmoid, γ = ¼, at 0, along the first right singular vector.

    >>> model = mr.nn.Sequential(mr.nn.Sigmoid(), mr.nn.Linear(2, 2, bias=False)).double()
    >>> _ = model[1].weight.assign([[8.0, 0.0], [0.0, 1.0]])
    >>> mr.lipschitz_bound(model)  # ‖W‖₂γ with γ = ¼
    2.0
    """
    w, points = _matrix(4, 3), 2 * _matrix(20_000, 3, seed=1)
    models = [mr.nn.Sequential(σ(), _chain([w])) for σ in (mr.nn.Sigmoid, mr.nn.Tanh, mr.nn.ReLU)]
    bounds = np.linalg.norm(w, 2) * np.array([0.25, 1, 1])
    attained = mr.lipschitz_lower(models[0], np.zeros((1, 3))) / bounds[0]
    yield holds("|steepest secant at 0/(¼‖W‖₂) − 1|, sigmoid", abs(attained - 1), at_most=1e-9)
    steepest = [_secants(model, points) for model in models]
    found = (steepest / bounds).max()
    yield holds("steepest of 10⁴ secants/‖W‖₂γ: sigmoid, tanh, ReLU", found, at_most=1)
    off = abs([mr.lipschitz_bound(model) for model in models] - bounds).max()
    yield holds("|lipschitz_bound − ‖W‖₂γ|", off, at_most=1e-12)


@claim(
    "C88", "TRUE", "002 §谱范数; 000 引理 10.26, last sentence; 003 §更平滑的函数",
    "Lipschitz bound of a network (利普希茨上界)",
    "With 1-Lipschitz activations K ≤ Π‖W_l‖₂, so the penalty λΣ‖W_l‖₂ controls the bound.",
    corrected="Π‖W_l‖₂ ≤ (Σ‖W_l‖₂/L)^L over L layers, with equality when all norms are equal.",
)  # fmt: skip
def network_bound() -> Iterator[Figure]:
    """Constants of composed maps multiply. The mean of the log of the norms is at most the log of
    their mean (Jensen), which bounds the product by the sum. The product is attained when the layers
    line up: a positive matrix has positive u₁ and v₁ (Perron), so ReLU lets v₁ pass.

    >>> model = mr.nn.Sequential(mr.nn.Linear(2, 2), mr.nn.ReLU(), mr.nn.Linear(2, 2)).double()
    >>> _ = model[0].weight.assign([[3.0, 0.0], [0.0, 1.0]]), model[2].weight.assign([[2.0, 0.0], [0.0, 1.0]])
    >>> mr.lipschitz_bound(model)
    6.0
    """
    penalty, rng = SpectralNorm(1.0), np.random.default_rng(88)
    shapes, ratios, tight = ((16, 8), (16, 16), (4, 16)), [], []
    for _ in range(20):
        weights = [rng.normal(size=s) * rng.uniform(0.2, 2) / s[1] ** 0.5 for s in shapes]
        model = _chain(weights)
        bound, mean = mr.lipschitz_bound(model), penalty.over(model.parameters()).item() / 3
        ratios.append(bound / mean**3)
        tight.append(mr.lipschitz_lower(model, rng.normal(size=(100, 8))) / bound)
    yield holds("K found/Π‖W_l‖₂, 20 random ReLU nets, at most", max(tight), at_most=1)
    yield reports("and at least: the bound is loose", min(tight))
    yield holds("Π‖W_l‖₂/(Σ‖W_l‖₂/L)^L, at most", max(ratios), at_most=1)
    square = abs(rng.normal(size=(6, 6)))
    square = square @ square.T
    model, v = _chain([square] * 3), np.linalg.eigh(square)[1][:, -1]
    attained = mr.lipschitz_lower(model, abs(v)[None]) / mr.lipschitz_bound(model)
    yield holds("|K found/Π‖W_l‖₂ − 1|, W_l = W > 0", abs(attained - 1), at_most=1e-9)


@claim(
    "C89", "FALSE AS STATED", "002 §谱范数, last sentence",
    "What a margin certifies (可证鲁棒性)",
    "If a point's margin, its logit minus the largest other one, exceeds Kε, no perturbation of size ε "
    "changes its class.",
    corrected="It has to exceed √2·K·ε, for the difference of two logits changes by up to √2 times what f "
    "does; in a linear model ‖w_y − w_j‖ε serves, and is exact.",
)  # fmt: skip
def certificate() -> Iterator[Figure]:
    """z_y − z_j = (e_y − e_j)ᵀf and ‖e_y − e_j‖ = √2, so it is √2·K-Lipschitz. That is attained by
    f(x) = (x, −x)/√2: K = 1, the margin at x = 1 is √2, and x = 0 is the boundary. A linear model's
    class first changes at the nearest hyperplane, min (z_y − z_j)/‖w_y − w_j‖.

    >>> model = mr.nn.Linear(1, 2, bias=False, dtype=np.float64)
    >>> _ = model.weight.assign(np.array([[1.0], [-1.0]]) / 2**0.5)
    >>> x = np.array([[1.0]]); z = model(x).numpy()[0]
    >>> round(float(z[0] - z[1]) / mr.lipschitz_bound(model), 4), mr.certified_radius(model, x).round(4)
    (1.4142, array([1.]))
    """
    two = _chain([np.array([[1.0], [-1.0]]) / 2**0.5])
    one, label, loss = here(np.ones((1, 1))), here(np.array([0])), mr.nn.CrossEntropyLoss()
    K, margin = mr.lipschitz_bound(two), np.ptp(two(mr.tensor(one)).numpy())
    moved = mr.pgd_attack(two, loss, one, label, radius=0.9 * margin / K)
    flipped = two(moved).numpy() @ [1, -1]
    yield breaks("z_y − z_j after ε = 0.9·margin/K, f = (x, −x)/√2", flipped, at_most=-0.1)
    rng, wrong, unsound, exact = np.random.default_rng(89), [], [], []
    for _ in range(100):
        w, x = rng.normal(size=(3, 4)), rng.normal(size=(20, 4))
        model, z = _chain([w]), x @ w.T
        y = z.argmax(axis=1)
        gaps, apart = z[np.arange(20), y, None] - z, np.linalg.norm(w[y, None] - w, axis=2)
        gaps[apart == 0] = np.inf
        nearest = (gaps / np.where(apart, apart, 1)).min(axis=1)  # where the class changes
        wrong.append(nearest < gaps.min(axis=1) / np.linalg.norm(w, 2))
        unsound.append(nearest < mr.certified_radius(model, x, y))
        exact.append(abs(mr.certified_radius(model, x, y, pairwise=True) - nearest))
    yield breaks("share wrong by margin/K, linear models", np.mean(wrong), at_least=0.3)
    yield corrects("wrong by margin/(√2K), of 2000 points", np.sum(unsound), at_most=0)
    boundary = abs(mr.certified_radius(two, one, label) - 1).max()
    yield corrects("|margin/(√2K) − distance to the boundary|, f", boundary, at_most=1e-12)
    yield corrects("|min (z_y − z_j)/‖w_y − w_j‖ − that distance|", np.max(exact), at_most=1e-12)


@cache
def _trained(backend: str, seed: int, spectral: float = 0.0, l2: float = 0.0) -> mr.nn.Sequential:
    """A digits MLP of 64-128-10 after 60 epochs on clean labels; ``backend`` is the default one."""
    mr.manual_seed(seed)
    x, y, *_ = digits(noise=0.0)
    model = mlp()
    penalties = {"spectral": SpectralNorm(spectral), "l2": L2(l2)}
    objective = mr.Objective(mr.nn.CrossEntropyLoss(), penalties)
    optimizer = mr.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    mr.fit(model, objective, optimizer, (x, y), epochs=60, batch_size=50, seed=seed, progress=False)
    return model


def _robust(model: mr.nn.Module) -> tuple[float, float]:
    """On 700 digits: the median certified radius, and the accuracy under attacks of size 0.7."""
    *_, x, y = digits(noise=0.0)
    moved = mr.pgd_attack(model, mr.nn.CrossEntropyLoss(), x, y, radius=0.7, steps=20)
    survived = model(moved).numpy().argmax(axis=1) == y
    return np.median(mr.certified_radius(model, x, y)), survived.mean()


@claim(
    "C90", "TRUE-WITH-CONDITIONS", "000 定理 10.18, §10.3.7; 002 §谱范数",
    "Spectral regularisation and robustness (对抗鲁棒性)",
    "A penalty on spectral norms indirectly limits the Lipschitz constant, which helps against attacks.",
    corrected="What counts is margin/(√2K): it helps if the margin shrinks less than K does. Dividing all "
    "logits by 16 gives K/16 and changes no radius, and too strong a penalty leaves no margin.",
)  # fmt: skip
def robustness() -> Iterator[Figure]:
    """cf has the classes of f for c > 0, so the same points flip; margin and K both get the factor c.
    That training with the penalty keeps more of the margin than of K is no theorem. Measured: an
    MLP of 64-128-10 on digits, 60 epochs, three seeds, 20 steps of PGD with ‖δ‖ ≤ 0.7.

    >>> model = mr.nn.Linear(2, 3, dtype=np.float64); x = np.array([[1.0, 2.0]])
    >>> before = mr.certified_radius(model, x)
    >>> _ = [p.assign(p.data / 16) for p in model.parameters()]
    >>> bool(abs(mr.certified_radius(model, x) - before).max() < 1e-12)
    True
    """
    backend = mr.get_backend()
    (radius, survived), (bound, plain), (none, _) = (
        np.mean([_robust(_trained(backend, s, spectral=lam)) for s in SEEDS], axis=0)
        for lam in (0.2, 0.0, 0.8)
    )
    yield holds("accuracy under attack, λ = 0.2 − λ = 0", survived - plain, at_least=0.05)
    yield holds("median certified radius, λ = 0.2 over λ = 0", radius / bound, at_least=1.5)
    model = deepcopy(_trained(backend, 0, spectral=0.0))
    x, y = (a[:100] for a in digits(noise=0.0)[2:])
    K, before = mr.lipschitz_bound(model), mr.certified_radius(model, x, y)
    loss = mr.nn.CrossEntropyLoss()
    found = mr.attack_radius(model, loss, x, y, largest=4.0, rounds=12, steps=10)
    sure = before > 0
    tight = (found[sure] / before[sure]).min()
    yield holds("shortest attack found/certified radius, 100 digits, least", tight, at_least=1)
    for p in model[-1].parameters():
        p.assign(p.data / 16)  # a power of 2 rounds nothing
    change = abs(mr.certified_radius(model, x, y) - before).max()
    smaller = K / mr.lipschitz_bound(model)
    yield breaks(f"change of a certified radius at K/{smaller:.0f}", change, at_most=1e-12)
    yield breaks("median certified radius, λ = 0.8 (no margin left)", none, at_most=0.01)


@claim(
    "C91", "IMPRECISE", "003 §更平滑的函数",
    "L2 and the Lipschitz bound (L2与Lipschitz上界, 早期层)",
    "By penalising the norms of the weight matrices, of the early layers above all, L2 tightens the "
    "Lipschitz bound.",
    corrected="It tightens it, as ‖W‖₂ ≤ ‖W‖_F, but early layers are nothing special: the bound is a "
    "product, and L2 takes from the layers that are large until all have the same ‖W_l‖_F.",
)  # fmt: skip
def early_layers() -> Iterator[Figure]:
    """log Π‖W_l‖ = Σ log ‖W_l‖ treats all layers alike. In a ReLU net without biases f is of degree 1
    in each W_l, so ⟨W_l, ∇_lL₀⟩ is the same number for all l (Euler). Under L₀ + ½λΣ‖W_l‖_F² gradient
    flow thus has d(‖W_l‖² − ‖W_k‖²)/dt = −2λ(‖W_l‖² − ‖W_k‖²): the differences die out.

    >>> w = [mr.tensor(np.diag([s, 1.0]), requires_grad=True) for s in (5.0, 2.0)]
    >>> slopes = mr.grad(sum(mr.log(mr.linalg.norm(v, 2)) for v in w), w)
    >>> [round(float((v.numpy() * g.numpy()).sum()), 6) for v, g in zip(w, slopes)]
    [1.0, 1.0]
    """
    x, y = map(here, diabetes())
    rng, loss = np.random.default_rng(91), mr.nn.MSELoss()
    first, middle, last = (rng.normal(size=shape) / 4 for shape in ((16, 10), (16, 16), (1, 16)))
    model = _chain([first, middle, 10 * last])
    weights = [*model.parameters()]

    def sizes() -> np.ndarray:
        return np.array([FrobeniusNorm(1.0).value(w.numpy()) for w in weights])

    def along(total: mr.Tensor) -> np.ndarray:
        """⟨W_l, ∇_l total⟩ of each layer."""
        pulls = zip(weights, mr.grad(total, weights), strict=True)
        return np.array([(w.numpy() * g.numpy()).sum() for w, g in pulls])

    norm = SpectralNorm(1.0).value
    slopes = along(sum(mr.log(norm(w)) for w in weights))
    data = along(loss(model(mr.tensor(x)), y[:, None]))
    before, objective = sizes(), mr.Objective(loss, {"l2": L2(0.05)})
    optimizer = mr.optim.SGD(weights, 0.02, momentum=0.9)
    descend(lambda: objective(model, x, y[:, None]).total, optimizer, 1500)
    kept, even = sizes() / before, np.ptp(sizes()) / sizes().max()
    yield breaks("share of ‖W_l‖_F kept, W₁/W₃ (began large)", kept[0] / kept[-1], at_least=2)
    off = abs(slopes - 1).max()
    yield corrects("|∂ log Π‖W_l‖₂/∂ log ‖W_l‖₂ − 1|, every layer", off, at_most=1e-12)
    yield corrects("spread of ⟨W_l, ∇_lL₀⟩ over the layers", np.ptp(data), at_most=1e-12)
    yield corrects("spread of ‖W_l‖_F after training, relative", even, at_most=0.01)
    bounds = [[mr.lipschitz_bound(_trained(mr.get_backend(), s, **l2)) for s in SEEDS]
              for l2 in ({"spectral": 0.0}, {"l2": 1e-3}, {"l2": 1e-2})]  # fmt: skip
    fall = np.divide(bounds[1:], bounds[:-1]).max()
    yield corrects("bound of a digits MLP, λ = .001/0, .01/.001, at most", fall, at_most=0.9)


@claim(
    "C92", "TRUE", "000 §Frobenius范数正则化, 引理 10.27 (first half); 003 §低秩偏好",
    "The Frobenius norm (弗罗贝尼乌斯范数)",
    "‖W‖_F² = ΣW_ij² = Σσ_k², the squared L2 norm of the flattened weights: L2 on a matrix is Frobenius.",
    corrected="Squared, that is. λ‖W‖_F without the square has the gradient λW/‖W‖_F, of constant length.",
)  # fmt: skip
def frobenius_norm() -> Iterator[Figure]:
    """tr WᵀW = ΣW_ij², in whatever order, and WᵀW has the eigenvalues σ_k². Rotations QW leave WᵀW
    alone. σ₁² ≤ Σσ_k² ≤ (Σσ_k)² orders the three norms.

    >>> w = np.array([[3.0, 0.0], [0.0, 4.0]])
    >>> float(2 * P.L2(1.0).value(w)), float(P.FrobeniusNorm(1.0).value(w) ** 2)
    (25.0, 25.0)
    """
    w, penalty = _matrix(5, 3), L2(1.0)
    square = 2 * penalty.value(w)
    yield holds("|2·L2(W) − Σσ_k²|", abs(square - (_sigma(w) ** 2).sum()), at_most=1e-12)
    orders = [2 * penalty.value(w.ravel(order)) - square for order in "CF"]
    yield holds("|the same, flattened by rows, by columns|", np.abs(orders).max(), at_most=1e-12)
    turned = np.linalg.qr(_matrix(5, 5, seed=1))[0] @ w
    norms = [p(1.0).value for p in (SpectralNorm, FrobeniusNorm, NuclearNorm)]
    off = max(abs(norm(turned) - norm(w)) for norm in norms)
    yield holds("|norm of QW − norm of W|, all three", off, at_most=1e-12)
    rise = np.diff([norm(w) for norm in norms]).min()
    yield holds("‖·‖₂ ≤ ‖·‖_F ≤ ‖·‖_*, least difference", rise, at_least=0)
    off = FrobeniusNorm(0.3).gradient(w) - 0.3 * w / np.linalg.norm(w)
    yield holds("|∇λ‖W‖_F − λW/‖W‖_F|", abs(off).max(), at_most=1e-12)


@claim(
    "C93", "IMPRECISE", "000 引理 10.27 (end), 表 10.3.2; 001 表 9.3.2",
    "How L2 treats singular values (对所有奇异值施加相同的惩罚)",
    "L2 puts the same penalty on every singular value, the spectral norm one on the largest only.",
    corrected="½λσ_k² pulls with λσ_k: every σ_k loses the same share ηλ. The same amount is lost under "
    "the nuclear norm.",
)  # fmt: skip
def equal_penalty() -> Iterator[Figure]:
    """All three gradients are U diag(d)Vᵀ with W's own singular vectors: d_k = σ_k for ½‖W‖_F², 1 for
    ‖W‖_*, and (1, 0, …, 0) for ‖W‖₂. A step turns σ into σ − ηλd.

    >>> w = np.diag([3.0, 1.0])
    >>> [np.diag(p(0.5).gradient(w)) for p in (P.L2, P.NuclearNorm, P.SpectralNorm)]
    [array([1.5, 0.5]), array([0.5, 0.5]), array([0.5, 0. ])]
    """
    w, η, λ = _matrix(4, 3), 0.1, 0.5
    σ, (l2, nuclear, top) = _sigma(w), (_lost(p(λ), w, η) for p in (L2, NuclearNorm, SpectralNorm))
    yield breaks("loss of σ₁ over that of σ₃, L2", l2[0] / l2[-1], at_least=2)
    yield corrects("|loss/σ_k − ηλ|, L2", abs(l2 / σ - η * λ).max(), at_most=1e-12)
    yield corrects("|loss − ηλ|, nuclear norm", abs(nuclear - η * λ).max(), at_most=1e-12)
    off = abs(top - [η * λ, 0, 0]).max()
    yield corrects("|loss − (ηλ, 0, 0)|, spectral norm", off, at_most=1e-12)


def _radius(w: np.ndarray) -> np.ndarray:
    """The spectral radius, the largest |eigenvalue|."""
    return abs(np.linalg.eigvals(w)).max(axis=-1)


@claim(
    "C94", "IMPRECISE", "000 表 10.3.2; 001 表 9.3.2",
    "Spectral norm and spectral radius (谱半径控制)",
    "What penalising σ₁ achieves is control of the spectral radius.",
    corrected="It bounds the radius, ρ(W) ≤ ‖W‖₂ (for square W; others have none), with equality if W is "
    "normal. ρ says how powers grow, ‖W‖₂ how far one layer stretches.",
)  # fmt: skip
def spectral_radius() -> Iterator[Figure]:
    """Wx = μx gives |μ|‖x‖ ≤ ‖W‖₂‖x‖. [[0, a], [0, 0]] has only the eigenvalue 0, but norm a. ρ depends
    on the eigenvectors' angles, too, so a step along −u₁v₁ᵀ may raise it. A normal matrix is QΛQ* with
    unitary Q, so that σ_k = |μ_k|; and ‖W^k‖^{1/k} → ρ (Gelfand).

    >>> w = np.array([[0.0, 100.0], [0.0, 0.0]])
    >>> float(P.SpectralNorm(1.0).value(w)), float(abs(np.linalg.eigvals(w)).max())
    (100.0, 0.0)
    """
    penalty, shift = SpectralNorm(1.0), np.array([[0.0, 100.0], [0.0, 0.0]])
    gap = penalty.value(shift) - _radius(shift)
    yield breaks("‖W‖₂ − ρ of [[0, 100], [0, 0]]", gap, at_least=99.999999)
    w = _matrix(500, 5, 5)
    moved = np.array([a - 0.01 * penalty.gradient(a) for a in w])
    raised = (_radius(moved) > _radius(w) + 1e-6).sum()
    yield breaks("ρ rises in a step of 0.01 down ‖W‖₂, of 500 W, 5×5", raised, at_least=5)
    norms = np.array([penalty.value(a) for a in w])
    yield corrects("ρ/‖W‖₂ of those, at most", (_radius(w) / norms).max(), at_most=1)
    normal = w[0] - w[0].T
    gap = abs(penalty.value(normal) - _radius(normal))
    yield corrects("|‖W‖₂ − ρ| of a normal one, W − Wᵀ", gap, at_most=1e-12)
    power = penalty.value(np.linalg.matrix_power(w[0] / _radius(w[0]), 1000)) ** 1e-3
    yield corrects("‖W¹⁰⁰⁰‖₂^{1/1000}/ρ", power, at_least=0.99, at_most=1.01)


@claim(
    "C95", "TRUE", "000 §核范数与低秩正则化, 表 10.3.2; 001 §9.3.5, 表 9.3.2",
    "The nuclear norm (核范数)",
    "‖W‖_* = Σσ_k is for matrices what L1 is for vectors.",
    corrected="Its gradient is UVᵀ, at full rank; its dual is the spectral norm, as ‖·‖_∞ is that of L1.",
)  # fmt: skip
def nuclear_norm() -> Iterator[Figure]:
    """dσ_k = u_kᵀ dW v_k, summed: ⟨UVᵀ, dW⟩. ⟨W, Z⟩ = Σσ_k u_kᵀZv_k ≤ ‖Z‖₂Σσ_k, with equality at Z = UVᵀ.
    A diagonal W has σ_k = |w_kk|: there the norm is L1 and its prox the soft threshold.

    >>> d = np.array([2.0, -0.5])
    >>> float(P.NuclearNorm(1.0).value(np.diag(d))), float(P.L1(1.0).value(d))
    (2.5, 2.5)
    """
    penalty, w = NuclearNorm(1.0), _matrix(4, 3)
    p, (u, _, vt) = parameter(w), np.linalg.svd(w, full_matrices=False)
    found = [mr.grad(value, [p])[0].numpy() for value in (penalty(p), mr.linalg.svdvals(p).sum())]
    off = abs(np.array([*found, penalty.gradient(w)]) - u @ vt).max()
    yield holds("|gradient − UVᵀ|: autograd, closed form", off, at_most=1e-12)
    along, h = _matrix(4, 3, seed=2), 1e-5
    slope = (penalty.value(w + h * along) - penalty.value(w - h * along)) / (2 * h)
    off = abs(slope - (u @ vt * along).sum())
    yield holds("|central difference − ⟨UVᵀ, D⟩|", off, at_most=1e-8)
    z = _matrix(5000, 4, 3, seed=1)
    z = np.array([u @ vt, *z / np.linalg.norm(z, 2, axis=(1, 2))[:, None, None]])
    reach = (z * w).sum(axis=(1, 2)) / penalty.value(w)
    yield holds("|⟨W, UVᵀ⟩/‖W‖_* − 1|", abs(reach[0] - 1), at_most=1e-12)
    yield holds("⟨W, Z⟩/‖W‖_* over 5000 random ‖Z‖₂ = 1, at most", reach[1:].max(), at_most=1)
    d = np.array([2.0, -0.3, -1.5])
    off = [penalty.value(np.diag(d)) - L1(1.0).value(d),
           *(penalty.prox(np.diag(d), 0.5) - np.diag(L1(1.0).prox(d, 0.5))).flat]  # fmt: skip
    yield holds("|nuclear − L1| on the diagonal: value, prox", np.abs(off).max(), at_most=1e-12)


@claim(
    "C96", "FALSE AS STATED", "000 定理 10.19",
    "The nuclear norm's solutions (核范数与低秩逼近)",
    "The optimum has σ_k(W) ≤ λ for all k, so that only singular values above the threshold λ are kept.",
    corrected="Of ½‖W − Y‖_F² + λ‖W‖_* it is σ_k = max(σ_k(Y) − λ, 0), without any bound. What is at most λ "
    "is the data gradient's spectral norm, ‖∇L₀(W)‖₂ ≤ λ, for every differentiable L₀.",
)  # fmt: skip
def nuclear_solution() -> Iterator[Figure]:
    """W is optimal iff −∇L₀ ∈ λ∂‖W‖_* = λ{UVᵀ + N : UᵀN = 0, NV = 0, ‖N‖₂ ≤ 1}, of spectral norm λ if
    W ≠ 0. For ∇L₀ = W − Y take W = U max(Σ − λ, 0)Vᵀ: Y − W = λU_rV_rᵀ + what of Y lies below λ.
    J is 1-strongly convex, so J(W + D) − J(W) ≥ ½‖D‖².

    >>> P.NuclearNorm(0.8).prox(np.diag([3.0, 0.5]), 1.0).round(6)  # σ = 2.2 > λ
    array([[2.2, 0. ],
           [0. , 0. ]])
    """
    λ, y, rng = 0.8, _matrix(8, 5), np.random.default_rng(96)
    penalty = NuclearNorm(λ)
    w = penalty.prox(y, 1.0)

    def value(u: np.ndarray) -> float:
        return 0.5 * ((u - y) ** 2).sum() + penalty.value(u)

    yield breaks("σ₁(W)/λ of the optimum", _sigma(w)[0] / λ, at_least=2)
    off = abs(_sigma(w) - np.maximum(_sigma(y) - λ, 0)).max()
    yield corrects("|σ_k(W) − max(σ_k(Y) − λ, 0)|", off, at_most=1e-12)
    steps = rng.normal(size=(500, 8, 5)) * np.logspace(-4, 0, 500)[:, None, None]
    least = min(value(w + d) - value(w) - 0.5 * (d**2).sum() for d in steps)
    yield corrects("J(W + D) − J(W) − ½‖D‖² over 500 D, at least", least, at_least=-1e-12)
    x, truth = rng.normal(size=(80, 6)), rng.normal(size=(4, 2)) @ rng.normal(size=(2, 6))
    targets, λ = x @ truth.T + 0.1 * rng.normal(size=(80, 4)), 0.1
    w = fitted(x, targets, NuclearNorm(λ), tol=1e-10)
    slope = 2 * (w @ x.T - targets.T) @ x / targets.size
    yield breaks("σ₁(W)/λ of a regression", _sigma(w)[0] / λ, at_least=10)
    yield corrects("|‖∇L₀(W)‖₂ − λ| there", abs(_sigma(slope)[0] - λ), at_most=1e-9)
    yield corrects("its rank", (_sigma(w) > 1e-10).sum(), at_least=2, at_most=2)


def _completed(truth: np.ndarray, share: float, penalty: Penalty) -> tuple[float, int]:
    """½Σ(W_ij − Y_ij)² over a random share of the entries + penalty: error on the others, rank."""
    seen = np.random.default_rng(97).random(truth.shape) < share
    n = len(truth)
    model = _chain([np.zeros((n, n))])  # at the rows of I it gives the columns of W
    mask = mr.tensor(here(seen.T))
    loss = lambda z, y: 0.5 * (mask * (z - y) ** 2).sum()
    mr.solve(model, loss, penalty, np.eye(n), truth.T, tol=1e-3)
    w = model[0].weight.numpy()
    error = np.linalg.norm((w - truth)[~seen]) / np.linalg.norm(truth[~seen])
    return error, (_sigma(w) > 1e-6).sum()


@claim(
    "C97", "TRUE-WITH-CONDITIONS", "000 定理 10.19, last sentence, §10.3.7; 001 §9.3.5, §9.3.6",
    "Low rank and matrix completion (低秩诱导, 矩阵补全)",
    "The nuclear norm tends to low rank and can recover a low-rank matrix from sparse entries.",
    corrected="From enough entries, and if the matrix is not concentrated on a few of them (incoherent).",
)  # fmt: skip
def completion() -> Iterator[Figure]:
    """The prox sets every σ_k ≤ ηλ to 0. An n×n matrix of rank r has r(2n − r) degrees of freedom, 116 of
    900 here, so 90 entries cannot do. If only one row of Y is not 0, the same is true of the
    minimiser, whose nuclear norm is then the length of that row: what is hidden of it becomes 0,
    however much is seen. Under L2 every hidden entry does, as it treats each by itself.

    >>> P.NuclearNorm(1.0).prox(np.ones((3, 3)) + 0.1 * np.eye(3), 1.0).round(3)  # rank 1
    array([[0.7, 0.7, 0.7],
           [0.7, 0.7, 0.7],
           [0.7, 0.7, 0.7]])
    """
    truth, penalty = _matrix(30, 2) @ _matrix(2, 30, seed=1), NuclearNorm(0.05)
    error, rank = _completed(truth, 0.7, penalty)
    yield holds("error on hidden entries, 70 % seen, rank 2 of 30", error, at_most=0.02)
    yield holds("rank found", rank, at_least=2, at_most=2)
    few, _ = _completed(truth, 0.1, penalty)
    yield breaks("error on hidden entries, 10 % seen", few, at_least=0.5)
    row, _ = _completed(truth * (np.arange(30) == 0)[:, None], 0.7, penalty)
    yield breaks("error, 70 % seen of a matrix of one row", row, at_least=0.99)
    error, rank = _completed(truth, 0.7, L2(0.05))
    yield holds("error with L2, 70 % seen", error, at_least=0.99)
    yield holds("rank with L2", rank, at_least=30)


@claim(
    "C98", "IMPRECISE", "003 §低秩偏好",
    "L2 and low rank (低秩偏好)",
    "On anisotropic data L2 suppresses the singular values of weak directions, a soft rank minimiser that "
    "makes weights effectively low-rank.",
    corrected="A linear layer gets the factor μ/(μ + λ) on an input direction of variance μ: its rank stays, "
    "and if weak directions carry large weights its stable rank rises. On both factors of W = BA, "
    "L2 is the nuclear norm: there ranks do fall.",
)  # fmt: skip
def low_rank() -> Iterator[Figure]:
    """Of half the mean square + ½λ‖W‖²: (μ + λ)w = μw₀ in XᵀX/n's eigenbasis, so no rank is lost; a large
    component on a small μ shrinks towards the others and evens the singular values out. And
    ½(‖A‖_F² + ‖B‖_F²) ≥ ‖BA‖_*, with equality for A = √Σ Vᵀ, B = U√Σ. The mean square over k outputs
    has the Hessian 2μ/k, so the λ of the factor is ½kλ.

    >>> kept = mr.implicit.ridge_filter(np.array([10.0, 0.1]), 1.0)  # a strong and a weak direction
    >>> [round(mr.implicit.stable_rank(np.diag(s)), 2) for s in (np.array([1, 10.0]), kept * [1, 10])]
    [1.01, 2.0]
    """
    rng, n, k, λ = np.random.default_rng(98), 60, 6, 0.1
    x, left, right = (np.linalg.qr(rng.normal(size=(m, k)))[0] for m in (n, k, k))
    μ = np.array([10.0, 3.0, 1.0, 0.3, 0.1, 0.03])
    x = x * (n * μ) ** 0.5 @ right.T
    kept, growth, off, ranks = μ / (μ + 0.5 * k * λ), [], [], []
    for σ in (np.array([1.0, 1, 1, 1, 1, 10]), np.ones(k)):
        truth = left * σ @ right.T
        w = fitted(x, x @ truth.T, L2(λ), tol=1e-10)
        growth.append(stable_rank(w) / stable_rank(truth))
        off.append(abs(w - left * (kept * σ) @ right.T).max())
        ranks.append(np.linalg.matrix_rank(w))
    yield breaks("stable rank, λ = 0.1 over 0, large w on weak μ", growth[0], at_least=1.5)
    yield breaks("rank of W, 6 at λ = 0", min(ranks), at_least=6)
    yield corrects("stable rank, λ = 0.1 over 0, all σ equal", growth[1], at_most=0.7)
    yield corrects("|W − factor μ/(μ + ½kλ) on each direction|", max(off), at_most=1e-8)
    y, λ = _matrix(5, 4), 1.5
    model = _chain([rng.normal(size=(4, 4)), rng.normal(size=(5, 4))], mr.nn.Identity)
    a, b = model.parameters()
    unit, target = mr.tensor(here(np.eye(4))), here(y.T)
    loss = lambda: 0.5 * ((model(unit) - target) ** 2).sum() + L2(λ)(a) + L2(λ)(b)
    descend(loss, mr.optim.SGD([a, b], 0.03, momentum=0.9), 2000)
    solution = NuclearNorm(λ).prox(y, 1.0)
    found, cost = b.numpy() @ a.numpy(), sum(L2(1.0).value(p.numpy()) for p in (a, b))
    gap = abs(found - solution).max()
    yield corrects("|BA under L2 on A and B − nuclear-norm optimum|", gap, at_most=1e-10)
    gap = abs(cost - NuclearNorm(1.0).value(solution))
    yield corrects("|½(‖A‖² + ‖B‖²) − ‖BA‖_*|", gap, at_most=1e-10)
    yield corrects("rank of BA, 4 before", (_sigma(found) > 1e-10).sum(), at_most=3)


def _network(seed: int, activation: type = mr.nn.ReLU) -> mr.nn.Sequential:
    """4-6-5-2, float64, with biases."""
    mr.manual_seed(seed)
    linear = [mr.nn.Linear(n, m, dtype=np.float64) for n, m in ((4, 6), (6, 5), (5, 2))]
    return mr.nn.Sequential(linear[0], activation(), linear[1], activation(), linear[2])


def _change(model: mr.nn.Module, before: mr.nn.Module) -> float:
    """The largest difference of two models' outputs on 200 points."""
    x = mr.tensor(here(_matrix(200, 4, seed=5)))
    return abs(model(x).numpy() - before(x).numpy()).max()


def _size(model: mr.nn.Module) -> float:
    """½ of the sum of squared weights, as L2(1) takes them."""
    return sum(L2(1.0).value(p.numpy()) for p in model.parameters() if p.kind == "weight")


@claim(
    "C99", "TRUE-WITH-CONDITIONS", "002 §ReLU网络的尺度不变性挑战",
    "Rescaling a ReLU network (尺度不变性)",
    "W⁽¹⁾ → αW⁽¹⁾, W⁽²⁾ → W⁽²⁾/α, α > 0, leaves a ReLU network's outputs as they are but changes ‖θ‖₂².",
    corrected="If the first layer's bias gets the factor too, and the activation is positively homogeneous. "
    "On such an orbit L2 is least where each unit has ‖w_j‖ = ‖a_j‖, in and out, and so a trained "
    "network ends: there it is Σ‖a_j‖‖w_j‖.",
)  # fmt: skip
def rescaling() -> Iterator[Figure]:
    """a relu(α(wᵀx + b))/α = a relu(wᵀx + b). ½(c²‖w_j‖² + ‖a_j‖²/c²) is least at c² = ‖a_j‖/‖w_j‖, with
    the value ‖w_j‖‖a_j‖. ½(s − ab)² + ½λ(a² + b²): from (s − ab)b = λa and (s − ab)a = λb follow
    a = b and ab = s − λ.

    >>> model = mr.nn.Sequential(mr.nn.Linear(2, 3), mr.nn.ReLU(), mr.nn.Linear(3, 1)).double()
    >>> x = np.array([[1.0, 2.0]]); before = model(x).numpy()
    >>> bool(np.allclose(mr.rescale(model, 0, 10.0)(x).numpy(), before))
    True
    """
    model = _network(0)
    scaled = mr.rescale(_network(0), "0", 10.0)
    yield holds("change of the outputs at α = 10", _change(scaled, model), at_most=1e-12)
    w1, w2 = (2 * L2(1.0).value(model[i].weight.numpy()) for i in (0, 2))
    off = 2 * (_size(scaled) - _size(model)) - (99 * w1 - 0.99 * w2)
    yield holds("|change of ‖θ‖² − (α² − 1)‖W⁽¹⁾‖² − (α⁻² − 1)‖W⁽²⁾‖²|", abs(off), at_most=1e-10)
    scaled[0].bias.assign(model[0].bias.data)
    yield breaks("change of the outputs if the bias stays", _change(scaled, model), at_least=0.05)
    bent = _network(0, mr.nn.Tanh)
    for i, factor in ((0, 10.0), (2, 0.1)):
        bent[i].weight.assign(factor * bent[i].weight.data)
    bent[0].bias.assign(10 * bent[0].bias.data)
    yield breaks("the same with tanh", _change(bent, _network(0, mr.nn.Tanh)), at_least=0.1)
    first, second = model[2].weight.numpy(), model[4].weight.numpy()
    into, out = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=0)
    balanced = mr.rescale(_network(0), "2", (out / into) ** 0.5)
    least = L2(1.0).value(balanced[2].weight.numpy()) + L2(1.0).value(balanced[4].weight.numpy())
    yield holds("|½‖θ‖² of balanced layers − Σ‖w_j‖‖a_j‖|", abs(least - into @ out), at_most=1e-12)
    one, x = _chain([np.array([[2.0]]), np.array([[0.3]])]), mr.tensor(here(np.ones((1, 1))))
    loss = lambda: 0.5 * (one(x).sum() - 1.5) ** 2
    descend(loss, mr.optim.SGD(one.parameters(), 0.3, weight_decay=0.05), 1000)
    off = max(abs(p.item() - 1.45**0.5) for p in one.parameters())
    yield holds("|a − √(s − λ)|, |b − √(s − λ)|, λ = 0.05", off, at_most=1e-10)


@claim(
    "C100", "TRUE-WITH-CONDITIONS", "002 §ReLU网络的尺度不变性挑战, last paragraph",
    "The path norm (路径范数)",
    "Summed over all paths from input to output, the squared products of the weights do not change under "
    "rescaling: a sounder measure of a ReLU network's complexity.",
    corrected="Under rescaling, unit by unit too. But not all networks of one function are related so: "
    "to split units into two halves leaves the function and halves the path norm, and "
    "before BatchNorm W⁽¹⁾ → αW⁽¹⁾ leaves the function and multiplies it by α².",
)  # fmt: skip
def path_norm() -> Iterator[Figure]:
    """Every path through unit j has one weight into it, times c_j, and one out of it, over c_j. The sum
    over paths of products is a product of matrices: 1ᵀW_L²⋯W₁²1, squares taken entry by entry. It is
    of degree 2 in each W_l, so ⟨W_l, ∇_l⟩ is twice its value (Euler).
    Two copies of a unit with ½a_j each: 2·(½a_j)² = ½a_j².

    >>> value = P.PathNorm(1.0).value
    >>> a, b = np.array([[1.0, 2.0]]), np.array([[3.0]])
    >>> float(value(a, b)), float(value(10 * a, b / 10)), float(value(2 * a, b))
    (45.0, 45.0, 180.0)
    """
    model, factors = _network(0), np.random.default_rng(100).uniform(0.1, 10, 6)
    w1, w2, w3 = (p.numpy() for p in model.parameters() if p.kind == "weight")
    value = mr.path_norm(model)
    scaled = mr.rescale(_network(0), "0", factors)
    change = abs(mr.path_norm(scaled) / value - 1)
    yield holds("|path norm after/before − 1|, a factor a unit", change, at_most=1e-12)
    walks = product(range(4), range(6), range(5), range(2))
    total = sum((w3[o, k] * w2[k, j] * w1[j, i]) ** 2 for i, j, k, o in walks)
    yield holds("|path norm − Σ over 240 paths|", abs(value - total), at_most=1e-12)
    slopes, h = PathNorm(1.0).gradient(w1, w2, w3), 1e-5
    probe = np.zeros_like(w2)
    probe[1, 2] = h
    difference = (PathNorm(1.0)(w1, w2 + probe, w3) - PathNorm(1.0)(w1, w2 - probe, w3)) / (2 * h)
    off = abs(slopes[1][1, 2] - difference)
    yield holds("|its gradient − a central difference|, one weight", off, at_most=1e-8)
    off = max(
        abs((w * g).sum() / (2 * value) - 1) for w, g in zip((w1, w2, w3), slopes, strict=True)
    )
    yield holds("|⟨W_l, ∇_l⟩/(2·path norm) − 1|, every layer", off, at_most=1e-12)
    ratios = [f(scaled) / f(model) for f in (_size, mr.lipschitz_bound)]
    yield holds("‖θ‖² after/before", ratios[0], at_least=2)
    yield holds("Π‖W_l‖₂ after/before", ratios[1], at_least=1.5)
    whole, split = _chain([w1, w2]), _chain([w1.repeat(2, axis=0), w2.repeat(2, axis=1) / 2])
    norm = lambda α: mr.nn.Sequential(
        _chain([α * w1]), mr.nn.BatchNorm(6, eps=0.0, dtype=np.float64), mr.nn.ReLU(), _chain([w2])
    )
    pairs = (("units split", whole, split, 0.5), ("3W⁽¹⁾ before BN", norm(1), norm(3), 9.0))
    for what, before, after, expected in pairs:
        yield holds(f"change of the outputs, {what}", _change(after, before), at_most=1e-12)
        ratio, near = mr.path_norm(after) / mr.path_norm(before), 1e-12 * expected
        yield breaks(
            f"path norm after/before, {what}", ratio,
            at_least=expected - near, at_most=expected + near,
        )  # fmt: skip
