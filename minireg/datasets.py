"""Data sets, split and standardised: of your own arrays and files, and real ones that need no network.

Five that ship with the package and a photograph (``data/NOTICE.md`` says whose they are), and
Fashion-MNIST from IDX files: from a Debian package, or from the folder named by the environment
variable ``MINIREG_DATA``.
"""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .files import (
    Columns,
    categories,
    check_names,
    check_texts,
    check_whole,
    of_arrays,
    read_columns,
)
from .inspect.run import some
from .messages import check_kind, check_option, describe
from .random import Stream

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]
Scales = dict[str, tuple[float, float]]
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
CLASS_NAMES = {
    "breast_cancer": ("malignant", "benign"),
    "iris": ("setosa", "versicolor", "virginica"),
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """A data set split in two, as :func:`load`, :func:`from_arrays` and :func:`read` return it.

    Attributes
    ----------
    name, task : the task is "classification" or "regression".
    x_train, x_validation : (n, features) float32, or (n, height, width, …) of images.
    y_train, y_validation : (n,) int64 labels, or (n, outputs) float32 for regression.
    y_true : ``y_train`` before labels were flipped.
    feature_names : a name for each feature; none for images.
    classes : how many, 0 for regression.
    groups : columns that belong together, as ``GroupLasso(groups=)`` takes them for one output:
        of breast cancer mean, error and worst of each of ten measurements, of your own data those of
        each column of texts (and each other column alone); else empty.
    class_names : what each label stands for, label k for ``class_names[k]``.
    scales, target_scales : by what was standardised, {name: (mean, deviation)}, in its own unit, so that
        new rows can be: (x − mean)/deviation. Images have one for all pixels, under ""; features that
        are 0 and 1 for a text, ``colour=red``, have none.
    notes : what to know of data of your own before a figure is believed, which ``repr`` shows, too: a
        class or a text that one part lacks, a column that is constant.

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
    class_names: tuple[str, ...] = ()
    scales: Scales = field(default_factory=dict)
    target_scales: Scales = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def flipped(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which training labels differ from ``y_true``, (n,) of bool."""
        differs = self.y_train != self.y_true
        flipped: np.ndarray[Any, np.dtype[np.bool_]] = differs.reshape(len(differs), -1).any(axis=1)
        return flipped

    @property
    def train(self) -> tuple[FloatArray, np.ndarray[Any, Any]]:
        """(x, y) for training, as :func:`minireg.fit` takes it."""
        return self.x_train, self.y_train

    @property
    def validation(self) -> tuple[FloatArray, np.ndarray[Any, Any]]:
        """(x, y) held out; its labels are never flipped."""
        return self.x_validation, self.y_validation

    def absent(self, y: np.ndarray[Any, Any]) -> list[str]:
        """The classes that labels ``y`` of some rows lack."""
        return [name for k, name in enumerate(self.class_names) if k not in y]

    def __repr__(self) -> str:
        features = "×".join(map(str, self.x_train.shape[1:]))
        kind = f"{self.classes} classes" if self.classes else self.task
        return (
            f"Dataset({self.name}: {len(self.x_train)} training ({int(self.flipped.sum())} labels "
            f"flipped), {len(self.x_validation)} validation, "
            f"{'; '.join([f'{features} features, {kind}', *self.notes])})"
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


_FILES = [f"{part}-{k}-ubyte" for part in ("train", "t10k") for k in ("images-idx3", "labels-idx1")]


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
    check_option("datasets.arrays", tuple(TABLE), name=name)
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

    Returns a :class:`Dataset`, as :func:`from_arrays` makes one of your own arrays and :func:`read` of a
    file. The first five ship with minireg and are those of ``sklearn.datasets``, the last is by Xiao et
    al. (2017). Raises ``ValueError`` for unknown names, values out of range and damaged files, and
    ``FileNotFoundError``, which says how to get them, without Fashion-MNIST's files.

    >>> import minireg as mr
    >>> mr.datasets.load("wine", noise=0.2)
    Dataset(wine: 125 training (25 labels flipped), 53 validation, 13 features, 3 classes)
    """
    check_option("datasets.load", tuple(TABLE), name=name)
    if validation is not None:
        check_option("datasets.load", "(0, 1)", validation=validation)
    task, _ = TABLE[name]
    x, y, feature_names, tests = _raw(name)
    published = np.arange(len(x) - tests, len(x)) if tests else 0.3
    made = _made(
        "datasets.load", Columns([(tuple(feature_names), x)], y), name, task,
        published if validation is None else validation, noise, standardize, seed,
    )  # fmt: skip
    names = CLASS_NAMES.get(name, made.class_names)[: made.classes]
    return replace(made, class_names=names, groups=GROUPS.get(name, ()), notes=())


def from_arrays(
    x: Any, y: Any, *, validation: Any = 0.3, noise: float = 0.0, standardize: bool = True,
    seed: int = 0, task: str | None = None, name: str = "data",
    feature_names: Sequence[str] | None = None,
) -> Dataset:  # fmt: skip
    """A data set of your own arrays, split and standardised as :func:`load` does.

    Parameters
    ----------
    x : numbers (n, features) as an array, lists or another library's tensor; images (n, height, width,
        …), which keep their shape; or a data frame or mapping of columns, of which those of texts (and of
        pandas' dtype "category") become a column of 0 and 1 for each text in the training part,
        ``colour=red``. A text that comes up in the validation part alone is 0 in all of them.
    y : labels (n,) (texts, bools or integers), or numbers (n,) or (n, outputs).
    validation : the share held out, in (0, 1), drawn without regard to classes; or the numbers of the
        rows held out; or a pair (x, y) of their own, as a tuple, which does not decide the task.
    noise : share of the *training* labels to flip, in [0, 1) (classification only).
    standardize : numbers (and a regression target) to mean 0 and standard deviation 1, measured on the
        training part: each column for itself, images as a whole. Constant ones become 0; columns of
        texts stay 0 and 1.
    seed : of the split and of the flipped labels.
    task : "classification" or "regression". By default texts and bools are labels, floats are not, and
        integers are if there are at most 20 different ones and each comes twice on average (ratings 1 to
        10 are, unless this says "regression"); what was decided is shown by ``repr``.
    name : what messages and reports call it.
    feature_names : in place of the columns' own names, or of x0, x1, ….

    Labels are numbered in their order (``sorted``): label k is ``class_names[k]``. Where x has columns
    of texts, ``groups`` puts those of each together.
    Raises ``TypeError`` for what is no numbers and no texts, and ``ValueError`` for missing values and
    infinity (which row, which column), for dates, for a column in which most texts differ, for a single
    class, a class that only the validation part has, names that come twice, and for shapes and dtypes
    that do not fit.

    >>> import minireg as mr
    >>> x = {"age": [31, 52, 27, 45], "colour": ["red", "blue", "blue", "red"]}
    >>> data = mr.datasets.from_arrays(x, ["no", "yes", "no", "yes"], validation=[3])
    >>> data.feature_names, data.class_names, data.y_train.tolist()
    (('age', 'colour=blue', 'colour=red'), ('no', 'yes'), [0, 1, 0])
    """
    owner = "datasets.from_arrays"
    columns = of_arrays(owner, x, y, feature_names)
    taught = columns.y
    if isinstance(validation, tuple):
        if len(validation) != 2:
            raise ValueError(
                f"{owner}: validation must be a pair (x, y), got {len(validation)} parts"
            )
        n, held = len(columns), of_arrays(f"{owner}: validation", *validation, feature_names)
        columns = columns.followed(owner, held)
        validation = np.arange(n, len(columns))
    return _made(owner, columns, name, task, validation, noise, standardize, seed, taught)


def read(
    path: str | Path, target: str | int, *, task: str | None = None, validation: Any = 0.3,
    noise: float = 0.0, standardize: bool = True, seed: int = 0,
) -> Dataset:  # fmt: skip
    """A data set from a file whose columns have names: ``.csv``, ``.tsv``, ``.npz`` or ``.parquet``.

    Parameters
    ----------
    path : the file. CSV has a line of names and is UTF-8, with ``,``, ``;``, ``|`` or tabs between its
        cells (the one that parts the first line most often, or that Excel's ``sep=;`` names above it); a
        column is of integers if no cell has a point, of numbers or bools if all its cells are, and else
        of texts. Codes (``01234``, or 16 digits and more) and dates (``20240131``) are no numbers, and
        are refused. Of an .npz each array (n,) is a column, one (n, features) several,
        and a single one (n, height, width, …) images. Parquet needs the extra ``data`` (pyarrow); the index
        of a pandas frame is no column (``frame.reset_index()`` makes columns of it).
    target : the column to predict, by name, or else by place (-1 or "-1" is the last).
    task, validation, noise, standardize, seed : as for :func:`from_arrays`, but rows are held out by
        share or number only. Labels ``0.0, 1.0, 2.0`` are floats: a regression unless ``task`` says
        otherwise.

    The data set has the file's name. Raises as :func:`from_arrays` does, naming line (of a CSV; else
    row, from 0) and column, also for a file that is no such file, lines of unequal length, and names that
    are missing (also where a row of numbers stands in their place) or come twice; ``FileNotFoundError``
    without the file, ``ImportError`` without pyarrow.

    >>> import tempfile, minireg as mr
    >>> path = Path(tempfile.mkdtemp()) / "fruit.csv"
    >>> _ = path.write_text("weight,colour,kind\\n150,red,apple\\n120,yellow,banana\\n160,red,apple\\n")
    >>> mr.datasets.read(path, "kind", validation=[2])
    Dataset(fruit: 2 training (0 labels flipped), 1 validation, 3 features, 2 classes; no validation row ...
    """
    columns, file = read_columns("datasets.read", path, target), Path(path)
    owner = f"datasets.read: {file.name}"
    return _made(owner, columns, file.stem, task, validation, noise, standardize, seed)


def _made(
    owner: str, columns: Columns, name: str, task: str | None, validation: Any, noise: float,
    standardize: bool, seed: int, taught: np.ndarray[Any, Any] | None = None,
) -> Dataset:  # fmt: skip
    """Columns and target, checked, split, with flipped labels, coded and standardised.

    The task follows from ``taught``, by default the whole target.
    """
    check_option(owner, "[0, 1)", noise=noise)
    check_option(owner, 0, seed=seed)
    check_option(owner, ("classification", "regression", None), task=task)
    check_whole(owner, columns)
    given, task = task, task or _task(columns.y if taught is None else taught)
    if noise and task == "regression":
        raise ValueError(f"{owner}: noise flips labels, but {name!r} is a regression")
    if columns.y.dtype == object and given != "classification":
        check_texts(owner, f"the target {columns.target!r}", columns.y, columns.where)
    train, test = _split(owner, name, len(columns), validation, Stream("split", seed))
    class_names: tuple[str, ...] = ()
    target_scales: Scales = {}
    constant: list[str] = []
    if task == "classification":
        class_names, y = _labels(owner, columns, train)
        y_true, y_test = y[train], y[test]
        y_train, _ = flip_labels(y_true, noise, len(class_names), Stream("noise", seed))
    else:
        y = _numbers(owner, columns)
        several = y.shape[1] > 1
        outputs = tuple(f"{columns.target}{i if several else ''}" for i in range(y.shape[1]))
        made = _scaled(owner, outputs, y[train], y[test], standardize)
        y_true, y_test, _, target_scales, constant, *_ = made
        y_train = y_true
    blocks = [
        _coded(owner, *block, columns.where, train, test, standardize) for block in columns.blocks
    ]
    x_train, x_test = (
        parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        for parts in ([block.train for block in blocks], [block.test for block in blocks])
    )
    names = tuple(name for block in blocks for name in block.names)
    if names:  # of images there are none
        check_names(owner, names, len(names))
    groups: list[tuple[int, ...]] = []
    for block in blocks:
        places = range(sum(map(len, groups)), sum(map(len, groups)) + len(block.names))
        groups += [(*places,)] if block.together else [(i,) for i in places]
    together = any(block.together for block in blocks)
    scales = {name: scale for block in blocks for name, scale in block.scales.items()}
    data = Dataset(
        name, task, x_train, y_train, x_test, y_test, y_true, names, len(class_names),
        tuple(groups) if together else (), class_names, scales, target_scales,
    )  # fmt: skip
    notes = [note for block in blocks for note in block.notes]
    if constant := [*(name for block in blocks for name in block.constant), *constant]:
        notes.append(f"constant: {some([*map(repr, constant)], 5)}")
    if absent := data.absent(y_test):
        notes.append(f"no validation row of class {some([*map(repr, absent)], 5)}")
    return replace(data, notes=tuple(notes))


def _task(y: np.ndarray[Any, Any]) -> str:
    """What a target asks for, by the rule of :func:`from_arrays`."""
    if y.dtype.kind in "iu" and y.ndim == 1:
        kinds = len(np.unique(y))
        return "classification" if kinds <= 20 and 2 * kinds <= len(y) else "regression"
    return "regression" if y.dtype.kind in "iuf" else "classification"


def _split(
    owner: str, name: str, n: int, validation: Any, stream: Stream
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The rows of the training and of the validation part."""
    try:
        rows = np.asarray(validation)
    except ValueError:  # x and y in a list
        rows = np.zeros((0, 0))
    if not rows.ndim:
        check_option(owner, "(0, 1)", validation=validation)
        order, held = stream.permutation(n), round(validation * n)
        if not 0 < held < n:
            raise ValueError(f"{owner}: validation={validation} leaves a part of {name!r} empty")
        return order[held:], order[:held]
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise ValueError(
            f"{owner}: validation must be a share in (0, 1), numbers of rows (of a mask: "
            f"np.flatnonzero(mask)), or of arrays a tuple (x, y), got {validation!r:.60}"
        )
    outside = rows[(rows < 0) | (rows >= n)]
    kinds, times = np.unique(rows, return_counts=True)
    wrong = [f"row {row}" for row in outside] + [f"row {row} twice" for row in kinds[times > 1]]
    if wrong or not 0 < len(rows) < n:
        what = wrong[0] if wrong else f"{len(rows)} rows"
        raise ValueError(
            f"{owner}: validation must be different rows of 0 … {n - 1}, and not all, got {what}"
        )
    return np.setdiff1d(np.arange(n), rows), rows


def _labels(
    owner: str, columns: Columns, train: np.ndarray[Any, Any]
) -> tuple[tuple[str, ...], np.ndarray[Any, np.dtype[np.int64]]]:
    """The names of the classes, and the number of each row's (n,)."""
    y, what = columns.y, f"the target {columns.target!r}"
    if y.ndim > 1:
        raise ValueError(f"{owner}: labels must be (n,), got {y.shape}; of one-hot y.argmax(1)")
    if y.dtype.kind == "f":
        broken = np.flatnonzero((y != np.round(y)) | (np.abs(y) >= 2.0**63))
        if len(broken):
            row = int(broken[0])
            raise ValueError(
                f"{owner}: labels must be texts, bools or integers below 2⁶³, got {y[row]} in "
                f'{columns.where(row)} of {what}; take task="regression"'
            )
        y = y.astype(np.int64)
    kinds, labels = np.unique(y, return_inverse=True)
    names = tuple(map(str, kinds.tolist()))
    if len(names) < 2:
        raise ValueError(
            f"{owner}: {what} has one class only, {', '.join(names)}; expected two or more"
        )
    untaught = np.setdiff1d(labels, labels[train])
    if len(untaught):
        rows, shown = np.flatnonzero(labels == untaught[0]), names[untaught[0]]
        others = f" (nor of {len(untaught) - 1} more)" if len(untaught) > 1 else ""
        raise ValueError(
            f"{owner}: no training row is of class {shown!r}{others}: all of them are held out, "
            f"{columns.where(int(rows[0]))} first; drop or merge rare classes, or choose other rows, by "
            "validation= or seed="
        )
    return names, labels.astype(np.int64)


def _numbers(owner: str, columns: Columns) -> np.ndarray[Any, Any]:
    """The target of a regression, (n, outputs)."""
    if columns.y.dtype == object:
        raise ValueError(
            f"{owner}: a regression needs numbers, got {columns.y[0]!r} in {columns.where(0)} of the target "
            f'{columns.target!r}; take task="classification"'
        )
    return columns.y[:, None] if columns.y.ndim == 1 else columns.y


class _Block(NamedTuple):
    """Coded columns of both parts, by what they were scaled, which are constant, and what else to know;
    ``together`` if they are the texts of one column.
    """

    train: FloatArray
    test: FloatArray
    names: tuple[str, ...]
    scales: Scales
    constant: list[str]
    notes: tuple[str, ...] = ()
    together: bool = False


def _coded(
    owner: str, names: tuple[str, ...], values: np.ndarray[Any, Any], where: Callable[[int], str],
    train: np.ndarray[Any, Any], test: np.ndarray[Any, Any], standardize: bool,
) -> _Block:  # fmt: skip
    if values.dtype != object:
        return _scaled(owner, names, values[train], values[test], standardize)
    name = names[0]
    check_texts(owner, f"column {name!r}", values, where)
    kinds = categories(owner, name, values[train])
    ours, theirs = ((values[rows, None] == kinds).astype(np.float32) for rows in (train, test))
    unseen = [*map(repr, np.setdiff1d(values[test], kinds).tolist())]
    notes = (f"no training row has {some(unseen, 5)} in column {name!r}",) if unseen else ()
    coded = tuple(f"{name}={kind}" for kind in kinds)
    return _Block(ours, theirs, coded, {}, [name] if len(kinds) == 1 else [], notes, together=True)


def _scaled(
    owner: str, names: tuple[str, ...], train: np.ndarray[Any, Any], test: np.ndarray[Any, Any],
    standardize: bool,
) -> _Block:  # fmt: skip
    """Both parts as float32, standardised by the first."""
    found = []
    with np.errstate(all="ignore"):  # what overflows is named instead
        mean, deviation, constant, near = _scale(train)
        for part in (train, test):
            a = ((part - mean) / deviation if standardize else part).astype(np.float32)
            if not np.isfinite(a).all():
                at = (*np.argwhere(~np.isfinite(a))[0].tolist(),)
                name = f" of {names[at[1]]!r}" if names else ""
                why = (
                    "is beyond float32, or its square beyond float64; give the column another unit"
                )
                if np.broadcast_to(near, a.shape)[at]:
                    why = "lies so close to the others that float64 loses what sets them apart; subtract a "
                    why += "number near them from all, while they are integers"
                raise ValueError(f"{owner}: the value {part[at]}{name} {why}")
            found.append(a)
    pairs = zip(np.ravel(mean).tolist(), np.ravel(deviation).tolist(), strict=True)
    scales = dict(zip(names or ("",), pairs, strict=True)) if standardize else {}
    unmoved = [name for name, same in zip(names, np.ravel(constant), strict=False) if same]
    return _Block(found[0], found[1], names, scales, unmoved)


def _scale(x: np.ndarray[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Mean and deviation of each column in float64 (NaN if there is none), whether it is constant, or so
    nearly that of its deviation rounding leaves little; of images as a whole.
    """
    axis = 0 if x.ndim == 2 else None
    # rounding gives equal numbers a deviation of about 1e-17, but a range of exactly 0
    most, least = x.max(axis=axis), x.min(axis=axis)
    mean = np.where(constant := most == least, least, x.mean(axis=axis, dtype=np.float64))
    deviation = np.where(constant, 1, x.std(axis=axis, dtype=np.float64))
    near = ~constant & (np.subtract(most, least, dtype=np.float64) < 1e-12 * abs(mean))
    return mean, np.where(np.isinf(deviation) | near, np.nan, deviation), constant, near
