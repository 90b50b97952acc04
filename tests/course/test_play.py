"""The playground: its books close, its script trains the same, and each choice does what it says."""

from __future__ import annotations

import json
import re
import time
import tomllib
from urllib.parse import parse_qsl

import numpy as np
import pytest
from support.browser import background, visit
from support.browser import served as files
from support.few import slow_unless
from support.look import readable

import minireg as mr
from minireg.cli import main as cli
from minireg.course.answers import PLAYED, answer
from minireg.course.lessons import find, lessons
from minireg.course.pages import asset
from minireg.course.play import (
    CELLS,
    CONTROLS,
    POINTS,
    WIDTH,
    Play,
    batches,
    idle,
    largest,
    numbers,
    probabilities,
    read,
    script,
    show,
    stages,
    surest,
)  # fmt: skip
from minireg.course.playground import page
from minireg.course.serve import serving
from minireg.course.site import served, site
from minireg.random import Stream

CHOICES = [
    {},
    {"l1": 0.003, "group": 0.003, "via": "prox", "smoothing": 0.1, "optimizer": "adamw",
     "norm": "batch", "dropout": 0.2, "on": "all", "lr": 0.01},
    {"break": "sign", "optimizer": "adam", "spectral": 0.01, "lr": 0.003},
    {"break": "scale", "norm": "rms", "batch": 150, "data": "circles"},
    {"break": "sign", "optimizer": "adamw", "data": "gaussians", "norm": "layer", "lr": 0.01},
    {"break": "step", "via": "prox", "l1": 0.0001, "optimizer": "sgd", "data": "spiral", "batch": 8},
]  # fmt: skip
every_choice = pytest.mark.parametrize(
    "choice", CHOICES, ids=lambda c: " ".join(map(str, c.values()))
)


def played(choice, steps=50):
    play = Play(choice)
    play.steps(steps)
    return play


def weights(side):
    return np.concatenate([p.numpy().ravel() for p in side.model.parameters()])


def size(side):
    return float(np.linalg.norm(np.concatenate([p.numpy().ravel() for p in side.parts.values()])))


def figure(text):
    """A number as readers have it, such as −2·10⁻⁷."""
    text = text.translate(str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789"))
    return float(re.sub(r"(\d)·10(?=-)", r"\1e", re.sub(r"^([+-]?)10(?=-)", r"\g<1>1e", text)))


@every_choice
@pytest.mark.parametrize(
    "scope", slow_unless({"", "2:1:4"}.__contains__, ["", "0", "1:3", "2:1:4"])
)
def test_causes_add_up_to_the_step(choice, scope):
    side = played(choice).side
    step = [np.ravel(side.ledger.last[n].actual[at]) for n, at in side.chosen(scope)]
    scale = max(float(np.abs(w).max()) for w in side.parts.values())
    np.testing.assert_allclose(
        sum(side.entries(scope).values()), np.concatenate(step), atol=1e-6 * scale
    )
    assert side.ledger.last.residual <= 1e-6


@every_choice
def test_the_script_trains_the_same(choice, capsys):
    play = Play(choice)
    epoch = len([*batches(POINTS, play.config["batch"], Stream("shuffle", 0), "numpy")])
    play.steps(2 * epoch)
    names = {}
    exec(script(choice, play.done).en, names)
    ended = np.concatenate([p.numpy().ravel() for p in names["model"].parameters()])
    np.testing.assert_array_equal(ended, weights(play.side))
    right = re.search(r"right on fresh points: (\S+)", capsys.readouterr().out)[1]
    assert right == numbers(play)[0].values[1]


@every_choice
def test_lines_of_slow_motion_are_the_ledger(choice):
    side = played(choice).side
    rate, *lines, end = (line.en for line in stages(side, "1:0:2"))
    found = [figure(line.rpartition(" = ")[2]) for line in lines]
    np.testing.assert_allclose(found, [v[0] for v in side.entries("1:0:2").values()], rtol=6e-3)
    assert f"η = {side.optimizer.param_groups[0]['lr']:g}" in rate
    before, after = map(figure, end.partition("w = ")[2].split(" → "))
    row = side.ledger.last[[*side.parts][1]]
    np.testing.assert_allclose([before, after], [row.before[0, 2], row.after[0, 2]], rtol=6e-3)


def test_l1_makes_zeros_by_its_prox_only():
    zeros = {
        via: int(
            sum(
                (p.numpy() == 0).sum()
                for p in played({"l1": 0.01, "via": via}, 200).side.parts.values()
            )
        )
        for via in ("gradient", "prox")
    }
    assert zeros["gradient"] == 0
    assert zeros["prox"] > 100


@pytest.mark.parametrize(
    "optimizer", slow_unless({"sgd", "adamw"}.__contains__, ["sgd", "momentum", "adam", "adamw"])
)
def test_a_wrong_sign_makes_weights_grow(optimizer):
    choice = {"optimizer": optimizer, "lr": 0.01, "l2": 0.1}
    right, wrong = (played({**choice, "break": b}, 150) for b in ("nothing", "sign"))
    assert size(right.side) < size(right.plain) < size(wrong.side)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_prox_with_too_long_a_step_takes_everything(optimizer):
    """At the rate with which the page begins, too."""
    choice = {"l1": 0.003, "l2": 0, "via": "prox", "optimizer": optimizer}
    lost = [size(played({**choice, "break": b}, 100).side) for b in ("nothing", "step")]
    assert lost[1] < 0.5 * lost[0]


WITHOUT = {"via": "gradient", "on": "weights", "break": "nothing"}
WITH = [
    *({"break": fault, **c} for fault in ("sign", "step", "scale")
      for c in ({"l2": 0}, {"l2": 0.01}, {"l1": 0.01, "via": "prox"}, {"norm": "batch"},
                {"norm": "batch", "l2": 0, "spectral": 0.01}, {"optimizer": "adamw"})),
    *({"on": "all", "l2": 0, **c} for c in ({}, {"group": 0.01}, {"l1": 0.01, "group": 0.01})),
    *({"via": "prox", **c} for c in ({}, {"l2": 0}, {"optimizer": "adamw"},
      {"optimizer": "adamw", "l1": 0.01}, {"optimizer": "adam", "l2": 0, "spectral": 0.01})),
]  # fmt: skip


@pytest.mark.parametrize("choice", WITH, ids=lambda c: " ".join(map(str, c.values())))
def test_what_changes_nothing_is_said_and_nothing_else(choice):
    found, end = idle(read(choice)), weights(played({"lr": 0.01, **choice}, 12).side)
    for name in WITHOUT.keys() & choice.keys():
        other = played({"lr": 0.01, **choice, name: WITHOUT[name]}, 12)
        assert (name in found) == np.array_equal(end, weights(other.side)), name
    assert all(map(all, found.values()))


def test_decay_reaches_the_scale_only_when_it_is_broken():
    for optimizer in ("momentum", "adamw"):
        for fault in ("nothing", "scale"):
            choice = {
                "norm": "batch",
                "l2": 0.1,
                "break": fault,
                "optimizer": optimizer,
                "lr": 0.01,
            }
            row = played(choice).side.ledger.last["1.weight"]
            entry = "decay" if optimizer == "adamw" else "l2"
            assert (entry in {key[0] for key in row.booked()}) == (fault == "scale")


def test_strengths_change_without_beginning_anew_and_data_do_not():
    play = played({}, 30)
    before, plain = weights(play.side), weights(play.plain)
    assert not play.change({"l2": 0.1, "l1": 0.01, "via": "prox", "lr": 0.01})
    np.testing.assert_array_equal(weights(play.side), before)
    play.steps(5)
    assert play.done == 35
    assert {"l1", "l2"} <= {key[0] for key in play.side.ledger.last["0.weight"].booked()}
    assert play.change({"data": "circles"})
    assert play.done == 0
    play.change({})
    play.steps(30)
    np.testing.assert_array_equal(weights(play.plain), plain)


def test_a_strong_group_lasso_overpowers_the_signal():
    play = played({"group": 0.1, "l2": 0, "via": "prox"}, 100)
    found = show(play)["overpowered"]
    assert found
    layer, unit = map(int, found[0].split(":"))
    row = play.side.ledger.last[[*play.side.parts][layer]]
    assert (row.after[unit] == 0).all()
    assert (row.of("data")[unit] != 0).any()


def test_what_there_is_not_to_choose_is_said():
    with pytest.raises(ValueError, match=r"playground: l2=0\.5 is none of 0, 0\.0001"):
        read({"l2": 0.5})
    with pytest.raises(ValueError, match="playground: λ=1 is none of data, flip"):
        read({"λ": 1})
    assert "none of" in answer({"do": "play", "config": {"data": "stars"}})["error"]


def test_the_bound_is_that_of_the_framework_and_its_circles_are_certified():
    play = played({"l2": 0.01, "norm": "batch", "lr": 0.03}, 200)
    lines = {number.what.en: number for number in numbers(play)}
    bound, radius = lines["Lipschitz bound K"], lines["largest certified radius"]
    for side, k, r, factors in zip(
        play.sides, bound.values, radius.values, bound.operands, strict=True
    ):
        assert float(k) == pytest.approx(mr.lipschitz_bound(side.model), rel=6e-3)
        assert np.prod([*map(float, factors.split(" · "))]) == pytest.approx(float(k), rel=0.03)
        certified = mr.certified_radius(side.model, play.x)
        assert float(r) == pytest.approx(certified.max(), rel=0.06)
        x, y, radii = surest(play.x, certified)
        assert 0 < len(radii) <= 6
        turns = np.linspace(0, 2 * np.pi, 60)
        for a, b, rim in zip(x, y, radii, strict=True):
            around = np.stack([a + rim * np.cos(turns), b + rim * np.sin(turns)], 1)
            answers = probabilities(side, around.astype(np.float32)) > 0.5
            assert answers.all() or not answers.any()
        apart = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(len(x))
        assert (apart > radii[:, None] + radii).all()
    assert 'class="line textbook"' in show(play)["panels"]["side"]


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_where_no_bound_is_of_use_words_stand(norm):
    play = played({"norm": norm})
    lines = {number.what.en: number for number in numbers(play)}
    assert (
        lines["Lipschitz bound K"].values == lines["largest certified radius"].values == ("–", "–")
    )
    assert "only ε" in lines["Lipschitz bound K"].formula.en
    svg = show(play)["panels"]["side"]
    assert "no useful bound" in svg
    assert 'class="line textbook"' not in svg


@every_choice
def test_every_number_has_its_formula_in_both_languages(choice):
    for number in numbers(played(choice)):
        assert all(number.what), number
        assert all(number.formula), number
        assert all(map(str.strip, number.operands)), number
        assert not re.search("[a-z]{4}", number.formula.zh.replace("logit", "").replace("ReLU", "")
                             .replace("LayerNorm", "").replace("RMSNorm", "")), number  # fmt: skip


def test_what_is_all_zeros_may_move_anywhere():
    lines = {n.what.en: n for n in numbers(played({"l1": 0.1, "l2": 0, "via": "prox"}, 150))}
    assert lines["exact zeros"].values[1] == "192"
    assert lines["largest certified radius"].values[1] == "∞"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_what_diverges_is_said_until_it_begins_anew(optimizer):
    PLAYED.clear()
    choice = {"break": "sign", "l2": 1, "lr": 0.3, "optimizer": optimizer}
    ask = {"do": "play", "config": choice, "scope": "", "stage": None, "all": True, "steps": 16}
    for _ in range(10):
        reply = answer(ask)
    assert reply["error"].startswith(f"step {reply['step']}: diverged")
    assert reply["panels"]
    assert reply["numbers"]
    assert "发散" in reply["said"]["zh"]
    done = PLAYED[""].done
    assert answer(ask)["error"] == reply["error"]
    assert PLAYED[""].done == done  # none more
    assert answer({**ask, "config": {}, "restart": True, "steps": 1})["step"] == 1
    PLAYED.clear()


def test_lessons_lead_to_choices_that_there_are():
    found = tomllib.loads(asset("course/playground.toml"))
    assert len(found) >= 8
    for number, entry in found.items():
        assert {int(number)} <= {lesson.number for lesson in lessons()}
        chosen = dict(parse_qsl(entry["choices"], strict_parsing=True))
        for name, value in chosen.items():
            assert value in map(str, CONTROLS[name].values), (number, name)
            assert value != str(CONTROLS[name].start), (number, name)
        assert entry["en"]
        assert entry["zh"]


@pytest.mark.slow
def test_what_lessons_promise_is_seen_there():
    """The figures behind the words of ``playground.toml``, after 300 steps."""
    entries = tomllib.loads(asset("course/playground.toml"))

    def seen(number):
        chosen = dict(parse_qsl(entries[number]["choices"]))
        read_as = {
            name: {str(v): v for v in CONTROLS[name].values}[v] for name, v in chosen.items()
        }
        play = played(read_as, 300)
        return play, {n.what.en: [*map(str, n.values)] for n in numbers(play)}

    assert int(seen("5")[1]["exact zeros"][1]) > 100
    play, _ = seen("7")
    assert sum(int((p.numpy() == 0).all(1).sum()) for p in play.side.parts.values()) >= 5
    assert "decay" in seen("11")[0].side.entries("")
    assert "smoothing" in seen("15")[0].side.entries("")
    for number, what in (("13", "length of θ"), ("16", "Lipschitz bound K")):
        plain, side = map(float, seen(number)[1][what])
        assert side < 0.6 * plain
    plain, side = map(float, seen("16")[1]["largest certified radius"])
    assert side > 2 * plain


def test_a_page_asks_and_gets_plain_data(monkeypatch):
    PLAYED.clear()
    ask = {"do": "play", "config": {"norm": "batch"}, "scope": "1:3:0", "stage": None, "all": True}
    reply = json.loads(json.dumps(answer({**ask, "steps": 0})))
    assert reply["step"] == 1  # there is a step to show
    assert [*reply["panels"]] == ["plain", "side", "chain", "weights", "movers", "losses"]
    assert reply["panels"]["weights"].count('class="cell') == len(CELLS) == WIDTH * (WIDTH + 4)
    assert reply["weight"] == "1:3:0"
    brief = answer({**ask, "steps": 3, "all": False})
    assert brief["step"] == 4
    assert "numbers" not in brief
    assert answer({**ask, "steps": 1, "restart": True})["step"] == 1
    for text in answer({**ask, "script": True})["script"].values():
        assert "mr.nn.BatchNorm(12)" in text
    PLAYED.clear()


def test_a_second_page_leaves_the_first_alone():
    PLAYED.clear()
    ask = {"do": "play", "config": {}, "scope": "", "stage": None, "all": False}
    first = answer({**ask, "page": "a", "steps": 5})
    assert answer({**ask, "page": "b", "steps": 1, "config": {"data": "circles"}})["step"] == 1
    assert answer({**ask, "page": "a", "steps": 1})["step"] == 6 == first["step"] + 1
    for k in range(20):
        answer({**ask, "page": str(k), "steps": 0})
    assert len(PLAYED) < 10
    PLAYED.clear()


def test_the_script_says_how_far_it_is_the_same():
    play = played({}, 10)
    assert script({}, 12).en.startswith("# 10 steps (2 × 5, whole epochs)")
    assert "step 12." in script({}, 12).en
    play.change({"l2": 0.01})
    assert play.changed
    assert "第 10 步，途中改过设置" in script({}, 10, play.changed).zh
    play.restart()
    assert not play.changed


def test_slow_motion_keeps_to_the_scope_and_tells_where_the_prox_ends():
    side = played({"l1": 0.003, "l2": 0, "via": "prox"}, 20).side
    weight = largest(side, "1:3")
    assert weight.startswith("1:3:")
    assert largest(side, weight) == weight
    (line,) = (line for line in stages(side, weight) if "prox" in line.en)
    assert "step η/(1−μ) = 1: v = " in line.en
    assert "步长 η/(1−μ) = 1）：v = " in line.zh


def test_a_long_run_is_kept_in_brief():
    play = Play({})
    for _ in range(300):
        play.steps(1)
        play.side.moved.append((play.done, {}))
        show(play) if play.done % 50 == 0 else None
    assert len(play.side.losses) < 130


def test_the_page_offers_every_choice_in_both_languages():
    html = page("server")
    for name, control in CONTROLS.items():
        assert f'name="{name}"' in html
        assert all(control.label)
        assert all(map(all, control.words))
    assert 'name="break"' in html


def test_the_command_teaches(capsys):
    with pytest.raises(SystemExit):
        cli.main(["play", "--help"])
    assert "cause by cause" in capsys.readouterr().out


# --- in a browser -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_python_the_page_says_what_to_do(chromium, tmp_path):
    (tmp_path / "playground.html").write_text(page(), "utf-8")
    with visit(chromium, (tmp_path / "playground.html").as_uri()) as shown:
        shown.wait_for_selector('html[data-ready="play"]')
        assert "minireg play" in shown.inner_text("#running .python")
        assert not shown.is_visible("#choices")
        assert not shown.is_visible("#play")


@pytest.mark.slow
def test_it_fits_every_screen(chromium):
    with (
        serving(served) as server,
        background(server),
        visit(chromium, server.url("playground.html")) as shown,
    ):
        shown.wait_for_selector('html[data-ready="play"]')
        readable(shown, 60)


@pytest.mark.slow
def test_in_the_browser_alone_it_trains(chromium, runtime, tmp_path):
    """With Pyodide: from a lesson by its link, to zeros; what it costs is printed (-rP)."""
    site(tmp_path, [find(5)], runtime)
    with files(tmp_path) as url, visit(chromium, url + "05-exact-zeros.html") as shown:
        shown.click("#keep a[href^=playground]")
        begun = time.perf_counter()
        shown.wait_for_selector('html[data-ready="play"]', timeout=180_000)
        print(f"first picture after {time.perf_counter() - begun:.1f} s")
        step = lambda: int(re.search(r"\d+", shown.inner_text("#count"))[0])
        zeros = lambda: int(shown.inner_text("#running tbody tr:nth-child(3) td:nth-child(3)"))
        assert shown.input_value("[name=via]") == "prox"
        assert step() == 1
        assert zeros() < 20
        shown.select_option("#speed", "16")
        shown.click("#play")
        until(shown, "#count", r"step \d{3,}")
        print(f"{shown.inner_text('#count')} while it plays")
        shown.click("#play")
        until(shown, "#play", "Play")
        reached = step() + 1
        shown.click("#step")
        until(shown, "#count", rf"step {reached}\D")
        assert zeros() > 20
        assert residual(shown) <= 1e-6


def residual(shown):
    """The residual as the page says it."""
    return figure(re.search(r"(\S+) of the largest", shown.inner_text("#residual"))[1])


def until(shown, where, text):
    """Wait until there is such a text: how long that takes depends on what else the machine does."""
    shown.locator(where, has_text=re.compile(text)).wait_for(timeout=120_000)


LIVE = {
    "group": 0.03, "spectral": 0.03, "dropout": 0.2, "smoothing": 0.1, "on": "all", "lr": 0.01, "batch": 8,
}  # fmt: skip
ANEW = {
    "data": "spiral", "flip": 0.3, "spread": 0.1, "norm": "layer", "optimizer": "adam", "seed": 3,
}  # fmt: skip


@pytest.mark.slow
def test_a_minute_in_the_playground(chromium):
    """Every choice moved once, its effect seen, no message, memory steady; pictures a second (-rP)."""
    with serving(served) as server, background(server):
        begun = time.perf_counter()
        with visit(
            chromium, server.url("playground.html"), viewport={"width": 1280, "height": 900}
        ) as shown:
            shown.wait_for_selector('html[data-ready="play"]')
            print(f"first picture after {time.perf_counter() - begun:.2f} s")
            number = lambda k, side: shown.inner_text(
                f"#running tbody tr:nth-child({k}) td:nth-child({2 + side})"
            )
            step = lambda: int(re.search(r"\d+", shown.inner_text("#count"))[0])

            def choose(name, value):
                shown.evaluate(
                    """([name, value]) => { const { values } =
                    JSON.parse(document.getElementById("page").textContent), w = document.forms.choices[name];
                    w.value = w.type === "range" ? values[name].indexOf(value) : value;
                    w.dispatchEvent(new Event("input", { bubbles: true })); }""",
                    [name, value],
                )

            def run(seconds):
                before, begun = step(), time.perf_counter()
                shown.click("#play")
                shown.wait_for_timeout(1000 * seconds)
                shown.click("#play")
                until(shown, "#play", "Play")
                paused = shown.inner_text(
                    "#running tbody"
                )  # of this step: asked anew it is the same
                for scope in ("2", ""):
                    shown.select_option("#scope", scope)
                    shown.wait_for_timeout(300)
                assert shown.inner_text("#running tbody") == paused
                reached = step() + 1
                shown.click("#step")
                until(shown, "#count", rf"step {reached}\D")
                assert residual(shown) <= 1e-6
                return (step() - before) / (time.perf_counter() - begun)

            print(f"{run(10):.0f} pictures a second")
            memory = lambda: shown.evaluate("performance.memory.usedJSHeapSize") / 1e6
            used = memory()
            shown.select_option("#speed", "4")
            choose("l1", 0.01)
            run(4)
            assert number(3, 1) == "0"  # by gradient no zeros
            choose("via", "prox")
            run(4)
            assert int(number(3, 1)) > 50
            assert number(3, 0) == "0"
            choose("l1", 0)
            choose("via", "gradient")
            size = float(number(5, 1))
            choose("l2", 0.01)  # of which even a fast machine makes no 100,000 in three seconds
            choose("break", "sign")
            run(3)
            assert float(number(5, 1)) > size
            choose("break", "nothing")
            assert "l2=0.01" in shown.url
            for name, value in LIVE.items():
                choose(name, value)
                before = step()
                run(2)
                assert step() > before + 1  # without beginning anew
            for name, value in ANEW.items():
                choose(name, value)
                until(shown, "#count", r"step 1\D")  # it begins anew
                run(2)
            lines = shown.locator("#slowly li")
            for button, k in (("#slow", 1), ("#next", 2)):
                shown.click(button)
                lines.nth(k - 1).wait_for()
                assert lines.count() == k
            shown.click("#script")
            until(shown, "#code", r"mr\.nn\.LayerNorm\(12\)")
            print(f"heap {used:.1f} MB after 10 s, {memory():.1f} MB at the end")
            assert memory() < 3 * used + 20
