"""What the benchmarks do beside measuring: counting launches, taking turns, writing records."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from support import strict

sys.path.append(str(Path(__file__).parents[1]))  # the benchmarks are no part of the package
from benchmarks import __main__ as command
from benchmarks import gpu, launches

# --- launches -------------------------------------------------------------------------------------

# Of the step of benchmarks/network.py with AdamW, in kernels; to be lowered whenever one falls.
MOST = {"forward": 21, "backward": 18, "update": 1, "clipped": 3}


def kernels(counts):
    """Kernels by part; a copy of a table to the device is none."""
    return {part: launches.kernels(found) for part, found in counts.items()}


def test_a_step_launches_no_more_than_it_did():
    with strict.count_syncs() as syncs:
        fused, plain = (kernels(launches.count(fused)) for fused in (True, False))
    assert not syncs
    assert all(fused[part] <= most for part, most in MOST.items()), fused
    assert all(fused[part] < plain[part] for part in MOST)
    assert sum(fused.values()) - fused["clipped"] <= 40


def test_fused_kernels_are_counted_by_name():
    counts = launches.count()
    assert counts["update"]["AdamW"] == 1
    assert counts["forward"]["batch_forward"] == counts["backward"]["batch_backward"] == 2
    assert counts["forward"]["dropout_mask"] == 2
    assert counts["forward"]["matmul"] == 3
    assert counts["backward"]["matmul"] == 5  # the input wants no gradient


def test_the_launches_are_printed(capsys):
    assert command.main(["launches", "--json"]) == 0
    *text, record = capsys.readouterr().out.strip().splitlines()
    assert json.loads(record)["fused kernels"]["update"]["AdamW"] == 1
    assert "forward" in "\n".join(text)


def test_fused_registration_leaves_no_trace():
    from minireg.gpu import fused as cuda
    from minireg.gpu import trace as package

    before = cuda._compiled, package._compiled
    with strict.registered(fused=True) as backend:
        assert backend.kernels is cuda.KERNELS
        assert cuda._compiled is not before[0]
    assert (cuda._compiled, package._compiled) == before


# --- the GPU's record, on the host with a clock that is told the time -----------------------------


def test_contenders_take_turns_and_the_first_block_does_not_count():
    told = iter([99.0, 98.0, 1.0, 10.0, 3.0, 30.0, 2.0, 20.0])
    ran = []

    def clock(f, calls):
        f()
        assert calls == 7
        return next(told)

    contenders = {name: lambda name=name: ran.append(name) for name in "ab"}
    assert gpu.medians(contenders, clock, 7, 3) == {"a": 2.0, "b": 20.0}
    assert ran == list("abababab")


@pytest.fixture
def record(monkeypatch):
    monkeypatch.setattr(gpu, "STEPS", {"step, batch 8": (8, 4)})
    monkeypatch.setattr(gpu, "NORM", (8, 4))
    monkeypatch.setattr(gpu, "UPDATE", (2, 6))

    def clock(f, calls):
        f()
        return 2e-3 if calls == 20 else 0.0

    torch = importlib.util.find_spec("torch") and importlib.import_module("torch")
    found = gpu.measured("numpy", torch, clock, clock, rounds=1)
    return {
        "date": "2026-01-02",
        "machine": {"GPU": "NVIDIA H100 80GB HBM3", "CuPy": "14"},
        **found,
    }


def test_everything_is_measured(record):
    names = [row["name"] for row in record["rows"]]
    both = [
        f"{norm}, {way}"
        for norm in ("LayerNorm", "RMSNorm", "BatchNorm")
        for way in ("forward", "backward")
    ]
    assert names == [
        "step, batch 8",
        "step, batch 8, the host's part",
        "copy",
        *both,
        "AdamW, update",
    ]
    for row in record["rows"]:
        assert row["ms"][gpu.OURS] == 2.0
        assert gpu.GRAPH not in row["ms"]  # there is no GPU here
    rates = {row["name"]: row["GB/s"][gpu.OURS] for row in record["rows"] if "GB/s" in row}
    n = 8 * 4 * 4
    moved = {
        "copy": 2 * n,
        "LayerNorm, forward": 2 * n,
        "BatchNorm, backward": 3 * n,
        "AdamW, update": 7 * 4 * 12,
    }
    for name, expected in moved.items():
        assert rates[name] == pytest.approx(expected / 2e-3 / 1e9)


def test_the_record_is_written_as_json_and_as_a_page(record, tmp_path):
    record["rows"][0]["ms"] = {gpu.OURS: 2.0, gpu.EAGER: 4.0, gpu.GRAPH: 1.0}
    record["rows"][3]["ms"] = {gpu.OURS: 2.0, gpu.EAGER: 4.0}
    record["rows"][3]["GB/s"] = {gpu.OURS: 1500.0, gpu.EAGER: 750.0}
    record["rows"][2]["GB/s"] = {gpu.OURS: 2000.0}
    paths = gpu.write(record, tmp_path)
    assert [p.name for p in paths] == [
        f"gpu-2026-01-02-nvidia-h100-80gb-hbm3.{s}" for s in ("json", "md")
    ]
    assert json.loads(paths[0].read_text()) == record
    page = paths[1].read_text()
    assert page.startswith("# NVIDIA H100 80GB HBM3, 2026-01-02\n")
    assert "| step, batch 8 | 2.000 | 4.000 | 1.000 | 2.00 |" in page  # by the fastest peer
    assert "| LayerNorm, forward | 1,500 | 750 | 0.75 | 0.50 |" in page
    assert "| copy | 2,000 | – | 1.00 | – |" in page
    for table in page.split("\n\n")[2:]:
        assert len({line.count("|") for line in table.strip().splitlines()}) == 1


def test_without_a_gpu_it_says_so_in_one_line(monkeypatch, capsys):
    def refuse(name):
        raise RuntimeError(f"backend {name!r} finds no usable CUDA device")

    monkeypatch.setattr(gpu.backends, "get", refuse)
    assert command.main(["gpu"]) == 1
    shown = capsys.readouterr()
    assert shown.err == "benchmarks gpu: backend 'cupy' finds no usable CUDA device\n"
    assert shown.out == ""


def test_the_network_is_the_one_of_the_design():
    import minireg as mr

    shapes = [p.shape for p in gpu.network(mr.nn).parameters() if p.ndim == 2]
    assert shapes == [(512, 784), (512, 512), (10, 512)]
    assert np.prod(shapes, axis=1).sum() == 512 * (784 + 512 + 10)
