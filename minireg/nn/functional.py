"""Layers and losses as functions of arrays or Tensors, with PyTorch's names and arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import NUMPY, as_array, of
from ..messages import check_option, check_shape, within
from ..ops import elementwise, fused, reductions
from ..ops.elementwise import leaky_relu, relu, sigmoid, silu, tanh, where
from ..ops.table import HALF, array_like, array_of, held
from ..random import Stream, stream_of
from ..tensor import Tensor
from .convolution import avg_pool2d, conv2d, max_pool2d
from .losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    floating,
    hinge_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)

__all__ = [
    "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "conv2d", "cross_entropy",
    "dropout", "embedding", "gelu", "group_norm", "hinge_loss", "kl_div", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "relu", "rms_norm",
    "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x Wᵀ + b for x (…, in), weight (out, in), bias (out,).

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))
    array([[11.]])
    """
    x = array_like(x, "linear: x", weight.dtype)
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: got x of shape {x.shape}, expected (…, {weight.shape[1]}) "
            f"for a weight of shape {weight.shape}"
        )
    return fused.linear(x, weight) if bias is None else fused.linear(x, weight, bias)


def padding_row(name: str, padding_idx: int | None, rows: int) -> int | None:
    """``padding_idx`` counted from the start; ``ValueError`` if there is no such row."""
    if padding_idx is None:
        return None
    check_option(name, range(-rows, rows), padding_idx=padding_idx)
    return padding_idx % rows


def embedding(x: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """The rows of weight (num_embeddings, dim) at the indices x: (…) → (…, dim).

    Row ``padding_idx`` gets no gradient. Raises ``TypeError`` unless x holds integers, and
    ``IndexError`` for one outside 0 … num_embeddings − 1 (not on a GPU, where asking would
    wait for the device).

    >>> embedding(np.array([2, 0]), np.array([[0.0], [1.0], [2.0]]))
    array([[2.],
           [0.]])
    """
    index, rows = as_array(held(x), "embedding: x"), len(weight)
    if index.dtype.kind not in "iu":
        raise TypeError(
            f"embedding: got indices of dtype {index.dtype}, expected integers; convert with "
            ".astype('int64')"
        )
    if of(index) is NUMPY and (wrong := index[(index < 0) | (index >= rows)]).size:
        raise IndexError(f"embedding: index {int(wrong[0])} is outside 0 … {rows - 1}")
    y = weight[index]
    padding = padding_row("embedding", padding_idx, rows)
    if padding is None or not isinstance(y, Tensor):
        return y
    return where(np.expand_dims(index != padding, -1), y, y.data)


def _column(v: Any, ndim: int) -> Any:
    """(C,) as (C, 1, …) so that it lines up with axis 1 of an ndim-dimensional input."""
    return v if v is None or ndim == 2 else v.reshape(-1, *(1,) * (ndim - 2))


def _affine(x: Any, gamma: Any, beta: Any) -> Any:
    y = x if gamma is None else x * gamma
    return y if beta is None else y + beta


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
    An empty batch moves no statistics. Raises ``ValueError`` for one value per channel in
    training (claims C12, C13, C19).

    >>> batch_norm(np.array([[1.0], [3.0]]), training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    x = array_like(x, "batch_norm: x")
    if x.ndim < 2:
        raise ValueError(f"batch_norm: got x of shape {x.shape}, expected (N, C) or (N, C, …)")
    channels = x.shape[1]
    given = {"weight": weight, "bias": bias}
    given |= {"running_mean": running_mean, "running_var": running_var}
    if any(a is not None and a.shape != (channels,) for a in given.values()):
        check_shape(f"batch_norm of x {x.shape}", (channels,), **given)
    gamma, beta = _column(weight, x.ndim), _column(bias, x.ndim)
    if x.size == 0:  # nothing to normalize, and no statistics to move
        return _affine(x, gamma, beta)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: evaluation needs running_mean and running_var")
        y = (x - _column(running_mean, x.ndim)) * (_column(running_var, x.ndim) + eps) ** -0.5
        return _affine(y, gamma, beta)
    n = x.size // channels
    if n == 1:
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got x of shape {x.shape}"
        )

    running = None
    if running_mean is not None:
        running = fused.Running(array_of(running_mean), array_of(running_var), momentum)
    axes = (0, *range(2, x.ndim))
    y = fused.normalize(x, gamma, beta, axes=axes, eps=eps, running=running)
    if running is not None:
        _assign(running_mean, running.mean)
        _assign(running_var, running.variance)
    return y


def _assign(statistic: Any, moved: Any) -> None:
    if isinstance(statistic, Tensor):
        statistic.data = moved
    else:
        statistic[...] = moved


def _last_axes(name: str, x: Any, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    one = isinstance(normalized_shape, int | np.integer)
    shape = (normalized_shape,) if one else tuple(normalized_shape)  # type: ignore[arg-type]
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
    x = array_like(x, "layer_norm: x")
    axes = _last_axes("layer_norm", x, normalized_shape)
    return fused.normalize(x, weight, bias, axes=axes, eps=eps)


def rms_norm(
    x: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    """γ x/√(mean x² + ε) over the last axes; ε defaults to the resolution (claim C15).

    That is of the dtype that is computed in, which is float32 for float16.

    >>> rms_norm(np.array([[3.0, 4.0]]), 2) * 12.5**0.5
    array([[3., 4.]])
    """
    x = array_like(x, "rms_norm: x")
    floating("rms_norm", x=x)
    axes = _last_axes("rms_norm", x, normalized_shape)
    if eps is None:
        eps = float(np.finfo(np.float32 if x.dtype == HALF else x.dtype).eps)
    return fused.normalize(x, weight, None, axes=axes, eps=eps, center=False)


def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """γ (x − μ)/√(σ² + ε) + β over groups of channels of each sample, for x (N, C, …).

    Raises ``ValueError`` for channels that do not split into groups of equal size, and for
    a single value per group.

    >>> group_norm(np.array([[1.0, 3.0, 0.0, 8.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    x = array_like(x, "group_norm: x")
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: got x of shape {x.shape} for {num_groups} groups, expected (N, C, …) "
            "with C divisible by the groups"
        )
    if x.size == num_groups:
        raise ValueError(f"group_norm: one value per group, got x of shape {x.shape}")
    check_shape(f"group_norm of x {x.shape}", x.shape[1:2], weight=weight, bias=bias)
    if x.size == 0:
        return _affine(x, _column(weight, x.ndim), _column(bias, x.ndim))
    n, channels, *rest = x.shape
    grouped = x.reshape(n, num_groups, channels // num_groups, *rest)
    gamma, beta = (
        v if v is None else v.reshape(num_groups, channels // num_groups, *(1,) * len(rest))
        for v in (weight, bias)
    )
    axes = tuple(range(2, grouped.ndim))
    return fused.normalize(grouped, gamma, beta, axes=axes, eps=eps).reshape(x.shape)


def probability(owner: str, p: Any) -> None:
    """``ValueError`` unless p is a number in [0, 1]."""
    if not within("[0, 1]", p):
        raise ValueError(f"{owner}: p is the probability of dropping, in [0, 1]; got {p!r}")


def dropout(x: Any, p: float = 0.5, training: bool = True, generator: Stream | None = None) -> Any:
    """Each element is dropped with probability p, the others grow by 1/(1 − p).

    ``generator`` is the :class:`~minireg.random.Stream` to draw the mask from; without one
    a fresh stream follows :func:`minireg.manual_seed`. Raises ``ValueError`` unless 0 ≤ p ≤ 1.

    >>> dropout(np.array([-1.0, 3.0]), p=0.0)
    array([-1.,  3.])
    """
    x = array_like(x, "dropout: x")
    if type(p) is not float or not 0 <= p <= 1:
        probability("dropout", p)
    if not training or p == 0:
        return x
    floating("dropout", x=x)
    stream = stream_of(generator, "dropout")
    return x * stream.dropout_mask(p, array_of(x))


# --- activations with options (the others are ops of the table) ----------------------------------


def gelu(x: Any, approximate: str = "none") -> Any:
    """x Φ(x), or with ``approximate="tanh"`` ½x (1 + tanh(√(2/π)(x + 0.044715 x³))).

    Raises ``ValueError`` for another word.

    >>> gelu(np.array([0.0, 100.0]), "tanh")
    array([  0., 100.])
    """
    check_option("gelu", ("none", "tanh"), approximate=approximate)
    if approximate == "none":
        return elementwise.gelu(x)
    if (x := array_like(x, "gelu: x")).dtype == HALF:  # x³ would overflow
        return gelu(x.astype(np.float32), approximate).astype(HALF)
    return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))


def softplus(x: Any, beta: float = 1.0) -> Any:
    """log(1 + e^βx)/β, exact everywhere (PyTorch returns x where βx > 20).

    Raises ``ValueError`` unless β > 0.

    >>> softplus(np.array([0.0, 1000.0])).round(4)
    array([6.931e-01, 1.000e+03])
    """
    check_option("softplus", "(0, inf)", beta=beta)
    return elementwise.softplus(x) if beta == 1 else elementwise.softplus(x * beta) / beta


def softmax(x: Any, dim: int = -1, axis: int | None = None) -> Any:
    """eˣ/Σ eˣ along axis ``dim``, which may be called ``axis``.

    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    return reductions.softmax(x, dim if axis is None else axis)


def log_softmax(x: Any, dim: int = -1, axis: int | None = None) -> Any:
    """x − log Σ eˣ along axis ``dim``, which may be called ``axis``.

    >>> log_softmax(np.array([0.0, 0.0])).round(4)
    array([-0.6931, -0.6931])
    """
    return reductions.log_softmax(x, dim if axis is None else axis)
