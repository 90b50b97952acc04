"""Optimizers, schedules, clipping and early stopping: one pipeline, PyTorch's names and defaults."""

from . import lr_scheduler
from .adam import Adam, AdamW
from .clip import clip_grad_norm_, clip_grad_value_
from .early_stopping import EarlyStopping
from .pipeline import Optimizer, decay_groups
from .proximal import ProximalGradient
from .rmsprop import RMSprop
from .sgd import SGD
from .sgld import SGLD

__all__ = [
    "SGD", "SGLD", "Adam", "AdamW", "EarlyStopping", "Optimizer", "ProximalGradient", "RMSprop",
    "clip_grad_norm_", "clip_grad_value_", "decay_groups", "lr_scheduler",
]  # fmt: skip
