"""Runs of the command line afterwards: resumed, opened again and drawn again."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.commands import over

import minireg as mr
from minireg import checkpoint, datasets, optim, progress, training
from minireg.cli import main as cli
from minireg.cli import train
from minireg.cli.folder import RunFolder
from minireg.cli.settings import REGULARIZERS, TrainSettings
from minireg.cli.spelled import Chosen
from minireg.cli.trial import prepared, train_one

pytest.importorskip("safetensors")
pytest.importorskip("rich")

QUICK = ["train", "--dataset", "wine", "--hidden", "8", "--epochs", "4", "--no-progress"]
UPDATES = 4 * 2  # of each of the two trainings
BOTH = 2 * UPDATES


@pytest.fixture(autouse=True)
def still(monkeypatch):
    """No time passes, and a checkpoint is due after every epoch: what a folder holds is bytes."""
    clock = SimpleNamespace(perf_counter=lambda: 0.0)
    monkeypatch.setattr(training, "time", clock)
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(progress.Progress, "due", lambda self, every: self.done == 0)


def held(folder: Path) -> dict[str, object]:
    """What a folder holds, as what == compares byte for byte."""
    return {p.name: _content(p) for p in sorted(folder.iterdir())}


def _content(path: Path) -> object:
    if path.suffix != ".safetensors":
        return path.read_bytes()
    arrays = {n: (a.shape, a.dtype, a.tobytes()) for n, a in mr.load(path).items()}
    return repr(checkpoint.read_tree("test", path)), arrays  # its metadata have no order


def interrupted(patch: pytest.MonkeyPatch, after: int, error: type = KeyboardInterrupt) -> None:
    """Let updates of optimizers end by ``error`` when so many were made."""
    step, made = optim.Optimizer.step, []

    def tired(self, *args, **options):
        made.append(1)
        if len(made) > after:
            raise error
        return step(self, *args, **options)

    patch.setattr(optim.Optimizer, "step", tired)


class KilledError(BaseException):
    """As if by kill -9: nobody catches it."""


def stop(folder: Path, after: int, error: type = KeyboardInterrupt, *flags: str) -> None:
    """Train into a folder until the training ends by ``error``."""
    with pytest.MonkeyPatch.context() as patch:
        interrupted(patch, after, error)
        try:
            assert cli.main(over(QUICK, *flags, "--out", folder)) == 130
        except KilledError:
            assert error is KilledError


def uninterrupted(folder: Path, *flags: str) -> Path:
    """The folder of a run that nothing interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        clock = SimpleNamespace(perf_counter=lambda: 0.0)
        patch.setattr(training, "time", clock)
        patch.setattr(progress, "time", clock)
        assert cli.main(over(QUICK, *flags, "--out", folder)) == 0
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return uninterrupted(tmp_path_factory.mktemp("whole") / "run", "--no-report")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """With its report, which takes seconds."""
    pytest.importorskip("matplotlib")
    return uninterrupted(tmp_path_factory.mktemp("drawn") / "run")


def in_one_line(capsys, command, code=1) -> str:
    """The error of a command that says all in one line."""
    try:
        found = cli.main(command)
    except SystemExit as stopped:
        found = stopped.code
    error = capsys.readouterr().err
    assert (found, error.count("\n")) == (code, 1), error
    return error


# --- resumed is uninterrupted ---------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, KilledError])
@pytest.mark.parametrize("after", [0, 3, UPDATES - 1, UPDATES, UPDATES + 5, BOTH - 1])
def test_resumed_is_uninterrupted(after, error, whole, tmp_path, capsys):
    folder = tmp_path / "run"
    stop(folder, after, error, "--no-report")
    assert [p for p in held(folder) if p.startswith("checkpoint-")]
    assert cli.main(["train", "--resume", str(folder), "--no-progress", "--no-report"]) == 0
    assert held(folder) == held(whole)
    capsys.readouterr()


@pytest.mark.slow
def test_interrupted_again_and_again_with_its_report(drawn, tmp_path, capsys):
    folder = tmp_path / "run"
    stop(folder, 1)
    for _ in range(BOTH):
        with pytest.MonkeyPatch.context() as patch:
            interrupted(patch, 3)
            if cli.main(["train", "--resume", str(folder), "--no-progress"]) == 0:
                break
    else:
        pytest.fail("it never ended")
    assert held(folder) == held(drawn)
    capsys.readouterr()


def test_what_is_shown_is_what_an_uninterrupted_run_shows(whole, tmp_path, capsys):
    assert cli.main([*QUICK, "--no-report", "--json", "--out", str(tmp_path / "a")]) == 0
    expected = json.loads(capsys.readouterr().out)
    stop(tmp_path / "b", UPDATES + 3, KilledError, "--no-report")
    capsys.readouterr()
    assert cli.main(["train", "--resume", str(tmp_path / "b"), "--no-report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected | {"folder": str(tmp_path / "b")}


@pytest.mark.slow
def test_killed_between_any_two_files(whole, tmp_path, monkeypatch, capsys):
    """After each file that a run writes, its end included."""
    flags, replacing = ["--epochs", "1", "--no-report"], os.replace
    assert cli.main(over(QUICK, *flags, "--out", tmp_path / "whole")) == 0
    expected = held(tmp_path / "whole")
    written = []

    def last(*names, **options):
        replacing(*names, **options)
        written.append(1)
        if len(written) == count:
            raise KilledError

    for count in range(1, 40):
        folder, done = tmp_path / str(count), False
        written.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", last)
            with contextlib.suppress(KilledError):
                done = cli.main(over(QUICK, *flags, "--out", folder)) == 0
        if done:
            break
        assert cli.main(["train", "--resume", str(folder), "--no-report"]) == 0
        assert held(folder) == expected, f"after {count} files"
    assert count > 12
    capsys.readouterr()


@pytest.mark.slow
def test_a_finished_run_says_so_and_gets_what_is_missing(drawn, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(drawn, folder)
    times = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert cli.main(["train", "--resume", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert f"{folder} is finished" in shown
    assert "without and with regularizers" in shown
    assert "written to" not in shown
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == times
    for name in ("report.html", "weights-plain.npz"):
        (folder / name).unlink()
    assert cli.main(["train", "--resume", str(folder)]) == 0
    assert held(folder) == held(drawn)
    assert "report.html" in capsys.readouterr().out


def test_without_a_regularizer_both_trainings_are_said_to_be_the_same(tmp_path, capsys):
    off = [
        word for name in ("l2", "l1", "dropout", "label-smoothing") for word in (f"--{name}", "0")
    ]
    command = [*QUICK, "--no-report", "--out", str(tmp_path / "run")]
    same = 'the same training, figure for figure: "plain" = "regularized".'
    assert cli.main([*command, *off]) == 0
    assert same in re.sub(r"\s+", " ", capsys.readouterr().out)
    assert cli.main([*command, "--force", *off[2:]]) == 0
    assert "the same training" not in re.sub(r"\s+", " ", capsys.readouterr().out)


def test_ctrl_c_says_how_to_go_on(tmp_path, capsys):
    stop(tmp_path / "a b", UPDATES + 1, KeyboardInterrupt, "--no-report", "--json")
    out, error = capsys.readouterr()
    again = f"minireg train --resume '{tmp_path}/a b'"
    assert error == f"minireg train: interrupted; go on with: {again}\n"
    assert json.loads(out)["runs"]["regularized"]["stopped"] == "interrupted"


def test_force_takes_nothing_of_the_earlier_run_along(whole, tmp_path, capsys):
    folder = tmp_path / "run"
    stop(folder, UPDATES + 3, KilledError, "--no-report", "--seed", "7")
    assert cli.main([*QUICK, "--no-report", "--out", str(folder), "--force"]) == 0
    assert held(folder) == held(whole)
    stop(folder, 3, KilledError, "--no-report", "--seed", "7", "--force")
    assert not [n for n in held(folder) if n.startswith("run-")]
    capsys.readouterr()


KILLED = """
    import os, signal, sys
    import numpy as np
    from minireg import optim, progress
    from minireg.cli.main import main

    rest = int(sys.argv[1])
    def tired(owner, name):
        act = getattr(owner, name)
        def once(*args, **options):
            global rest
            rest -= 1
            if rest == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*args, **options)
        setattr(owner, name, once)
    for owner, name in [(optim.Optimizer, "step"), (os, "fsync"), (os, "replace"), (os, "link")]:
        tired(owner, name)
    progress.Progress.due = lambda self, every: self.done == 0
    sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_kill_9_at_random_moments(tmp_path):
    """Updates of weights and each step of writing a file are counted; at a random one it is killed."""
    flags = ["train", "--dataset", "wine", "--hidden", "8", "--epochs", "15", "--no-progress"]
    flags += ["--no-report", "--out"]

    def go(moment: int, *command: str) -> int:
        words = [sys.executable, "-c", textwrap.dedent(KILLED), str(moment), *command]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode

    assert go(0, *flags, str(tmp_path / "whole")) == 0
    rng, killed = np.random.default_rng(0), 0
    for number in range(3):
        folder = tmp_path / str(number)
        command = [*flags, str(folder)]
        while go(int(rng.integers(2, 90)), *command):
            killed += 1
            command = ["train", "--resume", str(folder), "--no-progress", "--no-report"]
            if not (folder / "history.json").read_text():  # before the settings were written
                command = [*flags, str(folder), "--force"]
        assert timeless(folder) == timeless(tmp_path / "whole")
        hidden = {p.name for p in folder.iterdir() if p.name.startswith(".")}
        assert {p.name for p in folder.iterdir()} - hidden == {*held(tmp_path / "whole")}
    assert killed >= 10


def timeless(folder: Path) -> list[object]:
    """All that a run folder holds, without the seconds it took."""
    found: list[object] = [json.loads((folder / "history.json").read_text())]
    found += [(folder / "ledger.csv").read_text()]
    for label in train.LABELS:
        run = found[0]["runs"][label]
        del run["columns"]["seconds"], run["best"]["seconds"]
        tree = checkpoint.read_tree("test", folder / f"run-{label}.safetensors")
        del tree["history"]["columns"]["seconds"]
        arrays = mr.load(folder / f"run-{label}.safetensors")
        found += [repr(tree), {n: a.tobytes() for n, a in arrays.items()}]
        weights = mr.load(folder / f"weights-{label}.npz")
        found.append({n: a.tobytes() for n, a in weights.items()})
    return found


# --- what cannot be resumed -------------------------------------------------------------------------


@pytest.fixture
def half(tmp_path, capsys):
    """A folder whose second training was killed."""
    folder = tmp_path / "run"
    stop(folder, UPDATES + 3, KilledError, "--no-report")
    capsys.readouterr()
    return folder


def changed(path: Path, **entries: object) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def damaged(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])


WRONG = {
    "no folder": (shutil.rmtree, "history.json: No such file or directory"),
    "no record": (lambda f: (f / "history.json").unlink(), "history.json: No such file or directory"),
    "an empty record": (lambda f: (f / "history.json").write_text(""), "holds no settings of a run"),
    "no JSON object": (lambda f: (f / "history.json").write_text("[1]"), "holds no settings of a run"),
    "a newer format": (lambda f: changed(f / "history.json", format=2),
                       "its format is 2, expected 1: of another version"),
    "an older minireg": (lambda f: changed(f / "history.json", format=None),
                         "its format is None, expected 1: of another version"),
    "an unknown setting": (lambda f: changed(f / "history.json", settings={"width": 3}),
                           "unexpected keyword argument 'width'"),
    "settings that contradict": (
        lambda f: changed(f / "history.json", settings={"dataset": "diabetes", "noise": 0.1}),
        "--noise is about labels"),
    "another command": (lambda f: changed(f / "history.json", command="minireg train"),
                        "its command is not that of its settings"),
    "two damaged checkpoints": (
        lambda f: [damaged(p) for p in f.glob("checkpoint-regularized.*")],
        "checkpoint-regularized.safetensors' is damaged or no .safetensors file of arrays: "),
    "nothing of the data": (lambda f: changed(f / "history.json", data={}), "holds no settings of a run"),
    "a damaged run": (lambda f: damaged(f / "run-plain.safetensors"),
                      "without it, --resume trains that run again"),
    "a run of a newer format": (
        lambda f: checkpoint.write_tree("test", f / "run-plain.safetensors", {"format": 2}, keep=False),
        "its format is 2, expected 1: of another version of minireg; read it"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_in_one_line_and_nothing_changes(what, half, capsys):
    spoil, says = WRONG[what]
    spoil(half)
    before = half.exists() and {p.name: p.read_bytes() for p in half.iterdir()}
    error = in_one_line(capsys, ["train", "--resume", str(half), "--no-report"])
    assert error.startswith("minireg train: ")
    assert says in error
    assert str(half) in error
    assert (half.exists() and {p.name: p.read_bytes() for p in half.iterdir()}) == before


def test_a_damaged_checkpoint_is_named_and_it_goes_on_from_the_one_before(half, whole, capsys):
    path = half / "checkpoint-regularized.safetensors"
    damaged(path)
    error = in_one_line(capsys, ["train", "--resume", str(half), "--no-report"], code=0)
    before = f"; the one before is '{checkpoint.previous(path)}', from which it goes on\n"
    assert error.startswith("minireg train: --resume: ")
    assert f"{str(path)!r} is damaged" in error
    assert error.endswith(before)
    assert held(half) == held(whole)


@pytest.mark.parametrize("when", range(6))
def test_a_checkpoint_that_cannot_be_written_costs_no_training(when, whole, tmp_path, capsys):
    """The law: whichever checkpoints fail, the end is that of a run of which none does."""
    write, made = checkpoint.write_tree, []

    def full(owner, path, tree, keep=True):
        made.append(path)
        if "checkpoint-plain" in str(path) and len(made) > when:
            raise OSError(28, "No space left on device", str(path))
        return write(owner, path, tree, keep)

    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "write_tree", full)
        error = ""
        if when < 5:
            error = in_one_line(capsys, [*QUICK, "--no-report", "--out", str(folder)], code=0)
        else:
            assert cli.main([*QUICK, "--no-report", "--out", str(folder)]) == 0
    if error:
        lost = "the last that was written" if when else "its start"
        assert error.startswith("minireg train: warning: [Errno 28] No space left on device")
        assert error.endswith(f"plain goes on without, from {lost}, and so would --resume\n")
    assert held(folder) == held(whole)


def test_resumed_from_another_folder_it_finds_its_data(tmp_path, monkeypatch, capsys):
    flags = ["--target", "c", "--hidden", "8", "--epochs", "4", "--no-progress", "--no-report"]
    lines = ["a,b,c", *(f"{i},{i * i % 7},{'xyz'[i % 3]}" for i in range(40))]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "own.csv").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "sub")
    assert cli.main(["train", "--data", "own.csv", *flags, "--out", "whole"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        interrupted(patch, 2)
        assert cli.main(["train", "--data", "own.csv", *flags, "--out", "run"]) == 130
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.csv").write_text("a,b,c\n1,2,x\n", encoding="utf-8")  # of the same name here
    assert cli.main(["train", "--resume", "sub/run", "--no-report"]) == 0
    assert held(tmp_path / "sub" / "run") == held(tmp_path / "sub" / "whole")
    record = json.loads((tmp_path / "sub" / "run" / "history.json").read_text("utf-8"))
    assert record["command"].startswith("minireg train --data own.csv --target c ")
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "own: rows 28 training, 6 validation, 6 test; 2 features: a, b; 3 classes: x, y, z; no test row"
        in shown
    )
    known = record["data"]
    assert (known["name"], known["feature_names"], known["class_names"]) == (
        "own",
        ["a", "b"],
        ["x", "y", "z"],
    )
    assert mr.Run.load("sub/run")["plain"].features == ("a", "b")


@pytest.mark.parametrize("where", ["_show", "record", "_best", "caution"])
def test_ctrl_c_again_still_says_how_to_go_on(where, tmp_path, monkeypatch, capsys):
    """Wherever the next one comes, after the one that ended the training."""

    def stopped(*args, **options):
        raise KeyboardInterrupt

    step, made = optim.Optimizer.step, []

    def tired(self, *args, **options):
        made.append(1)
        if len(made) > UPDATES + 3:
            monkeypatch.setattr(train, where, stopped)
            raise KeyboardInterrupt
        return step(self, *args, **options)

    monkeypatch.setattr(optim.Optimizer, "step", tired)
    folder = tmp_path / "run"
    error = in_one_line(capsys, [*QUICK, "--no-report", "--out", str(folder)], code=130)
    assert error == f"minireg train: interrupted; go on with: minireg train --resume {folder}\n"


def test_other_data_are_named(half, monkeypatch, capsys):
    load, before = datasets.load, held(half)

    def other(*args, **options):
        data = load(*args, **options)
        return replace(data, x_validation=data.x_validation + 1)

    monkeypatch.setattr(datasets, "load", other)
    error = in_one_line(capsys, ["train", "--resume", str(half), "--no-report"])
    assert f"the data of {half} are others now: x_validation" in error
    assert held(half) == before


@pytest.mark.parametrize(
    "flags", [["--epochs", "9"], ["--l2", "0"], ["--out", "x"], ["--force"], ["--dataset", "wine"]]
)
def test_other_flags_are_refused(flags, half, capsys):
    before = held(half)
    error = in_one_line(capsys, ["train", "--resume", str(half), *flags], code=2)
    assert f"--resume goes on with the settings of its run; leave out {flags[0]}" in error
    assert held(half) == before


def test_a_run_that_diverges_diverges_again(tmp_path, capsys):
    flags = ["--l2", "1e6", "--no-report", "--out", str(tmp_path / "a")]
    assert cli.main([*QUICK, *flags]) == 1
    first = capsys.readouterr().err
    assert cli.main(["train", "--resume", str(tmp_path / "a"), "--no-report"]) == 1
    assert capsys.readouterr().err == first


def test_a_sweep_is_no_run_and_its_command_is_said(tmp_path, capsys):
    (tmp_path / "sweep.sqlite").touch()
    for command in (["report"], ["train", "--resume"]):
        error = in_one_line(capsys, [*command, str(tmp_path)])
        assert error.endswith(f"{tmp_path} is a sweep, not a run: minireg compare {tmp_path}\n")


# --- drawn again ------------------------------------------------------------------------------------
@pytest.mark.slow
def test_the_page_is_the_same(drawn, tmp_path, capsys):
    out = tmp_path / "again.html"
    assert cli.main(["report", str(drawn), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"written to {out}\n"
    assert out.read_bytes() == (drawn / "report.html").read_bytes()
    folder = tmp_path / "run"
    shutil.copytree(drawn, folder)
    (folder / "report.html").unlink()
    assert cli.main(["report", str(folder)]) == 0
    assert held(folder) == held(drawn)


@pytest.mark.slow
def test_the_documented_lines(drawn, tmp_path):
    page = mr.report(tmp_path / "r.html", mr.Run.load(drawn)).read_text("utf-8")
    drawn = (drawn / "report.html").read_text("utf-8")
    sections = [re.findall(r"<section>.*?</section>", text, re.S) for text in (page, drawn)]
    assert len(sections[0]) > 8
    assert sections[0] == [
        s for s in sections[1] if not re.match("<section><h2>(Settings|Again)", s)
    ]


@pytest.mark.slow
def test_several_folders_on_one_page(drawn, tmp_path, capsys):
    other, out = tmp_path / "l2" / "run", tmp_path / "all.html"
    assert cli.main([*QUICK, "--no-report", "--l2", "0.5", "--out", str(other)]) == 0
    folders = [str(drawn), str(other), f"{other}/../run"]
    assert "say where, --out FILE" in in_one_line(capsys, ["report", *folders], code=2)
    error = in_one_line(capsys, ["report", *folders, "--out", str(tmp_path / "all.pdf")], code=2)
    assert f"--out: the page is HTML, got {tmp_path / 'all.pdf'}; write all.html" in error
    assert cli.main(["report", *folders, "--out", str(out)]) == 0
    page = re.sub("</?span>", "", out.read_text("utf-8"))
    heads = re.findall(r'<th scope="col" class="figure">(.+?), end</th>', page)
    assert heads == ["plain", "regularized --l2 0.001", "regularized --l2 0.5"]
    once = f"figure for figure: “{drawn}: plain” = “{other}/../run: plain”."
    assert page.count(once) == 1
    assert page.count("“regularized --l2 0.5”") > 0
    assert page.count("minireg train --dataset wine") == 2
    assert "--l2 0.5" in page
    assert f"\nminireg report {drawn}" in page
    settings = page.partition("<h2>Settings</h2>")[2].partition("</section>")[0]
    rows = re.findall(r'<th scope="row">(.*?), .*?</th><td>(.*?)</td>', settings)
    assert rows == [("l2", "0.001"), ("l2", "0.5")]
    assert (
        "wine: rows 125 training, 27 validation, 26 test (25 training labels flipped); 13" in page
    )
    assert "same rows" not in page + capsys.readouterr().err
    iris = tmp_path / "iris"
    flags = ["--dataset", "iris", "--hidden", "8", "--epochs", "1", "--no-report", "--no-progress"]
    assert cli.main(["train", *flags, "--out", str(iris)]) == 0
    capsys.readouterr()
    error = in_one_line(capsys, ["report", str(drawn), str(iris), "--out", str(out)], code=0)
    assert "warning: Not all runs were measured on the same rows" in error
    assert "<p>Not all runs were measured on the same rows" in out.read_text("utf-8")
    capsys.readouterr()


@pytest.mark.slow
def test_of_several_strengths_and_seeds_the_strengths_are_told(tmp_path, capsys):
    """Runs differ by name in what they were trained with, and by folder in their seed: the headline tells
    the seeds of a strength together, without a warning that it does not.
    """
    pytest.importorskip("matplotlib")
    folders, out = [], tmp_path / "all.html"
    for seed in "12":
        for flags in (["--l1", "0"], ["--l1", "0.01", "--l1-via", "gradient"]):
            folders.append(str(tmp_path / f"{seed}{flags[1]}"))
            command = [*QUICK, "--no-report", "--seed", seed, *flags, "--out", folders[-1]]
            assert cli.main(command) == 0
    capsys.readouterr()
    assert cli.main(["report", *folders, "--out", str(out)]) == 0
    assert capsys.readouterr().err == ""
    page = re.sub(r"<[^>]+>", "", out.read_text("utf-8"))
    assert "On 2 held-out parts of wine, “" in page
    told = page.partition("On 2 held-out")[2].partition("wine: rows ")[0]
    assert not re.search("“[^”]*(--seed|: )", told)
    names = "plain", "regularized --l1 0.0 --l1-via prox", "regularized --l1 0.01 --l1-via gradient"
    for name, folder in zip(names, [folders[0], *folders[:2]], strict=True):
        assert f"{folder}: {name}, end" in page
    assert "plain --l1" not in page


def test_plain_differs_in_no_regularizer_and_in_all_else():
    """The law behind the names: as it is trained, plain takes no notice of what is left out of its name."""
    base: dict = {"dataset": "iris", "hidden": [4], "epochs": 2}
    other = {
        "dataset": "wine", "noise": 0.5, "validation": 0.4, "hidden": [5], "norm": "layer", "l2": 0.3,
        "l1": 0.3, "l1_via": "gradient", "penalty": [Chosen("L1(0.3)")], "dropout": 0.1,
        "label_smoothing": 0.3, "optimizer": "adam", "lr": 0.3, "momentum": 0.3, "weight_decay": 0.3,
        "schedule": "step", "epochs": 3, "batch_size": 9, "clip_norm": 1e-3, "patience": 1, "seed": 1,
    }  # fmt: skip
    assert TrainSettings.__dataclass_fields__.keys() - other.keys() == {
        "data",
        "target",
        "task",
        "backend",
    }

    def plain(changed: dict) -> object:
        settings, data = prepared(TrainSettings(**(base | changed)))
        return replace(train_one(settings, data, "plain", progress=False).history, classes=())

    same = plain({})
    assert {n for n, value in other.items() if plain({n: value}) == same} - {"patience"} == {
        *REGULARIZERS
    }


@pytest.mark.slow
def test_of_an_unfinished_run_there_is_what_it_had(half, tmp_path, capsys):
    out = tmp_path / "r.html"
    assert cli.main(["report", str(half), "--out", str(out)]) == 0
    page = out.read_text("utf-8")
    assert f"Not finished: {half}; go on with minireg train --resume." in page
    assert "plain, end" in page
    assert "regularized, end" not in page
    nothing = tmp_path / "nothing"
    stop(nothing, 1, KilledError, "--no-report")
    capsys.readouterr()
    error = in_one_line(capsys, ["report", str(nothing)])
    again = f"minireg train --resume {nothing}"
    assert error == f"minireg report: no run has ended in {nothing}; go on: {again}\n"


@pytest.mark.parametrize("what", [n for n in WRONG if "checkpoint" not in n])
def test_a_report_names_what_is_wrong_and_writes_nothing(what, half, tmp_path, capsys):
    spoil, says = WRONG[what]
    spoil(half)
    error = in_one_line(capsys, ["report", str(half), "--out", str(tmp_path / "r.html")])
    assert error.startswith("minireg report: ")
    assert says in error
    assert not (tmp_path / "r.html").exists()


# --- hard conditions --------------------------------------------------------------------------------


def test_two_at_once_on_one_folder(half, whole, capsys):
    pytest.importorskip("fcntl")
    before, other = held(half), RunFolder(half)
    busy = f"minireg train: another minireg is writing to {half}\n"
    assert in_one_line(capsys, ["train", "--resume", str(half), "--no-report"]) == busy
    force = [*QUICK, "--no-report", "--out", str(half), "--force"]
    assert in_one_line(capsys, force) == busy
    assert held(half) == before
    del other
    assert cli.main(["train", "--resume", str(half), "--no-report"]) == 0


def limited(size: int, *command: str) -> subprocess.CompletedProcess:
    """A command that can write files of so many bytes at most."""
    resource = pytest.importorskip("resource")
    return subprocess.run(
        [sys.executable, "-m", "minireg", *command], capture_output=True, text=True, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip


@pytest.mark.slow
def test_a_disk_that_is_full_loses_nothing(whole, tmp_path, capsys):
    folder = tmp_path / "run"
    size = (whole / "run-regularized.safetensors").stat().st_size // 2
    done = limited(size, *QUICK, "--no-report", "--out", str(folder))
    assert done.returncode == 1
    warning, error = done.stderr.splitlines()
    assert re.search(r"checkpoint-regularized.*cannot be written: .*[Ff]ile too large", warning)
    assert "of plain and regularized are in" in error
    assert error.endswith(f"; when there is room, go on with: minireg train --resume {folder}")
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]
    assert timeless_plain(folder) == timeless_plain(whole)
    done = limited(size, "train", "--resume", str(folder), "--no-report")
    assert (done.returncode, done.stderr.count("\n")) == (1, 2)
    assert cli.main(["train", "--resume", str(folder), "--no-report"]) == 0
    assert timeless(folder) == timeless(whole)
    done = limited(size, "report", str(folder))
    assert done.returncode == 1
    assert done.stderr == f"minireg report: cannot write {folder}/report.html: File too large\n"
    assert not (folder / "report.html").exists()


def timeless_plain(folder: Path) -> dict[str, bytes]:
    arrays = mr.load(folder / "run-plain.safetensors")
    return {n: a.tobytes() for n, a in arrays.items()}


@pytest.mark.slow
def test_a_folder_that_cannot_be_written(half, drawn, tmp_path, capsys, monkeypatch):
    def refused(path, mode):
        return False

    monkeypatch.setattr(os, "access", refused)
    before = held(half)
    error = in_one_line(capsys, ["train", "--resume", str(half), "--no-report"])
    assert "cannot write history.json" in error
    assert "read-only" in error
    assert held(half) == before
    folder = tmp_path / "drawn"
    shutil.copytree(drawn, folder)
    error = in_one_line(capsys, ["report", str(folder)])
    assert error.startswith(f"minireg report: cannot write {folder}/report.html: ")
    assert cli.main(["report", str(folder), "--out", str(tmp_path / "elsewhere.html")]) == 0
    assert cli.main(["train", "--resume", str(folder)]) == 0  # nothing is missing
    capsys.readouterr()
    assert "cannot write " in in_one_line(capsys, ["report", str(folder), "--out", str(tmp_path)])
    nowhere = str(tmp_path / "no" / "r.html")
    assert "no folder" in in_one_line(capsys, ["report", str(folder), "--out", nowhere])


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_in_any_encoding_and_forty_columns(encoding, half, drawn, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    folder = half.rename(tmp_path / "λ")
    for command in (["train", "--resume", str(folder)], ["report", str(folder)]):
        raw = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
            assert cli.main(command) == 0
            text = raw.getvalue().decode(encoding)
        assert "written to" in text
        assert "…" not in text.replace("… answered", "")
        if command[0] == "train":
            assert max(map(len, text.splitlines())) <= max(40, len(str(folder)))
    assert capsys.readouterr().err == ""
    assert held(folder) == held(drawn)


@pytest.mark.skipif(os.name == "nt", reason="POSIX descriptors")
@pytest.mark.slow
def test_without_a_terminal_or_a_stdout(half):
    for command in (["train", "--resume", str(half)], ["report", str(half)]):
        done = subprocess.run(
            [sys.executable, "-m", "minireg", *command], stderr=subprocess.PIPE, text=True,
            timeout=120, preexec_fn=lambda: os.close(1), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("package", "command"),
    [("safetensors", "train"), ("safetensors", "report"), ("matplotlib", "report")],
)
def test_what_is_not_installed_is_named_before_anything_is_done(
    package, command, half, monkeypatch, capsys
):
    find, before = train.common.importlib.util.find_spec, held(half)
    monkeypatch.setattr(
        train.common.importlib.util, "find_spec", lambda n: None if n == package else find(n)
    )
    if package == "safetensors":
        monkeypatch.setattr(mr.Run, "load", None)  # nobody asks for what cannot be read
    words = {"train": ["train", "--resume", str(half)], "report": ["report", str(half)]}[command]
    extra = {"safetensors": "io", "matplotlib": "viz"}[package]
    assert f"needs {package}: pip install 'minireg[{extra}]'" in in_one_line(capsys, words)
    assert held(half) == before
