"""The one update pipeline, the same for every optimizer.

data gradient → + penalty gradients → clip → state (momentum, moments) → step
→ decoupled decay (of θ before the step) → prox or projection

:meth:`Optimizer.step` takes each parameter through it. An optimizer defines ``_update``: the state
and the step for a block of elements, in place. On the CPU a step walks over an array in blocks that
stay in the cache; on a GPU the same passes are one kernel for all arrays (:mod:`minireg.gpu.step`).
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..backend import Array, blocks, of
from ..gpu import step as kernels
from ..messages import Limit, check_kind, check_mapping, check_option, check_parameters
from ..nn.module import Module, loaded
from ..ops.arrays import like
from ..penalties import Penalty
from ..penalties.base import add_gradients
from ..tensor import Tensor, next_seq
from .clip import clip_factor, parameter_list

_SCHEDULED = {"initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"}  # by a schedule
_LIMITS: dict[Limit, set[str]] = {
    "[0, inf)": {"lr", "momentum", "weight_decay", "eps", "temperature", *_SCHEDULED},
    "(-inf, inf)": {"dampening"},
    "[0, 1)": {"alpha"},
    ("lr", "schedule"): {"decay_scale"},
    (True, False): {"nesterov", "decoupled", "amsgrad", "centered", "accelerated", "maximize"},
}

Params = Tensor | Iterable[Tensor] | Iterable[Mapping[str, Any]]  # Tensors, or groups of them
NamedPenalty = tuple[str, Penalty]  # a term by name


class DeferredTerms(Protocol):
    """The terms of an objective, as a step needs them: by parameter, the penalties to add."""

    deferred: dict[Any, list[NamedPenalty]]


@dataclass(slots=True, eq=False)
class Update:
    """What a step does to one parameter, and what remains to be done."""

    p: Tensor
    g: Array
    group: dict[str, Any]
    step: int  # its number, from 1
    state_names: Sequence[str]
    first: bool  # whether it makes the state
    penalties: tuple[Penalty, ...]  # whose gradients are to be added to g
    proxes: Mapping[Penalty, str]  # that must follow the step, with the names of their terms
    stepped: bool = False  # whether a kernel has made the step

    def complete(self, factor: Array | None = None) -> None:
        """Add the penalties' gradients to g, in place, and scale the sum by ``factor``."""
        add_gradients(self.penalties, self.p.data, self.g)
        self.penalties = ()
        if factor is not None:
            self.g *= like(factor, self.g)


class LinearStep(NamedTuple):
    """How a share g of the gradient moves θ: Δ = scale·(fresh·g + carried·m), m ← keep·m + gain·g.

    m is the share's part of the momentum; without momentum ``gain`` is None. ``scale`` may be a
    function of no arguments that computes it when it is needed.
    """

    scale: Any
    fresh: Any = 1.0
    carried: float = 0.0
    keep: float = 0.0
    gain: Any = None


def lasting(lr: float | Array, momentum: float) -> Any:
    """lr/(1 − μ), how far a gradient of 1 moves a parameter over all later steps of momentum μ < 1."""
    return lr / (1 - momentum) if momentum < 1 else lr


class Optimizer:
    """Base class of the optimizers: parameter groups, state, and the pipeline of :meth:`step`.

    Parameters
    ----------
    params : a Tensor, several, or dicts ``{"params": Tensors, option: value}``, one per group, whose
        options override ``defaults``. The Tensors are leaves of a floating dtype, of any shape.
    defaults : the options by name.

    Attributes
    ----------
    param_groups : a dict per group, with its ``params`` and all options. A change of an option acts
        from the next step on.
    state : by parameter, the number ``step`` of its updates and the arrays of ``state_arrays``.

    Raises ``TypeError`` for anything but such Tensors (for a Module: pass its ``parameters()``);
    ``ValueError`` for no parameter, one in two groups, an unknown option and one out of its range.
    Warns where a chosen ``weight_decay=`` reaches biases or norms, see :func:`decay_groups`.
    Names and defaults are PyTorch's; docs/pytorch.md lists the differences. With ``maximize=True``
    an optimizer that has this option, as all of PyTorch's do, follows −g. A subclass defines ``_update``:

    >>> import minireg as mr
    >>> class SignDescent(mr.optim.Optimizer):
    ...     def __init__(self, params, lr=1e-3): super().__init__(params, {"lr": lr})
    ...     def _update(self, step, first, group):
    ...         def update(p, g, t): p -= np.multiply(np.sign(g), group["lr"], out=t)
    ...         return update
    >>> w = mr.tensor([1.0], requires_grad=True); w.grad = mr.tensor([3.0])
    >>> SignDescent([w], lr=0.5).step(); w.item()
    0.5
    """

    text: Any = ""  # the update in one line
    observer: Any = None  # a Ledger, which sees every parameter's step
    # the arrays that may be kept for a parameter → the option that asks for one, "" for always
    state_arrays: Mapping[str, str] = {}
    buffer = ""  # the state that is linear in past gradients, if there is one
    elementwise = False  # whether the length of the step differs from element to element
    scratch = 1  # arrays of one block that _update may overwrite
    noisy = False  # whether noise comes between the step and the prox
    whole_parameters = False  # whether _update must get a parameter as a whole, not in blocks

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        self._prox: dict[Tensor, dict[Penalty, str]] = {}  # with the name of the term
        self._lent: dict[Tensor, list[Penalty]] = {}  # those that an objective has attached
        self.scheduled = False  # whether a schedule has taken the rates as its base
        self.schedules: list[Any] = []  # the rate is initial_lr times their multipliers
        check_parameters(type(self).__name__, params)
        several = isinstance(params, Iterable) and not isinstance(params, Tensor)
        given: list[Any] = [*params] if several else [params]
        if not given:
            raise ValueError(f"{type(self).__name__}: got no parameters to optimize")
        grouped = any(isinstance(g, Mapping) for g in given)
        for group in given if grouped else [{"params": given}]:
            self.add_param_group(group)
        chosen = inspect.signature(type(self)).parameters.get("weight_decay")
        by_hand = chosen and not grouped and defaults.get("weight_decay") != chosen.default
        if by_hand and (spared := self._decayed_too()):
            warnings.warn(f"{type(self).__name__}: {spared}", stacklevel=3)

    def _decayed_too(self) -> str:
        """A warning about biases and norms that weight decay reaches; "" if it reaches none."""
        groups = [group for group in self.param_groups if group.get("weight_decay")]
        kinds = [getattr(p, "kind", "weight") for group in groups for p in group["params"]]
        found = {"biases": kinds.count("bias"), "scales and shifts of norms": kinds.count("norm")}
        listed = " and ".join(f"{kind} ({n})" for kind, n in found.items() if n)
        return listed and (
            f"weight decay reaches {listed}; mr.optim.decay_groups(model, weight_decay) spares them"
        )

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add a group ``{"params": Tensors, option: value}``; missing options take the defaults.

        Raises as the optimizer does when it is made: ``TypeError``, ``ValueError``.
        """
        owner = type(self).__name__
        if not isinstance(group, Mapping) or "params" not in group:
            got = f"the keys {[*group]}" if isinstance(group, Mapping) else repr(group)
            raise TypeError(
                f"{owner}: a group must be a dict with 'params' and options, got {got:.80}"
            )
        params = parameter_list(owner, group["params"])
        known = {p for g in self.param_groups for p in g["params"]}
        for p in params:
            if not p.is_leaf or p.dtype.kind != "f":
                raise TypeError(
                    f"{owner}: expected leaf Tensors of floats as parameters, got {p!r:.80}"
                )
            if p in known:
                raise ValueError(f"{owner}: a parameter of shape {p.shape} is in two groups")
            known.add(p)
        if unknown := group.keys() - self.defaults.keys() - {"params"}:
            raise ValueError(
                f"{owner}: unknown option {sorted(unknown)}, expected {sorted(self.defaults)}"
            )
        full = {**self.defaults, **group, "params": params}
        self._check(full)
        self.param_groups.append({**full, "initial_lr": full["lr"]})

    def _check(self, group: dict[str, Any]) -> None:
        """Raise ``ValueError`` for an option out of its range."""
        owner = type(self).__name__
        for limit, names in _LIMITS.items():
            check_option(owner, limit, **{k: v for k, v in group.items() if k in names})
        if "betas" in group:
            betas = group["betas"]
            if not isinstance(betas, tuple | list) or len(betas) != 2:
                raise ValueError(f"{owner}: betas must be a pair of numbers, got {betas!r}")
            check_option(owner, "[0, 1)", **{f"betas[{i}]": beta for i, beta in enumerate(betas)})

    def add_prox(self, params: Iterable[Tensor], penalty: Penalty, name: str | None = None) -> None:
        """Apply the penalty's prox to these parameters at the end of each step.

        The step t of ``penalty.prox(θ, t)`` is how far a constant gradient of 1 moves θ in the end:
        lr/(1 − μ) with momentum μ, lr/(√v̂ + ε) element by element under Adam and RMSprop. So the end
        point minimises loss + penalty, as it does with the penalty's gradient.

        Parameters
        ----------
        params : the Tensors to apply it to.
        penalty : one with a prox. Several follow each other in the order they were added; adding the
            same penalty to a parameter twice changes nothing.
        name : the ledger books the change as ``(name, "prox")``, as ``("prox",)`` by default.

        Raises ``TypeError`` for anything but a Penalty, ``NotImplementedError`` where the step differs from
        element to element and the penalty has no such prox (``elementwise_step``).

        >>> import minireg as mr
        >>> w = mr.tensor([1.0, 0.25], requires_grad=True); opt = mr.optim.SGD([w], lr=0.5)
        >>> opt.add_prox([w], mr.penalties.L1(1.0))
        >>> w.grad = mr.tensor([0.0, 0.0]); opt.step(); w.numpy()
        array([0.5, 0. ], dtype=float32)
        """
        hint = "write one with its strength, as mr.penalties.L1(0.1)"
        check_kind(type(self).__name__, Penalty, hint, penalty=penalty)
        if self.elementwise and not penalty.elementwise_step:
            raise NotImplementedError(
                f"{type(self).__name__}: {penalty!r} has no prox with a step for each element, which "
                "this optimizer's step has; take SGD or ProximalGradient, or via='gradient' (a class of "
                "your own whose prox takes an array of steps says elementwise_step = True)"
            )
        for p in parameter_list(f"{type(self).__name__}.add_prox", params):
            self._prox.setdefault(p, {}).setdefault(penalty, name or "")

    def lend_prox(
        self, params: Iterable[Tensor], terms: Mapping[str, tuple[Penalty, Sequence[Tensor]]]
    ) -> None:
        """Make these terms, {name: (penalty, its parameters)}, the only attached ones of ``params``.

        Those that another objective had attached to them are removed; those of :meth:`add_prox` stay.
        :meth:`minireg.Objective.attach` calls this. Raises as :meth:`add_prox`.
        """
        for p in params:
            for penalty in self._lent.pop(p, ()):
                del self._prox[p][penalty]
        for name, (penalty, chosen) in terms.items():
            new = [p for p in chosen if penalty not in self._prox.get(p, ())]
            self.add_prox(new, penalty, name)
            for p in new:
                self._lent.setdefault(p, []).append(penalty)

    def penalties(self) -> list[Penalty]:
        """Those of :meth:`add_prox`, each once: not what an objective has attached.

        >>> import minireg as mr
        >>> w = mr.tensor([1.0], requires_grad=True)
        >>> mr.optim.ProximalGradient([w], penalty=mr.penalties.L1(0.5)).penalties()
        [L1(0.5): λ‖w‖₁]
        """
        held = [
            q for p, found in self._prox.items() for q in found if q not in self._lent.get(p, ())
        ]
        return list(dict.fromkeys(held))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "schedules": []}  # one that travels along enters itself again

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to None."""
        for p in self._parameters():
            p.grad = None

    # --- the step ------------------------------------------------------------------------------

    def step(self, terms: DeferredTerms | None = None, *, max_norm: float | None = None) -> None:
        """Update every parameter that has a gradient and is not frozen.

        Parameters
        ----------
        terms : of an objective, after ``terms.backward(defer=True)``: the step adds the penalties'
            gradients that were deferred, each once.
        max_norm : in [0, ∞], the largest joint norm of the complete gradient; a longer one is scaled, in
            place, as :func:`clip_grad_norm_` does. None, the default, does not clip.

        Raises ``RuntimeError`` for deferred gradients that ``terms`` do not give, and for a term that
        acts via a prox which this optimizer does not apply (``objective.attach(optimizer)``);
        ``ValueError`` for a gradient of another shape and for a ``max_norm`` out of range; ``TypeError``
        for a closure, which PyTorch's step takes. Warns if no parameter has a gradient. Errors come
        before any parameter changes and before ``terms`` give up what was deferred, so the call can be
        repeated.

        >>> import minireg as mr
        >>> w = mr.tensor([1.0], requires_grad=True); opt = mr.optim.SGD([w], lr=0.5)
        >>> (w * w).sum().backward(); opt.step(max_norm=1.0); round(w.item(), 4)
        0.5
        """
        if max_norm is not None:  # before the updates take the deferred penalties
            check_option(f"{type(self).__name__}.step", "[0, inf]", max_norm=max_norm)
        updates, watch, factor = self._updates(terms), self.observer, None
        if not updates:
            warnings.warn(
                f"{type(self).__name__}.step: no parameter has a gradient, so nothing changes; call "
                "backward() on a loss of these parameters first",
                stacklevel=2,
            )
        if max_norm is not None:
            factor = self._clip_factor(updates, max_norm)
        if watch:  # it looks at the gradient that the step takes
            for u in updates:
                u.complete(factor)
            factor = None
        for u in kernels.launched(self, updates, factor):  # on a GPU; what they leave is done here
            if not u.stepped:
                if watch:
                    watch.before(u.p, u.group)
                self._walk(u, factor)
            for entry, new in self._after_step(u):
                if watch:
                    watch.also(u.p, entry, new - u.p.data)
                u.p.data[...] = new
        self._join([u.p for u in updates])
        for u in updates:
            u.p._seq = next_seq()  # a graph that has read the old values will notice
        if watch:
            watch.after([(u.p, u.g, u.group) for u in updates])

    def _due(self) -> Iterator[tuple[Tensor, Array, dict[str, Any]]]:
        """(parameter, gradient, group) of each parameter that a step updates."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.requires_grad:
                    yield p, p.grad.data, group

    def _updates(self, terms: DeferredTerms | None) -> list[Update]:
        """The updates of a step, checked before anything changes; empties ``terms.deferred``."""
        if terms is not None and not hasattr(terms, "deferred"):
            raise TypeError(
                f"{type(self).__name__}.step: takes no closure, got {terms!r:.60}; call it before the "
                "step; what it takes is the terms of an objective"
            )
        deferred = {} if terms is None else terms.deferred
        due = [(*d, deferred.get(d[0], [])) for d in self._due()]
        for p, g, _, given in due:
            if p.grad._proxes or p.grad._deferred or g.shape != p.shape:  # type: ignore[union-attr]
                self._check_due(p, p.grad, given)  # type: ignore[arg-type]
        updates = [self._update_of(*d) for d in due]
        for *_, given in due:
            given.clear()
        return updates

    def _update_of(
        self, p: Tensor, g: Array, group: dict[str, Any], given: Iterable[NamedPenalty]
    ) -> Update:
        state, names = self.state.get(p, {}), self._state_names(group)
        first, step = not all(map(state.__contains__, names)), state.get("step", 0) + 1
        penalties = tuple(penalty for _, penalty in given)
        return Update(p, g, group, step, names, first, penalties, self._prox.get(p, {}))

    def _check_due(self, p: Tensor, grad: Tensor, given: list[NamedPenalty]) -> None:
        """Raise for a gradient of another shape, and for a penalty or prox the step would leave out."""
        owner = f"{type(self).__name__}.step"
        if grad.shape != p.shape:
            raise ValueError(
                f"{owner}: the gradient of a parameter of shape {p.shape} has shape {grad.shape}"
            )
        if grad._deferred and grad._deferred != given:
            names = ", ".join(repr(name) for name, _ in grad._deferred)
            raise RuntimeError(
                f"{owner}: the gradient of a parameter of shape {p.shape} lacks the penalties {names}, "
                "which terms.backward(defer=True) left to the step: call optimizer.step(terms)"
            )
        for name, penalty in grad._proxes:
            if penalty not in self._prox.get(p, ()):
                raise RuntimeError(
                    f"{owner}: objective term {name!r} acts via its prox, which this optimizer does not "
                    f"apply to a parameter of shape {p.shape}: call objective.attach(optimizer)"
                )

    def _passes(
        self, step: Any, first: bool, group: dict[str, Any], penalties: Iterable[Penalty],
        proxes: Sequence[Penalty], clipped: bool,
    ) -> Callable[..., None]:  # fmt: skip
        """The whole pipeline for a block of elements, in place: penalties' gradients, step, proxes.

        It takes (p, g, *state, *scratch), and the factor if the gradient is ``clipped``.
        """
        advance = self._update(step, first, group)

        def passes(p: Any, g: Any, *rest: Any) -> None:
            add_gradients(penalties, p, g)
            if clipped:
                *rest, factor = rest  # type: ignore[assignment]
                g *= factor
            advance(p, -g if group.get("maximize") else g, *rest)
            for penalty in proxes:
                state = {"step": step, **dict(zip(self._state_names(group), rest, strict=False))}
                p[...] = penalty.prox(p, self._prox_step(state, group))

        return passes

    def _walk(self, u: Update, factor: Array | None) -> None:
        """The update of one parameter without its proxes, in blocks that stay in the cache."""
        arrays = self._arrays(u)
        common = [] if factor is None else [like(factor, u.g)]
        passes = self._passes(u.step, u.first, u.group, u.penalties, (), factor is not None)
        for views in [arrays] if self.whole_parameters else blocks(*arrays):
            passes(*views, *(np.empty_like(views[0]) for _ in range(self.scratch)), *common)

    def _arrays(self, u: Update) -> list[Array]:
        """Count the update; returns its arrays: the parameter, its gradient and its state."""
        state = self.state.setdefault(u.p, {})
        state["step"] = u.step
        for name in u.state_names:
            if name not in state:
                state[name] = np.zeros_like(u.p.data)
        return [u.p.data, u.g, *map(state.__getitem__, u.state_names)]

    def _clip_factor(self, updates: Sequence[Update], max_norm: float) -> Array:
        """The factor of clipping by ``max_norm``, for the gradients with those of the penalties."""
        due = [(u.p.data, u.g, u.penalties) for u in updates]
        if (found := kernels.clip_factor(due, max_norm)) is not None:
            return found[1]
        for u in updates:
            u.complete()
        return clip_factor([u.p for u in updates], max_norm)[1].data

    def _after_step(self, u: Update) -> Iterator[tuple[tuple[str, ...], Array]]:
        """The changes after the step of a parameter: (entry of the ledger, new values) of each."""
        for penalty, name in u.proxes.items():
            p, step = u.p.data, self._prox_step(self.state[u.p], u.group)
            parts = penalty.parts() if name and self.observer else {}
            *others, last = [f"{name}.{part}" for part in parts] or [name]
            end = penalty.prox(p, step)
            for entry, part in zip(others, parts.values(), strict=False):
                yield (entry, "prox"), part.prox(p, step)
            yield (last, "prox") if last else ("prox",), end

    def _join(self, params: list[Tensor]) -> None:
        """The end of a step, for optimizers that need all parameters together there."""

    def kernel_source(self, terms: DeferredTerms | None = None) -> str:
        """The CUDA source of the next step, as text; it can be printed without a GPU.

        One kernel serves all parameters of one group, dtype, age and list of penalties. It is made from
        the optimizer's in-place passes and the penalties' ``add_gradient`` and ``prox``; options are its
        arguments, so a schedule does not compile anew. ``terms`` give the deferred penalties, as in
        :meth:`step`. What needs more than one element is in no kernel: a comment names it.

        >>> import minireg as mr
        >>> w = mr.tensor([1.0], requires_grad=True)
        >>> print(mr.optim.SGD([w], lr=0.1).kernel_source().splitlines()[-1])
        *at_p_ = p_ - (g_ * a0);
        """
        deferred = {} if terms is None else terms.deferred
        updates = [
            self._update_of(p, p.data, group, deferred.get(p, ()))
            for group in self.param_groups
            for p in group["params"]
        ]
        return kernels.source(self, updates)

    # --- what an optimizer says of itself ----------------------------------------------------------

    def _prox_step(self, state: Mapping[str, Any], group: dict[str, Any]) -> Any:
        """The step of the prox: how far a constant gradient of 1 moves p in the end."""
        return group["lr"]

    def momentum(self, p: Tensor) -> Array | None:
        """The momentum of a parameter, an array of its shape; None without or before the first step."""
        return self.state.get(p, {}).get(self.buffer)

    def decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """(coupled, decoupled) decay of a group: added to the gradient as wd·θ; by which θ shrinks."""
        return group.get("weight_decay", 0.0), 0.0

    def decay_of(self, p: Tensor) -> float:
        """The option ``weight_decay`` of a parameter's group; 0 for a parameter of another optimizer.

        >>> import minireg as mr
        >>> w, b = mr.nn.Linear(2, 1).parameters()
        >>> optimizer = mr.optim.SGD([{"params": w, "weight_decay": 0.1}, {"params": b}])
        >>> optimizer.decay_of(w), optimizer.decay_of(b)
        (0.1, 0.0)
        """
        groups = (g for g in self.param_groups if any(p is q for q in g["params"]))
        return float(next(groups, {}).get("weight_decay", 0.0))

    def linear(self, p: Tensor, group: dict[str, Any], first: bool) -> LinearStep:
        """The step just made, as a linear function of the gradient and of the momentum.

        The :class:`~minireg.Ledger` splits the step by terms with it. ``first`` says that the parameter
        had no momentum before.
        """
        return LinearStep(-group["lr"])

    def _state_names(self, group: dict[str, Any]) -> Sequence[str]:
        """Names of the arrays kept for each parameter of the group; they begin as zeros."""
        return [name for name, option in self.state_arrays.items() if not option or group[option]]

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        """A function that updates (p, g, *state, *scratch) in place; it must not change g.

        It gets blocks of elements; an update that depends on a parameter as a whole, such as its norm,
        sets ``whole_parameters = True``. ``step`` counts from 1; ``first`` says that the state has just
        been made.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """``{"state": by position of the parameter, "param_groups": options}``, as copies."""
        state = {
            i: {k: v if k == "step" else v.copy() for k, v in self.state[p].items()}
            for i, p in enumerate(self._parameters())
            if p in self.state
        }
        groups = [{k: v for k, v in g.items() if k != "params"} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, onto parameters in the same order; all or nothing.

        Arrays are moved to the backend and dtype of their parameter; a ledger books the restored momentum
        as "earlier". Raises ``TypeError`` or ``ValueError``, before anything changes, for a state of
        another kind of optimizer or for other groups, parameters or shapes, for an option out of range
        and for a missing array. What an option keeps that was set since the last step, as amsgrad, begins
        with the next one.
        """
        owner = f"{type(self).__name__}.load_state_dict"
        check_mapping(owner, "state", state, "optimizer.state_dict()")
        if lacking := {"state", "param_groups"} - state.keys():
            raise ValueError(f"{owner}: state lacks {sorted(lacking)}; pass optimizer.state_dict()")
        groups, params = state["param_groups"], self._parameters()
        if not isinstance(groups, list | tuple):
            raise TypeError(f"{owner}: state['param_groups'] must be a list, got {groups!r:.60}")
        check_mapping(owner, "state['state']", state["state"], "{position: {name: array}}")
        if len(groups) != len(self.param_groups) or not {*state["state"]} <= {*range(len(params))}:
            raise ValueError(
                f"{owner}: got {len(groups)} groups and state of the parameters {[*state['state']]}, "
                f"expected {len(self.param_groups)} with {len(params)} parameters in all"
            )
        options: list[dict[str, Any]] = []  # of each parameter
        for i, (group, saved) in enumerate(zip(self.param_groups, groups, strict=True)):
            check_mapping(owner, f"group {i}", saved, "{option: value}")
            lacking, more = self.defaults.keys() - saved.keys(), saved.keys() - self.defaults.keys()
            if lacking or not more <= _SCHEDULED:
                raise ValueError(
                    f"{owner}: group {i} lacks {sorted(lacking)} and has {sorted(more - _SCHEDULED)} "
                    "besides; is it of another optimizer? Of PyTorch's load the weights alone, and begin anew"
                )
            self._check(merged := {**group, **saved})
            options += [merged] * len(group["params"])
        found = {
            params[i]: self._loaded(f"{owner}: parameter {i}", params[i], options[i], kept)
            for i, kept in state["state"].items()
        }
        for group, saved in zip(self.param_groups, groups, strict=True):
            group.update(saved)
        self.scheduled = True  # the saved initial_lr is the base
        self.state = found
        if self.observer:
            self.observer.restart()

    def _loaded(
        self, name: str, p: Tensor, group: dict[str, Any], kept: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The saved state of a parameter, on its backend and in its dtype."""
        check_mapping(name, "state", kept, "{name: array}")
        always = ["step", *(key for key, option in self.state_arrays.items() if not option)]
        if not {*always} <= kept.keys() <= {"step", *self.state_arrays}:  # an option may be new
            raise ValueError(f"{name}: got the states {[*kept]}, expected {always} and options'")
        check_option(name, 0, step=kept["step"])
        found: dict[str, Any] = {"step": int(kept["step"])}
        for key in kept.keys() - found.keys():
            like = p if key != "t" else Tensor(of(p.data).xp.zeros((), p.dtype))
            found[key] = np.zeros_like(like.data)
            found[key][...] = loaded(f"{name}: {key!r}", like, kept[key])
        return found

    def __repr__(self) -> str:
        group, n = self.param_groups[0], sum(p.size for p in self._parameters())
        shown = {k: v for k in self.defaults if (v := group[k]) is not False}
        options = ", ".join(f"{k}={v!r}" for k, v in shown.items())
        text = f"{type(self).__name__}({options}) on {n:,} numbers: {self.text}"
        return "\n  ".join(filter(None, [text, self._decayed_too()]))


def decay_groups(model: Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups of a model's parameters: weights, which decay, and biases and norms, which do not.

    Decay is a prior that weights are small; biases and the scales and shifts of normalisations have no
    reason to be (claims C128, C129). The result is the first argument of an optimizer. A group without
    parameters is left out.

    Parameters
    ----------
    model : its parameters are told apart by ``kind``: "weight", or "bias" and "norm".
    weight_decay : of the weights, in [0, ∞).

    Raises ``TypeError`` for anything but a Module, ``ValueError`` for a decay out of range.

    >>> import minireg as mr
    >>> model = mr.nn.Sequential(mr.nn.Linear(4, 3), mr.nn.BatchNorm(3))
    >>> [(len(g["params"]), g["weight_decay"]) for g in mr.optim.decay_groups(model, 0.1)]
    [(1, 0.1), (3, 0.0)]
    >>> optimizer = mr.optim.AdamW(mr.optim.decay_groups(model, 0.1), lr=1e-3)
    """
    check_kind("decay_groups", Module, model=model)
    check_option("decay_groups", "[0, inf)", weight_decay=weight_decay)
    weights = [p for p in model.parameters() if p.kind == "weight"]
    others = [p for p in model.parameters() if p.kind != "weight"]
    groups = [(weights, weight_decay), (others, 0.0)]
    return [{"params": some, "weight_decay": decay} for some, decay in groups if some]
