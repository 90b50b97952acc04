"""Weights on disk: NumPy's ``.npz``, or ``.safetensors`` with the ``io`` extra. No pickle.

A file is written beside the one it replaces and renamed when it is complete, so whatever happens
there is always one that can be read: the old or the new. Of an ``.npz`` every entry has a check
sum, so damage is noticed; the ``.safetensors`` format has none.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .backend import as_array, of
from .messages import needed
from .nn.module import Module

_SUFFIXES = (".npz", ".safetensors")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A name beside ``path`` to write to, which becomes ``path`` if the block ends without an error.

    Otherwise nothing is left behind (by a process that is killed: a hidden file), and what was
    there stays as it was. What is no regular file
    (``/dev/stdout``) is written to directly.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "figures.json"
    >>> with replacing(path) as beside: _ = beside.write_text("{}")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('{}', 1)
    """
    path = Path(os.path.realpath(path))  # a link stays one
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {str(path.parent)!r} to write {path.name!r} to")
    if path.exists() and not path.is_file():
        yield path
        return
    there = path.exists()
    if there and not os.access(path, os.W_OK):
        raise PermissionError(f"{str(path)!r} is read-only")
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        yield beside
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        if there:
            shutil.copymode(path, beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _safetensors() -> Any:
    return needed(".safetensors files need", "safetensors.numpy", "'minireg[io]'")


def _suffix(owner: str, path: Any) -> str:
    if not isinstance(path, str | os.PathLike):
        swapped = "; the path comes first" if owner == "save" else ""
        raise TypeError(f"{owner}: path must be a file name, got {type(path).__name__}{swapped}")
    suffix = Path(path).suffix
    if suffix not in _SUFFIXES:
        raise ValueError(f"{owner}: {str(path)!r} must end in one of {', '.join(_SUFFIXES)}")
    return suffix


def _arrays(state: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Everything that is to be written, as C-contiguous arrays of numbers on the host."""
    named = state.state_dict() if isinstance(state, Module) else state
    hint = ""
    if hasattr(state, "param_groups") or (isinstance(state, Mapping) and "param_groups" in state):
        hint = (
            "; an optimizer's arrays need names, {f'{i}.{k}': a for i, s in "
            "optimizer.state_dict()['state'].items() for k, a in s.items()}"
        )
    if hint or not isinstance(named, Mapping):
        raise TypeError(
            "save: state must be a Module or a mapping of names to arrays, got "
            f"{'the state of an optimizer' if hint else type(state).__name__}{hint}"
        )
    found: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in named.items():
        if not isinstance(name, str):
            raise TypeError(f"save: names must be text, got {name!r}; write {str(name)!r}")
        if "\0" in name or name != name.encode(errors="replace").decode():
            raise ValueError(f"save: the name {name!r} has a character that no file can keep")
        if isinstance(value, Mapping | Module):
            raise TypeError(
                f"save: {name!r} is a {type(value).__name__}, expected an array; make one flat "
                f"mapping, as with {{f'{name}.{{n}}': a for n, a in model.state_dict().items()}}"
            )
        raw = as_array(value, f"save: {name!r}")
        found[name] = np.array(of(raw).to_numpy(raw), order="C")
    return found


def save(path: str | Path, state: Module | Mapping[str, Any]) -> None:
    """Write a model's parameters and buffers (or any mapping of named arrays) to a file.

    An existing file is replaced when the new one is complete. Raises ``TypeError`` for what is no
    array of numbers and ``ValueError`` for another suffix, before anything is written.

    >>> import tempfile, minireg as mr
    >>> path = Path(tempfile.mkdtemp()) / "weights.npz"
    >>> save(path, mr.nn.Linear(2, 1)); sorted(load(path))
    ['bias', 'weight']
    """
    suffix, arrays = _suffix("save", path), _arrays(state)
    if suffix == ".safetensors":
        write = _safetensors().save_file
        for name, array in arrays.items():
            if name == "__metadata__" or array.dtype == np.complex128:
                what = (
                    f"an array called {name!r}"
                    if name == "__metadata__"
                    else f"{name!r}, complex128"
                )
                raise ValueError(f"save: .safetensors cannot hold {what}; take .npz")
        with replacing(path) as beside:
            try:
                write(arrays, str(beside))
            except Exception as error:  # its own kind, which names no file
                raise OSError(f"save: {str(path)!r} cannot be written: {error}") from error
        return
    # what np.savez does, but open to every name ("file") and closed to pickles
    with replacing(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def load(path: str | Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read named arrays from a file; hand them to ``model.load_state_dict``.

    Raises ``FileNotFoundError``, and ``ValueError`` for a file that is damaged or that holds
    anything but arrays of numbers, each under a name of its own.
    """
    suffix = _suffix("load", path)
    with _opened(path) as file:
        if suffix == ".npz":
            return _read_npz(file)
    module = _safetensors()
    with _opened(path):
        return dict(module.load_file(str(path)))


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    """The file; whatever goes wrong while it is read is told as one error that names it."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError as error:
        raise FileNotFoundError(f"load: no file {str(path)!r}") from error
    with file:
        try:
            yield file
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(
                f"load: {str(path)!r} is damaged or no {Path(path).suffix} file of arrays: {reason}"
            ) from error


def _read_npz(file: BinaryIO) -> dict[str, np.ndarray[Any, Any]]:
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"two entries are called {name!r}")
            with archive.open(info) as entry:
                _check_header(name, entry, info.file_size)
                entry.seek(0)
                arrays[name] = np.lib.format.read_array(entry, allow_pickle=False)
    return arrays


def _check_header(name: str, entry: Any, size: int) -> None:
    """``ValueError`` unless the entry is an array of numbers, as long as its header says."""
    if entry.read(6) != b"\x93NUMPY":
        raise ValueError(f"entry {name!r} is no array")
    entry.seek(0)
    major, _ = np.lib.format.read_magic(entry)
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if major == 1 else np.lib.format.read_array_header_2_0)(entry)
    if dtype.kind not in "biufc":
        raise ValueError(f"entry {name!r} has dtype {dtype}, expected numbers")
    expected, held = dtype.itemsize * int(np.prod(shape, dtype=object)), size - entry.tell()
    if held != expected:
        raise ValueError(
            f"entry {name!r} holds {held:,} bytes, expected {expected:,} for the shape {shape} in its header"
        )
