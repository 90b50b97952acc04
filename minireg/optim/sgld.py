"""SGLD: Langevin dynamics, which samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..backend import Array
from ..random import Stream
from .pipeline import Optimizer, Update


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
    noisy = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        temperature: float = 1.0,
        weight_decay: float = 0.0,
        seed: int | None = None,
    ) -> None:
        self.noise = Stream("sgld", seed)
        options = {"lr": lr, "temperature": temperature, "weight_decay": weight_decay}
        super().__init__(params, options)

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        lr, decay = group["lr"], group["weight_decay"]

        def update(p: Array, g: Array, t: Array) -> None:
            np.multiply(p, decay, out=t)
            t += g
            t *= lr
            p -= t

        return update

    def _after_step(self, u: Update) -> Iterator[tuple[tuple[str, ...], Array]]:
        p, group = u.p.data, u.group
        if scale := (2 * group["lr"] * group["temperature"]) ** 0.5:
            yield ("noise",), p + scale * self.noise.normal_like(p)
        yield from super()._after_step(u)

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
