"""Flat storage: many parameters in one buffer, each an ordinary array that is a view of it.

An optimizer lays out its parameters when it is made. Their gradients and its states lie in the
same order, each kind in a buffer of its own, so that a step passes once over all that is updated
alike. Nothing relies on it: what lies elsewhere (a ``.data`` that was replaced, a gradient set by
hand) is a row of its own, and an array that somebody else holds is neither moved nor overwritten.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from .backend import Array, of
from .tensor import Tensor

ALIGNED = 64  # elements: each group begins at a multiple, as products on a GPU want it
Part = tuple[slice, tuple[int, ...]]  # where in a buffer, and its shape


class Column:
    """A buffer whose parts are arrays; each can be taken once.

    Who asks for a part again gets that of a new buffer, so nobody's array is overwritten. Only
    the parts keep a buffer alive: all of it, as long as one of them lives.
    """

    def __init__(self, parts: Sequence[Part], make: Callable[[int], Array]) -> None:
        self._parts, self._make = parts, make
        self._buffer: Callable[[], Array | None] = lambda: None
        self._taken: dict[int, Callable[[], Array | None]] = {}

    def take(self, k: int) -> Array:
        """Part ``k``, of a new buffer if it was taken before."""
        buffer = self._buffer()
        if buffer is None or k in self._taken:
            buffer = self._make(self._parts[-1][0].stop)
            self._buffer, self._taken = ref(buffer), {}
        where, shape = self._parts[k]
        part = buffer[where].reshape(shape)
        self._taken[k] = ref(part)
        return part

    def has(self, k: int, array: Array) -> bool:
        """Whether ``array`` is part ``k`` of the present buffer."""
        taken = self._taken.get(k)
        return taken is not None and taken() is array

    def stretch(self, first: int, end: int) -> Array:
        """Parts ``first`` to ``end`` (not included), which somebody has, as one array."""
        buffer = self._buffer()
        assert buffer is not None
        return buffer[self._parts[first][0].start : self._parts[end - 1][0].stop]


class Flat:
    """The columns of some parameters, which come in groups: their data, and their gradients."""

    def __init__(self, groups: Iterable[Sequence[Tensor]]) -> None:
        parameters: list[Tensor] = []
        self.parts: list[Part] = []
        end = 0
        for group in groups:
            end += -end % ALIGNED
            for p in group:
                self.parts.append((slice(end, end + p.size), p.shape))
                parameters.append(p)
                end += p.size
        xp, dtype = of(parameters[0].data).xp, parameters[0].dtype
        self._zeros = partial(xp.zeros, dtype=dtype)
        self.data, self.gradients = self.zeros(), Column(self.parts, partial(xp.empty, dtype=dtype))
        for k, p in enumerate(parameters):
            part = self.data.take(k)
            part[...] = p.data
            p.data, p._place = part, Place(self, k, ref(part))

    def zeros(self) -> Column:
        """A column of zeros, for a state."""
        return Column(self.parts, self._zeros)

    def follows(self, k: int) -> bool:
        """Whether part k begins where the one before it ends."""
        return k > 0 and self.parts[k - 1][0].stop == self.parts[k][0].start


class Place(NamedTuple):
    """Where a parameter was laid out: its array was ``data()``, part ``k`` of the columns of ``flat``."""

    flat: Flat
    k: int
    data: Callable[[], Array | None]

    def room(self, data: Array) -> Array | None:
        """An array for the parameter's next gradient; None if its ``data`` was replaced or reshaped."""
        kept = data.shape == self.flat.parts[self.k][1] and self.data() is data
        return self.flat.gradients.take(self.k) if kept else None


def placed(p: Tensor) -> bool:
    """Whether the parameter's array is the one that was laid out."""
    return p._place is not None and p._place.data() is p.data


def _references(t: Tensor) -> int:
    return sys.getrefcount(t.data)


_ALONE = _references(Tensor(np.empty(1)))


def lay_out(groups: Iterable[Iterable[Tensor]]) -> None:
    """Move the parameters of all groups into one buffer for each dtype and backend, in this order.

    What has a place stays there, and so does what is frozen, and an array of which somebody else
    holds a part.

    >>> from minireg import tensor
    >>> a, b = tensor([1.0, 2.0], requires_grad=True), tensor([[3.0]], requires_grad=True)
    >>> lay_out([[a, b]]); a.data.base is b.data.base, b
    (True, Tensor([[3.]], dtype=float32, requires_grad=True))
    """
    alike: dict[Any, list[list[Tensor]]] = {}
    for group in groups:
        mine: dict[Any, list[Tensor]] = {}
        for p in group:
            alone = p.data.base is None and _references(p) == _ALONE
            if p.requires_grad and p.size and alone and not placed(p):
                mine.setdefault((of(p.data).name, p.dtype), []).append(p)
        for kind, some in mine.items():
            alike.setdefault(kind, []).append(some)
    for found in alike.values():
        if sum(map(len, found)) > 1:
            Flat(found)


def joined(
    rows: Iterable[tuple[Place | None, Sequence[Array]]], columns: Callable[[Flat], list[Column]]
) -> list[Sequence[Array]]:
    """The arrays of each row; neighbours in flat storage are one row.

    ``columns(flat)`` says where to look for the arrays of a row, one after the other.
    """
    apart: list[Sequence[Array]] = []
    runs: list[list[Any]] = []  # [columns, first part, end]
    last: Flat | None = None
    here: list[Column] = []
    for place, arrays in sorted(rows, key=_order):
        if place is None:
            apart.append(arrays)
            continue
        if place.flat is not last:
            last, here = place.flat, columns(place.flat)
        if not all(map(Column.has, here, repeat(place.k), arrays)):
            apart.append(arrays)
        elif runs and runs[-1][0] is here and runs[-1][2] == place.k and last.follows(place.k):
            runs[-1][2] += 1
        else:
            runs.append([here, place.k, place.k + 1])
    return apart + [[c.stretch(first, end) for c in here] for here, first, end in runs]


def _order(row: tuple[Place | None, Sequence[Array]]) -> tuple[int, int]:
    return (0, 0) if row[0] is None else (id(row[0].flat), row[0].k)
