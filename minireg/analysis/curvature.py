"""Curvature: the Hessian of any closure over parameters, known by its exact products with vectors.

Closures, parameters and vectors are as in :mod:`minireg.operators`: a closure takes no arguments
and returns a scalar Tensor, parameters are a Module, a Tensor or a list of Tensors, n elements in
all. Every function that takes a closure also takes an operator: ``H = Hessian(closure, params)``
records the gradient once, then ``H @ v``, ``eigenvalues(H)`` and ``trace(H)`` cost one backward
pass per product. A :class:`GaussNewton` matrix may stand in its place.

All raise ``TypeError`` for a closure that is no function or returns no Tensor, and ``ValueError``
for one whose value is no scalar or depends on none of the parameters, and for parameters that need
no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..backend import Array
from ..messages import check_option
from ..operators import (
    Closure,
    GaussNewton,
    Hessian,
    Loss,
    Operator,
    Params,
    Space,
    as_operator,
    extremes,
    scalar_value,
)
from ..ops.iterations import ROOM, quadrature, rounding
from ..random import Stream

__all__ = [
    "Estimate", "GaussNewton", "Hessian", "Operator", "Space", "SpectralDensity",
    "condition_number", "eigenvalues", "gauss_newton_product", "hessian", "hvp", "line", "plane",
    "random_direction", "sharpness", "spectral_density", "trace",
]  # fmt: skip


class Estimate(float):
    """The mean of random draws: a float that knows its standard ``error``.

    Parameters
    ----------
    draws : the numbers (n,), n ≥ 1. ``error`` is s/√n with s the standard deviation of the sample,
        ``inf`` for a single draw.

    The mean and s are those of :func:`numpy.mean` and :func:`numpy.std` (with ``ddof=1``).
    ``TypeError`` for draws without a length.

    >>> import minireg as mr
    >>> mr.curvature.Estimate([1.0, 2.0, 3.0])
    2 ± 0.58
    """

    error: float

    def __new__(cls, draws: Sequence[float]) -> Estimate:  # noqa: D102
        self, n = super().__new__(cls, np.mean(draws)), len(draws)
        self.error = float(np.std(draws)) / (n - 1) ** 0.5 if n > 1 else math.inf
        return self

    def __repr__(self) -> str:
        return f"{float(self):.6g} ± {self.error:.2g}"


# --- products and spectra ------------------------------------------------------------------------


def hvp(closure: Closure | Operator, params: Params, vector: ArrayLike) -> Any:
    """The exact Hessian-vector product (claim C70; Pearlmutter 1994), in the form of ``vector``.

    Parameters
    ----------
    closure, params : see the module, errors too.
    vector : one flat array (n,), or a list of arrays shaped like ``params``; ``ValueError`` for
        other shapes.

    For many products with one matrix make a :class:`Hessian`, which records the gradient once.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> mr.curvature.hvp(lambda: w[0] ** 2 * w[1], [w], [np.array([1.0, 0.0])])
    [array([4., 2.], dtype=float32)]
    """
    return as_operator(closure, params) @ vector


def gauss_newton_product(forward: Closure, loss: Loss, params: Params, vector: ArrayLike) -> Any:
    """Jᵀ H J v, the product of ``loss(forward())``'s Gauss–Newton matrix with ``vector``.

    Parameters
    ----------
    forward : returns the output z, a Tensor of any shape.
    loss : a scalar Tensor from z.
    params, vector : as for :func:`hvp`; ``ValueError`` and ``TypeError`` too.

    For many products make a :class:`GaussNewton` (Schraudolph 2002), which is recorded once.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> half_square = lambda z: 0.5 * (z * z).sum()
    >>> mr.curvature.gauss_newton_product(lambda: w**2, half_square, w, np.ones(2))
    array([ 4., 16.], dtype=float32)
    """
    return GaussNewton(forward, loss, params) @ vector


def hessian(closure: Closure | Operator, params: Params = (), max_size: int = 5000) -> Array:
    """The dense matrix (n, n), exactly symmetric, from n products (as ``torch.func.hessian``).

    Parameters
    ----------
    closure, params : see the module, errors too; or an :class:`Operator`.
    max_size : the largest n, ``ValueError`` for more: 5000² elements take 100 MB in float32.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> mr.curvature.hessian(lambda: w[0] ** 2 * w[1], w)
    array([[4., 2.],
           [2., 0.]], dtype=float32)
    """
    operator = as_operator(closure, params)
    if operator.size > max_size:
        raise ValueError(
            f"hessian: {operator.size:,} parameters make a matrix of {operator.size**2:,} "
            f"elements; pass max_size={operator.size} if that is meant, or use hvp, eigenvalues "
            "or trace"
        )
    return operator.dense()


def eigenvalues(
    closure: Closure | Operator,
    params: Params = (),
    k: int = 1,
    which: Literal["LA", "SA", "BE"] = "LA",
    *,
    tol: float = 1e-8,
    vectors: bool = False,
    seed: int = 0,
) -> Any:
    """The ``k`` extreme eigenvalues of the Hessian, ascending (claims C70, C71, C74).

    Parameters
    ----------
    closure, params : see the module, errors too; or an :class:`Operator`.
    k : how many, 1 … n.
    which : ``"LA"`` largest, ``"SA"`` smallest, ``"BE"`` both ends (one more of the largest if
        k is odd).
    tol : bound on the residual ‖Av − μv‖, relative to the largest magnitude in the spectrum.
    vectors : also return the eigenvectors, columns of (n, k).
    seed : of the start vector.

    Returns the eigenvalues (k,), or (eigenvalues, eigenvectors).

    By Lanczos on products alone, or from the dense matrix where n is so small that Lanczos would
    span the whole space. It may miss copies of a repeated eigenvalue. ``ValueError`` for an
    unknown ``which`` or a ``k`` not in 1 … n, ``RuntimeError`` if Lanczos does not converge.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> mr.curvature.eigenvalues(lambda: (w**3).sum(), w, k=2, which="BE")
    array([ 6., 12.], dtype=float32)
    """
    operator = as_operator(closure, params)
    n, low = operator.size, {"LA": 0, "SA": k, "BE": k // 2}.get(which)
    if low is None or not isinstance(k, int | np.integer) or not 1 <= k <= n:
        raise ValueError(
            f"eigenvalues: got k={k}, which={which!r}, expected k in 1 … {n} and 'LA', 'SA' or 'BE'"
        )
    if n <= 2 * k + ROOM:
        values, columns = np.linalg.eigh(operator.dense())
        high = n - k + low
        ends = [(values[:low], columns[:, :low]), (values[high:], columns[:, high:])]
    else:
        counts = {"SA": low, "LA": k - low}.items()
        ends = [extremes(operator, end, count, tol, seed) for end, count in counts if count]
    found = tuple(np.concatenate(parts, axis=-1) for parts in zip(*ends, strict=True))
    return found if vectors else found[0]


def condition_number(
    closure: Closure | Operator, params: Params = (), *, tol: float = 1e-8, seed: int = 0
) -> float:
    """λ_max/λ_min of the Hessian (claims C71, C72).

    ≥ 1 if it is positive definite, ``inf`` if it is singular (|λ_min| ≤ 10·√n·eps·|λ|_max, which
    is 0 to rounding). Negative if it is indefinite, and below 1 if it is negative definite: then
    the ratio compares the ends of the spectrum but is no condition number, which would need the
    eigenvalue nearest to 0. ``closure``, ``params``, ``tol`` and ``seed`` are those of
    :func:`eigenvalues`, and so are errors: ``RuntimeError`` if Lanczos does not converge.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> mr.curvature.condition_number(lambda: (w**3).sum(), w)
    2.0
    """
    operator = as_operator(closure, params)
    low = float(eigenvalues(operator, which="SA", tol=tol, seed=seed)[0])
    high = float(eigenvalues(operator, which="LA", tol=tol, seed=seed)[0])
    singular = abs(low) <= rounding(operator.size, operator.dtype) * max(abs(low), abs(high))
    return math.inf if singular else high / low


def _probes(operator: Operator, count: int, seed: int) -> Iterable[Array]:
    stream = Stream("probes", seed)
    return (np.where(operator.draw(stream) < 0, -1, 1).astype(operator.dtype) for _ in range(count))


def trace(
    closure: Closure | Operator, params: Params = (), probes: int = 30, *, seed: int = 0
) -> Estimate:
    """The trace of the Hessian by Hutchinson's estimator: a float with its standard ``error``.

    The mean of vᵀHv over random vectors v of ±1: exact for a diagonal matrix, otherwise with the
    variance 2·Σ_{i≠j} H²ᵢⱼ per probe (Hutchinson 1990).

    Parameters
    ----------
    closure, params : see the module, errors too; or an :class:`Operator`.
    probes : how many vectors; ``ValueError`` unless ≥ 1.
    seed : of the vectors.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> mr.curvature.trace(lambda: (w**3).sum(), w)
    18 ± 0
    """
    check_option("trace", 1, probes=probes)
    operator = as_operator(closure, params)
    return Estimate([float(v @ (operator @ v)) for v in _probes(operator, probes, seed)])


class SpectralDensity(NamedTuple):
    """What :func:`spectral_density` returns: arrays on the host, in float64.

    A named tuple (``AttributeError`` on assignment).

    Attributes
    ----------
    grid, density : (points,), eigenvalues and the smoothed density there.
    nodes, weights : (at most probes·steps,), the discrete distribution that was smoothed; the
        weights sum to 1.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> found = mr.curvature.spectral_density(lambda: (w**3).sum(), w, points=100)
    >>> found.grid.shape, round(float(found.weights.sum()), 6)
    ((100,), 1.0)
    """

    grid: Array
    density: Array
    nodes: Array
    weights: Array


def spectral_density(
    closure: Closure | Operator,
    params: Params = (),
    probes: int = 10,
    steps: int = 80,
    *,
    points: int = 1000,
    width: float | None = None,
    seed: int = 0,
) -> SpectralDensity:
    """How the Hessian's eigenvalues are distributed, by stochastic Lanczos quadrature.

    Parameters
    ----------
    closure, params : see the module, errors too; or an :class:`Operator`.
    probes, steps : number of random vectors of ±1, and of Lanczos steps from each; the moments up
        to 2·steps − 1 are Hutchinson estimates.
    points : of the grid, which reaches 6 widths beyond the nodes.
    width : standard deviation of the Gaussians that smooth the nodes; by default a hundredth of
        their range.
    seed : of the vectors.

    Returns a :class:`SpectralDensity`: ∫density = Σ weights = 1, Σ weights·nodes estimates trace/n,
    Σ weights·nodes² estimates ‖H‖_F²/n (Ghorbani et al. 2019). ``ValueError`` unless probes, steps,
    points ≥ 1 and width > 0.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> found = mr.curvature.spectral_density(lambda: (w**3).sum(), w, probes=1)
    >>> found.nodes.round(4), found.weights.round(4)
    (array([ 6., 12.]), array([0.5, 0.5]))
    """
    check_option("spectral_density", 1, probes=probes, steps=steps, points=points)
    operator = as_operator(closure, params)
    runs = [quadrature(operator.__matmul__, v, steps) for v in _probes(operator, probes, seed)]
    nodes, weights = (np.concatenate(parts) for parts in zip(*runs, strict=True))
    low, high = nodes.min(), nodes.max()
    if width is None:  # of a single node, a part of itself
        width = 0.01 * float(max(high - low, 1e-3 * max(abs(low), abs(high))) or 1.0)
    check_option("spectral_density", "(0, inf)", width=width)
    grid = np.linspace(low - 6 * width, high + 6 * width, points)
    bells = np.exp(-0.5 * ((grid[:, None] - nodes) / width) ** 2) / (width * (2 * np.pi) ** 0.5)
    return SpectralDensity(grid, bells @ weights / probes, nodes, weights / probes)


# --- the loss surface ----------------------------------------------------------------------------


def random_direction(
    params: Params, filter_normalised: bool = True, seed: int | Stream = 0
) -> Array:
    """A random direction over the parameters, one flat array (n,).

    Parameters
    ----------
    params : see the module; ``ValueError`` where one needs no gradient.
    filter_normalised : each filter (slice along axis 0; a vector is one filter) is as long as the
        parameters' filter, and biases and the scales and shifts of normalisations stay put, so that
        rescaled weights get a rescaled direction (Li et al. 2018; claim C74). Without it the
        direction has length 1.
    seed : of the draw; or a Stream, of which it is the next draw.

    >>> import minireg as mr
    >>> w = mr.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    >>> np.linalg.norm(mr.curvature.random_direction(w).reshape(2, 2), axis=1).round(4)
    array([5., 0.], dtype=float32)
    """
    space = Space(params)
    flat = space.draw(seed if isinstance(seed, Stream) else Stream("direction", seed))
    if not filter_normalised:
        return flat / np.linalg.norm(flat)
    parts = []
    for p, v in zip(space.params, space.split(flat), strict=True):
        axes = tuple(range(p.ndim > 1, p.ndim))  # a vector is one filter
        size, drawn = (np.sqrt(np.square(a).sum(axis=axes, keepdims=True)) for a in (p.data, v))
        parts.append(v * (size / drawn) if getattr(p, "kind", "weight") == "weight" else 0 * v)
    return space.join(parts)


def _values(
    closure: Closure, params: Params, directions: Iterable[Any], steps: Iterable[Any]
) -> Array:
    """The closure's values at θ + Σ step·direction; then the parameters hold their arrays again."""
    space = Space(params)
    along, arrays, values = [space.flat(d) for d in directions], [p.data for p in space.params], []
    try:
        for step in steps:
            flat: Any = sum(d * float(t) for d, t in zip(along, step, strict=True))
            for p, start, part in zip(space.params, arrays, space.split(flat), strict=True):
                p.data = start + part
            values.append(float(scalar_value(closure)))
    finally:
        for p, start in zip(space.params, arrays, strict=True):
            p.data = start
    return np.array(values)


def line(
    closure: Closure, params: Params, direction: ArrayLike, distances: Iterable[float]
) -> Array:
    """The loss at θ + t·direction for each t of ``distances``: a host array of their length.

    Parameters
    ----------
    closure, params : see the module; the parameters θ hold their arrays again afterwards, also
        after an error.
    direction : one flat array (n,), or a list of arrays shaped like ``params``; ``ValueError`` for
        other shapes.
    distances : the values of t, of either sign.

    :func:`random_direction` gives a direction (Li et al. 2018).

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> mr.curvature.line(lambda: (w * w).sum(), w, np.array([0.0, 1.0]), [-2.0, 0.0, 2.0])
    array([ 1.,  5., 17.])
    """
    return _values(closure, params, [direction], [(t,) for t in distances])


def plane(
    closure: Closure,
    params: Params,
    directions: Iterable[ArrayLike],
    a: Sequence[float],
    b: Sequence[float],
) -> Array:
    """The loss at θ + aᵢ·directions[0] + bⱼ·directions[1]: a host array (len(a), len(b)).

    As :func:`line`, along two directions; ``ValueError`` if there are not two, or for other shapes.
    :func:`random_direction` with two seeds gives two (Li et al. 2018).

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> mr.curvature.plane(lambda: (w * w).sum(), w, np.eye(2), [-1, 0], [-2, 0, 1])
    array([[ 0.,  4.,  9.],
           [ 1.,  5., 10.]])
    """
    along = [*directions]
    if len(along) != 2:
        raise ValueError(f"plane: directions must be two, got {len(along)}; for one take line")
    return _values(closure, params, along, product(a, b)).reshape(len(a), len(b))


def sharpness(
    closure: Closure,
    params: Params,
    radius: float = 0.1,
    filter_normalised: bool = True,
    *,
    directions: int = 10,
    seed: int = 0,
) -> Estimate:
    """The mean rise of the loss at distance ``radius``: a float with its standard ``error``.

    ½·[L(θ + r·d) + L(θ − r·d)] − L(θ), the mean over random directions d: r²/2·dᵀHd for a
    quadratic.

    Parameters
    ----------
    closure, params : see the module, errors too.
    radius : the distance r, relative to the length of the weights if filter-normalised.
    filter_normalised : as for :func:`random_direction`. With it, rescaling the weights without
        changing the function changes nothing; without it, the rise is about r²/2·trace/n and
        sharpness depends on the parametrisation (claim C74).
    directions : how many; ``ValueError`` unless ≥ 1.
    seed : of the directions.

    >>> import minireg as mr
    >>> w = mr.tensor([3.0, 4.0], requires_grad=True)
    >>> round(mr.curvature.sharpness(lambda: (w * w).sum(), w, 0.1), 4)
    0.25
    """
    check_option("sharpness", 1, directions=directions)
    params, stream = Space(params).params, Stream("direction", seed)
    drawn = [random_direction(params, filter_normalised, seed=stream) for _ in range(directions)]
    found = [line(closure, params, d, [-radius, 0.0, radius]) for d in drawn]
    return Estimate([(back + forth) / 2 - here for back, here, forth in found])
