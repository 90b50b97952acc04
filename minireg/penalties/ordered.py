"""Penalties on an order of the weights, by size or by place: SLOPE and TotalVariation."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..backend import NUMPY, Array, as_array, move, of
from ..messages import check_option
from ..ops.arrays import largest, length, like, widened
from .base import Copies, Formula, Level, Penalty, Strength, Weight, followed
from .groups import Groups
from .spectral import near


def falling(z: Array) -> Array:
    """The nearest non-increasing sequence: neighbours that rise are pooled (Ayer et al. 1955).

    z is a vector on the CPU; the time grows with its length and no faster.

    >>> falling(np.array([3.0, 1.0, 2.0, 0.0])).tolist()
    [3.0, 1.5, 1.5, 0.0]
    """
    sums: list[float] = []
    counts: list[int] = []
    for total in z.tolist():
        count = 1
        while sums and sums[-1] * count <= total * counts[-1]:
            total, count = total + sums.pop(), count + counts.pop()
        sums.append(total)
        counts.append(count)
    return np.repeat(np.array(sums, z.dtype) / np.array(counts, z.dtype), counts)


class SLOPE(Penalty):
    """λ Σ_k weights_k |w|_(k) over the sizes |w|_(1) ≥ |w|_(2) ≥ …: the sorted L1 norm.

    The largest size meets the largest weight (Bogdan et al. 2015). With equal weights it is L1, with
    weights that fall it makes zeros and also ties: weights of correlated features become equal in
    size. Weights that fall in a line are OSCAR's (Bondell & Reich 2008), quantiles Φ⁻¹(1 − kq/2n) of
    the normal law control false discoveries.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`.
    weights : one for each element of w (any shape), an array, Tensor or list, copied; non-increasing
        and ≥ 0, the first > 0.

    ``ValueError`` for a negative strength, for other weights and, at a weight w, for another number of
    them. The prox sorts and pools on the CPU, for a weight on a GPU too. At ties the gradient takes
    the elements in their order.

    >>> pen = SLOPE(1.0, [3.0, 2.0, 1.0]); w = np.array([4.0, -5.0, 0.5])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=1.0).tolist()
    (23.5, array([ 2., -3.,  1.]), [2.0, -2.0, 0.0])
    """

    formula = Formula(
        r"\lambda\textstyle\sum_k \omega_k |w|_{(k)}", r"\lambda\,\omega_{\mathrm{rank}}\,\mathrm{sign}(w)",
        r"\mathrm{sign}(v)\max(\mathrm{iso}(|v|_{(k)} - t\lambda\omega_k), 0)",
    )  # fmt: skip
    prior = "density ∝ exp(−nλ Σ weights_k |w|_(k))"
    text = "λ Σ weights_k |w|_(k)"
    strength: Strength = Strength()

    def __init__(self, strength: Level, weights: ArrayLike) -> None:
        given = as_array(weights, "SLOPE: weights", np.float64)
        self.strength, self.weights = strength, move(given, NUMPY.name).astype(np.float64)
        self._copies: Copies = {}
        w, self.shapes = self.weights, (self.weights.shape,)
        down = w.ndim == 1 and w.size and 0 < w[0] < np.inf and w[-1] >= 0
        if not (down and (np.diff(w) <= 0).all()):
            raise ValueError(
                "SLOPE: weights must be finite numbers ≥ 0 that do not rise, the first > 0, one for each "
                f"element of the weight, got {weights!r:.60}"
            )

    def _weights(self, w: Weight) -> Any:
        if w.size != self.weights.size:
            raise ValueError(
                f"SLOPE: got {self.weights.size} weights, expected {w.size}, one for each element of "
                f"a weight of shape {w.shape}"
            )
        return followed(self.weights, w, self._copies)

    def value(self, w: Weight) -> Any:
        """λ Σ weights_k |w|_(k)."""
        rising = np.sort(np.abs(w).reshape(-1))
        return self.strength * (self._weights(w)[::-1] * rising).sum()

    def gradient(self, w: Array) -> Array:
        """λ·weights_rank·sign(w), 0 at 0."""
        rank = np.argsort(np.argsort(-np.abs(w).reshape(-1)))
        return self.strength * self._weights(w)[rank].reshape(w.shape) * np.sign(w)

    def prox(self, v: Array, step: float | Array) -> Array:
        """The sorted sizes less step·λ·weights, made non-increasing and ≥ 0, each back in its place."""
        self._weights(v)
        found = move(v, NUMPY.name)
        size = np.abs(widened(found)).reshape(-1)
        order = np.argsort(-size)
        shrunk = size[order] - like(step * self.strength * self.weights, size)
        size[order] = np.maximum(falling(shrunk), 0)
        return move(like(np.sign(found) * size.reshape(v.shape), v), of(v).name)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """Distance of −g to ∂(λΩ)(w), a permutahedron for each size that elements of w share."""
        at, slope = (move(a, NUMPY.name).reshape(-1) for a in (w, g))
        size, weights = np.abs(at), self._weights(at)
        descent = np.where(at == 0, np.abs(slope), -slope * np.sign(at))
        order = np.argsort(-size)
        ends = np.flatnonzero(size[order][1:] < size[order][:-1] * (1 - near(w))) + 1
        for tied, lam in zip(np.split(order, ends), np.split(weights, ends), strict=True):
            off = falling(-np.sort(-descent[tied]) - self.strength * lam)
            descent[tied] = off if size[tied[0]] else np.maximum(off, 0)
        return move(like(length(descent), w), of(w).name)

    def max_strength(self, g: Array) -> Any:
        """The largest of (sum of the k largest |g|)/(sum of the first k weights), the dual norm."""
        sums = np.cumsum(-np.sort(-np.abs(g).reshape(-1)), dtype=np.float64)
        return like(largest(sums / np.cumsum(self._weights(g), dtype=np.float64)), g)


def fewer_jumps(y: Array, lam: float) -> Array:
    """argmin_u ½‖u − y‖² + lam·Σ|u_(i+1) − u_i| of a vector on the CPU, exactly (Johnson 2013).

    From left to right it keeps the derivative of the best value of u_0…u_i as a function of u_i: pieces
    of lines, cut off at ±lam. On the way back each u_i is the one after it, held between the cuts. The
    time grows with the length and no faster.

    >>> fewer_jumps(np.array([0.0, 2.0, 0.0, 9.0]), 1.0).tolist()
    [1.0, 1.0, 1.0, 8.0]
    """
    mean = y.mean(dtype=np.float64)
    off = y - mean
    if not 0 < lam < np.abs(np.cumsum(off)).max():  # nothing to do, or all becomes one piece
        return np.full_like(y, mean) if lam else y.copy()
    knots: deque[tuple[float, float, float]] = deque()  # where slope and intercept change, by what
    cuts: list[tuple[float, float]] = []
    edge = 0.0  # the derivative's cut, after the first element

    def root(level: float, end: int, intercept: float) -> tuple[float, float, float]:
        """Where the derivative is ``level``, from the left (end 0) or right (-1), and the line there."""
        slope, sign = 1.0, 1 + 2 * end
        # (the cut on the left stays, also where rounding would take it away)
        while len(knots) > -end and sign * (slope * knots[end][0] + intercept - level) <= 0:
            _, bend, lift = knots.popleft() if end == 0 else knots.pop()
            slope, intercept = slope + sign * bend, intercept + sign * lift
        return (level - intercept) / slope, slope, intercept

    *before, last = off.tolist()
    for value in before:
        low, slope, intercept = root(-lam, 0, -value - edge)
        knots.appendleft((low, slope, intercept + lam))
        high, slope, intercept = root(lam, -1, -value + edge)
        knots.append((high, -slope, lam - intercept))
        cuts.append((low, high))
        edge = lam
    found = [root(0.0, 0, -last - edge)[0]]
    for low, high in reversed(cuts):
        found.append(min(max(found[-1], low), high))
    return like(mean + np.array(found[::-1]), y)


class TotalVariation(Penalty):
    """λ Σ|w_(i+1) − w_i| along an axis: piecewise constant weights (Rudin, Osher & Fatemi 1992).

    Also the fused part of the fused lasso (Tibshirani et al. 2005). A constant costs nothing, so no
    strength makes w = 0 optimal; the differences become exactly 0.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`.
    axis : along which neighbours are compared, an integer.

    ``ValueError`` for a negative strength, for what is no integer and, at a weight w, for an axis that it
    does not have;
    ``NotImplementedError`` of ``max_strength``. The prox is exact, one line after the other on the CPU,
    for a weight on a GPU too. Equal neighbours add nothing to the gradient.

    >>> pen = TotalVariation(1.0); w = np.array([0.0, 2.0, 0.0, 9.0])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=1.0)
    (13.0, array([-1.,  2., -2.,  1.]), array([1., 1., 1., 8.]))
    """

    formula = Formula(
        r"\lambda\textstyle\sum_i |w_{i+1} - w_i|",
        r"\lambda D^{\top}\mathrm{sign}(Dw),\ (Dw)_i = w_{i+1} - w_i",
        r"v - D^{\top}z,\ z = \arg\min_{|z_i| \le t\lambda}\lVert v - D^{\top}z\rVert",
    )  # fmt: skip
    prior = "a walk with steps from Laplace(0, 1/(nλ)) from anywhere: improper"
    text = "λ Σ|w_(i+1) − w_i|"
    strength: Strength = Strength()

    def __init__(self, strength: Level, axis: int = -1) -> None:
        check_option("TotalVariation", int, axis=axis)
        self.strength, self.axis = strength, axis
        self.groups = Groups("TotalVariation", axis)

    def value(self, w: Weight) -> Any:
        """λ Σ|w_(i+1) − w_i|."""
        lines = self.groups.rows(w)
        return self.strength * np.abs(lines[:, 1:] - lines[:, :-1]).sum()

    def gradient(self, w: Array) -> Array:
        """λDᵀ sign(Dw)."""
        return self.groups.back(self._pull(self.groups.rows(w)), w)

    def _pull(self, lines: Array) -> Array:
        """λDᵀ sign(Dw), a line in each row."""
        jumps, pull = self.strength * np.sign(lines[:, 1:] - lines[:, :-1]), np.zeros_like(lines)
        pull[:, 1:] += jumps
        pull[:, :-1] -= jumps
        return pull

    def prox(self, v: Array, step: float | Array) -> Array:
        """Each line with fewer and smaller jumps, by Johnson's dynamic programming."""
        given, lam = move(v, NUMPY.name), float(step * self.strength)
        lines = self.groups.rows(given)
        found = np.array([fewer_jumps(line, lam) for line in lines if line.size], lines.dtype)
        return move(self.groups.back(found.reshape(lines.shape), given), of(v).name)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """Distance of −g to λDᵀz, z = sign(Dw) at jumps and |z| ≤ 1 elsewhere: a prox on each piece."""
        lines, slope = (self.groups.rows(move(a, NUMPY.name)) for a in (w, g))
        owed = -slope - self._pull(lines)
        for line, off in zip(lines, owed, strict=True):
            for piece in np.split(off, np.flatnonzero(np.diff(line)) + 1):
                piece[...] = fewer_jumps(piece, self.strength) if piece.size else 0
        return move(like(length(owed), w), of(w).name)

    def parameters_text(self) -> str:
        """λ and the axis."""
        return f"{self.strength:g}, {self.groups!r}"
