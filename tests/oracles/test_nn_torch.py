"""Layers against PyTorch: forward, gradients of input and parameters, second order."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.against import both_ways, close, host, same, torch, twin

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


def compare(ours: nn.Module, theirs: Any, x: np.ndarray, **tolerances: Any) -> None:
    mine, yours = mr.Tensor(x, requires_grad=x.dtype.kind == "f"), twin(x)
    both_ways(
        ours(mine), [t for t in (mine, *ours.parameters()) if t.requires_grad],
        theirs(yours), [t for t in (yours, *theirs.parameters()) if t.requires_grad], **tolerances,
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


def cnn(lib: Any) -> Any:
    return lib.Sequential(
        lib.Conv2d(2, 4, 3, padding=1), lib.BatchNorm2d(4), lib.SiLU(), lib.MaxPool2d(2),
        lib.Conv2d(4, 6, 2), lib.GroupNorm(3, 6), lib.Tanh(), lib.AvgPool2d(2, ceil_mode=True),
        lib.Flatten(), lib.Linear(6, 3), lib.LogSoftmax(dim=1),
    )  # fmt: skip


def listed(lib: Any) -> Any:
    """Layers in a list, applied by the model around it."""

    class Model(lib.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = lib.ModuleList([lib.Linear(5, 4), lib.Identity(), lib.ReLU()])
            self.layers.append(lib.Linear(4, 2))

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return x

    return Model()


def spectral(lib: Any, layer: Any, **options: Any) -> Any:
    return lib.utils.parametrizations.spectral_norm(layer, **options)


def weighted(lib: Any, layer: Any, **options: Any) -> Any:
    return lib.utils.parametrizations.weight_norm(layer, **options)


def symmetric(lib: Any) -> Any:
    class Symmetric(lib.Module):
        def forward(self, w: Any) -> Any:
            return w + w.T

    layer = lib.Linear(4, 4)
    lib.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
    return spectral(lib, layer)


INDICES = np.array([[0, 3, 3], [1, 0, 4]])

# label: (layer built from either library, input shape or integer input)
LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...] | np.ndarray]] = {
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
    "GroupNorm": (lambda lib: lib.GroupNorm(2, 6), (5, 6)),
    "GroupNorm (N, C, H, W)": (lambda lib: lib.GroupNorm(3, 6), (2, 6, 4, 5)),
    "GroupNorm one group": (lambda lib: lib.GroupNorm(1, 4), (3, 4, 5)),
    "GroupNorm C groups": (lambda lib: lib.GroupNorm(4, 4, eps=0.1), (3, 4, 5)),
    "GroupNorm not affine": (lambda lib: lib.GroupNorm(2, 4, affine=False), (3, 4, 5)),
    "GroupNorm without bias": (lambda lib: lib.GroupNorm(2, 4, bias=False), (3, 4, 5)),
    "BatchNorm without bias": (lambda lib: lib.BatchNorm1d(3, bias=False), (6, 3)),
    "Conv2d": (lambda lib: lib.Conv2d(2, 4, 3), (3, 2, 6, 5)),
    "Conv2d unbatched": (lambda lib: lib.Conv2d(2, 4, 3), (2, 5, 6)),
    "Conv2d 1 × 1": (lambda lib: lib.Conv2d(3, 2, 1), (2, 3, 4, 3)),
    "Conv2d without bias": (lambda lib: lib.Conv2d(2, 3, (2, 3), bias=False), (2, 2, 5, 5)),
    "Conv2d of the whole image": (lambda lib: lib.Conv2d(2, 3, (4, 5)), (2, 2, 4, 5)),
    "Conv2d stride": (lambda lib: lib.Conv2d(2, 3, 3, stride=2), (2, 2, 8, 7)),
    "Conv2d stride beyond the window": (lambda lib: lib.Conv2d(1, 2, 2, stride=(3, 4)), (2, 1, 9, 10)),
    "Conv2d padding": (lambda lib: lib.Conv2d(2, 3, 3, padding=(2, 1)), (2, 2, 4, 5)),
    "Conv2d dilation": (lambda lib: lib.Conv2d(2, 3, (3, 2), dilation=(2, 3)), (2, 2, 7, 6)),
    "Conv2d stride padding dilation": (
        lambda lib: lib.Conv2d(2, 3, (3, 2), (2, 3), (1, 2), (1, 2)), (2, 2, 7, 6),
    ),
    "Conv2d groups": (lambda lib: lib.Conv2d(4, 6, 3, groups=2), (2, 4, 5, 6)),
    "Conv2d depthwise": (lambda lib: lib.Conv2d(3, 6, 3, padding=1, groups=3), (2, 3, 5, 4)),
    "Conv2d same": (lambda lib: lib.Conv2d(2, 3, (3, 4), padding="same"), (2, 2, 5, 6)),
    "Conv2d same, dilated": (lambda lib: lib.Conv2d(1, 2, 2, padding="same", dilation=3), (2, 1, 5, 6)),
    "Conv2d valid": (lambda lib: lib.Conv2d(1, 2, 2, 2, "valid"), (2, 1, 5, 6)),
    "MaxPool2d": (lambda lib: lib.MaxPool2d(2), (2, 3, 6, 5)),
    "MaxPool2d unbatched": (lambda lib: lib.MaxPool2d((2, 3)), (3, 6, 5)),
    "MaxPool2d overlapping": (lambda lib: lib.MaxPool2d(3, 1), (2, 3, 5, 4)),
    "MaxPool2d padding": (lambda lib: lib.MaxPool2d(3, 2, 1), (2, 3, 6, 5)),
    "MaxPool2d dilation": (lambda lib: lib.MaxPool2d(2, (1, 2), 1, (2, 3)), (2, 2, 6, 7)),
    "MaxPool2d ceil_mode": (lambda lib: lib.MaxPool2d(2, 2, ceil_mode=True), (2, 2, 5, 7)),
    "MaxPool2d everything": (lambda lib: lib.MaxPool2d(3, 2, 1, 2, ceil_mode=True), (2, 2, 8, 7)),
    "MaxPool2d last window dropped": (
        lambda lib: lib.MaxPool2d(2, 3, 1, ceil_mode=True), (2, 2, 4, 5),
    ),
    "AvgPool2d": (lambda lib: lib.AvgPool2d(2), (2, 3, 6, 5)),
    "AvgPool2d unbatched": (lambda lib: lib.AvgPool2d((2, 3)), (3, 6, 5)),
    "AvgPool2d overlapping": (lambda lib: lib.AvgPool2d(3, 1), (2, 3, 5, 4)),
    "AvgPool2d padding": (lambda lib: lib.AvgPool2d(3, 2, 1), (2, 3, 6, 5)),
    "AvgPool2d padding not counted": (
        lambda lib: lib.AvgPool2d(3, 2, (1, 0), count_include_pad=False), (2, 3, 6, 5),
    ),
    "AvgPool2d ceil_mode": (lambda lib: lib.AvgPool2d(2, ceil_mode=True), (2, 2, 5, 7)),
    "AvgPool2d ceil_mode, padding": (lambda lib: lib.AvgPool2d(3, 2, 1, True), (2, 2, 6, 5)),
    "AvgPool2d ceil_mode, padding not counted": (
        lambda lib: lib.AvgPool2d(3, 2, 1, True, False), (2, 2, 6, 5),
    ),
    "AvgPool2d last window dropped": (lambda lib: lib.AvgPool2d(2, 3, 1, True), (2, 2, 4, 5)),
    "AvgPool2d image below the window": (lambda lib: lib.AvgPool2d(2, ceil_mode=True), (2, 2, 1, 1)),
    "AvgPool2d divisor": (lambda lib: lib.AvgPool2d(3, 2, 1, divisor_override=-2), (2, 2, 6, 5)),
    "Embedding": (lambda lib: lib.Embedding(5, 3), INDICES),
    "Embedding of a scalar": (lambda lib: lib.Embedding(5, 3), np.array(2)),
    "Embedding padding_idx": (lambda lib: lib.Embedding(5, 3, padding_idx=3), INDICES),
    "Embedding padding_idx from the end": (lambda lib: lib.Embedding(5, 3, -1), INDICES),
    "LeakyReLU": (lambda lib: lib.LeakyReLU(), (3, 4)),
    "LeakyReLU slope": (lambda lib: lib.LeakyReLU(0.3), (3, 4)),
    "GELU tanh": (lambda lib: lib.GELU("tanh"), (3, 4)),
    "Softplus beta": (lambda lib: lib.Softplus(2.5), (3, 4)),
    "Softmax": (lambda lib: lib.Softmax(dim=-1), (3, 4)),
    "Softmax over channels": (lambda lib: lib.Softmax(1), (2, 3, 4, 2)),
    "LogSoftmax": (lambda lib: lib.LogSoftmax(dim=-1), (3, 4)),
    "LogSoftmax over rows": (lambda lib: lib.LogSoftmax(0), (3, 4)),
    "Identity": (lambda lib: lib.Identity(), (3, 4)),
    "ModuleList": (listed, (3, 5)),
    "spectral_norm": (lambda lib: spectral(lib, lib.Linear(4, 3)), (5, 4)),
    "spectral_norm, 3 iterations": (
        lambda lib: spectral(lib, lib.Linear(4, 3), n_power_iterations=3), (5, 4),
    ),
    "spectral_norm of a convolution": (lambda lib: spectral(lib, lib.Conv2d(2, 3, 2)), (2, 2, 4, 3)),
    "spectral_norm dim": (lambda lib: spectral(lib, lib.Conv2d(2, 3, 2), dim=1), (2, 2, 4, 3)),
    "spectral_norm of a vector": (lambda lib: spectral(lib, lib.Linear(4, 3), name="bias"), (5, 4)),
    "register_parametrization, then another": (symmetric, (5, 4)),
    "weight_norm": (lambda lib: weighted(lib, lib.Linear(4, 3)), (5, 4)),
    "weight_norm dim": (lambda lib: weighted(lib, lib.Conv2d(2, 3, 2), dim=1), (2, 2, 4, 3)),
    "weight_norm of all": (lambda lib: weighted(lib, lib.Conv2d(2, 3, 2), dim=None), (2, 2, 4, 3)),
    "weight_norm, then spectral_norm": (
        lambda lib: spectral(lib, weighted(lib, lib.Linear(4, 3))), (5, 4),
    ),
    "Flatten": (lambda lib: lib.Flatten(), (2, 3, 4)),
    "Flatten some": (lambda lib: lib.Flatten(-3, -2), (2, 3, 4, 5)),
    "Flatten one": (lambda lib: lib.Flatten(0), ()),
    "Dropout p=0": (lambda lib: lib.Dropout(0.0), (3, 4)),
    "Dropout p=1": (lambda lib: lib.Dropout(1.0), (3, 4)),
    "empty Sequential": (lambda lib: lib.Sequential(), (3, 4)),
    "Sequential": (mlp, (8, 5)),
    "Sequential of convolutions": (cnn, (4, 2, 6, 7)),
}  # fmt: skip


# The second derivative of torch._weight_norm over the first axis fails PyTorch's own gradgradcheck.
FIRST_ORDER_ONLY = {"weight_norm", "weight_norm, then spectral_norm"}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # a copy inside PyTorch
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("label", LAYERS)
def test_layer_equals_torch(label, training):
    build, x = LAYERS[label]
    ours, theirs = twins(build(nn), build(tnn))
    ours.train(training)
    theirs.train(training)
    order = {"second": None} if label in FIRST_ORDER_ONLY else {}
    compare(ours, theirs, x if isinstance(x, np.ndarray) else draw(*x), **order)
    same_state(ours, theirs)


def public(module: Any) -> set[str]:
    """What a module of nn exports, but for losses, which are compared in test_losses_torch."""
    found = {n: getattr(module, n) for n in module.__all__}
    return {n for n, f in found.items() if callable(f) and f.__module__ != "minireg.nn.losses"}


def test_every_layer_has_an_oracle():
    built = {type(m).__name__ for build, _ in LAYERS.values() for m in build(nn).modules()}
    # BatchNorm is BatchNorm1d and BatchNorm2d without their checks; the others do nothing themselves
    assert public(nn) - {"BatchNorm", "Module", "Parameter"} <= built
    labels = {re.match(r"\w+", label)[0] for label in LAYERS}
    assert public(nn.utils) - {"is_parametrized", "remove_parametrizations"} <= labels


# label: (parametrization, how it is removed)
REMOVED: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "weight_norm": (weighted, {}),
    "spectral_norm": (spectral, {}),
    "spectral_norm, original back": (spectral, {"leave_parametrized": False}),
}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("label", REMOVED)
def test_a_removed_parametrization_leaves_what_torch_leaves(label, training):
    parametrize, options = REMOVED[label]
    ours, theirs = twins(*(parametrize(lib, lib.Linear(4, 3)) for lib in (nn, tnn)))
    for lib, layer in ((nn, ours), (tnn, theirs)):
        layer.train(training)
        lib.utils.parametrize.remove_parametrizations(layer, "weight", **options)
        assert not lib.utils.parametrize.is_parametrized(layer)
    same_state(ours, theirs)
    compare(ours, theirs, draw(5, 4))


@pytest.mark.parametrize("parametrize", [spectral, weighted])
def test_parametrized_statistics_follow_torch(parametrize):
    """Several batches in training, then evaluation: the power iteration keeps pace."""
    ours, theirs = twins(*(parametrize(lib, lib.Conv2d(2, 4, 2)) for lib in (nn, tnn)))
    for training in (True, True, False, True, False):
        ours.train(training)
        theirs.train(training)
        compare(ours, theirs, draw(2, 2, 4, 3), second=None)
        same_state(ours, theirs)


@pytest.mark.parametrize("dim", [0, 1])
def test_second_derivative_of_weight_norm_is_right_here_and_wrong_in_torch(dim):
    g, v = np.abs(draw(*((3, 1) if dim == 0 else (1, 4)))), draw(3, 4, seed=1)
    norm = nn.utils.parametrizations.WeightNorm(dim)
    assert mr.gradgradcheck(norm, (g, v))
    theirs = torch.autograd.gradgradcheck(
        lambda g, v: torch._weight_norm(v, g, dim), (twin(g), twin(v)), raise_exception=False
    )
    assert not theirs, "repaired in PyTorch: empty FIRST_ORDER_ONLY"


# --- the same as functions ------------------------------------------------------------------------

# label: (arguments, keywords)
FUNCTIONS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "linear": ((draw(5, 3), draw(4, 3), draw(4)), {}),
    "linear without bias": ((draw(2, 5, 3), draw(4, 3)), {}),
    "embedding": ((INDICES, draw(5, 3)), {"padding_idx": -2}),
    "conv2d": ((draw(2, 4, 6, 5), draw(6, 2, 3, 2), draw(6), (2, 1), (1, 2), (1, 2), 2), {}),
    "conv2d same": ((draw(4, 6, 5), draw(6, 4, 3, 3)), {"padding": "same"}),
    "max_pool2d": ((draw(2, 3, 6, 5), 3, 2, 1, 1, True), {}),
    "avg_pool2d": ((draw(2, 3, 6, 5), 3, 2, 1, True, False), {}),
    "avg_pool2d divisor": ((draw(2, 3, 6, 5), 2), {"divisor_override": 7}),
    "batch_norm": ((draw(5, 3, 2), None, None, draw(3), draw(3, seed=1), True, 0.1, 0.01), {}),
    "batch_norm plain": ((draw(5, 3), None, None), {"training": True}),
    "batch_norm in evaluation": (
        (draw(5, 3),), {"running_mean": draw(3), "running_var": np.abs(draw(3, seed=1)), "eps": 0.1},
    ),
    "layer_norm": ((draw(5, 3, 4), (3, 4), draw(3, 4), draw(3, 4, seed=1), 0.1), {}),
    "layer_norm shifted only": ((draw(5, 4), [4]), {"bias": draw(4)}),
    "rms_norm": ((draw(5, 3, 4), (4,), draw(4), 0.1), {}),
    "rms_norm plain": ((draw(5, 4), (4,)), {}),
    "group_norm": ((draw(3, 6, 4), 3, draw(6), draw(6, seed=1), 0.1), {}),
    "group_norm plain": ((draw(3, 6), 2), {}),
    "dropout of nothing": ((draw(3, 4), 0.0), {}),
    "dropout of everything": ((draw(3, 4), 1.0), {}),
    "dropout in evaluation": ((draw(3, 4), 0.5, False), {}),
    "relu": ((draw(3, 4),), {}),
    "leaky_relu": ((draw(3, 4), 0.2), {}),
    "gelu": ((draw(3, 4),), {}),
    "gelu tanh": ((3 * draw(3, 4),), {"approximate": "tanh"}),
    "silu": ((draw(3, 4),), {}),
    "tanh": ((draw(3, 4),), {}),
    "sigmoid": ((draw(3, 4),), {}),
    "softplus": ((draw(3, 4), 0.7), {}),
    "softmax": ((draw(3, 4), 0), {}),
    "softmax dim": ((draw(3, 4, 2),), {"dim": -2}),
    "log_softmax": ((draw(3, 4), 1), {}),
}  # fmt: skip


@pytest.mark.parametrize("label", FUNCTIONS)
def test_function_equals_torch(label):
    args, kw = FUNCTIONS[label]
    kw_twin = {k: twin(v, False) if isinstance(v, np.ndarray) else v for k, v in kw.items()}
    ours, theirs = (getattr(lib.functional, label.split()[0]) for lib in (nn, tnn))
    same(lambda *x: ours(*x, **kw), lambda *x: theirs(*x, **kw_twin), args)


def test_every_function_has_an_oracle():
    assert public(nn.functional) == {label.split()[0] for label in FUNCTIONS}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_batch_norm_moves_statistics_in_place_as_torch_does(training):
    """Also those of plain arrays, which is what the function is given without a layer."""
    x, mean, var = draw(5, 3), draw(3), np.abs(draw(3, seed=1))
    arrays, tensors, twins_ = (
        [wrap(v) for v in (mean.copy(), var.copy())]
        for wrap in (np.array, mr.Tensor, lambda v: twin(v, False))
    )
    ours = nn.functional.batch_norm(x, *arrays, training=training)
    close(ours, tnn.functional.batch_norm(twin(x), *twins_, training=training), 1e-12)
    nn.functional.batch_norm(x, *tensors, training=training)
    for a, t, want in zip(arrays, tensors, twins_, strict=True):
        close(a, want, 1e-12)
        close(t, want, 1e-12)


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


# name: (layer of 50 000 outputs built from either library, inputs of each)
STARTS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "Linear": (lambda lib: lib.Linear(4, 50_000), 4),
    "Conv2d": (lambda lib: lib.Conv2d(2, 50_000, (1, 3)), 6),
    "Conv2d groups": (lambda lib: lib.Conv2d(4, 50_000, 1, groups=2), 2),
}


@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.parametrize("label", STARTS)
def test_a_layer_starts_with_the_distribution_of_torch(label, name):
    build, fan_in = STARTS[label]
    bound = fan_in**-0.5
    mr.manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        both = build(nn), build(tnn)
    for layer in both:
        values = host(getattr(layer, name)).ravel()
        assert values.dtype == np.float32
        assert 0.999 * bound < np.abs(values).max() <= bound
        deciles = np.quantile(values, np.linspace(0.1, 0.9, 9))
        np.testing.assert_allclose(deciles, np.linspace(-0.8, 0.8, 9) * bound, atol=0.02 * bound)


def test_an_embedding_starts_standard_normal_but_for_its_padding():
    weight = host(nn.Embedding(1000, 50, padding_idx=3).weight)
    assert not weight[3].any()
    deciles = np.linspace(0.1, 0.9, 9)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = np.quantile(host(tnn.Embedding(1000, 50).weight), deciles)
    np.testing.assert_allclose(np.quantile(np.delete(weight, 3, 0), deciles), theirs, atol=0.03)


# --- batches of nothing ---------------------------------------------------------------------------

# label: (layer built from either library, input shape with a 0)
EMPTY: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Linear": (lambda lib: lib.Linear(3, 2), (0, 3)),
    "Linear of (N, L, C)": (lambda lib: lib.Linear(3, 2), (2, 0, 3)),
    "BatchNorm1d": (lambda lib: lib.BatchNorm1d(3), (0, 3)),
    "BatchNorm1d of length 0": (lambda lib: lib.BatchNorm1d(3), (2, 3, 0)),
    "BatchNorm1d momentum=None": (lambda lib: lib.BatchNorm1d(3, momentum=None), (0, 3)),
    "BatchNorm1d untracked": (lambda lib: lib.BatchNorm1d(3, track_running_stats=False), (0, 3)),
    "BatchNorm1d not affine": (lambda lib: lib.BatchNorm1d(3, affine=False), (0, 3)),
    "BatchNorm2d": (lambda lib: lib.BatchNorm2d(3), (0, 3, 4, 5)),
    "LayerNorm": (lambda lib: lib.LayerNorm(3), (0, 3)),
    "RMSNorm": (lambda lib: lib.RMSNorm(3), (0, 3)),
    "GroupNorm": (lambda lib: lib.GroupNorm(2, 4), (0, 4, 3)),
    "Dropout": (lambda lib: lib.Dropout(0.5), (0, 3)),
    "Conv2d": (lambda lib: lib.Conv2d(4, 2, 3, padding=1, groups=2), (0, 4, 5, 6)),
    "MaxPool2d": (lambda lib: lib.MaxPool2d(2), (0, 3, 4, 5)),
    "AvgPool2d": (lambda lib: lib.AvgPool2d(3, 2, 1, True, False), (0, 3, 4, 5)),
    "Flatten": (lambda lib: lib.Flatten(), (0, 3, 4)),
    "Flatten length 0": (lambda lib: lib.Flatten(), (2, 0, 4)),
    "Identity": (lambda lib: lib.Identity(), (0, 3)),
    "Embedding": (lambda lib: lib.Embedding(5, 2, padding_idx=1), (0, 3)),
    "Sequential": (cnn, (0, 2, 6, 7)),
    **{
        name: (lambda lib, name=name, options=options: getattr(lib, name)(**options), (0, 3))
        for name, options in {
            "ReLU": {}, "LeakyReLU": {}, "GELU": {}, "SiLU": {}, "Tanh": {}, "Sigmoid": {},
            "Softplus": {}, "Softmax": {"dim": -1}, "LogSoftmax": {"dim": -1},
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("label", EMPTY)
def test_an_empty_batch_is_that_of_torch(label, training):
    """Shapes, gradients of parameters (0), and the running statistics of a batch of nothing."""
    build, shape = EMPTY[label]
    ours, theirs = twins(build(nn), build(tnn))
    ours.train(training)
    theirs.train(training)
    kind = np.int64 if label == "Embedding" else np.float64
    mine, yours = mr.Tensor(np.zeros(shape, kind)), twin(np.zeros(shape, kind), False)
    got, want = ours(mine), theirs(yours)
    assert (got.shape, got.dtype.name) == (tuple(want.shape), "float64")
    same_state(ours, theirs)
    if got.requires_grad:
        got.sum().backward()
        want.sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p.grad, q.grad, 0.0)
    if training:  # the next batch finds the count that PyTorch finds
        x = draw(3, *(n or 3 for n in shape[1:]))
        x = np.abs(x).astype(kind) if label == "Embedding" else x
        if label != "Dropout":
            close(ours(mr.Tensor(x)), theirs(twin(x, False)), 1e-10)
        same_state(ours, theirs)


def test_every_layer_is_asked_for_an_empty_batch():
    layers = {c for n in public(nn) if isinstance(c := getattr(nn, n), type)}
    assert {n.split()[0] for n in EMPTY} == {
        c.__name__ for c in layers if issubclass(c, nn.Module)
    } - {"Module", "ModuleList", "BatchNorm"}
