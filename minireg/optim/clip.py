"""Gradient clipping: by the joint norm, or value by value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..backend import Array, of, unscalar
from ..gpu.step import clip_factor as factor_by_kernel
from ..gpu.trace import run_on_rows
from ..messages import check_option, check_parameters
from ..ops.arrays import like
from ..ops.table import wide
from ..tensor import Tensor, next_seq


def parameter_list(owner: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The Tensors given, one or several, as a list; ``TypeError`` for a module, a number, …"""
    check_parameters(owner, parameters)
    several = isinstance(parameters, Iterable) and not isinstance(parameters, Tensor)
    found: list[Any] = [*parameters] if several else [parameters]
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

    float16 is summed in float32, where the square of 256 is finite. On a GPU nothing waits for the
    device.

    >>> import minireg as mr
    >>> w = mr.tensor([0.0, 0.0], requires_grad=True); w.grad = mr.tensor([3.0, 4.0])
    >>> norm, factor = clip_factor([w], 1.0); norm.item(), round(factor.item(), 4)
    (5.0, 0.2)
    """
    gradients = [p.grad.data for p in params if p.grad is not None]
    due = [(p.data, p.grad.data, ()) for p in params if p.grad is not None]
    if norm_type == 2 and (found := factor_by_kernel(due, max_norm)):
        return Tensor(found[0]), Tensor(found[1])
    if not gradients:
        there = params[0].data if params else np.zeros(())
        total: Any = of(there).xp.zeros((), there.dtype)
    elif norm_type == math.inf:
        total = reduce(np.maximum, [wide(np.abs(g).max()) for g in gradients])
    else:
        power: Any = lambda g: np.square(g) if norm_type == 2 else np.abs(g) ** norm_type
        total = sum(power(g).sum() for g in map(wide, gradients)) ** (1 / norm_type)
    factor = np.minimum(max_norm / (total + 1e-6), 1)
    return Tensor(unscalar(total)), Tensor(unscalar(factor))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale all gradients in place so that their joint norm is at most ``max_norm``.

    One factor, min(1, max_norm/(‖g‖ + 1e-6)), multiplies every term's share, so the
    proportions of data and penalties stay (claim C111). As ``torch.nn.utils.clip_grad_norm_``.

    Parameters
    ----------
    parameters : a Tensor or several; those without a gradient do not count.
    max_norm : in [0, ∞].
    norm_type : p of the norm (Σ|g|ᵖ)^(1/p) over all elements together, in (0, ∞]; ∞ is max|g|.

    Returns ‖g‖ before clipping as a scalar Tensor. Raises ``ValueError`` for an option out of range,
    ``TypeError`` for a module or anything else that is no Tensor.

    >>> import minireg as mr
    >>> w = mr.tensor([0.0, 0.0], requires_grad=True); w.grad = mr.tensor([3.0, 4.0])
    >>> mr.optim.clip_grad_norm_(w, 1.0).item(), w.grad.numpy().round(4)
    (5.0, array([0.6, 0.8], dtype=float32))
    """
    check_option("clip_grad_norm_", "[0, inf]", max_norm=max_norm)
    check_option("clip_grad_norm_", "(0, inf]", norm_type=norm_type)
    params = parameter_list("clip_grad_norm_", parameters)
    total, factor = clip_factor(params, max_norm, norm_type)
    held = [p.grad for p in params if p.grad is not None]
    rows = [(g.data, like(factor.data, g.data)) for g in held]
    run_on_rows("clip", ["g", "factor"], _scale, rows, common=1)
    for grad in held:
        grad._seq = next_seq()  # marks it as changed in place
    return total


def _scale(g: Array, factor: Array) -> None:
    g *= factor


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of every gradient, in place, to [−clip_value, clip_value].

    Unlike :func:`clip_grad_norm_` this turns the gradient: only its largest elements shrink. As
    ``torch.nn.utils.clip_grad_value_``.

    Parameters
    ----------
    parameters : a Tensor or several; those without a gradient are left alone.
    clip_value : in [0, ∞].

    Raises ``ValueError`` for a value out of range, ``TypeError`` for anything but a Tensor.

    >>> import minireg as mr
    >>> w = mr.tensor([0.0, 0.0], requires_grad=True); w.grad = mr.tensor([3.0, -0.5])
    >>> mr.optim.clip_grad_value_(w, 1.0); w.grad.numpy()
    array([ 1. , -0.5], dtype=float32)
    """
    check_option("clip_grad_value_", "[0, inf]", clip_value=clip_value)
    for p in parameter_list("clip_grad_value_", parameters):
        if p.grad is not None:
            np.clip(p.grad.data, -clip_value, clip_value, out=p.grad.data)
            p.grad._seq = next_seq()
