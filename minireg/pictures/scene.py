"""scene: a picture for each value of a control, drawn ahead, so that it follows the reader's hand.

A frame is SVG. Frames of one look, the same marks in the same order, differ in numbers and words
only; so one of them is kept as it is, and of the others what has changed. ``scene.js`` plays them.
"""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from html import escape, unescape
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .panel import Panel
from .words import Say, Text, glued, number, say

MOST = 9  # values of a control: more are a film, not a choice
_HERE = Path(__file__).parent


class Frame:
    """Panels side by side, and the numbers that the caption, goals and tests read.

    >>> Frame(Panel("loss", (0, 1), (0, 1)), end=0.49)
    Frame(1 panel, end=0.49)
    """

    def __init__(self, *panels: Panel, **numbers: Any) -> None:
        for panel in panels:
            if not isinstance(panel, Panel):
                raise TypeError(f"Frame: expected panels, got {panel!r:.60}; name the numbers")
        self.panels, self.numbers = panels, numbers

    def svg(self, after: Frame | None = None) -> str:
        """Its panels as SVG; labels stay where they are in the frame before, if they can."""
        before = after.panels if after and len(after.panels) == len(self.panels) else ()
        pairs = zip(self.panels, before or [None] * len(self.panels), strict=True)
        return "".join(panel.svg(old) for panel, old in pairs)

    def _repr_html_(self) -> str:
        """For Jupyter."""
        return image(self.svg())

    def __repr__(self) -> str:
        many = f"{len(self.panels)} panel{'s' * (len(self.panels) != 1)}"
        return f"Frame({', '.join([many, *(f'{k}={v!r}' for k, v in self.numbers.items())])})"


class State(NamedTuple):
    """What the reader has chosen."""

    value: float
    choice: str | None = None
    broken: bool = False

    def __str__(self) -> str:
        parts = [f"{self.value:g}", self.choice, "broken" * self.broken]
        return ", ".join(part for part in parts if part)


class Scene:
    """A picture with a control, at most one choice, and at most one fault to plant.

    In marimo and Jupyter it shows itself, in a page :meth:`html` does; nothing is computed before.

    Parameters
    ----------
    picture : ``picture(value)``, with choices ``picture(value, choice)``, and with a fault a last
        argument, whether it is planted; returns a :class:`Frame`.
    name : of the value in the caption and in links (``#lam=5``).
    values : at most nine, in order.
    label : what the control is called.
    start : the value shown first: one that already surprises.
    choices : key → words; the first is shown first.
    broken : what goes wrong when the reader breaks it.
    caption : one sentence; ``{name:format}`` is a number of the frame, the value, or the choice.
    alt : what the picture shows, for whom it is read aloud.
    unit : written after the value.

    ``ValueError`` for a start that is none of the values and for too many or unordered values.

    >>> def picture(t):
    ...     return Frame(Panel("height", (0, 1), (0, 9)).line([0, 1], [0, t]), end=t)
    >>> scene = Scene(picture, "t", (1, 4, 9), label="t", start=4, caption="ends at {end}", alt="a line")
    >>> scene
    Scene(picture, t = 1, 4, 9)
    >>> scene.check()
    """

    def __init__(
        self, picture: Callable[..., Frame], name: str, values: Sequence[float], *, label: Text,
        start: float, caption: Text, alt: Text, choices: Mapping[str, Text] | None = None,
        broken: Text | None = None, unit: Text = "",
    ) -> None:  # fmt: skip
        self.picture, self.name, self.values = picture, name, tuple(values)
        self.label, self.unit, self.caption, self.alt = map(say, (label, unit, caption, alt))
        self.choices = {key: say(words) for key, words in (choices or {}).items()}
        self.broken = None if broken is None else say(broken)
        if not 2 <= len(self.values) <= MOST or [*self.values] != sorted({*self.values}):
            raise ValueError(f"Scene: expected 2 to {MOST} values in order, got {self.values}")
        if start not in self.values:
            raise ValueError(f"Scene: start must be one of {self.values}, got {start!r}")
        self.start = State(start, next(iter(self.choices), None))

    @property
    def states(self) -> list[State]:
        """All that a reader can choose: values, within whole and broken, within choices."""
        faults = (False, True) if self.broken else (False,)
        return [
            State(v, c, b) for c in self.choices or (None,) for b in faults for v in self.values
        ]

    @cached_property
    def _frames(self) -> dict[State, Frame]:
        return {state: self._frame(state) for state in self.states}

    def _frame(self, state: State) -> Frame:
        value, choice, broken = state
        given = [value, *[choice] * bool(self.choices), *[broken] * bool(self.broken)]
        frame = self.picture(*given)
        if not isinstance(frame, Frame):
            raise TypeError(f"Scene: the picture must return a Frame, got {frame!r:.60} at {state}")
        return frame

    def frames(self) -> dict[State, Frame]:
        """State → its frame, all of them; computed once."""
        return self._frames

    @cached_property
    def _drawn(self) -> dict[State, str]:
        """State → SVG; each frame's labels look at the frame before."""
        drawn, before = {}, None
        for state, frame in self.frames().items():
            drawn[state] = frame.svg(before)
            before = frame
        return drawn

    def check(self) -> None:
        """``ValueError`` unless the control, the choice and the fault all change the picture.

        Neighbours must have the same look, so that one becomes the other before the reader's eyes,
        the caption's numbers must be there, and all numbers finite.
        """
        wrong = [*self._dull(), *self._unsaid()]
        if wrong:
            raise ValueError(f"{self!r}: {'; '.join(wrong)}")

    def _dull(self) -> Iterator[str]:
        """Where nothing happens, or too much at once."""
        drawn, look = self._drawn, {state: slots(svg)[0] for state, svg in self._drawn.items()}
        for choice in self.choices or (None,):
            whole = [State(value, choice) for value in self.values]
            if drawn[whole[0]] == drawn[whole[-1]]:
                yield f"the same picture at {whole[0]} and {whole[-1]}"
            if self.broken and all(drawn[s] == drawn[s._replace(broken=True)] for s in whole):
                yield f"the fault changes nothing{f' at {choice}' if choice else ''}"
        for a, b in pairwise(self.states):
            if a[1:] == b[1:] and look[a] != look[b]:
                yield f"not the same marks at {a} and {b}"

    def _unsaid(self) -> Iterator[str]:
        """Numbers that cannot be told."""
        for state, frame in self.frames().items():
            for name, value in frame.numbers.items():
                if not isinstance(value, str | Say) and not np.isfinite(value):
                    yield f"{name} is {value} at {state}"
            try:
                self._said(state)
            except KeyError as error:
                yield f"the caption wants {error}, the frame at {state} has {[*frame.numbers]}"

    # --- as data ------------------------------------------------------------------------------------

    def encode(self) -> dict[str, Any]:
        """All frames, to be kept as JSON: a look as its first frame, of others what has changed."""
        order = sorted(self.states, key=lambda state: state != self.start)  # its look comes first
        cut = {state: slots(self._drawn[state]) for state in order}
        looks = {
            skeleton: k for k, skeleton in enumerate(dict.fromkeys(s for s, _ in cut.values()))
        }
        encoded: list[Any] = [None] * len(order)
        shown = []
        for skeleton, k in looks.items():
            family = [state for state in order if cut[state][0] == skeleton]
            base, inner = family[0], sorted(family, key=self.states.index)
            table = Slots([cut[state][1] for state in [base, *inner]])
            shown.append({"svg": self._drawn[base], "still": table.still, "live": table.live})
            for state, changes in zip(inner, table.changes(), strict=True):
                encoded[self.states.index(state)] = [k, *changes, self._said(state)]
        numbers = [
            {k: float(f"{v:.6g}") for k, v in f.numbers.items() if not isinstance(v, str | Say)}
            for f in self.frames().values()
        ]
        return {"looks": shown, "frames": encoded, "numbers": numbers}

    def _said(self, state: State) -> list[str]:
        """What the caption's fields hold, in English and then in Chinese."""
        given = {self.name: state.value, **self.frames()[state].numbers}
        given |= {"choice": self.choices[state.choice]} if state.choice else {}
        read = [
            string.Formatter().get_field(field, (), given)[0] for field, _ in _fields(self.caption)
        ]
        half = len([*_fields(self.caption[:1])])
        return [
            format(glued(v[k >= half]), how)
            if isinstance(v, Say)
            else format(v, how).replace("-", "−")
            for k, (v, (_, how)) in enumerate(zip(read, _fields(self.caption), strict=True))
        ]

    def still(self, encoded: dict[str, Any], state: State) -> tuple[str, str]:
        """The SVG of a state among encoded frames, and the HTML of its caption."""
        frames = encoded["frames"][: self.states.index(state) + 1]
        own = frames[-1][0]
        film = _Film(encoded["looks"][own])
        for look, added, words, _ in frames:
            if look == own:
                film.move(added, words)
        rest = iter(text for _, text in film.now())
        svg = _walk(encoded["looks"][own]["svg"], lambda name, text: next(rest))
        return svg, self._caption(frames[-1][-1])

    def told(self, state: State) -> Say:
        """What the reader has chosen, in words."""
        value = number(state.value)
        said = [
            f"{label} = {value}{unit}" for label, unit in zip(self.label, self.unit, strict=True)
        ]
        if state.choice:
            said = [f"{a}, {b}" for a, b in zip(said, self.choices[state.choice], strict=True)]
        if state.broken and self.broken:
            said = [
                f"{said[0]}, broken: {self.broken.en}",
                f"{said[1]}, 故意弄错：{self.broken.zh}",
            ]
        return Say(said[0], said[1].replace(", ", "，"))

    def linked(self, link: str) -> State:
        """The state to which a link leads: ``#lam=5&choice=l2&broken``; what it leaves out is as at first."""
        parts = (part.partition("=") for part in link.lstrip("#").split("&"))
        given = {key: value for key, _, value in parts}
        value = float(given.get(self.name, self.start.value))
        return State(value, given.get("choice", self.start.choice), "broken" in given)

    # --- its faces ----------------------------------------------------------------------------------

    def html(self, encoded: dict[str, Any] | None = None, *, small: bool = False) -> str:
        """The element ``<mr-scene>``, of these encoded frames or of fresh ones.

        The page adds :func:`style` and :func:`script`. Without a script it shows the first frame.
        A small one has the first panel and the control, no choice and nothing to break.
        """
        found = encoded or self.encode()
        if small:
            found = _first(found, len(self.values))
        first, *others = found["looks"]
        looks = [{k: v for k, v in first.items() if k != "svg"}, *others]
        data = {
            "name": self.name, "values": self.values, "words": [number(v) for v in self.values],
            "choices": [] if small else [*self.choices], "unit": self.unit, "alt": self.alt,
            **found, "looks": looks,
        }  # fmt: skip
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
        said = found["frames"][self.states.index(self.start)][-1]
        return (
            f'<mr-scene><form class="controls" autocomplete="off">{self._range()}'
            f"{'' if small else self._buttons()}"
            f'</form><div class="stage" role="img" aria-label="{escape(self.alt.en)}">{first["svg"]}</div>'
            f'<p class="caption" aria-live="polite" aria-atomic="true">{self._caption(said)}</p>'
            f'<script type="application/json">{text}</script></mr-scene>'
        )

    def _caption(self, said: Sequence[str]) -> str:
        """The caption, its fields in elements of their own: they follow the control."""
        rest = iter(said)
        texts = [
            "".join(
                escape(before, quote=False)
                + ("" if field is None else f"<b>{escape(next(rest))}</b>")
                for before, field, _, _ in string.Formatter().parse(text)
            )
            for text in self.caption
        ]
        return "".join(
            f'<span lang="{k}">{glued(v)}</span>' for k, v in zip(("en", "zh"), texts, strict=True)
        )

    def _range(self) -> str:
        stops = "".join(f"<span>{escape(number(v))}</span>" for v in self.values)
        most, at = len(self.values) - 1, self.values.index(self.start.value)
        unit = self.unit.html() if any(self.unit) else ""
        name = f"{self.label.html()} = <output>{number(self.start.value)}</output>{unit}"
        return (
            f'<label class="control"><span class="name">{name}</span><span class="track">'
            f'<input type="range" min="0" max="{most}" step="1" value="{at}">'
            f'<span class="stops" aria-hidden="true">{stops}</span></span></label>'
        )

    def _buttons(self) -> str:
        chosen = "".join(
            f'<label><input type="radio" name="choice" value="{escape(key)}"'
            f"{' checked' * (key == self.start.choice)}>{words.html()}</label>"
            for key, words in self.choices.items()
        )
        choices = f'<fieldset class="choices">{chosen}</fieldset>' if chosen else ""
        fault = self.broken and (
            f'<label class="break"><input type="checkbox" name="broken">'
            f"{Say(f'break it: {self.broken.en}', f'故意弄错：{self.broken.zh}').html()}</label>"
        )
        return choices + (fault or "")

    def _mime_(self) -> tuple[str, str]:
        """For marimo."""
        return "text/html", self._repr_html_()

    def _repr_html_(self) -> str:
        """For Jupyter."""
        return self.document()

    def document(self, encoded: dict[str, Any] | None = None, lang: str = "") -> str:
        """:meth:`html` as a document of its own, so that nothing of a notebook's style gets in.

        Without ``lang`` it speaks the reader's language.
        """
        page = (
            f'<!doctype html><html lang="{lang}"><meta charset="utf-8"><style>{style()}</style>'
            f"<body>{self.html(encoded)}<script>{_FIT}</script>"
            f'<script type="module">{script()}</script></body></html>'
        )
        return (
            f'<iframe srcdoc="{escape(page)}" title="{escape(self.alt.en)}" '
            'style="width:100%;height:480px;border:0"></iframe>'
        )

    def __repr__(self) -> str:
        values = ", ".join(f"{v:g}" for v in self.values)
        return f"Scene({getattr(self.picture, '__name__', 'picture')}, {self.name} = {values})"


# In a frame of a notebook: the reader's language, and as high as the scene is.
_FIT = """document.documentElement.lang ||= navigator.language;
new ResizeObserver(([{ contentRect }]) => { if (frameElement) frameElement.style.height =
  contentRect.height + 24 + "px"; }).observe(document.body);"""


def style() -> str:
    """The rules of ``scene.css``: roles in light and dark, and how a scene is laid out."""
    return (_HERE / "scene.css").read_text(encoding="utf-8")


def script() -> str:
    """The code of ``scene.js``: the element ``<mr-scene>``."""
    return (_HERE / "scene.js").read_text(encoding="utf-8")


def image(svg: str, lang: str = "en", alt: str = "") -> str:
    """The panels of a frame, side by side, as an ``<img>`` that stands by itself, in light colours.

    Notebooks show it also where they do not trust what they show.
    """
    other = "en" if lang == "zh" else "zh"
    svg = re.sub(rf'<tspan lang="{other}">.*?</tspan>', "", svg)
    heights = [int(h) for h in re.findall(r'<svg viewBox="0 0 400 (\d+)"', svg)]
    at = iter(f'<svg x="{428 * k}" width="400" height="{h}" ' for k, h in enumerate(heights))
    panels = re.sub('<svg (?=viewBox="0 0 400 )', lambda _: next(at), svg)
    wide, high = 428 * len(heights) - 28, max(heights)
    rules = escape(style().replace("mr-scene svg", "svg"), quote=False)
    whole = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" '
        f'height="{high}"><style>{rules} :root {{ color-scheme: light; '
        f"background: #fff; font-family: sans-serif }}</style>{panels}</svg>"
    )
    data = base64.b64encode(whole.encode()).decode()
    return (
        f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(alt)}" style="max-width:100%">'
    )


def _fields(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name and format of each ``{field:format}``."""
    for text in texts:
        for _, field, spec, _ in string.Formatter().parse(text):
            if field is not None:
                yield field, spec or ""


# --- what differs between frames --------------------------------------------------------------------

# Attributes with numbers that are morphed (the same list is in scene.js), and those that are swapped.
MOVES = ("d", "x", "y", "cx", "cy", "width", "height", "fill-opacity")
SWAPS = ("class", "href", "id", "mask", "viewBox", "stroke-width", "aria-label")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
Slot = tuple[str, str]  # name of an attribute, or "" for words, and what stands there


def slots(svg: str) -> tuple[str, list[Slot]]:
    """What frames of one look have in common, and what stands in the slots, in order.

    >>> slots('<g class="a"><path d="M1 2"/><text>b</text></g>')
    ('<g class=""><path d=""/><text>·</text></g>', [('class', 'a'), ('d', 'M1 2'), ('', 'b')])
    """
    found: list[Slot] = []

    def cut(name: str, text: str) -> str:
        found.append((name, text))
        return "" if name else "·"

    return _walk(svg, cut), found


def _walk(svg: str, change: Callable[[str, str], str]) -> str:
    """SVG with what stands in each slot changed, in order."""

    def attribute(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in MOVES and name not in SWAPS:
            return match[0]
        return f' {name}="{escape(change(name, unescape(value)))}"'

    def token(match: re.Match[str]) -> str:
        if match[0].startswith("<"):
            return re.sub(r' ([\w-]+)="([^"]*)"', attribute, match[0])
        return escape(change("", unescape(match[0])), quote=False)

    return re.sub(r"<[^>]*>|[^<]+", token, svg)


class Slots:
    """The slots of the first frame of a look and of all of its frames, in numbers and words.

    Attributes
    ----------
    still : slots of numbers that cannot be morphed, since their count differs: swapped like words.
    live : of all numbers those that ever change, each as its distance to the one before.
    """

    def __init__(self, rows: Sequence[Sequence[Slot]]) -> None:
        columns = [*zip(*rows, strict=True)]
        counts = [
            {len(NUMBER.findall(v)) for _, v in c} if c[0][0] in MOVES else {0} for c in columns
        ]
        self.still = [i for i, count in enumerate(counts) if len(count) > 1]
        moving = [c[0][0] in MOVES and len(n) == 1 for c, n in zip(columns, counts, strict=True)]
        self.numbers = np.array([[*_numbers(row, moving)] for row in rows], int).reshape(
            len(rows), -1
        )
        self.words = [
            [NUMBER.sub("#", v) if m else v for (_, v), m in zip(row, moving, strict=True)]
            for row in rows
        ]
        changing = np.flatnonzero((self.numbers != self.numbers[0]).any(0))
        self.live = np.diff(changing, prepend=0).tolist()
        self._live = changing

    def changes(self) -> Iterator[tuple[list[int], list[Any]]]:
        """For each frame what it adds to the live numbers of the one before, and its new words."""
        for old, new, was, now in zip(
            self.numbers, self.numbers[1:], self.words, self.words[1:], strict=False
        ):
            pairs = [
                x for i, (a, b) in enumerate(zip(was, now, strict=True)) if a != b for x in (i, b)
            ]
            yield (new - old)[self._live].tolist(), pairs


def decode(encoded: dict[str, Any]) -> list[list[Slot]]:
    """The slots of every frame that :meth:`Scene.encode` gives, as ``scene.js`` finds them."""
    films, found = [_Film(look) for look in encoded["looks"]], []
    for look, added, words, _ in encoded["frames"]:
        films[look].move(added, words)
        found.append(films[look].now())
    return found


class _Film:
    """The frames of one look, one after the other."""

    def __init__(self, look: dict[str, Any]) -> None:
        self.slots = slots(look["svg"])[1]
        self.moving = [
            name in MOVES and i not in look["still"] for i, (name, _) in enumerate(self.slots)
        ]
        self.units = [100 if name == "fill-opacity" else 10 for name, _ in self.slots]
        self.live = [*accumulate(look["live"])]
        self.numbers = [
            round(float(n) * unit)
            for (_, value), moves, unit in zip(self.slots, self.moving, self.units, strict=True)
            if moves
            for n in NUMBER.findall(value)
        ]
        self.words = [
            NUMBER.sub("#", value) if moves else value
            for (_, value), moves in zip(self.slots, self.moving, strict=True)
        ]

    def move(self, added: Sequence[int], words: Sequence[Any]) -> None:
        """On to the next frame."""
        for k, more in zip(self.live, added, strict=True):
            self.numbers[k] += more
        for i, word in zip(words[::2], words[1::2], strict=True):
            self.words[i] = word

    def now(self) -> list[Slot]:
        """The slots of the frame."""
        rest, found = iter(self.numbers), []
        for (name, _), word, moves, unit in zip(
            self.slots, self.words, self.moving, self.units, strict=True
        ):
            parts = word.split("#") if moves else [word]
            text = "".join(part + f"{next(rest) / unit:g}" for part in parts[:-1]) + parts[-1]
            found.append((name, text))
        return found


def _first(encoded: dict[str, Any], many: int) -> dict[str, Any]:
    """Of an encoded scene the first panel of the first ``many`` frames: whole, of the first choice."""
    frames: list[Any] = [[*frame] for frame in encoded["frames"][:many]]
    looks: list[Any] = []
    for k, look in enumerate(encoded["looks"]):
        own = [frame for frame in frames if frame[0] == k]
        if not own:
            continue
        svg = "<svg viewBox=" + look["svg"].split("<svg viewBox=")[1]
        cut = slots(svg)[1]
        still = [i for i in look["still"] if i < len(cut)]
        moving = [v for i, (name, v) in enumerate(cut) if name in MOVES and i not in still]
        count = sum(len(NUMBER.findall(value)) for value in moving)
        live = [
            (place, column)
            for column, place in enumerate(accumulate(look["live"]))
            if place < count and any(added[column] for _, added, *_ in own)
        ]
        for frame in own:
            _, added, words, said = frame
            pairs = zip(words[::2], words[1::2], strict=True)
            words = [x for pair in pairs if pair[0] < len(cut) for x in pair]
            frame[:] = [len(looks), [added[column] for _, column in live], words, said]
        places = [place for place, _ in live]
        looks.append({"svg": svg, "still": still, "live": np.diff(places, prepend=0).tolist()})
    return {"looks": looks, "frames": frames, "numbers": []}


def _numbers(row: Sequence[Slot], moving: Sequence[bool]) -> Iterator[int]:
    """In units of their last digit: hundredths of a tone, tenths of a coordinate."""
    for (name, value), moves in zip(row, moving, strict=True):
        if moves:
            unit = 100 if name == "fill-opacity" else 10
            yield from (round(float(v) * unit) for v in NUMBER.findall(value))
