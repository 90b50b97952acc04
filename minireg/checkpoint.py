"""Weights on disk: NumPy's ``.npz``, or ``.safetensors`` with the ``io`` extra. No pickle."""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .backend import of
from .nn.module import Module
from .tensor import Tensor

_SUFFIXES = (".npz", ".safetensors")


def _safetensors() -> Any:
    try:
        return importlib.import_module("safetensors.numpy")
    except ImportError as error:
        raise ImportError(".safetensors files need: pip install 'minireg[io]'") from error


def _suffix(path: str | Path) -> str:
    suffix = Path(path).suffix
    if suffix not in _SUFFIXES:
        raise ValueError(f"checkpoint: {str(path)!r} must end in one of {', '.join(_SUFFIXES)}")
    return suffix


def save(path: str | Path, state: Module | Mapping[str, Any]) -> None:
    """Write a model's parameters and buffers (or any mapping of named arrays) to a file.

    >>> import tempfile, minireg as mr
    >>> path = Path(tempfile.mkdtemp()) / "weights.npz"
    >>> save(path, mr.nn.Linear(2, 1)); sorted(load(path))
    ['bias', 'weight']
    """
    suffix = _suffix(path)
    named = state.state_dict() if isinstance(state, Module) else state
    raw = {n: t.data if isinstance(t, Tensor) else np.asarray(t) if np.isscalar(t) else t
           for n, t in named.items()}  # fmt: skip
    arrays: dict[str, Any] = {n: np.array(of(a).to_numpy(a), order="C") for n, a in raw.items()}
    if suffix == ".npz":
        # what np.savez does, but open to every name ("file") and closed to pickles
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
    else:
        _safetensors().save_file(arrays, str(path))


def load(path: str | Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read named arrays from a file; hand them to ``model.load_state_dict``."""
    if not Path(path).exists():
        raise FileNotFoundError(f"checkpoint: no file {str(path)!r}")
    if _suffix(path) == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    return dict(_safetensors().load_file(str(path)))
