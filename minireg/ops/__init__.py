"""The table of derivatives.

One entry an op (value, rule per input, formula, samples); one file a family. Importing
this package fills :data:`TABLE`, and from the table come Tensor's methods and operators,
what NumPy's own functions do on a Tensor, the generated tests and the reference page.
"""

from __future__ import annotations

from functools import partialmethod
from typing import Any

from ..tensor import Tensor
from . import elementwise, fused, products, reductions, shapes
from .products import dot, einsum, tensordot
from .shapes import concatenate, getitem, split, stack, take
from .table import TABLE, Op, array_function, array_ufunc, op

COMPOSED = {
    f.__name__: f for f in (concatenate, stack, split, take, getitem, dot, tensordot, einsum)
}
_METHODS = (shapes.astype, shapes.copy, shapes.to)  # of Tensor, but no functions of the package
_INTERNAL = {
    "astype", "copy", "to", "discretize", "scatter", "getitem", "linear", "normalize", "cross_entropy",
}  # fmt: skip
PUBLIC: dict[str, Any] = {
    name: entry.function for name, entry in TABLE.items() if name not in _INTERNAL
} | {name: f for name, f in COMPOSED.items() if name != "getitem"}
"""NumPy-style functions of the package: ``mr.exp``, ``mr.sum``, …"""

_OPERATORS = {
    "add": elementwise.add, "sub": elementwise.sub, "mul": elementwise.mul,
    "truediv": elementwise.div, "pow": elementwise.power, "matmul": products.matmul,
    "neg": elementwise.neg, "abs": elementwise.abs, "getitem": getitem,
    "eq": elementwise.equal, "ne": elementwise.not_equal, "lt": elementwise.less,
    "le": elementwise.less_equal, "gt": elementwise.greater, "ge": elementwise.greater_equal,
    "and": elementwise.bitwise_and, "or": elementwise.bitwise_or, "invert": elementwise.invert,
}  # fmt: skip


def _reflected(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _attach() -> None:
    """Give Tensor the table's functions as methods and operators."""
    for name, function in PUBLIC.items():
        if name not in ("where", "concatenate", "stack", "einsum"):
            setattr(Tensor, name, function)
    for method in _METHODS:
        setattr(Tensor, method.__name__, method)
    for name, function in _OPERATORS.items():
        setattr(Tensor, f"__{name}__", function)
    for name in ("add", "sub", "mul", "truediv", "pow", "matmul", "and", "or"):
        setattr(Tensor, f"__r{name}__", _reflected(_OPERATORS[name]))
    for name in ("add", "sub", "mul", "truediv"):
        setattr(Tensor, f"__i{name}__", partialmethod(Tensor._inplace, f"__{name}__"))
    setattr(Tensor, "T", property(shapes.transpose))
    setattr(Tensor, "__array_ufunc__", array_ufunc)
    setattr(Tensor, "__array_function__", array_function)


_attach()
__all__ = ["COMPOSED", "PUBLIC", "TABLE", "Op", "fused", "op", "reductions"]
