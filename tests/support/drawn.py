"""How cases are drawn: shapes, memory layouts, axes, indices, and for each function a row.

Every choice is an integer from ``integer(low, high)``, bounds included, whoever supplies it:
Hypothesis, which shrinks a failing case towards the first choices, or a seeded generator
(tools/make_golden.py). The numbers in the arrays come from a seed that is drawn, too.

A row turns a :class:`Draw` into arguments; a trailing dict holds keywords. The floating
arrays among the arguments are differentiated, those among the keywords are constants.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from string import ascii_lowercase
from typing import Any

import numpy as np

Shape = tuple[int, ...]

# how an array may lie in memory
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as drawn": lambda a: a,
    "column-major": lambda a: np.array(a, order="F"),
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "backwards": lambda a: np.asarray(np.flip(np.flip(a).copy())),
}


class Draw:
    """The choices of one case; ``placed`` says how each of its arrays lies in memory.

    ``plain`` arrays have few decimals, are never empty and lie as NumPy lays them out.
    """

    def __init__(
        self, integer: Callable[[int, int], int], dims: int = 4, side: int = 5, plain: bool = False
    ) -> None:
        self.integer, self.dims, self.side, self.plain = integer, dims, side, plain
        self.seed = integer(0, 2**32 - 1)
        self.rng = np.random.default_rng(self.seed)
        self.placed: list[str] = []

    def choice(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def flag(self) -> bool:
        return bool(self.integer(0, 1))

    # --- shapes ---------------------------------------------------------------------------------

    def sides(self, count: int, empty: bool = True) -> Shape:
        """Lengths from 1 on, and one of them 0 in a tenth of the cases."""
        shape = [self.integer(1, self.side) for _ in range(count)]
        if empty and count and not self.plain and self.integer(0, 9) == 9:
            shape[self.integer(0, count - 1)] = 0
        return tuple(shape)

    def shape(self, least: int = 0, most: int | None = None, empty: bool = True) -> Shape:
        """At least ``least`` dimensions, at most ``most``."""
        return self.sides(self.integer(least, self.dims if most is None else most), empty)

    def partner(self, shape: Shape) -> Shape:
        """A shape that broadcasts to ``shape``: leading axes gone, others of length 1."""
        kept = shape[self.integer(0, len(shape)) :]
        ones = self.integer(0, 2 ** len(kept) - 1)
        return tuple(1 if ones >> i & 1 else n for i, n in enumerate(kept))

    def regrouped(self, size: int) -> Shape:
        """Some shape of ``size`` elements."""
        if size == 0:
            return (*self.sides(self.integer(0, 2), empty=False), 0)
        shape = []
        for _ in range(self.integer(0, 3)):
            shape.append(self.choice([n for n in range(1, size + 1) if size % n == 0]))
            size //= shape[-1]
        return (*shape, size) if size > 1 or self.flag() else tuple(shape)

    # --- arrays ---------------------------------------------------------------------------------

    def array(
        self, shape: Sequence[int], low: float = -2.0, high: float = 2.0,
        away_from: float | None = None, spaced: bool = False, zeros: bool = False,
    ) -> np.ndarray:  # fmt: skip
        """Read-only uniform values, in a drawn layout, at least 0.1 from ``away_from``.

        ``spaced`` values keep a distance from one another; the others may also be one row or
        column that is seen many times (stride 0). ``zeros`` puts some among them.
        """
        u = self.rng.uniform(size=shape)
        if spaced:
            u = (self.rng.permutation(u.size).reshape(shape) + 0.8 * u) / max(u.size, 1)
        x = np.asarray(low + (high - low) * u)
        if away_from is not None:
            x = np.where(np.abs(x - away_from) < 0.1, x + 0.25, x)
        if zeros and self.flag():
            x = np.where(self.mask(shape), x, 0.0)
        return self.laid_out(x, ties=not spaced)

    def laid_out(self, x: np.ndarray, ties: bool = False) -> np.ndarray:
        if self.plain:
            return np.asarray(x.round(3))
        layouts = [*LAYOUTS, *(["one row", "one column"] if ties and x.ndim and x.size else [])]
        layout = self.choice(layouts)
        self.placed.append(f"{x.dtype}{list(x.shape)} {layout}")
        if layout in LAYOUTS:
            view = LAYOUTS[layout](x).view()
        else:
            view = np.broadcast_to(x[:1] if layout == "one row" else x[..., :1], x.shape)
        view.flags.writeable = False
        return view

    def matrix(
        self, rows: int = 0, columns: int = 0, symmetric: bool = False, empty: bool = True
    ) -> np.ndarray:
        """A stack of matrices whose singular values lie 0.2 apart and 0.6 from 0."""
        n = columns or self.integer(1, self.side)
        m = rows or n
        noise = self.rng.uniform(-0.4, 0.4, (*self.shape(0, 2, empty), m, n)) / max(m, n)
        x = noise + np.eye(m, n) * np.arange(1, n + 1)
        order, signs = self.rng.permutation(n), self.rng.choice([-1, 1], n)
        x = x[..., order] * signs
        if symmetric:
            x = x[..., order, :] * signs[:, None]
            x = (x + x.swapaxes(-1, -2)) / 2
        return self.laid_out(x)

    # --- axes -----------------------------------------------------------------------------------

    def axis(self, ndim: int) -> int:
        return self.integer(-ndim, ndim - 1)

    def subset(self, ndim: int, least: int = 1) -> Shape:
        """Some axes in some order and under either name, at least ``least``."""
        size = self.integer(min(least, ndim), ndim)
        return tuple(int(a) - ndim * self.flag() for a in self.rng.permutation(ndim)[:size])

    def axes(self, ndim: int) -> Any:
        """Any form of ``axis``: None, an integer, or a tuple."""
        form = self.integer(0, 2) if ndim else 0
        return None if form == 0 else self.axis(ndim) if form == 1 else self.subset(ndim)

    # --- indices --------------------------------------------------------------------------------

    def positions(self, n: int, shape: Sequence[int]) -> np.ndarray:
        """Integers from −n to n − 1; repeats are likely."""
        return np.asarray(self.rng.integers(-n, n, shape))

    def mask(self, shape: Sequence[int]) -> np.ndarray:
        return np.asarray(self.rng.uniform(size=shape) < 0.6)

    def basic(self, n: int) -> Any:
        """An integer, or a slice of either direction whose bounds may lie beyond the ends."""
        if n and self.integer(0, 3) == 3:
            return self.axis(n)
        start, stop = (self.choice([None, *range(-n - 1, n + 2)]) for _ in range(2))
        return slice(start, stop, self.choice([None, 2, -1, -2]))

    def index(self, shape: Shape) -> Any:
        """Any index expression for an array of this shape."""
        parts = [self.basic(n) for n in shape]  # together they name every axis
        form = self.choice(["basic", "mask", "integers"]) if shape else "basic"
        if form == "mask":
            first = self.integer(0, len(shape) - 1)
            last = self.integer(first, len(shape) - 1) + 1
            parts[first:last] = [self.mask(shape[first:last])]
        elif form == "integers":
            together = self.shape(1, 2)
            for i in self.subset(len(shape)):
                if shape[i]:
                    parts[i] = self.positions(shape[i], self.partner(together))
        start, stop = sorted(self.integer(0, len(parts)) for _ in range(2))
        parts = [*parts[:start], ..., *parts[stop:]] if self.flag() else parts[:stop]
        for _ in range(self.integer(0, 2)):
            parts.insert(self.integer(0, len(parts)), None)
        return parts[0] if len(parts) == 1 else tuple(parts)


# --- arguments: arrays may sit in lists and tuples ------------------------------------------------


def floats(value: Any) -> Iterator[np.ndarray]:
    """The floating arrays in ``value``: what is differentiated."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        yield value
    elif isinstance(value, list | tuple):
        for v in value:
            yield from floats(v)


def filled(value: Any, arrays: Iterator[Any]) -> Any:
    """``value`` with the next of ``arrays`` in the place of each floating one."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return next(arrays)
    if isinstance(value, list | tuple):
        return type(value)(filled(v, arrays) for v in value)
    return value


def source(value: Any, names: Iterator[str]) -> str:
    """``value`` as Python code; floating arrays by name as long as there are names."""
    if isinstance(value, np.ndarray):
        name = next(names, "") if value.dtype.kind == "f" else ""
        return name or f"np.array({value.tolist()})"
    if isinstance(value, list | tuple):
        inner = ", ".join(source(v, names) for v in value)
        single = "," * (len(value) == 1)
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{single})"
    if callable(value):
        return f"np.{value.__name__}" if isinstance(value, type) else value.__name__
    return repr(value)


def call(name: str, args: Sequence[Any], kw: dict[str, Any]) -> str:
    """A call as Python code; the floating arrays among the arguments are a, b, c, …"""
    names = iter(ascii_lowercase)
    given = [source(a, names) for a in args]
    given += [f"{k}={source(v, iter(()))}" for k, v in kw.items()]
    return f"{name}({', '.join(given)})"


# --- rows -----------------------------------------------------------------------------------------

Drawn = tuple[Any, ...]
Row = Callable[[Draw], Drawn]


def followed(row: Row, then: Row) -> Row:
    return lambda d: (*row(d), *then(d))


def options(row: Row, **values: Sequence[Any]) -> Row:
    """A row with one of the values of each keyword."""
    return followed(row, lambda d: ({name: d.choice(v) for name, v in values.items()},))


def unary(*bounds: float, **values: Any) -> Row:
    return lambda d: (d.array(d.shape(), *bounds, **values),)


def binary(*bounds: float, second: tuple[float, ...] = ()) -> Row:
    """Two arrays that broadcast either way."""

    def row(d: Draw) -> Drawn:
        full = d.shape()
        return d.array(d.partner(full), *bounds), d.array(d.partner(full), *(second or bounds))

    return row


def reduction(*bounds: float, least: int = 0, dims: int = 0, **values: Any) -> Row:
    """Any axes; those reduced have length ``least`` or more."""

    def row(d: Draw) -> Drawn:
        shape = list(d.shape(dims, empty=least < 2))  # PyTorch warns of the var of nothing
        axis = d.axes(len(shape))
        for a in range(len(shape)) if axis is None else np.atleast_1d(axis):
            shape[a] = max(shape[a], least)
        kw = {"axis": axis} if axis is not None or d.flag() else {}
        if d.flag():
            kw["keepdims"] = True
        return d.array(shape, *bounds, **values), kw

    return row


def spread(d: Draw) -> Drawn:
    x, kw = reduction(least=2, dims=1, spaced=True)(d)
    return x, {**kw, "ddof": d.integer(0, 1)}


def along(d: Draw, least: int = 0, default: Any = -1, **values: Any) -> Drawn:
    """One axis of length ``least`` or more, or the default."""
    shape = list(d.shape(1))
    axis = d.choice([d.axis(len(shape)), default])
    for a in range(len(shape)) if axis is None else [axis]:
        shape[a] = max(shape[a], least)
    x = d.array(shape, **values)
    return (x,) if axis == default and d.flag() else (x, axis)


def where(d: Draw) -> Drawn:
    full = d.shape()
    return d.mask(d.partner(full)), d.array(d.partner(full)), d.array(d.partner(full))


def power(d: Draw) -> Drawn:
    form = d.integer(0, 2)
    if form == 0:
        return binary(0.5, 2, second=(-2, 2))(d)
    if form == 1:  # any base to an integer
        return d.array(d.shape(), away_from=0), d.choice([2, 0, 1, 3, -1, -2, 2.0, 3.0])
    return d.choice([2, 0.5]), d.array(d.shape())


def clip(d: Draw) -> Drawn:
    full = d.shape()
    if d.flag():
        return d.array(full), *d.choice([(-1.03, 0.97), (None, 0.51), (-0.51, None)])
    low, high = d.array(d.partner(full), -1.5, 0.2), d.array(d.partner(full), -0.2, 1.5)
    return d.array(full), *d.choice([(low, high), (None, high), (low, None)])


def reshape(d: Draw) -> Drawn:
    x = d.array(d.shape())
    shape = list(d.regrouped(x.size))
    if x.size and shape and d.flag():
        shape[d.integer(0, len(shape) - 1)] = -1
    return (x, *shape) if shape and d.flag() else (x, tuple(shape))


def transpose(d: Draw) -> Drawn:
    x = d.array(d.shape(1))
    order = d.subset(x.ndim, least=x.ndim)
    return d.choice([(x,), (x, order), (x, *order)])


def swapaxes(d: Draw) -> Drawn:
    x = d.array(d.shape(1))
    return x, d.axis(x.ndim), d.axis(x.ndim)


def moveaxis(d: Draw) -> Drawn:
    x = d.array(d.shape(1))
    if d.flag():
        return x, d.axis(x.ndim), d.axis(x.ndim)
    source = d.subset(x.ndim)
    return x, source, d.subset(x.ndim, least=x.ndim)[: len(source)]


def expand_dims(d: Draw) -> Drawn:
    x = d.array(d.shape(most=3))
    if d.flag():
        return x, d.axis(x.ndim + 1)
    extra = d.integer(1, 2)
    return x, tuple(sorted(d.rng.permutation(x.ndim + extra)[:extra].tolist()))


def squeeze(d: Draw) -> Drawn:
    shape = list(d.shape())
    ones = d.subset(len(shape), least=0)
    for a in ones:
        shape[a] = 1
    x = d.array(shape)
    return d.choice([(x,), (x, ones), (x, ones[0])]) if ones else (x,)


def broadcast_to(d: Draw) -> Drawn:
    shape = d.shape()
    return d.array(d.partner(shape)), shape


def flip(d: Draw) -> Drawn:
    x = d.array(d.shape())
    axis = d.axes(x.ndim)
    return (x,) if axis is None else (x, axis)


def roll(d: Draw) -> Drawn:
    x = d.array(d.shape())
    axis = d.axes(x.ndim)
    several = len(axis) if isinstance(axis, tuple) else 0
    shift = tuple(d.integer(-3, 3) for _ in range(several)) if several else d.integer(-3, 3)
    return (x, shift) if axis is None else (x, shift, axis)


def triangle(d: Draw) -> Drawn:
    x = d.array(d.shape(2))
    return d.choice([(x,), (x, d.integer(-3, 3))])


def tile(d: Draw) -> Drawn:
    copies = tuple(d.integer(0, 2) for _ in range(d.integer(1, 3)))
    return d.array(d.shape(most=3)), d.choice([copies, copies[0]])


def pad(d: Draw) -> Drawn:
    x = d.array(d.shape(1, 3))
    one, pairs = d.integer(0, 2), d.rng.integers(0, 3, (x.ndim, 2)).tolist()
    return x, d.choice([one, (one, 1), tuple(map(tuple, pairs))])


def joined(d: Draw) -> Drawn:
    """One to four arrays that differ in length along one axis."""
    shape = list(d.shape(1))
    axis, arrays = d.axis(len(shape)), []
    for _ in range(d.integer(1, 4)):
        shape[axis] = d.integer(int(d.plain), 3)
        arrays.append(d.array(shape))
    return *arrays, {"axis": axis}


def stacked(d: Draw) -> Drawn:
    shape = d.shape(most=3)
    arrays = [d.array(shape) for _ in range(d.integer(1, 3))]
    return *arrays, {"axis": d.axis(len(shape) + 1)}


def listed(row: Row, other: dict[str, Any]) -> Row:
    """The arrays of a row as one argument, with its keywords or others."""

    def in_a_list(d: Draw) -> Drawn:
        *arrays, kw = row(d)
        return arrays, d.choice([kw, other])

    return in_a_list


def rows_or_columns(d: Draw, free: int) -> Drawn:
    """A list of arrays for vstack or hstack that differ in length along axis ``free``."""
    shape, arrays = list(d.shape(most=3)), []
    for _ in range(d.integer(1, 3)):
        if len(shape) > 1 - free:
            shape[min(free, len(shape) - 1)] = d.integer(1, 3)
        arrays.append(d.array(shape))
    return (arrays,)


def scatter(d: Draw) -> Drawn:
    shape = d.shape(1)
    if shape[0] and d.flag():
        index = d.positions(shape[0], d.shape(most=2))
    else:
        index = d.mask(shape[: d.integer(1, len(shape))])
    return d.array(np.empty(shape)[index].shape), index, shape


def getitem(d: Draw) -> Drawn:
    x = d.array(d.shape())
    return x, d.index(x.shape)


def take(d: Draw) -> Drawn:
    x = d.array(d.shape())
    axis = d.axis(x.ndim) if x.ndim and d.flag() else None
    n = x.size if axis is None else x.shape[axis]
    indices = d.positions(n, d.shape(most=2)) if n else np.zeros(0, int)
    return x, d.choice([indices, indices.tolist()]), {"axis": axis}


def take_along_axis(d: Draw) -> Drawn:
    x = d.array(d.shape(1, empty=False))
    if d.flag():
        return x, d.positions(x.size, d.sides(1)), None
    axis, shape = d.axis(x.ndim), list(x.shape)
    shape[axis] = d.integer(0, 4)
    return x, d.positions(x.shape[axis], shape), axis


def repeat(d: Draw) -> Drawn:
    x = d.array(d.shape())
    axis = d.axis(x.ndim) if x.ndim and d.flag() else None
    n = x.size if axis is None else x.shape[axis]
    return x, d.choice([d.integer(0, 3), d.rng.integers(0, 3, n).tolist()]), axis


def split(d: Draw) -> Drawn:
    shape = list(d.shape(1))
    axis, sections = d.axis(len(shape)), d.integer(1, 3)
    if d.flag():
        shape[axis] = sections * d.integer(0, 2)
        return d.array(shape), sections, axis
    return d.array(shape), sorted(d.integer(0, shape[axis]) for _ in range(sections)), axis


def diff(d: Draw) -> Drawn:
    x = d.array(d.shape(1))
    return x, d.integer(1, 3), d.axis(x.ndim)


def diagonal(d: Draw) -> Drawn:
    x = d.array(d.shape(2))
    first, second = d.rng.permutation(x.ndim)[:2].tolist()
    return d.choice([(x,), (x, d.integer(-3, 3), first, second - x.ndim)])


def diag(d: Draw) -> Drawn:
    return d.array(d.shape(1, 2)), d.integer(-2, 2)


def matmul(d: Draw) -> Drawn:
    n, k, m = d.sides(3)
    batch = d.shape(most=2)
    a = (k,) if d.flag() else (*d.partner(batch), n, k)
    b = (k,) if d.flag() else (*d.partner(batch), k, m)
    return d.array(a), d.array(b)


def dot(d: Draw, last: int = -2) -> Drawn:
    """Two arrays that agree in the last axis of one and axis ``last`` of the other."""
    a, b = d.shape(most=3), list(d.shape(most=3))
    if a and b:
        b[max(len(b) + last, 0)] = a[-1]
    return d.array(a), d.array(b)


def tensordot(d: Draw) -> Drawn:
    inner, a, b = d.sides(d.integer(0, 2)), d.shape(most=2), d.shape(most=2)
    if d.flag():
        return d.array(a + inner), d.array(inner + b), len(inner)
    shapes, places = [], []
    for free in (a, b):
        order = d.rng.permutation(len(inner + free))
        shapes.append([(inner + free)[i] for i in order])
        where = np.argsort(order)[: len(inner)].tolist()
        places.append([i - len(order) * d.flag() for i in where])
    if len(inner) == 1 and d.flag():
        places = [where for (where,) in places]
    return *map(d.array, shapes), tuple(places)


def einsum(d: Draw) -> Drawn:
    """Repeated and lone letters, dots that broadcast, and an output written out or implied."""
    length = dict(zip("ijkl", d.sides(4), strict=True))
    batch = d.shape(0, 2)
    terms, shapes = [], []
    for _ in range(d.integer(1, 3)):
        letters = [d.choice("ijkl") for _ in range(d.integer(0, 3))]
        shape = [length[c] for c in letters]
        if d.flag():
            at = d.integer(0, len(letters))
            shape[at:at] = d.partner(batch)
            letters.insert(at, "...")
        terms.append("".join(letters))
        shapes.append(shape)
    subscripts = ",".join(terms)
    if d.flag():
        letters = [c for c in "ijkl" if c in subscripts and d.flag()]
        d.rng.shuffle(letters)
        if "..." in subscripts:
            letters.insert(d.integer(0, len(letters)), "...")
        subscripts += "->" + "".join(letters)
    return *map(d.array, shapes), {"subscripts": subscripts}


def subscripted(d: Draw) -> Drawn:
    *operands, kw = einsum(d)
    return kw["subscripts"], *operands


def linear(d: Draw) -> Drawn:
    n, k, m = d.sides(3)
    x = (*d.shape(most=2), *((n,) if d.flag() else ()), k)
    return d.array(x), d.array((m, k)), *((d.array((m,)),) if d.flag() else ())


def normalize(d: Draw) -> Drawn:
    shape = list(d.shape(1, empty=False))
    axes = d.subset(len(shape))
    for a in axes:
        shape[a] = max(shape[a], 3)
    kw = {"axes": axes, "eps": d.choice([1e-3, 0.1]), "center": d.flag()}
    x = d.array(shape, spaced=True)
    return x, *(d.array(d.partner(x.shape)) for _ in range(d.integer(0, 2))), kw


def distribution(d: Draw) -> Drawn:
    shape = (*d.shape(most=3), d.integer(1, 5))
    return d.array(shape), d.array(shape, 0.1, 1)


# --- linear algebra -------------------------------------------------------------------------------


def square(d: Draw, empty: bool = True) -> Drawn:
    return (d.matrix(empty=empty),)


def symmetric(d: Draw) -> Drawn:
    return (d.matrix(symmetric=True),)


def matrix(d: Draw, empty: bool = True) -> Drawn:
    return (d.matrix(d.integer(1, d.side), d.integer(1, d.side), empty=empty),)


def system(d: Draw) -> Drawn:
    a = d.matrix()
    return a, d.array((*d.partner(a.shape[:-2]), a.shape[-1], d.integer(1, 3)))


def system_of_one(d: Draw) -> Drawn:
    a, b = system(d)
    return (a, d.array(a.shape[-1:])) if d.flag() else (a, b)


def lengths(d: Draw) -> Drawn:
    """A vector norm along several axes."""
    x = d.array(d.shape(1, empty=False), away_from=0, spaced=True)
    return x, d.subset(x.ndim)


def p_lengths(d: Draw) -> Drawn:
    x, axes = lengths(d)
    return x, d.choice([3, 1.5, -2, 0.5]), axes


VECTOR_ORDERS = [2, 1, np.inf, -np.inf, 0, 3, 1.5, -2]
MATRIX_ORDERS = ["fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf]


def norm(d: Draw) -> Drawn:
    form, kw = d.choice(["all", "vector", "matrix"]), {"keepdims": d.flag()}
    if form == "all":
        return d.array(d.shape(empty=False), away_from=0), kw
    if form == "vector":
        x = d.array(d.shape(1, empty=False), away_from=0, spaced=True)
        return x, d.choice([None, *VECTOR_ORDERS]), None if x.ndim == 1 else d.axis(x.ndim), kw
    (x,), order = matrix(d), d.choice(MATRIX_ORDERS)
    if x.ndim == 2 and d.flag():
        return x, order, kw
    axes = d.subset(x.ndim, least=x.ndim)[:2]
    return np.moveaxis(x, (-2, -1), axes), order, axes, kw


def vector_norm(d: Draw) -> Drawn:
    x = d.array(d.shape(1, empty=False), away_from=0, spaced=True)
    return x, {"axis": d.axes(x.ndim), "keepdims": d.flag(), "ord": d.choice(VECTOR_ORDERS)}


def condition(d: Draw) -> Drawn:
    """PyTorch's does not know its input where that is empty."""
    order = d.choice([None, *MATRIX_ORDERS])
    return *(matrix if order in (None, 2, -2) else square)(d, empty=False), order


# --- layers and losses as functions -----------------------------------------------------------------


def pair(d: Draw, low: int, high: int) -> Any:
    return d.choice([d.integer(low, high), (d.integer(low, high), d.integer(low, high))])


def image(d: Draw, channels: int, size: Any, dilation: Any = 1) -> np.ndarray:
    """(N, C, H, W) or (C, H, W), as large as a window or a little larger."""
    spans = np.broadcast_to(dilation, 2) * (np.broadcast_to(size, 2) - 1) + 1
    sides = [int(n) + d.integer(0, 3) for n in spans]
    return d.array((*d.sides(d.integer(0, 1), empty=False), channels, *sides), spaced=True)


def windows(d: Draw) -> Drawn:
    """(size, stride, dilation) and the span of a window."""
    size, stride, dilation = ((d.integer(1, 3), d.integer(1, 3)) for _ in range(3))
    return size, stride, dilation, [k * (n - 1) + 1 for n, k in zip(size, dilation, strict=True)]


def unfolded(d: Draw) -> Drawn:
    *how, span = windows(d)
    image = (n + d.integer(0, 3) for n in span)
    return d.array((d.integer(1, 2), *image, *d.shape(most=1))), *how


def folded(d: Draw) -> Drawn:
    size, stride, dilation, span = windows(d)
    count = d.integer(1, 3), d.integer(1, 3)
    shape = tuple(
        n + s * (k - 1) + d.integer(0, s - 1) for n, s, k in zip(span, stride, count, strict=True)
    )
    return d.array((d.integer(1, 2), *size, *count, *d.shape(most=1))), shape, stride, dilation


def conv2d(d: Draw) -> Drawn:
    groups, taken, size = d.integer(1, 2), d.integer(1, 2), (d.integer(1, 3), d.integer(1, 3))
    stride, dilation = pair(d, 1, 3), pair(d, 1, 2)
    padding = d.choice([pair(d, 0, 2), "valid", "same"])
    if padding == "same":  # PyTorch warns of even windows
        size, stride = (d.choice([1, 3]), d.choice([1, 3])), 1
    out = groups * d.integer(1, 2)
    bias = d.array((out,)) if d.flag() else None
    x = image(d, taken * groups, size, dilation)
    return x, d.array((out, taken, *size)), bias, stride, padding, dilation, groups


def pooled(d: Draw) -> Drawn:
    size = pair(d, 1, 3)
    return size, d.choice([None, pair(d, 1, 3)]), d.integer(0, int(np.min(size)) // 2)


def max_pool2d(d: Draw) -> Drawn:
    dilation, window = d.integer(1, 2), pooled(d)
    return image(d, d.integer(1, 2), window[0], dilation), *window, dilation, d.flag()


def avg_pool2d(d: Draw) -> Drawn:
    window = pooled(d)
    x = image(d, d.integer(1, 2), window[0])
    return x, *window, d.flag(), d.flag(), d.choice([None, 3])


def along_one(d: Draw) -> Drawn:
    x = d.array(d.shape(1, empty=False))
    return x, d.axis(x.ndim)


def affine(d: Draw, shape: Sequence[int]) -> list[Any]:
    """Weight and bias; PyTorch cannot differentiate a bias alone twice."""
    given = d.integer(0, 2)
    return [d.array(shape) if i < given else None for i in range(2)]


def batch_norm(d: Draw) -> Drawn:
    shape = [d.integer(3, 5), *d.shape(1, 3, empty=False)]
    x, eps = d.array(shape, spaced=True), d.choice([1e-3, 0.1])
    if d.flag():
        return x, None, None, *affine(d, shape[1:2]), True, 0.1, eps
    mean, variance = d.rng.normal(size=shape[1]), d.rng.uniform(0.5, 2, shape[1])
    return x, {"running_mean": mean.round(3), "running_var": variance.round(3), "eps": eps}


def layer_norm(d: Draw) -> Drawn:
    shape = (*d.shape(most=2, empty=False), d.integer(3, 5))
    last = shape[d.integer(0, len(shape) - 1) :]
    return d.array(shape, spaced=True), last, *affine(d, last), d.choice([1e-3, 0.1])


def rms_norm(d: Draw) -> Drawn:
    x, last, weight, _, eps = layer_norm(d)
    return x, last, weight, eps


def group_norm(d: Draw) -> Drawn:
    groups = d.integer(1, 3)
    shape = (d.integer(1, 3), groups * d.integer(1, 2), *d.shape(most=2, empty=False), 3)
    return d.array(shape, spaced=True), groups, *affine(d, shape[1:2]), d.choice([1e-3, 0.1])


def embedding(d: Draw) -> Drawn:
    rows, size = d.integer(1, 4), d.integer(1, 3)
    index = d.rng.integers(0, rows, d.shape(most=3, empty=False))
    return np.asarray(index), d.array((rows, size)), d.choice([None, 0, -1])


def pairwise(*second: float, **options: Sequence[Any]) -> Row:
    """Predictions and targets of one shape, and one of each of the options."""

    def row(d: Draw) -> Drawn:
        shape = d.shape(empty=False)
        kw = {name: d.choice(values) for name, values in options.items()}
        return d.array(shape, spaced=True), d.array(shape, *second, spaced=True), kw

    return row


REDUCTIONS = ["mean", "sum", "none"]


def labelled(d: Draw) -> Drawn:
    """Scores (C,), (N, C) or (N, C, …), labels, class weights and the label to ignore."""
    batch, classes = list(d.shape(most=3, empty=False)), d.integer(2, 5)
    labels = d.rng.integers(1, classes, batch)
    if d.flag():  # label 0, which is ignored then, but not everywhere
        labels = np.where(np.arange(labels.size).reshape(batch) % 3 == 1, 0, labels)
    kw = {"reduction": d.choice(REDUCTIONS), "ignore_index": d.choice([-100, 0])}
    if d.flag():
        kw["weight"] = d.rng.uniform(0.5, 2, classes).round(3)
    return d.array([*batch[:1], classes, *batch[1:]]), np.asarray(labels), kw


def cross_entropy(d: Draw) -> Drawn:
    scores, labels, kw = labelled(d)
    kw["label_smoothing"] = d.choice([0.0, 0.1, 1.0])
    if d.flag():
        return scores, labels, kw
    return scores, d.array(scores.shape, 0.1, 1), kw | {"ignore_index": -100}


def binary_cross_entropy(d: Draw) -> Drawn:
    x, target, kw = pairwise(0.0, 1.0, reduction=REDUCTIONS)(d)
    for name in ("weight", "pos_weight"):
        if d.flag():
            kw[name] = np.asarray(d.rng.uniform(0.5, 2, d.partner(x.shape)))
    return x, target, kw


def hinge(d: Draw) -> Drawn:
    kw = {"p": d.choice([1, 2]), "margin": d.choice([1.0, 0.7]), "reduction": d.choice(REDUCTIONS)}
    if d.flag():
        x = d.array(d.shape(empty=False))
        return x, np.asarray(d.rng.choice([-1, 1], x.shape)), kw
    scores, labels, _ = labelled(d)
    return scores, labels, kw


# fmt: off
OPS: dict[str, Row] = {
    **dict.fromkeys(["copy", "positive", "neg", "square", "exp", "expm1", "exp2", "sin", "cos", "sinh",
                     "cosh", "tanh", "arctan", "arcsinh", "erf", "sigmoid", "softplus", "gelu", "silu",
                     "rint", "round", "floor", "ceil", "trunc"], unary()),
    **dict.fromkeys(["sqrt", "reciprocal", "log", "log2", "log10"], unary(0.5, 2)),
    **dict.fromkeys(["abs", "sign", "relu"], unary(away_from=0)),
    **dict.fromkeys(["arcsin", "arccos", "arctanh"], unary(-0.8, 0.8)),
    **dict.fromkeys(["add", "sub", "mul", "maximum", "minimum", "logaddexp"], binary()),
    **dict.fromkeys(["div", "mod", "floor_divide"], binary(-2, 2, second=(0.5, 2))),
    "log1p": unary(-0.5, 2), "tan": unary(-1, 1), "arccosh": unary(1.2, 3),
    "arctan2": binary(0.5, 2, second=(-2, 2)), "power": power, "clip": clip, "where": where,
    "leaky_relu": followed(unary(away_from=0), lambda d: d.choice([(), (0.1,), (-0.5,)])),
    "per": followed(unary(), lambda d: d.choice([(12,), (0.5,)])),
    "to": followed(unary(), lambda d: ("numpy",)), "astype": followed(unary(), lambda d: (np.float64,)),
    "sum": reduction(), "prod": reduction(0.5, 2, zeros=True), "cumsum": partial(along, default=None),
    **dict.fromkeys(["mean", "max", "min", "logsumexp"], reduction(least=1)),
    **dict.fromkeys(["var", "std"], spread),
    **dict.fromkeys(["softmax", "log_softmax"], partial(along, least=1)),
    "reshape": reshape, "transpose": transpose, "swapaxes": swapaxes, "moveaxis": moveaxis,
    "expand_dims": expand_dims, "squeeze": squeeze, "broadcast_to": broadcast_to, "flip": flip,
    "roll": roll, "tril": triangle, "triu": triangle, "tile": tile, "pad": pad,
    "concatenate": joined, "stack": stacked, "scatter": scatter, "getitem": getitem,
    "matmul": matmul, "einsum": einsum, "linear": linear, "normalize": normalize,
    "cross_entropy": distribution,
    **dict.fromkeys(["inv", "det", "slogdet"], square),
    **dict.fromkeys(["svdvals", "pinv", "polar", "nuclear"], matrix),
    **dict.fromkeys(["cholesky", "eigvalsh"], symmetric),
    "solve": system, "euclidean": lengths, "p_norm": p_lengths,
    "unfold": unfolded, "fold": folded, "spectral": followed(matrix, lambda d: d.choice([(), (True,)])),
}
COMPOSED: dict[str, Row] = {
    "concatenate": listed(joined, {"axis": None}), "stack": listed(stacked, {}),
    "vstack": partial(rows_or_columns, free=0), "hstack": partial(rows_or_columns, free=1),
    "split": split, "getitem": getitem, "take": take, "take_along_axis": take_along_axis,
    "repeat": repeat, "sort": partial(along, default=None, spaced=True), "ravel": unary(), "diff": diff,
    "diagonal": diagonal, "trace": diagonal, "diag": diag, "astype": OPS["astype"], "clip": clip,
    "median": reduction(least=1, spaced=True), "cumprod": partial(along, default=None, zeros=True),
    "outer": lambda d: (d.array(d.shape(most=2)), d.array(d.shape(most=2))), "dot": dot,
    "inner": partial(dot, last=-1), "tensordot": tensordot, "einsum": subscripted,
    "linalg.solve": system_of_one, "linalg.slogdet": square, "linalg.cond": condition,
    "linalg.cholesky": options(symmetric, upper=[False, True]),
    "linalg.matrix_power": followed(square, lambda d: (d.integer(-3, 4),)),
    "linalg.svd": options(matrix, full_matrices=[False]),
    **dict.fromkeys(["linalg.eigh", "linalg.eigvalsh"], options(symmetric, UPLO=["L", "U"])),
    "linalg.norm": norm, "linalg.vector_norm": vector_norm,
    "linalg.matrix_norm": options(matrix, keepdims=[False, True], ord=MATRIX_ORDERS),
}
FUNCTIONAL: dict[str, Row] = {  # of minireg.nn.functional, what is no op
    "conv2d": conv2d, "max_pool2d": max_pool2d, "avg_pool2d": avg_pool2d, "linear": linear,
    "batch_norm": batch_norm, "layer_norm": layer_norm, "rms_norm": rms_norm, "group_norm": group_norm,
    "embedding": embedding, "gelu": options(unary(), approximate=["none", "tanh"]),
    "softplus": options(unary(), beta=[1.0, 0.5, 3.0]),
    **dict.fromkeys(["softmax", "log_softmax"], along_one),
    "cross_entropy": cross_entropy, "nll_loss": labelled, "hinge_loss": hinge,
    **dict.fromkeys(["mse_loss", "l1_loss"], pairwise(reduction=REDUCTIONS)),
    "smooth_l1_loss": pairwise(reduction=REDUCTIONS, beta=[1.0, 0.5, 0.0]),
    "binary_cross_entropy_with_logits": binary_cross_entropy,
    "kl_div": pairwise(0.1, 1.0, reduction=["batchmean", "sum", "none"], log_target=[False, True]),
}
# fmt: on
