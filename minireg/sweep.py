"""sweep: the same function at every point of a grid and every seed, in parallel."""

from __future__ import annotations

import importlib
import itertools
import math
import os
import pickle
import statistics
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import Any

from .messages import check_option, needed
from .training import passing_interrupts


@dataclass(frozen=True)
class Sweep:
    """One row a run: the parameters, the seed, and the figures that the function returned.

    ``failed`` has a row for each run that ended in an error: the parameters, the seed and the
    ``error``. ``stopped`` is "interrupted" if Ctrl-C came before the end.
    """

    parameters: tuple[str, ...]
    figures: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    failed: tuple[dict[str, Any], ...] = ()
    stopped: str = "finished"

    def __getitem__(self, column: str) -> list[Any]:
        if column not in (*self.parameters, "seed", *self.figures):
            known = [*self.parameters, "seed", *self.figures]
            raise KeyError(f"Sweep: no column {column!r}, expected one of {known}")
        return [row[column] for row in self.rows]

    def summary(self, figure: str) -> list[dict[str, Any]]:
        """Mean, standard deviation and number of seeds of a figure at each grid point."""
        points: dict[str, tuple[dict[str, Any], list[float]]] = {}
        for row, value in zip(self.rows, self[figure], strict=True):
            point = {p: row[p] for p in self.parameters}
            points.setdefault(repr(point), (point, []))[1].append(value)
        return [
            {
                **point,
                "mean": statistics.fmean(values),
                "std": _deviation(values),
                "seeds": len(values),
            }
            for point, values in points.values()
        ]

    def best(self, figure: str, mode: str = "min") -> dict[str, Any]:
        """The grid point with the smallest (``mode="max"``: largest) mean of a figure.

        Points whose mean is NaN are left out with a warning; ``ValueError`` if none remains. Where
        runs are missing, so that means are of different seeds, a warning says so.
        """
        check_option("Sweep.best", ("min", "max"), mode=mode)
        points = self.summary(figure)
        known = [row for row in points if not math.isnan(row["mean"])]
        left_out = [self._text(row) for row in points if math.isnan(row["mean"])]
        if not known:
            raise ValueError(f"Sweep.best: {figure!r} is a number at none of {len(points)} points")
        if left_out:
            warnings.warn(
                f"Sweep.best: {figure!r} is nan at {'; '.join(left_out)}, left out", stacklevel=2
            )
        most = max(row["seeds"] for row in known)
        fewer = [f"{self._text(row)}: {row['seeds']}" for row in known if row["seeds"] < most]
        if fewer:
            warnings.warn(
                f"Sweep.best: means are of {most} seeds, but of fewer at {'; '.join(fewer)}; compare "
                "equal seeds, or look at .failed",
                stacklevel=2,
            )
        return (min if mode == "min" else max)(known, key=lambda row: row["mean"])

    def _text(self, row: Mapping[str, Any]) -> str:
        return ", ".join(f"{p}={row[p]!r}" for p in self.parameters)

    def __repr__(self) -> str:
        end = "" if self.stopped == "finished" else f", {self.stopped}"
        lines = [f"Sweep over {', '.join(self.parameters)}: {len(self.rows)} runs{end}"]
        for figure in self.figures:
            for row in self.summary(figure):
                spread = "" if math.isnan(row["std"]) else f" ± {row['std']:.4g}"
                lines.append(f"  {figure} at {self._text(row)}: {row['mean']:.4g}{spread}")
        return "\n".join([*lines, *self._failures()])

    def _failures(self) -> list[str]:
        return [
            f"  failed at {self._text(row)}, seed {row['seed']}: {_said(row['error'])}"
            for row in self.failed
        ]


def _deviation(values: list[float]) -> float:
    enough = len(values) > 1 and all(map(math.isfinite, values))
    return statistics.stdev(values) if enough else math.nan


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


Outcome = tuple[int, dict[str, float] | Exception]  # the number of a run, and how it ended


def _run(
    home: int, i: int, function: Callable[..., Any], point: dict[str, Any], seed: int
) -> Outcome:
    try:
        with passing_interrupts():
            return i, _numbers(function(**point, seed=seed), taken={*point, "seed"})
    except Exception as error:
        error.add_note(f"sweep: at {point}, seed {seed}")
        return i, error if os.getpid() == home else _portable(error)


def _numbers(result: Any, taken: set[str]) -> dict[str, float]:
    """What a run returned, as figures under names of their own."""
    try:
        figures = result if isinstance(result, Mapping) else {"value": result}
        numbers = {str(k): float(v) for k, v in figures.items()}
    except (TypeError, ValueError) as error:
        raise TypeError(
            "sweep: the function must return a number or a mapping of named numbers, got "
            f"{result!r:.80}"
        ) from error
    if both := taken & numbers.keys():
        raise ValueError(f"sweep: {sorted(both)} are parameters, call the figures something else")
    return numbers


def _portable(error: Exception) -> Exception:
    """An error that another process can read, with where it was raised."""
    place = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(_said(error))
    error.add_note(f"raised in a worker:\n{place}")
    return error


def _outcomes(function: Callable[..., Any], runs: list[Any], n_jobs: int) -> Iterator[Outcome]:
    """How each run ended, in the order in which they do.

    Where a worker dies it takes the others with it: those that were running then are run again,
    each alone, so that the one that kills its worker is known, and the rest goes on.
    """
    joblib = importlib.import_module("joblib")
    width = joblib.effective_n_jobs(n_jobs)
    waiting = dict.fromkeys(range(len(runs)))

    def ended(some: list[int], n_jobs: int) -> Iterator[Outcome]:
        # so many are under way as there are workers, in order: it is known which
        parallel = joblib.Parallel(
            n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs"
        )
        call = joblib.delayed(_run)
        for i, outcome in parallel(call(os.getpid(), i, function, *runs[i]) for i in some):
            del waiting[i]
            yield i, outcome

    while waiting:
        try:
            yield from ended(list(waiting), n_jobs)
        except BrokenExecutor:
            for i in list(waiting)[:width]:
                try:
                    yield from ended([i], 2)  # 1 would run it in this process
                except BrokenExecutor:
                    del waiting[i]
                    yield i, RuntimeError("its worker was killed; was there memory enough?")


def sweep(
    function: Callable[..., Any],
    grid: Mapping[str, Sequence[Any]],
    *,
    seeds: Sequence[int] = (0,),
    n_jobs: int = 1,
) -> Sweep:
    """Call ``function(**point, seed=seed)`` at every grid point and seed.

    Parameters
    ----------
    function : returns a number, or a mapping of named numbers. With several processes it
        must be importable (defined at the top of a module).
    grid : parameter name → values to try.
    seeds : integers; each point runs once with each.
    n_jobs : processes (joblib's meaning: −1 for all cores). Inside ``with
        joblib.parallel_config(backend="dask")`` a Dask cluster runs them.

    The order of rows does not depend on ``n_jobs``. A run that ends in an error, or whose worker
    is killed, is warned of and becomes a row of ``failed``; the others go on. After Ctrl-C the
    finished runs come back, with ``stopped == "interrupted"``. Raises ``TypeError`` or
    ``ValueError`` for a grid that is none, and, if no run succeeds, what the first one raised.

    >>> result = sweep(lambda l2, seed: (l2 - 1) ** 2 + seed, {"l2": [0, 1, 3]}, seeds=[0, 2])
    >>> result.best("value")["l2"], len(result.rows)
    (1, 6)
    """
    if not callable(function):
        raise TypeError(f"sweep: function must be callable, got {function!r:.60}")
    if not isinstance(grid, Mapping):
        raise TypeError(f"sweep: grid must be a mapping of names to values, got {grid!r:.60}")
    for name, values in (*((f"grid[{k!r}]", v) for k, v in grid.items()), ("seeds", seeds)):
        if isinstance(values, str) or not hasattr(values, "__len__"):
            fix = "range(3)" if name == "seeds" else f"[{values!r}]"
            raise TypeError(f"sweep: {name} must be a sequence, got {values!r:.60}; write {fix}")
    if not isinstance(n_jobs, int) or n_jobs == 0:
        raise ValueError(f"sweep: n_jobs must be an integer other than 0, got {n_jobs!r}")
    if not grid or not all(len(values) for values in grid.values()) or not len(seeds):
        raise ValueError(f"sweep: nothing to run, got grid={dict(grid)!r} and seeds={seeds!r}")
    if "seed" in grid:
        raise ValueError("sweep: 'seed' is not a grid parameter; pass seeds=[…]")
    needed("sweep needs joblib", "joblib", "'minireg[sweep]'")
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    runs = [(point, seed) for point in points for seed in seeds]
    ended: dict[int, Any] = {}
    stopped = "finished"
    try:
        ended.update(_outcomes(function, runs, n_jobs))  # one by one, so what has ended is kept
    except KeyboardInterrupt:
        stopped = "interrupted"
    rows, failed = [], []
    figures: tuple[str, ...] = ()
    for i, (point, seed) in enumerate(runs):
        outcome, row = ended.get(i), {**point, "seed": seed}
        if isinstance(outcome, dict):
            figures = figures or tuple(outcome)
            if set(outcome) == set(figures):
                rows.append(row | outcome)
                continue
            outcome = ValueError(f"returned {[*outcome]}, where the first run did {[*figures]}")
        if outcome is not None:
            failed.append(row | {"error": outcome})
    found = Sweep(tuple(grid), figures, tuple(rows), tuple(failed), stopped)
    if failed and not rows and stopped == "finished":
        raise failed[0]["error"]
    if failed:
        told = "\n".join([f"sweep: {len(failed)} of {len(runs)} runs failed", *found._failures()])
        warnings.warn(told, stacklevel=2)
    return found
