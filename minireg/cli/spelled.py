"""Penalties and schedules as words of a command line, ``GroupLasso(1e-3, axis=0)``: read, never run."""

from __future__ import annotations

import ast
import inspect
import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from .. import penalties
from ..objective import Term
from ..optim import lr_scheduler
from ..penalties import Penalty
from .common import near

Known = Mapping[str, Any]  # names that a text may call


class Several(list[Any]):
    """Values in braces, of which a sweep takes one at a time."""


# Without those that take functions or other schedules, which are no literals.
_APART = ("Composed", "Penalty", "ClosedForm", "LRScheduler", "LambdaLR", "SequentialLR")
PENALTIES: Known = {
    name: kind
    for name in penalties.__all__
    if isinstance(kind := getattr(penalties, name), type) and issubclass(kind, Penalty)
    if name not in _APART
}
SCHEDULES: Known = {
    name: kind
    for name, kind in vars(lr_scheduler).items()
    if isinstance(kind, type) and issubclass(kind, lr_scheduler.LRScheduler)
    if name not in _APART
}
_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.UnaryOp, ast.USub, ast.UAdd, ast.Load)
HELP = "; the word help lists all"
_LONGEST = 2000  # characters; Python's parser nests as deep as the text wants


def points(grid: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """All of a grid.

    >>> points({"l2": [0, 1], "l1": [2]})
    [{'l2': 0, 'l1': 2}, {'l2': 1, 'l1': 2}]
    """
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def read(text: str, known: Known, braces: bool = False) -> partial[Any]:
    """What a text such as ``L1(1e-3)`` would make: one of the known names, called with literals.

    Nothing is evaluated: arguments are numbers, texts, True, False, None, and lists and tuples of them;
    with ``braces`` also :class:`Several` of them. ``ValueError`` in one line for anything else, and for
    arguments that the name does not take.

    >>> read("MCP(0.1, gamma=4)", PENALTIES)()
    MCP(0.1, gamma=4): Σ λ|w| − w²/2γ up to γλ
    >>> read("L1(2**9)", PENALTIES)
    Traceback (most recent call last):
    ValueError: '2**9' in 'L1(2**9)' is no number, text, list, tuple, True, False or None
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise ValueError(f"expected at most {_LONGEST} characters, got {len(text)}: {text!r:.40}…")
    shown, found = f"{text!r:.80}", _parsed(text)
    name = found.func if isinstance(found, ast.Call) else found
    if not isinstance(name, ast.Name):
        pairs = zip("()[]{}", ")(][}{", strict=True)
        lost = [repr(b) for a, b in pairs if text.count(a) > text.count(b)]
        shown += f", which lacks {' and '.join(lost)}" * bool(lost)
        raise ValueError(
            f"expected one of {', '.join([*known][:2])}, … with its arguments, such as "
            f"{signature([*known][1], known)}, as one word in quotes (on Windows double ones), got {shown}"
        )
    if name.id not in known:
        raise ValueError(f"there is no {name.id!r:.40}{near(name.id, known) or HELP}")
    if not isinstance(found, ast.Call):
        raise ValueError(f"{shown} lacks its arguments; write {signature(name.id, known)}")
    args = [_literal(node, text, braces) for node in found.args]
    options = {f"{k.arg}": _literal(k.value, text, braces) for k in found.keywords}
    try:
        if len(options) < len(found.keywords):
            raise TypeError("an argument is given twice")
        bound = _arguments(known[name.id]).bind(*args, **options)
    except TypeError as error:
        raise _refused(text, error, name.id, known) from None
    return partial(known[name.id], **bound.arguments)


def _parsed(text: str) -> ast.AST | None:
    """The expression that a text is, None if it is none."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of its escapes
            return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # the last two: too deep
        return None


def _literal(node: ast.AST, text: str, braces: bool) -> Any:
    """The value of an argument; ``ValueError`` unless it is written out."""
    why = "is no number, text, list, tuple, True, False or None"
    parts = node.elts if braces and isinstance(node, ast.Set) else [node]
    try:
        if all(isinstance(inner, _LITERALS) for part in parts for inner in ast.walk(part)):
            found = ast.literal_eval(node)
            if not isinstance(found, set):
                return found
            if len(found) == len(parts):
                return Several(sorted(found))
            why = "has a value twice"
    except (ValueError, TypeError):  # a sign before what is no number; braces around a list
        pass
    raise ValueError(f"{ast.get_source_segment(text, node)!r:.40} in {text!r:.80} {why}")


def _arguments(kind: Any) -> inspect.Signature:
    """The arguments that a text may give: not the optimizer, which a schedule gets later."""
    found = inspect.signature(kind)
    kept = [p for p in found.parameters.values() if p.name not in ("optimizer", "last_epoch")]
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in kept]
    return inspect.Signature(bare)


def signature(name: str, known: Known) -> str:
    """How it is called.

    >>> signature("StepLR", SCHEDULES)
    'StepLR(step_size, gamma=0.1)'
    """
    return name + str(_arguments(known[name])).replace("Ellipsis", "...")


def _refused(text: str, error: Exception, name: str, known: Known) -> ValueError:
    """The error for arguments that a name does not take, with those that it takes."""
    return ValueError(f"{text!r:.80}: {error}; write {signature(name, known)}")


def listing(known: Known) -> str:
    """A line for each name: how it is called, and its formula.

    >>> print(listing(PENALTIES).splitlines()[1])
    L1(strength): λ‖w‖₁
    """
    lines = [
        f"{signature(n, known)}: {vars(kind).get('text') or kind.formula}"
        for n, kind in known.items()
    ]
    return "\n".join(lines)


@dataclass
class Chosen:
    """A penalty of the command line.

    Attributes
    ----------
    penalty : its text, which may begin with ``name=``
    on : parameters of the --penalty before, as in 0.weight or '*.bias'; default: the weights
    via : how the --penalty before acts; default gradient, where there is one. prox follows each step, with
        t = lr, of momentum μ lr/(1 − μ), of adam, adamw and rmsprop one t for each weight
    axes : of values in braces, those of a sweep's grid, between which :meth:`at` chooses

    ``ValueError`` for what no :class:`~minireg.Term` can be made of.

    >>> Chosen("mine=L1(0.1)", on=["0.*"], via="prox").term()
    Term(penalty=L1(0.1): λ‖w‖₁, on=('0.*',), via='prox')
    >>> several = Chosen("MCP({0.1, 0.01}, gamma=4)")
    >>> several.axes, several.at({"mcp.strength": 0.1}).penalty
    ({'mcp.strength': [0.01, 0.1]}, 'MCP(strength=0.1, gamma=4)')
    """

    penalty: str
    on: list[str] | None = None
    via: Literal["gradient", "prox"] | None = None

    def __post_init__(self) -> None:
        name, equals, text = self.penalty.partition("=")
        self.named = bool(equals) and name.strip().isidentifier()  # not L1(strength=1)
        self._make = read(text if self.named else self.penalty, PENALTIES, braces=True)
        self.name = name.strip() if self.named else self._make.func.__name__.lower()
        given = self._make.keywords.items()
        self.axes = {f"{self.name}.{n}": [*v] for n, v in given if isinstance(v, Several)}
        for point in points(self.axes):  # refused now rather than in the training
            self.at(point).term()

    def at(self, point: Mapping[str, Any]) -> Chosen:
        """The penalty with the values of a point of the grid, if it has some."""
        return replace(self, penalty=self.text(point)) if self.axes.keys() & point.keys() else self

    def text(self, point: Mapping[str, Any]) -> str:
        """Its text with the values of a point in place of those in braces, or "..." where it has none."""
        if not self.axes:
            return self.penalty
        held = {
            n: point.get(f"{self.name}.{n}", ...) if isinstance(v, Several) else v
            for n, v in self._make.keywords.items()
        }
        words = ", ".join(f"{n}={v!r}" for n, v in held.items())
        name = f"{self.name}=" if self.named else ""
        return f"{name}{self._make.func.__name__}({words})".replace("Ellipsis", "...")

    def term(self) -> Term:
        """A new penalty, where it acts and how."""
        try:
            penalty = self._make()
        except Exception as error:  # whatever its constructor says of the arguments
            name = self._make.func.__name__
            raise _refused(self.penalty.strip(), error, name, PENALTIES) from error
        try:
            return Term(penalty, self.on, self.via)
        except TypeError as error:
            raise ValueError(str(error)) from error

    @property
    def words(self) -> list[str]:
        """What follows --penalty on the command line that gives it."""
        on = ["--on", *self.on] if self.on else []
        return [self.penalty, *on, *(["--via", self.via] if self.via else [])]
