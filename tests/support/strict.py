"""A stand-in for CuPy on the CPU that refuses what CuPy refuses, and counts what it costs.

A :class:`StrictArray` holds a NumPy array and shows none of it. As with CuPy, nothing
converts it to NumPy implicitly, it does not mix with NumPy arrays or lists, reductions
give 0-d arrays, and only what CuPy has can be called on it, with CuPy's parameters.
What would wait for the device (``float()``, ``if``, ``.item()``, printing, a boolean
index, …) works and is counted::

    with strict.count_syncs() as syncs:
        step()
    assert not syncs  # a failure lists each kind and line

What CuPy would launch a kernel for is counted as well (:func:`count_launches`). A fused
kernel's stand-in says what it is, and counts as one: ``with strict.kernel("adamw"): …``.
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.mixins import NDArrayOperatorsMixin

from minireg import backend as backends
from minireg.gpu import fused as cuda
from minireg.gpu import trace as kernels

try:
    cupy: Any = importlib.import_module("cupy")  # needs no GPU; supplies names and signatures
except ImportError:
    cupy = None


def require_cupy() -> None:
    """Skip the test where CuPy is not installed, or fail it if that must not be."""
    if cupy is None:
        reason = "CuPy is not installed: its names and keywords cannot be compared"
        if os.environ.get("MINIREG_REQUIRE_ORACLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


# --- what CuPy accepts -----------------------------------------------------------------------

# Enough to be strict where CuPy is not installed.
MISSING = {
    "block", "einsum_path", "geomspace", "insert", "linalg.diagonal", "linalg.matrix_norm",
    "linalg.multi_dot", "linalg.outer", "linalg.svdvals", "linalg.tensordot", "linalg.trace",
    "linalg.vecdot", "linalg.vector_norm", "nanquantile", "spacing", "unstack", "vecdot",
}  # fmt: skip
REFUSED = {"where", "initial"}  # keywords that no function of CuPy takes

# Functions that check their **kwargs by hand.
_OPEN = {
    "einsum": "*operands, dtype, optimize",
    "pad": "array, pad_width, mode, constant_values, end_values, stat_length, reflect_type",
}


@cache
def signature(function: Any) -> inspect.Signature:
    """Parameters of a function of CuPy: Python, Cython (told by its docstring) or ufunc."""
    name = getattr(function, "__name__", "")
    if type(function).__name__ == "ufunc":
        text = "*args, out, dtype, casting"
    elif name in _OPEN:
        text = _OPEN[name]
    else:
        try:
            return inspect.signature(function)
        except ValueError:
            line = (function.__doc__ or "").partition("\n")[0]
            found = re.fullmatch(r"[\w.]+\((.*)\)( -> \w+)?", line)
            if found is None:
                raise ValueError(f"{function!r} does not tell its parameters") from None
            text = found[1]
    kind, parameters = inspect.Parameter.POSITIONAL_OR_KEYWORD, []
    for part in text.split(", "):
        name = part.partition("=")[0].split()[-1]  # "int axis=-1" is axis
        if name.startswith("*"):
            if name != "*":
                parameters.append(inspect.Parameter(name[1:], inspect.Parameter.VAR_POSITIONAL))
            kind = inspect.Parameter.KEYWORD_ONLY
        else:
            parameters.append(inspect.Parameter(name, kind, default=None))
    return inspect.Signature(parameters)


def check_call(name: str, positional: int, keywords: Any) -> None:
    """TypeError unless CuPy has ``name`` and takes that many arguments and these keywords."""
    if name in MISSING or REFUSED & set(keywords):
        raise TypeError(f"CuPy has no {name}({', '.join(keywords)})")
    if cupy is None:
        return
    try:
        signature(attrgetter(name)(cupy)).bind(*[None] * positional, **dict.fromkeys(keywords))
    except AttributeError:
        raise TypeError(f"CuPy has no {name}") from None
    except TypeError as error:
        raise TypeError(f"CuPy's {name}: {error}") from None


# --- counting --------------------------------------------------------------------------------


class Syncs(list[str]):
    """The synchronizations seen, each as ``kind at file:line``."""

    total = property(len)


_counting: list[Syncs] = []


@contextmanager
def count_syncs() -> Iterator[Syncs]:
    """Collect every synchronization inside the block."""
    _counting.append(syncs := Syncs())
    try:
        yield syncs
    finally:
        _counting.pop()


def _sync(kind: str) -> None:
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    for syncs in _counting:
        syncs.append(f"{kind} at {frame.f_code.co_filename}:{frame.f_lineno}")


_launching: list[Counter[str]] = []
_inside_kernel: list[str] = []


@contextmanager
def count_launches() -> Iterator[Counter[str]]:
    """Collect what CuPy would launch inside the block: name of the kernel → how often.

    An array operation is one launch unless it only makes a view, :data:`SEVERAL` names those that
    are more. A function that CuPy puts together from others (``linalg``, ``tensordot``, …) is
    counted as one, which is too few.
    """
    _launching.append(launches := Counter())
    try:
        yield launches
    finally:
        _launching.remove(launches)


@contextmanager
def kernel(name: str, launches: int = 1) -> Iterator[None]:
    """The block stands for a fused kernel: what happens inside counts as ``launches`` of it."""
    _launch(name, launches)
    _inside_kernel.append(name)
    try:
        yield
    finally:
        _inside_kernel.pop()


def _launch(name: str, times: int = 1) -> None:
    if times and not _inside_kernel:
        for launches in _launching:
            launches[name.removeprefix("ndarray.")] += times


# A kernel for each part, or one for each of the two passes.
SEVERAL: dict[str, Callable[..., int]] = {
    **dict.fromkeys(("concatenate", "stack", "vstack", "hstack"), lambda args: len(args[0])),
    **dict.fromkeys(("var", "std"), lambda args: 2),
    **dict.fromkeys(("empty", "empty_like"), lambda args: 0),
}


def _launches(name: str, args: Any, writes: bool, result: Any, given: list[np.ndarray]) -> int:
    """How many kernels CuPy would launch for this call."""
    if (count := SEVERAL.get(name.rpartition(".")[2])) is not None:
        return count(args)
    if writes or result is None:
        return 1
    parts = result if isinstance(result, list | tuple) else (result,)
    found = [y for y in parts if isinstance(y, np.ndarray | np.generic)]
    return int(not all(any(np.may_share_memory(y, x) for x in given) for y in found))


# The shape of the result depends on the values, which the host has to wait for.
_WAITING = {"nonzero", "argwhere", "flatnonzero", "unique", "bincount", "compress", "extract"}
# cuSOLVER works on these partly on the host, unless in a stack of matrices up to 32×32.
_DECOMPOSING = {"linalg.eigh", "linalg.eigvalsh", "linalg.svd"}


def _waits(name: str, args: Any) -> bool:
    if name in _DECOMPOSING:
        frame = sys._getframe(1)
        while frame.f_back and frame.f_code.co_filename == __file__:
            frame = frame.f_back
        # whoever calls a function of mr.linalg asks for a decomposition, and for what it costs
        asked = frame.f_code.co_filename.endswith(str(Path("minireg", "ops", "linalg.py")))
        small = args[0].ndim > 2 and max(args[0].shape[-2:]) <= 32
        return not (asked or small)
    return name.rpartition(".")[2] in _WAITING or (name == "where" and len(args) == 1)


# --- the array -------------------------------------------------------------------------------

Scalar = bool | int | float | complex | np.generic


def _call(name: str, function: Any, args: Any, kwargs: Any, elementwise: bool = False) -> Any:
    """``function`` on the hidden arrays; an array that comes back keeps its identity."""
    check_call(name, len(args), kwargs)
    given: dict[int, StrictArray] = {}

    if name.endswith("_like") and kwargs.get("shape") in ((), 0):
        raise ValueError(f"{name}: CuPy takes an empty shape for none, and gives the prototype's")

    def inward(x: Any) -> Any:
        if isinstance(x, StrictArray):
            given[id(x._host)] = x
            return x._host
        sequence = isinstance(x, list | tuple)
        if isinstance(x, np.ndarray) or (elementwise and sequence):
            raise TypeError(f"{name}: unsupported type {type(x)}; move it to the device first")
        return type(x)(map(inward, x)) if sequence else x

    def outward(y: Any) -> Any:
        if id(y) in given:
            return given[id(y)]
        if isinstance(y, list | tuple):  # CuPy gives plain tuples where NumPy names the parts
            return [*map(outward, y)] if isinstance(y, list) else (*map(outward, y),)
        on_device = isinstance(y, np.ndarray | np.generic) or name in ("allclose", "array_equal")
        return _result(np.asarray(y), given.values()) if on_device else y

    if _waits(name, args):
        _sync(name)
    kwargs = {key: inward(value) for key, value in kwargs.items()}
    result = function(*map(inward, args), **kwargs)
    if _launching:
        writes = elementwise or kwargs.get("out") is not None
        _launch(name, _launches(name, args, writes, result, [x._host for x in given.values()]))
    return outward(result)


def _result(host: np.ndarray, given: Iterable[StrictArray]) -> StrictArray:
    """A new array, or a view of one of those given."""
    viewed = (x for x in given if host.base is not None and np.may_share_memory(host, x._host))
    x = next(viewed, None)
    return StrictArray(host, None if x is None else x if x.base is None else x.base)


def _index(index: Any) -> tuple[Any, ...]:
    parts = index if isinstance(index, tuple) else (index,)
    for part in parts:
        if isinstance(part, list | np.ndarray):
            raise TypeError("a host index would be copied at each use; move it to the device once")
        if isinstance(part, StrictArray) and part.dtype == bool:
            _sync("boolean index")
    rest = () if any(part is Ellipsis for part in parts) else (Ellipsis,)  # a[0] is a 0-d view
    return (*map(_host, parts), *rest)


def _host(x: Any) -> Any:
    return x._host if isinstance(x, StrictArray) else x


def _reading(kind: str, convert: Callable[..., Any]) -> Any:
    def method(self: StrictArray, *args: Any) -> Any:
        _sync(kind)
        return convert(self._host, *args)

    return method


class StrictArray(NDArrayOperatorsMixin):
    """An array that behaves as if it lived on a GPU; made by ``xp.asarray``."""

    __slots__ = ("_host", "base", "__weakref__")
    __hash__ = None
    base: StrictArray | None  # of a view: the array that has the memory

    def __init__(self, host: np.ndarray, base: StrictArray | None = None) -> None:
        if host.dtype.char not in "?bBhHiIlLqQefdFD":
            raise TypeError(f"the device knows no dtype {host.dtype}")
        self._host, self.base = host, base

    # NumPy's protocols, with CuPy's answers

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("implicit conversion to a NumPy array is not allowed; use .get()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        operands = (*inputs, *kwargs.get("out", ()))
        known = all(isinstance(x, StrictArray | np.ndarray | Scalar) for x in operands)
        if method != "__call__" or not known:
            return NotImplemented  # np.add.at and np.add.reduce too: CuPy has only xp.add.at
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        return _call(ufunc.__name__, ufunc, inputs, kwargs, elementwise=True)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(t, StrictArray | np.ndarray) for t in types):
            return NotImplemented
        name = ".".join([*func.__module__.split(".")[1:], func.__name__])
        return attrgetter(name)(xp)(*args, **kwargs)

    # what waits for the device

    item, tolist = _reading("item()", np.ndarray.item), _reading("tolist()", np.ndarray.tolist)
    get = _reading("get()", np.array)
    __float__, __int__, __bool__ = (_reading(f"{t.__name__}()", t) for t in (float, int, bool))
    __complex__, __repr__ = _reading("complex()", complex), _reading("repr()", repr)
    __format__ = _reading("format()", format)
    __reduce__ = _reading("pickle", lambda host: (StrictArray, (host,)))

    def __iter__(self) -> Iterator[StrictArray]:
        _sync("iteration")  # CuPy would not wait, but launch a kernel for every element
        return (self[i] for i in range(len(self)))

    # what does not

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, index: Any) -> StrictArray:
        found = self._host[_index(index)]
        _launch("take", not np.may_share_memory(found, self._host))
        return _result(found, [self])

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(value, StrictArray | Scalar):
            raise TypeError(f"cannot assign {type(value)} to device memory")
        self._host[_index(index)] = _host(value)
        _launch("assign")

    def __copy__(self) -> StrictArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> StrictArray:
        return self.__copy__()


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np.ndarray, name)
    return lambda self, *args, **kwargs: _call(f"ndarray.{name}", function, (self, *args), kwargs)


for _name in (
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "compress", "conj", "copy",
    "cumprod", "cumsum", "diagonal", "dot", "fill", "flatten", "max", "mean", "min", "nonzero",
    "prod", "ravel", "repeat", "reshape", "round", "sort", "squeeze", "std", "sum", "swapaxes",
    "take", "trace", "transpose", "var", "view",
):  # fmt: skip
    setattr(StrictArray, _name, _method(_name))
for _name in ("shape", "ndim", "size", "dtype", "itemsize", "nbytes", "strides", "flags"):
    setattr(StrictArray, _name, property(attrgetter(f"_host.{_name}")))
for _name in ("T", "mT", "real", "imag"):
    _view = attrgetter(f"_host.{_name}")
    setattr(StrictArray, _name, property(lambda self, _view=_view: _result(_view(self), [self])))

# --- the namespace ---------------------------------------------------------------------------


class _Ufunc:
    def __init__(self, ufunc: np.ufunc) -> None:
        self._ufunc = ufunc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _call(self._ufunc.__name__, self._ufunc, args, kwargs, elementwise=True)

    def at(self, a: StrictArray, indices: Any, b: Any) -> None:
        if self._ufunc not in (np.add, np.subtract, np.maximum, np.minimum):
            raise NotImplementedError(f"{self._ufunc.__name__}.at: CuPy has none")
        if a.dtype.char not in "iIefdLQ":
            raise TypeError(f"{self._ufunc.__name__}.at: no atomic operation on {a.dtype}")
        if not isinstance(b, StrictArray | Scalar):
            raise TypeError(f"{self._ufunc.__name__}.at: unsupported type {type(b)}")
        self._ufunc.at(a._host, _index(indices), _host(b))
        _launch(f"{self._ufunc.__name__}.at")


class _Namespace:
    """NumPy's names, as far as CuPy has them; NumPy arrays are refused as arguments."""

    def __init__(self, module: Any, prefix: str = "") -> None:
        self._module, self._prefix = module, prefix

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if inspect.ismodule(found):
            return _Namespace(found, f"{self._prefix}{name}.")
        if isinstance(found, np.ufunc):
            return _Ufunc(found)
        if isinstance(found, type) or not callable(found):
            return found  # dtypes and constants
        return lambda *args, **kwargs: _call(self._prefix + name, found, args, kwargs)


class _Generator:
    """What CuPy's random generator has, as far as it is used."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def random(self, size: Any = None, dtype: Any = np.float64) -> StrictArray:
        _launch("random")
        return StrictArray(np.asarray(self._rng.random(size, dtype)))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> StrictArray:
        _launch("standard_normal")
        return StrictArray(np.asarray(self._rng.standard_normal(size, dtype)))


class _Random:
    default_rng = _Generator


class ElementwiseKernel:
    """CuPy's, for a table or addresses, and numbers, its body compiled as C; the last element first."""

    def __init__(self, in_params: str, out_params: str, operation: str, name: str) -> None:
        if cupy is not None:
            cupy.ElementwiseKernel(in_params, out_params, operation, name)  # CuPy can read it
        self.name = name.removeprefix("minireg_")
        ctypes_of = {"raw uint64": ctypes.c_void_p, "uint64": ctypes.c_ulonglong,
                     "float32": ctypes.c_float, "float64": ctypes.c_double}  # fmt: skip
        words = [part.rpartition(" ")[::2] for part in in_params.split(", ")]
        c = {"raw uint64": "const unsigned long long *", "uint64": "unsigned long long ",
             "float32": "float ", "float64": "double "}  # fmt: skip
        arguments = ", ".join(["ptrdiff_t n", *(c[kind] + name for kind, name in words)])
        self.function = in_c(
            f"#include <stddef.h>\n#include <tgmath.h>\nvoid {name}({arguments}) {{\n"
            f"for (ptrdiff_t i = n - 1; i >= 0; i--) {{\n{operation};\n}}\n}}\n",
            name,
        )
        types = [ctypes_of[kind] for kind, _ in words]
        self.function.argtypes = [ctypes.c_ssize_t, *types]

    def __call__(self, *given: Any, size: int) -> None:
        for a in given:
            if not isinstance(a, int | float) and getattr(a, "dtype", None) != np.uint64:
                raise TypeError("the table must be uint64 and on the device")
        _launch(self.name)
        self.function(
            size, *(a._host.ctypes.data if isinstance(a, StrictArray) else a for a in given)
        )


def in_c(source: str, name: str) -> Any:
    """A function of a C source; skips the test where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: kernels cannot be run on the host")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.so")
        command = [compiler, "-x", "c", "-O0", "-ffp-contract=off", "-shared", "-fPIC"]
        warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-parentheses"]
        warnings += ["-Wno-unused-parameter"]  # a projection does not ask how long the step was
        subprocess.run(
            [*command, *warnings, "-o", str(path), "-", "-lm"], input=source.encode(), check=True
        )
        return getattr(ctypes.CDLL(str(path)), name)


class _XP(_Namespace):
    ndarray, random, ElementwiseKernel = StrictArray, _Random, ElementwiseKernel

    @staticmethod
    def asarray(a: Any, dtype: Any = None) -> StrictArray:
        if isinstance(a, StrictArray):
            return a if dtype is None else a.astype(dtype, copy=False)
        _launch("copy to the device")
        return StrictArray(np.array(a, dtype=dtype))  # host and device share no memory

    @staticmethod
    def array(a: Any, dtype: Any = None) -> StrictArray:
        _launch("copy to the device")
        return StrictArray(np.array(_host(a), dtype=dtype))

    @staticmethod
    def where(condition: Any, *args: Any) -> Any:
        if not isinstance(condition, StrictArray):
            raise TypeError("the condition must be an array: CuPy calls its astype")
        return _call("where", np.where, (condition, *args), {}, elementwise=True)


xp = _XP(np)


@contextmanager
def registered(name: str = "strict", fused: bool = False) -> Iterator[backends.Backend]:
    """Inside the block the stand-in is a backend of this name, which may be ``"cupy"``.

    With ``fused`` it takes the package's CUDA kernels. They are counted, not run: what they
    would have computed is whatever lies in memory.
    """
    backend = backends.Backend(name, xp, StrictArray, StrictArray.get)
    with pytest.MonkeyPatch.context() as patch:
        if fused:
            backend = replace(
                backend, address=attrgetter("_host.ctypes.data"), kernels=cuda.KERNELS
            )
            patch.setattr(cuda, "_compiled", lambda source, kernel: partial(_counted, kernel))
            patch.setattr(cuda, "_processors", lambda: 132)
            patch.setattr(kernels, "_compiled", lambda xp, *_: partial(_counted, _[-1]))
        patch.setitem(backends._BACKENDS, name, backend)
        patch.setitem(backends.BY_TYPE, StrictArray, backend)
        yield backend


@contextmanager
def running() -> Iterator[None]:
    """:func:`registered`, and kernels that are recorded are compiled as C and run on the host."""
    with registered() as plain:
        backends.register(replace(plain, address=attrgetter("_host.ctypes.data")))
        yield


def _counted(kernel: str, *_: Any, **__: Any) -> None:
    _launch(kernel.removeprefix("minireg_"))
