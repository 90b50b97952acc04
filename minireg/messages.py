"""What error messages say: which op, given what, called where, and what to do."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import backend as backends
from .backend import is_array, is_tensor, raw

_HERE = str(Path(__file__).parent)


def needed(what: str, module: str, install: str) -> Any:
    """A module of an extra, imported where it is used; ``ImportError`` with the command without it.

    >>> needed("draw needs graphviz", "no_such_module", "'minireg[viz]'")
    Traceback (most recent call last):
    ImportError: draw needs graphviz: pip install 'minireg[viz]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{what}: pip install {install}") from error


def describe(a: Any) -> str:
    """An argument as messages show it: type, shape, dtype and backend of an array.

    >>> describe(np.zeros((2, 3)))
    'ndarray(2, 3) float64 on numpy'
    """
    if not backends.is_array(raw(a)):
        return repr(a)[:60]
    return f"{type(a).__name__}{tuple(a.shape)} {a.dtype} on {backends.of(raw(a)).name}"


# What an option may be: an integer from a least one ("1"), in a range, or any (the type int); a
# number of an interval; one of several choices.
Limit = int | range | type[int] | str | tuple[Any, ...]


def check_option(owner: str, limit: Limit, **values: Any) -> None:
    """``ValueError`` that names ``owner`` and the option unless each value keeps to the limit.

    That is the least integer, a range of integers or ``int`` for all of them, an interval of
    numbers as in ``"(0, 1]"``, or a tuple of choices. No bool is a number.

    >>> check_option("fit", 1, epochs=3, batch_size=64)
    >>> check_option("SGD", "[0, inf)", lr=0.1)
    >>> check_option("MSELoss", ("mean", "sum"), reduction="max")
    Traceback (most recent call last):
    ValueError: MSELoss: reduction must be 'mean' or 'sum', got 'max'
    """
    for name, value in values.items():
        if not within(limit, value):
            raise ValueError(f"{owner}: {name} must be {expected(limit)}, got {value!r}")


def within(limit: Limit, value: Any) -> bool:
    """Whether a value keeps to its limit, see :func:`check_option`.

    >>> within("(0, 1]", 0.0), within(1, 3), within(1, 3.0), within(range(2), True)
    (False, True, False, False)
    """
    if isinstance(limit, tuple):
        return not getattr(value, "ndim", 0) and value in limit
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return False
    if isinstance(limit, str):
        low, high, ends = _bounds(limit)
        return bool(low < value < high or value in ends)
    if not isinstance(value, int | np.integer):
        return False
    if isinstance(limit, range):
        return value in limit
    return isinstance(limit, type) or bool(value >= limit)


def expected(limit: Limit) -> str:
    """The limit in words.

    >>> expected("(0, inf)"), expected(1), expected(("mean", "sum"))
    ('a finite number > 0', 'an integer ≥ 1', "'mean' or 'sum'")
    """
    if isinstance(limit, tuple):
        *first, last = map(repr, limit)
        return f"{', '.join(first)} or {last}"
    if isinstance(limit, range):
        return f"an integer in [{limit[0]}, {limit[-1]}]"
    if isinstance(limit, int):
        return f"an integer ≥ {limit}"
    if isinstance(limit, type):
        return "an integer"
    unbounded = {"[0, inf)": "a finite number ≥ 0", "(0, inf)": "a finite number > 0"}
    return unbounded.get(limit, f"in {limit}")


@cache
def _bounds(interval: str) -> tuple[float, float, list[float]]:
    """Its ends, and those of them that belong to it."""
    low, high = map(float, interval[1:-1].split(","))
    ends = ((low, interval[0] == "["), (high, interval[-1] == "]"))
    return low, high, [end for end, closed in ends if closed]


def check_kind(owner: str, kind: type, hint: str = "", **values: Any) -> None:
    """``TypeError`` unless each value is of this kind; the hint says what to write instead.

    >>> check_kind("Ledger", dict, "write {}", options=[])
    Traceback (most recent call last):
    TypeError: Ledger: options must be a dict, got []; write {}
    """
    a = "an" if kind.__name__[0] in "AEIOU" else "a"
    for name, value in values.items():
        if not isinstance(value, kind):
            got = f"{value!r:.80}{'; ' if hint else ''}{hint}"
            raise TypeError(f"{owner}: {name} must be {a} {kind.__name__}, got {got}")


def check_shape(owner: str, shape: tuple[int, ...], **arrays: Any) -> None:
    """``ValueError`` unless each array (or None) has this shape.

    >>> check_shape("conv2d", (3,), bias=np.zeros(2))
    Traceback (most recent call last):
    ValueError: conv2d: got bias of shape (2,), expected (3,)
    """
    for name, a in arrays.items():
        if a is not None and tuple(a.shape) != shape:
            raise ValueError(f"{owner}: got {name} of shape {tuple(a.shape)}, expected {shape}")


# What people who know PyTorch write, and what it is here. One entry a name: of a Tensor ("t."),
# of a module ("model."), of the package ("mr.").
HINTS = {
    "t.view": "t.reshape(…)", "t.view_as": "t.reshape(other.shape)", "t.dim": "t.ndim",
    "t.numel": "t.size, a number", "t.unsqueeze": "t.expand_dims(axis)", "t.permute": "t.transpose(…)",
    "t.t": "t.T", "t.contiguous": "not needed", "t.expand": "t.broadcast_to(shape)",
    "t.flatten": "t.ravel() or t.reshape(len(t), -1)", "t.clone": "t.copy()", "t.clamp": "t.clip(low, high)",
    "t.cpu": 't.to("numpy")', "t.cuda": 't.to("cupy")', "t.device": "t.backend",
    "t.float": 't.astype("float32")', "t.double": 't.astype("float64")', "t.half": 't.astype("float16")',
    "t.long": 't.astype("int64")', "t.int": 't.astype("int32")', "t.bool": 't.astype("bool")',
    "t.type": "t.astype(dtype)", "t.tolist": "t.numpy().tolist()", "t.mm": "t @ other", "t.bmm": "t @ other",
    "t.norm": "mr.linalg.norm(t)", "t.chunk": "mr.split(t, n)", "t.masked_fill": "mr.where(mask, value, t)",
    "t.gather": "t.take_along_axis(indices, axis)", "t.index_select": "t.take(indices, axis)",
    "t.detach_": "t.detach()", "t.copy_": "t.assign(x)", "t.fill_": "t.assign(x)", "t.zero_": "t.assign(0)",
    "t.add_": "t += x", "t.sub_": "t -= x", "t.mul_": "t *= x", "t.div_": "t /= x",
    "model.cpu": 'model.to("numpy")', "model.cuda": 'model.to("cupy")', "model.half": "model.to(np.float16)",
    "model.register_buffer": "self.name = mr.tensor(…)", "model.add_module": "self.name = module",
    "model.register_parameter": "self.name = nn.Parameter(…)",
    "mr.cat": "mr.concatenate(arrays, axis)", "mr.from_numpy": "mr.tensor(array), which shares its memory",
    "mr.as_tensor": "mr.tensor(x)", "mr.from_dlpack": "mr.tensor(x)",
    "mr.zeros": "mr.tensor(np.zeros(shape, np.float32))", "mr.ones": "mr.tensor(np.ones(shape, np.float32))",
    "mr.full": "mr.tensor(np.full(shape, value, np.float32))",
    "mr.eye": "mr.tensor(np.eye(n, dtype=np.float32))", "mr.autograd": "mr.grad(outputs, inputs)",
    "mr.arange": "mr.tensor(np.arange(n))", "mr.linspace": "mr.tensor(np.linspace(a, b, n))",
    "mr.randn": "mr.tensor(np.random.default_rng(seed).standard_normal(shape, np.float32))",
    "mr.rand": "mr.tensor(np.random.default_rng(seed).random(shape, np.float32))",
    "mr.randint": "mr.tensor(np.random.default_rng(seed).integers(low, high, shape))",
    "mr.clamp": "mr.clip(x, low, high)", "mr.unsqueeze": "mr.expand_dims(x, axis)",
    "mr.permute": "mr.transpose(x, axes)", "mr.norm": "mr.linalg.norm(x)", "mr.numel": "x.size",
    "mr.mm": "a @ b", "mr.bmm": "a @ b", "mr.gather": "mr.take_along_axis(x, indices, axis)",
    "mr.float32": "np.float32", "mr.float64": "np.float64", "mr.int64": "np.int64", "mr.long": "np.int64",
    "mr.device": '"numpy" or "cupy"', "mr.Generator": "mr.random.Stream(name, seed)",
    "mr.set_grad_enabled": "with mr.no_grad():", "mr.inference_mode": "with mr.no_grad():",
}  # fmt: skip


def missing(owner: str, kind: str, name: str) -> AttributeError:
    """The error for an attribute that a Tensor "t", a module "model" or the package "mr" lacks.

    >>> print(missing("mr", "module 'minireg'", "cat"))
    module 'minireg' has no attribute 'cat'; here it is mr.concatenate(arrays, axis)
    """
    hint = HINTS.get(f"{owner}.{name}")
    return AttributeError(
        f"{kind} has no attribute {name!r}{f'; here it is {hint}' if hint else ''}"
    )


class Lacking:
    """What PyTorch's tensors have; a ``__getattr__`` would slow down every other attribute."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, t: Any, owner: type) -> Any:
        raise missing("t", f"{owner.__name__!r} object", self.name)


def check_parameters(owner: str, parameters: Any) -> None:
    """``TypeError`` for a module, or its method, in place of its parameters."""
    if hasattr(parameters, "parameters"):
        got, fix = f"a module ({type(parameters).__name__})", "model.parameters()"
    elif callable(parameters):
        name = getattr(parameters, "__name__", "a function")
        got, fix = f"{name} itself", "the call, model.parameters()"
    else:
        return
    raise TypeError(f"{owner}: expected parameters, got {got}; pass {fix}")


def check_mapping(owner: str, name: str, value: Any, example: str) -> None:
    """``TypeError`` for anything else in place of a mapping, showing how one is written.

    >>> check_mapping("Objective", "penalties", {}, '{"l2": L2(1e-4)}')
    """
    if not isinstance(value, Mapping):
        got = f"a {type(value).__name__}"
        raise TypeError(f"{owner}: {name} must be a mapping by name, got {got}; write {example}")


def explained(
    error: Exception, name: str, args: Sequence[Any], options: Mapping[str, Any] = {}
) -> Exception:
    """The same error, saying which op was given what."""
    homes = {backends.of(raw(a)).name for a in args if backends.is_array(raw(a))}
    got = ", ".join([*map(describe, args), *(f"{k}={describe(v)}" for k, v in options.items())])
    if len(homes) > 1:
        return TypeError(
            f"{name}: operands live on different backends, got ({got}); "
            f"move one first, for example x.to({sorted(homes)[-1]!r})"
        )
    kinds = (ValueError, TypeError, IndexError, np.linalg.LinAlgError)
    other = TypeError if isinstance(error, AttributeError) else ValueError  # of what is no array
    kind = type(error) if type(error) in kinds else other
    text = re.sub(r"^[\w.<>]+\(\) ", "", str(error))  # the Python function behind the op
    return kind(f"{name}: {text.removeprefix(f'{name}: ')}; got ({got})")


def caller() -> str:
    """``file:line`` of the innermost frame outside minireg."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _non_finite(x: Any) -> str:
    """'2 non-finite values of 6', or '' if there is none."""
    a = raw(x)
    bad = int((~np.isfinite(a)).sum()) if a.dtype.kind in "fc" else 0
    return f"{bad} non-finite value{'s' * (bad > 1)} of {a.size}" if bad else ""


def check_forward(name: str, result: Any, args: Sequence[Any]) -> str:
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


def check_castable(name: str, value: Any, dtype: Any) -> None:
    """``TypeError`` unless an array of ``dtype`` can hold the values of the array ``value``."""
    if not np.can_cast(value.dtype, dtype, "same_kind"):
        raise TypeError(
            f"{name}: value must be of a type that dtype {dtype} can hold, got "
            f"{value.dtype}; convert one of them with .astype(…)"
        )


# --- what a backward pass starts from and leads to ---------------------------------------------------


def check_output(name: str, output: Any, gradient: Any) -> None:
    """``TypeError`` or ``RuntimeError`` unless a backward pass can start from ``output``."""
    if not is_tensor(output):
        raise TypeError(f"{name}: expected a Tensor, got {type(output).__name__}")
    if not output.requires_grad:
        raise RuntimeError(
            f"{name}: the output does not depend on anything that requires a gradient; set "
            "requires_grad=True on the inputs and stay outside no_grad()"
        )
    if gradient is None and output.size != 1:
        raise RuntimeError(
            f"{name}: got an output of shape {output.shape}, expected a scalar; reduce it "
            "(for example .sum()) or pass the gradient that weighs its elements"
        )


def check_seed(name: str, output: Any, gradient: Any, given: Any) -> None:
    """``TypeError`` or ``ValueError`` unless ``gradient``, made of what was given, fits ``output``."""
    if getattr(gradient, "dtype", np.dtype(object)).kind not in "biufc":
        raise TypeError(
            f"{name}: the gradient must be a Tensor, an array or numbers of the output's shape "
            f"{output.shape}, got {given!r:.60}"
        )
    if is_tensor(gradient) and gradient.backend != output.backend:
        raise TypeError(
            f"{name}: got a gradient on {gradient.backend} for an output on {output.backend}; "
            f"pass gradient.to({output.backend!r})"
        )
    if gradient.shape != output.shape:
        raise ValueError(
            f"{name}: got a gradient of shape {gradient.shape} for an output of {output.shape}"
        )
    if gradient.dtype.kind == "c" and output.dtype.kind != "c":
        raise TypeError(
            f"{name}: got a gradient of {gradient.dtype} for an output of {output.dtype}, expected "
            "real numbers"
        )


def freed(name: str) -> RuntimeError:
    """The error of a backward pass through an op whose arguments are gone."""
    return RuntimeError(
        f"second backward through {name!r}, whose graph was freed by the first; pass "
        "retain_graph=True to the first, or compute the loss again"
    )


def changed(name: str, i: int, shape: tuple[int, ...]) -> RuntimeError:
    """The error of a backward pass through an op whose argument ``i`` is another by now."""
    return RuntimeError(
        f"{name!r} needs argument {i} of shape {shape} as it was in the forward pass, but it was "
        "changed in place since; run backward before the update, or update a copy"
    )


def hooked(shape: tuple[int, ...], expected: tuple[int, ...]) -> ValueError:
    """The error of a hook that returned a gradient of another shape."""
    return ValueError(
        f"backward: a hook returned a gradient of shape {shape} for one of {expected}; "
        "return the same shape, or None to change nothing"
    )


def unequal(shape: tuple[int, ...], old: tuple[int, ...]) -> ValueError:
    """The error of a leaf whose ``.grad`` has another shape."""
    return ValueError(
        f"backward: the leaf of shape {shape} has a .grad of shape {old}, to which "
        "nothing can be added; set it to None or to a Tensor of the leaf's shape"
    )


def unused(i: int, shape: tuple[int, ...]) -> RuntimeError:
    """The error of ``grad`` at an input that nothing depends on."""
    return RuntimeError(
        f"grad: input {i} of shape {shape} was not used in the outputs (or does "
        "not require a gradient); pass allow_unused=True to get None for it"
    )


def check_real(name: str, gradient: Any) -> None:
    """``TypeError`` for complex numbers, for which the rules were not written."""
    if gradient.dtype.kind == "c":
        raise TypeError(
            f"{name}: no gradient goes through complex numbers; write them as two real tensors"
        )


def as_tensors(name: str, inputs: Any) -> list[Any]:
    """What to differentiate at, one Tensor or several, as a list; ``TypeError`` for anything else."""
    if is_tensor(inputs):
        return [inputs]
    several = isinstance(inputs, list | tuple) or (
        hasattr(inputs, "__iter__") and not isinstance(inputs, Mapping) and not is_array(inputs)
    )
    found = list(inputs) if several else [inputs]
    for position, x in enumerate(found):
        if not is_tensor(x):
            what = f"input {position} must be a Tensor" if several else "inputs must be Tensors"
            fix = "its values()" if isinstance(x, Mapping) else "what outputs was made from"
            raise TypeError(f"{name}: {what}, got {type(x).__name__}; pass {fix}")
    return found
