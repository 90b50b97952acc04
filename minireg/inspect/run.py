"""Run: a training to report on, its figures, and what they say in words."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import check_format, check_path, read_tree, write_tree
from ..messages import check_option
from ..nn import Dropout, Flatten, Linear, Module, Sequential
from ..objective import Assignment
from ..tables import Column, Table, number, typeset
from .history import History
from .kept import ledger_of, ledger_state, model_of, model_state
from .ledger import Ledger

FORMAT = 1  # of the file of a run
_FILES = "run-*.safetensors"
# The last words of a ledger's entry, which say how its term acted.
WAYS = ("fresh", "carried", "clip", "prox")


def acting(entry: str, terms: Iterable[str]) -> tuple[str, str]:
    """The term of an entry of the ledger, which decides its colour, and how it acted.

    >>> acting("l1 prox", ["l1"]), acting("decay", ["l1"])
    (('l1', 'prox'), ('decay', ''))
    """
    term, _, how = entry.rpartition(" ")
    return (term, how) if term and how in WAYS and entry not in terms else (entry, "")


@dataclass(frozen=True)
class Run:
    """A training to report on: its history and, if at hand, model, assignments and ledger.

    Parameters
    ----------
    history : from :func:`minireg.fit`. Figures of a part "test" are those of a ``watch`` of that name;
        the best epoch is chosen by the validation data.
    model : the trained model.
    assignments : the rows of ``objective.assignments()``.
    ledger : the one that ``fit`` filled.
    wrong : how many training labels are wrong; the history then watches these inputs with their wrong
        labels as "wrong" and with the true ones as "true".
    features : the names of the model's inputs, if they have some.
    data : what is known of the data, {} if nothing. ``sums``, a checksum of each array of a
        :class:`minireg.datasets.Dataset` by its name, tells which runs were measured on the same rows;
        ``rows``, {part: how many}, what a share of them is worth; ``target_scales`` what the unit of a
        mean squared error is.

    Nothing is checked here; :func:`minireg.report` raises ``TypeError`` for anything but a Run.
    :meth:`load` gives the runs of a folder again.

    >>> import minireg as mr
    >>> mr.Run(mr.History()).last
    {}
    """

    history: History
    model: Module | None = None
    assignments: list[Assignment] = field(default_factory=list)
    ledger: Ledger | None = None
    wrong: int = 0
    features: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def last(self) -> dict[str, float]:
        """The figures of the weights that the model has now; {} before the first epoch."""
        return self.history.last if self.history.rows else {}

    def column(self, name: str) -> list[float]:
        """A column of the history, (epochs,); [] where there is none."""
        return self.history[name] if name in self.last else []

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were put back; otherwise the one of the highest validation accuracy
        or, without labels, of the lowest validation loss, the first if several.
        """
        losses = self.column("validation_loss")
        scores = np.asarray(self.column("validation_accuracy") or [-x for x in losses])
        best = int(np.nanargmax(scores)) + 1 if np.isfinite(scores).any() else None
        return self.history.best_epoch or best

    @property
    def moments(self) -> dict[str, dict[str, float]]:
        """The rows to compare: of the weights that the model has now, and of the best epoch."""
        if self.history.best_epoch:
            return {"restored": self.last}
        found, best = {"end": self.last}, self.best_epoch
        if best is not None and best < len(self.history):
            found["best"] = self.history.rows[best - 1]
        return found

    def figures(self, row: Mapping[str, float]) -> dict[str, float]:
        """A row of the history, with the seconds until then and, of the inputs with wrong labels, how many
        are predicted as labelled and how many truly.
        """
        until = len(self.history) if row is self.last else int(row["epoch"])
        counts = {
            name: round(row[f"{part}_accuracy"] * self.wrong)
            for name, (part, _) in COUNTS.items()
            if self.wrong and f"{part}_accuracy" in row
        }
        return {**row, "seconds": sum(self.column("seconds")[:until]), **counts}

    def via(self, term: str) -> str:
        """How a term acts: "gradient" or "prox"; "–" where the assignments do not say."""
        acts = {act for a in self.assignments for act in a.penalties.split(", ")}
        ways = [way for way in ("gradient", "prox") if f"{term} ({way})" in acts]
        return "gradient" if term in ("data", "smoothing") else "".join(ways) or "–"

    @property
    def active(self) -> list[str]:
        """The terms whose gradient was not always 0, as of strength 0."""
        return [t for t in self.history.terms if any(self.column(f"norm/{t}"))]

    def save(self, path: str | Path) -> None:
        """Keep all of it in one file, from which :meth:`load` gives it again.

        ``path`` is FOLDER/run-LABEL.safetensors, or ``ValueError``. The model must be a Sequential of
        minireg's layers, which are kept in words, or ``TypeError``; errors of the file as
        :func:`minireg.save`.
        """
        tree = {
            "format": FORMAT, "history": self.history.to_dict(), "wrong": self.wrong,
            "model": self.model and model_state("Run.save", self.model),
            "assignments": [astuple(a) for a in self.assignments],
            "ledger": self.ledger and ledger_state(self.ledger),
            "features": [*self.features], "data": dict(self.data),
        }  # fmt: skip
        check_path("Run.save", path)
        if not Path(path).match(_FILES):
            raise ValueError(f"Run.save: {str(path)!r} must be FOLDER/{_FILES}, as load finds it")
        write_tree("Run.save", path, tree, keep=False)

    @staticmethod
    def load(folder: str | Path) -> dict[str, Run]:
        """The runs of a folder by label, as :func:`minireg.report` takes them: {label: Run}.

        ``folder`` is one of ``minireg train``, or holds what :meth:`save` wrote. A ledger comes without
        its optimizer and the books of its last step. ``FileNotFoundError`` where no run has ended,
        ``ValueError`` that names the file that is damaged or of a newer minireg, ``ImportError`` without
        safetensors.

        >>> import tempfile, minireg as mr
        >>> folder = tempfile.mkdtemp()
        >>> mr.Run(mr.History(), mr.nn.Sequential(mr.nn.Linear(2, 1))).save(f"{folder}/run-a.safetensors")
        >>> mr.Run.load(folder)["a"].model
        Sequential()
          (0) Linear(2, 1)  y = x Wᵀ + b
        """
        paths = sorted(Path(folder).glob(_FILES))
        if not paths:
            what = "no run has ended in" if Path(folder).is_dir() else "there is no folder"
            raise FileNotFoundError(f"Run.load: {what} {str(folder)!r}")
        return {path.stem.removeprefix("run-"): _run_of(path) for path in paths}

    def moved(self, of: str = "") -> dict[str, list[float]]:
        """Each entry's share of the movement, of the model or of "LAYER/", as the ledger recorded it."""
        first, columns = f"{of}share/", self.ledger.columns() if self.ledger else {}
        return {c.removeprefix(first): y for c, y in columns.items() if c.startswith(first)}

    @property
    def booked(self) -> list[str]:
        """The terms of the entries that the ledger recorded."""
        return [acting(entry, self.history.terms)[0] for entry in self.moved()]

    @property
    def unseen(self) -> list[str]:
        """The inputs that no unit of the first layer looks at: all weights that lead from them are 0."""
        before = Sequential, Flatten, Dropout
        modules = (m for m in (self.model or Module()).modules() if not isinstance(m, before))
        first = next(modules, None)
        if not isinstance(first, Linear):
            return []
        gone = (first.weight.numpy() == 0).all(axis=0)
        named = len(self.features) == len(gone)
        return [self.features[i] if named else f"input {i}" for i in np.flatnonzero(gone)]

    @property
    def bare(self) -> bool:
        """Whether only the data moves the weights: no other term, no decay, no dropout."""
        drops = any(isinstance(m, Dropout) and m.p for m in (self.model or Module()).modules())
        return {*self.active, *self.booked} <= {"data"} and not drops


def _run_of(path: Path) -> Run:
    """The run of a file; errors as of :meth:`Run.load`."""
    tree = read_tree("Run.load", path)
    try:
        check_format(tree["format"], FORMAT)
        check_option("Run", 0, wrong=tree["wrong"])
        return Run(
            History.from_dict(tree["history"]),
            tree["model"] and model_of(tree["model"]),
            [Assignment(*row) for row in tree["assignments"]],
            tree["ledger"] and ledger_of(tree["ledger"]),
            tree["wrong"],
            tuple(map(str, tree["features"])),
            dict(tree["data"]),
        )
    except Exception as error:  # whatever a forged tree leads to
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"Run.load: {str(path)!r} holds no run: {reason}") from error


Runs = Mapping[str, Run]


def check_runs(owner: str, runs: object) -> None:
    """``TypeError`` unless ``runs`` maps one label or more to :class:`Run`."""
    mapped = isinstance(runs, Mapping) and all(
        isinstance(label, str) and isinstance(run, Run) for label, run in runs.items()
    )
    if not (mapped and runs):
        raise TypeError(
            f"{owner}: runs must map one label (text) or more to a Run, got {runs!r:.80}; write "
            "{'run': mr.Run(history, model)}"
        )


def _moments(runs: Runs) -> list[tuple[str, str, Mapping[str, float]]]:
    """(label, moment, row) of all that is compared."""
    return [(label, *moment) for label, run in runs.items() for moment in run.moments.items()]


# --- in words --------------------------------------------------------------------------------


def incomparable(runs: Runs) -> str:
    """A sentence that says that runs were measured on different rows, "" if they were not.

    >>> incomparable({s: Run(History(), data={"sums": {"y_validation": s}}) for s in "ab"})[:36]
    'Not all runs were measured on the sa'
    """
    said = "Not all runs were measured on the same rows (other data, seed or share held out): "
    end = "figures are to be compared only where they were."
    return said + end if len(_by_rows(runs)) > 1 else ""


def _by_rows(runs: Runs) -> list[Runs]:
    """The runs, those together that were measured on the same rows."""
    groups: dict[Any, dict[str, Run]] = {}
    for label, run in runs.items():
        sums = run.data.get("sums", {})
        groups.setdefault((sums.get("x_validation"), sums.get("y_validation")), {})[label] = run
    return [*groups.values()]


def headline(runs: Runs) -> str:
    """Sentences on who ends best and by how much, of those that were measured on the same rows, whether
    another run, stopped at its best epoch, does as well, and what became of wrong training labels.

    >>> from minireg import History
    >>> headline({"a": Run(History([{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.75}]))})
    '“a” ends with a validation loss of 0.750.'
    """
    ranked = [said for group in _by_rows(runs) for said in _ranking(group)]
    said = [*ranked, *_learnt(runs), *_endings(runs), *dict.fromkeys(_units(runs))]
    return " ".join(filter(None, [incomparable(runs), *said]))


def _shown(value: float | None, spec: str) -> str:
    """A figure as it is printed in a sentence."""
    return typeset(number(value, spec))


def _amount(change: float, spec: str) -> str:
    """The size of a change; for figures in percent it is in points."""
    return _shown(abs(change), spec).replace("%", "points")


def _ranking(runs: Runs) -> Iterator[str]:
    """Who ends best, and the best of the others at its best epoch."""
    columns = ("test_accuracy", "validation_accuracy", "test_loss", "validation_loss", "train_loss")
    key = next((c for c in columns if any(c in run.last for run in runs.values())), "")
    spec = ".1%" if key.endswith("accuracy") else ""
    ends = _ranked(runs, key, ("end", "restored"))
    if not ends:
        yield "There is no epoch to compare."
        return
    (best, winner), *others = ends
    name = key.replace("train_", "training ").replace("_", " ")
    rows = runs[winner].data.get("rows", {}).get(key.partition("_")[0], 0) if spec else 0
    text = f"“{winner}” ends with a {name} of {_shown(best, spec)}"
    for value, label in others[:1]:
        than = _difference(best - value, spec, " than") or "the same as"
        text += f", {than} “{label}” ({_shown(value, spec)}){_in_rows(best, value, rows)}"
    yield f"{text}."
    stopped = [one for one in _ranked(runs, key, ("best",)) if one[1] != winner]
    for value, label in stopped[:1]:
        run, change = runs[label], value - best
        text = f"Stopped at its best epoch ({run.best_epoch}), “{label}” has {_shown(value, spec)}"
        if run.bare and (change if spec else -change) >= 0:
            better = change and f"better, by {_amount(change, spec)}"
            text += f": early stopping alone does {better or 'as well'}"
        else:
            text += f", {_difference(change, spec) or 'just as much'}"
        yield f"{text}{_in_rows(best, value, rows)}."


def _ranked(runs: Runs, key: str, moments: Container[str]) -> list[tuple[float, str]]:
    """(figure, label) of the runs at these moments, the best first: the highest accuracy, the lowest
    of anything else.
    """
    rows = [(row, label) for label, when, row in _moments(runs) if when in moments]
    found = [(row[key], label) for row, label in rows if math.isfinite(row.get(key, math.nan))]
    sign = -1 if key.endswith("accuracy") else 1
    return sorted(found, key=lambda one: sign * one[0])


def _difference(change: float, spec: str, than: str = "") -> str:
    """ "0.100 more"; "" where there is none."""
    side = "more" if change > 0 else "less"
    return f"{_amount(change, spec)} {side}{than}" if change else ""


def _in_rows(one: float, other: float, rows: int) -> str:
    """How many of the rows two accuracies differ by, and whether that is within two standard errors of
    two independent answers; answers to the same rows are alike, so that less would do.
    """
    if not (count := round(rows * abs(one - other))):
        return ""
    error = math.sqrt(rows * (one * (1 - one) + other * (1 - other)))
    return f": {count} of {rows} rows{', which may be chance' * (count < 2 * error)}"


def _units(runs: Runs) -> Iterator[str]:
    """What the losses of a standardised target are in."""
    for run in runs.values():
        if scales := run.data.get("target_scales"):
            found = ", ".join(f"{_shown(sd, '')} ({name})" for name, (_, sd) in scales.items())
            yield f"Losses are in units of the target's variance; its standard deviation is {found}."


def _learnt(runs: Runs) -> Iterator[str]:
    """What became of the wrong training labels."""
    parts: list[str] = []
    text = "“{}” has learnt {} of {} wrong training labels by heart and answers {} of them with the true one"
    for label, run in runs.items():
        if run.wrong and run.last:
            found = run.figures(run.last)
            heart, true = found["wrong_labels_learnt"], found["true_labels_given"]
            parts.append(text.format(label, heart, run.wrong, true))
            text = "“{}” {} of {}, and {}"  # for those after the first
    if parts:
        yield f"{', '.join(parts)}."


def _endings(runs: Runs) -> Iterator[str]:
    """How a run ended, unless after the last epoch."""
    for label, run in runs.items():
        epochs, how, kept = len(run.history), run.history.stopped, run.history.best_epoch
        if how != "epochs" or not epochs:
            text = f"“{label}” ended after {epochs} {'epoch' if epochs == 1 else 'epochs'}"
            text += f" ({how})" if how != "epochs" else ""
            yield f"{text} and holds the weights of epoch {kept}." if kept else f"{text}."


def some(names: Sequence[str], most: int = 20) -> str:
    """Names in a line, and how many more there are.

    >>> some(["a", "b"]), some(["a", "b", "c"], most=1)
    ('a, b', 'a and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# --- in tables -------------------------------------------------------------------------------


def comparison(runs: Runs) -> list[list[str]]:
    """A header and rows of figures, for each run at its end and at its best epoch.

    >>> from minireg import History
    >>> comparison({"a": Run(History([{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.75}]))})
    [['', 'a, end'], ['epoch', '1'], ['training loss', '0.500'], ['validation loss', '0.750']]
    """
    moments = _moments(runs)
    columns = {f"{label}, {when}": _figures(runs[label], row) for label, when, row in moments}
    names = next(iter(columns.values()))
    rows = [[name, *(column[name] for column in columns.values())] for name in names]
    return [["", *columns], *(row for row in rows if {*row[1:]} != {"–"})]


# What the comparison shows: its name → the figure, and how it is shown.
FIGURES = {
    "training loss": ("train_loss", ""),
    "validation loss": ("validation_loss", ""),
    "test loss": ("test_loss", ""),
    "gap (validation − training)": ("gap", "+"),
    "training accuracy": ("train_accuracy", ".1%"),
    "validation accuracy": ("validation_accuracy", ".1%"),
    "test accuracy": ("test_accuracy", ".1%"),
    "accuracy gap (training − validation)": ("accuracy_gap", "+.1%"),
}
# Of the wrong training labels: how many there are of a kind → the part whose accuracy it is, its name.
COUNTS = {
    "wrong_labels_learnt": ("wrong", "wrong labels learnt by heart"),
    "true_labels_given": ("true", "… answered with the true label"),
}


def _figures(run: Run, row: Mapping[str, float]) -> dict[str, str]:
    """The figures of an epoch as the comparison shows them."""
    found = {name: _shown(row.get(key), spec) for name, (key, spec) in FIGURES.items()}
    counted = run.figures(row) if row else {}
    for key, (_, name) in COUNTS.items():
        found[name] = f"{counted[key]} of {run.wrong}" if key in counted else "–"
    scales, loss = [*run.data.get("target_scales", {}).values()], row.get("test_loss")
    rmse = scales[0][1] * math.sqrt(loss) if len(scales) == 1 and loss is not None else None
    found["test error in the target's unit"] = _shown(rmse, "")
    zeros, count = row.get("zeros", 0), row.get("weights", 0)
    found["weights that are exactly 0"] = _shown(zeros / count, ".1%") if count else "–"
    found["seconds"] = f"{counted['seconds']:.1f}" if run.column("seconds") else "–"
    return {"epoch": f"{row.get('epoch', 0):.0f}"} | found


def comparison_table(runs: Runs) -> Table:
    """:func:`comparison` as a table; too narrow a page leaves out best epochs, the last one first."""
    head, *rows = comparison(runs)
    best = [name for name in head if name.endswith(", best")][::-1]
    columns = [Column(n, "", spare=best.index(n) + 1 if n in best else 0) for n in head[1:]]
    return Table([head[0], *columns], rows)


def unseen_table(runs: Runs) -> Table:
    """The inputs that no unit of the first layer looks at, of the runs that have some."""
    found = {label: run.unseen for label, run in runs.items()}
    rows = [(label, str(len(gone)), some(gone)) for label, gone in found.items() if gone]
    return Table(("run", "inputs", "their names"), rows)


# The columns that the history has for each term.
TERM_COLUMNS = ("value", "norm", "share", "cosine")


def term_table(run: Run) -> Table:
    """Each term of the objective at the epoch whose weights the model has now."""
    figures = [Column("value", "", spare=1), Column("‖gradient‖", ""), Column("share", ".1%")]
    head = [Column("term", whole=True), *figures, Column("cosine to data", "+")]
    rows = []
    for term in run.history.terms:
        value, norm, share, cosine = (run.last[f"{k}/{term}"] for k in TERM_COLUMNS)
        direction = cosine if norm else None  # a gradient of 0 has no direction
        rows.append((term, value, norm, share, direction, run.via(term)))
    return Table([*head, Column("via", spare=2)], rows)
