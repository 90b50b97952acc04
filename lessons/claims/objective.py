"""The penalised objective: what the trade-off is, its conventions, and what it does for generalisation.

The loss is a mean over samples, the squared error without a half; L2 is ½λ‖w‖². So ridge solves
(XᵀX/n + ½λI)w = Xᵀy/n, and the Hessian of the squared error is 2XᵀX/n. L is the data loss, Ω a
penalty, n samples, d features, σ² the variance of noise; μ are eigenvalues of the Hessian (in C01
a second strength).
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

import minireg as mr
from minireg.course.claims import Figure, breaks, claim, corrects, holds

from ._data import (
    descend,
    diabetes,
    digits,
    far,
    fitted,
    here,
    mlp,
    parameter,
    ridge,
    ridge_errors,
)
from .groups import fits


def rise(values: np.ndarray) -> float:
    """The largest step upwards in a sequence; at most 0 if it never rises."""
    return np.diff(values).max()


def rippled(strengths: np.ndarray, points: int = 2001) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Global minimisers on a grid of ½(θ − 3)² + sin² 4θ + ½λθ²: θ*, its data loss and its ½θ²."""
    theta = np.linspace(-1, 5, points)
    data = 0.5 * (theta - 3) ** 2 + np.sin(4 * theta) ** 2
    unit = mr.penalties.L2(1.0)
    omega = np.array([unit.value(t) for t in theta])
    best = np.argmin(data + strengths[:, None] * omega, axis=1)
    return theta[best], data[best], omega[best]


@claim(
    "C01", "TRUE",
    "000 §10.3.1; 001 eq. 9.3.6; 002 §惩罚函数视角; 003 §最简单的约束; 004 §本质, §损失函数最小目标",
    "A penalised objective is a trade-off (惩罚项)",
    "Training minimises L_data + λΩ: it gives up fit for simplicity, the more the larger λ is.",
)  # fmt: skip
def trade_off() -> Iterator[Figure]:
    """Let a minimise L + λΩ, and b minimise L + μΩ, with λ < μ. Each is best at its own strength:
    L(a) + λΩ(a) ≤ L(b) + λΩ(b)  and  L(b) + μΩ(b) ≤ L(a) + μΩ(a).
    The sum of the two is (μ − λ)(Ω(b) − Ω(a)) ≤ 0: Ω falls. Then the first gives L(a) ≤ L(b): L rises.
    Neither L nor Ω need be convex, but a and b have to be global minimisers.

    >>> ends = [P.L2(s).prox(np.array([3.0]), 1.0)[0] for s in (0, 1, 2)]  # argmin ½(θ − 3)² + ½sθ²
    >>> [(float(0.5 * (w - 3) ** 2), float(0.5 * w**2)) for w in ends]  # the fit given up, the penalty saved
    [(0.0, 4.5), (1.125, 1.125), (2.0, 0.5)]
    """
    _, data, omega = rippled(np.geomspace(1e-3, 1e2, 60))
    yield holds("largest rise of Ω(θ*) over 60 λ, rippled loss", rise(omega), at_most=0)
    yield holds("largest fall of L_data(θ*)", rise(-data), at_most=0)
    yield holds("Ω(θ*) at the largest λ / at the smallest", omega[-1] / omega[0], at_most=0.01)
    x, y = diabetes()
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    lasso = mr.path(model, mr.nn.MSELoss(), mr.penalties.L1(1.0), x, y[:, None], 20)
    worst = max(end.certificate for end in lasso.solutions)
    yield holds("largest certificate of a lasso path", worst, at_most=1e-9)
    w = lasso.parameters["weight"][:, 0]
    sizes = np.array([mr.penalties.L1(1.0).value(a) for a in w])  # from the largest λ down
    yield holds("its largest rise of ‖w‖₁", rise(sizes[::-1]), at_most=1e-8)
    yield holds(
        "its largest fall of L_data", rise(np.mean((w @ x.T - y) ** 2, axis=1)), at_most=1e-8
    )


@claim(
    "C02", "TRUE-WITH-CONDITIONS",
    "004 §怎么个惩罚法; 002 §约束优化视角, §L2惩罚, §弹性网络; 000, 001 and 003 take λ/2",
    "Half or no half (系数约定)",
    "The penalty λ‖θ‖² has the gradient 2λθ.",
    corrected="In its own convention: λ‖θ‖² is ½·(2λ)‖θ‖², so this λ is half of the one in texts that take "
    "½λ‖θ‖², and each formula with a λ in it (inverse, prox, prior, decay) changes with the convention.",
)  # fmt: skip
def factor_of_two() -> Iterator[Figure]:
    """λ‖θ‖² = ½(2λ)‖θ‖², so everything known of ½λ‖θ‖² holds with 2λ for λ: the gradient is 2λθ, and
    with the mean squared error the minimiser solves (XᵀX/n + λI)θ = Xᵀy/n, where ½λ‖θ‖² has λ/2.

    >>> w = mr.tensor([3.0], requires_grad=True)
    >>> mr.grad(P.scaled(P.L2(0.5), 2)(w), w)[0].numpy()  # 2λθ
    array([3.], dtype=float32)
    """
    x, y = diabetes()
    whole = mr.penalties.scaled(mr.penalties.L2(0.3), 2)
    w = mr.tensor(here(np.random.default_rng(0).standard_normal(10)), requires_grad=True)
    (gradient,) = mr.grad(whole.value(w), w)
    yield holds("|∇(λ‖θ‖²) − 2λθ|", far(gradient, 0.6 * w.data), at_most=1e-12)
    found, half = fitted(x, y, whole), fitted(x, y, mr.penalties.L2(0.3))
    yield holds(
        "|argmin L + λ‖θ‖² − ridge at 2λ|", abs(found - ridge(x, y, 0.6)).max(), at_most=1e-8
    )
    yield holds(
        "|argmin L + ½λ‖θ‖² − ridge at λ|", abs(half - ridge(x, y, 0.3)).max(), at_most=1e-8
    )
    apart = np.linalg.norm(found - half) / np.linalg.norm(half)
    yield breaks("the same λ in both: ‖Δθ*‖/‖θ*‖", apart, at_least=0.05)


def network_gap(n: int) -> float:
    """Validation loss − training loss of a 64-64-10 net after 40 epochs on n digits."""
    mr.manual_seed(0)
    x, y, *validation = digits(noise=0.0)
    model = mlp((64, 64, 10))
    optimizer = mr.optim.Adam(model.parameters(), lr=0.01)
    history = mr.fit(model, mr.nn.CrossEntropyLoss(), optimizer, (x[:n], y[:n]), validation,
                     epochs=40, batch_size=50, progress=False)  # fmt: skip
    return history.last["gap"]


@claim(
    "C03", "TRUE", "002 §为何需要参数范数惩罚; 003 §原理与机制; 004 §第一个心愿",
    "Empirical and expected risk (泛化差距)",
    "The training loss stands in for the expected loss and is optimistic; with a capacity far beyond "
    "what the task needs training may memorise the data, and then the gap between the two is wide.",
)  # fmt: skip
def generalisation_gap() -> Iterator[Figure]:
    """A fixed θ has E[L_n(θ)] = L(θ), so E[min L_n] ≤ min E[L_n] = min L ≤ E[L(θ_n)]: on average
    (not on each sample) training lies below the best there is, and the trained model above it.
    Least squares with d Gaussian features and noise σ: the residual has n − d degrees of freedom, so
    E[L_n(θ_n)] = σ²(1 − d/n), and E[L(θ_n)] = σ²(1 + E tr(XᵀX)⁻¹) = σ²(1 + d/(n − d − 1)).

    >>> draw = np.random.default_rng(0).normal(size=(20, 11))
    >>> x, y = draw[:, :10], draw[:, 10:]  # 10 weights for 20 samples of noise with variance 1
    >>> model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    >>> seen = mr.solve(model, mr.nn.MSELoss(), P.L2(0.0), x, y).value
    >>> round(seen, 2), round(1 + float((model.weight.numpy() ** 2).sum()), 2)  # and expected
    (0.62, 1.62)
    """
    rng, gaps, off = np.random.default_rng(0), {}, []
    for d, n in ((10, 20), (10, 40), (10, 120), (3, 20)):
        x, y = rng.standard_normal((400, n, d)), rng.standard_normal((400, n))  # w = 0, σ = 1
        w = fits(x, y, mr.penalties.L2(0.0), steps=150)
        train = np.mean((y - (x @ w[..., None])[..., 0]) ** 2)
        expected = 1 + np.mean(np.sum(w**2, axis=1))
        gaps[d, n] = expected - train
        off += [train / (1 - d / n) - 1, expected / (1 + d / (n - d - 1)) - 1]
    yield holds("10 weights, 20 samples: gap of the mean losses", gaps[10, 20], at_least=1.4)
    yield holds("over that of 40 samples", gaps[10, 20] / gaps[10, 40], at_least=2)
    yield holds("over that of 120 samples", gaps[10, 20] / gaps[10, 120], at_least=7)
    yield holds("over that of 3 weights", gaps[10, 20] / gaps[3, 20], at_least=3)
    what = "|L_n/(1 − d/n) − 1|, |L/(1 + d/(n−d−1)) − 1|, 400 draws each"
    yield holds(what, np.abs(off).max(), at_most=0.05)
    net = [network_gap(n) for n in (50, 300)]
    yield holds("a network on 50 digits: gap", net[0], at_least=0.5)
    yield holds("over that on 300", net[0] / net[1], at_least=1.5)


@cache
def sweep(home: str) -> dict[float, mr.History]:
    """λ → training of a 64-64-10 net on 300 digits; 15 % of all labels are random, as in validation.

    ``home`` is the default backend, so that what is kept was measured there.
    """
    x, y, x_val, y_val = digits(noise=0.0)
    rng = np.random.default_rng(1)

    def noisy(labels: np.ndarray) -> np.ndarray:
        wrong = rng.random(len(labels)) < 0.15
        return np.where(wrong, rng.integers(0, 10, len(labels)), labels)

    data = (x, noisy(y)), (x_val, noisy(y_val))
    found = {}
    for strength in (0.0, 1e-4, 1e-2, 0.1, 0.3):
        mr.manual_seed(0)
        model = mlp((64, 64, 10))
        optimizer = mr.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
        objective = mr.Objective(mr.nn.CrossEntropyLoss(), {"l2": mr.penalties.L2(strength)})
        found[strength] = mr.fit(model, objective, optimizer, *data, epochs=120, batch_size=100,
                                 progress=False)  # fmt: skip
    return found


def last(column: str) -> np.ndarray:
    """A column at the end of each training of the sweep."""
    return np.array([history.last[column] for history in sweep(mr.get_backend()).values()])


@claim(
    "C04", "EMPIRICAL", "002 §为何需要参数范数惩罚; 003 §原理与机制; 004 §损失函数最小目标",
    "Three regimes along λ (过拟合 / 良好泛化 / 欠拟合)",
    "λ = 0 may overfit, the validation loss turning up, a large λ (say 1e-2) underfits, and one between (say "
    "1e-4) may generalise best.",
    corrected="The U shape is there; the examples of λ are no guide: it depends on the scale of loss, inputs "
    "and weights. Here 1e-4 still overfits, and 1e-2 is the best.",
)  # fmt: skip
def three_regimes() -> Iterator[Figure]:
    """Not a theorem. At λ = 0 the net can fit random labels, and pays on new ones; λ → ∞ sends all weights
    to 0 and the loss to that of the biases alone, log 10 for 10 equal classes. If any λ between helps,
    the validation loss has an interior minimum; where, only the data can say.

    >>> x = np.random.default_rng(0).normal(size=(2, 30, 12))  # to train on, and to validate
    >>> y = 2 * x[..., 0] + np.random.default_rng(1).normal(size=(2, 30))
    >>> model, strengths = mr.nn.Linear(12, 1, bias=False, dtype=np.float64), [30, 0.3, 0]
    >>> path = mr.path(model, mr.nn.MSELoss(), P.L2(1.0), x[0], y[0, :, None], strengths)
    >>> [round(float(np.mean((x[1] @ w[0] - y[1]) ** 2)), 1) for w in path.parameters["weight"]]
    [2.6, 1.1, 1.3]
    """
    histories = sweep(mr.get_backend())
    strengths = np.array([*histories])
    train, validation = last("train_loss"), last("validation_loss")
    best = validation.argmin()
    yield holds(
        "λ of the least validation loss (of 0 to 0.3)", strengths[best], at_least=1e-4, at_most=0.1
    )
    yield holds("L_val at λ = 0 / at the best λ", validation[0] / validation[best], at_least=1.5)
    yield holds("L_train at λ = 0", train[0], at_most=0.05)
    turn = validation[0] / min(histories[0.0]["validation_loss"])
    yield holds("L_val at λ = 0, last / lowest epoch", turn, at_least=1.5)
    yield holds("L_train at λ = 0.3 / log 10", train[-1] / np.log(10), at_least=0.9, at_most=1.01)
    yield breaks("L_val at the text's moderate 1e-4 / at its large 1e-2", validation[1] / validation[2],
                 at_least=1.5)  # fmt: skip


@claim(
    "C05", "IMPRECISE", "002 §为何需要参数范数惩罚, third bullet",
    "The gap at the right λ (泛化差距)",
    "At the λ of the least validation loss the gap between validation and training stays very small.",
    corrected="The gap falls all the way with λ and is least where the model is useless; the best λ keeps "
    "a visible one. Select by the validation loss, not by the gap.",
)  # fmt: skip
def small_gap() -> Iterator[Figure]:
    """Ridge predicts ŷ = Hy. With new noise at the same x the squared error is on average above that of
    training by (2/n) Σ cov(ŷᵢ, yᵢ) = (2σ²/n) tr H: proportional to the capacity of C06, which only falls.
    The least L_val = L_train + gap is where dL_train/dλ = −d gap/dλ > 0: there the gap is still falling.

    >>> x = np.eye(60, 10) * 60**0.5
    >>> [round(2 / 60 * mr.implicit.degrees_of_freedom(x, s), 3) for s in (0, 1, 9)]  # ridge's gap
    [0.333, 0.167, 0.033]
    """
    gap, validation = last("gap"), last("validation_loss")
    best = validation.argmin()
    yield breaks("gap at the best λ / L_val there", gap[best] / validation[best], at_least=0.3)
    yield breaks("L_val at the λ of the smallest gap / at the best λ",
                 validation[gap.argmin()] / validation[best], at_least=1.5)  # fmt: skip
    yield corrects("largest rise of the gap with λ", rise(gap), at_most=0)
    x, noise = diabetes()[0][:60], np.random.default_rng(0).standard_normal((2, 4000, 60))
    for strength in (0.02, 2.0):
        fit = (x @ ridge(np.broadcast_to(x, (4000, 60, 10)), noise[0], strength)[..., None])[..., 0]
        measured = np.mean((noise[1] - fit) ** 2 - (noise[0] - fit) ** 2)
        predicted = 2 / 60 * mr.implicit.degrees_of_freedom(x, strength / 2)
        yield corrects(f"gap of ridge / (2σ²/n) Σ μ/(μ+λ) at λ = {strength:g}, 4000 draws",
                       measured / predicted, at_least=0.95, at_most=1.05)  # fmt: skip


@claim(
    "C06", "TRUE-WITH-CONDITIONS", "002 §为何需要参数范数惩罚, last paragraph; 002 §惩罚函数视角",
    "λ as a dial of capacity (有效容量)",
    "Varying λ moves through a continuum of model capacities.",
    corrected="For ridge, whose capacity Σ μ/(μ + λ) falls continuously from rank X to 0. For a loss that "
    "is not convex the minimiser can jump.",
)  # fmt: skip
def capacity_dial() -> Iterator[Figure]:
    """Ridge predicts ŷ = Hy with H = X(XᵀX + nλI/2)⁻¹Xᵀ (mean squared error, ½λ‖w‖²). Its degrees of freedom
    Σ ∂ŷᵢ/∂yᵢ = tr H = Σ μ/(μ + λ), μ the eigenvalues 2·eig(XᵀX/n) of the loss's Hessian, are continuous and
    strictly falling in λ. Two separate minima of a rippled loss, though, change places at one λ.

    >>> [round(mr.implicit.degrees_of_freedom(np.eye(10) * 10**0.5, s), 6) for s in (0, 1, 9)]
    [10.0, 5.0, 1.0]
    """
    x = diabetes()[0][:60]
    mu = 2 * np.linalg.eigvalsh(x.T @ x / 60)
    fits = mr.nn.Linear(10, 60, bias=False, dtype=np.float64)  # one output for each unit vector y
    mr.solve(fits, mr.nn.MSELoss(), mr.penalties.L2(0.3 / 60), x, np.eye(60), tol=1e-12)
    capacity = mr.implicit.degrees_of_freedom(x, 0.15)
    yield holds(
        "|Σ ∂ŷᵢ/∂yᵢ − Σ μ/(μ+λ)|, ridge", abs(np.trace(fits(here(x))) - capacity), at_most=1e-8
    )
    dial = [mr.implicit.ridge_filter(mu, s).sum() for s in (0, *np.geomspace(1e-4, 1e4, 400))]
    yield holds("|capacity at λ = 0 − rank X|", abs(dial[0] - 10), at_most=1e-9)
    yield holds("largest rise over 400 λ up to 10⁴", rise(dial), at_most=-1e-9)
    theta, _, _ = rippled(np.linspace(0.01, 5, 1000))
    yield breaks("largest jump of θ* of a rippled loss, 1000 λ", rise(-theta), at_least=0.5)


@claim(
    "C07", "IMPRECISE", "002 §为何需要参数范数惩罚, §L2惩罚; 004 §正则项的本质含义",
    "A norm and its square (范数与范数平方)",
    "The penalty is proportional to a norm of the parameters.",
    corrected="L2's is proportional to the square of one, and that matters: the square shrinks every weight "
    "by a factor and zeroes none, the norm k‖θ‖ zeroes the whole vector once ‖v‖ ≤ k.",
)  # fmt: skip
def norm_or_square() -> Iterator[Figure]:
    """prox of ½k‖u‖²: u − v + ku = 0, so u = v/(1 + k), never 0. prox of k‖u‖: at u ≠ 0, u − v + ku/‖u‖ = 0
    gives u = (1 − k/‖v‖)v, which needs ‖v‖ > k; at u = 0 the subgradients of k‖u‖ are the ball of radius k,
    so 0 is optimal if and only if ‖v‖ ≤ k.

    >>> v = np.array([3.0, -4.0])
    >>> P.L2(1.0).prox(v, 5.0).round(2), P.FrobeniusNorm(1.0).prox(v, 5.0)
    (array([ 0.5 , -0.67]), array([ 0., -0.]))
    """
    start = np.array([3.0, -1.0, 0.5, 2.0])
    v, size = here(start), np.linalg.norm(start)
    square, norm = mr.penalties.L2(1.0), mr.penalties.FrobeniusNorm(1.0)
    yield breaks(
        "Ω(2θ)/Ω(θ) of L2 (a norm has 2)", square.value(2 * v) / square.value(v), at_least=3.999
    )
    yield corrects(
        "Ω(2θ)/Ω(θ) of the norm", norm.value(2 * v) / norm.value(v), at_least=2, at_most=2
    )
    k, u = 0.5 * size, parameter(np.ones(4))
    descend(lambda: 0.5 * ((u - v) ** 2).sum() + k * mr.linalg.norm(u), mr.optim.SGD([u], 0.5), 100)
    yield corrects(
        "|prox of the norm − minimiser| at k = ½‖v‖", far(norm.prox(v, k), u), at_most=1e-12
    )
    yield corrects("|prox − (1 − k/‖v‖)v|", abs(norm.prox(v, k) - 0.5 * v).max(), at_most=1e-14)
    k = 1.2 * size
    yield corrects("largest entry at k = 1.2‖v‖: norm", abs(norm.prox(v, k)).max(), at_most=0)
    shrunk = square.prox(v, k) / v
    yield corrects("|shrink by L2 − 1/(1+k)|", abs(shrunk - 1 / (1 + k)).max(), at_most=1e-15)


@claim(
    "C08", "EMPIRICAL",
    "000 定理 10.10, comment; 001 定理 9.3.1, comment; 002 §为何需要参数范数惩罚; 003 §原理与机制; "
    "004 §为什么“让权重小”有助于泛化",
    "Small weights generalise better (小权重与泛化)",
    "It is commonly assumed that among models that fit well those with smaller weights tend to predict "
    "better.",
    corrected="A trade of bias for variance: it pays where there is noise and the target itself is modest, "
    "up to an interior optimum, and costs where there is no noise.",
)  # fmt: skip
def small_weights() -> Iterator[Figure]:
    """Orthonormal features, least squares w = w⁰ + noise of variance σ² in each of d coordinates. Ridge
    keeps the share s of w: its risk is (1 − s)²‖w⁰‖² + s²dσ². Its slope at s = 1 is 2dσ²: some shrinkage
    helps wherever there is noise. The least is at s = ‖w⁰‖²/(‖w⁰‖² + dσ²): inside (0, 1), without noise at 1.

    >>> risk = lambda s: float(4 * (1 - s) ** 2 + 4 * s**2)  # bias² and variance, if the share s is kept
    >>> [risk(mr.implicit.ridge_filter(np.ones(1), lam)[0]) for lam in (0, 1, 9)]
    [4.0, 2.0, 3.2800000000000002]
    """
    strengths = (0.0, 0.01, 0.1, 0.5, 2.0, 10.0)
    test = ridge_errors(20, strengths)[:, 1]
    yield holds(
        "test loss at the best λ / at 0, 20 patients, 200 splits", test.min() / test[0], at_most=0.7
    )
    yield holds("best λ of 0 to 10", strengths[test.argmin()], at_least=0.1, at_most=2)
    yield holds("test loss at the largest λ / at the best", test[-1] / test.min(), at_least=1.05)
    x, y = diabetes()
    clean = x @ ridge(x, y, 0.0)
    exact, shrunk = (
        ridge(x[:20], clean[:20], 0.0),
        fitted(x[:20], clean[:20], mr.penalties.L2(0.5)),
    )
    yield holds(
        "no noise, 20 patients: test loss at λ = 0",
        np.mean((x @ exact - clean) ** 2),
        at_most=1e-20,
    )
    yield breaks("at λ = 0.5", np.mean((x @ shrunk - clean) ** 2), at_least=0.01)
