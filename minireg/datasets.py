"""Real data sets that need no network, split and standardised.

Five that ship with the package and a photograph (``data/NOTICE.md`` says whose they are), and
Fashion-MNIST from IDX files: from a Debian package, or from the folder named by the environment
variable ``MINIREG_DATA``.
"""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .messages import check_kind, check_option, describe
from .random import Stream

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]
ByteArray = np.ndarray[Any, np.dtype[np.uint8]]
PACKAGED = Path("/usr/share/datasets")  # where Debian's packages of data sets put their files

SHIPPED = Path(__file__).parent / "data" / "datasets.npz"  # made by tools/make_datasets.py

# name → (task, one line for --help); one that does not ship comes from IDX files
TABLE: dict[str, tuple[str, str]] = {
    "digits": ("classification", "1797 8×8 images of handwritten digits, 10 classes"),
    "breast_cancer": ("classification", "569 tumours, 30 measurements, 2 classes"),
    "wine": ("classification", "178 wines, 13 measurements, 3 classes"),
    "iris": ("classification", "150 irises, 4 measurements, 3 classes"),
    "diabetes": ("regression", "442 patients, 10 measurements, progression"),
    "fashion-mnist": ("classification", "70000 28×28 images of clothes, 10 classes"),
}
# breast cancer: mean, error and worst of each of ten measurements
GROUPS = {"breast_cancer": tuple((i, i + 10, i + 20) for i in range(10))}


@dataclass(frozen=True)
class Dataset:
    """A data set split in two, as :func:`load` returns it.

    Attributes
    ----------
    name, task : as in :data:`TABLE`; the task is "classification" or "regression".
    x_train, x_validation : (n, features) float32.
    y_train, y_validation : (n,) int64 labels, or (n, 1) float32 for regression.
    y_true : ``y_train`` before labels were flipped.
    feature_names : a name for each feature.
    classes : how many, 0 for regression.
    groups : columns that belong together, as ``GroupLasso(groups=)`` takes them for one output:
        of breast cancer mean, error and worst of each of ten measurements; else empty.

    ``FrozenInstanceError`` on assignment.

    >>> import minireg as mr
    >>> wine = mr.datasets.load("wine")
    >>> wine.x_train.shape, wine.y_train.shape, wine.classes
    ((125, 13), (125,), 3)
    """

    name: str
    task: str
    x_train: FloatArray
    y_train: np.ndarray[Any, Any]
    x_validation: FloatArray
    y_validation: np.ndarray[Any, Any]
    y_true: np.ndarray[Any, Any]
    feature_names: tuple[str, ...]
    classes: int
    groups: tuple[tuple[int, ...], ...] = ()

    @property
    def flipped(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which training labels differ from ``y_true``, (n,) of bool."""
        flipped: np.ndarray[Any, np.dtype[np.bool_]] = (self.y_train != self.y_true).ravel()
        return flipped

    @property
    def train(self) -> tuple[FloatArray, np.ndarray[Any, Any]]:
        """(x, y) for training, as :func:`minireg.fit` takes it."""
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
    """Change exactly round(rate·n) labels, each to one of the other classes with equal chance.

    Parameters
    ----------
    y : integer labels (n,) in 0 … classes − 1; they are not changed.
    rate : share to flip, in [0, 1].
    classes : how many, ≥ 2.
    stream : of random numbers, :class:`minireg.random.Stream`.

    Returns the new labels (n,) and which differ (n,), the symmetric label noise of Natarajan et al.
    (2013). ``TypeError`` for what are no integers and for a ``stream`` that is none, ``ValueError`` for
    another share and another number of classes.

    >>> import minireg as mr
    >>> stream = mr.random.Stream("noise", seed=0)
    >>> y, flipped = mr.datasets.flip_labels(np.zeros(10, int), 0.2, 3, stream)
    >>> int(flipped.sum()), bool((y[flipped] != 0).all())
    (2, True)
    """
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        raise TypeError(f"flip_labels: y must be integer labels, got {describe(y)}")
    check_option("flip_labels", "[0, 1]", rate=rate)
    check_option("flip_labels", 2 if rate else 1, classes=classes)
    check_kind("flip_labels", Stream, "make one with mr.random.Stream(name, seed)", stream=stream)
    chosen = stream.permutation(len(y))[: round(rate * len(y))]
    shift = 1 + (stream.uniform(0, 1, (len(chosen),)) * (classes - 1)).astype(np.int64)
    noisy = y.copy()
    noisy[chosen] = (y[chosen] + shift) % classes
    return noisy, noisy != y


# --- IDX files -------------------------------------------------------------------------------


def read_idx(path: str | Path) -> ByteArray:
    """The array of bytes in an IDX file, the format of MNIST (LeCun et al. 1998).

    ``path`` ends in .gz if the file is compressed. Returns uint8 of the shape in the file's header.
    ``FileNotFoundError`` if there is no file, ``ValueError`` for another format and for a file that
    is not as long as its header says.

    >>> import tempfile, minireg as mr
    >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    >>> mr.datasets.read_idx(path).tolist()
    [7, 8, 9]
    """
    path = Path(path)
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise ValueError(
                f"read_idx: {path} is no whole gzip file: {error}; fetch it again"
            ) from error
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError(
            f"read_idx: {path} begins with {content[:4].hex(' ') or 'nothing'}, expected 00 00 08 and "
            "the number of axes: an IDX file of unsigned bytes"
        )
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content, ">u4", content[3], 4).tolist())
    if len(content) - start != math.prod(shape):
        raise ValueError(
            f"read_idx: {path} holds {len(content) - start:,} bytes, expected {math.prod(shape):,} for "
            f"the shape {shape} in its header; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


_FILES = [
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]


def _find(name: str) -> list[Path]:
    """The four files of an IDX data set, from the first folder that has them all."""
    given = os.environ.get("MINIREG_DATA")
    folders = [Path(given) / name, Path(given)] if given else []
    for folder in (*folders, PACKAGED / name):
        found = [
            next((p for p in (folder / f, folder / f"{f}.gz") if p.is_file()), None) for f in _FILES
        ]
        if None not in found:
            return found  # type: ignore[return-value]
    raise FileNotFoundError(
        f"data set {name!r} is not on this machine; on Debian and Ubuntu: sudo apt-get install "
        f"dataset-{name}; elsewhere put {', '.join(_FILES)} (or the same with .gz) into a folder and name "
        f"it in the environment variable MINIREG_DATA{f', which is now {given!r}' if given else ''}"
    )


class _Raw(NamedTuple):
    """A data set before the split; its last ``tests`` rows are its published test part."""

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    feature_names: Sequence[str]
    tests: int = 0


def _from_idx(name: str) -> _Raw:
    files = _find(name)
    images, labels, test_images, test_labels = map(read_idx, files)
    for x, y, file in ((images, labels, files[0]), (test_images, test_labels, files[2])):
        if x.ndim != 3 or y.shape != x.shape[:1] or x.shape[1:] != images.shape[1:] or not x.size:
            raise ValueError(
                f"datasets.load: {file} holds images {x.shape} for labels {y.shape}, expected (n, "
                f"{', '.join(map(str, images.shape[1:]))}) for (n,)"
            )
    pixels = [f"pixel_{i}_{j}" for i, j in np.ndindex(images.shape[1:])]
    x = np.concatenate([images, test_images]).reshape(-1, len(pixels))
    return _Raw(x, np.concatenate([labels, test_labels]), pixels, len(test_images))


def _shipped(name: str) -> _Raw:
    with np.load(SHIPPED) as file:
        x, y, features = (file[f"{name}.{part}"] for part in ("x", "y", "features"))
    return _Raw(x.astype(np.float64), y, features.tolist())


def _raw(name: str) -> _Raw:
    return _from_idx(name) if name == "fashion-mnist" else _shipped(name)


def _check_name(owner: str, name: str) -> None:
    if not isinstance(name, str) or name not in TABLE:
        raise ValueError(f"{owner}: unknown data set {name!r}, expected one of {sorted(TABLE)}")


# --- loading ---------------------------------------------------------------------------------


def arrays(name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """x and y of a data set of :data:`TABLE` as published: whole, in order, in its own units.

    Returns x, (n, features) float64 (Fashion-MNIST: uint8), and y, (n,): int64 labels, or the
    float64 target of a regression. ``sklearn.datasets.load_wine(return_X_y=True)`` returns the same;
    of diabetes it does with ``scaled=False``. Raises ``ValueError`` and ``FileNotFoundError`` as
    :func:`load` does.

    >>> import minireg as mr
    >>> x, y = mr.datasets.arrays("diabetes")
    >>> x.shape, x[0, :4].tolist(), y[0].item()
    ((442, 10), [59.0, 2.0, 32.1, 101.0], 151.0)
    """
    _check_name("datasets.arrays", name)
    x, y, *_ = _raw(name)
    return x, y.astype(np.int64 if TABLE[name][0] == "classification" else np.float64)


def photo() -> FloatArray:
    """A photograph as a matrix of grey values, (64, 64) float64 from 0 (black) to 1 (white).

    A pagoda by the water, from scikit-learn's ``load_sample_image("china.jpg")`` (by danielbuechele,
    CC BY 2.0): cut to a square, the means of 6 × 6 pixels in 256 levels.

    >>> import minireg as mr
    >>> image = mr.datasets.photo()
    >>> image.shape, round(float(np.linalg.svd(image)[1][0]), 2)
    ((64, 64), 36.14)
    """
    with np.load(SHIPPED) as file:
        image: FloatArray = file["photo"] / 255
    return image


def planar(name: str, n: int = 150, spread: float = 0.2, seed: int = 0) -> tuple[FloatArray, Any]:
    """Points of two classes in the plane: x, (n, 2) float64 of size about 1, and y, (n,) int64.

    Parameters
    ----------
    name : "moons" (two half circles that interlock), "circles" (one within the other), "spiral" (two
        arms of a turn and a half) or "gaussians" (two clouds).
    n : how many, half of each class; ≥ 2.
    spread : standard deviation of the noise that is added, ≥ 0.
    seed : the same gives the same points.

    ``ValueError`` for another name, and for numbers out of range.

    >>> import minireg as mr
    >>> x, y = mr.datasets.planar("moons", 4, spread=0)
    >>> x.shape, y.tolist()
    ((4, 2), [0, 1, 0, 1])
    """
    check_option("datasets.planar", tuple(SHAPES), name=name)
    check_option("datasets.planar", 2, n=n)
    check_option("datasets.planar", "[0, inf)", spread=spread)
    stream, y = Stream(name, seed), np.arange(n) % 2
    x = SHAPES[name](stream.uniform(0, 1, (n,)), 2 * y - 1)
    return x + spread * stream.normal((n, 2)), y


def _half_circles(t: Any, side: Any) -> FloatArray:
    """Two half circles, one of them upside down and moved into the other."""
    return np.stack([side * (np.cos(np.pi * t) - 0.5), side * (0.25 - np.sin(np.pi * t))], 1)


def _turned(radius: Any, turns: Any) -> FloatArray:
    return np.stack([radius * np.cos(2 * np.pi * turns), radius * np.sin(2 * np.pi * turns)], 1)


# name of planar points → where those of a class, side −1 or 1, are for 0 ≤ t < 1, without noise
SHAPES: dict[str, Callable[[Any, Any], FloatArray]] = {
    "moons": _half_circles,
    "circles": lambda t, side: _turned(np.where(side < 0, 0.5, 1.0), t),
    "spiral": lambda t, side: _turned(0.15 + 1.35 * np.sqrt(t), 1.5 * np.sqrt(t) + side / 4),
    "gaussians": lambda t, side: np.stack([0.8 * side, 0.5 * side], 1),
}


def load(
    name: str, noise: float = 0.0, validation: float | None = None, standardize: bool = True, seed: int = 0
) -> Dataset:  # fmt: skip
    """Load, split, and optionally corrupt a data set; the same arguments give the same arrays.

    Parameters
    ----------
    name : "digits", "breast_cancer", "wine", "iris", "diabetes" or "fashion-mnist".
    noise : share of the *training* labels to flip, in [0, 1) (classification only).
    validation : share held out, in (0, 1); by default the published test part (Fashion-MNIST's
        10,000 images), or 0.3 where there is none.
    standardize : features (and a regression target) to mean 0 and standard deviation 1, measured
        on the training part; constant features become 0.
    seed : of the split and of the flipped labels.

    Returns a :class:`Dataset`. The first five ship with minireg and are those of
    ``sklearn.datasets``, the last is by Xiao et al. (2017). Raises ``ValueError`` for unknown names,
    values out of range and damaged files, and ``FileNotFoundError``, which says how to get them,
    without Fashion-MNIST's files.

    >>> import minireg as mr
    >>> mr.datasets.load("wine", noise=0.2)
    Dataset(wine: 125 training (25 labels flipped), 53 validation, 13 features)
    """
    _check_name("datasets.load", name)
    task, _ = TABLE[name]
    check_option("datasets.load", "[0, 1)", noise=noise)
    check_option("datasets.load", 0, seed=seed)
    if noise and task == "regression":
        raise ValueError(f"datasets.load: noise flips labels, but {name!r} is a regression")
    if validation is not None:
        check_option("datasets.load", "(0, 1)", validation=validation)
    x, y, feature_names, tests = _raw(name)
    if validation is None and tests:
        train, test = np.split(np.arange(len(x)), [len(x) - tests])
    else:
        share = 0.3 if validation is None else validation
        order, held = Stream("split", seed).permutation(len(x)), round(share * len(x))
        if not 0 < held < len(x):
            raise ValueError(f"datasets.load: validation={share} leaves a part of {name!r} empty")
        train, test = order[held:], order[:held]
    x_train, x_test = x[train], x[test]
    if standardize:
        x_train, x_test = _standardized(x_train, x_train), _standardized(x_test, x_train)
    classes = 0
    if task == "classification":
        classes = int(y.max()) + 1
        y_true = y[train].astype(np.int64)
        y_train, _ = flip_labels(y_true, noise, classes, Stream("noise", seed))
        y_test = y[test].astype(np.int64)
    else:
        y = y.astype(np.float64)[:, None]
        y = _standardized(y, y[train]) if standardize else y
        y_train = y_true = y[train].astype(np.float32)
        y_test = y[test].astype(np.float32)
    return Dataset(
        name, task, x_train.astype(np.float32), y_train, x_test.astype(np.float32), y_test, y_true,
        tuple(feature_names), classes, GROUPS.get(name, ()),
    )  # fmt: skip


def _standardized(x: np.ndarray[Any, Any], reference: np.ndarray[Any, Any]) -> FloatArray:
    # rounding gives equal numbers a deviation of about 1e-17, but a range of exactly 0
    constant = reference.max(axis=0) == reference.min(axis=0)
    deviation = np.where(constant, 1, reference.std(axis=0, dtype=np.float64))
    scaled: FloatArray = (x - reference.mean(axis=0, dtype=np.float64)) / deviation
    return scaled
