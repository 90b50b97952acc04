"""The table of derivatives.

One entry an op (value, rule per input, formula, samples); one file a family. Importing
this package fills :data:`TABLE`, and from the table come Tensor's methods and operators,
what NumPy's own functions do on a Tensor, the generated tests and the reference page.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import partialmethod
from inspect import isfunction
from typing import Any

import numpy as np

from ..tensor import Tensor
from . import convolution, elementwise, fused, linalg, products, reductions, shapes
from .table import NUMPY, TABLE, Op, answers_for, array_function, array_ufunc, op


def _functions(*families: Any) -> dict[str, Any]:
    """What the files of these families define for others: ops and functions made of ops."""
    return {
        name: f
        for family in families
        for name, f in vars(family).items()
        if isfunction(f) and f.__module__ == family.__name__ and not name.startswith("_")
    }


def _composed(functions: dict[str, Any]) -> dict[str, Any]:
    ops = {entry.function for entry in TABLE.values()}
    return {name: f for name, f in functions.items() if f not in ops}


_ARRAYS = _functions(elementwise, shapes, products, reductions)
for _name, _f in _composed(_functions(linalg)).items():
    setattr(linalg, _name, answers_for(getattr(np.linalg, _name))(_f))
LINALG = _functions(linalg)
for _f in (*LINALG.values(), products.matmul, products.outer, products.tensordot):
    NUMPY[getattr(np.linalg, _f.__name__)] = _f
_METHODS = {"astype", "copy", "to"}  # of Tensor, but no functions of the package
_INTERNAL = _METHODS | {"getitem", "scatter"}
_OURS = {name: f for name, f in _ARRAYS.items() if name not in _INTERNAL}
_ALIASES = {  # NumPy's other names: subtract, multiply, absolute, acos, …
    name: NUMPY[f]
    for name, f in vars(np).items()
    if isinstance(f, Hashable) and NUMPY.get(f) in _OURS.values() and name not in _OURS
}
PUBLIC: dict[str, Any] = _OURS | _ALIASES
"""NumPy-style functions of the package: ``mr.exp``, ``mr.sum``, …"""
COMPOSED: dict[str, Any] = _composed(_ARRAYS) | {
    f"linalg.{name}": f for name, f in _composed(LINALG).items()
}
"""Functions put together from ops: they need no rule of their own."""

_OPERATORS = {
    "add": elementwise.add, "sub": elementwise.sub, "mul": elementwise.mul,
    "truediv": elementwise.div, "mod": elementwise.mod, "floordiv": elementwise.floor_divide,
    "pow": elementwise.power, "matmul": products.matmul, "and": elementwise.bitwise_and,
    "or": elementwise.bitwise_or, "neg": elementwise.neg, "pos": elementwise.positive,
    "abs": elementwise.abs, "invert": elementwise.invert, "round": elementwise.round,
    "divmod": NUMPY[np.divmod], "eq": elementwise.equal, "ne": elementwise.not_equal,
    "lt": elementwise.less, "le": elementwise.less_equal, "gt": elementwise.greater,
    "ge": elementwise.greater_equal, "getitem": shapes.getitem,
}  # fmt: skip
_REFLECTED = ("add", "sub", "mul", "truediv", "mod", "floordiv", "pow", "matmul", "and", "or")
_OF_SEVERAL = {  # their first argument is no array
    elementwise.where, products.einsum, shapes.concatenate, shapes.stack, shapes.vstack, shapes.hstack,
}  # fmt: skip


for _name, _f in (PUBLIC | {name: _ARRAYS[name] for name in _METHODS}).items():
    if _f not in _OF_SEVERAL:
        setattr(Tensor, _name, _f)
for _name, _f in _OPERATORS.items():
    setattr(Tensor, f"__{_name}__", _f)
for _name in _REFLECTED:
    setattr(Tensor, f"__r{_name}__", lambda self, other, f=_OPERATORS[_name]: f(other, self))
for _name in ("add", "sub", "mul", "truediv"):
    setattr(Tensor, f"__i{_name}__", partialmethod(Tensor._inplace, f"__{_name}__"))
setattr(Tensor, "T", property(shapes.transpose))
setattr(Tensor, "__array_ufunc__", array_ufunc)
setattr(Tensor, "__array_function__", array_function)

__all__ = [
    "COMPOSED", "PUBLIC", "TABLE", "Op", "convolution", "fused", "linalg", "op", "reductions",
]  # fmt: skip
