"""Objective: a data loss plus named penalty terms, and which parameter each applies to.

``objective(model, x, y)`` gives :class:`Terms`: every term's value by name and, after ``backward``,
every term's share of every parameter's gradient. The shares of a parameter sum to its ``.grad``.
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
from numpy.typing import ArrayLike

from .backend import NUMPY, Array, of, unscalar
from .engine import accumulate, backprop, run_hooks
from .gpu.trace import run_on_rows
from .messages import check_kind, check_option
from .mode import RECORD, enable_grad, no_grad, state
from .nn.losses import Loss, as_column
from .nn.module import Module, Parameter
from .optim.pipeline import NamedPenalty, Optimizer
from .penalties import Penalty
from .penalties.base import Coefficient, add_gradients, nested
from .tables import Column, Table
from .tensor import Tensor

Proxes = tuple[NamedPenalty, ...]
Deferred = list[NamedPenalty]
Shares = dict[str, Array]  # by term
Found = dict[Tensor, Array]  # gradients


class PendingGradient(Tensor):
    """A parameter's gradient with work left for the step.

    ``_proxes`` are the terms whose prox must follow the step, ``_deferred`` those whose gradients the
    step must add. The list ``_deferred`` is the one in ``Terms.deferred``; whoever adds the gradients
    empties it.
    """

    __slots__ = ("_proxes", "_deferred")
    _deferred: Deferred

    def __init__(self, data: Array, proxes: Proxes = (), deferred: Deferred | None = None) -> None:
        super().__init__(data)
        self._proxes, self._deferred = proxes, [] if deferred is None else deferred

    def __reduce__(self) -> tuple[Any, ...]:
        return PendingGradient, (self.data, self._proxes, self._deferred)

    def _heir(self, more: Array) -> Tensor:
        return PendingGradient(self.data, self._proxes, self._deferred)


class Attributed(PendingGradient):
    """A parameter's gradient with the parameter's name and the share of each term."""

    __slots__ = ("name", "shares")

    def __init__(self, data: Array, name: str, shares: Shares, proxes: Proxes = ()) -> None:
        super().__init__(data, proxes)
        self.name, self.shares = name, shares

    def __reduce__(self) -> tuple[Any, ...]:
        return Attributed, (self.data, self.name, self.shares, self._proxes)

    def _heir(self, more: Array) -> Tensor:
        shares = self.shares | {"gradient": self.shares.get("gradient", 0) + more}
        return Attributed(self.data, self.name, shares, self._proxes)


def added(arrays: Iterable[Array]) -> Array:
    """The sum of arrays, from left to right, in a new array."""
    first, *rest = arrays
    total: Array = unscalar(np.add(first, rest[0] if rest else 0))
    for array in rest[1:]:
        total += array
    return total


def settled(shares: Mapping[str, Array], g: Array) -> tuple[Shares, Array]:
    """(shares, rest) of a gradient that was the sum of ``shares`` and is g now.

    If g is a multiple of the sum (clipping by norm), every share is multiplied by the same factor; if
    each element lies between 0 and its sum (clipping by value), by the factor of that element. Then
    the rest is 0. Otherwise the shares stay and the rest is g minus their sum. Nothing waits for a
    device.

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


def resettled(shares: Mapping[str, Array], g: Array) -> Shares:
    """:func:`settled`, with the rest as a share "edited"."""
    found, rest = settled(shares, g)
    if of(g) is not NUMPY or rest.any():
        found["edited"] = found.get("edited", 0) + rest
    return found


def _joined(grad: Tensor, shares: Shares) -> Shares:
    """The shares of the sum of an earlier gradient and of one with these shares."""
    earlier: Shares = getattr(grad, "shares", {"gradient": grad.data})
    if (grad.data != added(earlier.values())).any():
        earlier = resettled(earlier, grad.data)
    both = earlier.keys() & shares.keys()
    return earlier | shares | {t: earlier[t] + shares[t] for t in both}


class Implied(Protocol):
    """An implicit penalty, as dropout's: its value, and its gradients by parameter."""

    @property
    def value(self) -> Any: ...  # noqa: D102
    @property
    def gradients(self) -> Mapping[str, Any]: ...  # noqa: D102


AnyLoss = Loss | Callable[[Any, Any], Tensor]


def named_parts(loss: AnyLoss, output: ArrayLike, target: ArrayLike) -> dict[str, Tensor]:
    """The terms of a loss by name; a plain function has one, "data". ``TypeError`` for no Tensor."""
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
    """The hint to write ``L1(…)`` where the class ``L1`` was given."""
    return f"; write {value.__name__}(…)" if isinstance(value, type) else ""


def _hits(wanted: Any, parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """The parameters by name that a glob matches, or the given parameter."""
    if isinstance(wanted, str):
        return {n: p for n, p in parameters.items() if fnmatchcase(n, wanted)}
    if isinstance(wanted, Parameter):
        return {n: p for n, p in parameters.items() if p is wanted}
    raise TypeError(f"{_ON}, got {wanted!r:.60} among them")


@dataclass(frozen=True)
class Term:
    """A penalty, the parameters it applies to, and how it acts.

    Parameters
    ----------
    penalty : for example ``mr.penalties.L1(0.1)``.
    on : None for all weights (no biases, no norms); a glob over parameter names; a Parameter; several
        globs and Parameters; or a predicate ``(name, parameter) -> bool``.
    via : "gradient" adds the penalty's gradient to the loss's; "prox" applies its prox after each
        optimizer step, which makes zeros exact. None, the default, is "prox" for penalties whose
        gradient is 0 (L0, constraints) and "gradient" for all others.

    ``TypeError`` for anything but a Penalty or a selector, ``ValueError`` for another ``via`` and for
    "gradient" of a penalty whose gradient is 0. :class:`Objective` takes terms.

    >>> import minireg as mr
    >>> mr.Term(mr.penalties.L0(0.1)).via, mr.Term(mr.penalties.L1(0.1), on="0.*", via="prox").on
    ('prox', ('0.*',))
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
        if self.via == "prox" and self.penalty.joint:
            raise ValueError(
                f"Term: {self.penalty!r} takes all weights together, and a product of layers has no "
                "closed-form prox; take via='gradient'"
            )

    def select(self, label: str, parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
        """The trainable parameters it applies to, by name, of a model's ``parameters``.

        ``label`` names the term in messages. ``ValueError`` if the selector matches none. A joint
        penalty also gets frozen parameters, which are links of its chain.
        """
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
            return chosen
        return {n: p for n, p in chosen.items() if p.requires_grad}


@dataclass(frozen=True)
class Assignment:
    """A row of the assignment table: a parameter, the penalties on it, and why."""

    parameter: str
    shape: tuple[int, ...]
    kind: str
    penalties: str
    why: str
    decay: float = 0.0  # the optimizer's weight decay that reaches it


def assignment_table(rows: Sequence[Assignment], decay: bool = False) -> Table:
    """A table of ``rows``; ``decay`` adds a column with the optimizer's weight decay."""
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


Specification = Penalty | Term | tuple[Any, ...] | list[Any]  # the last two: (penalty, on, via)

# reserved: names of the terms of a loss and of the ledger's entries
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
    """A data loss plus named penalties: mean loss + Σ λ·Ω.

    Parameters
    ----------
    loss : one of :mod:`minireg.nn.losses`, or a function of output and target that returns a scalar
        Tensor.
    penalties : by name, a penalty, ``(penalty, on)``, ``(penalty, on, via)`` or a :class:`Term`.
        Without ``on`` a penalty applies to weights only: biases and the scales and shifts of
        normalisations stay free.

    ``objective(model, x, y)`` evaluates it, see :class:`Terms`. ``TypeError`` for a loss or penalties of
    another kind, ``ValueError`` for a name that is reserved ("data", "total", …) or taken by a part.

    >>> import minireg as mr
    >>> model = mr.nn.Linear(2, 1)
    >>> objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(0.1)})
    >>> terms = objective(model, mr.tensor([[1.0, 2.0]]), mr.tensor([[3.0]]))
    >>> terms.backward(); sorted(terms.gradients["l2"])
    ['weight']
    """

    def __init__(self, loss: AnyLoss, penalties: Mapping[str, Specification] | None = None) -> None:
        if isinstance(loss, Objective):
            raise TypeError("Objective: loss is an Objective itself; pass objective.loss")
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
        self._known: list[int] = []  # identities of the model's parameters, see _signature
        self._chosen: dict[str, dict[str, Parameter]] = {}
        self._attached: set[str] = set()

    def __repr__(self) -> str:
        rows = [f"  {name}: {t.penalty!r}" for name, t in self.terms.items()]
        return "\n".join([f"Objective: mean loss + penalties\n  data: {self.loss!r}", *rows])

    def bind(self, model: Module) -> Objective:
        """Choose the parameters of ``model`` that each term applies to; returns itself.

        Calling the objective does so for a new model, for terms that were added, and after parameters
        were replaced, frozen or unfrozen. ``TypeError`` for anything but a Module, ``ValueError`` if a
        selector matches none.
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
        """The parameters of the bound model that a term applies to; ``KeyError`` for no such term."""
        return list(self._chosen[term].values())

    def penalties(self, optimizer: Optimizer | None = None) -> list[Penalty]:
        """Those of the terms, those that ``optimizer`` has of its own, and those within them; each once."""
        own = [] if optimizer is None else optimizer.penalties()
        return nested([*(t.penalty for t in self.terms.values()), *own])

    def step(self, optimizer: Optimizer | None = None) -> None:
        """Count an update for every :class:`~minireg.penalties.Coefficient` of the penalties.

        With the ``optimizer`` also of those that it has of its own (``add_prox``, or
        ``ProximalGradient(penalty=…)``).
        """
        for coefficient in coefficients(self.penalties(optimizer)):
            coefficient.step()

    def attach(self, optimizer: Optimizer) -> Objective:
        """Let ``optimizer`` apply the ``via="prox"`` terms after each step; returns itself.

        They replace the terms that another objective had attached to the same parameters; what
        ``optimizer.add_prox`` has added stays. ``RuntimeError`` before :meth:`bind`, ``TypeError``
        for anything but an Optimizer, ``NotImplementedError`` for a penalty without a prox that fits its
        step.
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
        """The rows of :meth:`table`, with its errors."""
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
        """A text table with a row per parameter: name, shape, kind, penalties on it, and why.

        ``model`` defaults to the bound one (``RuntimeError`` without). With an ``optimizer`` a column
        shows its weight decay of each parameter, and a line names biases and norms among them.
        """
        return str(assignment_table(self.assignments(model, optimizer), optimizer is not None))

    def __call__(self, model: Module, x: object, y: ArrayLike) -> Terms:
        """Evaluate the loss of ``model(x)`` and y, and the penalties when they are read.

        x is what the model takes, y what the loss takes; targets (N,) of a regression also stand for
        the column (N, 1) that the model gives. ``RuntimeError`` for a ``via="prox"``
        term that is not attached to an optimizer, ``ValueError`` for a penalty with the name of a term
        of the loss; errors of :meth:`bind`.
        """
        if model is not self._model:
            self.bind(model)
        parameters = dict(model.named_parameters())
        if _signature(parameters) != self._known or self._chosen.keys() != self.terms.keys():
            self.bind(model)
        output = model(x)
        values = named_parts(self.loss, output, as_column(self.loss, output, y))
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
    """Identities of the parameters, negative for frozen ones: changes if one is replaced or frozen."""
    return [id(p) if p.requires_grad else -id(p) for p in parameters.values()]


@dataclass
class _Unread:
    """A penalty of an evaluation, whose value is computed when it is first read."""

    name: str
    penalty: Penalty
    chosen: dict[str, Parameter]
    like: Tensor
    via: str | None
    recorded: bool  # whether the evaluation was recorded

    def __post_init__(self) -> None:
        self.weights = [*self.chosen.values()]
        self.records = self.recorded and self.via == "gradient"
        self.differentiable = self.records and bool(self.trained)
        self._before = self._state()

    @property
    def trained(self) -> list[Parameter]:
        """The weights that are not frozen."""
        return [p for p in self.weights if p.requires_grad]

    def _state(self) -> tuple[list[Array], list[Any]]:
        """What changes if a weight or a strength does: (arrays, numbers)."""
        dates = [p._seq for p in self.weights]
        return [p.data for p in self.weights], dates + _numbers(self.penalty)

    @property
    def readable(self) -> bool:
        """Whether weights and strengths are still those of the evaluation."""
        (arrays, numbers), (old_arrays, old_numbers) = self._state(), self._before
        return numbers == old_numbers and all(map(operator.is_, arrays, old_arrays))

    def read(self) -> Tensor:
        """The value; recorded if the evaluation was and the penalty acts via its gradient."""
        if not self.readable:
            raise RuntimeError(
                f"Terms: the value of {self.name!r} was not read before the parameters (or its "
                "strength) changed; read it before optimizer.step(), or evaluate the objective again"
            )
        with enable_grad() if self.records else no_grad():
            total = self.penalty.over(self.weights)
        return Tensor(np.zeros_like(self.like.data)) if total is None else total


def coefficients(penalties: Iterable[Penalty]) -> list[Coefficient]:
    """Every strength that changes, of these penalties and of those within them, each once."""
    return list(dict.fromkeys(c for p in penalties for c in p.coefficients()))


def _numbers(value: Any) -> list[Any]:
    """The strengths of a penalty and of penalties within it; of a Coefficient its updates, too."""
    if isinstance(value, Coefficient):
        return [value, value.updates]
    if not isinstance(value, Penalty | list | tuple):
        return [value] if isinstance(value, int | float) else []
    inner = vars(value).values() if isinstance(value, Penalty) else value
    return [number for each in inner for number in _numbers(each)]


@dataclass
class Terms(Mapping[str, Tensor]):
    """The terms of an evaluated objective: a mapping from names to scalar Tensors.

    A penalty's value is computed when it is first read, and kept. First read after a weight or the
    strength has changed, it raises ``RuntimeError``; an unknown name is a ``KeyError``.

    Attributes
    ----------
    gradients : after :meth:`backward`, {term: {name of a parameter: share of its gradient}}.
    deferred : by parameter, the penalties whose gradients the step will add.

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
    deferred: dict[Tensor, Deferred] = field(default_factory=dict)
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
        """The penalties that act via "gradient", or via "prox"."""
        return {name: term for name, term in self.unread.items() if term.via == via}

    def __iter__(self) -> Iterator[str]:
        return iter([*self.loss, *self.unread])

    def __len__(self) -> int:
        return len(self.loss) + len(self.unread)

    @property
    def total(self) -> Tensor:
        """The sum of all terms, a scalar Tensor; terms that act via their prox add no gradient.

        After ``total.backward()`` no step knows which prox must follow; after :meth:`backward` an
        optimizer that does not apply it refuses to step.
        """
        first, *rest = self.values()
        return sum(rest, first)

    def backward(self, attribute: bool = True, defer: bool = False) -> None:
        """Add the gradient of all terms to every parameter's ``.grad``.

        Parameters
        ----------
        attribute : keep each term's share in ``gradients``: one backward pass for each part of the loss,
            the closed form for each penalty. Shares are new arrays. Hooks see the sum; a scaling by
            them scales the shares. False: a single pass for all terms, with L2, L1 and ElasticNet
            added in place.
        defer : leave the gradients of L2, L1 and ElasticNet to ``optimizer.step(terms)``, which adds them
            in its own pass (on a GPU in its kernel), for the weights and strengths as it finds
            them. Before that step ``.grad`` is the loss's gradient alone; clip by
            ``step(terms, max_norm=…)``. Needs attribute=False.

        Several passes before a step add up; the deferred penalties are those of the last one.
        ``ValueError`` for both options, ``RuntimeError`` for a term that is no scalar and where no term
        requires a gradient; warns if the loss does not.
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
        self._complete()  # gradients that an earlier pass has deferred
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
            if p.grad is not None and p.grad._deferred:
                penalties = [penalty for _, penalty in p.grad._deferred]
                _, pairs = groups.setdefault(tuple(map(id, penalties)), (penalties, []))
                pairs.append((p.data, p.grad.data))
                p.grad._deferred.clear()  # type: ignore[attr-defined]
        for penalties, pairs in groups.values():
            name = "_".join(type(penalty).__name__ for penalty in penalties)
            run_on_rows(name, ["w", "g"], partial(add_gradients, penalties), pairs)

    def _proxes(self) -> dict[Tensor, Proxes]:
        """By parameter, the terms whose prox must follow its step, after this and earlier passes."""
        proxes: dict[Tensor, Proxes] = {
            p: p.grad._proxes
            for p in self.parameters.values()
            if p.grad is not None and p.grad._proxes
        }
        for name, term in self._acting("prox").items():
            row = name, term.penalty
            for p in term.weights:
                if row not in proxes.get(p, ()):
                    proxes[p] = (*proxes.get(p, ()), row)
        return proxes

    def _add_sum(self, proxes: Mapping[Tensor, Proxes]) -> None:
        """One pass for all terms except separable penalties, which are deferred unless a hook sees them."""
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

        Hooks see each gradient once and complete, as in a single pass.
        """
        closed = self._closed()
        passes, hooked = self._passes(closed)
        parts = {name: term.penalty.parts() for name, term in closed.items()}
        names: dict[Tensor, str] = {p: n for n, p in self.parameters.items()}
        self.gradients = {term: {} for term in passes}
        for p in dict.fromkeys([*names, *(p for found in passes.values() for p in found)]):
            mine = {term: found[p] for term, found in passes.items() if p in found}
            if not mine:
                continue
            shares: Shares = {}
            for term, g in mine.items():
                if some := parts.get(term):
                    shares |= {f"{term}.{part}": q.gradient(p.data) for part, q in some.items()}
                else:
                    shares[term] = g
            if p in hooked:
                shares |= resettled({t: shares[t] for t in self.loss if t in shares}, hooked[p])
            if p._hooks:
                with no_grad():
                    shares = resettled(shares, run_hooks(p, added(shares.values()), False))
            if p not in names:  # a leaf that is no parameter: of the loss, or the input
                accumulate(p, added(shares.values()), False)
                continue
            for term, g in mine.items():
                if p in hooked or p._hooks:
                    split = [shares[f"{term}.{part}"] for part in parts.get(term, ())]
                    g = added(split) if split else shares[term]
                self.gradients[term][names[p]] = Tensor(g)
            if p.grad is not None:
                shares = _joined(p.grad, shares)
            p.grad = Attributed(added(shares.values()), names[p], shares, proxes.get(p, ()))

    def _passes(self, closed: Mapping[str, _Unread]) -> tuple[dict[str, Found], Found]:
        """(gradients of each term; those of the whole loss at leaves whose hooks wait for all parts)."""
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
        """The penalties whose gradient may be the closed form: their value has no hook."""
        return {
            name: term
            for name, term in self._acting("gradient").items()
            if self._differentiable(name)
            and (name not in self._read or self._read[name]._hooks is None)
        }

    def statistics(self, implied: Mapping[str, Implied] | None = None) -> list[dict[str, Any]]:
        """A row per term: "term", "value", "norm" of its gradient, "share" of all norms, "cosine" to "data".

        Norms and cosines are over all parameters together. The row of a term that acts via its prox shows
        its closed-form gradient: how far, per unit of step, the prox moves weights that stay ≠ 0.
        Call it after ``backward(attribute=True)`` and before the step; it waits for the device.

        Parameters
        ----------
        implied : rows for implicit penalties by name, like {"dropout": implicit.dropout_effect(…)}; on
            average these are a part of "data".

        ``RuntimeError`` without gradients, ``ValueError`` for an implied row with the name of a term.
        """
        if not self.gradients:
            raise RuntimeError("Terms.statistics: call backward(attribute=True) first")
        data, found = self.gradients["data"], dict(self.gradients)
        for name, term in self._acting("prox").items():
            found[name] = {n: Tensor(term.penalty.gradient(p.data)) for n, p in term.chosen.items()}
        values = {n: float(v.data) for n, v in self.items()}
        for name, effect in (implied or {}).items():
            if name in found:
                raise ValueError(f"Terms.statistics: {name!r} is a term already; rename one")
            found[name] = {n: Tensor(g) for n, g in effect.gradients.items()}
            values[name] = float(effect.value)
        norms = {n: math.sqrt(_inner(g, g)) for n, g in found.items()}
        total = sum(norms.values()) or 1.0
        rows = []
        for name, gradients in found.items():
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
