"""Losses: options as one target distribution, parts that sum, and what a wrong target is told."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minireg as mr
from minireg import nn

F = nn.functional
C = 4


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


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


# --- mean squared error ---------------------------------------------------------------------------


def test_mse_and_its_gradient():
    x, y = mr.Tensor(draw(3, 2), requires_grad=True), draw(3, 2, seed=1)
    loss = nn.MSELoss()(x, y)
    loss.backward()
    np.testing.assert_allclose(loss.item(), ((x.data - y) ** 2).mean())
    np.testing.assert_allclose(x.grad.numpy(), 2 * (x.data - y) / 6)
    assert list(nn.MSELoss().parts(x, y)) == ["data"]


# --- refusals -------------------------------------------------------------------------------------

LOGITS = draw(5, C)
REFUSED = {
    "label too large": (LOGITS, np.array([0, 1, 4, 2, 3]), {}, "label 4 is outside 0 … 3 (4 classes)"),
    "negative label": (LOGITS, np.array([0, 1, -1, 2, 3]), {}, "label -1 is outside 0 … 3"),
    "too few labels": (LOGITS, labels(4), {}, "targets of shape (4,) and dtype int64"),
    "labels as a column": (LOGITS, labels(5, 1), {}, "expected integer labels of shape (5,)"),
    "float labels": (LOGITS, labels(5).astype(float), {}, "probability targets of shape (5,)"),
    "boolean labels": (LOGITS, labels(5) > 1, {}, "dtype bool"),
    "probabilities of another shape": (LOGITS, np.ones((5, 3)), {}, "probability targets of shape (5, 3)"),
    "scalar logits": (np.array(1.0), np.array(0), {}, "got scalar logits, expected (C,), (N, C)"),
    "weight": (LOGITS, labels(5), {"weight": np.ones(3)}, "got weight of shape (3,), expected (4,)"),
    "reduction": (LOGITS, labels(5), {"reduction": "avg"}, "must be 'mean', 'sum' or 'none', got 'avg'"),
    "smoothing": (LOGITS, labels(5), {"label_smoothing": 1.5}, "label_smoothing must be in [0, 1], got 1.5"),
}  # fmt: skip


@pytest.mark.parametrize("label", REFUSED)
def test_cross_entropy_says_what_it_expected(label):
    logits, target, options, message = REFUSED[label]
    with pytest.raises(ValueError, match=f"^cross_entropy: .*{re.escape(message)}"):
        F.cross_entropy(logits, target, **options)


ONE_OF = "reduction must be 'mean', 'sum' or 'none', got"
BAD_OPTIONS = {
    "CrossEntropyLoss: label_smoothing must be in [0, 1], got -0.1":
        lambda: nn.CrossEntropyLoss(label_smoothing=-0.1),
    f"CrossEntropyLoss: {ONE_OF} 'max'": lambda: nn.CrossEntropyLoss(reduction="max"),
    f"MSELoss: {ONE_OF} 1": lambda: nn.MSELoss(1),
    "mse_loss: got x of shape (5, 1) and target of shape (5,), expected equal shapes":
        lambda: F.mse_loss(draw(5, 1), draw(5)),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD_OPTIONS)
def test_a_loss_names_the_bad_option(message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        BAD_OPTIONS[message]()


def test_repr_of_losses():
    assert repr(nn.CrossEntropyLoss(label_smoothing=0.1)).startswith(
        "CrossEntropyLoss(label_smoothing=0.1, reduction='mean')  −Σ q log softmax(z)"
    )
    assert repr(nn.MSELoss()) == "MSELoss()  mean (x − y)²"
