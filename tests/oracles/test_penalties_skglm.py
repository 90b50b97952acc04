"""MCP, SCAD, LogSum and SLOPE against skglm: value, prox, and solutions where there is one only."""

import numpy as np
import pytest

import minireg as mr
from minireg import nn
from minireg.penalties import MCP, SCAD, SLOPE, LogSum

skglm = pytest.importorskip("skglm")
theirs = pytest.importorskip("skglm.penalties")
solvers = pytest.importorskip("skglm.solvers")

# label: (penalty of strength s, skglm's, how far it bends down)
PAIRED = {
    "MCP": (lambda s, gamma: MCP(s, gamma=gamma), theirs.MCPenalty, lambda gamma: 1 / gamma),
    "SCAD": (lambda s, a: SCAD(s, a=a), theirs.SCAD, lambda a: 1 / (a - 1)),
}
paired = pytest.mark.parametrize("label", PAIRED)


def half_mse(output, target):
    """skglm's loss, ½ mean squared error."""
    return 0.5 * nn.functional.mse_loss(output, target)


def regression(correlated=0.3):
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky((1 - correlated) * np.eye(15) + correlated)
    x = rng.normal(size=(200, 15)) @ root.T
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    truth = np.zeros(15)
    truth[[0, 3, 8, 11]] = 1.5, -1.0, 0.5, 0.25
    y = x @ truth + 0.5 * rng.normal(size=200)
    return x, y - y.mean()


def own(penalty, x, y, start=0.0):
    model = nn.Linear(x.shape[1], 1, bias=False).to(np.float64)
    model.weight.assign(start)
    solution = mr.solve(model, half_mse, penalty, x, y[:, None], tol=1e-11, max_steps=100_000)
    return model.weight.numpy()[0].copy(), solution


def by_skglm(penalty, x, y):
    solver = solvers.AndersonCD(tol=1e-12, max_iter=500, max_epochs=100_000, fit_intercept=False)
    model = skglm.GeneralizedLinearEstimator(skglm.datafits.Quadratic(), penalty, solver)
    return model.fit(x, y).coef_.ravel()


@paired
def test_value_and_prox(label):
    make, other, bend = PAIRED[label]
    v = np.random.default_rng(1).normal(size=300) * 3
    for s, shape in ((0.5, 3.0), (1.2, 3.7), (0.1, 1.5)):
        mine, skglms = make(s, shape), other(s, shape)
        assert mine.value(v) == pytest.approx(skglms.value(v), rel=1e-12)
        for step in (0.01, 0.3, 0.9 / bend(shape)):
            want = [skglms.prox_1d(x, step, 0) for x in v]
            np.testing.assert_allclose(mine.prox(v, step), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("eps", [0.1, 1.0, 3.0])
def test_value_and_prox_of_the_log_sum(eps):
    """Also where the prox jumps; skglm bisects to 1e-8 for the place."""
    v = np.random.default_rng(1).normal(size=300) * 3
    mine, skglms = LogSum(0.5, eps), theirs.LogSumPenalty(0.5, eps)
    assert mine.value(v) == pytest.approx(skglms.value(v), rel=1e-12)
    for step in (0.01, 0.3, 2.0):
        want = [skglms.prox_1d(x, step, 0) for x in v]
        np.testing.assert_allclose(mine.prox(v, step), want, rtol=0, atol=1e-12)


@paired
def test_path_where_the_objective_is_strictly_convex(label):
    """The loss bends up by at least μ > ρ, so there is one solution: the same on the whole path."""
    make, other, bend = PAIRED[label]
    x, y = regression()
    lowest = np.linalg.eigvalsh(x.T @ x / len(x))[0]
    shape = {"MCP": 1.25, "SCAD": 1 + 1.25}[label] if lowest > 1 else 1.25 / lowest + 1
    assert bend(shape) < lowest
    top, supports = np.abs(x.T @ y / len(x)).max(), set()
    for s in top * np.geomspace(1.0, 1e-2, 12):
        weight, solution = own(make(s, shape), x, y)
        assert solution.certificate <= 1e-10
        np.testing.assert_allclose(weight, by_skglm(other(s, shape), x, y), rtol=0, atol=1e-6)
        supports.add(int((weight != 0).sum()))
    assert len(supports) >= 5  # from no weight to nearly all


@paired
def test_elsewhere_both_are_stationary_and_their_values_are_shown(label):
    """Not convex: two solvers may end at two points; each must be stationary, by our certificate."""
    make, other, bend = PAIRED[label]
    x, y = regression(correlated=0.9)
    lowest, shape = np.linalg.eigvalsh(x.T @ x / len(x))[0], 1.5
    assert bend(shape) > 2 * lowest
    for share in (0.3, 0.1, 0.03):
        penalty = make(share * np.abs(x.T @ y / len(x)).max(), shape)
        mine, solution = own(penalty, x, y)
        coef = by_skglm(other(penalty.strength, shape), x, y)

        def value(w, penalty=penalty):
            return 0.5 * np.square(x @ w - y).mean() + penalty.value(w)

        away = float(penalty.subdiff_distance(coef, x.T @ (x @ coef - y) / len(x)))
        print(
            f"{label} λ = {penalty.strength:.3g}: value {value(mine):.6f} (certificate "
            f"{solution.certificate:.0e}), skglm {value(coef):.6f} ({away:.0e})"
        )
        assert solution.certificate <= 1e-8
        assert away <= 1e-6
        assert solution.value == pytest.approx(value(mine), rel=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.02])
def test_slope(share):
    x, y = regression()
    weights, v = np.linspace(2, 0.5, 15), np.random.default_rng(2).normal(size=15) * 3
    penalty = SLOPE(1.0, weights)
    penalty.strength = share * float(penalty.max_strength(x.T @ y / len(x)))
    other = theirs.SLOPE(penalty.strength * weights)
    assert penalty.value(v) == pytest.approx(other.value(v), rel=1e-12)
    np.testing.assert_allclose(penalty.prox(v, 0.7), other.prox_vec(v, 0.7), rtol=0, atol=1e-12)
    weight, solution = own(penalty, x, y)
    assert solution.certificate <= 1e-10
    solver = solvers.FISTA(max_iter=20_000, tol=1e-12, opt_strategy="fixpoint")
    model = skglm.GeneralizedLinearEstimator(skglm.datafits.Quadratic(), other, solver)
    np.testing.assert_allclose(weight, model.fit(x, y).coef_.ravel(), rtol=0, atol=1e-6)
