"""minireg.sklearn: scikit-learn's own checks, its models as oracles, and what surrounds an estimator."""

import copy
import pickle
import runpy
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.arrays import draw
from support.own import OwnHuber

import minireg as mr
from minireg.penalties import (
    L1,
    L2,
    MCP,
    SCAD,
    SLOPE,
    Box,
    Coefficient,
    ElasticNet,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NonNegative,
    PathNorm,
    Simplex,
    scaled,
    translated,
)

sklearn = pytest.importorskip("sklearn", minversion="1.6")
from sklearn import datasets, linear_model  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import ConvergenceWarning, NotFittedError  # noqa: E402
from sklearn.feature_selection import SelectFromModel  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import (  # noqa: E402
    check_estimator,
    estimator_checks_generator,
)

from minireg.sklearn import (  # noqa: E402
    MLPClassifier,
    MLPRegressor,
    PenalizedClassifier,
    PenalizedRegression,
)

ROOT = Path(__file__).parents[1]
small = partial(MLPClassifier, hidden_layer_sizes=(8,), lr=0.02, max_iter=30, random_state=0)
numbers = partial(
    MLPRegressor, hidden_layer_sizes=(8,), activation="tanh", lr=0.02, max_iter=30, random_state=0
)


@pytest.fixture(scope="module")
def diabetes():
    x, y = datasets.load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(x) + 3.0, y


@pytest.fixture(scope="module")
def cancer():
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(x)[:, :8], y


@pytest.fixture(scope="module")
def wine():
    x, y = datasets.load_wine(return_X_y=True)
    return StandardScaler().fit_transform(x), np.array(["red", "rosé", "white"])[y]


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 * (1 + np.abs(want).max()))


# --- scikit-learn's own checks --------------------------------------------------------------------

CHECKED = {
    "regression": PenalizedRegression(),
    "lasso": PenalizedRegression(L1(0.1)),
    "scaled": PenalizedRegression(scaled(L1(0.1), 2.0)),
    "logistic": PenalizedClassifier(),
    "balanced": PenalizedClassifier(class_weight="balanced"),
    "labels": MLPClassifier((20,), max_iter=30, lr=0.01),
    "numbers": MLPRegressor((20,), max_iter=40, lr=0.01),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(name):
    found = check_estimator(CHECKED[name], on_fail=None, on_skip=None)
    assert len(found) > 45
    assert {r["check_name"] for r in found if r["status"] != "passed"} <= {"check_array_api_input"}


FEW = {
    "check_estimator_cloneable", "check_estimator_repr", "check_no_attributes_set_in_init",
    "check_dict_unchanged", "check_parameters_default_constructible",
    "check_get_params_invariance", "check_set_params",
    "check_do_not_raise_errors_in_init_or_set_params", "check_estimator_tags_renamed",
    "check_valid_tag_types", "check_estimators_unfitted", "check_n_features_in",
    "check_estimator_sparse_array", "check_fit2d_1sample", "check_estimators_nan_inf",
    "check_dataframe_column_names_consistency", "check_sample_weights_shape",
    "check_all_zero_sample_weights_error", "check_regressor_multioutput", "check_supervised_y_2d",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_a_few_of_the_checks():
    ran = 0
    for estimator, check in estimator_checks_generator(CHECKED["lasso"]):
        if (check.func.__name__ if isinstance(check, partial) else check.__name__) in FEW:
            check(estimator)
            ran += 1
    assert ran > 12


# --- the linear models are scikit-learn's ---------------------------------------------------------


@pytest.mark.parametrize("alpha", [20.0, 1.0])
def test_lasso(diabetes, alpha):
    want = linear_model.Lasso(alpha, tol=1e-14, max_iter=10**6).fit(*diabetes)
    got = PenalizedRegression(L1.from_sklearn(alpha)).fit(*diabetes)
    assert got.converged_
    close(got.coef_, want.coef_)
    close(got.intercept_, want.intercept_)
    np.testing.assert_array_equal(got.coef_ != 0, want.coef_ != 0)
    close(got.predict(diabetes[0]), want.predict(diabetes[0]))


def test_elastic_net_without_an_intercept(diabetes):
    want = linear_model.ElasticNet(alpha=0.5, l1_ratio=0.7, tol=1e-14, max_iter=10**6,
                                   fit_intercept=False).fit(*diabetes)  # fmt: skip
    penalty = ElasticNet.from_sklearn(0.5, 0.7)
    got = PenalizedRegression(penalty, fit_intercept=False).fit(*diabetes)
    close(got.coef_, want.coef_)
    assert got.intercept_ == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_the_default_is_ridge(diabetes, weighted):
    weight = np.arange(len(diabetes[1])) % 3 if weighted else None
    want = linear_model.Ridge(tol=1e-14).fit(*diabetes, sample_weight=weight)
    got = PenalizedRegression().fit(*diabetes, sample_weight=weight)
    close(got.coef_, want.coef_)
    close(got.intercept_, want.intercept_)


def test_several_outputs_with_a_group_of_each_feature(diabetes):
    x, y = diabetes
    both = np.c_[y, 2 * y[::-1]]
    want = linear_model.MultiTaskLasso(5.0, tol=1e-14, max_iter=10**6).fit(x, both)
    penalty = GroupLasso(2 * 5.0 / 2, axis=0, scale="none")  # 2·alpha/outputs
    got = PenalizedRegression(penalty).fit(x, both)
    close(got.coef_, want.coef_)
    close(got.intercept_, want.intercept_)
    assert got.predict(x).shape == both.shape
    assert (want.coef_ == 0).any()


def test_the_default_is_logistic_regression(cancer):
    want = linear_model.LogisticRegression(tol=1e-12, max_iter=10**5).fit(*cancer)
    got = PenalizedClassifier().fit(*cancer)
    assert got.converged_
    close(got.coef_, want.coef_)
    close(got.intercept_, want.intercept_)
    close(got.decision_function(cancer[0]), want.decision_function(cancer[0]))
    close(got.predict_proba(cancer[0]), want.predict_proba(cancer[0]))


def test_multinomial_labels_and_weights(wine):
    x, y = wine
    weight = 1.0 + (np.arange(len(y)) % 2)
    want = linear_model.LogisticRegression(C=0.1, tol=1e-12, max_iter=10**5)
    want.fit(x, y, sample_weight=weight)
    got = PenalizedClassifier(L2(1 / (0.1 * weight.sum()))).fit(x, y, sample_weight=weight)
    close(got.coef_, want.coef_)
    close(got.intercept_ - got.intercept_.mean(), want.intercept_ - want.intercept_.mean())
    assert (got.predict(x) == want.predict(x)).all()
    assert [*got.classes_] == ["red", "rosé", "white"]


CLASS_WEIGHTS = {
    "none": [None] * 2, "balanced": ["balanced"] * 2,
    "by name": [{0: 3.0, 1: 0.5}, {"red": 2.0, "rosé": 0.5, "white": 1.0}],
}  # fmt: skip


@pytest.mark.parametrize("label", CLASS_WEIGHTS)
@pytest.mark.parametrize("classes", [2, 3])
def test_weights_of_classes_are_those_of_logistic_regression(cancer, wine, classes, label):
    (x, y), weights = (cancer, wine)[classes - 2], CLASS_WEIGHTS[label][classes - 2]
    few = np.arange(len(y)) % 5 < 1 + 4 * (y != y[0])  # a fifth of one class
    x, y = x[few], y[few]
    each = [weights[c] for c in y] if label == "by name" else np.ones(len(y))
    want = linear_model.LogisticRegression(
        C=1 / (0.02 * np.sum(each)), class_weight=weights, tol=1e-12, max_iter=10**5
    ).fit(x, y)
    got = PenalizedClassifier(L2(0.02), class_weight=weights).fit(x, y)
    assert got.converged_
    close(got.coef_, want.coef_)
    close(got.predict_proba(x), want.predict_proba(x))
    each = [weights.get(c, 1.0) for c in y] if label == "by name" else None
    if label == "balanced":
        each = [len(y) / (classes * (y == c).sum()) for c in y]
    plain = PenalizedClassifier(L2(0.02)).fit(x, y, sample_weight=each)
    close(got.coef_, plain.coef_)


@pytest.mark.parametrize("label", CLASS_WEIGHTS)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_row_of_weight_k_is_k_rows(cancer, wine, classes, label):
    """Balanced, too: weights count there as rows do."""
    (x, y), weights = (cancer, wine)[classes - 2], CLASS_WEIGHTS[label][classes - 2]
    times = np.arange(len(y)) % 3
    one = PenalizedClassifier(L2(0.02), class_weight=weights).fit(x, y, sample_weight=times)
    rows = np.repeat(np.arange(len(y)), times)
    other = PenalizedClassifier(L2(0.02), class_weight=weights).fit(x[rows], y[rows])
    close(one.coef_, other.coef_)
    close(one.intercept_, other.intercept_)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("penalty", [L2(0.02), L1(0.02), GroupLasso(0.02, axis=0)], ids=repr)
@pytest.mark.parametrize("by", ["rows", "class"])
def test_a_class_of_weight_0_stays_a_class(wine, penalty, intercept, by):
    """It went from classes_, and every later column of predict_proba moved to the left."""
    x, y = wine
    weights = {"sample_weight": (y != "rosé") * 1.0} if by == "rows" else {}
    given = {"class_weight": {"red": 1.0, "rosé": 0.0, "white": 1.0}} if by == "class" else {}
    got = PenalizedClassifier(penalty, fit_intercept=intercept, **given).fit(x, y, **weights)
    assert [*got.classes_] == ["red", "rosé", "white"]
    assert got.converged_
    p, log_p = got.predict_proba(x), got.predict_log_proba(x)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-12)
    assert (p[:, 1] == 0).all() == intercept
    assert "rosé" not in got.predict(x[y != "rosé"])
    if intercept:  # the limit of ever lower intercepts: nothing that is finite is lower

        def objective(w, b):
            logits = x @ w.T + b
            log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
            hit = log_p[np.arange(len(y)), np.searchsorted(got.classes_, y)]
            return -hit[y != "rosé"].mean() + penalty.value(w)

        least, rng = objective(got.coef_, got.intercept_), np.random.default_rng(0)
        for scale in (1e-3, 1e-1):
            for _ in range(50):
                w = got.coef_ + scale * rng.normal(size=got.coef_.shape)
                b = np.where(np.isfinite(got.intercept_), got.intercept_, rng.normal())
                assert objective(w, b + scale * rng.normal(size=3)) > least


def test_the_weights_of_a_network_s_classes_are_those_of_its_loss(wine):
    x, y = wine
    balanced = small(class_weight="balanced").fit(x, y)
    by_hand = {c: len(y) / (3 * (y == c).sum()) for c in np.unique(y)}
    np.testing.assert_array_equal(
        balanced.predict_proba(x), small(class_weight=by_hand).fit(x, y).predict_proba(x)
    )
    seen = {c: (small(class_weight={**dict.fromkeys(by_hand, 1.0), c: 100.0}, max_iter=3)
            .fit(x, y).predict(x) == c).mean() for c in by_hand}  # fmt: skip
    plain = small(max_iter=3).fit(x, y)
    assert all(share > (plain.predict(x) == c).mean() for c, share in seen.items())


@pytest.mark.parametrize("early", [False, True])
def test_a_network_keeps_a_class_of_weight_0(wine, early):
    """A batch of such rows alone has the loss 0/0."""
    net = small(class_weight={"red": 0.0, "rosé": 1.0, "white": 1.0}, batch_size=2, max_iter=4,
                early_stopping=early).fit(*wine)  # fmt: skip
    assert net.predict_proba(wine[0]).shape[1] == len(net.classes_) == 3
    assert "red" not in net.predict(wine[0][wine[1] != "red"])


@pytest.mark.skipif(
    sklearn.__version__ < "1.8", reason="l1_ratio alone says which penalty, from 1.8 on"
)
def test_sparse_logistic_regression(cancer):
    x, y = cancer
    saga = linear_model.LogisticRegression(
        C=0.02, l1_ratio=1, solver="saga", tol=1e-12, max_iter=10**5, random_state=0
    ).fit(x, y)
    got = PenalizedClassifier(L1(1 / (0.02 * len(y)))).fit(x, y)
    close(got.coef_, saga.coef_)
    np.testing.assert_array_equal(got.coef_ != 0, saga.coef_ != 0)
    assert (got.coef_ == 0).any()


# --- penalties that scikit-learn does not have ----------------------------------------------------


def test_groups_of_features(diabetes):
    penalty = GroupLasso(25.0, groups=[[0, 1], [2, 3], [4, 5, 6, 7, 8, 9]])
    got = PenalizedRegression(penalty).fit(*diabetes)
    assert got.converged_
    assert [(got.coef_[g] != 0).any() for g in ([0, 1], [2, 3])] == [False, True]


@pytest.mark.parametrize("penalty", [SLOPE(4.0, np.linspace(2, 0.5, 10)), NonNegative(), L1Ball(40.0),
                                     Simplex(30.0), scaled(L1(4.0), 2.0), MCP(20.0), SCAD(20.0)])  # fmt: skip
def test_whatever_has_a_prox_ends_with_a_certificate(diabetes, penalty):
    x, y = diabetes
    got = PenalizedRegression(penalty).fit(x, y)
    assert got.converged_
    residual = got.predict(x) - y
    assert abs(residual.mean()) < 1e-6
    gradient = 2 * (x - x.mean(axis=0)).T @ residual / len(y)
    assert penalty.subdiff_distance(got.coef_[None], gradient[None]) < 1e-5  # of gradients of 100


@pytest.mark.slow  # skglm compiles
def test_mcp_where_it_is_convex_is_skglm_s(diabetes):
    skglm = pytest.importorskip("skglm")
    x, y = diabetes
    x, _ = np.linalg.qr(x - x.mean(axis=0))
    x, y = x * len(x) ** 0.5, y - y.mean()  # skglm: ½ mean squares, whose Hessian is 1 here
    gamma = 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = skglm.MCPRegression(alpha=15.0, gamma=gamma, tol=1e-12, fit_intercept=False).fit(
            x, y
        )
    # twice their loss: λ doubles, and the bend w²/(2γ), too
    got = PenalizedRegression(MCP(30.0, gamma / 2), fit_intercept=False).fit(x, y)
    close(got.coef_, want.coef_)
    assert 0 < (got.coef_ == 0).sum() < 10


@pytest.mark.slow
def test_hubers_loss(diabetes):
    x, y = diabetes
    far = np.where(np.arange(len(y)) == 0, 1e4, y / 50)
    robust = PenalizedRegression(L2(1e-3), loss=mr.nn.SmoothL1Loss()).fit(x, far)
    plain = PenalizedRegression(L2(1e-3)).fit(x, far)
    clean = PenalizedRegression(L2(1e-3)).fit(x[1:], far[1:])
    assert robust.converged_
    off = [np.abs(m.predict(x[1:]) - clean.predict(x[1:])).max() for m in (robust, plain)]
    assert off[0] < 0.5 < 5 < off[1]


def test_a_loss_that_is_a_function(diabetes):
    square = lambda output, target: ((output - target) ** 2).mean()
    got = PenalizedRegression(L1(2.0), loss=square).fit(*diabetes)
    close(got.coef_, PenalizedRegression(L1(2.0)).fit(*diabetes).coef_)
    with pytest.raises(ValueError, match="sample_weight needs a loss with reduction='mean'"):
        got.fit(*diabetes, sample_weight=np.ones(len(diabetes[1])))


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_size_of_the_data_does_not_matter(diabetes, unit):
    x, y = diabetes
    want = PenalizedRegression(L1(20.0)).fit(x, y)
    got = PenalizedRegression(L1(20.0 * unit**2)).fit(x * unit, y * unit)
    assert got.converged_
    assert got.n_iter_ == pytest.approx(want.n_iter_, abs=2)
    close(got.coef_, want.coef_)


@pytest.mark.parametrize("big", [1e3, 1e6, 1e13, 1e15])
@pytest.mark.parametrize(
    "penalty",
    [L1(0.2), L2(0.0), Box(-2.0, 2.0), GroupLasso(0.2, groups=[[0, 1]]), translated(L1(0.2), 1.0)],
)
def test_law_the_units_of_columns_do_not_matter(penalty, big):
    """The penalty is that of the coefficients as they are; it took all steps, or a column was left out."""
    x = draw(200, 2)
    y = 3 * x[:, 1] + 0.1 * draw(200, seed=1)
    units = np.array([big, 1.0])
    got = PenalizedRegression(penalty).fit(x * units, y)
    assert got.converged_
    assert got.n_iter_ < 200
    off = x * units - (x * units).mean(axis=0)
    gradient = -2 * off.T @ (y - y.mean() - off @ got.coef_) / len(y)
    steps = 1 / np.square(off).sum(
        axis=0
    )  # stationary: the prox of a step of each column moves nothing
    moved = penalty.prox((got.coef_ - steps * gradient)[None], steps[None])[0] - got.coef_
    assert np.abs(moved * units).max() < 1e-9


@pytest.mark.parametrize("ball", [L2Ball(0.5), L1Ball(0.5), MaxNorm(0.5), Simplex(0.5)])
def test_a_ball_is_round_whatever_the_units_of_columns(ball):
    """A projection takes no step for each column; it was taken to, and the wrong point to be optimal."""
    x = draw(200, 3) * [1.0, 1.0, 100.0]
    y = x @ [1.0, 2.0, -0.03] + 0.1 * draw(200, seed=1)
    got = PenalizedRegression(ball).fit(x, y)
    off = x - x.mean(axis=0)
    gradient = -2 * off.T @ (y - y.mean() - off @ got.coef_) / len(y)
    step = 1 / np.square(off).sum()
    moved = ball.prox((got.coef_ - step * gradient)[None], step)[0] - got.coef_
    assert got.converged_
    assert np.abs(moved).max() < 1e-10


def test_several_outputs_share_the_mean():
    x, y = draw(50, 3), draw(50, 3) @ draw(3, 4, seed=1) + draw(50, 4, seed=2)
    close(
        PenalizedRegression(L1.from_sklearn(0.2 / 4)).fit(x, y).coef_,
        linear_model.Lasso(0.2, tol=1e-12).fit(x, y).coef_,
    )
    close(
        PenalizedRegression(L2.from_sklearn(50.0, 50 * 4)).fit(x, y).coef_,
        linear_model.Ridge(50.0).fit(x, y).coef_,
    )


def test_misuse_is_said_in_words_of_the_estimator():
    x, y = draw(50, 3), np.repeat([0, 1], 25)
    for make in (MLPClassifier, MLPRegressor, PenalizedClassifier, PenalizedRegression):
        with pytest.raises(TypeError, match=rf"^{make.__name__}\.__init__"):
            make(foo=1)
    with pytest.raises(ValueError, match="fit_intercept must be True or False, got 'no'"):
        PenalizedRegression(fit_intercept="no").fit(x, y)
    with pytest.raises(
        ValueError, match=r"hidden_layer_sizes\[0\] must be an integer ≥ 1, got None"
    ):
        MLPClassifier(None).fit(x, y)
    named = MLPClassifier(penalties={"a__b": L1(0.1)})
    for ask in (lambda: named.fit(x, y), named.get_params, lambda: named.set_params(lr=0.1)):
        with pytest.raises(ValueError, match=r"'__' divides the names of parameters, got .*a__b"):
            ask()
    with pytest.raises(ValueError, match=r"got one row of \['z'\], expected at least 2"):
        MLPClassifier(early_stopping=True).fit(x, ["z", *["a", "b"] * 24, "a"])


def test_the_logarithm_of_a_probability_stays_finite():
    x = np.linspace(-1, 1, 20)[:, None]
    model = PenalizedClassifier(L2(1e-3)).fit(x, x[:, 0] > 0)
    close(np.exp(model.predict_log_proba(x)), model.predict_proba(x))
    assert np.isfinite(model.predict_log_proba([[1e6]])).all()


@pytest.mark.parametrize("make", [PenalizedRegression, PenalizedClassifier])
def test_columns_a_million_times_as_large_cost_no_steps(make):
    x, y = draw(200, 10), draw(200, seed=1) + 1.0 * draw(200, 10)[:, 0]
    y = y > 0 if make is PenalizedClassifier else y
    units = np.logspace(0, 6, 10)
    even, got = (make(L2(0.0)).fit(x * u, y) for u in (1.0, units))
    assert got.converged_
    assert got.n_iter_ < 2 * even.n_iter_ + 50
    np.testing.assert_allclose(got.coef_ * units, even.coef_, rtol=1e-6)


@pytest.mark.parametrize("big", [1e13, 1e14, 1e15])
@pytest.mark.parametrize("penalty", [OwnHuber(0.0), MCP(0.2)])
def test_a_column_that_hides_the_others_is_said(penalty, big):
    """Times in nanoseconds beside temperatures: the coefficient 0 of these was called converged."""
    x = draw(200, 2)
    y = 3 * x[:, 1] + 0.1 * draw(200, seed=1)
    with pytest.warns(ConvergenceWarning, match="standardise X"):
        got = PenalizedRegression(penalty).fit(x * [big, 1.0], y)
    assert not got.converged_
    assert (
        PenalizedRegression(penalty)
        .fit(StandardScaler().fit_transform(x * [big, 1.0]), y)
        .converged_
    )


@pytest.mark.parametrize("size", [1e-147, 1e-170, 1e-300])
def test_a_target_whose_squares_are_0_is_refused(diabetes, size):
    """The coefficients were 0, and called converged."""
    x, y = diabetes
    with pytest.raises(ValueError, match="whose squares are 0; give it another unit"):
        PenalizedRegression(L2(0.0)).fit(x, y * size / 400)
    got = PenalizedRegression(L2(0.0)).fit(x, y * 1e-144)
    close(got.coef_ * 1e144, PenalizedRegression(L2(0.0)).fit(x, y).coef_)


@pytest.mark.parametrize("constant", [0.1, 1e9, 0.0])
def test_a_constant_column_gets_no_coefficient_and_no_warning(diabetes, constant):
    x, y = diabetes
    with_one = np.c_[x, np.full(len(x), constant)]
    for penalty in (L1(2.0), L2(0.0)):
        got = PenalizedRegression(penalty).fit(with_one, y)
        assert got.converged_
        assert got.coef_[-1] == 0
        close(got.coef_[:-1], PenalizedRegression(penalty).fit(x, y).coef_)


@pytest.mark.parametrize("off", [1e6, 1e8])
def test_a_target_far_from_0(diabetes, off):
    x, y = diabetes
    y = np.round(y)
    near, far = (PenalizedRegression(L1(2.0)).fit(x, t) for t in (y, y + off))
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=0, atol=1e-8)
    assert far.intercept_ - off == pytest.approx(near.intercept_, abs=1e-15 * off * 10)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170, 1e300])
def test_squares_that_float64_does_not_hold(diabetes, size):
    x, y = diabetes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        got = PenalizedRegression(L2(0.0)).fit(x * size, y)
    if got.converged_:
        close(got.predict(x * size), PenalizedRegression(L2(0.0)).fit(x, y).predict(x))


@pytest.mark.parametrize("center", [[0.3, 0.7], [1 / 3, 0.1], [0.9, 1.7]])
def test_where_a_center_is_reached_the_certificate_is_0(center):
    x = draw(60, 2) * 1.37
    got = PenalizedRegression(translated(L1(50.0), [center])).fit(x, x @ [1.0, 2.0])
    assert got.converged_
    assert got.coef_.tolist() == center


def test_bounds_are_exact():
    for seed in range(20):
        x = draw(20, 3, seed=seed) * (seed + 1) / 3
        got = PenalizedRegression(Box(-0.7, 0.7)).fit(x, 3 * x.sum(axis=1))
        assert np.abs(got.coef_).max() == 0.7
    assert PenalizedRegression(Box([[0.1] * 3], [[0.3] * 3])).fit(x, x[:, 0]).coef_.max() == 0.3


@pytest.mark.parametrize("ball", [Simplex(1.0), L1Ball(1.0)])
def test_corners_of_a_ball_are_certified(ball):
    for seed in range(40):
        x = np.random.default_rng(seed).uniform(0.1, 9) * draw(20, 3, seed=seed)
        assert PenalizedRegression(ball, max_iter=2000).fit(x, 3 * x.sum(axis=1)).converged_


def test_a_penalty_of_ones_own_converges(diabetes):
    got = PenalizedRegression(OwnHuber(3.0)).fit(*diabetes)
    assert got.converged_
    x, y = diabetes
    gradient = 2 * (x - x.mean(axis=0)).T @ (got.predict(x) - y) / len(y)
    np.testing.assert_allclose(-gradient, OwnHuber(3.0).gradient(got.coef_), atol=1e-7)


def test_small_logits_are_no_probabilities():
    x = np.linspace(-1, 1, 40)[:, None]
    y = np.r_[[0, 1] * 5, [0, 1, 1] * 10]
    logits = PenalizedClassifier(L2(0.02)).fit(x, y).decision_function(x)  # (a warning is an error)
    assert 0 < logits.min() < 0.3 < 0.6 < logits.max() < 1


def test_a_constant_target_is_met_at_once(diabetes):
    got = PenalizedRegression(L1(0.1)).fit(diabetes[0], np.full(len(diabetes[1]), 0.1))
    assert got.converged_
    assert (got.coef_ == 0).all()
    assert got.intercept_ == pytest.approx(0.1)


def test_what_does_not_converge_says_how_far_it_came(diabetes):
    with pytest.warns(ConvergenceWarning, match="from stationary after 2 iterations, expected"):
        got = PenalizedRegression(L1(1.0), max_iter=2).fit(*diabetes)
    assert (got.converged_, got.n_iter_) == (False, 2)
    assert got.certificate_ > 1e-3


@pytest.mark.parametrize(
    ("estimator", "error", "said"),
    [
        (PenalizedRegression(L1), TypeError, r"penalty must be a Penalty.*write L1\(0.1\)"),
        (
            PenalizedRegression(PathNorm(0.1)),
            ValueError,
            "expected a penalty of one weight, got PathNorm",
        ),
        (PenalizedRegression(L1(Coefficient(lambda t: 0.1))), ValueError, "whose schedule nothing"),
        (PenalizedRegression(tol=-1.0), ValueError, "tol must be a finite number ≥ 0"),
        (
            PenalizedRegression(loss="mse"),
            TypeError,
            r"loss must give one number.*write nn.MSELoss\(\)",
        ),
        (
            PenalizedRegression(loss=mr.nn.MSELoss(reduction="none")),
            TypeError,
            "loss must give one",
        ),
        (
            small(hidden_layer_sizes=3.0),
            ValueError,
            r"hidden_layer_sizes\[0\] must be an integer ≥ 1",
        ),
        (PenalizedClassifier(scaled(L2(Coefficient(lambda t: 0.1)))), ValueError, "whose schedule"),
        (PenalizedClassifier(class_weight="best"), ValueError, "class_weight"),
        (PenalizedClassifier(class_weight={0: -1.0}), ValueError, "class_weight must be ≥ 0"),
        (PenalizedClassifier(class_weight={1: 0.0}), ValueError, "but those of 1 class"),
        (small(class_weight=[1.0, 2.0]), ValueError, "class_weight"),
        (small(class_weight={0: np.nan}), ValueError, "class_weight must be ≥ 0"),
        (PenalizedClassifier(max_iter=0), ValueError, "max_iter must be an integer ≥ 1"),
        (small(activation="relu6"), ValueError, "activation must be 'identity'"),
        (small(norm="group"), ValueError, "norm must be None, 'batch'"),
        (small(optimizer="lbfgs"), ValueError, "optimizer must be 'sgd'"),
        (small(early_stopping=True, validation_fraction=1.0), ValueError, "validation_fraction"),
        (small(penalties=[L1(0.1)]), TypeError, "penalties must be a mapping"),
        (small(hidden_layer_sizes=(8, 0)), ValueError, r"hidden_layer_sizes\[1\]"),
        (small(dropout=2.0), ValueError, r"\[0, 1\]"),
    ],
)
def test_misuse(cancer, estimator, error, said):
    with pytest.raises(error, match=said):
        estimator.fit(*cancer)


@pytest.mark.parametrize("make", [small, PenalizedClassifier])
def test_one_class_is_none(make):
    with pytest.raises(ValueError, match=r"1 class.*expected at least 2 classes"):
        make().fit(draw(4, 2), ["a"] * 4)


@pytest.mark.parametrize("weight", [np.zeros(20), -np.ones(20), np.full(20, np.nan), np.ones(19)])
def test_weights_that_are_none(weight):
    with pytest.raises(ValueError, match="weight"):
        PenalizedRegression().fit(draw(20, 2), draw(20), sample_weight=weight)


# --- networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_lives_in_the_dtype_of_its_data(cancer, dtype):
    x, y = cancer
    net = small().fit(x.astype(dtype), y)
    assert net.predict_proba(x).dtype == dtype
    assert net.score(x, y) > 0.9
    np.testing.assert_allclose(net.predict_proba(x).sum(axis=1), 1, rtol=1e-6)
    assert PenalizedClassifier(L1(0.1)).fit(x.astype(dtype), y).coef_.dtype == np.float64


def test_random_state_governs_everything_and_no_other_seed_moves(cancer):
    x, y = cancer
    every = partial(small, dropout=0.3, norm="batch", early_stopping=True, max_iter=5)
    mr.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    seeds, state = mr.random.seeds_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = every().fit(x, y).predict_proba(x)
    PenalizedRegression(L1(0.1)).fit(x, y)
    assert mr.random.seeds_state() == seeds
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    mr.manual_seed(6)
    np.testing.assert_array_equal(every().fit(x, y).predict_proba(x), one)
    assert (every(random_state=1).fit(x, y).predict_proba(x) != one).any()
    mr.manual_seed(0)


@pytest.mark.slow
def test_the_inputs_that_a_group_lasso_switches_off_do_not_matter(cancer):
    x, y = cancer
    lasso = mr.Term(GroupLasso(0.05, axis=0), on="0.weight", via="prox")
    net = small(penalties={"inputs": lasso}).fit(x, y)
    off = (net.model_[0].weight.numpy() == 0).all(axis=0)
    assert 0 < off.sum() < off.size
    np.testing.assert_array_equal(net.predict_proba(np.where(off, 99.0, x)), net.predict_proba(x))
    assert net.history_.terms == ["data", "inputs"]


def test_options_reach_the_training(cancer):
    x, y = cancer
    net = small(activation="silu", norm="layer", dropout=0.1, label_smoothing=0.1, ledger=True,
                optimizer=partial(mr.optim.SGD, momentum=0.9), max_iter=3)  # fmt: skip
    net.fit(x, y)
    kinds = [type(layer).__name__ for layer in net.model_]
    assert kinds == ["Linear", "LayerNorm", "SiLU", "Dropout", "Linear"]
    assert net.history_.terms == ["data", "smoothing"]
    assert isinstance(net.ledger_.optimizer, mr.optim.SGD)
    assert len(net.ledger_.history) == net.n_iter_ == 3
    assert small(ledger=False, max_iter=1).fit(x, y).ledger_ is None
    assert len(small(hidden_layer_sizes=(), max_iter=1).fit(x, y).model_) == 1


def test_early_stopping_returns_to_the_best(cancer):
    net = small(early_stopping=True, n_iter_no_change=2, lr=0.2, max_iter=100).fit(*cancer)
    assert net.history_.stopped == "early stopping"
    losses = net.history_["validation_loss"]
    assert net.history_.best_epoch == 1 + int(np.argmin(losses)) < net.n_iter_


def test_a_schedule_begins_anew_with_every_fit(cancer):
    warm = Coefficient(lambda t: 1e-3 * t)
    net = small(penalties={"l2": L2(warm)}, max_iter=2)
    one = net.fit(*cancer).predict_proba(cancer[0])
    assert warm.updates == 0
    np.testing.assert_array_equal(net.fit(*cancer).predict_proba(cancer[0]), one)


def test_targets_of_one_and_two_axes(diabetes):
    x, y = diabetes
    y = y / 100
    for target in (y, y[:, None], np.c_[y, -y]):
        found = numbers(max_iter=2).fit(x, target).predict(x)
        assert found.shape == target.shape
        assert PenalizedRegression(L1(0.1)).fit(x, target).predict(x).shape == target.shape
    assert numbers().fit(x - 3, y).score(x - 3, y) > 0.4


@pytest.mark.parametrize("make", [small, numbers, PenalizedClassifier, PenalizedRegression])
def test_not_fitted(make):
    with pytest.raises(NotFittedError):
        make().predict(draw(2, 2))


# --- what surrounds an estimator ------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_a_grid_over_the_strength_in_a_pipeline(diabetes, jobs):
    pipe = make_pipeline(StandardScaler(), PenalizedRegression(L1(1.0)))
    grid = {"penalizedregression__penalty__strength": np.logspace(3, 0, 4)}
    search = GridSearchCV(pipe, grid, cv=3, n_jobs=jobs).fit(*diabetes)
    want = GridSearchCV(make_pipeline(StandardScaler(), linear_model.Lasso(tol=1e-10)),
                        {"lasso__alpha": np.logspace(3, 0, 4) / 2}, cv=3).fit(*diabetes)  # fmt: skip
    close(search.cv_results_["mean_test_score"], want.cv_results_["mean_test_score"])
    assert search.best_index_ == want.best_index_
    assert pipe[-1].penalty.strength == 1.0


def test_a_grid_over_the_strength_of_a_rule(diabetes):
    grid = {"penalty__inner__strength": [500.0, 0.5]}
    search = GridSearchCV(PenalizedRegression(scaled(L1(1.0), 2.0)), grid, cv=3).fit(*diabetes)
    low, high = search.cv_results_["mean_test_score"]
    assert low < 0.1 < 0.4 < high


@pytest.mark.parametrize("jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_a_grid_over_a_network_s_penalties(cancer, jobs):
    term = mr.Term(GroupLasso(1.0, axis=0), on="0.weight", via="prox")
    net = small(penalties={"inputs": term, "l2": (L2(1e-3),)}, max_iter=5)
    grid = {"penalties__inputs__strength": [10.0, 0.0], "penalties__l2__strength": [1e-3]}
    search = GridSearchCV(net, grid, cv=3, n_jobs=jobs).fit(*cancer)
    low, high = search.cv_results_["mean_test_score"]
    assert low < 0.7 < 0.85 < high
    assert term.penalty.strength == 1.0
    assert search.best_estimator_.get_params()["penalties__inputs__strength"] == 0.0


def test_an_unknown_parameter_is_refused():
    net = small(penalties={"l1": L1(0.1)})
    for name in ("penalties__l2__strength", "penalties__l1__power", "penalty__strength"):
        with pytest.raises(ValueError, match=name.partition("__")[0]):
            net.set_params(**{name: 1.0})
    with pytest.raises(ValueError, match="strength must be"):
        net.set_params(penalties__l1__strength=-1.0)
    assert (
        net.set_params(penalties={"l2": L2(1.0)}, penalties__l2__strength=0.5)
        .penalties["l2"]
        .strength
        == 0.5
    )


@pytest.mark.parametrize(
    "bad", ["penalties__l1__strength", "penalties__l1__strenth", "penalties__no", "no"]
)
def test_all_parameters_are_set_or_none(bad):
    net = small(penalties={"l1": L1(0.1), "l2": L2(0.1)})
    with pytest.raises(ValueError, match=r"strength|expected|Invalid"):
        net.set_params(lr=0.5, penalties__l2__strength=0.7, **{bad: -1.0})
    assert (net.lr, net.penalties["l1"].strength, net.penalties["l2"].strength) == (0.02, 0.1, 0.1)
    model = PenalizedRegression(L1(0.1))
    with pytest.raises(ValueError, match="strength must be"):
        model.set_params(tol=0.5, penalty__strength=-1.0)
    assert (model.tol, model.penalty.strength) == (1e-12, 0.1)


def test_no_penalty_has_no_strength():
    with pytest.raises(ValueError, match=r"penalty__strength.*no penalty; write penalty=L2"):
        PenalizedRegression().set_params(penalty__strength=0.1)
    made = PenalizedRegression().set_params(penalty=L1(0.1), penalty__strength=0.2)
    assert made.penalty.strength == 0.2


def test_a_clone_is_equal_and_apart():
    made = [PenalizedRegression(L2(0.5, center=np.ones(3))), small(penalties={"l1": scaled(L1(0.1))}),
            PenalizedClassifier(SLOPE(0.1, [2.0, 1.0]))]  # fmt: skip
    for estimator in made:
        twin = clone(estimator)
        assert repr(twin.get_params()) == repr(estimator.get_params())
        key = next(k for k in twin.get_params() if k.endswith("strength"))
        twin.set_params(**{key: 9.0})
        assert estimator.get_params()[key] != 9.0


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_copy_predicts_the_same(cancer, twin):
    x, y = cancer
    for estimator in (small(penalties={"l1": L1(1e-3)}, dropout=0.1, ledger=True, max_iter=2),
                      PenalizedClassifier(GroupLasso(0.1, groups=[[0, 1], [2]])), numbers(max_iter=2),
                      PenalizedRegression(MCP(0.1)),
                      PenalizedRegression(scaled(translated(L1(0.1), 0.5), 2.0))):  # fmt: skip
        fitted = estimator.fit(x, y)
        np.testing.assert_array_equal(twin(fitted).predict(x), fitted.predict(x))


def test_frames_with_text_labels():
    pandas = pytest.importorskip("pandas")
    x, y = datasets.load_iris(as_frame=True, return_X_y=True)
    labels = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    scaler = StandardScaler().set_output(transform="pandas")
    for model in (small(max_iter=15), PenalizedClassifier(L1(0.01))):
        pipe = make_pipeline(scaler, model).fit(x, labels)
        assert pipe.score(x, labels) > 0.9
        assert [*pipe[-1].feature_names_in_] == [*x.columns]
        with pytest.raises(ValueError, match="feature names"):
            pipe[-1].predict(pandas.DataFrame(x.to_numpy(), columns=list("abcd")))
    assert cross_val_score(PenalizedClassifier(L1(0.01)), x, labels, cv=3).min() > 0.8


def test_features_are_selected_by_zeros(diabetes):
    chosen = SelectFromModel(PenalizedRegression(L1(30.0)), threshold=1e-12).fit(*diabetes)
    assert 0 < chosen.get_support().sum() < 10


@pytest.mark.parametrize("make", [small, PenalizedRegression])
def test_its_picture_names_the_penalty(make):
    name = "penalties" if make is small else "penalty"
    estimator = make(**{name: {"l1": L1(0.25)} if make is small else L1(0.25)})
    assert "L1(0.25)" in repr(estimator)
    assert "L1(0.25)" in estimator._repr_html_()


def test_sparse_and_missing_data_are_refused(cancer):
    sparse = pytest.importorskip("scipy.sparse")
    x, y = cancer
    for estimator in (small(), PenalizedRegression()):
        with pytest.raises(TypeError, match=r"[Ss]parse"):
            estimator.fit(sparse.csr_array(x), y)
        with pytest.raises(ValueError, match="NaN"):
            estimator.fit(np.where(x > 2, np.nan, x), y)


def test_one_row(cancer):
    model = PenalizedRegression(L1(0.1)).fit([[1.0, 2.0]], [3.0])
    assert model.converged_
    assert model.predict([[5.0, 5.0]]) == pytest.approx(3.0)


# --- the module -----------------------------------------------------------------------------------


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )


@pytest.mark.slow
def test_the_package_does_not_import_it():
    done = run(
        "import sys, minireg; assert not {'sklearn', 'minireg.sklearn'} & sys.modules.keys()"
    )
    assert not done.returncode, done.stderr


def test_without_scikit_learn_it_names_the_extra():
    done = run("import sys; sys.modules['sklearn'] = None; import minireg.sklearn")
    assert (
        "ImportError: minireg.sklearn needs scikit-learn ≥ 1.6: pip install 'minireg[sklearn]'"
        in done.stderr
    )


@pytest.mark.slow
def test_the_example_keeps_its_claims(capsys):
    runpy.run_path(str(ROOT / "examples" / "scikit_learn.py"), run_name="__main__")
    assert "switched off: mean" in capsys.readouterr().out
