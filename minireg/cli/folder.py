"""The folder of a run: whole files, and what could not be written."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from ..checkpoint import replacing
from .common import MissingError

Writer = Callable[[Path], object]


class RunFolder:
    """The folder of one run, reserved by creating its history.json.

    Parameters
    ----------
    out : its path, new or empty; by default a new folder in runs/, named by ``stem`` and the time.
    force : ``out`` need not be empty.

    ``MissingError`` if it is not empty or cannot be made.
    """

    def __init__(self, out: Path | None, stem: str, force: bool = False) -> None:
        self.path = out or Path("runs") / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
        self.reasons: dict[str, str] = {}  # file → why it could not be written, or ""
        try:
            self._make(new=out is None)
            if any(self.path.iterdir()) and not force:
                raise MissingError(
                    f"{self.path} is not empty; choose another --out, or add --force to replace what a "
                    "run has left there"
                )
            (self.path / "history.json").touch(exist_ok=force)
        except OSError as error:
            reason = f"cannot make the run folder {self.path}: {error.strerror}"
            raise MissingError(reason) from error

    def _make(self, new: bool) -> None:
        """Make the folder; with a number if another run began in the same second."""
        first = self.path
        first.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(2):
            try:
                self.path.mkdir(exist_ok=not new)
                return
            except FileExistsError:
                if not self.path.is_dir():
                    raise
                self.path = first.with_name(f"{first.name}-{number}")

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
        failed: dict[str, list[str]] = {}
        for name, reason in self.reasons.items():
            if reason:
                failed.setdefault(reason, []).append(name)
        return [f"cannot write {', '.join(names)}: {reason}" for reason, names in failed.items()]


def whole(write: Writer) -> Writer:
    """``write`` such that the file is complete or unchanged."""

    def to(path: Path) -> None:
        with replacing(path) as temporary:
            write(temporary)

    return to
