"""What a reader sees of a page without opening a fold: its words, formulas and lines of code."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr"}
UNREAD = {
    "head", "header", "footer", "aside", "dialog", "script", "style", "svg", "button", "summary",
    "code",
}  # fmt: skip
CODE = {"pre", "textarea"}
LINES = {"code"}  # a list of lines of code
# Controls of the picture and of exercises are used, not read; lines to put in order are pieces of a
# puzzle; a ledger is looked at.
CONTROLS = {"controls", "keys", "asks", "how", "python", "unseen", "evidence", "lists"}


class Reading(HTMLParser):
    """Counts what stands open on a page, in English.

    ``words`` by the section of the page, ``formulas`` that stand in a line, ``code`` lines, and
    ``sections`` in the order of the page.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: Counter[str] = Counter()
        self.formulas = self.code = 0
        self.sections: list[str] = []
        self.open: list[tuple[str, str]] = []  # element, and how what is in it is read
        self.listing = ""  # code that is being read
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag in VOID:
            return
        found, how = dict(attrs), self.open[-1][1] if self.open else "text"
        classes = set((found.get("class") or "").split())
        if (
            "hidden" in found
            or (found.get("lang") or "").startswith("zh")
            or classes & CONTROLS
            or (tag in UNREAD and how in ("text", "fold"))
        ):
            how = "nothing"
        elif how == "text" and tag == "details" and "open" not in found:
            how = "fold"
        elif how == "text" and classes & LINES:
            how = "lines"
        elif how == "text" and tag in CODE:
            how = "code"
        elif how == "text" and tag == "math":
            self.formulas += found.get("display") != "block"
            how = "nothing"
        elif how == "lines" and tag == "li":
            self.code += 1
        if tag in ("h1", "section", "mr-scene") and self.open[-1][0] != "section":
            self.sections.append(found.get("id") or tag)
        self.open.append((tag, how))

    def handle_endtag(self, tag):
        if tag in CODE:
            self.code += sum(bool(line.strip()) for line in self.listing.splitlines())
            self.listing = ""
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        how = self.open[-1][1] if self.open else "nothing"
        if how == "code":
            self.listing += data
        elif how == "text" and self.sections:
            self.words[self.sections[-1]] += len(words(data))


def words(text: str) -> list[str]:
    """Words of a text; a name in a formula is none."""
    return re.findall(r"[A-Za-z][A-Za-z’'-]+|\b[AaI]\b", text)
