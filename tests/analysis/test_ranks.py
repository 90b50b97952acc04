"""Ranks that are no integers: what is known of them."""

import math

import numpy as np
import pytest
from support.arrays import draw

import minireg as mr
from minireg.analysis.implicit import (
    effective_rank,
    stable_rank,
)


def test_ranks_of_what_is_known():
    q = np.linalg.qr(draw(5, 5))[0]
    for rank in (stable_rank, effective_rank):
        assert rank(q) == pytest.approx(5)
        assert rank(np.outer(q[0], q[1])) == pytest.approx(1)
        assert rank(np.zeros((3, 2))) == 0
        w = draw(6, 2, 3, seed=1)
        assert rank(w) == pytest.approx(rank(-1e-9 * w.reshape(6, 6)))
        assert 1 <= rank(w) <= 6
    w = draw(6, 4)
    s = np.linalg.svd(w)[1]
    assert stable_rank(mr.Tensor(w)) == pytest.approx((s**2).sum() / s[0] ** 2)
    p = s / s.sum()
    assert effective_rank(w) == pytest.approx(math.prod(p**-p))
