"""The constrained view: both forms meet, certificates tell, prices are slopes, misuse is explained."""

import itertools

import numpy as np
import pytest
from support.arrays import draw
from support.few import slow_unless

import minireg as mr
from minireg import constrained as c
from minireg import nn
from minireg.penalties import (
    L0,
    L1,
    L2,
    ElasticNet,
    FrobeniusNorm,
    GroupLasso,
    L1Ball,
    L2Ball,
    NuclearNorm,
    SparseGroupLasso,
    SpectralBall,
    SpectralNorm,
    translated,
)

MSE = nn.MSELoss()


X = draw(40, 5) * [1, 1, 0.5, 2, 1]
Y = X @ draw(5, 3, seed=1) + draw(40, 3, seed=2)


def problem(penalty, outputs=3, seed=0, **options):
    mr.manual_seed(seed)
    model = nn.Linear(5, outputs, bias=False).to(np.float64)
    return c.Problem(model, MSE, penalty, X, Y[:, :outputs], **options)


# each as given is Ω
PENALTIES = {
    "L2": L2(1.0), "twice L2": L2(2.0), "L2 around": L2(1.0, center=np.full((3, 5), 0.3)),
    "L1": L1(1.0), "ElasticNet": ElasticNet(0.5, 0.8), "GroupLasso": GroupLasso(0.7, axis=0),
    "SparseGroupLasso": SparseGroupLasso(0.3, 0.3), "Frobenius": FrobeniusNorm(1.0),
    "nuclear": NuclearNorm(1.0), "spectral": SpectralNorm(1.0, method="svd"),
    "L1 around": translated(L1(1.0), np.full((3, 5), 0.3)),
}  # fmt: skip


EACH = slow_unless(  # of each penalty one of the two is slow
    lambda label, share: share == (0.2, 0.8)[[*PENALTIES].index(label) % 2],
    itertools.product(PENALTIES, (0.2, 0.8)),
)


@pytest.mark.parametrize(("label", "share"), EACH)
def test_price_and_budget_meet(label, share):
    both = problem(PENALTIES[label])
    budget = share * both.budget_of(0.0)
    strength = both.strength_of(budget)
    penalised = both.w.data.copy()
    assert strength > 0
    assert max(both.kkt(strength, budget)) <= 1e-7
    assert both.budget_of(strength) == pytest.approx(budget, rel=1e-9)
    assert both.shadow_price(budget) == pytest.approx(strength, rel=1e-6)
    fresh = problem(PENALTIES[label], seed=1)  # nothing known of the penalised solution
    assert fresh.constrained(budget).converged
    np.testing.assert_allclose(fresh.w.data, penalised, atol=1e-8)
    assert max(fresh.kkt(strength, budget)) <= 1e-7
    assert fresh.penalty.value(fresh.w.data) == pytest.approx(budget, rel=1e-12)


@pytest.mark.parametrize("label", PENALTIES)
def test_a_generous_budget_costs_nothing(label):
    both = problem(PENALTIES[label])
    budget = 1.5 * both.budget_of(0.0)
    free = both.w.data.copy()
    assert both.strength_of(budget) == 0
    assert both.constrained(budget).converged
    np.testing.assert_allclose(both.w.data, free, atol=1e-9)
    assert both.kkt(0.0, budget) == pytest.approx((0, 0, 0, 0), abs=1e-9)
    assert both.shadow_price(budget) == pytest.approx(0, abs=1e-9)


def test_ridge_in_closed_form():
    """C and λ for which (2XᵀX/n + λ) w = 2Xᵀy/n, the penalty being ½‖w‖²."""
    both, y = problem(L2(1.0), outputs=1), Y[:, :1]
    for strength in (0.03, 1.0, 40.0):
        w = np.linalg.solve(2 * X.T @ X / 40 + strength * np.eye(5), 2 * X.T @ y / 40)
        budget = (w**2).sum() / 2
        assert both.budget_of(strength) == pytest.approx(budget, rel=1e-8)
        assert both.strength_of(budget) == pytest.approx(strength, rel=1e-6)
        assert problem(L2(2.0), outputs=1).strength_of(2 * budget) == pytest.approx(
            strength / 2, rel=1e-6
        )


def test_logistic_and_a_free_bias():
    x, y = X[:, :4], (Y[:, :1] > 0.3).astype(float)
    model = nn.Linear(4, 1).to(np.float64)
    both = c.Problem(model, nn.BCEWithLogitsLoss(), L1(1.0), x, y)
    strength = both.strength_of(0.8)
    assert max(both.kkt(strength, 0.8)) <= 1e-8
    assert both.shadow_price(0.8) == pytest.approx(strength, rel=1e-6)
    residual = 1 / (1 + np.exp(-(x @ model.weight.data.T + model.bias.data))) - y
    assert residual.mean() == pytest.approx(0, abs=1e-9)  # the bias has no budget


# --- residuals ------------------------------------------------------------------------------------


def test_each_residual_by_hand():
    w, g = np.array([3.0, 4.0]), np.array([-1.0, 0.0])
    found = c.kkt(g, w, L2(1.0), multiplier=0.5, budget=12.0)  # Ω = 12.5
    assert found == pytest.approx((np.hypot(0.5, 2.0), 0.5, 0, 0.25))
    assert c.kkt(g, w, L2(1.0), multiplier=-0.5, budget=13.0) == pytest.approx(
        (np.hypot(-2.5, -2.0), 0, 0.5, 0.25)
    )
    assert c.kkt(mr.tensor(g), mr.tensor(w), L2(1.0), 0, 13) == pytest.approx((1, 0, 0, 0))
    assert found._fields == (
        "stationarity", "primal_feasibility", "dual_feasibility", "complementary_slackness",
    )  # fmt: skip


def test_a_negative_multiplier_at_a_kink():
    """−g in λ∂‖w‖₁ with λ = −2 means |g| ≤ 2 where w = 0."""
    g, w = np.array([1.5, 3.0]), np.array([0.0, 0.0])
    assert c.kkt(g, w, L1(1.0), -2.0, 1.0) == pytest.approx((1.0, 0, 2, 2))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_kkt_misuse(bad):
    w = np.ones(2)
    with pytest.raises(ValueError, match=r"kkt.*multiplier=.*expected finite"):
        c.kkt(w, w, L1(1.0), bad, 1.0)
    with pytest.raises(ValueError, match=r"kkt.*budget=.*expected finite"):
        c.kkt(w, w, L1(1.0), 1.0, bad)
    with pytest.raises(ValueError, match=r"kkt.*\(3,\).*\(2,\).*pass the gradient"):
        c.kkt(np.ones(3), w, L1(1.0), 1.0, 1.0)
    assert np.isnan(max(c.kkt(w * np.nan, w, L1(1.0), 1.0, 1.0)))


# --- the projection -------------------------------------------------------------------------------

BALLS = {
    "L2": (L2(3.0), lambda budget: L2Ball((2 * budget / 3) ** 0.5)),
    "Frobenius": (FrobeniusNorm(2.0), lambda budget: L2Ball(budget / 2)),
    "L1": (L1(0.5), lambda budget: L1Ball(2 * budget)),
    "spectral": (SpectralNorm(1.0, method="svd"), SpectralBall),
}


@pytest.mark.parametrize("label", BALLS)
@pytest.mark.parametrize("budget", [1e-6, 0.3, 2.0, 50.0])
def test_projection_against_closed_forms(label, budget):
    penalty, closed = BALLS[label]
    found, ball = c.SublevelSet(penalty, budget), closed(budget)
    for seed, size in enumerate((1e-3, 1.0, 1e4)):
        v, g = size * draw(4, 3, seed=seed), draw(4, 3, seed=seed + 9)
        u = found.prox(v, 1.0)
        np.testing.assert_allclose(u, ball.prox(v, 1.0), rtol=1e-12, atol=1e-14 * size)
        assert found.value(u) == 0
        out = 1.5 * u
        w = found.prox(out, 1.0)  # out − w is normal there
        assert found.subdiff_distance(w, w - out) <= 1e-9 * np.linalg.norm(w - out)
        if ball.subdiff_distance(u, g) == np.linalg.norm(g):  # no multiplier helps
            assert found.subdiff_distance(u, g) == pytest.approx(np.linalg.norm(g), rel=0.01)
        assert found.subdiff_distance(u, g) <= ball.subdiff_distance(u, g) * (1 + 1e-9)
    assert found.value(np.full((4, 3), 1e4)) == np.inf
    assert found.subdiff_distance(u, 0 * g) == 0


def test_the_distance_on_a_ball():
    w, g = np.array([0.6, 0.8]), np.array([-1.0, 0.0])
    exact = L2Ball(1.0).subdiff_distance(w, g)
    assert c.SublevelSet(L2(1.0), 0.5).subdiff_distance(w, g) == pytest.approx(exact, rel=0.01)
    assert c.SublevelSet(L2(1.0), 0.6).subdiff_distance(w, g) == 1  # inside: ‖g‖


@pytest.mark.parametrize("label", PENALTIES)
def test_projection_is_the_nearest_point(label):
    """⟨v − u, z − u⟩ ≤ 0 for every z in a convex set."""
    penalty, v = PENALTIES[label], 3 * draw(3, 5, seed=7)
    budget = 0.3 * penalty.value(v)
    ball = c.SublevelSet(penalty, budget)
    u = ball.prox(v, 1.0)
    assert penalty.value(u) == pytest.approx(budget, rel=1e-13)
    for seed in range(30):
        z = ball.prox(v + 3 * draw(3, 5, seed=seed), 1.0)
        assert ((v - u) * (z - u)).sum() <= 1e-9
    assert ball.prox(u, 1.0) is u or np.abs(ball.prox(u, 1.0) - u).max() <= 1e-12


def test_float32_stays():
    ball = c.SublevelSet(L1(1.0), 2.0)
    v = draw(6).astype(np.float32) * 5
    u = ball.prox(v, 1.0)
    assert u.dtype == np.float32
    assert np.abs(u).sum() == pytest.approx(2, rel=1e-5)
    assert ball.value(u) == 0
    assert ball.value(u).dtype == np.float32


# --- misuse and limits ----------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("method", ["strength_of", "shadow_price", "constrained"])
def test_budgets_are_positive(method, budget):
    with pytest.raises(ValueError, match=rf"{method}.*budget.*{budget:g}"):
        getattr(problem(L1(1.0)), method)(budget)


def test_misuse():
    with pytest.raises(
        ValueError, match=r"SublevelSet: budget must be a finite number > 0, got 0\.0"
    ):
        c.SublevelSet(L1(1.0), 0.0)
    with pytest.raises(ValueError, match=r"SublevelSet.*L0.*not convex.*L1"):
        c.SublevelSet(L0(1.0), 2.0)
    with pytest.raises(ValueError, match=r"strength must be a finite number ≥ 0, got -1"):
        problem(L1(1.0)).budget_of(-1.0)
    for step in (0.0, 1.0, np.nan):
        with pytest.raises(
            ValueError, match=rf"shadow_price: step must be in \(0, 1\), got {step}"
        ):
            problem(L1(1.0)).shadow_price(1.0, step=step)
    with pytest.raises(ValueError, match=r"within the budget.*raise it"):  # Ω ≥ 2 everywhere
        c.SublevelSet(Raised(1.0), 1.0).prox(np.ones(3), 1.0)


class Raised(L1):
    """λ‖w‖₁ + 2."""

    def value(self, w):
        return super().value(w) + 2


def test_a_budget_is_for_one_parameter():
    model = nn.Sequential(nn.Linear(5, 2), nn.Linear(2, 3)).to(np.float64)
    with pytest.raises(ValueError, match=r"Problem.*on=None chooses 2 parameters.*on='0\.weight'"):
        c.Problem(model, MSE, L1(1.0), X, Y)
    assert c.Problem(model, MSE, L1(1.0), X, Y, on="1.weight").w is model[1].weight


def test_what_does_not_converge_is_said():
    with pytest.raises(RuntimeError, match=r"SublevelSet.*ended after 3 steps.*raise max_steps"):
        problem(L1(1.0), max_steps=3).constrained(0.5)
    with pytest.raises(RuntimeError, match=r"after 3 steps.*expected 1e-10; raise max_steps"):
        problem(L1(1.0), max_steps=3).strength_of(0.5)


class Double(nn.Module):
    """w ↦ a loss with minima near 0 and 2 for the output w."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.array([2.2]))

    def forward(self, x):
        return x @ self.weight.reshape(1, 1)


class DoubleWell(mr.nn.MSELoss):
    """(w² − 2w)² − ½w: minima near 0.1 and 2.1, not convex between."""

    def forward(self, output, target):
        return ((output**2 - 2 * output) ** 2 - 0.5 * output).mean()


def test_a_budget_in_a_duality_gap_is_said():
    gap = c.Problem(Double(), DoubleWell(), L2(1.0), np.ones((1, 1)), np.zeros((1, 1)))
    assert gap.strength_of(2.0) > 0  # w = 2 is reached
    with pytest.raises(
        ValueError, match=r"strength_of.*jumps over budget=0\.5 at λ = .*not convex"
    ):
        gap.strength_of(0.5)
    assert gap.constrained(0.5).converged
    assert abs(gap.w.data) <= 1 + 1e-12


def test_public_name():
    assert mr.constrained is c
    assert "constrained" in mr.__all__
