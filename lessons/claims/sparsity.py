"""L1: subgradients, proximal operators, thresholds, and what becomes exactly 0.

The data loss is the mean square, without a half: λ is twice that of a loss with a half in front.
J = L₀ + λΩ, g_j = ∂_jL₀, γ_j is any number in [−1, 1]; η is the learning rate, and k = ηλ what a
step thresholds at; L is the largest curvature, n the number of samples. L1 is λ‖θ‖₁, L2 ½λ‖θ‖²,
L0 λ·#{θ ≠ 0}.
"""

from collections.abc import Iterator

import numpy as np

import minireg as mr
from minireg.course.claims import Figure, breaks, claim, corrects, holds
from minireg.penalties import L0, L1, L2, L1Ball, L2Ball, Penalty, soft_threshold

from ._data import descend, diabetes, fitted, here, host, parameter

LAM = 0.2  # on diabetes it leaves 4 of 10 features


def slope(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The gradient of the mean square, written out."""
    return 2 * x.T @ (x @ w - y) / len(y)


def excess(penalty: Penalty, shrink: np.ndarray, v: np.ndarray, step: float = 1.0) -> float:
    """How far ½(u − v)² + step·λΩ(u) at u = ``shrink`` lies above its minimum on a grid, at most."""
    grid = np.linspace(-6, 6, 6001)
    at, there = (np.array([step * penalty.value(u) for u in us[:, None]]) for us in (grid, shrink))
    lowest = (0.5 * (grid - v[:, None]) ** 2 + at).min(axis=1)
    return (0.5 * (shrink - v) ** 2 + there - lowest).max()


def prox(penalty: Penalty, v: np.ndarray, step: float = 1.0) -> np.ndarray:
    """The penalty's proximal operator, computed where models live."""
    return host(penalty.prox(here(v), step))


V = np.linspace(-5, 5, 101) + 1e-3  # inputs of the proximal operators, none at a threshold


def hard(v: np.ndarray, threshold: float) -> np.ndarray:
    """v where |v| exceeds the threshold, else 0, as 000 defines it."""
    return v * (abs(v) > threshold)


@claim(
    "C43", "TRUE", "000 §10.3.2 定义 次梯度; 001 eq. 9.3.10 and text; 002 §L1惩罚",
    "Subdifferential of |θ| (次梯度)",
    "|θ| is convex with a kink at 0; ∂|θ| is {sign θ} for θ ≠ 0 and [−1, 1] at 0, where s ∈ ∂f(θ) "
    "means f(y) ≥ f(θ) + s(y − θ) for all y.",
)  # fmt: skip
def subdifferential() -> Iterator[Figure]:
    """At 0 the definition asks |y| ≥ s·y for all y: y = 1 gives s ≤ 1, y = −1 gives s ≥ −1, and
    |y| ≥ |s||y| ≥ s·y shows that |s| ≤ 1 suffices. For θ ≠ 0 there is a derivative, sign θ,
    and a convex function has no other subgradient where it is differentiable. Autograd
    takes one element of the set, sign(0) = 0, the smallest.

    >>> distance = lambda s: float(P.L1(1.0).subdiff_distance(np.zeros(1), np.array([-s])))
    >>> distance(-1.0), distance(0.5), distance(1.5)  # of s from [−1, 1]
    (0.0, 0.0, 0.5)
    """
    absolute = L1(1.0)
    y, slopes = np.linspace(-9, 9, 181), np.linspace(-1.5, 1.5, 301)
    f = np.array([absolute.value(a) for a in y[:, None]])
    supports = (f >= np.outer(slopes, y) - 1e-12).all(axis=1)
    ends = abs(slopes[supports][[0, -1]] - [-1, 1])
    yield holds("ends of the slopes that support |θ| at 0, off ∓1 by", ends.max(), at_most=1e-12)
    distance = np.array([absolute.subdiff_distance(np.zeros(1), -s) for s in slopes[:, None]])
    off = abs(distance - np.maximum(abs(slopes) - 1, 0)).max()
    yield holds("|certificate at 0 − distance of s to [−1, 1]|", off, at_most=1e-12)
    w = parameter([-2.0, 0.0, 3.0])
    off = [mr.grad(value, [w])[0].numpy() - [-1, 0, 1] for value in (absolute(w), abs(w).sum())]
    yield holds("|gradient − sign θ|, 0 at 0: L1, autograd", abs(np.array(off)).max(), at_most=0)


@claim(
    "C44", "TRUE-WITH-CONDITIONS", "000 定理 10.11; 001 定理 9.3.2, eq. 9.3.11",
    "Gradient of a loss with L1 (L1正则化的梯度表达式)",
    "The derivative of L₀ + λ‖θ‖₁ is ∂_jL₀ + λ sign θ_j where θ_j ≠ 0; at 0 it is the set ∂_jL₀ + λ[−1, 1].",
    corrected="L₀ must be differentiable; for the set to hold subgradients as defined, also convex.",
)  # fmt: skip
def l1_gradient() -> Iterator[Figure]:
    """Off 0 this is the sum rule of derivatives. At 0, L₀(y) ≥ L₀(0) + L₀'(0)y if L₀ is convex, and
    |y| ≥ γy: adding them, L₀'(0) + λγ supports the sum. Without convexity the first
    inequality fails: −½θ² + |θ| → −∞ has no supporting line at 0, whatever γ.

    >>> w = mr.tensor([2.0, 0.0, -3.0], requires_grad=True)
    >>> mr.grad(P.L1(0.5)(w), w)[0].numpy()
    array([ 0.5,  0. , -0.5], dtype=float32)
    """
    x, y = diabetes()
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    objective = mr.Objective(mr.nn.MSELoss(), {"l1": L1(LAM)})
    objective(model, mr.tensor(here(x)), mr.tensor(here(y[:, None]))).backward()
    w, found = model.weight.numpy()[0], model.weight.grad.numpy()[0]
    formula = slope(x, y, w) + LAM * np.sign(w)
    yield holds("|autograd − (∇L₀ + λ sign θ)|", abs(found - formula).max(), at_most=1e-12)
    points = w + 1e-5 * np.array([np.eye(10), -np.eye(10)])
    up, down = ((points @ x.T - y) ** 2).mean(axis=-1) + LAM * abs(points).sum(axis=-1)
    numeric = (up - down) / 2e-5
    yield holds("|finite difference − autograd|", abs(numeric - found).max(), at_most=1e-8)
    w = fitted(x, y, L1(LAM))
    total = (slope(x, y, w) + LAM * np.sign(w))[w != 0]
    yield holds("|∂_jL₀ + λ sign θ_j| of survivors at the optimum", abs(total).max(), at_most=1e-11)
    line, slopes = np.linspace(-4, 4, 81), np.linspace(-1, 1, 81)
    f = [-0.5 * (t @ t) + L1(1.0).value(t) for t in line[:, None]]
    support = (np.array(f) >= np.outer(slopes, line)).all(axis=1)
    yield breaks("slopes in [−1, 1] that support −½θ² + |θ| at 0", support.sum(), at_most=0)


@claim(
    "C45", "TRUE-WITH-CONDITIONS", "000 定理 10.11; 001 定理 9.3.2",
    "The choice of γ at θ_j = 0 (任意次梯度选择)",
    "At θ_j = 0 the penalty contributes λγ_j with an arbitrary γ_j in [−1, 1].",
    corrected="For a convex L₀ each choice is a subgradient. It need not be a direction of descent: at an "
    "optimum only γ_j = −∂_jL₀/λ makes the subgradient 0, and a step along another one may climb.",
)  # fmt: skip
def arbitrary_choice() -> Iterator[Figure]:
    """Add λ|u_j| ≥ λγ_ju_j for all j to L₀(u) ≥ L₀(θ) + ∇L₀ᵀ(u − θ): the plane with the slope ∇L₀ + λγ
    supports J at θ, whatever γ_j in [−1, 1] where θ_j = 0. Moving a zero by δ changes J by
    g_jδ + λ|δ| + O(δ²) > 0 for |g_j| < λ, so no step descends there; the one along g_j + λγ_j with
    γ_j = ±1 climbs by about η(λ² − g_j²). The element of least norm has γ_j = −g_j/λ.

    >>> p, w, u = P.L1(1.0), np.array([0.0]), np.array([-2.0])
    >>> [float(p.value(u) - p.value(w) - s * u[0]) for s in (-1.0, 0.3, 1.0)]  # ≥ 0 for each γ = s in [−1, 1]
    [0.0, 2.6, 4.0]
    """
    x, y = diabetes()
    penalty = L1(LAM)
    w = fitted(x, y, penalty)
    g = slope(x, y, w)

    def rise(j: int, gamma: float) -> float:
        moved = w - 0.01 * (g[j] + LAM * gamma) * np.eye(10)[j]
        return J(moved) - J(w)

    rng = np.random.default_rng(45)
    free = rng.uniform(-1, 1, (200, 10)) * (w == 0)
    free[:20] = np.sign(free[:20])
    s = g + LAM * (np.sign(w) + free)  # 200 choices
    points = w + rng.normal(size=(500, 10)) * np.logspace(-3, 1, 500)[:, None]
    J = lambda u: ((x @ u - y) ** 2).mean() + penalty.value(u)
    above = np.array([J(u) for u in points])[:, None] - J(w) - (points - w) @ s.T
    yield holds("J(u) − J(θ) − ⟨s, u − θ⟩, least of 200 γ × 500 u", above.min(), at_least=-1e-12)
    least = min(rise(j, gamma) for j in np.flatnonzero(w == 0) for gamma in (-1.0, 1.0))
    yield corrects("rise of J by a step with γ_j = ±1, η = 0.01, at least", least, at_least=1e-5)
    shortest, gamma = penalty.subdiff_distance(w, g), abs(g[w == 0]) / LAM
    yield corrects("least norm of a subgradient at the optimum", shortest, at_most=1e-11)
    yield corrects("its |γ_j| = |g_j|/λ on the zeros, at most", gamma.max(), at_most=1)


@claim(
    "C46", "TRUE-WITH-CONDITIONS", "000 §稀疏性诱导机制, 表 10.3.1; 001 §9.3.3, 表 9.3.1; 002 §L1惩罚",
    "L1 gives exact zeros, L2 does not (稀疏性)",
    "L1 makes many parameters exactly 0; L2 only makes them small.",
    corrected="So it is for minimisers. Subgradient steps do not reach the zeros but hover around them at "
    "O(ηλ): it takes a proximal step.",
)  # fmt: skip
def exact_zeros() -> Iterator[Figure]:
    """At the minimiser of L1, θ_j = 0 wherever |g_j| < λ: an interval of g_j, of positive measure.
    Ridge has g_j = −λθ_j, so θ_j = 0 only where g_j = 0, of measure 0. A subgradient step from
    θ_j moves by η|g_j + λ sign θ_j| < 2ηλ near there, hence jumps over 0 and stays within 2ηλ.

    >>> v = np.array([3.0, 0.4, -0.2])
    >>> P.L1(0.5).prox(v, 1.0), P.L2(0.5).prox(v, 1.0).round(2)
    (array([2.5, 0. , 0. ]), array([ 2.  ,  0.27, -0.13]))
    """
    x, y = diabetes()
    best = fitted(x, y, L1(LAM))
    yield holds("zeros of 10 at the L1 minimiser", (best == 0).sum(), at_least=6, at_most=6)
    ridge = [fitted(x, y, L2(lam)) for lam in (0.01, 1.0, 100.0)]
    yield holds("smallest |θ_j| of ridge, λ up to 100", abs(np.array(ridge)).min(), at_least=1e-4)
    zeros, hover = 0, []
    for lr in (0.1, 0.01, 0.001):
        model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
        model.weight.assign(best[None])
        objective = mr.Objective(mr.nn.MSELoss(), {"l1": L1(LAM)})
        batch = mr.tensor(here(x)), mr.tensor(here(y[:, None]))
        optimizer = mr.optim.SGD(model.parameters(), lr=lr)
        descend(lambda m=model, o=objective, b=batch: o(m, *b).total, optimizer, 300)
        w = model.weight.numpy()[0]
        zeros += (w == 0).sum()
        hover.append(abs(w[best == 0]).max() / (2 * lr * LAM))
    yield breaks("zeros left by 300 subgradient steps from there", zeros, at_most=0)
    yield holds("where the minimiser is 0, |θ_j|/(2ηλ), η = 0.1 … 0.001", max(hover), at_most=1)


@claim(
    "C47", "TRUE-WITH-CONDITIONS", "000 定理 10.12; 001 定理 9.3.3",
    "|L₀'(0)| < λ implies θ* = 0 (L1诱导稀疏性)",
    "If L₀ is differentiable near 0 and |L₀'(0)| < λ, the minimiser of L₀ + λ|θ| is 0.",
    corrected="L₀ must be convex, as the proof assumes; then |L₀'(0)| ≤ λ is also necessary. "
    "Otherwise 0 is a local minimum only.",
)  # fmt: skip
def sparsity_theorem() -> Iterator[Figure]:
    """The one-sided derivatives at 0 are a + λ > 0 and a − λ < 0, so 0 is a local minimum; local is
    global if L₀ is convex. Conversely 0 ∈ a + λ[−1, 1] is necessary. Without convexity
    another basin may lie deeper: (θ² − 1)² + 0.2θ has a = 0.2, and its well at −1 costs only λ.

    >>> argmin = lambda a: P.L1(1.0).prox(np.array([-a]), 1.0)  # of ½θ² + aθ + |θ|
    >>> argmin(0.9), argmin(1.5)
    (array([0.]), array([-0.5]))
    """
    rng = np.random.default_rng(47)
    slopes, h, c = rng.uniform(-1, 1, 2000), rng.uniform(0.5, 2, 2000), rng.uniform(0, 1, 2000)
    slopes[:2] = 0.5, -0.5  # the border belongs to the zeros
    a, h, c = map(here, (slopes, h, c))
    w = parameter(rng.normal(size=2000))
    optimizer = mr.optim.ProximalGradient([w], lr=1 / 3, penalty=L1(0.5))
    descend(lambda: (a * w + 0.5 * h * w * w + c * mr.log(mr.cosh(w))).sum(), optimizer, 300)
    wrong = (w.numpy() == 0) != (abs(slopes) <= 0.5)
    yield holds("2000 convex losses: (θ* = 0) ≠ (|a| ≤ λ)", wrong.sum(), at_most=0)

    def double_well(t: mr.Tensor) -> mr.Tensor:
        return (t * t - 1) ** 2 + 0.2 * t

    w = parameter([0.0, -1.0])
    optimizer = mr.optim.ProximalGradient([w], lr=0.05, penalty=L1(0.5))
    descend(lambda: double_well(w).sum(), optimizer, 300)
    yield holds("|θ| after starting at 0, a local minimum", abs(w.numpy()[0]), at_most=0)
    local, deeper = double_well(w).numpy() + 0.5 * abs(w.numpy())
    what = f"J(0) − J({w.numpy()[1]:.3f}) with a = 0.2 < λ = 0.5"
    yield breaks(what, local - deeper, at_least=0.5)


@claim(
    "C48", "FALSE AS STATED", "000 推论 10.1, §10.3.7; 001 定理 9.3.3 (second sentence)",
    "L1 as a hard threshold on gradients (硬阈值滤波器)",
    "L1 filters each parameter with a hard threshold: if |∂L₀/∂θ_j| < λ it becomes 0, and only a "
    "gradient above λ keeps it.",
    corrected="The threshold is soft, and the gradient counts at θ_j = 0 with the others at their "
    "optimum. There survivors have |g_j| = λ, never more, and zeros |g_j| ≤ λ.",
)  # fmt: skip
def hard_filter() -> Iterator[Figure]:
    """0 ∈ g_j + λ∂|θ_j| says g_j = −λ sign θ_j for θ_j ≠ 0, so |g_j| = λ, and |g_j| ≤ λ for θ_j = 0.
    Along the way |g_j| tells nothing: ½(θ − 3)² with λ = 1 has |g| = ½ at θ = 2.5, yet θ* = 2.

    >>> t = P.L1(1.0).prox(np.array([3.0]), 1.0)  # argmin ½(θ − 3)² + |θ|
    >>> float(t[0]), float(abs(t - 3)[0])  # θ*, and |g| there: λ, not more
    (2.0, 1.0)
    """
    x, y = diabetes()
    w = fitted(x, y, L1(LAM))
    g, start = slope(x, y, w), slope(x, y, np.zeros(10))
    live = w != 0
    over = (abs(g[live]) > LAM + 1e-9).sum()
    yield breaks(f"survivors with |g_j| > λ, of {live.sum()}", over, at_most=0)
    yield breaks("zeros although |g_j| > λ at θ = 0", (abs(start[~live]) > LAM).sum(), at_least=1)
    t = parameter([2.5])
    optimizer = mr.optim.ProximalGradient([t], lr=0.5, penalty=L1(1.0))
    descend(lambda: (0.5 * (t - 3) ** 2).sum(), optimizer, 60)
    yield breaks("θ* from 2.5, where |g| = 0.5 < λ = 1", t.item(), at_least=1.999999)
    yield corrects("||g_j| − λ| of survivors", abs(abs(g[live]) - LAM).max(), at_most=1e-11)
    yield corrects("|g_j|/λ of zeros, at most", abs(g[~live]).max() / LAM, at_most=1)


@claim(
    "C49", "FALSE AS STATED", "000 表 10.3.1 last row",
    "Which penalty has which threshold (梯度裁剪效应)",
    "The clipping effect of L1 is a hard threshold, that of L2 a soft one.",
    corrected="The prox of λ|θ| is the soft threshold, of ½λθ² the linear shrink v/(1 + λ); the hard "
    "threshold belongs to λ·[θ ≠ 0]. None of them clips gradients.",
)  # fmt: skip
def which_threshold() -> Iterator[Figure]:
    """argmin_u ½(u − v)² + kΩ(u), where a step of length η with strength λ has k = ηλ. L2: u − v + ku = 0.
    L1: u − v + k sign u = 0, or 0 if |v| ≤ k. [u ≠ 0]: u = v costs k, u = 0 costs ½v²; so v stays if
    |v| > √(2k). Gradients: λ sign θ is bounded without any clipping, and λθ is not bounded.

    >>> [float(p(1.0).prox(np.array([3.0]), 0.5)[0]) for p in (P.L1, P.L2, P.L0)]
    [2.5, 2.0, 3.0]
    """
    lam, lr = 1.4, 0.5
    k = lr * lam
    soft, shrunk = prox(L1(lam), V, lr), prox(L2(lam), V, lr)
    over = lambda kind, u: excess(kind(lam), u, V, lr)
    yield breaks("J(hard(v, k)) − min J for L1, k = ηλ", over(L1, hard(V, k)), at_least=0.1)
    yield breaks("J(soft(v, k)) − min J for L2", over(L2, soft), at_least=0.1)
    yield corrects("J(soft(v, k)) − min J for L1", over(L1, soft), at_most=1e-12)
    yield corrects("J(v/(1 + k)) − min J for L2", over(L2, V / (1 + k)), at_most=1e-12)
    formulas = [soft - soft_threshold(V, k), shrunk - V / (1 + k),
                prox(L0(lam), V, lr) - hard(V, (2 * k) ** 0.5)]  # fmt: skip
    yield corrects("|prox − formula|, L1, L2, L0", abs(np.array(formulas)).max(), at_most=1e-14)
    growth = L2(lam).gradient(np.array([1e6]))[0] / L1(lam).gradient(np.array([1e6]))[0]
    yield breaks("L2's gradient over L1's at θ = 10⁶", growth, at_least=1e5)


@claim(
    "C50", "TRUE-WITH-CONDITIONS", "000 表 10.3.1; 001 表 9.3.1",
    "The table that compares L1 and L2 (L1与L2对比表)",
    "λΣ|θ_i| against ½λΣθ_i²: λ sign θ_i and λθ_i as gradients, many zeros against small values, diamonds "
    "and circles as contours.",
    corrected="Optima on the diamond sit in corners with positive probability, not always; those on the "
    "circle lie on an axis with probability 0. (One text prints the penalties as 'λΣ' and 'θ_i': a bar "
    "ends a column of its table.)",
)  # fmt: skip
def comparison() -> Iterator[Figure]:
    """A corner of {‖θ‖₁ ≤ 1} is optimal when −∇L₀ lies in its normal cone, a wedge of 90° for each of
    4 corners: positive probability. On the circle the normal is one ray, and to touch it on an
    axis has probability 0.

    >>> w = np.array([3.0, -2.0])
    >>> P.L1(0.5).gradient(w), P.L2(0.5).gradient(w)
    (array([ 0.5, -0.5]), array([ 1.5, -1. ]))
    """
    lam, angles = 0.1, np.linspace(0, 2 * np.pi, 361) + 1e-3
    circle = np.array([np.cos(angles), np.sin(angles)]).T
    diamond = circle / abs(circle).sum(axis=1, keepdims=True)
    slopes = [abs(L1(lam).gradient(circle) - lam * np.sign(circle)).max(),
              abs(L2(lam).gradient(circle) - lam * circle).max()]  # fmt: skip
    yield holds("|gradient − λ sign θ|, |gradient − λθ|", max(slopes), at_most=1e-15)
    flat = [np.ptp([float(L1(lam).value(p)) for p in diamond]),
            np.ptp([float(L2(lam).value(p)) for p in circle])]  # fmt: skip
    yield holds("spread of L1 on a diamond, of L2 on a circle", max(flat), at_most=1e-15)
    rng, n = np.random.default_rng(50), 200
    q = np.linalg.qr(rng.normal(size=(n, 2, 2)))[0]
    a = (q * rng.uniform(0.5, 2, (n, 1, 2))) @ q.swapaxes(1, 2)
    c = rng.normal(size=(n, 2))
    c *= rng.uniform(1.5, 4, (n, 1)) / np.linalg.norm(c, axis=1, keepdims=True)  # outside both
    zeros, off = [], []
    for order, ball in enumerate((L1Ball(1.0), L2Ball(1.0)), start=1):
        w = np.zeros((n, 2))
        for _ in range(40):
            v = w - 0.5 * np.einsum("nij,nj->ni", a, w - c)
            w = np.array([ball.prox(row, 0.5) for row in v])
        zeros.append((w == 0).any(axis=1).mean())
        off.append(abs(np.linalg.norm(w, order, axis=1) - 1).max())
    what = "share of optima with an exact 0: on the ℓ1 ball"
    yield corrects(what, zeros[0], at_least=0.3, at_most=0.99)
    yield corrects("on the ℓ2 ball", zeros[1], at_most=0)
    yield corrects("|‖θ‖ − 1|: all lie on the boundary", max(off), at_most=1e-12)


@claim(
    "C51", "FALSE AS STATED", "000 §软阈值与硬阈值, eq. before 引理 10.20",
    "The recipe for soft thresholding (软阈值)",
    "Shift, y = θ − sign(θ)λ, then take soft(y, λ) = sign(y) max(|y| − λ, 0).",
    corrected="soft acts on θ itself; after the shift it thresholds a second time, at 2λ in all.",
)  # fmt: skip
def shifted_twice() -> Iterator[Figure]:
    """For |θ| ≥ λ, |y| = |θ| − λ, and soft leaves max(|θ| − 2λ, 0); for 0 < |θ| < λ, |y| = λ − |θ| < λ
    gives 0. So the recipe is soft(θ, 2λ), which minimises ½(u − θ)² + 2λ|u|.

    >>> soft = P.soft_threshold
    >>> [float(soft(np.array([t]), 1.0)[0]) for t in (3.0, 3.0 - 1.0)]  # right, and after the shift
    [2.0, 1.0]
    """
    lam = 1.0
    recipe = prox(L1(lam), V - np.sign(V) * lam)
    three = prox(L1(lam), np.array([3.0 - lam, 3.0]))
    yield breaks("recipe − minimiser at θ = 3, λ = 1", three[0] - three[1], at_most=-0.9)
    yield breaks("J(recipe) − min J, at most", excess(L1(lam), recipe, V), at_least=0.4)
    yield corrects("J(soft(θ, λ)) − min J", excess(L1(lam), prox(L1(lam), V), V), at_most=1e-12)
    twice = soft_threshold(V, 2 * lam)
    yield corrects("|recipe − soft(θ, 2λ)|", abs(recipe - twice).max(), at_most=1e-14)


@claim(
    "C52", "TRUE-WITH-CONDITIONS", "000 引理 10.20; 001 eq. 9.3.12",
    "Minimiser of ½(y − θ)² + λ|θ| (L1闭式解)",
    "'For linear regression' it is y − λ, 0 or y + λ for y > λ, |y| ≤ λ, y < −λ.",
    corrected="It is the scalar problem, or coordinate by coordinate an orthonormal design. A general "
    "design has no such form; there all coefficients vanish iff λ ≥ ‖∇L₀(0)‖_∞.",
)  # fmt: skip
def closed_form() -> Iterator[Figure]:
    """θ − y + λs = 0 with s ∈ ∂|θ|: solve for θ > 0, θ < 0 and θ = 0. With XᵀX/n = I the mean
    square is Σ(θ_j − z_j)² + const, z = Xᵀy/n, so θ_j = soft(z_j, λ/2); otherwise the
    coordinates are coupled. 0 is optimal iff −∇L₀(0) ∈ λ[−1, 1]ᵈ.

    >>> P.L1(1.0).prox(np.array([3.0, 0.5, -3.0]), 1.0)
    array([ 2.,  0., -2.])
    """
    lam = 0.8
    pieces = np.select([lam < V, -lam > V], [V - lam, V + lam], 0.0)
    yield holds("J(formula) − min J", excess(L1(lam), pieces, V), at_most=1e-12)
    yield holds("|prox − formula|", abs(prox(L1(lam), V) - pieces).max(), at_most=1e-14)
    x, y = diabetes()
    basis = np.linalg.qr(x)[0] * len(x) ** 0.5
    gaps = [abs(fitted(d, y, L1(LAM)) - soft_threshold(d.T @ y / len(y), LAM / 2)).max()
            for d in (basis, x)]  # fmt: skip
    yield holds("|lasso − soft(Xᵀy/n)|, orthonormal design", gaps[0], at_most=1e-11)
    yield breaks("the same on diabetes as it is", gaps[1], at_least=0.05)
    top = L1(1.0).max_strength(slope(x, y, np.zeros(10)))
    counts = [(fitted(x, y, L1(f * top)) != 0).sum() for f in (1.001, 0.999)]
    yield holds("survivors just above λ_max", counts[0], at_most=0)
    yield holds("and just below", counts[1], at_least=1)


@claim(
    "C53", "TRUE", "000 after 引理 10.20",
    "Hard thresholding (硬阈值)",
    "hard(y, λ) is y if |y| > λ, else 0; its problem is not convex and hard to solve by gradients.",
    corrected="It is the prox of ½λ²·[θ ≠ 0]: the prox of λ₀‖·‖₀ has its threshold at √(2λ₀).",
)  # fmt: skip
def hard_threshold() -> Iterator[Figure]:
    """Of ½(u − y)² + λ₀[u ≠ 0], u = y costs λ₀ and u = 0 costs ½y²: y stays if |y| > √(2λ₀), a jump of
    that size. The penalty is flat wherever it is differentiable, so a gradient sees nothing
    of it; a fixed point of the thresholded steps only needs every zero to stay below its own threshold.

    >>> P.L0(0.5 * 1.0**2).prox(np.array([3.0, 0.9, 1.1]), 1.0)  # the threshold is √(2λ₀) = 1
    array([3. , 0. , 1.1])
    """
    x, y = diabetes()
    inputs, targets, supports = here(x.T), here(y), []
    for each in (L0(0.02), L1(0.2)):
        w = parameter(np.random.default_rng(53).normal(size=(60, 10)) / 2)  # a start each row
        optimizer = mr.optim.ProximalGradient([w], lr=0.12, penalty=each)
        descend(lambda w=w: ((w @ inputs - targets) ** 2).mean(axis=1).sum(), optimizer, 1000)
        supports.append(len(np.unique(w.numpy() != 0, axis=0)))
    yield holds("supports that 60 starts end at, hard", supports[0], at_least=5)
    yield holds("and soft", supports[1], at_most=1)
    lam = 0.9
    penalty = L0(0.5 * lam**2)
    thresholded = prox(penalty, V)
    yield holds("|prox of ½λ²‖·‖₀ − hard(·, λ)|", abs(thresholded - hard(V, lam)).max(), at_most=0)
    yield holds("its J − min J", excess(penalty, thresholded, V), at_most=1e-12)
    edge = lam + np.array([-1e-9, 1e-9])
    jumps = [np.ptp(prox(p, edge)) for p in (penalty, L1(lam))]
    yield holds("jump at the threshold λ = 0.9, hard", jumps[0], at_least=lam - 1e-8)
    yield holds("and soft", jumps[1], at_most=1e-8)
    (g,) = mr.grad(penalty(w := parameter(V)), [w])
    yield holds("|gradient of ‖·‖₀|", abs(g.numpy()).max(), at_most=0)


@claim(
    "C54", "FALSE AS STATED", "000 after 引理 10.20",
    "Which threshold is sparser (更稀疏)",
    "Hard thresholding gives sparser results than soft thresholding.",
    corrected="At one threshold both keep the same entries; soft moves them by λ, hard by nothing. With "
    "λ as the penalty's weight the thresholds are √(2λ) and λ: hard is sparser only for λ < 2.",
)  # fmt: skip
def sparser() -> Iterator[Figure]:
    """Both operators are 0 exactly for |y| ≤ λ. As proxes of λ‖·‖₀ and λ‖·‖₁ they are 0 for |y| ≤ √(2λ)
    and |y| ≤ λ, and √(2λ) > λ iff λ < 2.

    >>> v = np.array([0.5, 1.5, 3.0])
    >>> P.L1(1.0).prox(v, 1.0), P.L0(0.5).prox(v, 1.0)  # at one threshold
    (array([0. , 0.5, 2. ]), array([0. , 1.5, 3. ]))
    """
    lam, v = 0.7, 3 * np.random.default_rng(54).normal(size=100_000)
    soft, kept = prox(L1(lam), v), prox(L0(0.5 * lam**2), v)
    differ = (soft == 0) != (kept == 0)
    yield breaks("entries of 10⁵ that only one of them sets to 0", differ.sum(), at_most=0)
    live = kept != 0
    shift = abs(v - soft)[live]
    yield corrects("|bias of soft − λ| on survivors", abs(shift - lam).max(), at_most=1e-12)
    yield corrects("|bias of hard|", abs(v - kept)[live].max(), at_most=0)
    zeros = [[(prox(p(c), v) == 0).sum() for c in (1, 2, 4)] for p in (L0, L1)]
    more = np.subtract(*zeros)
    yield corrects("zeros of hard − of soft at equal weight: λ = 1", more[0], at_least=1000)
    yield corrects("λ = 2", more[1], at_most=0, at_least=0)
    yield corrects("λ = 4", more[2], at_most=-1000)


@claim(
    "C55", "IMPRECISE", "000 after 引理 10.20",
    "Soft as convex relaxation of hard (凸松弛)",
    "The soft threshold is the convex relaxation of the hard threshold.",
    corrected="Penalties relax, operators do not: |θ| is the convex envelope of [θ ≠ 0] on [−1, 1]. The "
    "envelope of hard(·, λ)'s penalty on [−B, B] thresholds at λ²/(2B), not at λ.",
)  # fmt: skip
def relaxation() -> Iterator[Figure]:
    """f = c[θ ≠ 0] on |θ| ≤ B has f*(s) = max(0, B|s| − c) and f** = (c/B)|θ|. With c = 1, B = 1 that is
    |θ|. hard(·, λ) has c = ½λ², so its relaxation is soft with threshold λ²/(2B); that is λ
    only for B = ½λ, a box where hard leaves nothing.

    >>> x = np.linspace(-1, 1, 5)[:, None]
    >>> [float(P.L1(1.0).value(a) - P.L0(1.0).value(a)) for a in x]  # ≤ 0
    [0.0, -0.5, 0.0, -0.5, 0.0]
    """

    def envelope(penalty: Penalty, box: float) -> tuple[np.ndarray, np.ndarray]:
        x, s = np.linspace(-box, box, 401), np.linspace(-2, 2, 1201)
        x[200] = 0
        f = np.array([penalty.value(u) for u in x[:, None]])
        conjugate = (np.outer(s, x) - f).max(axis=1)
        return x, (np.outer(x, s) - conjugate).max(axis=1)

    x, found = envelope(L0(1.0), 1.0)
    off = abs(found - [L1(1.0).value(u) for u in x[:, None]]).max()
    lam, box = 1.0, 3.0
    wide, relaxed = envelope(L0(0.5 * lam**2), box)
    threshold = relaxed[-1] / wide[-1]
    yield breaks("λ = 1: threshold of the relaxation on |θ| ≤ 3", threshold, at_most=0.2)
    two = np.array([2.0])
    above = L1(1.0).value(two) - L0(1.0).value(two)
    yield breaks("|2| − [2 ≠ 0]: off the box no bound from below", above, at_least=1)
    yield corrects("|biconjugate of [θ ≠ 0] − |θ|| on [−1, 1]", off, at_most=1e-12)
    yield corrects("|that threshold − λ²/(2B)|", abs(threshold - lam**2 / (2 * box)), at_most=1e-12)


@claim(
    "C56", "TRUE-WITH-CONDITIONS", "002 §L1惩罚",
    "Proximal gradient descent (近端梯度下降)",
    "After the gradient step the soft threshold is applied at some k that depends on strength and "
    "learning rate; what is below k becomes 0.",
    corrected="k = ηλ, and η < 2/L for convergence; k = c·ηλ solves the problem with cλ.",
)  # fmt: skip
def proximal_step() -> Iterator[Figure]:
    """θ = soft(θ − ηg, k) says (θ − ηg) − θ ∈ k∂|θ|, that is −g ∈ (k/η)∂‖θ‖₁: the optimum for strength k/η.
    θ ↦ θ − ηg is a contraction for η < 2/L and soft does not expand; beyond, the steps grow.

    >>> w = mr.tensor([1.0, 0.1], requires_grad=True); w.grad = mr.tensor([0.0, 0.0])
    >>> mr.optim.ProximalGradient([w], lr=0.5, penalty=P.L1(1.0)).step(); w.numpy()  # k = ηλ
    array([0.5, 0. ], dtype=float32)
    """
    rng = np.random.default_rng(56)
    x = rng.normal(size=(60, 12))
    y = x[:, :3].sum(axis=1) + rng.normal(size=60)
    top = 2 * np.linalg.eigvalsh(x.T @ x / 60)[-1]
    inputs, targets = here(x), here(y)

    def run(lr: float, threshold: float, steps: int = 600) -> np.ndarray:
        w = parameter(np.zeros(12))
        optimizer = mr.optim.ProximalGradient([w], lr, L1(threshold / lr))
        descend(lambda: ((inputs @ w - targets) ** 2).mean(), optimizer, steps)
        return w.numpy()

    def off(w: np.ndarray, lam: float) -> float:
        """Of −g from λ∂‖w‖₁, written out."""
        g = slope(x, y, w)
        return np.where(w == 0, np.maximum(abs(g) - lam, 0), abs(g + lam * np.sign(w))).max()

    lam, lr = 0.5, 1 / top
    limits = {c: run(lr, c * lr * lam) for c in (0.5, 1.0, 2.0)}
    yield holds("distance from optimal for λ with k = ηλ", off(limits[1.0], lam), at_most=1e-12)
    wrong = min(off(limits[c], lam) for c in (0.5, 2.0))
    yield breaks("with k = ½ηλ and 2ηλ, at least", wrong, at_least=0.1)
    solved = max(off(limits[c], c * lam) for c in (0.5, 2.0))
    yield holds("of these from optimal for ½λ and 2λ", solved, at_most=1e-12)
    yield holds("η = 1.9/L", off(run(1.9 / top, 1.9 / top * lam, 2000), lam), at_most=1e-10)
    tiny = 0.01  # all features live: on fewer, less than L counts
    far = off(run(2.1 / top, 2.1 / top * tiny, 400), tiny)
    yield breaks("η = 2.1/L, λ = 0.01, after 400 steps", far, at_least=1e6)


@claim(
    "C57", "TRUE-WITH-CONDITIONS", "002 §L1惩罚; 000 推论 10.1",
    "L1 as feature selection (特征选择)",
    "A feature that is not worth its cost gets weight 0: selection is automatic.",
    corrected="Zeros are exact; that they are the right ones needs false features not to be explained too "
    "well by the true ones (incoherence), enough signal and a λ that fits.",
)  # fmt: skip
def feature_selection() -> Iterator[Figure]:
    """z stays out iff |zᵀr|·2/n ≤ λ, r the residual. With the true features S alone, shrinkage leaves
    r = ½λX_S(X_SᵀX_S/n)⁻¹sign θ_S + noise: z stays out if |zᵀX_S(X_SᵀX_S)⁻¹sign θ_S| < 1 with a margin for
    the noise (irrepresentable condition, Zhao & Yu 2006). A mix z = 0.4 Σ_S x + noise has 4·0.4 > 1.

    >>> x = np.random.default_rng(0).normal(size=(100, 5))
    >>> model = mr.nn.Linear(5, 1, bias=False, dtype=np.float64)
    >>> _ = mr.solve(model, mr.nn.MSELoss(), P.L1(0.5), x, x[:, :2].sum(1, keepdims=True))
    >>> (model.weight.numpy() != 0).ravel()
    array([ True,  True, False, False, False])
    """
    rng, draws, n, d = np.random.default_rng(57), 50, 100, 30
    x = rng.normal(size=(draws, n, d))
    y = x[..., :4].sum(axis=2) + 0.5 * rng.normal(size=(draws, n))

    def selected(x: np.ndarray) -> np.ndarray:
        inputs, targets = here(x), here(y)
        top = 2 * np.linalg.eigvalsh(x.swapaxes(1, 2) @ x / n)[:, -1].max()
        w = parameter(np.zeros((draws, d, 1)))
        optimizer = mr.optim.ProximalGradient([w], 1 / top, L1(0.3), accelerated=True)
        descend(lambda: (((inputs @ w)[..., 0] - targets) ** 2).mean(axis=1).sum(), optimizer, 150)
        return w.numpy()[..., 0] != 0

    found = selected(x)
    true, false = found[:, :4].all(axis=1), found[:, 4:].sum(axis=1)
    yield holds("share of 50 draws that keep all 4 true features", true.mean(), at_least=0.95)
    yield holds("false features kept, mean of 26", false.mean(), at_most=1)
    x[..., 4] = 0.4 * x[..., :4].sum(axis=2) + 0.6 * x[..., 4]
    mixed = selected(x)[:, 4]
    yield breaks("share that keeps a useless mix of the true ones", mixed.mean(), at_least=0.9)
