"""Normalisations: of a channel over the batch, of a sample over its features or groups of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..backend import get_backend, move
from ..messages import check_option
from ..ops.table import array_like
from ..tensor import Tensor
from . import functional as F  # noqa: N812
from .module import Module, Parameter, parameter


def _affine(
    shape: tuple[int, ...], dtype: Any, weight: bool, bias: bool
) -> tuple[Parameter | None, Parameter | None]:
    """γ = 1 and β = 0, or None where not wanted."""
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
    """γ (x − μ)/√(σ² + ε) + β for each channel over the batch, x (N, C) or (N, C, …).

    Training uses the batch's mean and biased variance and lets the running ones follow
    with ``momentum`` (None: cumulative average); evaluation uses the running ones. Its
    gradient has three terms: direct, through the mean, through the variance (claim C19);
    ``mr.implicit.norm_gradient`` shows them for a layer of a model, of every norm here.

    >>> from minireg import nn, tensor
    >>> nn.BatchNorm(1, eps=0.0)(tensor([[1.0], [3.0]]))
    Tensor([[-1.],
            [ 1.]], dtype=float32, from=normalize)
    """

    formula = "y = γ (x − μ)/√(σ² + ε) + β"
    layouts: Mapping[int, str] = {}  # accepted ranks; none for all of 2 and above

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = np.float32,
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
            home = get_backend()
            self.running_mean = Tensor(move(np.zeros(num_features, dtype), home))
            self.running_var = Tensor(move(np.ones(num_features, dtype), home))
            self.num_batches_tracked = Tensor(move(np.zeros((), np.int64), home))

    def forward(self, x: Any) -> Any:
        """(N, C, …) → (N, C, …)."""
        x = array_like(x, f"{type(self).__name__}: x")
        fits = x.ndim in self.layouts if self.layouts else x.ndim >= 2
        if not fits or x.shape[1] != self.num_features:
            expected = " or ".join(self.layouts.values()) or "(N, C, …)"
            raise ValueError(
                f"{type(self).__name__}: got x of shape {x.shape}, "
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
        """Channels and options."""
        off = ", affine=False" if self.weight is None else ""
        off += ", track_running_stats=False" if self.running_mean is None else ""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{off}"


class BatchNorm1d(BatchNorm):
    """:class:`BatchNorm` that refuses images: x is (N, C) or (N, C, L).

    >>> from minireg import nn, tensor
    >>> nn.BatchNorm1d(1, eps=0.0)(tensor([[1.0], [3.0]])).numpy().ravel()
    array([-1.,  1.], dtype=float32)
    """

    layouts = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    """:class:`BatchNorm` of images only: x is (N, C, H, W).

    >>> from minireg import nn, tensor
    >>> nn.BatchNorm2d(1, eps=0.0)(tensor([[[[1.0, 3.0]]]])).numpy().ravel()
    array([-1.,  1.], dtype=float32)
    """

    layouts = {4: "(N, C, H, W)"}


class LayerNorm(Module):
    """γ (x − μ)/√(σ² + ε) + β over the last axes of each sample (claim C14).

    Its gradient is BatchNorm's along the features: x̄ = (u − ⟨u⟩ − x̂⟨u x̂⟩)/s with u = γȳ.

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
        dtype: Any = np.float32,
    ) -> None:
        check_option("LayerNorm", "[0, inf)", eps=eps)
        self.normalized_shape, self.eps = _sizes("LayerNorm", normalized_shape), eps
        self.weight, self.bias = _affine(self.normalized_shape, dtype, elementwise_affine, bias)

    def forward(self, x: Any) -> Any:
        """(…, *normalized_shape) → same shape."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Shape and ε."""
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """γ x/√(mean x² + ε) over the last axes: LayerNorm without centring (claims C10, C15).

    Nor has its gradient a term through the mean: x̄ = (u − x̂⟨u x̂⟩)/s with u = γȳ.

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
        dtype: Any = np.float32,
    ) -> None:
        if eps is not None:
            check_option("RMSNorm", "[0, inf)", eps=eps)
        self.normalized_shape, self.eps = _sizes("RMSNorm", normalized_shape), eps
        self.weight, _ = _affine(self.normalized_shape, dtype, elementwise_affine, False)

    def forward(self, x: Any) -> Any:
        """(…, *normalized_shape) → same shape."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Shape and ε."""
        return f"{self.normalized_shape}, eps={self.eps}"


class GroupNorm(Module):
    """γ (x − μ)/√(σ² + ε) + β over groups of channels of each sample, x (N, C, …).

    One group is LayerNorm over (C, …), C groups normalise each channel by itself; γ and β
    are one a channel. Batch size and mode make no difference. Raises ``ValueError`` for
    channels that do not split into equal groups, and for one value per group.

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
        dtype: Any = np.float32,
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

    def forward(self, x: Any) -> Any:
        """(N, C, …) → (N, C, …)."""
        x = array_like(x, "GroupNorm: x")
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(
                f"GroupNorm: got x of shape {x.shape}, expected (N, {self.num_channels}, …)"
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Groups, channels and ε."""
        off = ", affine=False" if self.weight is None else ""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}{off}"
