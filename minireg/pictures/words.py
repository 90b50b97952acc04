"""words: what a reader sees, in English and in Chinese, of which one is shown at a time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
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
            return f"<{tag}>{glued(render(self.en))}</{tag}>"
        both = (("en", self.en), ("zh", self.zh))
        return "".join(f'<{tag} lang="{lang}">{glued(render(text))}</{tag}>' for lang, text in both)


# "λ = 0.5", "(1 − ηλ)", "6 个" and "Theorem 9.3.1" stay in one line; code is left as it is.
_GLUED = re.compile(
    r"<code>.*?</code>|(?<=\S) [=+−×≤≥≪] (?=[^\s\u4e00-\u9fff])|(?<=[\d>]) (?=[\u4e00-\u9fff])"
    r"|(?:Theorem|Lemma|Corollary|Remark|Definition|Table|eq\.|[理论记义表式]) (?=[\d(])"
)


def glued(html: str) -> str:
    """HTML of a text with no-break spaces where a line must not end.

    >>> glued("at λ = 0.5, in Lemma 2")
    'at λ\\xa0=\\xa00.5, in Lemma\\xa02'
    """
    return _GLUED.sub(lambda m: m[0] if m[0][0] == "<" else m[0].replace(" ", "\xa0"), html)


Text = str | Say  # a plain string is the same in both languages


def say(text: Text) -> Say:
    """The text in both languages.

    >>> say("θ")
    Say(en='θ', zh='θ')
    """
    return text if isinstance(text, Say) else Say(text, text)


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(exponent: int) -> str:
    """A power of ten.

    >>> power(-3), power(0), power(1)
    ('10⁻³', '1', '10')
    """
    return {0: "1", 1: "10"}.get(exponent, f"10{str(exponent).translate(_RAISED)}")


def number(value: float) -> str:
    """A number for readers: a true minus, and powers of ten where zeros would be many.

    >>> number(-0.5), number(2e-5), number(1e6)
    ('−0.5', '2·10⁻⁵', '10⁶')
    """
    text = f"{value:.6g}"
    if value and not 1e-3 <= abs(value) < 1e5:
        first, _, exponent = f"{value:.2e}".partition("e")
        first = first.rstrip("0").rstrip(".")
        text = f"{first}·{power(int(exponent))}"
        text = text.removeprefix("1·") if first == "1" else text.replace("-1·", "-")
    return text.replace("-", "−")


# Width of letters in em, as in a wide face (DejaVu Sans): what fits there fits everywhere.
_WIDTHS = {
    **dict.fromkeys(" .,:;!'|ijlI·", 0.34), **dict.fromkeys("()[]frt/‖⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂₃₄₅₆₇₈₉ᵗ", 0.44),
    **dict.fromkeys("mwMW@%…+=−<>≤≥≈→", 0.92),
}  # fmt: skip


@cache
def ems(text: str) -> float:
    """The width of a line of text in em, rather too much than too little.

    >>> ems("loss"), ems("损失")
    (2.23, 2.0)
    """
    return sum(map(_width, text))


def _width(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    return _WIDTHS.get(letter, 0.74 if letter.isupper() else 0.63)
