"""Schedules of the learning rate, with PyTorch's names and arguments, in closed form.

A schedule is a formula: the multiplier f(k) of the base rate η₀ (``initial_lr``) of each parameter
group at epoch k = ``last_epoch``. The rate is η₀ times the multipliers of all schedules of the
optimizer, so warm-up and decay multiply; one that was changed by hand, or by a plateau, keeps its
ratio to the formula. Call ``step()`` after the optimizer's. What an epoch is, is up to the caller:
``interval`` tells :func:`minireg.fit` whether it is a pass over the data or one update, and may be
assigned. ``last_epoch`` goes by keyword.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_origin, get_type_hints

from ..messages import Limit, check_mapping, check_option
from .pipeline import Optimizer

# the limits of what every schedule keeps beside its options
_KEPT: dict[str, Limit] = {"last_epoch": -1, "interval": ("epoch", "step"), "_last_lr": "[0, inf)"}


def _epochs(owner: str, milestones: Any) -> list[int]:
    if not isinstance(milestones, Iterable):
        raise TypeError(f"{owner}: milestones must be a list of epochs, got {milestones!r}")
    return list(milestones)


def _alike(value: Any, here: Any, any_length: bool) -> bool:
    """Whether a saved value is of the same kind as that which it is to replace."""
    if isinstance(here, list | tuple):
        lists = isinstance(value, list | tuple) and (any_length or len(value) == len(here))
        return lists and all(_alike(v, here[0], any_length) for v in value if here)
    if isinstance(here, bool) or not isinstance(here, int | float):
        return type(value) is type(here)
    return isinstance(value, int | float) and not isinstance(value, bool)


Schedule = TypeVar("Schedule", bound="LRScheduler")


def schedule(kind: type[Schedule]) -> type[Schedule]:
    """A dataclass whose annotations say what each option may be."""
    hints = get_type_hints(kind, include_extras=True).items()
    kind.limits = {n: hint.__metadata__[0] for n, hint in hints if get_origin(hint) is Annotated}
    return dataclass(eq=False, repr=False)(kind)


@schedule
class LRScheduler:
    """Base class: counts epochs and sets the rates that its rule gives.

    A subclass defines :meth:`rate`, from the rate before; a formula of the epoch is a
    :class:`ClosedForm`. A ``last_epoch`` other than −1 resumes after that epoch an optimizer whose
    ``initial_lr`` are known. Raises ``TypeError`` for what is no optimizer, ``ValueError`` for an
    option out of its limits.

    >>> import minireg as mr
    >>> class Halving(LRScheduler):
    ...     def rate(self, lr, base): return lr if self.last_epoch == 0 else lr / 2
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = Halving(opt); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    optimizer: Optimizer
    _: KW_ONLY
    last_epoch: int = -1
    interval: Literal["epoch", "step"] = field(default="epoch", init=False)
    monitor: str | None = field(default=None, init=False)  # the column that step() wants to see

    formula: ClassVar[str] = ""
    limits: ClassVar[Mapping[str, Limit]] = {}  # of the annotated options, as in the repr
    unsaved: ClassVar[tuple[str, ...]] = ("optimizer",)

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if not isinstance(self.optimizer, Optimizer):
            raise TypeError(f"{owner}: expected an Optimizer, got {self.optimizer!r:.80}")
        self._check(owner, vars(self))
        if not self.optimizer.scheduled:  # the first schedule takes the rates as they are now
            for group in self.optimizer.param_groups:
                group["initial_lr"] = group["lr"]
            self.optimizer.scheduled = True
        self._start()

    def _check(self, owner: str, options: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` for an option, or one of several, that is out of its limits."""
        for name, limit in {**_KEPT, **self.limits}.items():
            value = options.get(name, ())
            for each in value if isinstance(value, list | tuple) else [value]:
                check_option(owner, limit, **{name: each})

    def _start(self) -> None:
        self.step()

    @property
    def base_lrs(self) -> list[float]:
        """η₀, one a parameter group."""
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def rate(self, lr: float, base: float) -> float:
        """The rate of epoch ``last_epoch`` for a group whose rate has been ``lr``."""
        raise NotImplementedError(f"{type(self).__name__} does not define rate")

    def per_group(self, option: str) -> list[Any]:
        """An option for each parameter group; a single value serves all."""
        value, n = getattr(self, option), len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, list | tuple) else [value] * n
        if len(values) != n:
            owner = type(self).__name__
            raise ValueError(
                f"{owner}: got {len(values)} values of {option} for {n} parameter groups"
            )
        return values

    def step(self) -> None:
        """Go to the next epoch and set its rates."""
        self.last_epoch += 1
        groups = self.optimizer.param_groups
        self._set([self.rate(group["lr"], group["initial_lr"]) for group in groups])

    def _set(self, rates: Sequence[float]) -> None:
        self._last_lr = list(rates)
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr

    def set_others(self, k: int) -> None:
        """Set what else than the rate follows the epoch: in one cycle the momentum."""

    def get_last_lr(self) -> list[float]:
        """The rates that the last step has set, one a parameter group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the rates as they are now; copies, safe to keep."""
        kept = {k: v for k, v in vars(self).items() if k not in self.unsaved}
        rates = [group["lr"] for group in self.optimizer.param_groups]  # perhaps changed by hand
        return copy.deepcopy({**kept, "_last_lr": rates})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, all or nothing, and set its rates.

        The optimizer's state may be loaded before or after. Before anything changes raises
        ``TypeError`` for what is no mapping, ``ValueError`` for one with other names, values of
        other kinds or out of their limits.
        """
        self._check_state(state)
        kept = {name: value for name, value in state.items() if name not in self.unsaved}
        vars(self).update(copy.deepcopy(kept))
        self._set(self._last_lr)  # making a schedule has set those of epoch 0
        self.set_others(self.last_epoch)

    def _check_state(self, state: Mapping[str, Any]) -> None:
        owner, mine = f"{type(self).__name__}.load_state_dict", self.state_dict()
        check_mapping(owner, "state", state, "schedule.state_dict()")
        if state.keys() != mine.keys():
            raise ValueError(
                f"{owner}: state lacks {[*mine.keys() - state.keys()]} and has "
                f"{[*state.keys() - mine.keys()]} besides; is it of another kind of schedule?"
            )
        for name, value in state.items():
            if not _alike(value, mine[name], name in self.limits):
                raise ValueError(f"{owner}: {name} is {mine[name]!r} here, got {value!r:.80}")
        self._check(owner, state)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.limits)
        return f"{type(self).__name__}({options}) at epoch {self.last_epoch}: {self.formula}"


class ClosedForm(LRScheduler):
    """Base class of the formulas η_k = η₀·f(k): a subclass is a dataclass that defines f.

    >>> import minireg as mr
    >>> class InverseRoot(ClosedForm):
    ...     def multiplier(self, k, i): return (k + 1) ** -0.5
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = InverseRoot(opt)
    >>> for _ in range(3): schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def multiplier(self, k: int, i: int) -> float:
        """f(k) of parameter group i, at epoch k ≥ 0."""
        raise NotImplementedError(f"{type(self).__name__} does not define multiplier")

    def _start(self) -> None:
        self.multiplier(0, 0)  # what fails does so before the optimizer knows of it
        self.optimizer.schedules.append(self)
        if self.last_epoch >= 0:
            self._set(self._rates())  # the formula's, whatever rates were saved
        self.step()

    def _rates(self) -> list[float]:
        """The rates by the formulas of all schedules of the optimizer."""
        begun = [s for s in self.optimizer.schedules if s.last_epoch >= 0]
        return [
            math.prod((s.multiplier(s.last_epoch, i) for s in begun), start=base)
            for i, base in enumerate(self.base_lrs)
        ]

    def step(self) -> None:
        """Go to the next epoch; a rate that is not the formula's keeps its ratio to it."""
        before = self._rates()
        self.last_epoch += 1
        rates = self._rates()
        for i, group in enumerate(self.optimizer.param_groups):
            if before[i] and group["lr"] != before[i]:
                rates[i] *= group["lr"] / before[i]
        self._set(rates)
        self.set_others(self.last_epoch)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "counts": self in self.optimizer.schedules}

    def __setstate__(self, state: dict[str, Any]) -> None:
        counts = state.pop("counts")
        vars(self).update(state)
        if counts:  # its multiplier does; those of a sequence's parts do not
            self.optimizer.schedules.append(self)


@schedule
class LambdaLR(ClosedForm):
    """η_k = η₀·λ(k), for a function λ or a list with one for each parameter group.

    The functions are no part of ``state_dict``.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> LambdaLR(opt, lambda k: 1 / (k + 1))
    LambdaLR() at epoch 0: η_k = η₀·λ(k)
    """

    lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]

    formula = "η_k = η₀·λ(k)"
    unsaved = ("optimizer", "lr_lambda")

    def __post_init__(self) -> None:
        given = self.lr_lambda
        for each in given if isinstance(given, list | tuple) else [given]:
            if not callable(each):
                raise TypeError(
                    f"LambdaLR: lr_lambda must be a function of the epoch, or a list of them, got {each!r}"
                )
        super().__post_init__()

    def multiplier(self, k: int, i: int) -> float:
        """λ(k)."""
        return float(self.per_group("lr_lambda")[i](k))


@schedule
class StepLR(ClosedForm):
    """The rate times γ every ``step_size`` epochs.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> StepLR(opt, step_size=30)
    StepLR(step_size=30, gamma=0.1) at epoch 0: η_k = η₀·γ^⌊k/step_size⌋
    """

    step_size: Annotated[int, 1]
    gamma: Annotated[float, "[0, inf)"] = 0.1

    formula = "η_k = η₀·γ^⌊k/step_size⌋"

    def multiplier(self, k: int, i: int) -> float:
        """γ^⌊k/step_size⌋."""
        return self.gamma ** (k // self.step_size)


@schedule
class MultiStepLR(ClosedForm):
    """The rate times γ at each milestone; one that is named twice counts twice.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> MultiStepLR(opt, milestones=[30, 80])
    MultiStepLR(milestones=[30, 80], gamma=0.1) at epoch 0: η_k = η₀·γ^(number of milestones ≤ k)
    """

    milestones: Annotated[Sequence[int], 0]
    gamma: Annotated[float, "[0, inf)"] = 0.1

    formula = "η_k = η₀·γ^(number of milestones ≤ k)"

    def __post_init__(self) -> None:
        self.milestones = _epochs("MultiStepLR", self.milestones)
        super().__post_init__()

    def multiplier(self, k: int, i: int) -> float:
        """γ to the power of the milestones up to k."""
        return self.gamma ** sum(milestone <= k for milestone in self.milestones)


@schedule
class ExponentialLR(ClosedForm):
    """The rate times γ every epoch.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> ExponentialLR(opt, gamma=0.9)
    ExponentialLR(gamma=0.9) at epoch 0: η_k = η₀·γᵏ
    """

    gamma: Annotated[float, "[0, inf)"]

    formula = "η_k = η₀·γᵏ"

    def multiplier(self, k: int, i: int) -> float:
        """γᵏ."""
        return self.gamma**k


@schedule
class ConstantLR(ClosedForm):
    """The rate times ``factor`` until epoch ``total_iters``.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> ConstantLR(opt, factor=0.5)
    ConstantLR(factor=0.5, total_iters=5) at epoch 0: η_k = factor·η₀ if k < total_iters, else η₀
    """

    factor: Annotated[float, "(0, 1]"] = 1.0 / 3
    total_iters: Annotated[int, 1] = 5

    formula = "η_k = factor·η₀ if k < total_iters, else η₀"

    def multiplier(self, k: int, i: int) -> float:
        """``factor``, later 1."""
        return self.factor if k < self.total_iters else 1.0


@schedule
class LinearLR(ClosedForm):
    """A straight line from ``start_factor`` to ``end_factor`` times the rate: a warm-up.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> LinearLR(opt, start_factor=0.5)
    LinearLR(start_factor=0.5, end_factor=1.0, total_iters=5) at epoch 0: η_k = η₀·(s + (e − s)·k/total_iters)
    """

    start_factor: Annotated[float, "(0, 1]"] = 1.0 / 3
    end_factor: Annotated[float, "[0, 1]"] = 1.0
    total_iters: Annotated[int, 1] = 5

    formula = "η_k = η₀·(s + (e − s)·k/total_iters)"

    def multiplier(self, k: int, i: int) -> float:
        """The line, constant from ``total_iters`` on."""
        share = min(k / self.total_iters, 1.0)
        return self.start_factor * (1 - share) + self.end_factor * share


@schedule
class PolynomialLR(ClosedForm):
    """From the base rate to 0 along a power of the epochs that are left.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> PolynomialLR(opt, total_iters=10, power=2.0)
    PolynomialLR(total_iters=10, power=2.0) at epoch 0: η_k = η₀·(1 − k/total_iters)^power
    """

    total_iters: Annotated[int, 1] = 5
    power: Annotated[float, "[0, inf)"] = 1.0

    formula = "η_k = η₀·(1 − k/total_iters)^power"

    def multiplier(self, k: int, i: int) -> float:
        """The share that is left, to the power."""
        return float((1 - min(k / self.total_iters, 1.0)) ** self.power)


def _cosine(share: float, eta_min: float, base: float) -> float:
    """Half a cosine from 1 to η_min/η₀; where η₀ = 0 the rate stays there."""
    low = eta_min / base if base else 0.0
    return low + (1 - low) * (1 + math.cos(math.pi * share)) / 2


@schedule
class CosineAnnealingLR(ClosedForm):
    """Half a cosine from the base rate to ``eta_min`` in ``T_max`` epochs, and back again.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> CosineAnnealingLR(opt, T_max=50)
    CosineAnnealingLR(T_max=50, eta_min=0.0) at epoch 0: η_k = m + ½(η₀ − m)(1 + cos(πk/T_max))
    """

    T_max: Annotated[int, 1]
    eta_min: Annotated[float, "[0, inf)"] = 0.0

    formula = "η_k = m + ½(η₀ − m)(1 + cos(πk/T_max))"

    def multiplier(self, k: int, i: int) -> float:
        """The formula, divided by η₀."""
        return _cosine(k / self.T_max, self.eta_min, self.base_lrs[i])


@schedule
class CosineAnnealingWarmRestarts(ClosedForm):
    """Cosines from the base rate to ``eta_min``; each is ``T_mult`` times as long as the last.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> CosineAnnealingWarmRestarts(opt, T_0=10)
    CosineAnnealingWarmRestarts(T_0=10, T_mult=1, eta_min=0.0) at epoch 0: η = m + ½(η₀ − m)(1 + cos(πt/T))
    """

    T_0: Annotated[int, 1]
    T_mult: Annotated[int, 1] = 1
    eta_min: Annotated[float, "[0, inf)"] = 0.0

    formula = "η = m + ½(η₀ − m)(1 + cos(πt/T))"

    def multiplier(self, k: int, i: int) -> float:
        """The formula t epochs into a cosine of T, divided by η₀."""
        t, period = k, self.T_0
        while t >= period:
            t, period = t - period, period * self.T_mult
        return _cosine(t / period, self.eta_min, self.base_lrs[i])


@schedule
class OneCycleLR(ClosedForm):
    """Up to ``max_lr`` and down to almost nothing in ``total_steps`` updates.

    From max_lr/div_factor, which becomes the base rate, to max_lr in the first ``pct_start`` of the
    steps, then down to max_lr/(div_factor·final_div_factor); with ``three_phase`` down the way it
    came up first. With ``cycle_momentum`` the momentum, or β₁, runs the other way between
    ``max_momentum`` and ``base_momentum``. One step an update: ``interval`` is "step". A step after
    the last raises ``ValueError``. Smith & Topin 2017.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = OneCycleLR(opt, max_lr=0.5, total_steps=100)
    >>> round(opt.param_groups[0]["lr"], 4), opt.param_groups[0]["momentum"]
    (0.02, 0.95)
    """

    max_lr: Annotated[float | Sequence[float], "[0, inf)"]
    total_steps: Annotated[int | None, 1] = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: Annotated[float, "[0, 1]"] = 0.3
    anneal_strategy: Annotated[str, ("cos", "linear")] = "cos"
    cycle_momentum: bool = True
    base_momentum: Annotated[float | Sequence[float], "[0, 1)"] = 0.85
    max_momentum: Annotated[float | Sequence[float], "[0, 1)"] = 0.95
    div_factor: Annotated[float, "(0, inf)"] = 25.0
    final_div_factor: Annotated[float, "(0, inf)"] = 1e4
    three_phase: bool = False
    interval: Literal["epoch", "step"] = field(default="step", init=False)

    unsaved = ("optimizer", "epochs", "steps_per_epoch")
    formula = "η: max_lr/div_factor ↗ max_lr ↘ max_lr/(div_factor·final_div_factor)"

    def __post_init__(self) -> None:
        if self.total_steps is None:
            epochs, steps = self.epochs, self.steps_per_epoch
            if epochs is None or steps is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            check_option("OneCycleLR", 1, epochs=epochs, steps_per_epoch=steps)
            self.total_steps = epochs * steps
        super().__post_init__()

    def _start(self) -> None:
        known = [name for name in ("betas", "momentum") if name in self.optimizer.defaults]
        if self.cycle_momentum and not known:
            raise ValueError(
                f"OneCycleLR: {type(self.optimizer).__name__} has neither momentum nor betas to cycle; "
                "say cycle_momentum=False"
            )
        self.momentum_name = known[0] if self.cycle_momentum else ""
        peaks, *_ = map(self.per_group, ("max_lr", "max_momentum", "base_momentum"))
        for group, peak in zip(self.optimizer.param_groups, peaks, strict=True):
            group["max_lr"], group["initial_lr"] = peak, peak / self.div_factor
        self._set(self._rates())
        super()._start()

    def _between(self, k: int, start: float, top: float, end: float) -> float:
        """At step k between the values with which the phases begin and end."""
        steps = self.total_steps or 0
        if k > steps:
            raise ValueError(f"OneCycleLR: step {k} of a cycle of total_steps={steps}")
        up = self.pct_start * steps - 1
        knots = [(0.0, start), (up, top), (steps - 1.0, end)]
        if self.three_phase:
            knots.insert(2, (2 * up, start))
        last = next((n for n, knot in enumerate(knots[1:], 1) if k <= knot[0]), len(knots) - 1)
        (begin, low), (finish, high) = knots[last - 1 : last + 1]
        share = (k - begin) / (finish - begin) if finish != begin else 1.0
        if self.anneal_strategy == "cos":
            share = (1 - math.cos(math.pi * share)) / 2
        return low + (high - low) * share

    def multiplier(self, k: int, i: int) -> float:
        """From 1 to ``div_factor`` and down to 1/``final_div_factor``."""
        return self._between(k, 1.0, self.div_factor, 1 / self.final_div_factor)

    def set_others(self, k: int) -> None:
        """The momentum, or β₁, of each group."""
        if not self.momentum_name:
            return
        momenta = zip(self.per_group("max_momentum"), self.per_group("base_momentum"), strict=True)
        for group, (most, least) in zip(self.optimizer.param_groups, momenta, strict=True):
            value = self._between(k, most, least, most)
            cycled = (value, *group["betas"][1:]) if self.momentum_name == "betas" else value
            group[self.momentum_name] = cycled


@schedule
class ReduceLROnPlateau(LRScheduler):
    """The rate times ``factor`` when a figure has not improved for more than ``patience`` epochs.

    ``step(metrics)`` takes the figure; :func:`minireg.fit` gives it the column ``monitor`` of the
    history, or the training loss where there is no validation data.

    Parameters
    ----------
    mode : "min" for figures that should fall, "max" for those that should grow.
    threshold, threshold_mode : what counts as improvement: by this share ("rel") or amount ("abs").
    cooldown : epochs after a reduction in which nothing counts as bad.
    min_lr : a lower bound, or a list with one for each parameter group.
    eps : reductions by less than this are left out.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = ReduceLROnPlateau(opt, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0): schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.1]
    """

    mode: Annotated[str, ("min", "max")] = "min"
    factor: Annotated[float, "[0, 1)"] = 0.1
    patience: Annotated[int, 0] = 10
    threshold: Annotated[float, "[0, inf)"] = 1e-4
    threshold_mode: Annotated[str, ("rel", "abs")] = "rel"
    cooldown: Annotated[int, 0] = 0
    min_lr: Annotated[float | Sequence[float], "[0, inf)"] = 0.0
    eps: Annotated[float, "[0, inf)"] = 1e-8
    monitor: str = field(default="validation_loss", kw_only=True)

    formula = "η ← max(factor·η, min_lr) on a plateau"

    def _start(self) -> None:
        self.min_lrs = self.per_group("min_lr")
        self.best = math.inf if self.mode == "min" else -math.inf
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _improves(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        margin = sign * self.threshold
        edge = self.best * (1.0 + margin) if self.threshold_mode == "rel" else self.best + margin
        return sign * value > sign * edge

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at the figure of an epoch (a number or a scalar Tensor)."""
        value = float(metrics)
        self.last_epoch += 1
        self.num_bad_epochs += 1
        if self._improves(value):
            self.best, self.num_bad_epochs = value, 0
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for i, (lr, least) in enumerate(zip(rates, self.min_lrs, strict=True)):
                lower = max(lr * self.factor, least)
                rates[i] = lower if lr - lower > self.eps else lr
        self._set(rates)


@schedule
class SequentialLR(ClosedForm):
    """One schedule after the other: the next begins, at its own epoch 0, at each milestone.

    Raises ``ValueError`` for a schedule of another optimizer, for one that is no
    :class:`ClosedForm`, and unless there is one milestone less than schedules.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> parts = [LinearLR(opt, total_iters=3), CosineAnnealingLR(opt, T_max=97)]
    >>> SequentialLR(opt, parts, milestones=[3])
    SequentialLR() at epoch 0: LinearLR until 3, CosineAnnealingLR
    """

    schedulers: Sequence[ClosedForm]
    milestones: Sequence[int]

    unsaved = ("optimizer", "schedulers")

    def _start(self) -> None:
        self.schedulers = list(self.schedulers)
        self.milestones = _epochs("SequentialLR", self.milestones)
        for i, part in enumerate(self.schedulers):
            if not isinstance(part, ClosedForm):
                raise ValueError(
                    f"SequentialLR: schedulers[{i}] is a {type(part).__name__}, which cannot begin "
                    "again at epoch 0; give schedules in closed form"
                )
            if part.optimizer is not self.optimizer:
                raise ValueError(f"SequentialLR: schedulers[{i}] belongs to another optimizer")
        if len(self.schedulers) != len(self.milestones) + 1:
            raise ValueError(
                f"SequentialLR: got {len(self.schedulers)} schedulers and {len(self.milestones)} "
                "milestones, expected one milestone less than schedulers"
            )
        if any(part.interval == "step" for part in self.schedulers):
            self.interval = "step"
        others = [s for s in self.optimizer.schedules if s not in self.schedulers]
        self.optimizer.schedules = others  # the multipliers of the parts count through this one's
        self._set(self._rates())
        super()._start()

    @property
    def formula(self) -> str:  # type: ignore[override]
        """Which schedule runs until when."""
        until = [f" until {milestone}" for milestone in self.milestones]
        turns = zip(self.schedulers, [*until, ""], strict=True)
        return ", ".join(type(part).__name__ + end for part, end in turns)

    def _turn(self, k: int) -> tuple[ClosedForm, int]:
        """The schedule whose turn it is, and its own epoch."""
        i = bisect_right(self.milestones, k)
        return self.schedulers[i], k - [0, *self.milestones][i]

    def multiplier(self, k: int, i: int) -> float:
        """That of the schedule whose turn it is."""
        part, epoch = self._turn(k)
        return part.multiplier(epoch, i)

    def set_others(self, k: int) -> None:
        """The epoch of the schedule whose turn it is, and what follows from it."""
        part, epoch = self._turn(k)
        part.last_epoch = epoch
        part.set_others(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Its own state, and that of each schedule under ``schedulers``."""
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, of every schedule or of none."""
        self._check_state(state)
        for part, saved in zip(self.schedulers, state["schedulers"], strict=True):
            part.load_state_dict(saved)
        super().load_state_dict(state)

    def _check_state(self, state: Mapping[str, Any]) -> None:
        super()._check_state(state)
        for part, saved in zip(self.schedulers, state["schedulers"], strict=True):
            part._check_state(saved)
