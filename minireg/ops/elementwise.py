r"""Arithmetic and elementwise ops.

Every rule gives :math:`\bar x`, the gradient of an input, from ``g`` = :math:`\bar y`,
the gradient of the result. Kinks follow one convention: 0 for relu, abs and sign at 0, and an
even split between ties; every other choice stands in the op's ``kink``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import has_kernel
from . import error_function
from .error_function import erfc
from .samples import Mask, Shape, binary, booleans, shaped, unary
from .table import NUMPY, ArrayLike, answers_for, op, ratio, real

# --- rules that take more than a line -------------------------------------------------------------


def _less_one(p: Any) -> Any:
    """p − 1, but 0 where p = 0, so that the derivative of x⁰ at x = 0 is 0·0⁰ = 0."""
    if isinstance(p, int | float | np.number):
        return p - 1 if p else 0
    return np.where(np.equal(p, 0), p, np.subtract(p, 1))


def _float(x: Any) -> Any:
    """Small integers must not overflow, nor be taken for float16, in what a rule computes."""
    return np.multiply(x, 1.0)


def _log_of_base(x: Any, p: Any) -> Any:
    """log x, but 0 where x = 0 ≤ p, so that the derivative of 0ᵖ is 0."""
    return np.log(_float(np.where((x == 0) & (p >= 0), 1, x)))


def _over_square(g: Any, a: Any, b: Any) -> Any:
    """g/(a² + b²), and 0 where a = b = 0."""
    return ratio(g, np.square(_float(a)) + np.square(_float(b)))


def _share(first: Any, tie: Any, g: Any) -> Any:
    """g where ``first`` wins, half of it on a tie, else 0."""
    return np.where(tie, g * 0.5, np.where(first, g, 0))


def _limited(x: Any, low: Any, high: Any) -> Any:
    x = np.positive(x) if low is None else np.maximum(x, low)  # np.clip makes float64 of numbers
    return x if high is None else np.minimum(x, high)


def _inside(g: Any, y: Any, x: Any, low: Any, high: Any) -> Any:
    above = True if low is None else x >= low
    return np.where(above if high is None else (x <= high) & above, g, 0)


def _at_low(g: Any, y: Any, x: Any, low: Any, high: Any) -> Any:
    return np.where(x < low if high is None else (x < low) & (low < high), g, 0)


def _at_high(g: Any, y: Any, x: Any, low: Any, high: Any) -> Any:
    return np.where(x > high if low is None else (x > high) | (low > high), g, 0)


def _sigmoid(x: Any) -> Any:
    x = np.asanyarray(x) if isinstance(x, int | float) else x
    real("sigmoid", x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _gelu(x: Any) -> tuple[Any, Any]:
    real("gelu", x)
    a = np.minimum(np.abs(x) * _SQRT_HALF, 27.0)
    bell = np.exp(-a * a)
    tail = 0.5 * erfc(a, bell)
    phi = np.where(x < 0, tail, 1 - tail)
    return x * phi, (phi, bell)


def _smooth(f: Any, rule: Any, formula: str, low: float = -2, high: float = 2) -> Any:
    """The entry of a NumPy function of one input, drawn from [low, high], under its own name."""
    return op(f.__name__, f, rule, formula=rf"\bar x = {formula}", samples=unary(low, high))


# --- the table: a rule a line ---------------------------------------------------------------------

# fmt: off

# --- arithmetic ----------------------------------------------------------------------------

add = op("add", np.add,
         lambda g, y, a, b: g,
         lambda g, y, a, b: g,
         formula=r"\bar a = \bar y,\quad \bar b = \bar y", samples=binary())
sub = op("sub", np.subtract,
         lambda g, y, a, b: g,
         lambda g, y, a, b: -g,
         formula=r"\bar a = \bar y,\quad \bar b = -\bar y", samples=binary())
mul = op("mul", np.multiply,
         lambda g, y, a, b: g * b,
         lambda g, y, a, b: g * a,
         formula=r"\bar a = \bar y\,b,\quad \bar b = \bar y\,a", samples=binary())
div = op("div", np.true_divide,
         lambda g, y, a, b: g / b,
         lambda g, y, a, b: -g * y / b,
         formula=r"\bar a = \bar y/b,\quad \bar b = -\bar y\,y/b", samples=binary(second=(0.5, 2)))
positive = _smooth(np.positive, lambda g, y, x: g, r"\bar y")
neg = op("neg", np.negative, lambda g, y, x: -g,
         formula=r"\bar x = -\bar y", samples=unary())
_FIRST_POSITIVE = binary(0.5, 2, second=(-2, 2))
power = op("power", lambda x1, x2: x1**x2,
           lambda g, y, x, p: g * (p * x ** _less_one(p)),
           lambda g, y, x, p: g * (y * _log_of_base(x, p)),
           formula=r"\bar x = \bar y\,p\,x^{p-1},\quad \bar p = \bar y\,y\log x",
           kink="x = 0 ≤ p: p gets 0", numpy=np.power, samples=_FIRST_POSITIVE)
square = _smooth(np.square, lambda g, y, x: g * (2 * x), r"2\bar y\,x")
sqrt = _smooth(np.sqrt, lambda g, y, x: g / (2 * y), r"\bar y/(2y)", 0.5, 2)
mod = op("mod", np.remainder,
         lambda g, y, a, b: g,
         lambda g, y, a, b: -g * np.floor(np.divide(a, b)),
         formula=r"\bar a = \bar y,\quad \bar b = -\bar y\,\lfloor a/b\rfloor",
         kink="a a multiple of b: the derivative from above", samples=binary(second=(0.5, 2)))
reciprocal = _smooth(np.reciprocal, lambda g, y, x: -g * (y * y), r"-\bar y\,y^2", 0.5, 2)

# --- exponentials, logarithms, trigonometry ---------------------------------------------------

_LOG_2, _LOG_10 = 0.6931471805599453, 2.302585092994046
exp = _smooth(np.exp, lambda g, y, x: g * y, r"\bar y\,y")
expm1 = _smooth(np.expm1, lambda g, y, x: g * (y + 1), r"\bar y\,(y+1)")
exp2 = _smooth(np.exp2, lambda g, y, x: g * (_LOG_2 * y), r"\bar y\,y\log 2")
log = _smooth(np.log, lambda g, y, x: g / x, r"\bar y/x", 0.5, 2)
log1p = _smooth(np.log1p, lambda g, y, x: g / (1 + x), r"\bar y/(1+x)", -0.5, 2)
log2 = _smooth(np.log2, lambda g, y, x: g / (_LOG_2 * x), r"\bar y/(x\log 2)", 0.5, 2)
log10 = _smooth(np.log10, lambda g, y, x: g / (_LOG_10 * x), r"\bar y/(x\log 10)", 0.5, 2)
sin = _smooth(np.sin, lambda g, y, x: g * np.cos(x), r"\bar y\cos x")
cos = _smooth(np.cos, lambda g, y, x: -g * np.sin(x), r"-\bar y\sin x")
tan = _smooth(np.tan, lambda g, y, x: g * (1 + y * y), r"\bar y\,(1+y^2)", -1, 1)
sinh = _smooth(np.sinh, lambda g, y, x: g * np.cosh(x), r"\bar y\cosh x")
cosh = _smooth(np.cosh, lambda g, y, x: g * np.sinh(x), r"\bar y\sinh x")
tanh = _smooth(np.tanh, has_kernel("tanh_backward")(lambda g, y, x: g * (1 - y * y)),
               r"\bar y\,(1-y^2)")
arcsin = _smooth(np.arcsin, lambda g, y, x: g / np.sqrt(1 - x * x),
                 r"\bar y/\sqrt{1-x^2}", -0.8, 0.8)
arccos = _smooth(np.arccos, lambda g, y, x: -g / np.sqrt(1 - x * x),
                 r"-\bar y/\sqrt{1-x^2}", -0.8, 0.8)
arctan = _smooth(np.arctan, lambda g, y, x: g / (1 + x * x), r"\bar y/(1+x^2)")
arcsinh = _smooth(np.arcsinh, lambda g, y, x: g / np.sqrt(x * x + 1), r"\bar y/\sqrt{x^2+1}")
arccosh = _smooth(np.arccosh, lambda g, y, x: g / np.sqrt(x * x - 1),
                  r"\bar y/\sqrt{x^2-1}", 1.2, 3)
arctanh = _smooth(np.arctanh, lambda g, y, x: g / (1 - x * x), r"\bar y/(1-x^2)", -0.8, 0.8)
arctan2 = op("arctan2", np.arctan2,
             lambda g, y, a, b: _over_square(g, a, b) * b,
             lambda g, y, a, b: -_over_square(g, a, b) * a,
             formula=r"\bar a = \bar y\,\tfrac{b}{a^2+b^2},\quad "
                     r"\bar b = -\bar y\,\tfrac{a}{a^2+b^2}",
             kink="a = b = 0: 0", samples=_FIRST_POSITIVE)

# --- kinked: |x|, sign, maximum, minimum, clip, where --------------------------------------------

abs = op("abs", np.abs, lambda g, y, x: g * np.sign(x),
         formula=r"\bar x = \bar y\,\mathrm{sign}\,x", kink="x = 0: 0", samples=unary(away_from=0))
sign = op("sign", np.sign, lambda g, y, x: g * 0,
          formula=r"\bar x = 0", kink="x = 0: value 0, gradient 0", samples=unary(away_from=0))
maximum = op("maximum", np.maximum,
             lambda g, y, a, b: _share(a > b, a == b, g),
             lambda g, y, a, b: _share(b > a, a == b, g),
             formula=r"\bar a = \bar y\,[a>b],\quad \bar b = \bar y\,[b>a]",
             kink="a = b: half to each", samples=binary())
minimum = op("minimum", np.minimum,
             lambda g, y, a, b: _share(a < b, a == b, g),
             lambda g, y, a, b: _share(b < a, a == b, g),
             formula=r"\bar a = \bar y\,[a<b],\quad \bar b = \bar y\,[b<a]",
             kink="a = b: half to each", samples=binary())
_clip = op("clip", _limited, _inside, _at_low, _at_high,
           formula=r"\bar x = \bar y\,[l\le x\le h],\quad \bar l = \bar y\,[x<l<h],\quad"
                   r"\bar h = \bar y\,[x>h \lor l>h]",
           kink="x at a bound: ȳ passes, as in PyTorch",
           samples=shaped((Shape(3, 4), -1.03, 0.97), (Shape(5), None, 0.51),
                          (Shape(3, 4), Shape(4), Shape(3, 1)), (Shape(5), Shape(5), None)))
where = op("where", lambda condition, x, y: np.where(condition, x, y),
           None,
           lambda g, y, c, a, b: np.where(c, g, 0),
           lambda g, y, c, a, b: np.where(c, 0, g),
           formula=r"\bar a = \bar y\,[c],\quad \bar b = \bar y\,[\lnot c]", numpy=np.where,
           samples=shaped((Mask(3, 4), Shape(3, 4), Shape(4))))

# --- the error function and activations -----------------------------------------------------

_TWO_OVER_SQRT_PI = 1.1283791670955126
erf = op("erf", error_function.erf, lambda g, y, x: g * (_TWO_OVER_SQRT_PI * np.exp(-x * x)),
         formula=r"\bar x = \bar y\,\tfrac{2}{\sqrt\pi}e^{-x^2}", samples=unary())
_SQRT_HALF, _INV_SQRT_2PI = 0.7071067811865476, 0.3989422804014327
# a product with the mask is eight times as fast as np.where(y > 0, g, 0)
relu = op("relu", lambda x: np.maximum(x, 0),
          has_kernel("relu_backward")(lambda g, y, x: g * (y > 0)),
          formula=r"\bar x = \bar y\,[x>0]", kink="x = 0: 0", samples=unary(away_from=0))
leaky_relu = op("leaky_relu",
                lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
                lambda g, y, x, negative_slope=0.01: np.where(x > 0, g, negative_slope * g),
                formula=r"\bar x = \bar y\,[x>0] + s\,\bar y\,[x\le 0]", kink="x = 0: the slope s",
                samples=unary(away_from=0))
sigmoid = op("sigmoid", _sigmoid, has_kernel("sigmoid_backward")(lambda g, y, x: g * (y * (1 - y))),
             formula=r"\bar x = \bar y\,y(1-y)", samples=unary())
logaddexp = op("logaddexp", np.logaddexp,
               lambda g, y, a, b: g * sigmoid(a - b),
               lambda g, y, a, b: g * sigmoid(b - a),
               formula=r"\bar a = \bar y\,\sigma(a-b),\quad \bar b = \bar y\,\sigma(b-a)",
               samples=binary())
softplus = op("softplus", lambda x: np.logaddexp(x, 0), lambda g, y, x: g * sigmoid(x),
              formula=r"\bar x = \bar y\,\sigma(x)", samples=unary())
gelu = op("gelu", _gelu,
          backward=lambda g, y, saved, needs, x: (g * (saved[0] + x * (saved[1] * _INV_SQRT_2PI)),),
          definition=lambda x: x * (0.5 * (1 + erf(x * _SQRT_HALF))),
          formula=r"\bar x = \bar y\,(\Phi(x) + x\,\varphi(x))", samples=unary())
silu = op("silu", lambda x: x * _sigmoid(x),
          has_kernel("silu_backward")(lambda g, y, x: g * (sigmoid(x) + y * (1 - sigmoid(x)))),
          formula=r"\bar x = \bar y\,(\sigma(x) + y\,(1-\sigma(x)))", samples=unary())

# --- steps: the gradient is 0 ------------------------------------------------------------------

rint, floor, ceil, trunc = (
    op(step.__name__, step, lambda g, y, x: g * 0, formula=r"\bar x = 0", kink="at a step: 0",
       samples=unary(away_from=0))
    for step in (np.rint, np.floor, np.ceil, np.trunc))
round = op("round", np.round, lambda g, y, x, decimals=0: g * 0,
           formula=r"\bar x = 0", kink="at a step: 0", samples=unary(away_from=0))
NUMPY[np.around] = round
floor_divide = op("floor_divide", np.floor_divide,
                  lambda g, y, a, b: g * 0,
                  lambda g, y, a, b: g * 0,
                  formula=r"\bar a = \bar b = 0", kink="at a step: 0",
                  samples=binary(second=(0.5, 2)))

# --- comparisons: values only, no gradient ----------------------------------------------------

equal = op("equal", np.equal, formula="a = b", samples=binary())
not_equal = op("not_equal", np.not_equal, formula=r"a \ne b", samples=binary())
less = op("less", np.less, formula="a < b", samples=binary())
less_equal = op("less_equal", np.less_equal, formula=r"a \le b", samples=binary())
greater = op("greater", np.greater, formula="a > b", samples=binary())
greater_equal = op("greater_equal", np.greater_equal, formula=r"a \ge b", samples=binary())
logical_and = op("logical_and", np.logical_and, formula=r"a \wedge b", samples=booleans(2))
logical_or = op("logical_or", np.logical_or, formula=r"a \vee b", samples=booleans(2))
logical_not = op("logical_not", np.logical_not, formula=r"\lnot a", samples=booleans(1))
bitwise_and = op("bitwise_and", np.bitwise_and, formula=r"a \mathbin{\&} b", samples=booleans(2))
bitwise_or = op("bitwise_or", np.bitwise_or, formula=r"a \mathbin{|} b", samples=booleans(2))
invert = op("invert", np.invert, formula=r"\mathord{\sim} a", samples=booleans(1))
isfinite = op("isfinite", np.isfinite, formula=r"|x| < \infty", samples=unary())
isinf = op("isinf", np.isinf, formula=r"|x| = \infty", samples=unary())
isnan = op("isnan", np.isnan, formula=r"x \ne x", samples=unary())
isclose = op("isclose", np.isclose,
             formula=r"|a-b| \le \epsilon_a + \epsilon_r|b|", samples=binary())
allclose = op("allclose", np.allclose,
              formula=r"\forall i:\ |a_i-b_i| \le \epsilon_a + \epsilon_r|b_i|", samples=binary())
array_equal = op("array_equal", np.array_equal, formula=r"\forall i:\ a_i = b_i", samples=binary())

# fmt: on


@answers_for(np.clip)
def clip(
    a: ArrayLike, a_min: ArrayLike | None = None, a_max: ArrayLike | None = None, *,
    min: ArrayLike | None = None, max: ArrayLike | None = None,
) -> Any:  # fmt: skip
    """Limit to [a_min, a_max]; bounds that are Tensors get the gradient where they hold.

    As :func:`numpy.clip`; None is no bound, and min and max are other names of the bounds. Raises
    ``ValueError`` where they do not broadcast against a, and for a bound given twice.

    >>> import minireg as mr
    >>> mr.clip(mr.tensor([-2.0, 0.5, 3.0]), -1, 1)
    Tensor([-1. ,  0.5,  1. ], dtype=float32)
    """
    if any(b is not None and c is not None for b, c in ((a_min, min), (a_max, max))):
        raise ValueError("clip: got a bound twice, as a_min and min or as a_max and max; give one")
    return _clip(a, a_min if min is None else min, a_max if max is None else max)
