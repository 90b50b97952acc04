"""``minireg sweep``: train at every point of a grid of settings, with several seeds each, and compare.

what happens
  Flags of minireg train that are given several values span a grid (not --hidden, which is a list
  itself, and not --data, --penalty with its --on and --via, or --seed). The regularized training
  runs at every point of it with --seeds seeds: first all points with the first seed, then
  with the next. Its figures, of the weights it ends with and (best_…) of its best epoch,
  which the validation half chooses, go into DIR/sweep.sqlite as soon as it ends. Then comes what
  minireg compare DIR shows. The same command with the same --out computes what is missing
  or failed only. A training takes one BLAS thread, wherever it runs: so the table is the
  same on one core, on many, and on a cluster.

what --ablate compares
  none and all of the regularizers that are on, each alone, and all but one: l2, l1, every
  --penalty, dropout, label_smoothing, weight_decay and, with --patience, early_stopping.
  Data, network, optimizer, schedule and --clip-norm stay as they are. Differences are taken
  seed by seed, as trainings with one seed share data, wrong labels and first weights.

examples
  minireg sweep --l2 1e-4 1e-3 1e-2 --l1 0
  minireg sweep --l2 1e-4 1e-3 1e-2 --dropout 0 0.5 --seeds 3 --n-jobs -1 --over l2
  minireg sweep --ablate --dataset wine --out runs/ablation
  minireg sweep --lr 0.005 0.01 0.02 0.05 --halving --scheduler tcp://10.0.0.1:8786
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import itertools
import math
import shlex
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, backend, datasets
from ..inspect.run import COUNTS
from ..messages import needed
from ..sweep import Halving, Row, Sweep, experiment_of, sweep
from ..tables import number
from ..trials import Store, key
from ..workers import message
from . import common, compare
from .common import MissingError, UsageError, in_range
from .compare import ABLATED, DATA, STORE
from .folder import RunFolder, made
from .settings import SEE, TrainSettings, add_flags
from .trial import prepared, read, train_one, tried

# What --ablate switches off, beside each --penalty: its name → the setting.
SWITCHES = {n: n for n in ("l2", "l1", "dropout", "label_smoothing", "weight_decay")}
SWITCHES["early_stopping"] = "patience"
PARTS = ("train", "validation", "test")
LISTED = 8  # values of a setting, at most


def declare(commands: common.Commands) -> None:
    """Declare the command."""
    short = "train with several λ and seeds, or with and without each regularizer, and compare"
    parser = common.declare(commands, "sweep", run, short, __doc__)
    add_flags(parser, several=True)
    add = parser.add_argument_group("sweep").add_argument
    about = "how many seeds at each point, of which --seed is the first; default 5"
    add("--seeds", type=in_range(1, whole=True), default=5, metavar="N", help=about)
    about = "no grid: what each regularizer brings alone, and what is lost without it"
    add("--ablate", action="store_true", help=about)
    about = "a third of the points goes on to three times the epochs, up to --epochs"
    add("--halving", action="store_true", help=about)
    about = "trainings at a time, in as many processes; -1: one for each core; default 1"
    add("--n-jobs", type=_jobs, default=1, metavar="N", help=about)
    about = 'a Dask scheduler, tcp://HOST:PORT; or "local": a Dask cluster of --n-jobs processes'
    add("--scheduler", metavar="ADDRESS", help=about)
    about = "how often a training is repeated whose worker died; default 2"
    add("--retries", type=in_range(0, whole=True), default=2, metavar="N", help=about)
    add = parser.add_argument_group("output").add_argument
    about = "folder, new or of this sweep, which then goes on; default runs/sweep-DATA-DATE-TIME"
    add("--out", type=common.folder, metavar="DIR", help=about)
    compare.add_flags(add)


def _jobs(text: str) -> int:
    """An argparse type: a number of processes."""
    if not text.removeprefix("-").isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number other than 0, got {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """``minireg sweep``."""
    engine = {"distributed": "cluster"} if args.scheduler else {"joblib": "sweep"}
    common.need(threadpoolctl="sweep", **(engine if args.scheduler or args.n_jobs != 1 else {}))
    plan, data = _planned(args)
    common.need_backend(plan.settings.backend)
    path = args.out or Path("runs") / f"sweep-{data.name}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = RunFolder(made(path, new=args.out is None))  # held until this function ends
    there = plan.there(folder.path)
    if not args.json:
        print(f"{data}\n{plan}")
        if there:
            print(f"{len(there)} of {plan.total} trials were there")
        print(flush=True)
    found = _computed(plan, folder.path / STORE, there, args)
    about = {"folder": str(folder.path), "settings": plan.settings.to_dict()}
    about["trials"] = {"planned": plan.total, "there": len(there), "done": len(found.rows)}
    if found.rows:
        compare.say([folder.path], args, about)
    rest = f"{len(found.rows)} of {plan.total} trials are in {folder.path}; "
    rest += f"the same command with --out {shlex.quote(str(folder.path))} computes the rest"
    if found.missing:
        print(f"minireg sweep: interrupted; {rest}", file=sys.stderr)
        return 130
    if failed := found.failed:
        where = f"{compare.where(failed[0], found.parameters)}, seed {failed[0]['seed']}"
        first = f", the first at {where}: {message(failed[0]['error'])}"
        raise MissingError(f"{len(failed)} trials failed{'' if found.rows else first}; {rest}")
    return 0


# --- what is to be computed ---------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What a command line asks for.

    Attributes
    ----------
    settings : those of the first point, or of all regularizers.
    given : what is common to all points, as JSON holds it.
    digest : of the file of data, or None.
    grid, seeds, halving, key : as :func:`minireg.sweep` takes them.
    figure : what to compare by.
    """

    settings: TrainSettings
    given: dict[str, Any]
    digest: str | None
    grid: dict[str, list[Any]]
    seeds: range
    halving: Halving | None
    key: dict[str, Any]
    figure: str

    @property
    def total(self) -> int:
        """How many trials there are; with halving at most."""
        points, total = math.prod(map(len, self.grid.values())), 0
        for budget in self.halving.budgets if self.halving else [None]:
            if self.halving is None or points > 1 or budget == self.halving.most:
                total += points * len(self.seeds)
                points = math.ceil(points / (self.halving.factor if self.halving else 1))
        return total

    @property
    def function(self) -> Callable[..., dict[str, float]]:
        """What is called at each point."""
        return partial(trained, self.given, self.digest)

    def there(self, folder: Path) -> list[Row]:
        """The trials that a folder has already; ``MissingError`` if it holds something else."""
        if any(folder.iterdir()) and not (folder / STORE).exists():
            raise MissingError(f"{folder} is not empty and holds no sweep; choose another --out")
        names = [*self.grid, *([self.halving.budget] if self.halving else [])]
        experiment = experiment_of(self.function, self.key, names, self.halving)
        try:
            with Store(folder / STORE, experiment) as store:
                trials = store.trials()
        except ValueError as error:
            raise MissingError(str(error).removeprefix("sweep: ")) from error
        keys = {key(point, seed) for point in points(self.grid) for seed in self.seeds}
        return [
            {**trial.point, "seed": trial.seed, **trial.figures}
            for k, trial in trials.items()
            if trial.figures is not None and (self.halving or k in keys)
        ]

    def __str__(self) -> str:
        """What is swept, and how many trials that takes."""
        if ABLATED in self.grid:
            names = ", ".join(regularizers(self.settings))
            lines = [f"none of {names}; each alone; all but one; all"]
        else:
            lines = [f"{name}: {_values(values)}" for name, values in self.grid.items()]
        counts = (len(points(self.grid)), "point"), (len(self.seeds), "seed"), (self.total, "trial")
        at, seeds, trials = (f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts)
        return "\n".join([*lines, f"{at}, {seeds}: {'at most ' * bool(self.halving)}{trials}"])


def _values(values: list[Any]) -> str:
    """Some of the values of a setting."""
    texts = [compare.text(value) for value in values]
    if len(texts) > LISTED:
        texts = [*texts[: LISTED - 2], "…", f"{texts[-1]} ({len(texts)} values)"]
    return ", ".join(texts)


def points(grid: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """All of a grid.

    >>> points({"l2": [0, 1], "l1": [2]})
    [{'l2': 0, 'l1': 2}, {'l2': 1, 'l1': 2}]
    """
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _planned(args: argparse.Namespace) -> tuple[Plan, datasets.Dataset]:
    """The plan, of which every value was tried before anything is trained, and the first data."""
    grid, fields = TrainSettings.grid(args), TrainSettings.__dataclass_fields__
    _refuse(args, grid)
    given = {n: v for n, v in vars(args).items() if n in fields and n not in grid}
    given["penalty"] = [asdict(chosen) for chosen in given.get("penalty", [])]
    if given.get("data"):
        given["data"] = str(Path(given["data"]).resolve())  # workers may be in another folder
    every = points(grid)
    settled = [TrainSettings(**given | point) for point in every]
    first, data = prepared(settled[0])
    for name, values in grid.items():
        for value in values[1:]:
            tried(TrainSettings(**given | every[0] | {name: value}).for_data(data), data)
    known = figure_names(data.task)
    figure = args.figure or compare.preferred(known, args.ablate)
    if figure not in known:
        raise UsageError(f"--figure: there is no {figure!r}, expected one of {', '.join(known)}")
    halving = None
    if args.halving:
        halving = Halving(figure, first.epochs, mode=args.mode or compare.best_of(figure))
        given.pop("epochs", None)
    dicts = [settings.for_data(data).to_dict() for settings in settled]
    apart = {"data", "seed", *grid, *(["epochs"] if halving else [])}
    shared = {n: v for n, v in dicts[0].items() if n not in apart and all(d[n] == v for d in dicts)}
    digest = _digest(first.data) if first.data else None
    what = {"minireg": __version__, "data": digest, "settings": shared}
    if args.ablate:
        grid = _ablation(first)
    grid = grid or {"l2": [first.l2]}
    seeds = range(first.seed, first.seed + args.seeds)
    return Plan(first, given, digest, grid, seeds, halving, what, figure), data


def _refuse(args: argparse.Namespace, grid: dict[str, list[Any]]) -> None:
    """``UsageError`` for flags that do not go together."""
    flags = [f"--{name.replace('_', '-')}" for name in grid]
    if args.ablate and (grid or args.halving):
        what = f"several values of {flags[0]}" if grid else "--halving"
        raise UsageError(f"--ablate compares one setting's regularizers; leave out {what}")
    if args.halving and "epochs" in grid:
        raise UsageError("--halving decides on the epochs; give one value of --epochs, the most")
    if args.scheduler not in (None, "local") and args.n_jobs != 1:
        raise UsageError(f"--n-jobs is of this machine; {args.scheduler} has its own workers")
    if args.over is not None and args.over not in grid:
        raise UsageError(f"--over {args.over} has no several values; these have: {', '.join(grid)}")


# --- ablation -----------------------------------------------------------------------------------


def regularizers(settings: TrainSettings) -> list[str]:
    """The names of those that are on, for ``--ablate``; penalties have those of their terms.

    >>> regularizers(TrainSettings(l2=0, l1=0, patience=3))
    ['dropout', 'label_smoothing', 'early_stopping']
    """
    terms = [*settings.terms()]
    penalties = terms[len(terms) - len(settings.penalty) :]
    return [name for name, flag in SWITCHES.items() if getattr(settings, flag)] + penalties


def ablated(settings: TrainSettings, on: Sequence[str]) -> TrainSettings:
    """The settings with these regularizers alone.

    >>> regularizers(ablated(TrainSettings(), ["l1"]))
    ['l1']
    """
    names = regularizers(settings)[-len(settings.penalty) :] if settings.penalty else []
    kept = [p for name, p in zip(names, settings.penalty, strict=True) if name in on]
    off: dict[str, Any] = {flag: 0 for name, flag in SWITCHES.items() if name not in on}
    return replace(settings, **off, penalty=kept)


def _ablation(settings: TrainSettings) -> dict[str, list[Any]]:
    """None of the regularizers, each alone, all but one, all: of two, alone is all but one."""
    names = regularizers(settings)
    if not names or len({*names}) < len(names):
        problem = f"two are named alike in {', '.join(names)}" if names else "no regularizer is on"
        raise UsageError(f"--ablate: {problem} {SEE}")
    alone = [(name,) for name in names]
    without = [tuple(n for n in names if n != name) for name in names]
    return {ABLATED: [*dict.fromkeys([(), *alone, *without, tuple(names)])]}


# --- one trial ----------------------------------------------------------------------------------

_ONE_AT_A_TIME = threading.Lock()  # a worker's threads share backend and BLAS


def trained(
    given: dict[str, Any], digest: str | None, *, seed: int, **point: Any
) -> dict[str, float]:
    """The figures of one regularized training with one BLAS thread: :func:`figure_names`.

    ``given`` and ``point`` make the settings; ``ValueError`` if the file of data has not this digest.
    """
    on = point.pop(ABLATED, None)
    point["seed"] = seed
    threads = needed("minireg sweep needs threadpoolctl", "threadpoolctl", "'minireg[sweep]'")
    with _ONE_AT_A_TIME, threads.threadpool_limits(1), np.errstate(all="ignore"):
        settings = TrainSettings(**given | point)
        data = _data(digest, *(getattr(settings, name) for name in DATA))
        settings = settings.for_data(data)
        if on is not None:
            settings = ablated(settings, on)
        with backend.use_backend(settings.backend):
            run = train_one(settings, data, "regularized", progress=False, books=False)
    names, best = _measured(data.task), run.history.rows[(run.best_epoch or 0) - 1]
    figures = {name: run.figures(run.last).get(name, 0) for name in names}  # 0 of no wrong labels
    figures |= {"epochs_trained": len(run.history), "best_epoch": run.best_epoch or math.nan}
    return figures | {f"best_{name}": run.figures(best).get(name, 0) for name in names}


@lru_cache(maxsize=1)  # trials come seed by seed, so it is read once for each
def _data(digest: str | None, *values: Any) -> datasets.Dataset:
    settings = TrainSettings(**dict(zip(DATA, values, strict=True)))
    if settings.data and _digest(settings.data) != digest:
        raise ValueError(f"{settings.data} is not the file with which the sweep began")
    return read(settings)


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _measured(task: str) -> list[str]:
    kinds = ("loss", "accuracy") if task == "classification" else ("loss",)
    counts = COUNTS if task == "classification" else ()
    return [*(f"{part}_{kind}" for kind in kinds for part in PARTS), *counts, "zeros"]


def figure_names(task: str) -> list[str]:
    """The figures of a trial.

    >>> figure_names("regression")[:3]
    ['train_loss', 'validation_loss', 'test_loss']
    """
    names = _measured(task)
    return [*names, "epochs_trained", "best_epoch", *(f"best_{name}" for name in names)]


# --- the sweep ----------------------------------------------------------------------------------


def _computed(plan: Plan, store: Path, there: list[Row], args: argparse.Namespace) -> Sweep:
    """What :func:`minireg.sweep` gives, also if every trial has failed."""
    failed: list[Any] = []
    with _progress(plan, there, args.mode) as show, warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"sweep: \d+ of \d+ runs failed")  # they are listed

        def ended(row: Row) -> None:
            failed.append(row.get("error"))
            show(row)

        try:
            return sweep(
                plan.function, plan.grid, seeds=plan.seeds, n_jobs=args.n_jobs,
                scheduler=args.scheduler, retries=args.retries, store=store, key=plan.key,
                halving=plan.halving, on_run=ended,
            )  # fmt: skip
        except Exception as error:
            if any(error is one for one in failed):
                return Sweep.load(store)
            if isinstance(error, ConnectionError) or not isinstance(error, OSError):
                raise MissingError(str(error).removeprefix("sweep: ")) from error
            raise


@contextlib.contextmanager
def _progress(plan: Plan, there: list[Row], mode: str | None) -> Iterator[Callable[[Row], None]]:
    """A function to call with each row; in a terminal it moves a bar, and says which is best so far."""
    terminal = importlib.util.find_spec("rich") and common.console(stderr=True)
    if not terminal or not terminal.is_terminal:
        yield lambda row: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    sign = 1 if (mode or compare.best_of(plan.figure)) == "min" else -1
    values: dict[str, list[float]] = {}

    def best(row: Row) -> str:
        if plan.figure in row:
            values.setdefault(compare.where(row, plan.grid), []).append(sign * row[plan.figure])
        most = max(map(len, values.values()), default=0)
        means = [(sum(v) / most, where) for where, v in values.items() if len(v) == most]
        return f"best {min(means)[1]}: {number(sign * min(means)[0])}" if means else ""

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=terminal) as bar:
        said = [best(row) for row in there]
        task = bar.add_task(said[-1] if said else "", total=plan.total, completed=len(there))
        yield lambda row: bar.update(task, advance=1, description=best(row))
