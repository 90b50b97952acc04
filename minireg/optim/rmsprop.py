"""RMSprop: steps measured by the running size of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..backend import Array
from ..tensor import Tensor
from .pipeline import LinearStep, Optimizer, Params, lasting


class RMSprop(Optimizer):
    """Steps divided by the running size of the gradient, as ``torch.optim.RMSprop`` (Hinton 2012).

    g ← g + wd·θ;  v ← αv + (1−α)g²;  d = g/(√v + ε);  b ← μb + d;  θ ← θ − lr·b.

    Parameters
    ----------
    params : Tensors, or dicts ``{"params": Tensors, option: value}``, one per group, see
        :class:`Optimizer`.
    lr : the step length, ≥ 0.
    alpha : α in [0, 1), how much of v is kept per step.
    eps : ε ≥ 0, added to the root; it bounds the step where gradients are tiny.
    weight_decay : wd ≥ 0, a gradient wd·θ, which is divided like any other.
    momentum : μ ≥ 0, the share of b that is kept per step. 0: b = d.
    centered : divide by the running standard deviation √(v − a²) + ε, a the running mean of g; a
        negative v − a² (rounding) counts as 0.
    maximize : climb, along −g.

    Raises ``ValueError`` for an option out of range, and as :class:`Optimizer` does.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = mr.optim.RMSprop([w], lr=0.5, alpha=0.75)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.0
    """

    text = "θ ← θ − lr·g/(√v + ε), v a running mean of g²"
    scratch = 2
    state_arrays = {"square_avg": "", "grad_avg": "centered", "momentum_buffer": "momentum"}
    buffer, elementwise = "momentum_buffer", True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
                   "momentum": momentum, "centered": centered, "maximize": maximize}  # fmt: skip
        super().__init__(params, options)

    def linear(self, p: Tensor, group: dict[str, Any], first: bool) -> LinearStep:
        """θ moves by −lr·b, b ← μb + g/(√v + ε), or by −lr·g/(√v + ε) without momentum."""
        lr, mu = group["lr"], group["momentum"]
        gain = 1 / self._denominator(self.state[p], group)
        return LinearStep(-lr, gain, mu, mu, gain) if mu else LinearStep(-lr * gain)

    @staticmethod
    def _denominator(state: Mapping[str, Any], group: dict[str, Any]) -> Any:
        v = state["square_avg"]
        if group["centered"]:
            v = np.maximum(v - np.square(state["grad_avg"]), 0)
        return np.sqrt(v) + group["eps"]

    def _prox_step(self, state: Mapping[str, Any], group: dict[str, Any]) -> Any:
        return lasting(group["lr"] / self._denominator(state, group), group["momentum"])

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        lr, alpha, eps = group["lr"], group["alpha"], group["eps"]
        decay, mu, centered = group["weight_decay"], group["momentum"], group["centered"]

        def update(p: Array, g: Array, v: Array, *rest: Array) -> None:
            *more, t, u = rest
            if decay:
                np.multiply(p, decay, out=u)
                g = np.add(g, u, out=u)
            v *= alpha
            np.multiply(g, 1 - alpha, out=t)  # as under Adam
            t *= g
            v += t
            if centered:
                a = more[0]
                np.subtract(g, a, out=t)
                t *= 1 - alpha
                a += t
                np.multiply(a, a, out=t)
                np.subtract(v, t, out=t)
                v = np.maximum(t, 0, out=t)
            np.sqrt(v, out=t)
            t += eps
            np.divide(g, t, out=t)
            if mu:
                b = more[-1]
                b *= mu
                b += t
                np.multiply(b, lr, out=t)
            else:
                t *= lr
            p -= t

        return update
