"""SGD, with momentum and weight decay as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..backend import Array
from ..tensor import Tensor
from .pipeline import LinearStep, Optimizer, Params, lasting


class SGD(Optimizer):
    """Gradient descent with (Nesterov) momentum and weight decay, as ``torch.optim.SGD``.

    d = g + wd·θ;  b ← μb + (1 − dampening)d, at first b = d;  θ ← θ − lr·(d + μb if nesterov else b).

    Parameters
    ----------
    params : Tensors, or dicts ``{"params": Tensors, option: value}``, one per group, see
        :class:`Optimizer`.
    lr : the step length, ≥ 0.
    momentum : μ ≥ 0, the share of the last step's b that is kept. 0: b = d.
    dampening : takes this share of d away from b; 1 − μ makes b a running mean.
    weight_decay : wd ≥ 0. Its gradient wd·θ passes through the momentum (claims C29, C33).
    nesterov : look ahead by one step of momentum; needs μ > 0 and dampening = 0.
    maximize : climb, along −g.
    decoupled : d = g, and θ shrinks by the factor 1 − lr·wd before the step (claim C35; SGDW,
        Loshchilov & Hutter 2019).

    Raises ``ValueError`` for an option out of range or Nesterov without momentum, and as
    :class:`Optimizer` does.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = mr.optim.SGD([w], lr=0.5)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.5
    """

    @property
    def text(self) -> str:
        """The update in one line."""
        if self.defaults["decoupled"]:
            return "b ← μb + g;  θ ← (1 − lr·wd)θ − lr·b"
        return "b ← μb + g + wd·θ;  θ ← θ − lr·b"

    state_arrays = {"momentum_buffer": "momentum"}
    buffer = "momentum_buffer"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        decoupled: bool = False,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "dampening": dampening,
                   "weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize,
                   "decoupled": decoupled}  # fmt: skip
        super().__init__(params, options)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum > 0 and dampening = 0, got "
                f"momentum={group['momentum']!r}, dampening={group['dampening']!r}"
            )

    def decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """wd·θ joins the gradient, or θ shrinks by lr·wd."""
        decay = group["weight_decay"]
        return (0.0, group["lr"] * decay) if group["decoupled"] else (decay, 0.0)

    def linear(self, p: Tensor, group: dict[str, Any], first: bool) -> LinearStep:
        """b ← μb + gain·g; θ moves by −lr·b, with Nesterov by −lr·(g + μb)."""
        lr, mu = group["lr"], group["momentum"]
        if not mu:
            return LinearStep(-lr)
        gain = 1.0 if first else 1 - group["dampening"]
        if group["nesterov"]:
            return LinearStep(-lr, 1 + mu * gain, mu * mu, mu, gain)
        return LinearStep(-lr, gain, mu, mu, gain)

    def _prox_step(self, state: Mapping[str, Any], group: dict[str, Any]) -> Any:
        mu, fresh = group["momentum"], 1 - group["dampening"]
        return lasting(group["lr"] * fresh if mu else group["lr"], mu)

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        lr, mu, (coupled, shrink) = group["lr"], group["momentum"], self.decays(group)
        fresh = 1.0 if first else 1 - group["dampening"]
        nesterov = group["nesterov"]

        def update(p: Array, g: Array, *rest: Array) -> None:
            *state, t = rest
            if coupled:
                np.multiply(p, coupled, out=t)
                g = np.add(g, t, out=t)
            if shrink:
                p *= 1 - shrink
            if mu:
                b = state[0]
                b *= mu
                b += g if fresh == 1.0 else g * fresh
                if nesterov:  # lr·(g + μb), with g possibly living in the scratch
                    p -= lr * g
                    np.multiply(b, lr * mu, out=t)
                else:
                    np.multiply(b, lr, out=t)
            else:
                np.multiply(g, lr, out=t)
            p -= t

        return update
