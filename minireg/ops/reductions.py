"""Sums, means, extrema, products and the softmax family.

``axis`` is an integer, a tuple or None; ``keepdims`` as in NumPy. A rule may return a
gradient that still has to be broadcast: the engine stretches it to the input's shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .samples import reduction
from .table import op

# fmt: off


def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


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
          lambda g, y, x, axis=None, keepdims=False: _open(g, x, axis, keepdims) / _count(x, axis),
          formula=r"\bar x_i = \bar y/n", numpy=np.mean, samples=reduction())


def _centred(x: Any, axis: Any, divisor: int) -> Any:
    return (x - x.mean(axis=axis, keepdims=True)) / divisor


var = op("var",
         lambda x, axis=None, ddof=0, keepdims=False: x.var(axis=axis, ddof=ddof, keepdims=keepdims),
         lambda g, y, x, axis=None, ddof=0, keepdims=False:
             _open(g, x, axis, keepdims) * (2 * _centred(x, axis, _count(x, axis) - ddof)),
         formula=r"\bar x_i = \bar y\,\tfrac{2}{n-\mathrm{ddof}}(x_i-\mu)", numpy=np.var,
         samples=lambda r: [*reduction()(r), *reduction(ddof=1)(r)])
std = op("std",
         lambda x, axis=None, ddof=0, keepdims=False: x.std(axis=axis, ddof=ddof, keepdims=keepdims),
         lambda g, y, x, axis=None, ddof=0, keepdims=False:
             _open(np.where(y == 0, 0, g / np.where(y == 0, 1, y)), x, axis, keepdims)
             * _centred(x, axis, _count(x, axis) - ddof),
         formula=r"\bar x_i = \bar y\,\tfrac{x_i-\mu}{(n-\mathrm{ddof})\,y}", kink="y = 0: 0",
         numpy=np.std, samples=lambda r: [*reduction()(r), *reduction(ddof=1)(r)])


def _extremum(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    best = x == _open(y, x, axis, keepdims)
    return np.where(best, _open(g, x, axis, keepdims) / best.sum(axis=axis, keepdims=True), 0)


max = op("max", lambda x, axis=None, keepdims=False: x.max(axis=axis, keepdims=keepdims), _extremum,
         formula=r"\bar x_i = \bar y\,[x_i = y]/\#\{x_j = y\}", kink="ties share evenly",
         numpy=np.max, samples=reduction())
min = op("min", lambda x, axis=None, keepdims=False: x.min(axis=axis, keepdims=keepdims), _extremum,
         formula=r"\bar x_i = \bar y\,[x_i = y]/\#\{x_j = y\}", kink="ties share evenly",
         numpy=np.min, samples=reduction())


# --- products ------------------------------------------------------------------------------


def _prod(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Any, None]:
    return x.prod(axis=axis, keepdims=keepdims), None


def _prod_backward(g: Any, y: Any, saved: None, needs: Any, x: Any, axis: Any = None,
                   keepdims: bool = False) -> tuple[Any]:
    """ȳ ∏_{j≠i} x_j without dividing by zero: with one zero only that entry gets a gradient."""
    zero = x == 0
    zeros = zero.sum(axis=axis, keepdims=True)
    safe = np.where(zero, 1, x)
    rest = safe.prod(axis=axis, keepdims=True)
    others = np.where(zero, np.where(zeros == 1, rest, 0), np.where(zeros == 0, rest / safe, 0))
    return (_open(g, x, axis, keepdims) * others,)


def _prod_definition(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product as a tree of multiplications, exact in every order, zeros included."""
    axes, shape = _axes(x, axis), x.shape
    kept = [a for a in range(x.ndim) if a not in axes]
    y = np.transpose(x, (*axes, *kept)).reshape(-1, *(shape[a] for a in kept))
    while y.shape[0] > 1:
        half = y.shape[0] // 2
        pairs = y[:half] * y[half : 2 * half]
        y = np.concatenate([pairs, y[2 * half :]]) if y.shape[0] % 2 else pairs
    y = y[0] if y.shape[0] else y.sum(axis=0) + 1
    return np.expand_dims(y, axes) if keepdims else y


prod = op("prod", _prod, formula=r"\bar x_i = \bar y\,\prod_{j\ne i} x_j", numpy=np.prod,
          backward=_prod_backward, definition=_prod_definition, samples=reduction(0.5, 2))
cumsum = op("cumsum", lambda x, axis=None: x.cumsum(axis=axis),
            lambda g, y, x, axis=None:
                np.flip(np.flip(g, axis or 0).cumsum(axis=axis or 0), axis or 0).reshape(x.shape),
            formula=r"\bar x_i = \sum_{j\ge i}\bar y_j", numpy=np.cumsum,
            samples=lambda r: [(r.normal(size=(3, 4)), 1), (r.normal(size=(3, 4)), 0),
                               (r.normal(size=5),), (r.normal(size=(2, 3)), {"axis": -1})])

# --- the softmax family ------------------------------------------------------------------------


def _logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    y = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return y if keepdims else y.reshape(x.sum(axis=axis).shape)


def _softmax(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    e /= e.sum(axis=axis, keepdims=True)
    return e


def _log_softmax(x: Any, axis: int = -1) -> Any:
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


logsumexp = op("logsumexp", _logsumexp,
               lambda g, y, x, axis=None, keepdims=False:
                   _open(g, x, axis, keepdims) * np.exp(x - _open(y, x, axis, keepdims)),
               formula=r"\bar x = \bar y\,e^{x-y}", samples=reduction())
softmax = op("softmax", _softmax,
             lambda g, y, x, axis=-1: y * (g - (g * y).sum(axis=axis, keepdims=True)),
             formula=r"\bar x = y\,(\bar y - \langle\bar y, y\rangle)",
             samples=lambda r: [(r.normal(size=(3, 4)),), (r.normal(size=(3, 4)), 0)])
log_softmax = op("log_softmax", _log_softmax,
                 lambda g, y, x, axis=-1: g - np.exp(y) * g.sum(axis=axis, keepdims=True),
                 formula=r"\bar x = \bar y - e^{y}\textstyle\sum\bar y",
                 samples=lambda r: [(r.normal(size=(3, 4)),), (r.normal(size=(3, 4)), 0)])
