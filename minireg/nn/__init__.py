"""Layers and models with PyTorch's names, argument order and defaults."""

from ..losses import CrossEntropyLoss, MSELoss
from . import functional
from .layers import (
    GELU,
    BatchNorm,
    Dropout,
    Flatten,
    LayerNorm,
    Linear,
    ReLU,
    RMSNorm,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)  # fmt: skip
from .module import Module, Parameter, Sequential

BatchNorm1d = BatchNorm2d = BatchNorm

__all__ = [
    "GELU", "BatchNorm", "BatchNorm1d", "BatchNorm2d", "CrossEntropyLoss", "Dropout", "Flatten",
    "LayerNorm", "Linear", "MSELoss", "Module", "Parameter", "RMSNorm", "ReLU", "Sequential", "SiLU",
    "Sigmoid", "Softplus", "Tanh", "functional",
]  # fmt: skip
