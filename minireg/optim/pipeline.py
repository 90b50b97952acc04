"""The one update pipeline, the same for every optimizer.

data gradient → + penalty gradients → clip → state (momentum, moments) → step
→ decoupled decay (of θ before the step) → prox or projection

:meth:`Optimizer.step` takes each parameter through it. An optimizer defines ``_update``: the state
and the step for a stretch of elements, in place. On the CPU a step walks over an array in blocks
that stay in the cache; on a GPU the same passes are one kernel for all arrays (:mod:`minireg.gpu.step`).
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

NamedPenalty = tuple[str, Penalty]  # a term by name


class DeferredTerms(Protocol):
    """The terms of an objective: of each parameter, the penalties left to the step."""

    deferred: dict[Any, list[NamedPenalty]]


@dataclass(slots=True, eq=False)
class Update:
    """What a step does to one parameter, and what of it is yet to be done."""

    p: Tensor
    g: Array
    group: dict[str, Any]
    step: int  # its number
    state_names: Sequence[str]
    first: bool  # whether it makes them
    penalties: tuple[Penalty, ...]  # whose gradients are to be added to g
    proxes: Mapping[Penalty, str]  # that are to follow, with the names of their terms
    stepped: bool = False  # whether a kernel has made the step

    def complete(self, factor: Array | None = None) -> None:
        """Make the gradient what the step takes: with those of the penalties, and scaled."""
        add_gradients(self.penalties, self.p.data, self.g)
        self.penalties = ()
        if factor is not None:
            self.g *= like(factor, self.g)


class LinearStep(NamedTuple):
    """How a share g of the gradient moves θ: Δ = scale·(fresh·g + carried·m), m ← keep·m + gain·g.

    m is the share's part of the momentum; ``gain`` is None where there is none. ``scale`` may be
    a function that gives it when it is asked for.
    """

    scale: Any
    fresh: Any = 1.0
    carried: float = 0.0
    keep: float = 0.0
    gain: Any = None


def lasting(lr: Any, momentum: float) -> Any:
    """How far a step of lr goes in the end: momentum repeats it 1/(1 − μ) times."""
    return lr / (1 - momentum) if momentum < 1 else lr


class Optimizer:
    """Base class: parameter groups, state, and the pipeline of :meth:`step`.

    ``params`` is an iterable of Tensors or of dicts ``{"params": …, option: value}``, one
    a group. Groups live in ``param_groups``; per-parameter state in ``state``.

    What it takes without a word, as PyTorch does, is listed in ``docs/pytorch.md``.
    """

    text: Any = ""  # the update in one line
    observer: Any = None  # a Ledger, told of every parameter's step
    # the arrays that may be kept for a parameter → the option that asks for one, "" for always
    state_arrays: Mapping[str, str] = {}
    buffer = ""  # the state that is linear in past gradients, if there is one
    elementwise = False  # whether every element has a step length of its own
    scratch = 1  # arrays of one block that _update may overwrite
    noisy = False  # whether noise comes between the step and the prox
    whole_parameters = False  # whether _update must get a parameter as a whole, not in blocks

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        self._prox: dict[Tensor, dict[Penalty, str]] = {}  # with the name of the term
        self._lent: dict[Tensor, list[Penalty]] = {}  # which of these an objective has attached
        self.scheduled = False  # whether a schedule has taken the rates as its base
        self.schedules: list[Any] = []  # whose multipliers make the rate
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
        """Which parameters weight decay reaches that are no weights, and what spares them."""
        kinds = [
            getattr(p, "kind", "weight")
            for group in self.param_groups
            for p in group["params"]
            if group.get("weight_decay")
        ]
        found = {"biases": kinds.count("bias"), "scales and shifts of norms": kinds.count("norm")}
        told = " and ".join(f"{kind} ({n})" for kind, n in found.items() if n)
        return told and (
            f"weight decay reaches {told}; mr.optim.decay_groups(model, weight_decay) spares them"
        )

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add ``{"params": …}`` with options that override the defaults."""
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
        unknown = group.keys() - self.defaults.keys() - {"params"}
        if unknown:
            raise ValueError(
                f"{owner}: unknown option {sorted(unknown)}, expected {sorted(self.defaults)}"
            )
        full = {**self.defaults, **group, "params": params}
        self._check(full)
        self.param_groups.append({**full, "initial_lr": full["lr"]})

    def _check(self, group: dict[str, Any]) -> None:
        """Raise ``ValueError`` for an option out of range."""
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

        The prox is as long as the step: where a constant gradient of 1 would move θ by t, it
        is ``penalty.prox(θ, t)``, so t is lr/(1 − μ) with momentum μ and lr/(√v̂ + ε), element
        by element, under Adam and RMSprop. The end point then minimises loss + penalty, as it
        does with the penalty's gradient; with ``prox(θ, lr)`` it would be loss + (1 − μ)·penalty.
        Several follow one another in the order in which they came; the ledger books each as
        ``(name, "prox")``, or as ``("prox",)`` if it has no name. Asking twice for the same
        penalty and parameter changes nothing. Raises
        ``NotImplementedError`` where a step for each element meets a penalty that is no sum over
        elements and has no prox in that metric.
        """
        hint = "write one with its strength, as mr.penalties.L1(0.1)"
        check_kind(type(self).__name__, Penalty, hint, penalty=penalty)
        if self.elementwise and not penalty.elementwise_step:
            raise NotImplementedError(
                f"{type(self).__name__}: {penalty!r} has no prox with a step for each element, which "
                "this optimizer's step has; take SGD or ProximalGradient, or via='gradient'"
            )
        for p in parameter_list(f"{type(self).__name__}.add_prox", params):
            self._prox.setdefault(p, {}).setdefault(penalty, name or "")

    def lend_prox(self, params: Iterable[Tensor], terms: Mapping[str, tuple[Penalty, Any]]) -> None:
        """Let these terms, {name: (penalty, its parameters)}, be all that is attached to ``params``.

        What another objective has attached to them before ends; what came by :meth:`add_prox` stays.
        """
        for p in params:
            for penalty in self._lent.pop(p, ()):
                del self._prox[p][penalty]
        for name, (penalty, chosen) in terms.items():
            new = [p for p in chosen if penalty not in self._prox.get(p, ())]
            self.add_prox(new, penalty, name)
            for p in new:
                self._lent.setdefault(p, []).append(penalty)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "schedules": []}  # one that travels along enters itself again

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters (they become None)."""
        for p in self._parameters():
            p.grad = None

    # --- the step ------------------------------------------------------------------------------

    def step(self, terms: DeferredTerms | None = None, *, max_norm: float | None = None) -> None:
        """One update of every parameter that has a gradient; frozen ones are never touched.

        ``terms``, of an objective, give the penalties' gradients that ``terms.backward(defer=True)``
        has left to the step; each is added once. ``max_norm`` scales the whole gradient, in place, as
        :func:`clip_grad_norm_` does; on a GPU both are in the kernel of the update. Raises
        ``RuntimeError`` where a gradient lacks penalties that ``terms`` do not give, or has a term
        that acts via a prox which this optimizer does not apply, and warns where there is no
        gradient at all.
        """
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
        """(parameter, gradient, group) of what a step updates."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.requires_grad:
                    yield p, p.grad.data, group

    def _updates(self, terms: DeferredTerms | None) -> list[Update]:
        """What the step is to do, checked before anything changes; takes what ``terms`` have left."""
        if terms is not None and not hasattr(terms, "deferred"):
            raise TypeError(
                f"{type(self).__name__}.step: takes no closure, got {terms!r:.60}; call it before the "
                "step; what it takes is the terms of an objective"
            )
        deferred = {} if terms is None else terms.deferred
        due = [(*d, deferred.get(d[0], [])) for d in self._due()]
        for p, g, _, given in due:
            if p.grad.proxes or p.grad.deferred or g.shape != p.shape:  # type: ignore[union-attr]
                self._check_due(p, p.grad, given)  # type: ignore[arg-type]
        updates = [self._update_of(*d) for d in due]
        for *_, given in due:
            given.clear()
        return updates

    def _update_of(
        self, p: Tensor, g: Array, group: dict[str, Any], given: Iterable[NamedPenalty]
    ) -> Update:
        state, names, proxes = (
            self.state.get(p, {}),
            self._state_names(group),
            self._prox.get(p, {}),
        )
        first = not all(map(state.__contains__, names))
        penalties = tuple(penalty for _, penalty in given)
        return Update(p, g, group, state.get("step", 0) + 1, names, first, penalties, proxes)

    def _check_due(self, p: Tensor, grad: Tensor, given: list[NamedPenalty]) -> None:
        """Raise for a gradient of another shape, and for one that lacks a penalty or a prox."""
        owner = f"{type(self).__name__}.step"
        if grad.shape != p.shape:
            raise ValueError(
                f"{owner}: the gradient of a parameter of shape {p.shape} has shape {grad.shape}"
            )
        if grad.deferred and grad.deferred != given:
            names = ", ".join(repr(name) for name, _ in grad.deferred)
            raise RuntimeError(
                f"{owner}: the gradient of a parameter of shape {p.shape} lacks the penalties {names}, "
                "which terms.backward(defer=True) left to the step: call optimizer.step(terms)"
            )
        for name, penalty in grad.proxes:
            if penalty not in self._prox.get(p, ()):
                raise RuntimeError(
                    f"{owner}: objective term {name!r} acts via its prox, which this optimizer does not "
                    f"apply to a parameter of shape {p.shape}: call objective.attach(optimizer)"
                )

    def _passes(
        self, step: Any, first: bool, group: dict[str, Any], penalties: Iterable[Penalty],
        proxes: Sequence[Penalty], clipped: bool,
    ) -> Callable[..., None]:  # fmt: skip
        """An update from the penalties' gradients to the prox, in place, of any stretch of elements.

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
        """The update of one parameter, in blocks that stay in the cache; its proxes are to follow."""
        arrays = self._arrays(u)
        common = [] if factor is None else [like(factor, u.g)]
        passes = self._passes(u.step, u.first, u.group, u.penalties, (), factor is not None)
        for views in [arrays] if self.whole_parameters else blocks(*arrays):
            passes(*views, *(np.empty_like(views[0]) for _ in range(self.scratch)), *common)

    def _arrays(self, u: Update) -> list[Array]:
        """What an update, counted now, works on: the parameter, its gradient and its state."""
        state = self.state.setdefault(u.p, {})
        state["step"] = u.step
        for name in u.state_names:
            if name not in state:
                state[name] = np.zeros_like(u.p.data)
        return [u.p.data, u.g, *map(state.__getitem__, u.state_names)]

    def _clip_factor(self, updates: Sequence[Update], max_norm: float) -> Array:
        """What scales the gradients, with what the step will add to them, to the joint norm."""
        check_option(f"{type(self).__name__}.step", "[0, inf]", max_norm=max_norm)
        due = [(u.p.data, u.g, u.penalties) for u in updates]
        if (found := kernels.clip_factor(due, max_norm)) is not None:
            return found[1]
        for u in updates:
            u.complete()
        return clip_factor([u.p for u in updates], max_norm)[1].data

    def _after_step(self, u: Update) -> Iterator[tuple[tuple[str, ...], Array]]:
        """What follows the step of a parameter: its entry in the books, and the new values."""
        for penalty, name in u.proxes.items():
            p, step = u.p.data, self._prox_step(self.state[u.p], u.group)
            parts = penalty.parts() if name and self.observer else {}
            *others, last = [f"{name}.{part}" for part in parts] or [name]
            end = penalty.prox(p, step)
            for entry, part in zip(others, parts.values(), strict=False):
                yield (entry, "prox"), part.prox(p, step)
            yield (last, "prox") if last else ("prox",), end

    def _join(self, params: list[Tensor]) -> None:
        """What a step does last, with all parameters together."""

    def kernel_source(self, terms: DeferredTerms | None = None) -> str:
        """The CUDA source of the next step: one kernel for all parameters that it treats alike.

        Alike are those of one group, dtype and age with the same penalties, of which ``terms`` give
        those that are left to the step. The source is made from the optimizer's own in-place passes
        and the penalties' own ``add_gradient`` and ``prox``; options and corrections are its
        arguments, so a schedule does not compile anew. Where arrays live on a GPU a step launches
        just this; the source can be printed anywhere.

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
        """How far a constant gradient of 1 moves p in one step: so long is the prox."""
        return group["lr"]

    def momentum(self, p: Tensor) -> Array | None:
        """The momentum of a parameter, None while there is none."""
        return self.state.get(p, {}).get(self.buffer)

    def decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """(coupled, decoupled) decay: what joins the gradient, what shrinks θ directly."""
        return group.get("weight_decay", 0.0), 0.0

    def decay_of(self, p: Tensor) -> float:
        """The weight decay, coupled or decoupled, that reaches a parameter; 0 if it is not here.

        >>> import minireg as mr
        >>> w, b = mr.nn.Linear(2, 1).parameters()
        >>> optimizer = mr.optim.SGD([{"params": w, "weight_decay": 0.1}, {"params": b}])
        >>> optimizer.decay_of(w), optimizer.decay_of(b)
        (0.1, 0.0)
        """
        groups = (g for g in self.param_groups if any(p is q for q in g["params"]))
        return float(next(groups, {}).get("weight_decay", 0.0))

    def linear(self, p: Tensor, group: dict[str, Any], first: bool) -> LinearStep:
        """The step just made, as a linear function of the gradient and of past ones.

        ``first`` says that there was no momentum before. The :class:`~minireg.Ledger` splits the
        step by terms with it.
        """
        return LinearStep(-group["lr"])

    def _state_names(self, group: dict[str, Any]) -> Sequence[str]:
        """Names of the arrays kept for each parameter of the group, zero at first."""
        return [name for name, option in self.state_arrays.items() if not option or group[option]]

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        """A function that updates (p, g, *state, *scratch) in place; g is read only.

        It gets stretches of elements, parts of a parameter or several in a row; what depends on a
        parameter as a whole, such as its norm, asks for that by ``whole_parameters = True``. ``first`` says
        that the state has just been made.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """State by parameter position, and the groups' options; copies, safe to keep."""
        state = {
            i: {k: v if k == "step" else v.copy() for k, v in self.state[p].items()}
            for i, p in enumerate(self._parameters())
            if p in self.state
        }
        groups = [{k: v for k, v in g.items() if k != "params"} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, onto parameters in the same order; all or nothing.

        Arrays come to where the parameters live, in their dtype; for a ledger the momentum is from
        before it was opened. Before anything changes raises ``TypeError`` or ``ValueError`` for what
        is no such state: of another kind of optimizer, for other groups, parameters or shapes, with
        an option out of range or an array missing.
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
                    "besides; is it of another kind of optimizer?"
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
        """The saved state of a parameter, where it lives."""
        check_mapping(name, "state", kept, "{name: array}")
        if not {"step", *self._state_names(group)} <= kept.keys() <= {"step", *self.state_arrays}:
            raise ValueError(
                f"{name}: got the states {[*kept]}, expected step, {', '.join(self._state_names(group))}"
            )
        check_option(name, 0, step=kept["step"])
        found: dict[str, Any] = {"step": int(kept["step"])}
        for key in kept.keys() - found.keys():
            like = p if key != "t" else Tensor(of(p.data).xp.zeros((), p.dtype))
            array = loaded(f"{name}: {key!r}", like, kept[key])
            found[key] = np.zeros_like(like.data)
            found[key][...] = array
        return found

    def __repr__(self) -> str:
        group, n = self.param_groups[0], sum(p.size for p in self._parameters())
        shown = {k: v for k in self.defaults if (v := group[k]) is not False}
        options = ", ".join(f"{k}={v!r}" for k, v in shown.items())
        text = f"{type(self).__name__}({options}) on {n:,} numbers: {self.text}"
        return "\n  ".join(filter(None, [text, self._decayed_too()]))


def decay_groups(model: Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups of a model's parameters: weights, which decay, and biases and norms, which do not.

    Decay says that small weights are likely; of a bias, or of the scale and shift of a
    normalisation, nobody believes it (claims C128, C129). An optimizer warns where a
    ``weight_decay=`` that is not its default reaches them; groups are taken to be meant. Raises
    ``TypeError`` for what is no module, ``ValueError`` for a decay out of [0, ∞).

    >>> import minireg as mr
    >>> model = mr.nn.Sequential(mr.nn.Linear(4, 3), mr.nn.BatchNorm(3))
    >>> [(len(g["params"]), g["weight_decay"]) for g in decay_groups(model, 0.1)]
    [(1, 0.1), (3, 0.0)]
    >>> optimizer = mr.optim.AdamW(decay_groups(model, 0.1), lr=1e-3)
    """
    check_kind("decay_groups", Module, model=model)
    check_option("decay_groups", "[0, inf)", weight_decay=weight_decay)
    weights = [p for p in model.parameters() if p.kind == "weight"]
    others = [p for p in model.parameters() if p.kind != "weight"]
    groups = [(weights, weight_decay), (others, 0.0)]
    return [{"params": some, "weight_decay": decay} for some, decay in groups if some]
