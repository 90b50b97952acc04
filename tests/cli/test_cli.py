"""The command line as a user meets it: figures, files, errors, Ctrl-C."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest
from support.commands import over

from minireg import backend, checkpoint, datasets
from minireg.check.penalties import CHECKS
from minireg.cli import check, common, folder, info, train, trial
from minireg.cli import main as cli
from minireg.cli.settings import TrainSettings
from minireg.inspect.ledger import Ledger

QUICK = ["train", "--dataset", "wine", "--hidden", "16", "--epochs", "3", "--no-progress"]


@pytest.mark.slow
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
        "report.html", "overview.png", "history.json", "ledger.csv", "weights-plain.npz",
        "weights-regularized.npz", "run-plain.safetensors", "run-regularized.safetensors",
    }  # fmt: skip
    written = shown.partition("written to")[2].replace("\n", "")
    assert all(name in written for name in files)
    record = json.loads((tmp_path / "history.json").read_text())
    assert len(record["runs"]["plain"]["columns"]["validation_loss"]) == 3
    weights = checkpoint.load(tmp_path / "weights-regularized.npz")
    zeros = sum(int((weights[n] == 0).sum()) for n in ("0.weight", "3.weight"))
    assert record["runs"]["regularized"]["columns"]["zeros"][-1] == zeros


def test_train_json_is_one_object_and_repeats_exactly(tmp_path, capsys):
    records = []
    for _ in range(2):
        args = [*QUICK, "--json", "--no-report", "--out", str(tmp_path), "--force"]
        assert cli.main(args) == 0
        records.append(json.loads(capsys.readouterr().out))
    for record in records:
        for run in record["runs"].values():
            del run["seconds"], run["best"]["seconds"]
    assert records[0] == records[1]
    assert records[0]["settings"]["noise"] == 0.2
    assert "ledger" not in records[0]["runs"]["plain"]


def test_json_and_the_record_hold_what_the_headline_compares(tmp_path, capsys):
    """The best epoch, the figures of the test data there, and counts of wrong labels; with the rule."""
    flags = over(QUICK, "--epochs", 8, "--no-report", "--out", tmp_path, "--force")
    assert cli.main([*flags, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    record = json.loads((tmp_path / "history.json").read_text())
    assert shown["rule"] == record["rule"]
    assert "highest validation accuracy" in record["rule"]
    for label, run in shown["runs"].items():
        kept, columns = record["runs"][label], record["runs"][label]["columns"]
        epoch = int(np.argmax(columns["validation_accuracy"])) + 1
        assert run["best_epoch"] == kept["best_epoch"] == run["best"]["epoch"] == epoch
        assert run["best"] == kept["best"]
        for name in ("test_loss", "test_accuracy"):
            assert run["best"][name] == columns[name][epoch - 1]
        for row, at in ((run["best"], epoch), (run, 8)):
            assert row["seconds"] == pytest.approx(sum(columns["seconds"][:at]))
            for part, name in (("wrong", "wrong_labels_learnt"), ("true", "true_labels_given")):
                share = columns[f"{part}_accuracy"][at - 1]
                assert row[name] == pytest.approx(share * run["wrong_labels"])
                assert isinstance(row[name], int)


def test_where_the_defaults_are_judged_by_a_seed_that_chose_them_it_is_said():
    def said(*flags):
        settings = TrainSettings.of(vars(cli.parser().parse_args(["train", *flags])))
        return "tuned on seeds 0–4" in train.caution(settings)

    assert said()
    assert said("--seed", "4", "--no-report", "--out", "runs/a")
    for flags in (["--seed", "5"], ["--l2", "0"], ["--dataset", "wine"], ["--epochs", "61"]):
        assert not said(*flags)


@pytest.mark.slow
def test_the_caution_stands_below_the_comparison_and_below_the_headline(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(train, "caution", lambda settings: "one draw <of> the seed")
    assert cli.main([*QUICK, "--out", str(tmp_path)]) == 0
    assert re.search(
        r"regularized.*one draw <of> the seed\n.*written to", capsys.readouterr().out, re.S
    )
    assert "one draw &lt;of&gt; the seed</p>" in (tmp_path / "report.html").read_text()


def test_ctrl_c_while_the_report_is_drawn_loses_no_figure(tmp_path, capsys, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "report", interrupted)
    assert cli.main([*QUICK, "--out", str(tmp_path)]) == 130
    out, error = capsys.readouterr()
    again = f"minireg train --resume {tmp_path}"
    assert error == f"minireg train: interrupted; go on with: {again}\n"
    assert "without and with regularizers" in out
    assert "history.json, weights-plain.npz" in out.replace("\n", "").replace("  ", "")


# --- the ledger -----------------------------------------------------------------------------------

WAYS = {
    "prox": ([], ["data", "smoothing", "l2", "l1 prox"]),
    "gradient": (["--l1-via", "gradient"], ["data", "smoothing", "l2", "l1"]),
    "clipped adamw": (["--optimizer", "adamw", "--weight-decay", "0.1", "--clip-norm", "0.1"],
                      ["data", "smoothing", "l2", "data clip", "smoothing clip", "l2 clip", "decay",
                       "l1 prox"]),
    "coupled decay": (["--weight-decay", "0.1"], ["data", "smoothing", "l2", "weight_decay", "l1 prox"]),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_ledger_in_json_and_csv(way, tmp_path, capsys):
    flags, entries = WAYS[way]
    assert cli.main(over(QUICK, *flags, "--json", "--no-report", "--out", tmp_path)) == 0
    books = json.loads(capsys.readouterr().out)["runs"]["regularized"]["ledger"]
    assert [row["entry"] for row in books["entries"]] == entries
    assert sum(row["share"] for row in books["entries"]) == pytest.approx(1, abs=1e-3)
    assert 0 <= books["residual"] < 1e-5
    with (tmp_path / "ledger.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    for row in rows:
        for layer in ("", "0/", "3/"):
            shares = [float(v) for k, v in row.items() if re.fullmatch(f"{layer}share/.*", k)]
            assert len(shares) == len(entries)
            assert sum(shares) == pytest.approx(1, abs=1e-3)


def test_the_ledger_table(tmp_path, capsys):
    assert cli.main([*QUICK, "--no-report", "--out", str(tmp_path / "a[b]")]) == 0
    shown = capsys.readouterr().out
    table = shown.partition("who moved the weights ")[2].partition("residual")[0]
    shares = re.findall(r"^ (\w[\w ]*\w) +[\d.]+ +([+-][\d.]+)% +[+-][\d.]+%", table, re.M)
    assert [entry for entry, _ in shares] == ["data", "smoothing", "l2", "l1 prox"]
    assert sum(float(share) for _, share in shares) == pytest.approx(100, abs=0.3)
    assert "a[b]/:history.json" in "".join(shown.split())


@pytest.mark.slow
def test_ctrl_c_with_empty_books(tmp_path, capsys, monkeypatch):
    """Interrupted before an epoch was recorded there is nothing to show of the ledger."""

    def interrupted(self: Ledger, **columns: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "record", interrupted)
    assert cli.main([*QUICK, "--out", str(tmp_path)]) == 130
    shown = capsys.readouterr().out
    assert "interrupted: regularized has 1 finished epochs" in shown
    assert "who moved" not in shown
    assert "ledger.csv" not in shown
    assert not (tmp_path / "ledger.csv").exists()
    assert "Who moved" not in (tmp_path / "report.html").read_text()
    args = [*QUICK, "--json", "--no-report", "--out", str(tmp_path / "again")]
    assert cli.main(args) == 130
    assert "ledger" not in json.loads(capsys.readouterr().out)["runs"]["regularized"]


@pytest.mark.slow
def test_ctrl_c_in_the_second_epoch_keeps_the_books_of_the_first(tmp_path, capsys, monkeypatch):
    record = Ledger.record

    def once(self: Ledger, **columns: float) -> dict[str, float]:
        if self.history:
            raise KeyboardInterrupt
        return record(self, **columns)

    monkeypatch.setattr(Ledger, "record", once)
    assert cli.main([*QUICK, "--out", str(tmp_path)]) == 130
    assert "who moved the weights" in capsys.readouterr().out
    assert len((tmp_path / "ledger.csv").read_text().splitlines()) == 2
    assert "Who moved each layer" in (tmp_path / "report.html").read_text()


# --- check-penalty --------------------------------------------------------------------------------

MODULE = """
from __future__ import annotations
from dataclasses import dataclass
import neighbour
from minireg import penalties

class Right(penalties.L1): pass
class Wrong(penalties.L2):
    def gradient(self, w): return -self.strength * w
class Raises(penalties.L2):
    def gradient(self, w): raise ValueError("out [of] " + 30 * "paper ")
class Refuses(penalties.L2):
    def __init__(self, strength): raise ValueError("not today")
@dataclass(eq=False, repr=False)
class Plain(penalties.Penalty):
    strength: float
    def value(self, w): return self.strength * (w * w).sum()
instance = penalties.ElasticNet(0.1, 0.2)
off = penalties.L1(0.0)
number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A file with penalties that imports its neighbour, and is not in the working directory."""
    (tmp_path / "neighbour.py").write_text("")
    (tmp_path / "right_and_wrong.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("def f(:")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("right_and_wrong", None)
    sys.modules.pop("neighbour", None)


@pytest.mark.parametrize("name", ["Right", "Plain", "instance"])
def test_a_right_penalty_of_a_file(name, module, capsys):
    where = f"{module}/right_and_wrong.py:{name}"
    assert cli.main(["check-penalty", where, "--trials", "2"]) == 0
    shown = capsys.readouterr().out
    assert all(check in shown for check in CHECKS)
    assert "wrong" not in shown


def test_the_penalty_of_the_help_text_is_right(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    text = check.__doc__.partition("in huber.py\n")[2].partition("examples\n")[0]
    (tmp_path / "huber.py").write_text(textwrap.dedent(text))
    args = ["--strength", "0.3", "--trials", "2"]
    assert cli.main(["check-penalty", f"{tmp_path}/huber.py:Huber", *args]) == 0
    assert capsys.readouterr().out.startswith("Huber(0.3)")
    sys.modules.pop("huber", None)


@pytest.mark.parametrize(
    ("args", "head"),
    [
        (["minireg.penalties:GroupLasso"], "GroupLasso(0.5"),
        (["minireg.penalties:PathNorm", "--strength", "0.3"], "PathNorm(0.3"),
        (["minireg.penalties:L1", "--shape", "5"], "L1(0.5)"),
        (["minireg.penalties:SpectralNorm", "--shape", "2", "3", "2"], "SpectralNorm(0.5)"),
    ],
)
def test_penalties_of_a_module(args, head, capsys):
    assert cli.main(["check-penalty", *args, "--trials", "2"]) == 0
    assert capsys.readouterr().out.startswith(head)


def test_shape_and_trials_reach_the_battery(module, capsys, monkeypatch):
    asked = []
    battery = check.check_penalty
    monkeypatch.setattr(
        check, "check_penalty", lambda *a, **kw: asked.append((a[1:], kw)) or battery(*a, **kw)
    )
    where = f"{module}/right_and_wrong.py:instance"
    cli.main(["check-penalty", where, "--shape", "2", "5", "--trials", "3"])
    cli.main(["check-penalty", where, "--trials", "1"])
    assert asked == [(((2, 5),), {"trials": 3}), ((None,), {"trials": 1})]
    capsys.readouterr()


def test_a_wrong_penalty_is_exit_code_1_and_told_apart(module, capsys):
    where = f"{module}/right_and_wrong.py:Wrong"
    assert cli.main(["check-penalty", where, "--trials", "2"]) == 1
    shown = capsys.readouterr().out
    rows = (line.strip().split("  ") for line in shown.splitlines())
    verdicts = {
        check: next(filter(None, cells)).strip() for check, *cells in rows if check in CHECKS
    }
    assert set(verdicts) == set(CHECKS)
    assert verdicts["gradient = autograd"] == verdicts["effect: SGD via gradient"] == "wrong"
    assert verdicts["prox: firm"] == verdicts["value"] == "ok"
    assert (
        f"wrong: in {[*verdicts.values()].count('wrong')} of {len(verdicts)} checks what" in shown
    )


@pytest.mark.parametrize(
    ("where", "code", "says"),
    [
        ("minireg.penalties", 2, "expected WHERE:NAME, such as minireg.penalties:L2 or my.py:Huber"),
        ("minireg.penalties:", 2, "expected WHERE:NAME"),
        (":L1", 2, "expected WHERE:NAME"),
        ("no_such_module:L1", 1, "No module named 'no_such_module'"),
        ("no_such_file.py:L1", 1, "cannot load 'no_such_file.py': FileNotFoundError"),
        ("{}/broken.py:f", 1, "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("minireg.penalties:L3", 1, "minireg.penalties has no 'L3'"),
        ("{}/right_and_wrong.py:number", 1, "is no penalty but 3"),
        ("{}/right_and_wrong.py:off", 1, "L1(0): λ‖w‖₁ is 0 wherever it was tried"),
        ("{}/right_and_wrong.py:Refuses", 1, "Refuses(0.5) cannot be made: not today; make an instance"),
        ("minireg.penalties:ElasticNet", 1, "missing 1 required positional argument: 'l2'"),
        ("minireg.penalties:L1 --strength 0", 2, "--strength: must be ≥ 1e-12, got 0"),
        ("minireg.penalties:L1 --shape 0", 2, "--shape: must be ≥ 1, got 0"),
        ("minireg.penalties:L1 --trials 0", 2, "--trials: must be ≥ 1, got 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_said_in_one_line(where, code, says, module, capsys):
    try:
        found = cli.main(["check-penalty", *where.format(module).split()])
    except SystemExit as stop:
        found = stop.code
    error = capsys.readouterr().err
    assert found == code
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("width", [50, 60, 80, 99, 100, 120, 200])
def test_the_table_fits_the_terminal_and_never_cuts_what_is_wrong(
    width, module, capsys, monkeypatch
):
    console = pytest.importorskip("rich.console").Console
    monkeypatch.setattr(common, "console", lambda: console(force_terminal=True, width=width))
    where = f"{module}/right_and_wrong.py:Raises"
    assert cli.main(["check-penalty", where, "--trials", "1"]) == 1
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= width
    words = shown.split()
    assert words.count("paper") == 30 * words.count("[of]")
    assert words.count("[of]") == len(re.findall(r"\bwrong\b", shown)) - 1 > 5  # and the count
    assert re.search(r"\d+ ok, \d+ wrong, \d+ n/a", shown)
    assert ("what was compared" in shown) == (width >= 100)
    if width >= 80:
        assert all(check in shown for check in CHECKS)
    assert ("…" in shown) == (width == 100)


def test_piped_or_without_rich_the_report_is_plain_text(module, capsys, monkeypatch):
    args = ["check-penalty", f"{module}/right_and_wrong.py:instance", "--trials", "1"]
    assert cli.main(args) == 0
    piped = capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr(importlib.util, "find_spec", _without_rich(importlib.util.find_spec))
    assert cli.main(args) == 0
    assert capsys.readouterr().out == piped
    assert "ok: what was measured ≤ its limit" in piped


def _without_rich(find):
    return lambda name: None if name == "rich" else find(name)


# --- wrong flags, missing things ------------------------------------------------------------------


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


@pytest.mark.slow
def test_regression_has_no_labels_to_smooth_or_flip(tmp_path, capsys):
    args = ["train", "--dataset", "diabetes", "--hidden", "8", "--epochs", "2", "--no-progress"]
    assert cli.main([*args, "--out", str(tmp_path)]) == 0
    rows = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert any(row.startswith("validation loss") for row in rows)
    assert not any(row.startswith("validation accuracy") for row in rows)


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
        (["--lr", "inf"], "--lr: must be finite, got inf"),
        (
            ["--optimiser", "adam"],
            "minireg train: unrecognized arguments: --optimiser adam; did you "
            "mean --optimizer? (see minireg train --help)",
        ),
        (["--out", ""], "--out: expected a folder, got ''"),
        (
            ["--optimizer", "adam", "--momentum", "0.5"],
            "--momentum is of sgd and rmsprop, and has no effect on adam",
        ),
        (
            ["--norm", "batch", "--batch-size", "1"],
            "--norm batch needs 2 rows or more in a batch, got --batch-size 1",
        ),
        (["--dataset", "tulips"], "--dataset: invalid choice: 'tulips'"),
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


# --- nothing is lost ------------------------------------------------------------------------------

ONCE = [
    "train",
    "--dataset",
    "wine",
    "--hidden",
    "8",
    "--epochs",
    "1",
    "--no-progress",
    "--no-report",
]


def in_one_line(capsys, args: list[str], code: int = 1) -> str:
    """Run a command that fails: no traceback, one line on stderr, this exit code."""
    assert cli.main(args) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_two_runs_of_the_same_second_get_two_folders(tmp_path, capsys, monkeypatch):
    """Reliability 15."""

    class Stopped(folder.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 29, 13, 9, 1)

    monkeypatch.setattr(folder, "datetime", Stopped)
    monkeypatch.chdir(tmp_path)
    for seed in "123":
        assert cli.main([*ONCE, "--seed", seed]) == 0
    capsys.readouterr()
    found = {f.name: json.loads((f / "history.json").read_text())["settings"]["seed"]
             for f in (tmp_path / "runs").iterdir()}  # fmt: skip
    stem = "wine-20261129-130901"
    assert found == {stem: 1, f"{stem}-2": 2, f"{stem}-3": 3}


def test_a_folder_that_is_not_empty_is_only_written_with_force(tmp_path, capsys):
    (tmp_path / "report.html").write_text("of an earlier run")
    (tmp_path / "notes.txt").write_text("mine")
    kept = {p.name: p.read_text() for p in tmp_path.iterdir()}
    error = in_one_line(capsys, [*ONCE, "--out", str(tmp_path)])
    assert "is not empty; choose another --out, or add --force" in error
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == kept
    assert cli.main([*ONCE, "--out", str(tmp_path), "--force"]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "notes.txt", "history.json", "ledger.csv", "weights-plain.npz", "weights-regularized.npz",
        "run-plain.safetensors", "run-regularized.safetensors",
    }  # fmt: skip
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_two_runs_into_the_same_new_folder_are_not_mixed(tmp_path, capsys, monkeypatch):
    load = datasets.load

    def late(*args, **options):  # another run begins while this one loads its data
        monkeypatch.setattr(datasets, "load", load)
        assert cli.main([*ONCE, "--seed", "7", "--out", str(tmp_path / "a")]) == 0
        return load(*args, **options)

    monkeypatch.setattr(datasets, "load", late)
    assert "is not empty" in in_one_line(capsys, [*ONCE, "--out", str(tmp_path / "a")])
    assert json.loads((tmp_path / "a" / "history.json").read_text())["settings"]["seed"] == 7


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            ["--lr", "1e12", "--hidden", "16"],
            r"run failed: the training loss is \w+ after epoch \d: it diverges; lower --lr 1e\+12\n",
        ),
        (
            ["--penalty", "SpectralNorm(1e30)", "--lr", "0.1", "--l1", "1e-5"],
            r"regularized run failed: .*: it diverges; lower --lr 0.1 or --l1 1e-05 "
            r"or --penalty SpectralNorm\(1e30\); ",
        ),
        (["--hidden", "1000000000000"], "the plain run failed: Unable to allocate"),
    ],
)
def test_a_run_that_fails_says_which_and_why_in_one_line(flags, says, tmp_path, capsys):
    """Reliability 14: no traceback, no warning for each op."""
    error = in_one_line(capsys, over(ONCE, *flags, "--out", tmp_path))
    assert re.search(says, error)
    ended = json.loads((tmp_path / "history.json").read_text())["runs"]
    assert [*ended] == ["plain"] * ("regularized" in error)


def test_what_fails_before_the_first_run_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    def lost(name):
        raise RuntimeError("the device is lost")

    monkeypatch.setattr(backend, "use_backend", lost)
    error = in_one_line(capsys, [*ONCE, "--out", str(tmp_path)])
    assert "the plain run failed: the device is lost" in error


def test_the_finished_run_is_kept_when_the_second_diverges(tmp_path, capsys):
    flags = ["--l2", "1e6", "--epochs", "4"]
    assert cli.main(over(QUICK, *flags, "--no-report", "--out", tmp_path, "--json")) == 1
    out, error = capsys.readouterr()
    assert re.match(r"minireg train: the regularized run failed: .* after epoch \d", error)
    assert error.count("\n") == 1
    for name in ("history.json", "weights-plain.npz"):
        assert name in error
        assert (tmp_path / name).exists()
    record = json.loads((tmp_path / "history.json").read_text())
    assert len(record["runs"]["plain"]["columns"]["epoch"]) == 4
    assert list(json.loads(out)["runs"]) == ["plain"]


def test_the_finished_run_survives_whatever_kills_the_second(tmp_path, monkeypatch):
    train_one = train.train_one

    class Killed(BaseException):
        pass

    def once(settings, data, label, *args):
        if label == "regularized":
            raise Killed
        return train_one(settings, data, label, *args)

    monkeypatch.setattr(train, "train_one", once)
    with pytest.raises(Killed):
        cli.main([*ONCE, "--json", "--out", str(tmp_path)])
    checkpoints = {"checkpoint-plain.safetensors", "checkpoint-plain.previous.safetensors"}
    files = {"history.json", "weights-plain.npz", "run-plain.safetensors"} | checkpoints
    assert {p.name for p in tmp_path.iterdir()} == files
    assert list(json.loads((tmp_path / "history.json").read_text())["runs"]) == ["plain"]


def test_a_figure_that_is_not_finite_is_null(tmp_path, capsys, monkeypatch):
    """Reliability 23: NaN is no JSON."""
    train_one = train.train_one

    def lost(*args):
        run = train_one(*args)
        run.history.rows[-1]["validation_loss"] = float("nan")
        run.history.rows[-1]["gap"] = float("inf")
        return run

    monkeypatch.setattr(train, "train_one", lost)
    assert cli.main([*ONCE, "--json", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for text in (out, (tmp_path / "history.json").read_text()):
        record = json.loads(text, parse_constant=pytest.fail)
    assert record["runs"]["plain"]["columns"]["validation_loss"][-1] is None
    assert json.loads(out)["runs"]["plain"]["gap"] is None


@pytest.mark.parametrize("name", ["weights-plain.npz", "ledger.csv"])
def test_what_cannot_be_written_does_not_lose_the_rest(name, tmp_path, capsys):
    """Reliability 14: a name that is a folder; the figures are shown, the other files written."""
    (tmp_path / name).mkdir()
    assert cli.main([*ONCE, "--out", str(tmp_path), "--force"]) == 1
    out, error = capsys.readouterr()
    assert error.count("\n") == 1
    assert f"cannot write {name}: Is a directory; history.json, " in error
    assert f"of plain and regularized are in {tmp_path}" in error
    assert "without and with regularizers" in out
    files = {
        "history.json", "weights-plain.npz", "weights-regularized.npz", "ledger.csv",
        "run-plain.safetensors", "run-regularized.safetensors",
    }  # fmt: skip
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == files - {name}


def test_a_folder_that_cannot_be_written_is_said_before_the_training(tmp_path, capsys, monkeypatch):
    (tmp_path / "history.json").mkdir()
    monkeypatch.setattr(train, "train_one", None)
    error = in_one_line(capsys, [*ONCE, "--out", str(tmp_path), "--force"])
    assert error == "minireg train: cannot write history.json: Is a directory\n"


@pytest.mark.slow
def test_a_full_disk_is_said_in_one_line_and_leaves_no_half_file(tmp_path, capsys, monkeypatch):
    """Reliability 14."""
    write = Path.write_text

    def full(self, text, *args, **options):
        if "<!doctype" in text:
            write(self, text[:1000], *args, **options)
            raise OSError(28, "No space left on device")
        return write(self, text, *args, **options)

    monkeypatch.setattr(Path, "write_text", full)
    error = in_one_line(capsys, [*QUICK, "--out", str(tmp_path)])
    assert (
        "cannot write report.html: No space left on device; history.json, weights-plain.npz"
        in error
    )
    assert "report.html" not in {p.name for p in tmp_path.iterdir()}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


COMMANDS = {
    "help": ["--help"], "train help": ["train", "--help"], "claims help": ["claims", "--help"],
    "compare help": ["compare", "--help"],
    "lesson help": ["lesson", "--help"], "site help": ["site", "--help"],
    "check help": ["check-penalty", "--help"], "ops": ["ops"], "info": ["info"],
    "lesson": ["lesson"], "claims": ["claims", "--id", "C39", "C23"],
    "explain": ["claims", "--id", "C39", "--explain"], "errata": ["claims", "--id", "C39", "--errata"],
    "check": ["check-penalty", "minireg.penalties:L1", "--trials", "1"], "train": ONCE,
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "gbk"])
def test_every_command_speaks_every_encoding(encoding, tmp_path, monkeypatch, capsys):
    """Reliability 10: text that the encoding lacks is replaced, never a traceback."""
    monkeypatch.chdir(tmp_path)
    for name, command in COMMANDS.items():
        raw = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
            try:
                code = cli.main(command)
            except SystemExit as stop:
                code = stop.code
            text = raw.getvalue().decode(encoding)
        assert code == 0, name
        assert text, name
        if name == "train":
            assert not re.search(r"\s\?\d", text), "a minus was replaced"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("encoding", "formula"),
    [
        ("ascii", "1/2 lambda||w||^2 on the weights"),
        ("cp1252", "½lambda||w||² on the weights"),
        ("utf-8", "½λ‖w‖² on the weights"),
    ],
)
def test_a_sign_that_the_encoding_lacks_is_a_word(encoding, formula, monkeypatch):
    raw = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        with pytest.raises(SystemExit):
            cli.main(["train", "--help"])
        text = raw.getvalue().decode(encoding)
    assert formula in text
    assert "?" not in text
    assert not re.search("[λ‖]", text) or encoding == "utf-8"


@pytest.mark.parametrize("command", ["train", "sweep", "compare", "report", "check-penalty"])
def test_help_lists_the_exit_codes(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    _, _, codes = capsys.readouterr().out.partition("\nexit code\n")
    assert re.search(r"\b0 .*\b1 .*\b2 ", codes, re.S)


@pytest.mark.parametrize(("typed", "meant"), [("check", "check-penalty"), ("compar", "compare")])
def test_a_command_that_does_not_exist_is_told_of_the_one_that_does(typed, meant, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main([typed])
    error = capsys.readouterr().err
    assert error.startswith(f"minireg: there is no command {typed!r}; did you mean {meant}?")


def test_the_rule_by_which_a_task_is_inferred_stands_in_the_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "default: texts and bools are labels, floats are not, integers are if there are at" in said
    )


def test_json_is_whole_in_any_encoding(monkeypatch, capsys):
    raw = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
        cli.main(["claims", "--id", "C23", "--json"])
        text = raw.getvalue()
    cli.main(["claims", "--id", "C23", "--json"])
    one, other = (json.loads(t)[0] for t in (text, capsys.readouterr().out))
    assert one["statement"] == other["statement"]
    assert "λ" in one["statement"]


@pytest.mark.parametrize("name", ["train", "claims"])
def test_forty_columns_keep_every_figure_whole(name, tmp_path, monkeypatch, capsys):
    """Reliability 23: figures were cut to "1.07…". Columns go by name instead."""
    monkeypatch.chdir(tmp_path)
    command = [*QUICK, "--no-report"] if name == "train" else COMMANDS[name]
    shown = {}
    for width in (40, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        assert cli.main([*command, *(["--out", str(width)] * (name == "train"))]) == 0
        shown[width] = capsys.readouterr().out
        assert max(map(len, shown[width].splitlines())) <= width
    assert "too narrow for: " in shown[40]
    assert "too narrow for: " not in shown[200]
    assert "…" not in shown[40].replace("… answered", "")
    if name == "train":
        columns = r"^ (\w[\w ]*?) +[\d.]+ +([+-][\d.]+%) +([+-][\d.]+%) *$"
        figures = {width: re.findall(columns, text, re.M) for width, text in shown.items()}
        assert figures[40] == figures[200]
        assert len(figures[40]) == 4
        for gone in ("shape", "via"):
            assert re.search(f"too narrow for: [^\n]*{gone}", shown[40])


def run(*command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "minireg", *command], text=True,
                          stderr=subprocess.PIPE, timeout=60, **options)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_went_away_and_a_full_device():
    read, write = os.pipe()
    os.close(read)
    done = run("ops", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
    with open("/dev/full", "w") as full:
        done = run("info", stdout=full)
        assert (done.returncode, done.stderr) == (
            1, "minireg info: output: No space left on device\n",
        )  # fmt: skip
        for command in ([], ["--version"], ["train", "--help"]):  # which argparse prints
            done = run(*command, stdout=full)
            assert (done.returncode, done.stderr) == (
                1, "minireg: output: No space left on device\n",
            )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="POSIX environment")
def test_without_a_home_or_a_stdout(tmp_path):
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "MPLCONFIGDIR")}
    done = run(*ONCE, "--out", str(tmp_path / "a"), env=env, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "a" / "history.json").read_text())["runs"]["regularized"]


@pytest.mark.parametrize(
    "command", [ONCE, ["claims", "--id", "C23"], ["check-penalty", "minireg.penalties:L1"]]
)
def test_a_wrong_default_backend_is_said_before_anything_is_computed(
    command, tmp_path, capsys, monkeypatch
):
    """Reliability 14: MINIREG_BACKEND=junk ended in a traceback after the training."""
    monkeypatch.setattr(backend, "_default", "junk")
    monkeypatch.chdir(tmp_path)
    assert "got 'junk', expected one of ['cupy', 'numpy']" in in_one_line(capsys, command)
    assert not [*tmp_path.iterdir()]


def test_info_names_a_default_backend_that_cannot_be_used(monkeypatch, capsys):
    monkeypatch.setattr(backend, "_default", "junk")
    assert cli.main(["info"]) == 0
    assert "default backend: MINIREG_BACKEND is not usable" in (out := capsys.readouterr().out)
    assert "got 'junk', expected one of ['cupy', 'numpy']" in out


def test_an_empty_variable_chooses_no_backend():
    done = run("info", stdout=subprocess.PIPE, env={**os.environ, "MINIREG_BACKEND": ""})
    assert "default backend: numpy\n" in done.stdout


def test_missing_packages_name_the_extra(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    assert cli.main(QUICK) == 1
    assert "pip install 'minireg[viz]'" in capsys.readouterr().err


def test_no_gpu_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    def no_gpu(name: str) -> None:
        raise RuntimeError("backend 'cupy': no usable CUDA device")

    monkeypatch.setattr(backend, "get", no_gpu)
    for command in (QUICK, ["claims"]):
        assert cli.main([*command, "--backend", "cupy"]) == 1
        assert capsys.readouterr().err.endswith(": backend 'cupy': no usable CUDA device\n")


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
    shown = capsys.readouterr().out
    assert "backend numpy: ready" in shown
    for extra, packages in info.EXTRAS.items():
        for package in packages.split():
            assert re.search(
                rf"^{package}: (installed|pip install minireg\[{extra}\])$", shown, re.M
            )


def test_every_extra_is_among_what_info_lists():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    needs = project["project"]["optional-dependencies"]
    imported = {"markdown_it": "markdown-it-py", "sklearn": "scikit-learn"}
    listed = [imported.get(n, n) for n in " ".join(info.EXTRAS.values()).split()]
    assert info.EXTRAS.keys() == needs.keys() - {"cuda12", "cuda13", "all", "test"}
    assert {*listed} == {
        re.match("[a-z0-9-]+", n)[0] for extra in info.EXTRAS for n in needs[extra]
    }


@pytest.mark.parametrize(
    "command",
    [
        "train",
        "report",
        "sweep",
        "compare",
        "check-penalty",
        "claims",
        "lesson",
        "play",
        "site",
        "ops",
        "info",
    ],
)
def test_every_command_describes_itself(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    usage, described, *_ = capsys.readouterr().out.split("\n\n")
    assert usage.startswith("usage")
    assert len(described.split()) >= 6


def test_every_flag_has_its_help():
    """The helps of most stand in docstrings."""
    (commands,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    flags = [(n, a.dest, a.help) for n, p in commands.choices.items() for a in p._actions]
    assert len(flags) > 100
    assert not [flag for flag in flags if len(flag[2] or "") < 6]
    assert not [flag for flag in flags if re.search(r"[{}]", re.sub(r"\{1e-4.*?\}", "", flag[2]))]


def test_the_reference_page_is_current(capsys):
    assert cli.main(["ops"]) == 0
    page = Path(__file__).parents[2] / "docs" / "ops.md"
    assert capsys.readouterr().out == page.read_text(), "run: minireg ops > docs/ops.md"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_cleanly_with_what_it_has(tmp_path):
    args = ["train", "--epochs", "5000", "--hidden", "16", "--dataset", "wine", "--no-progress"]
    process = subprocess.Popen(
        [sys.executable, "-m", "minireg", *args, "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background
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
def test_regularizers_win_on_seeds_that_chose_nothing(tmp_path, capsys, monkeypatch):
    """The defaults of ``minireg train`` were tuned on seeds 0–4 and are judged on seeds 5–9. All
    figures are of test data; plain's best epoch is chosen by validation data.
    """
    # the ledger watches and changes nothing but rounding; without it this takes half the time
    monkeypatch.setattr(trial, "Ledger", lambda *args, **options: None)
    head = ("accuracy", "loss", "by heart", "true label")
    lines = [f"{'':4}{'plain, end':>41}{'plain, best':>41}{'regularized, end':>41}",
             "seed" + 3 * f"{head[0]:>12}{head[1]:>7}{head[2]:>10}{head[3]:>12}"]  # fmt: skip

    def line(name: object, figures: np.ndarray) -> str:
        return f"{name!s:4}" + "".join(
            f"{a:12.1%}{b:7.3f}{c:10.1f}{d:12.1f}" for a, b, c, d in figures
        )

    for group in (range(5), range(5, 10)):
        found = []
        for seed in group:
            folder = tmp_path / str(seed)
            args = [
                "train",
                "--seed",
                str(seed),
                "--no-report",
                "--no-progress",
                "--out",
                str(folder),
            ]
            assert cli.main(args) == 0
            runs = json.loads((folder / "history.json").read_text())["runs"]
            plain, other = (runs[label]["columns"] for label in train.LABELS)
            best = np.argmax(plain["validation_accuracy"])
            found.append([
                [run["test_accuracy"][epoch], run["test_loss"][epoch],
                 252 * run["wrong_accuracy"][epoch], 252 * run["true_accuracy"][epoch]]
                for run, epoch in ((plain, -1), (plain, best), (other, -1))
            ])  # fmt: skip
            lines.append(line(seed, found[-1]))
            (end, _, heart, true), _, (own, _, kept, right) = found[-1]
            assert own > end + 0.05
            assert heart == 252 > 5 * kept
            assert true == 0 < 200 < right
        means = np.mean(found, axis=0)
        lines.append(line("mean", means) + "\n")
        assert means[2, 0] > means[1, 0]
    capsys.readouterr()
    print("\n" + "\n".join(lines))  # pytest -rP shows it
