"""The lessons: they run, hold what they claim, look alike, and tell a reader what is wrong."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import minireg as mr
from minireg.cli import main as cli
from minireg.course import lessons as course
from minireg.course.claims import LESSONS, Claim, breaks, corrects, holds, load, reports
from minireg.course.lessons import Judgement, Lesson, judge

mo = pytest.importorskip("marimo")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

ROOT = Path(course.__file__).parents[2]
NUMBERS = [lesson.number for lesson in course.lessons()]
NOTEBOOKS = [lesson.number for lesson in course.lessons() if not lesson.paged]


def module(number: int) -> ModuleType:
    """A lesson imported, as a reader may: what it teaches is importable."""
    spec = importlib.util.spec_from_file_location(f"lesson_{number}", course.find(number).path)
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # where classes look for the source they come from
    spec.loader.exec_module(found)
    return found


LESSON = {number: module(number) for number in NOTEBOOKS}


def controls(number: int) -> dict[str, object]:
    """The slider and the switch of a lesson, by name, as its own cell makes them."""
    for node in ast.parse(course.find(number).text).body:
        if isinstance(node, ast.FunctionDef) and "mo.ui.slider" in (text := ast.unparse(node)):
            found: dict[str, object] = {}
            exec("\n".join(line.strip() for line in text.split("\n")[2:-1]), {"mo": mo}, found)
            return found
    raise AssertionError(f"lesson {number} has no slider")


def flat(outputs) -> list[Judgement]:
    return [output for output in outputs if isinstance(output, Judgement)]


# --- running --------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [False, True], ids=["first", "last, broken"])
@pytest.mark.parametrize("number", NOTEBOOKS)
def test_both_ends_of_the_slider_and_the_planted_fault(number, broken, capsys):
    """The lesson holds at the ends of its slider; the fault shows, the exercises are unsolved."""
    (slider, a), (switch, b) = sorted(
        controls(number).items(), key=lambda c: isinstance(c[1], mo.ui.switch)
    )
    assert isinstance(a, mo.ui.slider)
    assert isinstance(b, mo.ui.switch)
    assert b.value is False
    assert 3 <= len(a.steps) <= 9
    value = a.steps[-1 if broken else 0]
    outputs, _ = LESSON[number].app.run(
        defs={slider: SimpleNamespace(value=value), switch: SimpleNamespace(value=broken)}
    )
    shown = flat(outputs)
    assert [j.right for j in shown if j.tried] == [not broken]
    assert sum(not j.tried for j in shown) == 3
    printed = capsys.readouterr().out
    assert printed.startswith("claimed")
    assert "FAILED" not in printed
    assert all(claim in printed for claim in course.find(number).claims)


def test_all_run_from_the_command_line(capsys):
    assert cli.main(["lesson", "--run"]) == 0
    printed = capsys.readouterr().out
    assert all(str(lesson) in printed for lesson in course.lessons())
    assert printed.count("claimed") == printed.count("as claimed") + len(NUMBERS)


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


@pytest.mark.parametrize("as_script", [True, False])
def test_from_a_wheel_in_another_folder(installed, tmp_path, as_script):
    script = installed / "minireg" / "lessons" / course.find(0).path.name
    command = (str(script),) if as_script else ("-m", "minireg", "lesson", "0", "--run")
    with run_installed(installed, tmp_path, *command) as process:
        printed = process.communicate()[0]
    assert process.returncode == 0, printed
    assert "any bit" in printed
    assert not list(tmp_path.iterdir())


def test_a_wheel_holds_the_lessons():
    tomllib = pytest.importorskip("tomllib")
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("not a checkout")
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"][
        "targets"
    ]
    assert targets["wheel"]["force-include"] == {"lessons": "minireg/lessons"}
    assert "lessons" in targets["sdist"]["include"]


def test_a_training_from_a_wheel_finds_the_looks_of_its_report(installed, tmp_path):
    """Style sheet, page and prose are files that a package may forget."""
    flags = ("--dataset", "wine", "--hidden", "4", "--epochs", "1", "--no-progress", "--out", "run")
    with run_installed(installed, tmp_path, "-m", "minireg", "train", *flags) as process:
        printed = process.communicate()[0]
    assert process.returncode == 0, printed
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    for name in ("report.css", "report.md"):
        text = (ROOT / "minireg" / "inspect" / name).read_text("utf-8")
        assert text.strip().splitlines()[-1].strip() in page


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
        assert lesson.claims
        assert set(lesson.claims) <= set(known)
        assert line.endswith(" ".join(lesson.claims))


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


@pytest.mark.parametrize("flags", [["2"], ["2", "--run"], ["--run"]])
def test_without_marimo_the_extra_is_named(flags, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "marimo" else name
    )
    assert cli.main(["lesson", *flags]) == 1
    assert "minireg[lessons]" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / course.find(10).path.name).symlink_to(tmp_path / "no" / "such")
    assert cli.main(["lesson", "10"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("minireg lesson: cannot copy the lesson into")
    assert said.count("\n") == 1


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


def test_a_fault_in_minireg_fails_the_lesson(monkeypatch, capsys):
    gradient = mr.penalties.L2.gradient
    monkeypatch.setattr(mr.penalties.L2, "gradient",
                        lambda self, w, out=None: np.multiply(gradient(self, w), 2, out=out))  # fmt: skip
    assert cli.main(["lesson", "2", "--run"]) == 1
    said = capsys.readouterr()
    assert "FAILED" in said.out
    assert "FAILED: AssertionError: C24" in said.err


@pytest.mark.slow
def test_opening_copies_once_and_ends_with_its_server(installed, tmp_path):
    """A server, a copy to write in, the reader's answers kept, nothing written to the package; Ctrl-C
    ends it all, and so does any other signal (reliability 23).
    """
    name = course.find(10).path.name
    original = (installed / "minireg" / "lessons" / name).read_text("utf-8")
    for said, end, code in (
        ("copied to", signal.SIGINT, 0), ("opening your copy", signal.SIGKILL, -signal.SIGKILL),
    ):  # fmt: skip
        process = run_installed(installed, tmp_path, "-m", "minireg", "lesson", "10",
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
            assert (tmp_path / name).read_text("utf-8") == original
            (tmp_path / name).write_text(original.replace("return ...", "return 1.0"), "utf-8")
    assert "return 1.0" in (tmp_path / name).read_text("utf-8")
    assert (installed / "minireg" / "lessons" / name).read_text("utf-8") == original


# --- the format -----------------------------------------------------------------------------------


def test_marimo_finds_nothing():
    paths = [str(lesson.path) for lesson in course.lessons()]
    checked = subprocess.run([sys.executable, "-m", "marimo", "check", "--strict", *paths],
                             capture_output=True, text=True, check=False)  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_house_rules(number):
    """Taught code is importable, every check has its exercise."""
    lesson = course.find(number)
    taught = vars(LESSON[number])
    checks = [name for name in taught if name.startswith("check_")]
    assert len(checks) == 3
    assert all(callable(taught[name.removeprefix("check_")]) for name in checks)
    assert lesson.text.count("mo.ui.slider") == lesson.text.count("mo.ui.switch") == 1
    assert lesson.text.count("closing(results") == lesson.text.count("compare(results") == 1
    headings = [line.strip() for line in lesson.text.split("\n") if line.startswith("    ## ")]
    assert headings[-3:] == ["## What the texts say", "## Exercises", "## Claimed, measured"]


# --- lesson 0 -------------------------------------------------------------------------------------


def code_lines(lesson: Lesson, names: set[str]) -> int:
    """Lines of the functions and classes of these names, without docstrings and blank lines."""
    count = 0
    for node in ast.parse(lesson.text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            names = names - {node.name}
            node.decorator_list = []
            for part in ast.walk(node):
                if isinstance(part, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(part):
                    part.body = part.body[1:]
            count += len(ast.unparse(node).split("\n")) - ast.unparse(node).count("\n\n")
    assert not names, f"not found: {names}"
    return count


def test_the_engine_is_under_100_lines():
    assert code_lines(course.find(0), {"Number", "op", "Tensor", "fit", "backward"}) < 100


@pytest.mark.parametrize("seed", range(3))
def test_the_engine_agrees_to_the_bit_and_the_fault_does_not(seed):
    lesson = LESSON[0]
    _, reference = lesson.train(lesson.theirs, seed=seed)
    losses, mine = lesson.train(lesson.ours, seed=seed)
    assert lesson.differing(mine, reference) == 0
    assert losses[-1] < losses[0]
    overwrite = partial(lesson.ours, add=lambda old, new: new)
    assert lesson.differing(lesson.train(overwrite, seed=seed)[1], reference) > 100


OPS = {
    "add": ((3, 4), (4,)), "sub": ((3, 1), (3, 4)), "mul": ((), (3, 4)), "matmul": ((3, 4), (4, 2)),
    "square": ((3, 4),), "relu": ((3, 4),), "sum": ((3, 4),), "mean": ((3, 4),),
}  # fmt: skip


@pytest.mark.parametrize("name", OPS)
def test_every_op_of_the_engine_is_minireg_s(name):
    lesson, rng = LESSON[0], np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in OPS[name]]
    tape, method = [], name if hasattr(lesson.Tensor, name) else f"__{name}__"
    ours = [lesson.Tensor(array, tape) for array in arrays]
    y = getattr(lesson.Tensor, method)(*ours)
    lesson.backward(y)
    theirs = [mr.tensor(array, requires_grad=True) for array in arrays]
    z = mr.ops.TABLE[name].function(*theirs)
    z.backward(np.ones(z.shape))
    np.testing.assert_array_equal(y.data, z.data)
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.grad, reference.grad.data)


def test_every_op_of_the_engine_is_tested():
    table = {k.strip("_") for k, v in vars(LESSON[0].Tensor).items()
             if getattr(v, "__name__", "") == "method"}  # fmt: skip
    assert table == set(OPS)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1), (1, 4), (2, 1, 4), (1, 1, 1), (2, 3, 4)])
def test_fit_undoes_broadcasting(shape):
    x = np.random.default_rng(0).normal(size=shape)
    g = np.random.default_rng(1).normal(size=(2, 3, 4))
    w = mr.tensor(x, requires_grad=True)
    (mr.broadcast_to(w, g.shape) * g).sum().backward()
    np.testing.assert_array_equal(LESSON[0].fit(g, shape), w.grad.data)
    np.testing.assert_array_equal(LESSON[0].fit(np.array(2.0), shape), np.full(shape, 2.0))


def test_the_slider_of_lesson_0_walks_the_tape():
    known = [sum(t.grad is not None for t in LESSON[0].walk(lines).values()) for lines in range(9)]
    assert known[0] == 1
    assert known[-1] == 12
    assert all(a <= b for a, b in pairwise(known))
    w = LESSON[0].walk(8)["w"]
    assert w.grad == 2.0 + 0.75  # data and penalty
    assert LESSON[0].walk(8, lambda old, new: new)["w"].grad == 2.0


# --- the exercises --------------------------------------------------------------------------------

# check → the right answer, and wrong ones with what the reader is told
ANSWERS = {
    (0, "division"): (lambda g, a, b: (g / b, -g * a / b**2), {
        "wrong sign": lambda g, a, b: (g / b, g * a / b**2),
        "needs b²": lambda g, a, b: (g / b, -g * a / b),
        "Multiply by g": lambda g, a, b: (1 / b, -a / b**2),
        "Swap them": lambda g, a, b: (-g * a / b**2, g / b),
        "the shape is [()], expected [(), ()]": lambda g, a, b: g / b,
    }),
    (0, "sigmoid_rule"): (lambda g, y: g * y * (1 - y), {
        "Multiply by g": lambda g, y: y * (1 - y),
        "the rule of tanh": lambda g, y: g * (1 - y**2),
        "near y = 1": lambda g, y: g * y,
        "near y = 0": lambda g, y: g * (1 - y),
        "yours is 2 times that": lambda g, y: 2 * g * y * (1 - y),
    }),
    (0, "logsumexp_rule"): (lambda g, y, x: g * np.exp(x) / np.exp(x).sum(), {
        "have to sum to g": lambda g, y, x: g * np.exp(x),
        "not by its logarithm": lambda g, y, x: g * np.exp(x) / y,
        "the softmax": lambda g, y, x: np.exp(x) / np.exp(x).sum(),
        "the share of each": lambda g, y, x: g * x / y,
    }),
}  # fmt: skip


def test_every_exercise_is_answered_here():
    found = {(n, name.removeprefix("check_")) for n, lesson in LESSON.items()
             for name in vars(lesson) if name.startswith("check_")}  # fmt: skip
    assert found == set(ANSWERS)


@pytest.mark.parametrize("exercise", ANSWERS, ids=lambda e: f"{e[0]} {e[1]}")
def test_exercises_tell_what_is_wrong(exercise):
    number, name = exercise
    check, (right, wrong) = getattr(LESSON[number], f"check_{name}"), ANSWERS[exercise]
    assert check(right)
    for hint, answer in wrong.items():
        judgement = check(answer)
        assert not judgement
        assert judgement.tried
        assert hint in judgement.text
        assert sum(other in judgement.text for other in wrong) == 1
    unsolved = check(getattr(LESSON[number], name))
    assert (unsolved.right, unsolved.tried) == (False, False)
    assert unsolved.text == f"`{name}` is not solved yet."


# --- what lessons share ---------------------------------------------------------------------------


def test_judge_says_what_failed_and_how_far_off():
    square = lambda x: x**2
    cases = [(2.0,), (np.array([1.0, 3.0]),)]
    said = lambda answer: str(judge(answer, square, cases, {}))

    def raising(x):
        raise KeyError("w")

    def words(x):
        return "four"

    def twice(x):
        return x + x

    assert said(raising) == "`raising(2)` fails with KeyError: 'w'."
    assert said(words).startswith("`words(2)` fails with ValueError")
    assert said(twice) == "`twice([1., 3.])` gives [2., 6.], expected [1., 9.]."
    assert said(lambda x: -(x**2)).endswith("gives -4, expected 4; yours is -1 times that.")
    assert said(lambda x: np.nan * x).endswith("gives nan, expected 4.")
    assert not judge(lambda x: None, square, cases, {}).tried
    assert judge(lambda x: x * x * (1 + 1e-12), square, cases, {})


def test_a_judgement_shows_in_colour():
    for judgement, kind in ((Judgement("a", True), "success"), (Judgement("a"), "warn"),
                            (Judgement("a", tried=False), "neutral")):  # fmt: skip
        mime, text = judgement._mime_()
        assert mime == "text/html"
        assert kind in text


def claim_of(*figures) -> Claim:
    return Claim(
        "C999", "FALSE AS STATED", "000 *eq.* 1", "A | title", "a < b", "c_d", lambda: figures
    )


def test_closing_names_all_that_failed(capsys):
    good = claim_of(breaks("fails", 2.0, at_least=1.0), corrects("holds", 0.0, at_most=1.0))()
    bad = claim_of(breaks("fails", 0.5, at_least=1.0), corrects("holds", 0.0, at_most=1.0))()
    torn = claim_of(breaks("fails", 2.0, at_least=1.0))()
    course.closing([good], [holds("mine", 0, at_most=0), reports("seen", 3.0)])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["claimed", "measured", "verdict"]
    assert printed[3].split() == ["mine", "0", "as", "claimed", "(≤", "0)"]
    assert printed[4].split() == ["seen", "3", "shown"]
    with pytest.raises(
        AssertionError, match=r"^C999 fails: 0\.5 \(≥ 1\) FAILED; mine: 2 .* FAILED$"
    ):
        course.closing([bad], [holds("mine", 2, at_most=0)])
    assert "FAILED (≥ 1)" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="C999 a wrong statement needs a counterexample"):
        course.closing([torn])


def test_the_table_keeps_what_markdown_would_eat():
    result = claim_of(breaks("|‖θ*‖ − a_b|", 2.0), corrects("x*y", 1.0))()
    text = course.compare([result]).text
    for piece in ("A | title", "a &lt; b", "000 *eq.* 1", "c_d", "|‖θ*‖ − a_b|: <strong>2</strong>",
                  "x*y: <strong>1</strong>", "<strong>false as stated</strong>"):  # fmt: skip
        assert piece in text
    assert text.count("<td") == 3
