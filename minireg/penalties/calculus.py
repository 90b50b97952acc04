"""Proximal calculus: new penalties from old ones, with their prox by rule.

Each rule is the textbook's (Parikh & Boyd 2014, section 2; Combettes & Pesquet 2011, table 10.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array
from ..messages import within
from .base import Coefficient, Penalty, checked_strength, fitting, fixed


class Composed(Penalty):
    """A penalty made from another by a rule of this module."""

    def __init__(
        self,
        inner: Penalty,
        text: str,
        value: Callable[[Any], Any],
        prox: Callable[[Array, Any], Array],
        gradient: Callable[[Array], Array] | None = None,
        distance: Callable[[Array, Array], Any] | None = None,
    ) -> None:
        self.inner, self.text = inner, text
        self._value, self._prox, self._gradient, self._distance = value, prox, gradient, distance
        self.convex, self.via = inner.convex, inner.via
        self.elementwise_step, self.shapes = inner.elementwise_step, inner.shapes

    def value(self, w: Any) -> Any:
        """By the rule."""
        return self._value(w)

    def gradient(self, w: Array) -> Array:
        """By the rule, or autograd's where there is none."""
        return super().gradient(w) if self._gradient is None else self._gradient(w)

    def prox(self, v: Array, step: Any) -> Array:
        """By the rule."""
        return self._prox(v, step)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """By the rule, or from the prox where there is none."""
        rule = self._distance
        return super().subdiff_distance(w, g) if rule is None else rule(w, g)

    def coefficients(self) -> list[Coefficient]:
        """Those of the penalty it is made from."""
        return self.inner.coefficients()

    def parameters_text(self) -> str:
        """The penalty it is made from."""
        return repr(self.inner).partition(":")[0]


def _check(rule: str, penalty: Any) -> None:
    if not isinstance(penalty, Penalty):
        raise TypeError(f"{rule}: expected a Penalty, got {penalty!r:.60}")


def _at(rule: str, center: Any) -> Callable[[Any], Any]:
    """The center as a function of the weight that it is of."""
    name = f"{rule}: center"
    given = fixed(center, name)
    return lambda w: fitting(given, w, name)


def scaled(penalty: Penalty, factor: float = 1.0, argument: float = 1.0) -> Penalty:
    """factor·f(argument·w): prox of f at step t·factor·argument², seen through the argument.

    >>> from minireg.penalties import L1
    >>> scaled(L1(1.0), factor=2.0).prox(np.array([3.0, -1.0]), step=1.0).tolist()
    [1.0, 0.0]
    """
    _check("scaled", penalty)
    if not (within("(0, inf)", factor) and within("(-inf, inf)", argument) and argument):
        raise ValueError(
            f"scaled: got factor={factor!r}, argument={argument!r}, expected finite numbers, "
            "factor > 0 and argument ≠ 0"
        )
    a, k = argument, factor * argument
    return Composed(
        penalty, f"{factor:g}·f({a:g}·w), f = {penalty.text}",
        lambda w: factor * penalty.value(a * w),
        lambda v, step: penalty.prox(a * v, step * (k * a)) / a,
        lambda w: k * penalty.gradient(a * w),
        lambda w, g: abs(k) * penalty.subdiff_distance(a * w, g / k),
    )  # fmt: skip


def translated(penalty: Penalty, center: Array) -> Penalty:
    """f(w − center): pulls towards ``center``, of which it keeps a copy, instead of 0.

    A certificate that tells zeros, ties or ranks, as of matrix norms and balls, sees w − center
    with rounding of the size of the centre: in float32 it may be off where that is 50 times as
    large.

    >>> from minireg.penalties import L1
    >>> translated(L1(1.0), np.array([2.0, 2.0])).prox(np.array([2.5, 5.0]), step=1.0)
    array([2., 4.])
    """
    _check("translated", penalty)
    c = _at("translated", center)
    return Composed(
        penalty, f"f(w − c), f = {penalty.text}",
        lambda w: penalty.value(w - c(w)),
        lambda v, step: penalty.prox(v - c(v), step) + c(v),
        lambda w: penalty.gradient(w - c(w)),
        lambda w, g: penalty.subdiff_distance(w - c(w), g),
    )  # fmt: skip


def plus_quadratic(penalty: Penalty, l2: float, center: Any = 0.0) -> Penalty:
    """f(w) + ½·l2‖w − center‖²: first towards the centre, then a shorter prox.

    >>> from minireg.penalties import L1
    >>> plus_quadratic(L1(0.5), 1.0).prox(np.array([3.0, -0.25]), step=1.0).tolist()
    [1.25, 0.0]
    """
    _check("plus_quadratic", penalty)
    c = _at("plus_quadratic", center)
    if isinstance(l2, Coefficient):
        raise TypeError(
            "plus_quadratic: l2 must be a number; schedule an L2 term beside the penalty"
        )
    checked_strength("plus_quadratic", "l2", l2)
    return Composed(
        penalty, f"f(w) + ½·{l2:g}‖w − c‖², f = {penalty.text}",
        lambda w: penalty.value(w) + 0.5 * l2 * np.square(w - c(w)).sum(),
        lambda v, step: penalty.prox(
            (v + step * l2 * c(v)) / (1 + step * l2), step / (1 + step * l2)
        ),
        lambda w: penalty.gradient(w) + l2 * (w - c(w)),
        lambda w, g: penalty.subdiff_distance(w, g + l2 * (w - c(w))),
    )  # fmt: skip


def conjugate(penalty: Penalty) -> Penalty:
    """f*(p) = sup_w ⟨p, w⟩ − f(w), by Moreau: prox_t f*(v) = v − t·prox of f at v/t, step 1/t.

    Of a norm this is the projection on the ball of the dual norm. Its value has no rule, and
    its prox needs a step > 0.

    >>> from minireg.penalties import L1
    >>> conjugate(L1(1.0)).prox(np.array([3.0, -0.5]), step=2.0)
    array([ 1. , -0.5])
    """
    _check("conjugate", penalty)

    def prox(v: Array, step: Any) -> Array:
        if np.ndim(step) == 0 and not step > 0:
            raise ValueError(f"conjugate: the prox needs a step > 0, got {step!r}")
        return v - step * penalty.prox(v / step, 1 / step)

    def value(w: Any) -> Any:
        raise NotImplementedError(
            f"conjugate: the value of the conjugate of {penalty!r} has no rule; its prox has"
        )

    return Composed(penalty, f"f*(w), f = {penalty.text}", value, prox)
