"""Kernels made from NumPy code: the C they contain is compiled, run and held to the formulas.

The stand-in of ``strict.py`` compiles a kernel's body for the host and runs it on the addresses in
its arguments or its table, as the device would; where NVRTC is installed it compiles every source
for a GPU, too.
"""

import copy
import itertools
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw
from support.cuda_compiler import compile_cuda
from support.few import slow_unless
from support.gpu import agree, on_gpu
from support.optimizers import OPTIMIZERS, PENALTIES, make
from support.strict import count_launches, count_syncs, xp
from support.updates import formula, prox_length

import minireg as mr
from minireg import backend, nn, optim
from minireg.gpu import trace as kernels
from minireg.gpu.step import recorded
from minireg.gpu.trace import Scalar, Symbol, run_on_rows, trace
from minireg.penalties import (
    L0,
    L1,
    L2,
    MCP,
    SCAD,
    Box,
    Coefficient,
    ElasticNet,
    GroupLasso,
    LogSum,
)

DTYPES = {"float64": 1e-12, "float32": 1e-5}


@pytest.fixture(autouse=True)
def _registered():
    with strict.running():
        yield


def on_device(*arrays: np.ndarray) -> list[Any]:
    return [xp.asarray(a) for a in arrays]


# --- the language --------------------------------------------------------------------------------

SPECIAL = np.array([math.nan, -math.inf, -2.5, -1.0, -0.0, 0.0, 0.3, 1.0, 4.0, math.inf])
INEXACT = {np.exp, np.expm1, np.log, np.log1p, np.tanh, np.power}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", kernels.C, ids=lambda f: f.__name__)
def test_every_entry_of_the_table_does_what_numpy_does(function, dtype):
    """At NaN, both infinities and both zeros as well."""
    given = [a.ravel().astype(dtype) for a in np.meshgrid(*[SPECIAL] * getattr(function, "nin", 2))]
    if function is np.where:
        given.insert(0, given[0] > given[1])
        given[0] = given[0].astype(dtype)
    names = ["y", *"abc"[: len(given)]]

    def assign(y: Any, *args: Any) -> None:
        y[...] = function(args[0] != 0, *args[1:]) if function is np.where else function(*args)

    expected = np.zeros_like(given[0])
    with np.errstate(all="ignore"):
        assign(expected, *given)
    y, *arrays = on_device(np.zeros_like(expected), *given)
    trace("entry", dtype, names, assign).launch(backend.of(y), [[y, *arrays]])
    if function in INEXACT:
        np.testing.assert_allclose(y.get(), expected, rtol=1e-6 if dtype == "float32" else 1e-14)
    else:
        np.testing.assert_array_equal(y.get(), expected)


# label: what becomes of x, given y
VALUES = {
    "clip": lambda x, y: np.clip(x, -0.5, 0.25), "square": lambda x, y: np.square(x) - y**2,
    "power": lambda x, y: np.abs(x) ** 0.5 + 2.5**y, "constant": lambda x, y: np.where(x > 0, 0.25, 0.25),
    "zeros_like": lambda x, y: np.where(y > 0, x, np.zeros_like(x)),
    "reflected": lambda x, y: 2 - x + 1 / (2 + abs(y)) - (-y),
    "used twice": lambda x, y: (x - y) * (x - y) + np.sqrt(np.exp(x - y)),
    "logic": lambda x, y: np.where(np.logical_and(x < y, np.logical_not(y > 1)), x, 3),
}  # fmt: skip


def operators(x: Any, y: Any) -> None:
    x *= y
    x += x
    x -= 0.5


def out(x: Any, y: Any) -> None:
    np.multiply(x, y, out=x)
    np.add(x, y, out=x)


def the_old_value_is_kept(x: Any, y: Any) -> None:
    product = x * y
    np.subtract(y, x, out=x)
    x += product


def an_alias_sees_it(x: Any, y: Any) -> None:
    same = x
    same *= y
    x += 1


def swap(x: Any, y: Any) -> None:
    a, b = x * 1, y * 1
    x[...] = b
    y[...] = a


PHRASES = {f.__name__: f for f in (operators, out, the_old_value_is_kept, an_alias_sees_it, swap)}
PHRASES |= {n: lambda x, y, f=f: x.__setitem__(..., f(x, y)) for n, f in VALUES.items()}


@pytest.mark.parametrize("phrase", PHRASES)
def test_what_is_recorded_is_what_numpy_does(phrase):
    x, y = draw(5000), draw(5000, seed=1)
    a, b = on_device(x, y)
    trace("phrase", "float64", ["x", "y"], PHRASES[phrase]).launch(backend.of(a), [[a, b]])
    PHRASES[phrase](x, y)
    np.testing.assert_allclose(a.get(), x, rtol=1e-14)
    np.testing.assert_array_equal(b.get(), y)


# label: what one element cannot know
BEYOND = {
    "sum": lambda x: x.sum(), "np.sum": lambda x: np.sum(x), "shape": lambda x: x.shape,
    "if": lambda x: 1 if x > 0 else 0, "float": lambda x: float(x), "item": lambda x: x[0],
    "set": lambda x: x.__setitem__(0, 1.0), "matmul": lambda x: x @ x, "reduce": lambda x: np.add.reduce(x),
    "an array": lambda x: x + np.ones(3), "unknown": lambda x: np.arctan2(x, x), "sort": lambda x: np.sort(x),
    "option": lambda x: np.add(x, 1, dtype=np.float32), "clip method": lambda x: x.clip(0, 1),
    "where with one": lambda x: np.where(x),
}  # fmt: skip


@pytest.mark.parametrize("what", BEYOND)
def test_what_one_element_cannot_know_is_refused(what):
    with pytest.raises(kernels.UNTRACEABLE):
        trace("beyond", "float32", ["x"], BEYOND[what])


def test_scratch_must_be_written_before_it_is_read():
    with pytest.raises(TypeError, match="scratch array is read before it is written"):
        trace("scratch", "float32", ["x"], lambda x, t: np.add(x, t, out=x), scratch=1)


def test_numbers_remember_how_they_came_about():
    beta, step = Scalar(0.9, "beta"), Scalar(3, "step")
    numbers = {
        "1 - beta": 1 - 0.9, "beta ** step": 0.9**3, "1 - (beta ** step)": 1 - 0.9**3,
        "-beta": -0.9, "(2 / beta) ** -0.5": (2 / 0.9) ** -0.5, "(beta + 1) * step": 1.9 * 3,
    }  # fmt: skip
    found = [1 - beta, beta**step, 1 - beta**step, -beta, (2 / beta) ** -0.5, (beta + 1) * step]
    assert {x.text: float(x) for x in found} == numbers
    assert isinstance(beta * Symbol(kernels.Tape(), "x"), Symbol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lists_of_any_sizes_go_in_one_launch(dtype):
    """Stretches end where arrays end; what lies behind an array's end is left alone."""
    sizes = [0, 1, 4095, 4096, 4097, 3 * 4096 + 5]
    hosts = [draw(n + 1, seed=n).astype(dtype) for n in sizes]
    arrays = on_device(*hosts)
    rows = [[a[:-1]] for a in arrays]
    with count_launches() as launches:
        run_on_rows("double", ["x"], lambda x: np.multiply(x, 2, out=x), rows)
    assert launches["double"] == 1
    for array, before in zip(arrays, hosts, strict=True):
        np.testing.assert_array_equal(array.get()[:-1], 2 * before[:-1])
        assert array.get()[-1] == before[-1]


def test_lists_of_any_kind_are_sorted_out():
    """Two dtypes, a gap and the host: what no kernel can take is done one by one."""
    hosts = [draw(5, seed=k) for k in range(5)]
    a, b, c, d = on_device(*hosts[:4])
    rows = [[a], [b.astype(np.float32)], [c[::2]], [d], [hosts[4]]]
    before = [np.array(backend.of(x).to_numpy(x)) for (x,) in rows]
    with count_launches() as launches:
        run_on_rows("halve", ["x"], lambda x: np.multiply(x, 0.5, out=x), rows)
    assert (launches["halve"], launches["multiply"]) == (2, 1)
    for (x,), old in zip(rows, before, strict=True):
        np.testing.assert_array_equal(backend.of(x).to_numpy(x), old / 2)


def test_what_has_no_kernel_is_done_one_by_one():
    x = xp.asarray(draw(4))
    run_on_rows("normalize", ["x"], lambda x: np.divide(x, x.sum(), out=x), [[x]])
    np.testing.assert_allclose(x.get(), draw(4) / draw(4).sum())


# --- penalties -----------------------------------------------------------------------------------

PROX = {
    **PENALTIES, "L0": L0(0.02), "Box": Box(-0.5, 0.3), "Box, one side": Box(0, np.inf),
    "MCP": MCP(0.5), "MCP, hard": MCP(0.5, gamma=0.2), "SCAD": SCAD(0.5), "LogSum": LogSum(0.3, 0.2),
    "SCAD, bent": SCAD(0.5, a=1.2),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("penalty", PROX)
@pytest.mark.parametrize("what", ["gradient", "prox", "prox, elementwise"])
def test_a_penalty_says_it_in_c(penalty, what, dtype):
    omega, w = PROX[penalty], np.append(draw(99), 0).astype(dtype)
    steps = np.abs(draw(100, seed=1)).astype(dtype)
    functions = {
        "gradient": lambda w, t: omega.gradient(w), "prox": lambda w, t: omega.prox(w, 0.3),
        "prox, elementwise": lambda w, t: omega.prox(w, t),
    }  # fmt: skip
    a, t = on_device(w, steps)

    def assign(w: Any, t: Any) -> None:
        w[...] = functions[what](w, t)

    trace("penalty", dtype, ["w", "t"], assign).launch(backend.of(a), [[a, t]])
    expected = functions[what](w, steps)
    assert a.dtype == expected.dtype
    np.testing.assert_allclose(a.get(), expected, rtol=1e-6 if dtype == "float32" else 1e-14)
    np.testing.assert_array_equal(a.get() == 0, expected == 0)


# --- the update ----------------------------------------------------------------------------------

WAYS = {
    "no penalty": (None, None), "L2 gradient": (L2(0.1), None), "L1 gradient": (L1(0.1), None),
    "ElasticNet gradient": (ElasticNet(0.1, 0.2), None), "L2 prox": (None, L2(0.1)),
    "L1 prox": (None, L1(0.1)), "ElasticNet prox": (None, ElasticNet(0.1, 0.2)),
    "L0 prox": (None, L0(0.01)), "Box prox": (None, Box(-0.5, np.inf)),
}  # fmt: skip
SIZES = [(3, 4), (41,), ()]


LAUNCHED = [n for n in OPTIMIZERS if n not in ("FISTA", "FISTA, L1")]


THIRD = (*WAYS,)[::3]


@pytest.mark.parametrize(
    ("way", "dtype"),
    slow_unless(
        lambda way, dtype: dtype == "float64" and way in THIRD,
        [*((way, "float64") for way in WAYS), *((way, "float32") for way in THIRD)],
    ),
)
@pytest.mark.parametrize(
    ("label", "upwards"),
    [*((n, {}) for n in LAUNCHED), ("nesterov", {"maximize": True}), ("Adam, decay", {"maximize": True})],
    ids=lambda v: v if isinstance(v, str) else "up" * bool(v),
)  # fmt: skip
def test_the_kernel_is_the_formula(label, upwards, way, dtype):
    """50 steps, the rate falling: the kernel against ``formula``, then ``prox``, of each."""
    pull, penalty = WAYS[way]
    hosts = [draw(*shape, seed=k).astype(dtype) for k, shape in enumerate(SIZES)]
    params = [mr.Tensor(a, requires_grad=True) for a in on_device(*hosts)]
    optimizer, states = make(label, params, **upwards), [{} for _ in params]
    if penalty is not None:
        optimizer.add_prox(params, penalty)
    group = optimizer.param_groups[0]
    with count_syncs() as syncs:
        for t in range(1, 51):
            group["lr"] = 0.1 / t
            for k, (p, host) in enumerate(zip(params, hosts, strict=True)):
                g = draw(*p.shape, seed=10 * t + k).astype(dtype)
                if pull is not None:
                    g = g + pull.gradient(host)
                p.grad = mr.Tensor(xp.asarray(g))
                host = formula(optimizer, host, g, states[k], group)
                if penalty is not None:
                    host = penalty.prox(host, prox_length(optimizer, states[k], group, t))
                hosts[k] = np.asarray(host, dtype)
            with count_launches() as launches:
                optimizer.step()
            assert launches[type(optimizer).__name__] == 1
            if t > 1 and (penalty is None or label != "SGLD, cold"):
                assert sum(launches.values()) <= 2  # with the table, where gradients moved
    assert not syncs
    for p, host, state in zip(params, hosts, states, strict=True):
        assert p.dtype == dtype
        np.testing.assert_allclose(p.numpy(), host, rtol=DTYPES[dtype], atol=DTYPES[dtype])
        for name, value in state.items():
            if name != "step":
                ours = optimizer.state[p][name].get()
                np.testing.assert_allclose(ours, value, rtol=DTYPES[dtype], atol=DTYPES[dtype])


def passes(label: str, home: str) -> list[Any]:
    """20 steps on a backend: the parameter and its states."""
    p = mr.tensor(draw(5000), requires_grad=True, backend=home)
    optimizer = make(label, [p])
    optimizer.add_prox([p], ElasticNet(0.01, 0.02))
    steps(optimizer, [p], range(20))
    return [p.data, *(v for k, v in optimizer.state[p].items() if backend.is_array(v))]


@pytest.mark.parametrize("label", LAUNCHED)
def test_the_kernel_is_the_passes_to_the_last_bit(label):
    """Without fused multiply-adds: what is recorded is the in-place update itself."""
    for a, b in zip(passes(label, "numpy"), passes(label, "strict"), strict=True):
        np.testing.assert_array_equal(a, b.get())


@on_gpu
@pytest.mark.parametrize("label", LAUNCHED)
def test_on_a_device_the_kernel_is_the_passes(label):
    agree(lambda home: passes(label, home), 1e-10)


@pytest.mark.parametrize(
    ("label", "kernels_made"), [("AdamW", 1), ("dampening", 2), ("RMSprop, centered", 1)]
)
def test_a_schedule_does_not_compile_anew(label, kernels_made):
    """Rates, corrections and strengths are arguments; dampening spares the first step only."""
    kernels._compiled.cache_clear()
    strength = Coefficient(lambda t: 0.1 / (1 + t))
    p = mr.tensor(draw(9), requires_grad=True, backend="strict")
    optimizer = make(label, [p])
    optimizer.add_prox([p], L1(strength))
    for t in range(20):
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + t)
        steps(optimizer, [p], [t])
        strength.step()
    assert kernels._compiled.cache_info().misses == kernels_made


def test_gradients_that_stay_need_no_new_table():
    """Of two parameters that lie apart, as somebody holds their arrays."""
    params = [mr.tensor(draw(9), requires_grad=True, backend="strict") for _ in range(2)]
    held = [p.data for p in params]
    for p in params:
        p.grad = mr.tensor(draw(9), backend="strict")
    optimizer = optim.Adam(params)
    with count_launches() as launches:
        optimizer.step()
    assert len(held) == launches["copy to the device"] + launches["Adam"] == 2
    with count_launches() as launches:
        optimizer.step()
    assert launches == {"Adam": 1}


# --- penalties -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_penalties_join_the_gradient_in_one_launch(dtype):
    """All terms of all weights alike; to the last bit what the CPU adds."""
    gradients = {}
    strength = Coefficient(lambda t: 0.1 * t)
    terms = {"l2": L2(strength), "l1": L1(0.2), "net": (ElasticNet(0.3, 0.4), "2.weight")}
    for home in ("numpy", "strict"):
        mr.manual_seed(0)
        model = nn.Sequential(nn.Linear(80, 70), nn.Tanh(), nn.Linear(70, 3), nn.Linear(3, 3)).to(
            dtype
        )
        model.to(home)
        objective = mr.Objective(nn.MSELoss(), terms)
        x, y = (mr.tensor(draw(5, n), dtype, backend=home) for n in (80, 3))
        nn.MSELoss()(model(x), y).backward()
        before = [p.grad.numpy().copy() for p in model.parameters()]
        model.zero_grad()
        strength.updates = 2
        values = objective(model, x, y)
        with count_launches() as launches, count_syncs() as syncs:
            values.backward(attribute=False)
        assert not syncs
        found = {k: launches[k] for k in launches if k.startswith("L2")}
        assert found == ({"L2_L1": 1, "L2_L1_ElasticNet": 1} if home == "strict" else {})
        gradients[home] = [p.grad.numpy() for p in model.parameters()]
    for p, g, total in zip(model.parameters(), before, gradients["numpy"], strict=True):
        pulls = [L2(0.2), L1(0.2), ElasticNet(0.3, 0.4)][: 2 + (p.shape == (3, 70))]
        expected = g + sum(r.gradient(p.numpy()) for r in pulls) if p.kind == "weight" else g
        np.testing.assert_allclose(total, expected, rtol=DTYPES[dtype], atol=DTYPES[dtype])
    for total, there in zip(gradients["numpy"], gradients["strict"], strict=True):
        np.testing.assert_allclose(total, there, rtol=DTYPES[dtype], atol=DTYPES[dtype])


def test_a_penalty_of_ones_own_joins_as_it_can():
    """One that branches in Python is no kernel: arrays do."""

    class Hinge(mr.penalties.Penalty):
        separable = True

        def value(self, w):
            return np.maximum(1 - w, 0).sum()

        def gradient(self, w, out=None):
            if (w < 1).all():
                return np.multiply(np.sign(w - 1), 1.0, out=out)
            return np.where(w < 1, -1.0, 0.0)

    for seed in range(2):
        totals = []
        for home in ("numpy", "strict"):
            w = nn.Parameter(mr.tensor(draw(6, seed=seed) - (3 - 2 * seed), backend=home))
            model = nn.Module()
            model.w, model.forward = w, lambda x, w=w: (w * x).sum()
            objective = mr.Objective(lambda y, _: y, {"own": Hinge()})
            objective(model, mr.tensor(draw(6), backend=home), None).backward(attribute=False)
            totals.append(w.grad.numpy())
        np.testing.assert_array_equal(*totals)
        np.testing.assert_array_equal(totals[0], draw(6) + np.where(w.numpy() < 1, -1.0, 0.0))


# --- clipping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("home", ["numpy", "strict"])
@pytest.mark.parametrize("how", ["", "with a ledger"])
def test_clipping_within_the_step(home, how):
    """As ``clip_grad_norm_`` before the step: the parameters, and what ``.grad`` holds after it."""
    results = []
    for within in (False, True):
        params = [mr.tensor(draw(3, 2), requires_grad=True, backend=home),
                  mr.tensor(draw(5, seed=1), np.float32, True, backend=home)]  # fmt: skip
        optimizer = optim.AdamW(params, maximize=True)
        ledger = mr.Ledger(optimizer) if how else None
        for t in range(3):
            for p in params:
                p.grad = mr.tensor(draw(*p.shape, seed=t), p.dtype, backend=home)
            if not within:
                optim.clip_grad_norm_(params, 0.5)
            optimizer.step(max_norm=0.5 if within else None)
        assert ledger is None or ledger.last.residual < 1e-6
        results.append([p.numpy() for p in params] + [p.grad.numpy() for p in params])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("bad", [-1.0, math.nan, "1"])
@pytest.mark.parametrize("home", ["numpy", "strict"])
def test_a_norm_that_is_none(bad, home):
    p = mr.tensor(draw(3), requires_grad=True, backend=home)
    p.grad = mr.tensor(draw(3), backend=home)
    with pytest.raises(ValueError, match=r"SGD.step: max_norm must be in \[0, inf\], got"):
        optim.SGD([p]).step(max_norm=bad)
    np.testing.assert_array_equal(p.numpy(), draw(3))


def test_clipping_is_one_launch_after_the_norm():
    params = [mr.tensor(draw(4, seed=k), requires_grad=True, backend="strict") for k in range(6)]
    for p in params:
        p.grad = mr.tensor(draw(4), backend="strict")
    with count_launches() as launches, count_syncs() as syncs:
        optim.clip_grad_norm_(params, 0.1)
    assert launches["clip"] == 1
    assert not syncs
    assert sum(np.square(p.grad.numpy()).sum() for p in params) ** 0.5 == pytest.approx(0.1, 1e-4)


# --- arrays come and go: every way ends where it would end on the CPU -----------------------------


def steps(optimizer: optim.Optimizer, params: list[mr.Tensor], seeds: Any) -> None:
    for seed in seeds:
        for k, p in enumerate(params):
            g = draw(*p.shape, seed=100 * seed + k).astype(p.dtype)
            p.grad = mr.tensor(g, backend=p.backend) if p.requires_grad else None
        optimizer.step()


def replaced_data(home: str, params: Any, optimizer: Any) -> None:
    kept = params[0].data
    params[0].data = backend.move(draw(*params[0].shape, seed=77), home)
    steps(optimizer, params, range(2))
    params[1].data = params[1].data * 0.5
    kept[...] = math.nan  # the old array is nobody's now
    steps(optimizer, params, range(2))


def freezing(home: str, params: Any, optimizer: Any) -> None:
    params[1].requires_grad_(False)
    steps(optimizer, params, range(2))
    params[1].requires_grad_(True)  # two steps younger than the others from now on
    params[0].requires_grad_(False)
    steps(optimizer, params, range(3))
    params[0].requires_grad_(True)
    steps(optimizer, params, range(2))


def a_gradient_missing(home: str, params: Any, optimizer: Any) -> None:
    for k in (0, 1, 2, 1):
        for p in params:
            p.grad = None
        params[k].grad = mr.tensor(draw(*params[k].shape, seed=k), backend=home)
        optimizer.step()


def sharing_memory(home: str, params: Any, optimizer: Any) -> None:
    """Two on one array, and one on a part of another's: each of them is due in its turn."""
    params[2].data = params[1].data
    params[3].data = params[0].data[1]
    steps(optimizer, params, range(4))


def seen_through_a_view(home: str, params: Any, optimizer: Any) -> None:
    """The array stays where it is, so whoever holds a view of it sees the update."""
    view = params[0].data.T
    array = params[0].data
    steps(optimizer, params, range(2))
    assert params[0].data is array
    params[3].data = view[0] + 0.0


def two_groups(home: str, params: Any, optimizer: Any) -> None:
    late = [mr.tensor(draw(4, seed=9), requires_grad=True, backend=home)]
    optimizer.add_param_group({"params": late, "lr": 0.3})
    params += late
    steps(optimizer, params, range(3))
    optimizer.param_groups[0]["lr"] = 0.02
    steps(optimizer, params, range(2))


def another_optimizer(home: str, params: Any, optimizer: Any) -> None:
    other = optim.SGD(params[:2], lr=0.05, momentum=0.5)
    for k in range(3):
        steps(other, params, [k])
        steps(optimizer, params, [k])


def restoring(home: str, params: Any, optimizer: Any) -> None:
    state = copy.deepcopy(optimizer.state_dict())
    steps(optimizer, params, range(3))
    optimizer.load_state_dict(state)
    steps(optimizer, params, range(2))


def a_ledger_for_a_while(home: str, params: Any, optimizer: Any) -> None:
    optimizer.add_prox(params[:2], L1(0.05))
    ledger = mr.Ledger(optimizer)
    steps(optimizer, params, range(2))
    assert ledger.last.residual < 1e-12
    assert any(("prox",) in row for row in ledger.last.values())
    ledger.close()
    steps(optimizer, params, range(2))


def gaps(home: str, params: Any, optimizer: Any) -> None:
    """Neither a transposed parameter nor a strided gradient has its elements in a row."""
    params[0].data = backend.move(draw(4, 3), home).T
    for seed in range(3):
        for k, p in enumerate(params):
            g = backend.move(draw(*p.shape, 2, seed=10 * seed + k), home)[..., 0]
            p.grad = mr.Tensor(g if k < 3 else g.copy())
        optimizer.step()


def two_dtypes(home: str, params: Any, optimizer: Any) -> None:
    params[1].data = params[1].data.astype(np.float32)
    params[2].data = params[2].data.astype(np.float32)
    for p in params[1:3]:
        optimizer.state.pop(p, None)
    steps(optimizer, params, range(3))


def another_penalty(home: str, params: Any, optimizer: Any) -> None:
    optimizer.add_prox(params[:2], L1(0.05))
    optimizer.add_prox(params[1:], L2(0.05))
    steps(optimizer, params, range(3))
    optimizer.add_prox(params[:1], L2(0.02, center=0.1 * np.ones(())))
    steps(optimizer, params, range(3))


def options_change(home: str, params: Any, optimizer: Any) -> None:
    steps(optimizer, params, range(2))
    optimizer.param_groups[0]["weight_decay"] = 0.0
    optimizer.param_groups[0]["maximize"] = True
    steps(optimizer, params, range(2))


SCENES = {f.__name__.replace("_", " "): f for f in (
    replaced_data, freezing, a_gradient_missing, sharing_memory, seen_through_a_view, two_groups,
    another_optimizer, restoring, a_ledger_for_a_while, gaps, two_dtypes, another_penalty,
    options_change,
)}  # fmt: skip


SCENERY = [
    pytest.param(scene, label, id=f"{scene}-{label}")
    for scene in SCENES
    for label in ("Adam, decay", "AdamW, amsgrad", "nesterov", "RMSprop, centered", "FISTA")
    if (scene, label) != ("options change", "FISTA")  # it has neither option
]


def play(scene: str, label: str, home: str) -> list[Any]:
    """Where the parameters are at the end of a scene."""
    params = [mr.tensor(draw(*shape, seed=k), requires_grad=True, backend=home)
              for k, shape in enumerate([(3, 4), (7,), (7,), (4,), (5,)])]  # fmt: skip
    optimizer = make(label, params)
    steps(optimizer, params, range(2))
    SCENES[scene](home, params, optimizer)
    return [p.data for p in params]


@pytest.mark.parametrize(("scene", "label"), SCENERY)
def test_arrays_come_and_go(scene, label):
    expected = play(scene, label, "numpy")
    with count_launches() as launches:
        found = play(scene, label, "strict")
    assert launches[OPTIMIZERS[label][0]] > 2
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b.get())


@on_gpu
@pytest.mark.parametrize(("scene", "label"), SCENERY)
def test_arrays_come_and_go_on_a_device(scene, label):
    agree(lambda home: play(scene, label, home), 1e-9)


def test_a_model_that_moves():
    """From the host to the device in the middle: a state dict takes the state along."""
    ends = []
    for homes in (("numpy", "numpy"), ("numpy", "strict")):
        mr.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3))
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        for home in homes:
            model.to(home)
            optimizer.load_state_dict(optimizer.state_dict())
            steps(optimizer, list(model.parameters()), range(3))
        ends.append([p.numpy() for p in model.parameters()])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_shared_parameter_is_updated_once():
    ends = []
    for home in ("numpy", "strict"):
        mr.manual_seed(0)
        with mr.use_backend(home):
            first, second = nn.Linear(3, 3), nn.Linear(3, 3)
        second.weight = first.weight
        model = nn.Sequential(first, nn.Tanh(), second)
        optimizer = optim.AdamW(model.parameters(), lr=0.1)
        x = mr.tensor(draw(5, 3), np.float32, backend=home)
        for _ in range(3):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
        ends.append([p.numpy() for p in model.parameters()])
    assert len(ends[0]) == 3
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


# --- what no kernel can do -----------------------------------------------------------------------


def test_a_prox_of_whole_rows_follows_the_kernel():
    ends = []
    for home in ("numpy", "strict"):
        params = [mr.tensor(draw(6, 4, seed=k), requires_grad=True, backend=home) for k in range(2)]
        optimizer = optim.SGD(params, lr=0.1, momentum=0.5)
        optimizer.add_prox(params, L1(0.1))
        optimizer.add_prox(params[:1], GroupLasso(3.0, axis=1))
        with count_launches() as launches:
            steps(optimizer, params, range(4))
        ends.append([p.numpy() for p in params])
    assert launches["SGD"] == 8
    np.testing.assert_array_equal(*ends)
    assert (ends[0][0] == 0).all(axis=1).any()


def test_noise_comes_between_the_step_and_the_prox():
    p = mr.tensor(draw(2000), requires_grad=True, backend="strict")
    optimizer = optim.SGLD([p], lr=0.1, temperature=0.5, seed=0)
    optimizer.add_prox([p], L0(1e-3))
    before, g = p.numpy().copy(), draw(2000, seed=1)
    p.grad = mr.tensor(g, backend="strict")
    with count_launches() as launches:
        optimizer.step()
    assert launches["SGLD"] == 1
    noise = p.numpy() - (before - 0.1 * g)
    assert np.std(noise[p.numpy() != 0]) == pytest.approx(0.1**0.5, rel=0.1)


class Bent(optim.SGD):
    """An update with a function that kernels do not know."""

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Any:
        def update(p: Any, g: Any, t: Any) -> None:
            p -= group["lr"] * np.arctan(g)

        return update


class Normalized(optim.SGD):
    """A step that asks for the whole of each gradient."""

    whole_parameters = True

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Any:
        def update(p: Any, g: Any, t: Any) -> None:
            p -= group["lr"] * g / np.sqrt(np.square(g).sum())

        return update


class Halving(optim.SGD):
    """A step of whole parameters, which no kernel may take."""

    whole_parameters = True

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Any:
        def update(p: Any, g: Any, t: Any) -> None:
            p *= 0.5

        return update


class Signs(optim.Optimizer):
    """A user's optimizer, which knows nothing of kernels."""

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Any:
        def update(p: Any, g: Any, t: Any) -> None:
            np.sign(g, out=t)
            t *= group["lr"] / step
            p -= t

        return update


@pytest.mark.parametrize(
    ("kind", "launched"), [(Bent, 0), (Normalized, 0), (Halving, 0), (Signs, 3)]
)
def test_an_optimizer_of_ones_own(kind, launched):
    ends = []
    for home in ("numpy", "strict"):
        params = [mr.tensor(draw(5, seed=k), requires_grad=True, backend=home) for k in range(2)]
        optimizer = kind(params, {"lr": 0.1}) if kind is Signs else kind(params, lr=0.1)
        with count_launches() as launches:
            steps(optimizer, params, range(3))
        ends.append([p.numpy() for p in params])
    assert launches[kind.__name__] == launched
    np.testing.assert_allclose(*ends, rtol=1e-14)


# --- the source ----------------------------------------------------------------------------------

ADAMW = """\
// θ ← (1 − lr·wd)θ − lr·m̂/(√v̂ + ε)
// AdamW(p, g, exp_avg, exp_avg_sq), float32
//   a0 = betas[0]
//   a1 = 1 - betas[0]
//   a2 = betas[1]
//   a3 = 1 - betas[1]
//   a4 = (1 - (betas[1] ** step)) ** -0.5
//   a5 = eps
//   a6 = lr / (1 - (betas[0] ** step))
//   a7 = 1 - (lr * weight_decay)
const long long j = i;
float *at_p_ = (float *)p_at + j;
float *at_g_ = (float *)g_at + j;
float *at_exp_avg_ = (float *)exp_avg_at + j;
float *at_exp_avg_sq_ = (float *)exp_avg_sq_at + j;
const float p_ = *at_p_, g_ = *at_g_, exp_avg_ = *at_exp_avg_, exp_avg_sq_ = *at_exp_avg_sq_;
const float t2 = (exp_avg_ * a0) + (g_ * a1);
const float t6 = (exp_avg_sq_ * a2) + ((g_ * a3) * g_);
*at_p_ = (p_ * a7) - ((t2 / ((sqrt(t6) * a4) + a5)) * a6);
*at_exp_avg_ = t2;
*at_exp_avg_sq_ = t6;"""


@pytest.mark.parametrize(
    "names", [("i", "row", "t0"), ("double", "table", "j"), ("m-1", "größe", "a0")]
)
@pytest.mark.parametrize("name", ["exp", "double", "Käse"])
def test_names_of_ones_own_are_no_trouble(name, names):
    """A class or a state may be called like a word of C, or of the loop around the kernel."""

    class Own(optim.SGD):
        def _state_names(self, group):
            return names

        def _update(self, step, first, group):
            def update(p, g, a, b, c, t):
                a += g
                b += a
                c *= 0.5
                c += b
                p -= np.multiply(c, group["lr"], out=t)

            return update

    Own.__name__ = name
    ends = []
    for home in ("numpy", "strict"):
        params = [mr.tensor(draw(5), requires_grad=True, backend=home)]
        with count_launches() as launches:
            steps(Own(params, lr=0.1), params, range(3))
        ends.append(params[0].numpy())
    assert launches["kernel" if name == "Käse" else name] == 3
    np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64])
def test_rates_may_be_numpy_numbers(number):
    ends = []
    for kind in (float, number):
        params = [mr.tensor(draw(5), requires_grad=True, backend="strict")]
        optimizer = optim.SGD(params, lr=kind(2), momentum=0.5)
        with count_launches() as launches:
            steps(optimizer, params, range(3))
        assert launches["SGD"] == 3
        ends.append(params[0].numpy())
    np.testing.assert_array_equal(*ends)


def test_another_stream_has_tables_of_its_own():
    """What was uploaded on one may not have arrived for another."""
    streams = iter("aab")
    home = backend.register(replace(backend.get("strict"), stream=lambda: next(streams)))
    with count_launches() as launches:
        rows = on_device(draw(5000))
        tables = [kernels.table(home, [rows]) for _ in "123"]
    assert tables[0] is tables[1] is not tables[2]
    assert launches["copy to the device"] == 1 + 2


def test_the_source_is_printed_anywhere():
    p = mr.tensor([1.0], requires_grad=True)
    assert optim.AdamW([p]).kernel_source() == ADAMW


def test_the_source_has_one_kernel_for_what_is_alike():
    params = [mr.tensor(draw(2), d, requires_grad=True) for d in ("f4", "f4", "f8", "f8")]
    optimizer = optim.SGD([{"params": params[:3]}, {"params": params[3:], "momentum": 0.9}], lr=0.1)
    optimizer.add_prox(params[1:2], L1(0.1))
    source = optimizer.kernel_source()
    assert source.count("const long long j = i;") == 4
    assert source == optimizer.kernel_source()
    assert optimizer.state == {}  # to look changes nothing


def test_the_source_of_a_prox_that_is_not_elementwise_is_the_step():
    p = mr.tensor(draw(2, 2), requires_grad=True)
    plain, grouped = (optim.SGD([p], lr=0.1) for _ in range(2))
    grouped.add_prox([p], GroupLasso(0.1))
    first, left, *rest = grouped.kernel_source().splitlines()
    assert plain.kernel_source() == "\n".join([first, *rest])
    assert left.startswith("// left out: prox of GroupLasso (")


class Branching(mr.penalties.Penalty):
    """A penalty whose gradient and prox look at values, as no kernel can."""

    separable = elementwise_step = True

    def value(self, w):
        return np.square(w).sum()

    def gradient(self, w, out=None):
        return np.multiply(2.0 if w > 0 else 1.0, w, out=out)

    def prox(self, v, step=1.0):
        return v if v > 0 else 0 * v


def test_the_source_says_what_no_kernel_takes():
    p = mr.tensor(draw(2), requires_grad=True)
    terms = SimpleNamespace(deferred={p: [("a", L1(0.5)), ("b", Branching())]})
    met = "(a kernel cannot branch in Python: say np.where)"
    gradients, prox = (
        f"// left out: gradient of L1, Branching {met}",
        f"// left out: prox of odd {met}",
    )
    for within, name, left in [
        (terms, None, [gradients]), (None, "odd", [prox]), (terms, "odd", [gradients, prox]),
    ]:  # fmt: skip
        optimizer = optim.SGD([p], lr=0.1)
        if name:
            optimizer.add_prox([p], Branching(), name)
        lines = optimizer.kernel_source(within).splitlines()
        assert [line for line in lines if "left out" in line] == left
        assert lines[-1] == "*at_p_ = p_ - (g_ * a0);"  # the step alone
    noisy = optim.SGLD([p], lr=0.1)
    noisy.add_prox([p], L1(0.5))
    assert "// left out: prox of L1 (it follows noise or a ledger)" in noisy.kernel_source()


def test_an_update_that_no_kernel_takes_is_named():
    class Sorted(optim.SGD):
        def _update(self, step, first, group):
            return lambda p, g, *rest: p.__isub__(group["lr"] * np.sort(g))

    source = Sorted([mr.tensor(draw(2), requires_grad=True)], lr=0.1).kernel_source()
    assert source.splitlines()[1:] == [
        "// left out: Sorted (its update needs more than one element)"
    ]


@pytest.mark.slow
def test_every_source_compiles_for_a_gpu():
    """Each optimizer, plain and with a prox and a clip factor, within CuPy's loop."""
    sources = []
    for label in LAUNCHED:
        for dtype in DTYPES:
            for penalty in [None, *PROX.values()]:
                p = mr.tensor(draw(2), dtype, requires_grad=True)
                optimizer = make(label, [p])
                if penalty is not None:
                    optimizer.add_prox([p], penalty)
                scale = None if penalty is None else np.ones((), dtype)
                update = optimizer._update_of(p, p.data, optimizer.param_groups[0], ())
                sources.append(recorded(optimizer, update, scale).kernel)
    text = ["typedef unsigned long long uint64; typedef float float32; typedef double float64;"]
    for (k, kernel), rows in itertools.product(enumerate(sources), (1, 2)):
        assert kernel.source(rows).isascii()
        arguments = kernel.parameters(rows).replace("raw uint64 table", "const uint64 *table")
        text.append(
            f'extern "C" __global__ void kernel{k}_{rows}({arguments}, long long n) {{\n'
            "for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n;\n"
            f"     i += (long long)blockDim.x * gridDim.x) {{\n{kernel.source(rows)};\n}}\n}}"
        )
    ptx, log = compile_cuda("\n".join(text))
    assert not log.strip("\0\n ")  # no warning either
    entries = ptx.split(".entry ")[1:]
    assert len(entries) == 2 * len(sources)
    for kernel, entry in zip(np.repeat(np.array(sources, object), 2), entries, strict=True):
        assert kernel.dtype == "float64" or ".f64" not in entry  # float32 stays float32
