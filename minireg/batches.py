"""What a training is fed with: pairs (x, y) and iterables of batches, as arrays of the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .backend import NUMPY, Array, as_array, is_tensor, move, of, raw
from .checkpoint import checksum
from .files import check_index
from .inspect.history import Name
from .mode import no_grad
from .nn import Embedding, Module, losses
from .objective import AnyLoss, named_parts
from .random import Stream
from .tensor import Tensor

Data = tuple[ArrayLike, ArrayLike] | Iterable[tuple[ArrayLike, ArrayLike]]

_LARGE = 2**17  # numbers of one layer, up to which more samples than a batch are evaluated at once
OF_LABELS = losses.CrossEntropyLoss, losses.NLLLoss, losses.HingeLoss
# losses whose value on all data follows from those on pieces
_BY_PIECES = (
    *OF_LABELS, losses.MSELoss, losses.L1Loss, losses.SmoothL1Loss, losses.BCEWithLogitsLoss,
    losses.KLDivLoss,
)  # fmt: skip


# --- parts: a pair in memory, or batches that come from elsewhere ---------------------------------


@dataclass
class Pair:
    """Inputs and targets in memory, from which batches are drawn."""

    x: Array
    y: Array

    @property
    def labelled(self) -> bool:
        """Whether the targets may be labels, which have an accuracy."""
        return self.y.dtype.kind in "iu" and self.y.ndim == 1

    def updates(self, batch_size: int) -> int:
        """Batches of an epoch."""
        return len(_starts(len(self.x), batch_size))

    def epoch(
        self, batch_size: int, shuffle: Stream, done: int = 0
    ) -> Iterator[tuple[Array, Array]]:
        """The batches of an epoch, of which ``done`` are left out."""
        order = batches(len(self.x), batch_size, shuffle, of(self.x).name)
        for i, index in enumerate(order):
            if i >= done:
                yield self.x[index], self.y[index]

    def pieces(self, model: Module, batch_size: int) -> Iterator[tuple[Array, Array]]:
        """All of it in pieces of ``batch_size``, or larger ones that make little work in any layer."""
        rows = max(batch_size, _LARGE // widest(model, self.x))
        for start in range(0, len(self.x), rows):
            yield self.x[start : start + rows], self.y[start : start + rows]

    def description(self) -> dict[str, str]:
        """In words what must be the same for a training to go on."""
        arrays = {"x": self.x, "y": self.y}
        return {n: f"{a.shape} {a.dtype} {checksum(of(a).to_numpy(a))}" for n, a in arrays.items()}


@dataclass
class Batches:
    """An iterable of batches, which begins anew for each pass."""

    intake: Intake
    name: str
    given: Iterable[Any]

    labelled = True  # as far as one knows before the first batch

    def updates(self, batch_size: int) -> int:
        """Batches of an epoch from which a training may go on: none within it."""
        return 1

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        i = -1
        for i, batch in enumerate(self.given):
            name = f"batch {i} of {self.name}"
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise TypeError(
                    f"{self.intake.owner}: {name} must be a pair (x, y), got {_kind(batch)}; "
                    f"arrays in memory go in a tuple, {self.name}=(x, y)"
                )
            x, y = batch
            yield self.intake.arrays(name, x, y)
        if i < 0:
            raise ValueError(
                f"{self.intake.owner}: {self.name} gave no batches; its __iter__ must start anew each "
                "time it is asked, for training and for evaluation in every epoch"
            )

    def epoch(
        self, batch_size: int, shuffle: Stream, done: int = 0
    ) -> Iterator[tuple[Array, Array]]:
        """The batches as they come."""
        return iter(self)

    def pieces(self, model: Module, batch_size: int) -> Iterator[tuple[Array, Array]]:
        """The batches as they come."""
        return iter(self)

    def description(self) -> dict[str, str]:
        """In words what must be the same for a training to go on, as far as one can know: of a list all."""
        if not isinstance(self.given, list | tuple):
            return {"x": "an iterable", "y": "an iterable"}
        held = [Pair(*batch).description() for batch in self]
        sums = {n: checksum(np.array([d[n] for d in held])) for n in ("x", "y")}
        return {n: f"{len(held)} batches {found}" for n, found in sums.items()}


Part = Pair | Batches


def batches(n: int, batch_size: int, stream: Stream, backend: str) -> Iterator[Any]:
    """Index arrays of one epoch; a single left-over sample joins the batch before it."""
    order = move(stream.permutation(n), backend)
    for start, stop in pairwise([*_starts(n, batch_size), n]):
        yield order[start:stop]


def _starts(n: int, batch_size: int) -> list[int]:
    """Where the batches begin."""
    starts = list(range(0, n, batch_size))
    return starts[:-1] if len(starts) > 1 and n - starts[-1] == 1 < batch_size else starts


def widest(model: Module, x: Array) -> int:
    """About the most numbers that a layer makes of one sample of x (N, …), rather too many.

    An output has a number for each row of a weight, at each place of an image or a sequence (of
    integers each is a place: an Embedding makes a vector of it).

    >>> from minireg import nn
    >>> widest(nn.Linear(3, 100), np.ones((5, 3))), widest(nn.Conv2d(1, 8, 3), np.ones((5, 1, 9, 9)))
    (100, 648)
    """
    size = math.prod(x.shape[1:])
    places = size // max(1, min(x.shape[1], x.shape[-1])) if x.ndim > 2 else 1
    places = size if x.dtype.kind in "iu" else places
    return max(1, size, *(p.shape[0] * places for p in model.parameters() if p.ndim))


# --- what is given, as arrays ---------------------------------------------------------------------


@dataclass
class Intake:
    """How what is given becomes arrays for a model, on its backend and in its dtype.

    Labels and an Embedding's indices stay integers; words and bools are numbered by ``classes``, which
    the training data give where they are not given.
    """

    owner: str
    model: Module
    loss: AnyLoss
    classes: tuple[Name, ...] = ()
    once: bool = False  # to evaluate: one pass, from which nothing is learnt

    def __post_init__(self) -> None:
        self.learns = not self.once
        self._like = next(self.model.parameters(), Tensor(as_array([0.0])))
        self._ignored = getattr(self.loss, "ignore_index", None)
        if self._ignored is None and not isinstance(self.loss, losses.Loss):
            self._ignored = -100
        self._columns: list[str] = []
        self._spelled = False  # words such as "1" came up, of which integers are no codes
        self._indices = any(isinstance(m, Embedding) for m in self.model.modules())

    def part(self, name: str, given: Any) -> Part:
        """A pair (x, y) at once, or an iterable of batches; ``TypeError`` for anything else."""
        both = isinstance(given, tuple | list) and len(given) == 2
        if both and isinstance(given, tuple) and all(map(_is_batch, given)):
            raise TypeError(
                f"{self.owner}: {name} is a tuple of two pairs of arrays, and a tuple is one pair (x, y); "
                "write [(x, y), (x, y)] for two batches, or make one array of the samples"
            )
        if both and (isinstance(given, tuple) or not isinstance(given[0], tuple | list)):
            x, y = given
            found: Part = Pair(*self.arrays(name, x, y, whole=True))
        else:
            array = is_tensor(given) or hasattr(given, "__array__") or hasattr(given, "__dlpack__")
            if array or not isinstance(given, Iterable) or isinstance(given, str | Mapping | tuple):
                raise TypeError(
                    f"{self.owner}: {name} must be a pair (x, y) or an iterable of batches (x, y), "
                    f"got {_kind(given)}"
                )
            if isinstance(given, Iterator) and not self.once:
                raise TypeError(
                    f"{self.owner}: {name} is a {_kind(given)}, which ends after one pass, and every "
                    "epoch takes two, to train and to evaluate; pass list(batches), or an object "
                    "whose __iter__ starts anew, as a DataLoader's"
                )
            found = Batches(self, name, given)
        self.learns = False
        return found

    def arrays(self, name: str, x: Any, y: Any, whole: bool = False) -> tuple[Array, Array]:
        """x and y as arrays of one length, of which all is finite; ``whole`` of a pair."""
        check_index(f"{self.owner}: {name}", x, y)
        self._check_columns(name, x)
        inputs = _numbers(f"{self.owner}: x of {name}", x)
        targets = self._targets(name, y, whole)
        check_lengths(f"{self.owner}: {name}", inputs, targets)
        found = []
        for a, part, integers in ((inputs, "x", self._indices), (targets, "y", True)):
            if a.dtype.kind == "c" and self._like.dtype.kind != "c":
                raise TypeError(
                    f"{self.owner}: {part} of {name} is {a.dtype}, and the model takes real numbers; give "
                    ".real and .imag as two columns, or abs()"
                )
            if not (integers and a.dtype.kind in "iu"):
                with np.errstate(over="ignore"):  # what does not fit is infinite, and said so
                    a = a.astype(self._like.dtype)
                own = part == "y" and not isinstance(self.loss, losses.Loss)  # may be fond of NaN
                if not own and (whole or of(a) is NUMPY):  # a batch on a GPU is not waited for
                    columns = getattr(x, "columns", ()) if part == "x" else ()
                    check_finite(f"{self.owner}: {part} of {name}", a, columns)
            found.append(move(a, self._like.backend))
        return found[0], found[1]

    def _check_columns(self, name: str, x: Any) -> None:
        """``ValueError`` for a frame with other names than the first one: columns go by their places."""
        columns = [c for c in getattr(x, "columns", ()) if isinstance(c, str)]
        self._columns = self._columns or columns
        if columns and columns != self._columns:
            pairs = zip_longest(columns, self._columns, fillvalue="nothing")
            got, expected = next(pair for pair in pairs if pair[0] != pair[1])
            raise ValueError(
                f"{self.owner}: x of {name} has the column {got!r} where the training data have "
                f"{expected!r}; give it the same columns in the same order, x[train.columns]"
            )

    def _targets(self, name: str, given: Any, whole: bool) -> Array:
        """The targets as numbers: as they are, or what the classes say."""
        what = f"{self.owner}: y of {name}"
        found = _numbers(what, given, words=True)
        if found.dtype.kind not in "Ob":
            named = self._spelled or any(not isinstance(c, str | bool) for c in self.classes)
            if self.classes and found.dtype.kind in "iu" and not named:
                if whole or of(found) is NUMPY:  # a batch on a GPU is not waited for
                    self._check_codes(what, found)
                return found
            if not self.classes:
                return found
        flat = of(found).to_numpy(found).ravel().tolist()
        labels = [label.item() if isinstance(label, np.generic) else label for label in flat]
        if absent := [i for i, label in enumerate(labels) if is_absent(label)]:
            raise ValueError(
                f"{what} has no label in row {absent[0]} ({len(absent)} of {len(labels)} have none); "
                "leave such rows out"
            )
        if odd := [label for label in labels if not isinstance(label, Name)]:
            raise TypeError(
                f"{what} must be numbers, or labels that are words or bools, got {_kind(odd[0])}"
            )
        if not self.classes:
            self.classes = self._distinct(what, labels, learns=whole and self.learns)
        numbers = {c: i for i, c in enumerate(self.classes)}
        self._spelled |= any(isinstance(n, str) and n.isdecimal() for n in labels)
        if self._ignored is not None:
            numbers.setdefault(self._ignored, self._ignored)
        if strange := [i for i, label in enumerate(labels) if label not in numbers]:
            label, spelled = labels[strange[0]], str(labels[strange[0]])
            hint = f"; write {spelled!r}, as with y.astype(str)" if spelled in numbers else ""
            raise ValueError(
                f"{what} has the label {label!r} in row {strange[0]}, which is none of the classes "
                f"{_listed(self.classes)}{hint}; these are classes=, or the labels of the training data"
            )
        codes = np.array([numbers[label] for label in labels]).reshape(found.shape)
        if isinstance(self.loss, OF_LABELS) or not isinstance(self.loss, losses.Loss):
            return codes
        if len(self.classes) != 2:
            raise ValueError(
                f"{what} has the classes {_listed(self.classes)}, and {type(self.loss).__name__} takes "
                "two, as 0.0 and 1.0; take CrossEntropyLoss, or numbers as targets"
            )
        return codes.astype(self._like.dtype)

    def _check_codes(self, what: str, codes: Array) -> None:
        """``ValueError`` for labels that are no numbers of the classes."""
        named = (codes >= 0) & (codes < len(self.classes))
        if self._ignored is not None:
            named |= codes == self._ignored
        if not named.all():
            row = int(np.argwhere(~named)[0][0])
            raise ValueError(
                f"{what} has the label {codes[~named][0]} in row {row}, and classes= names "
                f"{_listed(self.classes)}, which are 0 to {len(self.classes) - 1}; name all of them"
            )

    def _distinct(self, what: str, labels: Sequence[Any], learns: bool) -> tuple[Name, ...]:
        """The classes: both of bools, or the sorted labels of the training data."""
        distinct = {*labels}
        if all(isinstance(label, bool) for label in distinct):
            return False, True
        if not learns:
            raise ValueError(
                f"{what} has labels such as {labels[0]!r}, and nothing says which numbers they have; "
                "pass classes=, all names in order"
            )
        kinds = sorted({type(label).__name__ for label in distinct})
        if len(kinds) > 1:
            raise TypeError(
                f"{what} has labels of several kinds, {', '.join(kinds)}, which have no order; make "
                "them words, or pass classes=, all of them in order"
            )
        return tuple(sorted(distinct))


def check_lengths(what: str, x: Array, y: Array) -> None:
    """``ValueError`` unless there are as many targets as inputs, and some."""
    n, m = (len(a) if a.ndim else 0 for a in (x, y))
    if n != m or n == 0:
        raise ValueError(f"{what} has {n} inputs and {m} targets; expected equal, > 0")


def _is_batch(given: Any) -> bool:
    """Whether it is two arrays, where an array was expected."""
    pair = isinstance(given, tuple | list) and len(given) == 2
    return pair and all(getattr(a, "ndim", 0) > 0 for a in given)


def _kind(given: Any) -> str:
    return type(given).__name__


def _listed(classes: Sequence[Any]) -> str:
    shown = ", ".join(map(repr, classes[:8]))
    return f"{shown}, … ({len(classes)})" if len(classes) > 8 else shown


def is_absent(value: Any) -> bool:
    """Whether a value stands for one that is missing: None, NaN, and pandas' NA and NaT.

    >>> is_absent(None), is_absent(float("nan")), is_absent("")
    (True, True, False)
    """
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or type(value).__name__ in ("NAType", "NaTType")
    )


def _numbers(what: str, given: Any, words: bool = False) -> Array:
    """An array of numbers, also of objects that are numbers (NaN for a missing one).

    With ``words``, objects of which some are none come back as objects.
    """
    try:
        return as_array(given, what)
    except TypeError as error:
        listed = isinstance(given, list | tuple)
        masked, recorded = hasattr(given, "filled"), getattr(given, "requires_grad", False)
        if masked or recorded or not (listed or hasattr(given, "__array__")):
            raise
        try:
            objects = np.array(given, object) if listed else np.asarray(given).astype(object)
        except (TypeError, ValueError, RuntimeError):  # of PyTorch, as bfloat16 or sparse
            raise TypeError(
                f"{error}; NumPy lacks this kind: convert it first, x.float() of bfloat16, x.to_dense() of "
                "what is sparse, x.cpu()"
            ) from None
        values = [math.nan if is_absent(v) else v for v in objects.ravel().tolist()]
        numbers = int | float | np.number | np.bool_
        strange = [i for i, v in enumerate(values) if not isinstance(v, numbers)]
        if not strange:  # of no rows, how many there are is what is wrong
            return np.array(values).reshape(objects.shape)
        if words:
            return objects
        names = getattr(given, "columns", ())
        if strange and len(names):
            row, column = divmod(strange[0], len(names))
            raise TypeError(
                f"{what} must be numbers, got {values[strange[0]]!r:.40} in row {row}, column "
                f"{names[column]!r}; encode words and dates as numbers"
            ) from None
        raise


def check_finite(what: str, array: Array, columns: Sequence[Any] = ()) -> None:
    """``ValueError`` that names the first place of a floating array where it is NaN or infinite.

    >>> check_finite("fit: x of train", np.array([[1.0, 2.0], [np.nan, 3.0]]), ["age", "height"])
    Traceback (most recent call last):
    ValueError: fit: x of train is nan in row 1, column 'age' (...); leave such rows out, or ...
    """
    if array.dtype.kind not in "fc":
        return
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum()):  # one pass, without an array of bools
            return
    places = np.argwhere(~np.isfinite(array))
    if not len(places):
        return  # finite numbers, of which the sum is not
    row, *rest = (int(i) for i in places[0])
    where = f"row {row}"
    if rest:
        column = columns[rest[0]] if len(columns) == array.shape[1] else rest[0]
        at = column if len(rest) == 1 else tuple(rest)
        where += f", column {at!r}" if len(rest) == 1 else f" at {at}"
    rows = len({int(i) for i in places[:, 0]})
    raise ValueError(
        f"{what} is {float(array[tuple(places[0])])} in {where} ({rows} of {len(array)} rows have NaN or "
        f"infinity as {array.dtype}; counted from 0); leave such rows out, or impute: fill in another "
        "value, such as the column's mean"
    )


# --- evaluation -----------------------------------------------------------------------------------


def figures(
    model: Module, loss: AnyLoss, pieces: Iterable[tuple[Array, Array]]
) -> dict[str, float]:
    """The data loss, and for labels the accuracy, of all pieces together, in evaluation mode.

    A loss of :mod:`minireg.nn` is computed piece by piece. Of any other nothing is known, so it sees
    the outputs of all pieces at once.
    """
    values, counts, held = [], [], []
    right = counted = 0
    labelled, modes = False, [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with no_grad():
            for x, y in pieces:
                output = model(Tensor(x))
                y = losses.as_column(loss, output, y)
                if type(loss) in _BY_PIECES:
                    counts.append(_count(loss, y))
                    with np.errstate(invalid=None if counts[-1] else "ignore"):  # 0 / 0
                        values.append(_value(loss, output, y))
                else:
                    held.append((output, y))
                if y.dtype.kind in "iu" and y.ndim == 1 and getattr(output, "ndim", 0) == 2:
                    labelled, kept = True, y != getattr(loss, "ignore_index", -100)
                    right += int(((output.data.argmax(axis=1) == y) & kept).sum())
                    counted += int(kept.sum())
            if held:
                values = [_value(loss, *_joined(held))]
    finally:
        for module, mode in modes:
            module.training = mode
    found = {"loss": values[0] if len(values) == 1 else _together(loss, values, counts)}
    return found | ({"accuracy": right / counted if counted else math.nan} if labelled else {})


def _value(loss: AnyLoss, output: Any, y: Array) -> float:
    value = named_parts(loss, output, y)["data"]
    if value.shape:
        raise ValueError(
            f"the loss must be a number, got shape {value.shape}; take it with reduction='mean'"
        )
    return float(value.data)


def _count(loss: Any, y: Array) -> float:
    """By how much the mean over a piece counts: what the loss divides by, up to a factor."""
    if isinstance(loss, losses.CrossEntropyLoss | losses.NLLLoss) and y.dtype.kind in "iu":
        kept = y[y != loss.ignore_index]
        if loss.weight is None:
            return kept.size
        return float(move(raw(loss.weight), of(y).name)[kept].sum())
    return len(y) if loss.reduction == "batchmean" else y.size


def _together(loss: Any, values: Sequence[float], counts: Sequence[float]) -> float:
    """The loss of all pieces: the sum of sums, or the mean of means by how much they count."""
    if loss.reduction == "sum":
        return sum(values)
    found = [(v, n) for v, n in zip(values, counts, strict=True) if n]
    return sum(v * n for v, n in found) / sum(counts) if found else math.nan


def _joined(pieces: Sequence[tuple[Any, Array]]) -> tuple[Any, Array]:
    """Outputs and targets of all pieces, as if they had been one."""
    if len(pieces) == 1:
        return pieces[0]
    outputs, targets = zip(*pieces, strict=True)
    try:
        return _stacked(outputs, [len(y) for y in targets]), np.concatenate(targets)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "of a loss that is not mr.nn's nothing is known, so it sees the model's outputs for all "
            f"samples at once; these cannot be joined ({error}); give them a row for each sample, or "
            "evaluate in one batch: a batch_size of all samples"
        ) from error


def _stacked(outputs: Sequence[Any], sizes: Sequence[int]) -> Any:
    """Tensors, or tuples and lists of them, one after the other."""
    if isinstance(outputs[0], tuple | list):
        return type(outputs[0])(_stacked(o, sizes) for o in zip(*outputs, strict=True))
    arrays = [raw(o) for o in outputs]
    shapes = [a.shape for a in arrays]
    if [shape[:1] for shape in shapes] != [(n,) for n in sizes]:
        raise ValueError(f"shapes {shapes[:2]} for {list(sizes)[:2]} samples")
    return Tensor(np.concatenate(arrays))
