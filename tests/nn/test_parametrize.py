"""Spectral and weight norm: laws of the weight they make, of their state, and of their gradient."""

import copy
import pickle
import re

import numpy as np
import pytest
from support.arrays import draw

import minireg as mr
from minireg import nn, optim
from minireg.nn import utils
from minireg.penalties import L2
from minireg.random import Stream


def linear(seed: int = 0) -> nn.Linear:
    layer = nn.Linear(4, 3, dtype=np.float64)
    layer.weight.assign(draw(3, 4, seed=seed))
    return layer


def spectral(**options) -> nn.Linear:
    return utils.spectral_norm(linear(), generator=Stream("spectral_norm", seed=0), **options)


def state(layer: nn.Module) -> list[np.ndarray]:
    step = layer.parametrizations.weight[0]
    return [step._u.numpy().copy(), step._v.numpy().copy()]


def top(w: np.ndarray) -> float:
    return float(np.linalg.norm(w, 2))


# --- spectral norm --------------------------------------------------------------------------------


def test_the_largest_singular_value_becomes_one():
    """Claim C85: σ = uᵀWv tends to it, from below."""
    layer = spectral()
    for _ in range(200):
        layer.weight
    np.testing.assert_allclose(top(layer.weight.numpy()), 1, rtol=1e-12)
    u, s, vt = np.linalg.svd(layer.parametrizations.weight.original.numpy())
    np.testing.assert_allclose(np.outer(*state(layer)), np.outer(u[:, 0], vt[0]), atol=1e-12)
    np.testing.assert_allclose(layer.weight.numpy() * s[0], linear().weight.numpy(), rtol=1e-12)


def test_the_first_estimate_is_good_already():
    """PyTorch's 15 iterations before anything is asked; an evaluation may come first."""
    for seed in range(20):
        layer = utils.spectral_norm(linear(seed).eval(), generator=Stream("v", seed=seed))
        assert 1 - 1e-12 <= top(layer.weight.numpy()) < 1.1


def test_a_convolution_is_the_matrix_of_its_outputs():
    layer = utils.spectral_norm(nn.Conv2d(2, 3, 2), n_power_iterations=100)
    np.testing.assert_allclose(top(layer.weight.numpy().reshape(3, -1)), 1, rtol=1e-5)
    layer = utils.spectral_norm(nn.Conv2d(2, 3, 2), n_power_iterations=100, dim=1)
    np.testing.assert_allclose(
        top(np.moveaxis(layer.weight.numpy(), 1, 0).reshape(2, -1)), 1, rtol=1e-5
    )


def test_a_vector_is_divided_by_its_length():
    layer = utils.spectral_norm(linear(), "bias")
    np.testing.assert_allclose(np.linalg.norm(layer.bias.numpy()), 1, rtol=1e-12)
    assert not [*layer.named_buffers()]


def test_a_network_of_such_layers_is_1_lipschitz():
    """Claims C87 and C88, with 1-Lipschitz activations."""
    layers = [nn.Linear(5, 8), nn.LeakyReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)]
    model = nn.Sequential(*layers).double()
    for layer in layers[::2]:
        utils.spectral_norm(layer, n_power_iterations=100)
    x, y = draw(500, 5), draw(500, 5, seed=1)
    model(mr.Tensor(x))  # in training mode: 100 iterations
    apart = np.linalg.norm(model.eval()(mr.Tensor(x)).data - model(mr.Tensor(y)).data, axis=1)
    assert (apart <= np.linalg.norm(x - y, axis=1) * (1 + 1e-9)).all()


def test_training_advances_the_iteration_and_evaluation_does_not():
    """In evaluation nothing moves, whoever reads the weight and however often."""
    layer, x = spectral(), mr.Tensor(draw(2, 4))
    before = state(layer)
    layer.eval()(x), layer(x), layer.weight, repr(layer), layer.state_dict(), [*layer.parameters()]
    np.testing.assert_equal(state(layer), before)
    w = layer.parametrizations.weight.original.numpy()
    for _ in range(3):
        layer.train()(x)
        u = w @ before[1] / np.linalg.norm(w @ before[1])
        before = [u, w.T @ u / np.linalg.norm(w.T @ u)]
        for got, want in zip(state(layer), before, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_has_no_part_along_the_weight(training):
    """(W̄ − ⟨W̄, W⟩ u vᵀ)/σ with u and v constant, in both modes; exact when they have converged."""
    layer = spectral(n_power_iterations=200)
    layer.weight
    layer.train(training)
    original, g = layer.parametrizations.weight.original, draw(3, 4, seed=1)
    layer.weight.backward(mr.Tensor(g))
    u, v = state(layer)
    w, sigma = layer.weight.numpy(), top(original.numpy())
    expected = (g - (g * w).sum() * np.outer(u, v)) / sigma
    np.testing.assert_allclose(original.grad.numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose((original.grad.numpy() * w).sum(), 0, atol=1e-12)  # scale-invariant
    assert mr.gradcheck(lambda w: w / mr.linalg.norm(w, 2), original.numpy())
    (whole,) = mr.grad(original / mr.linalg.norm(original, 2), original, mr.Tensor(g))
    np.testing.assert_allclose(whole.numpy(), expected, rtol=1e-9)


def test_two_forward_passes_before_one_backward():
    """loss = D(real) − D(fake): each pass keeps the u and v that it saw."""
    layer, a, b = spectral(), mr.Tensor(draw(2, 4)), mr.Tensor(draw(2, 4, seed=1))
    twin = copy.deepcopy(layer)
    (layer(a).sum() - layer(b).sum()).backward()
    twin(a).sum().backward()
    (-twin(b).sum()).backward()
    np.testing.assert_allclose(
        layer.parametrizations.weight.original.grad.numpy(),
        twin.parametrizations.weight.original.grad.numpy(), rtol=1e-12,
    )  # fmt: skip


def test_the_start_is_seeded():
    starts = []
    for seed in (0, 0, 1):
        mr.manual_seed(seed)
        starts.append(state(utils.spectral_norm(linear())))
    np.testing.assert_equal(starts[0], starts[1])
    assert (starts[0][0] != starts[2][0]).any()
    np.testing.assert_equal(state(spectral()), state(spectral()))


# --- weight norm ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dim", "shape"), [(0, (3, 1)), (1, (1, 4)), (-2, (3, 1)), (None, ()), (-1, ())]
)
def test_the_magnitude_is_the_norm(dim, shape):
    layer = utils.weight_norm(linear(), dim=dim)
    np.testing.assert_allclose(layer.weight.numpy(), linear().weight.numpy(), rtol=1e-12)
    g, v = layer.parametrizations.weight.originals()
    assert g.shape == shape
    g.assign(2.0)
    v.assign(-7 * v)
    axes = {(3, 1): 1, (1, 4): 0, (): None}[shape]
    norms = np.sqrt(np.square(layer.weight.numpy()).sum(axis=axes, keepdims=shape != ()))
    np.testing.assert_allclose(norms, np.full(shape, 2.0), rtol=1e-12)


def test_the_gradient_is_split_into_length_and_direction():
    layer, g = utils.weight_norm(linear()), draw(3, 4, seed=1)
    layer.weight.backward(mr.Tensor(g))
    magnitude, v = layer.parametrizations.weight.originals()
    unit = v.numpy() / np.linalg.norm(v.numpy(), axis=1, keepdims=True)
    along = (g * unit).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(magnitude.grad.numpy(), along, rtol=1e-12)
    np.testing.assert_allclose(v.grad.numpy(), g - along * unit, rtol=1e-12, atol=1e-12)


# --- both, as parts of a model --------------------------------------------------------------------

BOTH = {"spectral_norm": utils.spectral_norm, "weight_norm": utils.weight_norm}
NAMES = {
    "spectral_norm": {"0.parametrizations.weight.original": "weight"},
    "weight_norm": {"0.parametrizations.weight.original0": "norm",
                    "0.parametrizations.weight.original1": "weight"},
}  # fmt: skip


def model(name: str) -> nn.Sequential:
    return nn.Sequential(BOTH[name](nn.Linear(4, 3)), nn.ReLU(), nn.Linear(3, 2))


@pytest.fixture(params=BOTH)
def name(request):
    return request.param


def test_names_and_kinds(name):
    named = dict(model(name).named_parameters())
    assert [*named] == ["0.bias", *NAMES[name], "2.weight", "2.bias"]
    assert {n: named[n].kind for n in NAMES[name]} == NAMES[name]


def test_penalties_see_the_original_weight(name):
    net = model(name)
    objective = mr.Objective(nn.MSELoss(), {"l2": L2(0.1)})
    rows = {r.parameter: r for r in objective.assignments(net)}
    for parameter, kind in NAMES[name].items():
        assert rows[parameter].penalties == ("l2 (gradient)" if kind == "weight" else "–")
    terms = objective(
        net, mr.tensor(np.ones((2, 4), np.float32)), mr.tensor(np.ones((2, 2), np.float32))
    )
    terms.backward()
    weights = [p for p in net.parameters() if p.kind == "weight"]
    np.testing.assert_allclose(
        terms["l2"].item(), 0.05 * sum((p.data**2).sum() for p in weights), rtol=1e-5
    )
    (first, _) = terms.gradients["l2"].values()
    np.testing.assert_allclose(first.data, 0.1 * weights[0].data, rtol=1e-6)
    with pytest.raises(ValueError, match=r"near: .*0\.parametrizations\.weight\.original"):
        mr.Objective(nn.MSELoss(), {"l2": (L2(0.1), "0.weight")}).bind(net)


def test_it_trains(name):
    mr.manual_seed(0)
    net, x = model(name), draw(60, 4).astype(np.float32)
    y = (x[:, 0] > x[:, 1]).astype(int)
    history = mr.fit(net, nn.CrossEntropyLoss(), optim.Adam(net.parameters(), lr=0.05), (x, y),
                     epochs=40, progress=False)  # fmt: skip
    assert history["train_accuracy"][-1] > 0.95


def test_an_optimizer_made_before_goes_on(name):
    layer = nn.Linear(4, 3)
    weight, optimizer = layer.weight, optim.SGD(layer.parameters(), lr=0.1)
    BOTH[name](layer)
    kept = layer.parametrizations.weight.originals()[-1]
    assert kept is weight  # W itself, and the direction v
    layer(mr.tensor(np.ones((1, 4), np.float32))).sum().backward()
    before = weight.numpy().copy()
    optimizer.step()
    assert (weight.numpy() != before).any()


def test_freezing_copying_moving_and_saving(name, tmp_path):
    net, x = model(name), draw(2, 4)
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    assert not net(mr.Tensor(x.astype(np.float32))).requires_grad
    net.requires_grad_().double()
    expected = net.eval()(mr.Tensor(x)).data
    assert expected.dtype == np.float64
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin(mr.Tensor(x)).data, expected)
        assert twin[0].parametrizations.weight is not net[0].parametrizations.weight
        assert utils.is_parametrized(twin[0], "weight")
    mr.save(tmp_path / "weights.npz", net)
    mr.manual_seed(1)
    other = model(name).double().eval()
    assert (other(mr.Tensor(x)).data != expected).any()
    other.load_state_dict(mr.load(tmp_path / "weights.npz"))
    np.testing.assert_array_equal(other(mr.Tensor(x)).data, expected)


def test_early_stopping_puts_the_best_back(name):
    net, x = model(name), mr.Tensor(draw(2, 4).astype(np.float32))
    stopping = optim.EarlyStopping(patience=1)
    stopping.update(1.0, net)
    best = net.eval()(x).data
    net.train()(x).sum().backward()
    optim.SGD(net.parameters(), lr=1.0).step()
    stopping.update(2.0, net)
    assert (net.eval()(x).data != best).any()
    stopping.restore(net)
    np.testing.assert_array_equal(net(x).data, best)


def test_the_weight_cannot_be_set(name):
    layer = BOTH[name](nn.Linear(4, 3))
    with pytest.raises(
        AttributeError, match=r"Linear\.weight is parametrized.*remove_parametrizations"
    ):
        layer.weight = nn.Parameter(np.ones((3, 4), np.float32))
    with pytest.raises(RuntimeError, match="in-place change of the result of"):
        nn.init.zeros_(layer.weight)


def test_removed_it_is_a_plain_layer(name):
    layer = BOTH[name](linear()).eval()
    value, first = layer.weight.numpy(), layer.parametrizations.weight.originals()[0]
    assert utils.remove_parametrizations(layer, "weight") is layer
    assert [n for n, _ in layer.named_parameters()] == ["bias", "weight"]
    assert (layer.weight.kind, layer.weight.requires_grad) == ("weight", True)
    assert not utils.is_parametrized(layer)
    np.testing.assert_array_equal(layer.weight.numpy(), value)
    assert (layer.weight is first) == (name == "spectral_norm")
    layer.weight = nn.Parameter(value)


def test_the_original_can_come_back():
    layer = spectral()
    utils.remove_parametrizations(layer, "weight", leave_parametrized=False)
    np.testing.assert_array_equal(layer.weight.numpy(), linear().weight.numpy())


def test_it_is_shown():
    assert (
        repr(utils.weight_norm(utils.spectral_norm(linear(), "bias"), dim=1))
        == """\
Linear(4, 3)  y = x Wᵀ + b
  (parametrizations) Module()
    (bias) ParametrizationList()
      (0) SpectralNorm(n_power_iterations=1)  W/σ, σ = uᵀWv
    (weight) ParametrizationList()
      (0) WeightNorm(dim=1)  g·v/‖v‖"""
    )


# --- parametrizations of one's own ----------------------------------------------------------------


class Symmetric(nn.Module):
    def forward(self, w):
        return (w + w.T) / 2


class Product(nn.Module):
    """W = A B of rank 1."""

    def forward(self, a, b):
        return a @ b

    def right_inverse(self, w):
        u, s, vt = np.linalg.svd(w.numpy())
        return mr.Tensor(u[:, :1] * s[0]), mr.Tensor(vt[:1])


def test_one_after_another():
    layer = nn.Linear(3, 3, dtype=np.float64)
    original = layer.weight
    for step in (Symmetric(), utils.parametrizations.SpectralNorm(original, 100)):
        assert utils.register_parametrization(layer, "weight", step) is layer
    w = layer.weight.numpy()
    np.testing.assert_allclose(w, w.T, rtol=1e-12)
    np.testing.assert_allclose(top(w), 1, rtol=1e-6)
    assert [n for n, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    assert layer.parametrizations.weight.original is original


def test_several_originals():
    layer = utils.register_parametrization(linear(), "weight", Product())
    assert [p.kind for p in layer.parametrizations.weight.originals()] == ["weight", "weight"]
    u, s, vt = np.linalg.svd(linear().weight.numpy())
    np.testing.assert_allclose(layer.weight.numpy(), s[0] * np.outer(u[:, 0], vt[0]), rtol=1e-10)


def test_it_takes_the_mode_of_its_module():
    step = Symmetric()
    utils.register_parametrization(nn.Linear(3, 3).eval(), "weight", step)
    assert not step.training


class Half(nn.Module):
    def forward(self, w):
        return w[:1]


class Single(nn.Module):
    def forward(self, w):
        return w.astype(np.float32)


# (call, error, what it is told)
REFUSED = {
    "no such tensor": (
        lambda: utils.spectral_norm(linear(), "wieght"), ValueError,
        "Linear has no tensor 'wieght', but ['bias', 'weight']",
    ),
    "no such tensor, weight_norm": (
        lambda: utils.weight_norm(nn.Linear(2, 2, bias=False), "bias"), ValueError, "no tensor 'bias'",
    ),
    "iterations": (
        lambda: spectral(n_power_iterations=0), ValueError, "n_power_iterations must be an integer ≥ 1",
    ),
    "dim": (
        lambda: spectral(dim=2), IndexError,
        "spectral_norm: dim must be in [-2, 1] for a tensor of shape (3, 4), got 2",
    ),
    "weight_norm dim": (
        lambda: utils.weight_norm(linear(), dim=2), IndexError,
        "weight_norm: dim must be in [-2, 1] for a tensor of shape (3, 4), got 2",
    ),
    "another shape": (
        lambda: utils.register_parametrization(linear(), "weight", Half()), ValueError,
        "register_parametrization: 'weight' of shape (3, 4) and dtype float64 would become (1, 4)",
    ),
    "another dtype": (
        lambda: utils.register_parametrization(linear(), "weight", Single()), ValueError,
        "would become (3, 4) float32; keep both",
    ),
    "split later": (
        lambda: utils.weight_norm(spectral()), ValueError, "it cannot be split into several originals",
    ),
    "nothing to remove": (
        lambda: utils.remove_parametrizations(linear(), "weight"), ValueError,
        "remove_parametrizations: 'weight' of Linear is not parametrized",
    ),
    "one of two back": (
        lambda: utils.remove_parametrizations(utils.weight_norm(linear()), "weight", False), ValueError,
        "'weight' has 2 originals, so it can only keep its present value",
    ),
}  # fmt: skip


@pytest.mark.parametrize("label", REFUSED)
def test_what_cannot_be_is_told(label):
    call, error, message = REFUSED[label]
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_refused_parametrization_changes_nothing():
    layer = linear()
    with pytest.raises(ValueError, match="would become"):
        utils.register_parametrization(layer, "weight", Half())
    assert [*layer.state_dict()] == ["weight", "bias"]
    assert not utils.is_parametrized(layer)
