"""words: what a reader sees, in English and in Chinese, of which one is shown at a time."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple


class Say(NamedTuple):
    """A piece of text in both languages.

    Attributes
    ----------
    en, zh : the text. In prose ``$…$`` is TeX; labels in a picture are plain Unicode.

    >>> Say("learning rate", "学习率").html()
    '<span lang="en">learning rate</span><span lang="zh">学习率</span>'
    >>> Say("{loss:.1f} at the end", "终点 {loss:.1f}").format(loss=0.25).zh
    '终点 0.2'
    """

    en: str
    zh: str

    def format(self, **values: Any) -> Say:
        """Both texts with ``{name}`` replaced, as :meth:`str.format` does it."""
        return Say(self.en.format(**values), self.zh.format(**values))

    def html(self, render: Callable[[str], str] = escape, tag: str = "span") -> str:
        """An element for each language; one if both are the same (a formula, a number)."""
        if self.en == self.zh:
            return f"<{tag}>{render(self.en)}</{tag}>"
        both = (("en", self.en), ("zh", self.zh))
        return "".join(f'<{tag} lang="{lang}">{render(text)}</{tag}>' for lang, text in both)
