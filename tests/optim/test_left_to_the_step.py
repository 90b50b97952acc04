"""Penalties' gradients that are left to the step: it adds them within its own pass."""

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw
from support.strict import count_launches, count_syncs
from support.training import backward, data, network

import minireg as mr
from minireg import nn, optim
from minireg.penalties import L1, L2, ElasticNet, Penalty

HOMES = ["numpy", "strict"]


@pytest.fixture(autouse=True)
def _registered():
    with strict.running():
        yield


TERMS = {"l2": L2(0.1), "l1": L1(0.05)}


def trained(home: str, within: bool, max_norm: float | None = None, steps: int = 4) -> list[Any]:
    model = network(home)
    optimizer = optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    terms = {**TERMS, "sparse": (ElasticNet(0.02, 0.03), None, "prox")}
    objective = mr.Objective(nn.MSELoss(), terms).bind(model).attach(optimizer)
    for seed in range(steps):
        optimizer.zero_grad()
        values = objective(model, *data(home, seed))
        values.backward(attribute=False, defer=within)
        if within:
            optimizer.step(values, max_norm=max_norm)
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

    def counted(self: Any, *terms: Any, **how: Any) -> None:
        with count_launches() as launches, count_syncs() as syncs:
            take(self, *terms, **how)
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


def left(penalties: Any) -> Any:
    """What the terms of an objective are to a step."""
    return SimpleNamespace(deferred={p: [("term", q)] for p, q in penalties.items()})


def test_the_source_of_all_in_one():
    p, b = (mr.tensor(draw(3, seed=k), np.float32, True) for k in range(2))
    optimizer = optim.AdamW([p, b], lr=0.1, weight_decay=0.01)
    optimizer.add_prox([p, b], L1(0.5))
    source = optimizer.kernel_source(left(dict.fromkeys([p, b], L2(0.25))))
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
        optimizer, penalty = optim.SGD([w, b], lr=0.1), Uphill()
        for q in (w, b):
            q.grad = mr.tensor(draw(3, seed=7), backend=home)
        with count_launches() as launches:
            optimizer.step(left(dict.fromkeys([w, b], penalty)))
        assert launches["SGD"] == (home == "strict")
        ends.append([q.numpy() for q in (w, b)])
    np.testing.assert_allclose(*ends, rtol=1e-14)
    np.testing.assert_allclose(ends[0][0], 0.9 * draw(3) - 0.1 * draw(3, seed=7))


def evaluated(model: nn.Module, seed: int = 0, objective: Any = None) -> Any:
    """The terms of an objective after a pass that has left its penalty to the step."""
    objective = objective or mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})
    terms = objective(model, *data("numpy", seed))
    terms.backward(attribute=False, defer=True)
    return terms


def numbers(model: nn.Module) -> list[Any]:
    return [p.numpy().copy() for p in model.parameters()]


def equal(ours: list[Any], theirs: list[Any], rtol: float = 0.0) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol)


def test_what_is_left_is_the_penalties_part():
    model = network()
    evaluated(model)
    found = [p.grad.numpy().copy() for p in model.parameters()]
    model.zero_grad()
    backward(model, "numpy")
    equal(found, [p.grad.numpy() for p in model.parameters()])


@pytest.mark.parametrize("how", ["plain", "watched", "a step of rows", "clipped"])
def test_a_second_step_adds_nothing_twice(how):
    ends = []
    for defer in (False, True):
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        if how == "watched":
            books = mr.Ledger(optimizer)
        if how == "a step of rows":
            optimizer.whole_parameters = True
            optimizer._update = lambda *_: lambda p, g, t: p.__isub__(0.1 * g)
        terms = mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})(model, *data("numpy"))
        terms.backward(attribute=False, defer=defer)
        for _ in range(2):
            optimizer.step(terms, max_norm=0.3 if how == "clipped" else None)
            assert not any(terms.deferred.values())
        ends.append(numbers(model))
    equal(*ends, rtol=1e-13)
    assert how != "watched" or books.last.residual < 1e-12


@pytest.mark.parametrize("through", ["nothing", "another evaluation", "a copy", "a recorded pass"])
def test_a_step_that_is_not_given_the_terms_is_refused(through):
    """Never silently unpenalised; nothing has changed when it is refused."""
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    terms = evaluated(model)
    other = [terms] if through == "another evaluation" else []
    if through == "another evaluation":
        evaluated(model, 1)  # completes what the first one has left
        assert not any(terms.deferred.values())
    if through == "a recorded pass":
        x, y = data("numpy")
        nn.MSELoss()(model(x), y).backward(create_graph=True)
    if through == "a copy":
        model, optimizer = copy.deepcopy((model, optimizer))
    before = numbers(model)
    with pytest.raises(
        RuntimeError,
        match=r"SGD\.step: .* shape \(8, 6\) lacks the penalties 'l2', .*\.step\(terms\)",
    ):
        optimizer.step(*other)
    equal(numbers(model), before)


def spoilt_gradient(p: Any) -> Any:
    """Give a parameter a gradient of another shape; returns what undoes it."""
    whole = p.grad
    p.grad = mr.Tensor(whole.data[:1])
    return lambda: setattr(p, "grad", whole)


# what step raises: the error, the call, and what is to be spoilt before it
MISTAKES: dict[str, Any] = {
    "max_norm": (ValueError, lambda o, terms: o.step(terms, max_norm=-1)),
    "a max_norm in words": (ValueError, lambda o, terms: o.step(terms, max_norm="1")),
    "a closure": (TypeError, lambda o, terms: o.step(lambda: 0.0)),
    "no terms": (RuntimeError, lambda o, terms: o.step()),
    "no terms, clipped": (RuntimeError, lambda o, terms: o.step(max_norm=0.3)),
    "not attached": (RuntimeError, lambda o, terms: o.step(terms, max_norm=0.3)),
    "a shape": (ValueError, lambda o, terms: o.step(terms)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_call_after_an_error_is_as_good_as_a_first_one(mistake):
    """Whatever step raises, the penalties are still there for the corrected call."""
    ends = []
    for wrong in (False, True):
        model = network()
        optimizer = optim.AdamW(model.parameters(), lr=0.05)
        terms = {**TERMS, "sparse": (ElasticNet(0.02, 0.03), None, "prox")}
        objective = mr.Objective(nn.MSELoss(), terms).bind(model)
        another = optim.SGD(model.parameters(), lr=0.05)
        objective.attach(another if mistake == "not attached" else optimizer)
        values = objective(model, *data("numpy"))
        values.backward(attribute=False, defer=True)
        if wrong:
            error, call = MISTAKES[mistake]
            last = [*model.parameters()][-1]  # all the others have been looked at before it
            undo = spoilt_gradient(last) if mistake == "a shape" else None
            with pytest.raises(error):
                call(optimizer, values)
            if undo:
                undo()
        objective.attach(optimizer)
        optimizer.step(values, max_norm=0.3)
        ends.append(numbers(model))
    equal(*ends)


def test_forgotten_gradients_lack_nothing():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    evaluated(model)
    optimizer.zero_grad()
    backward(model, "numpy")
    before = model[0].weight.numpy() - 0.1 * model[0].weight.grad.numpy()
    optimizer.step()
    np.testing.assert_array_equal(model[0].weight.numpy(), before)


def test_two_optimizers_take_each_their_own():
    ends = []
    for defer in (False, True):
        model = network()
        optimizers = [optim.SGD(model[k].parameters(), lr=0.1) for k in (0, 3)]
        terms = mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})(model, *data("numpy"))
        terms.backward(attribute=False, defer=defer)
        for optimizer in optimizers:
            optimizer.step(terms)
        ends.append(numbers(model))
    equal(*ends, rtol=1e-13)


def test_penalties_of_several_passes_add_up_and_forgotten_ones_do_not():
    """As they do when they are added at once; ``model.zero_grad`` forgets without the optimizer."""
    ends = []
    for defer in (False, True):
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        objective = mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})
        for seed in (0, 1, 2, 3, 4):
            terms = objective(model, *data("numpy", seed))
            terms.backward(attribute=seed == 2, defer=defer and seed != 2)
            if seed == 1:
                model.zero_grad()
            elif seed == 3:
                optimizer.step(terms)
        optimizer.step(terms)
        ends.append(numbers(model))
    equal(*ends, rtol=1e-13)


CHANGES = {
    "another pass": lambda model, p: backward(model, "numpy"),
    "another gradient": lambda model, p: setattr(p, "grad", p.grad * 2),
    "clipped": lambda model, p: optim.clip_grad_norm_(model.parameters(), 1e-3),
    "clipped by value": lambda model, p: optim.clip_grad_value_(model.parameters(), 1e-3),
    "scaled": lambda model, p: p.grad.__imul__(0.5), "assigned": lambda model, p: p.grad.assign(0.0),
    "a part": lambda model, p: p.grad.__setitem__(0, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("how", CHANGES)
def test_what_is_done_to_a_gradient_before_the_step_concerns_the_losss_alone(how):
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    terms, p = evaluated(model), model[0].weight
    CHANGES[how](model, p)
    expected = p.numpy() - 0.1 * (p.grad.numpy() + 0.5 * p.numpy())
    optimizer.step(terms)
    np.testing.assert_allclose(p.numpy(), expected, rtol=1e-13)


def test_a_gradient_copied_before_its_step_gets_what_is_left_to_it():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    terms = evaluated(model)
    other, copied, rows = copy.deepcopy((model, optimizer, terms.deferred))
    optimizer.step(terms)
    copied.step(SimpleNamespace(deferred=rows))
    equal(numbers(model), numbers(other))


@pytest.mark.parametrize(
    ("terms", "message"),
    [(lambda: 0.0, "takes no closure, got <function"), ({"l2": 0.0}, "the terms of an objective")],
)
def test_what_a_step_does_not_take(terms, message):
    w = mr.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match=message):
        optim.SGD([w], lr=0.1).step(terms)


def test_shares_are_complete_so_nothing_can_be_left():
    terms = mr.Objective(nn.MSELoss(), {"l2": L2(0.5)})(network(), *data("numpy"))
    with pytest.raises(ValueError, match="defer takes attribute=False"):
        terms.backward(defer=True)


def test_a_hook_sees_the_whole_gradient():
    model, seen = network(), []
    model[0].weight.register_hook(lambda g: seen.append(g.numpy().copy()))
    terms = evaluated(model)
    assert not any(p is model[0].weight for p in terms.deferred)
    np.testing.assert_array_equal(seen, [model[0].weight.grad.numpy()])
