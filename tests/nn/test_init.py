"""Starting values: their laws, where they come from, and what they refuse."""

import math
import re

import numpy as np
import pytest

import minireg as mr
from minireg import nn
from minireg.nn import init
from minireg.random import Stream


def empty(*shape: int, dtype: type = np.float64) -> mr.Tensor:
    return mr.Tensor(np.full(shape, np.nan, dtype))


RANDOM = ["uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_",
          "kaiming_uniform_", "kaiming_normal_", "orthogonal_"]  # fmt: skip


@pytest.mark.parametrize("name", RANDOM)
def test_the_seed_decides(name):
    draw = getattr(init, name)
    mr.manual_seed(3)
    first, second = (draw(empty(4, 5)).data for _ in range(2))
    mr.manual_seed(3)
    np.testing.assert_array_equal(draw(empty(4, 5)).data, first)
    assert (first != second).any()
    own = [draw(empty(4, 5), generator=Stream("mine", seed=1)).data for _ in range(2)]
    np.testing.assert_array_equal(*own)


@pytest.mark.parametrize("name", [n for n in init.__all__ if n.endswith("_")])
def test_a_parameter_is_filled_in_place(name):
    shape = (4, 3, 5) if name == "dirac_" else (4, 6)
    p = nn.Parameter(np.full(shape, np.nan, np.float32), kind="norm")
    array, loss = p.data, (p * 1.0).sum()
    assert getattr(init, name)(p, *[0.5] * (name == "constant_")) is p
    assert p.data is array
    assert (p.dtype, p.requires_grad, p.kind) == (np.float32, True, "norm")
    assert np.isfinite(p.data).all()
    with pytest.raises(RuntimeError, match="changed in place"):  # a graph notices
        loss.backward()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_nothing_is_filled_with_nothing(shape):
    for name in RANDOM:
        if len(shape) > 1 or not name.startswith(("xavier", "kaiming", "orthogonal")):
            assert getattr(init, name)(empty(*shape)).shape == shape


def test_a_relu_layer_keeps_the_size_of_activations_or_of_gradients():
    rng = np.random.default_rng(0)
    w = init.kaiming_normal_(empty(400, 100), nonlinearity="relu").data
    y = np.maximum(rng.normal(size=(2000, 100)) @ w.T, 0)
    w = init.kaiming_normal_(empty(400, 100), mode="fan_out", nonlinearity="relu").data
    g = (rng.normal(size=(2000, 400)) * rng.integers(0, 2, (2000, 400))) @ w
    np.testing.assert_allclose([np.square(y).mean(), np.square(g).mean()], 1, rtol=0.03)


@pytest.mark.parametrize("shape", [(200, 300), (40, 20, 5, 4)])
def test_variances(shape):
    window = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * window, shape[0] * window
    for name, kw, variance in (
        ("xavier", {"gain": 3.0}, 9 * 2 / (fan_in + fan_out)),
        ("kaiming", {}, 2 / fan_in),
        ("kaiming", {"mode": "fan_out", "a": 0.5}, 2 / (1 + 0.25) / fan_out),
        ("kaiming", {"nonlinearity": "tanh"}, (5 / 3) ** 2 / fan_in),
    ):
        normal = getattr(init, f"{name}_normal_")(empty(*shape), **kw).data
        uniform = getattr(init, f"{name}_uniform_")(empty(*shape), **kw).data
        np.testing.assert_allclose([normal.var(), uniform.var()], variance, rtol=0.03)
        assert 0.999 < np.abs(uniform).max() / math.sqrt(3 * variance) <= 1


@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 8), (4, 2, 3, 2)])
def test_orthogonal_rows_or_columns(shape):
    w = init.orthogonal_(empty(*shape), gain=2.0).data.reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_orthogonal_has_no_favourite_direction():
    """Without the signs of R the first column would lean to one side."""
    corners = [init.orthogonal_(empty(3, 3)).data[0, 0] for _ in range(600)]
    assert abs(np.mean(corners)) < 5 * math.sqrt(1 / 3 / 600)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0, 1, -2, 2),
        (0, 0.02, -2, 2),
        (3, 1, -1, 1),
        (0, 5, 0.1, 0.1),
        (0, 1, 4, 4.5),
        (-1, 2, 0, 50),
    ],
)
def test_truncated_values_lie_inside(mean, std, a, b):
    for dtype in (np.float32, np.float64):
        x = init.trunc_normal_(empty(20_000, dtype=dtype), mean, std, a, b).data
        low, high = np.array([a, b], dtype)
        assert low <= x.min() <= x.max() <= high
    inside = np.linspace(max(a, mean - 9 * std), min(b, mean + 9 * std), 100_001)
    density = np.exp(-(((inside - mean) / std) ** 2) / 2)
    expected = np.average(inside, weights=density)
    spread = math.sqrt(np.average((inside - expected) ** 2, weights=density))
    assert abs(x.mean() - expected) <= 5 * spread / math.sqrt(x.size) + 1e-12
    np.testing.assert_allclose(x.std(), spread, rtol=0.03, atol=1e-12)


# (call, what it is told)
REFUSED = {
    "eye_": (lambda: init.eye_(empty(2, 2, 2)), "eye_: got a tensor of shape (2, 2, 2), expected a matrix"),
    "dirac_": (lambda: init.dirac_(empty(2, 2)), "dirac_: got a tensor of shape (2, 2) for 1 groups"),
    "dirac_ no groups": (lambda: init.dirac_(empty(3, 2, 1), 0), "(3, 2, 1) for 0 groups"),
    "dirac_ groups": (lambda: init.dirac_(empty(3, 2, 1), 2), "for 2 groups, expected (out, in/groups, …)"),
    "uniform_": (lambda: init.uniform_(empty(2), 1, 0), "uniform_: got the interval [1, 0), expected a ≤ b"),
    "normal_": (lambda: init.normal_(empty(2), 0, -1), "normal_: std must be a finite number ≥ 0, got -1"),
    "trunc_normal_": (lambda: init.trunc_normal_(empty(2), a=2, b=-2), "got the interval [2, -2]"),
    "trunc_normal_ std": (
        lambda: init.trunc_normal_(empty(2), std=0), "std must be a finite number > 0, got 0"),
    "orthogonal_": (lambda: init.orthogonal_(empty(2)), "orthogonal_: got a tensor of shape (2,)"),
    **{
        name: (lambda name=name: getattr(init, name)(empty(2)), f"{name}: got a tensor of shape (2,)")
        for name in RANDOM[3:7]
    },
    "mode": (
        lambda: init.kaiming_normal_(empty(2, 2), mode="fan"), "kaiming_normal_: mode must be 'fan_in' or",
    ),
    "nonlinearity": (
        lambda: init.kaiming_uniform_(empty(2, 2), nonlinearity="elu"), "calculate_gain: got 'elu'",
    ),
    "gain": (lambda: init.calculate_gain("gelu"), "calculate_gain: got 'gelu', expected one of ['conv1d',"),
}  # fmt: skip


@pytest.mark.parametrize("label", REFUSED)
def test_what_makes_no_sense_is_told(label):
    call, message = REFUSED[label]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_a_result_of_a_graph_is_not_overwritten():
    y = mr.tensor([[1.0]], requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="in-place change of the result of 'mul'"):
        init.zeros_(y)
