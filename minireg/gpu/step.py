"""A step on a GPU: one launch for all parameters whose update is the same, and one for their norm.

Here, and nowhere else in a step, it is asked where arrays live. The optimizer's own passes, from
the penalties' gradients to the prox, are recorded into a kernel (:mod:`minireg.gpu.trace`) that
runs over the addresses of all arrays. What no kernel takes (on the CPU, of another dtype, with
gaps, a prox of whole rows) is left to the optimizer, which walks over the array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..backend import Array, of
from ..ops.arrays import like
from ..penalties import Penalty
from ..penalties.base import add_gradients
from ..tensor import Tensor
from .trace import UNTRACEABLE, Kernel, Scalar, fits, trace

Penalties = tuple[Penalty, ...]


class Update(Protocol):
    """What a step does to one parameter."""

    p: Tensor
    g: Array
    group: dict[str, Any]
    step: int  # its number
    first: bool  # whether it makes the states
    states: dict[str, Array]  # those that are there
    penalties: Penalties  # whose gradients it adds to g
    proxes: Penalties  # that follow it


class Pipeline(Protocol):
    """An optimizer, as far as a kernel asks."""

    scratch: int

    def _states(self, group: dict[str, Any]) -> tuple[str, ...]: ...

    def _passes(
        self, step: Any, first: bool, group: dict[str, Any], penalties: Penalties,
        proxes: Penalties, clipped: bool,
    ) -> Callable[..., None]: ...  # fmt: skip


class Launch(NamedTuple):
    """A kernel, and what of the update it takes: these penalties' gradients, these proxes."""

    kernel: Kernel
    penalties: Penalties
    proxes: Penalties


def launches(
    optimizer: Pipeline, updates: Sequence[Update], factor: Array | None = None
) -> Iterator[tuple[list[Any], Launch | None]]:
    """The updates in sets that are treated alike, and the launch that takes a set, if one can."""
    if all(of(u.p.data).address is None for u in updates):
        yield from alone(updates)
        return
    apart = _sharing([u.p for u in updates])
    alike: dict[Any, list[Update]] = {}
    for u in updates:
        single = u if u.p in apart or not _fits(u, factor) else None
        penalties = [tuple(map(id, some)) for some in (u.penalties, u.proxes)]
        key = u.step, u.first, id(u.group), type(u.p.data), u.p.dtype, *penalties, single
        alike.setdefault(key, []).append(u)
    for members in alike.values():
        first = members[0]
        yield members, recorded(optimizer, first, factor) if _fits(first, factor) else None


def alone(updates: Sequence[Update]) -> Iterator[tuple[list[Any], None]]:
    """Each update by itself, and no launch."""
    return (([u], None) for u in updates)


def recorded(optimizer: Pipeline, u: Update, factor: Array | None = None) -> Launch | None:
    """An update as a kernel, with as much before and behind it as can be recorded."""
    common = [] if factor is None else ["factor"]
    arrays = ["p", "g", *optimizer._states(u.group), *common]
    group, step = {k: _named(k, v) for k, v in u.group.items()}, Scalar(u.step, "step")
    for penalties, proxes in product((u.penalties, ()), (u.proxes, ())):
        passes = optimizer._passes(step, u.first, group, penalties, proxes, factor is not None)
        try:
            kernel = trace(
                type(optimizer).__name__,
                u.p.dtype.name,
                arrays,
                passes,
                optimizer.scratch,
                len(common),
            )
        except UNTRACEABLE:  # it needs more than one element: arrays will do
            continue
        return Launch(kernel, penalties, proxes)
    return None


def _named(name: str, value: Any) -> Any:
    """An option whose numbers know their name."""
    if isinstance(value, tuple):
        return tuple(_named(f"{name}[{i}]", v) for i, v in enumerate(value))
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return Scalar(value, name) if number else value


def _fits(u: Update, factor: Array | None) -> bool:
    """Whether a kernel can take the parameter with all that belongs to its update."""
    if of(u.p.data).address is None:
        return False
    common = [] if factor is None else [like(factor, u.g)]
    return fits([u.p.data, u.g, *u.states.values(), *common], len(common))


def _sharing(parameters: Sequence[Tensor]) -> set[Tensor]:
    """Those that share memory with another: each of them is due in its turn."""
    spans = [
        (address(p.data), address(p.data) + p.data.nbytes, k)
        for k, p in enumerate(parameters)
        if (address := of(p.data).address) is not None
    ]
    found: set[Tensor] = set()
    furthest = last = 0
    for begin, end, k in sorted(spans):
        if begin < furthest:
            found |= {parameters[k], parameters[last]}
        if end > furthest:
            furthest, last = end, k
    return found


# --- the norm that clips ---------------------------------------------------------------------------


def clip_factor(
    due: Sequence[tuple[Array, Array, Sequence[Penalty]]], max_norm: float
) -> tuple[Array, Array] | None:
    """(norm, factor) of gradients where a kernel covers them, else None.

    For each parameter: its array, its gradient, and the penalties whose gradients are yet to be
    added to it.
    """
    first = due[0][1] if due else np.empty(0)
    kernel: Any = of(first).kernels.get("clip_factor")
    if kernel is None or any(
        type(g) is not type(first) or g.dtype != first.dtype for _, g, _ in due
    ):
        return None
    alike: dict[Any, tuple[Sequence[Penalty], list[list[Array]]]] = {}
    for w, g, penalties in due:
        arrays = [g, w] if penalties else [g]
        if not fits(arrays):
            return None
        if g.size:
            alike.setdefault((*map(id, penalties),), (penalties, []))[1].append(arrays)
    try:
        sets = [(squares(first.dtype, some), rows) for some, rows in alike.values()]
    except UNTRACEABLE:
        return None
    return kernel(sets, max_norm) if sets else None


def squares(dtype: Any, penalties: Sequence[Penalty]) -> Kernel:
    """The kernel that adds up the squares of gradients, with those of penalties of the weights."""

    def square(g: Any, *rest: Any) -> None:
        *w, t, total = rest
        t[...] = g
        if penalties:
            add_gradients(penalties, w[0], t)
        total += t * t

    arrays = ["g", "w"] if penalties else ["g"]
    return trace("squares", dtype.name, arrays, square, scratch=1, total=True)
