"""Calls of every array function, as NumPy takes them too: shapes, axes, keywords, errors."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import minireg as mr
from minireg.backend import move
from minireg.ops import COMPOSED, PUBLIC

from . import arrays

Case = tuple[Any, ...]  # arguments; a trailing dict holds keywords


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.asarray(2 * arrays.draw(*shape, seed=seed))


def index(*i: int) -> np.ndarray:
    return np.array(i)


SHAPES = [(3, 4), (5,), (), (0,), (2, 0, 3), (2, 3, 4)]

PAIRS = [((3, 4), (3, 4)), ((3, 4), (4,)), ((), (3,)), ((3, 1), (2, 1, 4)), ((0,), (1,)),
         ((2, 0, 3), (3,)), ((2,), (3,))]  # fmt: skip

AXES = (None, 0, -1, 1, (0,), (0, -1), (-1, 1), 5)  # the last does not exist


def each(*rest: Case) -> list[Case]:
    """An array of every shape before each of these arguments."""
    return [(draw(*shape), *args) for shape in SHAPES for args in rest]


def along(*rest: Case) -> list[Case]:
    return each(*((*args, {"axis": axis}) for args in rest or [()] for axis in AXES))


def reduction(**extra: Any) -> list[Case]:
    kept = ({"axis": axis, "keepdims": keep} for axis in AXES for keep in (False, True))
    return each((), *((kw | extra,) for kw in kept))


RANKS = [(), (3,), (0,), (2, 3), (3, 2), (0, 3), (3, 0), (2, 2, 3), (2, 3, 2), (4, 1, 2, 3), (1,)]

PRODUCTS = [(draw(*a), draw(*b, seed=1)) for a in RANKS for b in RANKS]

EINSUM = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ii", (3, 3)), ("ii->i", (3, 3)),
    ("iij->j", (3, 3, 2)), ("...ij,...jk->...ik", (2, 1, 2, 3), (3, 3, 4)), ("i,j", (2,), (3,)),
    ("i,i->", (3,), (3,)), ("ij->ji", (2, 3)), ("ij,jk->ik", (2, 1), (3, 4)), ("ij,ij->ij", (2, 1), (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)), ("i->", (0,)), ("ij,jk->ik", (2, 0), (0, 4)), ("...", (2, 3)),
    ("...->...", ()), ("ba", (2, 3)), ("ij,j->i", (2, 3), (4,)), ("ij->k", (2, 3)), ("ij", (2,)),
    (" i j , j k -> i k ", (2, 3), (3, 4)), ("i...->...", (2, 3, 4)), ("...i,...i->...", (2, 3, 4), (4,)),
]  # fmt: skip

TWICE = [[draw(*shape), draw(*shape)] for shape in SHAPES]


def shared(names: str, cases: list[Case]) -> dict[str, list[Case]]:
    return dict.fromkeys(names.split(), cases)


CASES: dict[str, list[Case]] = {
    "clip": [*each((-1, 2), (0.5, None), ({"min": 0},), ({"max": 1, "min": 0},), ({"a_max": 1, "a_min": 0},)),
             (draw(3, 4), draw(4), draw(3, 1))],
    "where": [(draw(3, 1) > 0, draw(4), draw()), (draw(3) > 0, draw(3), 1), (draw() > 0, draw(2), 0.5)],
    **shared("sum mean max min prod any all argmax argmin", reduction()),
    **shared("var std", [*reduction(), *reduction(ddof=1)]),
    **shared("amin amax", reduction()),
    **shared("round around", each((), (1,), (-1,), ({"decimals": 2},))),
    "median": [c for c in reduction() if c[0].size],
    "cumsum": along(), "sort": along(), "argsort": along(), "expand_dims": along(), "flip": along(),
    "cumprod": [c for c in along() if type(c[-1]["axis"]) is not tuple],
    "reshape": each((-1,), ((-1,),), ({"shape": (-1,)},), ((2, 6),)), "ravel": each(()),
    **shared("transpose permute_dims", [
        *each((), ({"axes": None},)), (draw(2, 3, 4), (2, 0, 1)), (draw(2, 3), (0, 0)), (draw(2, 3), (0,)),
        (draw(2, 3, 4), {"axes": (-1, 0, 1)})]),
    "swapaxes": each((0, -1), (1, 5), ({"axis1": 0, "axis2": -1},)),
    "moveaxis": each((0, -1), ((0, 1), (-1, 0)), ({"source": 0, "destination": -1},)),
    "squeeze": [*along(), *((draw(3, 1, 1, 2), axis) for axis in (None, 1, -2, (1, 2), (1, -2), 0))],
    "broadcast_to": each(((2, 3, 4),), ((7,),), ({"shape": (2, 1, 3, 4)},)),
    "roll": [*along((1,), (-2,)), (draw(2, 3), (1, 2), (0, 1)), (draw(2, 3), (1, 2), 0), (draw(2, 3), 7)],
    **shared("tril triu trace diagonal diag", each((), (1,), (-2,), (-7,))),
    "tile": each(*((reps,) for reps in (2, (2,), (2, 1), (1, 2, 3), 0, (2, 0), (), np.int64(2)))),
    "pad": each(*((width, *rest) for width in (1, (1, 2), ((1, 2),), (1,), ((0, 1), (2, 0)), 0)
                  for rest in ((), ("constant",), ({"constant_values": 3},)))),
    **shared("concatenate concat stack", [
        (arrays, *rest) for arrays in TWICE for rest in ((), (-1,), (1,), ({"axis": 0},))]),
    **shared("vstack hstack", [(arrays,) for arrays in TWICE]),
    "split": each((2,), ([1],), ([1, 1, 3], -1), (np.int64(1), 1), ((1, 2),), (2, 5)),
    "take": [c for c in along(([0, -1],), (0,), (index(0, 1, 0),), (np.array([[0, 0]]),), (7,))
             if c[0].size and c[0].ndim],
    "take_along_axis": [(draw(2, 3), np.array([[0, 2], [1, 1]]), 1), (draw(2, 3), np.array([[1]]), 0),
                        (draw(2, 3), index(5, 0), None), (draw(2, 3), np.array([[0]]), 2)],
    "repeat": [*along((2,), (0,)), (draw(3), [1, 0, 2]), (draw(2, 3), [1, 0, 2], 1), (draw(2, 3), [1, 0])],
    "diff": [c for c in along((), (2,), (0,), (-1,)) if c[-1]["axis"] is not None],
    **shared("matmul dot inner outer", PRODUCTS),
    "tensordot": [(*pair, axes) for pair in PRODUCTS for axes in
                  (0, 1, 2, ([0], [0]), ((-1,), (0,)), (0, -1), ([0, 1], [1, 0]), np.int64(1))],
    "einsum": [(subscripts, *(draw(*shape) for shape in shapes), *rest)
               for subscripts, *shapes in EINSUM for rest in ((), ({"optimize": True},))],
    **shared("isclose allclose array_equal", [
        (draw(3), draw(3)), (draw(2, 3), draw(3)), (draw(2), draw(3)), (draw(3), 1.0), (draw(0), draw(0))]),
}  # fmt: skip

# Names of our own and what NumPy calls them; the activations have no NumPy to agree with.
OWN = {"sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative}

ACTIVATIONS = {
    "erf", "relu", "leaky_relu", "sigmoid", "softplus", "gelu", "silu", "logsumexp", "softmax", "log_softmax",
}  # fmt: skip

STABLE = {
    "argsort": partial(np.argsort, kind="stable")
}  # NumPy may order equal elements as it likes

UFUNCS: dict[str, Any] = {
    name: ufunc
    for name in sorted(PUBLIC.keys() - ACTIVATIONS - {"matmul"})
    if isinstance(ufunc := OWN.get(name) or getattr(np, name, None), np.ufunc)
}
for _name, _ufunc in UFUNCS.items():
    if _ufunc.nin == 1:
        CASES[_name] = each(())
    else:
        CASES[_name] = [(draw(*a), draw(*b, seed=1)) for a, b in PAIRS] + [
            (draw(3), 2), (draw(3), 2.5), (1.5, draw(3)), (draw(3), [1, 2, 3]), ([1.0, 2.0, 3.0], draw(3)),
        ]  # fmt: skip


def converted(x: Any, dtype: Any, array: Callable[[np.ndarray], Any]) -> Any:
    """The drawn arrays of an argument in a dtype, wrapped; indices stay as they are."""
    if isinstance(x, list) and x and isinstance(x[0], np.ndarray):
        return [converted(i, dtype, array) for i in x]
    if not isinstance(x, np.ndarray):
        return x
    if x.dtype != np.float64:
        return array(x)
    return array(np.asarray(x > 0) if dtype is bool else x.astype(dtype))


def outcome(function: Callable[..., Any], args: Case, kw: dict[str, Any]) -> Any:
    """What a call gives, or the error that it raises."""
    try:
        return function(*args, **kw)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        return error


def results(y: Any) -> Iterator[Any]:
    """What a function returned, one by one."""
    if isinstance(y, list | tuple):
        for part in y:
            yield from results(part)
    else:
        yield y


def split_off(case: Case) -> tuple[Case, dict[str, Any]]:
    return (case[:-1], case[-1]) if isinstance(case[-1], dict) else (case, {})


def run_composed(name: str, home: str, tolerance: float = 0.0) -> int:
    """Compare the function on ``home`` with that on the host; returns in how many cases."""
    ran = 0
    for case in CASES[name]:
        args, kw = split_off(case)
        if name == "take" and isinstance(args[1], list):
            continue  # the stand-in refuses a host index, which CuPy would copy at each use
        want = outcome(COMPOSED[name], args, kw)
        if isinstance(want, Exception):
            continue
        moved = [converted(a, np.float64, lambda a: mr.Tensor(move(a, home))) for a in args]
        for g, w in zip(results(COMPOSED[name](*moved, **kw)), results(want), strict=True):
            assert g.backend == home, case
            np.testing.assert_allclose(g.numpy(), w, rtol=tolerance, atol=tolerance)
        ran += 1
    return ran
