"""Print the book of the course as a PDF, by Chromium.

    tools/make_book.py OUT.pdf              in English; an OUT.pdf that is there is replaced
    tools/make_book.py OUT.pdf --zh         in Chinese
    tools/make_book.py OUT.pdf 2 5 --zh     these lessons

Pages have their numbers, the contents say them, and a PDF reader shows the headings beside them. It
is printed twice: first each chapter alone, to count its pages. Needs playwright and a Chromium
(``--chromium PATH``; by default the one that playwright installs).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from minireg.course.book import page
from minireg.course.lessons import Lesson, find
from minireg.course.pages import FONT, KEPT

PAGE = re.compile(rb"/Type\s*/Page\b")  # Chromium writes one such entry, unpacked, for each page
ALONE = """chosen => document.querySelectorAll("main > section").forEach(
  (section, k) => { section.hidden = chosen >= 0 && k !== chosen; })"""
NUMBER = """starts => { for (const place of document.querySelectorAll(".page[data-of]"))
  place.textContent = starts[place.dataset.of]; }"""


def printed(tab: Any) -> bytes:
    """The PDF of what a tab shows."""
    return tab.pdf(prefer_css_page_size=True, print_background=True, outline=True, tagged=True)


def make(out: Path, chosen: list[Lesson], lang: str, chromium: str | None = None) -> int:
    """Write the PDF and return how many pages it has; ``SystemExit`` says what is missing."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise SystemExit("needs playwright: pip install playwright") from None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        book = Path(folder) / "book.html"
        book.write_text(page(chosen=chosen), "utf-8")
        (Path(folder) / FONT).write_bytes((KEPT / FONT).read_bytes())
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        except Error:
            where = f"at {chromium}" if chromium else "found"
            how = "`playwright install chromium`, or `--chromium /usr/bin/chromium`"
            raise SystemExit(f"no Chromium {where}: {how}") from None
        tab = browser.new_page()
        tab.goto(f"{book.as_uri()}?{lang}")
        tab.wait_for_selector("html[data-ready]")
        tab.evaluate("document.fonts.ready.then(() => true)")
        names = tab.eval_on_selector_all("main > section", "all => all.map(one => one.id)")
        starts, at = {}, 1
        for k, name in enumerate(names):
            starts[name] = at
            tab.evaluate(ALONE, k)
            at += len(PAGE.findall(printed(tab)))
        tab.evaluate(ALONE, -1)
        tab.evaluate(NUMBER, starts)
        content = printed(tab)
        browser.close()
    pages = len(PAGE.findall(content))
    if pages != at - 1:
        raise SystemExit(
            f"the chapters have {at - 1} pages, the book {pages}: its contents mislead"
        )
    out.write_bytes(content)
    return pages


def main() -> int:
    """Print it and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    about = "what is written; replaced if it is there"
    parser.add_argument("out", type=Path, metavar="OUT.pdf", help=about)
    parser.add_argument("number", type=int, nargs="*", metavar="N", help="these lessons only")
    parser.add_argument("--zh", action="store_true", help="in Chinese")
    parser.add_argument("--chromium", metavar="PATH", help="the program that prints")
    args = parser.parse_args()
    if not args.out.parent.is_dir():  # said before anything is printed
        raise SystemExit(f"there is no folder {args.out.parent}")
    try:
        chosen = [find(n) for n in args.number]
    except LookupError as error:
        raise SystemExit(error.args[0]) from None
    pages = make(args.out, chosen, "zh" if args.zh else "en", args.chromium)
    print(f"{args.out}: {pages} pages, {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
