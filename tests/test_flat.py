"""Flat storage: where arrays lie, that nobody notices, and that every step ends where it did."""

import copy
import math
import pickle
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
from support import strict
from support.strict import count_launches, count_syncs
from test_optim import OPTIMIZERS, make

import minireg as mr
from minireg import backend, flat, nn, optim
from minireg.optim import pipeline
from minireg.penalties import L1, L2, ElasticNet, GroupLasso, Penalty

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


def lies_together(arrays: list[Any]) -> bool:
    """Whether they are views of one buffer, which they fill without overlap."""
    (base,) = {id(a.base): a.base for a in arrays}.values()
    parts = sorted((start(a), a.nbytes) for a in arrays)
    ends = [begin + size for begin, size in parts]
    return (base is not None and base.ndim == 1 and base.nbytes == sum(a.nbytes for a in arrays)
            and parts[0][0] == start(base) and [p[0] for p in parts[1:]] == ends[:-1])  # fmt: skip


def start(a: Any) -> int:
    return getattr(a, "_host", a).ctypes.data


# --- where arrays lie ----------------------------------------------------------------------------


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("label", OPTIMIZERS)
def test_parameters_gradients_and_states_lie_in_one_buffer_each(label, home):
    model = network(home)
    optimizer = make(label, [*model.parameters()])
    for seed in range(3):
        optimizer.zero_grad()
        backward(model, home, seed)
        assert lies_together([p.data for p in model.parameters()])
        assert lies_together([p.grad.data for p in model.parameters()])
        optimizer.step()
        for name in optimizer._states(optimizer.param_groups[0]):
            assert lies_together([optimizer.state[p][name] for p in model.parameters()])


@pytest.mark.parametrize("home", HOMES)
def test_one_buffer_for_each_dtype(home):
    params = [mr.tensor(draw(k + 1), d, True, home) for k, d in enumerate(["f4", "f8"] * 3)]
    optim.SGD(params)
    assert lies_together([p.data for p in params[::2]])
    assert lies_together([p.data for p in params[1::2]])


def test_one_buffer_for_each_backend():
    params = [mr.tensor(draw(k + 1), None, True, home) for k, home in enumerate(HOMES * 3)]
    optim.SGD(params)
    assert lies_together([p.data for p in params[::2]])
    assert lies_together([p.data for p in params[1::2]])


def test_weights_lie_before_the_rest_and_large_powers_of_two_before_odd_sizes():
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(16, 32), nn.Linear(7, 4))
    optim.SGD([{"params": model[:2].parameters()}, {"params": model[2].parameters()}])
    names = sorted(
        dict(model.named_parameters()), key=lambda n: start(dict(model.named_parameters())[n].data)
    )
    assert names == ["1.weight", "0.weight", "1.bias", "0.bias", "2.weight", "2.bias"]


def test_a_group_that_comes_later_has_a_buffer_of_its_own():
    first, late = nn.Linear(3, 4), nn.Linear(4, 2)
    optimizer = optim.SGD(first.parameters())
    before = start(first.weight.data)
    optimizer.add_param_group({"params": late.parameters()})
    assert lies_together([p.data for p in late.parameters()])
    assert start(first.weight.data) == before


def test_each_group_begins_aligned():
    odd, even = nn.Linear(7, 3), nn.Sequential(nn.Linear(64, 64), nn.Linear(8, 4, bias=False))
    groups = [{"params": layers.parameters()} for layers in (odd, even)]
    optimizer = optim.SGD(groups, lr=0.1, momentum=0.5)
    base = odd.weight.data.base
    assert {id(p.data.base) for p in optimizer._parameters()} == {id(base)}
    for p in even.parameters():
        assert (start(p.data) - start(base)) % (4 * 32) == 0
    before = [p.numpy().copy() for p in optimizer._parameters()]
    for p in optimizer._parameters():
        p.sum().backward()
    assert {id(p.grad.data.base) for p in optimizer._parameters()} == {
        id(odd.weight.grad.data.base)
    }
    optim.clip_grad_norm_(optimizer._parameters(), 1.0)  # all groups at once, not what lies between
    factor = 1 / (sum(p.size for p in optimizer._parameters()) ** 0.5 + 1e-6)
    optimizer.step()
    for a, p in zip(before, optimizer._parameters(), strict=True):
        np.testing.assert_allclose(p.numpy(), a - 0.1 * factor, rtol=1e-5)


@pytest.mark.parametrize("home", HOMES)
def test_a_gradient_set_by_hand_or_summed_over_passes(home):
    """The sum of two passes lies in place as well; what the user sets stays what it is."""
    model = network(home)
    optimizer = optim.SGD(model.parameters())
    backward(model, home, 0)
    once = [p.grad.numpy().copy() for p in model.parameters()]
    backward(model, home, 1)
    assert lies_together([p.grad.data for p in model.parameters()])
    optimizer.zero_grad()
    backward(model, home, 1)
    for p, a in zip(model.parameters(), once, strict=True):
        own = mr.tensor(a, backend=home) + p.grad
        p.grad = own
        array = own.data
        optimizer.step()
        assert p.grad.data is array


def test_attributed_gradients_lie_in_place():
    model = network()
    optimizer = optim.Adam(model.parameters())
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(0.1)})
    objective(model, *data("numpy")).backward()
    assert lies_together([p.grad.data for p in model.parameters()])
    for p in model.parameters():
        np.testing.assert_array_equal(p.grad.numpy(), sum(p.grad.shares.values()))
    optimizer.step()


# --- nobody notices ------------------------------------------------------------------------------

HOLD = {
    "the array": lambda p: p.data,
    "a view": lambda p: p.data[:1],
    "a transpose": lambda p: p.data.T,
    "a tensor": lambda p: p.detach(),
    "another parameter": lambda p: nn.Parameter(p),
    "a graph": lambda p: (p * p).sum(),
}


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("what", HOLD)
def test_an_array_that_somebody_holds_is_not_moved(what, home):
    model = network(home)
    p = model[0].weight
    held, where = HOLD[what](p), start(p.data)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    assert start(p.data) == where
    assert lies_together([q.data for q in model.parameters() if q is not p])
    if what != "a graph":
        step(model, optimizer, home, 0)
        seen = getattr(held, "data", held) if isinstance(held, mr.Tensor) else held
        now = {"a view": p.data[:1], "a transpose": p.data.T}.get(what, p.data)
        np.testing.assert_array_equal(
            backend.of(seen).to_numpy(seen), backend.of(now).to_numpy(now)
        )


def test_the_array_a_tensor_was_made_from_follows_it():
    array, other = draw(3), draw(4)
    w, b = (mr.tensor(a, requires_grad=True) for a in (array, other))
    optimizer = optim.SGD([w, b], lr=0.5)
    (w.sum() + b.sum()).backward()
    optimizer.step()
    assert w.data is array
    np.testing.assert_array_equal(array, draw(3) - 0.5)


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("hold", ["tensor", "array", "a part"])
def test_a_gradient_that_somebody_holds_is_not_overwritten(hold, home):
    model = network(home)
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    backward(model, home, 0)
    grads = [p.grad for p in model.parameters()]
    if hold != "tensor":
        grads = [g.data if hold == "array" else g.data[:1] for g in grads]
    arrays = [g.data if isinstance(g, mr.Tensor) else g for g in grads]
    before = [backend.of(a).to_numpy(a).copy() for a in arrays]
    for seed in (1, 2):
        step(model, optimizer, home, seed)
        backward(model, home, seed)
    for a, b in zip(before, arrays, strict=True):
        np.testing.assert_array_equal(a, backend.of(b).to_numpy(b))


def test_old_states_are_not_overwritten():
    model = network()
    optimizer = optim.Adam(model.parameters())
    step(model, optimizer, "numpy", 0)
    kept = {p: s["exp_avg"] for p, s in optimizer.state.items()}
    before = {p: a.copy() for p, a in kept.items()}
    optimizer.state.clear()
    step(model, optimizer, "numpy", 1)
    for p, a in kept.items():
        np.testing.assert_array_equal(a, before[p])
        assert optimizer.state[p]["step"] == 1
    assert lies_together([s["exp_avg"] for s in optimizer.state.values()])


def test_gradients_are_freed_when_they_are_forgotten():
    model = network()
    optimizer = optim.SGD(model.parameters())
    backward(model, "numpy")
    buffer = weakref.ref(model[0].weight.grad.data.base)
    assert buffer() is not None
    optimizer.zero_grad()
    assert buffer() is None


def test_a_copy_of_a_model_has_its_own_memory():
    model = network()
    optim.SGD(model.parameters())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            assert not np.shares_memory(p.data, q.data)
            assert not flat.placed(q)
            np.testing.assert_array_equal(p.numpy(), q.numpy())


# --- gradients never alias -----------------------------------------------------------------------


def twice(w: mr.Tensor) -> Any:
    return mr.nn.functional.linear(mr.nn.functional.linear(w, w), w).sum()


def hooked(w: mr.Tensor) -> Any:
    w.register_hook(lambda g: kept.append(g))
    return (w * w).sum()


def nested(w: mr.Tensor) -> Any:
    inner = (w * w).sum()
    y = w * 1.0
    y.register_hook(lambda g: inner.backward(retain_graph=True))
    return (mr.nn.functional.linear(w, w) * y).sum()


def failing(w: mr.Tensor) -> Any:
    y = w * 1.0

    def fail(g: Any) -> None:
        raise ZeroDivisionError

    remove = y.register_hook(fail)
    with pytest.raises(ZeroDivisionError):
        (mr.nn.functional.linear(w, w).sum() + (y * y).sum()).backward()
    remove()
    return (w**3).sum()


kept: list[Any] = []
GRAPHS = {
    "one use": lambda w: mr.nn.functional.linear(w, w.detach() + 1).sum(), "the same leaf twice": twice,
    "a sum": lambda w: (w + w).sum(), "itself": lambda w: w,
    "a view": lambda w: w.T.sum() + w.reshape(9).sum(),
    "hooked": hooked, "a pass within a pass": nested, "after a failure": failing,
    "a wider gradient": lambda w: (w * np.ones((2, 3, 3))).sum(),
    "another dtype": lambda w: mr.nn.functional.linear(mr.tensor(np.ones((2, 3)), np.float32), w).sum(),
}  # fmt: skip


MIXING = {"a wider gradient", "another dtype"}  # with arrays of the host


@pytest.mark.parametrize(
    ("graph", "home"), [(g, h) for g in GRAPHS for h in HOMES if h == "numpy" or g not in MIXING]
)
def test_a_gradient_is_the_same_in_place(graph, home):
    found = []
    for laid in (False, True):
        w, b = (mr.tensor(draw(3, 3, seed=k), requires_grad=True, backend=home) for k in range(2))
        if laid:
            flat.lay_out([[w, b]])
        kept.clear()
        seed = mr.tensor(np.ones((3, 3)), backend=home) if graph == "itself" else None
        for _ in range(2):
            GRAPHS[graph](w).backward(seed)
        arrays = [w.grad.data, *(g.data for g in kept)]
        assert seed is None or w.grad.data is not seed.data
        hosts = [backend.of(a).to_numpy(a) for a in arrays]
        assert not any(np.shares_memory(hosts[0], a) for a in hosts[1:])
        found.append([np.array(a) for a in hosts])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_grad_and_recorded_passes_leave_the_places_alone():
    w, b = (mr.tensor(draw(3, 3, seed=k), requires_grad=True) for k in range(2))
    flat.lay_out([[w, b]])
    (mr.nn.functional.linear(w, b)).sum().backward()
    before = w.grad.numpy().copy()
    mr.grad((w * b).sum(), [w, b])
    (g,) = mr.grad((w**3).sum(), [w], create_graph=True)
    g.sum().backward(create_graph=True)
    np.testing.assert_allclose(w.grad.numpy(), before + 6 * w.numpy())


# --- every way ends where it ended -----------------------------------------------------------------


def plain(model: Any, optimizer: Any, home: str) -> None:
    for seed in range(4):
        step(model, optimizer, home, seed)


def replaced_data(model: Any, optimizer: Any, home: str) -> None:
    w = model[0].weight
    old = w.data
    step(model, optimizer, home, 0)
    w.data = backend.move(draw(*w.shape, seed=5), home)
    old[...] = math.nan  # nobody's now, though it lies among the others
    for seed in range(3):
        model[3].bias.data = model[3].bias.data * 0.5
        step(model, optimizer, home, seed)


def freezing(model: Any, optimizer: Any, home: str) -> None:
    for k in (0, 3, 0):
        model[k].requires_grad_(False)
        before = [p.numpy().copy() for p in model[k].parameters()]
        for seed in range(2):
            step(model, optimizer, home, seed)
        for a, p in zip(before, model[k].parameters(), strict=True):
            np.testing.assert_array_equal(a, p.numpy())
        model.requires_grad_(True)


def sharing(model: Any, optimizer: Any, home: str) -> None:
    """One parameter in two layers, and two that share memory since they were laid out."""
    model[4].bias = model[3].bias
    plain(model, optimizer, home)
    model[1].weight.data = model[1].bias.data
    plain(model, optimizer, home)


def groups(model: Any, optimizer: Any, home: str) -> None:
    late = nn.Linear(3, 3).to(np.float64).to(home)
    wider = nn.Sequential(*model, late)
    optimizer.add_param_group({"params": late.parameters(), "lr": 0.3})
    plain(wider, optimizer, home)
    optimizer.param_groups[1]["lr"] = 0.01
    plain(wider, optimizer, home)


def parts_of_the_model(model: Any, optimizer: Any, home: str) -> None:
    """Backward passes that reach some parameters only, with and without forgetting."""
    for seed in range(3):
        backward(model, home, seed)
        model[0].zero_grad()
        model[0](data(home, seed)[0]).sum().backward()
        optimizer.step()


def moving(model: Any, optimizer: Any, home: str) -> None:
    plain(model, optimizer, home)
    state = copy.deepcopy(optimizer.state_dict())
    model.to("numpy").to(home)
    optimizer.load_state_dict(state)
    plain(model, optimizer, home)


def restoring(model: Any, optimizer: Any, home: str) -> None:
    states = model.state_dict(), copy.deepcopy(optimizer.state_dict())
    plain(model, optimizer, home)
    model.load_state_dict(states[0])
    optimizer.load_state_dict(states[1])
    plain(model, optimizer, home)


def another_optimizer(model: Any, optimizer: Any, home: str) -> None:
    other = optim.SGD(model[0].parameters(), lr=0.05, momentum=0.5)
    for _ in range(2):
        plain(model, optimizer, home)
        step(model, other, home, 3)


def clipped(model: Any, optimizer: Any, home: str) -> None:
    for seed in range(3):
        step(model, optimizer, home, seed, max_norm=0.1)


def ledger(model: Any, optimizer: Any, home: str) -> None:
    books = mr.Ledger(optimizer)
    plain(model, optimizer, home)
    assert books.last.residual < 1e-12
    books.close()
    plain(model, optimizer, home)


def penalized(model: Any, optimizer: Any, home: str) -> None:
    terms = {"l2": L2(0.1), "net": (ElasticNet(0.01, 0.02), "0.*"),
             "l1": (L1(0.05), "3.weight", "prox"), "group": GroupLasso(0.01)}  # fmt: skip
    objective = mr.Objective(nn.MSELoss(), terms).bind(model).attach(optimizer)
    for seed in range(3):
        optimizer.zero_grad()
        objective(model, *data(home, seed)).backward(attribute=False, optimizer=optimizer)
        optimizer.step(max_norm=0.5)


SCENES = {f.__name__.replace("_", " "): f for f in (
    plain, replaced_data, freezing, sharing, groups, parts_of_the_model, moving, restoring,
    another_optimizer, clipped, ledger, penalized,
)}  # fmt: skip
LABELS = ["Adam, decay", "AdamW, amsgrad", "nesterov", "RMSprop, centered", "FISTA"]


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("label", LABELS)
def test_every_scene_ends_where_it_ends_apart(label, scene, monkeypatch):
    """The same, to the last bit, as with each array by itself; on the device as well."""
    ends = []
    for home, laid in (("numpy", False), ("numpy", True), ("strict", True)):
        with monkeypatch.context() as patch:
            if not laid:
                patch.setattr(pipeline, "lay_out", lambda groups: [*groups])
            model = network(home)
            optimizer = make(label, [*model.parameters()])
        assert all(map(flat.placed, model.parameters())) == laid
        with count_syncs() as syncs:
            SCENES[scene](model, optimizer, home)
        waits = [s for s in syncs if "get" not in str(s)]
        assert scene in ("ledger", "freezing") or home == "numpy" or not waits
        ends.append([t.numpy() for _, t in model._named_tensors()])
    for apart, together, device in zip(*ends, strict=True):
        np.testing.assert_array_equal(apart, together)
        np.testing.assert_allclose(together, device, rtol=1e-9, atol=1e-12)


# --- one pass, one kernel --------------------------------------------------------------------------

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


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],
                         ids=["copied", "pickled"])  # fmt: skip
def test_an_optimizer_goes_on_when_it_is(again):
    model = network()
    optimizer = optim.Adam(model.parameters())
    step(model, optimizer, "numpy", 0)
    other = again((model, optimizer))
    for m, o in ((model, optimizer), other):
        step(m, o, "numpy", 1)
    for p, q in zip(model.parameters(), other[0].parameters(), strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


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


def test_frozen_parameters_are_not_laid_out():
    model = network()
    model[0].requires_grad_(False)
    optim.SGD(model.parameters())
    assert [flat.placed(p) for p in model.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]


def test_a_span_around_others_is_due_in_its_turn():
    """One parameter on all the memory of two others."""
    ends = []
    for home in HOMES:
        whole = mr.tensor(draw(6), requires_grad=True, backend=home)
        parts = [mr.Tensor(whole.data[k : k + 3], requires_grad=True) for k in (0, 3)]
        alone = mr.tensor(draw(2), requires_grad=True, backend=home)
        params = [parts[0], whole, parts[1], alone]
        optimizer = optim.SGD(params, lr=0.1, weight_decay=0.5)
        for p in params:
            p.grad = mr.tensor(draw(*p.shape, seed=1), backend=home)
        optimizer.step()
        ends.append(whole.numpy())
    np.testing.assert_array_equal(*ends)
    expected = draw(6)
    for where in (slice(0, 3), slice(0, 6), slice(3, 6)):
        g = draw(expected[where].size, seed=1)
        expected[where] -= 0.1 * (g + 0.5 * expected[where])
    np.testing.assert_allclose(ends[0], expected, rtol=1e-14)


@pytest.mark.parametrize("shape", [(), (1,), (1, 4), (2, 4)])
@pytest.mark.parametrize("laid", [False, True])
def test_a_bias_that_is_broadcast(shape, laid):
    w, b = (mr.tensor(draw(*s, seed=k), requires_grad=True) for k, s in enumerate([(4, 3), shape]))
    if laid:
        flat.lay_out([[w, b]])
    weights = draw(2, 4, seed=5)
    (mr.nn.functional.linear(mr.tensor(draw(2, 3)), w, b) * weights).sum().backward()
    (expected,) = mr.grad((b * weights).sum(), b)
    np.testing.assert_allclose(b.grad.numpy(), expected.numpy(), rtol=1e-14)


def test_the_gradient_of_a_narrow_bias_is_summed_wide():
    found = []
    for laid in (False, True):
        w = mr.tensor(draw(4, 3), requires_grad=True)
        b, c = (mr.tensor(draw(4, seed=k), np.float32, requires_grad=True) for k in range(2))
        if laid:
            flat.lay_out([[w, b, c]])
        y = mr.nn.functional.linear(mr.tensor(draw(1000, 3)), w, b)
        (y * draw(1000, 4, seed=2)).sum().backward()
        found.append(b.grad.numpy())
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(found[0], draw(1000, 4, seed=2).sum(axis=0).astype("f4"))


def test_an_array_reshaped_in_place():
    w, b = (mr.tensor(draw(2, 3, seed=k), requires_grad=True) for k in range(2))
    optimizer = optim.SGD([w, b], lr=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's, from 2.5 on
        w.data.shape = (6,)
    (w * w).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(w.numpy(), -draw(2, 3).ravel())


def test_numbers_as_parameters_of_an_objective():
    """An array without dimensions stays one: its gradient can be clipped, and booked."""
    ends = []
    for attribute in (False, True):
        model = nn.Module()
        model.s, model.t = (nn.Parameter(np.asarray(v)) for v in (2.0, 3.0))
        model.forward = lambda x, model=model: x * model.s
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        books = mr.Ledger(optimizer)
        objective = mr.Objective(nn.MSELoss(), {"l2": (L2(0.1), "*")})
        for _ in range(3):
            optimizer.zero_grad()
            objective(model, mr.tensor(np.ones(3)), mr.tensor(np.zeros(3))).backward(attribute)
            assert optim.clip_grad_norm_(model.parameters(), 1e-3).item() > 1
            assert all(type(p.grad.data) is np.ndarray for p in model.parameters())
            optimizer.step()
        assert books.last.residual < 1e-14
        ends.append([p.item() for p in model.parameters()])
    np.testing.assert_allclose(*ends, rtol=1e-14)
