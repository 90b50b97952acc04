"""What gradient descent prefers by itself: few steps, finite steps, one solution among many."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

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


def early_stopping_filter(eigenvalues: Array, lr: float, steps: int) -> Array:
    """1 − (1 − ημ)ᵀ: what T steps of gradient descent from 0 have learnt of each mode (claim C107).

    μ are the eigenvalues of the loss's Hessian, the loss is quadratic: in its eigenvectors w_T is
    the minimiser times the filter (from another start, so is w_T − w₀). Beyond ημ = 2 it diverges.

    >>> early_stopping_filter(np.array([0.0, 1.0, 5.0]), lr=0.1, steps=2)
    array([0.  , 0.19, 0.75])
    """
    check_option("early_stopping_filter", "(0, inf)", lr=lr)
    check_option("early_stopping_filter", 1, steps=steps)
    z = lr * floating(eigenvalues, "eigenvalues")
    # Near 0 the difference of two numbers near 1 would lose its digits; what diverges may overflow.
    with np.errstate(over="ignore"):
        small = -np.expm1(steps * np.log1p(-np.minimum(z, 0.5)))
        return np.where(z < 0.5, small, 1 - (1 - z) ** steps)


def ridge_filter(eigenvalues: Array, strength: float) -> Array:
    """μ/(μ + λ): how much of each mode the L2 penalty ½λ‖w‖² leaves; 0 where μ = 0 (claim C107).

    μ are the eigenvalues of the data loss's Hessian, as for :func:`early_stopping_filter`.

    >>> ridge_filter(np.array([0.0, 1.0, 4.0]), strength=1.0)
    array([0. , 0.5, 0.8])
    """
    if not strength >= 0:
        raise ValueError(f"ridge_filter: strength must be ≥ 0, got {strength!r}")
    eigenvalues = floating(eigenvalues, "eigenvalues")
    return np.where(
        eigenvalues == 0, 0, eigenvalues / np.where(eigenvalues == 0, 1, eigenvalues + strength)
    )


def equivalent_strength(eigenvalues: Array, lr: float, steps: int) -> Array:
    """The λ for which ridge leaves of each mode what T steps learn of it (claims C107, C108).

    μ(1 − ημ)ᵀ/(1 − (1 − ημ)ᵀ): 1/(ηT) for modes with ημT ≪ 1, and falling exponentially for stiff
    ones, so no single λ does what stopping does. (Where ημ > 1 overshoots it may be negative or
    infinite.)

    >>> equivalent_strength(np.array([0.0, 1.0, 10.0]), lr=0.1, steps=2).round(4)
    array([5.    , 4.2632, 0.    ])
    """
    eigenvalues = floating(eigenvalues, "eigenvalues")
    learnt = early_stopping_filter(eigenvalues, lr, steps)
    flat, unlearnt, lost = eigenvalues == 0, learnt == 0, np.isinf(learnt)
    with np.errstate(over="ignore"):
        ratio = (1 - lr * eigenvalues) ** steps / np.where(unlearnt | lost, 1, learnt)
    left = eigenvalues * np.where(lost, -1, ratio)
    return np.where(flat, 1 / (lr * steps), np.where(unlearnt, np.inf, left))


class StoppingSpectrum(NamedTuple):
    """Of each direction ``vectors[:, i]`` of the parameters (n, k) what a run of T steps made.

    ``eigenvalues`` μ of the Hessian, ascending; ``learnt``, the part of the way to the minimum
    that T steps should have gone; ``strength``, the λ of the ridge that leaves as much; and
    ``measured``, the part that this run has gone, or None if its start was not given.
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
    start: Any = None,
) -> StoppingSpectrum:
    """What stopping after ``steps`` has held back in a fit, by direction (claims C107, C108).

    Takes the ``k`` largest eigenvalues of the Hessian at the parameters as they are (``closure``,
    ``params`` or an operator as in :mod:`minireg.analysis.curvature`), by products alone where
    there are many parameters, and gives :func:`early_stopping_filter` and
    :func:`equivalent_strength`.

    ``start`` are the parameters before the run, as a Module (a deep copy), a list of arrays or a
    flat array (``ValueError`` if it shares the parameters' memory); with it the part of the way
    that was really gone is measured too: moved against moved plus what Newton's step would still
    go, vᵢ·(w − w₀) / vᵢ·(w − w₀ − ∇L/μᵢ). After a ``fit`` that stopped early the steps are
    ``history.best_epoch`` times the batches of an epoch.

    Exact for a quadratic loss under full-batch gradient descent at a constant ``lr`` without
    momentum, where learnt and measured agree. Elsewhere it is the quadratic at the fit, and only
    near a minimum a good one: momentum m goes about 1/(1 − m) as fast, a schedule acts like its
    mean rate, Adam has a filter of its own, and along a negative μ there is no minimum to be held
    back from.

    >>> import minireg as mr
    >>> w = mr.tensor(np.zeros(2), requires_grad=True)
    >>> loss = lambda: 0.5 * (w[0] - 1) ** 2 + 5 * (w[1] - 1) ** 2
    >>> for _ in range(3): _ = w.assign(w.data - 0.05 * mr.grad(loss(), w)[0].data)
    >>> found = early_stopping_spectrum(loss, w, lr=0.05, steps=3, start=np.zeros(2))
    >>> found.eigenvalues, found.learnt.round(4), found.measured.round(4)
    (array([ 1., 10.]), array([0.1426, 0.875 ]), array([0.1426, 0.875 ]))
    """
    operator = as_operator(closure, params)
    mu, vectors = eigenvalues(operator, k=min(k, operator.size), vectors=True)
    measured = None if start is None else _part_gone(operator, start, mu, vectors)
    learnt, strength = early_stopping_filter(mu, lr, steps), equivalent_strength(mu, lr, steps)
    return StoppingSpectrum(mu, learnt, strength, measured, vectors)


def _part_gone(operator: Operator, start: Any, mu: Array, vectors: Array) -> Array:
    """What part of the way from ``start`` to the minimum is gone, along each vector."""
    if not isinstance(operator, Hessian):
        raise ValueError(
            "early_stopping_spectrum: start needs a Hessian, whose gradient says how far it still "
            f"is to the minimum, got a {type(operator).__name__}; leave start out"
        )
    origin = [p.data for p in Space(start).params] if isinstance(start, Module) else start
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
    prefers flat slopes. Returns a scalar Tensor, whose gradient :math:`\tfrac\eta2 H\nabla L`
    autograd finds, or ``curvature.hvp``.

    ``closure`` and ``params`` as in :mod:`minireg.analysis.curvature`.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> value = step_penalty(lambda: (w * w).sum(), w, lr=0.1)
    >>> round(value.item(), 6), mr.grad(value, w)[0].numpy().round(6)
    (0.5, array([0.2, 0.4], dtype=float32))
    """
    check_option("step_penalty", "(0, inf)", lr=lr)
    gradients = [g for g in Hessian(closure, params).gradients if g is not None]
    square: Tensor = sum((g * g).sum() for g in gradients)
    return square * (lr / 4)


def degrees_of_freedom(x: Any, strength: float) -> float:
    """Σ μ/(μ + λ), μ the eigenvalues of XᵀX/N: what ridge leaves of a linear model (claim C06).

    The trace of the hat matrix, from rank(X) at λ = 0 down to 0, of ridge with the *half* mean
    squared error, ‖y − Xw‖²/2N + ½λ‖w‖². ``nn.MSELoss`` has no half: for it pass half the strength
    of ``L2``.

    >>> round(degrees_of_freedom(np.diag([1.0, 2.0]), strength=0.5), 4)
    1.3
    """
    x = floating(x)
    s = svd(x)[1]
    mu = np.where(s > rank_tolerance(x, s), s * s / len(x), 0)
    return float(ridge_filter(mu, strength).sum())


# --- what is chosen among many --------------------------------------------------------------------


class MaxMargin(NamedTuple):
    """Unit ``direction`` (d,), its geometric ``margin``, indices of the ``support`` vectors."""

    direction: Array
    margin: float
    support: Array


def max_margin(x: Any, y: Any) -> MaxMargin:
    """The hyperplane through 0 farthest from all points: where logistic descent heads (claim C121).

    On separable data the norm of unpenalised logistic regression grows like log t while its
    direction tends to this one (Soudry et al. 2018). x is (N, d), labels y are −1 and 1. For a bias
    that is trained like a weight append a column of ones to x.

    min ‖w‖ over yᵢxᵢ·w ≥ 1 is a least-distance problem, solved to rounding by non-negative least
    squares (Lawson & Hanson 1974, ch. 23). Raises ``ValueError`` for other labels and for data that
    are not separable through the origin, ``ImportError`` without SciPy.

    >>> found = max_margin([[3.0, 1.0], [-1.0, 3.0], [-1.0, -5.0]], [1, 1, -1])
    >>> found.direction.round(4), round(found.margin, 4), found.support
    (array([0.4472, 0.8944]), 2.2361, array([0, 1]))
    """
    try:
        from scipy.optimize import nnls
    except ImportError as error:
        raise ImportError("max_margin needs SciPy: pip install 'minireg[lessons]'") from error
    x, y = paired("max_margin", x, y)
    if not np.isin(y, (-1, 1)).all():
        raise ValueError(
            f"max_margin: labels must be -1 and 1, got {np.unique(y)[:4]}; map them first"
        )
    size = float(np.abs(x).max()) or 1.0
    points = x * (y[:, None] / size)
    goal = np.append(np.zeros(x.shape[1]), 1.0)
    support = np.flatnonzero(nnls(np.vstack([points.T, np.ones(len(y))]), goal)[0])
    w = np.linalg.lstsq(points[support], np.ones(len(support)), rcond=None)[0]
    if not (points @ w).min() >= 1 - 1e-6:
        raise ValueError(
            "max_margin: no hyperplane through the origin separates the two classes; append a "
            "column of ones to x for one that need not pass through it"
        )
    norm = float(np.linalg.norm(w))
    return MaxMargin(w / norm, size / norm, support)


def angle(u: Any, v: Any) -> float:
    """The angle between two arrays as vectors, in degrees, accurate for small ones (Kahan).

    >>> round(angle([1.0, 0.0], [1.0, 1.0]), 10)
    45.0
    """
    u, v = on_host(u).reshape(-1), on_host(v).reshape(-1)
    if u.shape != v.shape or not u.any() or not v.any():
        raise ValueError(f"angle: got {u.size} and {v.size} elements, expected as many, not all 0")
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    return math.degrees(2 * math.atan2(np.linalg.norm(u - v), np.linalg.norm(u + v)))


def nearest_interpolant(x: Any, y: Any, start: Any = None) -> Array:
    """start + X⁺(y − X·start): the interpolant nearest to start, where descent ends (claim C123).

    Of least squares on x (N, d), y (N,) or (N, k), by gradient descent from ``start``, 0 by
    default: the steps stay in the row space. Without an interpolant it is the least-squares
    solution nearest to start.

    >>> nearest_interpolant([[1.0, 1.0]], [2.0]).round(12)
    array([1., 1.])
    >>> nearest_interpolant([[1.0, 1.0]], [2.0], start=[3.0, 1.0]).round(12) + 0.0
    array([2., 0.])
    """
    x, y = on_host(x), on_host(y)
    if x.ndim != 2 or y.shape[:1] != x.shape[:1]:
        raise ValueError(
            f"nearest_interpolant: got x {x.shape} and y {y.shape}, expected (N, d) and (N, …)"
        )
    origin = np.zeros((x.shape[1], *y.shape[1:])) if start is None else on_host(start)
    return origin + np.linalg.lstsq(x, y - x @ origin, rcond=None)[0]
