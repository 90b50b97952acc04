"""What descent prefers by itself, against descent: few steps, finite steps, one among many."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
from support.arrays import close, draw

import minireg as mr
from minireg import nn
from minireg.analysis.implicit import (
    angle,
    degrees_of_freedom,
    early_stopping_filter,
    early_stopping_spectrum,
    equivalent_strength,
    max_margin,
    nearest_interpolant,
    ridge_filter,
    step_penalty,
)
from minireg.analysis.implicit.descent import _nnls


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# --- few steps, finite steps ----------------------------------------------------------------------


@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 300])
def test_filter_is_what_gradient_descent_has_learnt(steps, start):
    mu, vectors = np.array([0.0, 1e-9, 0.3, 4.0, 6.0, 9.5]), np.linalg.qr(draw(6, 6))[0]
    hessian, best, lr = vectors * mu @ vectors.T, draw(6, seed=1), 0.2  # ημ up to 1.9
    w = w0 = np.full(6, start)
    for _ in range(steps):
        w = w - lr * hessian @ (w - best)
    learnt = early_stopping_filter(mu, lr, steps)
    close(vectors.T @ (w - w0), learnt * (vectors.T @ (best - w0)), 1e-12)
    close(ridge_filter(mu[:4], equivalent_strength(mu[:4], lr, steps)[3]).max(), learnt[3])
    np.testing.assert_array_equal(early_stopping_filter(mu, lr, 0), np.zeros(6))


def test_filter_of_ridge_is_what_ridge_leaves():
    x, y = draw(20, 4), draw(20, seed=1)
    mu, vectors = np.linalg.eigh(x.T @ x / 20)
    ols = np.linalg.lstsq(x, y)[0]
    ridge = np.linalg.solve(x.T @ x / 20 + 0.3 * np.eye(4), x.T @ y / 20)
    close(vectors.T @ ridge, ridge_filter(mu, 0.3) * (vectors.T @ ols))
    np.testing.assert_array_equal(ridge_filter(np.array([0.0, 2.0]), 0.0), [0, 1])


def test_equivalent_strength_makes_the_filters_equal():
    mu = np.logspace(-14, 0.9, 50)
    for lr, steps in ((0.1, 1), (0.1, 10), (0.01, 1000), (0.2, 3)):
        strengths = equivalent_strength(mu, lr, steps)
        ridge = [ridge_filter(m, s) for m, s in zip(mu, strengths, strict=True) if s >= 0]
        close(ridge, early_stopping_filter(mu, lr, steps)[strengths >= 0])
        close(strengths[0] * lr * steps, 1, 1e-10)  # of slow modes, at full precision
        close(equivalent_strength(np.zeros(1), lr, steps), 1 / (lr * steps))
    assert (equivalent_strength(np.array([6.0]), 0.2, 3) < 0).all()  # an overshoot no ridge makes
    assert (
        equivalent_strength(np.array([10.0]), 0.2, 2) == np.inf
    )  # back at the start: nothing learnt
    assert (np.diff(equivalent_strength(np.logspace(-3, 0, 50), 0.1, 20)) < 0).all()


def test_filter_of_what_diverges_ends_at_infinity():
    mu = np.array([-3.0, 3.0])  # away from a maximum, and beyond ημ = 2
    learnt = early_stopping_filter(mu, 1.0, 5001)
    np.testing.assert_array_equal(learnt, [-np.inf, np.inf])
    np.testing.assert_array_equal(equivalent_strength(mu, 1.0, 5001), -mu)


def descended(features, steps, lr, n=30, seed=0):
    """A linear model after full-batch gradient descent, a copy of its start, and its loss."""
    mr.manual_seed(seed)
    x = mr.Tensor(draw(n, features, seed=seed) * np.logspace(-1, 0.3, features))
    y = mr.Tensor(draw(n, 2, seed=seed + 1))
    model = nn.Linear(features, 2).double()
    objective = mr.Objective(nn.MSELoss(), {"l2": mr.penalties.L2(0.01)})
    closure = lambda: objective(model, x, y).total
    start, optimizer = copy.deepcopy(model), mr.optim.SGD(model.parameters(), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        closure().backward()
        optimizer.step()
    return model, start, closure


def test_spectrum_of_a_run_on_a_quadratic_is_what_the_run_did():
    lr, steps = 0.1, 40
    model, start, closure = descended(4, steps, lr)
    found = early_stopping_spectrum(closure, model, lr=lr, steps=steps, start=start)
    assert len(found.eigenvalues) == 10  # all of them
    close(found.measured, found.learnt, 1e-9)
    assert 0.05 < found.learnt.min() < 0.9 < found.learnt.max() < 1
    hessian = mr.curvature.hessian(closure, model)
    flat = lambda m: np.concatenate([p.data.ravel() for p in m.parameters()])
    close(hessian @ found.vectors, found.vectors * found.eigenvalues, 1e-9)
    # The same weights by a ridge around the start, with a strength for each direction.
    slope = np.concatenate([g.data.ravel() for g in mr.grad(closure(), [*model.parameters()])])
    best = flat(model) - np.linalg.solve(hessian, slope)
    pull = found.vectors * found.strength @ found.vectors.T
    ridge = np.linalg.solve(hessian + pull, hessian @ best + pull @ flat(start))
    close(ridge, flat(model), 1e-9)


def test_spectrum_of_many_parameters_is_known_by_products():
    model, start, closure = descended(60, 25, 0.05)
    arrays = [p.data for p in start.parameters()]
    found = early_stopping_spectrum(
        mr.curvature.Hessian(closure, model), lr=0.05, steps=25, k=3, start=arrays
    )
    dense = np.linalg.eigvalsh(mr.curvature.hessian(closure, model))
    close(found.eigenvalues, dense[-3:], 1e-7)
    close(found.measured, found.learnt, 1e-6)
    assert found.vectors.shape == (122, 3)


@pytest.mark.parametrize(
    "start", [lambda m: m, lambda m: [p.numpy() for p in m.parameters()],
              lambda m: [p.detach() for p in m.parameters()]],
    ids=["model", "numpy", "detach"],
)  # fmt: skip
def test_a_start_that_moved_with_the_parameters_is_refused(start):
    """measured was 0 everywhere: p.numpy() shares the memory that training goes on in."""
    model, _, closure = descended(4, 3, 0.1)
    with pytest.raises(ValueError, match=r"start shares memory .* copy\.deepcopy\(model\) or"):
        early_stopping_spectrum(closure, model, lr=0.1, steps=3, start=start(model))


def test_spectrum_of_a_fit_that_stopped_early():
    """On noise, what is learnt first helps and what is learnt last does not."""
    mr.manual_seed(3)
    x, w = draw(60, 12, seed=5) * np.logspace(0.5, -1, 12), np.append(np.ones(3), np.zeros(9))
    y = (x @ w + 2 * draw(60, seed=6))[:, None]
    model, loss = nn.Linear(12, 1, bias=False).double(), nn.MSELoss()
    start = copy.deepcopy(model)
    history = mr.fit(
        model, loss, mr.optim.SGD(model.parameters(), 0.02), (x[:30], y[:30]), (x[30:], y[30:]),
        epochs=2000, batch_size=30, early_stopping=mr.optim.EarlyStopping(patience=20),
    )  # fmt: skip
    assert history.stopped == "early stopping"
    steps = history.best_epoch  # one batch an epoch
    found = early_stopping_spectrum(
        lambda: loss(model(mr.Tensor(x[:30])), y[:30]), model, lr=0.02, steps=steps, start=start
    )
    close(found.measured, found.learnt, 1e-8)
    assert found.learnt[0] < 0.2 < 0.999 < found.learnt[-1]


def test_spectrum_near_a_minimum_of_a_smooth_loss():
    mr.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    x = mr.Tensor(draw(20, 2))
    y = model(x).detach()  # fits exactly, so the weights are a minimum
    closure, off = lambda: nn.MSELoss()(model(x), y), []
    best = [p.data.copy() for p in model.parameters()]
    for size in (1e-2, 1e-3, 1e-4):
        for i, (p, b) in enumerate(zip(model.parameters(), best, strict=True)):
            p.assign(b + size * draw(*b.shape, seed=i))
        start = copy.deepcopy(model)
        for _ in range(5):
            gradients = mr.grad(closure(), [*model.parameters()])
            for p, g in zip(model.parameters(), gradients, strict=True):
                p.assign(p.data - 0.2 * g.data)
        found = early_stopping_spectrum(closure, model, lr=0.2, steps=5, k=2, start=start)
        off.append(np.abs(found.measured - found.learnt).max())
    assert off[2] < 1e-3
    assert off[0] > 3 * off[1] > 9 * off[2]  # of third order in the distance


def test_spectrum_says_where_nothing_is_measured():
    model, _, closure = descended(2, 1, 0.1)
    assert early_stopping_spectrum(closure, model, lr=0.1, steps=1, k=1).measured is None
    w = mr.Tensor(draw(3), requires_grad=True)
    loss, start = lambda: ((w[:2] - np.array([0.0, 5.0])) ** 2).sum(), 0 * w.data
    found = early_stopping_spectrum(loss, w, lr=0.1, steps=1, start=start)
    flat, (first, second) = found.eigenvalues == 0, np.abs(found.vectors[:2, 1:])
    assert flat.tolist() == [True, False, False]
    for unknown in (flat, np.append(False, first > second)):  # no curvature, and nowhere to go
        assert np.isnan(found.measured[unknown]).all()
    close(found.measured[1:][second > first], w.data[1] / 5)


def quartic(w):
    return (w**4).sum() / 4 + w[0] * w[1] + (w * w).sum()


def test_step_penalty_is_the_squared_slope_and_its_gradient_the_hessian_times_it():
    w = mr.Tensor(draw(3), requires_grad=True)
    value = step_penalty(lambda: quartic(w), w, lr=0.1)
    (g,) = mr.grad(quartic(w), w)
    close(value.item(), 0.1 / 4 * np.square(g.data).sum())
    product = mr.curvature.hvp(lambda: quartic(w), w, g.data)
    close(mr.grad(value, w)[0].data, 0.1 / 2 * product)


def test_step_penalty_of_a_module_skips_what_the_loss_does_not_use():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).double()
    x = mr.Tensor(draw(5, 3))
    value = step_penalty(lambda: (model[0](x) ** 2).mean(), model, lr=1.0)
    value.backward()
    assert model[1].weight.grad is None
    assert model[0].weight.grad is not None


@pytest.mark.slow
def test_descent_follows_the_flow_of_the_loss_with_the_penalty():
    def flow(closure, w, time, count=200):
        """Runge–Kutta steps against the gradient, to rounding for what is compared."""

        def slope(at):
            t = mr.Tensor(at, requires_grad=True)
            return -mr.grad(closure(t), t)[0].data

        h = time / count
        for _ in range(count):
            a = slope(w)
            b = slope(w + h / 2 * a)
            c = slope(w + h / 2 * b)
            w = w + h / 6 * (a + 2 * b + 2 * c + slope(w + h * c))
        return w

    start, plain, modified = np.array([1.0, 0.5]), [], []
    for lr in (0.04, 0.02, 0.01):
        w = start
        for _ in range(round(0.4 / lr)):
            t = mr.Tensor(w, requires_grad=True)
            w = w - lr * mr.grad(quartic(t), t)[0].data

        def total(t, lr=lr):
            return quartic(t) + step_penalty(lambda: quartic(t), t, lr)

        plain.append(np.linalg.norm(w - flow(quartic, start, 0.4)))
        modified.append(np.linalg.norm(w - flow(total, start, 0.4)))
    assert [a / b for a, b in pairwise(plain)] == pytest.approx([2, 2], rel=0.1)
    ratios = [a / b for a, b in pairwise(modified)]
    assert ratios == pytest.approx([4, 4], rel=0.15)


# --- what is chosen among many --------------------------------------------------------------------


def separable(n=40, d=3, seed=0):
    x, w = draw(n, d, seed=seed), draw(d, seed=seed + 1)
    y = np.sign(x @ w)
    return x + 0.3 * y[:, None] * w, y


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
def test_max_margin_is_optimal(scale):
    x, y = separable()
    x = x * scale
    found = max_margin(x, y)
    signed = y[:, None] * x
    distances = signed @ found.direction
    close(np.linalg.norm(found.direction), 1)
    close(distances.min(), found.margin)
    close(distances[found.support], found.margin)
    dual = np.linalg.lstsq(signed[found.support].T, found.direction)[0]
    close(dual @ signed[found.support], found.direction)  # KKT: made of support vectors,
    assert (dual > 0).all()  # each pushing
    others = draw(5000, 3, seed=9)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert (signed @ others.T).min(axis=0).max() < found.margin


def test_max_margin_against_a_solver_of_the_primal():
    optimize = pytest.importorskip("scipy.optimize")
    x, y = separable(60, 4, seed=3)
    signed = y[:, None] * x
    reference = optimize.minimize(
        lambda w: w @ w / 2, np.linalg.lstsq(x, y)[0], jac=lambda w: w, method="SLSQP", tol=1e-14,
        constraints={"type": "ineq", "fun": lambda w: signed @ w - 1, "jac": lambda w: signed},
    ).x  # fmt: skip
    found = max_margin(x, y.astype(int))
    assert angle(found.direction, reference) < 1e-5
    close(found.margin, 1 / np.linalg.norm(reference), 1e-8)


@pytest.mark.parametrize("seed", range(30))
def test_non_negative_least_squares_against_scipy(seed):
    nnls = pytest.importorskip("scipy.optimize").nnls
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 12), rng.integers(1, 60)
    a, b = rng.normal(size=(rows, columns)), rng.normal(size=rows)
    if seed % 3 == 0:  # copies
        a[:, columns // 2 :] = a[:, : columns - columns // 2]
    if seed % 3 == 1:  # a solution without a residual
        b = a @ np.maximum(rng.normal(size=columns), 0)
    found = _nnls(a, b)
    assert (found >= 0).all()
    assert np.linalg.norm(a @ found - b) <= nnls(a, b)[1] + 1e-13 * np.linalg.norm(b)


def test_max_margin_against_a_support_vector_machine():
    svm = pytest.importorskip("sklearn.svm")
    x, y = mr.datasets.arrays("iris")
    x, y = x[:100] - x[:100].mean(axis=0), np.where(y[:100] == 0, -1, 1)
    pairs = (x[y > 0][:, None] - x[y < 0]).reshape(-1, 4)  # a bias drops out of differences
    found = max_margin(pairs, np.ones(len(pairs)))
    (reference,) = svm.SVC(kernel="linear", C=1e10, tol=1e-10).fit(x, y).coef_
    assert angle(found.direction, reference) < 1e-4
    close(found.margin, 2 / np.linalg.norm(reference), 1e-6)


def test_descent_of_the_logistic_loss_heads_there():
    x, y = separable(seed=5)
    direction, w, angles = max_margin(x, y).direction, np.zeros(3), []
    for step in range(1, 20_001):  # each step divided by the loss, which makes it no slower
        z = y * (x @ w)
        share = np.exp(z.min() - z)
        w = w + 0.1 * (share * y) @ x / share.sum()
        if step in (20, 200, 2000, 20_000):
            angles.append(angle(w, direction))
    assert angles == sorted(angles, reverse=True)
    assert angles[-1] < 0.1 < 1 < angles[0]


def test_angles():
    assert angle([[1.0, 0.0]], [[0.0, -2.0]]) == pytest.approx(90)
    assert angle([1.0, 1.0], [-3.0, -3.0]) == pytest.approx(180)
    u, t = np.array([3.0, 4.0]), 1e-11  # far below what arccos can tell
    v = np.array([3 - 4 * t, 4 + 3 * t])
    assert angle(u, mr.Tensor(v)) == pytest.approx(math.degrees(t), rel=1e-3)
    assert angle(u, u) == 0


@pytest.mark.parametrize("columns", [(), (2,)])
def test_nearest_interpolant_is_where_descent_ends(columns):
    x, y, start = draw(4, 9), draw(4, *columns, seed=1), draw(9, *columns, seed=2)
    lr = 1 / np.linalg.norm(x, 2) ** 2
    for origin in (None, start):
        w = np.zeros_like(start) if origin is None else origin
        for _ in range(3000):
            w = w - lr * x.T @ (x @ w - y)
        found = nearest_interpolant(x, y, origin)
        close(found, w, 1e-10)
        close(x @ found, y)
        moved = found - (0 if origin is None else origin)
        close(np.linalg.pinv(x) @ (x @ moved), moved)  # in the row space
    close(nearest_interpolant(x, y), np.linalg.pinv(x) @ y)


def test_nearest_interpolant_with_duplicates_and_with_too_many_rows():
    x, y = draw(3, 5), draw(3, seed=1)
    close(nearest_interpolant(np.vstack([x, x]), np.append(y, y)), nearest_interpolant(x, y))
    close(nearest_interpolant(x.T, draw(5)), np.linalg.lstsq(x.T, draw(5))[0])


# --- capacity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(20, 5), (4, 9)])
def test_degrees_of_freedom_are_the_trace_of_the_hat_matrix(shape):
    x = draw(*shape)
    n, d = shape
    values = []
    for strength in (1e-3, 0.1, 1.0, 50.0):
        hat = x @ np.linalg.solve(x.T @ x / n + strength * np.eye(d), x.T / n)
        values.append(degrees_of_freedom(x, strength))
        close(values[-1], np.trace(hat), 1e-10)
    assert values == sorted(values, reverse=True)
    assert degrees_of_freedom(x, 0.0) == min(shape)
    assert degrees_of_freedom(np.hstack([x, x]), 0.0) == min(shape)  # rounding is no rank


def test_degrees_of_freedom_of_mse_loss_take_half_the_strength():
    x, n, strength = draw(20, 3), 20, 0.4
    model = nn.Linear(3, 1, bias=False).double()
    columns = []
    for y in np.eye(n):
        mr.solve(model, nn.MSELoss(), mr.penalties.L2(strength), x, y[:, None], tol=1e-13)
        columns.append(x @ model.weight.data[0])
    close(np.trace(columns), degrees_of_freedom(x, strength / 2), 1e-10)


def test_degrees_of_freedom_of_diabetes():
    data = pytest.importorskip("sklearn.datasets").load_diabetes().data
    x = (data - data.mean(axis=0)) / data.std(axis=0)
    found = [degrees_of_freedom(x, s) for s in (0, 0.01, 0.1, 1, 10)]
    assert found == pytest.approx([10, 9.25, 7.64, 3.94, 0.83], abs=0.005)
