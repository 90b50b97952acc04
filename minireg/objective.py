"""Objective: a data loss plus named penalty terms, and which parameter each applies to.

``objective(model, x, y)`` gives :class:`Terms`: every term's value under its own name
and, after ``backward``, every term's own share of every parameter's gradient. The
shares of a parameter sum to its ``.grad``.
"""

from __future__ import annotations

import difflib
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from .backend import NUMPY, Array, of, unscalar
from .engine import accumulate, backprop, run_hooks
from .gpu.trace import run_on_rows
from .messages import check_kind, check_option
from .mode import RECORD, enable_grad, no_grad, state
from .nn.losses import Loss
from .nn.module import Module, Parameter
from .optim.pipeline import NamedPenalty, Optimizer
from .penalties import Penalty
from .penalties.base import Coefficient, add_gradients
from .tables import Column, Table
from .tensor import Tensor

Proxes = tuple[NamedPenalty, ...]
Found = dict[Tensor, Array]  # gradients


class PendingGradient(Tensor):
    """A parameter's gradient with work left for the step.

    ``proxes`` are the terms whose prox must follow the step, ``deferred`` those whose gradients the
    step must add. The list ``deferred`` is the one in ``Terms.deferred``; whoever adds the gradients
    empties it.
    """

    __slots__ = ("proxes", "deferred")
    deferred: list[NamedPenalty]

    def __init__(
        self, data: Array, proxes: Proxes = (), deferred: list[NamedPenalty] | None = None
    ) -> None:
        super().__init__(data)
        self.proxes, self.deferred = proxes, [] if deferred is None else deferred

    def __reduce__(self) -> tuple[Any, ...]:
        return PendingGradient, (self.data, self.proxes, self.deferred)

    def _heir(self, more: Array) -> Tensor:
        return PendingGradient(self.data, self.proxes, self.deferred)


class Attributed(PendingGradient):
    """A parameter's gradient that knows its name and what it is made of: each term's share."""

    __slots__ = ("name", "shares")

    def __init__(
        self, data: Array, name: str, shares: dict[str, Array], proxes: Proxes = ()
    ) -> None:
        super().__init__(data, proxes)
        self.name, self.shares = name, shares

    def __reduce__(self) -> tuple[Any, ...]:
        return Attributed, (self.data, self.name, self.shares, self.proxes)

    def _heir(self, more: Array) -> Tensor:
        shares = self.shares | {"gradient": self.shares.get("gradient", 0) + more}
        return Attributed(self.data, self.name, shares, self.proxes)


def added(arrays: Iterable[Array]) -> Array:
    """The sum of arrays, from left to right, as an array of its own."""
    first, *rest = arrays
    total: Array = unscalar(np.add(first, rest[0] if rest else 0))
    for array in rest[1:]:
        total += array
    return total


def settled(shares: Mapping[str, Array], g: Array) -> tuple[dict[str, Array], Array]:
    """What is left of each share in a gradient that was their sum and is g now, and the rest.

    Where g is a multiple of the sum (clipping by norm) every share has been multiplied groups;
    where each element lies between 0 and its sum (clipping by value) so have its shares. Else
    the shares are as they were, and what was done to the sum is the rest. Nothing here waits
    for a device.

    >>> shares = {"data": np.array([3.0, 1.0]), "l2": np.array([1.0, 1.0])}
    >>> settled(shares, np.array([2.0, 2.0]))
    ({'data': array([1.5, 1. ]), 'l2': array([0.5, 1. ])}, array([0., 0.]))
    """
    total = added(shares.values())
    alive = total != 0
    with np.errstate(all="ignore"):
        least = np.finfo(total.dtype).tiny
        common = (g * total).sum() / np.maximum((total * total).sum(), least)
        multiple = (np.abs(g - common * total) <= 1e-3 * np.abs(common * total)).all()
        factor = np.where(alive, g / np.where(alive, total, 1), np.where(multiple, common, 1))
    within = np.where(alive, (factor >= 0) & (factor <= 1), g == 0).all()
    scaled = multiple | within
    factor = np.where(scaled, factor, 1).astype(g.dtype, copy=False)
    return {t: share * factor for t, share in shares.items()}, np.where(scaled, 0, g - total)


def resettled(shares: Mapping[str, Array], g: Array) -> dict[str, Array]:
    """The shares of a gradient that was their sum and is g now; what is no scaling is "edited"."""
    found, rest = settled(shares, g)
    if of(g) is not NUMPY or rest.any():
        found["edited"] = found.get("edited", 0) + rest
    return found


def _joined(grad: Tensor, shares: dict[str, Array]) -> dict[str, Array]:
    """The shares of an earlier gradient and of one that is added to it."""
    earlier: dict[str, Array] = getattr(grad, "shares", {"gradient": grad.data})
    if (grad.data != added(earlier.values())).any():
        earlier = resettled(earlier, grad.data)
    both = earlier.keys() & shares.keys()
    return earlier | shares | {t: earlier[t] + shares[t] for t in both}


class Implied(Protocol):
    """A penalty that nobody wrote down: its value, and its gradients by parameter."""

    @property
    def value(self) -> Any: ...  # noqa: D102
    @property
    def gradients(self) -> Mapping[str, Any]: ...  # noqa: D102


AnyLoss = Loss | Callable[[Any, Any], Tensor]


def named_parts(loss: AnyLoss, output: Any, target: Any) -> dict[str, Tensor]:
    """The terms of a loss by name; of a plain function one called "data"."""
    if isinstance(loss, Loss):
        return dict(loss.parts(output, target))
    value = loss(output, target)
    if not isinstance(value, Tensor):
        raise TypeError(
            f"Objective: loss must return a Tensor, got {value!r:.60}; float(), .item() and .numpy() "
            "in it would end the graph"
        )
    return {"data": value}


Selector = str | Parameter | Iterable[str | Parameter] | Callable[[str, Parameter], bool] | None


_ON = (
    "Term: on must be a glob over the names of parameters, a Parameter, several of both, or a "
    "predicate (name, parameter) -> bool"
)


def _instance(value: Any) -> str:
    """What to write instead of a class."""
    return f"; write {value.__name__}(…)" if isinstance(value, type) else ""


def _hits(wanted: Any, parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """The parameters that a glob matches, or one that is given itself."""
    if isinstance(wanted, str):
        return {n: p for n, p in parameters.items() if fnmatchcase(n, wanted)}
    if isinstance(wanted, Parameter):
        return {n: p for n, p in parameters.items() if p is wanted}
    raise TypeError(f"{_ON}, got {wanted!r:.60} among them")


@dataclass(frozen=True)
class Term:
    """A penalty, the parameters it applies to, and how it acts.

    ``on``: None for weights only, a glob over parameter names, a Parameter, several of both, or
    a predicate ``(name, parameter) -> bool``. ``via``: ``"gradient"`` adds its gradient to
    the loss's; ``"prox"`` leaves the gradient alone and applies the penalty's prox after
    each optimizer step, which is what makes zeros exact. By default a penalty acts via its
    gradient, and what has none to speak of (L0, constraints) via its prox.
    """

    penalty: Penalty
    on: Selector = None
    via: Literal["gradient", "prox", None] = None

    def __post_init__(self) -> None:
        if not isinstance(self.penalty, Penalty):
            raise TypeError(
                f"Term: expected a Penalty, got {self.penalty!r}{_instance(self.penalty)}"
            )
        on = self.on
        if isinstance(on, str | Parameter):
            object.__setattr__(self, "on", (on,))
        elif isinstance(on, Iterable) and not isinstance(on, Module):
            object.__setattr__(self, "on", tuple(on))
        elif on is not None and (isinstance(on, Module) or not callable(on)):
            hint = "; pass its parameters()" if isinstance(on, Module) else ""
            raise TypeError(f"{_ON}, got {on!r:.60}{hint}")
        if self.via is None:
            object.__setattr__(self, "via", self.penalty.via)
        check_option("Term", ("gradient", "prox"), via=self.via)
        if self.via == "gradient" and self.penalty.via == "prox":
            raise ValueError(
                f"Term: {self.penalty!r} has no gradient that a step could use (it is 0 almost "
                "everywhere), so it would have no effect; take via='prox'"
            )

    def select(self, label: str, parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
        """The trainable parameters it applies to; ``ValueError`` if the selector matches none."""
        on = self.on
        if on is None:
            chosen = {n: p for n, p in parameters.items() if p.kind == "weight"}
        elif callable(on):
            chosen = {n: p for n, p in parameters.items() if on(n, p)}
        else:
            chosen = {}
            for wanted in on:
                hits = _hits(wanted, parameters)
                if not hits:
                    text = wanted if isinstance(wanted, str) else ""
                    near = difflib.get_close_matches(text, parameters, 3, 0.3) or [*parameters]
                    raise ValueError(
                        f"objective term {label!r}: on={wanted!r:.60} matches no parameter; near: "
                        f"{', '.join(near)}"
                    )
                chosen |= hits
        if not chosen:
            raise ValueError(
                f"objective term {label!r}: the selector matches none of {', '.join(parameters)}"
            )
        if self.penalty.joint and any(p.requires_grad for p in chosen.values()):
            return chosen  # a frozen link is still a part of the chain
        return {n: p for n, p in chosen.items() if p.requires_grad}


@dataclass(frozen=True)
class Assignment:
    """A row of the assignment table: a parameter and what regularizes it."""

    parameter: str
    shape: tuple[int, ...]
    kind: str
    penalties: str
    why: str
    decay: float = 0.0  # the optimizer's weight decay that reaches it


def assignment_table(rows: Sequence[Assignment], decay: bool = False) -> Table:
    """Which penalty acts on which parameter, and why; ``decay`` adds the optimizer's own."""
    head: list[Column | str]
    head = ["parameter", Column("shape", spare=2), Column("kind", spare=1), "penalties"]
    head += [Column("decay", "g")] if decay else []
    shown = [
        (r.parameter, r.shape, r.kind, r.penalties, *([r.decay] if decay else []), r.why)
        for r in rows
    ]
    reached = ", ".join(r.parameter for r in rows if r.decay and r.kind != "weight")
    note = f"weight decay reaches biases and norms ({reached}): mr.optim.decay_groups spares them"
    return Table([*head, Column("why", spare=3)], shown, note=note if reached else "")


# names that the terms of a loss and the ledger's books have for themselves
_TAKEN = dict.fromkeys(("data", "smoothing", "total"), "a loss term") | {
    "weight_decay": "the optimizer's own decay",
    "earlier": "momentum from before the ledger",
    "gradient": "what was in .grad before",
    "edited": "what was done to .grad afterwards",
    "outside": "what changes a parameter between steps",
    "decay": "the optimizer's decoupled decay",
    "noise": "the optimizer's own noise",
    "prox": "the prox of the optimizer's own penalty",
    "extrapolation": "the optimizer's own extrapolation",
}


class Objective:
    """``loss`` plus ``penalties``: {name: penalty | (penalty, on) | (penalty, on, via) | Term}.

    The loss is one of :mod:`minireg.nn.losses`, or any function of output and target.
    Penalties apply to weights only unless ``on`` says otherwise, so biases and the scales
    and shifts of normalisations stay free. The convention is mean loss + Σ λ·Ω.

    >>> import minireg as mr
    >>> model = mr.nn.Linear(2, 1)
    >>> objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(0.1)})
    >>> terms = objective(model, mr.tensor([[1.0, 2.0]]), mr.tensor([[3.0]]))
    >>> terms.backward(); sorted(terms.gradients["l2"])
    ['weight']
    """

    def __init__(self, loss: AnyLoss, penalties: Mapping[str, Any] | None = None) -> None:
        if not callable(loss) or isinstance(loss, type):
            raise TypeError(
                "Objective: loss must be a loss or a function of output and target, got "
                f"{loss!r:.80}{_instance(loss)}"
            )
        if penalties is not None and not isinstance(penalties, Mapping):
            raise TypeError(
                "Objective: penalties must be a mapping of names to penalties, got "
                f"{penalties!r:.60}; write {{'l2': mr.penalties.L2(0.1)}}"
            )
        self.loss, self.terms = loss, {}
        for name, spec in (penalties or {}).items():
            if not isinstance(name, str):
                raise TypeError(f"Objective: names of penalties must be text, got {name!r}")
            if what := _TAKEN.get(name):
                raise ValueError(f"Objective: {name!r} is the name of {what}; choose another")
            if isinstance(spec, tuple | list):
                if not 1 <= len(spec) <= 3:
                    raise TypeError(
                        f"Objective: {name!r} must be a penalty or (penalty, on, via), got {spec!r:.60}"
                    )
                spec = Term(*spec)
            self.terms[name] = spec if isinstance(spec, Term) else Term(spec)
        for name, term in self.terms.items():
            for part in term.penalty.parts():
                if f"{name}.{part}" in self.terms:
                    raise ValueError(
                        f"Objective: {f'{name}.{part}'!r} is the name of a part of {name!r}; choose another"
                    )
        self._model: Module | None = None
        self._known: list[int] = []  # the model's parameters, and which are frozen
        self._chosen: dict[str, dict[str, Parameter]] = {}
        self._attached: set[str] = set()

    def __repr__(self) -> str:
        rows = [f"  {name}: {t.penalty!r}" for name, t in self.terms.items()]
        return "\n".join([f"Objective: mean loss + penalties\n  data: {self.loss!r}", *rows])

    def bind(self, model: Module) -> Objective:
        """Decide now which parameters of ``model`` each term applies to; returns itself.

        Calling the objective does this by itself when the model changes, and when its parameters
        are replaced, frozen or unfrozen.
        """
        hint = "a function becomes one as the forward of a class"
        check_kind("Objective", Module, hint, model=model)
        if model is not self._model:
            self._attached.clear()
        parameters = dict(model.named_parameters())
        self._chosen = {n: t.select(n, parameters) for n, t in self.terms.items()}
        self._model, self._known = model, _signature(parameters)
        return self

    def chosen(self, term: str) -> list[Parameter]:
        """The parameters of the bound model that a term applies to."""
        return list(self._chosen[term].values())

    def step(self) -> None:
        """Count an update for every coefficient that changes while training."""
        for coefficient in {c for t in self.terms.values() for c in t.penalty.coefficients()}:
            coefficient.step()

    def attach(self, optimizer: Optimizer) -> Objective:
        """Hand the ``via="prox"`` terms to ``optimizer``, which applies them after each step.

        They take the place of those that an objective of the same parameters had attached to it
        before; what was added with ``optimizer.add_prox`` stays.
        """
        if self._model is None:
            raise RuntimeError("Objective.attach: call objective.bind(model) first")
        check_kind("Objective.attach", Optimizer, optimizer=optimizer)
        mine = {n: (t.penalty, self.chosen(n)) for n, t in self.terms.items() if t.via == "prox"}
        optimizer.lend_prox(self._model.parameters(), mine)
        self._attached |= mine.keys()
        return self

    def assignments(
        self, model: Module | None = None, optimizer: Optimizer | None = None
    ) -> list[Assignment]:
        """The rows of :meth:`table`."""
        model = self._model if model is None else model
        if model is None:
            raise RuntimeError("Objective: give the model once, objective.table(model)")
        self.bind(model)
        rows = []
        for name, p in model.named_parameters():
            hits = [n for n in self.terms if name in self._chosen[n]]
            kinds = [f"{n} ({self.terms[n].via})" for n in hits]
            why = "frozen: never touched"
            if p.requires_grad:
                named = any(self.terms[n].on is not None for n in hits)
                why = "chosen by on=" if named else "default: weights"
                if not hits:
                    free = {"bias": "default: no biases", "norm": "default: no norms"}
                    why = free.get(p.kind, "no term chooses it")
            decay = 0.0 if optimizer is None else optimizer.decay_of(p)
            rows.append(Assignment(name, p.shape, p.kind, ", ".join(kinds) or "–", why, decay))
        return rows

    def table(self, model: Module | None = None, optimizer: Optimizer | None = None) -> str:
        """Text table: parameter | shape | kind | penalties | why.

        With an ``optimizer`` also its weight decay of each parameter, and a line that names the
        biases and norms that this reaches.
        """
        found = self.assignments(model, optimizer)
        return str(assignment_table(found, decay=optimizer is not None))

    def __call__(self, model: Module, x: Any, y: Any) -> Terms:
        """Evaluate every term at ``model`` on the batch (x, y)."""
        if model is not self._model:
            self.bind(model)
        parameters = dict(model.named_parameters())
        if _signature(parameters) != self._known:
            self.bind(model)
        values = named_parts(self.loss, model(x), y)
        first, recorded = next(iter(values.values())), bool(state.mode & RECORD)
        unread: dict[str, _Unread] = {}
        for name, term in self.terms.items():
            if name in values:
                raise ValueError(
                    f"Objective: {name!r} is a term of the loss and a penalty; rename it"
                )
            if term.via == "prox" and name not in self._attached and recorded:
                raise RuntimeError(
                    f"objective term {name!r} acts via its prox, which no optimizer applies yet: "
                    "call objective.bind(model).attach(optimizer)"
                )
            chosen = self._chosen[name]
            unread[name] = _Unread(name, term.penalty, chosen, first, term.via, recorded)
        return Terms(values, unread, parameters)


def _signature(parameters: Mapping[str, Parameter]) -> list[int]:
    """Equal as long as the parameters are the same, and the same of them frozen."""
    return [id(p) if p.requires_grad else -id(p) for p in parameters.values()]


@dataclass
class _Unread:
    """A penalty's value that is computed when somebody reads it, of the weights as they were."""

    name: str
    penalty: Penalty
    chosen: dict[str, Parameter]
    like: Tensor
    via: str | None
    recorded: bool  # whether the evaluation was

    def __post_init__(self) -> None:
        self.weights = [*self.chosen.values()]
        self.records = self.recorded and self.via == "gradient"
        self.differentiable = self.records and bool(self.trained)
        self._then = self._now()

    @property
    def trained(self) -> list[Parameter]:
        """The weights that are not frozen."""
        return [p for p in self.weights if p.requires_grad]

    def _now(self) -> tuple[list[Array], list[Any]]:
        """What tells these weights and strengths from others: arrays, and numbers."""
        dates = [p._seq for p in self.weights]
        return [p.data for p in self.weights], dates + _numbers(self.penalty)

    @property
    def readable(self) -> bool:
        """Whether the weights are still those of the evaluation."""
        (arrays, numbers), (before, then) = self._now(), self._then
        return numbers == then and all(map(operator.is_, arrays, before))

    def read(self) -> Tensor:
        """The value, recorded if the evaluation was and it acts via its gradient."""
        if not self.readable:
            raise RuntimeError(
                f"Terms: the value of {self.name!r} was not read before the parameters (or its "
                "strength) changed; read it before optimizer.step(), or evaluate the objective again"
            )
        with enable_grad() if self.records else no_grad():
            total = self.penalty.over(self.weights)
        return Tensor(np.zeros_like(self.like.data)) if total is None else total


def _numbers(penalty: Penalty) -> list[Any]:
    """Strengths, of those that change by themselves their updates, also of penalties within."""
    found: list[Any] = []
    for value in vars(penalty).values():
        if isinstance(value, Penalty):
            found += _numbers(value)
        elif isinstance(value, Coefficient):
            found += [value, value.updates]
        elif isinstance(value, int | float):
            found.append(value)
    return found


@dataclass
class Terms(Mapping[str, Tensor]):
    """Named scalar terms of an objective; a mapping, with ``total`` and ``gradients``.

    A penalty's value is computed when it is read, and then kept. It is that of the evaluation:
    first read after a weight or the strength has changed it raises ``RuntimeError``.

    >>> import minireg as mr
    >>> model = mr.nn.Linear(2, 1)
    >>> objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(0.1)})
    >>> optimizer = mr.optim.SGD(model.parameters(), lr=0.1)
    >>> terms = objective(model, mr.tensor([[1.0, 2.0]]), mr.tensor([[3.0]]))
    >>> terms.backward(attribute=False, defer=True); optimizer.step(terms)
    >>> terms["l2"]
    Traceback (most recent call last):
    RuntimeError: Terms: the value of 'l2' was not read before the parameters ... changed; ...
    """

    loss: dict[str, Tensor]
    unread: dict[str, _Unread]
    parameters: dict[str, Parameter]
    gradients: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    # by parameter: the penalties whose gradients the step adds, and which it removes here
    deferred: dict[Tensor, list[NamedPenalty]] = field(default_factory=dict)
    _read: dict[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        if name in self.unread and name not in self._read:
            self._read[name] = self.unread[name].read()
        found = self.loss.get(name, self._read.get(name))
        if found is None:
            raise KeyError(f"Terms: no term {name!r}, expected one of {[*self]} (or .total)")
        return found

    def __repr__(self) -> str:
        lost = {n for n, u in self.unread.items() if n not in self._read and not u.readable}
        values = (f"{n}={'?' if n in lost else format(self[n], '.4g')}" for n in self)
        return f"Terms({', '.join(values)})"

    def _acting(self, via: str) -> dict[str, _Unread]:
        """The penalties that act via their "gradient", or "prox"."""
        return {name: term for name, term in self.unread.items() if term.via == via}

    def __iter__(self) -> Iterator[str]:
        return iter([*self.loss, *self.unread])

    def __len__(self) -> int:
        return len(self.loss) + len(self.unread)

    @property
    def total(self) -> Tensor:
        """The sum of all terms; one that acts via its prox adds value but no gradient.

        After ``total.backward()`` no step knows which prox must follow it; after :meth:`backward`
        an optimizer that does not apply it refuses to step.
        """
        first, *rest = self.values()
        return sum(rest, first)

    def backward(self, attribute: bool = True, defer: bool = False) -> None:
        """Accumulate the total gradient into every ``.grad``.

        With ``attribute`` each term's own share is kept in ``gradients[term][parameter]``:
        one pass for each part of the loss, and the closed form for each penalty; the shares are
        yours, no later step overwrites them. Hooks see the sum, and what they did to it is split
        among the shares if it is a scaling. Without it a single pass serves all terms, and L2, L1
        and ElasticNet are added in place: they make no array of a weight's size.

        With ``defer`` the gradients of these are left out of ``.grad``, and ``optimizer.step(self)``
        adds them within its own pass (on a GPU in its kernel); only then ``.grad`` is complete. What
        you do to ``.grad`` before concerns the loss's gradient alone, and the penalties' gradients are
        of the weights and strengths as the step finds them; ``step(self, max_norm=…)``
        scales the whole. A ``step()`` without the terms raises ``RuntimeError``. Of several passes
        that add up, the last one's terms serve.
        """
        if attribute and defer:
            raise ValueError("Terms.backward: shares are complete, so defer takes attribute=False")
        for name, value in (self.loss | self._read).items():
            if value.data.size != 1:
                raise RuntimeError(
                    f"Terms.backward: the term {name!r} has shape {value.shape}, expected a scalar; "
                    "take the loss with reduction='mean'"
                )
        if not any(value.requires_grad for value in self.loss.values()):
            if not any(self._differentiable(name) for name in self):
                raise RuntimeError(
                    "Terms.backward: no term depends on anything that requires a gradient; evaluate "
                    "the objective outside no_grad(), and unfreeze what is to be trained"
                )
            warnings.warn(
                "Terms.backward: the loss depends on nothing that requires a gradient, so the penalties "
                "alone train; does it leave mr's ops on its way?",
                stacklevel=2,
            )
        self._complete()  # what earlier passes have left
        add = self._add_shares if attribute else self._add_sum
        add(self._proxes())
        if not defer:
            self._complete()

    def _differentiable(self, name: str) -> bool:
        known = self.loss.get(name, self._read.get(name))
        return self.unread[name].differentiable if known is None else known.requires_grad

    def _complete(self) -> None:
        """Add the deferred gradients; on a GPU in one launch for all with the same penalties."""
        groups: dict[Any, tuple[list[Penalty], list[Any]]] = {}
        for p in self.parameters.values():
            if p.grad is not None and p.grad.deferred:
                penalties = [penalty for _, penalty in p.grad.deferred]
                _, pairs = groups.setdefault(tuple(map(id, penalties)), (penalties, []))
                pairs.append((p.data, p.grad.data))
                p.grad.deferred.clear()  # type: ignore[attr-defined]
        for penalties, pairs in groups.values():
            name = "_".join(type(penalty).__name__ for penalty in penalties)
            run_on_rows(name, ["w", "g"], partial(add_gradients, penalties), pairs)

    def _proxes(self) -> dict[Tensor, Proxes]:
        """Which prox must follow the step of a parameter, for this gradient and those before it."""
        proxes: dict[Tensor, Proxes] = {
            p: p.grad.proxes
            for p in self.parameters.values()
            if p.grad is not None and p.grad.proxes
        }
        for name, term in self._acting("prox").items():
            row = name, term.penalty
            for p in term.weights:
                if row not in proxes.get(p, ()):
                    proxes[p] = (*proxes.get(p, ()), row)
        return proxes

    def _add_sum(self, proxes: Mapping[Tensor, Proxes]) -> None:
        """One pass for all terms; the separable penalties are left out where no hook sees the sum."""
        closed = {
            name: term
            for name, term in self._closed().items()
            if term.penalty.separable and not any(p._hooks for p in term.trained)
        }
        if not any(self._differentiable(name) for name in self if name not in closed):
            closed = {}  # a pass needs something to go through
        self.deferred = {}
        for name, term in closed.items():
            for p in term.trained:
                self.deferred.setdefault(p, []).append((name, term.penalty))
        before = {p: p.grad for p in self.deferred}
        others = {*closed, *self._acting("prox")}
        first, *rest = (self[name] for name in self if name not in others)
        sum(rest, first).backward()
        for weight, g in before.items():
            if weight.grad is None or weight.grad is g:  # the loss does not reach it; g may be held
                old = [] if g is None else [g.data]
                weight.grad = Tensor(added([np.zeros_like(weight.data), *old]))
        for weight in {**proxes, **self.deferred}:
            if (grad := weight.grad) is not None:
                more = proxes.get(weight, ()), self.deferred.get(weight)
                weight.grad = PendingGradient(grad.data, *more)

    def _add_shares(self, proxes: Mapping[Tensor, Proxes]) -> None:
        """A pass for each part of the loss, the closed form of each penalty, and their sum.

        Hooks see what one pass for all would show them: each gradient once, and complete.
        """
        closed = self._closed()
        passes, hooked = self._passes(closed)
        parts = {name: term.penalty.parts() for name, term in closed.items()}
        names: dict[Tensor, str] = {p: n for n, p in self.parameters.items()}
        self.gradients = {term: {} for term in passes}
        for p in dict.fromkeys([*names, *(p for found in passes.values() for p in found)]):
            own = {term: found[p] for term, found in passes.items() if p in found}
            if not own:
                continue
            shares: dict[str, Array] = {}
            for term, g in own.items():
                if some := parts.get(term):
                    shares |= {f"{term}.{part}": q.gradient(p.data) for part, q in some.items()}
                else:
                    shares[term] = g
            if p in hooked:
                shares |= resettled({t: shares[t] for t in self.loss if t in shares}, hooked[p])
            if p._hooks:
                with no_grad():
                    shares = resettled(shares, run_hooks(p, added(shares.values()), False))
            if p not in names:  # a leaf elsewhere: of the loss, or the input
                accumulate(p, added(shares.values()), False)
                continue
            for term, g in own.items():
                if p in hooked or p._hooks:
                    split = [shares[f"{term}.{part}"] for part in parts.get(term, ())]
                    g = added(split) if split else shares[term]
                self.gradients[term][names[p]] = Tensor(g)
            if p.grad is not None:
                shares = _joined(p.grad, shares)
            p.grad = Attributed(added(shares.values()), names[p], shares, proxes.get(p, ()))

    def _passes(self, closed: Mapping[str, _Unread]) -> tuple[dict[str, Found], Found]:
        """(gradients by term; those of the loss as a whole where hooks had to wait for it)."""
        live = [name for name, value in self.loss.items() if value.requires_grad]
        passes: dict[str, Found] = {name: {} for name in self}
        hooked: Found = {}
        met: list[Tensor] = []
        by_prox = self._acting("prox")
        for name, found in passes.items():
            if name in closed and (penalty := closed[name].penalty).separable:
                found |= {p: penalty.gradient(p.data) for p in closed[name].trained}
            elif name not in by_prox and (value := self[name]).requires_grad:
                wait = len(live) > 1 and name in live and (bool(met) or name != live[-1])
                seed = np.ones_like(value.data)
                backprop([value], [seed], None, wait, leaves=found, met=met if wait else None)
        if met:
            values = [self.loss[name] for name in live]
            backprop(values, [np.ones_like(v.data) for v in values], leaves=hooked)
        return passes, hooked

    def _closed(self) -> dict[str, _Unread]:
        """The penalties whose closed form may serve, as no hook waits for their value's gradient."""
        return {
            name: term
            for name, term in self._acting("gradient").items()
            if self._differentiable(name)
            and (name not in self._read or self._read[name]._hooks is None)
        }

    def statistics(self, implied: Mapping[str, Implied] | None = None) -> list[dict[str, Any]]:
        """One row a term: value, gradient norm, share of the norms, cosine to "data".

        Norms are over all parameters together. A term that acts via its prox is no part of
        ``gradients``; its row shows the closed-form gradient, which is how hard the prox pulls
        at the weights it does not set to 0. ``implied`` are rows for penalties that nobody wrote
        down, like {"dropout": implicit.dropout_effect(…)}; on average they are a part of
        "data". Reads numbers off the device; needs ``backward(attribute=True)``, and comes before
        the optimizer's step. Raises ``ValueError`` for an implied row with the name of a term.
        """
        if not self.gradients:
            raise RuntimeError("Terms.statistics: call backward(attribute=True) first")
        data, forces = self.gradients["data"], dict(self.gradients)
        for name, term in self._acting("prox").items():
            gradient = term.penalty.gradient
            forces[name] = {n: Tensor(gradient(p.data)) for n, p in term.chosen.items()}
        values = {n: float(v.data) for n, v in self.items()}
        for name, effect in (implied or {}).items():
            if name in forces:
                raise ValueError(f"Terms.statistics: {name!r} is a term already; rename one")
            forces[name] = {n: Tensor(g) for n, g in effect.gradients.items()}
            values[name] = float(effect.value)
        norms = {n: math.sqrt(_inner(g, g)) for n, g in forces.items()}
        total = sum(norms.values()) or 1.0
        rows = []
        for name, gradients in forces.items():
            scale = norms[name] * norms["data"]
            rows.append({
                "term": name, "value": values[name], "norm": norms[name],
                "share": norms[name] / total,
                "cosine": _inner(gradients, data) / scale if scale else 0.0,
            })  # fmt: skip
        return rows


def _inner(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """⟨a, b⟩ over the parameters of both."""
    return sum(float((g.data * b[name].data).sum()) for name, g in a.items() if name in b)
