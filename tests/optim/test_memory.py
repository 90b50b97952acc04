"""Whose memory is whose: nothing that somebody holds is moved or overwritten, no gradients alias."""

import copy
import pickle
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw
from support.training import backward, network, step

import minireg as mr
from minireg import backend, nn, optim
from minireg.penalties import L2

HOMES = ["numpy", "strict"]


@pytest.fixture(autouse=True)
def _registered():
    with strict.running():
        yield


# --- nobody notices ------------------------------------------------------------------------------

HOLD = {
    "the array": lambda p: p.data,
    "a view": lambda p: p.data[:1],
    "a transpose": lambda p: p.data.T,
    "a tensor": lambda p: p.detach(),
    "another parameter": lambda p: nn.Parameter(p),
}


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("what", HOLD)
def test_what_shares_the_memory_of_a_parameter_sees_its_step(what, home):
    model = network(home)
    p = model[0].weight
    held, before = HOLD[what](p), p.numpy().copy()
    step(model, optim.SGD(model.parameters(), lr=0.1), home, 0)
    seen = held.data if isinstance(held, mr.Tensor) else held
    now = {"a view": p.data[:1], "a transpose": p.data.T}.get(what, p.data)
    np.testing.assert_array_equal(backend.of(seen).to_numpy(seen), backend.of(now).to_numpy(now))
    assert (p.numpy() != before).all()


def test_the_array_a_tensor_was_made_from_follows_it():
    array, other = draw(3), draw(4)
    w, b = (mr.tensor(a, requires_grad=True) for a in (array, other))
    optimizer = optim.SGD([w, b], lr=0.5)
    (w.sum() + b.sum()).backward()
    optimizer.step()
    assert w.data is array
    np.testing.assert_array_equal(array, draw(3) - 0.5)


def test_a_gradient_set_by_hand_stays_the_array_it_is():
    model = network()
    optimizer = optim.SGD(model.parameters())
    arrays = [draw(*p.shape) for p in model.parameters()]
    for p, array in zip(model.parameters(), arrays, strict=True):
        p.grad = mr.Tensor(array)
    optimizer.step()
    assert all(p.grad.data is array for p, array in zip(model.parameters(), arrays, strict=True))


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("hold", ["tensor", "array", "a part"])
def test_a_gradient_that_somebody_holds_is_not_overwritten(hold, home):
    model = network(home)
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    backward(model, home, 0)
    grads = [p.grad for p in model.parameters()]
    if hold != "tensor":
        grads = [g.data if hold == "array" else g.data[:1] for g in grads]
    arrays = [g.data if isinstance(g, mr.Tensor) else g for g in grads]
    before = [backend.of(a).to_numpy(a).copy() for a in arrays]
    for seed in (1, 2):
        step(model, optimizer, home, seed)
        backward(model, home, seed)
    for a, b in zip(before, arrays, strict=True):
        np.testing.assert_array_equal(a, backend.of(b).to_numpy(b))


def test_old_states_are_not_overwritten():
    model = network()
    optimizer = optim.Adam(model.parameters())
    step(model, optimizer, "numpy", 0)
    kept = {p: s["exp_avg"] for p, s in optimizer.state.items()}
    before = {p: a.copy() for p, a in kept.items()}
    optimizer.state.clear()
    step(model, optimizer, "numpy", 1)
    for p, a in kept.items():
        np.testing.assert_array_equal(a, before[p])
        assert optimizer.state[p]["step"] == 1


def test_gradients_are_freed_when_they_are_forgotten():
    model = network()
    optimizer = optim.SGD(model.parameters())
    backward(model, "numpy")
    arrays = [weakref.ref(p.grad.data) for p in model.parameters()]
    assert all(array() is not None for array in arrays)
    optimizer.zero_grad()
    assert all(array() is None for array in arrays)


def test_a_copy_of_a_model_has_its_own_memory():
    model = network()
    optim.SGD(model.parameters())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            assert not np.shares_memory(p.data, q.data)
            np.testing.assert_array_equal(p.numpy(), q.numpy())


# --- gradients never alias -----------------------------------------------------------------------


def twice(w: mr.Tensor) -> Any:
    return mr.nn.functional.linear(mr.nn.functional.linear(w, w), w).sum()


def hooked(w: mr.Tensor) -> Any:
    w.register_hook(lambda g: kept.append(g))
    return (w * w).sum()


def nested(w: mr.Tensor) -> Any:
    inner = (w * w).sum()
    y = w * 1.0
    y.register_hook(lambda g: inner.backward(retain_graph=True))
    return (mr.nn.functional.linear(w, w) * y).sum()


def failing(w: mr.Tensor) -> Any:
    y = w * 1.0

    def fail(g: Any) -> None:
        raise ZeroDivisionError

    remove = y.register_hook(fail)
    with pytest.raises(ZeroDivisionError):
        (mr.nn.functional.linear(w, w).sum() + (y * y).sum()).backward()
    remove()
    return (w**3).sum()


kept: list[Any] = []
GRAPHS = {
    "one use": lambda w: mr.nn.functional.linear(w, w.detach() + 1).sum(), "the same leaf twice": twice,
    "a sum": lambda w: (w + w).sum(), "itself": lambda w: w,
    "a view": lambda w: w.T.sum() + w.reshape(9).sum(),
    "hooked": hooked, "a pass within a pass": nested, "after a failure": failing,
    "a wider gradient": lambda w: (w * np.ones((2, 3, 3))).sum(),
    "another dtype": lambda w: mr.nn.functional.linear(mr.tensor(np.ones((2, 3)), np.float32), w).sum(),
}  # fmt: skip


MIXING = {"a wider gradient", "another dtype"}  # with arrays of the host


@pytest.mark.parametrize(
    ("graph", "home"), [(g, h) for g in GRAPHS for h in HOMES if h == "numpy" or g not in MIXING]
)
def test_the_gradients_of_two_passes_are_added_apart_from_all_that_is_held(graph, home):
    w = mr.tensor(draw(3, 3), requires_grad=True, backend=home)
    seed = mr.tensor(np.ones((3, 3)), backend=home) if graph == "itself" else None
    held, once = [w] if seed is None else [w, seed], 0.0
    kept.clear()
    for k in (1, 2):
        GRAPHS[graph](w).backward(seed)
        found = w.grad.numpy()
        once = found.copy() if k == 1 else once
        np.testing.assert_allclose(found, k * once, rtol=1e-14)
        assert not any(np.shares_memory(found, t.numpy()) for t in held + kept)
        held.append(w.grad)
    np.testing.assert_array_equal(held[-2].numpy(), once)


def test_grad_and_recorded_passes_add_nothing_of_their_own():
    w, b = (mr.tensor(draw(3, 3, seed=k), requires_grad=True) for k in range(2))
    (mr.nn.functional.linear(w, b)).sum().backward()
    before = w.grad.numpy().copy()
    mr.grad((w * b).sum(), [w, b])
    (g,) = mr.grad((w**3).sum(), [w], create_graph=True)
    g.sum().backward(create_graph=True)
    np.testing.assert_allclose(w.grad.numpy(), before + 6 * w.numpy())


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],
                         ids=["copied", "pickled"])  # fmt: skip
def test_an_optimizer_goes_on_when_it_is(again):
    model = network()
    optimizer = optim.Adam(model.parameters())
    step(model, optimizer, "numpy", 0)
    other = again((model, optimizer))
    for m, o in ((model, optimizer), other):
        step(m, o, "numpy", 1)
    for p, q in zip(model.parameters(), other[0].parameters(), strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_a_span_around_others_is_due_in_its_turn():
    """One parameter on all the memory of two others."""
    ends = []
    for home in HOMES:
        whole = mr.tensor(draw(6), requires_grad=True, backend=home)
        parts = [mr.Tensor(whole.data[k : k + 3], requires_grad=True) for k in (0, 3)]
        alone = mr.tensor(draw(2), requires_grad=True, backend=home)
        params = [parts[0], whole, parts[1], alone]
        optimizer = optim.SGD(params, lr=0.1, weight_decay=0.5)
        for p in params:
            p.grad = mr.tensor(draw(*p.shape, seed=1), backend=home)
        optimizer.step()
        ends.append(whole.numpy())
    np.testing.assert_array_equal(*ends)
    expected = draw(6)
    for where in (slice(0, 3), slice(0, 6), slice(3, 6)):
        g = draw(expected[where].size, seed=1)
        expected[where] -= 0.1 * (g + 0.5 * expected[where])
    np.testing.assert_allclose(ends[0], expected, rtol=1e-14)


@pytest.mark.parametrize("shape", [(), (1,), (1, 4), (2, 4)])
def test_a_bias_that_is_broadcast(shape):
    w, b = (mr.tensor(draw(*s, seed=k), requires_grad=True) for k, s in enumerate([(4, 3), shape]))
    weights = draw(2, 4, seed=5)
    (mr.nn.functional.linear(mr.tensor(draw(2, 3)), w, b) * weights).sum().backward()
    (expected,) = mr.grad((b * weights).sum(), b)
    np.testing.assert_allclose(b.grad.numpy(), expected.numpy(), rtol=1e-14)


def test_the_gradient_of_a_narrow_bias_is_summed_wide():
    w = mr.tensor(draw(4, 3), requires_grad=True)
    b = mr.tensor(draw(4), np.float32, requires_grad=True)
    y = mr.nn.functional.linear(mr.tensor(draw(1000, 3)), w, b)
    (y * draw(1000, 4, seed=2)).sum().backward()
    np.testing.assert_array_equal(b.grad.numpy(), draw(1000, 4, seed=2).sum(axis=0).astype("f4"))


def test_an_array_reshaped_in_place():
    w, b = (mr.tensor(draw(2, 3, seed=k), requires_grad=True) for k in range(2))
    optimizer = optim.SGD([w, b], lr=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's, from 2.5 on
        w.data.shape = (6,)
    (w * w).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(w.numpy(), -draw(2, 3).ravel())


def test_numbers_as_parameters_of_an_objective():
    """An array without dimensions stays one: its gradient can be clipped, and booked."""
    ends = []
    for attribute in (False, True):
        model = nn.Module()
        model.s, model.t = (nn.Parameter(np.asarray(v)) for v in (2.0, 3.0))
        model.forward = lambda x, model=model: x * model.s
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        books = mr.Ledger(optimizer)
        objective = mr.Objective(nn.MSELoss(), {"l2": (L2(0.1), "*")})
        for _ in range(3):
            optimizer.zero_grad()
            objective(model, mr.tensor(np.ones(3)), mr.tensor(np.zeros(3))).backward(attribute)
            assert optim.clip_grad_norm_(model.parameters(), 1e-3).item() > 1
            assert all(type(p.grad.data) is np.ndarray for p in model.parameters())
            optimizer.step()
        assert books.last.residual < 1e-14
        ends.append([p.item() for p in model.parameters()])
    np.testing.assert_allclose(*ends, rtol=1e-14)


def test_the_books_of_parameters_that_share_memory_begin_where_the_one_before_ended():
    array = np.array([1.0, 2.0])
    first, second = (mr.Tensor(array, requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([first, second], lr=0.1, weight_decay=0.5)
    ledger = mr.Ledger(optimizer)
    first.grad, second.grad = mr.Tensor(np.ones(2)), mr.Tensor(2 * np.ones(2))
    optimizer.step()
    *_, row = ledger.last.values()
    np.testing.assert_allclose(row.before, [0.85, 1.8], rtol=1e-14)
    assert row.residual < 1e-15
