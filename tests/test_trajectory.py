"""mr.trajectory: where each step of full-batch training leads."""

import copy

import numpy as np
import pytest
from support.arrays import draw
from support.optimizers import NOISY, OPTIMIZERS, make

import minireg as mr
from minireg import nn, optim
from minireg.optim import lr_scheduler
from minireg.penalties import L1, L2, Coefficient, L2Ball

X, Y = draw(12, 4), draw(12, 1, seed=1)
MSE = nn.MSELoss()


def linear(bias=False, dtype=np.float64):
    mr.manual_seed(0)
    return nn.Linear(4, 1, bias=bias, dtype=dtype)


def network():
    mr.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.ReLU(), nn.Linear(5, 3)).double()


def flat(model):
    return np.concatenate([p.data.reshape(-1) for p in model.parameters()])


# --- laws -----------------------------------------------------------------------------------------


def test_on_least_squares_each_step_is_the_matrix_of_the_text():
    """θ ← θ − η(Hθ − b) with H = 2XᵀX/n + λ: powers of 1 − ηH, around the ridge solution."""
    model, lr, lam = linear(), 0.05, 0.3
    start, hessian = model.weight.data[0].copy(), 2 * X.T @ X / 12 + lam * np.eye(4)
    end = np.linalg.solve(hessian, 2 * X.T @ Y[:, 0] / 12)
    objective = mr.Objective(MSE, {"l2": L2(lam)})
    found = mr.trajectory(model, objective, optim.SGD(model.parameters(), lr), X, Y, 30)
    power = np.eye(4)
    for row in found:
        np.testing.assert_allclose(row, end + power @ (start - end), rtol=0, atol=1e-13)
        power = power @ (np.eye(4) - lr * hessian)
    assert found.shape == (31, 4)
    np.testing.assert_array_equal(found[-1], model.weight.data[0])


@pytest.mark.parametrize("label", [*OPTIMIZERS, *NOISY])
def test_it_is_the_loop_that_one_would_write(label):
    model, twin = (nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)) for _ in range(2))
    twin.load_state_dict(model.state_dict())
    found = mr.trajectory(model, MSE, make(label, list(model.parameters())), X, Y, 10)
    optimizer, rows = make(label, list(twin.parameters())), [flat(twin)]
    x, y = (mr.Tensor(a.astype(np.float32)) for a in (X, Y))
    for _ in range(10):
        optimizer.zero_grad()
        MSE(twin(x), y).backward()
        optimizer.step()
        rows.append(flat(twin))
    np.testing.assert_array_equal(found, rows)


def test_it_is_fit_with_one_batch_of_everything():
    model, twin = linear(bias=True), linear(bias=True)
    found = mr.trajectory(model, MSE, optim.Adam(model.parameters(), 0.1), X, Y, 7)
    # the order of the samples in a sum is another
    mr.fit(twin, MSE, optim.Adam(twin.parameters(), 0.1), (X, Y), epochs=7, batch_size=12)
    np.testing.assert_allclose(found[-1], flat(twin), rtol=1e-12)


def test_two_parts_are_the_whole():
    whole, parts = linear(), linear()
    found = mr.trajectory(whole, MSE, optim.SGD(whole.parameters(), 0.1, momentum=0.9), X, Y, 9)
    optimizer = optim.SGD(parts.parameters(), 0.1, momentum=0.9)
    first, second = (mr.trajectory(parts, MSE, optimizer, X, Y, n) for n in (4, 5))
    np.testing.assert_array_equal(found, np.concatenate([first, second[1:]]))


def test_no_steps_are_the_start():
    model = linear(bias=True)
    before = flat(model)
    found = mr.trajectory(model, MSE, optim.SGD(model.parameters(), 0.1), X, Y, 0)
    np.testing.assert_array_equal(found, before[None])
    np.testing.assert_array_equal(flat(model), before)


# --- what a row holds -----------------------------------------------------------------------------


def test_a_row_is_a_vector_over_the_parameters():
    """In the order of the curvature's vectors, so what is flat there is flat here."""
    model, labels = network(), draw(12).argsort() % 3
    optimizer, loss = optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss()
    found = mr.trajectory(model, loss, optimizer, X, labels, 3)
    assert found.dtype == np.float64
    assert found.shape == (4, 25 + 10 + 18)
    parts = mr.curvature.Space(model).split(found[-1])
    for part, p in zip(parts, model.parameters(), strict=True):
        np.testing.assert_array_equal(part, p.data)


def test_frozen_parameters_are_left_out():
    model = network()
    model[0].requires_grad_(False)
    optimizer = optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    found = mr.trajectory(model, nn.CrossEntropyLoss(), optimizer, X, np.arange(12) % 3, 2)
    assert found.shape == (3, 10 + 18)


def test_the_widest_dtype_holds_all():
    class Mixed(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(np.ones(2, np.float32))
            self.shift = nn.Parameter(np.zeros(2))

        def forward(self, x):
            return x[:, :2] * self.scale + self.shift

    model = Mixed()
    found = mr.trajectory(model, MSE, optim.SGD(model.parameters(), 0.1), X, X[:, :2], 2)
    assert found.dtype == np.float64
    assert model.scale.dtype == np.float32


def test_rows_are_kept_and_data_are_left_alone():
    model, x, y = linear(), X.copy(), Y.copy()
    found = mr.trajectory(model, MSE, optim.SGD(model.parameters(), 0.1), x, y, 3)
    kept = found.copy()
    model.weight.assign(7.0)
    np.testing.assert_array_equal(found, kept)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert len(np.unique(found[:, 0])) == 4


def test_a_divergence_is_shown():
    model = linear(dtype=np.float32)
    with np.errstate(all="ignore"):
        found = mr.trajectory(model, MSE, optim.SGD(model.parameters(), 1e4), X, Y, 20)
    assert np.isfinite(found[1]).all()
    assert not np.isfinite(found[-1]).any()


# --- what a training has --------------------------------------------------------------------------


def test_a_schedule_counts_updates():
    model = linear()
    optimizer = optim.SGD(model.parameters(), 1.0, weight_decay=0.5)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    found = mr.trajectory(model, lambda z, y: 0 * z.sum(), optimizer, X, Y, 4, scheduler=schedule)
    shrink = np.cumprod([1.0, *(1 - 0.5 * 0.5**k for k in range(4))])
    np.testing.assert_allclose(found, shrink[:, None] * found[0], rtol=1e-13)
    assert optimizer.param_groups[0]["lr"] == 0.5**4


def test_strengths_change_with_the_updates():
    model, strength = linear(), Coefficient(lambda t: 0.1 * t)
    objective = mr.Objective(lambda z, y: 0 * z.sum(), {"l2": L2(strength)})
    found = mr.trajectory(model, objective, optim.SGD(model.parameters(), 1.0), X, Y, 3)
    shrink = np.cumprod([1.0, 1.0, 0.9, 0.8])
    np.testing.assert_allclose(found, shrink[:, None] * found[0], rtol=1e-13)


def test_terms_that_act_by_their_prox_do():
    model = linear()
    objective = mr.Objective(MSE, {"l1": mr.Term(L1(2.0), via="prox"), "ball": L2Ball(0.4)})
    found = mr.trajectory(model, objective, optim.SGD(model.parameters(), 0.1), X, Y, 50)
    assert (found[-1] == 0).any()
    assert (np.linalg.norm(found[1:], axis=1) <= 0.4 * (1 + 1e-12)).all()


def test_a_step_may_be_clipped():
    model = linear()
    optimizer = optim.SGD(model.parameters(), 0.1)
    found = mr.trajectory(model, MSE, optimizer, X, 1e3 * Y, 5, clip_norm=0.3)
    np.testing.assert_allclose(np.linalg.norm(np.diff(found, axis=0), axis=1), 0.03, rtol=1e-9)


def test_a_ledger_books_every_step():
    model = linear(bias=True)
    optimizer = optim.AdamW(mr.optim.decay_groups(model, 0.1), 0.05)
    ledger = mr.Ledger(optimizer, model, accumulate=True)
    objective = mr.Objective(MSE, {"l2": L2(0.1)})
    twin, bare = copy.deepcopy(model), None
    found = mr.trajectory(model, objective, optimizer, X, Y, 6)
    assert {("data",), ("l2",)} <= {key[:1] for key in ledger.last["weight"]}
    assert ledger.last.residual < 1e-14
    np.testing.assert_allclose(ledger.last["weight"].actual[0], np.diff(found, axis=0)[-1, :4])
    bare = optim.AdamW(mr.optim.decay_groups(twin, 0.1), 0.05)
    np.testing.assert_allclose(mr.trajectory(twin, objective, bare, X, Y, 6), found, rtol=1e-12)


def test_the_model_is_in_training_mode():
    model = network().eval()
    before = model[1].running_mean.data.copy()
    optimizer = optim.SGD(model.parameters(), 0.0)
    mr.trajectory(model, nn.CrossEntropyLoss(), optimizer, X, np.arange(12) % 3, 1)
    assert model.training
    assert (model[1].running_mean.data != before).all()


# --- misuse ---------------------------------------------------------------------------------------


def call(model=None, optimizer=None, x=X, y=Y, steps=2, **options):
    model = linear() if model is None else model
    optimizer = optim.SGD(model.parameters(), 0.1) if optimizer is None else optimizer
    return mr.trajectory(model, MSE, optimizer, x, y, steps, **options)


def watching(name):
    """A model with a schedule that is refused."""
    model = linear()
    mine, other = (optim.SGD(m.parameters(), 0.1) for m in (model, linear()))
    schedule = {
        "another": lambda: lr_scheduler.StepLR(other, 1),
        "a figure": lambda: lr_scheduler.ReduceLROnPlateau(mine),
    }[name]()
    return {"model": model, "optimizer": mine, "scheduler": schedule}


MISUSE = {
    "half a step": (lambda: {"steps": 2.5}, ValueError, "steps must be an integer ≥ 0, got 2.5"),
    "a step back": (lambda: {"steps": -1}, ValueError, "steps must be an integer ≥ 0, got -1"),
    "lengths": (lambda: {"y": Y[1:]}, ValueError, "data has 12 inputs and 11 targets"),
    "words": (lambda: {"x": ["a"]}, TypeError, "x of data must be numbers"),
    "a class": (lambda: {"optimizer": optim.SGD}, TypeError, "optimizer must be of type Optimizer"),
    "another's optimizer": (
        lambda: {"optimizer": optim.SGD(linear().parameters(), 0.1)}, ValueError,
        "the optimizer holds none of the model's trainable parameters"),
    "frozen": (
        lambda: {"model": linear().requires_grad_(False), "optimizer": optim.SGD(linear().parameters())},
        ValueError, "there is nothing to train, the model is frozen"),
    "another's schedule": (
        lambda: watching("another"), ValueError, "the scheduler belongs to another optimizer"),
    "a schedule that looks": (
        lambda: watching("a figure"), ValueError, "the scheduler watches 'validation_loss'.* or fit"),
    "no step at all": (lambda: {"clip_norm": 0}, ValueError, r"clip_norm must be in \(0, inf\], got 0"),
}  # fmt: skip


@pytest.mark.parametrize("label", MISUSE)
def test_misuse(label):
    options, error, message = MISUSE[label]
    with pytest.raises(error, match=f"trajectory: {message}"):
        call(**options())
