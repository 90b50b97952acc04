"""Constraints: the penalty is 0 inside and ∞ outside, the prox is the projection.

They act through the projection after each step; the gradient is 0, the smallest element of the normal
cone. Optimizers whose step differs from element to element (Adam) project in the Euclidean metric as
well, so there the end point is feasible but need not be the constrained optimum (claims C113–C115).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ..backend import Array, of
from ..ops.arrays import as_matrix, largest, length, like, norms, svd
from ..ops.table import ratio
from ..tensor import Tensor
from .base import NUMBER, Formula, Level, Penalty, Strength, Weight, constant, fitting, fixed, slack
from .groups import Axis, Groups
from .spectral import cone_part, near, project_l1, water_level


def beyond(descent: Array, free: Array, a: Any) -> Array:
    """What a multiplier a leaves of −gradient: of free elements all, of those at 0 what exceeds it."""
    return np.where(free, descent - a, np.maximum(descent - a, 0))


def multiplier(descent: Array, free: Array) -> Any:
    """The number a for which :func:`beyond` is shortest: a mean over free elements and k at 0."""
    zeros = np.where(free, -np.inf, descent).astype(descent.dtype)
    sums = np.where(free, descent, 0).sum() + np.cumsum(-np.sort(-zeros.reshape(-1)))
    counts = (free.sum() + 1 + of(descent).xp.arange(descent.size)).astype(descent.dtype)
    alone = ratio(np.where(free, descent, 0).sum(), free.sum().astype(descent.dtype))
    return np.maximum(largest(sums / counts), alone)


class Constraint(Penalty):
    """w in a convex set: 0 inside, ∞ outside; a subclass says what lies ``outside``."""

    via: Literal["gradient", "prox"] = "prox"
    elementwise_step = euclidean = True

    def outside(self, w: Array, rounding: float) -> Any:
        """Whether w, or each of its parts, is out of bounds by more than this share of them: booleans.

        It is what is not inside, as NaN is neither below nor above.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define outside")

    def value(self, w: Weight) -> Any:
        """0 in the set (up to rounding), ∞ outside; a constant to autograd."""
        raw = w.data if isinstance(w, Tensor) else w
        indicator = np.where(self.outside(raw, slack(raw)).any(), np.inf, 0.0)
        return constant(indicator.astype(raw.dtype), w)

    def gradient(self, w: Array) -> Array:
        """0, an element of the normal cone at every w."""
        return np.zeros_like(w)

    def normal_distance(self, w: Array, g: Array) -> Any:
        """The distance of −g to the normal cone at w, a point of the set."""
        raise NotImplementedError(f"{type(self).__name__} does not define normal_distance")

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """The distance of −g to the normal cone at w; ∞ outside the set, where there is none."""
        outside = self.outside(w, max(near(w), slack(w)))
        return np.where(outside.any(), np.inf, self.normal_distance(w, g)).astype(w.dtype)


class Box(Constraint):
    """low ≤ w ≤ high, element by element; ``Box(-r, r)`` is the ball ‖w‖∞ ≤ r.

    ``Box(-1 / λ, 1 / λ)`` is where AdamW with exact gradients ends (claim C41).

    Parameters
    ----------
    low, high : numbers, or arrays or Tensors of w's shape, copied; −inf and inf leave a side open.

    ``ValueError`` for a low above its high, for NaN and, at a weight w, for another shape.

    >>> Box(-1.0, 1.0).prox(np.array([3.0, -0.5]), step=1.0)
    array([ 1. , -0.5])
    """

    formula = Formula(r"[\,l \le w \le h\,]", "0", r"\min(\max(v, l), h)")
    prior = "uniform inside the box"
    text = "low ≤ w ≤ high"
    euclidean = False  # in every metric it is the same projection

    def __init__(self, low: ArrayLike, high: ArrayLike) -> None:
        self.low, self.high = fixed(low, "Box: low"), fixed(high, "Box: high")
        # (arrays on a device are not checked: that would wait for it)
        host = all(isinstance(a, np.ndarray | NUMBER) for a in (self.low, self.high))
        if host and not np.all(self.low <= self.high):
            raise ValueError(f"Box: low must be ≤ high, got {low!r:.60} and {high!r:.60}")
        shaped = [a.shape for a in (self.low, self.high) if hasattr(a, "shape")]
        self.shapes = tuple(shaped[:1]) or self.shapes

    def _bounds(self, w: Array) -> tuple[Any, Any]:
        return fitting(self.low, w, "Box: low"), fitting(self.high, w, "Box: high")

    def outside(self, w: Array, rounding: float) -> Any:
        """Elements below low or above high."""
        low, high = self._bounds(w)
        return ~((w >= low - rounding * abs(low)) & (w <= high + rounding * abs(high)))

    def prox(self, v: Array, step: float | Array) -> Array:
        """v clipped to the box."""
        return np.clip(v, *self._bounds(v))

    def normal_distance(self, w: Array, g: Array) -> Any:
        """‖g‖ without what of −g points outwards at a bound."""
        low, high = self._bounds(w)
        rounding = near(w) * np.abs(w)
        g = np.where(w >= high - rounding, np.maximum(g, 0), g)
        return length(np.where(w <= low + rounding, np.minimum(g, 0), g))

    def parameters_text(self) -> str:
        """The bounds that are numbers."""
        return ", ".join(f"{b:g}" if isinstance(b, NUMBER) else "…" for b in (self.low, self.high))


class NonNegative(Box):
    """w ≥ 0, element by element: non-negative least squares (Lawson & Hanson 1974), parts that add up.

    >>> NonNegative().prox(np.array([3.0, -0.5]), step=1.0)
    array([3., 0.])
    """

    formula = Formula(r"[\,w \ge 0\,]", "0", r"\max(v, 0)")
    prior = "uniform on w ≥ 0: improper"
    text = "w ≥ 0"

    def __init__(self) -> None:
        super().__init__(0.0, np.inf)

    def parameters_text(self) -> str:
        """Nothing."""
        return ""


class Simplex(Constraint):
    """w ≥ 0 with Σw = r, all elements of w (any shape) together: shares, or a mixture.

    Parameters
    ----------
    radius : r ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    The prox is exact, by sorting (Held et al. 1974; Duchi et al. 2008).

    >>> Simplex().prox(np.array([1.0, 0.5, -3.0]), step=1.0).tolist()
    [0.75, 0.25, 0.0]
    """

    formula = Formula(
        r"[\,w \ge 0,\ \textstyle\sum w = r\,]", "0", r"\max(v - c, 0),\ c: \textstyle\sum = r"
    )
    prior = "Dirichlet(1, …, 1): uniform on the simplex"
    text = "w ≥ 0, Σw = r"
    radius: Strength = Strength()

    def __init__(self, radius: Level = 1.0) -> None:
        self.radius = radius

    def outside(self, w: Array, rounding: float) -> Any:
        """Whether an element is negative, or the sum is not r."""
        near, off = rounding * self.radius, abs(w.sum(dtype=np.float64) - self.radius)
        return ~((w >= -near).all() & (off <= near))

    def prox(self, v: Array, step: float | Array) -> Array:
        """max(v − c, 0), with the level c at which the sum is r."""
        wide = v.astype(np.float64)
        below = wide - largest(wide)  # rounding is of the size of r, however large v is
        return like(np.maximum(below - water_level(below, self.radius), 0), v)

    def normal_distance(self, w: Array, g: Array) -> Any:
        """Distance of −g to {a − μ : μ ≥ 0, and μ = 0 where w > 0} for the best number a."""
        # (a share that rounding of the level has left is none)
        descent, free = -g.astype(np.float64), w > near(w) * self.radius
        return like(length(beyond(descent, free, multiplier(descent, free))), w)


class Ball(Constraint):
    """w in a ball of the given ``radius``; a subclass defines the norm."""

    prior = "uniform inside the ball"
    radius: Strength = Strength()

    def __init__(self, radius: Level) -> None:
        self.radius = radius

    def norm(self, w: Array) -> Any:
        """The norm that is bounded: a scalar, or a column with one per group."""
        raise NotImplementedError(f"{type(self).__name__} does not define norm")

    def outside(self, w: Array, rounding: float) -> Any:
        """Whether w, or each group, is longer than the radius."""
        return ~(self.norm(w) <= self.radius * (1 + rounding))

    def _on_sphere(self, w: Array) -> Any:
        """Whether w, or each group, is at the bound up to rounding."""
        return self.norm(w) >= self.radius * (1 - near(w))


class MaxNorm(Ball):
    """‖w_g‖₂ ≤ r for every group: by default a row of a weight (out, in), what enters a unit.

    Parameters
    ----------
    radius : r ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.
    axis : the axes that a group spans, as for :class:`GroupLasso`, with its errors. The incoming weights
        of a unit of a convolution are axis=(1, 2, 3): axis=1 bounds each position in the kernel by
        itself.

    Srebro et al. 2005; with dropout, Srivastava et al. 2014.

    >>> MaxNorm(2.5).prox(np.array([[3.0, 4.0], [0.5, 0.5]]), step=1.0).tolist()
    [[1.5, 2.0], [0.5, 0.5]]
    >>> kernel = MaxNorm(1.0, axis=(1, 2, 3)).prox(np.ones((4, 2, 3, 3)), step=1.0)
    >>> np.linalg.norm(kernel.reshape(4, -1), axis=1)
    array([1., 1., 1., 1.])
    """

    formula = Formula(
        r"[\lVert w_g\rVert_2 \le r\ \forall g]", "0", r"v_g\min(1, r/\lVert v_g\rVert_2)"
    )
    text = "‖w_g‖₂ ≤ r"

    def __init__(self, radius: Level, axis: Axis = 1) -> None:
        super().__init__(radius)
        self.axis, self.groups = axis, Groups(type(self).__name__, axis)

    def norm(self, w: Array) -> Any:
        """‖w_g‖₂, a column (groups, 1)."""
        return norms(self.groups.rows(w))

    def prox(self, v: Array, step: float | Array) -> Array:
        """Each group outside is scaled to length r."""
        rows = self.groups.rows(v)
        lengths = norms(rows)
        factor = np.where(lengths > self.radius, ratio(self.radius, lengths), 1)
        return self.groups.back(rows * factor.astype(rows.dtype), v)

    def normal_distance(self, w: Array, g: Array) -> Any:
        """‖g‖ without, for a group at the bound, the part of −g that points outwards."""
        rows, slope = self.groups.rows(w), self.groups.rows(g)
        if not self.radius:  # w = 0 is the only point, hence optimal
            slope = 0 * slope
        outward = ratio(rows, norms(rows))
        pressure = np.maximum(-(slope * outward).sum(axis=1, keepdims=True), 0)
        return like(length(slope + np.where(self._on_sphere(w), pressure, 0) * outward), w)

    def parameters_text(self) -> str:
        """The radius and the groups."""
        return f"{self.radius:g}, {self.groups!r}"


class L2Ball(MaxNorm):
    """‖w‖₂ ≤ r, all elements of w (any shape) together (claims C113–C116).

    Parameters
    ----------
    radius : r ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    >>> L2Ball(1.0).prox(np.array([3.0, 4.0]), step=1.0)
    array([0.6, 0.8])
    """

    formula = Formula(r"[\lVert w\rVert_2 \le r]", "0", r"v\min(1, r/\lVert v\rVert_2)")
    text = "‖w‖₂ ≤ r"

    def __init__(self, radius: Level) -> None:
        super().__init__(radius, axis=None)

    def parameters_text(self) -> str:
        """The radius."""
        return f"{self.radius:g}"


class L1Ball(Ball):
    """‖w‖₁ ≤ r, all elements of w (any shape) together: the lasso as a budget (claim C115).

    Parameters
    ----------
    radius : r ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    >>> L1Ball(2.0).prox(np.array([3.0, -1.0]), step=1.0).tolist()
    [2.0, 0.0]
    """

    formula = Formula(r"[\lVert w\rVert_1 \le r]", "0", r"\mathrm{soft}(v, \theta)")
    text = "‖w‖₁ ≤ r"

    def norm(self, w: Array) -> Any:
        """‖w‖₁."""
        return np.abs(w).sum(dtype=np.float64)

    def prox(self, v: Array, step: float | Array) -> Array:
        """A soft threshold, as large as ‖w‖₁ ≤ r needs (Duchi et al. 2008)."""
        return project_l1(v, self.radius)

    def normal_distance(self, w: Array, g: Array) -> Any:
        """Distance of −g to a·∂‖w‖₁ for the best multiplier a ≥ 0 (0 inside the ball)."""
        w, g, given = w.astype(np.float64), g.astype(np.float64), w
        free = np.abs(w) > near(given) * self.radius  # (less is what rounding has left)
        descent = np.where(free, -g * np.sign(w), np.abs(g))
        best = np.maximum(multiplier(descent, free), 0)
        a = np.where(self._on_sphere(given), best, 0)
        return like(length(beyond(descent, free, a)), given)


class SpectralBall(Ball):
    """σ₁(W) ≤ r: a bound on a layer's Lipschitz constant (claims C87, C88).

    W has any shape (out, …) and is measured as a matrix (out, rest).

    Parameters
    ----------
    radius : r ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    ``LinAlgError`` for NaN or inf in W.

    >>> SpectralBall(2.0).prox(np.diag([3.0, 1.0]), step=1.0).tolist()
    [[2.0, 0.0], [0.0, 1.0]]
    """

    formula = Formula(r"[\sigma_1(W) \le r]", "0", r"U\,\mathrm{diag}(\min(\sigma, r))\,V^{\top}")
    text = "‖W‖₂ ≤ r"

    def norm(self, w: Array) -> Any:
        """σ₁."""
        return largest(svd(w)[1])

    def prox(self, v: Array, step: float | Array) -> Array:
        """Singular values clipped at r."""
        u, s, vt = svd(v)
        clipped = ((u * np.minimum(s, self.radius)) @ vt).reshape(v.shape)
        return np.where((s > self.radius).any(), clipped, v)

    def normal_distance(self, w: Array, g: Array) -> Any:
        """Distance of −g to {U₁TV₁ᵀ : T ⪰ 0} over the singular values at r (0 inside)."""
        u, s, vt = svd(w)
        descent = as_matrix(-g if self.radius else 0 * g)  # at radius 0 w = 0 is optimal
        return length(descent - cone_part(descent, u, vt, s >= self.radius * (1 - near(w))))
