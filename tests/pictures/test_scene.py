"""Scenes: what is kept of frames gives them back, what a scene must be, and its faces."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.gallery import FILM, SCENES

from minireg.pictures import Frame, Panel, Say, Scene
from minireg.pictures.scene import MOVES, SWAPS, decode, script, slots, style

ALL = {**SCENES, "film": FILM}


def lines(t, broken=False):
    """Neighbours of one look, a number for the caption."""
    panel = Panel("height", (0, 1), (0, 9)).line([0, 1], [0, t], "broken" if broken else "result")
    return Frame(panel, end=t)


def scene(picture=lines, **options):
    given = {"label": "t", "start": 4, "caption": "ends at {end:.1f}", "alt": Say("a", "甲")}
    return Scene(picture, "t", options.pop("values", (1, 4, 9)), **(given | options))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_scenes_of_the_gallery_are_alive(name):
    ALL[name].check()


@pytest.mark.parametrize("name", [*SCENES, pytest.param("film", marks=pytest.mark.slow)])
def test_what_is_kept_gives_every_frame_back(name):
    """After a journey through JSON; slots in the order in which the browser finds them."""
    kept = json.loads(json.dumps(ALL[name].encode()))
    found = decode(kept)
    assert found == [slots(ALL[name]._drawn[state])[1] for state in ALL[name].states]


@pytest.mark.slow
def test_a_film_of_72_frames_stays_small():
    text = json.dumps(FILM.encode(), ensure_ascii=False, separators=(",", ":")).encode()
    size = len(gzip.compress(text))
    print(f"72 frames, 2 panels of 3 lines of 60 points: {size:,} bytes, {len(text):,} unpacked")
    assert size <= 60_000


def test_lists_of_slots_are_the_same_in_both_languages():
    text = script()
    moves = dict(re.findall(r'"?([\w-]+)"?: (\d+)', re.search(r"MOVES = {(.*)}", text)[1]))
    assert tuple(moves) == MOVES
    assert {k: int(v) for k, v in moves.items()} == {
        k: 100 if k == "fill-opacity" else 10 for k in MOVES
    }
    assert (
        tuple(re.findall(r'"([\w-]+)"', re.search(r"SWAPS = new Set\(\[(.*)\]\)", text)[1]))
        == SWAPS
    )


REFUSED = [
    ({"start": 2}, ValueError, r"start must be one of \(1, 4, 9\), got 2"),
    ({"values": range(10)}, ValueError, "expected 2 to 9 values in order"),
    ({"values": (4, 1)}, ValueError, "expected 2 to 9 values in order"),
]
DULL = [
    (lambda t: lines(4), {}, "the same picture at 1 and 9"),
    (lambda t, b: lines(t), {"broken": "nothing"}, "the fault changes nothing"),
    (lambda t, c: lines(t if c == "a" else 4), {"choices": {"a": "A", "b": "B"}},
     "the same picture at 1, b"),
    (lambda t: Frame(Panel("", (0, 1), (0, t)).line([0], [t])), {"caption": ""},
     "not the same marks at 1 and 4"),
    (lambda t: Frame(*lines(t).panels, end=np.inf), {}, "end is inf at 1"),
    (lambda t: Frame(*lines(t).panels), {}, "the caption wants 'end', the frame at 1 has"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "kind", "said"), REFUSED)
def test_what_cannot_be_a_scene_is_refused(options, kind, said):
    with pytest.raises(kind, match=said):
        scene(**options)


@pytest.mark.parametrize(("picture", "options", "said"), DULL)
def test_a_scene_in_which_nothing_happens_is_found(picture, options, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        scene(picture, **options).check()


def test_a_picture_returns_a_frame():
    with pytest.raises(TypeError, match="must return a Frame, got 4 at 4"):
        scene(lambda t: t, values=(4, 9)).frames()
    with pytest.raises(TypeError, match="expected panels"):
        Frame("panel")


def test_the_picture_is_asked_for_value_choice_and_fault():
    asked = []

    def picture(*given):
        asked.append(given)
        return lines(given[0])

    scene(picture, values=(1, 4), choices={"a": "A", "b": "B"}, broken="bad").frames()
    assert asked == [(v, c, b) for c in "ab" for b in (False, True) for v in (1, 4)]


def test_nothing_is_computed_before_it_is_asked_for():
    made = scene(lambda t: 1 / 0)
    assert repr(made) == "Scene(<lambda>, t = 1, 4, 9)"


def test_the_page_takes_what_is_kept():
    fresh = scene(broken="bad").html()
    kept = json.loads(json.dumps(scene(broken="bad").encode()))
    assert scene(lambda t, b: 1 / 0, broken="bad").html(kept) == fresh


def test_the_first_frame_is_there_without_a_script():
    text = scene(choices={"a": "A", "b": Say("B", "乙")}, picture=lambda t, c: lines(t)).html()
    shown = text.partition("<script")[0]
    assert shown.count('<path class="line result"') == 1
    assert '<span lang="en">B</span><span lang="zh">乙</span>' in shown
    assert "ends at <b>4.0</b>" in shown


def test_the_caption_speaks_both_languages():
    said = scene(
        picture=lambda t, c: lines(-t if t == 1 else t),
        caption=Say("{choice} & {end:.1f}", "{end:.1f} 与 {choice}"),
        choices={"a": Say("one", "一")},
    )
    assert said.encode()["frames"][0][-1] == ["one", "−1.0", "−1.0", "一"]
    assert '<span lang="en"><b>one</b> &amp; <b>4.0</b></span><span lang="zh">' in said.html()


def test_a_scene_closes_its_script_only_at_the_end():
    text = scene(choices={"</script>": "A"}, picture=lambda t, c: lines(t)).html()
    assert text.count("</script>") == 1


def test_faces_in_notebooks_hold_all_they_need():
    kind, text = scene()._mime_()
    assert kind == "text/html"
    assert text == scene()._repr_html_()
    assert text.startswith("<iframe srcdoc=")
    for part in (style(), script()):
        assert "http://" not in part
        assert "https://" not in part


def test_a_script_shows_nothing():
    code = "from support.gallery import SCENES; SCENES['decay']"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}  # where support/ is
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert done.stdout == done.stderr == ""
