"""Draw all pages of the course on one sheet: ``docs/pages.jpg``.

    tools/make_contact_sheet.py            1280 px in English and light, 390 px in Chinese and dark
    tools/make_contact_sheet.py DIR        the pages themselves, too, in full size

Needs the extras ``test`` and Debian's chromium.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
from contextlib import nullcontext
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from minireg.course.lessons import lessons
from minireg.course.site import pages, site

SHEET = Path(__file__).parents[1] / "docs" / "pages.jpg"
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
            page.screenshot(path=row[-1], full_page=True, type="jpeg", quality=80)
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


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    given = parser.parse_args().folder
    if given:
        given.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as built,
        nullcontext(given) if given else tempfile.TemporaryDirectory() as into,
        sync_playwright() as playwright,
    ):
        site(Path(built), lessons())
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        SHEET.write_bytes(sheet(browser, photographed(browser, Path(built), Path(into))))
    print(f"{SHEET}: {SHEET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
