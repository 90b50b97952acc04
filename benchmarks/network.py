"""The network that is measured: an MLP with everything a step usually has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def network(nn: Any, width: int = 512, inputs: int = 784, classes: int = 10) -> Any:
    """BatchNorm, ReLU and Dropout after each of two hidden layers, of this library or of PyTorch."""
    layers, last = [], inputs
    for _ in range(2):
        layers += [nn.Linear(last, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2)]
        last = width
    return nn.Sequential(*layers, nn.Linear(width, classes))


def training_step(library: Any, model: Any, x: Any, y: Any, **options: Any) -> Callable[[], None]:
    """A step of AdamW on smoothed labels, of minireg or of PyTorch; ``options`` are the optimizer's."""
    loss = library.nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-3, **options)

    def run() -> None:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return run
