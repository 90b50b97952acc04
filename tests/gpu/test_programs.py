"""The device under scenes and random programs: every array ends as it does on the host.

A program is a list of actions on a small model. Two worlds run it, one on each backend, and after
each action they are compared: the values of all that can be seen, which of it shares memory, and
what was raised.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.array_utils import byte_bounds
from support import strict
from support.arrays import draw
from support.optimizers import make

import minireg as mr
from minireg import nn, optim
from minireg.nn import functional as F  # noqa: N812
from minireg.penalties import L1, L2, ElasticNet

LABELS = [
    "SGD",
    "nesterov",
    "dampening",
    "Adam, decay",
    "AdamW, amsgrad",
    "RMSprop, centered",
    "FISTA",
]
SHAPES = {
    "s": (),
    "one": (1,),
    "odd": (7,),
    "pair": (7,),
    "square": (5, 5),
    "other": (5, 5),
    "row": (1, 5),
}
NARROW = {"fs": (), "f": (3,), "fw": (3, 5), "fb": (3,)}  # of float32
HOMES = "numpy", "strict"
TOLERANCE = {"float64": (1e-7, 1e-9), "float32": (1e-3, 1e-4), "int64": (0, 0)}
PENALTIES = [L1(0.05), L2(0.1), ElasticNet(0.02, 0.03)]


class Model(nn.Module):
    """Layers, one of which lends its weight to another, and parameters of all sorts."""

    def __init__(self) -> None:
        self.first = nn.Linear(5, 3, dtype=np.float64)
        self.norm = nn.BatchNorm(3, dtype=np.float64)
        self.last = nn.Linear(3, 5, dtype=np.float64)
        self.layer = nn.LayerNorm(5, dtype=np.float64)
        self.again = nn.Linear(5, 3, dtype=np.float64)
        self.again.weight = self.first.weight
        for k, (name, shape) in enumerate((SHAPES | NARROW).items()):
            dtype = np.float32 if name in NARROW else np.float64
            kind = "bias" if len(shape) < 2 else "weight"
            setattr(self, name, nn.Parameter(draw(*shape, seed=k).astype(dtype), kind=kind))

    def forward(self, x: Any) -> Any:
        return self.again(self.layer(self.last(mr.tanh(self.norm(self.first(x))))))


LOSSES: list[Callable[[Model, Any], Any]] = [
    lambda m, x: (m(x) ** 2).mean(),
    lambda m, x: F.linear(F.linear(x, m.square), m.square, m.square[0]).sum(),
    lambda m, x: F.linear(m.square, m.square).sum() + m.other.sum(),
    lambda m, x: (m.square.T @ m.other + m.other).sum(),
    lambda m, x: (m.odd + m.odd).sum() * m.s,
    lambda m, x: m.s,
    lambda m, x: m.one + m.s,
    lambda m, x: (m.odd.reshape(7, 1) * m.pair).sum() + m.odd[1:4].sum(),
    lambda m, x: mr.concatenate([m.odd, m.pair * m.one]).sum() + (m.row + m.square).T[1:].sum(),
    lambda m, x: F.linear(x.astype("float32"), m.fw, m.fb).sum() * m.fs,
    lambda m, x: F.linear(x, m.fw, m.f).sum() + (m.f * m.s).sum(),
    lambda m, x: F.linear(x, m.first.weight, m.fb).sum() + F.linear(x[0], m.square).sum(),
    lambda m, x: (m.first.weight.reshape(5, 3) * m.last.weight).sum() + (x * m.row).sum(),
    lambda m, x: (F.layer_norm(m.square, (5,), m.other[0], m.layer.bias) ** 3).sum(),
    lambda m, x: mr.broadcast_to(m.one, (7,)).sum() + m.pair.sum(),
    lambda m, x: F.linear(x, m.square, m.one).sum() + F.linear(x, m.other, m.s).sum(),
    lambda m, x: F.linear(x, m.square, m.row).sum() + F.layer_norm(x, (5,), m.one, m.s).sum(),
    lambda m, x: F.linear(m.square.reshape(5, 5), m.other.T).sum() + m.last(m.f.astype("float64")).sum(),
]  # fmt: skip


class World:
    """A model and its optimizers, what is held of them, and what the actions do to it."""

    def __init__(self, home: str, label: str) -> None:
        mr.manual_seed(0)
        self.home, self.label = home, label
        self.model = Model().to(home)
        self.x = self.tensor(draw(4, 5, seed=99))
        self.parameters = [*self.model.parameters()]
        self.optimizers = [make(label, [*self.parameters])]
        self.held: list[Any] = []
        self.kept: list[Any] = []  # losses whose graphs still stand
        self.removers: list[Any] = []
        self.books: Any = None
        self.terms: Any = None  # of the last objective

    def tensor(self, array: np.ndarray) -> mr.Tensor:
        return mr.tensor(array, backend=self.home)

    def p(self, k: int) -> Any:
        return self.parameters[k % len(self.parameters)]

    def alike(self, k: int, j: int) -> Any:
        """Parameter j, counted among those of the shape and dtype of parameter k."""
        p = self.p(k)
        some = [q for q in self.parameters if (q.shape, q.dtype) == (p.shape, p.dtype)]
        return some[j % len(some)]

    def hold(self, x: Any) -> None:
        if x is not None:
            self.held.append(x)

    def loss(self, k: int, seed: int) -> Any:
        return LOSSES[k % len(LOSSES)](self.model, self.x * (1 + seed))

    def fresh(self, p: Any, seed: int) -> Any:
        return self.tensor(draw(*p.shape, seed=seed).astype(p.dtype))

    def norm(self, max_norm: float | None) -> float | None:
        """None where parameters have one gradient: which of them a step scales first is not said."""
        arrays = [p.grad.data for p in self.parameters if p.grad is not None]
        hosts = [byte_bounds(np.asarray(getattr(a, "_host", a))) for a in arrays]
        return max_norm if len({*hosts}) == len(hosts) else None

    # what can be seen

    def arrays(self) -> dict[str, Any]:
        """Every array by a name."""
        found: dict[str, Any] = {}
        for k, p in enumerate(self.parameters):
            found[f"p{k}"] = p.data
            if p.grad is not None:
                found[f"g{k}"] = p.grad.data
            for i, optimizer in enumerate(self.optimizers):
                for name, value in optimizer.state.get(p, {}).items():
                    found[f"{name}{k} of {i}"] = value
        held = (a.data if isinstance(a, mr.Tensor) else a for a in self.held)
        found |= {f"held {k}": a for k, a in enumerate(held)}
        found |= {name: t.data for name, t in self.model.named_buffers()}
        return found

    def seen(self) -> dict[str, Any]:
        """The values of all arrays, and which of them share memory."""
        hosts = {n: np.asarray(getattr(a, "_host", a)) for n, a in self.arrays().items()}
        spans = np.array([byte_bounds(a) for a in hosts.values()])
        shared = (spans[:, :1] < spans[:, 1]) & (spans[:, 1:] > spans[:, :1].T)
        values = {n: a.copy() for n, a in hosts.items()}
        return values | {"shared": np.argwhere(np.triu(shared, 1)).tolist()}


# --- actions ---------------------------------------------------------------------------------------

ACTIONS: dict[str, Callable[..., Any]] = {}


def action(f: Callable[..., Any]) -> Callable[..., Any]:
    ACTIONS[f.__name__] = f
    return f


@action
def backward(w: World, k: int, how: int) -> None:
    loss = w.loss(k, how)
    if loss.size == 1 and how % 5 == 1:
        loss.backward(retain_graph=True)
    loss.backward(np.ones(loss.shape), create_graph=how % 5 == 2)


@action
def train(w: World, k: int, how: int) -> None:
    """What training does, which most programs are to contain."""
    if how % 2:
        w.optimizers[0].zero_grad()
    w.loss(0, how).backward()
    w.loss(k, how).backward()
    w.optimizers[0].step(w.terms, max_norm=w.norm(0.1 if how % 3 == 2 else None))


@action
def from_a_gradient(w: World, k: int, j: int) -> None:
    """A gradient that somebody has is the seed of a pass."""
    p, q = w.p(k), w.alike(k, j)
    if p.requires_grad and q.grad is not None:
        (p if j % 2 else p * 1.0).backward(q.grad if j % 3 else q.grad.data)


@action
def keep_a_loss(w: World, k: int, how: int) -> None:
    w.kept.append(w.loss(k, how))


@action
def go_back(w: World, k: int, how: int) -> None:
    """From a loss of earlier, whose parameters may have moved on since."""
    if w.kept:
        loss = w.kept[k % len(w.kept)]
        loss.backward(np.ones(loss.shape), retain_graph=how % 2 == 0)


@action
def grad(w: World, k: int, how: int) -> None:
    found = mr.grad(
        w.loss(k, how).sum(), w.parameters, create_graph=how % 2 == 1, allow_unused=True
    )
    w.held += [g.data for g in found if g is not None][:3]
    w.parameters[how % 5].grad = found[how % 5]


@action
def zero_grad(w: World, k: int, how: int) -> None:
    if how % 3 == 0:
        w.p(k).grad = None
    else:
        [w.optimizers[k % len(w.optimizers)], w.model][how % 3 - 1].zero_grad()


@action
def step(w: World, k: int, how: int) -> None:
    w.optimizers[k % len(w.optimizers)].step(w.terms, max_norm=w.norm([None, 0.1, 1e9][how % 3]))


@action
def clip(w: World, k: int, how: int) -> None:
    some = w.parameters[k % 7 :: 1 + k % 3]
    if how % 3 == 0:
        optim.clip_grad_value_(some, 0.1)
    else:
        w.hold(optim.clip_grad_norm_(some, 0.1, [2.0, np.inf, 1.0][how // 3 % 3]))


@action
def set_gradient(w: World, k: int, how: int) -> None:
    p, q = w.p(k), w.alike(k, how)
    g = w.fresh(p, how)
    if how % 5 == 1:
        g = q.grad
    elif how % 5 == 2 and q.grad is not None:
        g = mr.tensor(q.grad.data[...])
    elif how % 5 == 3 and q.grad is not None and q.ndim == 2:
        g = mr.tensor(q.grad.data.T.copy().T)
    elif how % 5 == 4:
        g = g.astype([np.float64, np.float32][how % 2])
    p.grad = g
    w.hold(g)


@action
def change_gradient(w: World, k: int, how: int) -> None:
    if (g := w.p(k).grad) is not None:
        g.data[...] = g.data * 0.5


@action
def set_data(w: World, k: int, how: int) -> None:
    p, q = w.p(k), w.alike(k, how)
    if how % 5 == 0:
        p.data = w.fresh(p, how).data
    elif how % 5 == 1:
        p.data, q.data = q.data, p.data
    elif how % 5 == 2:
        p.data = q.data[...]
    elif how % 5 == 3:
        p.data = p.data.T.copy().T
    else:
        w.hold(p.data)
        p.data = np.multiply(p.data, 0.5, out=np.empty_like(p.data))


@action
def assign(w: World, k: int, how: int) -> None:
    w.p(k).assign(w.fresh(w.p(k), how) if how % 2 else 0.25)


@action
def freeze(w: World, k: int, how: int) -> None:
    w.p(k).requires_grad_(not w.p(k).requires_grad or how % 3 == 0)


def _fail(g: Any) -> None:
    raise ZeroDivisionError


@action
def hook(w: World, k: int, how: int) -> None:
    p = w.p(k)
    hooks = [lambda g: w.hold(g), lambda g: g * 2, lambda g: g, lambda g: p.grad, _fail,
             lambda g: w.held.append(g.data[...])]  # fmt: skip
    if how % 2 and w.removers:
        w.removers.pop()()
    elif p.requires_grad:
        w.removers.append(p.register_hook(hooks[how // 2 % len(hooks)]))


@action
def hook_within(w: World, k: int, how: int) -> None:
    """A hook in the middle of the graph: it keeps, goes back itself, registers another, or fails."""
    p, q, inner = w.p(k), w.p(how), w.loss(how, 1).sum()
    if not (p.requires_grad and q.requires_grad):
        return
    y = p * 1.0
    hooks = [
        w.hold, _fail, lambda g: inner.backward(retain_graph=True),
        lambda g: w.removers.append(q.register_hook(w.hold)),
        lambda g: w.optimizers[0].zero_grad(),
    ]  # fmt: skip
    y.register_hook(hooks[how // len(LOSSES) % len(hooks)])
    (w.loss(k, 0).sum() + (y * y).sum() + w.loss(how, 2).sum()).backward()


@action
def hold(w: World, k: int, how: int) -> None:
    p = w.p(k)
    states = w.optimizers[0].state.get(p, {})
    some = [p.data, p.data.reshape(-1)[1:], p.data.T, p.detach()]
    some += [a for name, a in states.items() if name != "step"]
    if (g := p.grad) is not None:
        some += [g, g.data, g.data[...], g.data.reshape(-1)[:2]]
    w.hold(some[how % len(some)])


@action
def let_go(w: World, k: int, how: int) -> None:
    del w.held[how % 3 :: 2]
    del w.kept[how % 2 :]


@action
def states(w: World, k: int, how: int) -> None:
    optimizer, p, q = w.optimizers[k % len(w.optimizers)], w.p(k), w.alike(k, how)
    if how % 5 == 0:
        optimizer.state.clear()
    elif how % 5 == 1:
        w.hold(optimizer.state.pop(p, {}).get(optimizer.buffer))
    elif how % 5 == 2:
        optimizer.load_state_dict(optimizer.state_dict())
    elif how % 5 == 3:
        state = optimizer.state_dict()
        w.loss(how, 0).sum().backward()
        optimizer.step(w.terms)
        optimizer.load_state_dict(copy.deepcopy(state))
    elif {p, q} <= optimizer.state.keys():
        optimizer.state[p], optimizer.state[q] = optimizer.state[q], optimizer.state[p]


@action
def load(w: World, k: int, how: int) -> None:
    state = w.model.state_dict()
    w.held += [*state.values()][k % 5 : k % 5 + 2]
    w.loss(how, 0).sum().backward()
    w.optimizers[0].step(w.terms)
    w.model.load_state_dict(state)


@action
def copy_the_model(w: World, k: int, how: int) -> None:
    other = copy.deepcopy(w.model)
    (LOSSES[k % len(LOSSES)](other, w.x) + LOSSES[0](other, w.x)).sum().backward()
    for p, q in list(zip(other.parameters(), w.model.parameters(), strict=False))[how % 4 :: 4]:
        w.held += [p.data, *([] if p.grad is None else [p.grad.data])]
        q.grad = p.grad


@action
def another_optimizer(w: World, k: int, how: int) -> None:
    if len(w.optimizers) < 3:
        w.optimizers.append(
            make(["SGD", "nesterov", "Adam, decay"][how % 3], w.parameters[k % 9 :: 1 + how % 2])
        )


@action
def add_group(w: World, k: int, how: int) -> None:
    if len(w.parameters) < 25:
        shapes = [(7,), (5, 5), (3,), (1, 5)]
        late = [mr.tensor(draw(*s, seed=k), None, True, w.home) for s in shapes]
        if how % 3 == 0:
            w.hold([late[0].data, late[1].data.T, late[1].detach()][k % 3])
        w.parameters += late
        w.optimizers[0].add_param_group({"params": late, "lr": 0.3})
        if how % 2:
            w.optimizers.append(make("Adam, decay", late))


@action
def groups(w: World, k: int, how: int) -> None:
    w.optimizers[0].param_groups[0]["lr"] = 0.01 * (1 + how % 3)


@action
def prox(w: World, k: int, how: int) -> None:
    w.optimizers[0].add_prox(w.parameters[k % 7 :: 2], PENALTIES[how % 3])


@action
def ledger(w: World, k: int, how: int) -> None:
    if w.books is None:
        w.books = mr.Ledger(w.optimizers[0])
    else:
        w.books.close()
        w.books = None


@action
def objective(w: World, k: int, how: int) -> None:
    terms = {
        "l2": L2(0.1),
        "net": (ElasticNet(0.01, 0.02), "sq*"),
        "l1": (L1(0.05), ["f[wb]", "*.bias"]),
    }
    if not all(any(t.requires_grad for t in w.parameters[i::2]) for i in range(2)):
        return
    found = mr.Objective(nn.MSELoss(), dict([*terms.items()][: how % 4]))(
        w.model, w.x, w.tensor(draw(4, 3, seed=k))
    )
    attribute = how // 4 % 2 == 1
    found.backward(attribute, defer=not attribute and how // 8 % 3 != 0)
    w.terms = found
    if attribute and how % 4:
        w.held += [g.data for g in found.gradients["l2"].values()][:2]


@action
def convert(w: World, k: int, how: int) -> None:
    [w.model.first, w.model.layer, w.model.norm][k % 3].to([np.float32, np.float64][how % 2])


# --- running ----------------------------------------------------------------------------------------


def run(program: list[Any], home: str, label: str) -> list[Any]:
    """What could be seen after each action."""
    with np.errstate(all="ignore"):
        w, found = World(home, label), []
        for name, k, how in program:
            try:
                raised = ACTIONS[name](w, k, how)
            except Exception as error:
                raised = type(error)
            found.append({"raised": raised} | w.seen())
        if w.books is not None:
            w.books.close()
    return found


def check(program: list[Any], label: str) -> None:
    for done, host, device in zip(program, *(run(program, h, label) for h in HOMES), strict=True):
        assert host.keys() == device.keys(), done
        for name, a in host.items():
            b = device[name]
            if isinstance(a, np.ndarray):
                np.testing.assert_allclose(
                    b, a, *TOLERANCE[a.dtype.name], err_msg=f"{done}: {name}"
                )
                assert b.dtype == a.dtype
            else:
                assert a == b, (done, name)


@pytest.fixture(autouse=True, scope="module")
def _registered():
    with strict.running():
        yield


NUMBER = st.integers(0, 99)
ACTION = st.sampled_from([*ACTIONS, *["train", "backward", "step"] * 3])
PROGRAMS = st.lists(st.tuples(ACTION, NUMBER, NUMBER), min_size=4, max_size=14)


@pytest.mark.slow
@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=[*HealthCheck])
@given(PROGRAMS, st.sampled_from(LABELS))
def test_a_program_ends_on_the_device_where_it_ends_on_the_host(program, label):
    check(program, label)


NOTICED = {
    "a hook that is registered while the gradient waits for it": [("hook_within", 1, 54)],
    "a bias that is broadcast": [("backward", 16, 0), ("backward", 17, 0)],
    "a gradient of another dtype": [("set_gradient", 8, 4), ("backward", 10, 0)],
}  # fmt: skip


@pytest.mark.parametrize("what", NOTICED)
def test_programs_that_once_failed(what):
    check(NOTICED[what], "SGD")


def test_every_action_does_something():
    """Run once with arguments that lead nowhere special, none of them fails."""
    for name in ACTIONS:
        *_, last = run([("train", 0, 1), ("keep_a_loss", 1, 0), (name, 1, 0)], "numpy", "nesterov")
        assert last["raised"] is None, name
