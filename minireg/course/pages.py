"""pages: HTML of a lesson, for a browser without Python, with it, or beside a local one.

A page is one file with all that it needs, but for the font of its formulas; :mod:`~minireg.course.site`
lays pages out. What takes long or needs packages (frames of
the picture, formulas, figures) is kept in ``lessons/pages/NN.json``; ``tools/make_pages.py`` writes it.
"""

from __future__ import annotations

import io
import json
import keyword
import re
import tokenize
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import accumulate
from string import Template
from typing import Any

from ..pictures import Say, Scene
from ..pictures.words import say
from . import exercises
from .answers import LIMITS
from .claims import HERE, LESSONS, SOURCES, WRONG, Claim, load, measured
from .lessons import Lesson, lessons
from .parts import Appendix, Code, Exercise, Keep, Predict, Title, Told, Why

KEPT = LESSONS / "pages"
FONT = "math.woff2"
MARKUP = re.compile(r"[$*`\[\n]")  # what is more than plain text

VERDICTS = {
    "TRUE": Say("true", "成立"),
    "TRUE-WITH-CONDITIONS": Say("true under conditions", "有条件成立"),
    "IMPRECISE": Say("imprecise", "不准确"),
    "FALSE AS STATED": Say("false as stated", "照原文不成立"),
    "EMPIRICAL": Say("a matter of experience", "经验之谈"),
}
CERTAINTY = {
    "exact identity": Say(
        "algebra, true for all inputs; measured to rounding",
        "代数恒等式，对一切输入成立；实测只差舍入误差",
    ),
    "certificate": Say("a certificate, checked on this instance", "已在此实例上用数值验证"),
    "statistical": Say("a mean over random draws, with its error", "随机抽样的平均，带抽样误差"),
    "empirical": Say(
        "trainings on particular data; other data may differ",
        "在特定数据上训练的结果；换了数据可能不同",
    ),
}
KEYS = {
    "← →": Say("move the control", "移动滑块"),
    "b": Say("break it, mend it", "故意弄错 / 复原"),
    "p": Say("present: one thing at a time", "演示模式：逐项显示"),
    "PgDn PgUp": Say("while presenting: on and back", "演示时前后翻页"),
    "Esc": Say("end of the presentation", "结束演示"),
    "?": Say("these keys", "显示本列表"),
}
TAPS = {  # where there are no keys
    Say("a number under the slider", "滑块下的数"): Say("chooses that value", "选这个值"),
    Say("a dotted link in the text", "文中带点线的链接"): Say("sets the picture", "设置图"),
    Say("the box at the lower edge", "屏幕下方的小框"): Say("leads to the picture", "回到图"),
}
TERMS = {  # in which the texts number what they say
    "定理": "Theorem", "引理": "Lemma", "推论": "Corollary", "注记": "Remark", "定义": "Definition",
    "表": "Table",
}  # fmt: skip
#: Where in a text a claim stands, in Chinese: what our own words are there.
PLACES: dict[str, str | Callable[[re.Match[str]], str]] = {
    r" and (?:the \w+ after it|text)": " 及其后的文字", r" and x̂ after them": " 及其后的 x̂",
    r"eq\. ([\d.–]+), ([\d.–]+)": r"式 (\1)、式 (\2)", r"eq\. ([\d.–]+)": r"式 (\1)",
    r"eq\. before ([^;,]+)": r"\1 之前的式子", r"after ([^;,]+)": r"\1 之后", r" / ": "、",
    r", third bullet": "，第三条", r",? \(?last paragraph\)?": "，末段", r",? last row": "，末行",
    r",? \(?(?:last|second) sentence\)?": lambda m: "，末句" if "last" in m[0] else "，第二句",
    r", second half": "，后半", r" \(first half\)": "，前半", r" \(end\)": "，末尾",
    r", second display": "，第二个式子", r", remark on the gradient": "，关于梯度的评注",
    r",? comment": "，评注", r", on (\w+)": r" \1 部分", r" intro(?:duction)?": " 引言",
    r", formula of q̃": " q̃ 的公式", r" \(redistribution\)": "（重新分配）",
    r", the view in continuous time": "，连续时间的视角", r"》, 《": "》、《",
    r"(》) and (《.+?》) take (\S+)": r"\1、\2取 \3", r"; ": "；", r", ": "、", r"》 ": "》",
}  # fmt: skip
RANGES = Say(
    "in brackets: the range in which the figure has to lie",
    "括号里是这个数应落在的范围",
)
# An index: after one letter or a norm, or one sign after anything; a name in code has more of both.
INDEX = re.compile(
    r"`([^`]+)`|(?<![A-Za-z0-9_][A-Za-z])(?<=[^\W\d_]|[‖Σ∂])_([a-z]+|[A-Z]+|\d+|[∞*]|\{[^{}]+\})"
    r"|(?<=\w)_([a-z])(?!\w)"
)

COLOURS = {tokenize.STRING: "s", tokenize.COMMENT: "c"}

#: Of the course, as its first page and its book say it.
TITLE = Say("minireg: a course on regularization", "minireg：正则化课程")
QUESTION = Say("What does regularization really do?", "正则化究竟做了什么？")

Render = Callable[[str], str]


def page(lesson: Lesson, python: str = "", size: int = 0) -> str:
    """The page of a lesson as HTML.

    Parameters
    ----------
    lesson : one that is written as parts.
    python : "worker" if ``worker.js`` and ``python/`` lie beside the page, "server" if
        :mod:`minireg.course.serve` shows it; by default there is none, and the page says so.
    size : bytes that the worker loads.

    ``LookupError`` where the kept file lacks what the lesson says.
    """
    opened, kept = lesson.open(), stored(lesson)
    render = renderer(kept["html"], lesson)
    (title, lead), scene = vars(opened.one(Title)).values(), opened.one(Scene)
    judged = [
        exercises.html(e, render, kept["exercises"].get(e.id), open=k == 0)
        for k, e in enumerate(opened.of(Exercise))
    ]
    told = opened.of(Told)  # lesson 0 speaks of no text
    claims = [load()[i] for part in told for i in (*part.ids, *part.also)]
    steps = "".join(
        f'<li value="{number}">{step.html(render, "div")}</li>'
        for number, step in enumerate(opened.one(Why).steps, 1)
    )
    figures = _figures(("", "", say(line)) for line in kept["figures"])
    body = [
        f"<h1>{title.html(render)}</h1>",
        *([f'<p id="lead">{lead.html(render)}</p>'] if lead else []),
        exercises.html(opened.one(Predict), render),
        f'<div id="picture"><div id="scene">{scene.html(kept["scene"])}</div>'
        f"{_section('why', 'Why', '为什么', f'<ol>{steps}</ol>')}</div>",
        _section("code", "The code", "代码", _code(opened.one(Code), lesson, render)),
        *(_section("told", "What the texts say", "教材怎么说", _told(t, claims)) for t in told),
        _section("exercises", "Exercises", "练习", "".join(judged)),
        _section("keep", "Keep", "记住", _keep(opened.one(Keep), lesson, render)),
        *(_fold(part.title, part.text.html(render, "div")) for part in opened.of(Appendix)),
        _fold(Say("What this lesson measures", "本课的实测（英文简记）"), figures),
        *([_fold(Say("The texts", "所引教材"), sources(claims))] if claims else []),
    ]
    widgets = asset("course/exercises.js").replace("export function", "function")
    more = Template(asset("course/lesson.html")).substitute(
        keys=_listed((say(key), does) for key, does in KEYS.items()), taps=_listed(TAPS.items())
    )
    return shell(
        title,
        "\n".join(body),
        {"lesson": lesson.number, "control": scene.name, "values": len(scene.values)},
        python,
        size,
        place=Say(f"lesson {lesson.number}", f"第 {lesson.number} 课"),
        more=more,
        style=asset("course/exercises.css"),
        script=f"const exercises = (() => {{\n{widgets}\nreturn exercises;\n}})();\n"
        + asset("course/lesson.js"),
    )


def shell(
    title: Say, body: str, data: Mapping[str, Any], python: str = "", size: int = 0, *,
    place: Say, foot: str = "", more: str = "", style: str = "", script: str,
) -> str:  # fmt: skip
    """A page of the course as HTML: its head, links and buttons around what it says.

    Parameters
    ----------
    body : what stands in ``<main>``.
    data : plain data, which its script finds in ``page``.
    python, size : see :func:`page`.
    place : where in the course it is, beside the link to all lessons.
    foot, more : HTML in the footer and after it.
    style, script : CSS and JavaScript of this page, after ``page.css`` and ``page.js``; the script
        ends with ``root.dataset.ready = …``.
    """
    given = {"python": python, "bytes": size, "limits": LIMITS, "title": title._asdict()}
    scripts = [asset("course/page.js") + script]
    if "<mr-scene" in body:
        scripts.insert(0, asset("pictures/scene.js"))
    return Template(asset("course/page.html")).substitute(
        title=escape(title.en),
        style="\n".join([*map(asset, ("pictures/scene.css", "course/page.css")), style]),
        place=place.html(),
        body=body,
        foot=foot,
        more=more,
        data=embedded({**given, **data}),
        scripts="\n".join(f'<script type="module">\n{s}</script>' for s in scripts),
    )


# --- what is kept ---------------------------------------------------------------------------------


def stored(lesson: Lesson) -> dict[str, Any]:
    """What ``tools/make_pages.py`` has kept of a lesson."""
    path = KEPT / f"{lesson.number:02}.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise LookupError(f"{path} is missing: tools/make_pages.py {lesson.number}") from None


def renderer(html: Mapping[str, str], lesson: Lesson) -> Render:
    """A function that gives the HTML of a text: the kept one, or for plain text its letters.

    It raises ``LookupError`` for a text with Markdown or TeX that is not kept.
    """

    def render(text: str) -> str:
        if text in html:
            return html[text]
        if MARKUP.search(text):
            made = f"tools/make_pages.py {lesson.number}"
            raise LookupError(f"pages/{lesson.number:02}.json lacks {text!r}: {made}")
        return escape(text, quote=False)

    return render


def embedded(data: Any) -> str:
    """Plain data as JSON that may stand in a script element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")


def asset(name: str) -> str:
    """The text of a file of the package."""
    return (HERE / name).read_text("utf-8")


# --- parts ----------------------------------------------------------------------------------------


def _section(name: str, en: str, zh: str, body: str) -> str:
    return f'<section id="{name}"><h2>{Say(en, zh).html()}</h2>{body}</section>'


def _fold(title: Say, body: str) -> str:
    return f"<details><summary>{title.html()}</summary>{body}</details>"


def _code(part: Code, lesson: Lesson, render: Render) -> str:
    """The function, and lines to run with it."""
    lines, call = lesson.source(part.function.__name__), part.call.strip()
    run, label = Say("Run", "运行").html(), Say("lines to run", "要运行的代码")
    keys = exercises.coded(Say("`Ctrl`+`Enter` runs them.", "按 `Ctrl`+`Enter` 运行。"))
    return (
        f"<p>{part.says.html(render)}</p><pre><code>{tinted(lines)}</code></pre>"
        f'<div class="run"><p class="keys small">{keys}</p>'
        f'<textarea spellcheck="false" rows="{call.count(chr(10)) + 1}" '
        f'aria-label="{label.en} · {label.zh}">{escape(call)}</textarea><button class="go">{run}</button> '
        f'<button class="reset">{exercises.BUTTONS["reset"].html()}</button>'
        f'<p class="python small" hidden></p><pre class="output" aria-live="polite"></pre>'
        f'<p class="said"></p></div>'
    )


def tinted(code: str) -> str:
    """Python as HTML: keywords, strings, comments, and the name that is defined.

    >>> tinted("def f(): return 'a'")
    '<b class="k">def</b> <b class="d">f</b>(): <b class="k">return</b> <b class="s">\\'a\\'</b>'
    """
    starts = [0, *accumulate(map(len, code.splitlines(keepends=True)))]
    html, at, defined = [], 0, False
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        kind = COLOURS.get(token.type, "")
        if token.type == tokenize.NAME:
            kind = "k" if keyword.iskeyword(token.string) else "d" if defined else ""
        if kind:
            start, end = (starts[line - 1] + column for line, column in (token.start, token.end))
            html.append(escape(code[at:start], quote=False))
            html.append(f'<b class="{kind}">{escape(code[start:end], quote=False)}</b>')
            at = end
        defined = token.string in ("def", "class")
    return "".join([*html, escape(code[at:], quote=False)])


def _told(part: Told, claims: Sequence[Claim]) -> str:
    """Cards, the wrong claims first, and the others folded."""
    worst = sorted(claims[: len(part.ids)], key=lambda c: -([*VERDICTS].index(c.verdict) % 4))
    others = claims[len(part.ids) :]
    more = Say(f"And {len(others)} more, all measured", f"另有 {len(others)} 条，均已实测")
    folded = _fold(more, "".join(map(card, others))) if others else ""
    return "".join(map(card, worst)) + folded


def card(claim: Claim, unfolded: bool = False) -> str:
    """*They say, we measured, so* of one claim, with a button that measures it here."""
    why = Say("what was measured, and why", "测得什么，为什么")
    return (
        f'<div class="says{" wrong" * (claim.verdict in WRONG)}">{quoted(claim)}'
        f'<details{" open" * unfolded}><summary><span class="ruling">{VERDICTS[claim.verdict].html()}'
        f"</span> · {why.html()}</summary>{evidence(claim)}"
        f'<button data-claim="{claim.id}">{Say("Measure it here", "在这里测一测").html()}</button> '
        f'<span class="small"></span><p class="python small" hidden></p></details></div>'
    )


def quoted(claim: Claim) -> str:
    """What a text says, and where."""
    said = Say(claim.statement, claim.statement_zh).html(indexed)
    return f'<p>{said} <span class="small">{named(claim.source).html()}</span></p>'


def evidence(claim: Claim) -> str:
    """What is said against a claim or for it, and the figures on record."""
    which = (
        ("the correct statement", "上述正确说法")
        if claim.corrected
        else ("the statement", "此说法")
    )
    certain = CERTAINTY[claim.certainty]
    entries = [
        (Say("Why it seems right", "为什么看起来对"), claim.seems),
        (Say("What was measured", "测得的结果"), claim.refutation),
        (
            Say("Correct is", "正确的说法"),
            claim.corrected and Say(claim.corrected, claim.corrected_zh),
        ),
        (
            Say("How certain", "确定程度"),
            Say(f"{which[0]}: {certain.en}", f"{which[1]}：{certain.zh}"),
        ),
    ]
    listed = _listed((k, v) for k, v in entries if v)
    return f"<dl>{listed}</dl>{_figures(on_record(claim))}"


def on_record(claim: Claim) -> list[tuple[Any, str, Say]]:
    """The figures of a claim: value, what it is of, and both in words."""
    return [(f.value, zh or f.what, f.said(zh)) for f, zh in measured()[claim.id].named]


def _listed(entries: Iterable[tuple[Say, Say]]) -> str:
    """Terms, and what is said of each."""
    return "".join(f"<dt>{k.html()}</dt><dd>{v.html(indexed)}</dd>" for k, v in entries)


def _figures(lines: Iterable[tuple[float | str, str, Say]]) -> str:
    """Figures as a list, of each the value, what it is in Chinese, and all that is said of it."""
    listed = "".join(
        f'<li data-value="{value}" data-zh="{escape(zh)}">{said.html(indexed)}</li>'
        for value, zh, said in lines
    )
    return f'<p class="small">{RANGES.html()}</p><ul class="figures">{listed}</ul>'


def _keep(part: Keep, lesson: Lesson, render: Render) -> str:
    """Three sentences, what to try in the playground, and what follows: a lesson, or the ten questions."""
    lines = "".join(f"<li>{sentence.html(render)}</li>" for sentence in part.sentences)
    later = [other for other in lessons() if other.number > lesson.number]
    name, title = "questions.html", Say("What have you learnt? Ten questions", "学会了什么？十道题")
    if later:
        name, title = later[0].page, later[0].open().one(Title).question
    following = f'{Say("Next: ", "接下来：").html()}<a href="{name}">{title.html()}</a>'
    tries, found = "", tomllib.loads(asset("course/playground.toml")).get(str(lesson.number))
    if found:
        to, words = f"playground.html#{escape(found['choices'])}", Say(found["en"], found["zh"])
        where = Say("In the playground: ", "实验场：")
        tries = f'<p>{where.html()}<a href="{to}">{words.html()}</a></p>'
    return f"<ol>{lines}</ol>{tries}<p>{following}</p>"


def named(source: str) -> Say:
    """Where a claim stands, with the texts by their names.

    >>> named("003 引理 2, comment")
    Say(en='《权重衰减》 Lemma 2, comment', zh='《权重衰减》引理 2，评注')
    """
    text = re.sub(r"\b00\d\b", lambda m: f"《{SOURCES[m[0]].split(', ')[-1]}》", source)
    zh = text
    for ours, chinese in PLACES.items():
        zh = re.sub(ours, chinese, zh)
    return Say(re.sub(rf"({'|'.join(TERMS)})(?= \d)", lambda m: TERMS[m[0]], text), zh)


def indexed(text: str) -> str:
    """HTML of a sentence with indices below the line and text in backticks as code.

    >>> indexed("θ_T < `a_b` weight_decay")
    'θ<sub>T</sub> &lt; <code>a_b</code> weight_decay'
    """

    def shown(match: re.Match[str]) -> str:
        code, group, sign = match.groups()
        return f"<code>{code}</code>" if code else f"<sub>{(group or sign).strip('{}')}</sub>"

    return INDEX.sub(shown, escape(text, quote=False))


def sources(claims: Iterable[Claim]) -> str:
    """The texts that a page speaks of."""
    numbers = sorted({n for claim in claims for n in re.findall(r"\b00\d\b", claim.source)})
    texts = [SOURCES[n].rpartition(", ")[::2] for n in numbers]
    en = "; ".join(f"《{title}》, {what}" for what, title in texts)
    zh = "".join(f"《{title}》" for _, title in texts)
    return f"<p>{Say(f'The texts: {en}.', f'所引教材：{zh}。').html()}</p>"
