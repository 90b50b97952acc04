"""The table of derivatives: what an entry is, how one is made, and NumPy's way to it.

An op is an entry: its value, and for each input the rule that turns the gradient ``g`` of
the result ``y`` into the gradient of that input. **A rule is read two ways**: given raw
arrays it *is* NumPy (or CuPy); under ``create_graph=True`` the same line receives Tensors
and records itself, so any order of derivative works and nothing is paid otherwise.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, TypeAlias

import numpy as np

from ..backend import BY_TYPE, as_array, has_kernel, is_array, unscalar
from ..messages import check_forward, explained
from ..mode import ANOMALY, RECORD, state
from ..tensor import Node, Tensor, next_seq
from . import signatures

Needs = Container[int]  # the positions of the inputs whose gradients a fused backward is to give


@dataclass(slots=True, eq=False)
class Op:
    """An entry of the table of derivatives; :func:`op` makes one, and documents fields and errors.

    >>> import minireg as mr
    >>> mr.ops.TABLE["exp"]
    Op(exp: \\bar x = \\bar y\\,y)
    """

    name: str
    value: Callable[..., Any]
    rules: Sequence[Callable[..., Any] | None]
    each: Callable[..., Any] | None
    formula: str
    samples: Callable[..., Any] | None
    definition: Callable[..., Any] | None
    backward: Callable[..., Any] | None
    kink: str
    cost: str
    function: Callable[..., Any]

    @property
    def differentiable(self) -> bool:
        """Whether a result of it can require a gradient."""
        return bool(self.rules or self.each or self.backward)

    def variadic_rule(self, i: int) -> Callable[..., Any]:
        """The rule of input ``i`` of a variadic op; ``TypeError`` where there is none."""
        if self.each is None:
            raise TypeError(
                f"{self.name}: not differentiable with respect to argument {i}; "
                "pass it as .detach()"
            )
        return partial(self.each, i)

    def __repr__(self) -> str:
        return f"Op({self.name}: {self.formula})"


_PLAIN = {np.ndarray, int, float, bool, tuple, list, type(None), str, slice}  # no look at these


def _root(y: Any, p: Tensor) -> Tensor | None:
    """The leaf whose memory the array ``y``, a result of p, shares."""
    x = p.data
    shares = y is x or y.base is x or (y.base is x.base and x.base is not None)
    leaf = p if p._node is None and p._root is None else p._root
    return leaf if shares else None


TABLE: dict[str, Op] = {}
NUMPY: dict[Any, Callable[..., Any]] = {}  # what NumPy's own functions do on a Tensor


def op(
    name: str,
    value: Callable[..., Any],
    *rules: Callable[..., Any] | None,
    formula: str = "",
    samples: Callable[..., Any] | None = None,
    numpy: Any = None,
    each: Callable[..., Any] | None = None,
    definition: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
    kink: str = "",
    cost: str = "n",
    kernel: bool = False,
) -> Callable[..., Any]:
    r"""Enter an op into the table and return its function.

    A name that you entered before is entered anew; ``ValueError`` for one of minireg's own.

    Parameters
    ----------
    value : computes the result from raw arrays (for a fused op: result, saved).
    rules : for each input ``rule(g, y, *inputs, **keywords)`` gives its gradient, in
        operators, NumPy functions and other ops only; None where there is none. The
        engine sums or broadcasts what it returns to the input's shape and dtype.
    formula : LaTeX of the rules, with :math:`\bar x` for the gradient of x.
    samples : ``samples(rng)`` gives a list of argument tuples (a trailing dict is keywords)
        away from kinks; the generated tests draw from it.
    numpy : the NumPy function that this op answers for when called on a Tensor
        (default: ``value`` itself when that is one).
    each : for variadic ops, one rule ``each(i, g, y, *inputs, **keywords)``.
    definition : for a fused op, the textbook formula in other ops; it replaces the fast
        ``backward(g, y, saved, needs, *inputs, **keywords)`` under ``create_graph``. ``needs``
        holds the positions of the inputs that need a gradient.
    kink : the documented choice where the op is not differentiable.
    cost : LaTeX of the operations that value and rules take, n the size of the largest array.
    kernel : whether a backend may have a kernel of this name (:func:`~minireg.backend.has_kernel`),
        which takes the place of a fused op's value and returns (result, ``backward(g, needs)``).

    >>> import minireg as mr
    >>> cube = op("cube", lambda x: x * x * x, lambda g, y, x: g * 3 * x**2)
    >>> x = mr.tensor(2.0, requires_grad=True)
    >>> cube(x).backward(); x.grad.item()
    12.0
    >>> del TABLE["cube"]
    """
    package, _, _ = __name__.partition(".")
    if name in TABLE and TABLE[name].function.__module__.startswith(f"{package}."):
        raise ValueError(f"op: {name!r} is an op of {package} itself; choose another name")
    fused, differentiable = backward is not None, bool(rules or each or backward)
    if kernel and backward is not None:
        value, backward = has_kernel(name)(value), _by_kernel(backward)
    new, seq, record, ndarray, plain = object.__new__, next_seq, RECORD, np.ndarray, _PLAIN

    def call(*args: Any, **kw: Any) -> Any:
        raw: list[Any] = []
        parents: list[tuple[int, Tensor]] = []
        recorded, i = False, 0
        for a in args:
            if isinstance(a, Tensor):
                raw.append(a.data)
                parents.append((i, a))
                if a.requires_grad:
                    recorded = differentiable
            else:
                if type(a) not in plain and hasattr(type(a), "__array__") and not is_array(a):
                    a = as_array(a, name)  # another library's
                raw.append(a)
            i += 1
        try:
            y = value(*raw, **kw)
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            if again := _adapted(call, args, kw):
                return call(*again[0], **again[1])
            raise explained(error, name, args, kw) from error
        saved = place = None
        if fused:
            y, saved = y
        if not parents:
            return y
        if type(y) is not ndarray:
            y = unscalar(y)
            if isinstance(y, Tensor):  # one was given by keyword
                if again := _adapted(call, args, kw):
                    return call(*again[0], **again[1])
                raise explained(TypeError("an option got a Tensor"), name, args, kw)
        t = new(Tensor)
        t.data = y
        t.grad = t._hooks = t._root = t._node = None
        if (y.base is not None or y is raw[0]) and len(parents) == 1:
            t._root = _root(y, parents[0][1])
        t._seq = seq()
        if (mode := state.mode) != record:
            place = check_forward(name, t, args) if mode & ANOMALY else None
            recorded = recorded and bool(mode & record)
        t.requires_grad = recorded
        if recorded:
            node = t._node = new(Node)
            node.op = entry
            node.args = raw
            node.parents = parents
            node.options = kw
            node.saved = saved
            node.place = place
        return t

    call.__name__ = call.__qualname__ = name
    call.__module__ = sys._getframe(1).f_globals.get("__name__", "")  # its family
    described = vars(signatures).get(name)
    call.__wrapped__ = described or value  # type: ignore[attr-defined]  # whose signature it has
    gradient = f"Gradient: {formula}" + (f"; at kinks: {kink}" if kink else "")
    call.__doc__ = f"{inspect.cleandoc(described.__doc__)}\n\n{gradient}" if described else gradient
    entry = TABLE[name] = Op(
        name, value, rules, each, formula, samples, definition, backward, kink, cost, call
    )
    answered = numpy or value
    is_numpy = numpy or isinstance(value, np.ufunc) or value.__module__ == "numpy"
    if is_numpy and NUMPY.get(answered, call).__name__ == name:  # the first op keeps it
        NUMPY[answered] = call
    return call


def _by_kernel(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Where a kernel gave the result, what it saved is its own backward."""

    def call(g: Any, y: Any, saved: Any, needs: Needs, *inputs: Any, **kw: Any) -> Any:
        if callable(saved):
            return saved(g, needs)
        return backward(g, y, saved, needs, *inputs, **kw)

    return call


def array_of(x: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return x.data if isinstance(x, Tensor) else x


def held(x: Any) -> Any:
    """The array of a Tensor as it is now, whatever changes in place later; anything else as it is."""
    return x.data.copy() if isinstance(x, Tensor) else x


HALF = np.dtype(np.float16)


def wide(x: Any) -> Any:
    """Half precision, which squares of 256 and counts of 65,520 overflow, as single; else x."""
    return x.astype(np.float32) if x.dtype == HALF else x


def as_numpy(x: Any) -> Any:
    """A list or number as the array that NumPy takes it for."""
    return x if hasattr(x, "ndim") else np.asarray(x)


def ratio(a: Any, b: Any, zero: Any = None) -> Any:
    """a/b, and 0 where ``zero``: without it, where b = 0."""
    zero = b == 0 if zero is None else zero
    return np.where(zero, 0, a / np.where(zero, 1, b))


def real(name: str, x: Any) -> None:
    """``TypeError`` for complex numbers, which have no order."""
    if x.dtype.kind == "c":
        raise TypeError(
            f"{name}: got complex numbers, expected real ones; take .data.real or .data.imag"
        )


# What functions take, as a reader and the stubs see it (NumPy's types); in here mathematics is the
# same of arrays and of Tensors.
ArrayLike: TypeAlias = Any

# --- what stands for an array, and other words for an option ----------------------------------------


def array_like(x: Any, name: str, floats: Any = np.float32) -> Any:
    """``x`` if it is a Tensor or an array, else as one (:func:`~minireg.backend.as_array`).

    Tensors in a list are stacked, and the stack is recorded.
    """
    if isinstance(x, Tensor) or type(x) in BY_TYPE:
        return x
    if isinstance(x, list | tuple) and _holds_tensors(x):
        return TABLE["stack"].function(*(array_like(e, name, floats) for e in x))
    return as_array(x, name, floats)


def _holds_tensors(x: Any) -> bool:
    return isinstance(x, Tensor) or (
        isinstance(x, list | tuple)
        and (any(isinstance(e, Tensor) for e in x) or (len(x) > 0 and _holds_tensors(x[0])))
    )


_PYTORCH: dict[str, str] = {"dim": "axis", "keepdim": "keepdims"}


def _adapted(
    function: Callable[..., Any], args: Any, kw: Mapping[str, Any], lists: bool = True
) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments once more, of which NumPy could make nothing; None if there is no other way.

    Lists in place of an array become one, PyTorch's words NumPy's; and arrays given by keyword go to
    their place, where those that are Tensors are recorded.
    """
    signed = inspect.signature(function).parameters.values()
    parameters = [p for p in signed if p.kind is p.POSITIONAL_OR_KEYWORD]
    names = [p.name for p in parameters if p.annotation == "ArrayLike"]
    if not names:  # an op without a signature here: what has a rule; of a fused one everything
        entry = TABLE.get(function.__name__)
        names = [p.name for p in parameters[: (len(entry.rules) or None) if entry else 1]]
    given = {_PYTORCH.get(k, k): v for k, v in kw.items()}
    if len(names) <= 2:
        words: dict[str, str] = dict(zip(("input", "other"), names, strict=False))
        given = {words.get(k, k): v for k, v in given.items()}
    found = list(args)
    for name in names[len(found) :]:
        if name not in given:
            break
        found.append(given.pop(name))
    for i, a in enumerate(found if lists else ()):
        if isinstance(a, list | tuple) and i < len(names):
            found[i] = array_like(a, function.__name__)
    same = given == kw and all(a is b for a, b in zip(found, args, strict=False))
    return None if same and len(found) == len(args) else (found, given)


# --- NumPy's own functions on a Tensor ---------------------------------------------------------


def answers_for(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the composed function answers for these NumPy functions on a Tensor.

    It takes what an op takes: lists for arrays, ``dim`` for ``axis``.
    """

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kw: Any) -> Any:
            try:
                return function(*args, **kw)
            except (TypeError, AttributeError) as error:
                if again := _adapted(function, args, kw, isinstance(error, AttributeError)):
                    return function(*again[0], **again[1])
                if isinstance(error, TypeError):
                    raise
                raise explained(error, function.__name__, args, kw) from error

        NUMPY.update(dict.fromkeys(functions, call))
        return call

    return enter


answers_for(np.shape)(lambda t: t.shape)
answers_for(np.ndim)(lambda t: t.ndim)
answers_for(np.size)(lambda t, axis=None: t.size if axis is None else t.shape[axis])
answers_for(np.divmod)(lambda a, b: (a // b, a % b))
answers_for(np.iscomplexobj)(lambda t: t.dtype.kind == "c")
answers_for(np.isrealobj)(lambda t: t.dtype.kind != "c")
for _like in (np.zeros_like, np.ones_like, np.empty_like, np.full_like):
    answers_for(_like)(lambda t, *fill, f=_like, **options: Tensor(f(t.data, *fill, **options)))


def _answer(func: Any, name: str, refused: Any = ()) -> Callable[..., Any]:
    if func in NUMPY and not refused:
        return NUMPY[func]
    raise TypeError(
        f"np.{name}{''.join(f' with {k}=' for k in refused)} would drop the graph: use an op of the "
        "table (minireg.ops.TABLE), add one with minireg.op, or pass t.numpy()"
    )


def array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
    """``np.exp(t)``: the recorded op."""
    called = method == "__call__"
    name = ufunc.__name__ if called else f"{ufunc.__name__}.{method}"
    return _answer(ufunc if called else None, name, keywords)(*inputs)


def array_function(self: Any, func: Any, types: Any, args: Any, keywords: Any) -> Any:
    """``np.sum(t)``: the recorded op."""
    module = func.__module__.partition(".")[2]
    name = f"{module}.{func.__name__}" if module else func.__name__
    out = {"out"} if keywords.get("out") is not None else ()
    answer = _answer(func, name, out)
    args, keywords = _adapted(answer, args, keywords, lists=False) or (args, keywords)
    return answer(*args, **keywords)
