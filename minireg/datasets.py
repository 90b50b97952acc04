"""Real data sets that need no network: scikit-learn's bundled ones, split and standardised."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backend import Stream

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]

# name → (loader in sklearn.datasets, task, one line for --help)
TABLE = {
    "digits": (
        "load_digits",
        "classification",
        "1797 8×8 images of handwritten digits, 10 classes",
    ),
    "breast_cancer": (
        "load_breast_cancer",
        "classification",
        "569 tumours, 30 measurements, 2 classes",
    ),
    "wine": ("load_wine", "classification", "178 wines, 13 measurements, 3 classes"),
    "diabetes": ("load_diabetes", "regression", "442 patients, 10 measurements, progression"),
}


@dataclass(frozen=True)
class Dataset:
    """A split data set; ``flipped`` marks the training labels that were changed.

    Arrays: x (n, features) float32; y (n,) int64 labels, or (n, 1) float32 for regression.
    """

    name: str
    task: str
    x_train: FloatArray
    y_train: np.ndarray[Any, Any]
    x_validation: FloatArray
    y_validation: np.ndarray[Any, Any]
    flipped: np.ndarray[Any, np.dtype[np.bool_]]
    feature_names: tuple[str, ...]
    classes: int

    @property
    def train(self) -> tuple[FloatArray, np.ndarray[Any, Any]]:
        """(x, y) for training."""
        return self.x_train, self.y_train

    @property
    def validation(self) -> tuple[FloatArray, np.ndarray[Any, Any]]:
        """(x, y) held out; its labels are never flipped."""
        return self.x_validation, self.y_validation

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name}: {len(self.x_train)} training ({int(self.flipped.sum())} labels "
            f"flipped), {len(self.x_validation)} validation, {self.x_train.shape[1]} features)"
        )


def flip_labels(
    y: np.ndarray[Any, Any], rate: float, classes: int, stream: Stream
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, np.dtype[np.bool_]]]:
    """Change exactly round(rate·n) labels, each to another class, all others alike.

    >>> y, flipped = flip_labels(np.zeros(10, int), 0.2, 3, Stream("noise", seed=0))
    >>> int(flipped.sum()), bool((y[flipped] != 0).all())
    (2, True)
    """
    chosen = stream.permutation(len(y))[: round(rate * len(y))]
    shift = 1 + (stream.uniform(0, 1, (len(chosen),)) * (classes - 1)).astype(np.int64)
    noisy = y.copy()
    noisy[chosen] = (y[chosen] + shift) % classes
    return noisy, noisy != y


def load(
    name: str, noise: float = 0.0, validation: float = 0.3, standardize: bool = True, seed: int = 0
) -> Dataset:
    """Load, split, and optionally corrupt a data set; the same arguments give the same arrays.

    Parameters
    ----------
    name : "digits", "breast_cancer", "wine" or "diabetes".
    noise : share of the *training* labels to flip, in [0, 1) (classification only).
    validation : share held out, in (0, 1).
    standardize : features (and a regression target) to mean 0 and deviation 1, measured
        on the training part; constant features stay 0.
    seed : of the split and of the flipped labels.

    Raises ``ValueError`` for unknown names and values out of range, and ``ImportError``
    without scikit-learn.

    >>> load("wine", noise=0.2)
    Dataset(wine: 125 training (25 labels flipped), 53 validation, 13 features)
    """
    if name not in TABLE:
        raise ValueError(
            f"datasets.load: unknown data set {name!r}, expected one of {sorted(TABLE)}"
        )
    loader, task, _ = TABLE[name]
    if not 0 <= noise < 1:
        raise ValueError(f"datasets.load: noise must be in [0, 1), got {noise!r}")
    if noise and task == "regression":
        raise ValueError(f"datasets.load: noise flips labels, but {name!r} is a regression")
    if not 0 < validation < 1:
        raise ValueError(f"datasets.load: validation must be in (0, 1), got {validation!r}")
    try:
        bunch = getattr(importlib.import_module("sklearn.datasets"), loader)()
    except ImportError as error:
        raise ImportError(
            "the bundled data sets come with scikit-learn: pip install 'minireg[lessons]'"
        ) from error
    x: FloatArray = np.asarray(bunch.data, np.float64)
    y: np.ndarray[Any, Any] = np.asarray(bunch.target)
    order = Stream("split", seed).permutation(len(x))
    held = round(validation * len(x))
    if not 0 < held < len(x):
        raise ValueError(f"datasets.load: validation={validation} leaves a part of {name!r} empty")
    train, test = order[held:], order[:held]
    if standardize:
        x = _standardized(x, x[train])
    flipped = np.zeros(len(train), bool)
    classes = 0
    if task == "classification":
        classes = int(y.max()) + 1
        y_train, flipped = flip_labels(
            y[train].astype(np.int64), noise, classes, Stream("noise", seed)
        )
        y_test = y[test].astype(np.int64)
    else:
        y = y.astype(np.float64)[:, None]
        y = _standardized(y, y[train]) if standardize else y
        y_train, y_test = y[train].astype(np.float32), y[test].astype(np.float32)
    return Dataset(
        name, task, x[train].astype(np.float32), y_train, x[test].astype(np.float32), y_test, flipped,
        tuple(map(str, bunch.feature_names)), classes,
    )  # fmt: skip


def _standardized(x: FloatArray, reference: FloatArray) -> FloatArray:
    # rounding gives equal numbers a deviation of 1e-17: their range says that they are equal
    constant = reference.max(axis=0) == reference.min(axis=0)
    deviation = np.where(constant, 1, reference.std(axis=0))
    scaled: FloatArray = (x - reference.mean(axis=0)) / deviation
    return scaled
