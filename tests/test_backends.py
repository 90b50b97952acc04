"""Everything on a stand-in for CuPy: equal to NumPy, nothing mixed, nothing waited for."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import strict
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


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def device(*shape: int, seed: int = 0) -> StrictArray:
    return xp.asarray(draw(*shape, seed=seed))


def host(x: Any) -> Any:
    """Values as NumPy sees them, from whatever backend."""
    x = x.data if isinstance(x, mr.Tensor) else x
    return x if x is None or not backends.is_array(x) else backends.of(x).to_numpy(x)


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

REFUSED: dict[str, Callable[[Any, Any], Any]] = {
    "asarray": lambda x, xp: np.asarray(x),
    "array of arrays": lambda x, xp: np.array([x, x]),
    "array + host": lambda x, xp: x + np.ones(3),
    "host + array": lambda x, xp: np.ones(3) + x,
    "array + 0-d host": lambda x, xp: x + np.asarray(1.0),
    "host += array": lambda x, xp: np.ones((2, 3)).__iadd__(x),
    "array + list": lambda x, xp: np.add(x, [1.0, 2.0, 3.0]),
    "compare host": lambda x, xp: x > np.ones(3),
    "matmul host": lambda x, xp: x @ np.ones(3),
    "out= host": lambda x, xp: np.add(x, 1, out=np.ones((2, 3))),
    "concatenate host": lambda x, xp: np.concatenate([x, np.ones((1, 3))]),
    "where on host": lambda x, xp: np.where(np.ones((2, 3), bool), x, 0),
    "where of a bool": lambda x, xp: np.where(True, x, 0),
    "store into host": lambda x, xp: np.ones((2, 3)).__setitem__(..., x),
    "store host": lambda x, xp: x.__setitem__(0, np.ones(3)),
    "store list": lambda x, xp: x.__setitem__(0, [1.0, 2.0, 3.0]),
    "host index": lambda x, xp: x[np.array([0])],
    "list index": lambda x, xp: x[[0]],
    "np.add.at": lambda x, xp: np.add.at(x, 0, 1.0),
    "np.add.reduce": lambda x, xp: np.add.reduce(x),
    "xp of host": lambda x, xp: xp.exp(np.ones(3)),
    "xp.at with host": lambda x, xp: xp.add.at(x, 0, np.ones(3)),
    "xp.at with host index": lambda x, xp: xp.add.at(x, np.array([0]), x[:1]),
    "xp.at on int64": lambda x, xp: xp.add.at(xp.zeros(3, np.int64), xp.asarray([0]), 1),
    "block": lambda x, xp: np.block([[x]]),
    "vecdot": lambda x, xp: np.vecdot(x, x),
    "svdvals": lambda x, xp: np.linalg.svdvals(x),
    "sum where=": lambda x, xp: np.sum(x, where=True),
    "max initial=": lambda x, xp: x.max(initial=0.0),
    "add where=": lambda x, xp: np.add(x, 1, where=True),
    "as index": lambda x, xp: range(x.argmax()),
    "buffer": lambda x, xp: memoryview(x),
    "hash": lambda x, xp: hash(x),
    "long double": lambda x, xp: xp.asarray(np.ones(2, np.longdouble)),
}


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


def place(x: Any, home: str) -> Any:
    """A sample's arrays on ``home``, those inside tuples (indices) too."""
    if isinstance(x, tuple):
        return tuple(place(i, home) for i in x)
    return backends.move(x, home) if isinstance(x, np.ndarray) else x


def derivatives(entry: Any, sample: tuple[Any, ...], home: str, dtype: Any = None) -> list[Any]:
    """Value, gradients (plain and recorded) and second derivatives of an op at a sample."""
    *args, kw = sample if isinstance(sample[-1], dict) else (*sample, {})
    args = [place(a, home) for a in args]
    floats = [
        i
        for i, a in enumerate(args)
        if isinstance(a, np.ndarray | StrictArray) and a.dtype.kind == "f"
    ]
    for i in floats:
        args[i] = mr.tensor(args[i], dtype=dtype, requires_grad=True)
    inputs = [args[i] for i in floats]
    y = entry.function(*args, **kw)
    if not y.requires_grad:
        return [y]
    weights = mr.tensor(draw(*y.shape), dtype=y.dtype, backend=home)
    plain = mr.grad(y, inputs, weights, retain_graph=True, allow_unused=True)
    recorded = mr.grad(y, inputs, weights, create_graph=True, allow_unused=True)
    curved = [(g * g).sum() for g in recorded if g is not None and g.requires_grad]
    second = mr.grad(curved, inputs, allow_unused=True) if curved else ()
    return [y, *plain, *recorded, *second]


OPS = dict(TABLE)  # as the package fills it; other tests enter ops of their own
SAMPLES = [
    pytest.param(name, i, id=f"{name}-{i}")
    for name, entry in OPS.items()
    if entry.differentiable
    if entry.samples is not None and name != "to"
    for i in range(len(list(entry.samples(np.random.default_rng(0)))))
]


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


VALUES_ONLY: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
                    (draw(2, 3), draw(3, seed=1))),
    **dict.fromkeys(("logical_and", "logical_or", "bitwise_and", "bitwise_or"),
                    (draw(2, 3) > 0, draw(3, seed=1) > 0)),
    **dict.fromkeys(("logical_not", "invert"), (draw(2, 3) > 0,)),
    **dict.fromkeys(("isfinite", "isinf", "isnan"), (np.array([1.0, np.inf, np.nan]),)),
    **dict.fromkeys(("isclose", "allclose", "array_equal"), (draw(2, 3), draw(2, 3))),
    **dict.fromkeys(("any", "all"), (draw(2, 3) > 0, 1)),
    **dict.fromkeys(("argmax", "argsort"), (draw(2, 3), 1)),
    "argmin": (draw(2, 3),), "discretize": (draw(2, 3), "int64"),
}  # fmt: skip


def test_every_op_runs_here():
    assert {name for name, entry in OPS.items() if not entry.differentiable} == VALUES_ONLY.keys()


def run_values(name: str, home: str) -> list[Any]:
    args = place(VALUES_ONLY[name], home)
    return [OPS[name].function(*(mr.Tensor(a) if backends.is_array(a) else a for a in args))]


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


MIXED: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda s, n: s + n,
    "mul": lambda s, n: n * s,
    "div": lambda s, n: n.data / s,
    "matmul": lambda s, n: s @ n.data,
    "maximum": lambda s, n: mr.maximum(n, s),
    "where": lambda s, n: mr.where(n > 0, s, 0.0),
    "concatenate": lambda s, n: mr.concatenate([s, n]),
    "linear": nn.functional.linear,
}


def check_mixing(op: str, home: str) -> None:
    s = mr.tensor(draw(2, 2), backend=home, requires_grad=True)
    with pytest.raises(TypeError, match=rf"^{op}: operands live on different backends") as caught:
        MIXED[op](s, mr.tensor(draw(2, 2)))
    for part in (f"(2, 2) float64 on {home}", "(2, 2) ", " on numpy", ".to('"):
        assert part in str(caught.value)


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

IMAGES = draw(3, 4, 6, 5)
LAYERS: dict[str, list[tuple[Callable[[], Any], Any]]] = {
    "Linear": [
        (lambda: nn.Linear(4, 3), draw(5, 4)),
        (lambda: nn.Linear(4, 3, bias=False), draw(2, 5, 4)),
        (lambda: nn.utils.spectral_norm(nn.Linear(4, 3)), draw(5, 4)),
        (lambda: nn.utils.weight_norm(nn.Linear(4, 3)), draw(5, 4)),
    ],
    "Embedding": [
        (lambda: nn.Embedding(5, 3), np.array([[0, 4, 4], [1, 0, 2]])),
        (lambda: nn.Embedding(5, 3, padding_idx=0), np.array([0, 4, 4])),
    ],
    "Conv2d": [
        (lambda: nn.Conv2d(4, 6, 3, (1, 2), 1, (2, 1), groups=2), IMAGES),
        (lambda: nn.Conv2d(4, 2, (2, 3), padding="same", bias=False), IMAGES),
        (lambda: nn.utils.spectral_norm(nn.Conv2d(4, 2, 3)), IMAGES[0]),
    ],
    "MaxPool2d": [(lambda: nn.MaxPool2d(2), IMAGES),
                  (lambda: nn.MaxPool2d(3, 2, 1, 2, ceil_mode=True), IMAGES)],
    "AvgPool2d": [(lambda: nn.AvgPool2d(2), IMAGES), (lambda: nn.AvgPool2d(3, 2, 1, True, False), IMAGES)],
    "BatchNorm1d": [(lambda: nn.BatchNorm1d(4), draw(5, 4, 3))],
    "BatchNorm2d": [(lambda: nn.BatchNorm2d(4), IMAGES)],
    "GroupNorm": [(lambda: nn.GroupNorm(2, 4), IMAGES), (lambda: nn.GroupNorm(4, 4, affine=False), IMAGES)],
    "BatchNorm": [
        (lambda: nn.BatchNorm(4), draw(5, 4)),
        (lambda: nn.BatchNorm(3, momentum=None), draw(5, 3, 2, 2)),
        (lambda: nn.BatchNorm(4, affine=False, track_running_stats=False), draw(5, 4)),
    ],
    "LayerNorm": [(lambda: nn.LayerNorm(4), draw(5, 4)), (lambda: nn.LayerNorm((2, 4)), draw(3, 2, 4))],
    "RMSNorm": [(lambda: nn.RMSNorm(4), draw(5, 4))],
    "Dropout": [(lambda: nn.Dropout(0.0), draw(5, 4))],  # masks differ by backend
    "Flatten": [(lambda: nn.Flatten(), draw(5, 2, 3))],
    "Sequential": [(lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), draw(5, 4))],
    **{
        name: [(lambda name=name: getattr(nn, name)(), draw(5, 4))]
        for name in ("ReLU", "LeakyReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "Softplus", "Softmax",
                     "LogSoftmax", "Identity")
    },
}  # fmt: skip


def exported(base: type, module: Any = nn) -> set[str]:
    """Names of the public subclasses of ``base``, each class once."""
    found = (getattr(module, name) for name in module.__all__)
    return {c.__name__ for c in found if isinstance(c, type) and issubclass(c, base)}


def test_every_layer_and_loss_runs_here():
    assert exported(nn.Module) - {"Module", "ModuleList"} == LAYERS.keys() | LOSSES.keys()


def run_layer(name: str, i: int, training: bool, home: str, dtype: Any = np.float32) -> list[Any]:
    make, x = LAYERS[name][i]
    mr.manual_seed(0)
    with mr.use_backend(home):
        layer = make().to(dtype)
    layer.train(training)
    for _ in range(2):  # running statistics move
        t = mr.tensor(x, backend=home)
        t = t.astype(dtype).requires_grad_() if x.dtype.kind == "f" else t
        y = layer(t)
        (y * y).sum().backward()
    parameters = list(layer.parameters())
    buffers = [b for _, b in layer.named_buffers()]
    return [y, t.grad, *parameters, *(p.grad for p in parameters), *buffers]


LAYER_CASES = [(name, i) for name in LAYERS for i in range(len(LAYERS[name]))]


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


LABELS = np.array([0, 2, 1, -100, 2])
CLASS_WEIGHT = np.array([0.2, 0.3, 0.5], np.float32)
LOSSES: dict[str, list[tuple[Callable[[str], Any], Any]]] = {
    "CrossEntropyLoss": [
        (lambda home: nn.CrossEntropyLoss(), LABELS),
        (lambda home: nn.CrossEntropyLoss(label_smoothing=0.1), LABELS),
        (lambda home: nn.CrossEntropyLoss(label_smoothing=0.1, reduction="none"), LABELS),
        (
            lambda home: nn.CrossEntropyLoss(
                weight=mr.tensor(CLASS_WEIGHT, backend=home), label_smoothing=0.1
            ),
            LABELS,
        ),
        (lambda home: nn.CrossEntropyLoss(ignore_index=2, reduction="sum"), np.abs(LABELS) % 3),
        (lambda home: nn.CrossEntropyLoss(label_smoothing=0.2), np.full((5, 3), 1 / 3, np.float32)),
    ],
    "NLLLoss": [
        (lambda home: nn.NLLLoss(), LABELS),
        (lambda home: nn.NLLLoss(mr.tensor(CLASS_WEIGHT, backend=home), 2), np.abs(LABELS) % 3),
    ],
    **{
        name: [
            (lambda home, name=name, how=how: getattr(nn, name)(how), draw(5, 3).astype(np.float32))
            for how in ("mean", "sum", "none")
        ]
        for name in ("MSELoss", "L1Loss", "SmoothL1Loss")
    },
    "BCEWithLogitsLoss": [
        (lambda home: nn.BCEWithLogitsLoss(), np.full((5, 3), 0.25, np.float32)),
        (
            lambda home: nn.BCEWithLogitsLoss(
                weight=mr.tensor(CLASS_WEIGHT, backend=home),
                pos_weight=mr.tensor(CLASS_WEIGHT, backend=home),
            ),
            np.eye(3, dtype=np.float32)[np.abs(LABELS) % 3],
        ),
    ],
    "KLDivLoss": [
        (lambda home: nn.KLDivLoss("batchmean"), np.eye(3, dtype=np.float32)[np.abs(LABELS) % 3]),
        (lambda home: nn.KLDivLoss(log_target=True), np.full((5, 3), -1.0, np.float32)),
    ],
    "HingeLoss": [
        (lambda home: nn.HingeLoss(), np.abs(LABELS) % 3),
        (lambda home: nn.HingeLoss(2, 0.5, "none"), np.abs(LABELS) % 3),
        (lambda home: nn.HingeLoss(2), np.where(draw(5, 3) > 0, 1, -1)),
    ],
}


LOSS_CASES = [(name, i) for name in LOSSES for i in range(len(LOSSES[name]))]


def run_loss(name: str, i: int, home: str, dtype: Any = np.float32) -> list[Any]:
    make, target = LOSSES[name][i]
    loss = make(home)
    z = mr.tensor(draw(5, 3, seed=7), dtype=dtype, backend=home, requires_grad=True)
    y = mr.tensor(target, backend=home)
    whole = loss(z, y)
    parts = loss.parts(z, y)
    whole.sum().backward(retain_graph=True)
    shares = [mr.grad(part.sum(), z, retain_graph=True)[0] for part in parts.values()]
    return [whole, z.grad, *parts.values(), *shares]


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

W = np.where(draw(4, 3) > 1, 0.0, draw(4, 3)).astype(np.float32)  # with entries at the kink
PENALTIES: dict[str, list[Callable[[str], Any]]] = {
    "L2": [
        lambda home: penalties.L2(0.1),
        lambda home: penalties.L2(
            0.1, center=place(draw(4, 3, seed=1), home), weight=mr.tensor(np.abs(W), backend=home)
        ),
    ],
    "L1": [lambda home: penalties.L1(0.1)],
    "ElasticNet": [lambda home: penalties.ElasticNet(0.1, 0.2)],
    "L0": [lambda home: penalties.L0(0.1)],
    "GroupLasso": [
        lambda home: penalties.GroupLasso(0.1),
        lambda home: penalties.GroupLasso(0.1, axis=0, scale="none"),
        lambda home: penalties.GroupLasso(0.1, groups=[[0, 5, 2], [7, 1]]),
    ],
    "SparseGroupLasso": [lambda home: penalties.SparseGroupLasso(0.1, 0.2)],
    "FrobeniusNorm": [lambda home: penalties.FrobeniusNorm(0.1)],
    "SpectralNorm": [
        lambda home: penalties.SpectralNorm(0.1),
        lambda home: penalties.SpectralNorm(0.1, method="svd"),
    ],
    "NuclearNorm": [lambda home: penalties.NuclearNorm(0.1)],
    "PathNorm": [lambda home: penalties.PathNorm(0.1)],
    "L2Ball": [lambda home: penalties.L2Ball(0.8), lambda home: penalties.L2Ball(80.0)],
    "L1Ball": [lambda home: penalties.L1Ball(0.8)],
    "MaxNorm": [lambda home: penalties.MaxNorm(0.8)],
    "SpectralBall": [lambda home: penalties.SpectralBall(0.8)],
    "Composed": [
        lambda home: penalties.scaled(penalties.L1(0.1), 2.0, 3.0),
        lambda home: penalties.translated(penalties.L1(0.1), place(draw(4, 3, seed=1), home)),
        lambda home: penalties.plus_quadratic(penalties.NuclearNorm(0.1), 0.3),
    ],
}


def test_every_penalty_runs_here():
    assert exported(penalties.Penalty, penalties) - {"Penalty"} == PENALTIES.keys()


PENALTY_CASES = [(name, i) for name in PENALTIES for i in range(len(PENALTIES[name]))]


def run_penalty(name: str, i: int, home: str, dtype: Any = np.float32) -> list[Any]:
    penalty = PENALTIES[name][i](home)
    w, g = (place(a.astype(dtype), home) for a in (W, draw(4, 3, seed=2)))
    results = []
    for call in (
        lambda: penalty.value(w),
        lambda: penalty.gradient(w),
        lambda: penalty.prox(w, 0.5),
        lambda: penalty.subdiff_distance(w, g),
        lambda: penalty.max_strength(g),
    ):
        try:
            found = call()
            plain = home == "numpy" and not isinstance(found, tuple)
            results.append(np.asarray(found) if plain else found)
        except NotImplementedError:
            results.append(None)
    assert results[0] is not None
    t = mr.tensor(w, requires_grad=True)
    value = penalty(t)
    value.backward()
    (recorded,) = mr.grad(penalty(t), t, create_graph=True, allow_unused=True)
    if recorded is None:  # L0 and constraints are flat
        return [*results, value, t.grad]
    second = mr.grad((recorded * recorded).sum(), t, allow_unused=True)
    results = [a for r in results for a in (r if isinstance(r, tuple) else [r])]
    return [*results, value, t.grad, recorded, *second]


@pytest.mark.parametrize(("name", "i"), PENALTY_CASES)
def test_penalty(name, i):
    assert not parity(lambda home: run_penalty(name, i, home))


# --- optimizers and a whole step -----------------------------------------------------------------

OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"momentum": 0.9, "dampening": 0.5, "maximize": True},
        {"momentum": 0.9, "weight_decay": 0.1, "decoupled": True},
    ],
    "Adam": [{}, {"weight_decay": 0.1}, {"amsgrad": True}],
    "AdamW": [
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "decay_scale": "schedule", "amsgrad": True, "maximize": True},
    ],
    "RMSprop": [{}, {"momentum": 0.9, "weight_decay": 0.1}, {"centered": True, "maximize": True}],
    "SGLD": [{"temperature": 0.0, "weight_decay": 0.1}],  # noise differs by backend
    "ProximalGradient": [
        {"penalty": penalties.L1(0.5)},
        {"penalty": penalties.L2(0.5)},
        {"penalty": penalties.L1(0.5), "accelerated": True},
    ],
}


def test_every_optimizer_runs_here():
    assert exported(optim.Optimizer, optim) - {"Optimizer"} == OPTIMIZERS.keys()


OPTIMIZER_CASES = [(name, i) for name in OPTIMIZERS for i in range(len(OPTIMIZERS[name]))]


def run_optimizer(name: str, i: int, home: str, dtype: Any = np.float32) -> list[Any]:
    shapes = ((4, 3), (3,), (), (150, 120))  # the last is updated in blocks on the CPU
    ps = [mr.tensor(draw(*s, seed=k), dtype=dtype, backend=home) for k, s in enumerate(shapes)]
    optimizer = getattr(optim, name)(
        [p.requires_grad_() for p in ps], lr=0.1, **OPTIMIZERS[name][i]
    )
    for step in range(3):
        for k, p in enumerate(ps):
            p.grad = mr.tensor(draw(*p.shape, seed=10 * step + k), dtype=dtype, backend=home)
        ps[1].grad = None if step == 1 else ps[1].grad
        optimizer.step()
    kept = [v for s in optimizer.state.values() for v in s.values() if backends.is_array(v)]
    saved = [v for s in optimizer.state_dict()["state"].values() for v in s.values()]
    return [*ps, *kept, *(v for v in saved if backends.is_array(v))]


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


def clipped(home: str, max_norm: float, norm_type: float) -> list[Any]:
    ps = [mr.tensor(draw(4, 3, seed=k), requires_grad=True, backend=home) for k in range(3)]
    for p in ps[:2]:
        p.grad = mr.tensor(draw(4, 3), dtype=np.float32, backend=home)
    return [optim.clip_grad_norm_(ps, max_norm, norm_type), *(p.grad for p in ps)]


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


def train(
    home: str, p: float = 0.0, attribute: bool = True, via: str = "gradient", within: bool = False,
    dtype: Any = np.float32,
) -> list[Any]:  # fmt: skip
    """Three whole steps of a small model; penalties and clipping before or ``within`` the update."""
    mr.manual_seed(0)
    with mr.use_backend(home):
        model = nn.Sequential(
            nn.Linear(6, 8, bias=False),  # before a BatchNorm its gradient is rounding noise
            nn.BatchNorm(8), nn.ReLU(), nn.Dropout(p), nn.Linear(8, 3),
        ).to(dtype)  # fmt: skip
    x = mr.tensor(draw(16, 6), dtype=dtype, backend=home)
    y = mr.tensor(np.arange(16) % 3, backend=home)
    objective = mr.Objective(
        nn.CrossEntropyLoss(label_smoothing=0.1),
        {"l2": penalties.L2(1e-2), "l1": (penalties.L1(1e-2), "0.weight", via)},
    )
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    objective.bind(model).attach(optimizer)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        terms = objective(model, x, y)
        terms.backward(attribute, optimizer if within else None)
        seen += [terms.total, *terms.values()]
        seen += [g for share in terms.gradients.values() for g in share.values()]
        if within:
            optimizer.step(max_norm=0.5)
        else:
            seen.append(optim.clip_grad_norm_(model.parameters(), 0.5))
            optimizer.step()
    parameters = list(model.parameters())
    states = [v for s in optimizer.state.values() for v in s.values() if backends.is_array(v)]
    return [*seen, *parameters, *(q.grad for q in parameters), *states,
            *(b for _, b in model.named_buffers())]  # fmt: skip


TRAINING = [
    (True, "gradient", False), (False, "gradient", False), (True, "prox", False),
    (False, "gradient", True), (False, "prox", True),
]  # fmt: skip


@pytest.mark.parametrize(("attribute", "via", "within"), TRAINING)
def test_training_step(attribute, via, within):
    assert not parity(lambda home: train(home, 0.0, attribute, via, within))


@pytest.mark.parametrize("via", ["gradient", "prox"])
def test_what_joins_within_the_update_is_what_joins_before(via):
    before, within = (train("numpy", 0.0, False, via, w) for w in (False, True))
    for a, b in zip(before[-20:], within[-20:], strict=True):
        a, b = (v.data if isinstance(v, mr.Tensor) else v for v in (a, b))
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


LEDGERED: dict[str, Callable[[Any], optim.Optimizer]] = {
    "AdamW": lambda p: optim.AdamW(p, 1e-2),
    "RMSprop": lambda p: optim.RMSprop(p, 1e-3, momentum=0.9),
    "nesterov": lambda p: optim.SGD(p, 1e-2, momentum=0.9, nesterov=True),
    "FISTA": lambda p: optim.ProximalGradient(p, 1e-2, accelerated=True),
}


def train_with_ledger(name: str, home: str, dtype: Any = np.float32) -> mr.Ledger:
    """Three steps under a ledger, whose entries are worked out where the arrays live."""
    mr.manual_seed(0)
    with mr.use_backend(home):
        model = nn.Linear(6, 3).to(dtype)
    objective = mr.Objective(
        nn.CrossEntropyLoss(label_smoothing=0.1),
        {"spectral": penalties.SpectralNorm(1e-2), "l1": mr.Term(penalties.L1(1e-3), via="prox"),
         "max": penalties.MaxNorm(0.5)},
    )  # fmt: skip
    optimizer = LEDGERED[name](model.parameters())
    objective.bind(model).attach(optimizer)
    ledger = mr.Ledger(optimizer, accumulate=True)
    x = mr.tensor(draw(16, 6), dtype=dtype, backend=home)
    y = mr.tensor(np.arange(16) % 3, backend=home)
    for _ in range(3):
        optimizer.zero_grad()
        objective(model, x, y).backward()
        optim.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    return ledger


def entries(ledger: mr.Ledger) -> list[Any]:
    rows = [*ledger.last.values(), *ledger.since.values()]
    return [a for row in rows for a in (row.total, row.actual, *row.values())]


@pytest.mark.parametrize("name", LEDGERED)
def test_a_ledger_waits_for_nothing(name):
    """Who lists its entries may wait: those of clipping that took nothing are left out."""
    with count_syncs() as syncs:
        ledger = train_with_ledger(name, "strict")
        [row.total for row in ledger.last.values()]
    assert not syncs
    parity(lambda home: entries(train_with_ledger(name, home)))


def train_on_images(home: str, dtype: Any = np.float32) -> list[Any]:
    """Two steps of a convolutional network with everything in it."""
    mr.manual_seed(0)
    with mr.use_backend(home):
        model = nn.Sequential(
            nn.utils.spectral_norm(nn.Conv2d(4, 6, 3, padding="same")), nn.GroupNorm(2, 6),
            nn.LeakyReLU(), nn.MaxPool2d(2), nn.utils.weight_norm(nn.Conv2d(6, 4, 2, groups=2)),
            nn.BatchNorm2d(4), nn.GELU("tanh"), nn.AvgPool2d(2, padding=1, count_include_pad=False),
            nn.Flatten(), nn.Linear(8, 3),
        ).to(dtype)  # fmt: skip
    x = mr.tensor(IMAGES, dtype=dtype, backend=home)
    y = mr.tensor(np.arange(3), backend=home)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        loss.backward()
        optimizer.step()
    parameters = list(model.parameters())
    return [
        loss,
        *parameters,
        *(p.grad for p in parameters),
        *(b for _, b in model.named_buffers()),
    ]


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
