"""Half precision, nothing to count and extremes, as PyTorch has them: value and gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.against import host, torch, twin

import minireg as mr
from minireg.nn import functional as F  # noqa: N812

TF = torch.nn.functional
WIDE = [[500.0, -500.0, 300.0, 0.5], [1e-5, 2.0, -300.0, 256.0]]

# what overflowed to inf or was rounded to 0 where it is summed in float16
HALF: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "norm": (mr.linalg.norm, torch.linalg.norm),
    "norm of rows": (lambda x: mr.linalg.norm(x, axis=1), lambda x: torch.linalg.norm(x, dim=1)),
    "norm of little": (lambda x: mr.linalg.norm(x * 1e-5), lambda x: torch.linalg.norm(x * 1e-5)),
    "std": (lambda x: x.std(ddof=1), torch.std),
    "std of columns": (lambda x: x.std(axis=0), lambda x: x.std(dim=0, correction=0)),
    "layer_norm": (lambda x: F.layer_norm(x, 4), lambda x: TF.layer_norm(x, (4,))),
    "rms_norm": (lambda x: F.rms_norm(x, 4), lambda x: TF.rms_norm(x, (4,))),
    "group_norm": (lambda x: F.group_norm(x, 2), lambda x: TF.group_norm(x, 2)),
    "batch_norm": (
        lambda x: F.batch_norm(x, training=True), lambda x: TF.batch_norm(x, None, None, training=True)),
    "gelu": (lambda x: F.gelu(x, "tanh"), lambda x: TF.gelu(x, approximate="tanh")),
}  # fmt: skip


@pytest.mark.parametrize("name", HALF)
def test_half_precision_is_summed_in_single(name: str) -> None:
    ours, theirs = HALF[name]
    x = np.array(WIDE, np.float16)
    a, b = mr.Tensor(x, requires_grad=True), twin(x)
    y, z = ours(a), theirs(b)
    assert y.dtype == np.float16
    np.testing.assert_allclose(host(y), host(z), rtol=2e-3, atol=1e-3)
    weights = np.random.default_rng(0).normal(size=y.shape).astype(np.float16)
    y.backward(weights)
    z.backward(torch.tensor(weights))
    # PyTorch rounds the norm of little to a number of few digits before it divides by it
    np.testing.assert_allclose(host(a.grad), host(b.grad), rtol=1e-2, atol=2e-3)


MANY = 70_000  # more than float16 can count
LABELS = np.arange(MANY) % 2
OF_MANY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "mean": (lambda x: x.mean(), lambda x: x.mean()),
    "mean of columns": (lambda x: x.mean(axis=0).sum(), lambda x: x.mean(0).sum()),
    "var": (lambda x: x.var(), lambda x: x.var(correction=0)),
    "std": (lambda x: x.std(), lambda x: x.std(correction=0)),
    "mse_loss": (lambda x: F.mse_loss(x, 0.0), lambda x: TF.mse_loss(x, torch.zeros_like(x))),
    "max": (lambda x: mr.relu(x).max(), lambda x: x.relu().amax()),
    "kl_div": (
        lambda x: F.kl_div(x, x.detach(), "batchmean"),
        lambda x: TF.kl_div(x, x.detach(), reduction="batchmean")),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, LABELS), lambda x: TF.cross_entropy(x, torch.tensor(LABELS))),
    "logsumexp": (lambda x: mr.logsumexp(x), lambda x: x.logsumexp((0, 1))),
    "softmax": (lambda x: mr.softmax(x.T)[:, 2:4].sum(), lambda x: x.T.softmax(-1)[:, 2:4].sum()),
    "log_softmax": (lambda x: mr.log_softmax(x.T)[:, 2:4].sum(), lambda x: x.T.log_softmax(-1)[:, 2:4].sum()),
    "many classes": (
        lambda x: F.cross_entropy(x.T, LABELS[:2]),
        lambda x: TF.cross_entropy(x.T, torch.tensor(LABELS[:2]))),
    "nll_loss": (lambda x: F.nll_loss(x, LABELS), lambda x: TF.nll_loss(x, torch.tensor(LABELS))),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_MANY)
def test_the_mean_of_more_than_half_precision_counts_has_its_gradient(name: str) -> None:
    ours, theirs = OF_MANY[name]
    x = np.tile(np.array([[0.25, 1.0], [1.0, 0.5]], np.float16), (MANY // 2, 1))
    a, b = mr.Tensor(x, requires_grad=True), twin(x.astype(np.float32))  # PyTorch's overflows, too
    y, z = ours(a), theirs(b)
    y.backward()
    z.backward()
    assert y.dtype == np.float16
    np.testing.assert_allclose(host(y), host(z), rtol=2e-3)
    np.testing.assert_allclose(host(a.grad), host(b.grad), rtol=1e-2, atol=6e-8)


def test_rms_norm_of_little_has_the_resolution_of_single() -> None:
    x = np.full((1, 4), 1e-3, np.float16)
    np.testing.assert_allclose(
        host(F.rms_norm(x, 4)), host(TF.rms_norm(torch.tensor(x), (4,))), rtol=1e-3
    )


X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
NONE = np.array([-100, -100])
NOTHING: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "cross_entropy": (lambda x: F.cross_entropy(x, NONE), lambda x: TF.cross_entropy(x, torch.tensor(NONE))),
    "smoothed": (
        lambda x: F.cross_entropy(x, NONE, label_smoothing=0.1),
        lambda x: TF.cross_entropy(x, torch.tensor(NONE), label_smoothing=0.1)),
    "nll": (lambda x: F.nll_loss(x, NONE), lambda x: TF.nll_loss(x, torch.tensor(NONE))),
    "no rows": (
        lambda x: F.cross_entropy(x[:0], NONE[:0]),
        lambda x: TF.cross_entropy(x[:0], torch.tensor(NONE[:0]))),
    "mse of no rows": (lambda x: F.mse_loss(x[:0], X[:0]), lambda x: TF.mse_loss(x[:0], torch.tensor(X[:0]))),
    "l1 of no rows": (lambda x: F.l1_loss(x[:0], X[:0]), lambda x: TF.l1_loss(x[:0], torch.tensor(X[:0]))),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
@pytest.mark.filterwarnings("ignore:.*(invalid|divide|empty):RuntimeWarning")
def test_the_mean_of_nothing_pulls_at_nothing(name: str) -> None:
    a, b = mr.Tensor(X, requires_grad=True), twin(X)
    y, z = (f(v) for f, v in zip(NOTHING[name], (a, b), strict=True))
    assert np.isnan([host(y), host(z)]).all()
    y.backward()
    z.backward()
    np.testing.assert_array_equal(host(a.grad), host(b.grad))
    assert not host(a.grad).any()


def test_large_numbers_are_shared_out_whole() -> None:
    for a, b in ((6e4, 6e4), (1e8, 1e8), (1e8, 1e8 - 8), (-1e8, 3.0)):
        x = mr.tensor([a, b], requires_grad=True)
        mr.logaddexp(x[0], x[1]).backward()
        y = mr.tensor([a, b], requires_grad=True)
        mr.logsumexp(y).backward()
        t = torch.tensor([a, b], requires_grad=True)
        torch.logaddexp(t[0], t[1]).backward()
        np.testing.assert_allclose(host(x.grad), host(t.grad), rtol=1e-6)
        np.testing.assert_allclose(host(y.grad), host(t.grad), rtol=1e-6)


@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0, np.inf, "step"])
def test_clipping_counts_in_single(norm: float | str) -> None:
    """The square of 300 is infinite in half precision, and that of 1e-4 is 0."""
    wide, little = np.array([300, -400, 1], np.float16), np.full(10_000, 1e-4, np.float16)
    for g, least in ((wide, 1.0), (little, 1e-4)):
        a, b = mr.tensor(0 * g, requires_grad=True), twin(0 * g)
        a.grad, b.grad = mr.tensor(g), torch.tensor(g).clone()
        total = torch.nn.utils.clip_grad_norm_([b], least, 2.0 if norm == "step" else norm)
        if norm == "step":
            mr.optim.SGD([a], lr=1.0).step(max_norm=least)
            np.testing.assert_allclose(-a.data, host(b.grad), rtol=2e-3)
        else:
            found = mr.optim.clip_grad_norm_([a], least, norm)
            np.testing.assert_allclose(host(found), host(total), rtol=2e-3)
        np.testing.assert_allclose(host(a.grad), host(b.grad), rtol=2e-3, atol=6e-8)
