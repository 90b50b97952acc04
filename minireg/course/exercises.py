"""exercises: what a reader is asked, as HTML that ``exercises.js`` brings to life.

:func:`kept` computes what takes long, for ``lessons/pages/NN.json``; :func:`html` makes the elements;
:func:`faults` says what is wrong with an exercise before a reader finds out.
"""

from __future__ import annotations

import ast
import itertools
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

import numpy as np

from ..pictures import Say, Scene
from .diagnosis import Array, fresh, parts, same
from .judge import judge, source
from .parts import Answer, Exercise, Goal, Hunt, Order, Predict, Recall, Write

Render = Callable[[str], str]

NAMES = {
    Write: ("write", Say("Write", "写代码")),
    Order: ("order", Say("Put in order", "排顺序")),
    Hunt: ("hunt", Say("Find the fault", "找错误")),
    Goal: ("goal", Say("Reach it", "调到目标")),
    Recall: ("recall", Say("Once more", "再想一次")),
}
BUTTONS = {
    "check": Say("Check", "检查"),
    "hint": Say("A hint", "提示"),
    "answer": Say("Show the answer", "看答案"),
    "reset": Say("Start again", "重来"),
}
YOURS = Say("Your program", "你的程序")
THERE = Say("I am there", "就是这里")
LOOK = Say("Choose, then move the control and look.", "先选一个，再拖动滑块看一看。")
COMPARE = Say("Compare", "对照")
CLICK = Say("Click the line that is wrong.", "点一下出错的那一行。")
KEYS = Say(
    "`Ctrl`+`Enter` checks. Once you type, `Tab` indents; `Esc`, then `Tab`, leaves the editor.",
    "按 `Ctrl`+`Enter` 检查。开始输入后 `Tab` 用来缩进；先按 `Esc` 再按 `Tab` 可离开编辑框。",
)
NO_PYTHON = Say(
    "There is no Python here to check it. On your machine, `minireg lesson` shows this page with one.",
    "这里没有 Python 可供检查。在自己的电脑上运行 `minireg lesson`，本页就能检查。",
)
MOVED = {  # what the buttons of a line, or of the control, do, as they are read aloud
    "up": ("↑", Say("up", "上移")),
    "down": ("↓", Say("down", "下移")),
    "out": ("×", Say("take out", "移出")),
    "in": ("+", Say("put into the program", "放入程序")),
    "back": ("◂", Say("back by one", "后退一格")),
    "on": ("▸", Say("on by one", "前进一格")),
}
LEGEND = {  # of a ledger's table, as far as it occurs
    "data": Say("the gradient of the loss", "损失的梯度"),
    "gradient": Say("the whole gradient", "整个梯度"),
    "l2": Say("the penalty in the loss", "损失里的惩罚"),
    "weight_decay": Say("the optimizer's decay", "优化器的衰减"),
    "fresh": Say("from this step", "来自这一步"),
    "clip": Say("what clipping takes from it", "裁剪从中减去的"),
    "carried": Say("from earlier steps, by momentum", "由动量从此前各步带来"),
    "‖Δ‖": Say("how far it moved the weights", "它使权重移动了多远"),
    "share": Say("its share of the step", "它在这一步中所占的份额"),
    "growth": Say(
        "by how much it lengthens (+) or shortens (−) the weights",
        "它使权重变长（+）或变短（−）多少",
    ),
    "residual": Say("what the entries do not explain: rounding", "各项未能解释的部分：舍入误差"),
}
VERDICT = '<div class="verdict" role="status"></div>'
MOST = 7  # lines to put in order: every order of them is run


# --- what is kept ----------------------------------------------------------------------------------


def kept(exercise: Exercise, scene: Scene) -> Any:
    """What is computed once: plain data, or None.

    Of an order which line must stand before which, of a hunt its evidence, of a goal what is said at
    each state of the picture.
    """
    match exercise:
        case Order():
            return before(exercise)
        case Hunt():
            return str(exercise.evidence())
        case Goal():
            return [[at == 0, *said] for at, said in reached(exercise, scene)]
    return None


def outcome(order: Order, lines: Sequence[str]) -> list[Array]:
    """What comes out of a program of these lines; nothing if it does not run."""
    space = order.given()
    try:
        exec("\n".join(lines), space)
        return parts(eval(order.result, space))
    except Exception:  # most orders do not run
        return []


def alike(a: list[Array], b: list[Array]) -> bool:
    """Whether two programs come to the same; from nothing comes nothing."""
    return len(a) == len(b) > 0 and all(map(same, a, b))


def orders(order: Order) -> list[tuple[int, ...]]:
    """All orders of the lines from which the same comes out as from the right one."""
    lines = [*order.lines]
    want = outcome(order, lines)
    every = itertools.permutations(range(len(lines)))
    return [o for o in every if alike(outcome(order, [lines[i] for i in o]), want)]


def before(order: Order) -> list[tuple[int, int]]:
    """Which line must stand before which: pairs that every right order keeps."""
    good = [{line: at for at, line in enumerate(o)} for o in orders(order)]
    pairs = itertools.permutations(range(len(order.lines)), 2)
    return [(i, j) for i, j in pairs if good and all(at[i] < at[j] for at in good)]


def ordered(order: Order, program: str, before: Sequence[Sequence[int]]) -> tuple[bool, Say]:
    """Whether lines are in a right order, and what is said about them; ``before`` is :func:`before`'s."""
    lines = [*order.lines]
    given = [line.rstrip() for line in program.splitlines() if line.strip()]
    if not given:
        return False, Say("Nothing is there yet.", "还没有写。")
    for line in given:
        if why := order.distractors.get(line):
            return False, Say(f"`{line.strip()}` does not belong there. {why.en}",
                              f"`{line.strip()}` 不该在里面。{why.zh}")  # fmt: skip
        if line not in lines or given.count(line) > 1:
            return False, Say(
                f"Once, and as it was: `{line}`.", f"每行只用一次，并保持原样：`{line}`。"
            )
    at = {lines.index(line): k for k, line in enumerate(given)}
    for i, j in before:
        if at.get(i, -1) > at.get(j, len(lines)):
            late, early = lines[i].strip(), lines[j].strip()
            return False, Say(f"`{early}` stands too early: before it comes `{late}`.",
                              f"`{early}` 放得太早：`{late}` 应在它之前。")  # fmt: skip
    if len(given) < len(lines):
        return False, Say("So far so good: lines are missing.", "到目前为止都对，还缺几行。")
    return True, Say("Right: it runs, and comes to what it should.", "正确：程序能运行，结果也对。")


def reached(goal: Goal, scene: Scene) -> Iterator[tuple[int, Say]]:
    """At each state of the picture the number of the sentence, 0 for the goal itself, and the sentence.

    ``LookupError`` for a state at which nothing is said.
    """
    sentences = {goal.why: goal.reached, **goal.others}
    for state, frame in scene.frames().items():
        numbers = {**frame.numbers, **state._asdict(), scene.name: state.value}
        hits = (k for k, applies in enumerate(sentences.values()) if applies(**numbers))
        if (at := next(hits, None)) is None:
            raise LookupError(f"goal {goal.id!r} says nothing at {state}")
        yield at, [*sentences][at].format(**numbers)


# --- elements --------------------------------------------------------------------------------------


def html(part: Exercise | Predict, render: Render, kept: Any = None, *, open: bool = True) -> str:
    """The element of an exercise, or of the prediction before the picture.

    Parameters
    ----------
    render : HTML of a text in one language.
    kept : what :func:`kept` has computed.
    open : whether an exercise is unfolded at first.
    """
    if isinstance(part, Predict):
        return _predict(part, render)
    kind, name = NAMES[type(part)]
    prompt = f'<div class="prompt">{part.prompt.html(render, "div")}</div>'
    data: dict[str, Any] = {}
    match part:
        case Write():
            text, data["answer"] = source(part.stub), source(part.right, part.stub.__name__)
            data["stub"] = text
            rows = f'rows="{text.count(chr(10)) + 2}" spellcheck="false" autocapitalize="off"'
            body = (
                f'<label class="unseen" for="code-{part.id}">{YOURS.html()}</label>'
                f'<p class="keys">{coded(KEYS)}</p>'
                f'<textarea class="editor" id="code-{part.id}" {rows} autocomplete="off">{escape(text)}'
                f'</textarea><p class="python" hidden>{coded(NO_PYTHON)}</p>'
            )
        case Order():
            reasons = [*part.lines.values(), *part.distractors.values()]
            data |= {"count": len(part.lines), "before": kept, "why": reasons}
            body = _order(part)
        case Hunt():
            data["why"], body = _hunt(part, kept)
        case Goal():
            data["states"] = kept  # the control once more, beside its exercise: it may be far away
            steps = f'{_move("back")}<span class="at"></span>{_move("on")}<p class="now"></p>'
            body = f'<div class="steps">{steps}</div>'
        case Recall():
            prompt, body = "", _answers(part.id, part.prompt, part.answers, render)
    hints = "".join(f"<li hidden>{hint.html(render)}</li>" for hint in part.hints)
    words = BUTTONS | ({"check": THERE} if kind == "goal" else {})
    left_out = ["hint"] * (not part.hints) + ["check"] * (kind == "hunt")
    buttons = "".join(
        f'<button type="button" class="{b}"{" hidden" if b == "answer" else ""}>{words[b].html()}</button>'
        for b in words
        if b not in left_out
    )
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return (
        f'<section class="exercise {kind}" data-kind="{kind}" id="ex-{part.id}">'
        f"<details{' open' * open}><summary><h3>{name.html()}</h3></summary>{prompt}{body}"
        f'<div class="do">{buttons}<span class="tries"></span></div>{VERDICT}'
        f'<ol class="hints">{hints}</ol></details><script type="application/json">{text}</script></section>'
    )


def coded(text: Say) -> str:
    """A sentence in which text in backticks is code."""
    return text.html(lambda t: re.sub("`([^`]+)`", r"<code>\1</code>", escape(t, quote=False)))


def _answers(name: str, question: Say, answers: Sequence[Answer], render: Render,
             reasons: bool = True) -> str:  # fmt: skip
    """A question with its answers, and what is said of each."""
    choices = "".join(
        f'<div class="choice"><label><input type="radio" name="{name}" value="{i}"'
        f"{' data-right' if answer.right else ''}>{answer.text.html(render)}</label>"
        f"{_reason(answer, answer.why.html(render)) if reasons else ''}</div>"
        for i, answer in enumerate(answers)
    )
    return f"<fieldset><legend>{question.html(render)}</legend>{choices}</fieldset>"


def _reason(answer: Answer, text: str) -> str:
    return f'<p class="reason {"right" if answer.right else "wrong"}" hidden>{text}</p>'


def _predict(part: Predict, render: Render) -> str:
    """The question; and what ``exercises.js`` puts beneath the picture, where nothing moves away."""
    reasons = "".join(
        _reason(a, f"<b>{a.text.html(render)}</b><br>{a.why.html(render)}") for a in part.answers
    )
    return (
        '<section class="exercise" data-kind="predict" id="predict">'
        f"{_answers('predict', part.question, part.answers, render, reasons=False)}"
        f'<p class="how">{LOOK.html()}</p><div class="exercise seen" hidden>'
        f'<label class="asks">{part.asks.html(render)}<textarea rows="2"></textarea></label>'
        f'<button type="button" class="compare">{COMPARE.html()}</button>'
        f'<div role="status">{reasons}</div></div></section>'
    )


def _move(name: str) -> str:
    """A button that moves something."""
    sign, words = MOVED[name]
    return (
        f'<button type="button" class="{name}"><span aria-hidden="true">{sign}</span>'
        f'<span class="unseen">{words.html()}</span></button>'
    )


def mixed(part: Order) -> list[tuple[int, str]]:
    """The number of each line, and the line, in the order in which they are first shown."""
    lines = [*enumerate([*part.lines, *part.distractors])]
    random.Random(part.id).shuffle(lines)
    return lines


def _order(part: Order) -> str:
    """The lines, mixed, and an empty program."""
    buttons = "".join(map(_move, ("up", "down", "out", "in")))
    items = "".join(
        f'<li data-line="{i}"><span class="grip" aria-hidden="true">⠿</span>'
        f'{_line(line)}<span class="moves">{buttons}</span></li>'
        for i, line in mixed(part)
    )
    return (
        f'<div class="lists"><div><h4>{Say("Lines", "代码行").html()}</h4><ul class="pile">{items}</ul></div>'
        f'<div><h4>{YOURS.html()}</h4><ol class="program"></ol></div></div>'
    )


def accused(part: Hunt) -> list[tuple[str, tuple[bool, Say] | None]]:
    """Each line of a hunt's program, whether it is the faulty one, and what is said of it."""
    text = source(part.program)
    first = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)).body[0]
    prose = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    silent = range(first.lineno, (first.end_lineno or 0) + 1) if prose else ()
    others = {part.fault: part.why, **dict(sorted(part.others.items(), reverse=True))}
    found: list[tuple[str, tuple[bool, Say] | None]] = []
    for n, line in enumerate(text.split("\n"), 1):
        why = None
        if n not in silent and line.strip():
            piece = next(piece for piece in others if piece in line)
            why = piece == part.fault, others[piece]
        found.append((line, why))
    return found


def legend(evidence: str) -> str:
    """What the words of a ledger's table mean, those that occur."""
    there = set(re.findall(r"[\w‖Δ]+", evidence))
    return " · ".join(f"<b>{k}</b> = {v.html()}" for k, v in LEGEND.items() if k in there)


def _hunt(part: Hunt, evidence: str) -> tuple[list[Any], str]:
    """Of each line whether it is the faulty one and what is said of it; the program, its evidence."""
    found = accused(part)
    items = "".join(
        f'<li><button type="button" class="line">{_line(line)}</button></li>'
        if why
        else f"<li>{_line(line)}</li>"
        for line, why in found
    )
    return [why for _, why in found], (
        f'<p class="how">{CLICK.html()}</p><ol class="code">{items}</ol>'
        f'<pre class="evidence">{escape(evidence)}</pre><p class="small evidence">{legend(evidence)}</p>'
    )


def _line(text: str) -> str:
    """A line of code; where it is too long, the rest of it stands further right than it begins."""
    return f'<code style="--in:{len(text) - len(text.lstrip())}ch">{escape(text)}</code>'


# --- what an author may have got wrong -------------------------------------------------------------


def faults(part: Exercise | Predict, scene: Scene | None = None) -> list[str]:
    """What is wrong with an exercise, each in a sentence; none if nothing is.

    A reference that is judged wrong, a mistake that is not recognised as itself, a limit that no
    mistake breaks, an order that more orders satisfy than are accepted, a goal that is reached at
    the start …

    Parameters
    ----------
    scene : the picture, for a goal.
    """
    return [f"{getattr(part, 'id', 'predict')}: {fault}" for fault in _faults(part, scene)]


def _faults(part: Exercise | Predict, scene: Scene | None) -> Iterator[str]:
    if isinstance(part, Predict | Recall) and sum(a.right for a in part.answers) != 1:
        yield "not exactly one answer is right"
    match part:
        case Write():
            yield from _written(part)
        case Order():
            yield from _ordered(part)
        case Hunt():
            text = source(part.program).split("\n")
            if (many := sum(part.fault in line for line in text)) != 1:
                yield f"{many} lines hold {part.fault!r}, expected one"
            if "" not in part.others:
                yield 'others says nothing of all the rest: ""'
            yield from (
                f"no line holds {p!r}" for p in part.others if not any(p in t for t in text)
            )
            if not str(part.evidence()).strip():
                yield "there is no evidence"
        case Goal() if scene is not None:
            told = dict(zip(scene.states, (at for at, _ in reached(part, scene)), strict=True))
            if 0 not in told.values():
                yield "no state of the picture reaches it"
            if told[scene.start] == 0:
                yield "it is reached at the start"
            unsaid = {*range(len(part.others) + 1)} - {*told.values()}
            yield from (f"nowhere said: {[part.why, *part.others][k].en}" for k in sorted(unsaid))


def _written(part: Write) -> Iterator[str]:
    if not (verdict := judge(part.right, part)).right:
        yield f"the reference is judged wrong: {verdict.said.en}"
        return
    if judge(part.stub, part).right:
        yield "the stub is right already"
    for k in range(len(part.cases[0])):
        if len({str(case[k]) for case in (*part.cases, *part.limits.values())}) == 1:
            yield f"argument {k + 1} is the same in all cases: an answer may leave it out"
    for said, mistake in part.mistakes.items():
        verdict = judge(mistake, part)
        if not verdict.said.en.endswith(said.en):
            yield f"a mistake is not told {said.en!r} but {verdict.said.en!r}"
    for said, case in part.limits.items():
        with np.errstate(all="ignore"):  # a mistake may divide by 0, as in the judge
            values = [parts(f(*fresh(case))) for f in (part.right, *part.mistakes.values())]
        if all(alike(values[0], v) for v in values):
            yield f"no mistake breaks the limit {said.en!r}"


def _ordered(part: Order) -> Iterator[str]:
    lines, n = [*part.lines], len(part.lines)
    want = outcome(part, lines)
    if n > MOST:
        yield f"{n} lines, at most {MOST}: every order of them is run"
        return
    if not want:
        yield "the program does not run"
        return
    good, pairs = orders(part), before(part)
    keep = sum(
        all(o.index(i) < o.index(j) for i, j in pairs) for o in itertools.permutations(range(n))
    )
    if keep != len(good):
        yield f"{keep} orders are accepted, {len(good)} come to the same"
    for line in part.distractors:
        for i, old in enumerate(lines):
            if alike(outcome(part, [*lines[:i], line, *lines[i + 1 :]]), want):
                yield f"{line!r} may stand in place of {old!r}"
