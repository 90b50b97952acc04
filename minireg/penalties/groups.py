"""Penalties on the lengths of groups: GroupLasso, SparseGroupLasso, FrobeniusNorm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from types import EllipsisType
from typing import Any, Literal

import numpy as np

from ..backend import Array, move, of
from ..messages import check_option, within
from ..ops.arrays import largest, length, like, norms, widened
from ..ops.table import array_of, ratio
from .base import Formula, Level, Penalty, Strength, Weight
from .elementwise import L1, soft_threshold


def _backend(x: Any) -> str:
    """The name of the backend that an array or a Tensor lives on."""
    return of(array_of(x)).name


Axis = int | tuple[int, ...] | EllipsisType | None  # the axes of a group; ... is the default, 1
Members = Sequence[Sequence[int]]


def _positions(owner: str, members: Members) -> list[list[int]]:
    try:
        found = [[index(i) for i in m] for m in members]
    except TypeError:  # no lists, or no integers in them
        found = [[]]
    named = [i for m in found for i in m]
    if not (named and all(found) and len(set(named)) == len(named) and min(named) >= 0):
        raise ValueError(
            f"{owner}: groups must be disjoint, non-empty lists of positions ≥ 0 in w.ravel(), "
            f"got {members!r:.80}"
        )
    return found


class Groups:
    """The groups of an array: :meth:`rows` puts one group in each row, :meth:`back` undoes it.

    ``owner`` is the name that messages begin with, ``axis`` and ``members`` are the options ``axis`` and
    ``groups`` of :class:`GroupLasso`, with its errors.

    >>> groups = Groups("demo", axis=0); w = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> groups.rows(w)
    array([[1., 3.],
           [2., 4.]])
    >>> bool((groups.back(groups.rows(w), w) == w).all())
    True
    """

    def __init__(self, owner: str, axis: Axis = None, members: Members | None = None) -> None:
        if members is not None and axis is not ...:
            raise ValueError(f"{owner}: axis={axis!r} and groups= exclude each other; give one")
        axis = 1 if axis is ... else axis
        self.owner, self.axis = owner, (axis,) if isinstance(axis, int) else axis
        listed = self.axis if self.axis is not None else ()
        good = isinstance(listed, tuple) and all(within(int, a) for a in listed)
        if not good or len(set(listed)) < len(listed):
            raise TypeError(
                f"{owner}: axis must be an integer, a tuple of different ones or None, got {axis!r}"
            )
        self.members = None if members is None else _positions(owner, members)
        self._indices: dict[str, tuple[Array, Array]] = {}  # by backend
        self._columns: dict[tuple[str, Any], Array] = {}  # by backend and dtype

    def _order(self, w: Any) -> tuple[int, list[int]]:
        """(number of axes that groups do not span, all axes, those first)."""
        axes = range(w.ndim) if self.axis is None else self.axis
        if any(not -w.ndim <= a < w.ndim for a in axes):
            raise ValueError(
                f"{self.owner}: got axis={self.axis} for a weight of shape {w.shape}; expected "
                "axes that it has (choose the weights with on=)"
            )
        spanned = [a % w.ndim for a in axes]
        if len(set(spanned)) < len(spanned):
            raise ValueError(
                f"{self.owner}: axis={self.axis} names an axis of a weight of shape {w.shape} "
                f"twice; expected each once, like {tuple(dict.fromkeys(spanned))}"
            )
        lead = [a for a in range(w.ndim) if a not in spanned]
        return len(lead), [*lead, *spanned]

    def rows(self, w: Weight) -> Any:
        """One group per row, (groups, members); explicit groups are padded with 0 to the longest.

        float16 becomes float32, and :meth:`back` rounds again. Raises ``ValueError`` for an axis that w
        does not have, ``IndexError`` for a position outside w, ``TypeError`` for integers.
        """
        w = widened(w)
        if self.members is None:
            lead, order = self._order(w)
            shape = [w.shape[a] for a in order]
            return np.transpose(w, order).reshape(math.prod(shape[:lead]), math.prod(shape[lead:]))
        last = max(map(max, self.members))
        if last >= w.size:
            raise IndexError(
                f"{self.owner}: groups name position {last} of a weight of shape {w.shape}, "
                f"which has {w.size} elements"
            )
        sources, _ = self._explicit(_backend(w))
        return np.pad(w.reshape(-1), (1, 0))[sources]

    def _explicit(self, backend: str) -> tuple[Array, Array]:
        """Indices into (0, *w.ravel()) of all rows, padded with 0, and the indices that are not padding."""
        if backend not in self._indices:
            assert self.members is not None
            width = max(map(len, self.members))
            rows = np.array([[*(i + 1 for i in m), *[0] * (width - len(m))] for m in self.members])
            self._indices[backend] = move(rows, backend), move(np.flatnonzero(rows), backend)
        return self._indices[backend]

    def back(self, rows: Array, like: Array) -> Array:
        """An array like ``like`` whose groups are these rows; elements in no group stay."""
        if self.members is None:
            _, order = self._order(like)
            inverse = sorted(range(like.ndim), key=order.__getitem__)
            found = np.transpose(rows.reshape([like.shape[a] for a in order]), inverse)
            return found.astype(like.dtype, copy=False)
        sources, places = self._explicit(_backend(like))
        flat = like.copy().reshape(-1)
        flat[sources.reshape(-1)[places] - 1] = rows.reshape(-1)[places]
        return flat.reshape(like.shape)

    def scales(self, rows: Weight) -> Any:
        """√|g|: a number, or a column with one for each explicit group."""
        if self.members is None:
            return math.sqrt(rows.shape[1]) or 1.0
        key = backend, dtype = _backend(rows), rows.dtype
        if key not in self._columns:
            column = np.sqrt([[len(m)] for m in self.members]).astype(dtype)
            self._columns[key] = move(column, backend)
        return self._columns[key]

    def __repr__(self) -> str:
        if self.members is not None:
            return f"{len(self.members)} groups"
        return f"axis={self.axis[0] if self.axis and len(self.axis) == 1 else self.axis}"


class GroupLasso(Penalty):
    r"""λ Σ_g s_g‖w_g‖₂ with s_g = √|g|: whole groups become exactly 0 (claims C61, C62).

    The source text's group is what leaves one input, and has no √|g|: its penalty is
    ``GroupLasso(λ, axis=0, scale="none")``.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`.
    axis : the axes that a group spans, as in ``np.linalg.norm(w, axis=axis)``. For a weight
        (out, in) axis=1, the default, makes a group of each row (an output unit), axis=0 of
        each column (an input feature), None one group of everything. The unit of a convolution, of
        weight (out, in, height, width), is axis=(1, 2, 3), its input channel (0, 2, 3): axis=1
        makes a group for each position in the kernel.
    groups : instead of an axis, lists of positions in ``w.ravel()``; elements in none of them are not
        penalised.
    scale : "sqrt" for s_g = √|g| (Yuan & Lin 2006), "none" for s_g = 1.

    ``ValueError`` for a negative strength, another scale, both axis and groups, and groups that overlap
    or are empty; ``TypeError`` for an axis that is no integer, tuple of them or None. At a weight w:
    ``ValueError`` for an axis it does not have, ``IndexError`` for a position outside, ``TypeError``
    for integers. At w_g = 0 the gradient is 0.

    >>> pen = GroupLasso(1.0, axis=1, scale="none"); w = np.array([[3.0, 4.0], [0.6, 0.8]])
    >>> float(pen.value(w)), pen.prox(w, step=1.0).round(2).tolist()
    (6.0, [[2.4, 3.2], [0.0, 0.0]])
    >>> kernel = np.ones((4, 2, 3, 3))
    >>> [GroupLasso(1.0, axis=a).groups.rows(kernel).shape for a in (1, (1, 2, 3))]
    [(36, 2), (4, 18)]
    """

    formula = Formula(
        r"\lambda\textstyle\sum_g s_g\lVert w_g\rVert_2,\ s_g = \sqrt{|g|}",
        r"\lambda s_g\,w_g/\lVert w_g\rVert,\ 0 \text{ at } 0",
        r"v_g\max(1 - t\lambda s_g/\lVert v_g\rVert, 0)",
    )
    prior = "multivariate Laplace for each group: density ∝ exp(−nλ s_g‖w_g‖)"
    text = "λ Σ √|g|·‖w_g‖"
    elementwise_step = True
    strength: Strength = Strength()

    def __init__(
        self, strength: Level, axis: Axis = ..., groups: Members | None = None,
        scale: Literal["sqrt", "none"] = "sqrt",
    ) -> None:  # fmt: skip

        check_option(type(self).__name__, ("sqrt", "none"), scale=scale)
        self.strength = strength
        self.scale: Literal["sqrt", "none"] = scale
        self.axis, self.groups = axis, Groups(type(self).__name__, axis, groups)
        if scale == "none":
            self.text = self.text.replace("√|g|·", "")
            plain = [f.replace(r",\ s_g = \sqrt{|g|}", "").replace("s_g", "") for f in self.formula]
            self.formula = Formula(*plain)
            self.prior = self.prior.replace(" s_g", "")

    def _argument(self, name: str) -> Any:
        return self.groups.members if name == "groups" else super()._argument(name)

    def _scales(self, rows: Any) -> Any:
        return self.groups.scales(rows) if self.scale == "sqrt" else 1.0

    def value(self, w: Weight) -> Any:
        """λ Σ s_g‖w_g‖."""
        rows = self.groups.rows(w)
        return self.strength * (self._scales(rows) * norms(rows)).sum()

    def gradient(self, w: Array) -> Array:
        """λ s_g w_g/‖w_g‖, 0 where w_g = 0."""
        rows = self.groups.rows(w)
        gradient = self.strength * self._scales(rows) * ratio(rows, norms(rows))
        return self.groups.back(gradient, np.zeros_like(w))

    def prox(self, v: Array, step: float | Array) -> Array:
        """Group soft threshold: w_g shortened by step·λs_g, to 0 if it is shorter than that."""
        rows = self.groups.rows(v)
        cut = self.strength * self._scales(rows)
        if np.ndim(step):
            return self.groups.back(_metric_prox(rows, self.groups.rows(step) * cut), v)  # type: ignore[arg-type]
        lengths = norms(rows)
        return self.groups.back(rows * ratio(np.maximum(lengths - step * cut, 0), lengths), v)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """‖g + λs_g w_g/‖w_g‖‖ over groups that are not 0, max(‖g_g‖ − λs_g, 0) over those that are."""
        rows, slope = self.groups.rows(w), self.groups.rows(g)
        cut, size, steepness = self.strength * self._scales(rows), norms(rows), norms(slope)
        at_zero = slope * ratio(np.maximum(steepness - cut, 0), steepness)
        off = np.where(size == 0, at_zero, slope + cut * ratio(rows, size))
        return length(self.groups.back(off, g))

    def max_strength(self, g: Array) -> Any:
        """max over groups of ‖g_g‖/s_g."""
        rows = self.groups.rows(g)
        return like(largest(norms(rows) / self._scales(rows)), g)

    def parameters_text(self) -> str:
        """The strengths and the groups."""
        scale = ", scale='none'" if self.scale == "none" else ""
        return f"{super().parameters_text()}, {self.groups!r}{scale}"


def _metric_prox(rows: Array, k: Array) -> Array:
    """argmin_u Σ ½(u − v)²/step + κ‖u‖ for each row v, given k = step·κ for each element.

    u = v·ν/(ν + k), where ν = ‖u‖ is the root of Σ v²/(ν + k)² = 1 (0 if there is none): found
    by Newton's method on 1/√Σ, which is nearly linear in ν, as for a trust region.
    """
    beyond = (np.abs(rows) - k).max(axis=1, keepdims=True)
    nu = np.maximum(norms(rows) - k.max(axis=1, keepdims=True), beyond)
    nu = np.maximum(nu, 0)  # not above the root, and no |v|/(nu + k) above 1
    for _ in range(12):
        shrunk = ratio(rows, nu + k)
        total = np.square(shrunk).sum(axis=1, keepdims=True)
        slope = ratio(np.square(shrunk), nu + k).sum(axis=1, keepdims=True)
        nu = np.maximum(nu + ratio(total * (np.sqrt(total) - 1), slope), 0)
    return rows * ratio(nu, nu + k)


class SparseGroupLasso(GroupLasso):
    """λ Σ_g s_g‖w_g‖ + l1·‖w‖₁: sparse groups, with zeros inside the others (Simon et al. 2013).

    Parameters
    ----------
    strength, axis, groups, scale : of the group lasso, see :class:`GroupLasso`, with its errors.
    l1 : λ₁ ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    Its prox takes one step for all elements of a group or an array of steps, first L1's, then the
    groups'.

    >>> pen = SparseGroupLasso(1.0, l1=0.5, scale="none"); v = np.array([[3.5, 0.4], [1.0, 1.0]])
    >>> pen.prox(v, step=1.0).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """

    formula = Formula(
        r"\lambda\textstyle\sum_g s_g\lVert w_g\rVert_2 + \lambda_1\lVert w\rVert_1",
        r"\lambda s_g\,w_g/\lVert w_g\rVert + \lambda_1\mathrm{sign}(w)",
        r"\mathrm{prox}_{\mathrm{group}}(\mathrm{soft}(v, t\lambda_1))",
    )
    prior = "product of the group lasso's and a Laplace prior, renormalised"
    text = "λ Σ √|g|·‖w_g‖ + l1·‖w‖₁"
    l1: Strength = Strength()

    def __init__(
        self, strength: Level, l1: Level, axis: Axis = ..., groups: Members | None = None,
        scale: Literal["sqrt", "none"] = "sqrt",
    ) -> None:  # fmt: skip
        super().__init__(strength, axis, groups, scale)
        self.l1 = l1

    def parts(self) -> dict[str, Penalty]:
        """``l1`` and ``group``."""
        group = GroupLasso(vars(self)["strength"], scale=self.scale)
        group.groups = self.groups
        return {"l1": L1(vars(self)["l1"]), "group": group}

    def value(self, w: Weight) -> Any:
        """λ Σ s_g‖w_g‖ + l1 Σ|w|."""
        return super().value(w) + self.l1 * np.abs(w).sum()

    def gradient(self, w: Array) -> Array:
        """The sum of both gradients, each 0 at its kink."""
        return super().gradient(w) + self.l1 * np.sign(w)

    def prox(self, v: Array, step: float | Array) -> Array:
        """First the soft threshold of L1, then that of the groups."""
        return super().prox(soft_threshold(v, step * self.l1), step)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """As :class:`L1` with the groups' gradient added to g; at a group of 0, of the thresholded g."""
        rows, slope = self.groups.rows(w), self.groups.rows(g)
        cut, size = self.strength * self._scales(rows), norms(rows)
        soft = soft_threshold(slope, self.l1)
        steepness = norms(soft)
        at_zero = soft * ratio(np.maximum(steepness - cut, 0), steepness)
        nonzero = self._l1_residual(rows, slope + cut * ratio(rows, size))
        off = np.where(size == 0, at_zero, nonzero)
        return length(self.groups.back(off, self._l1_residual(w, g)))

    def _l1_residual(self, w: Array, g: Array) -> Array:
        """Element by element, the distance of −g to the subgradients of l1‖w‖₁, with its sign."""
        return np.where(w == 0, soft_threshold(g, self.l1), g + self.l1 * np.sign(w))

    def max_strength(self, g: Array) -> Any:
        """The smallest λ at which w = 0 is optimal, for this l1."""
        return super().max_strength(soft_threshold(g, self.l1))


class FrobeniusNorm(GroupLasso):
    """λ‖W‖_F, not squared: all of W is 0 or nothing is (claim C92; squared it is L2).

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    w has any shape and is one group; at 0 the gradient is 0.

    >>> pen = FrobeniusNorm(1.0); w = np.array([[3.0, 4.0]])
    >>> float(pen.value(w)), pen.gradient(w).tolist(), pen.prox(w, step=5.0).tolist()
    (5.0, [[0.6, 0.8]], [[0.0, 0.0]])
    """

    formula = Formula(
        r"\lambda\lVert W\rVert_F", r"\lambda W/\lVert W\rVert_F,\ 0 \text{ at } 0",
        r"V\max(1 - t\lambda/\lVert V\rVert_F, 0)",
    )  # fmt: skip
    prior = "density ∝ exp(−nλ‖W‖_F): exponential in the length, uniform in direction"
    text = "λ‖W‖_F"

    def __init__(self, strength: Level) -> None:
        super().__init__(strength, axis=None, scale="none")

    def parameters_text(self) -> str:
        """λ."""
        return Penalty.parameters_text(self)
