"""Modules and layers: names, state, modes, random streams, and what a wrong shape is told."""

import copy
import pickle
import re

import numpy as np
import pytest
from support.arrays import draw
from support.lists import complete

import minireg as mr
from minireg import nn
from minireg.random import Stream

F = nn.functional


def small() -> nn.Sequential:
    hidden = nn.BatchNorm(4), nn.ReLU(), nn.Dropout(0.5)
    return nn.Sequential(nn.Linear(3, 4), *hidden, nn.Linear(4, 2))


class Twice(nn.Module):
    """One layer used twice and known under two names."""

    def __init__(self):
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.scale = nn.Parameter(np.ones(3, np.float32), kind="norm")
        self.steps = mr.tensor(np.zeros(()))  # a buffer

    def forward(self, x):
        return self.again(self.first(x)) * self.scale


# --- the tree -------------------------------------------------------------------------------------


def test_names_are_attribute_paths_in_order():
    model = nn.Sequential(small(), nn.Linear(2, 1, bias=False))
    assert [n for n, _ in model.named_parameters()] == [
        "0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias", "0.4.weight", "0.4.bias", "1.weight",
    ]  # fmt: skip
    assert [n for n, _ in model.named_buffers()] == [
        "0.1.running_mean", "0.1.running_var", "0.1.num_batches_tracked",
    ]  # fmt: skip
    assert [n for n, m in model.named_modules() if isinstance(m, nn.Linear)] == ["0.0", "0.4", "1"]


def test_a_list_is_a_weight_of_linear():
    np.testing.assert_array_equal(F.linear([1.0, 2.0], [[3.0, 4.0]]), np.float32([11.0]))


def test_parameters_know_their_kind():
    model = nn.Sequential(small(), nn.LayerNorm(2), nn.RMSNorm(2))
    kinds = {n: p.kind for n, p in model.named_parameters()}
    assert {n for n, k in kinds.items() if k == "weight"} == {"0.0.weight", "0.4.weight"}
    assert {n for n, k in kinds.items() if k == "bias"} == {"0.0.bias", "0.4.bias"}
    assert {n for n, k in kinds.items() if k == "norm"} == {
        "0.1.weight", "0.1.bias", "1.weight", "1.bias", "2.weight",
    }  # fmt: skip


def test_a_shared_parameter_counts_once():
    model = Twice()
    assert [n for n, _ in model.named_parameters()] == ["scale", "first.weight", "first.bias"]
    model(mr.Tensor(draw(2, 3).astype(np.float32))).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_sequential_is_a_list_of_modules():
    model = small()
    assert len(model) == 5
    assert [*model][1] is model[1]
    assert model[-1].out_features == 2
    with pytest.raises(TypeError, match=r"Sequential: argument 1 is .*, expected a Module"):
        nn.Sequential(nn.ReLU(), np.tanh)


def test_lists_can_be_cut_changed_and_grown():
    model = small()
    head = model[:2]
    assert isinstance(head, nn.Sequential)
    assert [*head] == [*model][:2]
    model[-1] = nn.Identity()
    assert [n for n, _ in model.named_children()] == ["0", "1", "2", "3", "4"]
    assert model.append(nn.ReLU()) is model
    layers = nn.ModuleList(model).extend([nn.Linear(1, 1)])
    assert (len(model), len(layers)) == (6, 7)
    assert [n for n, _ in layers.named_parameters()][-2:] == ["6.weight", "6.bias"]
    for change in (lambda: layers.append(1), lambda: layers.__setitem__(0, "ReLU")):
        with pytest.raises(TypeError, match=r"ModuleList: argument \d is .*, expected a Module"):
            change()
    with pytest.raises(NotImplementedError, match="ModuleList does not define forward"):
        layers(1)


def test_the_tree_can_be_walked():
    model = nn.Sequential(Twice(), small())
    assert [*model.children()] == [*model]
    assert [n for n, _ in model[0].named_children()] == ["first", "again"]
    modules = [*model.modules()]
    assert modules[0] is model
    assert modules.count(model[0].first) == 1  # known under two names
    assert set(modules) == {m for _, m in model.named_modules()}


def test_a_chain_calls_the_forward_of_every_child(monkeypatch):
    model, called = nn.Sequential(small(), nn.ReLU(), nn.Dropout(0.5), nn.Flatten()), []
    for name, child in model.named_children():
        monkeypatch.setattr(
            child, "forward", lambda *x, f=child.forward, n=name: called.append(n) or f(*x)
        )
    model(mr.tensor(np.ones((2, 3), np.float32)))
    assert called == [name for name, _ in model.named_children()]


def test_apply_reaches_children_before_their_parent():
    model, seen = nn.Sequential(small(), nn.ReLU()), []
    assert model.apply(seen.append) is model
    assert seen == [*model[0], model[0], model[1], model]


def test_float_and_double():
    model = small()
    for convert, dtype in ((model.double, "float64"), (model.float, "float32")):
        assert convert() is model
        assert {p.dtype.name for p in model.parameters()} == {dtype}


def test_an_unknown_attribute_is_told():
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wieght'"):
        nn.Linear(1, 1).wieght


def test_modes_reach_every_module():
    model = nn.Sequential(small(), nn.Dropout())
    for mode in (model.eval(), model.train(), model.train(False)):
        assert mode is model
        assert {m.training for _, m in model.named_modules()} == {model.training}
    assert not model.training


def test_freezing_reaches_every_parameter():
    model = small().requires_grad_(False)
    assert not any(p.requires_grad for p in model.parameters())
    assert not model(mr.Tensor(draw(5, 3))).requires_grad
    assert all(p.requires_grad for p in model.requires_grad_().parameters())


def test_zero_grad_forgets():
    model = small()
    model(mr.Tensor(draw(5, 3))).sum().backward()
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("target", [np.float64, "float64", np.dtype("float64")])
def test_to_a_dtype_converts_floats_and_gradients_only(target):
    model = small()
    model(mr.Tensor(draw(5, 3).astype(np.float32))).sum().backward()
    model.to(target)
    assert {p.dtype.name for p in model.parameters()} == {"float64"}
    assert {p.grad.dtype.name for p in model.parameters()} == {"float64"}
    assert [b.dtype.name for _, b in model.named_buffers()] == ["float64", "float64", "int64"]


def test_to_an_unknown_backend_is_told():
    with pytest.raises(ValueError, match="backend: got 'tpu', expected one of"):
        small().to("tpu")


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Nothing does not define forward"):
        type("Nothing", (nn.Module,), {})()(1)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_models_can_be_copied(clone):
    model = nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.BatchNorm(4), Twice())
    twin = clone(model)
    assert twin[2].first is twin[2].again
    pairs = zip(model.named_parameters(), twin.named_parameters(), strict=True)
    for (name, p), (other, q) in pairs:
        assert (name, p.kind, p.requires_grad) == (other, q.kind, q.requires_grad)
        assert not np.shares_memory(p.data, q.data)
        np.testing.assert_array_equal(p.data, q.data)


TREE = """\
Sequential()
  (0) Sequential()
    (0) Linear(3, 4)  y = x Wᵀ + b
    (1) BatchNorm(4, eps=1e-05, momentum=0.1)  y = γ (x − μ)/√(σ² + ε) + β
    (2) ReLU()  y = max(x, 0)
    (3) Dropout(p=0.5)  y = x·m/(1 − p), m ~ Bernoulli(1 − p)
    (4) Linear(4, 2)  y = x Wᵀ + b
  (1) LayerNorm((2,), eps=1e-05)  y = γ (x − μ)/√(σ² + ε) + β"""


def test_repr_shows_the_tree_and_the_formulas():
    assert repr(nn.Sequential(small(), nn.LayerNorm(2))) == TREE


# --- state ----------------------------------------------------------------------------------------


def test_state_is_a_copy_and_loads_in_place():
    model, other = small(), small()
    state, arrays = model.state_dict(), [p.data for p in other.parameters()]
    other.load_state_dict(state)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
        assert not np.shares_memory(array, state[name])
    assert all(p.data is a for p, a in zip(other.parameters(), arrays, strict=True))
    state["0.weight"][:] = 0
    assert (model[0].weight.data != 0).all()


def test_a_trained_model_loads_a_state():
    model, fresh = small(), small().state_dict()
    model(mr.Tensor(draw(5, 3).astype(np.float32))).sum().backward()
    trained = model.state_dict()
    for state in (fresh, trained):
        model.load_state_dict(state)
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, state[name])
    assert all(isinstance(array, np.ndarray) for array in trained.values())


def test_state_loads_from_tensors_and_in_the_dtype_of_the_model():
    model = nn.Linear(2, 1)
    model.load_state_dict({"weight": mr.Tensor(np.ones((1, 2))), "bias": np.array([2.0])})
    assert model(mr.tensor([1.0, 1.0])).item() == 4.0
    assert model.weight.dtype == np.float32


# (change of the state, error, message)
BAD_STATES = {
    "missing": (lambda s: s.pop("0.bias"), KeyError, r"missing \['0.bias'\], unexpected \[\]"),
    "misspelt": (
        lambda s: s.update({"0.wieght": s.pop("0.weight")}), KeyError,
        r"unexpected \['0.wieght'\]; did '0.wieght' mean '0.weight'\?",
    ),
    "shape": (
        lambda s: s.update({"4.bias": np.zeros(3)}), ValueError,
        r"'4.bias' has shape \(2,\), got \(3,\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("label", BAD_STATES)
def test_a_state_that_does_not_fit_changes_nothing(label):
    change, error, message = BAD_STATES[label]
    model, state = small(), small().state_dict()
    before = model.state_dict()
    change(state)
    with pytest.raises(error, match=message):
        model.load_state_dict(state)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_partial_state_loads_when_not_strict():
    model = small()
    model.load_state_dict({"0.bias": np.full(4, 7.0), "elsewhere": np.zeros(2)}, strict=False)
    assert (model[0].bias.data == 7).all()


def test_a_graph_notices_a_loaded_state():
    model = nn.Linear(3, 2)
    loss = model(mr.Tensor(draw(5, 3).astype(np.float32), requires_grad=True)).sum()
    model.load_state_dict(model.state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


# --- random streams -------------------------------------------------------------------------------


def test_the_seed_decides_the_initial_weights():
    mr.manual_seed(5)
    first, second = nn.Linear(3, 4), nn.Linear(3, 4)
    mr.manual_seed(5)
    again = nn.Linear(3, 4)
    np.testing.assert_array_equal(first.weight.data, again.weight.data)
    np.testing.assert_array_equal(first.bias.data, again.bias.data)
    assert (first.weight.data != second.weight.data).any()
    own = [nn.Linear(3, 4, generator=Stream("mine", seed=1)).weight.data for _ in range(2)]
    np.testing.assert_array_equal(*own)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.001, 0.1, 0.3, 0.5, 0.9])
def test_dropout_has_mean_one_and_only_two_values(p, dtype):
    n = 200_000
    x = mr.Tensor(np.ones(n, dtype), requires_grad=True)
    y = nn.Dropout(p, seed=0)(x)
    assert y.dtype == dtype
    values, counts = np.unique(y.data, return_counts=True)
    assert values[0] == 0
    assert len(values) == 2
    kept_of_65536 = 65536 - round(65536 * p)  # 16 bits decide an element
    assert values[1] == dtype(65536 / kept_of_65536)
    deviation = np.sqrt(p * (1 - p) / n)
    assert abs(counts[0] / n - p) < 5 * deviation + 2**-17
    assert abs(y.data.mean(dtype=np.float64) - 1) < 5 * deviation / (1 - p)
    y.sum().backward()  # the gradient goes through the same mask
    np.testing.assert_array_equal(x.grad.numpy(), y.data)


def test_dropout_decides_element_by_element():
    """No row, column, or neighbour of a dropped element is more likely to be dropped."""
    dropped = nn.Dropout(0.3, seed=0)(np.ones((400, 500))) == 0
    for near in (np.roll(dropped, 1, 0), np.roll(dropped, 1, 1), np.roll(dropped, 4, 1)):
        assert abs((dropped & near).mean() - 0.09) < 5 * np.sqrt(0.09 * 0.91 / dropped.size)


def test_dropout_draws_anew_and_repeats_from_its_seed():
    x = np.ones((8, 9), np.float32)
    layer, twin, other = (nn.Dropout(0.5, seed=s) for s in (3, 3, 4))
    first, second = layer(x), layer(x)
    assert (first != second).any()
    np.testing.assert_array_equal(first, twin(x))
    np.testing.assert_array_equal(second, twin(x))
    assert (first != other(x)).any()
    mr.manual_seed(7)
    one = nn.Dropout(0.5)(x)
    mr.manual_seed(7)
    np.testing.assert_array_equal(one, nn.Dropout(0.5)(x))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3, 5), (0, 3)])
def test_dropout_of_any_shape(shape):
    for p, expected in ((0.0, 1.0), (1.0, 0.0)):
        y = nn.Dropout(p)(mr.Tensor(np.ones(shape)))
        assert y.shape == shape
        assert (y.data == expected).all()
    assert nn.Dropout(0.5)(mr.Tensor(np.ones(shape))).shape == shape


def test_dropout_in_evaluation_is_its_input():
    x = mr.Tensor(draw(3))
    assert nn.Dropout(0.9).eval()(x) is x


# --- batch normalisation --------------------------------------------------------------------------


def test_batch_norm_standardises_each_channel():
    x = 5 + 3 * draw(16, 4, 3, 2)
    y = nn.BatchNorm(4, dtype=np.float64)(mr.Tensor(x)).numpy()
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, rtol=1e-4)


def test_running_variance_is_unbiased_and_the_batch_variance_is_not():
    x = draw(5, 2)
    layer = nn.BatchNorm(2, momentum=1.0, dtype=np.float64)
    y = layer(mr.Tensor(x)).numpy()
    np.testing.assert_allclose(layer.running_mean.data, x.mean(axis=0))
    np.testing.assert_allclose(layer.running_var.data, x.var(axis=0, ddof=1))
    np.testing.assert_allclose(y, (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5))


def test_momentum_none_averages_all_batches():
    layer = nn.BatchNorm(2, momentum=None, dtype=np.float64)
    batches = [draw(6, 2, seed=s) for s in range(4)]
    for x in batches:
        layer(mr.Tensor(x))
    np.testing.assert_allclose(layer.running_mean.data, np.mean(batches, axis=(0, 1)))
    assert layer.num_batches_tracked.item() == 4


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0)])
def test_an_empty_batch_counts_but_moves_nothing(shape):
    layer, x = nn.BatchNorm(3), mr.Tensor(np.zeros(shape, np.float32), requires_grad=True)
    layer(x).sum().backward()
    assert (layer.running_mean.data == 0).all()
    assert (layer.running_var.data == 1).all()
    assert layer.num_batches_tracked.item() == 1
    assert x.grad.shape == shape
    assert (layer.weight.grad.data == 0).all()
    layer = nn.GroupNorm(1, 3)
    layer(x).sum().backward()
    assert (layer.weight.grad.data == 0).all()


@pytest.mark.parametrize("second_order", [False, True])
def test_statistics_move_once_a_forward(second_order):
    """Neither evaluation nor a backward pass of any order counts as a batch."""
    layer = nn.BatchNorm(3)
    x = mr.Tensor(draw(5, 3).astype(np.float32), requires_grad=True)
    y = layer(x)
    before = layer.state_dict()
    (g,) = mr.grad((y * y).sum(), x, create_graph=second_order, retain_graph=True)
    if second_order:
        mr.grad(g.sum(), x)
    layer.eval()(x)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert before["num_batches_tracked"] == 1


def test_a_graph_of_evaluation_survives_a_later_batch():
    layer = nn.BatchNorm(3)
    x = mr.Tensor(draw(5, 3).astype(np.float32), requires_grad=True)
    y = layer.eval()(x).sum()
    layer.train()(x)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((5, 3), (1 + 1e-5) ** -0.5), rtol=1e-6)


def test_gradient_of_batch_norm_has_no_mean_and_no_radial_part():
    """Claim C19: the terms through mean and variance remove both directions."""
    x = mr.Tensor(draw(8, 3), requires_grad=True)
    g = mr.Tensor(draw(8, 3, seed=1))
    y = F.batch_norm(x, training=True, eps=0.0)
    y.backward(g)
    d = x.grad.numpy()
    np.testing.assert_allclose(d.sum(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose((d * (x.data - x.data.mean(axis=0))).sum(axis=0), 0, atol=1e-14)


# --- group normalisation, flatten, embedding, activations ------------------------------------------


def test_group_norm_standardises_each_group_of_each_sample():
    y = nn.GroupNorm(2, 6, dtype=np.float64)(mr.Tensor(5 + 3 * draw(4, 6, 3, 2))).numpy()
    groups = y.reshape(4, 2, -1)
    np.testing.assert_allclose(groups.mean(axis=2), 0, atol=1e-12)
    np.testing.assert_allclose(groups.var(axis=2), 1, rtol=1e-4)


def test_group_norm_lies_between_layer_norm_and_a_norm_of_each_channel():
    x = draw(3, 4, 5)
    one, each = F.group_norm(x, 1), F.group_norm(x, 4)
    np.testing.assert_allclose(one, F.layer_norm(x, (4, 5)), rtol=1e-12)
    np.testing.assert_allclose(each, F.layer_norm(x, 5), rtol=1e-12)


def test_flatten_gathers_a_range_of_axes():
    x = draw(2, 3, 4, 5)
    for layer, shape in {
        nn.Flatten(): (2, 60), nn.Flatten(0): (120,), nn.Flatten(1, 2): (2, 12, 5),
        nn.Flatten(-2, -1): (2, 3, 20), nn.Flatten(2, 2): x.shape,
    }.items():  # fmt: skip
        np.testing.assert_array_equal(layer(x), x.reshape(shape))


def test_embedding_selects_rows_and_adds_up_their_gradients():
    layer, x = nn.Embedding(4, 2, dtype=np.float64), np.array([[3, 0], [3, 3]])
    y = layer(mr.Tensor(x))
    np.testing.assert_array_equal(y.data, layer.weight.data[x])
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data, [[1, 1], [0, 0], [0, 0], [3, 3]])


def test_the_padding_row_is_zero_and_stays_put():
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert layer.padding_idx == 3
    np.testing.assert_array_equal(layer(np.array([3])).data, [[0, 0]])
    layer(np.array([3, 1, 3])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data, [[0, 0], [1, 1], [0, 0], [0, 0]])
    layer.weight.data[3] = 7.0  # what was put there is looked up all the same
    np.testing.assert_array_equal(layer(np.array([3])).data, [[7, 7]])
    assert repr(layer) == "Embedding(4, 2, padding_idx=3)  y = W[x]"


def test_embedding_takes_every_kind_of_integer():
    layer = nn.Embedding(4, 2)
    for kind in ("int8", "uint8", "int32", "uint64"):
        np.testing.assert_array_equal(layer(np.array([2, 0], kind)).data, layer.weight.data[[2, 0]])


def test_softplus_is_exact_where_it_would_overflow():
    x = np.array([-1000.0, -5.0, 0.0, 30.0, 1000.0])
    for beta in (0.5, 1.0, 3.0):
        with np.errstate(under="ignore"):
            expected = [max(v, 0) + np.log1p(np.exp(-abs(beta * v))) / beta for v in x]
            np.testing.assert_allclose(F.softplus(x, beta), expected, rtol=1e-15)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax_sums_to_one_along_its_axis(dim):
    y = nn.Softmax(dim)(draw(3, 4))
    np.testing.assert_allclose(y.sum(axis=dim), 1, rtol=1e-12)
    np.testing.assert_allclose(nn.LogSoftmax(dim)(draw(3, 4)), np.log(y), rtol=1e-12)


def test_options_are_shown_and_taken_in_any_way():
    assert repr(nn.LeakyReLU(0.3)) == "LeakyReLU(negative_slope=0.3)  y = max(x, 0) + s·min(x, 0)"
    assert repr(nn.GELU(approximate="tanh")) == "GELU(approximate='tanh')  y = x Φ(x)"
    assert nn.Softmax(dim=0).dim == nn.Softmax(0).dim == 0
    with pytest.raises(TypeError, match="unexpected keyword argument 'axis'"):
        nn.Softmax(axis=0)


# --- dtypes, moves and refusals -------------------------------------------------------------------

# label: (layer of a dtype, input shape)
LAYERS = {
    "Linear": (lambda dtype: nn.Linear(4, 3, dtype=dtype), (5, 4)),
    "BatchNorm": (lambda dtype: nn.BatchNorm(4, dtype=dtype), (5, 4)),
    "BatchNorm, cumulative": (lambda dtype: nn.BatchNorm(4, momentum=None, dtype=dtype), (5, 4)),
    "BatchNorm1d": (lambda dtype: nn.BatchNorm1d(4, dtype=dtype), (5, 4, 2)),
    "BatchNorm2d": (lambda dtype: nn.BatchNorm2d(4, dtype=dtype), (2, 4, 3, 2)),
    "LayerNorm": (lambda dtype: nn.LayerNorm(4, dtype=dtype), (5, 4)),
    "RMSNorm": (lambda dtype: nn.RMSNorm(4, dtype=dtype), (5, 4)),
    "GroupNorm": (lambda dtype: nn.GroupNorm(2, 4, dtype=dtype), (5, 4, 3)),
    "Dropout": (lambda dtype: nn.Dropout(0.3), (5, 4)),
    "Conv2d": (lambda dtype: nn.Conv2d(4, 6, 3, 2, 1, groups=2, dtype=dtype), (2, 4, 5, 6)),
    "MaxPool2d": (lambda dtype: nn.MaxPool2d(3, 2, 1), (2, 4, 5, 6)),
    "AvgPool2d": (lambda dtype: nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 4, 5, 6)),
    "Softplus, steep": (lambda dtype: nn.Softplus(2.0), (5, 4)),
    "GELU, tanh": (lambda dtype: nn.GELU("tanh"), (5, 4)),
    "spectral norm": (lambda dtype: nn.utils.spectral_norm(nn.Linear(4, 3, dtype=dtype)), (5, 4)),
    "weight norm": (lambda dtype: nn.utils.weight_norm(nn.Linear(4, 3, dtype=dtype)), (5, 4)),
    **{n: (lambda dtype, n=n: getattr(nn, n)(), (5, 4)) for n in
       ("ReLU", "LeakyReLU", "GELU", "Tanh", "Sigmoid", "SiLU", "Softplus", "Softmax", "LogSoftmax",
        "Flatten", "Identity", "Sequential")},
}  # fmt: skip


def test_every_layer_is_listed():
    """ModuleList has no forward, Embedding takes integers: they have tests of their own."""
    layers = {n for n in nn.__all__ if isinstance(c := getattr(nn, n), type) and issubclass(c, nn.Module)
              and c.__module__ != "minireg.nn.losses"}  # fmt: skip
    complete(
        "LAYERS in tests/nn/test_nn.py", LAYERS, layers - {"Module", "ModuleList", "Embedding"}
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("label", LAYERS)
def test_a_layer_keeps_its_dtype(label, dtype):
    make, shape = LAYERS[label]
    layer, x = make(dtype), draw(*shape).astype(dtype)
    t = mr.Tensor(x, requires_grad=True)
    for training in (True, False):
        y = layer.train(training)(t)
        assert y.dtype == dtype
        y.sum().backward()
        assert {p.grad.dtype.name for p in [t, *layer.parameters()]} == {dtype}
        assert {b.dtype.name for _, b in layer.named_buffers()} <= {dtype, "int64"}


@pytest.mark.parametrize("label", LAYERS)
def test_a_layer_takes_plain_arrays(label):
    make, shape = LAYERS[label]
    layer, x = make("float64").eval(), draw(*shape)
    got = layer(x)  # an array stays one unless it meets a parameter
    assert isinstance(got, mr.Tensor if layer.state_dict() else np.ndarray)
    np.testing.assert_array_equal(np.asarray(got.data), layer(mr.Tensor(x)).data)


@pytest.mark.parametrize("label", LAYERS)
def test_a_layer_leaves_its_input_alone(label):
    make, shape = LAYERS[label]
    x = draw(*shape).astype(np.float32)
    x.flags.writeable = False
    t = mr.Tensor(x, requires_grad=True)
    g = np.ones(make(np.float32)(t).shape, np.float32)
    g.flags.writeable = False
    make(np.float32)(t).backward(mr.Tensor(g))


@pytest.mark.parametrize("label", LAYERS)
def test_a_layer_can_be_copied_and_printed(label):
    make, shape = LAYERS[label]
    layer, x = make("float64"), mr.Tensor(draw(*shape))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        assert type(twin) is type(layer)
        np.testing.assert_array_equal(twin.eval()(x).data, layer.eval()(x).data)


def zeros(*shape):
    return mr.Tensor(np.zeros(shape, np.float32))


# (call, what it is told)
REFUSED = {
    "no features": (lambda: nn.Linear(0, 2), "Linear: in_features must be an integer ≥ 1, got 0"),
    "a size of 1.5": (lambda: nn.Linear(2, 1.5), "out_features must be an integer ≥ 1, got 1.5"),
    "Linear": (lambda: nn.Linear(3, 2)(zeros(5, 4)), "got input of shape (5, 4), expected (…, 3)"),
    "Linear of a scalar": (lambda: nn.Linear(3, 2)(zeros()), "linear: got input of shape ()"),
    "no channels": (lambda: nn.BatchNorm(-1), "num_features must be an integer ≥ 1, got -1"),
    "BatchNorm": (lambda: nn.BatchNorm(3)(zeros(5, 4)), "(5, 4), expected (N, C, …) with C = 3"),
    "BatchNorm of a vector": (lambda: nn.BatchNorm(3)(zeros(3)), "BatchNorm: got input of shape (3,)"),
    "BatchNorm of one": (lambda: nn.BatchNorm(3)(zeros(1, 3)), "more than one value per channel"),
    "BatchNorm1d of images": (lambda: nn.BatchNorm1d(3)(zeros(2, 3, 4, 5)), "expected (N, C) or (N, C, L)"),
    "BatchNorm2d of features": (lambda: nn.BatchNorm2d(3)(zeros(2, 3)), "expected (N, C, H, W) with C = 3"),
    "BatchNorm2d channels": (lambda: nn.BatchNorm2d(2)(zeros(2, 3, 4, 5)), "BatchNorm2d: got input of"),
    "one value of each channel": (
        lambda: nn.BatchNorm1d(3, track_running_stats=False).eval()(zeros(1, 3)), "more than one value per",
    ),
    "GroupNorm(3, 4)": (lambda: nn.GroupNorm(3, 4), "divisible by num_groups, got 4 and 3"),
    "no groups": (lambda: nn.GroupNorm(0, 4), "num_groups must be an integer ≥ 1, got 0"),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4)(zeros(5, 6)), "got input of shape (5, 6), expected (N, 4, …)"),
    "GroupNorm of a vector": (lambda: nn.GroupNorm(2, 4)(zeros(4)), "expected (N, 4, …)"),
    "GroupNorm of one": (lambda: nn.GroupNorm(4, 4)(zeros(1, 4, 1)), "one value per group, got input"),
    "group_norm": (
        lambda: F.group_norm(zeros(5, 6), 4), "group_norm: got input of shape (5, 6) for 4 groups"),
    "group_norm of no groups": (lambda: F.group_norm(zeros(5, 6), 0), "for 0 groups"),
    "group_norm weight": (lambda: F.group_norm(zeros(5, 6), 2, zeros(3)), "got weight of shape (3,)"),
    "no rows": (lambda: nn.Embedding(0, 2), "num_embeddings must be an integer ≥ 1, got 0"),
    "padding row": (lambda: nn.Embedding(3, 2, 3), "padding_idx must be an integer in [-3, 2], got 3"),
    "embedding padding": (
        lambda: F.embedding(np.array([0]), zeros(3, 2), -4), "padding_idx must be an integer in [-3, 2]",
    ),
    "Flatten": (lambda: nn.Flatten(2, 1)(zeros(2, 3, 4)), "start_dim comes after end_dim"),
    "GELU": (lambda: nn.GELU("exact")(zeros(3)), "gelu: approximate must be 'none' or 'tanh', got 'exact'"),
    "Softplus": (lambda: nn.Softplus(0.0)(zeros(3)), "softplus: beta must be a finite number > 0, got 0.0"),
    "Softmax": (lambda: nn.Softmax(2)(zeros(3, 4)), "axis 2 is out of bounds for array of dimension 2"),
    "batch_norm": (lambda: F.batch_norm(zeros(5, 3)), "needs running_mean and running_var"),
    "batch_norm of a vector": (lambda: F.batch_norm(zeros(3)), "batch_norm: got input of shape (3,)"),
    "batch_norm variance": (
        lambda: F.batch_norm(zeros(5, 3), zeros(3), zeros(4)), "got running_var of shape (4,)",
    ),
    "batch_norm weight": (
        lambda: F.batch_norm(zeros(5, 3), weight=zeros(4), training=True), "weight of shape (4,)",
    ),
    "LayerNorm": (lambda: nn.LayerNorm((3, 4))(zeros(5, 4)), "layer_norm: got input of shape (5, 4)"),
    "RMSNorm": (lambda: nn.RMSNorm(3)(zeros(5, 4)), "shape (5, 4), expected (…, 3)"),
    "Dropout": (lambda: nn.Dropout(1.5), "the probability of dropping, in [0, 1]; got 1.5"),
    "dropout": (lambda: F.dropout(zeros(3), -0.1), "the probability of dropping, in [0, 1]; got -0.1"),
}  # fmt: skip


@pytest.mark.parametrize("label", REFUSED)
def test_a_layer_says_what_it_expected(label):
    call, message = REFUSED[label]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# (call, error, what it is told)
REFUSED_OTHERWISE = {
    "index": (
        lambda: nn.Embedding(3, 2)(np.array([[0, 3]])), IndexError, "embedding: index 3 is outside 0 … 2",
    ),
    "negative index": (
        lambda: nn.Embedding(3, 2)(mr.tensor([-1])), IndexError, "embedding: index -1 is outside 0 … 2",
    ),
    "index of float": (
        lambda: nn.Embedding(3, 2)(zeros(3)), TypeError,
        "embedding: got indices of dtype float32, expected integers; convert with .astype('int64')",
    ),
    "index of bool": (lambda: nn.Embedding(3, 2)(np.array([True])), TypeError, "dtype bool"),
    "Flatten of a vector": (
        lambda: nn.Flatten()(zeros(3)), IndexError,
        "Flatten(start_dim=1, end_dim=-1): got input of shape (3,), which lacks the axis",
    ),
    "Flatten to an axis too far": (lambda: nn.Flatten(0, 3)(zeros(2, 3)), IndexError, "lacks the axis"),
}  # fmt: skip


@pytest.mark.parametrize("label", REFUSED_OTHERWISE)
def test_what_else_a_layer_refuses(label):
    call, error, message = REFUSED_OTHERWISE[label]
    with pytest.raises(error, match=re.escape(message)):
        call()
