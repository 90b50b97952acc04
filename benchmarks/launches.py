"""How many kernels one training step launches on a GPU, counted on the CPU.

The step of :mod:`.step` runs on the stand-in for CuPy that the tests use; every array operation
that CuPy would launch a kernel for is counted, a fused kernel as one.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import minireg as mr

from .network import network

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support import strict

Counts = dict[str, Counter[str]]
COPY = "copy to the device"  # of the table of addresses, where an array has moved: no kernel


def count(fused: bool = True, batch: int = 128) -> Counts:
    """Part of the step → name of the kernel → launches, of the second step."""
    with strict.registered(fused=fused), mr.use_backend("strict"), np.errstate(all="ignore"):
        mr.manual_seed(0)
        model, loss = network(mr.nn), mr.nn.CrossEntropyLoss(label_smoothing=0.1)
        optimizer = mr.optim.AdamW(model.parameters(), lr=1e-3)
        rng = np.random.default_rng(0)
        x = mr.tensor(rng.normal(size=(batch, 784)), np.float32, backend="strict")
        y = mr.tensor(rng.integers(0, 10, batch), backend="strict")
        for _ in range(2):  # the first makes the optimizer's state
            counts: Counts = {}
            optimizer.zero_grad()
            with strict.count_launches() as counts["forward"]:
                value: Any = loss(model(x), y)
            with strict.count_launches() as counts["backward"]:
                value.backward()
            with strict.count_launches() as counts["update"]:
                optimizer.step()
            value = loss(model(x), y)
            value.backward()
            with strict.count_launches() as counts["clipped"]:
                optimizer.step(max_norm=1.0)
    return counts


def kernels(found: Counter[str]) -> int:
    """How many of the launches are kernels."""
    return found.total() - found[COPY]


def show(counts: Counts) -> str:
    """A line a part: its kernels, and which they are; "clipped" is another update."""
    lines = [
        f"{part:<9}{kernels(found):>4}  " + ", ".join(f"{n} {k}" for k, n in found.most_common())
        for part, found in counts.items()
    ]
    total = sum(kernels(found) for part, found in counts.items() if part != "clipped")
    return "\n".join([*lines, f"{'together':<9}{total:>4}"])


def run() -> dict[str, Any]:
    """Count and print; returns the record."""
    record = {}
    for label, fused in {"fused kernels": True, "array operations alone": False}.items():
        counts = count(fused)
        print(f"kernel launches of one training step on a GPU, {label}\n{show(counts)}\n")
        record[label] = {part: dict(found) for part, found in counts.items()}
    return record
