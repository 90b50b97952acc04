"""The network that is measured: an MLP with everything a step usually has."""

from __future__ import annotations

from typing import Any


def network(nn: Any, width: int = 512, inputs: int = 784, classes: int = 10) -> Any:
    """BatchNorm, ReLU and Dropout after each of two hidden layers, of this library or of PyTorch."""
    layers, last = [], inputs
    for _ in range(2):
        layers += [nn.Linear(last, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2)]
        last = width
    return nn.Sequential(*layers, nn.Linear(width, classes))
