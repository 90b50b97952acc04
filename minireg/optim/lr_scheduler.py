"""Schedules of the learning rate, with PyTorch's names, arguments and arithmetic.

A schedule is a rule: the rate η_k of epoch k = ``last_epoch`` from the rate before it and the
base rate η₀ of the parameter group. Most rules are factors on the rate as it is, so several
schedules of one optimizer multiply. Call ``step()`` after the optimizer's. What an epoch is,
is the caller's affair; ``interval`` tells :func:`minireg.fit` whether it is a pass over the
data or one update, and may be assigned.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..messages import Limit, check_mapping, check_option
from .pipeline import Optimizer

# of what every schedule keeps beside its options
_LIMITS: dict[str, Limit] = {
    "last_epoch": -1,
    "base_lrs": "[0, inf)",
    "interval": ("epoch", "step"),
}


def _each(owner: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value for each parameter group; a single value serves all."""
    n = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * n
    if len(values) != n:
        raise ValueError(f"{owner}: got {len(values)} values of {name} for {n} parameter groups")
    return values


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


class LRScheduler:
    """Base class: counts epochs and sets the rates that its rule gives.

    A subclass defines :meth:`rate`, or :meth:`get_lr` for all groups at once. A ``last_epoch``
    other than −1 resumes an optimizer whose ``initial_lr`` are known.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = ExponentialLR(opt, gamma=0.5)
    >>> schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    formula = ""
    limits: dict[str, Limit] = {}  # of the options, in the order of the repr
    interval: Literal["epoch", "step"] = "epoch"
    monitor: str | None = None  # the column of the history that step() wants to see
    _unsaved: tuple[str, ...] = ("optimizer",)

    if TYPE_CHECKING:  # the options, numbers unless a subclass says otherwise

        def __getattr__(self, name: str) -> float: ...

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1, **options: Any) -> None:
        self._join(optimizer, **options)
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._start()

    def _join(self, optimizer: Optimizer, **options: Any) -> None:
        """Check the options and keep them as attributes; take the optimizer's rates as the base."""
        owner = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{owner}: expected an Optimizer, got {optimizer!r:.80}")
        self._check(owner, options)
        self.optimizer = optimizer
        vars(self).update(options)
        if not optimizer.scheduled:  # the first schedule takes the rates as they are now
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
            optimizer.scheduled = True

    def _check(self, owner: str, options: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` for an option, or one of several, that is out of its limits."""
        for name, limit in {**_LIMITS, **self.limits}.items():
            value = options.get(name, ())
            for each in value if isinstance(value, list | tuple) else [value]:
                check_option(owner, limit, **{name: each})

    def _start(self) -> None:
        self._starting = True  # a rule that continues from the last rate leaves it as it is
        self.step()
        self._starting = False

    def _restart(self) -> None:
        """Begin again at epoch 0 from the base rates, for :class:`SequentialLR`."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.first(base)
        self.last_epoch = -1
        self._start()

    def first(self, base: float) -> float:
        """The rate that a restart continues from."""
        return base

    def rate(self, lr: float, base: float) -> float:
        """The rate of epoch ``last_epoch`` for a group whose rate has been ``lr``."""
        raise NotImplementedError(f"{type(self).__name__} does not define rate")

    def get_lr(self) -> list[float]:
        """The rates of epoch ``last_epoch``, one a parameter group."""
        pairs = zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        return [self.rate(group["lr"], base) for group, base in pairs]

    def step(self) -> None:
        """Go to the next epoch and set its rates."""
        self.last_epoch += 1
        self._last_lr = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr

    def get_last_lr(self) -> list[float]:
        """The rates that the last step has set, one a parameter group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, whose state has the rates; copies, safe to keep."""
        return copy.deepcopy({k: v for k, v in vars(self).items() if k not in self._unsaved})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, all or nothing.

        Before anything changes raises ``TypeError`` for what is no mapping, ``ValueError`` for one
        with other names, values of other kinds or out of their limits.
        """
        self._check_state(state)
        vars(self).update(copy.deepcopy(dict(state)))

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


class LambdaLR(LRScheduler):
    """η_k = η₀·λ(k), for a function λ or a list with one for each parameter group.

    The functions are no part of ``state_dict``.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> LambdaLR(opt, lambda k: 1 / (k + 1))
    LambdaLR() at epoch 0: η_k = η₀·λ(k)
    """

    formula = "η_k = η₀·λ(k)"
    _unsaved = ("optimizer", "lr_lambda")
    lr_lambda: Any

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        for each in lr_lambda if isinstance(lr_lambda, list | tuple) else [lr_lambda]:
            if not callable(each):
                raise TypeError(
                    f"LambdaLR: lr_lambda must be a function of the epoch, or a list of them, got {each!r}"
                )
        super().__init__(optimizer, last_epoch, lr_lambda=lr_lambda)

    def get_lr(self) -> list[float]:
        """Base rates times λ(k)."""
        functions = _each("LambdaLR", "lr_lambda", self.lr_lambda, self.optimizer)
        return [
            b * function(self.last_epoch)
            for b, function in zip(self.base_lrs, functions, strict=True)
        ]


class StepLR(LRScheduler):
    """The rate times γ every ``step_size`` epochs.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> StepLR(opt, step_size=30)
    StepLR(step_size=30, gamma=0.1) at epoch 0: η ← γη if step_size divides k
    """

    formula = "η ← γη if step_size divides k"
    limits = {"step_size": 1, "gamma": "[0, inf)"}

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, last_epoch, step_size=step_size, gamma=gamma)

    def rate(self, lr: float, base: float) -> float:
        """See :attr:`formula`."""
        k = self.last_epoch
        return lr * self.gamma if k and k % self.step_size == 0 else lr


class MultiStepLR(LRScheduler):
    """The rate times γ at each milestone; one that is named twice counts twice.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> MultiStepLR(opt, milestones=[30, 80])
    MultiStepLR(milestones=[30, 80], gamma=0.1) at epoch 0: η ← γη if k is a milestone
    """

    formula = "η ← γη if k is a milestone"
    limits = {"milestones": 0, "gamma": "[0, inf)"}
    milestones: list[int]

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        epochs = _epochs("MultiStepLR", milestones)
        super().__init__(optimizer, last_epoch, milestones=epochs, gamma=gamma)

    def rate(self, lr: float, base: float) -> float:
        """See :attr:`formula`."""
        return lr * self.gamma ** self.milestones.count(self.last_epoch)


class ExponentialLR(LRScheduler):
    """The rate times γ every epoch.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> ExponentialLR(opt, gamma=0.9)
    ExponentialLR(gamma=0.9) at epoch 0: η ← γη
    """

    formula = "η ← γη"
    limits = {"gamma": "[0, inf)"}

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        super().__init__(optimizer, last_epoch, gamma=gamma)

    def rate(self, lr: float, base: float) -> float:
        """See :attr:`formula`."""
        return lr if self._starting else lr * self.gamma


class ConstantLR(LRScheduler):
    """The rate times ``factor`` until epoch ``total_iters``.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> ConstantLR(opt, factor=0.5)
    ConstantLR(factor=0.5, total_iters=5) at epoch 0: η ← factor·η until k = total_iters
    """

    formula = "η ← factor·η until k = total_iters"
    limits = {"factor": "(0, 1]", "total_iters": 1}

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        super().__init__(optimizer, last_epoch, factor=factor, total_iters=total_iters)

    def rate(self, lr: float, base: float) -> float:
        """See :attr:`formula`."""
        if self.last_epoch == 0:
            return lr * self.factor
        return lr * (1.0 / self.factor) if self.last_epoch == self.total_iters else lr


class LinearLR(LRScheduler):
    """A straight line from ``start_factor`` to ``end_factor`` times the rate: a warm-up.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> LinearLR(opt, start_factor=0.5)
    LinearLR(start_factor=0.5, end_factor=1.0, total_iters=5) at epoch 0: η_k = η₀·(s + (e − s)·k/total_iters)
    """

    formula = "η_k = η₀·(s + (e − s)·k/total_iters)"
    limits = {"start_factor": "(0, 1]", "end_factor": "[0, 1]", "total_iters": 1}

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        super().__init__(
            optimizer, last_epoch,
            start_factor=start_factor, end_factor=end_factor, total_iters=total_iters,
        )  # fmt: skip

    def rate(self, lr: float, base: float) -> float:
        """The formula as a factor on the last rate."""
        k, start = self.last_epoch, self.start_factor
        if k == 0:
            return lr * start
        if self._starting or k > self.total_iters:
            return lr
        rise = self.end_factor - start
        return lr * (1.0 + rise / (self.total_iters * start + (k - 1) * rise))


class PolynomialLR(LRScheduler):
    """From the base rate to 0 along a power of the epochs that are left.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> PolynomialLR(opt, total_iters=10, power=2.0)
    PolynomialLR(total_iters=10, power=2.0) at epoch 0: η_k = η₀·(1 − k/total_iters)^power
    """

    formula = "η_k = η₀·(1 − k/total_iters)^power"
    limits = {"total_iters": 1, "power": "[0, inf)"}

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, last_epoch, total_iters=total_iters, power=power)

    def rate(self, lr: float, base: float) -> float:
        """The formula as a factor on the last rate."""
        k, total = self.last_epoch, self.total_iters
        if self._starting or k > total:
            return lr
        factor: float = ((1.0 - k / total) / (1.0 - (k - 1) / total)) ** self.power
        return lr * factor


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the base rate to ``eta_min`` in ``T_max`` epochs, and back again.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> CosineAnnealingLR(opt, T_max=50)
    CosineAnnealingLR(T_max=50, eta_min=0.0) at epoch 0: η_k = m + ½(η₀ − m)(1 + cos(πk/T_max))
    """

    formula = "η_k = m + ½(η₀ − m)(1 + cos(πk/T_max))"
    limits = {"T_max": 1, "eta_min": "[0, inf)"}

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, last_epoch, T_max=T_max, eta_min=eta_min)

    def first(self, base: float) -> float:
        """The formula at k = 0, rounded as it is."""
        return self.eta_min + (base - self.eta_min)

    def rate(self, lr: float, base: float) -> float:
        """The formula as a factor on the last rate; from a minimum, where there is none, a step."""
        k, m, period = self.last_epoch, self.eta_min, self.T_max
        if self._starting:
            return lr
        if (k - 1 - period) % (2 * period) == 0:
            return lr + (base - m) * (1 - math.cos(math.pi / period)) / 2
        now, before = (1 + math.cos(math.pi * i / period) for i in (k, k - 1))
        return now / before * (lr - m) + m


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosines from the base rate to ``eta_min``; each is ``T_mult`` times as long as the last.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> CosineAnnealingWarmRestarts(opt, T_0=10)
    CosineAnnealingWarmRestarts(T_0=10, T_mult=1, eta_min=0.0) at epoch 0: η = m + ½(η₀ − m)(1 + cos(πt/T))
    """

    formula = "η = m + ½(η₀ − m)(1 + cos(πt/T))"
    limits = {"T_0": 1, "T_mult": 1, "eta_min": "[0, inf)"}

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        super().__init__(optimizer, last_epoch, T_0=T_0, T_mult=T_mult, eta_min=eta_min)

    def rate(self, lr: float, base: float) -> float:
        """The formula, t epochs into a cosine of T."""
        t: float = self.last_epoch
        period, m = self.T_0, self.eta_min
        while t >= period:
            t, period = t - period, period * self.T_mult
        return m + (base - m) * (1 + math.cos(math.pi * t / period)) / 2


class OneCycleLR(LRScheduler):
    """Up to ``max_lr`` and down to almost nothing in ``total_steps`` updates.

    From max_lr/div_factor to max_lr in the first ``pct_start`` of the steps, then down to
    max_lr/(div_factor·final_div_factor); with ``three_phase`` down the way it came up first.
    With ``cycle_momentum`` the momentum, or β₁, runs the other way between ``max_momentum`` and
    ``base_momentum``. One step an update: ``interval`` is "step". Smith & Topin 2017.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = OneCycleLR(opt, max_lr=0.5, total_steps=100)
    >>> round(opt.param_groups[0]["lr"], 4), opt.param_groups[0]["momentum"]
    (0.02, 0.95)
    """

    formula = "η: max_lr/div_factor ↗ max_lr ↘ max_lr/(div_factor·final_div_factor)"
    interval = "step"
    limits = {
        "max_lr": "[0, inf)", "total_steps": 1, "pct_start": "[0, 1]",
        "anneal_strategy": ("cos", "linear"), "base_momentum": "[0, 1)", "max_momentum": "[0, 1)",
        "div_factor": "(0, inf)", "final_div_factor": "(0, inf)",
    }  # fmt: skip
    anneal_strategy: str

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            check_option("OneCycleLR", 1, epochs=epochs, steps_per_epoch=steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        self._join(
            optimizer, max_lr=max_lr, total_steps=total_steps, pct_start=pct_start,
            anneal_strategy=anneal_strategy, base_momentum=base_momentum, max_momentum=max_momentum,
            div_factor=div_factor, final_div_factor=final_div_factor,
        )  # fmt: skip
        known = [name for name in ("betas", "momentum") if name in optimizer.defaults]
        if cycle_momentum and not known:
            raise ValueError(
                f"OneCycleLR: {type(optimizer).__name__} has neither momentum nor betas to cycle; "
                "say cycle_momentum=False"
            )
        self._cycled = known[0] if cycle_momentum else None
        # the group's values between which each phase leads, and where the phases end
        self._rates = ["initial_lr", "max_lr", *["initial_lr"] * three_phase, "min_lr"]
        self._momenta = ["max_momentum", "base_momentum", "max_momentum", "max_momentum"]
        self._ends = [pct_start * total_steps - 1, total_steps - 1]
        if three_phase:
            self._ends.insert(1, 2 * pct_start * total_steps - 2)
        if last_epoch == -1:
            for name in ("max_lr", "base_momentum", "max_momentum"):
                values = _each("OneCycleLR", name, getattr(self, name), optimizer)
                for group, value in zip(optimizer.param_groups, values, strict=True):
                    group[name] = value
            for group in optimizer.param_groups:
                group["initial_lr"] = group["max_lr"] / div_factor
                group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[float]:
        """The rates; the momenta are set on the way."""
        k, ends = self.last_epoch, self._ends
        if k > self.total_steps:
            raise ValueError(f"OneCycleLR: step {k} of a cycle of total_steps={self.total_steps}")
        i = next((i for i, end in enumerate(ends) if k <= end), len(ends) - 1)
        start = ends[i - 1] if i else 0.0
        share = (k - start) / (ends[i] - start) if ends[i] != start else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            lr, momentum = (
                self._between(group[names[i]], group[names[i + 1]], share)
                for names in (self._rates, self._momenta)
            )
            if self._cycled == "betas":
                group["betas"] = (momentum, *group["betas"][1:])
            elif self._cycled:
                group["momentum"] = momentum
            rates.append(lr)
        return rates


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

    formula = "η ← max(factor·η, min_lr) on a plateau"
    limits = {
        "mode": ("min", "max"), "factor": "[0, 1)", "patience": 0, "threshold": "[0, inf)",
        "threshold_mode": ("rel", "abs"), "cooldown": 0, "min_lr": "[0, inf)", "eps": "[0, inf)",
    }  # fmt: skip
    mode: str
    threshold_mode: str
    cooldown: int

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        *,
        monitor: str = "validation_loss",
    ) -> None:
        self._join(
            optimizer, mode=mode, factor=factor, patience=patience, threshold=threshold,
            threshold_mode=threshold_mode, cooldown=cooldown, min_lr=min_lr, eps=eps, monitor=monitor,
        )  # fmt: skip
        self.min_lrs = _each("ReduceLROnPlateau", "min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def _improves(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            return sign * value > sign * (self.best * (1.0 + sign * self.threshold))
        return sign * value > sign * (self.best + sign * self.threshold)

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
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group, bound in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lower = max(group["lr"] * self.factor, bound)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


class SequentialLR(LRScheduler):
    """One schedule after the other: the next begins, at its own epoch 0, at each milestone.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> parts = [LinearLR(opt, total_iters=3), CosineAnnealingLR(opt, T_max=97)]
    >>> SequentialLR(opt, parts, milestones=[3])
    SequentialLR() at epoch 0: LinearLR until 3, CosineAnnealingLR
    """

    _unsaved = ("optimizer", "_schedulers")

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._join(optimizer)
        self._schedulers, self._milestones = list(schedulers), _epochs("SequentialLR", milestones)
        for i, each in enumerate(self._schedulers):
            if not hasattr(each, "base_lrs"):
                raise ValueError(
                    f"SequentialLR: schedulers[{i}] is a {type(each).__name__}, which cannot begin "
                    "again at epoch 0; give the schedules themselves, one after the other"
                )
            if each.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: schedulers[{i}] belongs to another optimizer")
        if len(self._schedulers) != len(self._milestones) + 1:
            raise ValueError(
                f"SequentialLR: got {len(self._schedulers)} schedulers and {len(self._milestones)} "
                "milestones, expected one milestone less than schedulers"
            )
        self.last_epoch = last_epoch + 1
        steps = any(each.interval == "step" for each in self._schedulers)
        self.interval = "step" if steps else "epoch"
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        begins = self._schedulers[bisect_right(self._milestones, 0)]
        begins.last_epoch -= 1
        begins._start()
        self._last_lr = begins.get_last_lr()

    @property
    def formula(self) -> str:  # type: ignore[override]
        """Which schedule runs until when."""
        until = [f" until {milestone}" for milestone in self._milestones]
        return ", ".join(
            type(each).__name__ + end
            for each, end in zip(self._schedulers, [*until, ""], strict=True)
        )

    def step(self) -> None:
        """Go to the next epoch of the schedule whose turn it is."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        now = self._schedulers[i]
        if i and self._milestones[i - 1] == self.last_epoch:
            now._restart()
        else:
            now.step()
        self._last_lr = now.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Its own state, and that of each schedule under ``_schedulers``."""
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, of every schedule or of none."""
        self._check_state(state)
        pairs = [*zip(self._schedulers, state["_schedulers"], strict=True)]
        for each, saved in pairs:
            each._check_state(saved)
        for each, saved in pairs:
            each.load_state_dict(saved)
        own = {k: v for k, v in state.items() if k != "_schedulers"}
        vars(self).update(copy.deepcopy(own))
