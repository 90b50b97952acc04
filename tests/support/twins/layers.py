"""Layers built alike in both libraries."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minireg import nn

from ..against import host, torch

tnn = torch.nn


def twins(ours: nn.Module, theirs: Any, seed: int = 1) -> tuple[nn.Module, Any]:
    """Both modules in float64, with the same random parameters and statistics."""
    theirs.double()
    rng = np.random.default_rng(seed)
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():  # positive, so that it may be a variance
            tensor.copy_(torch.tensor(rng.uniform(0.2, 1.5, tensor.shape)))
    ours.to(np.float64)
    ours.load_state_dict({name: host(t) for name, t in theirs.state_dict().items()})
    return ours, theirs


def mlp(lib: Any) -> Any:
    return lib.Sequential(
        lib.Linear(5, 7), lib.BatchNorm1d(7), lib.ReLU(),
        lib.Sequential(lib.Linear(7, 6), lib.LayerNorm(6), lib.GELU()), lib.Linear(6, 3),
    )  # fmt: skip


def cnn(lib: Any) -> Any:
    return lib.Sequential(
        lib.Conv2d(2, 4, 3, padding=1), lib.BatchNorm2d(4), lib.SiLU(), lib.MaxPool2d(2),
        lib.Conv2d(4, 6, 2), lib.GroupNorm(3, 6), lib.Tanh(), lib.AvgPool2d(2, ceil_mode=True),
        lib.Flatten(), lib.Linear(6, 3), lib.LogSoftmax(dim=1),
    )  # fmt: skip


def listed(lib: Any) -> Any:
    """Layers in a list, applied by the model around it."""

    class Model(lib.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = lib.ModuleList([lib.Linear(5, 4), lib.Identity(), lib.ReLU()])
            self.layers.append(lib.Linear(4, 2))

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return x

    return Model()


def spectral(lib: Any, layer: Any, **options: Any) -> Any:
    return lib.utils.parametrizations.spectral_norm(layer, **options)


def weighted(lib: Any, layer: Any, **options: Any) -> Any:
    return lib.utils.parametrizations.weight_norm(layer, **options)


def symmetric(lib: Any) -> Any:
    class Symmetric(lib.Module):
        def forward(self, w: Any) -> Any:
            return w + w.T

    layer = lib.Linear(4, 4)
    lib.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
    return spectral(lib, layer)


INDICES = np.array([[0, 3, 3], [1, 0, 4]])

# label: (layer built from either library, input shape or integer input)
LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...] | np.ndarray]] = {
    "Linear": (lambda lib: lib.Linear(3, 4), (5, 3)),
    "Linear without bias": (lambda lib: lib.Linear(3, 4, bias=False), (5, 3)),
    "Linear of a vector": (lambda lib: lib.Linear(3, 4), (3,)),
    "Linear of (N, L, C)": (lambda lib: lib.Linear(3, 4), (2, 5, 3)),
    "BatchNorm (N, C)": (lambda lib: lib.BatchNorm1d(3), (6, 3)),
    "BatchNorm (N, C, L)": (lambda lib: lib.BatchNorm1d(3), (4, 3, 5)),
    "BatchNorm (N, C, H, W)": (lambda lib: lib.BatchNorm2d(3), (2, 3, 4, 5)),
    "BatchNorm (1, C, L)": (lambda lib: lib.BatchNorm1d(3), (1, 3, 5)),
    "BatchNorm eps": (lambda lib: lib.BatchNorm1d(3, eps=0.5), (6, 3)),
    "BatchNorm momentum=0.3": (lambda lib: lib.BatchNorm1d(3, momentum=0.3), (6, 3)),
    "BatchNorm momentum=None": (lambda lib: lib.BatchNorm1d(3, momentum=None), (6, 3)),
    "BatchNorm not affine": (lambda lib: lib.BatchNorm2d(3, affine=False), (2, 3, 4, 5)),
    "BatchNorm untracked": (lambda lib: lib.BatchNorm1d(3, track_running_stats=False), (6, 3)),
    "BatchNorm bare": (lambda lib: lib.BatchNorm1d(3, affine=False, track_running_stats=False), (6, 3)),
    "LayerNorm": (lambda lib: lib.LayerNorm(4), (5, 4)),
    "LayerNorm of a vector": (lambda lib: lib.LayerNorm(4), (4,)),
    "LayerNorm 2-D": (lambda lib: lib.LayerNorm((3, 4)), (5, 3, 4)),
    "LayerNorm eps": (lambda lib: lib.LayerNorm(4, eps=0.1), (5, 2, 4)),
    "LayerNorm without bias": (lambda lib: lib.LayerNorm((3, 4), bias=False), (5, 3, 4)),
    "LayerNorm not affine": (lambda lib: lib.LayerNorm(4, elementwise_affine=False), (5, 4)),
    "RMSNorm": (lambda lib: lib.RMSNorm(4), (5, 4)),
    "RMSNorm 2-D, eps": (lambda lib: lib.RMSNorm((3, 4), eps=0.1), (5, 3, 4)),
    "RMSNorm not affine": (lambda lib: lib.RMSNorm(4, elementwise_affine=False), (2, 5, 4)),
    "ReLU": (lambda lib: lib.ReLU(), (3, 4)),
    "GELU": (lambda lib: lib.GELU(), (3, 4)),
    "Tanh": (lambda lib: lib.Tanh(), (3, 4)),
    "Sigmoid": (lambda lib: lib.Sigmoid(), (3, 4)),
    "SiLU": (lambda lib: lib.SiLU(), (3, 4)),
    "Softplus": (lambda lib: lib.Softplus(), (3, 4)),
    "GroupNorm": (lambda lib: lib.GroupNorm(2, 6), (5, 6)),
    "GroupNorm (N, C, H, W)": (lambda lib: lib.GroupNorm(3, 6), (2, 6, 4, 5)),
    "GroupNorm one group": (lambda lib: lib.GroupNorm(1, 4), (3, 4, 5)),
    "GroupNorm C groups": (lambda lib: lib.GroupNorm(4, 4, eps=0.1), (3, 4, 5)),
    "GroupNorm not affine": (lambda lib: lib.GroupNorm(2, 4, affine=False), (3, 4, 5)),
    "GroupNorm without bias": (lambda lib: lib.GroupNorm(2, 4, bias=False), (3, 4, 5)),
    "BatchNorm without bias": (lambda lib: lib.BatchNorm1d(3, bias=False), (6, 3)),
    "Conv2d": (lambda lib: lib.Conv2d(2, 4, 3), (3, 2, 6, 5)),
    "Conv2d unbatched": (lambda lib: lib.Conv2d(2, 4, 3), (2, 5, 6)),
    "Conv2d 1 × 1": (lambda lib: lib.Conv2d(3, 2, 1), (2, 3, 4, 3)),
    "Conv2d without bias": (lambda lib: lib.Conv2d(2, 3, (2, 3), bias=False), (2, 2, 5, 5)),
    "Conv2d of the whole image": (lambda lib: lib.Conv2d(2, 3, (4, 5)), (2, 2, 4, 5)),
    "Conv2d stride": (lambda lib: lib.Conv2d(2, 3, 3, stride=2), (2, 2, 8, 7)),
    "Conv2d stride beyond the window": (lambda lib: lib.Conv2d(1, 2, 2, stride=(3, 4)), (2, 1, 9, 10)),
    "Conv2d padding": (lambda lib: lib.Conv2d(2, 3, 3, padding=(2, 1)), (2, 2, 4, 5)),
    "Conv2d dilation": (lambda lib: lib.Conv2d(2, 3, (3, 2), dilation=(2, 3)), (2, 2, 7, 6)),
    "Conv2d stride padding dilation": (
        lambda lib: lib.Conv2d(2, 3, (3, 2), (2, 3), (1, 2), (1, 2)), (2, 2, 7, 6),
    ),
    "Conv2d groups": (lambda lib: lib.Conv2d(4, 6, 3, groups=2), (2, 4, 5, 6)),
    "Conv2d depthwise": (lambda lib: lib.Conv2d(3, 6, 3, padding=1, groups=3), (2, 3, 5, 4)),
    "Conv2d same": (lambda lib: lib.Conv2d(2, 3, (3, 4), padding="same"), (2, 2, 5, 6)),
    "Conv2d same, dilated": (lambda lib: lib.Conv2d(1, 2, 2, padding="same", dilation=3), (2, 1, 5, 6)),
    "Conv2d valid": (lambda lib: lib.Conv2d(1, 2, 2, 2, "valid"), (2, 1, 5, 6)),
    "MaxPool2d": (lambda lib: lib.MaxPool2d(2), (2, 3, 6, 5)),
    "MaxPool2d unbatched": (lambda lib: lib.MaxPool2d((2, 3)), (3, 6, 5)),
    "MaxPool2d overlapping": (lambda lib: lib.MaxPool2d(3, 1), (2, 3, 5, 4)),
    "MaxPool2d padding": (lambda lib: lib.MaxPool2d(3, 2, 1), (2, 3, 6, 5)),
    "MaxPool2d dilation": (lambda lib: lib.MaxPool2d(2, (1, 2), 1, (2, 3)), (2, 2, 6, 7)),
    "MaxPool2d ceil_mode": (lambda lib: lib.MaxPool2d(2, 2, ceil_mode=True), (2, 2, 5, 7)),
    "MaxPool2d everything": (lambda lib: lib.MaxPool2d(3, 2, 1, 2, ceil_mode=True), (2, 2, 8, 7)),
    "MaxPool2d last window dropped": (
        lambda lib: lib.MaxPool2d(2, 3, 1, ceil_mode=True), (2, 2, 4, 5),
    ),
    "AvgPool2d": (lambda lib: lib.AvgPool2d(2), (2, 3, 6, 5)),
    "AvgPool2d unbatched": (lambda lib: lib.AvgPool2d((2, 3)), (3, 6, 5)),
    "AvgPool2d overlapping": (lambda lib: lib.AvgPool2d(3, 1), (2, 3, 5, 4)),
    "AvgPool2d padding": (lambda lib: lib.AvgPool2d(3, 2, 1), (2, 3, 6, 5)),
    "AvgPool2d padding not counted": (
        lambda lib: lib.AvgPool2d(3, 2, (1, 0), count_include_pad=False), (2, 3, 6, 5),
    ),
    "AvgPool2d ceil_mode": (lambda lib: lib.AvgPool2d(2, ceil_mode=True), (2, 2, 5, 7)),
    "AvgPool2d ceil_mode, padding": (lambda lib: lib.AvgPool2d(3, 2, 1, True), (2, 2, 6, 5)),
    "AvgPool2d ceil_mode, padding not counted": (
        lambda lib: lib.AvgPool2d(3, 2, 1, True, False), (2, 2, 6, 5),
    ),
    "AvgPool2d last window dropped": (lambda lib: lib.AvgPool2d(2, 3, 1, True), (2, 2, 4, 5)),
    "AvgPool2d image below the window": (lambda lib: lib.AvgPool2d(2, ceil_mode=True), (2, 2, 1, 1)),
    "AvgPool2d divisor": (lambda lib: lib.AvgPool2d(3, 2, 1, divisor_override=-2), (2, 2, 6, 5)),
    "Embedding": (lambda lib: lib.Embedding(5, 3), INDICES),
    "Embedding of a scalar": (lambda lib: lib.Embedding(5, 3), np.array(2)),
    "Embedding padding_idx": (lambda lib: lib.Embedding(5, 3, padding_idx=3), INDICES),
    "Embedding padding_idx from the end": (lambda lib: lib.Embedding(5, 3, -1), INDICES),
    "LeakyReLU": (lambda lib: lib.LeakyReLU(), (3, 4)),
    "LeakyReLU slope": (lambda lib: lib.LeakyReLU(0.3), (3, 4)),
    "GELU tanh": (lambda lib: lib.GELU("tanh"), (3, 4)),
    "Softplus beta": (lambda lib: lib.Softplus(2.5), (3, 4)),
    "Softmax": (lambda lib: lib.Softmax(dim=-1), (3, 4)),
    "Softmax over channels": (lambda lib: lib.Softmax(1), (2, 3, 4, 2)),
    "LogSoftmax": (lambda lib: lib.LogSoftmax(dim=-1), (3, 4)),
    "LogSoftmax over rows": (lambda lib: lib.LogSoftmax(0), (3, 4)),
    "Identity": (lambda lib: lib.Identity(), (3, 4)),
    "ModuleList": (listed, (3, 5)),
    "spectral_norm": (lambda lib: spectral(lib, lib.Linear(4, 3)), (5, 4)),
    "spectral_norm, 3 iterations": (
        lambda lib: spectral(lib, lib.Linear(4, 3), n_power_iterations=3), (5, 4),
    ),
    "spectral_norm of a convolution": (lambda lib: spectral(lib, lib.Conv2d(2, 3, 2)), (2, 2, 4, 3)),
    "spectral_norm dim": (lambda lib: spectral(lib, lib.Conv2d(2, 3, 2), dim=1), (2, 2, 4, 3)),
    "spectral_norm of a vector": (lambda lib: spectral(lib, lib.Linear(4, 3), name="bias"), (5, 4)),
    "register_parametrization, then another": (symmetric, (5, 4)),
    "weight_norm": (lambda lib: weighted(lib, lib.Linear(4, 3)), (5, 4)),
    "weight_norm dim": (lambda lib: weighted(lib, lib.Conv2d(2, 3, 2), dim=1), (2, 2, 4, 3)),
    "weight_norm of all": (lambda lib: weighted(lib, lib.Conv2d(2, 3, 2), dim=None), (2, 2, 4, 3)),
    "weight_norm, then spectral_norm": (
        lambda lib: spectral(lib, weighted(lib, lib.Linear(4, 3))), (5, 4),
    ),
    "Flatten": (lambda lib: lib.Flatten(), (2, 3, 4)),
    "Flatten some": (lambda lib: lib.Flatten(-3, -2), (2, 3, 4, 5)),
    "Flatten one": (lambda lib: lib.Flatten(0), ()),
    "Dropout p=0": (lambda lib: lib.Dropout(0.0), (3, 4)),
    "Dropout p=1": (lambda lib: lib.Dropout(1.0), (3, 4)),
    "empty Sequential": (lambda lib: lib.Sequential(), (3, 4)),
    "Sequential": (mlp, (8, 5)),
    "Sequential of convolutions": (cnn, (4, 2, 6, 7)),
}  # fmt: skip

# The second derivative of torch._weight_norm over the first axis fails PyTorch's own gradgradcheck.
FIRST_ORDER_ONLY = {"weight_norm", "weight_norm, then spectral_norm"}

# loss functions by their modules
LOSSES = {
    "cross_entropy": "CrossEntropyLoss", "nll_loss": "NLLLoss", "hinge_loss": "HingeLoss",
    "mse_loss": "MSELoss", "l1_loss": "L1Loss", "smooth_l1_loss": "SmoothL1Loss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss", "kl_div": "KLDivLoss",
}  # fmt: skip
