"""Where arrays live: NumPy, CuPy, and moving between them.

Almost everything dispatches by the array's own type: ``np.exp(cupy_array)`` runs on
the GPU through NumPy's ``__array_ufunc__`` / ``__array_function__`` protocols, so the
table of derivatives says ``np.exp`` once for every backend. This module holds the few
things that cannot dispatch: which backend owns an array, moves, kernels, and walks in blocks.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

# glibc gives freed memory back to the system unless it has seen a block as large as this freed;
# without it every step would fault its large arrays in again, page by page.
np.empty(2**25 - 2**16, np.uint8)

BLOCK = 16384  # elements: parameter, gradient, two states and scratch stay in the L2 cache
Array: TypeAlias = np.ndarray[Any, Any]  # or CuPy's, or of a registered backend
Axis: TypeAlias = int | Sequence[int] | None  # of an array; None for all of them
Integers: TypeAlias = ArrayLike  # such as indices


@dataclass(frozen=True)
class Backend:
    """An array library.

    Parameters
    ----------
    name : what ``tensor.to(name)`` says.
    xp : the namespace with NumPy's function names (``xp.zeros``, ``xp.add.at``, …).
    array : the array type; dispatch goes by it.
    to_numpy : copies one of its arrays to the host.
    address : where an array's memory begins, if ``xp.ElementwiseKernel`` runs CUDA source there.
    kernels : kernels that stand in for functions (:func:`has_kernel`), by name.
    stream : the device and queue that work goes to now; what was uploaded by one is its own.
    """

    name: str
    xp: Any
    array: type
    to_numpy: Callable[[Array], np.ndarray[Any, Any]]
    address: Callable[[Array], int] | None = None
    kernels: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    stream: Callable[[], Any] = tuple


KERNELS: dict[str, Callable[..., Any]] = {}
"""Those of the "cupy" backend; :mod:`minireg.gpu.fused` enters what it has."""
_BACKENDS: dict[str, Backend] = {}
BY_TYPE: dict[type, Backend] = {}


def register(backend: Backend) -> Backend:
    """Make ``backend`` known under its name and its array type.

    >>> register(NUMPY) is get("numpy")
    True
    """
    _BACKENDS[backend.name] = backend
    BY_TYPE[backend.array] = backend
    return backend


NUMPY = register(Backend("numpy", np, np.ndarray, np.asarray))


def _load_cupy() -> Backend:
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise ImportError(
            "backend 'cupy' needs CuPy: pip install 'minireg[cuda12]' (CUDA 12) "
            "or 'minireg[cuda13]' (CUDA 13)"
        ) from error
    if not cupy.cuda.is_available():
        raise RuntimeError(
            "backend 'cupy': CuPy is installed but finds no usable CUDA device (no GPU, or no "
            "driver); stay with backend 'numpy'"
        )
    address = attrgetter("data.ptr")

    def stream() -> tuple[int, int]:
        return cupy.cuda.runtime.getDevice(), cupy.cuda.get_current_stream().ptr

    return register(Backend("cupy", cupy, cupy.ndarray, cupy.asnumpy, address, KERNELS, stream))


def get(name: str) -> Backend:
    """The backend called ``name``; imports CuPy when it is first asked for.

    Raises ``ImportError`` naming the extra, ``RuntimeError`` without a GPU, and
    ``ValueError`` for an unknown name.

    >>> get("numpy").name
    'numpy'
    """
    if isinstance(name, str) and name in _BACKENDS:
        return _BACKENDS[name]
    if name == "cupy":
        return _load_cupy()
    other = "" if isinstance(name, str) else "; a dtype is for .astype(dtype)"
    other = {"cuda": "; a GPU is 'cupy'", "cpu": "; the CPU is 'numpy'"}.get(str(name), other)
    raise ValueError(
        f"backend: got {name!r}, expected one of {sorted({*_BACKENDS, 'cupy'})}{other}"
    )


def of(array: Array) -> Backend:
    """The backend that owns ``array``; ``TypeError`` when none does.

    >>> of(np.zeros(3)).name
    'numpy'
    """
    found = BY_TYPE.get(type(array))
    if found is None:
        if isinstance(array, np.ndarray | np.generic):
            return NUMPY
        for backend in _BACKENDS.values():
            if isinstance(array, backend.array):
                return backend
        if type(array).__module__.partition(".")[0] == "cupy":
            return _load_cupy()
        raise TypeError(
            f"no backend owns {type(array).__name__!r} arrays; known: {sorted(_BACKENDS)}; mr.tensor "
            "takes numbers, lists, and other libraries' arrays"
        )
    return found


def has_kernel(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: where the backend of the first array has a kernel ``name``, that is called.

    It takes the arguments of the function. Where it returns None, as it does not cover them, and
    where not all positional arguments are arrays of one type (or None), the function is called.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(x: Any, *inputs: Any, **options: Any) -> Any:
            if type(x) is not np.ndarray and (kernel := _kernel(name, x, inputs)):
                found = kernel(x, *inputs, **options)
                if found is not None:
                    return found
            return function(x, *inputs, **options)

        return call

    return decorate


def _kernel(name: str, x: Any, inputs: Sequence[Any]) -> Callable[..., Any] | None:
    of_one_type = is_array(x) and all(v is None or type(v) is type(x) for v in inputs)
    return of(x).kernels.get(name) if of_one_type else None


def as_dtype(dtype: Any, owner: str) -> np.dtype[Any]:
    """``dtype`` as NumPy's; ``TypeError`` for a name it does not know, or another library's."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(
            f"{owner}: dtype must be NumPy's, or its name like 'float32', got {dtype!r}"
        ) from error
    return found


def is_array(x: object) -> bool:
    """Whether ``x`` is an array (or array scalar) of NumPy, CuPy or a registered backend."""
    kinds = (np.generic, *BY_TYPE)
    return type(x) in BY_TYPE or isinstance(x, kinds) or type(x).__module__.startswith("cupy")


def is_tensor(x: Any) -> bool:
    """Whether ``x`` is a :class:`minireg.Tensor`, of which this file knows only what it holds."""
    return hasattr(type(x), "requires_grad") and is_array(x.data)


def raw(x: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return x.data if is_tensor(x) else x


def unscalar(y: Any) -> Any:
    """NumPy turns 0-d results into scalars; a Tensor's data and gradient stay arrays."""
    return np.asarray(y) if isinstance(y, np.generic | float | int | complex) else y


def as_array(x: Any, name: str = "data", floats: Any = np.float32) -> Array:
    """Anything like an array of numbers as an array of a known backend.

    An array stays as it is, memory and dtype; a Tensor gives its data, outside the graph. What
    speaks DLPack or has ``__array__`` (PyTorch tensors, pandas Series and data frames) keeps its
    dtype and shares memory where it can. Python numbers and nested lists of them go to the
    default backend, floats as ``floats``; Tensors and arrays in lists are stacked.

    Raises ``TypeError`` naming ``name`` for what holds no numbers (objects, strings, dates,
    records) or hides some (a mask), and ``ValueError`` for lists of unequal lengths.

    >>> as_array([1.0, 2.0]).dtype, as_array([np.ones(2), np.ones(2)]).dtype
    (dtype('float32'), dtype('float64'))
    """
    array = x if type(x) in BY_TYPE else _converted(x, name, floats)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"{name} must be numbers, got {_described(x)} of dtype {array.dtype}; encode words and "
            "dates as numbers, and fill what is missing"
        )
    return array


def _described(x: Any) -> str:
    kind = type(x)
    return f"{x!r:.60}" if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _converted(x: Any, name: str, floats: Any) -> Array:
    if (data := raw(x)) is not x:
        return as_array(data, name)
    if getattr(x, "requires_grad", False):
        raise TypeError(
            f"{name} got a {_described(x)} that requires a gradient, and its graph would end "
            "here; pass .detach()"
        )
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must not be masked, got a masked array; fill it first, as with .filled(0), or "
            "select what is not masked"
        )
    first = x
    while isinstance(first, list | tuple) and first:
        first = first[0]
    python = isinstance(first, int | float | complex | str | list | tuple)
    python = python and not isinstance(x, np.generic)  # a NumPy float64 is a Python float, too
    try:
        if isinstance(x, list | tuple) and not python:
            arrays = [as_array(e, name) for e in x]
            return of(arrays[0]).xp.stack(arrays)
        if getattr(x, "__dlpack_device__", tuple)()[:1] in ((2,), (13,)):  # CUDA, and managed
            return get("cupy").xp.from_dlpack(x)
        alone: Any = x if hasattr(x, "__dlpack__") and not hasattr(x, "__array__") else None
        array = np.asarray(x) if alone is None else np.from_dlpack(alone)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        if str(error).startswith(name):
            raise
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(
            f"{name} must be an array of numbers or lists of equal lengths, got {_described(x)}: {error}"
        ) from error
    if python:
        array = array.astype(floats) if array.dtype == np.float64 else array
        return move(array, get_backend())
    return array


def move(array: Array, name: str) -> Array:
    """``array`` on backend ``name``; the array itself when it is there already."""
    source, target = of(array), get(name)
    return array if source is target else target.xp.asarray(source.to_numpy(array))


# --- the default backend: where mr.tensor puts Python data -----------------------------

_default = os.environ.get("MINIREG_BACKEND") or "numpy"


def get_backend() -> str:
    """Name of the backend on which ``mr.tensor`` places Python data.

    Set by :func:`set_backend`, :func:`use_backend` or the variable ``MINIREG_BACKEND`` (NumPy
    otherwise); a name that cannot be used raises where an array is made.

    >>> get_backend()
    'numpy'
    """
    return _default


def set_backend(name: str) -> None:
    """Place Python data on backend ``name``, "numpy" (NumPy's arrays) or "cupy", from now on.

    Raises ``ValueError`` for another name, and ``ImportError`` or ``RuntimeError`` where CuPy or a GPU
    is not there.

    >>> set_backend("numpy"); get_backend()
    'numpy'
    """
    global _default
    _default = get(name).name


@contextmanager
def use_backend(name: str) -> Iterator[Backend]:
    """Context manager and decorator: the default backend is ``name`` inside.

    Raises as :func:`set_backend`, and leaves the default as it was.

    >>> with use_backend("numpy") as backend:
    ...     backend.name
    'numpy'
    """
    before = get_backend()
    set_backend(name)
    try:
        yield get(name)
    finally:
        set_backend(before)


def blocks(*arrays: Array) -> Iterator[Sequence[Array]]:
    """Matching stretches of arrays of one shape, each small enough to stay in the cache.

    For several passes over the same arrays, in place. What is no contiguous NumPy array comes
    in one piece.

    >>> [len(a) for a, _ in blocks(np.zeros(40000), np.ones(40000))]
    [16384, 16384, 7232]
    """
    size = arrays[0].size
    if size <= BLOCK or not all(of(a) is NUMPY and a.flags.c_contiguous for a in arrays):
        yield arrays
        return
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, size, BLOCK):
        yield [a[start : start + BLOCK] for a in flat]
