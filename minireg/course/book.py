"""book: all lessons as one page to print, and what a book has: contents, answers, glossary, sources.

What an exercise asks and how it is answered are :data:`Block` s, of which notebooks are made, too
(:mod:`minireg.course.notebook`). ``tools/make_book.py`` prints the page as a PDF.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from .. import __version__
from ..pictures import Say, Scene
from . import exercises, pages, parts
from .catalogue import listed
from .claims import WRONG, load
from .judge import source
from .lessons import Lesson, Opened, lessons

#: A paragraph; code; or entries, each with its label, of which a line of code is one.
Block = Say | str | Sequence[tuple[Say | str, Say]]

HEADS = {
    "predict": Say("Predict", "先猜一猜"), "why": Say("Why", "为什么"), "code": Say("The code", "代码"),
    "told": Say("What the texts say", "教材怎么说"), "exercises": Say("Exercises", "练习"),
    "keep": Say("Keep", "记住"), "contents": Say("Contents", "目录"), "answers": Say("Answers", "答案"),
    "glossary": Say("Glossary", "术语表"), "sources": Say("Sources", "所引教材"),
    "hints": Say("Hints", "提示"),
}  # fmt: skip
LEAD = Say(
    "Lessons, to print. A picture is shown as it stands at first and with something broken; on the "
    "lesson's page it moves. Answers are at the end. Figures beside claims were measured; in brackets the "
    "range each must lie in.",
    "供打印的课程。每幅图印出两个状态：最初的状态和“故意弄错”后的状态；在各课的网页上，图可以动。答案在书末。"
    "论断旁的数字都是实测的，括号里是它应落在的范围。",
)
MOVES = re.compile(r'<a href="#[^"]*">(.*?)</a>')  # links that set a picture: paper has none
PAGE = re.compile(r'href="(\d\d)-[\w-]+\.html')
BROKEN = re.compile(r"\(#([^)]*\bbroken)\)")


def page(python: str = "", size: int = 0, chosen: Iterable[Lesson] = ()) -> str:
    """The book as HTML, of all lessons or of those chosen; it runs nothing and has no controls."""
    told = [(one, one.open()) for one in chosen or lessons()]
    entries = [(f"lesson-{one.number}", opened.one(parts.Title).question) for one, opened in told]
    back = ("answers", "glossary", "sources")
    contents = "".join(
        f'<li value="{name.partition("-")[2]}"><a href="#{name}">{title.html()}</a>'
        f'<span class="page" data-of="{name}"></span></li>'
        for name, title in [*entries, *((name, HEADS[name]) for name in back)]
    )
    solutions = "".join(_answers(one, opened) for one, opened in told)
    claims = [
        load()[i] for _, o in told for part in o.of(parts.Told) for i in (*part.ids, *part.also)
    ]
    body = [
        f'<section class="cover"><p class="mark">minireg</p><h1>{pages.QUESTION.html()}</h1>'
        f'<p id="lead">{LEAD.html()}</p><p class="small">minireg {__version__} · <time></time></p></section>',
        _chapter("contents", f"<ol>{contents}</ol>"),
        *(_lesson(one, opened) for one, opened in told),
        _chapter("answers", solutions),
        _chapter("glossary", listed()),
        _chapter("sources", pages.sources(claims)),
    ]
    text = PAGE.sub(lambda m: f'href="#lesson-{int(m[1])}', MOVES.sub(r"\1", "\n".join(body[2:])))
    style = pages.asset("pictures/scene.css").replace("mr-scene", ".still")
    return pages.shell(
        pages.TITLE, "\n".join([*body[:2], text]), {}, python, size, place=Say("the book", "全书"),
        style=style + pages.asset("course/catalogue.css") + pages.asset("course/book.css"),
        script='$("time").textContent = new Date().toLocaleDateString("sv");  // as 2026-12-31\n'
        'root.dataset.ready = "book";\n',
    )  # fmt: skip


def _chapter(name: str, body: str) -> str:
    return f'<section class="chapter" id="{name}"><h1>{HEADS[name].html()}</h1>{body}</section>'


def _part(name: str, body: str) -> str:
    return f'<section class="{name}"><h2>{HEADS[name].html()}</h2>{body}</section>'


def _reader(lesson: Lesson) -> pages.Render:
    """Of a text its kept HTML; of one that was made of parts its letters, and code."""
    kept = pages.stored(lesson)["html"]
    render = pages.renderer(kept, lesson)
    return lambda text: render(text) if text in kept or "$" in text else pages.indexed(text)


def _lesson(lesson: Lesson, opened: Opened) -> str:
    """A lesson: as its page has it, with all that is folded there, and no answers."""
    render, kept, (title, lead) = (
        _reader(lesson),
        pages.stored(lesson),
        vars(opened.one(parts.Title)).values(),
    )
    scene, code, why = opened.one(Scene), opened.one(parts.Code), opened.one(parts.Why)
    steps = "".join(f"<li>{step.html(render, 'div')}</li>" for step in why.steps)
    states = [scene.start, *broken(scene, why)]
    figures = "".join(
        _figure(scene, kept["scene"], state, f"{lesson.number}.{k}")
        for k, state in enumerate(states, 1)
    )
    tasks = "".join(
        _numbered(lesson, k, part, _asked(part, kept["exercises"], render))
        for k, part in enumerate(opened.of(parts.Exercise), 1)
    )
    claims = [load()[i] for part in opened.of(parts.Told) for i in (*part.ids, *part.also)]
    cards = "".join(
        f'<div class="says{" wrong" * (c.verdict in WRONG)}">'
        f'<p class="ruling">{c.id} · {pages.VERDICTS[c.verdict].html()}</p>'
        f"{pages.quoted(c)}{pages.evidence(c)}</div>"
        for c in sorted(claims, key=lambda c: c.verdict not in WRONG)
    )
    keep = "".join(
        f"<li>{sentence.html(render)}</li>" for sentence in opened.one(parts.Keep).sentences
    )
    shown = code.function.__name__
    needs = lesson.needed(shown, code.call)
    before = "\n".join(text for name, text in needs.items() if name != shown)
    listings = [before.replace("\n\n\n", "\n\n").strip(), lesson.source(shown), code.call.strip()]
    return (
        f'<section class="chapter lesson" id="lesson-{lesson.number}">'
        f'<p class="mark">{Say(f"Lesson {lesson.number}", f"第 {lesson.number} 课").html()}</p>'
        f"<h1>{title.html(render)}</h1>"
        + (f'<p class="lead">{lead.html(render)}</p>' if lead else "")
        + _part("predict", _blocks(asked(opened.one(parts.Predict)), render))
        + figures
        + _part("why", f"<ol>{steps}</ol>")
        + _part(
            "code",
            f"<p>{code.says.html(render)}</p>{''.join(_pre(pages.tinted(text)) for text in listings)}",
        )
        + (_part("told", cards) if cards else "")
        + _part("exercises", tasks)
        + _part("keep", f"<ol>{keep}</ol>")
        + "".join(
            f'<section class="appendix"><h2>{part.title.html(render)}</h2>{part.text.html(render, "div")}'
            "</section>"
            for part in opened.of(parts.Appendix)
        )
        + "</section>"
    )


def broken(scene: Scene, why: parts.Why) -> list[Any]:
    """The state in which the reasons show the picture broken, or else the first one, broken."""
    links = [link for step in why.steps for link in BROKEN.findall(step.en)]
    found = scene.linked(links[0]) if links else scene.start._replace(broken=True)
    return [found] if scene.broken else []


def _figure(scene: Scene, encoded: dict[str, Any], state: Any, number: str) -> str:
    svg, caption = scene.still(encoded, state)
    told = scene.told(state)
    which = Say(f"Figure {number}", f"图 {number}").html()
    there = Say(f"({told.en}).", f"（{told.zh}）。").html()
    return (
        f'<figure class="still{" faulty" * state.broken}"><div class="stage">{svg}</div><figcaption>'
        f'<b>{which}</b> {there} <span class="caption">{caption}</span>'
        "</figcaption></figure>"
    )


def _pre(html: str) -> str:
    return f"<pre><code>{html}</code></pre>"


def _asked(part: parts.Exercise, kept: dict[str, Any], render: pages.Render) -> str:
    """An exercise and its hints."""
    hints = "".join(f"<li>{hint.html(render)}</li>" for hint in part.hints)
    more = (
        f'<p class="small">{HEADS["hints"].html()}</p><ol class="hints">{hints}</ol>'
        if hints
        else ""
    )
    return _blocks(asked(part, kept.get(part.id)), render) + more


def _answers(lesson: Lesson, opened: Opened) -> str:
    """What is right, and why, of all that a lesson asks."""
    render, kept, scene = _reader(lesson), pages.stored(lesson)["exercises"], opened.one(Scene)
    prediction = (
        f"<h3>{HEADS['predict'].html()}</h3>{_blocks(solved(opened.one(parts.Predict)), render)}"
    )
    others = "".join(
        _numbered(lesson, k, part, _blocks(solved(part, kept.get(part.id), scene), render))
        for k, part in enumerate(opened.of(parts.Exercise), 1)
    )
    title = opened.one(parts.Title).question.html(render)
    return f"<section><h2>{lesson.number} {title}</h2>{prediction}{others}</section>"


def _numbered(lesson: Lesson, k: int, part: parts.Exercise, body: str) -> str:
    kind = exercises.NAMES[type(part)][1].html()
    return f"<section><h3>{lesson.number}.{k} {kind}</h3>{body}</section>"


def _blocks(blocks: Iterable[Block], render: pages.Render) -> str:
    """Blocks as HTML."""
    made = ""
    for block in blocks:
        if isinstance(block, Say):
            made += block.html(render, "div")
        elif isinstance(block, str):
            made += _pre(escape(block, quote=False))
        else:
            rows = (
                f"<dt>{label.html(render) if isinstance(label, Say) else f'<code>{escape(label)}</code>'}"
                f"</dt><dd>{text.html(render)}</dd>"
                for label, text in block
            )
            kind = "lines" if any(isinstance(label, str) for label, _ in block) else "choices"
            made += f'<dl class="{kind}">{"".join(rows)}</dl>'
    return made


# --- exercises ------------------------------------------------------------------------------------


def asked(part: parts.Exercise | parts.Predict, kept: Any = None) -> Iterator[Block]:
    """What an exercise or a prediction asks; ``kept`` is what :func:`exercises.kept` gave."""
    yield part.question if isinstance(part, parts.Predict) else part.prompt
    match part:
        case parts.Predict() | parts.Recall():
            yield [(_letter(k), answer.text) for k, answer in enumerate(part.answers)]
        case parts.Write():
            yield source(part.stub)
        case parts.Order():
            yield "\n".join(line for _, line in exercises.mixed(part))
        case parts.Hunt():
            yield "\n".join(
                f"{n:2}  {line}" for n, (line, _) in enumerate(exercises.accused(part), 1)
            )
            yield str(kept)


def solved(
    part: parts.Exercise | parts.Predict, kept: Any = None, scene: Scene | None = None
) -> Iterator[Block]:
    """What is right, and why; ``scene`` is the picture, for a goal."""
    match part:
        case parts.Predict() | parts.Recall():
            yield [(_letter(k, a), a.why) for k, a in enumerate(part.answers)]
        case parts.Write():
            yield source(part.right, part.stub.__name__)
            if part.why:
                yield Say(part.why.en[:1].upper() + part.why.en[1:], part.why.zh)
        case parts.Order():
            yield [*part.lines.items()]
            yield Say("These do not belong:", "这些行不该在里面：")
            yield [*part.distractors.items()]
        case parts.Hunt():
            found = enumerate(exercises.accused(part), 1)
            yield [(f"{n}  {line.strip()}", why[1]) for n, (line, why) in found if why and why[0]]
        case parts.Goal() if scene:
            reached = [
                (scene.told(state), Say(*said))
                for state, (there, *said) in zip(scene.states, kept, strict=True)
                if there
            ]
            yield reached


def _letter(k: int, answer: parts.Answer | None = None) -> Say:
    """A, B or C, with a tick if the answer is right."""
    letter = "ABC"[k] + " ✓" * bool(answer and answer.right)
    return Say(letter, letter)
