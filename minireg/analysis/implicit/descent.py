"""What gradient descent prefers by itself: few steps, finite steps, one solution among many."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...backend import Array
from ...messages import check_option
from ...nn.module import Module
from ...operators import Closure, Hessian, Operator, Params, Space, as_operator
from ...ops.arrays import rank_tolerance, svd
from ...ops.table import array_of
from ...tensor import Tensor
from ..curvature import eigenvalues
from ..inputs import floating, on_host, paired

# --- few steps, finite steps ----------------------------------------------------------------------


def early_stopping_filter(eigenvalues: ArrayLike, lr: float, steps: int) -> Array:
    """1 − (1 − ημ)ᵀ: the part of each mode that T steps of gradient descent learn (claim C107).

    Parameters
    ----------
    eigenvalues : μ, those of a quadratic loss's Hessian, of any shape (…), which the result has.
    lr, steps : η > 0 and T ≥ 0; ``ValueError`` otherwise. Beyond ημ = 2 descent diverges.

    Along each eigenvector, T steps from w₀ go this part of the way from w₀ to the minimum.

    >>> import minireg as mr
    >>> mr.implicit.early_stopping_filter(np.array([0.0, 1.0, 5.0]), lr=0.1, steps=2)
    array([0.  , 0.19, 0.75])
    """
    check_option("early_stopping_filter", "(0, inf)", lr=lr)
    check_option("early_stopping_filter", 0, steps=steps)
    z = lr * floating(eigenvalues, "eigenvalues")
    # Near 0 the difference of two numbers near 1 would lose its digits; what diverges may overflow.
    with np.errstate(over="ignore"):
        small = -np.expm1(steps * np.log1p(-np.minimum(z, 0.5)))
        return np.where(z < 0.5, small, 1 - (1 - z) ** steps)


def ridge_filter(eigenvalues: ArrayLike, strength: float) -> Array:
    """μ/(μ + λ): how much of each mode the L2 penalty ½λ‖w‖² leaves; 0 where μ = 0 (claim C107).

    Parameters
    ----------
    eigenvalues : μ, those of the data loss's Hessian, of any shape (…), which the result has.
    strength : λ ≥ 0; ``ValueError`` otherwise.

    >>> import minireg as mr
    >>> mr.implicit.ridge_filter(np.array([0.0, 1.0, 4.0]), strength=1.0)
    array([0. , 0.5, 0.8])
    """
    if not strength >= 0:
        raise ValueError(f"ridge_filter: strength must be ≥ 0, got {strength!r}")
    mu = floating(eigenvalues, "eigenvalues")
    return np.where(mu == 0, 0, mu / np.where(mu == 0, 1, mu + strength))


def equivalent_strength(eigenvalues: ArrayLike, lr: float, steps: int) -> Array:
    """The λ for which ridge leaves of each mode what T steps learn of it (claims C107, C108).

    μ(1 − ημ)ᵀ/(1 − (1 − ημ)ᵀ): 1/(ηT) for modes with ημT ≪ 1, and falling exponentially for stiff
    ones, so no single λ has the effect of stopping. Negative or infinite where ημ > 1 overshoots.
    Parameters, shapes and the ``ValueError`` are those of :func:`early_stopping_filter`, but T ≥ 1.

    >>> import minireg as mr
    >>> mr.implicit.equivalent_strength(np.array([0.0, 1.0, 10.0]), lr=0.1, steps=2).round(4)
    array([5.    , 4.2632, 0.    ])
    """
    check_option("equivalent_strength", 1, steps=steps)
    mu = floating(eigenvalues, "eigenvalues")
    learnt = early_stopping_filter(mu, lr, steps)
    unlearnt, diverged = learnt == 0, np.isinf(learnt)
    with np.errstate(over="ignore"):
        ratio = (1 - lr * mu) ** steps / np.where(unlearnt | diverged, 1, learnt)
    strength = np.where(unlearnt, np.inf, mu * np.where(diverged, -1, ratio))
    return np.where(mu == 0, 1 / (lr * steps), strength)


class StoppingSpectrum(NamedTuple):
    """What :func:`early_stopping_spectrum` returns: k directions and how far a run went along them.

    A named tuple (``AttributeError`` on assignment); source: claims C107, C108.

    Attributes
    ----------
    eigenvalues : μ of the Hessian (k,), ascending.
    learnt : (k,), the part of the way to the minimum that the given steps should have gone.
    strength : (k,), the λ of the ridge that leaves as much.
    measured : (k,), the part that this run has gone; None if its start was not given.
    vectors : (n, k), the directions as columns.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True)
    >>> mr.implicit.early_stopping_spectrum(lambda: (w * w).sum(), w, lr=0.25, steps=1).learnt
    array([0.5], dtype=float32)
    """

    eigenvalues: Array
    learnt: Array
    strength: Array
    measured: Array | None
    vectors: Array


def early_stopping_spectrum(
    closure: Closure | Operator,
    params: Params = (),
    *,
    lr: float,
    steps: int,
    k: int = 10,
    start: Module | ArrayLike | None = None,
) -> StoppingSpectrum:
    """How far a fit of ``steps`` steps has gone along each direction (claims C107, C108).

    Gives :func:`early_stopping_filter` and :func:`equivalent_strength` for the largest eigenvalues
    of the Hessian at the present parameters.

    Parameters
    ----------
    closure, params : the loss and its parameters, as in :mod:`minireg.analysis.curvature`, errors
        too; or an :class:`~minireg.curvature.Operator`.
    lr, steps : η > 0 and T ≥ 1 of the run. After a ``fit`` that stopped early, T is
        ``history.best_epoch`` times the batches per epoch.
    k : number of eigenvalues, at most n.
    start : the parameters before the run, as a Module (a deep copy), a list of arrays or a flat
        array (n,). With it, the part of the way that was gone is measured: moved against moved plus
        what Newton's step would still go, vᵢ·(w − w₀) / vᵢ·(w − w₀ − ∇L/μᵢ).

    ``ValueError`` for a start of another shape, one that shares the parameters' memory, and one
    with an operator that is no Hessian.

    Exact for a quadratic loss under full-batch gradient descent at a constant ``lr`` without
    momentum, where ``learnt`` and ``measured`` agree. Otherwise it describes the quadratic at the
    fit, a good approximation only near a minimum: momentum m is about 1/(1 − m) as fast, a schedule
    acts like its mean rate, Adam has another filter, and along a negative μ there is no minimum.

    >>> import minireg as mr
    >>> w = mr.tensor(np.zeros(2), requires_grad=True)
    >>> loss = lambda: 0.5 * (w[0] - 1) ** 2 + 5 * (w[1] - 1) ** 2
    >>> for _ in range(3): _ = w.assign(w.data - 0.05 * mr.grad(loss(), w)[0].data)
    >>> found = mr.implicit.early_stopping_spectrum(loss, w, lr=0.05, steps=3, start=np.zeros(2))
    >>> found.eigenvalues, found.learnt.round(4), found.measured.round(4)
    (array([ 1., 10.]), array([0.1426, 0.875 ]), array([0.1426, 0.875 ]))
    """
    operator = as_operator(closure, params)
    mu, vectors = eigenvalues(operator, k=min(k, operator.size), vectors=True)
    measured = None if start is None else _part_gone(operator, start, mu, vectors)
    learnt, strength = early_stopping_filter(mu, lr, steps), equivalent_strength(mu, lr, steps)
    return StoppingSpectrum(mu, learnt, strength, measured, vectors)


def _part_gone(operator: Operator, start: Module | ArrayLike, mu: Array, vectors: Array) -> Array:
    """The part of the way from ``start`` to the minimum that is gone, along each vector."""
    if not isinstance(operator, Hessian):
        raise ValueError(
            "early_stopping_spectrum: start needs a Hessian, whose gradient says how far it still "
            f"is to the minimum, got a {type(operator).__name__}; leave start out"
        )
    origin: Any = [p.data for p in Space(start).params] if isinstance(start, Module) else start
    here = [p.data for p in operator.params]
    given = [array_of(a) for a in (origin if isinstance(origin, list | tuple) else [origin])]
    if any(type(a) is type(p) and np.shares_memory(a, p) for a in given for p in here):
        raise ValueError(
            "early_stopping_spectrum: start shares memory with the parameters, so it has moved "
            "with them; pass a copy from before the run, copy.deepcopy(model) or "
            "[p.numpy().copy() for p in params]"
        )
    pairs = zip(here, operator.gradients, strict=True)
    slope = operator.join([np.zeros_like(p) if g is None else g.data for p, g in pairs])
    moved = (operator.join(here) - operator.flat(origin)) @ vectors
    ahead = -(slope @ vectors) / np.where(mu == 0, np.nan, mu)  # Newton's step
    whole = moved + ahead
    return moved / np.where(whole == 0, np.nan, whole)


def step_penalty(closure: Closure, params: Params, lr: float) -> Tensor:
    r"""(η/4)‖∇L‖²: what gradient descent's finite step adds to the loss it follows (claim C101).

    Descent with rate η stays within O(η²) of the gradient flow of
    :math:`L + \tfrac\eta4\|\nabla L\|^2`, and only O(η) of L's own (Barrett & Dherin 2021): it
    prefers flat slopes. Returns a scalar Tensor; its gradient :math:`\tfrac\eta2 H\nabla L` is
    found by autograd, or by :func:`minireg.curvature.hvp`.

    Parameters
    ----------
    closure, params : as in :mod:`minireg.analysis.curvature`, errors too.
    lr : η > 0; ``ValueError`` otherwise.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> value = mr.implicit.step_penalty(lambda: (w * w).sum(), w, lr=0.1)
    >>> round(value.item(), 6), mr.grad(value, w)[0].numpy().round(6)
    (0.5, array([0.2, 0.4], dtype=float32))
    """
    check_option("step_penalty", "(0, inf)", lr=lr)
    gradients = [g for g in Hessian(closure, params).gradients if g is not None]
    first, *rest = ((g * g).sum() for g in gradients)
    return sum(rest, first) * (lr / 4)


def degrees_of_freedom(x: ArrayLike, strength: float) -> float:
    """Σ μ/(μ + λ), μ the eigenvalues of XᵀX/N: what ridge leaves of a linear model (claim C06).

    The trace of the hat matrix, from rank(X) at λ = 0 down to 0, of ridge with the *half* mean
    squared error, ‖y − Xw‖²/2N + ½λ‖w‖². ``nn.MSELoss`` has no half: for it pass half the strength
    of ``L2``. x is (N, d); ``ValueError`` unless ``strength`` λ ≥ 0, ``LinAlgError`` if x holds NaN
    or inf.

    >>> import minireg as mr
    >>> round(mr.implicit.degrees_of_freedom(np.diag([1.0, 2.0]), strength=0.5), 4)
    1.3
    """
    inputs = floating(x)
    s = svd(inputs)[1]
    mu = np.where(s > rank_tolerance(inputs, s), s * s / len(inputs), 0)
    return float(ridge_filter(mu, strength).sum())


# --- what is chosen among many --------------------------------------------------------------------


class MaxMargin(NamedTuple):
    """What :func:`max_margin` returns, a named tuple (``AttributeError`` on assignment).

    Attributes
    ----------
    direction : the unit normal (d,) of the hyperplane.
    margin : distance of the hyperplane to the nearest samples.
    support : indices of those samples that determine it.

    >>> import minireg as mr
    >>> mr.implicit.max_margin([[2.0], [-3.0]], [1, -1])
    MaxMargin(direction=array([1.]), margin=2.0, support=array([0]))
    """

    direction: Array
    margin: float
    support: Array


def max_margin(x: ArrayLike, y: ArrayLike) -> MaxMargin:
    """The hyperplane through 0 farthest from all samples: the limit of logistic descent (C121).

    On separable data the norm of unpenalised logistic regression grows like log t while its
    direction tends to this one (Soudry et al. 2018). x is (N, d), labels y (N,) are −1 and 1. For a
    bias that is trained like a weight append a column of ones to x.

    min ‖w‖ over yᵢxᵢ·w ≥ 1 is a least-distance problem, solved to rounding by non-negative least
    squares (Lawson & Hanson 1974, ch. 23). Raises ``ValueError`` for other shapes and labels and
    for data that are not separable through the origin.

    >>> import minireg as mr
    >>> found = mr.implicit.max_margin([[3.0, 1.0], [-1.0, 3.0], [-1.0, -5.0]], [1, 1, -1])
    >>> found.direction.round(4), round(found.margin, 4), found.support
    (array([0.4472, 0.8944]), 2.2361, array([0, 1]))
    """
    inputs, labels = paired("max_margin", x, y)
    if not np.isin(labels, (-1, 1)).all():
        raise ValueError(
            f"max_margin: labels must be -1 and 1, got {np.unique(labels)[:4]}; map them first"
        )
    size = float(np.abs(inputs).max()) or 1.0
    points = inputs * (labels[:, None] / size)
    goal = np.append(np.zeros(inputs.shape[1]), 1.0)
    support = np.flatnonzero(_nnls(np.vstack([points.T, np.ones(len(labels))]), goal))
    w = np.linalg.lstsq(points[support], np.ones(len(support)), rcond=None)[0]
    if not (points @ w).min() >= 1 - 1e-6:
        raise ValueError(
            "max_margin: no hyperplane through the origin separates the two classes; append a "
            "column of ones to x for one that need not pass through it"
        )
    norm = float(np.linalg.norm(w))
    return MaxMargin(w / norm, size / norm, support)


def _nnls(a: Array, b: Array) -> Array:
    """argmin ‖ax − b‖ over x ≥ 0 by its active set: the other entries are exactly 0."""
    x, best = np.zeros(a.shape[1]), math.inf
    free, tiny = x > 0, 10 * max(a.shape) * np.finfo(float).eps * np.abs(a).max() * np.abs(b).max()
    while (size := float(np.linalg.norm(rest := b - a @ x))) < best:  # rounding ends it, too
        pull, best = np.where(free, 0.0, rest @ a), size
        if pull.max() <= tiny:
            break
        free[pull.argmax()] = True
        goal = _on(free, a, b)
        while (out := free & (goal <= 0)).any():  # as far as all stay ≥ 0; what gets to 0 leaves
            share = np.where(out, x, np.inf) / np.where(x > goal, x - goal, 1.0)
            x += share.min() * (goal - x)
            free &= share > share.min()
            goal = _on(free, a, b)
        x = goal
    return x


def _on(free: Array, a: Array, b: Array) -> Array:
    """Least squares with these entries alone."""
    x = np.zeros(len(free))
    x[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
    return x


def angle(u: ArrayLike, v: ArrayLike) -> float:
    """The angle between two arrays as flat vectors, in degrees, accurate also for small ones.

    2·atan2(‖û − v̂‖, ‖û + v̂‖) of the unit vectors (Kahan 2006). ``ValueError`` for arrays of
    different sizes and for a vector 0.

    >>> import minireg as mr
    >>> round(mr.implicit.angle([1.0, 0.0], [1.0, 1.0]), 10)
    45.0
    """
    a, b = on_host(u).reshape(-1), on_host(v).reshape(-1)
    if a.shape != b.shape or not a.any() or not b.any():
        raise ValueError(f"angle: got {a.size} and {b.size} elements, expected as many, not all 0")
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return math.degrees(2 * math.atan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))


def nearest_interpolant(x: ArrayLike, y: ArrayLike, start: ArrayLike | None = None) -> Array:
    """start + X⁺(y − X·start): the interpolant nearest to start, where descent ends (claim C123).

    Gradient descent on least squares stays in the row space of X, so it ends here; where no
    interpolant exists, at the least-squares solution nearest to start.

    Parameters
    ----------
    x, y : (N, d), and (N,) or (N, k); ``ValueError`` otherwise.
    start : (d,) or (d, k), by default 0.

    Returns an array on the host of the shape of ``start``, in float64.

    >>> import minireg as mr
    >>> nearest_interpolant = mr.implicit.nearest_interpolant
    >>> nearest_interpolant([[1.0, 1.0]], [2.0]).round(12)
    array([1., 1.])
    >>> nearest_interpolant([[1.0, 1.0]], [2.0], start=[3.0, 1.0]).round(12) + 0.0
    array([2., 0.])
    """
    a, b = on_host(x), on_host(y)
    if a.ndim != 2 or b.shape[:1] != a.shape[:1]:
        raise ValueError(
            f"nearest_interpolant: got x {a.shape} and y {b.shape}, expected (N, d) and (N, …)"
        )
    origin = np.zeros((a.shape[1], *b.shape[1:])) if start is None else on_host(start)
    return origin + np.linalg.lstsq(a, b - a @ origin, rcond=None)[0]
