"""Lessons written as parts of a page: opened, measured and printed as a script with NumPy alone."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minireg.course.lessons as course
from minireg.course.lessons import Lesson
from minireg.course.parts import Close, Code, Title, says
from minireg.pictures import Say

LESSON = '''\
"""What is left?

More about it.
"""

import marimo

app = marimo.App(width="medium")

with app.setup(hide_code=True):
    from math import cos, exp

    import numpy as np

    import minireg as mr
    from minireg.course.claims import holds
    from minireg.course.parts import Close, Code, Title, Told
    from minireg.pictures import Say

    STEPS = 3


@app.cell(hide_code=True)
def _():
    Title(Say("What is left?", "剩下什么?"))
    return


@app.function
def train(w, lr):
    """What is left of w."""
    for _ in range(STEPS):
        w = step(w, lr)
    return w


@app.function(hide_code=True)
def unused():
    return cos(mr)


@app.cell(hide_code=True)
def _():
    share = 0.5
    return (share,)


@app.cell
def _(share):
    code = Code(train, "print(train(np.float64(8), %s))" % share, Say("Run it.", "运行。"))
    code
    return (code,)


@app.function
def step(w, lr):
    return w - lr * w


@app.class_definition
class Kept:
    value = exp(0)


@app.cell
def _():
    Told(["C23"], also=["C22"])
    return


@app.cell
def _():
    Close(lambda: [holds("what is left", train(8, 0.5), at_least=1, at_most=WANTED)])
    return


@app.cell
def _():
    WANTED = 1
    return (WANTED,)


if __name__ == "__main__":
    app.run()
'''


@pytest.fixture
def lesson(tmp_path):
    path = tmp_path / "07_left.py"
    path.write_text(LESSON, "utf-8")
    return Lesson(path)


def test_cells_run_in_order_and_end_in_parts(lesson):
    opened = lesson.open()
    assert [type(part).__name__ for part in opened.parts] == ["Title", "Code", "Told", "Close"]
    assert opened.of(Title) == [Title(Say("What is left?", "剩下什么?"))]
    (code,) = opened.of(Code)
    assert code.call == "print(train(np.float64(8), 0.5))"
    assert inspect.getsource(code.function).startswith("def train(w, lr):\n")
    assert opened.names["Kept"].value == 1
    assert (lesson.number, lesson.title, lesson.paged) == (7, "What is left?", True)
    assert lesson.claims == ["C23", "C22"]
    (close,) = opened.of(Close)
    assert [figure.value for figure in close.figures()] == [1]


def test_two_openings_share_nothing(lesson):
    first, second = lesson.open(), lesson.open()
    first.names["STEPS"] = 0
    assert second.names["train"](8, 0.5) == 1


def test_what_a_part_says_is_found_in_all_of_it(lesson):
    (title,), (code,) = lesson.open().of(Title), lesson.open().of(Code)
    assert [*says([title, {"a": (code,)}])] == [title.question, code.says]
    kind, shown = code._mime_()
    assert kind == "text/html"
    assert "运行。" in shown


def test_a_run_measures_and_asserts(lesson, capsys):
    course.run(lesson)
    printed = capsys.readouterr().out
    assert "C23" in printed
    assert "C22" in printed
    assert "what is left" in printed
    lesson.path.write_text(LESSON.replace("WANTED = 1", "WANTED = 0.5"), "utf-8")
    with pytest.raises(AssertionError, match=r"what is left: 1 .* FAILED"):
        course.run(Lesson(lesson.path))


def test_the_script_has_what_is_taught_and_no_more(lesson):
    text = lesson.script()
    assert text.startswith('"""What is left?"""\n\nimport numpy as np\nSTEPS = 3\n\n\ndef train')
    assert text.endswith("\n\n\nprint(train(np.float64(8), 0.5))\n")
    for word in ("unused", "cos", "exp", "Kept", "Title", "marimo", "app"):
        assert word not in text
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ran.stdout == "1.0\n"


ALONE = """\
import sys
for name in ("marimo", "sklearn", "scipy", "matplotlib", "rich", "latex2mathml", "markdown_it"):
    sys.modules[name] = None
from pathlib import Path
from minireg.course.lessons import Lesson
lesson = Lesson(Path(sys.argv[1]))
print(len(lesson.open().parts), lesson.script().count("def "))
"""


def test_numpy_is_enough(lesson):
    root = str(Path(course.__file__).parents[2])
    command = [sys.executable, "-c", ALONE, str(lesson.path)]
    env = os.environ | {"PYTHONPATH": root}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert ran.stdout == "4 2\n", ran.stderr


def test_the_same_file_runs_with_marimo(lesson):
    pytest.importorskip("marimo")
    root = str(Path(course.__file__).parents[2])
    command = [sys.executable, str(lesson.path)]
    env = os.environ | {"PYTHONPATH": root}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert ran.returncode == 0, ran.stderr


def test_a_copy_is_not_put_where_marimo_saves_nothing(lesson, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"is a temporary folder, .* does not save"):
        course.working_copy(lesson, tmp_path)
    monkeypatch.setattr(course.tempfile, "gettempdir", lambda: "/no/such/folder")
    copy, new = course.working_copy(lesson, tmp_path)
    assert (copy, new) == (lesson.path, False)
