"""check_penalty: do value, gradient, prox and certificates of a penalty fit together?

The battery for whoever writes a penalty: closed form, autograd and differences agree, at weights of
several sizes; added in place and by stretches the gradient is the same; the subgradient inequality
holds; the prox minimises, is firmly non-expansive, is the gradient of the Moreau envelope, scales with
strength and step; the certificate is 0 exactly where it should be; and under every optimizer the
penalty has an effect, with the right sign.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, cycle
from typing import Any

import numpy as np

from .. import optim
from ..engine import grad
from ..messages import check_option
from ..nn.module import Parameter
from ..ops.arrays import length
from ..penalties import Penalty
from ..penalties.calculus import Composed
from ..penalties.constraints import Constraint
from ..tensor import Tensor

Array = np.ndarray[Any, Any]
MANNERS = ("float32", "untouched")  # checks that a penalty without any mathematics passes
SIZES = 1.0, 1e-4, 10.0, 1e-2  # of weights, in turn


@dataclass(frozen=True)
class Finding:
    """One check: the figure it measured, the limit for it, and what it says."""

    check: str
    figure: float | None  # None: does not apply
    limit: float
    note: str

    @property
    def verdict(self) -> str:
        """ok, wrong or n/a."""
        return "n/a" if self.figure is None else "ok" if self.figure <= self.limit else "wrong"


@dataclass(frozen=True, repr=False)
class PenaltyReport:
    """What :func:`check_penalty` found; true when nothing is wrong."""

    penalty: str
    findings: tuple[Finding, ...]

    def __bool__(self) -> bool:
        verdicts = {f.verdict for f in self.findings if not f.check.startswith(MANNERS)}
        return "ok" in verdicts and all(f.verdict != "wrong" for f in self.findings)

    def __getitem__(self, check: str) -> Finding:
        return next(f for f in self.findings if f.check == check)

    def __str__(self) -> str:
        width = max(len(f.check) for f in self.findings)
        rows = [
            f"  {f.check:<{width}}  {f.verdict:<5}  "
            + ("" if f.figure is None else f"{f.figure:9.1e} ≤ {f.limit:.0e}").ljust(18)
            + f"  {f.note}"
            for f in self.findings
        ]
        wrong = sum(f.verdict == "wrong" for f in self.findings)
        verdict = "ok: what was measured ≤ its limit"
        if not self:
            verdict = (
                f"wrong: in {wrong} of {len(rows)} checks what was measured is not ≤ its limit"
            )
        head = f"{self.penalty}\n{verdict}"
        return "\n".join(line.rstrip() for line in (head, *rows))

    __repr__ = __str__


class _NotApplicableError(Exception):
    """A check has nothing to check here; the message says why."""


def _same(a: Any, b: Any) -> float:
    """Largest difference relative to the largest entry."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"got shape {a.shape}, expected {b.shape}")
    scale = max(float(np.abs(b).max(initial=0)), 1.0)
    return float(np.abs(a - b).max(initial=0)) / scale


def _worse(*figures: float) -> float:
    """The largest; NaN counts as infinite."""
    return max(float("inf") if np.isnan(f) else f for f in figures)


def _rotated(m: Array, singular: Callable[[Array], Any]) -> Array:
    """m with other singular values."""
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    return np.asarray((u * singular(s)) @ vt)


KINKS: dict[str, Callable[[Array, np.random.Generator], Any]] = {
    "zero": lambda m, rng: 0 * m,
    "zeros": lambda m, rng: m * (rng.uniform(size=m.shape) < 0.5),
    "a row of zeros": lambda m, rng: m * (np.arange(len(m)) > 0)[:, None],
    "a column of zeros": lambda m, rng: m * (np.arange(m.shape[1]) > 0),
    "ties": lambda m, rng: np.sign(m),
    "equal singular values": lambda m, rng: _rotated(m, np.ones_like),
    "two equal singular values": lambda m, rng: _rotated(m, lambda s: np.where(s < s[:2].min(), s, s[0])),
    "rank one": lambda m, rng: _rotated(m, lambda s: np.where(s < s[0], 0, s)),
}  # fmt: skip
"""Where penalties have kinks: what becomes there of a matrix of random numbers."""


class _Case:
    """A penalty and points to ask it at: those of :data:`KINKS` and random ones."""

    def __init__(self, penalty: Penalty, shapes: Sequence[tuple[int, ...]], trials: int, seed: int):
        self.penalty, self.shapes, self.trials = penalty, shapes, trials
        self.rng = np.random.default_rng(seed)

    def point(self, size: float = 1.0) -> list[Array]:
        return [np.asarray(size * self.rng.normal(size=s)) for s in self.shapes]

    def points(self, size: float = 1.0) -> Iterator[list[Array]]:
        for kink in KINKS.values():
            drawn = [a.reshape(*a.shape[:1] or (1,), -1) for a in self.point()]
            yield [size * kink(m, self.rng).reshape(s)
                   for m, s in zip(drawn, self.shapes, strict=True)]  # fmt: skip
        for _ in range(self.trials):
            yield self.point(size)

    def sized(self) -> Iterator[tuple[float, list[Array]]]:
        """(size, random point) of all sizes in turn."""
        for size, _ in zip(cycle(SIZES), range(self.trials)):
            yield size, self.point(size)

    def value(self, *ws: Array, penalty: Penalty | None = None) -> float:
        return float((penalty or self.penalty).value(*ws))

    def gradient(self, *ws: Array) -> list[Array]:
        found = self.penalty.gradient(*ws)
        return list(found) if isinstance(found, tuple) else [found]

    def prox(self, v: Array, step: Any, penalty: Penalty | None = None) -> Array:
        """The prox; not applicable for penalties of several weights or without one."""
        try:
            return np.asarray((penalty or self.penalty).prox(v, step))
        except NotImplementedError as error:
            raise _NotApplicableError(str(error)) from error

    def drawn(self, at: Array | None = None) -> tuple[Array, float, Array]:
        """(v, step, prox(v, step))."""
        v = (self.point()[0] if at is None else at) * self.rng.uniform(0.5, 3)
        step = self.longest * self.rng.uniform(0.05, 1)
        return v, step, self.prox(v, step)

    def draws(self) -> Iterator[tuple[Array, float, Array]]:
        """Of all points."""
        return (self.drawn(v) for v, *_ in self.points())

    @cached_property
    def weakness(self) -> float:
        """About the least ρ for which Ω + ½ρ‖w‖² is convex: the most that Ω bends down anywhere."""
        if self.penalty.convex or len(self.shapes) > 1:
            return 0.0
        worst = 0.0
        for size in 10.0 ** np.arange(-4, 2):
            (w,) = self.point(size)
            h = 1e-2 * size
            for move in h * np.eye(w.size).reshape(-1, *w.shape):
                ends = self.value(w + move) + self.value(w - move)
                worst = max(worst, (2 * self.value(w) - ends) / h**2)
        return worst if worst > 1e-2 else 0.0

    @property
    def longest(self) -> float:
        """Steps stay below 1/ρ: beyond, the prox may have several values, and few formulas hold."""
        return min(2.0, 0.9 / self.weakness) if self.weakness else 2.0

    def steps(self) -> str:
        return f"; steps below 1/ρ, ρ ≈ {self.weakness:.2g}" if self.weakness else ""

    def convex(self) -> None:
        if not self.penalty.convex:
            raise _NotApplicableError("not convex")

    def smooth(self) -> None:
        if self.penalty.via == "prox":
            raise _NotApplicableError("acts through its prox only")

    @cached_property
    def strengths(self) -> tuple[str, ...]:
        """Those of its numbers, as few as will do, that double the value when they double."""
        numbers = [n for n in vars(self.penalty) if _is_number(getattr(self.penalty, n, None))]
        points = [self.point(size) for size in SIZES]
        for count in range(1, len(numbers) + 1):
            for names in combinations(numbers, count):
                with suppress(Exception):  # not every number may double: an axis, a count
                    twice = self.times(2.0, names)
                    pairs = [(2 * self.value(*w), self.value(*w, penalty=twice)) for w in points]
                    if all(0 < abs(a) < np.inf and abs(a - b) <= 1e-12 * abs(a) for a, b in pairs):
                        return names
        return ()

    def times(self, factor: float, names: Sequence[str]) -> Penalty:
        """The penalty with some of its numbers multiplied."""
        return self.changed(**{name: factor * getattr(self.penalty, name) for name in names})

    def changed(self, **numbers: float) -> Penalty:
        """The penalty with other numbers."""
        other = copy.copy(self.penalty)
        vars(other).update(numbers)
        return other


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float | np.number) and not isinstance(x, bool)


# --- value and gradient ----------------------------------------------------------------------


def _value(case: _Case) -> tuple[float, float, str]:
    worst = 0.0
    for w in case.points():
        array, recorded = case.penalty.value(*w), case.penalty.value(*map(Tensor, w))
        if np.shape(array) != ():
            raise ValueError(f"value gives shape {np.shape(array)}, expected a scalar")
        if np.isfinite(array):
            worst = _worse(worst, _same(recorded.numpy(), array))
    return worst, 1e-12, "arrays and Tensors give the same scalar"


def _autograd(case: _Case) -> tuple[float, float, str]:
    case.smooth()
    worst = 0.0
    for _, w in case.sized():
        leaves = [Tensor(a, requires_grad=True) for a in w]
        found = grad(case.penalty.value(*leaves), leaves)
        worst = _worse(worst, *(_same(g, f.numpy()) for g, f in zip(case.gradient(*w), found, strict=True)
                             if f is not None))  # fmt: skip
    return worst, 1e-10, "closed form against autograd of value"


def _differences(case: _Case) -> tuple[float, float, str]:
    case.smooth()
    worst, h = 0.0, 1e-6
    for size, w in case.sized():
        u = case.point(size)
        ahead = case.value(*(a + h * b for a, b in zip(w, u, strict=True)))
        behind = case.value(*(a - h * b for a, b in zip(w, u, strict=True)))
        slope = sum(float((g * b).sum()) for g, b in zip(case.gradient(*w), u, strict=True))
        worst = _worse(worst, _same((ahead - behind) / (2 * h), slope))
    return worst, 1e-6, "closed form against central differences"


def _subgradient(case: _Case) -> tuple[float, float, str]:
    worst = 0.0
    for w in case.points():
        pull = case.gradient(*w)
        if not all(np.isfinite(g).all() for g in pull):
            return np.inf, 1e-10, "the gradient is not finite at a kink"
        if not case.penalty.convex or not np.isfinite(base := case.value(*w)):
            continue
        for size in (1e-3, 1.0):
            for along in (case.point(), pull):
                below = base + size * sum(
                    float((g * b).sum()) for g, b in zip(pull, along, strict=True)
                )
                z = [a + size * b for a, b in zip(w, along, strict=True)]
                worst = _worse(worst, (below - case.value(*z)) / max(1.0, abs(base)))
    if not case.penalty.convex:
        return worst, 1e-10, "not convex: the gradient is finite, also at kinks"
    hint = " (a penalty that is not convex says convex = False)" if worst > 1e-10 else ""
    return worst, 1e-10, f"Ω(z) ≥ Ω(w) + ⟨gradient, z − w⟩, also at kinks{hint}"


def _in_place(case: _Case) -> tuple[float, float, str]:
    if len(case.shapes) > 1:
        raise _NotApplicableError("is of several weights together")
    worst = 0.0
    for (w,) in case.points():
        (g,), total = case.gradient(w), case.point()[0]
        worst = _worse(worst, _same(case.penalty.add_gradient(w, total.copy()), total + g))
    return worst, 1e-12, "add_gradient adds the gradient"


def _stretches(case: _Case) -> tuple[float, float, str]:
    """What is said to be a sum over elements is asked for stretches of them."""
    if not case.penalty.separable:
        raise _NotApplicableError("is not said to be separable")
    worst, in_place = 0.0, type(case.penalty).add_gradient is Penalty.add_gradient
    for (w,) in case.points():
        (g,) = case.gradient(w)
        if in_place:
            out = np.empty_like(w)
            case.penalty.gradient(w, out=out)  # type: ignore[call-arg]
            worst = _worse(worst, _same(out, g))
        parts = np.array_split(w.reshape(-1), 3)
        worst = _worse(worst, _same(sum(map(case.value, parts)), case.value(w)))
        pulls = [g for part in parts for g in case.gradient(part)]
        worst = _worse(worst, _same(np.concatenate(pulls), g.reshape(-1)))
    return (
        worst,
        1e-12,
        "separable: values of stretches add up, gradients are stretches; out= is filled",
    )


# --- prox --------------------------------------------------------------------------------------


def _search(function: Callable[[Array], float], start: Array, rng: np.random.Generator) -> float:
    """The lowest value found around ``start`` by steps along axes, zeros and random directions."""
    best, x = function(start), start
    for size in 10.0 ** -np.arange(0, 8):
        axes = size * np.eye(x.size).reshape(-1, *x.shape)
        moves = [*axes, *-axes, *(size * rng.normal(size=(8, *x.shape))), -size * x]
        for move in [*moves, *(-x * (np.abs(a) > 0) for a in axes)]:
            if (value := function(x + move)) < best:
                best, x = value, x + move
    return best


def _brute_force(case: _Case) -> tuple[float, float, str]:
    worst = 0.0
    for v, step, u in case.draws():

        def target(z: Array, v: Array = v, step: float = step) -> float:
            return 0.5 * float(np.square(z - v).sum()) + step * case.value(z)

        starts = [u] if case.penalty.convex else [u, v, 0 * v]  # where one valley is all
        found = min(_search(target, start, case.rng) for start in starts)
        worst = _worse(worst, 2 * (target(u) - found) / max(1.0, abs(found)))
    return max(worst, 0.0) ** 0.5, 1e-6, f"√(2·(φ(prox) − lowest φ found)){case.steps()}"


def _optimal(case: _Case) -> tuple[float, float, str]:
    case.convex()
    worst = 0.0
    for v, step, u in case.draws():
        axes = np.eye(u.size).reshape(-1, *u.shape)
        for move in (1e-2 * axes[case.rng.integers(u.size)], 1e-2 * u, 1e-2 * v, *case.point()):
            for z in (u + move, u - move):
                below = case.value(u) + float(((v - u) * (z - u)).sum()) / step
                worst = _worse(worst, below - case.value(z))
    return worst, 1e-9, "(v − prox)/step is a subgradient at the prox"


def _firm(case: _Case) -> tuple[float, float, str]:
    case.convex()
    worst = 0.0
    for v, step, u in case.draws():
        other = v + case.rng.choice([0.1, 3.0]) * case.point()[0]
        moved = case.prox(other, step) - u
        worst = _worse(worst, float((moved * (moved - (other - v))).sum()))
    return worst, 1e-10, "‖Pa − Pb‖² ≤ ⟨Pa − Pb, a − b⟩"


def _envelope(case: _Case) -> tuple[float, float, str]:
    case.convex()
    worst, h = 0.0, 1e-5

    def envelope(v: Array, step: float) -> float:
        u = case.prox(v, step)
        inside = 0.0 if isinstance(case.penalty, Constraint) else case.value(u)
        return inside + float(np.square(u - v).sum()) / (2 * step)

    for _ in range(case.trials):  # at a kink of the prox differences are off by h
        v, step, u = case.drawn()
        along = case.point()[0]
        slope = (envelope(v + h * along, step) - envelope(v - h * along, step)) / (2 * h)
        worst = _worse(worst, _same(slope, float(((v - u) * along).sum()) / step))
    return worst, 1e-6, "Moreau: ∇ envelope = (v − prox)/step"


def _scaling(case: _Case) -> tuple[float, float, str]:
    if isinstance(case.penalty, Constraint):
        v, step, u = case.drawn()
        return _same(case.prox(v, 2 * step), u), 0.0, "a projection, whatever the step"
    if not case.strengths:
        raise _NotApplicableError("no number of it multiplies the value")
    stronger, worst = case.times(2.0, case.strengths), 0.0
    for v, step, u in case.draws():
        worst = _worse(worst, _same(case.prox(v, step / 2, stronger), u))
    return worst, 1e-10, f"2λ with step t/2 = λ with step t, λ = {', '.join(case.strengths)}"


def _identity(case: _Case) -> tuple[float, float, str]:
    v, step, u = case.drawn()
    if isinstance(case.penalty, Constraint):
        return _same(case.prox(u, step), u), 1e-12, "projecting twice is projecting once"
    inside = v if np.isfinite(case.value(v)) else u
    worst = _same(case.prox(inside, 0.0), inside)
    names = case.strengths or ("strength",) * hasattr(case.penalty, "strength")
    if not names:
        return worst, 1e-12, "step 0 changes nothing"
    off = case.times(0.0, names)
    worst = _worse(worst, _same(case.prox(v, step, off), v), abs(case.value(v, penalty=off)))
    return worst, 1e-12, f"step 0, and {', '.join(names)} = 0, change nothing"


def _each_step(case: _Case) -> tuple[float, float, str]:
    inner = case.penalty
    while isinstance(inner, Composed):
        inner = inner.inner
    if not inner.elementwise_step or isinstance(inner, Constraint):
        raise _NotApplicableError("takes one step for all elements")
    worst = 0.0
    for v, step, u in case.draws():
        worst = _worse(worst, _same(case.prox(v, np.full_like(v, step)), u))
        steps = case.longest * case.rng.uniform(0.05, 1, v.shape)
        u = case.prox(v, steps)
        worst = _worse(worst, float(case.penalty.subdiff_distance(u, (u - v) / steps)))
    return worst, 1e-8, "optimal with a step for each element"


def _parts(case: _Case) -> tuple[float, float, str]:
    parts = list(case.penalty.parts().values())
    if not parts:
        raise _NotApplicableError("is no sum of penalties")
    worst = 0.0
    for v, step, u in case.draws():
        worst = _worse(worst, _same(sum(case.value(v, penalty=p) for p in parts), case.value(v)))
        worst = _worse(worst, _same(sum(p.gradient(v) for p in parts), *case.gradient(v)))
        for part in parts:
            v = case.prox(v, step, part)
        worst = _worse(worst, _same(v, u))
    return worst, 1e-12, "values and gradients add up; prox after prox is the prox"


# --- certificates ------------------------------------------------------------------------------


def _certificate(case: _Case) -> tuple[float, float, str]:
    worst = 0.0
    for v, step, u in case.draws():
        worst = _worse(worst, float(case.penalty.subdiff_distance(u, (u - v) / step)))
    return worst, 1e-8, "subdiff_distance is 0 where prox says stationary"


def _limit(case: _Case) -> tuple[float, float, str]:
    case.convex()
    if type(case.penalty).subdiff_distance is Penalty.subdiff_distance:
        raise _NotApplicableError("subdiff_distance is derived from the prox")
    worst = 0.0
    for _, _, u in case.draws():
        g = case.point()[0]
        t = 1e-7 / max(1.0, float(np.abs(case.gradient(g)[0]).max()))
        far = float(np.sqrt(np.square((u - case.prox(u - t * g, t)) / t).sum()))
        worst = _worse(worst, _same(float(case.penalty.subdiff_distance(u, g)), far))
    return worst, 1e-3, "subdiff_distance = lim ‖w − prox(w − tg, t)‖/t"


def _max_strength(case: _Case) -> tuple[float, float, str]:
    named = [n for n in ("strength", "l1", *case.strengths) if hasattr(case.penalty, n)]
    if not named or isinstance(case.penalty, Constraint):
        raise _NotApplicableError("has no strength")
    worst = 0.0
    for _ in range(case.trials):
        g = case.point()[0]
        try:
            top = float(case.penalty.max_strength(g))
        except NotImplementedError as error:
            raise _NotApplicableError(str(error)) from error
        t = min(1.0, case.longest / 2)
        below, above, far = (
            case.prox(-t * g, t, case.changed(**{named[0]: f * top}))
            for f in (1 - 1e-6, 1 + 1e-9, 1e6)
        )
        worst = _worse(worst, _same(above, far), float(_same(below, far) == 0))
    return worst, 1e-8, "w = 0 is optimal above it and not below"


# --- manners -----------------------------------------------------------------------------------


def _float32(case: _Case) -> tuple[float, float, str]:
    found = []
    for point in case.points():
        w = [a.astype(np.float32) for a in point]
        leaves = [Tensor(a, requires_grad=True) for a in w]
        found += [
            np.asarray(case.penalty.value(*w)),
            case.penalty(*leaves).data,
            *case.gradient(*w),
        ]
        with suppress(_NotApplicableError):
            found.append(case.prox(w[0], 0.5))
    return float(sum(a.dtype != np.float32 for a in found)), 0.0, "float32 stays float32"


def _untouched(case: _Case) -> tuple[float, float, str]:
    w = case.point(3.0)
    before = [a.copy() for a in w]
    case.value(*w)
    case.gradient(*w)
    with suppress(_NotApplicableError):
        case.prox(w[0], 0.5)
    return (
        _worse(*(_same(a, b) for a, b in zip(w, before, strict=True))),
        0.0,
        "inputs are not changed",
    )


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.01),
    "momentum": lambda p: optim.SGD(p, lr=0.01, momentum=0.9),
    "Nesterov": lambda p: optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.0),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "SGLD, T = 0": lambda p: optim.SGLD(p, lr=0.01, temperature=0.0),
    "ProximalGradient": lambda p: optim.ProximalGradient(p, lr=0.01),
    "FISTA": lambda p: optim.ProximalGradient(p, lr=0.01, accelerated=True),
}


def _outside(case: _Case, leaves: Sequence[Tensor]) -> float:
    """How far the weights are from what a step of 0 makes of them, where the value is finite."""
    return sum(float(length(p.data - case.prox(p.data, 0.0))) for p in leaves)


def _effect(name: str, via: str) -> Callable[[_Case], tuple[float, float, str]]:
    """On a flat loss a step must make the penalty smaller."""

    def check(case: _Case) -> tuple[float, float, str]:
        if via == "gradient":
            case.smooth()
        elif len(case.shapes) > 1:
            raise _NotApplicableError("has no prox")
        else:
            case.drawn()  # not applicable without a prox
        leaves = [Parameter(a) for a in case.point(3.0)]
        for p in leaves:  # of all sizes, for penalties that spare the large ones
            p.data *= np.geomspace(1e-4, 1, p.size).reshape(p.shape)
        optimizer = OPTIMIZERS[name](leaves)
        if via == "prox":
            optimizer.param_groups[0]["lr"] *= min(1.0, case.longest)
            try:
                optimizer.add_prox(leaves, case.penalty)
            except NotImplementedError as error:
                raise _NotApplicableError(str(error)) from error
        else:  # short steps, also beside the smallest weight, however strong the pull
            optimizer.param_groups[0]["lr"] *= 1e-5
        start, force = case.value(*(p.data for p in leaves)), 0.0
        if not start:
            raise _NotApplicableError("is 0 where it starts")
        outside = _outside(case, leaves) if np.isinf(start) else 0.0
        for _ in range(3):
            pulls = case.gradient(*(p.data for p in leaves))
            force = force or max(float(np.abs(g).max()) for g in pulls) or 1.0
            for p, pull in zip(leaves, pulls, strict=True):
                p.grad = Tensor(pull / force if via == "gradient" else 0 * pull)
            optimizer.step()
        if np.isinf(start):  # (where it moves on inside, extrapolation may leave it a little)
            left = _outside(case, leaves) / outside if outside else np.inf
            return left, 0.1, "share of the way into the ball that three steps leave"
        end = case.value(*(p.data for p in leaves))
        return (
            (end - start) / abs(start),
            -1e-12,
            "relative change of Ω in three steps on a flat loss",
        )

    return check


CHECKS: dict[str, Callable[[_Case], tuple[float, float, str]]] = {
    "value": _value,
    "gradient = autograd": _autograd,
    "gradient = differences": _differences,
    "subgradient inequality": _subgradient,
    "add_gradient": _in_place,
    "separable": _stretches,
    "prox: brute force": _brute_force,
    "prox: optimality": _optimal,
    "prox: firm": _firm,
    "prox: Moreau": _envelope,
    "prox: scaling": _scaling,
    "prox: identity": _identity,
    "prox: each its step": _each_step,
    "parts": _parts,
    "certificate: 0": _certificate,
    "certificate: limit": _limit,
    "max_strength": _max_strength,
    "float32": _float32,
    "untouched": _untouched,
    **{
        f"effect: {name} via {via}": _effect(name, via)
        for via in ("gradient", "prox")
        for name in OPTIMIZERS
    },
}
"""The battery; each check gives (figure, limit, what it compared)."""


def _is_flat(case: _Case) -> bool:
    try:
        return not any(case.value(*w) for w in case.points(3.0))
    except Exception:  # the checks will say so
        return False


def check_penalty(
    penalty: Penalty,
    shape: tuple[int, ...] | Sequence[tuple[int, ...]] | None = None,
    *,
    trials: int = 20,
    seed: int = 0,
) -> PenaltyReport:
    """Run the battery of :data:`CHECKS` on a penalty; the report is true when nothing is wrong.

    Parameters
    ----------
    penalty : an instance; ``value`` must be defined, everything else is checked if it is there.
    shape : of the weight to ask it at (default (4, 3)), or a list of shapes for a
        penalty of several weights.
    trials : random points a check, ≥ 1, beside those of :data:`KINKS`.

    A strength is whatever number of the penalty doubles the value when it doubles, under any name
    (two of them together, for a sum); one that does not, as of SCAD and MCP, is asked less. Where
    a penalty is not convex, which its attribute ``convex = False`` says, steps stay below 1/ρ, ρ
    being how much it bends down. ``TypeError`` for what is no penalty; ``ValueError`` if trials < 1,
    or if the penalty is 0 wherever it was tried: of strength 0, say, there is nothing to check.

    >>> import minireg as mr
    >>> class Ridge(mr.penalties.Penalty):
    ...     strength = mr.penalties.Strength()
    ...     def __init__(self, strength): self.strength = strength
    ...     def value(self, w): return 0.5 * self.strength * (w * w).sum()
    ...     def prox(self, v, step): return v / (1 + step * self.strength)
    >>> bool(check_penalty(Ridge(0.7), trials=3))
    True
    """
    if not isinstance(penalty, Penalty):
        raise TypeError(f"check_penalty: expected a Penalty instance, got {penalty!r:.80}")
    shapes: Any = penalty.shapes if shape is None else shape
    shapes = [shapes] if not shapes or isinstance(shapes[0], int) else list(shapes)
    check_option("check_penalty", 1, trials=trials)
    if _is_flat(_Case(penalty, shapes, trials, seed)):
        raise ValueError(
            f"check_penalty: {penalty!r} is 0 wherever it was tried, so there is nothing to check; "
            "expected a strength > 0 (of a constraint, a radius that random weights exceed)"
        )
    findings = []
    for i, (name, check) in enumerate(CHECKS.items()):
        case = _Case(penalty, shapes, trials, seed + i)
        try:
            findings.append(Finding(name, *check(case)))
        except (_NotApplicableError, NotImplementedError) as error:
            findings.append(Finding(name, None, 0.0, str(error)))
        except Exception as error:  # a penalty under test may raise anything
            findings.append(Finding(name, float("inf"), 0.0, f"{type(error).__name__}: {error}"))
    return PenaltyReport(repr(penalty), tuple(findings))
