"""Linear, normalisations, dropout and activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import Stream, get_backend, move
from ..tensor import Tensor
from . import functional as F  # noqa: N812
from .module import Kind, Module, Parameter


def _parameter(values: Any, kind: Kind) -> Parameter:
    return Parameter(move(values, get_backend()), kind=kind)


def _positive(owner: str, **sizes: Any) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{owner}: {name} must be an integer ≥ 1, got {size!r}")


class Linear(Module):
    """y = x Wᵀ + b, with weight (out_features, in_features) and bias (out_features,).

    Both start uniform in ±1/√in_features, as PyTorch's do, from ``generator`` or from a
    stream that follows :func:`minireg.manual_seed`.

    >>> from minireg import nn, tensor
    >>> nn.Linear(3, 2)(tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)
    """

    formula = "y = x Wᵀ + b"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = np.float32,
        generator: Stream | None = None,
    ) -> None:
        _positive("Linear", in_features=in_features, out_features=out_features)
        stream, bound = generator or Stream("init"), in_features**-0.5
        self.in_features, self.out_features = in_features, out_features
        shape = (out_features, in_features)
        weight = stream.uniform(-bound, bound, shape).astype(dtype)
        self.weight = _parameter(weight, "weight")
        shift = stream.uniform(-bound, bound, shape[:1]).astype(dtype) if bias else None
        self.bias = None if shift is None else _parameter(shift, "bias")

    def forward(self, x: Any) -> Any:
        """(…, in_features) → (…, out_features)."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes, and a missing bias."""
        return f"{self.in_features}, {self.out_features}" + ", bias=False" * (self.bias is None)


class BatchNorm(Module):
    """γ (x − μ)/√(σ² + ε) + β for each channel over the batch, x (N, C) or (N, C, …).

    Training uses the batch's mean and biased variance and lets the running ones follow
    with ``momentum`` (None: cumulative average); evaluation uses the running ones. Its
    gradient has three terms: direct, through the mean, through the variance (claim C19).

    >>> from minireg import nn, tensor
    >>> nn.BatchNorm(1, eps=0.0)(tensor([[1.0], [3.0]]))
    Tensor([[-1.],
            [ 1.]], dtype=float32, from=normalize)
    """

    formula = "y = γ (x − μ)/√(σ² + ε) + β"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        _positive("BatchNorm", num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        ones, zeros = np.ones(num_features, dtype), np.zeros(num_features, dtype)
        self.weight = _parameter(ones, "norm") if affine else None
        self.bias = _parameter(zeros, "norm") if affine else None
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            home = get_backend()
            self.running_mean = Tensor(move(zeros.copy(), home))
            self.running_var = Tensor(move(ones.copy(), home))
            self.num_batches_tracked = Tensor(move(np.zeros((), np.int64), home))

    def forward(self, x: Any) -> Any:
        """(N, C, …) → (N, C, …)."""
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ValueError(
                f"BatchNorm: got x of shape {x.shape}, expected (N, {self.num_features}, …)"
            )
        momentum: Any = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.data += 1
            if momentum is None:
                momentum = 1 / self.num_batches_tracked.data
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or self.running_mean is None, momentum, self.eps,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """Channels and options."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class LayerNorm(Module):
    """γ (x − μ)/√(σ² + ε) + β over the last axes of each sample (claim C14).

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
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape, self.eps = tuple(shape), eps
        affine = elementwise_affine
        self.weight = _parameter(np.ones(self.normalized_shape, dtype), "norm") if affine else None
        self.bias = (
            _parameter(np.zeros(self.normalized_shape, dtype), "norm") if affine and bias else None
        )

    def forward(self, x: Any) -> Any:
        """(…, *normalized_shape) → same shape."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Shape and ε."""
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """γ x/√(mean x² + ε) over the last axes: LayerNorm without centring (claims C10, C15).

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
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape, self.eps = tuple(shape), eps
        self.weight = (
            _parameter(np.ones(self.normalized_shape, dtype), "norm")
            if elementwise_affine
            else None
        )

    def forward(self, x: Any) -> Any:
        """(…, *normalized_shape) → same shape."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Shape and ε."""
        return f"{self.normalized_shape}, eps={self.eps}"


class Dropout(Module):
    """In training, drop each element with probability ``p`` and scale the rest by 1/(1 − p).

    Draws from its own stream, seeded by ``seed`` or, without one, following
    :func:`minireg.manual_seed`. (The source texts' p is the probability of *keeping*.)

    >>> from minireg import nn, tensor
    >>> nn.Dropout(0.5).eval()(tensor([1.0, 2.0]))
    Tensor([1., 2.], dtype=float32)
    """

    formula = "y = x·m/(1 − p), m ~ Bernoulli(1 − p)"

    def __init__(self, p: float = 0.5, seed: int | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is the probability of dropping, in [0, 1]; got {p!r}")
        self.p, self.generator = p, Stream("dropout", seed)

    def forward(self, x: Any) -> Any:
        """Same shape as x."""
        return F.dropout(x, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """p."""
        return f"p={self.p}"


def _activation(
    name: str, function: Callable[[Any], Any], formula: str, example: str
) -> type[Module]:
    """A parameterless layer that applies ``function`` to each element."""

    def forward(self: Module, x: Any) -> Any:
        return function(x)

    doc = f"{formula}, element by element.\n\n>>> from minireg import nn, tensor\n>>> {example}"
    return type(name, (Module,), {"forward": forward, "formula": formula, "__doc__": doc,
                                  "__module__": __name__})  # fmt: skip


ReLU = _activation("ReLU", F.relu, "y = max(x, 0)",
                   "nn.ReLU()(tensor([-1.0, 2.0]))\nTensor([0., 2.], dtype=float32)")  # fmt: skip
GELU = _activation("GELU", F.gelu, "y = x Φ(x)", "nn.GELU()(tensor(0.0)).item()\n0.0")
Tanh = _activation("Tanh", F.tanh, "y = tanh x", "nn.Tanh()(tensor(0.0)).item()\n0.0")
Sigmoid = _activation(
    "Sigmoid", F.sigmoid, "y = 1/(1 + e⁻ˣ)", "nn.Sigmoid()(tensor(0.0)).item()\n0.5"
)
SiLU = _activation("SiLU", F.silu, "y = x/(1 + e⁻ˣ)", "nn.SiLU()(tensor(0.0)).item()\n0.0")
Softplus = _activation("Softplus", F.softplus, "y = log(1 + eˣ)",
                       "round(nn.Softplus()(tensor(0.0)).item(), 4)\n0.6931")  # fmt: skip


class Flatten(Module):
    """(N, …) → (N, product of the rest).

    >>> from minireg import nn, tensor
    >>> nn.Flatten()(tensor([[[1.0, 2.0], [3.0, 4.0]]])).shape
    (1, 4)
    """

    def forward(self, x: Any) -> Any:
        """(N, …) → (N, K)."""
        return x.reshape(x.shape[0], int(np.prod(x.shape[1:])))
