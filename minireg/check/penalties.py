"""check_penalty: do value, gradient, prox and certificates of a penalty fit together?

The checks of a new penalty: closed form, autograd and differences agree, at weights of several
sizes; the gradient is the same added in place and computed in parts; the subgradient inequality
holds; the prox minimises, is firmly non-expansive, is the gradient of the Moreau envelope, scales
with strength and step; the certificate is 0 exactly where it should be; and under every optimizer
the penalty has an effect, with the right sign.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations, product
from typing import Any

import numpy as np

from .. import optim
from ..engine import grad
from ..messages import check_option
from ..nn.module import Parameter
from ..ops.arrays import length
from ..penalties.base import NUMBER, Penalty
from ..penalties.constraints import Constraint
from ..tables import Column, Table
from ..tensor import Tensor
from .report import WRONG, Check, Finding, Report, run

Array = np.ndarray[Any, Any]
Figures = Iterator[float]
SIZES = -4, 3  # of weights, as powers of 10
EPS = float(np.finfo(float).eps)
TINY = 10.0 ** np.arange(-12, 3, 2)  # sizes at which a number is the strength
STARTS = 1.0, 1e4, 1e-4  # sizes at which a penalty may have an effect


@dataclass(frozen=True, repr=False)
class PenaltyReport(Report):
    """What :func:`check_penalty` found; true if nothing is wrong. ``report[check]`` is a finding.

    ``KeyError`` for an unknown check.
    """

    penalty: str
    findings: tuple[Finding, ...]

    def __getitem__(self, check: str) -> Finding:
        if not (found := [f for f in self.findings if f.check == check]):
            raise KeyError(f"PenaltyReport: no check {check!r}, expected one of {list(CHECKS)}")
        return found[0]

    def __str__(self) -> str:
        rows = []
        for f in self.findings:
            figures = ("", "") if f.figure is None else (f.figure, f"≤ {f.limit:.0e}")
            rows.append((f"  {f.check}", f.verdict, *figures, f.note))
        verdict = "ok: what was measured ≤ its limit"
        if not self:
            what = f"{sum(f.verdict == WRONG for f in self.findings)} of {len(rows)} checks"
            verdict = f"wrong: in {what} what was measured is not ≤ its limit"
        return f"{self.penalty}\n{verdict}\n{Table(['', '', Column('', '.1e'), '', ''], rows)}"


# --- what is asked: a penalty at random points -------------------------------------------------


def _rotated(m: Array, singular: Callable[[Array], Any]) -> Array:
    """m with other singular values."""
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    return np.asarray((u * singular(s)) @ vt)


def _two_equal(s: Array) -> Array:
    """Singular values of which the first two are the same."""
    return np.where(s < s[:2].min(), s, s[0])


KINKS: dict[str, Callable[[Array, np.random.Generator], Any]] = {
    "zero": lambda m, rng: 0 * m,
    "zeros": lambda m, rng: m * (rng.uniform(size=m.shape) < 0.5),
    "a row of zeros": lambda m, rng: m * (np.arange(len(m)) > 0)[:, None],
    "a column of zeros": lambda m, rng: m * (np.arange(m.shape[1]) > 0),
    "ties": lambda m, rng: np.sign(m),
    "equal singular values": lambda m, rng: _rotated(m, np.ones_like),
    "two equal singular values": lambda m, rng: _rotated(m, _two_equal),
    "rank one": lambda m, rng: _rotated(m, lambda s: np.where(s < s[0], 0, s)),
}
"""Where penalties have kinks: functions that move a random matrix to one."""


class _Case:
    """A penalty and points to check it at: those of :data:`KINKS` and random ones."""

    def __init__(self, penalty: Penalty, shapes: Sequence[tuple[int, ...]], trials: int, seed: int):
        self.penalty, self.shapes, self.trials = penalty, shapes, trials
        self.rng = np.random.default_rng(seed)

    def point(self, size: float = 1.0) -> list[Array]:
        """Random weights."""
        return [np.asarray(size * self.rng.normal(size=s)) for s in self.shapes]

    def points(self, size: float = 1.0) -> Iterator[list[Array]]:
        """Weights at every kink, then random ones."""
        for kink in KINKS.values():
            matrices = [a.reshape(*a.shape[:1] or (1,), -1) for a in self.point(size)]
            bent = [kink(m, self.rng) for m in matrices]
            yield [m.reshape(s) for m, s in zip(bent, self.shapes, strict=True)]
        for _ in range(self.trials):
            yield self.point(size)

    def sized(self) -> Iterator[tuple[float, list[Array]]]:
        """Sizes, rising through all of :data:`SIZES`, and random weights of each."""
        low, high = SIZES
        for i in range(self.trials):
            size = 10.0 ** (low + (high - low) * (i + self.rng.uniform()) / self.trials)
            yield size, self.point(size)

    def value(self, *ws: Array) -> float:
        """Ω(w)."""
        return float(self.penalty.value(*ws))

    def gradient(self, *ws: Array) -> list[Array]:
        """∇Ω(w), one array per weight."""
        found = self.penalty.gradient(*ws)
        return list(found) if isinstance(found, tuple) else [found]

    def prox(self, v: Array, step: Any) -> Array:
        """argmin_u ½‖u − v‖² + step·Ω(u)."""
        return np.asarray(self.penalty.prox(v, step))

    def prox_objective(self, v: Array, step: float, u: Array) -> float:
        """½‖u − v‖² + step·Ω(u), of which the prox is the minimiser."""
        return 0.5 * float(np.square(u - v).sum()) + step * self.value(u)

    def drawn(self, at: Array | None = None) -> tuple[Array, float, Array]:
        """(v, step, prox(v, step)) at a random step, and a random v unless it is given.

        Every second time both are of another size: a prox may be right for short steps only.
        """
        size = 10.0 ** (self.rng.integers(2) * self.rng.uniform(-3, 2))
        v = (self.point()[0] if at is None else at) * self.rng.uniform(0.5, 3) * size
        step = self.longest * self.rng.uniform(0.05, 1) * (min(size, 1) if self.weakness else size)
        return v, step, self.prox(v, step)

    def draws(self) -> Iterator[tuple[Array, float, Array]]:
        """:meth:`drawn` at all points."""
        return (self.drawn(v) for v, *_ in self.points())

    @cached_property
    def weakness(self) -> float:
        """About the least ρ for which Ω + ½ρ‖w‖² is convex: the most that Ω bends down anywhere."""
        if self.penalty.convex or len(self.shapes) > 1:
            return 0.0
        worst = 0.0
        for size in 10.0 ** np.arange(-8, 2):
            (w,), h = self.point(size), 1e-2 * size
            for move in h * np.eye(w.size).reshape(-1, *w.shape):
                here, ends = self.value(w), self.value(w + move) + self.value(w - move)
                worst = max(worst, (2 * here - ends - 1e-14 * abs(here)) / h**2)
        return worst if worst > 1e-2 else 0.0

    @property
    def longest(self) -> float:
        """Steps stay below 1/ρ: beyond, the prox may have several values, and few formulas hold."""
        return min(2.0, 0.9 / self.weakness) if self.weakness else 2.0

    def convex(self) -> None:
        """Ends a check of a penalty that is not convex."""
        _only_if(self.penalty.convex, "not convex")

    def smooth(self) -> None:
        """Ends a check of a penalty that acts through its prox only."""
        _only_if(self.penalty.via != "prox", "acts through its prox only")

    @cached_property
    def strengths(self) -> tuple[str, ...]:
        """The fewest of its numbers that together double the value when they double."""
        named = {name: getattr(self.penalty, name, None) for name in vars(self.penalty)}
        numbers = [name for name, value in named.items() if isinstance(value, NUMBER)]
        points = [self.point(size) for size in TINY]
        for count in range(1, len(numbers) + 1):
            for names in combinations(numbers, count):
                with suppress(Exception):  # not every number may double: an axis, a count
                    twice = self.times(2.0, *names)
                    pairs = [(2 * self.value(*w), float(twice.value(*w))) for w in points]
                    if all(0 < abs(a) < np.inf and abs(a - b) <= 1e-12 * abs(a) for a, b in pairs):
                        return names
        return ()

    def times(self, factor: float, *names: str) -> Penalty:
        """The penalty with some of its numbers multiplied."""
        return self.changed(**{name: factor * getattr(self.penalty, name) for name in names})

    def changed(self, **numbers: float) -> Penalty:
        """The penalty with other numbers."""
        other = copy.copy(self.penalty)
        vars(other).update(numbers)
        return other


def _only_if(met: object, otherwise: str) -> None:
    """Ends a check that does not apply."""
    if not met:
        raise NotImplementedError(otherwise)


def _off(a: Any, b: Any) -> float:
    """Largest difference relative to the largest entry of b, or to 1."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"got shape {a.shape}, expected {b.shape}")
    scale = max(float(np.abs(b).max(initial=0)), 1.0)
    return float(np.abs(a - b).max(initial=0)) / scale


def _moved(ws: Sequence[Array], step: float, along: Sequence[Array]) -> list[Array]:
    """Ws + step·along."""
    return [w + step * a for w, a in zip(ws, along, strict=True)]


def _dot(a: Sequence[Array], b: Sequence[Array]) -> float:
    """⟨a, b⟩ over all arrays."""
    return sum(float((x * y).sum()) for x, y in zip(a, b, strict=True))


# --- value and gradient ----------------------------------------------------------------------


def _value(case: _Case) -> Figures:
    for w in case.points():
        array, recorded = case.penalty.value(*w), case.penalty.value(*map(Tensor, w))
        if np.shape(array) != ():
            raise ValueError(f"value gives shape {np.shape(array)}, expected a scalar")
        if np.isfinite(array):
            yield _off(recorded.numpy(), array)


def _autograd(case: _Case) -> Figures:
    case.smooth()
    for _, w in case.sized():
        leaves = [Tensor(a, requires_grad=True) for a in w]
        found: Any = grad(case.penalty.value(*leaves), leaves)
        for closed, automatic in zip(case.gradient(*w), found, strict=True):
            yield _off(closed, automatic.numpy())


def _differences(case: _Case) -> Figures:
    case.smooth()
    h = 1e-6
    for size, w in case.sized():
        u = case.point(size)
        above, below = (case.value(*_moved(w, h * sign, u)) for sign in (1, -1))
        rounding = 4 * EPS * abs(above) / h
        yield max(_off((above - below) / (2 * h), _dot(case.gradient(*w), u)) - rounding, 0.0)


def _subgradient(case: _Case) -> Figures:
    for w in case.points():
        g = case.gradient(*w)
        if not all(np.isfinite(part).all() for part in g):
            raise FloatingPointError("the gradient is not finite at a kink")
        if not case.penalty.convex or not np.isfinite(base := case.value(*w)):
            continue
        for step, along in product((1e-3, 1.0), (case.point(), g)):
            below = base + step * _dot(g, along)
            yield (below - case.value(*_moved(w, step, along))) / max(1.0, abs(base))


def _inequality(case: _Case) -> str:
    if not case.penalty.convex:
        return "not convex: the gradient is finite, also at kinks"
    return "Ω(z) ≥ Ω(w) + ⟨gradient, z − w⟩, also at kinks, unless convex = False"


def _in_place(case: _Case) -> Figures:
    _only_if(len(case.shapes) == 1, "is of several weights together")
    for (w,) in case.points():
        (g,), total = case.gradient(w), case.point()[0]
        yield _off(case.penalty.add_gradient(w, total.copy()), total + g)


def _slices(case: _Case) -> Figures:
    """The value and gradient of a separable penalty are those of its slices."""
    _only_if(case.penalty.separable, "is not said to be separable")
    in_place = type(case.penalty).add_gradient is Penalty.add_gradient
    for (w,) in case.points():
        (g,), parts = case.gradient(w), np.array_split(w.reshape(-1), 3)
        if in_place:
            out = np.empty_like(w)
            case.penalty.gradient(w, out=out)  # type: ignore[call-arg]
            yield _off(out, g)
        yield _off(sum(map(case.value, parts)), case.value(w))
        yield _off(np.concatenate([case.gradient(p)[0] for p in parts]), g.reshape(-1))


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


def _brute_force(case: _Case) -> Figures:
    for v, step, u in case.draws():
        objective = partial(case.prox_objective, v, step)
        starts = [u] if case.penalty.convex else [u, v, 0 * v]  # several local minima
        found, lowest = objective(u), min(_search(objective, start, case.rng) for start in starts)
        beside = [abs(objective(u * (1 + k * EPS)) - found) for k in (-3, -2, -1, 1, 2, 3)]
        rounding = 2 * max((x for x in beside if x < np.inf), default=0.0)
        excess = (found - lowest - rounding) / max(1.0, abs(lowest))
        yield max(2 * excess, 0.0) ** 0.5  # (NaN stays NaN)


def _lowest(case: _Case) -> str:
    note = "√(2·(φ(prox) − lowest φ found))"
    if not case.weakness:
        return note
    return f"{note}; steps up to {case.longest:.2g} < 1/ρ, Ω bends down by ρ ≈ {case.weakness:.2g}"


def _optimal(case: _Case) -> Figures:
    case.convex()
    for v, step, u in case.draws():
        axis = np.eye(u.size).reshape(-1, *u.shape)[case.rng.integers(u.size)]
        for move in (1e-2 * axis, 1e-2 * u, 1e-2 * v, *case.point()):
            for z in (u + move, u - move):
                below = case.value(u) + float(((v - u) * (z - u)).sum()) / step
                yield (below - case.value(z)) / max(1.0, abs(below))


def _firm(case: _Case) -> Figures:
    case.convex()
    for v, step, u in case.draws():
        other = v + case.rng.choice([0.1, 3.0]) * case.point()[0]
        moved = case.prox(other, step) - u
        yield float((moved * (moved - (other - v))).sum()) / max(
            1.0, float(np.square(other - v).sum())
        )


def _envelope(case: _Case) -> Figures:
    case.convex()

    def envelope(v: Array, step: float) -> float:
        u = case.prox(v, step)
        inside = 0.0 if isinstance(case.penalty, Constraint) else case.value(u)
        return inside + float(np.square(u - v).sum()) / (2 * step)

    for _ in range(case.trials):  # random points only: at a kink of the prox differences err by h
        v, step, u = case.drawn()
        h = 1e-5 * float(np.abs(v).max())
        along = case.point()[0]
        slope = (envelope(v + h * along, step) - envelope(v - h * along, step)) / (2 * h)
        yield _off(slope, float(((v - u) * along).sum()) / step)


def _scaling(case: _Case) -> Figures:
    constraint = isinstance(case.penalty, Constraint)
    _only_if(constraint or case.strengths, "no number of it multiplies the value")
    stronger = case.times(2.0, *case.strengths)
    for v, step, u in case.draws():
        yield _off(stronger.prox(v, step / 2), u)


def _scaled_by(case: _Case) -> str:
    if isinstance(case.penalty, Constraint):
        return "a projection, whatever the step"
    return f"2λ with step t/2 = λ with step t, λ = {', '.join(case.strengths)}"


def _identity(case: _Case) -> Figures:
    v, step, u = case.drawn()
    inside = v if np.isfinite(case.value(v)) else u
    yield _off(case.prox(inside, 0.0), inside)
    names = case.strengths or ("strength",)
    if all(hasattr(case.penalty, name) for name in names):
        off = case.times(0.0, *names)
        yield _off(off.prox(v, step), v)
        yield abs(float(off.value(v)))


def _unchanged(case: _Case) -> str:
    if isinstance(case.penalty, Constraint):
        return "P(Pv) = Pv"
    return "step 0, and strength 0 if it has one, change nothing"


def _each_step(case: _Case) -> Figures:
    elementwise = case.penalty.elementwise_step and not case.penalty.euclidean
    _only_if(elementwise, "takes one step for all elements")
    for v, step, u in case.draws():
        yield _off(case.prox(v, np.full_like(v, step)), u)
        steps = step * case.rng.uniform(0.05, 1, v.shape)
        yield _uncertain(case, v, steps, case.prox(v, steps))


def _parts(case: _Case) -> Figures:
    parts = list(case.penalty.parts().values())
    _only_if(parts, "is no sum of penalties")
    for v, step, u in case.draws():
        yield _off(sum(float(p.value(v)) for p in parts), case.value(v))
        yield _off(sum(p.gradient(v) for p in parts), *case.gradient(v))
        for part in parts:
            v = part.prox(v, step)
        yield _off(v, u)


# --- certificates ------------------------------------------------------------------------------


def _certificate(case: _Case) -> Figures:
    for v, step, u in case.draws():
        yield _uncertain(case, v, step, u)


def _uncertain(case: _Case, v: Array, step: Any, u: Array) -> float:
    """The certificate at u = prox(v, step), without the rounding of v that the step divides."""
    found = float(case.penalty.subdiff_distance(u, (u - v) / step))
    return max(found - 4 * EPS * float(length(v / step)), 0.0)


def _limit(case: _Case) -> Figures:
    case.convex()
    for _, _, u in case.draws():
        g = case.point()[0]
        size = min(1.0, float(length(u)) or 1.0)  # (a ball may be small)
        t = 1e-7 * size / max(1.0, float(np.abs(case.gradient(g)[0]).max()))
        far = float(np.sqrt(np.square((u - case.prox(u - t * g, t)) / t).sum()))
        yield _off(float(case.penalty.subdiff_distance(u, g)), far)


def _max_strength(case: _Case) -> Figures:
    named = [n for n in ("strength", "l1", *case.strengths) if hasattr(case.penalty, n)]
    _only_if(named and not isinstance(case.penalty, Constraint), "has no strength")
    for _ in range(case.trials):
        g = case.point()[0]
        top = float(case.penalty.max_strength(g))
        there = _Case(case.changed(**{named[0]: top}), case.shapes, 1, 0)
        t = min(1.0, there.longest / 2)  # what bends down may bend more with its strength
        below, above, far = (
            case.changed(**{named[0]: factor * top}).prox(-t * g, t)
            for factor in (1 - 1e-6, 1 + 1e-9, 1e6)
        )
        yield _off(above, far)
        if top:  # (0 may be optimal at every strength, by the other of two)
            yield float(_off(below, far) == 0)


# --- dtypes, inputs and optimizers ---------------------------------------------------------------


def _results(case: _Case, w: Sequence[Array]) -> list[Any]:
    """Value, gradient and, where there is one, prox."""
    found = [case.penalty.value(*w), *case.gradient(*w)]
    with suppress(NotImplementedError):
        found.append(case.prox(w[0], 0.5))
    return found


def _float32(case: _Case) -> Figures:
    for point in case.points():
        w = [a.astype(np.float32) for a in point]
        term = case.penalty(*(Tensor(a, requires_grad=True) for a in w))
        yield from (float(a.dtype != np.float32) for a in [*_results(case, w), term])


def _untouched(case: _Case) -> Figures:
    w = case.point(3.0)
    before = [a.copy() for a in w]
    _results(case, w)
    yield from map(_off, w, before)


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


def _effect(name: str, via: str, case: _Case) -> Figures:
    """With a constant loss three steps must make the penalty smaller, at some size of the weights."""
    change = 0.0
    for scale in STARTS:
        change = _changed(name, via, case, scale)
        if not abs(change) <= 1e-12:
            break
    yield change


def _changed(name: str, via: str, case: _Case, scale: float) -> float:
    # entries of all sizes, because some penalties do not shrink large ones
    leaves = [
        Parameter(scale * a * np.geomspace(1e-4, 3, a.size).reshape(a.shape)) for a in case.point()
    ]

    def size() -> float:
        """The penalty; where it is infinite, how far a prox of step 0 moves the weights."""
        if np.isfinite(start):
            return case.value(*(p.data for p in leaves))
        return sum(float(length(p.data - case.prox(p.data, 0.0))) for p in leaves)

    optimizer = OPTIMIZERS[name](leaves)
    if via == "prox":
        case.drawn()  # not applicable without a prox
        optimizer.param_groups[0]["lr"] *= min(1.0, case.longest)
        optimizer.add_prox(leaves, case.penalty)
    else:
        case.smooth()  # steps shorter than the smallest weight, for every strength
        optimizer.param_groups[0]["lr"] *= 1e-5 * min(scale, 1.0)
    start = case.value(*(p.data for p in leaves))
    _only_if(start, "is 0 where it starts")
    before = size()
    for _ in range(3):
        gradients = case.gradient(*(p.data for p in leaves))
        largest = max(float(np.abs(g).max()) for g in gradients) or 1.0
        for p, g in zip(leaves, gradients, strict=True):
            p.grad = Tensor(g / largest if via == "gradient" else 0 * g)
        optimizer.step()
    change = (size() - before) / abs(before) if before else np.inf
    # (inside a constraint, extrapolation may leave it a little)
    return change if np.isfinite(start) or change <= -0.9 else change + 1


def _change(case: _Case) -> str:
    outside = np.isinf(case.value(*(np.full(s, 10.0) for s in case.shapes)))
    return f"relative change of {'the distance' if outside else 'Ω'} in three steps, flat loss"


CHECKS = {
    "value": Check(_value, 1e-12, "arrays and Tensors give the same scalar"),
    "gradient = autograd": Check(_autograd, 1e-10, "closed form against autograd of value"),
    "gradient = differences": Check(_differences, 1e-6, "closed form against central differences"),
    "subgradient inequality": Check(_subgradient, 1e-10, _inequality),
    "add_gradient": Check(_in_place, 1e-12, "add_gradient adds the gradient"),
    "separable": Check(_slices, 1e-12, "values add up, gradients are slices, out= is filled"),
    "prox: brute force": Check(_brute_force, 1e-6, _lowest),
    "prox: optimality": Check(_optimal, 1e-9, "(v − prox)/step is a subgradient at the prox"),
    "prox: firm": Check(_firm, 1e-10, "‖Pa − Pb‖² ≤ ⟨Pa − Pb, a − b⟩"),
    "prox: Moreau": Check(_envelope, 1e-6, "Moreau: ∇ envelope = (v − prox)/step"),
    "prox: scaling": Check(_scaling, 1e-10, _scaled_by),
    "prox: identity": Check(_identity, 1e-12, _unchanged),
    "prox: each its step": Check(_each_step, 1e-8, "optimal with a step for each element"),
    "parts": Check(_parts, 1e-12, "values and gradients add up; prox after prox is the prox"),
    "certificate: 0": Check(_certificate, 1e-8, "0 where the prox says it is stationary"),
    "certificate: limit": Check(_limit, 1e-3, "subdiff_distance = lim ‖w − prox(w − tg, t)‖/t"),
    "max_strength": Check(_max_strength, 1e-8, "w = 0 is optimal above it and not below"),
    "float32": Check(_float32, 0.0, "float32 stays float32"),
    "untouched": Check(_untouched, 0.0, "inputs are not changed"),
    **{
        f"effect: {name} via {via}": Check(partial(_effect, name, via), -1e-12, _change)
        for via, name in product(("gradient", "prox"), OPTIMIZERS)
    },
}
"""The checks of :func:`check_penalty`, by name."""


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
    """Run all of :data:`CHECKS` on a penalty; the report is true when nothing is wrong.

    Parameters
    ----------
    penalty : an instance; ``value`` must be defined, the rest is checked if it is defined.
    shape : of the weight (by default that of ``penalty.shapes``, (4, 3) for most), or a list of
        shapes for a penalty of several weights.
    trials : random points per check, ≥ 1, in addition to those of :data:`KINKS`.
    seed : of the random points.

    Returns a :class:`PenaltyReport`. The strength is the number of the penalty that doubles the
    value when it doubles, under any name (for a sum two of them together); without one, as for SCAD
    and MCP, fewer checks apply. If ``penalty.convex`` is False, steps stay below 1/ρ, where Ω +
    ½ρ‖w‖² is convex (Moreau 1965; Rockafellar & Wets 1998), and the report says up to which. ``TypeError``
    for what is no penalty or has no ``value``; ``ValueError`` if trials < 1, for a weight without elements,
    or if the penalty is 0 at all points, for example of strength 0.

    >>> import minireg as mr
    >>> class Ridge(mr.penalties.Penalty):
    ...     strength = mr.penalties.Strength()
    ...     def __init__(self, strength): self.strength = strength
    ...     def value(self, w): return 0.5 * self.strength * (w * w).sum()
    ...     def prox(self, v, step): return v / (1 + step * self.strength)
    >>> bool(mr.check_penalty(Ridge(0.7), trials=3))
    True
    """
    if not isinstance(penalty, Penalty):
        raise TypeError(f"check_penalty: expected a Penalty instance, got {penalty!r:.80}")
    if type(penalty).value is Penalty.value:
        raise TypeError(f"check_penalty: {type(penalty).__name__} does not define value")
    shapes: Any = penalty.shapes if shape is None else shape
    shapes = [shapes] if not shapes or isinstance(shapes[0], int) else list(shapes)
    if any(0 in s for s in shapes):
        raise ValueError(
            f"check_penalty: a weight of shape {shape} has no elements; pass another shape"
        )
    check_option("check_penalty", 1, trials=trials)
    case = _Case(penalty, shapes, trials, seed)
    if _is_flat(case):
        raise ValueError(
            f"check_penalty: {penalty!r} is 0 wherever it was tried, so there is nothing to check; "
            "expected a strength > 0 (of a constraint, a radius that random weights exceed)"
        )
    return PenaltyReport(repr(penalty), tuple(run(CHECKS, case, excuse=NotImplementedError)))
