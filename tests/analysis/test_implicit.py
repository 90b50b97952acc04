"""All of mr.implicit: where arrays live, what lists mean, and what is refused."""

import math
from functools import partial

import numpy as np
import pytest
from support import strict
from support.arrays import close, draw

import minireg as mr
from minireg import nn
from minireg.analysis import priors
from minireg.analysis.implicit import (
    Gaussian,
    Laplace,
    angle,
    batchnorm_gradient,
    degrees_of_freedom,
    dropout_effect,
    dropout_penalty,
    early_stopping_filter,
    early_stopping_spectrum,
    effective_lr,
    effective_rank,
    equivalent_strength,
    layernorm_gradient,
    max_margin,
    nearest_interpolant,
    norm_gradient,
    ridge_filter,
    rmsnorm_gradient,
    stable_rank,
    step_penalty,
    tangential,
)

LIVES = {
    "dropout_penalty": lambda w: dropout_penalty(w, w, 0.5),
    "batchnorm_gradient": lambda w: batchnorm_gradient(w, w * w).total,
    "layernorm_gradient": lambda w: layernorm_gradient(w, w * w, w[0]).total,
    "rmsnorm_gradient": lambda w: rmsnorm_gradient(w, w * w, w[0]).total,
    "tangential": lambda w: tangential(w, w * w, axis=0),
    "effective_lr": lambda w: effective_lr(w, 0.1),
    "early_stopping_filter": lambda w: early_stopping_filter(w * w, 0.1, 3),
    "ridge_filter": lambda w: ridge_filter(w * w, 0.5),
    "equivalent_strength": lambda w: equivalent_strength(w * w, 0.1, 3),
}


@pytest.mark.parametrize("name", LIVES)
def test_arrays_stay_where_they_live_in_their_dtype(name):
    w = draw(5, 3).astype(np.float32)
    expected = LIVES[name](w)
    assert expected.dtype == np.float32
    with strict.registered():
        with strict.count_syncs() as syncs:
            found = LIVES[name](strict.xp.asarray(w))
        assert isinstance(found, strict.StrictArray)
        np.testing.assert_array_equal(found.get(), expected)
    assert not syncs


LISTS = {
    dropout_penalty: ([0.1, 0.7], [[1.0, 2.0], [3.0, 4.0]], 0.3, [1, 2]),
    batchnorm_gradient: ([[1.0], [0.1], [4.0]], [[1.0], [2.0], [0.3]], [0.7]),
    layernorm_gradient: ([[1.0, 0.1, 4.0]], [[1.0, 2.0, 0.3]], [0.7, 1.0, 2.0]),
    rmsnorm_gradient: ([[1, 2, 4]], [[1, 2, 3]], [1, 1, 2]),
    effective_lr: ([[0.1, 0.7]], 0.1),
    early_stopping_filter: ([0.1, 2.0], 0.1, 3),
    equivalent_strength: ([0.1, 2.0], 0.1, 3),
    ridge_filter: ([0.1, 2.0], 0.3),
    stable_rank: ([[0.1, 2.0], [0.3, 0.4]],),
    effective_rank: ([[0.1, 2.0], [0.3, 0.4]],),
}


@pytest.mark.parametrize("function", LISTS, ids=lambda f: f.__name__)
def test_lists_are_arrays_in_float64(function):
    given = LISTS[function]
    arrays = [np.array(a, float) if isinstance(a, list) else a for a in given]
    np.testing.assert_array_equal(function(*given), function(*arrays))


def test_models_and_matrices_on_a_device():
    mr.manual_seed(4)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3, bias=False)).double().eval()
    features = draw(7, 4) * [0.1, 1.0, 3.0, 10.0]
    x = mr.Tensor(features)
    loss = lambda: (model(x) ** 2).mean()
    expected = dropout_effect(loss, model), step_penalty(loss, model, 0.1).item()
    ranks = [
        f(features) for f in (stable_rank, effective_rank, lambda x: degrees_of_freedom(x, 0.1))
    ]
    with strict.registered():
        model.to("strict")
        x = x.to("strict")
        found = dropout_effect(loss, model)
        close(found.value, expected[0].value)
        assert isinstance(found.gradients["1.weight"], strict.StrictArray)
        close(step_penalty(loss, model, 0.1).item(), expected[1])
        there = strict.xp.asarray(features)
        close([f(there) for f in (stable_rank, effective_rank)], ranks[:2])
        close(degrees_of_freedom(there, 0.1), ranks[2])
        normal = draw(3, seed=1)
        points = draw(40, 3)
        labels = np.sign(points @ normal)
        points += 0.3 * labels[:, None] * normal
        close(
            max_margin(strict.xp.asarray(points), labels).margin, max_margin(points, labels).margin
        )


A, B, LINEAR = draw(3, 2), draw(3), nn.Linear(1, 1)
NORMED = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.RMSNorm(2))
TWICE = nn.Sequential(NORMED[1], NORMED[1])
ERRORS = {
    "chance": (lambda: dropout_penalty(B, A.T, 1.0), "p is the chance of dropping"),
    "features": (lambda: dropout_penalty(B, A, 0.5), r"got a weight \(3,\) and x \(3, 2\)"),
    "weight of rank 3": (lambda: dropout_penalty(B[None, None], A.T, 0.5), r"expected \(in,\)"),
    "draws": (lambda: dropout_effect(lambda: 0, nn.Linear(1, 1), draws=0), "draws must be an integer ≥ 1"),
    "no dropout": (lambda: dropout_effect(LINEAR.weight.sum, LINEAR), "none of the model's 0 nn.Dropout"),
    "gradient's shape": (lambda: batchnorm_gradient(A, A.T), r"got x \(3, 2\) and g \(2, 3\)"),
    "no batch": (lambda: batchnorm_gradient(B, B), r"expected both \(N, C\)"),
    "gradient's shape along features": (lambda: layernorm_gradient(A, A.T), r"got x \(3, 2\), g \(2, 3\)"),
    "no axis": (lambda: rmsnorm_gradient(B, B, axis=()), "one axis or more"),
    "no such axis": (lambda: rmsnorm_gradient(B, B, axis=1), "axis 1 is out of bounds"),
    "scale's shape": (lambda: layernorm_gradient(A, A, B), r"got a weight \(3,\), expected \(2,\)"),
    "no norm": (lambda: norm_gradient(NORMED, "0", A, mr.sum), r"'0' is a Linear, .* has: '1', '2'"),
    "no module": (lambda: norm_gradient(LINEAR, "1", A, mr.sum), r"no module of the model, .* none"),
    "norm unused": (lambda: norm_gradient(NORMED, "1", A, lambda y: mr.tensor(1.0)), "does not depend"),
    "no scalar": (lambda: norm_gradient(NORMED, "1", A, lambda y: y), "of one element; reduce it"),
    "norm twice": (lambda: norm_gradient(TWICE, "1", A, mr.sum), "'1' ran 2 times, expected once"),
    "rate": (lambda: effective_lr(B, 0.0), "effective_lr: lr must be a finite number > 0, got 0.0"),
    "filter's rate": (lambda: early_stopping_filter(B, -1.0, 2), "early_stopping_filter: lr"),
    "steps": (lambda: equivalent_strength(B, 0.1, 0), "steps must be an integer ≥ 1, got 0"),
    "filter's steps": (lambda: early_stopping_filter(B, 0.1, -1), "steps must be an integer ≥ 0, got -1"),
    "strength": (lambda: ridge_filter(B, -1.0), "ridge_filter: strength must be ≥ 0, got -1.0"),
    "start's shape": (lambda: early_stopping_spectrum(LINEAR.weight.sum, LINEAR, lr=0.1, steps=1, start=B),
                      r"got a vector of shape \(3,\)"),
    "slope": (lambda: early_stopping_spectrum(
        mr.curvature.GaussNewton(LINEAR.weight.sum, lambda z: z * z, LINEAR), lr=0.1, steps=1, start=B
    ), "start needs a Hessian, .* got a GaussNewton; leave start out"),
    "step": (lambda: step_penalty(lambda: 0, mr.Tensor(B, True), math.inf), "step_penalty: lr"),
    "loss": (lambda: step_penalty(lambda: mr.tensor(1.0), LINEAR, 0.1), "depends on none"),
    "labels": (lambda: max_margin(A, [0, 1, 1]), "labels must be -1 and 1, got"),
    "rows": (lambda: max_margin(A, [1, 1]), r"max_margin: got x \(3, 2\) and y \(2,\)"),
    "inseparable": (lambda: max_margin(draw(200, 3), np.sign(draw(200, seed=1))), "append a column of ones"),
    "opposed": (lambda: max_margin([[1.0], [1.0]], [1, -1]), "separates the two classes"),
    "at the origin": (lambda: max_margin([[0.0], [1.0]], [1, 1]), "separates the two classes"),
    "all at the origin": (lambda: max_margin([[0.0], [0.0]], [1, 1]), "separates the two classes"),
    "no direction": (lambda: angle(B, 0 * B), "expected as many, not all 0"),
    "other space": (lambda: angle(B, B[:2]), "got 3 and 2 elements"),
    "interpolant": (lambda: nearest_interpolant(A, B[:2]), r"interpolant: got x \(3, 2\) and y \(2,\)"),
    "std": (lambda: Gaussian(0.0), "Gaussian: std must be a finite number > 0"),
    "scale": (lambda: Laplace("1"), "Laplace: scale must be a finite number > 0, got '1'"),
    "count": (lambda: Laplace(1.0).penalty(0), "penalty: n must be an integer ≥ 1"),
    "noise": (lambda: Gaussian(1.0).penalty(3, -1.0), "penalty: noise must be"),
    "observations": (lambda: Gaussian(1.0).posterior(B, B), r"posterior: got x \(3,\)"),
    "no noise": (lambda: Gaussian(1.0).posterior(A, B, 0.0), "posterior: noise must be"),
    "no noise, Laplace": (lambda: Laplace(1.0).posterior(A, B, 0.0), "posterior: noise must be"),
    "no draws": (lambda: Laplace(1.0).posterior(A, B, draws=0), "posterior: draws must be"),
}  # fmt: skip


@pytest.mark.parametrize("what", ERRORS)
def test_error(what):
    call, message = ERRORS[what]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.filterwarnings("ignore:solve")  # which says so itself, too
def test_mode_that_is_not_reached_raises(monkeypatch):
    monkeypatch.setattr(priors, "solve", partial(mr.solve, max_steps=3))
    with pytest.raises(
        RuntimeError, match=r"certificate is still .* after 3 steps; bring the columns"
    ):
        Laplace(1.0).posterior(draw(9, 3), draw(9, seed=1))
