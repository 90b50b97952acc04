"""Starting values against PyTorch: equal where nothing is random, else equal in distribution."""

from typing import Any

import numpy as np
import pytest
from support.against import close, torch
from support.lists import exact

import minireg as mr
from minireg.nn import init

tinit = torch.nn.init

# label: (shape, arguments) of what is the same in every run
FIXED: dict[str, tuple[tuple[int, ...], tuple[Any, ...]]] = {
    "constant_": ((2, 3), (0.7,)),
    "zeros_": ((2, 3), ()),
    "ones_": ((4,), ()),
    "eye_ wide": ((2, 4), ()),
    "eye_ tall": ((4, 2), ()),
    "dirac_": ((4, 3, 3, 4), ()),
    "dirac_ of a line": ((2, 3, 5), ()),
    "dirac_ of a volume": ((3, 2, 3, 2, 1), ()),
    "dirac_ groups": ((6, 2, 3, 3), (2,)),
}


@pytest.mark.parametrize("label", FIXED)
def test_fixed_values_equal_torch(label):
    shape, args = FIXED[label]
    ours, theirs = mr.Tensor(np.full(shape, 9.0)), torch.full(shape, 9.0, dtype=torch.float64)
    for lib, tensor in ((init, ours), (tinit, theirs)):
        assert getattr(lib, label.split()[0])(tensor, *args) is tensor
    close(ours, theirs, 0.0)


LINEAR = [*(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)), "linear"]


@pytest.mark.parametrize("name", [*LINEAR, "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gain_equals_torch(name):
    for param in (None, 0, 0.3, 5**0.5):
        assert init.calculate_gain(name, param) == pytest.approx(tinit.calculate_gain(name, param))


# label: (shape, keywords) of what is drawn
DRAWN: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "uniform_": ((300, 400), {}),
    "uniform_ interval": ((300, 400), {"a": -3.0, "b": -1.0}),
    "normal_": ((300, 400), {}),
    "normal_ shifted": ((300, 400), {"mean": 4.0, "std": 0.1}),
    "trunc_normal_": ((300, 400), {}),
    "trunc_normal_ hardly": ((300, 400), {"std": 0.02}),
    "trunc_normal_ one side": ((300, 400), {"mean": 0.5, "std": 1.0, "a": 0.5, "b": 9.0}),
    "trunc_normal_ nearly uniform": ((300, 400), {"std": 20.0}),
    "trunc_normal_ the tail": ((300, 400), {"a": 1.5, "b": 4.0}),
    "xavier_uniform_": ((300, 400), {}),
    "xavier_uniform_ convolution": ((60, 50, 5, 4), {"gain": 2.0}),
    "xavier_normal_": ((300, 400), {}),
    "xavier_normal_ convolution": ((60, 50, 5, 4), {"gain": 2.0}),
    "kaiming_uniform_": ((300, 400), {}),
    "kaiming_uniform_ as a layer": ((60, 50, 5, 4), {"a": 5**0.5}),
    "kaiming_uniform_ fan_out": ((60, 25, 8, 5), {"mode": "fan_out", "nonlinearity": "relu"}),
    "kaiming_normal_": ((300, 400), {}),
    "kaiming_normal_ convolution": ((60, 50, 5, 4), {"a": 0.3, "mode": "fan_out"}),
    "kaiming_normal_ tanh": ((300, 400), {"nonlinearity": "tanh"}),
    "orthogonal_": ((340, 340), {}),
    "orthogonal_ wide": ((60, 50, 5, 4), {"gain": 3.0}),
    "orthogonal_ tall": ((400, 100), {}),
}


@pytest.mark.parametrize("label", DRAWN)
def test_distribution_is_that_of_torch(label):
    """Kolmogorov and Smirnov's distance of two samples of 10⁵: by chance once in 10⁴."""
    (shape, kw), name = DRAWN[label], label.split()[0]
    mr.manual_seed(0)
    ours = getattr(init, name)(mr.Tensor(np.full(shape, 9.0, np.float32)), **kw).numpy()
    generator = torch.Generator().manual_seed(0)
    theirs = getattr(tinit, name)(torch.full(shape, 9.0), **kw, generator=generator).numpy()
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    points = np.sort(np.concatenate([ours, theirs], axis=None))
    below = [
        np.searchsorted(np.sort(x, axis=None), points, "right") / x.size for x in (ours, theirs)
    ]
    assert np.abs(np.subtract(*below)).max() < 2.2 * np.sqrt(2 / ours.size)
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.02)


def test_every_function_has_an_oracle():
    asked = {label.split()[0] for label in [*FIXED, *DRAWN]} | {"calculate_gain"}
    exact("FIXED or DRAWN in tests/oracles/test_init_torch.py", asked, init.__all__)
