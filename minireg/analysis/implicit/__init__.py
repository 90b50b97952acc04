r"""Hidden regularizers made explicit: what noise, norms, few steps and finite steps add to a loss.

Nobody writes these terms down, yet training follows them: the penalty that dropout is on average,
the parts of a gradient that BatchNorm takes away, the shrinkage that stopping early does and the
ridge that does the same, the slope that a finite step adds, the solution that gradient descent
prefers among many, and the prior for which a penalty stands. (Label smoothing is a row of its own
in an :class:`~minireg.Objective` and its ledger.)

Linear algebra is done where the array lives; what solves or samples works on the host in float64.
"""

from ..priors import Gaussian, Laplace, Posterior
from ..ranks import effective_rank, stable_rank
from .descent import (
    MaxMargin,
    StoppingSpectrum,
    angle,
    degrees_of_freedom,
    early_stopping_filter,
    early_stopping_spectrum,
    equivalent_strength,
    max_margin,
    nearest_interpolant,
    ridge_filter,
    step_penalty,
)
from .dropout import DropoutEffect, dropout_effect, dropout_penalty
from .normalization import (
    NormGradient,
    batchnorm_gradient,
    effective_lr,
    layernorm_gradient,
    norm_gradient,
    rmsnorm_gradient,
    tangential,
)

__all__ = [
    "DropoutEffect", "Gaussian", "Laplace", "MaxMargin", "NormGradient", "Posterior",
    "StoppingSpectrum", "angle", "batchnorm_gradient", "degrees_of_freedom", "dropout_effect",
    "dropout_penalty", "early_stopping_filter", "early_stopping_spectrum", "effective_lr",
    "effective_rank", "equivalent_strength", "layernorm_gradient", "max_margin",
    "nearest_interpolant", "norm_gradient", "ridge_filter", "rmsnorm_gradient", "stable_rank",
    "step_penalty", "tangential",
]  # fmt: skip
