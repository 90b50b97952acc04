"""Hidden regularizers: identities, then enumeration, quadrature and scikit-learn, then examples."""

import copy
import math
import sys
from functools import partial
from itertools import pairwise, product

import numpy as np
import pytest
from support import strict

import minireg as mr
from minireg import nn
from minireg.analysis import priors
from minireg.analysis.implicit import (
    Gaussian,
    Laplace,
    angle,
    batchnorm_gradient,
    degrees_of_freedom,
    dropout_effect,
    dropout_penalty,
    early_stopping_filter,
    early_stopping_spectrum,
    effective_lr,
    effective_rank,
    equivalent_strength,
    layernorm_gradient,
    max_margin,
    nearest_interpolant,
    norm_gradient,
    ridge_filter,
    rmsnorm_gradient,
    stable_rank,
    step_penalty,
    tangential,
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def close(a, b, tolerance=1e-12):
    np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), tolerance, tolerance)


def masks(p, n):
    """Every mask over n units with its chance, scaled as dropout scales it."""
    for keep in product((0.0, 1.0), repeat=n):
        kept = sum(keep)
        yield np.array(keep) / (1 - p), (1 - p) ** kept * p ** (n - kept)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# --- dropout ---------------------------------------------------------------------------------------

X, Y = draw(7, 4) * [0.1, 1.0, 3.0, 10.0], draw(7, 3, seed=1)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_penalty_of_dropout_is_the_mean_over_all_masks(p, shape):
    w = draw(*shape, seed=2)
    y = Y[:, 0] if len(shape) == 1 else Y

    def loss(mask):
        return np.square((X * mask) @ w.T - y).mean()

    effect = sum(chance * loss(mask) for mask, chance in masks(p, 4)) - loss(1)
    close(dropout_penalty(w, X, p), effect)
    close(dropout_penalty(w, X, p, curvature=1.0), effect / 2)  # of half the squared error


def test_gradient_of_the_penalty_is_a_ridge_for_each_feature():
    w, x = mr.Tensor(draw(4), requires_grad=True), mr.Tensor(X)
    strengths = 0.25 / 0.75 * np.square(X).mean(axis=0)
    (g,) = mr.grad(dropout_penalty(w, x, 0.25), w)
    close(g.data, 2 * strengths * w.data)
    assert mr.gradcheck(lambda w, x: dropout_penalty(w, x, 0.25), (w, mr.Tensor(X)))


def test_penalty_of_the_logistic_loss_is_its_second_order():
    w = draw(4, seed=3)

    def effect(w):
        def loss(mask):
            return np.logaddexp(0, (X * mask) @ w).mean()

        return sum(chance * loss(mask) for mask, chance in masks(0.5, 4)) - loss(1)

    ratios = []
    for size in (1e-1, 1e-2, 1e-3):
        s = sigmoid(X @ (size * w))
        ratios.append(effect(size * w) / dropout_penalty(size * w, X, 0.5, s * (1 - s)))
    assert abs(ratios[2] - 1) < 1e-5
    assert abs(ratios[0] - 1) > 10 * abs(ratios[1] - 1) > 100 * abs(ratios[2] - 1)


def dropped(p=0.5, seed=4):
    mr.manual_seed(seed)
    return nn.Sequential(nn.Dropout(p), nn.Linear(4, 3, bias=False)).double()


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_effect_on_a_linear_model_is_the_penalty(p):
    model, loss = dropped(p), nn.MSELoss()
    found = dropout_effect(lambda: loss(model(mr.Tensor(X)), mr.Tensor(Y)), model)
    assert (found.exact, found.masks, found.value.error) == (True, 16, 0.0)
    if p == 1:  # nothing but 0 comes through
        left = np.square(Y).mean() - np.square(X @ model[1].weight.data.T - Y).mean()
        return close(found.value, left)
    penalty = dropout_penalty(model[1].weight, X, p)
    close(found.value, penalty.item())
    close(found.gradients["1.weight"], mr.grad(penalty, model[1].weight)[0].data, 1e-11)
    return close(found.errors["1.weight"], 0)


def test_one_mask_for_all_rows_gives_the_mean_over_masks_of_their_own():
    p, x, y = 0.3, draw(2, 2), draw(2, 1, seed=1)
    mr.manual_seed(0)
    model = nn.Sequential(
        nn.Dropout(p), nn.Linear(2, 2), nn.Tanh(), nn.Dropout(p), nn.Linear(2, 1)
    ).double()
    (w, b), (v, c) = ((m.weight.data, m.bias.data) for m in (model[1], model[4]))

    def loss(first, second):
        return np.square((np.tanh((x * first) @ w.T + b) * second) @ v.T + c - y).mean()

    own = sum(
        chance * loss(mask[:4].reshape(2, 2), mask[4:].reshape(2, 2))
        for mask, chance in masks(p, 8)
    )
    found = dropout_effect(lambda: nn.MSELoss()(model(mr.Tensor(x)), mr.Tensor(y)), model)
    assert found.masks == 16
    close(found.value, own - loss(1, 1))


def classifier(p=0.5):
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(p), nn.Linear(6, 3)).double()
    labels = mr.Tensor(np.arange(7) % 3)
    return model, lambda: nn.CrossEntropyLoss()(model(mr.Tensor(X / 10)), labels)


def test_drawn_masks_agree_with_enumerated_ones_within_the_error_bars():
    model, closure = classifier()
    exact = dropout_effect(closure, model)
    drawn = dropout_effect(closure, model, draws=2000, max_units=5)
    assert (exact.exact, drawn.exact, drawn.masks) == (True, False, 2000)
    assert abs(drawn.value - exact.value) < 4 * drawn.value.error
    few = dropout_effect(closure, model, draws=125, max_units=0).value.error
    assert few == pytest.approx(4 * drawn.value.error, rel=0.2)  # 1/√draws
    for name, g in exact.gradients.items():
        alive = drawn.errors[name] > 0
        off = (drawn.gradients[name] - g)[alive] / drawn.errors[name][alive]
        assert 0.5 < np.sqrt(np.square(off).mean()) < 1.6
        close(drawn.gradients[name][~alive], g[~alive])
    again = dropout_effect(closure, model, draws=2000, max_units=5)
    assert again.value == drawn.value
    assert again.value != dropout_effect(closure, model, draws=2000, max_units=5, seed=1).value
    single = dropout_effect(closure, model, draws=1, max_units=0)
    assert single.value.error == math.inf
    assert np.isnan(single.errors["0.weight"]).all()  # one draw tells no spread


def test_gradient_of_the_effect_is_its_derivative():
    model, closure = classifier(0.2)
    found, w, h = dropout_effect(closure, model), model[0].weight, 1e-5
    start, along = w.data.copy(), draw(6, 4, seed=5)
    values = []
    for t in (h, -h):
        w.assign(start + t * along)
        values.append(dropout_effect(closure, model).value)
    close((values[0] - values[1]) / (2 * h), (found.gradients["0.weight"] * along).sum(), 1e-8)


def test_effect_leaves_the_model_as_it_was():
    mr.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 3), nn.BatchNorm(3), nn.Dropout(0.5), nn.Linear(3, 1)
    ).double()
    model[2].eval()
    state, generator = model.state_dict(), model[2].generator

    def closure():
        return model(mr.Tensor(X)).sum()

    def check():
        assert (model[2].training, model[2].generator) == (False, generator)
        assert [m.training for m in model] == [True, True, False, True]
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, state[name])

    assert not dropout_effect(closure, model, draws=3).exact  # BatchNorm couples the rows
    check()
    model[1].eval()
    assert dropout_effect(closure, model).exact
    model[1].train()
    with pytest.raises(ZeroDivisionError):
        dropout_effect(lambda: closure() * (1 / 0), model)
    check()
    assert model[0].weight.grad is None


def test_units_of_images_and_of_single_samples():
    image = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 1, 2)).double()
    x = mr.Tensor(draw(5, 1, 3, 2))
    assert dropout_effect(lambda: image(x).sum(), image).masks == 2**6
    model = dropped()
    assert dropout_effect(lambda: model(mr.Tensor(X[0])).sum(), model).masks == 2**4


def trained(penalties=None, epochs=2, **options):
    mr.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3)
    ).double()
    objective = mr.Objective(nn.CrossEntropyLoss(label_smoothing=0.1), penalties)
    optimizer = mr.optim.SGD(model.parameters(), 0.1)
    data = X, np.arange(7) % 3
    return model, mr.fit(model, objective, optimizer, data, epochs=epochs, batch_size=4, **options)


def test_training_shows_what_dropout_implies_and_is_not_disturbed():
    l2 = {"l2": mr.penalties.L2(0.1)}
    plain, without = trained(l2)
    model, history = trained(l2, dropout_draws=30)
    assert (without.terms, history.terms) == (["data", "smoothing", "l2"],
                                              ["data", "smoothing", "l2", "dropout"])  # fmt: skip
    for name, value in plain.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)
    assert history["train_loss"] == without["train_loss"]
    close(sum(history[f"share/{t}"][0] for t in history.terms), 1)
    for what in ("value", "norm", "cosine"):
        assert history[f"{what}/l2"] == without[f"{what}/l2"]


def test_row_of_dropout_is_its_effect_on_the_batch():
    model, closure = classifier()
    objective = mr.Objective(nn.CrossEntropyLoss())
    terms = objective(model, mr.Tensor(X / 10), mr.Tensor(np.arange(7) % 3))
    terms.backward()
    effect = dropout_effect(closure, model)
    data, row = terms.statistics({"dropout": effect})
    g = np.concatenate([v.ravel() for v in effect.gradients.values()])
    d = np.concatenate([terms.gradients["data"][n].data.ravel() for n in effect.gradients])
    assert (row["term"], row["value"]) == ("dropout", float(effect.value))
    close(row["norm"], np.linalg.norm(g))
    close(row["cosine"], g @ d / np.linalg.norm(g) / np.linalg.norm(d))
    close(data["share"] + row["share"], 1)
    with pytest.raises(ValueError, match=r"statistics: 'data' is a term already"):
        terms.statistics({"data": effect})


def test_training_measures_the_first_batch_before_its_step():
    model, closure = classifier()
    expected = dropout_effect(closure, model)
    history = mr.fit(
        model, nn.CrossEntropyLoss(), mr.optim.SGD(model.parameters(), 0.5),
        (X / 10, np.arange(7) % 3), epochs=1, batch_size=7, dropout_draws=1,
    )  # fmt: skip
    close(history["value/dropout"][0], expected.value)
    norm = np.sqrt(sum(np.square(g).sum() for g in expected.gradients.values()))
    close(history["norm/dropout"][0], norm)


def test_row_of_dropout_needs_dropout_and_a_count():
    with pytest.raises(ValueError, match="fit: dropout_draws must be an integer ≥ 0, got -1"):
        trained(dropout_draws=-1)
    model = nn.Linear(4, 3).double()
    with pytest.raises(ValueError, match=r"none of the model's 0 nn\.Dropout"):
        mr.fit(model, nn.CrossEntropyLoss(), mr.optim.SGD(model.parameters(), 0.1),
               (X, np.arange(7) % 3), dropout_draws=5)  # fmt: skip


# --- normalisation ---------------------------------------------------------------------------------


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


# --- few steps, finite steps -----------------------------------------------------------------------


@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 300])
def test_filter_is_what_gradient_descent_has_learnt(steps, start):
    mu, vectors = np.array([0.0, 1e-9, 0.3, 4.0, 6.0, 9.5]), np.linalg.qr(draw(6, 6))[0]
    hessian, best, lr = vectors * mu @ vectors.T, draw(6, seed=1), 0.2  # ημ up to 1.9
    w = w0 = np.full(6, start)
    for _ in range(steps):
        w = w - lr * hessian @ (w - best)
    learnt = early_stopping_filter(mu, lr, steps)
    close(vectors.T @ (w - w0), learnt * (vectors.T @ (best - w0)), 1e-12)
    close(ridge_filter(mu[:4], equivalent_strength(mu[:4], lr, steps)[3]).max(), learnt[3])


def test_filter_of_ridge_is_what_ridge_leaves():
    x, y = draw(20, 4), draw(20, seed=1)
    mu, vectors = np.linalg.eigh(x.T @ x / 20)
    ols = np.linalg.lstsq(x, y)[0]
    ridge = np.linalg.solve(x.T @ x / 20 + 0.3 * np.eye(4), x.T @ y / 20)
    close(vectors.T @ ridge, ridge_filter(mu, 0.3) * (vectors.T @ ols))
    np.testing.assert_array_equal(ridge_filter(np.array([0.0, 2.0]), 0.0), [0, 1])


def test_equivalent_strength_makes_the_filters_equal():
    mu = np.logspace(-14, 0.9, 50)
    for lr, steps in ((0.1, 1), (0.1, 10), (0.01, 1000), (0.2, 3)):
        strengths = equivalent_strength(mu, lr, steps)
        ridge = [ridge_filter(m, s) for m, s in zip(mu, strengths, strict=True) if s >= 0]
        close(ridge, early_stopping_filter(mu, lr, steps)[strengths >= 0])
        close(strengths[0] * lr * steps, 1, 1e-10)  # of slow modes, at full precision
        close(equivalent_strength(np.zeros(1), lr, steps), 1 / (lr * steps))
    assert (equivalent_strength(np.array([6.0]), 0.2, 3) < 0).all()  # an overshoot no ridge makes
    assert (
        equivalent_strength(np.array([10.0]), 0.2, 2) == np.inf
    )  # back at the start: nothing learnt
    assert (np.diff(equivalent_strength(np.logspace(-3, 0, 50), 0.1, 20)) < 0).all()


def test_filter_of_what_diverges_ends_at_infinity():
    mu = np.array([-3.0, 3.0])  # away from a maximum, and beyond ημ = 2
    learnt = early_stopping_filter(mu, 1.0, 5001)
    np.testing.assert_array_equal(learnt, [-np.inf, np.inf])
    np.testing.assert_array_equal(equivalent_strength(mu, 1.0, 5001), -mu)


def descended(features, steps, lr, n=30, seed=0):
    """A linear model after full-batch gradient descent, a copy of its start, and its loss."""
    mr.manual_seed(seed)
    x = mr.Tensor(draw(n, features, seed=seed) * np.logspace(-1, 0.3, features))
    y = mr.Tensor(draw(n, 2, seed=seed + 1))
    model = nn.Linear(features, 2).double()
    objective = mr.Objective(nn.MSELoss(), {"l2": mr.penalties.L2(0.01)})
    closure = lambda: objective(model, x, y).total
    start, optimizer = copy.deepcopy(model), mr.optim.SGD(model.parameters(), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        closure().backward()
        optimizer.step()
    return model, start, closure


def test_spectrum_of_a_run_on_a_quadratic_is_what_the_run_did():
    lr, steps = 0.1, 40
    model, start, closure = descended(4, steps, lr)
    found = early_stopping_spectrum(closure, model, lr=lr, steps=steps, start=start)
    assert len(found.eigenvalues) == 10  # all of them
    close(found.measured, found.learnt, 1e-9)
    assert 0.05 < found.learnt.min() < 0.9 < found.learnt.max() < 1
    hessian = mr.curvature.hessian(closure, model)
    flat = lambda m: np.concatenate([p.data.ravel() for p in m.parameters()])
    close(hessian @ found.vectors, found.vectors * found.eigenvalues, 1e-9)
    # The same weights by a ridge around the start, with a strength for each direction.
    slope = np.concatenate([g.data.ravel() for g in mr.grad(closure(), [*model.parameters()])])
    best = flat(model) - np.linalg.solve(hessian, slope)
    pull = found.vectors * found.strength @ found.vectors.T
    ridge = np.linalg.solve(hessian + pull, hessian @ best + pull @ flat(start))
    close(ridge, flat(model), 1e-9)


def test_spectrum_of_many_parameters_is_known_by_products():
    model, start, closure = descended(60, 25, 0.05)
    arrays = [p.data for p in start.parameters()]
    found = early_stopping_spectrum(
        mr.curvature.Hessian(closure, model), lr=0.05, steps=25, k=3, start=arrays
    )
    dense = np.linalg.eigvalsh(mr.curvature.hessian(closure, model))
    close(found.eigenvalues, dense[-3:], 1e-7)
    close(found.measured, found.learnt, 1e-6)
    assert found.vectors.shape == (122, 3)


@pytest.mark.parametrize(
    "start", [lambda m: m, lambda m: [p.numpy() for p in m.parameters()],
              lambda m: [p.detach() for p in m.parameters()]],
    ids=["model", "numpy", "detach"],
)  # fmt: skip
def test_a_start_that_moved_with_the_parameters_is_refused(start):
    """measured was 0 everywhere: p.numpy() shares the memory that training goes on in."""
    model, _, closure = descended(4, 3, 0.1)
    with pytest.raises(ValueError, match=r"start shares memory .* copy\.deepcopy\(model\) or"):
        early_stopping_spectrum(closure, model, lr=0.1, steps=3, start=start(model))


def test_spectrum_of_a_fit_that_stopped_early():
    """On noise, what is learnt first helps and what is learnt last does not."""
    mr.manual_seed(3)
    x, w = draw(60, 12, seed=5) * np.logspace(0.5, -1, 12), np.append(np.ones(3), np.zeros(9))
    y = (x @ w + 2 * draw(60, seed=6))[:, None]
    model, loss = nn.Linear(12, 1, bias=False).double(), nn.MSELoss()
    start = copy.deepcopy(model)
    history = mr.fit(
        model, loss, mr.optim.SGD(model.parameters(), 0.02), (x[:30], y[:30]), (x[30:], y[30:]),
        epochs=2000, batch_size=30, early_stopping=mr.optim.EarlyStopping(patience=20),
    )  # fmt: skip
    assert history.stopped == "early stopping"
    steps = history.best_epoch  # one batch an epoch
    found = early_stopping_spectrum(
        lambda: loss(model(mr.Tensor(x[:30])), y[:30]), model, lr=0.02, steps=steps, start=start
    )
    close(found.measured, found.learnt, 1e-8)
    assert found.learnt[0] < 0.2 < 0.999 < found.learnt[-1]


def test_spectrum_near_a_minimum_of_a_smooth_loss():
    mr.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    x = mr.Tensor(draw(20, 2))
    y = model(x).detach()  # fits exactly, so the weights are a minimum
    closure, off = lambda: nn.MSELoss()(model(x), y), []
    best = [p.data.copy() for p in model.parameters()]
    for size in (1e-2, 1e-3, 1e-4):
        for i, (p, b) in enumerate(zip(model.parameters(), best, strict=True)):
            p.assign(b + size * draw(*b.shape, seed=i))
        start = copy.deepcopy(model)
        for _ in range(5):
            gradients = mr.grad(closure(), [*model.parameters()])
            for p, g in zip(model.parameters(), gradients, strict=True):
                p.assign(p.data - 0.2 * g.data)
        found = early_stopping_spectrum(closure, model, lr=0.2, steps=5, k=2, start=start)
        off.append(np.abs(found.measured - found.learnt).max())
    assert off[2] < 1e-3
    assert off[0] > 3 * off[1] > 9 * off[2]  # of third order in the distance


def test_spectrum_says_where_nothing_is_measured():
    model, _, closure = descended(2, 1, 0.1)
    assert early_stopping_spectrum(closure, model, lr=0.1, steps=1, k=1).measured is None
    w = mr.Tensor(draw(3), requires_grad=True)
    loss, start = lambda: ((w[:2] - np.array([0.0, 5.0])) ** 2).sum(), 0 * w.data
    found = early_stopping_spectrum(loss, w, lr=0.1, steps=1, start=start)
    flat, (first, second) = found.eigenvalues == 0, np.abs(found.vectors[:2, 1:])
    assert flat.tolist() == [True, False, False]
    for unknown in (flat, np.append(False, first > second)):  # no curvature, and nowhere to go
        assert np.isnan(found.measured[unknown]).all()
    close(found.measured[1:][second > first], w.data[1] / 5)


def quartic(w):
    return (w**4).sum() / 4 + w[0] * w[1] + (w * w).sum()


def test_step_penalty_is_the_squared_slope_and_its_gradient_the_hessian_times_it():
    w = mr.Tensor(draw(3), requires_grad=True)
    value = step_penalty(lambda: quartic(w), w, lr=0.1)
    (g,) = mr.grad(quartic(w), w)
    close(value.item(), 0.1 / 4 * np.square(g.data).sum())
    product = mr.curvature.hvp(lambda: quartic(w), w, g.data)
    close(mr.grad(value, w)[0].data, 0.1 / 2 * product)


def test_step_penalty_of_a_module_skips_what_the_loss_does_not_use():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).double()
    x = mr.Tensor(draw(5, 3))
    value = step_penalty(lambda: (model[0](x) ** 2).mean(), model, lr=1.0)
    value.backward()
    assert model[1].weight.grad is None
    assert model[0].weight.grad is not None


def test_descent_follows_the_flow_of_the_loss_with_the_penalty():
    def flow(closure, w, time, count=200):
        """Runge–Kutta steps against the gradient, to rounding for what is compared."""

        def slope(at):
            t = mr.Tensor(at, requires_grad=True)
            return -mr.grad(closure(t), t)[0].data

        h = time / count
        for _ in range(count):
            a = slope(w)
            b = slope(w + h / 2 * a)
            c = slope(w + h / 2 * b)
            w = w + h / 6 * (a + 2 * b + 2 * c + slope(w + h * c))
        return w

    start, plain, modified = np.array([1.0, 0.5]), [], []
    for lr in (0.04, 0.02, 0.01):
        w = start
        for _ in range(round(0.4 / lr)):
            t = mr.Tensor(w, requires_grad=True)
            w = w - lr * mr.grad(quartic(t), t)[0].data

        def total(t, lr=lr):
            return quartic(t) + step_penalty(lambda: quartic(t), t, lr)

        plain.append(np.linalg.norm(w - flow(quartic, start, 0.4)))
        modified.append(np.linalg.norm(w - flow(total, start, 0.4)))
    assert [a / b for a, b in pairwise(plain)] == pytest.approx([2, 2], rel=0.1)
    ratios = [a / b for a, b in pairwise(modified)]
    assert ratios == pytest.approx([4, 4], rel=0.15)


# --- what is chosen among many ---------------------------------------------------------------------


def separable(n=40, d=3, seed=0):
    x, w = draw(n, d, seed=seed), draw(d, seed=seed + 1)
    y = np.sign(x @ w)
    return x + 0.3 * y[:, None] * w, y


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e6])
def test_max_margin_is_optimal(scale):
    x, y = separable()
    x = x * scale
    found = max_margin(x, y)
    signed = y[:, None] * x
    distances = signed @ found.direction
    close(np.linalg.norm(found.direction), 1)
    close(distances.min(), found.margin)
    close(distances[found.support], found.margin)
    dual = np.linalg.lstsq(signed[found.support].T, found.direction)[0]
    close(dual @ signed[found.support], found.direction)  # KKT: made of support vectors,
    assert (dual > 0).all()  # each pushing
    others = draw(5000, 3, seed=9)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert (signed @ others.T).min(axis=0).max() < found.margin


def test_max_margin_against_a_solver_of_the_primal():
    optimize = pytest.importorskip("scipy.optimize")
    x, y = separable(60, 4, seed=3)
    signed = y[:, None] * x
    reference = optimize.minimize(
        lambda w: w @ w / 2, np.linalg.lstsq(x, y)[0], jac=lambda w: w, method="SLSQP", tol=1e-14,
        constraints={"type": "ineq", "fun": lambda w: signed @ w - 1, "jac": lambda w: signed},
    ).x  # fmt: skip
    found = max_margin(x, y.astype(int))
    assert angle(found.direction, reference) < 1e-5
    close(found.margin, 1 / np.linalg.norm(reference), 1e-8)


def test_descent_of_the_logistic_loss_heads_there():
    x, y = separable(seed=5)
    direction, w, angles = max_margin(x, y).direction, np.zeros(3), []
    for step in range(1, 20_001):  # each step divided by the loss, which makes it no slower
        z = y * (x @ w)
        share = np.exp(z.min() - z)
        w = w + 0.1 * (share * y) @ x / share.sum()
        if step in (20, 200, 2000, 20_000):
            angles.append(angle(w, direction))
    assert angles == sorted(angles, reverse=True)
    assert angles[-1] < 0.1 < 1 < angles[0]


def test_angles():
    assert angle([[1.0, 0.0]], [[0.0, -2.0]]) == pytest.approx(90)
    assert angle([1.0, 1.0], [-3.0, -3.0]) == pytest.approx(180)
    u, t = np.array([3.0, 4.0]), 1e-11  # far below what arccos can tell
    v = np.array([3 - 4 * t, 4 + 3 * t])
    assert angle(u, mr.Tensor(v)) == pytest.approx(math.degrees(t), rel=1e-3)
    assert angle(u, u) == 0


@pytest.mark.parametrize("columns", [(), (2,)])
def test_nearest_interpolant_is_where_descent_ends(columns):
    x, y, start = draw(4, 9), draw(4, *columns, seed=1), draw(9, *columns, seed=2)
    lr = 1 / np.linalg.norm(x, 2) ** 2
    for origin in (None, start):
        w = np.zeros_like(start) if origin is None else origin
        for _ in range(3000):
            w = w - lr * x.T @ (x @ w - y)
        found = nearest_interpolant(x, y, origin)
        close(found, w, 1e-10)
        close(x @ found, y)
        moved = found - (0 if origin is None else origin)
        close(np.linalg.pinv(x) @ (x @ moved), moved)  # in the row space
    close(nearest_interpolant(x, y), np.linalg.pinv(x) @ y)


def test_nearest_interpolant_with_duplicates_and_with_too_many_rows():
    x, y = draw(3, 5), draw(3, seed=1)
    close(nearest_interpolant(np.vstack([x, x]), np.append(y, y)), nearest_interpolant(x, y))
    close(nearest_interpolant(x.T, draw(5)), np.linalg.lstsq(x.T, draw(5))[0])


# --- capacity --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(20, 5), (4, 9)])
def test_degrees_of_freedom_are_the_trace_of_the_hat_matrix(shape):
    x = draw(*shape)
    n, d = shape
    values = []
    for strength in (1e-3, 0.1, 1.0, 50.0):
        hat = x @ np.linalg.solve(x.T @ x / n + strength * np.eye(d), x.T / n)
        values.append(degrees_of_freedom(x, strength))
        close(values[-1], np.trace(hat), 1e-10)
    assert values == sorted(values, reverse=True)
    assert degrees_of_freedom(x, 0.0) == min(shape)
    assert degrees_of_freedom(np.hstack([x, x]), 0.0) == min(shape)  # rounding is no rank


def test_degrees_of_freedom_of_mse_loss_take_half_the_strength():
    x, n, strength = draw(20, 3), 20, 0.4
    model = nn.Linear(3, 1, bias=False).double()
    columns = []
    for y in np.eye(n):
        mr.solve(model, nn.MSELoss(), mr.penalties.L2(strength), x, y[:, None], tol=1e-13)
        columns.append(x @ model.weight.data[0])
    close(np.trace(columns), degrees_of_freedom(x, strength / 2), 1e-10)


def test_degrees_of_freedom_of_diabetes():
    data = pytest.importorskip("sklearn.datasets").load_diabetes().data
    x = (data - data.mean(axis=0)) / data.std(axis=0)
    found = [degrees_of_freedom(x, s) for s in (0, 0.01, 0.1, 1, 10)]
    assert found == pytest.approx([10, 9.25, 7.64, 3.94, 0.83], abs=0.005)


def test_ranks_of_what_is_known():
    q = np.linalg.qr(draw(5, 5))[0]
    for rank in (stable_rank, effective_rank):
        assert rank(q) == pytest.approx(5)
        assert rank(np.outer(q[0], q[1])) == pytest.approx(1)
        assert rank(np.zeros((3, 2))) == 0
        w = draw(6, 2, 3, seed=1)
        assert rank(w) == pytest.approx(rank(-1e-9 * w.reshape(6, 6)))
        assert 1 <= rank(w) <= 6
    w = draw(6, 4)
    s = np.linalg.svd(w)[1]
    assert stable_rank(mr.Tensor(w)) == pytest.approx((s**2).sum() / s[0] ** 2)
    p = s / s.sum()
    assert effective_rank(w) == pytest.approx(math.prod(p**-p))


# --- priors ----------------------------------------------------------------------------------------

PRIORS = {"Gaussian": Gaussian(0.7), "Laplace": Laplace(0.4)}


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_density_integrates_to_one_and_multiplies_over_weights(prior):
    integrate = pytest.importorskip("scipy.integrate")
    density = lambda w: math.exp(prior.log_density(np.array([w])))
    assert 2 * integrate.quad(density, 0, 40, epsabs=1e-13)[0] == pytest.approx(1, abs=1e-10)
    w = draw(3, 2)
    each = sum(prior.log_density(np.array([v])) for v in w.ravel())
    close(prior.log_density(w), each)


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_loss_and_penalty_are_the_negative_log_posterior(prior):
    x, y, n, noise = draw(9, 3), draw(9, seed=1), 9, 1.7
    w = mr.Tensor(draw(3, seed=2), requires_grad=True)
    residual = mr.Tensor(x) @ w - y
    posterior = (residual**2).sum() / (2 * noise**2) - prior.log_density(w)
    mse = (residual**2).mean() + prior.penalty(n, noise).value(w)
    (g,), (h,) = mr.grad(posterior, w, retain_graph=True), mr.grad(mse, w)
    close(g.data, h.data * n / (2 * noise**2))
    z = mr.Tensor(x) @ w  # logistic: the mean of the negative log likelihood itself
    likelihood = np.log(1 + np.exp(z)).sum() - (z * (y > 0)).sum()
    (g,) = mr.grad(likelihood - prior.log_density(w), w, retain_graph=True)
    (h,) = mr.grad(likelihood / n + prior.penalty(n).value(w), w)
    close(g.data, h.data * n)


def test_gaussian_posterior_is_ridge():
    x, y = draw(12, 4), draw(12, seed=1)
    found = Gaussian(0.5).posterior(x, y, noise=2.0)
    close(found.mode, np.linalg.solve(x.T @ x + 16 * np.eye(4), x.T @ y))
    np.testing.assert_array_equal(found.mode, found.mean)
    np.testing.assert_array_equal(found.error, 0)
    model = nn.Linear(4, 1, bias=False).double()
    mr.solve(model, nn.MSELoss(), Gaussian(0.5).penalty(12, 2.0), x, y[:, None], tol=1e-13)
    close(found.mode, model.weight.data[0], 1e-11)
    linear = pytest.importorskip("sklearn.linear_model")
    close(found.mode, linear.Ridge(alpha=16, fit_intercept=False).fit(x, y).coef_)


def test_laplace_mode_is_lasso_and_has_zeros_the_mean_has_none():
    linear = pytest.importorskip("sklearn.linear_model")
    x = draw(30, 6) @ draw(6, 6, seed=1)
    y = 2 * x[:, 0] + draw(30, seed=2)
    found = Laplace(0.1).posterior(x, y, noise=1.0)
    lasso = linear.Lasso(alpha=1 / (0.1 * 30), fit_intercept=False, tol=1e-14, max_iter=10**6)
    close(found.mode, lasso.fit(x, y).coef_, 1e-7)
    assert 0 < (found.mode == 0).sum() < 6
    assert (found.mean != 0).all()


@pytest.mark.parametrize(("estimate", "noise", "scale"), [
    (0.5, 1.0, 1.0), (3.0, 1.0, 1.0), (-2.0, 0.3, 0.7), (50.0, 1.0, 1.0), (1.0, 0.01, 1e-3),
    (0.2, 1.0, 1e3), (1e-3, 10.0, 0.1),
])  # fmt: skip
def test_laplace_mean_is_the_integral(estimate, noise, scale):
    integrate = pytest.importorskip("scipy.integrate")
    found = Laplace(scale).posterior([[1.0]], [estimate], noise)
    mode = found.mode[0]
    shrunk = math.copysign(max(abs(estimate) - noise**2 / scale, 0), estimate)
    close(mode, shrunk, 1e-9)

    def moment(power):
        def f(w):
            exponent = -((w - estimate) ** 2) / (2 * noise**2) - abs(w) / scale
            peak = -((shrunk - estimate) ** 2) / (2 * noise**2) - abs(shrunk) / scale
            return (w - shrunk) ** power * math.exp(exponent - peak)

        wide = [sign * 40 * width for sign in (-1, 1) for width in (noise, scale)]
        cuts = sorted({0.0, shrunk, *(shrunk + w for w in wide if abs(w) <= 40 * noise)})
        return sum(integrate.quad(f, a, b, epsabs=1e-15, limit=200)[0] for a, b in pairwise(cuts))

    close(found.mean[0], shrunk + moment(1) / moment(0), 1e-10)
    assert found.mean[0] != 0


def test_sampled_mean_agrees_with_the_closed_form_and_with_a_grid():
    y = np.array([0.5, 3.0, -0.2])
    exact = Laplace(1.0).posterior(np.eye(3), y)
    askew = Laplace(1.0).posterior(np.eye(3) + 1e-9, y)  # not orthogonal, so it is sampled
    assert (exact.error == 0).all()
    assert (askew.error > 0).all()
    assert (askew.error < 0.02).all()
    off = []
    for seed in range(12):
        found = Laplace(1.0).posterior(np.eye(3) + 1e-9, y, draws=50, seed=seed)
        off.append((found.mean - exact.mean) / found.error)
    assert 0.7 < np.sqrt(np.square(off).mean()) < 1.5

    x = draw(30, 2)
    x[:, 1] += x[:, 0]
    y = x[:, 0] + draw(30, seed=1)
    found = Laplace(0.3).posterior(x, y)
    a, b = np.meshgrid(*[np.linspace(-3, 3, 601)] * 2, indexing="ij")
    each = y[:, None, None] - x[:, 0, None, None] * a - x[:, 1, None, None] * b
    log_p = -0.5 * np.square(each).sum(axis=0) - (np.abs(a) + np.abs(b)) / 0.3
    p = np.exp(log_p - log_p.max())
    grid = np.array([(a * p).sum(), (b * p).sum()]) / p.sum()
    assert (np.abs(found.mean - grid) < 4 * found.error).all()
    np.testing.assert_array_equal(found.mean, Laplace(0.3).posterior(x, y).mean)  # seeded
    assert (found.mean != Laplace(0.3).posterior(x, y, seed=1).mean).all()
    more = Laplace(0.3).posterior(x, y, draws=2000).error
    assert more == pytest.approx(found.error / 2, rel=0.5)


def test_sampling_disturbs_no_other_stream():
    mr.manual_seed(0)
    first = nn.Linear(2, 2).weight.data
    mr.manual_seed(0)
    Laplace(1.0).posterior(draw(5, 2), draw(5), draws=2)
    np.testing.assert_array_equal(nn.Linear(2, 2).weight.data, first)


# --- everywhere ------------------------------------------------------------------------------------

LIVES = {
    "dropout_penalty": lambda w: dropout_penalty(w, w, 0.5),
    "batchnorm_gradient": lambda w: batchnorm_gradient(w, w * w).total,
    "layernorm_gradient": lambda w: layernorm_gradient(w, w * w, w[0]).total,
    "rmsnorm_gradient": lambda w: rmsnorm_gradient(w, w * w, w[0]).total,
    "tangential": lambda w: tangential(w, w * w, axis=0),
    "effective_lr": lambda w: effective_lr(w, 0.1),
    "early_stopping_filter": lambda w: early_stopping_filter(w * w, 0.1, 3),
    "ridge_filter": lambda w: ridge_filter(w * w, 0.5),
    "equivalent_strength": lambda w: equivalent_strength(w * w, 0.1, 3),
}


@pytest.mark.parametrize("name", LIVES)
def test_arrays_stay_where_they_live_in_their_dtype(name):
    w = draw(5, 3).astype(np.float32)
    expected = LIVES[name](w)
    assert expected.dtype == np.float32
    with strict.registered():
        with strict.count_syncs() as syncs:
            found = LIVES[name](strict.xp.asarray(w))
        assert isinstance(found, strict.StrictArray)
        np.testing.assert_array_equal(found.get(), expected)
    assert not syncs


LISTS = {
    dropout_penalty: ([0.1, 0.7], [[1.0, 2.0], [3.0, 4.0]], 0.3, [1, 2]),
    batchnorm_gradient: ([[1.0], [0.1], [4.0]], [[1.0], [2.0], [0.3]], [0.7]),
    layernorm_gradient: ([[1.0, 0.1, 4.0]], [[1.0, 2.0, 0.3]], [0.7, 1.0, 2.0]),
    rmsnorm_gradient: ([[1, 2, 4]], [[1, 2, 3]], [1, 1, 2]),
    effective_lr: ([[0.1, 0.7]], 0.1),
    early_stopping_filter: ([0.1, 2.0], 0.1, 3),
    equivalent_strength: ([0.1, 2.0], 0.1, 3),
    ridge_filter: ([0.1, 2.0], 0.3),
    stable_rank: ([[0.1, 2.0], [0.3, 0.4]],),
    effective_rank: ([[0.1, 2.0], [0.3, 0.4]],),
}


@pytest.mark.parametrize("function", LISTS, ids=lambda f: f.__name__)
def test_lists_are_arrays_in_float64(function):
    given = LISTS[function]
    arrays = [np.array(a, float) if isinstance(a, list) else a for a in given]
    np.testing.assert_array_equal(function(*given), function(*arrays))


def test_models_and_matrices_on_a_device():
    model, x = dropped().eval(), mr.Tensor(X)
    loss = lambda: (model(x) ** 2).mean()
    expected = dropout_effect(loss, model), step_penalty(loss, model, 0.1).item()
    ranks = [f(X) for f in (stable_rank, effective_rank, lambda x: degrees_of_freedom(x, 0.1))]
    with strict.registered():
        model.to("strict")
        x = x.to("strict")
        found = dropout_effect(loss, model)
        close(found.value, expected[0].value)
        assert isinstance(found.gradients["1.weight"], strict.StrictArray)
        close(step_penalty(loss, model, 0.1).item(), expected[1])
        there = strict.xp.asarray(X)
        close([f(there) for f in (stable_rank, effective_rank)], ranks[:2])
        close(degrees_of_freedom(there, 0.1), ranks[2])
        points, labels = separable()
        close(
            max_margin(strict.xp.asarray(points), labels).margin, max_margin(points, labels).margin
        )


A, B, LINEAR = draw(3, 2), draw(3), nn.Linear(1, 1)
NORMED = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.RMSNorm(2))
TWICE = nn.Sequential(NORMED[1], NORMED[1])
ERRORS = {
    "chance": (lambda: dropout_penalty(B, A.T, 1.0), "p is the chance of dropping"),
    "features": (lambda: dropout_penalty(B, A, 0.5), r"got a weight \(3,\) and x \(3, 2\)"),
    "weight of rank 3": (lambda: dropout_penalty(B[None, None], A.T, 0.5), r"expected \(in,\)"),
    "draws": (lambda: dropout_effect(lambda: 0, nn.Linear(1, 1), draws=0), "draws must be an integer ≥ 1"),
    "no dropout": (lambda: dropout_effect(LINEAR.weight.sum, LINEAR), "none of the model's 0 nn.Dropout"),
    "gradient's shape": (lambda: batchnorm_gradient(A, A.T), r"got x \(3, 2\) and g \(2, 3\)"),
    "no batch": (lambda: batchnorm_gradient(B, B), r"expected both \(N, C\)"),
    "gradient's shape along features": (lambda: layernorm_gradient(A, A.T), r"got x \(3, 2\), g \(2, 3\)"),
    "no axis": (lambda: rmsnorm_gradient(B, B, axis=()), "one axis or more"),
    "no such axis": (lambda: rmsnorm_gradient(B, B, axis=1), "axis 1 is out of bounds"),
    "scale's shape": (lambda: layernorm_gradient(A, A, B), r"got a weight \(3,\), expected \(2,\)"),
    "no norm": (lambda: norm_gradient(NORMED, "0", A, mr.sum), r"'0' is a Linear, .* has: '1', '2'"),
    "no module": (lambda: norm_gradient(LINEAR, "1", A, mr.sum), r"no module of the model, .* none"),
    "norm unused": (lambda: norm_gradient(NORMED, "1", A, lambda y: mr.tensor(1.0)), "does not depend"),
    "no scalar": (lambda: norm_gradient(NORMED, "1", A, lambda y: y), "of one element; reduce it"),
    "norm twice": (lambda: norm_gradient(TWICE, "1", A, mr.sum), "'1' ran 2 times, expected once"),
    "rate": (lambda: effective_lr(B, 0.0), "effective_lr: lr must be a finite number > 0, got 0.0"),
    "filter's rate": (lambda: early_stopping_filter(B, -1.0, 2), "early_stopping_filter: lr"),
    "steps": (lambda: equivalent_strength(B, 0.1, 0), "steps must be an integer ≥ 1, got 0"),
    "strength": (lambda: ridge_filter(B, -1.0), "ridge_filter: strength must be ≥ 0, got -1.0"),
    "start's shape": (lambda: early_stopping_spectrum(LINEAR.weight.sum, LINEAR, lr=0.1, steps=1, start=B),
                      r"got a vector of shape \(3,\)"),
    "slope": (lambda: early_stopping_spectrum(
        mr.curvature.GaussNewton(LINEAR.weight.sum, lambda z: z * z, LINEAR), lr=0.1, steps=1, start=B
    ), "start needs a Hessian, .* got a GaussNewton; leave start out"),
    "step": (lambda: step_penalty(lambda: 0, mr.Tensor(B, True), math.inf), "step_penalty: lr"),
    "loss": (lambda: step_penalty(lambda: mr.tensor(1.0), LINEAR, 0.1), "depends on none"),
    "labels": (lambda: max_margin(A, [0, 1, 1]), "labels must be -1 and 1, got"),
    "rows": (lambda: max_margin(A, [1, 1]), r"max_margin: got x \(3, 2\) and y \(2,\)"),
    "inseparable": (lambda: max_margin(draw(200, 3), np.sign(draw(200, seed=1))), "append a column of ones"),
    "opposed": (lambda: max_margin([[1.0], [1.0]], [1, -1]), "separates the two classes"),
    "at the origin": (lambda: max_margin([[0.0], [1.0]], [1, 1]), "separates the two classes"),
    "all at the origin": (lambda: max_margin([[0.0], [0.0]], [1, 1]), "separates the two classes"),
    "no direction": (lambda: angle(B, 0 * B), "expected as many, not all 0"),
    "other space": (lambda: angle(B, B[:2]), "got 3 and 2 elements"),
    "interpolant": (lambda: nearest_interpolant(A, B[:2]), r"interpolant: got x \(3, 2\) and y \(2,\)"),
    "std": (lambda: Gaussian(0.0), "Gaussian: std must be a finite number > 0"),
    "scale": (lambda: Laplace("1"), "Laplace: scale must be a finite number > 0, got '1'"),
    "count": (lambda: Laplace(1.0).penalty(0), "penalty: n must be an integer ≥ 1"),
    "noise": (lambda: Gaussian(1.0).penalty(3, -1.0), "penalty: noise must be"),
    "observations": (lambda: Gaussian(1.0).posterior(B, B), r"posterior: got x \(3,\)"),
    "no noise": (lambda: Gaussian(1.0).posterior(A, B, 0.0), "posterior: noise must be"),
    "no noise, Laplace": (lambda: Laplace(1.0).posterior(A, B, 0.0), "posterior: noise must be"),
    "no draws": (lambda: Laplace(1.0).posterior(A, B, draws=0), "posterior: draws must be"),
}  # fmt: skip


@pytest.mark.parametrize("what", ERRORS)
def test_error(what):
    call, message = ERRORS[what]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.filterwarnings("ignore:solve")  # which says so itself, too
def test_mode_that_is_not_reached_raises(monkeypatch):
    monkeypatch.setattr(priors, "solve", partial(mr.solve, max_steps=3))
    with pytest.raises(
        RuntimeError, match=r"certificate is still .* after 3 steps; bring the columns"
    ):
        Laplace(1.0).posterior(draw(9, 3), draw(9, seed=1))


@pytest.mark.parametrize(("module", "call"), [
    ("scipy.optimize", lambda: max_margin(A, [1, 1, 1])),
    ("scipy.special", lambda: Laplace(1.0).posterior(np.eye(2), B[:2])),
])  # fmt: skip
def test_missing_scipy_is_named(monkeypatch, module, call):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"minireg\[lessons\]"):
        call()
