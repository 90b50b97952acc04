"""Windows that slide over images: convolution and pooling, as functions and as layers.

One recipe serves all: lay out what is under each window (:mod:`minireg.ops.convolution`), then
multiply by the weights, take the largest, or take the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..backend import of
from ..messages import check_option, check_shape, within
from ..ops.convolution import unfold
from ..ops.table import array_like, array_of
from ..random import Stream
from .module import AnyArray, MaybeArray, Module, Options, weight_and_bias

Pair = int | Sequence[int]
Sizes = Sequence[int]
Edges = list[tuple[int, int]]  # (before, after) along height and width


def _pair(name: str, argument: str, value: Pair, least: int = 1) -> tuple[int, int]:
    """``value`` for height and width; ``ValueError`` unless integers of at least ``least``."""
    both = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(both) != 2 or not all(within(least, v) for v in both):
        raise ValueError(
            f"{name}: {argument} must be an integer ≥ {least} or two of them, got {value!r}"
        )
    return both


def _margins(name: str, padding: Pair | str, size: Sizes, stride: Pair, dilation: Pair) -> Edges:
    """((above, below), (left, right)) for a padding in numbers or one of PyTorch's words."""
    if not isinstance(padding, str):
        return [(p, p) for p in _pair(name, "padding", padding, 0)]
    if padding not in ("same", "valid"):
        raise ValueError(f"{name}: padding must be numbers, 'same' or 'valid', got {padding!r}")
    if padding == "valid":
        return [(0, 0), (0, 0)]
    if _pair(name, "stride", stride) != (1, 1):
        raise ValueError(f"{name}: padding='same' needs stride 1, got {stride!r}")
    spare = [d * (k - 1) for k, d in zip(size, _pair(name, "dilation", dilation), strict=True)]
    return [(s // 2, s - s // 2) for s in spare]


def _windows(
    name: str, x: Any, size: Sizes, stride: Sizes, dilation: Sizes, edges: Edges, fill: float = 0.0
) -> Any:
    """(N, C, H, W) or (C, H, W) → (C, kh·kw, H', W', N): what lies under each window."""
    images = x.transpose(1, 2, 3, 0) if x.ndim == 4 else x.reshape(*x.shape, 1)
    images = np.pad(images, ((0, 0), *edges, (0, 0)), constant_values=fill)
    span = tuple(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True))
    if images.shape[1] < span[0] or images.shape[2] < span[1]:
        raise ValueError(
            f"{name}: got input of shape {x.shape}, too small for a window that spans {span}: with "
            f"its padding it is {images.shape[1:3]}"
        )
    y = unfold(images, size, stride, dilation)
    return y.reshape(y.shape[0], math.prod(size), *y.shape[3:])


def _images(y: Any, ndim: int) -> Any:
    """(C, H, W, N) back to the layout of an input of that many axes."""
    return y.transpose(3, 0, 1, 2) if ndim == 4 else y.reshape(y.shape[:3])


def conv2d(
    input: ArrayLike,
    weight: AnyArray,
    bias: MaybeArray = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation W ⋆ x + b of images, as PyTorch's.

    (N, C, H, W) → (N, out, H', W'), both with or both without N, where
    H' = ⌊(H + padding above and below − dilation·(kh − 1) − 1)/stride⌋ + 1 and likewise W'. The
    windows are laid out for one matrix product per group: they take kh·kw/stride² times the
    memory of x until the backward pass is done.

    Parameters
    ----------
    input : x (N, C, H, W) or (C, H, W).
    weight : W (out, C/groups, kh, kw).
    bias : b (out,), or None for 0.
    stride : the step from window to window; here as below an integer, or two for height and
        width.
    padding : rows and columns of zeros on each side; "valid" for none, or "same" for H' = H
        and W' = W (stride 1 only; an odd total puts the extra one below and right).
    dilation : the step from element to element of a window.
    groups : parts of the channels that are convolved separately; a divisor of C and out.

    Raises ``ValueError`` for shapes that do not fit, an image smaller than the window, and
    options out of range.

    >>> x = np.arange(9.0).reshape(1, 3, 3)
    >>> conv2d(x, np.ones((1, 1, 2, 2)))
    array([[[ 8., 12.],
            [20., 24.]]])
    """
    x = array_like(input, "conv2d: input", weight.dtype)
    out, taken, *size = weight.shape
    if x.ndim not in (3, 4) or len(size) != 2 or x.shape[-3] != taken * groups or out % groups:
        raise ValueError(
            f"conv2d: got input of shape {x.shape} and weight of shape {weight.shape} for groups="
            f"{groups}, expected (N, C, H, W) or (C, H, W) and (out, C/groups, kh, kw)"
        )
    check_shape("conv2d", (out,), bias=bias)
    stride, dilation = _pair("conv2d", "stride", stride), _pair("conv2d", "dilation", dilation)
    edges = _margins("conv2d", padding, size, stride, dilation)
    columns = _windows("conv2d", x, size, stride, dilation, edges)
    *_, height, width, n = columns.shape
    rows = weight.reshape(groups, out // groups, taken * math.prod(size))
    y = rows @ columns.reshape(groups, taken * math.prod(size), height * width * n)
    y = y.reshape(out, height, width, n)
    return _images(y if bias is None else y + bias.reshape(out, 1, 1, 1), x.ndim)


def _pooled(
    name: str,
    x: Any,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
    fill: float,
) -> tuple[Any, list[Edges]]:
    """:func:`_windows`, and (start, end) of each along height and along width of x."""
    size, before = _pair(name, "kernel_size", kernel_size), _pair(name, "padding", padding, 0)
    step = size if stride is None else _pair(name, "stride", stride)
    dilation = _pair(name, "dilation", dilation)
    if x.ndim not in (3, 4):
        raise ValueError(
            f"{name}: got input of shape {x.shape}, expected (N, C, H, W) or (C, H, W)"
        )
    if any(2 * p > k for p, k in zip(before, size, strict=True)):
        raise ValueError(
            f"{name}: padding must be at most half of kernel_size, got {before} and {size}"
        )
    edges, spans = [], []
    for n, k, s, p, d in zip(x.shape[-2:], size, step, before, dilation, strict=True):
        reach = n + 2 * p - d * (k - 1) - 1
        last = -(-reach // s) if ceil_mode else reach // s
        if ceil_mode and last * s >= n + p:  # a window starts inside x or before it
            last -= 1
        edges.append((p, p + max(0, last * s - reach)))
        spans.append([(i * s - p, i * s - p + k) for i in range(last + 1)])
    return _windows(name, x, size, step, dilation, edges, fill), spans


def max_pool2d(
    input: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest element under each window, for every channel, as PyTorch's.

    (N, C, H, W) → (N, C, H', W'), or both without N; H' and W' as of :func:`conv2d`. Ties
    share the gradient evenly, where PyTorch's goes to the first of them.

    Parameters
    ----------
    input : x (N, C, H, W) or (C, H, W).
    kernel_size : the window; here as below an integer, or two for height and width.
    stride : the step from window to window; None is ``kernel_size``.
    padding : rows and columns of −∞ on each side, at most half the window.
    dilation : the step from element to element of a window.
    ceil_mode : whether a last window that runs over the edge counts.

    Raises ``ValueError`` for options out of range, another number of axes, and an image that
    is smaller than the window.

    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 5.,  7.],
            [13., 15.]]])
    """
    x = array_like(input, "max_pool2d: input")
    least = -math.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    windows, _ = _pooled("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, least)
    return _images(windows.max(axis=1), x.ndim)


def avg_pool2d(
    input: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean under each window, for every channel, as PyTorch's.

    (N, C, H, W) → (N, C, H', W'), or both without N; H' and W' as of :func:`conv2d`.

    Parameters
    ----------
    input, kernel_size, stride, ceil_mode : as of :func:`max_pool2d`.
    padding : rows and columns of zeros on each side, at most half the window.
    count_include_pad : whether these zeros count in the mean. What a last window of
        ``ceil_mode`` covers beyond them never does.
    divisor_override : divides the sums instead of the count; None for the count.

    Raises ``ValueError`` as :func:`max_pool2d`, and for a ``divisor_override`` of 0.

    >>> avg_pool2d(np.arange(16.0).reshape(1, 4, 4), 2)
    array([[[ 2.5,  4.5],
            [10.5, 12.5]]])
    """
    x = array_like(input, "avg_pool2d: input")
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0; None divides by the count")
    windows, spans = _pooled("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode, 0.0)
    rim = _pair("avg_pool2d", "padding", padding, 0) if count_include_pad else (0, 0)
    heights, widths = (
        [min(end, n + p) - max(start, -p) for start, end in along]
        for along, n, p in zip(spans, x.shape[-2:], rim, strict=True)
    )
    divisor: Any = divisor_override or heights[0] * widths[0]
    if divisor_override is None and len({*heights}) + len({*widths}) > 2:
        divisor = of(array_of(x)).xp.asarray(np.outer(heights, widths)[..., None], dtype=x.dtype)
    return _images(windows.sum(axis=1) / divisor, x.ndim)


# --- layers ---------------------------------------------------------------------------------------


class Conv2d(Module):
    """Cross-correlation of images with learned windows, as PyTorch's.

    (N, in_channels, H, W) → (N, out_channels, H', W'), or both without N; see :func:`conv2d`.

    Parameters
    ----------
    in_channels, out_channels : ≥ 1, both divisible by ``groups``.
    kernel_size, stride, padding, dilation, groups : as of :func:`conv2d`.
    bias : whether there is a b.
    dtype : of weight (out_channels, in_channels/groups, kh, kw) and bias (out_channels,).
    generator : gives their starting values, uniform in ±1/√(in/groups·kh·kw) as PyTorch's;
        None follows :func:`minireg.manual_seed`.

    Raises ``ValueError`` for options out of range, and for an input that is smaller than the
    window or has other channels.

    >>> from minireg import nn, tensor
    >>> nn.Conv2d(3, 8, 3, padding="same")(tensor(np.zeros((2, 3, 5, 5), np.float32))).shape
    (2, 8, 5, 5)
    """

    formula = "y = W ⋆ x + b"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        generator: Stream | None = None,
    ) -> None:
        check_option("Conv2d", 1, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: in_channels and out_channels must be divisible by groups, got "
                f"{in_channels}, {out_channels} and {groups}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        pair = partial(_pair, "Conv2d")
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride, self.dilation = pair("stride", stride), pair("dilation", dilation)
        self.padding = padding if isinstance(padding, str) else pair("padding", padding, 0)
        _margins("Conv2d", self.padding, self.kernel_size, self.stride, self.dilation)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight, self.bias = weight_and_bias(shape, bias, dtype, generator)

    def forward(self, input: ArrayLike) -> Any:
        """(N, C, H, W) → (N, out_channels, H', W'), or both without N."""
        return conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """Channels, the window, and options that are not the default."""
        defaults = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        options = {name: getattr(self, name) for name in ("kernel_size", *defaults)}
        shown = [f"{n}={v!r}" for n, v in options.items() if defaults.get(n) != v]
        if self.bias is None:
            shown.append("bias=False")
        return ", ".join([f"{self.in_channels}, {self.out_channels}", *shown])


class _Pool2d(Options):
    kernel_size: Pair
    stride: Pair | None = None
    padding: Pair = 0

    def __post_init__(self) -> None:
        self.stride = self.kernel_size if self.stride is None else self.stride


class MaxPool2d(_Pool2d, function=max_pool2d):
    """The largest element under each window, for every channel, as PyTorch's.

    (N, C, H, W) → (N, C, H', W'), or both without N. The gradient goes to the largest element;
    *ties share it evenly*, where PyTorch's goes to the first of them.

    Parameters
    ----------
    kernel_size : the window; here as below an integer, or two for height and width.
    stride : the step from window to window; None is ``kernel_size``.
    padding : rows and columns of −∞ on each side, at most half the window.
    dilation : the step from element to element of a window.
    ceil_mode : by keyword: whether a last window that runs over the edge counts.

    Raises ``ValueError`` when called: for options out of range and for an input that is
    smaller than the window.

    >>> from minireg import nn, tensor
    >>> nn.MaxPool2d(2)(tensor([[[1.0, 2.0], [3.0, 4.0]]])).numpy()
    array([[[4.]]], dtype=float32)
    """

    dilation: Pair = 1
    _: KW_ONLY  # PyTorch has return_indices here
    ceil_mode: bool = False

    formula = "y = max over each window"


class AvgPool2d(_Pool2d, function=avg_pool2d):
    """The mean under each window, for every channel, as PyTorch's.

    (N, C, H, W) → (N, C, H', W'), or both without N.

    Parameters
    ----------
    kernel_size : the window; here as below an integer, or two for height and width.
    stride : the step from window to window; None is ``kernel_size``.
    padding : rows and columns of zeros on each side, at most half the window.
    ceil_mode : whether a last window that runs over the edge counts; what it covers beyond
        the padding never counts.
    count_include_pad : whether the padding's zeros count in the mean.
    divisor_override : divides the sums instead of the count; None for the count.

    Raises ``ValueError`` when called: for options out of range and for an input that is
    smaller than the window.

    >>> from minireg import nn, tensor
    >>> nn.AvgPool2d(2)(tensor([[[1.0, 2.0], [3.0, 4.0]]])).numpy()
    array([[[2.5]]], dtype=float32)
    """

    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    formula = "y = mean over each window"
