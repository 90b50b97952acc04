"""notebook: a lesson as a Jupyter notebook, in one language, and what its cells call.

Texts, pictures and exercises are those of the lesson's page. The extra ``lessons`` writes it; to run
it takes Jupyter and minireg.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ..messages import needed
from ..pictures import Say, Scene
from ..pictures.scene import State, image, style
from . import exercises, pages, parts
from .book import HEADS, Block, asked, solved
from .claims import WRONG, load, measured
from .judge import judge, source
from .lessons import Lesson, find, measure

COLOUR = re.compile(r"\\color\{(\w+)\}(\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})")
LINK = re.compile(r"\[([^]]+)\]\((#[^)]*)\)")  # one that sets the picture
TONES = dict(re.findall(r"--(\w+): light-dark\((#\w+)", style()))
SIGNS = {ord(c): f"&#{ord(c)};" for c in "$*_|`"}  # which Markdown would take for its own
NEEDS = Say(
    "A lesson of minireg's course as a notebook. It needs `minireg` beside Jupyter; run the cells from "
    "the top.",
    "minireg 课程中的一课，Jupyter 版。除 Jupyter 外需要装有 `minireg`；请从上往下运行各单元格。",
)
SLIDER = Say("The same with its slider:", "带滑块的同一幅图：")
MEASURE = Say(
    "Each claim is a program. {0} of these {1}, measured again{2} (all there are: `minireg claims`):",
    "每条论断都是一段程序。这里重新测量其中 {0} 条（共 {1} 条）{2}，测量全部论断用 `minireg claims`：",
)
SLOW = Say(", which may take a minute", "，约需一分钟")
ANSWER = Say("What is right, and why", "正确答案与理由")
TASKS = {  # the comment in a cell that waits for an answer
    parts.Write: Say("complete it, run this cell and the next", "补全函数，运行本单元格和下一个"),
    parts.Order: Say(
        "put the lines in order, leave out what does not belong", "把各行排好，不该有的删去"
    ),
    parts.Hunt: Say("give the number of the line that is wrong", "填出错那一行的行号"),
    parts.Goal: Say("change it until the picture is there", "改动它，直到图到达目标"),
}
COLUMNS = (Say("No.", "编号"), Say("The texts say", "教材怎么说"), Say("Verdict", "判定"),
           Say("Measured", "测得"), Say("Correct is", "正确的说法"))  # fmt: skip

Cell = tuple[str, str]  # "markdown" or "code", and its text


class Shown(NamedTuple):
    """What a notebook shows."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


class Live:
    """A lesson in a notebook: its picture, and what is said about answers, in one language.

    >>> lesson = Live(0)
    >>> lesson.check("walk", "slope = dict.fromkeys(names, 0.0)")
    ✗ So far so good: lines are missing.
    """

    def __init__(self, number: int, lang: str = "en") -> None:
        self.lesson, self.lang = find(number), lang
        self.opened, self.kept = self.lesson.open(), pages.stored(self.lesson)
        self.scene = self.opened.one(Scene)

    def said(self, text: Say) -> str:
        """A text in the language of the notebook."""
        return text.zh if self.lang == "zh" else text.en

    def picture(self, value: float, choice: str | None = None, broken: bool = False) -> Shown:
        """The picture at a value of its control; ``ValueError`` says which states there are."""
        state = State(value, choice or self.scene.start.choice, broken)
        if state not in self.scene.states:
            raise ValueError(
                f"picture: expected one of {self.scene.values}, and of {[*self.scene.choices]}, got {state}"
            )
        svg, caption = self.scene.still(self.kept["scene"], state)
        text = re.search(f'<span lang="{self.lang}">(.*?)</span>', caption)
        said = re.sub("</?b>", "", text[1] if text else caption)
        return Shown(f"{image(svg, self.lang, self.said(self.scene.alt))}<p>{said}</p>")

    def slider(self) -> Shown:
        """The picture with its control."""
        return Shown(self.scene.document(self.kept["scene"], self.lang))

    def check(self, name: str, answer: Any) -> None:
        """Print what is said about an answer: a function, lines, the number of one, or a state."""
        found = {part.id: part for part in self.opened.of(parts.Exercise)}
        if name not in found:
            raise LookupError(f"check: no exercise {name!r}; there are {', '.join(found)}")
        right, said = _judged(found[name], answer, self.kept["exercises"].get(name), self.scene)
        print("✓" if right else "✗", self.said(said))

    def measure(self, *ids: str) -> None:
        """Run the programs of claims; print each figure, its range, and whether it lies in it."""
        for i in ids:  # one after the other: what is there is shown
            (result,) = measure(i)
            for figure, zh in result.named:
                within = "✗✓"[figure.passed] if figure.tolerance else "·"
                print(i, within, self.said(figure.said(zh)))
            if result.error:
                print(i, "✗", result.error)


def _judged(part: parts.Exercise, answer: Any, kept: Any, scene: Scene) -> tuple[bool, Say]:
    """Whether an answer is right, and what is said about it."""
    match part:
        case parts.Write():
            code = ""
            with contextlib.suppress(OSError, TypeError):  # a function without a text
                code = source(answer)
            verdict = judge(answer, part, code)
            return verdict.right, verdict.said
        case parts.Order():
            return exercises.ordered(part, str(answer), kept)
        case parts.Hunt():
            said = dict(enumerate((why for _, why in exercises.accused(part)), 1))
            return said.get(answer) or (False, TASKS[parts.Hunt])
        case parts.Goal():
            right, *texts = kept[scene.states.index(State(**answer))]
            return right, Say(*texts)
    raise LookupError(f"check: {part.id!r} is not judged: its answer is folded beneath it")


# --- what is written ------------------------------------------------------------------------------


def write(lesson: Lesson, path: Path, lang: str = "en") -> None:
    """Write the notebook of a lesson, with its picture as it stands at first.

    ``FileExistsError`` for a file that is there: someone may have worked in it.
    """
    nbformat = needed("notebooks need nbformat", "nbformat", "'minireg[lessons]'")
    v4, live = nbformat.v4, Live(lesson.number, lang)
    book = v4.new_notebook(metadata={
        "kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"},
        "language_info": {"name": "python"},
    })  # fmt: skip
    for k, (kind, text) in enumerate(cells(live)):
        cell = getattr(v4, f"new_{kind}_cell")(text.strip(), id=f"{lesson.number:02}-{k:02}")
        if text == _call(live.scene, live.scene.start):
            shown = {"text/html": live.picture(*live.scene.start).html}
            cell.outputs = [v4.new_output("display_data", shown)]
        book.cells.append(cell)
    nbformat.validate(book)
    with path.open("x", encoding="utf-8") as file:
        file.write(v4.writes(book) + "\n")


def cells(live: Live) -> Iterator[Cell]:
    """The cells of a lesson's notebook, in order."""
    opened, scene, one = live.opened, live.scene, live.opened.one
    (title, lead), code, predict = (
        vars(one(parts.Title)).values(),
        one(parts.Code),
        one(parts.Predict),
    )
    yield "markdown", _prose(live, "# ", title, lead, NEEDS)
    yield (
        "markdown",
        f"{_head(live, 'predict')}{_blocks(live, asked(predict))}{_folded(live, predict)}",
    )
    given = "" if live.lang == "en" else f', "{live.lang}"'
    start = (
        f"from minireg.course.notebook import Live\n\nlesson = Live({live.lesson.number}{given})"
    )
    yield "code", start
    values = ", ".join(f"{v:g}" for v in scene.values)
    choices = "".join(f'\n- `"{k}"`: {live.said(v)}' for k, v in scene.choices.items())
    fault = f"\n- `broken=True`: {live.said(scene.broken)}" if scene.broken else ""
    yield "markdown", f"`{live.said(scene.label)}`: {values}{choices}{fault}"
    yield "code", _call(scene, scene.start)
    yield "markdown", live.said(SLIDER)
    yield "code", "lesson.slider()"
    steps = (
        f"{k}. " + _text(live, step).replace("\n", "\n   ")
        for k, step in enumerate(one(parts.Why).steps, 1)
    )
    yield (
        "markdown",
        "\n\n".join([f"*{_text(live, predict.asks)}*", _head(live, "why").strip(), *steps]),
    )
    yield "markdown", _head(live, "code") + _text(live, code.says)
    written = [part for part in opened.of(parts.Exercise) if isinstance(part, parts.Write)]
    shown, stubs = code.function.__name__, [source(part.stub) for part in written]
    needs = live.lesson.needed("np, mr", shown, code.call, *stubs)
    names = {part.stub.__name__ for part in written}
    yield "code", "\n".join(text for name, text in needs.items() if name not in {shown, *names})
    yield "code", live.lesson.source(shown)
    yield "code", code.call
    for told in opened.of(parts.Told):
        ids = [*told.ids, *told.also]
        yield "markdown", _head(live, "told") + _table(live, ids)
        slow = sum(measured()[i].seconds for i in told.ids) > 5
        yield "markdown", live.said(MEASURE).format(len(told.ids), len(ids), live.said(SLOW) * slow)
        yield "code", f"lesson.measure({', '.join(f'{i!r}' for i in told.ids)})"
    yield "markdown", _head(live, "exercises")
    for k, part in enumerate(opened.of(parts.Exercise), 1):
        yield from _exercise(live, k, part)
    kept = (f"{k}. {_text(live, said)}" for k, said in enumerate(one(parts.Keep).sentences, 1))
    yield "markdown", _head(live, "keep") + "\n".join(kept)
    for more in opened.of(parts.Appendix):
        yield "markdown", _prose(live, "## ", more.title, more.text)


def _exercise(live: Live, k: int, part: parts.Exercise) -> Iterator[Cell]:
    """What is asked, a cell for the answer, one that judges it, and the right answer, folded."""
    kept = live.kept["exercises"].get(part.id)
    blocks = [*asked(part, kept)]
    if isinstance(part, parts.Write | parts.Order):  # whose code stands in the cell for the answer
        blocks = blocks[:1]
    name = live.said(exercises.NAMES[type(part)][1])
    hints = "\n".join(f"{n}. {_text(live, hint)}" for n, hint in enumerate(part.hints, 1))
    folded = _fold(live.said(HEADS["hints"]), hints) if hints else ""
    yield "markdown", f"### {k}. {name}\n\n{_blocks(live, blocks)}{folded}"
    if type(part) in TASKS:
        comment, answer = f"# {live.said(TASKS[type(part)])}\n", "answer"
        match part:
            case parts.Write():
                text, answer = source(part.stub), part.stub.__name__
            case parts.Order():
                lines = "\n".join(line for _, line in exercises.mixed(part))
                text = f"answer = r'''\n{lines}\n'''"
            case parts.Goal():
                text = f"answer = {live.scene.start._asdict()}\nlesson.picture(**answer)"
            case _:
                text = "answer = ..."
        yield "code", comment + text
        yield "code", f"lesson.check({part.id!r}, {answer})"
    yield "markdown", _folded(live, part, kept)


def _call(scene: Scene, state: State) -> str:
    """The line that shows a state of the picture."""
    choice = f', "{state.choice}"' if state.choice else ""
    return f"lesson.picture({state.value:g}{choice}{', broken=True' * state.broken})"


def _text(live: Live, said: Say) -> str:
    """Markdown as Jupyter takes it: colours by their tone, for a link the line that shows its state."""
    text = COLOUR.sub(lambda m: rf"{{\color{{{TONES[m[1]]}}}{m[2]}}}", live.said(said))
    text = LINK.sub(lambda m: f"{m[1]} (`{_call(live.scene, live.scene.linked(m[2]))}`)", text)
    return text.replace("\u200b", "")


def _head(live: Live, name: str) -> str:
    return f"## {live.said(HEADS[name])}\n\n"


def _prose(live: Live, level: str, *texts: Say | None) -> str:
    """A heading and paragraphs."""
    return level + "\n\n".join(_text(live, text) for text in texts if text)


def _fold(title: str, text: str) -> str:
    return f"\n\n<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _folded(live: Live, part: parts.Exercise | parts.Predict, kept: Any = None) -> str:
    return _fold(live.said(ANSWER), _blocks(live, solved(part, kept, live.scene)))


def _blocks(live: Live, blocks: Iterable[Block]) -> str:
    """Blocks as Markdown."""
    made = []
    for block in blocks:
        if isinstance(block, Say):
            made.append(_text(live, block))
        elif isinstance(block, str):
            made.append(f"```{'python' * block.startswith('def ')}\n{block}\n```")
        else:
            made.append("\n".join(
                f"- `{label}`: {_text(live, text)}"
                if isinstance(label, str)
                else f"- **{live.said(label)}** {_text(live, text)}"
                for label, text in block
            ))  # fmt: skip
    return "\n\n".join(made)


def _table(live: Live, ids: Iterable[str]) -> str:
    """Claims with verdict, figures and correction, the wrong ones first."""
    rows = [[f"<b>{live.said(head)}</b>" for head in COLUMNS]]
    for c in sorted((load()[i] for i in ids), key=lambda c: c.verdict not in WRONG):
        said, right = Say(c.statement, c.statement_zh), Say(c.corrected, c.corrected_zh)
        lines = [live.said(said) for *_, said in pages.on_record(c)[:3]]
        figures = "<br>".join(escape(line, quote=False) for line in lines)
        where = pages.indexed(live.said(pages.named(c.source)))
        verdict = f'<span style="white-space:nowrap">{live.said(pages.VERDICTS[c.verdict])}</span>'
        texts = f"{pages.indexed(live.said(said))} <small>{where}</small>", verdict
        rows.append([c.id, *texts, f"<small>{figures}</small>", pages.indexed(live.said(right))])
    cut = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table>\n{cut.translate(SIGNS)}</table>"
