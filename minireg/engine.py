"""Backpropagation.

A result's :class:`~minireg.tensor.Node` says how it came to be; the ops of
:mod:`minireg.ops.table` make it. Going back, each op's rules turn the gradient of its result
into those of its inputs, and what rules would repeat is done here once: unbroadcasting,
dtypes, skipping what is not needed, accumulating, freeing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from . import messages
from .backend import as_array, of, raw, unscalar
from .mode import RECORD, enable_grad, state
from .tensor import RETAIN, Node, Tensor


def _tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else Tensor(unscalar(g))


# --- backpropagation -----------------------------------------------------------------------


def backprop(
    roots: Sequence[Tensor],
    gradients: Sequence[Any],
    targets: Sequence[Tensor] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    leaves: dict[Tensor, Any] | None = None,
    met: list[Tensor] | None = None,
) -> dict[Tensor, Any]:
    """Carry ``gradients`` of ``roots`` back through the graph.

    Without ``targets`` every leaf that requires it accumulates its ``.grad``; with them
    nothing is written and the result maps each reached target to its gradient. Gradients
    are raw arrays, or Tensors under ``create_graph``. Who makes a gradient in several passes
    gives ``leaves``, which get their gradients there, before their hooks; and where the hooks
    on the way are to wait for the last pass, ``met``, for the results that have some.
    """
    order, wanted, through = _reachable(roots, targets)
    is_target, found = frozenset(targets or ()), {}
    pending: dict[Tensor, Any] = {}  # of what has been reached: the sum so far
    for root, g in zip(roots, gradients, strict=True):
        pending[root] = pending[root] + g if root in pending else g
    before = state.mode
    state.mode = before | RECORD if create_graph else before & ~RECORD
    try:
        while order:
            y = order.pop()
            g = pending.pop(y, None)
            if g is None:  # no rule had a gradient for it
                continue
            node = y._node
            if y._hooks is not None and (leaves is None or node is not None):
                if met is None:
                    g = run_hooks(y, g, create_graph)
                else:
                    met.append(y)
            if y in is_target:
                found[y] = g
                if y not in through:
                    continue
            if node is None:  # a leaf
                if leaves is not None:
                    leaves[y] = g
                elif targets is None and y.requires_grad:
                    accumulate(y, g, y._hooks is not None or any(g is r for r in gradients))
                continue
            if node.args is None:  # the rules must find what the forward pass saw
                raise messages.freed(node.op.name)
            for i, p in node.parents:
                if p._seq > y._seq or (p._root is not None and p._root._seq > y._seq):
                    raise messages.changed(node.op.name, i, p.shape)
            for i, p, d in _gradients(y, g, node, create_graph, wanted):
                if d is None:
                    continue
                if d.shape != p.data.shape or d.dtype is not p.data.dtype:
                    d = _fitted(d, p.data, node.op.name)
                if node.place is not None:
                    messages.check_backward(node.op.name, i, d, node.place)
                if p in pending:
                    d = pending[p] + d
                elif p._node is None:
                    d = _owned(d, g)
                pending[p] = d
            if not retain_graph:  # free the graph
                node.args = node.saved = node.options = None
                node.parents = ()
    finally:
        state.mode = before
    return found


def _gradients(
    y: Tensor, g: Any, node: Node, create_graph: bool, wanted: set[Tensor] | None
) -> Iterator[tuple[int, Tensor, Any]]:
    """(position, parent, its gradient) for what is wanted of one node: the rules at work."""
    op, args, options = node.op, node.args, node.options
    asked = [a for a in node.parents if a[1].requires_grad and (wanted is None or a[1] in wanted)]
    if op.backward is not None and asked:
        if create_graph:
            fused = _replay(node, g, asked)
        else:
            fused = op.backward(g, y.data, node.saved, {i for i, _ in asked}, *args, **options)
        for i, p in asked:
            yield i, p, fused[i]
        return
    value: Any = y.data
    if create_graph:  # the same rules, read on Tensors
        value, args = y, list(args)
        for i, p in node.parents:
            args[i] = p
    for i, p in asked:
        rule = op.rules[i] if i < len(op.rules) else None
        if rule is None:
            rule = op.variadic_rule(i)
        try:
            d = rule(g, value, *args, **options)
        except TypeError as error:  # keywords of NumPy's that the rule does not know
            raise messages.explained(error, f"the gradient of {op.name}", args, options) from error
        yield i, p, d


def _replay(node: Node, g: Tensor, asked: Any) -> dict[int, Any]:
    """Gradients of a fused op through its definition, differentiable at all inputs."""
    args = list(node.args)
    for i, p in node.parents:  # a shadow is a fresh node equal to p: where one input is made from
        args[i] = p.reshape(p.shape)  # another, each still gets its partial derivative
    shadows = [args[i] for i, _ in asked]
    found = backprop([node.op.definition(*args, **node.options)], [g], shadows, True, True)
    return {i: found.get(args[i]) for i, _ in asked}


def _fitted(d: Any, data: Any, name: str) -> Any:
    """The gradient that a rule gave for ``data``, in its shape and dtype."""
    if d.shape != data.shape:
        d = _unbroadcast(d, data.shape)
    if d.dtype != data.dtype:
        messages.check_real(name, d)
        d = d.astype(data.dtype)
    return d


def _unbroadcast(d: Any, shape: tuple[int, ...]) -> Any:
    """Undo (or do) broadcasting: make gradient ``d`` have the input's ``shape``."""
    extra = d.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i for i, n in enumerate(shape, extra) if i >= 0 and n == 1 and d.shape[i] != 1
    )
    if axes:
        d = d.sum(axis=axes, keepdims=True)
        d = d.reshape(d.shape[extra:]) if extra > 0 else d
    return d if d.shape == shape else np.broadcast_to(d, shape)


def _owned(d: Any, g: Any) -> Any:
    """d, or a copy if it may be a view: a leaf's gradient is its alone."""
    shared = d is g or (d.data if isinstance(d, Tensor) else d).base is not None
    return d.copy() if shared else d


def _reachable(
    roots: Sequence[Tensor], targets: Sequence[Tensor] | None
) -> tuple[list[Tensor], set[Tensor] | None, set[Tensor]]:
    """What leads to a target, oldest first; the same with the targets (None: everything does);
    and what is to be passed through.

    What is older than every target leads to none, so it is left out. But a leaf that was
    changed in place is younger than its results: leaves count as the oldest.
    """
    oldest = min([0 if t._node is None else t._seq for t in targets]) if targets else 0
    seen, stack = set(roots), list(roots)
    while stack:
        node = stack.pop()._node
        if node is not None:
            for _, p in node.parents:
                if p.requires_grad and p._seq >= oldest and p not in seen:
                    seen.add(p)
                    stack.append(p)
    # A result is always younger than what it was made from: age is a topological order.
    order = sorted(seen, key=attrgetter("_seq"))
    if targets is None:
        return order, None, seen
    through, wanted = set(), set(targets)
    for t in order:
        node = t._node
        if node is None:
            continue
        # where a freed one led to is not known, only that it was older; backprop will say so
        freed = node.args is None and t._seq > oldest
        if freed or any(p in wanted for _, p in node.parents):
            through.add(t)
            wanted.add(t)
    return [t for t in order if t in wanted], wanted, through


def run_hooks(y: Tensor, g: Any, create_graph: bool) -> Any:
    """What the hooks of y make of its gradient."""
    hooks = tuple(y._hooks or ())
    for hook in hooks:
        new = None if hook is RETAIN else hook(g if create_graph else Tensor(unscalar(g)))
        if new is None:
            continue
        if not isinstance(new, Tensor):
            new = Tensor(as_array(new, "backward: what a hook returns"))
        if new.shape != g.shape:
            raise messages.hooked(new.shape, g.shape)
        new = new if new.dtype == g.dtype else new.astype(g.dtype)
        g = new if create_graph else new.data
    if RETAIN in hooks:  # what all hooks made of it, whenever they came
        kept = g.copy() if y.grad is None else (y.grad if create_graph else y.grad.data) + g
        y.grad = _tensor(kept)
    return g


_at_leaves = threading.Lock()  # passes of several threads may end in the same leaf


def accumulate(leaf: Tensor, g: Any, borrowed: bool) -> None:
    """Add g to the leaf's gradient; copy g when it is ``borrowed``, so that the caller keeps his own."""
    with _at_leaves:
        old = leaf.grad
        if old is None:
            g = g.copy() if borrowed else g
        elif old.shape != g.shape:
            raise messages.unequal(g.shape, old.shape)
        elif isinstance(g, Tensor):  # out of place: the old gradient may be held elsewhere
            total, g = old + g, old._heir(g.data)
            g.data, g._node, g.requires_grad = total.data, total._node, total.requires_grad
        else:
            total, g = np.add(old.data, g), old._heir(g)
            g.data = unscalar(total)
        leaf.grad = _tensor(g)


def _seed(name: str, output: Any, given: Any, create_graph: bool) -> Any:
    """The gradient to start from, ones for a scalar; a Tensor under ``create_graph``."""
    messages.check_output(name, output, given)
    g = np.ones_like(output.data) if given is None else given
    if given is not None and not isinstance(given, Tensor):
        with suppress(TypeError, ValueError):
            g = of(output.data).xp.asarray(given)
    messages.check_seed(name, output, g, given)
    g = g if g.dtype == output.dtype else g.astype(output.dtype)
    return _tensor(g) if create_graph else raw(g)


def backward(
    self: Tensor, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
) -> None:
    """Add d self / d leaf into ``.grad`` of every leaf that requires it.

    ``gradient`` (same shape; may be left out for a scalar) weighs the elements.
    Unless ``retain_graph`` is set the graph is freed on the way; ``create_graph``
    records the backward pass itself, for derivatives of any order.

    >>> from minireg import tensor
    >>> x = tensor(3.0, requires_grad=True)
    >>> (x**2).backward(); x.grad.item()
    6.0
    """
    g = _seed("backward", self, gradient, create_graph)
    backprop([self], [g], None, retain_graph or create_graph, create_graph)


setattr(Tensor, "backward", backward)


@overload
def grad(
    outputs: Tensor | Sequence[Tensor], inputs: Tensor | Iterable[Tensor], grad_outputs: Any = None,
    retain_graph: bool | None = None, create_graph: bool = False,
    allow_unused: Literal[False] = False,
) -> tuple[Tensor, ...]: ...  # fmt: skip
@overload
def grad(
    outputs: Tensor | Sequence[Tensor], inputs: Tensor | Iterable[Tensor], grad_outputs: Any = None,
    retain_graph: bool | None = None, create_graph: bool = False, *, allow_unused: bool,
) -> tuple[Tensor | None, ...]: ...  # fmt: skip
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of ``outputs`` (weighed by ``grad_outputs``, summed) at ``inputs``.

    Returns one Tensor an input, and leaves every leaf's ``.grad`` alone; an input may be a leaf or
    any result on the way. One that the outputs do not depend on raises, or gives None with
    ``allow_unused``. As ``torch.autograd.grad``.

    >>> from minireg import tensor
    >>> x = tensor(2.0, requires_grad=True)
    >>> (dx,) = grad(x**3, x, create_graph=True)
    >>> grad(dx, x)[0].item()
    12.0
    """
    if not isinstance(outputs, list | tuple):
        outputs, grad_outputs = [outputs], [grad_outputs]  # type: ignore[list-item]
    outs, ins = list(outputs), messages.as_tensors("grad", inputs)
    weights = [None] * len(outs) if grad_outputs is None else grad_outputs
    if not isinstance(weights, list | tuple):
        weights = [weights]
    if len(weights) != len(outs):
        raise ValueError(f"grad: got {len(weights)} grad_outputs for {len(outs)} outputs")
    seeds = [_seed("grad", o, w, create_graph) for o, w in zip(outs, weights, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    found = backprop(outs, seeds, ins, keep, create_graph)
    for position, x in enumerate(ins):
        if x not in found and not allow_unused:
            raise messages.unused(position, x.shape)
    with enable_grad():  # copies: it may be a seed, a view, or another target's gradient
        return tuple(_tensor(found[x].copy()) if x in found else None for x in ins)


@overload
def jacobian(
    fn: Callable[..., Tensor], x: tuple[Tensor | ArrayLike, ...], create_graph: bool = False
) -> tuple[Tensor, ...]: ...
@overload
def jacobian(
    fn: Callable[..., Tensor], x: Tensor | ArrayLike, create_graph: bool = False
) -> Tensor: ...
def jacobian(fn: Callable[..., Any], x: Any, create_graph: bool = False) -> Any:
    """∂fn(x)/∂x, all partial derivatives: a Tensor of shape ``fn(x).shape + x.shape``.

    Parameters
    ----------
    fn : a function of a Tensor that returns one, as a Module is; or a tuple of them.
    x : a Tensor, an array or numbers, of a floating dtype; a tuple of them for a function of several.
    create_graph : record the result, so that it can be differentiated in turn, at x and at whatever
        fn reads.

    A tuple for x gives a tuple, one Jacobian for each of its parts; a tuple from fn gives a tuple of
    these, as ``torch.autograd.functional.jacobian``. Where nothing depends on x there are zeros. It takes
    one backward pass for each element of ``fn(x)``, and no ``.grad`` changes. ``TypeError`` for what is
    no function, for one that returns anything but Tensors and for an x that is not floating.

    >>> from minireg import jacobian
    >>> jacobian(lambda x: x[1:] * x[0], [2.0, 3.0, 5.0])
    Tensor([[3., 2., 0.],
            [5., 0., 2.]], dtype=float32)
    """
    if not callable(fn):
        raise TypeError(f"jacobian: fn must be a function of Tensors, got {messages.describe(fn)}")
    at = []
    with enable_grad():
        for part in x if isinstance(x, tuple) else (x,):
            # a node or leaf of its own: what fn reads of x elsewhere is constant to this derivative
            linked = create_graph and isinstance(part, Tensor) and part.requires_grad
            data = as_array(part, "jacobian: x")
            at.append(part.reshape(part.shape) if linked else Tensor(data, requires_grad=True))
        found = fn(*at)
        outputs = found if isinstance(found, tuple) else (found,)
        parts: list[Any] = [_jacobians(y, at, create_graph) for y in outputs]
    if not isinstance(x, tuple):
        parts = [part for (part,) in parts]
    return tuple(parts) if isinstance(found, tuple) else parts[0]


def _jacobians(y: Any, at: Sequence[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    """Those of one output, one for each input."""
    if not isinstance(y, Tensor):
        raise TypeError(
            "jacobian: fn must return a Tensor, or a tuple of them, got " + messages.describe(y)
        )
    flat, units = y.reshape(-1), of(y.data).xp.eye(y.size, dtype=y.dtype)
    places = range(y.size if y.requires_grad else 0)
    rows = [grad(flat, at, units[i], True, create_graph, allow_unused=True) for i in places]
    found: list[Any] = []
    for k, x in enumerate(at):
        shape, zero = y.shape + x.shape, Tensor(np.zeros_like(x.data))
        column: Any = [zero if row[k] is None else row[k] for row in rows]
        empty = Tensor(np.zeros_like(x.data, shape=shape))
        found.append(np.stack(column).reshape(shape) if column else empty)
    return tuple(found)
