"""Random programs in minireg and in PyTorch: do they find the same numbers?

    python tools/fuzz.py --programs 20000 --seed 0

Needs PyTorch and the test dependencies. A program makes leaves, computes results from them
(the templates below, and every function of the oracle tests near the arguments drawn there),
changes leaves in place, puts hooks on results, and ends in backward passes: once, twice, at some
leaves and results, recorded, up to the third derivative. All that can be seen is compared. What
differs is decided by finite differences where that is possible, made as short as it goes, and
printed. The exit code is 1 unless PyTorch was the one that was wrong, or rounding broke a tie.
"""

import argparse
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support.against import host, torch  # noqa: E402
from support.drawn import Draw  # noqa: E402
from support.twins.drawn import FUNCTIONAL_TWINS, FUNCTIONS, Case  # noqa: E402
from support.twins.ops import ORACLES  # noqa: E402

import minireg as mr  # noqa: E402
from minireg.nn import functional  # noqa: E402
from minireg.ops import TABLE  # noqa: E402

Array = np.ndarray
TORCH_IS_WRONG, TIE = "PyTorch is wrong", "a tie that rounding breaks: both are right"
STRICTER = "PyTorch refuses a change in place that changes no gradient"
EXPLAINED = ("", TORCH_IS_WRONG, TIE, STRICTER)
TORCH_CANNOT = "is not implemented|not supported|ZeroTensors are immutable"


class Library:
    """minireg or PyTorch: ops under minireg's names, layers and losses as ``F``, and a few more."""

    def __init__(self, ops: dict[str, Any], F: Any, tensor: Any, grad: Any, no_grad: Any) -> None:
        vars(self).update(ops)
        self.F, self.tensor, self.grad, self.no_grad = F, tensor, grad, no_grad

    def grid(self, a: Any, *shape: int) -> Any:
        """The entries of a, again and again, as an array of this shape."""
        size = int(np.prod(a.shape))
        return a.reshape(-1)[self.tensor(np.arange(int(np.prod(shape))) % size)].reshape(shape)

    def like(self, x: Array, a: Any) -> Any:
        """A constant in the dtype of a."""
        return self.tensor(x.astype(host(a).dtype))

    def definite(self, a: Any) -> Any:
        """A positive definite matrix."""
        g = self.grid(a, 3, 3)
        return g @ self.swapaxes(g, 0, 1) + self.like(np.eye(3), a)

    def near(self, array: Array, a: Any) -> Any:
        """An argument that was drawn, moved a little by the entries of a."""
        moved = self.tensor(np.array(array)) if array.size else self.tensor(np.zeros(array.shape))
        return moved + 0.02 * self.sin(self.grid(a, *array.shape)) if array.size else moved


class _Functional:
    """torch.nn.functional, but for what the oracle tests write anew."""

    def __getattr__(self, name: str) -> Any:
        return FUNCTIONAL_TWINS.get(name) or getattr(torch.nn.functional, name)


OURS = Library(
    {name: TABLE[name].function for name in ORACLES if name in TABLE}, functional,
    lambda a, requires_grad=False: mr.Tensor(a, requires_grad) if a.dtype.kind == "f" else a,
    mr.grad, mr.no_grad,
)  # fmt: skip
THEIRS = Library(
    ORACLES, _Functional(),
    lambda a, requires_grad=False: torch.from_numpy(np.array(a)).requires_grad_(requires_grad),
    torch.autograd.grad, torch.no_grad,
)  # fmt: skip

# What makes a result of any a, b and c; one of the same name may come twice.
ANY = """
m.tanh(a) | m.sin(a) | m.exp(-a * a) | m.sqrt(a * a + 0.5) | m.log(a * a + 0.7) | 1 / (1 + a * a)
a**2 | a**3 | abs(a) | -a | a + 0 | a * 2 | m.copy(a) | m.square(a) | m.erf(a) | m.arctan(a)
m.relu(a) | m.gelu(a) | m.silu(a) | m.sigmoid(a) | m.softplus(a) | m.leaky_relu(a, 0.1)
m.clip(a, -0.9, 0.8) | m.logaddexp(a, 0.3 * a) | m.expm1(a) | m.log1p(a * a) | m.arcsinh(a)
a.sum() | a.mean() | m.max(a) | m.min(a) | m.logsumexp(a) | m.var(a) | a.reshape(-1)
a.reshape(-1)[::2] | a.reshape(-1)[:1] | a.reshape(-1, 1) | a[None] | a[..., None]
a.reshape(a.shape) | m.flip(a) | m.transpose(m.grid(a, 2, 3)) | m.reshape(a, -1)[0] | a.detach()
m.copy(a)[...] | m.swapaxes(m.grid(a, 2, 3), 0, 1) | m.grid(a, 2, 3)[1] | m.grid(a, 3, 3)[:, 1:]
m.tril(m.grid(a, 3, 3)) | m.broadcast_to(m.grid(a, 1, 3), (2, 3))
m.pad(m.grid(a, 2, 2), ((0, 1), (1, 0))) | m.roll(a, 1) | m.sum(m.grid(a, 2, 3), axis=0)
m.mean(m.grid(a, 2, 3), axis=1, keepdims=True) | m.tile(a, (2,)) | m.max(m.grid(a, 2, 3), axis=1)
m.prod(m.grid(a, 4)) | m.prod(m.grid(a, 2, 2), axis=0) | m.cumsum(m.grid(a, 3))
m.softmax(m.grid(a, 2, 3)) | m.log_softmax(m.grid(a, 2, 3)) | m.logsumexp(m.grid(a, 2, 3), axis=0)
m.var(m.grid(a, 2, 3), axis=1) | m.std(m.grid(a, 2, 3) + m.like(RAMP, a))
a + m.grid(b, *a.shape) | a - m.grid(b, *a.shape) | a * m.grid(b, *a.shape) | a * b.sum()
a + b.mean() | a / (1 + m.grid(b, *a.shape) ** 2) | m.maximum(a, m.grid(b, *a.shape))
m.minimum(a, b.sum()) | m.where(a > 0.1, a, b.sum() * 2)
m.arctan2(a, 1 + m.grid(b, *a.shape) ** 2) | a * a | a + a | a - a
m.grid(a, 2, 1) * m.grid(b, 1, 3) | m.grid(a, 2, 3) + m.grid(b, 3)
m.grid(a, 2, 1, 3) * m.grid(b, 2, 1) | m.grid(a, 2, 3) @ m.grid(b, 3, 2)
m.grid(a, 3) @ m.grid(b, 3) | m.grid(a, 2, 2, 3) @ m.grid(b, 3, 1)
m.matmul(m.grid(a, 2, 2), m.grid(a, 2, 2))
m.einsum(m.grid(a, 2, 3), m.grid(b, 3, 2), subscripts="ij,jk->ki")
m.concatenate(m.grid(a, 2, 2), m.grid(b, 1, 2)) | m.stack(a, a)
m.stack(a, m.grid(b, *a.shape), axis=-1) | m.F.linear(m.grid(a, 3, 2), m.grid(b, 2, 2))
m.F.linear(m.grid(a, 2), m.grid(b, 3, 2), m.grid(c, 3))
m.F.linear(m.grid(a, 3, 2), m.grid(b, 2, 2), m.grid(c, 2))
m.F.linear(m.grid(a, 2, 2), m.grid(a, 2, 2))
m.F.layer_norm(m.grid(a, 2, 3), (3,), m.grid(b, 3), m.grid(c, 3), 0.1)
m.F.rms_norm(m.grid(a, 2, 3), (3,), m.grid(b, 3), 0.1)
m.F.layer_norm(m.grid(a, 2, 3), (3,), m.grid(b, 3), m.grid(b, 3), 0.1)
m.F.layer_norm(m.grid(a, 4), (4,), None, None, 0.1)
m.F.batch_norm(m.grid(a, 3, 2), None, None, m.grid(b, 2), m.grid(c, 2), True, 0.1, 0.1)
m.F.group_norm(m.grid(a, 2, 4), 2, m.grid(b, 4), m.grid(c, 4), 0.1)
m.F.mse_loss(a, m.grid(b, *a.shape))
m.F.cross_entropy(m.grid(a, 2, 3), m.softmax(m.grid(b, 2, 3)))
m.cross_entropy(m.grid(a, 2, 3), m.grid(b, 2, 3) ** 2)
m.F.cross_entropy(m.grid(a, 2, 3), m.tensor(LABELS))
m.F.cross_entropy(m.grid(a, 2, 3), m.tensor(LABELS), label_smoothing=0.1)
m.F.dropout(a, 0.0)
m.F.softmax(m.grid(a, 2, 3), 0)
m.F.conv2d(m.grid(a, 1, 1, 3, 3), m.grid(b, 2, 1, 2, 2), m.grid(c, 2))
m.solve(m.definite(a), m.grid(b, 3, 2)) | m.inv(m.definite(a)) | m.cholesky(m.definite(a))
m.slogdet(m.definite(a))[1] | m.det(m.grid(a, 2, 2) + m.like(DIAGONAL, a))
m.euclidean(m.grid(a, 2, 3) + 3, -1) | m.scatter(m.grid(a, 3), m.tensor(LABELS3), (3,))
"""  # fmt: skip
TEMPLATES = [text.strip() for line in ANY.strip().splitlines() for text in line.split(" | ")]
NAMES = {
    "np": np, "LABELS": np.array([2, 0]), "LABELS3": np.array([2, 0, 2]),
    "MASK": np.array([0.0, 2.0, 2.0]), "RAMP": np.arange(3.0),
    "DIAGONAL": np.diag([1.0, 2.0]),
}  # fmt: skip
CALLS = {text: eval(f"lambda m, a, b, c: {text}", dict(NAMES)) for text in TEMPLATES}
HOOKS = {  # PyTorch calls some with no gradient at all
    text: eval(f"lambda g: None if g is None else {text}")
    for text in ("g * 1.5", "None", "g * g", "-g")
}
SHAPES = [(), (1,), (3,), (2, 3), (3, 1), (2, 2), (2, 1, 3), (4,)]


# --- programs ------------------------------------------------------------------------------------


class Statement(NamedTuple):
    """A line: what it makes (perhaps nothing) of what, as text and as a function of a library."""

    makes: str
    uses: tuple[str, ...]
    text: str
    run: Callable[..., Any]


class Ending(NamedTuple):
    """How a round ends: backward passes from a weighed sum, at some places or at the leaves.

    ``seeded``: from the results themselves, with gradients that say how they are weighed.
    """

    kind: str
    seeded: bool
    loss: dict[str, float]
    first: tuple[str, ...]
    second: tuple[str, ...]
    third: tuple[str, ...]


class Round(NamedTuple):
    """Statements, an ending, and statements that change leaves before the next round."""

    statements: tuple[Statement, ...]
    ending: Ending
    update: tuple[Statement, ...]


class Program(NamedTuple):
    """Leaves by name, and what is done with them."""

    seed: tuple[int, int]
    leaves: dict[str, tuple[Array, bool]]
    rounds: tuple[Round, ...]

    def __str__(self) -> str:
        lines = [f"# seed {self.seed[0]}, program {self.seed[1]}"]
        for name, (x, requires_grad) in self.leaves.items():
            lines.append(
                f"{name} = {x.tolist()}  # {x.dtype}{', a constant' * (not requires_grad)}"
            )
        for statements, e, update in self.rounds:
            lines += [s.text for s in statements]
            loss = " + ".join(f"{w:g} * {name}.sum()" for name, w in e.loss.items())
            places = [", ".join(at) for at in (e.first, e.second, e.third) if at] or ["the leaves"]
            loss += ", by weights," * e.seeded
            lines.append(f"{e.kind} of {loss} at {'; then at '.join(places)}")
            lines += [s.text for s in update]
        return "\n".join(lines)


def own(lib: Library, result: Any, values: tuple[Any, ...]) -> Any:
    """A result that is an argument itself as a tensor of its own, in both libraries."""
    return result.reshape(result.shape) if any(result is v for v in values) else result


def unrecorded(inner: Callable[..., Any]) -> Callable[..., Any]:
    """The same inside no_grad."""

    def run(m: Library, *values: Any) -> Any:
        with m.no_grad():
            return inner(m, *values)

    return run


class Maker:
    """Draws a program; ``env`` holds what our library makes of it on the way."""

    def __init__(self, seed: tuple[int, int]) -> None:
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.single = self.rng.random() < 0.15
        self.leaves: dict[str, tuple[Array, bool]] = {}
        self.env: dict[str, Any] = {}
        self.ancestors: dict[str, set[str]] = {}
        self.changing = False
        self.count = 0

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def pick(self, options: Any) -> Any:
        """One of the options."""
        options = list(options)
        return options[self.rng.integers(len(options))]

    def some(self, options: Any, most: int = 3) -> tuple[str, ...]:
        """At least one of the options, in any order."""
        options = list(options)
        n = self.rng.integers(1, min(most, len(options)) + 1) if options else 0
        return tuple(options[i] for i in self.rng.permutation(len(options))[:n])

    def live(self) -> list[str]:
        """What requires a gradient."""
        return [name for name, v in self.env.items() if v.requires_grad]

    def variable(self) -> str:
        """A result or a leaf, rather a recent one."""
        names = list(self.env)
        return self.pick(names[-4:]) if self.chance(0.5) else self.pick(names)

    def program(self) -> Program:
        """Leaves and one to three rounds."""
        dtype = np.float32 if self.single else np.float64
        for k in range(self.rng.integers(2, 5)):
            x = np.asarray(self.rng.normal(size=self.pick(SHAPES)).round(3), dtype)
            self.leaves[f"x{k}"] = x, k == 0 or self.chance(0.8)
        self.env = {n: OURS.tensor(x.copy(), r) for n, (x, r) in self.leaves.items()}
        self.ancestors = {name: set() for name in self.env}
        rounds = tuple(self.round() for _ in range(self.pick([1, 1, 1, 2, 3])))
        return Program(self.seed, self.leaves, rounds)

    def round(self) -> Round:
        """A graph from the leaves, its ending, and changes of the leaves."""
        hooked: set[str] = set()
        self.changing = self.chance(0.2)  # of leaves while the graph grows: then nothing is a view
        self.env = {name: self.env[name] for name in self.leaves}
        statements = [self.statement(hooked) for _ in range(self.rng.integers(1, 13))]
        ending = self.ending(hooked)
        update = [self.change(n) for n in self.leaves if self.chance(0.5)]
        for s in update:
            s.run(OURS, *(self.env[n] for n in s.uses))
        return Round(tuple(statements), ending, tuple(update))

    def statement(self, hooked: set[str]) -> Statement:
        """A hook, a change in place, or a new result."""
        p = self.rng.random()
        if p < 0.06 and (live := self.live()):
            name, text = self.pick(live), self.pick(HOOKS)
            hooked.add(name)
            if self.chance(0.4):
                return Statement("", (name,), f"{name}.retain_grad()", lambda m, v: v.retain_grad())
            hook = HOOKS[text]
            return Statement(
                "",
                (name,),
                f"{name}.register_hook(lambda g: {text})",
                lambda m, v: v.register_hook(hook),
            )
        if self.changing and p < 0.15:
            s = self.change(self.pick(self.leaves))
            s.run(OURS, self.env[s.uses[0]])
            return s
        drawn = p < 0.4
        made = self.drawn() if drawn else self.template()
        if self.changing:
            made = made._replace(run=lambda m, *values, inner=made.run: m.copy(inner(m, *values)))
        if not drawn and self.chance(0.05):  # (some twins differentiate)
            made = made._replace(text=f"{made.text}  # in no_grad()", run=unrecorded(made.run))
        self.env[made.makes] = made.run(OURS, *(self.env[n] for n in made.uses))
        self.ancestors[made.makes] = set(made.uses).union(*(self.ancestors[n] for n in made.uses))
        return made

    def name(self) -> str:
        """A name that is new."""
        self.count += 1
        return f"v{self.count}"

    def change(self, name: str) -> Statement:
        """Change a leaf in place."""
        text = self.pick(["+= 0.1", "*= 0.9", "-= 0.05", "[...] = 0.3"])

        def run(m: Library, x: Any) -> None:
            with m.no_grad():
                if text == "+= 0.1":
                    x += 0.1
                elif text == "*= 0.9":
                    x *= 0.9
                elif text == "-= 0.05":
                    x -= 0.05
                else:
                    x[...] = 0.3

        return Statement("", (name,), f"{name} {text}  # in place, in no_grad()", run)

    def template(self) -> Statement:
        """One of the templates."""
        text, uses, makes = self.pick(TEMPLATES), [self.variable() for _ in "abc"], self.name()
        call = CALLS[text]
        uses = [u for u, letter in zip(uses, "abc", strict=True) if _uses(text, letter)]

        def run(m: Library, *values: Any) -> Any:
            y = own(m, call(m, *values, *[None] * (3 - len(values))), values)
            return m.tanh(y) if wild else y

        wild = False
        wild = _wild(run(OURS, *(self.env[u] for u in uses)))
        shown = ", ".join(f"{k}={u}" for k, u in zip("abc", uses, strict=False))
        shown = f"{makes} = {f'm.tanh({text})' if wild else text}  # {shown}"
        return Statement(makes, tuple(uses), shown, run)

    def drawn(self) -> Statement:
        """A function of the oracle tests, near arguments that are drawn as there."""
        if self.single:  # its constants are float64
            return self.template()
        seed = self.rng.integers(2**31)
        inner = np.random.default_rng(seed)
        name, makes = self.pick(FUNCTIONS), self.name()
        integer = lambda low, high: int(inner.integers(low, high + 1))
        case = Case(name, Draw(integer, dims=3, side=3))
        uses = tuple(self.variable() for _ in case.arrays)
        symmetric = name.endswith(("cholesky", "eigvalsh", "eigh"))
        if not uses:
            return self.template()

        def run(m: Library, *values: Any) -> Any:
            args = [m.near(x, v) for x, v in zip(case.arrays, values, strict=True)]
            if symmetric:
                args = [(x + m.swapaxes(x, -1, -2)) / 2 for x in args]
            y = own(m, (case.ours if m is OURS else case.theirs)(*args), tuple(args))
            return m.tanh(y) if wild else y

        wild, empty = False, False
        try:
            y = run(OURS, *(self.env[u] for u in uses))
            wild, empty = _wild(y), y.size == 0
        except Exception as error:  # both libraries may refuse what was moved; if not, it will show
            print(f"{name} refuses {case!r}: {error}", file=sys.stderr)
            return self.template()
        if empty:
            return self.template()
        return Statement(
            makes, uses, f"{makes} = {case.code}  # near {', '.join(uses)}; {case!r}", run
        )

    def ending(self, hooked: set[str]) -> Ending:
        """Which gradients are asked for; those that depend on how a rule is put are not."""
        live = self.live()
        results = [n for n in live if n not in self.leaves] or live
        loss = {n: float(k + 1) for k, n in enumerate(self.some(results, 5))}
        below = set(loss).union(*(self.ancestors[n] for n in loss))
        # PyTorch's gradient at a result with a hook is sometimes that before it, sometimes after.
        plain = [n for n in live if n in self.leaves or n not in hooked]
        reached = [n for n in plain if n in below]
        first = self.some(reached)
        free = self.free(first)
        kinds = ["backward", "backward twice", "grad"]
        if not self.single and not (hooked - free):
            kinds += ["grad of grad"] * 5
        leaves = [n for n in self.leaves if n in live]
        if not self.single and not (hooked - set(leaves)):
            kinds += ["backward of backward", "grad of grad of grad"]
        kind = self.pick(kinds)
        second = tuple(n for n in plain if n in free and (n in self.leaves or self.chance(0.5)))
        third = tuple(leaves) if kind == "grad of grad of grad" else ()
        seeded = kind != "backward of backward" and self.chance(0.3)
        if kind.startswith("backward"):
            return Ending(kind, seeded, loss, (), (), ())
        return Ending(kind, seeded, loss, first, second if "of" in kind else (), third)

    def free(self, first: tuple[str, ...]) -> set[str]:
        """What was not made from any of these: how the others enter a gradient depends on its formula."""
        return {n for n in self.env if not self.ancestors[n] & set(first)}


def _uses(text: str, letter: str) -> bool:
    return re.search(rf"(?<![\w.\"']){letter}(?![\w\"'])", text) is not None


def _wild(y: Any) -> bool:
    values = host(y)
    return bool(values.size and not (np.abs(values) < 4).all())


# --- running -------------------------------------------------------------------------------------

Seen = dict[str, Any]  # what was seen → array or None
Push = tuple[int, str, Array]  # in a round, a leaf or result, and what is added to it
Held = dict[str, Array]  # results that are what they are here, as they are cut off their graph


def run(
    lib: Library, program: Program, push: Push | None = None, held: Held | None = None
) -> Iterator[tuple[str, Any]]:
    """All that can be seen of a program: values, gradients, and the sums that were differentiated."""

    def pushed(name: str, value: Any) -> Any:
        if push is None or push[:2] != (r, name):
            return value
        if name not in program.leaves:
            return value + lib.tensor(push[2])
        with lib.no_grad():
            value += lib.tensor(push[2])
        return value

    def strided(x: Array) -> Array:
        return np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim and program.seed[1] % 2 else x.copy()

    leaves = {n: lib.tensor(strided(x), live) for n, (x, live) in program.leaves.items()}
    for r, (statements, e, update) in enumerate(program.rounds):
        env = {n: pushed(n, x) for n, x in leaves.items()}
        for s in statements:
            y = s.run(lib, *(env[n] for n in s.uses))
            if held and s.makes in held:
                y = lib.tensor(held[s.makes])
            if s.makes:
                env[s.makes] = pushed(s.makes, y)
                yield f"{r} value {s.makes}", env[s.makes].detach()
        outs = [env[n] for n in e.loss]
        total = sum(w * y.sum() for w, y in zip(e.loss.values(), outs, strict=True))
        weights = [
            lib.like(np.full(y.shape, w), y) for w, y in zip(e.loss.values(), outs, strict=True)
        ]
        yield f"{r} sum 0", total.detach()
        if e.kind.startswith("backward"):
            yield from backward(lib, r, e, total, outs, weights, leaves)
        else:
            yield from gradients(lib, r, e, total, outs, weights, env)
        for n, v in env.items():
            if (
                v.requires_grad
                and (n in leaves or lib is OURS or v.retains_grad)
                and v.grad is not None
            ):
                yield f"{r} grad of {n}", v.grad.detach()
        for s in update:
            s.run(lib, *(env[n] for n in s.uses))
        for x in leaves.values():
            x.grad = None


def backward(
    lib: Library, r: int, e: Ending, total: Any, outs: list[Any], weights: list[Any], leaves: dict[str, Any]
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    """Gradients in the leaves: once, twice, or those of a sum of them added."""
    if e.kind == "backward of backward":
        total.backward(create_graph=True)
        found = [x.grad for x in leaves.values() if x.grad is not None]
        total = sum((k + 1) * (g * g).sum() for k, g in enumerate(found))
        yield f"{r} sum 1", total.detach()
        if total.requires_grad:
            total.backward()
        return
    for last in [True] if e.kind == "backward" else [False, True]:
        if e.seeded:
            for k, (y, w) in enumerate(zip(outs, weights, strict=True), 1):
                y.backward(1 * w, retain_graph=not last or k < len(outs))  # PyTorch may keep it
        else:
            total.backward(retain_graph=not last)


def gradients(
    lib: Library, r: int, e: Ending, total: Any, outs: list[Any], weights: list[Any], env: dict[str, Any]
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    """Gradients at places, the gradient of a sum of their squares at others, and again."""
    orders = [at for at in (e.first, e.second, e.third) if at]
    for order, places in enumerate(orders, 1):
        sources = (outs, weights) if e.seeded and order == 1 else (total, None)
        at, last = [env[n] for n in places], order == len(orders)
        found = lib.grad(sources[0], at, sources[1], create_graph=not last, allow_unused=True)
        for n, g in zip(places, found, strict=True):
            yield f"{r} gradient {order} {n}", None if g is None else g.detach()
        squares = [(k + 1) * (g * g).sum() for k, g in enumerate(found) if g is not None]
        if last or not squares:
            return
        total = sum(squares)
        yield f"{r} sum {order}", total.detach()
        if not total.requires_grad:
            return


class Outcome(NamedTuple):
    """What came of a program: "same", "refused", …, or "different" and in what."""

    kind: str
    label: str = ""
    ours: Any = None
    theirs: Any = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.label}\n  minireg {self.ours}\n  PyTorch {self.theirs}"


def seen(lib: Library, program: Program) -> tuple[Seen, Exception | None]:
    """What was seen until the end, or until an error."""
    found: Seen = {}
    try:
        for label, value in run(lib, program):
            found[label] = None if value is None else np.array(host(value))
    except Exception as error:
        return found, error
    return found, None


TOLERANCES = {  # relative; of float32 0.001
    "value": 1e-10, "sum": 1e-6, "gradient 1": 1e-8, "gradient 2": 1e-7, "gradient 3": 1e-5, "grad of": 1e-7,
}  # fmt: skip


def compared(program: Program) -> Outcome:
    """Run a program in both libraries."""
    ours, error = seen(OURS, program)
    theirs, their_error = seen(THEIRS, program)
    single = any(x.dtype == np.float32 for x, _ in program.leaves.values())
    for label in dict.fromkeys([*ours, *theirs]):
        if (error and label not in ours) or (their_error and label not in theirs):
            continue  # where it came to an end
        tolerance = 1e-3 if single else next(v for k, v in TOLERANCES.items() if k in label)
        a, b = ours.get(label), theirs.get(label)
        if not _alike(a, b, tolerance):
            return Outcome("different", label, a, b)
    changed = any("in place" in s.text for r in program.rounds for s in r.statements)
    if error and "changed in place since" in str(error) and changed:
        return Outcome("refused")  # by PyTorch, too, unless its rules do not need what was changed
    if error and their_error:
        return Outcome("both raise")
    if error:
        return Outcome("different", "minireg alone raises", repr(error), None)
    if their_error and re.search(TORCH_CANNOT, str(their_error)):
        return Outcome("PyTorch cannot")
    if their_error:
        return Outcome("different", "PyTorch alone raises", None, repr(their_error))
    return Outcome("same")


def _alike(a: Any, b: Any, rtol: float) -> bool:
    """Equal but for rounding; no gradient is one of 0."""
    if a is None or b is None:
        other = a if b is None else b
        return other is None or bool((np.abs(other) < 1e-8).all())
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    finite = np.isfinite(b)
    scale = max(np.abs(b[finite]).max(initial=0), 1.0)
    return bool((np.isfinite(a) == finite).all() and (np.abs(a - b)[finite] <= rtol * scale).all())


# --- what to make of a difference ---------------------------------------------------------------


def shortened(program: Program) -> Program:
    """The program without all that its difference does not need."""
    kind = compared(program).label.split()[-2:-1]

    def differs(candidate: Program) -> bool:
        with suppress(Exception):
            found = compared(candidate)
            return found.kind == "different" and found.label.split()[-2:-1] == kind
        return False

    def without(program: Program, r: int, gone: set[int]) -> Program | None:
        """The round without some statements and all that was made of what they made."""
        statements, e, update = program.rounds[r]
        lost, kept = set(), []
        for i, s in enumerate(statements):
            if i in gone or lost & set(s.uses):
                lost |= {s.makes} - {""}
            else:
                kept.append(s)
        loss = {n: w for n, w in e.loss.items() if n not in lost}
        places = [tuple(n for n in at if n not in lost) for at in (e.first, e.second, e.third)]
        if not loss or (e.first and not places[0]):
            return None
        new = Round(tuple(kept), Ending(e.kind, e.seeded, loss, *places), update)
        return program._replace(rounds=(*program.rounds[:r], new, *program.rounds[r + 1 :]))

    for n in range(len(program.rounds) - 1, 0, -1):
        if differs(candidate := program._replace(rounds=program.rounds[:n])):
            program = candidate
    for r in range(len(program.rounds)):
        for i in range(len(program.rounds[r].statements) - 1, -1, -1):
            candidate = without(program, r, {i}) if i < len(program.rounds[r].statements) else None
            if candidate and differs(candidate):
                program = candidate
    return program


def verdict(program: Program, outcome: Outcome) -> str:
    """Who is right about a gradient, by finite differences of the sums that it belongs to."""
    if "modified by an inplace operation" in str(outcome.theirs):
        return STRICTER if _same_without_changes(program) else "undecided"
    r, *words = outcome.label.split()
    missing = outcome.ours is None or outcome.theirs is None
    if words[0] not in ("gradient", "grad") or (words[0] == "grad" and missing):
        return "undecided"
    number, name = int(r), words[-1]
    statements, ending, _ = program.rounds[number]
    rounding = 1e-6 if all(x.dtype == np.float64 for x, _ in program.leaves.values()) else 1e-3
    exact = {n: (x.astype(np.float64), live) for n, (x, live) in program.leaves.items()}
    program = program._replace(leaves=exact)
    if any("hook" in s.text or ("in place" in s.text and name in s.uses) for s in statements):
        return "undecided: hooks or changes in place"
    if words[0] == "gradient":
        sums = [int(words[1]) - 1]
    else:
        sums = {"backward twice": [0, 0], "backward of backward": [0, 1]}.get(ending.kind, [0])

    cut = [s.makes for s in statements if "no_grad()" in s.text or "detach()" in s.text]
    values = seen(OURS, program)[0]
    held = {n: values[f"{r} value {n}"] for n in cut if n}

    def total(step: Array) -> float:
        found = dict(run(OURS, program, (number, name, step), held))
        return sum(float(found[f"{r} sum {k}"].numpy()) for k in sums)

    known = outcome.theirs if outcome.ours is None else outcome.ours
    rng, votes = np.random.default_rng(0), set()
    for _ in range(3):
        along, h = rng.normal(size=known.shape), 2e-5
        here, ahead, behind = (total(step * along) for step in (0.0, h, -h))
        slope, sides = (ahead - behind) / (2 * h), ((here - behind) / h, (ahead - here) / h)
        coarse = (total(5 * h * along) - total(-5 * h * along)) / (10 * h)
        noise = 3 * abs(coarse - slope) + rounding * max(1.0, abs(slope))
        found = [
            0.0 if g is None else float((g * along).sum()) for g in (outcome.ours, outcome.theirs)
        ]
        bent = abs(sides[1] - sides[0]) > 1e-3 * max(1.0, abs(slope))
        if bent and all(min(sides) - noise <= g <= max(sides) + noise for g in found):
            return TIE
        votes.add(tuple(abs(g - slope) <= noise for g in found))
    if any(not ours for ours, _ in votes):
        return "minireg is wrong" if all(theirs for _, theirs in votes) else "undecided"
    return "undecided" if votes == {(True, True)} else TORCH_IS_WRONG


def _same_without_changes(program: Program) -> bool:
    """Whether the program without changes in place has the gradients that it has with them."""
    rounds = [
        r._replace(statements=tuple(s for s in r.statements if "in place" not in s.text))
        for r in program.rounds
    ]
    still = program._replace(rounds=tuple(rounds))
    ours, calm = seen(OURS, program)[0], seen(OURS, still)[0]
    return compared(still).kind == "same" and all(
        label in calm and _alike(ours[label], calm[label], 1e-12) for label in ours
    )


def fuzz(seed: int, programs: range) -> Iterator[tuple[Program, Outcome, str]]:
    """Every program with what came of it; and of a difference, who is wrong."""
    for k in programs:
        try:
            program = Maker((seed, k)).program()
        except Exception as error:
            bare = Program((seed, k), {}, ())
            yield bare, Outcome("different", f"minireg raises: {error!r}"), "minireg is wrong"
            continue
        outcome, who = compared(program), ""
        if outcome.kind == "different":
            program = shortened(program)
            outcome = compared(program)
            who = verdict(program, outcome)
        yield program, outcome, who


def main() -> int:
    """Run programs, print what differs, and return 1 unless PyTorch was wrong each time."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first program")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    statements, unexplained, start = 0, 0, time.monotonic()
    for n, (program, outcome, who) in enumerate(
        fuzz(asked.seed, range(asked.first, asked.first + asked.programs)), 1
    ):
        counts[who or outcome.kind] += 1
        unexplained += who not in EXPLAINED
        statements += sum(len(r.statements) for r in program.rounds)
        if who:
            print(f"\n{program}\n{outcome}\n=> {who}", flush=True)
        if n % 500 == 0 or n == asked.programs:
            spent = time.monotonic() - start
            print(
                f"{n:,} programs, {statements:,} statements, {spent:.0f} s: {dict(counts)}",
                flush=True,
            )
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
