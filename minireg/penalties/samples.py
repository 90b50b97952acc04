"""Samples of the op "penalty": every penalty with a gradient, away from its kinks."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import L1, L2, ElasticNet
from .groups import FrobeniusNorm, GroupLasso, SparseGroupLasso
from .nonconvex import MCP, SCAD, LogSum
from .ordered import SLOPE, TotalVariation
from .path import PathNorm
from .quadratic import Quadratic
from .spectral import NuclearNorm, Orthogonality

BENDS = np.diff(np.eye(12), 2, axis=0)  # of a weight of 12 elements
SMOOTH = (
    L2(0.3), L1(0.3), ElasticNet(0.2, 0.4), GroupLasso(0.3), GroupLasso(0.3, axis=0, scale="none"),
    GroupLasso(0.3, groups=[[0, 5, 2], [7, 1]]), SparseGroupLasso(0.2, 0.3), FrobeniusNorm(0.3),
    NuclearNorm(0.3), Quadratic(0.3, BENDS.T @ BENDS), MCP(0.3), SCAD(0.3),
    SLOPE(0.3, np.arange(12, 0, -1)), LogSum(0.3, 0.5), Orthogonality(0.3), TotalVariation(0.3),
)  # fmt: skip
CHAIN = PathNorm(0.3)


def samples(rng: Any) -> list[tuple[Any, ...]]:
    """Argument tuples as :func:`minireg.op` describes them."""
    w = rng.uniform(0.2, 2, (3, 4)) * rng.choice([-1.0, 1.0], (3, 4))
    chain = (w, rng.normal(size=(2, 3)), rng.normal(size=(3, 2)))
    return [*((w, {"penalty": penalty}) for penalty in SMOOTH), (*chain, {"penalty": CHAIN})]
