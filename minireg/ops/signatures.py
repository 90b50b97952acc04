"""How each op is called: its arguments, its shapes, its errors, and an example.

The table of derivatives says what an op computes and how its gradient runs back; here stands what
``help(mr.exp)`` shows, under NumPy's names for the arguments. An op takes arrays, numbers, lists
and Tensors; the result is a Tensor if one of them is, else an array. The tool that writes the stubs
reads the types here.
"""

# mypy: disable-error-code="empty-body"
# pyright: reportReturnType=false
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..backend import Axis
    from ..tensor import Tensor

Pair = tuple[int, int]


# --- arithmetic -------------------------------------------------------------------------------------


def add(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 + x2, element by element.

    The shapes broadcast, as in :func:`numpy.add`. Raises ``ValueError`` where they do not fit.

    >>> import minireg as mr
    >>> mr.add(mr.tensor([1.0, 2.0]), mr.tensor([10.0, 20.0]))
    Tensor([11., 22.], dtype=float32)
    """


def sub(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 − x2, element by element.

    The shapes broadcast, as in :func:`numpy.subtract`. Raises ``ValueError`` where they do not
    fit.

    >>> import minireg as mr
    >>> mr.sub(mr.tensor([1.0, 2.0]), mr.tensor([10.0, 20.0]))
    Tensor([ -9., -18.], dtype=float32)
    """


def mul(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1·x2, element by element.

    The shapes broadcast, as in :func:`numpy.multiply`. Raises ``ValueError`` where they do not
    fit.

    >>> import minireg as mr
    >>> mr.mul(mr.tensor([1.0, 2.0]), mr.tensor([10.0, 20.0]))
    Tensor([10., 40.], dtype=float32)
    """


def div(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1/x2, element by element; division by 0 gives ±∞ or NaN, with NumPy's warning.

    The shapes broadcast, as in :func:`numpy.true_divide`. Raises ``ValueError`` where they do
    not fit.

    >>> import minireg as mr
    >>> mr.div(mr.tensor([1.0, 2.0]), mr.tensor([4.0, 4.0]))
    Tensor([0.25, 0.5 ], dtype=float32)
    """


def positive(x: ArrayLike) -> Tensor:
    """+x: a copy.

    Element by element, in the shape of x, as :func:`numpy.positive`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.positive(mr.tensor([1.0, -2.0]))
    Tensor([ 1., -2.], dtype=float32)
    """


def neg(x: ArrayLike) -> Tensor:
    """−x.

    Element by element, in the shape of x, as :func:`numpy.negative`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.neg(mr.tensor([1.0, -2.0]))
    Tensor([-1.,  2.], dtype=float32)
    """


def power(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 to the power x2, element by element; NaN where x1 < 0 and x2 is no integer.

    The shapes broadcast, as in :func:`numpy.power`. Raises ``ValueError`` where they do not
    fit.

    >>> import minireg as mr
    >>> mr.power(mr.tensor([1.0, 2.0, 3.0]), 2)
    Tensor([1., 4., 9.], dtype=float32)
    """


def square(x: ArrayLike) -> Tensor:
    """x².

    Element by element, in the shape of x, as :func:`numpy.square`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.square(mr.tensor([1.0, -2.0]))
    Tensor([1., 4.], dtype=float32)
    """


def sqrt(x: ArrayLike) -> Tensor:
    """√x, NaN where x < 0; the gradient is infinite at 0.

    Element by element, in the shape of x, as :func:`numpy.sqrt`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.sqrt(mr.tensor([4.0, 9.0]))
    Tensor([2., 3.], dtype=float32)
    """


def mod(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The remainder of x1/x2, with the sign of x2.

    The shapes broadcast, as in :func:`numpy.remainder`. Raises ``ValueError`` where they do not
    fit.

    >>> import minireg as mr
    >>> mr.mod(mr.tensor([5.0, -5.0]), mr.tensor([3.0, 3.0]))
    Tensor([2., 1.], dtype=float32)
    """


def reciprocal(x: ArrayLike) -> Tensor:
    """1/x.

    Element by element, in the shape of x, as :func:`numpy.reciprocal`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.reciprocal(mr.tensor([2.0, 4.0]))
    Tensor([0.5 , 0.25], dtype=float32)
    """


# --- exponentials, logarithms, trigonometry ---------------------------------------------------------


def exp(x: ArrayLike) -> Tensor:
    """e to the power x.

    Element by element, in the shape of x, as :func:`numpy.exp`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.exp(mr.tensor([0.0, 1.0]))
    Tensor([1.      , 2.718282], dtype=float32)
    """


def expm1(x: ArrayLike) -> Tensor:
    """eˣ − 1, exact for small x.

    Element by element, in the shape of x, as :func:`numpy.expm1`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.expm1(mr.tensor([0.0, 1e-3]))
    Tensor([0.       , 0.0010005], dtype=float32)
    """


def exp2(x: ArrayLike) -> Tensor:
    """2 to the power x.

    Element by element, in the shape of x, as :func:`numpy.exp2`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.exp2(mr.tensor([0.0, 3.0]))
    Tensor([1., 8.], dtype=float32)
    """


def log(x: ArrayLike) -> Tensor:
    """Natural logarithm: −∞ at 0, NaN where x < 0.

    Element by element, in the shape of x, as :func:`numpy.log`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.log(mr.tensor([1.0, 2.0]))
    Tensor([0.       , 0.6931472], dtype=float32)
    """


def log1p(x: ArrayLike) -> Tensor:
    """log(1 + x), exact for small x.

    Element by element, in the shape of x, as :func:`numpy.log1p`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.log1p(mr.tensor([0.0, 1e-3]))
    Tensor([0.       , 0.0009995], dtype=float32)
    """


def log2(x: ArrayLike) -> Tensor:
    """Logarithm to base 2.

    Element by element, in the shape of x, as :func:`numpy.log2`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.log2(mr.tensor([1.0, 8.0]))
    Tensor([0., 3.], dtype=float32)
    """


def log10(x: ArrayLike) -> Tensor:
    """Logarithm to base 10.

    Element by element, in the shape of x, as :func:`numpy.log10`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.log10(mr.tensor([1.0, 100.0])).numpy().round(4)
    array([0., 2.], dtype=float32)
    """


def sin(x: ArrayLike) -> Tensor:
    """Sine of an angle in radians.

    Element by element, in the shape of x, as :func:`numpy.sin`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.sin(mr.tensor([0.0, 1.0]))
    Tensor([0.      , 0.841471], dtype=float32)
    """


def cos(x: ArrayLike) -> Tensor:
    """Cosine of an angle in radians.

    Element by element, in the shape of x, as :func:`numpy.cos`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.cos(mr.tensor([0.0, 1.0]))
    Tensor([1.       , 0.5403023], dtype=float32)
    """


def tan(x: ArrayLike) -> Tensor:
    """Tangent of an angle in radians.

    Element by element, in the shape of x, as :func:`numpy.tan`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.tan(mr.tensor([0.0, 1.0]))
    Tensor([0.       , 1.5574077], dtype=float32)
    """


def sinh(x: ArrayLike) -> Tensor:
    """Hyperbolic sine.

    Element by element, in the shape of x, as :func:`numpy.sinh`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.sinh(mr.tensor([0.0, 1.0]))
    Tensor([0.       , 1.1752012], dtype=float32)
    """


def cosh(x: ArrayLike) -> Tensor:
    """Hyperbolic cosine.

    Element by element, in the shape of x, as :func:`numpy.cosh`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.cosh(mr.tensor([0.0, 1.0])).numpy().round(4)
    array([1.    , 1.5431], dtype=float32)
    """


def tanh(x: ArrayLike) -> Tensor:
    """Hyperbolic tangent, between −1 and 1.

    Element by element, in the shape of x, as :func:`numpy.tanh`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.tanh(mr.tensor([0.0, 1.0]))
    Tensor([0.       , 0.7615942], dtype=float32)
    """


def arcsin(x: ArrayLike) -> Tensor:
    """The angle in [−π/2, π/2] whose sine is x; NaN outside [−1, 1].

    Element by element, in the shape of x, as :func:`numpy.arcsin`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.arcsin(mr.tensor([0.0, 0.5]))
    Tensor([0.       , 0.5235988], dtype=float32)
    """


def arccos(x: ArrayLike) -> Tensor:
    """The angle in [0, π] whose cosine is x; NaN outside [−1, 1].

    Element by element, in the shape of x, as :func:`numpy.arccos`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.arccos(mr.tensor([1.0, 0.5]))
    Tensor([0.       , 1.0471976], dtype=float32)
    """


def arctan(x: ArrayLike) -> Tensor:
    """The angle in (−π/2, π/2) whose tangent is x.

    Element by element, in the shape of x, as :func:`numpy.arctan`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.arctan(mr.tensor([0.0, 1.0]))
    Tensor([0.       , 0.7853982], dtype=float32)
    """


def arcsinh(x: ArrayLike) -> Tensor:
    """Inverse of the hyperbolic sine.

    Element by element, in the shape of x, as :func:`numpy.arcsinh`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.arcsinh(mr.tensor([0.0, 1.0]))
    Tensor([0.       , 0.8813736], dtype=float32)
    """


def arccosh(x: ArrayLike) -> Tensor:
    """Inverse of the hyperbolic cosine; NaN where x < 1.

    Element by element, in the shape of x, as :func:`numpy.arccosh`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.arccosh(mr.tensor([1.0, 2.0]))
    Tensor([0.      , 1.316958], dtype=float32)
    """


def arctanh(x: ArrayLike) -> Tensor:
    """Inverse of the hyperbolic tangent; NaN outside [−1, 1].

    Element by element, in the shape of x, as :func:`numpy.arctanh`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.arctanh(mr.tensor([0.0, 0.5]))
    Tensor([0.        , 0.54930615], dtype=float32)
    """


def arctan2(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The angle in (−π, π] of the point (x2, x1) in the plane.

    The shapes broadcast, as in :func:`numpy.arctan2`. Raises ``ValueError`` where they do not
    fit.

    >>> import minireg as mr
    >>> mr.arctan2(mr.tensor([1.0, -1.0]), mr.tensor([-1.0, 1.0])).numpy().round(4)
    array([ 2.3562, -0.7854], dtype=float32)
    """


# --- kinked: |x|, sign, maximum, minimum, where -----------------------------------------------------


def abs(x: ArrayLike) -> Tensor:
    """The absolute value.

    Element by element, in the shape of x, as :func:`numpy.abs`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.abs(mr.tensor([1.0, -2.0]))
    Tensor([1., 2.], dtype=float32)
    """


def sign(x: ArrayLike) -> Tensor:
    """−1, 0 or 1: the sign of x. Its gradient is 0.

    Element by element, in the shape of x, as :func:`numpy.sign`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.sign(mr.tensor([3.0, 0.0, -2.0]))
    Tensor([ 1.,  0., -1.], dtype=float32)
    """


def maximum(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The larger of two elements; NaN if one is NaN. Where they tie each gets half the gradient.

    The shapes broadcast, as in :func:`numpy.maximum`. Raises ``ValueError`` where they do not
    fit.

    >>> import minireg as mr
    >>> mr.maximum(mr.tensor([1.0, 5.0]), mr.tensor([3.0, 2.0]))
    Tensor([3., 5.], dtype=float32)
    """


def minimum(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The smaller of two elements; NaN if one is NaN. Where they tie each gets half the gradient.

    The shapes broadcast, as in :func:`numpy.minimum`. Raises ``ValueError`` where they do not
    fit.

    >>> import minireg as mr
    >>> mr.minimum(mr.tensor([1.0, 5.0]), mr.tensor([3.0, 2.0]))
    Tensor([1., 2.], dtype=float32)
    """


def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Tensor:
    """x where the condition holds, else y; the three broadcast against one another.

    As :func:`numpy.where` of three arguments. Raises ``ValueError`` where the shapes do not
    fit.

    >>> import minireg as mr
    >>> mr.where(mr.tensor([True, False]), mr.tensor([1.0, 2.0]), mr.tensor([-1.0, -2.0]))
    Tensor([ 1., -2.], dtype=float32)
    """


# --- the error function and activations -------------------------------------------------------------


def erf(x: ArrayLike) -> Tensor:
    """The error function 2/√π ∫₀ˣ e^(−t²) dt.

    Element by element, in the shape of x, as :func:`scipy.special.erf`. Raises ``TypeError`` for
    complex numbers.

    >>> import minireg as mr
    >>> mr.erf(mr.tensor([0.0, 1.0]))
    Tensor([0.       , 0.8427008], dtype=float32)
    """


def relu(x: ArrayLike) -> Tensor:
    """max(x, 0); the gradient at 0 is 0.

    Element by element, in the shape of x, as PyTorch's relu. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.relu(mr.tensor([-1.0, 2.0]))
    Tensor([0., 2.], dtype=float32)
    """


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope·x (Maas et al. 2013).

    Element by element, in the shape of x. Raises ``TypeError`` or ``ValueError`` for what is no
    array of numbers.

    >>> import minireg as mr
    >>> mr.leaky_relu(mr.tensor([-1.0, 2.0]), 0.1)
    Tensor([-0.1,  2. ], dtype=float32)
    """


def sigmoid(x: ArrayLike) -> Tensor:
    """1/(1 + e⁻ˣ), between 0 and 1; no overflow for large |x|.

    Element by element, in the shape of x, as PyTorch's sigmoid. Raises ``TypeError`` for complex
    numbers.

    >>> import minireg as mr
    >>> mr.sigmoid(mr.tensor([0.0, 2.0]))
    Tensor([0.5     , 0.880797], dtype=float32)
    """


def logaddexp(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """log(exp(x1) + exp(x2)) without overflow.

    The shapes broadcast, as in :func:`numpy.logaddexp`. Raises ``ValueError`` where they do not
    fit.

    >>> import minireg as mr
    >>> mr.logaddexp(mr.tensor([0.0, 1000.0]), mr.tensor([0.0, 1000.0]))
    Tensor([6.9314718e-01, 1.0006932e+03], dtype=float32)
    """


def softplus(x: ArrayLike) -> Tensor:
    """log(1 + eˣ), a smooth relu.

    Element by element, in the shape of x, as PyTorch's softplus. Raises ``TypeError`` for complex
    numbers.

    >>> import minireg as mr
    >>> mr.softplus(mr.tensor([0.0, 2.0]))
    Tensor([0.6931472, 2.126928 ], dtype=float32)
    """


def gelu(x: ArrayLike) -> Tensor:
    """x·Φ(x) with the normal distribution Φ, exact (Hendrycks & Gimpel 2016).

    Element by element, in the shape of x. Raises ``TypeError`` for complex numbers.

    >>> import minireg as mr
    >>> mr.gelu(mr.tensor([-1.0, 2.0]))
    Tensor([-0.15865524,  1.9544997 ], dtype=float32)
    """


def silu(x: ArrayLike) -> Tensor:
    """x·sigmoid(x) (Elfwing et al. 2018).

    Element by element, in the shape of x. Raises ``TypeError`` for complex numbers.

    >>> import minireg as mr
    >>> mr.silu(mr.tensor([-1.0, 2.0]))
    Tensor([-0.2689414,  1.761594 ], dtype=float32)
    """


# --- steps: the gradient is 0 -----------------------------------------------------------------------


def rint(x: ArrayLike) -> Tensor:
    """The nearest integer, of two the even one.

    Element by element, in the shape of x, as :func:`numpy.rint`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.rint(mr.tensor([0.5, 1.7]))
    Tensor([0., 2.], dtype=float32)
    """


def floor(x: ArrayLike) -> Tensor:
    """The largest integer ≤ x.

    Element by element, in the shape of x, as :func:`numpy.floor`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.floor(mr.tensor([-0.5, 1.7]))
    Tensor([-1.,  1.], dtype=float32)
    """


def ceil(x: ArrayLike) -> Tensor:
    """The smallest integer ≥ x.

    Element by element, in the shape of x, as :func:`numpy.ceil`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.ceil(mr.tensor([-0.5, 1.7]))
    Tensor([-0.,  2.], dtype=float32)
    """


def trunc(x: ArrayLike) -> Tensor:
    """The integer part, towards 0.

    Element by element, in the shape of x, as :func:`numpy.trunc`. Raises ``TypeError`` or
    ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.trunc(mr.tensor([-0.5, 1.7]))
    Tensor([-0.,  1.], dtype=float32)
    """


def round(a: ArrayLike, decimals: int = 0) -> Tensor:
    """Rounded to so many decimals, ties to even.

    In the shape of a, as :func:`numpy.round`; the gradient is 0. Raises ``TypeError`` where
    decimals is no integer.

    >>> import minireg as mr
    >>> mr.round(mr.tensor([0.126, 1.5]), 2)
    Tensor([0.13, 1.5 ], dtype=float32)
    """


def floor_divide(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """⌊x1/x2⌋.

    The shapes broadcast, as in :func:`numpy.floor_divide`. Raises ``ValueError`` where they do
    not fit.

    >>> import minireg as mr
    >>> mr.floor_divide(mr.tensor([7.0, -7.0]), mr.tensor([2.0, 2.0]))
    Tensor([ 3., -4.], dtype=float32)
    """


# --- comparisons: booleans, no gradient -------------------------------------------------------------


def equal(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Whether x1 = x2, element by element.

    Booleans without a gradient, as :func:`numpy.equal`. Raises ``ValueError`` where the shapes
    do not broadcast.

    >>> import minireg as mr
    >>> mr.equal(mr.tensor([1.0, 2.0]), mr.tensor([1.0, 3.0]))
    Tensor([ True, False], dtype=bool)
    """


def not_equal(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Whether x1 ≠ x2, element by element.

    Booleans without a gradient, as :func:`numpy.not_equal`. Raises ``ValueError`` where the
    shapes do not broadcast.

    >>> import minireg as mr
    >>> mr.not_equal(mr.tensor([1.0, 2.0]), mr.tensor([1.0, 3.0]))
    Tensor([False,  True], dtype=bool)
    """


def less(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Whether x1 < x2, element by element.

    Booleans without a gradient, as :func:`numpy.less`. Raises ``ValueError`` where the shapes
    do not broadcast.

    >>> import minireg as mr
    >>> mr.less(mr.tensor([1.0, 2.0]), mr.tensor([1.0, 3.0]))
    Tensor([False,  True], dtype=bool)
    """


def less_equal(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Whether x1 ≤ x2, element by element.

    Booleans without a gradient, as :func:`numpy.less_equal`. Raises ``ValueError`` where the
    shapes do not broadcast.

    >>> import minireg as mr
    >>> mr.less_equal(mr.tensor([1.0, 2.0]), mr.tensor([1.0, 3.0]))
    Tensor([ True,  True], dtype=bool)
    """


def greater(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Whether x1 > x2, element by element.

    Booleans without a gradient, as :func:`numpy.greater`. Raises ``ValueError`` where the
    shapes do not broadcast.

    >>> import minireg as mr
    >>> mr.greater(mr.tensor([1.0, 2.0]), mr.tensor([1.0, 1.0]))
    Tensor([False,  True], dtype=bool)
    """


def greater_equal(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Whether x1 ≥ x2, element by element.

    Booleans without a gradient, as :func:`numpy.greater_equal`. Raises ``ValueError`` where the
    shapes do not broadcast.

    >>> import minireg as mr
    >>> mr.greater_equal(mr.tensor([1.0, 2.0]), mr.tensor([1.0, 3.0]))
    Tensor([ True, False], dtype=bool)
    """


def logical_and(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Whether both are true (not 0).

    Booleans without a gradient, as :func:`numpy.logical_and`. Raises ``ValueError`` where the
    shapes do not broadcast.

    >>> import minireg as mr
    >>> mr.logical_and(mr.tensor([True, True]), mr.tensor([True, False]))
    Tensor([ True, False], dtype=bool)
    """


def logical_or(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Whether one of them is true (not 0).

    Booleans without a gradient, as :func:`numpy.logical_or`. Raises ``ValueError`` where the
    shapes do not broadcast.

    >>> import minireg as mr
    >>> mr.logical_or(mr.tensor([True, False]), mr.tensor([False, False]))
    Tensor([ True, False], dtype=bool)
    """


def logical_not(x: ArrayLike) -> Tensor:
    """Whether x is false (0).

    Element by element, booleans without a gradient, as :func:`numpy.logical_not`. Raises
    ``TypeError`` or ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.logical_not(mr.tensor([True, False]))
    Tensor([False,  True], dtype=bool)
    """


def bitwise_and(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The bits that both integers have; of booleans: and.

    No gradient; the shapes broadcast, as in :func:`numpy.bitwise_and`. Raises ``TypeError`` for
    floats.

    >>> import minireg as mr
    >>> mr.bitwise_and(mr.tensor([6, 3]), mr.tensor([3, 1]))
    Tensor([2, 1], dtype=int64)
    """


def bitwise_or(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The bits that one of the integers has; of booleans: or.

    No gradient; the shapes broadcast, as in :func:`numpy.bitwise_or`. Raises ``TypeError`` for
    floats.

    >>> import minireg as mr
    >>> mr.bitwise_or(mr.tensor([6, 3]), mr.tensor([3, 8]))
    Tensor([ 7, 11], dtype=int64)
    """


def invert(x: ArrayLike) -> Tensor:
    """Every bit of an integer turned; of booleans: not.

    Element by element, no gradient, as :func:`numpy.invert`. Raises ``TypeError`` for floats.

    >>> import minireg as mr
    >>> mr.invert(mr.tensor([True, False]))
    Tensor([False,  True], dtype=bool)
    """


def isfinite(x: ArrayLike) -> Tensor:
    """Whether x is neither infinite nor NaN.

    Element by element, booleans without a gradient, as :func:`numpy.isfinite`. Raises
    ``TypeError`` or ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.isfinite(mr.tensor([1.0, float("inf")]))
    Tensor([ True, False], dtype=bool)
    """


def isinf(x: ArrayLike) -> Tensor:
    """Whether x is +∞ or −∞.

    Element by element, booleans without a gradient, as :func:`numpy.isinf`. Raises
    ``TypeError`` or ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.isinf(mr.tensor([1.0, float("inf")]))
    Tensor([False,  True], dtype=bool)
    """


def isnan(x: ArrayLike) -> Tensor:
    """Whether x is not a number.

    Element by element, booleans without a gradient, as :func:`numpy.isnan`. Raises
    ``TypeError`` or ``ValueError`` for what is no array of numbers.

    >>> import minireg as mr
    >>> mr.isnan(mr.tensor([1.0, float("nan")]))
    Tensor([False,  True], dtype=bool)
    """


def isclose(
    a: ArrayLike, b: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |a − b| ≤ atol + rtol·|b|, element by element.

    Booleans without a gradient, as :func:`numpy.isclose`; NaN equals NaN with ``equal_nan``.
    Raises ``ValueError`` where the shapes do not broadcast.

    >>> import minireg as mr
    >>> mr.isclose(mr.tensor([1.0, 2.0]), mr.tensor([1.000001, 2.1]))
    Tensor([ True, False], dtype=bool)
    """


def allclose(
    a: ArrayLike, b: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor | bool:
    """Whether |a − b| ≤ atol + rtol·|b| for all elements.

    One boolean, as :func:`numpy.allclose`; NaN equals NaN with ``equal_nan``. Raises
    ``ValueError`` where the shapes do not broadcast.

    >>> import minireg as mr
    >>> mr.allclose(mr.tensor([1.0, 2.0]), mr.tensor([1.000001, 2.1]))
    Tensor(False, dtype=bool)
    """


def array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool = False) -> Tensor | bool:
    """Whether two arrays have the same shape and the same elements.

    One boolean, as :func:`numpy.array_equal`; NaN equals NaN with ``equal_nan``. Other shapes
    are no error: they are not equal.

    >>> import minireg as mr
    >>> mr.array_equal(mr.tensor([1.0, 2.0]), mr.tensor([1.0, 2.0]))
    Tensor(True, dtype=bool)
    """


# --- shapes -----------------------------------------------------------------------------------------


def reshape(a: ArrayLike, *shape: int | Sequence[int]) -> Tensor:
    """The same elements, row by row, in another shape; one length may be −1, which is what is left.

    As :func:`numpy.reshape`, or ``t.reshape(2, 3)``. Raises ``ValueError`` where the number of
    elements differs.

    >>> import minireg as mr
    >>> mr.reshape(mr.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1))
    Tensor([[1., 2.],
            [3., 4.]], dtype=float32)
    """


def transpose(a: ArrayLike, *axes: int | Sequence[int] | None) -> Tensor:
    """The axes in another order, by default reversed; ``t.T`` is the same.

    As :func:`numpy.transpose`, or ``t.transpose(1, 0)``. Raises ``ValueError`` for axes that
    are no permutation.

    >>> import minireg as mr
    >>> mr.transpose(mr.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[1., 3.],
            [2., 4.]], dtype=float32)
    """


def swapaxes(a: ArrayLike, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged.

    As :func:`numpy.swapaxes`. Raises ``ValueError`` for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.swapaxes(mr.tensor([[[1.0, 2.0]]]), 0, 2).shape
    (2, 1, 1)
    """


def moveaxis(a: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Axes moved to other places; the rest keep their order.

    As :func:`numpy.moveaxis`. Raises ``ValueError`` for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.moveaxis(mr.tensor([[[1.0, 2.0]]]), -1, 0).shape
    (2, 1, 1)
    """


def expand_dims(a: ArrayLike, axis: int | Sequence[int]) -> Tensor:
    """A new axis of length 1 at ``axis``, counted in the result.

    As :func:`numpy.expand_dims`. Raises ``ValueError`` for an axis out of range.

    >>> import minireg as mr
    >>> mr.expand_dims(mr.tensor([1.0, 2.0]), 0)
    Tensor([[1., 2.]], dtype=float32)
    """


def squeeze(a: ArrayLike, axis: Axis = None) -> Tensor:
    """Without its axes of length 1, or without these of them.

    As :func:`numpy.squeeze`. Raises ``ValueError`` for an axis of another length.

    >>> import minireg as mr
    >>> mr.squeeze(mr.tensor([[1.0, 2.0]]))
    Tensor([1., 2.], dtype=float32)
    """


def broadcast_to(a: ArrayLike, shape: int | Sequence[int]) -> Tensor:
    """Repeated along new axes, and along those of length 1, until it has this shape.

    As :func:`numpy.broadcast_to`; the gradient is summed over the copies. Raises ``ValueError``
    where a does not broadcast to the shape.

    >>> import minireg as mr
    >>> mr.broadcast_to(mr.tensor([1.0, 2.0]), (2, 2))
    Tensor([[1., 2.],
            [1., 2.]], dtype=float32)
    """


def flip(m: ArrayLike, axis: Axis = None) -> Tensor:
    """The elements in reversed order along the axes, by default all.

    As :func:`numpy.flip`. Raises ``ValueError`` for an axis that m does not have.

    >>> import minireg as mr
    >>> mr.flip(mr.tensor([1.0, 2.0, 3.0]))
    Tensor([3., 2., 1.], dtype=float32)
    """


def roll(a: ArrayLike, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Moved on by ``shift`` places; what falls off the end comes in at the front.

    As :func:`numpy.roll`; without an axis over all elements in a row. Raises ``ValueError`` for
    an axis that a does not have.

    >>> import minireg as mr
    >>> mr.roll(mr.tensor([1.0, 2.0, 3.0]), 1)
    Tensor([3., 1., 2.], dtype=float32)
    """


def tril(m: ArrayLike, k: int = 0) -> Tensor:
    """The lower triangles of matrices (…, m, n): 0 above the k-th diagonal.

    As :func:`numpy.tril`; a vector is a row. Raises ``TypeError`` for a number.

    >>> import minireg as mr
    >>> mr.tril(mr.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[1., 0.],
            [3., 4.]], dtype=float32)
    """


def triu(m: ArrayLike, k: int = 0) -> Tensor:
    """The upper triangles of matrices (…, m, n): 0 below the k-th diagonal.

    As :func:`numpy.triu`; a vector is a row. Raises ``TypeError`` for a number.

    >>> import minireg as mr
    >>> mr.triu(mr.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[1., 2.],
            [0., 4.]], dtype=float32)
    """


def tile(A: ArrayLike, reps: int | Sequence[int]) -> Tensor:
    """Copies of the whole array side by side, ``reps`` along each axis.

    As :func:`numpy.tile`; the gradient is summed over the copies. Raises ``ValueError`` for a
    negative number.

    >>> import minireg as mr
    >>> mr.tile(mr.tensor([1.0, 2.0]), 2)
    Tensor([1., 2., 1., 2.], dtype=float32)
    """


def pad(
    array: ArrayLike,
    pad_width: int | Sequence[int] | Sequence[Sequence[int]],
    mode: str = "constant",
    constant_values: float = 0,
) -> Tensor:
    """A border of ``constant_values``: so many before and after, for all axes or for each.

    As :func:`numpy.pad` with ``mode="constant"``. Raises ``ValueError`` for other modes and for
    negative widths.

    >>> import minireg as mr
    >>> mr.pad(mr.tensor([1.0, 2.0]), (1, 2))
    Tensor([0., 1., 2., 0., 0.], dtype=float32)
    """


def argsort(a: ArrayLike, axis: int | None = -1) -> Tensor:
    """The indices that would sort along ``axis``, integers without a gradient.

    As :func:`numpy.argsort`; ``None`` flattens. Raises ``ValueError`` for an axis that a does
    not have.

    >>> import minireg as mr
    >>> mr.argsort(mr.tensor([3.0, 1.0, 2.0]))
    Tensor([1, 2, 0], dtype=int64)
    """


def matmul(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Matrix product (…, m, k) @ (…, k, n) → (…, m, n); a vector is a row on the left, else a column.

    As :func:`numpy.matmul`, or ``a @ b``. Raises ``ValueError`` where the shapes do not fit.

    >>> import minireg as mr
    >>> mr.matmul(mr.tensor([[1.0, 2.0]]), mr.tensor([[3.0], [4.0]]))
    Tensor([[11.]], dtype=float32)
    """


# --- reductions -------------------------------------------------------------------------------------


def sum(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor | Any:
    """The sum over the axes, by default over all; ``keepdims`` leaves them with length 1.

    As :func:`numpy.sum`. Raises ``ValueError`` for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.sum(mr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4., 6.], dtype=float32)
    """


def mean(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor | Any:
    """The mean over the axes, by default over all; NaN of nothing.

    As :func:`numpy.mean`; ``keepdims`` leaves the axes with length 1. Raises ``ValueError`` for
    an axis that a does not have.

    >>> import minireg as mr
    >>> mr.mean(mr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([2., 3.], dtype=float32)
    """


def var(a: ArrayLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor | Any:
    """The variance over the axes: Σ(a − mean)²/(n − ddof).

    As :func:`numpy.var`: biased with ``ddof=0`` (PyTorch's default is 1). Raises ``ValueError``
    for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.var(mr.tensor([1.0, 3.0])), mr.var(mr.tensor([1.0, 3.0]), ddof=1)
    (Tensor(1., dtype=float32), Tensor(2., dtype=float32))
    """


def std(a: ArrayLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor | Any:
    """The standard deviation over the axes, √var; its gradient is 0 where all elements are equal.

    As :func:`numpy.std`: biased with ``ddof=0`` (PyTorch's default is 1). Raises ``ValueError``
    for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.std(mr.tensor([1.0, 3.0]))
    Tensor(1., dtype=float32)
    """


def max(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor | Any:
    """The largest element over the axes; NaN if one is. Ties share the gradient evenly.

    As :func:`numpy.max`. Raises ``ValueError`` of nothing, and for an axis that a does not
    have.

    >>> import minireg as mr
    >>> mr.max(mr.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([2., 4.], dtype=float32)
    """


def min(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor | Any:
    """The smallest element over the axes; NaN if one is. Ties share the gradient evenly.

    As :func:`numpy.min`. Raises ``ValueError`` of nothing, and for an axis that a does not
    have.

    >>> import minireg as mr
    >>> mr.min(mr.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([1., 3.], dtype=float32)
    """


def argmax(a: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Tensor | Any:
    """The index of the largest element along ``axis``, by default in the flat array; no gradient.

    As :func:`numpy.argmax`. Raises ``ValueError`` of nothing, and for an axis that a does not
    have.

    >>> import minireg as mr
    >>> mr.argmax(mr.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([1, 0], dtype=int64)
    """


def argmin(a: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Tensor | Any:
    """The index of the smallest element along ``axis``, by default in the flat array; no gradient.

    As :func:`numpy.argmin`. Raises ``ValueError`` of nothing, and for an axis that a does not
    have.

    >>> import minireg as mr
    >>> mr.argmin(mr.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    Tensor([0, 1], dtype=int64)
    """


def any(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor | Any:
    """Whether an element over the axes is true (not 0); booleans without a gradient.

    As :func:`numpy.any`. Raises ``ValueError`` for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.any(mr.tensor([[True, False], [False, False]]), axis=1)
    Tensor([ True, False], dtype=bool)
    """


def all(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor | Any:
    """Whether all elements over the axes are true (not 0); booleans without a gradient.

    As :func:`numpy.all`. Raises ``ValueError`` for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.all(mr.tensor([[True, False], [True, True]]), axis=1)
    Tensor([False,  True], dtype=bool)
    """


def prod(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor | Any:
    """The product over the axes, by default over all; zeros are no kink.

    As :func:`numpy.prod`. Raises ``ValueError`` for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.prod(mr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([ 2., 12.], dtype=float32)
    """


def cumsum(a: ArrayLike, axis: int | None = None) -> Tensor:
    """The sums of the first 1, 2, … elements along ``axis``; without an axis of the flat array.

    As :func:`numpy.cumsum`. Raises ``ValueError`` for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.cumsum(mr.tensor([1.0, 2.0, 3.0]))
    Tensor([1., 3., 6.], dtype=float32)
    """


def logsumexp(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor | Any:
    """log Σ exp(a) over the axes without overflow, as :func:`scipy.special.logsumexp`.

    Raises ``ValueError`` for an axis that a does not have.

    >>> import minireg as mr
    >>> mr.logsumexp(mr.tensor([1000.0, 1000.0]))
    Tensor(1000.6932, dtype=float32)
    """


def softmax(a: ArrayLike, axis: int = -1) -> Tensor:
    """exp(a)/Σ exp(a) along ``axis``: positive, and their sum is 1.

    In the shape of a, as :func:`scipy.special.softmax`. Raises ``ValueError`` for an axis that a
    does not have.

    >>> import minireg as mr
    >>> mr.softmax(mr.tensor([0.0, 1.0]))
    Tensor([0.2689414, 0.7310586], dtype=float32)
    """


def log_softmax(a: ArrayLike, axis: int = -1) -> Tensor:
    """log softmax(a) along ``axis``, without overflow and without a logarithm of 0.

    In the shape of a, as :func:`scipy.special.log_softmax`. Raises ``ValueError`` for an axis
    that a does not have.

    >>> import minireg as mr
    >>> mr.log_softmax(mr.tensor([0.0, 1.0]))
    Tensor([-1.3132616 , -0.31326166], dtype=float32)
    """


# --- linear algebra ---------------------------------------------------------------------------------


def inv(a: ArrayLike) -> Tensor:
    """The inverses of square matrices (…, n, n).

    As :func:`numpy.linalg.inv`. Raises ``numpy.linalg.LinAlgError`` for a matrix that is
    singular or not square.

    >>> import minireg as mr
    >>> mr.linalg.inv(mr.tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]], dtype=float32)
    """


def det(a: ArrayLike) -> Tensor | Any:
    """The determinants (…) of square matrices (…, n, n); the gradient exists where one is 0, too.

    As :func:`numpy.linalg.det`. Raises ``numpy.linalg.LinAlgError`` for a matrix that is not
    square.

    >>> import minireg as mr
    >>> mr.linalg.det(mr.tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor(8., dtype=float32)
    """


def pinv(a: ArrayLike) -> Tensor:
    """The Moore–Penrose inverses (…, n, m) of matrices (…, m, n).

    As :func:`numpy.linalg.pinv`; the gradient is that of constant rank (Golub & Pereyra 1973).
    Raises ``numpy.linalg.LinAlgError`` where a has fewer than two axes.

    >>> import minireg as mr
    >>> mr.linalg.pinv(mr.tensor([[2.0], [0.0]]))
    Tensor([[0.5, 0. ]], dtype=float32)
    """


def svdvals(a: ArrayLike) -> Tensor:
    """The singular values (…, min(m, n)) of matrices (…, m, n), from the largest on.

    As :func:`numpy.linalg.svdvals`. Raises ``numpy.linalg.LinAlgError`` where a has fewer than
    two axes or the iteration does not converge (NaN).

    >>> import minireg as mr
    >>> mr.linalg.svdvals(mr.tensor([[3.0, 0.0], [0.0, -4.0]]))
    Tensor([4., 3.], dtype=float32)
    """


# --- inside layers and losses ------------------------------------------------------------------


def linear(x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> Tensor:
    """x Wᵀ + b for x (…, n), w (m, n), b (m,): one op; :func:`~minireg.nn.functional.linear` checks.

    Raises ``ValueError`` where the shapes do not fit.

    >>> import minireg as mr
    >>> mr.ops.fused.linear(mr.tensor([[1.0, 2.0]]), mr.tensor([[3.0, 4.0]]))
    Tensor([[11.]], dtype=float32)
    """


def normalize(
    x: ArrayLike, weight: ArrayLike | None = None, bias: ArrayLike | None = None, *,
    axes: tuple[int, ...], eps: float, center: bool = True, running: Any = None,
) -> Tensor:  # fmt: skip
    """x less its mean over ``axes`` (unless ``center`` is false), over √(variance + eps), then affine.

    BatchNorm, LayerNorm and RMSNorm are this op (claims C12, C14, C15); ``running`` follows the
    mean and variance. Raises ``ValueError`` where the shapes do not broadcast.

    >>> import minireg as mr
    >>> mr.ops.fused.normalize(mr.tensor([[1.0, 3.0]]), axes=(-1,), eps=0.0)
    Tensor([[-1.,  1.]], dtype=float32)
    """


def cross_entropy(logits: ArrayLike, target: ArrayLike) -> Tensor:
    """−Σ q·log softmax(z) over the last axis: logits z and target distributions q (…, C) → (…).

    PyTorch's, without a reduction. Raises ``ValueError`` where the shapes do not fit.

    >>> import minireg as mr
    >>> mr.ops.fused.cross_entropy(mr.tensor([[0.0, 0.0]]), mr.tensor([[0.5, 0.5]]))
    Tensor([0.6931472], dtype=float32)
    """


def per(x: ArrayLike, count: ArrayLike) -> Tensor | Any:
    """The sum of all losses over a number or weight of them; where that is 0 no gradient is infinite.

    What PyTorch's losses divide by with reduction="mean". Raises ``ValueError`` where count is no
    number.

    >>> import minireg as mr
    >>> mr.ops.fused.per(mr.tensor([1.0, 5.0]), 2)
    Tensor(3., dtype=float32)
    """


def unfold(x: ArrayLike, size: Pair, stride: Pair, dilation: Pair) -> Tensor:
    """The windows of an image (C, H, W, …) as (C, height, width, rows, columns, …).

    As PyTorch's ``unfold``, axes kept apart. Raises ``ValueError`` where no window fits.

    >>> import minireg as mr
    >>> mr.ops.convolution.unfold(mr.tensor([[[1.0, 2.0, 3.0]]]), (1, 2), (1, 1), (1, 1)).shape
    (1, 1, 2, 1, 2)
    """


def fold(x: ArrayLike, shape: Pair, stride: Pair, dilation: Pair) -> Tensor:
    """The sum of the windows of :func:`unfold` where they lay in an image of this (H, W).

    As PyTorch's ``fold``. Raises ``ValueError`` where the windows are not those of such an image.

    >>> import minireg as mr
    >>> windows = mr.tensor([[[[[1.0, 2.0]], [[2.0, 3.0]]]]]).reshape(1, 1, 2, 1, 2)
    >>> mr.ops.convolution.fold(windows, (1, 3), (1, 1), (1, 1))
    Tensor([[[1., 4., 3.]]], dtype=float32)
    """


# --- methods only -----------------------------------------------------------------------------------


def copy(a: ArrayLike) -> Tensor:
    """The same elements in memory of their own, recorded.

    As :func:`numpy.copy`.

    >>> import minireg as mr
    >>> mr.tensor([1.0, 2.0]).copy()
    Tensor([1., 2.], dtype=float32)
    """


def to(a: ArrayLike, backend: str) -> Tensor:
    """The same elements on another backend, "numpy" or "cupy", recorded; there already: unchanged.

    Raises ``ValueError`` for a backend that is not known or not there.

    >>> import minireg as mr
    >>> mr.tensor([1.0, 2.0]).to("numpy")
    Tensor([1., 2.], dtype=float32)
    """
