"""Linear, embedding, dropout, activations, and layers that only rearrange."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..messages import check_option
from ..ops.table import array_like
from ..random import Stream, stream_of
from . import functional as F  # noqa: N812
from .module import Module, Options, parameter, weight_and_bias


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
        check_option("Linear", 1, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        shape = (out_features, in_features)
        self.weight, self.bias = weight_and_bias(shape, bias, dtype, generator)

    def forward(self, x: Any) -> Any:
        """(…, in_features) → (…, out_features)."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes, and a missing bias."""
        missing = ", bias=False" if self.bias is None else ""
        return f"{self.in_features}, {self.out_features}{missing}"


class Embedding(Module):
    """One trained row for each index: (…) integers → (…, embedding_dim).

    The rows start standard normal. Row ``padding_idx`` (negative: from the end) starts at
    zero and gets no gradient. :func:`minireg.fit` leaves integer inputs of a model that
    contains an Embedding as they are. Raises ``IndexError`` for an index out of range (not
    on a GPU, where asking would wait for the device).

    >>> from minireg import nn, tensor
    >>> nn.Embedding(10, 3, padding_idx=0)(tensor([[4, 0]])).numpy()[0, 1]
    array([0., 0., 0.], dtype=float32)
    """

    formula = "y = W[x]"

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        dtype: Any = np.float32,
        generator: Stream | None = None,
    ) -> None:
        check_option("Embedding", 1, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = F.padding_row("Embedding", padding_idx, num_embeddings)
        rows = stream_of(generator, "init").normal((num_embeddings, embedding_dim))
        if self.padding_idx is not None:
            rows[self.padding_idx] = 0
        self.weight = parameter(rows.astype(dtype), "weight")

    def forward(self, x: Any) -> Any:
        """(…) → (…, embedding_dim)."""
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """Sizes, and the padding row."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


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
        F.probability("Dropout", p)
        self.p, self.generator = p, Stream("dropout", seed)

    def forward(self, x: Any) -> Any:
        """Same shape as x."""
        return F.dropout(x, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """p."""
        return f"p={self.p}"


class Flatten(Module):
    """The axes from ``start_dim`` to ``end_dim`` as one; by default (N, …) → (N, K).

    Raises ``IndexError`` for an axis that x does not have.

    >>> from minireg import nn, tensor
    >>> nn.Flatten()(tensor([[[1.0, 2.0], [3.0, 4.0]]])).shape
    (1, 4)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Any:
        """(…, a, b, …) → (…, a·b, …)."""
        x = array_like(x, "Flatten: x")
        axes = range(max(x.ndim, 1))
        try:
            start, end = axes[self.start_dim], axes[self.end_dim] + 1
        except (IndexError, TypeError):
            raise IndexError(f"{self!r}: got x of shape {x.shape}, which lacks the axis") from None
        if start >= end:
            raise ValueError(
                f"{self!r}: start_dim comes after end_dim in x of shape {x.shape}; swap them"
            )
        shape = x.shape
        return x.reshape(*shape[:start], prod(shape[start:end]), *shape[end:])

    def extra_repr(self) -> str:
        """The first and last axis."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Its input; takes the place of a layer that is switched off.

    >>> from minireg import nn, tensor
    >>> nn.Identity()(tensor([1.0]))
    Tensor([1.], dtype=float32)
    """

    formula = "y = x"

    def forward(self, x: Any) -> Any:
        """x itself."""
        return x


class ReLU(Options, function=F.relu):
    """max(x, 0), its gradient 0 at 0.

    >>> from minireg import nn, tensor
    >>> nn.ReLU()(tensor([-1.0, 2.0]))
    Tensor([0., 2.], dtype=float32)
    """

    formula = "y = max(x, 0)"


class LeakyReLU(Options, function=F.leaky_relu):
    """x where it is positive, s·x elsewhere, with s the ``negative_slope``.

    >>> from minireg import nn, tensor
    >>> nn.LeakyReLU(0.5)(tensor([-1.0, 2.0])).numpy()
    array([-0.5,  2. ], dtype=float32)
    """

    negative_slope: float = 0.01

    formula = "y = max(x, 0) + s·min(x, 0)"


class GELU(Options, function=F.gelu):
    """x Φ(x), or with ``approximate="tanh"`` its approximation; see :func:`gelu`.

    Raises ``ValueError`` for a word other than "none" and "tanh".

    >>> from minireg import nn, tensor
    >>> nn.GELU()(tensor(0.0)).item()
    0.0
    """

    approximate: str = "none"

    formula = "y = x Φ(x)"


class SiLU(Options, function=F.silu):
    """x σ(x), also called swish.

    >>> from minireg import nn, tensor
    >>> nn.SiLU()(tensor(0.0)).item()
    0.0
    """

    formula = "y = x/(1 + e⁻ˣ)"


class Tanh(Options, function=F.tanh):
    """The hyperbolic tangent, in (−1, 1).

    >>> from minireg import nn, tensor
    >>> nn.Tanh()(tensor(0.0)).item()
    0.0
    """

    formula = "y = tanh x"


class Sigmoid(Options, function=F.sigmoid):
    """The logistic function, in (0, 1).

    >>> from minireg import nn, tensor
    >>> nn.Sigmoid()(tensor(0.0)).item()
    0.5
    """

    formula = "y = 1/(1 + e⁻ˣ)"


class Softplus(Options, function=F.softplus):
    """log(1 + e^βx)/β, a smooth ReLU; ``ValueError`` unless β > 0.

    >>> from minireg import nn, tensor
    >>> round(nn.Softplus()(tensor(0.0)).item(), 4)
    0.6931
    """

    beta: float = 1.0

    formula = "y = log(1 + e^βx)/β"


class Softmax(Options, function=F.softmax):
    """Probabilities that sum to 1 along the axis ``dim``.

    >>> from minireg import nn, tensor
    >>> nn.Softmax()(tensor([0.0, 0.0])).numpy()
    array([0.5, 0.5], dtype=float32)
    """

    dim: int = -1

    formula = "y = eˣ/Σ eˣ"


class LogSoftmax(Options, function=F.log_softmax):
    """Logarithms of the probabilities of :class:`Softmax`, exact where those underflow.

    >>> from minireg import nn, tensor
    >>> nn.LogSoftmax()(tensor([0.0, 0.0])).numpy().round(4)
    array([-0.6931, -0.6931], dtype=float32)
    """

    dim: int = -1

    formula = "y = x − log Σ eˣ"
