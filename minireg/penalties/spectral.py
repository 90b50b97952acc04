"""Penalties on singular values: SpectralNorm, NuclearNorm and Orthogonality."""

from __future__ import annotations

from typing import Any, Literal
from weakref import ReferenceType, ref

import numpy as np

from ..backend import NUMPY, Array, move, of
from ..messages import check_option
from ..mode import is_grad_enabled
from ..ops.arrays import as_matrix, eigh, explained, largest, length, like, rank_tolerance, svd
from ..ops.iterations import block_power, chebyshev, ritz, scatter, settled, unit
from ..ops.table import array_of, ratio
from ..random import Stream
from ..tensor import Tensor
from .base import Formula, Level, Penalty, Strength, Weight, penalty_value


def near(w: Array) -> float:
    """The relative distance within which two numbers count as equal in a certificate."""
    return 1e-10 if w.dtype == np.float64 else 1e-5


def water_level(x: Array, radius: float | Array) -> Any:
    """The level c with Σ max(x − c, 0) = radius, a scalar: the largest of (sum of the k largest − radius)/k.

    x is in float64: running sums of many float32 lose what the radius is made of.

    >>> float(water_level(np.array([3.0, 1.0]), 2.0))
    1.0
    """
    sums = np.cumsum(-np.sort(-x.reshape(-1)))
    level = largest((sums - radius) / of(x).xp.arange(1, x.size + 1, dtype=x.dtype))
    # (one step of Newton's method, for what rounding of the running sums has left)
    above = np.maximum(x - level, 0)
    return level + ratio(above.sum() - radius, (above > 0).sum())


def project_l1(v: Array, radius: float | Array) -> Array:
    """The nearest point with ‖u‖₁ ≤ radius: a soft threshold (Duchi et al. 2008).

    The threshold is the largest of (sum of the k largest |v| − radius)/k, or 0. It is computed
    relative to max|v|, so that rounding is of the size of the radius however large v is.

    >>> project_l1(np.array([3.0, -1.0]), 2.0)
    array([2., 0.])
    """
    size = np.abs(v.astype(np.float64))
    top = largest(size)
    below = size - top
    cut = water_level(below, radius)
    inner = np.where(below > cut, np.sign(v) * (below - cut), 0)
    return like(np.where(cut > -top, inner, v), v)


def cone_part(target: Array, u: Array, vt: Array, kept: Array, trace: float | None = None) -> Array:
    """The element U₁TV₁ᵀ, T ⪰ 0 (of that trace, if one is given), nearest to ``target``.

    ``kept`` is a mask of the columns that make U₁ and V₁, so nothing waits for the device.
    """
    u, vt = u * kept, vt * kept[:, None]
    block = u.T @ target @ vt.T
    block = (block + block.T) / 2
    if trace is None:
        values, basis = eigh(block)
        values = np.maximum(values, 0)
    else:
        # The projection on the simplex is that on the L1 ball of values shifted far up, as a common
        # shift changes nothing; columns that are not kept are shifted down and get 0.
        far = 2 * (length(block) + trace)
        values, basis = eigh(block - np.diag(far * ~kept))
        values = project_l1(np.where(values > -far, values + (far + trace), 0), trace)
    return u @ (basis * values) @ basis.T @ vt


TRACKED, DEGREE = 16, 3  # vectors kept for a weight; products with WᵀW per round
SCOUTED, ASIDE, NOISE = 2, 0.3, 0.1  # products for the scout; the shares added to vectors then
BLIND = 5  # products per round on a GPU, where a test for convergence would synchronize


class SpectralNorm(Penalty):
    """λ‖W‖₂ = λσ₁(W), the largest singular value (claims C85, C86, C94).

    W has any shape (out, …) and is measured as a matrix (out, rest). Called on a Tensor it follows σ₁ by
    power iteration: for each weight it keeps the 15 largest singular vectors, and a scout for what grows
    outside of them. They come from one SVD at the first call and move whenever the value is recorded;
    an evaluation without recording changes nothing. On arrays, for second derivatives and with
    method="svd" everything is exact, by the SVD.

    The gradient is λuvᵀ for unit u and v, a subgradient up to the error of the value, also where σ₁
    and σ₂ tie. Where σ₂ < .998 σ₁ its cosine to the exact one stayed above .9998 through 100 steps
    of SGD, SGD with momentum and AdamW on a 784×512 layer.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`.
    method : "power" or, exact at every call and about fifty times slower, "svd".
    iterations : the most rounds per call, ≥ 1; a round is three power iterations of the whole block, and
        it stops once the vectors are within an angle of 0.01. On a GPU, where that test would
        synchronize, each call makes one round of five.

    ``ValueError`` for an option out of range, ``LinAlgError`` for NaN or inf in W.
    At a repeated σ₁ the exact gradient shares evenly, λ U₁V₁ᵀ/r; at W = 0 it is 0.

    >>> pen = SpectralNorm(1.0); w = np.diag([3.0, 1.0])
    >>> float(pen.value(w)), pen.gradient(w).tolist(), pen.prox(w, step=1.0).tolist()
    (3.0, [[1.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]])
    """

    formula = Formula(
        r"\lambda\sigma_1(W)", r"\lambda u_1 v_1^{\top}",
        r"V - U\,\mathrm{diag}(P_{\lVert\cdot\rVert_1\le t\lambda}(\sigma))\,V^{\top}",
    )  # fmt: skip
    prior = "density ∝ exp(−nλσ₁(W))"
    text = "λ‖W‖₂"
    strength: Strength = Strength()

    def __init__(
        self, strength: Level, method: Literal["power", "svd"] = "power", iterations: int = 3
    ) -> None:
        check_option("SpectralNorm", ("power", "svd"), method=method)
        check_option("SpectralNorm", 1, iterations=iterations)
        self.strength, self.method, self.iterations = strength, method, iterations
        self.vectors: dict[int, tuple[ReferenceType[Tensor], Array, Array]] = {}

    def __call__(self, w: Weight) -> Any:
        """The value; of a Tensor by power iteration, with the backward λu₁v₁ᵀ."""
        if self.method == "svd" or not isinstance(w, Tensor) or not w.size:
            return super().__call__(w)
        return penalty_value(w, penalty=_Followed(self, *self._follow(w)))

    def _follow(self, w: Tensor) -> tuple[Any, Array, Array]:
        """σ₁, u₁ and v₁, as the power iteration estimates them."""
        m = as_matrix(w.data)
        wide = m.shape[0] < m.shape[1]
        a = m.T if wide else m  # the vectors kept are the shorter ones
        owner, v, noise = self.vectors.get(id(w), (lambda: None, a, a))
        if not (owner() is w and len(v) == a.shape[1] and v.dtype == a.dtype and of(v) is of(a)):
            u, s, vt = svd(a)
            image, v = (u * s)[:, :TRACKED], vt[:TRACKED].T
            noise = Stream("SpectralNorm", seed=0).normal((len(v),)) * (NOISE / len(v) ** 0.5)
            noise = move(noise.astype(v.dtype), of(v).name)
        elif of(a) is NUMPY or v.shape[1] == len(v):
            image, v = self._rounds(a, v)
        else:  # the vectors of the last call
            image = a @ v
            _, image, v = block_power(a, np.square(image).sum(axis=0), image, v, BLIND)
        if is_grad_enabled() and w.requires_grad:
            if v.shape[1] < len(v):
                scatter(v, noise)
            self.keep(w, v, np.roll(noise, 1))
        first = image[:, 0]
        size = np.sqrt(np.square(first).sum())
        first = unit(first, (len(first) * float(np.finfo(first.dtype).tiny)) ** 0.5)
        return (size, v[:, 0], first) if wide else (size, first, v[:, 0])

    def _rounds(self, a: Array, v: Array) -> tuple[Array, Array]:
        """Images and right vectors once they have converged, after at most ``iterations`` rounds."""
        image = a @ v
        last, lifted = v[:, -1], image[:, -1]
        squares, image, v = ritz(image, v)
        for _ in range(self.iterations if v.shape[1] < len(v) else 0):
            if settled(a, squares, image, v):
                scout = chebyshev(a, squares[:-1], lifted, last, SCOUTED)
                if scout @ scout <= 2:  # 1 if nothing outside is larger than the tracked vectors
                    v[:, -1] += ASIDE * scout
                    break
            squares, image, v = block_power(a, squares, image, v, DEGREE)
        return image, v

    def keep(self, w: Tensor, v: Array, noise: Array) -> None:
        """Go on from these vectors at w, as long as it lives."""
        vectors, key = self.vectors, id(w)
        vectors[key] = ref(w, lambda _: vectors.pop(key, None)), v, noise

    def __getstate__(self) -> dict[str, Any]:
        # (by weight: a copy follows the copies of the weights that are copied with it)
        held = [(owner(), *kept) for owner, *kept in self.vectors.values()]
        return {**vars(self), "vectors": [row for row in held if getattr(row[0], "is_leaf", False)]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, vectors={})
        for row in state["vectors"]:
            self.keep(*row)

    def value(self, w: Weight) -> Any:
        """λσ₁."""
        with explained(array_of(w)):
            return self.strength * np.linalg.norm(as_matrix(w), 2)

    def gradient(self, w: Array) -> Array:
        """λ U₁V₁ᵀ/r over the r singular values that equal σ₁; 0 at 0."""
        u, s, vt = svd(w)
        first = (s > 0) & (s >= s[:1].sum() - rank_tolerance(w, s))
        share = (first / np.maximum(first.sum(), 1)).astype(w.dtype)
        return self.strength * ((u * share) @ vt).reshape(w.shape)

    def prox(self, v: Array, step: float | Array) -> Array:
        """The singular values minus their projection on the L1 ball of radius step·λ (Moreau)."""
        u, s, vt = svd(v)
        return ((u * (s - project_l1(s, step * self.strength))) @ vt).reshape(v.shape)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """Distance of −g to {λU₁TV₁ᵀ : T ⪰ 0, tr T = 1}; at 0 to {‖·‖_* ≤ λ}."""
        u, s, vt = svd(w)
        first, descent = s >= s[:1].sum() * (1 - near(w)), as_matrix(-g)
        off = length(descent - cone_part(descent, u, vt, first, self.strength))
        dual = svd(g)[1]
        at_zero = length(dual - project_l1(dual, self.strength))
        return np.where(s[:1].sum() == 0, at_zero, off)

    def max_strength(self, g: Array) -> Any:
        """The nuclear norm of g, the dual norm."""
        return svd(g)[1].sum()


class _Followed(Penalty):
    """The spectral norm at one weight by σ₁, u₁ and v₁ that power iteration found."""

    def __init__(self, exact: SpectralNorm, size: Any, left: Array, right: Array) -> None:
        self.exact, self.size, self.left, self.right = exact, size, left, right

    def value(self, w: Weight) -> Any:
        """λ‖Wv‖; on a Tensor (for a second derivative) the exact one."""
        return self.exact.value(w) if isinstance(w, Tensor) else self.exact.strength * self.size

    def gradient(self, w: Array) -> Array:
        """λuvᵀ."""
        return np.outer(self.exact.strength * self.left, self.right).reshape(w.shape)


class NuclearNorm(Penalty):
    """λ‖W‖_* = λΣσ_k: the L1 norm of the singular values, hence low rank (claims C95–C97).

    W has any shape (out, …) and is measured as a matrix (out, rest). The gradient U_rV_rᵀ sums over
    the non-zero singular values and divides by no differences of them, so repeated ones do no harm;
    at W = 0 it is 0.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    ``LinAlgError`` for NaN or inf in W.

    >>> pen = NuclearNorm(1.0); w = np.diag([3.0, 0.5])
    >>> float(pen.value(w)), pen.gradient(w).tolist(), pen.prox(w, step=1.0).tolist()
    (3.5, [[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 0.0]])

    Matrix completion (Candès & Recht 2009): a Linear of the identity is a matrix, Wᵀ, and the loss
    sees only some of its entries.

    >>> import minireg as mr
    >>> y, seen = np.outer([1.0, 2, 3, 4], [1.0, -1, 2]), ~np.eye(4, 3, dtype=bool)
    >>> loss = lambda output, target: np.square(seen * (output - target)).sum()
    >>> model = mr.nn.Linear(4, 3, bias=False, dtype=np.float64)
    >>> found = mr.solve(model, loss, NuclearNorm(1e-4), np.eye(4), seen * y)
    >>> model.weight.numpy().T.round(2).diagonal(), found.converged
    (array([ 1., -2.,  6.]), True)
    """

    formula = Formula(
        r"\lambda\textstyle\sum_k\sigma_k(W)", r"\lambda U_r V_r^{\top}",
        r"U\,\mathrm{diag}(\max(\sigma - t\lambda, 0))\,V^{\top}",
    )  # fmt: skip
    prior = "density ∝ exp(−nλ Σσ_k(W))"
    text = "λ‖W‖_*"
    strength: Strength = Strength()

    def __init__(self, strength: Level) -> None:
        self.strength = strength

    def value(self, w: Weight) -> Any:
        """λΣσ_k."""
        with explained(array_of(w)):
            return self.strength * np.linalg.norm(as_matrix(w), "nuc")

    def gradient(self, w: Array) -> Array:
        """λU_rV_rᵀ."""
        u, s, vt = svd(w)
        alive = (s > rank_tolerance(w, s)).astype(w.dtype)
        return self.strength * ((u * alive) @ vt).reshape(w.shape)

    def prox(self, v: Array, step: float | Array) -> Array:
        """Every singular value is soft-thresholded at step·λ (claim C96)."""
        u, s, vt = svd(v)
        return ((u * np.maximum(s - step * self.strength, 0)) @ vt).reshape(v.shape)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """Distance of −g to {λ(U_rV_rᵀ + N) : U_rᵀN = 0, NV_r = 0, ‖N‖₂ ≤ 1}."""
        u, s, vt = svd(w)
        # (w may be a small difference, with the rounding of larger numbers)
        alive = s > np.maximum(rank_tolerance(w, s), s[:1].sum() * near(w))
        u, vt = u * alive, vt * alive[:, None]
        off = as_matrix(-g) - self.strength * (u @ vt)
        outside = off - u @ (u.T @ off)
        outside = outside - (outside @ vt.T) @ vt
        excess = np.maximum(svd(outside)[1] - self.strength, 0)
        return np.hypot(length(off - outside), length(excess))

    def max_strength(self, g: Array) -> Any:
        """The spectral norm of g, the dual norm."""
        return largest(svd(g)[1])


class Orthogonality(Penalty):
    """λ‖WᵀW − I‖²_F = λ Σ(σ_k² − 1)²: singular values near 1, so W keeps lengths (Brock et al. 2017).

    W has any shape (out, …) and is measured as a matrix (out, rest); of a wide one the rows are to be
    orthonormal, λ‖WWᵀ − I‖²_F, which has the same gradient and reaches 0. Not convex: W = 0 is
    stationary.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    ``LinAlgError`` of the prox for NaN or inf in W, ``NotImplementedError`` of ``max_strength``. The prox
    is the global minimum at every step, by Newton's method for each singular value.

    >>> pen = Orthogonality(0.5); w = np.diag([2.0, 1.0])
    >>> float(pen.value(w)), pen.gradient(w).tolist(), pen.prox(w, step=1.0).round(3).tolist()
    (4.5, [[12.0, 0.0], [0.0, 0.0]], [[1.165, 0.0], [0.0, 1.0]])
    """

    formula = Formula(
        r"\lambda\lVert W^{\top}W - I\rVert_F^2", r"4\lambda W(W^{\top}W - I)",
        r"U\,\mathrm{diag}(s)\,V^{\top},\ s - \sigma + 4t\lambda(s^3 - s) = 0",
    )  # fmt: skip
    prior = "density ∝ exp(−nλ Σ(σ_k² − 1)²): around the matrices with orthonormal columns"
    text = "λ‖WᵀW − I‖²_F"
    convex = False
    strength: Strength = Strength()

    def __init__(self, strength: Level) -> None:
        self.strength = strength

    def _apart(self, w: Weight) -> tuple[Any, Any]:
        """W as a tall matrix, and WᵀW − I."""
        m = as_matrix(w)
        m = m.T if m.shape[0] < m.shape[1] else m
        raw = m.data if isinstance(m, Tensor) else m
        return m, m.T @ m - of(raw).xp.eye(m.shape[1], dtype=m.dtype)

    def value(self, w: Weight) -> Any:
        """λ‖WᵀW − I‖²_F."""
        return self.strength * np.square(self._apart(w)[1]).sum()

    def gradient(self, w: Array) -> Array:
        """4λW(WᵀW − I)."""
        m, off = self._apart(w)
        slope = 4 * self.strength * (m @ off)
        return (slope.T if slope.shape != as_matrix(w).shape else slope).reshape(w.shape)

    def prox(self, v: Array, step: float | Array) -> Array:
        """Each σ becomes the one positive root s of s − σ + 4·step·λ(s³ − s) = 0."""
        u, size, vt = svd(v)
        k = 4 * step * self.strength
        # above the root, from where Newton's method falls to it
        s = np.minimum(np.maximum(size, 1), size ** (1 / 3) / (k or 1) ** (1 / 3) + 1)
        for _ in range(60):
            s = s - ratio(k * (s**3 - s) + s - size, k * (3 * s**2 - 1) + 1)
        return ((u * s) @ vt).reshape(v.shape)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """‖g + 4λW(WᵀW − I)‖."""
        return length(g + self.gradient(w))
