"""The book: all lessons on one page, without controls, and what a printer makes of it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from support.browser import CHROMIUM, missing, served, visit

from minireg.course.book import HEADS, page
from minireg.course.claims import load
from minireg.course.lessons import find, lessons
from minireg.course.pages import FONT, KEPT
from minireg.course.parts import Exercise, Title, Told

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def html():
    return page()


@pytest.fixture(scope="module")
def body(html):
    return html[html.index("<main>") : html.index("</main>")]


@pytest.mark.slow
def test_all_lessons_are_there_with_their_headings_and_answers(body):
    ids = re.findall(r'<section class="chapter(?: lesson)?" id="([\w-]+)"', body)
    numbers = [f"lesson-{lesson.number}" for lesson in lessons()]
    assert ids == ["contents", *numbers, "answers", "glossary", "sources"]
    assert re.findall('<a href="#([^"]+)"', body)[: len(ids) - 1] == ids[1:]
    for lesson in lessons():
        opened = lesson.open()
        part = body.partition(f'id="lesson-{lesson.number}"')[2].partition(
            '<section class="chapter'
        )[0]
        assert f"<h1>{opened.one(Title).question.html()}</h1>" in part
        heads = ["predict", "why", "code", *["told"] * len(opened.of(Told)), "exercises", "keep"]
        assert re.findall(r'<section class="(predict|why|code|told|exercises|keep)"', part) == heads
        assert part.count("<figure") == 2
        assert part.count('class="still faulty"') == 1
        for number in range(1, len(opened.of(Exercise)) + 1):  # once as a task, once answered
            assert body.count(f"<h3>{lesson.number}.{number} ") == 2
    assert all(HEADS[name].html() in body for name in HEADS)


@pytest.mark.slow
def test_it_tells_every_claim_of_the_lessons_once(body):
    told = [i for n in lessons() for part in n.open().of(Told) for i in (*part.ids, *part.also)]
    assert sorted(re.findall(r'class="ruling">(C\d+)', body)) == sorted(told)
    assert len(told) > len(load()) / 2


@pytest.mark.slow
def test_it_has_no_control_and_asks_for_nothing_but_its_font(html, body):
    assert not re.search(r"<(button|input|textarea|select|form|details|mr-scene|script)\b", body)
    links = re.findall(r'(?:src|href)="([^"]*)"', body)
    ids = {*re.findall(r'id="([^"]+)"', body)}
    inner = [link for link in links if link.startswith("#")]
    assert all(link[1:] in ids for link in inner)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert {*re.findall(r"url\(([\w./:]+)\)", html)} == {FONT}


def test_some_lessons_alone_and_their_answers_at_the_end():
    html = page(chosen=[find(5)])
    assert html.count('class="chapter lesson"') == 1
    before, after = html.split('id="answers"')
    right = "np.sign(v) * np.maximum(abs(v) - k, 0)"
    assert right not in before
    assert right in after


def test_all_that_the_code_uses_is_printed():
    html = page(chosen=[find(5)])
    code = re.sub(
        "<[^>]+>", "", html.partition('<section class="code">')[2].partition("</section>")[0]
    )
    assert [code.count(f"def {name}(") for name in ("patients", "least_squares", "train")] == [
        1
    ] * 3


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["none/book.pdf"], "there is no folder none"),
        (["book.pdf", "99"], "no lesson 99; there are 0, 1"),
        (
            ["book.pdf", "5", "--chromium", "none"],
            "no Chromium at none: `playwright install chromium`",
        ),
    ],
)
@pytest.mark.slow
def test_what_the_tool_lacks_is_said_in_a_line(args, said, tmp_path):
    if "--chromium" in args and importlib.util.find_spec("playwright") is None:
        missing("playwright is not installed")
    tool = [sys.executable, ROOT / "tools/make_book.py", *args]
    ran = subprocess.run(tool, cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(said)
    assert ran.stderr.count("\n") == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_a_reader_sees_one_language_and_its_title(chromium, tmp_path):
    (tmp_path / "book.html").write_text(page(chosen=[find(0), find(5)]), "utf-8")
    (tmp_path / FONT).write_bytes((KEPT / FONT).read_bytes())
    with served(tmp_path) as url, visit(chromium, url + "book.html?zh") as shown:
        shown.wait_for_selector("html[data-ready]")
        seen = shown.inner_text("main")
        assert "目录" in seen
        assert "Contents" not in seen
        shown.set_viewport_size({"width": 390, "height": 800})
        assert shown.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.usefixtures("chromium")
def test_a_printed_book_has_its_chapters_on_pages_of_their_own(tmp_path, lang):
    out = tmp_path / "book.pdf"
    tool = [sys.executable, "tools/make_book.py", str(out), "0", "5", "--chromium", CHROMIUM]
    ran = subprocess.run(
        [*tool, *["--zh"] * (lang == "zh")], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    content = out.read_bytes()
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    assert f"{pages} pages" in ran.stdout
    assert 15 <= pages <= 40
    assert b"/Outlines" in content
    assert b"595" in content or b"594.9" in content, "not A4"
    if shutil.which("pdftotext") is None:
        missing("pdftotext, which reads a PDF, is not installed")
    read = subprocess.run(["pdftotext", str(out), "-"], capture_output=True, text=True, check=True)
    text = re.sub(r"[^\S\n\f]", "", unicodedata.normalize("NFKC", read.stdout))  # 课 has two codes
    sheets = text.split("\f")[:-1]
    assert len(sheets) == pages
    assert all(len(sheet.strip()) > 20 for sheet in sheets), "an empty page"
    start = "为什么" if lang == "zh" else "Why"
    assert start in text
    head = "第5课" if lang == "zh" else "Lesson5"
    first = next(k for k, sheet in enumerate(sheets, 1) if sheet.startswith(head))
    assert re.search(rf"^{first}$|\D{first}$", sheets[1], re.M), "the contents say another page"
