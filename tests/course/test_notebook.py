"""Lessons as Jupyter notebooks: what stands in them, that it runs, and what is said about answers."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import xml.dom.minidom
from pathlib import Path

import pytest
from support.browser import missing
from support.few import slow_unless

from minireg.cli import main as cli
from minireg.course import notebook
from minireg.course.claims import Result, holds, load, measured
from minireg.course.judge import source
from minireg.course.lessons import lessons
from minireg.course.notebook import TONES, Live, cells
from minireg.course.parts import Exercise, Goal, Hunt, Order, Predict, Title, Write
from minireg.pictures import Scene

NUMBERS = [lesson.number for lesson in lessons()]
LANGS = ("en", "zh")


def run(made, space):
    """Execute the code among cells in one namespace, as Jupyter does from the top."""
    for kind, text in made:
        if kind == "code":
            exec(compile(text, "<cell>", "exec"), space)


def answered(live, made):
    """The cells of the exercises, with every answer filled in right, each followed by its judge."""
    right = {}
    for part in live.opened.of(Exercise):
        match part:
            case Write():
                right[part.id] = source(part.right, part.stub.__name__)
            case Order():
                right[part.id] = "answer = r'''\n" + "\n".join(part.lines) + "\n'''"
            case Hunt():
                lines = source(part.program).split("\n")
                (number,) = (n for n, line in enumerate(lines, 1) if part.fault in line)
                right[part.id] = f"answer = {number}"
            case Goal():
                there = [good for good, *_ in live.kept["exercises"][part.id]].index(True)
                right[part.id] = f"answer = {live.scene.states[there]._asdict()}"
    found = []
    for kind, text in made:
        if judged := re.match(r"lesson\.check\('(\w+)'", text):
            found += ("code", right.pop(judged[1])), (kind, text)
    assert not right, "exercises that no cell judges"
    return found


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("number", slow_unless({0, 5}.__contains__, NUMBERS))
def test_a_notebook_has_all_of_its_lesson_in_one_language(number, lang):
    live = Live(number, lang)
    made = [*cells(live)]
    assert all(text.strip() for _, text in made)
    texts = "\n".join(text for kind, text in made if kind == "markdown")
    for part in live.opened.of(Exercise):
        assert live.said(part.prompt).partition("$")[0].partition("[")[0] in texts
    for answer in live.opened.one(Predict).answers:
        assert live.said(answer.text) in texts
    assert made[0][1].startswith(
        f"# {live.said(live.opened.one(Title).question)}".replace("\u200b", "")
    )
    assert not re.search(r"\]\(#|\\color\{(?!#)", texts), "a link or a colour that leads nowhere"
    assert texts.count("<details>") == texts.count("</details>")
    for call in re.findall(r"`(lesson\.picture\(.*?\))`", texts):
        assert eval(call, {"lesson": live}).html
    if lang == "en":
        said = re.sub(r"<small>.*?</small>|《.*?》", "", texts)
        assert not re.search("[\u4e00-\u9fff]", said)


def test_colours_of_formulas_are_those_of_the_picture():
    text = "\n".join(text for _, text in cells(Live(5)))
    assert rf"{{\color{{{TONES['penalty']}}}{{\eta\lambda}}}}" in text
    assert TONES["penalty"] == "#d26900"


@pytest.mark.parametrize("number", slow_unless({0, 5}.__contains__, NUMBERS))
def test_all_cells_run_and_right_answers_are_right(number, capsys, monkeypatch):
    """Claims give what is on record, which tests/course/test_claims.py compares with a fresh run."""
    monkeypatch.setattr(notebook, "measure", lambda *ids: [measured()[i] for i in ids])
    live, space = Live(number), {"__name__": "__main__"}
    made = [*cells(live)]
    run(made, space)
    verdicts = re.findall("^[✓✗]", capsys.readouterr().out, re.M)
    asked = sum("lesson.check(" in text for _, text in made)
    assert asked == 3
    assert verdicts == ["✗"] * asked
    run(answered(live, made), space)
    assert re.findall("^[✓✗]", capsys.readouterr().out, re.M) == ["✓"] * asked


def test_a_wrong_order_is_told_what_is_wrong(capsys):
    live = Live(5)
    (order,) = live.opened.of(Order)
    lines = [*order.lines]
    live.check(order.id, "\n".join([lines[1], lines[0], *lines[2:]]))
    assert "stands too early" in capsys.readouterr().out
    live.check(order.id, "\n".join([*lines, lines[0]]))
    assert "Once, and as it was" in capsys.readouterr().out
    live.check(order.id, next(iter(order.distractors)))
    assert "does not belong" in capsys.readouterr().out
    live.check(order.id, "\n")
    assert capsys.readouterr().out == "✗ Nothing is there yet.\n"


def test_claims_are_measured_again_in_the_language_of_the_notebook(capsys, monkeypatch):
    (calls,) = [text for _, text in cells(Live(5, "zh")) if text.startswith("lesson.measure(")]
    ids = re.findall(r"C\d+", calls)
    eval(calls, {"lesson": Live(5, "zh")})
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {*ids}
    assert all(re.match(r"C\d+ [✓·] ", line) and "：" in line for line in lines)
    texts = "\n".join(text for _, text in cells(Live(5, "zh")))
    assert f"重新测量其中 {len(ids)} 条（共 {len(ids) + 5} 条），测量" in texts
    monkeypatch.setattr(
        notebook, "measure", lambda i: [Result(load()[i], (holds("one", 2, at_most=1),), 0.0)]
    )
    Live(5).measure("C50")
    assert capsys.readouterr().out.startswith("C50 ✗ one: 2 (≤ 1)")


@pytest.mark.slow
def test_of_a_slow_measurement_its_time_is_said():
    slow = [n for n in NUMBERS if any("may take a minute" in text for _, text in cells(Live(n)))]
    assert slow == [17]


def test_what_is_not_there_is_named():
    live = Live(5)
    with pytest.raises(LookupError, match="no exercise 'pul'; there are pull"):
        live.check("pul", 0)
    with pytest.raises(ValueError, match=r"expected one of \(0.1, .*'l2'\]"):
        live.picture(0.15)


def test_a_picture_is_the_kept_one_and_stands_by_itself():
    for number in NUMBERS:
        live = Live(number, "zh")
        html = live.picture(*live.scene.start).html
        svg = base64.b64decode(re.search('base64,([^"]+)', html)[1]).decode()
        assert xml.dom.minidom.parseString(svg).documentElement.tagName == "svg"
        assert 'lang="en"' not in svg
        assert "mr-scene svg" not in svg


def test_every_link_to_a_state_is_one_of_the_picture():
    for lesson in lessons():
        opened = lesson.open()
        scene = opened.one(Scene)
        links = re.findall(r"\]\((#[^)]+)\)", lesson.text)
        assert all(scene.linked(link) in scene.states for link in links)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def nbformat():
    if importlib.util.find_spec("nbformat") is None:
        missing("nbformat, which writes notebooks, is not installed")
    return importlib.import_module("nbformat")


def test_the_command_writes_a_valid_notebook_and_replaces_none(nbformat, tmp_path, capsys):
    path = tmp_path / "sparse.ipynb"
    assert cli.main(["lesson", "5", "--notebook", str(path), "--lang", "zh"]) == 0
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    (shown,) = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert "data:image/svg+xml" in shown["data"]["text/html"]
    path.write_text("mine")
    assert cli.main(["lesson", "5", "--notebook", str(path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert path.read_text() == "mine"
    with pytest.raises(SystemExit, match="2"):
        cli.main(["lesson", "5", "--notebook", str(tmp_path)])
    assert f"name a file in it, as in --notebook {tmp_path / '05.ipynb'}" in capsys.readouterr().err
    assert cli.main(["lesson", "5", "--notebook", str(path / "a.ipynb")]) == 1
    assert f"{path} is there already" in capsys.readouterr().err


@pytest.mark.slow
def test_without_a_number_all_go_into_a_folder(nbformat, tmp_path):
    assert cli.main(["lesson", "--notebook", str(tmp_path / "class")]) == 0
    found = sorted(path.stem for path in (tmp_path / "class").iterdir())
    assert found == [lesson.path.stem for lesson in lessons()]
    for path in (tmp_path / "class").iterdir():
        nbformat.validate(nbformat.from_dict(json.loads(path.read_text("utf-8"))))


def test_without_nbformat_the_extra_is_named(monkeypatch, capsys, tmp_path: Path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "nbformat" else find(n, *a)
    )
    assert cli.main(["lesson", "5", "--notebook", str(tmp_path / "a.ipynb")]) == 1
    assert "minireg[lessons]" in capsys.readouterr().err
