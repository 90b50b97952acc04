"""PyTorch's argument names work as keywords, in the functions and in the layers and losses."""

import numpy as np
import pytest
from support.arrays import draw
from support.lists import exact

import minireg as mr
from minireg import nn
from minireg.ops.table import array_of

F = nn.functional

X, W, B = draw(5, 3), draw(4, 3, seed=1), draw(4, seed=2)
IMAGES, WINDOWS = draw(2, 3, 6, 6), draw(4, 3, 3, 3, seed=1)
LABELS, Y = np.array([0, 2, 1, 1, 0]), draw(5, 3, seed=3)
P = F.softmax(Y, dim=1)

# function, its arguments in order under PyTorch's names
CALLS = [
    (F.linear, {"input": X, "weight": W, "bias": B}),
    (F.embedding, {"input": LABELS, "weight": W, "padding_idx": 1}),
    (F.batch_norm, {"input": X, "running_mean": X[0], "running_var": X[1] ** 2, "weight": X[2]}),
    (F.layer_norm, {"input": X, "normalized_shape": 3, "weight": X[0], "bias": X[1], "eps": 0.1}),
    (F.rms_norm, {"input": X, "normalized_shape": 3, "weight": X[0], "eps": 0.1}),
    (F.group_norm, {"input": X, "num_groups": 1, "weight": X[0], "bias": X[1], "eps": 0.1}),
    (F.dropout, {"input": X, "p": 0.5, "training": False}),
    (F.conv2d, {"input": IMAGES, "weight": WINDOWS, "bias": B, "stride": 2, "padding": 1}),
    (F.max_pool2d, {"input": IMAGES, "kernel_size": 2, "stride": 1, "padding": 1}),
    (F.avg_pool2d, {"input": IMAGES, "kernel_size": 2, "stride": 1, "padding": 1}),
    *((f, {"input": X}) for f in (F.relu, F.leaky_relu, F.sigmoid, F.silu, F.tanh)),
    (F.gelu, {"input": X, "approximate": "tanh"}),
    (F.softplus, {"input": X, "beta": 2.0}),
    (F.softmax, {"input": X, "dim": 0}),
    (F.log_softmax, {"input": X, "dim": 0}),
    (F.cross_entropy, {"input": X, "target": LABELS, "weight": abs(X[0])}),
    (F.nll_loss, {"input": X, "target": LABELS, "weight": abs(X[0])}),
    (F.mse_loss, {"input": X, "target": Y}),
    (F.l1_loss, {"input": X, "target": Y}),
    (F.smooth_l1_loss, {"input": X, "target": Y}),
    (F.binary_cross_entropy_with_logits, {"input": X, "target": P, "weight": abs(X[0])}),
    (F.kl_div, {"input": X, "target": P}),
    (F.hinge_loss, {"input": X, "target": LABELS}),
]


@pytest.mark.parametrize(("function", "named"), CALLS)
def test_functions_take_the_names_of_pytorch(function, named):
    expected = function(*named.values())
    assert np.array_equal(function(**named), expected)
    if named["input"].dtype.kind == "f":  # of a Tensor the graph is recorded, too
        x = mr.tensor(named["input"], requires_grad=True)
        found = function(**{**named, "input": x})
        assert np.array_equal(found.numpy(), expected)
        found.sum().backward()
        assert x.grad.shape == x.shape


def test_every_function_is_called():
    exact(
        "CALLS in tests/nn/test_keywords.py",
        {function.__name__ for function, _ in CALLS},
        F.__all__,
    )


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_axis_is_another_word_for_dim(function):
    assert np.array_equal(function(X, axis=0), function(X, dim=0))
    assert not np.array_equal(function(X, axis=0), function(X))


# module, its inputs in order under PyTorch's names
MODULES = [
    (nn.Linear(3, 2), {"input": X}),
    (nn.Embedding(3, 2), {"input": LABELS}),
    (nn.Conv2d(3, 2, 3), {"input": IMAGES}),
    (nn.MaxPool2d(2), {"input": IMAGES}),
    (nn.AvgPool2d(2), {"input": IMAGES}),
    (nn.BatchNorm1d(3), {"input": X}),
    (nn.LayerNorm(3), {"input": X}),
    (nn.RMSNorm(3), {"input": X}),
    (nn.GroupNorm(1, 3), {"input": X}),
    (nn.Dropout(0.5).eval(), {"input": X}),
    (nn.Flatten(), {"input": IMAGES}),
    (nn.Identity(), {"input": X}),
    *((kind(), {"input": X}) for kind in (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.SiLU, nn.Tanh)),
    (nn.GELU("tanh"), {"input": X}),
    (nn.Softplus(2.0), {"input": X}),
    (nn.Softmax(0), {"input": X}),
    (nn.LogSoftmax(0), {"input": X}),
    (nn.Sequential(nn.Linear(3, 2), nn.Tanh()), {"input": X}),
    (nn.CrossEntropyLoss(label_smoothing=0.1), {"input": X, "target": LABELS}),
    (nn.NLLLoss(), {"input": X, "target": LABELS}),
    (nn.MSELoss(), {"input": X, "target": Y}),
    (nn.L1Loss(), {"input": X, "target": Y}),
    (nn.SmoothL1Loss(), {"input": X, "target": Y}),
    (nn.BCEWithLogitsLoss(), {"input": X, "target": P}),
    (nn.KLDivLoss(), {"input": X, "target": P}),
    (nn.HingeLoss(), {"input": X, "target": LABELS}),
]


@pytest.mark.parametrize(("module", "named"), MODULES, ids=lambda v: type(v).__name__)
def test_modules_take_the_names_of_pytorch(module, named):
    assert np.array_equal(array_of(module(**named)), array_of(module(*named.values())))


def test_dropout_draws_from_a_given_stream():
    """As other layers do; ``seed`` is short for a stream of the layer's own."""
    given, seeded = nn.Dropout(generator=mr.random.Stream("any", 3)), nn.Dropout(seed=3)
    assert np.array_equal(given(X), seeded(X))
