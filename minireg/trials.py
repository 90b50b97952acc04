"""The trials of a sweep in one SQLite file, each as it ends: whatever comes then, it is kept."""

from __future__ import annotations

import errno
import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .checkpoint import check_format, packed, unpacked
from .messages import needed

if TYPE_CHECKING:
    import sqlite3

_OURS = 0x6D725377  # application_id in the file's header: "mrSw"
_FORMAT = 1  # user_version there
_TABLES = (
    f"PRAGMA application_id = {_OURS}",
    f"PRAGMA user_version = {_FORMAT}",
    "CREATE TABLE experiment (text TEXT, checksum TEXT)",
    # as "run" are kept point and seed with the types that they came with
    "CREATE TABLE trials (place INTEGER PRIMARY KEY, point TEXT NOT NULL, seed TEXT NOT NULL, "
    "run TEXT NOT NULL, figures TEXT, error TEXT, checksum TEXT, UNIQUE (point, seed))",
)
_BROKEN = ValueError, TypeError, LookupError, AttributeError  # what text that is none leads to
_PATIENCE = 60  # seconds to wait for another process that writes
_CODES = {"FULL": errno.ENOSPC, "READONLY": errno.EACCES, "CANTOPEN": errno.EACCES}

# --- values as text -----------------------------------------------------------------------------


def pack(value: Any) -> str:
    """A value as strict JSON, from which :func:`unpack` makes the same value of the same type.

    Takes None, bools, integers, floats bit for bit, text, lists, tuples, dicts and NumPy's scalars
    of these; ``TypeError`` for anything else.

    >>> pack((0.1, float("inf"), [None]))
    '{"tuple": [0.1, {"float": "000000000000f07f"}, [null]]}'
    >>> unpack(pack((0.1, float("inf"), [None])))
    (0.1, inf, [None])
    """
    return json.dumps(packed(value, _scalar))


def unpack(text: str) -> Any:
    """What :func:`pack` wrote; ``ValueError`` (or ``TypeError``, ``KeyError``) for other text.

    >>> unpack('{"numpy": ["<f4", "0000803f"]}')
    np.float32(1.0)
    """
    return unpacked(json.loads(text), _of_numpy)


def same(value: Any) -> Any:
    """What two values have in common if they are one: equal numbers of any type are, but True is not 1.

    Text for values that :func:`pack` takes; others are what no other is, as long as they are there.

    >>> same(np.float64(1)) == same(1) == same(1.0), same(np.float32(0.1)) == same(0.1)
    (True, False)
    """
    try:
        return pack(_valued(value))
    except TypeError:
        return id(value)


def _valued(value: Any) -> Any:
    """A value with Python's numbers, of which those without a fraction are integers."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is list:
        return [*map(_valued, value)]
    if type(value) is tuple:
        return (*map(_valued, value),)
    if type(value) is dict:
        return {_valued(k): _valued(v) for k, v in value.items()}
    return value


def _scalar(value: Any, _: str) -> Any:
    if isinstance(value, np.generic) and value.dtype.char not in "OVgG":  # a longdouble has padding
        return {"numpy": [value.dtype.str, value.tobytes().hex()]}
    raise TypeError(
        f"sweep: a store keeps numbers, text, and lists, tuples and dicts of them, got {value!r:.60}; "
        "give it a name, and let the function look it up"
    )


def _of_numpy(held: Any, kind: str) -> Any:
    if kind != "numpy":
        raise ValueError(f"{kind!r} is no kind of value")
    return np.ndarray((), held[0], bytes.fromhex(held[1]))[()]


# --- the file -----------------------------------------------------------------------------------


class Kept(NamedTuple):
    """A trial in the file: finished with figures, failed with an error, or neither."""

    point: dict[str, Any]
    seed: Any
    figures: dict[str, float] | None
    error: str | None


Key = tuple[str, str]  # of point and seed


def key(point: Mapping[str, Any], seed: Any) -> Key:
    """What a trial is found by; neither the order of the parameters nor the type of numbers counts.

    >>> key({"l2": 1, "l1": 0.1}, 0) == key({"l1": np.float64(0.1), "l2": 1.0}, 0)
    True
    """
    return pack(_valued(dict(sorted(point.items())))), pack(_valued(seed))


class Store:
    """The trials of one experiment in a SQLite file; a context manager that closes it.

    Parameters
    ----------
    path : the file; made if it is not there and an experiment is given.
    experiment : what the trials are trials of, of values that :func:`pack` takes; None to read. The
        order of ``parameters`` in it does not count.

    Two processes may write to one file; a trial is kept as it first finished. With an experiment, trials
    that are damaged are forgotten, with a warning. ``ValueError`` for a file that holds another
    experiment, is damaged or no store; ``FileNotFoundError`` where there is
    none, or no folder; ``OSError`` if it cannot be read or written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "sweep.sqlite"
    >>> with Store(path, {"function": "f", "parameters": ["l2"]}) as store:
    ...     store.plan([({"l2": 0.1}, 0), ({"l2": 0.2}, 0)])
    ...     store.add(key({"l2": 0.1}, 0), {"loss": 0.5})
    ...     [trial.figures for trial in store.trials().values()]
    [{'loss': 0.5}, None]
    """

    def __init__(self, path: str | Path, experiment: dict[str, Any] | None = None) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise IsADirectoryError(f"sweep: {str(path)!r} is a folder, expected a file")
        if experiment is None and not self.path.exists():
            raise FileNotFoundError(f"sweep: no file {str(path)!r}")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"sweep: no folder {str(self.path.parent)!r} for a store")
        uri = f"{self.path.resolve().as_uri()}?mode={'rwc' if experiment else 'rw'}"
        self._sqlite: Any = needed("a store needs SQLite", "sqlite3", "sqlite3, or Python with it")
        with self._told():
            connect = self._sqlite.connect
            self._db: sqlite3.Connection = connect(uri, _PATIENCE, isolation_level=None, uri=True)
        try:
            if experiment:
                self._make(experiment)
            self.experiment = self._read()
            if experiment and pack(self.experiment) != pack(experiment):
                if differs := _differences(self.experiment, experiment):
                    raise ValueError(
                        f"sweep: {str(path)!r} holds another experiment, of {differs}; choose "
                        "another store"
                    )
                self._hold("UPDATE experiment SET text = ?, checksum = ?", experiment)
            if experiment:
                self._forget_damaged()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _make(self, experiment: dict[str, Any]) -> None:
        """Make an empty file a store; of two that begin at once, one does."""
        with self._writing():
            tables = self._all("SELECT name FROM sqlite_master")
            if not tables and self._all("PRAGMA application_id") == [(0,)]:
                for statement in _TABLES:
                    self._db.execute(statement)
                self._hold("INSERT INTO experiment VALUES (?, ?)", experiment)

    def _hold(self, statement: str, experiment: dict[str, Any]) -> None:
        """Write what the trials are trials of."""
        with self._told():
            text = pack(experiment)
            self._db.execute(statement, [text, _checksum(text)])

    def _read(self) -> dict[str, Any]:
        """The experiment of the file."""
        if self._all("PRAGMA application_id") != [(_OURS,)]:
            raise ValueError(f"sweep: {str(self.path)!r} is no store of a sweep")
        if (found := self._all("PRAGMA quick_check(1)")) != [("ok",)]:
            raise self._damaged(found[0][0])
        try:
            check_format(self._all("PRAGMA user_version")[0][0], _FORMAT)
        except ValueError as error:
            raise ValueError(f"sweep: {str(self.path)!r}: {error}") from None
        with self._told():
            ((text, checksum),) = self._all("SELECT * FROM experiment")
            if checksum != _checksum(text):
                raise ValueError("the checksum of the experiment is wrong")
            return unpack(text)

    def _forget_damaged(self) -> None:
        """Of trials that go on, those with a wrong checksum are computed again, which a warning says."""
        with self._writing():
            for place, *texts, checksum in self._all("SELECT * FROM trials"):
                if checksum != _checksum(*texts):
                    self._db.execute("DELETE FROM trials WHERE place = ?", [place])
                    says = f"sweep: trial {place} in {str(self.path)!r} is damaged: it is forgotten"
                    warnings.warn(says, stacklevel=3)

    def plan(self, runs: Iterable[tuple[dict[str, Any], Any]]) -> None:
        """Note points and seeds that are to be done, in this order; those that are there stay."""
        texts = [(*key(point, seed), pack((point, seed))) for point, seed in runs]
        with self._writing():
            self._db.executemany(
                "INSERT OR IGNORE INTO trials (point, seed, run, checksum) VALUES (?, ?, ?, ?)",
                [(*text, _checksum(*text, None, None)) for text in texts],
            )

    def add(self, key: Key, ending: dict[str, float] | str) -> None:
        """Keep how a planned trial ended: its figures, or its error. Figures are not replaced."""
        figures, error = None, None
        if isinstance(ending, str):
            error = ending.encode("utf-8", "replace").decode()  # half a character is none to SQLite
        else:
            figures = pack(ending)
        with self._writing():
            ((run,),) = self._db.execute(
                "SELECT run FROM trials WHERE point = ? AND seed = ?", key
            ).fetchall()
            self._db.execute(
                "UPDATE trials SET figures = ?, error = ?, checksum = ? "
                "WHERE point = ? AND seed = ? AND figures IS NULL",
                (figures, error, _checksum(*key, run, figures, error), *key),
            )

    def trials(self) -> dict[Key, Kept]:
        """All trials by key, in the order in which they were planned."""
        found = {}
        with self._told():
            for place, *texts, checksum in self._all("SELECT * FROM trials ORDER BY place"):
                if checksum != _checksum(*texts):
                    raise ValueError(f"trial {place} is; its sweep computes it again")
                *own, run, figures, error = texts
                point, seed = unpack(run)
                found[own[0], own[1]] = Kept(point, seed, figures and unpack(figures), error)
        return found

    def _all(self, statement: str) -> list[tuple[Any, ...]]:
        with self._told():
            return self._db.execute(statement).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All that is written inside, or nothing."""
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite says, as other files say it."""
        try:
            yield
        except self._sqlite.OperationalError as error:
            name = error.sqlite_errorname.split("_")[1]
            if name == "ERROR":  # no such table
                raise self._damaged(error) from error
            raise OSError(_CODES.get(name, errno.EIO), str(error), str(self.path)) from error
        except (self._sqlite.DatabaseError, *_BROKEN) as error:
            raise self._damaged(error) from error

    def _damaged(self, why: object) -> ValueError:
        return ValueError(f"sweep: {str(self.path)!r} is damaged, or no store of a sweep: {why}")


def _checksum(*texts: str | None) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What two experiments differ in, as text."""
    there, here = dict(_flat(found)), dict(_flat(wanted))
    return ", ".join(
        f"{name} {there.get(name)!r}, here {here.get(name)!r}"
        for name in {**here, **there}
        if name
        not in ("halving figure", "halving mode")  # which choose points, and change no trial
        if pack(there.get(name)) != pack(here.get(name))
    )


def _flat(value: dict[Any, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of a dict of dicts by their names in a row; the order of parameters does not count."""
    for name, entry in value.items():
        if isinstance(entry, dict):
            yield from _flat(entry, f"{place}{name} ")
        else:
            yield f"{place}{name}", sorted(entry) if name == "parameters" and entry else entry
