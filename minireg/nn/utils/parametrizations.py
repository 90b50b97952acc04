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
from .parametrize import M, register_parametrization, tensor_of


def _check_dim(name: str, dim: int, tensor: Tensor) -> None:
    if not -tensor.ndim <= dim < tensor.ndim:
        raise IndexError(
            f"{name}: dim must be in [{-tensor.ndim}, {tensor.ndim - 1}] for a tensor of shape "
            f"{tensor.shape}, got {dim}"
        )


class SpectralNorm(Module):
    """W ↦ W/σ with σ = uᵀWv, the module that :func:`spectral_norm` registers.

    Parameters
    ----------
    weight : the tensor to be divided: it gives the shapes and the first u and v.
    n_power_iterations, eps, generator : as of :func:`spectral_norm`.
    dim : the axis that is the matrix's first.

    Raises ``ValueError`` for n_power_iterations < 1 and ``IndexError`` for a ``dim`` that the
    weight lacks (claims C85, C87; Miyato et al. 2018).

    >>> import minireg as mr
    >>> weight = mr.tensor([[4.0, 0.0], [0.0, 1.0]])
    >>> SpectralNorm(weight)(weight).numpy().round(3)
    array([[1.  , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """

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

    def forward(self, weight: Tensor) -> Any:
        """W → W/σ of the same shape; in training mode the power iteration advances first."""
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
    """(g, v) ↦ g·v/‖v‖, the module that :func:`weight_norm` registers.

    ``dim`` is the axis that keeps its norms, None for one norm of the whole (Salimans and
    Kingma 2016). Raises ``ValueError`` where the shapes of g and v do not fit.

    >>> import minireg as mr
    >>> WeightNorm()(mr.tensor([[10.0]]), mr.tensor([[3.0, 4.0]])).numpy()
    array([[6., 8.]], dtype=float32)
    """

    formula = "g·v/‖v‖"

    def __init__(self, dim: int | None = 0) -> None:
        self.dim = -1 if dim is None else dim

    def _norms(self, v: Any) -> Any:
        whole = self.dim == -1
        axes = None if whole else tuple(a for a in range(v.ndim) if a != self.dim % v.ndim)
        return np.sqrt(np.square(v).sum(axis=axes, keepdims=not whole))

    def forward(self, g: Tensor, v: Tensor) -> Any:
        """Magnitude (out, 1, …) and direction (out, in, …) → weight of the direction's shape."""
        return v * (g / self._norms(v))

    def right_inverse(self, weight: Tensor) -> tuple[Parameter, Tensor]:
        """Weight → its norms, a new Parameter, and itself as the direction."""
        return Parameter(self._norms(weight), weight.requires_grad, "norm"), weight

    def extra_repr(self) -> str:
        """The axis that keeps its norms."""
        return f"dim={self.dim}"


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    generator: Stream | None = None,
) -> M:
    r"""Divide ``module.name`` by its largest singular value from now on; returns the module.

    σ = uᵀWv with u and v from a power iteration, which makes the layer 1-Lipschitz as far as
    the iteration has converged (claims C85, C87, C88; Miyato et al. 2018). u and v are buffers
    and constants in the gradient, which flows in both modes:

    .. math:: \bar W_0 = \tfrac{1}{σ}\bigl(\bar W - \langle\bar W, W\rangle\,u v^{\top}\bigr)

    Parameters
    ----------
    module : the module that has the tensor.
    name : the attribute: a matrix, a tensor of more axes as the matrix (``dim``, the rest), or
        a vector, which is divided by its length.
    n_power_iterations : iterations on each access in training mode, ≥ 1; none in evaluation
        mode. 15 are done at the start.
    eps : the least norm that u and v are divided by.
    dim : the axis that is the matrix's first; None is 0.
    generator : gives the first v; None follows :func:`minireg.manual_seed`.

    Raises ``ValueError`` without such a tensor and for n_power_iterations < 1, ``IndexError``
    for a ``dim`` it lacks.

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


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Split ``module.name`` into magnitude and direction, w = g·v/‖v‖; returns the module.

    Salimans and Kingma (2016). ``original0`` is g, of kind "norm" and so free of penalties by
    default; it is new, so make the optimizer afterwards. ``original1`` is v, the weight as it
    was, whose length has no effect.

    Parameters
    ----------
    module : the module that has the tensor.
    name : the attribute.
    dim : one norm for each index of this axis; None for one norm of the whole.

    Raises ``ValueError`` without such a tensor, ``IndexError`` for a ``dim`` it lacks.

    >>> import minireg as mr
    >>> layer = weight_norm(mr.nn.Linear(3, 2))
    >>> [(name, p.shape) for name, p in layer.named_parameters()][1:]
    [('parametrizations.weight.original0', (2, 1)), ('parametrizations.weight.original1', (2, 3))]
    """
    _check_dim("weight_norm", -1 if dim is None else dim, tensor_of(module, name))
    return register_parametrization(module, name, WeightNorm(dim))
