"""``minireg train``: train a network on real data twice, without and with regularizers.

what happens
  The same over-wide network is trained twice on the same data, of which --noise of the
  training labels are wrong: once plain, once with every regularizer whose strength is not
  0. Afterwards you see which parameter each penalty acts on, what each term of the
  objective contributes to the gradient, how far it moved the weights, and how many wrong
  labels each network learnt by heart. Plain also counts as it was at its best epoch: one
  half of the held-out part, "validation", chooses it; the figures of the other half, "test",
  are the ones to compare. The run folder gets report.html, overview.png, history.json,
  ledger.csv and the weights.

examples
  minireg train                                  the default: all four regularizers
  minireg train --l1 0 --dropout 0               only L2 and label smoothing
  minireg train --l1-via gradient                L1 by subgradient: watch the zeros vanish
  minireg train --dataset wine --hidden 64 --epochs 40
  minireg train --norm batch --l2 1e-2           with BatchNorm, L2 mostly sets the learning rate
  minireg train --optimizer adam --schedule cosine
  minireg train --penalty "GroupLasso(1e-3, axis=0)" --on 0.weight --via prox
                                                 pixels that no unit looks at: exact zeros
  minireg train --data fruit.csv --target kind   a table of your own, of which no label is flipped
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from typing import Any

import numpy as np

from .. import backend, checkpoint, datasets
from ..inspect import Run, overview, report
from ..inspect.ledger import ledger_table
from ..inspect.run import comparison_table, headline, term_table
from ..objective import assignment_table
from ..tables import ASCII
from ..training import finite
from . import common
from .common import MissingError
from .folder import RunFolder, Writer, whole
from .settings import TrainSettings, add_flags
from .trial import prepared, train_one

LABELS = ("plain", "regularized")  # the two runs
FILES = {"report.html", "overview.png", "ledger.csv", *(f"weights-{n}.npz" for n in LABELS)}
BEST = (
    "best: the epoch whose weights early stopping put back, else the first of the highest validation "
    "accuracy or, without labels, of the lowest validation loss; the test data choose nothing"
)
TUNED = (
    "One draw, and the defaults were tuned on seeds 0–4: see the README's means over others, or "
    "--seed 5."
)


def declare(commands: common.Commands) -> None:
    """Declare the command."""
    short = "train a network without and with regularizers and compare the two"
    parser = common.declare(commands, "train", train, short, __doc__)
    add_flags(parser)
    add = parser.add_argument_group("output").add_argument
    about = "run folder, new or empty; default runs/DATASET-DATE-TIME"
    add("--out", type=common.folder, metavar="DIR", help=about)
    add("--force", action="store_true", help="write into --out even if it is not empty")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add("--no-report", action="store_true", help="skip report.html and overview.png")
    add("--no-progress", action="store_true", help="no progress bar")


def train(args: argparse.Namespace) -> int:
    """``minireg train``."""
    settings = TrainSettings.given(args)
    common.need(rich="cli", **({} if args.no_report else {"matplotlib": "viz"}))
    common.need_backend(settings.backend)
    settings, data = prepared(settings)
    runs: dict[str, Run] = {}
    folder = RunFolder(args.out, settings.stem, args.force)
    folder.write(record(settings, runs))  # better to fail now than after the training
    if folder.problems:
        raise MissingError("; ".join(folder.problems))
    failure, interrupted = _train_both(settings, data, folder, runs, args)
    if runs and not args.no_report:
        interrupted |= _draw(settings, folder, runs)
    if args.force:
        folder.remove(FILES - {*folder.files})  # of an earlier run
    if args.json:
        _print_json(settings, folder, runs)
    else:
        _show(settings, folder, runs)
    if problems := ([failure] if failure else []) + folder.problems:
        if runs and folder.files:
            kept = f"{', '.join(folder.files)} of {' and '.join(runs)}"
            problems.append(f"{kept} are in {folder.path}")
        raise MissingError("; ".join(problems))
    return 130 if interrupted else 0


# --- training ----------------------------------------------------------------------------------


def _train_both(
    settings: TrainSettings,
    data: datasets.Dataset,
    folder: RunFolder,
    runs: dict[str, Run],
    args: argparse.Namespace,
) -> tuple[str, bool]:
    """Enter both runs, each kept as soon as it is there; returns what failed, and whether Ctrl-C
    ended it.
    """
    label = LABELS[0]
    try:
        if not args.json:
            common.console().print(f"{data}\n{settings}\n", highlight=False, markup=False)
        # what overflows ends in one message, not in a warning for each op
        with backend.use_backend(settings.backend), np.errstate(all="ignore"):
            for label in LABELS:
                runs[label] = train_one(settings, data, label, not args.no_progress)
                folder.write(record(settings, runs))  # whatever becomes of the next
                if runs[label].history.stopped == "interrupted":
                    return "", True
    except KeyboardInterrupt:  # outside fit, which ends by itself
        folder.write(record(settings, runs))
        return "", True
    except (ArithmeticError, MemoryError, RuntimeError, ValueError) as error:
        return f"the {label} run failed: {str(error) or type(error).__name__}", False
    return "", False


# --- what is kept ------------------------------------------------------------------------------


def record(settings: TrainSettings, runs: dict[str, Run]) -> dict[str, Writer]:
    """The figures and weights of the run folder: name of the file → what writes it."""
    histories = {label: run.history.to_dict() | _best(run) for label, run in runs.items()}
    about = {"settings": settings.to_dict(), "command": settings.command, "rule": BEST}
    text = json.dumps(finite(about | {"runs": histories}), indent=1, allow_nan=False) + "\n"
    writers = {"history.json": whole(lambda path: path.write_text(text, "utf-8"))}
    for label, run in runs.items():
        if run.model is not None:
            writers[f"weights-{label}.npz"] = partial(checkpoint.save, state=run.model)
        if run.ledger is not None and run.ledger.history:
            writers["ledger.csv"] = whole(run.ledger.to_csv)
    return writers


def _draw(settings: TrainSettings, folder: RunFolder, runs: dict[str, Run]) -> bool:
    """Write the report, and the overview where there is something to see; whether Ctrl-C ended it."""
    page = partial(
        report,
        runs=runs,
        title=f"minireg train: {settings.stem}",
        settings={name: " ".join(words) for name, words in settings.texts.items()},
        command=settings.command,
        note=caution(settings),
    )
    try:
        folder.write({"report.html": whole(page)})
        if all(len(run.history) for run in runs.values()):
            draw = lambda path: overview(runs).savefig(path, format="png", dpi=110)
            folder.write({"overview.png": whole(draw)})
    except KeyboardInterrupt:  # all else is kept, and is shown
        print("minireg train: interrupted before the report was drawn", file=sys.stderr)
        return True
    return False


def _best(run: Run) -> dict[str, Any]:
    """The best epoch with the figures to compare, and how many labels those of labels are of."""
    epoch = run.best_epoch
    best = run.figures(run.history.rows[epoch - 1]) if epoch else None
    return {"best_epoch": epoch, "wrong_labels": run.wrong, "best": best}


def caution(settings: TrainSettings) -> str:
    """What to know where the defaults are judged by a seed they were tuned on."""
    default = TrainSettings(seed=settings.seed, backend=settings.backend)
    return TUNED if settings.seed < 5 and settings == default else ""


# --- what is said ------------------------------------------------------------------------------


def _print_json(settings: TrainSettings, folder: RunFolder, runs: dict[str, Run]) -> None:
    figures = {}
    for label, run in runs.items():
        last = run.figures(run.last) if len(run.history) else {}
        ending = {"stopped": run.history.stopped, "epochs": len(run.history)}
        figures[label] = ending | last | _best(run)
        if run.ledger is not None and run.ledger.history:
            books = run.ledger.whole
            figures[label]["ledger"] = {"residual": books.residual, "entries": books.summary()}
    about = {"settings": settings.to_dict(), "folder": str(folder.path), "rule": BEST}
    print(json.dumps(finite(about | {"runs": figures}), allow_nan=False))


def _show(settings: TrainSettings, folder: RunFolder, runs: dict[str, Run]) -> None:
    from rich.text import Text

    console = common.console()
    console.print()
    for label, run in runs.items():
        if run.history.stopped == "interrupted":
            console.print(f"[yellow]interrupted[/]: {label} has {len(run.history)} finished epochs")
    done = {label: run for label, run in runs.items() if len(run.history)}
    if "regularized" in done:
        _show_terms(console, done["regularized"])
    if done:
        note = (
            "end: the weights that the run holds; best: its epoch of the highest validation accuracy "
            "(or lowest loss), which early stopping would choose. Nothing is chosen by the test data"
        )
        if settings.noise:
            note += f"\n{settings.noise:.0%} of the training labels are wrong, no other label is"
        console.print(comparison_table(done).titled("without and with regularizers", note))
        console.print(Text(headline(done).translate(ASCII), style="bold"), end="\n\n")
        if len(done) > 1 and (warning := caution(settings)):
            console.print(Text(warning, style="dim"), end="\n\n")
    files = ", ".join(folder.files)
    where = Text.assemble("written to ", (f"{folder.path}/", "bold"), f": {files}")
    console.print(where, highlight=False)


def _show_terms(console: Any, run: Run) -> None:
    """Tables: which penalty acts on which parameter, gradients by term, movement by term."""
    console.print(assignment_table(run.assignments).titled("which penalty acts on which parameter"))
    title = f"the terms of the objective, first batch of epoch {int(run.last['epoch'])}"
    note = "cosine -1: the term pulls straight against the data"
    console.print(term_table(run).titled(title, note))
    if run.ledger is not None and run.ledger.history:
        note = (
            "all updates together, momentum counted with the term that it came from\n"
            "share: of the movement from first to last weights, sums to 100%, below 0: against it\n"
            "growth: of the first weights, below 0: shrunk"
        )
        console.print(ledger_table(run.ledger.whole).titled("who moved the weights", note))
