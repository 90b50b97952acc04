"""Sample inputs of the op table: ``samples(rng)`` yields argument tuples off the kinks.

A trailing dict in a tuple holds keyword arguments. Shapes are chosen to broadcast both
ways; the generated tests add strides, dtypes and empty arrays of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Samples = Callable[[Any], list[tuple[Any, ...]]]


def unary(low: float = -2.0, high: float = 2.0, away_from: float | None = None) -> Samples:
    """One input, uniform in [low, high], at least 0.1 away from ``away_from``."""

    def draw(rng: Any) -> list[tuple[Any, ...]]:
        found = []
        for shape in ((3, 4), (), (2, 1, 3)):
            x = rng.uniform(low, high, shape)
            if away_from is not None:
                x = x + (np.abs(x - away_from) < 0.1) * 0.25
            found.append((np.asarray(x),))
        return found

    return draw


def binary(
    low: float = -2.0, high: float = 2.0, second: tuple[float, float] | None = None
) -> Samples:
    """Two inputs that broadcast against each other, the second drawn from ``second``."""
    low2, high2 = second or (low, high)
    shapes = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (2, 1, 4)), ((), (3,))]

    def draw(rng: Any) -> list[tuple[Any, ...]]:
        return [
            (np.asarray(rng.uniform(low, high, a)), np.asarray(rng.uniform(low2, high2, b)))
            for a, b in shapes
        ]

    return draw


def booleans(inputs: int) -> Samples:
    """``inputs`` boolean arrays that broadcast."""
    return shaped((Mask(3, 4), Mask(4))[:inputs])


def reduction(low: float = -2.0, high: float = 2.0, **extra: Any) -> Samples:
    """One input with every kind of ``axis`` and ``keepdims``."""
    axes: list[dict[str, Any]] = [
        {}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 2)}, {"axis": (-1, 1)},
        {"keepdims": True},
    ]  # fmt: skip

    def draw(rng: Any) -> list[tuple[Any, ...]]:
        return [(rng.uniform(low, high, (2, 3, 4)), {**kw, **extra}) for kw in axes]

    return draw


def shaped(*cases: tuple[Any, ...]) -> Samples:
    """An array for each place, such as ``Shape(2, 3)``; everything else as it is."""

    def draw(rng: Any) -> list[tuple[Any, ...]]:
        return [tuple(a.draw(rng) if isinstance(a, Shape) else a for a in case) for case in cases]

    return draw


class Shape:
    """A place for a normal array of this shape in :func:`shaped`."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def draw(self, rng: Any) -> Any:
        """The array for this place."""
        return np.asarray(rng.normal(size=self.shape))


class Mask(Shape):
    """A place for a boolean array."""

    def draw(self, rng: Any) -> Any:
        """The array for this place."""
        return rng.uniform(size=self.shape) > 0.5


def both(first: Samples, second: Samples) -> Samples:
    """The samples of the first, then those of the second."""
    return lambda rng: [*first(rng), *second(rng)]
