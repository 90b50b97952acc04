"""A small network, its data, and a step of training, on any backend."""

from __future__ import annotations

from typing import Any

import numpy as np

import minireg as mr
from minireg import nn, optim
from support.arrays import draw


def network(home: str = "numpy", dtype: Any = np.float64) -> nn.Sequential:
    mr.manual_seed(0)
    layers = (
        nn.Linear(6, 8),
        nn.BatchNorm(8),
        nn.Tanh(),
        nn.Linear(8, 5),
        nn.LayerNorm(5),
        nn.Linear(5, 3),
    )
    return nn.Sequential(*layers).to(dtype).to(home)


def data(home: str, seed: int = 0, dtype: Any = np.float64) -> tuple[mr.Tensor, mr.Tensor]:
    x, y = draw(7, 6, seed=seed), draw(7, 3, seed=seed + 100)
    return mr.tensor(x, dtype, backend=home), mr.tensor(y, dtype, backend=home)


def backward(model: nn.Module, home: str, seed: int = 0) -> None:
    x, y = data(home, seed, next(model.parameters()).dtype)
    nn.MSELoss()(model(x), y).backward()


def step(model: nn.Module, optimizer: optim.Optimizer, home: str, seed: int, **how: Any) -> None:
    optimizer.zero_grad()
    backward(model, home, seed)
    optimizer.step(**how)
