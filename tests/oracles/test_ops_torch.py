"""Every differentiable op of the table against PyTorch, in float64."""

from inspect import isfunction
from typing import Any

import numpy as np
import pytest
from support.against import SECOND, same, torch
from support.arrays import draw
from support.drawn import LAYOUTS
from support.lists import complete, exact
from support.twins.ops import COMPOSED_CASES, ORACLES, SHIPPED, UP_TO_SIGNS, VALUES

import minireg as mr
from minireg import ops
from minireg.ops import COMPOSED, TABLE


def laid_out(args: tuple[Any, ...], layout: str) -> list[Any]:
    """The arguments with every floating array in another memory layout, and read-only."""
    placed = []
    for a in args:
        if isinstance(a, np.ndarray) and a.dtype.kind == "f":
            same_values = LAYOUTS[layout](a)
            np.testing.assert_array_equal(same_values, a)
            a = same_values.view()
            a.flags.writeable = False
        placed.append(a)
    return placed


def test_every_shipped_op_has_an_oracle():
    exact("ORACLES in tests/support/twins/ops.py", ORACLES, SHIPPED)
    exact("COMPOSED_CASES in tests/support/twins/ops.py", COMPOSED_CASES, COMPOSED)
    assert all(f"linalg.{name}" in COMPOSED_CASES for name in UP_TO_SIGNS)
    assert all(TABLE[name].samples(np.random.default_rng(0)) for name in SHIPPED)


def test_every_public_function_has_an_oracle():
    """What users can call is an op or a composed function with a row above, aliases included."""
    array_functions = {name: getattr(mr, name) for name in ops.PUBLIC}
    assert array_functions.keys() <= set(mr.__all__)
    linalg = {
        f"linalg.{name}": f
        for name, f in vars(mr.linalg).items()
        if isfunction(f) and f.__module__ == mr.linalg.__name__ and not name.startswith("_")
    }
    tested = {id(TABLE[name].function) for name in ORACLES.keys() | VALUES.keys()}
    tested |= {id(COMPOSED[name]) for name in COMPOSED_CASES}
    functions = array_functions | linalg
    listed = {n for n, f in functions.items() if id(f) in tested}
    complete("ORACLES, VALUES or COMPOSED_CASES in tests/support/twins/ops.py", listed, functions)
    assert {"linalg.norm", "linalg.svd", "linalg.det"} <= linalg.keys()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", SHIPPED)
def test_op_equals_torch(name, layout):
    for *args, last in TABLE[name].samples(np.random.default_rng(0)):
        args, kw = (args, last) if isinstance(last, dict) else ([*args, last], {})
        same(TABLE[name].function, ORACLES[name], laid_out(args, layout), kw)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", COMPOSED)
def test_composed_function_equals_torch(name, layout):
    for ours, theirs, args in COMPOSED_CASES[name]:
        same(ours, theirs, laid_out(args, layout))


# --- kinks: the same choice as PyTorch ------------------------------------------------------------

TIES = np.array([[1.0, 2.0, 2.0], [2.0, 0.0, -1.0]])
OTHER = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, -1.0]])
ZEROS = np.array([-1.5, 0.0, -0.0, 2.0])

# label: (op, arguments, keywords)
KINKS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "maximum ties": ("maximum", (TIES, OTHER), {}),
    "maximum against a scalar": ("maximum", (TIES, np.array(2.0)), {}),
    "minimum ties": ("minimum", (TIES, OTHER), {}),
    "max ties": ("max", (TIES,), {}),
    "max ties along an axis": ("max", (TIES,), {"axis": 1}),
    "min ties, kept axis": ("min", (TIES,), {"axis": 0, "keepdims": True}),
    "max of equals": ("max", (np.ones((2, 3)),), {"axis": (0, 1)}),
    "relu": ("relu", (ZEROS,), {}),
    "leaky relu": ("leaky_relu", (ZEROS, 0.1), {}),
    "abs": ("abs", (ZEROS,), {}),
    "sign": ("sign", (ZEROS,), {}),
    "arctan2 at the origin": ("arctan2", (np.zeros(3), np.array([0.0, 1.0, -1.0])), {}),
    "remainder at a multiple": ("mod", (np.array([2.0, 0.0, -3.0]), np.array([1.0, 2.0, 1.5])), {}),
    "floor at a step": ("floor", (ZEROS,), {}),
    "clip at both bounds": ("clip", (ZEROS, -1.5, 2.0), {}),
    "clip at bounds that are arrays": ("clip", (ZEROS, ZEROS - [0, 0, 1, 3], ZEROS), {}),
    "clip, bounds in the wrong order": ("clip", (ZEROS, np.ones(4), -np.ones(4)), {}),
    "clip, empty interval": ("clip", (ZEROS, 1.0, 1.0), {}),
    "clip from one side": ("clip", (ZEROS, 0.0, None), {}),
    "x**0": ("power", (ZEROS, 0), {}),
    "x**0.": ("power", (ZEROS, 0.0), {}),
    "x**1": ("power", (ZEROS, 1), {}),
    "x**2": ("power", (ZEROS, 2), {}),
    "x**3": ("power", (ZEROS, 3), {}),
    "x**[0 1 2 3]": ("power", (ZEROS, np.array([0, 1, 2, 3])), {}),
    "2.0**p": ("power", (2.0, ZEROS), {}),
    "std of equals": ("std", (np.full((2, 3), 0.5),), {}),
    "std of equals, ddof": ("std", (np.ones((2, 3)),), {"axis": 1, "ddof": 1, "keepdims": True}),
    "var of equals": ("var", (np.ones((2, 3)),), {"axis": 0}),
    "prod, one zero": ("prod", (np.array([[0.0, 2.0, 3.0]]),), {}),
    "prod, two zeros": ("prod", (np.array([[0.0, 0.0, 3.0]]),), {"axis": 1}),
    "prod, all zeros": ("prod", (np.zeros((2, 3)),), {"axis": 1}),
    "logsumexp with −∞": ("logsumexp", (np.array([[-np.inf, 0.0, 1.0]]),), {"axis": 1}),
    "softmax with −∞": ("softmax", (np.array([[-np.inf, 0.0, 1.0]]),), {}),
    "softmax of large": ("softmax", (np.array([[1e4, 0.0, -1e4]]),), {}),
    "log_softmax of large": ("log_softmax", (np.array([[1e4, 0.0, -1e4]]),), {}),
    "sigmoid of large": ("sigmoid", (np.array([-800.0, -30.0, 30.0, 800.0]),), {}),
    "silu of large": ("silu", (np.array([-700.0, -30.0, 30.0, 800.0]),), {}),
    "gelu of large": ("gelu", (np.array([-40.0, -5.0, 5.0, 40.0]),), {}),
    "erf, both branches": ("erf", (np.array([-30.0, -1.0, 0.0, 1.0, 6.0, 30.0]),), {}),
    "tanh of large": ("tanh", (np.array([-400.0, 20.0, 400.0]),), {}),
    "cross entropy of large": ("cross_entropy", (np.array([[1e3, 0.0]]), np.array([[0.0, 1.0]])), {}),
}  # fmt: skip


# The same where the derivative is infinite or undefined, and NumPy warns.
POLES = {
    "sqrt": ("sqrt", (np.array([0.0, 4.0]),), {}),
    "log": ("log", (np.array([0.0, 1.0]),), {}),
    "reciprocal": ("reciprocal", (np.array([0.0, 2.0]),), {}),
    "x**-1": ("power", (ZEROS, -1.0), {}),
    "x**0.5": ("power", (np.array([0.0, 4.0]), 0.5), {}),
    "0**p": ("power", (np.zeros(4), np.array([0.0, 1.0, 2.0, 0.5])), {}),
    "0**-1": ("power", (np.zeros(1), np.array([-1.0])), {}),
    "(-2)**p": ("power", (np.full(3, -2.0), np.array([0.0, 2.0, -1.0])), {}),
}  # fmt: skip


@pytest.mark.parametrize("label", KINKS)
def test_kink_equals_torch(label):
    name, args, kw = KINKS[label]
    # a deliberate difference: where the first derivative is set to 0, so is the second; PyTorch's
    # is NaN
    second = None if name in ("std", "arctan2") else SECOND
    same(TABLE[name].function, ORACLES[name], args, kw, second=second)


def test_second_derivative_of_std_of_equals_is_zero():
    x, g = mr.Tensor(np.ones((2, 3)), requires_grad=True), mr.Tensor(np.ones(3), requires_grad=True)
    (first,) = mr.grad(mr.std(x, axis=0), x, g, create_graph=True)
    for second in mr.grad((first * mr.Tensor(draw(2, 3))).sum(), (x, g)):
        assert (second.numpy() == 0).all()


@pytest.mark.parametrize("label", POLES)
def test_pole_equals_torch(label):
    name, args, kw = POLES[label]
    with np.errstate(all="ignore"):  # NaN of the second order depend on how 0·∞ is bracketed
        same(TABLE[name].function, ORACLES[name], args, kw, second=None)


def test_every_op_without_a_derivative_has_an_oracle():
    values = {n for n, entry in TABLE.items() if not entry.differentiable}
    exact("VALUES in tests/support/twins/ops.py", VALUES, values)


@pytest.mark.parametrize("name", VALUES)
def test_value_equals_torch(name):
    for sample in TABLE[name].samples(np.random.default_rng(0)):
        kw = sample[-1] if isinstance(sample[-1], dict) else {}
        args = sample[: len(sample) - bool(kw)]
        ours = TABLE[name].function(
            *(mr.Tensor(a) if isinstance(a, np.ndarray) else a for a in args), **kw
        )
        theirs = VALUES[name](
            *(torch.tensor(a) if isinstance(a, np.ndarray) else a for a in args), **kw
        )
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert not ours.requires_grad
