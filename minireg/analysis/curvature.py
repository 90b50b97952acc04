"""Curvature: the Hessian of any closure over parameters, known by its exact products with vectors.

Closures, parameters and vectors are as in :mod:`minireg.operators`. What takes a closure takes an
operator as well: ``H = Hessian(closure, params)`` records the gradient once, then ``H @ v``,
``eigenvalues(H)`` and ``trace(H)`` cost one backward a product; a :class:`GaussNewton` in its place
answers the same questions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

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
    """The mean of random draws: a float that knows its standard ``error`` (inf for a single draw).

    >>> Estimate([1.0, 2.0, 3.0])
    2 ± 0.58
    """

    error: float

    def __new__(cls, draws: Any) -> Estimate:  # noqa: D102
        self, n = super().__new__(cls, np.mean(draws)), len(draws)
        self.error = float(np.std(draws)) / (n - 1) ** 0.5 if n > 1 else math.inf
        return self

    def __repr__(self) -> str:
        return f"{float(self):.6g} ± {self.error:.2g}"


# --- products and spectra ------------------------------------------------------------------------


def hvp(closure: Closure | Operator, params: Params, vector: Any) -> Any:
    """The exact Hessian-vector product (claim C70; Pearlmutter 1994), in the form of ``vector``.

    ``vector`` is one flat array, or a list of arrays shaped like ``params``. For many products
    with one matrix make a :class:`Hessian`, which saves recording the gradient each time.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> hvp(lambda: w[0] ** 2 * w[1], [w], [np.array([1.0, 0.0])])
    [array([4., 2.], dtype=float32)]
    """
    return as_operator(closure, params) @ vector


def gauss_newton_product(forward: Closure, loss: Loss, params: Params, vector: Any) -> Any:
    """Jᵀ H J v for ``loss(forward())``; see :class:`GaussNewton`.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> gauss_newton_product(lambda: w**2, lambda z: 0.5 * (z * z).sum(), w, np.ones(2))
    array([ 4., 16.], dtype=float32)
    """
    return GaussNewton(forward, loss, params) @ vector


def hessian(closure: Closure | Operator, params: Params = (), max_size: int = 5000) -> Array:
    """The dense matrix (n, n), symmetric to the bit, by n products.

    ``ValueError`` for more than ``max_size`` parameters.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> hessian(lambda: w[0] ** 2 * w[1], w)
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
    which: str = "LA",
    *,
    tol: float = 1e-8,
    vectors: bool = False,
    seed: int = 0,
) -> Any:
    """The ``k`` extreme eigenvalues of the Hessian, ascending (claims C70, C71, C74).

    Parameters
    ----------
    closure, params : see the module; or an :class:`Operator`.
    which : ``"LA"`` largest, ``"SA"`` smallest, ``"BE"`` both ends (one more of the largest if
        k is odd).
    tol : bound on the residual ‖Av − μv‖, relative to the largest magnitude in the spectrum.
    vectors : also return the eigenvectors, columns of (n, k).
    seed : of the start vector.

    By Lanczos on products alone (on the host SciPy's ``eigsh``), or from the dense matrix where n
    is so small that Lanczos would span the whole space. ``ValueError`` for an unknown ``which`` or
    a ``k`` not in 1 … n, ``ImportError`` on the host without SciPy, ``RuntimeError`` if Lanczos
    does not converge. Of an eigenvalue that is repeated, it may miss copies.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> eigenvalues(lambda: (w**3).sum(), w, k=2, which="BE")
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

    ≥ 1 for a positive definite one. ``inf`` for a singular one: λ_min is 0 to rounding, at most
    10·√n·eps·|λ|_max. Negative for an indefinite one, and below 1 for a negative definite one:
    there it says how the ends compare but is no condition number, which would need the
    eigenvalue nearest to 0. ``tol`` and ``seed`` as for :func:`eigenvalues`.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> condition_number(lambda: (w**3).sum(), w)
    2.0
    """
    operator = as_operator(closure, params)
    low, high = (float(eigenvalues(operator, which=e, tol=tol, seed=seed)[0]) for e in ("SA", "LA"))
    singular = abs(low) <= rounding(operator.size, operator.dtype) * max(abs(low), abs(high))
    return math.inf if singular else high / low


def _probes(operator: Operator, count: int, seed: int) -> Iterable[Array]:
    stream = Stream("probes", seed)
    return (np.where(operator.draw(stream) < 0, -1, 1).astype(operator.dtype) for _ in range(count))


def trace(
    closure: Closure | Operator, params: Params = (), probes: int = 30, *, seed: int = 0
) -> Estimate:
    """The trace of the Hessian by Hutchinson's estimator: a float with its standard ``error``.

    The mean of vᵀHv over ``probes`` random vectors of ±1; exact for a diagonal matrix, in
    general with variance 2·Σ_{i≠j} H²ᵢⱼ a probe (Hutchinson 1990).

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> trace(lambda: (w**3).sum(), w)
    18 ± 0
    """
    check_option("trace", 1, probes=probes)
    operator = as_operator(closure, params)
    return Estimate([float(v @ (operator @ v)) for v in _probes(operator, probes, seed)])


class SpectralDensity(NamedTuple):
    """A smoothed density on a grid, and the nodes and weights (sum 1) that it comes from."""

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
    probes, steps : random vectors of ±1, and Lanczos steps from each; the moments up to
        2·steps − 1 are Hutchinson estimates.
    points, width : of the grid, and standard deviation of the Gaussians that smooth the
        nodes (by default a hundredth of their range); the grid reaches 6 widths beyond the nodes.

    Returns host arrays (grid, density, nodes, weights): ∫density = Σweights = 1, Σ weights·nodes
    estimates trace/n, Σ weights·nodes² estimates ‖H‖_F²/n (Ghorbani et al. 2019).

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> found = spectral_density(lambda: (w**3).sum(), w, probes=1)
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
    """A random flat direction over the parameters, drawn from ``seed`` (or the next of a Stream).

    Filter-normalised (Li et al. 2018): each filter (slice along axis 0; a vector is one filter) is
    as long as the parameters' own, and biases and the scales and shifts of normalisations stay put,
    so that rescaled weights get a rescaled direction (claim C74). Otherwise of length 1.

    >>> import minireg as mr
    >>> w = mr.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    >>> np.linalg.norm(random_direction(w).reshape(2, 2), axis=1).round(4)
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
    closure: Closure, params: Params, directions: Sequence[Any], steps: Iterable[Any]
) -> Array:
    """The closure's values at θ + Σ step·direction; then the parameters hold their arrays again."""
    space = Space(params)
    along, arrays, values = [space.flat(d) for d in directions], [p.data for p in space.params], []
    try:
        for step in steps:
            flat = sum(d * float(t) for d, t in zip(along, step, strict=True))
            for p, start, part in zip(space.params, arrays, space.split(flat), strict=True):
                p.data = start + part
            values.append(float(scalar_value(closure)))
    finally:
        for p, start in zip(space.params, arrays, strict=True):
            p.data = start
    return np.array(values)


def line(closure: Closure, params: Params, direction: Any, distances: Sequence[float]) -> Array:
    """The loss at θ + t·direction for each t of ``distances``: a host array of their length.

    The parameters hold their own arrays again afterwards, whatever happens.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> line(lambda: (w * w).sum(), w, np.array([0.0, 1.0]), [-2.0, 0.0, 2.0])
    array([ 1.,  5., 17.])
    """
    return _values(closure, params, [direction], [(t,) for t in distances])


def plane(
    closure: Closure,
    params: Params,
    directions: Sequence[Any],
    a: Sequence[float],
    b: Sequence[float],
) -> Array:
    """The loss at θ + aᵢ·directions[0] + bⱼ·directions[1]: a host array (len(a), len(b)).

    As :func:`line`; :func:`random_direction` with two seeds gives two directions.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> plane(lambda: (w * w).sum(), w, np.eye(2), [-1, 0], [-2, 0, 1])
    array([[ 0.,  4.,  9.],
           [ 1.,  5., 10.]])
    """
    return _values(closure, params, directions, product(a, b)).reshape(len(a), len(b))


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

    ½·[L(θ + r·d) + L(θ − r·d)] − L(θ) over ``directions`` random directions d, see
    :func:`random_direction`: r²/2·dᵀHd for a quadratic. Filter-normalised, r is relative to the
    weights and rescaling them without changing the function changes nothing; otherwise r is a
    length, the rise about r²/2·trace/n, and sharpness a matter of parametrisation (claim C74).

    >>> import minireg as mr
    >>> w = mr.tensor([3.0, 4.0], requires_grad=True)
    >>> round(sharpness(lambda: (w * w).sum(), w, 0.1), 4)
    0.25
    """
    check_option("sharpness", 1, directions=directions)
    params, stream = Space(params).params, Stream("direction", seed)
    drawn = [random_direction(params, filter_normalised, seed=stream) for _ in range(directions)]
    found = [line(closure, params, d, [-radius, 0.0, radius]) for d in drawn]
    return Estimate([(back + forth) / 2 - here for back, here, forth in found])
