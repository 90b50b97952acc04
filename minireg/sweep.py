"""sweep: the same function at every point of a grid and every seed, in parallel."""

from __future__ import annotations

import importlib
import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sweep:
    """One row a run: the parameters, the seed, and the figures that the function returned."""

    parameters: tuple[str, ...]
    figures: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    def __getitem__(self, column: str) -> list[Any]:
        if column not in (*self.parameters, "seed", *self.figures):
            known = [*self.parameters, "seed", *self.figures]
            raise KeyError(f"Sweep: no column {column!r}, expected one of {known}")
        return [row[column] for row in self.rows]

    def summary(self, figure: str) -> list[dict[str, Any]]:
        """Mean, standard deviation and number of seeds of a figure at each grid point."""
        points: dict[tuple[Any, ...], list[float]] = {}
        for row, value in zip(self.rows, self[figure], strict=True):
            points.setdefault(tuple(row[p] for p in self.parameters), []).append(value)
        return [
            {**dict(zip(self.parameters, point, strict=True)), "mean": statistics.fmean(values),
             "std": statistics.stdev(values) if len(values) > 1 else math.nan, "seeds": len(values)}
            for point, values in points.items()
        ]  # fmt: skip

    def best(self, figure: str, mode: str = "min") -> dict[str, Any]:
        """The grid point with the smallest (``mode="max"``: largest) mean of a figure."""
        if mode not in ("min", "max"):
            raise ValueError(f"Sweep.best: mode must be 'min' or 'max', got {mode!r}")
        choose = min if mode == "min" else max
        return choose(self.summary(figure), key=lambda row: row["mean"])

    def __repr__(self) -> str:
        lines = [f"Sweep over {', '.join(self.parameters)}: {len(self.rows)} runs"]
        for figure in self.figures:
            for row in self.summary(figure):
                point = ", ".join(f"{p}={row[p]!r}" for p in self.parameters)
                spread = "" if math.isnan(row["std"]) else f" ± {row['std']:.4g}"
                lines.append(f"  {figure} at {point}: {row['mean']:.4g}{spread}")
        return "\n".join(lines)


def _run(function: Callable[..., Any], point: dict[str, Any], seed: int) -> dict[str, Any]:
    try:
        result = function(**point, seed=seed)
    except Exception as error:
        error.add_note(f"sweep: at {point}, seed {seed}")
        raise
    figures = result if isinstance(result, Mapping) else {"value": result}
    return {k: float(v) for k, v in figures.items()}


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

    Raises ``ValueError`` for an empty grid, and what the function raises, with the point
    and seed noted. The order of rows does not depend on ``n_jobs``.

    >>> result = sweep(lambda l2, seed: (l2 - 1) ** 2 + seed, {"l2": [0, 1, 3]}, seeds=[0, 2])
    >>> result.best("value")["l2"], len(result.rows)
    (1, 6)
    """
    if not grid or not all(len(values) for values in grid.values()) or not len(seeds):
        raise ValueError(f"sweep: nothing to run, got grid={dict(grid)!r} and seeds={seeds!r}")
    if "seed" in grid:
        raise ValueError("sweep: 'seed' is not a grid parameter; pass seeds=[…]")
    try:
        joblib = importlib.import_module("joblib")
    except ImportError as error:
        raise ImportError("sweep needs joblib: pip install 'minireg[sweep]'") from error
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    runs = [(point, seed) for point in points for seed in seeds]
    found = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(_run)(function, *run) for run in runs)
    rows = [{**p, "seed": s, **f} for (p, s), f in zip(runs, found, strict=True)]
    return Sweep(tuple(grid), tuple(found[0]), tuple(rows))
