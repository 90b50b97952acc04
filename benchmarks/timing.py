"""Measuring two things side by side on a noisy machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """Medians of ours and theirs in seconds a call, and the median of the ratios."""

    name: str
    ours: float
    theirs: float
    ratio: float


def _seconds(f: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        f()
    return (time.perf_counter() - start) / calls


def side_by_side(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], calls: int, rounds: int,
    pause: float = 0.0,
) -> Pair:  # fmt: skip
    """Alternate blocks of ``calls`` calls, ``rounds`` times; each ratio compares neighbours.

    For a few milliseconds after a turn PyTorch's threads spin on the cores that NumPy's threads
    need next: ``pause`` lets both sides begin with free ones.
    """
    _seconds(ours, calls), _seconds(theirs, calls)
    a, b = [], []
    for _ in range(rounds):
        time.sleep(pause)
        a.append(_seconds(ours, calls))
        time.sleep(pause)
        b.append(_seconds(theirs, calls))
    ratio = statistics.median(x / y for x, y in zip(a, b, strict=True))
    return Pair(name, statistics.median(a), statistics.median(b), ratio)
