"""Penalties' gradients that are left to the step: it adds them within its own pass."""

import copy
from typing import Any

import numpy as np
import pytest
from support import strict
from support.strict import count_launches, count_syncs

import minireg as mr
from minireg import nn, optim
from minireg.penalties import L1, L2, ElasticNet, Penalty

HOMES = ["numpy", "strict"]


@pytest.fixture(autouse=True)
def _registered():
    with strict.running():
        yield


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def network(home: str = "numpy", dtype: Any = np.float64) -> nn.Sequential:
    mr.manual_seed(0)
    layers = (
        nn.Linear(6, 8),
        nn.BatchNorm(8),
        nn.Tanh(),
        nn.Linear(8, 5),
        nn.LayerNorm(5),
        nn.Linear(5, 3),
    )
    return nn.Sequential(*layers).to(dtype).to(home)


def data(home: str, seed: int = 0, dtype: Any = np.float64) -> tuple[mr.Tensor, mr.Tensor]:
    x, y = draw(7, 6, seed=seed), draw(7, 3, seed=seed + 100)
    return mr.tensor(x, dtype, backend=home), mr.tensor(y, dtype, backend=home)


def backward(model: nn.Module, home: str, seed: int = 0) -> None:
    x, y = data(home, seed, next(model.parameters()).dtype)
    nn.MSELoss()(model(x), y).backward()


def step(model: nn.Module, optimizer: optim.Optimizer, home: str, seed: int, **how: Any) -> None:
    optimizer.zero_grad()
    backward(model, home, seed)
    optimizer.step(**how)


TERMS = {"l2": L2(0.1), "l1": L1(0.05)}


def trained(home: str, within: bool, max_norm: float | None = None, steps: int = 4) -> list[Any]:
    model = network(home)
    optimizer = optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    terms = {**TERMS, "sparse": (ElasticNet(0.02, 0.03), None, "prox")}
    objective = mr.Objective(nn.MSELoss(), terms).bind(model).attach(optimizer)
    for seed in range(steps):
        optimizer.zero_grad()
        values = objective(model, *data(home, seed))
        values.backward(attribute=False, optimizer=optimizer if within else None)
        if within:
            optimizer.step(max_norm=max_norm)
        else:
            if max_norm is not None:
                optim.clip_grad_norm_(model.parameters(), max_norm)
            optimizer.step()
    return [p.numpy() for p in model.parameters()] + [p.grad.numpy() for p in model.parameters()]


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("max_norm", [None, 0.3])
def test_penalties_within_the_update_are_penalties_before_it(max_norm, home):
    """And ``.grad`` holds what the step has taken."""
    for a, b in zip(trained(home, False, max_norm), trained(home, True, max_norm), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_penalties_clip_decay_and_prox_are_in_the_kernel_of_the_update():
    """One launch for all weights, one for all the rest; the norm is two more."""
    trained("strict", True, 0.3, 2)  # warm: compiled
    launched: list[Any] = []
    take = optim.Optimizer.step

    def counted(self: Any, **how: Any) -> None:
        with count_launches() as launches, count_syncs() as syncs:
            take(self, **how)
        assert not syncs
        del launches["copy to the device"]  # the table of addresses, where gradients moved
        launched.append(dict(launches))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optim.Optimizer, "step", counted)
        trained("strict", True, None, 3)
        assert launched[1:] == [{"AdamW": 2}] * 2
        launched.clear()
        with strict.registered("strict", fused=True):
            trained("strict", True, 0.3, 3)
    assert launched[1:] == [{"squares": 2, "clip_factor": 1, "AdamW": 2}] * 2


def test_the_source_of_all_in_one():
    p, b = (mr.tensor(draw(3, seed=k), np.float32, True) for k in range(2))
    optimizer = optim.AdamW([p, b], lr=0.1, weight_decay=0.01)
    optimizer.add_prox([p, b], L1(0.5))
    penalties = [L2(0.25)]
    assert optimizer.defer({p: penalties, b: penalties}, {}) == {p, b}
    source = optimizer.kernel_source()
    assert source.count("//   a0") == 1  # one kernel
    for number in ("0.25", "1 - (lr * weight_decay)", "betas[1]", "eps", "0.5"):
        assert f"= {number}" in source
    assert "table" not in source


class Uphill(Penalty):
    """A sum over elements that branches in Python, so no kernel can take it."""

    separable = True

    def value(self, w: Any) -> Any:
        return 0.5 * np.square(w).sum()

    def gradient(self, w: Any, out: Any = None) -> Any:
        return np.multiply(w, 1.0 if w.size else 2.0, out=out)


def test_a_penalty_that_no_kernel_takes_is_added_before_it():
    ends = []
    for home in HOMES:
        w, b = (mr.tensor(draw(3, seed=k), requires_grad=True, backend=home) for k in range(2))
        optimizer, penalties = optim.SGD([w, b], lr=0.1), [Uphill()]
        for q in (w, b):
            q.grad = mr.tensor(draw(3, seed=7), backend=home)
        optimizer.defer({w: penalties, b: penalties}, {})
        with count_launches() as launches:
            optimizer.step()
        assert launches["SGD"] == (home == "strict")
        ends.append([q.numpy() for q in (w, b)])
    np.testing.assert_allclose(*ends, rtol=1e-14)
    np.testing.assert_allclose(ends[0][0], 0.9 * draw(3) - 0.1 * draw(3, seed=7))


@pytest.mark.parametrize("why", ["watched", "not its own", "forgotten"])
def test_what_a_step_does_not_take_over(why):
    model = network()
    optimizer = optim.SGD(
        model[0].parameters() if why == "not its own" else model.parameters(), lr=0.1
    )
    books = mr.Ledger(optimizer) if why == "watched" else None
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})
    totals = []
    for taker in (None, optimizer):
        optimizer.zero_grad()
        model.zero_grad()
        objective(model, *data("numpy")).backward(attribute=False, optimizer=taker)
        totals.append([p.grad.numpy().copy() for p in model.parameters()])
    same = [np.array_equal(a, b) for a, b in zip(*totals, strict=True)]
    weights = [p.kind == "weight" for p in model.parameters()]
    mine = [any(p is q for q in optimizer._parameters()) for p in model.parameters()]
    expected = [not (w and m) or why == "watched" for w, m in zip(weights, mine, strict=True)]
    assert same == expected
    if why == "forgotten":
        optimizer.zero_grad()
        backward(model, "numpy")
        before = model[0].weight.numpy() - 0.1 * model[0].weight.grad.numpy()
        optimizer.step()
        np.testing.assert_array_equal(model[0].weight.numpy(), before)
    assert books is None or not optimizer._deferred


def test_penalties_of_several_passes_add_up_and_forgotten_ones_do_not():
    """As they do when they are added at once; ``model.zero_grad`` forgets without the optimizer."""
    ends = []
    for within in (False, True):
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        objective = mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})
        for seed in (0, 1, 2, 3, 4):
            terms = objective(model, *data("numpy", seed))
            terms.backward(attribute=False, optimizer=optimizer if within else None)
            if seed == 1:
                model.zero_grad()
            elif seed == 3:
                optimizer.step()
        optimizer.step()
        ends.append([p.numpy() for p in model.parameters()])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


CHANGES = {
    "another pass": lambda model, p: backward(model, "numpy"),
    "another gradient": lambda model, p: setattr(p, "grad", p.grad * 2),
    "clipped": lambda model, p: optim.clip_grad_norm_(model.parameters(), 1e-3),
    "clipped by value": lambda model, p: optim.clip_grad_value_(model.parameters(), 1e-3),
    "scaled": lambda model, p: p.grad.__imul__(0.5), "assigned": lambda model, p: p.grad.assign(0.0),
    "a part": lambda model, p: p.grad.__setitem__(0, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("then", ["step", "backward"])
@pytest.mark.parametrize("how", CHANGES)
def test_a_gradient_changed_before_its_penalties_came_is_refused(how, then):
    """The change would be of the data's part alone."""
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})
    objective(model, *data("numpy")).backward(attribute=False, optimizer=optimizer)
    CHANGES[how](model, model[0].weight)
    if then == "backward" and "another" not in how:  # it is added to what was changed
        with pytest.raises(RuntimeError, match="replaced or changed after"):
            objective(model, *data("numpy")).backward(attribute=False, optimizer=optimizer)
    with pytest.raises(
        RuntimeError, match=r"SGD: the gradient of .* shape \(8, 6\) was replaced or changed after"
    ):
        optimizer.step()
    optimizer.zero_grad()
    backward(model, "numpy")
    optimizer.step()


def test_an_optimizer_copied_before_its_step_adds_what_was_left_to_it():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})
    objective(model, *data("numpy")).backward(attribute=False, optimizer=optimizer)
    other, copied = copy.deepcopy((model, optimizer))
    optimizer.step()
    copied.step()
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())
