"""What dropout is on average: closed forms against the mean over all masks."""

import math
from itertools import product

import numpy as np
import pytest
from support.arrays import close, draw

import minireg as mr
from minireg import nn
from minireg.analysis.implicit import (
    dropout_effect,
    dropout_penalty,
)


def masks(p, n):
    """Every mask over n units with its chance, scaled as dropout scales it."""
    for keep in product((0.0, 1.0), repeat=n):
        kept = sum(keep)
        yield np.array(keep) / (1 - p), (1 - p) ** kept * p ** (n - kept)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


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


@pytest.mark.slow
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
