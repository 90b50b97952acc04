"""Written by tools/make_stubs.py from the code: change that, then run the tool."""
# mypy: disable-error-code="overload-overlap, override"
# pyright: reportOverlappingOverload=false, reportIncompatibleMethodOverride=false

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from .backend import Array, Axis, Integers

next_seq: Any
RETAIN: Any

class Node:
    op: Any
    args: Any
    parents: Sequence[tuple[int, Tensor]]
    options: Any
    saved: Any
    place: str | None

class Tensor:
    def __hash__(self) -> int: ...
    data: Array
    grad: Tensor | None
    requires_grad: bool
    _proxes: tuple[Any, ...]
    _deferred: Sequence[Any]
    def __init__(self, data: Array, requires_grad: bool = False) -> None: ...
    _node: Node | None
    _hooks: list[Any] | None
    _root: Tensor | None
    _seq: int
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def backend(self) -> str:
        """Name of the backend its array lives on."""
    @property
    def is_leaf(self) -> bool:
        """Whether it was made directly rather than by a recorded operation."""
    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array, outside the graph (no copy on the NumPy backend)."""
    def item(self) -> Any:
        """The single element as a Python number; on a GPU this waits for the device."""
    def _heir(self, more: Any) -> Tensor:
        """As a gradient: the one in its place when ``more`` is added to it, with its data still."""
    def detach(self) -> Tensor:
        """The same array outside the graph, which does not see it change in place."""
    def __repr__(self) -> str: ...
    def __format__(self, spec: str) -> str:
        """``f"{loss:.4f}"`` of a single element is that of the number."""
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __bool__(self) -> bool: ...
    def __float__(self) -> float: ...
    def __int__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor: ...
    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Record operations on this leaf from now on (or stop doing so); returns itself."""
    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call ``hook(gradient)`` when this tensor's gradient is complete."""
    def retain_grad(self) -> Tensor:
        """Add to ``.grad`` of this intermediate result in each backward pass; returns itself."""
    def assign(self, value: Any) -> Tensor:
        """Overwrite a leaf's elements in place with ``value`` (broadcast to its shape)."""
    def _put(self, name: str, index: Any, value: Any) -> None:
        """Write ``value`` to a place of the data, unless its type or its shape does not fit."""
    def _inplace(self, name: str, other: Any) -> Tensor:
        """``t += x``: in place on a leaf outside recording, else the recorded ``t = t + x``."""
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]: ...
    def __dlpack__(self, **options: Any) -> Any: ...
    def __dlpack_device__(self) -> Any: ...
    def backward(
        self: Tensor, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add d self / d leaf into ``.grad`` of every leaf that requires it."""
    @property
    def T(self) -> Tensor: ...
    def __abs__(self) -> Tensor:
        """The absolute value."""
    def __add__(self, x2: ArrayLike) -> Tensor:
        """x1 + x2, element by element."""
    def __and__(self, x2: ArrayLike) -> Tensor:
        """The bits that both integers have; of booleans: and."""
    def __array_function__(self, func: Any, types: Any, args: Any, keywords: Any) -> Tensor:
        """``np.sum(t)``: the recorded op."""
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Tensor:
        """``np.exp(t)``: the recorded op."""
    def __divmod__(self, other: ArrayLike) -> tuple[Tensor, Tensor]: ...
    def __eq__(self, x2: ArrayLike) -> Tensor:
        """Whether x1 = x2, element by element."""
    def __floordiv__(self, x2: ArrayLike) -> Tensor:
        """⌊x1/x2⌋."""
    def __ge__(self, x2: ArrayLike) -> Tensor:
        """Whether x1 ≥ x2, element by element."""
    def __getitem__(self, index: Any) -> Tensor:
        """``x[index]``: basic, boolean and integer-array indexing; repeated indices add up."""
    def __gt__(self, x2: ArrayLike) -> Tensor:
        """Whether x1 > x2, element by element."""
    def __iadd__(self, other: ArrayLike) -> Tensor: ...
    def __imul__(self, other: ArrayLike) -> Tensor: ...
    def __invert__(self) -> Tensor:
        """Every bit of an integer turned; of booleans: not."""
    def __isub__(self, other: ArrayLike) -> Tensor: ...
    def __itruediv__(self, other: ArrayLike) -> Tensor: ...
    def __le__(self, x2: ArrayLike) -> Tensor:
        """Whether x1 ≤ x2, element by element."""
    def __lt__(self, x2: ArrayLike) -> Tensor:
        """Whether x1 < x2, element by element."""
    def __matmul__(self, x2: ArrayLike) -> Tensor:
        """Matrix product (…, m, k) @ (…, k, n) → (…, m, n); a vector is a row on the left, else a column."""
    def __mod__(self, x2: ArrayLike) -> Tensor:
        """The remainder of x1/x2, with the sign of x2."""
    def __mul__(self, x2: ArrayLike) -> Tensor:
        """x1·x2, element by element."""
    def __ne__(self, x2: ArrayLike) -> Tensor:
        """Whether x1 ≠ x2, element by element."""
    def __neg__(self) -> Tensor:
        """−x."""
    def __or__(self, x2: ArrayLike) -> Tensor:
        """The bits that one of the integers has; of booleans: or."""
    def __pos__(self) -> Tensor:
        """+x: a copy."""
    def __pow__(self, x2: ArrayLike) -> Tensor:
        """x1 to the power x2, element by element; NaN where x1 < 0 and x2 is no integer."""
    def __radd__(self, other: ArrayLike) -> Tensor: ...
    def __rand__(self, other: ArrayLike) -> Tensor: ...
    def __rfloordiv__(self, other: ArrayLike) -> Tensor: ...
    def __rmatmul__(self, other: ArrayLike) -> Tensor: ...
    def __rmod__(self, other: ArrayLike) -> Tensor: ...
    def __rmul__(self, other: ArrayLike) -> Tensor: ...
    def __ror__(self, other: ArrayLike) -> Tensor: ...
    def __round__(self, decimals: int = 0) -> Tensor:
        """Rounded to so many decimals, ties to even."""
    def __rpow__(self, other: ArrayLike) -> Tensor: ...
    def __rsub__(self, other: ArrayLike) -> Tensor: ...
    def __rtruediv__(self, other: ArrayLike) -> Tensor: ...
    def __sub__(self, x2: ArrayLike) -> Tensor:
        """x1 − x2, element by element."""
    def __truediv__(self, x2: ArrayLike) -> Tensor:
        """x1/x2, element by element; division by 0 gives ±∞ or NaN, with NumPy's warning."""
    def abs(self) -> Tensor:
        """The absolute value."""
    def absolute(self) -> Tensor:
        """The absolute value."""
    def acos(self) -> Tensor:
        """The angle in [0, π] whose cosine is x; NaN outside [−1, 1]."""
    def acosh(self) -> Tensor:
        """Inverse of the hyperbolic cosine; NaN where x < 1."""
    def add(self, x2: ArrayLike) -> Tensor:
        """x1 + x2, element by element."""
    @overload
    def all(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Whether all elements over the axes are true (not 0); booleans without a gradient."""
    @overload
    def all(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    def allclose(
        self, b: ArrayLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
    ) -> Tensor:
        """Whether |a − b| ≤ atol + rtol·|b| for all elements."""
    @overload
    def amax(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest element over the axes; NaN if one is. Ties share the gradient evenly."""
    @overload
    def amax(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    @overload
    def amin(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The smallest element over the axes; NaN if one is. Ties share the gradient evenly."""
    @overload
    def amin(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    @overload
    def any(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Whether an element over the axes is true (not 0); booleans without a gradient."""
    @overload
    def any(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    def arccos(self) -> Tensor:
        """The angle in [0, π] whose cosine is x; NaN outside [−1, 1]."""
    def arccosh(self) -> Tensor:
        """Inverse of the hyperbolic cosine; NaN where x < 1."""
    def arcsin(self) -> Tensor:
        """The angle in [−π/2, π/2] whose sine is x; NaN outside [−1, 1]."""
    def arcsinh(self) -> Tensor:
        """Inverse of the hyperbolic sine."""
    def arctan(self) -> Tensor:
        """The angle in (−π/2, π/2) whose tangent is x."""
    def arctan2(self, x2: ArrayLike) -> Tensor:
        """The angle in (−π, π] of the point (x2, x1) in the plane."""
    def arctanh(self) -> Tensor:
        """Inverse of the hyperbolic tangent; NaN outside [−1, 1]."""
    @overload
    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """The index of the largest element along ``axis``, by default in the flat array; no gradient."""
    @overload
    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor: ...
    @overload
    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """The index of the smallest element along ``axis``, by default in the flat array; no gradient."""
    @overload
    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor: ...
    @overload
    def argsort(self, axis: int | None = -1) -> Tensor:
        """The indices that would sort along ``axis``, integers without a gradient."""
    @overload
    def argsort(self, dim: int | None = -1) -> Tensor: ...
    def around(self, decimals: int = 0) -> Tensor:
        """Rounded to so many decimals, ties to even."""
    def array_equal(self, a2: ArrayLike, equal_nan: bool = False) -> Tensor:
        """Whether two arrays have the same shape and the same elements."""
    def asin(self) -> Tensor:
        """The angle in [−π/2, π/2] whose sine is x; NaN outside [−1, 1]."""
    def asinh(self) -> Tensor:
        """Inverse of the hyperbolic sine."""
    def astype(self, dtype: Any) -> Tensor:
        """Convert; a gradient passes between floating dtypes and stops at integers and booleans."""
    def atan(self) -> Tensor:
        """The angle in (−π/2, π/2) whose tangent is x."""
    def atan2(self, x2: ArrayLike) -> Tensor:
        """The angle in (−π, π] of the point (x2, x1) in the plane."""
    def atanh(self) -> Tensor:
        """Inverse of the hyperbolic tangent; NaN outside [−1, 1]."""
    def bitwise_and(self, x2: ArrayLike) -> Tensor:
        """The bits that both integers have; of booleans: and."""
    def bitwise_invert(self) -> Tensor:
        """Every bit of an integer turned; of booleans: not."""
    def bitwise_not(self) -> Tensor:
        """Every bit of an integer turned; of booleans: not."""
    def bitwise_or(self, x2: ArrayLike) -> Tensor:
        """The bits that one of the integers has; of booleans: or."""
    def broadcast_to(self, shape: int | Sequence[int]) -> Tensor:
        """Repeated along new axes, and along those of length 1, until it has this shape."""
    def ceil(self) -> Tensor:
        """The smallest integer ≥ x."""
    def clip(
        self,
        a_min: ArrayLike | None = None,
        a_max: ArrayLike | None = None,
        *,
        min: ArrayLike | None = None,
        max: ArrayLike | None = None,
    ) -> Tensor:
        """Limit to [a_min, a_max]; bounds that are Tensors get the gradient where they hold."""
    def copy(self) -> Tensor:
        """The same elements in memory of their own, recorded."""
    def cos(self) -> Tensor:
        """Cosine of an angle in radians."""
    def cosh(self) -> Tensor:
        """Hyperbolic cosine."""
    @overload
    def cumprod(self, axis: int | None = None) -> Tensor:
        """Products of the first 1, 2, … entries, by doubling: no division, so zeros are no kink."""
    @overload
    def cumprod(self, dim: int | None = None) -> Tensor: ...
    @overload
    def cumsum(self, axis: int | None = None) -> Tensor:
        """The sums of the first 1, 2, … elements along ``axis``; without an axis of the flat array."""
    @overload
    def cumsum(self, dim: int | None = None) -> Tensor: ...
    def diag(self, k: int = 0) -> Tensor:
        """The matrix with the vector ``v`` on its ``k``-th diagonal, or that diagonal of a matrix."""
    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """The diagonal of the matrices in axes 1 and 2, as a new last axis."""
    @overload
    def diff(self, n: int = 1, axis: int = -1) -> Tensor:
        """The ``n``-th difference of neighbours along ``axis``."""
    @overload
    def diff(self, n: int = 1, dim: int = -1) -> Tensor: ...
    def div(self, x2: ArrayLike) -> Tensor:
        """x1/x2, element by element; division by 0 gives ±∞ or NaN, with NumPy's warning."""
    def divide(self, x2: ArrayLike) -> Tensor:
        """x1/x2, element by element; division by 0 gives ±∞ or NaN, with NumPy's warning."""
    def dot(self, b: ArrayLike) -> Tensor:
        """NumPy's ``dot``: sum over the last axis of ``a`` and the second to last of ``b``."""
    def equal(self, x2: ArrayLike) -> Tensor:
        """Whether x1 = x2, element by element."""
    def erf(self) -> Tensor:
        """The error function 2/√π ∫₀ˣ e^(−t²) dt."""
    def exp(self) -> Tensor:
        """e to the power x."""
    def exp2(self) -> Tensor:
        """2 to the power x."""
    @overload
    def expand_dims(self, axis: int | Sequence[int]) -> Tensor:
        """A new axis of length 1 at ``axis``, counted in the result."""
    @overload
    def expand_dims(self, dim: int | Sequence[int]) -> Tensor: ...
    def expm1(self) -> Tensor:
        """eˣ − 1, exact for small x."""
    @overload
    def flip(self, axis: Axis = None) -> Tensor:
        """The elements in reversed order along the axes, by default all."""
    @overload
    def flip(self, dim: Axis = None) -> Tensor: ...
    def floor(self) -> Tensor:
        """The largest integer ≤ x."""
    def floor_divide(self, x2: ArrayLike) -> Tensor:
        """⌊x1/x2⌋."""
    def gelu(self) -> Tensor:
        """x·Φ(x) with the normal distribution Φ, exact (Hendrycks & Gimpel 2016)."""
    def greater(self, x2: ArrayLike) -> Tensor:
        """Whether x1 > x2, element by element."""
    def greater_equal(self, x2: ArrayLike) -> Tensor:
        """Whether x1 ≥ x2, element by element."""
    def inner(self, b: ArrayLike) -> Tensor:
        """Sum over the last axis of both."""
    def invert(self) -> Tensor:
        """Every bit of an integer turned; of booleans: not."""
    def isclose(
        self, b: ArrayLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
    ) -> Tensor:
        """Whether |a − b| ≤ atol + rtol·|b|, element by element."""
    def isfinite(self) -> Tensor:
        """Whether x is neither infinite nor NaN."""
    def isinf(self) -> Tensor:
        """Whether x is +∞ or −∞."""
    def isnan(self) -> Tensor:
        """Whether x is not a number."""
    def leaky_relu(self, negative_slope: float = 0.01) -> Tensor:
        """x where x > 0, else negative_slope·x (Maas et al. 2013)."""
    def less(self, x2: ArrayLike) -> Tensor:
        """Whether x1 < x2, element by element."""
    def less_equal(self, x2: ArrayLike) -> Tensor:
        """Whether x1 ≤ x2, element by element."""
    def log(self) -> Tensor:
        """Natural logarithm: −∞ at 0, NaN where x < 0."""
    def log10(self) -> Tensor:
        """Logarithm to base 10."""
    def log1p(self) -> Tensor:
        """log(1 + x), exact for small x."""
    def log2(self) -> Tensor:
        """Logarithm to base 2."""
    @overload
    def log_softmax(self, axis: int = -1) -> Tensor:
        """log softmax(a) along ``axis``, without overflow and without a logarithm of 0."""
    @overload
    def log_softmax(self, dim: int = -1) -> Tensor: ...
    def logaddexp(self, x2: ArrayLike) -> Tensor:
        """log(exp(x1) + exp(x2)) without overflow."""
    def logical_and(self, x2: ArrayLike) -> Tensor:
        """Whether both are true (not 0)."""
    def logical_not(self) -> Tensor:
        """Whether x is false (0)."""
    def logical_or(self, x2: ArrayLike) -> Tensor:
        """Whether one of them is true (not 0)."""
    @overload
    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """log Σ exp(a) over the axes without overflow, as :func:`scipy.special.logsumexp`."""
    @overload
    def logsumexp(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    def matmul(self, x2: ArrayLike) -> Tensor:
        """Matrix product (…, m, k) @ (…, k, n) → (…, m, n); a vector is a row on the left, else a column."""
    @overload
    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest element over the axes; NaN if one is. Ties share the gradient evenly."""
    @overload
    def max(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    def maximum(self, x2: ArrayLike) -> Tensor:
        """The larger of two elements; NaN if one is NaN. Where they tie each gets half the gradient."""
    @overload
    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean over the axes, by default over all; NaN of nothing."""
    @overload
    def mean(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    @overload
    def median(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The middle value along ``axis``, or the mean of the two, which share the gradient."""
    @overload
    def median(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    @overload
    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The smallest element over the axes; NaN if one is. Ties share the gradient evenly."""
    @overload
    def min(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    def minimum(self, x2: ArrayLike) -> Tensor:
        """The smaller of two elements; NaN if one is NaN. Where they tie each gets half the gradient."""
    def mod(self, x2: ArrayLike) -> Tensor:
        """The remainder of x1/x2, with the sign of x2."""
    def moveaxis(self, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
        """Axes moved to other places; the rest keep their order."""
    def mul(self, x2: ArrayLike) -> Tensor:
        """x1·x2, element by element."""
    def multiply(self, x2: ArrayLike) -> Tensor:
        """x1·x2, element by element."""
    def neg(self) -> Tensor:
        """−x."""
    def negative(self) -> Tensor:
        """−x."""
    def not_equal(self, x2: ArrayLike) -> Tensor:
        """Whether x1 ≠ x2, element by element."""
    def outer(self, b: ArrayLike) -> Tensor:
        """All products of an element of ``a`` (row) and one of ``b`` (column), both flattened."""
    def pad(
        self,
        pad_width: int | Sequence[int] | Sequence[Sequence[int]],
        mode: str = "constant",
        constant_values: float = 0,
    ) -> Tensor:
        """A border of ``constant_values``: so many before and after, for all axes or for each."""
    @overload
    def permute_dims(self, *axes: int | Sequence[int] | None) -> Tensor:
        """The axes in another order, by default reversed; ``t.T`` is the same."""
    @overload
    def permute_dims(self, *, axes: int | Sequence[int] | None) -> Tensor: ...
    def positive(self) -> Tensor:
        """+x: a copy."""
    def pow(self, x2: ArrayLike) -> Tensor:
        """x1 to the power x2, element by element; NaN where x1 < 0 and x2 is no integer."""
    def power(self, x2: ArrayLike) -> Tensor:
        """x1 to the power x2, element by element; NaN where x1 < 0 and x2 is no integer."""
    @overload
    def prod(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The product over the axes, by default over all; zeros are no kink."""
    @overload
    def prod(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    def ravel(self) -> Tensor:
        """All elements in one axis."""
    def reciprocal(self) -> Tensor:
        """1/x."""
    def relu(self) -> Tensor:
        """max(x, 0); the gradient at 0 is 0."""
    def remainder(self, x2: ArrayLike) -> Tensor:
        """The remainder of x1/x2, with the sign of x2."""
    @overload
    def repeat(self, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
        """Each element ``repeats`` times along ``axis`` (of the flattened array when None)."""
    @overload
    def repeat(self, repeats: int | Sequence[int], dim: int | None = None) -> Tensor: ...
    @overload
    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The same elements, row by row, in another shape; one length may be −1, which is what is left."""
    @overload
    def reshape(self, *, shape: int | Sequence[int]) -> Tensor: ...
    def rint(self) -> Tensor:
        """The nearest integer, of two the even one."""
    @overload
    def roll(self, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
        """Moved on by ``shift`` places; what falls off the end comes in at the front."""
    @overload
    def roll(self, shift: int | Sequence[int], dim: Axis = None) -> Tensor: ...
    def round(self, decimals: int = 0) -> Tensor:
        """Rounded to so many decimals, ties to even."""
    def sigmoid(self) -> Tensor:
        """1/(1 + e⁻ˣ), between 0 and 1; no overflow for large |x|."""
    def sign(self) -> Tensor:
        """−1, 0 or 1: the sign of x. Its gradient is 0."""
    def silu(self) -> Tensor:
        """x·sigmoid(x) (Elfwing et al. 2018)."""
    def sin(self) -> Tensor:
        """Sine of an angle in radians."""
    def sinh(self) -> Tensor:
        """Hyperbolic sine."""
    @overload
    def softmax(self, axis: int = -1) -> Tensor:
        """exp(a)/Σ exp(a) along ``axis``: positive, and their sum is 1."""
    @overload
    def softmax(self, dim: int = -1) -> Tensor: ...
    def softplus(self) -> Tensor:
        """log(1 + eˣ), a smooth relu."""
    @overload
    def sort(self, axis: int | None = -1) -> Tensor:
        """Sorted along ``axis`` (flattened when None); the gradient goes back where each came from."""
    @overload
    def sort(self, dim: int | None = -1) -> Tensor: ...
    @overload
    def split(self, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
        """Cut into equal sections, or before the given indices, along ``axis``."""
    @overload
    def split(self, indices_or_sections: int | Sequence[int], dim: int = 0) -> list[Tensor]: ...
    def sqrt(self) -> Tensor:
        """√x, NaN where x < 0; the gradient is infinite at 0."""
    def square(self) -> Tensor:
        """x²."""
    @overload
    def squeeze(self, axis: Axis = None) -> Tensor:
        """Without its axes of length 1, or without these of them."""
    @overload
    def squeeze(self, dim: Axis = None) -> Tensor: ...
    @overload
    def std(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        """The standard deviation over the axes, √var; its gradient is 0 where all elements are equal."""
    @overload
    def std(self, dim: Axis = None, ddof: int = 0, keepdim: bool = False) -> Tensor: ...
    def sub(self, x2: ArrayLike) -> Tensor:
        """x1 − x2, element by element."""
    def subtract(self, x2: ArrayLike) -> Tensor:
        """x1 − x2, element by element."""
    @overload
    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum over the axes, by default over all; ``keepdims`` leaves them with length 1."""
    @overload
    def sum(self, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes exchanged."""
    @overload
    def take(self, indices: Integers, axis: int | None = None) -> Tensor:
        """Elements at integer ``indices`` along ``axis`` (of the flattened array when None)."""
    @overload
    def take(self, indices: Integers, dim: int | None = None) -> Tensor: ...
    @overload
    def take_along_axis(self, indices: Integers, axis: int | None = -1) -> Tensor:
        """Along ``axis`` the elements at ``indices``, an integer array that fits the other axes."""
    @overload
    def take_along_axis(self, indices: Integers, dim: int | None = -1) -> Tensor: ...
    def tan(self) -> Tensor:
        """Tangent of an angle in radians."""
    def tanh(self) -> Tensor:
        """Hyperbolic tangent, between −1 and 1."""
    def tensordot(self, b: ArrayLike, axes: int | Sequence[Any] = 2) -> Tensor:
        """Sum over the given axes of both: an integer (last of a, first of b) or two lists."""
    def tile(self, reps: int | Sequence[int]) -> Tensor:
        """Copies of the whole array side by side, ``reps`` along each axis."""
    def to(self, backend: str) -> Tensor:
        """The same elements on another backend, "numpy" or "cupy", recorded; there already: unchanged."""
    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """The sum of the diagonal."""
    @overload
    def transpose(self, *axes: int | Sequence[int] | None) -> Tensor:
        """The axes in another order, by default reversed; ``t.T`` is the same."""
    @overload
    def transpose(self, *, axes: int | Sequence[int] | None) -> Tensor: ...
    def tril(self, k: int = 0) -> Tensor:
        """The lower triangles of matrices (…, m, n): 0 above the k-th diagonal."""
    def triu(self, k: int = 0) -> Tensor:
        """The upper triangles of matrices (…, m, n): 0 below the k-th diagonal."""
    def true_divide(self, x2: ArrayLike) -> Tensor:
        """x1/x2, element by element; division by 0 gives ±∞ or NaN, with NumPy's warning."""
    def trunc(self) -> Tensor:
        """The integer part, towards 0."""
    @overload
    def var(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        """The variance over the axes: Σ(a − mean)²/(n − ddof)."""
    @overload
    def var(self, dim: Axis = None, ddof: int = 0, keepdim: bool = False) -> Tensor: ...

def tensor(
    data: Any, dtype: Any = None, requires_grad: bool = False, backend: str | None = None
) -> Tensor:
    """Make a tensor from numbers, nested lists, an array, or another library's array or table."""
