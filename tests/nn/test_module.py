"""The tree of modules: what loads is loaded whole or not at all, and nothing trainable hides."""

import warnings

import numpy as np
import pytest

import minireg as mr
from minireg import nn


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Linear(4, 2))


# what load_state_dict is given in place of one array: (name, value, error, words)
BAD_VALUES = {
    "strings": ("2.bias", np.array(["a", "b"]), TypeError, "'2.bias' must be numbers"),
    "None": ("2.bias", None, TypeError, "'2.bias' must be numbers"),
    "objects": ("2.bias", np.array([None, 1.0], object), TypeError, "'2.bias' must be numbers"),
    "bool": ("2.bias", np.array([True, False]), TypeError, "has dtype float32, got bool"),
    "complex": ("2.bias", np.ones(2, complex), TypeError, "has dtype float32, got complex128"),
    "too large": ("2.bias", np.array([1.0, 1e39]), ValueError, "beyond the range of float32"),
    "a half": ("1.num_batches_tracked", np.array(2.5), TypeError, "has dtype int64, got float64"),
    "unsigned": ("1.num_batches_tracked", np.uint64(2**63), ValueError, "beyond the range of int64"),
    "shape": ("2.bias", np.ones(3), ValueError, r"has shape \(2,\), got \(3,\)"),
    "a mapping": ("2.bias", {"data": 1}, TypeError, "'2.bias'"),
}  # fmt: skip


@pytest.mark.parametrize("label", BAD_VALUES)
def test_defect_12_a_state_with_a_bad_value_changes_nothing(label):
    name, value, error, words = BAD_VALUES[label]
    model = net()
    before = model.state_dict()
    with pytest.raises(error, match=words):
        model.load_state_dict({n: a + 1 for n, a in before.items()} | {name: value})
    assert all((a == before[n]).all() for n, a in model.state_dict().items())


def test_defect_12_a_read_only_parameter_stops_the_load_before_it_begins():
    model = net()
    model[2].bias.data = model[2].bias.data.copy()
    model[2].bias.data.flags.writeable = False
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"'2\.bias' is a read-only array"):
        model.load_state_dict({n: a + 1 for n, a in before.items()})
    assert all((a == before[n]).all() for n, a in model.state_dict().items())


def test_a_state_of_lists_tensors_and_integers_loads():
    model = nn.Linear(2, 1)
    model.load_state_dict({"weight": [[1, 2]], "bias": mr.tensor([0.5])})
    assert model.weight.data.tolist() == [[1, 2]]
    model.load_state_dict({"weight": np.array([[np.inf, np.nan]]), "bias": np.zeros(1, np.float16)})
    assert np.isinf(model.weight.data[0, 0])


@pytest.mark.parametrize("target", [int, bool, "int64", complex, None])
def test_defect_23_a_model_is_converted_to_floating_dtypes_only(target):
    model = net()
    with pytest.raises(
        TypeError, match=r"Module\.to: expected the name of a backend or a floating"
    ):
        model.to(target)
    assert {p.dtype.name for p in model.parameters()} == {"float32"}


class Holding(nn.Module):
    def __init__(self, value):
        self.inner, self.value = nn.Linear(2, 2), value


# label: (an attribute's value, what the warning says)
HIDDEN = {
    "list": ([nn.Linear(2, 2)], r"value is not trained: it is a list; use nn\.ModuleList"),
    "tuple": ((1, nn.Linear(2, 2)), "value is not trained: it is a tuple"),
    "dict": ({"a": nn.Linear(2, 2)}, "value is not trained: it is a dict"),
    "parameters": ([nn.Parameter([1.0])], "value is not trained: it is a list"),
    "tensor": (mr.tensor([1.0], requires_grad=True), r"plain Tensor; make it an nn\.Parameter"),
}


@pytest.mark.parametrize("label", HIDDEN)
def test_what_hides_from_the_optimizer_is_told(label):
    value, message = HIDDEN[label]
    with pytest.warns(UserWarning, match=message):
        list(nn.Sequential(Holding(value)).parameters())


def test_what_is_known_by_another_name_hides_nothing():
    shared = nn.Linear(2, 2)
    model = Holding([shared])
    model.shared = shared
    model.cache = shared(mr.tensor([[1.0, 2.0]]))  # a recorded result is no state
    model.sizes, model.running = [2, 2], mr.tensor([0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(model.parameters())) == 4
    assert "running" in model.state_dict()
    assert "cache" not in model.state_dict()


def test_two_values_for_one_shared_tensor_are_refused():
    model = nn.Sequential(shared := nn.Linear(2, 2), nn.ReLU(), shared)
    state = model.state_dict()
    model.load_state_dict(state)
    with pytest.raises(
        ValueError, match=r"'0\.bias' and '2\.bias' are one tensor here, got two that"
    ):
        model.load_state_dict({n: a + 1 for n, a in state.items()} | {"2.bias": np.zeros(2)})
    assert all((a == state[n]).all() for n, a in model.state_dict().items())


def test_a_move_that_fails_moves_nothing(monkeypatch):
    model, calls = net(), []
    move = nn.module.move

    def fails(array, name):
        calls.append(name)
        if len(calls) == 3:
            raise MemoryError
        return move(array.copy(), name)

    monkeypatch.setattr(nn.module, "move", fails)
    before = [t.data for t in model.parameters()]
    with pytest.raises(MemoryError):
        model.to("numpy")
    assert all(p.data is a for p, a in zip(model.parameters(), before, strict=True))
