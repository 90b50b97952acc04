"""charts: pictures of what regularization did to a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from ..pictures import plots
from ..pictures.plots import INK, Look
from .run import Run, Runs, acting, check_runs

if TYPE_CHECKING:  # an optional extra
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

Looks = Mapping[str, Look]  # of labels or terms

# How what a term did is hatched, by how it acted.
HATCHES = {"fresh": "", "carried": "..", "clip": "xx", "prox": "//"}
# What a chart of curves shows: column → its name; dashed, then solid with a dot at the best epoch.
LINES = {
    "loss": {"train_loss": "training", "validation_loss": "validation"},
    "accuracy": {"train_accuracy": "training", "validation_accuracy": "validation"},
    "wrong labels": {"wrong_accuracy": "learnt by heart", "true_accuracy": "true label given"},
}


def looks_of(runs: Runs) -> tuple[Looks, Looks]:
    """The looks of runs and of terms, the same in every picture."""
    found = [t for run in runs.values() for t in (*run.history.terms, *run.booked)]
    terms = dict.fromkeys(t for t in found if t != "data")
    by_term = dict(zip(terms, cycle(plots.TERM_LOOKS), strict=False))
    by_run = dict(zip(runs, cycle(plots.RUN_LOOKS), strict=False))
    return by_run, {"data": Look("#7d8590")} | by_term


def curves(canvas: FigureBase, runs: Runs, what: str, looks: Looks) -> Axes:
    """The two curves of each run; of a single one with the gap between them."""
    epochs = max(len(run.history) for run in runs.values())
    ylabel = "share" if what == "wrong labels" else what
    axes = plots.over_epochs(canvas, ylabel, epochs, percent=what != "loss")
    alone = len(runs) == 1
    for label, run in runs.items():
        prefix = "" if alone else f"{label}, "
        found = {prefix + n: y for column, n in LINES[what].items() if (y := run.column(column))}
        shaded, colour = alone and what != "wrong labels", looks[label].colour
        plots.pair(axes, run.column("epoch"), found, colour, shaded, run.best_epoch)
    return axes


def shares(canvas: FigureBase, run: Run, looks: Looks) -> Axes:
    """Each term's share of the sum of the gradient norms, stacked."""
    axes = plots.over_epochs(canvas, "share", len(run.history), percent=True)
    axes.set_ylim(0, 1)
    if run.active:
        bands = {t: (np.array(run.column(f"share/{t}")), looks[t]) for t in run.active}
        plots.stack(axes, run.column("epoch"), bands)
    return axes


def norms(canvas: FigureBase, run: Run, looks: Looks) -> Axes:
    """The norm of each term's gradient, on a log scale."""
    axes = plots.over_epochs(canvas, "gradient norm", len(run.history))
    plots.log_scale(axes.yaxis)
    return _lines(axes, run, "norm", run.active, looks)


def cosines(canvas: FigureBase, run: Run, looks: Looks) -> Axes:
    """The cosine of each term's gradient to that of the data."""
    axes = plots.over_epochs(canvas, "cosine", len(run.history))
    axes.set_ylim(-1.05, 1.05)
    axes.axhline(0, color=INK, lw=0.6, alpha=0.5)
    return _lines(axes, run, "cosine", [t for t in run.active if t != "data"], looks)


def _lines(axes: Axes, run: Run, what: str, terms: Iterable[str], looks: Looks) -> Axes:
    """A line per term; a gradient of 0 has no logarithm and no direction."""
    for term in terms:
        y, norm = (np.array(run.column(f"{k}/{term}")) for k in (what, "norm"))
        y[norm == 0] = np.nan
        plots.line(axes, run.column("epoch"), y, looks[term], term)
    return axes


def movers(canvas: FigureBase, moved: tuple[Run, Mapping[str, list[float]]], looks: Looks) -> Axes:
    """Each entry's share of a layer's movement in each epoch, stacked up from 0, or down."""
    run, columns = moved
    axes = plots.over_epochs(canvas, "share of the movement", len(run.history), percent=True)
    axes.axhline(1, color=INK, lw=0.6, ls="dotted")
    axes.axhline(0, color=INK, lw=0.6)
    bands = {}
    for entry, y in columns.items():
        if np.any(y):
            term, how = acting(entry, run.history.terms)
            bands[entry] = y, looks[term]._replace(hatch=HATCHES.get(how, ""))
    assert run.ledger is not None
    plots.stack(axes, run.ledger.columns()["epoch"], bands)
    return axes


def matrices(runs: Runs) -> dict[str, dict[str, Any]]:
    """{matrix: {label: weights}}. The k-th matrix of a shape in one run corresponds to the k-th in
    another; names do not, as a layer without weights (dropout) renumbers the next ones.
    """
    groups: dict[Any, dict[str, tuple[str, Any]]] = {}
    for label, run in runs.items():
        seen: Counter[tuple[int, ...]] = Counter()
        for name, p in run.model.named_parameters() if run.model else ():
            if p.kind == "weight" and p.size:
                groups.setdefault((p.shape, seen[p.shape]), {})[label] = name, p.numpy()
                seen[p.shape] += 1
    found = {}
    for (shape, _), group in groups.items():
        names = " / ".join(dict.fromkeys(name for name, _ in group.values()))
        title = f"{names} ({' × '.join(map(str, shape))})"
        found[title] = {label: w for label, (_, w) in group.items()}
    return found


def overview(runs: Runs) -> Figure:
    """One wide picture: learning curves, the gradient shares of the run with the most terms,
    and the largest weight matrix. ``TypeError`` and ``ImportError`` as of :func:`report`.

    >>> from minireg import History
    >>> len(overview({"plain": Run(History())}).subfigs)
    3
    """
    check_runs("overview", runs)
    with plots.style("overview"):
        (by_run, by_term), wide = looks_of(runs), plots.figure(15, 4.6)
        parts: Any = wide.subfigures(1, 3, wspace=0.03)
        what = "accuracy" if any(r.column("train_accuracy") for r in runs.values()) else "loss"
        most = max(runs, key=lambda n: len(runs[n].active))
        drawn = {
            f"{what} over time": curves(parts[0], runs, what, by_run),
            f"terms in the gradient of “{most}”": shares(parts[1], runs[most], by_term),
        }
        if weights := matrices(runs):
            name = max(weights, key=lambda n: max(w.size for w in weights[n].values()))
            drawn[f"weights: {name}"] = plots.histogram(parts[2], weights[name], by_run)
        for part, (title, axes) in zip(parts, drawn.items(), strict=False):
            part.suptitle(title)
            plots.legend(part, axes)
    return wide
