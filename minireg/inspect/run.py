"""Run: a training to report on, its figures, and what they say in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
Repeats = Mapping[str, Sequence[Run]]  # runs by name, of each as many, the k-th on the same rows


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


# --- in words --------------------------------------------------------------------------------


def once(runs: Runs) -> tuple[dict[str, Run], str]:
    """The runs without those that are the same training as one before, of the same data and with the same
    figures in every epoch; and a sentence that says which these are, "" if there are none.

    >>> run = Run(History([{"epoch": 1}]), data={"sums": {"y_validation": "1a"}})
    >>> once({"a": run, "b": run})[1]
    'Counted once, being the same training, figure for figure: “a” = “b”.'
    """
    found: dict[str, list[str]] = {}
    for label, run in runs.items():
        rows = [{n: v for n, v in row.items() if n != "seconds"} for row in run.history.rows]
        known = rows and run.data.get("sums")  # in words, as NaN is not equal to itself
        what = f"{known} {rows} {run.history.stopped}" if known else label
        found.setdefault(what, []).append(label)
    again = [f"“{n}” = {some([f'“{m}”' for m in same], 1)}" for n, *same in found.values() if same]
    said = f"Counted once, being the same training, figure for figure: {some(again, 3)}."
    return {first: runs[first] for first, *_ in found.values()}, said * bool(again)


def incomparable(runs: Runs) -> str:
    """A sentence that says that runs were measured on different rows, "" if they were not, or if
    :func:`headline` tells them together.

    >>> incomparable({s: Run(History(), data={"sums": {"y_validation": s}}) for s in "ab"})[:36]
    'Not all runs were measured on the sa'
    """
    said = "Not all runs were measured on the same rows (other data, seed or share held out): "
    end = "figures are to be compared only where they were."
    return said + end if len(_ranked_together(runs)) > 1 else ""


def _by_rows(runs: Runs) -> list[Runs]:
    """The runs, those together that were measured on the same rows."""
    groups: dict[Any, dict[str, Run]] = {}
    for label, run in runs.items():
        sums = run.data.get("sums", {})
        groups.setdefault((sums.get("x_validation"), sums.get("y_validation")), {})[label] = run
    return [*groups.values()]


def _ranked_together(runs: Runs) -> list[Repeats]:
    """Tables of who is ranked against whom. Where labels are "FOLDER: NAME", the runs of a name on other
    rows of the same data stand together.
    """
    found: dict[str, dict[str, dict[str, Run]]] = {}
    for group in _by_rows(runs):
        short = [label.rpartition(": ")[2] for label in group]
        names = dict(zip(group, short if len({*short}) == len(short) else group, strict=True))
        first, *_ = group.values()
        same = [first.data.get(what) for what in ("name", "file", "rows")]
        begun = sorted((names[label], bool(run.last)) for label, run in group.items())
        table = found.setdefault(f"{same} {begun}", {})
        for label, run in group.items():
            table.setdefault(names[label], {})[label] = run
    return [
        {f"“{name if len(of) > 1 else min(of)}”": [*of.values()] for name, of in table.items()}
        for table in found.values()
    ]


def headline(runs: Runs) -> str:
    """Sentences on who ends best and by how much, of those that were measured on the same rows, whether
    another run, stopped at its best epoch, does as well, and what became of wrong training labels. Of
    labels "FOLDER: NAME", the runs of a name on other rows of the same data are told together.

    >>> from minireg import History
    >>> headline({"a": Run(History([{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.75}]))})
    '“a” ends with a validation loss of 0.750.'
    """
    runs, same = once(runs)
    tables = _ranked_together(runs)
    said = [same, incomparable(runs)]
    for table in tables:
        said += [*_ranking(table)][: 1 if len(tables) > 2 else 2]
    few = sum(map(len, tables)) < 5
    for told in tables if few else [{"": [*runs.values()]}]:
        said += [*_learnt(told), *_endings(told), *_units(told)]
    return " ".join(filter(None, said))


def _shown(value: float | None, spec: str) -> str:
    """A figure as it is printed in a sentence."""
    return typeset(number(value, spec))


def _span(values: Iterable[float], spec: str = ".0f") -> str:
    """From the lowest figure to the highest."""
    found = sorted(values)
    return " to ".join(dict.fromkeys(_shown(value, spec) for value in (found[0], found[-1])))


def _ranking(table: Repeats) -> Iterator[str]:
    """Who ends best, and the best of the others at its best epoch."""
    columns = ("test_accuracy", "validation_accuracy", "test_loss", "validation_loss", "train_loss")
    known = {column for of in table.values() for run in of for column in run.last}
    key = next((c for c in columns if c in known), "")
    spec = ".1%" if key.endswith("accuracy") else ""
    ends = _ranked(table, key, 0)
    if not ends:
        yield "There is no epoch to compare."
        return
    (best, winner), *others = ends
    data, name = table[winner][0].data, key.replace("train_", "training ").replace("_", " ")
    rows = data.get("rows", {}).get(key.partition("_")[0], 0) if spec else 0
    text = f"{winner} ends with a {name} of {_shown(best[0], spec)}"
    if len(best) > 1:
        text = f"On {len(best)} held-out parts of {data.get('name') or 'the data'}, {winner} ends with a "
        text += f"mean {name} of {_shown(best.mean(), spec)} ({_span(best, spec)})"
    for figures, who in others[:1]:
        than = f"{differs} than" if (differs := _difference(best, figures, spec)) else "the same as"
        text += f", {than} {who} ({_shown(figures.mean(), spec)}){_in_rows(best, figures, rows)}"
    yield f"{text}."
    early = {n: of for n, of in table.items() if any("best" in run.moments for run in of)}
    for figures, who in [one for one in _ranked(early, key, -1) if one[1] != winner][:1]:
        differs, of = _difference(figures, best, spec), table[who]
        epochs = _span(run.best_epoch or len(run.history) for run in of)
        text = f"Stopped at its best epoch ({epochs}), {who} has {_shown(figures.mean(), spec)}"
        text += f", {differs or 'just as much'}{_in_rows(figures, best, rows)}"
        if not differs.endswith("less" if spec else "more") and all(run.bare for run in of):
            text += f"; early stopping alone does {'better' if differs else 'as well'}"
        yield f"{text}."


def _ranked(table: Repeats, key: str, at: int) -> list[tuple[Any, str]]:
    """(figures, name) at the end or, -1, at the best epoch, the best mean first: the highest accuracy, the
    lowest of anything else.
    """
    rows = {name: [[*run.moments.values()][at] for run in of] for name, of in table.items()}
    found = [(np.array([row.get(key, math.nan) for row in of]), name) for name, of in rows.items()]
    sign = -1 if key.endswith("accuracy") else 1
    finite = [one for one in found if np.isfinite(one[0]).all()]
    return sorted(finite, key=lambda one: sign * one[0].mean())


def _difference(these: Any, those: Any, spec: str) -> str:
    """ "0.100 more", in the mean; for figures in percent it is in points; "" where there is none."""
    one, other = these.mean(), those.mean()
    amount = _shown(abs(one - other), spec).replace("%", "points")
    side = "more" if one > other else "less"
    return "" if math.isclose(one, other, rel_tol=1e-12) else f"{amount} {side}"


def _in_rows(these: Any, those: Any, rows: int) -> str:
    """How many of the rows two accuracies differ by, and whether that is within two standard errors of
    two independent answers; answers to the same rows are alike, so that less would do. Of several held-out
    parts, on how many of them the figures differ.
    """
    if len(these) > 1:
        signs = [*np.sign(these - those)]
        sides = zip(("more", "the same", "less"), map(signs.count, (1, 0, -1)), strict=True)
        return f": {', '.join(f'{side} on {n}' for side, n in sides if n)} of {len(signs)}"
    one, other = these[0], those[0]
    if not (count := round(rows * abs(one - other))):
        return ""
    error = math.sqrt(rows * (one * (1 - one) + other * (1 - other)))
    return f": {count} of {rows} rows{', which may be chance' * (count < 2 * error)}"


def _units(told: Repeats) -> Iterator[str]:
    """What the losses of a standardised target are in."""
    found: dict[str, list[float]] = {}
    for scales in (run.data.get("target_scales", {}) for of in told.values() for run in of):
        for name, (_, deviation) in scales.items():
            found.setdefault(name, []).append(deviation)
    if text := ", ".join(f"{_span(of, '')} ({name})" for name, of in found.items()):
        yield f"Losses are in units of the target's variance; its standard deviation is {text}."


def _learnt(told: Repeats) -> Iterator[str]:
    """What became of the wrong training labels."""
    parts: list[str] = []
    text = "{} has learnt {} of {} wrong training labels by heart and answers {} of them with the true one"
    for who, of in told.items():
        if runs := [run for run in of if run.wrong and run.last]:
            heart, true = (_span(run.figures(run.last)[c] for run in runs) for c in COUNTS)
            wrong = _span(run.wrong for run in runs)
            parts.append(text.format(who or f"Each of {len(runs)} runs", heart, wrong, true))
            text = "{} {} of {}, and {}"  # for those after the first
    if parts:
        yield f"{', '.join(parts)}."


def _endings(told: Repeats) -> Iterator[str]:
    """How runs ended, unless after the last epoch."""
    for who, of in told.items():
        for how in dict.fromkeys(run.history.stopped for run in of):
            found = [run.history for run in of if run.history.stopped == how != "epochs"]
            if found:
                epochs, kept = _span(map(len, found)), [h.best_epoch for h in found if h.best_epoch]
                which = f"{len(found)} of {len(of)} runs{' of ' * bool(who)}{who}"
                text = f"{which if len(of) > 1 else who} ended after {epochs} "
                text += f"{'epoch' if epochs == '1' else 'epochs'} ({how})"
                yield text + (f", with the weights of epoch {_span(kept)}." if kept else ".")


def some(names: Sequence[str], most: int = 20) -> str:
    """Names in a line, and how many more there are.

    >>> some(["a", "b"]), some(["a", "b", "c"], most=1)
    ('a, b', 'a and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# --- in tables -------------------------------------------------------------------------------


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
    """Figures of each run at its end and at its best epoch; too narrow a page leaves out best epochs, the
    last one first.

    >>> from minireg import History
    >>> one = Run(History([{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.75}]))
    >>> comparison_table({"a": one}).texts
    [['epoch', '1'], ['training loss', '0.500'], ['validation loss', '0.750']]
    """
    moments = [(label, *one) for label, run in runs.items() for one in run.moments.items()]
    columns, found = [Column("")], []
    for left, (label, when, row) in zip(range(len(moments), 0, -1), moments, strict=True):
        columns.append(Column(f"{label}, {when}", "", spare=left if when == "best" else 0))
        found.append(_figures(runs[label], row))
    rows = [[name, *(of[name] for of in found)] for name in found[0]]
    return Table(columns, [row for row in rows if {*row[1:]} != {"–"}])


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
