"""``minireg train``: train a network on real data twice, without and with regularizers.

what happens
  The same over-wide network is trained twice on the same data, of which --noise of the
  training labels are wrong: once plain, once with every regularizer whose strength is not
  0. Afterwards you see which parameter each penalty acts on, what each term of the
  objective contributes to the gradient, how far it moved the weights, and how many wrong
  labels each network learnt by heart. Plain also counts as it was at its best epoch: one
  half of the held-out part, "validation", chooses it; the figures of the other half, "test",
  are the ones to compare. The run folder gets report.html, overview.png, history.json,
  ledger.csv, the weights, and run-plain and run-regularized, from which minireg report and
  mr.Run.load make it all again. A checkpoint of the training under way is kept there, too, in
  about 3 % of the time: what was interrupted or killed goes on with --resume, to the same
  end, bit for bit.

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
  minireg train --resume runs/wine-20261129-130901

exit code
  0 both trainings have ended, 1 one failed, or something is missing or cannot be written,
  2 a wrong flag or value, 130 Ctrl-C
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, checkpoint, datasets
from ..inspect import Run, overview, report
from ..inspect.history import finite
from ..inspect.ledger import ledger_table
from ..inspect.run import comparison_table, headline, term_table, unseen_table
from ..objective import assignment_table
from ..tables import ASCII
from . import common
from .common import MissingError, UsageError, flag, flags
from .folder import CHECKPOINT, FORMAT, RUN, Kept, RunFolder, Writer, known_of, said_of, whole
from .settings import TrainSettings, add_flags
from .trial import prepared, train_one

LABELS = ("plain", "regularized")  # the two runs
DRAWN = {"report.html", "overview.png"}
EACH = ("weights-{}.npz", RUN, CHECKPOINT, str(checkpoint.previous(CHECKPOINT)))  # of a label
FILES = DRAWN | {"ledger.csv", *(name.format(label) for name in EACH for label in LABELS)}
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
    add = flags(parser.add_argument_group("output"), train)
    add("--out", type=common.folder, metavar="DIR")
    add("--force", action="store_true")
    add("--resume", type=common.folder, metavar="RUN")
    for name in ("json", "no_report", "no_progress"):
        add(flag(name), action="store_true")


def train(args: argparse.Namespace) -> int:
    """``minireg train``.

    Attributes
    ----------
    out : run folder, new or empty; default runs/DATASET-DATE-TIME
    force : write into --out even if it is not empty
    resume : go on with the run in this folder, which was interrupted; its settings are kept there
    json : print one JSON object instead of tables
    no_report : skip report.html and overview.png
    no_progress : no progress bar
    """
    if args.resume is not None:
        return _resume(args)
    settings = TrainSettings.of(vars(args))
    _need(settings, args)
    settings, data = prepared(settings)
    folder = RunFolder.new(args.out, settings.stem)
    folder.reserve(args.force)
    return _finish(Kept(settings, known_of(settings, data)), data, folder, args)


def _resume(args: argparse.Namespace) -> int:
    """Go on where a run was interrupted; all is checked before anything changes."""
    given = {name for name, value in vars(args).items() if value is not None and value is not False}
    if others := given - {"command", "execute", "resume", "json", "no_report", "no_progress"}:
        out = ", ".join(map(flag, sorted(others)))
        raise UsageError(f"--resume goes on with the settings of its run; leave out {out}")
    common.need(safetensors="io")
    folder = RunFolder(args.resume)
    kept = Kept.of(folder.path)
    _need(kept.settings, args)
    if not (left := [label for label in LABELS if not kept.ended(label)]):
        if not args.json:
            print(f"{folder.path} is finished")
        return _finish(kept, None, folder, args)
    settings, file = kept.settings, kept.data["file"]
    if file and Path(file).is_file():  # as it was typed, it may lead elsewhere from here
        settings = replace(settings, data=file)
    _, data = prepared(settings)
    sums, known = known_of(settings, data)["sums"], kept.data["sums"]
    if changed := [part for part in sums if known.get(part) != sums[part]]:
        raise MissingError(f"the data of {folder.path} are others now: {', '.join(changed)}")
    paths = [folder.path / CHECKPOINT.format(label) for label in left]
    for path, why in [(path, _damage(path)) for path in paths if path.exists()]:
        if why:
            print(f"minireg train: {why}, from which it goes on", file=sys.stderr)
            checkpoint.previous(path).replace(path)
    return _finish(kept, data, folder, args)


def _need(settings: TrainSettings, args: argparse.Namespace) -> None:
    """``MissingError`` unless all is installed."""
    common.need(rich="cli", safetensors="io", **({} if args.no_report else {"matplotlib": "viz"}))
    common.need_backend(settings.backend)


def _damage(path: Path) -> str:
    """What is wrong with a checkpoint, "" if nothing; ``MissingError`` if the one before is none either."""
    try:
        checkpoint.read_tree("--resume", path)
    except ValueError as error:
        try:
            checkpoint.read_tree("--resume", checkpoint.previous(path))
        except (OSError, ValueError) as other:
            both = [str(error)] + ([str(other)] if isinstance(other, ValueError) else [])
            raise MissingError("; ".join(both)) from error
        return str(error)
    return ""


def _finish(
    kept: Kept, data: datasets.Dataset | None, folder: RunFolder, args: argparse.Namespace
) -> int:
    """Do what is left of a run, of which data None says that both trainings have ended."""
    try:
        return _finished(kept, data, folder, args)
    except KeyboardInterrupt:  # of the training, or once more, while that was being kept or shown
        print(f"minireg train: interrupted; go on with: {_again(folder)}", file=sys.stderr)
        return 130


def _again(folder: RunFolder) -> str:
    return f"minireg train --resume {shlex.quote(str(folder.path))}"


def _finished(
    kept: Kept, data: datasets.Dataset | None, folder: RunFolder, args: argparse.Namespace
) -> int:
    """As :func:`_finish`, until Ctrl-C, which comes when all is kept and shown."""
    settings, runs = kept.settings, kept.runs
    there = {p.name for p in folder.path.iterdir()} if data is None else set()
    # better to fail now than after the training
    folder.write({name: write for name, write in record(kept).items() if name not in there})
    if folder.problems:
        raise MissingError("; ".join(folder.problems))
    if args.force:
        folder.remove(FILES)  # of an earlier run
    failure, interrupted = "", False
    try:
        if data is not None:
            _train_both(kept, data, folder, args)
    except MissingError as error:
        failure = str(error)
    except KeyboardInterrupt:
        interrupted = True
    for label in LABELS:
        if kept.ended(label) and not folder.reasons.get(RUN.format(label)):
            folder.remove(name.format(label) for name in EACH[2:])
    if runs and not args.no_report and not all((folder.path / name).exists() for name in DRAWN):
        try:
            _draw(kept, folder)
        except KeyboardInterrupt:  # all else is kept, and is shown
            interrupted = True
    if args.json:
        _print_json(kept, folder)
    else:
        _show(settings, folder, runs)
    if problems := ([failure] if failure else []) + folder.problems:
        if runs and folder.files:
            names = f"{', '.join(folder.files)} of {' and '.join(runs)}"
            problems.append(f"{names} are in {folder.path}")
        if interrupted or any(folder.reasons.get(RUN.format(label)) for label in LABELS):
            problems.append(f"when there is room, go on with: {_again(folder)}")
        raise MissingError("; ".join(problems))
    if interrupted:
        raise KeyboardInterrupt
    return 0


# --- training ----------------------------------------------------------------------------------


def _train_both(
    kept: Kept, data: datasets.Dataset, folder: RunFolder, args: argparse.Namespace
) -> None:
    """Train what has not ended, each run kept as soon as it is there; ``MissingError`` for what failed,
    ``KeyboardInterrupt`` if Ctrl-C ended it.
    """
    label = LABELS[0]
    try:
        if not args.json:
            shown = f"{said_of(kept.data)}\n{kept.settings}\n"
            common.console().print(shown, highlight=False, markup=False)
        # what overflows ends in one message, not in a warning for each op
        with backend.use_backend(kept.settings.backend), np.errstate(all="ignore"):
            for label in (label for label in LABELS if not kept.ended(label)):
                path = folder.path / CHECKPOINT.format(label)
                trained = partial(train_one, kept.settings, data, label, not args.no_progress, path)
                try:
                    run = trained()
                except OSError as error:  # of a checkpoint, which only guards the training
                    lost = "the last that was written" if path.exists() else "its start"
                    said = f"warning: {error}; {label} goes on without, from {lost}, and so would --resume"
                    print(f"minireg train: {said}", file=sys.stderr)
                    run = trained(keep=False)
                kept.runs[label] = replace(run, data=kept.data)
                folder.remove(DRAWN)  # of an interruption
                folder.write(record(kept))  # whatever becomes of the next
                if not kept.ended(label):
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        folder.write(record(kept))
        raise
    except (ArithmeticError, MemoryError, OSError, RuntimeError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise MissingError(f"the {label} run failed: {why}") from error


# --- what is kept ------------------------------------------------------------------------------


def record(kept: Kept) -> dict[str, Writer]:
    """The figures and weights of the run folder: name of the file → what writes it."""
    settings, runs = kept.settings, kept.runs
    histories = {label: run.history.to_dict() | _best(run) for label, run in runs.items()}
    about = {"format": FORMAT, "settings": asdict(settings), "command": settings.command}
    about |= {"data": kept.data, "rule": BEST, "runs": histories}
    text = json.dumps(finite(about), indent=1, allow_nan=False) + "\n"
    writers = {"history.json": whole(lambda path: path.write_text(text, "utf-8"))}
    for label, run in runs.items():
        if run.model is not None:
            writers[f"weights-{label}.npz"] = partial(checkpoint.save, state=run.model)
        if run.ledger is not None and run.ledger.history:
            writers["ledger.csv"] = whole(run.ledger.to_csv)
        writers[RUN.format(label)] = run.save
    return writers


def about(kept: Kept) -> dict[str, Any]:
    """What the page of a run says besides."""
    settings = kept.settings
    return {
        "title": f"minireg train: {settings.stem}",
        "settings": {name: " ".join(words) for name, words in settings.texts.items()},
        "command": settings.command,
        "note": " ".join(filter(None, (said_of(kept.data), caution(settings)))),
    }


def _draw(kept: Kept, folder: RunFolder) -> None:
    """Write the report, and the overview where there is something to see."""
    runs = kept.runs
    folder.write({"report.html": whole(partial(report, runs=runs, **about(kept)))})
    if all(len(run.history) for run in runs.values()):
        draw = lambda path: overview(runs).savefig(path, format="png", dpi=110)
        folder.write({"overview.png": whole(draw)})


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


def _print_json(kept: Kept, folder: RunFolder) -> None:
    figures = {}
    for label, run in kept.runs.items():
        last = run.figures(run.last) if len(run.history) else {}
        ending = {"stopped": run.history.stopped, "epochs": len(run.history)}
        figures[label] = ending | last | _best(run)
        if run.ledger is not None and run.ledger.history:
            books = run.ledger.whole
            figures[label]["ledger"] = {"residual": books.residual, "entries": books.summary()}
    about = {"settings": asdict(kept.settings), "data": kept.data, "folder": str(folder.path)}
    about["rule"] = BEST
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
            "end: the last epoch; best: the first of the highest validation accuracy (or lowest loss); "
            "restored: what --patience put back, by the loss. Nothing is chosen by the test data"
        )
        if settings.noise:
            note += f"\n{settings.noise:.0%} of the training labels are wrong, no other label is"
        console.print(comparison_table(done).titled("without and with regularizers", note))
        console.print(Text(headline(done).translate(ASCII), style="bold"), end="\n\n")
        if (unseen := unseen_table(done)).rows:
            console.print(unseen.titled("inputs that no unit looks at"))
        if len(done) > 1 and (warning := caution(settings)):
            console.print(Text(warning, style="dim"), end="\n\n")
    if folder.files:
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
