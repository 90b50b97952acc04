"""Optimizers and clipping against PyTorch: the parameters stay within 1e-10, step after step."""

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from support.against import FIRST, close, torch, twin
from support.arrays import draw
from support.lists import exact
from support.twins.optimizers import OPTIMIZERS, shrink, topt

import minireg as mr
from minireg import backend, optim
from minireg.penalties import L1
from minireg.random import Stream

STEPS, BLOCK = 50, 16


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(backend, "BLOCK", BLOCK)


# label: initial parameters, in every way they may lie in memory
PARAMETERS: dict[str, Callable[[], list[np.ndarray]]] = {
    "small": lambda: [draw(4, 3, seed=0), draw(4, seed=1), np.array(0.7)],
    "blocks": lambda: [draw(2 * BLOCK + 7, seed=0), draw(BLOCK, seed=1), draw(1, BLOCK + 1, seed=2)],
    "not contiguous": lambda: [draw(3, 8, seed=0)[:, ::2].T, np.flip(draw(BLOCK + 5, seed=1)),
                               draw(3, BLOCK, seed=2).T],
}  # fmt: skip


# every combination of these, as far as it is allowed
OPTIONS: dict[str, dict[str, list[Any]]] = {
    "SGD": {"lr": [0.03], "momentum": [0.0, 0.9], "dampening": [0.0, 0.3], "nesterov": [False, True],
            "weight_decay": [0.0, 0.05], "maximize": [False, True]},
    "Adam": {"lr": [0.02], "betas": [(0.9, 0.999), (0.5, 0.6)], "eps": [1e-8, 0.1],
             "weight_decay": [0.0, 0.05], "amsgrad": [False, True], "maximize": [False, True]},
    "AdamW": {"lr": [0.02], "betas": [(0.9, 0.999), (0.5, 0.6)], "eps": [1e-8, 0.1],
              "weight_decay": [0.0, 0.3], "amsgrad": [False, True], "maximize": [False, True]},
    "RMSprop": {"lr": [0.01], "alpha": [0.99, 0.8], "eps": [1e-8, 0.1], "weight_decay": [0.0, 0.05],
                "momentum": [0.0, 0.9], "centered": [False, True], "maximize": [False, True]},
}  # fmt: skip


def configurations() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, options in OPTIONS.items():
        for values in product(*options.values()):
            chosen = dict(zip(options, values, strict=True))
            refused = chosen.get("nesterov") and (not chosen["momentum"] or chosen["dampening"])
            if not refused:
                yield name, chosen


CONFIGURATIONS = list(configurations())


def tell(configuration: tuple[str, dict[str, Any]]) -> str:
    name, options = configuration
    return ",".join([name, *(f"{k}={v}" for k, v in options.items() if v and k != "lr")])


def loss(params: list[Any]) -> Any:
    """A rippled slope whose gradient never comes near 0.

    At a minimum Adam divides 0 by 0 up to ε, and tells any two roundings apart.
    """
    total = 0.0
    for p in params:
        flat = p.reshape(-1)
        total = total + flat[::2].sum() - flat[1::2].sum() + ((p * p + 1) ** -1).sum()
        total = total + 0.1 * (flat[0] - params[0].reshape(-1)[-1]) ** 2
    return total


def paired(label: str) -> tuple[list[Any], list[Any]]:
    arrays = PARAMETERS[label]()
    assert all(a.flags.c_contiguous == (label != "not contiguous") for a in arrays)
    return [mr.Tensor(a, requires_grad=True) for a in arrays], [twin(a) for a in arrays]


def run(ours: Any, mine: list[Any], theirs: Any, yours: list[Any], steps: int = STEPS) -> None:
    for _ in range(steps):
        for each, params in ((ours, mine), (theirs, yours)):
            each.zero_grad()
            loss(params).backward()
            each.step()


def same_parameters(mine: list[Any], yours: list[Any]) -> None:
    for i, (p, q) in enumerate(zip(mine, yours, strict=True)):
        close(p, q, FIRST, f"parameter {i}")


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("label", OPTIMIZERS)
def test_optimizer_equals_torch(label, parameters):
    name, options = OPTIMIZERS[label]
    mine, yours = paired(parameters)
    ours, theirs = getattr(optim, name)(mine, **options), getattr(topt, name)(yours, **options)
    run(ours, mine, theirs, yours)
    same_parameters(mine, yours)


@pytest.mark.parametrize(
    "label", [label for label, (name, _) in OPTIMIZERS.items() if name == "SGD"]
)
def test_decoupled_decay_equals_torch_sgd_and_decay_by_hand(label):
    options = OPTIMIZERS[label][1] | {"weight_decay": 0.0}
    mine, yours = paired("small")
    ours = optim.SGD(mine, **options | {"weight_decay": 0.2}, decoupled=True)
    theirs = topt.SGD(yours, **options)
    for _ in range(STEPS):
        for each, params in ((ours, mine), (theirs, yours)):
            each.zero_grad()
            loss(params).backward()
            if each is theirs:
                with torch.no_grad():
                    for p in yours:
                        p *= 1 - options["lr"] * 0.2
            each.step()
    same_parameters(mine, yours)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop"])
def test_half_precision_after_a_large_gradient_equals_torch(name):
    p, q = mr.Tensor(np.ones(1, np.float16), True), twin(np.ones(1, np.float16))
    ours, theirs = getattr(optim, name)([p], lr=0.1), getattr(topt, name)([q], lr=0.1)
    for g in (300.0, *[1.0] * 20):
        p.grad, q.grad = mr.Tensor(np.full(1, g, np.float16)), torch.full((1,), g).half()
        ours.step()
        theirs.step()
        assert p.item() == pytest.approx(q.item(), abs=2e-3)
    assert p.item() < 0.9


def test_there_are_many_configurations():
    assert len(CONFIGURATIONS) == 148


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=tell)
def test_every_configuration_equals_torch(configuration):
    name, options = configuration
    mine, yours = paired("small")
    ours, theirs = getattr(optim, name)(mine, **options), getattr(topt, name)(yours, **options)
    run(ours, mine, theirs, yours, 20)
    same_parameters(mine, yours)


@pytest.mark.parametrize("label", ["nesterov, decay", "adam, decay", "adamw", "rmsprop, all"])
def test_blocks_of_real_size_equal_torch(label, monkeypatch):
    monkeypatch.undo()
    name, options = OPTIMIZERS[label]
    start = draw(2 * backend.BLOCK + 17, seed=0)
    mine, yours = [mr.Tensor(start.copy(), requires_grad=True)], [twin(start)]
    run(getattr(optim, name)(mine, **options), mine, getattr(topt, name)(yours, **options), yours)
    same_parameters(mine, yours)


@pytest.mark.parametrize("label", OPTIMIZERS)
def test_groups_and_a_changing_rate_equal_torch(label):
    name, options = OPTIMIZERS[label]
    mine, yours = paired("small")
    both = []
    for lib, (a, b, c) in ((optim, mine), (topt, yours)):
        groups = [{"params": [a], "lr": 0.05, "weight_decay": 0.2}, {"params": b, "lr": 0.03}]
        both.append(getattr(lib, name)(groups, **options))
        both[-1].add_param_group({"params": [c], "lr": 0.01})
    for factor in (1.0, 0.1, 3.0, 0.0):
        for group in both[0].param_groups + both[1].param_groups:
            group["lr"] *= factor
        run(both[0], mine, both[1], yours, STEPS // 4)
    same_parameters(mine, yours)


def test_state_dict_has_the_names_of_torch():
    for name, options in OPTIMIZERS.values():
        mine, yours = paired("small")
        ours, theirs = getattr(optim, name)(mine, **options), getattr(topt, name)(yours, **options)
        run(ours, mine, theirs, yours, 3)
        state, wanted = ours.state_dict(), theirs.state_dict()
        for i, entries in wanted["state"].items():
            for key, value in entries.items():
                if value is not None and key != "step":
                    close(state["state"][i][key], value, FIRST, key)
        assert {*options} <= {*state["param_groups"][0]} & {*wanted["param_groups"][0]}


# --- what PyTorch does not have, against the formula in PyTorch ------------------------------------


def valley(params: list[Any], library: Any) -> Any:
    """A quadratic that is a hundred times as steep one way as the other."""
    total = 0.0
    for p in params:
        steep = np.geomspace(0.1, 10, max(math.prod(p.shape), 1)).reshape(p.shape)
        total = total + (library(steep) * (p - 1.0) ** 2).sum()
    return total


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize("attached", [False, True])
def test_proximal_gradient_equals_its_formula(parameters, accelerated, attached):
    """ISTA, and FISTA with restart written over all parameters at once, each at its own rate."""
    strength, rates = 0.3, [0.05, 0.02, 0.03]
    mine, yours = paired(parameters)
    groups = [{"params": p, "lr": lr} for p, lr in zip(mine, rates, strict=True)]
    penalty = L1(strength)
    ours = optim.ProximalGradient(groups, 1.0, None if attached else penalty, accelerated)
    if attached:
        ours.add_prox(mine, penalty)
    x, t, restarts = [q.detach().clone() for q in yours], 1.0, 0
    for _ in range(STEPS):
        ours.zero_grad()
        valley(mine, mr.Tensor).backward()
        ours.step()
        gradients = torch.autograd.grad(valley(yours, torch.tensor), yours)
        with torch.no_grad():
            steps = zip(yours, gradients, rates, strict=True)
            new = [shrink(y - lr * g, lr * strength) for y, g, lr in steps]
            uphill = sum(
                ((y - b) * (b - a)).sum() / lr
                for y, b, a, lr in zip(yours, new, x, rates, strict=True)
            )
            restarts += bool(uphill > 0)
            t = 1.0 if uphill > 0 else t
            t_next = (1 + math.sqrt(1 + 4 * t * t)) / 2
            for q, b, a in zip(yours, new, x, strict=True):
                q.copy_(b + (t - 1) / t_next * (b - a) if accelerated else b)
            x, t = new, t_next
        same_parameters(mine, yours)
    if accelerated:
        assert restarts > 0
        for p, a in zip(mine, x, strict=True):
            close(ours.state[p]["x"], a, FIRST)
            assert float(ours.state[p]["t"]) == pytest.approx(t)


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("temperature", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_sgld_equals_its_formula_with_the_same_noise(parameters, temperature, decay):
    mine, yours = paired(parameters)
    ours = optim.SGLD(mine, lr=0.02, temperature=temperature, weight_decay=decay, seed=5)
    noise = Stream("the same", seed=5)
    for _ in range(STEPS):
        ours.zero_grad()
        loss(mine).backward()
        ours.step()
        gradients = torch.autograd.grad(loss(yours), yours)
        with torch.no_grad():
            for q, g in zip(yours, gradients, strict=True):
                q -= 0.02 * (g + decay * q)
                if temperature:
                    q += math.sqrt(2 * 0.02 * temperature) * torch.tensor(noise.normal(q.shape))
    same_parameters(mine, yours)


OWN_FORMULA = {"ProximalGradient", "SGLD"}


def test_every_optimizer_has_an_oracle():
    kinds = [getattr(optim, name) for name in optim.__all__]
    public = {k.__name__ for k in kinds if isinstance(k, type) and issubclass(k, optim.Optimizer)}
    tables = "OPTIONS or OWN_FORMULA in tests/oracles/test_optim_torch.py"
    exact(tables, OPTIONS.keys() | OWN_FORMULA, public - {"Optimizer"})


def test_centered_rmsprop_survives_a_constant_gradient():
    """A deliberate difference: PyTorch takes the root of a variance that rounding made negative."""
    mine, yours = [mr.Tensor(np.zeros(50), requires_grad=True)], [twin(np.zeros(50))]
    g = np.linspace(0.1, 3, 50)
    ours, theirs = optim.RMSprop(mine, centered=True), topt.RMSprop(yours, centered=True)
    for _ in range(5000):
        mine[0].grad, yours[0].grad = mr.Tensor(g), torch.tensor(g)
        ours.step()
        theirs.step()
    assert yours[0].isnan().any()
    assert np.isfinite(mine[0].data).all()


def test_momentum_switched_on_later_equals_torch():
    mine, yours = paired("small")
    ours, theirs = optim.SGD(mine, lr=0.03), topt.SGD(yours, lr=0.03)
    for momentum in (0.0, 0.9, 0.5):
        for each in (ours, theirs):
            each.param_groups[0]["momentum"] = momentum
        run(ours, mine, theirs, yours, 10)
    same_parameters(mine, yours)


@pytest.mark.parametrize("max_norm", [0.0, 0.1, 1.0, 1e6])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, 0.5, math.inf])
def test_clipping_equals_torch(norm_type, max_norm):
    shapes = [(3, 4), (5,), (), (2, 1, 3)]
    mine, yours = [], []
    for seed, shape in enumerate(shapes):
        g = np.asarray(draw(*shape, seed=seed))
        mine.append(mr.Tensor(np.zeros(shape), requires_grad=True))
        yours.append(twin(np.zeros(shape)))
        if seed != 1:  # one has no gradient
            mine[-1].grad, yours[-1].grad = mr.Tensor(g.copy()), torch.tensor(g)
    norm = optim.clip_grad_norm_(mine, max_norm, norm_type)
    close(norm, torch.nn.utils.clip_grad_norm_(yours, max_norm, norm_type), 1e-14, "norm")
    for p, q in zip(mine, yours, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            close(p.grad, q.grad, 1e-14, "clipped gradient")


@pytest.mark.parametrize("value", [0.0, 0.3, 100.0])
def test_clipping_by_value_equals_torch(value):
    mine, yours = paired("small")
    for seed, (p, q) in enumerate(zip(mine[1:], yours[1:], strict=True)):
        g = np.asarray(draw(*p.shape, seed=seed))
        p.grad, q.grad = mr.Tensor(g.copy()), torch.tensor(g)
    assert optim.clip_grad_value_(mine, value) is None
    torch.nn.utils.clip_grad_value_(yours, value)
    assert mine[0].grad is None
    for p, q in zip(mine[1:], yours[1:], strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())
