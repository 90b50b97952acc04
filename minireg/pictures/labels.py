"""labels: words that find a place beside what they name, in nobody's way, in both languages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..backend import Array
from .words import Say, ems

SIZE, LINE = 13.0, 16.0  # of letters, and of a line of them
GAP = 4.0  # between a label and its mark
FINE = 2  # decimals of a place: what differs in the last digits only is the same place
NONE = np.empty((0, 2))

# Where a label may stand at a spot, the first if it can: how much of it is left of the spot, how much
# above, and how far away. So above, below, at the right, at the left; near, and not so near.
SIDES = np.array(
    [(left, above, gap) for gap in (GAP, 3 * GAP) for left, above in
     [(0.5, 1), (1, 1), (0, 1), (0.5, 0), (1, 0), (0, 0), (0, 0.5), (1, 0.5)]]
)  # fmt: skip
ANCHORS = {0.0: "start", 0.5: "middle", 1.0: "end"}


class Place(NamedTuple):
    """Where a label stands, and by which point it is held."""

    x0: float
    y0: float
    x1: float
    y1: float
    side: float

    @property
    def held(self) -> float:
        """The x of the point by which it is held."""
        return self.x0 + self.side * (self.x1 - self.x0)


class Label(NamedTuple):
    """Words for a mark, of its role, at one of the spots, the first of them if they can.

    ``on`` says that they would best stand on the spot itself.
    """

    words: Say
    role: str
    mark: int
    spots: Array
    on: bool

    @property
    def width(self) -> float:
        """Of the longer language."""
        return SIZE * max(map(ems, self.words)) + 2


class Labels:
    """Marks by their points, every few units of a line, and the labels that some of them have.

    >>> labels = Labels()
    >>> line = np.stack([np.arange(0.0, 101, 4), np.full(26, 50.0)], 1)
    >>> labels.add(line, Say("loss", "损失"), "data", line[::-1])
    >>> (box,) = labels.place((0, 0, 100, 100))  # above its end
    >>> box.x1, box.y1
    (100.0, 46.0)
    """

    def __init__(self) -> None:
        self.points: list[Array] = []
        self.labels: list[Label] = []

    def add(
        self, points: Array, words: Say, role: str, spots: Array = NONE, on: bool = False
    ) -> None:
        """A mark that labels avoid, and its own label unless the words are empty."""
        if any(words):
            spots = spots[np.isfinite(spots).all(1)].round(FINE)
            self.labels.append(Label(words, role, len(self.points), spots, on))
        self.points.append(points.round(FINE))

    def place(
        self, area: tuple[float, float, float, float], before: list[Place | None] | None = None
    ) -> list[Place | None]:
        """A box for each label within this area (x0, y0, x1, y1); None for what has no spot at all.

        ``before`` is where they stood in the frame before: they stay if that is about as good.
        """
        found: list[Place | None] = [None] * len(self.labels)
        within = np.round(area, FINE)
        for k, label in sorted(enumerate(self.labels), key=lambda pair: len(pair[1].spots)):
            if not len(label.spots):
                continue
            boxes = self._candidates(label, within).round(FINE)
            cost = self._cost(label, boxes, within) + np.arange(len(boxes)) / len(SIDES)
            for box in filter(None, found):
                beside = (boxes[:, 0] > box.x1 + GAP) | (boxes[:, 2] < box.x0 - GAP)
                cost += 300.0 * ~(beside | (boxes[:, 1] >= box.y1) | (boxes[:, 3] <= box.y0))
            if before and (old := before[k]):
                cost += 0.2 * np.minimum(np.hypot(*(boxes[:, :2] - old[:2]).T), 100)
            found[k] = Place(*boxes[int(cost.argmin())].tolist())
        return found

    def _candidates(self, label: Label, area: Array) -> Array:
        """Boxes that the label may take, (n, 5), the preferred first."""
        low, high = np.reshape(area, (2, 2))
        seen = label.spots[((low <= label.spots) & (label.spots <= high)).all(1)]
        if not len(seen):  # where it left the picture
            seen = np.clip(label.spots, low, high)
        seen = seen[np.linspace(0, len(seen) - 1, min(len(seen), 24)).astype(int)]
        x, y = np.repeat(seen, len(SIDES), 0).T
        left, above, gap = np.tile(SIDES, (len(seen), 1)).T
        width = label.width
        x0 = x - left * width + (gap + 2) * (1 - 2 * left) * (above == 0.5)
        own = self.points[label.mark]  # stay above, or below, all of it that is over the box
        over = (own[:, 0] >= x0[:, None] - 1) & (own[:, 0] <= x0[:, None] + width + 1)
        top = np.minimum(y, np.where(over, own[:, 1], np.inf).min(1, initial=np.inf)) - gap - LINE
        foot = np.maximum(y, np.where(over, own[:, 1], -np.inf).max(1, initial=-np.inf)) + gap
        y0 = np.where(above == 1, top, np.where(above == 0, foot, y - LINE / 2))
        boxes = np.stack([x0, y0, x0 + width, y0 + LINE, left], 1)
        if not label.on:
            return boxes
        corner = seen - (width / 2, LINE / 2)
        return np.r_[np.c_[corner, np.add(corner, (width, LINE)), np.full(len(seen), 0.5)], boxes]

    def _cost(self, label: Label, boxes: Array, area: Array) -> Array:
        """How much is wrong with each box: outside, over marks, nearer to others than to its own."""
        x0, y0, x1, y1 = boxes[:, :4].T
        cost = 1000.0 * ((x0 < area[0]) | (y0 < area[1]) | (x1 > area[2]) | (y1 > area[3]))
        away = np.full((len(self.points), len(boxes)), np.inf)
        for k, points in enumerate(self.points):
            x, y = points.T[:, :, None]
            cost += 5.0 * ((x > x0 - 2) & (x < x1 + 2) & (y > y0) & (y < y1)).sum(0)
            beside = np.maximum(np.abs(x - (x0 + x1) / 2) - (x1 - x0) / 2, 0)
            away[k] = np.hypot(beside, y - (y0 + y1) / 2).min(0, initial=np.inf)
        own = away[label.mark]
        if np.isinf(own).any():  # of words without a mark
            return cost
        others = np.delete(away, label.mark, 0).min(0, initial=np.inf)
        return cost + 0.5 * own + 25.0 * (others < own + 2)
