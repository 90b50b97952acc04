"""Layers and losses against PyTorch: forward, gradients of input and parameters, second order."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from against import both_ways, close, host, same, torch, twin

import minireg as mr
from minireg import nn

tnn = torch.nn
F64 = {"dtype": torch.float64}


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).normal(size=shape))


def twins(ours: nn.Module, theirs: Any, seed: int = 1) -> tuple[nn.Module, Any]:
    """Both modules in float64, with the same random parameters and statistics."""
    theirs.double()
    rng = np.random.default_rng(seed)
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():  # positive, so that it may be a variance
            tensor.copy_(torch.tensor(rng.uniform(0.2, 1.5, tensor.shape)))
    ours.to(np.float64)
    ours.load_state_dict({name: host(t) for name, t in theirs.state_dict().items()})
    return ours, theirs


def compare(ours: nn.Module, theirs: Any, x: np.ndarray) -> None:
    mine, yours = mr.Tensor(x, requires_grad=True), twin(x)
    both_ways(
        ours(mine), [mine, *ours.parameters()],
        theirs(yours), [yours, *theirs.parameters()],
    )  # fmt: skip


def same_state(ours: nn.Module, theirs: Any, tolerance: float = 1e-12) -> None:
    state, wanted = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(wanted)
    for name, want in wanted.items():
        assert state[name].dtype == host(want).dtype, name
        close(state[name], want, tolerance, name)


def mlp(lib: Any) -> Any:
    return lib.Sequential(
        lib.Linear(5, 7), lib.BatchNorm1d(7), lib.ReLU(),
        lib.Sequential(lib.Linear(7, 6), lib.LayerNorm(6), lib.GELU()), lib.Linear(6, 3),
    )  # fmt: skip


# label: (layer built from either library, input shape)
LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Linear": (lambda lib: lib.Linear(3, 4), (5, 3)),
    "Linear without bias": (lambda lib: lib.Linear(3, 4, bias=False), (5, 3)),
    "Linear of a vector": (lambda lib: lib.Linear(3, 4), (3,)),
    "Linear of (N, L, C)": (lambda lib: lib.Linear(3, 4), (2, 5, 3)),
    "BatchNorm (N, C)": (lambda lib: lib.BatchNorm1d(3), (6, 3)),
    "BatchNorm (N, C, L)": (lambda lib: lib.BatchNorm1d(3), (4, 3, 5)),
    "BatchNorm (N, C, H, W)": (lambda lib: lib.BatchNorm2d(3), (2, 3, 4, 5)),
    "BatchNorm (1, C, L)": (lambda lib: lib.BatchNorm1d(3), (1, 3, 5)),
    "BatchNorm eps": (lambda lib: lib.BatchNorm1d(3, eps=0.5), (6, 3)),
    "BatchNorm momentum=0.3": (lambda lib: lib.BatchNorm1d(3, momentum=0.3), (6, 3)),
    "BatchNorm momentum=None": (lambda lib: lib.BatchNorm1d(3, momentum=None), (6, 3)),
    "BatchNorm not affine": (lambda lib: lib.BatchNorm2d(3, affine=False), (2, 3, 4, 5)),
    "BatchNorm untracked": (lambda lib: lib.BatchNorm1d(3, track_running_stats=False), (6, 3)),
    "BatchNorm bare": (lambda lib: lib.BatchNorm1d(3, affine=False, track_running_stats=False), (6, 3)),
    "LayerNorm": (lambda lib: lib.LayerNorm(4), (5, 4)),
    "LayerNorm of a vector": (lambda lib: lib.LayerNorm(4), (4,)),
    "LayerNorm 2-D": (lambda lib: lib.LayerNorm((3, 4)), (5, 3, 4)),
    "LayerNorm eps": (lambda lib: lib.LayerNorm(4, eps=0.1), (5, 2, 4)),
    "LayerNorm without bias": (lambda lib: lib.LayerNorm((3, 4), bias=False), (5, 3, 4)),
    "LayerNorm not affine": (lambda lib: lib.LayerNorm(4, elementwise_affine=False), (5, 4)),
    "RMSNorm": (lambda lib: lib.RMSNorm(4), (5, 4)),
    "RMSNorm 2-D, eps": (lambda lib: lib.RMSNorm((3, 4), eps=0.1), (5, 3, 4)),
    "RMSNorm not affine": (lambda lib: lib.RMSNorm(4, elementwise_affine=False), (2, 5, 4)),
    "ReLU": (lambda lib: lib.ReLU(), (3, 4)),
    "GELU": (lambda lib: lib.GELU(), (3, 4)),
    "Tanh": (lambda lib: lib.Tanh(), (3, 4)),
    "Sigmoid": (lambda lib: lib.Sigmoid(), (3, 4)),
    "SiLU": (lambda lib: lib.SiLU(), (3, 4)),
    "Softplus": (lambda lib: lib.Softplus(), (3, 4)),
    "Flatten": (lambda lib: lib.Flatten(), (2, 3, 4)),
    "Dropout p=0": (lambda lib: lib.Dropout(0.0), (3, 4)),
    "Dropout p=1": (lambda lib: lib.Dropout(1.0), (3, 4)),
    "empty Sequential": (lambda lib: lib.Sequential(), (3, 4)),
    "Sequential": (mlp, (8, 5)),
}  # fmt: skip


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("label", LAYERS)
def test_layer_equals_torch(label, training):
    build, shape = LAYERS[label]
    ours, theirs = twins(build(nn), build(tnn))
    ours.train(training)
    theirs.train(training)
    compare(ours, theirs, draw(*shape))
    same_state(ours, theirs)


@pytest.mark.parametrize("label", [n for n in LAYERS if n.startswith(("Batch", "Seq"))])
def test_running_statistics_follow_torch(label):
    build, shape = LAYERS[label]
    ours, theirs = twins(build(nn), build(tnn))
    for seed, extra in enumerate((0, 3, 1, 2)):
        x = draw(shape[0] + extra, *shape[1:], seed=seed)
        ours(mr.Tensor(x))
        theirs(twin(x))
    same_state(ours, theirs)
    compare(ours.eval(), theirs.eval(), draw(*shape, seed=9))
    same_state(ours, theirs)


def test_dropout_is_the_identity_in_eval_as_in_torch():
    compare(nn.Dropout(0.4).eval(), tnn.Dropout(0.4).eval(), draw(3, 4))


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_dropout_follows_the_law_of_torch(p):
    n = 100_000
    ours, theirs = host(nn.Dropout(p, seed=0)(mr.Tensor(np.ones(n)))), host(_drop(p, n))
    for drawn in (ours, theirs):
        kept = drawn[drawn != 0]
        assert abs(len(kept) / n - (1 - p)) < 5 * np.sqrt(p * (1 - p) / n)
        # 16 bits decide an element here: the scale is exact for the p that they can say
        np.testing.assert_allclose(kept, 1 / (1 - p), rtol=2**-17 / (1 - p))


def _drop(p: float, n: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tnn.Dropout(p)(torch.ones(n, **F64))


def test_softplus_stays_exact_where_torch_turns_linear():
    """A deliberate difference: PyTorch returns x above its threshold of 20."""
    x = np.array([-50.0, -1.0, 0.0, 19.0, 21.0, 30.0, 36.0])
    same(nn.Softplus(), tnn.Softplus(threshold=700), [x], first=1e-15)
    assert abs(host(nn.Softplus()(x)) - host(tnn.Softplus()(twin(x)))).max() < 1e-9


# --- state and initial values ---------------------------------------------------------------------


def test_state_dict_of_torch_loads_under_the_same_names():
    ours, theirs = mlp(nn), mlp(tnn)
    theirs(torch.randn(8, 5, generator=torch.Generator().manual_seed(0)))
    ours.load_state_dict({name: host(t) for name, t in theirs.state_dict().items()})
    same_state(ours, theirs, 0.0)
    assert {"0.weight", "1.running_mean", "3.1.bias"} <= {*ours.state_dict()}
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    x = draw(4, 5).astype(np.float32)
    close(ours.eval()(mr.Tensor(x)), theirs.eval()(twin(x)), 1e-5)


@pytest.mark.parametrize("label", [n for n in LAYERS if "Norm" in n])
def test_initial_state_equals_torch(label):
    same_state(LAYERS[label][0](nn), LAYERS[label][0](tnn), 0.0)


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_linear_starts_with_the_distribution_of_torch(name):
    fan_in, fan_out = 4, 50_000
    bound = fan_in**-0.5
    mr.manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        both = (nn.Linear(fan_in, fan_out), tnn.Linear(fan_in, fan_out))
    for layer in both:
        values = host(getattr(layer, name)).ravel()
        assert values.dtype == np.float32
        assert 0.999 * bound < np.abs(values).max() <= bound
        deciles = np.quantile(values, np.linspace(0.1, 0.9, 9))
        np.testing.assert_allclose(deciles, np.linspace(-0.8, 0.8, 9) * bound, atol=0.02 * bound)


# --- losses ---------------------------------------------------------------------------------------

C = 4
# logits → labels
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "(C,)": ((C,), ()),
    "(N, C)": ((5, C), (5,)),
    "(N, C, d1, d2)": ((3, C, 2, 3), (3, 2, 3)),
}


def target_for(shape: str, kind: str, ignored: int) -> np.ndarray:
    """Labels, every third of them ``ignored``, or probabilities of the logits' shape."""
    rng = np.random.default_rng(2)
    if kind == "probability":
        rows = rng.dirichlet(np.ones(C), SHAPES[shape][1])
        return np.moveaxis(rows, -1, 1) if rows.ndim > 2 else rows
    labels = np.asarray(rng.integers(0, C, SHAPES[shape][1]))
    labels = np.asarray(np.where(labels == ignored, (labels + 1) % C, labels))
    labels.reshape(-1)[1::3] = ignored
    return labels


GRID = [*product([False, True], [-100, 1], [0.0, 0.1, 1.0], ["index", "probability"],
                 ["mean", "sum", "none"], SHAPES)]  # fmt: skip


@pytest.mark.parametrize(("weighted", "ignored", "smoothing", "kind", "reduction", "shape"), GRID)
def test_cross_entropy_equals_torch(weighted, ignored, smoothing, kind, reduction, shape):
    z, target = draw(*SHAPES[shape][0]), target_for(shape, kind, ignored)
    weight = np.random.default_rng(3).uniform(0.5, 2, C) if weighted else None
    # among probabilities there is no label to ignore: PyTorch accepts a negative index only
    options = {"ignore_index": ignored if kind == "index" else -1, "reduction": reduction,
               "label_smoothing": smoothing}  # fmt: skip
    ours = nn.CrossEntropyLoss(weight, **options)
    theirs = tnn.CrossEntropyLoss(None if weight is None else twin(weight, False), **options)
    same(ours, theirs, [z, target], first=1e-12)


LOSS_KINKS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "logits of 1e4": (np.array([[1e4, 0.0, -1e4]]), np.array([1])),
    "a class that cannot occur": (np.array([[0.5, -np.inf, 1.0]]), np.array([0])),
    "certain": (np.array([[800.0, 0.0]]), np.array([0])),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("label", LOSS_KINKS)
def test_cross_entropy_kink_equals_torch(label, reduction):
    z, target = LOSS_KINKS[label]
    ours, theirs = (lib.CrossEntropyLoss(reduction=reduction) for lib in (nn, tnn))
    same(ours, theirs, [z, target], second=None)


def test_mean_over_nothing_is_nan_as_in_torch():
    z, nothing = draw(2, 3), np.full(2, -100)
    with np.errstate(invalid="ignore"):  # NumPy says so, too
        assert np.isnan(float(nn.CrossEntropyLoss()(mr.Tensor(z), nothing)))
    assert tnn.CrossEntropyLoss()(twin(z), twin(nothing)).isnan()
    ours, theirs = (lib.CrossEntropyLoss(reduction="sum") for lib in (nn, tnn))
    same(ours, theirs, [z, nothing])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(), (5,), (4, 1), (2, 3, 4)])
def test_mse_equals_torch(shape, reduction):
    ours, theirs = (lib.MSELoss(reduction=reduction) for lib in (nn, tnn))
    same(ours, theirs, [draw(*shape), draw(*shape, seed=1)], first=1e-12)
