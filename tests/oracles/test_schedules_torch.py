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
from support.lists import exact
from support.twins.schedules import RATES, SCHEDULES, STEPS

import minireg as mr
from minireg import optim
from minireg.optim import lr_scheduler

pytestmark = pytest.mark.filterwarnings(
    "ignore:.* no parameter has a gradient"
)  # only rates matter

LIBRARIES = (optim, torch.optim)


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
    listed = {label.partition(",")[0].partition(" ")[0] for label in SCHEDULES}
    bases = {"LRScheduler", "ClosedForm"}
    exact("SCHEDULES in tests/support/twins/schedules.py", listed, public - bases)


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
