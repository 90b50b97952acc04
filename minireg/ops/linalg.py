r"""Linear algebra: norms, decompositions, inverses and determinants of stacks of matrices.

Names, arguments and values are those of ``numpy.linalg``. An op has one result, so a
decomposition is one packed array that its function cuts apart.

**Repeated values.** The textbook rules of ``svd`` and ``eigh`` divide by differences of values.
Here values nearer than max(m, n)·ε·σ₁, the rank tolerance of ``numpy.linalg.matrix_rank``, count
as equal, and what their difference would divide is left out. The gradient is then exact of
whatever treats equal values and their vectors as one: symmetric functions of the values (sums,
norms, log-determinants), and products :math:`U_b V_b^\top`, :math:`U_b U_b^\top` of all vectors of
a value. It is not of :math:`U h(\Sigma) V^\top`, whose derivative the gradients of U, Σ and V do
not determine there, and second derivatives through ``svd``, ``eigh``, ``svdvals`` or ``eigvalsh``
meet just that: they are wrong there, even of symmetric functions. The nuclear norm goes its own
way: the rule of its gradient :math:`U V^\top`, the op ``polar``, divides by sums only, so gradient
and Hessian are right at repeated values, an orthogonal matrix included.

**On a GPU** a factorisation that fails raises nothing, as to look would wait for the device; inside
``with cupyx.errstate(linalg="raise")`` CuPy looks and raises ``LinAlgError`` as NumPy does.
"""

from __future__ import annotations

from operator import index
from typing import Any, Literal, NamedTuple

import numpy as np

from ..backend import Axis
from ..messages import check_option
from ..mode import is_grad_enabled
from ..tensor import Tensor
from . import reductions
from .axes import arange, given_axes, product_of_others, reopened, size_along
from .elementwise import abs, sign
from .products import matmul
from .samples import Shape, both, shaped
from .shapes import astype, diagonal, expand_dims, moveaxis, swapaxes
from .table import HALF, ArrayLike, array_of, as_numpy, op, ratio, real, wide


def _t(x: Any) -> Any:
    return x.swapaxes(-1, -2)


def _symmetric(x: Any) -> Any:
    return (x + _t(x)) * 0.5


def _tolerance(a: Any, largest: Any) -> Any:
    """Values of ``a`` nearer to each other count as equal, and nearer to 0 as 0."""
    return largest * (max(a.shape[-2:]) * float(np.finfo(largest.dtype).eps))


class _Matrix(Shape):
    """A place for matrices near diag(1 … n): far from singular, all values apart."""

    def draw(self, rng: Any) -> Any:
        x = rng.uniform(-0.3, 0.3, self.shape)
        return x + np.eye(*x.shape[-2:]) * np.arange(1, x.shape[-1] + 1)


class _Symmetric(_Matrix):
    def draw(self, rng: Any) -> Any:
        return _symmetric(super().draw(rng))


_GENERAL = shaped((_Matrix(3, 3),), (_Matrix(4, 2),), (_Matrix(2, 2, 3),))
_SQUARE = shaped((_Matrix(3, 3),), (_Matrix(2, 2, 2),))
_SYMMETRIC = shaped((_Symmetric(3, 3),), (_Symmetric(2, 2, 2),))


# --- inverses and determinants -------------------------------------------------------------------


def _solve_stacks(a: Any, b: Any) -> Any:
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # CuPy does not broadcast them
    return np.linalg.solve(*(np.broadcast_to(x, stack + x.shape[-2:]) for x in (a, b)))


def _det_backward(g: Any, y: Any, saved: None, needs: Any, a: Any) -> tuple[Any]:
    """ȳ times the cofactors ±U diag(∏_{j≠i} σ_j) Vᵀ: they exist for singular matrices, too."""
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    weight = (g * np.linalg.det(u @ vh))[..., None] * product_of_others(s, -1)
    return ((u * weight[..., None, :]) @ vh,)


def _det_definition(a: Any) -> Any:
    """The product of the pivots of UᵀAV with U and V held fixed.

    The largest come first and neither of the last two is divided by, so derivatives of all
    orders are right down to rank n − 2, and the first and second (0) below it.
    """
    u, _, vh = np.linalg.svd(array_of(a), full_matrices=False)
    m, y = matmul(matmul(_t(u), a), _t(vh)), np.linalg.det(u @ vh)
    while m.shape[-1] > 2:
        pivot, row, column = m[..., :1, :1], m[..., :1, 1:], m[..., 1:, :1]
        y, m = pivot[..., 0, 0] * y, m[..., 1:, 1:] - column * (row * ratio(1, pivot))
    if m.shape[-1] == 2:
        return (m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] * m[..., 1, 0]) * y
    return reductions.prod(diagonal(m, 0, -2, -1), axis=-1) * y


def _cholesky_rule(g: Any, y: Any, a: Any) -> Any:
    """Murray (2016), arXiv:1602.07527; Φ takes the lower triangle and half the diagonal."""
    m, inverse = _t(y) @ g, inv(y)
    phi = 0.5 * (np.tril(m) + np.tril(m, -1))
    return _symmetric(_t(inverse) @ phi @ inverse)


def _pinv_rule(g: Any, y: Any, a: Any, rcond: Any = None, hermitian: bool = False, **_: Any) -> Any:
    """Golub and Pereyra (1973), for a rank that does not change: what is left out counts as 0."""
    left, right = _t(g) @ y @ _t(y), _t(y) @ y @ _t(g)
    d = left - a @ (y @ left) + right - (right @ y) @ a - _t(y) @ g @ _t(y)
    return _symmetric(d) if hermitian else d


# fmt: off
inv = op("inv", np.linalg.inv, lambda g, y, a: -(_t(y) @ g @ _t(y)),
         formula=r"\bar A = -Y^\top\bar Y Y^\top", cost="n^3", samples=_SQUARE)
_SYSTEMS = shaped((_Matrix(3, 3), Shape(3, 2)), (_Matrix(2, 2, 2), Shape(3, 1, 2, 1)))
_solve: Any = op("solve", _solve_stacks,
                 lambda g, y, a, b: -(_solve(_t(a), g) @ _t(y)),
                 lambda g, y, a, b: _solve(_t(a), g),
                 formula=r"\bar B = A^{-\top}\bar Y,\quad \bar A = -\bar B Y^\top", cost="n^2(n+k)",
                 samples=_SYSTEMS)
det = op("det", lambda a: (np.linalg.det(a), None),
         backward=_det_backward, definition=_det_definition,
         formula=r"\bar A = \bar y\,\mathrm{cof}A"
                 r" = \pm U\,\mathrm{diag}(\bar y\prod_{j\ne i}\sigma_j)V^\top",
         cost="n^3", samples=both(_SQUARE, shaped((_Matrix(1, 1),), (_Matrix(4, 4),))))
_slogdet = op("slogdet", lambda a: np.stack(np.linalg.slogdet(a), axis=-1),
              lambda g, y, a: g[..., 1][..., None, None] * _t(inv(a)),
              formula=r"\bar A = \bar y\,A^{-\top}", cost="n^3", samples=_SQUARE)
_cholesky = op("cholesky", lambda a: np.linalg.cholesky(_symmetric(a)), _cholesky_rule,
               formula=r"\bar A = \mathrm{sym}\bigl(L^{-\top}\,\Phi(L^\top\bar L)\,L^{-1}\bigr)",
               cost="n^3", samples=_SYMMETRIC)
pinv = op("pinv", np.linalg.pinv, _pinv_rule,
          formula=r"\bar A = -Y^\top\bar Y Y^\top"
          r" + (1-AY)\,\bar Y^\top Y Y^\top + Y^\top Y\bar Y^\top(1-YA)",
          kink="values that rcond leaves out count as 0", cost=r"mn\min(m,n)", samples=_GENERAL)
# fmt: on


def solve(a: ArrayLike, b: ArrayLike) -> Any:
    """The x with a x = b, for one vector b or the columns of matrices.

    a (…, n, n), b (n,) or (…, n, k), as :func:`numpy.linalg.solve`. Raises ``LinAlgError`` for a matrix
    that is singular or not square.

    >>> import minireg as mr
    >>> solve(mr.tensor([[2.0, 0.0], [0.0, 4.0]]), mr.tensor([2.0, 2.0]))
    Tensor([1. , 0.5], dtype=float32)
    """
    b = as_numpy(b)
    return _solve(a, b[:, None])[..., 0] if b.ndim == 1 else _solve(a, b)


class SlogdetResult(NamedTuple):
    """What :func:`slogdet` gives: det = sign·exp(logabsdet), each (…); as NumPy's.

    >>> import minireg as mr
    >>> sign, logabsdet = slogdet(mr.tensor([[0.0, 1.0], [1.0, 0.0]])); logabsdet.item()
    0.0
    """

    sign: Any
    logabsdet: Any


def slogdet(a: ArrayLike) -> SlogdetResult:
    """Sign, with gradient 0, and logarithm of the absolute value of the determinant.

    Of matrices (…, n, n), as :func:`numpy.linalg.slogdet`. Raises ``LinAlgError`` unless they are square.

    >>> import minireg as mr
    >>> slogdet(mr.tensor([[0.0, 1.0], [1.0, 0.0]])).sign.item()
    -1.0
    """
    y = _slogdet(a)
    return SlogdetResult(y[..., 0], y[..., 1])


def _square(name: str, a: Any) -> None:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"{name}: got shape {a.shape}, expected square matrices")


def _mirrored(name: str, a: Any, triangle: str) -> Any:
    """The symmetric matrix of which NumPy reads one triangle; the gradient is symmetric, too."""
    _square(name, a)
    real(name, a)
    check_option(name, ("L", "U"), UPLO=triangle.upper())
    raw, lower = array_of(a), triangle.upper() == "L"
    half = np.tril(raw, -1) if lower else np.triu(raw, 1)
    return (np.tril(raw) if lower else np.triu(raw)) + _t(half) + (a - raw)


def cholesky(a: ArrayLike, *, upper: bool = False) -> Any:
    """The lower L with L Lᵀ = a, or the upper Lᵀ, of positive definite matrices.

    As :func:`numpy.linalg.cholesky` for (…, n, n), of which one triangle is read; the gradient is that
    at a symmetric matrix. Raises ``LinAlgError`` unless they are positive definite.

    >>> import minireg as mr
    >>> cholesky(mr.tensor([[4.0, 0.0], [0.0, 9.0]])).numpy().tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    lower = _cholesky(_mirrored("cholesky", a, "U" if upper else "L"))
    return swapaxes(lower, -1, -2) if upper else lower


def matrix_power(a: ArrayLike, n: int) -> Any:
    """The product of ``n`` times ``a``; a negative ``n`` multiplies the inverse.

    Of matrices (…, n, n), as :func:`numpy.linalg.matrix_power`. Raises ``TypeError`` unless n is an
    integer, ``LinAlgError`` for the inverse of a singular matrix.

    >>> import minireg as mr
    >>> matrix_power(mr.tensor([[1.0, 1.0], [0.0, 1.0]]), 3).numpy().tolist()
    [[1.0, 3.0], [0.0, 1.0]]
    """
    _square("matrix_power", a)
    if index(n) < 0:
        return matrix_power(inv(a), -n)
    if n == 0:
        i = arange(a, a.shape[-1])
        return a * 0 + (i[:, None] == i)
    y = matrix_power(matmul(a, a), n // 2) if n > 1 else a
    return matmul(a, y) if n > 1 and n % 2 else y


# --- decompositions ------------------------------------------------------------------------------


def _cut(y: Any, m: int) -> tuple[Any, Any, Any]:
    """U, σ and Vᵀ of the packed [Uᵀ | σ | Vᵀ], where Uᵀ has m columns."""
    return _t(y[..., :m]), y[..., m], y[..., m + 1 :]


def _svd_value(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([_t(u), s[..., None], vh], axis=-1)


def _svd_rule(g: Any, y: Any, a: Any) -> Any:
    """With X = UᵀŪ − ŪᵀU and Z = VᵀV̄ − V̄ᵀV: (σ_j X + σ_i Z)/(σ_j² − σ_i²) is
    ½(X + Z)/(σ_j − σ_i) + ½(X − Z)/(σ_j + σ_i), and U Vᵀ, for one, has X + Z = 0.
    """
    m, n = a.shape[-2:]
    (u, s, vh), (du, ds, dvh) = _cut(y, m), _cut(g, m)
    x, z = _t(u) @ du, vh @ _t(dvh)
    x, z = x - _t(x), z - _t(z)
    row, column, near = s[..., None, :], s[..., None], _tolerance(a, s[..., :1])
    apart, total = row - column, row + column
    inner = (x + z) * ratio(1, apart, np.abs(apart) <= near[..., None])
    inner = 0.5 * (inner + (x - z) * ratio(1, total, total <= near[..., None]))
    inverse = ratio(1, s, s <= near)
    left = u @ inner + u * ds[..., None, :]
    if m > n:
        left = left + (du - u @ (_t(u) @ du)) * inverse[..., None, :]
    right = 0 if m >= n else (u * inverse[..., None, :]) @ (dvh - (dvh @ _t(vh)) @ vh)
    return left @ vh + right


def _eigh_value(a: Any) -> Any:
    w, v = np.linalg.eigh(_symmetric(a))
    return np.concatenate([w[..., None], v], axis=-1)


def _eigh_rule(g: Any, y: Any, a: Any) -> Any:
    w, v = y[..., 0], y[..., 1:]
    x, apart = _t(v) @ g[..., 1:], w[..., None, :] - w[..., None]
    largest = np.maximum(np.abs(w[..., :1]), np.abs(w[..., -1:]))
    inverse = ratio(1, apart, np.abs(apart) <= _tolerance(a, largest)[..., None])
    return (v @ (0.5 * (x - _t(x)) * inverse) + v * g[..., None, :, 0]) @ _t(v)


def _svdvals_rule(g: Any, y: Any, x: Any) -> Any:
    u, _, vh = _cut(_svd(x), x.shape[-2])
    return (u * g[..., None, :]) @ vh


def _eigvalsh_rule(g: Any, y: Any, a: Any) -> Any:
    v = _eigh(a)[..., 1:]
    return (v * g[..., None, :]) @ _t(v)


# fmt: off
_SVD_FORMULA = (r"\bar A = U\Bigl(\tfrac{X+Z}{2(\sigma_j-\sigma_i)} + \tfrac{X-Z}{2(\sigma_j+\sigma_i)}"
                r" + \mathrm{diag}\,\bar\sigma\Bigr)V^\top + (1-UU^\top)\,\bar U\Sigma^{-1}V^\top"
                r" + U\Sigma^{-1}\bar V^\top(1-VV^\top),\quad X = U^\top\bar U-\bar U^\top U,"
                r"\ Z = V^\top\bar V-\bar V^\top V")
_FIRST = "equal values: right of symmetric functions, but no second derivative"
_svd = op("svd", _svd_value, _svd_rule,
          formula=_SVD_FORMULA,
          kink="equal values: nothing divided by their difference; σ = 0: nothing divided by it",
          cost=r"mn\min(m,n)", samples=_GENERAL)
svdvals = op("svdvals", lambda x: np.linalg.svd(x, compute_uv=False), _svdvals_rule,
             formula=r"\bar A = U\,\mathrm{diag}(\bar y)\,V^\top", kink=_FIRST, cost=r"mn\min(m,n)",
             samples=_GENERAL)
_eigh = op("eigh", _eigh_value, _eigh_rule,
           formula=r"\bar A = V\Bigl(\tfrac{X-X^\top}{2(w_j-w_i)} + \mathrm{diag}\,\bar w\Bigr)V^\top,"
                   r"\quad X = V^\top\bar V",
           kink="equal values: nothing divided by their difference", cost="n^3", samples=_SYMMETRIC)
_eigvalsh = op("eigvalsh", lambda a: np.linalg.eigvalsh(_symmetric(a)), _eigvalsh_rule,
               formula=r"\bar A = V\,\mathrm{diag}(\bar y)\,V^\top", kink=_FIRST, cost="n^3",
               samples=_SYMMETRIC)
# fmt: on


class SVDResult(NamedTuple):
    """What :func:`svd` of (…, m, n) gives, as NumPy's: S (…, k), k = min(m, n), U and Vh.

    U is (…, m, m) and Vh (…, n, n), or with ``full_matrices=False`` (…, m, k) and (…, k, n).

    >>> import minireg as mr
    >>> u, s, vh = svd(mr.tensor([[0.0, 2.0], [1.0, 0.0]])); s.shape
    (2,)
    """

    U: Any
    S: Any
    Vh: Any


class EighResult(NamedTuple):
    """What :func:`eigh` of (…, n, n) gives: eigenvalues (…, n), eigenvectors (…, n, n); as NumPy's.

    >>> import minireg as mr
    >>> values, vectors = eigh(mr.tensor([[2.0, 0.0], [0.0, 1.0]])); values
    Tensor([1., 2.], dtype=float32)
    """

    eigenvalues: Any
    eigenvectors: Any


def svd(a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True) -> SVDResult:
    """``U @ diag(S) @ Vh`` with orthonormal columns of U and rows of Vh, and S falling.

    ``compute_uv=False`` gives S alone, an array or Tensor. Where a is not square, NumPy's default
    adds arbitrary vectors, which have no gradient: if one is recorded, say ``full_matrices=False``
    (ValueError otherwise).

    >>> import minireg as mr
    >>> svd(mr.tensor([[0.0, 2.0], [1.0, 0.0]])).S
    Tensor([2., 1.], dtype=float32)
    """
    if not compute_uv:
        return svdvals(a)
    if full_matrices and len({*a.shape[-2:]}) > 1:
        if getattr(a, "requires_grad", False) and is_grad_enabled():
            raise ValueError(
                f"svd: the vectors that full_matrices=True adds to shape {a.shape} are arbitrary "
                "and have no gradient; say full_matrices=False"
            )
        found = np.linalg.svd(array_of(a))
        return SVDResult(*(map(Tensor, found) if isinstance(a, Tensor) else found))
    return SVDResult(*_cut(_svd(a), a.shape[-2]))


def eigh(a: ArrayLike, UPLO: Literal["L", "U"] = "L") -> EighResult:
    """Eigenvalues, rising, and orthonormal eigenvectors (columns) of symmetric matrices.

    As :func:`numpy.linalg.eigh` for (…, n, n), of which one triangle is read; the gradient is that at a
    symmetric matrix. Raises ``LinAlgError`` unless they are square, ``ValueError`` for another UPLO.

    >>> import minireg as mr
    >>> eigh(mr.tensor([[2.0, 1.0], [1.0, 2.0]])).eigenvalues.numpy().round(6).tolist()
    [1.0, 3.0]
    """
    y = _eigh(_mirrored("eigh", a, UPLO))
    return EighResult(y[..., 0], y[..., 1:])


def eigvalsh(a: ArrayLike, UPLO: Literal["L", "U"] = "L") -> Any:
    """The eigenvalues of symmetric matrices, rising; see ``eigh``.

    (…, n, n) → (…, n), as :func:`numpy.linalg.eigvalsh`. Raises ``LinAlgError`` unless they are square,
    ``ValueError`` for another UPLO.

    >>> import minireg as mr
    >>> eigvalsh(mr.tensor([[2.0, 1.0], [1.0, 2.0]])).numpy().round(6).tolist()
    [1.0, 3.0]
    """
    return _eigvalsh(_mirrored("eigvalsh", a, UPLO))


# --- norms ---------------------------------------------------------------------------------------


def _p_norm_rule(g: Any, y: Any, x: Any, p: float, axis: Any) -> Any:
    y = reopened(y, x, axis, False)
    zero = (x == 0) | (y == 0)
    share = np.where(zero, 1, np.abs(x)) / np.where(zero, 1, y)
    return np.where(zero, 0, reopened(g, x, axis, False) * np.sign(x) * share ** (p - 1))


def _spectral_value(a: Any, smallest: bool = False) -> Any:
    s = np.linalg.svd(a, compute_uv=False)
    return s.min(axis=-1) if smallest else s[..., :1].sum(axis=-1)  # 0 where there is none


def _spectral_rule(g: Any, y: Any, a: Any, smallest: bool = False) -> Any:
    u, s, vh = _cut(_svd(a), a.shape[-2])
    near = _tolerance(a, s[..., :1])
    # (y, computed without vectors, may lie further off than what counts as equal)
    extreme = s[..., -1:] if smallest else s[..., :1]
    ties = (np.abs(s - extreme) <= near) & (s > near)
    share = np.where(ties, ratio(g[..., None], ties.sum(axis=-1, keepdims=True)), 0)
    return (u * share[..., None, :]) @ vh


def _polar_value(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return (u * (s > _tolerance(a, s[..., :1]))[..., None, :]) @ vh


def _polar_rule(g: Any, y: Any, a: Any) -> Any:
    u, s, vh = _cut(_svd(a), a.shape[-2])
    near = _tolerance(a, s[..., :1])
    zero, total = s <= near, s[..., None, :] + s[..., None]
    u, vh = np.where(zero[..., None, :], 0, u), np.where(zero[..., None], 0, vh)
    left, right = g @ _t(vh), _t(u) @ g
    e = _t(u) @ left
    inner = (e - _t(e)) * ratio(1, total, total <= near[..., None])
    inverse = ratio(1, s, zero)
    left, right = left * inverse[..., None, :], right * inverse[..., None]
    return (u @ inner + left - u @ (_t(u) @ left)) @ vh + u @ (right - (right @ _t(vh)) @ vh)


# fmt: off
_euclidean = op("euclidean", lambda x, axis: np.sqrt((x * x).sum(axis=axis)),
                lambda g, y, x, axis: reopened(ratio(g, y), x, axis, False) * x,
                formula=r"\bar x = \bar y\,x/y", kink="y = 0: 0",
                samples=shaped((Shape(3, 4), (0, 1)), (Shape(2, 3, 4), (-1,)), (Shape(2, 3), (0,))))
_p_norm = op("p_norm", lambda x, p, axis: np.power(np.power(np.abs(x), p).sum(axis=axis), 1 / p),
             _p_norm_rule,
             formula=r"\bar x = \bar y\,\mathrm{sign}(x)\,(|x|/y)^{p-1}", kink="x or y = 0: 0",
             samples=shaped((Shape(3, 4), 3, (0, 1)), (Shape(2, 3), 1.5, (1,)),
                            (Shape(2, 3), -2, (0,))))
_SMALLEST = shaped((_Matrix(3, 3), True), (_Matrix(4, 2), True), (_Matrix(2, 2, 3), True))
_spectral = op("spectral", _spectral_value, _spectral_rule,
               formula=r"\bar A = \bar y\,U_1V_1^\top/r,\ r = \mathrm{rank}\,U_1",
               kink="r equal values share evenly; σ = 0: 0", cost=r"mn\min(m,n)",
               samples=both(_GENERAL, _SMALLEST))
_polar = op("polar", _polar_value, _polar_rule,
            formula=r"E = U^\top\bar Y V,\quad \bar A = U\tfrac{E-E^\top}{\sigma_i+\sigma_j}V^\top"
                    r" + (1-UU^\top)\,\bar Y V\Sigma^{-1}V^\top + U\Sigma^{-1}U^\top\bar Y(1-VV^\top)",
            kink="σ = 0: left out", cost=r"mn\min(m,n)", samples=_GENERAL)
_nuclear = op("nuclear", lambda a: np.linalg.svd(a, compute_uv=False).sum(axis=-1),
              lambda g, y, a: g[..., None, None] * _polar(a),
              formula=r"\bar A = \bar y\,UV^\top", kink="σ = 0: left out", cost=r"mn\min(m,n)",
              samples=_GENERAL)
# fmt: on


def _extreme(x: Any, axis: Any, ord: Any) -> Any:
    """The largest (0 of none) or, for a negative ``ord``, the smallest of numbers ≥ 0."""
    if ord < 0:
        return reductions.min(x, axis=axis)
    return reductions.max(x, axis=axis) if size_along(x, axis) else reductions.sum(x, axis=axis)


def _vector(x: Any, ord: Any, axis: tuple[int, ...]) -> Any:
    if ord is None or ord == 2:
        return _euclidean(x, axis)
    if ord in (np.inf, -np.inf):
        return _extreme(abs(x), axis, ord)
    if ord in (0, 1):
        return reductions.sum(abs(x if ord else sign(x)), axis=axis)
    if isinstance(ord, str):
        raise ValueError(f"norm: got ord={ord!r} for vectors, expected a number, ±inf or None")
    return _p_norm(x, ord, axis)


def _matrix(x: Any, ord: Any, axis: tuple[int, ...]) -> Any:
    if ord in (None, "fro", "f"):
        return _euclidean(x, axis)
    a = moveaxis(x, axis, (-2, -1))
    if ord == "nuc":
        return _nuclear(a)
    if ord in (2, -2):
        return _spectral(a, ord == -2)
    if ord in (1, -1, np.inf, -np.inf):
        sums = reductions.sum(abs(a), axis=-2 if ord in (1, -1) else -1)
        return _extreme(sums, -1, ord)
    raise ValueError(
        f"norm: got ord={ord!r} for matrices, expected None, 'fro', 'nuc', ±1, ±2 or ±inf"
    )


def _along(axes: tuple[int, ...], measure: Any, x: Any, ord: Any, keepdims: bool) -> Any:
    """``measure`` of x along axes: of integers in float64, of half precision in single."""
    number = wide(x) if x.dtype.kind in "fc" else astype(x, np.float64)
    if x.dtype.kind == "c" and (measure is _vector or ord not in ("nuc", 2, -2)):
        number = abs(x)  # it depends on the moduli alone
    y = measure(number, ord, axes)
    y = expand_dims(y, axes) if keepdims else y
    return astype(y, HALF) if x.dtype == HALF else y


def norm(
    x: ArrayLike, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False
) -> Any:
    r"""Vector or matrix norm, as ``numpy.linalg.norm``; the gradient of every one at 0 is 0.

    ===============  ==========================================  ================================
    ord              matrices (two axes)                         vectors (one axis)
    ===============  ==========================================  ================================
    None             Frobenius, :math:`\sqrt{\sum x_{ij}^2}`     Euclidean
    ``"fro"``        the same
    ``"nuc"``        nuclear, :math:`\sum\sigma_i`
    2, -2            largest, smallest :math:`\sigma`            Euclidean; as any number
    1, -1            largest, smallest column sum of \|x\|       :math:`\sum|x_i|`; as any number
    inf, -inf        largest, smallest row sum of \|x\|          largest, smallest \|x\|
    0                                                            number of entries that are not 0
    any number p                                                 :math:`(\sum|x_i|^p)^{1/p}`
    ===============  ==========================================  ================================

    With neither ``ord`` nor ``axis`` it is the Euclidean norm of all entries, of any shape.
    At kinks the gradient is one element of the subdifferential: equal largest or smallest
    values share evenly, and singular values of 0 give nothing. Raises ``ValueError`` for another ord
    and for more axes.

    >>> import minireg as mr
    >>> w = mr.tensor([[3.0, 0.0], [0.0, 3.0]], requires_grad=True)
    >>> norm(w, 2).backward(); w.grad.numpy().tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    axes = given_axes("norm", x, axis)
    if len(axes) not in (1, 2) and not (axis is None and ord is None):
        raise ValueError(
            f"norm: got shape {x.shape}, ord={ord!r} and axis={axis!r}, expected one axis (a vector "
            "norm) or two (a matrix norm); vector_norm takes any number"
        )
    return _along(axes, _matrix if len(axes) == 2 else _vector, x, ord, keepdims)


def vector_norm(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Any:
    """The vector norm of all entries along ``axis``, one axis, several or all (None).

    As :func:`numpy.linalg.vector_norm`; ``ord`` as in :func:`norm`. Raises ``ValueError`` for another
    ord and for an axis that x does not have.

    >>> import minireg as mr
    >>> vector_norm(mr.tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    5.0
    """
    return _along(given_axes("vector_norm", x, axis), _vector, x, ord, keepdims)


def matrix_norm(x: ArrayLike, *, keepdims: bool = False, ord: float | str = "fro") -> Any:
    """The matrix norm over the last two axes.

    As :func:`numpy.linalg.matrix_norm`; ``ord`` as in :func:`norm`. Raises ``ValueError`` for another ord
    and for fewer than two axes.

    >>> import minireg as mr
    >>> matrix_norm(mr.tensor([[3.0, 0.0], [0.0, 4.0]]), ord="nuc").item()
    7.0
    """
    return norm(x, ord, (-2, -1), keepdims)


def cond(x: ArrayLike, p: float | str | None = None) -> Any:
    """The condition number, ‖x‖·‖x⁻¹‖ in the norm ``p``; σ₁/σ_n by default.

    As :func:`numpy.linalg.cond`, but where NumPy's gives ∞ for a singular matrix, norms other than 2
    and −2 raise ``LinAlgError``, and a matrix of zeros gives NaN. Raises ``ValueError`` for fewer than
    two axes.

    >>> import minireg as mr
    >>> cond(mr.tensor([[2.0, 0.0], [0.0, 8.0]])).item()
    4.0
    """
    if p in (None, 2, -2):
        first, last = (2, -2) if p != -2 else (-2, 2)
        return matrix_norm(x, ord=first) / matrix_norm(x, ord=last)
    return matrix_norm(x, ord=p) * matrix_norm(inv(x), ord=p)
