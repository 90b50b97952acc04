"""Weights on disk: NumPy's ``.npz``, or ``.safetensors`` with the ``io`` extra. No pickle.

A file is written under a temporary name in the same folder and renamed when it is complete, so
there is always one that can be read: the old or the new. Every entry of an ``.npz`` has a checksum,
so damage is detected; the ``.safetensors`` format has none.
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
from numpy.typing import ArrayLike

from .backend import as_array, of
from .messages import needed
from .nn.module import Module

_SUFFIXES = (".npz", ".safetensors")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file to write to, which replaces ``path`` if the block ends without an error.

    Otherwise it is removed (a killed process leaves it, hidden) and the old file is kept. What is
    no regular file (``/dev/stdout``) is written to directly. ``FileNotFoundError`` if the folder
    does not exist, ``PermissionError`` if the file is read-only.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "figures.json"
    >>> with replacing(path) as temporary: _ = temporary.write_text("{}")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('{}', 1)
    """
    path = Path(os.path.realpath(path))  # a link stays one
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {str(path.parent)!r} to write {path.name!r} to")
    if path.exists() and not path.is_file():
        yield path
        return
    exists = path.exists()
    if exists and not os.access(path, os.W_OK):
        raise PermissionError(f"{str(path)!r} is read-only")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if exists:
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    """The arrays to write, C-contiguous and on the host."""
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


def save(path: str | Path, state: Module | Mapping[str, ArrayLike]) -> None:
    """Write a model's parameters and buffers, or any named arrays, to a file.

    Parameters
    ----------
    path : ends in ``.npz`` (as :func:`numpy.savez`) or ``.safetensors`` (with the ``io`` extra). An
        existing file is replaced when the new one is complete.
    state : a Module, whose ``state_dict`` is written, or a mapping of names to arrays or Tensors of
        any shape and dtype of numbers.

    Before anything is written raises ``TypeError`` for what is no array of numbers, ``ValueError``
    for another suffix or a name that no file can keep, ``ImportError`` without safetensors, and
    ``FileNotFoundError`` if there is no such folder.

    >>> import tempfile, minireg as mr
    >>> path = Path(tempfile.mkdtemp()) / "weights.npz"
    >>> mr.save(path, mr.nn.Linear(2, 1)); sorted(mr.load(path))
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
        with replacing(path) as temporary:
            try:
                write(arrays, str(temporary))
            except Exception as error:  # its own kind, which names no file
                raise OSError(f"save: {str(path)!r} cannot be written: {error}") from error
        return
    # as np.savez, except that every name is allowed ("file") and no object is pickled
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def load(path: str | Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read named arrays from a file, for ``model.load_state_dict``.

    ``path`` ends in ``.npz`` (as :func:`numpy.load`, without pickle) or ``.safetensors``. Returns
    {name: array} on the host, with the shapes and dtypes that were saved. Raises
    ``FileNotFoundError`` if there is no file, ``ImportError`` without safetensors, and
    ``ValueError`` for another suffix and for a file that is damaged, has a name twice or holds
    anything else than arrays of numbers.

    >>> import tempfile, minireg as mr
    >>> path = Path(tempfile.mkdtemp()) / "weights.npz"
    >>> mr.save(path, {"w": np.arange(3)})
    >>> mr.load(path)
    {'w': array([0, 1, 2])}
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
    """The open file; any error while it is read becomes a ``ValueError`` that names the file."""
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
