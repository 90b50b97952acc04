"""Recording and backpropagation.

An op is an entry of a table: its value, and for each input the rule that turns the
gradient ``g`` of the result ``y`` into the gradient of that input. **A rule is read two
ways**: given raw arrays it *is* NumPy (or CuPy); with ``create_graph=True`` the same
line receives Tensors and records itself, so any order of derivative works and nothing is
paid otherwise. What rules would repeat, the engine does once: unbroadcasting, dtypes,
skipping what is not needed, accumulating, freeing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from . import backend as backends
from .tensor import RETAIN, Tensor, next_seq

RECORD, ANOMALY = 1, 2


class _State(threading.local):
    mode = RECORD  # bit RECORD: operations are recorded; bit ANOMALY: results are checked


_state = _State()
_new = object.__new__
_seq = attrgetter("_seq")


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return bool(_state.mode & RECORD)


@contextmanager
def _mode(on: int = 0, off: int = 0) -> Iterator[None]:
    before = _state.mode
    _state.mode = (before | on) & ~off
    try:
        yield
    finally:
        _state.mode = before


def no_grad() -> Any:
    """Context manager and decorator: record nothing inside.

    >>> from minireg import tensor
    >>> w = tensor([1.0], requires_grad=True)
    >>> with no_grad(): (w * 2).requires_grad
    False
    """
    return _mode(off=RECORD)


def enable_grad() -> Any:
    """Context manager and decorator: record again inside a ``no_grad`` block."""
    return _mode(on=RECORD)


def detect_anomaly() -> Any:
    """Context manager: the first NaN or Inf raises, naming the forward op and its line.

    >>> import minireg as mr, numpy as np
    >>> with np.errstate(divide="ignore"), mr.detect_anomaly():
    ...     mr.log(mr.tensor([0.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FloatingPointError: log produced 1 non-finite value of 1, called at <doctest ...>:2...
    """
    return _mode(on=ANOMALY)


class Op:
    """An entry of the table of derivatives.

    A recorded tensor's node is the tuple ``(op, raw arguments, [(position, parent), …],
    keyword arguments, saved, place)``; ``freed`` replaces it once backward has used it.
    """

    __slots__ = (
        "name", "value", "rules", "formula", "samples", "definition", "fused_backward",
        "kink", "function", "freed",
    )  # fmt: skip

    name: str
    value: Callable[..., Any]
    rules: Sequence[Callable[..., Any]]
    formula: str
    samples: Callable[..., Any] | None
    definition: Callable[..., Any] | None
    fused_backward: Callable[..., Any] | None
    kink: str
    function: Callable[..., Any]
    freed: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"Op({self.name}: {self.formula})"


class _Each(Sequence[Callable[..., Any]]):
    """The rules of a variadic op: one rule that is told which input it is for."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        self.rule = rule

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, i: Any) -> Any:
        return partial(self.rule, i)


def _no_rule(name: str, i: int) -> Callable[..., Any]:
    def rule(*_: Any, **__: Any) -> Any:
        raise TypeError(
            f"{name}: not differentiable with respect to argument {i}; pass it as .detach()"
        )

    return rule


TABLE: dict[str, Op] = {}
_NUMPY: dict[Any, Callable[..., Any]] = {}


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
) -> Callable[..., Any]:
    r"""Enter an op into the table and return its function.

    Parameters
    ----------
    value : computes the result from raw arrays (for a fused op: result, saved).
    rules : for each input ``rule(g, y, *inputs, **keywords)`` gives its gradient, in
        operators, NumPy functions and other ops only; None where there is none. The
        engine sums or broadcasts what it returns to the input's shape and dtype.
    formula : LaTeX of the rules, with :math:`\bar x` for the gradient of x.
    samples : ``samples(rng)`` yields argument tuples (a trailing dict is keywords) away
        from kinks; the generated tests draw from it.
    numpy : the NumPy function that this op answers for when called on a Tensor
        (default: ``value`` itself when that is one).
    each : for variadic ops, one rule ``each(i, g, y, *inputs, **keywords)``.
    definition : for a fused op, the textbook formula in other ops; it replaces the fast
        ``backward(g, y, saved, needs, *inputs, **keywords)`` under ``create_graph``.
    kink : the documented choice where the op is not differentiable.

    >>> import minireg as mr
    >>> cube = op("cube", lambda x: x * x * x, lambda g, y, x: g * 3 * x**2)
    >>> x = mr.tensor(2.0, requires_grad=True)
    >>> cube(x).backward(); x.grad.item()
    12.0
    """
    entry = Op()
    entry.name, entry.value = name, value
    entry.rules = _Each(each) if each else [r or _no_rule(name, i) for i, r in enumerate(rules)]
    entry.formula, entry.samples, entry.kink = formula, samples, kink
    entry.definition, entry.fused_backward = definition, backward
    entry.freed = (entry, None, (), None, None, None)
    fused, differentiable = backward is not None, bool(rules or each or backward)
    state, new, seq, record, ndarray = _state, _new, next_seq, RECORD, np.ndarray

    def call(*args: Any, **kw: Any) -> Any:
        raw: list[Any] = []
        parents: list[tuple[int, Tensor]] = []
        is_tensor, i = False, 0
        for a in args:
            if isinstance(a, Tensor):
                is_tensor = True
                raw.append(a.data)
                if a.requires_grad:
                    parents.append((i, a))
            else:
                raw.append(a)
            i += 1
        try:
            y = value(*raw, **kw)
        except (ValueError, TypeError, IndexError) as error:
            raise _explain(error, name, args) from error
        saved = None
        if fused:
            y, saved = y
        if not is_tensor:
            return y
        t = new(Tensor)
        t.data = y if type(y) is ndarray else _as_array(y)
        t.grad = t._hooks = None
        t._seq = seq()
        if (mode := state.mode) != record:
            place = _check(entry, t, args) if mode & ANOMALY else None
            parents = parents if mode & record else []
        else:
            place = None
        if parents and differentiable:
            t.requires_grad = True
            t._node = (entry, raw, parents, kw, saved, place)
        else:
            t.requires_grad = False
            t._node = None
        return t

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{name}: {formula}" + (f"\n\nKink: {kink}" if kink else "")
    entry.function = call
    TABLE[name] = entry
    if (
        numpy is not None
        or getattr(value, "__module__", "") == "numpy"
        or isinstance(value, np.ufunc)
    ):
        _NUMPY[numpy or value] = call
    return call


def numpy_function(func: Any, name: str, kw: dict[str, Any]) -> Callable[..., Any]:
    """The op that answers for NumPy's ``func`` on a Tensor; never drops the graph."""
    if func in _NUMPY and "." not in name and kw.get("out") is None:
        return _NUMPY[func]
    raise TypeError(
        f"np.{name}{' with out=' * (kw.get('out') is not None)} would drop the graph: use an op "
        "of the table (minireg.ops.TABLE), add one with minireg.op, or pass t.numpy()"
    )


def answers_for(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the composed function answers for these NumPy functions on a Tensor."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        _NUMPY.update(dict.fromkeys(functions, function))
        return function

    return enter


def _as_array(y: Any) -> Any:
    return np.asarray(y) if isinstance(y, np.generic | float | int | complex) else y


# --- errors and anomalies ------------------------------------------------------------------


def _describe(a: Any) -> str:
    if isinstance(a, Tensor) or hasattr(a, "shape"):
        raw = a.data if isinstance(a, Tensor) else a
        return f"{type(a).__name__}{tuple(a.shape)} {a.dtype} on {backends.of(raw).name}"
    return repr(a)[:60]


def _explain(error: Exception, name: str, args: Sequence[Any]) -> Exception:
    """The same error, saying which op was given what."""
    raws = [a.data if isinstance(a, Tensor) else a for a in args]
    homes = {backends.of(a).name for a in raws if hasattr(a, "shape")}
    got = ", ".join(_describe(a) for a in args)
    if len(homes) > 1:
        return TypeError(
            f"{name}: operands live on different backends, got ({got}); "
            f"move one first, for example x.to({sorted(homes)[-1]!r})"
        )
    kind = type(error) if type(error) in (ValueError, TypeError, IndexError) else ValueError
    return kind(f"{name}: {error}; got ({got})")


def _caller() -> str:
    here = str(Path(__file__).parent)
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(here):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _check(entry: Op, t: Tensor, args: Sequence[Any]) -> str:
    place = _caller()
    if t.dtype.kind in "fc" and (bad := int((~np.isfinite(t.data)).sum())):
        raise FloatingPointError(
            f"{entry.name} produced {bad} non-finite value{'s' * (bad > 1)} of {t.size}, "
            f"called at {place} with ({', '.join(map(_describe, args))})"
        )
    return place


# --- backpropagation -----------------------------------------------------------------------


def _fit(d: Any, shape: tuple[int, ...]) -> Any:
    """Undo (or do) broadcasting: make gradient ``d`` have the input's ``shape``."""
    extra = d.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i for i, n in enumerate(shape, extra) if i >= 0 and n == 1 and d.shape[i] != 1
    )
    if axes:
        d = d.sum(axis=axes, keepdims=True)
        d = d.reshape(d.shape[extra:]) if extra > 0 else d
    return d if d.shape == shape else np.broadcast_to(d, shape)


def _shared(d: Any, g: Any) -> bool:
    """Whether array ``d`` may alias another gradient (it is ``g``, or a view of something)."""
    return d is g or d.base is not None


def _replay(entry: Op, g: Tensor, node: tuple[Any, ...]) -> list[Any]:
    """Gradients of a fused op through its definition, themselves differentiable."""
    _, raw, parents, kw, _, _ = node
    args, shadows = list(raw), []
    for i, p in parents:  # a shadow is a fresh node equal to p, so that only this op's
        args[i] = shadow = _identity(p)  # partial derivative is taken when p feeds p'
        shadows.append(shadow)
    assert entry.definition is not None
    found = backprop([entry.definition(*args, **kw)], [g], shadows, True, True)
    return [found.get(shadow) for shadow in shadows]


def backprop(
    roots: Sequence[Tensor],
    gradients: Sequence[Any],
    targets: Sequence[Tensor] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> dict[Tensor, Any]:
    """Carry ``gradients`` of ``roots`` back through the graph.

    Without ``targets`` every leaf that requires it accumulates its ``.grad``; with them
    nothing is written and the result maps each reached target to its gradient. Gradients
    are raw arrays, or Tensors under ``create_graph``.
    """
    seen, stack = set(roots), list(roots)
    while stack:
        node = stack.pop()._node
        if node is not None:
            for _, p in node[2]:
                if p not in seen:
                    seen.add(p)
                    stack.append(p)
    # A result is always younger than what it was made from: age is a topological order.
    order = sorted(seen, key=_seq)
    wanted: set[Tensor] | None = None
    if targets is not None:
        wanted = set(targets)
        for t in order:
            if t._node is not None and any(p in wanted for _, p in t._node[2]):
                wanted.add(t)
    del seen
    pending: dict[Tensor, Any] = {}
    for root, g in zip(roots, gradients, strict=True):
        pending[root] = pending[root] + g if root in pending else g
    is_target = frozenset(targets or ())
    found: dict[Tensor, Any] = {}
    before = _state.mode
    _state.mode = before | RECORD if create_graph else before & ~RECORD
    try:
        while order:
            y = order.pop()
            g = pending.pop(y, None)
            if g is None:
                continue
            if y._hooks is not None:
                g = _run_hooks(y, g, create_graph)
            if y in is_target:
                found[y] = g
            node = y._node
            if node is None:
                if targets is None:
                    _accumulate(y, g, g is not None and any(g is r for r in gradients))
                continue
            entry, raw, parents, kw, saved, place = node
            if raw is None:
                raise RuntimeError(
                    f"second backward through {entry.name!r}, whose graph was freed by the "
                    "first; pass retain_graph=True to the first, or compute the loss again"
                )
            if not retain_graph:
                y._node = entry.freed
            if wanted is not None:
                parents = [(i, p) for i, p in parents if p in wanted]
            fast: Any = None
            if entry.fused_backward is not None:
                if create_graph:
                    ds = _replay(entry, g, (entry, raw, parents, kw, saved, place))
                    fast = {i: d for (i, _), d in zip(parents, ds, strict=True)}
                else:
                    fast = entry.fused_backward(
                        g, y.data, saved, {i for i, _ in parents}, *raw, **kw
                    )
                args: Any = ()
            elif create_graph:
                args = list(raw)
                for i, p in parents:
                    args[i] = p
            else:
                args = raw
            value, rules = y if create_graph else y.data, entry.rules
            age = y._seq
            for i, p in parents:
                if p._seq > age:
                    raise RuntimeError(
                        f"{entry.name!r} needs argument {i} of shape {p.shape} as it was in the "
                        "forward pass, but it was changed in place since; run backward before "
                        "the update, or update a copy"
                    )
                d = fast[i] if fast is not None else rules[i](g, value, *args, **kw)
                if d is None:
                    continue
                data = p.data
                if d.shape != data.shape:
                    d = _fit(d, data.shape)
                if d.dtype is not data.dtype and d.dtype != data.dtype:
                    d = d.astype(data.dtype)
                if place is not None:
                    _check_backward(entry, i, d, place)
                if p in pending:
                    pending[p] = pending[p] + d
                elif p._node is None and not create_graph and _shared(d, g):
                    pending[p] = d.copy()  # leaves keep it: it must be theirs alone
                else:
                    pending[p] = d
    finally:
        _state.mode = before
    return found


def _check_backward(entry: Op, i: int, d: Any, place: str) -> None:
    raw = d.data if isinstance(d, Tensor) else d
    if bad := int((~np.isfinite(raw)).sum()):
        raise FloatingPointError(
            f"the gradient of {entry.name} (called at {place}) with respect to argument {i} "
            f"has {bad} non-finite value{'s' * (bad > 1)} of {d.size}"
        )


def _run_hooks(y: Tensor, g: Any, create_graph: bool) -> Any:
    for hook in tuple(y._hooks or ()):
        wrapped = g if create_graph else Tensor(_as_array(g))
        if hook is RETAIN:
            y.grad = wrapped if create_graph else Tensor(wrapped.data.copy())
        elif (new := hook(wrapped)) is not None:
            g = new if create_graph else getattr(new, "data", new)
    return g


def _accumulate(leaf: Tensor, g: Any, foreign: bool) -> None:
    if not leaf.requires_grad:
        return
    if leaf.grad is not None:
        total = leaf.grad + g
        leaf.grad = total if isinstance(g, Tensor) else total.detach()
    elif isinstance(g, Tensor):
        leaf.grad = g
    else:
        leaf.grad = Tensor(_as_array(g.copy() if foreign else g))


def _seed(name: str, output: Tensor, gradient: Any) -> Any:
    """The gradient to start from, checked; ones for a scalar."""
    if not isinstance(output, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(output).__name__}")
    if not output.requires_grad:
        raise RuntimeError(
            f"{name}: the output does not depend on anything that requires a gradient; set "
            "requires_grad=True on the inputs and stay outside no_grad()"
        )
    if gradient is None:
        if output.size != 1:
            raise RuntimeError(
                f"{name}: got an output of shape {output.shape}, expected a scalar; reduce it "
                "(for example .sum()) or pass the gradient that weighs its elements"
            )
        return np.ones_like(output.data)
    if not isinstance(gradient, Tensor):
        gradient = backends.of(output.data).xp.asarray(gradient, dtype=output.dtype)
    if gradient.shape != output.shape:
        raise ValueError(
            f"{name}: got a gradient of shape {gradient.shape} for an output of {output.shape}"
        )
    return gradient


def backward(
    output: Tensor, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
) -> None:
    """``output.backward(...)`` as a function; see :meth:`Tensor.backward`."""
    g = _seed("backward", output, gradient)
    if create_graph:
        g = g if isinstance(g, Tensor) else Tensor(g)
    else:
        g = g.data if isinstance(g, Tensor) else g
    backprop([output], [g], None, retain_graph or create_graph, create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of ``outputs`` (weighed by ``grad_outputs``, summed) at ``inputs``.

    Returns one Tensor an input, and leaves every ``.grad`` alone. An input that the
    outputs do not depend on raises, or gives None with ``allow_unused``.

    >>> from minireg import tensor
    >>> x = tensor(2.0, requires_grad=True)
    >>> (dx,) = grad(x**3, x, create_graph=True)
    >>> grad(dx, x)[0].item()
    12.0
    """
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if isinstance(outputs, Tensor) and grad_outputs is not None:
        grad_outputs = [grad_outputs]
    weights = grad_outputs if grad_outputs is not None else [None] * len(outs)
    if len(weights) != len(outs):
        raise ValueError(f"grad: got {len(weights)} grad_outputs for {len(outs)} outputs")
    seeds = [_seed("grad", o, w) for o, w in zip(outs, weights, strict=True)]
    if create_graph:
        seeds = [s if isinstance(s, Tensor) else Tensor(s) for s in seeds]
    else:
        seeds = [s.data if isinstance(s, Tensor) else s for s in seeds]
    keep = create_graph if retain_graph is None else retain_graph
    found = backprop(outs, seeds, ins, keep, create_graph)
    result: list[Tensor | None] = []
    taken: list[Any] = list(seeds)
    for position, x in enumerate(ins):
        g = found.get(x)
        if g is None and not allow_unused:
            raise RuntimeError(
                f"grad: input {position} of shape {x.shape} was not used in the outputs (or does "
                "not require a gradient); pass allow_unused=True to get None for it"
            )
        if g is not None and not isinstance(g, Tensor):
            g = _as_array(g)
            g = Tensor(g.copy() if g.base is not None or any(g is t for t in taken) else g)
            taken.append(g.data)
        result.append(g)
    return tuple(result)


_identity = op(
    "identity", lambda x: x, lambda g, y, x: g, formula=r"\bar x = \bar y",
    samples=lambda rng: [(rng.normal(size=(2, 3)),)],
)  # fmt: skip
