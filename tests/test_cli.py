"""The command line as a user meets it: figures, files, errors, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minireg import checkpoint, cli

QUICK = ["train", "--dataset", "wine", "--hidden", "16", "--epochs", "3", "--no-progress"]


def test_train_writes_what_it_shows(tmp_path, capsys):
    assert cli.main([*QUICK, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for word in (
        "0.weight",
        "data",
        "smoothing",
        "l2",
        "prox",
        "validation accuracy",
        "exactly 0",
    ):
        assert word in shown
    files = {p.name for p in tmp_path.iterdir()}
    assert files == {
        "report.html", "overview.png", "history.json", "weights-plain.npz", "weights-regularized.npz",
    }  # fmt: skip
    record = json.loads((tmp_path / "history.json").read_text())
    assert len(record["runs"]["plain"]["columns"]["validation_loss"]) == 3
    weights = checkpoint.load(tmp_path / "weights-regularized.npz")
    zeros = sum(int((weights[n] == 0).sum()) for n in ("0.weight", "3.weight"))
    assert record["runs"]["regularized"]["columns"]["zeros"][-1] == zeros


def test_train_json_is_one_object_and_repeats_exactly(tmp_path, capsys):
    records = []
    for _ in range(2):
        assert cli.main([*QUICK, "--json", "--no-report", "--out", str(tmp_path)]) == 0
        records.append(json.loads(capsys.readouterr().out))
    for record in records:
        for run in record["runs"].values():
            del run["seconds"]
    assert records[0] == records[1]
    assert records[0]["settings"]["noise"] == 0.2


def test_the_printed_command_gives_the_same_run(tmp_path, capsys):
    cli.main([*QUICK, "--no-report", "--seed", "3", "--l1", "0.001", "--out", str(tmp_path / "a")])
    first = json.loads((tmp_path / "a" / "history.json").read_text())
    words = first["command"].split()[1:]
    cli.main([*words, "--no-report", "--no-progress", "--out", str(tmp_path / "b")])
    second = json.loads((tmp_path / "b" / "history.json").read_text())
    for label in ("plain", "regularized"):
        a, b = (r["runs"][label]["columns"] for r in (first, second))
        assert a["validation_loss"] == b["validation_loss"]
    capsys.readouterr()


def test_regression_has_no_labels_to_smooth_or_flip(tmp_path, capsys):
    args = ["train", "--dataset", "diabetes", "--hidden", "8", "--epochs", "2", "--no-progress"]
    assert cli.main([*args, "--out", str(tmp_path)]) == 0
    assert "validation accuracy" not in capsys.readouterr().out


def test_without_any_regularizer(tmp_path, capsys):
    off = ["--l1", "0", "--l2", "0", "--dropout", "0", "--label-smoothing", "0"]
    assert cli.main([*QUICK, *off, "--json", "--no-report", "--out", str(tmp_path)]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert runs["plain"]["validation_loss"] == runs["regularized"]["validation_loss"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--l2", "-1"], "--l2: must be ≥ 0, got -1"),
        (["--dropout", "1.5"], "--dropout: must be in [0, 1), got 1.5"),
        (["--epochs", "0"], "--epochs: must be ≥ 1, got 0"),
        (["--epochs", "ten"], "--epochs: expected a whole number ≥ 1, got 'ten'"),
        (["--l2", "nan"], "--l2: must be ≥ 0, got nan"),
        (["--dataset", "iris"], "--dataset: invalid choice: 'iris'"),
        (["--lamda", "1"], "unrecognized arguments: --lamda 1"),
        (["--dataset", "diabetes", "--noise", "0.1"], "--noise is about labels, but diabetes"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(flags, says, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", *flags])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert says in error
    assert error.count("\n") == 1


def test_a_diverging_run_says_so(tmp_path, capsys):
    with pytest.warns(RuntimeWarning):
        assert cli.main([*QUICK, "--lr", "1e8", "--no-report", "--out", str(tmp_path)]) == 1
    assert "lower the learning rate" in capsys.readouterr().err


def test_missing_packages_name_the_extra(monkeypatch, capsys):
    find = cli.importlib.util.find_spec
    monkeypatch.setattr(
        cli.importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    assert cli.main(QUICK) == 1
    assert "pip install 'minireg[viz]'" in capsys.readouterr().err


def test_no_gpu_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    def no_gpu(name: str) -> None:
        raise RuntimeError("backend 'cupy': no usable CUDA device")

    monkeypatch.setattr(cli.backend, "get", no_gpu)
    assert cli.main([*QUICK, "--backend", "cupy"]) == 1
    assert "no usable CUDA device" in capsys.readouterr().err


def test_an_unusable_folder_is_said_in_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main([*QUICK, "--out", str(tmp_path / "file" / "run")]) == 1
    assert "cannot make the run folder" in capsys.readouterr().err


def test_help_and_info(capsys):
    assert cli.main([]) == 0
    assert "train" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--help"])
    assert stop.value.code == 0
    assert "examples" in capsys.readouterr().out
    assert cli.main(["info"]) == 0
    assert "backend numpy: ready" in capsys.readouterr().out


def test_the_reference_page_is_current(capsys):
    assert cli.main(["ops"]) == 0
    page = Path(__file__).parents[1] / "docs" / "ops.md"
    assert capsys.readouterr().out == page.read_text(), "run: minireg ops > docs/ops.md"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_cleanly_with_what_it_has(tmp_path):
    args = ["train", "--epochs", "5000", "--hidden", "16", "--dataset", "wine", "--no-progress"]
    process = subprocess.Popen(
        [sys.executable, "-m", "minireg", *args, "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()  # the data line: training begins now
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "written to" in out
    assert "Traceback" not in err
    assert (tmp_path / "history.json").exists()


@pytest.mark.slow
def test_regularizers_win_on_every_seed(tmp_path, capsys):
    """The default run: better validation accuracy and smaller gaps, on five seeds."""
    pairs = []
    for seed in range(5):
        args = ["train", "--seed", str(seed), "--json", "--no-report", "--no-progress"]
        assert cli.main([*args, "--out", str(tmp_path / str(seed))]) == 0
        pairs.append(json.loads(capsys.readouterr().out)["runs"])
    with capsys.disabled():
        print("\nseed  validation accuracy   gap (loss)         accuracy gap")
        for seed, runs in enumerate(pairs):
            plain, other = runs["plain"], runs["regularized"]
            print(f"{seed:4}  " + "   ".join(
                f"{plain[k]:.3f} → {other[k]:.3f}" for k in
                ("validation_accuracy", "gap", "accuracy_gap")))  # fmt: skip
    for runs in pairs:
        plain, other = runs["plain"], runs["regularized"]
        assert other["validation_accuracy"] > plain["validation_accuracy"]
        assert abs(other["gap"]) < abs(plain["gap"])
        assert abs(other["accuracy_gap"]) < abs(plain["accuracy_gap"])
        assert other["validation_loss"] < plain["validation_loss"]
