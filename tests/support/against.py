"""The same function in minireg and in PyTorch: value, gradient and second derivative."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest

import minireg as mr

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # the arrays are small

FIRST, SECOND = 1e-10, 1e-8  # relative to the largest expected entry
FLOOR = 1e-4  # an array smaller than this is rounding left over from terms that cancelled


def host(x: Any) -> np.ndarray:
    """The values of a minireg or torch tensor."""
    if isinstance(x, torch.Tensor):
        return x.numpy(force=True)
    return x.numpy() if isinstance(x, mr.Tensor) else np.asarray(x)


def twin(array: Any, requires_grad: bool = True) -> Any:
    """A torch tensor with the values (and a memory of its own) of a NumPy array."""
    array = np.array(array)
    return torch.tensor(array, requires_grad=requires_grad and array.dtype.kind == "f")


def close(got: Any, want: Any, tolerance: float, what: str = "") -> float:
    """Equal shapes, equal NaN and Inf, and the rest within ``tolerance`` of the largest entry.

    Returns how far off it was.
    """
    got, want = host(got), host(want)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, PyTorch has {want.shape}"
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite], err_msg=what)
    scale = max(np.abs(want[finite]).max(initial=0), FLOOR)
    off = float(np.abs(got[finite] - want[finite]).max(initial=0) / scale)
    assert off <= tolerance, f"{what}: off by {off:.2e} > {tolerance:.0e}\n{got}\n{want}"
    return off


def both_ways(
    ours: Any, inputs: Sequence[Any], theirs: Any, twins: Sequence[Any],
    first: float = FIRST, second: float | None = SECOND,
) -> list[float]:  # fmt: skip
    """Compare results that were computed from ``inputs`` here and from ``twins`` in PyTorch.

    The gradient is taken with a random cotangent, both by the fast numeric rule and by the
    recorded one. The second derivative is the gradient of ⟨gradient, random u⟩ with respect
    to the inputs and to the cotangent, which is the directional derivative along u; it is left
    out with ``second=None``. Returns how far value, gradients and second derivatives were off.
    """
    off = [close(ours, theirs, first, "value"), 0.0, 0.0]
    if not twins:
        return off
    rng = np.random.default_rng(12345)  # tests draw inputs from small seeds
    weigh = np.asarray(rng.normal(size=host(theirs).shape))
    along = [np.asarray(rng.normal(size=host(x).shape)) for x in twins]
    cotangent, co_twin = mr.Tensor(weigh, requires_grad=True), twin(weigh)

    numeric = mr.grad(ours, inputs, cotangent, retain_graph=True)
    recorded = mr.grad(ours, inputs, cotangent, create_graph=True)
    wanted = torch.autograd.grad(theirs, twins, co_twin, create_graph=True)
    for i, (fast, slow, want) in enumerate(zip(numeric, recorded, wanted, strict=True)):
        for got, rule in ((fast, "numeric"), (slow, "recorded")):
            off[1] = max(off[1], close(got, want, first, f"gradient {i}, {rule} rule"))
    if second is None:
        return off

    inner = sum((g * mr.Tensor(u)).sum() for g, u in zip(recorded, along, strict=True))
    inner_twin = sum((g * twin(u, False)).sum() for g, u in zip(wanted, along, strict=True))
    inner_twin = inner_twin + 0 * co_twin.sum()  # depends on something even where it is constant
    curved = mr.grad(inner, [*inputs, cotangent], allow_unused=True)
    curved_twin = torch.autograd.grad(inner_twin, [*twins, co_twin], materialize_grads=True)
    for i, (got, want) in enumerate(zip(curved, curved_twin, strict=True)):
        got = np.zeros(host(want).shape) if got is None else got
        off[2] = max(off[2], close(got, want, second, f"second derivative {i}"))
    return off


def same(
    ours: Callable[..., Any], theirs: Callable[..., Any], args: Iterable[Any], kw: Any = None,
    **tolerances: Any,
) -> list[float]:  # fmt: skip
    """Compare two functions on NumPy arguments, differentiating in all floating arrays."""
    mine, yours, inputs, twins = [], [], [], []
    for a in args:
        mine.append(a)
        yours.append(twin(a) if isinstance(a, np.ndarray) else a)
        if isinstance(a, np.ndarray) and a.dtype.kind == "f":
            mine[-1] = mr.Tensor(a, requires_grad=True)
            inputs.append(mine[-1])
            twins.append(yours[-1])
    kw = kw or {}
    return both_ways(ours(*mine, **kw), inputs, theirs(*yours, **kw), twins, **tolerances)
