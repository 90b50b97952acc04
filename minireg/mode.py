"""Whether operations are recorded, and whether results are checked: a state of each thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import _GeneratorContextManager, contextmanager
from typing import Any, TypeVar, overload

RECORD, ANOMALY = 1, 2
Function = TypeVar("Function", bound=Callable[..., Any])


class _State(threading.local):
    mode = RECORD  # bit RECORD: operations are recorded; bit ANOMALY: results are checked


state = _State()


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread; never an error.

    False inside :func:`no_grad`; as in PyTorch.

    >>> is_grad_enabled()
    True
    """
    return bool(state.mode & RECORD)


@contextmanager
def _mode(on: int = 0, off: int = 0) -> Iterator[None]:
    before = state.mode
    state.mode = (before | on) & ~off
    try:
        yield
    finally:
        state.mode = before


@overload
def no_grad() -> _GeneratorContextManager[None]: ...
@overload
def no_grad(function: Function) -> Function: ...
def no_grad(function: Any = None) -> Any:
    """Context manager and decorator (with or without parentheses): record nothing inside.

    Each thread for itself; blocks may be nested. ``TypeError`` for what is no function. As in
    PyTorch.

    >>> from minireg import tensor
    >>> w = tensor([1.0], requires_grad=True)
    >>> with no_grad(): (w * 2).requires_grad
    False
    """
    if function is None:
        return _mode(off=RECORD)
    if not callable(function):
        raise TypeError(f"no_grad: got {function!r:.60}, expected a function or nothing")
    return _mode(off=RECORD)(function)


def enable_grad() -> _GeneratorContextManager[None]:
    """Context manager and decorator: record again inside a ``no_grad`` block; as in PyTorch.

    It takes no argument (``TypeError``).

    >>> from minireg import tensor
    >>> w = tensor([1.0], requires_grad=True)
    >>> with no_grad(), enable_grad(): (w * 2).requires_grad
    True
    """
    return _mode(on=RECORD)


def detect_anomaly() -> _GeneratorContextManager[None]:
    """Context manager: the first NaN or Inf raises, naming the forward op and its line; as PyTorch's.

    ``FloatingPointError`` in the forward or in the backward pass of what was recorded inside.

    >>> import minireg as mr, numpy as np
    >>> with np.errstate(divide="ignore"), mr.detect_anomaly():
    ...     mr.log(mr.tensor([0.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FloatingPointError: log produced 1 non-finite value of 1, called at <doctest ...>:2...
    """
    return _mode(on=ANOMALY)
