"""What the studies take: arrays as they are, numbers and lists of them in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import NUMPY, Array, as_array, move


def exact(x: Any, name: str) -> Array:
    """An array as it is; numbers and lists of them in float64, where they are no integers."""
    return as_array(np.asarray(x) if isinstance(x, int | float | list | tuple) else x, name)


def floating(x: Any, name: str = "x") -> Array:
    """The same, and integers in float64."""
    x = exact(x, name)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def on_host(x: Any, name: str = "x") -> Array:
    """The same on the host, all in float64."""
    return move(floating(x, name), NUMPY.name).astype(np.float64, copy=False)


def paired(owner: str, x: Any, y: Any) -> tuple[Array, Array]:
    """Samples x (N, d) and targets y (N,) on the host; ``ValueError`` for other shapes."""
    x, y = on_host(x), on_host(y)
    if x.ndim != 2 or y.shape != x.shape[:1] or not x.size:
        raise ValueError(f"{owner}: got x {x.shape} and y {y.shape}, expected (N, d) and (N,)")
    return x, y
