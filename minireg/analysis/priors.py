"""The priors that penalties stand for: densities, and posteriors with mode and mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import nn
from ..backend import Array
from ..messages import check_option
from ..ops.error_function import erfc
from ..penalties import L1, L2, Penalty
from ..random import Stream
from ..tensor import Tensor
from .inputs import paired
from .solver import solve

CHAINS = 20  # of the Gibbs sampler; the error of their mean is their spread over √(CHAINS − 1)


class Posterior(NamedTuple):
    """What a prior's ``posterior`` returns: arrays (d,) on the host, in float64 (claims C118–C120).

    A named tuple (``AttributeError`` on assignment).

    Attributes
    ----------
    mode : the maximum a posteriori, which the penalised fit finds.
    mean : the posterior mean.
    error : standard error of ``mean`` by sampling, 0 where it is exact.

    >>> import minireg as mr
    >>> mr.implicit.Gaussian(1.0).posterior([[1.0]], [3.0])
    Posterior(mode=array([1.5]), mean=array([1.5]), error=array([0.]))
    """

    mode: Array
    mean: Array
    error: Array


@dataclass(frozen=True)
class Gaussian:
    """Each weight ~ N(0, std²), independently: the prior of L2 (claims C118, C119).

    Parameters
    ----------
    std : the standard deviation; ``ValueError`` unless finite and > 0.

    >>> import minireg as mr
    >>> prior = mr.implicit.Gaussian(std=2.0)
    >>> prior.penalty(n=100), prior.penalty(n=100, noise=3.0)
    (L2(0.0025): ½λ‖w‖², L2(0.045): ½λ‖w‖²)
    """

    std: float

    def __post_init__(self) -> None:
        check_option("Gaussian", "(0, inf)", std=self.std)

    def log_density(self, w: Array | Tensor) -> Any:
        """log p(w) = −½‖w/std‖² − n·log(std·√(2π)) of an array or a Tensor of n elements, a scalar.

        Differentiable for a Tensor.

        >>> float(Gaussian(1.0).log_density(np.zeros(2)))  # −log 2π
        -1.8378770664093453
        """
        return -0.5 * np.square(w / self.std).sum() - w.size * math.log(
            self.std * math.sqrt(math.tau)
        )

    def penalty(self, n: int, noise: float | None = None) -> Penalty:
        """The L2 with which loss + penalty is −log posterior, up to a factor and a constant.

        Parameters
        ----------
        n : number of samples, ≥ 1.
        noise : None for a loss that is the mean of n negative log likelihoods (cross entropy):
            λ = 1/(n·std²). Or the standard deviation > 0 of the Gaussian noise of a regression with
            MSELoss: λ = 2·noise²/(n·std²).

        ``ValueError`` for other n and noise.
        """
        return L2(_per_loss(n, noise) / self.std**2)

    def posterior(self, x: ArrayLike, y: ArrayLike, noise: float = 1.0) -> Posterior:
        """The posterior of w in y = Xw + N(0, noise²): mode and mean are both ridge's solution.

        x is (N, d), y is (N,), ``noise`` a standard deviation > 0; ``ValueError`` otherwise.

        >>> Gaussian(1.0).posterior([[1.0], [1.0]], [2.0, 4.0]).mean
        array([2.])
        """
        inputs, targets = paired("posterior", x, y)
        check_option("posterior", "(0, inf)", noise=noise)
        ridge = np.eye(inputs.shape[1]) * (noise / self.std) ** 2
        mean = np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ targets)
        return Posterior(mean, mean, np.zeros_like(mean))


@dataclass(frozen=True)
class Laplace:
    """Each weight has density exp(−|w|/scale)/(2·scale): the prior of L1 (claims C118, C120).

    Parameters
    ----------
    scale : the mean of |w|; ``ValueError`` unless finite and > 0.

    >>> import minireg as mr
    >>> mr.implicit.Laplace(scale=0.5).penalty(n=100)
    L1(0.02): λ‖w‖₁
    """

    scale: float

    def __post_init__(self) -> None:
        check_option("Laplace", "(0, inf)", scale=self.scale)

    def log_density(self, w: Array | Tensor) -> Any:
        """log p(w) = −‖w‖₁/scale − n·log(2·scale) of an array or a Tensor of n elements, a scalar.

        Differentiable for a Tensor.

        >>> float(Laplace(0.5).log_density(np.array([1.0, -2.0])))
        -6.0
        """
        return -np.abs(w / self.scale).sum() - w.size * math.log(2 * self.scale)

    def penalty(self, n: int, noise: float | None = None) -> Penalty:
        """L1 with λ = 1/(n·scale), or 2·noise²/(n·scale), as :meth:`Gaussian.penalty`."""
        return L1(_per_loss(n, noise) / self.scale)

    def posterior(
        self, x: ArrayLike, y: ArrayLike, noise: float = 1.0, *, draws: int = 500, seed: int = 0
    ) -> Posterior:
        """The posterior of w in y = Xw + N(0, noise²): zeros in the mode, none in the mean (C120).

        Parameters
        ----------
        x, y, noise : (N, d), (N,) and a standard deviation > 0; ``ValueError`` otherwise.
        draws, seed : of each chain, ≥ 1, after as many to forget the start; where nothing is
            sampled they have no effect.

        The mode by :func:`minireg.solve`. The mean in closed form if the columns of x are
        orthogonal (Pericchi & Smith 1992), otherwise by Gibbs
        sampling in 20 independent chains (Park & Casella 2008), whose spread gives ``error``.
        ``RuntimeError`` if the mode is not found, for columns of very different scales.

        >>> found = Laplace(1.0).posterior(np.eye(2), [0.5, 3.0])
        >>> found.mode, found.mean.round(3)
        (array([0., 2.]), array([0.241, 2.026]))
        """
        inputs, targets = paired("posterior", x, y)
        check_option("posterior", "(0, inf)", noise=noise)
        check_option("posterior", 1, draws=draws)
        n, d = inputs.shape
        stream, cross, gram = Stream("posterior", seed), inputs.T @ targets, inputs.T @ inputs
        model = nn.Linear(d, 1, bias=False, dtype=np.float64, generator=stream)
        tol, penalty = 1e-11 * float(np.abs(cross).max() / n) or 1e-10, self.penalty(n, noise)
        found = solve(model, nn.MSELoss(), penalty, inputs, targets[:, None], tol=tol)
        if not found.converged:
            raise RuntimeError(
                f"posterior: the mode's certificate is still {found.certificate:.1e} after "
                f"{found.steps} steps; bring the columns of x to one scale"
            )
        size = np.diag(gram)
        if size.min() > 0 and np.abs(gram - np.diag(size)).max() <= 1e-14 * size.max():
            mean = _shrunk(cross / size, noise / np.sqrt(size), self.scale)
            return Posterior(model.weight.numpy()[0], mean, np.zeros_like(mean))
        means = self._gibbs(gram / noise**2, cross / noise**2, draws, stream)
        error = means.std(axis=0) / math.sqrt(CHAINS - 1)
        return Posterior(model.weight.numpy()[0], means.mean(axis=0), error)

    def _gibbs(self, gram: Array, cross: Array, draws: int, stream: Stream) -> Array:
        """Means of the chains (CHAINS, d): |w| is the cost of a Gaussian of random variance τ²."""
        total = np.zeros((CHAINS, len(cross)))
        inverse = total + self.scale**-2  # 1/τ²
        for step in range(2 * draws):
            precision = gram + inverse[:, :, None] * np.eye(len(cross))
            mean = np.linalg.solve(precision, cross[:, None])
            root = np.linalg.cholesky(precision).transpose(0, 2, 1)
            w = (mean + np.linalg.solve(root, stream.normal(mean.shape)))[..., 0]
            total += mean[..., 0] * (step >= draws)  # less noisy than w
            inverse = _inverse_gaussian(self.scale, w, stream)
        return total / draws


def _per_loss(n: int, noise: float | None) -> float:
    check_option("penalty", 1, n=n)
    check_option("penalty", "(0, inf)", noise=1.0 if noise is None else noise)
    return 1 / n if noise is None else 2 * noise**2 / n


def _inverse_gaussian(scale: float, w: Array, stream: Stream) -> Array:
    """1/τ² given w: inverse Gaussian, mean 1/(scale·|w|), shape 1/scale² (Michael et al. 1976)."""
    mean = 1 / (scale * np.abs(w))
    t = mean * scale**2 * stream.normal(w.shape) ** 2 / 2
    low = mean / (1 + t + np.sqrt(t * (2 + t)))
    return np.where(stream.uniform(0, 1, w.shape) * (mean + low) <= mean, low, mean * (mean / low))


def _shrunk(w: Array, std: Array, scale: float) -> Array:
    """Posterior mean of a weight whose likelihood is N(w, std²); with clip for tanh, the mode."""
    threshold, width = std**2 / scale, std * math.sqrt(2)
    odds = _log_erfcx((threshold - w) / width) - _log_erfcx((threshold + w) / width)
    return w - threshold * np.tanh(odds / 2)


def _log_erfcx(z: Array) -> Array:
    """log(exp(z²)·erfc(z)), for any z of float64 without overflow."""
    a = np.abs(z)
    near, q = erfc(np.minimum(a, 100.0), 1.0), 0.5 / np.maximum(a, 100.0) ** 2
    tail = (1 - q * (1 - 3 * q * (1 - 5 * q))) / np.maximum(a, 100.0) / math.sqrt(math.pi)
    scaled = np.where(
        a < 100, near, tail
    )  # from the asymptotic series, which ends at rounding here
    return np.where(z < 0, z * z + np.log(2 - np.exp(-z * z) * scaled), np.log(scaled))
