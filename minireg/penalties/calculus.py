"""Proximal calculus: new penalties from old ones, with their prox by rule.

Each rule is the textbook's (Parikh & Boyd 2014, section 2; Combettes & Pesquet 2011, table 10.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ..backend import Array
from ..messages import check_kind, within
from .base import NUMBER, Coefficient, Penalty, Weight, checked_strength, fitting, fixed


class Composed(Penalty):
    """A penalty made from another by a rule of this module (Parikh & Boyd 2014, section 2).

    Parameters
    ----------
    inner : the penalty it is made from; it gives ``convex``, ``via``, ``shapes``, ``elementwise_step`` and
        ``euclidean``.
    text : one line for the repr.
    value, prox : functions of w, and of v and step.
    gradient, distance : functions of w, and of w and g; by default autograd's gradient and the distance
        that follows from the prox.

    ``TypeError`` without ``value`` or ``prox``.

    >>> from minireg.penalties import L1, scaled
    >>> scaled(L1(1.0), factor=2.0)
    Composed(L1(1)): 2·f(1·w), f = λ‖w‖₁
    """

    _made: tuple[Any, ...] = ()  # the function of this module that made it, and its arguments

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
        self.elementwise_step, self.euclidean = inner.elementwise_step, inner.euclidean
        self.shapes = inner.shapes

    def __reduce_ex__(self, protocol: Any) -> Any:
        # (functions without a name cannot be pickled, and a copy needs its own inner penalty)
        return (*self._made[:1], self._made[1:]) if self._made else super().__reduce_ex__(protocol)

    def value(self, w: Weight) -> Any:
        """By the rule."""
        return self._value(w)

    def gradient(self, w: Array) -> Array:
        """By the rule, or autograd's where there is none."""
        return super().gradient(w) if self._gradient is None else self._gradient(w)

    def prox(self, v: Array, step: float | Array) -> Array:
        """By the rule."""
        return self._prox(v, step)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """By the rule, or from the prox where there is none."""
        rule = self._distance
        return super().subdiff_distance(w, g) if rule is None else rule(w, g)

    def max_strength(self, g: Array) -> Any:
        """``NotImplementedError``: no strength is its own."""
        raise NotImplementedError(f"max_strength has no rule for {self!r}: no strength is its own")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """With ``deep``, what belongs to the inner penalty, as ``inner__strength``; the rule stays.

        >>> from minireg.penalties import L1, scaled
        >>> scaled(L1(0.5), factor=2.0).get_params()
        {'inner__strength': 0.5}
        """
        found = self.inner.get_params() if deep else {}
        return {f"inner__{name}": value for name, value in found.items()}

    def set_params(self, **params: Any) -> Self:
        """Change the inner penalty; ``ValueError`` for what does not belong to it."""
        given = {name.removeprefix("inner__"): value for name, value in params.items()}
        if any(not name.startswith("inner__") for name in params):
            raise ValueError(
                f"Composed.set_params: got {[*params]}, expected some of {[*self.get_params()]}; what the "
                "rule was made with stays, so call scaled(…) or its like again"
            )
        self.inner.set_params(**given)
        return self

    def parameters_text(self) -> str:
        """The penalty it is made from."""
        return repr(self.inner).partition(":")[0]


def _by_rule(made: tuple[Any, ...], text: str, *rules: Callable[..., Any]) -> Composed:
    """Composed by ``made``: a function of this module, its penalty and its other arguments."""
    rule, penalty = made[0].__name__, made[1]
    check_kind(rule, Penalty, penalty=penalty)
    if penalty.joint:
        raise ValueError(f"{rule}: expected a penalty of one weight, got {penalty!r}, a joint one")
    found = Composed(penalty, f"{text}, f = {penalty.text}", *rules)
    found._made = made
    return found


def _at(rule: str, center: ArrayLike) -> tuple[Any, Callable[[Any], Any]]:
    """The center, and as a function of the weight: in its dtype, on its backend."""
    name = f"{rule}: center"
    given = fixed(center, name)
    return given, lambda w: fitting(given, w, name)


def scaled(penalty: Penalty, factor: float = 1.0, argument: float = 1.0) -> Penalty:
    """factor·f(argument·w), for f a penalty (Parikh & Boyd 2014, section 2.2).

    Its prox is prox(a·v, step·factor·a²)/a of f, with a = ``argument``.

    Parameters
    ----------
    penalty : f.
    factor : > 0.
    argument : ≠ 0.

    ``TypeError`` for anything but a Penalty, ``ValueError`` for a joint one and for a factor or argument
    out of range.

    >>> from minireg.penalties import L1
    >>> scaled(L1(1.0), factor=2.0).prox(np.array([3.0, -1.0]), step=1.0).tolist()
    [1.0, 0.0]
    """
    if not (within("(0, inf)", factor) and within("(-inf, inf)", argument) and argument):
        raise ValueError(
            f"scaled: got factor={factor!r}, argument={argument!r}, expected finite numbers, "
            "factor > 0 and argument ≠ 0"
        )
    a, k = argument, factor * argument
    return _by_rule(
        (scaled, penalty, factor, argument), f"{factor:g}·f({a:g}·w)",
        lambda w: factor * penalty.value(a * w),
        lambda v, step: penalty.prox(a * v, step * (k * a)) / a,
        lambda w: k * penalty.gradient(a * w),
        lambda w, g: abs(k) * penalty.subdiff_distance(a * w, g / k),
    )  # fmt: skip


def translated(penalty: Penalty, center: ArrayLike) -> Penalty:
    """f(w − center), for f a penalty: shrinks towards ``center`` instead of 0 (Parikh & Boyd 2014, 2.2).

    Its prox is center + prox(v − center, step) of f. Certificates that look for zeros, ties or ranks
    (matrix norms, balls) see w − center with rounding of the size of the center: in float32 they may
    be wrong where that is 50 times as large.

    Parameters
    ----------
    penalty : f.
    center : a number, or an array or Tensor of w's shape, copied.

    ``TypeError`` for anything but a Penalty, ``ValueError`` for a joint one and at a weight of another
    shape.

    >>> from minireg.penalties import L1
    >>> translated(L1(1.0), np.array([2.0, 2.0])).prox(np.array([2.5, 5.0]), step=1.0)
    array([2., 4.])
    """
    given, c = _at("translated", center)
    return _by_rule(
        (translated, penalty, given), "f(w − c)",
        lambda w: penalty.value(w - c(w)),
        lambda v, step: penalty.prox(v - c(v), step) + c(v),
        lambda w: penalty.gradient(w - c(w)),
        lambda w, g: penalty.subdiff_distance(w - c(w), g),
    )  # fmt: skip


def plus_quadratic(penalty: Penalty, l2: float, center: ArrayLike = 0.0) -> Penalty:
    """f(w) + ½·l2‖w − center‖², for f a penalty (Parikh & Boyd 2014, section 2.2).

    Its prox is that of f at (v + step·l2·center)/(1 + step·l2), with step/(1 + step·l2).

    Parameters
    ----------
    penalty : f.
    l2 : ≥ 0, no :class:`Coefficient`.
    center : a number, or an array or Tensor of w's shape, copied.

    ``TypeError`` for anything but a Penalty and for a Coefficient, ``ValueError`` for a joint penalty, an
    l2 < 0 and at a weight of another shape.

    >>> from minireg.penalties import L1
    >>> plus_quadratic(L1(0.5), 1.0).prox(np.array([3.0, -0.25]), step=1.0).tolist()
    [1.25, 0.0]
    """
    given, c = _at("plus_quadratic", center)
    if isinstance(l2, Coefficient):
        raise TypeError(
            "plus_quadratic: l2 must be a number; schedule an L2 term beside the penalty"
        )
    checked_strength("plus_quadratic", "l2", l2)
    return _by_rule(
        (plus_quadratic, penalty, l2, given), f"f(w) + ½·{l2:g}‖w − c‖²",
        lambda w: penalty.value(w) + 0.5 * l2 * np.square(w - c(w)).sum(),
        lambda v, step: penalty.prox((v + step * l2 * c(v)) / (1 + step * l2), step / (1 + step * l2)),
        lambda w: penalty.gradient(w) + l2 * (w - c(w)),
        lambda w, g: penalty.subdiff_distance(w, g + l2 * (w - c(w))),
    )  # fmt: skip


def conjugate(penalty: Penalty) -> Penalty:
    """f*(p) = sup_w ⟨p, w⟩ − f(w), the convex conjugate of a penalty f (Parikh & Boyd 2014, section 2.5).

    Its prox is v − step·prox(v/step, 1/step) of f, by Moreau's identity. For a norm, step 1 projects on
    the unit ball of the dual norm, scaled by λ.

    ``TypeError`` for anything but a Penalty, ``ValueError`` for one that is joint or not convex, which no
    conjugate gives back, and of its prox for a step of 0; ``NotImplementedError`` of its value, which has
    no rule.

    >>> from minireg.penalties import L1
    >>> conjugate(L1(1.0)).prox(np.array([3.0, -0.5]), step=2.0)
    array([ 1. , -0.5])
    """

    def prox(v: Array, step: Any) -> Array:
        if isinstance(step, NUMBER) and not step > 0:
            raise ValueError(f"conjugate: the prox needs a step > 0, got {step!r}")
        return v - step * penalty.prox(v / step, 1 / step)

    def value(w: Any) -> Any:
        raise NotImplementedError(
            f"conjugate: the value of the conjugate of {penalty!r} has no rule; its prox has"
        )

    found = _by_rule((conjugate, penalty), "f*(w)", value, prox)
    if not penalty.convex:
        raise ValueError(f"conjugate: expected a convex penalty, got {penalty!r}")
    return found
