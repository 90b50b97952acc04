"""``minireg sweep``: train at every point of a grid of settings, with several seeds each, and compare.

what happens
  Flags of minireg train that are given several values span a grid (not --hidden, which is a list
  itself, and not --data or --seed), and so do values in braces within a --penalty, whose axis is
  called PENALTY.ARGUMENT. The regularized training
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
  minireg sweep --penalty "GroupLasso({1e-4, 1e-3, 1e-2}, axis=0)" --on 0.weight --via prox
  minireg sweep --ablate --dataset wine --out runs/ablation
  minireg sweep --lr 0.005 0.01 0.02 0.05 --halving --scheduler tcp://10.0.0.1:8786

exit code
  0 every trial is there, 1 some failed, or something is missing or cannot be written,
  2 a wrong flag or value, 130 Ctrl-C
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import math
import shlex
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, backend, datasets
from ..inspect.run import COUNTS, some
from ..messages import needed
from ..sweep import Halving, Row, Sweep, experiment_of, sweep
from ..tables import number
from ..trials import Store, key
from ..workers import message
from . import common, compare
from .common import MissingError, UsageError, flag, flags, in_range
from .compare import ABLATED, DATA
from .folder import STORE, RunFolder
from .settings import TrainSettings, add_flags
from .spelled import points
from .trial import loaded, prepared, read, train_one, tried

# What --ablate switches off, beside each --penalty: its name → the setting.
SWITCHES = {n: n for n in ("l2", "l1", "dropout", "label_smoothing", "weight_decay")}
SWITCHES["early_stopping"] = "patience"


def declare(commands: common.Commands) -> None:
    """Declare the command."""
    short = "train with several λ and seeds, or with and without each regularizer, and compare"
    parser = common.declare(commands, "sweep", run, short, __doc__)
    add_flags(parser, several=True)
    add = flags(parser.add_argument_group("sweep"), run)
    add("--seeds", type=in_range(1, whole=True), default=5, metavar="N")
    add("--ablate", action="store_true")
    add("--halving", action="store_true")
    add("--n-jobs", type=int, default=1, metavar="N")
    add("--scheduler", metavar="ADDRESS")
    add("--retries", type=in_range(0, whole=True), default=2, metavar="N")
    group = parser.add_argument_group("output")
    flags(group, run)("--out", type=common.folder, metavar="DIR")
    compare.add_flags(group)


def run(args: argparse.Namespace) -> int:
    """``minireg sweep``.

    Attributes
    ----------
    seeds : how many seeds at each point, of which --seed is the first; default 5
    ablate : no grid: what each regularizer brings alone, and what is lost without it
    halving : a third of the points goes on to three times the epochs, up to --epochs
    n_jobs : trainings at a time, in as many processes; -1: one for each core; default 1
    scheduler : a Dask scheduler, tcp://HOST:PORT; or "local": a Dask cluster of --n-jobs processes
    retries : how often a training is repeated whose worker died; default 2
    out : folder, new or of this sweep, which then goes on; default runs/sweep-DATA-DATE-TIME
    """
    engine = {"distributed": "cluster"} if args.scheduler else {"joblib": "sweep"}
    common.need(threadpoolctl="sweep", **(engine if args.scheduler or args.n_jobs != 1 else {}))
    plan, data = _planned(args)
    common.need_backend(plan.settings.backend)
    folder = RunFolder.new(args.out, f"sweep-{data.name}")  # held until this function ends
    there = plan.there(folder.path)
    with common.printing():
        if not args.json:
            were = f"{len(there)} of {plan.total} trials were there\n" * bool(there)
            print(f"{data}\n{plan}\n{were}")
    found = _computed(plan, folder.path / STORE, there, args)
    common_to_all = plan.key["settings"] | {"data": plan.settings.data}
    about = {"folder": str(folder.path), "settings": common_to_all, "seeds": [*plan.seeds]}
    about["trials"] = {"planned": plan.total, "there": len(there), "done": len(found.rows)}
    if found.rows:
        with common.printing():
            compare.say([folder.path], args, about)
    rest = f"{len(found.rows)} of {plan.total} trials are in {folder.path}"
    errors = [message(row["error"]) for row in found.failed]
    if found.missing or not all(error.startswith("FloatingPointError") for error in errors):
        # what diverged would do so again
        rest += f"; the same command with --out {shlex.quote(str(folder.path))} computes the rest"
    if found.missing:
        raise KeyboardInterrupt(f"; {rest}")
    if failed := found.failed:
        where = f"{compare.where(failed[0], found.parameters)}, seed {failed[0]['seed']}"
        first = "" if found.rows else f", the first at {where}: {errors[0]}"
        raise MissingError(f"{compare.count(len(failed), 'trial')} failed{first}; {rest}")
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
        points = math.prod(map(len, self.grid.values()))
        rungs = self.halving.rungs(points) if self.halving else [(points, 0)]
        return len(self.seeds) * sum(count for count, _ in rungs)

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
            with (
                warnings.catch_warnings(record=True, action="always") as damaged,
                Store(folder / STORE, experiment) as store,
            ):
                trials = store.trials()
        except ValueError as error:
            said = str(error).removeprefix("sweep: ")
            said = said.replace("key data", f"the data in {self.settings.data}")
            raise MissingError(said) from error
        for warning in damaged:
            print(f"minireg {warning.message}", file=sys.stderr)
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
            lines = [f"{n}: {some([*map(compare.text, v)], 8)}" for n, v in self.grid.items()]
        counts = (len(points(self.grid)), "point"), (len(self.seeds), "seed"), (self.total, "trial")
        at, seeds, trials = (f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts)
        return "\n".join([*lines, f"{at}, {seeds}: {'at most ' * bool(self.halving)}{trials}"])


def _planned(args: argparse.Namespace) -> tuple[Plan, datasets.Dataset]:
    """The plan, of which every value was tried before anything is trained, and the first data."""
    grid = TrainSettings.grid(vars(args))
    _refuse(args, grid)
    fields = TrainSettings.__dataclass_fields__.keys() - grid.keys()
    given = {name: value for name, value in vars(args).items() if name in fields}
    chosen = given.get("penalty", [])
    given["penalty"] = [asdict(penalty) for penalty in chosen]
    if given.get("data"):
        given["data"] = str(Path(given["data"]).resolve())  # workers may be in another folder
    every = points(grid)
    settled = [TrainSettings.of(given, point) for point in every]
    first, data = prepared(settled[0])
    _split(settled, seeds := range(first.seed, first.seed + args.seeds))
    for name, values in grid.items():
        for value in values[1:]:
            tried(TrainSettings.of(given, every[0] | {name: value}).for_data(data), data)
    known = figure_names(data.task)
    figure = args.figure or compare.preferred(known, args.ablate)
    if figure not in known:
        raise UsageError(f"--figure: there is no {figure!r}, expected one of {', '.join(known)}")
    halving = None
    if args.halving:
        halving = Halving(figure, first.epochs, mode=args.mode or compare.best_of(figure))
        given.pop("epochs", None)
    dicts = [asdict(settings.for_data(data)) for settings in settled]
    apart = {"data", "seed", *grid, *(["epochs"] if halving else [])}
    shared = {n: v for n, v in dicts[0].items() if n not in apart and all(d[n] == v for d in dicts)}
    shared["penalty"] = [asdict(p) | {"penalty": p.text({})} for p in chosen]
    digest = _digest(first.data) if first.data else None
    what = {"minireg": __version__, "data": digest, "settings": shared}
    if args.ablate:
        grid = _ablation(first)
    grid = grid or {"l2": [first.l2]}
    return Plan(first, given, digest, grid, seeds, halving, what, figure), data


def _split(settled: list[TrainSettings], seeds: range) -> None:
    """``MissingError`` that says with which of the seeds there are no data to train on."""
    apart = {tuple(getattr(settings, name) for name in DATA): settings for settings in settled}
    lost: dict[str, dict[int, None]] = {}
    for seed, settings in itertools.product(seeds, apart.values()):
        try:
            loaded(replace(settings, seed=seed))
        except MissingError as error:
            lost.setdefault(str(error), {})[seed] = None
    if lost:
        said = (f"seed {', '.join(map(str, at))}: {why}" for why, at in lost.items())
        raise MissingError("; ".join(said))


def _refuse(args: argparse.Namespace, grid: dict[str, list[Any]]) -> None:
    """``UsageError`` for flags that do not go together."""
    if args.ablate and (grid or args.halving):
        several = [flag(name if "." not in name else "penalty") for name in grid]
        what = f"several values of {several[0]}" if several else "--halving"
        raise UsageError(f"--ablate compares one setting's regularizers; leave out {what}")
    if args.halving and (lost := {"epochs", "validation"} & grid.keys()):
        same = "trainings of the same epochs, at last --epochs, on the same rows"
        raise UsageError(f"--halving compares {same}; give one value of {flag(max(lost))}")
    if args.n_jobs == 0:
        raise UsageError("--n-jobs: expected a whole number other than 0, got 0")
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
    on = [name for name, setting in SWITCHES.items() if getattr(settings, setting)]
    return [*on, *settings.chosen]


def ablated(settings: TrainSettings, on: Sequence[str]) -> TrainSettings:
    """The settings with these regularizers alone.

    >>> regularizers(ablated(TrainSettings(), ["l1"]))
    ['l1']
    """
    kept = [chosen for name, chosen in settings.chosen.items() if name in on]
    off: dict[str, Any] = {setting: 0 for name, setting in SWITCHES.items() if name not in on}
    return replace(settings, **off, penalty=kept)


def _ablation(settings: TrainSettings) -> dict[str, list[Any]]:
    """None of the regularizers, each alone, all but one, all: of two, alone is all but one."""
    if not (names := regularizers(settings)):
        raise UsageError("--ablate: no regularizer is on")
    words = [*names, "none", "all"]  # as compare calls the two ends
    if twice := [name for name in names if words.count(name) > 1]:
        raise UsageError(f"--ablate: the name {twice[0]!r} is taken; choose another")
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
        settings = TrainSettings.of(given, point)
        data = _data(digest, *(getattr(settings, name) for name in DATA))
        settings = settings.for_data(data)
        if on is not None:
            settings = ablated(settings, on)
        with backend.use_backend(settings.backend):
            run = train_one(settings, data, "regularized", progress=False, books=False)
    best = run.figures(run.history.rows[(run.best_epoch or 0) - 1])
    figures = run.figures(run.last) | {f"best_{name}": value for name, value in best.items()}
    figures |= {"epochs_trained": len(run.history), "best_epoch": run.best_epoch or math.nan}
    return {n: figures.get(n, 0) for n in figure_names(data.task)}  # 0 of no wrong labels


@lru_cache(maxsize=1)  # trials come seed by seed, so it is read once for each
def _data(digest: str | None, *values: Any) -> datasets.Dataset:
    settings = TrainSettings(**dict(zip(DATA, values, strict=True)))
    if settings.data and _digest(settings.data) != digest:
        raise ValueError(f"{settings.data} is not the file with which the sweep began")
    return read(settings)


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def figure_names(task: str) -> list[str]:
    """The figures of a trial.

    >>> figure_names("regression")[:3]
    ['train_loss', 'validation_loss', 'test_loss']
    """
    labels = task == "classification"
    kinds = ("loss", "accuracy")[: 1 + labels]
    names = [f"{part}_{kind}" for kind in kinds for part in ("train", "validation", "test")]
    names += [*(COUNTS if labels else ()), "zeros"]
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
    if (terminal := common.terminal(stderr=True)) is None:
        yield lambda row: None
        return
    from rich.progress import Progress

    sign = 1 if (mode or compare.best_of(plan.figure)) == "min" else -1
    values: dict[str, list[float]] = {}

    def best(row: Row) -> str | None:  # None: what was said stays
        if plan.figure in row:
            values.setdefault(compare.where(row, plan.grid), []).append(sign * row[plan.figure])
        means = [(sum(v) / len(v), where) for where, v in values.items()]
        equal = len({*map(len, values.values())}) == 1
        return f"best {min(means)[1]}: {number(sign * min(means)[0])}" if equal else None

    with Progress(console=terminal) as bar:
        said = [text for row in there if (text := best(row))]
        task = bar.add_task(said[-1] if said else "", total=plan.total, completed=len(there))
        yield lambda row: bar.update(task, advance=1, description=best(row))
