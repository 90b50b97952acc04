"""Columns of numbers and texts: from arrays and data frames, and from .csv, .npz and .parquet files.

What cannot be trained on is refused here, with the line or row and the column where it stands.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from io import StringIO
from itertools import islice, zip_longest
from numbers import Real
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .backend import as_array, is_array, of, raw
from .messages import needed

Values = np.ndarray[Any, Any]
Block = tuple[tuple[str, ...], Values]
# whichever case; "None" may be a category
MISSING = {"", "na", "n/a", "nan", "null", "<na>", "nat"}
MOST_TEXTS = 200  # different texts in a column: more are no categories, and too many columns

_DATE = re.compile(
    r"(\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{2,4})([ T].*)?|"
    r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
)
# digits that are no number: 01234, and more of them than float64 tells apart
_CODE = re.compile(r"0\d+|\d{16,}")
_RANKS = {"u": 1, "i": 1, "f": 2}  # of targets' dtypes: those of a lower rank become the higher
# numbers that Python does not read: 3,14 and 1.000,5 and 1,000.5, and 1.000.000
_COMMA = re.compile(r"[-+]?\d[\d.]*(,\d+)+(\.\d+)?|[-+]?\d{1,3}(\.\d{3}){2,}")
_SIGN = re.compile(r" ?[%‰$€£¥] ?")  # and what may stand beside any of them


class Category(str):
    """A text that is the name of a kind even if it spells a number, as a frame's column says."""


@dataclass
class Columns:
    """The columns of a data set and its target, all of n rows.

    Attributes
    ----------
    blocks : pairs (names, values): values are numbers (n, features), of images (n, height, width, …)
        without names, or texts (n,) under one name. What is missing is NaN or None.
    y : the target, (n,) of numbers, bools or texts, or (n, outputs) of numbers.
    target : its name.
    where : what messages call a row.
    """

    blocks: list[Block]
    y: Values
    target: str = "y"
    where: Callable[[int], str] = "row {}".format

    def __len__(self) -> int:
        return len(self.y)

    @property
    def kinds(self) -> list[str]:
        """What each block and the target are, as messages show it."""
        shown = [(f"columns {', '.join(n)}" if n else "images", a) for n, a in self.blocks]
        return [
            f"{name} of {'texts' if a.dtype == object else f'numbers {a.shape[1:]}'}"
            for name, a in [*shown, (f"target {self.target}", self.y)]
        ]

    def followed(self, owner: str, others: Columns) -> Columns:
        """The rows of both; ``ValueError`` unless their columns are the same."""
        ours, theirs = ([n for names, _ in c.blocks for n in names] for c in (self, others))
        if odd := [n for n in [*ours, *theirs] if (n in ours) != (n in theirs)]:
            verb = "lacks" if odd[0] in ours else "has"
            raise ValueError(f"{owner}: validation {verb} column {odd[0]!r}, unlike x")
        if self.kinds != others.kinds:
            pairs = zip_longest(self.kinds, others.kinds, fillvalue="nothing")
            kind, got = next(pair for pair in pairs if pair[0] != pair[1])
            raise ValueError(f"{owner}: validation has {got}, expected {kind:.200} as in x and y")
        if _RANKS.get(others.y.dtype.kind, 0) > _RANKS.get(self.y.dtype.kind, 0):
            raise ValueError(
                f"{owner}: validation has a target of {others.y.dtype}, expected {self.y.dtype} as in y; "
                "make them one dtype"
            )
        both = zip(self.blocks, others.blocks, strict=True)
        blocks = [(names, np.concatenate([a, b])) for (names, a), (_, b) in both]
        n = len(self)
        where = lambda row: f"row {row}" if row < n else f"row {row - n} of validation"
        return Columns(blocks, np.concatenate([self.y, others.y]), self.target, where)


# --- from arrays ---------------------------------------------------------------------------------


def of_arrays(owner: str, x: Any, y: Any, names: Sequence[str] | None = None) -> Columns:
    """The columns of a data frame or mapping, or of an array (n, features), or of images (n, …).

    ``names`` replaces those of the frame; an array without has x0, x1, …. ``TypeError`` for what is no
    numbers and no texts, ``ValueError`` for another number of axes, rows or names.

    >>> of_arrays("demo", {"age": [31, 52], "sex": ["f", "m"]}, [True, False]).blocks[1]
    (('sex',), array(['f', 'm'], dtype=object))
    """
    check_index(owner, x, y)
    target = _target(owner, "y", y)
    blocks = _of_frame(owner, x, names) if _is_frame(x) else [_of_array(f"{owner}: x", x, names)]
    lengths = {len(values) for _, values in blocks}
    if lengths != {len(target)} or not len(target):
        raise ValueError(
            f"{owner}: x has {' or '.join(map(str, sorted(lengths)))} rows and y {len(target)}; expected "
            "equal numbers, > 0"
        )
    return Columns(blocks, target)


def check_index(owner: str, x: Any, y: Any) -> None:
    """``ValueError`` for a frame and a series of pandas whose rows, paired by place, have other names."""
    rows: list[Any] = [getattr(given, "index", None) for given in (x, y)]
    if not all(hasattr(r, "equals") for r in rows) or len(x) != len(y) or rows[0].equals(rows[1]):
        return
    for row, (ours, theirs) in enumerate(zip(*rows, strict=True)):
        if ours != theirs:
            raise ValueError(
                f"{owner}: x and y have different indices, {ours!r:.40} and {theirs!r:.40} in row {row}; put "
                "them in one order, as with y.loc[x.index], or pass y.to_numpy() if they are"
            )


def _target(owner: str, name: str, y: Any) -> Values:
    if getattr(y, "ndim", 1) == 2 and y.shape[1] != 1:
        return _numbers(f"{owner}: {name}", y)
    return column(owner, name, y)


def _is_frame(x: Any) -> bool:
    return isinstance(x, Mapping) or hasattr(x, "columns")


def _of_frame(owner: str, x: Any, names: Sequence[str] | None) -> list[Block]:
    keys = [*x] if isinstance(x, Mapping) else [*x.columns]
    found = [str(key) for key in keys] if names is None else [*map(str, names)]
    check_names(owner, found, len(keys))
    return [_block(owner, name, x[key]) for name, key in zip(found, keys, strict=True)]


def _of_array(what: str, x: Any, names: Sequence[str] | None) -> Block:
    a = _numbers(what, x)
    if a.ndim < 2:
        raise ValueError(
            f"{what} must be (n, features), or (n, height, width, …) of images, got {a.shape}; "
            "[:, None] makes one feature of it"
        )
    if a.ndim == 2:
        found = [f"x{i}" for i in range(a.shape[1])] if names is None else [*map(str, names)]
        check_names(what, found, a.shape[1])
        return tuple(found), a
    if names is not None:
        raise ValueError(f"{what} is images {a.shape}, whose pixels have no feature_names")
    return (), a


def check_names(owner: str, names: Sequence[str], n: int) -> None:
    """``ValueError`` unless each of n > 0 columns has a name of its own.

    >>> check_names("demo", ["x0", "x0"], 2)
    Traceback (most recent call last):
    ValueError: demo: each column must have a name of its own, got 'x0' twice; rename one
    """
    twice = _twice(names)
    if twice is not None or not n or len(names) != n:
        counts = f"{len(names)} names for {n} columns"
        got = counts if twice is None else f"{twice!r} twice; rename one"
        raise ValueError(f"{owner}: each column must have a name of its own, got {got}")


def _twice(names: Sequence[str]) -> str | None:
    """The first name that comes up again."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def _block(owner: str, name: str, values: Any) -> Block:
    if str(getattr(values, "dtype", "")) == "category":  # of pandas, whatever the categories are
        values = [v if v != v else Category(v) for v in values]
    a = column(owner, f"column {name!r}", values)
    return (name,), a if a.dtype == object else a[:, None]


def _numbers(what: str, x: Any) -> Values:
    _check_plain(what, x)
    a = _on_host(what, as_array(x, what, np.float64))
    if a.dtype.kind == "c":
        raise TypeError(f"{what} must be real numbers, got {a.dtype}; give .real and .imag")
    return a


def _on_host(what: str, x: Any) -> Values:
    """An array of any kind, also of texts, as NumPy's; a list as one of objects."""
    a = raw(x)
    if isinstance(a, list | tuple):
        return np.array([*a, None], object)[:-1]  # None keeps NumPy from looking into a text
    if is_array(a):
        return of(a).to_numpy(a)
    _check_plain(what, a)
    try:
        return np.asarray(a)
    except (TypeError, ValueError, RuntimeError) as error:  # PyTorch's say what to call
        raise TypeError(f"{what} must be an array, got a {type(a).__name__}: {error}") from error


def _check_plain(what: str, x: Any) -> None:
    """``TypeError`` for what NumPy cannot hold, or would take for a single object."""
    if str(getattr(x, "dtype", "")).endswith("bfloat16"):
        raise TypeError(
            f"{what} is bfloat16, which NumPy lacks; pass x.float() of a PyTorch tensor x, and else "
            "x.astype('float32')"
        )
    if "sparse" in f"{type(x).__module__} {getattr(x, 'layout', '')}":
        raise TypeError(
            f"{what} is sparse, a {type(x).__name__}; pass x.to_dense() of a PyTorch tensor x, "
            "x.toarray() of SciPy's"
        )


def column(owner: str, name: str, values: Any) -> Values:
    """One column as an array (n,) of numbers or bools, or of str and None.

    Numbers with gaps are float64 with NaN. ``TypeError`` for anything else, ``ValueError`` for more
    axes than (n,) and (n, 1).

    >>> column("demo", "y", ["red", None])
    array(['red', None], dtype=object)
    """
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{owner}: {name} is masked, which hides values; fill it, as by .filled(0)")
    a = _on_host(f"{owner}: {name}", values)
    a = a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a
    if a.ndim != 1:
        raise ValueError(f"{owner}: {name} must be (n,), got {a.shape}")
    if a.dtype.kind in "biuf":
        return a
    if a.dtype.kind in "Mm":
        raise TypeError(
            f"{owner}: {name} holds dates ({a.dtype}); make them numbers, such as days since a first "
            "one, or drop the column"
        )
    cells = [_cell(owner, name, i, cell) for i, cell in enumerate(a.tolist())]
    known = [c for c in cells if c is not None]
    others = [c for c in known if not isinstance(c, str)]
    if others and len(others) == len(known):
        filled = np.array([np.nan if c is None else c for c in cells])
        return filled if filled.dtype.kind in "biuf" else filled.astype(np.float64)
    if others:
        raise TypeError(
            f"{owner}: {name} mixes texts with numbers ({others[0]!r}); make them one kind"
        )
    return np.array([*cells, None], object)[:-1]


def _cell(owner: str, name: str, row: int, cell: Any) -> Any:
    """A cell of an array of objects: a number, a text, or None for what is missing."""
    if isinstance(cell, str):
        return cell
    try:
        if isinstance(cell, bytes):
            return cell.decode()
        if isinstance(cell, Decimal) and cell.is_nan():  # a signalling one must not be compared
            return None
        if isinstance(cell, Real | Decimal) and cell == cell:
            number = float(cell)
            return cell if isinstance(cell, int | float) else number
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{owner}: {name} has bytes that are no UTF-8, {cell!r:.60} in row {row}; make them texts, as "
            "with .decode('latin-1')"
        ) from error
    except OverflowError as error:
        raise ValueError(
            f"{owner}: {name} has a number beyond float64, {cell!r:.20}… in row {row}; give the column "
            "another unit"
        ) from error
    if cell is None or str(cell).casefold() in MISSING:  # NaN, and pandas' NA and NaT
        return None
    raise TypeError(
        f"{owner}: {name} must be numbers or texts, got {cell!r:.60} in row {row}, a "
        f"{type(cell).__name__}"
    )


# --- what is refused -----------------------------------------------------------------------------


def check_whole(owner: str, columns: Columns) -> None:
    """``ValueError`` that names the first missing or infinite values, and says how many there are.

    >>> check_whole("demo", of_arrays("demo", {"age": [31, np.nan]}, [0, 1]))
    Traceback (most recent call last):
    ValueError: demo: 1 value is missing or infinite: row 1, column 'age' (missing); take such rows ...
    """
    found: list[tuple[int, str]] = []  # row, what is said
    count = 0
    for names, values in [*columns.blocks, ((columns.target,), columns.y)]:
        if values.dtype == object:
            bad = np.array([[i] for i, cell in enumerate(values) if cell is None], int)
        elif values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = np.argwhere(~np.isfinite(values))
        else:
            continue
        count += len(bad)
        for row, *at in bad[:3].tolist():
            value = values[(row, *at)]
            place = at[0] if len(names) > 1 else 0
            spot = f"column {names[place]!r}" if names else f"pixel {tuple(at)}"
            what = "missing" if value is None or value != value else f"{value}"
            found.append((row, f"{columns.where(row)}, {spot} ({what})"))
    if count:
        said = "; ".join(text for _, text in sorted(found, key=itemgetter(0))[:3])
        are, more = "value is" if count == 1 else "values are", "; …" if count > 3 else ""
        raise ValueError(
            f"{owner}: {count:,} {are} missing or infinite: {said}{more}; take such rows out or fill "
            "in a number or word (in pandas df.dropna(), df.fillna(df.median()))"
        )


def check_texts(owner: str, name: str, texts: Values, where: Callable[[int], str]) -> None:
    """``ValueError`` for texts that are numbers, mostly numbers, or dates."""

    def first(wanted: Callable[[str], Any]) -> str:
        row = next(i for i, text in enumerate(texts) if wanted(text))
        return f"{texts[row]!r} in {where(row)}"

    if isinstance(texts[0], Category):
        return
    kinds, counts = np.unique(texts, return_counts=True)
    if not all(map(_is_number, kinds)) and all(map(_means_number, kinds)):
        raise ValueError(
            f"{owner}: {name} has numbers with a comma, thousands or a sign, "
            f"{first(lambda t: not _is_number(t))}; write 3.14, 1000 and -5, without %, as a spreadsheet "
            "set to English saves them, or pandas: read_csv(PATH, sep=';', decimal=',').to_csv(PATH, "
            "index=False)"
        )
    if all(map(_DATE.fullmatch, kinds)):
        raise ValueError(
            f"{owner}: {name} holds dates, {first(bool)}; make them numbers, such as days since a first "
            "one, or drop the column"
        )
    if any(map(_CODE.fullmatch, kinds)) and all(map(_is_number, kinds)):
        raise ValueError(
            f"{owner}: {name} holds digits that are no number, {first(_CODE.fullmatch)} (a 0 before "
            "others, or 16 digits and more); put a letter before codes, write numbers without such a 0, or "
            "drop the column"
        )
    numbers = sum(int(n) for kind, n in zip(kinds, counts, strict=True) if _means_number(kind))
    if numbers == len(texts):
        raise ValueError(f"{owner}: {name} holds numbers as texts, {first(bool)}; convert them")
    if 2 * numbers > len(texts):
        raise ValueError(
            f"{owner}: {name} holds numbers, but also {first(lambda t: not _means_number(t))} "
            f"({len(texts) - numbers} of {len(texts)} are none); mend these, or put a letter before the "
            "numbers if they are names"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python's own numbers may have


def _means_number(text: str) -> bool:
    bare = _SIGN.sub("", text).replace("−", "-")
    return _is_number(bare) or bool(_COMMA.fullmatch(bare))


def categories(owner: str, name: str, texts: Values) -> Values:
    """The different texts of a column, sorted; ``ValueError`` where they are too many for categories.

    >>> categories("demo", "colour", np.array(["red", "blue", "red"])).tolist()
    ['blue', 'red']
    """
    kinds = np.unique(texts)
    if len(kinds) > MOST_TEXTS or (len(texts) >= 10 and 2 * len(kinds) > len(texts)):
        raise ValueError(
            f"{owner}: column {name!r} has {len(kinds):,} different texts in {len(texts):,} rows, such as "
            f"{kinds[0]!r}: a name or number of the row, or free text? Drop the column, or group its "
            f"texts into at most {MOST_TEXTS} kinds that come up again"
        )
    return kinds


# --- files ---------------------------------------------------------------------------------------


def read_columns(owner: str, path: str | Path, target: str | int) -> Columns:
    """The columns and the target of a file.

    ``target`` is a column's name, or its place (from the end if negative), also as a text.
    ``FileNotFoundError`` without the file, ``ImportError`` without what reads it, ``ValueError`` that says
    where the file is wrong, ``TypeError`` for a path or target of another kind.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"{owner}: path must be a str or Path, got a {type(path).__name__}; datasets.from_arrays takes "
            "arrays and data frames"
        )
    if not isinstance(target, str | int | np.integer):
        raise TypeError(f"{owner}: target must be a column's name or place, got {target!r:.60}")
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise ValueError(
            f"{owner}: {str(path)!r} must end in {', '.join(READERS)}; pandas' to_csv(PATH, "
            "index=False) writes what is read here"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{owner}: no file {str(path)!r}")
    owner = f"{owner}: {path.name}"
    suffix = path.suffix.lower()
    arrays, where = READERS[suffix](owner, path)
    names = [*arrays]
    places = {str(i - len(names)): name for i, name in enumerate(names * 2)}
    target = target if target in arrays else places.get(str(target), target)
    if target not in arrays:
        shown = {name.casefold(): name for name in names}
        near = get_close_matches(str(target).casefold(), shown, cutoff=0.5)
        meant = " or ".join(repr(shown[n]) for n in near)
        hint = f"did you mean {meant}?" if near else f"it has {names!r:.300}"
        if suffix == ".parquet":
            hint += " (the index of a frame is none; frame.reset_index() makes columns of it)"
        raise ValueError(f"{owner} has no column {target!r}; {hint}")
    if len(names) < 2:
        raise ValueError(f"{owner} has no column beside the target {target!r}")
    lengths = {name: len(a) if a.ndim else 0 for name, a in arrays.items()}
    if len({*lengths.values()}) > 1 or not lengths[names[0]]:
        raise ValueError(f"{owner}: the columns must be of one length, > 0, got {lengths!r:.200}")
    y = _target(owner, f"the target {target!r}", arrays.pop(str(target)))
    blocks = [
        _block(owner, n, a) if a.ndim == 1 else _several(owner, n, a) for n, a in arrays.items()
    ]
    if len(blocks) > 1 and not all(names for names, _ in blocks):
        raise ValueError(f"{owner} has images beside {[*arrays]}; keep one of them")
    return Columns(blocks, y, str(target), where)


def _several(owner: str, name: str, values: Values) -> Block:
    """The columns of one array of several axes."""
    names, a = _of_array(f"{owner}: {name!r}", values, None)
    return tuple(f"{name}{i}" for i in range(len(names))), a


Read = tuple[dict[str, Values], Callable[[int], str]]


def _csv(owner: str, path: Path) -> Read:
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{owner} is UTF-16, as Excel's “Unicode text”; save the file as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        where = f"{owner}, line {line}"
        raise ValueError(f"{where} is no UTF-8 ({error.reason}); save the file as UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{owner}, line {line} has a NUL, which no text has; save it as UTF-8")
    head, rows, lines = _lines(owner, StringIO(text, newline=""))
    cells = zip(*rows, strict=True)
    arrays = {name: parsed(texts) for name, texts in zip(head, cells, strict=True)}
    numbers = [name for name in head if _is_number(name)]
    above = all(arrays[name].dtype.kind in "if" for name in numbers)
    if above and not _rise(numbers):
        raise ValueError(
            f"{owner}, line {lines[0]} must name the columns, but looks like a row: {numbers!r:.60} stand "
            "above numbers; put a line of names before it, or a letter before names that are numbers"
        )
    return arrays, lambda row: f"line {lines[row + 1]}"


def _rise(names: Sequence[str]) -> bool:
    """Whether they are integers that rise, as years, and the names that pandas gives: 0, 1, 2, …"""
    if not all(map(re.compile(r"-?\d+").fullmatch, names)):
        return False
    numbers = [*map(int, names)]
    return numbers == sorted({*numbers})


def _lines(owner: str, file: TextIO) -> tuple[list[str], list[list[str]], list[int]]:
    """(names, rows of cells, the line of the names and of each row): as many cells everywhere."""
    first = next((line for line in file if line.strip()), "")
    delimiter = max(",;\t|", key=lambda d: len(next(csv.reader([first], delimiter=d), [])))
    if told := re.fullmatch(r"(?i)sep=([^\w\s\"]|\t)", first.strip("\r\n ")):  # of Excel
        delimiter = told[1]
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, strict=True)

    def numbered() -> Iterator[tuple[int, list[str]]]:
        start = 1
        try:
            for row in reader:
                if len(row) > 1 or "".join(row).strip():  # no blank line
                    yield start, row
                start = reader.line_num + 1
        except csv.Error as error:
            raise ValueError(f"{owner}, line {start}: {error}") from error

    rows = islice(numbered(), told is not None, None)
    top, head = next(rows, (0, []))
    head = [name.strip() for name in head]
    if not head:
        raise ValueError(f"{owner} is empty; expected a line of names, then rows")
    if all(map(_is_number, head)):
        raise ValueError(f"{owner}, line {top} must name the columns, got the numbers {head!r:.60}")
    if "" in head:
        raise ValueError(
            f"{owner}, line {top}: column {head.index('') + 1} of {len(head)} has no name; name it, or leave "
            "it out (pandas writes its index so, without index=False)"
        )
    if (twice := _twice(head)) is not None:
        raise ValueError(
            f"{owner}, line {top}: two columns are called {twice!r}; rename one, or put a line of names "
            "before the first if that is a row"
        )
    lines, cells = [top], []
    for line, row in rows:
        if len(row) != len(head):
            raise ValueError(
                f"{owner}, line {line} has {len(row)} cells, expected {len(head)} as in line {top}; quote a "
                f'cell that holds {delimiter!r}, as "a{delimiter}b"'
            )
        lines.append(line)
        cells.append(row)
    if not cells:
        raise ValueError(f"{owner} has a line of names, {head!r:.60}, and no rows")
    return head, cells, lines


def parsed(texts: Sequence[str]) -> Values:
    """A column of a text file: integers, numbers, or bools if all that is there is; else texts.

    >>> parsed(["1", "2"]), parsed(["1", ""]), parsed(["true", "False"]), parsed(["red", "NA"])
    (array([1, 2]), array([ 1., nan]), array([ True, False]), array(['red', None], dtype=object))
    """
    stripped = [text.strip() for text in texts]
    cells = [None if text.casefold() in MISSING else text for text in stripped]
    known = [cell for cell in cells if cell is not None]
    if any(map(_CODE.fullmatch, known)) or (known and all(map(_DATE.fullmatch, known))):
        return np.array([*cells, None], object)[:-1]
    if "_" not in "".join(texts):  # which Python's own numbers may have
        for kind in (int, float):
            try:
                return np.array([*map(kind, texts)], np.int64 if kind is int else np.float64)
            except (ValueError, OverflowError):
                continue
    if all(map(_is_number, known)):
        return np.array([np.nan if cell is None else float(cell) for cell in cells])
    if len(known) == len(cells) and {cell.casefold() for cell in known} <= {"true", "false"}:
        return np.array([cell.casefold() == "true" for cell in known])
    return np.array(cells, object)


def _npz(owner: str, path: Path) -> Read:
    with path.open("rb") as opened:
        try:
            file = np.load(opened, allow_pickle=False)
            arrays = {name: file[name] for name in file.files}
        except Exception as error:  # zipfile, zlib and NumPy have their own
            raise ValueError(
                f"{owner} is damaged or no .npz file of plain arrays: {error}; write it with "
                "np.savez(PATH, x=x, y=y), words as arrays of str"
            ) from error
    return arrays, "row {}".format


def _parquet(owner: str, path: Path) -> Read:
    parquet = needed(f"{owner} needs pyarrow", "pyarrow.parquet", "'minireg[data]'")
    try:
        with parquet.ParquetFile(path) as file:  # read_table stumbles over a name twice
            table = file.read()
        index = (table.schema.pandas_metadata or {}).get("index_columns", ())
        # the index is none of a frame's columns; one that only counts is a dict, and not in the table
        table = table.drop_columns([name for name in table.column_names if name in index])
    except Exception as error:  # pyarrow has its own
        raise ValueError(f"{owner} is damaged or no .parquet file: {error}") from error
    names = table.column_names
    check_names(owner, names, len(names))
    columns = zip(names, table.columns, strict=True)
    return {n: column(owner, f"column {n!r}", c.to_numpy()) for n, c in columns}, "row {}".format


READERS: dict[str, Callable[[str, Path], Read]] = {
    ".csv": _csv, ".tsv": _csv, ".npz": _npz, ".parquet": _parquet
}  # fmt: skip
