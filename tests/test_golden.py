"""Golden cases: what PyTorch says (tools/make_golden.py), where there is no PyTorch to ask.

A case is a line of Python: it is run here, differentiated twice and compared.
"""

import gzip
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from runpy import run_path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pytest
from support.lists import complete

import minireg as mr
from minireg import nn, ops, optim, penalties
from minireg.nn import functional
from minireg.optim import lr_scheduler

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "golden" / "cases.json.gz"
GOLDEN = json.loads(gzip.decompress(FILE.read_bytes()))
KINDS = [cases for cases in GOLDEN.values() if isinstance(cases, list)]
TOLERANCE = 1e-12  # of the largest entry; nearly all agree within 1e-14, where libm and BLAS do
FLOOR = 1e-2  # an array smaller than this is rounding left over from terms that cancelled
# (and so is what is small beside the other gradients of its case: that of a bias before a BatchNorm)

# what the code of a case says: ops by their names, mr.split, F.conv2d, LayerNorm, SGD, StepLR, …
OPS = {name: entry.function for name, entry in ops.TABLE.items()}
NAMES = vars(nn) | vars(optim) | vars(lr_scheduler) | vars(penalties) | OPS
NAMES |= {"mr": mr, "np": np, "F": functional, "inf": np.inf}
NAMES |= {"decay": lambda k: 0.97**k, "late": lambda k: 1.0 if k < 50 else 0.5}  # of LambdaLR


def run(code: str, **names: Any) -> Any:
    return eval(code, NAMES | names)


def cases(kind: str) -> Any:
    return pytest.mark.parametrize("case", GOLDEN[kind], ids=lambda case: case["code"])


def leaf(values: Any) -> mr.Tensor:
    array = np.array(values)
    return mr.Tensor(array, requires_grad=array.dtype.kind == "f")


def largest(arrays: Any) -> float:
    """Of all their finite entries; 0 of none."""
    sizes = [np.abs(np.asarray(a)) for a in arrays]
    return max((float(a[np.isfinite(a)].max(initial=0)) for a in sizes), default=0.0)


def same(got: Any, want: Any, size: float = 0.0) -> None:
    got, want = (x.numpy() if isinstance(x, mr.Tensor) else np.array(x) for x in (got, want))
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    scale = max(largest([want]), size, FLOOR)
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * scale)


def same_derivatives(y: Any, inputs: list[Any], case: dict[str, Any]) -> None:
    """Value, gradients by both readings of the rules, and the gradient of ⟨gradients, along⟩."""
    same(y, case["value"])
    cotangent = np.array(case["cotangent"])
    fast = mr.grad(y, inputs, cotangent, retain_graph=True)
    slow = mr.grad(y, inputs, cotangent, create_graph=True)
    size = largest(case["gradients"])
    for a, b, want in zip(fast, slow, case["gradients"], strict=True):
        same(a, want, size)
        same(b, want, size)
    if "second" in case:
        inner = sum((g * np.array(u)).sum() for g, u in zip(slow, case["along"], strict=True))
        second = mr.grad(inner, inputs, allow_unused=True)
        size = largest(case["second"])
        for x, s, want in zip(inputs, second, case["second"], strict=True):
            same(np.zeros(x.shape) if s is None else s, want, size)


@cases("functions")
def test_function(case):
    inputs = [leaf(x) for x in case["inputs"]]
    y = run(case["code"], **dict(zip(ascii_lowercase, inputs, strict=False)))
    if isinstance(y, list | tuple):
        y = mr.concatenate([part.reshape(-1) for part in y])
    same_derivatives(y, inputs, case)


@cases("values")
def test_value(case):
    y = run(case["code"], **dict(zip(ascii_lowercase, map(leaf, case["inputs"]), strict=False)))
    same(y, case["value"])


@cases("layers")
def test_layer(case):
    layer = run(case["code"]).to(np.float64).train(case["training"])
    layer.load_state_dict({name: np.array(v) for name, v in case["state"].items()})
    x = leaf(case["input"])
    y = layer(x)
    after = layer.state_dict()
    for name, want in case["after"].items():
        same(after[name], want)
    same_derivatives(y, [t for t in (x, *layer.parameters()) if t.requires_grad], case)


@cases("optimizers")
def test_optimizer(case):
    params = [leaf(p) for p in case["start"]]
    optimizer = run(case["code"], params=params)
    for gradients, path in zip(case["gradients"], case["path"], strict=True):
        for p, g in zip(params, gradients, strict=True):
            p.grad = mr.Tensor(np.array(g))
        optimizer.step()
        for p, want in zip(params, path, strict=True):
            same(p, want)


@cases("schedules")
def test_schedule(case):
    groups = [{"params": [leaf([0.0])], "lr": lr} for lr in case["start"]]
    optimizer = optim.SGD(groups)
    schedule, rates = run(case["code"], optimizer=optimizer), []
    for metric in case["metrics"]:
        rates.append([group["lr"] for group in optimizer.param_groups])
        schedule.step(*[metric] * isinstance(schedule, lr_scheduler.ReduceLROnPlateau))
    same(rates[:: case["every"]], case["rates"])


# --- the file is complete and fresh -----------------------------------------------------------------


def public(module: Any, base: type, *but: type) -> set[type]:
    """What a module has of a kind, but for classes that do nothing by themselves."""
    kinds = {c for c in vars(module).values() if isinstance(c, type) and issubclass(c, base)}
    return kinds - {base, *but}


def test_nothing_public_is_without_a_case():
    calls = re.compile(r"(?<![\w.])[A-Za-z_][\w.]*(?=\()")
    called = {run(name) for kind in KINDS for case in kind for name in calls.findall(case["code"])}
    shipped = {f for f in OPS.values() if f.__module__.startswith("minireg.ops.")}
    packed = {OPS["svd"], OPS["eigh"]}  # with vectors of either sign: those of mr.linalg have none
    wanted = (shipped - packed) | {*ops.COMPOSED.values()}
    wanted |= public(nn, nn.Module, nn.ModuleList, nn.BatchNorm) | public(optim, optim.Optimizer)
    wanted |= public(lr_scheduler, lr_scheduler.LRScheduler, lr_scheduler.ClosedForm)
    complete("tests/support/twins/ (then run tools/make_golden.py)", called, wanted)


def test_there_are_hundreds_in_a_small_file():
    assert sum(map(len, KINDS)) >= 300
    assert FILE.stat().st_size <= 200_000


def flat(value: Any) -> Iterator[float]:
    if isinstance(value, list | dict):
        for v in value.values() if isinstance(value, dict) else value:
            yield from flat(v)
    else:
        yield value


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # a copy inside PyTorch
def test_pytorch_still_says_so():
    pytest.importorskip("torch")
    made = run_path(str(ROOT / "tools" / "make_golden.py"))["made"]()
    fresh = [cases for cases in made.values() if isinstance(cases, list)]
    for new, old in zip(chain(*fresh), chain(*KINDS), strict=False):
        assert new["code"] == old["code"], "other tables or rows: run python tools/make_golden.py"
        for key in (old.keys() | new.keys()) - {"code"}:
            same([*flat(new[key])], [*flat(old[key])])
    assert sum(map(len, fresh)) == sum(map(len, KINDS)), "more of them: run tools/make_golden.py"
