"""Written by tools/make_stubs.py from the code: change that, then run the tool."""
# mypy: disable-error-code="overload-overlap, override"
# pyright: reportOverlappingOverload=false, reportIncompatibleMethodOverride=false

from collections.abc import Sequence
from typing import Any, Literal, overload

from numpy.typing import ArrayLike

from ..backend import Array
from ..random import Stream
from ..tensor import Tensor
from .convolution import Pair
from .losses import KLReduction, Reduction
from .module import AnyArray, MaybeArray

Shape = int | Sequence[int]
__all__ = [
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "gelu",
    "group_norm",
    "hinge_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]

@overload
def avg_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean under each window, for every channel, as PyTorch's."""

@overload
def avg_pool2d(
    input: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array: ...
@overload
def batch_norm(
    input: Tensor,
    running_mean: MaybeArray = None,
    running_var: MaybeArray = None,
    weight: MaybeArray = None,
    bias: MaybeArray = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """γ (x − μ)/√(σ² + ε) + β for each channel over all other axes; the shape stays."""

@overload
def batch_norm(
    input: ArrayLike,
    running_mean: MaybeArray = None,
    running_var: MaybeArray = None,
    weight: MaybeArray = None,
    bias: MaybeArray = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Any: ...
@overload
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> Tensor:
    """−w·(c·t·log σ(x) + (1 − t)·log(1 − σ(x))) for logits x and targets t, as PyTorch's."""

@overload
def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: Tensor,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> Tensor: ...
@overload
def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> Tensor: ...
@overload
def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor: ...
@overload
def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> Array: ...
@overload
def conv2d(
    input: Tensor,
    weight: AnyArray,
    bias: MaybeArray = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation W ⋆ x + b of images, as PyTorch's."""

@overload
def conv2d(
    input: ArrayLike,
    weight: AnyArray,
    bias: MaybeArray = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Any: ...
@overload
def cross_entropy(
    input: Tensor,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross entropy :math:`-\\sum_c q_c \\log p_c`, p = softmax(input), as PyTorch's."""

@overload
def cross_entropy(
    input: ArrayLike,
    target: Tensor,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor: ...
@overload
def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor: ...
@overload
def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Array: ...
@overload
def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, generator: Stream | None = None
) -> Tensor:
    """x with each element set to 0 with probability p, the others divided by 1 − p."""

@overload
def dropout(
    input: ArrayLike, p: float = 0.5, training: bool = True, generator: Stream | None = None
) -> Array: ...
@overload
def embedding(input: Tensor, weight: AnyArray, padding_idx: int | None = None) -> Tensor:
    """The rows of ``weight`` at the indices ``input``: (…) → (…, dim), as PyTorch's."""

@overload
def embedding(input: ArrayLike, weight: AnyArray, padding_idx: int | None = None) -> Any: ...
@overload
def gelu(input: Tensor, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """x Φ(x), Φ being the standard normal distribution function; the shape stays."""

@overload
def gelu(input: ArrayLike, approximate: Literal["none", "tanh"] = "none") -> Array: ...
@overload
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: MaybeArray = None,
    bias: MaybeArray = None,
    eps: float = 1e-05,
) -> Tensor:
    """γ (x − μ)/√(σ² + ε) + β over groups of channels of each sample; the shape stays."""

@overload
def group_norm(
    input: ArrayLike,
    num_groups: int,
    weight: MaybeArray = None,
    bias: MaybeArray = None,
    eps: float = 1e-05,
) -> Any: ...
@overload
def hinge_loss(
    input: Tensor, target: ArrayLike, p: int = 1, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """The margin that is missing, to the power p: the loss of support vector machines."""

@overload
def hinge_loss(
    input: ArrayLike, target: Tensor, p: int = 1, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor: ...
@overload
def hinge_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    reduction: Reduction = "mean",
) -> Array: ...
@overload
def kl_div(
    input: Tensor, target: ArrayLike, reduction: KLReduction = "mean", log_target: bool = False
) -> Tensor:
    """t·(log t − x), elementwise, for log-probabilities x and probabilities t, as PyTorch's."""

@overload
def kl_div(
    input: ArrayLike, target: Tensor, reduction: KLReduction = "mean", log_target: bool = False
) -> Tensor: ...
@overload
def kl_div(
    input: ArrayLike, target: ArrayLike, reduction: KLReduction = "mean", log_target: bool = False
) -> Array: ...
@overload
def l1_loss(input: Tensor, target: ArrayLike, reduction: Reduction = "mean") -> Tensor:
    """The absolute error |x − target|, its gradient 0 where they are equal, as PyTorch's."""

@overload
def l1_loss(input: ArrayLike, target: Tensor, reduction: Reduction = "mean") -> Tensor: ...
@overload
def l1_loss(input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean") -> Array: ...
@overload
def layer_norm(
    input: Tensor,
    normalized_shape: Shape,
    weight: MaybeArray = None,
    bias: MaybeArray = None,
    eps: float = 1e-05,
) -> Tensor:
    """γ (x − μ)/√(σ² + ε) + β over the last axes of each sample; the shape stays."""

@overload
def layer_norm(
    input: ArrayLike,
    normalized_shape: Shape,
    weight: MaybeArray = None,
    bias: MaybeArray = None,
    eps: float = 1e-05,
) -> Any: ...
@overload
def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope·x (Maas et al. 2013)."""

@overload
def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Array: ...
@overload
def linear(input: Tensor, weight: AnyArray, bias: MaybeArray = None) -> Tensor:
    """x Wᵀ + b: an affine map of the last axis, (…, in) → (…, out), as PyTorch's."""

@overload
def linear(input: ArrayLike, weight: AnyArray, bias: MaybeArray = None) -> Any: ...
@overload
def log_softmax(input: Tensor, dim: int = -1, axis: int | None = None) -> Tensor:
    """x − log Σ eˣ along axis ``dim``, the logarithm of :func:`softmax`, as PyTorch's."""

@overload
def log_softmax(input: ArrayLike, dim: int = -1, axis: int | None = None) -> Array: ...
@overload
def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest element under each window, for every channel, as PyTorch's."""

@overload
def max_pool2d(
    input: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Array: ...
@overload
def mse_loss(input: Tensor, target: ArrayLike, reduction: Reduction = "mean") -> Tensor:
    """The squared error (x − target)², as PyTorch's."""

@overload
def mse_loss(input: ArrayLike, target: Tensor, reduction: Reduction = "mean") -> Tensor: ...
@overload
def mse_loss(input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean") -> Array: ...
@overload
def nll_loss(
    input: Tensor,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Negative log-likelihood −w_y·x_y of the label y, for log-probabilities x, as PyTorch's."""

@overload
def nll_loss(
    input: ArrayLike,
    target: Tensor,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor: ...
@overload
def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor: ...
@overload
def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Array: ...
def padding_row(name: str, padding_idx: int | None, rows: int) -> int:
    """``padding_idx`` counted from the start; ``ValueError`` if there is no such row."""

def probability(owner: str, p: float) -> None:
    """``ValueError`` unless p is a number in [0, 1]."""

@overload
def relu(x: Tensor) -> Tensor:
    """max(x, 0); the gradient at 0 is 0."""

@overload
def relu(x: ArrayLike) -> Array: ...
@overload
def rms_norm(
    input: Tensor, normalized_shape: Shape, weight: MaybeArray = None, eps: float | None = None
) -> Tensor:
    """γ x/√(mean x² + ε) over the last axes of each sample; the shape stays."""

@overload
def rms_norm(
    input: ArrayLike, normalized_shape: Shape, weight: MaybeArray = None, eps: float | None = None
) -> Any: ...
@overload
def sigmoid(x: Tensor) -> Tensor:
    """1/(1 + e⁻ˣ), between 0 and 1; no overflow for large |x|."""

@overload
def sigmoid(x: ArrayLike) -> Array: ...
@overload
def silu(x: Tensor) -> Tensor:
    """x·sigmoid(x) (Elfwing et al. 2018)."""

@overload
def silu(x: ArrayLike) -> Array: ...
@overload
def smooth_l1_loss(
    input: Tensor, target: ArrayLike, reduction: Reduction = "mean", beta: float = 1.0
) -> Tensor:
    """½d²/β where |d| < β and |d| − ½β elsewhere, d = x − target, as PyTorch's."""

@overload
def smooth_l1_loss(
    input: ArrayLike, target: Tensor, reduction: Reduction = "mean", beta: float = 1.0
) -> Tensor: ...
@overload
def smooth_l1_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean", beta: float = 1.0
) -> Array: ...
@overload
def softmax(input: Tensor, dim: int = -1, axis: int | None = None) -> Tensor:
    """eˣ/Σ eˣ along axis ``dim``, as PyTorch's; the shape stays."""

@overload
def softmax(input: ArrayLike, dim: int = -1, axis: int | None = None) -> Array: ...
@overload
def softplus(input: Tensor, beta: float = 1.0) -> Tensor:
    """log(1 + e^βx)/β, exact everywhere (PyTorch returns x where βx > 20); the shape stays."""

@overload
def softplus(input: ArrayLike, beta: float = 1.0) -> Array: ...
@overload
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, between −1 and 1."""

@overload
def tanh(x: ArrayLike) -> Array: ...
