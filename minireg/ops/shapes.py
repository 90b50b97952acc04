"""Shapes and indexing: rules that only move numbers, and their transposes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..backend import move, of
from ..tensor import Tensor
from .samples import Shape, shaped
from .table import answers_for, op

# fmt: off


def _order(x: Any, axes: tuple[Any, ...]) -> tuple[int, ...]:
    """Full permutation from ``transpose()``'s forms: none, one tuple, or integers."""
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
        axes = tuple(axes[0] or ())
    return tuple(a % x.ndim for a in axes) or tuple(range(x.ndim))[::-1]


def _inverse(order: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(order)), key=order.__getitem__))


reshape = op("reshape", lambda x, *shape: x.reshape(*shape),
             lambda g, y, x, *shape: g.reshape(x.shape),
             formula=r"\bar x = \mathrm{reshape}(\bar y)", numpy=np.reshape,
             samples=shaped((Shape(3, 4), (2, 6)), (Shape(3, 4), -1), (Shape(2, 3), 3, 2)))
transpose = op("transpose", lambda x, *axes: x.transpose(_order(x, axes)),
               lambda g, y, x, *axes: g.transpose(_inverse(_order(x, axes))),
               formula=r"\bar x = \bar y^{\top}", numpy=np.transpose,
               samples=shaped((Shape(3, 4),), (Shape(2, 3, 4), (1, 2, 0)), (Shape(2, 3, 4), 2, 0, 1)))
swapaxes = op("swapaxes", lambda x, a, b: x.swapaxes(a, b), lambda g, y, x, a, b: g.swapaxes(a, b),
              formula=r"\bar x = \mathrm{swapaxes}(\bar y)", numpy=np.swapaxes,
              samples=shaped((Shape(2, 3, 4), 0, -1)))
moveaxis = op("moveaxis", np.moveaxis, lambda g, y, x, source, to: np.moveaxis(g, to, source),
              formula=r"\bar x = \mathrm{moveaxis}(\bar y)",
              samples=shaped((Shape(2, 3, 4), 0, -1), (Shape(2, 3, 4), (0, 1), (1, 2))))
expand_dims = op("expand_dims", np.expand_dims, lambda g, y, x, axis: g.reshape(x.shape),
                 formula=r"\bar x = \mathrm{reshape}(\bar y)",
                 samples=shaped((Shape(3, 4), 1), (Shape(3), (0, 2))))
squeeze = op("squeeze", lambda x, axis=None: x.squeeze(axis),
             lambda g, y, x, axis=None: g.reshape(x.shape),
             formula=r"\bar x = \mathrm{reshape}(\bar y)", numpy=np.squeeze,
             samples=shaped((Shape(3, 1, 4, 1),), (Shape(3, 1, 4), 1)))
broadcast_to = op("broadcast_to", np.broadcast_to, lambda g, y, x, shape: g,
                  formula=r"\bar x = \textstyle\sum_{\mathrm{copies}}\bar y",
                  samples=shaped((Shape(3, 1), (2, 3, 4)), (Shape(), (2,))))
flip = op("flip", np.flip, lambda g, y, x, axis=None: np.flip(g, axis),
          formula=r"\bar x = \mathrm{flip}(\bar y)",
          samples=shaped((Shape(3, 4), 0), (Shape(3, 4),)))


def _unpad(g: Any, x: Any, width: Any) -> Any:
    before = np.broadcast_to(np.asarray(width), (x.ndim, 2))[:, 0]
    return g[tuple(slice(b, b + n) for b, n in zip(before.tolist(), x.shape, strict=True))]


pad = op("pad", lambda x, pad_width, constant_values=0:
             np.pad(x, pad_width, mode="constant", constant_values=constant_values),
         lambda g, y, x, pad_width, constant_values=0: _unpad(g, x, pad_width),
         formula=r"\bar x = \bar y[\mathrm{inside}]",
         samples=shaped((Shape(2, 3), 1), (Shape(2, 3), ((0, 1), (2, 0)))))

# --- joining and splitting -----------------------------------------------------------------------


def _piece(i: int, g: Any, y: Any, *xs: Any, axis: int = 0) -> Any:
    start = sum(x.shape[axis] for x in xs[:i])
    return g[(slice(None),) * (axis % y.ndim) + (slice(start, start + xs[i].shape[axis]),)]


_concatenate = op("concatenate", lambda *xs, axis=0: np.concatenate(xs, axis=axis), each=_piece,
                  formula=r"\bar x_i = \bar y[\mathrm{piece}_i]",
                  samples=shaped((Shape(2, 3), Shape(1, 3)), (Shape(2, 3), Shape(2, 2), {"axis": -1})))
_stack = op("stack", lambda *xs, axis=0: np.stack(xs, axis=axis),
            each=lambda i, g, y, *xs, axis=0: g[(slice(None),) * (axis % y.ndim) + (i,)],
            formula=r"\bar x_i = \bar y[i]",
            samples=shaped((Shape(2, 3), Shape(2, 3)), (Shape(2, 3), Shape(2, 3), {"axis": -1})))
# fmt: on


@answers_for(np.concatenate)
def concatenate(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays along an existing axis; the gradient of each is its piece.

    >>> import minireg as mr
    >>> mr.concatenate([mr.tensor([1.0]), mr.tensor([2.0, 3.0])])
    Tensor([1., 2., 3.], dtype=float32)
    """
    return _concatenate(*arrays, axis=axis)


@answers_for(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Join equal-shaped arrays along a new axis.

    >>> import minireg as mr
    >>> mr.stack([mr.tensor(1.0), mr.tensor(2.0)])
    Tensor([1., 2.], dtype=float32)
    """
    return _stack(*arrays, axis=axis)


@answers_for(np.split)
def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut into equal sections, or before the given indices, along ``axis``.

    >>> import minireg as mr
    >>> [p.shape for p in mr.split(mr.tensor([1.0, 2.0, 3.0]), [1])]
    [(1,), (2,)]
    """
    n = x.shape[axis]
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections < 1 or n % sections:
            raise ValueError(f"split: axis {axis} of length {n} has no {sections} equal sections")
        cuts = list(range(0, n + 1, n // sections)) if n else [0] * (sections + 1)
    else:
        cuts = [0, *indices_or_sections, n]
    lead = (slice(None),) * (axis % x.ndim)
    return [x[(*lead, slice(a, b))] for a, b in pairwise(cuts)]


# --- indexing ------------------------------------------------------------------------------------
# fmt: off


def _basic(index: Any) -> bool:
    """Whether an index selects each element at most once (slices and integers)."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, slice | int | np.integer) for p in parts)


def _scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros_like(g, shape=shape)
    if _basic(index):
        out[index] = g
    else:
        of(out).xp.add.at(out, index, g)  # repeated indices add up
    return out


scatter = op("scatter", _scatter, lambda g, y, x, index, shape: g[index],
             formula=r"\bar x = \bar y[\mathrm{index}]",
             samples=lambda r: [(r.normal(size=(3, 2)), np.array([0, 2, 0]), (4, 2))])
_getitem = op("getitem", lambda x, index: x[index],
              lambda g, y, x, index: scatter(g, index, x.shape),
              formula=r"\bar x[\mathrm{index}] \mathrel{+}= \bar y",
              samples=shaped(
                  (Shape(3, 4), 1), (Shape(3, 4), (slice(None), slice(0, 4, 2))),
                  (Shape(3, 4), (Ellipsis, None, -1)), (Shape(4, 3), np.array([0, 2, 0])),
                  (Shape(4, 3), (np.array([[0], [3]]), np.array([1, 1]))),
                  (Shape(2, 3), np.array([[True, False, True], [False, False, True]]))))
# fmt: on


def getitem(x: Any, index: Any) -> Any:
    """``x[index]``: basic, boolean and integer-array indexing; repeated indices add up.

    >>> import minireg as mr
    >>> x = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> x[[0, 0]].sum().backward(); x.grad
    Tensor([2., 0.], dtype=float32)
    """
    if isinstance(index, tuple):
        index = tuple(i.data if isinstance(i, Tensor) else i for i in index)
    return _getitem(x, index.data if isinstance(index, Tensor) else index)


@answers_for(np.take)
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements at integer ``indices`` along ``axis`` (of the flattened array when None).

    >>> import minireg as mr
    >>> mr.take(mr.tensor([[1.0, 2.0], [3.0, 4.0]]), [1], axis=0)
    Tensor([[3., 4.]], dtype=float32)
    """
    if axis is None:
        return getitem(reshape(x, -1), indices)
    return getitem(x, (*(slice(None),) * (axis % x.ndim), indices))


# --- type and place --------------------------------------------------------------------------------
# fmt: off



def _home(x: Any) -> str:
    return of(x.data if isinstance(x, Tensor) else x).name


to: Any = op("to", move, lambda g, y, x, backend: to(g, _home(x)), formula=r"\bar x = \bar y",
        samples=lambda r: [(r.normal(size=(2, 3)), "numpy")])
copy = op("copy", lambda x: x.copy(), lambda g, y, x: g, formula=r"\bar x = \bar y",
          samples=shaped((Shape(2, 3),)))
_discretize = op("discretize", lambda x, dtype: x.astype(dtype), formula="x",
                  samples=lambda r: [(r.normal(size=(2, 3)), "int64")])
_astype = op("astype", lambda x, dtype: x.astype(dtype), lambda g, y, x, dtype: g,
            formula=r"\bar x = \bar y", samples=lambda r: [(r.normal(size=(2, 3)), np.float64)])
# fmt: on


def astype(x: Any, dtype: Any) -> Any:
    """Convert; a gradient passes between floating dtypes and stops at integers and booleans.

    >>> import minireg as mr
    >>> mr.tensor([1.5], requires_grad=True).astype("int64").requires_grad
    False
    """
    return (_astype if np.dtype(dtype).kind in "fc" else _discretize)(x, dtype)
