"""Drawn cases against PyTorch: shapes, layouts, axes and indices nobody thought of.

The rows of support/drawn.py say how the arguments of a function are drawn, support/twins has what
PyTorch calls it. A new function needs a row and nothing else: a few cases of it are drawn always,
and with -m slow so many that those of all functions together are at least CASES.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.against import close, same
from support.drawn import COMPOSED, FUNCTIONAL, OPS, Draw, binary
from support.lists import exact
from support.twins.drawn import FUNCTIONS, Case, constant
from support.twins.ops import ORACLES, SHIPPED

import minireg as mr
from minireg.nn import functional
from minireg.ops import TABLE

CASES, LEAST, FEW = 20_000, 50, 10  # of the file, of a function, of a function always


@st.composite
def cases(draw: Any, name: str) -> Case:
    return Case(name, Draw(lambda low, high: draw(st.integers(low, high))))


def drawn(examples: int) -> Callable[..., Any]:
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None,
        phases=[Phase.generate, Phase.shrink], report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],  # it asks the clock of a busy machine
    )  # fmt: skip


# --- tests ----------------------------------------------------------------------------------------


def test_every_function_has_a_row():
    exact("OPS in tests/support/drawn.py", OPS, SHIPPED)
    exact("COMPOSED in tests/support/drawn.py", COMPOSED, mr.ops.COMPOSED)
    ops = {entry.function for entry in TABLE.values()}
    public = {name for name in functional.__all__ if getattr(functional, name) not in ops}
    # the numbers of dropout are drawn, too
    exact("FUNCTIONAL in tests/support/drawn.py", FUNCTIONAL, public - {"dropout"})


def compare(name: str, tally: Any, examples: int, least: int) -> None:
    """Draw cases of a function; the draw must not run dry."""

    @drawn(examples)
    @given(data=st.data())
    def each(data):
        with tally.comparing(name) as passed:
            case = data.draw(cases(name))
            passed.append(same(case.ours, case.theirs, case.arrays))

    before = len(tally.get(name, ()))
    each()
    assert len(tally[name]) - before >= least


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_equals_torch(name, tally):
    compare(name, tally, FEW, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_equals_torch_in_many_cases(name, tally):
    compare(name, tally, max(LEAST, -(-CASES // len(FUNCTIONS))), LEAST)


def value_and_gradients(function: Callable[..., Any], arrays: list[np.ndarray]) -> list[Any]:
    leaves = [mr.Tensor(a, requires_grad=True) for a in arrays]
    y = function(*leaves)
    wave = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
    return [y, *mr.grad(y, leaves, wave)]


def single(value: Any) -> Any:
    floating = isinstance(value, np.ndarray) and value.dtype == np.float64
    return value.astype(np.float32) if floating else value


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if "astype" not in name])
@drawn(10)
@given(data=st.data())
def test_float32_stays_float32(name, data):
    case = data.draw(cases(name))
    wanted = value_and_gradients(case.ours, case.arrays)
    case.kw = {k: single(v) for k, v in case.kw.items()}
    found = value_and_gradients(case.ours, [single(a) for a in case.arrays])
    for got, want in zip(found, wanted, strict=True):
        assert got.dtype == np.float32
        close(got, want, 1e-4)


PAIRS = {name: OPS[name] for name in ("add", "sub", "mul", "div", "maximum", "minimum", "where")}
PAIRS["power"] = binary(0.5, 2)


@st.composite
def pairs(draw: Any, name: str) -> tuple[Any, ...]:
    """Arguments with a number, or an integer or boolean array, as one of the last two; which."""
    d = Draw(lambda low, high: draw(st.integers(low, high)))
    args, at = list(PAIRS[name](d)), d.choice([-1, -2])
    kind = d.choice([float, int, bool, np.int64, np.int8, np.uint8])
    number = 1.5 if kind is float else 2 if kind is int else None
    args[at] = number or np.asarray(d.rng.integers(1, 4, args[at].shape)).astype(kind)
    return args, at


@pytest.mark.parametrize("name", PAIRS)
@drawn(60)
@given(data=st.data())
def test_operand_that_is_no_floating_array(name, data):
    args, at = data.draw(pairs(name))
    other, x = args[at], args[-3 - at]

    def called(function: Callable[..., Any], other: Any, place: Callable[[Any], Any]) -> Any:
        before = [place(a) for a in args[:-2]]
        return lambda x: function(*before, *((x, other) if at == -1 else (other, x)))

    ours = called(TABLE[name].function, other, lambda a: a)
    floating = np.asarray(other, np.float64)  # PyTorch subtracts no booleans
    same(ours, called(ORACLES[name], constant(floating), constant), [x])
    y, gradient = value_and_gradients(ours, [x.astype(np.float32)])
    assert y.dtype == np.result_type(np.float32, other)
    assert gradient.dtype == np.float32
