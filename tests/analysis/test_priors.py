"""Priors: densities and posteriors against closed forms, integrals and scikit-learn."""

import math
from itertools import pairwise

import numpy as np
import pytest
from support.arrays import close, draw

import minireg as mr
from minireg import nn
from minireg.analysis.implicit import (
    Gaussian,
    Laplace,
)
from minireg.analysis.priors import _log_erfcx

PRIORS = {"Gaussian": Gaussian(0.7), "Laplace": Laplace(0.4)}


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_density_integrates_to_one_and_multiplies_over_weights(prior):
    integrate = pytest.importorskip("scipy.integrate")
    density = lambda w: math.exp(prior.log_density(np.array([w])))
    assert 2 * integrate.quad(density, 0, 40, epsabs=1e-13)[0] == pytest.approx(1, abs=1e-10)
    w = draw(3, 2)
    each = sum(prior.log_density(np.array([v])) for v in w.ravel())
    close(prior.log_density(w), each)


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_loss_and_penalty_are_the_negative_log_posterior(prior):
    x, y, n, noise = draw(9, 3), draw(9, seed=1), 9, 1.7
    w = mr.Tensor(draw(3, seed=2), requires_grad=True)
    residual = mr.Tensor(x) @ w - y
    posterior = (residual**2).sum() / (2 * noise**2) - prior.log_density(w)
    mse = (residual**2).mean() + prior.penalty(n, noise).value(w)
    (g,), (h,) = mr.grad(posterior, w, retain_graph=True), mr.grad(mse, w)
    close(g.data, h.data * n / (2 * noise**2))
    z = mr.Tensor(x) @ w  # logistic: the mean of the negative log likelihood itself
    likelihood = np.log(1 + np.exp(z)).sum() - (z * (y > 0)).sum()
    (g,) = mr.grad(likelihood - prior.log_density(w), w, retain_graph=True)
    (h,) = mr.grad(likelihood / n + prior.penalty(n).value(w), w)
    close(g.data, h.data * n)


def test_gaussian_posterior_is_ridge():
    x, y = draw(12, 4), draw(12, seed=1)
    found = Gaussian(0.5).posterior(x, y, noise=2.0)
    close(found.mode, np.linalg.solve(x.T @ x + 16 * np.eye(4), x.T @ y))
    np.testing.assert_array_equal(found.mode, found.mean)
    np.testing.assert_array_equal(found.error, 0)
    model = nn.Linear(4, 1, bias=False).double()
    mr.solve(model, nn.MSELoss(), Gaussian(0.5).penalty(12, 2.0), x, y[:, None], tol=1e-13)
    close(found.mode, model.weight.data[0], 1e-11)
    linear = pytest.importorskip("sklearn.linear_model")
    close(found.mode, linear.Ridge(alpha=16, fit_intercept=False).fit(x, y).coef_)


def test_laplace_mode_is_lasso_and_has_zeros_the_mean_has_none():
    linear = pytest.importorskip("sklearn.linear_model")
    x = draw(30, 6) @ draw(6, 6, seed=1)
    y = 2 * x[:, 0] + draw(30, seed=2)
    found = Laplace(0.1).posterior(x, y, noise=1.0)
    lasso = linear.Lasso(alpha=1 / (0.1 * 30), fit_intercept=False, tol=1e-14, max_iter=10**6)
    close(found.mode, lasso.fit(x, y).coef_, 1e-7)
    assert 0 < (found.mode == 0).sum() < 6
    assert (found.mean != 0).all()


@pytest.mark.parametrize(("estimate", "noise", "scale"), [
    (0.5, 1.0, 1.0), (3.0, 1.0, 1.0), (-2.0, 0.3, 0.7), (50.0, 1.0, 1.0), (1.0, 0.01, 1e-3),
    (0.2, 1.0, 1e3), (1e-3, 10.0, 0.1),
])  # fmt: skip
def test_laplace_mean_is_the_integral(estimate, noise, scale):
    integrate = pytest.importorskip("scipy.integrate")
    found = Laplace(scale).posterior([[1.0]], [estimate], noise)
    mode = found.mode[0]
    shrunk = math.copysign(max(abs(estimate) - noise**2 / scale, 0), estimate)
    close(mode, shrunk, 1e-9)

    def moment(power):
        def f(w):
            exponent = -((w - estimate) ** 2) / (2 * noise**2) - abs(w) / scale
            peak = -((shrunk - estimate) ** 2) / (2 * noise**2) - abs(shrunk) / scale
            return (w - shrunk) ** power * math.exp(exponent - peak)

        wide = [sign * 40 * width for sign in (-1, 1) for width in (noise, scale)]
        cuts = sorted({0.0, shrunk, *(shrunk + w for w in wide if abs(w) <= 40 * noise)})
        return sum(integrate.quad(f, a, b, epsabs=1e-15, limit=200)[0] for a, b in pairwise(cuts))

    close(found.mean[0], shrunk + moment(1) / moment(0), 1e-10)
    assert found.mean[0] != 0


def test_scaled_error_function_against_scipy():
    special = pytest.importorskip("scipy.special")
    z = np.concatenate([-np.logspace(-9, 3, 300), [0.0], np.logspace(-9, 9, 600)])
    expected = np.where(
        z < 0,
        z * z + math.log(2) + special.log_ndtr(-z * math.sqrt(2)),
        np.log(special.erfcx(np.abs(z))),
    )
    close(_log_erfcx(z), expected, 1e-14)


def test_sampled_mean_agrees_with_the_closed_form_and_with_a_grid():
    y = np.array([0.5, 3.0, -0.2])
    exact = Laplace(1.0).posterior(np.eye(3), y)
    askew = Laplace(1.0).posterior(np.eye(3) + 1e-9, y)  # not orthogonal, so it is sampled
    assert (exact.error == 0).all()
    assert (askew.error > 0).all()
    assert (askew.error < 0.02).all()
    off = []
    for seed in range(12):
        found = Laplace(1.0).posterior(np.eye(3) + 1e-9, y, draws=50, seed=seed)
        off.append((found.mean - exact.mean) / found.error)
    assert 0.7 < np.sqrt(np.square(off).mean()) < 1.5

    x = draw(30, 2)
    x[:, 1] += x[:, 0]
    y = x[:, 0] + draw(30, seed=1)
    found = Laplace(0.3).posterior(x, y)
    a, b = np.meshgrid(*[np.linspace(-3, 3, 601)] * 2, indexing="ij")
    each = y[:, None, None] - x[:, 0, None, None] * a - x[:, 1, None, None] * b
    log_p = -0.5 * np.square(each).sum(axis=0) - (np.abs(a) + np.abs(b)) / 0.3
    p = np.exp(log_p - log_p.max())
    grid = np.array([(a * p).sum(), (b * p).sum()]) / p.sum()
    assert (np.abs(found.mean - grid) < 4 * found.error).all()
    np.testing.assert_array_equal(found.mean, Laplace(0.3).posterior(x, y).mean)  # seeded
    assert (found.mean != Laplace(0.3).posterior(x, y, seed=1).mean).all()
    more = Laplace(0.3).posterior(x, y, draws=2000).error
    assert more == pytest.approx(found.error / 2, rel=0.5)


def test_sampling_disturbs_no_other_stream():
    mr.manual_seed(0)
    first = nn.Linear(2, 2).weight.data
    mr.manual_seed(0)
    Laplace(1.0).posterior(draw(5, 2), draw(5), draws=2)
    np.testing.assert_array_equal(nn.Linear(2, 2).weight.data, first)
