"""Checkpoints: what is saved comes back, bit for bit, and without pickle."""

import importlib
import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import minireg as mr
from minireg import nn, optim
from minireg.checkpoint import checksum

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
@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", ">i8", ">u2"])
def test_arrays_of_another_byte_order_come_back(dtype, suffix, tmp_path):
    """The file was called damaged: it has the bytes in its own order, of which there was no checksum."""
    path, array = tmp_path / f"state.{suffix}", np.array([[1, 2], [300, 4]], dtype)
    mr.save(path, {"a": array})
    assert (mr.load(path)["a"] == array).all()
    assert checksum(array) == checksum(array.astype(dtype.replace(">", "<")))


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
    message = f"{str(path)!r} must end in .npz or .safetensors"
    with pytest.raises(ValueError, match=re.escape(message)):
        mr.save(path, {"w": np.ones(1)})
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=re.escape(message)):
        mr.load(path)


@every_suffix
def test_a_missing_file_is_named(suffix, tmp_path):
    path = tmp_path / f"nowhere.{suffix}"
    with pytest.raises(FileNotFoundError, match=re.escape(f"load: no file {str(path)!r}")):
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
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        mr.load(tmp_path / "pickled.npz")


# --- nothing is lost --------------------------------------------------------------------------------

OLD, NEW = {"w": np.ones(2)}, {"w": np.zeros(2), "b": np.zeros(3)}


def test_defect_3_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.npz"
    mr.save(path, OLD)
    with pytest.raises(TypeError, match="save: 'b' must be numbers"):
        mr.save(path, OLD | {"b": np.array([None], object)})
    assert mr.load(path)["w"].tolist() == [1, 1]


class FullError(OSError):
    pass


def full(*args, **options):
    raise FullError("No space left on device")


@every_suffix
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(step, suffix, tmp_path, monkeypatch):
    path = tmp_path / f"a.{suffix}"
    mr.save(path, OLD)
    if step != "write":
        monkeypatch.setattr(os, step, full)
    elif suffix == "npz":
        monkeypatch.setattr(np.lib.format, "write_array", full)
    else:
        monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        mr.save(path, NEW)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert mr.load(path)["w"].tolist() == [1, 1]


KILLED = """
import os, signal, sys
import numpy as np, minireg as mr

path, moments = sys.argv[1], []
for step in range(10):
    if os.fork() == 0:
        def dying(call):
            def count(*args, **options):
                moments.append(call)
                if len(moments) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **options)
            return count
        np.lib.format.write_array = dying(np.lib.format.write_array)
        os.fsync, os.replace = dying(os.fsync), dying(os.replace)
        mr.save(path, {f"{i}": np.full(9, step) for i in range(7)})
        os._exit(0)
    died = os.WIFSIGNALED(os.wait()[1])
    print(died, *{int(a.max()) for a in mr.load(path).values()})
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_defect_3_a_killed_save_leaves_the_old_file(tmp_path):
    """Killed at each of the nine moments of a save: what was saved before can still be read."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.npz")]
    env = os.environ | {"PYTHONPATH": str(Path(mr.__file__).parents[1])}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False 0", *["True 0"] * 9]


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    mr.save(tmp_path / "a.npz", OLD)
    (tmp_path / "b.npz").symlink_to("a.npz")
    mr.save(tmp_path / "b.npz", NEW)
    assert (tmp_path / "b.npz").is_symlink()
    assert sorted(mr.load(tmp_path / "a.npz")) == ["b", "w"]
    with mr.checkpoint.replacing(os.devnull) as beside:
        assert str(beside) == os.devnull


def test_a_replaced_file_keeps_its_permissions(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    mr.save(path, OLD)
    path.chmod(0o600)
    mr.save(path, NEW)
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(PermissionError, match=r"a\.npz' is read-only"):
        mr.save(path, OLD)
    assert sorted(mr.load(path)) == ["b", "w"]


# --- odd files and odd names ------------------------------------------------------------------------


def test_defect_22_names_that_look_like_files_stay_apart(tmp_path):
    mr.save(tmp_path / "a.npz", {"a": np.ones(1), "a.npy": np.zeros(1), "": np.full(1, 2)})
    state = mr.load(tmp_path / "a.npz")
    assert {n: a.item() for n, a in state.items()} == {"a": 1, "a.npy": 0, "": 2}


def npz(entries) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def npy(array) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def declared(shape) -> bytes:
    text = f"{shape}, }}".encode()
    return npy(np.ones(3)).replace(b"(3,), }".ljust(len(text)), text)


GOOD = npz([("w.npy", npy(np.arange(6.0)))])

# label: (bytes, words of the message)
DAMAGED = {
    "nothing": (b"", "not a zip file"),
    "text": (b"epoch,loss\n1,2\n", "not a zip file"),
    "a pickle": (b"\x80\x04N.", "not a zip file"),
    "a truncated head": (GOOD[30:], ""),
    "a truncated tail": (GOOD[:-30], "not a zip file"),
    "an entry of text": (npz([("notes", b"hello")]), "entry 'notes': EOF"),
    "strings": (npz([("w.npy", npy(np.array(["a"])))]), "'w' has dtype <U1, expected an array of numbers"),
    "dates": (npz([("w.npy", npy(np.array(["2020-01-01"], "M8[D]")))]), "datetime64[D]"),
    "fields": (npz([("w.npy", npy(np.zeros(1, [("a", "f4")])))]), "'a'"),
    "objects": (npz([("w.npy", npy(np.array([None], object)))]), "Object arrays cannot"),
    "4 TB": (npz([("w.npy", declared((4 << 39,)))]), "(2199023255552,)"),
    "too short": (npz([("w.npy", declared((9,)))]), "expected 72 bytes got 24"),
    "a header that is no header": (npz([("w.npy", b"\x93NUMPY\x01\x00\x04\x00 {!\n")]), "EOF"),
}  # fmt: skip


@pytest.mark.parametrize("label", DAMAGED)
def test_defect_22_a_damaged_file_is_named(label, tmp_path):
    content, words = DAMAGED[label]
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged or no \.npz file of arrays: ") as raised:
        mr.load(path)
    assert str(path) in str(raised.value)
    assert words in str(raised.value)
    assert "allow_pickle" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_defect_22_a_name_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(npz([("w.npy", npy(np.ones(1))), ("w.npy", npy(np.zeros(1)))]))
    with pytest.raises(ValueError, match="two entries are called 'w'"):
        mr.load(path)


@every_suffix
def test_a_damaged_file_gives_its_arrays_or_an_error(suffix, tmp_path):
    """No crash, no other error, and no other numbers: both have checksums."""
    path, rng = tmp_path / f"weights.{suffix}", np.random.default_rng(0)
    state = {"w": rng.normal(size=(3, 4)), "b": np.arange(3)}
    mr.save(path, state)
    good = path.read_bytes()
    for i in range(150):
        bad = bytearray(good)
        if i % 3:
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        else:
            del bad[rng.integers(len(bad)) :]
        path.write_bytes(bad)
        try:
            found = mr.load(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert all((found[n] == state[n]).all() for n in found if n in state)


def test_what_pytorch_saved_is_read():
    """torch.safetensors is what safetensors.torch.save_file made of these."""
    found = mr.load(Path(__file__).parent / "golden" / "torch.safetensors")
    expected = {
        "0.weight": (np.arange(6, dtype=np.float32) / 8).reshape(2, 3),
        "0.bias": np.array([0.5, -3.140625], np.float32),  # was bfloat16
        "1.running_mean": np.array([1.5, -2.0], np.float16),
        "1.num_batches_tracked": np.array(7),
        "mask": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_a_name_twice_in_safetensors_is_refused(tmp_path):
    entry = b'"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
    header = b"{" + entry + b", " + entry + b"}"
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ValueError, match="the name 'w' comes twice"):
        mr.load(path)
