"""What normalisations take out of a gradient, against autograd and projections."""

import math

import numpy as np
import pytest
from support.arrays import close, draw

import minireg as mr
from minireg import nn
from minireg.analysis.implicit import (
    angle,
    batchnorm_gradient,
    effective_lr,
    layernorm_gradient,
    norm_gradient,
    rmsnorm_gradient,
    tangential,
)

X, Y = draw(7, 4) * [0.1, 1.0, 3.0, 10.0], draw(7, 3, seed=1)


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.5])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 2)])
def test_terms_add_up_to_the_gradient_and_are_what_they_say(shape, eps):
    x, g, gamma = mr.Tensor(draw(*shape), True), draw(*shape, seed=1), draw(3, seed=2)
    found = batchnorm_gradient(x, mr.Tensor(g), gamma, eps)
    y = nn.functional.batch_norm(x, weight=mr.Tensor(gamma), training=True, eps=eps)
    close(found.total, mr.grad(y, x, g)[0].data, 1e-11)
    axes = (0, *range(2, len(shape)))
    u = mr.Tensor(g * gamma.reshape(-1, *(1,) * (len(shape) - 2)))
    for name, path in split_paths(x, u, axes, eps).items():
        close(getattr(found, name), path, 1e-11)


class Remembers(nn.Module):
    """A model that keeps a result of its last run, as one does to look at it later."""

    def __init__(self):
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        self.hidden = self.norm(x)
        return self.hidden * self.hidden


def test_gradient_of_a_norm_in_a_model_that_keeps_results():
    model = Remembers().double()
    model(mr.Tensor(X))
    kept = model.hidden
    found = norm_gradient(model, "norm", X, mr.sum)
    assert model.hidden is kept
    close(found.total, layernorm_gradient(X, 2 * kept.data).total)


def split_paths(x, u, axes, eps, center=True):
    """The gradient of ⟨u, normalised x⟩ with only one way at a time leading back to x."""
    mean = x.mean(axis=axes, keepdims=True) if center else mr.Tensor(np.zeros_like(x.data))
    s = (((x - mean) ** 2).mean(axis=axes, keepdims=True) + eps) ** 0.5
    paths = {
        "direct": (x - mean.detach()) / s.detach(),
        "mean": (x.detach() - mean) / s.detach(),
        "variance": (x.detach() - mean.detach()) / s,
    }
    if not center:
        del paths["mean"]
    return {
        name: mr.grad((u * path).sum(), x, retain_graph=True)[0].data
        for name, path in paths.items()
    }


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.5])
@pytest.mark.parametrize(("shape", "axis"), [((5, 4), -1), ((2, 3, 4), -1), ((2, 3, 4), (-2, -1))])
def test_terms_of_the_norms_along_features(shape, axis, eps):
    x, g = mr.Tensor(draw(*shape), True), draw(*shape, seed=1)
    axes = (axis,) if isinstance(axis, int) else axis
    inner = shape[-len(axes) :]
    gamma = draw(*inner, seed=2)
    F = nn.functional
    for formula, y, center in (
        (layernorm_gradient, F.layer_norm(x, inner, mr.Tensor(gamma), eps=eps), True),
        (rmsnorm_gradient, F.rms_norm(x, inner, mr.Tensor(gamma), eps), False),
    ):
        found = formula(x, mr.Tensor(g), gamma, eps, axis)
        close(found.total, mr.grad(y, x, g)[0].data, 1e-11)
        for name, path in split_paths(x, mr.Tensor(g * gamma), axes, eps, center).items():
            close(getattr(found, name), path, 1e-11)
        close(formula(x, g, gamma.ravel()[0] + 0 * gamma, eps, axis).total,
              gamma.ravel()[0] * formula(x, g, None, eps, axis).total)  # fmt: skip
    close(found.mean, 0)


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "batch_norm"])
def test_halves_are_normalised_as_the_layers_do(name):
    x = (300 * draw(8, 6)).astype(np.float16)  # whose squares overflow
    g, gamma = draw(8, 6, seed=1).astype(np.float16), np.full(6, 1.5, np.float16)
    leaf = mr.Tensor(x, requires_grad=True)
    if name == "batch_norm":
        y = nn.functional.batch_norm(leaf, weight=mr.Tensor(gamma), training=True)
        found = batchnorm_gradient(x, g, gamma)
    else:
        y = getattr(nn.functional, name)(leaf, 6, mr.Tensor(gamma))
        formula = {"layer_norm": layernorm_gradient, "rms_norm": rmsnorm_gradient}[name]
        found = formula(x, g, gamma)
    assert found.direct.dtype == np.float16
    (expected,) = mr.grad(y, leaf, g)
    size = np.abs(expected.data).max()
    assert size > 1e-3
    np.testing.assert_allclose(found.total, expected.data, rtol=0, atol=5e-3 * size)


def test_layernorm_is_batchnorm_across():
    x, g = draw(6, 4), draw(6, 4, seed=1)
    for along, across in zip(layernorm_gradient(x, g), batchnorm_gradient(x.T, g.T), strict=True):
        close(along, across.T)


def test_what_each_norm_takes_out_of_a_gradient():
    x, g = draw(5, 7), draw(5, 7, seed=1)
    layer, rms = layernorm_gradient(x, g, eps=0.0).total, rmsnorm_gradient(x, g, eps=0.0).total
    close(layer.sum(axis=1), 0)  # no shift of a sample passes LayerNorm, one passes RMSNorm
    assert (np.abs(rms.sum(axis=1)) > 1e-3).all()
    for passed in (layer, rms):  # and no change of its scale passes either
        close((passed * x).sum(axis=1), 0)
    default = rmsnorm_gradient(x, g)
    close(default.total, rmsnorm_gradient(x, g, eps=np.finfo(float).eps).total, 0)


def inside(norm, *after):
    mr.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), norm, nn.ReLU(), *after, nn.Linear(6, 2)).double()


NORMS = {
    "BatchNorm": lambda: nn.BatchNorm(6),
    "BatchNorm1d": lambda: nn.BatchNorm1d(6, affine=False),
    "BatchNorm, no statistics": lambda: nn.BatchNorm(6, track_running_stats=False).eval(),
    "BatchNorm, eval": lambda: nn.BatchNorm(6).eval(),
    "BatchNorm, eval, plain": lambda: nn.BatchNorm(6, affine=False).eval(),
    "LayerNorm": lambda: nn.LayerNorm(6),
    "RMSNorm": lambda: nn.RMSNorm(6),
    "GroupNorm": lambda: nn.GroupNorm(2, 6),
    "GroupNorm, plain": lambda: nn.GroupNorm(2, 6, affine=False),
}


def shaken(model):
    """The model with scales, shifts and statistics that are not those it starts with."""
    for i, (_, t) in enumerate([*model.named_parameters(), *model.named_buffers()]):
        if t.dtype.kind == "f":
            t.assign(np.abs(draw(*t.shape, seed=i)) + 0.5)
    return model


@pytest.mark.parametrize("label", NORMS)
def test_gradient_of_a_norm_inside_a_model_is_what_autograd_sends_on(label):
    model, x = shaken(inside(NORMS[label]())), mr.Tensor(X)
    found = norm_gradient(model, "1", X, lambda y: nn.MSELoss()(y, Y[:, :2]))
    h = mr.Tensor(model[0](x).data, requires_grad=True)
    y = h
    for layer in [*model][1:]:
        y = layer(y)
    (expected,) = mr.grad(nn.MSELoss()(y, Y[:, :2]), h)
    close(found.total, expected.data, 1e-11)
    assert np.abs(expected.data).max() > 1e-2
    has_mean, has_variance = (bool(part.any()) for part in found[1:])
    assert (has_mean, has_variance) == (
        "eval" not in label and label != "RMSNorm",
        "eval" not in label,
    )


def test_gradient_of_a_norm_of_images_and_of_the_first_layer():
    mr.manual_seed(0)
    image = draw(3, 4, 5, 5)
    for norm in (nn.BatchNorm2d(4), nn.GroupNorm(2, 4)):
        model = shaken(nn.Sequential(norm, nn.ReLU(), nn.Conv2d(4, 2, 3)).double())
        x = mr.Tensor(image, requires_grad=True)
        (expected,) = mr.grad((model(x) ** 2).mean(), x)
        found = norm_gradient(model.requires_grad_(False), "0", image, lambda y: (y**2).mean())
        close(found.total, expected.data, 1e-11)
    block = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.LayerNorm(4), nn.Tanh())).double()
    assert norm_gradient(block, "1.0", X, lambda y: y.mean()).direct.shape == X.shape


def test_gradient_of_a_norm_has_no_side_effects():
    model = inside(nn.BatchNorm(6), nn.Dropout(0.5))
    loss = lambda y: (y**2).mean()
    loss(model(mr.Tensor(X))).backward()
    state, stream = model.state_dict(), model[3].generator.state
    grads = {n: p.grad for n, p in model.named_parameters()}
    before = [dict(vars(m)) for m in model.modules()]
    found = norm_gradient(model, "1", X, loss)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    assert all(p.grad is grads[n] for n, p in model.named_parameters())
    assert [dict(vars(m)) for m in model.modules()] == before
    after = model[3].generator.state
    np.testing.assert_array_equal(after["state"]["state"], stream["state"]["state"])
    with mr.no_grad():  # the mask is the one that the next forward will draw
        np.testing.assert_array_equal(norm_gradient(model, "1", X, loss).total, found.total)
    h = mr.Tensor(model[0](mr.Tensor(X)).data, requires_grad=True)
    y = h
    for layer in [*model][1:]:
        y = layer(y)
    close(found.total, mr.grad(loss(y), h)[0].data, 1e-11)


def jacobian(x, eps):
    return np.stack(
        [batchnorm_gradient(x, row[:, None], eps=eps).total[:, 0] for row in np.eye(len(x))]
    )


def test_batchnorm_projects():
    x = draw(9, 1)
    s, unit = x.std(), ((x - x.mean()) / x.std())[:, 0]
    projection = s * jacobian(x, 0.0)
    close(projection, projection.T)
    close(projection @ projection, projection)
    close(projection @ np.stack([np.ones(9), unit], axis=1), 0)
    assert np.linalg.matrix_rank(projection) == 7
    eps = 0.3  # with ε the batch's own direction passes, shrunk
    r = math.hypot(s, eps**0.5)
    passed = jacobian(x, eps) @ unit
    close(passed, unit / r * (eps / r**2))
    assert np.linalg.matrix_rank(jacobian(x, eps)) == 8
    close(jacobian(x[:2], 0.0), 0)  # two samples: no gradient at all


def test_gradient_before_batchnorm_is_tangential():
    x, w, h = draw(20, 5), mr.Tensor(draw(3, 5, seed=1), True), draw(20, 3, seed=2)
    norm = nn.functional.batch_norm

    def gradient(w):
        y = norm(mr.Tensor(x) @ w.T, training=True, eps=0.0)
        return mr.grad((y.tanh() * h).sum(), w)[0].data

    g = gradient(w)
    close(tangential(w.data, g, axis=1), g, 1e-11)
    close(np.square(w.data - 0.1 * g).sum(), np.square(w.data).sum() + 0.01 * np.square(g).sum())
    close(gradient(mr.Tensor(4 * w.data, True)), g / 4, 1e-11)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_tangential_is_the_projection_across(axis):
    w, g = draw(3, 4), draw(3, 4, seed=1)
    t = tangential(w, g, axis)
    close((w * t).sum(axis=axis), 0)
    close(tangential(w, t, axis), t)
    close(np.square(t).sum() + np.square(g - t).sum(), np.square(g).sum())
    close(tangential(mr.Tensor(w), mr.Tensor(g), axis).data, t)
    close(tangential(0 * w, g, axis), g)


def test_effective_rate_is_that_of_the_direction():
    """One step from αw with rate η turns it as one from w with rate η/α² does."""
    x, h = draw(20, 5), draw(20, 1, seed=2)

    def turned(w, lr):
        w = mr.Tensor(w, True)
        y = nn.functional.batch_norm(mr.Tensor(x) @ w.T, training=True, eps=0.0)
        return w.data - lr * mr.grad((y.tanh() * h).sum(), w)[0].data

    w = draw(1, 5, seed=1)
    w /= np.linalg.norm(w)
    for alpha in (0.1, 3.0, 20.0):
        step = effective_lr(alpha * w, 0.02)
        close(step, 0.02 / alpha**2)
        assert angle(turned(alpha * w, 0.02), turned(w, step)) < 1e-6
    close(effective_lr(mr.Tensor(draw(3, 4)), 0.1, axis=1), 0.1 / np.square(draw(3, 4)).sum(axis=1))


MODELS = {
    "linear, batch": (lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm(6, 0.0)), {"0.weight"}),
    "inside": (lambda: nn.Sequential(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm(6, 0.0)), nn.ReLU(),
                                     nn.Linear(6, 4, bias=False), nn.RMSNorm(4, 0.0)),
               {"0.0.weight", "2.weight"}),
    "bias, layer": (lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6, 0.0)), set()),
    "layer": (lambda: nn.Sequential(nn.Linear(4, 6, bias=False), nn.LayerNorm(6, 0.0)), {"0.weight"}),
    "groups": (lambda: nn.Sequential(nn.Linear(4, 6, bias=False), nn.GroupNorm(2, 6, 0.0)), {"0.weight"}),
    "relu between": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.BatchNorm(6, 0.0)), set()),
}  # fmt: skip


@pytest.mark.parametrize("label", MODELS)
def test_weights_that_are_found_are_the_invariant_ones(label):
    make, expected = MODELS[label]
    mr.manual_seed(0)
    model, x = make().double(), mr.Tensor(X)
    weights = {n: p for n, p in model.named_parameters() if p.kind == "weight"}
    before, invariant = model(x).data, set()
    for name, w in weights.items():
        w.assign(w.data * 3)
        if np.abs(model(x).data - before).max() < 1e-10:
            invariant.add(name)
        w.assign(w.data / 3)
    assert invariant == expected
    if expected:
        found = effective_lr(model, 0.1)
        assert found.keys() == expected
        for name, rate in found.items():
            close(rate, 0.1 / np.square(weights[name].data).sum())
    else:
        with pytest.raises(ValueError, match="effective_lr: no weight of the model"):
            effective_lr(model, 0.1)


def test_convolution_before_batchnorm_counts():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert [*effective_lr(model, 0.1)] == ["0.weight"]
