"""judge: what is said about an answer that a reader has written.

An answer is a function. It is run at the author's cases and limits and compared with the right one.
If it is wrong, the evidence comes first: the arguments, what it gives there and what it should give,
at a limit if one fails ("No step, nothing is forgotten"). Then the reason: the author's mistake that
gives the same everywhere, or else what :mod:`minireg.course.diagnosis` finds. The sentences stand in
``judge.toml``.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import inspect
import io
import re
import textwrap
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import CodeType
from typing import Any

import numpy as np

from ..pictures import Say
from .diagnosis import ERRORS, Args, Array, Function, diagnose, fresh, idle, parts, same, say
from .parts import Code, Write

MOST = 10_000  # characters of what code printed


@dataclass(frozen=True)
class Verdict:
    """What is said about an answer.

    Attributes
    ----------
    right, tried : whether it is right, and whether there is an answer at all.
    said : one or a few sentences; text in backticks is code.
    level : what the verdict rests on: ``"bit"`` or ``"rounding"`` if it is right, else
        ``"untried"``, ``"error"``, ``"mistake"``, ``"limit"``, ``"diagnosis"`` or ``"numbers"``.
    """

    right: bool
    tried: bool
    said: Say
    level: str


WORD = re.compile(r"[a-z]{2,}(?![\w(])|a \w")  # not the start of a formula: λ, k = 0, f(x)


def joined(*says: Say | None) -> Say:
    """Sentences one after another, each with a capital unless it begins with a formula."""
    first: Function = lambda text: text[:1].upper() if WORD.match(text) else text[:1]
    there = [Say(first(s.en) + s.en[1:], s.zh) for s in says if s]
    return Say(" ".join(s.en for s in there), "".join(s.zh for s in there))


def wrong(level: str, *says: Say | None) -> Verdict:
    """The verdict on an answer that is not right."""
    return Verdict(False, level != "untried", joined(*says), level)


# --- the text of an answer -------------------------------------------------------------------------


def head(function: Function) -> str:
    """``name(arguments)`` of a function."""
    return f"{function.__name__}({', '.join(inspect.signature(function).parameters)})"


def source(function: Function, name: str = "") -> str:
    """The text of a function without decorators; of a lambda as ``def``; under this name.

    Raises OSError if there is no text.

    >>> print(source(head, "shown").splitlines()[0])
    def shown(function: Function) -> str:
    """
    lines, _ = inspect.findsource(function)
    first, names = function.__code__.co_firstlineno, [*inspect.signature(function).parameters]
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
            text = textwrap.dedent("".join(lines[node.lineno - 1 : node.end_lineno])).rstrip()
            text = text.replace(f"def {node.name}(", f"def {name or node.name}(", 1)
            starts = [node.lineno, *(d.lineno for d in node.decorator_list)]
        elif isinstance(node, ast.Lambda) and [a.arg for a in node.args.args] == names:
            text = f"def {name}({ast.unparse(node.args)}):\n    return {ast.unparse(node.body)}"
            starts = [node.lineno]
        else:
            continue
        if first in starts:
            return text
    raise OSError(f"no text of {function!r}")


def explain(error: BaseException, code: str, space: dict[str, Any]) -> Say:
    """An error of Python in plain words, with the line of ``code`` in which it arose.

    >>> print(explain(ZeroDivisionError("division by zero"), "x = 1/0", {}).en)
    line 1: it divides by 0.
    """
    stack = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in stack if frame.filename == "<answer>"]
    line = (error.lineno if isinstance(error, SyntaxError) else [1, *lines][-1]) or 1
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    if type(error) is NameError and not re.match("name '(math|numpy|scipy|torch)'", what):
        return _unknown(str(error.name), line, code, space)
    if isinstance(error, AttributeError) and error.obj is np:
        for near in difflib.get_close_matches(str(error.name), dir(np), 1, 0.7):
            return say("names.near", line=line, name=f"np.{error.name}", near=f"np.{near}")
    text = [*code.splitlines()[line - 1 : line], ""][0].strip()
    whole = f"{type(error).__name__}: {what} | {text}"
    entry, found = next((e, m) for e in ERRORS if (m := re.search(e["match"], whole)))
    groups = [group or "" for group in found.groups()]
    return Say(*(entry[lang].format(*groups, line=line) for lang in ("en", "zh")))


def _unknown(name: str, line: int, code: str, space: dict[str, Any]) -> Say:
    """A name that is not there: nearly one that is, NumPy's, or else what there is."""
    own = re.findall(r"\w+", code.partition(":")[0])[2:]  # after def and the function's name
    for near in difflib.get_close_matches(name, [*own, *space], 1, 0.7):
        return say("names.near", line=line, name=name, near=near)
    if hasattr(np, name):
        return say("names.numpy", line=line, name=name)
    there = [k for k, v in space.items() if callable(v) or inspect.ismodule(v)]
    there = [k for k in there if k[0] != "_" and f"def {k}(" not in code]
    known = ", ".join(f"`{k}`" for k in [*own, *there])
    text = say("names.unknown", line=line, name=name, known=known)
    return Say(text.en, text.zh.replace("`, `", "`、`"))


# --- judging ---------------------------------------------------------------------------------------


def written(value: Any, length: int = 0, exact: bool = False) -> str:
    """A value in one line, as a reader would type it; of more than eight numbers the first.

    Of six digits, and 0 where it is judged to be 0, unless it has to be ``exact``.

    >>> written((np.float64(0.25), np.eye(2), [1, -2])), written(np.ones((6, 3)))
    ('(0.25, [[1, 0], [0, 1]], [1, -2])', '[[1, 1, …], [1, 1, …], …]')
    """
    if isinstance(value, tuple):
        return f"({', '.join(written(v, length, exact) for v in value)})"
    a = np.asarray(value)
    if a.dtype.kind not in "if":
        return cut(value)
    if a.ndim == 0 and exact:
        return repr(a.item()).removesuffix(".0")
    if a.ndim == 0:
        return f"{0 if abs(a.item()) <= 1e-12 else a.item():.6g}"
    few = 2 if a.size > 8 or length > 8 else 8
    shown = [written(v, a.size, exact) for v in a[:few]] + ["…"] * (len(a) > few)
    return f"[{', '.join(shown)}]"


def cut(value: Any, most: int = 60) -> str:
    """The beginning of a value's ``repr``."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def called(name: str, case: Args) -> str:
    """A call as it was made."""
    return f"{name}({', '.join(written(v, exact=True) for v in case)})"


def blank(value: Any) -> bool:
    """Whether there is a ``...`` in a value."""
    return value is ... or (isinstance(value, tuple | list) and any(map(blank, value)))


def judge(answer: Function, exercise: Write, code: str = "") -> Verdict:
    """Compare an answer with the right function, and say what is true of it.

    Parameters
    ----------
    answer : function of the arguments of ``exercise.right``. One that returns None or ``...`` is not
        given yet.
    exercise : what was asked.
    code : the text of the answer: line numbers, and one change that would make it right.

    An error in ``answer`` is part of the verdict, none is raised. Where ``exercise.right`` gives
    several numbers, a tuple, a list or an array of as many will do.

    >>> def left(lr, lam): return ...
    >>> right, cases = lambda lr, lam: 1 - lr * lam, [(0.1, 0.5), (0.2, 3.0)]
    >>> print(judge(lambda lr, lam: lr * lam, Write("left", Say("", ""), left, right, cases)).said.en)
    `left(0.1, 0.5)` gives 0.05, expected 0.95. Yours is one minus the right answer.
    """
    name = exercise.stub.__name__
    cases = [*exercise.cases, *exercise.limits.values()]
    try:
        inspect.signature(answer).bind(*cases[0])
    except TypeError:
        many = len(cases[0])
        return wrong("error", say("answer.arguments", name=name, n=many, head=head(exercise.stub)))
    got: list[list[Array]] = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = [parts(exercise.right(*fresh(case))) for case in cases]
        for case, expected in zip(cases, want, strict=True):
            call = called(name, case)
            try:
                value = answer(*fresh(case))
            except BaseException as error:  # the code is the reader's; SystemExit too
                if "'ellipsis'" in str(error):
                    return wrong("untried", say("answer.untried", name=name))
                found = explain(error, code, getattr(answer, "__globals__", {}))
                reason = _diagnosed(answer, exercise, cases, code) if got else None
                fails = say("answer.fails", call=call, want=_shown(expected))
                return wrong("error", fails, found, reason)
            if blank(value) or (value is None and not got):
                return _nothing(code, name)
            if value is None:
                return wrong("error", say("answer.sometimes", call=call))
            try:
                several = len(expected) > 1 and isinstance(value, list | np.ndarray)
                got.append(parts(tuple(value) if several else value))
            except (TypeError, ValueError):
                kind = say("answer.kind", call=call, got=cut(value, 40), want=_shown(expected))
                return wrong("error", kind)
        return _compared(answer, exercise, code, cases, got, want)


def _nothing(code: str, name: str) -> Verdict:
    """An answer that gives nothing back: not given yet, or ``return`` is missing."""
    nodes = list(ast.walk(ast.parse(code)))
    stub = any(isinstance(n, ast.Pass) or getattr(n, "value", None) is ... for n in nodes)
    if not code or stub:
        return wrong("untried", say("answer.untried", name=name))
    prints = any(isinstance(n, ast.Name) and n.id == "print" for n in nodes)
    return wrong("error", say("answer.nothing", name=name), *[say("answer.prints")] * prints)


def _compared(answer: Function, exercise: Write, code: str, cases: Sequence[Args],
              got: Sequence[list[Array]], want: Sequence[list[Array]]) -> Verdict:  # fmt: skip
    """The verdict on an answer that runs."""

    def agree(a: Sequence[Array], b: Sequence[Array], rtol: float = exercise.rtol) -> bool:
        return len(a) == len(b) and all(same(v, w, rtol) for v, w in zip(a, b, strict=True))

    off = [i for i, (a, b) in enumerate(zip(got, want, strict=True)) if not agree(a, b)]
    if not off:
        exact = all(map(np.array_equal, chain(*got), chain(*want)))
        level = "bit" if exact else "rounding"
        said = joined(say(f"answer.{level}", n=len(cases)), exercise.why)
        return Verdict(True, True, said, level)
    limits = dict(enumerate(exercise.limits, len(exercise.cases)))
    i = next((i for i in off if i in limits), off[0])
    call = called(exercise.stub.__name__, cases[i])
    shown = _numbers(call, got[i], want[i]), limits.get(i)
    if code and (found := idle(code)):
        return wrong("limit" if i in limits else "diagnosis", *shown, found)
    for reason, mistake in exercise.mistakes.items():
        if all(agree(a, parts(mistake(*fresh(c)))) for a, c in zip(got, cases, strict=True)):
            return wrong("mistake", *shown, reason)
    found = _diagnosed(answer, exercise, cases, code)
    with contextlib.suppress(Exception):
        if not all(np.isfinite(v).all() for v in got[i]):
            found = found or say("answer.undefined")
        elif [v.shape for v in got[i]] != [v.shape for v in want[i]]:
            found = _shape(got, want, cases[i], i, [*inspect.signature(exercise.right).parameters])
    level = "limit" if i in limits else "diagnosis" if found else "numbers"
    return wrong(level, *shown, found)


def _diagnosed(answer: Function, exercise: Write, cases: Sequence[Args], code: str) -> Say | None:
    """What diagnosis finds; what the answer prints at the many places where it is asked is lost."""
    names = [*inspect.signature(exercise.right).parameters]
    with contextlib.suppress(Exception), contextlib.redirect_stdout(Printed()):
        return diagnose(answer, exercise.right, cases, names, code)
    return None  # without a reason there are still the numbers


def _shown(found: list[Array]) -> str:
    """One result, or several in brackets."""
    return written(found[0] if len(found) == 1 else tuple(found))


def _numbers(call: str, got: list[Array], want: list[Array]) -> Say:
    """What an answer gives and what it should; one entry of it if they look the same."""
    texts = [_shown(got), _shown(want)]
    if texts[0] == texts[1]:
        off = [~np.isclose(a, b, 1e-12, 0) for a, b in zip(got, want, strict=True)]
        k = next(k for k, wrong in enumerate(off) if wrong.any())
        at, a, b = np.argwhere(off[k])[0], got[k], want[k]
        call += f"[{k}]" * (len(got) > 1) + f"[{', '.join(map(str, at))}]" * (a.ndim > 0)
        texts = [f"{v[tuple(at)]:.12g}" for v in (a, b)]
    return say("answer.numbers", call=call, got=texts[0], want=texts[1])


REDUCED: dict[str, Function] = {"total": np.sum, "mean": np.mean, "norm": np.linalg.norm}
WANTED: dict[str, Function] = {
    "first": lambda a: a.flat[0], "last": lambda a: a.flat[-1], "add": np.sum, "average": np.mean,
    "length": np.linalg.norm, "largest": np.max,
}  # fmt: skip


def _shape(got: Sequence[list[Array]], want: Sequence[list[Array]], case: Args, i: int,
           names: Sequence[str]) -> Say:  # fmt: skip
    """What is wrong with answers of which number ``i`` is of another shape: what holds of all."""
    if (n := len(got[i])) != len(want[i]):
        return say("shape.several" if n == 1 else "shape.parts", got=n, want=len(want[i]))
    k = next(k for k, (a, b) in enumerate(zip(got[i], want[i], strict=True)) if a.shape != b.shape)
    a, b = got[i][k], want[i][k]
    all_ = [(g[k], w[k]) for g, w in zip(got, want, strict=True)]
    if a.ndim == 0:
        fits = (key for key, f in REDUCED.items() if all(same(a, f(b)) for a, b in all_))
        key = next(fits, "single")
    elif b.ndim == 0:
        there = all(a.size for a, _ in all_)
        fits = (key for key, f in WANTED.items() if all(same(np.asarray(f(a)), b) for a, b in all_))
        key = next(fits, "many") if there else "many"
        key = "boxed" if key == "first" and all(a.size == 1 for a, _ in all_) else key
    elif a.ndim == b.ndim == 2 and same(a.T, b):
        key = "turned"
    elif a.size == b.size and same(a.ravel(), b.ravel()):
        key = "column"
    else:
        for name, value in zip(names, case, strict=True):
            shape = np.shape(value)
            if len(shape) == 2 and {a.shape, b.shape} == {shape[:1], shape[1:]}:
                return say("shape.rows" if a.shape == shape[:1] else "shape.columns", name=name)
        key = "pairs" if a.shape == (b.size, b.size) else "other"
    return say(f"shape.{key}", got=_size(a), want=_size(b))


def _size(a: Array) -> str:
    return str(a.size) if a.ndim < 2 else " × ".join(map(str, a.shape))


# --- requests of the page --------------------------------------------------------------------------


class Printed(io.StringIO):
    """What code prints, up to :data:`MOST` characters: a loop may print without end."""

    def write(self, text: str) -> int:
        """Keep what there is room for."""
        room = MOST - self.tell()
        if room > 0:
            super().write(text if len(text) < room else f"{text[:room]}\n… and more")
        return len(text)


def check(lesson: Sequence[Any], exercise: str, code: str) -> dict[str, Any]:
    """Judge the text of an answer; the reply to the page's ``{"do": "check"}``.

    Parameters
    ----------
    lesson : the parts of a lesson; the exercise of this name is among them.
    exercise : its ``id``; ``LookupError`` names those that there are.
    code : the function as the reader has written it. It sees of the lesson what :func:`seen` gives.

    Returns ``right``, ``tried``, ``said`` in both languages (backticks are code), ``level`` and
    ``printed``, at most 10,000 characters.
    """
    written = {part.id: part for part in lesson if isinstance(part, Write)}
    if exercise not in written:
        there = ", ".join(written) or "none"
        raise LookupError(f"check: no exercise {exercise!r} to write; there are {there}")
    with contextlib.redirect_stdout(Printed()) as printed:
        verdict = submitted(code, written[exercise], lesson)
    said = {"en": verdict.said.en, "zh": verdict.said.zh}
    return {"right": verdict.right, "tried": verdict.tried, "said": said, "level": verdict.level,
            "printed": printed.getvalue()}  # fmt: skip


def seen(space: Mapping[str, Any], lesson: Sequence[Any], *codes: CodeType) -> dict[str, Any]:
    """What code of a reader's sees of a lesson: its modules, and what its script and ``codes`` read.

    The script is the lines that the page runs, and the functions that these use; so no answer and no
    picture is among it.
    """
    calls = [textwrap.indent(part.call, " ") for part in lesson if isinstance(part, Code)]
    read = [*codes, *(compile(f"def _():\n{call}", "", "exec") for call in calls)]
    found: dict[str, Any] = {k: v for k, v in space.items() if inspect.ismodule(v)}
    for code in read:  # which grows
        read += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
        for name in [n for n in code.co_names if n in space and n not in found]:
            found[name] = space[name]
            read += [f.__code__ for f in [inspect.unwrap(found[name])] if inspect.isfunction(f)]
    return found


def submitted(code: str, exercise: Write, lesson: Sequence[Any] = ()) -> Verdict:
    """Run the text of an answer to an exercise of a lesson, and judge the function in it."""
    name = exercise.stub.__name__
    space = seen(exercise.stub.__globals__, lesson, exercise.stub.__code__)
    space.pop(name, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of `2(x)`; that is said when it fails
            exec(compile(code, "<answer>", "exec"), space)
    except BaseException as error:  # the code is the reader's; SystemExit too
        return wrong("error", explain(error, code, space))
    if not inspect.isfunction(space.get(name)):
        said = say("answer.absent", name=name, head=head(exercise.stub))
        return wrong("error" if code.strip() else "untried", said)
    return judge(space[name], exercise, code)
