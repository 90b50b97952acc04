"""Penalties on singular values: SpectralNorm and NuclearNorm."""

from __future__ import annotations

from typing import Any, Literal
from weakref import ReferenceType, ref

import numpy as np

from ..backend import Array, Stream, move, of
from ..engine import is_grad_enabled
from ..tensor import Tensor
from .base import Formula, Penalty, Strength, length, penalty_value
from .elementwise import soft_threshold


def as_matrix(w: Any) -> Any:
    """w with all axes but the first as one, as for the weight of a convolution."""
    return w.reshape(1, -1) if w.ndim < 2 else w.reshape(w.shape[0], -1) if w.ndim > 2 else w


def svd(w: Array) -> tuple[Array, Array, Array]:
    """Thin SVD of :func:`as_matrix`: w = (U·s) Vᵀ."""
    u, s, vt = np.linalg.svd(as_matrix(w), full_matrices=False)
    return u, s, vt


def rank_tolerance(w: Array, s: Array) -> Any:
    """Singular values up to this are 0 to rounding (as ``np.linalg.matrix_rank`` says)."""
    m, n = as_matrix(w).shape
    return s[:1].sum() * max(m, n) * float(np.finfo(s.dtype).eps)


def near(w: Array) -> float:
    """Relative distance within which a certificate takes two numbers for equal."""
    return 1e-10 if w.dtype == np.float64 else 1e-5


def project_l1(v: Array, radius: Any) -> Array:
    """The nearest point with ‖u‖₁ ≤ radius: a soft threshold (Duchi et al. 2008).

    The threshold is the largest of (sum of the k largest |v| − radius)/k, or 0.

    >>> project_l1(np.array([3.0, -1.0]), 2.0)
    array([2., 0.])
    """
    largest = -np.sort(-np.abs(v).reshape(-1))
    k = of(v).xp.arange(1, v.size + 1, dtype=v.dtype)
    threshold = ((np.cumsum(largest) - radius) / k).max()
    return soft_threshold(v, np.maximum(threshold, 0))


def cone_part(pull: Array, u: Array, vt: Array, kept: Array, trace: float | None = None) -> Array:
    """The element U₁TV₁ᵀ, T ⪰ 0 (of that trace, if one is given), nearest to ``pull``.

    U₁ and V₁ are the columns that are ``kept``, told by a mask: nothing waits for the device.
    """
    u, vt = u * kept, vt * kept[:, None]
    block = u.T @ pull @ vt.T
    block = (block + block.T) / 2
    if trace is None:
        values, basis = np.linalg.eigh(block)
        values = np.maximum(values, 0)
    else:
        # the simplex: a common shift changes nothing there, and from far outside the L1 ball
        # projects on it; what is not kept is shifted down, so that it gets nothing
        far = 2 * (length(block) + trace)
        values, basis = np.linalg.eigh(block - np.diag(far * ~kept))
        values = project_l1(np.maximum(values + far, 0) + trace * (values > -far), trace)
    return u @ (basis * values) @ basis.T @ vt


class SpectralNorm(Penalty):
    """λ‖W‖₂ = λσ₁(W), the largest singular value (claims C85, C86, C94).

    Called on a Tensor it follows σ₁ by power iteration: each weight keeps its own right
    singular vector, seeded, warm-started, moved by ``iterations`` rounds whenever the term is
    recorded and never in evaluation. On arrays, and where a second derivative is
    asked for, everything is exact, through the SVD. The smaller the gap between σ₁ and σ₂, the
    slower the vectors settle: a random 784×512 matrix (σ₂/σ₁ = .993) is followed from 0.9 %
    below σ₁, reaches it to 6e-4 after 100 calls and to rounding after 1,000.

    Parameters
    ----------
    strength : λ ≥ 0.
    method : "power" or, exact at every call and some hundred times slower, "svd".
    iterations : rounds of power iteration a call, ≥ 1; the first call makes 100.
    seed : of the first vectors.

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
    strength = Strength()

    def __init__(
        self,
        strength: Any,
        method: Literal["power", "svd"] = "power",
        iterations: int = 1,
        seed: int = 0,
    ) -> None:
        if method not in ("power", "svd"):
            raise ValueError(f"SpectralNorm: method must be 'power' or 'svd', got {method!r}")
        if not isinstance(iterations, int) or iterations < 1:
            raise ValueError(f"SpectralNorm: iterations must be an integer ≥ 1, got {iterations!r}")
        self.strength, self.method, self.iterations, self.seed = strength, method, iterations, seed
        self.vectors: dict[int, tuple[ReferenceType[Tensor], Array]] = {}

    def __call__(self, w: Any) -> Any:
        """The value; its backward is λu₁v₁ᵀ."""
        if self.method == "svd" or not isinstance(w, Tensor):
            return super().__call__(w)
        return penalty_value(w, penalty=_Followed(self, *self._follow(w)))

    def _follow(self, w: Tensor) -> tuple[Array, Array]:
        """(σ₁u₁, v₁) as far as the power iteration has come."""
        m = as_matrix(w.data)
        owner, v = self.vectors.get(id(w), (lambda: None, m))
        rounds = self.iterations
        fits = v.shape == m.shape[1:] and v.dtype == m.dtype and of(v) is of(m)
        if owner() is not w or not fits:
            v = move(
                Stream("spectral norm", self.seed).normal(m.shape[1:]).astype(m.dtype), w.backend
            )
            v, rounds = v / length(v), 100
        elif not (is_grad_enabled() and w.requires_grad):
            return m @ v, v
        tiny = float(np.finfo(m.dtype).tiny)
        for _ in range(rounds):
            u = m @ v
            ahead = m.T @ (u / np.maximum(length(u), tiny))
            size = length(ahead)  # 0 for W = 0, which must not make v 0 for good
            v = np.where(size > 0, ahead / np.maximum(size, tiny), v)
        if is_grad_enabled() and w.requires_grad:
            vectors, key = self.vectors, id(w)
            vectors[key] = ref(w, lambda _: vectors.pop(key, None)), v
        return m @ v, v

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "vectors": {}}  # weights have other identities elsewhere

    def value(self, w: Any) -> Any:
        """λσ₁."""
        return self.strength * np.linalg.norm(as_matrix(w), 2)

    def gradient(self, w: Array) -> Array:
        """λ U₁V₁ᵀ/r over the r singular values that equal σ₁; 0 at 0."""
        u, s, vt = svd(w)
        first = (s > 0) & (s >= s[:1].sum() - rank_tolerance(w, s))
        share = (first / np.maximum(first.sum(), 1)).astype(w.dtype)
        return self.strength * ((u * share) @ vt).reshape(w.shape)

    def prox(self, v: Array, step: Any) -> Array:
        """The singular values minus their projection on the L1 ball of radius step·λ (Moreau)."""
        u, s, vt = svd(v)
        return ((u * (s - project_l1(s, step * self.strength))) @ vt).reshape(v.shape)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """Distance of −g to {λU₁TV₁ᵀ : T ⪰ 0, tr T = 1}; at 0 to {‖·‖_* ≤ λ}."""
        u, s, vt = svd(w)
        first, pull = s >= s[:1].sum() * (1 - near(w)), as_matrix(-g)
        off = length(pull - cone_part(pull, u, vt, first, self.strength))
        dual = svd(g)[1]
        at_zero = length(dual - project_l1(dual, self.strength))
        return np.where(s[:1].sum() == 0, at_zero, off)

    def max_strength(self, g: Array) -> Any:
        """The nuclear norm of g, the dual norm."""
        return svd(g)[1].sum()


class _Followed(Penalty):
    """The spectral norm at one weight with the singular vectors that power iteration found."""

    def __init__(self, exact: SpectralNorm, scaled_u: Array, v: Array) -> None:
        self.exact, self.scaled_u, self.v = exact, scaled_u, v

    def value(self, w: Any) -> Any:
        """λ‖Wv‖; on a Tensor (for a second derivative) the exact one."""
        if isinstance(w, Tensor):
            return self.exact.value(w)
        return self.exact.strength * length(self.scaled_u)

    def gradient(self, w: Array) -> Array:
        """λuvᵀ."""
        size = np.maximum(length(self.scaled_u), float(np.finfo(w.dtype).tiny))
        return np.outer(self.scaled_u * (self.exact.strength / size), self.v).reshape(w.shape)


class NuclearNorm(Penalty):
    """λ‖W‖_* = λΣσ_k: the L1 norm of the singular values, hence low rank (claims C95–C97).

    The gradient U_rV_rᵀ runs over the non-zero singular values and divides by no
    differences of them, so repeated ones do no harm; at W = 0 it is 0.

    >>> pen = NuclearNorm(1.0); w = np.diag([3.0, 0.5])
    >>> float(pen.value(w)), pen.gradient(w).tolist(), pen.prox(w, step=1.0).tolist()
    (3.5, [[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 0.0]])
    """

    formula = Formula(
        r"\lambda\textstyle\sum_k\sigma_k(W)", r"\lambda U_r V_r^{\top}",
        r"U\,\mathrm{diag}(\max(\sigma - t\lambda, 0))\,V^{\top}",
    )  # fmt: skip
    prior = "density ∝ exp(−nλ Σσ_k(W))"
    text = "λ‖W‖_*"
    strength = Strength()

    def __init__(self, strength: Any) -> None:
        self.strength = strength

    def value(self, w: Any) -> Any:
        """λΣσ_k."""
        return self.strength * np.linalg.norm(as_matrix(w), "nuc")

    def gradient(self, w: Array) -> Array:
        """λU_rV_rᵀ."""
        u, s, vt = svd(w)
        alive = (s > rank_tolerance(w, s)).astype(w.dtype)
        return self.strength * ((u * alive) @ vt).reshape(w.shape)

    def prox(self, v: Array, step: Any) -> Array:
        """Every singular value is soft-thresholded at step·λ (claim C96)."""
        u, s, vt = svd(v)
        return ((u * np.maximum(s - step * self.strength, 0)) @ vt).reshape(v.shape)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """Distance of −g to {λ(U_rV_rᵀ + N) : U_rᵀN = 0, NV_r = 0, ‖N‖₂ ≤ 1}."""
        u, s, vt = svd(w)
        alive = s > rank_tolerance(w, s)
        u, vt = u * alive, vt * alive[:, None]
        off = as_matrix(-g) - self.strength * (u @ vt)
        beside = off - u @ (u.T @ off)
        beside = beside - (beside @ vt.T) @ vt
        beyond = np.maximum(svd(beside)[1] - self.strength, 0)
        return np.sqrt(np.square(off - beside).sum() + np.square(beyond).sum())

    def max_strength(self, g: Array) -> Any:
        """The spectral norm of g, the dual norm."""
        return svd(g)[1].max()
