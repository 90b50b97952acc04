"""check_op: are value and derivatives of an op of the table right?

The generated tests of an op: derivatives of orders 1 and 2, at all inputs and at some, its rules on
arrays and on Tensors, its definition, float32, special points, strides, empty arrays, broadcasting, unchanged
inputs, and gradients that share no memory.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, permutations, product, zip_longest
from typing import Any

import numpy as np

from ..engine import grad
from ..ops import TABLE, Op
from ..tensor import Tensor
from .gradients import gradcheck, gradgradcheck
from .report import KINK, OK, WRONG, Check, Finding, Report, run

Array = np.ndarray[Any, Any]
Faults = Iterator[str]

ACCURACY = 1e-4  # of gradients in float32


@dataclass(frozen=True, repr=False)
class OpReport(Report):
    """What :func:`check_op` found of the op ``name``; true if all that was checked is ok."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def failures(self) -> dict[str, tuple[str, ...]]:
        """For each check that was run, what is wrong and at which sample; () if it passed."""
        wrong = [(f.check, f.note) for f in self.findings if f.verdict == WRONG]
        return {f.check: tuple(n for c, n in wrong if c == f.check) for f in self.findings}

    def __str__(self) -> str:
        passed = [check for check, failed in self.failures.items() if not failed]
        lines = [f"{f.check}: {f.note}" for f in self.findings if f.verdict == WRONG]
        head = f"{self.name}: {self.verdict}"
        return "\n  ".join([head, *lines, f"passed: {', '.join(passed) or 'nothing'}"])


class _Sample:
    """One sample of an op, as a function of its differentiable arrays.

    A trailing dict holds keyword arguments.
    """

    def __init__(self, entry: Op, given: Sequence[Any]) -> None:
        self.entry, self.given = entry, given
        self.kw = given[-1] if given and isinstance(given[-1], dict) else {}
        self.args = [a for a in given if a is not self.kw]
        arrays = {i: a for i, a in enumerate(self.args) if isinstance(a, np.ndarray)}
        floats = [i for i, a in arrays.items() if a.dtype.kind == "f"]
        rules = dict(enumerate(entry.rules))
        self.spots = [i for i in floats if entry.backward or entry.each or rules.get(i)]
        self.arrays: list[Array] = [arrays[i] for i in self.spots]
        self.shapes = [a.shape for a in arrays.values()]

    def __call__(self, *arrays: Any) -> Any:
        others = dict(zip(self.spots, arrays, strict=True))
        args = [others.get(i, a) for i, a in enumerate(self.args)]
        return self.entry.function(*args, **self.kw)

    def mapped(self, function: Callable[[Array], Any]) -> _Sample:
        """The sample with a function applied to its arrays."""
        given = [function(a) if isinstance(a, np.ndarray) else a for a in self.given]
        return _Sample(self.entry, given)

    def recorded(self, arrays: Sequence[Any]) -> tuple[list[Any], Tensor, Tensor]:
        """Leaves of these arrays, the result, and a gradient of its dtype to start from."""
        leaves = _leaves(arrays)
        y = self(*leaves)
        return leaves, y, Tensor(_wave(y).astype(y.dtype), requires_grad=True)

    def backward(self, *arrays: Any) -> tuple[Tensor, list[Array]]:
        """The result, and the gradients at the given arrays by ``backward``."""
        leaves, y, seed = self.recorded(arrays)
        y.backward(seed)
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        return y, [np.zeros(0) if x.grad is None else x.grad.data for x in tensors]

    def __repr__(self) -> str:
        shown = [f"array{a.shape}" if isinstance(a, np.ndarray) else repr(a) for a in self.args]
        return f"{self.entry.name}({', '.join(shown + [f'{k}={v!r}' for k, v in self.kw.items()])})"


def _leaves(arrays: Sequence[Any]) -> list[Any]:
    """Tensors that require a gradient, of arrays; numbers stay numbers."""
    return [a if type(a) is float else Tensor(a, requires_grad=True) for a in arrays]


def _wave(y: Any) -> Array:
    """Uneven weights for the entries of y, none of them zero."""
    return np.asarray(1.5 + np.cos(np.arange(math.prod(y.shape))).reshape(tuple(y.shape)))


def _near(a: Any, b: Any, rtol: float = 1e-12, floor: float = 0.0) -> bool:
    """Whether two arrays differ by at most ``rtol`` times their largest entry."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    scale = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0), floor)
    return a.shape == b.shape and bool((np.abs(a - b) <= rtol * scale).all())


def _elementwise(case: _Sample) -> bool:
    """Whether each entry of the result depends on one entry of each array only."""

    def alone(i: int) -> Any:
        one = whole.mapped(lambda a: np.array(a.flat[i]))
        return one(*one.arrays)

    try:
        y = np.asarray(case(*case.arrays))
        whole = case.mapped(lambda a: np.broadcast_to(a, y.shape))
        same = all(_near(alone(i), y.flat[i]) for i in (0, -1))
        return same and y.shape == np.broadcast_shapes(*case.shapes)
    except (ValueError, TypeError, IndexError):
        return False


# --- gradients at some places, ours or another library's ----------------------------------------


class Places:
    """Where a function is differentiated: at its inputs and its result, some of them or all.

    The inputs are results themselves, so a gradient is asked for in the middle of a graph.
    ``grad`` and ``tensor`` are minireg's, or another library's.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        leaves: Sequence[Any],
        grad: Callable[..., Any] = grad,
        tensor: Callable[[Array], Any] = Tensor,
    ) -> None:
        self.grad, self.tensor = grad, tensor
        inputs = [x * 1.0 for x in leaves]
        y = function(*inputs)
        self.inputs, self.targets = [*leaves, *inputs], [*inputs, y]
        self.cost = (y * y * tensor(_wave(y))).sum()

    def first(self, some: Sequence[int], create_graph: bool = False) -> list[Any]:
        """Gradients at some of the targets."""
        targets = [self.targets[i] for i in some]
        return list(self.grad(self.cost, targets, None, True, create_graph, allow_unused=True))

    def second(self, first: Sequence[Any]) -> list[Any]:
        """Gradients of these, weighed, at the leaves and at the inputs made from them."""
        live = [g for g in first if g is not None and g.requires_grad]
        weights = [self.tensor(_wave(g)) for g in live]
        if not live:
            return [None] * len(self.inputs)
        return list(self.grad(live, self.inputs, weights, True, allow_unused=True))


def at_some_places(
    ours: Places, theirs: Places, several: Sequence[int] = (1, 2)
) -> Iterator[tuple[str, bool]]:
    """What was compared, and whether it is the same: gradients, and gradients of these.

    Ours at every place, every pair of places (or the numbers in ``several``) and all places are
    compared with theirs at all places.
    """
    every = tuple(range(len(theirs.targets)))
    wanted = theirs.first(every, create_graph=True)
    for some in dict.fromkeys([*(c for n in several for c in combinations(every, n)), every]):
        where = f" at {', '.join(map(str, some))} of {len(every)} places" if several else ""
        want, recorded = [wanted[i] for i in some], ours.first(some, create_graph=True)
        yield f"the gradient{where}", _agree(ours.first(some), want)
        yield f"the recorded gradient{where}", _agree(recorded, want)
        again = _agree(ours.second(recorded), theirs.second(want))
        yield f"the second derivative from the gradient{where}", again


def _agree(got: Sequence[Any], want: Sequence[Any]) -> bool:
    """Whether gradients are equal except for rounding; None counts as 0."""

    def array(x: Any, other: Any) -> Array:
        return np.zeros(other.shape) if x is None else np.asarray(x.detach().data)

    pairs = [(a, b) for a, b in zip(got, want, strict=True) if a is not b]
    return all(_near(array(a, b), array(b, a), 1e-9, 1e-4) for a, b in pairs)


# --- the checks: each yields what is wrong ------------------------------------------------------


def _differences(check: Callable[..., Any], case: _Sample, *arrays: Array) -> Faults:
    """Differences agree with the gradients, or with the gradients of the gradients."""
    report = check(case, arrays or tuple(case.arrays))
    if report.verdict not in (OK, KINK):
        yield f"{report.verdict}: {report.worst}"


def _two_readings(case: _Sample) -> Faults:
    """The rule on arrays and the same rule on Tensors give the same numbers."""
    places = Places(case, _leaves(case.arrays))
    every = range(len(places.targets))
    if not _agree(places.first(every), places.first(every, create_graph=True)):
        yield "the gradient differs under create_graph"


def _definition(case: _Sample) -> Faults:
    """Fused equals definition: value, gradient and second derivative."""
    definition = case.entry.definition
    if definition is None:
        if case.entry.backward is not None:
            yield "a fused op has no definition, so it cannot be differentiated twice"
        return
    textbook = _Sample(replace(case.entry, function=definition), case.given)
    ours, theirs = (Places(f, _leaves(case.arrays)) for f in (case, textbook))
    if not _agree(ours.targets[-1:], theirs.targets[-1:]):
        yield "the value is not that of its definition"
    for what, same in at_some_places(ours, theirs, several=()):
        if not same:
            yield f"{what} is not that of its definition"


def _some_inputs(case: _Sample) -> Faults:
    """Asked for at some inputs only, the gradient is the same and still depends on all."""
    ours, theirs = (Places(case, _leaves(case.arrays)) for _ in "12")
    for what, same in at_some_places(ours, theirs):
        if not same:
            yield f"{what} is not that from all"


def _float32(case: _Sample) -> Faults:
    """float32 in, float32 out, also together with Python numbers."""
    if any(isinstance(a, type | np.dtype) for a in case.args):
        return  # an op whose purpose is another dtype
    single = [a.astype(np.float32) for a in case.arrays]
    (y, gradients), (_, exact) = case.backward(*single), case.backward(*case.arrays)
    yield from _not_float32("float32 inputs", [y, *gradients])
    for i, (got, want, moved) in enumerate(zip(gradients, exact, _moved(case, exact), strict=True)):
        limit = ACCURACY * np.abs(want).max(initial=0) + moved
        for at in np.argwhere(~(np.abs(got - want) <= limit))[:1].tolist():
            at = tuple(at)
            yield (
                f"the gradient of input {i} where it is {case.arrays[i][at]:.9g} is {got[at]:.9g} of "
                f"float32 inputs, expected {want[at]:.9g} within {limit[at]:.2g}"
            )
    if len(single) < 2 or not _elementwise(case):
        return
    for i, a in enumerate(case.arrays):
        y, gradients = case.backward(*single[:i], float(a.flat[0]), *single[i + 1 :])
        yield from _not_float32(f"with a Python number as input {i}", [y, *gradients])


def _moved(case: _Sample, exact: Sequence[Array]) -> list[Array]:
    """How far each gradient moves, at most, if inputs do by a share of ACCURACY, one after the other.

    Near a zero of a derivative this is more than the same share of the gradient.
    """
    found = [np.zeros_like(g) for g in exact]
    for i, a in enumerate(case.arrays):
        near = case.backward(*case.arrays[:i], a * (1 - ACCURACY), *case.arrays[i + 1 :])[1]
        apart = (np.nan_to_num(np.abs(n - g), posinf=0) for n, g in zip(near, exact, strict=True))
        found = [f + d for f, d in zip(found, apart, strict=True)]
    return found


def _not_float32(what: str, found: Sequence[Any]) -> Faults:
    kinds = {str(a.dtype) for a in found}
    if kinds != {"float32"}:
        yield f"{what}: {sorted(kinds)}"


def _special_points(case: _Sample) -> Faults:
    """At 0, 1 and −1, where no sample falls, a gradient is a number, unless a kink is documented.

    Infinity is one: the slope of a root at 0. Where the value is not finite nothing is asked.
    """
    inputs = range(len(case.arrays))
    chosen = dict.fromkeys([tuple(inputs), *zip(inputs)])  # all of them, and each alone
    for point, some in product((0.0, 1.0, -1.0), () if case.entry.kink else chosen):
        arrays = [np.full_like(a, point) if i in some else a for i, a in enumerate(case.arrays)]
        with np.errstate(all="ignore"):
            try:
                value = case(*arrays)
            except (ValueError, TypeError, IndexError):
                continue  # a matrix that has no inverse
            gradients = case.backward(*arrays)[1] if np.isfinite(value).all() else []
        if any(np.isnan(g).any() for g in gradients):
            where = f"with {point:g} for input {', '.join(map(str, some))}"
            yield f"{where} the value is finite, but a gradient is NaN; mend the rule, or say kink="


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "transposed": lambda a: np.asarray(a.T.copy()).T,
    "strided": lambda a: np.stack([a, np.full_like(a, np.nan)], axis=-1)[..., 0],
    "reversed": lambda a: np.flip(np.flip(a).copy()),
}


def _strides(case: _Sample) -> Faults:
    """Transposed, strided and reversed views give the result of contiguous arrays."""
    y, gradients = case.backward(*case.arrays)
    for layout, lay in LAYOUTS.items():
        z, found = case.backward(*map(lay, case.arrays))
        if not _near(y.data, z.data) or not all(map(_near, gradients, found)):
            yield f"{layout} inputs give another result or gradient"


def _cut(length: int, a: Array) -> Array:
    """What is left of a when every axis of that length becomes 0."""
    return np.asarray(a[tuple(slice(0 if n == length else n) for n in a.shape)])


def _empty(case: _Sample) -> Faults:
    """Empty arrays, wherever the op's value takes them: each axis length in turn becomes 0."""
    for length in sorted({n for shape in case.shapes for n in shape if n > 1}):
        empty = case.mapped(partial(_cut, length))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing
            try:
                expected = empty(*empty.arrays)
            except (ValueError, TypeError, IndexError):
                if _elementwise(case):
                    raise
                continue  # a maximum of nothing, an index that finds nothing
            y, gradients = empty.backward(*empty.arrays)
        shapes = [g.shape for g in gradients]
        if y.shape != np.shape(expected) or shapes != [a.shape for a in empty.arrays]:
            yield f"{empty!r} has shape {y.shape} and gradients {shapes}"


def _broadcast(case: _Sample) -> Faults:
    """Inputs of an elementwise op broadcast, and gradients have the shapes of the inputs."""
    if len(case.arrays) < 2 or not _elementwise(case):
        return
    scalars = case.mapped(lambda a: np.resize(a, ()))
    for shapes in permutations([(2, 1), (1, 3), (), (3,), (4, 2, 3)], 2):
        arrays = zip_longest(case.arrays, shapes, fillvalue=())
        yield from _differences(gradcheck, scalars, *(np.resize(a, s) for a, s in arrays))


def _arrays_of(leaves: Sequence[Tensor], y: Tensor, seed: Tensor) -> dict[str, Array]:
    """The arrays of a backward pass that it must not change, by name."""
    inputs = {f"input {i}": x.data for i, x in enumerate(leaves)}
    return inputs | {"the result": y.data, "the starting gradient": seed.data}


def _untouched(case: _Sample) -> Faults:
    """Neither pass changes its inputs, its result or the gradient it starts from."""
    leaves, y, seed = case.recorded([a.copy() for a in case.arrays])
    arrays = _arrays_of(leaves, y, seed)
    before = [*case.arrays, y.data.copy(), seed.data.copy()]
    grad(y, leaves, seed, retain_graph=True)
    grad(y, leaves, seed, create_graph=True)
    for (what, now), then in zip(arrays.items(), before, strict=True):
        if not np.array_equal(now, then):
            yield f"{what} was changed in place"


def _aliases(case: _Sample) -> Faults:
    """No gradient shares memory with another, an input, the result or the seed."""
    for way in ("backward", "grad"):
        leaves, y, seed = case.recorded(case.arrays)
        if way == "backward":
            y.backward(seed)
        found = [x.grad for x in leaves] if way == "backward" else grad(y, leaves, seed)
        named = {f"gradient {i}": g.data for i, g in enumerate(found) if g is not None}
        arrays = named | _arrays_of(leaves, y, seed)
        for a, b in combinations(arrays, 2):
            if a in named and np.shares_memory(arrays[a], arrays[b]):
                yield f"{way}: {a} shares memory with {b}"


def _raw(case: _Sample) -> Faults:
    """Called with no Tensor, an op is a NumPy function."""
    y, wrapped = case(*case.arrays), case(*map(Tensor, case.arrays))
    if not isinstance(y, np.ndarray | np.generic):
        yield f"raw arrays give a {type(y).__name__}"
    elif not np.array_equal(y, wrapped.data) or y.dtype != wrapped.dtype:
        yield "raw arrays and Tensors give different results"


OP_CHECKS = {
    "order 1": Check(partial(_differences, gradcheck)),
    "order 2": Check(partial(_differences, gradgradcheck)),
    "two readings": Check(_two_readings),
    "definition": Check(_definition),
    "some inputs": Check(_some_inputs),
    "float32": Check(_float32),
    "special points": Check(_special_points),
    "strides": Check(_strides),
    "empty": Check(_empty),
    "broadcast": Check(_broadcast),
    "untouched": Check(_untouched),
    "aliases": Check(_aliases),
    "raw": Check(_raw),
}
"""The checks of :func:`check_op`, each run on every sample of an op."""


def check_op(
    op: str | Op | Callable[..., Any], *, only: Sequence[str] | None = None, seed: int = 0
) -> OpReport:
    r"""Run every check of :data:`OP_CHECKS` on an op's own samples.

    Parameters
    ----------
    op : the function that :func:`minireg.op` returned, its name, or its entry.
    only : names of the checks to run, by default all.
    seed : of the samples.

    Returns an :class:`OpReport`, true if nothing is wrong. A differentiable op without samples or
    formula fails, and so does a check that raises; the gradients are compared by :func:`gradcheck`
    and :func:`gradgradcheck`. Raises ``ValueError`` for an unknown op or check.

    >>> import minireg as mr
    >>> from minireg.ops.samples import unary
    >>> cube = mr.op("cube", lambda x: x**3, lambda g, y, x: g * (3 * x**2),
    ...              formula=r"\bar x = 3 \bar y\,x^2", samples=unary())
    >>> bool(mr.check_op(cube))
    True
    >>> mr.check_op("cube", only=["order 1", "strides"])
    cube: ok
      passed: entry, order 1, strides
    >>> del mr.ops.TABLE["cube"]
    """
    name = op if isinstance(op, str) else getattr(op, "__name__", "")
    entry = op if isinstance(op, Op) else TABLE.get(name)
    if entry is None or (callable(op) and entry.function is not op):
        raise ValueError(f"check_op: got {op!r}, expected an op of minireg.ops.TABLE")
    if unknown := set(only or ()) - set(OP_CHECKS):
        raise ValueError(f"check_op: no check {sorted(unknown)}, expected {list(OP_CHECKS)}")
    drawn = entry.samples(np.random.default_rng(seed)) if entry.samples else []
    cases = [_Sample(entry, args) for args in drawn if entry.differentiable]
    asked = {"formula": entry.formula, "samples": cases} if entry.differentiable else {}
    found = [Finding("entry", WRONG, f"no {what}") for what, given in asked.items() if not given]
    found = found or [Finding("entry", OK)]
    battery = {name: OP_CHECKS[name] for name in only or OP_CHECKS}
    for case in cases:
        for f in run(battery, case):
            found.append(replace(f, note=f"{f.note}, at {case!r}") if f.verdict == WRONG else f)
    return OpReport(entry.name, tuple(found))
