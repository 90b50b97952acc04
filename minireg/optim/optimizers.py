"""SGD, Adam, AdamW, RMSprop as in PyTorch, and SGLD, which samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..backend import Array, Stream
from ..tensor import Tensor
from .optimizer import LinearStep, Optimizer


def _lasting(lr: Any, momentum: float) -> Any:
    """How far a step of lr goes in the end: momentum repeats it 1/(1 − μ) times."""
    return lr / (1 - momentum) if momentum < 1 else lr


class SGD(Optimizer):
    """Gradient descent with (Nesterov) momentum and weight decay, coupled or decoupled.

    d = g + wd·θ;  b ← μb + (1 − dampening)d;  θ ← θ − lr·(d + μb if nesterov else b).
    ``weight_decay`` is an L2 gradient that passes through the momentum (claims C29, C33). With
    ``decoupled`` it is none: d = g, and θ shrinks by the factor 1 − lr·wd beside the step (claim
    C35; SGDW of Loshchilov & Hutter, ICLR 2019). ``maximize`` climbs: it steps along −g.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = SGD([w], lr=0.5)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.5
    """

    @property
    def text(self) -> str:  # type: ignore[override]
        """The update in one line."""
        if self.defaults["decoupled"]:
            return "b ← μb + g;  θ ← (1 − lr·wd)θ − lr·b"
        return "b ← μb + g + wd·θ;  θ ← θ − lr·b"

    states = ("momentum_buffer",)
    buffer = "momentum_buffer"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        decoupled: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
             "nesterov": nesterov, "maximize": maximize, "decoupled": decoupled},
        )  # fmt: skip

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum > 0 and dampening = 0, got "
                f"momentum={group['momentum']!r}, dampening={group['dampening']!r}"
            )

    def formula(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> Array:
        """The update in plain NumPy: returns the new parameter, replaces the state's entries."""
        coupled, shrink = self.decays(group)
        d = (-g if group["maximize"] else g) + coupled * p
        if mu := group["momentum"]:
            damped = (1 - group["dampening"]) * d
            b = mu * state["momentum_buffer"] + damped if "momentum_buffer" in state else d
            state["momentum_buffer"] = b
            d = d + mu * b if group["nesterov"] else b
        return p - shrink * p - group["lr"] * d

    def decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """wd·θ joins the gradient, or θ shrinks by lr·wd."""
        decay = group["weight_decay"]
        return (0.0, group["lr"] * decay) if group["decoupled"] else (decay, 0.0)

    def _states(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def linear(self, p: Tensor, group: dict[str, Any], first: bool) -> LinearStep:
        """b ← μb + gain·g; θ moves by −lr·b, with Nesterov by −lr·(g + μb)."""
        lr, mu = group["lr"], group["momentum"]
        if not mu:
            return LinearStep(-lr)
        gain = 1.0 if first else 1 - group["dampening"]
        if group["nesterov"]:
            return LinearStep(-lr, 1 + mu * gain, mu * mu, mu, gain)
        return LinearStep(-lr, gain, mu, mu, gain)

    def _prox_step(self, p: Tensor, group: dict[str, Any]) -> Any:
        mu, fresh = group["momentum"], 1 - group["dampening"]
        return _lasting(group["lr"] * fresh if mu else group["lr"], mu)

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        lr, mu, (coupled, shrink) = group["lr"], group["momentum"], self.decays(group)
        fresh = 1.0 if first else 1 - group["dampening"]
        nesterov = group["nesterov"]

        def update(p: Array, g: Array, *rest: Array) -> None:
            *states, t = rest
            if coupled:
                np.multiply(p, coupled, out=t)
                g = np.add(g, t, out=t)
            if shrink:
                p *= 1 - shrink
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
    ``amsgrad`` divides by the largest v seen so far, element by element.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = Adam([w], lr=0.5)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.5
    """

    text = "θ ← θ − lr·m̂/(√v̂ + ε), moments of g + wd·θ"
    scratch = 2
    states = "exp_avg", "exp_avg_sq", "max_exp_avg_sq"
    buffer, elementwise = "exp_avg", True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
             "amsgrad": amsgrad, "maximize": maximize},
        )  # fmt: skip

    def formula(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> Array:
        """The update in plain NumPy: returns the new parameter, replaces the state's entries."""
        (beta1, beta2), (coupled, shrink) = group["betas"], self.decays(group)
        t = state["step"] = state.get("step", 0) + 1
        g = (-g if group["maximize"] else g) + coupled * p
        m = state["exp_avg"] = beta1 * state.get("exp_avg", 0 * p) + (1 - beta1) * g
        v = state["exp_avg_sq"] = beta2 * state.get("exp_avg_sq", 0 * p) + (1 - beta2) * g**2
        if group["amsgrad"]:
            v = state["max_exp_avg_sq"] = np.maximum(state.get("max_exp_avg_sq", 0 * p), v)
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return p - shrink * p - group["lr"] * m_hat / (np.sqrt(v_hat) + group["eps"])

    def linear(self, p: Tensor, group: dict[str, Any], first: bool) -> LinearStep:
        """m ← β₁m + (1 − β₁)g; θ moves by −lr/(√v̂ + ε)·m̂, the denominator shared by all terms."""
        beta1, step = group["betas"][0], self.state[p]["step"]
        rate, options = -group["lr"] / (1 - beta1**step), dict(group)
        v = self._second_moment(p, group).copy()  # as it is now: the ledger may ask later, or never
        scale = lambda: rate / self._root(v, step, options)
        return LinearStep(scale, 1 - beta1, beta1, beta1, 1 - beta1)

    def _second_moment(self, p: Tensor, group: dict[str, Any]) -> Array:
        return self.state[p]["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]

    @staticmethod
    def _root(v: Array, step: int, group: dict[str, Any]) -> Array:
        """√v̂ + ε."""
        root: Array = np.sqrt(v)
        root *= (1 - group["betas"][1] ** step) ** -0.5
        root += group["eps"]
        return root

    def _denominator(self, p: Tensor, group: dict[str, Any]) -> Array:
        return self._root(self._second_moment(p, group), self.state[p]["step"], group)

    def _states(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * group["amsgrad"])

    def _prox_step(self, p: Tensor, group: dict[str, Any]) -> Any:
        # the metric of the step is diagonal: exact for penalties that are sums over elements
        return group["lr"] / self._denominator(p, group)

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        (beta1, beta2), eps = group["betas"], group["eps"]
        rate = group["lr"] / (1 - beta1**step)
        root = (1 - beta2**step) ** -0.5
        coupled, shrink = self.decays(group)

        def update(p: Array, g: Array, m: Array, v: Array, *rest: Array) -> None:
            *largest, t, u = rest
            if coupled:
                np.multiply(p, coupled, out=u)
                g = np.add(g, u, out=u)
            m *= beta1
            m += np.multiply(g, 1 - beta1, out=t)
            v *= beta2
            np.multiply(g, 1 - beta2, out=t)  # a large g overflows only where (1 − β₂)g² does
            t *= g
            v += t
            if largest:
                v = np.maximum(largest[0], v, out=largest[0])
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

    ``decay_scale="schedule"`` decays by wd times the schedule's multiplier only, so that the
    decay does not depend on the size of the learning rate: lr/initial_lr, or lr/max_lr in a
    cycle that starts below its peak.

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
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decay_scale: str = "lr",
    ) -> None:
        Optimizer.__init__(
            self, params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
             "amsgrad": amsgrad, "maximize": maximize, "decay_scale": decay_scale},
        )  # fmt: skip

    def decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """None is coupled; θ shrinks by lr·wd, or by the schedule's multiplier times wd."""
        scale = group["lr"]
        if group["decay_scale"] == "schedule":
            peak = group.get("max_lr", group["initial_lr"])
            scale = group["lr"] / peak if peak else 1.0
        return 0.0, scale * group["weight_decay"]


class RMSprop(Optimizer):
    """Steps measured by the running size of the gradient.

    g ← g + wd·θ;  v ← αv + (1−α)g²;  d = g/(√v + ε);  b ← μb + d;  θ ← θ − lr·b.
    ``centered`` divides by the running standard deviation √(v − a²) instead, a the running
    mean of g; where rounding makes v − a² negative it counts as 0.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = RMSprop([w], lr=0.5, alpha=0.75)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.0
    """

    text = "θ ← θ − lr·g/(√v + ε), v a running mean of g²"
    scratch = 2
    states = "square_avg", "grad_avg", "momentum_buffer"
    buffer, elementwise = "momentum_buffer", True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
             "momentum": momentum, "centered": centered, "maximize": maximize},
        )  # fmt: skip

    @staticmethod
    def formula(p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> Array:
        """The update in plain NumPy: returns the new parameter, replaces the state's entries."""
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

    def linear(self, p: Tensor, group: dict[str, Any], first: bool) -> LinearStep:
        """θ moves by −lr·b, b ← μb + g/(√v + ε), or by −lr·g/(√v + ε) without momentum."""
        lr, mu = group["lr"], group["momentum"]
        gain = 1 / self._denominator(p, group)
        return LinearStep(-lr, gain, mu, mu, gain) if mu else LinearStep(-lr * gain)

    def _denominator(self, p: Tensor, group: dict[str, Any]) -> Array:
        v = self.state[p]["square_avg"]
        if group["centered"]:
            v = np.maximum(v - np.square(self.state[p]["grad_avg"]), 0)
        return np.sqrt(v) + group["eps"]

    def _states(self, group: dict[str, Any]) -> tuple[str, ...]:
        more = {"grad_avg": group["centered"], "momentum_buffer": group["momentum"]}
        return ("square_avg", *(name for name, used in more.items() if used))

    def _prox_step(self, p: Tensor, group: dict[str, Any]) -> Any:
        return _lasting(group["lr"] / self._denominator(p, group), group["momentum"])

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


class SGLD(Optimizer):
    """Langevin dynamics, which samples: θ ← θ − lr·(g + wd·θ) + √(2·lr·T)·ξ, ξ ~ N(0, 1).

    For small lr the chain visits θ with density ∝ exp(−f(θ)/T), f being the objective. Under
    the mean loss of n observations the posterior is T = 1/n; ``temperature=0`` is SGD, which
    is why gradient descent is no Langevin dynamics (claim C103). On f = ½aθ² the variance
    settles at T/(a·(1 − ½·lr·a)), lr·a < 2. Welling & Teh, ICML 2011.

    The noise has its own stream, from ``seed`` or :func:`minireg.manual_seed`, drawn where the
    parameters live. ``state_dict`` knows where it stands on the host, not on a GPU.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = SGLD([w], lr=0.5, temperature=0.0)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.5
    """

    text = "θ ← θ − lr·g + √(2·lr·T)·ξ"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        temperature: float = 1.0,
        weight_decay: float = 0.0,
        seed: int | None = None,
    ) -> None:
        self.noise = Stream("sgld", seed)
        super().__init__(
            params, {"lr": lr, "temperature": temperature, "weight_decay": weight_decay}
        )

    @staticmethod
    def formula(
        p: Array, g: Array, state: dict[str, Any], group: dict[str, Any], noise: Any = 0.0
    ) -> Array:
        """The update in plain NumPy for standard normal ``noise``: returns the new parameter."""
        lr = group["lr"]
        drift = g + group["weight_decay"] * p
        return p - lr * drift + (2 * lr * group["temperature"]) ** 0.5 * noise

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        lr, decay = group["lr"], group["weight_decay"]

        def update(p: Array, g: Array, t: Array) -> None:
            np.multiply(p, decay, out=t)
            t += g
            t *= lr
            p -= t

        return update

    def _after_step(
        self, p: Tensor, group: dict[str, Any]
    ) -> Iterator[tuple[tuple[str, ...], Array]]:
        if scale := (2 * group["lr"] * group["temperature"]) ** 0.5:
            yield ("noise",), p.data + scale * self.noise.normal_like(p.data)
        yield from super()._after_step(p, group)

    def state_dict(self) -> dict[str, Any]:
        """State, options, and where the noise stands."""
        return {**super().state_dict(), "noise": self.noise.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, all or nothing; the noise goes on from there."""
        trial = Stream("sgld", 0)
        try:
            trial.state = state["noise"]
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"SGLD.load_state_dict: no state of the noise: {error!r}") from error
        super().load_state_dict(state)
        self.noise.state = state["noise"]
