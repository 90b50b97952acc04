"""Optimizers, schedules, clipping and early stopping: one pipeline, PyTorch's names and defaults."""

from . import lr_scheduler
from .clip import clip_grad_norm_, clip_grad_value_
from .early_stopping import EarlyStopping
from .optimizer import Optimizer, decay_groups
from .optimizers import SGD, SGLD, Adam, AdamW, RMSprop
from .proximal import ProximalGradient

__all__ = [
    "SGD",
    "SGLD",
    "Adam",
    "AdamW",
    "EarlyStopping",
    "Optimizer",
    "ProximalGradient",
    "RMSprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "decay_groups",
    "lr_scheduler",
]
