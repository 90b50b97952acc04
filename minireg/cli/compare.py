"""``minireg compare``: curves over λ, with the spread of the seeds.

what is compared
  PATH is a sweep's store (a SQLite file, or a folder with one named sweep.sqlite) or the
  run folder of minireg train. Run folders are taken together: each is a point, named by the
  settings that differ, and runs that differ in their seed only are one point. A line of the
  picture is a point: its mean over the seeds, and one standard deviation to both sides.
  The one-standard-error λ is the largest whose mean is within one standard error of the best.
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
import textwrap
import warnings
from pathlib import Path
from typing import Any

from ..inspect.history import finite
from ..sweep import Sweep, plain, tabulated
from ..tables import Cell, Column, Table, number
from . import common
from .common import MissingError, UsageError

STORE, RECORD = "sweep.sqlite", "history.json"
SHOWN = 5  # failures, and what is missing; then how many more
WIDEST, NARROWEST = 40, 9  # columns of the picture


def declare(commands: common.Commands) -> None:
    """Declare the command."""
    short = "curves over λ of sweeps and runs, the best λ and the one-standard-error λ"
    parser = common.declare(commands, "compare", compare, short, __doc__)
    about = "a sweep's store, a folder with one, or a run folder of minireg train"
    parser.add_argument("paths", nargs="+", type=common.folder, metavar="PATH", help=about)
    about = "what to compare by; default validation_loss, or the first that there is"
    parser.add_argument("--figure", metavar="NAME", help=about)
    about = "which is best; default max for accuracies, else min"
    parser.add_argument("--mode", choices=("min", "max"), help=about)
    about = "which λ the one-standard-error rule is about; default the only one that varies"
    parser.add_argument("--over", metavar="NAME", help=about)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def compare(args: argparse.Namespace) -> int:
    """``minireg compare``."""
    found = [_judged(name, sweep, args) for name, sweep in _sweeps(args.paths)]
    if args.json:
        print(json.dumps(finite(plain({"compared": found})), allow_nan=False))
        return 0
    for judged in found:
        _show(judged)
    return 0


# --- what the paths hold ------------------------------------------------------------------------


def _sweeps(paths: list[Path]) -> list[tuple[str, Sweep]]:
    """The sweeps by name; all run folders together are one."""
    found: list[tuple[str, Sweep]] = []
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
            found.append((str(path), Sweep.load(file)))
        except (FileNotFoundError, ValueError) as error:
            raise MissingError(str(error)) from error
    if records:
        found.append((f"{len(records)} runs", _from_runs(records)))
    for name, sweep in found:
        if not sweep.rows:
            failed, missing = len(sweep.failed), len(sweep.missing)
            raise MissingError(
                f"{name}: nothing to compare, no run has finished ({failed} failed, {missing} missing)"
            )
    return found


def _record(file: Path) -> dict[str, Any]:
    """The settings and runs of a run folder."""
    try:
        found = json.loads(file.read_text("utf-8"))
        settings, runs = found["settings"], found["runs"]
        assert isinstance(settings, dict)
        restored = bool(settings.get("patience"))
        endings = {label: _ending(run, restored) for label, run in runs.items()}
        return {"settings": settings, "runs": endings}
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise MissingError(f"{file} is no record of minireg train: {error!r}") from error


def _ending(run: dict[str, Any], restored: bool) -> dict[str, float] | None:
    """The figures of the weights that a run ended with; None if it did not reach its end."""
    if run["stopped"] not in ("epochs", "early stopping"):
        return None
    epoch = (run["best_epoch"] or 0) if restored else 0  # early stopping put the best one's back
    last = {name: column[epoch - 1] for name, column in run["columns"].items()}
    return {name: math.nan if value is None else float(value) for name, value in last.items()}


def _from_runs(records: dict[Path, dict[str, Any]]) -> Sweep:
    """One table of run folders: a point for each way in which their settings differ."""
    labels = [*dict.fromkeys(label for record in records.values() for label in record["runs"])]
    labels = [label for label in labels if label != "plain"] or ["regularized"]
    settings = [record["settings"] for record in records.values()]
    names = [*dict.fromkeys(name for each in settings for name in each if name != "seed")]
    names = [n for n in names if len({repr(each.get(n)) for each in settings}) > 1] or names[:1]
    runs, endings, seen = [], [], set()
    for label in labels:
        for record in records.values():
            point = {name: record["settings"].get(name) for name in names}
            point |= {"run": label} if len(labels) > 1 else {}
            run = point, record["settings"].get("seed", 0)
            if repr(run) not in seen:  # the same run once more adds nothing
                seen.add(repr(run))
                runs.append(run)
                endings.append(record["runs"].get(label))
    return tabulated([*runs[0][0]], runs, endings)


# --- what is said of them -----------------------------------------------------------------------


def _judged(name: str, sweep: Sweep, args: argparse.Namespace) -> dict[str, Any]:
    """A sweep as ``--json`` prints it."""
    figure = args.figure
    if figure is None:
        figure = "validation_loss" if "validation_loss" in sweep.figures else sweep.figures[0]
    if figure not in sweep.figures:
        raise UsageError(f"{name} has no figure {figure!r}, expected one of {[*sweep.figures]}")
    mode: Any = args.mode or ("max" if figure.endswith("accuracy") else "min")
    best = rule = None
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            best = sweep.best(figure, mode)
            rule = sweep.one_standard_error(figure, args.over, mode)
        except ValueError as error:
            notes.append(str(error))
    notes += dict.fromkeys(str(warning.message) for warning in caught)
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
        "runs": len(sweep.rows),
        "stopped_early": {"budgets": early, "runs": len(sweep.rows) - len(full.rows)},
        "failed": sweep.to_dict()["failed"],
        "missing": [*sweep.missing],
        "notes": [note.partition(": ")[2] for note in notes],
    }


def _sorted(points: list[dict[str, Any]], parameters: tuple[str, ...]) -> list[dict[str, Any]]:
    """In the order of the parameters whose values are numbers."""
    ordered = [p for p in parameters if all(type(point[p]) in (int, float) for point in points)]
    return sorted(points, key=lambda point: [point[p] for p in ordered])


def _show(judged: dict[str, Any]) -> None:
    console = None
    width = shutil.get_terminal_size().columns
    if importlib.util.find_spec("rich") is not None:
        terminal = common.console()
        console, width = (terminal if terminal.is_terminal else None), terminal.width
    table = _table(judged, width)
    said = [textwrap.fill(line, width, subsequent_indent="  ") for line in _said(judged)]
    if console is None:
        print("\n".join([table.text(), *said]), end="\n\n")
    else:
        console.print(table)
        console.print("\n".join(said), end="\n\n", markup=False, highlight=False)


def _table(judged: dict[str, Any], width: int) -> Table:
    """A line a point; where the picture would be too narrow, columns of numbers are left out."""
    points, names = judged["points"], judged["parameters"]
    marks = ["best"] * (judged["best"] is not None) + ["1 se"] * (
        judged["one_standard_error"] is not None
    )
    chosen = [judged["best"], judged["one_standard_error"]]
    columns: list[tuple[Column, list[Any]]] = [
        (Column(name, whole=True), [_text(point[name]) for point in points]) for name in names
    ]
    columns += [
        (Column("mean", ""), [point["mean"] for point in points]),
        (Column("std", ""), [point["std"] for point in points]),
        (Column("seeds", "d"), [point["seeds"] for point in points]),
    ]
    said = [
        " ".join(
            m for m, row in zip(marks, filter(None, chosen), strict=True) if _at(row, p, names)
        )
        for p in points
    ]
    columns.append((Column("chosen", whole=True), [Cell(text, "bold green") for text in said]))
    for spare in (None, "seeds", "std", "chosen"):
        columns = [(column, cells) for column, cells in columns if column.name != spare]
        used = sum(
            2 + max(map(len, [column.name, *(column.cell(c).text for c in cells)]))
            for column, cells in columns
        )
        if width - used - 3 >= NARROWEST:
            break
    drawn = _picture(points, judged["best"], names, min(WIDEST, max(NARROWEST, width - used - 3)))
    place = len(columns) - (columns[-1][0].name == "chosen")
    columns.insert(place, (Column(drawn[0], whole=True), [*drawn[1:]]))
    rows = zip(*(cells for _, cells in columns), strict=True)
    title = f"{judged['name']}: {judged['figure']}, {judged['runs']} runs"
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

    left, right = number(low), number(high)
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
    for title, row in (
        ("best", judged["best"]),
        ("within one standard error", judged["one_standard_error"]),
    ):
        if row is not None:
            error = "" if math.isnan(row["se"]) else f", standard error {number(row['se'])}"
            seeds = f"{row['seeds']} seed{'s' * (row['seeds'] != 1)}"
            lines.append(
                f"{title}: {_where(row, names)}: {figure} {number(row['mean'])} ({seeds}{error})"
            )
    if runs := judged["stopped_early"]["runs"]:
        budgets = ", ".join(map(str, judged["stopped_early"]["budgets"]))
        lines.append(f"stopped early by halving, no results: {runs} runs (budgets {budgets})")
    for title in ("failed", "missing"):
        rows = judged[title]
        for row in rows[:SHOWN]:
            error = f": {row['error']}" if "error" in row else ""
            lines.append(f"{title}: {_where(row, names)}, seed {row['seed']}{error}")
        if len(rows) > SHOWN:
            lines.append(f"{title}: {len(rows) - SHOWN} more")
    return [*lines, *(f"note: {note}" for note in judged["notes"])]


def _where(row: dict[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={_text(row[name])}" for name in names)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _at(row: dict[str, Any], point: dict[str, Any], names: list[str]) -> bool:
    return all(repr(row[name]) == repr(point[name]) for name in names)
