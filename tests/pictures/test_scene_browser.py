"""Scenes in Chromium: what is shown is what Python drew, fast, readable, and within reach of all."""

from __future__ import annotations

import json
import statistics

import pytest
from support.browser import served, visit
from support.gallery import SCENES, page

from minireg.pictures.scene import slots

pytestmark = pytest.mark.slow
SIZES = {"phone": (390, 800), "desk": (1280, 900)}
HERE = """name => document.querySelector(`#${name} mr-scene`)"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the gallery in both languages and themes, and as a notebook shows a scene."""
    folder = tmp_path_factory.mktemp("gallery")
    for lang in ("en", "zh"):
        for theme in ("light", "dark"):
            path = folder / f"{lang}-{theme}.html"
            path.write_text(page(lang, theme), encoding="utf-8")
    cell = SCENES["decay"]._repr_html_()
    head = '<!doctype html><meta charset="utf-8"><title>cell</title><link rel="icon" href="data:,">'
    (folder / "cell.html").write_text(f"{head}{cell}", encoding="utf-8")
    with served(folder) as url:
        yield url


@pytest.fixture
def gallery(chromium, site):
    """The gallery, where nothing is animated."""
    with visit(chromium, f"{site}en-light.html", reduced_motion="reduce") as shown:
        yield shown


def go(shown, name, **state):
    shown.evaluate(f"([name, state]) => ({HERE})(name).go(state)", [name, state])


@pytest.mark.parametrize("name", SCENES)
def test_the_browser_shows_what_python_drew(gallery, name):
    """At every state, in an order in which all looks alternate."""
    scene = SCENES[name]
    read = """name => {
      const found = [], stage = document.querySelector(`#${name} .stage`);
      const walk = node => {
        if (node.nodeType === 3) return found.push(["", node.data]);
        for (const { name, value } of node.attributes)
          if (NAMES.includes(name)) found.push([name, value]);
        node.childNodes.forEach(walk);
      };
      stage.childNodes.forEach(walk);
      return found;
    }"""
    names = ["d", "x", "y", "cx", "cy", "width", "height", "fill-opacity"]
    names += ["class", "href", "id", "mask", "viewBox", "stroke-width"]
    read = read.replace("NAMES", json.dumps(names))
    for state in sorted(scene.states, key=lambda s: (s.value, s.broken)):
        wanted = {"value": state.value, "broken": state.broken}
        go(gallery, name, **wanted, **({"choice": state.choice} if state.choice else {}))
        drawn = slots(scene._drawn[state])[1]
        drawn = [
            slot for slot in drawn if slot[0] != "aria-label"
        ]  # the stage has it, for all panels
        assert [(a, b) for a, b in gallery.evaluate(read, name)] == drawn
        said = gallery.evaluate(
            "name => [...document.querySelectorAll(`#${name} .caption b`)].map(b => b.textContent)",
            name,
        )
        assert said == scene._said(state)
        shown = gallery.evaluate(f"name => ({HERE})(name).numbers", name)
        assert shown == pytest.approx(scene.frames()[state].numbers, rel=1e-5)


def test_a_move_changes_the_picture_at_once(chromium, site):
    """From the key to the next painted frame with a changed mark."""
    with visit(chromium, f"{site}en-light.html") as shown:
        found = []
        for name in SCENES:
            go(shown, name, index=0)
            shown.wait_for_timeout(330)
            shown.evaluate(
                """name => {
                  const stage = document.querySelector(`#${name} .stage`);
                  const range = document.querySelector(`#${name} input[type=range]`);
                  window.times = [];
                  let pressed = null;
                  range.addEventListener("keydown", event => { pressed = event.timeStamp; });
                  new MutationObserver(() => {
                    if (pressed === null) return;
                    const since = pressed;
                    pressed = null;
                    requestAnimationFrame(() => times.push(performance.now() - since));
                  }).observe(stage, { attributes: true, subtree: true });
                  range.focus();
                }""",
                name,
            )
            for key in 3 * ["ArrowRight", "ArrowLeft"]:
                shown.keyboard.press(key)
                shown.wait_for_timeout(330)
            found.append((name, shown.evaluate("times")))
    for name, times in found:
        print(
            f"{name}: {statistics.median(times):.0f} ms (of {len(times)}, at most {max(times):.0f})"
        )
    print(f"median {statistics.median([t for _, times in found for t in times]):.0f} ms")
    assert all(len(times) == 6 for _, times in found)


def test_marks_morph_and_stand_still_for_whom_it_disturbs(chromium, site):
    path = "document.querySelector('#decay .line.result').getAttribute('d')"
    step = f"""async () => {{
      const scene = ({HERE})("decay"), seen = new Set();
      scene.go({{ index: 0 }});
      await new Promise(done => setTimeout(done, 400));
      scene.go({{ index: 5 }});
      for (let k = 0; k < 40; k++) {{
        await new Promise(requestAnimationFrame);
        seen.add({path});
      }}
      return seen.size;
    }}"""
    for motion, most in (("no-preference", 41), ("reduce", 1)):
        with visit(chromium, f"{site}en-light.html", reduced_motion=motion) as shown:
            seen = shown.evaluate(step)
            assert seen == 1 if most == 1 else 3 < seen <= most


def test_keys_buttons_and_links_say_where_the_reader_is(gallery):
    gallery.evaluate("document.addEventListener('move', e => (window.last = e.detail))")
    gallery.focus("#board input[type=range]")
    gallery.keyboard.press("End")
    assert gallery.evaluate("last") == {"index": 3, "value": 1, "choice": "l1", "broken": False}
    gallery.click("#board .choices label:last-child")
    assert gallery.evaluate("last.choice") == "group"
    gallery.click("#decay .break")
    expected = {"index": 1, "value": 0.2, "choice": None, "broken": True}
    assert gallery.evaluate("last") == expected
    go(gallery, "decay", value="5", broken=False, choice="none")
    assert gallery.evaluate("last") == {"index": 5, "value": 5, "choice": None, "broken": False}
    go(gallery, "decay", value=77)
    assert gallery.evaluate("last.index") == 5
    assert gallery.inner_text("#decay output") == "5"
    assert gallery.get_attribute("#cloud input[type=range]", "aria-valuetext") == "0.6 ×"
    assert gallery.evaluate(
        "[...document.querySelectorAll('#decay .here')].map(s => s.innerText)"
    ) == ["5"]


def place(shown, selector):
    box = shown.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_handle_is_dragged_to_the_nearest_frame(gallery):
    gallery.locator("#budget .handle").scroll_into_view_if_needed()
    for index in (5, 0, 3):
        before = gallery.evaluate(f"name => ({HERE})(name).state.index", "budget")
        x, y = place(gallery, "#budget .handle")
        go(gallery, "budget", index=index)
        to = place(gallery, "#budget .handle")
        go(gallery, "budget", index=before)
        gallery.mouse.move(x, y)
        gallery.mouse.down()
        gallery.mouse.move(to[0] + 3, to[1] - 2, steps=8)
        assert gallery.evaluate(f"name => ({HERE})(name).state.index", "budget") == index
        gallery.mouse.up()
        gallery.mouse.move(x, y)  # let go: nothing follows any more
        assert gallery.evaluate(f"name => ({HERE})(name).state.index", "budget") == index


def test_a_finger_drags_the_handle_too(chromium, site):
    options = {
        "viewport": {"width": 390, "height": 800},
        "has_touch": True,
        "reduced_motion": "reduce",
    }
    with visit(chromium, f"{site}en-light.html", **options) as shown:
        shown.locator("#budget .handle").scroll_into_view_if_needed()
        x, y = place(shown, "#budget .handle")
        touch = shown.context.new_cdp_session(shown)
        send = lambda kind, *points: touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": a, "y": b} for a, b in points]},
        )
        send("touchStart", (x, y))
        for k in range(1, 9):
            send("touchMove", (x - 6 * k, y + 6 * k))
        send("touchEnd")
        assert shown.evaluate(f"name => ({HERE})(name).state.index", "budget") < 3


TEXTS = """() => [...document.querySelectorAll("mr-scene")].flatMap(scene =>
  [...scene.querySelectorAll(".stage > svg")].flatMap((svg, panel) => {
    const scale = svg.getScreenCTM().a, outer = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].filter(t => t.textContent).map(t => {
      const box = t.getBBox(), style = getComputedStyle(t);
      return { panel: `${scene.parentNode.id} ${panel}`, text: t.textContent, kind: t.className.baseVal,
        size: parseFloat(style.fontSize) * scale, x: box.x, y: box.y, width: box.width,
        height: box.height, room: svg.viewBox.baseVal.width, tall: svg.viewBox.baseVal.height };
    });
  }))"""
SHARE = 0.25  # of a line's height above and below its letters there is air


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("size", SIZES)
def test_words_are_large_enough_apart_and_inside(chromium, site, lang, size):
    width, height = SIZES[size]
    options = {"viewport": {"width": width, "height": height}, "reduced_motion": "reduce"}
    with visit(chromium, f"{site}{lang}-light.html", **options) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        small = shown.evaluate(
            """() => [...document.querySelectorAll("mr-scene :is(span, output, p, label)")]
              .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).length"""
        )
        assert small == 0
        for state in range(9):
            for name, scene in SCENES.items():
                go(shown, name, index=min(state, len(scene.values) - 1), broken=state % 2 == 1)
            texts = shown.evaluate(TEXTS)
            assert min(t["size"] for t in texts) >= 11
            for k, a in enumerate(texts):
                assert a["x"] >= -0.5, a
                assert a["x"] + a["width"] <= a["room"] + 0.5, a
                assert a["y"] + a["height"] * (1 - SHARE) <= a["tall"], a
                for b in texts[k + 1 :]:
                    if a["panel"] == b["panel"]:
                        beside = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
                        gap = a["height"] * (1 - SHARE)
                        over = a["y"] + gap <= b["y"] or b["y"] + gap <= a["y"]
                        assert beside or over, (a, b)


def luminance(colour):
    """Relative luminance of "rgb(r, g, b)" (WCAG 2)."""
    parts = [int(v) / 255 for v in colour[4:-1].split(",")]
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_role_can_be_seen_and_its_words_read(chromium, site, theme):
    roles = ["data", "penalty", "result", "textbook", "reference", "broken", "ink"]
    names = ["page", "ink", "soft", *roles, *[f"{role}-label" for role in roles]]
    read = """names => Object.fromEntries(names.map(name => {
      const e = document.body.appendChild(document.createElement("i"));
      e.style.color = `var(--${name})`;
      return [name, getComputedStyle(e).color];
    }))"""
    with visit(chromium, f"{site}en-{theme}.html") as shown:
        tones = shown.evaluate(read, names)
    for name in names[1:]:
        found, least = contrast(tones[name], tones["page"]), 3.0 if name in roles[:6] else 4.5
        print(f"{theme} {name}: {found:.2f}")
        assert found >= least, name


def test_the_picture_is_told_in_the_language_of_the_page(gallery):
    told = lambda: gallery.get_attribute("#decay .stage", "aria-label")
    assert told() == SCENES["decay"].alt.en
    assert gallery.get_attribute("#decay .stage", "role") == "img"
    assert gallery.get_attribute("#decay .caption", "aria-live") == "polite"
    gallery.evaluate("document.documentElement.lang = 'zh-CN'")
    assert told() == SCENES["decay"].alt.zh
    assert "权重的长度" in gallery.inner_text("#decay")
    assert "length" not in gallery.inner_text("#decay")


def test_focus_is_seen(gallery):
    gallery.keyboard.press("Tab")
    for part in ("input[type=range]", ".break input"):
        outline = f"getComputedStyle(document.querySelector('#decay {part}')).outlineStyle"
        assert gallery.evaluate(outline) == "solid"
        gallery.keyboard.press("Tab")


@pytest.mark.parametrize(
    ("locale", "said"), [("en-GB", "length of the weights"), ("zh-CN", "权重的长度")]
)
def test_a_notebook_shows_all_of_it_in_the_readers_language(chromium, site, locale, said):
    with visit(chromium, f"{site}cell.html", locale=locale) as shown:
        inner = shown.frames[1]
        inner.wait_for_selector(".here", state="attached")
        assert said in inner.inner_text(".stage")
        for width in (1000, 390):
            shown.set_viewport_size({"width": width, "height": 700})
            shown.wait_for_timeout(100)
            high = inner.evaluate(
                "document.querySelector('mr-scene').getBoundingClientRect().bottom"
            )
            box = shown.locator("iframe").bounding_box()
            assert high <= box["height"] <= high + 40
            assert inner.evaluate("document.documentElement.scrollWidth") <= box["width"]
        inner.focus("input[type=range]")
        shown.keyboard.press("ArrowRight")
        inner.wait_for_selector(".stops span:nth-child(3).here", state="attached")
