"""Optimizers of every kind and option, parameters for them, and states that are not theirs."""

import copy
import inspect
import math

import numpy as np
import pytest

import minireg as mr
from minireg import optim
from minireg.penalties import L1, L2, ElasticNet

from .arrays import draw

# label: (optimizer, options)
OPTIMIZERS = {
    "SGD": ("SGD", {"lr": 0.1}),
    "SGD, decay": ("SGD", {"lr": 0.1, "weight_decay": 0.3}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.3}),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.3}),
    "SGD, decoupled": ("SGD", {"lr": 0.1, "weight_decay": 0.3, "decoupled": True}),
    "dampening, decoupled": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.3,
                                     "decoupled": True}),
    "nesterov, decoupled": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.3,
                                    "decoupled": True}),
    "Adam": ("Adam", {"lr": 0.1}),
    "Adam, decay": ("Adam", {"lr": 0.1, "betas": (0.7, 0.8), "eps": 1e-3, "weight_decay": 0.3}),
    "AdamW": ("AdamW", {"lr": 0.1, "weight_decay": 0.3}),
    "AdamW, schedule": ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "decay_scale": "schedule"}),
    "amsgrad": ("Adam", {"lr": 0.1, "betas": (0.7, 0.6), "amsgrad": True}),
    "AdamW, amsgrad": ("AdamW", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3}),
    "RMSprop": ("RMSprop", {"lr": 0.1}),
    "RMSprop, momentum": ("RMSprop", {"lr": 0.1, "alpha": 0.7, "momentum": 0.6, "weight_decay": 0.3}),
    "RMSprop, centered": ("RMSprop", {"lr": 0.1, "eps": 0.1, "centered": True, "momentum": 0.6}),
    "SGLD, cold": ("SGLD", {"lr": 0.1, "temperature": 0.0, "weight_decay": 0.3}),
    "ProximalGradient": ("ProximalGradient", {"lr": 0.1}),
    "FISTA": ("ProximalGradient", {"lr": 0.1, "accelerated": True}),
    "FISTA, L1": ("ProximalGradient", {"lr": 0.1, "accelerated": True, "penalty": L1(0.05)}),
}  # fmt: skip

NOISY = {"SGLD": ("SGLD", {"lr": 0.1, "temperature": 0.5, "seed": 3})}

every_optimizer = pytest.mark.parametrize("label", OPTIMIZERS)

every_optimizer_and_noise = pytest.mark.parametrize("label", [*OPTIMIZERS, *NOISY])

UPWARDS = [label for label, (name, _) in OPTIMIZERS.items()
           if "maximize" in inspect.signature(getattr(optim, name)).parameters]  # fmt: skip

PENALTIES = {"L2": L2(1.0), "L1": L1(1.0), "ElasticNet": ElasticNet(0.5, 0.5)}


def parameter(data: np.ndarray) -> mr.Tensor:
    return mr.Tensor(np.array(data, float), requires_grad=True)


def make(label: str, params: object, **other: object) -> optim.Optimizer:
    name, options = (OPTIMIZERS | NOISY)[label]
    return getattr(optim, name)(params, **options | other)


def give(p: mr.Tensor, seed: int) -> None:
    p.grad = mr.Tensor(np.asarray(draw(*p.shape, seed=seed)))


def mutations(state, rng):
    """Copies of a state, each with one thing changed that may be wrong, or may do."""
    odd = [None, -1, True, math.nan, "x", [], {}, np.zeros(7), np.array([None]), 1 + 2j, 3]
    paths = [()]
    for path in paths:  # it grows
        value = state
        for key in path:
            value = value[key]
        if isinstance(value, dict | list | tuple):
            paths += [
                (*path, key) for key in (value if isinstance(value, dict) else range(len(value)))
            ]
    for path in paths:
        for how in ("gone", "more", *rng.permutation(len(odd))[:4]):
            changed = copy.deepcopy(state)
            *before, last = path or (None,)
            value = changed
            for key in before:
                value = value[key]
            if not path:
                changed = {} if how == "gone" else odd[rng.integers(len(odd))]
            elif isinstance(value, tuple):  # of betas
                break
            elif how == "gone":
                del value[last]
            elif how == "more" and isinstance(value, dict):
                value[("extra", 99, -1)[rng.integers(3)]] = value[last]
            else:
                value[last] = odd[rng.integers(len(odd))] if how == "more" else odd[how]
            yield changed
