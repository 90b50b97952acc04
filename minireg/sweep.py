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
from typing import Any, Literal

from .messages import check_option, needed
from .training import passing_interrupts


@dataclass(frozen=True)
class Sweep:
    """What :func:`sweep` returns: one row per run; ``sweep["value"]`` is a column.

    Attributes
    ----------
    parameters, figures : names of the grid's parameters, and of what the function returned.
    rows : for each run its parameters, ``seed`` and figures.
    failed : for each run that ended in an error its parameters, ``seed`` and ``error``.
    stopped : "finished", or "interrupted" if Ctrl-C came before the end.

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

    def __getitem__(self, column: str) -> list[Any]:
        if column not in (*self.parameters, "seed", *self.figures):
            known = [*self.parameters, "seed", *self.figures]
            raise KeyError(f"Sweep: no column {column!r}, expected one of {known}")
        return [row[column] for row in self.rows]

    def summary(self, figure: str) -> list[dict[str, Any]]:
        """Rows of ``mean``, ``std`` and number of ``seeds`` of a figure at each grid point.

        ``std`` is that of the sample (n − 1), NaN for one seed. ``KeyError`` for an unknown figure.
        """
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

    def best(self, figure: str, mode: Literal["min", "max"] = "min") -> dict[str, Any]:
        """The row of :meth:`summary` with the smallest (``mode="max"``: largest) mean of a figure.

        Points whose mean is NaN are left out with a warning; ``ValueError`` if none remains, and
        for another mode. A warning says where runs are missing, so that means are of different
        seeds.
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
            f"  failed at {self._text(row)}, seed {row['seed']}: {_message(row['error'])}"
            for row in self.failed
        ]


def _deviation(values: list[float]) -> float:
    enough = len(values) > 1 and all(map(math.isfinite, values))
    return statistics.stdev(values) if enough else math.nan


def _message(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


Outcome = tuple[int, dict[str, float] | Exception]  # the number of a run, and how it ended


def _run(
    parent: int, i: int, function: Callable[..., Any], point: dict[str, Any], seed: int
) -> Outcome:
    try:
        with passing_interrupts():
            return i, _numbers(function(**point, seed=seed), taken={*point, "seed"})
    except Exception as error:
        error.add_note(f"sweep: at {point}, seed {seed}")
        return i, error if os.getpid() == parent else _portable(error)


def _numbers(result: Any, taken: set[str]) -> dict[str, float]:
    """What a run returned, as named figures."""
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
    """An error that can be sent to another process, with its traceback as a note."""
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(_message(error))
    error.add_note(f"raised in a worker:\n{trace}")
    return error


def _outcomes(function: Callable[..., Any], runs: list[Any], n_jobs: int) -> Iterator[Outcome]:
    """How each run ended, in the order in which they end.

    When a worker dies, joblib ends the others too: the runs that were under way are repeated one by
    one, which shows the one that kills its worker, and the rest goes on.
    """
    joblib = importlib.import_module("joblib")
    width = joblib.effective_n_jobs(n_jobs)
    waiting = dict.fromkeys(range(len(runs)))

    def ended(some: list[int], n_jobs: int) -> Iterator[Outcome]:
        # as many runs are under way as there are workers, started in order: so it is known which
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
    function: Callable[..., float | Mapping[str, float]],
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
    grid : parameter name → values to try, as ``sklearn.model_selection.ParameterGrid`` takes it.
    seeds : integers; each point runs once with each.
    n_jobs : number of processes, as joblib takes it: −1 for all cores. Inside ``with
        joblib.parallel_config(backend="dask")`` a Dask cluster runs them.

    Returns a :class:`Sweep`, whose rows have the order of the grid for every ``n_jobs``. A run that
    ends in an error, or whose worker is killed, gives a warning and a row of ``failed``; the others
    go on. After Ctrl-C the finished runs are returned, with ``stopped == "interrupted"``. Raises
    ``TypeError`` or ``ValueError`` for a function, grid, seeds or n_jobs that are none,
    ``ImportError`` without joblib and, if no run succeeds, the error of the first.

    >>> import minireg as mr
    >>> result = mr.sweep(lambda l2, seed: (l2 - 1) ** 2 + seed, {"l2": [0, 1, 3]}, seeds=[0, 2])
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
        ended.update(_outcomes(function, runs, n_jobs))  # one by one, so Ctrl-C loses none
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
        count = f"sweep: {len(failed)} of {len(runs)} runs failed"
        warnings.warn("\n".join([count, *found._failures()]), stacklevel=2)
    return found
