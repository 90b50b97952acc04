"""report: one HTML file that shows what regularization did to a training.

The file needs nothing but a browser: no script, no network; pictures are inline SVG.
:func:`overview` tells the same story in one wide picture.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..nn import Dropout, Module

if TYPE_CHECKING:  # fit is further right in the house, matplotlib an optional extra
    from matplotlib.figure import Figure

    from ..objective import Assignment
    from ..training import History
    from .ledger import Ledger


@dataclass(frozen=True)
class Run:
    """A training to report on: its history and, where at hand, the trained model, the rows of
    the objective's assignment table, and the ledger that :func:`minireg.fit` filled.

    Figures come from a part "test" where ``fit`` was told to ``watch`` one: the best epoch is chosen
    by the validation data. ``wrong`` says how many training labels are wrong; then the history
    watches these inputs with their wrong labels as "wrong" and with the true ones as "true".

    >>> from minireg import History
    >>> Run(History()).last
    {}
    """

    history: History
    model: Module | None = None
    assignments: list[Assignment] = field(default_factory=list)
    ledger: Ledger | None = None
    wrong: int = 0

    @property
    def last(self) -> dict[str, float]:
        """The figures of the weights the model holds; {} before the first epoch."""
        return self.history.last if self.history.rows else {}

    def column(self, name: str) -> list[float]:
        """A column of the history, (epochs,); [] where there is none."""
        return self.history[name] if name in self.last else []

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were put back, else the first of the highest validation accuracy
        or, without labels, of the lowest validation loss.
        """
        losses = self.column("validation_loss")
        scores = np.asarray(self.column("validation_accuracy") or [-x for x in losses])
        best = int(np.nanargmax(scores)) + 1 if np.isfinite(scores).any() else None
        return self.history.best_epoch or best

    @property
    def moments(self) -> dict[str, dict[str, float]]:
        """The rows to compare: of the weights that the model holds, and of the best epoch."""
        if self.history.best_epoch:
            return {"restored": self.last}
        found, best = {"end": self.last}, self.best_epoch
        if best is not None and best < len(self.history):
            found["best"] = self.history.rows[best - 1]
        return found

    def figures(self, row: Mapping[str, float]) -> dict[str, float]:
        """A row and how it came about: the seconds until then, all of them for what the model holds,
        and of the wrong training labels how many are learnt, and how many inputs answered truly.
        """
        until = len(self.history) if row is self.last else int(row["epoch"])
        names = {"wrong": "wrong_labels_learnt", "true": "true_labels_given"}
        counts = {
            name: round(row[f"{part}_accuracy"] * self.wrong)
            for part, name in names.items()
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
        """The terms that pull at all: one of strength 0 does not."""
        return [t for t in self.history.terms if any(self.column(f"norm/{t}"))]

    @property
    def bare(self) -> bool:
        """Whether only the data moves the weights: no other term, no decay, no dropout."""
        drops = any(isinstance(m, Dropout) and m.p for m in (self.model or Module()).modules())
        return {*self.active, *_booked(self)} <= {"data"} and not drops


Runs = Mapping[str, Run]
Looks = Mapping[str, tuple[str, str]]  # label or term -> (colour, dash)


# --- figures in words ------------------------------------------------------------------------


def _number(value: float | None, sign: str = "", unit: str = "") -> str:
    """Three decimals, or hundredths of a ``unit``, with a true minus; "–" for None."""
    if value is None:
        return "–"
    kind = ".3f" if 5e-4 <= abs(value) < 1e6 or not value else ".1e"
    text = f"{100 * value:{sign}.1f}\xa0{unit}" if unit else f"{value:{sign}{kind}}"
    return text.replace("-", "−")


def _against(own: float, label: str, other: float, sign: str = "", unit: str = "") -> str:
    change, points = own - other, "points" if unit else ""
    amount = _number(abs(change), unit=points)
    how = f"{amount} {'more' if change > 0 else 'less'} than" if change else "the same as"
    return f", {how} “{label}” ({_number(other, sign, unit)})"


def headline(runs: Runs) -> str:
    """In plain words: who ends best and by how much, whether another, stopped at its best epoch, does
    as well, and what became of wrong training labels.

    >>> from minireg import History
    >>> headline({"a": Run(History([{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.75}]))})
    '“a” ends with a validation loss of 0.750.'
    """
    return " ".join([_ranking(runs), *_learnt(runs), *_endings(runs)])


def _ranking(runs: Runs) -> str:
    columns = ("test_accuracy", "validation_accuracy", "test_loss", "validation_loss", "train_loss")
    key = next((c for c in columns if any(c in run.last for run in runs.values())), "")
    unit, sign = ("%", 1) if key.endswith("accuracy") else ("", -1)

    def ranked(*whens: str) -> list[tuple[float, str]]:
        """(figure, run) at these moments, the best first."""
        moments = [(n, when, row) for n, run in runs.items() for when, row in run.moments.items()]
        found = [(row.get(key, math.nan), n) for n, when, row in moments if when in whens]
        return sorted(
            (one for one in found if math.isfinite(one[0])), key=lambda one: -sign * one[0]
        )

    ends = ranked("end", "restored")
    if not ends:
        return "There is no epoch to compare."
    (own, winner), *others = ends
    name = key.replace("train_", "training ").replace("_", " ")
    text = f"“{winner}” ends with a {name} of {_number(own, unit=unit)}"
    text += "".join(_against(own, n, value, unit=unit) for value, n in others[:1]) + "."
    for value, n in [one for one in ranked("best") if one[1] != winner][:1]:
        change, points = value - own, "points" * bool(unit)
        amount = _number(abs(change), unit=points)
        text += f" Stopped at its best epoch ({runs[n].best_epoch}), “{n}” has {_number(value, unit=unit)}"
        if runs[n].bare and sign * change >= 0:
            does = f"better, by {amount}" if change else "as well"
            return f"{text}: early stopping alone does {does}."
        how = f"{amount} {'more' if change > 0 else 'less'}" if change else "just as much"
        text += f", {how}."
    return text


def _learnt(runs: Runs) -> Iterator[str]:
    """What became of the wrong training labels."""
    parts: list[str] = []
    for n, run in runs.items():
        if run.wrong and run.last:
            found = run.figures(run.last)
            heart, true = found["wrong_labels_learnt"], found["true_labels_given"]
            parts.append(
                f"“{n}” {heart} of {run.wrong}, and {true}" if parts else
                f"“{n}” has learnt {heart} of {run.wrong} wrong training labels by heart and answers "
                f"{true} of them with the true one"
            )  # fmt: skip
    if parts:
        yield ", ".join(parts) + "."


def _endings(runs: Runs) -> Iterator[str]:
    """How a run ended, unless after the last epoch."""
    for label, run in runs.items():
        epochs, how, kept = len(run.history), run.history.stopped, run.history.best_epoch
        if how != "epochs" or not epochs:
            text = f"“{label}” ended after {epochs} epoch{'s' * (epochs != 1)}"
            text += f" ({how})" * (how != "epochs")
            yield text + (f" and holds the weights of epoch {kept}." if kept else ".")


def comparison(runs: Runs) -> list[list[str]]:
    """A head and rows of figures: of each run as it ends, and at its best epoch.

    >>> from minireg import History
    >>> comparison({"a": Run(History([{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.75}]))})
    [['', 'a, end'], ['epoch', '1'], ['training loss', '0.500'], ['validation loss', '0.750']]
    """
    columns = {
        f"{label}, {when}": _figures(run, row)
        for label, run in runs.items()
        for when, row in run.moments.items()
    }
    names = next(iter(columns.values()))
    rows = [[name, *(column[name] for column in columns.values())] for name in names]
    return [["", *columns], *(row for row in rows if {*row[1:]} != {"–"})]


def _figures(run: Run, row: Mapping[str, float]) -> dict[str, str]:
    """What the comparison shows of an epoch."""
    found = {"epoch": f"{row.get('epoch', 0):.0f}"}
    losses = {"train": "training", "validation": "validation", "test": "test"}
    for part, name in losses.items():
        found[f"{name} loss"] = _number(row.get(f"{part}_loss"))
    found["gap (validation − training)"] = _number(row.get("gap"), "+")
    for part, name in losses.items():
        found[f"{name} accuracy"] = _number(row.get(f"{part}_accuracy"), unit="%")
    found["accuracy gap (training − validation)"] = _number(row.get("accuracy_gap"), "+", "%")
    counted = run.figures(row) if row else {}
    names = {"wrong_labels_learnt": "wrong labels learnt by heart",
             "true_labels_given": "… answered with the true label"}  # fmt: skip
    for key, name in names.items():
        found[name] = f"{counted[key]} of {run.wrong}" if key in counted else "–"
    zeros, of = row.get("zeros", 0), row.get("weights", 0)
    found["weights that are exactly 0"] = _number(zeros / of, unit="%") if of else "–"
    timed = run.column("seconds")
    return found | {"seconds": f"{counted['seconds']:.1f}" if timed else "–"}


# --- drawing ---------------------------------------------------------------------------------

# Under each kind of colour blindness grey and any two of the first four terms stay apart (OKLab
# distance of 0.14 or more; chosen by search); the dash tells them apart once more.
TERM_COLOURS = ("#e1961e", "#2da5ff", "#a51ed2", "#c32d0f", "#e85fa8", "#8b5a3c")
RUN_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
INK, GRID, PAGE = "#1f2328", "#d5dae0", "#ffffff"  # in the page these follow light or dark mode
STYLE: Any = {
    "axes.axisbelow": True, "axes.edgecolor": INK, "axes.grid": True, "axes.grid.axis": "y",
    "axes.labelcolor": INK, "axes.spines.right": False, "axes.spines.top": False,
    "axes.xmargin": 0.01, "font.sans-serif": ["DejaVu Sans"], "grid.color": GRID,
    "grid.linewidth": 0.6, "legend.frameon": False, "lines.linewidth": 1.6,
    "svg.fonttype": "none", "svg.hashsalt": "minireg", "text.color": INK,
    "text.parse_math": False, "xtick.color": INK, "ytick.color": INK,
}  # fmt: skip


@contextmanager
def _drawing(owner: str, runs: Runs) -> Iterator[None]:
    """Check ``runs``, and draw in the house style whatever the user's settings are."""
    mapped = isinstance(runs, Mapping) and runs
    if not mapped or not all(isinstance(run, Run) for run in runs.values()):
        raise TypeError(
            f"{owner}: runs must map one label or more to a Run, got {runs!r:.80}; write "
            "{'run': mr.Run(history, model)}"
        )
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(f"{owner} draws with matplotlib: pip install 'minireg[viz]'") from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _looks(runs: Runs) -> tuple[Looks, Looks]:
    """How each run and each term looks, the same in every picture."""
    names = [t for run in runs.values() for t in (*run.history.terms, *_booked(run))]
    terms = dict.fromkeys(t for t in names if t != "data")
    dashes = ("dashed", "dotted", "dashdot")
    by_run = {n: (RUN_COLOURS[i % 6], "solid") for i, n in enumerate(runs)}
    by_term = {n: (TERM_COLOURS[i % 6], dashes[i % 3]) for i, n in enumerate(terms)}
    return by_run, {"data": ("#7d8590", "solid")} | by_term


# What an entry of the ledger says about how its term acted, and how it is hatched.
HATCHES = {"fresh": "", "carried": "..", "clip": "xx", "prox": "//"}


def _acting(entry: str, terms: Iterable[str]) -> tuple[str, str]:
    """The term of an entry of the ledger, which gives it its colour, and how it acted.

    >>> _acting("l1 prox", ["l1"]), _acting("decay", ["l1"])
    (('l1', 'prox'), ('decay', ''))
    """
    term, _, how = entry.rpartition(" ")
    return (term, how) if term and how in HATCHES and entry not in terms else (entry, "")


def _booked(run: Run) -> list[str]:
    """The terms of the entries that the run's ledger recorded."""
    columns = run.ledger.columns() if run.ledger else {}
    entries = [c.removeprefix("share/") for c in columns if c.startswith("share/")]
    return [_acting(entry, run.history.terms)[0] for entry in entries]


def _axes(canvas: Any, ylabel: str, runs: Iterable[Run]) -> Any:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    axes, several = canvas.subplots(), any(len(run.history) > 1 for run in runs)
    axes.set(xlabel="epoch", ylabel=ylabel)
    ticks = MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]) if several else FixedLocator([1])
    axes.xaxis.set_major_locator(ticks)
    return axes


def _line(axes: Any, x: list[float], y: Any, look: tuple[str, str], label: str) -> None:
    marker = "o" if len(x) == 1 else ""  # one epoch makes no line
    axes.plot(x, y, color=look[0], ls=look[1], marker=marker, label=_shown(label))


def _shown(label: str) -> str:
    return f" {label}"  # matplotlib hides what begins with "_"


def _percent(axis: Any) -> None:
    axis.set_major_formatter(lambda v, _: f"{100 * v:g} %".replace("-", "−"))


def _legend(canvas: Any, axes: Any) -> Any:
    """A legend below the axes, in as many columns as fit."""
    handles, labels = axes.get_legend_handles_labels()
    widths, room = [50 + 5.7 * len(label) for label in labels], 374.0  # points
    columns = len(labels) if sum(widths) < room else int(room / max(widths))
    canvas.legend(handles, labels, loc="outside lower center", ncols=max(columns, 1))
    return axes


# what a chart of curves shows: column → its name; dashed, then solid with a dot at the best epoch
LINES = {
    "loss": {"train_loss": "training", "validation_loss": "validation"},
    "accuracy": {"train_accuracy": "training", "validation_accuracy": "validation"},
    "wrong labels": {"wrong_accuracy": "learnt by heart", "true_accuracy": "true label given"},
}


def _curves(canvas: Any, runs: Runs, what: str, looks: Looks) -> Any:
    """The two curves of each run; of a single one with the gap between them."""
    axes = _axes(canvas, "share" if what == "wrong labels" else what, runs.values())
    if what != "loss":
        _percent(axes.yaxis)
    for label, run in runs.items():
        (colour, _), x, of = (
            looks[label],
            run.column("epoch"),
            "" if len(runs) == 1 else f"{label}, ",
        )
        curves = {name: y for column, name in LINES[what].items() if (y := run.column(column))}
        for (name, y), dash in zip(curves.items(), ("dashed", "solid"), strict=False):
            _line(axes, x, y, (colour, dash), f"{of}{name}")
        if len(curves) == 2:
            low, high = curves.values()
            if len(runs) == 1 and what != "wrong labels":
                axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
            if best := run.best_epoch:
                spot = x[best - 1], high[best - 1]
                axes.plot(*spot, "o", color=colour, mec=PAGE, ms=8, clip_on=False)
    return axes


def _shares(canvas: Any, run: Run, looks: Looks) -> Any:
    """Each term's share of the sum of the gradient norms, stacked."""
    axes = _axes(canvas, "share", [run])
    _percent(axes.yaxis)
    axes.set_ylim(0, 1)
    x, shares = run.column("epoch"), [run.column(f"share/{t}") for t in run.active]
    if len(x) == 1:  # one epoch has no width either
        x = [x[0] - 0.5, x[0] + 0.5]
    if shares:
        fills, labels = [looks[t][0] for t in run.active], [_shown(t) for t in run.active]
        axes.stackplot(x, *shares, colors=fills, labels=labels, edgecolor=PAGE, lw=0.4)
    return axes


def _lines(canvas: Any, run: Run, what: str, looks: Looks) -> Any:
    """``norm`` (log scale) or ``cosine`` to the data gradient of each active term."""
    axes = _axes(canvas, "gradient norm" if what == "norm" else what, [run])
    if what == "norm":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
        axes.yaxis.set_minor_formatter(lambda v, _: f"{v:g}" if f"{v:e}"[0] == "3" else "")
    else:
        axes.set_ylim(-1.05, 1.05)
        axes.axhline(0, color=INK, lw=0.6, alpha=0.5)
    for term in run.active:
        y, norm = (np.asarray(run.column(f"{k}/{term}")) for k in (what, "norm"))
        if what == "norm" or term != "data":
            y = np.where(norm == 0, np.nan, y)  # no gradient, no direction
            _line(axes, run.column("epoch"), y, looks[term], term)
    return axes


def _movers(canvas: Any, booked: tuple[Run, Mapping[str, list[float]]], looks: Looks) -> Any:
    """Each entry's share of a layer's movement in each epoch, stacked up from 0, or down."""
    run, columns = booked
    x, axes = columns["epoch"], _axes(canvas, "share of the movement", [run])
    _percent(axes.yaxis)
    axes.axhline(1, color=INK, lw=0.6, ls="dotted")
    axes.axhline(0, color=INK, lw=0.6)
    if len(x) == 1:  # one epoch has no width
        x, columns = [x[0] - 0.5, x[0] + 0.5], {k: [*v, *v] for k, v in columns.items()}
    shares = {n: np.nan_to_num(v) for n, v in columns.items() if n != "epoch" and np.any(v)}
    acting = [_acting(n, run.history.terms) for n in shares]
    fills, hatches = (
        [looks[term][0] for term, _ in acting],
        [HATCHES.get(how, "") for _, how in acting],
    )
    for half, labels in ((np.maximum, [_shown(n) for n in shares]), (np.minimum, [])):
        parts = [half(v, 0) for v in shares.values()]
        axes.stackplot(
            x, *parts, colors=fills, hatch=hatches, labels=labels, edgecolor=PAGE, lw=0.3
        )
    return axes


def _weights(runs: Runs) -> dict[str, dict[str, Any]]:
    """{matrix: {label: weights}}. The k-th matrix of a shape in one run belongs to the k-th in
    another: names would not do, as a layer without weights (dropout) renumbers the next ones.
    """
    groups: dict[Any, dict[str, tuple[str, Any]]] = {}
    for label, run in runs.items():
        seen: Counter[tuple[int, ...]] = Counter()
        for name, p in run.model.named_parameters() if run.model else ():
            if p.kind == "weight" and p.size:
                groups.setdefault((p.shape, seen[p.shape]), {})[label] = name, p.numpy()
                seen[p.shape] += 1
    matrices = {}
    for (shape, _), group in groups.items():
        names = " / ".join(dict.fromkeys(name for name, _ in group.values()))
        title = f"{names} ({' × '.join(map(str, shape))})"
        matrices[title] = {label: w for label, (_, w) in group.items()}
    return matrices


def _histogram(canvas: Any, found: Mapping[str, Any], looks: Looks) -> Any:
    """A weight matrix of every run: exact zeros as bars of their own, then all others."""
    bars, axes = canvas.subplots(1, 2, width_ratios=(2, 5))
    others = {n: w[np.isfinite(w) & (w != 0)] for n, w in found.items()}
    reach = max((float(np.abs(w).max()) for w in others.values() if w.size), default=1.0)
    for i, (label, w) in enumerate(found.items()):
        zeros, colour = float((w == 0).mean()), looks[label][0]
        bars.bar(i, zeros, color=colour)
        turn = 90 if len(found) > 2 else 0
        bars.text(i, zeros + 0.02, f"{zeros:.1%}", ha="center", size="small", rotation=turn)
        height, bins = np.histogram(others[label], 61, (-reach, reach))
        axes.stairs(height / w.size, bins, color=colour, alpha=0.15, fill=True)
        axes.stairs(height / w.size, bins, color=colour, lw=1.4, label=_shown(label))
    bars.set(xlabel="exactly 0", xticks=[], xlim=(-0.8, len(found) - 0.2), ylim=(0, 1.2))
    bars.set(ylabel="share of all weights", yticks=(0, 0.5, 1))
    bars.spines.left.set_bounds(0, 1)
    axes.set(xlabel="weights that are not 0")
    if any(w.size for w in others.values()):
        axes.set_yscale("log")
    for side in (bars, axes):
        _percent(side.yaxis)
    axes.yaxis.set_minor_formatter(lambda v, _: "")
    return axes


def overview(runs: Runs) -> Figure:
    """One wide picture: learning curves, the gradient shares of the run with the most terms,
    and the largest weight matrix. Raises as :func:`report` does.

    >>> from minireg import History
    >>> len(overview({"plain": Run(History())}).subfigs)
    3
    """
    with _drawing("overview", runs):
        from matplotlib.figure import Figure

        by_run, by_term = _looks(runs)
        figure = Figure(figsize=(15, 4.6), layout="constrained")
        parts: Any = figure.subfigures(1, 3, wspace=0.03)
        what = "accuracy" if any(r.column("train_accuracy") for r in runs.values()) else "loss"
        most = max(runs, key=lambda n: len(runs[n].active))
        drawn = {
            f"{what} over time": _curves(parts[0], runs, what, by_run),
            f"terms in the gradient of “{most}”": _shares(parts[1], runs[most], by_term),
        }
        if weights := _weights(runs):
            name = max(weights, key=lambda n: max(w.size for w in weights[n].values()))
            drawn[f"weights: {name}"] = _histogram(parts[2], weights[name], by_run)
        for part, (title, axes) in zip(parts, drawn.items(), strict=False):
            part.suptitle(title)
            _legend(part, axes)
    return figure


# --- the page --------------------------------------------------------------------------------

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --grid: #d5dae0;
  --page: #ffffff; --band: #f4f6f8 }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa5b1;
  --grid: #3a424c; --page: #15181c; --band: #1e2329 } }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem; background: var(--page);
  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif }
h1 { margin: 0; color: var(--soft); font-size: 1rem }
h2 { margin: 2.8rem 0 .4rem; font-size: 1.3rem; line-height: 1.25 }
p { max-width: 46rem; margin: .4rem 0 }
h1 + p { max-width: none; font-size: clamp(1.2rem, 3.4vw, 1.6rem); line-height: 1.35 }
div { overflow-x: auto; margin: .8rem 0 }
div:has(figure) { display: grid; gap: 1rem 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)) }
figure { margin: 0; max-width: 36rem }
figcaption, summary { font-weight: 600; margin-top: .6rem }
svg { display: block; width: 100%; height: auto }
svg * { stroke-linejoin: round; stroke-linecap: butt }
table { border-collapse: collapse; font-size: min(.92rem, 3.4vw); font-variant-numeric: tabular-nums }
th, td { padding: .3rem 1.6rem .3rem 0; text-align: left; vertical-align: top;
  font-weight: 400; border-bottom: 1px solid var(--grid) }
thead th { color: var(--soft) }
.figures { font-size: min(.92rem, 2.9vw) }
.figures :is(th, td) { padding-right: 0 }
.figures :is(th, td):not(:first-child) { padding-left: min(1.6rem, 1.5vw); text-align: right }
.figures td { white-space: nowrap }
pre { padding: .8rem 1rem; background: var(--band); white-space: pre-wrap }
@media print { html { font-size: 80% } body { max-width: none } section { break-inside: avoid }
  div { overflow: visible } div:has(figure) { grid-template-columns: 1fr 1fr }
  * { print-color-adjust: exact } }
</style>
"""
FIRST = " Measured at the first batch of each epoch, over all parameters together."
# How to read each part, for someone who meets these pictures for the first time.
READ = {
    "In figures": "“end” is the epoch whose weights the run holds, “best” the one of the highest "
    "validation accuracy (or lowest loss), which early stopping would choose. Nothing is chosen by the "
    "test data, if there are any, so these figures are the ones to compare. The gap is validation loss "
    "− training loss, both of the bare data loss (no penalty, no smoothing) in evaluation mode. Above 0 "
    "the network does better on what it has seen; memorising makes it grow. Below 0 the training labels "
    "are the harder ones, for instance because some are wrong and the network does not learn those by "
    "heart. Each figure is of one training: before believing a small difference, repeat it with other "
    "seeds.",
    "Loss": "The shaded band is the gap; the dot is the best epoch, that of the highest validation "
    "accuracy or, without labels, of the lowest loss. Where the solid line turns up while the dashed "
    "one keeps falling, the network memorises.",
    "Accuracy": "The share of right answers, with the gap shaded. If some training labels are "
    "wrong, a training accuracy of 100 % means that those were learnt by heart too.",
    "Wrong labels": "Of the training inputs whose label is wrong, the share that is answered with "
    "just this label, and with the true one instead. The dot is the best epoch.",
    "Share of each term in the gradient": "The height of a colour is the norm of that term’s "
    "gradient, divided by the sum of the norms of all terms: a colour that grows is taking over "
    "the step. A run with the data term alone is left out. Dropout, batch normalisation and early "
    "stopping change the network or the loop, not the loss, and so have no colour." + FIRST,
    "Strength of each term": "The norm of each term’s gradient on a log scale: from one grid line "
    "to the next is a factor of 10. A term far below the others hardly steers." + FIRST,
    "Direction of each term": "The cosine between a term’s gradient and that of the data: +1 pulls "
    "the weights the same way, 0 has nothing to do with it, −1 pulls against the data." + FIRST,
    "The terms in figures": "The same at the epoch whose weights the model holds. A term that acts "
    "via its prox is applied after the step; its figures are those of the penalty’s own gradient, "
    "which is how hard the prox pulls at the weights it does not set to 0.",
    "Who moved the weights": "The books of all updates together: ‖Δ‖ is how far the entry moved the "
    "weights in the end, its share is ⟨Δ, movement⟩/‖movement‖² (the shares add up to 100 %; below 0 "
    "it worked against the rest), its growth is ⟨Δ, w₀⟩/‖w₀‖² (below 0 it shrank what was there). "
    "Momentum is split by the term that it came from. Of a term, clip is what clipping took away and "
    "prox what its soft threshold or projection did after each step; decay is the optimizer’s own. The "
    "residual is what the books do not explain, relative to the largest weight or change: rounding. Of "
    "a ledger made without accumulate=True these are the books of the last step.",
    "Who moved each layer": "The same for each epoch and layer, stacked (without accumulate=True, for "
    "the last step of each epoch): what lies above the line at 0 pushed with the movement, what lies "
    "below against it; together they make 100 %. All that a term did has its colour, hatched where it "
    "was by momentum, clipping or prox.",
    "Weights": "Left, counted apart, the share of the weights that are exactly 0; right, all others "
    "on a log scale. L2 makes the hill narrower; L1 via its prox moves weights into the left bar.",
    "What is regularized, and why": "Penalties apply to weights only, unless on= says otherwise: "
    "biases and the scales and shifts of normalisation stay free.",
    "Settings": "What the runs were made with.",
    "Again": "The command that makes these runs and this page.",
}  # fmt: skip


def _table(head: Iterable[object], rows: Iterable[Iterable[object]], kind: str = "") -> str:
    """The first cell of a row is its heading; ``kind="figures"`` aligns the others right."""
    top = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in head)
    body = ""
    for row in rows:
        first, *rest = (escape(str(cell)) for cell in row)
        body += (
            f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        )
    table = f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
    return f"<div>{table}</div>" if body else ""


def _svg(figure: Figure, alt: str) -> str:
    """The figure as an inline SVG that takes its ink from the page."""
    buffer, about = io.StringIO(), dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():  # letters that matplotlib's font lacks: the browser has them
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(buffer, format="svg", transparent=True, metadata=about)
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", buffer.getvalue(), flags=re.DOTALL)
    box = text.partition('viewBox="')[2].partition('"')[0]
    text = text[text.index(">", text.index("<svg")) + 1 :].replace("'DejaVu Sans'", "system-ui")
    key = "f" + hashlib.sha256(alt.encode()).hexdigest()[:8]  # a page has one space of ids
    text = re.sub(r'( id="|url\(#|href="#)', rf"\1{key}-", text)
    for colour, role in {INK: "--ink", GRID: "--grid", PAGE: "--page"}.items():
        text = text.replace(colour, f"var({role})")
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(alt)}">{text}'


def _charts(
    what: str, shown: Mapping[str, Any], draw: Callable[..., Any], tied: bool = True
) -> str:
    """A chart for each of ``shown`` under its name, side by side or, on a phone, one below the
    other. The axes that ``draw(figure, one)`` returns are ``tied`` to the same y limits.
    """
    from matplotlib.figure import Figure

    figures = {name: Figure(figsize=(5.2, 3.2), layout="constrained") for name in shown}
    axes = [_legend(figure, draw(figure, shown[name])) for name, figure in figures.items()]
    if tied and axes:
        low, high = zip(*(one.get_ylim() for one in axes), strict=True)
        for one in axes:
            one.set_ylim(min(low), max(high))
    text = ""
    for name, figure in figures.items():
        svg = _svg(figure, f"{what}: {name}")
        text += f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>"
    return f"<div>{text}</div>" if text else ""


def _terms(runs: Runs) -> str:
    """Each term of each run at the epoch whose weights the model holds."""
    rows = []
    for label, run in runs.items():
        for term in run.history.terms:
            value, norm, share, cosine = (
                run.last[f"{k}/{term}"] for k in ("value", "norm", "share", "cosine")
            )
            pull = _number(norm), _number(share, unit="%"), _number(cosine if norm else None, "+")
            rows.append([f"{label}: {term}", _number(value), *pull, run.via(term)])
    head = ("term", "value", "norm", "share", "cosine", "via")
    return _table(head, rows, "figures")


def _books(runs: Runs) -> str:
    """The ledger over the whole training, entry by entry."""
    rows: list[list[str]] = []
    for label, run in runs.items():
        whole = run.ledger.whole  # type: ignore[union-attr]
        books = whole or run.ledger.last  # type: ignore[union-attr]
        label += "" if whole else ", last step"
        for row in books.summary():
            share, growth = _number(row["share"], "+", "%"), _number(row["growth"], "+", "%")
            rows.append([f"{label}: {row['entry']}", _number(row["length"]), share, growth])
        rows.append([f"{label}: residual of the books", _number(books.residual), "–", "–"])
    return _table(("entry", "‖Δ‖", "share", "growth"), rows, "figures")


def _assignments(runs: Runs) -> str:
    """Which penalty acts on which parameter; folded away where none does."""
    text = ""
    for label, run in runs.items():
        rows = [
            (a.parameter, " × ".join(map(str, a.shape)), a.kind, a.penalties, a.why)
            for a in run.assignments
        ]
        some = sum(a.penalties != "–" for a in run.assignments)
        table = _table(("parameter", "shape", "kind", "penalties", "why"), rows)
        name = f"{escape(label)}: penalties on {some} of {len(rows)} parameters"
        if rows:
            text += f"<details{' open' * (some > 0)}><summary>{name}</summary>{table}</details>"
    return text


def _parts(runs: Runs) -> Iterator[tuple[str, str]]:
    """(heading, HTML) of each part about the runs; the HTML is "" where there is nothing."""
    by_run, by_term = _looks(runs)
    head, *rows = comparison(runs)
    yield "In figures", _table(head, rows, "figures")
    for what, lines in LINES.items():
        shown = {n: {n: run} for n, run in runs.items() if any(map(run.column, lines))}
        yield what.capitalize(), _charts(what, shown, partial(_curves, what=what, looks=by_run))
    terms = {n: run for n, run in runs.items() if run.active}
    several = {n: run for n, run in terms.items() if len(run.active) > 1}
    shares = _charts("share", several, partial(_shares, looks=by_term))
    yield "Share of each term in the gradient", shares
    norms = _charts("gradient norm", terms, partial(_lines, what="norm", looks=by_term))
    yield "Strength of each term", norms
    cosines = _charts("cosine", several, partial(_lines, what="cosine", looks=by_term))
    yield "Direction of each term", cosines
    yield "The terms in figures", _terms(runs)
    booked = {n: run for n, run in runs.items() if run.ledger and run.ledger.history}
    yield "Who moved the weights", _books(booked)
    layers = {}
    for label, run in booked.items():
        recorded = run.ledger.columns() if run.ledger else {}
        for layer in run.ledger.last.layers() if run.ledger else ():
            first = f"{layer}/share/"
            found = {c.removeprefix(first): v for c, v in recorded.items() if c.startswith(first)}
            layers[f"{label}: layer {layer}"] = run, {"epoch": recorded["epoch"], **found}
    yield "Who moved each layer", _charts("share", layers, partial(_movers, looks=by_term), False)
    yield "Weights", _charts("weights", _weights(runs), partial(_histogram, looks=by_run), False)
    yield "What is regularized, and why", _assignments(runs)


def report(
    path: str | Path,
    runs: Runs,
    *,
    title: str = "Training report",
    settings: Mapping[str, object] | None = None,
    command: str | None = None,
    note: str = "",
) -> Path:
    """Write one self-contained HTML file about ``runs`` (label → :class:`Run`); returns its path.

    ``settings`` are shown as a table, ``command`` as the line that makes the runs again,
    ``note`` as a line below the headline.
    Raises ``TypeError`` unless ``runs`` maps labels to :class:`Run`, ``ImportError`` without
    matplotlib, ``OSError`` where the file cannot be written.

    >>> import tempfile; from minireg import History
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> report(path, {"plain": Run(History())}).read_text(encoding="utf-8")[:15]
    '<!doctype html>'
    """
    with _drawing("report", runs):
        parts = [*_parts(runs)]
    parts.append(("Settings", _table(("setting", "value"), (settings or {}).items())))
    parts.append(("Again", f"<pre>{escape(command)}</pre>" if command else ""))
    body = "".join(
        f"<section><h2>{name}</h2><p>{READ[name]}</p>{html}</section>"
        for name, html in parts
        if html
    )
    name, claim = escape(title), escape(headline(runs))
    remark = f"<p>{escape(note)}</p>" if note else ""
    head = f"{HEAD}<title>{name}</title></head>"
    page = f"{head}<body><h1>{name}</h1><p>{claim}</p>{remark}{body}</body></html>\n"
    Path(path).write_text(page, encoding="utf-8")
    return Path(path)
