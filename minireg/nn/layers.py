"""Linear, embedding, dropout, activations, and layers that only rearrange."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..messages import check_option
from ..ops.table import array_like
from ..random import Stream, stream_of
from . import functional as F  # noqa: N812
from .module import Module, Options, parameter, weight_and_bias


class Linear(Module):
    """y = x Wᵀ + b on the last axis: (…, in_features) → (…, out_features), as PyTorch's.

    Parameters
    ----------
    in_features, out_features : sizes of the last axis, ≥ 1.
    bias : whether there is a b; without one the attribute is None.
    dtype : of weight (out_features, in_features) and bias (out_features,).
    generator : gives their starting values, uniform in ±1/√in_features as PyTorch's; None
        follows :func:`minireg.manual_seed`.

    Raises ``ValueError`` for sizes below 1, and for an input with another last axis.

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
        dtype: DTypeLike = np.float32,
        generator: Stream | None = None,
    ) -> None:
        check_option("Linear", 1, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        shape = (out_features, in_features)
        self.weight, self.bias = weight_and_bias(shape, bias, dtype, generator)

    def forward(self, input: ArrayLike) -> Any:
        """(…, in_features) → (…, out_features)."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes, and a missing bias."""
        missing = ", bias=False" if self.bias is None else ""
        return f"{self.in_features}, {self.out_features}{missing}"


class Embedding(Module):
    """One trained row for each index: (…) integers → (…, embedding_dim), as PyTorch's.

    :func:`minireg.fit` does not convert integer inputs of a model that contains an Embedding.

    Parameters
    ----------
    num_embeddings, embedding_dim : rows and columns of the weight, ≥ 1.
    padding_idx : a row that starts at zero and gets no gradient (negative: from the end).
    dtype : of the weight.
    generator : gives its starting values, standard normal as PyTorch's; None follows
        :func:`minireg.manual_seed`.

    Raises ``ValueError`` for sizes and rows out of range; when called ``TypeError`` for indices
    that are no integers and ``IndexError`` for one out of range (not on a GPU, where the
    check would wait for the device).

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
        dtype: DTypeLike = np.float32,
        generator: Stream | None = None,
    ) -> None:
        check_option("Embedding", 1, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = F.padding_row("Embedding", padding_idx, num_embeddings)
        rows = stream_of(generator, "init").normal((num_embeddings, embedding_dim))
        if self.padding_idx is not None:
            rows[self.padding_idx] = 0
        self.weight = parameter(rows.astype(dtype), "weight")

    def forward(self, input: ArrayLike) -> Any:
        """(…) → (…, embedding_dim)."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """Sizes, and the padding row."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Dropout(Module):
    """In training, set each element to 0 with probability p and divide the others by 1 − p.

    As PyTorch's (Srivastava et al. 2014; claims C75, C76); the shape stays. In evaluation it is
    the identity.

    Parameters
    ----------
    p : the probability of *dropping*, in [0, 1] (the source texts' p is that of keeping).
    seed : seeds the layer's stream of random numbers; None follows :func:`minireg.manual_seed`.
    generator : a :class:`~minireg.random.Stream` to draw from instead, as other layers take it.

    Raises ``ValueError`` unless 0 ≤ p ≤ 1, for a seed below 0, and for integers as input;
    ``TypeError`` for a ``generator`` that is no Stream.

    >>> from minireg import nn, tensor
    >>> nn.Dropout(0.5).eval()(tensor([1.0, 2.0]))
    Tensor([1., 2.], dtype=float32)
    """

    formula = "y = x·m/(1 − p), m ~ Bernoulli(1 − p)"

    def __init__(
        self, p: float = 0.5, seed: int | None = None, generator: Stream | None = None
    ) -> None:
        F.probability("Dropout", p)
        given = Stream("dropout", seed) if generator is None else generator
        self.p, self.generator = p, stream_of(given, "dropout")

    def forward(self, input: ArrayLike) -> Any:
        """The input's shape."""
        return F.dropout(input, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """The probability of dropping."""
        return f"p={self.p}"


class Flatten(Module):
    """The axes from ``start_dim`` to ``end_dim`` as one; by default (N, …) → (N, K).

    As PyTorch's; both ends count, negative ones from the last axis. Raises ``IndexError`` for
    an axis that the input lacks and ``ValueError`` where ``start_dim`` comes after ``end_dim``.

    >>> from minireg import nn, tensor
    >>> nn.Flatten()(tensor([[[1.0, 2.0], [3.0, 4.0]]])).shape
    (1, 4)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: ArrayLike) -> Any:
        """(…, a, b, …) → (…, a·b, …)."""
        x = array_like(input, "Flatten: input")
        axes = range(max(x.ndim, 1))
        try:
            start, end = axes[self.start_dim], axes[self.end_dim] + 1
        except (IndexError, TypeError):
            raise IndexError(
                f"{self!r}: got input of shape {x.shape}, which lacks the axis"
            ) from None
        if start >= end:
            raise ValueError(
                f"{self!r}: start_dim comes after end_dim in input of shape {x.shape}; swap them"
            )
        shape = x.shape
        return x.reshape(*shape[:start], prod(shape[start:end]), *shape[end:])

    def extra_repr(self) -> str:
        """The first and last axis."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Its input, of any type, as it is; takes the place of a layer that is switched off.

    As PyTorch's, but without arguments: a ``TypeError`` for any.

    >>> from minireg import nn, tensor
    >>> nn.Identity()(tensor([1.0]))
    Tensor([1.], dtype=float32)
    """

    formula = "y = x"

    def forward(self, input: Any) -> Any:
        """The input itself."""
        return input


class ReLU(Options, function=F.relu):
    """max(x, 0) of each element, its gradient 0 at 0; the shape stays.

    As :func:`minireg.relu` and PyTorch's; ``TypeError`` or ``ValueError`` for an input that is not numbers.

    >>> from minireg import nn, tensor
    >>> nn.ReLU()(tensor([-1.0, 2.0]))
    Tensor([0., 2.], dtype=float32)
    """

    formula = "y = max(x, 0)"


class LeakyReLU(Options, function=F.leaky_relu):
    """x where it is positive, s·x elsewhere; the shape stays.

    As :func:`minireg.leaky_relu` and PyTorch's; ``TypeError`` or
    ``ValueError`` for an input that is not numbers.

    Parameters
    ----------
    negative_slope : s, also the gradient at 0.

    >>> from minireg import nn, tensor
    >>> nn.LeakyReLU(0.5)(tensor([-1.0, 2.0])).numpy()
    array([-0.5,  2. ], dtype=float32)
    """

    negative_slope: float = 0.01

    formula = "y = max(x, 0) + s·min(x, 0)"


class GELU(Options, function=F.gelu):
    """x Φ(x) of each element, Φ being the standard normal distribution function; the shape stays.

    Hendrycks and Gimpel (2016); as PyTorch's.

    Parameters
    ----------
    approximate : "none" is exact, "tanh" the approximation of :func:`gelu`.

    Raises ``ValueError``, when called, for another word.

    >>> from minireg import nn, tensor
    >>> nn.GELU()(tensor(0.0)).item()
    0.0
    """

    approximate: Literal["none", "tanh"] = "none"

    formula = "y = x Φ(x)"


class SiLU(Options, function=F.silu):
    """x σ(x) of each element, also called swish; the shape stays.

    As :func:`minireg.silu` and PyTorch's; ``TypeError`` or
    ``ValueError`` for an input that is not numbers.

    >>> from minireg import nn, tensor
    >>> nn.SiLU()(tensor(0.0)).item()
    0.0
    """

    formula = "y = x/(1 + e⁻ˣ)"


class Tanh(Options, function=F.tanh):
    """The hyperbolic tangent of each element, in [−1, 1]; the shape stays.

    As :func:`minireg.tanh` and PyTorch's; ``TypeError`` or
    ``ValueError`` for an input that is not numbers.

    >>> from minireg import nn, tensor
    >>> nn.Tanh()(tensor(0.0)).item()
    0.0
    """

    formula = "y = tanh x"


class Sigmoid(Options, function=F.sigmoid):
    """The logistic function of each element, in [0, 1]; the shape stays.

    As :func:`minireg.sigmoid` and PyTorch's; ``TypeError`` or
    ``ValueError`` for an input that is not numbers.

    >>> from minireg import nn, tensor
    >>> nn.Sigmoid()(tensor(0.0)).item()
    0.5
    """

    formula = "y = 1/(1 + e⁻ˣ)"


class Softplus(Options, function=F.softplus):
    """log(1 + e^βx)/β of each element, a smooth ReLU; the shape stays.

    As :func:`softplus`: exact everywhere, where PyTorch's returns x for βx > 20.

    Parameters
    ----------
    beta : β > 0; the larger, the closer to ReLU.

    Raises ``ValueError``, when called, unless β is finite and > 0.

    >>> from minireg import nn, tensor
    >>> round(nn.Softplus()(tensor(0.0)).item(), 4)
    0.6931
    """

    beta: float = 1.0

    formula = "y = log(1 + e^βx)/β"


class Softmax(Options, function=F.softmax):
    """Probabilities eˣ/Σ eˣ, which sum to 1 along an axis; the shape stays, as PyTorch's.

    Parameters
    ----------
    dim : the axis, by default the last one (PyTorch's None is axis 0 of 0, 1 or 3 axes, else 1).

    Raises ``ValueError``, when called, for an axis that the input lacks.

    >>> from minireg import nn, tensor
    >>> nn.Softmax()(tensor([0.0, 0.0])).numpy()
    array([0.5, 0.5], dtype=float32)
    """

    dim: int = -1

    formula = "y = eˣ/Σ eˣ"


class LogSoftmax(Options, function=F.log_softmax):
    """Logarithms of the probabilities of :class:`Softmax`, exact where those underflow.

    As PyTorch's; the shape stays.

    Parameters
    ----------
    dim : the axis, by default the last one (PyTorch's None is axis 0 of 0, 1 or 3 axes, else 1).

    Raises ``ValueError``, when called, for an axis that the input lacks.

    >>> from minireg import nn, tensor
    >>> nn.LogSoftmax()(tensor([0.0, 0.0])).numpy().round(4)
    array([-0.6931, -0.6931], dtype=float32)
    """

    dim: int = -1

    formula = "y = x − log Σ eˣ"
