"""The one update pipeline, the same for every optimizer.

data gradient → + penalty gradients → clip → state (momentum, moments) → step
→ decoupled decay → prox or projection

The first three happen before ``step()``: :class:`~minireg.Objective` fills ``.grad`` with
the sum of the terms, ``clip_grad_norm_`` scales it. An optimizer defines ``_update``: the
state and the step for one block of elements, in place. ``formula`` is the same in plain
NumPy, the readable specification that the in-place passes are tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, blocks, move
from ..penalties import Penalty
from ..tensor import Tensor, next_seq


def check_range(owner: str, name: str, value: float, interval: str = "[0, inf)") -> None:
    """Raise ``ValueError`` unless the number lies in the interval, as in ``"(0, 1]"``."""
    low, high = map(float, interval[1:-1].split(","))
    inside = isinstance(value, int | float | np.number) and (
        low < value < high
        or (value == low and interval[0] == "[")
        or (value == high and interval[-1] == "]")
    )
    if not inside:
        expected = "a number ≥ 0" if interval == "[0, inf)" else f"in {interval}"
        raise ValueError(f"{owner}: {name} must be {expected}, got {value!r}")


_RANGES = {
    "lr": "[0, inf)", "momentum": "[0, inf)", "weight_decay": "[0, inf)", "eps": "[0, inf)",
    "temperature": "[0, inf)", "alpha": "[0, 1)",
}  # fmt: skip


class LinearStep(NamedTuple):
    """How a share g of the gradient moves θ: Δ = scale·(fresh·g + carried·m), m ← keep·m + gain·g.

    m is the share's part of the momentum; ``gain`` is None where there is none.
    """

    scale: Any
    fresh: Any = 1.0
    carried: float = 0.0
    keep: float = 0.0
    gain: Any = None


class Optimizer:
    """Base class: parameter groups, state, and the pipeline of :meth:`step`.

    ``params`` is an iterable of Tensors or of dicts ``{"params": …, option: value}``, one
    a group. Groups live in ``param_groups``; per-parameter state in ``state``.
    """

    observer: Any = None  # a Ledger, told of every parameter's step
    buffer = ""  # the state that is linear in past gradients, if there is one
    elementwise = False  # whether every element has a step length of its own
    scratch = 1  # arrays of one block that _update may overwrite

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        self._prox: dict[Tensor, list[Penalty]] = {}
        self.scheduled = False  # whether a schedule has taken the rates as its base
        given: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        if not given:
            raise ValueError(f"{type(self).__name__}: got no parameters to optimize")
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add ``{"params": …}`` with options that override the defaults."""
        owner = type(self).__name__
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        known = {p for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor) or not p.is_leaf:
                raise TypeError(f"{owner}: expected leaf Tensors as parameters, got {p!r:.80}")
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
        for name, interval in _RANGES.items():
            if name in group:
                check_range(owner, name, group[name], interval)
        for i, beta in enumerate(group.get("betas", ())):
            check_range(owner, f"betas[{i}]", beta, "[0, 1)")

    def add_prox(self, params: Iterable[Tensor], penalty: Penalty) -> None:
        """Apply the penalty's prox to these parameters at the end of each step.

        The prox is as long as the step: where a constant gradient of 1 would move θ by t, it
        is ``penalty.prox(θ, t)``, so t is lr/(1 − μ) with momentum μ and lr/(√v̂ + ε), element
        by element, under Adam and RMSprop. The end point then minimises loss + penalty, as it
        does with the penalty's gradient; with ``prox(θ, lr)`` it would be loss + (1 − μ)·penalty.
        Asking twice for the same penalty and parameter changes nothing. Raises
        ``NotImplementedError`` where a step for each element meets a penalty that is no sum over
        elements and has no prox in that metric.
        """
        if self.elementwise and not penalty.elementwise_step:
            raise NotImplementedError(
                f"{type(self).__name__}: {penalty!r} has no prox with a step for each element, which "
                "this optimizer's step has; take SGD or ProximalGradient, or via='gradient'"
            )
        for p in params:
            known = self._prox.setdefault(p, [])
            if not any(penalty is other for other in known):
                known.append(penalty)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters (they become None)."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """One update of every parameter that has a gradient; frozen ones are never touched."""
        due, watch = list(self._due()), self.observer
        for p, g, group in due:
            if watch:
                watch.before(p, group)
            self._step(p, -g if group.get("maximize") else g, group)
            for name, new in self._after_step(p, group):
                if watch:
                    watch.also(p, name, new - p.data)
                p.data[...] = new
        self._join([p for p, _, group in due])
        for p, _, group in due:
            p._seq = next_seq()  # a graph that has read the old values will notice
            if watch:
                watch.after(p, group)

    def _due(self) -> Iterator[tuple[Tensor, Array, dict[str, Any]]]:
        """(parameter, gradient, group) of what a step updates."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.requires_grad:
                    yield p, p.grad.data, group

    def _after_step(self, p: Tensor, group: dict[str, Any]) -> Iterator[tuple[str, Array]]:
        """What follows the step of a parameter: a name for it, and the new values."""
        for penalty in self._prox.get(p, ()):
            yield "prox", penalty.prox(p.data, self._prox_step(p, group))

    def _join(self, params: list[Tensor]) -> None:
        """What a step does last, with all parameters together."""

    def _step(self, p: Tensor, g: Array, group: dict[str, Any]) -> None:
        state = self.state.setdefault(p, {"step": 0})
        state["step"] += 1
        names = self._states(group)
        missing = [name for name in names if name not in state]
        state |= {name: np.zeros_like(p.data) for name in missing}
        update = self._update(state["step"], bool(missing), group)
        arrays = [p.data, g, *(state[name] for name in names)]
        for views in blocks(*arrays):
            update(*views, *(np.empty_like(views[0]) for _ in range(self.scratch)))

    def _prox_step(self, p: Tensor, group: dict[str, Any]) -> Any:
        """How far a constant gradient of 1 moves p in one step: so long is the prox."""
        return group["lr"]

    def momentum(self, p: Tensor) -> Array | None:
        """The momentum of a parameter, None while there is none."""
        return self.state.get(p, {}).get(self.buffer)

    def decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """(coupled, decoupled) decay: what joins the gradient, what shrinks θ directly."""
        return group.get("weight_decay", 0.0), 0.0

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

        ``first`` says that the states have just been made.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """State by parameter position, and the groups' options; copies, safe to keep."""
        params = [p for g in self.param_groups for p in g["params"]]
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

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, onto parameters in the same order."""
        params = [p for g in self.param_groups for p in g["params"]]
        if len(state["param_groups"]) != len(self.param_groups) or any(
            int(i) >= len(params) for i in state["state"]
        ):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: got {len(state['param_groups'])} groups, "
                f"expected {len(self.param_groups)} with {len(params)} parameters in all"
            )
        for group, saved in zip(self.param_groups, state["param_groups"], strict=True):
            group.update(saved)
        self.scheduled = True  # the saved initial_lr is the base
        self.state = {
            params[int(i)]: {
                k: v if k == "step" else move(v.copy(), params[int(i)].backend)
                for k, v in s.items()
            }
            for i, s in state["state"].items()
        }

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.param_groups[0].items()
                            if k in self.defaults and v is not False)  # fmt: skip
        n = sum(p.size for g in self.param_groups for p in g["params"])
        return f"{type(self).__name__}({options}) on {n:,} numbers: {self.text}"

    text = ""
