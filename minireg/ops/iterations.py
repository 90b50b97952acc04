"""Power and Lanczos iterations: what products with vectors alone tell of a matrix.

Arrays in, arrays out: no Tensor, no graph. The power iterations serve training steps and wait for
no device; Lanczos looks at lengths as it goes, so there a device is waited for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import NUMPY, Array, move, of
from .arrays import eigh, length

Product = Callable[[Array], Array]  # with a symmetric matrix that is known by nothing else
ROOM = 64  # dimensions of Lanczos's subspace beyond two for each eigenvalue sought
RESTARTS = 300  # of Lanczos, before it gives up

# --- power iteration ------------------------------------------------------------------------------


def unit(x: Any, least: float) -> Any:
    """x/‖x‖; where ‖x‖ is below ``least``, something shorter, and 0 of 0."""
    return x / np.maximum(np.sqrt(np.square(x).sum()), least)


def power(a: Array, v: Array, rounds: int, least: float) -> tuple[Array, Array]:
    """Unit vectors u, v near the first singular ones: u ∝ av, then v ∝ aᵀu, ``rounds`` times.

    >>> [x.round(3).tolist() for x in power(np.diag([2.0, 1.0]), np.ones(2), rounds=9, least=1e-12)]
    [[1.0, 0.0], [1.0, 0.0]]
    """
    for _ in range(rounds):
        u = unit(a @ v, least)
        v = unit(a.T @ u, least)
    return u, v


def ritz(image: Array, basis: Array) -> tuple[Array, Array, Array]:
    """(σ², σu, v), largest first: the best singular triples in the span of a basis."""
    squares, turn = eigh(image.T @ image)
    return squares[::-1], image @ turn[:, ::-1], basis @ turn[:, ::-1]


def orthonormal(x: Array) -> Array:
    """An orthonormal basis of what the columns of x span, as far as their dtype tells it.

    By eigh of a small Gram matrix: no slower than QR, and on a GPU without the host. Its rounding
    is that of the squares, so what one pass leaves of nearly dependent columns takes another.
    """
    tiny, eps = float(np.finfo(x.dtype).tiny), float(np.finfo(x.dtype).eps)
    for _ in range(2):
        gram = x.T @ x
        scale = (1 / np.sqrt(np.maximum(gram.diagonal(), tiny)))[:, None]
        squares, turn = eigh(gram * scale * scale.T)
        x = x @ (scale * turn / np.sqrt(np.maximum(squares, eps * x.shape[1])))
    return x


def chebyshev(a: Array, squares: Array, image: Array, v: Array, degree: int) -> Array:
    """A Chebyshev polynomial of AᵀA, in place of its power, of the vectors v with a @ v = image.

    It holds down whatever is smaller than the last of ``squares`` (Zhou, Saad, Tiago &
    Chelikowsky 2006), or than a quarter of the first: more contrast would cost digits.
    """
    edge = np.maximum(squares[-1], squares[0] / 4)
    scale = 4 / np.maximum(edge, 4 * float(np.finfo(a.dtype).tiny))  # a = 0 leaves v as it is
    before, now = v, a.T @ image * (scale / 2) - v
    for _ in range(degree - 1):
        before, now = now, a.T @ (a @ now) * scale - 2 * now - before
    return now


def block_power(
    a: Array, squares: Array, image: Array, v: Array, degree: int
) -> tuple[Array, Array, Array]:
    """A round of power iteration of a block: (σ², σu, v) after ``degree`` products with AᵀA."""
    basis = orthonormal(chebyshev(a, squares, image, v, degree))
    return ritz(a @ basis, basis)


def settled(a: Array, squares: Array, image: Array, v: Array) -> bool:
    """Whether v₁ is within an angle of 0.01 of where more rounds would take it (Davis–Kahan)."""
    off = a.T @ image[:, 0] - squares[0] * v[:, 0]
    return bool(length(off) <= 0.01 * (squares[0] - squares[-1]))


def scatter(v: Array, noise: Array) -> None:
    """Noise for the last column, in place, orthogonal to the others: it shows what grows outside.

    Without, a part of the matrix that is decoupled from the columns would never be seen.
    """
    rest, scout = v[:, :-1], v[:, -1]
    scout += noise
    for _ in range(2):  # one pass leaves rounding of what it takes away
        scout -= rest @ (rest.T @ scout)
    scout /= np.sqrt(scout @ scout)


# --- Lanczos --------------------------------------------------------------------------------------


def rounding(size: int, dtype: Any) -> float:
    """What rounding makes of a 0 in products with vectors of ``size``, relative to the norm."""
    return 10 * math.sqrt(size) * float(np.finfo(dtype).eps)


def orthogonal(w: Array, basis: Array) -> tuple[Array, Array]:
    """``w`` less its part in the span of orthonormal rows, and that part's coordinates (host)."""
    part = basis @ w
    w = w - part @ basis
    rest = basis @ w  # twice is enough (Parlett 1998)
    return w - rest @ basis, move(part + rest, NUMPY.name)


def _extended(product: Product, w: Array, basis: Array, matrix: Array, j: int) -> Array:
    """One step of Lanczos: row j of ``basis`` is w's direction, of ``matrix`` its product's there.

    Returns what that product leaves outside of the rows so far.
    """
    basis[j] = w / np.linalg.norm(w)
    w, matrix[j, : j + 1] = orthogonal(product(basis[j]), basis[: j + 1])
    return w


def _spectrum(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues, rising, and eigenvectors of the symmetric matrix with this lower triangle."""
    if not np.isfinite(matrix).all():
        raise FloatingPointError(
            "curvature: products with the matrix hold NaN or inf; look for them in the loss and "
            "the parameters"
        )
    nodes, vectors = np.linalg.eigh(matrix)
    return nodes, vectors


def quadrature(product: Product, start: Array, steps: int) -> tuple[Array, Array]:
    """Nodes and weights of ``steps`` of Lanczos: Σ w·f(node) ≈ qᵀf(A)q for q = start/‖start‖.

    Each new direction is orthogonalised against all before it.

    >>> nodes, weights = quadrature(lambda v: np.array([1.0, 2.0]) * v, np.ones(2), steps=2)
    >>> nodes.round(6), weights.round(6)
    (array([1., 2.]), array([0.5, 0.5]))
    """
    steps, tiny = min(steps, start.size), rounding(start.size, start.dtype)
    basis, matrix = np.zeros_like(start, shape=(steps, start.size)), np.zeros((steps, steps))
    w = start
    for j in range(steps):
        w = _extended(product, w, basis, matrix, j)
        if np.linalg.norm(w) <= tiny * np.abs(matrix).max():  # an invariant subspace
            break
    nodes, vectors = _spectrum(matrix[: j + 1, : j + 1])
    return nodes, vectors[0] ** 2


def largest_pairs(
    product: Product, draw: Callable[[], Array], k: int = 1, tol: float = 1e-10, early: bool = False
) -> tuple[Array, Array, Array]:
    """The ``k`` largest eigenvalues μ, rising (host), vectors as columns, and ‖Av − μv‖ (host).

    Lanczos with thick restarts (Wu and Simon 2000) where the arrays live, until no residual
    is above ``tol`` times its value, or after ``RESTARTS``: who asks looks at them. ``draw``
    gives random vectors. ``early`` looks after every step, not only when the subspace is full, and
    so may miss copies of a repeated value.

    cupyx's ``eigsh`` is no help: in an invariant subspace (few distinct eigenvalues) it divides by
    0, or by what rounding made of it, and returns NaN or vectors that are none, without a word.

    >>> value, _, residual = largest_pairs(lambda v: np.array([1.0, 3.0]) * v, lambda: np.ones(2))
    >>> value.round(9), bool(residual < 1e-9)
    (array([3.]), True)
    """
    w = draw()
    room, kept, eps = min(2 * k + ROOM, w.size), 0, float(np.finfo(w.dtype).eps)
    basis, matrix = np.zeros_like(w, shape=(room, w.size)), np.zeros((room, room))
    here: Product = lambda a: move(a.astype(w.dtype), of(w).name)
    for _ in range(RESTARTS):
        for j in range(kept, room):
            w = _extended(product, w, basis, matrix, j)
            size = float(np.linalg.norm(w))
            if size <= 10 * eps * np.abs(matrix).max():  # invariant: go on outside, as ARPACK does
                size, w = 0.0, orthogonal(draw(), basis[: j + 1])[0]
            if j + 1 < (k if early else room):
                continue
            nodes, s = _spectrum(matrix[: j + 1, : j + 1])
            residuals = size * np.abs(s[-1, -k:])
            if done := bool((residuals <= tol * np.abs(nodes[-k:])).all()):
                break
        kept = k if done else k + ROOM // 2
        basis[:kept] = here(s[:, -kept:].T) @ basis[: j + 1]
        if done:
            break
        matrix[:] = 0
        matrix[range(kept), range(kept)] = nodes[-kept:]
    return nodes[-k:], basis[kept - k : kept].T, residuals
