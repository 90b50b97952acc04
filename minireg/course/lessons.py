"""The lessons: which there are, how to open and run one, and what they share.

A lesson is a marimo notebook ``lessons/NN_name.py``, plain Python that runs as a script. Its
docstring names it. Its cells end in :mod:`~minireg.course.parts`, of which a page is made, and it is
opened with NumPy alone (:meth:`Lesson.open`). Lessons that are still notebooks need marimo; these
compare what the texts say with what is measured (:func:`compare`, :func:`closing`) and show a reader
what is wrong with an answer (:func:`judge`).
"""

from __future__ import annotations

import ast
import html
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..tables import Column, Table
from ..training import passing_interrupts
from .claims import LESSONS, Figure, Result, select
from .parts import Close, Code, Told

T = TypeVar("T")
BLUE, ORANGE, GREEN, INK, SOFT = "#0072b2", "#d55e00", "#009e73", "#1f2328", "#8c959f"


# --- the lessons ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lesson:
    """One notebook, known by the number its file name begins with."""

    path: Path

    @property
    def number(self) -> int:
        """From the file name."""
        return int(self.path.name.partition("_")[0])

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
    def paged(self) -> bool:
        """Whether it is written as parts of a page; else it is a notebook, which marimo opens."""
        return "minireg.course.parts" in self.text

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

    def script(self) -> str:
        """The code that it teaches as plain Python: the function that the page shows, the imports and
        functions that it needs, and the lines that the page runs with it.
        """
        codes = self.open().of(Code)
        calls = "\n".join(code.call.strip() for code in codes)
        (setup,) = (node for node in self.tree.body if isinstance(node, ast.With))
        wanted = _used(ast.parse(calls)) | {code.function.__name__ for code in codes}
        rest, kept = [*setup.body, *map(_undecorated, self.tree.body)], []
        while found := [node for node in rest if _made(node) & wanted]:
            rest = [node for node in rest if node not in found]
            kept += found
            wanted = wanted.union(*map(_used, found))
        texts: list[str] = []
        for node in sorted(kept, key=lambda node: node.lineno):
            match node:
                case ast.Import() | ast.ImportFrom():
                    node = copy(node)
                    node.names = [a for a in node.names if _made(ast.Import([a])) & wanted]
                    texts.append(ast.unparse(node))
                case ast.FunctionDef() | ast.ClassDef():
                    texts.append(f"\n\n{ast.get_source_segment(self.text, node)}")
                case _:
                    texts.append(ast.unparse(node))
        return "\n".join([f'"""{self.title}"""\n', *texts, f"\n\n{calls}\n"])

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
    'Build the engine: from a number to a tensor in under 100 lines'
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
        if lesson.paged:
            opened = lesson.open()
            ids = [i for part in opened.of(Told) for i in (*part.ids, *part.also)]
            settle(measure(*ids), [f for part in opened.of(Close) for f in part.figures()])
        else:
            runpy.run_path(str(lesson.path), run_name="__main__")


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


# --- what the texts say, what was measured ---------------------------------------------------------


def measure(*ids: str) -> list[Result]:
    """Run the programs of these claims, in this order.

    >>> [bool(result) for result in measure("C23", "C22")]
    [True, True]
    """
    found = {c.id: c for c in select(ids=ids)}
    return [found[i]() for i in ids]


def grid(table: Table) -> Any:
    """A table, whose cells are Markdown, for a notebook to show."""
    from marimo import md

    return md(table.markdown())


def _plain(text: str) -> str:
    """Markdown that reads as this text, in a cell of a table."""
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", html.escape(text, quote=False))


def _first(result: Result) -> list[Figure]:
    """The first figure of each of the first two roles."""
    first: dict[str, Figure] = {}
    for figure in result.figures:
        first.setdefault(figure.role, figure)
    return list(first.values())[:2]


def compare(results: Iterable[Result]) -> Any:
    """The table *the textbook says | we measured | so* of claims, for a notebook to show.

    >>> "权重衰减" in compare(measure("C23")).text
    True
    """
    rows = []
    for r in results:
        c = r.claim
        measured = [f"{_plain(f.what)}: **{f.value:.3g}**" for f in _first(r)] + [_plain(r.error)]
        rows.append((
            f"**{_plain(c.title)}**<br>{_plain(c.statement)}<br>*{_plain(c.source)}*",
            "<br>".join(filter(None, measured)),
            f"**{c.verdict.lower()}**<br>{_plain(c.corrected)}",
        ))  # fmt: skip
    return grid(Table(("the textbook says", "we measured", "so"), rows))


def settle(results: Sequence[Result], figures: Sequence[Figure] = (), show: bool = True) -> Table:
    """Print and give the table *claimed | measured | verdict* of claims and other figures.

    ``AssertionError`` lists the figures outside their range.
    """
    entries = [(r.claim.id, f) for r in results for f in r.figures] + [("", f) for f in figures]
    rows = []
    for name, f in entries:
        verdict = "as claimed" if f.passed else "FAILED"
        verdict = f"{verdict} ({f.tolerance})" if f.tolerance else "shown"
        rows.append((f"{name} {f.what}".strip(), f.value, verdict))
    table = Table(("claimed", Column("measured", ".4g"), "verdict"), rows)
    if show:
        print(table)
    failed = [f"{name} {f!r}".strip() for name, f in entries if not f.passed]
    failed += [f"{r.claim.id} {r.error}" for r in results if r.error]
    if failed:
        raise AssertionError("; ".join(failed))
    return table


def closing(results: Sequence[Result], figures: Sequence[Figure] = ()) -> Any:
    """End a notebook: :func:`settle`, printed when it runs as a script, shown in the browser."""
    from marimo import running_in_notebook

    table = settle(results, figures, show=not running_in_notebook())
    rows = [(_plain(what.text), value, _plain(v.text)) for what, value, v in table.rows]
    return grid(Table(table.columns, rows))


# --- exercises -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """What a check says about an answer; true if it is right, ``tried`` if there is one."""

    text: str
    right: bool = False
    tried: bool = True

    def __bool__(self) -> bool:
        return self.right

    def __str__(self) -> str:
        return self.text

    def _mime_(self) -> tuple[str, str]:
        """How marimo shows it."""
        from marimo import callout, md

        kind: Any = "success" if self.right else "warn" if self.tried else "neutral"
        shown: tuple[str, str] = callout(md(self.text), kind)._mime_()
        return shown


def _parts(value: Any) -> list[np.ndarray[Any, Any]]:
    """A number, an array or a tuple of them as a list of arrays."""
    return [np.asarray(v, dtype=float) for v in (value if isinstance(value, tuple) else (value,))]


def _same(a: Any, b: Any) -> bool:
    a, b = _parts(a), _parts(b)
    return [v.shape for v in a] == [v.shape for v in b] and all(
        np.allclose(v, w, rtol=1e-9, atol=1e-12) for v, w in zip(a, b, strict=True)
    )


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    a = np.asarray(value)
    return f"{a.item():.6g}" if a.ndim == 0 else np.array2string(a, precision=4, separator=", ")


def judge(
    answer: Callable[..., Any],
    right: Callable[..., Any],
    cases: Sequence[tuple[Any, ...]],
    mistakes: Mapping[str, Callable[..., Any]],
) -> Judgement:
    """Compare an answer, a function, with the right one, and say what is wrong with it.

    Parameters
    ----------
    answer, right : functions of the same arguments that return numbers or arrays, or tuples of
        them. An answer that returns None or ``...`` is not given yet.
    cases : the arguments to compare them at.
    mistakes : hint → function that makes this mistake; the hint is shown if the answer agrees with
        it in all cases.

    An error in ``answer`` is part of the judgement, none is raised.

    >>> area = lambda r: 3.14159 * r**2
    >>> linear = lambda r: 3.14159 * r
    >>> print(judge(linear, area, [(2.0,), (3.0,)], {"Square r.": linear}))
    `<lambda>(2)` gives 6.28318, expected 12.5664. Square r.
    >>> print(judge(lambda r: 3 * area(r), area, [(2.0,)], {}))
    `<lambda>(2)` gives 37.6991, expected 12.5664; yours is 3 times that.
    """
    name = getattr(answer, "__name__", "answer")
    answers = []
    for case in cases:
        call = f"`{name}({', '.join(map(_text, case))})`"
        try:
            value = answer(*case)
            if value is None or value is ...:
                return Judgement(f"`{name}` is not solved yet.", tried=False)
            _parts(value)
        except Exception as error:  # the code is the reader's
            return Judgement(f"{call} fails with {type(error).__name__}: {error}.")
        answers.append((call, value, right(*case)))
    wrong = [given for given in answers if not _same(*given[1:])]
    if not wrong:
        return Judgement(f"`{name}` is right.", right=True)
    call, got, expected = wrong[0]
    start = f"{call} gives {_text(got)}, expected {_text(expected)}"
    for hint, mistake in mistakes.items():
        if all(_same(given[1], mistake(*case)) for given, case in zip(answers, cases, strict=True)):
            return Judgement(f"{start}. {hint}")
    shapes = [[v.shape for v in _parts(value)] for value in (got, expected)]
    if shapes[0] != shapes[1]:
        return Judgement(f"{start}: the shape is {shapes[0]}, expected {shapes[1]}.")
    a, b = (np.concatenate([v.ravel() for v in _parts(value)]) for value in (got, expected))
    factor = a @ b / (b @ b) if b.any() else 0.0
    if factor and np.allclose(a, factor * b, rtol=1e-9):
        return Judgement(f"{start}; yours is {factor:.6g} times that.")
    return Judgement(f"{start}.")


# --- pictures --------------------------------------------------------------------------------------


def drawing(columns: int = 1, size: tuple[float, float] = (9.0, 4.2), **options: Any) -> Any:
    """A figure and its axes side by side, drawn the same way in all lessons."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", dpi=110)
    axes = figure.subplots(1, columns, squeeze=False, **options)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="#d5dae0", linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes
