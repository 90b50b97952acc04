"""solve and path against scikit-learn: coefficients, supports and certificates."""

import warnings

import numpy as np
import pytest

import minireg as mr
from minireg import nn
from minireg.penalties import L1, L2, ElasticNet, GroupLasso, NonNegative

linear_model = pytest.importorskip("sklearn.linear_model")
datasets = pytest.importorskip("sklearn.datasets")


def standardised(x):
    x = x[:, x.std(axis=0) > 0]
    return (x - x.mean(axis=0)) / x.std(axis=0)


def diabetes():
    x, y = datasets.load_diabetes(return_X_y=True)
    return standardised(x), (y - y.mean()) / y.std()


def fitted(loss, penalty, x, y, outputs=1):
    """(weight, bias) of the penalised fit, which must reach its certificate."""
    mr.manual_seed(0)
    model = nn.Linear(x.shape[1], outputs).to(np.float64)
    solution = mr.solve(model, loss, penalty, x, y, tol=1e-10, max_steps=200_000)
    assert solution.converged, solution
    assert solution.certificate < 1e-8
    return model.weight.numpy(), model.bias.numpy()


def same(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(got != 0, want != 0)


@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.002])
def test_lasso(alpha):
    x, y = diabetes()
    want = linear_model.Lasso(alpha, tol=1e-14, max_iter=10**6).fit(x, y)
    weight, bias = fitted(nn.MSELoss(), L1.from_sklearn(alpha), x, y[:, None])
    same(weight[0], want.coef_)
    assert abs(bias[0] - want.intercept_) < 1e-6


@pytest.mark.parametrize(("alpha", "ratio"), [(0.1, 0.5), (0.02, 0.9), (1.0, 0.1)])
def test_elastic_net(alpha, ratio):
    x, y = diabetes()
    want = linear_model.ElasticNet(alpha=alpha, l1_ratio=ratio, tol=1e-14, max_iter=10**6).fit(x, y)
    penalty = ElasticNet.from_sklearn(alpha, ratio)
    weight, _ = fitted(nn.MSELoss(), penalty, x, y[:, None])
    same(weight[0], want.coef_)
    back = penalty.to_sklearn(len(x))
    assert abs(back["alpha"] - alpha) < 1e-8
    assert abs(back["l1_ratio"] - ratio) < 1e-8


@pytest.mark.parametrize("alpha", [0.1, 10.0, 1e3])
def test_ridge(alpha):
    x, y = diabetes()
    want = linear_model.Ridge(alpha, solver="cholesky").fit(x, y)
    weight, _ = fitted(nn.MSELoss(), L2.from_sklearn(alpha, len(x)), x, y[:, None])
    same(weight[0], want.coef_)
    assert L2.from_sklearn(alpha, len(x)).to_sklearn(len(x))["alpha"] == pytest.approx(alpha)


def test_non_negative_least_squares():
    x, y = diabetes()
    want = linear_model.LinearRegression(positive=True).fit(x, y)
    weight, bias = fitted(nn.MSELoss(), NonNegative(), x, y[:, None])
    same(weight[0], want.coef_)
    assert abs(bias[0] - want.intercept_) < 1e-6
    assert 0 < (weight == 0).sum() < weight.size


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_multi_task_lasso(alpha):
    """Groups are features: columns of the (outputs, features) weight."""
    x, y = diabetes()
    targets = np.stack([y, x[:, 2] * y, np.tanh(y) + x[:, 8]], axis=1)
    want = linear_model.MultiTaskLasso(alpha, tol=1e-14, max_iter=10**6).fit(x, targets)
    penalty = GroupLasso(2 * alpha / 3, axis=0, scale="none")  # MSELoss is a mean over outputs, too
    weight, _ = fitted(nn.MSELoss(), penalty, x, targets, outputs=3)
    same(weight, want.coef_)
    assert 0 < (weight != 0).any(axis=0).sum() < x.shape[1]


def logistic(x, y, c):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of options change from release to release
        return linear_model.LogisticRegression(
            penalty="l1", C=c, solver="saga", tol=1e-12, max_iter=100_000, random_state=0
        ).fit(x, y)


@pytest.mark.parametrize("c", [0.02, 0.1])
def test_l1_logistic_regression(c):
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x = standardised(x)
    want = logistic(x, y, c)
    weight, _ = fitted(nn.BCEWithLogitsLoss(), L1(1 / (c * len(x))), x, y[:, None].astype(float))
    same(weight, want.coef_)
    assert L1(1 / (c * len(x))).to_sklearn(len(x))["C"] == pytest.approx(c)


@pytest.mark.slow
def test_l1_softmax_regression():
    x, y = datasets.load_digits(n_class=3, return_X_y=True)
    x, y = standardised(x[:200]), y[:200]
    want = logistic(x, y, 0.1)
    weight, _ = fitted(nn.CrossEntropyLoss(), L1(1 / (0.1 * len(x))), x, y, outputs=3)
    same(weight, want.coef_)


def quadratic_features():
    """The 64 of the diabetes literature: 10, their squares and products, without sex²."""
    x, y = datasets.load_diabetes(return_X_y=True)
    pairs = [x[:, i] * x[:, j] for i in range(10) for j in range(i, 10) if (i, j) != (1, 1)]
    return standardised(np.column_stack([x, *pairs])), (y - y.mean()) / y.std()


@pytest.mark.slow
def test_path_of_many_strengths():
    x, y = quadratic_features()
    assert x.shape == (442, 64)
    model = nn.Linear(64, 1).to(np.float64)
    found = mr.path(model, nn.MSELoss(), L1(0.0), x, y[:, None], strengths=22)
    assert found.nonzero[0] == 0
    assert max(s.certificate for s in found.solutions) < 1e-8
    for strength, weight in zip(found.strengths[::3], found.parameters["weight"][::3], strict=True):
        want = linear_model.Lasso(strength / 2, tol=1e-14, max_iter=10**6).fit(x, y)
        same(weight[0], want.coef_)
