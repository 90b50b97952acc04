"""The one update pipeline, the same for every optimizer.

data gradient → + penalty gradients → clip → state (momentum, moments) → step
→ decoupled decay → prox or projection

The first three happen before ``step()`` (:class:`~minireg.Objective` fills ``.grad`` with the sum
of the terms, ``clip_grad_norm_`` scales it), or within it, where penalties were left to it and
``max_norm`` is given. An optimizer defines ``_update``: the state and the step for a stretch of
elements, in place. ``formula`` is the same in plain NumPy, the readable specification that the
in-place passes are tested against.

On the CPU a step walks over each parameter in blocks that stay in the cache. On a GPU the same
``_update``, with the penalty gradients before and the elementwise prox behind it, is recorded into
one kernel for all that is treated alike (:mod:`minireg.gpu.trace`).
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, blocks, of
from ..gpu.trace import UNTRACEABLE, Kernel, Scalar, fits, trace
from ..messages import check_mapping, check_option, check_parameters
from ..nn.module import Module, loaded
from ..ops.arrays import like
from ..penalties import Penalty
from ..penalties.base import add_gradients
from ..tensor import Tensor, next_seq
from .clip import clip_factor, factor_by_kernel, parameter_list

_SCHEDULED = {"initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"}  # by a schedule
_RANGES: dict[str, Any] = {
    "lr": "[0, inf)", "momentum": "[0, inf)", "weight_decay": "[0, inf)", "eps": "[0, inf)",
    "decay_scale": ("lr", "schedule"), "temperature": "[0, inf)", "alpha": "[0, 1)",
    "dampening": "(-inf, inf)", **dict.fromkeys(_SCHEDULED, "[0, inf)"),
    **dict.fromkeys(("nesterov", "decoupled", "amsgrad", "centered", "accelerated", "maximize"),
                    (True, False)),
}  # fmt: skip


Due = tuple[Tensor, Array, dict[str, Any]]  # a parameter, its gradient, its group
# a gradient, its age (None: not known), and what a step is to add to it
Deferred = tuple[Tensor | None, int | None, tuple[Penalty, ...]]


def _told(name: str, value: Any) -> Any:
    """An option whose numbers know their name."""
    if isinstance(value, tuple):
        return tuple(_told(f"{name}[{i}]", v) for i, v in enumerate(value))
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return Scalar(value, name) if number else value


def _apart(parameters: Sequence[Tensor]) -> set[Tensor]:
    """Those that share no launch with others: on the CPU, and where they share memory."""
    found: set[Tensor] = set()
    spans: list[tuple[int, int, int]] = []  # where the memory of each begins and ends
    for k, p in enumerate(parameters):
        address = of(p.data).address
        if address is None:
            found.add(p)
        else:
            spans.append((address(p.data), address(p.data) + p.data.nbytes, k))
    furthest = last = 0
    for begin, end, k in sorted(spans):
        if begin < furthest:
            found |= {parameters[k], parameters[last]}
        if end > furthest:
            furthest, last = end, k
    return found


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

    observer: Any = None  # a Ledger, told of every parameter's step
    states: tuple[str, ...] = ()  # of a parameter: what may be kept beside the number of its steps
    buffer = ""  # the state that is linear in past gradients, if there is one
    elementwise = False  # whether every element has a step length of its own
    scratch = 1  # arrays of one block that _update may overwrite
    _step: Any = None  # of a subclass whose step is no _update: (p, g, group), one parameter

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        self._prox: dict[Tensor, dict[Penalty, str]] = {}  # with the name of the term
        self._lent: dict[Tensor, list[Penalty]] = {}  # which of these an objective has attached
        self._deferred: dict[Tensor, Deferred] = {}
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
        for name, limit in _RANGES.items():
            if name in group:
                check_option(owner, limit, **{name: group[name]})
        if "betas" in group:
            betas = group["betas"]
            if not isinstance(betas, tuple | list) or len(betas) != 2:
                raise ValueError(f"{owner}: betas must be a pair of numbers, got {betas!r}")
            for i, beta in enumerate(betas):
                check_option(owner, "[0, 1)", **{f"betas[{i}]": beta})

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
        if not isinstance(penalty, Penalty):
            raise TypeError(
                f"{type(self).__name__}: the penalty must be a Penalty, got {penalty!r:.80}; write one "
                "with its strength, as mr.penalties.L1(0.1)"
            )
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

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters (they become None)."""
        self._deferred.clear()
        for p in self._parameters():
            p.grad = None

    def defer(
        self, penalties: Mapping[Any, Sequence[Penalty]], before: Mapping[Any, Tensor | None]
    ) -> set[Tensor]:
        """Leave it to the next step to add penalties' gradients to those of the parameters.

        For penalties that are sums over elements: their gradients then take no pass of their own
        (on a GPU no kernel). ``before`` tells the gradients to which the present ones have been
        added; one that has been changed in between raises ``RuntimeError``, here or in the step.
        Returns the parameters that this concerns: those that the optimizer updates, none if a
        ledger watches.
        """
        mine = penalties.keys() & set(self._parameters() if self.observer is None else ())
        for p in mine:
            earlier, g = before.get(p), p.grad
            goes_on = earlier is not None and self._deferred.get(p, (None,))[0] is earlier
            own = self._pulls(p, earlier) if goes_on else ()
            self._deferred[p] = g, None if g is None else g._seq, own + tuple(penalties[p])
        return mine

    def _pulls(self, p: Tensor, gradient: Tensor | None) -> tuple[Penalty, ...]:
        """The penalties whose gradients the step is to add to this one of p."""
        if p not in self._deferred:
            return ()
        known, age, penalties = self._deferred[p]
        if known is not gradient or (age is not None and known._seq != age):  # type: ignore[union-attr]
            raise RuntimeError(
                f"{type(self).__name__}: the gradient of a parameter of shape {p.shape} was replaced or "
                "changed after terms.backward(optimizer=…) had left the penalties' part of it to the "
                "step; call terms.backward() without optimizer=, or clip by step(max_norm=…)"
            )
        return penalties

    def step(self, closure: None = None, *, max_norm: float | None = None) -> None:
        """One update of every parameter that has a gradient; frozen ones are never touched.

        ``max_norm`` scales the gradients first, in place, as :func:`clip_grad_norm_` does; on a GPU
        in the kernel of the update. Raises ``RuntimeError`` where a gradient comes from an
        objective with a term that acts via its prox, which this optimizer does not apply, and
        warns where there is no gradient at all.
        """
        due, watch = list(self._due()), self.observer
        for p, g, _ in due:
            if p.grad.owed or g.shape != p.data.shape:  # type: ignore[union-attr]
                self._check_due(p, g)
        if closure is not None or not due:
            self._told_nothing(closure)
        factor = None if max_norm is None else self._clip_factor(due, max_norm)
        if watch:  # it is to see the gradient that the step takes
            self._scale(due, factor)
            factor = None
        for members in [[m] for m in due] if watch else self._alike(due, factor):
            for p, _, group in members if watch else ():
                watch.before(p, group)
            complete = self._advance(members, factor)
            for p, _, group in () if complete else members:
                for entry, new in self._after_step(p, group):
                    if watch:
                        watch.also(p, entry, new - p.data)
                    p.data[...] = new
        self._deferred.clear()
        self._join([p for p, _, _ in due])
        for p, _, _ in due:
            p._seq = next_seq()  # a graph that has read the old values will notice
        if watch:
            watch.after(due)

    def _told_nothing(self, closure: Any) -> None:
        """Say so where a step has no gradients, or a closure that should give them."""
        owner = f"{type(self).__name__}.step"
        if closure is not None:
            raise TypeError(
                f"{owner}: takes no closure, got {closure!r:.60}; call it before the step"
            )
        warnings.warn(
            f"{owner}: no parameter has a gradient, so nothing changes; call backward() on a loss of "
            "these parameters first",
            stacklevel=3,
        )

    def _check_due(self, p: Tensor, g: Array) -> None:
        """Raise for a gradient of another shape, and for one that counts on a prox not applied here."""
        if g.shape != p.shape:
            raise ValueError(
                f"{type(self).__name__}.step: the gradient of a parameter of shape {p.shape} has shape "
                f"{g.shape}"
            )
        for name, penalty in p.grad.owed:  # type: ignore[union-attr]
            if penalty not in self._prox.get(p, ()):
                raise RuntimeError(
                    f"{type(self).__name__}.step: objective term {name!r} acts via its prox, which this "
                    f"optimizer does not apply to a parameter of shape {p.shape}: call "
                    "objective.attach(optimizer)"
                )

    def _due(self) -> Iterator[tuple[Tensor, Array, dict[str, Any]]]:
        """(parameter, gradient, group) of what a step updates."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.requires_grad:
                    yield p, p.grad.data, group

    def _clip_factor(self, due: Sequence[Due], max_norm: float) -> Array:
        """What scales the gradients, with what the step will add to them, to the joint norm."""
        check_option(f"{type(self).__name__}.step", "[0, inf]", max_norm=max_norm)
        rows = [(p, g, self._pulls(p, p.grad)) for p, g, _ in due]
        if (found := factor_by_kernel(rows, max_norm)) is not None:
            return found[1]
        self._scale(due, None)
        return clip_factor([p for p, _, _ in due], max_norm)[1].data

    def _scale(self, due: Sequence[Due], factor: Array | None) -> None:
        """Make the gradients what the step takes: with what it would add, and scaled."""
        for p, g, _ in due:
            add_gradients(self._pulls(p, p.grad), p.data, g)
            self._deferred.pop(p, None)
            if factor is not None:
                g *= like(factor, g)

    def _after_step(
        self, p: Tensor, group: dict[str, Any]
    ) -> Iterator[tuple[tuple[str, ...], Array]]:
        """What follows the step of a parameter: its entry in the books, and the new values."""
        for penalty in (known := self._prox.get(p, {})):
            name, step = known[penalty], self._prox_step(p, group)
            end = penalty.prox(p.data, step)
            parts = penalty.parts() if name and self.observer else {}
            for part in [*parts][:-1]:
                yield (f"{name}.{part}", "prox"), parts[part].prox(p.data, step)
            if parts:
                name = f"{name}.{[*parts][-1]}"
            yield (name, "prox") if name else ("prox",), end

    def _join(self, params: list[Tensor]) -> None:
        """What a step does last, with all parameters together."""

    # --- what is treated alike: one walk over the memory, or one kernel ------------------------------

    def kernel_source(self) -> str:
        """The CUDA source of the next step: one kernel for all parameters that it treats alike.

        Alike are those of one group, dtype and age with the same penalties. The source is made
        from the optimizer's own in-place passes and the penalties' own ``add_gradient`` and
        ``prox``; options and corrections are its arguments, so a schedule does not compile anew.
        Where arrays live on a GPU a step launches just this; the source can be printed anywhere.

        >>> import minireg as mr
        >>> w = mr.tensor([1.0], requires_grad=True)
        >>> print(mr.optim.SGD([w], lr=0.1).kernel_source().splitlines()[-1])
        *at_p_ = p_ - (g_ * a0);
        """
        sets = self._alike([(p, p.data, g) for g in self.param_groups for p in g["params"]], None)
        found = [self._kernel(*members[0], None)[0] for members in sets]
        return "\n\n".join(dict.fromkeys(f"// {self.text}\n{kernel}" for kernel in found if kernel))

    def _alike(self, due: Sequence[Due], factor: Array | None) -> Iterable[list[Due]]:
        """Parameters by what their step depends on."""
        alike: dict[Any, list[Due]] = {}
        apart = _apart([p for p, _, _ in due])
        for p, g, group in due:
            pulls, proxes = self._pulls(p, p.grad), self._prox.get(p, ())
            penalties = [tuple(map(id, some)) for some in (pulls, proxes)]
            where = type(p.data), p.data.dtype, self._fits(p, g, group, factor)
            key = self._stage(p, group), id(group), where, *penalties, p if p in apart else None
            alike.setdefault(key, []).append((p, g, group))
        return alike.values()

    def _stage(self, p: Tensor, group: dict[str, Any]) -> tuple[int, bool]:
        """The number of the parameter's next update, and whether it makes states."""
        state = self.state.get(p, {})
        return state.get("step", 0) + 1, not all(map(state.__contains__, self._states(group)))

    def _fits(self, p: Tensor, g: Array, group: dict[str, Any], factor: Array | None) -> bool:
        """Whether a kernel can take the parameter with all that belongs to its update."""
        if of(p.data).address is None:
            return False
        state, common = self.state.get(p, {}), [] if factor is None else [like(factor, g)]
        states = (state[n] for n in self._states(group) if n in state)
        return fits([p.data, g, *states, *common], len(common))

    def _advance(self, members: Sequence[Due], factor: Array | None) -> bool:
        """Update parameters that are treated alike; tells whether their prox is done, too."""
        p, g, group = members[0]
        if self._step is not None:
            self._scale(members, factor)
            for p, g, group in members:
                self._step(p, -g if group.get("maximize") else g, group)
            return False
        common = [] if factor is None else [like(factor, g)]
        kernel, whole = None, False
        if self._fits(p, g, group, factor):
            kernel, whole = self._kernel(p, g, group, factor)
            if kernel is None and p in self._deferred:  # perhaps it is no elementwise code: apart
                self._scale(members, None)
                kernel, whole = self._kernel(p, g, group, factor)
        update, names = self._passes(p, group, factor, group), self._states(group)
        rows = [self._row(p, g, names) for p, g, _ in members]
        if kernel is not None:
            kernel.launch(of(g), [[*row, *common] for row in rows])
            return whole
        for row in rows:
            for views in blocks(*row):
                update(*views, *(np.empty_like(views[0]) for _ in range(self.scratch)), *common)
        return False

    def _row(self, p: Tensor, g: Array, names: Iterable[str]) -> list[Array]:
        """What an update, counted now, works on."""
        state = self.state.setdefault(p, {"step": 0})
        state["step"] += 1
        for name in names:
            if name not in state:
                state[name] = np.zeros_like(p.data)
        return [p.data, g, *map(state.__getitem__, names)]

    def _kernel(
        self, p: Tensor, g: Array, group: dict[str, Any], factor: Array | None
    ) -> tuple[Kernel | None, bool]:
        """The next update of a parameter as a kernel, and whether nothing is to follow it."""
        common = [] if factor is None else ["factor"]
        # else something precedes the prox, or somebody wants to see what it does
        own = type(self)._after_step is Optimizer._after_step and self.observer is None
        proxes = [*self._prox.get(p, ())] if own else []
        arrays, kind = ("p", "g", *self._states(group), *common), type(self).__name__
        known = {k: _told(k, v) for k, v in group.items()}
        for penalties in (proxes, []):
            update = self._passes(p, group, factor, known, penalties)
            try:
                kernel = trace(kind, p.dtype.name, arrays, update, self.scratch, len(common))
                return kernel, own and penalties == proxes
            except UNTRACEABLE:  # it needs more than one element: arrays will do
                continue
        return None, False

    def _passes(
        self, p: Tensor, group: dict[str, Any], factor: Array | None, known: dict[str, Any],
        proxes: Sequence[Penalty] = (),
    ) -> Callable[..., None]:  # fmt: skip
        """The next update of a parameter from pull to prox, for any stretch of its elements.

        It takes (p, g, *states, *scratch), and the factor if there is one; ``known`` are the
        options, as numbers or as numbers that know their name.
        """
        (age, first), names = self._stage(p, group), self._states(group)
        pulls = self._pulls(p, p.grad)
        step = age if known is group else Scalar(age, "step")
        passes = self._update(step, first, known)  # type: ignore[arg-type]

        def update(p: Any, g: Any, *rest: Any) -> None:
            add_gradients(pulls, p, g)
            if factor is not None:
                *rest, scale = rest  # type: ignore[assignment]
                g *= scale
            passes(p, -g if group.get("maximize") else g, *rest)
            if proxes:  # how long they are follows from the states, which are symbols here
                twin = copy.copy(self)
                twin.state = {p: {"step": step, **dict(zip(names, rest, strict=False))}}
            for penalty in proxes:
                p[...] = penalty.prox(p, twin._prox_step(p, known))

        return update

    def _prox_step(self, p: Tensor, group: dict[str, Any]) -> Any:
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

    def _states(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Names of the arrays kept for each parameter of the group, zero at first."""
        return ()

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        """A function that updates (p, g, *states, *scratch) in place; g is read only.

        It gets stretches of elements, parts of a parameter or several in a row: what depends on a
        parameter as a whole, such as its norm, is a ``_step``. ``first`` says that the states have
        just been made.
        """
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        # a copy's arrays lie elsewhere, and are younger
        deferred = {p: (g, None, pulls) for p, (g, _, pulls) in self._deferred.items()}
        return {**vars(self), "_deferred": deferred}

    def state_dict(self) -> dict[str, Any]:
        """State by parameter position, and the groups' options; copies, safe to keep."""
        params = self._parameters()
        return {
            "state": {
                i: {k: v if k == "step" else v.copy() for k, v in self.state[p].items()}
                for i, p in enumerate(params)
                if p in self.state
            },
            "param_groups": [
                {k: v for k, v in g.items() if k != "params"} for g in self.param_groups
            ],
        }

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
        for i, (group, saved) in enumerate(zip(self.param_groups, groups, strict=True)):
            check_mapping(owner, f"group {i}", saved, "{option: value}")
            lacking, more = self.defaults.keys() - saved.keys(), saved.keys() - self.defaults.keys()
            if lacking or not more <= _SCHEDULED:
                raise ValueError(
                    f"{owner}: group {i} lacks {sorted(lacking)} and has {sorted(more - _SCHEDULED)} "
                    "besides; is it of another kind of optimizer?"
                )
            self._check({**group, **saved})
        options = [
            {**g, **s} for g, s in zip(self.param_groups, groups, strict=True) for _ in g["params"]
        ]
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
        if not {"step", *self._states(group)} <= kept.keys() <= {"step", *self.states}:
            raise ValueError(
                f"{name}: got the states {[*kept]}, expected step, {', '.join(self._states(group))}"
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
        options = ", ".join(f"{k}={v!r}" for k, v in self.param_groups[0].items()
                            if k in self.defaults and v is not False)  # fmt: skip
        n = sum(p.size for g in self.param_groups for p in g["params"])
        lines = [
            f"{type(self).__name__}({options}) on {n:,} numbers: {self.text}",
            self._decayed_too(),
        ]
        return "\n  ".join(filter(None, lines))

    text = ""


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
    if not isinstance(model, Module):
        raise TypeError(f"decay_groups: model must be a Module, got {model!r:.80}")
    check_option("decay_groups", "[0, inf)", weight_decay=weight_decay)
    weights: list[Tensor] = []
    others: list[Tensor] = []
    for p in model.parameters():
        (weights if p.kind == "weight" else others).append(p)
    groups = [(weights, weight_decay), (others, 0.0)]
    return [{"params": some, "weight_decay": decay} for some, decay in groups if some]
