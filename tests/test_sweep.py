"""Sweeps: every point and seed once, in an order that does not depend on the workers."""

from __future__ import annotations

import builtins
import importlib

import pytest

import minireg as mr


def figures(l2, l1, seed):
    return {"sum": l2 + l1 + seed, "product": l2 * l1}


GRID = {"l2": [1.0, 2.0], "l1": [10.0, 20.0]}


def test_every_point_and_seed_once_whatever_the_number_of_workers():
    one = mr.sweep(figures, GRID, seeds=[0, 1])
    two = mr.sweep(figures, GRID, seeds=[0, 1], n_jobs=2)
    assert one == two
    assert [(r["l2"], r["l1"], r["seed"]) for r in one.rows] == [
        (a, b, s) for a in (1.0, 2.0) for b in (10.0, 20.0) for s in (0, 1)
    ]
    assert one["product"] == [10.0, 10.0, 20.0, 20.0, 20.0, 20.0, 40.0, 40.0]


def test_summary_and_best():
    found = mr.sweep(figures, GRID, seeds=[0, 2])
    first = found.summary("sum")[0]
    assert (first["mean"], first["seeds"]) == (12.0, 2)
    assert first["std"] == pytest.approx(2**0.5)
    assert found.best("sum")["l1"] == 10.0
    assert found.best("sum", "max") == {
        "l2": 2.0,
        "l1": 20.0,
        "mean": 23.0,
        "std": 2**0.5,
        "seeds": 2,
    }
    assert "sum at l2=1.0, l1=10.0: 12 ± 1.414" in repr(found)


def test_a_real_training_improves_with_its_strength():
    def run(l2, seed):
        data = mr.datasets.load("diabetes", seed=seed)
        mr.manual_seed(seed)
        model = mr.nn.Linear(10, 1)
        objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(l2)})
        sgd = mr.optim.SGD(model.parameters(), 0.05)
        mr.fit(model, objective, sgd, data.train, epochs=30, progress=False)
        return float((model.weight.numpy() ** 2).sum())

    found = mr.sweep(run, {"l2": [0.0, 0.1, 1.0]}, seeds=[0, 1])
    norms = [row["mean"] for row in found.summary("value")]
    assert norms[0] > norms[1] > norms[2]


def test_an_error_names_the_point():
    def broken(l2, seed):
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError) as caught:
        mr.sweep(broken, {"l2": [3]})
    assert "sweep: at {'l2': 3}, seed 0" in caught.value.__notes__


@pytest.mark.parametrize("grid", [{}, {"l2": []}, {"seed": [1]}])
def test_a_grid_without_runs_is_refused(grid):
    with pytest.raises(ValueError, match="sweep: "):
        mr.sweep(figures, grid)


def test_misuse_is_told():
    found = mr.sweep(figures, GRID)
    with pytest.raises(KeyError, match="no column 'loss', expected one of"):
        found["loss"]
    with pytest.raises(ValueError, match="mode must be 'min' or 'max', got 'least'"):
        found.best("sum", "least")


def test_without_joblib_the_extra_is_named(monkeypatch):
    real = importlib.import_module

    def no_joblib(name, *args):
        if name == "joblib":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", no_joblib)
    assert builtins.__import__("joblib")
    with pytest.raises(ImportError, match=r"minireg\[sweep\]"):
        mr.sweep(figures, GRID)
