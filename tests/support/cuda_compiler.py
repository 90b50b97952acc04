"""CUDA sources compiled without a GPU, as CuPy would compile them."""

import ctypes
import ctypes.util
import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


@functools.cache
def nvrtc() -> Any:
    """NVIDIA's run-time compiler, which needs no GPU: ``pip install nvidia-cuda-nvrtc-cu12``."""
    spec = importlib.util.find_spec("nvidia")  # where the wheels lie
    folders = spec.submodule_search_locations if spec else []
    wheels = [f for d in folders or [] for f in Path(d).glob("c*/lib/libnvrtc.so.*")]
    found = [*wheels, ctypes.util.find_library("nvrtc")][0]
    return ctypes.CDLL(str(found)) if found else None


def compile_nvrtc(source: str, *options: str) -> tuple[str, str]:
    """(PTX, log) of a source; the log is empty unless there is something to say."""
    library, program = nvrtc(), ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    given = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
    status = library.nvrtcCompileProgram(program, len(options), given)
    texts = []
    for what in ("ProgramLog", "PTX"):
        size = ctypes.c_size_t()
        getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value + 1)
        getattr(library, f"nvrtcGet{what}")(program, text)
        texts.append(text.value.decode())
    library.nvrtcDestroyProgram(ctypes.byref(program))
    assert status == 0, texts[0]
    return texts[1], texts[0]


def compile_nvcc(source: str, *options: str) -> tuple[str, str]:
    command = ["nvcc", "-x", "cu", "-ptx", *options, "-o", "/dev/stdout", "-"]
    done = subprocess.run(command, input=source, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def compile_cuda(source: str) -> tuple[str, str]:
    """With NVRTC, else nvcc; a missing compiler is a skip unless it was asked for."""
    options = "--std=c++17", "--gpu-architecture=compute_80", "-ftz=true"  # as CuPy's
    if nvrtc() is not None:
        return compile_nvrtc(source, *options)
    if shutil.which("nvcc"):
        return compile_nvcc(source, *options)
    reason = "no CUDA compiler: pip install nvidia-cuda-nvrtc-cu12, or put nvcc on the PATH"
    if os.environ.get("MINIREG_REQUIRE_ORACLES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
