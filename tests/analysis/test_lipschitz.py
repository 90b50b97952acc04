"""Lipschitz bounds, certificates and attacks: both sides of each bracket, and the rescaling."""

import math
from dataclasses import fields
from itertools import pairwise as neighbours

import numpy as np
import pytest
from support import strict
from support.arrays import draw
from support.lists import complete, exact

import minireg as mr
from minireg import nn
from minireg.analysis import lipschitz
from minireg.analysis.lipschitz import (
    CONSTANTS,
    attack_radius,
    certified_radius,
    lipschitz_bound,
    lipschitz_lower,
    operator_norm,
    path_norm,
    pgd_attack,
    rescale,
)
from minireg.nn.module import Options
from minireg.penalties import PathNorm

LOSS = nn.CrossEntropyLoss()


def mlp(*sizes, activation=nn.ReLU, seed=0):
    mr.manual_seed(seed)
    layers = [m for a, b in neighbours(sizes) for m in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers[:-1]).to(np.float64)


def linear(weight, bias=0.0):
    layer = nn.Linear(*np.shape(weight)[::-1]).to(np.float64)
    layer.weight.assign(np.asarray(weight))
    layer.bias.assign(np.asarray(bias))
    return layer


def matrix(module, shape):
    """An affine module's linear part, column by column."""
    units = np.eye(math.prod(shape)).reshape(-1, *shape)
    y = (module(mr.tensor(units)) - module(mr.tensor(np.zeros((1, *shape))))).numpy()
    return y.reshape(len(units), -1).T


# --- one layer: the constant is exact --------------------------------------------------------------

MAPS = {
    "valid": (lambda: nn.Conv2d(2, 3, 3), (2, 6, 5)),
    "same": (lambda: nn.Conv2d(2, 3, (3, 2), padding="same"), (2, 5, 6)),
    "stride": (lambda: nn.Conv2d(3, 2, 3, stride=2, padding=1), (3, 7, 6)),
    "dilation": (lambda: nn.Conv2d(1, 4, 3, dilation=(2, 1), padding=(2, 0)), (1, 7, 5)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1, bias=False), (4, 5, 5)),
    "wide": (lambda: nn.Conv2d(1, 9, 4), (1, 4, 4)),
    "one": (lambda: nn.Conv2d(1, 1, 1), (1, 1, 1)),
    "mean": (lambda: nn.AvgPool2d(3, 2, 1), (2, 7, 6)),
    "rim": (lambda: nn.AvgPool2d(2, 2, 1, True, False), (1, 5, 5)),
    "stopped": (lambda: nn.AvgPool2d(2, divisor_override=1), (1, 4, 6)),
}


@pytest.mark.parametrize("label", MAPS)
def test_norm_of_a_window_is_that_of_its_matrix(label):
    mr.manual_seed(1)
    make, shape = MAPS[label]
    layer = make().to(np.float64)
    exact = np.linalg.norm(matrix(layer, shape), 2)
    assert lipschitz_bound(layer, shape) == pytest.approx(exact, rel=1e-9)
    assert operator_norm(layer, shape) >= exact * (1 - 1e-13)  # the residual rounds up
    with mr.no_grad():
        assert operator_norm(layer, shape) == lipschitz_bound(layer, shape)


def test_lanczos_converges_where_singular_values_crowd(monkeypatch):
    layer, shape, products = nn.Conv2d(1, 1, 3, padding=1, bias=False).double(), (1, 24, 24), []
    layer.weight.assign(np.ones((1, 1, 3, 3)))
    gradient = lipschitz.grad
    monkeypatch.setattr(lipschitz, "grad", lambda *a: products.append(1) or gradient(*a))
    edge = 1 + 2 * math.cos(math.pi / 25)  # of a path of 24 pixels
    assert operator_norm(layer, shape) == pytest.approx(edge**2, rel=1e-10)
    assert len(products) < 60  # power iteration takes 317
    assert edge**2 < operator_norm(layer, shape, 0.05) < 1.05 * edge**2  # rough, but from above


def test_a_convolution_of_zeros():
    layer = nn.Conv2d(1, 1, 2)
    layer.weight.assign(0.0)
    assert lipschitz_bound(layer, (1, 3, 3)) == 0.0


def test_linear_is_its_largest_singular_value():
    w = draw(4, 7)
    assert lipschitz_bound(linear(w)) == pytest.approx(np.linalg.svd(w)[1][0], rel=1e-14)
    low = nn.Linear(5, 3)
    exact = np.linalg.norm(low.weight.data.astype(np.float64), 2)
    assert lipschitz_bound(low) == pytest.approx(exact, rel=1e-14)  # float32 weights, float64 norm


STEEPEST = {
    "ReLU": (nn.ReLU(), 1), "Tanh": (nn.Tanh(), 1), "Sigmoid": (nn.Sigmoid(), 0.25),
    "LeakyReLU": (nn.LeakyReLU(0.3), 1), "steep LeakyReLU": (nn.LeakyReLU(-2.5), 2.5),
    "Softplus": (nn.Softplus(), 1), "Softplus(3)": (nn.Softplus(3.0), 1), "Identity": (nn.Identity(), 1),
    "SiLU": (nn.SiLU(), 1.0998393201288669), "GELU": (nn.GELU(), 1.128904145185155),
    "GELU tanh": (nn.GELU("tanh"), 1.1289930686587715), "Dropout": (nn.Dropout(0.5), 1),
}  # fmt: skip


@pytest.mark.parametrize("label", STEEPEST)
def test_steepest_slope_of_an_activation(label):
    layer, slope = STEEPEST[label]
    assert lipschitz_bound(layer) == pytest.approx(slope, rel=1e-10)
    x = mr.tensor(np.linspace(-40, 40, 800_001), requires_grad=True)
    with np.errstate(under="ignore"):
        (g,) = mr.grad(nn.Sequential(layer).eval()(x).sum(), x)
    layer.train()
    steepest = np.abs(g.data).max()
    assert steepest <= lipschitz_bound(layer) * (1 + 1e-12)  # never above
    assert steepest == pytest.approx(lipschitz_bound(layer), rel=1e-8)  # and reached


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("layer", [nn.Softmax(), nn.LogSoftmax()])
def test_softmax_and_its_logarithm(layer, n):
    bound = lipschitz_bound(layer, (n,))
    assert bound == pytest.approx(0.5 if isinstance(layer, nn.Softmax) else n**0.5)
    assert lipschitz_lower(layer, 3 * draw(200, n)) <= bound
    corner = np.where(np.arange(n) == 0, 40.0, 0.0)  # all on one class
    edge = np.where(np.arange(n) < 2, 40.0, 0.0)  # ½ on two
    attained = lipschitz_lower(layer, np.stack([corner, edge]), samples=0)
    assert attained == pytest.approx(bound, rel=1e-9)


def test_log_softmax_counts_its_own_axis():
    assert lipschitz_bound(nn.LogSoftmax(dim=1), (3, 4)) == 3**0.5
    with pytest.raises(ValueError, match="LogSoftmax over axis 0 mixes samples"):
        lipschitz_bound(nn.LogSoftmax(dim=-2), (4,))


@pytest.mark.parametrize(
    ("layer", "windows"),
    [
        (nn.MaxPool2d(2), 1), (nn.MaxPool2d(3, 2), 4), (nn.MaxPool2d(3, 1), 9),
        (nn.MaxPool2d((2, 3), (1, 3)), 2), (nn.MaxPool2d(2, 3), 1), (nn.MaxPool2d(2, 2, dilation=2), 4),
        (nn.MaxPool2d(3, 2, dilation=3), 4), (nn.MaxPool2d(3, 2, padding=1), 4),
    ],
)  # fmt: skip
def test_max_pooling_is_as_steep_as_windows_share_an_element(layer, windows):
    assert lipschitz_bound(layer) == windows**0.5
    peaks = np.eye(256).reshape(256, 1, 16, 16)  # each element once the largest everywhere
    lowest = np.zeros_like(peaks)
    y = (layer(mr.tensor(peaks)) - layer(mr.tensor(lowest))).numpy()
    assert np.square(y).sum(axis=(1, 2, 3)).max() == windows  # reached, so exact


def test_batch_norm_in_evaluation_mode():
    layer = nn.BatchNorm2d(3, eps=0.01).double()
    layer.weight.assign([1.0, -3.0, 2.0])
    layer.running_var.assign([1.0, 4.0, 0.0])
    assert lipschitz_bound(layer) == pytest.approx(2 / 0.1)
    assert layer.training
    assert np.linalg.norm(matrix(nn.Sequential(layer).eval(), (3, 2, 2)), 2) == pytest.approx(20)
    assert lipschitz_bound(nn.BatchNorm(2, affine=False)) == pytest.approx((1 + 1e-5) ** -0.5)
    with pytest.raises(ValueError, match="without running statistics normalises by its batch"):
        lipschitz_bound(nn.BatchNorm(2, track_running_stats=False))


@pytest.mark.parametrize(
    "layer",
    [nn.LayerNorm(4, eps=0.04), nn.RMSNorm(4, eps=0.04), nn.GroupNorm(2, 4, eps=0.04)],
    ids=lambda m: type(m).__name__,
)
def test_norms_of_a_sample_are_bounded_by_epsilon_alone(layer):
    layer.weight.assign([2.0, -3.0, 1.0, 3.0])
    bound = lipschitz_bound(layer)
    assert bound == pytest.approx(3 / 0.2)
    x = np.concatenate([draw(100, 4), 0.2 * draw(100, 4), np.zeros((1, 4))])
    assert 0.8 * bound < lipschitz_lower(layer, x) <= bound * (1 + 1e-9)


def test_infinite_where_there_is_no_constant():
    for layer in (nn.LayerNorm(4, eps=0.0), nn.RMSNorm(4, eps=0.0), nn.GroupNorm(2, 4, eps=0.0)):
        assert lipschitz_bound(layer) == math.inf
        model = nn.Sequential(layer, linear(np.eye(4)))
        assert lipschitz_bound(model) == math.inf
        np.testing.assert_array_equal(certified_radius(model, draw(3, 4)), 0.0)
        assert lipschitz_bound(nn.Sequential(layer, linear(np.zeros((4, 4))))) == 0.0
    assert lipschitz_bound(nn.RMSNorm(4)) == pytest.approx(2.0**26)  # ε of float64


# --- models: lower ≤ true ≤ upper ------------------------------------------------------------------


def images():
    mr.manual_seed(2)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU()),
        nn.MaxPool2d(2), nn.Conv2d(4, 3, 2, stride=2), nn.Dropout(0.2), nn.SiLU(), nn.Flatten(),
        nn.Linear(12, 3), nn.LogSoftmax(),
    )  # fmt: skip


MODELS = {
    "deep": (lambda: mlp(5, 16, 8, 3), (5,)),
    "tanh": (lambda: mlp(5, 16, 3, activation=nn.Tanh), (5,)),
    "images": (images, (1, 8, 8)),
    "weight norm": (lambda: nn.Sequential(
        nn.utils.weight_norm(nn.Linear(5, 9)), nn.ReLU(), nn.Linear(9, 3)), (5,)),
}  # fmt: skip


@pytest.mark.parametrize("label", MODELS)
def test_bracket(label):
    make, shape = MODELS[label]
    model, x = make(), 2 * draw(60, *shape)
    model(mr.tensor(x.astype(np.float32)))  # statistics other than the first ones
    state, modes = model.state_dict(), [m.training for m in model.modules()]
    low, high = lipschitz_lower(model, x), lipschitz_bound(model, shape)
    assert 0.01 * high < low <= high
    single = nn.Sequential(*model).eval().double()
    for a, b in ((x[:30], x[30:]), (x, x + 1e-3 * draw(*x.shape, seed=3))):
        moved = np.linalg.norm((single(mr.tensor(a)) - single(mr.tensor(b))).numpy(), axis=1)
        assert (moved <= high * np.linalg.norm((a - b).reshape(len(a), -1), axis=1)).all()
    single.float().train()
    assert modes == [m.training for m in model.modules()]  # the model itself is left alone
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_product_over_nested_layers():
    a, b = draw(4, 3), draw(2, 4, seed=1)
    model = nn.Sequential(nn.Sequential(linear(a), nn.Sigmoid()), nn.Sequential(linear(b)))
    expected = np.linalg.norm(a, 2) * np.linalg.norm(b, 2) / 4
    assert lipschitz_bound(model) == pytest.approx(expected, rel=1e-14)
    assert lipschitz_bound(nn.Sequential()) == 1.0


def test_a_linear_model_closes_the_bracket():
    model = nn.Sequential(linear(draw(4, 6)), nn.Identity(), linear(draw(3, 4, seed=1)))
    exact = np.linalg.norm(model[2].weight.data @ model[0].weight.data, 2)
    assert lipschitz_lower(model, draw(4, 6)) == pytest.approx(exact, rel=1e-9)


def test_away_from_symmetry_the_local_stretch_is_the_slope():
    slope = math.exp(-1) / (1 + math.exp(-1)) ** 2
    assert lipschitz_lower(nn.Sigmoid(), [[1.0]]) == pytest.approx(slope, rel=1e-9)


def test_secants_count_as_well():
    model = nn.Sequential(linear([[1.0]]), nn.ReLU())
    assert lipschitz_lower(model, [[-1.0], [-2.0]]) == 0.0
    assert lipschitz_lower(model, [[-1.0], [3.0]], samples=0) == pytest.approx(1.0)
    steep = nn.Sequential(linear([[100.0]]), nn.Tanh())  # flat at both points, not between them
    assert lipschitz_lower(steep, [[-1.0], [1.0]], samples=0) == pytest.approx(0.0, abs=1e-9)
    assert lipschitz_lower(steep, [[-1.0], [1.0]]) == pytest.approx(1.0)


def test_a_kink_makes_no_lower_bound_too_large():
    # x ↦ relu(x + 1) − relu(x) + relu(−x) is constant around 0, where autograd's slope is 1
    model = nn.Sequential(
        linear([[1.0], [1.0], [-1.0]], [1.0, 0.0, 0.0]), nn.ReLU(), linear([[1.0, -1.0, 1.0]])
    )
    x = mr.tensor(np.zeros((1, 1)), requires_grad=True)
    assert mr.grad(model(x).sum(), x)[0].item() == 1.0
    assert lipschitz_lower(model, np.zeros((1, 1))) == pytest.approx(0.0, abs=1e-9)


def test_sigmoid_attains_the_bound(rng):
    """Claim C87: at 0, along the first right singular vector."""
    w = rng.normal(size=(3, 4))
    model = nn.Sequential(nn.Sigmoid(), linear(w))
    bound = np.linalg.norm(w, 2) / 4
    assert lipschitz_bound(model) == pytest.approx(bound, rel=1e-14)
    assert lipschitz_lower(model, np.zeros((1, 4))) == pytest.approx(bound, rel=1e-9)
    assert lipschitz_lower(model, 3 + draw(500, 4)) < 0.95 * bound  # elsewhere not


def test_the_bound_is_loose_and_symmetric_in_the_layers():
    """Claims C88 (sum of norms bounds the product) and C91 (log-derivative 1 for each layer)."""
    model = mlp(6, 20, 20, 3)
    bound = lipschitz_bound(model)
    norms = [np.linalg.norm(m.weight.data, 2) for m in model if isinstance(m, nn.Linear)]
    assert bound == pytest.approx(math.prod(norms), rel=1e-12)
    assert bound <= (sum(norms) / 3) ** 3
    assert lipschitz_lower(model, draw(300, 6)) < 0.8 * bound
    for layer in (model[0], model[2], model[4]):
        layer.weight.assign(layer.weight.data * 1.01)
        slope = math.log(lipschitz_bound(model) / bound) / math.log(1.01)
        layer.weight.assign(layer.weight.data / 1.01)
        assert slope == pytest.approx(1.0, abs=1e-9)


def test_spectral_norm_makes_layers_of_constant_one():
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(8, 8), n_power_iterations=50), nn.ReLU(),
                          nn.utils.spectral_norm(nn.Linear(8, 4), n_power_iterations=50))  # fmt: skip
    model(mr.tensor(draw(2, 8).astype(np.float32)))
    state = model.state_dict()
    assert lipschitz_bound(model) == pytest.approx(1.0, abs=1e-4)
    for name, value in model.state_dict().items():  # asking does not move the power iteration
        np.testing.assert_array_equal(value, state[name])


# --- what is not known -------------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self, body):
        self.body = body

    def forward(self, x):
        return x + self.body(x)


def test_other_modules_can_be_registered(monkeypatch):
    model = nn.Sequential(Residual(linear(np.diag([2.0, 1.0]))), nn.Tanh())
    with pytest.raises(
        TypeError,
        match=r"for Residual, expected one of AvgPool2d, .*CONSTANTS\[Residual\] = lambda m",
    ):
        lipschitz_bound(model)
    monkeypatch.setitem(CONSTANTS, Residual, lambda m, shape: 1 + lipschitz_bound(m.body, shape))
    assert lipschitz_bound(model) == pytest.approx(3.0)


def test_a_subclass_with_another_forward_is_not_its_base():
    class Named(nn.Linear):
        pass

    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    assert lipschitz_bound(Named(2, 2)) > 0
    with pytest.raises(TypeError, match="no constant is known for Doubled"):
        lipschitz_bound(Doubled(2, 2))


def test_a_module_whose_forward_was_assigned_is_not_its_class():
    for i in (0, 1, None):
        model = nn.Sequential(linear(np.eye(2)), nn.Tanh(), linear(np.eye(2)))
        changed = model if i is None else model[i]
        changed.forward = lambda x: 100 * x
        with pytest.raises(TypeError, match="own forward was assigned"):
            lipschitz_bound(model)
        with pytest.raises(TypeError, match="own forward was assigned"):
            certified_radius(model, np.eye(2))
    head = linear(np.eye(2))
    head.forward = lambda x: 100 * x
    with pytest.raises(ValueError, match="pairwise needs a Linear layer"):
        certified_radius(nn.Sequential(nn.Tanh(), head), np.eye(2), pairwise=True)
    with pytest.raises(ValueError, match="expected two Linear layers"):
        rescale(nn.Sequential(linear(np.eye(2)), nn.ReLU(), head), 0, 2.0)


def test_a_subclass_that_is_called_otherwise_is_not_its_base():
    class Doubled(nn.Linear):
        def __call__(self, x):
            return 2 * super().__call__(x)

    with pytest.raises(TypeError, match="no constant is known for Doubled"):
        lipschitz_bound(Doubled(2, 2))


def test_every_layer_is_known():
    layers = {v for v in vars(nn).values() if isinstance(v, type) and issubclass(v, nn.Module)}
    layers -= {v for v in layers if v.__module__ == "minireg.nn.losses"}
    known = {layer for layer in layers if set(layer.__mro__) & set(CONSTANTS)}
    others = {nn.Module, nn.ModuleList, nn.Embedding}
    exact("CONSTANTS in minireg/analysis/lipschitz.py", known, layers - others)


# what a test of its own compares
ALONE = {
    nn.BatchNorm, nn.Flatten, nn.GroupNorm, nn.LayerNorm, nn.Linear, nn.LogSoftmax, nn.MaxPool2d,
    nn.RMSNorm, nn.Sequential, nn.Softmax,
}  # fmt: skip


def test_every_constant_is_compared_with_a_measured_one():
    rows = {type(layer) for layer, _ in STEEPEST.values()} | {type(m()) for m, _ in MAPS.values()}
    exact("STEEPEST or MAPS in tests/analysis/test_lipschitz.py", rows, CONSTANTS.keys() - ALONE)


def test_every_option_of_an_activation_is_tried():
    rows = [layer for layer, _ in STEEPEST.values() if isinstance(layer, Options)]
    options = {f"{type(layer).__name__}: {f.name}" for layer in rows for f in fields(layer)}
    tried = {f"{type(layer).__name__}: {f.name}" for layer in rows for f in fields(layer)
             if getattr(layer, f.name) != f.default}  # fmt: skip
    assert len(options) >= 3
    complete("STEEPEST in tests/analysis/test_lipschitz.py", tried, options)


def test_the_shape_is_asked_for_where_it_matters():
    with pytest.raises(ValueError, match=r"constant of Conv2d depends .*pass input_shape"):
        lipschitz_bound(nn.Sequential(nn.Conv2d(1, 1, 2)))
    with pytest.raises(ValueError, match="constant of LogSoftmax depends"):
        lipschitz_bound(nn.LogSoftmax())
    assert lipschitz_bound(nn.Sequential(nn.Flatten(), nn.Linear(3, 2))) > 0


# --- certificates and attacks --------------------------------------------------------------------------


def test_certificate_of_a_linear_model_is_its_distance_to_the_boundary():
    w, b, x = draw(4, 6), draw(4, seed=1), 2 * draw(50, 6, seed=2)
    model = linear(w, b)
    z = x @ w.T + b
    y = z.argmax(axis=1)
    distance = np.array([
        min((r[k] - r[j]) / np.linalg.norm(w[k] - w[j]) for j in range(4) if j != k)
        for r, k in zip(z, y, strict=True)
    ])  # fmt: skip
    np.testing.assert_allclose(certified_radius(model, x, pairwise=True), distance, rtol=1e-12)
    margin = z.max(axis=1) - np.sort(z, axis=1)[:, -2]
    plain = certified_radius(model, x)
    np.testing.assert_allclose(plain, margin / (2**0.5 * np.linalg.norm(w, 2)), rtol=1e-12)
    assert (plain <= distance).all()
    found = attack_radius(model, LOSS, x, y)
    assert (found >= distance).all()  # the gradient mixes classes, so it need not be the nearest
    np.testing.assert_allclose(found, distance, rtol=0.2)


def test_an_attack_on_two_classes_finds_the_boundary():
    model, x = linear(draw(2, 6), draw(2, seed=1)), 2 * draw(50, 6, seed=2)
    y = model(mr.tensor(x)).numpy().argmax(axis=1)
    distance = certified_radius(model, x, pairwise=True)
    found = attack_radius(model, LOSS, x, y, rounds=30)
    assert (found >= distance).all()
    np.testing.assert_allclose(found, distance, rtol=1e-4)
    w = model.weight.data[1] - model.weight.data[0]
    nearest = distance * np.linalg.norm(w) / np.abs(w).sum()  # the dual norm
    found = attack_radius(model, LOSS, x, y, rounds=30, norm=math.inf)
    np.testing.assert_allclose(found, nearest, rtol=1e-4)


def test_the_factor_that_margin_over_k_lacks():
    """Claim C89: logits (x, −x)/√2 have K = 1 and margin √2 at 1, and flip beyond 1."""
    model = linear(np.array([[1.0], [-1.0]]) / 2**0.5)
    x = np.array([[1.0]])
    assert lipschitz_bound(model) == pytest.approx(1.0)
    assert certified_radius(model, x) == pytest.approx([1.0])
    margin = 2**0.5
    flipped = pgd_attack(model, LOSS, x, [0], 0.9 * margin)
    assert model(flipped).numpy().argmax() == 1  # within margin/K
    wrong = 0
    for seed in range(200):
        w, point = draw(3, 4, seed=seed), draw(1, 4, seed=1000 + seed)
        z = w @ point[0]
        y = z.argmax()
        true = min((z[y] - z[j]) / np.linalg.norm(w[y] - w[j]) for j in range(3) if j != y)
        wrong += np.partition(z, -2)[-2:] @ [-1, 1] / np.linalg.norm(w, 2) > true
        assert certified_radius(linear(w), point)[0] <= true * (1 + 1e-12)
    assert wrong > 60


def test_scaling_the_logits_changes_no_radius():
    """Claim C90: K shrinks, and the margin with it."""
    model, x = mlp(5, 12, 3), draw(20, 5)
    y = model(mr.tensor(x)).numpy().argmax(axis=1)
    certified, found = certified_radius(model, x), attack_radius(model, LOSS, x, y, rounds=12)
    pairwise = certified_radius(model, x, pairwise=True)
    assert (certified <= pairwise * (1 + 1e-12)).all()
    assert (pairwise <= found).all()
    for p in model[2].parameters():
        p.assign(p.data / 10)
    np.testing.assert_allclose(certified_radius(model, x), certified, rtol=1e-12)
    np.testing.assert_allclose(certified_radius(model, x, pairwise=True), pairwise, rtol=1e-12)


def test_wrong_predictions_have_no_radius():
    model, x = linear(np.eye(2)), np.array([[2.0, 1.0], [1.0, 2.0], [1.0, 1.0]])
    np.testing.assert_allclose(certified_radius(model, x, [0, 0, 1]), [0.5**0.5, 0, 0], rtol=1e-12)
    np.testing.assert_array_equal(attack_radius(model, LOSS, x, [0, 0, 1])[1:], 0)


def test_a_constant_model_never_flips():
    model = linear(np.zeros((2, 3)), [1.0, 0.0])
    x = draw(4, 3)
    np.testing.assert_array_equal(certified_radius(model, x), np.inf)
    steep = nn.Sequential(nn.RMSNorm(3, eps=0.0), model)  # ∞·0: what does not move cannot flip
    np.testing.assert_array_equal(certified_radius(steep, x, pairwise=True), np.inf)
    for pairwise in (False, True):
        np.testing.assert_array_equal(certified_radius(model, x, [1] * 4, pairwise), 0.0)
    np.testing.assert_array_equal(attack_radius(model, LOSS, x, [0] * 4, rounds=12), np.inf)
    np.testing.assert_array_equal(attack_radius(model, LOSS, 0 * x, [0] * 4, rounds=2), np.inf)


def test_pairwise_counts_only_the_layers_before():
    model = nn.Sequential(
        linear(draw(3, 3)), nn.Sigmoid(), linear([[5.0, 0, 0], [5.0, 1, 0]], [0.0, 2.0])
    )
    x = draw(10, 3)
    z = model(mr.tensor(x)).numpy()
    expected = np.abs(z[:, 1] - z[:, 0]) / (np.linalg.norm(model[0].weight.data, 2) / 4)
    np.testing.assert_allclose(certified_radius(model, x, pairwise=True), expected, rtol=1e-12)
    assert certified_radius(model, x).max() < 0.2 * expected.min()  # the shared 5 costs a lot


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    mr.manual_seed(0)
    data = mr.datasets.load("digits", validation=1000 / 1797)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    mr.fit(model, LOSS, mr.optim.Adam(model.parameters(), 3e-3), data.train, epochs=15, batch_size=64,
           seed=0, progress=False)  # fmt: skip
    return model, *data.validation


@pytest.mark.parametrize("norm", [2, math.inf])
def test_no_attack_succeeds_within_a_certificate(digits, norm):
    """The law of the bracket, on 1,000 digits."""
    model, x, y = digits
    certified, pairwise = (certified_radius(model, x, y, pairwise=p) for p in (False, True))
    right = model(mr.tensor(x)).numpy().argmax(axis=1) == y
    assert right.mean() > 0.9
    np.testing.assert_array_equal(certified > 0, right)
    assert (certified <= pairwise * (1 + 1e-12)).all()
    found = attack_radius(model, LOSS, x, y, norm=norm, rounds=14, steps=20)
    np.testing.assert_array_equal(found == 0, ~right)
    reach = found if norm == 2 else 8 * found  # ‖·‖₂ ≤ √64 ‖·‖∞
    assert (pairwise <= reach).all()
    assert np.isfinite(found).all()
    if norm == 2:
        within = pgd_attack(model, LOSS, x, y, 0.999 * pairwise)
        still = model(within).numpy().argmax(axis=1) == y
        np.testing.assert_array_equal(still, right)
        beyond = pgd_attack(model, LOSS, x, y, 1.1 * found, steps=20)
        assert (model(beyond).numpy().argmax(axis=1) != y).mean() > 0.95


@pytest.mark.parametrize("norm", [2, math.inf])
def test_attack_stays_in_the_ball_and_gains(norm):
    model, x = mlp(6, 20, 4), draw(30, 6)
    y = model(mr.tensor(x)).numpy().argmax(axis=1)
    radius = np.linspace(0, 2, 30)
    moved = pgd_attack(model, LOSS, x, y, radius, norm=norm)
    assert isinstance(moved, mr.Tensor)
    assert not moved.requires_grad
    length = np.linalg.norm(moved.numpy() - x, norm, axis=1)
    assert (length <= radius * (1 + 1e-12)).all()
    np.testing.assert_array_equal(moved.numpy()[0], x[0])  # radius 0
    before = nn.CrossEntropyLoss(reduction="none")(model(mr.tensor(x)), y).numpy()
    after = nn.CrossEntropyLoss(reduction="none")(model(moved), y).numpy()
    assert (after[1:] > before[1:]).all()
    summed = pgd_attack(model, nn.CrossEntropyLoss(reduction="none"), x, y, radius, norm=norm)
    np.testing.assert_allclose(summed.numpy(), moved.numpy(), atol=1e-9)


def test_projection_is_exact():
    """Of a linear loss the best point of a ball is known, and a step inside is not shortened."""
    c, x = np.array([3.0, -4.0]), np.zeros((1, 2))
    loss = lambda out, y: (out * c).sum()
    best = {2: [0.6, -0.8], math.inf: [1.0, -1.0]}
    for norm, corner in best.items():
        moved = pgd_attack(nn.Identity(), loss, x, x, 1.0, norm=norm).numpy()
        np.testing.assert_allclose(moved, [corner], atol=2e-3)
        one = pgd_attack(nn.Identity(), loss, x, x, 1.0, 1, 0.25, norm).numpy()
        np.testing.assert_allclose(one, [0.25 * np.array(corner)], atol=2e-3)


def test_attack_does_not_lose_a_vanishing_gradient():
    model = linear(np.array([[40.0], [-40.0]])).float()  # p = 1 to rounding, gradient 1e-35
    x = np.ones((1, 1), np.float32)
    assert attack_radius(model, LOSS, x, [0])[0] == pytest.approx(1.0, rel=0.01)
    moved = pgd_attack(model, LOSS, x, [0], 1.0, steps=1, step_size=0.25)
    np.testing.assert_allclose(moved.numpy(), 0.75, atol=2e-3)


def test_attack_is_seeded_and_leaves_the_model_alone():
    mr.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
    )
    x, y = draw(10, 4), np.arange(10) % 3
    state = model.state_dict()
    with mr.no_grad():
        one, two = (pgd_attack(model, LOSS, x, y, 0.5).numpy() for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.float32
    assert (one != pgd_attack(model, LOSS, x, y, 0.5, seed=1).numpy()).any()
    alone = pgd_attack(model, LOSS, x[:1], y[:1], 0.5).numpy()  # no sample sees the others
    np.testing.assert_allclose(alone, one[:1], rtol=1e-5)
    radii = np.linspace(0.5, 5, 10)  # nor their radii
    np.testing.assert_allclose(pgd_attack(model, LOSS, x, y, radii, 3).numpy()[:1],
                               pgd_attack(model, LOSS, x[:1], y[:1], 0.5, 3).numpy(), rtol=1e-5)  # fmt: skip
    assert all(m.training for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, state[name])


def test_attack_on_images():
    model, x = images().eval(), draw(6, 1, 8, 8).astype(np.float32)
    y = model(mr.tensor(x)).numpy().argmax(axis=1)
    certified = certified_radius(model, x, y)
    assert (certified > 0).all()
    assert (certified <= attack_radius(model, LOSS, x, y, rounds=12, steps=10)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": 1}, "norm must be 2 or inf, got 1"),
        ({"steps": 0}, "steps must be an integer ≥ 1, got 0"), ({"steps": 2.0}, r"steps.* got 2\.0"),
        ({"radius": -1.0}, r"radius must be ≥ 0, one or 2, got -1\.0"), ({"radius": math.nan}, "got nan"),
        ({"radius": [1.0, 1.0, 1.0]}, r"one or 2, got \[1"),
    ],
)  # fmt: skip
def test_attack_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        pgd_attack(linear(np.eye(2)), LOSS, np.eye(2), [0, 1], **{"radius": 1.0, **options})


@pytest.mark.parametrize("labels", [[0], [0, 2], [0, -1], [0.0, 1.0], [[0, 1]]])
def test_labels_must_fit(labels):
    model, x = linear(np.eye(2)), np.eye(2)
    with pytest.raises(
        ValueError, match=r"certified_radius: got logits of shape \(2, 2\) and labels"
    ):
        certified_radius(model, x, labels)
    with pytest.raises(ValueError, match=r"attack_radius: got logits of shape \(2, 2\) and labels"):
        attack_radius(model, LOSS, x, labels)


def test_certificates_need_logits_and_for_pairs_a_linear_layer():
    with pytest.raises(ValueError, match=r"logits of shape \(2, 1\).*expected \(N, C ≥ 2\)"):
        certified_radius(linear([[1.0, 1.0]]), np.eye(2))
    with pytest.raises(ValueError, match=r"logits of shape \(2, 1, 2\)"):
        certified_radius(nn.Identity(), draw(2, 1, 2))
    for model in (nn.Sequential(linear(np.eye(2)), nn.Tanh()), nn.Tanh(), nn.Sequential()):
        with pytest.raises(ValueError, match="pairwise needs a Linear layer at the end"):
            certified_radius(model, np.eye(2), pairwise=True)


def test_on_another_backend():
    with strict.registered() as device:
        for make, shape in (MODELS["deep"], (images, (1, 8, 8))):
            host, moved = make().eval(), make().eval().to(device.name)
            x = draw(8, *shape).astype(np.float32)
            assert lipschitz_bound(moved, shape) == lipschitz_bound(host, shape)
            assert lipschitz_lower(moved, x) == lipschitz_lower(host, x)
            far = device.xp.asarray(x)
            y = host(mr.tensor(x)).numpy().argmax(axis=1)
            np.testing.assert_array_equal(certified_radius(moved, far), certified_radius(host, x))
            for norm in (2, math.inf):
                attacked = pgd_attack(moved, LOSS, far, device.xp.asarray(y), 1.0, 5, norm=norm)
                assert attacked.backend == device.name
                expected = pgd_attack(host, LOSS, x, y, 1.0, 5, norm=norm)
                np.testing.assert_allclose(attacked.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
            found = attack_radius(moved, LOSS, x, y, rounds=4, steps=3)
            np.testing.assert_allclose(
                found, attack_radius(host, LOSS, x, y, rounds=4, steps=3), rtol=1e-4
            )
        model = mlp(3, 4, 2).to(device.name)
        before = path_norm(model)
        assert path_norm(rescale(model, 0, [1.0, 2.0, 3.0, 4.0])) == pytest.approx(before)


# --- the rescaling of ReLU -----------------------------------------------------------------------------


def chain():
    model = mlp(3, 5, 4, 2)
    return nn.Sequential(model[0], nn.Dropout(0.3), nn.LeakyReLU(0.2), nn.Identity(),
                         nn.Sequential(model[2], nn.ReLU()), model[4]).eval()  # fmt: skip


def test_path_norm_is_the_sum_over_paths():
    """Claim C100: against the enumeration of every path."""
    model = mlp(3, 5, 4, 2)
    a, b, c = (model[i].weight.data for i in (0, 2, 4))
    paths = sum((c[o, k] * b[k, j] * a[j, i]) ** 2
                for o in range(2) for k in range(4) for j in range(5) for i in range(3))  # fmt: skip
    assert path_norm(model) == pytest.approx(paths, rel=1e-12)
    assert path_norm(model) == pytest.approx(float(PathNorm(1.0).value(a, b, c)), rel=1e-14)
    for layer in (model[0], model[4]):  # the direction alone would give another figure
        nn.utils.weight_norm(layer)
        layer.parametrizations.weight.original1.assign(draw(*layer.weight.shape))
    effective = PathNorm(1.0).value(*(model[i].weight.data for i in (0, 2, 4)))
    assert path_norm(model) == pytest.approx(float(effective), rel=1e-12)
    with pytest.raises(ValueError, match="expected a chain of"):
        path_norm(nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 2)))


def test_rescaling_keeps_function_and_path_norm():
    """Claims C99 and C100: outputs and path norm stay, L2 and the bound of norms do not."""
    model, x = chain(), mr.tensor(draw(50, 3))
    weights = lambda: [m.weight.data.copy() for m in model.modules() if isinstance(m, nn.Linear)]
    squares = lambda: sum(float((w**2).sum()) for w in weights())
    y, paths, size, bound, old = (
        model(x).numpy(),
        path_norm(model),
        squares(),
        lipschitz_bound(model),
        weights(),
    )
    held = [id(p) for p in model.parameters()]
    c = np.array([0.1, 1.0, 2.0, 7.0, 30.0])
    assert rescale(model, "0", c) is model
    assert rescale(model, "4.0", 3) is model  # one factor, inside a nested Sequential
    np.testing.assert_allclose(model(x).numpy(), y, atol=1e-12)
    assert path_norm(model) == pytest.approx(paths, rel=1e-12)
    one, two, three = old
    expected = [one * c[:, None], 3 * two / c, three / 3]
    for now, wanted in zip(weights(), expected, strict=True):
        np.testing.assert_allclose(now, wanted, rtol=1e-14)
    assert squares() == pytest.approx(sum(float((w**2).sum()) for w in expected))
    assert squares() > 10 * size
    assert lipschitz_bound(model) > 1.5 * bound
    assert held == [id(p) for p in model.parameters()]
    assert all(p.requires_grad for p in model.parameters())


def test_balanced_layers_are_the_smallest():
    """Claim C99: the least ½‖θ‖² on the orbit is Σ|a_j|‖w_j‖, at c_j = √(|a_j|/‖w_j‖)."""
    model = nn.Sequential(linear(draw(6, 3)), nn.ReLU(), linear(draw(1, 6, seed=1)))
    w, a = model[0].weight.data, model[2].weight.data
    lengths, sizes = np.linalg.norm(w, axis=1), np.abs(a[0])
    balance = float((lengths * sizes).sum())
    rescale(model, 0, np.sqrt(sizes / lengths))
    assert (
        (model[0].weight.data ** 2).sum() + (model[2].weight.data ** 2).sum()
    ) / 2 == pytest.approx(balance, rel=1e-12)


def test_rescaling_a_layer_without_bias_in_float32():
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1))
    x = mr.tensor(draw(5, 2).astype(np.float32))
    y = model(x).numpy()
    rescale(model, 0, 4)  # a power of two: no rounding
    np.testing.assert_array_equal(model(x).numpy(), y)
    assert model[0].weight.dtype == np.float32


def test_a_failed_rescaling_changes_nothing():
    shared = nn.Linear(3, 3)
    tied = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    tied[2].weight = tied[0].weight
    normed, spectral = nn.utils.weight_norm, nn.utils.spectral_norm
    cases = [
        (nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)), 0, 2.0, r"is Tanh.*expected two Linear"),
        (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3), nn.ReLU(), nn.Linear(3, 3)), 0, 2.0, "BatchNorm"),
        (nn.Sequential(nn.Linear(3, 3), nn.ReLU()), 0, 2.0, "is None; expected two Linear"),
        (nn.Sequential(nn.ReLU(), nn.Linear(3, 3)), 0, 2.0, r"layer '0' is ReLU\(\)"),
        (nn.Sequential(nn.Linear(3, 3)), "3", 2.0, r"no layer '3', expected one of \['0'\]"),
        (nn.Sequential(shared, nn.ReLU(), shared), 0, 2.0, "used twice"),
        (tied, 0, 2.0, "used twice"),
        (nn.Sequential(normed(nn.Linear(3, 3)), nn.ReLU(), nn.Linear(3, 3)), 0, 2.0, "parametrized"),
        (nn.Sequential(nn.Linear(3, 3), nn.ReLU(), spectral(nn.Linear(3, 3))), 0, 2.0, "parametrized"),
        *((mlp(3, 3, 3), 0, c, "factors must be finite and > 0, one or 3") for c in
          (0.0, -1.0, math.nan, math.inf, [1.0, 1.0], [1.0, 1.0, 0.0], np.ones((3, 1)))),
    ]  # fmt: skip
    for model, layer, factors, message in cases:
        state = model.state_dict()
        with pytest.raises(ValueError, match=message):
            rescale(model, layer, factors)
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, state[name])
