"""The lessons: opened, measured and printed with NumPy alone, and the command for it."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.faults import FAULTS, plant
from support.few import slow_unless

import minireg as mr
from minireg.cli import main as cli
from minireg.course import lessons as course
from minireg.course.claims import LESSONS, Claim, breaks, corrects, holds, load, measured, reports
from minireg.course.lessons import Lesson, settle
from minireg.course.parts import Close, Code, Exercise, Title, says
from minireg.pictures import Say

ROOT = Path(course.__file__).parents[2]
NUMBERS = [lesson.number for lesson in course.lessons()]

# --- opening --------------------------------------------------------------------------------------

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
    assert lesson.source("Kept") == "class Kept:\n    value = exp(0)"
    assert opened.of(Title) == [Title(Say("What is left?", "剩下什么?"))]
    code = opened.one(Code)
    assert code.call == "print(train(np.float64(8), 0.5))"
    assert inspect.getsource(code.function).startswith("def train(w, lr):\n")
    assert opened.names["Kept"].value == 1
    assert (lesson.number, lesson.title) == (7, "What is left?")
    assert lesson.claims == ["C23", "C22"]
    assert [figure.value for figure in opened.one(Close).figures()] == [1]
    with pytest.raises(ValueError, match="unpack"):
        opened.one(Exercise)


def test_two_openings_share_nothing(lesson):
    first, second = lesson.open(), lesson.open()
    first.names["STEPS"] = 0
    assert second.names["train"](8, 0.5) == 1


def test_what_a_part_says_is_found_in_all_of_it(lesson):
    title, code = lesson.open().one(Title), lesson.open().one(Code)
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
    assert runpy.run_path(str(lesson.path), run_name="__main__")["train"](8, 0.5) == 1
    lesson.path.write_text(LESSON.replace("share = 0.5", "share = 1 / 0"), "utf-8")
    with pytest.raises(Exception, match=r"division by zero|ancestor"):
        runpy.run_path(str(lesson.path), run_name="__main__")


def test_a_copy_is_not_put_where_marimo_saves_nothing(lesson, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"is a temporary folder, .* does not save"):
        course.working_copy(lesson, tmp_path)
    monkeypatch.setattr(course.tempfile, "gettempdir", lambda: "/no/such/folder")
    copy, new = course.working_copy(lesson, tmp_path)
    assert (copy, new) == (lesson.path, False)


# --- running --------------------------------------------------------------------------------------


@pytest.fixture
def recorded(monkeypatch):
    """Claims give what is on record, which tests/course/test_claims.py compares with a fresh run."""
    stored = measured()
    monkeypatch.setattr(course, "measure", lambda *ids: [stored[i] for i in ids])


@pytest.mark.usefixtures("recorded")
def test_a_lesson_runs_from_the_command_line(capsys):
    """Its own figures are measured."""
    assert cli.main(["lesson", "2", "--run"]) == 0
    printed = capsys.readouterr().out
    assert str(course.find(2)) in printed
    assert printed.count("claimed") == printed.count("as claimed") + 1


def test_all_run_from_the_command_line(capsys, monkeypatch):
    """Each in its turn; that the figures of each are as claimed is measured by test_pages.py."""
    ran = []
    monkeypatch.setattr(course, "run", ran.append)
    assert cli.main(["lesson", "--run"]) == 0
    assert [lesson.number for lesson in ran] == NUMBERS
    assert capsys.readouterr().out.split() == " ".join(map(str, ran)).split()


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder as a wheel leaves it: the lessons inside the package."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "minireg", site / "minireg")
    shutil.copytree(LESSONS, site / "minireg" / "lessons", dirs_exist_ok=True)
    return site


def run_installed(site: Path, folder: Path, *command: str, **options):
    """Python in another folder, with only that package."""
    env = os.environ | {"PYTHONPATH": str(site), "BROWSER": "true", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([sys.executable, *command], cwd=folder, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)  # fmt: skip


COMMANDS = """\
from minireg.cli.main import main
main(["lesson", "0", "--run"])
main(["lesson", "2", "--script"])
main(["claims", "--id", "C23"])
main("train --dataset wine --hidden 4 --epochs 1 --no-progress --out run".split())
"""


@pytest.mark.slow
def test_from_a_wheel_in_another_folder(installed, tmp_path):
    """Style sheet, page and prose are files that a package may forget."""
    with run_installed(installed, tmp_path, "-c", COMMANDS) as process:
        printed = process.communicate()[0]
    assert process.returncode == 0, printed
    for said in (
        course.find(0).title,
        "def train(",
        "as the verdict says, 0 not",
        "written to run/",
    ):
        assert said in printed
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    for name in ("report.css", "report.md"):
        text = (ROOT / "minireg" / "inspect" / name).read_text("utf-8")
        assert text.strip().splitlines()[-1].strip() in page


OTHERS = ("marimo", "sklearn", "scipy", "matplotlib")


@pytest.mark.parametrize("number", slow_unless({2, 5}.__contains__, NUMBERS))
def test_the_script_of_a_lesson_runs_with_numpy_alone(number, tmp_path, monkeypatch, capsys):
    text = course.find(number).script()
    for name in {*OTHERS}.union(n for n in sys.modules if n.partition(".")[0] in OTHERS):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.chdir(tmp_path)
    exec(text, {"__name__": "__main__"})
    assert capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert "marimo" not in text


def test_a_wheel_holds_the_lessons():
    tomllib = pytest.importorskip("tomllib")
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("not a checkout")
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"][
        "targets"
    ]
    assert targets["wheel"]["force-include"] == {"lessons": "minireg/lessons"}
    assert "lessons" in targets["sdist"]["include"]


def test_a_wheel_holds_what_is_no_python(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="builds the wheel (hatchling)")
    (path,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(path).namelist())
    files = {f for f in (ROOT / "minireg").rglob("*.*") if f.suffix not in (".py", ".pyc", ".pyi")}
    assert {f.suffix for f in files} >= {".css", ".cu", ".html", ".md", ".mplstyle"}
    assert {str(f.relative_to(ROOT)) for f in files} <= names
    assert {f"minireg/lessons/{f.name}" for f in LESSONS.glob("*.py")} <= names


# --- the command ----------------------------------------------------------------------------------


def test_the_list_names_titles_and_claims(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # a line a lesson; pytest-xdist says 80
    assert cli.main(["lesson"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(NUMBERS)
    known = load()
    for line, lesson in zip(lines, course.lessons(), strict=True):
        assert line.split()[0] == str(lesson.number)
        assert len(lesson.title) > 20
        assert lesson.title in line
        assert lesson.claims or lesson.number == 0  # which speaks of no text
        assert set(lesson.claims) <= set(known)
        assert line.endswith(" ".join(lesson.claims))


def test_every_claim_is_told_by_exactly_one_lesson():
    told = Counter(name for lesson in course.lessons() for name in lesson.claims)
    assert told == Counter(load().keys())


@pytest.mark.parametrize("flags", [["99"], ["99", "--run"], ["two"], ["-1"]])
def test_an_unknown_lesson_is_exit_code_2(flags, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["lesson", *flags])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert flags[0] in said
    if flags[0] == "99":
        assert said.startswith(
            f"minireg lesson: no lesson 99; there are {', '.join(map(str, NUMBERS))}\n"
        )
        assert course.find(2).title in said


def test_without_marimo_the_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "marimo" else name
    )
    assert cli.main(["lesson", "2", "--edit"]) == 1
    assert "minireg[lessons]" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_temporary_folder_is_refused_and_one_that_cannot_be_written_said(
    monkeypatch, capsys, tmp_path
):
    pytest.importorskip("marimo")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["lesson", "2", "--edit"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"minireg lesson: {tmp_path} is a temporary folder, and there marimo")
    monkeypatch.setattr(course.tempfile, "gettempdir", lambda: "/no/such/folder")
    (tmp_path / course.find(2).path.name).symlink_to(tmp_path / "no" / "such")
    assert cli.main(["lesson", "2", "--edit"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("minireg lesson: cannot copy the lesson into")
    assert said.count("\n") == 1


@pytest.mark.parametrize("flag", ["--script", "--edit"])
def test_which_lesson_is_asked(flag, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["lesson", flag])
    assert stop.value.code == 2
    assert "which lesson?" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIREG_HOME", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["lesson", "2", "--no-browser", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said == f"minireg lesson: cannot serve on port {port}: Address already in use\n"


def test_ctrl_c_ends_a_run(monkeypatch, capsys):
    """In a training too, which by itself would give back what it has."""

    def stop(self, x):
        raise KeyboardInterrupt

    def interrupted(*claims):
        model, x = mr.nn.Linear(1, 1), np.ones((4, 1))
        monkeypatch.setattr(mr.nn.Linear, "forward", stop)
        mr.fit(model, mr.nn.MSELoss(), mr.optim.SGD(model.parameters(), 0.1), (x, x), epochs=1)

    monkeypatch.setattr(course, "measure", interrupted)
    assert cli.main(["lesson", "--run"]) == 130
    assert capsys.readouterr().err == "minireg lesson: interrupted\n"


@pytest.mark.slow
def test_a_fault_in_minireg_fails_the_lesson(monkeypatch, capsys):
    """By one of its claims here; tests/course/test_faults.py plants more, and measures all."""
    plant(monkeypatch, FAULTS["M40"])
    measure = course.measure
    monkeypatch.setattr(course, "measure", lambda *ids: measure(*(i for i in ids if i == "C24")))
    assert cli.main(["lesson", "2", "--run"]) == 1
    said = capsys.readouterr()
    assert "FAILED" in said.out
    assert "FAILED: AssertionError: C24" in said.err


@pytest.mark.slow
def test_an_edited_copy_stays_and_ends_with_its_server(installed, tmp_path, monkeypatch):
    """A server, a copy to write in, what the reader wrote kept, nothing written to the package; Ctrl-C
    ends it all, and so does any other signal (reliability 23).
    """
    pytest.importorskip("marimo")
    folder, other = tmp_path / "here", tmp_path / "temporary"
    folder.mkdir()
    other.mkdir()
    monkeypatch.setenv("TMPDIR", str(other))
    name = course.find(2).path.name
    original = (installed / "minireg" / "lessons" / name).read_text("utf-8")
    for said, end, code in (
        ("copied to", signal.SIGINT, 0), ("opening your copy", signal.SIGKILL, -signal.SIGKILL),
    ):  # fmt: skip
        process = run_installed(installed, folder, "-m", "minireg", "lesson", "2", "--edit",
                                stdin=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        with process:
            heard = []
            for line in process.stdout:
                heard.append(line)
                if "URL" in line:
                    break
            process.send_signal(end)
            try:
                heard.append(process.communicate(timeout=60)[0])  # a server would keep it open
            finally:
                process.kill()
        assert process.returncode == code, heard
        address = "localhost", int(re.search(r":(\d+)", line)[1])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        assert heard[0].startswith(said)
        assert "Traceback" not in "".join(heard)
        if said == "copied to":
            assert (folder / name).read_text("utf-8") == original
            (folder / name).write_text(original.replace("left = ...", "left = 1.0"), "utf-8")
    assert "left = 1.0" in (folder / name).read_text("utf-8")
    assert (installed / "minireg" / "lessons" / name).read_text("utf-8") == original


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_a_lesson_is_a_script_too(number):
    pytest.importorskip("marimo")
    names = runpy.run_path(str(course.find(number).path), run_name="__main__")
    assert isinstance(names["app"], sys.modules["marimo"].App)


# --- the format -----------------------------------------------------------------------------------


def claim_of(*figures) -> Claim:
    return Claim("C999", "FALSE AS STATED", "000 eq. 1", "title", "a < b", "c", lambda: figures)


def test_a_run_names_all_that_failed(capsys):
    good = claim_of(breaks("fails", 2.0, at_least=1.0), corrects("holds", 0.0, at_most=1.0))()
    bad = claim_of(breaks("fails", 0.5, at_least=1.0), corrects("holds", 0.0, at_most=1.0))()
    torn = claim_of(breaks("fails", 2.0, at_least=1.0))()
    settle([good], [holds("mine", 0, at_most=0), reports("seen", 3.0)])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["claimed", "measured", "verdict"]
    assert printed[3].split() == ["mine", "0", "as", "claimed", "(≤", "0)"]
    assert printed[4].split() == ["seen", "3", "shown"]
    with pytest.raises(
        AssertionError, match=r"^C999 fails: 0\.5 \(≥ 1\) FAILED; mine: 2 .* FAILED$"
    ):
        settle([bad], [holds("mine", 2, at_most=0)])
    assert "FAILED (≥ 1)" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="C999 a wrong statement needs a counterexample"):
        settle([torn])


@pytest.mark.slow
def test_marimo_finds_nothing(monkeypatch, capsys):
    pytest.importorskip("marimo")
    paths = [str(lesson.path) for lesson in course.lessons()]
    monkeypatch.setattr(sys, "argv", ["marimo", "check", "--strict", *paths])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("marimo", run_name="__main__")
    assert not stop.value.code, "".join(capsys.readouterr())
