"""Weights on disk: NumPy's ``.npz``, or ``.safetensors`` with the ``io`` extra. No pickle.

A file is written under a temporary name in the same folder and renamed when it is complete, so
there is always one that can be read: the old or the new. Damage is detected: every entry of an
``.npz`` has a checksum, and what is written here as ``.safetensors`` has one for every array and one
for the header that holds these, in its metadata.

A checkpoint of a training (:mod:`minireg.progress`) is a ``.safetensors`` file as well: a tree of
dicts, lists, numbers, text and arrays, whose arrays are entries and whose rest is metadata.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from .backend import as_array, is_array, of
from .messages import needed
from .nn.module import Module

_SUFFIXES = (".npz", ".safetensors")
_SUMS, _SEAL, _TREE = "minireg.arrays", "minireg.checksum", "minireg.checkpoint"  # in the metadata
_BLANK = "0" * 64  # in place of the header's own checksum while it is computed


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


def _suffix(owner: str, path: Any, allowed: Sequence[str] = _SUFFIXES) -> str:
    if not isinstance(path, str | os.PathLike):
        swapped = "; the path comes first" if owner == "save" else ""
        raise TypeError(f"{owner}: path must be a file name, got {type(path).__name__}{swapped}")
    suffix = Path(path).suffix
    if suffix not in allowed:
        raise ValueError(f"{owner}: {str(path)!r} must end in {' or '.join(allowed)}")
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

    PyTorch reads a ``.safetensors`` file with ``safetensors.torch.load_file``, under the same names.

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
        _write_safetensors("save", path, arrays, {})
        return
    # as np.savez, except that every name is allowed ("file") and no object is pickled
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _write_safetensors(
    owner: str, path: str | Path, arrays: dict[str, np.ndarray[Any, Any]], metadata: dict[str, str]
) -> None:
    """Write the file with the checksums of its arrays and of its header."""
    module = _safetensors()
    for name, array in arrays.items():
        if name == "__metadata__" or array.dtype == np.complex128:
            called = f"an array called {name!r}"
            what = called if name == "__metadata__" else f"{name!r}, complex128"
            raise ValueError(f"{owner}: .safetensors cannot hold {what}; take .npz")
    sums = json.dumps({name: checksum(array) for name, array in arrays.items()})
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # of any new file; the library makes it private
        try:
            module.save_file(arrays, str(temporary), {**metadata, _SUMS: sums, _SEAL: _BLANK})
        except Exception as error:  # its own kind, which names no file
            raise OSError(f"{owner}: {str(path)!r} cannot be written: {error}") from error
        if not temporary.is_file():  # a device keeps nothing
            return
        temporary.chmod(mode)
        with open(temporary, "rb+") as file:
            head = _head(file)
            file.seek(head.index(f'"{_SEAL}":"{_BLANK}"'.encode()) + len(_SEAL) + 4)
            file.write(hashlib.sha256(head).hexdigest().encode())


def _head(file: BinaryIO) -> bytes:
    """The first eight bytes of a ``.safetensors`` file and its header, whose length they say."""
    start, size = file.read(8), os.fstat(file.fileno()).st_size
    length = int.from_bytes(start, "little")
    if size < 8 or length > size - 8:
        raise ValueError(f"it has {size:,} bytes, and its header should have {length:,}")
    return start + file.read(length)


def checksum(array: np.ndarray[Any, Any]) -> str:
    """SHA-256 of the bytes of an array, as a file has them (little-endian), in hexadecimal.

    >>> checksum(np.zeros(3))[:8]
    '9d908ecf'
    """
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return hashlib.sha256(little.reshape(-1).view(np.uint8).data).hexdigest()


def load(path: str | Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read named arrays from a file, for ``model.load_state_dict``.

    ``path`` ends in ``.npz`` (as :func:`numpy.load`, without pickle) or ``.safetensors``, of PyTorch's
    ``safetensors.torch.save_file``, too. Returns {name: array} on the host, with the shapes and
    dtypes that were saved; bfloat16, which NumPy lacks, becomes float32, exactly. Raises
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
    if suffix == ".safetensors" and Path(path).exists():
        _safetensors()
    with _opened("load", path) as file:
        return _read_npz(file) if suffix == ".npz" else _read_safetensors(file)[0]


@contextmanager
def _opened(owner: str, path: str | Path) -> Iterator[BinaryIO]:
    """The open file; any error while it is read becomes a ``ValueError`` that names the file."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{owner}: no file {str(path)!r}") from error
    with file:
        try:
            yield file
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(
                f"{owner}: {str(path)!r} is damaged or no {Path(path).suffix} file of arrays: {reason}"
            ) from error


def _read_npz(file: BinaryIO) -> dict[str, np.ndarray[Any, Any]]:
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"two entries are called {name!r}")
            with archive.open(info) as entry:
                try:
                    arrays[name] = np.lib.format.read_array(entry, allow_pickle=False)
                except ValueError as error:
                    why = str(error).partition(" when ")[0]  # allow_pickle is no option here
                    raise ValueError(f"entry {name!r}: {why}") from error
                more = entry.read(1)
            if more or arrays[name].dtype.kind not in "biufc":
                what = (
                    "holds more than its header says" if more else f"has dtype {arrays[name].dtype}"
                )
                raise ValueError(f"entry {name!r} {what}, expected an array of numbers")
    return arrays


# --- .safetensors: the library reads and writes it; names that come twice, bfloat16 and checksums ---


def _read_safetensors(file: BinaryIO) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """(arrays, metadata), held to the checksums, if minireg has written the file."""
    head = _head(file)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    with _safetensors().safe_open(file.name, framework="np") as opened:  # checks the header
        header = _json(head[8:])
        metadata = header.pop("__metadata__", None) or {}
        for name, entry in header.items():
            if entry["dtype"] == "BF16":  # the upper half of a float32
                first, end = entry["data_offsets"]
                file.seek(len(head) + first)
                upper = np.frombuffer(file.read(end - first), "<u2").astype(np.uint32)
                arrays[name] = (upper << 16).view(np.float32).reshape(entry["shape"])
                continue
            try:
                arrays[name] = opened.get_tensor(name)
            except (TypeError, AttributeError) as error:
                raise ValueError(f"{name!r} is {entry['dtype']}, which NumPy lacks") from error
    if _SEAL in metadata:
        written = head.replace(metadata[_SEAL].encode(), _BLANK.encode(), 1)
        if hashlib.sha256(written).hexdigest() != metadata[_SEAL]:
            raise ValueError("the header does not have its checksum")
        sums = _json(metadata[_SUMS])
        for name, array in arrays.items():
            if checksum(array) != sums.get(name):
                raise ValueError(f"the array {name!r} does not have its checksum")
    return arrays, metadata


def _json(text: str | bytes) -> Any:
    """JSON without a name that comes twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"the name {max(names, key=names.count)!r} comes twice")
        return found

    return json.loads(text, object_pairs_hook=once)


# --- a checkpoint: a tree with arrays ------------------------------------------------------------


def previous(path: str | Path) -> Path:
    """Where the checkpoint before the one at ``path`` is kept: beside it, or beside what a link leads to.

    >>> previous("runs/a.safetensors").name
    'a.previous.safetensors'
    """
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def check_path(owner: str, path: Any) -> None:
    """Raise as :func:`load` does unless a checkpoint may have this name."""
    _suffix(owner, path, (".safetensors",))


def write_tree(owner: str, path: str | Path, tree: Any, keep: bool = True) -> None:
    """Write dicts, lists, tuples, numbers, text and arrays as a checkpoint; ``keep`` the one before.

    A file ``path`` becomes :func:`previous` by a second name, so that ``path`` is there all the time.
    ``TypeError`` for anything else in the tree, before anything is written, and errors as :func:`save`.
    """
    check_path(owner, path)
    arrays: dict[str, Any] = {}

    def entered(value: Any, at: str) -> Any:
        if not is_array(value):
            raise TypeError(f"{owner}: a checkpoint cannot hold {at}, a {type(value).__name__}")
        while at in arrays:  # "a/b" may be a name, too
            at += "'"
        arrays[at] = value
        return {"scalar" if isinstance(value, np.generic) else "array": at}

    text = json.dumps(packed(tree, entered))
    if keep and Path(path).is_file():
        with replacing(previous(path)) as second:
            try:
                os.link(os.path.realpath(path), second)  # of a link the file
            except OSError:  # a file system without links
                shutil.copyfile(path, second)
    _write_safetensors(owner, path, _arrays(arrays), {_TREE: text})


def read_tree(owner: str, path: str | Path) -> Any:
    """The tree of a checkpoint.

    ``FileNotFoundError`` if there is no file, ``ValueError`` that says what is wrong with it, and with
    which array, and where the one before is.
    """
    check_path(owner, path)
    _safetensors()
    try:
        with _opened(owner, path) as file:
            arrays, metadata = _read_safetensors(file)
            if _SEAL not in metadata or _TREE not in metadata:
                raise ValueError("it holds no checkpoint, as fit(..., checkpoint=PATH) writes it")
            taken = {"array": lambda a: a, "scalar": lambda a: a[()]}
            tree = unpacked(_json(metadata[_TREE]), lambda at, kind: taken[kind](arrays.pop(at)))
            if arrays:
                raise ValueError(f"nothing says what the arrays {[*arrays]} are")
    except ValueError as error:
        if previous(path).is_file():
            raise ValueError(f"{error}; the one before is {str(previous(path))!r}") from error
        raise
    return tree


def check_format(found: object, expected: int) -> None:
    """``ValueError`` that says what to do unless a file has the format that is read here.

    >>> check_format(1, 1)
    """
    if found != expected:
        raise ValueError(
            f"its format is {found}, expected {expected}: of another version of minireg; read it with that "
            "one, or make it anew"
        )


# --- values as JSON ------------------------------------------------------------------------------

Leaf = Callable[[Any, str], Any]


def packed(value: Any, leaf: Leaf, at: str = "") -> Any:
    """None, bools, numbers, text, lists, tuples and dicts as strict JSON; {kind: …} is what that lacks.

    ``leaf`` packs anything else, as {kind: …} with a kind of its own; it is told where it stands.

    >>> packed({1: (float("inf"),)}, repr)
    {'dict': [[1, {'tuple': [{'float': '000000000000f07f'}]}]]}
    """

    def inner(key: Any, v: Any) -> Any:
        return packed(v, leaf, f"{at}/{key}" if at else str(key))

    kind = type(value)
    if kind is float and not math.isfinite(value):
        return {"float": struct.pack("<d", value).hex()}
    if value is None or kind in (bool, int, float, str):
        return value
    if kind in (list, tuple):
        items = [inner(i, v) for i, v in enumerate(value)]
        return items if kind is list else {"tuple": items}
    if kind is dict:
        return {"dict": [[inner("key", key), inner(key, v)] for key, v in value.items()]}
    return leaf(value, at)


def unpacked(value: Any, leaf: Leaf) -> Any:
    """What :func:`packed` has packed; ``leaf`` gets what is under another kind, and the kind."""
    inner: Callable[[Any], Any] = partial(unpacked, leaf=leaf)
    match value:
        case {"float": text}:
            return struct.unpack("<d", bytes.fromhex(text))[0]
        case {"dict": pairs}:
            return {inner(key): inner(v) for key, v in pairs}
        case {"tuple": items}:
            return (*map(inner, items),)
        case list():
            return [*map(inner, value)]
        case dict():
            ((kind, held),) = value.items()
            return leaf(held, kind)
    return value
