"""Layers and losses as functions of arrays or Tensors, with PyTorch's names and arguments.

``input`` is a Tensor, an array, or what becomes one, as a list. The result is a Tensor if an
argument is, else an array. In formulas x is the input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

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
from .module import AnyArray, MaybeArray

__all__ = [
    "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "conv2d", "cross_entropy",
    "dropout", "embedding", "gelu", "group_norm", "hinge_loss", "kl_div", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "relu", "rms_norm",
    "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip

Shape = int | Sequence[int]


def linear(input: ArrayLike, weight: AnyArray, bias: MaybeArray = None) -> Any:
    """x Wᵀ + b: an affine map of the last axis, (…, in) → (…, out), as PyTorch's.

    Parameters
    ----------
    input : x (…, in).
    weight : W (out, in).
    bias : b (out,), or None for 0.

    Raises ``ValueError`` for an input whose last axis is not W's.

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))
    array([[11.]])
    """
    weight = array_like(weight, "linear: weight")
    x = array_like(input, "linear: input", weight.dtype)
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: got input of shape {x.shape}, expected (…, {weight.shape[1]}) "
            f"for a weight of shape {weight.shape}"
        )
    return fused.linear(x, weight) if bias is None else fused.linear(x, weight, bias)


def padding_row(name: str, padding_idx: int | None, rows: int) -> int | None:
    """``padding_idx`` counted from the start; ``ValueError`` if there is no such row."""
    if padding_idx is None:
        return None
    check_option(name, range(-rows, rows), padding_idx=padding_idx)
    return padding_idx % rows


def embedding(input: ArrayLike, weight: AnyArray, padding_idx: int | None = None) -> Any:
    """The rows of ``weight`` at the indices ``input``: (…) → (…, dim), as PyTorch's.

    Parameters
    ----------
    input : indices (…), integers in 0 … num_embeddings − 1.
    weight : (num_embeddings, dim).
    padding_idx : a row that gets no gradient (negative: from the end), or None.

    Raises ``TypeError`` unless the indices are integers, ``IndexError`` for one out of range
    (not on a GPU, where the check would wait for the device), and ``ValueError`` for a
    ``padding_idx`` out of range.

    >>> embedding(np.array([2, 0]), np.array([[0.0], [1.0], [2.0]]))
    array([[2.],
           [0.]])
    """
    index, rows = as_array(held(input), "embedding: input"), len(weight)
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
    input: ArrayLike,
    running_mean: MaybeArray = None,
    running_var: MaybeArray = None,
    weight: MaybeArray = None,
    bias: MaybeArray = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    r"""γ (x − μ)/√(σ² + ε) + β for each channel over all other axes; the shape stays.

    Ioffe and Szegedy (2015; claims C12, C13, C19), with PyTorch's arguments. An empty batch
    moves no statistics.

    Parameters
    ----------
    input : x (N, C) or (N, C, …).
    running_mean, running_var : (C,) statistics, updated in place in training, used as μ and
        σ² in evaluation.
    weight, bias : γ and β (C,), or None for 1 and 0.
    training : whether μ and σ² (biased) are the batch's. Running statistics, if given, then
        move to (1 − m)·old + m·batch, with the unbiased σ².
    momentum : m in [0, 1].
    eps : ε ≥ 0.

    Raises ``ValueError`` for shapes that do not fit, for one value per channel in training,
    for evaluation without running statistics, and for one of them without the other.

    >>> batch_norm(np.array([[1.0], [3.0]]), training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    x = array_like(input, "batch_norm: input")
    if x.ndim < 2:
        raise ValueError(f"batch_norm: got input of shape {x.shape}, expected (N, C) or (N, C, …)")
    channels = x.shape[1]
    given = {"weight": weight, "bias": bias}
    given |= {"running_mean": running_mean, "running_var": running_var}
    if any(a is not None and a.shape != (channels,) for a in given.values()):
        check_shape(f"batch_norm of input {x.shape}", (channels,), **given)
    gamma, beta = _column(weight, x.ndim), _column(bias, x.ndim)
    if x.size == 0:  # nothing to normalize, and no statistics to move
        return _affine(x, gamma, beta)
    known = (running_mean is not None) + (running_var is not None)
    if known == 1 or not (known or training):
        raise ValueError("batch_norm: needs running_mean and running_var (in training: or neither)")
    if not training:
        y = (x - _column(running_mean, x.ndim)) * (_column(running_var, x.ndim) + eps) ** -0.5
        return _affine(y, gamma, beta)
    if x.size == channels:
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got input {x.shape}"
        )

    running = None
    if running_mean is not None:
        running = fused.Running(array_of(running_mean), array_of(running_var), momentum)
    y = fused.normalize(x, gamma, beta, axes=(0, *range(2, x.ndim)), eps=eps, running=running)
    moved = () if running is None else (running.mean, running.variance)
    for statistic, array in zip((running_mean, running_var), moved, strict=False):
        if isinstance(statistic, Tensor):
            statistic.data = array
        else:
            statistic[...] = array  # type: ignore[index]
    return y


def _last_axes(name: str, x: Any, normalized_shape: Shape) -> tuple[int, ...]:
    one = isinstance(normalized_shape, int | np.integer)
    shape = (normalized_shape,) if one else tuple(normalized_shape)  # type: ignore[arg-type]
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"{name}: got input of shape {x.shape}, expected (…, {', '.join(map(str, shape))})"
        )
    return tuple(range(-len(shape), 0))


def layer_norm(
    input: ArrayLike,
    normalized_shape: Shape,
    weight: MaybeArray = None,
    bias: MaybeArray = None,
    eps: float = 1e-5,
) -> Any:
    """γ (x − μ)/√(σ² + ε) + β over the last axes of each sample; the shape stays.

    Ba, Kiros and Hinton (2016; claim C14), with PyTorch's arguments.

    Parameters
    ----------
    input : x (…, *normalized_shape).
    normalized_shape : the last axes, over which μ and the biased σ² are taken.
    weight, bias : γ and β of that shape, or None for 1 and 0.
    eps : ε ≥ 0.

    Raises ``ValueError`` for an input that does not end in ``normalized_shape``.

    >>> layer_norm(np.array([[1.0, 3.0]]), 2, eps=0.0)
    array([[-1.,  1.]])
    """
    x = array_like(input, "layer_norm: input")
    axes = _last_axes("layer_norm", x, normalized_shape)
    return fused.normalize(x, weight, bias, axes=axes, eps=eps)


def rms_norm(
    input: ArrayLike, normalized_shape: Shape, weight: MaybeArray = None, eps: float | None = None
) -> Any:
    """γ x/√(mean x² + ε) over the last axes of each sample; the shape stays.

    Zhang and Sennrich (2019; claim C15), with PyTorch's arguments.

    Parameters
    ----------
    input : x (…, *normalized_shape), floating.
    normalized_shape : the last axes, over which the mean is taken.
    weight : γ of that shape, or None for 1.
    eps : ε ≥ 0; None is the resolution (``np.finfo(dtype).eps``) of the dtype computed in,
        which is float32 for float16.

    Raises ``ValueError`` for integers and for an input that does not end in
    ``normalized_shape``.

    >>> rms_norm(np.array([[3.0, 4.0]]), 2) * 12.5**0.5
    array([[3., 4.]])
    """
    x = array_like(input, "rms_norm: input")
    floating("rms_norm", input=x)
    axes = _last_axes("rms_norm", x, normalized_shape)
    if eps is None:
        eps = float(np.finfo(np.float32 if x.dtype == HALF else x.dtype).eps)
    return fused.normalize(x, weight, None, axes=axes, eps=eps, center=False)


def group_norm(
    input: ArrayLike,
    num_groups: int,
    weight: MaybeArray = None,
    bias: MaybeArray = None,
    eps: float = 1e-5,
) -> Any:
    """γ (x − μ)/√(σ² + ε) + β over groups of channels of each sample; the shape stays.

    Wu and He (2018), with PyTorch's arguments.

    Parameters
    ----------
    input : x (N, C, …).
    num_groups : how many groups of C/num_groups channels each.
    weight, bias : γ and β (C,), or None for 1 and 0.
    eps : ε ≥ 0.

    Raises ``ValueError`` for channels that do not split into groups of equal size, and where a
    batch of one has a single value per group; of several such samples the result is β.

    >>> group_norm(np.array([[1.0, 3.0, 0.0, 8.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    x = array_like(input, "group_norm: input")
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: got input of shape {x.shape} for {num_groups} groups, expected "
            "(N, C, …) with C divisible by the groups"
        )
    if x.size == num_groups:
        raise ValueError(f"group_norm: one value per group, got input of shape {x.shape}")
    check_shape(f"group_norm of input {x.shape}", x.shape[1:2], weight=weight, bias=bias)
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


def probability(owner: str, p: float) -> None:
    """``ValueError`` unless p is a number in [0, 1]."""
    if not within("[0, 1]", p):
        raise ValueError(f"{owner}: p is the probability of dropping, in [0, 1]; got {p!r}")


def dropout(
    input: ArrayLike, p: float = 0.5, training: bool = True, generator: Stream | None = None
) -> Any:
    """x with each element set to 0 with probability p, the others divided by 1 − p.

    Srivastava et al. (2014; claim C75), as PyTorch's: the mean stays x. The shape stays, too.

    Parameters
    ----------
    input : x, floating.
    p : the probability of dropping, in [0, 1].
    training : whether to drop at all.
    generator : the :class:`~minireg.random.Stream` that draws the mask; None is a new one
        that follows :func:`minireg.manual_seed`.

    Raises ``ValueError`` unless 0 ≤ p ≤ 1 and, where it drops, for integers; ``TypeError`` for a
    ``generator`` that is no Stream.

    >>> dropout(np.array([-1.0, 3.0]), p=0.0)
    array([-1.,  3.])
    """
    x = array_like(input, "dropout: input")
    if type(p) is not float or not 0 <= p <= 1:
        probability("dropout", p)
    if not training or p == 0:
        return x
    floating("dropout", input=x)
    return x * stream_of(generator, "dropout").dropout_mask(p, array_of(x))


# --- activations with options (the others are ops of the table) ----------------------------------


def gelu(input: ArrayLike, approximate: Literal["none", "tanh"] = "none") -> Any:
    """x Φ(x), Φ being the standard normal distribution function; the shape stays.

    Hendrycks and Gimpel (2016). ``approximate`` "none" is exact, "tanh" is
    ½x (1 + tanh(√(2/π)(x + 0.044715 x³))). Raises ``ValueError`` for another word.

    >>> gelu(np.array([0.0, 100.0]), "tanh")
    array([  0., 100.])
    """
    check_option("gelu", ("none", "tanh"), approximate=approximate)
    if approximate == "none":
        return elementwise.gelu(input)
    if (x := array_like(input, "gelu: input")).dtype == HALF:  # x³ would overflow
        return gelu(x.astype(np.float32), approximate).astype(HALF)
    return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))


def softplus(input: ArrayLike, beta: float = 1.0) -> Any:
    """log(1 + e^βx)/β, exact everywhere (PyTorch returns x where βx > 20); the shape stays.

    Raises ``ValueError`` unless β is finite and > 0.

    >>> softplus(np.array([0.0, 1000.0])).round(4)
    array([6.931e-01, 1.000e+03])
    """
    check_option("softplus", "(0, inf)", beta=beta)
    x = array_like(input, "softplus: input")
    return elementwise.softplus(x) if beta == 1 else elementwise.softplus(x * beta) / beta


def softmax(input: ArrayLike, dim: int = -1, axis: int | None = None) -> Any:
    """eˣ/Σ eˣ along axis ``dim``, as PyTorch's; the shape stays.

    The default is the last axis; PyTorch's None is axis 0 of 0, 1 or 3 axes, else 1. ``axis`` is
    NumPy's name for ``dim`` and takes its place where it is given. Raises ``ValueError`` for an
    axis that x lacks.

    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    return reductions.softmax(input, dim if axis is None else axis)


def log_softmax(input: ArrayLike, dim: int = -1, axis: int | None = None) -> Any:
    """x − log Σ eˣ along axis ``dim``, the logarithm of :func:`softmax`, as PyTorch's.

    Exact where the softmax underflows; the shape stays. ``dim`` and ``axis``, its NumPy name, are
    as for :func:`softmax`. Raises ``ValueError`` for an axis that x lacks.

    >>> log_softmax(np.array([0.0, 0.0])).round(4)
    array([-0.6931, -0.6931])
    """
    return reductions.log_softmax(input, dim if axis is None else axis)
