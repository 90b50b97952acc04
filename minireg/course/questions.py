"""questions: ten questions, answered before the course and after it, and the page that asks them.

They are those of ``lessons/questions.toml``. What a reader answers stays in the browser
(``questions.js``); docs/teaching.md sums up what readers have exported.
"""

from __future__ import annotations

import tomllib
from string import Template
from typing import NamedTuple

from .. import __version__
from ..pictures import Say
from .claims import LESSONS
from .lessons import find
from .pages import asset, shell
from .parts import Title

TITLE = Say("Ten questions, before and after", "十道题：学前一次，学后一次")
SURE = {
    "guess": Say("a guess", "猜的"), "fairly": Say("fairly sure", "比较有把握"),
    "sure": Say("sure", "很有把握"),
}  # fmt: skip


class Question(NamedTuple):
    """One of the ten: the lesson that explains it, and by letter each answer and why it is right or wrong."""

    id: str
    lesson: int
    right: str
    text: Say
    answers: dict[str, tuple[Say, Say]]


def questions() -> list[Question]:
    """What ``lessons/questions.toml`` holds."""
    found = tomllib.loads((LESSONS / "questions.toml").read_text("utf-8"))
    return [
        Question(
            id, q["lesson"], q["right"], Say(q["en"], q["zh"]),
            {
                letter: (Say(a["en"], a["zh"]), Say(a["why_en"], a["why_zh"]))
                for letter, a in q.items() if isinstance(a, dict)
            },
        )
        for id, q in found.items()
    ]  # fmt: skip


def page(python: str = "", size: int = 0) -> str:
    """The page as HTML."""
    asked = questions()
    read = sorted({q.lesson for q in asked})
    body = Template(asset("course/questions.html")).substitute(
        title=TITLE.html(),
        read="".join(f"<li>{_lesson(n)}</li>" for n in read),
        questions="".join(map(_question, asked)),
    )
    sure = {name: words._asdict() for name, words in SURE.items()}
    return shell(
        TITLE, body, {"version": __version__, "sure": sure}, python, size,
        place=Say("ten questions", "十道题"), script=asset("course/questions.js"),
        style=asset("course/exercises.css") + asset("course/questions.css"),
    )  # fmt: skip


def _question(q: Question) -> str:
    """A question, its answers with what is said of them in the end, and how sure the reader is."""
    answers = "".join(
        f'<div class="choice">{_radios(q.id, {letter: Say(*(f"{letter}. {text}" for text in answer))})}'
        f'<p class="reason {"right" if letter == q.right else "wrong"}" hidden>{why.html()}</p></div>'
        for letter, (answer, why) in q.answers.items()
    )
    return (
        f'<fieldset class="question" data-id="{q.id}" data-right="{q.right}">'
        f"<legend>{q.text.html()}</legend>{answers}"
        f'<fieldset class="sure"><legend>{Say("How sure are you?", "有多大把握？").html()}</legend>'
        f'<span class="choices">{_radios(f"{q.id}-sure", SURE)}</span></fieldset>'
        f'<p class="small told" hidden><span class="was"></span>{_lesson(q.lesson)}</p></fieldset>'
    )


def _radios(name: str, choices: dict[str, Say]) -> str:
    return "".join(
        f'<label><input type="radio" name="{name}" value="{k}" required><span>{w.html()}</span></label>'
        for k, w in choices.items()
    )


def _lesson(number: int) -> str:
    """A link to a lesson, by its number and its question."""
    title = find(number).open().one(Title).question
    where = Say(f"Lesson {number}: ", f"第 {number} 课：")
    return f'{where.html()}<a href="{find(number).page}">{title.html()}</a>'
