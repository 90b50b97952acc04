"""``minireg compare``: curves over λ, with the spread of the seeds.

what is compared
  PATH is a sweep's store (a SQLite file, or a folder with one named sweep.sqlite) or the
  run folder of minireg train. Run folders are taken together: each is a point, named by the
  settings that differ, and runs that differ in their seed only are one point. A line of the
  picture is a point: its mean over the seeds, and one standard deviation to both sides.
  The one-standard-error λ is the largest whose mean is within one standard error of the best.
  None is best where points lack seeds that others have, or are measured on other rows (data,
  target, task, --validation). A point at which a trial failed that did not everywhere is left out.
  Of minireg sweep --ablate: what each regularizer brings alone, and what is lost without it.
  What failed, is missing or was stopped early is said, and never counts as a result.

examples
  minireg compare runs/sweep
  minireg compare runs/a runs/b runs/c --figure validation_accuracy

exit code
  0 compared, 1 there is nothing to compare, 2 a wrong flag
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from ..inspect.history import finite
from ..sweep import Sweep, is_number, plain, tabulated
from ..tables import Cell, Column, Table, number
from ..trials import key, same
from . import common
from .common import MissingError, UsageError, flags
from .folder import RECORD, STORE, Kept
from .settings import TrainSettings

ROWS = ("dataset", "data", "target", "task", "validation")  # what is measured on depends on them
DATA = (*ROWS, "noise", "seed")  # what data depend on
SHOWN = 5  # failures, and what is missing; then how many more
LONGEST = 40  # lines of a table
ABLATED = "regularizers"  # of an ablation: the names of those that are on
# Settings, and arguments of penalties, of which more does not regularize more.
NO_STRENGTH = "lr momentum epochs batch_size clip_norm patience noise validation radius gamma a eps"
WIDEST, NARROWEST = 40, 9  # columns of the picture


def declare(commands: common.Commands) -> None:
    """Declare the command."""
    short = "curves over λ of sweeps and runs, the best λ and the one-standard-error λ"
    parser = common.declare(commands, "compare", compare, short, __doc__)
    flags(parser, compare)("paths", nargs="+", type=common.folder, metavar="PATH")
    add_flags(parser)


def add_flags(group: Any) -> None:
    """Add the flags of what is said: those of ``minireg sweep``, too."""
    add = flags(group, say)
    add("--figure", metavar="NAME")
    add("--mode", choices=("min", "max"))
    add("--over", type=lambda text: text.replace("-", "_"), metavar="NAME")
    add("--json", action="store_true")


def compare(args: argparse.Namespace) -> int:
    """``minireg compare``.

    Attributes
    ----------
    paths : a sweep's store, a folder with one, or a run folder of minireg train
    """
    say(args.paths, args, {})
    return 0


def say(paths: list[Path], args: argparse.Namespace, about: dict[str, Any]) -> None:
    """Print what paths hold; ``about`` is for the JSON object.

    Attributes
    ----------
    figure : what to compare by; default validation_loss, of an ablation test_accuracy or test_loss
    mode : which is best; default max for accuracies, else min
    over : which λ the one-standard-error rule is about; default the only one that varies
    json : print one JSON object instead
    """
    found = [_judged(*each, args) for each in _sweeps(paths)]
    if args.json:
        print(json.dumps(finite(plain(about | {"compared": found})), allow_nan=False))
        return
    for judged in found:
        _show(judged)


# --- what the paths hold ------------------------------------------------------------------------


Found = tuple[Sweep, list[str], Sequence[str]]  # what is to say of it; where ROWS differ, those


def _sweeps(paths: list[Path]) -> list[tuple[str, Found]]:
    """The sweeps by name; all run folders together are one."""
    found: list[tuple[str, Found]] = []
    folders: dict[Path, Kept] = {}
    for path in dict.fromkeys(paths):
        there = [path / name for name in (STORE, RECORD) if (path / name).is_file()]
        if not (there or path.is_file()):
            lacks = f"holds neither {STORE} nor {RECORD}" if path.is_dir() else "does not exist"
            raise MissingError(f"{path} {lacks}: nothing to compare")
        file = there[0] if there else path
        if file.name == RECORD:
            folders[file.parent] = Kept.of(file.parent)
            continue
        try:
            found.append((str(path), (Sweep.load(file), [], ROWS)))
        except ValueError as error:
            raise MissingError(str(error)) from error
    if folders:
        found.append((f"{count(len(folders), 'run')} of minireg train", _from_runs(folders)))
    for name, (sweep, notes, _) in found:
        if not sweep.rows:
            counts = f"{len(sweep.failed)} failed, {len(sweep.missing)} missing"
            why = "; ".join([f"nothing to compare, no run has finished ({counts})", *notes])
            raise MissingError(f"{name}: {why}")
    return found


def _from_runs(folders: dict[Path, Kept]) -> Found:
    """One table of run folders, whatever their order: a point for each way in which their settings differ.
    ``MissingError`` for runs of other data.
    """
    # of copies that which has ended is the first
    order = sorted(folders, key=lambda path: (not folders[path].ended("regularized"), path))
    source = "data" if any(kept.settings.data for kept in folders.values()) else "dataset"
    named = {path: _named(folders[path].settings, source) for path in order}
    names = [*named[order[0]]]
    names = [n for n in names if len({same(s[n]) for s in named.values()}) > 1] or names[:1]
    sources: dict[Any, Path] = {}
    runs: dict[Any, tuple[Path, tuple[dict[str, Any], int], dict[str, float] | None]] = {}
    notes = []
    for path in order:
        kept, settings = folders[path], named[path]
        known = sources.setdefault(same([getattr(kept.settings, name) for name in DATA]), path)
        if kept.data["sums"] != folders[known].data["sums"]:
            both = f"both are of {settings[source]} with the same data flags; compare them apart"
            raise MissingError(f"{known} and {path} are runs of other data, though {both}")
        figures: dict[str, float] | None = None
        if kept.ended("regularized"):
            run = kept.runs["regularized"]
            # the rate of the last epoch is a figure, too: what names a point is the setting
            figures = {n: v for n, v in run.figures(run.last).items() if n not in settings}
        at = {name: settings[name] for name in names}, kept.settings.seed
        first, *_ = runs.setdefault(key(*at), (path, at, figures))
        if first != path:
            notes.append(f"the same run twice, it counts once: {first} and {path}")
        elif figures is None:
            again = f"minireg train --resume {shlex.quote(str(path))}"
            notes.append(f"no regularized run has ended in {path}; go on: {again}")
    endings = [ending for *_, ending in runs.values()]
    # a term that is off has no figures
    shared = [{*ending} for ending in endings if ending]
    endings = [e and {n: v for n, v in e.items() if all(n in s for s in shared)} for e in endings]
    held = "x_validation", "y_validation"
    rows = {(run.settings.seed, *map(run.data["sums"].get, held)) for run in folders.values()}
    apart = ROWS if len(rows) > len({seed for seed, *_ in rows}) else ()
    return tabulated(names, [at for _, at, _ in runs.values()], endings), notes, apart


def _named(settings: TrainSettings, source: str) -> dict[str, Any]:
    """The settings that name points, the first of them where the data are from."""
    found = {n: v for n, v in vars(settings).items() if n not in ("dataset", "data", "seed")}
    found["penalty"] = [" ".join(chosen.words) for chosen in settings.penalty]
    return {source: settings.dataset or settings.data} | found


def count(number: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "run"), count(2, "run")
    ('1 run', '2 runs')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


# --- what is said of them -----------------------------------------------------------------------


def _judged(name: str, found: Found, args: Any) -> dict[str, Any]:
    """A sweep as ``--json`` prints it."""
    sweep, said, apart = found
    if args.over is not None and args.over not in sweep.parameters:
        known = ", ".join(sweep.parameters)
        raise UsageError(f"--over: {name} has no parameter {args.over!r}, expected one of {known}")
    ablation = sweep.parameters == (ABLATED,)
    figure = args.figure or preferred(sweep.figures, ablation)
    if figure not in sweep.figures:
        raise UsageError(f"{name} has no figure {figure!r}, expected one of {[*sweep.figures]}")
    mode = args.mode or best_of(figure)
    best, rule, notes = _chosen(sweep, figure, mode, args.over, apart)
    full, most = sweep.full, sweep.halving and sweep.halving.most
    early = [] if sweep.halving is None else sorted({*sweep[sweep.halving.budget]} - {most})
    return {
        "name": name,
        "figure": figure,
        "mode": mode,
        "parameters": [*sweep.parameters],
        "points": _sorted(full.summary(figure), full.parameters),
        "best": best,
        "one_standard_error": rule,
        "ablation": _ablation(sweep, figure, mode) if ablation else None,
        "runs": len(sweep.rows),
        "stopped_early": {"budgets": early, "runs": len(sweep.rows) - len(full.rows)},
        "failed": sweep.to_dict()["failed"],
        "missing": [*sweep.missing],
        "notes": [*said, *notes],
    }


def preferred(figures: Sequence[str], ablation: bool) -> str:
    """What to compare by, if nothing is said: in an ablation nothing is chosen, so by the test half.

    >>> preferred(["train_loss", "validation_loss", "test_loss"], ablation=True)
    'test_loss'
    """
    wanted = ("test_accuracy", "test_loss") if ablation else ("validation_loss",)
    return next(name for name in (*wanted, *figures) if name in figures)


def best_of(figure: str) -> Literal["min", "max"]:
    """Which of its values is best.

    >>> best_of("test_accuracy"), best_of("test_loss")
    ('max', 'min')
    """
    return "max" if figure.endswith(("accuracy", "true_labels_given")) else "min"


def _chosen(
    sweep: Sweep, figure: str, mode: Literal["min", "max"], over: str | None, apart: Sequence[str]
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, list[str]]:
    """The best, what the one-standard-error rule chooses, and why there is none; nor is there where what is
    in ``apart`` varies.
    """
    best = rule = why = None
    if sweep.parameters == (ABLATED,):
        return None, None, []
    rows, notes = sweep.full.rows, []
    varied = [n for n in sweep.full.parameters if len({same(row[n]) for row in rows}) > 1]
    if other := [name for name in varied if name in apart]:
        why = f"none is best: {other[0]} differs, so figures do not measure the same"
        return None, None, [why]
    if over is None and len(varied) > 1:
        why = f"{', '.join(varied)} vary: --over {varied[0]} asks for its λ"
    elif over is None and not varied:
        why = "nothing varies"
    elif over is None and varied[0].rpartition(".")[2] in NO_STRENGTH.split():
        why = f"more {varied[0]} is no simpler fit"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            best = sweep.best(figure, mode)
            rule = None if why else sweep.one_standard_error(figure, over, mode)
        except ValueError as error:
            notes.append(str(error).partition(": ")[2])
    if best and why:
        notes.append(f"no one-standard-error rule: {why}")
    if rule and sweep.halving:
        kept = f"{len(sweep.full.summary(figure))} of {len(sweep.summary(figure))} points"
        notes.append(f"chosen among {kept}, those with the full training")
    return best, rule, [*notes, *dict.fromkeys(str(w.message).partition(": ")[2] for w in caught)]


def _ablation(sweep: Sweep, figure: str, mode: str) -> list[dict[str, Any]]:
    """Of each regularizer what it brings and what is lost without it: means of differences between
    trainings with the same seed, > 0 where they are better with it, and their standard errors.
    """
    values = {(tuple(run[ABLATED]), run["seed"]): run[figure] for run in sweep.rows}
    every = max((tuple(r[ABLATED]) for r in (*sweep.rows, *sweep.failed, *sweep.missing)), key=len)
    sign, gains = 1 if mode == "max" else -1, []
    for name in every:
        row: dict[str, Any] = {"regularizer": name}
        rest = tuple(n for n in every if n != name)
        for kind, of, over in (("brings", (name,), ()), ("lost", every, rest)):
            # rounded, as 0.3 - 0.2 is less than 0.1: what is equal differs by 0
            pairs = [
                {"seed": seed, "gain": round(sign * (value - values[over, seed]), 12)}
                for (names, seed), value in values.items()
                if names == of and (over, seed) in values
            ]
            nothing = {"mean": math.nan, "se": math.nan, "seeds": 0}
            mean = next(iter(Sweep((), ("gain",), tuple(pairs)).summary("gain")), nothing)
            row |= {kind: mean["mean"], f"{kind}_se": mean["se"], f"{kind}_seeds": mean["seeds"]}
        gains.append(row)
    return gains


def _sorted(points: list[dict[str, Any]], parameters: tuple[str, ...]) -> list[dict[str, Any]]:
    """In the order of the parameters whose values are numbers."""
    ordered = [p for p in parameters if all(is_number(point[p]) for point in points)]
    return sorted(points, key=lambda point: [point[p] for p in ordered])


def _show(judged: dict[str, Any]) -> None:
    terminal = common.terminal()
    width = terminal.width if terminal else shutil.get_terminal_size().columns
    table, legend = (_table if judged["ablation"] is None else _ablation_table)(judged, width)
    lines = [*legend, *_said(judged)]
    said = "\n".join(textwrap.fill(line, width, subsequent_indent="  ") for line in lines)
    shown = table if judged["points"] else table.title
    if terminal is None:
        print(shown, said, sep="\n", end="\n\n")
    else:
        terminal.print(shown)
        terminal.print(said, end="\n\n", markup=False, highlight=False)


def _table(judged: dict[str, Any], width: int) -> tuple[Table, list[str]]:
    """A line a point; where it would be too wide, points are numbered and figures left out, at last the
    picture; and what explains it.
    """
    points, names = _longest(judged), judged["parameters"]
    marks = {"best": judged["best"], "1 se": judged["one_standard_error"]}
    said = [" ".join(m for m, row in marks.items() if row and _at(row, p, names)) for p in points]
    named: Filled = [(Column(n, whole=True), [text(point[n]) for point in points]) for n in names]
    numbers: Filled = [(Column("point", "d"), [*range(1, len(points) + 1)])]
    figures: Filled = [
        (Column("mean", ""), apart([point["mean"] for point in points])),
        (Column("std", ""), [finite(point["std"]) for point in points]),
        (Column("seeds", "d"), [point["seeds"] for point in points]),
        (Column("picture", ""), [" " * NARROWEST for _ in points]),
        (Column("chosen", whole=True), [Cell(words, "bold green") for words in said]),
    ]
    mean, picture, chosen = figures[:1], figures[3:4], figures[4:] * any(said)
    less = [mean + picture + chosen, mean + chosen, chosen]
    wide = named + figures[:4] + chosen
    layouts = [wide, named + less[0], *(numbers + columns for columns in less)]
    columns, legend = _fitting(layouts, width - 1)
    if columns[0] is numbers[0]:
        legend += [f"{n}: {where(point, names)}" for n, point in enumerate(points, 1)]
    if figures[3] in columns:
        room = min(WIDEST, NARROWEST + max(0, width - 1 - _width(columns)))
        scale, *lines = _picture(points, judged, room)
        columns[columns.index(figures[3])] = Column(scale, whole=True), [*lines]
        best = ", *: of the best" if judged["best"] else ""
        off = "; <, >: off the scale" if {*"<>"} & {*"".join(lines)} else ""
        legend.append(f"o: the mean{best}, ---: one standard deviation to both sides{off}")
    return _filled(columns, judged), legend if points else []


def apart(values: list[float]) -> list[str]:
    """Numbers with the digits that tell them apart, at most six: the seventh of float32 may be rounding.

    >>> apart([0.5, 0.25]), apart([1.1021, 1.1024]), apart([0.36666667, 0.36666664])
    (['0.500', '0.250'], ['1.1021', '1.1024'], ['0.367', '0.367'])
    """
    different = len({f"{value:.6g}" for value in values if math.isfinite(value)})
    texts: list[str] = []
    for spec in ("", "#.5g", "#.6g"):
        texts = [number(value, spec) for value in values]
        if len({*texts}) >= different:
            break
    return texts


def _longest(judged: dict[str, Any]) -> list[dict[str, Any]]:
    """The points, or the best of them, in their order."""
    points = judged["points"]
    if len(points) <= LONGEST:
        return points
    sign = 1 if judged["mode"] == "min" else -1
    means = [(math.isnan(point["mean"]), sign * point["mean"], i) for i, point in enumerate(points)]
    return [points[i] for i in sorted(i for _, _, i in sorted(means)[:LONGEST])]


def _ablation_table(judged: dict[str, Any], width: int) -> tuple[Table, list[str]]:
    """A line for each regularizer."""
    rows = judged["ablation"]
    columns: Filled = [(Column("regularizer"), [row["regularizer"] for row in rows])]
    for name in ("brings", "lost"):
        columns.append((Column(name, "+"), [finite(row[name]) for row in rows]))
        columns.append((Column("± se", ""), [finite(row[f"{name}_se"]) for row in rows]))
    shown, legend = _fitting([columns, [*columns[:2], columns[3]], columns[:2]], width - 1)
    legend.append("brings: alone against none; lost: all against all but it; + is better with it")
    pairs = {row[f"{name}_seeds"] for row in rows for name in ("brings", "lost")}
    if max(pairs) == 1:
        legend.append("one seed shows no spread: --seeds 5")
    elif shown is columns:
        counts = " to ".join(str(n) for n in sorted({min(pairs), max(pairs)}))
        legend.append(f"se: standard error of the mean of {counts} differences, seed by seed")
    return _filled(shown, judged), legend


Filled = list[tuple[Column, list[Any]]]


def _width(columns: Filled) -> int:
    """How wide the columns are in a table."""
    texts = [[column.name, *(column.cell(c).text for c in cells)] for column, cells in columns]
    return sum(2 + max(map(len, column)) for column in texts)


def _fitting(layouts: list[Filled], width: int) -> tuple[Filled, list[str]]:
    """The first that fits, or the last; and what it lacks."""
    found = next((columns for columns in layouts if _width(columns) <= width), layouts[-1])
    lost = dict.fromkeys(c.name for c, cells in layouts[0] if (c, cells) not in found and c.figures)
    return found, [f"too narrow for: {', '.join(lost)}"] * bool(lost)


def _filled(columns: Filled, judged: dict[str, Any]) -> Table:
    title = f"{judged['name']}: {judged['figure']}, {count(judged['runs'], 'run')}"
    rows = zip(*(cells for _, cells in columns), strict=True)
    return Table([column for column, _ in columns], rows, title)


def _picture(points: list[dict[str, Any]], judged: dict[str, Any], width: int) -> list[str]:
    """The scale, then a line for each point: its mean, and one standard deviation to both sides.

    What is further from the better half than ten times that half's span, and than the best from 0, has
    diverged: it is off the scale, which would show nothing else.
    """
    sign = 1 if judged["mode"] == "min" else -1
    means = sorted(sign * p["mean"] for p in points if math.isfinite(p["mean"]))
    half = means[: max(2, math.ceil(len(means) / 2))]
    most = half[-1] + max(10 * (half[-1] - half[0]), abs(half[0])) if half else 0.0
    spans = [(p["mean"] - s, p["mean"] + s) for p in points for s in [finite(p["std"]) or 0.0]]
    there = [math.isfinite(p["mean"]) and sign * p["mean"] <= most for p in points]
    ends = [end for span, on in zip(spans, there, strict=True) if on for end in span]
    low, high = min(ends, default=0.0), max(ends, default=0.0)

    def place(value: float) -> int:
        share = 0.5 if high == low else (value - low) / (high - low)
        return round(min(max(share, 0.0), 1.0) * (width - 1))

    left, right = apart([low, high])
    lines = [left + right.rjust(width - len(left)) if len(left + right) < width else left[:width]]
    for point, (start, end), on in zip(points, spans, there, strict=True):
        line = [" "] * width
        if on:
            line[place(start) : place(end) + 1] = "-" * (place(end) + 1 - place(start))
            best = judged["best"] and _at(judged["best"], point, judged["parameters"])
            line[place(point["mean"])] = "*" if best else "o"
        elif not math.isnan(point["mean"]):
            line[-1 if point["mean"] > high else 0] = ">" if point["mean"] > high else "<"
        lines.append("".join(line))
    return lines


def _said(judged: dict[str, Any]) -> list[str]:
    """The lines below the picture."""
    names, figure = judged["parameters"], judged["figure"]
    lines = []
    if (left := len(judged["points"]) - LONGEST) > 0:
        lines.append(f"the best {LONGEST} points; {left} more are in --json")
    for title, kind in (("best", "best"), ("within one standard error", "one_standard_error")):
        if row := judged[kind]:
            lines.append(f"{title}: {where(row, names)}: {_mean(row, figure)}")
    if judged["ablation"] is not None:
        ends = {0: "none", len(judged["ablation"]): "all"}
        points = [(ends.get(len(row[ABLATED])), row) for row in judged["points"]]
        lines += [f"{end}: {_mean(row, figure)}" for end, row in points if end]
    if runs := judged["stopped_early"]["runs"]:
        budgets = ", ".join(map(str, judged["stopped_early"]["budgets"]))
        what = "stopped early by halving, no results"
        what = what if judged["points"] else "halving has not come to a full training; there are"
        lines.append(f"{what}: {count(runs, 'run')} (budgets {budgets})")
    for title in ("failed", "missing"):
        rows = judged[title]
        for row in rows[:SHOWN]:
            error = f": {row['error']}" if "error" in row else ""
            lines.append(f"{title}: {where(row, names)}, seed {row['seed']}{error}")
        if len(rows) > SHOWN:
            lines.append(f"{title}: {len(rows) - SHOWN} more")
    return [*lines, *(f"note: {note}" for note in judged["notes"])]


def _mean(row: dict[str, Any], figure: str) -> str:
    error = "" if math.isnan(row["se"]) else f", standard error {number(row['se'])}"
    return f"{figure} {number(row['mean'])} ({count(row['seeds'], 'seed')}{error})"


def where(row: dict[str, Any], names: Iterable[str]) -> str:
    """The point of a row in words.

    >>> where({"l2": 1e-3, "regularizers": ["l1", "dropout"], "seed": 0}, ["l2", "regularizers"])
    'l2=0.001, regularizers=l1 + dropout'
    """
    return ", ".join(f"{n}={text(row[n])}" for n in names if row[n] is not None) or "default"


def text(value: Any) -> str:
    """A value of a parameter as it is shown.

    >>> text(1e-3), text([]), text([8, 8]), text(None)
    ('0.001', 'none', '[8, 8]', '–')
    """
    value = plain(value)
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return " + ".join(value) or "none"
    if isinstance(value, float):
        return short if float(short := f"{value:g}") == value else repr(value)
    return "–" if value is None else str(value)


def _at(row: dict[str, Any], point: dict[str, Any], names: list[str]) -> bool:
    return all(same(row[name]) == same(point[name]) for name in names)
