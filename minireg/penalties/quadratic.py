"""Quadratic: a penalty that couples weights through a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..backend import NUMPY, Array, as_array, move, of
from ..ops.arrays import largest, length, like, widened
from .base import Copies, Formula, Level, Penalty, Strength, Weight, fitting, fixed, followed


class Quadratic(Penalty):
    """½λ(w − center)ᵀR(w − center), for R a symmetric positive semidefinite matrix (claim C131).

    w is taken as the vector of its n elements, row after row. R says what costs: DᵀD for differences
    Dw penalises their squares (a smooth w, as in Tikhonov 1963), ∫f_i″f_j″ the bending of Σ w_i f_i.
    Along the kernel of R weights are free. In the basis of R's eigenvectors it is
    ``L2(strength, weight=eigenvalues)``.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`.
    matrix : R (n, n), an array, Tensor or lists of numbers, copied; it follows the weights to a GPU.
    center : what the weights are drawn towards, a number or an array or Tensor of w's shape, copied. 0
        by default.

    ``ValueError`` for a negative strength, for a matrix that is not square, finite, symmetric and
    positive semidefinite up to rounding and, at a weight w, for one of another size. The prox solves
    a system of n equations, under Adam and RMSprop one with a step for each element.

    >>> d = np.diff(np.eye(3), axis=0)  # w₁ − w₀ and w₂ − w₁
    >>> pen = Quadratic(1.0, d.T @ d); w = np.array([0.0, 1.0, 3.0])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=1.0)
    (2.5, array([-1., -1.,  2.]), array([0.625, 1.25 , 2.125]))
    """

    formula = Formula(
        r"\tfrac{\lambda}{2}(w - c)^{\top}R(w - c)", r"\lambda R(w - c)",
        r"(I + t\lambda R)^{-1}(v + t\lambda Rc)",
    )  # fmt: skip
    prior = "Gaussian: w ~ N(center, (nλR)⁻¹) for n observations, flat along the kernel of R"
    text = "½λ wᵀRw"
    elementwise_step = True
    strength: Strength = Strength()

    def __init__(self, strength: Level, matrix: ArrayLike, center: ArrayLike | None = None) -> None:
        self.strength, self.center = strength, fixed(center, "Quadratic: center")
        self.matrix = _semidefinite(as_array(matrix, "Quadratic: matrix", np.float64))
        self._copies: Copies = {}
        if center is not None:
            self.text = "½λ(w − c)ᵀR(w − c)"
        self.shapes = (getattr(self.center, "shape", ()) or self.matrix.shape[:1],)

    def _matrix(self, w: Weight) -> Array:
        if w.size != len(self.matrix):
            raise ValueError(
                f"Quadratic: matrix has shape {self.matrix.shape}, expected {(w.size, w.size)} for a "
                f"weight of shape {w.shape}"
            )
        return followed(self.matrix, w, self._copies)

    def _pull(self, w: Any) -> tuple[Any, Any]:
        """w − center as a vector, and R times it."""
        if self.center is not None:
            w = w - fitting(self.center, w, "Quadratic: center")
        off = w.reshape(-1)
        return off, self._matrix(w) @ off

    def value(self, w: Weight) -> Any:
        """½λ(w − center)ᵀR(w − center)."""
        off, pull = self._pull(w)
        return 0.5 * self.strength * (off * pull).sum()

    def gradient(self, w: Array) -> Array:
        """λR(w − center)."""
        return self.strength * self._pull(w)[1].reshape(w.shape)

    def prox(self, v: Array, step: float | Array) -> Array:
        """(I + tλR)⁻¹(v + tλR·center) by elimination; of an array of steps t is a diagonal matrix."""
        wide = widened(v)
        steps = (step * np.ones_like(wide)).reshape(-1, 1)
        pull, right = steps * (self.strength * self._matrix(wide)), wide.reshape(-1, 1)
        if self.center is not None:
            center = np.zeros_like(wide) + fitting(self.center, wide, "Quadratic: center")
            right = right + pull @ center.reshape(-1, 1)
        system = pull + of(wide).xp.eye(wide.size, dtype=wide.dtype)
        return like(np.linalg.solve(system, right).reshape(v.shape), v)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """‖g + λR(w − center)‖."""
        return length(g + self.gradient(w))

    def parameters_text(self) -> str:
        """λ, the size of the matrix, and center if it is set."""
        n = len(self.matrix)
        return f"{self.strength:g}, {n}×{n}" + ("" if self.center is None else ", center=…")


def _semidefinite(given: Array) -> Array:
    """A copy on the host, exactly symmetric; ``ValueError`` unless it is so up to rounding, and ⪰ 0."""
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ValueError(
            f"Quadratic: matrix has shape {given.shape}, expected (n, n) for a weight of n elements"
        )
    kind = given.dtype if given.dtype.kind == "f" else np.dtype(np.float64)
    matrix = move(given, NUMPY.name).astype(np.promote_types(kind, np.float32))
    rounding = len(matrix) * float(np.finfo(kind).eps) * largest(np.abs(matrix))
    apart = largest(np.abs(matrix - matrix.T))
    if not apart <= rounding:
        raise ValueError(
            f"Quadratic: matrix must be finite and symmetric, got entries {apart:.3g} away from "
            "their mirror images; (R + R.T) / 2 has the same value"
        )
    if (lowest := np.linalg.eigvalsh(matrix).min(initial=0)) < -rounding:
        raise ValueError(
            f"Quadratic: matrix must be positive semidefinite, got an eigenvalue of {lowest:.3g}"
        )
    return (matrix + matrix.T) / 2
