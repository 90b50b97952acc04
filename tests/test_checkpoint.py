"""Checkpoints: what is saved comes back, bit for bit, and without pickle."""

import importlib
import re

import numpy as np
import pytest

import minireg as mr
from minireg import nn, optim

SUFFIXES = [
    "npz",
    pytest.param(
        "safetensors",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("safetensors") is None, reason="safetensors is not installed"
        ),
    ),
]
every_suffix = pytest.mark.parametrize("suffix", SUFFIXES)

ARRAYS = {
    "0-d": np.array(3.5),
    "empty": np.zeros((0, 3), np.float32),
    "a.b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10, dtype=np.int64)[::-2],
    "column-major": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
    "bool": np.array([True, False]),
    "half": np.array([1.5], np.float16),
    "not finite": np.array([np.nan, np.inf, -np.inf, -0.0]),
    "file": np.ones(2),
    "allow_pickle": np.zeros(2),
    "größe": np.ones(1),
}


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.LayerNorm(4), nn.Linear(4, 2))


@every_suffix
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back(name, suffix, tmp_path):
    path, array = tmp_path / f"state.{suffix}", ARRAYS[name]
    mr.save(path, {name: array, "other": np.ones(3)})
    state = mr.load(path)
    assert sorted(state) == sorted([name, "other"])
    assert (state[name].dtype, state[name].shape) == (array.dtype, array.shape)
    assert state[name].tobytes() == array.tobytes()


@every_suffix
def test_a_trained_model_comes_back(suffix, tmp_path):
    source, target = model(), model()
    optimizer = optim.Adam(source.parameters())
    x = mr.Tensor(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    source(x).sum().backward()
    optimizer.step()
    path = tmp_path / f"weights.{suffix}"
    mr.save(path, source)
    target.load_state_dict(mr.load(path))
    for name, array in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[name], array)
    np.testing.assert_array_equal(target.eval()(x).data, source.eval()(x).data)


@every_suffix
def test_tensors_and_numbers_are_saved_as_arrays(suffix, tmp_path):
    path = tmp_path / f"state.{suffix}"
    mr.save(str(path), {"tensor": mr.tensor([1.0, 2.0]), "number": 0.5, "count": 3})
    state = mr.load(str(path))
    assert state["tensor"].tolist() == [1.0, 2.0]
    assert (state["number"].shape, state["number"].item(), state["count"].item()) == ((), 0.5, 3)


@every_suffix
def test_what_was_loaded_is_ours(suffix, tmp_path):
    """Writable, and apart from the file and from the model."""
    path, source = tmp_path / f"weights.{suffix}", model()
    mr.save(path, source)
    state = mr.load(path)
    state["0.weight"][:] = 7
    assert (source[0].weight.data != 7).all()
    assert (mr.load(path)["0.weight"] != 7).all()


@every_suffix
def test_an_empty_state_comes_back(suffix, tmp_path):
    mr.save(tmp_path / f"state.{suffix}", nn.ReLU())
    assert mr.load(tmp_path / f"state.{suffix}") == {}


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights.pt", "weights", "weights.npz.gz", "weights.NPZ"])
def test_another_suffix_is_refused(name, tmp_path):
    path = tmp_path / name
    message = f"checkpoint: {str(path)!r} must end in one of .npz, .safetensors"
    with pytest.raises(ValueError, match=re.escape(message)):
        mr.save(path, {"w": np.ones(1)})
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=re.escape(message)):
        mr.load(path)


@every_suffix
def test_a_missing_file_is_named(suffix, tmp_path):
    path = tmp_path / f"nowhere.{suffix}"
    with pytest.raises(FileNotFoundError, match=re.escape(f"checkpoint: no file {str(path)!r}")):
        mr.load(path)


def test_without_safetensors_the_extra_is_named(tmp_path, monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    path = tmp_path / "weights.safetensors"
    with pytest.raises(ImportError, match=r"\.safetensors files need: pip install 'minireg\[io\]'"):
        mr.save(path, model())
    assert not path.exists()
    path.write_bytes(b"")
    with pytest.raises(ImportError, match=r"minireg\[io\]"):
        mr.load(path)


def test_no_pickle_is_written_or_read(tmp_path):
    objects = np.array([{}, None], object)
    with pytest.raises((TypeError, ValueError)):
        mr.save(tmp_path / "objects.npz", {"objects": objects})
    np.savez(tmp_path / "pickled.npz", objects=objects)
    with pytest.raises(ValueError, match="allow_pickle"):
        mr.load(tmp_path / "pickled.npz")
