"""Capacity of a weight by its singular values: ranks that are no integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..ops.arrays import svd
from .inputs import floating


def stable_rank(w: ArrayLike) -> float:
    """‖W‖_F²/‖W‖₂²: at most the rank, and blind to tiny singular values (claim C98).

    W is (m, n), or (m, …) as the weight of a convolution, whose axes after the first count as one.
    0 for W = 0. ``TypeError`` for what is no array of numbers, ``LinAlgError`` if one is NaN or
    inf.

    >>> import minireg as mr
    >>> mr.implicit.stable_rank(np.diag([2.0, 1.0]))
    1.25
    """
    s = svd(floating(w, "w"))[1]
    return float(((s / (s.max() or 1.0)) ** 2).sum())


def effective_rank(w: ArrayLike) -> float:
    """exp of the entropy of σ/Σσ: the rank if all singular values are equal (Roy & Vetterli 2007).

    Shapes and errors (``TypeError``, ``LinAlgError``) as for :func:`stable_rank`; 0 for W = 0.

    >>> import minireg as mr
    >>> round(mr.implicit.effective_rank(np.diag([3.0, 3.0, 0.0])), 10)
    2.0
    """
    s = svd(floating(w, "w"))[1]
    share = s / (s.sum() or 1.0)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum()
    return float(np.exp(entropy)) if s.any() else 0.0
