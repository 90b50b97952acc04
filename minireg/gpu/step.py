"""A step on a GPU: one launch for all parameters whose update is the same, and one for their norm.

Here it is decided which updates a kernel takes. The optimizer's own passes, from
the penalties' gradients to the prox, are recorded into a kernel (:mod:`minireg.gpu.trace`) that
runs over the addresses of all arrays. What no kernel takes (on the CPU, of another dtype, with
gaps, a prox of whole rows) is left to the optimizer, which walks over the array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
Update = Any  # minireg.optim.pipeline.Update


class Pipeline(Protocol):
    """An optimizer, as far as a kernel asks."""

    scratch: int
    noisy: bool
    observer: Any
    text: Any
    whole: bool

    def _states(self, group: dict[str, Any]) -> Sequence[str]: ...

    def _arrays(self, u: Any) -> list[Array]: ...

    def _passes(
        self, step: Any, first: bool, group: dict[str, Any], penalties: Penalties,
        proxes: Penalties, clipped: bool,
    ) -> Callable[..., None]: ...  # fmt: skip


class Recorded(NamedTuple):
    """An update as a kernel: without the penalties' gradients where no kernel makes them."""

    kernel: Kernel
    penalties: bool
    proxes: bool


def launched(
    optimizer: Pipeline, updates: Sequence[Update], factor: Array | None = None
) -> Iterator[Update]:
    """The updates one after the other; what a kernel can take of one is done when it comes.

    One launch serves all that are alike. An update says itself what of it is yet to be done.
    """
    if optimizer.whole or all(of(u.p.data).address is None for u in updates):
        yield from updates
        return
    apart = _sharing([u.p for u in updates])
    alike: dict[Any, list[tuple[Update, list[Array] | None]]] = {}
    for u in updates:
        row = _row(optimizer, u, factor)
        single = u if u.p in apart or row is None else None
        penalties = [tuple(map(id, some)) for some in (u.penalties, u.proxes)]
        key = u.step, u.first, id(u.group), type(u.p.data), u.p.dtype, *penalties, single
        alike.setdefault(key, []).append((u, row))
    for members in alike.values():
        some = [u for u, _ in members]
        rows = [row for _, row in members if row is not None]
        if rows and (found := recorded(optimizer, some[0], factor)):
            for u in some:
                if optimizer.observer:
                    optimizer.observer.before(u.p, u.group)
                if not found.penalties:
                    u.complete()
                u.penalties, u.stepped = (), True
                u.proxes = {} if found.proxes else u.proxes
            found.kernel.launch(of(some[0].g), rows)
        yield from some


def _row(optimizer: Pipeline, u: Update, factor: Array | None) -> list[Array] | None:
    """What a kernel works on for the parameter, None where no kernel can take all of it."""
    if of(u.p.data).address is None:
        return None
    common = [] if factor is None else [like(factor, u.g)]
    row = [*optimizer._arrays(u), *common]
    return row if fits(row, len(common)) else None


def recorded(optimizer: Pipeline, u: Update, factor: Array | None = None) -> Recorded | None:
    """An update as a kernel, with as much before and behind it as can be recorded."""
    common = [] if factor is None else ["factor"]
    arrays = ["p", "g", *optimizer._states(u.group), *common]
    group, step = {k: _named(k, v) for k, v in u.group.items()}, Scalar(u.step, "step")
    name, dtype, clipped = type(optimizer).__name__, u.p.dtype.name, factor is not None
    # a prox that something precedes, or that somebody watches, comes by itself
    proxes = () if optimizer.noisy or optimizer.observer else tuple(u.proxes)
    for before, after in product((u.penalties, ()), (proxes, ())):
        passes = optimizer._passes(step, u.first, group, before, after, clipped)
        try:
            kernel = trace(name, dtype, arrays, passes, optimizer.scratch, len(common))
        except UNTRACEABLE:  # it needs more than one element: arrays will do
            continue
        return Recorded(kernel, before == u.penalties, after == tuple(u.proxes))
    return None


def source(optimizer: Pipeline, updates: Iterable[Update]) -> str:
    """The CUDA source of these updates, a kernel for all that are alike."""
    kernels = [found.kernel for u in updates if (found := recorded(optimizer, u))]
    return "\n\n".join(dict.fromkeys(f"// {optimizer.text}\n{kernel}" for kernel in kernels))


def _named(name: str, value: Any) -> Any:
    """An option whose numbers know their name."""
    if isinstance(value, tuple):
        return tuple(_named(f"{name}[{i}]", v) for i, v in enumerate(value))
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return Scalar(value, name) if number else value


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
