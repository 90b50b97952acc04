"""One training step of an MLP 784-512-512-10 against PyTorch eager on the same CPU.

BatchNorm, ReLU, Dropout 0.2, label smoothing 0.1, AdamW with its defaults, batch 128, float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minireg as mr

from .network import network, training_step
from .timing import side_by_side


def run() -> dict[str, Any]:
    """Measure against PyTorch's default, foreach and fused AdamW; returns the record."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(128, 784)).astype(np.float32), rng.integers(0, 10, 128)
    ours = training_step(mr, network(mr.nn), mr.tensor(x), y)
    kinds: dict[str, dict[str, Any]] = {
        "default": {}, "foreach": {"foreach": True}, "fused": {"fused": True},
    }  # fmt: skip
    record: dict[str, Any] = {"threads": torch.get_num_threads()}
    for name, options in kinds.items():
        theirs = training_step(
            torch, network(torch.nn), torch.tensor(x), torch.tensor(y), **options
        )
        pair = side_by_side(name, ours, theirs, 20, 11)
        record[name] = pair.ratio
        print(f"minireg {pair.ours * 1e3:6.2f} ms   PyTorch {torch.__version__} AdamW {name:8} "
              f"{pair.theirs * 1e3:6.2f} ms   ratio {pair.ratio:.2f}")  # fmt: skip
    return record
