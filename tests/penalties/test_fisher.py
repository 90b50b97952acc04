"""L2.from_fisher: the diagonal by hand, the term around the old weights, and what it remembers."""

import numpy as np
import pytest

import minireg as mr
from minireg import nn
from minireg.penalties import L1, L2, Coefficient

LOSS = nn.CrossEntropyLoss()


def task(angle, seed, n=200):
    """Two classes on both sides of a line through 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    side = x @ [np.cos(angle), np.sin(angle)]
    return x, (side > 0).astype(np.int64)


def classifier():
    mr.manual_seed(0)
    return nn.Linear(2, 2, dtype=np.float64)


def train(model, objective, x, y, steps=400):
    optimizer = mr.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(model, mr.Tensor(x), y).backward()
        optimizer.step()


def accuracy(model, x, y):
    return float((model(mr.Tensor(x)).numpy().argmax(axis=1) == y).mean())


def test_the_diagonal_of_a_softmax_regression_by_hand():
    """∂(−log p_y)/∂W = (p − e_y)xᵀ and ∂/∂b = p − e_y for each row; squares, then the mean."""
    model, (x, y) = classifier(), task(0.3, 1, 30)
    logits = x @ model.weight.numpy().T + model.bias.numpy()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    slope = p - np.eye(2)[y]
    terms = L2.from_fisher(model, LOSS, x, y, strength=0.7)
    weight, on = terms["fisher weight"]
    bias, _ = terms["fisher bias"]
    assert on == "weight"
    want = np.square(slope[:, :, None] * x[:, None, :]).mean(axis=0)
    np.testing.assert_allclose(weight.weight, want, rtol=1e-12)
    np.testing.assert_allclose(bias.weight, np.square(slope).mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(weight.center, model.weight.numpy())
    assert weight.strength == bias.strength == 0.7


def test_it_is_the_curvature_where_the_model_is_right():
    """Labels drawn from the model: the squares are, on average, the Hessian's diagonal."""
    model, (x, _) = classifier(), task(0.3, 2, 1500)
    logits = x @ model.weight.numpy().T + model.bias.numpy()
    p = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    y = (np.random.default_rng(3).uniform(size=len(x)) < p).astype(np.int64)
    fisher = L2.from_fisher(model, LOSS, x, y, 1.0)["fisher weight"][0].weight
    hessian = ((p * (1 - p))[:, None] * x**2).mean(axis=0)
    np.testing.assert_allclose(fisher, [hessian, hessian], rtol=0.15)


def test_the_term_is_ewc_and_a_new_task_does_not_wipe_out_the_old():
    (x, y), (x2, y2) = task(0.0, 4), task(1.2, 5)
    kept = {}
    for strength in (None, 60.0):
        model = classifier()
        train(model, mr.Objective(LOSS, {"l2": L2(1e-2)}), x, y)
        old = {n: p.numpy().copy() for n, p in model.named_parameters()}
        first = accuracy(model, x, y)
        terms = {} if strength is None else L2.from_fisher(model, LOSS, x, y, strength)
        objective = mr.Objective(LOSS, {**terms, "l1": L1(1e-5)})
        if strength is not None:
            at_old = objective(model, mr.Tensor(x2), y2)
            assert at_old["fisher weight"].item() == at_old["fisher bias"].item() == 0
            rows = [r.penalties for r in objective.assignments(model)]
            assert rows == ["fisher weight (gradient), l1 (gradient)", "fisher bias (gradient)"]
        train(model, objective, x2, y2)
        if strength is not None:
            moved = objective(model, mr.Tensor(x2), y2)
            off = model.weight.numpy() - old["weight"]
            want = 0.5 * strength * (terms["fisher weight"][0].weight * off**2).sum()
            assert moved["fisher weight"].item() == pytest.approx(want, rel=1e-12)
        kept[strength] = accuracy(model, x, y)
    assert first > 0.97
    assert kept[None] < 0.75
    assert kept[60.0] > 0.9


def test_frozen_parameters_have_no_term_and_a_coefficient_is_counted_once():
    model, (x, y) = classifier(), task(0.3, 1, 5)
    model.bias.requires_grad_(False)
    warm_up = Coefficient(lambda t: 0.1 * t)
    terms = L2.from_fisher(model, LOSS, x, y, warm_up)
    assert list(terms) == ["fisher weight"]
    model.bias.requires_grad_(True)
    objective = mr.Objective(LOSS, L2.from_fisher(model, LOSS, x, y, warm_up))
    objective.step()
    assert warm_up.updates == 1
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    "loss", [nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.BCEWithLogitsLoss()], ids=repr
)
def test_targets_of_one_axis_are_a_column(loss):
    """As for fit and solve; it raised."""
    model, (x, y) = nn.Linear(2, 1, dtype=np.float64), task(0.3, 1, 9)
    column = L2.from_fisher(model, loss, x, y[:, None] * 1.0, 1.0)
    for name, (penalty, _) in L2.from_fisher(model, loss, x, y * 1.0, 1.0).items():
        np.testing.assert_array_equal(penalty.weight, column[name][0].weight)


def test_refusals():
    model, (x, y) = classifier(), task(0.3, 1, 5)
    with pytest.raises(TypeError, match=r"L2.from_fisher: model"):
        L2.from_fisher([model.weight], LOSS, x, y, 1.0)
    with pytest.raises(TypeError, match=r"loss is an Objective; pass objective\.loss"):
        L2.from_fisher(model, mr.Objective(LOSS), x, y, 1.0)
    for rows, targets in ((x, y[:3]), (x[:0], y[:0])):
        with pytest.raises(ValueError, match=f"got {len(rows)} rows and {len(targets)} targets"):
            L2.from_fisher(model, LOSS, rows, targets, 1.0)


def test_a_frozen_model_has_no_terms():
    model = mr.nn.Linear(2, 1)
    for p in model.parameters():
        p.requires_grad = False
    with pytest.raises(ValueError, match="every parameter of the model is frozen"):
        L2.from_fisher(model, mr.nn.MSELoss(), np.ones((3, 2)), np.ones((3, 1)), 1.0)
