"""catalogue: pages beside the lessons: all claims, the texts place by place, their errata, the terms.

Each is a table or a list whose rows one box searches (``catalogue.js``); without JavaScript all of it
is there to be read. The data are those of :mod:`~minireg.course.claims` and ``lessons/terms.csv``.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from typing import NamedTuple

from ..pictures import Say
from .claims import LESSONS, SOURCES, WRONG, Claim, by_place, load, places, wrong
from .lessons import lessons
from .pages import VERDICTS, asset, card, indexed, named, shell, sources

NAMES = {number: named(number) for number in SOURCES}
KINDS = {  # of evidence, in a word
    "exact identity": Say("algebra", "恒等式"),
    "certificate": Say("certificate", "数值验证"),
    "statistical": Say("statistics", "统计"),
    "empirical": Say("trainings", "训练实验"),
}
TOPICS = {
    "objective": Say("loss and penalty", "损失与惩罚"),
    "decay": Say("weight decay", "权重衰减"),
    "adaptive": Say("momentum and Adam", "动量与 Adam"),
    "sparsity": Say("L1 and thresholds", "L1 与阈值"),
    "groups": Say("elastic net and groups", "弹性网络与分组"),
    "geometry": Say("contours and curvature", "等高线与曲率"),
    "constraints": Say("budgets, priors, implicit bias", "约束、先验与隐式偏置"),
    "noise": Say("dropout and label smoothing", "Dropout 与标签平滑"),
    "spectra": Say("matrix norms, Lipschitz", "矩阵范数与 Lipschitz"),
    "stopping": Say("schedules, stopping, clipping", "调度、早停与裁剪"),
    "normalization": Say("normalisation", "归一化"),
    "scale": Say("scale", "尺度"),
}

# Letters by their names, as they are typed into the box; Unicode's are GREEK SMALL LETTER LAMDA and so on.
GREEK = [(unicodedata.name(c)[19:].lower().replace("mda", "mbda"), c) for c in "αβγδεηθκλμξπρστφω"]


class Term(NamedTuple):
    """A word of the course: in both languages, its symbol, the lesson that explains it, its meaning."""

    en: str
    zh: str
    symbol: str
    lesson: int
    meaning: Say


def terms() -> list[Term]:
    """What ``lessons/terms.csv`` holds, in the order of the lessons."""
    with (LESSONS / "terms.csv").open(encoding="utf-8", newline="") as file:
        return [
            Term(en, zh, symbol, int(lesson), Say(meaning, meaning_zh))
            for en, zh, symbol, lesson, meaning, meaning_zh in [*csv.reader(file)][1:]
        ]


# --- claims ---------------------------------------------------------------------------------------


def claims(python: str = "", size: int = 0) -> str:
    """All claims as a table; a row unfolds to its card, a button measures it again."""
    found = load()
    title = Say(f"{len(found)} claims, each measured", f"{len(found)} 条论断，条条实测")
    lead = Say(
        "What five texts say about regularization, each sentence as a program with figures. "
        "Open one to see them, or search: a number (10.19), a word, a verdict.",
        "五篇教材关于正则化的论断，每一条都是一段会给出数值的程序。点开一条，即可看到它；"
        "也可以搜索：编号（10.19）、词语或判定。",
    )
    choices = {
        "text": (Say("Text", "教材"), NAMES),
        "verdict": (Say("Verdict", "判定"), VERDICTS),
        "certainty": (Say("Evidence", "依据"), KINDS),
        "topic": (Say("Topic", "主题"), TOPICS),
    }
    heads = [Say("No.", "编号"), Say("Claim", "论断"), Say("Where", "出处"), Say("Verdict", "判定"),
             Say("Lesson", "课")]  # fmt: skip
    body = _table("claims", heads, map(_row, found.values()))
    here = {"alone": _ALONE._asdict()}
    return _page(title, lead, choices, body, here, python, size, sources(found.values()))


_ALONE = Say(
    "On your machine, `minireg claims --id C39` measures it, and `minireg lesson 2` serves these pages "
    "with a Python.",
    "在自己的电脑上，`minireg claims --id C39` 可以实测；`minireg lesson 2` 打开的各页则自带 Python。",
)


def _row(claim: Claim) -> str:
    """A claim: what is seen of it, and beneath, folded, its card."""
    where, kind = places(claim.source), KINDS[claim.certainty]
    ids = f'id="{claim.id}" class="row{" wrong" * (claim.verdict in WRONG)}"'
    kept = {
        "text": "|".join(where), "verdict": claim.verdict, "certainty": claim.certainty,
        "topic": claim.topic,
    }  # fmt: skip
    data = " ".join(f'data-{name}="{value}"' for name, value in kept.items())
    number = f'<button aria-expanded="false" aria-controls="card-{claim.id}">{claim.id}</button>'
    cells = [
        f'{titled(claim)}<p class="first">{Say(claim.statement, claim.statement_zh).html(indexed)}</p>',
        f'<p class="where">{named(claim.source).html()}</p>',
        f'<b class="ruling">{VERDICTS[claim.verdict].html()}</b> <span class="small">{kind.html()}</span>',
        _links(claim.lessons),
    ]
    seen = "".join(f"<td>{cell}</td>" for cell in cells)
    unfolded = (
        f'<tr class="card" id="card-{claim.id}" hidden><td colspan="5">{card(claim, True)}</td>'
    )
    return (
        f'<tbody {ids} {data}><tr><th scope="row">{number}</th>{seen}</tr>{unfolded}</tr></tbody>'
    )


_TERM = re.compile(r" ?\(([^()]*[\u4e00-\u9fff][^()]*)\)")


def titled(claim: Claim) -> str:
    """The title in both languages, and the text's own word for it."""
    title, own = _TERM.sub("", claim.title), "，".join(_TERM.findall(claim.title))
    term = f' <span class="term">{escape(own)}</span>' if own not in ("", claim.title_zh) else ""
    return f"<b>{Say(title, claim.title_zh).html(indexed)}</b>{term}"


def _links(numbers: Iterable[int]) -> str:
    """Links to lessons that there are; of others, the number."""
    pages = {lesson.number: lesson.page for lesson in lessons()}
    return " ".join(f'<a href="{pages[n]}">{n}</a>' if n in pages else f"{n}" for n in numbers)


# --- errata ---------------------------------------------------------------------------------------


def errata(python: str = "", size: int = 0) -> str:
    """What is imprecise or false, text by text, in the order of each; docs/errata.md in two languages."""
    by_text = wrong()
    count = len({claim.id for found in by_text.values() for claim in found})
    title = Say("Errata", "勘误")
    lead = Say(
        f"{count} statements of the five texts are imprecise or false as stated; some stand in several. "
        "Here they are in the order of each text, with what is correct. The number leads to the figures.",
        f"五篇教材中有 {count} 条说法不准确，或照原文不成立，有的见于不止一篇。这里按各篇的顺序列出，"
        "并附正确的说法；点编号可看到实测的数值。",
    )
    body = "".join(
        f'<section id="text-{text}"><h2>{NAMES[text].html()}</h2>'
        f'<ol class="errata">{"".join(_erratum(c, text) for c in found)}</ol></section>'
        for text, found in by_text.items()
    )
    choices = {
        "text": (Say("Text", "教材"), NAMES),
        "verdict": (Say("Verdict", "判定"), {v: VERDICTS[v] for v in WRONG}),
    }
    cited = {claim for found in by_text.values() for claim in found}
    return _page(title, lead, choices, body, {}, python, size, sources(cited))


def _erratum(claim: Claim, text: str) -> str:
    place = named(f"{text} {places(claim.source)[text]}")
    said = [
        (Say("The text says", "原文的说法"), Say(claim.statement, claim.statement_zh)),
        (Say("Against it", "反例"), claim.refutation),
        (Say("Correct is", "正确的说法"), Say(claim.corrected, claim.corrected_zh)),
    ]
    listed = "".join(f"<dt>{k.html()}</dt><dd>{v.html(indexed)}</dd>" for k, v in said if v)
    taught = _links(claim.lessons)
    lesson = f"{Say('Lesson', '第').html()} {taught}{Say('', ' 课').html()}" if taught else ""
    return (
        f'<li class="row says wrong" data-text="{text}" data-verdict="{claim.verdict}"><h3>'
        f'<a href="claims.html#{claim.id}">{claim.id}</a> {titled(claim)}</h3><p class="place">'
        f'{place.html()} · <b class="ruling">{VERDICTS[claim.verdict].html()}</b> {lesson}</p>'
        f"<dl>{listed}</dl></li>"
    )


# --- texts ----------------------------------------------------------------------------------------


def texts(python: str = "", size: int = 0) -> str:
    """Each text in its own order and numbering: what it claims at each place, and the verdict."""
    title = Say("The texts, place by place", "教材逐节对照")
    lead = Say(
        "To be read beside an open text: its places in its own order and numbering, at each the claims "
        "that stand there, the verdict, and the lesson that measures them.",
        "请把教材翻开放在旁边，对照着往下读：按各篇自己的顺序和编号，逐处列出那里的论断、判定，"
        "以及实测它的那一课。",
    )
    heads = [Say("Place", "位置"), Say("Claim", "论断"), Say("Verdict", "判定"),
             Say("Lesson", "课")]  # fmt: skip
    body = "".join(
        f'<section id="text-{text}"><h2>{NAMES[text].html()}</h2>{_ruled(found.values())}'
        f"{_table('texts', heads, (_place(text, *one) for one in found.items()))}</section>"
        for text, found in by_place().items()
    )
    choices = {"text": (Say("Text", "教材"), NAMES), "verdict": (Say("Verdict", "判定"), VERDICTS)}
    here = {"rows": Say(" places", "处")._asdict()}  # a place may have several claims
    return _page(title, lead, choices, body, here, python, size, sources(load().values()))


def _ruled(found: Iterable[Iterable[Claim]]) -> str:
    """How many claims of a text have which verdict; one that stands in several places counts once."""
    count = Counter(claim.verdict for claim in {c.id: c for at in found for c in at}.values())
    listed = [(count[v], said) for v, said in VERDICTS.items() if count[v]]
    en = f"{count.total()} claims: {', '.join(f'{n} {said.en}' for n, said in listed)}"
    zh = f"{count.total()} 条论断：{'，'.join(f'{said.zh} {n} 条' for n, said in listed)}"
    return f'<p class="small">{Say(en, zh).html()}</p>'


def _place(text: str, place: str, found: list[Claim]) -> str:
    """A place of a text, and a line for each claim that stands there."""
    head = f'<th scope="rowgroup" rowspan="{len(found)}">{named(place).html()}</th>'
    rows = "".join(_line(c, text, place, head * (c is found[0])) for c in found)
    verdicts = "|".join(dict.fromkeys(c.verdict for c in found))
    return f'<tbody class="row" data-text="{text}" data-verdict="{verdicts}">{rows}</tbody>'


def _line(claim: Claim, text: str, place: str, head: str) -> str:
    """A claim at a place; where its source says more than the place, that too."""
    said = places(claim.source)[text]
    nearer = f' <span class="small">{named(said).html()}</span>' * (said != place)
    return (
        f"<tr{' class=wrong' * (claim.verdict in WRONG)}>{head}"
        f'<td><a href="claims.html#{claim.id}">{claim.id}</a> {titled(claim)}{nearer}</td>'
        f'<td><b class="ruling">{VERDICTS[claim.verdict].html()}</b></td>'
        f"<td>{_links(claim.lessons)}</td></tr>"
    )


# --- terms ----------------------------------------------------------------------------------------


def glossary(python: str = "", size: int = 0) -> str:
    """The terms of the course in both languages, with their symbols."""
    many = len(terms())
    title = Say(f"Glossary ({many} terms)", f"术语表（{many} 条）")
    lead = Say(
        "The words of lessons and claims in English and Chinese, their symbols, and the lesson that "
        "explains them.",
        "各课与论断所用的术语，中英对照，附记号，以及讲解它的那一课。",
    )
    return _page(title, lead, {}, listed(), {}, python, size)


def listed() -> str:
    """The terms as a table."""
    heads = [Say("English", "英文"), Say("Chinese", "中文"), Say("Symbol", "记号"),
             Say("Meaning", "含义"), Say("Lesson", "课")]  # fmt: skip
    rows = (
        f'<tbody class="row"><tr><th scope="row">{escape(t.en)}</th><td><b>{escape(t.zh)}</b></td>'
        f"<td>{indexed(t.symbol)}</td><td>{t.meaning.html(indexed)}</td><td>{_links([t.lesson])}</td>"
        "</tr></tbody>"
        for t in terms()
    )
    return _table("terms", heads, rows)


# --- what they share ------------------------------------------------------------------------------


def _table(name: str, heads: Iterable[Say], rows: Iterable[str]) -> str:
    top = "".join(f'<th scope="col">{head.html()}</th>' for head in heads)
    return f'<table class="{name}"><thead><tr>{top}</tr></thead>{"".join(rows)}</table>'


def _page(
    title: Say, lead: Say, choices: Mapping[str, tuple[Say, Mapping[str, Say]]], body: str,
    data: Mapping[str, object], python: str, size: int, foot: str = "",
) -> str:  # fmt: skip
    """A title, the box that searches, a choice for each property, and what there is."""
    every = Say("all", "全部")
    boxes = "".join(
        f'<label>{label.html()}<select name="{name}">{_option("", every)}'
        f"{''.join(_option(value, said) for value, said in options.items())}</select></label>"
        for name, (label, options) in choices.items()
    )
    find = (
        f'<form id="find" role="search"><label class="box">{Say("Search", "搜索").html()}'
        f'<input type="search" name="q" autocomplete="off" spellcheck="false"></label>{boxes}'
        '<p id="count" role="status"></p></form>'
    )
    return shell(
        title,
        f'<h1>{title.html()}</h1><p id="lead">{lead.html()}</p>{find}{body}',
        {"greek": GREEK, "rows": Say("", "条")._asdict(), **data},
        python,
        size,
        place=title,
        foot=foot,
        style=asset("course/catalogue.css"),
        script=asset("course/catalogue.js"),
    )


def _option(value: str, said: Say) -> str:
    """A choice, which shows one language at a time: an option holds no elements."""
    return f'<option value="{value}" data-en="{said.en}" data-zh="{said.zh}">{said.en}</option>'


PAGES = {
    "claims.html": claims, "texts.html": texts, "errata.html": errata, "glossary.html": glossary,
}  # fmt: skip
