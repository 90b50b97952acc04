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
from support import strict

import minireg

ROOT = Path(minireg.__file__).parent
# What is said although CuPy lacks it, by file: only there, and only of arrays on the host.
COMPARES = "differences of values that it fetches"
ON_HOST = {
    "backend.py": {
        "ma.MaskedArray": "what comes from the host is looked at there",
    },
    "files.py": {"ma.MaskedArray": "what comes from the host is looked at there"},
    "random.py": {
        "random.SeedSequence": "seeds are derived on the host",
    },
    "check/gradients.py": {".max": COMPARES, "maximum.reduce": COMPARES},
    "checkpoint.py": {
        f"lib.format.{name}": "files hold host arrays" for name in ("write_array", "read_array")
    },
    "cli/info.py": {"_core._multiarray_umath.__cpu_features__": "what the CPU can do"},
    "analysis/lipschitz.py": {".max": "of a copy on the host"},
    "check/ops.py": {".max": "asks host arrays"},
    "ops/error_function.py": {
        "polynomial.chebyshev.cheb2poly": "coefficients of a series are a list on the host",
    },
    "penalties/quadratic.py": {".min": "of a copy on the host"},
    "check/penalties.py": {".max": "asks host arrays", "geomspace": "asks host arrays"},
}  # fmt: skip

# These take no array, so NumPy's own serve.
NO_ARRAYS = {
    "broadcast_shapes", "errstate", "lib.array_utils.normalize_axis_tuple", "promote_types",
}  # fmt: skip


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
        if hasattr(np.ndarray, name[1:]) and use.keywords:
            known = strict.signature(getattr(cupy.ndarray, name[1:])).parameters
            extra = set(use.keywords) - set(known)
            return f"cupy.ndarray{name}() has no {sorted(extra)}" if extra else None
        return None
    owner, _, method = name.rpartition(".")
    if use.dispatched and name in NO_ARRAYS:
        return None
    if use.dispatched and owner and isinstance(getattr(np, owner, None), np.ufunc):
        return f"CuPy answers for np.{owner}, not for its method: say xp.{owner}.{method}"
    try:
        found = attrgetter(name)(cupy)
    except AttributeError:
        return f"cupy has no {name}"
    if isinstance(found, type):
        return None
    if use.dispatched and found is getattr(attrgetter(owner)(np) if owner else np, method, None):
        own = f"cupy.{name} is NumPy's own, which takes no array of the device"
        return own if callable(found) else None
    if use.positional is None and not use.keywords:
        return None
    try:
        signature = strict.signature(found)
        bind = signature.bind_partial if use.positional is None else signature.bind
        bind(*[None] * (use.positional or 0), **dict.fromkeys(use.keywords))
    except TypeError as error:
        return f"cupy.{name}: {error}"
    return None


def faults(source: str) -> list[tuple[Use, str]]:
    return [(use, message) for use in uses(source) if (message := fault(use)) is not None]


@pytest.fixture(autouse=True)
def _cupy():
    strict.require_cupy()


FILES = sorted(
    str(path.relative_to(ROOT))
    for path in ROOT.rglob("*.py")
    if path.parent.name != "pictures"  # drawn on the host
)


@pytest.mark.parametrize("file", FILES)
def test_file_says_only_what_cupy_has(file):
    found, excused = faults((ROOT / file).read_text(encoding="utf-8")), ON_HOST.get(file, {})
    wrong = [f"{file}:{use.line}: {message}" for use, message in found if use.name not in excused]
    assert not wrong, "\n".join(wrong)
    assert {use.name for use, _ in found} == excused.keys(), "excuses that are no longer needed"


def test_excuses_are_about_files_that_exist():
    assert ON_HOST.keys() <= set(FILES)


# A slip in a line of the package as it is: (file, what stands there, what might have been written).
SLIPS = [
    ("ops/fused.py", "np.square(centered).mean(axis=axes, ", "np.linalg.vector_norm(centered, axis=axes, "),
    ("ops/reductions.py", "axis=axis, keepdims=keepdims)", "axis=axis, keepdims=keepdims, initial=0)"),
    ("nn/functional.py", "np.expand_dims(", "np.unstack("),
    ("optim/clip.py", "np.square(g)", "np.square(g, where=g > 0)"),
    ("optim/clip.py", ".sum()", ".sum(where=True)"),
    ("optim/clip.py", "np.abs(g).max()", "np.maximum.reduce(np.abs(g))"),
    ("penalties/elementwise.py", "np.sign(", "np.spacing("),
    ("penalties/spectral.py", "np.outer(", "np.linalg.outer("),
    ("nn/losses.py", ".xp.arange(", ".xp.geomspace("),
    ("batches.py", "kept.sum()", "kept.sum(where=True)"),
    ("analysis/curvature.py", "np.linalg.eigh(operator.dense())", "np.linalg.eigh(operator.dense(), k=2)"),
    ("analysis/lipschitz.py", "np.square(d).sum(", "np.add.reduce(d * d, "),
    ("ops/arrays.py", "x.max()", "x.max(initial=0)"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "before", "after"), SLIPS)
def test_planted_slip_is_caught(file, before, after):
    source = (ROOT / file).read_text(encoding="utf-8")
    assert before in source
    assert len(faults(source.replace(before, after))) > len(faults(source))


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
        "np.einsum('i->', x, order='C')", "xp.errstate(over='ignore')", "np.std(x, correction=1)",
        "of(x).xp.insert(x, 0, 1)", "backend.xp.linalg.matrix_norm(w)", "xp.geomspace(1, 2)",
        "x.sum(axis=0, where=m)", "x.max(initial=0)", "(a * b).mean(axis=0, where=m)",
        "x.setflags(write=False)", "t.data.astype(d, device='cpu')", "op('spacing', np.spacing)",
        "np.linalg.svd(a, hermitian=True)", "np.mintypecode(a)", "np.get_printoptions()",
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
