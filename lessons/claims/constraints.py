"""Budgets and prices, priors and penalties, and what descent prefers when nothing is penalised.

Losses are means over N samples, without a half. A budget C is on ‖w‖² as in the text, which is Ω
of L2(2), so λ counts λ‖w‖²; elsewhere L2 is ½λ‖w‖². H is a Hessian, γ a margin, b a bias; a
prior's s or τ is its standard deviation, σ that of the noise in y.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

import minireg as mr
from minireg.analysis.constrained import Problem
from minireg.analysis.implicit import Gaussian, Laplace, angle, max_margin, nearest_interpolant
from minireg.course.claims import Figure, breaks, claim, corrects, holds, reports
from minireg.penalties import L1, L2, L2Ball

from ._data import diabetes, far, fitted, here, host, parameter, standardized

MSE, BCE = mr.nn.MSELoss(), mr.nn.BCEWithLogitsLoss()
BUDGETS = (0.1, 0.3, 0.6)  # for ‖w‖² on diabetes, where least squares has 0.724
SQUARE = L2(2.0)  # the text's budget is on ‖w‖²


def least_squares(penalty: mr.penalties.Penalty = SQUARE) -> Problem:
    """Least squares on diabetes with a penalty or a budget."""
    x, y = diabetes()
    return Problem(mr.nn.Linear(10, 1, bias=False, dtype=np.float64), MSE, penalty, x, y[:, None])


def ball_fit(x: np.ndarray, y: np.ndarray, budget: float) -> np.ndarray:
    """Least squares subject to ‖w‖² ≤ budget, by projected gradient steps."""
    return fitted(x, y, L2Ball(budget**0.5))


class TwoValleys(mr.nn.MSELoss):
    """(w² − 2w)² − ½w of an output w: a shallow valley at 0.07 and a deep one at 2.06."""

    def forward(self, output: Any, target: Any) -> Any:
        """The target plays no part."""
        return ((output * output - 2 * output) ** 2 - 0.5 * output).mean()


@claim(
    "C113", "TRUE-WITH-CONDITIONS", "002 §约束优化视角",
    "Inside the ball unchanged, outside on its boundary (约束优化视角)",
    "Minimising L subject to ‖θ‖² ≤ C: a free optimum inside the ball solves it; more often it lies "
    "outside, and then the solution has ‖θ‖² = C.",
    corrected="For a convex L. The constrained optimum of another may lie strictly inside, in a valley "
    "that is not the deepest.",
)  # fmt: skip
def ball() -> Iterator[Figure]:
    """If a solution w were strictly inside, no constraint would be active and ∇L(w) = 0.

    For convex L that makes w a free optimum, so with all free optima outside ‖w‖² = C. Then
    −∇L(w) = 2λw with λ ≥ 0, the equation of ridge. Without convexity ∇L(w) = 0 inside is just a
    valley: L = (w² − 2w)² − ½w on |w| ≤ 1 is least at w = 0.07, though the free optimum is 2.06.

    >>> P.L2Ball(1.0).prox(np.array([3.0, 4.0]), 1.0), P.L2Ball(1.0).prox(np.array([0.3, 0.4]), 1.0)
    (array([0.6, 0.8]), array([0.3, 0.4]))
    """
    x, y = diabetes()
    inside = [ball_fit(x, y, budget) for budget in BUDGETS]
    gaps = [w @ w - budget for w, budget in zip(inside, BUDGETS, strict=True)]
    yield holds("|‖w‖² − C|, C = 0.1, 0.3, 0.6", np.abs(gaps).max(), at_most=1e-12)
    problem = least_squares()
    ridge = [fitted(x, y, L2(2 * problem.strength_of(budget))) for budget in BUDGETS]
    yield holds("|w − ridge of that norm|", np.abs(np.subtract(inside, ridge)).max(), at_most=1e-8)
    free = np.linalg.lstsq(x, y)[0]
    yield holds("C = 1: |w − least squares|", abs(ball_fit(x, y, 1.0) - free).max(), at_most=1e-9)
    valley, one = mr.nn.Linear(1, 1, bias=False, dtype=np.float64), np.ones((1, 1))
    mr.solve(valley, TwoValleys(), L2Ball(1.0), one, one)
    w, grid = valley.weight.item(), np.linspace(-1, 1, 20_001)
    best = grid[((grid**2 - 2 * grid) ** 2 - grid / 2).argmin()]
    yield breaks("not convex, C = 1: w²", w**2, at_most=0.01)
    yield breaks("|w − best of 20,001 feasible|", abs(w - best), at_most=1e-4)


@claim(
    "C114", "IMPRECISE", "002 §约束优化视角",
    "The feasible point nearest the free optimum (最近的点)",
    "With the free optimum θ_uc outside the ball, the solution is the feasible point \"nearest\" to it (in "
    "quotation marks in the text, which names no metric).",
    corrected="For a quadratic loss it is nearest in the metric of the Hessian. The Euclidean nearest is "
    "√C·θ_uc/‖θ_uc‖: another point, of higher loss, unless the Hessian is a multiple of 1.",
)  # fmt: skip
def nearest() -> Iterator[Figure]:
    """L(w) = L(w₀) + ½(w − w₀)ᵀH(w − w₀) around the free optimum w₀, exactly, for least squares.

    So least loss in the ball *is* least distance ‖w − w₀‖_H. Its contours are ellipses, and one
    touches the sphere where H(w₀ − w) is parallel to w; the radial point has w₀ − w parallel to w.
    Both hold only where w is an eigenvector of H, as it always is for H = c·1.

    >>> x, model = np.diag([3.0, 1.0]), mr.nn.Linear(2, 1, bias=False, dtype=np.float64)
    >>> _ = mr.solve(model, mr.nn.MSELoss(), P.L2Ball(1.0), x, x @ [[2.0], [2.0]])
    >>> model.weight.numpy().round(3), P.L2Ball(1.0).prox(np.array([2.0, 2.0]), 1.0).round(3)
    (array([[0.981, 0.193]]), array([0.707, 0.707]))
    """
    x, y = diabetes()
    problem = least_squares()
    problem.constrained(0.3)
    w, free = problem.w.numpy()[0].copy(), np.linalg.lstsq(x, y)[0]
    radial = host(L2Ball(0.3**0.5).prox(here(free), 1.0))
    euclidean = [np.linalg.norm(point - free) for point in (w, radial)]
    yield breaks("‖w − w₀‖ over that of the projection", euclidean[0] / euclidean[1], at_least=1.5)
    point, inputs, targets = parameter(free[None]), here(x), here(y[:, None])
    loss = lambda: MSE(mr.nn.functional.linear(inputs, point), targets)
    metric = host(mr.curvature.hessian(loss, point))
    away = [v @ metric @ v for v in (w - free, radial - free)]
    yield corrects("‖w − w₀‖_H over the projection's", (away[0] / away[1]) ** 0.5, at_most=0.5)
    excess = np.square(x @ w - y).mean() - loss().item()
    yield corrects("|L − L(w₀) − ½‖w − w₀‖²_H|", abs(excess - away[0] / 2), at_most=1e-12)
    white = len(x) ** 0.5 * np.linalg.qr(x)[0]
    free = white.T @ y / len(x)
    radial = L2Ball(0.3**0.5).prox(here(free), 1.0)
    same = far(ball_fit(white, y, 0.3), radial)
    yield corrects("whitened features: |w − projection|", same, at_most=1e-9)


@claim(
    "C115", "TRUE-WITH-CONDITIONS", "002 §惩罚函数视角",
    "Constraint and penalty are equivalent through KKT (拉格朗日对偶)",
    "For a given budget C on the norm there is a λ for which the penalised solution is the constrained "
    "one.",
    corrected="For a convex L. Otherwise budgets in a duality gap belong to no λ; the reverse always "
    "holds, the solution for any λ is the constrained one for the budget C = Ω(θ*(λ)).",
)  # fmt: skip
def lagrange() -> Iterator[Figure]:
    """KKT: −∇L(w) ∈ λ∂Ω(w), Ω(w) ≤ C, λ ≥ 0, λ(Ω(w) − C) = 0; the first is stationarity of L + λΩ.

    For convex L and Ω stationary means minimal, so the two forms share w. The reverse needs no convexity:
    Ω(v) ≤ Ω(w) and L(w) + λΩ(w) ≤ L(v) + λΩ(v) give L(w) ≤ L(v). A sigmoid unit σ(8w − 8) fitted
    to 1 has a loss that falls all the way, so its constrained solution is w = √C; but near w = ½ the
    loss is concave, L + λw² has a local *maximum* there, and its minimum jumps over it.

    >>> model = mr.nn.Linear(1, 1, bias=False, dtype=np.float64)
    >>> problem = mr.constrained.Problem(model, mr.nn.MSELoss(), P.L2(2.0), [[1.0]], [[2.0]])
    >>> round(problem.strength_of(1.0), 6)  # for w² ≤ 1: (w − 2)² + λw² is least at w = 1
    1.0
    """
    for name, penalty, budgets in (("‖w‖²", L2(2.0), BUDGETS), ("‖w‖₁", L1(1.0), (0.5, 1.0, 1.5))):
        problem, apart, residual = least_squares(penalty), 0.0, 0.0
        for budget in budgets:
            strength = problem.strength_of(budget)
            penalised = problem.w.data.copy()
            problem.w.assign(0.0)
            problem.constrained(budget)
            apart = max(apart, abs(problem.w.data - penalised).max())
            residual = max(residual, *problem.kkt(strength, budget))
        yield holds(f"{name} ≤ C: |w within C − w at its price|", apart, at_most=1e-8)
        yield holds(f"{name} ≤ C: worst KKT residual", residual, at_most=1e-8)
    w = np.linspace(0, 3, 30_001)
    z, one = here(8 * w - 8), here(np.ones_like(w))
    unit = host(mr.nn.functional.mse_loss(mr.sigmoid(z), one, reduction="none"))
    lambdas = np.logspace(-4, 1, 501)
    chosen = np.array([(unit + strength * w**2).argmin() for strength in lambdas])
    jump = abs(w[chosen] - 0.5).min()
    yield breaks("sigmoid unit, C = ¼: distance from w = ½ to any w(λ)", jump, at_least=0.3)
    yield breaks("L over that of the best feasible w(λ)",
                 unit[w <= 0.5].min() / unit[chosen[w[chosen] <= 0.5]].min(), at_most=0.98)  # fmt: skip
    missed = [unit[: k + 1].argmin() != k for k in chosen]
    yield corrects("λ whose w(λ) does not solve C = w(λ)², of 501", sum(missed), at_most=0)


@claim(
    "C116", "TRUE", "002 §惩罚函数视角",
    "λ* is the shadow price of the budget (影子价格)",
    "λ* = −dL*/dC is what a little more capacity saves; λ* > 0 says that the constraint is active.",
)  # fmt: skip
def shadow_price() -> Iterator[Figure]:
    """L*(C) = min_w max_{λ≥0} L(w) + λ(Ω(w) − C), and C enters explicitly only as −λC.

    By the envelope theorem dL*/dC is the partial derivative at the solution, −λ*; complementary
    slackness λ*(Ω − C) = 0 makes the constraint active where λ* > 0, and where it is not, more of it
    buys nothing. C is counted in units of Ω: for ½‖w‖² the price of the same ball is twice as high.

    >>> model = mr.nn.Linear(1, 1, bias=False, dtype=np.float64)
    >>> problem = mr.constrained.Problem(model, mr.nn.MSELoss(), P.L2(2.0), [[1.0]], [[2.0]])
    >>> round(problem.shadow_price(1.0), 5)  # −d(√C − 2)²/dC at C = 1
    1.0
    """
    problem = least_squares()
    prices = [problem.shadow_price(budget) for budget in BUDGETS]
    strengths = [problem.strength_of(budget) for budget in BUDGETS]
    off = np.abs(np.divide(prices, strengths) - 1)
    yield holds("‖w‖² ≤ C: |price/λ* − 1|", off.max(), at_most=1e-6)
    lasso = least_squares(L1(1.0))
    off = lasso.shadow_price(1.0) / lasso.strength_of(1.0) - 1
    yield holds("‖w‖₁ ≤ 1: |price/λ* − 1|", abs(off), at_most=1e-6)
    yield holds("price at C = 1, not active", abs(problem.shadow_price(1.0)), at_most=1e-10)
    half = least_squares(L2(1.0)).shadow_price(BUDGETS[0] / 2)
    yield holds("½‖w‖² ≤ C/2: |price/2λ* − 1|", abs(half / strengths[0] / 2 - 1), at_most=1e-6)


# --- margins ---------------------------------------------------------------------------------------


@cache
def iris() -> tuple[np.ndarray, np.ndarray]:
    """Setosa (−1) and versicolor (1) by sepal and petal length, standardized; they separate."""
    x, y = mr.datasets.arrays("iris")
    return standardized(x[:100, [0, 2]]), np.where(y[:100] == 0, -1.0, 1.0)


def lopsided() -> tuple[np.ndarray, np.ndarray]:
    """Four points far to one side of the origin, where a bias has work to do."""
    x = np.array([[0.0, 3.0], [1.0, 5.0], [-2.0, 6.0], [1.0, 2.0]])
    return x, np.array([1.0, 1.0, 1.0, -1.0])


def hard_margin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """θ and b of the hard-margin SVM, min ‖θ‖ over y(θ·x + b) ≥ 1.

    b drops out of the differences between the classes: their margin is the width of the slab.
    """
    pairs = (x[y > 0][:, None] - x[y < 0]).reshape(-1, x.shape[1])
    direction, width, _ = max_margin(pairs, np.ones(len(pairs)))
    theta = direction * 2 / width
    return theta, -((x[y > 0] @ theta).min() + (x[y < 0] @ theta).max()) / 2


def augmented(x: np.ndarray) -> np.ndarray:
    """x with a column of ones: its weight is the bias."""
    return np.column_stack([x, np.ones(len(x))])


def margin(theta: np.ndarray, b: float, x: np.ndarray, y: np.ndarray) -> float:
    """Distance of the nearest point to the hyperplane, negative if it is on the wrong side."""
    return float((y * (x @ theta + b)).min() / np.linalg.norm(theta))


@claim(
    "C117", "TRUE-WITH-CONDITIONS", "002 §约束优化视角",
    "Hard-margin SVM: the margin is 1/‖θ‖ (硬间隔SVM, 几何间隔)",
    "Maximising the geometric margin 1/‖θ‖ is minimising ‖θ‖² subject to functional margins "
    "y(θ·x + b) ≥ 1.",
    corrected="For separable data, with θ scaled so that the least functional margin is 1, and with b "
    "left out of the norm. The slab between the classes is 2/‖θ‖ wide.",
)  # fmt: skip
def svm() -> Iterator[Figure]:
    """The distance of x from θ·x + b = 0 is |θ·x + b|/‖θ‖, the same for (θ, b) and (cθ, cb).

    Fix the free scale by min y(θ·x + b) = 1: the nearest distance is 1/‖θ‖ then, and the largest
    such distance belongs to the shortest θ. Every other scale has the same margin and another 1/‖θ‖.
    Minimising ‖θ‖² + b² instead gives up margin for a small b.

    >>> found = mr.implicit.max_margin(np.array([[3.0, 0.0], [-1.0, 0.0]]), np.array([1.0, -1.0]))
    >>> found.direction, found.margin
    (array([1., 0.]), 1.0)
    """
    x, y = iris()
    theta, b = hard_margin(x, y)
    widest = 1 / np.linalg.norm(theta)
    yield holds("|margin · ‖θ‖ − 1|", abs(margin(theta, b, x, y) / widest - 1), at_most=1e-12)
    slab = x[y > 0][:, None] - x[y < 0]
    touching = slab[slab @ theta < 2 + 1e-9]  # pairs of points on both edges of the slab
    push = np.linalg.lstsq(touching.T, theta)[0]
    yield holds("least multiplier of a pair that touches", push.min(), at_least=-1e-12)
    off = np.linalg.norm(push @ touching - theta) / np.linalg.norm(theta)
    yield holds("‖θ − Σ multiplier · pair‖/‖θ‖: no shorter θ will do", off, at_most=1e-12)
    turns = np.linspace(0, 2 * np.pi, 20_001)
    along = x @ np.array([np.cos(turns), np.sin(turns)])
    slabs = along[y > 0].min(axis=0) - along[y < 0].max(axis=0)
    better = slabs.max() / 2 / widest - 1
    yield holds("best margin of 20,001 directions · ‖θ‖ − 1", better, at_least=-1e-4, at_most=1e-12)
    scaled = margin(2 * theta, 2 * b, x, y) * np.linalg.norm(2 * theta)
    yield breaks("margin · ‖θ‖ for (2θ, 2b)", scaled, at_least=2 - 1e-9)
    x, y = lopsided()
    counted, widest = (
        max_margin(augmented(x), y).direction,
        1 / np.linalg.norm(hard_margin(x, y)[0]),
    )
    lost = margin(counted[:2], counted[2], x, y) / widest
    yield breaks("4 points, b counted in the norm: margin · ‖θ‖", lost, at_most=0.98)


# --- priors ----------------------------------------------------------------------------------------


def gradient_at(density: mr.penalties.Penalty | Gaussian | Laplace, w: np.ndarray) -> np.ndarray:
    """The gradient of −log density, by autograd."""
    t = parameter(w)
    return mr.grad(-density.log_density(t), [t])[0].numpy()


@claim(
    "C118", "TRUE-WITH-CONDITIONS", "003 §贝叶斯视角; 004 §三、贝叶斯先验",
    "Maximum a posteriori is a penalised loss (最大后验估计)",
    "The negative log posterior is the data loss, a negative log likelihood, plus the negative log prior, "
    "which is the penalty.",
    corrected="For the sum of the negative log likelihoods. With the mean of N the penalty is divided by N "
    "too; for the mean squared error and noise σ, prior width τ: ½λ‖w‖² with λ = 2σ²/(Nτ²).",
)  # fmt: skip
def maximum_a_posteriori() -> Iterator[Figure]:
    """Bayes: −log p(w|D) = −Σ log p(y|x, w) − log p(w) + log p(D), and the last has no w in it.

    With Gaussian noise the first is ½Σ(y − xw)²/σ²; times 2σ²/N it is the mean squared error, and the
    prior's ½‖w‖²/τ² becomes ½λ‖w‖² with λ = 2σ²/(Nτ²). The same factor on both leaves the optimum;
    on one alone it does not: the sum grows with the data while the prior stays, the mean does not.

    >>> mr.implicit.Gaussian(std=0.1).penalty(442, 0.7)  # λ = 2σ²/(Nτ²)
    L2(0.221719): ½λ‖w‖²
    """
    x, y = diabetes()
    prior, noise = Gaussian(std=0.1), 0.7

    def slope(w: np.ndarray, n: int) -> float:
        data = x[:n].T @ (x[:n] @ w - y[:n]) / noise**2
        return np.abs(data + gradient_at(prior, w)).max() / np.abs(data).max()

    most = fitted(x, y, prior.penalty(len(x), noise))
    yield holds("ridge: |∇ log posterior|, relative", slope(most, 442), at_most=1e-9)
    features, labels = x[:, :4], (y > 0).astype(float)
    model = mr.nn.Linear(4, 1, bias=False, dtype=np.float64)
    mr.solve(model, BCE, prior.penalty(len(x)), features, labels[:, None])
    w = model.weight.numpy()[0]
    data = features.T @ (1 / (1 + np.exp(-features @ w)) - labels)
    yield holds(
        "logistic: |∇ log posterior|", abs(data + gradient_at(prior, w)).max(), at_most=1e-7
    )
    undivided = fitted(x, y, L2(2 * (noise / prior.std) ** 2))
    off = np.linalg.norm(undivided - most) / np.linalg.norm(most)
    yield breaks("mean loss, λ not divided by N: |w − MAP|/|MAP|", off, at_least=0.5)
    fixed = fitted(x[:50], y[:50], prior.penalty(442, noise))
    yield breaks("λ of 442 patients on 50: |∇ log posterior|", slope(fixed, 50), at_least=0.5)


@claim(
    "C119", "TRUE", "003 §贝叶斯视角; 004 §L2 正则的隐含先验, 总结",
    "L2 is a Gaussian prior with mean 0 (高斯先验)",
    "The L2 penalty is a Gaussian prior of mean 0 for each weight: of variance 1/λ for (λ/2)‖θ‖², and "
    "1/(2λ) where the penalty is written λ‖θ‖².",
)  # fmt: skip
def gaussian_prior() -> Iterator[Figure]:
    """−log N(θ; 0, s²) = ½θ²/s² + const has the gradient θ/s²; equal to λθ if s² = 1/λ, to 2λθ if 1/(2λ).

    With Gaussian noise the log posterior is quadratic, so the posterior is Gaussian, symmetric about
    its peak: its mean is its mode, and that is ridge's solution.

    >>> w = mr.tensor(np.array([2.0]), requires_grad=True)
    >>> mr.grad(-mr.implicit.Gaussian(std=0.5**-0.5).log_density(w), w)[0].numpy().round(6)  # λθ with λ = ½
    array([1.])
    """
    w, strength = np.random.default_rng(0).normal(size=20), 0.3
    off = far(gradient_at(Gaussian(strength**-0.5), w), L2(strength).gradient(here(w)))
    yield holds("|−∇log N(0, 1/λ) − λθ|", off, at_most=1e-14)
    heights = [Gaussian(strength**-0.5).log_density(here(v)) for v in (0 * w, w)]
    off = float(heights[0] - heights[1]) - float(L2(strength).value(here(w)))
    yield holds("|log N(0; …) − log N(θ; …) − ½λ‖θ‖²|", abs(off), at_most=1e-12)
    off = far(gradient_at(Gaussian((2 * strength) ** -0.5), w), L2(2 * strength).gradient(here(w)))
    yield holds("|−∇log N(0, 1/2λ) − 2λθ|", off, at_most=1e-14)
    x, y = diabetes()
    x, y, prior, noise = x[:30, [2, 8]], y[:30], Gaussian(0.3), 0.7
    ridge = fitted(x, y, prior.penalty(30, noise))
    axis = np.linspace(-3, 3, 601)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    cost = np.square(grid @ x.T - y).sum(axis=1) / noise**2 + np.square(grid / prior.std).sum(
        axis=1
    )
    density = np.exp(-0.5 * (cost - cost.min()))
    mean = density @ grid / density.sum()
    yield holds("|posterior mean by quadrature − ridge|", abs(mean - ridge).max(), at_most=1e-9)


@claim(
    "C120", "TRUE-WITH-CONDITIONS", "003 §贝叶斯视角",
    "L1 is a Laplace prior, and weights become exactly 0 (拉普拉斯先验)",
    "λ‖θ‖₁ is the prior Laplace(0, 1/λ), of a sharper peak and heavier tails than a Gaussian, which "
    "more strongly encourages some weights to become exactly 0.",
    corrected="Exact zeros belong to the most probable point only: draws from prior or posterior, and the "
    "posterior's mean, are not 0 (with probability 1).",
)  # fmt: skip
def laplace_prior() -> Iterator[Figure]:
    """−log of ½λ·exp(−λ|θ|) is λ|θ| + const. At equal variance, 1: density at 0 1/√2 against 1/√2π.

    E θ⁴/(E θ²)² is (4!/λ⁴)/(2!/λ²)² = 6 against 3. For one observation y = ½ with unit noise and λ = 1,
    the cost ½(θ − ½)² + |θ| has its kink as its minimum, because |y| ≤ λ. But a density is no mass:
    P(|θ| < ε) tends to 0 with ε, and the mean weighs the side of y more.

    >>> mr.implicit.Laplace(1.0).posterior(np.ones((1, 1)), np.array([0.5])).mode
    array([0.])
    """
    prior, t = Laplace(0.5**0.5), np.linspace(-40, 40, 800_001)
    off = far(gradient_at(prior, t[:9]), L1(2**0.5).gradient(here(t[:9])))
    yield holds("|−∇log Laplace(0, 1/λ) − λ sign θ|", off, at_most=1e-14)
    at_0 = [np.exp(host(p.log_density(here(np.zeros(1))))) for p in (prior, Gaussian(1.0))]
    peak = at_0[0] / at_0[1] / np.pi**0.5
    yield holds(
        "peak over a Gaussian's of that variance, /√π", peak, at_least=1 - 1e-12, at_most=1 + 1e-12
    )
    density = at_0[0] * np.exp(-np.abs(t) / prior.scale)
    kurtosis = (density @ t**4) * density.sum() / (density @ t**2) ** 2
    yield holds("kurtosis (Gaussian: 3)", kurtosis, at_least=6 - 1e-5, at_most=6 + 1e-5)
    posterior = Laplace(1.0).posterior(np.ones((1, 1)), np.array([0.5]))
    yield holds("y = ½, λ = 1: |most probable weight|", abs(posterior.mode[0]), at_most=0)
    density = np.exp(-0.5 * (t - 0.5) ** 2 - np.abs(t))
    mean = round(density @ t / density.sum(), 12)  # the same range on each machine
    yield breaks("its posterior mean", posterior.mean[0], at_least=mean - 1e-7, at_most=mean + 1e-7)
    near = density[np.abs(t) < 1e-3].sum() / density.sum()
    yield breaks("posterior P(|θ| < 0.001)", near, at_least=1e-6, at_most=0.002)
    draws = np.random.default_rng(0).laplace(size=1_000_000)
    yield breaks("zeros among 10⁶ draws of the prior", (draws == 0).sum(), at_most=0)


# --- implicit bias ---------------------------------------------------------------------------------


def logistic(
    x: np.ndarray, y: np.ndarray, marks: tuple[int, ...], normalised: float = 0.0
) -> np.ndarray:
    """(w, b) of logistic regression after ``marks`` steps of descent from 0 with η = 1.

    ``normalised`` divides the step by the loss: η = normalised/L.
    """
    model = mr.nn.Linear(x.shape[1], 1, dtype=np.float64)
    model.weight.assign(0.0)
    model.bias.assign(0.0)
    optimizer, kept = mr.optim.SGD(model.parameters(), lr=1.0), []
    inputs, labels = here(x), here((y[:, None] + 1) / 2)
    for step in range(1, marks[-1] + 1):
        optimizer.zero_grad()
        loss = BCE(model(inputs), labels)
        loss.backward()
        if normalised:
            optimizer.param_groups[0]["lr"] = normalised / loss.item()
        optimizer.step()
        if step in marks:
            kept.append(np.append(model.weight.numpy(), model.bias.numpy()))
    return np.array(kept)


@claim(
    "C121", "TRUE-WITH-CONDITIONS", "002 §梯度下降的隐式正则化",
    "Descent on separable data tends to the maximum margin (隐式偏置, 最大间隔)",
    "Logistic regression on separable data by gradient descent: ‖w‖ → ∞, and w/‖w‖ tends to the direction "
    "of the hard-margin SVM.",
    corrected="For a linear model, a loss with an exponential tail and a small enough η; as slowly as "
    "1/log t. A bias that is trained counts as a weight: the limit is the SVM of (x, 1), not the usual one.",
)  # fmt: skip
def implicit_bias() -> Iterator[Figure]:
    """−∇L is a sum of y·x weighted by exp(−y w·x): only the nearest points still pull when ‖w‖ is large.

    So w grows along a positive combination of support vectors, which is the dual form of the SVM.
    Along it ẇ ~ exp(−‖w‖γ), γ the margin: ‖w‖ ~ ln t/γ, and γ = 1/‖θ_svm‖ in canonical scale (Soudry
    et al. 2018). What was picked up on the way fades like 1/‖w‖. A step η/L undoes the slowing down.

    >>> x, y = np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([1.0, 1.0])
    >>> mr.implicit.max_margin(x, y).direction.round(3)
    array([0.316, 0.949])
    """
    x, y = iris()
    best = max_margin(augmented(x), y)
    path = logistic(x, y, (100, 1000, 10_000))
    angles = [angle(w, best.direction) for w in path]
    yield holds("angle to it after 10⁴ steps, degrees", angles[-1], at_most=4)
    shrunk = np.divide(angles[1:], angles[:-1])
    yield holds("angle at 10³ over 10², 10⁴ over 10³: larger", shrunk.max(), at_most=0.8)
    growth = np.diff(np.linalg.norm(path, axis=1)) / np.log(10) * best.margin
    yield holds("γ d‖w‖/d ln t in the last decade, tends to 1", growth[1], at_least=0.6, at_most=1)
    yield holds("its growth over the decade before", growth[1] / growth[0], at_least=1.1)
    fast = logistic(x, y, (2000,), normalised=1.0)[0]
    yield holds("angle after 2,000 steps of η = 1/L", angle(fast, best.direction), at_most=0.3)
    x, y = lopsided()
    fast = logistic(x, y, (2000,), normalised=1.0)[0]
    away = angle(fast[:2], hard_margin(x, y)[0])
    yield breaks("4 points: angle to the usual SVM", away, at_least=10)
    counted = max_margin(augmented(x), y).direction
    yield corrects("4 points: angle to the SVM of (x, 1)", angle(fast, counted), at_most=0.3)


@claim(
    "C122", "TRUE-WITH-CONDITIONS", "002 §梯度下降的隐式正则化",
    "An explicit L2 penalty ends at a finite norm, in another direction (显式L2的解)",
    "With an L2 penalty the solution is finite, and its direction is usually not that of the maximum margin.",
    corrected="At a fixed λ. As λ → 0 the norm diverges and the direction tends to the maximum margin, too.",
)  # fmt: skip
def explicit_l2() -> Iterator[Figure]:
    """L + ½λ‖w‖² is strictly convex and coercive: one minimiser, ‖w‖² ≤ 2·ln 2/λ since L(0) = ln 2.

    All points pull on it, by their residuals. As λ → 0 it must grow, L(w) ~ exp(−‖w‖γ); for a given
    norm the least loss has the largest margin (Rosset, Zhu & Hastie 2004). What the other points add
    fades like 1/‖w‖ ~ 1/ln(1/λ), and on the way the angle may rise for a while (here from
    10⁻⁷ to 10⁻¹¹). Newton's steps w ← w − H⁻¹∇ find w for every λ, from the one before.

    >>> x, model = np.array([[3.0, 0.0], [0.0, 1.0]]), mr.nn.Linear(2, 1, bias=False, dtype=np.float64)
    >>> _ = mr.solve(model, mr.nn.BCEWithLogitsLoss(), P.L2(1.0), x, np.ones((2, 1)))
    >>> best = mr.implicit.max_margin(x, np.ones(2)).direction
    >>> round(mr.implicit.angle(model.weight.numpy()[0], best), 1)  # degrees
    40.6
    """
    x, y = iris()
    best, inputs, labels = max_margin(augmented(x), y), here(x), here((y[:, None] + 1) / 2)
    model = mr.nn.Linear(2, 1, dtype=np.float64)
    for p in model.parameters():
        p.assign(0.0)
    strengths = 10.0 ** -np.arange(31)
    found, slopes = [], []
    for strength in strengths:
        objective = mr.Objective(BCE, {"l2": (L2(strength), "*")})
        closure = lambda o=objective: o(model, inputs, labels).total
        for _ in range(7):
            w, b = (g.numpy() for g in mr.grad(closure(), [*model.parameters()]))
            slope = np.append(w, b)
            step = np.linalg.solve(host(mr.curvature.hessian(closure, model)), slope)
            model.weight.assign(model.weight.numpy() - step[:2])
            model.bias.assign(model.bias.numpy() - step[2:])
        found.append(np.append(model.weight.numpy(), model.bias.numpy()))
        slopes.append(abs(slope).max() / strength)
    norms = np.linalg.norm(found, axis=1)
    angles = [angle(w, best.direction) for w in found]
    yield holds("λ = 1: angle to the maximum margin, degrees", angles[0], at_least=30)
    bound = np.sqrt(2 * np.log(2) / strengths)
    yield holds("‖w‖/√(2 ln 2/λ) for λ = 1 … 10⁻³⁰: largest", (norms / bound).max(), at_most=1)
    yield holds("|∇J|/λ there, before the last step", max(slopes), at_most=1e-4)
    yield breaks("λ = 10⁻³⁰: angle", angles[30], at_most=1)
    yield corrects("angle at 10⁻³⁰ over that at 10⁻¹⁵", angles[30] / angles[15], at_most=0.6)
    growth = (norms[30] - norms[29]) / np.log(10) * best.margin
    yield corrects("γ d‖w‖/d ln(1/λ), tends to 1", growth, at_least=0.95, at_most=1)
    yield reports("the angle's rise from 10⁻⁷ to 10⁻¹¹", angles[11] - angles[7])


@claim(
    "C123", "TRUE-WITH-CONDITIONS", "002 §梯度下降的隐式正则化",
    "Without a penalty the optimizer picks one of many solutions (隐式正则化)",
    "Where many solutions have zero training loss, gradient descent and its like tend to one of them.",
    corrected="Gradient descent on least squares ends at the interpolant nearest to where it started, so at "
    "the shortest one only from 0 (or from the row space). Other algorithms pick others.",
)  # fmt: skip
def interpolation() -> Iterator[Figure]:
    """Every gradient Xᵀ(Xw − y)·2/N is in the row space of X, so w_t − w₀ is, too.

    The interpolants are w* + null(X); the one with w − w₀ in the row space has w − w₀ ⟂ null(X), which
    makes it the nearest: w₀ + X⁺(y − Xw₀), and X⁺y for w₀ = 0. Adam's division by √v̂ leaves the row
    space, so it ends elsewhere.

    >>> mr.implicit.nearest_interpolant(np.array([[1.0, 1.0]]), np.array([2.0]), start=np.array([3.0, 0.0]))
    array([ 2.5, -0.5])
    """
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 40)), rng.normal(size=10)
    inputs, targets = here(x), here(y[:, None])

    def fit(optimizer: type[mr.optim.Optimizer], start: np.ndarray, **options: float) -> np.ndarray:
        w = parameter(start[None])
        o = optimizer([w], **options)
        for _ in range(2000):
            o.zero_grad()
            MSE(mr.nn.functional.linear(inputs, w), targets).backward()
            o.step()
        return w.numpy()[0]

    zero, start = np.zeros(40), rng.normal(size=40)
    lr = 5 / np.linalg.norm(x, 2) ** 2  # 1/L, L = 2σ²/N
    shortest = np.linalg.pinv(x) @ y
    yield holds(
        "from 0: |w − X⁺y|", abs(fit(mr.optim.SGD, zero, lr=lr) - shortest).max(), at_most=1e-12
    )
    found = fit(mr.optim.SGD, start, lr=lr)
    nearest = nearest_interpolant(x, y, start)
    yield holds(
        "from w₀: |w − nearest interpolant to w₀|", abs(found - nearest).max(), at_most=1e-12
    )
    norm = np.linalg.norm(shortest)
    yield breaks("from w₀: ‖w‖/‖X⁺y‖", np.linalg.norm(found) / norm, at_least=5)
    adam = fit(mr.optim.Adam, zero, lr=0.01)
    away = np.linalg.norm(adam - shortest) / norm
    yield breaks("Adam from 0: ‖w − X⁺y‖/‖X⁺y‖", away, at_least=0.1)
    yield breaks("Adam from 0: |Xw − y|", abs(x @ adam - y).max(), at_most=1e-6)
