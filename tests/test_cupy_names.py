"""Every NumPy name and keyword that minireg says must be one that CuPy has.

The source is read, not run, so a line that no test reaches is checked as well. CuPy
imports without a GPU; where it is not installed these tests are skipped, unless
``MINIREG_REQUIRE_ORACLES=1`` says that they must not be.
"""

import ast
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import strict

import minireg

ROOT = Path(minireg.__file__).parent
# Rooms that may say what CuPy lacks, because they bring everything to the host first.
HOST_ROOMS = {
    "op_check.py": "asks host arrays",
    "penalty_check.py": "asks host arrays",
    "solver.py": "starts from host arrays, draws what it fetches",
    "check.py": "compares with differences of values that it fetches",
    "inspect": "draws, prints and analyses what it fetches",
    "datasets.py": "reads files into host arrays",
    "checkpoint.py": "writes host arrays",
    "sweep.py": "starts processes",
    "cli.py": "prints",
}

# NumPy names that CuPy lacks, and why they may be said all the same.
ON_HOST = {
    "random.SFC64": "initial values and shuffles are drawn on the host, equal on every backend",
    "random.SeedSequence": "seeds are derived on the host",
    "polynomial.chebyshev.cheb2poly": "coefficients of a series are a list on the host",
}


class Use(NamedTuple):
    """A NumPy name as the source says it; ``positional`` and ``keywords`` when it is called."""

    line: int
    name: str  # "sum", "linalg.norm", or ".sum" for a method
    dispatched: bool  # said as np.name (NumPy hands it to CuPy), not as xp.name
    positional: int | None = None  # None: not known
    keywords: tuple[str, ...] = ()


def chain(node: ast.AST) -> tuple[ast.AST, list[str]]:
    """``a.b.c`` as (a, ["b", "c"])."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return node, names


def uses(source: str) -> Iterator[Use]:
    """Everything in ``source`` that is said to NumPy, to an ``xp``, or to an array's method."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    imported = {(alias.asname or alias.name).partition(".")[0]
                for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names}  # fmt: skip
    calls = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        root, names = chain(node)
        base = root.id if isinstance(root, ast.Name) else ""
        call, given = calls.get(id(node)), {}
        if call is not None:
            starred = any(isinstance(a, ast.Starred) for a in call.args)
            given = {
                "positional": None if starred else len(call.args),
                "keywords": tuple(k.arg for k in call.keywords if k.arg is not None),
            }
        if base == "np":
            yield Use(node.lineno, ".".join(names), True, **given)
        elif base == "xp" or "xp" in names[:-1]:
            after = names if base == "xp" else names[names.index("xp") + 1 :]
            yield Use(node.lineno, ".".join(after), False, **given)
        elif call is not None and base not in imported and names[-1] != "__init__":
            yield Use(node.lineno, f".{names[-1]}", False, **given)


def fault(use: Use) -> str | None:
    """What CuPy would say to it, or None."""
    cupy, name = strict.cupy, use.name
    if name.startswith("."):  # a method, of an array or of something else with that name
        if hasattr(np.ndarray, name[1:]) and not hasattr(cupy.ndarray, name[1:]):
            return f"cupy.ndarray has no {name}()"
        if hasattr(cupy.ndarray, name[1:]) and use.keywords:
            known = strict.signature(getattr(cupy.ndarray, name[1:])).parameters
            extra = set(use.keywords) - set(known)
            return f"cupy.ndarray{name}() has no {sorted(extra)}" if extra else None
        return None
    if name in ON_HOST:
        return None
    owner, _, method = name.rpartition(".")
    if use.dispatched and owner and isinstance(getattr(np, owner, None), np.ufunc):
        return f"CuPy answers for np.{owner}, not for its method: say xp.{owner}.{method}"
    try:
        found = attrgetter(name)(cupy)
    except AttributeError:
        return f"cupy has no {name}"
    if use.positional is None and not use.keywords:
        return None
    if isinstance(found, type) or found is attrgetter(name)(np):
        return None  # classes; and what CuPy hands on from NumPy
    try:
        signature = strict.signature(found)
        bind = signature.bind_partial if use.positional is None else signature.bind
        bind(*[None] * (use.positional or 0), **dict.fromkeys(use.keywords))
    except TypeError as error:
        return f"cupy.{name}: {error}"
    return None


def device_modules() -> list[Path]:
    found = sorted(ROOT.rglob("*.py"))
    return [path for path in found if path.relative_to(ROOT).parts[0] not in HOST_ROOMS]


@pytest.fixture(autouse=True)
def _cupy():
    strict.require_cupy()


@pytest.mark.parametrize("path", device_modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_module_says_only_what_cupy_has(path):
    faults = [
        f"{path}:{use.line}: {message}"
        for use in uses(path.read_text(encoding="utf-8"))
        if (message := fault(use)) is not None
    ]
    assert not faults, "\n".join(faults)


def test_exceptions_are_needed():
    said = {use.name for path in device_modules() for use in uses(path.read_text(encoding="utf-8"))}
    for name in ON_HOST:
        assert name in said, f"{name} is no longer used"
        with pytest.raises(AttributeError):
            attrgetter(name)(strict.cupy)


def test_the_reader_reads():
    said = list(uses("y = np.linalg.norm(x, ord=2)\nof(y).xp.add.at(a, *rest)\nop('f', np.exp)\n"
                     "x.sum(axis=0)\nimport os\nos.remove(path)\nxp.zeros((2,), dtype=d)"))  # fmt: skip
    assert sorted(said) == sorted(
        [
            Use(1, "linalg.norm", True, 1, ("ord",)),
            Use(2, "add.at", False, None),
            Use(3, "exp", True),
            Use(4, ".sum", False, 0, ("axis",)),
            Use(7, "zeros", False, 1, ("dtype",)),
        ]
    )


@pytest.mark.parametrize(
    "line",
    [
        "np.block([[a, b]])", "np.sum(x, where=m)", "np.max(x, initial=0)", "np.add.at(a, i, v)",
        "np.add.reduce(a)", "np.linalg.svdvals(w)", "np.linalg.vector_norm(w)", "np.vecdot(a, b)",
        "np.clip(x, min=0)", "np.clip(x, 0)", "np.add(a, b, where=m)", "np.pad(x, 1, value=0)",
        "np.einsum('i->', x, order='C')", "np.errstate(over='ignore')", "np.std(x, correction=1)",
        "of(x).xp.insert(x, 0, 1)", "backend.xp.linalg.matrix_norm(w)", "xp.geomspace(1, 2)",
        "x.sum(axis=0, where=m)", "x.max(initial=0)", "(a * b).mean(axis=0, where=m)",
        "x.setflags(write=False)", "t.data.astype(d, device='cpu')", "op('spacing', np.spacing)",
        "np.linalg.svd(a, hermitian=True)",
    ],
)  # fmt: skip
def test_planted_fault_is_caught(line):
    assert [message for use in uses(line) if (message := fault(use))]


@pytest.mark.parametrize(
    "line",
    [
        "np.add(a, b, out=a)", "np.einsum('i->', x, optimize=True)", "np.zeros_like(x, shape=(2,))",
        "np.pad(x, 1, mode='constant', constant_values=0)", "np.clip(x, None, 1)", "np.float32(1)",
        "np.finfo(x.dtype).eps", "of(x).xp.add.at(x, i, v)", "x.sum(axis=0, keepdims=True)",
        "x.var(axis=0, ddof=1)", "x.astype(d, copy=False)", "np.concatenate([a, b], axis=0)",
        "np.matmul(a, b, out=c)", "np.linalg.svd(a, full_matrices=False)", "np.where(c, a, b)",
        "super().__init__(reduction=r)",
    ],
)  # fmt: skip
def test_sound_line_passes(line):
    assert not [message for use in uses(line) if (message := fault(use))]
