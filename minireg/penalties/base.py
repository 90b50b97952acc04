"""What a penalty is: value, gradient, prox, certificate, formula and prior."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from ..ops.table import op


class Formula(NamedTuple):
    """LaTeX of a penalty's value, gradient and proximal operator."""

    value: str
    gradient: str
    prox: str


def check_strength(owner: str, **strengths: float) -> None:
    """Raise ``ValueError`` unless every strength is a finite number ≥ 0."""
    for name, value in strengths.items():
        number = isinstance(value, int | float | np.number)
        if not (number and math.isfinite(value) and value >= 0):
            raise ValueError(f"{owner}: {name} must be a finite number ≥ 0, got {value!r}")


class Penalty:
    """λ·Ω(w), added to the **mean** data loss.

    A subclass defines ``value`` in operators and NumPy functions (so that it works on
    arrays and, differentiably, on Tensors), the closed forms, and how it reads as text.
    """

    formula: Formula
    prior: str
    text: str  # one line for reprs and tables, for example "½λ‖w‖²"

    def value(self, w: Any) -> Any:
        """λ·Ω(w): an array gives a scalar, a Tensor a differentiable scalar Tensor."""
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def gradient(self, w: Array) -> Array:
        """The closed form of ∇(λΩ)(w), same shape as w; one documented choice at kinks."""
        raise NotImplementedError(f"{type(self).__name__} has no closed-form gradient")

    def prox(self, v: Array, step: Any) -> Array:
        """argmin_u ½‖u − v‖² + step·λΩ(u), same shape as v; step is a number ≥ 0.

        A penalty that is a sum over elements also takes a step for each element.
        """
        raise NotImplementedError(f"{type(self).__name__} has no closed-form prox")

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """Euclidean distance of −g to ∂(λΩ)(w); 0 exactly when w is stationary for loss + λΩ."""
        return np.sqrt(np.square(g + self.gradient(w)).sum())

    def max_strength(self, g: Array) -> Any:
        """The smallest λ at which w = 0 is optimal, from the loss gradient ``g`` at 0."""
        raise NotImplementedError(
            f"{type(self).__name__}: no finite strength makes w = 0 optimal unless the gradient is 0"
        )

    def __call__(self, w: Any) -> Any:
        """The value; on a Tensor its backward is the closed-form gradient."""
        return penalty_value(w, penalty=self)

    def parameters_text(self) -> str:
        """What stands between the parentheses of the repr."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.parameters_text()}): {self.text}"


# The closed form is the fast rule, the value in primitive ops its definition: the same
# test that holds every fused op to its definition holds gradient to autograd.
penalty_value = op(
    "penalty",
    lambda w, *, penalty: (penalty.value(w), None),
    backward=lambda g, y, saved, needs, w, *, penalty: (g * penalty.gradient(w),),
    definition=lambda w, *, penalty: penalty.value(w),
    formula=r"\bar w = \bar y\,\nabla(\lambda\Omega)(w)",
    samples=lambda rng: _samples(rng),
)


@cache
def _sampled() -> tuple[Penalty, ...]:
    from .elementwise import L1, L2, ElasticNet

    return L2(0.3), L1(0.3), ElasticNet(0.2, 0.4)


def _samples(rng: Any) -> list[tuple[Any, ...]]:
    w = rng.uniform(0.2, 2, (3, 4)) * rng.choice([-1.0, 1.0], (3, 4))
    return [(w, {"penalty": penalty}) for penalty in _sampled()]
