"""Make tests/golden/cases.json.gz: what PyTorch says, for machines that do not have it.

    python tools/make_golden.py

Needs PyTorch and the test dependencies. What is asked comes from the tables of the oracle
tests (tests/oracles), so a row there is a case here. A case is a line of Python code, the
arrays in it and PyTorch's figures; tests/test_golden.py runs the code without PyTorch. The
same versions on the same machine make the same bytes.
"""

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "golden" / "cases.json.gz"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support.against import host, torch, twin  # noqa: E402
from support.drawn import Draw, call, filled, floats  # noqa: E402
from support.twins.drawn import FUNCTIONS, UNIQUE, Case  # noqa: E402
from support.twins.layers import FIRST_ORDER_ONLY, LAYERS, LOSSES, tnn  # noqa: E402
from support.twins.ops import VALUES  # noqa: E402
from support.twins.optimizers import OPTIMIZERS, shrink, topt  # noqa: E402
from support.twins.schedules import RATES, SCHEDULES  # noqa: E402
from support.twins.schedules import STEPS as EPOCHS  # noqa: E402

from minireg.ops import TABLE  # noqa: E402

Record = dict[str, Any]
EACH, STEPS, EVERY = 2, 4, 5  # cases of a function, steps of an optimizer, epochs of a schedule
MOST = 24, 120  # numbers in the arguments of a function, in the input of a layer
DEFINED = {"ModuleList", "register_parametrization, then another"}  # these need a class, not a call


class Code(str):
    """An expression that prints as itself."""

    __repr__ = str.__str__


class Written:
    """Stands for a library: calling what it has gives the code of the call."""

    def __init__(self, *path: str) -> None:
        self.path = path

    def __getattr__(self, name: str) -> "Written":
        return Written(*self.path, name)

    def __call__(self, *args: Any, **kw: Any) -> Code:  # noqa: D102
        return Code(call(".".join(self.path), args, kw))


def numbers(*what: str | int) -> np.random.Generator:
    """A generator of a case's own: new cases move no others."""
    return np.random.default_rng(crc32(repr(what).encode()))


def short(rng: np.random.Generator, shape: Any) -> np.ndarray:
    """Numbers that take little room in a file."""
    return np.asarray(rng.normal(size=tuple(shape)).round(2))


def differentiated(y: Any, inputs: list[Any], rng: Any, twice: bool = True) -> Record:
    """Value, gradients along a cotangent, and the gradient of ⟨gradients, along⟩ if it is not 0."""
    cotangent, along = short(rng, y.shape), [short(rng, x.shape) for x in inputs]
    first = torch.autograd.grad(y, inputs, twin(cotangent, False), create_graph=twice)
    found = {"value": y, "cotangent": cotangent, "gradients": first}
    inner = sum((g * twin(u, False)).sum() for g, u in zip(first, along, strict=True))
    if twice and inner.requires_grad:
        second = torch.autograd.grad(inner, inputs, materialize_grads=True)
        if any(s.any() for s in second):
            found |= {"along": along, "second": second}
    return found


def integer(rng: np.random.Generator, low: int, high: int) -> int:
    """What Hypothesis draws in the tests."""
    return int(rng.integers(low, high + 1))


def written(case: Case) -> str:
    """The code of a drawn case; losses are modules, and vectors free of their signs."""
    if case.name in UNIQUE:
        return f"({UNIQUE[case.name]})(*{case.code})"
    if case.name.startswith("F.") and (loss := LOSSES.get(case.name[2:])):
        return call(call(loss, [], case.kw), case.args, {})
    return case.code


def functions() -> Iterator[Record]:
    """A few drawn cases of each function, of moderate size."""
    for name in FUNCTIONS:
        kept = 0
        for k in count():
            rng = numbers(name, k)
            case = Case(name, Draw(partial(integer, rng), 3, 3, plain=True))
            if 1 < sum(a.size for a in case.arrays) <= MOST[0]:
                inputs = [twin(a) for a in case.arrays]
                found = differentiated(case.theirs(*inputs), inputs, rng)
                yield {"code": written(case), "inputs": case.arrays, **found}
                kept += 1
            if kept == EACH:
                break


def values() -> Iterator[Record]:
    """Ops that have no derivative."""
    for name, theirs in VALUES.items():
        for sample in TABLE[name].samples(numbers(name)):
            args, kw = (sample[:-1], sample[-1]) if isinstance(sample[-1], dict) else (sample, {})
            halves = [np.asarray((2 * a).round() / 2) for a in floats(args)]  # ties happen
            args = filled(args, iter(halves))
            y = theirs(*(twin(a, False) if isinstance(a, np.ndarray) else a for a in args), **kw)
            yield {"code": call(name, args, kw), "inputs": halves, "value": y}


def layers() -> Iterator[Record]:
    """In training, and in evaluation where that is something else."""
    for label, (build, x) in LAYERS.items():
        shape = x.shape if isinstance(x, np.ndarray) else x
        if label in DEFINED or np.prod(shape) > MOST[1]:
            continue
        before = None
        for training in (True, False):
            rng, layer = numbers(label), build(tnn).double().train(training)
            for t in layer.state_dict().values():
                if t.is_floating_point():  # positive, so that it may be a variance
                    t.copy_(torch.tensor(rng.uniform(0.2, 1.5, t.shape).round(2)))
            state = {name: host(t).copy() for name, t in layer.state_dict().items()}
            given = twin(x if isinstance(x, np.ndarray) else short(rng, x))
            y = layer(given)
            if before is not None and torch.equal(before, y):
                continue
            before = y
            inputs = [t for t in (given, *layer.parameters()) if t.requires_grad]
            yield {
                "code": build(Written()), "training": training, "state": state, "input": given,
                "after": dict(layer.named_buffers()),
                **differentiated(y, inputs, rng, label not in FIRST_ORDER_ONLY),
            }  # fmt: skip


def formula(step: Callable[[Any, Any], Any]) -> Callable[[list[Any]], Callable[[], None]]:
    """An optimizer that PyTorch does not have, as the formula of its step."""

    def update(params: list[Any]) -> None:
        with torch.no_grad():
            for p in params:
                p.copy_(step(p, p.grad))

    return lambda params: lambda: update(params)


# code → what steps in PyTorch
STEPPERS: dict[str, Callable[[list[Any]], Callable[[], None]]] = {
    call(name, [Code("params")], options):
        lambda params, name=name, options=options: getattr(topt, name)(params, **options).step
    for name, options in OPTIMIZERS.values()
} | {
    "ProximalGradient(params, lr=0.1, penalty=L1(0.3))": formula(lambda p, g: shrink(p - 0.1 * g, 0.1 * 0.3)),
    "SGLD(params, lr=0.1, temperature=0.0, weight_decay=0.3)": formula(lambda p, g: p - 0.1 * (g + 0.3 * p)),
}  # fmt: skip


def optimizers() -> Iterator[Record]:
    """The parameters after each of a few steps along given gradients."""
    for code, stepper in STEPPERS.items():
        rng = numbers(code)
        start = [short(rng, shape) for shape in ((2, 3), (3,))]
        gradients = [[short(rng, p.shape) for p in start] for _ in range(STEPS)]
        params, path = [twin(p) for p in start], []
        step = stepper(params)
        for now in gradients:
            for p, g in zip(params, now, strict=True):
                p.grad = twin(g, False)
            step()
            path.append([host(p).copy() for p in params])
        yield {"code": code, "start": start, "gradients": gradients, "path": path}


def schedules() -> Iterator[Record]:
    """Rates of both parameter groups, every so many epochs."""
    noise = numbers("metrics").normal(size=EPOCHS)
    metrics = (noise / np.arange(1, EPOCHS + 1)).round(3).tolist()
    for build in SCHEDULES.values():
        optimizer = topt.SGD([{"params": [twin(np.zeros(1))], "lr": lr} for lr in RATES])
        schedule, rates = build(topt.lr_scheduler, optimizer), []
        plateau = isinstance(schedule, topt.lr_scheduler.ReduceLROnPlateau)
        for metric in metrics:
            rates.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            schedule.step(*[metric] * plateau)
        yield {
            "code": build(Written(), Code("optimizer")), "start": RATES, "metrics": metrics,
            "every": EVERY, "rates": rates[::EVERY],
        }  # fmt: skip


def plain(value: Any) -> Any:
    """Arrays and tensors as nested lists, of 14 digits."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.14g}")
    return value if isinstance(value, str | bool | int) else plain(host(value).tolist())


def made() -> Record:
    """All cases by kind, and the versions that they were made with."""
    kinds = functions, values, layers, optimizers, schedules
    cases = {make.__name__: [plain(case) for case in make()] for make in kinds}
    return {"torch": torch.__version__, "numpy": np.__version__, **cases}


if __name__ == "__main__":
    text = json.dumps(made(), separators=(",", ":"))
    FILE.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB")
