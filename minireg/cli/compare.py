"""``minireg compare``: curves over λ, with the spread of the seeds.

what is compared
  PATH is a sweep's store (a SQLite file, or a folder with one named sweep.sqlite) or the
  run folder of minireg train. Run folders are taken together: each is a point, named by the
  settings that differ, and runs that differ in their seed only are one point. A line of the
  picture is a point: its mean over the seeds, and one standard deviation to both sides.
  The one-standard-error λ is the largest whose mean is within one standard error of the best.
  Of minireg sweep --ablate: what each regularizer brings alone, and what is lost without it.
  What failed, is missing or was stopped early is said, and never counts as a result.

examples
  minireg compare runs/sweep
  minireg compare runs/a runs/b runs/c --figure validation_accuracy
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import shutil
import statistics
import textwrap
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from ..inspect.history import finite
from ..sweep import Sweep, is_number, plain, tabulated
from ..tables import Cell, Column, Table, number
from ..trials import key, same
from . import common
from .common import MissingError, UsageError
from .folder import FORMAT
from .spelled import Chosen

STORE, RECORD = "sweep.sqlite", "history.json"
DATA = ("dataset", "data", "target", "task", "noise", "validation", "seed")  # what data depend on
SHOWN = 5  # failures, and what is missing; then how many more
LONGEST = 40  # lines of a table
ABLATED = (
    "regularizers"  # the parameter of an ablation: its values are the names of those that are on
)
# Settings of which more does not regularize more.
NO_STRENGTH = (
    *("lr", "momentum", "epochs", "batch_size", "clip_norm", "patience", "noise", "validation"),
)
WIDEST, NARROWEST = 40, 9  # columns of the picture


def declare(commands: common.Commands) -> None:
    """Declare the command."""
    short = "curves over λ of sweeps and runs, the best λ and the one-standard-error λ"
    parser = common.declare(commands, "compare", compare, short, __doc__)
    about = "a sweep's store, a folder with one, or a run folder of minireg train"
    parser.add_argument("paths", nargs="+", type=common.folder, metavar="PATH", help=about)
    add_flags(parser.add_argument)


def add_flags(add: Callable[..., Any]) -> None:
    """Add the flags of what is said: those of ``minireg sweep``, too."""
    about = "what to compare by; default validation_loss, of an ablation test_accuracy or test_loss"
    add("--figure", metavar="NAME", help=about)
    add(
        "--mode", choices=("min", "max"), help="which is best; default max for accuracies, else min"
    )
    about = "which λ the one-standard-error rule is about; default the only one that varies"
    add("--over", metavar="NAME", help=about)
    add("--json", action="store_true", help="print one JSON object instead")


def compare(args: argparse.Namespace) -> int:
    """``minireg compare``."""
    say(args.paths, args, {})
    return 0


def say(paths: list[Path], args: argparse.Namespace, about: dict[str, Any]) -> None:
    """Print what paths hold as :func:`add_flags` asks; ``about`` is for the JSON object."""
    found = [_judged(*each, args) for each in _sweeps(paths)]
    if args.json:
        print(json.dumps(finite(plain(about | {"compared": found})), allow_nan=False))
        return
    for judged in found:
        _show(judged)


# --- what the paths hold ------------------------------------------------------------------------


def _sweeps(paths: list[Path]) -> list[tuple[str, Sweep, list[str]]]:
    """The sweeps by name, and what is to say of each; all run folders together are one."""
    found: list[tuple[str, Sweep, list[str]]] = []
    records: dict[Path, dict[str, Any]] = {}
    for path in dict.fromkeys(paths):
        file = path
        if path.is_dir():
            there = [path / name for name in (STORE, RECORD) if (path / name).is_file()]
            if not there:
                raise MissingError(f"{path} holds neither {STORE} nor {RECORD}: nothing to compare")
            file = there[0]
        if file.name == RECORD:
            records[file.parent] = _record(file)
            continue
        try:
            found.append((str(path), Sweep.load(file), []))
        except (FileNotFoundError, ValueError) as error:
            raise MissingError(str(error)) from error
    if records:
        found.append((f"{_count(len(records), 'run')} of minireg train", *_from_runs(records)))
    for name, sweep, _ in found:
        if not sweep.rows:
            failed, missing = len(sweep.failed), len(sweep.missing)
            raise MissingError(
                f"{name}: nothing to compare, no run has finished ({failed} failed, {missing} missing)"
            )
    return found


def _record(file: Path) -> dict[str, Any]:
    """The settings, data and runs of a run folder."""
    try:
        found = json.loads(file.read_text("utf-8"))
        settings, runs, data = found["settings"], found["runs"], found["data"]["sums"]
        if (number := found["format"]) != FORMAT:
            raise ValueError(f"its format is {number!r}, expected {FORMAT}: of another version")
        source = same([settings[name] for name in DATA])
        seed, restored = settings.pop("seed"), bool(settings["patience"])
        settings["dataset"] = settings["dataset"] or settings["data"]
        del settings["data"]
        settings["penalty"] = [" ".join(Chosen(**p).words) for p in settings["penalty"]]
        # the rate of the last epoch is a column, too: what names a point is the setting
        endings = {label: _ending(run, restored, {*settings}) for label, run in runs.items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise MissingError(f"{file} is no record of minireg train: {error!r}") from error
    return {"settings": settings, "seed": seed, "runs": endings, "source": source, "data": data}


def _ending(run: dict[str, Any], restored: bool, taken: set[str]) -> dict[str, float] | None:
    """The figures of the weights that a run ended with; None if it did not reach its end."""
    if run["stopped"] not in ("epochs", "early stopping"):
        return None
    epoch = (run["best_epoch"] or 0) if restored else 0  # early stopping put the best one's back
    last = {n: column[epoch - 1] for n, column in run["columns"].items() if n not in taken}
    return {name: math.nan if value is None else float(value) for name, value in last.items()}


def _from_runs(records: dict[Path, dict[str, Any]]) -> tuple[Sweep, list[str]]:
    """One table of run folders: a point for each way in which their settings differ, and what is to
    say of them. It does not depend on their order. ``MissingError`` for runs of other data.
    """
    records = dict(sorted(records.items()))
    _same_data(records)
    labels = sorted({label for record in records.values() for label in record["runs"]} - {"plain"})
    labels = labels or ["regularized"]
    settings = [record["settings"] for record in records.values()]
    names = [*dict.fromkeys(name for each in settings for name in each)]
    names = [n for n in names if len({same(each.get(n)) for each in settings}) > 1] or names[:1]
    found: dict[Any, tuple[Path, tuple[dict[str, Any], int], dict[str, float] | None]] = {}
    notes = []
    for label in labels:
        for path, record in records.items():
            point = {name: record["settings"].get(name) for name in names}
            point |= {"run": label} if len(labels) > 1 else {}
            run, ending = (point, record["seed"]), record["runs"].get(label)
            first, _, before = found.setdefault(key(*run), (path, run, ending))
            if first != path:
                notes.append(f"the same run twice, it counts once: {first} and {path}")
            if before is None:  # a copy that was interrupted
                found[key(*run)] = path, run, ending
    runs, endings = [run for _, run, _ in found.values()], [end for *_, end in found.values()]
    finished = [ending for ending in endings if ending is not None]
    # a term that is off has no figures
    shared = (
        [name for name in finished[0] if all(name in ending for ending in finished)]
        if finished
        else []
    )
    kept = [ending and {name: ending[name] for name in shared} for ending in endings]
    return tabulated([*runs[0][0]], runs, kept), notes


def _same_data(records: dict[Path, dict[str, Any]]) -> None:
    """``MissingError`` if runs whose settings say the same data had others."""
    first: dict[Any, Path] = {}
    for path, record in records.items():
        known = first.setdefault(record["source"], path)
        if record["data"] != records[known]["data"]:
            raise MissingError(
                f"{known} and {path} are runs of other data, though their settings say the same; "
                "compare them apart"
            )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


# --- what is said of them -----------------------------------------------------------------------


def _judged(name: str, sweep: Sweep, said: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """A sweep as ``--json`` prints it."""
    if args.over is not None and args.over not in sweep.parameters:
        known = ", ".join(sweep.parameters)
        raise UsageError(f"--over: {name} has no parameter {args.over!r}, expected one of {known}")
    ablation = sweep.parameters == (ABLATED,)
    figure = args.figure or preferred(sweep.figures, ablation)
    if figure not in sweep.figures:
        raise UsageError(f"{name} has no figure {figure!r}, expected one of {[*sweep.figures]}")
    mode = args.mode or best_of(figure)
    best, rule, notes = (None, None, []) if ablation else _chosen(sweep, figure, mode, args.over)
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
    sweep: Sweep, figure: str, mode: Literal["min", "max"], over: str | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, list[str]]:
    """The best, what the one-standard-error rule chooses, and why there is none."""
    best = rule = None
    notes: list[str] = []
    rows = sweep.full.rows
    varied = [n for n in sweep.full.parameters if len({same(row[n]) for row in rows}) > 1]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            best = sweep.best(figure, mode)
            if over is None and len(varied) != 1:
                many = f"{', '.join(varied)} vary: --over {(varied or [''])[0]} asks for its λ"
                notes.append(f"no one-standard-error rule: {many if varied else 'nothing varies'}")
            elif over is None and varied[0] in NO_STRENGTH:
                notes.append(f"no one-standard-error rule: more {varied[0]} is no simpler fit")
            else:
                rule = sweep.one_standard_error(figure, over, mode)
                if sweep.halving:
                    kept, all_ = (len(s.summary(figure)) for s in (sweep.full, sweep))
                    notes.append(
                        f"chosen among {kept} of {all_} points, those with the full training"
                    )
        except ValueError as error:
            notes.append(str(error).partition(": ")[2])
    return best, rule, [*notes, *dict.fromkeys(str(w.message).partition(": ")[2] for w in caught)]


def _ablation(sweep: Sweep, figure: str, mode: str) -> list[dict[str, Any]]:
    """Of each regularizer what it brings and what is lost without it: means of differences between
    trainings with the same seed, > 0 where they are better with it, and their standard errors.
    """
    values: dict[tuple[str, ...], dict[Any, float]] = {}
    for run in sweep.rows:
        values.setdefault(tuple(run[ABLATED]), {})[run["seed"]] = run[figure]
    every = max((tuple(r[ABLATED]) for r in (*sweep.rows, *sweep.failed, *sweep.missing)), key=len)

    def gain(of: tuple[str, ...], over: tuple[str, ...]) -> tuple[float, float, int]:
        a, b = values.get(of, {}), values.get(over, {})
        sign = 1 if mode == "max" else -1
        # rounded, as 0.3 - 0.2 is less than 0.1: what is equal differs by 0
        found = [round(sign * (a[seed] - b[seed]), 12) for seed in a if seed in b]
        few = len(found) < 2 or not all(map(math.isfinite, found))
        error = math.nan if few else statistics.stdev(found) / math.sqrt(len(found))
        return statistics.fmean(found or [math.nan]), error, len(found)

    gains = []
    for name in every:
        rest = tuple(n for n in every if n != name)
        row: dict[str, Any] = {"regularizer": name}
        for name_of, of, over in (("brings", (name,), ()), ("lost", every, rest)):
            row[name_of], row[f"{name_of}_se"], row[f"{name_of}_seeds"] = gain(of, over)
        gains.append(row)
    return gains


def _sorted(points: list[dict[str, Any]], parameters: tuple[str, ...]) -> list[dict[str, Any]]:
    """In the order of the parameters whose values are numbers."""
    ordered = [p for p in parameters if all(is_number(point[p]) for point in points)]
    return sorted(points, key=lambda point: [point[p] for p in ordered])


def _show(judged: dict[str, Any]) -> None:
    console = None
    width = shutil.get_terminal_size().columns
    if importlib.util.find_spec("rich") is not None:
        terminal = common.console()
        console, width = (terminal if terminal.is_terminal else None), terminal.width
    table = _table(judged, width) if judged["ablation"] is None else _ablation_table(judged, width)
    said = [textwrap.fill(line, width, subsequent_indent="  ") for line in _said(judged)]
    if console is None:
        print("\n".join([table.text(), *said]), end="\n\n")
    else:
        console.print(table)
        console.print("\n".join(said), end="\n\n", markup=False, highlight=False)


def _table(judged: dict[str, Any], width: int) -> Table:
    """A line a point; where the picture would be too narrow, columns of numbers are left out."""
    points, names = _longest(judged), judged["parameters"]
    marks = {"best": judged["best"], "1 se": judged["one_standard_error"]}
    columns: Filled = [
        (Column(name, whole=True), [text(point[name]) for point in points]) for name in names
    ]
    columns += [
        (Column("mean", ""), apart([point["mean"] for point in points])),
        (Column("std", ""), [finite(point["std"]) for point in points]),
        (Column("seeds", "d"), [point["seeds"] for point in points]),
    ]
    said = [" ".join(m for m, row in marks.items() if row and _at(row, p, names)) for p in points]
    columns.append((Column("chosen", whole=True), [Cell(words, "bold green") for words in said]))
    columns = _fitting(columns, width - 3 - NARROWEST, ("seeds", "std", "chosen"))
    left = min(WIDEST, max(NARROWEST, width - _width(columns) - 3))
    drawn = _picture(points, judged["best"], names, left)
    place = len(columns) - (columns[-1][0].name == "chosen")
    columns.insert(place, (Column(drawn[0], whole=True), [*drawn[1:]]))
    return _filled(columns, judged)


def apart(values: list[float]) -> list[str]:
    """Numbers with the digits that tell them apart, at most the seven of float32.

    >>> apart([0.5, 0.25]), apart([1.1021, 1.1024])
    (['0.500', '0.250'], ['1.1021', '1.1024'])
    """
    different = len({value for value in values if math.isfinite(value)})
    texts: list[str] = []
    for spec in ("", "#.5g", "#.6g", "#.7g"):
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


def _ablation_table(judged: dict[str, Any], width: int) -> Table:
    """A line for each regularizer."""
    rows = judged["ablation"]
    columns: Filled = [(Column("regularizer", whole=True), [row["regularizer"] for row in rows])]
    for name in ("brings", "lost"):
        columns.append((Column(name, "+"), [finite(row[name]) for row in rows]))
        columns.append((Column("± se", ""), [finite(row[f"{name}_se"]) for row in rows]))
    return _filled(_fitting(columns, width, ("± se",)), judged)


Filled = list[tuple[Column, list[Any]]]


def _width(columns: Filled) -> int:
    """How wide the columns are in a table."""
    texts = [[column.name, *(column.cell(c).text for c in cells)] for column, cells in columns]
    return sum(2 + max(map(len, column)) for column in texts)


def _fitting(columns: Filled, width: int, spare: Iterable[str]) -> Filled:
    """The columns without as many of the spare ones, in this order, as make the others fit."""
    for name in spare:
        if _width(columns) > width:
            columns = [(column, cells) for column, cells in columns if column.name != name]
    return columns


def _filled(columns: Filled, judged: dict[str, Any]) -> Table:
    title = f"{judged['name']}: {judged['figure']}, {_count(judged['runs'], 'run')}"
    rows = zip(*(cells for _, cells in columns), strict=True)
    return Table([column for column, _ in columns], rows, title)


def _picture(
    points: list[dict[str, Any]], best: dict[str, Any] | None, names: list[str], width: int
) -> list[str]:
    """The scale, then a line for each point: its mean, and one standard deviation to both sides."""
    spans = [(p["mean"] - s, p["mean"] + s) for p in points for s in [finite(p["std"]) or 0.0]]
    ends = [end for span in spans for end in span if math.isfinite(end)]
    low, high = min(ends, default=0.0), max(ends, default=0.0)

    def place(value: float) -> int:
        share = 0.5 if high == low else (value - low) / (high - low)
        return round(min(max(share, 0.0), 1.0) * (width - 1))

    left, right = apart([low, high])
    lines = [left + right.rjust(width - len(left)) if len(left + right) < width else left[:width]]
    for point, (start, end) in zip(points, spans, strict=True):
        line = [" "] * width
        if math.isfinite(start) and math.isfinite(end):
            line[place(start) : place(end) + 1] = "-" * (place(end) + 1 - place(start))
            line[place(point["mean"])] = "*" if best and _at(best, point, names) else "o"
        lines.append("".join(line))
    return lines


def _said(judged: dict[str, Any]) -> list[str]:
    """The lines below the picture."""
    names, figure = judged["parameters"], judged["figure"]
    lines = []
    if (left := len(judged["points"]) - LONGEST) > 0:
        lines.append(f"the best {LONGEST} points; {left} more are in --json")
    for title, row in (
        ("best", judged["best"]),
        ("within one standard error", judged["one_standard_error"]),
    ):
        if row is not None:
            lines.append(f"{title}: {where(row, names)}: {_mean(row, figure)}")
    if judged["ablation"] is not None:
        lines += _ablation_said(judged)
    if runs := judged["stopped_early"]["runs"]:
        budgets = ", ".join(map(str, judged["stopped_early"]["budgets"]))
        lines.append(
            f"stopped early by halving, no results: {_count(runs, 'run')} (budgets {budgets})"
        )
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
    return f"{figure} {number(row['mean'])} ({_count(row['seeds'], 'seed')}{error})"


def _ablation_said(judged: dict[str, Any]) -> list[str]:
    """The two ends, and what the columns are."""
    ends = {0: "none", len(judged["ablation"]): "all"}
    points = [(ends.get(len(row[ABLATED])), row) for row in judged["points"]]
    lines = [f"{end}: {_mean(row, judged['figure'])}" for end, row in points if end]
    lines.append(
        "brings: with it alone against none; lost: all against all but it; + is better with it"
    )
    pairs = {row[f"{name}_seeds"] for row in judged["ablation"] for name in ("brings", "lost")}
    if max(pairs) == 1:
        return [*lines, "one seed shows no spread: --seeds 5"]
    counts = " to ".join(str(n) for n in sorted({min(pairs), max(pairs)}))
    return [*lines, f"se: standard error of the mean of {counts} differences, seed by seed"]


def where(row: dict[str, Any], names: Iterable[str]) -> str:
    """The point of a row in words.

    >>> where({"l2": 1e-3, "regularizers": ["l1", "dropout"], "seed": 0}, ["l2", "regularizers"])
    'l2=0.001, regularizers=l1 + dropout'
    """
    return ", ".join(f"{name}={text(row[name])}" for name in names)


def text(value: Any) -> str:
    """A value of a parameter as it is shown.

    >>> text(1e-3), text([]), text([8, 8])
    ('0.001', 'none', '[8, 8]')
    """
    value = plain(value)
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return " + ".join(value) or "none"
    if isinstance(value, float):
        return short if float(short := f"{value:g}") == value else repr(value)
    return str(value)


def _at(row: dict[str, Any], point: dict[str, Any], names: list[str]) -> bool:
    return all(same(row[name]) == same(point[name]) for name in names)
