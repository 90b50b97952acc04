r"""Curvature: the Hessian of any closure over parameters, known by its exact products with vectors.

*Of what*: a function of no arguments that returns a scalar Tensor, for example
``lambda: objective(model, x, y).total``, of any model, loss and penalties. It must return the same
value each time, so switch dropout off (``model.eval()``); BatchNorm in training mode moves its
running statistics at every call. *At which parameters*: a Module (those of its parameters that are
not frozen), a Tensor, or a list of Tensors. *Vectors* over the parameters are one flat array in
their order, or a list of arrays shaped like them; a product has the form of its vector.

What takes a closure takes an operator as well: ``H = Hessian(closure, params)`` records the
gradient once, then ``H @ v``, ``eigenvalues(H)`` and ``trace(H)`` cost one backward a product; a
:class:`GaussNewton` in its place answers the same questions. A change of the parameters makes an
operator stale, and its next product says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..backend import NUMPY, Array, get, move, of
from ..engine import grad
from ..messages import check_option, check_parameters, describe
from ..nn.module import Module
from ..random import Stream
from ..tensor import Tensor

Closure = Callable[[], Tensor]
Loss = Callable[[Tensor], Tensor]
Params = Module | Tensor | Iterable[Tensor]
Product = Callable[[Array], Array]
ROOM = 64  # dimensions of Lanczos's subspace beyond two for each eigenvalue sought
RESTARTS = 300  # of Lanczos, before it gives up


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


def _scalar(closure: Closure) -> Tensor:
    if not callable(closure):
        raise TypeError(
            f"curvature: closure must be a function that computes the loss, got {describe(closure)}; "
            "write lambda: … around what makes it"
        )
    value = closure()
    if not isinstance(value, Tensor) or value.size != 1:
        raise (ValueError if isinstance(value, Tensor) else TypeError)(
            f"curvature: the closure returned {describe(value)}, expected a Tensor of one element; "
            "reduce it (.sum(), .mean()), and take .total of an Objective's terms"
        )
    return value


def _pull(outputs: Any, inputs: Sequence[Tensor], weights: Sequence[Array]) -> list[Array]:
    """Σ weights·∂outputs/∂inputs, 0 where nothing flows; keeps the graph."""
    live = [i for i, y in enumerate(outputs) if y is not None and y.requires_grad]
    ys, ws = [outputs[i] for i in live], [weights[i] for i in live]
    pairs = zip(inputs, grad(ys, inputs, ws, retain_graph=True, allow_unused=True), strict=True)
    return [np.zeros_like(x.data) if g is None else g.data for x, g in pairs]


# --- operators -----------------------------------------------------------------------------------


class Space:
    """Parameters as one vector space: a vector is a flat array, or a list of arrays like them."""

    def __init__(self, params: Params) -> None:
        if isinstance(params, Module):
            params = [p for p in params.parameters() if p.requires_grad]
        check_parameters("curvature", params)
        self.params = [params] if isinstance(params, Tensor) else list(params)
        bad = [p for p in self.params if not isinstance(p, Tensor) or not p.requires_grad]
        if bad or not self.params:
            raise ValueError(
                f"curvature: params hold {describe(bad[0]) if bad else 'nothing'}, expected Tensors "
                "that require a gradient; pass the Module, whose frozen parameters are left out"
            )
        self.size, self.home = sum(p.size for p in self.params), self.params[0].backend
        self.dtype = np.result_type(*(p.dtype for p in self.params))

    def flat(self, vector: Any) -> Array:
        """One array of ``size`` elements; ``ValueError`` if the shapes are others."""
        listed, shapes = isinstance(vector, list | tuple), [p.shape for p in self.params]
        parts = [v.data if isinstance(v, Tensor) else v for v in (vector if listed else [vector])]
        got = [np.shape(v) for v in parts]
        if got != shapes and (listed or got != [(self.size,)]):
            raise ValueError(
                f"curvature: got a vector of shape {got if listed else got[0]}, expected one flat "
                f"array of {self.size} elements or a list of arrays shaped {shapes}"
            )
        return self.join([move(v, self.home) for v in parts])

    def join(self, parts: Sequence[Array]) -> Array:
        """Arrays shaped like the parameters, one after the other."""
        return np.concatenate([v.reshape(-1) for v in parts]).astype(self.dtype, copy=False)

    def split(self, flat: Array) -> list[Array]:
        """A flat array in parts, shaped like the parameters."""
        parts = np.split(flat, np.cumsum([p.size for p in self.params])[:-1].tolist())
        pairs = zip(parts, self.params, strict=True)
        return [v.reshape(p.shape).astype(p.dtype, copy=False) for v, p in pairs]

    def draw(self, stream: Stream) -> Array:
        """A standard normal vector."""
        return move(stream.normal((self.size,)), self.home).astype(self.dtype)


class Operator(Space):
    """A symmetric matrix over parameters, known by its products ``A @ vector``."""

    product: Callable[[Sequence[Array]], list[Array]]  # with arrays shaped like the parameters

    def __matmul__(self, vector: Any) -> Any:
        found = self.product(self.split(self.flat(vector)))
        return found if isinstance(vector, list | tuple) else self.join(found).reshape(vector.shape)

    def dense(self) -> Array:
        """The whole matrix, symmetric to the bit: as many products as it has rows."""
        rows = get(self.home).xp.eye(self.size, dtype=self.dtype)
        matrix = np.stack([self @ row for row in rows])
        return (matrix + matrix.T) / 2


class Hessian(Operator):
    """∂²closure/∂params²: the gradient is recorded here, a product pulls a vector back through it.

    ``ValueError`` if the closure depends on none of the parameters; those without influence
    have rows of zeros.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> Hessian(lambda: (w**3).sum(), w) @ np.ones(2)
    array([ 6., 12.], dtype=float32)
    """

    def __init__(self, closure: Closure, params: Params) -> None:
        super().__init__(params)
        value = _scalar(closure)
        self.gradients: Sequence[Tensor | None] = ()
        if value.requires_grad:
            self.gradients = grad(value, self.params, create_graph=True, allow_unused=True)
        if all(g is None for g in self.gradients):
            raise ValueError(
                "curvature: the closure's value depends on none of the parameters; compute it from "
                "them, with Tensor operations and outside no_grad()"
            )

    def product(self, parts: Sequence[Array]) -> list[Array]:
        """One backward pass through the recorded gradient."""
        return _pull(self.gradients, self.params, parts)


class GaussNewton(Operator):
    r"""The generalised Gauss–Newton matrix :math:`J^{\top} H J` of ``loss(forward())``.

    J is the Jacobian of ``forward``'s output z (any shape) at the parameters, H the Hessian of
    the scalar ``loss(z)`` at z: positive semidefinite for a loss convex in z, and the Hessian
    itself where z is linear in the parameters (Schraudolph 2002). J v is pulled back through
    u ↦ Jᵀu, which is linear. ``loss`` must not read the parameters: a penalty's curvature comes on top.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> GaussNewton(lambda: w**2, lambda z: 0.5 * (z * z).sum(), w) @ np.ones(2)
    array([ 4., 16.], dtype=float32)
    """

    def __init__(self, forward: Closure, loss: Loss, params: Params) -> None:
        super().__init__(params)
        self.output = forward()
        z = Tensor(self.output.data, requires_grad=True)
        self.middle = Hessian(lambda: loss(z), z)
        u = self.dummy = Tensor(np.zeros_like(z.data), requires_grad=True)
        self.pulled = grad(self.output, self.params, u, create_graph=True, allow_unused=True)

    def product(self, parts: Sequence[Array]) -> list[Array]:
        """Push forward, through the loss, pull back: three backward passes."""
        pushed = self.middle.product(_pull(self.pulled, [self.dummy], parts))
        return _pull([self.output], self.params, pushed)


def _operator(closure: Closure | Operator, params: Params) -> Operator:
    return closure if isinstance(closure, Operator) else Hessian(closure, params)


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
    return _operator(closure, params) @ vector


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
    operator = _operator(closure, params)
    if operator.size > max_size:
        raise ValueError(
            f"hessian: {operator.size:,} parameters make a matrix of {operator.size**2:,} elements; "
            f"pass max_size={operator.size} if that is meant, or use hvp, eigenvalues or trace"
        )
    return operator.dense()


def _project(w: Array, basis: Array) -> tuple[Array, Array]:
    """``w`` less its part in the span of orthonormal rows, and that part's coordinates (host)."""
    part = basis @ w
    w = w - part @ basis
    rest = basis @ w  # twice is enough (Parlett 1998)
    return w - rest @ basis, move(part + rest, NUMPY.name)


def _quadrature(operator: Operator, start: Array, steps: int) -> tuple[Array, Array]:
    """Nodes and weights of ``steps`` of Lanczos: Σ w·f(node) ≈ qᵀf(A)q for q = start/‖start‖.

    Each new direction is orthogonalised against all before it.
    """
    steps = min(steps, operator.size)
    basis = np.zeros_like(start, shape=(steps, operator.size))
    matrix, w = np.zeros((steps, steps)), start
    for j in range(steps):
        basis[j] = w / np.linalg.norm(w)
        w, matrix[j, : j + 1] = _project(operator @ basis[j], basis[: j + 1])
        if np.linalg.norm(w) <= _rounding(operator) * np.abs(matrix).max():  # an invariant subspace
            break
    matrix = matrix[: j + 1, : j + 1]
    if not np.isfinite(matrix).all():
        raise FloatingPointError(
            "curvature: the Hessian holds NaN or inf; look for them in the loss and the parameters"
        )
    nodes, vectors = np.linalg.eigh(matrix)  # reads the lower triangle
    return nodes, vectors[0] ** 2


def _rounding(operator: Operator) -> float:
    """What rounding makes of a 0, relative to the size of the matrix."""
    return 10 * math.sqrt(operator.size) * float(np.finfo(operator.dtype).eps)


def _arpack(product: Product, start: Array, k: int, tol: float) -> tuple[Array, Array] | None:
    try:
        linalg = import_module("scipy.sparse.linalg")
    except ImportError as error:
        raise ImportError("eigenvalues needs SciPy: pip install 'minireg[lessons]'") from error
    matrix = linalg.LinearOperator((start.size,) * 2, product, dtype=start.dtype)
    limits = {"ncv": 2 * k + ROOM, "maxiter": RESTARTS, "tol": tol}
    try:
        values, vectors = linalg.eigsh(matrix, k, which="LA", v0=start, **limits)
    except linalg.ArpackNoConvergence:
        return None
    return values, vectors


def _thick_restart(
    product: Product, start: Array, draw: Callable[[], Array], k: int, tol: float
) -> tuple[Array, Array] | None:
    """What :func:`_arpack` does, where the arrays live: thick restarts (Wu and Simon 2000).

    cupyx's ``eigsh`` is no help: in an invariant subspace (few distinct eigenvalues) it divides by
    0, or by what rounding made of it, and returns NaN or vectors that are none, without a word.
    """
    room, kept, w = 2 * k + ROOM, 0, start
    basis, matrix = np.zeros_like(w, shape=(room, w.size)), np.zeros((room, room))
    here: Product = lambda a: move(a.astype(w.dtype), of(w).name)
    for _ in range(RESTARTS):
        for j in range(kept, room):
            basis[j] = w / np.linalg.norm(w)
            w, matrix[j, : j + 1] = _project(product(basis[j]), basis[: j + 1])
            length = float(np.linalg.norm(w))
            if length <= 10 * np.finfo(w.dtype).eps:  # invariant: go on outside, as ARPACK does
                length, w = 0.0, _project(draw(), basis[: j + 1])[0]
        nodes, s = np.linalg.eigh(matrix)
        done = (length * np.abs(s[-1, -k:]) <= tol * nodes[-k:]).all()
        kept = k if done else k + ROOM // 2
        basis[:kept] = here(s[:, -kept:].T) @ basis
        if done:
            return here(nodes[-k:]), basis[:k].T
        matrix[:] = 0
        matrix[range(kept), range(kept)] = nodes[-kept:]
    return None


def _lanczos(operator: Operator, end: str, k: int, tol: float, seed: int) -> tuple[Array, Array]:
    stream = Stream("eigenvalues", seed)
    start = operator.draw(stream)
    # Scaled, turned and shifted, so that what is sought is largest and lies near 1 to 3, and the
    # limit is relative to the whole matrix: relative to an eigenvalue near 0, it would ask for what
    # rounding cannot give.
    scale = float(np.abs(_quadrature(operator, start, 10)[0]).max()) or 1.0
    scale, limit = scale if end == "LA" else -scale, max(tol / 3, float(np.finfo(start.dtype).eps))
    product: Product = lambda v: (operator @ v) / scale + 2 * v
    if operator.home == NUMPY.name:
        found = _arpack(product, start, k, limit)
    else:
        found = _thick_restart(product, start, lambda: operator.draw(stream), k, limit)
    if found is None:
        raise RuntimeError(
            f"eigenvalues: Lanczos did not reach tol={3 * limit:g}, eigenvalues lie too close together at "
            f"the end {end!r}; pass a larger tol (the error of a value is far below it)"
        )
    values, vectors = found
    order = slice(None, None, 1 if end == "LA" else -1)
    return ((values - 2) * scale)[order], vectors[:, order]


def eigenvalues(
    closure: Closure | Operator, params: Params = (), k: int = 1, which: str = "LA", *,
    tol: float = 1e-8, vectors: bool = False, seed: int = 0,
) -> Any:  # fmt: skip
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
    a ``k`` not in 1 … n, ``ImportError`` on the host without SciPy, ``RuntimeError`` if Lanczos does
    not converge. Of an eigenvalue that is repeated, it may miss copies.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> eigenvalues(lambda: (w**3).sum(), w, k=2, which="BE")
    array([ 6., 12.], dtype=float32)
    """
    operator = _operator(closure, params)
    n, low = operator.size, {"LA": 0, "SA": k, "BE": k // 2}.get(which)
    if low is None or not isinstance(k, int | np.integer) or not 1 <= k <= n:
        raise ValueError(
            f"eigenvalues: got k={k}, which={which!r}, expected k in 1 … {n} and 'LA', 'SA' or 'BE'"
        )
    if n <= 2 * k + ROOM:
        whole = np.linalg.eigh(operator.dense())
        ends = [[a[..., :low] for a in whole], [a[..., n - k + low :] for a in whole]]
    else:
        counts = {"SA": low, "LA": k - low}.items()
        ends = [[*_lanczos(operator, end, count, tol, seed)] for end, count in counts if count]
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
    operator = _operator(closure, params)
    low, high = (float(eigenvalues(operator, which=e, tol=tol, seed=seed)[0]) for e in ("SA", "LA"))
    singular = abs(low) <= _rounding(operator) * max(abs(low), abs(high))
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
    operator = _operator(closure, params)
    return Estimate([float(v @ (operator @ v)) for v in _probes(operator, probes, seed)])


class SpectralDensity(NamedTuple):
    """A smoothed density on a grid, and the nodes and weights (sum 1) that it comes from."""

    grid: Array
    density: Array
    nodes: Array
    weights: Array


def spectral_density(
    closure: Closure | Operator, params: Params = (), probes: int = 10, steps: int = 80, *,
    points: int = 1000, width: float | None = None, seed: int = 0,
) -> SpectralDensity:  # fmt: skip
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
    operator = _operator(closure, params)
    runs = [_quadrature(operator, v, steps) for v in _probes(operator, probes, seed)]
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

    Filter-normalised (Li et al. 2018): each filter (slice along axis 0; a vector is one filter) is as
    long as the parameters' own, and biases and the scales and shifts of normalisations stay
    put, so that rescaled weights get a rescaled direction (claim C74). Otherwise of length 1.

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
            values.append(float(_scalar(closure)))
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
    closure: Closure, params: Params, directions: Sequence[Any], a: Sequence[float], b: Sequence[float]
) -> Array:  # fmt: skip
    """The loss at θ + aᵢ·directions[0] + bⱼ·directions[1]: a host array (len(a), len(b)).

    As :func:`line`; :func:`random_direction` with two seeds gives two directions.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> plane(lambda: (w * w).sum(), w, (np.array([1.0, 0.0]), np.array([0.0, 1.0])), [-1, 0], [-2, 0, 1])
    array([[ 0.,  4.,  9.],
           [ 1.,  5., 10.]])
    """
    return _values(closure, params, directions, product(a, b)).reshape(len(a), len(b))


def sharpness(
    closure: Closure, params: Params, radius: float = 0.1, filter_normalised: bool = True, *,
    directions: int = 10, seed: int = 0,
) -> Estimate:  # fmt: skip
    """The mean rise of the loss at distance ``radius``: a float with its standard ``error``.

    ½·[L(θ + r·d) + L(θ − r·d)] − L(θ) over ``directions`` random directions d, see
    :func:`random_direction`: r²/2·dᵀHd for a quadratic. Filter-normalised, r is relative to the weights
    and rescaling them without changing the function changes nothing; otherwise r is a length,
    the rise about r²/2·trace/n, and sharpness a matter of parametrisation (claim C74).

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
