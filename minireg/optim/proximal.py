"""ProximalGradient: exact zeros and certificates, plain (ISTA) or accelerated (FISTA)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import Array, of
from ..penalties import Penalty
from ..tensor import Tensor
from .pipeline import DeferredTerms, Optimizer, Params


class ProximalGradient(Optimizer):
    """θ ← prox(θ − lr·g, lr) of a penalty, which reaches exact zeros: ISTA, or FISTA (claim C56).

    Accelerated it is FISTA (Beck & Teboulle 2009) with the gradient restart of O'Donoghue & Candès
    2015: x⁺ = prox(y − lr·g(y), lr), then y = x⁺ + (t − 1)/t⁺·(x⁺ − x) with t⁺ = ½(1 + √(1 + 4t²));
    where the momentum points uphill, Σ⟨y − x⁺, x⁺ − x⟩/lr > 0 over all parameters, t returns to 1.
    Between steps the parameters hold y, where the next gradient is due, so the usual loop serves;
    ``state[p]["x"]`` is the iterate. Zeros stay exact: y = 0 where x⁺ = x = 0.

    Parameters
    ----------
    params : Tensors, or dicts ``{"params": Tensors, option: value}``, one per group, see
        :class:`Optimizer`.
    lr : the step length, ≥ 0; it converges for lr ≤ 1/L, L the Lipschitz constant of the gradient.
    penalty : one with a prox, on all parameters; penalties that an :class:`~minireg.Objective` attaches
        with ``via="prox"`` are applied as well. None, the default: only those.
    accelerated : FISTA; needs a convex objective.

    Raises ``TypeError`` for anything but a Penalty, ``ValueError`` for an option out of range, and as
    :class:`Optimizer` does; a step raises ``NotImplementedError`` for a penalty without a prox.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 0.1], requires_grad=True)
    >>> opt = mr.optim.ProximalGradient([w], lr=0.5, penalty=mr.penalties.L1(1.0))
    >>> w.grad = mr.tensor([0.0, 0.0]); opt.step(); w.numpy()
    array([0.5, 0. ], dtype=float32)
    """

    text = "θ ← prox(θ − lr·g, lr)"
    state_arrays = {"x": "accelerated", "t": "accelerated"}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        penalty: Penalty | None = None,
        accelerated: bool = False,
    ) -> None:
        self.penalty = penalty
        super().__init__(params, {"lr": lr, "accelerated": accelerated})

    def add_param_group(self, group: dict[str, Any]) -> None:
        """As :meth:`Optimizer.add_param_group`; the penalty applies to the new group as well."""
        super().add_param_group(group)
        if self.penalty is not None:
            self.add_prox(self.param_groups[-1]["params"], self.penalty)

    def _state_names(self, group: dict[str, Any]) -> Sequence[str]:
        return ()  # none begins as zeros: the end of a step makes them

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        lr = group["lr"]

        def update(p: Array, g: Array, t: Array) -> None:
            np.multiply(g, lr, out=t)
            p -= t

        return update

    def step(self, terms: DeferredTerms | None = None, *, max_norm: float | None = None) -> None:
        """As :meth:`Optimizer.step`; accelerated groups are extrapolated afterwards."""
        self._ahead = [(p, p.data.copy(), g["lr"]) for p, _, g in self._due() if g["accelerated"]]
        super().step(terms, max_norm=max_norm)

    def _join(self, params: list[Tensor]) -> None:
        uphill: Any = 0.0
        for p, y, lr in self._ahead:
            x = self.state[p].setdefault("x", y)
            uphill = uphill + ((y - p.data) * (p.data - x)).sum() / (lr or 1.0)
        for p, _, _ in self._ahead:
            state, x = self.state[p], p.data.copy()
            t = np.where(uphill > 0, 1, state.get("t", of(x).xp.ones((), x.dtype)))
            t_next = (1 + np.sqrt(1 + 4 * t * t)) / 2
            further = (t - 1) / t_next * (x - state["x"])
            if self.observer:
                self.observer.also(p, ("extrapolation",), further)
            p.data += further
            state["x"], state["t"] = x, t_next
