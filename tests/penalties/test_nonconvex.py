"""MCP, SCAD, LogSum: the prox against a search, how far each bends down, certificates on a path."""

import numpy as np
import pytest

import minireg as mr
from minireg import nn
from minireg.penalties import L0, L1, MCP, SCAD, LogSum

EDGES = np.array([0.0, 1e-3, 0.3, 1.0, 2.0, 3.7, 10.0])

# label: (penalty of strength s, ψ(|u|) as its paper writes it, ρ(s): ψ + ½ρu² is convex)
FOLDED = {
    "MCP": (
        MCP, lambda x, s: np.where(x <= 3 * s, s * x - x * x / 6, 3 * s * s / 2), lambda s: 1 / 3),
    "MCP, bent": (
        lambda s: MCP(s, gamma=0.4),
        lambda x, s: np.where(x <= 0.4 * s, s * x - x * x / 0.8, 0.2 * s * s), lambda s: 2.5),
    "SCAD": (
        SCAD, lambda x, s: np.select(
            [x <= s, x <= 3.7 * s], [s * x, (7.4 * s * x - x * x - s * s) / 5.4], 2.35 * s * s),
        lambda s: 1 / 2.7),
    "SCAD, bent": (
        lambda s: SCAD(s, a=1.2), lambda x, s: np.select(
            [x <= s, x <= 1.2 * s], [s * x, (2.4 * s * x - x * x - s * s) / 0.4], 1.1 * s * s),
        lambda s: 5.0),
    "LogSum": (lambda s: LogSum(s, eps=2.0), lambda x, s: s * np.log(1 + x / 2), lambda s: s / 4),
    "LogSum, bent": (
        lambda s: LogSum(s, eps=0.3), lambda x, s: s * np.log(1 + x / 0.3), lambda s: s / 0.09),
}  # fmt: skip
folded = pytest.mark.parametrize("label", FOLDED)


@folded
def test_value_is_the_formula_of_its_paper(label):
    make, psi, _ = FOLDED[label]
    for s in (0.0, 0.1, 0.7, 3.0):
        w = np.concatenate([EDGES, -EDGES])
        assert make(s).value(w) == pytest.approx(psi(np.abs(w), s).sum(), rel=1e-13)


@folded
def test_prox_is_the_global_minimum_at_every_step(label):
    """Also for steps at which ½(u − v)² + step·ψ(|u|) has several minima: against a fine grid."""
    make, psi, rho = FOLDED[label]
    rng = np.random.default_rng(0)
    grid = np.linspace(-6, 6, 4801)[:, None]
    far = 0
    for s, step in zip(rng.uniform(0.05, 1.5, 60), 10 ** rng.uniform(-1.5, 1.2, 60), strict=True):
        v = np.concatenate([rng.uniform(-5, 5, 40), s * EDGES])
        v = v[np.abs(v) < 6]
        u = make(s).prox(v, step)

        def objective(u, v=v, s=s, step=step):
            return 0.5 * (u - v) ** 2 + step * psi(np.abs(u), s)

        lowest = objective(grid).min(axis=0)
        assert (objective(u) <= lowest + 1e-12).all()
        assert (np.abs(objective(u) - lowest) <= 1e-3 * (1 + np.abs(v))).all()
        far += step > 1 / rho(s)
    assert 5 < far < 55  # on both sides of 1/ρ


@folded
def test_prox_of_a_step_for_each_element_is_the_prox_of_each(label):
    make, _, _ = FOLDED[label]
    rng = np.random.default_rng(1)
    v, steps = rng.uniform(-4, 4, 200), 10 ** rng.uniform(-2, 1.3, 200)
    each = [make(0.6).prox(np.array([x]), t)[0] for x, t in zip(v, steps, strict=True)]
    np.testing.assert_allclose(make(0.6).prox(v, steps), each, rtol=1e-15)


@folded
def test_it_bends_down_by_rho_and_no_more(label):
    """Weakly convex: Ω(z) ≥ Ω(w) + ⟨gradient, z − w⟩ − ½ρ‖z − w‖², and for a smaller ρ not."""
    make, psi, rho = FOLDED[label]
    w, z = np.linspace(-4, 4, 801)[:, None], np.linspace(-4, 4, 801)
    gap = psi(np.abs(z), 0.7) - psi(np.abs(w), 0.7) - make(0.7).gradient(w) * (z - w)
    square = 0.5 * (z - w) ** 2
    assert (gap + rho(0.7) * square).min() >= -1e-12
    assert (gap + 0.9 * rho(0.7) * square).min() < -1e-6


def test_limits_are_l1_and_the_hard_threshold():
    v = np.random.default_rng(3).uniform(-3, 3, 100)
    for far in (MCP(0.7, gamma=1e9), SCAD(0.7, a=1e9)):
        np.testing.assert_allclose(far.prox(v, 0.8), L1(0.7).prox(v, 0.8), atol=1e-7)
    hard = L0(0.5 * 0.1 * 0.7**2)  # the flat part of an MCP, ½γλ²
    np.testing.assert_array_equal(MCP(0.7, gamma=0.1).prox(v, 0.8), hard.prox(v, 0.8))


def regression():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(80, 12)) @ np.linalg.cholesky(0.5 * np.eye(12) + 0.5)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    truth = np.zeros(12)
    truth[[1, 4, 7]] = 2.0, -1.5, 1.0
    y = x @ truth + 0.3 * rng.normal(size=80)
    return x, (y - y.mean())[:, None]


@folded
def test_a_path_ends_at_stationary_points(label):
    """Every strength reaches its certificate, also where the sum is not convex, and it is stationary."""
    make, _, _ = FOLDED[label]
    x, y = regression()
    model = nn.Linear(12, 1, bias=False).to(np.float64)
    found = mr.path(model, nn.MSELoss(), make(0.0), x, y, strengths=8, ratio=0.02)
    assert found.nonzero[0] == 0
    assert found.nonzero[-1] >= 3
    assert max(s.certificate for s in found.solutions) <= 1e-8
    for s, (w,) in zip(found.strengths, found.parameters["weight"], strict=True):
        g = 2 * x.T @ (x @ w - y[:, 0]) / len(x)
        alive = w != 0
        assert np.abs(g[~alive]).max(initial=0) <= float(make(s).slope(0.0)) * (1 + 1e-9)
        h = 1e-6 * np.eye(12)[alive]
        slopes = [(make(s).value(w + e) - make(s).value(w - e)) / 2e-6 for e in h]
        np.testing.assert_allclose(g[alive] + slopes, 0, atol=1e-7)
