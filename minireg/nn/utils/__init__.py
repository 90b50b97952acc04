"""Helpers that change a module: spectral and weight norm, and the mechanism behind them."""

from . import parametrizations, parametrize
from .parametrizations import spectral_norm, weight_norm
from .parametrize import is_parametrized, register_parametrization, remove_parametrizations

__all__ = [
    "is_parametrized", "parametrizations", "parametrize", "register_parametrization",
    "remove_parametrizations", "spectral_norm", "weight_norm",
]  # fmt: skip
