"""The generated tests: every entry of the table through every check, and checks of the checks."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest
from support.lists import complete, exact

import minireg as mr
from minireg import ops
from minireg.check.ops import OP_CHECKS, check_op
from minireg.ops import TABLE
from minireg.ops.samples import Shape, binary, shaped, unary

ENTRIES = list(TABLE.values())  # at collection: doctests enter ops of their own later


@pytest.mark.parametrize("check", OP_CHECKS)
@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.samples], ids=lambda e: e.name)
def test_op(entry, check):
    report = check_op(entry, only=[check])
    assert report, report


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_every_entry_is_documented_and_sampled(entry):
    assert entry.formula
    assert entry.samples is not None, "no samples: the generated tests would miss it"
    if entry.differentiable:
        cases = entry.samples(np.random.default_rng(0))
        floats = [a for case in cases for a in case if getattr(a, "dtype", None) == np.float64]
        assert floats, "no sample has a float64 array"


def test_an_entry_has_a_rule_a_line():
    sources = [path.read_text(encoding="utf-8") for path in Path(ops.__file__).parent.glob("*.py")]
    calls = [c for s in sources for c in ast.walk(ast.parse(s)) if isinstance(c, ast.Call)]
    entries = {ast.unparse(c.args[0]): c for c in calls if ast.unparse(c.func) == "op"}
    smooth = [c for c in calls if ast.unparse(c.func) == "_smooth"]  # they have NumPy's names
    entries |= {repr(ast.unparse(c.args[0]).removeprefix("np.")): c for c in smooth}
    shipped = {repr(e.name) for e in ENTRIES if e.function.__module__.startswith("minireg.ops.")}
    assert shipped - entries.keys() == {"'rint'", "'floor'", "'ceil'", "'trunc'"}
    written = {"step.__name__", "f.__name__"}  # the entries that make those four, and the smooth
    assert entries.keys() - shipped == written
    for name, call in entries.items():
        written_out = [rule for rule in call.args[2:] if isinstance(rule, ast.Lambda)]
        lines = [rule.lineno for rule in written_out]
        assert len(set(lines)) == len(lines), name


def test_samples_are_seeded():
    for entry in ENTRIES:
        if entry.samples:
            draws = [entry.samples(np.random.default_rng(7)) for _ in range(2)]
            np.testing.assert_equal(*draws)


# --- values at the kinks: the one documented table -------------------------------------------

KINKS = {
    "relu": (mr.relu, [[0.0]], [[0.0]]),
    "abs": (mr.abs, [[0.0, -2.0]], [[0.0, -1.0]]),
    "sign": (mr.sign, [[0.0, 3.0]], [[0.0, 0.0]]),
    "round": (mr.round, [[0.5, -1.5]], [[0.0, 0.0]]),
    "leaky_relu": (mr.leaky_relu, [[0.0]], [[0.01]]),
    "maximum": (mr.maximum, [[1.0, 2.0], [1.0, 0.0]], [[0.5, 1.0], [0.5, 0.0]]),
    "minimum": (mr.minimum, [[1.0, 2.0], [1.0, 0.0]], [[0.5, 0.0], [0.5, 1.0]]),
    "max": (mr.max, [[3.0, 3.0, 1.0]], [[0.5, 0.5, 0.0]]),
    "min": (mr.min, [[3.0, 1.0, 1.0, 1.0]], [[0.0, 1 / 3, 1 / 3, 1 / 3]]),
    "clip": (lambda x: mr.clip(x, -1.0, 1.0), [[-1.0, 1.0, 1.5]], [[1.0, 1.0, 0.0]]),
    "clip by arrays": (
        mr.clip,
        [[-1.0, 2.0], [-1.0, 0.0], [0.0, 1.0]],
        [[1.0, 0.0], [0.0] * 2, [0.0, 1.0]],
    ),
    "mod": (mr.mod, [[2.0, -2.0], [1.0, 2.0]], [[1.0, 1.0], [-2.0, 1.0]]),
    "arctan2": (mr.arctan2, [[0.0, 0.0], [0.0, 2.0]], [[0.0, 0.5], [0.0, 0.0]]),
    **{
        step: (getattr(mr, step), [[0.0, 1.0, -2.5]], [[0.0, 0.0, 0.0]])
        for step in ("rint", "floor", "ceil", "trunc")
    },
    "floor_divide": (mr.floor_divide, [[2.0, 3.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]),
    "euclidean": (mr.linalg.norm, [[0.0, 0.0]], [[0.0, 0.0]]),
    "p_norm": (lambda x: mr.linalg.norm(x, 3), [[0.0, 0.0]], [[0.0, 0.0]]),
    "p_norm of an entry": (lambda x: mr.linalg.norm(x, 0.5), [[0.0, 4.0]], [[0.0, 1.0]]),
    "spectral": (
        lambda x: mr.linalg.norm(x, 2),
        [[[3.0, 0.0], [0.0, 3.0]]],
        [[[0.5, 0.0], [0.0, 0.5]]],
    ),
    "spectral of 0": (
        lambda x: mr.linalg.norm(x, 2),
        [[[0.0, 0.0], [0.0, 0.0]]],
        [[[0.0, 0.0], [0.0, 0.0]]],
    ),
    "nuclear": (
        lambda x: mr.linalg.norm(x, "nuc"),
        [[[3.0, 0.0], [0.0, 0.0]]],
        [[[1.0, 0.0], [0.0, 0.0]]],
    ),
    "polar": (TABLE["polar"].function, [[[1.0, 0.0], [0.0, 0.0]]], [[[0.0, 1.0], [1.0, 0.0]]]),
    "svd": (
        lambda x: mr.linalg.svd(x).U @ mr.linalg.svd(x).Vh,
        [[[1.0, 0.0], [0.0, 1.0]]],
        [[[0.0, 0.0], [0.0, 0.0]]],
    ),
    "eigh": (
        lambda x: mr.linalg.eigh(x).eigenvectors ** 2,
        [[[1.0, 0.0], [0.0, 1.0]]],
        [[[0.0, 0.0], [0.0, 0.0]]],
    ),
    "svdvals": (mr.linalg.svdvals, [[[1.0, 0.0], [0.0, 1.0]]], [[[1.0, 0.0], [0.0, 1.0]]]),
    "eigvalsh": (mr.linalg.eigvalsh, [[[1.0, 0.0], [0.0, 1.0]]], [[[1.0, 0.0], [0.0, 1.0]]]),
    "pinv": (
        lambda x: mr.linalg.pinv(x, rcond=0.9),
        [[[2.0, 0.0], [0.0, 1.0]]],
        [[[-0.25, 0.25], [0.25, 0.0]]],
    ),
    "std": (mr.std, [[2.0, 2.0]], [[0.0, 0.0]]),
    "power": (lambda x: x**0, [[0.0, 2.0]], [[0.0, 0.0]]),
    "power p": (mr.power, [[0.0, 2.0], [1.0, 1.0]], [[1.0, 1.0], [0.0, 2 * np.log(2)]]),
    "prod": (mr.prod, [[0.0, 2.0, 3.0]], [[6.0, 0.0, 0.0]]),
    "prod of zeros": (mr.prod, [[0.0, 0.0, 3.0]], [[0.0, 0.0, 0.0]]),
}


@pytest.mark.parametrize("name", KINKS)
def test_value_at_the_kink(name):
    function, inputs, expected = KINKS[name]
    leaves = [mr.tensor(np.array(x), requires_grad=True) for x in inputs]
    for create_graph in (False, True):
        found = mr.grad(function(*leaves).sum(), leaves, create_graph=create_graph)
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(got.numpy(), want, rtol=1e-15)


def test_every_documented_kink_has_its_value_tested():
    documented = {e.name for e in ENTRIES if e.kink}
    complete("KINKS in tests/ops/test_ops.py", {n.partition(" ")[0] for n in KINKS}, documented)


# --- an op of one's own gets the same tests --------------------------------------------------


def test_a_users_op_is_tested_from_its_entry(table):
    cube = mr.op(
        "cube", lambda x: x**3, lambda g, y, x: g * (3 * x**2), formula="3x²", samples=unary()
    )
    for by in (cube, "cube", table["cube"]):
        report = check_op(by)
        assert report
        assert set(report.failures) == {"entry", *OP_CHECKS}
        assert str(report).startswith("cube: ok\n  passed: entry, order 1")


def test_missing_formula_and_samples_fail(table):
    bare = mr.op("bare", np.positive, lambda g, y, x: g)
    assert check_op(bare).failures["entry"] == ("no formula", "no samples")
    none = mr.op("none", np.positive, lambda g, y, x: g, formula="1", samples=lambda rng: [])
    assert check_op(none).failures["entry"] == ("no samples",)
    values_only = mr.op("values_only", np.rint)
    assert check_op(values_only)


def test_a_rule_that_raises_is_a_failure_with_its_sample(table):
    broken = mr.op("broken", lambda x: x * 2, lambda g, y, x: g @ x, formula="?", samples=unary())
    failed = check_op(broken, only=["order 1"]).failures["order 1"]
    assert "matmul" in failed[0]
    assert "broken(array(3, 4))" in failed[0]


@pytest.mark.parametrize(
    ("op", "only"),
    [("no such op", None), (3, None), (len, None), (mr.einsum, None), ("exp", ["order 9"])],
)
def test_misuse(op, only):
    with pytest.raises(ValueError, match="check_op"):
        check_op(op, only=only)


def _read_in_memory_order(x):
    return np.ravel(x, order="K").reshape(x.shape) * 1.0


def _no_empty(x):
    if x.size == 0:
        raise ValueError("nothing here")
    return x * 2.0


def _in_place(g, y, saved, needs, x):
    return (np.multiply(g, 2, out=g),)


def _twice_the_same(g, y, saved, needs, a, b):
    return (d := g * 1.0), d


def _first_or_nothing(g, y, saved, needs, a, b):
    return (g * b, g * a) if 0 in needs else (None, g)


def fused(value, backward, definition):
    return lambda name, **kw: mr.op(
        name, lambda *x: (value(*x), None), backward=backward, definition=definition, **kw
    )


def plain(value, *rules):
    return lambda name, **kw: mr.op(name, value, *rules, **kw)


def raw(x):
    return x.data if isinstance(x, mr.Tensor) else x


def double(x):
    return x * 2.0


PAIRS = shaped((Shape(2, 3), Shape(2, 3)))
SQUARES = shaped((Shape(2, 3),), (Shape(4, 2),))
PLANTED = {  # check that must notice: an op that is wrong in just this
    "order 1": (plain(lambda x: x * x, lambda g, y, x: g * (2.002 * x)), unary()),
    "order 2": (plain(lambda x: x * x, lambda g, y, x: g * (2 * raw(x))), unary()),
    "two readings": (
        plain(lambda x: x * x, lambda g, y, x: g * ((2 + isinstance(x, mr.Tensor)) * x)),
        unary(),
    ),
    "definition": (
        fused(lambda x: x * x, lambda g, y, s, n, x: (g * 2 * x,), lambda x: x**3),
        unary(),
    ),
    "some inputs": (fused(lambda a, b: a * b, _first_or_nothing, lambda a, b: a * b), PAIRS),
    "float32": (plain(lambda x: x * np.float64(2), lambda g, y, x: g * 2), unary()),
    "special points": (plain(lambda x: x**3, lambda g, y, x: g * (3 * y / x)), unary()),
    "strides": (plain(_read_in_memory_order, lambda g, y, x: g), SQUARES),
    "empty": (plain(_no_empty, lambda g, y, x: g * 2), unary()),
    "broadcast": (
        plain(
            lambda a, b: a * b,
            lambda g, y, a, b: g * b if getattr(b, "ndim", 0) in (0, y.ndim) else g * (b * 2),
            lambda g, y, a, b: g * a,
        ),
        PAIRS,
    ),
    "untouched": (fused(double, _in_place, double), unary()),
    "aliases": (fused(lambda a, b: a + b, _twice_the_same, lambda a, b: a + b), PAIRS),
    "raw": (plain(lambda x: float(x.sum()), lambda g, y, x: g), unary()),
}


@pytest.mark.parametrize("check", PLANTED)
def test_each_check_notices_its_defect(check, table):
    make, samples = PLANTED[check]
    report = check_op(make("planted", formula="?", samples=samples))
    assert report.failures[check], report
    assert not report
    assert f"{check}: " in str(report)


def test_a_documented_kink_excuses_a_special_point(table):
    rule = plain(lambda x: x**3, lambda g, y, x: g * (3 * y / x))
    report = check_op(rule("cube", formula="?", samples=unary()), only=["special points"])
    assert "with 0 for input 0 the value is finite, but a gradient is NaN" in str(report)
    assert check_op(rule("cube", formula="?", samples=unary(), kink="at 0: NaN"))


def test_float32_near_a_zero_of_the_derivative(table):
    """What rounding of the input does to the gradient is no fault, a coarser gradient is one."""
    near = lambda rng: [(np.array(math.pi / 2 + 1e-9),), (np.array([math.pi / 2, 0.3]),)]
    sine = lambda rule: plain(np.sin, rule)("sine", formula="?", samples=near)
    assert check_op(sine(lambda g, y, x: g * mr.cos(x)), only=["float32"])
    coarse = lambda g, y, x: g * mr.cos(x + 1e-3 * (x.dtype != np.float64))
    report = check_op(sine(coarse), only=["float32"])
    (note, *_) = report.failures["float32"]
    assert "the gradient of input 0 where it is 1.5707963" in note
    assert "of float32 inputs, expected -2.50000005e-09 within" in note


def test_every_check_has_a_planted_defect():
    exact("PLANTED in tests/ops/test_ops.py", PLANTED, OP_CHECKS)


def test_only_the_broken_promise_is_reported(table):
    """The narrow defects fail their own check and no other."""
    for check in ("some inputs", "broadcast", "strides", "empty", "aliases"):
        make, samples = PLANTED[check]
        report = check_op(make("planted", formula="?", samples=samples))
        assert [c for c, failed in report.failures.items() if failed] == [check], report


@pytest.mark.parametrize("name", ["linear", "normalize", "cross_entropy", "penalty"])
def test_a_replay_that_forgets_inputs_is_noticed(name, forgetful_replay):
    report = check_op(name)
    assert [check for check, failed in report.failures.items() if failed] == ["some inputs"], report


def test_broadcasting_samples_would_hide_nothing(table):
    """A forgotten sum is the engine's to do: a plain product passes with any shapes."""
    make = plain(lambda a, b: a * b, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
    assert check_op(make("times", formula="b, a", samples=binary()))
