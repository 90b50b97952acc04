"""Weights whose norm is fixed by construction: spectral norm and weight norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import move
from ...messages import check_option
from ...ops.iterations import power, unit
from ...random import Stream
from ...tensor import Tensor
from ..module import Module, Parameter
from .parametrize import register_parametrization, tensor_of


def _check_dim(name: str, dim: int, tensor: Tensor) -> None:
    if not -tensor.ndim <= dim < tensor.ndim:
        raise IndexError(
            f"{name}: dim must be in [{-tensor.ndim}, {tensor.ndim - 1}] for a tensor of shape "
            f"{tensor.shape}, got {dim}"
        )


class SpectralNorm(Module):
    """W/σ with σ = uᵀWv; see :func:`spectral_norm`."""

    formula = "W/σ, σ = uᵀWv"

    def __init__(
        self,
        weight: Tensor,
        n_power_iterations: int = 1,
        dim: int = 0,
        eps: float = 1e-12,
        generator: Stream | None = None,
    ) -> None:
        check_option("spectral_norm", 1, n_power_iterations=n_power_iterations)
        _check_dim("spectral_norm", dim, weight)
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps
        if weight.ndim > 1:
            w = self._matrix(weight.data)
            v = (generator or Stream("spectral_norm")).normal((w.shape[1],)).astype(w.dtype)
            self._u = Tensor(w[:, 0])
            self._v = Tensor(unit(move(v, weight.backend), eps))
            self._iterate(w, 15)

    def _matrix(self, weight: Any) -> Any:
        return np.moveaxis(weight, self.dim, 0).reshape(weight.shape[self.dim], -1)

    def _iterate(self, w: Any, rounds: int) -> None:
        # (out of place: a recorded graph may hold the old ones)
        self._u.data, self._v.data = power(w, self._v.data, rounds, self.eps)

    def forward(self, weight: Any) -> Any:
        """W → W/σ; in training mode the power iteration advances first."""
        if weight.ndim == 1:
            return unit(weight, self.eps)
        w = self._matrix(weight)
        if self.training:
            self._iterate(w.data, self.n_power_iterations)
        return weight / ((w @ self._v.data) @ self._u.data)

    def extra_repr(self) -> str:
        """How many iterations."""
        return f"n_power_iterations={self.n_power_iterations}"


class WeightNorm(Module):
    """g·v/‖v‖ of two originals; see :func:`weight_norm`."""

    formula = "g·v/‖v‖"

    def __init__(self, dim: int | None = 0) -> None:
        self.dim = -1 if dim is None else dim

    def _norms(self, v: Any) -> Any:
        whole = self.dim == -1
        axes = None if whole else tuple(a for a in range(v.ndim) if a != self.dim % v.ndim)
        return np.sqrt(np.square(v).sum(axis=axes, keepdims=not whole))

    def forward(self, g: Any, v: Any) -> Any:
        """Magnitude and direction → weight."""
        return v * (g / self._norms(v))

    def right_inverse(self, weight: Tensor) -> tuple[Parameter, Tensor]:
        """Weight → its norms, and itself as the direction."""
        return Parameter(self._norms(weight), weight.requires_grad, "norm"), weight

    def extra_repr(self) -> str:
        """The axis that keeps its norms."""
        return f"dim={self.dim}"


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    generator: Stream | None = None,
) -> Module:
    r"""Divide ``module.name`` by its largest singular value from now on; returns the module.

    σ = uᵀWv with u and v from a power iteration, which makes the layer 1-Lipschitz as far as
    the iteration has come (claims C85, C87, C88; Miyato et al. 2018). A tensor of more axes is
    the matrix (``dim``, the rest); a vector is divided by its length. u and v are buffers: 15
    iterations from a random v of ``generator`` to begin with, ``n_power_iterations`` more on
    each access in training mode, and none in evaluation mode. They are constant in the gradient,

    .. math:: \bar W_0 = \tfrac{1}{σ}\bigl(\bar W - \langle\bar W, W\rangle\,u v^{\top}\bigr),

    which flows in both modes. ``ValueError`` without such a tensor and for n_power_iterations
    < 1, ``IndexError`` for a ``dim`` it does not have.

    >>> import minireg as mr
    >>> layer = spectral_norm(mr.nn.Linear(3, 2))
    >>> round(float(np.linalg.norm(layer.weight.numpy(), 2)), 2)
    1.0
    >>> layer
    Linear(3, 2)  y = x Wᵀ + b
      (parametrizations) Module()
        (weight) ParametrizationList()
          (0) SpectralNorm(n_power_iterations=1)  W/σ, σ = uᵀWv
    """
    step = SpectralNorm(tensor_of(module, name), n_power_iterations, dim or 0, eps, generator)
    return register_parametrization(module, name, step)


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Split ``module.name`` into magnitude and direction, w = g·v/‖v‖; returns the module.

    One norm for each index of axis ``dim``, or one for all with None (Salimans and Kingma
    2016). ``original0`` is g, of kind "norm" and so free of penalties by default; it is new, so
    make the optimizer afterwards. ``original1`` is v, the weight as it was, whose length does
    nothing. ``ValueError`` without such a tensor, ``IndexError`` for a ``dim`` it does not have.

    >>> import minireg as mr
    >>> layer = weight_norm(mr.nn.Linear(3, 2))
    >>> [(name, p.shape) for name, p in layer.named_parameters()][1:]
    [('parametrizations.weight.original0', (2, 1)), ('parametrizations.weight.original1', (2, 3))]
    """
    _check_dim("weight_norm", -1 if dim is None else dim, tensor_of(module, name))
    return register_parametrization(module, name, WeightNorm(dim))
