"""SLOPE over all orders and all ways to pool, TotalVariation over all ways to cut."""

import itertools

import numpy as np
import pytest

import minireg as mr
from minireg import nn
from minireg.penalties import L1, SLOPE, TotalVariation
from minireg.penalties.ordered import falling, fewer_jumps

WEIGHTS = np.array([3.0, 2.0, 2.0, 0.5, 0.0])


def by_all_pools(z):
    """The nearest non-increasing sequence: the best of the 2ⁿ⁻¹ ways to make neighbours equal."""
    best, found = np.inf, z
    for cuts in itertools.product([False, True], repeat=len(z) - 1):
        pools = np.split(z, np.flatnonzero(cuts) + 1)
        u = np.concatenate([np.full(len(p), p.mean()) for p in pools])
        if (np.diff(u) <= 0).all() and (far := ((u - z) ** 2).sum()) < best:
            best, found = far, u
    return found


def test_pooling_is_the_nearest_of_all_non_increasing_sequences():
    rng = np.random.default_rng(0)
    for n in range(1, 9):
        for z in (
            rng.normal(size=n),
            np.round(2 * rng.normal(size=n)),
            np.arange(n) + 0.0,
            np.ones(n),
        ):
            np.testing.assert_allclose(falling(z), by_all_pools(z), rtol=0, atol=1e-12)
    assert falling(np.zeros(0)).shape == (0,)


def test_pooling_of_many_is_that_of_scikit_learn():
    isotonic = pytest.importorskip("sklearn.isotonic")
    z = np.random.default_rng(1).normal(size=2000) - np.linspace(0, 2, 2000)
    want = isotonic.isotonic_regression(z, increasing=False)
    np.testing.assert_allclose(falling(z), want, rtol=0, atol=1e-12)


def test_value_is_the_largest_over_all_orders():
    """Rearrangement: no other pairing of sizes and weights is worth more."""
    for w in np.random.default_rng(2).normal(size=(5, 5)):
        all_orders = [
            (WEIGHTS * np.abs(w[list(p)])).sum() for p in itertools.permutations(range(5))
        ]
        assert SLOPE(0.7, WEIGHTS).value(w) == pytest.approx(0.7 * max(all_orders), rel=1e-14)


def test_weights_that_fall_in_a_line_are_oscar():
    """Bondell & Reich (2008): c₁‖w‖₁ + c₂ Σ_{j<k} max(|w_j|, |w_k|)."""
    w = np.random.default_rng(3).normal(size=6)
    pairs = sum(max(abs(a), abs(b)) for a, b in itertools.combinations(w, 2))
    line = 0.4 + 0.3 * np.arange(5, -1, -1)
    assert SLOPE(1.0, line).value(w) == pytest.approx(
        0.4 * np.abs(w).sum() + 0.3 * pairs, rel=1e-14
    )


@pytest.mark.slow
def test_prox_is_the_best_of_all_orders_signs_and_pools():
    """Sorted sizes less the weights, pooled by brute force and cut at 0, for every order of u."""
    rng = np.random.default_rng(4)
    worst = 0.0
    for i in range(60):
        v, t = 3 * rng.normal(size=5), rng.uniform(0.05, 2)
        v = np.round(v) if i % 3 == 0 else v  # ties and zeros
        penalty, best, found = SLOPE(0.6, WEIGHTS), np.inf, v
        for order in itertools.permutations(range(5)):
            place = list(order)
            u = np.zeros(5)
            u[place] = np.maximum(by_all_pools(np.abs(v)[place] - t * 0.6 * WEIGHTS), 0)
            u *= np.sign(v)
            value = 0.5 * ((u - v) ** 2).sum() + t * penalty.value(u)
            if value < best:
                best, found = value, u
        worst = max(worst, np.abs(penalty.prox(v, t) - found).max())
    assert worst < 1e-8


def test_correlated_features_get_one_size():
    """The tie is exact, and L1 of the same mean weight has none."""
    rng = np.random.default_rng(5)
    common = rng.normal(size=(100, 1))
    x = np.hstack([common + 0.05 * rng.normal(size=(100, 3)), rng.normal(size=(100, 3))])
    y = x[:, :3].sum(axis=1, keepdims=True) + 0.1 * rng.normal(size=(100, 1))
    sizes = []
    for penalty in (SLOPE(0.2, np.linspace(2, 0.1, 6)), L1(0.2)):
        model = nn.Linear(6, 1, bias=False).to(np.float64)
        solution = mr.solve(model, nn.MSELoss(), penalty, x, y)
        assert solution.certificate <= 1e-10
        sizes.append(np.abs(model.weight.numpy()[0, :3]))
    assert len(set(sizes[0])) == 1
    assert len(set(sizes[1])) == 3


def test_a_path_starts_where_all_is_zero():
    rng = np.random.default_rng(6)
    x, model = rng.normal(size=(60, 8)), nn.Linear(8, 1).to(np.float64)
    y = x[:, :2].sum(axis=1, keepdims=True)
    found = mr.path(model, nn.MSELoss(), SLOPE(0.0, np.linspace(2, 1, 8)), x, y, strengths=6)
    assert max(s.certificate for s in found.solutions) <= 1e-10
    assert found.nonzero[0] == 0
    assert found.nonzero[1] > 0


# --- total variation ------------------------------------------------------------------------------


def by_all_pieces(y, lam):
    """The exact minimiser: for every way to cut y into constant pieces and every direction of the
    jumps the levels are known; the lowest value whose jumps go in these directions."""
    best, found = np.inf, y
    for jumps in itertools.product([-1, 0, 1], repeat=len(y) - 1):
        cuts = np.flatnonzero(jumps) + 1
        signs = np.array([0, *(s for s in jumps if s), 0])
        pieces = np.split(y, cuts)
        levels = [
            p.mean() - lam * (a - b) / len(p)
            for p, a, b in zip(pieces, signs, signs[1:], strict=False)
        ]
        if (np.sign(np.diff(levels)) == signs[1:-1]).all():
            u = np.concatenate([np.full(len(p), x) for p, x in zip(pieces, levels, strict=True)])
            value = 0.5 * ((u - y) ** 2).sum() + lam * np.abs(np.diff(u)).sum()
            if value < best:
                best, found = value, u
    return found


def test_fewer_jumps_is_the_best_of_all_ways_to_cut():
    rng = np.random.default_rng(7)
    for n in range(1, 7):
        for y in (
            rng.normal(size=n),
            np.round(2 * rng.normal(size=n)),
            np.arange(n) + 0.0,
            np.zeros(n),
        ):
            for lam in (0.0, 1e-20, 0.1, 0.7, 3.0):
                got = fewer_jumps(y, lam)
                np.testing.assert_allclose(got, by_all_pieces(y, lam), rtol=0, atol=1e-12)


@pytest.mark.parametrize("lam", [1e-300, 1e-12, 0.3, 5.0, 1e6])
@pytest.mark.parametrize("size", [1e-8, 1.0, 1e9])
def test_fewer_jumps_of_many_has_a_dual_that_proves_it(lam, size):
    """u = y − Dᵀz with |z| ≤ lam, and z = ±lam where u jumps: that is the whole optimality."""
    rng = np.random.default_rng(8)
    for y in (size * rng.normal(size=500), size * rng.normal(size=500).cumsum()):
        u = fewer_jumps(y, lam)
        z = np.cumsum(u - y)
        rounding = 1e-12 * size * 500
        assert abs(z[-1]) <= rounding
        assert np.abs(z).max() <= lam + rounding
        jumps = np.diff(u)
        assert (lam * np.abs(jumps) - z[:-1] * jumps).sum() <= rounding * (1 + np.abs(jumps).sum())


def test_each_line_along_the_axis_for_itself():
    w = np.random.default_rng(9).normal(size=(3, 4, 5))
    for axis in range(3):
        lines = np.moveaxis(w, axis, -1).reshape(-1, w.shape[axis])
        penalty = TotalVariation(0.4, axis=axis)
        want = sum(0.4 * np.abs(np.diff(line)).sum() for line in lines)
        assert penalty.value(w) == pytest.approx(want, rel=1e-13)
        found = np.moveaxis(penalty.prox(w, 0.5), axis, -1).reshape(lines.shape)
        for line, u in zip(lines, found, strict=True):
            np.testing.assert_array_equal(u, fewer_jumps(line, 0.2))
    assert repr(TotalVariation(0.4)) == "TotalVariation(0.4, axis=-1): λ Σ|w_(i+1) − w_i|"
    assert TotalVariation(0.4).prox(np.zeros((3, 0)), 1.0).shape == (3, 0)


def test_a_step_is_found_again_in_noise():
    """Denoising through solve: the certificate is small and the differences are exactly 0."""
    truth = np.repeat([0.0, 2.0, 1.0], 20)
    y = truth + 0.2 * np.random.default_rng(10).normal(size=60)
    model = nn.Linear(60, 1, bias=False).to(np.float64)
    solution = mr.solve(model, nn.MSELoss(), TotalVariation(0.03), np.eye(60), y[:, None])
    assert solution.certificate <= 1e-10
    found = model.weight.numpy()[0]
    np.testing.assert_allclose(found, fewer_jumps(y, 0.03 * 60 / 2), atol=1e-8)
    assert (np.diff(found) != 0).sum() < 8
    assert np.abs(found - truth).mean() < 0.5 * np.abs(y - truth).mean()
