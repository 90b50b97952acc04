"""Scale: of inputs, of weights before a normalisation, and of weights as a measure of complexity.

The loss is a mean over samples, the squared error without a half; L2 is ½λ‖w‖². η is the learning
rate, α a factor of scale, g = ∇L. Of BatchNorm, σ is the deviation over the batch, ε stands
inside the root, γ and β are learnt; σ² is the variance of noise in C125.
"""

from collections.abc import Iterator

import numpy as np

import minireg as mr
from minireg.course.claims import Figure, breaks, claim, corrects, holds, reports

from ._data import (
    diabetes,
    digits,
    far,
    fitted,
    here,
    mlp,
    parameter,
    ridge,
    ridge_errors,
    standardized,
)

# --- the scale of inputs ----------------------------------------------------------------------


@claim(
    "C124", "TRUE", "003 §尺度的危险",
    "Inputs × α need λ × α² (尺度的危险)",
    "Inputs α times as large let the weights shrink by α, which weakens their L2 penalty by α²; the strength "
    "α²λ restores the fit.",
)  # fmt: skip
def scaled_inputs() -> Iterator[Figure]:
    """With v = αw: L(αX, w) + ½μ‖w‖² = L(X, v) + ½(μ/α²)‖v‖², the problem of X at the strength μ/α². So
    μ = α²λ gives the same v, the same predictions, and w = v/α, while μ = λ is the problem of X at λ/α².
    Out of μ‖w‖₁ comes one α, not two.

    >>> ends = []
    >>> for scale, strength in ((1, 0.2), (10, 0.2 * 10**2)):
    ...     model = mr.nn.Linear(1, 1, bias=False, dtype=np.float64)
    ...     _ = mr.solve(model, mr.nn.MSELoss(), P.L2(strength), [[1.0 * scale]], [[3.0]])
    ...     ends.append(round(scale * model.weight.item(), 6))
    >>> ends  # the same prediction
    [2.727273, 2.727273]
    """
    x, y = diabetes()
    alpha, lam = 1000, 0.2  # metres as millimetres
    l1, l2 = mr.penalties.L1, mr.penalties.L2
    v = fitted(x, y, l2(lam))
    w = fitted(alpha * x, y, l2(alpha**2 * lam), tol=1e-10 * alpha)
    size = abs(x @ v).max()
    off = abs(alpha * x @ w - x @ v).max() / size
    yield holds("change of predictions at (1000x, 10⁶λ)", off, at_most=1e-8)
    weaker = l2(lam).value(here(w)) / l2(lam).value(here(v)) * alpha**2
    yield holds("penalty there at the same λ, × 10⁶", weaker, at_least=1 - 1e-8, at_most=1 + 1e-8)
    plain = x @ ridge(x, y, 0.0)
    free = alpha * x @ fitted(alpha * x, y, l2(lam), tol=1e-10 * alpha)
    yield holds("at (1000x, λ): distance to least squares / that of ridge",
                abs(free - plain).max() / abs(x @ v - plain).max(), at_most=1e-4)  # fmt: skip
    lasso = x @ fitted(x, y, l1(lam))
    for power, limits in ((1, {"at_most": 1e-8}), (2, {"at_least": 0.1})):
        w = fitted(10 * x, y, l1(10**power * lam), tol=1e-9)
        off = abs(10 * x @ w - lasso).max() / abs(lasso).max()
        yield holds(f"L1: change of predictions at (10x, 10{'²' * (power == 2)}λ)", off, **limits)


@claim(
    "C125", "TRUE-WITH-CONDITIONS", "003 §尺度的危险",
    "Standardise the inputs (标准化)",
    "Standardised inputs are close to necessary for L2 to mean something and for λ to carry over to data in "
    "other units.",
    corrected="A change of units changes a ridge fit, not one by least squares, and standardising undoes it "
    "exactly. To other data λ need not carry over: the best one depends on noise and sample size.",
)  # fmt: skip
def standardise() -> Iterator[Figure]:
    """Units are a diagonal matrix: X ↦ XD. Least squares answers w ↦ D⁻¹w, with the same predictions; the
    penalty ‖w‖² is no longer the same. Standardising gives XD and X the same columns. With XᵀX = nI and noise
    σ² in y ridge keeps the share 2/(2 + λ), and the best is (C08) at λ = 2dσ²/(n‖w⁰‖²): it falls as 1/n.

    >>> x = np.array([[1.0], [-1.0]])
    >>> [round(mr.implicit.degrees_of_freedom(scale * x, 1.0), 2) for scale in (1, 10)]
    [0.5, 0.99]
    """
    x, y = diabetes()
    units = np.where(np.arange(10) == 2, 10.0, 1.0)  # one feature in millimetres for centimetres
    l2 = mr.penalties.L2(0.2)
    before = x @ fitted(x, y, l2)
    after = x * units @ fitted(x * units, y, l2, tol=1e-9)
    yield holds(
        "ridge: change of predictions, one feature × 10", abs(after - before).max(), at_least=0.05
    )
    off = x * units @ ridge(x * units, y, 0.0) - x @ ridge(x, y, 0.0)
    yield holds("least squares: change of predictions", abs(off).max(), at_most=1e-10)
    z = standardized(x * units + 5)
    yield holds("ridge after standardising", abs(z @ fitted(z, y, l2) - before).max(), at_most=1e-8)
    strengths = tuple(np.geomspace(0.02, 5, 20))
    few, many = (strengths[ridge_errors(n, strengths)[:, 1].argmin()] for n in (20, 200))
    yield breaks("best λ with 20 patients / with 200, standardised", few / many, at_least=2)


# --- weights before BatchNorm -----------------------------------------------------------------


def batch_net(eps: float = 0.0, again: bool = False) -> mr.nn.Sequential:
    """Linear, BatchNorm with random γ and β, ReLU, Linear without bias; ``again``: one more BatchNorm."""
    mr.manual_seed(0)
    rng, end = np.random.default_rng(0), [mr.nn.BatchNorm(4, eps=eps)] if again else []
    model = mr.nn.Sequential(
        mr.nn.Linear(10, 8), mr.nn.BatchNorm(8, eps=eps, momentum=None), mr.nn.ReLU(),
        mr.nn.Linear(8, 4, bias=False), *end,
    ).double()  # fmt: skip
    model[1].weight.assign(rng.uniform(0.5, 2, 8))
    model[1].bias.assign(rng.standard_normal(8))
    return model


def outputs(model: mr.nn.Sequential, factors: dict[str, float]) -> np.ndarray:
    """What the model says to diabetes after some of its parameters have been scaled, in place."""
    for name, p in model.named_parameters():
        p.assign(p.data * factors.get(name, 1.0))
    return model(here(diabetes()[0])).numpy()


def change(factors: dict[str, float], **options: float) -> float:
    """How much scaling changes the outputs of a :func:`batch_net`, relative to their size."""
    before, after = (outputs(batch_net(**options), f) for f in ({}, factors))
    return np.linalg.norm(after - before) / np.linalg.norm(before)


@claim(
    "C126", "TRUE-WITH-CONDITIONS", "003 §批量归一化悖论",
    "L2 before BatchNorm leaves the function alone (批量归一化悖论)",
    "Shrinking the weights of a layer before BatchNorm leaves what the network computes essentially as it "
    "was.",
    corrected="Exactly so at ε = 0 with the statistics of the batch. With ε the outputs change by O(ε/σ²), "
    "which counts once the weights are small; in evaluation the running statistics are of older weights.",
)  # fmt: skip
def paradox() -> Iterator[Figure]:
    """z = wᵀx + b has mean μ and deviation σ over the batch. With αw, α > 0, it has a deviation of ασ, and
    z − μ is α times what it was: (αz − αμ)/√(α²σ² + ε) = (z − μ)/√(σ² + ε/α²). Only ε has become ε/α².

    >>> y = lambda w: F.batch_norm(w * np.array([[0.0], [1.0], [3.0]]), training=True, eps=0.0)
    >>> bool(np.allclose(y(1.0), y(0.01)))
    True
    """
    exact = max(change({"0.weight": a}) for a in (100, 0.1, 0.01))
    yield holds("largest change of outputs at w × 100, 0.1, 0.01, ε = 0", exact, at_most=1e-12)
    half, tenth = (change({"0.weight": a}, eps=1e-5) for a in (0.5, 0.1))
    yield holds("ε = 10⁻⁵: change at w × 0.5", half, at_most=1e-3)
    yield holds("at w × 0.1 / at w × 0.5 (α⁻² − 1: 33)", tenth / half, at_least=30, at_most=35)
    yield breaks("ε = 10⁻³: change at w × 0.01", change({"0.weight": 0.01}, eps=1e-3), at_least=0.1)
    model = batch_net()
    before = outputs(model, {})  # which also sets the running statistics
    after = outputs(model.eval(), {"0.weight": 0.1})
    off = np.linalg.norm(after - before) / np.linalg.norm(before)
    yield breaks("in evaluation, ε = 0: change at w × 0.1", off, at_least=0.1)


def sphere(scale: float = 1.0) -> mr.nn.Sequential:
    """A unit of 10 inputs before BatchNorm at ε = 0: only the direction of its weight counts."""
    model = mr.nn.Sequential(
        mr.nn.Linear(10, 1, bias=False), mr.nn.BatchNorm(1, eps=0.0, affine=False)
    )
    model.double()[0].weight.assign(scale * np.random.default_rng(0).standard_normal((1, 10)))
    return model


def turns(
    scale: float = 1.0, steps: int = 1, batch: int = 442, **options: float
) -> tuple[np.ndarray, np.ndarray]:
    """SGD on a :func:`sphere`: the weights before each step and at the end, and the gradients."""
    x, y = map(here, diabetes())
    rng, model = np.random.default_rng(0), sphere(scale)
    optimizer, loss = mr.optim.SGD(model.parameters(), **options), mr.nn.MSELoss()
    weight = model[0].weight
    w, g = [weight.numpy()[0].copy()], []
    for _ in range(steps):
        chosen = here(rng.integers(0, 442, batch)) if batch < 442 else slice(None)
        optimizer.zero_grad()
        loss(model(x[chosen]), y[chosen, None]).backward()
        g.append(weight.grad.numpy()[0].copy())
        optimizer.step()
        w.append(weight.numpy()[0].copy())
    return np.array(w), np.array(g)


def angles(w: np.ndarray) -> np.ndarray:
    """Between successive weights."""
    u = w / np.linalg.norm(w, axis=1, keepdims=True)
    return 2 * np.arcsin(np.linalg.norm(np.diff(u, axis=0), axis=1) / 2)


@claim(
    "C127", "TRUE", "003 §批量归一化悖论",
    "Decay before BatchNorm acts as a learning rate (有效学习率)",
    "By shrinking the weights before BatchNorm decay enlarges their gradients, and so the layer's rate.",
)  # fmt: skip
def effective_rate() -> Iterator[Figure]:
    """L(αw) = L(w) for α > 0. Differentiate by w: α∇L(αw) = ∇L(w); by α at 1: ⟨w, ∇L(w)⟩ = 0. So a step turns
    w by the angle η‖∇L(w)‖/‖w‖ = (η/‖w‖²)‖∇L(w/‖w‖)‖, and ‖w − ηg‖² = ‖w‖² + η²‖g‖² grows. Decay takes about
    2ηλ‖w‖² a step: with g̃ = g‖w‖ the two cancel at ‖w‖⁴ = ηE‖g̃‖²/2λ, where the angle is η‖g̃‖/‖w‖² = √(2ηλ).

    >>> [float(mr.implicit.effective_lr(np.array([[a]]), 0.1)) for a in (2.0, 1.0)]
    [0.025, 0.1]
    """
    (w, _), (g,) = turns(lr=0.01)
    (_, _), (halved,) = turns(scale=0.5, lr=0.01)
    yield holds("largest |∇L(w/2)/∇L(w) − 2|", abs(halved / g - 2).max(), at_most=1e-10)
    yield holds("|cos(w, ∇L)|", abs(w @ g) / np.linalg.norm(w) / np.linalg.norm(g), at_most=1e-12)
    slow, fast = (angles(turns(scale=s, lr=1e-4)[0]).item() for s in (1, 0.5))
    rate = mr.implicit.effective_lr
    yield holds("angle of a step from w/2 / from w", fast / slow, at_least=3.999, at_most=4.001)
    yield holds(
        "η/‖w‖² at w/2 / at w",
        rate(here(w / 2), 1e-4) / rate(here(w), 1e-4),
        at_least=4 - 1e-12,
        at_most=4 + 1e-12,
    )
    path, gradients = turns(steps=100, lr=0.3)
    grown = np.sum(path[-1] ** 2) - np.sum(path[0] ** 2)
    off = grown / np.sum((0.3 * gradients) ** 2) - 1
    yield holds("|growth of ‖w‖² / Σ η²‖g‖² − 1|, no decay, 100 steps", abs(off), at_most=1e-10)
    lr, decay = 0.1, 0.1
    path, gradients = turns(steps=1500, batch=16, lr=lr, weight_decay=decay)
    squares = np.sum(path**2, axis=1)[300:-1]
    balance = lr * np.mean(squares * np.sum(gradients[300:] ** 2, axis=1)) / (2 * decay)
    size = np.mean(squares) ** 0.5 / balance**0.25
    yield holds("decay: ‖w‖ (rms) / (ηE‖g̃‖²/2λ)^¼", size, at_least=0.97, at_most=1.03)
    turned = np.mean(angles(path[300:]) ** 2) ** 0.5 / (2 * lr * decay) ** 0.5
    yield holds("decay: angle a step (rms) / √(2ηλ)", turned, at_least=0.97, at_most=1.03)


@claim(
    "C128", "IMPRECISE", "003 §批量归一化悖论",
    "What the size of γ, β and weights before BatchNorm means (γ与β)",
    "The size of the weights before BatchNorm, and of its γ and β, is part of an invariance and no direct "
    "measure of complexity.",
    corrected="True of the weights. γ and β scale the output: half of both is half of it. They are part of "
    "an invariance with the next layer, (γ, β, W_next) → (cγ, cβ, W_next/c) through ReLU; without it only "
    "where that layer has a BatchNorm of its own, and for both by one factor.",
)  # fmt: skip
def gamma_and_beta() -> Iterator[Figure]:
    """y = γx̂ + β is linear in (γ, β), and W·relu(cy) = c·W·relu(y) for c > 0. W/c takes c back, and
    another BatchNorm after W cancels it as it does any positive scale (C126).

    >>> norm = mr.nn.BatchNorm(1, eps=0.0, dtype=np.float64); x = np.array([[0.0], [1.0], [3.0]])
    >>> before = norm(x).numpy(); _ = norm.weight.assign(0.5)
    >>> norm(x).numpy().ravel() / before.ravel()
    array([0.5, 0.5, 0.5])
    """
    both = {"1.weight": 0.5, "1.bias": 0.5}
    whole, half = (np.linalg.norm(outputs(batch_net(), f)) for f in ({}, both))
    yield breaks(
        "‖output at (γ, β)/2‖ / ‖output‖", half / whole, at_least=0.5 - 1e-12, at_most=0.5 + 1e-12
    )
    yield corrects("change at (γ/2, β/2, 2W_next)", change({**both, "3.weight": 2}), at_most=1e-12)
    yield corrects("at (γ, β)/2, another BatchNorm next", change(both, again=True), at_most=1e-12)
    yield breaks(
        "at γ/2 alone, another BatchNorm next", change({"1.weight": 0.5}, again=True), at_least=0.1
    )
    yield corrects("at w/2 before BatchNorm", change({"0.weight": 0.5}), at_most=1e-12)


@claim(
    "C129", "EMPIRICAL", "003 §批量归一化悖论",
    "Decay on normalised weights, γ and β (通常有害)",
    "Decaying the weights before a normalisation, or its γ and β, is usually harmful.",
    corrected="On this small net decay of the weights before BatchNorm costs validation loss, that of γ and "
    "β nothing that stands out of the noise.",
)  # fmt: skip
def exempt_or_not() -> Iterator[Figure]:
    """No theorem: C126 to C128 say what each decay does, not whether that is good. A layer whose decay keeps
    ‖w‖ small turns faster (C127), here without end as the rate is constant. Compared are the same seeds.

    >>> model = mr.nn.Sequential(mr.nn.Linear(4, 3), mr.nn.BatchNorm(3), mr.nn.Linear(3, 2))
    >>> objective = mr.Objective(mr.nn.CrossEntropyLoss(), {"l2": P.L2(0.01)}).bind(model)
    >>> [p.kind for p in objective.chosen("l2")]  # neither γ nor β nor biases, unless on= says so
    ['weight', 'weight']
    """
    x, y, x_val, y_val = map(here, digits())
    strength, seeds = 1e-2, 3

    def train(seed: int, *on: str) -> tuple[float, float]:
        mr.manual_seed(seed)
        model, rng = mlp((64, 64, 10), mr.nn.BatchNorm), np.random.default_rng(seed)
        optimizer = mr.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        objective = mr.Objective(mr.nn.CrossEntropyLoss(), {"l2": (mr.penalties.L2(strength), on)})
        for batch in (here(i) for _ in range(40) for i in np.split(rng.permutation(300), 3)):
            optimizer.zero_grad()
            objective(model, x[batch], y[batch]).backward(attribute=False)
            optimizer.step()
        loss = mr.nn.CrossEntropyLoss()(model.eval()(x_val), y_val).item()
        return loss, mr.implicit.effective_lr(model, 0.1)["0.weight"].item()

    last, before, norm = (
        np.array([train(seed, "3.weight", *also) for seed in range(seeds)])
        for also in ((), ("0.weight",), ("1.*",))
    )
    for name, losses in (("weights before BatchNorm", before[:, 0]), ("γ and β", norm[:, 0])):
        added = losses - last[:, 0]
        limits = {"at_most": 0.05} if name == "γ and β" else {"at_least": 0.02}
        kind = breaks if name == "γ and β" else holds
        yield kind(f"L_val added by decay of {name}, 3 seeds", added.mean(), **limits)
        yield reports("its standard error", added.std(ddof=1) / seeds**0.5)
    yield holds(
        "effective rate of that layer: with decay / without",
        (before / last)[:, 1].min(),
        at_least=1.5,
    )


# --- the scale of weights and the shape of functions ------------------------------------------


@claim(
    "C130", "IMPRECISE", "004 §一、从“模型表达能力”的角度理解; 003 §更平滑的函数",
    "Large weights, sensitive outputs (高灵敏度)",
    "If W in z = Wx + b is large, the output reacts to the smallest changes of the input.",
    corrected="‖W‖₂ is the largest gain of the layer, so only an upper bound for a network: units that "
    "saturate are steep near their boundary only, and before a normalisation the scale does not count.",
)  # fmt: skip
def sensitivity() -> Iterator[Figure]:
    """‖W(x − x')‖ ≤ ‖W‖₂‖x − x'‖, with equality along the first right singular vector. Of a linear unit
    ½‖∇ₓf‖² = ½‖w‖²: to penalise its slope is L2. f(x) = tanh(s·aᵀx) has ‖∇f‖ = s‖a‖(1 − f²): it is s‖a‖
    where aᵀx = 0, and falls like 4s‖a‖exp(−2s|aᵀx|) elsewhere.

    >>> model = mr.nn.Linear(2, 2, bias=False, dtype=np.float64)
    >>> _ = model.weight.assign([[30.0, 0.0], [0.0, 1.0]])
    >>> round(mr.lipschitz_lower(model, np.zeros((1, 2))), 4)
    30.0
    """
    x = np.random.default_rng(0).standard_normal((2000, 10))
    layer = mr.nn.Linear(10, 5, dtype=np.float64)
    found = mr.lipschitz_lower(layer, x[:10]) / np.linalg.norm(layer.weight.numpy(), 2)
    yield holds(
        "linear layer: largest gain found / ‖W‖₂", found, at_least=1 - 1e-6, at_most=1 + 1e-6
    )

    one = mr.nn.Linear(10, 1, dtype=np.float64)
    points = mr.tensor(here(x), requires_grad=True)
    (slope,) = mr.grad(one(points).sum(), points, create_graph=True)
    (pull,) = mr.grad((0.5 * slope**2).sum(axis=1).mean(), one.weight)
    yield holds("linear unit: |∂(½‖∇ₓf‖²)/∂w − w|", far(pull, one.weight), at_most=1e-12)

    def slopes(model: mr.nn.Module, at: np.ndarray = x) -> np.ndarray:
        points = mr.tensor(here(at), requires_grad=True)
        (g,) = mr.grad(model(points).sum(), points)
        return np.linalg.norm(g.numpy(), axis=1)

    def unit(size: float) -> mr.nn.Sequential:
        model = mr.nn.Sequential(mr.nn.Linear(10, 1, bias=False, dtype=np.float64), mr.nn.Tanh())
        model[0].weight.assign(np.full((1, 10), size * 10**-0.5))
        return model

    small, large = unit(0.5), unit(20.0)
    typical = np.median(slopes(large)) / np.median(slopes(small))
    yield breaks("tanh: median slope at 40 w / at w", typical, at_most=0.01)
    origin = np.zeros((1, 10))
    steepest = slopes(large, origin).item() / slopes(small, origin).item()
    yield corrects(
        "tanh: largest slope at 40 w / at w", steepest, at_least=40 - 1e-10, at_most=40 + 1e-10
    )
    bound = slopes(large, origin).item() / mr.lipschitz_bound(large)
    yield corrects("largest slope / Lipschitz bound", bound, at_least=1 - 1e-12, at_most=1 + 1e-12)
    weigh = here(np.random.default_rng(1).standard_normal(442))

    def reaction(size: float) -> np.ndarray:
        points = mr.tensor(here(diabetes()[0]), requires_grad=True)
        (g,) = mr.grad((sphere(size)(points)[:, 0] * weigh).sum(), points)
        return g.numpy()

    off = abs(reaction(40.0) / reaction(1.0) - 1).max()
    yield corrects("before BatchNorm: change of the slopes at 40 w", off, at_most=1e-8)


@claim(
    "C131", "IMPRECISE", "004 §二、从“函数形状”的角度理解; 002 §L2惩罚; 003 §更平滑的函数",
    "Small weights, smooth curves (平滑曲线)",
    "Making the weights small keeps a fitted curve from wriggling like a snake (in "
    "《参数范数惩罚》: usually).",
    corrected="Roughly so from huge weights to moderate ones, but not step by step: while ‖θ‖ falls with λ, "
    "the roughness ∫f″² can rise. It is bound to fall if it is what is penalised.",
)  # fmt: skip
def smooth_curves() -> Iterator[Figure]:
    """f = Σ θⱼtʲ has ∫f″² = θᵀRθ with Rⱼₖ = ∫ j(j−1)k(k−1)tʲ⁺ᵏ⁻⁴, far from a multiple of I: a shorter θ
    may be a rougher one. By C01 it is what is penalised that falls with λ, here ‖θ‖² and there θᵀRθ. In the
    eigenvectors of R the latter is an L2 penalty with a weight for each coordinate.

    >>> rough = P.L2(2.0, weight=np.array([0.0, 0.0, 8.0])).value  # ∫f″² of θ₀ + θ₁t + θ₂t² on [−1, 1]
    >>> straight, bent = np.array([0.0, 2.0, 0.0]), np.array([0.0, 0.0, 1.0])
    >>> [(float(P.L2(2.0).value(w)), float(rough(w))) for w in (straight, bent)]
    [(4.0, 0.0), (1.0, 8.0)]
    """
    rng, powers, strengths = np.random.default_rng(0), np.arange(13), np.geomspace(1e-8, 1e3, 100)
    t = np.sort(rng.uniform(-1, 1, 15))
    y = np.sin(3 * t) + 0.3 * rng.standard_normal(15)
    second = np.polynomial.polynomial.polyder(np.eye(13), 2)  # column j: the coefficients of (tʲ)″
    nodes, weights = np.polynomial.legendre.leggauss(12)
    bends = np.vander(nodes, 11, increasing=True) @ second
    values, vectors = np.linalg.eigh(bends.T @ (weights[:, None] * bends))
    values = np.maximum(values, 0)  # straight lines have no roughness
    x = np.vander(t, 13, increasing=True) @ vectors
    bending = mr.penalties.L2(2.0, weight=here(values))
    roughness = lambda w: bending.value(here(w)).item()

    def path(penalised: np.ndarray) -> np.ndarray:
        """Minimisers of mean (xθ − y)² + ½λ Σ penalisedⱼθⱼ², by least squares with more rows."""
        rows = [
            np.vstack([x * (2 / 15) ** 0.5, np.diag((s * penalised) ** 0.5)]) for s in strengths
        ]
        target = np.r_[y * (2 / 15) ** 0.5, powers * 0]
        return np.array([np.linalg.lstsq(r, target, rcond=None)[0] for r in rows])

    plain, bent = path(np.ones(13)), path(values)
    norms, rough = np.sum(plain**2, axis=1), np.array([roughness(w) for w in plain])
    worst = max(rough / np.minimum.accumulate(rough))
    yield breaks("L2: roughness / its least at smaller λ, worst of 100 λ", worst, at_least=3)
    yield breaks(
        "share of the steps in λ at which it rises", np.mean(np.diff(rough) > 0), at_least=0.1
    )
    yield holds("L2: largest relative rise of ‖θ‖²", (np.diff(norms) / norms[1:]).max(), at_most=0)
    yield holds("roughness at the largest λ / at the smallest", rough[-1] / rough[0], at_most=0.01)
    rough = np.array([roughness(w) for w in bent])
    yield corrects(
        "penalising ∫f″²: its largest relative rise", (np.diff(rough) / rough[1:]).max(), at_most=0
    )
    w, penalty = bent[50], mr.penalties.L2(strengths[50], weight=here(values))
    gradient = 2 / 15 * x.T @ (x @ w - y)
    yield corrects(
        "distance of −∇L to ∂(λΩ) at a fit",
        penalty.subdiff_distance(here(w), here(gradient)),
        at_most=1e-8,
    )


def _nets(x: np.ndarray, y: np.ndarray, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fits (nets, n) of tanh nets with 16 units to y, each with its L2 strength; Lipschitz bounds.

    All at once from one start: x is (nets, n, inputs), and a layer a stack of matrices.
    """
    rng, (many, _, d) = np.random.default_rng(0), x.shape
    start = rng.normal(size=(d, 16)), rng.normal(size=(1, 16)), rng.normal(size=(16, 1)) / 4
    first, bias, last = weights = [parameter(np.repeat([a], many, axis=0)) for a in start]
    first.assign(first.data * here(x.any(axis=1)[..., None]))  # of an input that is always 0, none
    each = [here(np.broadcast_to(strengths[:, None, None], w.shape)) for w in (first, last)]
    penalties = [mr.penalties.L2(1.0, weight=strength) for strength in each]
    inputs, targets = here(x), here(y[..., None])
    optimizer = mr.optim.Adam(weights, lr=0.03)
    schedule = mr.optim.lr_scheduler.CosineAnnealingLR(optimizer, 500)
    for _ in range(500):
        optimizer.zero_grad()
        f = mr.tanh(inputs @ first + bias) @ last
        loss = ((f - targets) ** 2).mean(axis=1).sum()
        (loss + penalties[0](first) + penalties[1](last)).backward()
        optimizer.step()
        schedule.step()
    layers = [mr.nn.Linear(*n, bias=False, dtype=np.float64) for n in ((d, 16), (16, 1))]
    net, bounds = mr.nn.Sequential(layers[0], mr.nn.Tanh(), layers[1]), []
    for pair in zip(first.numpy(), last.numpy(), strict=True):
        for layer, w in zip(layers, pair, strict=True):
            layer.weight.assign(w.T)
        bounds.append(mr.lipschitz_bound(net))
    return f.numpy()[..., 0], np.array(bounds)


@claim(
    "C132", "TRUE-WITH-CONDITIONS", "003 §更平滑的函数",
    "L2 and noise of high frequency (高频噪声)",
    "By tightening the Lipschitz bound L2 encourages a smoother function, which high-frequency noise in "
    "the data does not easily disturb, and so improves generalisation.",
    corrected="Where high frequencies need large weights, as in a tanh net of a slow input, they go first; "
    "slow noise mostly stays. L2 looks at what a frequency costs in weights, and at signal and noise alike: "
    "of features with amplitude a ridge lets a²/(a² + ½λ) through. Equal amplitudes are damped alike, and "
    "where fast ones are cheap the slow signal goes first, and the error rises.",
)  # fmt: skip
def high_frequencies() -> Iterator[Figure]:
    """In orthogonal features aφ with mean φ² = 1 the loss is Σ (aw − c)², where c is what the data have
    of φ; with ½λw² the minimum has aw = c·a²/(a² + ½λ). A function of t with Lipschitz constant K has at
    frequency k an amplitude of |∫f′(t) sin kt dt|/(πk) ≤ 4K/(πk): a bound on K does bound what is fast,
    but it lets noise below it pass. Half the difference of two fits to opposite noises is what they
    take up of it.

    >>> amplitude = 1 / np.array([1.0, 3.0, 12.0])  # as fast as 12 needs 12 times the weight
    >>> mr.implicit.ridge_filter(2 * amplitude**2, strength=0.1).round(2)
    array([0.95, 0.69, 0.12])
    """
    n, λ, size = 48, 0.1, 0.3
    t, k = 2 * np.pi * np.arange(n) / n, np.array([1, 3, 5, 8, 12])
    waves = 2**0.5 * np.cos(k[:, None] * (t + 0.3))
    signal, noise = waves[0], size * waves[1:].sum(axis=0)

    def linear(amplitude: np.ndarray) -> tuple[np.ndarray, float]:
        """What ridge takes up of each wave, and its error over that of least squares."""
        x = amplitude * waves.T
        plain, fit = (x @ fitted(x, signal + noise, mr.penalties.L2(s)) for s in (0.0, λ))
        worse = ((fit - signal) ** 2).mean() / ((plain - signal) ** 2).mean()
        return waves @ fit / (waves @ plain), worse

    off = 0.0
    for name, a, kind, ratio, error in (
        ("1/k", 1 / k, holds, {"at_most": 0.2}, {"at_most": 0.3}),
        ("1", k**0.0, breaks, {"at_least": 1 - 1e-9, "at_most": 1 + 1e-9}, {}),
        ("k/12", k / 12, breaks, {"at_least": 5}, {"at_least": 1.5}),
    ):
        taken, worse = linear(a)
        off = max(off, far(taken, mr.implicit.ridge_filter(2 * a**2, λ)))
        what = f"ridge, amplitudes {name}"
        yield kind(f"{what}: taken up at k = 12 over at k = 1", taken[-1] / taken[0], **ratio)
        if error:
            yield kind(f"{what}: error, over least squares", worse, **error)
    yield corrects("|share taken up − a²/(a² + ½λ)|", off, at_most=1e-8)

    slow, fast = (np.stack([np.cos(m * t), np.sin(m * t)], axis=1) for m in (1, 12))
    inputs = [np.c_[slow, 0 * fast], np.c_[slow, 0 * fast], np.c_[slow / 10, fast]]
    either = np.tile([signal + noise, signal - noise], (3, 1))
    strengths = np.array([0.0, 0.01, 0.01])
    fits, bounds = _nets(np.repeat(inputs, 2, axis=0), either, np.repeat(strengths, 2))
    fastest = (k * abs(fits @ waves.T) * 2**0.5 / n).max(axis=1)  # k·amplitude
    fits = fits.reshape(3, 2, n)
    taken = (fits[:, 0] - fits[:, 1]) / 2 @ waves[1:].T / (n * size)
    errors = ((fits - signal) ** 2).mean(axis=(1, 2))
    share = taken[1, -1] / taken[0, -1]
    yield holds("net, λ = .01: noise taken up at k = 12, over λ = 0", share, at_most=0.05)
    yield holds("its error, over λ = 0", errors[1] / errors[0], at_most=0.5)
    yield holds("its Lipschitz bound K, over λ = 0", bounds[2] / bounds[0], at_most=0.5)
    largest = (fastest[:4] / bounds[:4]).max() * np.pi / 4
    yield holds("largest k·amplitude/(4K/π)", largest, at_most=1)
    yield breaks("net, λ = .01: noise taken up at k = 3", taken[1, 0], at_least=0.5)
    yield breaks("the same at k = 12, if an input is as fast", taken[2, -1], at_least=0.9)

    x, labels, *_ = digits(noise=0.0)
    x = (x - x.mean(axis=0)).astype(float)
    across = np.fft.fftfreq(8, 1 / 8)
    radius = np.hypot(across, across[:, None])
    slow, fast = (radius > 0) & (radius < 1.5), radius > 3.5

    def gain(strength: float) -> float:
        """Of disturbances of the pixels: of the fast ones, over that of the slow ones."""
        w = fitted(x, np.eye(10)[labels] - 0.1, mr.penalties.L2(strength)).reshape(10, 8, 8)
        power = (abs(np.fft.fft2(w)) ** 2).mean(axis=0)
        return (power[fast].mean() / power[slow].mean()) ** 0.5

    what = "digits: gain of fast disturbances over slow ones, λ = .1 over .001"
    yield holds(what, gain(0.1) / gain(0.001), at_most=0.6)
