"""The store of a sweep: values survive to the bit, and the file survives what happens to files."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

import minireg as mr
from minireg.trials import Store, key, pack, same, unpack

EXPERIMENT = {"function": "m:f", "key": None, "parameters": ["l2", "l1"], "halving": None}
RUNS = [({"l2": i / 10, "l1": 1}, seed) for i in range(4) for seed in (0, 1)]
KEYS = [key(*run) for run in RUNS]

# --- values -------------------------------------------------------------------------------------

scalars = nps.scalar_dtypes().flatmap(
    lambda dtype: nps.arrays(dtype, ()).map(lambda array: array[()])
)
plain = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | scalars
    | st.sampled_from([np.str_("adam"), np.str_(""), np.float64("nan"), np.bool_(True), -0.0])
)  # fmt: skip
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


def bits(value):
    """A value such that equal bits and types compare as equal."""
    if isinstance(value, np.generic):
        return type(value), value.dtype.str, value.tobytes()
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, list | tuple):
        return type(value), [*map(bits, value)]
    if isinstance(value, dict):
        return [(bits(k), bits(v)) for k, v in value.items()]
    return type(value), value


@settings(deadline=None)
@given(values)
def test_law_every_value_comes_back_as_it_was(value):
    assert bits(unpack(pack(value))) == bits(value)


@settings(deadline=None)
@given(values, values)
def test_law_only_equal_bits_have_equal_keys(a, b):
    assert (pack(a) == pack(b)) == (bits(a) == bits(b))


numbers = st.integers() | st.floats(allow_nan=False) | nps.arrays(
    st.sampled_from(["i1", "u8", "f2", "f4", "f8"]), (), elements={"allow_nan": False}
).map(lambda array: array[()])  # fmt: skip


@settings(deadline=None)
@given(numbers, numbers)
def test_law_equal_numbers_of_any_type_are_the_same(a, b):
    for x, y in ((a, b), (a, float(a)), (b, int(b) if math.isfinite(b) else b)):
        assert (same([x]) == same([y])) == (plainly(x) == plainly(y))


def plainly(number):
    """Python compares integers with floats exactly."""
    return number.item() if isinstance(number, np.generic) else number


def test_what_no_text_can_keep_is_the_same_as_itself_only():
    a, b = np.zeros(2), np.zeros(2)
    assert same(a) == same(a) != same(b)
    assert len({same(True), same(1), same("1"), same((1,)), same([1]), same(None)}) == 6


def test_a_nan_keeps_its_payload():
    odd = struct.unpack("<d", bytes.fromhex("010000000000f8ff"))[0]
    assert struct.pack("<d", unpack(pack(odd))).hex() == "010000000000f8ff"


@pytest.mark.parametrize("value", [object(), {1}, b"x", np.zeros(2), np.longdouble(1), 1j])
def test_what_no_text_can_keep_is_refused(value):
    with pytest.raises(TypeError, match="a store keeps numbers, text, and lists"):
        pack([value])


# --- the file -----------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    with Store(tmp_path / "sweep.sqlite", EXPERIMENT) as store:
        store.plan(RUNS)
        store.add(KEYS[0], {"loss": 0.1, "zeros": math.inf})
        store.add(KEYS[1], "ValueError: no")
    return tmp_path / "sweep.sqlite"


def kept(path):
    with Store(path) as store:
        return [(t.figures, t.error) for t in store.trials().values()]


def test_it_keeps_figures_errors_and_what_is_to_be_done(path):
    assert (
        kept(path)
        == [({"loss": 0.1, "zeros": math.inf}, None), (None, "ValueError: no")] + [(None, None)] * 6
    )


def test_figures_are_not_replaced_an_error_is(path):
    with Store(path, EXPERIMENT) as store:
        store.plan(RUNS)
        store.add(KEYS[0], "late")
        store.add(KEYS[0], {"loss": 9.0})
        store.add(KEYS[1], {"loss": 1.0})
    assert kept(path)[:2] == [({"loss": 0.1, "zeros": math.inf}, None), ({"loss": 1.0}, None)]
    assert len(kept(path)) == 8


def test_an_error_of_any_text_is_kept(path):
    with Store(path, EXPERIMENT) as store:
        store.add(KEYS[2], "ValueError: \udc80 λ \0")
    assert kept(path)[2] == (None, "ValueError: ? λ \0")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"function": "m:g"}, "function 'm:f', here 'm:g'"),
        ({"key": {"epochs": 3}}, "key epochs None, here 3"),
        ({"parameters": ["l2"]}, r"parameters \['l1', 'l2'\], here \['l2'\]"),
    ],
)
def test_another_experiment_is_refused_and_changes_nothing(change, says, path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"holds another experiment, of {says}; choose another"):
        Store(path, EXPERIMENT | change)
    assert path.read_bytes() == before
    Store(path, EXPERIMENT | {"parameters": ["l1", "l2"]}).__exit__()


def foreign(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE trials (x)")
    db.close()


@pytest.mark.parametrize("write", [
    lambda p: p.write_text("l2,loss\n0.1,0.5\n"), foreign, lambda p: p.write_bytes(os.urandom(5000)),
])  # fmt: skip
def test_a_foreign_file_is_refused_and_left_alone(write, tmp_path):
    write(path := tmp_path / "x.sqlite")
    before = path.read_bytes()
    for experiment in (EXPERIMENT, None):
        with pytest.raises(ValueError, match="no store of a sweep"):
            Store(path, experiment)
    assert path.read_bytes() == before


def test_a_store_of_another_version_says_so(tmp_path):
    Store(path := tmp_path / "x.sqlite", EXPERIMENT).__exit__()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 0")
    db.close()
    for experiment in (EXPERIMENT, None):
        with pytest.raises(
            ValueError, match="its format is 0, expected 1: of another version of minireg"
        ):
            Store(path, experiment)


def test_an_empty_file_becomes_a_store_but_is_none(tmp_path):
    (path := tmp_path / "x.sqlite").touch()
    with pytest.raises(ValueError, match="no store"):
        Store(path)
    Store(path, EXPERIMENT).__exit__()
    assert kept(path) == []


def test_paths_that_are_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        Store(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="no folder"):
        Store(tmp_path / "no" / "x", EXPERIMENT)
    with pytest.raises(IsADirectoryError, match="expected a file"):
        Store(tmp_path, EXPERIMENT)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_law_a_damaged_file_is_read_as_it_was_or_refused(path, data):
    """Bytes flipped, or the file cut: never other figures, and no crash."""
    whole = path.read_bytes()
    right = kept(path)
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        place = data.draw(st.integers(0, len(whole) - 1))
        damaged = bytearray(whole)
        damaged[place] ^= data.draw(st.integers(1, 255))
    other = path.with_name("damaged.sqlite")
    other.write_bytes(damaged)
    read = None
    with contextlib.suppress(ValueError, OSError):
        read = kept(other)
    assert read in (None, right)


@pytest.mark.parametrize("column", ["point", "seed", "run", "figures", "checksum"])
def test_a_trial_that_is_damaged_is_forgotten_and_planned_again(column, path):
    """It made all of the store unusable."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE trials SET {column} = {column} || ' ' WHERE place = 1")
    with pytest.raises(ValueError, match="trial 1 is; its sweep computes it again"):
        kept(path)
    with pytest.warns(UserWarning, match=r"trial 1 in '.*' is damaged: it is forgotten"):
        store = Store(path, EXPERIMENT)
    with store:
        store.plan(RUNS)
        assert store.trials().keys() == {*KEYS}
        assert store.trials()[KEYS[0]].figures is None
        assert store.trials()[KEYS[1]].error == "ValueError: no"


def test_a_full_disk_is_said_and_what_was_kept_stays(path):
    with Store(path, EXPERIMENT) as store:
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OSError, match="full") as caught:
            store.add(KEYS[2], {f"figure {i}": i / 7 for i in range(2000)})
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
        store.add(KEYS[3], {"loss": 0.3})
    assert [f for f, _ in kept(path)][:4] == [
        {"loss": 0.1, "zeros": math.inf},
        None,
        None,
        {"loss": 0.3},
    ]


def test_a_file_that_cannot_be_written_is_said(path):
    with Store(path, EXPERIMENT) as store:
        store._db.execute("PRAGMA query_only = 1")  # to root, no file is read-only
        with pytest.raises(PermissionError) as caught:
            store.add(KEYS[3], {"loss": 0.3})
        assert caught.value.filename == str(path)


WRITER = """
import sys
from minireg.trials import Store, key
from test_trials import EXPERIMENT
with Store(sys.argv[1], EXPERIMENT) as store:
    for i in range(10**6):
        run = {"l2": i, "l1": 1}, 0
        store.plan([run])
        store.add(key(*run), {"loss": 0.5})
        print("kept", flush=True)
"""


def writer(path, code=WRITER):
    command = [sys.executable, "-c", code, str(path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_kill_9_loses_nothing_that_was_kept(tmp_path):
    path = tmp_path / "sweep.sqlite"
    for kills in range(1, 4):
        process = writer(path)
        told = [process.stdout.readline() for _ in range(3 * kills)]
        process.kill()
        told += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        finished = [f for f, _ in kept(path) if f]
        assert finished == [{"loss": 0.5}] * len(finished)
        assert len(finished) >= len(told)


@pytest.mark.slow
def test_two_at_once_write_no_row_twice(tmp_path):
    path = tmp_path / "sweep.sqlite"
    both = [writer(path) for _ in range(2)]
    for process in both:
        for _ in range(12):
            assert process.stdout.readline() == "kept\n"
    for process in both:
        process.kill()
        process.wait()
        process.stdout.close()
    points = [(k, t.figures) for k, t in Store(path).trials().items()]
    assert len(points) == len({k for k, _ in points}) >= 12
    assert sum(f is not None for _, f in points) >= 12
    assert mr.Sweep.load(path).figures == ("loss",)


SWEEPER = """
import sys
import minireg as mr
from test_trials import waiting
found = mr.sweep(waiting, {"l2": [*range(8)]}, seeds=[0, 1], store=sys.argv[1])
print(found.stopped, found["value"] == [l2 / 7 + seed for l2 in range(8) for seed in (0, 1)])
"""


def waiting(l2, seed):
    time.sleep(0.02)
    return l2 / 7 + seed


@pytest.mark.slow
def test_two_sweeps_at_once_both_finish_with_the_same_table(tmp_path):
    path = tmp_path / "sweep.sqlite"
    both = [writer(path, code=SWEEPER) for _ in range(2)]
    for process in both:
        assert process.communicate(timeout=120)[0] == "finished True\n"
        assert process.returncode == 0
    assert mr.Sweep.load(path).rows == mr.sweep(waiting, {"l2": [*range(8)]}, seeds=[0, 1]).rows


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_sweep_killed_in_the_middle_goes_on(tmp_path):
    path = tmp_path / "sweep.sqlite"
    process = writer(path, code=SWEEPER)
    finished = 0
    while finished < 3 and process.poll() is None:
        with contextlib.suppress(FileNotFoundError, ValueError):  # not there, or empty yet
            finished = len(mr.Sweep.load(path).rows)
    process.kill()
    process.communicate()
    loaded = mr.Sweep.load(path)
    assert finished <= len(loaded.rows) < 16
    assert len(loaded.rows) + len(loaded.missing) == 16
    assert loaded.stopped == "interrupted"
    again = writer(path, code=SWEEPER)
    assert again.communicate(timeout=60)[0] == "finished True\n"
