"""Schedules against PyTorch: every rate of 200 epochs, momenta too.

PyTorch computes most rates from the last ones and ours are formulas of the epoch, so they differ by
rounding. What differs by more is ours to test (tests/optim/test_lr_scheduler.py): two schedules of
one optimizer of which one has an ``eta_min``, passes through 0 or is a LambdaLR (here they multiply;
there one may undo the other), and a schedule made with ``last_epoch`` (there some rules leave the
rate of that epoch as it was saved).
"""

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
RATES = (0.8336543010484173, 0.03)  # of the two parameter groups
ETA_MIN = 0.2475823549200727


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
        o, [s.LinearLR(o, total_iters=20), s.CosineAnnealingLR(o, 180, eta_min=ETA_MIN)], [20]
    ),
    "SequentialLR, cosine first": lambda s, o: s.SequentialLR(
        o, [s.CosineAnnealingLR(o, 20, eta_min=ETA_MIN), s.StepLR(o, 10)], [40]
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
    """What a schedule may change: the rates, then the momenta or β₁ and β₂, of each group."""
    values = [
        g[key] for key in ("lr", "momentum", "betas") for g in optimizer.param_groups if key in g
    ]
    return [*np.ravel(values[:2]), *np.ravel(values[2:])]


def advance(optimizer: Any, schedules: list[Any], metric: float) -> None:
    optimizer.step()
    for schedule in schedules:
        schedule.step(*[metric] * ("Plateau" in type(schedule).__name__))


def same(ours: list[float], theirs: list[float]) -> None:
    """Equal to 1e-12 of themselves, and of the base rate where a cosine comes to 0."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def follow(both: list[Any], schedules: list[list[Any]], steps: int) -> None:
    """Assert that both libraries go through the same rates, to rounding."""
    rng = np.random.default_rng(0)
    for epoch in range(steps):
        same(look(both[0]), look(both[1]))
        for ours, theirs in zip(*schedules, strict=True):
            same(ours.get_last_lr(), theirs.get_last_lr())
            assert ours.last_epoch == theirs.last_epoch
        metric = float(rng.normal() / (1 + epoch / 30))
        for optimizer, own in zip(both, schedules, strict=True):
            advance(optimizer, own, metric)
    same(look(both[0]), look(both[1]))


def made(build: Callable[[Any, Any], Any], both: list[Any]) -> list[Any]:
    return [build(library.lr_scheduler, o) for library, o in zip(LIBRARIES, both, strict=True)]


def test_every_schedule_has_an_oracle():
    public = {
        name for name, kind in vars(lr_scheduler).items()
        if isinstance(kind, type) and issubclass(kind, lr_scheduler.LRScheduler)
    }  # fmt: skip
    assert {label.partition(",")[0].partition(" ")[0] for label in SCHEDULES} == public - {
        "LRScheduler",
        "ClosedForm",
    }


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("label", SCHEDULES)
def test_schedule_equals_torch(label, name):
    both = optimizers(name)
    follow(both, [[s] for s in made(SCHEDULES[label], both)], STEPS)


ONCE = {"CosineAnnealingLR, once": lambda s, o: s.CosineAnnealingLR(o, STEPS + 50)}
PAIRS = [
    ("ExponentialLR", "CosineAnnealingLR, once"), ("LinearLR", "MultiStepLR"),
    ("ConstantLR", "ReduceLROnPlateau, impatient"),
    ("PolynomialLR, power", "LinearLR, up"),
]  # fmt: skip


@pytest.mark.parametrize("labels", PAIRS, ids=" × ".join)
def test_two_schedules_on_one_optimizer_equal_torch(labels):
    both = optimizers()
    columns = [made((SCHEDULES | ONCE)[label], both) for label in labels]
    follow(both, [list(row) for row in zip(*columns, strict=True)], STEPS)


def test_a_rate_changed_by_hand_before_the_first_schedule_is_its_base():
    both = optimizers()
    for optimizer in both:
        optimizer.param_groups[1]["lr"] = 0.77
    follow(both, [[s] for s in made(SCHEDULES["LambdaLR"], both)], 5)


@pytest.mark.parametrize("label", ["ExponentialLR", "CosineAnnealingLR", "StepLR"])
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
