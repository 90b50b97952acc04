"""Steps, normalisations and updates on a GPU, against PyTorch on the same GPU in the same run.

A step is that of :mod:`.network` with AdamW, in float32 without TF32 on both sides. PyTorch runs
it eagerly (fused AdamW) and as a CUDA graph; "the host's part" is how long asking for the work
takes, which bounds a step of small kernels. Kernels are told in GB/s of the memory that they
must move at least, beside the bandwidth of a plain copy. Every figure is the median of blocks of
calls between CUDA events; the contenders take turns. The record is written beside this file.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import minireg as mr
from minireg import backend as backends
from minireg.nn import functional as F  # noqa: N812

from .network import network, training_step

Call = Callable[[], object]
Clock = Callable[[Call, int], float]  # seconds a call, of so many calls
OURS, EAGER, GRAPH = "minireg", "PyTorch eager", "PyTorch CUDA graph"
STEPS = {"step, batch 128": (128, 512), "step, batch 4096": (4096, 512),
         "step, batch 4096, 4096 wide": (4096, 4096)}  # fmt: skip
NORM = 16384, 1024  # rows and columns
UPDATE = 10, 2**22  # parameters and elements of each


def events() -> Clock:
    """A clock of CUDA events on the default stream, which CuPy and PyTorch share."""
    cuda = importlib.import_module("cupy").cuda

    def seconds(f: Call, calls: int) -> float:
        start, stop = cuda.Event(), cuda.Event()
        start.record()
        for _ in range(calls):
            f()
        stop.record()
        stop.synchronize()
        return float(cuda.get_elapsed_time(start, stop)) / 1e3 / calls

    return seconds


def enqueuing() -> Clock:
    """A clock of what the host takes to ask for the work; the device may still be at it."""
    device = importlib.import_module("cupy").cuda.Device()

    def seconds(f: Call, calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            f()
        asked = time.perf_counter() - start
        device.synchronize()
        return asked / calls

    return seconds


def medians(contenders: dict[str, Call], clock: Clock, calls: int, rounds: int) -> dict[str, float]:
    """Median seconds a call of each; they take turns, after one block each that does not count."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, f in contenders.items():
            seconds = clock(f, calls)
            if turn:
                found[name].append(seconds)
    return {name: statistics.median(times) for name, times in found.items()}


# --- the contenders -------------------------------------------------------------------------


def _captured(torch: Any, step: Call) -> Call:
    """The step as a CUDA graph; a few runs on another stream come first, as PyTorch asks."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay  # type: ignore[no-any-return]


def step(home: str, torch: Any, batch: int, width: int) -> dict[str, Call]:
    """One training step of each."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(batch, 784)).astype(np.float32), rng.integers(0, 10, batch)
    with mr.use_backend(home):
        model = network(mr.nn, width)
    found = {OURS: training_step(mr, model, mr.tensor(x, backend=home), mr.tensor(y, backend=home))}
    if torch is None:
        return found
    on_gpu = torch.cuda.is_available()
    place = "cuda" if on_gpu else "cpu"
    data = torch.tensor(x, device=place), torch.tensor(y, device=place)
    found[EAGER] = training_step(torch, network(torch.nn, width).to(place), *data, fused=True)
    if on_gpu:
        other = network(torch.nn, width).to(place)
        found[GRAPH] = _captured(
            torch, training_step(torch, other, *data, fused=True, capturable=True)
        )
    return found


def norms(
    home: str, torch: Any, rows: int, columns: int
) -> Iterator[tuple[str, int, dict[str, Call]]]:
    """(name, arrays moved, contenders) of each normalisation, there and back."""
    host = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    x, g = (
        mr.Tensor(backends.move(a, home), requires_grad=k == 0) for k, a in enumerate((host, host))
    )
    w, b = (
        mr.Tensor(backends.move(np.ones(columns, np.float32), home), requires_grad=True)
        for _ in "wb"
    )
    ours: dict[str, Callable[[Any], Any]] = {
        "LayerNorm": lambda x: F.layer_norm(x, columns, w, b),
        "RMSNorm": lambda x: F.rms_norm(x, columns, w),
        "BatchNorm": lambda x: F.batch_norm(x, None, None, w, b, True),
    }
    theirs: dict[str, Callable[[Any], Any]] = {}
    if torch is not None:
        place = "cuda" if torch.cuda.is_available() else "cpu"
        tx = torch.tensor(host, device=place, requires_grad=True)
        tg = torch.tensor(host, device=place)
        tw, tb = (torch.ones(columns, device=place, requires_grad=True) for _ in "wb")
        f = torch.nn.functional
        theirs = {
            "LayerNorm": lambda x: f.layer_norm(x, (columns,), tw, tb),
            "RMSNorm": lambda x: f.rms_norm(x, (columns,), tw),
            "BatchNorm": lambda x: f.batch_norm(x, None, None, tw, tb, True),
        }
    for name, function in ours.items():
        there: dict[str, Call] = {OURS: lambda f=function: f(x)}  # type: ignore[misc]
        back: dict[str, Call] = {OURS: _back(function(x), [x, w, b], g)}
        if name in theirs:
            peer = theirs[name]
            there[EAGER] = lambda f=peer: f(tx)  # type: ignore[misc]
            back[EAGER] = _back(peer(tx), [tx, tw, tb], tg)
        yield f"{name}, forward", 2, there  # x → y
        yield f"{name}, backward", 3, back  # g, x → dx


def _back(y: Any, leaves: list[Any], g: Any) -> Call:
    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        y.backward(g, retain_graph=True)

    return run


def update(home: str, torch: Any, count: int, size: int) -> dict[str, Call]:
    """AdamW on ``count`` parameters with gradients that stay."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=size).astype(np.float32) for _ in range(2)]
    params = [
        mr.Tensor(backends.move(arrays[0].copy(), home), requires_grad=True) for _ in range(count)
    ]
    optimizer = mr.optim.AdamW(params, lr=1e-3)
    direction = mr.Tensor(backends.move(arrays[1], home))
    for p in params:
        (p * direction).sum().backward()
    found: dict[str, Call] = {OURS: optimizer.step}
    if torch is not None:
        place = "cuda" if torch.cuda.is_available() else "cpu"
        theirs = [torch.tensor(arrays[0], device=place, requires_grad=True) for _ in range(count)]
        for q in theirs:
            q.grad = torch.tensor(arrays[1], device=place)
        found[EAGER] = torch.optim.AdamW(theirs, lr=1e-3, fused=True).step
    return found


# --- the record -----------------------------------------------------------------------------


def measured(
    home: str, torch: Any, clock: Clock, host: Clock, calls: int = 20, rounds: int = 11
) -> dict[str, Any]:
    """All figures: milliseconds of steps; of kernels also GB/s, and those of a copy."""
    rows: list[dict[str, Any]] = []

    def add(name: str, contenders: dict[str, Call], moved: int = 0, clock: Clock = clock) -> None:
        seconds = medians(contenders, clock, calls, rounds)
        rows.append({"name": name, "ms": {k: s * 1e3 for k, s in seconds.items()}})
        if moved:
            rows[-1]["GB/s"] = {k: moved / s / 1e9 for k, s in seconds.items()}

    for name, (batch, width) in STEPS.items():
        contenders = step(home, torch, batch, width)
        add(name, contenders)
        add(f"{name}, the host's part", contenders, clock=host)
    n = 4 * NORM[0] * NORM[1]
    source = backends.move(np.ones(NORM, np.float32), home)
    target = np.empty_like(source)
    add("copy", {OURS: lambda: target.__setitem__(..., source)}, 2 * n)
    for name, arrays, contenders in norms(home, torch, *NORM):
        add(name, contenders, arrays * n)
    moved = 7 * 4 * UPDATE[0] * UPDATE[1]  # θ, g, m, v in; θ, m, v out
    add("AdamW, update", update(home, torch, *UPDATE), moved)
    return {"rows": rows}


def machine(torch: Any) -> dict[str, str]:
    """What the figures were measured on."""
    cupy = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    name = runtime.getDeviceProperties(0)["name"].decode()
    return {
        "GPU": name, "driver": str(runtime.driverGetVersion()), "CUDA": str(runtime.runtimeGetVersion()),
        "CuPy": cupy.__version__, "PyTorch": getattr(torch, "__version__", "not there"),
        "CUPY_TF32": os.environ.get("CUPY_TF32", "0"),
        "NumPy": np.__version__, "Python": platform.python_version(), "minireg": mr.__version__,
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """The record as a page: the machine, steps in ms, kernels in GB/s and against a copy."""
    lines = [f"# {record['machine']['GPU']}, {record['date']}", ""]
    lines += [", ".join(f"{k} {v}" for k, v in record["machine"].items() if k != "GPU"), ""]
    steps = [row for row in record["rows"] if "GB/s" not in row]
    kernels = [row for row in record["rows"] if "GB/s" in row]
    names = list(dict.fromkeys(name for row in steps for name in row["ms"]))
    lines += [
        f"| ms | {' | '.join(names)} | minireg / fastest peer |",
        "| --- " * (len(names) + 2) + "|",
    ]
    for row in steps:
        cells = [f"{row['ms'][n]:.3f}" if n in row["ms"] else "–" for n in names]
        lines.append(f"| {row['name']} | {' | '.join(cells)} | {_ratio(row['ms'])} |")
    copy = next(row["GB/s"][OURS] for row in kernels if row["name"] == "copy")
    names = list(dict.fromkeys(name for row in kernels for name in row["GB/s"]))
    lines += ["", f"| GB/s | {' | '.join(names)} | minireg / copy | minireg / fastest peer |"]
    lines += ["| --- " * (len(names) + 3) + "|"]
    for row in kernels:
        rates = row["GB/s"]
        cells = [f"{rates[n]:,.0f}" if n in rates else "–" for n in names]
        share = f"{rates[OURS] / copy:.2f}"
        lines.append(f"| {row['name']} | {' | '.join(cells)} | {share} | {_ratio(row['ms'])} |")
    return "\n".join([*lines, ""])


def _ratio(ms: dict[str, float]) -> str:
    """Our time by that of the fastest peer: below 1 is faster."""
    peers = [t for name, t in ms.items() if name != OURS]
    return f"{ms[OURS] / min(peers):.2f}" if peers else "–"


def write(record: dict[str, Any], folder: Path) -> list[Path]:
    """The record as JSON and as a page, named by date and GPU."""
    gpu = re.sub(r"[^a-z0-9]+", "-", record["machine"]["GPU"].lower()).strip("-")
    paths = [folder / f"gpu-{record['date']}-{gpu}.{suffix}" for suffix in ("json", "md")]
    paths[0].write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(markdown(record), encoding="utf-8")
    return paths


def run() -> dict[str, Any]:
    """Measure, print and write; ``ImportError`` or ``RuntimeError`` without CuPy or a GPU."""
    home = backends.get("cupy").name
    torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None
    if torch is not None and not torch.cuda.is_available():
        print("PyTorch is here but without CUDA: minireg alone is measured")
        torch = None
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = False
    record = {
        "date": f"{date.today()}",
        "machine": machine(torch),
        **measured(home, torch, events(), enqueuing()),
    }
    print(markdown(record))
    for path in write(record, Path(__file__).parent):
        print(f"written to {path}")
    return record
