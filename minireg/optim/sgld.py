"""SGLD: Langevin dynamics, which samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..backend import Array
from ..random import Stream
from .pipeline import Optimizer, Params, Update


class SGLD(Optimizer):
    """Langevin dynamics, which samples: θ ← θ − lr·(g + wd·θ) + √(2·lr·T)·ξ, ξ ~ N(0, 1).

    For small lr the chain visits θ with density ∝ exp(−f(θ)/T), f the objective; under the mean
    loss of n observations the posterior is T = 1/n. T = 0 is SGD, which is why gradient descent is no
    Langevin dynamics (claim C103). On f = ½aθ² the variance settles at T/(a·(1 − ½·lr·a)),
    lr·a < 2. Welling & Teh 2011.

    Parameters
    ----------
    params : Tensors, or dicts ``{"params": Tensors, option: value}``, one per group, see
        :class:`Optimizer`.
    lr : the step length, ≥ 0.
    temperature : T ≥ 0.
    weight_decay : wd ≥ 0.
    seed : of the noise, which has its own stream; by default from :func:`minireg.manual_seed`.

    The noise is drawn on the parameters' backend; on the host ``state_dict`` holds the stream's
    position, on a GPU it does not. Raises ``ValueError`` for an option out of range, and as
    :class:`Optimizer` does.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = mr.optim.SGLD([w], lr=0.5, temperature=0.0)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.5
    """

    text = "θ ← θ − lr·g + √(2·lr·T)·ξ"
    noisy = True

    def __init__(
        self,
        params: Params,
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
        """As :meth:`Optimizer.state_dict`, with the position of the noise's stream."""
        return {**super().state_dict(), "noise": self.noise.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, all or nothing; the noise continues from there.

        Raises ``ValueError`` for a state without noise, and as :meth:`Optimizer.load_state_dict`.
        """
        trial = Stream("sgld", 0)
        try:
            trial.state = state["noise"]
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"SGLD.load_state_dict: no state of the noise: {error!r}") from error
        super().load_state_dict(state)
        self.noise.state = state["noise"]
