"""Weights from PyTorch and back, by .safetensors files, nothing renamed: python examples/from_pytorch.py.

Needs PyTorch and safetensors; says so without.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import minireg as mr

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as error:
    sys.exit(f"from_pytorch: {error}; pip install torch 'minireg[io]', then run it again")


def model_of(nn):
    """The same lines for both: names and arguments of the layers are PyTorch's."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(4 * 64, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 10),
    )  # fmt: skip


torch.manual_seed(0)
theirs, ours = model_of(torch.nn), model_of(mr.nn)
x = torch.randn(32, 1, 8, 8)
theirs(x)  # running means and variances that are not those of the start
theirs.eval()
ours.eval()

with tempfile.TemporaryDirectory() as folder:
    file, back = Path(folder) / "theirs.safetensors", Path(folder) / "ours.safetensors"

    save_file(theirs.state_dict(), file)
    ours.load_state_dict(mr.load(file))
    difference = float(np.abs(ours(mr.tensor(x)).numpy() - theirs(x).detach().numpy()).max())
    print(f"PyTorch → minireg: outputs differ by at most {difference:.1e}")
    assert difference < 1e-5

    mr.save(back, ours)
    again = model_of(torch.nn).eval()
    again.load_state_dict(load_file(back), strict=True)
    assert all(torch.equal(a, again.state_dict()[name]) for name, a in theirs.state_dict().items())
    print(f"minireg → PyTorch: all {len(theirs.state_dict())} arrays the same, bit for bit")

    save_file(
        {k: v.bfloat16() for k, v in theirs.state_dict().items() if v.is_floating_point()}, file
    )
    weights = mr.load(file)
    print(f"bfloat16: read as {weights['4.weight'].dtype}")
    assert (weights["4.weight"] == theirs[4].weight.detach().bfloat16().float().numpy()).all()

# Without a file, too.
ours.load_state_dict(theirs.state_dict())
