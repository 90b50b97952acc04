"""What a file keeps of a model and of a ledger, in words and arrays, and both made anew from it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from .. import nn
from ..backend import use_backend
from ..nn import Module, Sequential
from ..optim import SGD
from ..random import load_seeds, seeds_state
from ..tensor import Tensor, tensor
from .ledger import Ledger

Layers = str | list["Layers"]  # a layer as it prints itself, a Sequential as a list


def described(model: Module) -> Layers:
    """A Sequential as a list of its layers, each as it prints itself.

    >>> described(nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)))
    ['Linear(4, 3)', 'Dropout(p=0.5)']
    """
    if type(model) is Sequential:
        return [described(layer) for layer in model]
    return f"{type(model).__name__}({model.extra_repr()})"


def rebuilt(layers: Layers) -> Module:
    """The model of a description: layers of :mod:`minireg.nn`, read and not evaluated.

    ``ValueError`` for anything else. No stream of random numbers moves.

    >>> rebuilt(["Linear(4, 3)", "Dropout(p=0.5)"])
    Sequential()
      (0) Linear(4, 3)  y = x Wᵀ + b
      (1) Dropout(p=0.5)  y = x·m/(1 − p), m ~ Bernoulli(1 − p)
    """
    seeds = seeds_state()
    try:
        with use_backend("numpy"):
            return _built(layers)
    finally:
        load_seeds(seeds)


def _built(layers: Layers) -> Module:
    if isinstance(layers, list):
        return Sequential(*map(_built, layers))
    match ast.parse(layers, mode="eval").body:
        case ast.Call(ast.Name(name), args, keywords):
            layer = getattr(nn, name) if name in nn.__all__ else None
            if isinstance(layer, type) and issubclass(layer, Module):
                named = {k.arg or "": ast.literal_eval(k.value) for k in keywords}
                return layer(*map(ast.literal_eval, args), **named)
    raise ValueError(f"{layers!r:.80} is no layer of minireg.nn")


def model_state(owner: str, model: Module) -> dict[str, Any]:
    """A model as a tree; ``TypeError`` for one that its description does not make again."""
    layers = described(model)
    try:
        same = repr(rebuilt(layers)) == repr(model)
    except (ValueError, TypeError, SyntaxError):
        same = False
    if not same:
        raise TypeError(
            f"{owner}: the model must be a Sequential of minireg's layers, got {layers!r:.80}; keep its "
            "weights with mr.save, and the rest as Run(…, model=None)"
        )
    return {"layers": layers, "state": model.state_dict()}


def model_of(tree: Mapping[str, Any]) -> Module:
    """The model of :func:`model_state`; errors as of ``load_state_dict``."""
    model, state = rebuilt(tree["layers"]), tree["state"]
    for dtype in {a.dtype for a in state.values() if a.dtype.kind == "f"}:  # a model has one
        model.to(dtype)
    model.load_state_dict(state)
    return model


def ledger_state(ledger: Ledger) -> dict[str, Any]:
    """The books of a ledger as a tree: what a report shows, not what further steps need."""
    state = ledger.state_dict()
    rows = state["recorded"] | state["since"]
    return state | {
        "accumulate": ledger.accumulate, "names": dict(enumerate(rows)), "momenta": {},
    }  # fmt: skip


def ledger_of(tree: Mapping[str, Any]) -> Ledger:
    """The ledger of :func:`ledger_state`, of an optimizer that only holds arrays of these shapes."""
    state = {**tree}
    accumulate, rows = state.pop("accumulate"), tree["recorded"] | tree["since"]
    ends = [Tensor(rows[name][1], requires_grad=True) for name in tree["names"].values()]
    ledger = Ledger(SGD(ends or [tensor(0.0)], lr=0.0), accumulate=accumulate)
    ledger.load_state_dict(state)
    return ledger
