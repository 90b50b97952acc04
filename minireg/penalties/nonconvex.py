"""Concave in every |w|: MCP, SCAD and LogSum make zeros as L1 does, and leave large weights alone.

Each is a sum of ψ(|w|) whose slope ψ′ falls from |w| = 0 on, so 0 is a kink, as for L1, and what is
large is shrunk less. None is convex: there may be several solutions, and ``subdiff_distance`` says
that a point is stationary. Where the loss bends up more than ψ bends down the sum is convex, and the
solution is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array
from ..messages import check_option
from ..ops.arrays import largest, length
from .base import Formula, Level, Penalty, Strength, Weight
from .elementwise import soft_threshold


class Folded(Penalty):
    """Σ ψ(|w|) with a falling slope ψ′; a subclass says ``slope`` and names its ``second`` number."""

    convex, elementwise_step = False, True
    strength: Strength = Strength()
    second: str

    def slope(self, size: Any) -> Any:
        """ψ′ at ``size`` ≥ 0, a number or an array."""
        raise NotImplementedError(f"{type(self).__name__} does not define slope")

    def gradient(self, w: Array, out: Array | None = None) -> Array:
        """ψ′(|w|)·sign(w), 0 at 0."""
        return np.multiply(self.slope(np.abs(w)), np.sign(w), out=out)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """How far w is from stationary: as for L1, with the slope at w in the place of λ."""
        stays = soft_threshold(g, float(self.slope(0.0)))
        return length(np.where(w == 0, stays, g + self.gradient(w)))

    def max_strength(self, g: Array) -> Any:
        """The smallest λ at which w = 0 is stationary: max|g|."""
        return largest(np.abs(g))

    def parameters_text(self) -> str:
        """λ and the second number."""
        return f"{self.strength:g}, {self.second}={getattr(self, self.second):g}"


class MCP(Folded):
    """Minimax concave penalty, Σ λ|w| − w²/(2γ) up to |w| = γλ, flat beyond (Zhang 2010).

    λ is a threshold, not a factor of the value. Weights beyond γλ are not shrunk at all; for γ → ∞
    it is L1. With a loss whose Hessian has no eigenvalue below 1/γ the sum is convex.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`.
    gamma : γ > 0.

    ``ValueError`` for a negative strength and another γ. The prox is the global minimum at every step;
    from step = γ on it is a hard threshold.

    >>> pen = MCP(1.0, gamma=3.0); w = np.array([-1.5, 6.0])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=1.0)
    (2.625, array([-0.5,  0. ]), array([-0.75,  6.  ]))
    """

    formula = Formula(
        r"\textstyle\sum \lambda c - \tfrac{c^2}{2\gamma},\ c = \min(|w|, \gamma\lambda)",
        r"\mathrm{sign}(w)\max(\lambda - |w|/\gamma, 0)",
        r"\frac{\mathrm{sign}(v)\max(|v| - t\lambda, 0)}{1 - t/\gamma}\ "
        r"(|v| \le \gamma\lambda),\ v\ \text{beyond}",
    )
    prior = "a peak as Laplace's at 0 and flat tails: improper"
    text = "Σ λ|w| − w²/2γ up to γλ"
    separable, second = True, "gamma"

    def __init__(self, strength: Level, gamma: float = 3.0) -> None:
        check_option("MCP", "(0, inf)", gamma=gamma)
        self.strength, self.gamma = strength, gamma

    def value(self, w: Weight) -> Any:
        """Σ λc − c²/(2γ) with c = min(|w|, γλ)."""
        c = np.minimum(np.abs(w), self.gamma * self.strength)
        return (self.strength * c - np.square(c) / (2 * self.gamma)).sum()

    def slope(self, size: Any) -> Any:
        """λ − size/γ, at least 0."""
        return np.maximum(self.strength - size / self.gamma, 0)

    def prox(self, v: Array, step: float | Array) -> Array:
        """A soft threshold, stretched so that it meets v at γλ; hard at λ√(step·γ) for step ≥ γ."""
        t = step + np.zeros_like(v)
        stretch = np.where(t < self.gamma, 1 - t / self.gamma, 1)
        kept = self.strength * (self.gamma * np.maximum(t, self.gamma)) ** 0.5
        return np.where(np.abs(v) > kept, v, soft_threshold(v, t * self.strength) / stretch)


class SCAD(Folded):
    """Smoothly clipped absolute deviation: L1 up to λ, flat beyond aλ, bent between (Fan & Li 2001).

    λ is a threshold, not a factor of the value. Weights beyond aλ are not shrunk at all; for a → ∞ it
    is L1. With a loss whose Hessian has no eigenvalue below 1/(a − 1) the sum is convex.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`.
    a : > 1.

    ``ValueError`` for a negative strength and another a. The prox is the global minimum at every step.

    >>> pen = SCAD(1.0, a=3.0); w = np.array([-0.75, 2.0, 6.0])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=0.5).round(2)
    (4.5, array([-1. ,  0.5,  0. ]), array([-0.25,  1.67,  6.  ]))
    """

    formula = Formula(
        r"\textstyle\sum \lambda c - \tfrac{\max(c - \lambda, 0)^2}{2(a - 1)},\ c = \min(|w|, a\lambda)",
        r"\mathrm{sign}(w)\,\mathrm{clip}(\tfrac{a\lambda - |w|}{a - 1}, 0, \lambda)",
        r"\mathrm{soft}(v, t\lambda)\ (|v| \le (1 + t)\lambda),\ "
        r"\frac{(a - 1)v - \mathrm{sign}(v)ta\lambda}{a - 1 - t}\ (|v| \le a\lambda),\ v\ \text{beyond}",
    )
    prior = "Laplace near 0 and flat tails: improper"
    text = "Σ λ|w|, bent from λ to aλ, then flat"
    separable, second = True, "a"

    def __init__(self, strength: Level, a: float = 3.7) -> None:
        check_option("SCAD", "(1, inf)", a=a)
        self.strength, self.a = strength, a

    def value(self, w: Weight) -> Any:
        """Σ λc − max(c − λ, 0)²/(2(a − 1)) with c = min(|w|, aλ)."""
        c = np.minimum(np.abs(w), self.a * self.strength)
        bent = np.square(np.maximum(c - self.strength, 0)) / (2 * (self.a - 1))
        return (self.strength * c - bent).sum()

    def slope(self, size: Any) -> Any:
        """λ up to λ, 0 from aλ on, a line between."""
        falling = (self.a * self.strength - size) / (self.a - 1)
        return np.clip(falling, 0, self.strength)

    def prox(self, v: Array, step: float | Array) -> Array:
        """Soft up to (1 + step)λ, then a line that meets v at aλ; without the line for step ≥ a − 1."""
        a, t = self.a, step + np.zeros_like(v)
        # where the line is gone, soft threshold and v are equally good at this multiple of λ
        tie = np.where(t < a + 1, (t + a + 1) / 2, (t * (a + 1)) ** 0.5)
        size, lam = np.abs(v), self.strength
        rise = np.where(t < a - 1, a - 1 - t, 1)
        line = np.sign(v) * ((a - 1) * size - t * (a * lam)) / rise
        outer = np.where(size > lam * np.maximum(a, tie), v, line)
        return np.where(size > lam * np.minimum(1 + t, tie), outer, soft_threshold(v, t * lam))


class LogSum(Folded):
    """λ Σ log(1 + |w|/ε): nearly λ‖w‖₁/ε at 0, nearly flat far away (Candès, Wakin & Boyd 2008).

    Reweighted L1 minimises it: each round penalises |w| by λ/(ε + |w|), its slope. With a loss whose
    Hessian has no eigenvalue below λ/ε² the sum is convex.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`.
    eps : ε > 0, the size of a weight at which the slope is half of that at 0.

    ``ValueError`` for a negative strength and another ε. The prox is the global minimum at every step.

    >>> pen = LogSum(1.0, eps=1.0); w = np.array([1.0, -3.0, 0.5])
    >>> float(pen.value(w).round(4)), pen.gradient(w).round(3), pen.prox(w, step=0.5).round(3)
    (2.4849, array([ 0.5  , -0.25 ,  0.667]), array([ 0.707, -2.871,  0.   ]))
    """

    formula = Formula(
        r"\lambda\textstyle\sum\log(1 + |w|/\varepsilon)",
        r"\lambda\,\mathrm{sign}(w)/(\varepsilon + |w|)",
        r"\mathrm{sign}(v)\tfrac12\left(|v| - \varepsilon + \sqrt{(|v| + \varepsilon)^2 - 4t\lambda}\right)"
        r"\ \text{or}\ 0",
    )
    prior = "generalised double Pareto: density ∝ (1 + |w|/ε)^(−nλ)"
    text = "λ Σ log(1 + |w|/ε)"
    separable, second = True, "eps"

    def __init__(self, strength: Level, eps: float) -> None:
        check_option("LogSum", "(0, inf)", eps=eps)
        self.strength, self.eps = strength, eps

    def value(self, w: Weight) -> Any:
        """λ Σ log(1 + |w|/ε)."""
        return self.strength * np.log1p(np.abs(w) / self.eps).sum()

    def slope(self, size: Any) -> Any:
        """λ/(ε + size)."""
        return self.strength / (self.eps + size)

    def prox(self, v: Array, step: float | Array) -> Array:
        """The larger root of the stationarity equation, or 0 where that is as good."""
        size, k = np.abs(v), step * self.strength + np.zeros_like(v)
        # in units of |v| + ε, and the root as |v| less what it is cut by: nothing overflows or cancels
        unit = size + self.eps
        part = k / unit / unit
        cut = 2 * (k / unit) / (1 + np.maximum(1 - 4 * part, 0) ** 0.5)
        root = np.maximum(size - cut, 0)
        worse = (root / unit) * ((size + cut) / unit) <= 2 * part * np.log1p(root / self.eps)
        dead = np.where(k > self.eps**2, worse, size <= k / self.eps)
        return np.where(dead, np.zeros_like(v), v - np.sign(v) * cut)

    def max_strength(self, g: Array) -> Any:
        """The smallest λ at which w = 0 is stationary: ε·max|g|."""
        return self.eps * largest(np.abs(g))
