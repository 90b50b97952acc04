"""Draw all pages of the course on one sheet, ``docs/pages.jpg``, and the playground at work.

    tools/make_contact_sheet.py            1280 px in English and light, 390 px in Chinese and dark
    tools/make_contact_sheet.py DIR        the pages themselves, too, in full size
    tools/make_contact_sheet.py --play     docs/playground.png alone: 30 % wrong labels, 400 steps

Needs the extras ``test`` and ``viz`` (Pillow comes with Matplotlib) and Debian's chromium.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import tempfile
import threading
from contextlib import nullcontext
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from minireg.course.lessons import lessons
from minireg.course.serve import serving
from minireg.course.site import pages, served, site

DOCS = Path(__file__).parents[1] / "docs"
SHEET, PLAY = DOCS / "pages.jpg", DOCS / "playground.png"
HIGH = 16_000  # of a page: the book is longer than a picture can be
VIEWS = {  # name → what the reader has
    "wide": {
        "viewport": {"width": 1280, "height": 900},
        "locale": "en-US",
        "color_scheme": "light",
    },
    "phone": {"viewport": {"width": 390, "height": 844}, "locale": "zh-CN", "color_scheme": "dark"},
}


def photographed(browser: Browser, folder: Path, into: Path) -> list[list[Path]]:
    """A picture of each page in each view."""
    found = []
    for name in pages(lessons()):
        row = []
        for view, options in VIEWS.items():
            page = browser.new_page(**options)
            page.goto((folder / name).as_uri())
            page.wait_for_selector("html[data-ready]")
            row.append(into / f"{Path(name).stem}-{view}.jpg")
            height = min(page.evaluate("document.documentElement.scrollHeight"), HIGH)
            clip = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": height}
            page.screenshot(path=row[-1], full_page=True, clip=clip, type="jpeg", quality=80)
            page.close()
        found.append(row)
    return found


def sheet(browser: Browser, rows: list[list[Path]]) -> bytes:
    """All of them side by side, small."""
    image = lambda path: f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
    cells = "".join(
        f'<div><img src="{image(wide)}" width="150"><img src="{image(phone)}" width="46"></div>'
        for wide, phone in rows
    )
    page = browser.new_page(viewport={"width": 1660, "height": 900})
    page.set_content(
        "<style>body{margin:10px;display:grid;grid-template-columns:repeat(8,1fr);gap:10px;background:#888}"
        "div{display:flex;gap:4px;height:375px;overflow:hidden;align-items:start}</style>" + cells
    )
    page.wait_for_timeout(500)
    return page.screenshot(full_page=True, type="jpeg", quality=70)


def played(browser: Browser) -> bytes:
    """The upper half of the playground after some 400 steps."""
    page = browser.new_page(viewport={"width": 1280, "height": 1130}, locale="en-US")
    with serving(served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.goto(server.url("playground.html") + "#flip=0.3&l2=0.01")
        page.wait_for_selector('html[data-ready="play"]')
        page.select_option("#speed", "16")
        page.click("#play")
        page.locator("#count", has_text=re.compile(r"step [4-9]\d\d")).wait_for()
        page.click("#play")
        page.locator("#play", has_text="Play").wait_for()
        page.click("#step")  # which shows all of it
        page.wait_for_timeout(1000)
        whole = Image.open(io.BytesIO(page.screenshot()))
        server.shutdown()
    whole.quantize(128).save(packed := io.BytesIO(), "png", optimize=True)
    return packed.getvalue()


def main() -> None:
    """Draw the sheet, or the playground."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--play", action="store_true")
    given, play = vars(parser.parse_args()).values()
    if given:
        given.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as built,
        nullcontext(given) if given else tempfile.TemporaryDirectory() as into,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        PLAY.write_bytes(played(browser))
        if not play:
            site(Path(built), lessons())
            SHEET.write_bytes(sheet(browser, photographed(browser, Path(built), Path(into))))
    for drawn in (PLAY, SHEET):
        print(f"{drawn}: {drawn.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
