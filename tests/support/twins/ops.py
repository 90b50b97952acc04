"""PyTorch's function for each op of the table, and calls of what is composed of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

import minireg as mr
from minireg.ops import TABLE

from ..against import torch
from ..arrays import draw

F, LA = torch.nn.functional, torch.linalg


def dims(x: Any, axis: Any) -> tuple[int, ...]:
    """Torch's ``dim`` for NumPy's ``axis``, where None means all."""
    return tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """A torch reduction under NumPy's argument names."""

    def reduce(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return function(x, dims(x, axis), keepdim=keepdims)

    return reduce


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for var and std, which divide by n − 1 in torch and by n in NumPy."""

    def reduce(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        return function(x, dims(x, axis), correction=ddof, keepdim=keepdims)

    return reduce


def prod(x: Any, axis: Any, keepdim: bool) -> Any:
    """torch.prod takes one axis at a time."""
    for a in sorted((a % x.ndim for a in axis), reverse=True):
        x = x.prod(dim=a, keepdim=keepdim)
    return x


def expand_dims(x: Any, axis: Any) -> Any:
    for a in sorted(dims(x, axis)):
        x = x.unsqueeze(a)
    return x


def pad(x: Any, width: Any) -> Any:
    pairs = np.broadcast_to(width, (x.ndim, 2))[::-1]  # torch: last axis first
    return F.pad(x, [int(n) for n in pairs.ravel()])


def normalize(
    x: Any, weight: Any = 1, bias: Any = 0, *, axes: Any, eps: float, center: bool = True
) -> Any:
    square = torch.var(x, axes, correction=0, keepdim=True) if center else (x**2).mean(axes, True)
    return (x - x.mean(axes, True) * center) * torch.rsqrt(square + eps) * weight + bias


def cross_entropy(z: Any, q: Any) -> Any:
    classes = z.shape[-1]
    loss = F.cross_entropy(z.reshape(-1, classes), q.reshape(-1, classes), reduction="none")
    return loss.reshape(z.shape[:-1])


def cumulative(function: Callable[..., Any]) -> Callable[..., Any]:
    """Torch's cumsum or cumprod, of the flattened array when there is no axis."""
    return lambda x, axis=None: function(
        x.ravel() if axis is None else x, 0 if axis is None else axis
    )


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return torch.diagonal(x, offset, axis1, axis2)


def median(x: Any, axis: int) -> Any:
    """torch.median takes the lower of two middle values, so the mean of both comes from sorting."""
    x, n = x.sort(axis).values.movedim(axis, 0), x.shape[axis]
    return (x[(n - 1) // 2] + x[n // 2]) / 2


def unfold(x: Any, size: Any, stride: Any, dilation: Any) -> Any:
    for i in (0, 1):
        x = x.unfold(1 + i, dilation[i] * (size[i] - 1) + 1, stride[i])
    return x[..., :: dilation[0], :: dilation[1]].movedim((-2, -1), (1, 2))


def fold(y: Any, shape: Any, stride: Any, dilation: Any) -> Any:
    """The transpose of unfold, as PyTorch's own derivative of it."""
    x = y.new_zeros((y.shape[0], *shape, *y.shape[5:]), requires_grad=True)
    windows = unfold(x, y.shape[1:3], stride, dilation)
    return torch.autograd.grad(windows, x, y, create_graph=True)[0]


def polar(a: Any) -> Any:
    u, _, vh = LA.svd(a, full_matrices=False)
    return u @ vh


ACTIVATIONS = {
    "relu": torch.relu, "gelu": F.gelu, "silu": F.silu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
}  # fmt: skip

# op → the same function in PyTorch, called with the same arguments
ORACLES: dict[str, Callable[..., Any]] = {
    "copy": torch.clone,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "positive": torch.positive,
    "per": lambda losses, count: losses.sum() / count,
    "power": torch.pow,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "reciprocal": torch.reciprocal,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "exp2": torch.exp2,
    "log2": torch.log2,
    "log10": torch.log10,
    "logaddexp": torch.logaddexp,
    "arcsin": torch.arcsin,
    "arccos": torch.arccos,
    "arctan": torch.arctan,
    "arcsinh": torch.arcsinh,
    "arccosh": torch.arccosh,
    "arctanh": torch.arctanh,
    "arctan2": torch.arctan2,
    "mod": torch.remainder,
    "rint": torch.round,
    "round": torch.round,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "floor_divide": lambda a, b: torch.floor(a / b),
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "abs": torch.abs,
    "sign": torch.sign,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "clip": torch.clamp,
    "where": torch.where,
    "erf": torch.erf,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "gelu": F.gelu,
    "silu": F.silu,
    "matmul": torch.matmul,
    "einsum": lambda *xs, subscripts: torch.einsum(subscripts, *xs),
    "sum": reduction(torch.sum),
    "mean": reduction(torch.mean),
    "var": spread(torch.var),
    "std": spread(torch.std),
    "max": reduction(torch.amax),
    "min": reduction(torch.amin),
    "prod": reduction(prod),
    "cumsum": cumulative(torch.cumsum),
    "logsumexp": reduction(torch.logsumexp),
    "softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "log_softmax": lambda x, axis=-1: torch.log_softmax(x, axis),
    "reshape": lambda x, *shape: x.reshape(*shape),
    "transpose": lambda x, *axes: x.permute(*axes or range(x.ndim)[::-1]),
    "swapaxes": torch.swapaxes,
    "moveaxis": torch.moveaxis,
    "expand_dims": expand_dims,
    "squeeze": lambda x, *axis: x.squeeze(*axis),
    "broadcast_to": torch.broadcast_to,
    "flip": lambda x, axis=None: x.flip(dims(x, axis)),
    "roll": torch.roll,
    "tril": torch.tril,
    "triu": torch.triu,
    "tile": lambda x, reps: torch.tile(x, (reps,) if isinstance(reps, int) else reps),
    "pad": pad,
    "concatenate": lambda *xs, axis=0: torch.cat(xs, axis),
    "stack": lambda *xs, axis=0: torch.stack(xs, axis),
    "scatter": lambda x, index, shape: x.new_zeros(shape).index_put((index,), x, accumulate=True),
    "getitem": lambda x, index: x[index],
    "to": lambda x, backend: x.clone(),
    "astype": lambda x, dtype: x.double(),
    "linear": F.linear,
    "normalize": normalize,
    "cross_entropy": cross_entropy,
    "unfold": unfold,
    "fold": fold,
    "inv": LA.inv,
    "solve": LA.solve,
    "det": LA.det,
    "slogdet": lambda a: torch.stack(LA.slogdet(a), -1),
    "cholesky": LA.cholesky,
    "pinv": LA.pinv,
    "svdvals": LA.svdvals,
    "eigvalsh": LA.eigvalsh,
    "euclidean": lambda x, axis: LA.vector_norm(x, 2, axis),
    "p_norm": lambda x, p, axis: LA.vector_norm(x, p, axis),
    "spectral": lambda a, smallest=False: LA.matrix_norm(a, -2 if smallest else 2),
    "polar": polar,
    "nuclear": lambda a: LA.matrix_norm(a, "nuc"),
}  # fmt: skip


def index(*i: int) -> np.ndarray:
    return np.array(i)


def positive(*shape: int) -> np.ndarray:
    """Symmetric matrices with eigenvalues of 1 and more."""
    a = draw(*shape)
    return a @ a.swapaxes(-1, -2) + np.eye(shape[-1])


def products(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """What does not depend on the signs of singular vectors: U σ³ Vᵀ, and the projections onto
    the first two on either side."""
    u, s, vh = parts
    first, second = u[..., :2], vh.swapaxes(-1, -2)[..., :2]
    sides = (side @ side.swapaxes(-1, -2) for side in (first, second))
    return (u * (s**3)[..., None, :]) @ vh, *sides


def signless(parts: tuple[Any, ...]) -> Any:
    """The same of eigenvectors: V w³ Vᵀ times the projection onto the first."""
    w, v = parts
    first = v[..., :1]
    return (v * (w**3)[..., None, :]) @ v.swapaxes(-1, -2) @ first @ first.swapaxes(-1, -2)


def after(function: Callable[..., Any], *rest: Any, **kw: Any) -> Callable[..., Any]:
    """``function`` with these arguments after the arrays."""
    return lambda *arrays: function(*arrays, *rest, **kw)


def svd_product(svd: Callable[..., Any], i: int) -> Callable[..., Any]:
    return lambda a: products(svd(a, full_matrices=False))[i]


def eigh_product(eigh: Callable[..., Any], triangle: str) -> Callable[..., Any]:
    return lambda a: signless(eigh(a, triangle))


Comparison = tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]

# Functions put together from ops: name → (call, the same in PyTorch, arguments)
COMPOSED_CASES: dict[str, list[Comparison]] = {
    "concatenate": [
        (lambda *xs: mr.concatenate(xs, 1), lambda *xs: torch.cat(xs, 1), (draw(2, 3), draw(2, 1))),
    ],
    "stack": [
        (lambda *xs: mr.stack(xs, 1), lambda *xs: torch.stack(xs, 1), (draw(2, 3), draw(2, 3))),
    ],
    "split": [
        (lambda x: mr.split(x, 3, 1)[1], lambda x: x.tensor_split(3, 1)[1], (draw(2, 6),)),
        (lambda x: mr.split(x, [1, 3])[2], lambda x: x.tensor_split([1, 3])[2], (draw(5, 2),)),
    ],
    "take": [
        (mr.take, torch.take, (draw(3, 4), index(5, 0, 5))),
        (lambda x, i: mr.take(x, i, axis=-1), lambda x, i: x[:, i], (draw(3, 4), index(3, -1, 0))),
    ],
    "getitem": [
        (lambda x: x[1:, None, ::2], lambda x: x[1:, None, ::2], (draw(3, 4),)),
        (lambda x, i: x[i, :, i], lambda x, i: x[i, :, i], (draw(3, 2, 3), index(0, 2, 2))),
        (lambda x, m: x[:, m], lambda x, m: x[:, m], (draw(2, 3), np.array([True, False, True]))),
    ],
    "dot": [
        (mr.dot, torch.mul, (draw(), draw(3))),
        (mr.dot, torch.matmul, (draw(3), draw(3, seed=1))),
        (mr.dot, torch.matmul, (draw(2, 3), draw(3, 4))),
        (mr.dot, lambda a, b: torch.tensordot(a, b, ([2], [1])), (draw(2, 3, 4), draw(5, 4, 2))),
    ],
    "tensordot": [
        (mr.tensordot, torch.tensordot, (draw(2, 3, 4), draw(3, 4, 2))),
        (lambda *xs: mr.tensordot(*xs, 0), lambda *xs: torch.tensordot(*xs, 0), (draw(2), draw(3))),
        (lambda *xs: mr.tensordot(*xs, ([0, -1], [1, 0])),
         lambda *xs: torch.tensordot(*xs, ([0, 2], [1, 0])), (draw(3, 2, 4), draw(4, 3))),
    ],
    "clip": [
        (lambda x, low, high: mr.clip(x, low, max=high), torch.clamp,
         (draw(3, 4), draw(4, seed=1), draw(3, 1, seed=2))),
        (lambda x: mr.clip(x, a_min=-0.5), lambda x: torch.clamp(x, -0.5), (draw(3, 4),)),
    ],
    "vstack": [(lambda *xs: mr.vstack(xs), lambda *xs: torch.vstack(xs), (draw(3), draw(2, 3)))],
    "hstack": [
        (lambda *xs: mr.hstack(xs), lambda *xs: torch.hstack(xs), (draw(3), draw(), draw(2))),
        (lambda *xs: mr.hstack(xs), lambda *xs: torch.hstack(xs), (draw(2, 3), draw(2, 1))),
    ],
    "take_along_axis": [
        (lambda x, i: mr.take_along_axis(x, i, 1), lambda x, i: x.take_along_dim(i, 1),
         (draw(2, 3), np.array([[0, 2, 2, 1], [1, 1, 0, 0]]))),
        (lambda x, i: mr.take_along_axis(x, i, None), lambda x, i: x.ravel()[i],
         (draw(2, 3), index(5, 0, 5))),
    ],
    "repeat": [
        (lambda x: mr.repeat(x, 2), lambda x: x.repeat_interleave(2), (draw(2, 3),)),
        (lambda x: mr.repeat(x, [2, 0, 1], axis=-1),
         lambda x: x.repeat_interleave(torch.tensor([2, 0, 1]), dim=-1), (draw(2, 3),)),
    ],
    "sort": [
        (mr.sort, lambda x: x.sort().values, (draw(3, 4),)),
        (lambda x: mr.sort(x, axis=0), lambda x: x.sort(0).values, (draw(3, 4),)),
        (lambda x: mr.sort(x, axis=None), lambda x: x.ravel().sort().values, (draw(3, 4),)),
    ],
    "ravel": [(mr.ravel, torch.ravel, (draw(2, 3),))],
    "diff": [
        (mr.diff, torch.diff, (draw(3, 4),)),
        (lambda x: mr.diff(x, 2, axis=0), lambda x: torch.diff(x, 2, 0), (draw(4, 3),)),
    ],
    "diagonal": [
        (mr.diagonal, diagonal, (draw(3, 4, 2),)),
        (lambda x: mr.diagonal(x, -1, 2, 0), lambda x: diagonal(x, -1, 2, 0), (draw(3, 4, 2),)),
    ],
    "trace": [
        (mr.trace, torch.trace, (draw(3, 4),)),
        (lambda x: mr.trace(x, 1, 1, 2), lambda x: diagonal(x, 1, 1, 2).sum(-1), (draw(2, 3, 4),)),
    ],
    "diag": [
        (after(mr.diag, *k), after(torch.diag, *k), (draw(*shape),))
        for k in ((), (1,), (-2,)) for shape in ((3,), (3, 4))
    ],
    "astype": [(lambda x: (x * x).astype(np.float64), lambda x: x * x, (draw(3),))],
    "inner": [
        (mr.inner, torch.inner, (draw(2, 3), draw(4, 2, 3))), (mr.inner, torch.mul, (draw(), draw(3))),
    ],
    "outer": [
        (mr.outer, torch.outer, (draw(3), draw(4))),
        (mr.outer, lambda a, b: torch.outer(a.ravel(), b.ravel()), (draw(2, 2), draw(3, 1))),
    ],
    "median": [
        (lambda x: mr.median(x, axis=1), lambda x: median(x, 1), (draw(3, 4),)),
        (lambda x: mr.median(x, axis=0, keepdims=True), lambda x: median(x, 0)[None], (draw(3, 4),)),
        (mr.median, lambda x: median(x.ravel(), 0), (draw(3, 5),)),
        (lambda x: mr.median(x, axis=(0, -1)), lambda x: median(x.movedim(1, 2).reshape(-1, 3), 0),
         (draw(2, 3, 4),)),
    ],
    "cumprod": [
        (mr.cumprod, cumulative(torch.cumprod), (draw(2, 3),)),
        (lambda x: mr.cumprod(x, axis=-1), lambda x: x.cumprod(-1), (draw(3, 5),)),
        (lambda x: mr.cumprod(x, axis=0), lambda x: x.cumprod(0),
         (np.array([[2.0, 0.0, 0.0], [3.0, 4.0, 0.0], [5.0, 0.0, 1.0], [1.5, 2.0, 3.0]]),)),
    ],
    "linalg.solve": [
        (mr.linalg.solve, LA.solve, (draw(3, 3), draw(3))),
        (mr.linalg.solve, LA.solve, (draw(2, 3, 3), draw(3, 2))),
        (mr.linalg.solve, lambda a, b: LA.solve(a, b[:, None])[..., 0], (draw(2, 3, 3), draw(3))),
    ],
    "linalg.slogdet": [
        (lambda a: mr.linalg.slogdet(a).logabsdet, lambda a: LA.slogdet(a).logabsdet, (draw(2, 3, 3),)),
    ],
    "linalg.cholesky": [
        (mr.linalg.cholesky, LA.cholesky, (positive(3, 3),)),
        (after(mr.linalg.cholesky, upper=True), after(LA.cholesky, upper=True), (positive(2, 3, 3),)),
    ],
    "linalg.matrix_power": [
        (after(mr.linalg.matrix_power, n), after(LA.matrix_power, n), (draw(2, 3, 3),))
        for n in (0, 1, 2, 5, -1, -2)
    ],
    "linalg.svd": [
        *((svd_product(mr.linalg.svd, i), svd_product(LA.svd, i), (draw(*shape),))
          for i in range(3) for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2))),
        (after(mr.linalg.svd, compute_uv=False), LA.svdvals, (draw(2, 3, 2),)),
    ],
    "linalg.eigh": [
        (eigh_product(mr.linalg.eigh, triangle), eigh_product(LA.eigh, triangle), (positive(*shape),))
        for triangle in "LU" for shape in ((3, 3), (2, 3, 3))
    ],
    "linalg.eigvalsh": [
        (mr.linalg.eigvalsh, LA.eigvalsh, (positive(3, 3),)),
        (after(mr.linalg.eigvalsh, "U"), LA.eigvalsh, (positive(2, 3, 3),)),
    ],
    "linalg.norm": [
        (after(mr.linalg.norm, *how), after(LA.norm, *how), (draw(*shape),))
        for shape, *hows in (
            [(3, 4), *((ord,) for ord in (None, "fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf))],
            [(3, 4), *((ord, 1) for ord in (None, 2, 1, np.inf, -np.inf, 3, 1.5, -1, 0.5))],
            [(2, 3, 4), (), ("nuc", (2, 0), True), (1, (2, 0)), (2, (0, 1)), (np.inf, (0, 2))],
        )
        for how in hows
    ],
    "linalg.vector_norm": [
        (after(mr.linalg.vector_norm, ord=ord, axis=axis), after(LA.vector_norm, ord, axis), (draw(2, 3, 4),))
        for ord in (2, 1, np.inf, 3, -1) for axis in (None, 0, (0, -1))
    ],
    "linalg.matrix_norm": [
        (after(mr.linalg.matrix_norm, ord=ord, keepdims=True), after(LA.matrix_norm, ord, keepdim=True),
         (draw(2, 3, 4),))
        for ord in ("fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf)
    ],
    "linalg.cond": [
        (after(mr.linalg.cond, p), after(LA.cond, p), (draw(2, 3, 3),)) for p in (None, 2, -2, "nuc")
    ],
    "einsum": [
        (lambda *xs: mr.einsum("bij,kj->bik", *xs),
         lambda *xs: torch.einsum("bij,kj->bik", *xs), (draw(2, 3, 4), draw(5, 4))),
        (lambda x: mr.einsum("iij->j", x), lambda x: torch.einsum("iij->j", x), (draw(3, 3, 2),)),
    ],
}  # fmt: skip

# What ships with the package and has a gradient; tests and users may enter more into the table.
# Penalties are ops, too, and have oracles of their own. Singular and eigenvectors are determined
# up to a sign: linalg.svd and linalg.eigh are compared where that does not matter.
UP_TO_SIGNS = {"svd", "eigh"}

SHIPPED = sorted(
    name
    for name, entry in TABLE.items()
    if entry.differentiable and entry.function.__module__.startswith("minireg.ops.")
    if name not in UP_TO_SIGNS
)

# Ops without a derivative: the value is all there is.
VALUES = {
    "equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le,
    "greater": torch.gt, "greater_equal": torch.ge, "logical_and": torch.logical_and,
    "logical_or": torch.logical_or, "logical_not": torch.logical_not,
    "bitwise_and": torch.bitwise_and, "bitwise_or": torch.bitwise_or,
    "invert": torch.bitwise_not, "isfinite": torch.isfinite,
    "isinf": torch.isinf, "isnan": torch.isnan, "isclose": torch.isclose,
    "allclose": lambda a, b: torch.isclose(a, b).all(),
    "array_equal": lambda a, b: torch.tensor(torch.equal(a, b)),
    "any": lambda x, axis=None: torch.any(x, axis), "all": lambda x, axis=None: torch.all(x, axis),
    "argmax": lambda x, axis=None, keepdims=False: torch.argmax(x, axis, keepdims),
    "argmin": lambda x, axis=None, keepdims=False: torch.argmin(x, axis, keepdims),
    "argsort": lambda x, axis=-1: torch.argsort(x if axis is not None else x.ravel(), axis or 0),
    "discretize": lambda x, dtype: x.to(getattr(torch, dtype)),
}  # fmt: skip
