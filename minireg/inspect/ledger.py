r"""Ledger: what each term did to the weights in a step; the entries sum to the actual change.

Once the optimizer's denominators are known, its step is linear in the gradient: momentum and
Adam's first moment are sums of past gradients, so they split by term exactly. A step is

.. math:: \Delta\theta = scale\cdot\sum_{terms}(fresh\cdot g + carried\cdot m) - decay\cdot\theta,
    \text{ then the prox};\qquad m \leftarrow keep\cdot m + gain\cdot g

with m a term's own share of the momentum buffer (:meth:`minireg.optim.Optimizer.linear` gives
the factors). The ledger keeps these m and copies of θ; everything else is computed when it is read.
"""

from __future__ import annotations

import copy
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count, product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..backend import NUMPY, Array, is_array, move, of, unscalar
from ..messages import check_kind, check_mapping, check_option, describe, needed
from ..nn.module import Module
from ..objective import Attributed, added, settled
from ..ops.arrays import largest
from ..optim.pipeline import LinearStep, Optimizer
from ..tables import Column, Table
from ..tensor import Tensor

Key = tuple[str, ...]
STAGES = "fresh", "clip", "decay", "noise", "prox", "extrapolation"  # carried moves with fresh
NOTHING = LinearStep(0.0)


def _dot(a: Array, b: Array) -> float:
    return float((a * b).sum())


@dataclass(eq=False)
class Row(Mapping[Key, Array]):
    """The change of one parameter: a mapping from entries to arrays of its shape.

    Entries of one step:

    - ``(term, "fresh")``: what this step's gradient of the term did;
    - ``(term, "carried")``: what its earlier gradients did through the momentum;
    - ``(term, "clip")``: what clipping took from it: c − 1 times the fresh entry for a factor c;
    - ``("decay",)``: decoupled weight decay;
    - ``(term, "prox")``: the prox or projection of a term, ``("prox",)`` of the optimizer's penalty.

    Terms besides the objective's: "weight_decay" is a coupled ``weight_decay=`` (it joins the gradient
    after clipping), "edited" is any change of ``p.grad`` after backward that is no scaling, and
    ("earlier", "carried") is momentum from before the ledger was opened. A clipped part does not enter
    the momentum. Entries of several steps: ``(term,)``, fresh and carried together, the others as
    they are, and ``("outside",)``, changes between two steps, such as the best weights put back by early
    stopping.

    Attributes
    ----------
    before, after : the parameter before and after.
    linear : the step as a linear function, see :meth:`minireg.optim.Optimizer.linear`.

    ``KeyError`` for no entry.
    """

    before: Array
    after: Array
    fresh: dict[str, Array] = field(default_factory=dict)  # by term: its gradient
    carried: dict[str, Array] = field(default_factory=dict)  # its momentum before the step
    kept: dict[str, Array] = field(default_factory=dict)  # its gradient after clipping
    linear: LinearStep = NOTHING
    decay: float = 0.0
    others: dict[Key, Array] = field(default_factory=dict)  # all other changes, as they are

    def __iter__(self) -> Iterator[Key]:
        unseen = of(self.before) is not NUMPY  # on a device a step books these unread
        for key in self.booked():
            may_be_zero = key[0] in ("edited", "outside") or key[-1] == "clip"
            if not (unseen and may_be_zero) or self[key].any():
                yield key

    def booked(self) -> Iterator[Key]:
        """The entries without reading their values; on a device some may be 0 everywhere."""
        acted = {"fresh": self.fresh, "carried": self.carried}
        for term in self.fresh | self.carried:
            yield from ((term, how) for how, terms in acted.items() if term in terms)
        yield from ((term, "clip") for term in self.kept)
        if self.decay:
            yield ("decay",)
        yield from self.others

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "linear": self.linear._replace(scale=self._scale)}

    def __repr__(self) -> str:
        entries = ", ".join(" ".join(key) for key in self)
        return f"Row({entries}; residual {float(self.residual):.1e})"

    def __getitem__(self, key: Key) -> Array:
        match key:
            case _ if key in self.others:
                return self.others[key]
            case ("decay",) if self.decay:
                return -self.decay * self.before
            case (term, "fresh") if term in self.fresh:
                change = self.linear.fresh * self.fresh[term]
            case (term, "carried") if term in self.carried:
                change = self.linear.carried * self.carried[term]
            case (term, "clip") if term in self.kept:
                change = self.linear.fresh * (self.kept[term] - self.fresh[term])
            case _:
                raise KeyError(f"Row: no entry {key!r}, expected one of {list(self)}")
        change *= self._scale
        return change

    def book(self, key: Key, change: Array) -> None:
        """Add a change to an entry; the row keeps the array."""
        if key in self.others:
            self.others[key] += change
        else:
            self.others[key] = change

    @cached_property
    def _scale(self) -> Any:
        scale = self.linear.scale
        return scale() if callable(scale) else scale

    @property
    def total(self) -> Array:
        """The sum of all entries."""
        return added([np.zeros_like(self.before), *(self[key] for key in self.booked())])

    @property
    def actual(self) -> Array:
        """θ after minus θ before."""
        return self.after - self.before

    @property
    def residual(self) -> float:
        """max |total − actual| relative to the largest number in the row: rounding."""
        entries = [self.before, *self.values()]
        off, *sizes = (float(largest(np.abs(a))) for a in (sum(entries) - self.after, *entries))
        return off / max(sizes) if any(sizes) else off

    def of(self, term: str) -> Array:
        """The sum of a term's entries, an array of the parameter's shape; 0 for an unknown term."""
        found = [self[key] for key in self.booked() if key[0] == term]
        return added(found or [np.zeros_like(self.before)])

    def effective_decay(self, term: str) -> Array:
        """−Δ/θ: the fraction by which the term shrank each weight (0 where the weight was 0).

        For L2 under SGD it is lr·λ everywhere; Adam divides it by the size of each weight's
        gradients (claims C36, C37).
        """
        alive = self.before != 0
        return np.where(alive, -self.of(term) / np.where(alive, self.before, 1), 0)

    def radial(self, key: Key) -> tuple[float, float]:
        """The lengths (along θ, signed; perpendicular to θ) of an entry. ``KeyError`` for no entry.

        For a weight before a normalisation only the second changes the function.
        """
        delta, size = self[key], _dot(self.before, self.before) ** 0.5
        along = _dot(delta, self.before) / size if size else 0.0
        return along, max(_dot(delta, delta) - along**2, 0.0) ** 0.5


class Books(dict[str, Row]):
    """The rows of a step by parameter name, with their sums by layer and as a table.

    ``KeyError`` for a name without a row. As text it is its :meth:`table`.
    """

    def __missing__(self, name: str) -> Row:
        booked = ", ".join(map(repr, self)) or "nothing yet"
        raise KeyError(f"Books: no row of a parameter {name!r}; booked: {booked}")

    def layers(self) -> dict[str, Books]:
        """The rows by layer, the name of the module that holds the parameter."""
        found: dict[str, Books] = {}
        for name, row in self.items():
            first, mark, number = name.partition(" (")  # of a name that two models have
            layer = (first.rpartition(".")[0] or "model") + mark + number
            found.setdefault(layer, Books())[name] = row
        return found

    def entries(self) -> list[Key]:
        """The entries of all rows, in the order of the pipeline."""
        keys = dict.fromkeys(key for row in self.values() for key in row)
        return sorted(keys, key=lambda k: STAGES.index(k[-1]) if k[-1] in STAGES else 0)

    @property
    def residual(self) -> float:
        """The largest relative residual of the rows."""
        return max((row.residual for row in self.values()), default=0.0)

    def summary(self) -> list[dict[str, Any]]:
        """A dict per entry: "entry", "length", "share", "growth", over all parameters together.

        Length is ‖Δ‖; share is ⟨Δ, actual⟩/‖actual‖², which sums to 1 over the entries (negative: it
        worked against the step); growth is ⟨Δ, θ⟩/‖θ‖², the relative growth of the weights.
        """
        moved = sum(_dot(r.actual, r.actual) for r in self.values()) or 1.0
        weight = sum(_dot(r.before, r.before) for r in self.values()) or 1.0
        found = []
        for key in self.entries():
            pairs = [(row[key], row) for row in self.values() if key in row]
            found.append({
                "entry": " ".join(key),
                "length": sum(_dot(d, d) for d, _ in pairs) ** 0.5,
                "share": sum(_dot(d, r.actual) for d, r in pairs) / moved,
                "growth": sum(_dot(d, r.before) for d, r in pairs) / weight,
            })  # fmt: skip
        return found

    def alignment(self) -> tuple[list[str], Array]:
        """(k entries, the matrix (k, k) of cosines between them over all parameters together)."""
        keys = self.entries()
        gram = np.zeros((len(keys), len(keys)))
        for row in self.values():
            held = [(i, row[key]) for i, key in enumerate(keys) if key in row]
            for (i, a), (j, b) in product(held, held):
                gram[i, j] += _dot(a, b)
        size = np.sqrt(np.diag(gram))
        return [" ".join(k) for k in keys], gram / np.maximum(np.outer(size, size), 1e-300)

    def table(self, by: Literal["model", "layer", "parameter"] = "model") -> str:
        """The summary as text, by "model", "layer" or "parameter"; ``ValueError`` for another word."""
        views: dict[str, dict[str, Books]] = {
            "model": {"model": self},
            "layer": self.layers(),
            "parameter": {name: Books({name: row}) for name, row in self.items()},
        }
        if by not in views:
            raise ValueError(f"Books.table: by must be one of {list(views)}, got {by!r}")
        tables = {name: ledger_table(books) for name, books in views[by].items()}
        rows = [(name, *row) for name, table in tables.items() for row in table.rows]
        head = ledger_table(self)
        return str(Table([by, *head.columns], rows, note=head.note))

    def __repr__(self) -> str:
        return self.table() if self else "Books(nothing booked yet)"


def ledger_table(books: Books) -> Table:
    """The summary of the books as a table, with their residual as its note."""
    figures = [Column("‖Δ‖", ""), Column("share", "+.1%"), Column("growth", "+%")]
    rows = [(e["entry"], e["length"], e["share"], e["growth"]) for e in books.summary()]
    missed = "what the entries do not explain, relative to the largest weight or change: rounding"
    return Table(["entry", *figures], rows, note=f"residual {books.residual:.1e}: {missed}")


class Ledger:
    """Book every step of an optimizer, term by term, in entries that sum to the actual change.

    It splits the terms of an :class:`~minireg.Objective` after ``terms.backward()``; a plain
    ``loss.backward()`` is booked as one term "gradient". Without a ledger a step costs nothing more.

    Parameters
    ----------
    optimizer : the one to watch, until :meth:`close` or until another ledger watches it.
    model : names the parameters where no objective does.
    accumulate : also keep ``whole``, the books of all steps since the ledger was opened,
        and ``since``, those since the last :meth:`record`, not only of the last step.

    Attributes
    ----------
    last : :class:`Books` of the last step.
    history : a dict per :meth:`record`.

    ``TypeError`` for anything but an Optimizer.

    >>> import minireg as mr
    >>> model = mr.nn.Linear(2, 1); optimizer = mr.optim.SGD(model.parameters(), lr=0.1)
    >>> objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(0.5)})
    >>> ledger = mr.Ledger(optimizer)
    >>> objective(model, mr.tensor([[1.0, 2.0]]), mr.tensor([[3.0]])).backward(); optimizer.step()
    >>> row = ledger.last["weight"]
    >>> list(row), row.residual < 1e-6
    ([('data', 'fresh'), ('l2', 'fresh')], True)
    """

    def __init__(
        self, optimizer: Optimizer, model: Module | None = None, accumulate: bool = False
    ) -> None:
        hint = "a model comes second, as Ledger(optimizer, model)"
        check_kind("Ledger", Optimizer, hint, optimizer=optimizer)
        self.optimizer, self.accumulate, self.steps = optimizer, accumulate, 0
        self.last, self.since, self._recorded = Books(), Books(), Books()
        self.history: list[dict[str, float]] = []
        named = model.named_parameters() if model is not None else ()
        self._names: dict[Tensor, str] = {p: name for name, p in named}
        self._owners = {name: p for p, name in self._names.items()}
        self._momenta: dict[Tensor, tuple[dict[str, Array], Any]] = {}  # by term, and their unit
        self._open: dict[Tensor, tuple[str, Row, bool]] = {}
        # by group: (η_tλ of its last step, Π(1 − η_tλ))
        self._decays: dict[int, tuple[float, float]] = {}
        optimizer.observer = self

    def close(self) -> None:
        """Stop watching the optimizer; the books stay."""
        self.optimizer.observer = None

    def restart(self) -> None:
        """Called when the optimizer's state was replaced: its momentum counts as "earlier"."""
        self._momenta.clear()

    # --- called by the optimizer --------------------------------------------------------------

    def before(self, p: Tensor, group: dict[str, Any]) -> None:
        """Called before the step of a parameter."""
        g, (coupled, _) = p.grad.data, self.optimizer.decays(group)  # type: ignore[union-attr]
        kept: dict[str, Array] = {}
        if isinstance(p.grad, Attributed):
            fresh = dict(p.grad.shares)
            self._names[p] = self._distinct(p.grad.name, p)
            if of(g) is not NUMPY or (g != added(fresh.values())).any():  # never wait for a device
                kept, rest = settled(fresh, g)
                if of(g) is not NUMPY or rest.any():
                    fresh["edited"] = fresh.get("edited", 0) + rest
                    kept = {} if of(g) is NUMPY else kept
        else:
            self._names.setdefault(p, f"parameter {len(self._names)}")
            fresh = {"gradient": g.copy()}
        if group.get("maximize"):
            fresh, kept = ({term: -g for term, g in some.items()} for some in (fresh, kept))
        if coupled:
            fresh["weight_decay"] = coupled * p.data
        momentum = self.optimizer.momentum(p)
        if p not in self._momenta:
            self._momenta[p] = ({} if momentum is None else {"earlier": momentum.copy()}), 1.0
        row = Row(p.data.copy(), p.data, fresh, self._momenta[p][0], kept)
        self._open[p] = self._names[p], row, momentum is None

    def _distinct(self, name: str, p: Tensor) -> str:
        """The name, or "name (2)" and so on if another parameter has it, as in two models."""
        names = chain([name], (f"{name} ({k})" for k in count(2)))
        return next(n for n in names if self._owners.setdefault(n, p) is p)

    def also(self, p: Tensor, entry: Key, change: Array) -> None:
        """Called for a change of the parameter by something other than the step itself."""
        self._open[p][1].book(entry, change)

    def after(self, due: Sequence[tuple[Tensor, Array, dict[str, Any]]]) -> None:
        """Called after the step, with all (parameter, gradient, group)."""
        if due:
            self.last, self.steps = Books(), self.steps + 1
            self.since = self.since if self.accumulate else self.last
        for p, _, group in due:
            self._book(p, group)
        moved = {id(group) for _, _, group in due}
        for k, group in enumerate(self.optimizer.param_groups):
            coupled, decay = self.optimizer.decays(group)
            if not self.optimizer.elementwise:
                decay = decay or coupled * group["lr"]
            if decay and id(group) in moved:
                _, shrink = self._decays.get(k, (0.0, 1.0))
                self._decays[k] = decay, shrink * (1 - decay)

    def _book(self, p: Tensor, group: dict[str, Any]) -> None:
        name, row, first = self._open.pop(p)
        linear, unit = self.optimizer.linear(p, group, first), self._momenta[p][1]
        row.linear = linear._replace(carried=linear.carried * unit)
        row.after, row.decay = p.data.copy(), self.optimizer.decays(group)[1]
        if linear.gain is None:
            row.carried = {}
        else:
            self._keep_momenta(p, row, linear.keep * unit, linear.gain)
        self.last[name] = row
        if self.accumulate:
            _add(self.since, name, row)

    def _keep_momenta(self, p: Tensor, row: Row, keep: Any, gain: Any) -> None:
        """m ← keep·m + gain·g of every term, stored divided by the gain, which saves a pass."""
        unit = 1.0 if isinstance(gain, int | float) and not gain else gain
        momenta = {term: unscalar(m * (keep / unit)) for term, m in row.carried.items()}
        for term, g in (row.fresh | row.kept).items() if unit is gain else ():
            momenta[term] = np.add(momenta[term], g, out=momenta[term]) if term in momenta else g
        self._momenta[p] = momenta, unit

    # --- over several steps --------------------------------------------------------------------

    def record(self, **columns: float) -> dict[str, float]:
        """Append a row to ``history``: what happened since the last record; returns it.

        Without ``accumulate`` it is the last step alone.

        Columns: those given, ``step``, ``residual``, ``zeros``, and for the model and each layer
        ``length/ENTRY``, ``share/ENTRY``, ``growth/ENTRY``, led by the layer's name. Where weight
        decay is, ``decay`` is η_tλ of the last step, the fraction by which it shrinks θ, and
        ``shrink`` is Π(1 − η_tλ) since the ledger was opened: the factor of decay alone (claims C25,
        C105). If several groups decay, ``decay/K`` and ``shrink/K`` are those of group K.
        Coupled decay has them where the step is as long for every element, as under SGD (its
        momentum prolongs them); under Adam no such number exists.
        """
        books = self.since if self.accumulate else self.since or self.last
        found: dict[str, float] = {**columns, "step": self.steps, "residual": books.residual}
        found["zeros"] = sum(int((row.after == 0).sum()) for row in books.values())
        for k, (decay, shrink) in self._decays.items():
            which = f"/{k}" if len(self._decays) > 1 else ""
            found |= {f"decay{which}": decay, f"shrink{which}": shrink}
        layers = {f"{name}/": layer for name, layer in books.layers().items()}
        for name, part in {"": books, **layers}.items():
            for line in part.summary():
                entry = line.pop("entry")
                found |= {f"{name}{column}/{entry}": value for column, value in line.items()}
        self.history.append(found)
        self._recorded, self.since = self.whole, Books()
        return found

    @property
    def whole(self) -> Books:
        """The books of all steps so far; empty unless ``accumulate``."""
        books = Books()
        for name, row in (*self._recorded.items(), *self.since.items()) if self.accumulate else ():
            _add(books, name, row)
        return books

    def state_dict(self) -> dict[str, Any]:
        """History, totals and each term's momentum, as copies, by position of the parameter.

        The books of the last step are in it only while a record of them is due.
        """
        place = {p: i for i, p in enumerate(self.optimizer._parameters())}
        totals = {
            part: {n: (r.before, r.after, {k: r[k] for k in r.booked()}) for n, r in books.items()}
            for part, books in (("since", self.since), ("recorded", self._recorded))
        }
        return copy.deepcopy({
            "steps": self.steps, "history": self.history, "decays": self._decays,
            "names": {place[p]: name for p, name in self._names.items() if p in place},
            "momenta": {place[p]: kept for p, kept in self._momenta.items()}, **totals,
        })  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave, after the optimizer has loaded its state; all or nothing.

        Raises ``TypeError`` or ``ValueError``, before anything changes, for a state of other parameters.
        """
        owner, params = "Ledger.load_state_dict", self.optimizer._parameters()
        check_mapping(owner, "state", state, "ledger.state_dict()")
        if state.keys() != (mine := self.state_dict()).keys():
            raise ValueError(f"{owner}: expected {[*mine]}, got {[*state]}")

        def held(p: Tensor, a: Any) -> Any:
            """A number, or an array of the parameter's shape, on its backend."""
            if isinstance(a, int | float):
                return a
            if not is_array(a) or a.dtype.kind != "f" or a.shape != p.shape:
                raise ValueError(f"{describe(a)} for a parameter of shape {p.shape}")
            return move(copy.deepcopy(a), p.backend)

        try:
            check_option("Ledger", 0, steps=state["steps"])
            names = {params[i]: str(name) for i, name in state["names"].items()}
            owners = {name: p for p, name in names.items()}
            momenta = {
                (p := params[i]): ({t: held(p, m) for t, m in terms.items()}, held(p, unit))
                for i, (terms, unit) in state["momenta"].items()
            }
            totals = [Books(), Books()]
            for books, rows in zip(totals, (state["since"], state["recorded"]), strict=True):
                for name, (before, after, others) in rows.items():
                    p = owners[name]
                    books[name] = Row(held(p, before), held(p, after))
                    books[name].others = {(*key,): held(p, a) for key, a in others.items()}
            history = [{c: v + 0 for c, v in row.items()} for row in state["history"]]
            decays = {
                int(k): (last + 0.0, all_ + 0.0) for k, (last, all_) in state["decays"].items()
            }
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{owner}: no state for these parameters: {error}") from error
        self.steps, self.history, self._decays = state["steps"], history, decays
        self._names |= names
        self._owners |= owners
        self.last, (self.since, self._recorded), self._momenta = Books(), totals, momenta

    def columns(self) -> dict[str, list[float]]:
        """The history by column; NaN where a record has no such figure."""
        names = dict.fromkeys(column for row in self.history for column in row)
        return {n: [row.get(n, float("nan")) for row in self.history] for n in names}

    def to_csv(self, path: str | Path) -> None:
        """Write the history as CSV; ``OSError`` where the file cannot be written."""
        columns = self.columns()
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])

    def to_parquet(self, path: str | Path) -> None:
        """Write the history as Parquet; ``ImportError`` without pyarrow."""
        what = "Ledger.to_parquet needs pyarrow"
        pyarrow, parquet = (needed(what, m, "pyarrow") for m in ("pyarrow", "pyarrow.parquet"))
        parquet.write_table(pyarrow.table(self.columns()), str(path))

    def __repr__(self) -> str:
        return f"Ledger after {self.steps} steps, the last one:\n{self.last!r}"


def _add(books: Books, name: str, row: Row) -> None:
    """Add a row to the books of several steps, with fresh and carried as one entry."""
    total = books.setdefault(name, Row(row.before, row.before))
    if of(row.before) is not NUMPY or (row.before != total.after).any():
        total.book(("outside",), row.before - total.after)
    total.after = row.after
    for key in row.booked():
        change = row.others[key].copy() if key in row.others else row[key]
        total.book(key[:1] if key[-1] in ("fresh", "carried") else key, change)
