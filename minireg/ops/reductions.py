"""Sums, means, extrema, products and the softmax family.

``axis`` is an integer, a tuple or None; ``keepdims`` as in NumPy. A rule may return a
gradient that still has to be broadcast: the engine stretches it to the input's shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Axis
from .axes import axes_of, given_axes, product_of_others, reopened, size_along
from .samples import Shape, booleans, both, reduction, shaped
from .shapes import _atleast_1d, ravel, sort
from .table import HALF, NUMPY, ArrayLike, answers_for, array_of, op, ratio, wide

# --- rules that take more than a line -------------------------------------------------------------


def _front(x: Any, axis: Any) -> Any:
    """The reduced axes as one, in front of those that stay."""
    axes = axes_of(x, axis)
    kept = [a for a in range(x.ndim) if a not in axes]
    lengths = size_along(x, axis), *(x.shape[a] for a in kept)
    return np.transpose(x, (*axes, *kept)).reshape(lengths)


def _method(name: str) -> Any:
    """What the arrays' method of that name gives."""

    def value(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return getattr(x, name)(axis=axis, keepdims=keepdims)

    return value


def _mean_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return reopened(wide(g), x, axis, keepdims) / size_along(x, axis)


def _spread(name: str) -> Any:
    """The same for the methods with ``ddof``; half precision goes through single."""

    def value(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        y = getattr(wide(x), name)(axis=axis, ddof=ddof, keepdims=keepdims)
        return y.astype(HALF) if x.dtype == HALF else y

    return value


def _var_rule(
    g: Any, y: Any, x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False
) -> Any:
    x, g = wide(x), wide(g)
    centred = x - x.mean(axis=axis, keepdims=True)
    return reopened(g, x, axis, keepdims) * (2 * (centred / (size_along(x, axis) - ddof)))


def _extremum(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    g = wide(g)
    best = (x == reopened(y, x, axis, keepdims)).astype(g.dtype)
    # a product beats np.where fourfold
    return best * (reopened(g, x, axis, keepdims) / best.sum(axis=axis, keepdims=True))


def _prod_backward(
    g: Any, y: Any, saved: None, needs: Any, x: Any, axis: Any = None, keepdims: bool = False
) -> tuple[Any]:
    return (reopened(g, x, axis, keepdims) * product_of_others(x, axis),)


def _prod_definition(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product as a tree of multiplications, exact in every order, zeros included."""
    y = _front(x, axis)
    while y.shape[0] > 1:
        half = y.shape[0] // 2
        pairs = y[:half] * y[half : 2 * half]
        y = np.concatenate([pairs, y[2 * half :]]) if y.shape[0] % 2 else pairs
    y = y[0] if y.shape[0] else y.sum(axis=0) + 1
    return np.expand_dims(y, axes_of(x, axis)) if keepdims else y


def _cumsum_rule(g: Any, y: Any, x: Any, axis: int | None = None) -> Any:
    axis = axis or 0  # y of None is flat
    return np.flip(np.flip(g, axis).cumsum(axis=axis), axis).reshape(x.shape)


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
    return reopened(g, x, axis, keepdims) * (e / e.sum(axis=axis, keepdims=True))


# --- the table: a rule a line ---------------------------------------------------------------------

# fmt: off

sum = op("sum", _method("sum"),
         lambda g, y, x, axis=None, keepdims=False: reopened(g, x, axis, keepdims),
         formula=r"\bar x_i = \bar y", numpy=np.sum, samples=reduction())
mean = op("mean", _method("mean"), _mean_rule,
          formula=r"\bar x_i = \bar y/n", numpy=np.mean, samples=reduction())
var = op("var", _spread("var"), _var_rule,
         formula=r"\bar x_i = \bar y\,\tfrac{2}{n-\mathrm{ddof}}(x_i-\mu)", numpy=np.var,
         samples=both(reduction(), reduction(ddof=1)))
std = op("std", _spread("std"),
         lambda g, y, x, *options, **named: _var_rule(ratio(g, 2 * y), y, x, *options, **named),
         formula=r"\bar x_i = \bar y\,\tfrac{x_i-\mu}{(n-\mathrm{ddof})\,y}", kink="y = 0: 0",
         numpy=np.std, samples=both(reduction(), reduction(ddof=1)))
max = op("max", _method("max"), _extremum,
         formula=r"\bar x_i = \bar y\,[x_i = y]/\#\{x_j = y\}", kink="ties share evenly",
         numpy=np.max, samples=reduction())
min = op("min", _method("min"), _extremum,
         formula=r"\bar x_i = \bar y\,[x_i = y]/\#\{x_j = y\}", kink="ties share evenly",
         numpy=np.min, samples=reduction())
_INDEXED = shaped((Shape(3, 4),), (Shape(3, 4), 1), (Shape(3, 4), {"axis": 0, "keepdims": True}))
argmax = op("argmax", _method("argmax"),
            formula=r"\arg\max x", numpy=np.argmax, samples=_INDEXED)
argmin = op("argmin", _method("argmin"),
            formula=r"\arg\min x", numpy=np.argmin, samples=_INDEXED)
any = op("any", _method("any"),
         formula=r"\exists i:\ x_i \ne 0", numpy=np.any, samples=booleans(1))
all = op("all", _method("all"),
         formula=r"\forall i:\ x_i \ne 0", numpy=np.all, samples=booleans(1))
prod = op("prod", lambda x, axis=None, keepdims=False: (x.prod(axis=axis, keepdims=keepdims), None),
          backward=_prod_backward, definition=_prod_definition,
          formula=r"\bar x_i = \bar y\,\prod_{j\ne i} x_j", numpy=np.prod,
          samples=reduction(0.5, 2))
cumsum = op("cumsum", lambda x, axis=None: x.cumsum(axis=axis), _cumsum_rule,
            formula=r"\bar x_i = \sum_{j\ge i}\bar y_j", numpy=np.cumsum,
            samples=shaped((Shape(3, 4), 1), (Shape(3, 4), 0), (Shape(5),),
                           (Shape(2, 3), {"axis": -1})))
_ONE_AXIS = shaped((Shape(3, 4),), (Shape(3, 4), 0))
logsumexp = op("logsumexp", _logsumexp, _logsumexp_rule,
               formula=r"\bar x = \bar y\,\mathrm{softmax}(x)", samples=reduction())
softmax = op("softmax", _softmax,
             lambda g, y, x, axis=-1: y * (g - (g * y).sum(axis=axis, keepdims=True)),
             formula=r"\bar x = y\,(\bar y - \langle\bar y, y\rangle)", samples=_ONE_AXIS)
log_softmax = op("log_softmax", _log_softmax,
                 lambda g, y, x, axis=-1: g - np.exp(y) * g.sum(axis=axis, keepdims=True),
                 formula=r"\bar x = \bar y - e^{y}\textstyle\sum\bar y", samples=_ONE_AXIS)

NUMPY.update({np.amax: max, np.amin: min})

# fmt: on

# --- functions made of these ----------------------------------------------------------------------


@answers_for(np.median)
def median(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any:
    """The middle value along ``axis``, or the mean of the two, which share the gradient.

    As :func:`numpy.median`. Raises ``ValueError`` of nothing, and for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.median(mr.tensor([3.0, 1.0, 2.0, 9.0])).item()
    2.5
    """
    axes = given_axes("median", a, axis)
    y = sort(_front(a, axes), axis=0)
    n = y.shape[0]
    if not n:
        raise ValueError("median: got nothing along the axis, expected one element or more")
    middle = y[(n - 1) // 2] * 0.5 + y[n // 2] * 0.5
    middle = np.where(np.isnan(y[-1]), y[-1], middle)  # NaN is sorted to the end
    return np.expand_dims(middle, axes) if keepdims else middle


@answers_for(np.cumprod)
def cumprod(a: ArrayLike, axis: int | None = None) -> Any:
    """Products of the first 1, 2, … entries, by doubling: no division, so zeros are no kink.

    As :func:`numpy.cumprod`; None flattens. Raises ``ValueError`` for an axis that a does not have.

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
