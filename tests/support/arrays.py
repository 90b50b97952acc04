"""Arrays for tests: drawn from a seed, placed on a backend, and brought back."""

from typing import Any

import numpy as np

import minireg as mr
from minireg import backend as backends


def draw(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    """Normal numbers, always the same of a seed."""
    return np.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def close(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    """Assert that two arrays agree, both absolutely and relatively."""
    np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), tolerance, tolerance)


def place(x: Any, home: str) -> Any:
    """A sample's arrays on ``home``, those inside tuples (indices) too."""
    if isinstance(x, tuple):
        return tuple(place(i, home) for i in x)
    return backends.move(x, home) if isinstance(x, np.ndarray) else x


def host(x: Any) -> Any:
    """Values as NumPy sees them, from whatever backend."""
    x = x.data if isinstance(x, mr.Tensor) else x
    return x if x is None or not backends.is_array(x) else backends.of(x).to_numpy(x)
