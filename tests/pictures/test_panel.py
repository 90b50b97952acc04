"""Panels: laws of every mark, what is refused, and labels that keep out of each other's way."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
import zlib
from itertools import combinations, pairwise

import numpy as np
import pytest
from support.gallery import SCENES

from minireg.pictures import Panel, Say
from minireg.pictures.panel import ROLES, Axis, trace
from minireg.pictures.raster import joined, png
from minireg.pictures.scene import NUMBER

X = np.array([0.0, 0.5, 1.0])
MARKS = {
    "line": lambda p, y, **k: p.line(X[: len(y)], y, **k),
    "dots": lambda p, y, **k: p.dots(X[: len(y)], y, **k),
    "bars": lambda p, y, **k: p.bars(X[: len(y)], y, width=0.2, **k),
    "arrow": lambda p, y, **k: p.arrow(X[: len(y)], 0 * X[: len(y)], 0 * X[: len(y)], y, **k),
    "fill": lambda p, y, **k: p.fill(X[: len(y)], y, **k),
    "band": lambda p, y, **k: p.band(X[: len(y)], 0 * X[: len(y)], y, **k),
}


def panel(**options):
    return Panel("panel", (0, 1), (0, 1), **options)


def shapes(svg: str) -> list[str]:
    """Every ``d`` in a picture."""
    return re.findall(r' d="([^"]*)"', svg)


@pytest.mark.parametrize("name", MARKS)
@pytest.mark.parametrize("role", ROLES)
def test_every_mark_has_every_role(name, role):
    drawn = MARKS[name](
        panel(), np.array([0.2, 0.9, 0.4]), role=role, label=Say("word", "词")
    ).svg()
    root = ET.fromstring(drawn)
    kinds = [e.get("class", "") for e in root.iter() if role in e.get("class", "").split()]
    assert len(kinds) >= 2  # the mark, and its label
    assert [t.text for t in root.iter("tspan") if t.get("lang")] == ["word", "词"]


def test_circles_have_their_radius_in_units_of_x():
    x0, x1 = (float(v) for v in panel().x([0, 1]))
    (rims,) = (
        d for d in shapes(panel().circles([0.5, np.nan], [0.5, 0.5], [0.25, 0.1]).svg()) if "a" in d
    )
    left, radius = re.match(r"M(\S+) \S+?a(\S+) ", rims).groups()
    assert rims.count("M") == 1  # none around what is no number
    assert float(radius) == pytest.approx((x1 - x0) / 4, abs=0.1)
    assert float(left) == pytest.approx((x0 + x1) / 2 - (x1 - x0) / 4, abs=0.1)


@pytest.mark.parametrize("name", MARKS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_left_out(name, bad):
    for values in ([0.2, bad, 0.4], [bad, bad, bad], [bad]):
        drawn = MARKS[name](panel(), np.array(values), label="word").svg()
        ET.fromstring(drawn)
        assert not re.search("nan|inf", drawn.replace("infinity", ""))


@pytest.mark.parametrize("name", MARKS)
def test_no_data_is_a_picture_too(name):
    ET.fromstring(MARKS[name](panel(), np.array([]), label="word").svg())


def test_a_line_has_as_many_numbers_with_gaps_as_without():
    whole, gap = trace(X, X), trace(X, np.array([0, np.nan, 1]))
    assert len(NUMBER.findall(whole)) == len(NUMBER.findall(gap)) == 6
    assert gap.count("M") == 3
    assert trace(X, X * np.nan) == ""


def test_positions_are_in_proportion():
    axis = Axis(1, 100, True, 40, 240)
    assert axis([1, 10, 100]).tolist() == [40, 140, 240]
    assert np.isnan(axis([-1, np.nan, np.inf])).all()
    assert axis(0) < -1000  # 0 is far below
    falling = Axis(10, 0, False, 0, 100)
    assert falling([10, 5, 0]).tolist() == [0, 50, 100]


@pytest.mark.parametrize(
    ("limits", "log", "read"),
    [
        ((0, 300), False, "0 50 100 150 200 250 300"),
        ((-2, 1), False, "−2 −1.5 −1 −0.5 0 0.5 1"),
        ((1e-3, 10), True, "10⁻³ 10⁻² 10⁻¹ 1 10"),
        ((0.1, 1000), True, "0.1 1 10 100 1000"),
        ((1e-9, 1), True, "10⁻⁹ 10⁻⁷ 10⁻⁵ 10⁻³ 10⁻¹"),
        ((2, 8), True, "2 5"),
        ((0, 2e6), False, "0 5·10⁵ 10⁶ 1.5·10⁶ 2·10⁶"),
        ((1, 0), False, "0 0.2 0.4 0.6 0.8 1"),
    ],
)
def test_ticks_are_round(limits, log, read):
    assert " ".join(words.en for words in Axis(*limits, log).ticks(6).values()) == read


@pytest.mark.parametrize("high", [1, 7, 33.3, 1e4, 123456, 1e-3, 2.5e-7])
def test_ticks_on_x_do_not_touch(high):
    drawn = Panel("", (-high / 3, high), (0, 1)).svg()
    ticks = [t for t in ET.fromstring(drawn).iter("text") if t.get("class") == "middle"]
    places = [(float(t.get("x")), len("".join(t.itertext())) * 13 * 0.55 / 2) for t in ticks]
    assert len(places) >= 2
    assert all(x + half < y - more for (x, half), (y, more) in pairwise(places))


REFUSED = [
    (lambda: Panel("", (0, 1), (0, 1), log="y"), r"y must be two different positive numbers, got \(0, 1\)"),
    (lambda: Panel("", (1, 1), (0, 1)), "x must be two different numbers, got"),
    (lambda: Panel("", (0, np.inf), (0, 1)), "x must be two different numbers"),
    (lambda: Panel("A very long title that says what the picture shows", (0, 1), (0, 1)), "the title"),
    (lambda: panel().line([0, 1], [0, 1, 2]), "Panel.line: expected flat arrays of equal length"),
    (lambda: panel().dots([[0, 1]], [[0, 1]]), "Panel.dots: expected flat arrays"),
    (lambda: panel().line([0, 1], [0, 1], "resutl"), "unknown role 'resutl'; did you mean 'result'?"),
    (lambda: panel().line([0, 1], [0, 1], "zzz"), "expected one of data, penalty"),
    (lambda: panel().text(0, 0, "word " * 20), "the label"),
    (lambda: panel().contours([0, 1], [0, 1], np.zeros((2, 3)), [0]),
     r"got z of shape \(2, 3\), expected \(2, 2\)"),
    (lambda: panel().image(np.full((2, 2), np.nan)), "4 that are not finite"),
    (lambda: panel().heat([[1, 2]], 0), "most must be a finite number > 0, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "said"), REFUSED)
def test_what_is_wrong_is_said(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()


@pytest.mark.parametrize("size", [(3, 4), (30, 40)])
def test_a_table_starts_where_y_starts(size):
    """Few numbers are cells, many a picture; NaN is a cross in both."""
    z = np.zeros(size)
    z[0, 0], z[1, 1] = 1, np.nan
    up, down = (Panel("", (0, 1), y).heat(z, 1).svg() for y in ((0, 1), (1, 0)))
    for drawn in (up, down):
        assert any(d.startswith("M") and "l6 6" in d for d in shapes(drawn))
        assert drawn.count("<image") == (2 if z.size > 400 else 0)
    assert up != down
    if z.size <= 400:
        cells = list(ET.fromstring(up).iter("rect"))
        full = [e for e in cells if e.get("fill-opacity") == "1"]
        assert len(cells) == z.size
        assert [float(full[0].get("y"))] == [max(float(e.get("y")) for e in cells)]


def test_a_table_below_zero_has_the_other_role():
    drawn = panel().heat([[-1, 1]], 1).svg()
    assert 'class="cell penalty"' in drawn
    assert 'class="cell data"' in drawn


def test_a_circle_is_joined_to_a_circle():
    """Every point of the line is at the level, up to the curvature within a cell; it is closed."""
    g = np.linspace(-1, 1, 41)
    z = np.hypot(g[:, None], g[None])
    ((i, j),) = joined(z, 0.7)
    radius = np.hypot(np.interp(i, range(41), g), np.interp(j, range(41), g))
    assert np.abs(radius - 0.7).max() < 1e-3
    assert (i[0], j[0]) == (i[-1], j[-1])


@pytest.mark.parametrize(
    ("level", "cut"),
    [
        (0.4, {((0, 0.6), (0.4, 1)), ((0.6, 0), (1, 0.4))}),  # the middle is above: low corners
        (0.6, {((0, 0.4), (0.4, 0)), ((0.6, 1), (1, 0.6))}),  # it is below: high corners
    ],
)
def test_a_saddle_is_split_by_its_middle(level, cut):
    for flip in (1, -1):  # both kinds of saddle
        found = set()
        for i, j in joined(np.eye(2)[:, ::flip], level):
            places = zip(i.round(9), (j if flip == 1 else 1 - j).round(9), strict=True)
            found.add(tuple(sorted(places)))
        assert found == cut


def test_lines_leave_out_what_is_not_finite():
    z = np.add.outer(np.arange(5.0), np.zeros(5))
    z[2, 2] = np.nan
    found = joined(z, 1.5)
    assert len(found) == 2  # left and right of the hole
    assert all(np.isfinite(i).all() for i, _ in found)


def test_a_png_holds_the_bytes():
    a = np.arange(12, dtype=np.uint8).reshape(3, 4)
    whole = base64.b64decode(png(a)[0].partition(",")[2])
    assert whole[:8] == b"\x89PNG\r\n\x1a\n"
    body = whole[whole.index(b"IDAT") + 4 : whole.index(b"IEND") - 8]
    assert zlib.decompress(body) == b"".join(b"\0" + row.tobytes() for row in a)


def test_dots_of_data_are_round_and_those_of_a_penalty_square():
    for role in ("data", "penalty"):
        assert f'class="dots {role}"' in panel().dots([0.5], [0.5], role).svg()
    many = panel().dots(np.linspace(0, 1, 500), np.linspace(0, 1, 500)).svg()
    assert many.count("<path") == 3  # one for all dots; the grid, the floor


def test_without_ticks_on_either_axis_there_are_no_axes():
    bare = Panel("", (0, 1), (0, 1), xticks={}, yticks={}).svg()
    assert 'class="grid"' not in bare
    assert 'class="floor" d=""' in bare
    assert 'class="floor" d="M' in Panel("", (0, 1), (0, 1), yticks={}).svg()


# --- labels ---------------------------------------------------------------------------------------

FRAMES = [(name, state) for name, scene in SCENES.items() for state in scene.states]


@pytest.mark.parametrize(("name", "state"), FRAMES, ids=str)
def test_labels_do_not_meet_and_stay_inside(name, state):
    for shown in SCENES[name].frames()[state].panels:
        shown.svg()
        boxes = [box for box in shown.placed if box]
        for a, b in combinations(boxes, 2):
            assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
        for box in boxes:
            assert shown.x.start - 0.01 <= box.x0 <= box.x1 <= shown.x.end + 0.01
            assert shown.y.end <= box.y0 <= box.y1 <= shown.y.start


@pytest.mark.parametrize("name", SCENES)
def test_last_digits_move_no_label(name, monkeypatch, rng):
    """They differ from machine to machine, and by where a training started."""
    at, scene = Panel._at, SCENES[name]
    shaken = lambda *given: at(*given) + rng.uniform(-1e-9, 1e-9, at(*given).shape)
    for state, frame in scene.frames().items():
        frame.svg()
        with monkeypatch.context() as patch:
            patch.setattr(Panel, "_at", shaken)
            again = scene._frame(state)
        again.svg()
        for one, other in zip(frame.panels, again.panels, strict=True):
            for a, b in zip(one.placed, other.placed, strict=True):
                assert (a is None) == (b is None)
                assert a is None or np.allclose(a, b, atol=0.05), state


def test_labels_of_crossing_lines_stand_at_their_own():
    t = np.linspace(0, 1, 50)
    shown = Panel("", (0, 1), (0, 1), yticks={}).line(t, t, "data", label="up")
    shown.line(t, 1 - t, "result", label="down")
    shown.svg()
    up, down = shown.placed
    assert up.y1 < down.y0  # at the right end


def test_a_label_stays_where_it_was():
    t = np.linspace(0, 1, 50)
    frames = [Panel("", (0, 1), (0, 1)).line(t, 0.5 + 0.01 * k + 0 * t, label="a") for k in (0, 1)]
    alone = [p.svg() and p.placed[0] for p in frames]
    frames[0].placed = [alone[0]._replace(x0=alone[0].x0 - 120)]
    frames[1].svg(frames[0])
    assert frames[1].placed[0].x0 < alone[1].x0 - 50


def test_a_line_that_left_has_its_label_where_it_went():
    shown = panel().line([0, 1], [5, 9], label="away")
    shown.svg()
    assert shown.placed[0].y0 < shown.y.end + 8
    assert 'class="label unseen"' in panel().line([0, 1], [np.nan, np.nan], label="none").svg()
