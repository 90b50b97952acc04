"""Pages of the course: what stands on them and how much, and how they behave in a browser."""

from __future__ import annotations

import gzip
import json
import re
import runpy
import sys
import time
from functools import cache
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest
from support.browser import background, visit
from support.browser import served as serve_folder
from support.look import readable
from support.reading import Reading, words

from minireg.course import exercises, pages
from minireg.course.claims import LESSONS, WRONG, load
from minireg.course.lessons import Lesson, find, lessons
from minireg.course.pages import (
    FONT,
    KEPT,
    embedded,
    indexed,
    named,
    page,
    renderer,
    tinted,
)
from minireg.course.parts import (
    Close,
    Code,
    Exercise,
    Keep,
    Predict,
    Recall,
    Title,
    Told,
    Why,
    says,
)
from minireg.course.serve import serving
from minireg.course.site import served, site
from minireg.pictures import Scene
from minireg.random import manual_seed

NUMBERS = [lesson.number for lesson in lessons()]
ROOT = Path(pages.__file__).parents[2]
TWO = "02-weight-decay.html"


# --- what stands on a page ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=NUMBERS, ids=lambda n: f"lesson {n}")
def lesson(request):
    return find(request.param)


@pytest.fixture(scope="module")
def opened(lesson):
    return lesson.open()


@cache
def drawn(number):
    """The page of a lesson."""
    return page(find(number))


def test_a_page_has_each_part_once_and_three_exercises_of_two_kinds(lesson, opened):
    for kind in (Title, Predict, Scene, Why, Code, Keep, Close):
        assert len(opened.of(kind)) == 1, kind.__name__
    assert len(opened.of(Told)) == bool(lesson.number)  # lesson 0 speaks of no text
    found = [exercise for exercise in opened.of(Exercise) if not isinstance(exercise, Recall)]
    assert len(found) == 3
    assert len({type(exercise) for exercise in found}) >= 2
    assert len({exercise.id for exercise in opened.of(Exercise)}) == len(opened.of(Exercise))
    assert opened.one(Title).question.en.rstrip("?") == lesson.title.rstrip("?")


def test_a_page_keeps_to_its_length(lesson, opened):
    html = drawn(lesson.number)
    seen = Reading(html)
    print(lesson, dict(seen.words), seen.words.total(), seen.formulas, seen.code, len(html))
    predict, why, code = map(opened.one, (Predict, Why, Code))
    assert len(words(opened.one(Title).question.en)) <= 12
    asked = [predict.question, *(answer.text for answer in predict.answers)]
    assert sum(len(words(say.en)) for say in asked) <= 40
    assert len(why.steps) <= 3
    assert seen.words["why"] <= 120
    assert len(lesson.source(code.function.__name__).splitlines()) <= 20
    assert all(len(told.ids) <= 3 for told in opened.of(Told))
    assert seen.words.total() <= 350
    assert seen.code <= 40
    assert seen.formulas <= 15
    assert len(gzip.compress(html.encode())) <= 120_000


def test_parts_stand_in_the_order_of_the_course(lesson):
    found = [s for s in Reading(drawn(lesson.number)).sections if not s.startswith("ex-")]
    order = ["h1", "predict", "mr-scene", "why", "code", "told", "exercises", "keep"]
    assert found == [part for part in order if part != "told" or lesson.number]


CJK = "[\u4e00-\u9fff]"


def test_all_is_said_in_both_languages(opened):
    for say in (say for part in opened.parts for say in says(part)):
        assert say.en.strip(), say
        assert say.zh.strip(), say
        if say.en != say.zh:
            assert re.search(CJK, say.zh), say
        assert not re.search(CJK, say.en), say
        half = re.search(rf"{CJK}[,;:?!]", re.sub(r"\$.*?\$|`.*?`", "", say.zh))
        assert not half, f"half-width punctuation: {say.zh}"


def test_a_page_tells_claims_that_exist_the_wrong_ones_first(lesson, opened):
    cards = re.findall(r'data-claim="(C\d+)"', drawn(lesson.number))
    assert sorted(cards) == sorted(i for told in opened.of(Told) for i in (*told.ids, *told.also))
    for told in opened.of(Told):
        wrong = [load()[i].verdict in WRONG for i in cards[: len(told.ids)]]
        assert wrong == sorted(wrong, reverse=True)


def test_no_claim_is_told_twice():
    told = [i for n in NUMBERS for part in find(n).open().of(Told) for i in (*part.ids, *part.also)]
    assert len(told) == len({*told})


@pytest.fixture(scope="module")
def make_pages():
    """The tool, run in this process."""
    return runpy.run_path(str(ROOT / "tools" / "make_pages.py"))["main"]


@pytest.mark.slow
def test_what_is_kept_is_current_and_the_author_made_no_mistake(
    lesson, opened, make_pages, monkeypatch, capsys
):
    """Drawn after other lessons, and from other starts than when it was kept: the page is the same."""
    manual_seed(1 + lesson.number)
    scene = opened.one(Scene)
    scene.frames()
    for part in (*opened.of(Predict), *opened.of(Exercise)):
        assert exercises.faults(part, scene) == []
    monkeypatch.setattr(Lesson, "open", lambda self: opened)  # its pictures are drawn once
    monkeypatch.setattr(sys, "argv", ["make_pages.py", str(lesson.number), "--check"])
    assert make_pages() == 0, capsys.readouterr().err


def test_what_a_lesson_claims_beyond_its_texts_is_so(lesson):
    """By the figures that it keeps, which the test above measures again."""
    figures = json.loads((KEPT / f"{lesson.number:02}.json").read_text("utf-8"))["figures"]
    assert figures
    assert not [figure for figure in figures if figure.endswith("FAILED")]


def test_a_prediction_of_an_earlier_lesson_is_asked_again(lesson, opened):
    found = opened.of(Recall)
    assert len(found) <= 1
    for recall in found:
        assert sum(answer.right for answer in recall.answers) == 1
        assert recall.lesson < lesson.number


# --- how it is made -------------------------------------------------------------------------------


def test_a_page_asks_for_nothing_but_its_own_files(lesson):
    html = drawn(lesson.number)
    links = re.findall(r'(?:src|href)="([^"#][^"]*)"', html) + re.findall(
        r"url\(([^#)][^)]*)\)", html
    )
    assert FONT in links
    for link in links:
        assert link.startswith("data:") or re.fullmatch(
            r"(\d\d-[a-z0-9-]+|index|questions)\.html|math\.woff2|playground\.html#[\w.=&;]+", link
        ), link
    assert "default-src 'none'" in html


def test_the_font_has_its_table_of_mathematics_and_is_small():
    path = LESSONS / "pages" / FONT
    assert path.stat().st_size <= 150_000
    assert "SIL OPEN FONT LICENSE" in (LESSONS / "pages" / "math.OFL.txt").read_text("utf-8")
    fonts = pytest.importorskip("fontTools.ttLib")
    pytest.importorskip("brotli")
    font = fonts.TTFont(path)
    assert "MATH" in font
    letters = {*"".join(re.findall(r"<m[ion][^>]*>([^<]*)", "".join(map(drawn, NUMBERS))))}
    assert letters - {chr(n) for n in font.getBestCmap()} <= {"&", ";", "\n"}


def test_a_text_that_is_not_kept_is_said():
    render = renderer({"*a*": "<em>a</em>"}, find(2))
    assert render("*a*") == "<em>a</em>"
    assert render("a < b") == "a &lt; b"
    with pytest.raises(LookupError, match=r"02\.json lacks '\$x\$': tools/make_pages\.py 2"):
        render("$x$")


def test_data_cannot_end_the_script_that_holds_it():
    assert json.loads(embedded({"a": "</script>"})) == {"a": "</script>"}
    assert "</" not in embedded({"a": "</script>"})


@pytest.mark.parametrize("code", ["", "x", "def f(a):\n    # no\n    return f'{a} <'\n",
                                  'class A:\n    """Two\n    lines."""\n\n    b = 1'])  # fmt: skip
def test_tinted_code_reads_as_it_is_written(code):
    plain = re.sub(r"</?b[^>]*>", "", tinted(code))
    assert plain.replace("&lt;", "<") == code


def test_texts_are_called_by_their_names():
    en, zh = named("000 定理 10.10, comment; 003 eq. 2, 3 and x̂ after them")
    assert zh == (
        "《正则化对梯度与损失的影响》定理 10.10，评注；《权重衰减》式 (2)、式 (3) 及其后的 x̂"
    )
    assert en == (
        "《正则化对梯度与损失的影响》 Theorem 10.10, comment; 《权重衰减》 eq. 2, 3 and x̂ after them"
    )
    names = r"Adam|BatchNorm|Dropout|Frobenius|Lasso|ReLU| vs\. "
    for claim in load().values():
        rest = re.sub(names, "", named(claim.source).zh)
        assert not re.search(r"[a-z]{2}|[,;] ", rest), rest
    numbered = {re.sub(r"《.*?》", "", named(claim.source).en) for claim in load().values()}
    assert not [n for n in numbered if re.search(r"(定理|引理|推论|注记|表) \d", n)]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("‖θ_T‖ and λθ_t, σ_j²", "‖θ<sub>T</sub>‖ and λθ<sub>t</sub>, σ<sub>j</sub>²"),
        ("η_tλ, ∂_jL, λ_eff‖w‖², −∇L_data(θ)", "η<sub>t</sub>λ, ∂<sub>j</sub>L, λ<sub>eff</sub>‖w‖², "
         "−∇L<sub>data</sub>(θ)"),
        ("‖W‖_F², ‖W‖_*, ‖·‖_∞, Σ_{j≠k}", "‖W‖<sub>F</sub>², ‖W‖<sub>*</sub>, ‖·‖<sub>∞</sub>, "
         "Σ<sub>j≠k</sub>"),
        ("mean_i x_ij²", "mean<sub>i</sub> x<sub>ij</sub>²"),
        ("weight_decay=0.1 < `θ_t`", "weight_decay=0.1 &lt; <code>θ_t</code>"),
    ],
)  # fmt: skip
def test_indices_stand_below_the_line(text, html):
    assert indexed(text) == html


def test_a_server_shows_pages_and_the_font_only():
    kind, content = served(TWO)
    assert kind.startswith("text/html")
    assert b'"python":"server"' in content
    assert served(FONT)[0] == "font/woff2"
    assert b'class="cards"' in served("")[1]
    for path in ("02.html", "99-no.html", f"../{TWO}", f"{TWO}/", "pages/02.json"):
        assert served(path) is None


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(course_site):
    with serve_folder(course_site) as found:
        yield found


def ready(shown, expect):
    expect(shown.locator("html[data-ready]")).to_be_attached()
    return shown


@pytest.mark.slow
def test_text_is_large_and_dark_enough_and_nothing_is_too_wide(chromium, url, expect, lesson):
    with visit(chromium, f"{url}{lesson.page}", locale="zh-CN") as shown:
        ready(shown, expect)
        assert shown.evaluate("document.documentElement.lang") == "zh-CN"
        shown.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        readable(shown, 100)


@pytest.mark.slow
def test_a_page_is_read_in_ten_minutes(chromium, url, expect, lesson):
    view = {"viewport": {"width": 1280, "height": 800}}
    with visit(chromium, f"{url}{lesson.page}", **view) as shown:
        ready(shown, expect)
        height = shown.evaluate("document.documentElement.scrollHeight")
        assert height <= 1.03 * 3000  # letters differ by their fonts


MOVES = """async () => {  // milliseconds from a key to a changed picture, for each value and the fault
  const scene = document.querySelector("mr-scene"), times = [];
  const key = key => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const keys = ["ArrowLeft", ...Array(9).fill("ArrowRight"), "b", "b", ...Array(9).fill("ArrowLeft")];
  for (const pressed of keys) {
    const before = scene.querySelector(".stage").innerHTML, state = JSON.stringify(scene.state);
    const begun = performance.now();
    key(pressed);
    if (JSON.stringify(scene.state) === state) continue;  // it was at the end
    while (scene.querySelector(".stage").innerHTML === before && performance.now() - begun < 1000)
      await new Promise(requestAnimationFrame);
    times.push(performance.now() - begun);
    await new Promise(resolve => setTimeout(resolve, 300));
  }
  return times;
}"""


@pytest.mark.slow
def test_a_key_moves_the_picture_at_once_and_asks_nobody(chromium, url, expect, lesson):
    view = {"viewport": {"width": 1280, "height": 800}}
    with visit(chromium, f"{url}{lesson.page}", **view) as shown:
        ready(shown, expect)
        asked = []
        shown.on("request", lambda request: asked.append(request.url))
        times = shown.evaluate(MOVES)
        values = shown.evaluate("document.querySelector('mr-scene').data.values.length")
        assert len(times) > values  # all values, and the fault
        assert not asked
        print(f"{lesson}: move to picture {median(times):.0f} ms (median of {len(times)}), "
              f"at most {max(times):.0f}")  # fmt: skip
        assert max(times) < 1000


STATE = "document.querySelector('mr-scene').state"


@pytest.mark.slow
def test_the_address_holds_the_state_and_a_link_sets_it(chromium, url, expect):
    view = {"viewport": {"width": 1280, "height": 800}, "locale": "en-US"}
    with visit(chromium, f"{url}{TWO}#lam=5&broken", **view) as shown:
        ready(shown, expect)
        state = shown.evaluate(STATE)
        assert (state["value"], state["broken"]) == (5, True)
        shown.keyboard.press("b")
        shown.keyboard.press("ArrowLeft")
        assert urlsplit(shown.url).fragment == "lam=2&choice=whole"
        link = shown.locator('a[href^="#lam=5"]:visible')
        link.scroll_into_view_if_needed()
        at = shown.evaluate("scrollY")
        assert at > 100
        link.evaluate("link => link.click()")  # playwright's own click would scroll to it
        assert shown.evaluate(STATE)["value"] == 5
        shown.keyboard.press("b")
        link.evaluate("link => link.click()")
        assert not shown.evaluate(STATE)["broken"]  # a sentence speaks of the whole picture
        assert shown.evaluate("scrollY") == at
        expect(link).to_have_class("on")
        shown.evaluate("location.hash = '#lam=1'")
        expect(shown.locator("mr-scene output")).to_have_text("1")
        shown.evaluate("document.querySelector('#told').scrollIntoView()")
        shown.keyboard.press("ArrowRight")
        expect(shown.locator("#peek")).to_contain_text("λ = 2")  # the picture is out of sight
        shown.locator("#peek").click()
        expect(shown.locator("#peek")).to_be_hidden()


@pytest.mark.slow
def test_the_picture_stays_under_the_hand(chromium, url, expect):
    """What is said of a prediction appears below it, while the control is being moved."""
    view = {"viewport": {"width": 1280, "height": 800}, "locale": "en-US"}
    top = "document.querySelector('mr-scene').getBoundingClientRect().top"
    with visit(chromium, f"{url}{TWO}", **view) as shown:
        ready(shown, expect)
        shown.locator("#predict input").first.check()
        before = shown.evaluate(top)
        assert before < 500
        shown.locator("mr-scene input[type=range]").press("ArrowRight")
        assert abs(shown.evaluate(top) - before) < 2
        assert shown.evaluate("scrollY") == 0
        shown.locator("mr-scene .stops span").last.evaluate(CLICK)
        assert shown.evaluate(STATE)["value"] == 5
        shown.locator(".seen .compare").click()
        expect(shown.locator(".seen .reason").first).to_be_visible()


CLICK = """stop => {  // on the number, whose element has no width
  const { left, top } = stop.getBoundingClientRect();
  document.elementFromPoint(left, top + 8)
    .dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: left + 3, clientY: top + 8 }));
}"""
HIDDEN = """() => {  // what of the steps stands under the picture that stays in sight
  const under = document.querySelector("#scene").getBoundingClientRect().bottom;
  const { top } = document.activeElement.getBoundingClientRect();
  return { under, top, sticky: getComputedStyle(document.querySelector("#scene")).position };
}"""


@pytest.mark.slow
@pytest.mark.parametrize("height", [800, 1100])
def test_no_step_is_hidden_under_the_picture(chromium, url, expect, height):
    view = {"viewport": {"width": 1280, "height": height}, "locale": "en-US"}
    steps = "[...document.querySelectorAll('#why li')].map(e => e.getBoundingClientRect())"
    with visit(chromium, f"{url}{TWO}", **view) as shown:
        ready(shown, expect)
        sticky = shown.evaluate(HIDDEN)["sticky"] == "sticky"
        assert sticky == (height > 1000)
        seen = {0: set(), 1: set(), 2: set()}
        for _ in range(4):  # PageDown shows all of each step
            under = shown.evaluate(HIDDEN)["under"] if sticky else 0
            for i, step in enumerate(shown.evaluate(steps)):
                lines = range(int(step["height"]))
                seen[i] |= {y for y in lines if under <= step["top"] + y < height}
            shown.keyboard.press("PageDown")
            shown.wait_for_timeout(400)
        for i, step in enumerate(shown.evaluate(steps)):
            assert len(seen[i]) == int(step["height"]), i
        link = shown.locator('a[href^="#lam=5"]:visible')
        shown.evaluate("scrollTo(0, document.querySelector('#code').offsetTop)")
        link.focus()
        found = shown.evaluate(HIDDEN)
        if sticky:
            assert found["top"] >= found["under"]


@pytest.mark.slow
def test_a_phone_goes_to_the_picture_and_shrinks_formulas(chromium, url, expect):
    view = {"viewport": {"width": 390, "height": 800}, "locale": "en-US"}
    with visit(chromium, f"{url}{TWO}", **view) as shown:
        ready(shown, expect)
        wide = "e => e.scrollWidth - e.clientWidth"
        formulas = shown.locator('math[display="block"]:visible')
        assert max(formulas.evaluate_all(f"es => es.map({wide})")) <= 0
        link = shown.locator('a[href^="#lam=5"]:visible').last
        link.evaluate("link => { link.scrollIntoView({ block: 'start' }); link.click(); }")
        expect(shown.locator("mr-scene output")).to_be_in_viewport()
        expect(shown.locator("#peek")).to_be_hidden()


@pytest.mark.slow
def test_keys_help_theme_and_language(chromium, url, expect):
    with visit(chromium, f"{url}{TWO}", locale="en-US", color_scheme="light") as shown:
        ready(shown, expect)
        assert shown.title() == "What does weight decay forget?"
        shown.keyboard.press("?")
        expect(shown.get_by_role("dialog", name="How to use this page")).to_be_visible()
        assert shown.locator("dialog dd").count() == shown.locator("dialog dt").count() > 4
        shown.get_by_role("button", name="Close").click()
        expect(shown.locator("dialog")).to_be_hidden()
        shown.keyboard.press("?")
        shown.keyboard.press("ArrowRight")  # not while it is open
        assert shown.evaluate(STATE)["value"] == 1
        shown.keyboard.press("Escape")
        expect(shown.locator("dialog")).to_be_hidden()
        editor = shown.locator("textarea.editor")
        editor.focus()
        shown.keyboard.press("b")  # typed, not a key of the page
        assert not shown.evaluate(STATE)["broken"]
        pale = shown.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        shown.locator("#theme").click()
        assert shown.evaluate("getComputedStyle(document.documentElement).backgroundColor") != pale
        shown.get_by_role("button", name="中文").click()
        assert shown.title() == "权重衰减忘掉了什么？"
        expect(shown.locator("h1")).to_contain_text("权重衰减")
        shown.reload()  # both are remembered
        ready(shown, expect)
        assert shown.evaluate("document.documentElement.lang") == "zh-CN"
        assert shown.evaluate("getComputedStyle(document.documentElement).backgroundColor") != pale
    with visit(chromium, f"{url}{TWO}?zh", locale="en-US") as shown:
        expect(shown.locator("h1 [lang=zh]")).to_be_visible()
        expect(shown.locator("h1 [lang=en]")).to_be_hidden()
        slant = "getComputedStyle(e).fontStyle + getComputedStyle(e).letterSpacing"
        marked = f"es => es.map(e => {slant}).filter(s => s !== 'normalnormal')"
        assert shown.locator("[lang=zh], [lang=zh] *:not(math, math *)").evaluate_all(marked) == []


@pytest.mark.slow
def test_one_thing_at_a_time_before_an_audience(chromium, url, expect):
    view = {"viewport": {"width": 1280, "height": 720}, "locale": "en-US"}
    with visit(chromium, f"{url}{TWO}?present", **view) as shown:
        ready(shown, expect)
        what = {"h1": "h1", "scene": "#scene", "first": "#why li:nth-child(1)",
                "second": "#why li:nth-child(2)", "code": "#code", "texts": "#told"}  # fmt: skip
        seen = lambda: {k for k, v in what.items() if shown.locator(v).is_visible()}
        assert seen() == {"h1"}
        small = shown.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
        assert small >= 24
        for expected in ({"scene"}, {"scene", "first"}, {"scene", "second"}):
            shown.keyboard.press("PageDown")
            assert seen() == expected
            assert shown.evaluate("document.documentElement.scrollHeight") <= 720
        number = "getComputedStyle(document.querySelector('#why li.shown'), '::before').content"
        assert shown.evaluate(number) in ('"2"', "attr(value)")
        expect(shown.locator("#slide")).to_have_text(
            re.compile("^4 / 6 · PgDn"), use_inner_text=True
        )
        shown.keyboard.press("PageDown")
        shown.locator("mr-scene input[type=range]").focus()
        shown.keyboard.press(" ")
        expect(shown.locator("#slide")).to_contain_text("6 / 6, the last", use_inner_text=True)
        expect(shown.locator("#keep li")).to_have_count(3)
        assert shown.locator("#keep").is_visible()
        value = shown.evaluate(STATE)["value"]
        shown.evaluate("document.activeElement.blur()")
        shown.keyboard.press("ArrowRight")  # nobody sees the picture
        assert shown.evaluate(STATE)["value"] == value
        shown.keyboard.press("PageUp")
        shown.keyboard.press("PageUp")
        shown.keyboard.press("ArrowRight")
        assert shown.evaluate(STATE)["value"] > value
        expect(shown.locator("#peek")).to_be_hidden()
        shown.keyboard.press("PageUp")
        assert seen() == {"scene", "first"}
        shown.keyboard.press("Escape")
        assert "present" not in urlsplit(shown.url).query
        assert "code" in seen()
        shown.keyboard.press("p")
        assert "code" not in seen()


@pytest.mark.slow
def test_print_is_complete_and_without_controls(chromium, url, expect):
    with visit(chromium, f"{url}{TWO}", locale="en-US") as shown:
        ready(shown, expect)
        shown.evaluate("dispatchEvent(new Event('beforeprint'))")
        shown.emulate_media(media="print")
        shown.evaluate("document.querySelector('mr-scene').go({ broken: true })")
        assert shown.locator("mr-scene .break").is_visible()  # else nobody knew
        shown.evaluate("document.querySelector('mr-scene').go({ broken: false })")
        shown.emulate_media(media="print")
        for selector in ("nav", ".controls", ".do", ".run button", "#python"):
            assert not shown.locator(selector).first.is_visible(), selector
        for selector in ("#code pre", "textarea.editor", "ol.code", "#told dl", "#keep"):
            assert shown.locator(selector).first.is_visible(), selector
        folds = "document.querySelectorAll('details:not([open])').length"
        assert shown.evaluate(folds) == 0


# --- Python for the reader: in the browser, on this machine, or nowhere ---------------------------

RIGHT = """\
def left_over(lr, strength, steps):
    left = 1.0
    for _ in range(steps):
        left = left * (1 - lr * strength)
    return left
"""


def answered(shown, expect, code, said, patience=60):
    """Seconds until the page says this of an answer to the first exercise to write."""
    box = shown.locator("#ex-left_over")
    box.locator("textarea").fill(code)
    begun = time.perf_counter()
    box.locator("button.check").click()
    expect(box.locator(".verdict")).to_contain_text(said, timeout=1000 * patience)
    return time.perf_counter() - begun


def judges_measures_and_stops(shown, expect):
    """What a reader may do where there is Python; seconds to the first judged answer."""
    first = answered(shown, expect, RIGHT.replace("1 -", "1 +"), "decay subtracts")
    again = answered(shown, expect, RIGHT, "ight")
    expect(shown.locator("#ex-left_over")).to_have_class(re.compile("done"))
    begun = time.perf_counter()
    answered(
        shown,
        expect,
        RIGHT.replace("    return", "    while True: pass\n    return"),
        "Stopped after",
    )
    stopped = time.perf_counter() - begun
    answered(shown, expect, RIGHT, "ight")
    card = shown.locator(".says").first
    card.locator("summary").click()
    card.locator("button").click()
    expect(card).to_contain_text(
        re.compile(r"Measured here just now, in .* s: as on record"), timeout=120_000
    )
    lines = shown.locator(".run textarea")
    lines.fill("print(1 + 1)\n1 / 0")
    shown.locator(".run .go").click()
    expect(shown.locator(".run .output")).to_contain_text("2\n\nZeroDivisionError", timeout=60_000)
    expect(shown.locator(".run .said")).to_contain_text("line 2: it divides by 0")
    lines.fill("print('so far')\nwhile True: pass")
    shown.locator(".run .go").click()
    expect(shown.locator(".run .output")).to_be_empty()
    shown.locator("#python").get_by_role("button", name="Stop").click()
    expect(shown.locator(".run .output")).to_have_text("so far\n", timeout=60_000)
    expect(shown.locator(".run .said")).to_contain_text(re.compile(r"Stopped after \d+ s\."))
    expect(shown.locator("#python")).to_be_hidden(timeout=60_000)  # also once Python is there again
    shown.wait_for_timeout(3000)
    expect(shown.locator("#python")).to_be_hidden(timeout=60_000)
    shown.locator(".run .reset").click()
    assert lines.input_value() == find(2).open().one(Code).call.strip()
    lines.fill("1 + 1")
    print(
        f"first judged answer {first:.1f} s, the next {again:.2f} s, a loop stopped {stopped:.1f} s"
    )


@pytest.mark.slow
def test_python_in_the_browser(chromium, expect, runtime, tmp_path):
    site(tmp_path, [find(2)], runtime)
    with serve_folder(tmp_path) as at, visit(chromium, f"{at}{TWO}", locale="en-US") as shown:
        ready(shown, expect)
        said = shown.locator("#python")
        expect(said).to_be_hidden()
        shown.locator("#ex-left_over button.check").click()
        expect(said).to_contain_text(re.compile(r"starting in your browser: \d+\.\d of 1\d\.\d MB"))
        expect(said).to_be_hidden(timeout=60_000)
        shown.reload()
        ready(shown, expect)
        judges_measures_and_stops(shown, expect)
        shown.reload()  # the answer is kept in the browser
        ready(shown, expect)
        assert shown.locator("#ex-left_over textarea").input_value() == RIGHT
        assert shown.locator(".run textarea").input_value() == "1 + 1"


@pytest.mark.slow
def test_python_on_this_machine(chromium, expect, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIREG_HOME", str(tmp_path))
    with serving(served) as server, background(server):
        with visit(chromium, server.url(TWO), locale="en-US") as shown:
            ready(shown, expect)
            assert server.token not in shown.url
            judges_measures_and_stops(shown, expect)
            shown.reload()  # the key is kept for this tab
            ready(shown, expect)
            assert shown.locator("#ex-left_over textarea").input_value() == RIGHT
            kept = json.loads((tmp_path / "answers.json").read_text("utf-8"))
            assert kept["2/left_over"]["code"] == RIGHT
            shown.locator("header a").click()  # to the index, which knows it too
            note = shown.locator('.card[data-lesson="2"] .progress')
            expect(note).to_have_text("1 of 3 exercises done", use_inner_text=True)
            shown.locator('.card[data-lesson="2"] a').click()
            ready(shown, expect)
        with visit(chromium, server.url(TWO), locale="en-US") as second:  # in another browser
            ready(second, expect)
            assert second.locator("#ex-left_over textarea").input_value() == RIGHT


@pytest.mark.slow
def test_what_was_written_last_is_kept_however_long_a_request_takes(
    chromium, expect, tmp_path, monkeypatch
):
    monkeypatch.setenv("MINIREG_HOME", str(tmp_path))
    with (
        serving(served) as server,
        background(server),
        visit(chromium, server.url(TWO), locale="en-US") as shown,
    ):
        ready(shown, expect)
        shown.evaluate("""() => {
            const ask = fetch, wait = ms => new Promise(done => setTimeout(done, ms));
            let late = 500; // the first of the two
            window.fetch = async (...all) => {
                const ms = late; late = 0;
                await wait(ms);
                const reply = await ask(...all);
                document.title += " kept";
                return reply;
            };
        }""")
        for text in ("first", "second"):
            shown.locator("#ex-left_over textarea").fill(text)
        expect(shown).to_have_title(re.compile("kept.*kept"))
        kept = json.loads((tmp_path / "answers.json").read_text("utf-8"))
        assert kept["2/left_over"]["code"] == "second"


@pytest.mark.slow
def test_a_server_asks_for_the_key(chromium, expect, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIREG_HOME", str(tmp_path))
    with serving(served) as server, background(server):
        context = chromium.new_context(locale="en-US")
        shown = context.new_page()
        shown.goto(f"http://127.0.0.1:{server.server_port}/{TWO}")
        expect(shown.locator("html[data-ready=alone]")).to_be_attached()
        expect(shown.locator(".run .python")).to_contain_text(
            "open the address that minireg printed"
        )
        context.close()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["a web server", "a file"])
def test_without_python_the_page_says_so_and_the_rest_works(
    chromium, expect, course_site, url, place
):
    at = url if place == "a web server" else f"file://{course_site}/"
    with visit(chromium, f"{at}{TWO}", locale="en-US") as shown:
        expect(shown.locator("html[data-ready=alone]")).to_be_attached()
        expect(shown.locator(".run .python")).to_contain_text("minireg lesson 2")
        expect(shown.locator("#ex-left_over .python")).to_be_visible()
        assert not shown.locator("[data-claim]:visible, .run :is(button, .keys):visible").count()
        shown.locator("#ex-hunt summary").click()  # the first exercise alone is unfolded
        shown.locator("#ex-hunt .line").first.click()
        expect(shown.locator("#ex-hunt .verdict")).not_to_be_empty()
        fonts = "document.fonts.ready.then(() => document.fonts.check('16px \"math subset\"'))"
        assert shown.evaluate(fonts)
