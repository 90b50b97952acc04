"""Schedules of the learning rate, with PyTorch's names and arguments, in closed form.

A schedule is a formula: the multiplier f(k) of the base rate η₀ (``initial_lr``) of each parameter
group at epoch k = ``last_epoch``. The rate is η₀ times the multipliers of all schedules of the
optimizer, so warm-up and decay multiply; one that was changed by hand, or by a plateau, keeps its
ratio to the formula. Call ``step()`` after the optimizer's. An epoch is whatever lies between two
calls: ``interval`` says whether :func:`minireg.fit` calls it per pass over the data or per update.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, ClassVar, Literal, dataclass_transform, get_type_hints

from ..messages import Limit, check_kind, check_mapping, check_option
from ..tensor import Tensor
from .pipeline import Optimizer

# the limits of the attributes that every schedule has besides its options
_KEPT: dict[str, Limit] = {"last_epoch": -1, "interval": ("epoch", "step"), "_last_lr": "[0, inf)"}


def _epochs(owner: str, milestones: Any) -> list[int]:
    check_kind(owner, Iterable, "write a list of epochs", milestones=milestones)
    return list(milestones)


def _same_kind(value: Any, here: Any, any_length: bool) -> bool:
    """Whether a saved value is of the kind of the value here: a number, a list of its length, …"""
    if isinstance(here, list | tuple):
        lists = isinstance(value, list | tuple) and (any_length or len(value) == len(here))
        return lists and all(_same_kind(v, here[0], any_length) for v in value if here)
    if isinstance(here, bool) or not isinstance(here, int | float):
        return type(value) is type(here)
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass_transform(eq_default=False, field_specifiers=(field,))
@dataclass(eq=False, repr=False)
class LRScheduler:
    """Base class: counts epochs and sets the rates that its rule gives.

    Parameters
    ----------
    optimizer : the one whose ``param_groups`` it sets. The first schedule takes the current rates as
        base rates ``initial_lr``.
    last_epoch : −1 to begin, or the epoch ≥ 0 after which to resume an optimizer whose
        ``initial_lr`` are known, from its loaded state. By keyword; PyTorch's goes by position, too.

    Attributes
    ----------
    interval : "epoch" or "step": when :func:`minireg.fit` calls :meth:`step`; may be assigned.
    formula : the rule in one line.

    A subclass defines :meth:`rate`, from the rate before; for a formula of the epoch see
    :class:`ClosedForm`. Each subclass is a dataclass: what it annotates are its options, and an
    ``Annotated`` one is checked against the limit beside its type. Raises ``TypeError`` for anything but
    an optimizer, ``ValueError`` for an option out of its limits and for ``last_epoch`` ≥ 0 of an optimizer
    without a state to resume. Names, arguments and defaults of all schedules are PyTorch's.

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
    monitor: str | None = field(default=None, init=False)  # the column whose figure step() takes

    formula: ClassVar[str] = ""
    limits: ClassVar[Mapping[str, Limit]] = {}  # of the annotated options, which the repr shows
    unsaved: ClassVar[tuple[str, ...]] = ("optimizer",)

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True).items()  # Annotated has __metadata__
        cls.limits = {n: h.__metadata__[0] for n, h in hints if hasattr(h, "__metadata__")}
        dataclass(eq=False, repr=False)(cls)

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if not isinstance(self.optimizer, Optimizer):
            raise TypeError(f"{owner}: expected an Optimizer, got {self.optimizer!r:.80}")
        self._check(owner, vars(self))
        if self.last_epoch >= 0 and not self.optimizer.scheduled:
            raise ValueError(f"{owner}: last_epoch ≥ 0 resumes; load the optimizer's state first")
        if not self.optimizer.scheduled:  # the first schedule takes the rates as they are now
            for group in self.optimizer.param_groups:
                group["initial_lr"] = group["lr"]
            self.optimizer.scheduled = True
        self._start()

    def _check(self, owner: str, options: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` for an option, or one of several, that is out of its limits."""
        for name, limit in {**_KEPT, **self.limits}.items():
            value = options.get(name, ())
            for one in value if isinstance(value, list | tuple) else [value]:
                check_option(owner, limit, **{name: one})

    def _start(self) -> None:
        self.step()

    @property
    def base_lrs(self) -> list[float]:
        """η₀, one per parameter group."""
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def rate(self, lr: float, base: float) -> float:
        """The rate of epoch ``last_epoch`` for a group of base rate ``base``, whose rate was ``lr``."""
        raise NotImplementedError(f"{type(self).__name__} does not define rate")

    def per_group(self, option: str) -> list[Any]:
        """An option for each parameter group; a single value serves all.

        ``ValueError`` for a list of another length than there are groups.
        """
        value, n = getattr(self, option), len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, list | tuple) else [value] * n
        if len(values) != n:
            raise ValueError(
                f"{type(self).__name__}: got {len(values)} values of {option} for {n} parameter groups"
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
        """Set what follows epoch k besides the rate: in one cycle the momentum."""

    def get_last_lr(self) -> list[float]:
        """The rates that the last step set, one per parameter group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """All attributes except the optimizer, with the rates as they are now; copies."""
        kept = {k: v for k, v in vars(self).items() if k not in self.unsaved}
        rates = [group["lr"] for group in self.optimizer.param_groups]  # may be changed by hand
        return copy.deepcopy({**kept, "_last_lr": rates})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, all or nothing, and set its rates.

        The optimizer's state may be loaded before or after. Raises ``TypeError`` for what is no
        mapping, ``ValueError`` for other names, values of another kind or out of their limits; both
        before anything changes.
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
            if not _same_kind(value, mine[name], name in self.limits):
                raise ValueError(f"{owner}: {name} is {mine[name]!r} here, got {value!r:.80}")
        self._check(owner, state)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.limits)
        return f"{type(self).__name__}({options}) at epoch {self.last_epoch}: {self.formula}"


class ClosedForm(LRScheduler):
    """Base class of the formulas η_k = η₀·f(k): a subclass has options, ``formula`` and f.

    f is ``multiplier(k, i)``. ``optimizer``, ``last_epoch``, how an option gets its limit, and errors are
    those of :class:`LRScheduler`.

    >>> import minireg as mr
    >>> from typing import Annotated
    >>> class InverseRoot(mr.optim.lr_scheduler.ClosedForm):
    ...     scale: Annotated[float, "(0, inf)"] = 1.0
    ...     formula = "η_k = η₀/√(1 + k/scale)"
    ...     def multiplier(self, k, i): return (1 + k / self.scale) ** -0.5
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = InverseRoot(opt, scale=2.0)
    >>> for _ in range(6): schedule.step()
    >>> schedule, schedule.get_last_lr()
    (InverseRoot(scale=2.0) at epoch 6: η_k = η₀/√(1 + k/scale), [0.5])
    >>> InverseRoot(opt, scale=0.0)
    Traceback (most recent call last):
    ValueError: InverseRoot: scale must be a finite number > 0, got 0.0
    """

    def multiplier(self, k: int, i: int) -> float:
        """f(k) of parameter group i, at epoch k ≥ 0."""
        raise NotImplementedError(f"{type(self).__name__} does not define multiplier")

    def _start(self) -> None:
        self.multiplier(0, 0)  # fails, if it does, before the optimizer knows of the schedule
        self.optimizer.schedules.append(self)
        if self.last_epoch >= 0:
            self._set(self._rates())  # by the formula, whatever rates were saved
        self.step()

    def _rates(self) -> list[float]:
        """The rates by the formulas of all schedules of the optimizer."""
        begun = [s for s in self.optimizer.schedules if s.last_epoch >= 0]
        return [
            math.prod((s.multiplier(s.last_epoch, i) for s in begun), start=base)
            for i, base in enumerate(self.base_lrs)
        ]

    def step(self) -> None:
        """Go to the next epoch; a rate changed by hand keeps its ratio to the formula."""
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
        if counts:  # a schedule of its own, not a part of a sequence
            self.optimizer.schedules.append(self)


class LambdaLR(ClosedForm):
    """η_k = η₀·λ(k), for any function λ of the epoch.

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    lr_lambda : λ, or a list with one function per parameter group; it is no part of ``state_dict``.
        ``TypeError`` for what cannot be called, ``ValueError`` for a list of another length.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = mr.optim.lr_scheduler.LambdaLR(opt, lambda k: 1 / (k + 1)); schedule.step()
    >>> schedule
    LambdaLR() at epoch 1: η_k = η₀·λ(k)
    >>> schedule.get_last_lr()
    [0.5]
    """

    lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]

    formula = "η_k = η₀·λ(k)"
    unsaved = ("optimizer", "lr_lambda")

    def __post_init__(self) -> None:
        given = self.lr_lambda
        for rule in given if isinstance(given, list | tuple) else [given]:
            if not callable(rule):
                raise TypeError(
                    f"LambdaLR: lr_lambda must be a function of the epoch, or a list of them, got {rule!r}"
                )
        super().__post_init__()

    def multiplier(self, k: int, i: int) -> float:
        """λ(k)."""
        return float(self.per_group("lr_lambda")[i](k))


class StepLR(ClosedForm):
    """The rate times γ every ``step_size`` epochs: η_k = η₀·γ^⌊k/step_size⌋.

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    step_size : epochs between two reductions, ≥ 1.
    gamma : γ ≥ 0.

    ``ValueError`` for an option out of range.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> mr.optim.lr_scheduler.StepLR(opt, step_size=30)
    StepLR(step_size=30, gamma=0.1) at epoch 0: η_k = η₀·γ^⌊k/step_size⌋
    """

    step_size: Annotated[int, 1]
    gamma: Annotated[float, "[0, inf)"] = 0.1

    formula = "η_k = η₀·γ^⌊k/step_size⌋"

    def multiplier(self, k: int, i: int) -> float:
        """γ^⌊k/step_size⌋."""
        return self.gamma ** (k // self.step_size)


class MultiStepLR(ClosedForm):
    """The rate times γ at each milestone: η_k = η₀·γ^(number of milestones ≤ k).

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    milestones : epochs ≥ 0; one that is listed twice counts twice.
    gamma : γ ≥ 0.

    ``TypeError`` for milestones that are no list, ``ValueError`` for an option out of range.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> mr.optim.lr_scheduler.MultiStepLR(opt, milestones=[30, 80])
    MultiStepLR(milestones=[30, 80], gamma=0.1) at epoch 0: η_k = η₀·γ^(number of milestones ≤ k)
    """

    milestones: Annotated[Sequence[int], 0]
    gamma: Annotated[float, "[0, inf)"] = 0.1

    formula = "η_k = η₀·γ^(number of milestones ≤ k)"

    def __post_init__(self) -> None:
        self.milestones = _epochs("MultiStepLR", self.milestones)
        super().__post_init__()

    def multiplier(self, k: int, i: int) -> float:
        """γ to the power of the number of milestones ≤ k."""
        return self.gamma ** sum(milestone <= k for milestone in self.milestones)


class ExponentialLR(ClosedForm):
    """The rate times γ every epoch: η_k = η₀·γᵏ.

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    gamma : γ ≥ 0, ``ValueError`` otherwise.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> mr.optim.lr_scheduler.ExponentialLR(opt, gamma=0.9)
    ExponentialLR(gamma=0.9) at epoch 0: η_k = η₀·γᵏ
    """

    gamma: Annotated[float, "[0, inf)"]

    formula = "η_k = η₀·γᵏ"

    def multiplier(self, k: int, i: int) -> float:
        """γᵏ."""
        return self.gamma**k


class ConstantLR(ClosedForm):
    """The rate times ``factor`` until epoch ``total_iters``, then the base rate.

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    factor : in (0, 1]; PyTorch takes 0, too.
    total_iters : ≥ 1, in PyTorch ≥ 0.

    ``ValueError`` for an option out of range.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> mr.optim.lr_scheduler.ConstantLR(opt, factor=0.5)
    ConstantLR(factor=0.5, total_iters=5) at epoch 0: η_k = factor·η₀ if k < total_iters, else η₀
    """

    factor: Annotated[float, "(0, 1]"] = 1.0 / 3
    total_iters: Annotated[int, 1] = 5

    formula = "η_k = factor·η₀ if k < total_iters, else η₀"

    def multiplier(self, k: int, i: int) -> float:
        """``factor`` before epoch ``total_iters``, then 1."""
        return self.factor if k < self.total_iters else 1.0


class LinearLR(ClosedForm):
    """A straight line from ``start_factor`` to ``end_factor`` times the rate: a warm-up.

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    start_factor : s in (0, 1], at epoch 0.
    end_factor : e in [0, 1], from epoch ``total_iters`` on.
    total_iters : epochs in between, ≥ 1.

    ``ValueError`` for an option out of range.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> mr.optim.lr_scheduler.LinearLR(opt, start_factor=0.5)
    LinearLR(start_factor=0.5, end_factor=1.0, total_iters=5) at epoch 0: η_k = η₀·(s + (e − s)·k/total_iters)
    """

    start_factor: Annotated[float, "(0, 1]"] = 1.0 / 3
    end_factor: Annotated[float, "[0, 1]"] = 1.0
    total_iters: Annotated[int, 1] = 5

    formula = "η_k = η₀·(s + (e − s)·k/total_iters)"

    def multiplier(self, k: int, i: int) -> float:
        """s + (e − s)·k/total_iters, constant from ``total_iters`` on."""
        share = min(k / self.total_iters, 1.0)
        return self.start_factor * (1 - share) + self.end_factor * share


class PolynomialLR(ClosedForm):
    """From the base rate to 0: η_k = η₀·(1 − k/total_iters)^power, 0 afterwards.

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    total_iters : the epoch at which the rate is 0, ≥ 1.
    power : ≥ 0; 1 is a straight line.

    ``ValueError`` for an option out of range.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> mr.optim.lr_scheduler.PolynomialLR(opt, total_iters=10, power=2.0)
    PolynomialLR(total_iters=10, power=2.0) at epoch 0: η_k = η₀·(1 − k/total_iters)^power
    """

    total_iters: Annotated[int, 1] = 5
    power: Annotated[float, "[0, inf)"] = 1.0

    formula = "η_k = η₀·(1 − k/total_iters)^power"

    def multiplier(self, k: int, i: int) -> float:
        """(1 − k/total_iters)^power, 0 from ``total_iters`` on."""
        return float((1 - min(k / self.total_iters, 1.0)) ** self.power)


def _cosine(share: float, eta_min: float, base: float) -> float:
    """Half a cosine from 1 to η_min/η₀; where η₀ = 0 the rate stays there."""
    low = eta_min / base if base else 0.0
    return low + (1 - low) * (1 + math.cos(math.pi * share)) / 2


class CosineAnnealingLR(ClosedForm):
    """Half a cosine from the base rate to ``eta_min`` in ``T_max`` epochs, and back again.

    η_k = m + ½(η₀ − m)(1 + cos(πk/T_max)), m = ``eta_min`` (Loshchilov & Hutter 2017).

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    T_max : epochs from the base rate to ``eta_min``, ≥ 1.
    eta_min : the lowest rate, ≥ 0.

    ``ValueError`` for an option out of range.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> mr.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=50)
    CosineAnnealingLR(T_max=50, eta_min=0.0) at epoch 0: η_k = m + ½(η₀ − m)(1 + cos(πk/T_max))
    """

    T_max: Annotated[int, 1]
    eta_min: Annotated[float, "[0, inf)"] = 0.0

    formula = "η_k = m + ½(η₀ − m)(1 + cos(πk/T_max))"

    def multiplier(self, k: int, i: int) -> float:
        """The formula, divided by η₀."""
        return _cosine(k / self.T_max, self.eta_min, self.base_lrs[i])


class CosineAnnealingWarmRestarts(ClosedForm):
    """Half cosines from the base rate to ``eta_min``, one after the other (SGDR).

    η = m + ½(η₀ − m)(1 + cos(πt/T)), t epochs after the last restart (Loshchilov & Hutter 2017).

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    T_0 : epochs T of the first cosine, ≥ 1.
    T_mult : each cosine is this many times as long as the one before, ≥ 1.
    eta_min : m, the lowest rate, ≥ 0.

    ``ValueError`` for an option out of range.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> mr.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=10)
    CosineAnnealingWarmRestarts(T_0=10, T_mult=1, eta_min=0.0) at epoch 0: η = m + ½(η₀ − m)(1 + cos(πt/T))
    """

    T_0: Annotated[int, 1]
    T_mult: Annotated[int, 1] = 1
    eta_min: Annotated[float, "[0, inf)"] = 0.0

    formula = "η = m + ½(η₀ − m)(1 + cos(πt/T))"

    def multiplier(self, k: int, i: int) -> float:
        """The formula, t epochs into a cosine of T epochs, divided by η₀."""
        t, period = k, self.T_0
        while t >= period:
            t, period = t - period, period * self.T_mult
        return _cosine(t / period, self.eta_min, self.base_lrs[i])


class OneCycleLR(ClosedForm):
    """Up to ``max_lr`` and down to almost nothing in ``total_steps`` updates (Smith & Topin 2017).

    From max_lr/div_factor, which becomes the base rate, up to max_lr, then down to
    max_lr/(div_factor·final_div_factor). ``interval`` is "step": call ``step()`` after every update.

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    max_lr : the highest rate ≥ 0, or a list with one per parameter group.
    total_steps : updates in the cycle, ≥ 1; or give both ``epochs`` and ``steps_per_epoch``.
    pct_start : the share of the steps on the way up, in [0, 1].
    anneal_strategy : "cos" or "linear", the shape between the turning points.
    cycle_momentum : move the momentum (β₁ of Adam) against the rate, between ``max_momentum`` and
        ``base_momentum``, both in [0, 1), numbers or lists with one per group.
    div_factor, final_div_factor : > 0, see above.
    three_phase : down as it came up first, then on to the last rate.

    ``ValueError`` for an option out of range or a list of another length, without a number of steps,
    for ``cycle_momentum`` of an optimizer without momentum, and for a step after the last.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = mr.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.5, total_steps=100)
    >>> round(opt.param_groups[0]["lr"], 4), opt.param_groups[0]["momentum"]
    (0.02, 0.95)
    """

    max_lr: Annotated[float | Sequence[float], "[0, inf)"]
    total_steps: Annotated[int | None, 1] = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: Annotated[float, "[0, 1]"] = 0.3
    anneal_strategy: Annotated[Literal["cos", "linear"], ("cos", "linear")] = "cos"
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
        """The value at step k, between those at the turning points."""
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


class ReduceLROnPlateau(LRScheduler):
    """The rate times ``factor`` when a figure has not improved for more than ``patience`` epochs.

    ``step(metrics)`` takes the figure; :func:`minireg.fit` passes the column ``monitor`` of the
    history, or the training loss where there is no validation data.

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    mode : "min" for a figure that should fall, "max" for one that should grow.
    factor : in [0, 1).
    patience : epochs without improvement that pass before a reduction, ≥ 0.
    threshold, threshold_mode : an improvement counts if it is more than this share of the best figure
        ("rel") or this amount ("abs"); ≥ 0.
    cooldown : epochs after a reduction in which nothing counts as bad, ≥ 0.
    min_lr : the lowest rate ≥ 0, or a list with one per parameter group.
    eps : a reduction by this or less is not made, ≥ 0.
    monitor : by keyword.

    ``ValueError`` for an option out of range or a list of another length.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> schedule = mr.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0): schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.1]
    """

    mode: Annotated[Literal["min", "max"], ("min", "max")] = "min"
    factor: Annotated[float, "[0, 1)"] = 0.1
    patience: Annotated[int, 0] = 10
    threshold: Annotated[float, "[0, inf)"] = 1e-4
    threshold_mode: Annotated[Literal["rel", "abs"], ("rel", "abs")] = "rel"
    cooldown: Annotated[int, 0] = 0
    min_lr: Annotated[float | Sequence[float], "[0, inf)"] = 0.0
    eps: Annotated[float, "[0, inf)"] = 1e-8
    monitor: str | None = field(default="validation_loss", kw_only=True)

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

    def step(self, metrics: float | Tensor) -> None:  # type: ignore[override]
        """Take the figure of an epoch, a number or a scalar Tensor, and reduce the rates on a plateau."""
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


class SequentialLR(ClosedForm):
    """One schedule after the other: at each milestone the next one begins, at its own epoch 0.

    Parameters
    ----------
    optimizer, last_epoch : see :class:`LRScheduler`, with its errors.
    schedulers : schedules in closed form of this optimizer.
    milestones : epochs, one fewer than schedules.

    ``ValueError`` for a schedule of another optimizer or one that is no :class:`ClosedForm`, and for
    another number of milestones; ``TypeError`` for milestones that are no list.

    >>> import minireg as mr
    >>> opt = mr.optim.SGD(mr.tensor([1.0], requires_grad=True), lr=1.0)
    >>> lr = mr.optim.lr_scheduler
    >>> parts = [lr.LinearLR(opt, total_iters=3), lr.CosineAnnealingLR(opt, T_max=97)]
    >>> lr.SequentialLR(opt, parts, milestones=[3])
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
        self.optimizer.schedules = others  # this schedule's multiplier includes those of its parts
        self._set(self._rates())
        super()._start()

    @property
    def formula(self) -> str:  # type: ignore[override]
        """Which schedule runs until when."""
        until = [f" until {milestone}" for milestone in self.milestones]
        turns = zip(self.schedulers, [*until, ""], strict=True)
        return ", ".join(type(part).__name__ + end for part, end in turns)

    def _turn(self, k: int) -> tuple[ClosedForm, int]:
        """The schedule that runs at epoch k, and its own epoch."""
        i = bisect_right(self.milestones, k)
        return self.schedulers[i], k - [0, *self.milestones][i]

    def multiplier(self, k: int, i: int) -> float:
        """The multiplier of the schedule that runs at epoch k."""
        part, epoch = self._turn(k)
        return part.multiplier(epoch, i)

    def set_others(self, k: int) -> None:
        """Set the epoch of the schedule that runs at epoch k, and what follows from it."""
        part, epoch = self._turn(k)
        part.last_epoch = epoch
        part.set_others(epoch)

    def state_dict(self) -> dict[str, Any]:
        """As :meth:`LRScheduler.state_dict`, with a list of the states of ``schedulers``."""
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, all or nothing; errors as :class:`LRScheduler`'s."""
        self._check_state(state)
        for part, saved in zip(self.schedulers, state["schedulers"], strict=True):
            part.load_state_dict(saved)
        super().load_state_dict(state)

    def _check_state(self, state: Mapping[str, Any]) -> None:
        super()._check_state(state)
        for part, saved in zip(self.schedulers, state["schedulers"], strict=True):
            part._check_state(saved)
