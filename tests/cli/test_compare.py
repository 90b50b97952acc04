"""``minireg compare``: what sweeps and runs found, in any terminal, and as JSON."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import math
import os
import re
import shlex
import shutil
import sqlite3
import sys
from dataclasses import replace

import numpy as np
import pytest

import minireg as mr
from minireg.cli import main as cli
from minireg.cli import train
from minireg.cli.compare import best_of
from minireg.cli.folder import Kept


def trial(l2, seed):
    if l2 == 1.0 and seed == 1:
        raise FloatingPointError("diverged")
    loss = 0.5 + 0.1 * abs(math.log10(l2) + 2) + 0.15 * seed
    return {"validation_loss": loss, "validation_accuracy": 1 - loss / 2, "zeros": 0.0}


def close(l2, seed):
    return 1.10212 + 2e-5 * l2


GRID = {"l2": [1.0, 1e-3, 1e-2, 1e-1]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("swept") / "sweep.sqlite"
    with pytest.warns(UserWarning, match="1 of 12 runs failed"):
        mr.sweep(trial, GRID, seeds=[0, 1, 2], store=path)
    return path


def shown(capsys, *args):
    assert cli.main(["compare", *map(str, args)]) == 0
    return capsys.readouterr().out


def test_the_picture_is_the_curve_in_order(store, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    head, *rows = shown(capsys, store).splitlines()[1:6]
    assert head.split()[:4] == ["l2", "mean", "std", "seeds"]
    assert [row.split()[:4] for row in rows] == [
        ["0.001", "0.750", "0.150", "3"],
        ["0.01", "0.650", "0.150", "3"],
        ["0.1", "0.750", "0.150", "3"],
        ["1", "0.850", "0.212", "2"],
    ]
    low, best, high, worst = (re.search(r"[o*]", row).start() for row in rows)
    assert best < low == high < worst
    assert rows[1][best] == "*"
    assert [row.endswith("best 1 se") for row in rows] == [False, True, False, False]


def test_what_is_best_failed_and_missing_is_said(store, capsys):
    text = " ".join(shown(capsys, store).split())
    assert "best: l2=0.01: validation_loss 0.650 (3 seeds, standard error 0.0866)" in text
    assert "within one standard error: l2=0.01: validation_loss 0.650" in text
    assert "failed: l2=1, seed 1: FloatingPointError: diverged" in text
    assert text.count("note: a run failed at l2=1.0, left out") == 1
    text = " ".join(shown(capsys, store.parent, "--figure", "validation_accuracy").split())
    assert "best: l2=0.01: validation_accuracy 0.675" in text


def test_json_is_strict_and_says_the_same(store, capsys):
    text = shown(capsys, store, "--json")
    (found,) = json.loads(text, parse_constant=pytest.fail)["compared"]
    sweep = mr.Sweep.load(store)
    assert (found["figure"], found["mode"], found["runs"]) == ("validation_loss", "min", 11)
    assert found["points"] == sorted(sweep.summary("validation_loss"), key=lambda row: row["l2"])
    with pytest.warns(UserWarning, match="a run failed at l2=1.0, left out"):
        assert found["one_standard_error"] == sweep.one_standard_error("validation_loss")
    assert found["failed"] == [{"l2": 1.0, "seed": 1, "error": "FloatingPointError: diverged"}]
    assert found["missing"] == []


def test_an_interrupted_halving_shows_no_early_result(tmp_path, capsys):
    def learnt(l2, epochs, seed):
        if epochs == 9 and l2 == 3 and seed:
            raise KeyboardInterrupt
        return {"loss": abs(l2 - 3) / epochs}

    options = {"seeds": [0, 1], "halving": mr.Halving("loss", 9, least=3), "key": "learnt"}
    mr.sweep(learnt, {"l2": [1, 2, 3, 4]}, **options, store=tmp_path / "sweep.sqlite")
    text = shown(capsys, tmp_path)
    assert "stopped early by halving, no results: 8 runs (budgets 3)" in text
    assert "missing: l2=3, epochs=9, seed 1" in text
    assert "none is best until all points have the same seeds; there are 0, 1 at l2=2" in text
    points = json.loads(shown(capsys, tmp_path, "--json"))["compared"][0]["points"]
    assert {row["epochs"] for row in points} == {9}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "gbk"])
@pytest.mark.parametrize("columns", [40, 80])
def test_it_fits_any_terminal_and_encoding(encoding, columns, store, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    plain = shown(capsys, store.parent)
    raw = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        assert cli.main(["compare", str(store.parent)]) == 0
        assert raw.getvalue().decode(encoding).splitlines() == plain.splitlines()
    _, *lines = plain.splitlines()  # a path is not cut
    assert max(map(len, lines)) <= columns
    assert all(figure in plain for figure in ("0.750", "0.650", "0.850"))
    assert any("*" in line for line in lines)


def four(l2, l1, dropout, label_smoothing, seed):
    return {"validation_loss": l2 + l1 + dropout + label_smoothing + seed}


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_many_parameters_fit_any_terminal(columns, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    grid = {name: [0.1, 0.2] for name in ("l2", "l1", "dropout", "label_smoothing")}
    mr.sweep(four, grid, seeds=[0, 1], store=tmp_path / "sweep.sqlite")
    _, head, *lines = shown(capsys, tmp_path).splitlines()
    assert max(map(len, [head, *lines])) <= columns
    assert ("label_smoothing" in head) == (columns > 60)
    text = " ".join(" ".join(lines).split())
    assert ("16: l2=0.2, l1=0.2, dropout=0.2, label_smoothing=0.2 o:" in text) == (columns < 120)
    assert "o: the mean, *: of the best, ---: one standard deviation to both sides" in text


@pytest.mark.parametrize(
    ("columns", "gone"),
    [
        (20, "mean, std, seeds, picture"),
        (30, "std, seeds, picture"),
        (40, "std, seeds"),
        (90, None),
    ],
)
def test_what_is_chosen_is_in_the_narrowest_table_and_what_is_not_is_said(
    columns, gone, store, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, head, *lines = shown(capsys, store).splitlines()
    assert "chosen" in head
    assert [line.endswith("best 1 se") for line in lines[:4]] == [False, True, False, False]
    assert max(map(len, [head, *lines])) <= columns
    text = " ".join(" ".join(lines).split())
    assert re.findall(r"too narrow for: ((?:\w+, )*\w+)", text) == ([gone] if gone else [])
    assert ("o: the mean" in text) == (columns > 30)


def diverging(l2, seed):
    return {"validation_loss": {1.0: 1e9, 2.0: math.inf, 3.0: math.nan}.get(l2, 0.5 + l2 + seed)}


def test_what_diverged_does_not_flatten_the_curve(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    values = [0.01, 0.1, 0.2, 1.0, 2.0, 3.0]
    mr.sweep(diverging, {"l2": values}, store=tmp_path / "sweep.sqlite")
    head, *rows = shown(capsys, tmp_path).splitlines()[1:8]
    best, second, third = (row.index(mark) for row, mark in zip(rows, "*oo", strict=False))
    assert best + 15 < second < third - 15
    assert re.search(r" 0.510 +0.700  chosen", head)
    assert [row.rstrip()[-1] for row in rows[3:5]] == [">", ">"]
    assert rows[5].split() == ["3", "nan", "–", "1"]
    assert "to both sides; <, >: off the scale" in " ".join(shown(capsys, tmp_path).split())


def test_without_rich_it_is_the_same_text(store, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(capsys, store)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "rich" else find(n))
    assert shown(capsys, store) == text


# --- run folders --------------------------------------------------------------------------------

TRAIN = [
    "train",
    "--dataset",
    "wine",
    "--hidden",
    "8",
    "--epochs",
    "2",
    "--no-report",
    "--no-progress",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for l2 in ("1e-3", "1e-1"):
        for seed in "12":
            out = ["--out", str(folder / f"{l2}-{seed}")]
            with contextlib.redirect_stdout(io.StringIO()):
                assert cli.main([*TRAIN, "--l2", l2, "--seed", seed, *out]) == 0
    return sorted(folder.iterdir())


def test_run_folders_are_points_named_by_what_differs(runs, capsys):
    (found,) = json.loads(shown(capsys, *runs, "--json"))["compared"]
    assert found["parameters"] == ["l2"]
    assert [(row["l2"], row["seeds"]) for row in found["points"]] == [(1e-3, 2), (1e-1, 2)]
    ends = [
        json.loads((run / "history.json").read_text("utf-8"))["runs"]["regularized"]["columns"][
            "validation_loss"
        ][-1]
        for run in runs
        if run.name.startswith("1e-3")
    ]
    assert found["points"][0]["mean"] == pytest.approx(sum(ends) / 2)


def test_a_run_that_did_not_end_is_missing_and_the_same_run_counts_once(runs, tmp_path, capsys):
    def stop(kept):
        kept.runs["regularized"].history.stopped = "interrupted"
        kept.settings = replace(kept.settings, seed=3)

    shutil.copytree(runs[0], tmp_path / "again")
    edited(runs[0], tmp_path / "half", stop)
    args = (*runs, tmp_path / "again", tmp_path / "half")
    (found,) = json.loads(shown(capsys, *args, "--json"))["compared"]
    assert [row["seeds"] for row in found["points"]] == [2, 2]
    assert [row["seed"] for row in found["missing"]] == [3]
    half = shlex.quote(str(tmp_path / "half"))
    says = (
        f"no regularized run has ended in {tmp_path / 'half'}; go on: minireg train --resume {half}"
    )
    assert found["notes"][1:] == [says]
    error = refused(capsys, 1, tmp_path / "half")
    assert f"no run has finished (0 failed, 1 missing); {says}\n" in error


def edited(run, folder, change):
    """A copy of a run folder of which ``change`` has edited what is kept."""
    change(kept := Kept.of(run))
    folder.mkdir()
    for name, write in train.record(kept).items():
        write(folder / name)
    return folder


def test_a_point_is_named_by_its_setting_not_by_a_column_of_that_name(runs, tmp_path, capsys):
    """A schedule ends with another rate than --lr."""
    paths = []
    for lr in (0.1, 0.2):
        for seed in (1, 2):

            def change(kept, lr=lr, seed=seed):
                kept.settings = replace(kept.settings, lr=lr, seed=seed, l2=0.5, schedule="cosine")
                kept.data["sums"]["x_train"] = f"of seed {seed}"
                kept.runs["regularized"].history.rows[-1]["lr"] = lr / (7 + seed)

            paths.append(edited(runs[0], tmp_path / f"{lr}-{seed}", change))
    (found,) = json.loads(shown(capsys, *paths, "--json"))["compared"]
    assert found["parameters"] == ["lr"]
    assert [(row["lr"], row["seeds"]) for row in found["points"]] == [(0.1, 2), (0.2, 2)]


@pytest.fixture(scope="module")
def penalized(tmp_path_factory):
    folder = tmp_path_factory.mktemp("penalized")
    for name, words in {
        "none": ["--l2", "0", "--l1", "0"],
        "mcp": ["--penalty", "MCP(0.001)"],
        "scad": ["--penalty", "SCAD(1e-3)", "--on", "0.weight"],
    }.items():
        with contextlib.redirect_stdout(io.StringIO()):
            assert cli.main([*TRAIN, *words, "--out", str(folder / name)]) == 0
    return sorted(folder.iterdir())


def test_runs_of_other_terms_are_compared_by_the_figures_they_share(penalized, capsys):
    first, second = (shown(capsys, *paths, "--json") for paths in (penalized, reversed(penalized)))
    assert first == second
    (found,) = json.loads(first)["compared"]
    assert (found["failed"], found["runs"]) == ([], 3)
    assert [row["penalty"] for row in found["points"]] == [
        ["MCP(0.001)"], [], ["SCAD(1e-3) --on 0.weight"]]  # fmt: skip
    assert "penalty=SCAD(1e-3) --on 0.weight" in cli.compare.where(found["points"][2], ["penalty"])


def test_a_finished_run_wins_over_an_interrupted_copy(runs, tmp_path, capsys):
    def stop(kept):
        kept.runs["regularized"].history.stopped = "interrupted"

    copies = [edited(runs[0], tmp_path / name, stop) for name in ("0", "1")]
    (found,) = json.loads(shown(capsys, copies[0], *runs, copies[1], "--json"))["compared"]
    assert (found["missing"], [row["seeds"] for row in found["points"]]) == ([], [2, 2])
    assert sum("the same run twice" in note for note in found["notes"]) == 2


def test_runs_of_other_data_are_refused(runs, tmp_path, capsys):
    other = edited(
        runs[0], tmp_path / "other", lambda kept: kept.data["sums"].update(x_train="of another")
    )
    says = f"{runs[0]} and {other} are runs of other data, though both are of wine with the same data flags"
    assert says in refused(capsys, 1, *runs, other)


def test_own_data_are_named_by_their_file(runs, tmp_path, capsys):
    def own(kept):
        kept.settings = replace(kept.settings, dataset=None, data="fruit.csv", target="kind")
        kept.data["sums"]["y_validation"] = "of others"

    text = shown(capsys, path := edited(runs[0], tmp_path / "own", own))
    assert "best: data=fruit.csv: validation_loss" in text
    assert text.startswith("1 run of minireg train: validation_loss, 1 run\n") or "1 run of" in text
    assert "nan" not in text
    text = shown(capsys, path, runs[0])
    assert "none is best: data differs" in text
    rows = [line.split()[:3] for line in text.splitlines()[2:4]]
    assert rows == [["wine", "–", "–"], ["fruit.csv", "kind", "0.3"]]


def test_what_a_run_has_not_names_no_point(runs, tmp_path, capsys):
    def adam(kept):
        kept.settings = replace(kept.settings, optimizer="adam", lr=0.5, momentum=None)
        kept.runs["regularized"].history.rows[-1]["validation_loss"] = 0.01

    text = shown(capsys, runs[0], edited(runs[0], tmp_path / "adam", adam))
    assert "best: optimizer=adam, lr=0.5: validation_loss 0.010" in text
    assert "None" not in text
    assert cli.compare.where({"momentum": None}, ["momentum"]) == "default"


@pytest.mark.parametrize(
    ("at", "listed"),
    [([1, 2], "2 at l2=0.1; 1 at l2=0.001"), ([1, 2, 3], "2 at l2=0.1; 1, 2 at l2=0.001")],
)
def test_of_other_seeds_none_is_best(at, listed, runs, capsys, monkeypatch):
    """A seed that is easy is no good λ, whichever way the runs are given."""
    monkeypatch.setenv("COLUMNS", "200")
    assert [path.name for path in runs] == ["1e-1-1", "1e-1-2", "1e-3-1", "1e-3-2"]
    some = [runs[i] for i in at]
    (found,) = json.loads(shown(capsys, *some, "--json"))["compared"]
    assert (found["best"], found["one_standard_error"]) == (None, None)
    why = f"none is best until all points have the same seeds; there are {listed}"
    assert found["notes"] == [why]
    text = shown(capsys, *some)
    assert f"note: {why}" in text
    assert not re.search(r"best:|\*|\bbest$", text, re.M)
    assert "best: l2=" in shown(capsys, *runs)


def measured(validation, noise, seed):
    return {"validation_loss": validation + noise + seed}


def test_of_a_sweep_over_other_rows_none_is_best(tmp_path, capsys):
    """As of runs: but noise is in the training labels only."""
    grid = {"validation": [0.2, 0.4], "noise": [0.0, 0.1]}
    mr.sweep(measured, grid, seeds=[0, 1], store=tmp_path / "sweep.sqlite")
    (found,) = json.loads(shown(capsys, tmp_path, "--json"))["compared"]
    assert (found["best"], found["one_standard_error"]) == (None, None)
    why = "none is best: validation differs, so figures do not measure the same"
    assert found["notes"] == [why]
    mr.sweep(measured, grid | {"validation": [0.2]}, store=tmp_path / "noise.sqlite")
    assert "best: validation=0.2, noise=0: validation_loss" in shown(
        capsys, tmp_path / "noise.sqlite"
    )


@pytest.mark.parametrize("change", [{"dataset": "digits"}, {"validation": 0.4}, {"noise": 0.3}])
def test_runs_measured_on_other_rows_are_not_ranked(change, runs, tmp_path, capsys):
    """Of the same seed; wrong training labels leave the rows that are measured on as they are."""

    def other(kept):
        kept.settings = replace(kept.settings, **change)
        for name in ["y_train", "x_validation", "y_validation"][: 1 if "noise" in change else None]:
            kept.data["sums"][name] = "of others"

    paths = runs[0], edited(runs[0], tmp_path / "other", other)
    (found,) = json.loads(shown(capsys, *paths, "--json"))["compared"]
    if "noise" in change:
        assert found["best"]
        return
    assert (found["best"], found["one_standard_error"]) == (None, None)
    why = f"none is best: {next(iter(change))} differs, so figures do not measure the same"
    assert found["notes"] == [why]
    assert "best" not in shown(capsys, *paths).replace(why, "")


def test_a_record_of_another_version_is_refused(runs, tmp_path, capsys):
    shutil.copytree(runs[0], path := tmp_path / "later")
    record = json.loads((path / "history.json").read_text("utf-8"))
    (path / "history.json").write_text(json.dumps(record | {"format": 99}), "utf-8")
    assert "its format is 99, expected 1" in refused(capsys, 1, path)


@pytest.mark.parametrize("over", ["seed", "l3"])
def test_over_what_is_no_parameter_is_misuse(over, store, capsys):
    error = refused(capsys, 2, store, "--over", over)
    assert f"--over: {store} has no parameter '{over}', expected one of l2" in error


def test_values_that_are_close_are_told_apart(tmp_path, capsys):
    mr.sweep(close, {"l2": [1, 2, 3]}, store=tmp_path / "sweep.sqlite")
    text = shown(capsys, tmp_path)
    assert all(figure in text for figure in ("1.10214", "1.10216", "1.10218"))
    # what float32 cannot tell apart is the same
    assert cli.compare.apart([0.36666667, 0.36666664]) == ["0.367", "0.367"]
    assert cli.compare.text(0.12345678) != cli.compare.text(0.12345679)
    assert cli.compare.text(np.float64(1e-3)) == "0.001"


# --- what cannot be compared --------------------------------------------------------------------


def refused(capsys, code, *args):
    command = ["compare", *map(str, args)]
    if code == 2:
        with pytest.raises(SystemExit, match="2"):
            cli.main(command)
    else:
        assert cli.main(command) == code
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("minireg compare: ")
    assert error.count("\n") == 1
    return error


def test_what_cannot_be_compared_is_said_in_one_line(store, tmp_path, capsys):
    error = refused(capsys, 1, path := tmp_path / "nothing")
    assert error == f"minireg compare: {path} does not exist: nothing to compare\n"
    assert "holds neither sweep.sqlite nor history.json" in refused(capsys, 1, tmp_path)
    (text := tmp_path / "x.csv").write_text("l2,loss\n" * 99)
    assert "damaged, or no store" in refused(capsys, 1, text)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE trials (x)")
    assert "is no store of a sweep" in refused(capsys, 1, tmp_path / "other.db")
    (tmp_path / "run").mkdir()
    for record in (
        "",
        "[]",
        "{}",
        '{"settings": [], "runs": {}}',
        '{"settings": {}, "runs": {"a": 1}}',
    ):
        (tmp_path / "run" / "history.json").write_text(record)
        assert "holds no settings of a run" in refused(capsys, 1, tmp_path / "run")
    error = refused(capsys, 2, store, "--figure", "loss")
    assert (
        "has no figure 'loss', expected one of ['validation_loss', 'validation_accuracy'" in error
    )


def test_nothing_finished_is_nothing_to_compare(tmp_path, capsys):
    def stops(l2, seed):
        raise KeyboardInterrupt

    mr.sweep(stops, {"l2": [1, 2]}, store=tmp_path / "sweep.sqlite", key="stops")
    assert "no run has finished (0 failed, 2 missing)" in refused(capsys, 1, tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every file")
def test_a_store_that_may_not_be_read_is_said(store, tmp_path, capsys):
    shutil.copy(store, path := tmp_path / "x.sqlite")
    path.chmod(0)
    assert "x.sqlite" in refused(capsys, 1, path)


def test_true_labels_given_are_better_if_there_are_more():
    assert [best_of(f"{best}true_labels_given") for best in ("", "best_")] == ["max", "max"]
    assert best_of("best_wrong_labels_learnt") == "min"
