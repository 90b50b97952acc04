"""panel: axes and marks as SVG, made of NumPy arrays and nothing else.

A colour is a role with one meaning throughout; ``scene.css`` has its tones for light and dark:
``data`` blue, ``penalty`` orange, ``result`` green (what happens), ``textbook`` dashed (what was
predicted), ``reference`` grey, ``broken`` red outline, ``ink``. Dots are round, those of a penalty
are squares. A picture is 400 wide, so that its letters stay above 11 px on a phone.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from ..backend import Array
from ..messages import check_option, check_shape
from .labels import ANCHORS, FINE, LINE, NONE, SIZE, Labels, Place
from .raster import joined, png
from .words import Say, Text, ems, number, power, say

ROLES = ("data", "penalty", "result", "textbook", "reference", "broken", "ink")
WIDE, TITLE = 400.0, 15.0  # of a panel, and of the letters of its title
FAR = 50.0  # how many heights away a mark may go: further off nothing is seen of it
Pair = tuple[float, float]
Box = tuple[float, float, float, float]  # x0, x1, y0, y1
STRETCH = {"preserveAspectRatio": "none"}


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
        for join, a, b in zip(joins, x[last].tolist(), y[last].tolist(), strict=True)
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
        first = math.ceil(math.log10(low) - 1e-9)
        last = math.floor(math.log10(high) + 1e-9)
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
            least, kind = (0.0, "positive ") if name in log else (-np.inf, "")
            if not np.isfinite(ends).all() or ends[0] == ends[1] or min(ends) <= least:
                raise ValueError(f"Panel: {name} must be two different {kind}numbers, got {ends}")
        self._layers: dict[str, list[str]] = {"under": [], "lines": [], "over": [], "top": []}
        self._labels = Labels()
        self.placed: list[Place | None] = []  # where each label stands, once it is drawn
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
        points = self._at("line", x, y)
        self._draw("lines", role, "line", trace(*points.T), stroke_width=width)
        dense = _dense([points])
        return self._mark(role, dense, label, dense[::-1])

    def dots(
        self, x: Any, y: Any, role: str = "data", *, label: Text = "", size: float = 5,
        hollow: bool = False,
    ) -> Panel:  # fmt: skip
        """A dot of this radius at each point: round, for a penalty a square; the broken are hollow."""
        points = _finite(self._at("dots", x, y))
        d, side = _runs(points, "h0"), size * (1.6 if role == "penalty" else 2)  # of equal weight
        if len(points) <= 60:  # where they overlap each has a rim
            self._draw("over", role, "halo", d, stroke_width=side + 2.5)
        self._draw("over", role, "dots", d, stroke_width=side)
        if hollow or role == "broken":
            self._draw("over", role, "halo", d, stroke_width=side - 4)
        return self._mark(role, _around(points, size), label, points[::-1])

    def circles(self, x: Any, y: Any, radius: Any, role: str = "textbook") -> Panel:
        """A circle of this radius, in units of x, around each point."""
        points, radius = self._at("circles", x, y), np.asarray(radius, float)
        r = np.abs(self.x(self.x.low + radius) - self.x.start)
        rims = [
            f"M{digits(a - b)} {digits(c)}"
            + "".join(f"a{digits(b)} {digits(b)} 0 1 0 {digits(d)} 0" for d in (2 * b, -2 * b))
            for a, c, b in _finite(np.c_[points, r]).tolist()
        ]
        return self._draw("lines", role, "line", "".join(rims), stroke_width=2)

    def bars(
        self, x: Any, y: Any, role: str = "data", *, label: Text = "", width: float = 0.8,
        base: float | None = None,
    ) -> Panel:  # fmt: skip
        """Bars around x, from ``base`` (0, on a log axis the lower limit) to y; ``width`` in units of x."""
        tops, x = self._at("bars", x, y), np.atleast_1d(np.asarray(x, float))
        left, right = self.x(x - width / 2), self.x(x + width / 2)
        zero = float(self.y(base if base is not None else self.y.low if self.y.log else 0))
        foot = np.full(left.shape, zero)
        corners = _finite(
            np.stack([left, foot, left, tops[:, 1], right, tops[:, 1], right, foot], 1)
        )
        self._draw("lines", role, "solid", _runs(corners, "z"))
        self._draw(
            "lines", "ink", "floor", f"M{digits(self.x.start)} {digits(zero)}H{digits(self.x.end)}"
        )
        return self._mark(role, _dense(corners.reshape(-1, 4, 2)), label, _finite(tops)[::-1])

    def arrow(
        self, x: Any, y: Any, dx: Any, dy: Any, role: str = "data", *, label: Text = "",
        width: float = 2.5,
    ) -> Panel:  # fmt: skip
        """An arrow from (x, y) to (x + dx, y + dy), or one for each entry of arrays."""
        x, y, dx, dy = (np.atleast_1d(np.asarray(v, float)) for v in (x, y, dx, dy))
        ends = self._at("arrow", x, y), self._at("arrow", *np.broadcast_arrays(x + dx, y + dy))
        both = _finite(np.concatenate(np.broadcast_arrays(*ends), 1))
        tail, tip = both[:, :2], both[:, 2:]
        length = np.hypot(*(tip - tail).T)[:, None]
        along = (tip - tail) / np.maximum(length, 1e-9)
        head = np.minimum(4 + 2.4 * width, 0.7 * length)  # a short arrow has a small head
        neck, side = tip - head * along, 0.5 * head * along[:, ::-1] * (1, -1)
        shaft = np.concatenate([tail, tip - 0.8 * head * along], 1)
        heads = np.concatenate([tip, neck + side, neck - side], 1)
        self._draw("over", role, "line shaft", _runs(shaft), stroke_width=width)
        self._draw("over", role, "head", _runs(heads, "z"))
        spots = np.concatenate([tip, (tail + tip) / 2, tail])
        return self._mark(role, _dense(both.reshape(-1, 2, 2)), label, spots)

    def fill(self, x: Any, y: Any, role: str = "data", *, label: Text = "") -> Panel:
        """A tinted area within a closed line."""
        points = _finite(self._at("fill", x, y))
        self._draw("under", role, "tint", _runs(points.reshape(1, -1), "z") if len(points) else "")
        middle = points.mean(0, keepdims=True) if len(points) else NONE
        return self._mark(role, NONE, label, middle, on=True)

    def band(self, x: Any, low: Any, high: Any, role: str = "data", *, label: Text = "") -> Panel:
        """A tinted area between two lines over the same x."""
        edges = np.hstack([self._given("band", x, low), self._given("band", x, high)[:, 1:]])
        x, low, high = _finite(edges).T
        return self.fill(np.r_[x, x[::-1]], np.r_[low, high[::-1]], role, label=label)

    def heat(
        self, z: Any, most: float, role: str = "data", *, negative: str = "penalty",
        box: Box | None = None,
    ) -> Panel:  # fmt: skip
        """A table of numbers as shades, row 0 at the start of y.

        ``most`` is the size that has the full tone, the same in all frames; 0 has the colour of the
        page, what is below 0 the tone of ``negative``, what is not finite a cross. ``box`` is
        (x0, x1, y0, y1), by default all of the axes.
        """
        check_option("Panel.heat", "(0, inf)", most=most)
        area, down, right = self._area(box)
        z = np.atleast_2d(np.asarray(z, float))[::down, ::right]  # from the upper left corner
        wide, high = area["width"] / z.shape[1], area["height"] / z.shape[0]
        tone = np.round(np.minimum(np.abs(np.nan_to_num(z, posinf=0, neginf=0)) / most, 1), 2)
        roles = np.where(z < 0, self._role(negative), self._role(role))
        if z.size > 400:  # as many elements would be slow: a picture through which the tone shines
            for own in dict.fromkeys((role, negative)):
                url, key = png(np.round(255 * np.where(roles == own, tone, 0)).astype(np.uint8))
                mask = tag(
                    "mask", tag("image", class_="pixels", href=url, **area, **STRETCH), id=key
                )
                cell = tag("rect", class_=f"cell {own}", mask=f"url(#{key})", **area)
                self._layers["under"] += [mask, cell]
        else:
            self._layers["under"] += [
                tag("rect", class_=f"cell {roles[i, j]}", x=area["x"] + wide * j + 0.5,
                    y=area["y"] + high * i + 0.5, width=max(wide - 1, 0.5),
                    height=max(high - 1, 0.5), fill_opacity=f"{tone[i, j]:g}")
                for i, j in np.ndindex(z.shape)
            ]  # fmt: skip
        bad = (np.argwhere(~np.isfinite(z)) + 0.5)[:, ::-1] * (wide, high) + (area["x"], area["y"])
        return self._draw("lines", "reference", "line thin", _runs(bad - 3, "l6 6m0-6l-6 6"))

    def image(self, a: Any, box: Box | None = None) -> Panel:
        """A photograph, (height, width) or (height, width, 3), row 0 on top; 0 is black and 1 white.

        Numbers beyond are cut; integers are from 0 to 255. ``box`` as for :meth:`heat`.
        """
        a = np.asarray(a)
        if not (a.ndim == 2 or a.shape[2:] == (3,)) or not np.isfinite(a).all():
            raise ValueError(
                "Panel.image: expected finite numbers, (height, width) or (height, width, 3), got "
                f"shape {a.shape} with {int((~np.isfinite(a)).sum())} that are not finite"
            )
        whole = a if a.dtype.kind in "iu" else np.clip(np.round(255 * a.astype(float)), 0, 255)
        url, area = png(whole.astype(np.uint8))[0], self._area(box)[0]
        self._layers["under"].append(tag("image", class_="pixels", href=url, **area, **STRETCH))
        return self

    def contours(
        self, x: Any, y: Any, z: Any, levels: Sequence[float], role: str = "reference",
        *, width: float = 1,
    ) -> Panel:  # fmt: skip
        """Lines of equal height of ``z[i, j]``, the height at (x[j], y[i])."""
        px, py, z = self.x(x), self.y(y), np.asarray(z, float)
        check_shape("Panel.contours", (py.size, px.size), z=z)
        d = "".join(
            trace(np.interp(j, np.arange(px.size), px), np.interp(i, np.arange(py.size), py))
            for level in levels
            for i, j in joined(z, float(level))
        )
        return self._draw("lines", role, "line", d, stroke_width=width)

    def hline(self, y: float, label: Text = "", role: str = "reference") -> Panel:
        """A line across, at this height."""
        return self.line([self.x.low, self.x.high], [y, y], role, label=label, width=1.5)

    def vline(self, x: float, label: Text = "", role: str = "reference") -> Panel:
        """A line from bottom to top."""
        return self.line([x, x], [self.y.low, self.y.high], role, label=label, width=1.5)

    def text(self, x: float, y: float, words: Text, role: str = "ink") -> Panel:
        """Words at a point, or beside it if something is there."""
        return self._mark(role, NONE, words, self._at("text", x, y), on=True)

    def handle(self, x: float, y: float) -> Panel:
        """What the reader may grab: dragging it chooses the nearest frame."""
        spot = self._at("handle", x, y)
        a, b = map(float, spot[0])
        self._layers["top"] += [
            tag("circle", class_=kind, cx=a, cy=b, r=r) for kind, r in (("grip", 22), ("handle", 9))
        ]
        return self._mark("ink", _around(spot, 9))

    # --- how marks are kept -----------------------------------------------------------------------

    def _given(self, owner: str, x: Any, y: Any) -> Array:
        """Points as they are given, (n, 2)."""
        x, y = (np.atleast_1d(np.asarray(v, float)) for v in (x, y))
        if x.shape != y.shape or x.ndim != 1:
            raise ValueError(
                f"Panel.{owner}: expected flat arrays of equal length, got x of shape {x.shape} and "
                f"y of shape {y.shape}"
            )
        return np.stack([x, y], 1)

    def _at(self, owner: str, x: Any, y: Any) -> Array:
        """Where points are in the picture, (n, 2)."""
        x, y = self._given(owner, x, y).T
        return np.stack([self.x(x), self.y(y)], 1)

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

    def _area(self, box: Box | None) -> tuple[dict[str, float], int, int]:
        """Where a table goes; 1 if its rows go down, and if its columns go right, else −1."""
        x0, x1, y0, y1 = box or (self.x.low, self.x.high, self.y.low, self.y.high)
        self._grid = False  # it would show through
        (a, b), (c, d) = self.x([x0, x1]).tolist(), self.y([y0, y1]).tolist()
        area = {"x": min(a, b), "y": min(c, d), "width": abs(b - a), "height": abs(d - c)}
        return area, 1 if d > c else -1, 1 if b > a else -1

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

    def _named(self, before: list[Place | None] | None) -> list[str]:
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


def _finite(rows: Array) -> Array:
    return rows[np.isfinite(rows).all(1)]


def _around(points: Array, size: float) -> Array:
    """Five points for each dot, its middle and its rim."""
    rim = size * np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])
    return (points[:, None] + rim).reshape(-1, 2)


def _dense(lines: Iterable[Array]) -> Array:
    """Points every few units along lines, (n, 2)."""
    parts = [NONE]
    for line in lines:
        for a, b in pairwise(line):
            if np.isfinite([a, b]).all():
                n = int(min(np.abs(b - a).max().round(FINE) // 4 + 2, 200))
                parts.append(np.linspace(a, b, n))
    return np.concatenate(parts)


def _runs(corners: Array, end: str = "") -> str:
    """A path of the same few corners for each row."""
    return "".join("M" + " ".join(map(digits, row)) + end for row in corners.tolist())
