"""The lessons: which there are, how to open and run one, and what they share.

A lesson is a marimo notebook ``lessons/NN_name.py``, plain Python that runs as a script. Its
docstring names it. Its cells end in :mod:`~minireg.course.parts`, of which :mod:`~minireg.course.pages`
makes a page; it is opened with NumPy alone (:meth:`Lesson.open`).
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ..tables import Column, Table
from ..training import passing_interrupts
from .claims import LESSONS, Figure, Result, select
from .parts import Close, Code, Told

T = TypeVar("T")


@dataclass(frozen=True)
class Lesson:
    """One notebook, known by the number its file name begins with."""

    path: Path

    @property
    def number(self) -> int:
        """From the file name."""
        return int(self.path.name.partition("_")[0])

    @property
    def page(self) -> str:
        """The name of its page, ``NN-name.html``."""
        return self.path.stem.replace("_", "-") + ".html"

    @cached_property
    def text(self) -> str:
        """Its source."""
        return self.path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Its source, parsed."""
        return ast.parse(self.text, str(self.path))

    @property
    def title(self) -> str:
        """The first line of its docstring."""
        return (ast.get_docstring(self.tree) or "").partition("\n")[0].rstrip(".")

    @property
    def claims(self) -> list[str]:
        """The IDs of the claims that it measures."""
        return re.findall(r'"(C\d{2,3})"', self.text)

    def open(self) -> Opened:
        """Run its cells in the order of the file, without marimo, and take what each ends in.

        Nothing heavy runs: pictures and figures are computed when they are asked for.
        """
        names: dict[str, Any] = {"__name__": self.path.stem, "__file__": str(self.path)}
        cells = []
        for node in self.tree.body:
            match node:
                case ast.With():  # app.setup
                    _execute(node.body, self.path, names)
                case ast.FunctionDef() if _cell(node):
                    cells.append([n for n in node.body if not isinstance(n, ast.Return)])
                case ast.FunctionDef() | ast.ClassDef():
                    _execute([_undecorated(node)], self.path, names)
        outputs = [_execute(body, self.path, names) for body in cells]
        return Opened(tuple(o for o in outputs if o is not None), names)

    def source(self, name: str) -> str:
        """The text of a function or class at the top level, without what marimo decorates it with."""
        (node,) = (node for node in self.tree.body if name in _made(node))
        return ast.get_source_segment(self.text, node) or ""

    def script(self) -> str:
        """The code that it teaches as plain Python: the function that the page shows, the imports and
        functions that it needs, and the lines that the page runs with it.
        """
        codes = self.open().of(Code)
        calls = "\n".join(code.call.strip() for code in codes)
        shown = [code.function.__name__ for code in codes]
        return "\n".join(
            [f'"""{self.title}"""\n', *self.needed(calls, *shown).values(), f"\n\n{calls}\n"]
        )

    def needed(self, *codes: str) -> dict[str, str]:
        """What lines of code need of the lesson: the names that an import, a function, … makes → its
        text, in the order of the file.
        """
        (setup,) = (node for node in self.tree.body if isinstance(node, ast.With))
        wanted = set[str]().union(*(_used(ast.parse(code)) for code in codes))
        rest, kept = [*setup.body, *map(_undecorated, self.tree.body)], []
        while found := [node for node in rest if _made(node) & wanted]:
            rest = [node for node in rest if node not in found]
            kept += found
            wanted = wanted.union(*map(_used, found))
        texts: dict[str, str] = {}
        for node in sorted(kept, key=lambda node: node.lineno):
            match node:
                case ast.Import() | ast.ImportFrom():
                    node = copy(node)
                    node.names = [a for a in node.names if _made(ast.Import([a])) & wanted]
                    text = ast.unparse(node)
                case ast.FunctionDef() | ast.ClassDef():
                    text = f"\n\n{ast.get_source_segment(self.text, node)}"
                case _:
                    text = ast.unparse(node)
            texts[", ".join(sorted(_made(node)))] = text
        return texts

    def __str__(self) -> str:
        return f"{self.number:2}  {self.title}"


@dataclass(frozen=True)
class Opened:
    """A lesson whose cells have run: what they ended in, in order, and the names they made."""

    parts: tuple[Any, ...]
    names: dict[str, Any]

    def of(self, kind: type[T]) -> list[T]:
        """The parts of a kind."""
        return [part for part in self.parts if isinstance(part, kind)]

    def one(self, kind: type[T]) -> T:
        """The part of a kind of which there is one; ``ValueError`` for none and for several."""
        (part,) = self.of(kind)
        return part


def _cell(node: ast.stmt) -> bool:
    """Whether a function is a cell of the notebook."""
    decorators = map(ast.unparse, getattr(node, "decorator_list", ()))
    return any(d.startswith("app.cell") for d in decorators)


def _undecorated(node: ast.stmt) -> ast.stmt:
    """A function or class without what marimo decorates it with; a cell and all else as it is."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and not _cell(node):
        node = copy(node)
        rest = [d for d in node.decorator_list if not ast.unparse(d).startswith("app.")]
        node.decorator_list = rest
    return node


def _execute(body: list[ast.stmt], path: Path, names: dict[str, Any]) -> Any:
    """Run statements; the value of the last one if it is an expression."""
    last = body[-1] if body else None
    if isinstance(last, ast.Expr):
        _execute(body[:-1], path, names)
        return eval(compile(ast.Expression(last.value), str(path), "eval"), names)
    return exec(compile(ast.Module(body, []), str(path), "exec"), names)


def _made(node: ast.stmt) -> set[str]:
    """The names that an import, an assignment, a function or a class makes."""
    match node:
        case ast.Import() | ast.ImportFrom():
            return {(a.asname or a.name).partition(".")[0] for a in node.names}
        case ast.FunctionDef() | ast.ClassDef():
            return set() if _cell(node) else {node.name}
        case ast.Assign():
            return _used(ast.Tuple(node.targets))
    return set()


def _used(node: ast.AST) -> set[str]:
    """The names that code reads."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def lessons() -> list[Lesson]:
    """All lessons in order.

    >>> lessons()[0].title
    'How does a computer get a million slopes at once?'
    """
    return [Lesson(path) for path in sorted(LESSONS.glob("[0-9][0-9]_*.py"))]


def find(number: int) -> Lesson:
    """The lesson of a number; raises LookupError with the numbers that there are.

    >>> find(2).path.name
    '02_weight_decay.py'
    """
    found = {lesson.number: lesson for lesson in lessons()}
    if number not in found:
        raise LookupError(f"no lesson {number}; there are {', '.join(map(str, found))}")
    return found[number]


def table(of: Sequence[Lesson]) -> str:
    """Number, title and claims of lessons, as ``minireg lesson`` lists them."""
    listed = Table(("", ""), [(lesson, " ".join(lesson.claims)) for lesson in of])
    width = shutil.get_terminal_size((200, 24)).columns  # 200 in a pipe
    lines = str(listed).splitlines()
    return "\n".join(textwrap.fill(line, width, subsequent_indent=4 * " ") for line in lines)


def run(lesson: Lesson) -> None:
    """Run a lesson without a browser and print what it claims and measures.

    ``AssertionError`` lists what is not as claimed; errors of its cells are raised.
    """
    with passing_interrupts():
        opened = lesson.open()
        ids = [i for part in opened.of(Told) for i in (*part.ids, *part.also)]
        settle(measure(*ids), [f for part in opened.of(Close) for f in part.figures()])


def working_copy(lesson: Lesson, folder: Path) -> tuple[Path, bool]:
    """The reader's copy in ``folder`` and whether it is new; an old one is not replaced.

    ``ValueError`` for a temporary folder: there marimo saves nothing.
    """
    path = folder / lesson.path.name
    if folder.resolve().is_relative_to(Path(tempfile.gettempdir()).resolve()):
        raise ValueError(
            f"{folder} is a temporary folder, and there marimo does not save what you write "
            "(marimo-team/marimo#5801): go to another folder"
        )
    if new := not path.exists():
        shutil.copyfile(lesson.path, path)
    return path, new


def edit(path: Path) -> int:
    """Open a notebook in the browser until Ctrl-C; the exit code of marimo.

    This process becomes marimo's server, so that no server remains when it ends.
    """
    options = ["--yes", "edit", "--skip-update-check", "--no-sandbox"]
    command = [sys.executable, "-m", "marimo", *options, str(path)]
    # All cells run on opening; a marimo that does not know this waits for a click on "run all".
    settings = {"_MARIMO_CONFIG_OVERLOAD_RUNTIME_AUTO_INSTANTIATE": "true"}
    if sys.platform == "win32":  # there exec would leave a server and return at once
        return subprocess.call(command, env=os.environ | settings)
    return os.execve(sys.executable, command, os.environ | settings)


def measure(*ids: str) -> list[Result]:
    """Run the programs of these claims, in this order.

    >>> [bool(result) for result in measure("C23", "C22")]
    [True, True]
    """
    found = {c.id: c for c in select(ids=ids)}
    return [found[i]() for i in ids]


def settle(results: Sequence[Result], figures: Sequence[Figure] = ()) -> None:
    """Print the table *claimed | measured | verdict* of claims and other figures.

    ``AssertionError`` lists the figures outside their range.
    """
    entries = [(r.claim.id, f) for r in results for f in r.figures] + [("", f) for f in figures]
    rows = []
    for name, f in entries:
        verdict = "as claimed" if f.passed else "FAILED"
        verdict = f"{verdict} ({f.tolerance})" if f.tolerance else "shown"
        rows.append((f"{name} {f.what}".strip(), f.value, verdict))
    print(Table(("claimed", Column("measured", ".4g"), "verdict"), rows))
    failed = [f"{name} {f!r}".strip() for name, f in entries if not f.passed]
    failed += [f"{r.claim.id} {r.error}" for r in results if r.error]
    if failed:
        raise AssertionError("; ".join(failed))
