"""Gradient clipping: by the joint norm, or value by value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale all gradients in place so that their joint norm is at most ``max_norm``.

    The factor min(1, max_norm/(‖g‖ + 1e-6)) multiplies every term's share alike, so clipping
    leaves the proportions of data and penalties as they are (claim C111). Returns ‖g‖ as
    a scalar Tensor; on a GPU nothing waits for the device.

    >>> import minireg as mr
    >>> w = mr.tensor([0.0, 0.0], requires_grad=True); w.grad = mr.tensor([3.0, 4.0])
    >>> clip_grad_norm_(w, 1.0).item(), w.grad.numpy().round(4)
    (5.0, array([0.6, 0.8], dtype=float32))
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm must be ≥ 0, got {max_norm!r}")
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be > 0 or inf, got {norm_type!r}")
    params = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    gradients = [p.grad.data for p in params if p.grad is not None]
    if not gradients:
        return Tensor(np.zeros_like(params[0].data, shape=()) if params else np.zeros(()))
    total: Any = 0
    if norm_type == math.inf:
        for g in gradients:
            total = np.maximum(np.abs(g).max(), total)
    else:
        for g in gradients:
            total = total + (np.square(g) if norm_type == 2 else np.abs(g) ** norm_type).sum()
        total = total ** (1 / norm_type)
    factor = np.minimum(max_norm / (total + 1e-6), 1)
    for g in gradients:
        g *= factor.astype(g.dtype)
    return Tensor(np.asarray(total) if isinstance(total, np.generic) else total)


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
