"""PathNorm: a penalty on a chain of weights together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..backend import Array
from ..nn.module import Module
from ..ops.arrays import length
from ..tensor import Tensor
from .base import Formula, Level, Penalty, Strength, Weight, penalty_value


class PathNorm(Penalty):
    """λ Σ over input–output paths of the product of squared weights (claim C100).

    It takes a chain of linear layers, weights (out, in) in order: unlike L2 it does not change when a
    ReLU unit's inputs are scaled by c and its outputs by 1/c. Computed by one pass of the squared
    weights over ones, λ 1ᵀW_L²…W_1²1. As in the source text it is the square of a norm, without a
    root, and leaves biases out.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    ``value`` and a call take the weights one by one or a Module (its weights in order), ``gradient``
    the weights. ``TypeError`` for anything else, ``ValueError`` for weights that are no chain,
    ``NotImplementedError`` for the prox: the value is a polynomial of degree 2L in all weights together.

    >>> pen = PathNorm(1.0); a, b = np.array([[1.0, 2.0]]), np.array([[3.0]])
    >>> float(pen.value(a, b)), [g.tolist() for g in pen.gradient(a, b)]
    (45.0, [[[18.0, 36.0]], [[30.0]]])
    """

    formula = Formula(
        r"\lambda\,1^{\top}W_L^{\circ 2}\cdots W_1^{\circ 2}\,1",
        r"2\lambda W_l\circ(b_l a_{l-1}^{\top})", r"\text{none}",
    )  # fmt: skip
    prior = "none that normalises: scaling one layer up and the next down costs nothing"
    text = "λ Σ_paths Π w²"
    convex, joint, shapes = False, True, ((4, 3), (2, 4))
    strength: Strength = Strength()

    def __init__(self, strength: Level) -> None:
        self.strength = strength

    def __call__(self, *weights: Weight | Module) -> Any:
        """The value of a chain of weights or of a model, with the closed-form gradient as backward."""
        return penalty_value(*_chain(weights), penalty=self)

    def over(self, parameters: Iterable[Tensor]) -> Any:
        """One value for all parameters of a term, in the model's order; None for no parameters."""
        chain = list(parameters)
        return self(*chain) if chain else None

    def value(self, *weights: Weight | Module) -> Any:
        """λ 1ᵀW_L²…W_1²1 of a chain of weights, or of a model."""
        chain = _chain(weights)
        reach = np.square(chain[0]).sum(axis=1)
        for w in chain[1:]:
            reach = np.square(w) @ reach
        return self.strength * reach.sum()

    def gradient(self, *weights: Array) -> tuple[Array, ...]:  # type: ignore[override]
        """A gradient for each weight: 2λW∘(b aᵀ), a the paths into the layer, b those out of it."""
        squares = [np.square(w) for w in _chain(weights)]
        reach = [np.ones_like(squares[0], shape=squares[0].shape[1:])]
        for s in squares[:-1]:
            reach.append(s @ reach[-1])
        leave = np.ones_like(squares[-1], shape=squares[-1].shape[:1])
        found = []
        for w, s, a in zip(weights[::-1], squares[::-1], reach[::-1], strict=True):
            found.append(2 * self.strength * w * np.outer(leave, a))
            leave = s.T @ leave
        return tuple(found[::-1])

    def subdiff_distance(self, w: Array | Sequence[Array], g: Array | Sequence[Array]) -> Any:
        """‖g + gradient‖ for a chain of weights and one of loss gradients (or one of each)."""
        ws, gs = (x if isinstance(x, list | tuple) else [x] for x in (w, g))
        parts = [(a + b).reshape(-1) for a, b in zip(gs, self.gradient(*ws), strict=True)]  # pyright: ignore[reportArgumentType]
        return length(np.concatenate(parts))


def _chain(weights: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(weights) == 1 and hasattr(weights[0], "parameters"):
        weights = tuple(p for p in weights[0].parameters() if p.kind == "weight")
    if not weights or not all(hasattr(w, "ndim") for w in weights):
        raise TypeError(
            f"PathNorm: expected a Module, or its weights one by one, got {weights!r:.60}"
        )
    for i, w in enumerate(weights):
        if w.ndim != 2 or (i and w.shape[1] != weights[i - 1].shape[0]):
            shapes = " → ".join(str(x.shape) for x in weights)
            raise ValueError(
                f"PathNorm: got weights of shapes {shapes}, expected a chain of (out, in) "
                "matrices, each taking what the one before gives; choose the layers with on="
            )
    return weights
