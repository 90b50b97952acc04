"""diagnosis: what separates a wrong answer from the right one, found by asking both.

Both functions are asked at the author's cases and at arguments changed at random. What is said is a
statement about them that holds at every one of these places, and again at fresh ones:

==============  ======================================================================
a relation      yours is minus the right answer, one over it, its square …
a product       yours is ``lr·strength`` times the right answer, or a term is too much
a place         yours is right if ``2·strength`` stands in place of ``strength``
a part          right except on the diagonal; right where ``|v| > lam``
a change        one operator in line 2 makes it right (tried on the text of the answer)
a limit         nearly right for small ``lr`` only
an invariant    the entries of the right answer add up to 1
a dependence    yours does not change with ``lam``, and it should; is 42.7 whatever the arguments are
==============  ======================================================================
"""

from __future__ import annotations

import ast
import itertools
import operator
import re
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import raw
from ..pictures import Say

Function = Callable[..., Any]
Args = tuple[Any, ...]
Array = np.ndarray[Any, Any]

_TEXT = tomllib.loads(Path(__file__).with_name("judge.toml").read_text("utf-8"))
ERRORS: list[dict[str, str]] = _TEXT.pop("errors")

PATIENCE = 1.0  # seconds for a diagnosis: an answer may train a network


def say(key: str, **values: Any) -> Say:
    """The sentence ``"kind.name"`` of ``judge.toml`` with its values filled in."""
    kind, name = key.split(".")
    return Say(*_TEXT[kind][name]).format(**values)


# --- asking ----------------------------------------------------------------------------------------


def parts(value: Any) -> list[Array]:
    """A number, array or list as one array, a tuple as several; ``TypeError`` for anything else."""
    found = [np.asarray(raw(v)) for v in (value if isinstance(value, tuple) else (value,))]
    if any(a.dtype.kind not in "biuf" for a in found):  # a text may read as a number
        raise TypeError(f"{value!r} is no number and no array")
    return [a.astype(float) for a in found]


def fresh(args: Args) -> Args:
    """Arguments of one's own: an answer may change them."""
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)


def same(a: Array | None, b: Array | None, rtol: float = 1e-7) -> bool:
    """Whether two arrays agree, shape included; nothing agrees with nothing."""
    there = a is not None and b is not None and a.shape == b.shape
    return bool(there and np.allclose(a, b, rtol, 1e-12))  # type: ignore[arg-type]


def put(args: Args, i: int, value: Any) -> Args:
    """The arguments with another one in this place."""
    return (*args[:i], value, *args[i + 1 :])


def moved(value: Any, rng: np.random.Generator, by: float) -> Any:
    """An argument changed a little: sign, zeros, symmetry and whole numbers stay."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return max(value + int(rng.integers(-1, 2)), min(value, 1))
    if np.asarray(value).dtype.kind != "f":
        return value
    factor = np.exp(rng.uniform(-by, by, np.shape(value)))
    if factor.ndim == 2 and np.array_equal(value, np.transpose(value)):
        factor = (factor + factor.T) / 2
    return value * factor if factor.ndim else float(value * factor)


def shorter(args: Args, rng: np.random.Generator) -> Args:
    """One dimension that the arrays have, shortened by one in all of them."""
    sizes = sorted({n for a in args for n in np.shape(a) if n > 2})
    size = rng.choice(sizes) if sizes else 0
    cut: Any = lambda a: a[tuple(slice(n - (n == size)) for n in a.shape)]
    return tuple(cut(a) if isinstance(a, np.ndarray) else a for a in args)


class Asked:
    """A function as diagnosis asks it: an array or None, never an error, and not for ever."""

    def __init__(self, function: Function, until: float, part: int):
        self.function, self.until, self.part = function, until, part

    def __call__(self, *args: Any) -> Array | None:
        """One part of what the function gives."""
        if time.perf_counter() > self.until:
            raise TimeoutError
        try:
            loose = (np.float64(a) if isinstance(a, float) else a for a in fresh(args))
            return parts(self.function(*loose))[self.part]  # so 1/0 is inf
        except BaseException:  # the code is the reader's, and the arguments are random
            return None


class Both:
    """A wrong answer and the right function, asked at the cases and at places near them.

    ``rows`` holds arguments, answer and right answer of each place where the latter is finite.
    """

    def __init__(self, yours: Asked, right: Asked, cases: Sequence[Args], names: Sequence[str],
                 seed: int = 0, many: int = 21, by: float = 0.4):  # fmt: skip
        self.yours, self.right, self.cases, self.names = yours, right, cases, names
        self.rng = np.random.default_rng(seed)
        near = [tuple(moved(v, self.rng, by) for v in cases[i % len(cases)]) for i in range(many)]
        near[::3] = [shorter(args, self.rng) for args in near[::3]]
        self.rows: list[tuple[Args, Array, Array]] = []
        for args in [*cases, *near]:
            a, b = yours(*args), right(*args)
            if a is not None and b is not None and a.shape == b.shape and np.isfinite(b).all():
                self.rows.append((args, a, b))
        self.wrong = [row for row in self.rows if not same(*row[1:])]

    def elsewhere(self, **options: Any) -> Both:
        """The same functions, asked at other places."""
        return Both(self.yours, self.right, self.cases, self.names, **options)

    def put(self, of: Any) -> bool:
        """Whether the answer is everywhere what the right function gives for other arguments."""
        try:
            return all(same(a, self.right(*of(args))) for args, a, _ in self.rows)
        except (TypeError, ValueError):  # a text has no square
            return False

    @cached_property
    def flat(self) -> tuple[Array, Array]:
        """All entries of the answers, and those of the right ones."""
        a, b = zip(*((a.ravel(), b.ravel()) for _, a, b in self.rows), strict=True)
        return np.concatenate(a), np.concatenate(b)

    @cached_property
    def quantities(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """What a factor may be made of, an entry for each entry of the answers; and what else."""
        found: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for args, _, b in self.rows:
            plain: dict[str, Any] = {}
            other: dict[str, Any] = {}
            found.append((plain, other))
            for name, a in zip(self.names, map(np.asarray, args), strict=True):
                if a.dtype.kind not in "if":
                    continue
                if a.ndim == 0:
                    plain[name] = a
                    other |= {f"(1 − {name})": 1 - a, f"(1 + {name})": 1 + a}
                    continue
                other[f"‖{name}‖"] = np.linalg.norm(a)
                plain[f"len({name})"] = len(a)
                plain |= {f"{name}.shape[1]": a.shape[1]} if a.ndim == 2 else {}
                plain |= {name: a} if a.shape == b.shape else {}
            other |= {"index": np.arange(len(b))} if b.ndim == 1 else {}
            for values in (plain, other):
                values |= {k: np.broadcast_to(v, b.shape).ravel() * 1.0 for k, v in values.items()}
        one, two = (
            {k: np.concatenate([f[i][k] for f in found]) for k in found[0][i]
             if all(k in f[i] for f in found)} for i in (0, 1)
        )  # fmt: skip
        return one, two


# --- relations and products ------------------------------------------------------------------------

RELATIONS: dict[str, Callable[[Array], Array]] = {
    "negative": np.negative, "inverse": lambda b: 1 / b, "one_minus": lambda b: 1 - b,
    "negative_inverse": lambda b: -1 / b, "square": np.square, "root": np.sqrt,
    "absolute": np.abs, "positive": lambda b: np.maximum(b, 0), "logarithm": np.log,
    "exponential": np.exp, "down": np.trunc, "nearest": np.round, "turned": np.transpose,
    "reversed": np.flip,
}  # fmt: skip


def chance(both: Both) -> Iterator[Say]:
    """The same arguments, and another result."""
    if any(not same(a, both.yours(*args), 0) for args, a, _ in both.rows if np.isfinite(a).all()):
        yield say("depends.random")


def constant(both: Both) -> Iterator[Say]:
    """Yours is the same number everywhere, far from the cases too."""
    a, b = both.flat
    if np.ptp(a) == 0 < np.ptp(b) and not np.ptp([*both.elsewhere(seed=2, by=2).flat[0], a[0]]):
        yield say("depends.constant", value=f"{a[0]:.6g}")


def relation(both: Both) -> Iterator[Say]:
    """Yours is minus the right answer, one over it …, or it is one of yours."""
    for name, of in RELATIONS.items():
        if all(same(a, of(b)) for _, a, b in both.rows):
            yield say(f"relation.{name}")
    if all(same(np.maximum(a, 0), b) for _, a, b in both.rows):
        yield say("relation.cut")
    if all(same(np.abs(a), b) for _, a, b in both.rows):
        yield say("relation.unsigned")


def products(both: Both, most: int = 9) -> Iterator[Say]:
    """Yours is a product, of at most so many factors, times the right answer, or there is a term."""
    a, b = both.flat
    of = {"factor": b, "inverse": 1 / b, "root": np.sqrt(b), "one_minus": 1 - b}
    factors: Callable[[str], int] = lambda text: len(re.findall(r"[·/(]", text)) + 1
    more = a - b
    if np.ptp(more) < 1e-14 * np.abs(b).max() < abs(more[0]) / 9:  # one number, of lost digits
        more[:] = np.median(more)
    if (text := product(more, np.ones_like(b), both)) and factors(text) < most:
        name = "less" if text.startswith("−") else "more"
        yield say(f"product.{name}", product=text.removeprefix("−"))
    for name, c in of.items():
        if (text := product(a, c, both)) and factors(text) <= most:
            named = re.findall(r"\w+", text)  # of an argument that yours lacks nothing is made
            if all(yours or n not in named for n, (yours, _) in varies(both).items()):
                yield say(f"product.{name}", product=text)


def product(a: Array, c: Array, both: Both) -> str:
    """The number times powers of quantities that makes ``a`` of ``c``, as text; "" if none does."""
    seen = (a != 0) | (c != 0)
    y = a[seen] / c[seen]
    if not y.all() or not np.isfinite(y).all():
        return ""
    plain, other = (
        {k: q[seen] for k, q in found.items() if q[seen].all() and np.ptp(q[seen]) > 0}
        for found in both.quantities
    )
    plain = dict({tuple(q): (k, q) for k, q in reversed(plain.items())}.values())  # each once
    for extra in ({}, *({k: q} for k, q in other.items())):
        used = plain | extra
        if len(y) < len(used) + 4:
            continue
        logs = [np.ones(len(y)), *(np.log(np.abs(q)) for q in used.values())]
        fitted = np.linalg.lstsq(np.column_stack(logs), np.log(np.abs(y)), rcond=None)[0][1:]
        powers = dict(zip(used, np.round(2 * fitted) / 2, strict=True))
        whole = np.ones_like(y)
        for k, e in powers.items():
            whole = whole * (np.abs(used[k]) ** e if e % 1 else used[k] ** e)
        factor = float(np.median(y / whole))
        if sum(e != 0 for e in powers.values()) < 4 and np.allclose(y, factor * whole, 1e-7, 0):
            return written(factor, powers)
    return ""


CONSTANTS = {"π": np.pi, "ln 10": np.log(10), "ln 2": np.log(2), "√2": np.sqrt(2), "e": np.e}
POWERS = {0.5: "√{}", 1: "{}", 2: "{}²", 3: "{}³", 4: "{}⁴"}


def written(factor: float, powers: dict[str, float]) -> str:
    """A product as text.

    >>> written(-1.0, {"lr": 2.0, "N": -1.0, "w": 0.5})
    '−lr²·√w/N'
    >>> written(1 / 3, {}), written(1 / np.log(10), {"w": 1})
    ('1/3', 'w/ln 10')
    """
    size = abs(factor)
    fraction = Fraction(size).limit_denominator(12)
    up, down = str(fraction.numerator), str(fraction.denominator)
    if abs(size - fraction) > 1e-9 * size:
        up, down = f"{size:.6g}", "1"
        for name, c in CONSTANTS.items():
            if abs(size / c - 1) < 1e-9 or abs(size * c - 1) < 1e-9:
                up, down = (name, "1") if size > 1 else ("1", name)
    ups, downs = [up] * (up != "1"), [down] * (down != "1")
    for name, e in powers.items():
        if e:
            (ups if e > 0 else downs).append(POWERS.get(abs(e), f"{{}}^{abs(e):g}").format(name))
    return ("−" if factor < 0 else "") + "/".join(["·".join(ups) or "1", *downs])


# --- places ----------------------------------------------------------------------------------------

ALONE: dict[str, Callable[[Any], Any]] = {
    "0": lambda p: 0 * p, "1": lambda p: 0 * p + 1, "−{p}": lambda p: -p,
    "2·{p}": lambda p: 2 * p, "{p}/2": lambda p: p / 2, "4·{p}": lambda p: 4 * p,
    "{p}/4": lambda p: p / 4, "{p}²": lambda p: p**2, "√{p}": np.sqrt,
    "1/{p}": lambda p: 1 / p, "1 − {p}": lambda p: 1 - p, "|{p}|": np.abs,
    "{p} + 1": lambda p: p + 1, "log({p})": np.log,
    "{p} − 1": lambda p: max(p - 1, 0) if type(p) is int else p - 1,  # a loop has no −1 passes
    "exp({p})": np.exp, "{p} − mean({p})": lambda p: p - np.mean(p),
    "mean({p})": lambda p: 0 * p + np.mean(p), "{p}.T": np.transpose,
    "sign({p})": lambda p: np.copysign(1.0, p),
    "{p}·π/180": np.deg2rad, "{p}·180/π": np.rad2deg,
}  # fmt: skip
PAIRED: dict[str, Callable[[Any, Any], Any]] = {
    "{q}": lambda p, q: q, "{p}·{q}": lambda p, q: p * q, "{p}/{q}": lambda p, q: p / q,
    "{q}/{p}": lambda p, q: q / p, "{p}/len({q})": lambda p, q: p / len(q),
    "{p}·len({q})": lambda p, q: p * len(q),
}  # fmt: skip


def place(both: Both) -> Iterator[Say]:
    """Yours is right with something else in place of an argument."""
    names = list(enumerate(both.names))
    for (i, p), (j, q) in itertools.combinations(names, 2):
        if both.put(lambda args, i=i, j=j: put(put(args, i, args[j]), j, args[i])):
            yield say("place.swapped", old=p, new=q)
    for i, p in names:
        if both.put(lambda args, i=i: put(args, i, 1e9 * args[i])):  # and for anything large
            yield say("place.huge", old=p)
            continue
        for text, f in ALONE.items():
            if both.put(lambda args, i=i, f=f: put(args, i, f(args[i]))):
                key = {"0": "zero", "1": "one"}.get(text, "instead")
                yield say(f"place.{key}", old=p, new=text.format(p=p))


def pair(both: Both) -> Iterator[Say]:
    """Yours is right with two arguments in place of one."""
    for (i, p), (j, q) in itertools.permutations(enumerate(both.names), 2):
        for text, f in PAIRED.items():
            if both.put(lambda args, i=i, j=j, f=f: put(args, i, f(args[i], args[j]))):
                yield say("place.instead", old=p, new=text.format(p=p, q=q))


def without(both: Both) -> Iterator[Say]:
    """Yours is a product times, or a term more than, what comes out for an argument of 0."""
    for i, name in enumerate(both.names):
        if np.asarray(both.cases[0][i]).dtype.kind not in "if":
            continue
        zero: list[Any] = [both.right(*put(args, i, 0.0 * args[i])) for args, _, _ in both.rows]
        beside = zip(zero, both.rows, strict=True)
        fits: list[Any] = [z for z, (_, _, b) in beside if np.shape(z) == b.shape]
        if len(fits) < len(zero):
            continue
        a, c = both.flat[0], np.concatenate([z.ravel() for z in fits])
        if not c.all():
            continue
        if text := product(a, c, both):
            yield say("place.zero_factor", old=name, product=text)
        if text := product(a - c, np.ones_like(c), both):
            key = "zero_less" if text.startswith("−") else "zero_more"
            yield say(f"place.{key}", old=name, product=text.removeprefix("−"))


# --- parts -----------------------------------------------------------------------------------------


def entries(both: Both) -> Iterator[Say]:
    """Right on the diagonal, except in the last entry …"""
    shape = both.rows[0][2].shape
    rows = [np.isclose(a, b, 1e-7, 1e-12) for _, a, b in both.rows if b.shape == shape]
    right: Array = np.all(rows, 0)
    wrong: Array = ~np.any(rows, 0)
    if not right.any() or not wrong.any() or not (right | wrong).all():
        return
    if len(shape) == 2 and shape[0] == shape[1]:
        for key, there in (("diagonal", 1), ("beside", 0)):
            if np.array_equal(right, np.eye(len(right)) == there):
                yield say(f"partly.{key}")
    for key, mask in (("entry", wrong), ("only", right)):
        if mask.sum() == 1:
            yield say(f"partly.{key}", at=", ".join(map(str, np.argwhere(mask)[0])))


def condition(both: Both) -> Iterator[Say]:
    """Right where ``|v| > lam``, wrong everywhere else: asked far from the cases too."""
    both = both.elsewhere(seed=2, many=150, by=2)
    right = np.isclose(*both.flat, 1e-7, 1e-12)
    there = np.repeat(  # where an argument is 0 throughout many answers agree
        [all(np.any(v) for v in args if np.ndim(v)) for args, _, _ in both.rows],
        [b.size for _, _, b in both.rows],
    )
    if min((right & there).sum(), (~right).sum()) < 8:
        return
    plain, other = both.quantities
    index = other.pop("index", np.zeros(len(right)))
    whole = {name: k for name, k in plain.items() if index.any() and not (k % 1).any()}
    for name, k in whole.items():
        for key, mask in (("named", index == k), ("only_named", index != k)):
            if 0 < mask.sum() < len(mask) and right[~mask].all() and not right[mask].all():
                yield say(f"partly.{key}", name=name)
    left = {k: q for k, q in (plain | other).items() if "(" not in k}
    left = {f"|{k}|": np.abs(q) for k, q in left.items() if (q < 0).any()} | left
    level = left | {"0": 0 * index, "1": 0 * index + 1}
    level |= {f"1/{k}": 1 / q for k, q in left.items()}
    level |= {f"−1/{k}": -1 / q for k, q in left.items()}
    level |= {f"√{k}": np.sqrt(q) for k, q in left.items()}
    signs = {">": np.greater, "<": np.less, "=": np.equal}
    for one, two, sign in itertools.product(left, level, signs):
        if sign == "=" and two in ("0", f"√{one}"):  # where there is nothing many answers agree
            continue
        if "shape" in one + two and "‖" in one + two:  # a count is no length
            continue
        if np.array_equal(signs[sign](left[one], level[two]), right):
            yield say("partly.where", condition=f"{one} {sign} {two}")


def limit(both: Both) -> Iterator[Say]:
    """Nearly right for small, or for large arguments."""
    for i, name in enumerate(both.names):
        if not all(isinstance(case[i], float) and case[i] for case in both.cases):
            continue
        for key, way in (("small", -1), ("large", 1)):
            off = np.array([_off(both, case, i, way) for case in both.cases])
            if (off[:, 2] < 5e-3).all() and (np.diff(off.max(0)) < -0.8 * off.max(0)[:-1]).all():
                share = np.where(off[:, 0] < 100, off[:, 0], 0)  # of nothing there is no share
                at, most = both.cases[int(share.argmax())][i], f"{100 * share.max():.0f}"
                yield say(f"partly.{key}", name=name, at=f"{at:g}", percent=most)


def _off(both: Both, case: Args, i: int, way: int) -> list[float]:
    """How far the answer is off at the case, nearer to the limit, and nearer still.

    As a share of what there is to tell: of the answer, or of its way to the limit if that is less.
    """
    places = [put(case, i, case[i] * 10.0 ** (n * way)) for n in (0, 1.5, 3, 9)]
    asked = [(both.yours(*args), both.right(*args)) for args in places]
    if any(a is None or b is None or a.shape != b.shape for a, b in asked):
        return [np.inf] * 3
    rows: Any = asked
    way_to = [np.abs(b).max() if n == 0 else min(np.abs(b).max(), np.abs(b - rows[3][1]).max())
              for n, (_, b) in enumerate(rows)]  # fmt: skip
    three = zip(rows[:3], way_to, strict=False)
    return [float(np.abs(a - b).max() / max(w, 1e-300)) for (a, b), w in three]


def invariant(both: Both) -> Iterator[Say]:
    """The entries of the right answer add up to 1, or are never negative: yours are not so."""
    right = [np.sum(b) for _, _, b in both.rows if b.ndim]
    yours = [np.sum(a) for _, a, _ in both.rows]
    if right and np.ptp(right) < 1e-9 and abs(yours[0] - right[0]) > 1e-6:
        yield say("partly.total", got=f"{yours[0]:.4g}", want=f"{abs(right[0].round(9)):g}")
    wild = both.elsewhere(seed=2, many=60, by=1)
    if (wild.flat[1] >= 0).all() and any((a < 0).any() for _, a, _ in both.rows[: len(both.cases)]):
        yield say("partly.negative")


def dependence(both: Both) -> Iterator[Say]:
    """Yours does not change with an argument and should, or the other way round."""
    for name, (yours, right) in varies(both).items():
        if right != yours:
            yield say("depends.missing" if right else "depends.superfluous", name=name)


def varies(both: Both) -> dict[str, tuple[bool, bool]]:
    """Of each argument whether yours, and whether the right answer, changes with it."""
    found = {}
    for i, name in enumerate(both.names):
        yours, right = False, False
        given = [case[i] for case in both.cases]  # what is a place, a count or a share moves
        given += [np.flip(v) for v in given if np.ndim(v)]
        for k, (args, a, b) in enumerate(both.rows):
            for v in (moved(args[i], both.rng, 0.4), *given[: len(given) * (k < len(both.cases))]):
                c, d = both.yours(*put(args, i, v)), both.right(*put(args, i, v))
                if c is not None and d is not None and np.isfinite(d).all():
                    yours, right = yours or not same(a, c), right or not same(b, d)
        found[name] = yours, right
    return found


def digits(both: Both) -> Iterator[Say]:
    """Right to three digits: a number in it is rounded."""
    a, b = both.flat
    off = np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-300))
    if 0 < off < 5e-3:
        yield say("partly.digits", digits=int(-np.log10(off)))


# --- changes ---------------------------------------------------------------------------------------

OPERATORS: dict[type[ast.operator], tuple[Function, ...]] = {  # what it does; what else it may be
    ast.Add: (operator.add, operator.sub, operator.mul),
    ast.Sub: (operator.sub, operator.add, operator.mul),
    ast.Mult: (operator.mul, operator.truediv, operator.add, operator.matmul, operator.pow),
    ast.Div: (operator.truediv, operator.mul, operator.sub),
    ast.FloorDiv: (operator.floordiv, operator.truediv),
    ast.Pow: (operator.pow, operator.mul),
    ast.MatMult: (operator.matmul, operator.mul),
    ast.BitXor: (operator.xor, operator.pow),
}
FUNCTIONS: tuple[dict[str, Function], ...] = (
    {"log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p},
    {"exp": np.exp, "expm1": np.expm1},
    {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "norm": np.linalg.norm,
     "the largest size": lambda a: np.max(np.abs(a))},
    {"maximum": np.maximum, "minimum": np.minimum},
    {"sin": np.sin, "cos": np.cos, "tan": np.tan},
)  # fmt: skip
AROUND: tuple[Function, ...] = (
    np.negative, np.square, np.sqrt, np.abs, np.log, np.exp, lambda v: 1 - v, lambda v: 1 / v,
    lambda v: 2 * v, lambda v: v / 2, np.transpose, lambda v: v - np.mean(v),
)  # fmt: skip
BESIDE: tuple[Function, ...] = (
    operator.mul, operator.truediv, operator.add, operator.sub,
    lambda v, p: v * np.eye(np.shape(p)[-1]),
)  # fmt: skip
KINDS = (
    "axis", "needless", "operator", "order", "brackets", "without", "value", "function", "missing",
)  # fmt: skip


class Watch(ast.NodeTransformer):
    """Sends every expression through ``_at(slot, value)``, which may answer with another value.

    So a change is a function of values that are there already, and a text is compiled once for all
    changes that are tried. The first slots are those of the arguments.
    """

    def __init__(self, arguments: int, names: set[str]):
        self.names, self.above = names, [""]
        self.seen: list[Any] = [None] * arguments  # expression, its text, the text around it

    def visit(self, node: Any) -> Any:
        """The expression inside a call of ``_at``, if it is one that may be changed."""
        if isinstance(node, ast.For):  # how often a loop runs is left alone
            node.body = [self.visit(n) for n in node.body]
        if isinstance(node, ast.For | ast.keyword | ast.Lambda | ast.comprehension | ast.Slice):
            return node
        if not isinstance(node, ast.expr):
            return self.generic_visit(node)
        text = ast.unparse(node)
        self.above.append(text)
        self.generic_visit(node)
        self.above.pop()
        value = getattr(node, "value", None)
        loads = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if isinstance(node, ast.Call) and hasattr(node.func, "slot"):
            node.func = node.func.args[1]  # type: ignore[attr-defined]  # a method stays one
        if not loads or not (
            isinstance(node, ast.BinOp | ast.UnaryOp | ast.Call)
            or (isinstance(node, ast.Constant) and isinstance(value, int | float))
            or (isinstance(node, ast.Name) and node.id in self.names)
            or (isinstance(node, ast.Attribute | ast.Subscript) and hasattr(value, "slot"))
        ):
            return node
        given: list[ast.expr] = [ast.Constant(len(self.seen)), node]
        watched: Any = ast.Call(ast.Name("_at", ast.Load()), given, [])
        watched.slot = len(self.seen)
        self.seen.append((node, text, self.above[-1] or text))
        return watched


def edits(node: Any, me: int, arguments: int,
          loops: bool) -> Iterator[tuple[str, Function, list[Any]]]:  # fmt: skip
    """Changes of an expression: their kind, and a function of the values in some slots."""
    slots: Any = lambda *nodes: [getattr(n, "slot", None) for n in nodes]
    keep: Function = lambda v: v
    if isinstance(node, ast.BinOp):
        two = slots(node.left, node.right)
        this, *others = OPERATORS.get(type(node.op), (operator.add,))
        # Powers of powers in a loop may not come to an end.
        yield from (("operator", f, two) for f in others if f is not operator.pow or not loops)
        yield "order", this, two[::-1]
        opposite: Any = node.right, node.left
        for n, other in zip(two, opposite, strict=True):
            unit = hasattr(other, "slot") and getattr(other.args[1], "value", None) in (0, 1)
            yield "needless" if unit else "without", keep, [n]  # for `x - 1`, `x * 1` is no advice
    if isinstance(node, ast.UnaryOp):
        yield "without", keep, slots(node.operand)
    if isinstance(node, ast.Call) and not node.keywords:
        method = node.func if isinstance(node.func, ast.Attribute) else None
        given = slots(*(node.args or ([method.value] if method else [])))
        yield from (("needless", keep, [n]) for n in given)
        if method and method.attr in ("max", "min"):
            yield "axis", getattr(np, f"{method.attr}imum"), given
        for family in FUNCTIONS:
            if method and method.attr in family:
                yield from (("function", f, given) for f in family.values())
    if isinstance(node, ast.Name | ast.Constant):
        yield from (("value", lambda c=c: c, []) for c in (0, 1, 2, 0.5))
        yield from (("value", keep, [n]) for n in range(arguments))
    yield from (("missing", f, [me]) for f in AROUND)
    yield from (("missing", f, [me, n]) for f in BESIDE for n in range(arguments))


def change(both: Both, code: str, name: str, space: dict[str, Any]) -> Say | None:
    """One change in the text of the answer makes it right: where, and of which kind."""
    tree = ast.parse(code)
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
    nodes = list(ast.walk(function))
    kinds = {type(n) for n in nodes}
    if kinds & {ast.While, ast.Global, ast.Nonlocal}:  # may not come to an end
        return None
    for loop in (n for n in nodes if isinstance(n, ast.For)):
        for lost in sorted(_lost(loop)):
            return say("change.anew", line=loop.lineno, name=lost)
    names = {n.arg for n in nodes if isinstance(n, ast.arg)}
    names |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    many, loops = len(both.names), bool(kinds & {ast.For, ast.comprehension})
    watch = Watch(many, names)
    function.body = [watch.visit(n) for n in function.body]
    values: list[Any] = [None] * len(watch.seen)
    chosen: tuple[int, Function, list[int]] = (0, print, [])

    def at(slot: int, value: Any) -> Any:
        values[slot] = value
        if slot == chosen[0]:
            values[slot] = chosen[1](*(values[k] for k in chosen[2]))
        return values[slot]

    def changed(*args: Any) -> Any:
        values[:many] = args
        return made(*args)

    def mends(function: Function) -> bool:
        tried = Asked(function, both.yours.until, both.yours.part)
        return all(same(tried(*args), b, 1e-10) for args, _, b in both.wrong[:1] + both.rows)

    made = defined(ast.fix_missing_locations(tree), name, space | {"_at": at})
    found: list[tuple[str, int, str, str]] = []
    for slot, (node, piece, around) in enumerate(watch.seen[many:], many):
        for kind, f, slots in edits(node, slot, many, loops):
            chosen = slot, f, slots
            if None not in slots and mends(changed):
                found.append((kind, node.lineno, piece, around))
    for line, piece, text in bracketed(code):
        try:
            if mends(defined(text, name, space)):
                found.append(("brackets", line, piece, piece))
        except (SyntaxError, KeyError):
            pass
    if not found:
        return None
    kind, line, piece, around = min(found, key=lambda f: KINDS.index(f[0]))
    unit = re.search(r"^[01](\.0)? \S+|\S+ [01](\.0)?$", piece)  # of `x - 1` the `- 1`
    name = unit[0] if unit else piece.split("(")[0]
    return say(f"change.{kind}", line=line, piece=piece, around=around, name=name)


def idle(code: str) -> Say | None:
    """A line that does not do what it looks like: a comparison, ``return`` in each pass, ``**1/2``."""
    if power := re.search(r"^[^#\n]*\*\* *((-?1) */ *(\w+))", code, re.M):
        line, (piece, up, by) = code.count("\n", 0, power.start()) + 1, power.groups()
        return say("change.halved", line=line, piece=piece, up=up, by=by)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Compare):
            return say("change.compares", line=node.lineno, piece=ast.unparse(node))
        if isinstance(node, ast.For | ast.While):
            for line in (n.lineno for n in node.body if isinstance(n, ast.Return)):
                return say("change.returns", line=line)
    return None


def _lost(loop: ast.For) -> set[str]:
    """Names that each pass of a loop sets and none reads."""
    inner = [n for statement in loop.body for n in ast.walk(statement)]
    read = {n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    read |= {ast.unparse(n.target) for n in inner if isinstance(n, ast.AugAssign)}
    return {n.id for n in inner if isinstance(n, ast.Name) and n.id not in read}


def defined(code: Any, name: str, space: dict[str, Any]) -> Function:
    """The function that a text defines."""
    space = dict(space)
    exec(compile(code, "<answer>", "exec"), space)
    return space[name]


def bracketed(code: str) -> Iterator[tuple[int, str, str]]:
    """Line, its expression, and the whole text with a bracket moved or a pair more."""
    lines = code.split("\n")
    for n, line in enumerate(lines):
        split = re.match(r"(\s*(?:return|\w+\s*[-+*/]?=)\s*)(.{1,150})$", line)
        if not split:
            continue
        start, piece = split.groups()
        words = list(re.finditer(r"[\w.]+|\S", piece))
        begins = [w.start() for w in words if re.match(r"[\w.(]", w[0])]
        ends = [w.end() for w in words if re.match(r"[\w.)\]]", w[0])]
        new = {f"{piece[:i]}({piece[i:j]}){piece[j:]}" for i in begins for j in ends if i < j}
        for w in words:
            rest = f"{piece[: w.start()]} {piece[w.end() :]}"
            for at in ends if w[0] == ")" else begins if w[0] == "(" else ():
                new.add(rest[:at] + w[0] + rest[at:])
        for other in sorted(new):
            yield n + 1, piece, "\n".join([*lines[:n], start + other, *lines[n + 1 :]])


# --- all together ----------------------------------------------------------------------------------

Rule = Callable[[Both], Iterator[Say]]
FIRST: tuple[Rule, ...] = (chance, constant, relation, partial(products, most=2), place, entries)
# After these a change of the text is tried.
THEN: tuple[Rule, ...] = (condition, pair, products, dependence, without, limit, invariant, digits)


def diagnose(yours: Function, right: Function, cases: Sequence[Args], names: Sequence[str],
             code: str = "") -> Say | None:  # fmt: skip
    """What is true of a wrong answer, in a sentence; None if there is none, or time is up.

    Parameters
    ----------
    yours, right : functions of the same arguments that return numbers or arrays of the same shape,
        or tuples of them.
    cases : arguments at which they differ somewhere.
    names : what ``right`` calls its arguments.
    code : the text of ``yours``, if one change of it is to be searched for.

    >>> right, cases = lambda w, lam: lam * w, [(3.0, 0.5), (-1.0, 2.0)]
    >>> print(diagnose(lambda w, lam: 2 * lam * w, right, cases, ["w", "lam"]).en)
    Yours is `2` times the right answer.
    """
    until = time.perf_counter() + PATIENCE
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            many = range(len(parts(right(*fresh(cases[0])))))
            two = [(Asked(yours, until, i), Asked(right, until, i)) for i in many]
            asked = [Both(*each, cases, names) for each in two]
            said = list(_found(asked, code))
        except TimeoutError:
            return None
    return Say(" ".join(s.en for s in said), "".join(s.zh for s in said)) if said else None


def _found(asked: Sequence[Both], code: str) -> Iterator[Say]:
    """Which part is wrong, if there are several, and what is true of it."""
    good = [not both.wrong for both in asked]
    if all(good):
        return
    number = good.index(False) + 1
    both = asked[number - 1]
    if True in good:
        yield say("partly.part", right=good.index(True) + 1, wrong=number)
    again = both.elsewhere(seed=1, by=0.8)

    def first(rules: Sequence[Rule]) -> Say | None:
        found = ((list(rule(both)), rule) for rule in rules)
        twice = (said for one, rule in found if one for said in one if said in {*rule(again)})
        return next(twice, None)

    answer = both.yours.function
    found = first(FIRST)
    if not found and code:
        found = change(both, code, answer.__name__, answer.__globals__)
    if found := found or first(THEN):
        if len(asked) > 1:  # of which of them it is said
            en = re.sub("^Yours", f"Result {number}", found.en)
            en = en.replace(" yours ", f" result {number} ")
            found = Say(en, found.zh.replace("你的结果", f"第 {number} 个结果"))
        yield found
