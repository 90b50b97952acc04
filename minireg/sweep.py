"""sweep: the same function at every point of a grid and every seed, in parallel."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .checkpoint import replacing
from .inspect.history import finite
from .messages import check_kind, check_option, within
from .trials import Key, Store, same
from .trials import key as key_of
from .workers import Ending, NotedError, Outcome, Point, Trial, digest, inner, message, outcomes

Row = dict[str, Any]
COLUMNS = ("mean", "std", "se", "seeds", "error")  # of a summary, and of what failed


@dataclass(frozen=True)
class Halving:
    """Successive halving: all points with a small budget, then the best of them with a larger one.

    After a rung of n points the best ⌈n / factor⌉ go on, judged by the mean of a figure over the seeds;
    of equal ones the first in the grid. A point with a NaN or a failed seed goes no further. The last
    rung has the budget ``most``, each before it a ``factor``-th of the next's, rounded down: as many
    rungs as it takes to come to one point, fewer where a budget would be below ``least``. Each trial
    starts anew: n points cost about n · most · rungs / factor^(rungs − 1).

    Parameters
    ----------
    figure : what to judge by, as the function returns it; with ``mode`` it may change in a store.
    most : the budget of a full result, an integer ≥ 1.
    budget : the name under which the function gets it.
    least : the smallest budget, in [1, most].
    factor : η ≥ 2.
    mode : "min", or "max" if more is better.

    ``ValueError`` for other values. K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm
    Identification and Hyperparameter Optimization", AISTATS 2016.

    >>> Halving("loss", 20).rungs(9)
    [(9, 2), (3, 6), (1, 20)]
    """

    figure: str
    most: int
    budget: str = "epochs"
    least: int = 1
    factor: int = 3
    mode: Literal["min", "max"] = "min"

    def __post_init__(self) -> None:
        check_option("Halving", 1, most=self.most, least=self.least)
        check_option("Halving", 2, factor=self.factor)
        check_option("Halving", ("min", "max"), mode=self.mode)
        if self.least > self.most:
            raise ValueError(f"Halving: least={self.least} is more than most={self.most}")

    def rungs(self, points: int) -> list[tuple[int, int]]:
        """How many points each rung has, at most, and its budget."""
        counts, budgets = [points], [self.most]
        while counts[-1] > 1 and (below := budgets[0] // self.factor) >= self.least:
            counts.append(math.ceil(counts[-1] / self.factor))
            budgets.insert(0, below)
        return [*zip(counts, budgets, strict=True)]

    def survivors(self, rung: Sweep, points: list[Point], seeds: int) -> list[Point]:
        """Those of the points of a rung, each with so many seeds, that go on, in their order."""
        rows = rung.summary(self.figure)
        judged = [row for row in rows if row["seeds"] == seeds and not math.isnan(row["mean"])]
        sign = 1 if self.mode == "min" else -1
        ranked = sorted(range(len(judged)), key=lambda i: sign * judged[i]["mean"])
        best = sorted(ranked[: math.ceil(len(points) / self.factor)])
        return [{name: judged[i][name] for name in points[0]} for i in best]


@dataclass(frozen=True)
class Sweep:
    """What :func:`sweep` returns: one row per run; ``sweep["value"]`` is a column.

    Attributes
    ----------
    parameters, figures : names of the grid's parameters, and of what the function returned.
    rows : for each run its parameters, ``seed`` and figures.
    failed : for each run that ended in an error its parameters, ``seed`` and ``error``.
    stopped : "finished", or "interrupted" if Ctrl-C came before the end.
    missing : for each run that Ctrl-C left undone its parameters and ``seed``.
    halving : the :class:`Halving` that chose the points, or None. The budget is then a parameter;
        ``best`` and ``one_standard_error`` look at :attr:`full` results alone.

    ``KeyError`` for an unknown column.

    >>> import minireg as mr
    >>> found = mr.sweep(lambda lr, seed: lr + seed, {"lr": [0.1, 0.2]}, seeds=[0, 1])
    >>> found["value"]
    [0.1, 1.1, 0.2, 1.2]
    """

    parameters: tuple[str, ...]
    figures: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    failed: tuple[dict[str, Any], ...] = ()
    stopped: str = "finished"
    missing: tuple[dict[str, Any], ...] = ()
    halving: Halving | None = None

    @classmethod
    def load(cls, path: str | Path) -> Sweep:
        """All that the store of a :func:`sweep` holds, in the order in which it was first asked for.

        Errors have become a ``RuntimeError`` of their type and text. ``FileNotFoundError`` if there
        is no file, ``ValueError`` for one that is damaged or no store, ``OSError`` if it cannot be
        read.

        >>> import tempfile, minireg as mr
        >>> store = Path(tempfile.mkdtemp()) / "sweep.sqlite"
        >>> found = mr.sweep(lambda l2, seed: l2 / 2, {"l2": [1, 2]}, store=store, key="halves")
        >>> mr.Sweep.load(store) == found
        True
        """
        with Store(path) as store:
            experiment, trials = store.experiment, store.trials().values()
        try:
            halving = experiment["halving"] and Halving(**experiment["halving"])
            names = experiment["parameters"]
            runs = [({name: t.point[name] for name in names}, t.seed) for t in trials]
        except (TypeError, LookupError, ValueError) as error:
            raise ValueError(
                f"Sweep.load: {str(path)!r} is no store of a sweep: {error!r}"
            ) from error
        endings = [NotedError(t.error) if t.error else t.figures for t in trials]
        return tabulated(names, runs, endings, halving)

    @property
    def full(self) -> Sweep:
        """Without the runs of a smaller budget than that of :class:`Halving`'s last rung."""
        if self.halving is None:
            return self
        name, most = self.halving.budget, self.halving.most
        parts: dict[str, Any] = {
            part: tuple(row for row in getattr(self, part) if row[name] == most)
            for part in ("rows", "failed", "missing")
        }
        return replace(self, **parts, halving=None)

    def __getitem__(self, column: str) -> list[Any]:
        known = [*self.parameters, "seed", *self.figures]
        if column not in known:
            raise KeyError(f"Sweep: no column {column!r}, expected one of {known}")
        return [row[column] for row in self.rows]

    def summary(self, figure: str) -> list[dict[str, Any]]:
        """Rows of ``mean``, ``std``, ``se`` and number of ``seeds`` of a figure at each grid point.

        ``std`` is that of the sample (n − 1), NaN for one seed; ``se`` = std/√n is the standard error
        of the mean. ``KeyError`` for an unknown figure.
        """
        points: dict[Any, tuple[dict[str, Any], list[float]]] = {}
        for row, value in zip(self.rows, self[figure], strict=True):
            point = {p: row[p] for p in self.parameters}
            points.setdefault((*map(same, point.values()),), (point, []))[1].append(value)
        return [point | _statistics(np.array(values, float)) for point, values in points.values()]

    def best(self, figure: str, mode: Literal["min", "max"] = "min") -> dict[str, Any]:
        """The row of :meth:`summary` with the smallest (``mode="max"``: largest) mean of a figure.

        ``ValueError`` where points lack seeds that others have, as one easy seed is no good point, and
        for another mode. Points at which such a run failed, and those whose mean is NaN, are left out
        with a warning; ``ValueError`` if none remains. What :class:`Halving` stopped early is never the
        best.
        """
        check_option("Sweep.best", ("min", "max"), mode=mode)
        return (min if mode == "min" else max)(self._ranked(figure), key=lambda row: row["mean"])

    def _ranked(self, figure: str) -> list[dict[str, Any]]:
        """The rows of a summary of which one is best; errors and warnings as of :meth:`best`."""
        points = self.full.summary(figure)
        if not points and self.halving:
            budget = f"{self.halving.budget}={self.halving.most}"
            raise ValueError(f"Sweep.best: no run has {budget} yet")
        seeds, failed = self._seeds(self.full.rows), self._seeds(self.full.failed)
        there, every = [*zip(points, seeds.values(), strict=True)], set().union(*seeds.values())
        if any(every - has - failed.get(key, set()) for key, has in seeds.items()):
            held = (f"{', '.join(map(str, sorted(has)))} at {self._text(p)}" for p, has in there)
            why = "none is best until all points have the same seeds; there are"
            raise ValueError(f"Sweep.best: {why} {'; '.join(held)}")
        whole = [point for point, has in there if has == every]
        known = [row for row in whole if not math.isnan(row["mean"])]
        for some, why in (
            ([p for p in points if p not in whole], "a run failed"),
            ([p for p in whole if p not in known], f"{figure!r} is nan"),
        ):
            if some and known:
                at = "; ".join(map(self._text, some))
                warnings.warn(f"Sweep.best: {why} at {at}, left out", stacklevel=3)
        if not known:
            raise ValueError(
                f"Sweep.best: at none of {len(points)} points {figure!r} is a number for all seeds"
            )
        return known

    def one_standard_error(
        self, figure: str, parameter: str | None = None, mode: Literal["min", "max"] = "min"
    ) -> dict[str, Any]:
        """The row of :meth:`summary` that Breiman's one-standard-error rule chooses.

        It is the largest λ whose mean is at most m + s, where m is the mean at the best λ, and
        s = std/√n its standard error over the n seeds (``mode="max"``: at least m − s): the simplest
        fit that the best is not clearly better than.

        Parameters
        ----------
        figure, mode : as for :meth:`best`.
        parameter : λ, whose values are numbers, of which the larger regularizes more; by default the
            only one with several values. All others are held at those of the best point.

        ``ValueError`` if several parameters vary and none is named, for values without an order, and
        where the best has a single seed, so that there is no standard error. Breiman, Friedman,
        Olshen and Stone, "Classification and Regression Trees" (1984), 3.4.3.

        >>> import minireg as mr
        >>> found = mr.sweep(lambda l2, seed: l2 + 9 * seed, {"l2": [1, 2, 9]}, seeds=[0, 1])
        >>> found.best("value")["l2"], found.one_standard_error("value")["l2"]
        (1, 2)
        """
        check_option("Sweep.one_standard_error", ("min", "max"), mode=mode)
        sign, ranked = 1 if mode == "min" else -1, self._ranked(figure)
        best = min(ranked, key=lambda row: sign * row["mean"])
        if parameter is None:
            parameter = self._varied()
        others = [name for name in self.parameters if name != parameter]
        if len(others) == len(self.parameters):
            raise ValueError(
                f"Sweep.one_standard_error: parameter must be one of {list(self.parameters)}, got "
                f"{parameter!r}"
            )
        if math.isnan(best["se"]):
            raise ValueError(
                f"Sweep.one_standard_error: no standard error of {figure!r} at {self._text(best)}, "
                f"seeds: {best['seeds']}; use two or more, of which each gives a finite number"
            )
        at_best = [
            row for row in ranked if all(same(row[name]) == same(best[name]) for name in others)
        ]
        if odd := [row[parameter] for row in at_best if not is_number(row[parameter])]:
            raise ValueError(
                f"Sweep.one_standard_error: {parameter!r} has no order at {odd[0]!r}; name a parameter "
                "whose values are numbers"
            )
        near = [row for row in at_best if sign * (row["mean"] - best["mean"]) <= best["se"]]
        return max(near, key=lambda row: row[parameter])

    def _varied(self) -> str:
        """The only parameter with several values."""
        rows = self.full.rows
        varied = [p for p in self.parameters if len({same(row[p]) for row in rows}) > 1]
        if len(varied) != 1:
            raise ValueError(
                f"Sweep.one_standard_error: {' and '.join(varied) or 'no parameter'} of "
                f"{list(self.parameters)} {'have' if varied else 'has'} several values; pass parameter= "
                "the one to order by"
            )
        return varied[0]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values: what :meth:`to_json` writes.

        >>> Sweep(("l2",), ("value",), ({"l2": (1, 2), "seed": 0, "value": 0.5},)).to_dict()["rows"]
        [{'l2': [1, 2], 'seed': 0, 'value': 0.5}]
        """
        failed = [row | {"error": message(row["error"])} for row in self.failed]
        return {
            "parameters": [*self.parameters],
            "figures": [*self.figures],
            "rows": plain(self.rows),
            "failed": plain(failed),
            "missing": plain(self.missing),
            "stopped": self.stopped,
            "halving": self.halving and asdict(self.halving),
        }

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict` to a file; NaN and infinity become null.

        ``FileNotFoundError`` if its folder does not exist.
        """
        text = json.dumps(finite(self.to_dict()), indent=1, allow_nan=False)
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", "utf-8")

    def _seeds(self, runs: Sequence[Row]) -> dict[Any, set[Any]]:
        """The seeds of each point of those runs."""
        found: dict[Any, set[Any]] = {}
        for run in runs:
            found.setdefault((*(same(run[p]) for p in self.parameters),), set()).add(run["seed"])
        return found

    def _text(self, row: Mapping[str, Any]) -> str:
        return ", ".join(f"{p}={row[p]!r}" for p in self.parameters)

    def __repr__(self) -> str:
        end = "" if self.stopped == "finished" else f", {self.stopped}"
        lines = [
            f"Sweep over {', '.join(self.parameters)}: {len(self.rows)} run{'s' * (len(self.rows) != 1)}{end}"
        ]
        for figure in self.figures:
            for row in self.summary(figure):
                spread = "" if math.isnan(row["std"]) else f" ± {row['std']:.4g}"
                early = self.halving and row[self.halving.budget] != self.halving.most
                mark = " (stopped early)" if early else ""
                lines.append(f"  {figure} at {self._text(row)}: {row['mean']:.4g}{spread}{mark}")
        return "\n".join([*lines, *self._failures()])

    def _failures(self) -> list[str]:
        return [
            f"  failed at {self._text(row)}, seed {row['seed']}: {message(row['error'])}"
            for row in self.failed
        ]


def _statistics(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The columns of a summary; in a unit in which no sum overflows, a power of 2 that rounds nothing."""
    n, unit = len(values), int(np.frexp(np.abs(values).max())[1])
    with np.errstate(all="ignore"):
        scaled = np.ldexp(values, -unit)
        std = float(np.ldexp(scaled.std(ddof=1), unit)) if n > 1 else math.nan
        mean = float(np.ldexp(scaled.mean(), unit))
    return {"mean": mean, "std": std, "se": std / n**0.5, "seeds": n}


def is_number(value: Any) -> bool:
    """Whether values such as this have an order.

    >>> is_number(np.float32(0.1)), is_number(True), is_number(math.nan)
    (True, False, False)
    """
    return within("[-inf, inf]", value)


def plain(value: Any) -> Any:
    """A value of the types that Python's ``json`` writes; any other as text.

    >>> plain({"l2": np.float64(0.1), "on": (1, {2})})
    {'l2': 0.1, 'on': [1, '{2}']}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [*map(plain, value)]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def tabulated(
    parameters: Sequence[str],
    runs: list[tuple[Point, Any]],
    endings: Sequence[Ending],
    halving: Halving | None = None,
) -> Sweep:
    """The table of runs (point and seed) in their order, each with its figures, its error or None.

    >>> tabulated(["l2"], [({"l2": 1}, 0), ({"l2": 2}, 0)], [{"loss": 0.5}, None]).missing
    ({'l2': 2, 'seed': 0},)
    """
    rows, failed, missing = [], [], []
    figures: tuple[str, ...] = ()
    for (point, seed), ending in zip(runs, endings, strict=True):
        row = {**point, "seed": seed}
        if isinstance(ending, dict):
            figures = figures or tuple(ending)
            if both := {*row} & {*ending}:
                raise ValueError(f"Sweep: {sorted(both)} are parameters and figures")
            if set(ending) == set(figures):
                rows.append(row | ending)
                continue
            ending = ValueError(f"returned {[*ending]}, where the first run did {[*figures]}")
        if ending is None:
            missing.append(row)
        else:
            failed.append(row | {"error": ending})
    stopped = "interrupted" if missing else "finished"
    found = tuple(rows), tuple(failed), stopped, tuple(missing)
    return Sweep(tuple(parameters), figures, *found, halving)


def _endings(
    runs: list[tuple[Point, Any]],
    seeds: int,
    store: Store | None,
    compute: Callable[[list[Trial]], Generator[Outcome, None, None]],
    on_run: Callable[[Row], object] | None,
    judged: str | None,
) -> list[Ending]:
    """How each run ended, None for those that Ctrl-C left; what the store has is not computed.

    ``runs`` has so many ``seeds`` of a point, then those of the next. ``KeyError`` as soon as one has not
    the figure that is to be ``judged``.
    """
    keys: list[Key] = []
    endings: list[Ending] = [None] * len(runs)
    if store is not None:
        keys = [key_of(point, seed) for point, seed in runs]
        store.plan(runs)
        kept = store.trials()
        endings = [kept[k].figures for k in keys]
    # seed by seed: whenever it is interrupted, points have runs of the same seeds, give or take one
    left = [(i, *runs[i]) for first in range(seeds) for i in range(first, len(runs), seeds)]
    left = [trial for trial in left if endings[trial[0]] is None]
    try:
        with closing(compute(left)) as ended:  # one by one, so Ctrl-C loses none
            for i, ending in ended if left else ():
                if ending is None:
                    raise KeyboardInterrupt
                endings[i] = ending
                if store is not None:
                    store.add(keys[i], ending if isinstance(ending, dict) else message(ending))
                if on_run is not None:
                    row = ending if isinstance(ending, dict) else {"error": ending}
                    on_run({**runs[i][0], "seed": runs[i][1], **row})
                if judged is not None and isinstance(ending, dict) and judged not in ending:
                    raise KeyError(
                        f"Halving: there is no figure {judged!r}, the function returned {[*ending]}"
                    )
    except KeyboardInterrupt:
        pass
    return endings


def _name(function: Callable[..., Any], key: Any) -> str:
    """What function it is, for a store; ``ValueError`` if its name does not say all."""
    there = inner(function)
    seen = inspect.isfunction(there) and there is function and not there.__closure__
    if key is None and (not seen or there.__name__ == "<lambda>"):
        raise ValueError(
            f"sweep: a store must know what it holds, but {function!r:.60} has no name of its own, or "
            "holds more than its name says; pass key= a name or settings, or a function without closure"
        )
    module = there.__module__
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or "__main__").stem
    return f"{module}:{getattr(there, '__qualname__', type(there).__qualname__)}"


def experiment_of(
    function: Callable[..., Any], key: Any, parameters: Sequence[str], halving: Halving | None
) -> dict[str, Any]:
    """What a store must hold the trials of, to go on with them; arguments as of :func:`sweep`.

    >>> experiment_of(plain, None, ["value"], None)["function"]
    'minireg.sweep:plain'
    """
    return {
        "function": _name(function, key),
        "the function's code": digest(function) if key is None else None,  # a key says what counts
        "key": key,
        "parameters": [*parameters],
        "halving": halving and plain(asdict(halving)),
    }


def sweep(
    function: Callable[..., float | Mapping[str, float]],
    grid: Mapping[str, Sequence[Any]],
    *,
    seeds: Sequence[int] = (0,),
    n_jobs: int = 1,
    scheduler: str | None = None,
    retries: int = 2,
    store: str | Path | None = None,
    key: Any = None,
    halving: Halving | None = None,
    on_run: Callable[[Row], object] | None = None,
) -> Sweep:
    """Call ``function(**point, seed=seed)`` at every grid point and seed.

    Parameters
    ----------
    function : returns a number, or a mapping of named numbers. With several processes it
        must be importable (defined at the top of a module).
    grid : parameter name → values to try, as ``sklearn.model_selection.ParameterGrid`` takes it.
    seeds : integers; each point runs once with each.
    n_jobs : number of processes, as joblib takes it: −1 for all cores.
    scheduler : address of a Dask scheduler (``"tcp://…"``), whose workers run them all, or
        ``"local"`` for a Dask cluster of ``n_jobs`` processes on this machine (in a script under
        ``if __name__ == "__main__"``). Workers need the same versions of Python, NumPy and minireg.
    retries : how many times a run is repeated whose worker died; with a scheduler of your own its
        setting ``distributed.scheduler.allowed-failures`` counts. With joblib, which cannot tell whose
        run it was that ended all workers, at least once.
    store : a SQLite file that keeps every run as it ends. Done again with the same file, only what
        is missing or failed is computed; a file of another function, key, set of parameters or
        halving is refused. ``Sweep.load`` reads it. Two sweeps may write one file at once: they share
        no work, and what ends first is kept. A function whose code or defaults have changed is
        another one; what it calls is not looked at.
    key : with a store, what the figures depend on: settings, a version, a name. The function's code
        then does not count: a new version of it needs a new key.
    halving : a :class:`Halving`, by which only the best points get the full budget.
    on_run : ``on_run(row)`` is called in this process after each run that is computed, when the store
        has it, with its row of ``rows`` or ``failed``.

    All points are run with the first seed, then with the next. Returns a :class:`Sweep`, whose rows
    have the order of the grid whoever computes them. A run that ends in an error, or whose worker is
    killed, gives a warning and a row of ``failed``; the others go on. After Ctrl-C the finished runs
    are returned, with ``stopped == "interrupted"``. Raises ``TypeError`` or ``ValueError`` for a
    function, grid, seeds, n_jobs or store that are none, ``KeyError`` for a figure of ``halving`` that
    there is none of, ``ImportError`` without joblib or Dask where they are asked for,
    ``ConnectionError`` if the scheduler does not answer or has no workers, ``OSError`` if the store
    cannot be written and, if no run succeeds, the error of the first.

    >>> import minireg as mr
    >>> result = mr.sweep(lambda l2, seed: (l2 - 1) ** 2 + seed, {"l2": [0, 1, 3]}, seeds=[0, 2])
    >>> result.best("value")["l2"], len(result.rows)
    (1, 6)
    """
    if not callable(function):
        raise TypeError(f"sweep: function must be callable, got {function!r:.60}")
    check_kind("sweep", Mapping, "write a mapping of names to values", grid=grid)
    for name, values in (*((f"grid[{k!r}]", v) for k, v in grid.items()), ("seeds", seeds)):
        if (
            isinstance(values, str)
            or not hasattr(values, "__len__")
            or getattr(values, "shape", None) == ()
        ):
            made = f"list({name})" if hasattr(values, "__next__") else f"[{values!r:.60}]"
            fix = "range(3)" if name == "seeds" else made
            raise TypeError(f"sweep: {name} must be a sequence, got {values!r:.60}; write {fix}")
        often = Counter(map(same, each := [*values]))
        if twice := [value for value in each if often[same(value)] > 1]:
            raise ValueError(f"sweep: {name} has {twice[0]!r:.60} twice")
    if not isinstance(n_jobs, int) or n_jobs == 0:
        raise ValueError(f"sweep: n_jobs must be an integer other than 0, got {n_jobs!r}")
    if scheduler not in (None, "local") and n_jobs != 1:
        raise ValueError(
            f"sweep: n_jobs={n_jobs} is of this machine, {scheduler!r} has its own workers"
        )
    check_option("sweep", 0, retries=retries)
    if not all(isinstance(name, str) for name in grid):
        raise TypeError(f"sweep: parameters are named by text, got {[*grid]!r:.60}")
    if not isinstance(halving, Halving | None):
        raise TypeError(f"sweep: halving must be a Halving, got {halving!r:.60}")
    if not isinstance(scheduler, str | None):
        raise TypeError(f"sweep: scheduler must be an address, got {scheduler!r:.60}")
    if not grid or not all(len(values) for values in grid.values()) or not len(seeds):
        raise ValueError(f"sweep: nothing to run, got grid={dict(grid)!r} and seeds={seeds!r}")
    names = [*grid, *([halving.budget] if halving else [])]
    if "seed" in names:
        raise ValueError("sweep: 'seed' is not a grid parameter; pass seeds=[…]")
    if taken := [name for name in names if name in COLUMNS]:
        raise ValueError(f"sweep: a table has a column {taken[0]!r}; name the parameter otherwise")
    if halving and halving.budget in grid:
        raise ValueError(f"sweep: {halving.budget!r} is halving's budget, leave it out of the grid")
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]

    def compute(trials: list[Trial]) -> Generator[Outcome, None, None]:
        return outcomes(function, trials, n_jobs, scheduler, retries)

    runs: list[tuple[Point, Any]] = []
    endings: list[Ending] = []
    with ExitStack() as stack:
        file = None
        if store is not None:
            experiment = experiment_of(function, key, names, halving)
            file = stack.enter_context(Store(store, experiment))
        for _, budget in halving.rungs(len(points)) if halving else [(0, 0)]:
            extra = {halving.budget: budget} if halving else {}
            rung = [(point | extra, seed) for point in points for seed in seeds]
            judged = halving.figure if halving else None
            ended = _endings(rung, len(seeds), file, compute, on_run, judged)
            runs, endings = runs + rung, endings + ended
            found = tabulated(names, rung, ended, halving)
            if found.missing or not found.rows or not halving:
                break
            points = halving.survivors(found, points, len(seeds))
            if not points:
                break
    found = tabulated(names, runs, endings, halving)
    if found.failed and not found.rows and not found.missing:
        raise found.failed[0]["error"]
    if found.failed:
        count = f"sweep: {len(found.failed)} of {len(runs)} runs failed"
        warnings.warn("\n".join([count, *found._failures()]), stacklevel=2)
    return found
