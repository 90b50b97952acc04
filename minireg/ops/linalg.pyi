"""Written by tools/make_stubs.py from the code: change that, then run the tool."""
# mypy: disable-error-code="overload-overlap, override"
# pyright: reportOverlappingOverload=false, reportIncompatibleMethodOverride=false

from typing import Any, Generic, Literal, NamedTuple, TypeVar, overload

from numpy.typing import ArrayLike

from ..backend import Array, Axis
from ..tensor import Tensor

Kind = TypeVar("Kind", Tensor, Array)

class SlogdetResult(NamedTuple, Generic[Kind]):
    sign: Kind
    logabsdet: Kind

class SVDResult(NamedTuple, Generic[Kind]):
    U: Kind
    S: Kind
    Vh: Kind

class EighResult(NamedTuple, Generic[Kind]):
    eigenvalues: Kind
    eigenvectors: Kind

@overload
def cholesky(a: Tensor, *, upper: bool = False) -> Tensor:
    """The lower L with L Lᵀ = a, or the upper Lᵀ, of positive definite matrices."""

@overload
def cholesky(a: ArrayLike, *, upper: bool = False) -> Array: ...
@overload
def cond(x: Tensor, p: float | str | None = None) -> Tensor:
    """The condition number, ‖x‖·‖x⁻¹‖ in the norm ``p``; σ₁/σ_n by default."""

@overload
def cond(x: ArrayLike, p: float | str | None = None) -> Array: ...
@overload
def det(a: Tensor) -> Tensor:
    """The determinants (…) of square matrices (…, n, n); the gradient exists where one is 0, too."""

@overload
def det(a: ArrayLike) -> Any: ...
@overload
def eigh(a: Tensor, UPLO: Literal["L", "U"] = "L") -> EighResult[Tensor]:
    """Eigenvalues, rising, and orthonormal eigenvectors (columns) of symmetric matrices."""

@overload
def eigh(a: ArrayLike, UPLO: Literal["L", "U"] = "L") -> EighResult[Array]: ...
@overload
def eigvalsh(a: Tensor, UPLO: Literal["L", "U"] = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, rising; see ``eigh``."""

@overload
def eigvalsh(a: ArrayLike, UPLO: Literal["L", "U"] = "L") -> Array: ...
@overload
def inv(a: Tensor) -> Tensor:
    """The inverses of square matrices (…, n, n)."""

@overload
def inv(a: ArrayLike) -> Array: ...
@overload
def matrix_norm(x: Tensor, *, keepdims: bool = False, ord: float | str = "fro") -> Tensor:
    """The matrix norm over the last two axes."""

@overload
def matrix_norm(x: Tensor, *, keepdim: bool = False, ord: float | str = "fro") -> Tensor: ...
@overload
def matrix_norm(x: ArrayLike, *, keepdims: bool = False, ord: float | str = "fro") -> Array: ...
@overload
def matrix_power(a: Tensor, n: int) -> Tensor:
    """The product of ``n`` times ``a``; a negative ``n`` multiplies the inverse."""

@overload
def matrix_power(a: ArrayLike, n: int) -> Array: ...
@overload
def norm(
    x: Tensor, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False
) -> Tensor:
    """Vector or matrix norm, as ``numpy.linalg.norm``; the gradient of every one at 0 is 0."""

@overload
def norm(
    x: Tensor, ord: float | str | None = None, dim: Axis = None, keepdim: bool = False
) -> Tensor: ...
@overload
def norm(
    x: ArrayLike, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False
) -> Array: ...
@overload
def pinv(a: Tensor) -> Tensor:
    """The Moore–Penrose inverses (…, n, m) of matrices (…, m, n)."""

@overload
def pinv(a: ArrayLike) -> Array: ...
@overload
def slogdet(a: Tensor) -> SlogdetResult[Tensor]:
    """Sign, with gradient 0, and logarithm of the absolute value of the determinant."""

@overload
def slogdet(a: ArrayLike) -> SlogdetResult[Array]: ...
@overload
def solve(a: Tensor, b: ArrayLike) -> Tensor:
    """The x with a x = b, for one vector b or the columns of matrices."""

@overload
def solve(a: ArrayLike, b: Tensor) -> Tensor: ...
@overload
def solve(a: ArrayLike, b: ArrayLike) -> Array: ...
@overload
def svd(a: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> SVDResult[Tensor]:
    """``U @ diag(S) @ Vh`` with orthonormal columns of U and rows of Vh, and S falling."""

@overload
def svd(a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True) -> SVDResult[Array]: ...
@overload
def svdvals(a: Tensor) -> Tensor:
    """The singular values (…, min(m, n)) of matrices (…, m, n), from the largest on."""

@overload
def svdvals(a: ArrayLike) -> Array: ...
@overload
def vector_norm(x: Tensor, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The vector norm of all entries along ``axis``, one axis, several or all (None)."""

@overload
def vector_norm(
    x: Tensor, *, dim: Axis = None, keepdim: bool = False, ord: float = 2
) -> Tensor: ...
@overload
def vector_norm(
    x: ArrayLike, *, axis: Axis = None, keepdims: bool = False, ord: float = 2
) -> Array: ...
