"""parts: what a page of the course is made of, in the order in which it is read.

A lesson's cells end in these; :mod:`minireg.course.pages` makes HTML of them. All that a reader sees is
a :class:`Say`, in English and Chinese.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from ..pictures import Say
from .claims import Figure


def says(part: Any) -> Iterator[Say]:
    """All that is said in a part, wherever it stands in it.

    >>> [*says(Title(Say("Why?", "为什么?")))]
    [Say(en='Why?', zh='为什么?')]
    """
    if isinstance(part, Say):
        yield part
    elif is_dataclass(part):
        for entry in fields(part):
            yield from says(getattr(part, entry.name))
    elif isinstance(part, Mapping):
        for pair in part.items():
            yield from says([*pair])
    elif isinstance(part, list | tuple):
        for entry in part:
            yield from says(entry)


@dataclass(frozen=True)
class Part:
    """A piece of a page."""

    def _mime_(self) -> tuple[str, str]:
        """How marimo shows it to who edits the lesson: what it says, both languages."""
        words = "".join(f"<p>{say.html()}</p>" for say in says(self))
        return "text/html", f"<small>{type(self).__name__}</small>{words}"


@dataclass(frozen=True)
class Title(Part):
    """The question that the lesson answers, at most twelve words.

    ``lead`` says in one or two sentences what is trained and what the letters mean.
    """

    question: Say
    lead: Say | None = None


@dataclass(frozen=True)
class Answer:
    """One of the answers that a reader may predict.

    Attributes
    ----------
    text : the answer.
    why : what is said about it once the picture has been moved: never a bare tick or cross.
    """

    text: Say
    why: Say
    right: bool = False


@dataclass(frozen=True)
class Predict(Part):
    """A question before the picture: exactly one of three answers is right.

    ``asks`` is what the reader is asked afterwards: what did you *see*?
    """

    question: Say
    answers: tuple[Answer, Answer, Answer]
    asks: Say


@dataclass(frozen=True)
class Why(Part):
    """The reason in at most three steps; each may set the control (``[λ = 5](#lam=5)``).

    A formula's terms take the colours of the picture: ``\\color{penalty}{\\lambda\\theta}``.
    """

    steps: Sequence[Say]


@dataclass(frozen=True)
class Code(Part):
    """The function that a user would write, and a line to run with it.

    Attributes
    ----------
    function : shown in full, at most twenty lines; public names only.
    call : lines that use it, which the reader may change and run.
    says : one sentence about it.
    """

    function: Callable[..., Any]
    call: str
    says: Say


@dataclass(frozen=True)
class Told(Part):
    """What the texts say: at most three claims as cards, wrong ones first; the others are folded."""

    ids: Sequence[str]
    also: Sequence[str] = ()


@dataclass(frozen=True)
class Keep(Part):
    """Three sentences to keep; the page leads on to the lesson that follows."""

    sentences: tuple[Say, Say, Say]


@dataclass(frozen=True)
class Appendix(Part):
    """What is folded: more about the picture, schedules, proofs."""

    title: Say
    text: Say


@dataclass(frozen=True)
class Close(Part):
    """What the lesson claims beyond its texts; ``minireg lesson N --run`` measures and asserts it."""

    figures: Callable[[], Sequence[Figure]]


# --- exercises -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exercise(Part):
    """Something to do, judged; every answer gets a reason.

    Attributes
    ----------
    id : its name in the lesson, an identifier; the reader's answer is kept under it.
    prompt : what to do.
    hints : shown one at a time, when asked for.
    """

    id: str
    prompt: Say
    hints: Sequence[Say] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class Write(Exercise):
    """A function to write, or to complete where it has ``...``; judged by Python.

    Attributes
    ----------
    stub : the function as it is first shown.
    right : the same function, right.
    cases : arguments to compare them at; each argument takes several values.
    limits : what is said → arguments at which a wrong answer is told so ("No steps: all is left.").
    mistakes : what is said → a function that makes this mistake.
    why : why the right answer is right, said with the verdict.
    rtol : how far an answer may be off, as a share; more for one that iterates.
    """

    stub: Callable[..., Any]
    right: Callable[..., Any]
    cases: Sequence[tuple[Any, ...]]
    limits: dict[Say, tuple[Any, ...]] = field(default_factory=dict)
    mistakes: dict[Say, Callable[..., Any]] = field(default_factory=dict)
    why: Say | None = field(default=None, kw_only=True)
    rtol: float = field(default=1e-9, kw_only=True)


@dataclass(frozen=True)
class Order(Exercise):
    """Lines of a program to put in order, some of which do not belong.

    Lines that may change places may do so: which must stand before which is found by running every
    order.

    Attributes
    ----------
    lines : line of code in the right order, with its indentation → why it stands there; at most 7.
    distractors : line that does not belong → why not; taken from errata and real bugs.
    given : gives the values with which the program begins, new ones each time.
    result : an expression, evaluated after the program; what makes an order right or wrong.
    """

    lines: dict[str, Say]
    distractors: dict[str, Say]
    given: Callable[[], dict[str, Any]]
    result: str


@dataclass(frozen=True)
class Hunt(Exercise):
    """A program with a fault, and what the ledger says of one step: which line is wrong?

    Attributes
    ----------
    program : the function with the fault; it runs.
    evidence : what is printed beside it, a ledger's table: computed, never written by hand.
    fault : a piece of text that only the faulty line contains.
    why : what is said about that line, and how it reads when it is right.
    others : a piece of text of another line → why it is not that one; `` "" `` for all the rest.
    """

    program: Callable[..., Any]
    evidence: Callable[[], Any]
    fault: str
    why: Say
    others: dict[str, Say]


@dataclass(frozen=True)
class Goal(Exercise):
    """A state of the picture to reach with its control.

    Attributes
    ----------
    reached : of the numbers of a frame, by name, and of the control's value, ``choice`` and
        ``broken``, whether it is there.
    why : said when it is reached; ``{name}`` stands for one of those numbers.
    others : said elsewhere: what → of the numbers, whether it applies; the first that does.
    """

    reached: Callable[..., bool]
    why: Say
    others: dict[Say, Callable[..., bool]]


@dataclass(frozen=True)
class Recall(Exercise):
    """A prediction of an earlier lesson, asked again."""

    lesson: int
    answers: tuple[Answer, Answer, Answer]
