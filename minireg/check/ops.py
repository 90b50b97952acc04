"""check_op: is an op of the table what it promises to be?

The generated tests of an op, for whoever adds one: derivatives of orders 1 and 2, at all
inputs and at some, the two readings of its rules, its definition, float32, strides, empty
arrays, broadcasting, untouched inputs, and gradients that alias nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

from ..engine import grad
from ..ops import TABLE, Op
from ..tensor import Tensor
from .gradients import KINK, OK, gradcheck, gradgradcheck

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, repr=False)
class OpReport:
    """What :func:`check_op` found: every check with its failures; true when there are none."""

    name: str
    failures: dict[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        return not any(self.failures.values())

    def __str__(self) -> str:
        passed = [check for check, failed in self.failures.items() if not failed]
        lines = [f"{check}: {text}" for check, failed in self.failures.items() for text in failed]
        head = f"{self.name}: {'wrong' if lines else 'ok'}"
        return "\n  ".join([head, *lines, f"passed: {', '.join(passed) or 'nothing'}"])

    __repr__ = __str__


class _Case:
    """One sample of an op, as a function of its differentiable arrays."""

    def __init__(self, entry: Op, sample: tuple[Any, ...]) -> None:
        self.entry, self.args, self.kw = entry, list(sample), {}
        if sample and isinstance(sample[-1], dict):
            self.args, self.kw = list(sample[:-1]), sample[-1]
        ruled = [i for i, rule in enumerate(entry.rules) if rule is not None]
        self.spots = [
            i
            for i, a in enumerate(self.args)
            if isinstance(a, np.ndarray) and a.dtype.kind == "f"
            if entry.fused_backward or entry.each or i in ruled
        ]

    @property
    def arrays(self) -> list[Array]:
        return [self.args[i] for i in self.spots]

    def __call__(self, *arrays: Any) -> Any:
        return self.entry.function(*self.fill(arrays), **self.kw)

    def fill(self, arrays: Sequence[Any]) -> list[Any]:
        args = list(self.args)
        for i, a in zip(self.spots, arrays, strict=True):
            args[i] = a
        return args

    def backward(self, *arrays: Any) -> tuple[Tensor, list[Array]]:
        """Result, and the gradients that ``backward`` leaves at the given arrays."""
        leaves = [Tensor(a, requires_grad=True) for a in arrays]
        y = self(*leaves)
        y.backward(Tensor(_wave(y)))
        return y, [np.zeros(0) if x.grad is None else x.grad.data for x in leaves]

    def __repr__(self) -> str:
        shown = [f"array{a.shape}" if isinstance(a, np.ndarray) else repr(a) for a in self.args]
        return f"{self.entry.name}({', '.join(shown + [f'{k}={v!r}' for k, v in self.kw.items()])})"


def _wave(y: Any) -> Array:
    """A gradient to start from: uneven, never zero, of y's shape and dtype."""
    wave: Array = (1.5 + np.cos(np.arange(y.size))).reshape(y.shape).astype(y.dtype)
    return wave


def _near(a: Any, b: Any, rtol: float = 1e-12, floor: float = 0.0) -> bool:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    scale = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0), floor)
    return a.shape == b.shape and bool((np.abs(a - b) <= rtol * scale).all())


def _second(case: _Case, function: Callable[..., Any]) -> list[Any]:
    """Gradients of the gradients of ``function`` at a case's arrays and the seed."""
    leaves = [Tensor(a, requires_grad=True) for a in case.arrays]
    y = function(*leaves)
    seed = Tensor(_wave(y), requires_grad=True)
    first = [g for g in grad(y, leaves, seed, create_graph=True) if g is not None]
    live = [g for g in first if g.requires_grad]
    found = grad(live, [*leaves, seed], [_wave(g) for g in live], allow_unused=True)
    return [
        *(g.data for g in first),
        *(
            np.zeros(x.shape) if g is None else g.data
            for x, g in zip([*leaves, seed], found, strict=True)
        ),
    ]


class Places:
    """Where a function is differentiated: at its inputs and its result, some of them or all.

    The inputs are results themselves, so a gradient is asked for in the middle of a graph.
    ``grad`` and ``tensor`` are minireg's, or another library's.
    """

    def __init__(
        self, function: Callable[..., Any], leaves: Sequence[Any],
        grad: Callable[..., Any] = grad, tensor: Callable[[Array], Any] = Tensor,
    ) -> None:  # fmt: skip
        self.grad, self.tensor = grad, tensor
        inputs = [x * 1.0 for x in leaves]
        y = function(*inputs)
        self.inputs, self.targets = [*leaves, *inputs], [*inputs, y]
        self.cost = (y * y * self.wave(y)).sum()

    def wave(self, y: Any) -> Any:
        """Uneven weights for the entries of y."""
        return self.tensor((1.5 + np.cos(np.arange(math.prod(y.shape)))).reshape(tuple(y.shape)))

    def some(self) -> list[tuple[int, ...]]:
        """Each target, each pair, and all."""
        every = range(len(self.targets))
        return list(dict.fromkeys([*combinations(every, 1), *combinations(every, 2), tuple(every)]))

    def first(self, some: Sequence[int], create_graph: bool = False) -> list[Any]:
        """Gradients at some of the targets."""
        targets = [self.targets[i] for i in some]
        return list(self.grad(self.cost, targets, None, True, create_graph, allow_unused=True))

    def second(self, first: Sequence[Any]) -> list[Any]:
        """Gradients of these, weighed, at the leaves and at the inputs made from them."""
        live = [g for g in first if g is not None and g.requires_grad]
        weights = [self.wave(g) for g in live]
        if not live:
            return [None] * len(self.inputs)
        return list(self.grad(live, self.inputs, weights, True, allow_unused=True))


def at_some_places(ours: Places, theirs: Places) -> Iterator[tuple[str, bool]]:
    """What was compared, and whether it is the same: gradients, and gradients of these.

    Ours at each place, each pair and all are held against theirs at all places.
    """
    every = theirs.first(range(len(theirs.targets)), create_graph=True)
    for some in ours.some():
        wanted, recorded = [every[i] for i in some], ours.first(some, create_graph=True)
        where = f"at {', '.join(map(str, some))} of {len(every)} places"
        yield f"the gradient {where}", _alike(ours.first(some), wanted)
        yield f"the recorded gradient {where}", _alike(recorded, wanted)
        again = _alike(ours.second(recorded), theirs.second(wanted))
        yield f"the second derivative from the gradient {where}", again


def _alike(got: Sequence[Any], want: Sequence[Any]) -> bool:
    """Equal but for rounding; what depends on nothing has a gradient of 0, or none."""

    def array(x: Any, other: Any) -> Array:
        return np.zeros(other.shape) if x is None else np.asarray(x.detach().data)

    pairs = [(a, b) for a, b in zip(got, want, strict=True) if a is not b]
    return all(_near(array(a, b), array(b, a), 1e-9, 1e-4) for a, b in pairs)


def _elementwise(case: _Case) -> bool:
    """Whether each entry of the result can be had from one entry of each array alone."""
    shapes = [a.shape for a in case.args if isinstance(a, np.ndarray)]
    try:
        y = np.asarray(case(*case.arrays))
        spread = [
            np.broadcast_to(a, y.shape) if isinstance(a, np.ndarray) else a for a in case.args
        ]
        return y.shape == np.broadcast_shapes(*shapes) and all(
            _near(
                case.entry.function(
                    *(np.array(a.flat[i]) if isinstance(a, np.ndarray) else a for a in spread),
                    **case.kw,
                ),
                y.flat[i],
            )
            for i in (0, -1)
        )
    except (ValueError, TypeError, IndexError):
        return False


Failures = Iterator[str]


def _order_1(case: _Case) -> Failures:
    report = gradcheck(case, tuple(case.arrays))
    if report.verdict not in (OK, KINK):
        yield f"{report.verdict}: {report.worst}"


def _order_2(case: _Case) -> Failures:
    report = gradgradcheck(case, tuple(case.arrays))
    if report.verdict not in (OK, KINK):
        yield f"{report.verdict}: {report.worst}"


def _two_readings(case: _Case) -> Failures:
    """The rule on arrays and the same rule on Tensors give the same numbers."""
    numeric = case.backward(*case.arrays)[1]
    recorded = _second(case, case)[: len(numeric)]
    if not all(map(_near, numeric, recorded)):
        yield "the gradient differs under create_graph"


def _definition(case: _Case) -> Failures:
    """Fused equals definition: value, gradient and second derivative."""
    definition = case.entry.definition
    if definition is None:
        if case.entry.fused_backward is not None:
            yield "a fused op has no definition, so it cannot be differentiated twice"
        return

    def textbook(*arrays: Any) -> Any:
        return definition(*case.fill(arrays), **case.kw)

    y, gradients = case.backward(*case.arrays)
    if not _near(y.data, textbook(*map(Tensor, case.arrays)).data):
        yield "the value is not that of its definition"
    expected = _second(case, textbook)
    if not all(map(_near, gradients, expected)):
        yield "the gradient is not that of its definition"
    if not all(map(_near, _second(case, case), expected)):
        yield "the second derivative is not that of its definition"


def _some_inputs(case: _Case) -> Failures:
    """Asked for at some inputs only, the gradient is the same and still depends on all."""
    ours, theirs = (
        Places(case, [Tensor(a, requires_grad=True) for a in case.arrays]) for _ in "12"
    )
    yield from (
        f"{what} is not that from all" for what, same in at_some_places(ours, theirs) if not same
    )


def _float32(case: _Case) -> Failures:
    """float32 in, float32 out, also beside Python numbers."""
    if any(isinstance(a, type | np.dtype) for a in case.args):
        return  # the op's very job is another dtype
    single = [a.astype(np.float32) for a in case.arrays]
    y, gradients = case.backward(*single)
    _, exact = case.backward(*case.arrays)
    kinds = {y.dtype, *(g.dtype for g in gradients)}
    if kinds != {np.dtype(np.float32)}:
        yield f"float32 inputs: {sorted(map(str, kinds))}"
    if not all(_near(a, b, 1e-4) for a, b in zip(gradients, exact, strict=True)):
        yield "the gradient of float32 inputs is not near that of float64 inputs"
    if len(single) < 2 or not _elementwise(case):
        return
    for i in range(len(single)):
        mixed: list[Any] = [Tensor(a, requires_grad=True) for a in single]
        mixed[i] = float(case.arrays[i].flat[0])
        y = case(*mixed)
        y.backward(_wave(y))
        kinds = {y.dtype, *(x.grad.dtype for j, x in enumerate(mixed) if j != i)}
        if kinds != {np.dtype(np.float32)}:
            yield f"with a Python number as input {i}: {sorted(map(str, kinds))}"


def _strides(case: _Case) -> Failures:
    """Transposed, strided and reversed views give what contiguous arrays give."""

    def strided(a: Array) -> Array:
        every_other: Any = (..., *[slice(None, None, 2)] * a.ndim)
        view: Array = np.full([2 * n for n in a.shape], np.nan)[every_other]
        view[...] = a
        return view

    layouts: dict[str, Callable[[Array], Array]] = {
        "transposed": lambda a: np.asarray(a.T.copy()).T,
        "strided": strided,
        "reversed": lambda a: np.flip(np.flip(a).copy()),
    }
    y, gradients = case.backward(*case.arrays)
    for layout, lay in layouts.items():
        z, found = case.backward(*map(lay, case.arrays))
        if not _near(y.data, z.data) or not all(map(_near, gradients, found)):
            yield f"{layout} inputs give another result or gradient"


def _empty(case: _Case) -> Failures:
    """Empty arrays, wherever the op's value takes them: each axis length in turn becomes 0."""
    arrays = [a for a in case.args if isinstance(a, np.ndarray)]
    for length in sorted({n for a in arrays for n in a.shape if n > 1}):
        sample = [
            a[tuple(slice(0 if n == length else n) for n in a.shape)]
            if isinstance(a, np.ndarray) and a.ndim
            else a
            for a in case.args
        ]
        empty = _Case(case.entry, (*sample, case.kw))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing
            try:
                expected = case.entry.function(*sample, **case.kw)
            except (ValueError, TypeError, IndexError):
                if _elementwise(case):
                    raise
                continue  # a maximum of nothing, an index that finds nothing
            y, gradients = empty.backward(*empty.arrays)
        shapes = [g.shape for g in gradients]
        if y.shape != np.shape(expected) or shapes != [a.shape for a in empty.arrays]:
            yield f"{empty!r} has shape {y.shape} and gradients {shapes}"


def _broadcast(case: _Case) -> Failures:
    """Both sides of an elementwise op stretch, and their gradients shrink back."""
    if len(case.arrays) < 2 or not _elementwise(case):
        return
    for shapes in permutations([(2, 1), (1, 3), (), (3,), (4, 2, 3)], 2):
        sample = [np.resize(a, ()) if isinstance(a, np.ndarray) else a for a in case.args]
        for i, shape in zip(case.spots, shapes, strict=False):
            sample[i] = np.resize(case.args[i], shape)
        yield from _order_1(_Case(case.entry, (*sample, case.kw)))


def _untouched(case: _Case) -> Failures:
    """Neither pass changes its inputs, its result or the gradient it starts from."""
    leaves = [Tensor(a.copy(), requires_grad=True) for a in case.arrays]
    y = case(*leaves)
    seed = _wave(y)
    value, start = y.data.copy(), seed.copy()
    grad(y, leaves, Tensor(seed), retain_graph=True)
    grad(y, leaves, Tensor(seed), create_graph=True)
    for what, now, before in (
        *(
            (f"input {i}", x.data, a)
            for i, (x, a) in enumerate(zip(leaves, case.arrays, strict=True))
        ),
        ("the result", y.data, value),
        ("the starting gradient", seed, start),
    ):
        if not np.array_equal(now, before):
            yield f"{what} was changed in place"


def _aliases(case: _Case) -> Failures:
    """No gradient shares memory with another, an input, the result or the seed."""
    for way in ("backward", "grad"):
        leaves = [Tensor(a, requires_grad=True) for a in case.arrays]
        y = case(*leaves)
        seed = Tensor(_wave(y))
        if way == "backward":
            y.backward(seed)
            found = [x.grad for x in leaves]
        else:
            found = list(grad(y, leaves, seed))
        named = {f"gradient {i}": g.data for i, g in enumerate(found) if g is not None}
        others = {f"input {i}": x.data for i, x in enumerate(leaves)}
        others |= {"the result": y.data, "the starting gradient": seed.data}
        for a, b in [*combinations(named, 2), *((a, b) for a in named for b in others)]:
            if np.shares_memory(named[a], (named | others)[b]):
                yield f"{way}: {a} shares memory with {b}"


def _raw(case: _Case) -> Failures:
    """Called with no Tensor, an op is a NumPy function."""
    y, wrapped = case(*case.arrays), case(*map(Tensor, case.arrays))
    if not isinstance(y, np.ndarray | np.generic):
        yield f"raw arrays give a {type(y).__name__}"
    elif not np.array_equal(y, wrapped.data) or y.dtype != wrapped.dtype:
        yield "raw arrays and Tensors give different results"


OP_CHECKS: dict[str, Callable[[_Case], Failures]] = {
    "order 1": _order_1,
    "order 2": _order_2,
    "two readings": _two_readings,
    "definition": _definition,
    "some inputs": _some_inputs,
    "float32": _float32,
    "strides": _strides,
    "empty": _empty,
    "broadcast": _broadcast,
    "untouched": _untouched,
    "aliases": _aliases,
    "raw": _raw,
}
"""The checks that an entry of the table gets for free; each runs on every sample."""


def check_op(op: Any, *, only: Sequence[str] | None = None, seed: int = 0) -> OpReport:
    r"""Run every check of :data:`OP_CHECKS` on an op's own samples.

    Parameters
    ----------
    op : the function that :func:`minireg.op` returned, its name, or its entry.
    only : names of the checks to run.
    seed : of the samples.

    An op that can be differentiated but has no samples or no formula fails, and so does a
    check that raises. Raises ``ValueError`` for an unknown op or check.

    >>> import minireg as mr
    >>> from minireg.ops.samples import unary
    >>> cube = mr.op("cube", lambda x: x**3, lambda g, y, x: g * (3 * x**2),
    ...              formula=r"\bar x = 3 \bar y\,x^2", samples=unary())
    >>> bool(check_op(cube))
    True
    >>> check_op("cube", only=["order 1", "strides"])
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
    samples = entry.samples(np.random.default_rng(seed)) if entry.samples else []
    cases = [_Case(entry, sample) for sample in samples]
    asked = {"formula": entry.formula, "samples": cases} if entry.differentiable else {}
    failures = {"entry": tuple(f"no {what}" for what, given in asked.items() if not given)}
    for check in only or OP_CHECKS:
        found = []
        for case in cases if entry.differentiable else ():
            try:
                found += [f"{text}, at {case!r}" for text in OP_CHECKS[check](case)]
            except Exception as error:  # a rule under test may raise anything
                found.append(f"{type(error).__name__}: {error}, at {case!r}")
        failures[check] = tuple(found)
    return OpReport(entry.name, failures)
