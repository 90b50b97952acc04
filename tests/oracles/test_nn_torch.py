"""Layers against PyTorch: forward, gradients of input and parameters, second order."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.against import both_ways, close, host, same, torch, twin
from support.arrays import draw
from support.lists import complete, exact
from support.twins.layers import (
    FIRST_ORDER_ONLY,
    INDICES,
    LAYERS,
    cnn,
    mlp,
    spectral,
    tnn,
    twins,
    weighted,
)

import minireg as mr
from minireg import nn

F64 = {"dtype": torch.float64}


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
    layers = public(nn) - {"BatchNorm", "Module", "Parameter"}
    complete("LAYERS in tests/support/twins/layers.py", built, layers)
    labels = {re.match(r"\w+", label)[0] for label in LAYERS}
    utils = public(nn.utils) - {"is_parametrized", "remove_parametrizations"}
    complete("LAYERS in tests/support/twins/layers.py", labels, utils)


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
    listed = {label.split()[0] for label in FUNCTIONS}
    exact("FUNCTIONS in tests/oracles/test_nn_torch.py", listed, public(nn.functional))


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


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_the_default_axis_of_softmax_is_the_last_one_where_torch_guesses(name):
    ours, theirs = getattr(nn.functional, name), getattr(torch.nn.functional, name)
    for shape, guessed in [((3,), 0), ((3, 4), 1), ((2, 3, 4), 0), ((2, 3, 4, 2), 1)]:
        x = draw(*shape)
        with pytest.warns(UserWarning, match="Implicit dimension"):
            close(ours(x, guessed), theirs(twin(x)), 1e-12)
        close(ours(x), theirs(twin(x), -1), 1e-12)


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
    wanted = {c.__name__ for c in layers if issubclass(c, nn.Module)}
    wanted -= {"Module", "ModuleList", "BatchNorm"}
    exact("EMPTY in tests/oracles/test_nn_torch.py", {n.split()[0] for n in EMPTY}, wanted)
