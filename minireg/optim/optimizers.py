"""SGD, Adam, AdamW and ProximalGradient: names, defaults and updates as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..backend import Array
from ..penalties import Penalty
from ..tensor import Tensor
from .optimizer import Optimizer, check_range


class SGD(Optimizer):
    """Gradient descent with (Nesterov) momentum and coupled weight decay.

    d = g + wd·θ;  b ← μb + (1 − dampening)d;  θ ← θ − lr·(d + μb if nesterov else b).
    ``weight_decay`` is an L2 gradient that passes through the momentum (claims C29, C33).

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = SGD([w], lr=0.5)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.5
    """

    text = "b ← μb + g + wd·θ;  θ ← θ − lr·b"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "dampening": dampening,
             "weight_decay": weight_decay, "nesterov": nesterov},
        )  # fmt: skip

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_range("SGD", "momentum", group["momentum"], 0)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum > 0 and dampening = 0, got "
                f"momentum={group['momentum']!r}, dampening={group['dampening']!r}"
            )

    @staticmethod
    def formula(p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> Array:
        """The update in plain NumPy: returns the new parameter, replaces the state's entries."""
        d = g + group["weight_decay"] * p
        if mu := group["momentum"]:
            damped = (1 - group["dampening"]) * d
            b = mu * state["momentum_buffer"] + damped if "momentum_buffer" in state else d
            state["momentum_buffer"] = b
            d = d + mu * b if group["nesterov"] else b
        return p - group["lr"] * d

    def _states(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def _prox_step(self, p: Tensor, group: dict[str, Any]) -> Any:
        mu, fresh = group["momentum"], 1 - group["dampening"]
        return group["lr"] * fresh / (1 - mu) if 0 < mu < 1 else group["lr"]

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        lr, mu, decay = group["lr"], group["momentum"], group["weight_decay"]
        fresh = 1.0 if first else 1 - group["dampening"]
        nesterov = group["nesterov"]

        def update(p: Array, g: Array, *rest: Array) -> None:
            *states, t = rest
            if decay:
                np.multiply(p, decay, out=t)
                g = np.add(g, t, out=t)
            if mu:
                b = states[0]
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


class Adam(Optimizer):
    """Adam with coupled weight decay: the L2 gradient goes through both moments.

    g ← g + wd·θ;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;
    θ ← θ − lr·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε)  (claims C36–C39).

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = Adam([w], lr=0.5)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.5
    """

    text = "θ ← θ − lr·m̂/(√v̂ + ε), moments of g + wd·θ"
    scratch = 2

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        owner = type(self).__name__
        check_range(owner, "betas[0]", group["betas"][0], 0, 1)
        check_range(owner, "betas[1]", group["betas"][1], 0, 1)
        check_range(owner, "eps", group["eps"], 0)

    def _decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """(coupled, decoupled) decay: what joins the gradient, what shrinks θ directly."""
        return group["weight_decay"], 0.0

    def formula(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> Array:
        """The update in plain NumPy: returns the new parameter, replaces the state's entries."""
        (beta1, beta2), (coupled, shrink) = group["betas"], self._decays(group)
        t = state["step"] = state.get("step", 0) + 1
        g = g + coupled * p
        m = state["exp_avg"] = beta1 * state.get("exp_avg", 0 * p) + (1 - beta1) * g
        v = state["exp_avg_sq"] = beta2 * state.get("exp_avg_sq", 0 * p) + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return p - shrink * p - group["lr"] * m_hat / (np.sqrt(v_hat) + group["eps"])

    def _states(self, group: dict[str, Any]) -> tuple[str, ...]:
        return "exp_avg", "exp_avg_sq"

    def _prox_step(self, p: Tensor, group: dict[str, Any]) -> Any:
        # the metric of the step is diagonal: exact for penalties that are sums over elements
        state = self.state[p]
        v_hat = state["exp_avg_sq"] / (1 - group["betas"][1] ** state["step"])
        return group["lr"] / (np.sqrt(v_hat) + group["eps"])

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        (beta1, beta2), eps = group["betas"], group["eps"]
        rate = group["lr"] / (1 - beta1**step)
        root = (1 - beta2**step) ** -0.5
        coupled, shrink = self._decays(group)

        def update(p: Array, g: Array, m: Array, v: Array, t: Array, u: Array) -> None:
            if coupled:
                np.multiply(p, coupled, out=u)
                g = np.add(g, u, out=u)
            m *= beta1
            m += np.multiply(g, 1 - beta1, out=t)
            v *= beta2
            np.multiply(g, g, out=t)
            t *= 1 - beta2
            v += t
            np.sqrt(v, out=t)
            t *= root
            t += eps
            np.divide(m, t, out=t)
            t *= rate
            if shrink:
                p *= 1 - shrink
            p -= t

        return update


class AdamW(Adam):
    """Adam with decoupled weight decay: θ ← (1 − lr·wd)θ beside the step (claims C40, C41).

    ``decay_scale="schedule"`` decays by wd times the schedule's multiplier lr/initial lr
    only, so that the decay does not depend on the size of the learning rate.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = AdamW([w], lr=0.5, weight_decay=0.1)
    >>> w.grad = mr.tensor([0.0]); opt.step(); round(w.item(), 4)
    0.95
    """

    text = "θ ← (1 − lr·wd)θ − lr·m̂/(√v̂ + ε)"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        decay_scale: str = "lr",
    ) -> None:
        Optimizer.__init__(
            self, params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
             "decay_scale": decay_scale},
        )  # fmt: skip

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["decay_scale"] not in ("lr", "schedule"):
            raise ValueError(
                f"AdamW: decay_scale must be 'lr' or 'schedule', got {group['decay_scale']!r}"
            )

    def _decays(self, group: dict[str, Any]) -> tuple[float, float]:
        scale = group["lr"]
        if group["decay_scale"] == "schedule":
            initial = group.get("initial_lr", group["lr"])
            scale = group["lr"] / initial if initial else 1.0
        return 0.0, scale * group["weight_decay"]


class ProximalGradient(SGD):
    """θ ← prox(θ − lr·g, lr) of ``penalty``: reaches exact zeros (claim C56).

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 0.1], requires_grad=True)
    >>> opt = ProximalGradient([w], lr=0.5, penalty=mr.penalties.L1(1.0))
    >>> w.grad = mr.tensor([0.0, 0.0]); opt.step(); w.numpy()
    array([0.5, 0. ], dtype=float32)
    """

    text = "θ ← prox(θ − lr·g, lr)"

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, penalty: Penalty | None = None
    ) -> None:
        self.penalty = penalty
        super().__init__(params, lr)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add ``{"params": …}`` with options; the penalty applies to them, too."""
        super().add_param_group(group)
        if self.penalty is not None:
            self.add_prox(self.param_groups[-1]["params"], self.penalty)
