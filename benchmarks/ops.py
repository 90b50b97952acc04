"""Cost of one op on 4×4 float32 tensors, forward + backward, against PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

import minireg as mr

from .timing import Pair, side_by_side

# name → (ours, theirs, number of inputs); inputs are positive 4×4
CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], int]] = {
    **{n: (getattr(mr, n), getattr(torch, n), 2) for n in ("add", "sub", "mul", "div", "maximum",
                                                           "minimum", "matmul")},
    **{n: (getattr(mr, n), getattr(torch, n), 1) for n in ("neg", "exp", "log", "sqrt", "square", "abs",
       "sin", "cos", "tanh", "sigmoid", "relu", "sum", "mean")},
    "power": (lambda x: x**3, lambda x: x**3, 1),
    "scalar": (lambda x: x * 1.01, lambda x: x * 1.01, 1),
    "sum_axis": (lambda x: x.sum(0), lambda x: x.sum(0), 1),
    "max_axis": (lambda x: x.max(0), lambda x: x.amax(0), 1),
    "logsumexp": (lambda x: mr.logsumexp(x, 1), lambda x: torch.logsumexp(x, 1), 1),
    "softmax": (lambda x: mr.softmax(x, 1), lambda x: torch.softmax(x, 1), 1),
    "reshape": (lambda x: x.reshape(2, 8), lambda x: x.reshape(2, 8), 1),
    "transpose": (lambda x: x.T, lambda x: x.T, 1),
    "getitem": (lambda x: x[1:3], lambda x: x[1:3], 1),
    "gelu": (mr.nn.functional.gelu, F.gelu, 1),
    "linear": (mr.nn.functional.linear, F.linear, 2),
}  # fmt: skip


def _once(f: Callable[..., Any], inputs: list[Any], gradient: Any) -> Callable[[], None]:
    def run() -> None:
        for x in inputs:
            x.grad = None
        f(*inputs).backward(gradient)

    return run


def _chain(x: Any, total: Callable[[Any], Any], length: int = 300) -> Callable[[], None]:
    def run() -> None:
        y = x
        for _ in range(length):
            y = y * 1.01 + x
        x.grad = None
        total(y).backward()

    return run


def run() -> dict[str, Any]:
    """Measure every case and a chain of 600 ops; returns the record."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    pairs: list[Pair] = []
    for name, (ours, theirs, n) in CASES.items():
        arrays = [rng.uniform(0.5, 1.5, (4, 4)).astype(np.float32) for _ in range(n)]
        a = [mr.tensor(v, requires_grad=True) for v in arrays]
        b = [torch.tensor(v, requires_grad=True) for v in arrays]
        shape = ours(*a).shape
        one = np.ones(shape, np.float32)
        pairs.append(
            side_by_side(
                name, _once(ours, a, mr.tensor(one)), _once(theirs, b, torch.tensor(one)), 400, 7
            )
        )
    x = rng.uniform(0.5, 1.5, (4, 4)).astype(np.float32)
    ours_x, theirs_x = mr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    chain = side_by_side("chain of 600", _chain(ours_x, mr.sum), _chain(theirs_x, torch.sum), 5, 9)
    geometric = math.exp(sum(math.log(p.ratio) for p in pairs) / len(pairs))
    print(f"{'op':14} {'minireg µs':>11} {'PyTorch µs':>11} {'ratio':>6}")
    for p in sorted(pairs, key=lambda p: p.ratio):
        print(f"{p.name:14} {p.ours * 1e6:11.2f} {p.theirs * 1e6:11.2f} {p.ratio:6.2f}")
    print(f"{'chain, per op':14} {chain.ours / 600 * 1e6:11.2f} {chain.theirs / 600 * 1e6:11.2f} "
          f"{chain.ratio:6.2f}")  # fmt: skip
    print(f"geometric mean of the {len(pairs)} ratios: {geometric:.2f}")
    return {
        "geometric_mean": geometric, "chain": chain.ratio,
        "worst": max(pairs, key=lambda p: p.ratio).name, "ratios": {p.name: p.ratio for p in pairs},
    }  # fmt: skip
