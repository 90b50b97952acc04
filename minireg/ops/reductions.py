"""Sums, means, extrema, products and the softmax family.

``axis`` is an integer, a tuple or None; ``keepdims`` as in NumPy. A rule may return a
gradient that still has to be broadcast: the engine stretches it to the input's shape.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .elementwise import _over
from .samples import Shape, binary, booleans, both, reduction, shaped
from .shapes import _atleast_1d, ravel, sort
from .table import HALF, NUMPY, answers_for, array_of, op, wide

# fmt: off


def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    if axis is None or x.ndim == 0:  # NumPy takes axis 0 and −1 of a number, too
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def _given_axes(name: str, x: Any, axis: Any) -> tuple[int, ...]:
    """The same for a function, which is to say what is wrong with them."""
    return _axes(x, None) if axis is None else normalize_axis_tuple(axis, x.ndim, name)


def _open(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Put the reduced axes back (length 1), so that g broadcasts against x."""
    return g if keepdims or axis is None or x.ndim == 0 else np.expand_dims(g, _axes(x, axis))


def _count(x: Any, axis: Any) -> int:
    n = 1
    for a in _axes(x, axis):
        n *= x.shape[a]
    return n


sum = op("sum", lambda x, axis=None, keepdims=False: x.sum(axis=axis, keepdims=keepdims),
         lambda g, y, x, axis=None, keepdims=False: _open(g, x, axis, keepdims),
         formula=r"\bar x_i = \bar y", numpy=np.sum, samples=reduction())
mean = op("mean", lambda x, axis=None, keepdims=False: x.mean(axis=axis, keepdims=keepdims),
          lambda g, y, x, axis=None, keepdims=False: _open(wide(g), x, axis, keepdims) / _count(x, axis),
          formula=r"\bar x_i = \bar y/n", numpy=np.mean, samples=reduction())



@cache
def _least(dtype: Any) -> float:
    return math.sqrt(np.finfo(dtype).tiny)


def _over_count(g: Any, y: Any, count: Any) -> Any:
    """g/count, and of nothing finite: what nothing is asked of gets the gradient 0, not 0·∞."""
    return g / np.maximum(count, _least(y.dtype))


per = op("per", np.true_divide, lambda g, y, total, count: _over_count(g, y, count),
         lambda g, y, total, count: -_over_count(g * y, y, count), samples=binary(second=(0.5, 2)),
         formula=r"\bar a = \bar y/\max(b, \sqrt{\mathrm{tiny}}),\quad \bar b = -\bar a\,y")


def _spread(name: str) -> Any:
    """The method of that name; half precision goes through single."""

    def value(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        y = getattr(wide(x), name)(axis=axis, ddof=ddof, keepdims=keepdims)
        return y.astype(HALF) if x.dtype == HALF else y

    return value


def _var_rule(g: Any, y: Any, x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    x, g = wide(x), wide(g)
    centred = x - x.mean(axis=axis, keepdims=True)
    return _open(g, x, axis, keepdims) * (2 * (centred / (_count(x, axis) - ddof)))


def _std_rule(g: Any, y: Any, x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    return _var_rule(_over(g, 2 * y), y, x, axis, ddof, keepdims)


var = op("var", _spread("var"), _var_rule, numpy=np.var,
         formula=r"\bar x_i = \bar y\,\tfrac{2}{n-\mathrm{ddof}}(x_i-\mu)",
         samples=both(reduction(), reduction(ddof=1)))
std = op("std", _spread("std"), _std_rule, numpy=np.std,
         formula=r"\bar x_i = \bar y\,\tfrac{x_i-\mu}{(n-\mathrm{ddof})\,y}",
         kink="y = 0: 0", samples=both(reduction(), reduction(ddof=1)))


def _extremum(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    g = wide(g)
    best = (x == _open(y, x, axis, keepdims)).astype(g.dtype)  # a product beats np.where fourfold
    return best * (_open(g, x, axis, keepdims) / best.sum(axis=axis, keepdims=True))


max = op("max", lambda x, axis=None, keepdims=False: x.max(axis=axis, keepdims=keepdims), _extremum,
         formula=r"\bar x_i = \bar y\,[x_i = y]/\#\{x_j = y\}", kink="ties share evenly",
         numpy=np.max, samples=reduction())
min = op("min", lambda x, axis=None, keepdims=False: x.min(axis=axis, keepdims=keepdims), _extremum,
         formula=r"\bar x_i = \bar y\,[x_i = y]/\#\{x_j = y\}", kink="ties share evenly",
         numpy=np.min, samples=reduction())


def _front(x: Any, axis: Any) -> Any:
    """The reduced axes as one, in front of those that stay."""
    axes = _axes(x, axis)
    kept = [a for a in range(x.ndim) if a not in axes]
    return np.transpose(x, (*axes, *kept)).reshape((_count(x, axis), *(x.shape[a] for a in kept)))


NUMPY.update({np.amax: max, np.amin: min})


@answers_for(np.median)
def median(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The middle value along ``axis``, or the mean of the two, which share the gradient.

    >>> import minireg as mr
    >>> mr.median(mr.tensor([3.0, 1.0, 2.0, 9.0])).item()
    2.5
    """
    axes = _given_axes("median", a, axis)
    y = sort(_front(a, axes), axis=0)
    n = y.shape[0]
    middle = y[(n - 1) // 2] * 0.5 + y[n // 2] * 0.5
    middle = np.where(np.isnan(y[-1]), y[-1], middle)  # NaN is sorted to the end
    return np.expand_dims(middle, axes) if keepdims else middle


argmax = op("argmax", lambda x, axis=None, keepdims=False: x.argmax(axis=axis, keepdims=keepdims),
            formula=r"\arg\max x", numpy=np.argmax,
            samples=shaped((Shape(3, 4),), (Shape(3, 4), 1), (Shape(3, 4), {"axis": 0, "keepdims": True})))
argmin = op("argmin", lambda x, axis=None, keepdims=False: x.argmin(axis=axis, keepdims=keepdims),
            formula=r"\arg\min x", numpy=np.argmin,
            samples=shaped((Shape(3, 4),), (Shape(3, 4), 1), (Shape(3, 4), {"axis": 0, "keepdims": True})))
any = op("any", lambda x, axis=None, keepdims=False: x.any(axis=axis, keepdims=keepdims),
         formula=r"\exists i:\ x_i \ne 0", numpy=np.any, samples=booleans(1))
all = op("all", lambda x, axis=None, keepdims=False: x.all(axis=axis, keepdims=keepdims),
         formula=r"\forall i:\ x_i \ne 0", numpy=np.all, samples=booleans(1))

# --- products ------------------------------------------------------------------------------


def _prod(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Any, None]:
    return x.prod(axis=axis, keepdims=keepdims), None


def _others(x: Any, axis: Any) -> Any:
    """∏_{j≠i} x_j without dividing by zero: with one zero it is 0 but for that entry."""
    zero = x == 0
    zeros = zero.sum(axis=axis, keepdims=True)
    safe = np.where(zero, 1, x)
    rest = safe.prod(axis=axis, keepdims=True)
    return np.where(zero, np.where(zeros == 1, rest, 0), np.where(zeros == 0, rest / safe, 0))


def _prod_backward(g: Any, y: Any, saved: None, needs: Any, x: Any, axis: Any = None,
                   keepdims: bool = False) -> tuple[Any]:
    return (_open(g, x, axis, keepdims) * _others(x, axis),)


def _prod_definition(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product as a tree of multiplications, exact in every order, zeros included."""
    y = _front(x, axis)
    while y.shape[0] > 1:
        half = y.shape[0] // 2
        pairs = y[:half] * y[half : 2 * half]
        y = np.concatenate([pairs, y[2 * half :]]) if y.shape[0] % 2 else pairs
    y = y[0] if y.shape[0] else y.sum(axis=0) + 1
    return np.expand_dims(y, _axes(x, axis)) if keepdims else y


prod = op("prod", _prod, formula=r"\bar x_i = \bar y\,\prod_{j\ne i} x_j", numpy=np.prod,
          backward=_prod_backward, definition=_prod_definition, samples=reduction(0.5, 2))


def _cumsum_rule(g: Any, y: Any, x: Any, axis: int | None = None) -> Any:
    axis = axis or 0  # y of None is flat
    return np.flip(np.flip(g, axis).cumsum(axis=axis), axis).reshape(x.shape)


cumsum = op("cumsum", lambda x, axis=None: x.cumsum(axis=axis), _cumsum_rule, numpy=np.cumsum,
            formula=r"\bar x_i = \sum_{j\ge i}\bar y_j",
            samples=shaped((Shape(3, 4), 1), (Shape(3, 4), 0), (Shape(5),), (Shape(2, 3), {"axis": -1})))


@answers_for(np.cumprod)
def cumprod(a: Any, axis: int | None = None) -> Any:
    """Products of the first 1, 2, … entries, by doubling: no division, so zeros are no kink.

    >>> import minireg as mr
    >>> mr.cumprod(mr.tensor([2.0, 0.0, 3.0]))
    Tensor([2., 0., 0.], dtype=float32)
    """
    if a.dtype.kind not in "fc":
        a = a.astype(np.zeros_like(array_of(a), shape=1).cumprod().dtype)
    a = _atleast_1d(a)
    y, step = ravel(a) if axis is None else np.swapaxes(a, axis, 0), 1
    while step < y.shape[0]:
        y = np.concatenate([y[:step], y[step:] * y[:-step]])
        step *= 2
    return np.swapaxes(y, axis or 0, 0)


# --- the softmax family ------------------------------------------------------------------------


def _logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    y = np.log(wide(np.exp(x - top)).sum(axis=axis, keepdims=True)) + top
    y = y.astype(HALF) if x.dtype == HALF else y
    return y if keepdims else y.reshape(x.max(axis=axis).shape)


def _softmax(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    e /= wide(e).sum(axis=axis, keepdims=True)
    return e


def _log_softmax(x: Any, axis: int = -1) -> Any:
    shifted = x - x.max(axis=axis, keepdims=True)
    y = shifted - np.log(wide(np.exp(shifted)).sum(axis=axis, keepdims=True))
    return y.astype(HALF) if x.dtype == HALF else y


def _logsumexp_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """ȳ·softmax(x): e^{x−y} of a rounded y would not sum to 1 where x is large."""
    top = array_of(x).max(axis=axis, keepdims=True)
    e = wide(np.exp(x - np.where(np.isfinite(top), top, 0)))
    return _open(g, x, axis, keepdims) * (e / e.sum(axis=axis, keepdims=True))


_ONE_AXIS = shaped((Shape(3, 4),), (Shape(3, 4), 0))
logsumexp = op("logsumexp", _logsumexp, _logsumexp_rule, formula=r"\bar x = \bar y\,\mathrm{softmax}(x)",
               samples=reduction())
softmax = op("softmax", _softmax,
             lambda g, y, x, axis=-1: y * (g - (g * y).sum(axis=axis, keepdims=True)),
             formula=r"\bar x = y\,(\bar y - \langle\bar y, y\rangle)", samples=_ONE_AXIS)
log_softmax = op("log_softmax", _log_softmax,
                 lambda g, y, x, axis=-1: g - np.exp(y) * g.sum(axis=axis, keepdims=True),
                 formula=r"\bar x = \bar y - e^{y}\textstyle\sum\bar y", samples=_ONE_AXIS)
