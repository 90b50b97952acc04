"""Optimizers: the in-place step is the formula, options are checked, state travels, decay decays."""

import copy
import math
import re
import warnings
from functools import cache

import numpy as np
import pytest
from support.arrays import draw
from support.few import slow_unless
from support.lists import exact
from support.optimizers import (
    NOISY,
    OPTIMIZERS,
    PENALTIES,
    UPWARDS,
    every_optimizer_and_noise,
    give,
    make,
    mutations,
    parameter,
)
from support.updates import formula

import minireg as mr
from minireg import backend, nn, optim
from minireg.penalties import L1, L2

# --- the step is the formula ----------------------------------------------------------------------


def test_every_optimizer_is_here():
    kinds = [getattr(optim, name) for name in optim.__all__]
    public = {k.__name__ for k in kinds if isinstance(k, type) and issubclass(k, optim.Optimizer)}
    listed = {name for name, _ in OPTIMIZERS.values()}
    exact("OPTIMIZERS in tests/support/optimizers.py", listed, public - {"Optimizer"})


@pytest.mark.parametrize(
    ("label", "upwards"),
    [*((n, {}) for n in OPTIMIZERS), *((n, {"maximize": True}) for n in UPWARDS)],
)
@pytest.mark.parametrize("shape", [(), (3, 4), (41,)])
def test_step_equals_formula(label, upwards, shape, monkeypatch):
    monkeypatch.setattr(backend, "BLOCK", 16)  # 41 elements: two blocks and a remainder
    p = parameter(draw(*shape))
    optimizer = make(label, [p], **upwards)
    expected, state = p.data.copy(), {}
    for seed in range(20):
        give(p, seed)
        g, kept = p.grad.data, p.grad.data.copy()
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + seed)
        expected = formula(optimizer, expected, g, state, optimizer.param_groups[0])
        optimizer.step()
        np.testing.assert_allclose(p.data, expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(g, kept)  # the gradient is only read
    for name, value in state.items():
        np.testing.assert_allclose(optimizer.state[p][name], value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("label", UPWARDS)
def test_maximizing_is_minimizing_the_negative(label):
    p, q = parameter(draw(3, 4)), parameter(draw(3, 4))
    up, down = make(label, [p], maximize=True), make(label, [q])
    for seed in range(5):
        give(p, seed)
        q.grad = mr.Tensor(-p.grad.data)
        up.step()
        down.step()
        np.testing.assert_array_equal(p.data, q.data)


@every_optimizer_and_noise
def test_blocks_change_nothing(label, monkeypatch):
    params = []
    for block in (7, 10**6):
        monkeypatch.setattr(backend, "BLOCK", block)
        p = parameter(draw(5, 9))
        optimizer = make(label, [p])
        for seed in range(5):
            give(p, seed)
            optimizer.step()
        params.append(p.data)
    np.testing.assert_array_equal(*params)


@every_optimizer_and_noise
def test_the_array_stays_and_keeps_its_dtype(label):
    p = mr.Tensor(draw(3, 4).astype(np.float32), requires_grad=True)
    array, optimizer = p.data, make(label, [p])
    for seed in range(3):
        p.grad = mr.Tensor(draw(3, 4, seed=seed).astype(np.float32))
        optimizer.step()
    assert p.data is array
    assert {a.dtype.name for k, a in optimizer.state[p].items() if k != "step"} <= {"float32"}


def test_prox_follows_the_step():
    p = parameter([3.0, 0.2, -0.2])
    optimizer = optim.ProximalGradient([p], lr=0.5, penalty=L1(1.0))
    p.grad = mr.Tensor(np.array([1.0, 1.0, 0.0]))
    optimizer.step()
    np.testing.assert_array_equal(p.data, L1(1.0).prox(np.array([2.5, -0.3, -0.2]), 0.5))


@pytest.mark.parametrize("label", [n for n in OPTIMIZERS if n != "FISTA, L1"])
def test_prox_ends_where_the_objective_is_stationary(label):
    """At argmin ½‖w − t‖² + λ‖w‖₁, so that λ means the same via prox and via gradient.

    The prox has to be as long as the step that a constant gradient makes: 1/(1 − μ) times lr
    with momentum, lr/(√v̂ + ε) under Adam and RMSprop.
    """
    target, strength = np.array([3.0, -2.0, 0.75, -0.25]), 0.5
    w = parameter(np.ones(4))
    optimizer = make(label, [w])
    optimizer.param_groups[0].update({"lr": 0.03, "weight_decay": 0.0})
    optimizer.add_prox([w], L1(strength))
    for _ in range(2000):
        w.grad = mr.Tensor(w.data - target)
        optimizer.step()
    np.testing.assert_allclose(w.data, L1(strength).prox(target, 1.0), atol=1e-6)
    assert w.data[3] == 0


def test_accelerated_zeros_are_exact_and_stay():
    """Between steps the parameters hold the extrapolated point: 0 wherever both iterates are."""
    w, target = parameter(np.zeros(30)), draw(30, seed=1)
    steep = np.geomspace(0.01, 1, 30)
    optimizer = optim.ProximalGradient([w], lr=1.0, penalty=L1(0.02), accelerated=True)
    before = w.data.copy()
    for _ in range(300):
        w.grad = mr.Tensor(steep * (w.data - target))
        optimizer.step()
        x = optimizer.state[w]["x"]
        assert (w.data[(x == 0) & (before == 0)] == 0).all()
        before = x
    exact = L1(0.02).prox(target, 1 / steep)
    np.testing.assert_allclose(x, exact, atol=1e-9)
    np.testing.assert_array_equal(x == 0, exact == 0)
    assert 0 < (exact == 0).sum() < 30


def test_without_restart_the_momentum_would_only_grow():
    """t grows by about ½ a step, and falls back to 1 when the momentum points uphill."""
    w = parameter([1.0])
    optimizer = optim.ProximalGradient([w], lr=0.1, accelerated=True)
    counts = []
    for _ in range(40):
        w.grad = mr.Tensor(w.data.copy())
        optimizer.step()
        counts.append(float(optimizer.state[w]["t"]))
    falls = [k for k in range(1, 40) if counts[k] < counts[k - 1]]
    assert falls
    assert all(counts[k] == pytest.approx((1 + 5**0.5) / 2) for k in falls)
    assert abs(w.item()) < 1e-4


def test_acceleration_is_an_option_of_the_group():
    plain, fast = parameter([1.0]), parameter([1.0])
    optimizer = optim.ProximalGradient(
        [{"params": plain}, {"params": fast, "accelerated": True}], 0.1
    )
    for _ in range(3):
        for p in (plain, fast):
            p.grad = mr.Tensor(np.ones(1))
        optimizer.step()
    assert plain.item() == pytest.approx(0.7)
    assert fast.item() < 0.7
    assert "x" not in optimizer.state[plain]


def test_prox_reaches_groups_that_come_later():
    first, second = parameter([1.0]), parameter([1.0])
    optimizer = optim.ProximalGradient([first], lr=0.5, penalty=L1(1.0))
    optimizer.add_param_group({"params": [second], "lr": 0.25})
    for p in (first, second):
        p.grad = mr.Tensor(np.zeros(1))
    optimizer.step()
    assert (first.item(), second.item()) == (0.5, 0.75)


# --- decay ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_weight_decay_shrinks_without_a_gradient_of_the_data(name):
    p = parameter([2.0, -3.0])
    p.grad = mr.Tensor(np.zeros(2))
    getattr(optim, name)([p], lr=0.1, weight_decay=0.5).step()
    assert (np.abs(p.data) < [2.0, 3.0]).all()
    assert (np.sign(p.data) == [1, -1]).all()


def test_coupled_decay_is_an_l2_gradient_and_decoupled_decay_is_not():
    """Claims C29, C40: under Adam the two differ, under plain SGD they do not."""
    steps = {}
    for name, options in {"SGD": {}, "Adam": {}, "AdamW": {}}.items():
        for way in ("weight_decay", "L2"):
            p = parameter([2.0, -0.5])
            rate = 0.3 if way == "weight_decay" else 0.0
            optimizer = getattr(optim, name)([p], lr=0.1, weight_decay=rate, **options)
            for seed in range(5):
                give(p, seed)
                if way == "L2":
                    p.grad.data += L2(0.3).gradient(p.data)
                optimizer.step()
            steps[name, way] = p.data
    for name, equal in {"SGD": True, "Adam": True, "AdamW": False}.items():
        assert np.allclose(steps[name, "weight_decay"], steps[name, "L2"], rtol=1e-12) == equal


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "dampening": 0.4},
                                     {"momentum": 0.9, "nesterov": True}])  # fmt: skip
def test_decoupled_decay_of_sgd_passes_by_the_momentum(options):
    """Claim C35: the buffer is that of g alone, and θ before the step shrinks by the factor 1 − lr·wd."""
    p, q = parameter(draw(5)), parameter(draw(5))
    decayed = optim.SGD([p], lr=0.1, weight_decay=0.3, decoupled=True, **options)
    plain = optim.SGD([q], lr=0.1, **options)
    for seed in range(5):
        give(p, seed)
        give(q, seed)
        q.data[...] = p.data
        plain.step()
        step, before = q.data - p.data, p.data.copy()
        decayed.step()
        np.testing.assert_allclose(p.data, (1 - 0.1 * 0.3) * before + step, rtol=1e-13)
    if options:
        buffers = (o.state[w]["momentum_buffer"] for o, w in ((decayed, p), (plain, q)))
        np.testing.assert_array_equal(*buffers)
    assert decayed.text != plain.text
    assert (plain.decays(plain.param_groups[0]), decayed.decay_of(p)) == ((0.0, 0.0), 0.3)


@pytest.mark.parametrize(("dtype", "large"), [("float16", 300), ("float32", 2e19)])
@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop"])
def test_one_large_gradient_does_not_freeze_a_parameter_for_good(name, dtype, large):
    """Its square overflows, but not times 1 − β₂: then v is finite, and forgets."""
    p = mr.Tensor(np.ones(1, dtype), requires_grad=True)
    optimizer = getattr(optim, name)([p], lr=0.1, eps=1e-4)
    for g in (large, *[large / 10] * 20):
        p.grad = mr.Tensor(np.full(1, g, dtype))
        optimizer.step()
    assert all(np.isfinite(a).all() for a in optimizer.state[p].values())
    assert p.item() < 0.7


def test_a_step_that_owes_a_prox_is_refused():
    """An objective whose prox terms were attached to an earlier optimizer (defect 6)."""
    p, l1 = parameter(draw(3)), L1(1.0)
    first, second = optim.SGD([p]), optim.SGD([p])
    first.add_prox([p], l1, "sparse")
    p.grad = type("Pending", (mr.Tensor,), {"_proxes": (("sparse", l1),)})(draw(3, seed=1))
    first.step()
    before = p.data.copy()
    with pytest.raises(RuntimeError, match=r"SGD.step: .*'sparse'.*objective.attach\(optimizer\)"):
        second.step()
    np.testing.assert_array_equal(p.data, before)


@pytest.mark.parametrize("scale", ["lr", "schedule"])
def test_decay_scale(scale):
    """Decay per step: lr·wd, or wd times what the schedule has made of the initial rate."""
    for initial in (0.1, 0.01):
        p = parameter([1.0])
        optimizer = optim.AdamW([p], lr=initial, weight_decay=0.2, decay_scale=scale)
        expected = 1.0
        for multiplier in (1.0, 0.5, 0.0):
            rate = optimizer.param_groups[0]["lr"] = initial * multiplier
            p.grad = mr.Tensor(np.zeros(1))
            optimizer.step()
            expected *= 1 - 0.2 * (rate if scale == "lr" else multiplier)
            assert p.item() == pytest.approx(expected, rel=1e-14)


def test_under_a_cycle_the_decay_follows_the_rate_up_to_its_peak():
    """OneCycleLR starts below its peak: the multiplier is lr/max_lr, never more than 1."""
    p = parameter([1.0])
    optimizer = optim.AdamW([p], lr=9.0, weight_decay=0.2, decay_scale="schedule")
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=20, pct_start=0.25)
    multipliers, expected = [], 1.0
    for _ in range(20):
        p.grad = mr.Tensor(np.zeros(1))
        multipliers.append(optimizer.param_groups[0]["lr"] / 0.5)
        optimizer.step()
        schedule.step()
        expected *= 1 - 0.2 * multipliers[-1]
        assert p.item() == pytest.approx(expected, rel=1e-12)
    assert multipliers[0] == pytest.approx(1 / 25)
    assert max(multipliers) == pytest.approx(1)


def test_decay_scale_survives_a_restart():
    p = parameter([1.0])
    optimizer = optim.AdamW([p], lr=0.1, weight_decay=0.2, decay_scale="schedule")
    optimizer.param_groups[0]["lr"] = 0.05
    other = optim.AdamW([p], lr=0.7)
    other.load_state_dict(optimizer.state_dict())
    p.grad = mr.Tensor(np.zeros(1))
    other.step()
    assert p.item() == pytest.approx(1 - 0.2 * 0.5)


def length_after(label, *term):
    """Of the weights of a regression, trained with a penalty or without."""
    mr.manual_seed(0)
    model = nn.Linear(4, 1, dtype=np.float64)
    optimizer = make(label, model.parameters())
    terms = {"penalty": (PENALTIES[term[0]], None, term[1])} if term else {}
    objective = mr.Objective(nn.MSELoss(), terms).bind(model).attach(optimizer)
    x = mr.Tensor(draw(16, 4))
    for _ in range(100):
        optimizer.zero_grad()
        objective(model, x, x[:, :1] * 2).backward()
        optimizer.step()
    return np.linalg.norm(model.weight.data)


free = cache(
    length_after
)  # without a penalty; those with one are asked once, and with planted faults


@pytest.mark.parametrize(
    "label",
    slow_unless({*(*OPTIMIZERS,)[::2]}.__contains__, [n for n in OPTIMIZERS if n != "FISTA, L1"]),
)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("via", ["gradient", "prox"])
def test_a_penalty_has_an_effect(label, penalty, via):
    """Trained with it, the weights end up smaller than without."""
    assert length_after(label, penalty, via) < 0.9 * free(label)


# --- sampling -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.2, 0.1, 0.05])
@pytest.mark.parametrize("curvature", [1.0, 3.0])
def test_langevin_dynamics_settle_at_the_temperature(rate, curvature):
    """Claim C103: the variance on ½aθ² is T/(a(1 − ½ηa)), so T/a whatever a small η is."""
    temperature = 0.1
    w = parameter(np.zeros(20_000))  # so many chains
    optimizer = optim.SGLD([w], rate, temperature, seed=0)
    variances = []
    for step in range(200):
        w.grad = mr.Tensor(curvature * w.data)
        optimizer.step()
        if step >= 100:
            variances.append(np.mean(w.data**2))
    expected = temperature / (curvature * (1 - rate * curvature / 2))
    assert np.mean(variances) == pytest.approx(expected, rel=0.01)
    assert abs(np.mean(w.data)) < 5 * math.sqrt(expected / w.size)


def test_at_temperature_zero_it_is_gradient_descent():
    """Claim C103: which has no variance of its own."""
    p, q = parameter(draw(50)), parameter(draw(50))
    both = optim.SGLD([p], 0.1, 0.0, weight_decay=0.3), optim.SGD([q], 0.1, weight_decay=0.3)
    for seed in range(5):
        for each, optimizer in zip((p, q), both, strict=True):
            give(each, seed)
            optimizer.step()
    np.testing.assert_array_equal(p.data, q.data)


def test_weight_decay_is_a_gaussian_prior():
    """With no data at all the chain samples exp(−½ wd θ²/T)."""
    w = parameter(np.zeros(20_000))
    optimizer = optim.SGLD([w], 0.01, temperature=0.5, weight_decay=2.0, seed=1)
    for _ in range(500):
        w.grad = mr.Tensor(np.zeros(w.size))
        optimizer.step()
    assert np.var(w.data) == pytest.approx(0.5 / 2.0, rel=0.04)


def test_noise_is_seeded_and_never_the_same_twice():
    def path(seed: int | None) -> np.ndarray:
        a, b = parameter(np.zeros(4)), parameter(np.zeros(4))
        optimizer, rows = optim.SGLD([a, b], 0.1, seed=seed), []
        for _ in range(3):
            for p in (a, b):
                p.grad = mr.Tensor(np.zeros(4))
            optimizer.step()
            rows += [a.data.copy(), b.data.copy()]
        return np.array(rows)

    np.testing.assert_array_equal(path(1), path(1))
    assert (path(1) != path(2)).all()
    assert len(np.unique(path(1))) == 24
    mr.manual_seed(0)
    first, second = path(None), path(None)
    assert (first != second).all()
    mr.manual_seed(0)
    np.testing.assert_array_equal(path(None), first)


# --- what is left alone ---------------------------------------------------------------------------


@every_optimizer_and_noise
def test_frozen_and_unused_parameters_are_untouched(label):
    frozen, unused, used = (parameter(draw(3, seed=s)) for s in range(3))
    before = [p.data.copy() for p in (frozen, unused, used)]
    optimizer = make(label, [frozen, unused, used])
    optimizer.add_prox([frozen, unused, used], L1(1.0))
    for p in (frozen, used):
        give(p, 5)
    frozen.requires_grad_(False)
    optimizer.step()
    np.testing.assert_array_equal(frozen.data, before[0])
    np.testing.assert_array_equal(unused.data, before[1])
    assert (used.data != before[2]).all()
    assert frozen not in optimizer.state
    assert unused not in optimizer.state


@every_optimizer_and_noise
def test_a_graph_notices_the_update(label):
    w, x = parameter(draw(3)), parameter(draw(3, seed=1))
    optimizer = make(label, [w])
    loss = (w * x).sum()
    give(w, 2)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"'mul' needs argument 0 .* changed in place"):
        loss.backward()
    (w * x).sum().backward()


def test_zero_grad_forgets_in_every_group():
    a, b = parameter(draw(2)), parameter(draw(3))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b]}], lr=0.1)
    give(a, 0)
    give(b, 1)
    optimizer.zero_grad()
    assert a.grad is b.grad is None


# --- state ----------------------------------------------------------------------------------------


@every_optimizer_and_noise
def test_state_dict_continues_identically(label):
    """Also into an optimizer that was made with other options."""
    p = parameter(draw(3, 4))
    optimizer = make(label, [p])
    for seed in range(3):
        give(p, seed)
        optimizer.step()
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    q = parameter(p.data)
    name, options = (OPTIMIZERS | NOISY)[label]
    other = getattr(optim, name)([q], **{"lr": 7.0, "penalty": options["penalty"]} if "penalty" in options
                                 else {"lr": 7.0})  # fmt: skip
    other.load_state_dict(state)
    for seed in range(3, 6):
        for each in (p, q):
            give(each, seed)
        optimizer.step()
        other.step()
        np.testing.assert_array_equal(p.data, q.data)
    # neither optimizer wrote into the state that was handed over
    assert state["param_groups"] == kept["param_groups"]
    for name, value in kept["state"][0].items():
        np.testing.assert_array_equal(state["state"][0][name], value)


def test_a_state_of_another_layout_is_refused():
    a, b = parameter(draw(2)), parameter(draw(3))
    one, two = optim.Adam([a]), optim.Adam([{"params": [a]}, {"params": [b]}])
    with pytest.raises(ValueError, match=r"Adam.load_state_dict: got 2 groups .*expected 1 with 1"):
        one.load_state_dict(two.state_dict())


def frozen(value):
    """What can be compared, to the bit."""
    if isinstance(value, dict):
        return {k: frozen(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [frozen(v) for v in value]
    return (value.dtype.str, value.tobytes()) if hasattr(value, "tobytes") else repr(value)


@every_optimizer_and_noise
def test_a_state_is_loaded_whole_or_changes_nothing(label):
    params = [parameter(draw(3, 2)), parameter(draw(2))]
    optimizer = make(label, [{"params": params[0]}, {"params": params[1], "lr": 0.2}])
    for seed in range(2):
        for p in params:
            give(p, seed)
        optimizer.step()
    good, loaded, refused = optimizer.state_dict(), 0, 0
    for bad in mutations(good, np.random.default_rng(0)):
        before = frozen(optimizer.state_dict())
        try:
            optimizer.load_state_dict(bad)
        except (TypeError, ValueError) as error:
            found = str(error)
            assert frozen(optimizer.state_dict()) == before
            assert type(optimizer).__name__ in found
            refused += 1
        else:
            loaded += 1
            for p in params:  # it is a state to go on with
                give(p, 3)
            with np.errstate(all="ignore"):
                optimizer.step()
            optimizer.load_state_dict(good)
    assert refused > loaded > 0


def test_what_to_do_with_a_state_of_pytorch_is_said():
    w = mr.tensor([1.0], requires_grad=True)
    there = {"lr": 0.1, "momentum": 0.9, "dampening": 0, "weight_decay": 0, "nesterov": False}
    group = {**there, "maximize": False, "foreach": None, "fused": None, "params": [0]}
    state = {"state": {0: {"momentum_buffer": np.ones(1)}}, "param_groups": [group]}
    with pytest.raises(ValueError, match="Of PyTorch's load the weights alone, and begin anew"):
        mr.optim.SGD([w], 0.1, 0.9).load_state_dict(state)


def test_states_that_do_not_fit_are_refused_by_name():
    """Defect 8: all of these were taken, to fail later or train on nonsense."""
    p = parameter(draw(2, 3))
    sgd, adam = optim.SGD([p], momentum=0.9), optim.Adam([p])
    give(p, 0)
    sgd.step()
    adam.step()

    def changed(optimizer, change):
        state = optimizer.state_dict()
        change(state)
        return state

    cases = [
        (sgd, adam.state_dict(), "SGD.load_state_dict: group 0 lacks .*'momentum'.* of another optimizer"),
        (adam, {}, r"Adam.load_state_dict: state lacks \['param_groups', 'state'\]"),
        (adam, changed(adam, lambda s: s["state"][0].pop("exp_avg_sq")),
         r"parameter 0: got the states .* expected \['step', 'exp_avg', 'exp_avg_sq'\]"),
        (adam, changed(adam, lambda s: s["state"].update({-1: s["state"].pop(0)})), r"parameters \[-1\]"),
        (adam, changed(adam, lambda s: s["param_groups"][0].update(lr=-1)), "lr must be .*, got -1"),
        (adam, changed(adam, lambda s: s["state"][0].update(exp_avg=np.zeros((16, 6)))),
         r"parameter 0: 'exp_avg' has shape \(2, 3\), got \(16, 6\)"),
        (adam, changed(adam, lambda s: s["state"][0].update(step=-2)), "step must be an integer ≥ 0, got -2"),
    ]  # fmt: skip
    for optimizer, state, message in cases:
        before = frozen(optimizer.state_dict())
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(state)
        assert frozen(optimizer.state_dict()) == before
    with pytest.raises(
        TypeError, match=r"state must be a mapping .* list.*optimizer.state_dict\(\)"
    ):
        adam.load_state_dict([])


def test_states_come_in_the_dtype_of_the_parameter():
    p, q = parameter(draw(3)), mr.Tensor(draw(3).astype(np.float32), requires_grad=True)
    wide, narrow = optim.Adam([p]), optim.Adam([q])
    give(p, 0)
    wide.step()
    narrow.load_state_dict(wide.state_dict())
    assert {v.dtype.name for k, v in narrow.state[q].items() if k != "step"} == {"float32"}


def test_groups_have_their_own_options():
    a, b = parameter([1.0]), parameter([1.0])
    optimizer = optim.SGD([{"params": [a], "lr": 0.5}, {"params": b, "weight_decay": 1.0}], lr=0.1)
    for p in (a, b):
        p.grad = mr.Tensor(np.ones(1))
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.8)
    assert [g["initial_lr"] for g in optimizer.param_groups] == [0.5, 0.1]


# --- refusals -------------------------------------------------------------------------------------

NESTEROV = "SGD: nesterov needs momentum > 0 and dampening = 0, got"
NUMBER = "must be a finite number ≥ 0, got"
UNIT = "must be in [0, 1), got"

# label: (optimizer, options, message)
BAD = {
    "lr": ("SGD", {"lr": -0.1}, f"SGD: lr {NUMBER} -0.1"),
    "lr nan": ("Adam", {"lr": math.nan}, f"Adam: lr {NUMBER} nan"),
    "lr infinite": ("Adam", {"lr": math.inf}, f"Adam: lr {NUMBER} inf"),
    "lr text": ("AdamW", {"lr": "0.1"}, f"AdamW: lr {NUMBER} '0.1'"),
    "lr none": ("ProximalGradient", {"lr": None}, f"ProximalGradient: lr {NUMBER} None"),
    "momentum": ("SGD", {"momentum": -0.9}, f"SGD: momentum {NUMBER} -0.9"),
    "decay": ("SGD", {"weight_decay": -1e-4}, f"SGD: weight_decay {NUMBER} -0.0001"),
    "adam decay": ("Adam", {"weight_decay": -1}, f"Adam: weight_decay {NUMBER} -1"),
    "adamw decay": ("AdamW", {"weight_decay": math.nan}, f"AdamW: weight_decay {NUMBER} nan"),
    "first beta": ("Adam", {"betas": (1.0, 0.9)}, f"Adam: betas[0] {UNIT} 1.0"),
    "second beta": ("AdamW", {"betas": (0.9, -0.1)}, f"AdamW: betas[1] {UNIT} -0.1"),
    "eps": ("Adam", {"eps": -1e-8}, f"Adam: eps {NUMBER} -1e-08"),
    "rmsprop alpha": ("RMSprop", {"alpha": 1.0}, f"RMSprop: alpha {UNIT} 1.0"),
    "rmsprop eps": ("RMSprop", {"eps": math.nan}, f"RMSprop: eps {NUMBER} nan"),
    "rmsprop momentum": ("RMSprop", {"momentum": -1}, f"RMSprop: momentum {NUMBER} -1"),
    "rmsprop decay": ("RMSprop", {"weight_decay": None}, f"RMSprop: weight_decay {NUMBER} None"),
    "temperature": ("SGLD", {"temperature": -0.5}, f"SGLD: temperature {NUMBER} -0.5"),
    "sgld decay": ("SGLD", {"weight_decay": -0.5}, f"SGLD: weight_decay {NUMBER} -0.5"),
    "nesterov": ("SGD", {"nesterov": True}, f"{NESTEROV} momentum=0.0, dampening=0.0"),
    "nesterov, dampened": (
        "SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
        f"{NESTEROV} momentum=0.9, dampening=0.1",
    ),
    "decay scale": (
        "AdamW", {"decay_scale": "none"}, "AdamW: decay_scale must be 'lr' or 'schedule', got 'none'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("label", BAD)
@pytest.mark.parametrize("where", ["default", "group"])
def test_a_bad_option_is_named(label, where):
    name, options, message = BAD[label]
    params = [parameter([1.0])]
    if where == "group":
        params, options = [{"params": params, **options}], {}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        getattr(optim, name)(params, **options)


# label: (what is given as parameters, error, message)
BAD_PARAMETERS = {
    "none": (lambda p: [], ValueError, "SGD: got no parameters to optimize"),
    "an array": (lambda p: [p.data], TypeError, "expected Tensors as parameters, got array"),
    "a result": (lambda p: [p * 2], TypeError, "expected leaf Tensors of floats as parameters, got Tensor"),
    "twice": (lambda p: [p, p], ValueError, r"SGD: a parameter of shape \(2,\) is in two groups"),
    "in two groups": (lambda p: [{"params": p}, {"params": [p]}], ValueError, "is in two groups"),
    "unknown option": (lambda p: [{"params": p, "rate": 1}], ValueError, r"unknown option \['rate'\]"),
}  # fmt: skip


@pytest.mark.parametrize("label", BAD_PARAMETERS)
def test_bad_parameters_are_told(label):
    given, error, message = BAD_PARAMETERS[label]
    with pytest.raises(error, match=message):
        optim.SGD(given(parameter([1.0, 2.0])), lr=0.1)


def test_one_tensor_and_a_generator_are_parameters():
    p = parameter([1.0])
    assert optim.SGD(p).param_groups[0]["params"] == [p]
    assert optim.SGD(q for q in [p]).param_groups[0]["params"] == [p]


def test_weight_decay_by_hand_that_reaches_biases_and_norms_is_told():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3), nn.Linear(3, 2))
    told = r"AdamW: weight decay reaches biases \(2\) and scales and shifts of norms \(2\); mr.optim.decay"
    with pytest.warns(UserWarning, match=told) as caught:
        optimizer = optim.AdamW(model.parameters(), weight_decay=0.1)
    assert caught[0].filename == __file__
    assert "reaches biases (2)" in repr(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optim.AdamW(model.parameters())  # the default was nobody's choice; the repr tells
        optim.SGD([parameter([1.0])], weight_decay=0.1)
        optim.SGD([p for p in model.parameters() if p.kind == "weight"], weight_decay=0.1)
        optim.SGD([{"params": model.parameters()}], weight_decay=0.1)
        spared = optim.Adam(optim.decay_groups(model, 0.1))
    assert "reaches" not in repr(spared)
    decays = {name: spared.decay_of(p) for name, p in model.named_parameters()}
    assert {name for name, decay in decays.items() if decay == 0.1} == {"0.weight", "2.weight"}
    assert spared.decay_of(parameter([1.0])) == 0
    assert len(optim.decay_groups(nn.Linear(2, 2, bias=False), 0.1)) == 1


def test_a_step_without_a_backward_is_told():
    optimizer = optim.SGD([parameter([1.0])])
    with pytest.warns(
        UserWarning, match=r"SGD.step: no parameter has a gradient.* call backward\(\)"
    ) as caught:
        optimizer.step()
    assert caught[0].filename == __file__


def test_repr_of_an_optimizer():
    model = nn.Linear(100, 20)
    text = repr(optim.AdamW(optim.decay_groups(model, 0.01), lr=0.1))
    assert text == (
        "AdamW(lr=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, decay_scale='lr') on "
        "2,020 numbers: θ ← (1 − lr·wd)θ − lr·m̂/(√v̂ + ε)"
    )
    assert repr(optim.AdamW(model.parameters(), lr=0.1)) == (
        f"{text}\n  weight decay reaches biases (1); mr.optim.decay_groups(model, weight_decay) spares them"
    )
    assert repr(optim.ProximalGradient([parameter([1.0])], 0.5, accelerated=True)) == (
        "ProximalGradient(lr=0.5, accelerated=True) on 1 numbers: θ ← prox(θ − lr·g, lr)"
    )


# --- clipping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_type", [1, 2, 3, math.inf])
def test_clipping_scales_all_gradients_alike(norm_type):
    params = [parameter(np.zeros((3, 2))), parameter(np.zeros(())), parameter(np.zeros(4))]
    for seed, p in enumerate(params[:2]):
        give(p, seed)
    before = np.concatenate([p.grad.data.ravel() for p in params[:2]])
    norm = optim.clip_grad_norm_(params, 0.5, norm_type)
    after = np.concatenate([p.grad.data.ravel() for p in params[:2]])
    assert norm.item() == pytest.approx(np.linalg.norm(before, norm_type))
    assert np.linalg.norm(after, norm_type) == pytest.approx(0.5, rel=1e-5)
    np.testing.assert_allclose(after / after[0], before / before[0])
    assert params[2].grad is None


def test_small_gradients_are_not_clipped():
    p = parameter(np.zeros(4))
    give(p, 0)
    before = p.grad.data.copy()
    optim.clip_grad_norm_(p, 100.0)
    np.testing.assert_array_equal(p.grad.data, before)


def test_without_gradients_the_norm_is_zero():
    assert optim.clip_grad_norm_([parameter([1.0])], 1.0).item() == 0
    assert optim.clip_grad_norm_([], 1.0).item() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [((-1.0,), r"max_norm must be in \[0, inf\], got -1.0"), ((math.nan,), "max_norm .* got nan"),
     ((1.0, 0), r"norm_type must be in \(0, inf\], got 0"), ((1.0, -math.inf), "norm_type .* got -inf")],
)  # fmt: skip
def test_a_bad_norm_is_named(options, message):
    with pytest.raises(ValueError, match=f"clip_grad_norm_: {message}"):
        optim.clip_grad_norm_([parameter([1.0])], *options)


def test_clipping_by_value_clips_each_element():
    p, unused = parameter(np.zeros(3)), parameter(np.zeros(2))
    g = p.grad = mr.Tensor(np.array([-3.0, 0.5, 2.0]))
    assert optim.clip_grad_value_(iter([p, unused]), 1.0) is None
    assert p.grad is g
    np.testing.assert_array_equal(g.data, [-1.0, 0.5, 1.0])
    optim.clip_grad_value_(p, 0.25)
    np.testing.assert_array_equal(g.data, [-0.25, 0.25, 0.25])


@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_a_bad_value_is_named(value):
    with pytest.raises(
        ValueError, match=f"^clip_grad_value_: clip_value must be in .*, got {value}"
    ):
        optim.clip_grad_value_([parameter([1.0])], value)


# --- early stopping -------------------------------------------------------------------------------

# label: (options, figures, at which look it stops, which look was best)
STOPS = {
    "improves": ({"patience": 2}, [3, 2, 1], None, 3),
    "gets worse": ({"patience": 2}, [3, 2, 2.5, 2.5, 0], 4, 2),
    "recovers": ({"patience": 2}, [3, 2, 2.5, 1, 1.5, 1.5], 6, 4),
    "equal is no improvement": ({"patience": 2}, [1, 1, 1], 3, 1),
    "min_delta": ({"patience": 2, "min_delta": 0.5}, [3, 2.75, 2.6], 3, 1),
    "min_delta reached": ({"patience": 2, "min_delta": 0.5}, [3, 2.75, 2.25], None, 3),
    "accuracy": ({"patience": 2, "monitor": "train_accuracy"}, [0.5, 0.6, 0.55, 0.4], 4, 2),
    "never a number": ({"patience": 2}, [math.nan, math.nan], 2, 0),
    "a number after none": ({"patience": 3}, [math.nan, 5, 6, math.nan], None, 2),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:EarlyStopping. validation_loss is nan")
@pytest.mark.parametrize("label", STOPS)
def test_early_stopping_looks(label):
    options, figures, stops, best = STOPS[label]
    stopping = optim.EarlyStopping(**options)
    stopped = next((i for i, value in enumerate(figures, 1) if stopping.update(value)), None)
    assert (stopped, stopping.best_look) == (stops, best)


def test_early_stopping_says_what_it_has_seen():
    """It was ``<… object at 0x…>``."""
    stopping = optim.EarlyStopping(3, monitor="train_accuracy")
    options = "patience=3, min_delta=0.0, monitor='train_accuracy', restore_best=True"
    assert repr(stopping) == f"EarlyStopping({options}) after 0 looks"
    for value in (0.5, 0.75, 0.25):
        stopping.update(value)
    assert repr(stopping) == f"EarlyStopping({options}) after 3 looks, best 0.75 at look 2"


def test_early_stopping_keeps_a_copy_of_the_best_weights():
    model, stopping = nn.Linear(2, 1), optim.EarlyStopping()
    for value, weight in ((2.0, 5.0), (1.0, 6.0), (3.0, 7.0)):
        model.weight.assign(weight)
        stopping.update(value, model)
    stopping.restore(model)
    assert (model.weight.data == 6.0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"patience": 0}, "patience must be an integer ≥ 1, got 0"), ({"patience": 1.5}, "got 1.5"),
     ({"min_delta": -1}, "min_delta must be a finite number ≥ 0, got -1"),
     ({"min_delta": math.nan}, "got nan")],
)  # fmt: skip
def test_early_stopping_names_the_bad_option(options, message):
    with pytest.raises(ValueError, match=f"EarlyStopping: .*{message}"):
        optim.EarlyStopping(**options)
