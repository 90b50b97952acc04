"""Penalties: each as value, gradient, prox, certificate, formula and prior."""

from ..ops.table import TABLE
from .base import Coefficient, Formula, Penalty, Strength
from .calculus import Composed, conjugate, plus_quadratic, scaled, translated
from .constraints import Box, L1Ball, L2Ball, MaxNorm, NonNegative, Simplex, SpectralBall
from .elementwise import L0, L1, L2, ElasticNet, soft_threshold
from .groups import FrobeniusNorm, GroupLasso, SparseGroupLasso
from .nonconvex import MCP, SCAD, LogSum
from .ordered import SLOPE, TotalVariation
from .path import PathNorm
from .quadratic import Quadratic
from .samples import samples
from .spectral import NuclearNorm, Orthogonality, SpectralNorm

TABLE["penalty"].samples = samples  # what a penalty is knows none of them

__all__ = [
    "L0", "L1", "L2", "MCP", "SCAD", "SLOPE", "Box", "Coefficient", "Composed", "ElasticNet",
    "Formula", "FrobeniusNorm", "GroupLasso", "L1Ball", "L2Ball", "LogSum", "MaxNorm",
    "NonNegative", "NuclearNorm", "Orthogonality", "PathNorm", "Penalty", "Quadratic", "Simplex",
    "SparseGroupLasso", "SpectralBall", "SpectralNorm", "Strength", "TotalVariation", "conjugate",
    "plus_quadratic", "scaled", "soft_threshold", "translated",
]  # fmt: skip
