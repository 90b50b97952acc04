"""Schedules built alike in both libraries, and the rates they start from."""

from collections.abc import Callable
from typing import Any

STEPS = 200

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
