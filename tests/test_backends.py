"""Everything on a stand-in for CuPy: equal to NumPy, nothing mixed, nothing waited for."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw, host, place
from support.device import (
    LAYER_CASES,
    LAYERS,
    LEDGERED,
    LOSS_CASES,
    LOSSES,
    MIXED,
    OPS,
    OPTIMIZER_CASES,
    OPTIMIZERS,
    PENALTIES,
    PENALTY_CASES,
    REFUSED,
    SAMPLES,
    TRAINING,
    VALUES_ONLY,
    check_mixing,
    clipped,
    derivatives,
    entries,
    exported,
    run_layer,
    run_loss,
    run_optimizer,
    run_penalty,
    run_values,
    train,
    train_on_images,
    train_with_ledger,
)
from support.lists import exact
from support.strict import StrictArray, count_syncs, xp

import minireg as mr
from minireg import backend as backends
from minireg import nn, optim, penalties
from minireg.check.gradients import gradcheck
from minireg.ops import TABLE
from minireg.random import Stream


@pytest.fixture(autouse=True)
def _registered():
    with strict.registered():
        yield


def device(*shape: int, seed: int = 0) -> StrictArray:
    return xp.asarray(draw(*shape, seed=seed))


def parity(run: Callable[[str], Any]) -> strict.Syncs:
    """Assert that ``run(home)`` gives the same on both backends; returns what waited on strict."""
    expected = run("numpy")
    with count_syncs() as syncs:
        got = run("strict")
    for a, b in zip(expected, got, strict=True):
        a, b = (v.data if isinstance(v, mr.Tensor) else v for v in (a, b))
        assert (b is None) == (a is None)
        if a is not None:
            assert isinstance(b, StrictArray), f"left its backend: {type(b)}"
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_array_equal(a, host(b))
    return syncs


# --- the stand-in refuses what CuPy refuses ------------------------------------------------------


@pytest.mark.parametrize("what", REFUSED)
def test_stand_in_refuses(what):
    before = draw(2, 3)
    x = xp.asarray(before)
    with pytest.raises(TypeError):
        REFUSED[what](x, xp)
    np.testing.assert_array_equal(x.get(), before)  # and nothing was written on the way


def test_ufunc_without_atomics_is_refused():
    with pytest.raises(NotImplementedError, match=r"multiply\.at"):
        xp.multiply.at(device(3), 0, 2.0)


def leaks(array: Any) -> list[str]:
    """Ways by which NumPy, or anyone, gets at the memory without asking."""
    found = [
        name
        for name in (
            "__array_interface__", "__array_struct__", "__buffer__", "__dlpack__", "__index__",
            "__array_wrap__", "__array_priority__", "ctypes", "data", "__array_namespace__",
        )
        if hasattr(array, name)
    ]  # fmt: skip
    try:
        np.asarray(array)
    except TypeError:
        return found
    return [*found, "np.asarray"]


def test_no_leak():
    class Proxy:  # what one would write first
        def __init__(self, array: Any) -> None:
            self._array = array

        def __getattr__(self, name: str) -> Any:
            return getattr(self._array, name)

    assert leaks(device(3)) == []
    assert {"__array_interface__", "np.asarray"} <= set(leaks(Proxy(draw(3))))


def test_stand_in_accepts_what_cupy_accepts():
    x = device(2, 3)
    assert isinstance(x.sum(), StrictArray)
    assert x.sum().shape == ()
    assert isinstance(x[0, 0], StrictArray)
    assert (x.astype(np.float32) * 2.0).dtype == np.float32
    assert (x.astype(np.float32) * np.float64(2)).dtype == np.float64  # NumPy scalars are strong
    assert np.add(x, 1, out=x) is x
    assert x.__iadd__(1) is x
    assert x.astype(np.float64, copy=False) is x
    assert x[0].base is not None
    assert x.copy().base is None
    assert type(np.linalg.svd(x)) is tuple  # CuPy's has no .S
    x[0] = x[1]
    assert (x[0] == x[1]).all()
    total = xp.zeros((2,))
    xp.add.at(total, xp.asarray([0, 0]), 1.0)
    np.testing.assert_array_equal(total.get(), [2.0, 0.0])
    source = draw(2)
    xp.asarray(source)[...] = 0.0  # host and device share no memory
    assert source.all()


WAITS: dict[str, Callable[[Any], Any]] = {
    "float": float, "int": int, "bool": bool, "complex": complex, "if": lambda x: 1 if x > 0 else 0,
    "item": lambda x: x.item(), "tolist": lambda x: x.tolist(), "get": lambda x: x.get(),
    "repr": repr, "str": str, "format": lambda x: f"{x:.3f}", "pickle": pickle.dumps,
    "iterate": lambda x: list(x[None]), "max of list": lambda x: max([x, x]),
    "mask": lambda x: x[None][x[None] > 0], "store by mask": lambda x: x[None].__setitem__(x[None] > 0, 1.0),
    "nonzero": lambda x: x[None].nonzero(), "where": lambda x: np.where(x[None]),
    "Tensor.item": lambda x: mr.Tensor(x).item(), "Tensor.numpy": lambda x: mr.Tensor(x).numpy(),
    "Tensor.to": lambda x: mr.Tensor(x).to("numpy"), "float(Tensor)": lambda x: float(mr.Tensor(x)),
}  # fmt: skip


@pytest.mark.parametrize("what", WAITS)
def test_waiting_is_counted(what):
    x = xp.asarray(1.5)
    with count_syncs() as syncs:
        with count_syncs() as inner:
            pass
        WAITS[what](x)
    assert (syncs.total, inner.total) == (1, 0)
    assert "test_backends.py" in syncs[0] or "minireg" in syncs[0]  # says where


def test_launching_is_not_counted():
    with count_syncs() as syncs:
        x = device(2, 3)
        y = (np.exp(x) @ x.T).sum(axis=0, keepdims=True)
        y[..., 0] = 1.0
        x -= y.mean()
        np.where(x > 0, x, 0).reshape(-1)[xp.asarray([0, 1])]
        len(x), x.shape, x.size, x.dtype, copy.deepcopy(x), np.allclose(x, x)
    assert not syncs


def test_static_lists_are_true_of_cupy():
    strict.require_cupy()
    for name in strict.MISSING:
        owner, _, last = name.rpartition(".")
        assert not hasattr(strict.cupy if not owner else getattr(strict.cupy, owner), last), name
    for function in (strict.cupy.sum, strict.cupy.ndarray.max, strict.cupy.add):
        assert not strict.REFUSED & set(strict.signature(function).parameters)


VIEWS: dict[str, Callable[[Any], Any]] = {
    "reshape": lambda x: x.reshape(3, 2), "same shape": lambda x: x.reshape(2, 3), "T": lambda x: x.T,
    "ravel": lambda x: x.ravel(), "slice": lambda x: x[:, ::2], "item": lambda x: x[0, 0],
    "row": lambda x: x[0], "new axis": lambda x: x[None], "transpose": lambda x: x.transpose(1, 0),
    "row.T": lambda x: x[0].T, "swapaxes": lambda x: x.swapaxes(0, 1), "squeeze": lambda x: x.squeeze(),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1), "flip": lambda x: np.flip(x, 0),
    "expand_dims": lambda x: np.expand_dims(x, 1), "broadcast": lambda x: np.broadcast_to(x, (4, 2, 3)),
    "broadcast to itself": lambda x: np.broadcast_to(x, (2, 3)),
    "astype": lambda x: x.astype(np.float64, copy=False), "view": lambda x: x.view(),
}  # fmt: skip


@pytest.mark.parametrize("what", VIEWS)
def test_views_tell_their_base_as_in_cupy(what):
    """The engine copies a gradient that aliases another: it asks ``.base`` and ``is``."""
    strict.require_cupy()
    memory = np.zeros((2, 3))  # no kernel runs, so the host's memory serves a real CuPy array
    cuda = strict.cupy.cuda
    owner = cuda.UnownedMemory(memory.ctypes.data, memory.nbytes, memory, 0)
    real = strict.cupy.ndarray((2, 3), memptr=cuda.MemoryPointer(owner, 0))
    for x in (real, device(2, 3)):
        y = VIEWS[what](x)
        assert type(y) is type(x)
        assert y is x or y.base is not None
    assert VIEWS[what](real).shape == VIEWS[what](device(2, 3)).shape


# --- every op of the table -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "i"), SAMPLES)
def test_op(name, i, dtype):
    entry = TABLE[name]
    sample = list(entry.samples(np.random.default_rng(0)))[i]
    syncs = parity(lambda home: derivatives(entry, sample, home, dtype))
    if name == "getitem" and isinstance(sample[1], np.ndarray) and sample[1].dtype.kind == "b":
        # How many elements a mask selects is the result's shape: CuPy waits, and so must we.
        assert {s.partition(" at ")[0] for s in syncs} == {"boolean index"}
    else:
        assert not syncs


def test_every_op_runs_here():
    values = {name for name, entry in OPS.items() if not entry.differentiable}
    exact("VALUES_ONLY in tests/support/device.py", VALUES_ONLY, values)


@pytest.mark.parametrize("name", VALUES_ONLY)
def test_op_without_gradient(name):
    assert not parity(lambda home: run_values(name, home))


@pytest.mark.parametrize(
    ("value", "rule", "error"),
    [
        (lambda x: x + np.ones(3), lambda g, y, x: g, TypeError),
        (lambda x: np.exp(x), lambda g, y, x: g * np.asarray(np.exp(x)), TypeError),
        (lambda x: x * float(x.sum()), lambda g, y, x: g, AssertionError),
        (lambda x: x * 1, lambda g, y, x: g if (x * x).sum() > 0 else -g, AssertionError),
        (lambda x: np.exp(x) * (1 + 1e-9 * isinstance(x, StrictArray)), lambda g, y, x: g, AssertionError),
    ],
    ids=["mixes", "converts in the rule", "waits", "branches in the rule", "differs"],
)  # fmt: skip
def test_planted_faults_are_caught(value, rule, error):
    mr.op("planted", value, rule)
    entry = TABLE.pop("planted")
    with pytest.raises(error):
        assert not parity(lambda home: derivatives(entry, (draw(3),), home))


def test_hooks_accumulation_and_views():
    def run(home: str) -> Any:
        x = mr.tensor(draw(4, 3).T[:, ::2], requires_grad=True, backend=home)
        seen = []
        y = x.exp().retain_grad()
        y.register_hook(lambda g: seen.append(g) or g * 2)
        for _ in range(2):
            (y.T.reshape(-1) * 3.0).sum().backward(retain_graph=True)
        return [x.grad, y.grad, *seen]

    assert not parity(run)


def test_in_place_change():
    def run(home: str) -> Any:
        w = mr.tensor(draw(4, 3), requires_grad=True, backend=home)
        other = mr.tensor(draw(4, 3, seed=1), backend=home)
        kept = w.data
        with mr.no_grad():
            w += other
            w *= 0.5
            w -= w.mean(axis=0)
            w /= other
            w[0] = w[1]
            w[1, 1:] = 7.0
        copied = w.data.copy()
        assert w.assign(other).data is kept  # in place: views elsewhere see it
        given = w.assign(draw(4, 3, seed=9)).data.copy()  # a host array, wherever w is
        return [copied, w.data.copy(), given, w.assign(2.5)]

    assert not parity(run)


@pytest.mark.parametrize("shape", [(0, 3), (0,)])
def test_empty(shape):
    def run(home: str) -> Any:
        x = mr.tensor(np.zeros(shape), requires_grad=True, backend=home)
        y = (x * 2 + 1).relu().sum()
        y.backward()
        return [y, x.grad]

    assert not parity(run)


def test_gradcheck_reaches_the_device():
    x = mr.tensor(draw(3), backend="strict", requires_grad=True)
    assert gradcheck(lambda x: (x.exp() * x).sum(), x).verdict == "ok"
    wrong = mr.op("planted", lambda x: x * x, lambda g, y, x: g * x)
    del TABLE["planted"]
    assert gradcheck(lambda x: wrong(x).sum(), x).verdict == "wrong"


def test_anomaly_mode_names_the_op():
    x = mr.tensor([0.0, 1.0], backend="strict")
    with (
        mr.detect_anomaly(),
        np.errstate(divide="ignore"),
        pytest.raises(FloatingPointError, match="log produced 1 non-finite"),
    ):
        mr.log(x)


# --- where things live ---------------------------------------------------------------------------


def test_default_backend():
    before = mr.get_backend()
    with mr.use_backend("strict") as backend:
        assert backend.array is StrictArray
        assert mr.tensor([1.0]).backend == "strict"
        assert mr.tensor(np.ones(1)).backend == "numpy"  # arrays stay where they are
        assert nn.Linear(2, 2).weight.backend == "strict"
    with pytest.raises(KeyError), mr.use_backend("strict"):
        raise KeyError
    assert mr.get_backend() == before
    try:
        mr.set_backend("strict")
        assert mr.tensor(2.0).backend == "strict"
    finally:
        mr.set_backend(before)
    assert mr.tensor(2.0).backend == before
    with pytest.raises(ValueError, match=r"expected one of .*strict"):
        mr.set_backend("tpu")


def test_the_stand_in_may_have_the_name_of_cupy():
    with strict.registered("cupy"), mr.use_backend("cupy"):
        model, x = nn.Linear(2, 2), mr.tensor([[1.0, 2.0]])
        assert {x.backend, model.weight.backend, x.to("cupy").backend} == {"cupy"}
        model.to("numpy")
        with pytest.raises(TypeError, match=r"linear: .*on cupy.*on numpy.*\.to\('"):
            model(x)
        host_model = model(x.to("numpy"))
        assert model.to("cupy")(x).numpy().tolist() == host_model.numpy().tolist()
    assert backends.of(x.data).name == "strict"


def test_tensor_is_placed_and_told():
    t = mr.tensor(draw(2, 2), backend="strict", dtype=np.float32)
    assert isinstance(t.data, StrictArray)
    assert mr.tensor(t.data).data is t.data
    assert mr.tensor(t, backend="numpy").backend == "numpy"
    assert "backend='strict'" in repr(t)
    for twin in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        assert twin.backend == "strict"
        np.testing.assert_array_equal(twin.numpy(), t.numpy())
    with pytest.raises(TypeError, match="implicit conversion"):
        np.asarray(t.data)
    np.testing.assert_array_equal(np.asarray(t), t.numpy())  # a Tensor is asked by name


def test_to_is_recorded():
    x = mr.tensor(draw(3), requires_grad=True)
    y = (x * 2).to("strict")
    assert y.backend == "strict"
    with count_syncs() as syncs:
        y = y.exp()
    assert not syncs
    y.sum().backward()
    assert x.grad.backend == "numpy"
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(2 * x.numpy()))
    z = mr.tensor(draw(3), requires_grad=True, backend="strict")
    (first,) = mr.grad((z.to("numpy") ** 3).sum(), z, create_graph=True)
    (second,) = mr.grad(first.sum(), z)
    assert first.backend == second.backend == "strict"
    np.testing.assert_allclose(second.numpy(), 6 * z.numpy())
    assert z.to("strict").backend == "strict"
    with pytest.raises(ValueError, match="expected one of"):
        z.to("tpu")


@pytest.mark.parametrize("op", MIXED)
def test_mixing_says_what_to_write(op):
    check_mixing(op, "strict")


def test_both_kinds_in_one_process():
    a = mr.tensor(draw(3), requires_grad=True)
    b = mr.tensor(draw(3), requires_grad=True, backend="strict")
    ya, yb = (a * a).sum(), (b * b).sum()
    mr.engine.backward(yb)
    mr.engine.backward(ya)
    assert (a.grad.backend, b.grad.backend) == ("numpy", "strict")
    np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())


def test_streams():
    same = [Stream("init", seed=1).normal((3,)) for _ in range(2)]
    np.testing.assert_array_equal(*same)  # drawn on the host, whatever the backend
    for p in (0.0, 0.25, 1.0):
        with count_syncs() as syncs:
            mask = Stream("dropout", seed=1).dropout_mask(p, device(50, 40).astype(np.float32))
        assert not syncs
        values = mask.get()
        assert (mask.dtype, mask.shape) == (np.float32, (50, 40))
        assert set(np.unique(values)) <= {0.0, np.float32(1 / (1 - p) if p < 1 else 0)}
        assert abs(values.mean() - (p < 1)) < 0.05
    one, two = (Stream("dropout", seed=1).dropout_mask(0.5, device(40)).get() for _ in range(2))
    np.testing.assert_array_equal(one, two)


# --- layers and losses ---------------------------------------------------------------------------


def test_every_layer_and_loss_runs_here():
    tables = "LAYERS or LOSSES in tests/support/device.py"
    exact(tables, LAYERS.keys() | LOSSES.keys(), exported(nn.Module) - {"Module", "ModuleList"})


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("name", "i"), LAYER_CASES)
def test_layer(name, i, training):
    assert not parity(lambda home: run_layer(name, i, training, home))


def test_dropout_draws_on_the_device():
    with mr.use_backend("strict"):
        layer = nn.Dropout(0.3, seed=1)
    x = mr.tensor(np.ones((40, 50), np.float32), backend="strict", requires_grad=True)
    with count_syncs() as syncs:
        y = layer(x)
        y.sum().backward()
    assert not syncs
    np.testing.assert_array_equal(y.numpy(), x.grad.numpy())  # the same mask both ways
    assert set(np.unique(y.numpy())) == {np.float32(0), np.float32(1 / 0.7)}


@pytest.mark.parametrize(("name", "i"), LOSS_CASES)
def test_loss(name, i):
    assert not parity(lambda home: run_loss(name, i, home))


def test_model_moves():
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3))
    x = draw(5, 4).astype(np.float32)
    model(mr.tensor(x)).sum().backward()
    state, before = model.state_dict(), model.eval()(mr.tensor(x)).numpy()
    moved = model.to("strict")
    assert moved is model
    assert {t.backend for t in model.parameters()} == {"strict"}
    assert {p.grad.backend for p in model.parameters()} == {"strict"}
    assert {t.backend for _, t in model.named_buffers()} == {"strict"}
    np.testing.assert_array_equal(model(mr.tensor(x, backend="strict")).numpy(), before)
    with pytest.raises(TypeError, match="different backends"):
        model(mr.tensor(x))
    for p in model.parameters():
        p.assign(0.0)
    model.load_state_dict(state)  # a state from the host goes to where the model is
    np.testing.assert_array_equal(model(mr.tensor(x, backend="strict")).numpy(), before)
    assert all(isinstance(a, StrictArray) for a in model.state_dict().values())


# --- penalties -----------------------------------------------------------------------------------


def test_every_penalty_runs_here():
    exact("PENALTIES in tests/support/device.py", PENALTIES,
          exported(penalties.Penalty, penalties) - {"Penalty"})  # fmt: skip


@pytest.mark.parametrize(("name", "i"), PENALTY_CASES)
def test_penalty(name, i):
    """SLOPE and TotalVariation say that prox and certificate are of the CPU: v there, then w and g."""
    fetched = 3 if name in ("SLOPE", "TotalVariation") else 0
    assert len(parity(lambda home: run_penalty(name, i, home))) == fetched


# --- optimizers and a whole step -----------------------------------------------------------------


def test_every_optimizer_runs_here():
    public = exported(optim.Optimizer, optim) - {"Optimizer"}
    exact("OPTIMIZERS in tests/support/device.py", OPTIMIZERS, public)


@pytest.mark.parametrize(("name", "i"), OPTIMIZER_CASES)
def test_optimizer(name, i):
    assert not parity(lambda home: run_optimizer(name, i, home))


def test_langevin_noise_is_drawn_on_the_device():
    def walk(seed: int) -> Any:
        w = mr.tensor(np.zeros((40, 50), np.float32), backend="strict", requires_grad=True)
        optimizer = optim.SGLD([w], lr=0.5, seed=seed)
        with count_syncs() as syncs:
            for _ in range(2):
                w.grad = mr.tensor(np.zeros((40, 50), np.float32), backend="strict")
                optimizer.step()
        assert not syncs
        assert isinstance(w.data, StrictArray)
        assert w.dtype == np.float32
        return w.numpy()

    np.testing.assert_array_equal(walk(1), walk(1))
    assert abs(walk(1).std() - 2**0.5) < 0.1  # two steps of variance 2·lr·T = 1
    assert (walk(1) != walk(2)).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("home", ["numpy", "strict"])
def test_normal_numbers_are_like_the_array(home, dtype):
    like = place(np.zeros((30, 40), dtype), home)
    drawn = Stream("noise", seed=1).normal_like(like)
    assert type(drawn) is type(like)
    assert (drawn.dtype, drawn.shape) == (dtype, (30, 40))
    assert abs(host(drawn).astype(float).std() - 1) < 0.1


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, np.inf])
@pytest.mark.parametrize("max_norm", [0.1, 100.0], ids=["clips", "lets pass"])
def test_clipping(norm_type, max_norm):
    assert not parity(lambda home: clipped(home, max_norm, norm_type))


def test_clipping_by_value():
    def run(home: str) -> Any:
        p = mr.tensor(draw(4, 3), requires_grad=True, backend=home)
        p.grad = mr.tensor(draw(4, 3, seed=1), dtype=np.float32, backend=home)
        optim.clip_grad_value_([p], 0.5)
        return [p.grad]

    assert not parity(run)


@pytest.mark.parametrize(("attribute", "via", "within"), TRAINING)
def test_training_step(attribute, via, within):
    assert not parity(lambda home: train(home, 0.0, attribute, via, within))


@pytest.mark.parametrize("via", ["gradient", "prox"])
def test_what_joins_within_the_update_is_what_joins_before(via):
    before, within = (train("numpy", 0.0, False, via, w) for w in (False, True))
    for a, b in zip(before[-20:], within[-20:], strict=True):
        a, b = (v.data if isinstance(v, mr.Tensor) else v for v in (a, b))
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", LEDGERED)
def test_a_ledger_waits_for_nothing(name):
    """Who lists its entries may wait: those of clipping that took nothing are left out."""
    with count_syncs() as syncs:
        ledger = train_with_ledger(name, "strict")
        [row.total for row in ledger.last.values()]
    assert not syncs
    parity(lambda home: entries(train_with_ledger(name, home)))


def test_training_step_on_images():
    assert not parity(train_on_images)


def test_training_step_with_dropout_waits_for_nothing():
    with count_syncs() as syncs:
        results = train("strict", 0.3)
    assert not syncs
    assert all(np.isfinite(host(r)).all() for r in results)


# --- faults that were found and repaired -----------------------------------------------------


def test_power_of_a_numpy_scalar():
    def run(home: str) -> Any:
        x = mr.tensor(draw(3) ** 2 + 1, requires_grad=True, backend=home)
        y = x ** np.float32(2.0)
        y.sum().backward()
        return [y, x.grad]

    assert not parity(run)


def test_gradient_from_elsewhere_is_refused():
    x = mr.tensor(draw(3), requires_grad=True, backend="strict")
    with pytest.raises(TypeError, match=r"strict.*\.to\('strict'\)"):
        (x * 2).backward(mr.tensor(np.ones(3)))
    assert x.grad is None


def test_optimizer_state_follows_its_parameter():
    def optimizer(home: str) -> Any:
        p = mr.tensor(draw(3), requires_grad=True, backend=home)
        p.grad = mr.tensor(np.ones(3), backend=home)
        return optim.Adam([p]), p

    first, _ = optimizer("numpy")
    first.step()
    second, p = optimizer("strict")
    second.load_state_dict(first.state_dict())
    second.step()
    assert isinstance(second.state[p]["exp_avg"], StrictArray)


def test_fit_waits_once_an_epoch():
    def run(home: str, batch_size: int = 8) -> Any:
        mr.manual_seed(0)
        with mr.use_backend(home):
            model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.ReLU(), nn.Linear(5, 3))
        objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(1e-2)})
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        data = draw(32, 4), np.arange(32) % 3
        history = mr.fit(model, objective, optimizer, data, data, epochs=2, batch_size=batch_size,
                         clip_norm=1.0, progress=False)  # fmt: skip
        assert np.isfinite(history["train_loss"]).all()
        return list(model.parameters())

    few = parity(run)
    with count_syncs() as many:
        run("strict", batch_size=2)
    assert few.total == many.total  # the history reads numbers once an epoch, the steps none
