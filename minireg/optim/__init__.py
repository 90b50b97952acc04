"""Optimizers, clipping and early stopping: one pipeline, PyTorch's names and defaults."""

from .clip import clip_grad_norm_
from .early_stopping import EarlyStopping
from .optimizer import Optimizer
from .optimizers import SGD, Adam, AdamW, ProximalGradient

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "EarlyStopping",
    "Optimizer",
    "ProximalGradient",
    "clip_grad_norm_",
]
