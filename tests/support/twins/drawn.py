"""Functions and drawn arguments for them, in minireg and in PyTorch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minireg as mr
from minireg.nn import functional
from minireg.ops import TABLE

from ..against import host, torch, twin
from ..drawn import COMPOSED, FUNCTIONAL, OPS, Draw, Row, call, filled, floats
from .ops import ORACLES, F


def gathered(select: Callable[..., Any]) -> Callable[..., Any]:
    """What ``select`` takes in NumPy, taken in PyTorch: it has no slice of negative step."""

    def theirs(x: Any, *args: Any, **kw: Any) -> Any:
        places = np.arange(x.numel()).reshape(x.shape)
        args = [host(a) if isinstance(a, torch.Tensor) else a for a in args]
        return torch.take(x, torch.tensor(np.array(select(places, *args, **kw))))

    return theirs


def flat_without_axis(function: Callable[..., Any], default: Any) -> Callable[..., Any]:
    """NumPy's ``axis=None``: the flattened array."""

    def theirs(x: Any, axis: Any = default) -> Any:
        return function(x.reshape(-1), 0) if axis is None else function(x, axis)

    return theirs


def concatenated(xs: Any, axis: int | None = 0) -> Any:
    return torch.cat([x.reshape(-1) for x in xs]) if axis is None else torch.cat(xs, axis)


def dotted(a: Any, b: Any) -> Any:
    if not (a.ndim and b.ndim):
        return a * b
    return torch.tensordot(a, b, ([a.ndim - 1], [max(b.ndim - 2, 0)]))


def contracted(a: Any, b: Any, axes: Any) -> Any:
    lists = axes if isinstance(axes, int) else [np.atleast_1d(i).tolist() for i in axes]
    return torch.tensordot(a, b, lists)


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean of the two in the middle, where PyTorch's own takes the lower one."""
    axes = sorted(a % x.ndim for a in (range(x.ndim) if axis is None else np.atleast_1d(axis)))
    y = x.movedim(axes, tuple(range(len(axes)))).flatten(0, len(axes) - 1) if axes else x[None]
    y, n = y.sort(0).values, y.shape[0]
    y = (y[(n - 1) // 2] + y[n // 2]) / 2
    return y.reshape([1 if a in axes else k for a, k in enumerate(x.shape)]) if keepdims else y


def solved(a: Any, b: Any) -> Any:
    """PyTorch takes some matrices for stacks of vectors."""
    columns = b[:, None] if b.ndim == 1 else b
    stack = torch.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    y = torch.linalg.solve(*(m.expand(*stack, *m.shape[-2:]) for m in (a, columns)))
    return y[..., 0] if b.ndim == 1 else y


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return torch.linalg.norm(x, ord, axis, keepdims) + 0 * x.sum()  # order 0 is a constant


def vector_norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    return torch.linalg.vector_norm(x, ord, axis, keepdims) + 0 * x.sum()


def condition(x: Any, p: Any) -> Any:
    """PyTorch's own cannot be differentiated twice."""
    if p in (None, 2, -2):
        return torch.linalg.cond(x, p)
    return torch.linalg.matrix_norm(x, p) * torch.linalg.matrix_norm(torch.linalg.inv(x), p)


def hinge(s: Any, y: Any, p: int = 1, margin: float = 1.0, reduction: str = "mean") -> Any:
    """PyTorch's own has no second derivative."""
    if s.shape == y.shape:
        loss = torch.relu(margin - y * s) ** p
    else:
        s, y = s.movedim(min(s.ndim - 1, 1), -1), y[..., None]
        loss = torch.relu(margin - s.gather(-1, y) + s) ** p
        loss = loss.scatter(-1, y, 0.0).mean(-1)
    return loss if reduction == "none" else getattr(loss, reduction)()


# fmt: off
COMPOSED_TWINS: dict[str, Callable[..., Any]] = {
    "concatenate": concatenated,
    "stack": lambda xs, axis=0: torch.stack(xs, axis),
    "vstack": torch.vstack, "hstack": torch.hstack, "split": torch.tensor_split,
    "getitem": gathered(lambda x, index: x[index]), "take": gathered(np.take),
    "take_along_axis": gathered(np.take_along_axis), "repeat": gathered(np.repeat),
    "sort": flat_without_axis(lambda x, axis: x.sort(dim=axis, stable=True).values, -1),
    "cumprod": flat_without_axis(torch.cumprod, None),
    "ravel": torch.ravel, "diff": torch.diff, "diagonal": torch.diagonal, "diag": torch.diag,
    "trace": lambda x, *where: torch.diagonal(x, *where).sum(-1),
    "astype": ORACLES["astype"], "clip": torch.clamp, "median": median,
    "dot": dotted, "inner": torch.inner, "outer": lambda a, b: torch.outer(a.ravel(), b.ravel()),
    "tensordot": contracted, "einsum": torch.einsum,
    "linalg.solve": solved, "linalg.norm": norm, "linalg.vector_norm": vector_norm, "linalg.cond": condition,
    "linalg.svd": torch.linalg.svd, "linalg.eigh": torch.linalg.eigh,
    "linalg.eigvalsh": torch.linalg.eigvalsh, "linalg.cholesky": torch.linalg.cholesky,
    "linalg.slogdet": torch.linalg.slogdet,
    "linalg.matrix_power": torch.linalg.matrix_power,
    "linalg.matrix_norm": lambda x, ord, keepdims: torch.linalg.matrix_norm(x, ord, keepdim=keepdims),
}

# where the tables and names of PyTorch do not reach
OP_TWINS = ORACLES | {"getitem": COMPOSED_TWINS["getitem"], "solve": solved}

FUNCTIONAL_TWINS = {"hinge_loss": hinge, "nll_loss": lambda x, *y, **kw: F.nll_loss(x.contiguous(), *y, **kw)}
# fmt: on


class Function(NamedTuple):
    """A function, its twin, and how the arguments of both are drawn."""

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    row: Row


METHODS = {"getitem": "Tensor.__getitem__", "astype": "Tensor.astype"}

FUNCTIONS = {
    **{name: Function(TABLE[name].function, OP_TWINS[name], row) for name, row in OPS.items()},
    **{
        f"mr.{METHODS.get(name, name)}": Function(mr.ops.COMPOSED[name], COMPOSED_TWINS[name], row)
        for name, row in COMPOSED.items()
    },
    **{
        f"F.{name}": Function(
            getattr(functional, name), FUNCTIONAL_TWINS.get(name) or getattr(F, name), row
        )
        for name, row in FUNCTIONAL.items()
    },
}

# Singular and eigenvectors are known up to their signs: what is compared has none. It is the
# same code in both libraries, and in a golden case.
UNIQUE = {
    "mr.linalg.svd": "lambda u, s, v: [s, (u / s[..., None, :]) @ v, u[..., :1] * u[..., None, :, 0]]",
    "mr.linalg.eigh": "lambda w, v: [w, v[..., :1] * v[..., None, :, 0]]",
}


class Case:
    """A function and arguments for it."""

    def __init__(self, name: str, d: Draw) -> None:
        self.name, self.d = name, d
        args = FUNCTIONS[name].row(d)
        self.args, self.kw = (args[:-1], args[-1]) if isinstance(args[-1], dict) else (args, {})
        self.arrays = [*floats(self.args)]
        self.code = call(name, self.args, self.kw)
        self.unique = eval(UNIQUE.get(name, "lambda *y: [*y]"))

    def __repr__(self) -> str:
        return f"{self.code} of {', '.join(self.d.placed)}; seed {self.d.seed}"

    def ours(self, *arrays: Any) -> Any:
        y = FUNCTIONS[self.name].ours(*filled(self.args, iter(arrays)), **self.kw)
        return self._joined(y, mr.concatenate)

    def theirs(self, *arrays: Any) -> Any:
        args = filled(self.args, iter(arrays))
        args, kw = [constant(a) for a in args], {k: constant(v) for k, v in self.kw.items()}
        return self._joined(FUNCTIONS[self.name].theirs(*args, **kw), torch.cat)

    def _joined(self, y: Any, concatenate: Callable[..., Any]) -> Any:
        """One array of all that a function returns."""
        several = isinstance(y, list | tuple)
        return concatenate([part.reshape(-1) for part in self.unique(*y)]) if several else y


def constant(value: Any) -> Any:
    return twin(value, False) if isinstance(value, np.ndarray) else value
