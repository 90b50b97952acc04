"""Each optimizer's update, and the length of its prox, in plain NumPy: what its passes are tested against."""

from typing import Any

import numpy as np

from minireg import optim

State = dict[str, Any]


def sgd(optimizer: Any, p: Any, g: Any, state: State, group: State) -> Any:
    """Momentum, dampening, Nesterov; decay coupled or beside the step."""
    coupled, shrink = optimizer.decays(group)
    d = (-g if group["maximize"] else g) + coupled * p
    if mu := group["momentum"]:
        damped = (1 - group["dampening"]) * d
        b = mu * state["momentum_buffer"] + damped if "momentum_buffer" in state else d
        state["momentum_buffer"] = b
        d = d + mu * b if group["nesterov"] else b
    return p - shrink * p - group["lr"] * d


def adam(optimizer: Any, p: Any, g: Any, state: State, group: State) -> Any:
    """Adam, AMSGrad, and AdamW by its decays."""
    (beta1, beta2), (coupled, shrink) = group["betas"], optimizer.decays(group)
    t = state["step"] = state.get("step", 0) + 1
    g = (-g if group["maximize"] else g) + coupled * p
    m = state["exp_avg"] = beta1 * state.get("exp_avg", 0 * p) + (1 - beta1) * g
    v = state["exp_avg_sq"] = beta2 * state.get("exp_avg_sq", 0 * p) + (1 - beta2) * g**2
    if group["amsgrad"]:
        v = state["max_exp_avg_sq"] = np.maximum(state.get("max_exp_avg_sq", 0 * p), v)
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return p - shrink * p - group["lr"] * m_hat / (np.sqrt(v_hat) + group["eps"])


def rmsprop(optimizer: Any, p: Any, g: Any, state: State, group: State) -> Any:
    """RMSprop, centered or not, with momentum."""
    alpha, mu = group["alpha"], group["momentum"]
    g = (-g if group["maximize"] else g) + group["weight_decay"] * p
    v = state["square_avg"] = alpha * state.get("square_avg", 0 * p) + (1 - alpha) * g**2
    if group["centered"]:
        a = state["grad_avg"] = alpha * state.get("grad_avg", 0 * p) + (1 - alpha) * g
        v = np.maximum(v - a**2, 0)
    d = g / (np.sqrt(v) + group["eps"])
    if mu:
        d = state["momentum_buffer"] = mu * state.get("momentum_buffer", 0 * p) + d
    return p - group["lr"] * d


def sgld(optimizer: Any, p: Any, g: Any, state: State, group: State, noise: Any = 0.0) -> Any:
    """A step, and standard normal ``noise``."""
    lr = group["lr"]
    drift = g + group["weight_decay"] * p
    return p - lr * drift + (2 * lr * group["temperature"]) ** 0.5 * noise


def proximal_gradient(optimizer: Any, p: Any, g: Any, state: State, group: State) -> Any:
    """ISTA, or FISTA with restart, of one parameter."""
    x = p - group["lr"] * g
    if optimizer.penalty is not None:
        x = optimizer.penalty.prox(x, group["lr"])
    if not group["accelerated"]:
        return x
    before, t = state.get("x", p), state.get("t", 1.0)
    t = 1.0 if ((p - x) * (x - before)).sum() > 0 else t
    state["x"], state["t"] = x, (1 + np.sqrt(1 + 4 * t**2)) / 2
    return x + (t - 1) / state["t"] * (x - before)


FORMULAS = {
    optim.SGD: sgd, optim.Adam: adam, optim.RMSprop: rmsprop, optim.SGLD: sgld,
    optim.ProximalGradient: proximal_gradient,
}  # fmt: skip


def formula(optimizer: Any, *given: Any, **noise: Any) -> Any:
    """The new parameter from (parameter, gradient, state, group); the state's entries are replaced."""
    kind = next(kind for kind in type(optimizer).__mro__ if kind in FORMULAS)
    return FORMULAS[kind](optimizer, *given, **noise)


def prox_length(optimizer: Any, state: State, group: State, t: int) -> Any:
    """How long the prox is: how far a constant gradient of 1 moves θ, by hand."""
    lr, name = group["lr"], type(optimizer).__name__
    lasting = 1 - group.get("momentum", 0)
    if name == "SGD":
        return lr * (1 - group["dampening"] if group["momentum"] else 1) / lasting
    if name == "RMSprop":
        v = state["square_avg"] - (state["grad_avg"] ** 2 if group["centered"] else 0)
        return lr / (np.sqrt(np.maximum(v, 0)) + group["eps"]) / lasting
    if name in ("Adam", "AdamW"):
        v = state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]
        return lr / (np.sqrt(v / (1 - group["betas"][1] ** t)) + group["eps"])
    return lr
