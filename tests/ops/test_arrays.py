"""The array functions against NumPy: value, shape and dtype; and NumPy's functions on a Tensor."""

from __future__ import annotations

import copy
import inspect
import operator as operators
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw
from support.few import slow_unless
from support.functions import (
    ACTIVATIONS,
    CASES,
    OWN,
    STABLE,
    converted,
    index,
    outcome,
    results,
    run_composed,
    split_off,
)
from support.lists import exact

import minireg as mr
from minireg import ops
from minireg.ops import COMPOSED, PUBLIC, TABLE

# --- the same as NumPy ----------------------------------------------------------------------------


DTYPES = (np.float64, np.float32, np.int64, np.int32, bool)
NOT_OF = {"power": bool, "pow": bool}  # x ** 2 is a square, which keeps int8


def agree(got: Any, want: Any, kind: type) -> bool:
    if isinstance(got, Exception) or isinstance(want, Exception):
        return isinstance(got, Exception) and isinstance(want, Exception)
    if isinstance(want, list | tuple):
        return len(got) == len(want) and all(
            agree(g, w, kind) for g, w in zip(got, want, strict=True)
        )
    if not isinstance(got, kind):
        return False
    got, want = got.data if isinstance(got, mr.Tensor) else np.asarray(got), np.asarray(want)
    rounding = {"float32": 1e-5, "float16": 1e-2}.get(str(want.dtype), 1e-12)
    return (got.shape, got.dtype) == (want.shape, want.dtype) and np.allclose(
        got, want, rtol=rounding, atol=rounding, equal_nan=want.dtype.kind == "f"
    )


def ways(name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """How a user may call it: ours, NumPy's name, the method, and on raw arrays."""
    function = PUBLIC[name]
    yield "mr", function
    yield "raw", function
    if hasattr(np, name):
        yield "np", getattr(np, name)
    if function not in ops._OF_SEVERAL:
        yield "method", lambda x, *args, **kw: getattr(x, name)(*args, **kw)


@pytest.mark.parametrize(
    ("name", "way"),
    slow_unless(
        lambda name, way: way in ("mr", "method"),
        [(name, way) for name in CASES if name in PUBLIC for way, _ in ways(name)],
    ),
)
def test_equals_numpy(name, way):
    call, numpy = dict(ways(name))[way], STABLE.get(name) or OWN.get(name) or getattr(np, name)
    kind, wrap = (
        ((np.ndarray, np.generic, bool), lambda a: a) if way == "raw" else (mr.Tensor, mr.Tensor)
    )
    wrong = []
    for case, dtype in product(CASES[name], DTYPES):
        args, kw = split_off(case)
        if NOT_OF.get(name) is dtype or (way == "method" and not isinstance(args[0], np.ndarray)):
            continue
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing
            want = outcome(numpy, [converted(a, dtype, lambda a: a) for a in args], kw)
            got = outcome(call, [converted(a, dtype, wrap) for a in args], kw)
        if not agree(got, want, kind):
            wrong.append(f"{name}{case} of {np.dtype(dtype)}: {got!r}, NumPy has {want!r}")
    assert not wrong, "\n".join(wrong[:3])


def test_every_array_function_is_compared():
    tables = (
        "CASES (or, where NumPy has no such function, ACTIVATIONS) in tests/support/functions.py"
    )
    exact(tables, CASES.keys() | ACTIVATIONS, PUBLIC)


def test_median_of_nan_is_nan():
    x = draw(3, 4) * [1, np.nan, 1, 1]
    np.testing.assert_array_equal(mr.median(x, axis=0), np.median(x, axis=0))


# --- functions put together from ops run where the arrays are -------------------------------------


@pytest.mark.parametrize("name", sorted(COMPOSED.keys() & CASES.keys()))
def test_composed_function_stays_on_the_device(name):
    with strict.registered(), strict.count_syncs() as syncs:
        assert run_composed(name, "strict") > 2
    assert {s.partition(" at ")[0] for s in syncs} <= {"get()"}  # where the results are compared


# --- indexing -------------------------------------------------------------------------------------

MASK = np.array([[True, False, True, True], [False] * 4, [True, True, False, False]])
INDICES: dict[str, Any] = {
    "integer": 1, "negative": -1, "slice": slice(None, None, 2), "backwards": slice(None, None, -1),
    "ellipsis": ..., "new axis": None, "nothing": (), "row and column": (1, 2), "column": (..., 2),
    "new axes": (None, slice(1, None), None, 0), "list": [0, 2, 0], "array": index(2, 2, 2),
    "matrix of rows": np.array([[0, 1], [2, 0]]), "pairs": ([0, 0, 2], [1, 1, 3]),
    "open grid": np.ix_([0, 2], [1, 1]),
    "array and slice": (index(0, 0), slice(1, 3)), "array apart": (index(0, 0), None, index(1, 1)),
    "mask": MASK, "mask of rows": np.array([True, False, True]), "list of booleans": [True, False, True],
    "mask and integer": (np.array([True, False, True]), 1), "true": True, "0-d true": np.array(True),
    "0-d false": np.array(False), "0-d integer": np.array(1), "NumPy integer": np.int64(2),
    "no rows": np.zeros(0, int), "mask of nothing": np.zeros((3, 4), bool),
    "tensor": mr.Tensor(index(1, 1, 0)), "tensor mask": mr.Tensor(MASK), "0-d tensor": mr.Tensor(np.array(1)),
    "tensors": (mr.Tensor(index(0, 0)), mr.Tensor(index(1, 1))),
    "tensor and slice": (slice(None), mr.Tensor(index(3, 3))),
    "0-d boolean tensor": mr.Tensor(np.array(True)),
}  # fmt: skip


@pytest.mark.parametrize("which", INDICES)
def test_index(which):
    """Value as in NumPy, and the gradient adds up what was selected, as often as it was."""
    chosen = INDICES[which]
    parts = tuple(getattr(i, "data", i) if isinstance(i, mr.Tensor) else i
                  for i in (chosen if isinstance(chosen, tuple) else (chosen,)))  # fmt: skip
    raw = parts if isinstance(chosen, tuple) else parts[0]
    values = draw(3, 4)
    x = mr.Tensor(values, requires_grad=True)
    y = x[chosen]
    np.testing.assert_array_equal(y.numpy(), values[raw])
    weights = draw(*y.shape, seed=2)
    expected = np.zeros((3, 4))
    np.add.at(expected, raw, weights)
    for create_graph in (False, True):
        (found,) = mr.grad(y, x, weights, create_graph=create_graph, retain_graph=True)
        np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("wrong", [5, (0, 0, 0), index(0, 9), np.ones((4, 3), bool), 1.5, "a"])
def test_index_that_does_not_fit(wrong):
    with pytest.raises(IndexError, match="getitem"):
        mr.Tensor(draw(3, 4))[wrong]


# --- operands that are no arrays ------------------------------------------------------------------

OPERANDS: dict[str, Callable[[Any], Any]] = {
    "matmul": lambda x: x @ [[1.0], [2.0]], "rmatmul": lambda x: mr.matmul([1.0, 2.0, 3.0], x),
    "dot": lambda x: mr.dot(x, [1.0, 2.0]), "inner": lambda x: mr.inner([1.0, 2.0], x),
    "outer": lambda x: mr.outer([1.0, 2.0], x), "tensordot": lambda x: mr.tensordot(x, [1.0, 2.0], 1),
    "einsum": lambda x: mr.einsum("ij,j->i", x, [1.0, 2.0]), "add": lambda x: mr.add(x, [1.0, 2.0]),
    "mul": lambda x: [1.0, 2.0] * x, "div": lambda x: x / [1.0, 2.0], "rdiv": lambda x: [1.0, 2.0] / x,
    "power": lambda x: mr.power(x, [2, 0]), "maximum": lambda x: mr.maximum(x, [0.7, 0.8]),
    "clip": lambda x: mr.clip(x, [0.4, 0.5], [0.8, 0.9]), "arctan2": lambda x: mr.arctan2([1.0, 2.0], x),
    "where": lambda x: mr.where([True, False], x, [1.0, 2.0]), "mod": lambda x: x % [0.3, 0.4],
    "concatenate": lambda x: mr.concatenate([[[1.0, 2.0]], x]),
    "stack": lambda x: mr.stack([x, [[1.0, 2.0]] * 3]),
    "vstack": lambda x: mr.vstack([[1.0, 2.0], x]), "solve": lambda x: mr.linalg.solve(x[:2], [1.0, 2.0]),
    "hstack": lambda x: mr.hstack([x, [[1.0]] * 3]), "logaddexp": lambda x: mr.logaddexp([1.0, 2.0], x),
    "small integers of arctan2": lambda x: mr.arctan2(np.array([12, 100], np.int8), x),
    "small integers to a power": lambda x: mr.power(np.array([12, 100], np.int8), x),
}  # fmt: skip


@pytest.mark.parametrize("what", OPERANDS)
def test_lists_as_operands(what):
    """A list beside a Tensor is the array NumPy makes of it, in both passes and both orders."""
    x = np.random.default_rng(0).uniform(0.2, 1, (3, 2))
    assert mr.gradcheck(OPERANDS[what], x).verdict == "ok"
    assert mr.gradgradcheck(OPERANDS[what], x).verdict == "ok"


def test_division_with_remainder_as_operators():
    x = np.array([5.5, -5.5, 3.0])
    t = mr.Tensor(x, requires_grad=True)
    for operator in (lambda x: x % 2, lambda x: 7.0 % x, lambda x: x // 2, lambda x: 7.0 // x):
        np.testing.assert_array_equal(operator(t).numpy(), operator(x))
    (g,) = mr.grad((t % 2).sum() + (t // 2).sum(), t)
    assert g.numpy().tolist() == [1.0, 1.0, 1.0]


def test_mixed_dtypes_promote_as_in_numpy():
    single, double = mr.Tensor(draw(3).astype(np.float32), requires_grad=True), draw(3)
    y = mr.concatenate([single, double])
    y.sum().backward()
    assert (y.dtype, single.grad.dtype) == (np.float64, np.float32)


# --- bounds of clip -------------------------------------------------------------------------------


def test_bounds_that_are_tensors_get_the_gradient_where_they_hold():
    x = mr.Tensor(np.array([-3.0, 0.5, 3.0, 1.0]))
    low, high = (mr.Tensor(np.array(v), requires_grad=True) for v in (-1.0, 1.0))
    for bounds in ({"a_min": low, "a_max": high}, {"min": low, "max": high}):
        for function in (mr.clip, np.clip):
            found = mr.grad(
                function(x, **bounds), (low, high), np.array([1.0, 10.0, 100.0, 1000.0])
            )
            assert [g.item() for g in found] == [1.0, 100.0]  # none at the bound itself


# --- NumPy's own functions ------------------------------------------------------------------------


def leaf(*shape: int) -> mr.Tensor:
    values = np.random.default_rng(0).uniform(0.2, 0.8, shape)
    return mr.Tensor(values + np.eye(*shape) if len(shape) == 2 else values, requires_grad=True)


# What has an answer that is no part of the graph: facts about an array, and arrays like it.
FACTS = {
    "shape", "ndim", "size", "iscomplexobj", "isrealobj", "isscalar", "iterable", "zeros_like", "ones_like",
    "empty_like", "full_like", "promote_types", "issubdtype",
}  # fmt: skip
# What takes single numbers, and converts as float(t) and int(t) do.
OF_NUMBERS = {
    "base_repr", "format_float_positional", "format_float_scientific", "fromiter", "tri", "tril_indices",
    "triu_indices", "bmat",
}  # fmt: skip
ELSEWHERE = {  # tools of NumPy, files, settings
    "test", "info", "save", "savez", "savez_compressed", "savetxt", "show_config", "show_runtime", "seterr",
    "set_printoptions", "seterrcall", "setbufsize", "printoptions", "get_include", "fromfile", "loadtxt",
    "genfromtxt", "fromregex", "load",
}  # fmt: skip
LATER: dict[str, Callable[[Any], Any]] = {  # where a Tensor is another argument than the first
    "einsum": lambda x: [("...->...", x), ("...,...->...", np.ones(x.shape), x)],
    "select": lambda x: [([np.ones(x.shape, bool)], [x]), ([True], [x], x)],
    "apply_along_axis": lambda x: [(np.sum, 0, x)], "apply_over_axes": lambda x: [(np.sum, x, 0)],
    "insert": lambda x: [(np.zeros(3), 0, x)], "append": lambda x: [(np.zeros(3), x)],
    "full": lambda x: [((3, 3), x)], "full_like": lambda x: [(np.zeros((3, 3)), x)],
    "copyto": lambda x: [(np.zeros(x.shape), x)], "putmask": lambda x: [(np.zeros(3), [True] * 3, x)],
    "place": lambda x: [(np.zeros(3), [True] * 3, x)], "put": lambda x: [(np.zeros(3), [0], x)],
    "put_along_axis": lambda x: [(np.zeros((3, 3)), np.zeros((3, 3), int), x, 0)],
    "fill_diagonal": lambda x: [(np.zeros((3, 3)), x)], "linspace": lambda x: [(0.0, x)],
    "interp": lambda x: [(0.5, [0.0, 1.0, 2.0], x)],
    "piecewise": lambda x: [(np.zeros(3), [np.ones(3, bool)], [x])],
    "polyval": lambda x: [([1.0, 2.0], x)], "choose": lambda x: [(np.zeros(x.shape, int), [x, x])],
    "convolve": lambda x: [(np.ones(2), x)], "average": lambda x: [(np.ones(x.shape), None, x)],
    "cross": lambda x: [(np.ones(3), x)], "kron": lambda x: [(np.ones(2), x)],
    "block": lambda x: [([[x, x]],)],
    "broadcast_arrays": lambda x: [(np.ones((3, 3)), x)], "meshgrid": lambda x: [(np.ones(3), x)],
    "clip": lambda x: [(np.ones(x.shape), x, None), (np.ones(x.shape), None, x)],
    "where": lambda x: [(np.ones(x.shape, bool), x, 0.0), (np.ones(x.shape, bool), 0.0, x)],
    "trapezoid": lambda x: [(np.ones(3), x)], "digitize": lambda x: [(0.5, x)], "isin": lambda x: [(0.5, x)],
    "linalg.solve": lambda x: [(np.eye(3), x)], "linalg.lstsq": lambda x: [(np.eye(3), x)],
    "linalg.multi_dot": lambda x: [([np.eye(3), x, x],)], "vecdot": lambda x: [(np.ones(3), x)],
    **{name: lambda x: [(0.5, x), (np.full(x.shape, 0.5), x)]
       for name in dir(np) if isinstance(getattr(np, name), np.ufunc) and getattr(np, name).nin == 2},
}  # fmt: skip
NO_GRADIENT = {
    name for name, f in PUBLIC.items() if not TABLE.get(f.__name__, TABLE["add"]).differentiable
}
NUMPY = {
    f"{prefix}{name}": getattr(module, name)
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft))
    for name in dir(module)
    if callable(getattr(module, name)) and not name.startswith("_")
    if not inspect.isclass(getattr(module, name)) and name not in ELSEWHERE
}


@pytest.mark.parametrize("name", NUMPY)
def test_numpy_function_records_or_refuses(name):
    """No function of NumPy drops the graph of a Tensor: recorded, no part of it, or refused."""
    function, refusals = NUMPY[name], []
    for x in (leaf(), leaf(3), leaf(3, 3)):
        later = LATER.get(name, lambda x: ())(x)
        for args in ((x,), (x, x), ([x, x],), (x, 1), (x, x, x), (x, 1, 1), *later):
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    found = [*results(function(*args))]
            except Exception as error:
                refusals.append(error)
                continue
            if name not in FACTS | OF_NUMBERS | NO_GRADIENT:
                assert found
                assert all(isinstance(y, mr.Tensor) and y.requires_grad for y in found), (
                    args,
                    found,
                )
    asked = isinstance(function, np.ufunc) or hasattr(function, "__wrapped__")  # by NumPy
    if asked and function not in ops.table.NUMPY and name not in FACTS:
        says = f"np.{name.rpartition('.')[0]}{'.' * ('.' in name)}{function.__name__} would drop the graph"
        assert any(isinstance(e, TypeError) and says in str(e) for e in refusals), refusals


def test_most_of_numpy_is_asked():
    """The walk is over functions that ask the Tensor, not over what fails for other reasons."""
    asks = [f for f in NUMPY.values() if isinstance(f, np.ufunc) or hasattr(f, "__wrapped__")]
    assert len(asks) > 300
    assert {np.linalg.svd, np.fft.fft, np.partition, np.exp} <= set(asks)


# --- errors -----------------------------------------------------------------------------------------

MATRIX = mr.Tensor(draw(2, 3))


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: mr.sum({1.0}), TypeError, ["sum", "set", "got ({1.0})"]),
        (lambda: mr.where(MATRIX > 0), TypeError, ["where", "'x' and 'y'"]),
        (lambda: mr.pad(MATRIX, 1, "edge"), ValueError, ["pad", "mode='edge'", "'constant'"]),
        (lambda: np.pad(MATRIX, 1, mode="reflect"), ValueError, ["pad", "mode='reflect'"]),
        (lambda: mr.split(MATRIX, 2, 1), ValueError, ["split", "axis 1 of length 3", "2 equal"]),
        (lambda: mr.split(MATRIX, 2, 5), ValueError, ["split", "axis 5"]),
        (lambda: mr.take(MATRIX, 0, axis=2), ValueError, ["axis 2", "dimension 2"]),
        (lambda: mr.median(MATRIX, axis=(0, 0)), ValueError, ["median", "repeated axis"]),
        (lambda: mr.diff(MATRIX, -1), ValueError, ["diff", "n=-1", "n ≥ 0"]),
        (lambda: mr.diag(MATRIX[None]), ValueError, ["diag", "(1, 2, 3)", "a vector or a matrix"]),
        (lambda: mr.tensordot(MATRIX, MATRIX, 1), ValueError, ["tensordot", "(2, 3)", "differ"]),
        (lambda: mr.einsum(MATRIX, [0, 1]), TypeError, ["einsum", "Tensor", "'ij,jk->ik'"]),
        (lambda: mr.einsum("ij", MATRIX, MATRIX), ValueError, ["einsum", "operands", "Tensor(2, 3)"]),
        (lambda: np.add(MATRIX, 1, dtype=np.float32), TypeError, ["np.add with dtype=", "drop the graph"]),
    ],
)  # fmt: skip
def test_errors(call, kind, parts):
    with pytest.raises(kind) as caught:
        call()
    for part in parts:
        assert part in str(caught.value), caught.value


# --- what stands for an array ---------------------------------------------------------------------


def other(module: str, make: Callable[[Any], Any]) -> Callable[[], Any]:
    return lambda: make(pytest.importorskip(module))


# what users hand in: how to make it, the array it stands for
TAKEN: dict[str, tuple[Callable[[], Any], np.ndarray]] = {
    "number": (lambda: 2.0, np.array(2, np.float32)),
    "lists": (lambda: [[1.0, 2.0], (3.0, 4.0)], np.array([[1, 2], [3, 4]], np.float32)),
    "integers": (lambda: [1, 2], np.array([1, 2])),
    "empty list": (lambda: [[]], np.zeros((1, 0), np.float32)),
    "array": (lambda: np.ones(2, np.float16), np.ones(2, np.float16)),
    "scalar": (lambda: np.float64(3), np.array(3.0)),
    "Tensor": (lambda: mr.tensor([1.0], requires_grad=True), np.ones(1, np.float32)),
    "Tensors": (lambda: [[mr.tensor(1.0)], [mr.tensor(2.0)]], np.array([[1], [2]], np.float32)),
    "arrays": (lambda: [np.ones(2), np.ones(2)], np.ones((2, 2))),
    "Series": (other("pandas", lambda pd: pd.Series([1, 0])), np.array([1, 0])),
    "DataFrame": (other("pandas", lambda pd: pd.DataFrame({"a": [1.0], "b": [2]})), np.array([[1.0, 2.0]])),
    "torch": (other("torch", lambda torch: torch.ones(2, 3)), np.ones((2, 3), np.float32)),
    "torch tensors": (other("torch", lambda torch: [torch.ones(2)]), np.ones((1, 2), np.float32)),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_what_stands_for_an_array(kind: str) -> None:
    make, array = TAKEN[kind]
    got = mr.backend.as_array(make(), "x")
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, array, strict=True)
    np.testing.assert_array_equal(mr.tensor(make()).data, array, strict=True)


def test_memory_is_shared_where_it_can_be() -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = torch.zeros(2), mr.tensor([0.0, 0.0])
    mr.tensor(theirs).data[0] = 1
    assert theirs[0] == 1
    for exported in (np.from_dlpack(ours), torch.from_dlpack(ours)):
        exported[0] += 1
    assert ours.data[0] == 2


def test_a_graph_of_pytorch_is_not_cut_without_a_word() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"x got a torch.Tensor that requires .* \.detach\(\)"):
        mr.backend.as_array(torch.ones(2, requires_grad=True), "x")


def test_a_single_element_is_formatted_like_a_number():
    assert f"{mr.tensor(2.5):.3f} {mr.tensor([0.5]):.0%} {mr.tensor(3):>4d}" == "2.500 50%    3"
    assert f"{mr.tensor([1.0, 2.0])}" == str(mr.tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor"):
        format(mr.tensor([1.0, 2.0]), ".3f")


# where it is handed in: the call and how it would be written with Tensors only
T = mr.tensor([1.0, 3.0], requires_grad=True)
HANDED = {
    "a list of Tensors": (lambda: mr.sum([T, T]), lambda: mr.stack([T, T]).sum()),
    "a list of Tensors in lists": (lambda: mr.exp([[T], [T]]), lambda: mr.exp(mr.stack([T, T])[:, None])),
    "a list and a Tensor": (lambda: mr.maximum(T, [2.0, 2.0]), lambda: mr.maximum(T, np.full(2, 2.0))),
    "the norm of lists": (lambda: mr.linalg.norm([T, T]), lambda: mr.linalg.norm(mr.stack([T, T]))),
    "dim": (lambda: T.sum(dim=0, keepdim=True), lambda: T.sum(axis=0, keepdims=True)),
    "dim of a function made of ops": (lambda: mr.median(T, dim=0), lambda: mr.median(T, axis=0)),
    "dim of a norm": (lambda: mr.linalg.norm(T, dim=0), lambda: mr.linalg.norm(T, axis=0)),
    "a Tensor by keyword": (lambda: mr.where(T > 2, x=T, y=0.0), lambda: mr.where(T > 2, T, 0.0)),
    "a bias by keyword": (
        lambda: ops.fused.linear(np.ones((1, 2)), np.ones((2, 2)), b=T),
        lambda: ops.fused.linear(np.ones((1, 2)), np.ones((2, 2)), T)),
    "an exponent by keyword": (lambda: mr.power(T, x2=T), lambda: mr.power(T, T)),
}  # fmt: skip


@pytest.mark.parametrize("name", HANDED)
def test_what_is_handed_in_is_recorded(name: str) -> None:
    results = [call() for call in HANDED[name]]
    gradients = [mr.grad(y.sum(), T)[0].data for y in results]
    np.testing.assert_array_equal(*(y.data for y in results), strict=True)
    np.testing.assert_array_equal(*gradients, strict=True)


@pytest.mark.parametrize("operator", ["add", "sub", "mul", "truediv", "pow", "matmul"])
@pytest.mark.parametrize("kind", ["Series", "torch"])
def test_arithmetic_with_other_libraries_is_recorded(kind: str, operator: str) -> None:
    library = pytest.importorskip({"Series": "pandas"}.get(kind, kind))
    theirs = library.Series([2.0, 4.0]) if kind == "Series" else library.tensor([2.0, 4.0])
    ours = np.array([2, 4], np.float32 if kind == "torch" else np.float64)
    f = getattr(operators, operator)
    pairs = [(f(T, theirs), f(T, ours))]
    if (kind, operator) != ("Series", "matmul"):  # pandas refuses that for us
        pairs.append((f(theirs, T), f(ours, T)))
    for y, expected in pairs:
        assert isinstance(y, mr.Tensor)
        np.testing.assert_array_equal(y.data, expected.data, strict=True)
        np.testing.assert_array_equal(
            mr.grad(y.sum(), T)[0].data, mr.grad(expected.sum(), T)[0].data
        )


def test_threads_draw_as_each_would_alone() -> None:
    def drawn() -> list[np.ndarray]:
        mr.manual_seed(5)
        return [mr.nn.Linear(2, 2).weight.data for _ in range(20)]

    alone = drawn()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            together = [f.result() for f in [pool.submit(drawn) for _ in range(2)]]
            follows = pool.submit(lambda: mr.random._seeds.root).result()
    finally:
        sys.setswitchinterval(interval)
    assert follows == 5
    for weights in together:
        np.testing.assert_array_equal(weights, alone)


def test_other_words_of_numpy_and_python_are_recorded() -> None:
    x = mr.tensor([1.5, -2.25], requires_grad=True)
    results = {
        "+x": (+x, [1.5, -2.25], [1, 1]),
        "amax": (np.amax(x), 1.5, [1, 0]), "amin": (np.amin(x), -2.25, [0, 1]),
        "divmod": (divmod(x, 1)[1], [0.5, 0.75], [1, 1]), "np.divmod": (np.divmod(x, 1)[0], [1, -3], [0, 0]),
        "round": (round(x), [2, -2], [0, 0]), "np.around": (np.around(x, 1), [1.5, -2.2], [0, 0]),
        "append": (np.append(x, 3.0), [1.5, -2.25, 3], [1, 1]),
        "flipud": (np.flipud(x), [-2.25, 1.5], [1, 1]),
        "atleast_1d": (np.atleast_1d(x[0]), [1.5], [1, 0]),
    }  # fmt: skip
    for name, (y, value, gradient) in results.items():
        assert y.dtype == np.float32, name
        np.testing.assert_allclose(y.data, value, rtol=1e-6, err_msg=name)
        np.testing.assert_array_equal(mr.grad(y.sum(), x)[0].data, gradient, err_msg=name)
    for function in (np.kron, np.cross):
        with pytest.raises(TypeError, match="would drop the graph"):
            function(x, x)


def test_norms_of_complex_numbers_are_those_of_their_moduli() -> None:
    z = draw(3, 2) + 1j * draw(3, 2, seed=1)
    for ord in (None, "fro", "nuc", 2, 1, np.inf):
        np.testing.assert_allclose(mr.linalg.norm(mr.tensor(z), ord).data, np.linalg.norm(z, ord))


def test_a_deep_copy_keeps_its_gradient() -> None:
    model = mr.nn.Sequential(mr.nn.Linear(2, 1), mr.nn.Linear(1, 1))
    model(mr.tensor([[1.0, 2.0]])).sum().backward()
    twin = copy.deepcopy(model)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert q.kind == p.kind
        assert q.grad is not p.grad
        assert not np.shares_memory(q.grad.data, p.grad.data)
        np.testing.assert_array_equal(q.grad.data, p.grad.data)
