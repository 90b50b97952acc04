"""What runs on the stand-in runs on a CUDA device, where there is one, and gives what NumPy gives."""

from typing import Any

import numpy as np
import pytest

import minireg as mr
from minireg import backend as backends

from .arrays import host

HOME = "cupy"
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-4}  # of results, relative to their size
by_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: d.__name__)


def reason() -> str:
    """Why there is no device, or nothing."""
    try:
        backends.get(HOME)
    except (ImportError, RuntimeError) as error:
        return str(error)
    return ""


MARKS = [pytest.mark.gpu, pytest.mark.skipif(bool(reason()), reason=reason())]


def on_gpu(test: Any) -> Any:
    """A test for a device, skipped with the reason where there is none."""
    for mark in MARKS:
        test = mark(test)
    return test


def agree(run: Any, tolerance: float) -> None:
    """``run(home)`` gives the same on both, relative to the size of each array."""
    for a, b in zip(run("numpy"), run(HOME), strict=True):
        a, b = (v.data if isinstance(v, mr.Tensor) else v for v in (a, b))
        assert (a is None) == (b is None)
        if a is not None:
            assert backends.of(b).name == HOME
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            size = np.abs(a).max() if a.size else 1
            np.testing.assert_allclose(host(b), a, rtol=tolerance, atol=tolerance * (1 + size))
