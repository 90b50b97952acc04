"""Shapes and indexing: rules that only move numbers, and their transposes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..backend import Integers, as_dtype, move, of
from ..messages import check_kind, check_option
from .axes import arange
from .elementwise import not_equal, sub
from .samples import Shape, shaped
from .table import ArrayLike, answers_for, array_like, array_of, held, op

# --- rules that take more than a line -------------------------------------------------------------


def _order(x: Any, axes: tuple[Any, ...]) -> tuple[int, ...]:
    """Full permutation from ``transpose()``'s forms: none, one tuple, or integers."""
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
        axes = tuple(axes[0] or ())
    return tuple(a % x.ndim for a in axes) or tuple(range(x.ndim))[::-1]


def _transpose_rule(g: Any, y: Any, x: Any, *order: Any, axes: Any = None) -> Any:
    order = _order(x, order or (axes,))
    return g.transpose(tuple(sorted(range(x.ndim), key=order.__getitem__)))


def _reshape_rule(g: Any, y: Any, x: Any, *_: Any, **__: Any) -> Any:
    return g.reshape(x.shape)


def _negated(shift: Any) -> Any:
    return tuple(-s for s in shift) if isinstance(shift, tuple | list) else -shift


def _tile_rule(g: Any, y: Any, x: Any, reps: Any) -> Any:
    """The sum over the copies: each axis of g is one of copies times one of x."""
    reps = (reps,) if isinstance(reps, int | np.integer) else tuple(reps)
    n = max(len(reps), x.ndim)
    copies = (1,) * (n - len(reps)) + reps
    shape = (1,) * (n - x.ndim) + x.shape
    apart = tuple(k for pair in zip(copies, shape, strict=True) for k in pair)
    return g.reshape(apart).sum(axis=tuple(range(0, 2 * n, 2))).reshape(x.shape)


def _widths(x: Any, pad_width: Any) -> Any:
    """(before, after) of every axis, from each form that NumPy takes."""
    return np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()


def _pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    if mode != "constant":
        raise ValueError(
            f"got mode={mode!r}, expected 'constant'; others: index with t[...] or np.take"
        )
    return np.pad(x, _widths(x, pad_width) or 0, mode="constant", constant_values=constant_values)


def _pad_rule(g: Any, y: Any, x: Any, pad_width: Any, *_: Any, **__: Any) -> Any:
    widths = zip(_widths(x, pad_width), x.shape, strict=True)
    return g[tuple(slice(before, before + n) for (before, _), n in widths)]


def _piece(i: int, g: Any, y: Any, *xs: Any, axis: int = 0) -> Any:
    lengths = [np.shape(x)[axis] for x in xs[: i + 1]]
    return g[(slice(None),) * (axis % y.ndim) + (slice(sum(lengths[:-1]), sum(lengths)),)]


def _basic(index: Any) -> bool:
    """Whether an index selects each element at most once (slices and integers)."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, slice | int | np.integer) for p in parts)


def _scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = of(g).xp.zeros(shape, g.dtype)
    if _basic(index):
        out[index] = g
    else:
        of(out).xp.add.at(out, index, g)  # repeated indices add up
    return out


# --- the table: a rule a line ---------------------------------------------------------------------

# fmt: off

reshape = op("reshape", lambda x, *dims, shape=(): x.reshape(*dims or (shape,)), _reshape_rule,
             formula=r"\bar x = \mathrm{reshape}(\bar y)", numpy=np.reshape, cost="1",
             samples=shaped((Shape(3, 4), (2, 6)), (Shape(3, 4), -1), (Shape(2, 3), 3, 2)))
transpose = op("transpose", lambda x, *order, axes=None: x.transpose(_order(x, order or (axes,))),
               _transpose_rule,
               formula=r"\bar x = \bar y^{\top}", numpy=np.transpose, cost="1",
               samples=shaped((Shape(3, 4),), (Shape(2, 3, 4), (1, 2, 0)),
                              (Shape(2, 3, 4), 2, 0, 1)))
swapaxes = op("swapaxes", lambda x, axis1, axis2: x.swapaxes(axis1, axis2),
              lambda g, y, x, axis1, axis2: g.swapaxes(axis1, axis2),
              formula=r"\bar x = \mathrm{swapaxes}(\bar y)", numpy=np.swapaxes, cost="1",
              samples=shaped((Shape(2, 3, 4), 0, -1)))
moveaxis = op("moveaxis", np.moveaxis,
              lambda g, y, x, source, destination: np.moveaxis(g, destination, source),
              formula=r"\bar x = \mathrm{moveaxis}(\bar y)", cost="1",
              samples=shaped((Shape(2, 3, 4), 0, -1), (Shape(2, 3, 4), (0, 1), (1, 2))))
expand_dims = op("expand_dims", np.expand_dims, _reshape_rule,
                 formula=r"\bar x = \mathrm{reshape}(\bar y)", cost="1",
                 samples=shaped((Shape(3, 4), 1), (Shape(3), (0, 2))))
squeeze = op("squeeze", lambda x, axis=None: x.squeeze(axis), _reshape_rule,
             formula=r"\bar x = \mathrm{reshape}(\bar y)", numpy=np.squeeze, cost="1",
             samples=shaped((Shape(3, 1, 4, 1),), (Shape(3, 1, 4), 1), (Shape(1, 3, 1), (0, -1))))
broadcast_to = op("broadcast_to", np.broadcast_to, lambda g, y, x, shape: g,
                  formula=r"\bar x = \textstyle\sum_{\mathrm{copies}}\bar y",
                  samples=shaped((Shape(3, 1), (2, 3, 4)), (Shape(), (2,))))
flip = op("flip", np.flip, lambda g, y, x, axis=None: np.flip(g, axis),
          formula=r"\bar x = \mathrm{flip}(\bar y)",
          samples=shaped((Shape(3, 4), 0), (Shape(3, 4),)))
roll = op("roll", np.roll, lambda g, y, x, shift, axis=None: np.roll(g, _negated(shift), axis),
          formula=r"\bar x_i = \bar y_{i+\mathrm{shift}}",
          samples=shaped((Shape(3, 4), 1, 0), (Shape(3, 4), -2), (Shape(3, 4), (1, 2), (0, 1))))
tril = op("tril", np.tril, lambda g, y, x, k=0: np.tril(g, k),
          formula=r"\bar x_{ij} = \bar y_{ij}\,[j \le i+k]",
          samples=shaped((Shape(3, 4),), (Shape(2, 3, 3), -1)))
triu = op("triu", np.triu, lambda g, y, x, k=0: np.triu(g, k),
          formula=r"\bar x_{ij} = \bar y_{ij}\,[j \ge i+k]",
          samples=shaped((Shape(3, 4),), (Shape(2, 3, 3), 1)))
tile = op("tile", np.tile, _tile_rule,
          formula=r"\bar x = \textstyle\sum_{\mathrm{copies}}\bar y",
          samples=shaped((Shape(2, 3), 2), (Shape(3), (2, 2)), (Shape(2, 1, 3), (2, 1))))
pad = op("pad", _pad, _pad_rule,
         formula=r"\bar x = \bar y[\mathrm{inside}]", numpy=np.pad,
         samples=shaped((Shape(2, 3), 1), (Shape(2, 3), ((0, 1), (2, 0)))))

# --- joining ---------------------------------------------------------------------------------

_concatenate = op("concatenate", lambda *xs, axis=0: np.concatenate(xs, axis=axis), each=_piece,
                  formula=r"\bar x_i = \bar y[\mathrm{piece}_i]",
                  samples=shaped((Shape(2, 3), Shape(1, 3)),
                                 (Shape(2, 3), Shape(2, 2), {"axis": -1})))
_stack = op("stack", lambda *xs, axis=0: np.stack(xs, axis=axis),
            each=lambda i, g, y, *xs, axis=0: g[(slice(None),) * (axis % y.ndim) + (i,)],
            formula=r"\bar x_i = \bar y[i]",
            samples=shaped((Shape(2, 3), Shape(2, 3)), (Shape(2, 3), Shape(2, 3), {"axis": -1})))

# --- indexing --------------------------------------------------------------------------------

argsort = op("argsort", lambda a, axis=-1: np.argsort(a, axis=axis, kind="stable"),
             formula=r"y_{\mathrm{order}} \le y_{\mathrm{order}+1}", numpy=np.argsort,
             cost=r"n\log n", samples=shaped((Shape(3, 4),), (Shape(3, 4), 0), (Shape(2, 3), None)))
scatter = op("scatter", _scatter, lambda g, y, x, index, shape: g[index],
             formula=r"\bar x = \bar y[\mathrm{index}]",
             samples=shaped((Shape(3, 2), np.array([0, 2, 0]), (4, 2))))
_INDEXED = shaped((Shape(3, 4), 1), (Shape(3, 4), (slice(None), slice(0, 4, 2))),
                  (Shape(3, 4), (Ellipsis, None, -1)), (Shape(4, 3), np.array([0, 2, 0])),
                  (Shape(4, 3), (np.array([[0], [3]]), np.array([1, 1]))),
                  (Shape(2, 3), np.array([[True, False, True], [False, False, True]])))
_getitem = op("getitem", lambda x, index: x[index],
              lambda g, y, x, index: scatter(g, index, x.shape),
              formula=r"\bar x[\mathrm{index}] \mathrel{+}= \bar y", samples=_INDEXED)

# --- type and place --------------------------------------------------------------------------

to: Any = op("to", lambda x, backend: move(x, backend),
             lambda g, y, x, backend: to(g, of(array_of(x)).name),
             formula=r"\bar x = \bar y", samples=shaped((Shape(2, 3), "numpy")))
copy = op("copy", lambda x: x.copy(), lambda g, y, x: g,
          formula=r"\bar x = \bar y", samples=shaped((Shape(2, 3),)))
_discretize = op("discretize", lambda x, dtype: x.astype(dtype),
                 formula="x", samples=shaped((Shape(2, 3), "int64")))
_astype = op("astype", lambda x, dtype: x.astype(dtype), lambda g, y, x, dtype: g,
             formula=r"\bar x = \bar y", samples=shaped((Shape(2, 3), np.float64)))

# fmt: on

# --- functions made of these ----------------------------------------------------------------------


@answers_for(np.concatenate)
def concatenate(arrays: Sequence[ArrayLike], axis: int | None = 0) -> Any:
    """Join arrays along an existing axis (None: flattened); the gradient of each is its piece.

    As :func:`numpy.concatenate`. Raises ``ValueError`` where the other axes differ, and where a second
    array stands in place of the axis; ``TypeError`` for what is no list.

    >>> import minireg as mr
    >>> mr.concatenate([mr.tensor([1.0]), mr.tensor([2.0, 3.0])])
    Tensor([1., 2., 3.], dtype=float32)
    """
    check_kind("concatenate", Iterable, "write concatenate([a, b], axis)", arrays=arrays)
    if axis is None:
        return _concatenate(*map(ravel, arrays))
    check_option("concatenate([a, b], axis)", int, axis=axis)
    return _concatenate(*arrays, axis=axis)


@answers_for(np.stack)
def stack(arrays: Sequence[ArrayLike], axis: int = 0) -> Any:
    """Join equal-shaped arrays along a new axis.

    As :func:`numpy.stack`. Raises ``ValueError`` where the shapes differ, ``TypeError`` for what is no
    list.

    >>> import minireg as mr
    >>> mr.stack([mr.tensor(1.0), mr.tensor(2.0)])
    Tensor([1., 2.], dtype=float32)
    """
    check_kind("stack", Iterable, "write stack([a, b], axis)", arrays=arrays)
    return _stack(*arrays, axis=axis)


@answers_for(np.vstack)
def vstack(tup: Sequence[ArrayLike]) -> Any:
    """Join row by row; a vector is one row.

    As :func:`numpy.vstack`. Raises ``ValueError`` where the rows differ in length.

    >>> import minireg as mr
    >>> mr.vstack([mr.tensor([1.0]), mr.tensor([2.0])]).shape
    (2, 1)
    """
    return concatenate([x if np.ndim(x) > 1 else np.reshape(x, (1, -1)) for x in tup])


@answers_for(np.atleast_1d)
def _atleast_1d(a: Any) -> Any:
    return a if np.ndim(a) else np.reshape(a, 1)


@answers_for(np.hstack)
def hstack(tup: Sequence[ArrayLike]) -> Any:
    """Join column by column; vectors end to end.

    As :func:`numpy.hstack`. Raises ``ValueError`` where the columns differ in length.

    >>> import minireg as mr
    >>> mr.hstack([mr.tensor([1.0]), mr.tensor([2.0, 3.0])])
    Tensor([1., 2., 3.], dtype=float32)
    """
    arrays = [_atleast_1d(x) for x in tup]
    return concatenate(arrays, 0 if np.ndim(arrays[0]) == 1 else 1)


answers_for(np.flipud)(lambda m: flip(m, 0))


@answers_for(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return concatenate([arr, array_like(values, "append: values", arr.dtype)], axis)


@answers_for(np.split)
def split(ary: ArrayLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut into equal sections, or before the given indices, along ``axis``.

    As :func:`numpy.split`. Raises ``ValueError`` where equal sections do not divide the axis.

    >>> import minireg as mr
    >>> [p.shape for p in mr.split(mr.tensor([1.0, 2.0, 3.0]), [1])]
    [(1,), (2,)]
    """
    n = ary.shape[normalize_axis_index(axis, ary.ndim, "split")]
    if isinstance(indices_or_sections, int | np.integer):
        sections = int(indices_or_sections)
        if sections < 1 or n % sections:
            raise ValueError(f"split: axis {axis} of length {n} has no {sections} equal sections")
        cuts = list(range(0, n + 1, n // sections)) if n else [0] * (sections + 1)
    else:
        cuts = [0, *indices_or_sections, n]
    return [_at(ary, axis, slice(a, b)) for a, b in pairwise(cuts)]


def getitem(x: Any, index: Any) -> Any:
    """``x[index]``: basic, boolean and integer-array indexing; repeated indices add up.

    >>> import minireg as mr
    >>> x = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> x[[0, 0]].sum().backward(); x.grad
    Tensor([2., 0.], dtype=float32)
    """
    return _getitem(x, tuple(map(held, index)) if isinstance(index, tuple) else held(index))


def _at(x: Any, axis: int, index: Any) -> Any:
    """x[index] along ``axis``."""
    return getitem(x, (*(slice(None),) * normalize_axis_index(axis, x.ndim), index))


@answers_for(np.take)
def take(a: ArrayLike, indices: Integers, axis: int | None = None) -> Any:
    """Elements at integer ``indices`` along ``axis`` (of the flattened array when None).

    As :func:`numpy.take`; repeated indices add up in the gradient. Raises ``IndexError`` for an index
    out of range.

    >>> import minireg as mr
    >>> mr.take(mr.tensor([[1.0, 2.0], [3.0, 4.0]]), [1], axis=0)
    Tensor([[3., 4.]], dtype=float32)
    """
    return getitem(ravel(a), indices) if axis is None else _at(a, axis, indices)


@answers_for(np.take_along_axis)
def take_along_axis(arr: ArrayLike, indices: Integers, axis: int | None = -1) -> Any:
    """Along ``axis`` the elements at ``indices``, an integer array that fits the other axes.

    As :func:`numpy.take_along_axis`. Raises ``IndexError`` for an index out of range, and ``ValueError``
    for an axis that arr does not have.

    >>> import minireg as mr
    >>> x = mr.tensor([[3.0, 1.0], [2.0, 4.0]])
    >>> mr.take_along_axis(x, mr.argmax(x, axis=1, keepdims=True), axis=1).numpy().tolist()
    [[3.0], [4.0]]
    """
    if axis is None:
        return getitem(ravel(arr), indices)
    n, axis = arr.ndim, normalize_axis_index(axis, arr.ndim, "take_along_axis")
    grid = [arange(arr, k).reshape(-1, *(1,) * (n - 1 - i)) for i, k in enumerate(arr.shape)]
    grid[axis] = indices
    return getitem(arr, tuple(grid))


@answers_for(np.repeat)
def repeat(a: ArrayLike, repeats: int | Sequence[int], axis: int | None = None) -> Any:
    """Each element ``repeats`` times along ``axis`` (of the flattened array when None).

    As :func:`numpy.repeat`. Raises ``ValueError`` for a negative number, or unless there is one for each
    element.

    >>> import minireg as mr
    >>> mr.repeat(mr.tensor([1.0, 2.0]), [2, 1])
    Tensor([1., 1., 2.], dtype=float32)
    """
    a, axis = (ravel(a), 0) if axis is None else (_atleast_1d(a), axis)
    n = a.shape[normalize_axis_index(axis, a.ndim, "repeat")]
    return take(a, arange(a, n).repeat(repeats), axis)


@answers_for(np.sort)
def sort(a: ArrayLike, axis: int | None = -1) -> Any:
    """Sorted along ``axis`` (flattened when None); the gradient goes back where each came from.

    As :func:`numpy.sort`. Raises ``ValueError`` for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.sort(mr.tensor([3.0, 1.0, 2.0]))
    Tensor([1., 2., 3.], dtype=float32)
    """
    if axis is not None:
        normalize_axis_index(axis, np.ndim(a), "sort")
    return take_along_axis(a, argsort(a, axis=axis), axis)


@answers_for(np.ravel)
def ravel(a: ArrayLike) -> Any:
    """All elements in one axis.

    As :func:`numpy.ravel`, row by row; ``TypeError`` or ``ValueError`` for what is no array
    of numbers.

    >>> import minireg as mr
    >>> mr.ravel(mr.tensor([[1.0, 2.0], [3.0, 4.0]])).shape
    (4,)
    """
    return np.reshape(a, -1)


@answers_for(np.diff)
def diff(a: ArrayLike, n: int = 1, axis: int = -1) -> Any:
    """The ``n``-th difference of neighbours along ``axis``.

    As :func:`numpy.diff`. Raises ``ValueError`` for n < 0 and for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.diff(mr.tensor([1.0, 4.0, 9.0]))
    Tensor([3., 5.], dtype=float32)
    """
    if n < 0:
        raise ValueError(f"diff: got n={n}, expected n ≥ 0")
    minus = not_equal if a.dtype == bool else sub
    for _ in range(n):
        a = minus(_at(a, axis, slice(1, None)), _at(a, axis, slice(None, -1)))
    return a


@answers_for(np.diagonal)
def diagonal(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of the matrices in axes 1 and 2, as a new last axis.

    As :func:`numpy.diagonal`; offset > 0 lies above. Raises ``ValueError`` for fewer than two axes.

    >>> import minireg as mr
    >>> mr.diagonal(mr.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([1., 4.], dtype=float32)
    """
    if a.ndim < 2:
        raise ValueError(f"diagonal: got an array of shape {a.shape}, expected two axes or more")
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    below, right = max(-offset, 0), max(offset, 0)
    i = arange(a, max(0, min(a.shape[-2] - below, a.shape[-1] - right)))
    return getitem(a, (..., i + below, i + right))


@answers_for(np.trace)
def trace(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of the diagonal.

    As :func:`numpy.trace`; offset > 0 lies above. Raises ``ValueError`` for fewer than two axes.

    >>> import minireg as mr
    >>> mr.trace(mr.tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    return diagonal(a, offset, axis1, axis2).sum(axis=-1)


@answers_for(np.diag)
def diag(v: ArrayLike, k: int = 0) -> Any:
    """The matrix with the vector ``v`` on its ``k``-th diagonal, or that diagonal of a matrix.

    As :func:`numpy.diag`. Raises ``ValueError`` for more than two axes.

    >>> import minireg as mr
    >>> mr.diag(mr.tensor([1.0, 2.0])).numpy().tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    if v.ndim not in (1, 2):
        raise ValueError(f"diag: got an array of shape {v.shape}, expected a vector or a matrix")
    if v.ndim == 2:
        return diagonal(v, k)
    i, n = arange(v, v.shape[0]), v.shape[0] + abs(k)
    return scatter(v, (i + max(-k, 0), i + max(k, 0)), (n, n))


def astype(x: Any, dtype: Any) -> Any:
    """Convert; a gradient passes between floating dtypes and stops at integers and booleans.

    >>> import minireg as mr
    >>> mr.tensor([1.5], requires_grad=True).astype("int64").requires_grad
    False
    """
    return (_astype if as_dtype(dtype, "astype").kind in "fc" else _discretize)(x, dtype)
