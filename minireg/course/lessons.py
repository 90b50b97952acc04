"""The lessons: which there are, how to open and run one, and what they share.

A lesson is a marimo notebook ``lessons/NN_name.py``, plain Python that runs as a script. Its
docstring names it and its claims. All lessons compare what the texts say with what is measured
(:func:`compare`, :func:`closing`) and show a reader what is wrong with an answer (:func:`judge`).
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
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..tables import Column, Table
from ..training import passing_interrupts
from .claims import LESSONS, Figure, Result, select

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

    @property
    def title(self) -> str:
        """The first line of its docstring."""
        docstring = ast.get_docstring(ast.parse(self.text)) or ""
        return docstring.partition("\n")[0].rstrip(".")

    @property
    def claims(self) -> list[str]:
        """The IDs of the claims that it measures."""
        return re.findall(r'"(C\d{2,3})"', self.text)

    def __str__(self) -> str:
        return f"{self.number:2}  {self.title}"


def lessons() -> list[Lesson]:
    """All lessons in order.

    >>> lessons()[0].title
    'Build the engine: from a number to a tensor in under 100 lines'
    """
    return [Lesson(path) for path in sorted(LESSONS.glob("[0-9][0-9]_*.py"))]


def find(number: int) -> Lesson:
    """The lesson of a number; raises LookupError with the numbers that there are.

    >>> find(2).path.name
    '02_shrink_factor.py'
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
    """Run a lesson without a browser; raises the errors of its cells."""
    with passing_interrupts():
        runpy.run_path(str(lesson.path), run_name="__main__")


def working_copy(lesson: Lesson, folder: Path) -> tuple[Path, bool]:
    """The reader's copy in ``folder`` and whether it is new; an old one is not replaced."""
    path = folder / lesson.path.name
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


def closing(results: Sequence[Result], figures: Sequence[Figure] = ()) -> Any:
    """End a lesson: its claims and other figures as a table *claimed | measured | verdict*.

    Printed when the lesson runs as a script, shown in the browser. ``AssertionError`` lists the
    figures outside their range.
    """
    from marimo import running_in_notebook

    entries = [(r.claim.id, f) for r in results for f in r.figures] + [("", f) for f in figures]
    head: tuple[str | Column, ...] = ("claimed", Column("measured", ".4g"), "verdict")
    rows = []
    for name, f in entries:
        verdict = "as claimed" if f.passed else "FAILED"
        verdict = f"{verdict} ({f.tolerance})" if f.tolerance else "shown"
        rows.append((f"{name} {f.what}".strip(), f.value, verdict))
    if not running_in_notebook():
        print(Table(head, rows))
    failed = [f"{name} {f!r}".strip() for name, f in entries if not f.passed]
    failed += [f"{r.claim.id} {r.error}" for r in results if r.error]
    if failed:
        raise AssertionError("; ".join(failed))
    return grid(Table(head, [(_plain(what), value, _plain(v)) for what, value, v in rows]))


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
