"""Adam and AdamW: steps scaled by running moments of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from ..backend import Array
from ..tensor import Tensor
from .pipeline import LinearStep, Optimizer, Params


class Adam(Optimizer):
    """Adam with coupled weight decay: the L2 gradient goes through both moments (claims C36–C39).

    g ← g + wd·θ;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;
    θ ← θ − lr·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε), t counting steps from 1. As ``torch.optim.Adam``;
    Kingma & Ba 2015.

    Parameters
    ----------
    params : Tensors, or dicts ``{"params": Tensors, option: value}``, one per group, see
        :class:`Optimizer`.
    lr : the step length, ≥ 0: about the largest change of an element per step.
    betas : (β₁, β₂), each in [0, 1): how much of m and of v is kept per step.
    eps : ε ≥ 0, added to the root; it bounds the step where gradients are tiny.
    weight_decay : wd ≥ 0, a gradient wd·θ. Adam rescales it per element; see :class:`AdamW`.
    amsgrad : divide by the largest v so far, element by element (Reddi et al. 2018).
    maximize : climb, along −g.

    Raises ``ValueError`` for an option out of range, and as :class:`Optimizer` does.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True); opt = mr.optim.Adam([w], lr=0.5)
    >>> w.grad = mr.tensor([1.0]); opt.step(); w.item()
    0.5
    """

    text = "θ ← θ − lr·m̂/(√v̂ + ε), moments of g + wd·θ"
    scratch = 2
    state_arrays = {"exp_avg": "", "exp_avg_sq": "", "max_exp_avg_sq": "amsgrad"}
    buffer, elementwise = "exp_avg", True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                   "amsgrad": amsgrad, "maximize": maximize}  # fmt: skip
        super().__init__(params, options)

    def linear(self, p: Tensor, group: dict[str, Any], first: bool) -> LinearStep:
        """m ← β₁m + (1 − β₁)g; θ moves by −lr/(√v̂ + ε)·m̂, with one denominator for all terms."""
        beta1, step = group["betas"][0], self.state[p]["step"]
        rate, options = -group["lr"] / (1 - beta1**step), dict(group)
        # a copy, as the ledger may compute the scale after later steps
        v = self._second_moment(self.state[p], group).copy()
        scale = lambda: rate / self._root(v, step, options)
        return LinearStep(scale, 1 - beta1, beta1, beta1, 1 - beta1)

    @staticmethod
    def _second_moment(state: Mapping[str, Any], group: dict[str, Any]) -> Any:
        return state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]

    @staticmethod
    def _root(v: Array, step: int, group: dict[str, Any]) -> Array:
        """√v̂ + ε."""
        root: Array = np.sqrt(v)
        root *= (1 - group["betas"][1] ** step) ** -0.5
        root += group["eps"]
        return root

    def _prox_step(self, state: Mapping[str, Any], group: dict[str, Any]) -> Any:
        # the metric of the step is diagonal: exact for penalties that are sums over elements
        return group["lr"] / self._root(self._second_moment(state, group), state["step"], group)

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
    """Adam with decoupled weight decay: θ ← (1 − lr·wd)θ before the step (claims C40, C41).

    Parameters
    ----------
    params, lr, betas, eps, amsgrad, maximize : as for :class:`Adam`, with the same errors.
    weight_decay : wd ≥ 0; θ shrinks by lr·wd per step, whatever its gradients are.
    decay_scale : "lr", or "schedule": θ shrinks by wd times the schedule's multiplier only, lr/initial_lr
        (lr/max_lr in a cycle), so the decay does not depend on lr itself. ``ValueError`` for other words.

    As ``torch.optim.AdamW``; Loshchilov & Hutter 2019.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0], requires_grad=True)
    >>> opt = mr.optim.AdamW([w], lr=0.5, weight_decay=0.1)
    >>> w.grad = mr.tensor([0.0]); opt.step(); round(w.item(), 4)
    0.95
    """

    text = "θ ← (1 − lr·wd)θ − lr·m̂/(√v̂ + ε)"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decay_scale: Literal["lr", "schedule"] = "lr",
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                   "amsgrad": amsgrad, "maximize": maximize, "decay_scale": decay_scale}  # fmt: skip
        Optimizer.__init__(self, params, options)

    def decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """(0, the share by which θ shrinks): lr·wd, or the schedule's multiplier times wd."""
        scale = group["lr"]
        if group["decay_scale"] == "schedule":
            peak = group.get("max_lr", group["initial_lr"])
            scale = group["lr"] / peak if peak else 1.0
        return 0.0, scale * group["weight_decay"]
