"""Tensor: an array plus how it came to be.

A recorded result has a :class:`Node`, whose edges point to the tensors it was made from, so
dropping the last result frees the whole graph by reference counting. :mod:`minireg.engine` gives
a tensor its method ``backward``, and the table of ops in :mod:`minireg.ops` all other methods and
operators (``t.exp()``, ``a @ b``, ``t[idx]``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from operator import attrgetter
from typing import Any

import numpy as np

from . import backend as backends
from .backend import Array
from .messages import HINTS, Lacking, check_castable
from .mode import is_grad_enabled

next_seq = count(1).__next__
RETAIN = object()  # stands in a tensor's hook list: keep the gradient of this node


class Node:
    """How a result came to be: an op and what it was applied to.

    Attributes
    ----------
    op : the entry of the table of derivatives.
    args : its arguments, of Tensors their arrays; None once a backward pass has freed the graph.
    parents : (position, Tensor) of each argument that is a Tensor.
    options : its keyword arguments.
    saved : what a fused op keeps for its backward.
    place : ``file:line`` of the call if anomalies are looked for, else None.
    """

    __slots__ = ("op", "args", "parents", "options", "saved", "place")
    op: Any
    args: Any
    parents: Sequence[tuple[int, Tensor]]
    options: Any
    saved: Any
    place: str | None


class Tensor:
    """An array with a gradient; make one with :func:`tensor`, as PyTorch's.

    Raises ``TypeError`` for data that is no array of a known backend, or that cannot have a gradient.

    Attributes
    ----------
    data : the array. Assigning it, like every in-place change, goes unseen by the
        graph; use :meth:`assign`, which the graph notices.
    grad : Tensor of the same shape, or None while nothing has been accumulated.
    requires_grad : whether operations on it are recorded.

    >>> w = tensor([1.0, 2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad
    Tensor([2., 4.], dtype=float32)
    """

    # _node: how it came to be, None for a leaf. _seq: grows with every record and every in-place
    # change, so it orders the graph and dates the data. _root: of a view that an op made, the
    # leaf whose memory it shares, and whose changes are its own.
    __slots__ = ("data", "grad", "requires_grad", "_node", "_seq", "_hooks", "_root", "__weakref__")
    __hash__ = object.__hash__
    __pandas_priority__ = 5000  # series * t is the recorded op, too
    data: Array
    grad: Tensor | None
    requires_grad: bool
    _proxes: tuple[Any, ...] = ()  # of a gradient: (term, penalty) whose prox must follow the step
    _deferred: Sequence[Any] = ()  # of a gradient: (term, penalty) whose gradient the step must add

    def __init__(self, data: Array, requires_grad: bool = False) -> None:
        backends.of(data)  # raises for anything that is not an array of a known backend
        self.data, self.grad = data, None
        self._node: Node | None = None
        self._hooks: list[Any] | None = None
        self._root: Tensor | None = None
        self._seq: int = next_seq()
        self.requires_grad = False
        if requires_grad:
            self.requires_grad_()

    # --- what it holds -------------------------------------------------------------------

    shape = property(attrgetter("data.shape"), doc="Tuple of axis lengths.")
    ndim = property(attrgetter("data.ndim"), doc="Number of axes.")
    size = property(attrgetter("data.size"), doc="Number of elements.")
    dtype = property(attrgetter("data.dtype"), doc="NumPy dtype of the elements.")

    @property
    def backend(self) -> str:
        """Name of the backend its array lives on."""
        return backends.of(self.data).name

    @property
    def is_leaf(self) -> bool:
        """Whether it was made directly rather than by a recorded operation."""
        return self._node is None

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array, outside the graph (no copy on the NumPy backend)."""
        return backends.of(self.data).to_numpy(self.data)

    def item(self) -> Any:
        """The single element as a Python number; on a GPU this waits for the device."""
        if self.data.size != 1:
            raise ValueError(
                f"item: got a Tensor of shape {self.shape}, expected one element; reduce it first, or "
                "take .numpy()"
            )
        return self.data.item()

    def _heir(self, more: Any) -> Tensor:
        """As a gradient: the one in its place when ``more`` is added to it, with its data still."""
        return Tensor(self.data)

    def detach(self) -> Tensor:
        """The same array outside the graph, which does not see it change in place."""
        return Tensor(self.data)

    def __repr__(self) -> str:
        text = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=60)
        extras = f", dtype={self.dtype}"
        extras += f", backend={self.backend!r}" if self.backend != "numpy" else ""
        leaf = ", requires_grad=True" if self.requires_grad else ""
        extras += f", from={self._node.op.name}" if self._node else leaf
        return f"{type(self).__name__}({text}{extras})"

    def __format__(self, spec: str) -> str:
        """``f"{loss:.4f}"`` of a single element is that of the number."""
        return format(self.item(), spec) if spec and self.size == 1 else super().__format__(spec)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("a 0-d Tensor has no length and no items; .item() gives its number")
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))  # pyright: ignore[reportIndexIssue]

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"a Tensor of shape {self.shape} is neither true nor false: use .any() or .all(), and "
                "any(t is u for u in tensors) in place of `in`"
            )
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._node is not None:
            raise TypeError("cannot pickle or deep-copy a recorded result: use .detach() first")
        return type(self), (self.data, self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        make, arguments = self.__reduce__()
        copied: Tensor = make(*copy.deepcopy(arguments, memo))
        memo[id(self)] = copied  # (its gradient may lead back to it)
        copied.grad = copy.deepcopy(self.grad, memo)
        return copied

    # --- gradients -----------------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Record operations on this leaf from now on (or stop doing so); returns itself."""
        if self._node is not None:
            raise RuntimeError("requires_grad_: only a leaf can be switched; use .detach()")
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(
                f"requires_grad: got dtype {self.dtype}, expected a floating type; "
                "convert with .astype('float32') first, complex numbers as two real tensors"
            )
        self.requires_grad = bool(requires_grad)
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call ``hook(gradient)`` when this tensor's gradient is complete.

        What the hook returns, unless None, replaces the gradient. Returns a function
        that removes the hook.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: this tensor does not require a gradient")
        if not callable(hook):
            raise TypeError(
                f"register_hook: hook must be a function of the gradient, got {hook!r:.60}"
            )
        hooks = self._hooks = self._hooks or []
        hooks.append(hook)
        return lambda: hooks.remove(hook) if hook in hooks else None

    def retain_grad(self) -> Tensor:
        """Add to ``.grad`` of this intermediate result in each backward pass; returns itself."""
        if self._node is not None and RETAIN not in (self._hooks or ()):
            self._hooks = [*(self._hooks or ()), RETAIN]
        return self

    # --- in-place change -------------------------------------------------------------------

    def assign(self, value: Any) -> Tensor:
        """Overwrite a leaf's elements in place with ``value`` (broadcast to its shape).

        An array may come from any backend. A graph that has read the old elements notices: its
        backward raises an error.

        >>> w = tensor([1.0, 2.0]); w.assign(0.0)
        Tensor([0., 0.], dtype=float32)
        """
        if self._node is not None:
            raise RuntimeError(
                f"in-place change of the result of {self._node.op.name!r}, which its graph "
                "needs for the backward pass; write the out-of-place form (t = t + x, "
                "mr.where(mask, a, t)) or change t.detach()"
            )
        self._put("assign", ..., value)
        return self

    def _put(self, name: str, index: Any, value: Any) -> None:
        """Write ``value`` to a place of the data, unless its type or its shape does not fit."""
        if not isinstance(value, int | float) or self.dtype.kind != "f":
            floats = self.dtype if self.dtype.kind == "f" else np.float64
            value = backends.as_array(value, f"{name}: value", floats)
            check_castable(name, value, self.dtype)
            value = backends.move(value, self.backend)
        try:
            self.data[index] = value
        except ValueError as error:
            place = self.data[index].shape
            raise ValueError(
                f"{name}: got a value of shape {np.shape(value)}, expected one that broadcasts to {place}"
            ) from error
        self._seq = next_seq()
        if self._root is not None:
            self._root._seq = self._seq

    def _inplace(self, name: str, other: Any) -> Tensor:
        """``t += x``: in place on a leaf outside recording, else the recorded ``t = t + x``."""
        result = getattr(self, name)(other)
        if self._node is not None or (result is not NotImplemented and result.requires_grad):
            if self._node is None and self.requires_grad and is_grad_enabled():
                raise RuntimeError(
                    "in-place change of a leaf that requires a gradient: wrap the update "
                    "in `with mr.no_grad():`, or write w = w + x for a recorded result"
                )
            return result  # type: ignore[no-any-return]
        self._put("in-place change", ..., result)
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        if self._node is not None or (self.requires_grad and is_grad_enabled()):
            raise RuntimeError(
                "item assignment would change values that the graph needs; use "
                "mr.where(mask, new, t), or change a leaf inside `with mr.no_grad():`"
            )
        self._put("item assignment", index, value)

    # --- as a NumPy citizen ------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.requires_grad:
            raise TypeError(
                "np.asarray of a tensor that requires a gradient would drop the graph; "
                "say t.numpy() if that is meant"
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        if self.requires_grad:
            raise BufferError(
                "DLPack export of a tensor that requires a gradient would drop the graph; say "
                "t.detach() if that is meant"
            )
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()


for _name in HINTS:
    if _name.startswith("t."):
        setattr(Tensor, _name[2:], Lacking(_name[2:]))


def tensor(
    data: Any, dtype: Any = None, requires_grad: bool = False, backend: str | None = None
) -> Tensor:
    """Make a tensor from numbers, nested lists, an array, or another library's array or table.

    Parameters
    ----------
    data : Python floats become float32; arrays keep their dtype and backend (the array
        is shared, not copied); see :func:`minireg.backend.as_array` for all else.
    dtype : convert to this dtype.
    requires_grad : record operations on it (floating dtypes only).
    backend : ``"numpy"`` or ``"cupy"``; by default where the array is, or for Python
        data the default backend (:func:`minireg.set_backend`).

    Raises ``TypeError`` for what holds no numbers, and ``ValueError`` for lists of unequal lengths and
    for a backend that is not known.

    >>> tensor([1.0, 2.0]).dtype, tensor(np.ones(2)).dtype
    (dtype('float32'), dtype('float64'))
    """
    array = backends.as_array(data, "tensor: data")
    if dtype is not None:
        array = array.astype(backends.as_dtype(dtype, "tensor"))
    return Tensor(backends.move(array, backend) if backend else array, requires_grad)
