"""Recording and backpropagation.

What recorded a tensor is its node: the tuple ``(op, raw arguments, [(position, parent), …],
keyword arguments, saved, place)``, made by the ops of :mod:`minireg.ops.table`. Going back,
each op's rules turn the gradient of its result into those of its inputs, and what rules
would repeat is done here once: unbroadcasting, dtypes, skipping what is not needed,
accumulating, freeing. A freed node has no arguments left.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any

import numpy as np

from . import backend as backends
from .backend import as_array, is_array
from .messages import check_backward, explained
from .mode import RECORD, _mode, state
from .tensor import RETAIN, Tensor

# --- backpropagation -----------------------------------------------------------------------


def unscalar(y: Any) -> Any:
    """NumPy turns 0-d results into scalars; a Tensor's data and gradient stay arrays."""
    return np.asarray(y) if isinstance(y, np.generic | float | int | complex) else y


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


def _replay(entry: Any, g: Tensor, raw: Any, tensors: Any, parents: Any, kw: Any) -> dict[int, Any]:
    """Gradients of a fused op at ``parents`` through its definition, differentiable at all inputs."""
    args = list(raw)
    for i, p in tensors:  # a shadow is a fresh node equal to p: where one input is made from
        args[i] = p.reshape(p.shape)  # another, each still gets its partial derivative
    asked = [args[i] for i, _ in parents]
    found = backprop([entry.definition(*args, **kw)], [g], asked, True, True)
    return {i: found.get(args[i]) for i, _ in parents}


_at_leaves = threading.Lock()  # passes of several threads may end in the same leaf


def _gradients(
    y: Tensor, g: Any, node: tuple[Any, ...], create_graph: bool, wanted: set[Tensor] | None
) -> Iterator[Any]:
    """(position, parent, its gradient) for what is wanted of one node: the rules at work."""
    entry, raw, tensors, kw, saved, _ = node
    parents = [a for a in tensors if a[1].requires_grad and (wanted is None or a[1] in wanted)]
    if not parents:
        return
    if entry.fused_backward is not None:
        if create_graph:
            fused = _replay(entry, g, raw, tensors, parents, kw)
        else:
            needs = {i for i, _ in parents}
            fused = entry.fused_backward(g, y.data, saved, needs, *raw, **kw)
        for i, p in parents:
            yield i, p, fused[i]
        return
    value, args = y.data, raw
    if create_graph:
        value, args = y, list(raw)
        for i, p in tensors:
            args[i] = p
    rules, each = entry.rules, entry.each
    for i, p in parents:
        if each is not None:
            yield i, p, each(i, g, value, *args, **kw)
        elif i >= len(rules) or (rule := rules[i]) is None:
            raise TypeError(
                f"{entry.name}: not differentiable with respect to argument {i}; "
                "pass it as .detach()"
            )
        else:
            try:
                d = rule(g, value, *args, **kw)
            except TypeError as error:  # keywords of NumPy's that the rule does not know
                raise explained(error, f"the gradient of {entry.name}", args, kw) from error
            yield i, p, d


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
    pending: dict[Tensor, Any] = {}
    for root, g in zip(roots, gradients, strict=True):
        pending[root] = pending[root] + g if root in pending else g
    before = state.mode
    state.mode = before | RECORD if create_graph else before & ~RECORD
    try:
        while order:
            y = order.pop()
            g = pending.pop(y, None)
            if g is None:
                continue
            if y._hooks is not None and (leaves is None or y._node is not None):
                if met is None:
                    g = run_hooks(y, g, create_graph)
                else:
                    met.append(y)
            if y in is_target:
                found[y] = g
                if y not in through:
                    continue
            node = y._node
            if node is None:
                if leaves is not None:
                    leaves[y] = g
                elif targets is None and y.requires_grad:
                    hooked = y._hooks is not None  # hooks may keep what they were given
                    with _at_leaves:
                        accumulate(y, g, hooked or any(g is r for r in gradients))
                continue
            entry, raw, parents, _, _, place = node
            if raw is None:
                raise RuntimeError(
                    f"second backward through {entry.name!r}, whose graph was freed by the "
                    "first; pass retain_graph=True to the first, or compute the loss again"
                )
            if not retain_graph:
                y._node = (entry, None, (), None, None, None)
            age = y._seq
            for i, p in parents:
                if p._seq > age or (p._root is not None and p._root._seq > age):
                    raise RuntimeError(
                        f"{entry.name!r} needs argument {i} of shape {p.shape} as it was in the "
                        "forward pass, but it was changed in place since; run backward before "
                        "the update, or update a copy"
                    )
            for i, p, d in _gradients(y, g, node, create_graph, wanted):
                if d is None:
                    continue
                data = p.data
                if d.shape != data.shape:
                    d = _fit(d, data.shape)
                if d.dtype is not data.dtype and d.dtype != data.dtype:
                    if d.dtype.kind == "c":  # not what the formulas were written for
                        raise TypeError(
                            f"{entry.name}: no gradient goes through complex numbers; write them as "
                            "two real tensors"
                        )
                    d = d.astype(data.dtype)
                if place is not None:
                    check_backward(entry.name, i, d, place)
                if p in pending:
                    pending[p] = pending[p] + d
                elif p._node is None and (
                    d is g or (d.data if create_graph else d).base is not None
                ):  # it may be a view, but a leaf's gradient is its alone
                    pending[p] = d.copy()
                else:
                    pending[p] = d
    finally:
        state.mode = before
    return found


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
            for _, p in node[2]:
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
        for _, p in node[2]:
            if p in wanted:
                break
        else:  # where a freed one led to is not known, only that it was older; backprop will say so
            if node[1] is not None or t._seq <= oldest:
                continue
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
            raise ValueError(
                f"backward: a hook returned a gradient of shape {new.shape} for one of {g.shape}; "
                "return the same shape, or None to change nothing"
            )
        new = new if new.dtype == g.dtype else new.astype(g.dtype)
        g = new if create_graph else new.data
    if RETAIN in hooks:  # what all hooks made of it, whenever they came
        kept = g.copy() if y.grad is None else (y.grad if create_graph else y.grad.data) + g
        y.grad = kept if create_graph else Tensor(unscalar(kept))
    return g


def accumulate(leaf: Tensor, g: Any, foreign: bool) -> None:
    """Add g to the leaf's gradient; copy g when it is ``foreign``: the caller still owns it."""
    if leaf.grad is not None:  # out of place: the old gradient may be held elsewhere
        old = leaf.grad.data
        if old.shape != g.shape:
            raise ValueError(
                f"backward: the leaf of shape {g.shape} has a .grad of shape {old.shape}, to which "
                "nothing can be added; set it to None or to a Tensor of the leaf's shape"
            )
        if not isinstance(g, Tensor):
            heir = leaf.grad._heir(g)
            heir.data = unscalar(np.add(old, g))
            leaf.grad = heir
            return
        g = leaf.grad + g
    elif foreign:
        g = g.copy()
    leaf.grad = g if isinstance(g, Tensor) else Tensor(unscalar(g))


def _seed(name: str, output: Tensor, gradient: Any, create_graph: bool) -> Any:
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
        gradient = np.ones_like(output.data)
    elif not isinstance(gradient, Tensor):
        given = gradient
        with suppress(TypeError, ValueError):
            gradient = backends.of(output.data).xp.asarray(given)
        if getattr(gradient, "dtype", np.dtype(object)).kind not in "biufc":
            raise TypeError(
                f"{name}: the gradient must be a Tensor, an array or numbers of the output's shape "
                f"{output.shape}, got {given!r:.60}"
            )
    elif type(gradient.data) is not type(output.data) and gradient.backend != output.backend:
        raise TypeError(
            f"{name}: got a gradient on {gradient.backend} for an output on {output.backend}; "
            f"pass gradient.to({output.backend!r})"
        )
    if gradient.shape != output.shape:
        raise ValueError(
            f"{name}: got a gradient of shape {gradient.shape} for an output of {output.shape}"
        )
    if gradient.dtype != output.dtype:
        if gradient.dtype.kind == "c" and output.dtype.kind != "c":
            raise TypeError(
                f"{name}: got a gradient of {gradient.dtype} for an output of {output.dtype}, expected "
                "real numbers"
            )
        gradient = gradient.astype(output.dtype)
    if create_graph:
        return gradient if isinstance(gradient, Tensor) else Tensor(gradient)
    return gradient.data if isinstance(gradient, Tensor) else gradient


def backward(
    output: Tensor, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
) -> None:
    """``output.backward(...)`` as a function; see :meth:`Tensor.backward`."""
    g = _seed("backward", output, gradient, create_graph)
    backprop([output], [g], None, retain_graph or create_graph, create_graph)


def _inputs(inputs: Any) -> list[Tensor]:
    """What to differentiate at, as a list; ``TypeError`` unless all are Tensors."""
    if isinstance(inputs, Tensor):
        return [inputs]
    each = isinstance(inputs, list | tuple) or (
        hasattr(inputs, "__iter__") and not isinstance(inputs, Mapping) and not is_array(inputs)
    )
    found = list(inputs) if each else [inputs]
    for position, x in enumerate(found):
        if not isinstance(x, Tensor):
            what = f"input {position} must be a Tensor" if each else "inputs must be Tensors"
            fix = (
                "pass its values()" if isinstance(x, Mapping) else "pass what outputs was made from"
            )
            raise TypeError(f"grad: {what}, got {type(x).__name__}; {fix}")
    return found


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
    ``allow_unused``.

    >>> from minireg import tensor
    >>> x = tensor(2.0, requires_grad=True)
    >>> (dx,) = grad(x**3, x, create_graph=True)
    >>> grad(dx, x)[0].item()
    12.0
    """
    if not isinstance(outputs, list | tuple):
        outputs, grad_outputs = [outputs], [grad_outputs]  # type: ignore[list-item]
    outs, ins = list(outputs), _inputs(inputs)
    weights = [None] * len(outs) if grad_outputs is None else grad_outputs
    if not isinstance(weights, list | tuple):
        weights = [weights]
    if len(weights) != len(outs):
        raise ValueError(f"grad: got {len(weights)} grad_outputs for {len(outs)} outputs")
    seeds = [_seed("grad", o, w, create_graph) for o, w in zip(outs, weights, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    found = backprop(outs, seeds, ins, keep, create_graph)
    result: list[Tensor | None] = []
    for position, x in enumerate(ins):
        g = found.get(x)
        if g is None and not allow_unused:
            raise RuntimeError(
                f"grad: input {position} of shape {x.shape} was not used in the outputs (or does "
                "not require a gradient); pass allow_unused=True to get None for it"
            )
        if g is not None:  # a copy: it may be a seed, a view, or another target's gradient
            with _mode(on=RECORD):
                g = g.copy()
            g = g if isinstance(g, Tensor) else Tensor(unscalar(g))
        result.append(g)
    return tuple(result)
