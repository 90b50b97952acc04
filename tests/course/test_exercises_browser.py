"""Exercises in a browser: by mouse, by keyboard, on a phone, in both languages, with and without Python."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
from support.browser import served, visit
from support.exercises import ALL, CHOICES, CHOSEN, LINES, SCENE, write_page

from minireg.course.judge import check

pytestmark = pytest.mark.slow


@contextmanager
def opened(browser, folder, python=True, lang="en", parts=ALL, scene=SCENE, **options):
    """The page with all exercises; Python is this process."""
    write_page(folder, python, lang, parts, scene)
    with served(folder) as url, visit(browser, url, **options) as page:
        page.set_default_timeout(5000)
        page.expose_function("python", lambda r: check(ALL, r["exercise"], r["code"]))
        page.wait_for_selector("html[data-ready]")
        yield page


def said(box) -> str:
    return box.locator(".verdict").inner_text()


def answer(page, line: str):
    """Complete the line, and check with the keyboard."""
    box = page.locator("#ex-left_over")
    editor = box.locator(".editor")
    editor.fill(editor.input_value().replace("...", line))
    editor.press("Control+Enter")
    page.wait_for_function(
        "() => document.querySelector('#ex-left_over .check').disabled === false"
    )
    return box


def test_a_function_is_written_and_judged(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        box = answer(page, "...")
        assert "Replace the ..." in said(box)
        assert box.locator(".tries").inner_text() == ""  # it was no try
        box = answer(page, "left - lr * strength")
        assert "expected 0.358486. Shrinking compounds" in said(box)
        assert box.locator(".verdict code").first.inner_text() == "left_over(0.1, 0.5, 20)"
        assert box.locator(".tries").inner_text() == "1 try"
        box.locator(".reset").click()
        assert said(box) == ""
        box = answer(page, "left * (1 - lr * strength)")
        assert said(box).startswith("Right")
        assert "keeps the share 1 − ηλ" in said(box)
        assert box.evaluate("e => e.classList.contains('done')")


def test_the_editor_indents_keeps_indentation_and_lets_go(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        editor = page.locator("#ex-left_over .editor")
        editor.fill("")
        for key in ("d", "e", "f", ":", "Enter", "x", "Enter", "y"):
            editor.press(key)
        assert editor.input_value() == "def:\n    x\n    y"
        editor.press("Tab")
        assert editor.input_value().endswith("y   ")
        editor.press("Control+a")
        editor.press("Tab")
        assert editor.input_value() == "    def:\n        x\n        y   "
        editor.press("Shift+Tab")
        assert editor.input_value() == "def:\n    x\n    y   "
        editor.press("Control+z")
        assert editor.input_value().startswith("    def")  # the browser undoes it
        editor.press("Tab")
        assert page.evaluate("document.activeElement.className") == "editor"
        editor.press("Escape")
        editor.press("Tab")
        assert page.evaluate("document.activeElement.className") != "editor"


def test_tab_passes_an_editor_that_nobody_has_touched(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        editor, focused = page.locator("#ex-left_over .editor"), "document.activeElement.className"
        before = editor.input_value()
        editor.focus()
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "check"
        page.keyboard.press("Shift+Tab")
        assert page.evaluate(focused) == "editor"
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "check"
        assert editor.input_value() == before
        editor.click()
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "editor"
        assert editor.input_value() != before
        page.keyboard.press("Control+Enter")  # by the same function that the page's own editor uses
        page.wait_for_function("document.querySelector('#ex-left_over .verdict').textContent")
        hint, field = page.locator("#ex-left_over .keys").bounding_box(), editor.bounding_box()
        assert hint["y"] < field["y"]


def test_hints_come_one_at_a_time_and_the_answer_after_three_tries(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        box = page.locator("#ex-left_over")
        hint, shown = box.locator(".do .hint"), box.locator(".hints li:visible")
        assert hint.inner_text() == "A hint (1 of 2)"
        hint.click()
        assert shown.count() == 1
        assert hint.inner_text() == "One more hint (2 of 2)"
        hint.click()
        assert shown.count() == 2
        assert not hint.is_visible()
        for n in range(3):
            assert not box.locator(".do .answer").is_visible()
            answer(page, "left - lr * strength")
            assert f"{n + 1} tr" in box.locator(".tries").inner_text()
        box.locator(".do .answer").click()
        assert "left = left * (1 - lr * strength)" in said(box)


def test_answers_and_tries_survive_a_reload(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        answer(page, "left * 2")
        page.locator("#ex-adamw .pile li").first.locator(".in").click()
        page.locator("#ex-twice .line").first.click()
        page.locator("#predict input").nth(1).check()
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert "left = left * 2" in page.locator("#ex-left_over .editor").input_value()
        assert page.locator("#ex-left_over .tries").inner_text() == "1 try"
        assert page.locator("#ex-adamw .program li").count() == 1
        assert "Nothing here" in said(page.locator("#ex-twice"))
        assert page.locator("#predict input").nth(1).is_checked()


def test_right_verdicts_survive_a_reload(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        answer(page, "left * (1 - lr * strength)")
        put(page, *LINES).locator(".check").click()
        page.locator("#ex-half .on").click()
        page.locator("#ex-half .check").click()
        page.locator("#ex-twice .line").nth(2).click()
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert said(page.locator("#ex-left_over")).startswith("Right")
        assert said(page.locator("#ex-adamw")).startswith("Right")
        assert page.locator("#ex-adamw .why").count() == 4
        assert said(page.locator("#ex-twice")).startswith("Yes")
        assert said(page.locator("#ex-half")) == ""  # the picture is back at its start
        for name in ("left_over", "adamw", "half", "twice"):
            assert page.locator(f"#ex-{name}.done").count() == 1


def put(page, *lines: str):
    """Lines into the program, by their buttons."""
    box = page.locator("#ex-adamw")
    for line in lines:
        box.locator(".pile li", has_text=line).locator(".in").click()
    return box


def test_lines_are_put_in_order(chromium, tmp_path):
    mean, squares, step, decay = LINES
    with opened(chromium, tmp_path) as page:
        box = page.locator("#ex-adamw")
        box.locator(".check").click()
        assert said(box) == "Put lines into the program first."
        box = put(page, squares, "g = g +")
        box.locator(".check").click()
        assert said(box).startswith("g = g + lam * w does not belong there. That is Adam with L2")
        assert box.locator(".program li.off").count() == 1
        box.locator(".program li", has_text="g = g +").locator(".out").click()
        assert said(box) == ""
        put(page, step)
        box.locator(".check").click()
        assert "1 try" in box.locator(".tries").inner_text()
        assert said(box) == "So far so good: lines are missing, here and there."
        put(page, mean, decay)
        box.locator(".check").click()
        early = f"{step} stands too early: in every right order {mean} comes before it."
        assert said(box) == early  # and no reason that speaks of another pair
        box.locator(".program li", has_text=mean).locator(".up").click()
        assert said(box) == "Line 2 of 4."
        assert box.locator(".verdict.unseen").count() == 1
        box.locator(".check").click()  # the two means may change places
        assert said(box).startswith("Right: it runs")
        assert box.locator(".program .why").count() == 4
        box.locator(".reset").click()
        put(page, decay, mean, step, squares)  # of what must come before it the nearest is named
        box.locator(".check").click()
        early = f"{decay} stands too early: in every right order {step} comes before it."
        assert said(box) == early
        box.locator(".program li", has_text=step).locator(".out").click()
        box.locator(".check").click()
        assert said(box) == early.replace(step, mean)
        box.locator(".reset").click()
        put(page, step, mean, squares, decay)
        tries = box.locator(".tries").inner_text()
        box.locator(".check").click()
        assert box.locator(".tries").inner_text() != tries
        tries = box.locator(".tries").inner_text()
        box.locator(".do .answer").click()
        assert said(box).startswith("This is the answer")
        assert box.locator(".program .why").count() == 4
        assert box.locator(".tries").inner_text() == tries


def test_lines_move_by_keyboard_alone(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        box = page.locator("#ex-adamw")
        first, second = (box.locator(".pile li").nth(i).get_attribute("data-line") for i in (0, 1))
        box.locator(".pile li .in").first.focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.className") == "up"  # it went with its line
        box.locator(".pile li .in").first.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        order = [e.get_attribute("data-line") for e in box.locator(".program li").all()]
        assert order == [second, first]
        assert page.evaluate("document.activeElement.closest('li').dataset.line") == second


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_lines_are_dragged(chromium, tmp_path, touch):
    options = {"has_touch": True, "viewport": {"width": 390, "height": 900}} if touch else {}
    with opened(chromium, tmp_path, **options) as page:
        box = put(page, LINES[0])
        item, program = box.locator(".pile li", has_text=LINES[1]), box.locator(".program")
        item.locator(".grip").scroll_into_view_if_needed()
        a = item.locator(".grip").bounding_box()
        b = program.locator("li").bounding_box()
        start = (a["x"] + a["width"] / 2, a["y"] + a["height"] / 2)
        end = (b["x"] + 60, b["y"] + 2)
        if touch:
            client = page.context.new_cdp_session(page)
            for kind, at in (("Start", start), ("Move", end), ("Move", end), ("End", None)):
                points = [{"x": at[0], "y": at[1]}] if at else []
                client.send(
                    "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points}
                )
        else:
            page.mouse.move(*start)
            page.mouse.down()
            page.mouse.move(*end, steps=5)
            assert box.locator(".gap").count() == 1
            page.mouse.up()
        lines = [e.inner_text() for e in program.locator("li code").all()]
        assert lines == [LINES[1], LINES[0]]
        assert box.locator(".gap").count() == 0


def test_every_line_of_a_hunt_has_its_reason(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        box = page.locator("#ex-twice")
        lines = box.locator(".line")
        assert lines.count() == 4
        lines.nth(1).click()
        assert said(box) == "It asks for the penalty once, as it should."
        lines.nth(2).focus()
        page.keyboard.press("Enter")
        assert said(box).startswith("Yes: the penalty is there already")
        assert lines.nth(2).get_attribute("aria-pressed") == "true"
        assert box.locator(".tries").inner_text() == "2 tries"
        lines.nth(1).click()  # it is found: the others are explained
        assert said(box) == "It asks for the penalty once, as it should."
        assert box.locator(".tries").inner_text() == "2 tries"
        assert box.locator(".code li.right").inner_text().strip().startswith("optimizer")
        assert box.locator(".code li.wrong").count() == 0
        assert box.evaluate("e => e.classList.contains('done')")


def test_a_line_that_wraps_goes_on_further_right_than_it_began(chromium, tmp_path):
    with opened(chromium, tmp_path, viewport={"width": 320, "height": 800}) as page:
        box = page.locator("#ex-twice")
        assert "Click the line" in box.inner_text()
        code = box.locator(".line code").nth(1)
        begins, *_, goes_on = code.evaluate(LEFTS)
        assert goes_on > begins


LEFTS = """e => { const range = document.createRange(), text = e.firstChild;
  const lefts = [...text.data.matchAll(/\\S+/g)].map(({ index }) => {
    range.setStart(text, index); range.setEnd(text, index + 1);
    const { left, top } = range.getBoundingClientRect(); return [top, left]; });
  return lefts.filter(([top], i) => !i || top > lefts[i - 1][0] + 5).map(([, left]) => left); }"""


def test_a_goal_is_judged_where_the_picture_stands(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        box, scene = page.locator("#ex-half"), page.locator("mr-scene")
        box.locator(".check").click()
        assert said(box) == "0.82 is left: λ has to pull harder."
        scene.evaluate("e => e.go({ index: 1, broken: true })")
        assert said(box) == ""  # it was said of another state
        box.locator(".check").click()
        assert said(box).startswith("With the wrong sign")
        scene.evaluate("e => e.go({ index: 2, broken: false })")
        box.locator(".check").click()
        assert "a smaller λ does it too" in said(box)
        box.locator(".do .answer").click()
        assert said(box).startswith("The picture now shows it. Yes, 0.36 is left.")
        assert scene.evaluate("e => e.state") == {
            "index": 1,
            "value": 0.5,
            "choice": None,
            "broken": False,
        }


def test_a_goal_has_the_control_and_the_caption_beside_it(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        box, scene = page.locator("#ex-half"), page.locator("mr-scene")
        assert box.locator(".at").inner_text() == "λ = 0.1"
        assert box.locator(".back").is_disabled()
        box.locator(".on").click()
        assert box.locator(".at").inner_text() == "λ = 0.5"
        assert box.locator(".now").inner_text() == "After 20 steps 0.36 is left."
        box.locator(".check").click()
        assert said(box) == "Yes, 0.36 is left."
        scene.evaluate("e => e.go({ index: 3 })")
        assert box.locator(".at").inner_text() == "λ = 2"
        assert box.locator(".on").is_disabled()
        box.locator(".back").click()
        assert scene.evaluate("e => e.state.index") == 2


def test_a_goal_has_what_can_be_chosen_and_broken_beside_it(chromium, tmp_path):
    goals = CHOSEN, replace(CHOSEN, id="again")
    with opened(chromium, tmp_path, parts=goals, scene=CHOICES) as page:
        box, other, picture = map(page.locator, ("#ex-whole", "#ex-again", "mr-scene"))
        shape = "e => (s => [s.borderRadius, s.backgroundColor])(getComputedStyle(e.parentElement))"
        for one in (box, other):
            assert one.locator(".choices input").nth(0).is_checked()
            assert not one.locator(".break input").is_checked()
        box.locator(".choices label").nth(1).click()
        box.locator(".break").click()
        assert picture.evaluate("e => [e.state.choice, e.state.broken]") == ["all", True]
        assert other.locator(".choices input").nth(1).is_checked()
        assert other.locator(".break input").is_checked()
        for i in (0, 1):
            looks = [at.locator(".choices input").nth(i).evaluate(shape) for at in (box, picture)]
            assert looks[0] == looks[1]
        box.locator(".check").click()
        assert said(box) == "No."
        picture.locator(".break").click()
        assert not box.locator(".break input").is_checked()
        box.locator(".check").click()
        assert said(box) == "Yes."
        box.locator(".choices input").nth(1).focus()
        page.keyboard.press("ArrowLeft")
        assert picture.evaluate("e => e.state.choice") == "half"


def test_a_question_asked_again_gives_its_reason_on_check(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        box = page.locator("#ex-once_more")
        box.locator(".check").click()
        assert said(box) == "Choose an answer first."
        box.locator("input").nth(0).check()
        assert box.locator(".reason:visible").count() == 0
        box.locator(".check").click()
        assert box.locator(".choice .reason:visible").inner_text() == "The data pull back the more."
        assert (
            "The data pull back the more." in box.locator(".verdict").text_content()
        )  # read aloud
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        box.locator(".check").click()
        assert box.evaluate("e => e.classList.contains('done')")


def test_a_prediction_is_compared_beneath_the_picture(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        box, seen, scene = map(page.locator, ("#predict", ".seen", "mr-scene"))
        top = scene.bounding_box()["y"]
        box.locator("input").nth(2).check()
        assert not seen.is_visible()
        scene.locator("input[type=range]").focus()
        page.keyboard.press("ArrowRight")
        assert seen.locator("textarea").is_visible()
        assert seen.locator(".reason:visible").count() == 0
        seen.locator("textarea").fill("curves")
        seen.locator(".compare").click()
        assert "Yes: steep" in seen.locator(".reason:visible").inner_text()
        assert (
            seen.bounding_box()["y"]
            > scene.bounding_box()["y"] + scene.bounding_box()["height"] - 1
        )
        box.locator("input").nth(0).check()
        assert "The data pull back the more." in seen.locator(".reason:visible").inner_text()
        assert scene.bounding_box()["y"] == top
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert seen.locator("textarea").input_value() == "curves"
        assert seen.locator(".reason:visible").count() == 1
        page.emulate_media(media="print")
        assert not seen.is_visible()


def test_without_python_it_is_said_and_the_rest_works(chromium, tmp_path):
    with opened(chromium, tmp_path, python=False) as page:
        box = page.locator("#ex-left_over")
        assert "minireg lesson" in box.locator(".python").inner_text()
        assert box.locator(".check").is_disabled()
        box.locator(".editor").press("Control+Enter")
        assert said(box) == ""
        page.locator("#ex-twice .line").nth(2).click()
        assert "Yes" in said(page.locator("#ex-twice"))


def test_what_a_reader_prints_is_shown_as_text(chromium, tmp_path):
    with opened(chromium, tmp_path) as page:
        answer(page, "left * (1 - lr * strength); print('<b>&')")
        shown = page.locator("#ex-left_over .verdict .printed")
        assert shown.inner_text().splitlines()[0] == "<b>&"


@pytest.mark.parametrize("lang", ["en", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_can_be_read(chromium, tmp_path, width, scheme, lang):
    size = {"width": width, "height": 900}
    with opened(chromium, tmp_path, lang=lang, viewport=size, color_scheme=scheme) as page:
        answer(page, "left - lr * strength")
        page.locator("#ex-twice .line").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        other = ".verdict [lang=zh]" if lang == "en" else ".verdict [lang=en]"
        assert not any(e.is_visible() for e in page.locator(other).all())
        small, pale = page.evaluate(READABLE)
        assert small == []
        assert pale == []


# Text below 11 px, and text whose contrast with what lies behind it is below 4.5.
READABLE = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
  const small = [], pale = [];
  for (const e of document.querySelectorAll(".exercise *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own && e.tagName !== "TEXTAREA") continue;
    if (!e.checkVisibility() || e.closest(".unseen, script, button:disabled")) continue;
    const style = getComputedStyle(e);
    if (parseFloat(style.fontSize) < 11) small.push(e.outerHTML.slice(0, 80));
    const [a, b] = [light(rgb(style.color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) pale.push(e.outerHTML.slice(0, 80));
  }
  return [small, pale];
}"""
