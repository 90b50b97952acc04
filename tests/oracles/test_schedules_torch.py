"""Schedules against PyTorch: every rate of 200 epochs exactly equal, momenta too."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.against import torch, twin

import minireg as mr
from minireg import optim
from minireg.optim import lr_scheduler

pytestmark = pytest.mark.filterwarnings(
    "ignore:.* no parameter has a gradient"
)  # only rates matter

STEPS = 200
LIBRARIES = (optim, torch.optim)
# of the two parameter groups; for the first, m + (η − m) with m below is another number than η
RATES = (0.8336543010484173, 0.03)
ROUNDED = 0.2475823549200727


assert ROUNDED + (RATES[0] - ROUNDED) != RATES[0]


def decay(k: int) -> float:
    return 0.97**k


def late(k: int) -> float:
    return 1.0 if k < 50 else 0.5


def sequence(s: Any, o: Any) -> Any:
    parts = [s.LinearLR(o, 0.1, total_iters=10), s.CosineAnnealingLR(o, 60, eta_min=1e-3)]
    return s.SequentialLR(o, [*parts, s.ExponentialLR(o, 0.99)], milestones=[10, 90])


# label: the schedule of either library, for an optimizer of it
SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "StepLR": lambda s, o: s.StepLR(o, 7),
    "StepLR, gamma": lambda s, o: s.StepLR(o, step_size=1, gamma=0.97),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [90, 20, 20, 150], gamma=0.3),
    "MultiStepLR at 0": lambda s, o: s.MultiStepLR(o, [0, 3]),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.95),
    "ConstantLR": lambda s, o: s.ConstantLR(o),
    "ConstantLR, long": lambda s, o: s.ConstantLR(o, factor=0.7, total_iters=60),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "LinearLR, down": lambda s, o: s.LinearLR(o, 1.0, 0.0, total_iters=130),
    "LinearLR, up": lambda s, o: s.LinearLR(o, start_factor=0.01, end_factor=0.9, total_iters=33),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o),
    "PolynomialLR, power": lambda s, o: s.PolynomialLR(o, total_iters=120, power=1.7),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 50),
    "CosineAnnealingLR, eta_min": lambda s, o: s.CosineAnnealingLR(o, T_max=37, eta_min=0.007),
    "CosineAnnealingLR, T_max=1": lambda s, o: s.CosineAnnealingLR(o, 1, 0.001),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 30),
    "CosineAnnealingWarmRestarts, T_mult": lambda s, o: s.CosineAnnealingWarmRestarts(o, 7, 2, 0.01),
    "LambdaLR": lambda s, o: s.LambdaLR(o, decay),
    "LambdaLR, two": lambda s, o: s.LambdaLR(o, [decay, late]),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.5, STEPS),
    "OneCycleLR, groups": lambda s, o: s.OneCycleLR(
        o, [0.5, 0.2], epochs=20, steps_per_epoch=11, base_momentum=[0.8, 0.6], max_momentum=[0.9, 0.7]
    ),
    "OneCycleLR, linear": lambda s, o: s.OneCycleLR(
        o, 0.5, STEPS, pct_start=0.1, anneal_strategy="linear", div_factor=10.0, final_div_factor=100.0
    ),
    "OneCycleLR, three phases": lambda s, o: s.OneCycleLR(o, 0.5, STEPS, three_phase=True),
    "OneCycleLR, from the top": lambda s, o: s.OneCycleLR(o, 0.5, STEPS, pct_start=0.0),
    "OneCycleLR, late top": lambda s, o: s.OneCycleLR(o, 0.5, STEPS, pct_start=0.95),
    "OneCycleLR, rates only": lambda s, o: s.OneCycleLR(o, 0.5, STEPS, cycle_momentum=False),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o),
    "ReduceLROnPlateau, impatient": lambda s, o: s.ReduceLROnPlateau(
        o, factor=0.5, patience=0, threshold=0.01, threshold_mode="abs", cooldown=3, min_lr=[1e-3, 1e-4]
    ),
    "ReduceLROnPlateau, max": lambda s, o: s.ReduceLROnPlateau(
        o, "max", patience=4, threshold=0.05, min_lr=1e-3
    ),
    "ReduceLROnPlateau, max abs": lambda s, o: s.ReduceLROnPlateau(
        o, "max", 0.9, 1, threshold=0.1, threshold_mode="abs", eps=2e-3
    ),
    "SequentialLR, three": sequence,
    "SequentialLR, eta_min": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, total_iters=20), s.CosineAnnealingLR(o, 180, eta_min=ROUNDED)], [20]
    ),
    "SequentialLR, cosine first": lambda s, o: s.SequentialLR(
        o, [s.CosineAnnealingLR(o, 20, eta_min=ROUNDED), s.StepLR(o, 10)], [40]
    ),
    "SequentialLR, lambda": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1), s.LambdaLR(o, decay), s.MultiStepLR(o, [5, 30])], [3, 100]
    ),
    "SequentialLR, restarts": lambda s, o: s.SequentialLR(
        o, [s.PolynomialLR(o, 9), s.CosineAnnealingWarmRestarts(o, 10, 2, 0.003)], [12]
    ),
    "SequentialLR, cycle": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, total_iters=20), s.OneCycleLR(o, 0.5, STEPS)], [20]
    ),
}  # fmt: skip


def optimizers(name: str = "SGD") -> list[Any]:
    """The same optimizer of both libraries, with two groups."""
    pair = []
    for library, make in zip(LIBRARIES, (mr.tensor, twin), strict=True):
        groups = [{"params": [make(np.zeros(2))], "lr": lr} for lr in RATES]
        for group in groups:
            group["params"][0].requires_grad_(True)
        pair.append(getattr(library, name)(groups, lr=1.0))
    return pair


def look(optimizer: Any) -> list[Any]:
    """What a schedule may change, group by group."""
    return [
        [g[key] for key in ("lr", "momentum", "betas") if key in g] for g in optimizer.param_groups
    ]


def advance(optimizer: Any, schedules: list[Any], metric: float) -> None:
    optimizer.step()
    for schedule in schedules:
        schedule.step(*[metric] * ("Plateau" in type(schedule).__name__))


def follow(both: list[Any], schedules: list[list[Any]], steps: int) -> None:
    """Assert that both libraries go through the same rates, to the last bit."""
    rng = np.random.default_rng(0)
    for epoch in range(steps):
        assert look(both[0]) == look(both[1]), f"epoch {epoch}"
        for ours, theirs in zip(*schedules, strict=True):
            assert ours.get_last_lr() == theirs.get_last_lr()
            assert ours.last_epoch == theirs.last_epoch
        metric = float(rng.normal() / (1 + epoch / 30))
        for optimizer, own in zip(both, schedules, strict=True):
            advance(optimizer, own, metric)
    assert look(both[0]) == look(both[1])


def made(build: Callable[[Any, Any], Any], both: list[Any]) -> list[Any]:
    return [build(library.lr_scheduler, o) for library, o in zip(LIBRARIES, both, strict=True)]


def test_every_schedule_has_an_oracle():
    public = {
        name for name, kind in vars(lr_scheduler).items()
        if isinstance(kind, type) and issubclass(kind, lr_scheduler.LRScheduler)
    }  # fmt: skip
    assert {label.partition(",")[0].partition(" ")[0] for label in SCHEDULES} == public - {
        "LRScheduler"
    }


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("label", SCHEDULES)
def test_schedule_equals_torch(label, name):
    both = optimizers(name)
    follow(both, [[s] for s in made(SCHEDULES[label], both)], STEPS)


PAIRS = [
    ("ExponentialLR", "CosineAnnealingLR, eta_min"), ("LinearLR", "MultiStepLR"),
    ("StepLR", "LambdaLR"), ("ConstantLR", "ReduceLROnPlateau, impatient"),
    ("PolynomialLR, power", "LinearLR, up"),
]  # fmt: skip


@pytest.mark.parametrize("labels", PAIRS, ids=" × ".join)
def test_two_schedules_on_one_optimizer_equal_torch(labels):
    both = optimizers()
    columns = [made(SCHEDULES[label], both) for label in labels]
    follow(both, [list(row) for row in zip(*columns, strict=True)], STEPS)


RESUMED: dict[str, Callable[[Any, Any], Any]] = {
    "StepLR": lambda s, o: s.StepLR(o, 5, last_epoch=9),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [10, 30], last_epoch=9),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9, last_epoch=9),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.5, 20, last_epoch=9),
    "LinearLR": lambda s, o: s.LinearLR(o, total_iters=30, last_epoch=9),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 30, last_epoch=9),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 30, 1e-3, last_epoch=9),
    "LambdaLR": lambda s, o: s.LambdaLR(o, decay, last_epoch=9),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.5, STEPS, last_epoch=9),
}  # fmt: skip


@pytest.mark.parametrize("label", RESUMED)
def test_resuming_at_an_epoch_equals_torch(label):
    """A new optimizer with the saved groups, and a schedule made with last_epoch."""
    first, both = optimizers(), optimizers()
    start = "OneCycleLR" if label == "OneCycleLR" else "ExponentialLR"
    schedules = made(SCHEDULES[start], first)
    follow(first, [[s] for s in schedules], 9)
    for old, new in zip(first, both, strict=True):
        new.load_state_dict(old.state_dict())
    follow(both, [[s] for s in made(RESUMED[label], both)], 60)


def test_a_rate_changed_by_hand_before_the_first_schedule_is_its_base():
    both = optimizers()
    for optimizer in both:
        optimizer.param_groups[1]["lr"] = 0.77
    follow(both, [[s] for s in made(SCHEDULES["LambdaLR"], both)], 5)
    for optimizer in both:
        optimizer.param_groups[0]["lr"] = 5.0
    follow(both, [[s] for s in made(SCHEDULES["LambdaLR, two"], both)], 5)


@pytest.mark.parametrize("label", ["ExponentialLR", "CosineAnnealingLR, eta_min", "StepLR"])
def test_a_rate_changed_by_hand_stays_changed_as_in_torch(label):
    both = optimizers()
    schedules = [[s] for s in made(SCHEDULES[label], both)]
    follow(both, schedules, 10)
    for optimizer in both:
        optimizer.param_groups[0]["lr"] *= 0.5
    for optimizer, own in zip(both, schedules, strict=True):
        advance(optimizer, own, 0.0)
    follow(both, schedules, 30)


def test_training_under_a_cycle_equals_torch():
    """Rates and betas reach the update: 100 steps of AdamW within 1e-10."""
    both = optimizers("AdamW")
    schedules = made(lambda s, o: s.OneCycleLR(o, 0.05, 100), both)
    rng = np.random.default_rng(0)
    for _ in range(100):
        g = rng.normal(size=(2, 2))
        for optimizer, schedule, make in zip(
            both, schedules, (mr.Tensor, torch.tensor), strict=True
        ):
            for group, row in zip(optimizer.param_groups, g, strict=True):
                group["params"][0].grad = make(row.copy())
            optimizer.step()
            schedule.step()
    for ours, theirs in zip(both[0].param_groups, both[1].param_groups, strict=True):
        np.testing.assert_allclose(
            ours["params"][0].data, theirs["params"][0].detach().numpy(), rtol=1e-10
        )
