"""Weights go from PyTorch to minireg and back as .safetensors, under the same names."""

import numpy as np
import pytest
from support.against import torch, twin

import minireg as mr
from minireg import nn

files = pytest.importorskip("safetensors.torch")

# label: (PyTorch's, minireg's, shape of an input)
MODELS = {
    "dense": (
        lambda t: t.Sequential(t.Linear(4, 5), t.BatchNorm1d(5), t.ReLU(), t.LayerNorm(5), t.Linear(5, 2)),
        lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.ReLU(), nn.LayerNorm(5), nn.Linear(5, 2)),
        (3, 4),
    ),
    "convolutions": (
        lambda t: t.Sequential(t.Conv2d(2, 3, 3), t.GroupNorm(1, 3), t.Flatten(), t.Linear(12, 2)),
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.GroupNorm(1, 3), nn.Flatten(), nn.Linear(12, 2)),
        (3, 2, 4, 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("label", MODELS)
def test_a_model_of_pytorch_and_back(label, tmp_path):
    theirs, ours, shape = MODELS[label]
    there, here, path = theirs(torch.nn), ours(), tmp_path / "model.safetensors"
    files.save_file(there.state_dict(), path)
    here.load_state_dict(mr.load(path))
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(here.eval()(x).numpy(), there.eval()(twin(x)).detach(), atol=1e-6)
    back = theirs(torch.nn)
    mr.save(path, here)
    back.load_state_dict(files.load_file(path))
    for name, value in there.state_dict().items():
        assert torch.equal(back.state_dict()[name], value)
        assert back.state_dict()[name].dtype == value.dtype


def test_bfloat16_is_read_exactly(tmp_path):
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.bfloat16)  # all of them
    files.save_file({"b": bits, "scalar": bits[16384].clone()}, tmp_path / "b.safetensors")
    found = mr.load(tmp_path / "b.safetensors")
    assert (found["b"].dtype, found["scalar"].shape) == (np.float32, ())
    np.testing.assert_array_equal(found["b"].view("u4"), bits.float().numpy().view("u4"))


@pytest.mark.parametrize(
    "dtype", ["float64", "float16", "int64", "int32", "uint8", "bool", "complex64"]
)
def test_every_other_dtype_stays(dtype, tmp_path):
    there = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    files.save_file({"a": there}, tmp_path / "a.safetensors")
    found = mr.load(tmp_path / "a.safetensors")["a"]
    assert (found.dtype.name, found.tolist()) == (dtype, there.tolist())


def test_a_dtype_that_numpy_lacks_is_named(tmp_path):
    files.save_file({"a": torch.ones(2).to(torch.float8_e4m3fn)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="'a' is F8_E4M3, which NumPy lacks"):
        mr.load(tmp_path / "a.safetensors")


def test_pytorch_reads_a_checkpoint(tmp_path):
    path, model = tmp_path / "run.safetensors", nn.Linear(2, 1)
    sgd = mr.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    mr.fit(model, nn.MSELoss(), sgd, (np.eye(2), np.ones((2, 1))), epochs=1, checkpoint=path)
    found = files.load_file(path)
    assert torch.equal(found["model/weight"], twin(model.weight.numpy(), False))
    assert "optimizer/state/0/momentum_buffer" in found
