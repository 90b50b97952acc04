"""Capacity of a weight by its singular values: ranks that are no integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.arrays import svd
from .inputs import floating


def stable_rank(w: Any) -> float:
    """‖W‖_F²/‖W‖₂², at most the rank and blind to tiny singular values; 0 of W = 0 (claim C98).

    Axes behind the first count as one, as for the weight of a convolution.

    >>> stable_rank(np.diag([2.0, 1.0]))
    1.25
    """
    s = svd(floating(w, "w"))[1]
    return float(((s / (s.max() or 1.0)) ** 2).sum())


def effective_rank(w: Any) -> float:
    """exp of the entropy of σ/Σσ: the rank if all singular values are equal (Roy & Vetterli 2007).

    0 of W = 0; axes behind the first count as one.

    >>> round(effective_rank(np.diag([3.0, 3.0, 0.0])), 10)
    2.0
    """
    s = svd(floating(w, "w"))[1]
    share = s / (s.sum() or 1.0)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum()
    return float(np.exp(entropy)) if s.any() else 0.0
