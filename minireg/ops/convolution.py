"""Windows that slide over an image: one linear op and its transpose.

Images are (C, H, W, …) with the batch last: then a row of a window is one run of memory for
the whole batch, and the windows, reshaped, are the matrix that a convolution multiplies.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from .samples import Shape, shaped
from .table import op

Pair = tuple[int, int]


def _unfold(x: Any, size: Pair, stride: Pair, dilation: Pair) -> Any:
    (kh, kw), (sh, sw), (dh, dw) = size, stride, dilation
    span = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=(1, 2))
    return np.moveaxis(view[:, ::sh, ::sw, ..., ::dh, ::dw], (-2, -1), (1, 2))


def _fold(y: Any, shape: Pair, stride: Pair, dilation: Pair) -> Any:
    channels, *size, oh, ow = y.shape[:5]
    axes = list(zip(shape, size, stride, dilation, (oh, ow), strict=True))
    if any((n - d * (k - 1) - 1) // s + 1 != count for n, k, s, d, count in axes):
        raise ValueError(f"an image of {shape} does not have {oh} × {ow} windows of {tuple(size)}")
    x = np.zeros_like(y, shape=(channels, *shape, *y.shape[5:]))
    for position in product(*map(range, size)):
        rows, columns = (
            slice(i * d, i * d + s * count, s)
            for i, (_, _, s, d, count) in zip(position, axes, strict=True)
        )
        x[:, rows, columns] += y[:, *position]
    return x


def _unfold_rule(g: Any, y: Any, x: Any, size: Pair, stride: Pair, dilation: Pair) -> Any:
    return fold(g, x.shape[1:3], stride, dilation)


def _fold_rule(g: Any, y: Any, x: Any, shape: Pair, stride: Pair, dilation: Pair) -> Any:
    return unfold(g, x.shape[1:3], stride, dilation)


_IMAGES = shaped(
    (Shape(2, 5, 4), (2, 3), (1, 1), (1, 1)),  # and size, stride, dilation
    (Shape(2, 6, 7, 3), (2, 3), (3, 1), (2, 1)),
    (Shape(1, 5, 5), (1, 2), (2, 3), (1, 1)),
)
_WINDOWS = shaped(
    (Shape(2, 2, 3, 4, 2), (5, 4), (1, 1), (1, 1)),  # and shape, stride, dilation
    (Shape(2, 2, 3, 2, 5, 3), (6, 7), (3, 1), (2, 1)),
)
# fmt: off
unfold = op("unfold", _unfold, _unfold_rule, samples=_IMAGES,
            formula=r"y_{cijhw} = x_{c,\,sh+di,\,sw+dj},\quad \bar x = \mathrm{fold}(\bar y)")
fold = op("fold", _fold, _fold_rule, samples=_WINDOWS,
          formula=r"y_{c,\,sh+di,\,sw+dj} \mathrel{+}= x_{cijhw},"
                  r"\quad \bar x = \mathrm{unfold}(\bar y)")
# fmt: on
