"""``minireg ops`` and ``minireg info``: what there is, and what could be faster."""

from __future__ import annotations

import argparse
import importlib.util
import platform
from typing import Any

import numpy as np

from .. import __version__, backend
from . import common
from .reference import reference

EXTRAS = {
    "cli": "rich safetensors",
    "viz": "matplotlib graphviz",
    "lessons": "marimo latex2mathml markdown_it nbformat",
    "io": "safetensors",
    "data": "pyarrow",
    "sweep": "joblib threadpoolctl",
    "cluster": "dask distributed threadpoolctl",
    "sklearn": "sklearn",
}


def declare(commands: common.Commands) -> None:
    """Declare both commands."""
    common.declare(commands, "ops", ops, "the table of derivatives as Markdown", ops.__doc__)
    short = "versions, backends, and why there is no GPU"
    common.declare(commands, "info", info, short, info.__doc__)


def ops(args: argparse.Namespace) -> int:
    """``minireg ops``: print each op's gradient, choice at kinks and cost; docs/ops.md is this page."""
    print(reference(), end="")
    return 0


def info(args: argparse.Namespace) -> int:
    """``minireg info``: print the versions, whether the backends can be used, and what to install."""
    print(f"minireg {__version__}, Python {platform.python_version()}, NumPy {np.__version__}")
    print("backend numpy: ready")
    try:
        print(f"backend cupy: ready, CuPy {backend.get('cupy').xp.__version__}")
    except (ImportError, OSError, RuntimeError) as error:  # CuPy needs a folder to write to
        print("backend cupy: not usable:", str(error).removeprefix("backend 'cupy': "))
    try:
        print(f"default backend: {backend.get(backend.get_backend()).name}")
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"default backend: MINIREG_BACKEND is not usable: {error}")
    for package, extra in {p: e for e, named in EXTRAS.items() for p in named.split()}.items():
        there = importlib.util.find_spec(package) is not None
        print(f"{package}: {'installed' if there else f'pip install minireg[{extra}]'}")
    for pool in _blas_pools():
        print(
            f"BLAS: {pool['internal_api']} {pool['version']}, {pool.get('architecture')} kernels, "
            f"{pool['num_threads']} threads"
        )
        if _slow_kernels(pool):
            print(
                "  this CPU has AVX-512 but OpenBLAS chose AVX2 kernels; OPENBLAS_CORETYPE=SkylakeX, "
                "set before Python starts, can make matrix products faster"
            )
    return 0


def _blas_pools() -> list[dict[str, Any]]:
    if importlib.util.find_spec("threadpoolctl") is None:
        return []
    pools: list[dict[str, Any]] = importlib.import_module("threadpoolctl").threadpool_info()
    return [p for p in pools if p["user_api"] == "blas"]


def _slow_kernels(pool: dict[str, Any]) -> bool:
    features: dict[str, bool] = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    return bool(features.get("AVX512F")) and pool.get("architecture") in ("Haswell", "Zen")
