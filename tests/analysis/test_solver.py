"""solve and path: known solutions, honest reports of what did not converge, and misuse."""

import itertools
import sys

import numpy as np
import pytest
from support.arrays import draw

import minireg as mr
from minireg import nn, penalties
from minireg.analysis.solver import Composite, RegularizationPath, path, solve
from minireg.penalties import (
    L1,
    L2,
    MCP,
    Box,
    ElasticNet,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NuclearNorm,
    PathNorm,
    Quadratic,
    SparseGroupLasso,
    SpectralBall,
    conjugate,
    scaled,
    soft_threshold,
)

load_diabetes = pytest.importorskip("sklearn.datasets").load_diabetes


def orthonormal(n=50, d=6):
    """Columns of length √n, all orthogonal to ones: Hessian of the mean squared error = 2·1."""
    x = draw(n, d)
    return n**0.5 * np.linalg.qr(x - x.mean(axis=0))[0]


def linear(features=6, outputs=1, bias=True):
    mr.manual_seed(0)
    return nn.Linear(features, outputs, bias=bias).to(np.float64)


def targets(x, outputs=1, intercept=3.0):
    truth = draw(outputs, x.shape[1], seed=1)
    return x @ truth.T + intercept + 0.1 * draw(len(x), outputs, seed=2)


MSE = nn.MSELoss()
X = orthonormal()
R = draw(6, 6).T @ draw(6, 6)  # symmetric, positive definite

# --- known solutions ------------------------------------------------------------------------------

# label: (penalty, minimiser of ‖w − ŵ‖² + λΩ(w), that is prox with step ½)
CLOSED = {
    "L1": (L1(0.8), lambda w: soft_threshold(w, 0.4)),
    "L2": (L2(0.8), lambda w: w / 1.4),
    "ElasticNet": (ElasticNet(0.5, 0.8), lambda w: soft_threshold(w, 0.25) / 1.4),
    "nothing": (L1(0.0), lambda w: w),
    "GroupLasso": (
        GroupLasso(0.8, scale="none"), lambda w: w * max(0, 1 - 0.4 / np.linalg.norm(w))),
    "NuclearNorm": (NuclearNorm(0.8), lambda w: w * max(0, 1 - 0.4 / np.linalg.norm(w))),
    "L2Ball": (L2Ball(0.5), lambda w: 0.5 * w / np.linalg.norm(w)),
    "MaxNorm": (MaxNorm(0.5), lambda w: 0.5 * w / np.linalg.norm(w)),
    "SpectralBall": (SpectralBall(0.5), lambda w: 0.5 * w / np.linalg.norm(w)),
    "Box": (Box(-0.3, 0.5), lambda w: np.clip(w, -0.3, 0.5)),
    "Quadratic": (Quadratic(0.8, R), lambda w: np.linalg.solve(np.eye(len(R)) + 0.4 * R, w.T).T),
}  # fmt: skip


@pytest.mark.parametrize("label", CLOSED)
def test_orthonormal_features_have_a_closed_form(label):
    penalty, closed = CLOSED[label]
    y, model = targets(X), linear()
    solution = solve(model, MSE, penalty, X, y)
    least_squares = (X.T @ y).T / len(X)
    expected = closed(least_squares)
    assert solution.converged
    assert solution.certificate <= 1e-10
    np.testing.assert_allclose(model.weight.data, expected, atol=1e-9)
    np.testing.assert_array_equal(model.weight.data == 0, expected == 0)
    assert model.bias.item() == pytest.approx(y.mean(), abs=1e-9)  # free: the plain mean
    assert all(p.grad is None for p in model.parameters())
    value = ((X @ model.weight.data.T + model.bias.data - y) ** 2).mean()
    assert solution.value == pytest.approx(value + penalty.value(expected), rel=1e-9)


def test_a_matrix_of_low_rank_is_completed():
    """The solution is the fixed point of soft-impute (Mazumder et al. 2010), found here by itself."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 15))
    seen = rng.uniform(size=truth.shape) < 0.6
    y, lam = np.where(seen, truth, 0), 0.2

    def loss(output, target):
        return 0.5 * np.square(seen * (output - target)).sum()

    model = nn.Linear(20, 15, bias=False).to(np.float64)
    solution = solve(model, loss, NuclearNorm(lam), np.eye(20), y)
    found = model.weight.data.T
    assert solution.certificate <= 1e-10
    w = np.zeros_like(y)
    for _ in range(3000):
        u, s, vt = np.linalg.svd(np.where(seen, y, w), full_matrices=False)
        w = (u * np.maximum(s - lam, 0)) @ vt
    np.testing.assert_allclose(found, w, rtol=0, atol=1e-8)
    assert np.linalg.matrix_rank(found, tol=1e-8) == 2
    unseen = np.linalg.norm((found - truth)[~seen]) / np.linalg.norm(truth[~seen])
    assert unseen < 0.05  # 0 would leave 1


def test_a_bias_may_be_penalised_or_absent():
    y = targets(X)
    without = linear(bias=False)
    assert solve(without, MSE, L1(0.4), X, y).converged
    both = linear()
    assert solve(both, MSE, L1(0.4), X, y, on="*").converged
    np.testing.assert_allclose(both.weight.data, without.weight.data, atol=1e-9)
    assert both.bias.item() == pytest.approx(y.mean() - 0.2, abs=1e-9)
    assert solve(both, MSE, L1(0.4), X, y, on="bias").converged
    np.testing.assert_allclose(both.weight.data, (X.T @ y).T / len(X), atol=1e-9)


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_frozen_parameter_stays(name):
    y, model = targets(X), linear()
    frozen = getattr(model, name)
    frozen.requires_grad_(False)
    before = frozen.data.copy()
    if name == "weight":
        solution = solve(model, MSE, L1(0.4), X, y, on="*")
        assert model.bias.item() == pytest.approx(y.mean() - 0.2, abs=1e-9)
    else:
        solution = solve(model, MSE, L1(0.4), X, y)
        expected = soft_threshold((X.T @ y).T / len(X), 0.2)  # the columns sum to 0
        np.testing.assert_allclose(model.weight.data, expected, atol=1e-9)
    assert solution.converged
    np.testing.assert_array_equal(frozen.data, before)
    assert frozen.grad is None


def logistic_data():
    x = draw(80, 4)
    return x, (x @ [2.0, -1.0, 0.0, 0.5] + draw(80, seed=1) > 0).astype(float)[:, None]


def test_ridge_logistic_regression_against_newton():
    x, y = logistic_data()
    design, w = np.column_stack([x, np.ones(len(x))]), np.zeros(5)
    ridge = 0.1 * np.diag([1.0, 1, 1, 1, 0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ w))
        hessian = design.T @ (design * (p * (1 - p))[:, None]) / len(x) + ridge
        w = w - np.linalg.solve(hessian, design.T @ (p - y[:, 0]) / len(x) + ridge @ w)
    model = linear(4)
    assert solve(model, nn.BCEWithLogitsLoss(), L2(0.1), x, y).converged
    np.testing.assert_allclose(np.append(model.weight.data, model.bias.data), w, atol=1e-8)


def test_integer_labels_and_a_low_rank_softmax():
    x = draw(60, 5)
    y = (x[:, :3] + 0.3 * draw(60, 3, seed=1)).argmax(axis=1)
    model = linear(5, 3)
    solution = solve(model, nn.CrossEntropyLoss(), NuclearNorm(0.1), x, y)
    assert solution.converged
    s = np.linalg.svd(model.weight.data, compute_uv=False)
    assert (s > 1e-12).sum() in (1, 2)


@pytest.mark.parametrize("penalty", [L1(0.3), GroupLasso(0.2, axis=0)], ids=repr)
def test_no_neighbour_is_better(penalty):
    x, y = draw(30, 6), draw(30, 2, seed=3)
    model = linear(6, 2)
    solution = solve(model, MSE, penalty, x, y)
    weight, bias = model.weight.data, model.bias.data
    for seed, size in itertools.product(range(50), (1e-4, 1e-2, 1.0)):
        w, b = weight + size * draw(2, 6, seed=seed), bias + size * draw(2, seed=seed + 1)
        assert ((x @ w.T + b - y) ** 2).mean() + penalty.value(w) > solution.value


# --- what did not converge ------------------------------------------------------------------------


def test_too_few_steps_are_reported():
    x, y = draw(30, 6) * np.geomspace(1, 1e-2, 6), draw(30, 1, seed=1)
    with pytest.warns(
        RuntimeWarning, match="solve: ended up to .* after 7 steps, expected tol=1e-10"
    ):
        solution = solve(linear(), MSE, L1(1e-3), x, y, max_steps=7)
    assert (solution.steps, solution.converged) == (7, False)
    assert solution.certificate > 1e-10


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("find", [solve, lambda *args: path(*args, strengths=[0.0]).solutions[0]])
def test_a_tolerance_that_is_coarse_for_tiny_data_is_said(find, bias):
    """Features of size 1e-11 converged at once, at a loss of 4.7 where 0 is possible."""
    x, y = draw(40, 6), targets(draw(40, 6))
    with pytest.warns(RuntimeWarning, match="tol=1e-10 is coarse for data of this size"):
        found = find(linear(bias=bias), MSE, L1(0.0), 1e-11 * x, y)
    assert found.converged
    assert 0.1 < found.relative < 1.5  # of a bound, by as much as a feature explains
    assert find(linear(bias=bias), MSE, L1(0.0), x, y).relative < 1e-8
    for flat in (0 * y, np.ones_like(y)):  # nothing to find, and nothing to warn of
        assert find(linear(bias=bias), MSE, L1(0.1), x, flat).converged


def test_a_gradient_that_happens_to_be_small_at_0_is_no_warning():
    x = draw(200, 10)
    y = targets(x)
    y = (y - y.mean()) / y.std()  # the bias's gradient at 0 is rounding
    x = x - x.mean(axis=0)
    assert all(s.converged for s in path(linear(10), MSE, L1(1.0), x, y, 5).solutions)


@pytest.mark.parametrize("penalty", [L1(0.01), GroupLasso(0.01), MCP(0.01)])
def test_one_feature_that_is_too_large_is_said_of_the_others(penalty):
    x, y = draw(60, 4), targets(draw(60, 4), intercept=0.0)
    x[:, 0] *= 1e13
    model = linear(4, bias=False)
    model.weight.assign(0.0)
    with pytest.warns(RuntimeWarning, match="coarse for data of this size"):
        solve(model, MSE, scaled(penalty, argument=1e-26), x / 1e13, y)


def test_a_penalty_without_a_value_is_refused_before_the_work():
    with pytest.raises(NotImplementedError, match="the conjugate of L1"):
        solve(linear(), MSE, conjugate(L1(1.0)), X, targets(X))


def test_a_path_says_how_many_strengths_were_missed():
    x, y = draw(30, 6), draw(30, 1, seed=1)
    with pytest.warns(
        RuntimeWarning, match="path: 2 of 3 strengths ended up to .* from stationary"
    ):
        found = path(linear(), MSE, L1(0.1), x, y, [9.0, 0.1, 0.01], max_steps=30, tol=1e-9)
    assert repr(found).endswith(", 2 not converged)")


def test_a_tolerance_below_rounding_ends_early():
    """With targets of 10⁹ a gradient is known to 10⁻⁶; it once took all its steps to find out."""
    x, y = draw(30, 6), 1e9 * draw(30, 1, seed=1)
    with pytest.warns(RuntimeWarning, match="bring features and targets to a size of about 1"):
        solution = solve(linear(), MSE, L1(1e8), x, y)
    assert solution.steps < 3000
    assert 1e-10 < solution.certificate < 1e-5


@pytest.mark.parametrize("where", ["x", "weight"])
def test_nan_is_said_at_once(where):
    x, y, model = draw(30, 6), draw(30, 1, seed=1), linear()
    (x if where == "x" else model.weight.data)[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="solve: the loss is not finite where it starts"):
        solve(model, MSE, L1(0.1), x, y)


# --- in float64, whatever the model's dtype -------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("label", CLOSED)
def test_a_solution_is_found_in_float64_and_rounded(label, dtype):
    penalty = CLOSED[label][0]
    y, exact, model = targets(X), linear(), linear().to(dtype)
    expected = solve(exact, MSE, penalty, X, y)
    held = [p.data for p in model.parameters()]
    solution = solve(model, MSE, penalty, X, y)
    assert solution.converged
    assert solution.steps <= expected.steps + 5  # starts elsewhere, by rounding
    assert solution.value == pytest.approx(expected.value, rel=1e-9)
    for p, own, q in zip(model.parameters(), held, exact.parameters(), strict=True):
        assert p.data is own  # what else holds the array sees it, too
        assert p.grad is None
        np.testing.assert_allclose(
            p.data, q.data.astype(dtype), rtol=2 * np.finfo(dtype).eps, atol=1e-9
        )
        np.testing.assert_array_equal(p.data == 0, q.data == 0)


def test_a_path_and_a_constrained_problem_of_a_float32_model_are_exact():
    x, y = draw(40, 6), draw(40, 1, seed=1)
    fine, coarse = (
        path(linear().to(d), MSE, L1(0.1), x, y, 4, ratio=1e-2) for d in (np.float64, np.float32)
    )
    np.testing.assert_allclose(coarse.strengths, fine.strengths, rtol=1e-8)
    np.testing.assert_allclose(
        coarse.parameters["weight"], fine.parameters["weight"], rtol=0, atol=1e-9
    )
    problem = mr.constrained.Problem(
        linear(bias=False).to(np.float32), MSE, L1(1.0), x, y, on="weight"
    )
    budget = 0.5 * problem.budget_of(0.0)
    strength = problem.strength_of(budget)
    assert problem.budget_of(strength) == pytest.approx(budget, rel=1e-9)
    assert problem.shadow_price(budget) == pytest.approx(strength, rel=1e-6)
    assert max(problem.kkt(strength, budget)) < 1e-5  # at the rounded parameters


def test_the_dtype_comes_back_after_an_error():
    model = linear().to(np.float32)

    def loss(z, y):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(model, loss, L1(0.1), X, targets(X))
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}


def test_the_certificate_is_the_distance_from_stationary():
    x, y, model, penalty = draw(30, 6), draw(30, 1, seed=1), linear(), L1(0.2)
    with pytest.warns(RuntimeWarning, match="from stationary"):
        solution = solve(model, MSE, penalty, x, y, max_steps=3)
    residual = x @ model.weight.data.T + model.bias.data - y
    gradient = 2 * (residual.T @ x) / 30
    expected = np.hypot(penalty.subdiff_distance(model.weight.data, gradient), 2 * residual.mean())
    assert solution.certificate == pytest.approx(expected, rel=1e-12)


def test_a_solved_problem_takes_no_step():
    y, model = targets(X), linear()
    solve(model, MSE, L1(0.4), X, y, tol=1e-12)
    before = model.state_dict()
    assert solve(model, MSE, L1(0.4), X, y).steps == 0
    assert all((before[k] == v).all() for k, v in model.state_dict().items())


# --- the step -------------------------------------------------------------------------------------


def test_curvature_is_the_largest_eigenvalue_of_the_hessian():
    x, y = draw(30, 6), draw(30, 1)
    design = np.column_stack([x, np.ones(30)])
    largest = np.linalg.eigvalsh(2 * design.T @ design / 30)[-1]
    problem = Composite(linear(), MSE, L1(0.1), x, y, None)
    assert problem.curvature() == pytest.approx(largest, rel=1e-2)
    assert problem.curvature() <= largest * (1 + 1e-12)

    x, y = logistic_data()
    model = linear(4)
    design, logits = np.column_stack([x, np.ones(80)]), x @ model.weight.data.T + model.bias.data
    p = 1 / (1 + np.exp(-logits))
    largest = np.linalg.eigvalsh(design.T @ (design * p * (1 - p)) / 80)[-1]
    problem = Composite(model, nn.BCEWithLogitsLoss(), L1(0.1), x, y, None)
    assert problem.curvature() == pytest.approx(largest, rel=1e-2)


def test_the_rate_falls_where_the_curvature_grows():
    """Saturated at the start, so that 1/L there is far too long."""
    x, y = logistic_data()
    model = linear(4)
    assert solve(model, nn.BCEWithLogitsLoss(), L1(0.05), x, y).converged
    expected = model.weight.data.copy()
    model.weight.assign(30.0)
    problem = Composite(model, nn.BCEWithLogitsLoss(), L1(0.05), x, y, None)
    first = 1 / problem.curvature()
    solution = problem.solve(1e-10, 20_000)
    assert solution.converged
    assert problem.lr < first / 2
    np.testing.assert_allclose(model.weight.data, expected, atol=1e-8)


# --- paths ----------------------------------------------------------------------------------------


def test_a_path_of_given_strengths():
    y, penalty, model = targets(X), L1(0.7), linear()
    strengths = [2.0, 0.5, 0.25]
    found = path(model, MSE, penalty, X, y, strengths)
    assert penalty.strength == 0.7
    assert found.strengths.tolist() == strengths
    assert found.parameters["weight"].shape == (3, 1, 6)
    assert found.parameters["bias"].shape == (3, 1)
    least_squares = (X.T @ y).T / len(X)
    for strength, weight in zip(strengths, found.parameters["weight"], strict=True):
        np.testing.assert_allclose(weight, soft_threshold(least_squares, strength / 2), atol=1e-9)
    np.testing.assert_array_equal(model.weight.data, found.parameters["weight"][-1])
    assert found.nonzero.tolist() == [(w != 0).sum() for w in found.parameters["weight"]]
    assert all(s.converged for s in found.solutions)


# label: (penalty, the strength that varies)
PATHS = {
    "L1": (L1(0.7), "strength"), "GroupLasso": (GroupLasso(0.7, axis=0), "strength"),
    "ElasticNet": (ElasticNet(0.7, 0.3), "l1"), "NuclearNorm": (NuclearNorm(0.7), "strength"),
}  # fmt: skip


@pytest.mark.parametrize("label", PATHS)
def test_a_path_starts_where_the_first_weight_wakes_up(label):
    penalty, name = PATHS[label]
    x, model = draw(40, 6), linear(6, 3)
    y = targets(x, 3)
    found = path(model, MSE, penalty, x, y, 6, ratio=1e-2)
    assert getattr(penalty, name) == 0.7
    assert all(s.converged for s in found.solutions)
    assert found.nonzero[0] == 0
    assert found.nonzero[1] > 0
    np.testing.assert_allclose(found.strengths, found.strengths[0] * np.logspace(0, -2, 6))
    centred = (y - y.mean(axis=0)).T @ x * 2 / y.size
    assert found.strengths[0] == pytest.approx(penalty.max_strength(centred), rel=1e-8)
    for strength, weight in zip(found.strengths, found.parameters["weight"], strict=True):
        alone = linear(6, 3)
        setattr(penalty, name, float(strength))
        try:
            solve(alone, MSE, penalty, x, y)
        finally:
            setattr(penalty, name, 0.7)
        np.testing.assert_allclose(weight, alone.weight.data, atol=1e-8)
    if label == "GroupLasso":
        alive = (found.parameters["weight"] != 0).any(axis=1).sum(axis=1)
        assert (found.nonzero == 3 * alive).all()
        assert (np.diff(alive) >= 0).all()


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError])
def test_an_interrupted_path_puts_the_strength_back(monkeypatch, error):
    penalty, calls, solved = L1(0.7), [], Composite.solve

    def interrupted(self, tol, max_steps):
        calls.append(self.penalty.strength)
        if len(calls) == 3:
            raise error
        return solved(self, tol, max_steps)

    monkeypatch.setattr(Composite, "solve", interrupted)
    with pytest.raises(error):
        path(linear(), MSE, penalty, X, targets(X), [0.9, 0.5, 0.3, 0.1])
    assert calls == [0.9, 0.5, 0.3]
    assert penalty.strength == 0.7


GROUPED = {
    "GroupLasso": (lambda s: GroupLasso(s, groups=[[1, 4]]), [1, 4]),
    "SparseGroupLasso": (lambda s: SparseGroupLasso(s, 0.05, groups=[[0, 2], [3]]), [0, 2, 3]),
}


@pytest.mark.parametrize("label", GROUPED)
def test_a_path_starts_with_the_elements_that_are_in_no_group_fitted(label):
    """They were set to 0 with the rest: the path started at a strength that set nothing to 0."""
    make, grouped = GROUPED[label]
    x = draw(40, 6)
    x[:, 5] += x[:, grouped].sum(axis=1)  # a free feature that says much of what the groups say
    y = x[:, 5:] - x[:, grouped[:1]]
    found = path(linear(), MSE, make(0.0), x, y, strengths=2, ratio=0.999)
    weights = found.parameters["weight"][:, 0]
    assert (weights[0, grouped] == 0).all()
    assert (weights[1, grouped] != 0).any()
    assert abs(weights[0, 5]) > 0.1


def test_repr_of_a_path():
    found = path(linear(), MSE, L1(0.1), X, targets(X), [4.0, 0.0])
    assert repr(found).startswith(
        "RegularizationPath(2 strengths from 4 to 0, 0 to 6 weights not 0, "
    )
    assert "certificates ≤ " in repr(found)


def test_a_path_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    found = path(linear(), MSE, L1(0.1), X, targets(X), 5)
    figure = found.draw(tmp_path / "path.png")
    assert (tmp_path / "path.png").read_bytes().startswith(b"\x89PNG")
    axes, count = figure.axes
    assert len(axes.lines) == 6 + 1  # one a coefficient, and the line of 0
    for i, line in enumerate(axes.lines[:6]):
        np.testing.assert_array_equal(line.get_ydata(), found.parameters["weight"][:, 0, i])
    np.testing.assert_array_equal(count.lines[0].get_ydata(), found.nonzero)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("strength λ", "weight")
    assert found.draw(name="bias").axes[0].get_ylabel() == "bias"


def test_drawing_without_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    empty = RegularizationPath(np.ones(1), {"weight": np.ones((1, 1, 1))}, [])
    with pytest.raises(
        ImportError, match=r"RegularizationPath.draw needs matplotlib: pip install 'minireg\[viz\]'"
    ):
        empty.draw()


# --- misuse ---------------------------------------------------------------------------------------

# label: (call, error, message)
MISUSE = {
    "negative tol": (lambda m, y: solve(m, MSE, L1(1), X, y, tol=-1.0), ValueError,
        "solve: tol must be a finite number ≥ 0, got -1.0"),
    "no steps": (lambda m, y: solve(m, MSE, L1(1), X, y, max_steps=0), ValueError,
        "solve: max_steps must be an integer ≥ 1, got 0"),
    "no penalty": (lambda m, y: solve(m, MSE, 0.1, X, y), TypeError, "expected a Penalty, got 0.1"),
    "no such parameter": (
        lambda m, y: solve(m, MSE, L1(1), X, y, on="wieght"), ValueError, "no parameter; near: weight"),
    "no prox": (lambda m, y: solve(m, MSE, PathNorm(1), X, y), ValueError, "takes all weights together"),
    "path of a ball": (lambda m, y: path(m, MSE, L1Ball(1), X, y), TypeError, "no strength to vary"),
    "path without an end": (
        lambda m, y: path(m, MSE, L2(1), X, y, 5), NotImplementedError, "no finite strength makes w = 0"),
    "negative strength": (
        lambda m, y: path(m, MSE, L1(1), X, y, [-1.0]), ValueError, "strength must be a finite number ≥ 0"),
}  # fmt: skip


@pytest.mark.parametrize("label", MISUSE)
def test_misuse_says_what_was_expected(label):
    call, error, message = MISUSE[label]
    with pytest.raises(error, match=message):
        call(linear(), targets(X))


# --- what a first version got wrong --------------------------------------------------------------


@pytest.mark.parametrize(
    "ball",
    [
        penalties.L2Ball(1.0),
        penalties.SpectralBall(0.7),
        penalties.L1Ball(0.5),
        penalties.Box(-0.2, 0.3),
    ],
)
def test_a_solution_in_a_ball_is_feasible(ball):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    y = (x @ rng.normal(size=6))[:, None]
    model = nn.Linear(6, 1).to(np.float64)
    for tol in (1e-2, 1e-6):
        solution = mr.solve(model, nn.MSELoss(), ball, x, y, tol=tol)
        assert solution.converged
        assert np.isfinite(solution.value)


@pytest.mark.parametrize(("low", "high"), [(0.0, np.inf), (-0.1, 0.15)])
def test_least_squares_in_a_box_is_that_of_scipy(low, high):
    optimize = pytest.importorskip("scipy.optimize")
    x, y = draw(40, 6), draw(40, 1, seed=1)
    model = linear(bias=False)
    assert solve(model, MSE, Box(low, high), x, y, tol=1e-12).converged
    expected = optimize.lsq_linear(x, y[:, 0], (low, high), tol=1e-14).x
    np.testing.assert_allclose(model.weight.data[0], expected, atol=1e-8)
    assert ((model.weight.data == low) | (model.weight.data == high)).any()


def test_generalised_ridge_has_normal_equations():
    x, y = draw(40, 6), draw(40, 1, seed=1)
    model = linear(bias=False)
    assert solve(model, MSE, Quadratic(0.8, R), x, y).converged
    expected = np.linalg.solve(x.T @ x / 40 + 0.4 * R, x.T @ y / 40)
    np.testing.assert_allclose(model.weight.data.T, expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_a_ball_is_reached_from_wherever_the_layer_starts(seed):
    """The extrapolated point may lie outside, where the value is ∞; the rate is not to blame."""
    x, y = load_diabetes(return_X_y=True)
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    mr.manual_seed(seed)
    model = nn.Linear(10, 1, bias=False).to(np.float64)
    assert mr.solve(model, nn.MSELoss(), penalties.L2Ball(0.4**0.5), x, y[:, None]).converged


RISE = penalties.Coefficient(lambda t: 100.0 * min(t, 1))
SCHEDULED = {
    "itself": penalties.L1(RISE),
    "one of two": penalties.ElasticNet(0.1, RISE),
    "within a rule": penalties.scaled(penalties.L1(RISE), 2.0),
    "a radius": penalties.L2Ball(RISE),
}


@pytest.mark.parametrize("label", SCHEDULED)
@pytest.mark.parametrize("fit", [mr.solve, mr.path, mr.constrained.Problem])
def test_a_schedule_is_refused_as_nothing_would_move_it_on(fit, label):
    """The solution was that of its beginning, as here without the penalty, and said to have converged."""
    x, model = np.eye(3), nn.Linear(3, 1).to(np.float64)
    with pytest.raises(ValueError, match="whose schedule nothing would move on; give a number"):
        fit(model, nn.MSELoss(), SCHEDULED[label], x, x[:, :1])


def test_path_puts_the_strength_back_and_refuses_no_strengths():
    penalty = penalties.L1(0.5)
    x = np.eye(3)
    model = nn.Linear(3, 1).to(np.float64)
    mr.path(model, nn.MSELoss(), penalty, x, x[:, :1], strengths=np.int64(2))
    assert penalty.strength == 0.5
    for strengths in (0, [], 2.5, [[1.0]]):
        with pytest.raises(ValueError, match="expected a count ≥ 1 or a list"):
            mr.path(model, nn.MSELoss(), penalty, x, x[:, :1], strengths=strengths)


def test_solve_goes_back_when_it_has_overshot():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    y = (x[:, :1] > 0).astype(float)
    model = nn.Linear(3, 1).to(np.float64)
    model.weight.assign(500.0)  # saturated: the curvature here says nothing
    solution = mr.solve(model, nn.BCEWithLogitsLoss(), penalties.L2(0.1), x, y, max_steps=20_000)
    assert solution.converged


def test_solve_refuses_a_frozen_model_and_a_tolerance_that_is_no_number():
    x = np.eye(3)
    model = nn.Linear(3, 1).to(np.float64)
    with pytest.raises(ValueError, match="tol must be a finite number ≥ 0, got nan"):
        mr.solve(model, nn.MSELoss(), penalties.L1(0.1), x, x[:, :1], tol=float("nan"))
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="frozen"):
        mr.solve(model, nn.MSELoss(), penalties.L1(0.1), x, x[:, :1])


def test_no_rows_and_no_strengths_are_said():
    x, y, model = np.ones((3, 2)), np.ones((3, 1)), mr.nn.Linear(2, 1)
    for ask in (mr.solve, mr.path):
        with pytest.raises(
            ValueError, match=r"solve: x has shape \(0, 2\), expected at least one row"
        ):
            ask(model, mr.nn.MSELoss(), mr.penalties.L1(0.1), x[:0], y[:0])
    with pytest.raises(NotImplementedError, match=r"path: L2: no finite .*; pass strengths=\[…\]"):
        mr.path(model, mr.nn.MSELoss(), mr.penalties.L2(0.1), x, y)
