"""What error messages say: which op, given what, called where, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import backend as backends
from .tensor import Tensor

_HERE = str(Path(__file__).parent)


def _raw(a: Any) -> Any:
    return a.data if isinstance(a, Tensor) else a


def describe(a: Any) -> str:
    """An argument as messages show it: type, shape, dtype and backend of an array.

    >>> describe(np.zeros((2, 3)))
    'ndarray(2, 3) float64 on numpy'
    """
    if not hasattr(a, "shape"):
        return repr(a)[:60]
    return f"{type(a).__name__}{tuple(a.shape)} {a.dtype} on {backends.of(_raw(a)).name}"


def check_option(owner: str, name: str, value: Any, limit: int | str | tuple[Any, ...]) -> None:
    """``ValueError`` unless ``value`` keeps to its limit.

    That is the least integer, an interval of numbers as in ``"(0, 1]"``, or a tuple of choices.

    >>> check_option("fit", "epochs", 3, 1); check_option("SGD", "lr", 0.1, "[0, inf)")
    >>> check_option("MSELoss", "reduction", "sum", ("mean", "sum"))
    """
    good: Any
    if isinstance(limit, tuple):
        *first, last = map(repr, limit)
        good, expected = value in limit, f"{', '.join(first)} or {last}"
    elif isinstance(limit, int):
        good = isinstance(value, int | np.integer) and value >= limit
        expected = f"an integer ≥ {limit}"
    else:
        low, high = map(float, limit[1:-1].split(","))
        good = isinstance(value, int | float | np.number) and (
            low < value < high
            or (value == low and limit[0] == "[")
            or (value == high and limit[-1] == "]")
        )
        expected = "a finite number ≥ 0" if limit == "[0, inf)" else f"in {limit}"
    if not good:
        raise ValueError(f"{owner}: {name} must be {expected}, got {value!r}")


def explained(error: Exception, name: str, args: Sequence[Any]) -> Exception:
    """The same error, saying which op was given what."""
    homes = {backends.of(_raw(a)).name for a in args if hasattr(a, "shape")}
    got = ", ".join(describe(a) for a in args)
    if len(homes) > 1:
        return TypeError(
            f"{name}: operands live on different backends, got ({got}); "
            f"move one first, for example x.to({sorted(homes)[-1]!r})"
        )
    kinds = (ValueError, TypeError, IndexError, np.linalg.LinAlgError)
    other = TypeError if isinstance(error, AttributeError) else ValueError  # of what is no array
    kind = type(error) if type(error) in kinds else other
    return kind(f"{name}: {str(error).removeprefix(f'{name}: ')}; got ({got})")


def caller() -> str:
    """``file:line`` of the innermost frame outside minireg."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _non_finite(x: Any) -> str:
    """'2 non-finite values of 6', or '' if there is none."""
    raw = _raw(x)
    bad = int((~np.isfinite(raw)).sum()) if raw.dtype.kind in "fc" else 0
    return f"{bad} non-finite value{'s' * (bad > 1)} of {raw.size}" if bad else ""


def check_forward(name: str, result: Tensor, args: Sequence[Any]) -> str:
    """Where the op was called; ``FloatingPointError`` if its result has a NaN or Inf."""
    place = caller()
    if bad := _non_finite(result):
        got = ", ".join(map(describe, args))
        raise FloatingPointError(f"{name} produced {bad}, called at {place} with ({got})")
    return place


def check_backward(name: str, i: int, gradient: Any, place: str) -> None:
    """``FloatingPointError`` if a rule's gradient has a NaN or Inf."""
    if bad := _non_finite(gradient):
        raise FloatingPointError(
            f"the gradient of {name} (called at {place}) with respect to argument {i} has {bad}"
        )
