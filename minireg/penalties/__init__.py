"""Penalties: each as value, gradient, prox, certificate, formula and prior."""

from .base import Formula, Penalty
from .elementwise import L1, L2, ElasticNet, soft_threshold

__all__ = ["L1", "L2", "ElasticNet", "Formula", "Penalty", "soft_threshold"]
