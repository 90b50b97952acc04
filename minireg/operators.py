r"""Symmetric operators over parameters, known by their products: Hessian, Gauss–Newton, extremes.

A *closure* is a function of no arguments that returns a scalar Tensor, for example
``lambda: objective(model, x, y).total``, of any model, loss and penalties. It must return the same
value each time, so switch dropout off (``model.eval()``); BatchNorm in training mode moves its
running statistics at every call. *Parameters* are a Module (those of its parameters that are not
frozen), a Tensor, or several Tensors. A *vector* over the parameters is one flat array in their
order, or a list of arrays shaped like them; a product has the form of its vector.

After a change of the parameters the next product of an operator raises ``RuntimeError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .backend import Array, get, move
from .engine import grad
from .messages import check_parameters, describe
from .nn.module import Module
from .ops.iterations import Product, largest_pairs, quadrature
from .random import Stream
from .tensor import Tensor

Closure = Callable[[], Tensor]
Loss = Callable[[Tensor], Tensor]
Params = Module | Tensor | Iterable[Tensor]


def scalar_value(closure: Closure) -> Tensor:
    """What the closure returns; ``TypeError`` or ``ValueError`` unless that is a Tensor of one element."""
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


def vjp(
    outputs: Sequence[Tensor | None], inputs: Sequence[Tensor], weights: Sequence[Array]
) -> list[Array]:
    """Σ weights·∂outputs/∂inputs for each input, 0 for one that has no influence; keeps the graph."""
    pairs = zip(outputs, weights, strict=True)
    live = [(y, w) for y, w in pairs if y is not None and y.requires_grad]
    ys, ws = [y for y, _ in live], [w for _, w in live]
    gradients = grad(ys, inputs, ws, retain_graph=True, allow_unused=True)
    found = zip(inputs, gradients, strict=True)
    return [np.zeros_like(x.data) if g is None else g.data for x, g in found]


class Space:
    """Parameters as one vector space: a vector is a flat array, or a list of arrays like them.

    Parameters
    ----------
    params : a Module (its parameters that are not frozen), a Tensor, or several.

    Attributes
    ----------
    size : number of elements n of all parameters.
    backend, dtype : of a flat vector, (n,).

    ``TypeError`` for a function in place of parameters, ``ValueError`` for none or for Tensors that
    require no gradient. As :func:`numpy.concatenate` and :func:`numpy.split` of the parameters:

    >>> import minireg as mr
    >>> space = mr.curvature.Space(mr.nn.Linear(2, 1)); flat = np.array([1.0, 2.0, 3.0])
    >>> [part.tolist() for part in space.split(flat)]
    [[[1.0, 2.0]], [3.0]]
    """

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
        self.size, self.backend = sum(p.size for p in self.params), self.params[0].backend
        self.dtype = np.result_type(*(p.dtype for p in self.params))

    def flat(self, vector: ArrayLike) -> Array:
        """A vector as one array (size,), on the parameters' backend; ``ValueError`` for other shapes."""
        listed, shapes = isinstance(vector, list | tuple), [p.shape for p in self.params]
        given: Any = vector if listed else [vector]
        parts = [v.data if isinstance(v, Tensor) else v for v in given]
        got: list[Any] = [np.shape(v) for v in parts]
        if got != shapes and (listed or got != [(self.size,)]):
            raise ValueError(
                f"curvature: got a vector of shape {got if listed else got[0]}, expected one flat "
                f"array of {self.size} elements or a list of arrays shaped {shapes}"
            )
        return self.join([move(v, self.backend) for v in parts])

    def join(self, parts: Sequence[Array]) -> Array:
        """One flat array (size,) of arrays shaped like the parameters."""
        return np.concatenate([v.reshape(-1) for v in parts]).astype(self.dtype, copy=False)

    def split(self, flat: Array) -> list[Array]:
        """A flat array (size,) as arrays shaped like the parameters, in their dtypes."""
        parts = np.split(flat, np.cumsum([p.size for p in self.params])[:-1].tolist())
        pairs = zip(parts, self.params, strict=True)
        return [v.reshape(p.shape).astype(p.dtype, copy=False) for v, p in pairs]

    def draw(self, stream: Stream) -> Array:
        """A standard normal vector (size,)."""
        return move(stream.normal((self.size,)), self.backend).astype(self.dtype)


class Operator(Space):
    """A symmetric matrix over parameters, known by its products ``A @ vector``.

    A subclass defines ``product``, from a list of arrays shaped like the parameters to another
    (as ``scipy.sparse.linalg.LinearOperator``). ``A @ vector`` has the form of its vector;
    ``ValueError`` for other shapes, and as :class:`Space`.

    >>> import minireg as mr
    >>> class Twice(mr.curvature.Operator):
    ...     def product(self, parts): return [2 * part for part in parts]
    >>> Twice(mr.tensor([1.0, 2.0], requires_grad=True)) @ np.array([1.0, 3.0])
    array([2., 6.], dtype=float32)
    """

    product: Callable[[Sequence[Array]], list[Array]]  # of arrays shaped like the parameters

    def __matmul__(self, vector: ArrayLike) -> Any:
        found = self.product(self.split(self.flat(vector)))
        return (
            found
            if isinstance(vector, list | tuple)
            else self.join(found).reshape(np.shape(vector))
        )

    def dense(self) -> Array:
        """The matrix (size, size), exactly symmetric, from ``size`` products."""
        rows = get(self.backend).xp.eye(self.size, dtype=self.dtype)
        matrix = np.stack([self @ row for row in rows])
        return (matrix + matrix.T) / 2


class Hessian(Operator):
    """∂²closure/∂params², n×n: the gradient is recorded once, each product is a backward pass through it.

    Parameters
    ----------
    closure : returns a scalar Tensor, see the module.
    params : see :class:`Space`, with its errors. Those without influence have rows of zeros.

    ``TypeError`` or ``ValueError`` for a closure that returns no scalar Tensor, ``ValueError`` for a
    value that depends on none of the parameters. Pearlmutter 1994 (claim C70).

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> mr.curvature.Hessian(lambda: (w**3).sum(), w) @ np.ones(2)
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
        """H·v, by one backward pass through the recorded gradient."""
        return vjp(self.gradients, self.params, parts)


class GaussNewton(Operator):
    r"""The generalised Gauss–Newton matrix :math:`J^{\top} H J` of ``loss(forward())``, n×n.

    J is the Jacobian of the output z at the parameters, H the Hessian of the loss at z: positive
    semidefinite for a loss convex in z, and the Hessian itself where z is linear in the parameters
    (Schraudolph 2002).

    Parameters
    ----------
    forward : a function of no arguments that returns z, a Tensor of any shape.
    loss : from z to a scalar Tensor. It must not read the parameters: a penalty's curvature comes on
        top.
    params : see :class:`Space`, with its errors.

    ``TypeError`` or ``ValueError`` for a loss that returns no scalar Tensor.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> mr.curvature.GaussNewton(lambda: w**2, lambda z: 0.5 * (z * z).sum(), w) @ np.ones(2)
    array([ 4., 16.], dtype=float32)
    """

    def __init__(self, forward: Closure, loss: Loss, params: Params) -> None:
        super().__init__(params)
        self.output = forward()
        z = Tensor(self.output.data, requires_grad=True)
        self.middle = Hessian(lambda: loss(z), z)
        u = self.dummy = Tensor(np.zeros_like(z.data), requires_grad=True)
        self.vjp = grad(self.output, self.params, u, create_graph=True, allow_unused=True)

    def product(self, parts: Sequence[Array]) -> list[Array]:
        """JᵀHJ·v, by three backward passes: J, then H, then Jᵀ."""
        weighted = self.middle.product(vjp(self.vjp, [self.dummy], parts))
        return vjp([self.output], self.params, weighted)


def as_operator(closure: Closure | Operator, params: Params) -> Operator:
    """An operator unchanged; of a closure its Hessian at ``params``."""
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
    """The ``k`` largest ("LA") or smallest ("SA") eigenvalues, ascending, and vectors (n, k).

    By Lanczos on products alone; ``tol`` bounds the residual ‖Av − μv‖ relative to the largest
    magnitude in the spectrum. ``RuntimeError`` if it is not reached.
    """
    stream = Stream("eigenvalues", seed)
    start = operator.draw(stream)
    # Scaled, reflected and shifted, so that the eigenvalues sought are the largest and lie between 1
    # and 3. Then the limit is relative to the whole matrix: relative to an eigenvalue near 0, rounding
    # could never reach it.
    scale = magnitude(operator, start, 10) or 1.0
    scale, limit = scale if end == "LA" else -scale, max(tol / 3, float(np.finfo(start.dtype).eps))
    product: Product = lambda v: (operator @ v) / scale + 2 * v
    values, vectors, residuals = largest_pairs(product, lambda: operator.draw(stream), k, limit)
    if not (residuals <= limit * values).all():
        raise RuntimeError(
            f"eigenvalues: Lanczos did not reach tol={3 * limit:g}, eigenvalues lie too close "
            f"together at the end {end!r}; pass a larger tol (the error of a value is far below it)"
        )
    values = move(((values - 2) * scale).astype(operator.dtype), operator.backend)
    order = slice(None, None, 1 if end == "LA" else -1)
    return values[order], vectors[:, order]
