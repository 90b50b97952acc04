"""Inputs of the studies: arrays as they are, numbers and lists of them in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..backend import NUMPY, Array, as_array, move


def exact(x: ArrayLike, name: str) -> Array:
    """An array as it is; numbers and lists of them in float64, integers in int64."""
    return as_array(np.asarray(x) if isinstance(x, int | float | list | tuple) else x, name)


def floating(x: ArrayLike, name: str = "x") -> Array:
    """As :func:`exact`, integers in float64."""
    array = exact(x, name)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def on_host(x: ArrayLike, name: str = "x") -> Array:
    """A copy on the host in float64, or ``x`` itself if it is one already."""
    return move(floating(x, name), NUMPY.name).astype(np.float64, copy=False)


def paired(owner: str, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Samples x (N, d) and targets y (N,) on the host; ``ValueError`` for other shapes."""
    inputs, targets = on_host(x), on_host(y)
    if inputs.ndim != 2 or targets.shape != inputs.shape[:1] or not inputs.size:
        raise ValueError(
            f"{owner}: got x {inputs.shape} and y {targets.shape}, expected (N, d) and (N,)"
        )
    return inputs, targets


def check_labels(owner: str, outputs: Any, y: Any, what: str = "logits") -> None:
    """``ValueError`` unless y are labels (N,) of outputs (N, C) of that kind."""
    fits = outputs.ndim == 2 and y.shape == outputs.shape[:1] and y.dtype.kind in "iu"
    if not fits or not ((y >= 0) & (y < outputs.shape[1])).all() or outputs.shape[1] < 2:
        raise ValueError(
            f"{owner}: got {what} of shape {outputs.shape} and labels of shape {y.shape} and dtype "
            f"{y.dtype}, expected (N, C ≥ 2) and (N,) integers in 0 … C − 1"
        )
