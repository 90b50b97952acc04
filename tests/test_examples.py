"""The users' scripts run, assert what they claim, and print what examples/README.md says of them."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
README = HOME / "examples" / "README.md"

# script → packages it needs, arguments, and what it prints
SCRIPTS = {
    "lecturer": ([], [], r"by its prox +[1-9].*as λ falls: \[ *0 .* 10\].*growth of .* under Adam"),
    "researcher": (
        [],
        [],
        r"Dataset\(homes: 210 training .* regression\).*kept .*: area city=Lyon",
    ),
    "chinese_student": ([], ["定理 10.10"], r"定理 10\.10.*C24 .*（有误）.*原文：.*更正：.*量得："),
    "from_pytorch": (
        ["torch", "safetensors"],
        [],
        r"differ by at most \d\.\de-.*bit for bit.*float32",
    ),
    "scikit_learn": (
        ["sklearn", "pandas"],
        [],
        r"of 30 inputs left, 0\.9\d+ on new data.*switched off: ",
    ),
    "logging_": (["tensorboard"], [], r"epochs of \d+ figures.*share of the gradient: .*'l1'"),
}
FAST = {"researcher"}  # a process each, and what it loads
FOUND = sorted(path.stem for path in README.parent.glob("*.py"))


def ran(cwd: Path, name: str, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    script, env = README.parent / f"{name}.py", {**os.environ, "PYTHONPATH": str(HOME), **variables}
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", str(script), *args]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env=env, cwd=cwd
    )


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in FAST else [pytest.mark.slow]) for n in FOUND]
)
def test_the_script_does_what_it_says(name, tmp_path):
    packages, args, said = SCRIPTS[name]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"examples/{name}.py needs {package}")
    done = ran(tmp_path, name, *args, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert re.search(said, done.stdout, re.DOTALL), done.stdout


def test_a_place_that_the_texts_do_not_have(tmp_path):
    done = ran(tmp_path, "chinese_student", "定理99", PYTHONIOENCODING="utf-8")
    assert done.returncode == 1
    assert done.stderr.startswith("没有“定理99”")


@pytest.mark.slow
def test_a_terminal_without_the_signs(tmp_path):
    done = ran(tmp_path, "chinese_student", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "C24" in done.stdout


def test_scripts_are_short_and_in_the_table():
    text = README.read_text(encoding="utf-8")
    assert FOUND
    for name in FOUND:
        assert len((README.parent / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 60
        assert f"[{name}.py]({name}.py)" in text
