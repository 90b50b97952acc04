"""Gradient clipping: by the joint norm, or value by value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..backend import Array
from ..engine import as_array
from ..kernels import each
from ..ops.fused import kernel
from ..penalties.base import like
from ..tensor import Tensor


def clip_factor(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> tuple[Tensor, Tensor]:
    """‖g‖ of all gradients jointly, and min(1, max_norm/(‖g‖ + 1e-6)), as scalar Tensors.

    ``optimizer.step(scale=factor)`` then clips within the step, on a GPU in the same kernel. On a
    GPU nothing waits for the device.

    >>> import minireg as mr
    >>> w = mr.tensor([0.0, 0.0], requires_grad=True); w.grad = mr.tensor([3.0, 4.0])
    >>> norm, factor = clip_factor(w, 1.0); norm.item(), round(factor.item(), 4)
    (5.0, 0.2)
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm must be ≥ 0, got {max_norm!r}")
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be > 0 or inf, got {norm_type!r}")
    params = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    gradients = [p.grad.data for p in params if p.grad is not None]
    if not gradients:
        total: Any = np.zeros_like(params[0].data, shape=()) if params else np.zeros(())
    elif norm_type == math.inf:
        total = 0
        for g in gradients:
            total = np.maximum(np.abs(g).max(), total)
    elif norm_type == 2 and (found := kernel("clip_factor", *gradients, max_norm=max_norm)):
        return Tensor(found[0]), Tensor(found[1])
    else:
        total = 0
        for g in gradients:
            total = total + (np.square(g) if norm_type == 2 else np.abs(g) ** norm_type).sum()
        total = total ** (1 / norm_type)
    factor = np.minimum(max_norm / (total + 1e-6), 1)
    return Tensor(as_array(total)), Tensor(as_array(factor))


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
    params = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total, factor = clip_factor(params, max_norm, norm_type)
    gradients = [p.grad.data for p in params if p.grad is not None]
    each("clip", ["g", "factor"], _scale, [(g, like(factor.data, g)) for g in gradients], common=1)
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
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value must be ≥ 0, got {clip_value!r}")
    for p in [parameters] if isinstance(parameters, Tensor) else parameters:
        if p.grad is not None:
            np.clip(p.grad.data, -clip_value, clip_value, out=p.grad.data)
