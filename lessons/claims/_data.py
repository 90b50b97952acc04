"""Data sets and networks that several topics measure on."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from sklearn import datasets as bundled

import minireg as mr


def standardized(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and variance 1 (over n)."""
    return (x - x.mean(0)) / x.std(0)


@cache
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """442 patients × 10 features and the target, all standardized."""
    x, y = bundled.load_diabetes(return_X_y=True, scaled=False)
    return standardized(x), standardized(y)


@cache
def digits(train: int = 300, noise: float = 0.15) -> tuple[np.ndarray, ...]:
    """8×8 digits in [0, 1], float32: x and y of training and of 700 validation images.

    ``noise`` is the share of training labels that are replaced by random ones.
    """
    x, y = bundled.load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))[: train + 700]
    x, y = (x[order] / 16).astype(np.float32), y[order].copy()
    wrong = rng.random(train) < noise
    y[:train][wrong] = rng.integers(0, 10, wrong.sum())
    return x[:train], y[:train], x[train:], y[train:]


def mlp(widths: Sequence[int] = (64, 128, 10), norm: type | None = None) -> mr.nn.Sequential:
    """Linear layers of these widths with ReLU, and a normalisation before it if one is given."""
    layers: list[mr.nn.Module] = []
    for n, m in pairwise(widths):
        layers += [mr.nn.Linear(n, m), *([norm(m)] if norm else []), mr.nn.ReLU()]
    return mr.nn.Sequential(*layers[: -2 if norm else -1])
