"""Write the stubs (``STUBS``): what a type checker and an editor see.

    python tools/make_stubs.py [--check]

Array functions and Tensor's methods come from the table of ops at run time, so no tool finds them in
the source. Their signatures stand in minireg/ops/signatures.py, or are those of the functions that
are composed of ops; here each becomes overloads: of a Tensor a Tensor, of arrays an array.
``--check`` writes nothing and exits with 1 if a stub is not what the code says now.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import partialmethod
from itertools import count
from pathlib import Path
from typing import Any

import minireg
from minireg import engine, nn, ops
from minireg.tensor import Tensor

PACKAGE = Path(minireg.__file__).parent
HEAD = '''\
"""Written by tools/make_stubs.py from the code: change that, then run the tool."""
# mypy: disable-error-code="overload-overlap, override"
# pyright: reportOverlappingOverload=false, reportIncompatibleMethodOverride=false
'''
ARRAY = "ArrayLike"
IMPORTS = [
    "from numpy.typing import ArrayLike",
    "from typing import overload",
    "from .backend import Array, Axis, Integers",
]
PYTORCH = {"axis": "dim", "keepdims": "keepdim"}
OF_LAMBDA = {"__divmod__": "tuple[Tensor, Tensor]"}
OF_DATA = {"shape": "tuple[int, ...]", "ndim": "int", "size": "int", "dtype": "np.dtype[Any]"}


def definition(function: Callable[..., Any]) -> ast.FunctionDef:
    """How a function is written in the source, whatever wraps it."""
    source = inspect.unwrap(function)
    if not inspect.isfunction(source) or source.__name__ == "<lambda>":
        raise SystemExit(f"op {function.__name__!r} has no signature in minireg/ops/signatures.py")
    node = ast.parse(textwrap.dedent(inspect.getsource(source))).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def written(node: ast.FunctionDef, name: str = "", told: bool = True) -> str:
    """The definition without its body, but with the first sentence of its docstring."""
    first = (ast.get_docstring(node) or "").partition("\n")[0].replace("\\", r"\\")
    decorators = [f"@{ast.unparse(d)}" for d in node.decorator_list if _is_kept(d)]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"def {name or node.name}({ast.unparse(node.args)}){returns}:"
    body = f'\n    """{first}"""' if told and first else " ..."
    return "\n".join([*decorators, line + body])


def _is_kept(decorator: ast.expr) -> bool:
    return ast.unparse(decorator) in ("property", "staticmethod", "classmethod")


def _arguments(node: ast.FunctionDef) -> list[ast.arg]:
    """The arguments that take arrays."""
    several = [node.args.vararg] if node.args.vararg else []
    found = [*node.args.posonlyargs, *node.args.args, *several]
    return [a for a in found if a.annotation and ARRAY in ast.unparse(a.annotation)]


def _mixed(argument: ast.arg, node: ast.FunctionDef) -> bool:
    """Whether it takes several arrays, of which some may be Tensors."""
    return argument is node.args.vararg or "Sequence" in ast.unparse(
        argument.annotation or argument
    )


def _annotated(argument: ast.arg, kind: str) -> None:
    text = ast.unparse(argument.annotation or ast.Name("Any"))
    argument.annotation = ast.parse(text.replace(ARRAY, kind), mode="eval").body


def _returning(node: ast.FunctionDef, kind: str) -> None:
    """Say what comes out; in the source it is ``Tensor``, or ``Tensor | what comes of arrays``."""
    of_tensors, _, of_arrays = ast.unparse(node.returns or ast.Name("Any")).partition(" | ")
    if of_arrays and kind != "Tensor":
        text = of_arrays
    else:
        text = re.sub(r"\b(Any|Tensor)\b", kind, of_tensors)
        text += f"[{kind}]" if text.endswith("Result") else ""  # a tuple of arrays
    node.returns = ast.parse(text, mode="eval").body


def _variants(node: ast.FunctionDef) -> Iterator[ast.FunctionDef]:
    """The same with PyTorch's words for ``axis``; and with ``*shape`` as one keyword."""
    every = [*node.args.args, *node.args.kwonlyargs]
    names = {a.arg for a in every}
    if names & PYTORCH.keys() and not names & {*PYTORCH.values()}:
        spoken = copy.deepcopy(node)
        for argument in (*spoken.args.args, *spoken.args.kwonlyargs):
            argument.arg = PYTORCH.get(argument.arg, argument.arg)
        yield spoken
    several = node.args.vararg
    if several and several.arg in ("shape", "axes"):
        named = copy.deepcopy(node)
        named.args.vararg, named.args.kwonlyargs, named.args.kw_defaults = None, [several], [None]
        yield named


def forms(name: str, function: Callable[..., Any]) -> Iterator[ast.FunctionDef]:
    """The forms of an array function: a Tensor in one of its places, then arrays only."""
    for place in count():
        node = definition(function)
        node.decorator_list, node.name = [], name
        arrays = _arguments(node)
        last = place >= len(arrays)
        if not last:
            _annotated(arrays[place], "Tensor")
        others = "AnyArray" in (text := ast.unparse(node.args)) or "MaybeArray" in text
        mixed = others or any(_mixed(a, node) for a in arrays)
        _returning(node, ("Any" if mixed else "Array") if last and arrays else "Tensor")
        yield node
        if place == 0 and arrays:
            yield from _variants(node)
        if last:
            return


def overloads(nodes: list[ast.FunctionDef]) -> Iterator[str]:
    """Forms of one function as a stub says them; the first has the docstring."""
    for i, node in enumerate(nodes):
        form = written(node, told=i == 0)
        yield f"@overload\n{form}" if len(nodes) > 1 else form


def method(name: str, function: Callable[..., Any]) -> str:
    """An array function as a method of its first argument."""
    node = definition(function)
    first = (node.args.posonlyargs or node.args.args)[0]
    first.arg, first.annotation, node.decorator_list, node.name = "self", None, [], name
    _returning(node, "Tensor")
    return "\n".join(overloads([node, *_variants(node)]))


def functions(table: dict[str, Any]) -> str:
    """Array functions, and NumPy's other names of some."""
    lines: list[str] = []
    for name, function in sorted(table.items()):
        if (own := function.__name__) == name:
            lines += overloads(list(forms(name, function)))
        else:
            lines.append(f"{name} = {own}")
    return "\n".join(sorted(lines, key=lambda line: " = " in line and line[0] not in "@d"))


def package() -> str:
    """The stub of minireg itself: what ``__init__`` imports, and the array functions."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    imports = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                alias.asname = alias.asname or alias.name
            imports.append(ast.unparse(node))
    exported = ", ".join(f'"{name}"' for name in minireg.__all__)
    return "\n".join([
        HEAD, "from collections.abc import Sequence", "from typing import Any, overload", *IMPORTS,
        *imports, "__version__: str", f"__all__ = [{exported}]", functions(ops.PUBLIC),
    ])  # fmt: skip


def annotation(line: ast.AnnAssign) -> str:
    """``name: type`` of an attribute."""
    return f"{ast.unparse(line.target).removeprefix('self.')}: {ast.unparse(line.annotation)}"


def linear_algebra() -> str:
    """The stub of minireg.ops.linalg: its functions, and the tuples that they give."""
    found = {n: v for n, v in vars(ops.linalg).items() if v in ops.LINALG.values()}
    tuples = [v for v in vars(ops.linalg).values() if hasattr(v, "_fields")]
    classes = ['Kind = TypeVar("Kind", Tensor, Array)'] + [
        f"class {t.__name__}(NamedTuple, Generic[Kind]):\n"
        + "\n".join(f"    {f}: Kind" for f in t._fields)
        for t in tuples
    ]
    imports = [line.replace("from .", "from ..", 1) for line in IMPORTS if " ." in line]
    return "\n".join([
        HEAD, "from typing import Any, Generic, Literal, NamedTuple, TypeVar, overload", IMPORTS[0], *imports,
        "from ..tensor import Tensor", *classes, functions(found),
    ])  # fmt: skip


def functional() -> str:
    """The stub of minireg.nn.functional: its functions, and what the package itself uses of it."""
    own = {n: v for n, v in vars(nn.functional).items() if inspect.isfunction(v) and n[0] != "_"}
    module = nn.functional.__name__
    found = {n: v for n, v in own.items() if n in nn.functional.__all__ or v.__module__ == module}
    imports = [line.replace("from .", "from ..", 1) for line in IMPORTS if " ." in line]
    exported = ", ".join(f'"{name}"' for name in nn.functional.__all__)
    tree = ast.parse((PACKAGE / "nn" / "functional.py").read_text("utf-8"))
    aliases = [ast.unparse(n) for n in tree.body if isinstance(n, ast.Assign) and _is_alias(n)]
    return "\n".join([
        HEAD, "from collections.abc import Sequence", "from typing import Any, Literal, overload",
        "import numpy as np", IMPORTS[0], *imports, "from ..random import Stream",
        "from ..tensor import Tensor", "from .convolution import Pair, Sizes",
        "from .losses import KLReduction, Reduction", "from .module import AnyArray, MaybeArray", *aliases,
        f"__all__ = [{exported}]", functions(found),
    ])  # fmt: skip


def _is_alias(node: ast.Assign) -> bool:
    return isinstance(name := node.targets[0], ast.Name) and name.id[0].isupper()


def members(node: ast.ClassDef) -> Iterator[str]:
    """What a class declares: attributes, properties, methods; no bodies."""
    for part in node.body:
        match part:
            case ast.FunctionDef():
                yield written(part)
                if part.name == "__init__":
                    declared = [line for line in part.body if isinstance(line, ast.AnnAssign)]
                    yield from map(annotation, declared)
            case ast.AnnAssign():
                yield annotation(part)
            case ast.Assign(targets=[ast.Name(id="__hash__")]):
                yield "def __hash__(self) -> int: ..."
            case ast.Assign(targets=[ast.Name(id=name)]) if name in OF_DATA:
                yield f"@property\ndef {name}(self) -> {OF_DATA[name]}: ..."
            case _:
                pass


def attached() -> Iterator[str]:
    """What Tensor is given from outside its file: ``backward``, and the table's methods."""
    yield written(definition(engine.backward))
    yield "@property\ndef T(self) -> Tensor: ..."
    for name, member in sorted(vars(Tensor).items()):
        if isinstance(member, partialmethod) or getattr(member, "__name__", "") == "<lambda>":
            yield f"def {name}(self, other: ArrayLike) -> {OF_LAMBDA.get(name, 'Tensor')}: ..."
        elif inspect.isfunction(member) and member.__module__.startswith(ops.__name__):
            yield method(name, member)


def of_tensor() -> str:
    """The stub of minireg.tensor."""
    tree = ast.parse((PACKAGE / "tensor.py").read_text("utf-8"))
    parts = [HEAD, *IMPORTS]
    for node in tree.body:
        match node:
            case ast.ImportFrom(level=0, module=module) if module == "__future__":
                pass
            case ast.ImportFrom(level=0) | ast.Import():
                parts.append(ast.unparse(node))
            case ast.FunctionDef():
                parts.append(written(node))
            case ast.ClassDef():
                more = attached() if node.name == "Tensor" else ()
                body = "\n".join([*members(node), *more])
                parts.append(f"class {node.name}:\n{textwrap.indent(body, '    ')}")
            case ast.Assign(targets=[ast.Name(id=name)]):
                parts.append(f"{name}: Any")
            case _:
                pass
    return "\n".join(parts)


def formatted(text: str) -> str:
    """As ruff writes it: imports that are used, in order; lines of one length."""
    for task in (["check", "--fix", "--exit-zero", "--select", "F401,I,RUF022"], ["format"]):
        command = [sys.executable, "-m", "ruff", *task, "--stdin-filename", "minireg/stub.pyi", "-"]
        found = subprocess.run(command, input=text, text=True, capture_output=True, check=True)
        text = found.stdout
    return text


STUBS = {
    "__init__.pyi": package,
    "tensor.pyi": of_tensor,
    "ops/linalg.pyi": linear_algebra,
    "nn/functional.pyi": functional,
}


def main(arguments: list[str]) -> int:
    """Write the stubs, or with ``--check`` tell which are out of date."""
    stale = []
    for name, make in STUBS.items():
        path, text = PACKAGE / name, formatted(make())
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, "utf-8")
    for name in stale:
        print(f"minireg/{name}: " + ("out of date" if "--check" in arguments else "written"))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
