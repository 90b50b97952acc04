"""Sweeps: every point and seed once, in an order that does not depend on the workers."""

from __future__ import annotations

import builtins
import importlib
import math
import os
import signal

import numpy as np
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


# --- what fails or is interrupted ---------------------------------------------------------------


class OddError(Exception):
    """Cannot be rebuilt from its text, so no process can send it to another."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def trouble(l2, seed):
    if l2 == "raises":
        raise ZeroDivisionError("no")
    if l2 == "odd":
        raise OddError(1, 2)
    if l2 == "other":
        return {"other": 1.0}
    if l2 == "array":
        return np.ones(2)
    if l2 == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return l2 + seed


def failures(found):
    return {
        (r["l2"], r["seed"]): f"{type(r['error']).__name__}: {r['error']}" for r in found.failed
    }


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_defect_9_a_point_that_fails_loses_no_other(n_jobs):
    grid = {"l2": [0.0, "raises", "odd", 1.0, "other", "array", 2.0]}
    with pytest.warns(
        UserWarning, match="sweep: 4 of 7 runs failed\n  failed at l2='raises', seed 3"
    ):
        found = mr.sweep(trouble, grid, seeds=[3], n_jobs=n_jobs)
    assert found["value"] == [3.0, 4.0, 5.0]
    assert failures(found) == {
        ("raises", 3): "ZeroDivisionError: no",
        ("odd", 3): "OddError: 1 and 2" if n_jobs == 1 else "RuntimeError: OddError: 1 and 2",
        ("other", 3): "ValueError: returned ['other'], where the first run did ['value']",
        ("array", 3): "TypeError: sweep: the function must return a number or a mapping of named "
        "numbers, got array([1., 1.])",
    }
    assert "failed at l2='raises', seed 3: ZeroDivisionError: no" in repr(found)
    assert found.stopped == "finished"


def test_where_every_run_fails_the_first_error_is_raised_and_says_where():
    with pytest.raises(ZeroDivisionError) as raised:
        mr.sweep(trouble, {"l2": ["raises", "odd"]}, n_jobs=2)
    assert "sweep: at {'l2': 'raises'}, seed 0" in raised.value.__notes__[0]
    assert 'raise ZeroDivisionError("no")' in raised.value.__notes__[1]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_defect_9_a_worker_that_is_killed_loses_no_other_point():
    grid = {"l2": [0.0, 1.0, "dies", 2.0, 3.0, 4.0]}
    with pytest.warns(UserWarning, match="failed at l2='dies', seed 0: .* worker was killed"):
        found = mr.sweep(trouble, grid, n_jobs=2)
    assert found["l2"] == found["value"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [r["l2"] for r in found.failed] == ["dies"]


class Interrupts(mr.nn.Module):
    def forward(self, x):
        raise KeyboardInterrupt


def stopped_in_fit(l2, seed):
    model = mr.nn.Sequential(mr.nn.Linear(1, 1), *[Interrupts()] * (l2 == 2))
    sgd = mr.optim.SGD(model.parameters(), 0.1)
    x = np.ones((2, 1), np.float32)
    mr.fit(model, mr.nn.MSELoss(), sgd, (x, x), epochs=1, progress=False)
    return l2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_defect_9_an_interrupt_gives_back_the_finished_rows_and_makes_none(n_jobs):
    """Also where fit, which catches it, is what is interrupted."""
    found = mr.sweep(stopped_in_fit, {"l2": [0, 1, 2, 3]}, n_jobs=n_jobs)
    assert found.stopped == "interrupted"
    assert found["l2"] == [0, 1] or (n_jobs == 2 and 2 not in found["l2"])
    assert found.failed == ()
    assert "runs, interrupted" in repr(found)


def test_fit_alone_still_returns_after_an_interrupt():
    mr.sweep(stopped_in_fit, {"l2": [2]})
    assert stopped_in_fit(2, 0) == 2


def test_defect_16_the_best_point_is_no_nan():
    found = mr.sweep(lambda l2, seed: math.nan if l2 == 0 else l2, {"l2": [0, 1, 2]}, seeds=[0, 1])
    for mode, best in (("min", 1), ("max", 2)):
        with pytest.warns(UserWarning, match="Sweep.best: 'value' is nan at l2=0, left out"):
            assert found.best("value", mode)["l2"] == best
    with pytest.raises(ValueError, match="'value' is a number at none of 1 points"):
        mr.sweep(lambda l2, seed: math.nan, {"l2": [0]}).best("value")


def luck(l2: float, seed: int) -> float:
    if l2 == 0 and seed:
        raise FloatingPointError("diverged")
    return l2 + seed


def test_the_best_of_unequal_numbers_of_seeds_is_told():
    with pytest.warns(UserWarning, match="2 of 6 runs failed"):
        found = mr.sweep(luck, {"l2": [0, 1]}, seeds=[0, 1, 2])
    with pytest.warns(UserWarning, match=r"means are of 3 seeds, but of fewer at l2=0: 1; compare"):
        assert found.best("value")["seeds"] == 1


def test_values_of_any_kind_can_be_swept():
    found = mr.sweep(
        lambda sizes, seed: sum(sizes) + seed, {"sizes": [[8, 8], [4]]}, seeds=range(3)
    )
    assert found.best("value") == {"sizes": [4], "mean": 5.0, "std": 1.0, "seeds": 3}


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
