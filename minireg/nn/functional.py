"""Layers and losses as functions of arrays or Tensors, with PyTorch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Stream
from ..losses import cross_entropy, mse_loss
from ..ops import fused
from ..ops.elementwise import gelu, leaky_relu, relu, sigmoid, silu, softplus, tanh
from ..ops.reductions import log_softmax, softmax
from ..tensor import Tensor

__all__ = [
    "batch_norm", "cross_entropy", "dropout", "gelu", "layer_norm", "leaky_relu", "linear",
    "log_softmax", "mse_loss", "relu", "rms_norm", "sigmoid", "silu", "softmax", "softplus", "tanh",
]  # fmt: skip


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x Wᵀ + b for x (…, in), weight (out, in), bias (out,).

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))
    array([[11.]])
    """
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: got x of shape {x.shape}, expected (…, {weight.shape[1]}) "
            f"for a weight of shape {weight.shape}"
        )
    return fused.linear(x, weight) if bias is None else fused.linear(x, weight, bias)


def _column(v: Any, ndim: int) -> Any:
    """(C,) as (C, 1, …) so that it lines up with axis 1 of an ndim-dimensional input."""
    return v if v is None or ndim == 2 else v.reshape(-1, *(1,) * (ndim - 2))


def batch_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    r"""γ (x − μ)/√(σ² + ε) + β over every axis but 1, for x (N, C) or (N, C, …).

    In training μ and σ² (biased) are the batch's, and running statistics, if given, move by
    ``momentum`` towards μ and the unbiased σ²; otherwise the running statistics are used.
    Raises ``ValueError`` for one value per channel in training (claims C12, C13, C19).

    >>> batch_norm(np.array([[1.0], [3.0]]), training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    if x.ndim < 2:
        raise ValueError(f"batch_norm: got x of shape {x.shape}, expected (N, C) or (N, C, …)")
    channels = x.shape[1]
    for name, v in {"weight": weight, "bias": bias, "running_mean": running_mean}.items():
        if v is not None and v.shape != (channels,):
            raise ValueError(
                f"batch_norm: got {name} of shape {v.shape} for x of shape {x.shape}, "
                f"expected ({channels},)"
            )
    gamma, beta = _column(weight, x.ndim), _column(bias, x.ndim)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation needs running_mean and running_var")
        y = (x - _column(running_mean, x.ndim)) * (_column(running_var, x.ndim) + eps) ** -0.5
        y = y if gamma is None else y * gamma
        return y if beta is None else y + beta
    n = x.size // channels if channels else 0
    if n < 2:
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got x of shape {x.shape}"
        )

    def observe(mean: Any, variance: Any) -> None:
        # Out of place: a graph recorded in evaluation mode may still hold the old arrays.
        for running, batch in ((running_mean, mean), (running_var, variance * (n / (n - 1)))):
            moved = (1 - momentum) * running.data + momentum * batch.reshape(-1)
            running.data = moved.astype(running.dtype)

    return fused.normalize(
        x, gamma, beta, axes=(0, *range(2, x.ndim)), eps=eps,
        observe=None if running_mean is None else observe,
    )  # fmt: skip


def _last_axes(name: str, x: Any, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"{name}: got x of shape {x.shape}, expected (…, {', '.join(map(str, shape))})"
        )
    return tuple(range(-len(shape), 0))


def layer_norm(
    x: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """γ (x − μ)/√(σ² + ε) + β over the last axes, for each sample by itself (claim C14).

    >>> layer_norm(np.array([[1.0, 3.0]]), 2, eps=0.0)
    array([[-1.,  1.]])
    """
    axes = _last_axes("layer_norm", x, normalized_shape)
    return fused.normalize(x, weight, bias, axes=axes, eps=eps)


def rms_norm(
    x: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    """γ x/√(mean x² + ε) over the last axes; ε defaults to the dtype's resolution (claim C15).

    >>> rms_norm(np.array([[3.0, 4.0]]), 2) * 12.5**0.5
    array([[3., 4.]])
    """
    axes = _last_axes("rms_norm", x, normalized_shape)
    eps = float(np.finfo(x.dtype).eps) if eps is None else eps
    return fused.normalize(x, weight, None, axes=axes, eps=eps, center=False)


def dropout(x: Any, p: float = 0.5, training: bool = True, generator: Stream | None = None) -> Any:
    """Each element is dropped with probability p, the others grow by 1/(1 − p).

    ``generator`` is the :class:`~minireg.backend.Stream` to draw the mask from; without one
    a fresh stream follows :func:`minireg.manual_seed`.

    >>> dropout(np.ones(3), p=0.0)
    array([1., 1., 1.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is the probability of dropping, in [0, 1]; got {p!r}")
    if not training or p == 0:
        return x
    stream = generator or Stream("dropout")
    return x * stream.dropout_mask(p, x.data if isinstance(x, Tensor) else x)
