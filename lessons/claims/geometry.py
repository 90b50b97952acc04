"""What L2 does to the loss surface: contours, minimisers, Hessian, conditioning, speed.

½λ‖θ‖² is added; XᵀX + λI belongs to half the *sum* of squares, XᵀX/n + λI to half their mean
(MSELoss has no half: there λ is doubled). H₀ is the data loss's Hessian, μ₁ ≥ … ≥ μ_d are its
eigenvalues (those of XᵀX in C66 to C69; in C65 with λ), κ is the ratio of the largest to the
smallest; J is the loss with its penalty.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minireg as mr
from minireg.course.claims import Figure, breaks, claim, corrects, holds, reports
from minireg.penalties import L2

from ._data import crossing, descend, diabetes, fitted, here, host, parameter

Closure = Callable[[], mr.Tensor]

# A quadratic in the plane with curvatures 10 and 1 along two slanted axes, its minimum at C.
AXES = np.array([[0.8, -0.6], [0.6, 0.8]])
A = AXES @ np.diag([10.0, 1.0]) @ AXES.T
C = np.array([2.0, -1.0])
STRENGTHS = (0.0, 1.0, 10.0, 100.0)


def quadratic(w: mr.Tensor, lam: float) -> Closure:
    """½(w − C)ᵀA(w − C) + ½λ‖w‖², summed over the rows of w."""
    a, c = here(A), here(C)
    return lambda: 0.5 * ((w - c) @ a * (w - c)).sum() + L2(lam)(w)


def radius(closure: Closure, w: mr.Tensor, direction: np.ndarray, level: float) -> float:
    """How far the contour at J(w) + level is from w in this direction."""
    top, far = closure().item() + level, 1.0

    def above(t: float) -> float:
        return mr.curvature.line(closure, w, direction, [t])[0] - top

    while above(far) < 0:
        far *= 2
    return crossing(above, 0.0, far)


def axis_ratio(lam: float, level: float) -> float:
    """Of the contour of the quadratic with L2 at a level above its minimum."""
    w = parameter(np.linalg.solve(A + lam * np.eye(2), A @ C))
    short, long = (radius(quadratic(w, lam), w, axis, level) for axis in AXES.T)
    return long / short


@claim(
    "C63", "TRUE-WITH-CONDITIONS", "000 引理 10.21, §等高线的变形; 001 eq. 9.3.13, §9.3.4",
    "Rounder contours (等高线圆角化)",
    "L2 rounds elliptic contours: the larger λ the closer to circles, with λ = 0 the ellipses are back.",
    corrected="For a quadratic loss: there they stay ellipses, with the axis ratio "
    "√((μ₁ + λ)/(μ₂ + λ)). Of other losses this is only the limit of the smallest contours.",
)  # fmt: skip
def rounding() -> Iterator[Figure]:
    """J(θ* + tv) − J* = ½t²vᵀ(A + λI)v exactly: a contour is an ellipse with the axes of A and half-axes
    √(2·level/(μ + λ)). For ¼(10θ₁⁴ + θ₂⁴) the Hessian at the minimum is λI, a circle, but far out
    the quartic rules, with axis ratio 10^¼.

    >>> w = mr.tensor(np.array([1.0, 1.0]), requires_grad=True)
    >>> J = lambda lam: 0.5 * (np.array([10.0, 1.0]) * w * w).sum() + P.L2(lam)(w)
    >>> [round(mr.curvature.condition_number(lambda: J(lam), w) ** 0.5, 3) for lam in (0, 1, 100)]
    [3.162, 2.345, 1.044]
    """
    ratios = np.array([axis_ratio(lam, 0.5) for lam in STRENGTHS])
    lam = np.array(STRENGTHS)
    off = abs(ratios - np.sqrt((10 + lam) / (1 + lam))).max()
    yield holds("|axis ratio − √((μ₁+λ)/(μ₂+λ))|, λ = 0 … 100", off, at_most=1e-9)
    yield holds("axis ratio at λ = 0, √10", ratios[0], at_least=3.16, at_most=3.17)
    yield holds("and at λ = 100", ratios[3], at_most=1.05)
    w, scale = parameter(np.zeros(2)), here([10.0, 1.0])

    def quartic() -> mr.Tensor:
        return 0.25 * (scale * w**4).sum() + L2(1.0)(w)

    short, long = (radius(quartic, w, axis, 1e4) for axis in np.eye(2))
    yield breaks("quartic, λ = 1, level 10⁴ (its Hessian says 1)", long / short, at_least=1.5)


@claim(
    "C64", "FALSE AS STATED", "000 §等高线的变形; 001 §9.3.4",
    "Contours near the origin and far away (原点附近/远处)",
    "With L2 the contours are nearly circles near the origin, while far away the ellipses of the data "
    "dominate.",
    corrected="Of a quadratic all contours have one axis ratio. Of losses that grow more slowly, as the "
    "logistic one, it is the reverse: near the origin the data's shape, far away circles.",
)  # fmt: skip
def near_and_far() -> Iterator[Figure]:
    """A quadratic has one Hessian, A + λI, everywhere: contours differ in size only. In general L₀ and
    ½λ‖θ‖² compete by growth: near 0 the penalty is O(‖θ‖²) beside L₀(0) + ∇L₀ᵀθ, and far out it
    wins against a logistic loss, which grows as ‖θ‖.

    >>> w = mr.tensor(np.array([100.0, 100.0]), requires_grad=True)
    >>> loss = lambda: 0.5 * (np.array([10.0, 1.0]) * w**2).sum() + P.L2(1.0)(w)
    >>> mr.curvature.hessian(loss, w)  # the same far from 0 as at 0
    array([[11.,  0.],
           [ 0.,  2.]])
    """
    ratios = [axis_ratio(1.0, level) for level in (1e-4, 1.0, 1e4)]
    yield breaks("axis ratio of the smallest contour, λ = 1", ratios[0], at_least=2.3)
    yield corrects("its spread over levels 10⁻⁴ … 10⁴", np.ptp(ratios), at_most=1e-8)
    near, far = (host(mr.curvature.hessian(quadratic(w, 1.0), w))
                 for w in (parameter(np.zeros(2)), parameter([1e4, 1e4])))  # fmt: skip
    yield corrects("|Hessian at 0 − Hessian at 10⁴|", abs(near - far).max(), at_most=1e-12)
    rng = np.random.default_rng(64)
    x = rng.normal(size=(40, 2)) * [3, 0.5]
    sign = np.sign(x @ [1, 2] + rng.normal(size=40))
    x, sign, angles = here(x), here(sign[:, None]), np.linspace(0, 2 * np.pi, 361)
    circle = np.array([np.cos(angles), np.sin(angles)])
    shares, rounds = [], []
    for size in (0.1, 1000.0):
        points = here(size * circle)
        data = host(mr.softplus(-sign * (x @ points)).mean(axis=0))
        total = data + [float(L2(1.0).value(w)) for w in points.T]
        shares.append((np.ptp(total) / total.min()) / (np.ptp(data) / data.min()))
        rounds.append(total.max() / total.min())
    yield corrects("logistic, ‖θ‖ = 0.1: variation of J over that of L₀", shares[0], at_least=0.95)
    yield corrects("‖θ‖ = 1000: largest over smallest J", rounds[1], at_most=1.05)


@claim(
    "C65", "TRUE-WITH-CONDITIONS", "000 引理 10.21 comment; 001 §9.3.4",
    "Gradients that point better (优化路径平滑)",
    "With rounder contours gradients have a more consistent direction and paths are smoother, where "
    "elongated ones may make them oscillate in a canyon.",
    corrected="Towards the minimiser of J, which moves with λ; away from that of L₀ they are turned. For "
    "quadratics the worst cosine is 2√(μ₁μ₂)/(μ₁ + μ₂), μ the curvatures with λ.",
)  # fmt: skip
def better_directions() -> Iterator[Figure]:
    """With d = θ − θ*, cos = dᵀHd/(‖d‖‖Hd‖). Kantorovich: (dᵀHd)² ≥ 4μ₁μ₂/(μ₁ + μ₂)²·‖d‖²‖Hd‖²,
    with equality on a mix of the two eigenvectors; the bound rises to 1 with λ as μ₁/μ₂ falls.

    >>> def cosine(lam):  # of the gradient of ½(10θ₁² + θ₂²) + ½λ‖θ‖² to θ, where it is worst
    ...     mu = np.array([10.0, 1.0]) + lam
    ...     w = mr.tensor(mu**-0.5, requires_grad=True)
    ...     g = mr.grad(0.5 * (np.array([10.0, 1.0]) * w * w).sum() + P.L2(lam)(w), w)[0].numpy()
    ...     return round(float(g @ w.data / np.linalg.norm(g) / np.linalg.norm(w.data)), 3)
    >>> cosine(0.0), cosine(100.0)
    (0.575, 0.999)
    """
    angles = np.random.default_rng(65).uniform(0, 2 * np.pi, 20_000)
    d = np.c_[np.cos(angles), np.sin(angles)]

    def cosines(lam: float, around: np.ndarray) -> np.ndarray:
        w = parameter(around + d)
        (g,) = mr.grad(quadratic(w, lam)(), [w])
        return (g.numpy() * d).sum(axis=1) / np.linalg.norm(g.numpy(), axis=1)

    lam = np.array(STRENGTHS)
    found = np.array([cosines(s, np.linalg.solve(A + s * np.eye(2), A @ C)) for s in STRENGTHS])
    worst = 2 * np.sqrt((10 + lam) * (1 + lam)) / (11 + 2 * lam)
    yield holds("worst cosine to the minimiser of J, λ = 0", found[0].min(), at_most=0.58)
    yield holds("and at λ = 100", found[3].min(), at_least=0.99)
    off, rises = abs(found.min(axis=1) - worst), np.diff(found.mean(axis=1))
    yield holds("|worst cosine − 2√(μ₁μ₂)/(μ₁ + μ₂)|", off.max(), at_most=1e-6)
    yield holds("least rise of the mean cosine from λ to λ", rises.min(), at_least=0.01)
    change = cosines(100.0, C).mean() - cosines(0.0, C).mean()
    yield breaks("mean cosine to the minimiser of L₀: change by λ = 100", change, at_most=-0.1)


@claim(
    "C66", "TRUE-WITH-CONDITIONS",
    "000 §极小值位置的移动, 定理 10.13; 001 eq. 9.3.14, eq. 9.3.15, 定理 9.3.4",
    "Closed forms of least squares and ridge (正规方程, 岭回归闭式解)",
    "½‖Xθ − y‖² + ½λ‖θ‖² has the minimiser (XᵀX + λI)⁻¹Xᵀy, and with λ = 0 that is least squares.",
    corrected="Ridge for any X and λ > 0; least squares needs full column rank. With half the mean square "
    "λ becomes nλ.",
)  # fmt: skip
def closed_forms() -> Iterator[Figure]:
    """Xᵀ(Xθ − y) + λθ = 0, and XᵀX + λI has eigenvalues ≥ λ > 0. With 1/n in front of the squares,
    XᵀX/n + λI = (XᵀX + nλI)/n. With λ = 0 and two equal columns θ + t(e_i − e_j) fits as well.

    >>> x, y = np.random.default_rng(0).normal(size=(2, 20, 3)); y = y[:, :1]
    >>> model = mr.nn.Linear(3, 1, bias=False, dtype=np.float64)
    >>> _ = mr.solve(model, mr.nn.MSELoss(), P.L2.from_sklearn(5.0, n=20), x, y)
    >>> bool(np.allclose(model.weight.numpy()[0], np.linalg.solve(x.T @ x + 5 * np.eye(3), x.T @ y)[:, 0]))
    True
    """
    x, y = diabetes()
    lam, n = 50.0, len(y)
    ridge = np.linalg.solve(x.T @ x + lam * np.eye(10), x.T @ y)
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(ridge[None])
    objective = mr.Objective(mr.nn.MSELoss("sum"), {"l2": L2(2 * lam)})  # both twice
    objective(model, here(x), here(y[:, None])).backward()
    left = abs(model.weight.grad.numpy()).max()
    yield holds("|autograd at the closed form|", left, at_most=1e-10)
    off = abs(fitted(x, y, L2.from_sklearn(lam, n)) - ridge).max()
    yield holds("|limit of descent − closed form|, mean loss, λ/n", off, at_most=1e-9)
    off = abs(fitted(x, y, L2(2 * lam)) - ridge).max()
    yield breaks("the same with λ for λ/n", off, at_least=0.1)
    twice = np.c_[x, x[:, 2]]
    free, tied = (
        abs(np.subtract(*(fitted(twice, y, L2(s)) for _ in range(2)))).max()
        for s in (0.0, 2 * lam / n)
    )
    yield breaks("equal columns: |θ_OLS − θ_OLS| from two starts", free, at_least=1e-6)
    yield holds("and ridge from two starts", tied, at_most=1e-9)


def gram(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """XᵀX as the Hessian of ½‖Xθ − y‖²."""
    w, x, y = parameter(np.zeros(x.shape[1])), here(x), here(y)
    return host(mr.curvature.hessian(lambda: 0.5 * ((x @ w - y) ** 2).sum(), w))


@claim(
    "C67", "TRUE-WITH-CONDITIONS", "000 引理 10.22; 001 §9.3.4",
    "Ridge as a shrunk least squares solution (岭回归与最小二乘的关系)",
    "θ_ridge = (I + λ(XᵀX)⁻¹)⁻¹θ_OLS, and the eigenvalues of (I + λA)⁻¹ are below 1.",
    corrected="XᵀX must be invertible. A, which the text does not define, is (XᵀX)⁻¹; the eigenvalues are "
    "μ/(μ + λ).",
)  # fmt: skip
def shrunk_least_squares() -> Iterator[Figure]:
    """XᵀX + λI = XᵀX(I + λ(XᵀX)⁻¹); apply the inverse to Xᵀy = XᵀXθ_OLS. The eigenvalues are
    1/(1 + λ/μ). With two equal columns θ_OLS is not unique, but ridge is: an invertible map cannot
    take all of them to it, even with a pseudo-inverse.

    >>> mr.implicit.ridge_filter(np.array([1.0, 4.0]), strength=1.0)  # eigenvalues μ/(μ + λ)
    array([0.5, 0.8])
    """
    x, y = diabetes()
    lam, n = 50.0, len(y)
    ridge, ols = fitted(x, y, L2.from_sklearn(lam, n)), fitted(x, y, L2(0.0))
    h = gram(x, y)
    shrink = np.linalg.inv(np.eye(10) + lam * np.linalg.inv(h))
    yield holds("|θ_ridge − (I + λ(XᵀX)⁻¹)⁻¹θ_OLS|", abs(shrink @ ols - ridge).max(), at_most=1e-9)
    mu = np.linalg.eigvalsh(x.T @ x)
    factors = np.linalg.eigvalsh((shrink + shrink.T) / 2)
    yield holds("|eigenvalues − μ/(μ + λ)|", abs(factors - mu / (mu + lam)).max(), at_most=1e-11)
    yield holds("the largest, λ = 50", factors[-1], at_most=0.99)
    wrong = np.linalg.solve(np.eye(10) + lam * h, ols)
    yield breaks("|θ_ridge − …| with A = XᵀX", abs(wrong - ridge).max(), at_least=0.1)
    twice = np.c_[x, x[:, 2]]
    shrink = np.linalg.inv(np.eye(11) + lam * np.linalg.pinv(gram(twice, y)))
    one, other = (shrink @ fitted(twice, y, L2(0.0)) for _ in range(2))
    apart = abs(one - other).max()
    yield breaks("equal columns: |image − image| of two θ_OLS", apart, at_least=1e-6)


@claim(
    "C68", "IMPRECISE", "000 引理 10.22; 001 §9.3.4",
    "Closer to the origin in all directions (所有方向收缩)",
    "The ridge solution is closer to the origin than that of least squares in every direction.",
    corrected="In every eigendirection of XᵀX, and in norm; single coefficients may grow or change sign.",
)  # fmt: skip
def all_directions() -> Iterator[Figure]:
    """Vᵀθ_ridge = μ/(μ + λ)·Vᵀθ_OLS, factors below 1 in the eigenbasis V. A coefficient is a sum of such
    terms with signs: if a large negative one shrinks more than the rest, the sum grows or flips.

    >>> q = np.array([[1.0, 1.0], [-1.0, 1.0]]) / 2**0.5  # eigenvectors of XᵀX, with μ = 1 and 9
    >>> ols = np.array([1.0, 0.1])
    >>> (q @ (mr.implicit.ridge_filter(np.array([1.0, 9.0]), 3.0) * (q.T @ ols))).round(3)
    array([0.525, 0.3  ])
    """
    x, y = diabetes()
    ols = fitted(x, y, L2(0.0))
    path = [fitted(x, y, L2.from_sklearn(lam, len(y))) for lam in (1.0, 5.0, 50.0, 500.0)]
    ridge = path[2]
    grown = (abs(ridge) > abs(ols)) | (ridge * ols < 0)
    yield breaks("coefficients of 10 that grow or change sign, λ = 50", grown.sum(), at_least=3)
    v = np.linalg.eigh(x.T @ x)[1]
    factors = abs(v.T @ ridge / (v.T @ ols))
    yield corrects("|Vᵀθ_ridge|/|Vᵀθ_OLS|, at most", factors.max(), at_most=0.99)
    norms = [np.linalg.norm(w) for w in (ols, *path)]
    yield corrects("largest change of the norm from λ to λ", np.diff(norms).max(), at_most=-1e-3)


@claim(
    "C69", "TRUE", "000 引理 10.22 comment; 001 §9.3.4, §9.3.6",
    "Selective shrinkage (选择性收缩)",
    "Directions with large eigenvalues of XᵀX shrink less, those with small ones more, which stabilises "
    "the estimate where XᵀX is nearly singular.",
)  # fmt: skip
def selective_shrinkage() -> Iterator[Figure]:
    """The factor μ/(μ + λ) rises with μ. The variance of vᵀθ_OLS is σ²/μ, that of vᵀθ_ridge σ²μ/(μ + λ)²:
    it falls by the square of the factor, most where μ is small and the variance was large.

    >>> mr.implicit.ridge_filter(np.array([0.1, 1.0, 10.0]), strength=1.0).round(3)
    array([0.091, 0.5  , 0.909])
    """
    x, y = diabetes()
    mu, v = np.linalg.eigh(x.T @ x)
    ols, ridge = (v.T @ fitted(x, y, L2.from_sklearn(s, len(y))) for s in (0.0, 50.0))
    yield holds("|factor − μ/(μ + λ)|", abs(ridge / ols - mu / (mu + 50)).max(), at_most=1e-7)
    yield holds("least rise of the factor with μ", np.diff(ridge / ols).min(), at_least=1e-3)
    rows = np.random.default_rng(69).integers(0, len(y), (200, len(y)))
    xs, ys = x[rows], y[rows][..., None]
    matrix, right = xs.swapaxes(1, 2) @ xs, xs.swapaxes(1, 2) @ ys
    shifted = (here(matrix + s * np.eye(10)) for s in (0.0, 5.0, 50.0))
    fits = [host(mr.linalg.solve(m, here(right)))[..., 0] @ v for m in shifted]
    spread = np.array([f.var(axis=0) for f in fits])
    total = spread.sum(axis=1) / spread[0].sum()
    yield holds("variance in 200 resamples over that of OLS, λ = 5", total[1], at_most=0.6)
    yield holds("λ = 50", total[2], at_most=0.2)
    yield holds("rank of μ where it falls most", (spread[2] / spread[0]).argmin(), at_most=0)


def small_net() -> tuple[mr.nn.Sequential, mr.Tensor, Any]:
    """A tanh network in float64 with a batch, three classes."""
    rng = np.random.default_rng(70)
    net = mr.nn.Sequential(mr.nn.Linear(5, 6), mr.nn.Tanh(), mr.nn.Linear(6, 3)).to(np.float64)
    return net, mr.tensor(here(rng.normal(size=(30, 5)))), here(rng.integers(0, 3, 30))


@claim(
    "C70", "TRUE", "000 §曲率变化, 定理 10.14; 001 eq. 9.3.16, 定理 9.3.5",
    "The Hessian is shifted by λI (Hessian特征值平移)",
    "The Hessian becomes H₀ + λI, so all of its eigenvalues rise by λ.",
    corrected="At the same θ and with all parameters penalised; the minimiser itself moves.",
)  # fmt: skip
def shifted_hessian() -> Iterator[Figure]:
    """∂²(½λ Σθ_k²)/∂θ_i∂θ_j = λδ_ij, and H₀v = μv gives (H₀ + λI)v = (μ + λ)v. Nothing here asks L₀ to
    be convex.

    >>> w = mr.tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> top = lambda lam: mr.curvature.eigenvalues(lambda: (w**3).sum() + P.L2(lam)(w), w, k=2)
    >>> top(0.0).round(6), top(0.5).round(6)
    (array([ 6., 12.]), array([ 6.5, 12.5]))
    """
    lam = 0.3
    net, x, y = small_net()
    plain = mr.Objective(mr.nn.CrossEntropyLoss())
    penalised = mr.Objective(mr.nn.CrossEntropyLoss(), {"l2": (L2(lam), "*")})

    def value(objective: mr.Objective = penalised) -> mr.Tensor:
        return objective(net, x, y).total

    before = mr.curvature.Hessian(lambda: value(plain), net)
    after = mr.curvature.Hessian(value, net)
    h = host(before.dense())
    shift = host(after.dense()) - h - lam * np.eye(before.size)
    yield holds("|H − H₀ − λI| of a tanh network", abs(shift).max(), at_most=1e-14)
    mu = np.linalg.eigvalsh(h)
    ends = host(mr.curvature.eigenvalues(after, k=2, which="BE"))
    off = abs(ends - mu[[0, -1]] - lam)
    yield holds("|extreme eigenvalues − (μ + λ)|", off.max(), at_most=1e-12)
    yield holds("smallest μ: L₀ is not convex here", mu[0], at_most=-1e-3)
    v = np.random.default_rng(71).normal(size=after.size)
    back, middle, ahead = mr.curvature.line(value, net, v, [-1e-3, 0, 1e-3])
    ratio = v @ host(after @ v) / ((ahead - 2 * middle + back) / 1e-6)
    yield holds("|vᵀHv over its second difference − 1|", abs(ratio - 1), at_most=1e-4)


def mean_square(x: np.ndarray, y: np.ndarray, w: mr.Tensor, lam: float) -> Closure:
    """Twice (1/2n)‖Xw − y‖² + ½λ‖w‖²."""
    x, y = here(x), here(y)
    return lambda: ((x @ w - y) ** 2).mean() + L2(2 * lam)(w)


@claim(
    "C71", "TRUE-WITH-CONDITIONS", "000 推论 10.2; 001 定理 9.3.5",
    "The condition number improves (条件数改善)",
    "κ = (μ₁ + λ)/(μ_d + λ) ≤ μ₁/μ_d, and κ ≈ 1 for large λ.",
    corrected="For positive definite H₀, and λ ≫ μ₁ for κ ≈ 1. If μ_d < 0 the ratio is no condition number, "
    "and that explodes at λ ≈ |μ_d|.",
)  # fmt: skip
def conditioning() -> Iterator[Figure]:
    """(μ₁ + λ)/(μ_d + λ) − μ₁/μ_d = λ(μ_d − μ₁)/(μ_d(μ_d + λ)) ≤ 0 if μ_d > 0. For μ_d < 0 the condition
    number is max|μ + λ|/min|μ + λ|, and some |μ + λ| passes through 0.

    >>> w = mr.tensor(np.array([1.0, 1.0]), requires_grad=True)
    >>> loss = lambda s: 0.5 * (np.array([100.0, 1.0]) * w * w).sum() + P.L2(s)(w)
    >>> [round(mr.curvature.condition_number(lambda: loss(s), w), 2) for s in (0.0, 9.0, 1e4)]
    [100.0, 10.9, 1.01]
    """
    x, y = diabetes()
    w = parameter(np.zeros(10))
    mu, lam = np.linalg.eigvalsh(x.T @ x / len(y)), np.array([0, 0.01, 0.1, 1, 10, 100])
    kappa = np.array([mr.curvature.condition_number(mean_square(x, y, w, s), w) for s in lam])
    yield holds("κ on diabetes at λ = 0", kappa[0], at_least=400)
    yield holds("at λ = 1", kappa[3], at_most=6)
    yield holds("at λ = 100", kappa[5], at_most=1.05)
    off = kappa / ((mu[-1] + lam) / (mu[0] + lam)) - 1
    yield holds("|κ over (μ₁ + λ)/(μ_d + λ) − 1|", abs(off).max(), at_most=1e-10)
    w, saddle = parameter(np.zeros(2)), here([10.0, -1.0])

    def condition(lam: float) -> float:
        value = lambda: 0.5 * (saddle * w * w).sum() + L2(lam)(w)
        ends = host(mr.curvature.eigenvalues(value, w, k=2))
        return abs(ends).max() / abs(ends).min()

    worse = condition(0.99) / condition(0.0)
    yield breaks("spectrum (10, −1): condition at λ = 0.99 over λ = 0", worse, at_least=100)


def iterations(x: np.ndarray, y: np.ndarray, lam: float, momentum: bool = False) -> int:
    """Steps of SGD at its best rate from 0 to a relative distance of 10⁻⁶ from the minimiser."""
    h, target = x.T @ x / len(y) + lam * np.eye(len(x.T)), x.T @ y / len(y)
    low, top = 2 * np.linalg.eigvalsh(h)[[0, -1]]
    w, best, root = parameter(0 * target), np.linalg.solve(h, target), (top / low) ** 0.5
    optimizer = mr.optim.SGD([w], lr=2 / (top + low))
    if momentum:  # Polyak 1964
        rate, keep = 4 / (top**0.5 + low**0.5) ** 2, ((root - 1) / (root + 1)) ** 2
        optimizer = mr.optim.SGD([w], lr=rate, momentum=keep)
    loss, steps = mean_square(x, y, w, lam), 0
    while np.linalg.norm(w.numpy() - best) > 1e-6 * np.linalg.norm(best) and steps < 9999:
        descend(loss, optimizer, 1)
        steps += 1
    return steps


@claim(
    "C72", "TRUE-WITH-CONDITIONS", "000 推论 10.2 comment, §10.3 intro; 001 §9.3.4, §9.3.6; 003 §塑造景观",
    "Conditioning and speed (收敛速度)",
    "The speed of gradient descent on quadratics is inversely proportional to κ, so L2 can accelerate "
    "it, above all where κ is bad.",
    corrected="Steps are ∝ κ·log(1/tolerance) at the best rate, ∝ √κ with the best momentum; what they "
    "reach sooner is another point.",
)  # fmt: skip
def speed() -> Iterator[Figure]:
    """With η = 2/(μ₁ + μ_d) each error component shrinks by |1 − ημ| ≤ (κ − 1)/(κ + 1) a step, at both ends
    with equality; log((κ + 1)/(κ − 1)) ≈ 2/κ, so 10⁻⁶ takes ½κ·ln 10⁶ steps. Momentum has the
    same with √κ. The limit is (H₀ + λI)⁻¹H₀θ_OLS.

    >>> w = mr.tensor(np.array([1.0, 1.0]), requires_grad=True)
    >>> opt = mr.optim.SGD([w], lr=2 / 11)  # for curvatures 10 and 1
    >>> for _ in range(30): w.grad = mr.tensor(np.array([10.0, 1.0]) * w.data); opt.step()
    >>> (w.numpy() / ((10 - 1) / (10 + 1)) ** 30).round(4)  # (κ − 1)/(κ + 1) a step in both
    array([1., 1.])
    """
    x, y = diabetes()
    mu, lam = np.linalg.eigvalsh(x.T @ x / len(y)), np.array([0, 0.01, 0.1, 1])
    kappa = (mu[-1] + lam) / (mu[0] + lam)
    steps = np.array([iterations(x, y, s) for s in lam])
    yield holds("steps at κ = 470 over those at κ = 5, λ = 1", steps[0] / steps[3], at_least=50)
    per = steps / kappa
    yield holds("steps/κ, largest over smallest", per.max() / per.min(), at_most=1.06)
    theory = np.log(1e6) / np.log((kappa + 1) / (kappa - 1))
    yield holds("|steps over theory − 1|", abs(steps / theory - 1).max(), at_most=0.06)
    faster = steps[0] / iterations(x, y, 0.0, momentum=True)
    yield holds("κ = 470: steps without over with momentum", faster, at_least=8)
    ols, ridge = fitted(x, y, L2(0.0)), fitted(x, y, L2(0.02))
    moved = np.linalg.norm(ridge - ols) / np.linalg.norm(ols)
    yield breaks("the limit for λ = 0.01, κ = 217, is off OLS by", moved, at_least=0.3)


def rippled(lam: float) -> tuple[np.ndarray, np.ndarray]:
    """Slope and curvature of 0.05(θ − 3)² + ½cos 6θ + ½λθ² on a fine grid."""
    t = parameter(np.linspace(-40, 40, 40_001))
    value = (0.05 * (t - 3) ** 2 + 0.5 * mr.cos(6 * t)).sum() + L2(lam).value(t)
    (slope,) = mr.grad(value, [t], create_graph=True)
    (curvature,) = mr.grad(slope.sum(), [t])
    return slope.numpy(), curvature.numpy()


@claim(
    "C73", "IMPRECISE", "003 §塑造景观",
    "A smoothed, locally strongly convex landscape (局部强凸)",
    "Adding the bowl smooths a rugged surface and can make it strongly convex near a minimum, which is "
    "then unique there.",
    corrected="Strongly convex where λ > −μ_min(H₀), and there the minimum is unique. It is not smoother: "
    "the largest curvature rises by λ, too, and ripples keep their size.",
)  # fmt: skip
def landscape() -> Iterator[Figure]:
    """H₀ + λI ≻ 0 iff μ_min > −λ. The curvature of 0.05(θ − 3)² + ½cos 6θ is 0.1 − 18cos 6θ ∈ [−17.9, 18.1]:
    λ ≤ 17.9 leaves places that are not convex, and with λ the smoothness constant is 18.1 + λ.

    >>> t = mr.tensor(np.array([0.0]), requires_grad=True)
    >>> J = lambda lam: (0.5 * mr.cos(6 * t)).sum() + P.L2(lam)(t)
    >>> [mr.curvature.hessian(lambda: J(lam), t).item() for lam in (0, 18)]
    [-18.0, 0.0]
    """
    slopes, curvatures = zip(*(rippled(lam) for lam in (0.0, 1.0, 17.8, 18.0)), strict=True)
    minima = [((s[:-1] < 0) & (s[1:] >= 0)).sum() for s in slopes]
    rougher = curvatures[3].max() / curvatures[0].max()
    yield breaks("largest curvature at λ = 18 over that at λ = 0", rougher, at_least=1.9)
    yield breaks("minima left at λ = 1", minima[1], at_least=2)
    yield reports("minima at λ = 0", minima[0])
    yield corrects("smallest curvature at λ = 17.8", curvatures[2].min(), at_most=0)
    yield corrects("at λ = 18", curvatures[3].min(), at_least=0)
    yield corrects("minima at λ = 18", minima[3], at_most=1, at_least=1)
    shift = curvatures[3] - curvatures[0] - 18
    yield corrects("|rise of the curvature − λ|", abs(shift).max(), at_most=1e-12)


@claim(
    "C74", "IMPRECISE", "003 §塑造景观",
    "Small weights and flat minima (平坦极小值)",
    "Minima with smaller weights, which L2 favours, are usually flatter and tend to generalise better.",
    corrected="Flatness of L₀ depends on the parametrisation: rescaled ReLU layers are the same function "
    "with another Hessian, and before BatchNorm H(αw) = H(w)/α². Relative to the weights it is the same.",
)  # fmt: skip
def flat_minima() -> Iterator[Figure]:
    """L(αw) = L(w) before BatchNorm: differentiate twice, α²H(αw) = H(w). For ReLU, W₁ → cW₁, W₂ → W₂/c
    leaves f, hence all predictions, but its block of the Hessian in W₁ goes as c⁻², in W₂ as c².
    With directions that are scaled along with the weights both compensate.

    >>> def sharpness(a, b):  # of (ab − 1)², where ab = 1
    ...     w = [mr.tensor(np.array([c]), requires_grad=True) for c in (a, b)]
    ...     top = mr.curvature.eigenvalues(lambda: ((w[0] * w[1] - 1) ** 2).sum(), w)
    ...     return round(float(top[0]), 3)
    >>> sharpness(1.0, 1.0), sharpness(2.0, 0.5), sharpness(10.0, 0.1)
    (4.0, 8.5, 200.02)
    """
    rng = np.random.default_rng(74)
    x, y = mr.tensor(here(rng.normal(size=(60, 4)))), here(rng.integers(0, 3, 60))
    loss = mr.nn.CrossEntropyLoss()
    hidden, norm = mr.nn.Linear(4, 8, bias=False), mr.nn.BatchNorm(8, eps=0.0)
    net = mr.nn.Sequential(hidden, norm, mr.nn.ReLU(), mr.nn.Linear(8, 3)).to(np.float64)
    value = lambda: loss(net(x), y)
    h = [host(mr.curvature.hessian(value, [hidden.weight]))]
    hidden.weight.assign(hidden.weight.numpy() / 2)
    h.append(host(mr.curvature.hessian(value, [hidden.weight])))
    top = [np.linalg.eigvalsh(m)[-1] for m in h]
    yield breaks("before BatchNorm: sharpness at ½w over that at w", top[1] / top[0], at_least=3.9)
    yield corrects("|H(½w) − 4H(w)|", abs(h[1] - 4 * h[0]).max(), at_most=1e-10)
    net = mr.nn.Sequential(mr.nn.Linear(4, 8), mr.nn.ReLU(), mr.nn.Linear(8, 3)).to(np.float64)
    descend(value, mr.optim.SGD(net.parameters(), lr=0.3), 300)
    found = []
    for factor in (1.0, 0.1, 100.0):  # one after the other: 1, 0.1 and 10 in all
        mr.rescale(net, 0, factor)
        (sharp,) = host(mr.curvature.eigenvalues(value, net))
        found.append((sharp, value().item(), float(mr.curvature.sharpness(value, net))))
    sharp, values, relative = np.array(found).T
    spread = sharp.max() / sharp.min()
    yield breaks("one ReLU function rescaled: sharpest over flattest", spread, at_least=10)
    yield corrects("change of its loss", np.ptp(values), at_most=1e-12)
    yield corrects("of its sharpness relative to the weights", np.ptp(relative), at_most=1e-12)
