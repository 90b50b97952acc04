"""The folder of a run: whole files, what could not be written, and what it holds again."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import checksum, replacing
from ..datasets import Dataset
from ..inspect import Run
from ..inspect.run import some
from .common import MissingError, UsageError, need
from .settings import TrainSettings

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

RECORD, FORMAT = "history.json", 1
STORE = "sweep.sqlite"  # of a sweep's folder
RUN, CHECKPOINT = "run-{}.safetensors", "checkpoint-{}.safetensors"  # by label
Writer = Callable[[Path], object]


class RunFolder:
    """The folder of a run, held until this object or the process ends, however that ends.

    ``MissingError`` if another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reasons: dict[str, str] = {}  # file → why it could not be written, or ""
        if fcntl is not None:
            with contextlib.suppress(OSError):  # no folder, or a file system without locks
                held = os.open(path, os.O_RDONLY)
                weakref.finalize(self, os.close, held)
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise MissingError(f"another minireg is writing to {path}") from error

    @classmethod
    def new(cls, out: Path | None, stem: str) -> RunFolder:
        """The folder ``out``, made if need be; by default a new one in runs/, named by ``stem`` and the time,
        and by a number if another run began in the same second. ``MissingError`` if it cannot be made.
        """
        first = Path("runs") / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
        others = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
        path = out or next(p for p in itertools.chain([first], others) if not p.exists())
        try:
            path.mkdir(parents=True, exist_ok=out is not None)
        except OSError as error:
            raise MissingError(f"cannot make the run folder {path}: {error.strerror}") from error
        return cls(path)

    def reserve(self, force: bool) -> None:
        """Begin history.json; ``MissingError`` if there is anything else, unless ``force`` is on."""
        if any(self.path.iterdir()) and not force:
            fix = "choose another --out, or add --force to replace what a run has left there"
            raise MissingError(f"{self.path} is not empty; {fix}")
        (self.path / RECORD).touch(exist_ok=force)

    def write(self, writers: Mapping[str, Writer]) -> None:
        """Write files: name → function that writes it. If one fails, the next are still written."""
        for name, write in writers.items():
            try:
                write(self.path / name)
                self.reasons[name] = ""
            except OSError as error:
                self.reasons[name] = error.strerror or str(error)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files of an earlier run."""
        for name in names:
            with contextlib.suppress(OSError):
                (self.path / name).unlink()

    @property
    def files(self) -> list[str]:
        """The names of the files that were written."""
        return [name for name, reason in self.reasons.items() if not reason]

    @property
    def problems(self) -> list[str]:
        """A sentence for each reason why files could not be written."""
        failed = {
            reason: [n for n, r in self.reasons.items() if r == reason]
            for reason in self.reasons.values()
        }
        return [f"cannot write {', '.join(names)}: {why}" for why, names in failed.items() if why]


@dataclass
class Kept:
    """What a run folder holds: the settings, what is known of the data, and the runs that have ended."""

    settings: TrainSettings
    data: dict[str, Any]
    runs: dict[str, Run] = field(default_factory=dict)

    def ended(self, label: str) -> bool:
        """Whether there is such a run, and it was not interrupted."""
        return label in self.runs and self.runs[label].history.stopped != "interrupted"

    @classmethod
    def of(cls, path: Path) -> Kept:
        """Of a folder; ``OSError`` without history.json, ``MissingError`` that says what is wrong with it."""
        need(safetensors="io")
        if (path / STORE).is_file() and not (path / RECORD).exists():
            raise MissingError(f"{path} is a sweep, not a run: minireg compare {path}")
        try:
            found = json.loads((path / RECORD).read_text("utf-8"))
            if (number := found.get("format")) != FORMAT:
                raise ValueError(f"its format is {number}, expected {FORMAT}: of another version")
            settings, data = TrainSettings(**found["settings"]), found["data"]
            if not (said_of(data) and data["sums"].keys() and "file" in data):
                raise ValueError("it does not say what the data are")
            if settings.command != found["command"]:
                raise ValueError("its command is not that of its settings")
        except (ValueError, TypeError, LookupError, AttributeError, UsageError) as error:
            raise MissingError(f"{path}/{RECORD} holds no settings of a run: {error}") from error
        try:
            return cls(settings, data, Run.load(path) if any(path.glob(RUN.format("*"))) else {})
        except ValueError as error:
            raise MissingError(f"{error}; without it, --resume trains that run again") from error


def known_of(settings: TrainSettings, data: Dataset) -> dict[str, Any]:
    """What is kept of the data: what they are called, how much there is, and a checksum of each array.

    Of one's own also the absolute path, as --resume may be called from another folder.
    """
    held, nowhere = len(data.x_validation), data.absent(data.y_validation)
    halves = {"validation": data.y_validation[::2], "test": data.y_validation[1::2]}
    lacking = [
        f"no {part} row of class {name!r}"
        for part, y in halves.items()
        for name in data.absent(y)
        if name not in nowhere
    ]
    return {
        "name": data.name,
        "file": settings.data and str(Path(settings.data).absolute()),
        "task": data.task,
        "rows": {"training": len(data.x_train), "validation": held - held // 2, "test": held // 2},
        "flipped": int(data.flipped.sum()),
        "features": math.prod(data.x_train.shape[1:]),
        "feature_names": [*data.feature_names],
        "class_names": [*data.class_names],
        "scales": {name: [*pair] for name, pair in data.scales.items()},
        "target_scales": {name: [*pair] for name, pair in data.target_scales.items()},
        "notes": [*data.notes, *lacking],
        "sums": {n: checksum(a) for n, a in vars(data).items() if isinstance(a, np.ndarray)},
    }


def said_of(known: Mapping[str, Any]) -> str:
    """The data in a sentence."""
    rows = ", ".join(f"{count} {part}" for part, count in known["rows"].items())
    flipped = f" ({known['flipped']} training labels flipped)" if known["flipped"] else ""
    names, classes = known["feature_names"], known["class_names"]
    features = f"{known['features']} features{': ' * bool(names)}{some(names, 8)}"
    kind = f"{len(classes)} classes: {some(classes)}" if classes else known["task"]
    notes = known.get("notes", [])
    return f"{known['name']}: rows {rows}{flipped}; {'; '.join([features, kind, *notes])}."


def whole(write: Writer) -> Writer:
    """``write`` such that the file is complete or unchanged."""

    def to(path: Path) -> None:
        with replacing(path) as temporary:
            write(temporary)

    return to
