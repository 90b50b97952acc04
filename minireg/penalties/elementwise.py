"""Penalties that treat every weight by itself: L2, L1, ElasticNet."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array
from ..tensor import Tensor
from .base import Formula, Penalty, check_strength


def soft_threshold(v: Array, threshold: Any) -> Array:
    """sign(v)·max(|v| − threshold, 0), written as v minus its clip (claim C52).

    >>> soft_threshold(np.array([3.0, -0.5]), 1.0)
    array([2., 0.])
    """
    return v - np.clip(v, -threshold, threshold)


def _raw(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


class L2(Penalty):
    """½λ‖w − center‖², optionally with a ``weight`` for each element (claims C02, C22).

    Its gradient λ(w − center) is weight decay under plain SGD only (claim C29).

    Parameters
    ----------
    strength : λ ≥ 0.
    center : array or Tensor of w's shape to pull towards; 0 by default.
    weight : non-negative array of w's shape, for example a Fisher diagonal (EWC).

    >>> pen = L2(0.1); w = np.array([3.0, -4.0])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=10.0)
    (1.25, array([ 0.3, -0.4]), array([ 1.5, -2. ]))
    """

    formula = Formula(
        r"\tfrac{\lambda}{2}\lVert w - c\rVert^2", r"\lambda (w - c)",
        r"\frac{v + t\lambda c}{1 + t\lambda}",
    )  # fmt: skip
    prior = "Gaussian: w ~ N(center, 1/(nλ)) for n observations under the mean loss"
    text = "½λ‖w‖²"

    def __init__(self, strength: float, center: Any = None, weight: Any = None) -> None:
        check_strength("L2", strength=strength)
        self.strength = float(strength)
        self.center, self.weight = _raw(center), _raw(weight)
        if center is not None:
            self.text = "½λ‖w − c‖²"

    def value(self, w: Any) -> Any:
        """½λ Σ weight·(w − center)²."""
        squares = np.square(w if self.center is None else w - self.center)
        return (
            0.5 * self.strength * (squares if self.weight is None else squares * self.weight).sum()
        )

    def gradient(self, w: Array) -> Array:
        """λ·weight·(w − center)."""
        pull = self.strength * (w if self.center is None else w - self.center)
        return pull if self.weight is None else pull * self.weight

    def prox(self, v: Array, step: Any) -> Array:
        """(v + tλ·weight·center)/(1 + tλ·weight): a linear shrink, never exactly 0."""
        k = step * self.strength * (1.0 if self.weight is None else self.weight)
        return (v if self.center is None else v + k * self.center) / (1 + k)

    def parameters_text(self) -> str:
        """λ, and what else is set."""
        given = [n for n in ("center", "weight") if getattr(self, n) is not None]
        return ", ".join([f"{self.strength:g}", *(f"{n}=…" for n in given)])


class L1(Penalty):
    """λ‖w‖₁: exact zeros through its prox, the soft threshold (claims C43–C52, C56).

    ``gradient`` is the subgradient with sign(0) = 0; plain subgradient steps hover around
    zero and never reach it, the prox does.

    >>> pen = L1(0.5); w = np.array([3.0, -0.25])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=1.0)
    (1.625, array([ 0.5, -0.5]), array([2.5, 0. ]))
    """

    formula = Formula(
        r"\lambda\lVert w\rVert_1", r"\lambda\,\mathrm{sign}(w),\ \mathrm{sign}(0) = 0",
        r"\mathrm{sign}(v)\max(|v| - t\lambda, 0)",
    )  # fmt: skip
    prior = "Laplace: w ~ Laplace(0, 1/(nλ)) for n observations under the mean loss"
    text = "λ‖w‖₁"

    def __init__(self, strength: float) -> None:
        check_strength("L1", strength=strength)
        self.strength = float(strength)

    def value(self, w: Any) -> Any:
        """λ Σ|w|."""
        return self.strength * np.abs(w).sum()

    def gradient(self, w: Array) -> Array:
        """λ·sign(w), 0 at 0."""
        return self.strength * np.sign(w)

    def prox(self, v: Array, step: Any) -> Array:
        """Soft threshold at step·λ."""
        return soft_threshold(v, step * self.strength)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """‖·‖₂ of |g + λ sign w| where w ≠ 0, and of max(|g| − λ, 0) where w = 0."""
        free = g + self.strength * np.sign(w)
        stuck = np.maximum(np.abs(g) - self.strength, 0)
        return np.sqrt(np.square(np.where(w == 0, stuck, free)).sum())

    def max_strength(self, g: Array) -> Any:
        """max|g|."""
        return np.abs(g).max()

    def parameters_text(self) -> str:
        """λ."""
        return f"{self.strength:g}"


class ElasticNet(Penalty):
    """l1·‖w‖₁ + ½·l2·‖w‖²: zeros from the first, grouping from the second (claim C58).

    >>> pen = ElasticNet(l1=0.5, l2=1.0); w = np.array([3.0, -0.25])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=1.0)
    (6.15625, array([ 3.5 , -0.75]), array([1.25, 0.  ]))
    """

    formula = Formula(
        r"\lambda_1\lVert w\rVert_1 + \tfrac{\lambda_2}{2}\lVert w\rVert^2",
        r"\lambda_1\,\mathrm{sign}(w) + \lambda_2 w",
        r"\frac{\mathrm{sign}(v)\max(|v| - t\lambda_1, 0)}{1 + t\lambda_2}",
    )
    prior = "product of a Laplace(0, 1/(n·l1)) and a Gaussian N(0, 1/(n·l2)), renormalised"
    text = "l1·‖w‖₁ + ½·l2·‖w‖²"

    def __init__(self, l1: float, l2: float) -> None:
        check_strength("ElasticNet", l1=l1, l2=l2)
        self._l1, self._l2 = L1(l1), L2(l2)
        self.l1, self.l2 = float(l1), float(l2)

    def value(self, w: Any) -> Any:
        """l1 Σ|w| + ½ l2 Σw²."""
        return self._l1.value(w) + self._l2.value(w)

    def gradient(self, w: Array) -> Array:
        """l1·sign(w) + l2·w."""
        return self._l1.gradient(w) + self._l2.gradient(w)

    def prox(self, v: Array, step: Any) -> Array:
        """Soft threshold, then the linear shrink."""
        return self._l2.prox(self._l1.prox(v, step), step)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """L1's distance with the smooth part moved into g."""
        return self._l1.subdiff_distance(w, g + self._l2.gradient(w))

    def max_strength(self, g: Array) -> Any:
        """The l1 above which w = 0 is optimal, for any l2: max|g|."""
        return self._l1.max_strength(g)

    def parameters_text(self) -> str:
        """Both strengths."""
        return f"l1={self.l1:g}, l2={self.l2:g}"
