"""Arrays in, arrays out: lengths that neither overflow nor vanish, decompositions.

No op is entered here. What penalties and studies compute of a weight stays where its array
lives, and nothing waits for a device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import numpy as np

from ..backend import NUMPY, Array, of
from ..tensor import Tensor


def like(a: Any, w: Any) -> Any:
    """``a``, if it is an array, in w's dtype."""
    return a.astype(w.dtype) if hasattr(a, "astype") and a.dtype != w.dtype else a


def largest(x: Array) -> Any:
    """The largest element, where the array lives; 0 if there is none."""
    return x.max() if x.size else x.sum()


# --- lengths --------------------------------------------------------------------------------------


def widened(x: Any) -> Any:
    """float16 in float32, in which it is summed; ``TypeError`` for what is not floating."""
    if x.dtype.kind != "f":
        raise TypeError(f"a penalty measures floating weights, got {x.dtype}; convert them first")
    return x.astype(np.float32) if x.dtype == np.float16 else x


@cache
def _edge(dtype: Any) -> float:
    """What loses digits when squared, as does what is longer than its inverse."""
    return float(np.finfo(dtype).tiny) ** 0.4


def norms(rows: Any) -> Any:
    """Length of each row, as a column; float16 is measured in float32.

    Where squares leave the range of the dtype, a row is measured in units of its largest element.
    """
    plain: Any = partial(np.linalg.norm, axis=1, keepdims=True)
    rows = widened(rows)
    if isinstance(rows, Tensor) or not rows.size:
        return plain(rows)
    edge = _edge(rows.dtype)

    def in_units(rows: Array) -> Array:
        most = np.abs(rows).max(axis=1, keepdims=True)
        odd = ((most > 0) & (most <= edge)) | ((most >= 1 / edge) & (most < np.inf))
        unit = like(np.where(odd, most, 1), rows)
        return unit * plain(rows / unit)

    if of(rows) is not NUMPY:  # to look at lengths would wait for the device
        return in_units(rows)
    with np.errstate(over="ignore"):
        found = plain(rows)
    odd = ~((found > edge) & (found < 1 / edge))[:, 0]
    if odd.any():
        found[odd] = in_units(rows[odd])
    return found


def length(x: Array) -> Any:
    """Euclidean length of all entries together, where the array lives."""
    return like(norms(x.reshape(1, -1))[0, 0], x)


# --- decompositions -------------------------------------------------------------------------------


def as_matrix(w: Any) -> Any:
    """w with all axes but the first as one, as for the weight of a convolution."""
    if w.dtype == np.float16:
        raise TypeError(
            "singular values need float32 or float64, got float16, which has no SVD; "
            "keep the weights in float32"
        )
    return w.reshape(1, -1) if w.ndim < 2 else w.reshape(w.shape[0], -1) if w.ndim > 2 else w


@contextmanager
def explained(a: Any) -> Iterator[None]:
    """What LAPACK says of NaN in a ("did not converge", or nothing) in words that help."""
    try:
        if of(a) is NUMPY and not np.isfinite(a).all():
            raise np.linalg.LinAlgError
        yield
    except np.linalg.LinAlgError as error:
        raise np.linalg.LinAlgError(
            "singular values: the weight holds NaN, inf or numbers whose squares are inf; look for "
            "where training diverged, for example with mr.detect_anomaly()"
        ) from error


def svd(w: Array) -> tuple[Array, Array, Array]:
    """Thin SVD of :func:`as_matrix`: w = (U·s) Vᵀ.

    As a stack of one: a stack of matrices up to 32×32 CuPy decomposes without the host.
    """
    with explained(w):
        u, s, vt = np.linalg.svd(as_matrix(w)[None], full_matrices=False)
    return u[0], s[0], vt[0]


def eigh(a: Array) -> tuple[Array, Array]:
    """Eigenvalues, rising, and eigenvectors of a symmetric matrix; a stack as in :func:`svd`."""
    with explained(a):
        values, vectors = np.linalg.eigh(a[None])
    return values[0], vectors[0]


def rank_tolerance(w: Array, s: Array) -> Any:
    """Singular values up to this are 0 to rounding (as ``np.linalg.matrix_rank`` says)."""
    m, n = as_matrix(w).shape
    return s[:1].sum() * max(m, n) * float(np.finfo(s.dtype).eps)
