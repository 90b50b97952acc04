r"""Symmetric operators over parameters, known by their products: Hessian, Gauss–Newton, extremes.

*Of what*: a function of no arguments that returns a scalar Tensor, for example
``lambda: objective(model, x, y).total``, of any model, loss and penalties. It must return the same
value each time, so switch dropout off (``model.eval()``); BatchNorm in training mode moves its
running statistics at every call. *At which parameters*: a Module (those of its parameters that are
not frozen), a Tensor, or a list of Tensors. *Vectors* over the parameters are one flat array in
their order, or a list of arrays shaped like them; a product has the form of its vector.

A change of the parameters makes an operator stale, and its next product says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .backend import NUMPY, Array, get, move
from .engine import grad
from .messages import check_parameters, describe, needed
from .nn.module import Module
from .ops import iterations
from .ops.iterations import Product, largest_pairs, quadrature
from .random import Stream
from .tensor import Tensor

Closure = Callable[[], Tensor]
Loss = Callable[[Tensor], Tensor]
Params = Module | Tensor | Iterable[Tensor]


def scalar_value(closure: Closure) -> Tensor:
    """What the closure returns; an error unless that is a Tensor of one element."""
    if not callable(closure):
        raise TypeError(
            "curvature: closure must be a function that computes the loss, got "
            f"{describe(closure)}; write lambda: … around what makes it"
        )
    value = closure()
    if not isinstance(value, Tensor) or value.size != 1:
        raise (ValueError if isinstance(value, Tensor) else TypeError)(
            f"curvature: the closure returned {describe(value)}, expected a Tensor of one element; "
            "reduce it (.sum(), .mean()), and take .total of an Objective's terms"
        )
    return value


def vjp(outputs: Any, inputs: Sequence[Tensor], weights: Sequence[Array]) -> list[Array]:
    """Σ weights·∂outputs/∂inputs, 0 where nothing flows; keeps the graph."""
    live = [i for i, y in enumerate(outputs) if y is not None and y.requires_grad]
    ys, ws = [outputs[i] for i in live], [weights[i] for i in live]
    pairs = zip(inputs, grad(ys, inputs, ws, retain_graph=True, allow_unused=True), strict=True)
    return [np.zeros_like(x.data) if g is None else g.data for x, g in pairs]


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
                f"curvature: params hold {describe(bad[0]) if bad else 'nothing'}, expected "
                "Tensors that require a gradient; pass the Module, whose frozen parameters are "
                "left out"
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
        value = scalar_value(closure)
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
        return vjp(self.gradients, self.params, parts)


class GaussNewton(Operator):
    r"""The generalised Gauss–Newton matrix :math:`J^{\top} H J` of ``loss(forward())``.

    J is the Jacobian of ``forward``'s output z (any shape) at the parameters, H the Hessian of
    the scalar ``loss(z)`` at z: positive semidefinite for a loss convex in z, and the Hessian
    itself where z is linear in the parameters (Schraudolph 2002). J v is pulled back through
    u ↦ Jᵀu, which is linear. ``loss`` must not read the parameters: a penalty's curvature comes on
    top.

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
        pushed = self.middle.product(vjp(self.pulled, [self.dummy], parts))
        return vjp([self.output], self.params, pushed)


def as_operator(closure: Closure | Operator, params: Params) -> Operator:
    """An operator as it is; the Hessian of a closure at ``params``."""
    return closure if isinstance(closure, Operator) else Hessian(closure, params)


# --- ends of the spectrum ------------------------------------------------------------------------


def magnitude(operator: Operator, start: Array, steps: int) -> float:
    """The largest magnitude in the spectrum, from below, by ``steps`` of Lanczos.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> round(magnitude(Hessian(lambda: (w**3).sum(), w), np.ones(2, np.float32), steps=2), 4)
    12.0
    """
    return float(np.abs(quadrature(operator.__matmul__, start, steps)[0]).max())


def extremes(
    operator: Operator, end: str, k: int = 1, tol: float = 1e-8, seed: int = 0
) -> tuple[Array, Array]:
    """The ``k`` eigenvalues, rising, at one end ("LA" or "SA", smallest), and vectors (n, k).

    By Lanczos on products alone, on the host SciPy's; ``tol`` bounds the residual ‖Av − μv‖,
    relative to the largest magnitude in the spectrum. ``RuntimeError`` if it is not reached.
    """
    stream = Stream("eigenvalues", seed)
    start = operator.draw(stream)
    # Scaled, turned and shifted, so that what is sought is largest and lies near 1 to 3, and the
    # limit is relative to the whole matrix: relative to an eigenvalue near 0, it would ask for what
    # rounding cannot give.
    scale = magnitude(operator, start, 10) or 1.0
    scale, limit = scale if end == "LA" else -scale, max(tol / 3, float(np.finfo(start.dtype).eps))
    product: Product = lambda v: (operator @ v) / scale + 2 * v
    if operator.home == NUMPY.name:
        found = _by_scipy(product, start, k, limit)
    else:
        values, vectors, residuals = largest_pairs(product, lambda: operator.draw(stream), k, limit)
        found = (values, vectors) if (residuals <= limit * values).all() else None
    if found is None:
        raise RuntimeError(
            f"eigenvalues: Lanczos did not reach tol={3 * limit:g}, eigenvalues lie too close "
            f"together at the end {end!r}; pass a larger tol (the error of a value is far below it)"
        )
    values, vectors = found
    values = move(((values - 2) * scale).astype(operator.dtype), operator.home)
    order = slice(None, None, 1 if end == "LA" else -1)
    return values[order], vectors[:, order]


def _by_scipy(product: Product, start: Array, k: int, tol: float) -> tuple[Array, Array] | None:
    linalg = needed("eigenvalues needs SciPy", "scipy.sparse.linalg", "'minireg[lessons]'")
    matrix = linalg.LinearOperator((start.size,) * 2, product, dtype=start.dtype)
    room, restarts = 2 * k + iterations.ROOM, iterations.RESTARTS
    try:
        return linalg.eigsh(  # type: ignore[no-any-return]
            matrix, k, which="LA", v0=start, ncv=room, maxiter=restarts, tol=tol
        )
    except linalg.ArpackNoConvergence:
        return None
