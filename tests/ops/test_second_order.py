"""Second derivatives from some of the inputs: a result keeps its dependence on all of them.

The law, for every layer and loss: the first gradient at each input or result, at each pair and
at all, then the gradient of that at all inputs, is what the unfused definitions give (here) and
what PyTorch gives (oracles/test_second_order_torch.py, which has the ops, too; their unfused
definitions are held against them by check_op).
"""

import sys
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from support.lists import exact

import minireg as mr
from minireg.check.ops import Places, at_some_places
from minireg.nn import functional as F  # noqa: N812
from minireg.ops import TABLE
from minireg.random import Stream


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def shares(*shape):
    """Targets: distributions along the last axis."""
    p = np.exp(draw(*shape, seed=2))
    return p / p.sum(axis=-1, keepdims=True)


LABELS, WEIGHTS = np.array([0, 2, 1, 2]), np.array([0.5, 1.0, 2.0])

# name → (the function of a module of functions and of these arrays, under PyTorch's names)
FUNCTIONS = {
    "linear": (lambda F, x, w, b: F.linear(x, w, b), draw(4, 3), draw(2, 3), draw(2)),
    "linear of a stack": (lambda F, x, w, b: F.linear(x, w, b), draw(2, 2, 3), draw(2, 3), draw(2)),
    "linear without bias": (lambda F, x, w: F.linear(x, w), draw(3), draw(2, 3)),
    "conv2d": (
        lambda F, x, w, b: F.conv2d(x, w, b, padding=1), draw(1, 2, 3, 3), draw(2, 2, 2, 2), draw(2)),
    "batch_norm": (
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True, eps=0.1),
        draw(4, 3), draw(3), draw(3, seed=1)),
    "batch_norm of images": (
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True, eps=0.1),
        draw(3, 2, 2), draw(2), draw(2, seed=1)),
    "layer_norm": (
        lambda F, x, w, b: F.layer_norm(x, (3,), w, b, 0.1), draw(2, 2, 3), draw(3), draw(3, seed=1)),
    "layer_norm without weight": (lambda F, x: F.layer_norm(x, (2, 3), eps=0.1), draw(2, 2, 3)),
    "rms_norm": (lambda F, x, w: F.rms_norm(x, (3,), w, 0.1), draw(4, 3), draw(3)),
    "group_norm": (
        lambda F, x, w, b: F.group_norm(x, 2, w, b, 0.1), draw(2, 4, 2), draw(4), draw(4, seed=1)),
    "gelu": (lambda F, x: F.gelu(x), draw(2, 3)),
    "gelu, tanh": (lambda F, x: F.gelu(x, "tanh"), draw(2, 3)),
    **{
        name: (lambda F, x, name=name: getattr(F, name)(x), draw(2, 3))
        for name in ("relu", "leaky_relu", "silu", "sigmoid", "tanh", "softplus")
    },
    "softmax": (lambda F, x: F.softmax(x, -1), draw(2, 3)),
    "log_softmax": (lambda F, x: F.log_softmax(x, -1), draw(2, 3)),
    "max_pool2d": (lambda F, x: F.max_pool2d(x, 2), draw(1, 1, 4, 4)),
    "avg_pool2d": (lambda F, x: F.avg_pool2d(x, 2), draw(1, 1, 4, 4)),
    "cross_entropy": (lambda F, x, q: F.cross_entropy(x, q), draw(4, 3), shares(4, 3)),
    "cross_entropy, smoothed": (
        lambda F, x, q: F.cross_entropy(x, q, label_smoothing=0.2), draw(2, 3, 4), shares(2, 3, 4)),
    "mse_loss": (lambda F, x, y: F.mse_loss(x, y), draw(2, 3), draw(2, 3, seed=1)),
    "l1_loss": (lambda F, x, y: F.l1_loss(x, y), draw(2, 3), draw(2, 3, seed=1)),
    "smooth_l1_loss": (
        lambda F, x, y: F.smooth_l1_loss(x, y, beta=0.7), draw(2, 3), draw(2, 3, seed=1)),
    "binary_cross_entropy_with_logits": (
        lambda F, x, q: F.binary_cross_entropy_with_logits(x, q), draw(2, 3), shares(2, 3)),
    "kl_div": (lambda F, x, q: F.kl_div(x, q, reduction="sum"), draw(2, 3), shares(2, 3)),
    "kl_div of logs": (
        lambda F, x, q: F.kl_div(x, q, reduction="sum", log_target=True), draw(2, 3), draw(2, 3, seed=1)),
}  # fmt: skip

# name → (the function of a module of functions, a wrapper of labels, and these arrays)
LABELLED = {
    "cross_entropy of labels": (
        lambda F, i, x: F.cross_entropy(x, i(LABELS), weight=i(WEIGHTS), label_smoothing=0.1), draw(4, 3)),
    "nll_loss": (lambda F, i, x: F.nll_loss(x, i(LABELS), ignore_index=0), draw(4, 3)),
    "embedding": (lambda F, i, w: F.embedding(i(LABELS), w), draw(3, 2)),
}  # fmt: skip

# name → (the function of a module of functions, the module, and of these arrays), where they differ
OWN = {
    "hinge_loss": (lambda F, x, y: F.hinge_loss(x, y, p=2), draw(2, 3), np.sign(draw(2, 3, seed=1))),
    "dropout": (lambda F, x: F.dropout(x, 0.5, generator=Stream("dropout", seed=0)), draw(2, 3)),
}  # fmt: skip

CASES = {
    **{name: (f, arrays) for name, (f, *arrays) in (FUNCTIONS | OWN).items()},
    **{
        name: (lambda F, *xs, f=f: f(F, np.asarray, *xs), arrays)
        for name, (f, *arrays) in LABELLED.items()
    },
}


def test_every_function_has_a_case():
    named = {name.split()[0].rstrip(",") for name in CASES}
    exact("FUNCTIONS in tests/ops/test_second_order.py", named, F.__all__)


@pytest.fixture
def unfused(monkeypatch):
    """Fused ops are their definitions for as long as the context lasts."""

    @contextmanager
    def without():
        with monkeypatch.context() as patch:
            for entry in TABLE.values():
                if entry.definition is not None:
                    patch.setattr(
                        sys.modules[entry.function.__module__],
                        entry.name,
                        entry.definition,
                        raising=False,
                    )
                    patch.setattr(entry, "function", entry.definition)
            yield

    return without


def compare(name, unfused, checks):
    function, arrays = CASES[name]
    ours, theirs = ([mr.Tensor(a, requires_grad=True) for a in arrays] for _ in "12")
    fast = Places(lambda *xs: function(F, *xs), ours)
    with unfused():
        slow = Places(lambda *xs: function(F, *xs), theirs)
    for what, same in at_some_places(fast, slow):
        checks[same] += 1
        assert same, what


@pytest.mark.parametrize("name", CASES)
def test_a_gradient_at_some_places_depends_on_all_inputs(name, unfused, checks):
    compare(name, unfused, checks)


def test_the_law_notices_a_replay_that_forgets_inputs(unfused, forgetful_replay):
    for name in ("linear", "batch_norm", "layer_norm", "rms_norm", "group_norm", "cross_entropy"):
        with pytest.raises(AssertionError, match="second derivative from the gradient at"):
            compare(name, unfused, Counter())


def test_a_gradient_at_one_input_still_depends_on_the_others():
    x = mr.tensor(np.ones((2, 3)), requires_grad=True)
    w = mr.tensor(np.ones((1, 3)), requires_grad=True)
    (gw,) = mr.grad((F.linear(x, w) ** 2).sum(), w, create_graph=True)
    (gx,) = mr.grad(gw.sum(), x)
    assert np.array_equal(gx.numpy(), np.full((2, 3), 12.0))


@pytest.mark.parametrize(
    "layer", [mr.nn.Linear(2, 3), mr.nn.LayerNorm(2), mr.nn.GELU("tanh")], ids=str
)
def test_a_fused_result_may_be_the_target(layer):
    h = layer.to(np.float64)(mr.tensor(np.array([[1.0, 2.0]]), requires_grad=True))
    (g,) = mr.grad((h * h).sum(), h, create_graph=True)
    assert np.array_equal(g.numpy(), 2 * h.numpy())
