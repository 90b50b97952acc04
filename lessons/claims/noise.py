"""Noise as a penalty: dropout, and softer labels.

p is the probability of *keeping* in the texts and in what is derived here (programs say
``keep``), but of *dropping* wherever ``p=`` is an argument: Dropout(p) and mr.implicit take 1 −
keep. The squared error is a mean without a half, the penalty Σ λ_j w_j² without one, too. q is a
target, q̃ the smoothed one, ε the smoothing, K the number of classes, z logits, U the uniform
distribution, σ the sigmoid; logarithms are natural.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product

import numpy as np

import minireg as mr
from minireg.course.claims import Figure, breaks, claim, corrects, holds, reports
from minireg.training import evaluate

from ._data import diabetes, digits, here, host, parameter, standardized

# --- dropout ----------------------------------------------------------------------------------


def expected(
    loss: mr.nn.Module, x: np.ndarray, y: np.ndarray, w: mr.Tensor, keep: float
) -> mr.Tensor:
    """The mean loss of the linear model w over all 2^d dropout masks of its inputs, exactly.

    Dropping an input is dropping its weight, so each mask is one output of a wide linear layer.
    """
    masks = np.array(list(product((0.0, 1.0), repeat=w.size)))
    chance = np.prod(np.where(masks, keep, 1 - keep), axis=1)
    outputs = mr.nn.functional.linear(here(x), here(masks / keep) * w)
    return loss(outputs, here(np.broadcast_to(y, outputs.shape))).mean(axis=0) @ here(chance)


def squared(x: np.ndarray, y: np.ndarray, w: mr.Tensor, keep: float = 1.0) -> mr.Tensor:
    """Expected mean squared error with dropout."""
    return expected(mr.nn.MSELoss(reduction="none"), x, y, w, keep)


def weights(d: int, seed: int = 0) -> mr.Tensor:
    """Random weights that want a gradient."""
    return mr.tensor(here(np.random.default_rng(seed).standard_normal(d)), requires_grad=True)


def per_feature(x: np.ndarray, keep: float) -> np.ndarray:
    """λ_j = ((1 − p)/p)·mean x_j², the strengths of the penalty Σ λ_j w_j² that dropout is."""
    return (1 - keep) / keep * (x**2).mean(axis=0)


def stretched() -> tuple[np.ndarray, np.ndarray]:
    """Diabetes with features of unequal scale."""
    x, y = diabetes()
    return x * np.geomspace(0.5, 2, x.shape[1]), y[:, None]


@claim(
    "C75", "FALSE AS STATED", "000 §Dropout的隐式正则化; 001 eq. 9.3.17, §9.3.5, §9.3.6",
    "Dropout in a linear model adds λ_eff‖w‖² (Dropout的隐式正则化)",
    "The expected squared error of a linear model with dropout is L₀ + λ_eff‖w‖² with one number "
    "λ_eff for all weights.",
    corrected="Each feature has its own λ_j = ((1−p)/p)·mean x_j² (p keeps): a ridge that the data "
    "shapes; a single λ only where all features have the same second moment.",
)  # fmt: skip
def dropout_is_a_ridge() -> Iterator[Figure]:
    """With inverted dropout ŷ = Σ_j w_j x_j m_j/p, where m_j is 1 with probability p, else 0.

    E ŷ = wᵀx and Var ŷ = Σ_j w_j² x_j² Var(m_j)/p² = ((1−p)/p) Σ_j w_j² x_j². As a squared error is
    bias² plus variance, E(y − ŷ)² = (y − wᵀx)² + ((1−p)/p) Σ_j w_j² x_j²; then average over the data.

    >>> x, y = np.array([[1.0, 3.0]]), np.zeros((1, 1))
    >>> model = mr.nn.Sequential(mr.nn.Dropout(0.5), mr.nn.Linear(2, 1, bias=False)).double()
    >>> _ = model[1].weight.assign([[1.0, 1.0]])
    >>> effect = mr.implicit.dropout_effect(lambda: mr.nn.MSELoss()(model(x), y), model)
    >>> effect.value, effect.gradients["1.weight"]  # Σ λ_j w_j² and 2λ_j w_j with λ = (1, 9)
    (10 ± 0, array([[ 2., 18.]]))
    """
    x, y = stretched()
    keep, d = 0.6, x.shape[1]
    added = [(squared(x, y, w, keep) - squared(x, y, w)).item() / (w @ w).item()
             for w in (mr.tensor(here(row), requires_grad=True) for row in np.eye(d))]  # fmt: skip
    yield breaks("largest/smallest λ_eff over single weights", max(added) / min(added), at_least=10)
    w = weights(d)
    penalty = mr.implicit.dropout_penalty(w, here(x), 1 - keep)
    gap = squared(x, y, w, keep) - squared(x, y, w) - penalty
    yield corrects("|E − L₀ − Σ λ_j w_j²| over all 2¹⁰ masks", abs(gap.item()), at_most=1e-12)
    gram, moment = x.T @ x / len(x), x.T @ y[:, 0] / len(x)
    ridge = np.linalg.solve(gram + np.diag(per_feature(x, keep)), moment)
    scalar = [np.linalg.solve(gram + s * np.eye(d), moment) for s in np.geomspace(1e-3, 1e3, 200)]
    found = trained_with_dropout(x, y, 1 - keep)
    off = [np.linalg.norm(v - ridge) / np.linalg.norm(ridge) for v in (found, *scalar)]
    yield corrects("SGD with Dropout to that ridge, relative", off[0], at_most=0.03)
    yield breaks("the nearest of all ridges with one λ", min(off[1:]), at_least=0.1)


def trained_with_dropout(x: np.ndarray, y: np.ndarray, p: float, steps: int = 3000) -> np.ndarray:
    """Where SGD with the Dropout layer settles: the mean over the last 9/10 of its steps."""
    linear = mr.nn.Linear(x.shape[1], 1, bias=False, dtype=np.float64)
    model = mr.nn.Sequential(mr.nn.Dropout(p), linear)
    optimizer = mr.optim.SGD(model.parameters(), lr=0.05)
    path = host(mr.trajectory(model, mr.nn.MSELoss(), optimizer, x, y, steps))
    return path[1 + steps // 10 :].mean(axis=0)


@claim(
    "C76", "FALSE AS STATED", "000 引理 10.23",
    "λ_eff = ((1−p)/p)·(1/N)‖x‖² (等效正则化系数)",
    "One coefficient, the squared norm of x over the number of samples N times (1−p)/p; it grows "
    "as fewer inputs are kept.",
    corrected="λ_j = ((1−p)/p)·mean_i x_ij² for each feature j; that it grows as p falls is right.",
)  # fmt: skip
def dropout_coefficient() -> Iterator[Figure]:
    """λ_j from C75. The sum over features, (1/N)‖X‖_F², is d times their mean: the text counts every
    feature's moment for every weight. Read with x as one sample, (1/N)‖x_i‖² is on average d/N times
    the mean moment instead. The first is right for d = 1 only, the second hardly ever.

    >>> x = np.random.default_rng(0).normal(size=(50, 10)); w = np.ones(10)
    >>> text = 0.25 / 50 * (x**2).sum() * (w @ w)  # keep = 0.8: (1 − p)/p = 0.25
    >>> round(float(text / mr.implicit.dropout_penalty(w, x, p=0.2)), 6)  # too large by d = 10
    10.0
    """
    x, y = diabetes()
    n, y, keep, w = len(x), y[:, None], 0.8, weights(x.shape[1])
    odds = (1 - keep) / keep
    true = (squared(x, y, w, keep) - squared(x, y, w)).item() / (w @ w).item()
    all_samples, longest = (
        odds / n * square for square in ((x**2).sum(), (x**2).sum(axis=1).max())
    )
    yield breaks("text/true, ‖x‖² over all samples: d = 10", all_samples / true, at_least=9)
    yield breaks("text/true, ‖x‖² of the longest sample", longest / true, at_most=0.2)
    errors, sizes = [], []
    for p in (0.9, 0.8, 0.5, 0.2):
        added = (squared(x, y, w, p) - squared(x, y, w)).item()
        sizes.append(added)
        errors.append(abs(added - per_feature(x, p) @ w.numpy() ** 2))
    yield corrects("|penalty − Σ λ_j w_j²|, p = .9, .8, .5, .2", max(errors), at_most=1e-12)
    growth = np.divide(sizes[1:], sizes[:-1])
    yield holds("least growth from one p to the next", growth.min(), at_least=2)


@claim(
    "C77", "FALSE AS STATED", "000 引理 10.23, second display",
    "The expected gradient under dropout is ∇L₀ + λ_eff w (Dropout期望梯度)",
    "In expectation dropout adds λ_eff w to the gradient, where it adds λ_eff‖w‖² to the squared error.",
    corrected="It adds 2λ_j w_j; λ_j w_j belongs to half the squared error and half the penalty.",
)  # fmt: skip
def dropout_gradient() -> Iterator[Figure]:
    """Expectation and gradient may be swapped, as there are finitely many masks:
    E∇L = ∇E L = ∇(L₀ + Σ λ_j w_j²) = ∇L₀ + 2λ_j w_j. Multiply the loss by ½ and the 2 is gone.

    >>> x = np.array([[1.0, 3.0]]); w = mr.tensor(np.array([1.0, 1.0]), requires_grad=True)
    >>> mr.grad(mr.implicit.dropout_penalty(w, x, p=0.5), w)[0].numpy()  # 2λ_j w_j, λ = (1, 9)
    array([ 2., 18.])
    """
    x, y = stretched()
    linear, keep = mr.nn.Linear(x.shape[1], 1, bias=False, dtype=np.float64), 0.6
    model = mr.nn.Sequential(mr.nn.Dropout(1 - keep), linear)
    inputs, targets = here(x), here(y)
    effect = mr.implicit.dropout_effect(lambda: mr.nn.MSELoss()(model(inputs), targets), model)
    added = host(effect.gradients["1.weight"])[0]
    pull = per_feature(x, keep) * linear.weight.numpy()[0]
    size = np.linalg.norm(added)
    yield breaks("‖E∇L − ∇L₀ − λw‖/‖E∇L − ∇L₀‖", np.linalg.norm(added - pull) / size, at_least=0.4)
    yield corrects("|E∇L − ∇L₀ − 2λ_j w_j|", abs(added - 2 * pull).max(), at_most=1e-12)
    w = mr.tensor(linear.weight.data[0], requires_grad=True)
    (half,) = mr.grad((squared(x, y, w, keep) - squared(x, y, w)) / 2, [w])
    yield corrects("|E∇½L − ∇½L₀ − λ_j w_j|", abs(half.numpy() - pull).max(), at_most=1e-12)


@claim(
    "C78", "IMPRECISE", "000 §Dropout的隐式正则化, §10.3.7; 001 §9.3.5, §9.3.6",
    "Dropout is equivalent to L2 (Dropout与L2等价)",
    "There is a mathematical equivalence of dropout and L2 (《正则化与归一化》); dropout acts like some "
    "form of weight decay (《正则化对梯度与损失的影响》).",
    corrected="Exactly (per feature) for a linear model with squared loss. In logistic regression "
    "the penalty follows the curvature σ(1−σ) and is quadratic for small w only; in a deep net "
    "it is a ridge on the last layer in terms of its random inputs, blind to ‖W‖ before it.",
)  # fmt: skip
def dropout_beyond_linear() -> Iterator[Figure]:
    """For logits z the loss is A(z) − yz with A = log(1 + eᶻ). Dropout leaves E z = wᵀx, so it adds
    E A(z) − A(E z) ≈ ½A″(wᵀx)·Var z, A″ = σ(1−σ), Var z = ((1−p)/p) Σ x_j² w_j². As A″ ≤ ¼ it is at
    most L2's ⅛ Var z, and near it for small w; but A is asymptotically linear, so for large w it
    grows like ‖w‖ only. In f = vᵀ(m∘h)/p, h = relu(Wx), dropout adds ((1−p)/p) Σ_k v_k² mean h_k². As
    relu(cz) = c·relu(z), (cW, v/c) has the same f and the same penalty for c > 0, but another L2.

    >>> x, z = np.array([[1.0], [6.0]]), np.array([1.0, 6.0])
    >>> s = mr.sigmoid(z)
    >>> added = lambda curvature: mr.implicit.dropout_penalty(np.ones(1), x, 0.3, curvature)
    >>> round(float(added(0.25)), 3), round(float(added(s * (1 - s))), 3)  # as L2, as it is
    (0.991, 0.031)
    """
    x, y = mr.datasets.arrays("breast_cancer")
    x, y, keep = standardized(x[:, :8]), y[:, None].astype(float), 0.7
    inputs, targets = here(x), here(y)
    logistic = mr.nn.BCEWithLogitsLoss(reduction="none")

    def ratios(size: float, seed: int) -> tuple[float, float]:
        """What dropout adds over L2, and over its second order, at a w of this length."""
        w = weights(8, seed).data
        w *= size / np.linalg.norm(w)
        noisy, clean = (expected(logistic, x, y, mr.tensor(w), p).item() for p in (keep, 1.0))
        s = mr.sigmoid(inputs @ w)
        forms = (mr.implicit.dropout_penalty(w, inputs, 1 - keep, c) for c in (0.25, s * (1 - s)))
        l2, adaptive = ((noisy - clean) / float(form) for form in forms)
        return l2, adaptive

    small, middle, large = (
        np.array([ratios(size, seed) for seed in range(6)]) for size in (0.05, 0.5, 3)
    )
    yield breaks("logistic: dropout/L2 at ‖w‖ = 3, largest of 6", large[:, 0].max(), at_most=0.5)
    yield holds("logistic: |dropout/L2 − 1| at ‖w‖ = .05", abs(small[:, 0] - 1).max(), at_most=0.01)
    off = abs(middle - 1).max(axis=0)
    yield breaks("logistic: |dropout/L2 − 1| at ‖w‖ = .5", off[0], at_least=0.2)
    yield corrects("… |dropout/½σ(1−σ)·Var z − 1|", off[1], at_most=0.06)
    first, last = mr.nn.Linear(8, 6, bias=False), mr.nn.Linear(6, 1)
    model = mr.nn.Sequential(first, mr.nn.ReLU(), mr.nn.Dropout(1 - keep), last).double()
    effects, sizes = [], []
    for factor in (1.0, 4.0):
        first.weight.data *= factor
        last.weight.data /= factor
        effect = mr.implicit.dropout_effect(lambda: mr.nn.MSELoss()(model(inputs), targets), model)
        effects.append(effect.value)
        sizes.append((first.weight.numpy() ** 2).sum() + (last.weight.numpy() ** 2).sum())
    yield breaks("ReLU net: ‖4W‖² + ‖v/4‖² over ‖W‖² + ‖v‖²", sizes[1] / sizes[0], at_least=2)
    moved = effects[1] / effects[0] - 1
    yield corrects("… its dropout penalty: |ratio − 1|", abs(moved), at_most=1e-12)


# --- small networks ---------------------------------------------------------------------------


@cache
def network(home: str, keep: float, smoothing: float, seed: int) -> dict[str, float]:
    """Validation figures of a 64-128-10 ReLU net, 60 epochs on 300 digits, 15 % with random labels."""
    x, y, x_val, y_val = digits()
    mr.manual_seed(seed)
    layers = mr.nn.Linear(64, 128), mr.nn.ReLU(), mr.nn.Dropout(1 - keep), mr.nn.Linear(128, 10)
    model, loss = mr.nn.Sequential(*layers), mr.nn.CrossEntropyLoss(label_smoothing=smoothing)
    optimizer = mr.optim.Adam(model.parameters(), lr=0.02)
    history = mr.fit(
        model, loss, optimizer, (x, y), epochs=60, batch_size=100, seed=seed, progress=False
    )
    found = evaluate(model, loss, (here(x_val), here(y_val)))  # once: its past is not asked for
    with mr.no_grad():
        logits = model.eval()(mr.tensor(x_val, backend=home)).numpy()
    confidence = mr.nn.functional.softmax(logits).max(axis=1).mean()
    second, first = np.sort(logits, axis=1)[:, -2:].T
    return {
        "validation_loss": found["loss"], "validation_accuracy": found["accuracy"],
        "gap": found["loss"] - history.last["train_loss"],
        "margin": (first - second).mean(), "overconfidence": confidence - found["accuracy"],
    }  # fmt: skip


def over_seeds(figure: str, keep: float = 1.0, smoothing: float = 0.0) -> np.ndarray:
    """A figure of three networks on the default backend."""
    home = mr.get_backend()
    return np.array([network(home, keep, smoothing, seed)[figure] for seed in range(3)])


@claim(
    "C79", "EMPIRICAL", "001 §9.3.5; 000 §10.3.4",
    "Dropout prevents overfitting (防止过拟合)",
    "Dropping neurons at random in training prevents overfitting.",
)  # fmt: skip
def dropout_helps() -> Iterator[Figure]:
    """No theorem: the noise penalises the variance of what the last layer sees (C78), and how much
    that helps depends on the data. Here 15 % of the labels are wrong, so fitting them all hurts.
    A 64-128-10 ReLU net, 60 epochs of Adam on 300 digits; worst of 3 seeds.

    >>> x = np.random.default_rng(0).normal(size=(30, 5))
    >>> [round(float(mr.implicit.dropout_penalty(np.ones(5), x, p)), 1) for p in (0.0, 0.2, 0.5)]
    [0.0, 1.2, 4.6]
    """
    loss, accuracy = (
        {keep: over_seeds(f"validation_{what}", keep=keep) for keep in (1.0, 0.5)}
        for what in ("loss", "accuracy")
    )
    ratio, gained = loss[0.5] / loss[1.0], accuracy[0.5] - accuracy[1.0]
    yield holds("L_val keep .5/keep 1, worst of 3 seeds", ratio.max(), at_most=0.9)
    yield holds("accuracy gained, worst of 3 seeds", gained.min(), at_least=0.02)
    gap = {keep: over_seeds("gap", keep=keep) for keep in (1.0, 0.5)}
    yield holds("generalisation gap keep .5/keep 1", (gap[0.5] / gap[1.0]).max(), at_most=0.5)
    for keep, at in loss.items():
        yield reports(f"L_val at keep {keep:g}", at.mean())


# --- label smoothing --------------------------------------------------------------------------

EPSILON, CLASSES = 0.1, 5
smoothed = mr.nn.CrossEntropyLoss(label_smoothing=EPSILON)
hard = mr.nn.CrossEntropyLoss()


def logits_of(p: float) -> mr.Tensor:
    """Logits that give the first class probability p and the others equal shares."""
    z = np.log(np.r_[p, np.full(CLASSES - 1, (1 - p) / (CLASSES - 1))])
    return mr.tensor(here(z), requires_grad=True)


def slope(value: mr.Tensor, z: mr.Tensor) -> np.ndarray:
    """The gradient of a value with respect to the logits."""
    (gradient,) = mr.grad(value, [z])
    return gradient.numpy()


def descended(loss: mr.nn.Module, steps: int, lr: float = 3.0) -> np.ndarray:
    """The logits of one example, label 0, after gradient descent on them from 0."""
    z, label = parameter(np.zeros(CLASSES)), here(0)
    optimizer = mr.optim.SGD([z], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(z, label).backward()
        optimizer.step()
    return z.numpy()


@claim(
    "C80", "TRUE", "000 §标签平滑的正则化效应, formula of q̃; 定理 10.16 (redistribution)",
    "Smoothed targets and where the gradient goes (标签平滑)",
    "q̃ = (1−ε)q + ε/K is a distribution; the gradient is shared out to the other classes, which "
    "encourages the model to keep some probability there.",
)  # fmt: skip
def smoothed_target() -> Iterator[Figure]:
    """L = −Σ q̃_k log p_k with log p = z − log Σ eᶻ has ∂L/∂z = (Σ q̃)p − q̃ = p − q̃, whose sum is 0.

    It vanishes at p = q̃: p_y = 1 − ε + ε/K, the others ε/K, so the logits differ by
    log(1 + K(1−ε)/ε). With ε = 0 no p = q̃ is finite: the gap g obeys dg/dt → K·e^(−g), so it grows
    like log(ηKt) for ever.

    >>> z = mr.tensor(np.zeros(5), requires_grad=True)
    >>> mr.grad(mr.nn.CrossEntropyLoss(label_smoothing=0.1)(z, np.array(0)), z)[0].numpy().round(4)  # p − q̃
    array([-0.72,  0.18,  0.18,  0.18,  0.18])
    """
    z = weights(CLASSES, seed=3)
    target = (1 - EPSILON) * np.eye(CLASSES)[0] + EPSILON / CLASSES
    off = slope(smoothed(z, here(0)), z) - (mr.nn.functional.softmax(z).numpy() - target)
    yield holds("|∂L/∂z − (p − q̃)|", abs(off).max(), at_most=1e-14)
    end, gap = descended(smoothed, 800), np.log(1 + CLASSES * (1 - EPSILON) / EPSILON)
    off = abs(end[0] - end[1:] - gap).max()
    yield holds("|logit gap − log(1 + K(1−ε)/ε)|, descended", off, at_most=1e-8)
    yield holds("|p − q̃| there", abs(mr.nn.functional.softmax(end) - target).max(), at_most=1e-10)
    gaps = [np.ptp(descended(hard, steps)) for steps in (200, 2000)]
    off = abs(gaps[1] - gaps[0] - np.log(10))
    yield holds("hard labels: |gap grown in 10 × the steps − log 10|", off, at_most=0.01)


@claim(
    "C81", "IMPRECISE", "000 引理 10.25",
    "L_LS = (1−ε)·CE + ε·KL(U‖p) (KL散度解释)",
    "The smoothed loss equals (1−ε) times the cross entropy plus ε times KL(U‖p), U uniform.",
    corrected="The gradients are equal; the loss is larger by ε·log K, the entropy of U: "
    "L_LS = (1−ε)·CE + ε·H(U, p).",
)  # fmt: skip
def smoothing_as_divergence() -> Iterator[Figure]:
    """−Σ q̃_k log p_k = −(1−ε) log p_y − (ε/K) Σ log p_k = (1−ε)·CE + ε·H(U, p), and
    H(U, p) = KL(U‖p) + H(U) with H(U) = log K. The constant has no gradient.

    >>> z, y = np.array([[2.0, 0.0, 0.0, 0.0, 0.0]]), np.array([0])
    >>> kl = mr.nn.KLDivLoss(reduction="batchmean")(F.log_softmax(z, -1), np.full((1, 5), 0.2))
    >>> text = 0.9 * F.cross_entropy(z, y) + 0.1 * kl
    >>> round(float(F.cross_entropy(z, y, label_smoothing=0.1) - text), 6)  # 0.1·log 5
    0.160944
    """
    rng = np.random.default_rng(0)
    z = mr.tensor(here(rng.standard_normal((7, CLASSES))), requires_grad=True)
    y = here(rng.integers(0, CLASSES, 7))
    uniform = here(np.full(z.shape, 1 / CLASSES))
    divergence = mr.nn.KLDivLoss(reduction="batchmean")(mr.nn.functional.log_softmax(z), uniform)
    rewritten = (1 - EPSILON) * hard(z, y) + EPSILON * divergence
    missing = (smoothed(z, y) - rewritten).item()
    yield breaks("L_LS − (1−ε)·CE − ε·KL(U‖p)", missing, at_least=0.1)
    yield corrects("|that − ε·log K|", abs(missing - EPSILON * np.log(CLASSES)), at_most=1e-14)
    off = slope(smoothed(z, y), z) - slope(rewritten, z)
    yield corrects("|difference of the gradients|", abs(off).max(), at_most=1e-14)


@claim(
    "C82", "FALSE AS STATED", "000 定理 10.16",
    "Smoothing adds the penalty −ε·log p_k for a class with p_k ≈ 1 (标签平滑对预测分布的影响)",
    "A class that is predicted with probability near 1 is penalised by −ε log p_k, which prevents "
    "over-confidence.",
    corrected="What penalises confidence is −(ε/K) Σ_{j≠k} log p_j over the other classes; it grows "
    "without bound as p_k → 1, while −ε log p_k vanishes and even asks for more confidence.",
)  # fmt: skip
def smoothing_penalty() -> Iterator[Figure]:
    """L_LS − (1−ε)·CE = −(ε/K) Σ_j log p_j. As p_k → 1 its own part −(ε/K) log p_k → 0; with the rest
    shared equally the others give (ε/K)(K−1) log((K−1)/(1−p_k)) → ∞. In logits, −ε log p_k pulls with
    −ε(1−p_k) < 0, upwards in z_k, and −(ε/K) Σ log p_j with ε(p_k − 1/K) > 0, downwards.

    >>> z, y = mr.tensor(np.log([0.9, 0.05, 0.05]), requires_grad=True), np.array(0)
    >>> text = 0.1 * F.cross_entropy(z, y)
    >>> added = F.cross_entropy(z, y, label_smoothing=0.1) - 0.9 * F.cross_entropy(z, y)
    >>> [round(float(mr.grad(a, z)[0].numpy()[0]), 4) for a in (text, added)]  # ∂/∂z_k
    [-0.01, 0.0567]
    """
    label = here(0)
    text, true = [], []
    for p in (0.9, 1 - 1e-6):
        z = logits_of(p)
        text.append(EPSILON * hard(z, label))
        true.append(smoothed(z, label) - (1 - EPSILON) * hard(z, label))
        if p == 0.9:
            pulls = [slope(part[0], z)[0] for part in (text, true)]
    yield breaks("∂(−ε log p_k)/∂z_k at p_k = .9", pulls[0], at_most=-0.005)
    yield corrects("∂(−(ε/K) Σ log p_j)/∂z_k at p_k = .9", pulls[1], at_least=0.05)
    vanishing = (text[1] / text[0]).item()
    yield breaks("text's term, p_k = 1 − 10⁻⁶ over p_k = .9", vanishing, at_most=1e-4)
    grown = (true[1] - true[0]).item()
    predicted = EPSILON / CLASSES * ((CLASSES - 1) * np.log(1e5) - np.log((1 - 1e-6) / 0.9))
    yield corrects("growth of the true term there", grown, at_least=0.9)
    yield corrects("|that − the formula|", abs(grown - predicted), at_most=1e-9)


@claim(
    "C83", "IMPRECISE", "000 定理 10.16, remark on the gradient",
    "The hard-label gradient −1/p_k is small where p_k ≈ 1 (硬标签梯度)",
    "The gradient of the hard-label loss for the right class is −1/p_k, small where p_k is near 1.",
    corrected="With respect to p_k it tends to −1. What vanishes is the gradient p_k − 1 of the "
    "logit; smoothing makes it p_k − q̃_k, which turns the sign past p_k = 1 − ε + ε/K.",
)  # fmt: skip
def hard_gradient() -> Iterator[Figure]:
    """∂(−log p_k)/∂p_k = −1/p_k → −1; the softmax brings ∂p_k/∂z_k = p_k(1 − p_k), and the product is
    p_k − 1 → 0. The smoothed loss has p_k − q̃_k (C80) with q̃_k = 1 − ε + ε/K < 1.

    >>> p = mr.tensor(np.array([0.999, 0.001]), requires_grad=True)
    >>> z = mr.tensor(np.log(p.numpy()), requires_grad=True)
    >>> by_p, by_z = mr.grad(-mr.log(p)[0], p)[0], mr.grad(F.cross_entropy(z, np.array(0)), z)[0]
    >>> round(float(by_p[0].item()), 3), round(float(by_z[0].item()), 3)
    (-1.001, -0.001)
    """
    label, turn = here(0), 1 - EPSILON + EPSILON / CLASSES
    z = logits_of(0.999)
    p = mr.nn.functional.softmax(z)
    loss = mr.nn.functional.nll_loss(mr.log(p), label)
    by_p, by_z = (g.numpy()[0] for g in mr.grad(loss, [p, z]))
    yield breaks("∂L/∂p_k at p_k = .999", by_p, at_most=-1)
    yield holds("|that + 1/p_k|", abs(by_p + 1 / 0.999), at_most=1e-12)
    yield corrects("∂L/∂z_k at p_k = .999", by_z, at_most=0, at_least=-0.0011)
    ends = [slope(smoothed(z, label), z)[0] for z in map(logits_of, (turn - 0.01, turn + 0.01))]
    yield corrects("smoothed: ∂L/∂z_k .01 below 1 − ε + ε/K", ends[0], at_most=-0.0099)
    yield corrects("smoothed: ∂L/∂z_k .01 above", ends[1], at_least=0.0099)


@claim(
    "C84", "EMPIRICAL", "000 §标签平滑的正则化效应",
    "Label smoothing prevents over-confidence (防止过度自信)",
    "Training on softened labels keeps the model from being over-confident on the training samples, with "
    "an effect like regularisation.",
    corrected="Margins and confidence shrink as ε grows, beyond what is right, too: much smoothing makes "
    "the model less sure than it may be.",
)  # fmt: skip
def smoothing_helps() -> Iterator[Figure]:
    """At the optimum of the training loss the logit gap is log(1 + K(1−ε)/ε), decreasing in ε (C80);
    what that does on new data is an experiment. As in C79, with keep = 1; worst of 3 seeds.

    >>> margins, y = [], np.array(0)
    >>> for e in (0.05, 0.3):
    ...     z = mr.tensor(np.zeros(5), requires_grad=True); opt = mr.optim.SGD([z], lr=3.0)
    ...     for _ in range(300):
    ...         opt.zero_grad(); F.cross_entropy(z, y, label_smoothing=e).backward(); opt.step()
    ...     margins.append(round(float(z.numpy()[0] - z.numpy()[1]), 2))
    >>> margins  # log(1 + K(1 − ε)/ε)
    [4.56, 2.54]
    """
    strengths = (0.0, 0.05, 0.1, 0.3)
    margin, accuracy, over = (
        np.array([over_seeds(figure, smoothing=e) for e in strengths])
        for figure in ("margin", "validation_accuracy", "overconfidence")
    )
    shrink = (margin[1:] / margin[:-1]).max()
    yield holds("margin at the next ε/margin, ε = 0, .05, .1, .3", shrink, at_most=0.95)
    yield holds("accuracy gained by ε = .1", (accuracy[2] - accuracy[0]).min(), at_least=0.02)
    yield holds("confidence − accuracy at ε = 0", over[0].min(), at_least=0.05)
    yield holds("confidence − accuracy at ε = .3", over[3].max(), at_most=-0.2)
    yield reports("confidence − accuracy at ε = .05", over[1].mean())
