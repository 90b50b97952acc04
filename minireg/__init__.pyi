"""Written by tools/make_stubs.py from the code: change that, then run the tool."""
# mypy: disable-error-code="overload-overlap, override"
# pyright: reportOverlappingOverload=false, reportIncompatibleMethodOverride=false

from collections.abc import Sequence
from typing import Any, overload

from numpy.typing import ArrayLike

from . import datasets as datasets
from . import nn as nn
from . import ops as ops
from . import optim as optim
from . import penalties as penalties
from .analysis import constrained as constrained
from .analysis import curvature as curvature
from .analysis import implicit as implicit
from .analysis.calibration import calibration_error as calibration_error
from .analysis.lipschitz import attack_radius as attack_radius
from .analysis.lipschitz import certified_radius as certified_radius
from .analysis.lipschitz import lipschitz_bound as lipschitz_bound
from .analysis.lipschitz import lipschitz_lower as lipschitz_lower
from .analysis.lipschitz import path_norm as path_norm
from .analysis.lipschitz import pgd_attack as pgd_attack
from .analysis.lipschitz import rescale as rescale
from .analysis.solver import path as path
from .analysis.solver import solve as solve
from .backend import Array, Axis, Integers
from .backend import get_backend as get_backend
from .backend import set_backend as set_backend
from .backend import use_backend as use_backend
from .check.gradients import gradcheck as gradcheck
from .check.gradients import gradgradcheck as gradgradcheck
from .check.ops import check_op as check_op
from .check.penalties import check_penalty as check_penalty
from .checkpoint import load as load
from .checkpoint import save as save
from .engine import grad as grad
from .engine import jacobian as jacobian
from .inspect import Run as Run
from .inspect import draw as draw
from .inspect import report as report
from .inspect.history import History as History
from .inspect.ledger import Ledger as Ledger
from .mode import detect_anomaly as detect_anomaly
from .mode import enable_grad as enable_grad
from .mode import is_grad_enabled as is_grad_enabled
from .mode import no_grad as no_grad
from .objective import Objective as Objective
from .objective import Term as Term
from .ops import linalg as linalg
from .ops import op as op
from .random import manual_seed as manual_seed
from .sweep import Halving as Halving
from .sweep import Sweep as Sweep
from .sweep import sweep as sweep
from .tensor import Tensor as Tensor
from .tensor import tensor as tensor
from .training import evaluate as evaluate
from .training import fit as fit
from .training import trajectory as trajectory

__version__: str
__all__ = [
    "Halving",
    "History",
    "Ledger",
    "Objective",
    "Run",
    "Sweep",
    "Tensor",
    "Term",
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argsort",
    "around",
    "array_equal",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "attack_radius",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_not",
    "bitwise_or",
    "broadcast_to",
    "calibration_error",
    "ceil",
    "certified_radius",
    "check_op",
    "check_penalty",
    "clip",
    "concat",
    "concatenate",
    "constrained",
    "cos",
    "cosh",
    "cumprod",
    "cumsum",
    "curvature",
    "datasets",
    "detect_anomaly",
    "diag",
    "diagonal",
    "diff",
    "div",
    "divide",
    "dot",
    "draw",
    "einsum",
    "enable_grad",
    "equal",
    "erf",
    "evaluate",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "fit",
    "flip",
    "floor",
    "floor_divide",
    "gelu",
    "get_backend",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "greater",
    "greater_equal",
    "hstack",
    "implicit",
    "inner",
    "invert",
    "is_grad_enabled",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "jacobian",
    "leaky_relu",
    "less",
    "less_equal",
    "linalg",
    "lipschitz_bound",
    "lipschitz_lower",
    "load",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "manual_seed",
    "matmul",
    "max",
    "maximum",
    "mean",
    "median",
    "min",
    "minimum",
    "mod",
    "moveaxis",
    "mul",
    "multiply",
    "neg",
    "negative",
    "nn",
    "no_grad",
    "not_equal",
    "op",
    "ops",
    "optim",
    "outer",
    "pad",
    "path",
    "path_norm",
    "penalties",
    "permute_dims",
    "pgd_attack",
    "positive",
    "pow",
    "power",
    "prod",
    "ravel",
    "reciprocal",
    "relu",
    "remainder",
    "repeat",
    "report",
    "rescale",
    "reshape",
    "rint",
    "roll",
    "round",
    "save",
    "set_backend",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "solve",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "subtract",
    "sum",
    "swapaxes",
    "sweep",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensor",
    "tensordot",
    "tile",
    "trace",
    "trajectory",
    "transpose",
    "tril",
    "triu",
    "true_divide",
    "trunc",
    "use_backend",
    "var",
    "vstack",
    "where",
]

@overload
def abs(x: Tensor) -> Tensor:
    """The absolute value."""

@overload
def abs(x: ArrayLike) -> Array: ...
@overload
def add(x1: Tensor, x2: ArrayLike) -> Tensor:
    """x1 + x2, element by element."""

@overload
def add(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def add(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def all(a: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements over the axes are true (not 0); booleans without a gradient."""

@overload
def all(a: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
@overload
def all(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any: ...
@overload
def allclose(
    a: Tensor, b: ArrayLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Whether |a − b| ≤ atol + rtol·|b| for all elements."""

@overload
def allclose(
    a: ArrayLike, b: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor: ...
@overload
def allclose(
    a: ArrayLike, b: ArrayLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool: ...
@overload
def any(a: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element over the axes is true (not 0); booleans without a gradient."""

@overload
def any(a: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
@overload
def any(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any: ...
@overload
def arccos(x: Tensor) -> Tensor:
    """The angle in [0, π] whose cosine is x; NaN outside [−1, 1]."""

@overload
def arccos(x: ArrayLike) -> Array: ...
@overload
def arccosh(x: Tensor) -> Tensor:
    """Inverse of the hyperbolic cosine; NaN where x < 1."""

@overload
def arccosh(x: ArrayLike) -> Array: ...
@overload
def arcsin(x: Tensor) -> Tensor:
    """The angle in [−π/2, π/2] whose sine is x; NaN outside [−1, 1]."""

@overload
def arcsin(x: ArrayLike) -> Array: ...
@overload
def arcsinh(x: Tensor) -> Tensor:
    """Inverse of the hyperbolic sine."""

@overload
def arcsinh(x: ArrayLike) -> Array: ...
@overload
def arctan(x: Tensor) -> Tensor:
    """The angle in (−π/2, π/2) whose tangent is x."""

@overload
def arctan(x: ArrayLike) -> Array: ...
@overload
def arctan2(x1: Tensor, x2: ArrayLike) -> Tensor:
    """The angle in (−π, π] of the point (x2, x1) in the plane."""

@overload
def arctan2(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def arctan2(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def arctanh(x: Tensor) -> Tensor:
    """Inverse of the hyperbolic tangent; NaN outside [−1, 1]."""

@overload
def arctanh(x: ArrayLike) -> Array: ...
@overload
def argmax(a: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the largest element along ``axis``, by default in the flat array; no gradient."""

@overload
def argmax(a: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor: ...
@overload
def argmax(a: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Any: ...
@overload
def argmin(a: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the smallest element along ``axis``, by default in the flat array; no gradient."""

@overload
def argmin(a: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor: ...
@overload
def argmin(a: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Any: ...
@overload
def argsort(a: Tensor, axis: int | None = -1) -> Tensor:
    """The indices that would sort along ``axis``, integers without a gradient."""

@overload
def argsort(a: Tensor, dim: int | None = -1) -> Tensor: ...
@overload
def argsort(a: ArrayLike, axis: int | None = -1) -> Array: ...
@overload
def array_equal(a1: Tensor, a2: ArrayLike, equal_nan: bool = False) -> Tensor:
    """Whether two arrays have the same shape and the same elements."""

@overload
def array_equal(a1: ArrayLike, a2: Tensor, equal_nan: bool = False) -> Tensor: ...
@overload
def array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool = False) -> bool: ...
@overload
def bitwise_and(x1: Tensor, x2: ArrayLike) -> Tensor:
    """The bits that both integers have; of booleans: and."""

@overload
def bitwise_and(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def bitwise_and(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def bitwise_or(x1: Tensor, x2: ArrayLike) -> Tensor:
    """The bits that one of the integers has; of booleans: or."""

@overload
def bitwise_or(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def bitwise_or(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def broadcast_to(a: Tensor, shape: int | Sequence[int]) -> Tensor:
    """Repeated along new axes, and along those of length 1, until it has this shape."""

@overload
def broadcast_to(a: ArrayLike, shape: int | Sequence[int]) -> Array: ...
@overload
def ceil(x: Tensor) -> Tensor:
    """The smallest integer ≥ x."""

@overload
def ceil(x: ArrayLike) -> Array: ...
@overload
def clip(
    a: Tensor,
    a_min: ArrayLike | None = None,
    a_max: ArrayLike | None = None,
    *,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
) -> Tensor:
    """Limit to [a_min, a_max]; bounds that are Tensors get the gradient where they hold."""

@overload
def clip(
    a: ArrayLike,
    a_min: Tensor | None = None,
    a_max: ArrayLike | None = None,
    *,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
) -> Tensor: ...
@overload
def clip(
    a: ArrayLike,
    a_min: ArrayLike | None = None,
    a_max: Tensor | None = None,
    *,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
) -> Tensor: ...
@overload
def clip(
    a: ArrayLike,
    a_min: ArrayLike | None = None,
    a_max: ArrayLike | None = None,
    *,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
) -> Array: ...
@overload
def concatenate(arrays: Sequence[Tensor], axis: int | None = 0) -> Tensor:
    """Join arrays along an existing axis (None: flattened); the gradient of each is its piece."""

@overload
def concatenate(arrays: Sequence[Tensor], dim: int | None = 0) -> Tensor: ...
@overload
def concatenate(arrays: Sequence[ArrayLike], axis: int | None = 0) -> Any: ...
@overload
def cos(x: Tensor) -> Tensor:
    """Cosine of an angle in radians."""

@overload
def cos(x: ArrayLike) -> Array: ...
@overload
def cosh(x: Tensor) -> Tensor:
    """Hyperbolic cosine."""

@overload
def cosh(x: ArrayLike) -> Array: ...
@overload
def cumprod(a: Tensor, axis: int | None = None) -> Tensor:
    """Products of the first 1, 2, … entries, by doubling: no division, so zeros are no kink."""

@overload
def cumprod(a: Tensor, dim: int | None = None) -> Tensor: ...
@overload
def cumprod(a: ArrayLike, axis: int | None = None) -> Array: ...
@overload
def cumsum(a: Tensor, axis: int | None = None) -> Tensor:
    """The sums of the first 1, 2, … elements along ``axis``; without an axis of the flat array."""

@overload
def cumsum(a: Tensor, dim: int | None = None) -> Tensor: ...
@overload
def cumsum(a: ArrayLike, axis: int | None = None) -> Array: ...
@overload
def diag(v: Tensor, k: int = 0) -> Tensor:
    """The matrix with the vector ``v`` on its ``k``-th diagonal, or that diagonal of a matrix."""

@overload
def diag(v: ArrayLike, k: int = 0) -> Array: ...
@overload
def diagonal(a: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of the matrices in axes 1 and 2, as a new last axis."""

@overload
def diagonal(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array: ...
@overload
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    """The ``n``-th difference of neighbours along ``axis``."""

@overload
def diff(a: Tensor, n: int = 1, dim: int = -1) -> Tensor: ...
@overload
def diff(a: ArrayLike, n: int = 1, axis: int = -1) -> Array: ...
@overload
def div(x1: Tensor, x2: ArrayLike) -> Tensor:
    """x1/x2, element by element; division by 0 gives ±∞ or NaN, with NumPy's warning."""

@overload
def div(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def div(x1: ArrayLike, x2: ArrayLike) -> Array: ...

divide = div

@overload
def dot(a: Tensor, b: ArrayLike) -> Tensor:
    """NumPy's ``dot``: sum over the last axis of ``a`` and the second to last of ``b``."""

@overload
def dot(a: ArrayLike, b: Tensor) -> Tensor: ...
@overload
def dot(a: ArrayLike, b: ArrayLike) -> Array: ...
@overload
def einsum(subscripts: str, *operands: Tensor, optimize: bool | str | None = None) -> Tensor:
    """Einstein summation with repeated, lone and ``...`` subscripts."""

@overload
def einsum(subscripts: str, *operands: ArrayLike, optimize: bool | str | None = None) -> Any: ...
@overload
def equal(x1: Tensor, x2: ArrayLike) -> Tensor:
    """Whether x1 = x2, element by element."""

@overload
def equal(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def equal(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def erf(x: Tensor) -> Tensor:
    """The error function 2/√π ∫₀ˣ e^(−t²) dt."""

@overload
def erf(x: ArrayLike) -> Array: ...
@overload
def exp(x: Tensor) -> Tensor:
    """e to the power x."""

@overload
def exp(x: ArrayLike) -> Array: ...
@overload
def exp2(x: Tensor) -> Tensor:
    """2 to the power x."""

@overload
def exp2(x: ArrayLike) -> Array: ...
@overload
def expand_dims(a: Tensor, axis: int | Sequence[int]) -> Tensor:
    """A new axis of length 1 at ``axis``, counted in the result."""

@overload
def expand_dims(a: Tensor, dim: int | Sequence[int]) -> Tensor: ...
@overload
def expand_dims(a: ArrayLike, axis: int | Sequence[int]) -> Array: ...
@overload
def expm1(x: Tensor) -> Tensor:
    """eˣ − 1, exact for small x."""

@overload
def expm1(x: ArrayLike) -> Array: ...
@overload
def flip(m: Tensor, axis: Axis = None) -> Tensor:
    """The elements in reversed order along the axes, by default all."""

@overload
def flip(m: Tensor, dim: Axis = None) -> Tensor: ...
@overload
def flip(m: ArrayLike, axis: Axis = None) -> Array: ...
@overload
def floor(x: Tensor) -> Tensor:
    """The largest integer ≤ x."""

@overload
def floor(x: ArrayLike) -> Array: ...
@overload
def floor_divide(x1: Tensor, x2: ArrayLike) -> Tensor:
    """⌊x1/x2⌋."""

@overload
def floor_divide(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def floor_divide(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def gelu(x: Tensor) -> Tensor:
    """x·Φ(x) with the normal distribution Φ, exact (Hendrycks & Gimpel 2016)."""

@overload
def gelu(x: ArrayLike) -> Array: ...
@overload
def greater(x1: Tensor, x2: ArrayLike) -> Tensor:
    """Whether x1 > x2, element by element."""

@overload
def greater(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def greater(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def greater_equal(x1: Tensor, x2: ArrayLike) -> Tensor:
    """Whether x1 ≥ x2, element by element."""

@overload
def greater_equal(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def greater_equal(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def hstack(tup: Sequence[Tensor]) -> Tensor:
    """Join column by column; vectors end to end."""

@overload
def hstack(tup: Sequence[ArrayLike]) -> Any: ...
@overload
def inner(a: Tensor, b: ArrayLike) -> Tensor:
    """Sum over the last axis of both."""

@overload
def inner(a: ArrayLike, b: Tensor) -> Tensor: ...
@overload
def inner(a: ArrayLike, b: ArrayLike) -> Array: ...
@overload
def invert(x: Tensor) -> Tensor:
    """Every bit of an integer turned; of booleans: not."""

@overload
def invert(x: ArrayLike) -> Array: ...
@overload
def isclose(
    a: Tensor, b: ArrayLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Whether |a − b| ≤ atol + rtol·|b|, element by element."""

@overload
def isclose(
    a: ArrayLike, b: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor: ...
@overload
def isclose(
    a: ArrayLike, b: ArrayLike, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Array: ...
@overload
def isfinite(x: Tensor) -> Tensor:
    """Whether x is neither infinite nor NaN."""

@overload
def isfinite(x: ArrayLike) -> Array: ...
@overload
def isinf(x: Tensor) -> Tensor:
    """Whether x is +∞ or −∞."""

@overload
def isinf(x: ArrayLike) -> Array: ...
@overload
def isnan(x: Tensor) -> Tensor:
    """Whether x is not a number."""

@overload
def isnan(x: ArrayLike) -> Array: ...
@overload
def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope·x (Maas et al. 2013)."""

@overload
def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Array: ...
@overload
def less(x1: Tensor, x2: ArrayLike) -> Tensor:
    """Whether x1 < x2, element by element."""

@overload
def less(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def less(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def less_equal(x1: Tensor, x2: ArrayLike) -> Tensor:
    """Whether x1 ≤ x2, element by element."""

@overload
def less_equal(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def less_equal(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def log(x: Tensor) -> Tensor:
    """Natural logarithm: −∞ at 0, NaN where x < 0."""

@overload
def log(x: ArrayLike) -> Array: ...
@overload
def log10(x: Tensor) -> Tensor:
    """Logarithm to base 10."""

@overload
def log10(x: ArrayLike) -> Array: ...
@overload
def log1p(x: Tensor) -> Tensor:
    """log(1 + x), exact for small x."""

@overload
def log1p(x: ArrayLike) -> Array: ...
@overload
def log2(x: Tensor) -> Tensor:
    """Logarithm to base 2."""

@overload
def log2(x: ArrayLike) -> Array: ...
@overload
def log_softmax(a: Tensor, axis: int = -1) -> Tensor:
    """log softmax(a) along ``axis``, without overflow and without a logarithm of 0."""

@overload
def log_softmax(a: Tensor, dim: int = -1) -> Tensor: ...
@overload
def log_softmax(a: ArrayLike, axis: int = -1) -> Array: ...
@overload
def logaddexp(x1: Tensor, x2: ArrayLike) -> Tensor:
    """log(exp(x1) + exp(x2)) without overflow."""

@overload
def logaddexp(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def logaddexp(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def logical_and(x1: Tensor, x2: ArrayLike) -> Tensor:
    """Whether both are true (not 0)."""

@overload
def logical_and(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def logical_and(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def logical_not(x: Tensor) -> Tensor:
    """Whether x is false (0)."""

@overload
def logical_not(x: ArrayLike) -> Array: ...
@overload
def logical_or(x1: Tensor, x2: ArrayLike) -> Tensor:
    """Whether one of them is true (not 0)."""

@overload
def logical_or(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def logical_or(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def logsumexp(a: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(a) over the axes without overflow, as :func:`scipy.special.logsumexp`."""

@overload
def logsumexp(a: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
@overload
def logsumexp(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any: ...
@overload
def matmul(x1: Tensor, x2: ArrayLike) -> Tensor:
    """Matrix product (…, m, k) @ (…, k, n) → (…, m, n); a vector is a row on the left, else a column."""

@overload
def matmul(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def matmul(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def max(a: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element over the axes; NaN if one is. Ties share the gradient evenly."""

@overload
def max(a: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
@overload
def max(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any: ...
@overload
def maximum(x1: Tensor, x2: ArrayLike) -> Tensor:
    """The larger of two elements; NaN if one is NaN. Where they tie each gets half the gradient."""

@overload
def maximum(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def maximum(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def mean(a: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over the axes, by default over all; NaN of nothing."""

@overload
def mean(a: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
@overload
def mean(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any: ...
@overload
def median(a: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle value along ``axis``, or the mean of the two, which share the gradient."""

@overload
def median(a: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
@overload
def median(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Array: ...
@overload
def min(a: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element over the axes; NaN if one is. Ties share the gradient evenly."""

@overload
def min(a: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
@overload
def min(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any: ...
@overload
def minimum(x1: Tensor, x2: ArrayLike) -> Tensor:
    """The smaller of two elements; NaN if one is NaN. Where they tie each gets half the gradient."""

@overload
def minimum(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def minimum(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def mod(x1: Tensor, x2: ArrayLike) -> Tensor:
    """The remainder of x1/x2, with the sign of x2."""

@overload
def mod(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def mod(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def moveaxis(a: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Axes moved to other places; the rest keep their order."""

@overload
def moveaxis(
    a: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int]
) -> Array: ...
@overload
def mul(x1: Tensor, x2: ArrayLike) -> Tensor:
    """x1·x2, element by element."""

@overload
def mul(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def mul(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def neg(x: Tensor) -> Tensor:
    """−x."""

@overload
def neg(x: ArrayLike) -> Array: ...
@overload
def not_equal(x1: Tensor, x2: ArrayLike) -> Tensor:
    """Whether x1 ≠ x2, element by element."""

@overload
def not_equal(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def not_equal(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def outer(a: Tensor, b: ArrayLike) -> Tensor:
    """All products of an element of ``a`` (row) and one of ``b`` (column), both flattened."""

@overload
def outer(a: ArrayLike, b: Tensor) -> Tensor: ...
@overload
def outer(a: ArrayLike, b: ArrayLike) -> Array: ...
@overload
def pad(
    array: Tensor,
    pad_width: int | Sequence[int] | Sequence[Sequence[int]],
    mode: str = "constant",
    constant_values: float = 0,
) -> Tensor:
    """A border of ``constant_values``: so many before and after, for all axes or for each."""

@overload
def pad(
    array: ArrayLike,
    pad_width: int | Sequence[int] | Sequence[Sequence[int]],
    mode: str = "constant",
    constant_values: float = 0,
) -> Array: ...
@overload
def positive(x: Tensor) -> Tensor:
    """+x: a copy."""

@overload
def positive(x: ArrayLike) -> Array: ...
@overload
def power(x1: Tensor, x2: ArrayLike) -> Tensor:
    """x1 to the power x2, element by element; NaN where x1 < 0 and x2 is no integer."""

@overload
def power(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def power(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def prod(a: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product over the axes, by default over all; zeros are no kink."""

@overload
def prod(a: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
@overload
def prod(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any: ...
@overload
def ravel(a: Tensor) -> Tensor:
    """All elements in one axis."""

@overload
def ravel(a: ArrayLike) -> Array: ...
@overload
def reciprocal(x: Tensor) -> Tensor:
    """1/x."""

@overload
def reciprocal(x: ArrayLike) -> Array: ...
@overload
def relu(x: Tensor) -> Tensor:
    """max(x, 0); the gradient at 0 is 0."""

@overload
def relu(x: ArrayLike) -> Array: ...
@overload
def repeat(a: Tensor, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each element ``repeats`` times along ``axis`` (of the flattened array when None)."""

@overload
def repeat(a: Tensor, repeats: int | Sequence[int], dim: int | None = None) -> Tensor: ...
@overload
def repeat(a: ArrayLike, repeats: int | Sequence[int], axis: int | None = None) -> Array: ...
@overload
def reshape(a: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """The same elements, row by row, in another shape; one length may be −1, which is what is left."""

@overload
def reshape(a: Tensor, *, shape: int | Sequence[int]) -> Tensor: ...
@overload
def reshape(a: ArrayLike, *shape: int | Sequence[int]) -> Array: ...
@overload
def rint(x: Tensor) -> Tensor:
    """The nearest integer, of two the even one."""

@overload
def rint(x: ArrayLike) -> Array: ...
@overload
def roll(a: Tensor, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Moved on by ``shift`` places; what falls off the end comes in at the front."""

@overload
def roll(a: Tensor, shift: int | Sequence[int], dim: Axis = None) -> Tensor: ...
@overload
def roll(a: ArrayLike, shift: int | Sequence[int], axis: Axis = None) -> Array: ...
@overload
def round(a: Tensor, decimals: int = 0) -> Tensor:
    """Rounded to so many decimals, ties to even."""

@overload
def round(a: ArrayLike, decimals: int = 0) -> Array: ...
@overload
def sigmoid(x: Tensor) -> Tensor:
    """1/(1 + e⁻ˣ), between 0 and 1; no overflow for large |x|."""

@overload
def sigmoid(x: ArrayLike) -> Array: ...
@overload
def sign(x: Tensor) -> Tensor:
    """−1, 0 or 1: the sign of x. Its gradient is 0."""

@overload
def sign(x: ArrayLike) -> Array: ...
@overload
def silu(x: Tensor) -> Tensor:
    """x·sigmoid(x) (Elfwing et al. 2018)."""

@overload
def silu(x: ArrayLike) -> Array: ...
@overload
def sin(x: Tensor) -> Tensor:
    """Sine of an angle in radians."""

@overload
def sin(x: ArrayLike) -> Array: ...
@overload
def sinh(x: Tensor) -> Tensor:
    """Hyperbolic sine."""

@overload
def sinh(x: ArrayLike) -> Array: ...
@overload
def softmax(a: Tensor, axis: int = -1) -> Tensor:
    """exp(a)/Σ exp(a) along ``axis``: positive, and their sum is 1."""

@overload
def softmax(a: Tensor, dim: int = -1) -> Tensor: ...
@overload
def softmax(a: ArrayLike, axis: int = -1) -> Array: ...
@overload
def softplus(x: Tensor) -> Tensor:
    """log(1 + eˣ), a smooth relu."""

@overload
def softplus(x: ArrayLike) -> Array: ...
@overload
def sort(a: Tensor, axis: int | None = -1) -> Tensor:
    """Sorted along ``axis`` (flattened when None); the gradient goes back where each came from."""

@overload
def sort(a: Tensor, dim: int | None = -1) -> Tensor: ...
@overload
def sort(a: ArrayLike, axis: int | None = -1) -> Array: ...
@overload
def split(ary: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Cut into equal sections, or before the given indices, along ``axis``."""

@overload
def split(ary: Tensor, indices_or_sections: int | Sequence[int], dim: int = 0) -> list[Tensor]: ...
@overload
def split(
    ary: ArrayLike, indices_or_sections: int | Sequence[int], axis: int = 0
) -> list[Array]: ...
@overload
def sqrt(x: Tensor) -> Tensor:
    """√x, NaN where x < 0; the gradient is infinite at 0."""

@overload
def sqrt(x: ArrayLike) -> Array: ...
@overload
def square(x: Tensor) -> Tensor:
    """x²."""

@overload
def square(x: ArrayLike) -> Array: ...
@overload
def squeeze(a: Tensor, axis: Axis = None) -> Tensor:
    """Without its axes of length 1, or without these of them."""

@overload
def squeeze(a: Tensor, dim: Axis = None) -> Tensor: ...
@overload
def squeeze(a: ArrayLike, axis: Axis = None) -> Array: ...
@overload
def stack(arrays: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Join equal-shaped arrays along a new axis."""

@overload
def stack(arrays: Sequence[Tensor], dim: int = 0) -> Tensor: ...
@overload
def stack(arrays: Sequence[ArrayLike], axis: int = 0) -> Any: ...
@overload
def std(a: Tensor, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """The standard deviation over the axes, √var; its gradient is 0 where all elements are equal."""

@overload
def std(a: Tensor, dim: Axis = None, ddof: int = 0, keepdim: bool = False) -> Tensor: ...
@overload
def std(a: ArrayLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any: ...
@overload
def sub(x1: Tensor, x2: ArrayLike) -> Tensor:
    """x1 − x2, element by element."""

@overload
def sub(x1: ArrayLike, x2: Tensor) -> Tensor: ...
@overload
def sub(x1: ArrayLike, x2: ArrayLike) -> Array: ...
@overload
def sum(a: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over the axes, by default over all; ``keepdims`` leaves them with length 1."""

@overload
def sum(a: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor: ...
@overload
def sum(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Any: ...
@overload
def swapaxes(a: Tensor, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""

@overload
def swapaxes(a: ArrayLike, axis1: int, axis2: int) -> Array: ...
@overload
def take(a: Tensor, indices: Integers, axis: int | None = None) -> Tensor:
    """Elements at integer ``indices`` along ``axis`` (of the flattened array when None)."""

@overload
def take(a: Tensor, indices: Integers, dim: int | None = None) -> Tensor: ...
@overload
def take(a: ArrayLike, indices: Integers, axis: int | None = None) -> Array: ...
@overload
def take_along_axis(arr: Tensor, indices: Integers, axis: int | None = -1) -> Tensor:
    """Along ``axis`` the elements at ``indices``, an integer array that fits the other axes."""

@overload
def take_along_axis(arr: Tensor, indices: Integers, dim: int | None = -1) -> Tensor: ...
@overload
def take_along_axis(arr: ArrayLike, indices: Integers, axis: int | None = -1) -> Array: ...
@overload
def tan(x: Tensor) -> Tensor:
    """Tangent of an angle in radians."""

@overload
def tan(x: ArrayLike) -> Array: ...
@overload
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, between −1 and 1."""

@overload
def tanh(x: ArrayLike) -> Array: ...
@overload
def tensordot(a: Tensor, b: ArrayLike, axes: int | Sequence[Any] = 2) -> Tensor:
    """Sum over the given axes of both: an integer (last of a, first of b) or two lists."""

@overload
def tensordot(a: ArrayLike, b: Tensor, axes: int | Sequence[Any] = 2) -> Tensor: ...
@overload
def tensordot(a: ArrayLike, b: ArrayLike, axes: int | Sequence[Any] = 2) -> Array: ...
@overload
def tile(A: Tensor, reps: int | Sequence[int]) -> Tensor:
    """Copies of the whole array side by side, ``reps`` along each axis."""

@overload
def tile(A: ArrayLike, reps: int | Sequence[int]) -> Array: ...
@overload
def trace(a: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonal."""

@overload
def trace(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array: ...
@overload
def transpose(a: Tensor, *axes: int | Sequence[int] | None) -> Tensor:
    """The axes in another order, by default reversed; ``t.T`` is the same."""

@overload
def transpose(a: Tensor, *, axes: int | Sequence[int] | None) -> Tensor: ...
@overload
def transpose(a: ArrayLike, *axes: int | Sequence[int] | None) -> Array: ...
@overload
def tril(m: Tensor, k: int = 0) -> Tensor:
    """The lower triangles of matrices (…, m, n): 0 above the k-th diagonal."""

@overload
def tril(m: ArrayLike, k: int = 0) -> Array: ...
@overload
def triu(m: Tensor, k: int = 0) -> Tensor:
    """The upper triangles of matrices (…, m, n): 0 below the k-th diagonal."""

@overload
def triu(m: ArrayLike, k: int = 0) -> Array: ...
@overload
def trunc(x: Tensor) -> Tensor:
    """The integer part, towards 0."""

@overload
def trunc(x: ArrayLike) -> Array: ...
@overload
def var(a: Tensor, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """The variance over the axes: Σ(a − mean)²/(n − ddof)."""

@overload
def var(a: Tensor, dim: Axis = None, ddof: int = 0, keepdim: bool = False) -> Tensor: ...
@overload
def var(a: ArrayLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any: ...
@overload
def vstack(tup: Sequence[Tensor]) -> Tensor:
    """Join row by row; a vector is one row."""

@overload
def vstack(tup: Sequence[ArrayLike]) -> Any: ...
@overload
def where(condition: Tensor, x: ArrayLike, y: ArrayLike) -> Tensor:
    """x where the condition holds, else y; the three broadcast against one another."""

@overload
def where(condition: ArrayLike, x: Tensor, y: ArrayLike) -> Tensor: ...
@overload
def where(condition: ArrayLike, x: ArrayLike, y: Tensor) -> Tensor: ...
@overload
def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Array: ...

absolute = abs
acos = arccos
acosh = arccosh
amax = max
amin = min
around = round
asin = arcsin
asinh = arcsinh
atan = arctan
atan2 = arctan2
atanh = arctanh
bitwise_invert = invert
bitwise_not = invert
concat = concatenate
multiply = mul
negative = neg
permute_dims = transpose
pow = power
remainder = mod
subtract = sub
true_divide = div
