"""Schedules: each is its formula, they multiply, restart and travel; and fit steps them when due."""

import copy
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from support.lists import exact
from support.optimizers import mutations

import minireg as mr
from minireg import nn, optim
from minireg.optim import lr_scheduler as schedules

BASE = 0.8


def optimizer(
    name: str = "SGD", rates: tuple[float, ...] = (BASE,), **options: Any
) -> optim.Optimizer:
    groups = [{"params": mr.Tensor(np.zeros(1), requires_grad=True), "lr": lr} for lr in rates]
    return getattr(optim, name)(groups, lr=1.0, **options)


def rates(o: optim.Optimizer, schedule: Any, epochs: int, figures: Any = None) -> np.ndarray:
    """The rates of each group at epochs 0 … epochs − 1."""
    rows = []
    for k in range(epochs):
        rows.append([group["lr"] for group in o.param_groups])
        schedule.step(*[] if figures is None else [figures[k]])
    return np.array(rows)


def cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


# label: (schedule for an optimizer, its multiplier at epoch k by the formula of its repr)
FORMULAS: dict[str, tuple[Callable[[Any], Any], Callable[[int], float]]] = {
    "LambdaLR": (lambda o: schedules.LambdaLR(o, lambda k: 1 / (k + 1)), lambda k: 1 / (k + 1)),
    "StepLR": (lambda o: schedules.StepLR(o, 7, 0.5), lambda k: 0.5 ** (k // 7)),
    "MultiStepLR": (lambda o: schedules.MultiStepLR(o, [5, 9, 9], 0.5),
                    lambda k: 0.5 ** ((k >= 5) + 2 * (k >= 9))),
    "ExponentialLR": (lambda o: schedules.ExponentialLR(o, 0.9), lambda k: 0.9**k),
    "ConstantLR": (lambda o: schedules.ConstantLR(o, 0.25, 6), lambda k: 0.25 if k < 6 else 1.0),
    "LinearLR": (lambda o: schedules.LinearLR(o, 0.1, 0.9, 10),
                 lambda k: 0.1 + 0.8 * min(k, 10) / 10),
    "PolynomialLR": (lambda o: schedules.PolynomialLR(o, 20, 2.0), lambda k: max(1 - k / 20, 0) ** 2),
    "CosineAnnealingLR": (lambda o: schedules.CosineAnnealingLR(o, 15, 0.1 * BASE),
                          lambda k: 0.1 + 0.9 * cosine(k / 15)),
    "CosineAnnealingWarmRestarts": (
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 5, 2),
        lambda k: cosine(
            k / 5 if k < 5 else (k - 5) / 10 if k < 15 else (k - 15) / 20 if k < 35 else (k - 35) / 40),
    ),
    "OneCycleLR": (
        lambda o: schedules.OneCycleLR(o, BASE, 40, pct_start=0.275, anneal_strategy="linear",
                                       cycle_momentum=False),
        lambda k: np.interp(k, [0, 10, 39], [1 / 25, 1.0, 1 / 25e4]),
    ),
    "SequentialLR": (
        lambda o: schedules.SequentialLR(
            o, [schedules.LinearLR(o, 0.1, 1.0, 10), schedules.CosineAnnealingLR(o, 20),
                schedules.ExponentialLR(o, 0.5)], [10, 30]
        ),
        lambda k: 0.1 + 0.09 * k if k < 10 else cosine((k - 10) / 20) if k < 30 else 0.5 ** (k - 30),
    ),
}  # fmt: skip
every_schedule = pytest.mark.parametrize("label", [*FORMULAS, "ReduceLROnPlateau"])


def build(label: str, o: optim.Optimizer) -> Any:
    if label == "ReduceLROnPlateau":
        return schedules.ReduceLROnPlateau(o, patience=1, factor=0.5)
    return FORMULAS[label][0](o)


def figures(label: str, n: int) -> list[float] | None:
    return [abs(math.sin(k)) for k in range(n)] if label == "ReduceLROnPlateau" else None


def test_every_schedule_is_here():
    kinds = [k for k in vars(schedules).values() if isinstance(k, type)]
    public = {k.__name__ for k in kinds if issubclass(k, schedules.LRScheduler)}
    others = {"LRScheduler", "ClosedForm", "ReduceLROnPlateau"}
    exact("FORMULAS in tests/optim/test_lr_scheduler.py", FORMULAS, public - others)
    assert optim.lr_scheduler is schedules


# --- the rule is the formula ------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["o m s", "m o s", "m s o"])
@pytest.mark.parametrize("by_hand", [1.0, 0.3])
@pytest.mark.parametrize("label", FORMULAS)
def test_resuming_in_any_order_goes_on_as_if_never_interrupted(label, by_hand, order):
    """The optimizer's state is loaded (o), a schedule made (m), and its state loaded (s)."""
    make, _ = FORMULAS[label]
    one = optimizer(momentum=0.9)
    schedule = make(one)
    rates(one, schedule, 5)
    one.param_groups[0]["lr"] *= by_hand
    states = one.state_dict(), schedule.state_dict()
    two = optimizer(momentum=0.9)
    made = []
    steps = {
        "o": lambda: two.load_state_dict(states[0]),
        "m": lambda: made.append(make(two)),
        "s": lambda: made[0].load_state_dict(states[1]),
    }
    for step in order.split():
        steps[step]()
    assert two.state_dict()["param_groups"] == one.state_dict()["param_groups"]
    np.testing.assert_array_equal(rates(two, made[0], 20), rates(one, schedule, 20))
    assert two.param_groups[0]["momentum"] == one.param_groups[0]["momentum"]


@pytest.mark.parametrize("label", FORMULAS)
def test_the_rates_follow_the_formula(label):
    make, formula = FORMULAS[label]
    o = optimizer()
    got = rates(o, make(o), 40)
    np.testing.assert_allclose(got[:, 0] / BASE, [formula(k) for k in range(40)], atol=1e-12)


@pytest.mark.parametrize(
    "label", [n for n in FORMULAS if n not in ("CosineAnnealingLR", "OneCycleLR")]
)
def test_groups_keep_their_ratio(label):
    """Not where a rate of its own is given: eta_min, max_lr."""
    o = optimizer(rates=(0.8, 0.02, 3.0))
    got = rates(o, build(label, o), 40)
    np.testing.assert_allclose(got, np.outer(got[:, 0], [1, 0.025, 3.75]), rtol=1e-12)


@every_schedule
def test_the_schedule_tells_its_rates(label):
    o = optimizer(rates=(0.8, 0.1))
    schedule = build(label, o)
    seen = figures(label, 20)
    for k in range(20):
        assert schedule.last_epoch == k
        assert schedule.get_last_lr() == [group["lr"] for group in o.param_groups]
        schedule.get_last_lr().clear()  # a copy
        schedule.step(*[] if seen is None else [seen[k]])


def test_schedules_of_one_optimizer_multiply():
    o = optimizer()
    warm, decay = schedules.LinearLR(o, 0.5, total_iters=4), schedules.ExponentialLR(o, 0.9)
    for k in range(10):
        expected = BASE * (0.5 + 0.5 * min(k, 4) / 4) * 0.9**k
        assert o.param_groups[0]["lr"] == pytest.approx(expected)
        warm.step()
        decay.step()
    assert decay.base_lrs == warm.base_lrs == [BASE]  # not what the warm-up began with


def test_the_first_schedule_takes_the_rates_as_they_are():
    o = optimizer("AdamW", decay_scale="schedule")
    o.param_groups[0]["lr"] = 0.4
    assert schedules.ExponentialLR(o, 0.9).base_lrs == [0.4]
    assert o.param_groups[0]["initial_lr"] == 0.4
    o.param_groups[0]["lr"] = 7.0
    assert schedules.ExponentialLR(o, 0.9).base_lrs == [0.4]


def test_a_user_defined_rule():
    class Halves(schedules.LRScheduler):
        formula = "η_k = η₀·2⁻ᵏ"

        def rate(self, lr: float, base: float) -> float:
            return base * 0.5**self.last_epoch

    o = optimizer()
    schedule = Halves(o)
    np.testing.assert_allclose(rates(o, schedule, 4)[:, 0], [0.8, 0.4, 0.2, 0.1])
    assert repr(schedule) == "Halves() at epoch 4: η_k = η₀·2⁻ᵏ"


def test_a_formula_of_ones_own():
    class InverseRoot(schedules.ClosedForm):
        def multiplier(self, k: int, i: int) -> float:
            return (k + 1) ** -0.5

    o = optimizer()
    mine = InverseRoot(o)
    sequence = schedules.SequentialLR(o, [mine, schedules.StepLR(o, 1, 0.5)], [4])
    np.testing.assert_allclose(
        rates(o, sequence, 6)[:, 0] / BASE, [1, 2**-0.5, 3**-0.5, 0.5, 1, 0.5]
    )


class Dying(schedules.ClosedForm):
    half: Annotated[int, 1]
    floor: Annotated[float, "[0, 1]"] = 0.0
    label: str = ""

    formula = "η_k = η₀·max(2^(−k/half), floor)"

    def multiplier(self, k: int, i: int) -> float:
        return max(0.5 ** (k / self.half), self.floor)


class DyingByUpdates(Dying):
    floor: Annotated[float, "[0, 0.5]"] = 0.25
    interval: Literal["epoch", "step"] = field(default="step", init=False)


def test_what_a_schedule_of_ones_own_annotates_are_its_options():
    o = optimizer()
    schedule = Dying(o, 2, floor=0.3, label="a")
    np.testing.assert_allclose(
        rates(o, schedule, 5)[:, 0] / BASE, [1, 0.5**0.5, 0.5, 0.5**1.5, 0.3]
    )
    assert repr(schedule) == f"Dying(half=2, floor=0.3) at epoch 5: {Dying.formula}"
    assert {"half": 2, "label": "a"}.items() <= schedule.state_dict().items()
    heir = DyingByUpdates(optimizer(), half=2)
    assert (heir.floor, heir.interval, len({schedule, heir})) == (0.25, "step", 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: Dying(o, 0), "Dying: half must be an integer ≥ 1, got 0"),
        (lambda o: Dying(o, 1, 1.5), r"Dying: floor must be in \[0, 1\], got 1.5"),
        (lambda o: DyingByUpdates(o, 0), "DyingByUpdates: half must be an integer ≥ 1"),
        (lambda o: DyingByUpdates(o, 1, 0.7), r"DyingByUpdates: floor must be in \[0, 0.5\]"),
        (
            lambda o: Dying(o, 1).load_state_dict(Dying(o, 1).state_dict() | {"half": -1}),
            "load_state_dict: half must be an integer ≥ 1, got -1",
        ),
    ],
)
def test_the_limits_of_a_schedule_of_ones_own_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make(optimizer())


def test_type_checkers_know_the_options():
    told = schedules.LRScheduler.__dataclass_transform__
    assert (told["eq_default"], told["field_specifiers"]) == (False, (field,))


@pytest.mark.parametrize("other", ["LambdaLR", "StepLR", "OneCycleLR", "SequentialLR"])
def test_the_multipliers_of_all_schedules_multiply(other):
    """Through 0, where a rule on the last rate loses what the other schedule did."""
    o = optimizer()
    one, two = build(other, o), schedules.LambdaLR(o, lambda k: float(k % 3))
    base = o.param_groups[0]["initial_lr"]
    for k in range(20):
        expected = base * one.multiplier(k, 0) * (k % 3)
        assert o.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-12)
        one.step()
        two.step()


@pytest.mark.parametrize("label", FORMULAS)
def test_a_rate_changed_by_hand_keeps_its_ratio_to_the_formula(label):
    o, untouched = optimizer(), optimizer()
    schedule, same = build(label, o), build(label, untouched)
    first, second = rates(o, schedule, 3), rates(untouched, same, 3)
    np.testing.assert_array_equal(first, second)
    o.param_groups[0]["lr"] *= 0.5
    first, second = rates(o, schedule, 6), rates(untouched, same, 6)
    np.testing.assert_allclose(first, 0.5 * second, rtol=1e-12)


def test_a_group_that_came_later_follows_from_the_rate_it_came_with():
    o = optimizer()
    schedule = schedules.ExponentialLR(o, 0.5)
    rates(o, schedule, 3)
    o.add_param_group({"params": mr.Tensor(np.zeros(1), requires_grad=True), "lr": 0.4})
    np.testing.assert_allclose(rates(o, schedule, 3)[:, 1], [0.4, 0.2, 0.1])


def test_a_frozen_group_stays_frozen():
    o = optimizer(rates=(0.0, BASE))
    schedule = schedules.CosineAnnealingLR(o, 5, 0.1)
    assert not rates(o, schedule, 7)[:, 0].any()


RESUMED: dict[str, Callable[..., Any]] = {
    "StepLR": lambda o, **k: schedules.StepLR(o, 5, **k),
    "ExponentialLR": lambda o, **k: schedules.ExponentialLR(o, 0.9, **k),
    "LinearLR": lambda o, **k: schedules.LinearLR(o, total_iters=30, **k),
    "CosineAnnealingLR": lambda o, **k: schedules.CosineAnnealingLR(o, 12, 0.1, **k),
    "OneCycleLR": lambda o, **k: schedules.OneCycleLR(o, 0.5, 20, **k),
    "SequentialLR": lambda o, **k: schedules.SequentialLR(
        o, [schedules.LinearLR(o), schedules.StepLR(o, 2)], [7], **k
    ),
}


@pytest.mark.parametrize("saved", [9, 10])
@pytest.mark.parametrize("label", RESUMED)
def test_resuming_after_an_epoch_continues_the_formula(label, saved):
    """Whether the rates were saved before the schedule's last step or after it."""
    make, first, o = RESUMED[label], optimizer(), optimizer()
    schedule = make(first)
    rates(first, schedule, saved)
    o.load_state_dict(first.state_dict())
    rates(first, schedule, 10 - saved)
    np.testing.assert_array_equal(rates(o, make(o, last_epoch=9), 6), rates(first, schedule, 6))


# --- one cycle ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"), [("SGD", "momentum"), ("AdamW", "betas"), ("RMSprop", "momentum")]
)
@pytest.mark.parametrize("three_phase", [False, True])
def test_momentum_runs_against_the_rate(name, key, three_phase):
    o = optimizer(name)
    schedule = schedules.OneCycleLR(o, 0.5, 100, three_phase=three_phase)
    lr, momentum = [], []
    for _ in range(100):
        group = o.param_groups[0]
        lr.append(group["lr"])
        momentum.append(group[key][0] if key == "betas" else group[key])
        schedule.step()
    top = int(np.argmax(lr))
    assert (lr[0], lr[top], lr[-1]) == pytest.approx((0.02, 0.5, 0.02 / 1e4), rel=1e-2)
    assert top in (29, 30)
    assert momentum[0] == momentum[-1] == 0.95
    assert momentum[top] == pytest.approx(0.85, abs=1e-3)
    assert np.corrcoef(lr, momentum)[0, 1] < -0.95
    if key == "betas":
        assert o.param_groups[0]["betas"][1] == 0.999


def test_a_cycle_may_leave_the_momentum_alone():
    o = optimizer("SGLD")
    schedule = schedules.OneCycleLR(o, 0.5, 10, cycle_momentum=False)
    rates(o, schedule, 10)
    assert "momentum" not in o.param_groups[0]
    o = optimizer(momentum=0.3)
    rates(o, schedules.OneCycleLR(o, 0.5, 10, cycle_momentum=False), 10)
    assert o.param_groups[0]["momentum"] == 0.3


@pytest.mark.parametrize("options", [{"pct_start": 1.0}, {"pct_start": 0.1}, {"pct_start": 0}])
def test_a_phase_without_length_is_passed_over(options):
    """Where PyTorch divides by zero."""
    o = optimizer()
    got = rates(o, schedules.OneCycleLR(o, 0.5, 10, **options), 10)
    assert np.isfinite(got).all()
    assert 0.48 < got.max() <= 0.5


def test_a_cycle_ends():
    o = optimizer()
    schedule = schedules.OneCycleLR(o, 0.5, epochs=2, steps_per_epoch=3)
    rates(o, schedule, 6)
    with pytest.raises(ValueError, match=r"^OneCycleLR: step 7 of a cycle of total_steps=6"):
        schedule.step()


# --- plateau ------------------------------------------------------------------------------------------

# label: (options, figures, epochs after which the rate was cut)
PLATEAUS: dict[str, tuple[dict[str, Any], list[float], list[int]]] = {
    "improves": ({"patience": 1}, [5, 4, 3, 2, 1], []),
    "more than patience": ({"patience": 2}, [1, 1, 1, 1, 1, 1, 1], [4, 7]),
    "no patience": ({"patience": 0}, [1, 2, 0.5, 0.6], [2, 4]),
    "a little better is not better": ({"patience": 0, "threshold": 0.1}, [1, 0.95, 0.8], [2]),
    "by an amount": ({"patience": 0, "threshold": 0.1, "threshold_mode": "abs"}, [0.5, 0.45, 0.3], [2]),
    "growing": ({"patience": 0, "mode": "max"}, [0.5, 0.6, 0.6, 0.7], [3]),
    "growing by an amount": (
        {"patience": 0, "mode": "max", "threshold": 0.2, "threshold_mode": "abs"}, [0.5, 0.6, 0.8], [2],
    ),
    "cooldown": ({"patience": 0, "cooldown": 2}, [1, 2, 2, 2, 2], [2, 5]),
    "not a number": ({"patience": 0}, [1, math.nan, 0.5], [2]),
    "lower bound": ({"patience": 0, "min_lr": 0.3}, [1, 1, 1, 1], [2, 3]),
    "too little to matter": ({"patience": 0, "eps": 0.3}, [1, 1, 1], [2]),
}  # fmt: skip


@pytest.mark.parametrize("label", PLATEAUS)
def test_plateaus(label):
    options, seen, cuts = PLATEAUS[label]
    o = optimizer()
    schedule = schedules.ReduceLROnPlateau(o, factor=0.5, **options)
    found, before = [], BASE
    for k, figure in enumerate(seen, 1):
        schedule.step(mr.tensor(figure))
        if o.param_groups[0]["lr"] < before:
            found.append(k)
        before = o.param_groups[0]["lr"]
    assert found == cuts
    assert schedule.last_epoch == len(seen)


def test_bounds_of_each_group():
    o = optimizer(rates=(0.8, 0.1))
    schedule = schedules.ReduceLROnPlateau(o, factor=0.1, patience=0, min_lr=[0.5, 0.0])
    for _ in range(3):
        schedule.step(1.0)
    assert schedule.get_last_lr() == pytest.approx([0.5, 0.001])


# --- one after the other ------------------------------------------------------------------------------


def test_a_sequence_begins_each_part_at_its_own_epoch_0():
    o = optimizer()
    parts = [schedules.StepLR(o, 2, 0.5), schedules.StepLR(o, 2, 0.1)]
    got = rates(o, schedules.SequentialLR(o, parts, [5]), 10)[:, 0]
    np.testing.assert_allclose(got / BASE, [1, 1, 0.5, 0.5, 0.25, 1, 1, 0.1, 0.1, 0.01])
    assert [part.last_epoch for part in parts] == [4, 5]


def test_a_sequence_steps_as_often_as_its_parts():
    o = optimizer()
    assert schedules.SequentialLR(o, [schedules.StepLR(o, 2)], []).interval == "epoch"
    parts = [schedules.ConstantLR(o), schedules.OneCycleLR(o, 0.5, 10)]
    assert schedules.SequentialLR(o, parts, [3]).interval == "step"


# --- state --------------------------------------------------------------------------------------------


@every_schedule
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_restart_continues_identically(label, name):
    """Both states are loaded, into a pair made with other rates."""
    seen = figures(label, 30)
    one = optimizer(name, (0.8, 0.1))
    schedule = build(label, one)
    rates(one, schedule, 13, seen)
    saved = copy.deepcopy((one.state_dict(), schedule.state_dict()))
    states = one.state_dict(), schedule.state_dict()
    two = optimizer(name, (0.3, 0.2))
    again = build(label, two)
    two.load_state_dict(states[0])
    again.load_state_dict(states[1])
    rest = None if seen is None else seen[13:]
    np.testing.assert_array_equal(rates(one, schedule, 17, rest), rates(two, again, 17, rest))
    assert one.state_dict()["param_groups"] == two.state_dict()["param_groups"]
    assert again.state_dict() == schedule.state_dict()
    assert states == saved  # copies


@every_schedule
def test_the_state_is_plain_data(label):
    schedule = build(label, optimizer())
    state = schedule.state_dict()
    assert pickle.loads(pickle.dumps(state)) == state
    assert not {"optimizer", "lr_lambdas"} & state.keys()


# --- looks --------------------------------------------------------------------------------------------

REPRS = {
    "LambdaLR() at epoch 0: η_k = η₀·λ(k)": "LambdaLR",
    "StepLR(step_size=7, gamma=0.5) at epoch 0: η_k = η₀·γ^⌊k/step_size⌋": "StepLR",
    "MultiStepLR(milestones=[5, 9, 9], gamma=0.5) at epoch 0: η_k = η₀·γ^(number of milestones ≤ k)":
        "MultiStepLR",
    "SequentialLR() at epoch 0: LinearLR until 10, CosineAnnealingLR until 30, ExponentialLR":
        "SequentialLR",
    "OneCycleLR(max_lr=0.8, total_steps=40, pct_start=0.275, anneal_strategy='linear', base_momentum=0.85, "
    "max_momentum=0.95, div_factor=25.0, final_div_factor=10000.0) at epoch 0: η: max_lr/div_factor ↗ "
    "max_lr ↘ max_lr/(div_factor·final_div_factor)": "OneCycleLR",
    "ReduceLROnPlateau(mode='min', factor=0.5, patience=1, threshold=0.0001, threshold_mode='rel', "
    "cooldown=0, min_lr=0.0, eps=1e-08) at epoch 0: η ← max(factor·η, min_lr) on a plateau":
        "ReduceLROnPlateau",
}  # fmt: skip


@pytest.mark.parametrize("text", REPRS)
def test_repr_of_a_schedule(text):
    assert repr(build(REPRS[text], optimizer())) == text


# --- refusals -----------------------------------------------------------------------------------------

WHOLE = "must be an integer ≥ 1, got"
REFUSED: dict[str, Callable[[Any], Any]] = {
    f"StepLR: step_size {WHOLE} 0": lambda o: schedules.StepLR(o, 0),
    f"StepLR: step_size {WHOLE} 2.5": lambda o: schedules.StepLR(o, 2.5),
    "StepLR: gamma must be a finite number ≥ 0, got -0.1": lambda o: schedules.StepLR(o, 3, -0.1),
    "MultiStepLR: milestones must be an integer ≥ 0, got -1": lambda o: schedules.MultiStepLR(o, [3, -1]),
    "MultiStepLR: gamma must be a finite number ≥ 0, got nan":
        lambda o: schedules.MultiStepLR(o, [3], math.nan),
    "ExponentialLR: gamma must be a finite number ≥ 0, got None": lambda o: schedules.ExponentialLR(o, None),
    "ConstantLR: factor must be in (0, 1], got 0": lambda o: schedules.ConstantLR(o, 0),
    f"ConstantLR: total_iters {WHOLE} 0": lambda o: schedules.ConstantLR(o, 0.5, 0),
    "LinearLR: start_factor must be in (0, 1], got 0.0": lambda o: schedules.LinearLR(o, 0.0),
    "LinearLR: end_factor must be in [0, 1], got 1.5": lambda o: schedules.LinearLR(o, 0.5, 1.5),
    f"LinearLR: total_iters {WHOLE} -1": lambda o: schedules.LinearLR(o, total_iters=-1),
    f"PolynomialLR: total_iters {WHOLE} 0": lambda o: schedules.PolynomialLR(o, 0),
    "PolynomialLR: power must be a finite number ≥ 0, got -1": lambda o: schedules.PolynomialLR(o, 5, -1),
    f"CosineAnnealingLR: T_max {WHOLE} 0": lambda o: schedules.CosineAnnealingLR(o, 0),
    "CosineAnnealingLR: eta_min must be a finite number ≥ 0, got -0.1":
        lambda o: schedules.CosineAnnealingLR(o, 5, -0.1),
    f"CosineAnnealingWarmRestarts: T_0 {WHOLE} 0": lambda o: schedules.CosineAnnealingWarmRestarts(o, 0),
    f"CosineAnnealingWarmRestarts: T_mult {WHOLE} 0":
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 5, 0),
    "CosineAnnealingWarmRestarts: eta_min must be a finite number ≥ 0, got inf":
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 5, 1, math.inf),
    "LambdaLR: got 3 values of lr_lambda for 1 parameter groups":
        lambda o: schedules.LambdaLR(o, [abs] * 3),
    "OneCycleLR: give total_steps, or epochs and steps_per_epoch": lambda o: schedules.OneCycleLR(o, 0.1),
    f"OneCycleLR: epochs {WHOLE} 0": lambda o: schedules.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=5),
    f"OneCycleLR: steps_per_epoch {WHOLE} 1.5":
        lambda o: schedules.OneCycleLR(o, 0.1, epochs=2, steps_per_epoch=1.5),
    f"OneCycleLR: total_steps {WHOLE} 0": lambda o: schedules.OneCycleLR(o, 0.1, 0),
    "OneCycleLR: pct_start must be in [0, 1], got 1.1":
        lambda o: schedules.OneCycleLR(o, 0.1, 9, pct_start=1.1),
    "OneCycleLR: anneal_strategy must be 'cos' or 'linear', got 'sin'":
        lambda o: schedules.OneCycleLR(o, 0.1, 9, anneal_strategy="sin"),
    "OneCycleLR: div_factor must be a finite number > 0, got 0":
        lambda o: schedules.OneCycleLR(o, 0.1, 9, div_factor=0),
    "OneCycleLR: final_div_factor must be a finite number > 0, got -1.0":
        lambda o: schedules.OneCycleLR(o, 0.1, 9, final_div_factor=-1.0),
    "OneCycleLR: max_lr must be a finite number ≥ 0, got -0.1": lambda o: schedules.OneCycleLR(o, -0.1, 9),
    "OneCycleLR: got 2 values of max_lr for 1 parameter groups":
        lambda o: schedules.OneCycleLR(o, [0.1, 0.2], 9),
    "OneCycleLR: max_momentum must be in [0, 1), got 1.0":
        lambda o: schedules.OneCycleLR(o, 0.1, 9, max_momentum=1.0),
    "OneCycleLR: base_momentum must be in [0, 1), got -0.5":
        lambda o: schedules.OneCycleLR(o, 0.1, 9, base_momentum=-0.5),
    "OneCycleLR: SGLD has neither momentum nor betas to cycle; say cycle_momentum=False":
        lambda o: schedules.OneCycleLR(optimizer("SGLD"), 0.1, 9),
    "ReduceLROnPlateau: mode must be 'min' or 'max', got 'low'":
        lambda o: schedules.ReduceLROnPlateau(o, "low"),
    "ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got ''":
        lambda o: schedules.ReduceLROnPlateau(o, threshold_mode=""),
    "ReduceLROnPlateau: factor must be in [0, 1), got 1.0":
        lambda o: schedules.ReduceLROnPlateau(o, factor=1.0),
    "ReduceLROnPlateau: patience must be an integer ≥ 0, got -1":
        lambda o: schedules.ReduceLROnPlateau(o, patience=-1),
    "ReduceLROnPlateau: cooldown must be an integer ≥ 0, got 0.5":
        lambda o: schedules.ReduceLROnPlateau(o, cooldown=0.5),
    "ReduceLROnPlateau: threshold must be a finite number ≥ 0, got -1":
        lambda o: schedules.ReduceLROnPlateau(o, threshold=-1),
    "ReduceLROnPlateau: eps must be a finite number ≥ 0, got nan":
        lambda o: schedules.ReduceLROnPlateau(o, eps=math.nan),
    "ReduceLROnPlateau: min_lr must be a finite number ≥ 0, got -1":
        lambda o: schedules.ReduceLROnPlateau(o, min_lr=-1),
    "ReduceLROnPlateau: got 2 values of min_lr for 1 parameter groups":
        lambda o: schedules.ReduceLROnPlateau(o, min_lr=[0, 0]),
    "SequentialLR: got 1 schedulers and 1 milestones, expected one milestone less than schedulers":
        lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 1)], [3]),
    "SequentialLR: schedulers[0] belongs to another optimizer":
        lambda o: schedules.SequentialLR(o, [schedules.StepLR(optimizer(), 1)], []),
    "SequentialLR: schedulers[1] is a ReduceLROnPlateau, which cannot begin again at epoch 0":
        lambda o: schedules.SequentialLR(
            o, [schedules.StepLR(o, 1), schedules.ReduceLROnPlateau(o)], [3]
        ),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_a_bad_argument_is_named(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        REFUSED[message](optimizer())


@every_schedule
def test_something_else_than_an_optimizer_is_told(label):
    with pytest.raises(TypeError, match=f"^{label}: expected an Optimizer, got 'adam'"):
        schedules.SequentialLR("adam", [], []) if label == "SequentialLR" else build(label, "adam")


def test_a_schedule_without_a_rule_says_so():
    with pytest.raises(NotImplementedError, match=r"^LRScheduler does not define rate"):
        schedules.LRScheduler(optimizer())


# --- fit ------------------------------------------------------------------------------------------------

N = 20


def train(make: Callable[[Any], Any], validation: bool = True, **options: Any) -> mr.History:
    mr.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    y = x[:, :1].copy()
    model = nn.Linear(3, 1)
    o = optim.SGD(model.parameters(), lr=0.1)
    data = (x, y)
    return mr.fit(
        model, nn.MSELoss(), o, data, data if validation else None, batch_size=5, progress=False,
        scheduler=make(o), **options,
    )  # fmt: skip


def test_fit_steps_after_each_epoch():
    history = train(lambda o: schedules.ExponentialLR(o, 0.5), epochs=4)
    assert history["lr"] == pytest.approx([0.1, 0.05, 0.025, 0.0125])


def test_fit_steps_a_cycle_after_each_update():
    """The history has the rate of the last update of each epoch."""
    kept: list[Any] = []

    def make(o: Any) -> Any:
        kept.append(schedules.OneCycleLR(o, 0.2, epochs=3, steps_per_epoch=4))
        return kept[0]

    history = train(make, epochs=3)
    assert kept[0].last_epoch == 12
    o = optimizer()
    expected = rates(o, schedules.OneCycleLR(o, 0.2, 12), 12)[:, 0]
    assert history["lr"] == pytest.approx(list(expected[3::4]))


def test_any_schedule_may_step_with_the_updates():
    def make(o: Any) -> Any:
        schedule = schedules.ExponentialLR(o, 0.9)
        schedule.interval = "step"
        return schedule

    assert train(make, epochs=2)["lr"] == pytest.approx([0.1 * 0.9**3, 0.1 * 0.9**7])


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("monitor", ["validation_loss", "train_loss", "gap"])
def test_fit_shows_a_plateau_its_column(monitor, validation):
    if monitor == "gap" and not validation:
        with pytest.raises(KeyError, match="no column 'gap', expected one of"):
            train(lambda o: schedules.ReduceLROnPlateau(o, monitor="gap"), validation, epochs=1)
        return
    seen: list[float] = []

    class Watching(schedules.ReduceLROnPlateau):
        def step(self, metrics: Any) -> None:
            seen.append(metrics)
            super().step(metrics)

    history = train(lambda o: Watching(o, monitor=monitor), validation, epochs=3)
    assert seen == history[monitor if monitor in history.rows[0] else "train_loss"]


def test_fit_reduces_the_rate_on_a_plateau():
    history = train(lambda o: schedules.ReduceLROnPlateau(o, patience=0, threshold=9, threshold_mode="abs"),
                    epochs=4)  # fmt: skip

    assert history["lr"] == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_fit_refuses_the_schedule_of_another_optimizer():
    with pytest.raises(ValueError, match=r"^fit: the scheduler belongs to another optimizer"):
        train(lambda o: schedules.StepLR(optimizer(), 3), epochs=1)


def test_decay_by_schedule_follows_the_multiplier():
    """AdamW's decay_scale="schedule": Π(1 − wd·η_k/η₀), whatever η₀ is (claims C41, C104)."""
    for base in (0.5, 0.01):
        w = mr.Tensor(np.ones(1), requires_grad=True)
        o = optim.AdamW([w], lr=base, weight_decay=0.2, decay_scale="schedule")
        schedule = schedules.CosineAnnealingLR(o, 10)
        expected = 1.0
        for k in range(10):
            w.grad = mr.Tensor(np.zeros(1))
            o.step()
            schedule.step()
            expected *= 1 - 0.2 * cosine(k / 10)
        assert w.item() == pytest.approx(expected)


@pytest.mark.parametrize("label", ["StepLR", "ReduceLROnPlateau", "SequentialLR"])
def test_a_state_is_loaded_whole_or_changes_nothing(label):
    o = optimizer()
    schedule = {
        "StepLR": lambda: schedules.StepLR(o, 3),
        "ReduceLROnPlateau": lambda: schedules.ReduceLROnPlateau(o),
        "SequentialLR": lambda: schedules.SequentialLR(
            o, [schedules.LinearLR(o), schedules.MultiStepLR(o, [2, 4])], [3]
        ),
    }[label]()
    good, refused = schedule.state_dict(), 0
    for bad in mutations(good, np.random.default_rng(0)):
        before = repr(schedule.state_dict())
        try:
            schedule.load_state_dict(bad)
        except (TypeError, ValueError):
            assert repr(schedule.state_dict()) == before
            refused += 1
        else:
            schedule.step(*[1.0] * (label == "ReduceLROnPlateau"))
            schedule.load_state_dict(good)
    assert refused > 30


def test_a_state_of_another_schedule_is_refused():
    """Defect 8: {"step": 3} replaced the method."""
    schedule = schedules.ExponentialLR(optimizer(), 0.5)
    for state in ({"step": 3}, {}, schedules.StepLR(optimizer(), 3).state_dict()):
        with pytest.raises(
            ValueError, match=r"ExponentialLR.load_state_dict: state lacks .* of schedule"
        ):
            schedule.load_state_dict(state)
    with pytest.raises(ValueError, match=r"load_state_dict: _last_lr is \[.*\] here, got \[\]"):
        schedule.load_state_dict(schedule.state_dict() | {"_last_lr": []})
    with pytest.raises(ValueError, match=r"load_state_dict: gamma must be .* got -1"):
        schedule.load_state_dict(schedule.state_dict() | {"gamma": -1})
    schedule.step()


def test_an_optimizer_travels_without_its_schedules_and_together_with_them():
    one = optimizer()
    made = schedules.LambdaLR(one, lambda k: 1 / (k + 1))  # a function that cannot be pickled
    assert pickle.loads(pickle.dumps(one)).param_groups[0]["lr"] == one.param_groups[0]["lr"]
    parts = [schedules.LinearLR(one, 0.5, total_iters=2), schedules.StepLR(one, 3)]
    both = made, schedules.SequentialLR(one, parts, [2])
    two, *copies = copy.deepcopy((one, *both))
    for schedule in (*both, *copies, *both, *copies):
        schedule.step()
    assert two.param_groups[0]["lr"] == one.param_groups[0]["lr"]
    assert len(two.schedules) == len(one.schedules) == 2
