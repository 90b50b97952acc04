"""Data sets, networks and fits that several topics measure on.

The claims run on any backend (``mr.use_backend``): data and reference formulas are host arrays, which
:func:`here` hands to the framework, and :func:`host` reads what it gives back.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

import minireg as mr
from minireg.backend import is_array, move


def standardized(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and variance 1 (over n)."""
    return (x - x.mean(0)) / x.std(0)


def here(a: Any) -> Any:
    """A host array on the default backend, where layers and parameters are made."""
    return move(np.asarray(a), mr.get_backend())


def host(a: Any) -> Any:
    """A Tensor, or an array of any backend, as a NumPy array; a number as it is."""
    a = a.data if isinstance(a, mr.Tensor) else a
    return move(a, "numpy") if is_array(a) else a


def far(a: Any, b: Any) -> float:
    """The largest difference."""
    return float(np.abs(host(a) - host(b)).max())


@cache
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """442 patients × 10 features and the target, all standardized."""
    x, y = mr.datasets.arrays("diabetes")
    return standardized(x), standardized(y)


@cache
def digits(train: int = 300, noise: float = 0.15) -> tuple[np.ndarray, ...]:
    """8×8 digits in [0, 1], float32: x and y of training and of 700 validation images.

    ``noise`` is the share of training labels that are replaced by random ones.
    """
    x, y = mr.datasets.arrays("digits")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))[: train + 700]
    x, y = (x[order] / 16).astype(np.float32), y[order].copy()
    wrong = rng.random(train) < noise
    y[:train][wrong] = rng.integers(0, 10, wrong.sum())
    return x[:train], y[:train], x[train:], y[train:]


def crossing(f: Callable[[float], float], low: float, high: float) -> float:
    """Where f, below 0 at low and above it at high, is 0: bisection down to neighbouring numbers."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return middle


def ridge(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    """The minimiser of mean (xw − y)² + ½λ‖w‖² by its normal equations; x may be a stack."""
    xt = np.swapaxes(x, -1, -2) / x.shape[-2]
    return np.linalg.solve(xt @ x + 0.5 * strength * np.eye(x.shape[-1]), xt @ y[..., None])[..., 0]


@cache
def ridge_errors(n: int, strengths: tuple[float, ...], splits: int = 200) -> np.ndarray:
    """Mean training and test loss of :func:`ridge` on n patients, (strengths, 2), over random splits."""
    x, y = diabetes()
    rng = np.random.default_rng(n)
    order = rng.permuted(np.tile(np.arange(len(x)), (splits, 1)), axis=1)
    x, y = x[order], y[order]
    weights = [ridge(x[:, :n], y[:, :n], strength) for strength in strengths]
    errors = [(x @ w[..., None])[..., 0] - y for w in weights]
    return np.array([[np.mean(e[:, :n] ** 2), np.mean(e[:, n:] ** 2)] for e in errors])


def fitted(
    x: np.ndarray, y: np.ndarray, penalty: mr.penalties.Penalty, tol: float = 1e-12
) -> np.ndarray:
    """The weights of a linear model that minimise mean (xw − y)² + penalty, by ``mr.solve``.

    (features,) for a target (n,), and (outputs, features) for one (n, outputs).
    """
    targets = y.reshape(len(y), -1)
    model = mr.nn.Linear(x.shape[1], targets.shape[1], bias=False, dtype=np.float64)
    if not (end := mr.solve(model, mr.nn.MSELoss(), penalty, x, targets, tol=tol)).converged:
        raise RuntimeError(f"not converged: {end}")
    return model.weight.numpy().reshape(*y.shape[1:], -1)


def parameter(values: Any) -> mr.nn.Parameter:
    """A float64 parameter with a copy of these values."""
    return mr.nn.Parameter(here(np.array(values, dtype=float)))


def descend(loss: Callable[[], mr.Tensor], optimizer: mr.optim.Optimizer, steps: int) -> None:
    """So many steps down the gradient of ``loss``."""
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def mlp(widths: Sequence[int] = (64, 128, 10), norm: type | None = None) -> mr.nn.Sequential:
    """Linear layers of these widths with ReLU, and a normalisation before it if one is given."""
    layers: list[mr.nn.Module] = []
    for n, m in pairwise(widths):
        layers += [mr.nn.Linear(n, m), *([norm(m)] if norm else []), mr.nn.ReLU()]
    return mr.nn.Sequential(*layers[: -2 if norm else -1])
