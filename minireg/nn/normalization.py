"""Normalisations: of a channel over the batch, of a sample over its features or groups of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..backend import get_backend, move
from ..messages import check_option
from ..ops.table import array_like
from ..tensor import Tensor
from . import functional as F  # noqa: N812
from .module import Module, Parameter, parameter


def _affine(
    shape: tuple[int, ...], dtype: DTypeLike, weight: bool, bias: bool
) -> tuple[Parameter | None, Parameter | None]:
    """γ = 1 and β = 0 of this shape; None for what is switched off."""
    return (
        parameter(np.ones(shape, dtype), "norm") if weight else None,
        parameter(np.zeros(shape, dtype), "norm") if weight and bias else None,
    )


def _sizes(owner: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """The axes to normalize over; ``ValueError`` unless they are integers ≥ 1."""
    shape = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    for n in shape or (shape,):
        check_option(owner, 1, normalized_shape=n)
    return tuple(map(int, shape))


class BatchNorm(Module):
    """γ (x − μ)/√(σ² + ε) + β for each channel, (N, C) or (N, C, …) → the same shape.

    Ioffe and Szegedy (2015), as PyTorch's. Training uses the batch's mean μ and biased variance
    σ² (claims C12, C13), evaluation the running ones. The gradient has three terms: direct,
    through the mean, through the variance (claim C19); ``mr.implicit.norm_gradient`` shows
    them for a layer of a model, of every norm here.

    Parameters
    ----------
    num_features : C ≥ 1.
    eps : ε ≥ 0.
    momentum : m in [0, 1]: running statistics become (1 − m)·old + m·batch, the variance
        unbiased; None for the average of all batches so far.
    affine : whether there are γ (``weight``) and β (``bias``), which start at 1 and 0.
    track_running_stats : whether there are running statistics (buffers, which start at 0 and
        1); without them evaluation uses the batch's.
    dtype : of parameters and statistics.
    bias : by keyword: whether there is a β when there is a γ.

    Raises ``ValueError`` for options out of range; when called for an input of other axes or
    channels, and in training for one value per channel.

    >>> from minireg import nn, tensor
    >>> nn.BatchNorm(1, eps=0.0)(tensor([[1.0], [3.0]]))
    Tensor([[-1.],
            [ 1.]], dtype=float32, from=normalize)
    """

    formula = "y = γ (x − μ)/√(σ² + ε) + β"
    layouts: Mapping[int, str] = {}  # accepted numbers of axes; empty: 2 and above

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: DTypeLike = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        owner = type(self).__name__
        check_option(owner, 1, num_features=num_features)
        check_option(owner, "[0, inf)", eps=eps)
        if momentum is not None:
            check_option(owner, "[0, 1]", momentum=momentum)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight, self.bias = _affine((num_features,), dtype, affine, bias)
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            backend = get_backend()
            self.running_mean = Tensor(move(np.zeros(num_features, dtype), backend))
            self.running_var = Tensor(move(np.ones(num_features, dtype), backend))
            self.num_batches_tracked = Tensor(move(np.zeros((), np.int64), backend))

    def forward(self, input: ArrayLike) -> Any:
        """(N, C, …) → (N, C, …)."""
        x = array_like(input, f"{type(self).__name__}: input")
        fits = x.ndim in self.layouts if self.layouts else x.ndim >= 2
        if not fits or x.shape[1] != self.num_features:
            expected = " or ".join(self.layouts.values()) or "(N, C, …)"
            raise ValueError(
                f"{type(self).__name__}: got input of shape {x.shape}, "
                f"expected {expected} with C = {self.num_features}"
            )
        momentum: Any = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.data += 1
            if momentum is None:
                momentum = 1 / self.num_batches_tracked.data
        statistics, training = (self.running_mean, self.running_var), self.training
        training = training or self.running_mean is None
        return F.batch_norm(x, *statistics, self.weight, self.bias, training, momentum, self.eps)

    def extra_repr(self) -> str:
        """Channels and options that matter."""
        off = ", affine=False" if self.weight is None else ""
        off += ", track_running_stats=False" if self.running_mean is None else ""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{off}"


class BatchNorm1d(BatchNorm):
    """:class:`BatchNorm` of vectors and sequences: (N, C) or (N, C, L), as PyTorch's.

    The parameters are those of :class:`BatchNorm`. Raises ``ValueError`` for an input of other
    axes.

    >>> from minireg import nn, tensor
    >>> nn.BatchNorm1d(1, eps=0.0)(tensor([[1.0], [3.0]])).numpy().ravel()
    array([-1.,  1.], dtype=float32)
    """

    layouts = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    """:class:`BatchNorm` of images: (N, C, H, W), as PyTorch's.

    The parameters are those of :class:`BatchNorm`. Raises ``ValueError`` for an input of other
    axes.

    >>> from minireg import nn, tensor
    >>> nn.BatchNorm2d(1, eps=0.0)(tensor([[[[1.0, 3.0]]]])).numpy().ravel()
    array([-1.,  1.], dtype=float32)
    """

    layouts = {4: "(N, C, H, W)"}


class LayerNorm(Module):
    """γ (x − μ)/√(σ² + ε) + β over the last axes of each sample; the shape stays.

    Ba, Kiros and Hinton (2016; claim C14), as PyTorch's. The gradient is BatchNorm's along the
    features: x̄ = (u − ⟨u⟩ − x̂⟨u x̂⟩)/s with u = γȳ, s = √(σ² + ε).

    Parameters
    ----------
    normalized_shape : sizes of the last axes, over which μ and σ² are taken.
    eps : ε ≥ 0.
    elementwise_affine : whether there are γ (``weight``) and β (``bias``) of that shape, which
        start at 1 and 0.
    bias : whether there is a β when there is a γ.
    dtype : of the parameters.

    Raises ``ValueError`` for sizes below 1 and ε below 0, and for an input that does not end
    in ``normalized_shape``.

    >>> from minireg import nn, tensor
    >>> nn.LayerNorm(2, eps=0.0)(tensor([[1.0, 3.0]])).numpy()
    array([[-1.,  1.]], dtype=float32)
    """

    formula = "y = γ (x − μ)/√(σ² + ε) + β"

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        check_option("LayerNorm", "[0, inf)", eps=eps)
        self.normalized_shape, self.eps = _sizes("LayerNorm", normalized_shape), eps
        self.weight, self.bias = _affine(self.normalized_shape, dtype, elementwise_affine, bias)

    def forward(self, input: ArrayLike) -> Any:
        """(…, *normalized_shape) → same shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Shape and ε."""
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """γ x/√(mean x² + ε) over the last axes: LayerNorm without the mean; the shape stays.

    Zhang and Sennrich (2019; claims C10, C15), as PyTorch's. The gradient has no term through
    the mean: x̄ = (u − x̂⟨u x̂⟩)/s with u = γȳ, s = √(mean x² + ε).

    Parameters
    ----------
    normalized_shape : sizes of the last axes, over which the mean is taken.
    eps : ε ≥ 0; None is the resolution of the input's dtype, as in :func:`rms_norm`.
    elementwise_affine : whether there is a γ (``weight``) of that shape, which starts at 1.
    dtype : of the parameter.

    Raises ``ValueError`` for sizes below 1 and ε below 0, and for an input of integers or one
    that does not end in ``normalized_shape``.

    >>> from minireg import nn, tensor
    >>> nn.RMSNorm(2)(tensor([[3.0, 4.0]])).shape
    (1, 2)
    """

    formula = "y = γ x/√(mean x² + ε)"

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if eps is not None:
            check_option("RMSNorm", "[0, inf)", eps=eps)
        self.normalized_shape, self.eps = _sizes("RMSNorm", normalized_shape), eps
        self.weight, _ = _affine(self.normalized_shape, dtype, elementwise_affine, False)

    def forward(self, input: ArrayLike) -> Any:
        """(…, *normalized_shape) → same shape."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Shape and ε."""
        return f"{self.normalized_shape}, eps={self.eps}"


class GroupNorm(Module):
    """γ (x − μ)/√(σ² + ε) + β over groups of channels of each sample; (N, C, …) stays.

    Wu and He (2018), as PyTorch's. One group normalises over (C, …), C groups each channel by
    itself. Batch size and mode make no difference.

    Parameters
    ----------
    num_groups : groups of equal size, a divisor of ``num_channels``.
    num_channels : C ≥ 1.
    eps : ε ≥ 0.
    affine : whether there are γ (``weight``) and β (``bias``), (C,), which start at 1 and 0.
    dtype : of the parameters.
    bias : by keyword: whether there is a β when there is a γ.

    Raises ``ValueError`` for options out of range; when called for an input of other channels
    and for one value per group.

    >>> from minireg import nn, tensor
    >>> nn.GroupNorm(2, 4, eps=0.0)(tensor([[1.0, 3.0, 0.0, 8.0]])).numpy()
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    formula = "y = γ (x − μ)/√(σ² + ε) + β"

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        check_option("GroupNorm", "[0, inf)", eps=eps)
        check_option("GroupNorm", 1, num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_channels must be divisible by num_groups, got {num_channels} and "
                f"{num_groups}"
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight, self.bias = _affine((num_channels,), dtype, affine, bias)

    def forward(self, input: ArrayLike) -> Any:
        """(N, C, …) → (N, C, …)."""
        x = array_like(input, "GroupNorm: input")
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(
                f"GroupNorm: got input of shape {x.shape}, expected (N, {self.num_channels}, …)"
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Groups, channels and ε."""
        off = ", affine=False" if self.weight is None else ""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}{off}"
