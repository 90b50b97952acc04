"""History: what a training was, epoch by epoch, and its way to JSON and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import replacing
from ..messages import check_option

Name = str | int | float | bool  # of a class


def as_classes(owner: str, names: Any) -> tuple[Name, ...]:
    """The names of the labels 0, 1, … as a tuple; ``TypeError`` or ``ValueError`` if they are none.

    >>> as_classes("fit", ["cat", "dog"])
    ('cat', 'dog')
    """
    if isinstance(names, str | set | frozenset) or not isinstance(names, Iterable):
        raise TypeError(f"{owner}: classes must be names in order, got {names!r:.60}")
    found = tuple(c.item() if isinstance(c, np.generic) else c for c in names)
    if not all(isinstance(c, Name) for c in found) or len({*found}) < len(found):
        raise ValueError(f"{owner}: classes must be words or numbers, each once, got {found!r:.80}")
    return found


@dataclass
class History:
    """What :func:`fit` returns: one row per epoch; ``history["validation_loss"]`` is a column.

    Columns: ``epoch, seconds, lr, train_loss, validation_loss, gap`` (validation minus
    training loss, both of the data loss alone in evaluation mode), for labels also
    ``train_accuracy, validation_accuracy, accuracy_gap`` (training minus validation), ``zeros``
    and ``weights`` (exact zeros among penalisable weights, and how many there are), and for
    each term ``value/…``, ``norm/…``, ``share/…``, ``cosine/…`` from the first batch of the
    epoch (gradient norm, share of the norms, cosine to the data gradient, as
    :meth:`Terms.statistics <minireg.objective.Terms.statistics>` computes them). Each part in
    ``fit``'s ``watch`` adds columns ``name_loss`` and ``name_accuracy``.

    Attributes
    ----------
    rows : a dictionary of figures for each epoch.
    stopped : "epochs" if all were done, or "early stopping", "hook", "interrupted", "error".
    classes : the names of the labels 0, 1, … where the targets were words or bools or were named.
    best_epoch : the epoch, from 1, whose weights early stopping has put back, or None.

    ``KeyError`` for an unknown column.

    >>> import minireg as mr
    >>> history = mr.History([{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}])
    >>> history["train_loss"], history.last["epoch"], len(history)
    ([0.5, 0.25], 2, 2)
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    stopped: str = "epochs"
    best_epoch: int | None = None
    classes: tuple[Name, ...] = ()

    def __getitem__(self, column: str) -> list[float]:
        if self.rows and column not in (names := self._columns()):
            raise KeyError(f"History: no column {column!r}, expected one of {names}")
        return [row.get(column, math.nan) for row in self.rows]

    def _columns(self) -> list[str]:
        return [*dict.fromkeys(column for row in self.rows for column in row)]

    def add(self, row: dict[str, float]) -> None:
        """One more row; a figure that not every epoch has (a term that came later) is NaN in the others.

        >>> import minireg as mr
        >>> history = mr.History([{"epoch": 1}]); history.add({"epoch": 2, "value/l2": 0.5})
        >>> history["value/l2"]
        [nan, 0.5]
        """
        self.rows.append(row)
        for column in {**self.rows[0], **row}:
            for each in self.rows if row.keys() != self.rows[0].keys() else ():
                each.setdefault(column, math.nan)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def last(self) -> dict[str, float]:
        """The row whose weights the model holds: the best epoch if it was restored.

        ``IndexError`` if no epoch has finished.
        """
        if not self.rows:
            raise IndexError(f"History: no epoch has finished, it was stopped by {self.stopped}")
        return self.rows[(self.best_epoch or len(self.rows)) - 1]

    @property
    def terms(self) -> list[str]:
        """Names of the terms, in the objective's order."""
        return [c.partition("/")[2] for c in self._columns() if c.startswith("value/")]

    def to_dict(self) -> dict[str, Any]:
        """Columns, classes and the reason for stopping, ready for JSON."""
        columns = {c: self[c] for c in self._columns()}
        about = {"stopped": self.stopped, "best_epoch": self.best_epoch, "classes": [*self.classes]}
        return about | {"columns": columns}

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict` to a file; NaN and infinity become null.

        ``FileNotFoundError`` if its folder does not exist.
        """
        text = json.dumps(finite(self.to_dict()), indent=1, allow_nan=False)
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", "utf-8")

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> History:
        """The history of which :meth:`to_dict` gave this; ``ValueError`` or ``LookupError`` for another.

        >>> import minireg as mr
        >>> history = mr.History([{"epoch": 1, "train_loss": 0.5}])
        >>> mr.History.from_dict(history.to_dict()) == history
        True
        """
        rows, best = rows_of(found["columns"]), found["best_epoch"]
        if best is not None:
            check_option("History", range(1, len(rows) + 1), best_epoch=best)
        return cls(rows, str(found["stopped"]), best, as_classes("History", found["classes"]))

    @classmethod
    def from_json(cls, path: str | Path) -> History:
        """The history that :meth:`to_json` wrote; null is NaN, also where it was infinity.

        ``FileNotFoundError`` if there is no file, ``ValueError`` for one that holds no history.

        >>> import tempfile, minireg as mr
        >>> path = Path(tempfile.mkdtemp()) / "history.json"
        >>> mr.History([{"epoch": 1, "train_loss": 0.5}]).to_json(path)
        >>> mr.History.from_json(path)
        History(1 epochs, stopped: epochs, train_loss=0.5)
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text("utf-8")))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"History.from_json: no file {str(path)!r}") from error
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"History.from_json: {str(path)!r} holds no history as to_json writes it: {error!r}"
            ) from error

    def __repr__(self) -> str:
        if not self.rows:
            return f"History(no epoch finished, stopped: {self.stopped})"
        figures = ", ".join(f"{k}={self.last[k]:.4g}" for k in ("train_loss", "validation_loss")
                            if k in self.last)  # fmt: skip
        return f"History({len(self)} epochs, stopped: {self.stopped}, {figures})"


def finite(value: Any) -> Any:
    """``value`` with None for NaN and infinity, which JSON does not have.

    >>> finite({"loss": [0.5, float("nan")]})
    {'loss': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def rows_of(columns: Mapping[str, list[Any]]) -> list[dict[str, float]]:
    """Columns of one length as rows of numbers, with NaN for None; ``ValueError`` for anything else.

    >>> rows_of({"epoch": [1, 2], "train_loss": [0.5, None]})
    [{'epoch': 1, 'train_loss': 0.5}, {'epoch': 2, 'train_loss': nan}]
    """
    filled = {
        c: [float("nan") if v is None else v for v in values] for c, values in columns.items()
    }
    wrong = [c for c, values in filled.items() if not all(map(_is_number, values))]
    if wrong or len({len(values) for values in filled.values()}) > 1:
        raise ValueError(f"columns must be numbers and of one length; not numbers: {wrong}")
    return [dict(zip(filled, row, strict=True)) for row in zip(*filled.values(), strict=True)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
