"""gradcheck and gradgradcheck: are the gradients right?

A derivative is compared with finite differences (or, without any rounding, with a complex
step), and the answer is a report with one of four verdicts:

======================================  ====================================================
``ok``                                  the two agree
``kink: inside the subdifferential``    fn bends there, and the gradient lies between its
                                        one-sided slopes
``precision``                           they agree within the rounding noise of fn's values
                                        (float32 somewhere inside)
``wrong``                               they disagree, and neither of those explains it
======================================  ====================================================
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import backend as backends
from ..engine import grad
from ..messages import check_option
from ..mode import enable_grad
from ..tensor import Tensor
from .report import KINK, OK, PRECISION, SEVERITY, WRONG, Report

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]

_EPS = 2.0**-17  # near the cube root of 2⁻⁵², where truncation and rounding balance
_COMPLEX_EPS = 2.0**-100  # nothing is subtracted, so the step may be as small as it likes
_ULP = 2.0**-52
_NOISE = 5.0  # standard deviations of rounding noise that a difference may be off by
_ONE_BY_ONE = 64  # outputs up to here are checked one by one, more through a random weighing
_ENTRIES = 2_000  # inputs up to here are checked entry by entry, larger ones along directions
_DIRECTIONS = 8


# --- what comes back -------------------------------------------------------------------------


def _entry(of: str, index: tuple[int, ...]) -> str:
    """An entry of an array; a scalar is its only one."""
    return f"{of}{list(index)}" if index else of


@dataclass(frozen=True)
class Slope:
    """One derivative as backpropagation and as differences see it.

    Attributes
    ----------
    argument, name : which input, by position and by name.
    index : its entry, or None along a random direction.
    output : (which output, its entry), or None for a random weighing of all outputs.
    analytic, numeric : the two figures compared.
    left, right : the one-sided differences.
    """

    argument: int
    name: str
    index: tuple[int, ...] | None
    output: tuple[int, tuple[int, ...]] | None
    analytic: float
    numeric: float
    left: float
    right: float

    def __str__(self) -> str:
        along, weighed = f"{self.name} along a random direction", "weighed outputs"
        below = along if self.index is None else _entry(self.name, self.index)
        above = _entry(f"output {self.output[0]}", self.output[1]) if self.output else weighed
        return (
            f"d {above} / d {below}: analytic {self.analytic:.9g}, numeric {self.numeric:.9g}, "
            f"one-sided {self.left:.9g} and {self.right:.9g}"
        )


@dataclass(frozen=True)
class InputReport:
    """What was found for one input.

    Attributes
    ----------
    argument, name : which input, by position and by name.
    verdict : one of the four.
    compared : how many entries or directions.
    worst : the :class:`Slope` that decided the verdict; None if the input has no entries.
    """

    argument: int
    name: str
    verdict: str
    compared: str
    worst: Slope | None

    def __str__(self) -> str:
        worst = f"\n    worst: {self.worst}" if self.worst else ""
        return f"  {self.name}: {self.verdict} ({self.compared}){worst}"


@dataclass(frozen=True, repr=False)
class GradcheckReport(Report):
    """The outcome of a gradient check: true unless the verdict is ``wrong``.

    Attributes
    ----------
    check, method : which check, and by which differences.
    inputs : one :class:`InputReport` per input that was checked.
    notes : which inputs were cast or held fixed.
    """

    check: str
    method: str
    inputs: tuple[InputReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[InputReport, ...]:  # type: ignore[override]
        """The inputs."""
        return self.inputs

    @property
    def worst(self) -> Slope | None:
        """The worst slope of the first input that has this verdict."""
        return next((i.worst for i in self.inputs if i.verdict == self.verdict and i.worst), None)

    def __str__(self) -> str:
        notes = [f"  note: {note}" for note in self.notes]
        head = f"{self.check}: {self.verdict} ({self.method})"
        return "\n".join([head, *map(str, self.inputs), *notes])


# --- the function under test -----------------------------------------------------------------


def _gradients(
    ys: Sequence[Tensor], weights: Sequence[Any], targets: Sequence[Tensor], create_graph: bool
) -> tuple[Tensor, ...]:
    """Gradients of the weighed outputs, 0 where they do not depend on a target."""
    live = [(y, w) for y, w in zip(ys, weights, strict=True) if y.requires_grad]
    outs, seeds = [y for y, _ in live], [w for _, w in live]
    found = grad(outs, targets, seeds, True, create_graph, allow_unused=True)
    pairs = zip(targets, found, strict=True)
    return tuple(Tensor(np.zeros_like(t.data)) if g is None else g for t, g in pairs)


def _names(fn: Function, n: int) -> list[str]:
    """Parameter names of fn, or ``input 0``, ``input 1``, … where it has none to give."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return plain[:n] + [f"input {i}" for i in range(len(plain), n)]


class _Subject:
    """fn, its inputs in float64, and how they were prepared.

    ``recorded`` is fn as backpropagation sees it; the differences see ``fn``.
    """

    def __init__(self, check: str, fn: Function, inputs: Any) -> None:
        if not callable(fn):
            raise TypeError(f"{check}: fn must be callable, got {type(fn).__name__}")
        self.check, self.fn, self.recorded = check, fn, fn
        self.args = list(inputs) if isinstance(inputs, tuple) else [inputs]
        self.names = _names(fn, len(self.args))
        self.notes: list[str] = []
        self.points: dict[int, Array] = {}  # the checked inputs, on the host
        self.backends: dict[int, str] = {}
        for i, x in enumerate(self.args):
            self._admit(i, x)
        if not any(x.size for x in self.points.values()):
            raise ValueError(
                f"{check}: nothing to check, no input is floating and requires a gradient, or "
                "every input is empty; pass arrays, or Tensors with requires_grad=True"
            )

    def _admit(self, i: int, x: Any) -> None:
        name, x = self.names[i], np.asarray(x) if isinstance(x, int | float) else x
        raw = backends.raw(x)
        if not backends.is_array(raw):
            raise TypeError(
                f"{self.check}: {name} is a {type(x).__name__}, expected a Tensor or an array; "
                "bind other arguments with a lambda"
            )
        if raw.dtype.kind == "c":
            raise TypeError(
                f"{self.check}: {name} is {raw.dtype}, expected real numbers; "
                "pass real and imaginary part as two inputs"
            )
        if raw.dtype.kind != "f" or (isinstance(x, Tensor) and not x.requires_grad):
            self.notes.append(f"{name} was held fixed ({raw.dtype})")
            return
        if raw.dtype != np.float64:
            self.notes.append(f"{name} was cast from {raw.dtype} to float64")
        self.backends[i] = backends.of(raw).name
        self.points[i] = np.array(backends.of(raw).to_numpy(raw), dtype=np.float64)

    def leaves(self, shift: dict[int, Any]) -> list[Any]:
        """Fresh arguments with the checked inputs moved by ``shift``."""
        args = list(self.args)
        kind = np.result_type(np.float64, *shift.values())  # all complex as soon as one is
        for i, x in self.points.items():
            args[i] = Tensor(backends.move((x + shift.get(i, 0.0)).astype(kind), self.backends[i]))
            args[i].requires_grad = True  # a complex one, too: the step takes analytic functions
        return args

    def outputs(self, fn: Function, args: Sequence[Any]) -> tuple[Tensor, ...]:
        """What ``fn`` (``self.fn`` or ``self.recorded``) returns, as a tuple of Tensors."""
        with enable_grad(), np.errstate(all="ignore"):
            result = fn(*args)
        results = tuple(result) if isinstance(result, tuple | list) else (result,)
        for y in results:
            if not isinstance(y, Tensor) or y.dtype.kind not in "fc":
                got = f"a Tensor of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
                raise TypeError(
                    f"{self.check}: fn returned {got}, expected a floating Tensor (or a tuple of "
                    "them) made from its inputs by minireg's operations"
                )
        if not results:
            raise TypeError(
                f"{self.check}: fn returned an empty tuple, expected at least one Tensor"
            )
        return results

    def values(self, shift: dict[int, Any]) -> Array:
        """The outputs at the shifted inputs as one flat vector."""
        ys = self.outputs(self.fn, self.leaves(shift))
        return np.concatenate([y.numpy().ravel() for y in ys])

    def start(self) -> Array:
        """The outputs at the inputs; raises when they are not real, finite and repeatable."""
        y, again = self.values({}), self.values({})
        if np.iscomplexobj(y):
            raise TypeError(f"{self.check}: fn returned complex numbers, expected real ones")
        if not np.isfinite(y).all():
            raise ValueError(f"{self.check}: fn is not finite at the inputs, move them")
        if not np.array_equal(y, again):
            raise ValueError(
                f"{self.check}: fn is not repeatable, two calls differ by "
                f"{np.abs(y - again).max():.3g}; fix its random numbers (dropout, noise)"
            )
        return y.astype(np.float64)

    def gradients(self, rows: Array) -> dict[int, Array]:
        """At every checked input the gradients (R, entries) of the outputs weighed by each row."""
        leaves = self.leaves({})
        ys, targets = self.outputs(self.recorded, leaves), [leaves[i] for i in self.points]
        found = []
        for row in rows:
            parts = zip(np.split(row, np.cumsum([y.size for y in ys])[:-1]), ys, strict=True)
            weights = [Tensor(w.reshape(y.shape).astype(y.dtype)).to(y.backend) for w, y in parts]
            gs = _gradients(ys, weights, targets, create_graph=False)
            found.append([g.detach().numpy().ravel() for g in gs])
        return {i: np.stack(gs) for i, *gs in zip(self.points, *found, strict=True)}


def _bounded(rng: Any, shape: tuple[int, ...]) -> Array:
    """Random numbers of either sign, bounded away from zero so that no entry goes unseen."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


def _reach(x: Array) -> Array:
    """max(1, |x|) rounded up to a power of two, which makes x ± h exact."""
    return np.asarray(np.exp2(np.ceil(np.log2(np.maximum(1.0, np.abs(x))))))


# --- slopes and verdicts ---------------------------------------------------------------------


class _Measured(NamedTuple):
    """Slopes of the weighed outputs at one step: arrays (R,), one number per weighing."""

    step: Any
    left: Array
    right: Array
    low: Array  # the interval of slopes that the one-sided differences of all
    high: Array  # outputs allow: with several bent outputs wider than left … right

    @property
    def central(self) -> Array:
        """Central differences."""
        return (self.left + self.right) / 2


def _stacked(measured: Iterable[_Measured]) -> _Measured:
    """At several steps, or along several lines: arrays (L, R)."""
    return _Measured(*(np.stack(figures) for figures in zip(*measured, strict=True)))


def _kink(jumps: Array, blur: Array) -> int | None:
    """The shortest step that shows a kink: a jump of the slope that neither shrinks with
    the step, as curvature makes it, nor sinks into noise, nor is absent further in.
    """
    for k in range(len(jumps) - 2):
        near, inner = jumps[k : k + 3], (jumps + blur)[: max(k - 1, 0)]
        if near[0] > blur[k] and min(*near, *inner) >= max(near) / 4:
            return k
    return None


@dataclass
class _Differences:
    """A subject under finite differences, and how far these can be trusted."""

    subject: _Subject
    method: str = "central"
    eps: float | None = None
    rtol: float | None = None
    atol: float | None = None
    directional: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check = self.subject.check
        check_option(check, ("central", "complex"), method=self.method)
        check_option(check, "(0, inf)", eps=1.0 if self.eps is None else self.eps)
        check_option(check, "[0, inf)", rtol=self.rtol or 0.0, atol=self.atol or 0.0)
        self.central = self.method == "central"
        self.start = self.subject.start()  # first of all: raises when fn cannot be checked here
        self.step = self.eps if self.eps and self.central else _EPS
        self.relative = self.rtol if self.rtol is not None else 1e-6 if self.central else 1e-12
        # Few outputs are checked one by one, so that the report can name the wrong one; many are
        # weighed by one random vector, which a wrong Jacobian passes with probability 0.
        ys = enumerate(self.subject.outputs(self.subject.fn, self.subject.leaves({})))
        self.spots: list[Any] = [(k, e) for k, y in ys for e in np.ndindex(y.shape)]
        if not self.spots:
            raise ValueError(f"{check}: nothing to check, fn returned empty arrays only")
        self.rows = np.eye(len(self.spots))
        if len(self.spots) > _ONE_BY_ONE:
            self.rows = _bounded(np.random.default_rng(self.seed), (1, len(self.spots)))
            self.spots = [None]

    @np.errstate(all="ignore")  # what is not finite is dealt with
    def run(self) -> GradcheckReport:
        """Check every input."""
        found = self.subject.gradients(self.rows)
        inputs = tuple(self.check_input(i, found[i]) for i in self.subject.points)
        method = "central differences" if self.central else "complex step"
        return GradcheckReport(self.subject.check, method, inputs, tuple(self.subject.notes))

    def measure(self, i: int, direction: Array, step: float) -> _Measured:
        """One-sided differences at a step; raises where fn is not finite."""
        moves = {i: step * direction}, {i: -step * direction}
        ahead, behind = (self.subject.values(move).astype(np.float64) for move in moves)
        if not np.isfinite([ahead, behind]).all():
            raise ValueError(
                f"{self.subject.check}: fn is not finite within {step:.2g} of "
                f"{self.subject.names[i]}; move the input away from the edge of fn's domain, "
                "or pass a smaller eps"
            )
        sides = np.stack([self.start - behind, ahead - self.start]) / step
        weighed = self.rows * sides[:, None]
        low, high = weighed.min(axis=0).sum(axis=1), weighed.max(axis=0).sum(axis=1)
        left, right = weighed.sum(axis=2)
        return _Measured(step, left, right, low, high)

    def ladder(self, i: int, direction: Array) -> _Measured:
        """The differences at steps from h/64 to h·8⁴, as far as fn stays finite."""
        found: list[_Measured] = []
        with suppress(ValueError):  # the shorter steps are kept
            found.extend(self.measure(i, direction, h) for h in self.step * 8.0 ** np.arange(-2, 5))
        return _stacked(found)

    def complex_step(self, i: int, direction: Array) -> _Measured:
        """Im fn(x + ih)/h: no subtraction, hence no rounding error."""
        step = self.eps or _COMPLEX_EPS
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                y = self.subject.values({i: 1j * step * direction})
        except (TypeError, ValueError, np.exceptions.ComplexWarning) as error:
            raise TypeError(
                f"{self.subject.check}: fn cannot take complex inputs ({error}); "
                "use method='central'"
            ) from error
        slopes = self.rows @ (y.imag / step)
        return _Measured(step, slopes, slopes, slopes, slopes)

    @cached_property
    def rounding(self) -> Array:
        """The error of a difference of the weighed outputs (R,) by rounding in float64."""
        return np.asarray(np.abs(self.rows) @ np.abs(self.start) * _NOISE * _ULP / self.step)

    @cached_property
    def noise(self) -> Array:
        """Rounding noise of the weighed outputs (R,), measured.

        Fourth differences of closely spaced values cancel a smooth function and multiply noise by
        √70; their quantile is not affected by a kink. Values that change and yet all fit a narrower
        type have its rounding, even where fn is too flat for close neighbours to show it.
        """
        rng, points = np.random.default_rng(self.seed), self.subject.points
        away = {i: _bounded(rng, x.shape) * _reach(x) * _EPS / 64 for i, x in points.items()}
        steps = [*range(21), -(2**15), 2**15]
        values = [self.subject.values({i: k * d for i, d in away.items()}) for k in steps]
        line = np.nan_to_num(np.stack(values).astype(np.float64))
        noise = np.quantile(np.abs(np.diff(line[:21], 4, axis=0)), 0.7, axis=0) / 70**0.5
        size = np.abs(line[:21]).max(axis=0)
        relative = noise.sum() / max(size.sum(), np.finfo(float).tiny)
        for narrow in (np.float32, np.float16):
            fits = (line.astype(narrow) == line).all(axis=0) & (np.ptp(line, axis=0) > 0)
            noise = np.maximum(noise, fits * np.finfo(narrow).eps * size)
        weighed: Array = np.abs(self.rows) @ np.maximum(noise, max(relative, _ULP) * size)
        return _NOISE * weighed

    def allowed(self, rtol: float, scale: float, rounding: Any, *slopes: Any) -> Any:
        """How far slopes may lie apart, for an input whose slopes reach ``scale``."""
        floor = 0.01 * rtol * scale + rounding if self.atol is None else self.atol
        return rtol * np.maximum.reduce([np.abs(s) for s in slopes]) + floor

    def judge(
        self, name: str, ladder: _Measured, r: int, a: float, numeric: float, scale: float
    ) -> tuple[str, float]:
        """Verdict on the analytic slope ``a`` of weighing ``r``, and the best numeric slope."""
        if not np.isfinite(a):
            return WRONG, numeric
        low, high, central = ladder.low[:, r], ladder.high[:, r], ladder.central[:, r]
        errors, rtol = self.noise[r] / ladder.step, self.relative if self.central else 1e-6
        if (k := _kink(high - low, 2 * errors)) is not None:
            slack = self.allowed(rtol, scale, 0.0, low[k], high[k]) + errors[k]
            below = low[k] - abs(low[k] - low[k + 1]) / 7 - slack
            above = high[k] + abs(high[k] - high[k + 1]) / 7 + slack
            return (KINK if below <= a <= above else WRONG), numeric
        # Two steps together cancel the h² error. Longer steps have less noise but may be too long
        # for fn: they count while they agree with all shorter ones.
        slopes, n = central[:-1] + (central[:-1] - central[1:]) / 63, 1
        while n < len(slopes) and (abs(slopes[n] - slopes[:n]) <= errors[n] + errors[:n]).all():
            n += 1
        best, reach = slopes[n - 1], max(scale, np.abs([low, high]).max())
        allowed = self.allowed(rtol, reach, self.rounding[r], a, best)
        if (abs(a - slopes) > allowed + errors[:-1])[:n][-2:].all():
            return WRONG, best
        if self.central:
            return (PRECISION if abs(a - best) > allowed else OK), best
        if abs(a - numeric) > 1e-4 * max(scale, abs(numeric)):
            raise ValueError(
                f"{self.subject.check}: fn is not analytic in {name}: the complex step gives "
                f"{numeric:.6g}, differences {best:.6g} (abs, a norm or a conjugate inside?); "
                "use method='central'"
            )
        return PRECISION, numeric

    def lines(self, i: int, gradients: Array) -> tuple[Array, Array, list[Any]]:
        """Directions to measure along (L, n), the slopes along them by the gradients (L, R), and
        the entries that they move; None for random directions.
        """
        x, reach = self.subject.points[i], _reach(self.subject.points[i]).ravel()
        if x.size > _ENTRIES if self.directional is None else self.directional:
            rng = np.random.default_rng([self.seed, i])
            random = _bounded(rng, (_DIRECTIONS, x.size)) * reach
            return random, random @ gradients.T, [None] * _DIRECTIONS
        return np.diag(reach), (gradients * reach).T, list(np.ndindex(x.shape))

    def check_input(self, i: int, gradients: Array) -> InputReport:
        """Measure every slope of input i, (L, R), then the doubtful ones at several steps."""
        x, name = self.subject.points[i], self.subject.names[i]
        compared = f"{x.size} entries"
        if not x.size:
            return InputReport(i, name, OK, compared, None)
        directions, analytic, entries = self.lines(i, gradients)
        if entries[0] is None:
            compared = f"{len(entries)} random directions in {compared}"
        lines = directions.reshape(-1, *x.shape)
        scale = float(np.abs(analytic[np.isfinite(analytic)]).max(initial=0.0))
        measure = partial(self.measure, step=self.step) if self.central else self.complex_step
        first = _stacked(measure(i, d) for d in lines)
        numeric = first.central
        rounding = self.rounding if self.central else 0.0
        allowed = self.allowed(self.relative, scale, rounding, analytic, numeric)
        excess = np.abs(analytic - numeric) / np.maximum(allowed, np.finfo(float).tiny)
        excess[np.isnan(excess)] = np.inf
        # a slope may also jump by more than curvature usually makes it at such a step
        size = np.maximum(np.abs(first.low), np.abs(first.high))
        floor = np.maximum(0.01 * size, 4 * self.rounding + 1e-4 * scale)
        doubtful = (excess > 1) | (first.high - first.low > floor)

        verdicts = np.full(numeric.shape, OK, dtype=object)
        for n in sorted(np.flatnonzero(doubtful.any(axis=1)), key=lambda n: -excess[n].max()):
            ladder = self.ladder(i, lines[n])
            for r in map(int, np.flatnonzero(doubtful[n])):
                both = analytic[n, r], numeric[n, r]
                verdicts[n, r], numeric[n, r] = self.judge(name, ladder, r, *both, scale)
            if WRONG in verdicts[n]:
                break  # the lines come worst first

        top = max(verdicts.flat, key=SEVERITY.index)
        shown = np.where(verdicts == top, excess, -1.0)
        line, r = map(int, np.unravel_index(shown.argmax(), shown.shape))
        seen = self.measure(i, lines[line], self.step)
        unit = (
            1.0 if entries[line] is None else directions[line].max()
        )  # slopes per unit of the entry
        slopes = analytic[line, r], numeric[line, r], seen.left[r], seen.right[r]
        worst = Slope(i, name, entries[line], self.spots[r], *(float(s / unit) for s in slopes))
        return InputReport(i, name, top, compared, worst)


# --- the two checks --------------------------------------------------------------------------


def gradcheck(
    fn: Function,
    inputs: ArrayLike | tuple[ArrayLike, ...],
    *,
    method: Literal["central", "complex"] = "central",
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    directional: bool | None = None,
    seed: int = 0,
) -> GradcheckReport:
    """Compare the gradients of ``fn(*inputs)`` with finite differences, in float64.

    Parameters
    ----------
    fn : takes the inputs as Tensors and returns a Tensor or a tuple of them.
    inputs : an array or Tensor, or a tuple of them. Arrays and Tensors that require a
        gradient are checked; other Tensors and integers are held fixed.
    method : ``"central"`` differences, or ``"complex"`` for the step Im fn(x + ih)/h, which
        has no rounding error but needs an fn that is analytic (no abs, no norm).
    eps : the step > 0, relative to max(1, abs(x)); by default 2⁻¹⁷ (complex 2⁻¹⁰⁰).
    rtol, atol : slopes may differ by ``rtol`` (1e-6; complex 1e-12) relative to themselves
        plus ``atol`` (by default a hundredth of that relative to the input's largest slope, so
        that the units of inputs and outputs do not matter).
    directional : compare along a few random directions instead of every entry; by default
        for inputs of more than 2000 entries.
    seed : of the random directions and weighings.

    Returns a :class:`GradcheckReport`, true unless something is wrong; as PyTorch's ``gradcheck``,
    but a wrong gradient is a verdict, no error. Raises ``TypeError`` or ``ValueError`` only for
    misuse: nothing to check, an fn that is not repeatable, not finite at the inputs, or cannot take
    complex numbers.

    >>> import minireg as mr
    >>> mr.gradcheck(lambda w: mr.abs(w).sum(), np.array([1.0, 0.0]))
    gradcheck: kink: inside the subdifferential (central differences)
      w: kink: inside the subdifferential (2 entries)
        worst: d output 0 / d w[1]: analytic 0, numeric 0, one-sided -1 and 1
    """
    subject = _Subject("gradcheck", fn, inputs)
    return _Differences(subject, method, eps, rtol, atol, directional, seed).run()


def gradgradcheck(
    fn: Function, inputs: ArrayLike | tuple[ArrayLike, ...], **options: Any
) -> GradcheckReport:
    """Compare the gradient of fn's gradient with finite differences of that gradient.

    Parameters
    ----------
    fn, inputs : as for :func:`gradcheck`.
    **options : the keyword arguments of :func:`gradcheck`; ``TypeError`` for others.

    Report and errors are those of :func:`gradcheck`. The function that is checked maps (inputs,
    gradient of the outputs) to the gradient of the inputs, as PyTorch's ``gradgradcheck``. The
    differences use the numeric backward pass and backpropagation the recorded one
    (``create_graph``), so the fast rule of a fused op is compared with its definition.

    >>> import minireg as mr
    >>> bool(mr.gradgradcheck(lambda w: mr.exp(w) * w, np.array([1.0, -0.5])))
    True
    """
    inner = _Subject("gradgradcheck", fn, inputs)
    n, rng = len(inner.args), np.random.default_rng(options.get("seed", 0))
    weights = [_bounded(rng, y.shape) for y in inner.outputs(fn, inner.leaves({}))]

    def gradient(*args: Any, create_graph: bool = False) -> tuple[Tensor, ...]:
        ys = inner.outputs(fn, args[:n])
        seeds = [v.to(y.backend) for v, y in zip(args[n:], ys, strict=True)]
        return _gradients(ys, seeds, [args[i] for i in inner.points], create_graph)

    subject = _Subject(inner.check, gradient, (*inner.args, *weights))
    subject.recorded = partial(gradient, create_graph=True)
    seeds = [f"grad_output {k}" for k in range(len(weights))]
    subject.names = inner.names + (seeds if len(seeds) > 1 else ["grad_output"])
    subject.notes = inner.notes
    return _Differences(subject, **options).run()
