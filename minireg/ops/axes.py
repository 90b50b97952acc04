"""Axes: what the rules of several files ask of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..backend import of
from .table import array_of


def axes_of(x: Any, axis: Any) -> tuple[int, ...]:
    """``axis``, a number, a tuple or None, as numbers from 0."""
    if axis is None or x.ndim == 0:  # NumPy takes axis 0 and −1 of a number, too
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def given_axes(name: str, x: Any, axis: Any) -> tuple[int, ...]:
    """The same for a function called ``name``, which is to say what is wrong with them."""
    return axes_of(x, None) if axis is None else normalize_axis_tuple(axis, x.ndim, name)


def reopened(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Put the reduced axes back (length 1), so that g broadcasts against x."""
    return g if keepdims or axis is None or x.ndim == 0 else np.expand_dims(g, axes_of(x, axis))


def size_along(x: Any, axis: Any) -> int:
    """How many numbers are reduced to one."""
    return math.prod(x.shape[a] for a in axes_of(x, axis))


def product_of_others(x: Any, axis: Any) -> Any:
    """∏_{j≠i} x_j without dividing by zero: with one zero it is 0 except for that entry."""
    zero = x == 0
    zeros = zero.sum(axis=axis, keepdims=True)
    safe = np.where(zero, 1, x)
    rest = safe.prod(axis=axis, keepdims=True)
    return np.where(zero, np.where(zeros == 1, rest, 0), np.where(zeros == 0, rest / safe, 0))


def arange(x: Any, n: int) -> Any:
    """0 … n−1 where x lives."""
    return of(array_of(x)).xp.arange(n)
