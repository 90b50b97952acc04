"""Gradient clipping: by the joint norm, or value by value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..backend import Array, of
from ..engine import unscalar
from ..gpu.trace import UNTRACEABLE, Kernel, each, fits, trace
from ..messages import check_option, check_parameters
from ..ops.arrays import like
from ..ops.table import wide
from ..penalties import Penalty
from ..penalties.base import add_gradients
from ..tensor import Tensor, next_seq


def parameter_list(owner: str, parameters: Any) -> list[Tensor]:
    """The Tensors that were given, one or several; ``TypeError`` for a module, a number, …"""
    check_parameters(owner, parameters)
    if isinstance(parameters, Tensor):
        return [parameters]
    found: list[Any] = list(parameters) if hasattr(parameters, "__iter__") else [parameters]
    for p in found:
        if not isinstance(p, Tensor):
            raise TypeError(
                f"{owner}: expected Tensors as parameters, got {p!r:.80}; pass model.parameters()"
            )
    return found


def clip_factor(
    params: Sequence[Tensor], max_norm: float, norm_type: float = 2.0
) -> tuple[Tensor, Tensor]:
    """‖g‖ of all gradients jointly, and min(1, max_norm/(‖g‖ + 1e-6)), as scalar Tensors.

    Those of half precision count in float32, where the square of 256 is finite. On a GPU nothing
    waits for the device.

    >>> import minireg as mr
    >>> w = mr.tensor([0.0, 0.0], requires_grad=True); w.grad = mr.tensor([3.0, 4.0])
    >>> norm, factor = clip_factor([w], 1.0); norm.item(), round(factor.item(), 4)
    (5.0, 0.2)
    """
    gradients = [p.grad.data for p in params if p.grad is not None]
    due = [(p, p.grad.data, ()) for p in params if p.grad is not None]
    if norm_type == 2 and (found := factor_by_kernel(due, max_norm)):
        return Tensor(found[0]), Tensor(found[1])
    if not gradients:
        there = params[0].data if params else np.zeros(())
        total: Any = of(there).xp.zeros((), there.dtype)
    elif norm_type == math.inf:
        total = 0
        for g in gradients:
            total = np.maximum(wide(np.abs(g).max()), total)
    else:
        total = 0
        for g in map(wide, gradients):
            total = total + (np.square(g) if norm_type == 2 else np.abs(g) ** norm_type).sum()
        total = total ** (1 / norm_type)
    factor = np.minimum(max_norm / (total + 1e-6), 1)
    return Tensor(unscalar(total)), Tensor(unscalar(factor))


def factor_by_kernel(
    due: Sequence[tuple[Tensor, Array, Sequence[Penalty]]], max_norm: float
) -> tuple[Array, Array] | None:
    """The arrays of :func:`clip_factor` where kernels run and cover them; else None.

    For each parameter, its gradient, and the penalties whose gradients are yet to be added to it.
    """
    first = due[0][1] if due else np.empty(0)
    twin: Any = of(first).kernels.get("clip_factor")
    if twin is None or any(type(g) is not type(first) or g.dtype != first.dtype for _, g, _ in due):
        return None
    alike: dict[Any, tuple[Sequence[Penalty], list[list[Array]]]] = {}
    for p, g, penalties in due:
        arrays = [g, p.data] if penalties else [g]
        if not fits(arrays):
            return None
        if g.size:
            alike.setdefault((*map(id, penalties),), (penalties, []))[1].append(arrays)
    try:
        sets = [(squares(first.dtype, some), rows) for some, rows in alike.values()]
    except UNTRACEABLE:
        return None
    return twin(sets, max_norm) if sets else None


def squares(dtype: Any, penalties: Sequence[Penalty]) -> Kernel:
    """The kernel that adds up the squares of gradients, with those of penalties of the weights."""

    def square(g: Any, *rest: Any) -> None:
        *w, t, total = rest
        t[...] = g
        if penalties:
            add_gradients(penalties, w[0], t)
        total += t * t

    arrays = ["g", "w"] if penalties else ["g"]
    return trace("squares", dtype.name, arrays, square, scratch=1, total=True)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale all gradients in place so that their joint norm is at most ``max_norm``.

    The factor of :func:`clip_factor` multiplies every term's share alike, so clipping leaves the
    proportions of data and penalties as they are (claim C111). Returns ‖g‖ as a scalar Tensor.

    >>> import minireg as mr
    >>> w = mr.tensor([0.0, 0.0], requires_grad=True); w.grad = mr.tensor([3.0, 4.0])
    >>> clip_grad_norm_(w, 1.0).item(), w.grad.numpy().round(4)
    (5.0, array([0.6, 0.8], dtype=float32))
    """
    check_option("clip_grad_norm_", "[0, inf]", max_norm=max_norm)
    check_option("clip_grad_norm_", "(0, inf]", norm_type=norm_type)
    params = parameter_list("clip_grad_norm_", parameters)
    total, factor = clip_factor(params, max_norm, norm_type)
    held = [p.grad for p in params if p.grad is not None]
    rows = [(g.data, like(factor.data, g.data)) for g in held]
    each("clip", ["g", "factor"], _scale, rows, common=1)
    for grad in held:
        grad._seq = next_seq()  # who waits to add to it will notice
    return total


def _scale(g: Array, factor: Array) -> None:
    g *= factor


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of every gradient, in place, to [−clip_value, clip_value].

    Unlike :func:`clip_grad_norm_` this turns the gradient: its largest elements shrink alone.

    >>> import minireg as mr
    >>> w = mr.tensor([0.0, 0.0], requires_grad=True); w.grad = mr.tensor([3.0, -0.5])
    >>> clip_grad_value_(w, 1.0); w.grad.numpy()
    array([ 1. , -0.5], dtype=float32)
    """
    check_option("clip_grad_value_", "[0, inf]", clip_value=clip_value)
    for p in parameter_list("clip_grad_value_", parameters):
        if p.grad is not None:
            np.clip(p.grad.data, -clip_value, clip_value, out=p.grad.data)
            p.grad._seq = next_seq()
