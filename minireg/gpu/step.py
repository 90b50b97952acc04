"""A step on a GPU: one launch for all parameters whose update is the same, and one for their norm.

This file decides which updates a kernel takes. The optimizer's own passes, from the penalties'
gradients to the prox, are recorded into a kernel (:mod:`minireg.gpu.trace`) that runs over the
addresses of all arrays. The optimizer itself does the rest, array by array: what is on the CPU, of
another dtype or not contiguous, and a prox that needs more than one element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from ..backend import Array, of
from ..ops.arrays import like
from ..penalties import Penalty
from ..penalties.base import add_gradients
from ..tensor import Tensor
from .trace import UNTRACEABLE, Kernel, Scalar, fits, trace

Penalties = tuple[Penalty, ...]


class Update(Protocol):
    """What a step does to one parameter: see :class:`minireg.optim.pipeline.Update`."""

    p: Tensor
    g: Array
    group: dict[str, Any]
    step: int
    first: bool
    penalties: Penalties
    proxes: Mapping[Penalty, str]
    stepped: bool

    def complete(self) -> None: ...  # noqa: D102


U = TypeVar("U", bound=Update)


class Pipeline(Protocol):
    """What a kernel needs to know of an optimizer."""

    scratch: int
    noisy: bool
    observer: Any
    text: Any
    whole_parameters: bool

    def _state_names(self, group: dict[str, Any]) -> Sequence[str]: ...

    def _arrays(self, u: Any) -> list[Array]: ...

    def _passes(
        self, step: Any, first: bool, group: dict[str, Any], penalties: Penalties,
        proxes: Penalties, clipped: bool,
    ) -> Callable[..., None]: ...  # fmt: skip


class Recorded(NamedTuple):
    """An update as a kernel, and whether it includes the penalties' gradients and the proxes."""

    kernel: Kernel
    penalties: bool
    proxes: bool
    met: tuple[str, ...]  # what stood in the way of including more, try after try


def launched(optimizer: Pipeline, updates: Sequence[U], factor: Array | None = None) -> Iterator[U]:
    """The updates one after the other, each after a kernel has done what it can of it.

    One launch serves all updates with the same key. What remains is noted in the update itself.
    """
    if optimizer.whole_parameters or all(of(u.p.data).address is None for u in updates):
        yield from updates
        return
    shared = _sharing([u.p for u in updates])
    by_kernel: dict[Any, list[tuple[U, list[Array] | None]]] = {}
    for u in updates:
        row = _row(optimizer, u, factor)
        single = u if u.p in shared or row is None else None
        penalties = [tuple(map(id, some)) for some in (u.penalties, u.proxes)]
        key = u.step, u.first, id(u.group), type(u.p.data), u.p.dtype, *penalties, single
        by_kernel.setdefault(key, []).append((u, row))
    for members in by_kernel.values():
        together = [u for u, _ in members]
        rows = [row for _, row in members if row is not None]
        if rows and (found := recorded(optimizer, together[0], factor)):
            for u in together:
                if optimizer.observer:
                    optimizer.observer.before(u.p, u.group)
                if not found.penalties:
                    u.complete()
                u.penalties, u.stepped = (), True
                u.proxes = {} if found.proxes else u.proxes
            found.kernel.launch(of(together[0].g), rows)
        yield from together


def _row(optimizer: Pipeline, u: Update, factor: Array | None) -> list[Array] | None:
    """The arrays that a kernel works on for a parameter, None where one of them does not fit."""
    if of(u.p.data).address is None:
        return None
    common = [] if factor is None else [like(factor, u.g)]
    row = [*optimizer._arrays(u), *common]
    return row if fits(row, len(common)) else None


def recorded(optimizer: Pipeline, u: Update, factor: Array | None = None) -> Recorded | None:
    """An update as a kernel, with the penalties' gradients and the proxes if they can be recorded."""
    common = [] if factor is None else ["factor"]
    arrays = ["p", "g", *optimizer._state_names(u.group), *common]
    group, step = {k: _named(k, v) for k, v in u.group.items()}, Scalar(u.step, "step")
    name, dtype, clipped = type(optimizer).__name__, u.p.dtype.name, factor is not None
    # a prox after noise, or under a ledger, is applied on its own
    proxes = () if optimizer.noisy or optimizer.observer else tuple(u.proxes)
    met: list[str] = []
    for before, after in product((u.penalties, ()), (proxes, ())):
        passes = optimizer._passes(step, u.first, group, before, after, clipped)
        try:
            kernel = trace(name, dtype, arrays, passes, optimizer.scratch, len(common))
        except UNTRACEABLE as error:  # it needs more than one element
            met.append(str(error).partition("\n")[0])
            continue
        return Recorded(kernel, before == u.penalties, after == tuple(u.proxes), tuple(met))
    return None


def source(optimizer: Pipeline, updates: Iterable[Update]) -> str:
    """The CUDA source of these updates, each different kernel once, and what is in none."""
    texts: list[str] = []
    for u in updates:
        found, lines = recorded(optimizer, u), [f"// {optimizer.text}"]
        lines += [f"// left out: {what} ({why})" for what, why in _left_out(optimizer, u, found)]
        texts.append("\n".join([*lines, str(found.kernel)] if found else lines))
    return "\n\n".join(dict.fromkeys(texts))


def _left_out(optimizer: Pipeline, u: Update, found: Recorded | None) -> Iterator[tuple[str, str]]:
    """(what is not in the kernel of an update, why) in words."""
    if found is None:
        yield type(optimizer).__name__, "its update needs more than one element"
        return
    if not found.penalties:
        names = ", ".join(type(penalty).__name__ for penalty in u.penalties)
        yield f"gradient of {names}", found.met[1]  # the try with them and without the proxes
    if not found.proxes:
        names = ", ".join(name or type(penalty).__name__ for penalty, name in u.proxes.items())
        alone = optimizer.noisy or optimizer.observer
        yield f"prox of {names}", "it follows noise or a ledger" if alone else found.met[-1]


def _named(name: str, value: Any) -> Any:
    """An option, with each number in it as a :class:`Scalar` of that name."""
    if isinstance(value, tuple):
        return tuple(_named(f"{name}[{i}]", v) for i, v in enumerate(value))
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return value
    return Scalar(float(value), name)


def _sharing(parameters: Sequence[Tensor]) -> set[Tensor]:
    """Parameters that share memory with another: they must be updated one after the other."""
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

    ``due`` lists for each parameter its array, its gradient, and the penalties whose gradients must
    still be added.
    """
    first = due[0][1] if due else np.empty(0)
    kernel: Any = of(first).kernels.get("clip_factor")
    if kernel is None or any(
        type(g) is not type(first) or g.dtype != first.dtype for _, g, _ in due
    ):
        return None
    groups: dict[Any, tuple[Sequence[Penalty], list[list[Array]]]] = {}
    for w, g, penalties in due:
        arrays = [g, w] if penalties else [g]
        if not fits(arrays):
            return None
        if g.size:
            groups.setdefault((*map(id, penalties),), (penalties, []))[1].append(arrays)
    try:
        sets = [(squares(first.dtype, some), rows) for some, rows in groups.values()]
    except UNTRACEABLE:
        return None
    return kernel(sets, max_norm) if sets else None


def squares(dtype: np.dtype[Any], penalties: Sequence[Penalty]) -> Kernel:
    """The kernel that sums the squares of gradients, each with those of its penalties added."""

    def square(g: Any, *rest: Any) -> None:
        *w, t, total = rest
        t[...] = g
        if penalties:
            add_gradients(penalties, w[0], t)
        total += t * t

    arrays = ["g", "w"] if penalties else ["g"]
    return trace("squares", dtype.name, arrays, square, scratch=1, total=True)
