"""Losses: laws between them, options as one target distribution, parts that sum, and refusals."""

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.arrays import draw
from support.lists import exact

import minireg as mr
from minireg import nn
from minireg.nn import losses
from minireg.random import Stream

F = nn.functional
C = 4


def labels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, C, shape)


def log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


# --- cross entropy --------------------------------------------------------------------------------


def test_cross_entropy_is_minus_the_log_probability_of_the_label():
    z, y = draw(5, C), labels(5)
    picked = log_softmax(z)[np.arange(5), y]
    np.testing.assert_allclose(F.cross_entropy(z, y, reduction="none"), -picked)
    np.testing.assert_allclose(F.cross_entropy(z, y), -picked.mean())


def test_logit_gradient_is_probability_minus_target():
    z, y = mr.Tensor(draw(5, C), requires_grad=True), labels(5)
    F.cross_entropy(z, y, reduction="sum").backward()
    expected = np.exp(log_softmax(z.data)) - np.eye(C)[y]
    np.testing.assert_allclose(z.grad.numpy(), expected, atol=1e-15)
    np.testing.assert_allclose(z.grad.numpy().sum(axis=1), 0, atol=1e-15)


@settings(derandomize=True, deadline=None)
@given(st.floats(-1e6, 1e6), st.sampled_from([np.float32, np.float64]))
def test_cross_entropy_does_not_see_a_shift(shift, dtype):
    z = np.array([[0.5, -1.0, 2.0]], dtype)
    shifted = z + dtype(shift)
    exact = shifted - shifted.max()  # the shift itself rounds
    np.testing.assert_allclose(
        F.cross_entropy(shifted, np.array([1])), F.cross_entropy(exact, np.array([1])), rtol=1e-6
    )


def test_smoothing_equals_smoothed_probability_targets():
    z, y, eps = draw(5, C), labels(5), 0.3
    for target, q in ((y, np.eye(C)[y]), (np.full((5, C), 0.5 / C), 0.5 / C)):
        smoothed = (1 - eps) * q + np.full((5, C), eps / C)
        got = F.cross_entropy(z, target, label_smoothing=eps)
        np.testing.assert_allclose(got, F.cross_entropy(z, smoothed))


@pytest.mark.parametrize("ignored", [-100, 0, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_ignored_labels_are_as_if_absent(ignored, smoothing, reduction):
    """Also when the label to ignore is one of the classes, as with padding."""
    z, y = draw(9, C), labels(9)
    y[::3] = ignored
    kept = y != ignored
    assert 0 < kept.sum() < 9
    options = {"reduction": reduction, "label_smoothing": smoothing}
    got = F.cross_entropy(z, y, ignore_index=ignored, **options)
    np.testing.assert_allclose(got, F.cross_entropy(z[kept], y[kept], **options))


@pytest.mark.parametrize("ignored", [-100, 0])
def test_ignored_rows_get_no_gradient(ignored):
    z, y = mr.Tensor(draw(6, C), requires_grad=True), np.array([1, ignored, 2, ignored, 3, 1])
    nn.CrossEntropyLoss(ignore_index=ignored, label_smoothing=0.1)(z, y).backward()
    assert ((z.grad.numpy() == 0).all(axis=1) == (y == ignored)).all()


def test_weighted_mean_divides_by_the_weights_of_the_targets():
    z, y, w = draw(5, C), labels(5), np.array([1.0, 2.0, 0.0, 5.0])
    rows = F.cross_entropy(z, y, weight=w, reduction="none")
    np.testing.assert_allclose(rows, w[y] * F.cross_entropy(z, y, reduction="none"))
    np.testing.assert_allclose(F.cross_entropy(z, y, weight=w), rows.sum() / w[y].sum())


def test_extra_axes_are_more_samples():
    z, y = draw(2, C, 3, 5), labels(2, 3, 5)
    flat = np.moveaxis(z, 1, -1).reshape(-1, C)
    np.testing.assert_allclose(F.cross_entropy(z, y), F.cross_entropy(flat, y.ravel()))
    rows = F.cross_entropy(z, y, reduction="none")
    np.testing.assert_allclose(rows.ravel(), F.cross_entropy(flat, y.ravel(), reduction="none"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": np.ones(C)}])
@pytest.mark.parametrize("kind", ["index", "probability"])
def test_cross_entropy_keeps_the_dtype_of_the_logits(dtype, options, kind):
    z = mr.Tensor(draw(5, C).astype(dtype), requires_grad=True)
    y = labels(5) if kind == "index" else np.full((5, C), 1 / C, dtype)
    loss = nn.CrossEntropyLoss(**options)(z, y)
    loss.backward()
    assert loss.dtype == z.grad.dtype == dtype


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_labels_are_any_integers_or_a_tensor_of_them(kind):
    z, y = draw(5, C), labels(5)
    assert F.cross_entropy(z, y.astype(kind)) == F.cross_entropy(z, y)
    assert F.cross_entropy(mr.Tensor(z), mr.Tensor(y.astype(kind))).item() == F.cross_entropy(z, y)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_impossible_class_costs_nothing_and_warns_of_nothing(smoothing):
    z = mr.Tensor(np.array([[0.0, -np.inf, 1.0]]), requires_grad=True)
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)(z, np.array([0]))
    loss.backward()
    if smoothing:
        assert loss.item() == np.inf  # smoothing asks for every class
    else:
        assert loss.item() == pytest.approx(np.log(1 + np.e))
        np.testing.assert_allclose(z.grad.numpy(), [[-np.e / (1 + np.e), 0, np.e / (1 + np.e)]])


# --- parts ----------------------------------------------------------------------------------------

PARTS = {
    "plain": ({}, ["data"]),
    "smoothing": ({"label_smoothing": 0.2}, ["data", "smoothing"]),
    "all smoothing": ({"label_smoothing": 1.0}, ["data", "smoothing"]),
    "weighted": ({"label_smoothing": 0.2, "weight": np.array([1.0, 2, 0.5, 3])}, ["data", "smoothing"]),
    "ignored": ({"label_smoothing": 0.2, "ignore_index": 1}, ["data", "smoothing"]),
    "summed": ({"label_smoothing": 0.2, "reduction": "sum"}, ["data", "smoothing"]),
    "per sample": ({"label_smoothing": 0.2, "reduction": "none"}, ["data", "smoothing"]),
}  # fmt: skip


@pytest.mark.parametrize("label", PARTS)
@pytest.mark.parametrize("kind", ["index", "probability"])
def test_parts_sum_to_the_loss(label, kind):
    options, names = PARTS[label]
    y = labels(6) if kind == "index" else np.random.default_rng(1).dirichlet(np.ones(C), 6)
    z = mr.Tensor(draw(6, C), requires_grad=True)
    loss = nn.CrossEntropyLoss(**options)
    parts = loss.parts(z, y)
    assert list(parts) == names
    np.testing.assert_allclose(sum(p.data for p in parts.values()), loss(z, y).data, rtol=1e-14)
    bare = nn.CrossEntropyLoss(**{**options, "label_smoothing": 0.0})
    np.testing.assert_allclose(parts["data"].data, bare(z, y).data, rtol=1e-14)


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_logit_gradient_of_smoothing_does_not_depend_on_the_logits(scale):
    """Claim C80: it is ε(q − 1/C), the pull of the label and the push to the uniform."""
    eps, y = 0.3, labels(5)
    z = mr.Tensor(scale * draw(5, C), requires_grad=True)
    parts = nn.CrossEntropyLoss(label_smoothing=eps, reduction="sum").parts(z, y)
    parts["smoothing"].backward()
    np.testing.assert_allclose(z.grad.numpy(), eps * (np.eye(C)[y] - 1 / C), atol=1e-15)


# --- negative log-likelihood ----------------------------------------------------------------------


@pytest.mark.parametrize("ignored", [-100, 1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(C,), (6, C), (2, C, 3)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nll_of_log_softmax_is_cross_entropy(reduction, shape, weighted, ignored):
    z, y = draw(*shape), labels(*shape[:-1] if len(shape) < 3 else (2, 3))
    y = np.where(y == 1, ignored, y) if y.shape else y
    options = {"weight": np.arange(1.0, 1 + C) if weighted else None, "ignore_index": ignored,
               "reduction": reduction}  # fmt: skip
    log_p = mr.log_softmax(z, axis=min(1, z.ndim - 1))
    np.testing.assert_allclose(
        F.nll_loss(log_p, y, **options), F.cross_entropy(z, y, **options), rtol=1e-13
    )


def test_nll_asks_for_no_other_class():
    x = mr.Tensor(np.array([[-1.0, -np.inf]]), requires_grad=True)
    loss = nn.NLLLoss()(x, np.array([0]))
    loss.backward()
    assert loss.item() == 1.0
    np.testing.assert_array_equal(x.grad.numpy(), [[-1.0, 0.0]])


# --- regression -----------------------------------------------------------------------------------


def test_mse_and_its_gradient():
    x, y = mr.Tensor(draw(3, 2), requires_grad=True), draw(3, 2, seed=1)
    loss = nn.MSELoss()(x, y)
    loss.backward()
    np.testing.assert_allclose(loss.item(), ((x.data - y) ** 2).mean())
    np.testing.assert_allclose(x.grad.numpy(), 2 * (x.data - y) / 6)


def test_l1_pulls_with_the_sign_and_not_at_all_where_it_is_right():
    x = mr.Tensor(np.array([2.0, 1.0, -3.0]), requires_grad=True)
    nn.L1Loss("sum")(x, np.array([1.0, 1.0, 0.0])).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1.0, 0.0, -1.0])


@pytest.mark.parametrize("beta", [0.1, 1.0, 3.0])
def test_smooth_l1_is_a_parabola_between_two_lines(beta):
    d = np.concatenate([np.linspace(-3, 3, 25) * beta, [beta, -beta, 0.0]])
    x = mr.Tensor(d, requires_grad=True)
    rows = F.smooth_l1_loss(x, np.zeros_like(d), "none", beta)
    rows.sum().backward()
    expected = np.where(np.abs(d) < beta, 0.5 * d**2 / beta, np.abs(d) - 0.5 * beta)
    np.testing.assert_allclose(rows.data, expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(x.grad.numpy(), np.clip(d / beta, -1, 1), rtol=1e-14)


def test_smooth_l1_runs_from_l1_to_half_mse():
    x, y = draw(50), draw(50, seed=1)
    assert F.smooth_l1_loss(x, y, beta=0) == F.l1_loss(x, y)
    np.testing.assert_allclose(F.smooth_l1_loss(x, y, beta=1e-9), F.l1_loss(x, y), rtol=1e-8)
    np.testing.assert_allclose(100 * F.smooth_l1_loss(x, y, beta=100), F.mse_loss(x, y) / 2)


# --- binary cross entropy ---------------------------------------------------------------------------


def test_binary_cross_entropy_is_cross_entropy_of_two_classes():
    x, t = draw(20), np.random.default_rng(1).uniform(size=20)
    z, q = np.stack([np.zeros(20), x], axis=1), np.stack([1 - t, t], axis=1)
    np.testing.assert_allclose(
        F.binary_cross_entropy_with_logits(x, t, reduction="none"),
        F.cross_entropy(z, q, reduction="none"), rtol=1e-12,
    )  # fmt: skip


def test_logit_gradient_of_binary_cross_entropy_is_probability_minus_target():
    x, t = mr.Tensor(draw(20), requires_grad=True), np.random.default_rng(1).uniform(size=20)
    nn.BCEWithLogitsLoss(reduction="sum")(x, t).backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 / (1 + np.exp(-x.data)) - t, atol=1e-15)


def test_pos_weight_counts_positives_several_times():
    x, t = draw(6), np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    again = np.concatenate([x, x[t == 1], x[t == 1]])
    repeated = np.concatenate([t, np.ones(6)])
    np.testing.assert_allclose(
        F.binary_cross_entropy_with_logits(x, t, reduction="sum", pos_weight=np.array(3.0)),
        F.binary_cross_entropy_with_logits(again, repeated, reduction="sum"), rtol=1e-14,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_is_finite_and_exact_far_out(dtype):
    x = mr.Tensor(np.array([-1e4, -60.0, 60.0, 1e4], dtype), requires_grad=True)
    for t, expected in ((0.0, [0, np.exp(-60), 60, 1e4]), (1.0, [1e4, 60, np.exp(-60), 0])):
        rows = nn.BCEWithLogitsLoss(reduction="none")(x, np.full(4, t, dtype))
        np.testing.assert_allclose(rows.data, expected, rtol=1e-6)
        x.grad = None
        rows.sum().backward()
        assert np.isfinite(x.grad.numpy()).all()


# --- Kullback–Leibler divergence ----------------------------------------------------------------------


def test_kl_is_cross_entropy_minus_entropy():
    z, p = draw(5, C), np.random.default_rng(1).dirichlet(np.ones(C), 5)
    entropy = -(p * np.log(p)).sum(axis=1).mean()
    divergence = F.kl_div(mr.log_softmax(z, axis=1), p, "batchmean")
    np.testing.assert_allclose(divergence, F.cross_entropy(z, p) - entropy, rtol=1e-13)
    assert divergence > 0
    assert abs(F.kl_div(np.log(p), p, "batchmean")) < 1e-15


def test_reductions_of_kl():
    x, p = np.log(np.full((5, C), 1 / C)), np.random.default_rng(1).dirichlet(np.ones(C), 5)
    total = F.kl_div(x, p, "sum")
    np.testing.assert_allclose(F.kl_div(x, p, "none").sum(), total)
    np.testing.assert_allclose(F.kl_div(x, p, "batchmean"), total / 5)
    np.testing.assert_allclose(F.kl_div(x, p), total / (5 * C))
    np.testing.assert_allclose(F.kl_div(x, np.log(p), "sum", log_target=True), total)


# --- hinge ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64])
def test_hinge_of_signs(p, kind):
    s, y = np.array([2.0, 0.25, -1.0, 1.0, -1.0]), np.array([1, 1, 1, 1, -1], kind)
    x = mr.Tensor(s, requires_grad=True)
    rows = nn.HingeLoss(p, reduction="none")(x, y)
    missing = np.array([0.0, 0.75, 2.0, 0.0, 0.0])
    np.testing.assert_array_equal(rows.data, missing**p)
    rows.sum().backward()
    pull = (missing > 0) if p == 1 else 2 * missing
    np.testing.assert_array_equal(x.grad.numpy(), -y * pull)  # nothing where it is just met


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_hinge_of_two_classes_is_half_the_hinge_of_their_difference(p, margin):
    s, y = draw(9, 2), labels(9) % 2
    by_class = F.hinge_loss(s, y, p, margin)
    by_sign = F.hinge_loss(s[:, 1] - s[:, 0], 2 * y - 1, p, margin)
    np.testing.assert_allclose(2 * by_class, by_sign, rtol=1e-14)


def test_hinge_of_classes_over_extra_axes():
    s, y = draw(2, C, 3), labels(2, 3)
    flat = np.moveaxis(s, 1, -1).reshape(-1, C)
    np.testing.assert_allclose(F.hinge_loss(s, y), F.hinge_loss(flat, y.ravel()))


# --- every loss -----------------------------------------------------------------------------------

PROBABILITIES = np.random.default_rng(3).dirichlet(np.ones(C), 6)
# loss: (module, output, target)
EVERY: dict[str, tuple[nn.Module, np.ndarray, np.ndarray]] = {
    "CrossEntropyLoss": (nn.CrossEntropyLoss(np.arange(1.0, 5.0)), draw(6, C), labels(6)),
    "NLLLoss": (nn.NLLLoss(np.arange(1.0, 5.0)), draw(6, C), labels(6)),
    "MSELoss": (nn.MSELoss(), draw(6, C), draw(6, C, seed=1)),
    "L1Loss": (nn.L1Loss(), draw(6, C), draw(6, C, seed=1)),
    "SmoothL1Loss": (nn.SmoothL1Loss(beta=0.4), draw(6, C), draw(6, C, seed=1)),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(np.ones((6, 1)), pos_weight=np.arange(1.0, 5.0)),
                          draw(6, C), PROBABILITIES),
    "KLDivLoss": (nn.KLDivLoss("batchmean"), draw(6, C), PROBABILITIES),
    "KLDivLoss, log": (nn.KLDivLoss(log_target=True), draw(6, C), np.log(PROBABILITIES)),
    "HingeLoss": (nn.HingeLoss(2, 0.7), draw(6, C), labels(6)),
    "HingeLoss, signs": (nn.HingeLoss(), draw(6), np.where(draw(6, seed=1) > 0, 1, -1)),
}  # fmt: skip
every_loss = pytest.mark.parametrize("label", EVERY)


def test_every_loss_is_here():
    kinds = {name: getattr(nn, name) for name in nn.__all__}
    public = {n for n, k in kinds.items() if isinstance(k, type) and issubclass(k, losses.Loss)}
    exact("EVERY in tests/nn/test_losses.py", {label.partition(",")[0] for label in EVERY}, public)


@every_loss
def test_derivatives_of_first_and_second_order(label):
    loss, output, target = EVERY[label]
    x = mr.Tensor(output, requires_grad=True)
    assert mr.gradcheck(lambda x: loss(x, target), x)
    assert mr.gradgradcheck(lambda x: loss(x, target), x)


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loss_keeps_the_dtype_of_the_output(label, dtype):
    loss, output, target = EVERY[label]
    target = target.astype(dtype) if target.dtype.kind == "f" else target
    x = mr.Tensor(output.astype(dtype), requires_grad=True)
    value = loss(x, target)
    value.backward()
    assert value.dtype == x.grad.dtype == dtype
    assert value.shape == ()


@every_loss
def test_arrays_and_tensors_give_the_same(label):
    loss, output, target = EVERY[label]
    value = loss(output, target)
    assert isinstance(value, np.generic | np.ndarray)
    assert loss(mr.Tensor(output), mr.Tensor(target)).item() == value
    assert loss(mr.Tensor(output), target).item() == value


@every_loss
def test_the_parts_of_a_loss_without_smoothing_are_itself(label):
    loss, output, target = EVERY[label]
    parts = loss.parts(mr.Tensor(output), target)
    assert list(parts) == ["data"]
    assert parts["data"].item() == loss(output, target)


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(label, reduction):
    loss, output, target = EVERY[label]
    options = {**loss.options(), "reduction": "none", "weight": None}
    rows, got = (
        type(loss)(
            **{k: v for k, v in {**options, "reduction": how}.items() if k in loss.options()}
        )(output, target)
        for how in ("none", reduction)
    )
    np.testing.assert_allclose(got, rows if reduction == "none" else getattr(rows, reduction)())


@every_loss
def test_a_loss_survives_a_copy(label):
    loss, output, target = EVERY[label]
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert twin(output, target) == loss(output, target)
        assert repr(twin) == repr(loss)


# --- refusals -------------------------------------------------------------------------------------

LOGITS = draw(5, C)
CE, NLL, HINGE = F.cross_entropy, F.nll_loss, F.hinge_loss
BCE, KL = F.binary_cross_entropy_with_logits, F.kl_div
# label: (function, output, target, options, message)
REFUSED = {
    "label too large": (CE, LOGITS, np.array([0, 1, 4, 2, 3]), {}, "label 4 is outside 0 … 3 (4 classes)"),
    "negative label": (CE, LOGITS, np.array([0, 1, -1, 2, 3]), {},
                       "label -1 is outside 0 … 3 (4 classes) and is not ignore_index=-100"),
    "too few labels": (CE, LOGITS, labels(4), {}, "targets of shape (4,) and dtype int64"),
    "labels as a column": (CE, LOGITS, labels(5, 1), {},
                           "expected integer labels of shape (5,) or floating probabilities"),
    "float labels": (CE, LOGITS, labels(5).astype(float), {}, "probability targets of shape (5,)"),
    "boolean labels": (CE, LOGITS, labels(5) > 1, {}, "dtype bool"),
    "other probabilities": (CE, LOGITS, np.ones((5, 3)), {}, "probability targets of shape (5, 3)"),
    "scalar logits": (CE, np.array(1.0), np.array(0), {}, "got scalar logits, expected (C,), (N, C)"),
    "integer logits": (CE, labels(5, C), labels(5), {}, "got logits of dtype int64, expected a floating"),
    "weight": (CE, LOGITS, labels(5), {"weight": np.ones(3)}, "got weight of shape (3,), expected (4,)"),
    "reduction": (CE, LOGITS, labels(5), {"reduction": "avg"}, "must be 'mean', 'sum' or 'none', got 'avg'"),
    "smoothing": (CE, LOGITS, labels(5), {"label_smoothing": 1.5},
                  "label_smoothing must be in [0, 1], got 1.5"),
    "nll: label": (NLL, LOGITS, np.array([0, 1, 7, 2, 3]), {}, "label 7 is outside 0 … 3"),
    "nll: probabilities": (NLL, LOGITS, np.ones((5, C)), {},
                           "targets of shape (5, 4) and dtype float64 for logits of shape (5, 4)"),
    "nll: scalar": (NLL, np.array(1.0), np.array(0), {}, "got scalar logits"),
    "nll: weight": (NLL, LOGITS, labels(5), {"weight": np.ones(5)}, "weight of shape (5,), expected (4,)"),
    "nll: reduction": (NLL, LOGITS, labels(5), {"reduction": None}, "got None"),
    "mse: column": (F.mse_loss, draw(5, 1), draw(5), {},
                    "got input of shape (5, 1) and target of shape (5,), expected equal shapes; reshape"),
    "mse: reduction": (F.mse_loss, draw(5), draw(5), {"reduction": "batchmean"}, "got 'batchmean'"),
    "mse: integer output": (F.mse_loss, labels(5), draw(5), {},
                           "got input of dtype int64, expected a floating"),
    "l1: column": (F.l1_loss, draw(5), draw(5, 1), {}, "got input of shape (5,) and target of shape (5, 1)"),
    "l1: reduction": (F.l1_loss, draw(5), draw(5), {"reduction": ""}, "got ''"),
    "smooth l1: beta": (F.smooth_l1_loss, draw(5), draw(5), {"beta": -0.5}, "a finite number ≥ 0, got -0.5"),
    "smooth l1: inf": (F.smooth_l1_loss, draw(5), draw(5), {"beta": np.inf}, "a finite number ≥ 0, got inf"),
    "smooth l1: column": (F.smooth_l1_loss, draw(5), draw(1, 5), {}, "expected equal shapes"),
    "bce: column": (BCE, draw(5, 1), np.ones(5), {}, "expected equal shapes"),
    "bce: weight": (BCE, draw(5, 2), np.ones((5, 2)), {"weight": np.ones(5)},
                    "got weight of shape (5,), expected one that broadcasts to (5, 2)"),
    "bce: large weight": (BCE, draw(2), np.ones(2), {"weight": np.ones((3, 2))},
                          "got weight of shape (3, 2), expected one that broadcasts to (2,)"),
    "bce: pos_weight": (BCE, draw(5, 2), np.ones((5, 2)), {"pos_weight": np.ones(3)},
                        "got pos_weight of shape (3,), expected one that broadcasts to (5, 2)"),
    "kl: shape": (KL, LOGITS, np.ones(C), {}, "expected equal shapes"),
    "kl: reduction": (KL, LOGITS, LOGITS, {"reduction": "avg"},
                      "must be 'mean', 'sum', 'none' or 'batchmean', got 'avg'"),
    "hinge: zero and one": (HINGE, draw(3), np.array([0, 1, 1]), {},
                            "got targets [0 1] of the scores' shape (3,), expected labels -1 and 1"),
    "hinge: one-hot": (HINGE, draw(3, 2), np.eye(2)[[0, 1, 1]], {},
                       "integer classes 0 … C - 1 need scores (N, C)"),
    "hinge: label": (HINGE, LOGITS, np.array([0, 1, -1, 2, 3]), {}, "label -1 is outside 0 … 3 (4 classes)"),
    "hinge: signs for a column": (HINGE, draw(3, 1), np.array([1, -1, 1]), {}, "label 1 is outside 0 … 0"),
    "hinge: floats": (HINGE, LOGITS, np.ones(5), {},
                      "expected integer labels of shape (5,), or labels ±1 of the scores' shape"),
    "hinge: whole scores": (HINGE, labels(5), np.ones(5), {}, "got scores of dtype int64, expected"),
    "hinge: p": (HINGE, draw(3), np.ones(3), {"p": 3}, "p must be 1 or 2, got 3"),
    "hinge: margin": (HINGE, draw(3), np.ones(3), {"margin": -1.0}, "a finite number ≥ 0, got -1.0"),
    "hinge: margin nan": (HINGE, draw(3), np.ones(3), {"margin": np.nan}, "a finite number ≥ 0, got nan"),
}  # fmt: skip


@pytest.mark.parametrize("label", REFUSED)
def test_a_loss_says_what_it_expected(label):
    function, output, target, options, message = REFUSED[label]
    with pytest.raises(ValueError, match=f"^{function.__name__}: .*{re.escape(message)}"):
        function(output, target, **options)


ONE_OF = "reduction must be 'mean', 'sum' or 'none', got"
BAD_OPTIONS = {
    "CrossEntropyLoss: label_smoothing must be in [0, 1], got -0.1":
        lambda: nn.CrossEntropyLoss(label_smoothing=-0.1),
    f"CrossEntropyLoss: {ONE_OF} 'max'": lambda: nn.CrossEntropyLoss(reduction="max"),
    f"NLLLoss: {ONE_OF} 'max'": lambda: nn.NLLLoss(reduction="max"),
    f"MSELoss: {ONE_OF} 1": lambda: nn.MSELoss(1),
    f"L1Loss: {ONE_OF} 'batchmean'": lambda: nn.L1Loss("batchmean"),
    f"SmoothL1Loss: {ONE_OF} 0.5": lambda: nn.SmoothL1Loss(0.5),
    "SmoothL1Loss: beta must be a finite number ≥ 0, got -1": lambda: nn.SmoothL1Loss(beta=-1),
    f"BCEWithLogitsLoss: {ONE_OF} 'Mean'": lambda: nn.BCEWithLogitsLoss(reduction="Mean"),
    "KLDivLoss: reduction must be 'mean', 'sum', 'none' or 'batchmean', got True":
        lambda: nn.KLDivLoss(True),
    "HingeLoss: p must be 1 or 2, got 0": lambda: nn.HingeLoss(0),
    "HingeLoss: margin must be a finite number ≥ 0, got inf": lambda: nn.HingeLoss(margin=np.inf),
    "HingeLoss: margin must be a finite number ≥ 0, got '1'": lambda: nn.HingeLoss(margin="1"),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD_OPTIONS)
def test_a_loss_names_the_bad_option(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        BAD_OPTIONS[message]()


REPRS = {
    "CrossEntropyLoss(label_smoothing=0.1)  −Σ q log softmax(z), q = (1 − ε)·onehot + ε/C":
        nn.CrossEntropyLoss(label_smoothing=0.1),
    "NLLLoss(weight=…, ignore_index=0)  −w_y x_y": nn.NLLLoss(np.ones(3), 0),
    "MSELoss()  (x − y)²": nn.MSELoss(),
    "L1Loss(reduction='sum')  |x − y|": nn.L1Loss("sum"),
    "SmoothL1Loss(beta=2.0)  ½d²/β if |d| < β, else |d| − ½β;  d = x − y": nn.SmoothL1Loss(beta=2.0),
    "BCEWithLogitsLoss(pos_weight=…)  −w (c t log σ(x) + (1 − t) log(1 − σ(x)))":
        nn.BCEWithLogitsLoss(pos_weight=mr.tensor([2.0])),
    "KLDivLoss(reduction='batchmean', log_target=True)  t (log t − x)": nn.KLDivLoss("batchmean", True),
    "HingeLoss(p=2)  max(0, m − y s)ᵖ, or Σ_{c≠y} max(0, m − s_y + s_c)ᵖ/C": nn.HingeLoss(2),
}  # fmt: skip


@pytest.mark.parametrize("text", REPRS)
def test_repr_of_a_loss(text):
    assert repr(REPRS[text]) == text


def test_a_loss_of_ones_own_needs_a_forward_only():
    class Cubic(losses.Loss):
        def __init__(self):
            self.power = 3

        def forward(self, output, target):
            return ((output - target) ** self.power).sum()

    loss = Cubic()
    assert (
        loss(np.array([3.0]), np.array([1.0]))
        == loss.parts(np.array([3.0]), np.array([1.0]))["data"]
        == 8
    )
    assert repr(loss) == "Cubic()"


# --- what users hand in ----------------------------------------------------------------------------

ROWS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
CLASSES = np.array([0, 1, 2, 0])
HALVES = np.array([0.5, 0.25, 1.0, 0.0], np.float32)
KINDS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": lambda a: a.tolist(),
    "Tensor": mr.tensor,
    "pandas": lambda a: getattr(pytest.importorskip("pandas"), ("Series", "DataFrame")[a.ndim - 1])(
        a
    ),
    "torch": lambda a: pytest.importorskip("torch").tensor(a),
}
USES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "cross_entropy": (F.cross_entropy, (ROWS, CLASSES)),
    "soft targets": (F.cross_entropy, (ROWS, np.eye(3, dtype=np.float32)[CLASSES])),
    "class weights": (lambda x, y, w: F.cross_entropy(x, y, w), (ROWS, CLASSES, HALVES[:3])),
    "nll": (F.nll_loss, (ROWS, CLASSES)),
    "mse": (F.mse_loss, (ROWS, ROWS[::-1].copy())),
    "l1": (F.l1_loss, (ROWS[:, 0].copy(), HALVES)),
    "smooth l1": (F.smooth_l1_loss, (ROWS[:, 0].copy(), HALVES)),
    "whole targets": (F.mse_loss, (ROWS[:, 0].copy(), CLASSES)),
    "bce": (F.binary_cross_entropy_with_logits, (ROWS[:, 0].copy(), HALVES)),
    "bce of labels": (F.binary_cross_entropy_with_logits, (ROWS[:, 0].copy(), CLASSES % 2)),
    "bce of booleans": (F.binary_cross_entropy_with_logits, (ROWS[:, 0].copy(), CLASSES > 0)),
    "pos_weight": (
        lambda x, y, w: F.binary_cross_entropy_with_logits(x, y, pos_weight=w), (ROWS, ROWS > 0, HALVES[:3])),
    "kl": (F.kl_div, (ROWS, np.abs(ROWS))),
    "hinge": (F.hinge_loss, (ROWS, CLASSES)),
    "binary hinge": (F.hinge_loss, (ROWS[:, 0].copy(), np.sign(ROWS[:, 1]).astype(int))),
    "linear": (lambda x: nn.Linear(3, 2, generator=Stream("init", 0))(x), (ROWS,)),
    "batch norm": (lambda x: nn.BatchNorm(3)(x), (ROWS,)),
    "layer norm": (lambda x: nn.LayerNorm(np.int64(3))(x), (ROWS,)),
    "rms norm": (lambda x: nn.RMSNorm((3,))(x), (ROWS,)),
    "group norm": (lambda x: nn.GroupNorm(1, 3)(x), (ROWS,)),
    "dropout": (lambda x: nn.Dropout(0.5, seed=0)(x), (ROWS,)),
    "embedding": (lambda x: nn.Embedding(3, 2, generator=Stream("init", 0))(x), (CLASSES,)),
    "flatten": (nn.Flatten(), (ROWS,)),
    "tanh": (nn.Tanh(), (ROWS,)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", USES)
def test_what_is_like_an_array_is_one(use: str, kind: str) -> None:
    function, arrays = USES[use]
    got, want = function(*map(KINDS[kind], arrays)), function(*arrays)
    np.testing.assert_allclose(np.asarray(detached(got)), detached(want), rtol=1e-6)


def detached(y: Any) -> Any:
    return y.detach().numpy() if hasattr(y, "detach") else y


def test_one_number_is_a_target_for_all() -> None:
    x = mr.tensor(ROWS, requires_grad=True)
    for loss in (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.binary_cross_entropy_with_logits):
        for number in (1.0, mr.tensor(1.0)):
            assert loss(x, number).item() == loss(x, np.ones_like(ROWS)).item()


def test_tensors_in_a_list_are_recorded_by_a_loss() -> None:
    x = mr.tensor([1.0, 2.0], requires_grad=True)
    F.mse_loss([x, x], np.zeros((2, 2))).backward()
    np.testing.assert_allclose(x.grad.numpy(), [1.0, 2.0])


# name → (the loss, probabilities in place of its logits, its target)
PROBABILITIES = {
    "cross_entropy": (
        F.cross_entropy, np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]), np.array([0, 1])),
    "binary_cross_entropy_with_logits": (
        F.binary_cross_entropy_with_logits, np.linspace(0.01, 0.99, 16), np.ones(16)),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_given_as_logits_are_told_once(name: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(losses, "_warned", set())
    loss, p, y = PROBABILITIES[name]
    for logits in (p - 0.5, 2 * p, p[:1], np.round(p), 0 * p):  # nothing is said of these
        loss(logits, y[: len(logits)])
    with pytest.warns(UserWarning, match=f"{name}: the logits look like probabilities"):
        loss(p, y)
    loss(p, y)  # a second warning would be an error
