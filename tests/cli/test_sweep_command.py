"""``minireg sweep``: grids, ablations, and what is left of them when something comes between."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time

import numpy as np
import pytest
from support.commands import over

import minireg as mr
from minireg.cli import main as cli
from minireg.cli import sweep as command
from minireg.cli.common import MissingError
from minireg.cli.folder import RunFolder
from minireg.cli.settings import TrainSettings
from minireg.cli.sweep import ablated, figure_names, regularizers, trained
from minireg.cli.trial import prepared, train_one

SMALL = ["sweep", "--dataset", "wine", "--hidden", "4", "--epochs", "2"]
GRID = ["--l2", "0.001", "0.1", "--seeds", "2"]
OFF = ["--l2", "0", "--l1", "0", "--dropout", "0", "--label-smoothing", "0"]


def run(*args, code=0):
    """What the command says on stdout and stderr."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        assert cli.main(over(SMALL, *args)) == code
    return out.getvalue(), error.getvalue()


def refused(*args, code=1):
    """The one line of a command that trains nothing."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        if code == 2:
            with pytest.raises(SystemExit, match="2"):
                cli.main(over(SMALL, *args))
        else:
            assert cli.main(over(SMALL, *args)) == code
    assert out.getvalue() == ""
    said = error.getvalue()
    assert said.startswith("minireg sweep: ")
    assert said.count("\n") == 1
    return said


def rows(folder):
    return mr.Sweep.load(folder / "sweep.sqlite").rows


def interrupting(monkeypatch, after):
    """Ctrl-C comes in the training after so many."""
    left = iter(range(after))

    def interrupted(*args, **options):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return train_one(*args, **options)

    monkeypatch.setattr(command, "train_one", interrupted)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep, and what it said."""
    folder = tmp_path_factory.mktemp("swept") / "out"
    return folder, run(*GRID, "--out", folder)[0]


@pytest.fixture(scope="module")
def ablation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation") / "out"
    run("--ablate", "--seeds", "3", "--epochs", "6", "--out", folder)
    return folder


# --- trials -------------------------------------------------------------------------------------


def test_a_trial_is_the_regularized_training_and_the_validation_half_chooses_its_epoch():
    given = {"dataset": "wine", "hidden": [4], "epochs": 6}
    figures = trained(given, None, seed=3, l2=0.1)
    found = train_one(*prepared(TrainSettings(**given, seed=3, l2=0.1)), "regularized", False)
    assert [*sorted(figures)] == [*sorted(figure_names("classification"))]
    accuracies = found.history["validation_accuracy"]
    best = found.history.rows[accuracies.index(max(accuracies))]
    for name in ("train_loss", "validation_loss", "test_accuracy", "zeros"):
        assert figures[name] == pytest.approx(found.last[name])  # a ledger rounds otherwise
        assert figures[f"best_{name}"] == pytest.approx(best[name])
    assert (figures["best_epoch"], figures["epochs_trained"]) == (best["epoch"], 6)
    counts = found.figures(found.last)
    assert figures["wrong_labels_learnt"] == counts["wrong_labels_learnt"]


@pytest.mark.parametrize("more", [{"dataset": "diabetes"}, {"dataset": "wine", "noise": 0.0}])
def test_every_kind_of_data_has_its_figures(more):
    figures = trained({"hidden": [4], "epochs": 1, **more}, None, seed=0, patience=1)
    task = "regression" if more["dataset"] == "diabetes" else "classification"
    assert [*figures] == figure_names(task)
    assert all(map(np.isfinite, figures.values()))


def test_blas_has_one_thread_while_a_trial_runs_wherever_that_is(monkeypatch):
    pools = pytest.importorskip("threadpoolctl")
    seen = []

    def looking(*args, **options):
        seen.extend(pool["num_threads"] for pool in pools.threadpool_info())
        return train_one(*args, **options)

    monkeypatch.setattr(command, "train_one", looking)
    with pools.threadpool_limits(2):
        trained({"dataset": "wine", "hidden": [4], "epochs": 1}, None, seed=0)
    assert seen
    assert {*seen} == {1}


@pytest.mark.skipif(os.name == "nt", reason="pipes")
@pytest.mark.parametrize("lr", ["0.01", "1e30"])
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_went_away_ends_no_sweep_and_hides_no_failure(lr, buffered, tmp_path):
    """It was exit code 0, and nothing was computed."""
    read, write = os.pipe()
    os.close(read)
    grid = ["--lr", "0.02", lr, "--seeds", "1", "--out", str(tmp_path)]
    env = os.environ | {"PYTHONUNBUFFERED": buffered}
    command = [sys.executable, "-m", "minireg", *over(SMALL, *grid)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, env=env)
    os.close(write)
    failed = f"minireg sweep: 1 trial failed; 1 of 2 trials are in {tmp_path}\n" * (lr == "1e30")
    assert (done.returncode, done.stderr) == (bool(failed), failed)
    assert len(rows(tmp_path)) == 2 - bool(failed)


def test_a_class_that_is_wholly_held_out_is_said_before_the_first_trial(tmp_path, monkeypatch):
    """Once for all seeds, in the words of the flags; it failed for ever, trial by trial."""
    (file := tmp_path / "rare.csv").write_text(
        "a,y\n" + "".join(f"{i},{'rare' if i == 59 else 'yn'[i % 2]}\n" for i in range(60))
    )
    own = ["sweep", "--data", str(file), "--target", "y", "--hidden", "2", "--epochs", "1"]
    lost = []
    for seed in range(12):
        try:
            prepared(TrainSettings(data=str(file), target="y", seed=seed))
        except MissingError:
            lost.append(seed)
    assert 0 < len(lost) < 12
    first = next(seed for seed in range(12) if seed not in lost)
    monkeypatch.setattr(command, "train_one", pytest.fail)
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        more = ["--seed", str(first), "--seeds", str(12 - first), "--l2", "0", "1"]
        assert cli.main([*own, *more, "--out", str(tmp_path / "out")]) == 1
    listed = ", ".join(str(seed) for seed in lost if seed > first)
    assert f"seed {listed}: rare.csv: no training row is of class 'rare'" in error.getvalue()
    assert "choose other rows, by --validation or --seed" in error.getvalue()
    assert error.getvalue().count("\n") == error.getvalue().count("no training row") == 1
    assert not (tmp_path / "out").exists()


def test_data_are_read_once_for_each_seed(tmp_path, monkeypatch):
    seen = []
    original = command.read
    monkeypatch.setattr(command, "read", lambda s: seen.append(s.seed) or original(s))
    run("--l2", "1", "2", "3", "--seeds", "2", "--seed", "7", "--out", tmp_path)
    assert seen == [7, 8]


# --- a grid -------------------------------------------------------------------------------------


def test_what_is_said_is_what_compare_says(swept, capsys):
    folder, said = swept
    assert "l2: 0.001, 0.1\n2 points, 2 seeds: 4 trials\n" in said
    assert cli.main(["compare", str(folder)]) == 0
    assert said.endswith("\n\n" + capsys.readouterr().out)
    assert [(row["l2"], row["seed"]) for row in rows(folder)] == [
        *itertools.product([0.001, 0.1], [0, 1])
    ]


def test_json_is_strict_and_says_the_same(swept, capsys):
    folder, _ = swept
    text, _ = run(*GRID, "--out", folder, "--json")
    found = json.loads(text, parse_constant=pytest.fail)
    assert found["trials"] == {"planned": 4, "there": 4, "done": 4}
    assert cli.main(["compare", str(folder), "--json"]) == 0
    assert found["compared"] == json.loads(capsys.readouterr().out)["compared"]
    assert found["compared"][0]["best"]["l2"] in (0.001, 0.1)
    assert found["seeds"] == [0, 1]
    assert (found["settings"]["dataset"], found["settings"]["epochs"]) == ("wine", 2)
    assert not {"l2", "seed"} & found["settings"].keys()  # which the points have


def test_seeds_into_the_same_store_are_compared_when_all_points_have_them(tmp_path):
    """A worse λ was the best of those with fewer seeds, of which one was easy."""
    run("--l2", "0", "1", "--seeds", "2", "--out", tmp_path)
    said, _ = run("--l2", "0", "0.5", "--seeds", "1", "--out", tmp_path)
    why = "none is best until all points have the same seeds; there are 0, 1 at l2=0.0; 0, 1 at"
    assert why in " ".join(said.split())
    assert "best:" not in said
    said, _ = run("--l2", "0", "0.5", "--seeds", "2", "--out", tmp_path)
    assert "best: l2=" in said


def test_only_what_is_missing_is_computed(swept, tmp_path, monkeypatch):
    folder, _ = swept
    run(*GRID[:3], "--l1", "0.01", "--seeds", "1", "--out", tmp_path)
    counted = []
    original = command.train_one
    monkeypatch.setattr(
        command, "train_one", lambda *a, **o: counted.append(1) or original(*a, **o)
    )
    said, _ = run(*GRID[:3], "--l1", "0.01", "--seeds", "3", "--out", tmp_path)
    assert "2 of 6 trials were there" in said
    assert len(counted) == 4
    said, _ = run(*GRID, "--out", folder)
    assert "4 of 4 trials were there" in said
    assert len(counted) == 4


def test_interrupted_and_run_again_the_table_is_the_same(swept, tmp_path, monkeypatch):
    folder, whole = swept
    with monkeypatch.context() as patch:
        interrupting(patch, 3)
        said, error = run(*GRID, "--out", tmp_path, code=130)
    assert "missing: l2=0.1, seed 1" in said
    assert (
        f"3 of 4 trials are in {tmp_path}; the same command with --out {tmp_path} computes" in error
    )
    again, _ = run(*GRID, "--out", tmp_path)
    assert "3 of 4 trials were there" in again
    assert rows(tmp_path) == rows(folder)
    table = whole[whole.index("validation_loss") :]
    assert again.endswith(table)


def test_interrupted_before_the_first_trial_nothing_is_shown(tmp_path, monkeypatch):
    interrupting(monkeypatch, 0)
    said, error = run(*GRID, "--out", tmp_path, code=130)
    assert said.endswith("4 trials\n\n")
    assert "interrupted; 0 of 4 trials are in" in error


def test_a_halving_that_was_interrupted_early_says_what_there_is(tmp_path, monkeypatch):
    interrupting(monkeypatch, 3)
    grid = ["--l2", *map(str, (1e-4, 1e-3, 1e-2)), "--seeds", "1", "--epochs", "9", "--halving"]
    said, error = run(*grid, "--out", tmp_path, code=130)
    assert "halving has not come to a full training; there are: 3 runs (budgets 3)" in said
    assert "mean" not in said
    assert "interrupted; 3 of 4 trials are in" in error


def test_failed_trials_are_listed_and_the_table_shown(tmp_path):
    grid = ["--lr", "0.01", "1e30", "--seeds", "1"]
    said, error = run(*grid, "--out", tmp_path / "some", code=1)
    assert "failed: lr=1e+30, seed 0: FloatingPointError" in said
    assert "best: lr=0.01" in said
    assert error == f"minireg sweep: 1 trial failed; 1 of 2 trials are in {tmp_path / 'some'}\n"
    said, error = run("--lr", "1e30", "--seeds", "2", "--out", tmp_path / "all", code=1)
    assert "2 trials failed, the first at l2=0.001, seed 0: FloatingPointError: the train" in error
    assert re.search(r": it diverges; lower --lr 1e\+30 or --l2 0.001 or .*; ", error)
    assert error.endswith(f"; 0 of 2 trials are in {tmp_path / 'all'}\n")


def test_what_failed_for_another_reason_is_computed_by_the_same_command(tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError("no space left")

    monkeypatch.setattr(command, "train_one", full)
    _, error = run("--seeds", "1", "--out", tmp_path, code=1)
    assert f"the same command with --out {tmp_path} computes the rest" in error


def test_one_point_and_one_seed_are_said_to_be_that(tmp_path):
    said, _ = run("--seeds", "1", "--out", tmp_path)
    assert "l2: 0.001\n1 point, 1 seed: 1 trial\n" in said
    assert "note: no one-standard-error rule: nothing varies" in said


def test_more_of_what_is_no_strength_is_no_simpler_fit(tmp_path):
    said, _ = run("--lr", "0.01", "0.02", "--seeds", "2", "--out", tmp_path)
    assert "no one-standard-error rule: more lr is no simpler fit" in said


def test_two_strengths_need_to_be_told_apart(tmp_path):
    grid = ["--l2", "0.001", "0.1", "--dropout", "0", "0.5", "--seeds", "2", "--out", tmp_path]
    said = " ".join(run(*grid)[0].split())
    assert "l2, dropout vary: --over l2 asks for its λ" in said
    text, _ = run(*grid, "--over", "dropout", "--json")
    (found,) = json.loads(text)["compared"]
    assert found["one_standard_error"]["dropout"] >= found["best"]["dropout"]
    assert found["one_standard_error"]["l2"] == found["best"]["l2"]


def test_halving_gives_the_best_points_all_epochs(tmp_path):
    grid = [
        "--l2",
        *map(str, (1e-4, 1e-3, 1e-2, 1, 10)),
        "--seeds",
        "2",
        "--epochs",
        "4",
        "--halving",
    ]
    said, _ = run(*grid, "--out", tmp_path)
    assert "5 points, 2 seeds: at most 14 trials" in said
    assert "stopped early by halving, no results: 10 runs (budgets 1)" in said
    full = mr.Sweep.load(tmp_path / "sweep.sqlite").full
    assert len(full.rows) == 4
    assert {*full["epochs_trained"]} == {4}


GROUPS = "GroupLasso({}, axis=0)"


def test_values_in_braces_are_an_axis_of_the_grid(tmp_path):
    """The law: a trial is that of the penalty written out."""
    more = ["--on", "0.weight", "--via", "prox", "--seeds", "2", "--out", tmp_path]
    said, _ = run("--penalty", GROUPS.format("{1e-1, 1e-3}"), *more)
    assert "grouplasso.strength: 0.001, 0.1\n2 points, 2 seeds: 4 trials\n" in said
    assert "within one standard error: grouplasso.strength=0.1: validation_loss" in said
    for row in rows(tmp_path):
        λ = row["grouplasso.strength"]
        penalty = {"penalty": GROUPS.format(λ), "on": ["0.weight"], "via": "prox"}
        given = {"dataset": "wine", "hidden": [4], "epochs": 2, "penalty": [penalty]}
        alone = trained(given, None, seed=row["seed"])
        assert alone == {name: row[name] for name in alone}
    said, _ = run("--penalty", GROUPS.format("{0.1, 0.2}"), *more)  # goes on
    assert "2 of 4 trials were there" in said
    other = ["--penalty", "GroupLasso({0.1, 0.2}, axis=1)", *more]
    assert "holds another experiment, of key settings penalty" in refused(*other)


def test_two_axes_of_penalties_and_a_flag(tmp_path):
    flags = ["--penalty", "a=MCP({0.1, 0.2}, gamma={3, 4})", "--l2", "0", "1", "--seeds", "1"]
    said, _ = run(*flags, "--over", "a.strength", "--out", tmp_path)
    assert "l2: 0, 1\na.strength: 0.1, 0.2\na.gamma: 3, 4\n8 points" in said
    assert "8 trials" in said


def test_over_is_spelled_as_its_flag(tmp_path):
    flags = ["--label-smoothing", "0", "0.5", "--dropout", "0", "0.5", "--seeds", "2"]
    said, _ = run(*flags, "--over", "label-smoothing", "--out", tmp_path)
    assert "within one standard error: label_smoothing=" in said


# --- ablation -----------------------------------------------------------------------------------

FOUR = ["l2", "l1", "dropout", "label_smoothing"]


def test_an_ablation_has_none_each_all_but_each_and_all(ablation):
    found = mr.Sweep.load(ablation / "sweep.sqlite")
    sets = {row["regularizers"] for row in found.rows}
    expected = {(), tuple(FOUR), *((n,) for n in FOUR)}
    assert sets == expected | {tuple(n for n in FOUR if n != name) for name in FOUR}
    assert len(found.rows) == 10 * 3


def test_gains_are_means_of_differences_seed_by_seed(ablation, capsys):
    assert cli.main(["compare", str(ablation), "--json", "--figure", "test_loss"]) == 0
    (found,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["compared"]
    assert (found["best"], found["one_standard_error"]) == (None, None)
    losses = {(row["regularizers"], row["seed"]): row["test_loss"] for row in rows(ablation)}
    for row in found["ablation"]:
        name = row["regularizer"]
        rest = tuple(n for n in FOUR if n != name)
        brings = [losses[(), seed] - losses[(name,), seed] for seed in range(3)]
        lost = [losses[rest, seed] - losses[tuple(FOUR), seed] for seed in range(3)]
        for key, gains in (("brings", brings), ("lost", lost)):
            assert row[key] == pytest.approx(statistics.mean(gains))
            assert row[f"{key}_se"] == pytest.approx(statistics.stdev(gains) / 3**0.5)
            assert row[f"{key}_seeds"] == 3
    assert [row["regularizer"] for row in found["ablation"]] == FOUR


def test_none_and_all_are_the_two_trainings_of_train(ablation):
    for label, sets in (("plain", ()), ("regularized", tuple(FOUR))):
        settings = TrainSettings(dataset="wine", hidden=[4], epochs=6, seed=1)
        last = train_one(*prepared(settings), label, False).last
        (row,) = (r for r in rows(ablation) if (r["regularizers"], r["seed"]) == (sets, 1))
        assert row["test_loss"] == pytest.approx(last["test_loss"])


@pytest.mark.parametrize("columns", [40, 80])
def test_an_ablation_fits_any_terminal_and_encoding(columns, ablation, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.main(["compare", str(ablation)]) == 0
    _, head, *lines = capsys.readouterr().out.splitlines()
    assert [word for word in head.split() if word.isalpha()][:2] == ["regularizer", "brings"]
    assert ("± se" in head) == (columns == 80)
    assert (said := " ".join(lines)).count("se: standard error") == (columns == 80)
    assert said.count("too narrow for: ± se") == (columns == 40)
    assert max(map(len, lines)) <= columns
    assert [line.split()[0] for line in lines[:4]] == FOUR
    raw = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252"))
        assert cli.main(["compare", str(ablation)]) == 0
        assert raw.getvalue().decode("cp1252").splitlines()[2:] == lines


def test_of_two_regularizers_alone_is_all_but_one(tmp_path):
    flags = ["--l1", "0", "--dropout", "0", "--seeds", "1", "--out", tmp_path]
    said, _ = run("--ablate", *flags)
    assert "none of l2, label_smoothing; each alone; all but one; all\n4 points, 1 seed: 4" in said
    assert "one seed shows no spread" in said
    text, _ = run("--ablate", *flags, "--json")
    (found,) = json.loads(text, parse_constant=pytest.fail)["compared"]
    assert [row["brings_se"] for row in found["ablation"]] == [None, None]


def test_penalties_decay_and_early_stopping_are_switched_off_by_name():
    chosen = [{"penalty": "L1(0.1)"}, {"penalty": "mine=L1(0.2)"}, {"penalty": "L1(0.3)"}]
    settings = TrainSettings(
        dataset="wine", l2=0.1, penalty=chosen, weight_decay=0.1, patience=2, clip_norm=1.0
    )
    names = [
        "l2",
        "dropout",
        "label_smoothing",
        "weight_decay",
        "early_stopping",
        "l1",
        "mine",
        "l1_2",
    ]
    assert regularizers(settings) == names
    for number in range(len(names) + 1):
        for on in itertools.combinations(names, number):
            found = ablated(settings, on)
            assert len(regularizers(found)) == number
            assert found.clip_norm == 1.0
    kept = ablated(settings, ["mine", "l1_2"])
    assert [p.penalty for p in kept.penalty] == ["mine=L1(0.2)", "L1(0.3)"]
    assert (kept.l2, kept.l1, kept.patience, kept.weight_decay, kept.dropout) == (0, 0, 0, 0, 0)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--ablate", "--l2", "1", "2"], "--ablate compares .* leave out several values of --l2"),
        (["--ablate", "--halving"], "leave out --halving"),
        (["--ablate", *OFF], "no regularizer is on"),
        (["--ablate", "--penalty", "dropout=L1(1)"], "the name 'dropout' is taken; choose another"),
        (["--halving", "--epochs", "1", "2"], "give one value of --epochs"),
        (["--halving", "--validation", "0.2", "0.4"], "rows; give one value of --validation"),
        (["--n-jobs", "0"], "expected a whole number other than 0, got 0"),
        (["--n-jobs", "-x"], "expected one argument"),
        (["--n-jobs", "2", "--scheduler", "tcp://x:1"], "tcp://x:1 has its own workers"),
        (["--seeds", "0"], "--seeds: must be ≥ 1, got 0"),
        (["--l2", "1", "2", "--over", "l1"], "--over l1 has no several values; these have: l2"),
        (["--figure", "loss"], "there is no 'loss', expected one of train_loss"),
        (["--seedz", "2"], "did you mean --seed"),
        (["--l2", "1", "1"], "--l2: 1.0 is given twice"),
        (["--l2=1", "--l2=1"], "--l2: 1.0 is given twice"),
        (["--seeds", "2", "--seeds", "3"], "--seeds: given twice"),
        (["--ablate", "--penalty", "none=L1(1)"], "the name 'none' is taken; choose another"),
        (["--penalty", "L1({1,2})", "--penalty", "L1({3,4})"], "l1.strength is there twice; name them"),
        (["--penalty", "L1({1e-3, 0.001})"], r"'\{1e-3, 0.001\}' in 'L1\(.*\)' has a value twice"),
        (["--penalty", "L1({1e-3, 1e-2}"], r"such as L1\(strength\), .* got '.*', which lacks '\)' \("),
        (["--penalty", "L1(1e-3})"], "which lacks '{'"),
        (["--ablate", "--penalty", "L1({1,2})"], "leave out several values of --penalty"),
        (["--penalty", "L1({-1, 2})"], "strength must be a finite number ≥ 0, got -1"),
        (["--schedule", "cosine", "StepLR(0)"], "StepLR: step_size"),
        (["--penalty", "GroupLasso(1, axis=7)"], r"axis=\(7,\) for a weight of shape"),
        (["--optimizer", "sgd", "adam", "--momentum", "0.5"], "--momentum is of sgd"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_said_in_one_line(flags, says, tmp_path):
    assert re.search(says, refused(*flags, "--out", tmp_path, code=2))
    assert not any(tmp_path.iterdir())


def test_a_folder_of_something_else_is_left_alone(swept, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert "is not empty and holds no sweep; choose another --out" in refused(
        *GRID, "--out", tmp_path
    )
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    folder, before = swept[0], rows(swept[0])
    says = refused(*GRID, "--epochs", "3", "--out", folder)
    assert "another experiment, of key settings epochs 2, here 3" in says
    assert "parameters ['l2'], here ['l1', 'l2']" in refused(
        *GRID, "--l1", "0", "1", "--out", folder
    )
    assert "parameters ['l2'], here ['regularizers']" in refused("--ablate", "--out", folder)
    assert rows(folder) == before
    (tmp_path / "sweep.sqlite").write_text("damaged " * 99)
    assert "is damaged, or no store of a sweep" in refused(*GRID, "--out", tmp_path)


def test_a_trial_that_is_damaged_is_computed_again(swept, tmp_path, capsys):
    shutil.copytree(swept[0], path := tmp_path / "out")
    with contextlib.closing(sqlite3.connect(path / "sweep.sqlite")) as db, db:
        db.execute("UPDATE trials SET figures = replace(figures, '0.', '1.') WHERE place = 2")
    assert cli.main(["compare", str(path)]) == 1
    assert "is damaged, or no store of a sweep: trial 2 is; its sweep computes it again" in (
        capsys.readouterr().err
    )
    said, error = run(*GRID, "--out", path)
    assert "3 of 4 trials were there" in said
    file = path / "sweep.sqlite"
    assert error == f"minireg sweep: trial 2 in {str(file)!r} is damaged: it is forgotten\n"
    order = lambda row: (row["l2"], row["seed"])
    assert sorted(rows(path), key=order) == sorted(rows(swept[0]), key=order)


def test_two_at_once_do_not_share_a_folder(swept):
    folder, _ = swept
    held = RunFolder(folder)
    assert f"another minireg is writing to {folder}" in refused(*GRID, "--out", folder)
    del held
    run(*GRID, "--out", folder)


def test_a_file_of_data_that_has_changed_is_another_experiment(tmp_path, capsys):
    rng = np.random.default_rng(0)
    file, flags = tmp_path / "a.csv", ["sweep", "--hidden", "2", "--epochs", "1", "--seeds", "1"]
    table = np.c_[rng.normal(size=(30, 2)), np.arange(30) % 2]

    def write():
        np.savetxt(file, table, fmt="%.3f", delimiter=",", header="x,z,y", comments="")

    write()
    flags += ["--data", str(file), "--target", "y", "--task", "classification", "--l2", "1", "2"]
    flags += ["--out", str(tmp_path / "out")]
    assert cli.main(flags) == 0
    digest = command._digest(str(file))
    table[0, 0] = 9
    write()
    capsys.readouterr()
    assert cli.main(flags) == 1
    assert f"another experiment, of the data in {file} '{digest}'" in capsys.readouterr().err
    given = {"data": str(file), "target": "y"}
    with pytest.raises(ValueError, match="is not the file with which the sweep began"):
        trained(given, digest, seed=0)


@pytest.mark.parametrize(
    ("gone", "flags", "extra"),
    [
        ("threadpoolctl", [], "sweep"),
        ("joblib", ["--n-jobs", "2"], "sweep"),
        ("distributed", ["--scheduler", "local"], "cluster"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(gone, flags, extra, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == gone else find(n, *a)
    )
    says = refused(*GRID, *flags, "--out", tmp_path)
    assert f"needs {gone}: pip install 'minireg[{extra}]'" in says


def test_without_rich_and_safetensors_it_is_the_same(swept, monkeypatch):
    find = importlib.util.find_spec
    gone = ("rich", "safetensors")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n in gone else find(n, *a)
    )
    folder, said = swept
    again, _ = run(*GRID, "--out", folder)
    assert again.replace("4 of 4 trials were there\n", "") == said


# --- other processes ----------------------------------------------------------------------------


def started(*args):
    return subprocess.Popen(
        [sys.executable, "-m", "minireg", *over(SMALL, *args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}, start_new_session=True,
    )  # fmt: skip


def until(folder, trials, process):
    """Wait for so many finished trials."""
    for _ in range(1200):
        with contextlib.suppress(OSError, ValueError):
            if len(rows(folder)) >= trials:
                return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("too slow")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.parametrize(
    "flags", [[], ["--n-jobs", "2"], ["--n-jobs", "2", "--scheduler", "local"]]
)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_on_every_engine_what_was_stopped_goes_on_to_the_same_table(flags, how, tmp_path):
    grid = ["--l2", "0.001", "0.1", "10", "--seeds", "4", "--epochs", "30"]
    whole, part = tmp_path / "whole", tmp_path / "part"
    if flags:
        pytest.importorskip("distributed" if "--scheduler" in flags else "joblib")
    run(*grid, "--out", whole)
    process = started(*grid, *flags, "--out", part)
    until(part, 2, process)
    os.killpg(process.pid, how)
    _, error = process.communicate(timeout=60)
    done = len(rows(part))
    assert 2 <= done < 12
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert error.splitlines() == [
            f"minireg sweep: interrupted; {done} of 12 trials are in {part}; the same command with "
            f"--out {part} computes the rest"
        ]
    process = started(*grid, *flags, "--out", part)
    said, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    assert f"{done} of 12 trials were there" in said
    assert rows(part) == rows(whole)
