"""panel: axes and marks as SVG, made of NumPy arrays and nothing else.

A colour is a role with one meaning throughout; ``scene.css`` has its tones for light and dark:
``data`` blue, ``penalty`` orange, ``result`` green (what happens), ``textbook`` dashed (what was
predicted), ``reference`` grey, ``broken`` red outline, ``ink``. Dots are round, those of a penalty
are squares. A picture is 400 wide, so that its letters stay above 11 px on a phone.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from ..backend import Array
from ..messages import check_option
from .labels import ANCHORS, LINE, NONE, SIZE, Box, Labels
from .raster import joined, png
from .words import Say, Text, ems, number, power, say

ROLES = ("data", "penalty", "result", "textbook", "reference", "broken", "ink")
WIDE, TITLE = 400.0, 15.0  # of a panel, and of the letters of its title
FAR = 50.0  # how many heights away a mark may go: further off nothing is seen of it
Pair = tuple[float, float]


def tag(name: str, *children: str, **attributes: Any) -> str:
    """An element; ``class_`` is its class, and ``_`` in a name becomes ``-``.

    >>> tag("path", d="M0 0", stroke_width=2)
    '<path d="M0 0" stroke-width="2"/>'
    """
    given = ""
    for key, value in attributes.items():
        text = digits(value) if isinstance(value, float) else str(value)
        given += f' {key.rstrip("_").replace("_", "-")}="{escape(text)}"'
    return f"<{name}{given}>{''.join(children)}</{name}>" if children else f"<{name}{given}/>"


def digits(value: float) -> str:
    """A coordinate: a tenth of a unit is less than a pixel.

    >>> digits(12.34), digits(-0.01)
    ('12.3', '0')
    """
    return f"{round(float(value), 1) + 0.0:g}"


def trace(x: Array, y: Array) -> str:
    """A path through these points, with a gap at each that is not finite.

    It has two numbers for each point, gap or not, so that the paths of two frames can be morphed.

    >>> trace(np.array([0, 1, 2.0]), np.array([5, np.nan, 6]))
    'M0 5M0 5M2 6'
    """
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return ""
    last = np.maximum.accumulate(np.where(good, np.arange(good.size), int(good.argmax())))
    joins = good & np.roll(good, 1)
    joins[0] = False
    return "".join(
        f"{' ' if join else 'M'}{digits(a)} {digits(b)}"
        for join, a, b in zip(joins, x[last], y[last], strict=True)
    )


@dataclass(frozen=True)
class Axis:
    """Limits, and the stretch of the picture that they span."""

    low: float
    high: float
    log: bool
    start: float = 0.0
    end: float = 1.0

    def __call__(self, values: Any) -> Array:
        """Positions; NaN for what has none. On a log axis 0 is far away rather than nowhere."""
        v, ends = np.asarray(values, float), np.array([self.low, self.high])
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                v, ends = np.log10(np.where(v == 0, 1e-300, v)), np.log10(ends)
        with np.errstate(invalid="ignore"):
            part = np.clip((v - ends[0]) / (ends[1] - ends[0]), -FAR, FAR + 1)
        return self.start + np.where(np.isfinite(v), part, np.nan) * (self.end - self.start)

    def ticks(self, most: int) -> dict[float, Say]:
        """At most about so many round values, and how they read."""
        low, high = sorted((self.low, self.high))
        if not self.log:
            raw = (high - low) / most
            unit = 10.0 ** math.floor(math.log10(raw))
            step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= raw * 0.999)
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            return {k * step: say(number(k * step)) for k in range(first, last + 1)}
        first, last = (
            math.ceil(math.log10(low) - 1e-9),
            math.floor(math.log10(high) + 1e-9),
        )
        if last - first < 1:  # less than a decade
            values = [m * 10.0**e for e in (first - 1, first) for m in (1, 2, 5)]
            return {v: say(number(v)) for v in values if low * 0.999 <= v <= high * 1.001}
        exponents = range(first, last + 1, -(-(last - first) // most))
        plain = first >= -2 and last <= 3
        return {10.0**e: say(number(10.0**e) if plain else power(e)) for e in exponents}


class Panel:
    """A pair of axes; each method adds a mark and returns the panel.

    Parameters
    ----------
    title : what is shown, neutrally; the picture itself says what comes out.
    x, y : limits, left to right and bottom to top; they may fall.
    log : axes with logarithmic scale: ``"x"``, ``"y"`` or ``"xy"``.
    xlabel, ylabel : quantity and unit.
    xticks, yticks : value → words, in place of round numbers; ``{}`` for none, in both for no axes.
    height : of the axes, in 400ths of the width; None if a unit is to be as long as on x.
    alt : the picture in words, for whom it is read aloud.

    Coordinates are numbers or arrays of equal length. What is not finite is left out: a line has a
    gap there. On a log axis a line goes down to 0, far below, and has a gap where it is negative.

    ``ValueError`` for limits that are equal, not finite, or not positive on a log axis, for arrays of
    unequal lengths, for an unknown role, and for a title that does not fit.

    >>> panel = Panel("loss", x=(0, 10), y=(1e-3, 1), log="y")
    >>> panel.line([0, 5, 10], [1, 0.1, 0.01], "result", label="measured") is panel
    True
    """

    def __init__(
        self, title: Text, x: Pair, y: Pair, *, log: str = "", xlabel: Text = "", ylabel: Text = "",
        xticks: Mapping[float, Text] | None = None, yticks: Mapping[float, Text] | None = None,
        height: float | None = 220, alt: Text = "",
    ) -> None:  # fmt: skip
        self.title, self.xlabel, self.ylabel = map(say, (title, xlabel, ylabel))
        self.alt = say(alt) if alt else self.title
        if (room := max(map(ems, self.title)) * TITLE * 1.08) > WIDE:
            raise ValueError(
                f"Panel: the title {self.title.en!r} is {room:.0f} wide, the panel {WIDE:g}"
            )
        for name, ends in {"x": x, "y": y}.items():
            if (
                not np.isfinite(ends).all()
                or ends[0] == ends[1]
                or (name in log and min(ends) <= 0)
            ):
                kind = (
                    "positive and different, for a log axis" if name in log else "different numbers"
                )
                raise ValueError(f"Panel: the limits {name} must be {kind}, got {ends}")
        self._layers: dict[str, list[str]] = {"under": [], "lines": [], "over": [], "top": []}
        self._labels = Labels()
        self.placed: list[Box | None] = []  # where each label stands, once it is drawn
        self.y = Axis(*y, "y" in log)
        self.yticks = self.y.ticks(5) if yticks is None else _read(yticks)
        left = max([2.0, *(8 + SIZE * max(map(ems, words)) for words in self.yticks.values())]) + 2
        top = 6.0 + 26 * any(self.title) + 18 * any(self.ylabel)
        for most in (6, 5, 4, 3, 2):
            self.xticks = Axis(*x, "x" in log).ticks(most) if xticks is None else _read(xticks)
            sides = [SIZE * max(map(ems, words)) / 2 + 1 for words in self.xticks.values()]
            self.x = Axis(*x, "x" in log, max([left, *sides[:1]]), WIDE - max([12, *sides[-1:]]))
            self._rows = _rows(self.x([*self.xticks]), sides)
            if xticks is not None or max(self._rows, default=0) == 0:
                break
        self._grid = bool(self.xticks or self.yticks)
        long = self.x.end - self.x.start
        tall = abs(y[1] - y[0]) / abs(x[1] - x[0]) * long if height is None else float(height)
        self.y = Axis(*y, "y" in log, top + tall, top)
        below = 6 + LINE * (1 + max(self._rows, default=-1))
        self.height = round(top + tall + below + (LINE + 4) * any(self.xlabel))

    # --- marks ------------------------------------------------------------------------------------

    def line(
        self, x: Any, y: Any, role: str = "result", *, label: Text = "", width: float = 2.5
    ) -> Panel:
        """A line through points."""
        px, py = self._at("line", x, y)
        self._draw("lines", role, "line", trace(px, py), stroke_width=width)
        dense = _dense(px, py)
        return self._mark(role, dense, label, dense[::-1])

    def dots(
        self, x: Any, y: Any, role: str = "data", *, label: Text = "", size: float = 5,
        hollow: bool = False,
    ) -> Panel:  # fmt: skip
        """A dot of this radius at each point: round, for a penalty a square; the broken are hollow."""
        points = np.stack(self._at("dots", x, y), 1)
        points = points[np.isfinite(points).all(1)]
        d = "".join(f"M{digits(a)} {digits(b)}h0" for a, b in points)
        rim = 1.6 if role == "penalty" else 2.0  # a square has more area
        if len(points) <= 60:  # where they overlap each has a rim
            self._draw("over", role, "halo", d, stroke_width=rim * size + 2.5)
        self._draw("over", role, "dots", d, stroke_width=rim * size)
        if hollow or role == "broken":
            self._draw("over", role, "halo", d, stroke_width=rim * size - 4)
        around = size * np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])
        return self._mark(role, (points[:, None] + around).reshape(-1, 2), label, points[::-1])

    def bars(
        self, x: Any, y: Any, role: str = "data", *, label: Text = "", width: float = 0.8,
        base: float | None = None,
    ) -> Panel:  # fmt: skip
        """Bars around x, from ``base`` (0, on a log axis the lower limit) to y; ``width`` in units of x."""
        (px, py), half = self._at("bars", x, y), width / 2
        x = np.atleast_1d(np.asarray(x, float))
        left, right = self.x(x - half), self.x(x + half)
        zero = 0 * py + self.y(base if base is not None else self.y.low if self.y.log else 0)
        corners = np.stack([left, zero, left, py, right, py, right, zero], 1)
        corners = corners[np.isfinite(corners).all(1)]
        self._draw("lines", role, "solid", _runs(corners, "z"))
        edges = [_dense(*row.reshape(4, 2).T) for row in corners]
        tops = np.stack([px, py], 1)[np.isfinite(px) & np.isfinite(py)]
        return self._mark(role, np.concatenate([NONE, *edges]), label, tops[::-1])

    def arrow(
        self, x: Any, y: Any, dx: Any, dy: Any, role: str = "data", *, label: Text = "",
        width: float = 2.5,
    ) -> Panel:  # fmt: skip
        """An arrow from (x, y) to (x + dx, y + dy), or one for each entry of arrays."""
        x, y, dx, dy = (np.atleast_1d(np.asarray(v, float)) for v in (x, y, dx, dy))
        tail = np.stack(self._at("arrow", x, y), 1)
        tip = np.stack(self._at("arrow", *np.broadcast_arrays(x + dx, y + dy)), 1)
        tail, tip = np.broadcast_arrays(tail, tip)
        good = np.isfinite(tail).all(1) & np.isfinite(tip).all(1)
        tail, tip = tail[good], tip[good]
        length = np.hypot(*(tip - tail).T)[:, None]
        along = (tip - tail) / np.maximum(length, 1e-9)
        head = np.minimum(4 + 2.4 * width, 0.7 * length)  # a short arrow has a small head
        neck, side = tip - head * along, 0.5 * head * along[:, ::-1] * (1, -1)
        shaft = np.concatenate([tail, tip - 0.8 * head * along], 1)
        heads = np.concatenate([tip, neck + side, neck - side], 1)
        self._draw("over", role, "line", _runs(shaft), stroke_width=width)
        self._draw("over", role, "head", _runs(heads, "z"))
        points = [_dense(*np.stack(ends, 1)) for ends in zip(tail, tip, strict=True)]
        spots = np.concatenate([tip, (tail + tip) / 2])
        return self._mark(role, np.concatenate([NONE, *points]), label, spots)

    def fill(self, x: Any, y: Any, role: str = "data", *, label: Text = "") -> Panel:
        """A tinted area within a closed line."""
        px, py = self._at("fill", x, y)
        good = np.isfinite(px) & np.isfinite(py)
        d = trace(px[good], py[good])
        self._draw("under", role, "tint", d and f"{d}z")
        middle = np.stack([px[good], py[good]], 1).mean(0, keepdims=True) if good.any() else NONE
        return self._mark(role, NONE, label, middle, on=True)

    def band(self, x: Any, low: Any, high: Any, role: str = "data", *, label: Text = "") -> Panel:
        """A tinted area between two lines over the same x."""
        x, low, high = (np.atleast_1d(np.asarray(v, float)) for v in (x, low, high))
        for edge in (low, high):
            self._at("band", x, edge)
        good = np.isfinite(low) & np.isfinite(high)
        x, low, high = x[good], low[good], high[good]
        return self.fill(np.r_[x, x[::-1]], np.r_[low, high[::-1]], role, label=label)

    def heat(
        self, z: Any, most: float, role: str = "data", *, negative: str = "penalty",
        box: tuple[float, float, float, float] | None = None,
    ) -> Panel:  # fmt: skip
        """A table of numbers as shades, row 0 at the start of y.

        ``most`` is the size that has the full tone, the same in all frames; 0 has the colour of the
        page, what is below 0 the tone of ``negative``, what is not finite a cross. ``box`` is
        (x0, x1, y0, y1), by default all of the axes.
        """
        check_option("Panel.heat", "(0, inf)", most=most)
        self._grid = False  # it would show through
        z = np.atleast_2d(np.asarray(z, float))
        rows, columns = z.shape
        x0, x1, y0, y1 = self._box(box)
        xs, ys = np.linspace(x0, x1, columns + 1), np.linspace(y0, y1, rows + 1)
        tone = np.round(np.minimum(np.abs(np.nan_to_num(z, posinf=0, neginf=0)) / most, 1), 2)
        if z.size > 400:  # as many elements would be slow: a picture through which the tone shines
            for own, part in ((role, z > 0), (negative, z < 0)):
                shade = np.where(part, tone, 0)[:: int(np.sign(y1 - y0)), :: int(np.sign(x1 - x0))]
                self._shine(own, shade, (x0, x1, y0, y1))
        else:
            for (i, j), value in np.ndenumerate(z):
                own = negative if value < 0 else role
                a, b = sorted(xs[j : j + 2]), sorted(ys[i : i + 2])
                self._layers["under"].append(
                    tag("rect", class_=f"cell {self._role(own)}", x=a[0] + 0.5, y=b[0] + 0.5,
                        width=max(a[1] - a[0] - 1, 0.5), height=max(b[1] - b[0] - 1, 0.5),
                        fill_opacity=f"{tone[i, j]:g}")
                )  # fmt: skip
        bad = np.argwhere(~np.isfinite(z))
        at = np.array([((xs[j] + xs[j + 1]) / 2, (ys[i] + ys[i + 1]) / 2) for i, j in bad])
        d = "".join(f"M{digits(a - 3)} {digits(b - 3)}l6 6m0-6l-6 6" for a, b in at)
        return self._draw("lines", "reference", "line", d, stroke_width=1.5)

    def image(self, a: Any, box: tuple[float, float, float, float] | None = None) -> Panel:
        """A photograph, (height, width) or (height, width, 3), row 0 on top; 0 is black and 1 white.

        Numbers beyond are cut; integers are from 0 to 255. ``box`` as for :meth:`heat`.
        """
        a = np.asarray(a)
        if a.ndim not in (2, 3) or (a.ndim == 3 and a.shape[2] != 3) or not np.isfinite(a).all():
            raise ValueError(
                f"Panel.image: expected finite numbers, (height, width) or (height, width, 3), got "
                f"shape {a.shape} with {int((~np.isfinite(a)).sum())} that are not finite"
            )
        self._grid = False
        whole = a if a.dtype.kind in "iu" else np.clip(np.round(255 * a.astype(float)), 0, 255)
        self._layers["under"].append(_picture(whole.astype(np.uint8), self._box(box))[0])
        return self

    def contours(
        self, x: Any, y: Any, z: Any, levels: Sequence[float], role: str = "reference",
        *, width: float = 1,
    ) -> Panel:  # fmt: skip
        """Lines of equal height of ``z[i, j]``, the height at (x[j], y[i])."""
        x, y, z = np.asarray(x, float), np.asarray(y, float), np.asarray(z, float)
        if z.shape != (y.size, x.size):
            raise ValueError(
                f"Panel.contours: got z of shape {z.shape}, expected {(y.size, x.size)}"
            )
        px, py, d = self.x(x), self.y(y), ""
        for level in levels:
            for i, j in joined(z, float(level)):
                d += trace(np.interp(j, np.arange(x.size), px), np.interp(i, np.arange(y.size), py))
        return self._draw("lines", role, "line", d, stroke_width=width)

    def hline(self, y: float, label: Text = "", role: str = "reference") -> Panel:
        """A line across, at this height."""
        return self._across([self.x.low, self.x.high], [y, y], label, role)

    def vline(self, x: float, label: Text = "", role: str = "reference") -> Panel:
        """A line from bottom to top."""
        return self._across([x, x], [self.y.low, self.y.high], label, role)

    def text(self, x: float, y: float, words: Text, role: str = "ink") -> Panel:
        """Words at a point, or beside it if something is there."""
        spot = np.stack(self._at("text", x, y), 1)
        return self._mark(role, NONE, words, spot, on=True)

    def handle(self, x: float, y: float) -> Panel:
        """What the reader may grab: dragging it chooses the nearest frame."""
        (a,), (b,) = self._at("handle", x, y)
        self._layers["top"] += [
            tag("circle", class_=kind, cx=float(a), cy=float(b), r=r)
            for kind, r in (("grip", 22), ("handle", 9))
        ]
        ring = 9 * np.array([(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)])
        return self._mark("ink", np.array([a, b]) + ring)

    # --- how marks are kept -----------------------------------------------------------------------

    def _at(self, owner: str, x: Any, y: Any) -> tuple[Array, Array]:
        """Positions of points, flat."""
        px, py = (np.atleast_1d(np.asarray(v, float)) for v in (x, y))
        if px.shape != py.shape or px.ndim != 1:
            raise ValueError(
                f"Panel.{owner}: expected flat arrays of equal length, got x of shape {px.shape} and "
                f"y of shape {py.shape}"
            )
        return self.x(px), self.y(py)

    def _role(self, role: str) -> str:
        if role not in ROLES:
            near = difflib.get_close_matches(role, ROLES, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(ROLES)}"
            raise ValueError(f"Panel: unknown role {role!r}; {hint}")
        return role

    def _draw(self, layer: str, role: str, kind: str, d: str, **attributes: Any) -> Panel:
        self._layers[layer].append(
            tag("path", class_=f"{kind} {self._role(role)}", **attributes, d=d)
        )
        return self

    def _mark(
        self, role: str, points: Array, label: Text = "", spots: Array = NONE, on: bool = False
    ) -> Panel:
        """Keep a mark's points, and its label, for which a place is found when all is drawn."""
        words, room = say(label), self.x.end - self.x.start
        if (width := SIZE * max(map(ems, words)) + 2) > room:
            raise ValueError(
                f"Panel: the label {words.en!r} is {width:.0f} wide, the axes {room:.0f}"
            )
        self._labels.add(points, words, self._role(role), spots, on)
        return self

    def _across(self, x: Any, y: Any, label: Text, role: str) -> Panel:
        px, py = self._at("line", x, y)
        self._draw("lines", role, "line thin", trace(px, py))
        dense = _dense(px, py)
        return self._mark(role, dense, label, dense[::-1])

    def _box(self, box: tuple[float, float, float, float] | None) -> tuple[float, ...]:
        x0, x1, y0, y1 = box or (self.x.low, self.x.high, self.y.low, self.y.high)
        return (*map(float, self.x([x0, x1])), *map(float, self.y([y0, y1])))

    def _shine(self, role: str, shade: Array, box: tuple[float, ...]) -> None:
        """A tone through a picture of shades, so that it follows light and dark."""
        picture, key = _picture(np.round(255 * shade).astype(np.uint8), box)
        self._layers["under"] += [
            tag("mask", picture, id=key),
            tag("rect", class_=f"cell {self._role(role)}", mask=f"url(#{key})", **_area(*box)),
        ]

    # --- the whole --------------------------------------------------------------------------------

    def svg(self, after: Panel | None = None) -> str:
        """The panel as SVG; labels stay where they are in the frame before, if that is as good."""
        axes = [tag("path", class_="grid", d=self._rules())] * self._grid
        floor = f"M{digits(self.x.start)} {digits(self.y.start)}H{digits(self.x.end)}" * self._grid
        stems = "".join(f"M{digits(v)} {digits(self.y.start)}v4" for v in self.x([*self.xticks]))
        axes.append(tag("path", class_="floor", d=floor + stems))
        marks = [self._clip(0, "under", "lines"), self._clip(8, "over"), *self._layers["top"]]
        return tag(
            "svg", *axes, *marks, *self._words(), *self._named(after.placed if after else None),
            viewBox=f"0 0 {WIDE:g} {self.height}", role="img", aria_label=self.alt.en,
        )  # fmt: skip

    def _rules(self) -> str:
        left, right = digits(self.x.start), digits(self.x.end)
        return "".join(f"M{left} {digits(v)}H{right}" for v in self.y([*self.yticks]))

    def _words(self) -> list[str]:
        """Title, names of the axes and ticks."""
        left, right, top, bottom = self.x.start, self.x.end, self.y.end, self.y.start
        places: list[tuple[Say, str, float, float]] = [
            (self.title, "title", 0.0, 17.0),
            (self.ylabel, "", 0.0, top - 9),
            (self.xlabel, "end", right, self.height - 4.0),
        ]
        for value, words in self.yticks.items():
            places.append((words, "end", left - 7, float(self.y(value)) + 4.5))
        for (value, words), row in zip(self.xticks.items(), self._rows, strict=True):
            places.append((words, "middle", float(self.x(value)), bottom + 18 + LINE * row))
        return [_text(*place) for place in places if any(place[0])]

    def _named(self, before: list[Box | None] | None) -> list[str]:
        """The labels of marks; one that has no place is there, unseen, so that frames stay alike."""
        labels = self._labels.labels
        alike = before if before and len(before) == len(labels) else None
        area = (self.x.start, self.y.end, self.x.end, self.y.start)
        self.placed = self._labels.place(area, alike)
        return [
            _text(label.words, f"label {label.role} {ANCHORS[box.side]}", box.held, box.y1 - 4)
            if box
            else _text(label.words, "label unseen", 0.0, 0.0)
            for label, box in zip(labels, self.placed, strict=True)
        ]

    def _clip(self, pad: float, *layers: str) -> str:
        """Marks, cut at the axes or a little outside."""
        x, y = self.x.start - pad, self.y.end - pad
        w, h = self.x.end - x + pad, self.y.start - y + pad
        marks = [mark for layer in layers for mark in self._layers[layer]]
        box = f"{digits(x)} {digits(y)} {digits(w)} {digits(h)}"
        return tag("svg", *marks, x=x, y=y, width=w, height=h, viewBox=box) if marks else ""

    def __repr__(self) -> str:
        return f"Panel({self.title.en!r}, {len(self._labels.points)} marks)"


def _text(words: Say, kind: str, x: float, y: float) -> str:
    return tag("text", words.html(tag="tspan"), class_=kind, x=x, y=y)


def _read(ticks: Mapping[float, Text]) -> dict[float, Say]:
    return {value: say(words) for value, words in ticks.items()}


def _rows(places: Array, sides: list[float]) -> list[int]:
    """For each word the first line in which it does not touch the one before."""
    ends: list[float] = []
    rows = []
    for place, half in zip(places, sides, strict=True):
        row = next((k for k, end in enumerate(ends) if place - half > end + 5), len(ends))
        ends[row:] = [place + half, *ends[row + 1 :]]
        rows.append(row)
    return rows


def _dense(x: Array, y: Array) -> Array:
    """Points every few units along a line, (n, 2)."""
    parts = [NONE]
    for a, b, c, d in zip(x, y, x[1:], y[1:], strict=False):
        if np.isfinite([a, b, c, d]).all():
            n = int(min(max(abs(c - a), abs(d - b)) // 4 + 2, 200))
            parts.append(np.stack([np.linspace(a, c, n), np.linspace(b, d, n)], 1))
    return np.concatenate(parts)


def _runs(corners: Array, end: str = "") -> str:
    """A path of the same few corners for each row."""
    return "".join("M" + " ".join(map(digits, row)) + end for row in corners)


def _area(x0: float, x1: float, y0: float, y1: float) -> dict[str, float]:
    return {"x": min(x0, x1), "y": min(y0, y1), "width": abs(x1 - x0), "height": abs(y1 - y0)}


def _picture(a: Array, box: tuple[float, ...]) -> tuple[str, str]:
    """The element, and a name for what it shows."""
    url, key = png(a)
    area = _area(*box)
    return tag("image", class_="pixels", preserveAspectRatio="none", href=url, **area), key
