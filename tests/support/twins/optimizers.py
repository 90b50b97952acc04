"""Optimizers with the same options in both libraries."""

from typing import Any

from ..against import torch

topt = torch.optim

# label: (optimizer, options), the same in both libraries
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd, decay": ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    "momentum": ("SGD", {"lr": 0.03, "momentum": 0.9}),
    "momentum, decay": ("SGD", {"lr": 0.03, "momentum": 0.9, "weight_decay": 0.05}),
    "dampening": ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3}),
    "dampening 1, decay": ("SGD", {"lr": 0.1, "momentum": 0.5, "dampening": 1.0, "weight_decay": 0.1}),
    "nesterov": ("SGD", {"lr": 0.03, "momentum": 0.9, "nesterov": True}),
    "nesterov, decay": ("SGD", {"lr": 0.03, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    "adam": ("Adam", {"lr": 0.02}),
    "adam, betas": ("Adam", {"lr": 0.02, "betas": (0.5, 0.9)}),
    "adam, betas 0": ("Adam", {"lr": 0.01, "betas": (0.0, 0.0), "eps": 0.1}),
    "adam, eps": ("Adam", {"lr": 0.02, "eps": 0.1}),
    "adam, decay": ("Adam", {"lr": 0.02, "weight_decay": 0.05}),
    "adamw": ("AdamW", {"lr": 0.02}),
    "adamw, decay": ("AdamW", {"lr": 0.02, "weight_decay": 0.3}),
    "adamw, no decay": ("AdamW", {"lr": 0.02, "weight_decay": 0.0}),
    "adamw, betas": ("AdamW", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    "amsgrad": ("Adam", {"lr": 0.02, "betas": (0.5, 0.6), "amsgrad": True}),
    "adamw, amsgrad, up": ("AdamW", {"lr": 0.02, "amsgrad": True, "maximize": True}),
    "rmsprop": ("RMSprop", {"lr": 0.02}),
    "rmsprop, all": ("RMSprop", {"lr": 0.01, "alpha": 0.8, "eps": 0.1, "weight_decay": 0.05,
                                 "momentum": 0.5, "centered": True, "maximize": True}),
}  # fmt: skip


def shrink(v: Any, threshold: float) -> Any:
    return v.sign() * (v.abs() - threshold).clamp(min=0)
