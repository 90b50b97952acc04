"""The priors that penalties stand for: densities, and posteriors with mode and mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from ..backend import Array
from ..messages import check_option
from ..penalties import L1, L2, Penalty
from ..random import Stream
from .inputs import paired
from .solver import solve

CHAINS = 20  # of a Gibbs sampler, whose spread is the error of their mean


class Posterior(NamedTuple):
    """The posterior's ``mode`` (MAP) and ``mean``, (d,), and the mean's standard ``error``."""

    mode: Array
    mean: Array
    error: Array


@dataclass(frozen=True)
class Gaussian:
    """Each weight ~ N(0, std²), independently: what L2 stands for (claims C118, C119).

    >>> prior = Gaussian(std=2.0)
    >>> prior.penalty(n=100), prior.penalty(n=100, noise=3.0)
    (L2(0.0025): ½λ‖w‖², L2(0.045): ½λ‖w‖²)
    """

    std: float

    def __post_init__(self) -> None:
        check_option("Gaussian", "(0, inf)", std=self.std)

    def log_density(self, w: Any) -> Any:
        """log p(w), summed over the weights; differentiable for a Tensor."""
        return -0.5 * np.square(w / self.std).sum() - w.size * math.log(
            self.std * math.sqrt(math.tau)
        )

    def penalty(self, n: int, noise: float | None = None) -> Penalty:
        """L2 so that loss + penalty is the negative log posterior, up to a factor and a constant.

        For a loss that is the mean of n negative log likelihoods (cross entropy) λ = 1/(n·std²);
        for MSELoss and Gaussian noise of standard deviation ``noise`` λ = 2·noise²/(n·std²).
        """
        return L2(_per_loss(n, noise) / self.std**2)

    def posterior(self, x: Any, y: Any, noise: float = 1.0) -> Posterior:
        """Of w in y = Xw + N(0, noise²): mode and mean are the same, ridge's solution.

        >>> Gaussian(1.0).posterior([[1.0], [1.0]], [2.0, 4.0]).mean
        array([2.])
        """
        x, y = paired("posterior", x, y)
        check_option("posterior", "(0, inf)", noise=noise)
        ridge = np.eye(x.shape[1]) * (noise / self.std) ** 2
        mean = np.linalg.solve(x.T @ x + ridge, x.T @ y)
        return Posterior(mean, mean, np.zeros_like(mean))


@dataclass(frozen=True)
class Laplace:
    """Each weight has density exp(−|w|/scale)/(2·scale): what L1 stands for (claims C118, C120).

    >>> Laplace(scale=0.5).penalty(n=100)
    L1(0.02): λ‖w‖₁
    """

    scale: float

    def __post_init__(self) -> None:
        check_option("Laplace", "(0, inf)", scale=self.scale)

    def log_density(self, w: Any) -> Any:
        """log p(w), summed over the weights; differentiable for a Tensor."""
        return -np.abs(w / self.scale).sum() - w.size * math.log(2 * self.scale)

    def penalty(self, n: int, noise: float | None = None) -> Penalty:
        """L1, with λ = 1/(n·scale), or 2·noise²/(n·scale) for MSELoss, as for the Gaussian."""
        return L1(_per_loss(n, noise) / self.scale)

    def posterior(
        self, x: Any, y: Any, noise: float = 1.0, *, draws: int = 500, seed: int = 0
    ) -> Posterior:
        """Of w in y = Xw + N(0, noise²): the mode has exact zeros, the mean has none (claim C120).

        The mode by :func:`minireg.solve`. The mean in closed form if the columns of x are
        orthogonal (Pericchi & Smith 1992), otherwise by Gibbs sampling in 20 independent chains of
        ``draws`` each, after as many to forget the start (Park & Casella 2008); ``error`` comes
        from their spread.

        >>> found = Laplace(1.0).posterior(np.eye(2), [0.5, 3.0])
        >>> found.mode, found.mean.round(3)
        (array([0., 2.]), array([0.241, 2.026]))
        """
        x, y = paired("posterior", x, y)
        check_option("posterior", "(0, inf)", noise=noise)
        check_option("posterior", 1, draws=draws)
        stream, cross, gram = Stream("posterior", seed), x.T @ y, x.T @ x
        model = nn.Linear(x.shape[1], 1, bias=False, dtype=np.float64, generator=stream)
        tol = 1e-11 * float(np.abs(cross).max() / len(x)) or 1e-10
        found = solve(model, nn.MSELoss(), self.penalty(len(x), noise), x, y[:, None], tol=tol)
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
    """Posterior mean of a weight whose likelihood is N(w, std²); tanh → clip would be the mode."""
    try:
        from scipy.special import erfcx
    except ImportError as error:
        raise ImportError("posterior needs SciPy: pip install 'minireg[lessons]'") from error
    threshold, width = std**2 / scale, std * math.sqrt(2)
    odds = np.log(erfcx((threshold - w) / width)) - np.log(erfcx((threshold + w) / width))
    return w - threshold * np.tanh(odds / 2)
