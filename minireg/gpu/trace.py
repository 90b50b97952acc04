"""One kernel for many arrays: elementwise NumPy code, run once on symbols, becomes CUDA source.

The in-place passes of an optimizer and the prox of a penalty are written once. Given arrays they
are NumPy; given a :class:`Symbol` for each array they record what happens to one element.
Numbers of the host (rates, corrections, strengths) become arguments, so a schedule does not
compile anew. A launch covers any number of arrays where they lie: a table on the device holds the
addresses of their stretches, and nothing is gathered.

A kernel rounds as CuPy compiles: a·b + c in one step, and subnormal float32 numbers to 0.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..backend import Array, Backend, blocks, of

STRETCH = 4096  # elements that a row of the table describes
FLOATS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}  # what C calls them
UNTRACEABLE = (TypeError, AttributeError)  # what a Symbol raises where arrays are needed

# How C says what NumPy does to one element; NaN stays NaN and the sign of 0 is 0.
C: dict[Any, str] = {
    np.add: "{0} + {1}", np.subtract: "{0} - {1}", np.multiply: "{0} * {1}",
    np.divide: "{0} / {1}", np.power: "pow({0}, {1})", np.negative: "-{0}",
    np.absolute: "fabs({0})", np.sign: "({0} > 0) ? 1 : ({0} < 0) ? -1 : {0}",
    np.maximum: "({0} > {1} || {0} != {0}) ? {0} : {1}",
    np.minimum: "({0} < {1} || {0} != {0}) ? {0} : {1}",
    np.less: "{0} < {1}", np.less_equal: "{0} <= {1}", np.greater: "{0} > {1}",
    np.greater_equal: "{0} >= {1}", np.equal: "{0} == {1}", np.not_equal: "{0} != {1}",
    np.logical_and: "{0} && {1}", np.logical_or: "{0} || {1}", np.logical_not: "!{0}",
    np.where: "{0} ? {1} : {2}",
    **{f: f"{f.__name__}({{0}})" for f in (np.sqrt, np.exp, np.expm1, np.log, np.log1p, np.tanh)},
}  # fmt: skip


class Scalar(float):
    """A number of the host that knows how it was computed.

    >>> lr = Scalar(0.1, "lr"); (1 - 2 * lr).text, float(1 - 2 * lr)
    ('1 - (2 * lr)', 0.8)
    """

    text: str

    def __new__(cls, value: float, text: str) -> Scalar:
        """The number ``value``, computed as ``text`` says."""
        self = super().__new__(cls, value)
        self.text = text
        return self


def _operand(x: Any) -> str:
    """A number or a text as part of a larger expression: in parentheses if it is one itself."""
    text = x if isinstance(x, str) else x.text if isinstance(x, Scalar) else f"{x:g}"
    return f"({text})" if " " in text else text


def _arithmetic(sign: str, function: Callable[[float, float], float], swap: bool) -> Any:
    def method(a: Scalar, b: Any) -> Any:
        if not isinstance(b, int | float):
            return NotImplemented
        left, right = (b, a) if swap else (a, b)
        value = function(float(left), float(right))
        return Scalar(value, f"{_operand(left)} {sign} {_operand(right)}")

    return method


for _name, _sign in {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**"}.items():
    for _side in ("", "r"):
        _method = _arithmetic(_sign, getattr(operator, _name), _side == "r")
        setattr(Scalar, f"__{_side}{_name}__", _method)
setattr(Scalar, "__neg__", lambda a: Scalar(-float(a), f"-{_operand(a)}"))


class Tape:
    """What has been recorded: operations on names, each once, and the numbers that go in."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, ...], str] = {}  # (form, *operands): name of the result
        self.names: dict[tuple[str, float], str] = {}  # (text, value) of a number: its name
        self.numbers: list[Scalar] = []

    def name(self, x: object) -> str:
        """The name of an operand in the source."""
        if isinstance(x, Symbol):
            if x.name is None:
                raise TypeError("a scratch array is read before it is written")
            return x.name
        if isinstance(x, float | np.floating):
            number = x if isinstance(x, Scalar) else Scalar(float(x), f"{x:g}")
            key = number.text, float(number)
            if key not in self.names:
                self.names[key] = f"a{len(self.numbers)}"
                self.numbers.append(number)
            return self.names[key]
        if isinstance(x, int | np.integer):
            return str(int(x))
        raise TypeError(f"a kernel knows elements and numbers, got {type(x).__name__!r}")

    def record(self, form: str, operands: Iterable[Any]) -> str:
        """The name of the result; an operation that occurs twice has one name."""
        return self.lines.setdefault((form, *map(self.name, operands)), f"t{len(self.lines)}")


class Symbol(NDArrayOperatorsMixin):
    """One element of an array: operators and NumPy functions on it are recorded, also in place.

    Raises ``TypeError`` or ``AttributeError`` for what an element alone cannot know (a sum, a
    shape, ``if``) and for what has no entry in the table ``C``.
    """

    __slots__ = ("tape", "name")
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]

    def __init__(self, tape: Tape, name: str | None = None) -> None:
        self.tape, self.name = tape, name

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **options: Any
    ) -> Any:
        if ufunc is np.power and isinstance(inputs[1], int | float) and inputs[1] in (2, 0.5):
            ufunc, inputs = (np.square if inputs[1] == 2 else np.sqrt), inputs[:1]
        if ufunc is np.square:
            ufunc, inputs = np.multiply, inputs * 2
        if method != "__call__" or ufunc not in C or options:
            return NotImplemented
        (result,) = out or (Symbol(self.tape),)
        result.name = self.tape.record(C[ufunc], inputs)
        return result

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.clip and len(args) == 3:
            x, low, high = args
            return np.minimum(np.maximum(x, low), high)
        if function is np.where and len(args) == 3:
            return Symbol(self.tape, self.tape.record(C[np.where], args))
        return Symbol(self.tape, "0") if function is np.zeros_like else NotImplemented

    def __setitem__(self, index: Any, value: Any) -> None:
        if index is not Ellipsis:
            raise TypeError("one element has no parts")
        self.name = self.tape.name(value)

    def __bool__(self) -> bool:
        raise TypeError("a kernel cannot branch in Python: say np.where")


@dataclass(frozen=True)
class Kernel:
    """What one launch does to each element of ``arrays``; ``print(kernel)`` shows it."""

    name: str
    dtype: str
    arrays: tuple[str, ...]
    common: int  # how many of the arrays, the last ones, have a single element, used by all
    used: tuple[str, ...]  # the name of each array's address; "" for an array that is not used
    body: str  # of element j
    numbers: tuple[Scalar, ...]  # its arguments, of this step

    def __str__(self) -> str:
        """The source, with the origin of each argument as comments."""
        about = [f"// {self.name}({', '.join(self.arrays)}), {self.dtype}"]
        about += [f"//   a{k} = {a.text}" for k, a in enumerate(self.numbers)]
        return "\n".join([*about, self.source(1)])

    def source(self, rows: int) -> str:
        """The body for index i of the launch: over one row of arrays, or over many, by a table."""
        if rows == 1:
            return f"const long long j = i;\n{self.body}"
        found = [f"{at} = table[row + {k + 1}]" for k, at in enumerate(self.used) if at]
        return "\n".join([
            f"const long long row = i / {STRETCH} * {len(self.used) + 1}, j = i % {STRETCH};",
            "if (j >= (long long)table[row]) continue;",
            *(f"const unsigned long long {at};" for at in found), self.body,
        ])  # fmt: skip

    def parameters(self, rows: int) -> str:
        """The arguments as CuPy's ElementwiseKernel takes them."""
        one = [f"uint64 {at}" for at in self.used if at]
        numbers = [f"{self.dtype} a{k}" for k in range(len(self.numbers))]
        return ", ".join([*(one if rows == 1 else ["raw uint64 table"]), *numbers])

    def places(self, backend: Backend, rows: Sequence[Sequence[Array]]) -> tuple[list[Any], int]:
        """(addresses as arguments of a launch, how many indices i it takes)."""
        address = backend.address
        assert address is not None
        if len(rows) == 1:
            where = [address(a) for a, at in zip(rows[0], self.used, strict=True) if at]
            return where, rows[0][0].size
        listed = table(backend, rows, self.common)
        return [listed], listed.size // (len(self.arrays) + 1) * STRETCH

    def launch(self, backend: Backend, rows: Sequence[Sequence[Array]]) -> None:
        """Run it on every row of contiguous arrays, one for each of ``arrays``, at once."""
        where, size = self.places(backend, rows)
        # with a prefix, as a class may be called exp
        name = f"minireg_{self.name if _plain(self.name) else 'kernel'}"
        source = self.parameters(len(rows)), self.source(len(rows)), name
        _compiled(backend.xp, *source)(*where, *map(float, self.numbers), size=size)


@cache
def _compiled(xp: Any, parameters: str, body: str, name: str) -> Any:
    return xp.ElementwiseKernel(parameters, "", body, name)


def table(backend: Backend, rows: Iterable[Sequence[Array]], common: int = 0) -> Array:
    """On the device: a row for each stretch of up to STRETCH elements: their number, the addresses.

    The last ``common`` arrays have a single element, so every stretch has their one address.
    """
    address = backend.address
    assert address is not None
    rows = list(rows)
    places = tuple((row[0].size, *map(address, row)) for row in rows)
    return _table(backend.xp, backend.stream(), rows[0][0].itemsize, common, places)


@lru_cache(maxsize=64)  # the memory pool reuses addresses, so few tables are made
def _table(
    xp: Any, stream: Any, width: int, common: int, places: tuple[tuple[int, ...], ...]
) -> Array:
    arrays = np.array(places, np.uint64)
    counts = -(-arrays[:, 0].astype(np.int64) // STRETCH)
    rows = np.repeat(arrays, counts, axis=0)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    begin = (np.arange(len(rows)) - first).astype(np.uint64) * np.uint64(STRETCH)
    rows[:, 1 : rows.shape[1] - common] += begin[:, None] * np.uint64(width)
    rows[:, 0] = np.minimum(rows[:, 0] - begin, np.uint64(STRETCH))
    return xp.asarray(rows.reshape(-1))


def fits(arrays: Sequence[Array], common: int = 0) -> bool:
    """Whether a kernel can take these arrays: on a GPU, of one type, dtype and shape, contiguous.

    The last ``common`` of them may have any shape.
    """
    first, backend = arrays[0], of(arrays[0])
    if backend.address is None or first.dtype not in FLOATS:
        return False
    kind, dtype, shape = type(first), first.dtype, first.shape
    same = all(type(a) is kind and a.dtype == dtype for a in arrays)
    listed = arrays[: len(arrays) - common]
    return same and all(a.shape == shape and a.flags.c_contiguous for a in listed)


def run_on_rows(
    name: str, arrays: Sequence[str], function: Callable[..., Any], rows: Iterable[Sequence[Array]],
    common: int = 0,
) -> None:  # fmt: skip
    """Call ``function`` on every row of arrays, which it changes in place; on a GPU in one launch.

    ``arrays`` are the names of a row's arrays; the last ``common`` have a single element. On the CPU
    the others come in blocks that stay in the cache.

    >>> g = np.array([1.0, 2.0]); run_on_rows("scale", ["g"], lambda g: np.multiply(g, 0.5, out=g), [[g]])
    >>> g
    array([0.5, 1. ])
    """
    groups: dict[Any, list[Sequence[Array]]] = {}
    for row in rows:
        kind = (of(row[0]).name, row[0].dtype) if fits(row, common) else None
        groups.setdefault(kind, []).append(row)
    others = groups.pop(None, [])  # those no kernel can take
    for (_, dtype), some in groups.items():
        try:
            kernel = trace(name, dtype.name, arrays, function, common=common)
        except UNTRACEABLE:
            others += some
        else:
            kernel.launch(of(some[0][0]), some)
    for row in others:
        moving = len(row) - common
        for views in blocks(*row[:moving]):
            function(*views, *row[moving:])


def _word(name: str, k: int) -> str:
    """The name of array k in C: no keyword, and no name that CuPy's loop uses."""
    return f"{name}_" if _plain(name) else f"x{k}_"


def _plain(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def trace(
    name: str, dtype: str, arrays: Sequence[str], function: Callable[..., None], scratch: int = 0,
    common: int = 0, total: bool = False,
) -> Kernel:  # fmt: skip
    """The kernel that does to one element of these arrays what ``function`` does to arrays in place.

    ``function`` takes the arrays, ``scratch`` arrays that it may overwrite, then the last ``common``
    arrays, which have a single element. With ``total`` one argument more stands for ``total_``, a
    variable of the kernel around the body. Raises one of ``UNTRACEABLE`` where ``function`` needs more
    than one element.

    >>> def decay(w, g): w -= Scalar(0.1, "lr") * (g + 2 * w)
    >>> print(trace("decay", "float32", ["w", "g"], decay))
    // decay(w, g), float32
    //   a0 = lr
    const long long j = i;
    float *at_w_ = (float *)w_at + j;
    float *at_g_ = (float *)g_at + j;
    const float w_ = *at_w_, g_ = *at_g_;
    *at_w_ = w_ - (a0 * (g_ + (2 * w_)));
    """
    tape = Tape()
    words = tuple(_word(n, k) for k, n in enumerate([*arrays, "total"] if total else arrays))
    symbols = [Symbol(tape, word) for word in words]
    moving = len(arrays) - common
    function(*symbols[:moving], *(Symbol(tape) for _ in range(scratch)), *symbols[moving:])
    results = tuple(tape.name(s) for s in symbols)
    lines = tuple(tape.lines), tuple(tape.lines.values())
    used, body = _body(dtype, words, moving, len(arrays), *lines, results)
    return Kernel(name, dtype, tuple(arrays), common, used, body, tuple(tape.numbers))


@lru_cache(maxsize=256)  # most steps record the same lines as the step before
def _body(
    dtype: str, arrays: tuple[str, ...], moving: int, stored: int,
    lines: tuple[tuple[str, ...], ...], names: tuple[str, ...], results: tuple[str, ...],
) -> tuple[tuple[str, ...], str]:  # fmt: skip
    """(names of the arrays' addresses, the source that works on element j)."""
    kind = FLOATS[np.dtype(dtype)]
    written = [(n, value) for n, value in zip(arrays, results, strict=True) if value != n]
    uses = Counter(value for _, value in written)
    for (form, *operands), n in reversed([*zip(lines, names, strict=True)]):
        for k, a in enumerate(operands):
            uses[a] += form.count(f"{{{k}}}") if uses[n] else 0
    body, used = [], []
    for k, (n, value) in enumerate(zip(arrays[:stored], results[:stored], strict=True)):
        used.append(f"{n}at" if uses[n] or value != n else "")
        if used[k]:
            body.append(f"{kind} *at_{n} = ({kind} *){used[k]}{' + j' if k < moving else ''};")
    if read := [f"{n} = *at_{n}" for n in arrays[:stored] if uses[n]]:
        body.append(f"const {kind} {', '.join(read)};")
    text: dict[str, str] = {}
    for (form, *operands), n in zip(lines, names, strict=True):
        inner = str if form.endswith(")") else _operand  # the arguments of a function stand alone
        text[n] = form.format(*(inner(text.get(a, a)) for a in operands))
        if uses[n] > 1:  # what is used once is written where it is used
            body.append(f"const {kind} {n} = {text.pop(n)};")
    to = {n: f"*at_{n}" for n in arrays[:stored]}
    body += [f"{to.get(n, n)} = {text.get(value, value)};" for n, value in written]
    return tuple(used), "\n".join(body)
