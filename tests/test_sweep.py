"""Sweeps: every point and seed once, in an order that does not depend on the workers."""

from __future__ import annotations

import builtins
import importlib
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import types
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import minireg as mr
from minireg import workers


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


def test_each_run_is_told_as_it_ends_seed_by_seed():
    def some(l2, seed):
        if (l2, seed) == (2, 7):
            raise ValueError("no")
        return {"sum": l2 + seed}

    told = []
    with pytest.warns(UserWarning, match="1 of 4 runs failed"):
        found = mr.sweep(some, {"l2": [1, 2]}, seeds=[5, 7], on_run=told.append)
    assert [(row["l2"], row["seed"]) for row in told] == [(1, 5), (2, 5), (1, 7), (2, 7)]
    assert [told[i] for i in (0, 2, 1)] == [*found.rows]
    assert told[3] == found.failed[0]


def test_what_the_store_has_is_not_told(tmp_path):
    told = []
    for seeds in ([0], [0, 1]):
        mr.sweep(figures, GRID, seeds=seeds, store=tmp_path / "s", on_run=told.append)
    assert [row["seed"] for row in told] == [0] * 4 + [1] * 4


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
        "se": 1.0,
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
    assert ", interrupted\n" in repr(found)


WAITS = """
import os, pathlib, time
import minireg as mr

def waits(l2, seed):
    pathlib.Path(os.environ["NOTES"], str(os.getpid())).touch()
    time.sleep(300)

if __name__ == "__main__":
    mr.sweep(waits, {"l2": [1, 2]}, n_jobs=2)
"""


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_workers_end_with_a_process_that_is_killed(tmp_path, how):
    """They went on with their trials, and then waited for five minutes."""
    script = tmp_path / "script.py"
    script.write_text(WAITS, "utf-8")
    (notes := tmp_path / "notes").mkdir()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NOTES": str(notes)}
    process = subprocess.Popen([sys.executable, script], env=env)
    while process.poll() is None and len([*notes.iterdir()]) < 2:
        time.sleep(0.01)
    pids = [int(note.name) for note in notes.iterdir()]
    process.send_signal(getattr(signal, how))
    process.wait()
    end = time.monotonic() + 60
    while any(map(lives, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    assert len(pids) == 2
    assert not any(map(lives, pids))


def deaf(l2, seed):
    os.kill(os.getpid(), signal.SIGINT)
    return 1


ENGINES = [{}, pytest.param({"scheduler": "local"}, marks=pytest.mark.slow)]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("engine", ENGINES)
def test_workers_of_this_machine_do_not_hear_ctrl_c(engine):
    """It comes to all processes of a terminal, also to those that have only just begun."""
    importlib.import_module("joblib.externals.loky").get_reusable_executor().shutdown()
    found = mr.sweep(deaf, {"l2": [0, 1, 2, 3]}, n_jobs=2, **engine)
    assert (found.stopped, found["value"]) == ("finished", [1] * 4)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_while_workers_begin_is_not_lost(engine, monkeypatch):
    """It was ignored there, and the sweep went on to its end."""
    starting = workers._deaf

    @contextmanager
    def interrupted(*trackers):
        with starting(*trackers):
            os.kill(os.getpid(), signal.SIGINT)
            yield

    monkeypatch.setattr(workers, "_deaf", interrupted)
    before = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    found = mr.sweep(figures, GRID, seeds=range(50), n_jobs=2, **engine)
    assert found.stopped == "interrupted"
    assert len(found.missing) > 100
    assert before == (signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_only_the_executor_may_end_by_an_error_unseen(monkeypatch):
    """Its thread looks for a trial that an interrupt cancelled; of six interrupts one printed that."""
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda given: seen.append(given.thread.name))
    with workers._hushed():
        for name in ("ExecutorManagerThread", "another"):
            (thread := threading.Thread(target={}.pop, args=(4,), name=name)).start()
            thread.join()
    assert seen == ["another"]
    (thread := threading.Thread(target={}.pop, args=(4,), name="ExecutorManagerThread")).start()
    thread.join()
    assert len(seen) == 2


def test_fit_alone_still_returns_after_an_interrupt():
    mr.sweep(stopped_in_fit, {"l2": [2]})
    assert stopped_in_fit(2, 0) == 2


def test_defect_16_the_best_point_is_no_nan():
    found = mr.sweep(lambda l2, seed: math.nan if l2 == 0 else l2, {"l2": [0, 1, 2]}, seeds=[0, 1])
    for mode, best in (("min", 1), ("max", 2)):
        with pytest.warns(UserWarning, match="Sweep.best: 'value' is nan at l2=0, left out"):
            assert found.best("value", mode)["l2"] == best
    with pytest.raises(ValueError, match="at none of 1 points 'value' is a number"):
        mr.sweep(lambda l2, seed: math.nan, {"l2": [0]}).best("value")


def luck(l2: float, seed: int) -> float:
    if l2 == 0 and seed:
        raise FloatingPointError("diverged")
    return l2 + seed


def test_a_point_at_which_a_run_failed_is_not_the_best():
    with pytest.warns(UserWarning, match="2 of 6 runs failed"):
        found = mr.sweep(luck, {"l2": [0, 1]}, seeds=[0, 1, 2])
    with pytest.warns(UserWarning, match="best: a run failed at l2=0, left out"):
        assert found.best("value") == found.summary("value")[1]


@pytest.mark.parametrize("failing", [[(0, 1), (1, 1)], [(0, 1), (1, 2)]])
def test_a_seed_that_fails_everywhere_hinders_none_but_another_at_each_point_does(failing):
    def some(l2, seed):
        if (l2, seed) in failing:
            raise ValueError("no training row of a class")
        return l2 + seed

    with pytest.warns(UserWarning, match="2 of 6 runs failed"):
        found = mr.sweep(some, {"l2": [0, 1]}, seeds=[0, 1, 2])
    if failing[0][1] == failing[1][1]:
        assert found.best("value") == found.summary("value")[0]
    else:
        with pytest.raises(ValueError, match="at none of 2 points 'value' is a number for all"):
            found.best("value")


def test_values_of_any_kind_can_be_swept():
    found = mr.sweep(
        lambda sizes, seed: sum(sizes) + seed, {"sizes": [[8, 8], [4]]}, seeds=range(3)
    )
    assert found.best("value") == {
        "sizes": [4],
        "mean": 5.0,
        "std": 1.0,
        "se": 1 / 3**0.5,
        "seeds": 3,
    }


@pytest.mark.parametrize("grid", [{}, {"l2": []}, {"seed": [1]}])
def test_a_grid_without_runs_is_refused(grid):
    with pytest.raises(ValueError, match="sweep: "):
        mr.sweep(figures, grid)


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1), (1, 1.0), (0.1, np.float64(0.1)), (0, np.int8(0))]
)
@pytest.mark.parametrize("options", [{}, {"store": "s.sqlite"}])
def test_a_value_given_twice_is_refused(one, other, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args in (({"l2": [3, one, other]}, [0]), ({"l2": [3]}, [one, other])):
        with pytest.raises(ValueError, match=r"sweep: (grid\['l2'\]|seeds) has .* twice"):
            mr.sweep(luck, args[0], seeds=args[1], **options)
    assert not [*tmp_path.iterdir()]


def test_points_that_print_alike_are_two_points():
    flat = np.zeros(2000)
    peak = flat.copy()
    peak[1000] = 5
    quadratic = [mr.penalties.Quadratic(1.0, matrix=m * np.eye(2)) for m in (1, 9)]
    for values, of in (
        ([flat, peak], np.sum),
        (np.stack([flat, peak]), np.sum),
        (quadratic, lambda p: float(p.value(mr.tensor(np.ones(2))).numpy())),
    ):
        found = mr.sweep(lambda w, seed, of=of: float(of(w)), {"w": values}, seeds=[0, 1])
        assert [(row["mean"], row["seeds"]) for row in found.summary("value")] == [
            (float(of(w)), 2) for w in values
        ]


def test_equal_numbers_of_another_type_are_the_same_trial(tmp_path, calls):
    store = tmp_path / "sweep.sqlite"
    for l2 in (1.0, 1, np.float32(1)):
        mr.sweep(counted, {"l2": [l2]}, seeds=[np.int64(2)], store=store)
    assert calls() == 1
    assert type(mr.Sweep.load(store)["l2"][0]) is float


@pytest.mark.parametrize(
    ("grid", "options", "says"),
    [
        ({"l2": np.array(3)}, {}, r"grid\['l2'\] must be a sequence, got array\(3\)"),
        ({"l2": iter([1])}, {}, r"write list\(grid\['l2'\]\)"),
        ({1: [1]}, {}, r"parameters are named by text, got \[1\]"),
        ({"l2": [1]}, {"halving": {"figure": "value"}}, "halving must be a Halving, got {"),
        ({"l2": [1]}, {"scheduler": 3}, "scheduler must be an address, got 3"),
    ],
)
def test_arguments_of_another_type_are_refused(grid, options, says):
    with pytest.raises(TypeError, match=f"sweep: .*{says}"):
        mr.sweep(luck, grid, **options)


@pytest.mark.parametrize("result", [{}, 10**400, {"loss": 1j}])
def test_what_is_no_number_is_no_figure(result):
    with pytest.raises(TypeError, match="must return a number or a mapping of named numbers, got"):
        mr.sweep(lambda l2, seed: result, {"l2": [1]})


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
        mr.sweep(figures, GRID, n_jobs=2)
    assert len(mr.sweep(figures, GRID).rows) == 4


# --- a store ------------------------------------------------------------------------------------


def counted(l2, seed):
    """What it is called with, a file each; the first time at some points its worker is killed."""
    folder = Path(os.environ["SWEEP_CALLS"])
    (folder / f"{l2} {seed} {os.urandom(4).hex()}").touch()
    if (l2, seed) in ((7.0, 1), (12.0, 2)) and (folder / "killing").exists():
        mark = folder / f"killed {l2}"
        if not mark.exists():
            mark.touch()
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01 if (folder / "slow").exists() else 0)
    return {"loss": l2 / 7 + seed / 3, "odd": math.inf if seed else -0.0}


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """How many calls there were since the last time it was asked."""
    folder = tmp_path / "calls"
    folder.mkdir()
    monkeypatch.setenv("SWEEP_CALLS", str(folder))

    def count():
        found = [p for p in folder.iterdir() if len(p.name.split()) == 3]
        for path in found:
            path.unlink()
        return len(found)

    count.folder = folder
    return count


def test_run_again_a_sweep_computes_only_what_is_missing(tmp_path, calls):
    store = tmp_path / "sweep.sqlite"
    small = mr.sweep(counted, {"l2": [1.0, 2.0]}, seeds=[0, 1], store=store)
    assert calls() == 4
    large = mr.sweep(counted, {"l2": [0.5, 2.0, 1.0]}, seeds=[0, 1], store=store)
    assert calls() == 2
    assert large == mr.sweep(counted, {"l2": [0.5, 2.0, 1.0]}, seeds=[0, 1])
    calls()
    assert large == mr.sweep(counted, {"l2": [0.5, 2.0, 1.0]}, seeds=[0, 1], store=store)
    assert calls() == 0
    loaded = mr.Sweep.load(store)
    assert loaded.rows[:4] == small.rows
    assert loaded["l2"] == [1.0, 1.0, 2.0, 2.0, 0.5, 0.5]


def wavering(l2, seed):
    if l2 == 1 and not os.environ.get("SWEEP_WELL"):
        raise FloatingPointError("diverged")
    return l2


def test_what_failed_is_noted_is_no_result_and_is_computed_again(tmp_path, monkeypatch):
    store = tmp_path / "sweep.sqlite"
    with pytest.warns(UserWarning, match="1 of 3 runs failed"):
        mr.sweep(wavering, {"l2": [0, 1, 2]}, store=store)
    loaded = mr.Sweep.load(store)
    assert loaded["l2"] == [0, 2]
    assert "failed at l2=1, seed 0: FloatingPointError: diverged" in repr(loaded)
    monkeypatch.setenv("SWEEP_WELL", "1")
    assert mr.sweep(wavering, {"l2": [0, 1, 2]}, store=store).failed == ()
    assert mr.Sweep.load(store)["l2"] == [0, 1, 2]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_an_interrupt_left_is_missing(n_jobs, tmp_path):
    store = tmp_path / "sweep.sqlite"
    found = mr.sweep(stopped_in_fit, {"l2": [0, 1, 2, 3]}, n_jobs=n_jobs, store=store)
    loaded = mr.Sweep.load(store)
    assert loaded == found
    assert loaded.stopped == "interrupted"
    assert {"l2": 2, "seed": 0} in loaded.missing
    assert len(loaded.rows) + len(loaded.missing) == 4


def test_values_and_order_are_those_of_the_grid(tmp_path):
    grid = {"sizes": [(8, 8), [4]], "lr": [np.float32(0.1), math.inf], "how": ["a", None]}
    store = tmp_path / "s.sqlite"
    found = mr.sweep(lambda sizes, lr, how, seed: sum(sizes), grid, store=store, key="sizes")
    assert mr.Sweep.load(store) == found
    assert type(mr.Sweep.load(store).rows[0]["lr"]) is np.float32
    with pytest.raises(TypeError, match=r"a store keeps numbers, text.*got <object"):
        mr.sweep(figures, {"l2": [object()], "l1": [1]}, store=tmp_path / "t.sqlite")


@pytest.mark.parametrize(
    "function",
    [lambda l2, seed: 1, partial(figures, l1=1), len, (lambda n: lambda l2, seed: n)(1)],
)
def test_a_function_that_its_name_does_not_say_needs_a_key(function, tmp_path):
    with pytest.raises(ValueError, match=r"a store must know what it holds.*pass key="):
        mr.sweep(function, {"l2": [1]}, store=tmp_path / "s.sqlite")
    assert not (tmp_path / "s.sqlite").exists()


def test_a_store_of_another_experiment_is_refused(tmp_path):
    store = tmp_path / "s.sqlite"
    mr.sweep(figures, GRID, store=store, key={"epochs": 3, "lr": 0.1})
    mr.sweep(figures, GRID, store=store, key={"lr": 0.1, "epochs": 3})
    with pytest.raises(
        ValueError, match="holds another experiment, of key epochs 3, here 4; choose another store"
    ):
        mr.sweep(figures, GRID, store=store, key={"epochs": 4, "lr": 0.1})
    with pytest.raises(
        ValueError, match="of function 'test_sweep:figures', here 'test_sweep:trouble'"
    ):
        mr.sweep(trouble, {"l2": [1]}, store=store)


MODULE = """
def changing(l2, seed, scale={scale}):
    # {comment}
    total = sum(l2 * s for s in (1, 2) if s in {{1, 2}})
    return {{"loss": {body}}}
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a function into a module, and imports it as it then is."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setattr(
        sys, "dont_write_bytecode", True
    )  # that of the same second is not looked at

    def write(body="total", scale=1, comment="a comment"):
        text = MODULE.format(body=body, scale=scale, comment=comment)
        (tmp_path / "sweep_module.py").write_text(text, "utf-8")
        importlib.invalidate_caches()
        sys.modules.pop("sweep_module", None)
        return importlib.import_module("sweep_module").changing

    importlib.import_module("joblib.externals.loky").get_reusable_executor().shutdown()
    yield write
    importlib.import_module("joblib.externals.loky").get_reusable_executor().shutdown()
    sys.modules.pop("sweep_module", None)


def test_a_function_that_has_changed_is_another_experiment(module, tmp_path):
    store, keyed = tmp_path / "s.sqlite", tmp_path / "k.sqlite"
    before = mr.sweep(module(), {"l2": [1]}, store=store)
    assert mr.sweep(module(comment="another"), {"l2": [1]}, store=store) == before
    for change in ({"body": "total + 1"}, {"scale": 2}, {"body": "sum([total])"}):
        with pytest.raises(
            ValueError, match=r"holds another experiment, of the function's code '\w+', here '\w+'"
        ):
            mr.sweep(module(**change), {"l2": [1]}, store=store)
    mr.sweep(module(), {"l2": [1]}, store=keyed, key="first")
    mr.sweep(module(body="total + 0"), {"l2": [1]}, store=keyed, key="first")


def test_the_digest_is_the_same_in_every_process():
    code = "import test_sweep, minireg.workers; print(minireg.workers.digest(test_sweep.member))"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    for seed in "12":
        env = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed}
        # pytest rewrites the asserts of this module, but there is none in the function
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=env
        )
        assert found.stdout.strip() == workers.digest(member)


def member(l2, seed, names=("a", "b"), on=frozenset("xyz")):
    return [l2 for name in names if name in {"a", "b", "c", "d"} and name not in on]


def met(folder):
    """1, when two processes have come here: so that each has computed a trial."""
    os.makedirs(folder, exist_ok=True)
    Path(folder, str(os.getpid())).touch()
    while len(os.listdir(folder)) < 2:
        time.sleep(0.01)
    return 1


def test_a_worker_that_has_an_older_function_computes_nothing(module, tmp_path):
    body = f"total * __import__('test_sweep').met({str(tmp_path / 'met')!r})"
    assert mr.sweep(module(body=body), {"l2": [1, 2]}, n_jobs=2)["loss"] == [3.0, 6.0]
    with pytest.raises(RuntimeError, match="this worker has another version of <function changing"):
        mr.sweep(module(body="0 * total"), {"l2": [1, 2]}, n_jobs=2)  # joblib keeps its workers


def test_json_has_no_nan(tmp_path):
    found = mr.sweep(lambda l2, seed: {"a": math.nan, "b": 1.0}, {"l2": [(1, np.float32(2))]})
    found.to_json(path := tmp_path / "sweep.json")
    kept = json.loads(path.read_text("utf-8"), parse_constant=pytest.fail)
    assert kept["rows"] == [{"l2": [1, 2.0], "seed": 0, "a": None, "b": 1.0}]
    assert (kept["parameters"], kept["stopped"], kept["halving"]) == (["l2"], "finished", None)


# --- a cluster ----------------------------------------------------------------------------------

SIXTY = {"grid": {"l2": [float(i) for i in range(20)]}, "seeds": [0, 1, 2]}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_sixty_trials_on_a_cluster_two_of_whose_workers_are_killed(tmp_path, calls):
    """Issue 19: the same table as in sequence, also from its store."""
    one = mr.sweep(counted, **SIXTY)
    assert calls() == 60
    (calls.folder / "killing").touch()
    store = tmp_path / "sweep.sqlite"
    assert mr.sweep(counted, **SIXTY, n_jobs=2, scheduler="local", store=store) == one
    assert 62 <= calls() <= 64  # what a worker had just done when it was killed is done again, too
    assert len([p for p in calls.folder.iterdir() if p.name.startswith("killed")]) == 2
    assert mr.Sweep.load(store) == one


SCRIPT = """
import sys
import minireg as mr
from test_sweep import SIXTY, counted
if __name__ == "__main__":
    found = mr.sweep(counted, **SIXTY, n_jobs=2, scheduler="local", store=sys.argv[1])
    print(found.stopped, len(found.rows), len(found.missing))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_a_cluster_interrupted_and_run_again_computes_only_the_rest(tmp_path, calls):
    (calls.folder / "slow").touch()
    script, store = tmp_path / "script.py", tmp_path / "sweep.sqlite"
    script.write_text(SCRIPT, "utf-8")
    path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    process = subprocess.Popen(
        [sys.executable, script, store],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    while process.poll() is None and len([*calls.folder.iterdir()]) < 12:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stopped, rows, missing = process.communicate(timeout=120)[0].split()
    assert (stopped, int(rows) + int(missing)) == ("interrupted", 60)
    assert 0 < int(rows) < 60
    assert len(mr.Sweep.load(store).rows) == int(rows)
    calls()
    found = mr.sweep(counted, **SIXTY, n_jobs=2, scheduler="local", store=store)
    assert calls() == int(missing)
    assert found == mr.sweep(counted, **SIXTY)


@pytest.mark.slow
def test_what_fails_on_a_cluster_and_what_kills_each_worker():
    grid = {"l2": [0.0, "raises", "odd", 1.0, "array", "dies", 2.0]}
    with pytest.warns(UserWarning, match="sweep: 4 of 7 runs failed"):
        found = mr.sweep(trouble, grid, n_jobs=2, scheduler="local", retries=1)
    assert found["value"] == [0.0, 1.0, 2.0]
    assert failures(found)["raises", 0] == "ZeroDivisionError: no"
    assert "its worker was killed" in failures(found)["dies", 0]


@pytest.mark.slow
def test_what_a_scheduler_may_lack_is_said(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "PATIENCE", 1)
    ghost = types.ModuleType("ghost")
    exec("def f(l2, l1, seed): return 1", vars(ghost))
    monkeypatch.setitem(sys.modules, "ghost", ghost)
    lock = threading.Lock()
    with distributed.LocalCluster(
        n_workers=0, threads_per_worker=1, dashboard_address=None
    ) as there:
        address = there.scheduler_address
        with pytest.raises(ConnectionError, match=r"has no workers.*dask worker"):
            mr.sweep(figures, GRID, scheduler=address)
        there.scale(1)
        there.wait_for_workers(1)
        monkeypatch.setattr(workers, "PATIENCE", 20)
        assert mr.sweep(figures, GRID, scheduler=address) == mr.sweep(figures, GRID)
        with pytest.raises(TypeError, match=r"another process: ModuleNotFoundError: .*'ghost'"):
            mr.sweep(ghost.f, GRID, scheduler=address)
        with pytest.raises(TypeError, match="another process: TypeError: cannot pickle"):
            mr.sweep(lambda l2, l1, seed: lock.locked(), GRID, scheduler=address)
        monkeypatch.setattr(np, "__version__", "0.1")
        with pytest.raises(RuntimeError, match=r"has numpy [\d.]+, expected 0.1 as here"):
            mr.sweep(figures, GRID, scheduler=address)
    for wrong in (address, "nonsense", "what://x:1"):
        monkeypatch.setattr(workers, "PATIENCE", 1)
        with pytest.raises(ConnectionError, match=r"no scheduler at|did not answer"):
            mr.sweep(figures, GRID, scheduler=wrong)


WRONG = """
import socket, sys
import minireg as mr
from minireg import workers

if __name__ == "__main__":
    silent = socket.create_server(("127.0.0.1", 0))
    for address in ("http://wrong:1", f"tcp://127.0.0.1:{silent.getsockname()[1]}"):
        workers.PATIENCE = 1
        try:
            mr.sweep(print, {"l2": [1]}, scheduler=address)
        except ConnectionError as error:
            print(error)
"""


@pytest.mark.slow
def test_of_a_scheduler_that_is_none_one_line_is_said(tmp_path):
    """Dask printed a traceback of its own at the end, and of a port that says nothing it never came back."""
    pytest.importorskip("distributed")
    (script := tmp_path / "script.py").write_text(WRONG, "utf-8")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=env, timeout=120
    )
    assert told.stderr == ""
    assert len(lines := told.stdout.splitlines()) == 2
    assert "no scheduler at 'http://wrong:1': unknown address scheme 'http'" in lines[0]
    assert "did not answer" in lines[1] or "no scheduler at" in lines[1]


@pytest.mark.slow
def test_a_cluster_whose_workers_go_ends_the_sweep_and_old_code_is_told(
    module, tmp_path, calls, monkeypatch
):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "LOST", 2)
    (calls.folder / "slow").touch()
    store = tmp_path / "sweep.sqlite"
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as there:
        options = {"scheduler": there.scheduler_address}
        assert mr.sweep(module(), {"l2": [1]}, **options)["loss"] == [3.0]
        with pytest.raises(RuntimeError, match=r"worker tcp.* has function \w+, expected \w+"):
            mr.sweep(module(body="0 * total"), {"l2": [1]}, **options)
        grid = {"l2": [float(i) for i in range(300)]}
        with pytest.raises(ConnectionError, match=r"workers of tcp.* are gone, and none came"):
            mr.sweep(counted, grid, store=store, on_run=lambda row: there.scale(0), **options)
    kept = mr.Sweep.load(store)
    assert 0 < len(kept.rows) < 300
    assert len(kept.rows) + len(kept.missing) == 300


def test_jobs_are_of_this_machine():
    with pytest.raises(ValueError, match="n_jobs=2 is of this machine, 'tcp://"):
        mr.sweep(figures, GRID, scheduler="tcp://127.0.0.1:1", n_jobs=2)


@pytest.mark.slow
def test_a_function_that_no_process_can_import_is_said():
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"another process: .*define it at the top of a module"):
        mr.sweep(lambda l2, l1, seed: lock.locked(), GRID, n_jobs=2)


# --- halving ------------------------------------------------------------------------------------


def learnt(l2, epochs, seed):
    """The best is 3 in the end, though 2 is ahead of it after one epoch; 5 diverges."""
    if l2 == 5:
        return {"loss": math.nan}
    return {"loss": abs(l2 - 3) + (2 if l2 == 3 else 1) / epochs + 0.01 * seed}


HALVING = mr.Halving("loss", 9)
NINE = {"grid": {"l2": [*range(9)]}, "seeds": [0, 1]}


def test_halving_gives_the_full_budget_to_the_best_alone():
    found = mr.sweep(learnt, **NINE, halving=HALVING)
    rungs = {
        e: [r["l2"] for r in found.rows if r["epochs"] == e and not r["seed"]] for e in (1, 3, 9)
    }
    assert rungs == {1: [*range(9)], 3: [2, 3, 4], 9: [3]}
    assert found.best("loss")["l2"] == 3
    assert {row["epochs"] for row in found.full.rows} == {9}
    assert "at l2=2, epochs=3: 1.338 ± 0.007071 (stopped early)" in repr(found)
    assert repr(found.rows) == repr(mr.sweep(learnt, **NINE, halving=HALVING, n_jobs=2).rows)


@pytest.mark.parametrize("points", [1, 2, 3, 4, 9, 10, 60])
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("most", [1, 5, 27, 60])
def test_the_rungs_of_a_halving_end_with_the_full_budget(points, factor, most):
    for least in {1, most // 2 or 1, most}:
        rungs = mr.Halving("loss", most, least=least, factor=factor).rungs(points)
        assert (rungs[0][0], rungs[-1][1]) == (points, most)
        for (n, budget), (kept, longer) in itertools.pairwise(rungs):
            assert (kept, budget) == (-(-n // factor), longer // factor)
        assert rungs[0][1] >= least
        # no rung more than it takes to find one, and none less if its budget is not too small
        assert all(n > 1 for n, _ in rungs[:-1])
        assert rungs[-1][0] == 1 or rungs[0][1] // factor < least


def test_ties_go_to_the_first_in_the_grid_and_nan_goes_no_further():
    even = mr.sweep(
        lambda l2, epochs, seed: 1, {"l2": [4, 3, 2, 1]}, halving=mr.Halving("value", 3)
    )
    assert [r["l2"] for r in even.full.rows] == [4, 3]
    none = mr.sweep(
        lambda l2, epochs, seed: math.nan, {"l2": [4, 3]}, halving=mr.Halving("value", 3)
    )
    assert none.full.rows == ()
    with pytest.raises(ValueError, match="no run has epochs=3 yet"):
        none.best("value")


def test_more_is_better_where_it_is_said():
    rule = mr.Halving("value", 4, "steps", least=2, factor=2, mode="max")
    found = mr.sweep(lambda l2, steps, seed: l2 * steps, {"l2": [1, 5, 2, 3]}, halving=rule)
    assert [(r["l2"], r["steps"]) for r in found.rows] == [
        (1, 2), (5, 2), (2, 2), (3, 2), (5, 4), (3, 4)]  # fmt: skip


def test_a_halving_goes_on_from_its_store(tmp_path):
    store, whole = tmp_path / "s.sqlite", mr.sweep(learnt, **NINE, halving=HALVING)
    for stop in (5, 19, 24, 26):
        numbers = iter(range(100))

        def interrupted(stop=stop, numbers=numbers, **point):
            if next(numbers) == stop:
                raise KeyboardInterrupt
            return learnt(**point)

        found = mr.sweep(interrupted, **NINE, halving=HALVING, store=store, key="learnt")
        assert repr(mr.Sweep.load(store)) == repr(found)
    assert repr(found) == repr(whole)
    with pytest.raises(ValueError, match="another experiment, of halving"):
        mr.sweep(interrupted, **NINE, store=store, halving=mr.Halving("loss", 27), key="learnt")


def test_an_interrupted_halving_has_no_best():
    def stops(l2, epochs, seed):
        if epochs == 3:
            raise KeyboardInterrupt
        return {"loss": l2}

    found = mr.sweep(stops, **NINE, halving=HALVING)
    assert (found.stopped, len(found.rows), len(found.missing)) == ("interrupted", 18, 6)
    with pytest.raises(ValueError, match="no run has epochs=9 yet"):
        found.best("loss")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"most": 0}, "most must be an integer ≥ 1, got 0"),
        ({"most": 3, "factor": 1}, "factor must be an integer ≥ 2, got 1"),
        ({"most": 3, "least": 4}, "least=4 is more than most=3"),
        ({"most": 3, "mode": "least"}, "mode must be 'min' or 'max'"),
    ],
)
def test_a_halving_that_is_none_is_refused(options, says):
    with pytest.raises(ValueError, match=f"Halving: {says}"):
        mr.Halving("loss", **options)


def test_a_halving_and_its_grid_must_fit():
    with pytest.raises(ValueError, match="'epochs' is halving's budget"):
        mr.sweep(learnt, {"l2": [1], "epochs": [2]}, halving=HALVING)


def test_a_figure_that_there_is_none_of_costs_one_trial_which_the_store_keeps(tmp_path):
    store, told = tmp_path / "s.sqlite", []
    with pytest.raises(
        KeyError, match=r"Halving: there is no figure 'lost', the function returned"
    ):
        mr.sweep(
            learnt, **NINE, halving=replace(HALVING, figure="lost"), store=store, on_run=told.append
        )
    assert len(told) == 1
    found = mr.sweep(learnt, **NINE, halving=HALVING, store=store, on_run=told.append)
    assert len(told) == len(found.rows)
    assert repr(mr.Sweep.load(store)) == repr(found)  # of which one loss is NaN
    assert mr.Sweep.load(store).halving == HALVING


# --- the one-standard-error rule ----------------------------------------------------------------


def bowl(l2, seed, lr=0):
    return 0.1 * (l2 - 2) ** 2 + lr + (0.5 if seed else -0.5)


def test_the_largest_within_one_standard_error_of_the_best():
    found = mr.sweep(bowl, {"l2": [5, 4, 3, 2, 1, 0]}, seeds=[0, 1])
    best, chosen = found.best("value"), found.one_standard_error("value")
    assert best["l2"] == 2
    assert best["se"] == pytest.approx(0.5)
    assert chosen["l2"] == 4  # 0.4 above the best; 5 is 0.9
    assert found.one_standard_error("value", mode="max")["l2"] == 5
    lonely = mr.sweep(bowl, {"l2": [1, 2]})
    with pytest.raises(ValueError, match="no standard error of 'value' at l2=2, seeds: 1"):
        lonely.one_standard_error("value")


def test_other_parameters_are_held_at_the_best():
    found = mr.sweep(bowl, {"lr": [0.1, 0.0], "l2": [2, 3, 9]}, seeds=[0, 1])
    assert found.one_standard_error("value", "l2") == found.summary("value")[4]
    with pytest.raises(ValueError, match=r"lr and l2 of .* have several values; pass parameter="):
        found.one_standard_error("value")
    with pytest.raises(ValueError, match=r"parameter must be one of \['lr', 'l2'\], got 'l1'"):
        found.one_standard_error("value", "l1")
    words = mr.sweep(lambda on, seed: seed, {"on": ["a", "b"]}, seeds=[0, 1])
    with pytest.raises(ValueError, match="'on' has no order at 'a'"):
        words.one_standard_error("value")


def test_law_mean_and_deviation_are_those_of_scaled_values():
    for values in (
        [1.7e308, 1.7e308],
        [1.7e308, 1.6e308, 1.5e308],
        [-1e308, 1e308, 1.7e308],
        [1, 2],
    ):
        of = dict(enumerate(values))
        found = mr.sweep(lambda l2, seed, of=of: of[seed], {"l2": [0]}, seeds=range(len(values)))
        (row,) = found.summary("value")
        scaled = np.array(values) / 2.0**600
        assert row["mean"] / 2.0**600 == pytest.approx(scaled.mean(), rel=1e-12)
        assert row["std"] / 2.0**600 == pytest.approx(scaled.std(ddof=1), rel=1e-12)


@pytest.mark.parametrize(
    ("values", "mean"),
    [((math.inf, -math.inf), math.nan), ((math.inf, 1.0), math.inf), ((math.nan, 1.0), math.nan)],
)
def test_means_of_what_is_not_finite(values, mean):
    found = mr.sweep(lambda l2, seed: values[seed], {"l2": [0]}, seeds=[0, 1])
    (row,) = found.summary("value")
    assert row["mean"] == pytest.approx(mean, nan_ok=True)
    assert math.isnan(row["std"])


def test_one_lucky_seed_is_not_chosen():
    def lucky(l2, seed):
        if l2 == 3 and seed:
            raise FloatingPointError("diverged")
        return 0.1 * l2 + seed

    with pytest.warns(UserWarning, match="2 of 9 runs failed"):
        found = mr.sweep(lucky, {"l2": [1, 2, 3]}, seeds=[0, 1, 2])
    for choose, l2 in ((found.best, 1), (found.one_standard_error, 2)):
        with pytest.warns(UserWarning, match="a run failed at l2=3, left out") as caught:
            assert choose("value")["l2"] == l2
        assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("name", ["mean", "std", "se", "seeds", "error"])
def test_parameters_that_a_table_has_as_columns_are_refused(name):
    with pytest.raises(ValueError, match=f"a table has a column '{name}'; name the parameter"):
        mr.sweep(figures, {name: [1]})
    with pytest.raises(ValueError, match=f"a table has a column '{name}'"):
        mr.sweep(figures, {"l2": [1]}, halving=mr.Halving("sum", 9, budget=name))


@pytest.mark.parametrize("seeds", [([0, 1], [1, 2]), ([0, 1], [1]), ([0], [0, 1])])
def test_of_points_of_other_seeds_none_is_best(seeds, tmp_path):
    """One easy seed made the worse of two points the best."""
    store = tmp_path / "s.sqlite"
    for a in (0, 1):
        mr.sweep(shifted, {"a": [a]}, seeds=seeds[a], store=store)
    found = mr.Sweep.load(store)
    listed = "; ".join(f"{', '.join(map(str, seeds[a]))} at a={a}" for a in (0, 1))
    for choose in (found.best, found.one_standard_error):
        with pytest.raises(ValueError, match=f"all points have the same seeds; there are {listed}"):
            choose("value")


def test_an_interrupted_sweep_has_a_best_again_when_it_has_gone_on(tmp_path):
    """Wherever it was interrupted: of one round over the points, of whole ones, of the rest."""
    grid, left = {"a": [0, 1, 2]}, []

    def until(a, seed):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return shifted(a, seed)

    for trials in range(1, 7):
        options = {"seeds": [0, 1], "store": tmp_path / f"{trials}.sqlite", "key": "shifted"}
        left[:] = [1] * trials
        found = mr.sweep(until, grid, **options)
        if trials in (4, 5):  # the second seed of some
            with pytest.raises(ValueError, match="none is best until"):
                found.best("value")
        else:
            assert found.best("value")["a"] == 0
        left[:] = [1] * 6
        assert mr.sweep(until, grid, **options).best("value") == {
            "a": 0, "mean": -2.5, "std": 12.5**0.5, "se": 2.5, "seeds": 2}  # fmt: skip


def shifted(a, seed):
    return a - 5 * seed
