"""Elastic net and group lasso: what happens to correlated features and to whole rows.

The data loss is the mean square, without a half: λ is twice that of a loss with a half in front.
The text's elastic net has no half either: l2 = 2λ₂ in ElasticNet. Its groups are the rows of W
where y = xW, that is the columns of a Linear, axis=0, and it has no √|g|: scale="none". η is the
learning rate, ρ a correlation, r the residual, n the number of samples; in C59 s and t are the
sum and the difference of two weights.
"""

from collections.abc import Iterator, Sequence

import numpy as np

import minireg as mr
from minireg.course.claims import Figure, breaks, claim, corrects, holds
from minireg.penalties import L1, ElasticNet, GroupLasso, Penalty, soft_threshold

from ._data import descend, diabetes, fitted, here, parameter, standardized
from .sparsity import V, excess, prox


def coordinate_descent(
    x: np.ndarray, y: np.ndarray, l1: float, l2: float, order: Sequence[int], sweeps: int = 200
) -> np.ndarray:
    """Mean square + elastic net, one coordinate after the other, each solved exactly, from 0."""
    w = np.zeros(x.shape[1])
    for j in [*order] * sweeps:
        rest = y - x @ w + x[:, j] * w[j]
        pull = 2 * (x[:, j] @ rest) / len(y)
        w[j] = soft_threshold(pull, l1) / (2 * (x[:, j] @ x[:, j]) / len(y) + l2)
    return w


def fits(
    x: np.ndarray, y: np.ndarray, penalty: Penalty, start: np.ndarray | float = 0.0, steps: int = 800
) -> np.ndarray:  # fmt: skip
    """Many linear fits at once: (draws, n, d) and (draws, n) give (draws, d)."""
    top = 2 * np.linalg.eigvalsh(x.swapaxes(1, 2) @ x / x.shape[1])[:, -1].max()
    inputs, targets = here(x), here(y)
    w = parameter(np.zeros((len(x), x.shape[2], 1)) + start)
    optimizer = mr.optim.ProximalGradient([w], 1 / top, penalty, accelerated=True)
    descend(lambda: (((inputs @ w)[..., 0] - targets) ** 2).mean(axis=1).sum(), optimizer, steps)
    return w.numpy()[..., 0]


def near_duplicates(
    rng: np.random.Generator, draws: int, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Two standardized features with a correlation of 0.998, and their sum with noise."""
    shared, own = rng.normal(size=(draws, 50, 1)), rng.normal(size=(draws, 50, 2))
    x = np.array([standardized(a) for a in shared * 0.998**0.5 + own * 0.002**0.5])
    return x, x.sum(axis=2) + noise * rng.normal(size=(draws, 50))


@claim(
    "C58", "TRUE", "002 §弹性网络",
    "Elastic net (弹性网络)",
    "λ₁‖θ‖₁ + λ₂‖θ‖₂² gives sparse solutions as L1 does and copes with correlated features as L2 does.",
    corrected="Its prox is soft(v, ηλ₁)/(1 + 2ηλ₂): λ₂ has no half here, so l2 = 2λ₂ in ElasticNet.",
)  # fmt: skip
def elastic_net() -> Iterator[Figure]:
    """u − v + η(λ₁s + 2λ₂u) = 0 with s ∈ ∂|u|: u(1 + 2ηλ₂) = v − ηλ₁s, the soft threshold divided by
    1 + 2ηλ₂. The objective is strictly convex and symmetric in two equal columns, so its only
    minimiser gives them equal weights.

    >>> P.ElasticNet(1.0, 2 * 0.5).prox(np.array([3.0]), 1.0)  # soft(3, λ₁)/(1 + 2λ₂), λ₂ = 0.5
    array([1.])
    """
    first, second, lr = 0.7, 0.4, 0.5
    penalty = ElasticNet(first, 2 * second)
    formula = soft_threshold(V, lr * first) / (1 + 2 * lr * second)
    found = prox(penalty, V, lr)
    yield holds("|prox − soft(v, ηλ₁)/(1 + 2ηλ₂)|", abs(found - formula).max(), at_most=1e-14)
    yield holds("J(prox) − min J", excess(penalty, found, V, lr), at_most=1e-12)
    x, y = diabetes()
    twice = np.c_[x, x[:, 2]]
    w = fitted(twice, y, ElasticNet(0.2, 0.1))
    yield holds("|θ_i − θ_j| of two equal columns", abs(w[2] - w[10]), at_most=1e-10)
    yield holds("exact zeros of 11", (w == 0).sum(), at_least=3)


@claim(
    "C59", "IMPRECISE", "002 §弹性网络",
    "L1 and L2 on correlated features (相关特征)",
    "Of several correlated features L1 tends to choose one at random, L2 keeps them all.",
    corrected="Which one is not chance, and whether it is one depends on the noise. Of equal columns the "
    "lasso has a whole segment of minimisers: solver and start decide. Of nearly equal ones it has one "
    "minimiser, and keeps both iff their least squares weights differ by less than the shrunk sum, "
    "|t̂| < ŝ: at ρ = 0.998 mostly so at noise 0.1 and 0.3, while at noise 1 and 3 the text's \"tends to\" "
    "holds.",
)  # fmt: skip
def random_choice() -> Iterator[Figure]:
    """Let p, q = ½(x₁ ± x₂), orthogonal for equal lengths, and s, t = θ₁ ± θ₂: Xθ = ps + qt and
    ‖θ‖₁ = max(|s|, |t|). While |t| < s only s pays: t̂ = qᵀy/‖q‖² is plain least squares and
    ŝ = pᵀy/‖p‖² − nλ/(2‖p‖²). For |t̂| ≥ ŝ the optimum is t = ±s, one weight is 0. For q = 0
    no t matters: the first coordinate visited takes all, proximal steps from 0 stay symmetric.

    >>> model = mr.nn.Linear(2, 1, bias=False, dtype=np.float64); _ = model.weight.assign(0.0)
    >>> _ = mr.solve(model, mr.nn.MSELoss(), P.L1(1.0), np.ones((4, 2)), np.full((4, 1), 3.0))
    >>> model.weight.numpy().round(4)  # equal columns: proximal steps from 0 keep both
    array([[1.25, 1.25]])
    """
    rng, lam = np.random.default_rng(59), 0.2
    kept, wrong = [], 0
    for noise in (0.1, 0.3, 1.0, 3.0):
        x, y = near_duplicates(rng, 200, noise)
        p, q = x.sum(axis=2) / 2, (x[..., 0] - x[..., 1]) / 2
        s = ((p * y).sum(axis=1) - len(p[0]) * lam / 2) / (p * p).sum(axis=1)
        t = (q * y).sum(axis=1) / (q * q).sum(axis=1)
        both = (fits(x, y, L1(lam)) != 0).all(axis=1)
        wrong += (both != (abs(t) < s)).sum()
        kept.append(both.mean())
    yield breaks("ρ = 0.998, noise 0.1: share that keeps both", kept[0], at_least=0.95)
    yield breaks("noise 0.3", kept[1], at_least=0.6)
    yield holds("noise 1: share that keeps both", kept[2], at_most=0.5)
    yield holds("noise 3", kept[3], at_most=0.2)
    yield corrects("of 800 draws: (keeps both) ≠ (|t̂| < ŝ)", wrong, at_most=0)
    net = (fits(x, y, ElasticNet(lam, 0.2)) != 0).all(axis=1)
    yield holds("share of elastic nets that keep both", net.mean(), at_least=0.95)
    z = rng.normal(size=(80, 1))
    x, y = np.c_[z, z, rng.normal(size=(80, 1))], 2 * z[:, 0] + rng.normal(size=80)
    ends = [coordinate_descent(x, y, lam, 0.0, order) for order in ([0, 1, 2], [1, 0, 2])]
    ends.append(fits(x[None], y[None], L1(lam))[0])
    left_over = max(abs(ends[0][1]), abs(ends[1][0]))
    yield breaks("equal columns: weight of the one visited second", left_over, at_most=1e-12)
    values = [((x @ w - y) ** 2).mean() + L1(lam).value(w) for w in ends]
    yield corrects("by proximal steps from 0: |θ₁ − θ₂|", np.ptp(ends[2][:2]), at_most=1e-12)
    yield corrects("spread of J over the three ends", np.ptp(values), at_most=1e-12)


@claim(
    "C60", "TRUE", "002 §弹性网络",
    "Stability of the elastic net (解路径稳定)",
    "The L2 part makes the solution path more stable than that of L1 alone.",
    corrected="The minimiser is unique, and for weights of one sign |θ_i − θ_j| ≤ √(2(1 − ρ))·‖y‖/√n/(2λ₂) "
    "with a half in front of the mean square.",
)  # fmt: skip
def stable_path() -> Iterator[Figure]:
    """Strict convexity gives uniqueness. Subtracting x_iᵀr/n = λ₁s + 2λ₂θ_i for i and j with the same s,
    2λ₂(θ_i − θ_j) = (x_i − x_j)ᵀr/n ≤ ‖x_i − x_j‖‖r‖/n, with ‖x_i − x_j‖ = √(2n(1 − ρ)) for standardized
    columns and ‖r‖ ≤ ‖y‖, as θ = 0 is no better (Zou & Hastie 2005).

    >>> ends = []
    >>> for start in (-5.0, 5.0):
    ...     model = mr.nn.Linear(2, 1, bias=False, dtype=np.float64); _ = model.weight.assign([[start, 0.0]])
    ...     x, y = np.ones((4, 2)), np.full((4, 1), 3.0)
    ...     _ = mr.solve(model, mr.nn.MSELoss(), P.ElasticNet(1.0, 1.0), x, y)
    ...     ends.append(model.weight.numpy().round(3).tolist()[0])
    >>> ends  # one minimiser, wherever it starts
    [[1.0, 1.0], [1.0, 1.0]]
    """
    rng, n, d, net = np.random.default_rng(60), 40, 6, ElasticNet(0.1, 0.4)
    x = rng.normal(size=(200, n, d)) + rng.normal(size=(200, n, 1))
    x = np.array([standardized(a) for a in x])
    y = x[..., :3].sum(axis=2) + rng.normal(size=(200, n))
    w, again = (fits(x, y, net, rng.normal(size=(200, d, 1)), 400) for _ in range(2))
    i, j = np.triu_indices(d, 1)
    rho = (x[..., i] * x[..., j]).mean(axis=1)
    bound = np.sqrt(2 - 2 * rho) * np.linalg.norm(y, axis=1)[:, None] / n**0.5 / (net.l2 / 2)
    ratio = (abs(w[:, i] - w[:, j]) / bound)[w[:, i] * w[:, j] > 0]
    yield holds("|θ_i − θ_j| over its bound in 200 designs, at most", ratio.max(), at_most=1)
    yield holds("|difference| of the ends from two starts", abs(w - again).max(), at_most=1e-10)
    other = coordinate_descent(x[0], y[0], net.l1, net.l2, range(d))
    yield holds("|proximal − coordinate descent|", abs(w[0] - other).max(), at_most=1e-10)
    x, y = near_duplicates(rng, 1, noise=0.0)
    noisy = y + 0.5 * rng.normal(size=(200, 50))
    x = np.broadcast_to(x, (200, 50, 2))
    spread = [fits(x, noisy, p)[:, 0].std() for p in (net, L1(net.l1))]
    yield holds("ρ = 0.998: deviation of θ₁ over the lasso's", spread[0] / spread[1], at_most=0.5)


def multitask(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """300 examples, 20 features of which the first 5 matter, 5 targets."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(300, 20)), np.zeros((20, 5))
    w[:5] = rng.normal(size=(5, 5))
    return x, x @ w + rng.normal(size=(300, 5))


@claim(
    "C61", "TRUE", "002 §组Lasso",
    "Group lasso and the group soft threshold (组Lasso, 组软阈值)",
    "Σ_i‖w_i‖₂ over the rows of W sets a whole row to 0 when its energy is below a threshold that λ "
    "determines.",
    corrected="A row v_i after a gradient step is scaled by max(0, 1 − ηλ/‖v_i‖); at the optimum "
    "‖∇ᵢL₀‖ ≤ λ for the rows that are 0, and ‖∇ᵢL₀‖ = λ for the others.",
)  # fmt: skip
def group_threshold() -> Iterator[Figure]:
    """v − u ∈ k·∂‖u‖, k = ηλ: for u ≠ 0 that is ku/‖u‖, so u is parallel to v and ‖v‖ − k long, if this is
    > 0; for u = 0 it is the ball ‖v‖ ≤ k. At the optimum −∇ᵢL₀ ∈ λ∂‖w_i‖ likewise. With one
    column ‖w_i‖ = |w_i|: the lasso.

    >>> v = np.array([[3.0, 4.0], [0.3, 0.4]])
    >>> P.GroupLasso(1.0, axis=1, scale="none").prox(v, 1.0).round(2)
    array([[2.4, 3.2],
           [0. , 0. ]])
    """
    lam, lr = 0.8, 0.5
    k, v = lam * lr, np.random.default_rng(61).normal(size=(200, 3)) / 3
    size = np.linalg.norm(v, axis=1, keepdims=True)
    formula = np.maximum(0, 1 - k / size) * v
    penalty = GroupLasso(lam, axis=1, scale="none")
    u = prox(penalty, v, lr)
    yield holds("|prox − max(0, 1 − ηλ/‖v‖)v|", abs(u - formula).max(), at_most=1e-14)
    root = prox(GroupLasso(lam / 3**0.5, axis=1), v, lr)  # √|g| = √3 by default
    yield holds("|prox with √|g|‖w_g‖, λ/√3 − the same|", abs(u - root).max(), at_most=1e-14)
    dead = (u == 0).all(axis=1)
    off = (u - v + k * u / np.linalg.norm(u, axis=1, keepdims=True).clip(1e-300))[~dead]
    yield holds("|u − v + ηλu/‖u‖| of rows that live", abs(off).max(), at_most=1e-14)
    yield holds("rows with (u = 0) ≠ (‖v‖ ≤ ηλ)", (dead != (size[:, 0] <= k)).sum(), at_most=0)
    single = prox(penalty, v[:, :1], lr) - prox(L1(lam), v[:, :1], lr)
    yield holds("one column: |prox − soft|", abs(single).max(), at_most=1e-15)
    x, y = multitask(61)
    w = fitted(x, y, GroupLasso(lam := 0.1, axis=0, scale="none"))
    g = np.linalg.norm(2 * x.T @ (x @ w.T - y) / y.size, axis=1)
    live = (w != 0).any(axis=0)
    off = abs(g[live] - lam)
    yield holds("at the optimum |‖∇ᵢL₀‖ − λ| of live rows", off.max(), at_most=1e-11)
    yield holds("‖∇ᵢL₀‖/λ of dead rows, at most", g[~live].max() / lam, at_most=1)


@claim(
    "C62", "TRUE-WITH-CONDITIONS", "002 §组Lasso",
    "Zero rows are irrelevant inputs (输入特征选择)",
    "Row i of W (d × m) holds the weights from input i to all outputs; a row of zeros says that the "
    "model finds input i irrelevant.",
    corrected="In the layout y = xW. Where z = Wx, as in Linear, rows are outputs and inputs are columns: "
    "GroupLasso(axis=0). Live groups stay dense.",
)  # fmt: skip
def input_selection() -> Iterator[Figure]:
    """Input i meets W in Σ_i x_i w_i, so it is without influence iff its whole group is 0. For z = Wx that
    group is a column. Grouping rows there asks for whole outputs to be switched off, and the
    entrywise L1 knows no groups at all: it leaves zeros inside those that live.

    >>> w = np.array([[3.0, 0.1], [4.0, 0.1]])  # (outputs, inputs) as in Linear: the second is weak
    >>> P.GroupLasso(1.0, axis=0, scale="none").prox(w, 1.0).round(2)
    array([[2.4, 0. ],
           [3.2, 0. ]])
    """
    x, y = multitask(62)
    columns, rows = (GroupLasso(0.1, axis=axis, scale="none") for axis in (0, 1))
    inputs, outputs, single = (fitted(x, y, p) != 0 for p in (columns, rows, L1(0.1)))
    true = np.arange(20) < 5
    wrong, dropped = inputs.any(axis=0) != true, ~outputs.any(axis=0)
    yield holds("inputs of 20 kept or dropped wrongly", wrong.sum(), at_most=0)
    yield holds("zeros inside their groups", (~inputs[:, true]).sum(), at_most=0)
    yield breaks("rows as groups: inputs dropped, of 15 useless", dropped.sum(), at_most=0)
    yield breaks("L1: zeros inside the 5 true groups", (~single[:, true]).sum(), at_least=1)
