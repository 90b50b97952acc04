"""Write what the pages of the course keep: ``lessons/pages/NN.json`` and the font of the formulas.

    tools/make_pages.py              all lessons
    tools/make_pages.py 2            one
    tools/make_pages.py --check      say whether what is kept is what would be written
    tools/make_pages.py --font       the font, from the file that the package ziamath holds

Kept are the frames of the picture, HTML of each text that holds Markdown or TeX, what exercises
need, and the lesson's own figures. Needs the extra ``lessons``; pages then need NumPy alone.
"""

from __future__ import annotations

import argparse
import html
import importlib.util
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt

from minireg.course import exercises
from minireg.course.lessons import Lesson, find, lessons
from minireg.course.pages import FONT, KEPT, MARKUP
from minireg.course.parts import Close, Exercise, says
from minireg.pictures import Scene
from minireg.random import manual_seed

MARKDOWN = MarkdownIt("commonmark", {"html": False})
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.S)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
SCRIPT = {"L": "ℒ", "R": "ℛ", "N": "𝒩", "D": "𝒟", "O": "𝒪"}  # no browser draws mathvariant


def formula(tex: str, display: bool) -> str:
    r"""MathML of TeX, in which ``\color{role}{…}`` takes a colour of the picture."""
    text = convert(tex.replace(r"\color{", r"\class{"), display="block" if display else "inline")
    text = text.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    text = text.replace(' display="inline"', "")
    text = re.sub(r'<mi mathvariant="script">(.)</mi>', lambda m: f"<mi>{SCRIPT[m[1]]}</mi>", text)
    if "mathvariant" in text.replace('mathvariant="normal"', ""):
        raise ValueError(f"browsers do not draw this letter, write it in Unicode: {tex}")
    return re.sub(r"&#x(?!0*(?:3C|3E|26);)\w+;", lambda m: html.unescape(m[0]), text)


def rendered(text: str) -> str:
    """HTML of Markdown with formulas: of one paragraph without its element."""
    formulas: list[str] = []

    def hide(match: re.Match[str]) -> str:
        formulas.append(formula(match[1] or match[2], display=bool(match[1])))
        return f"\ue000{len(formulas) - 1}\ue001"

    hidden = FORMULA.sub(hide, text)
    inline = "\n\n" not in hidden.strip() and not re.match(r"\s*[-*\d]\.? ", hidden)
    made = MARKDOWN.renderInline(hidden.strip()) if inline else MARKDOWN.render(hidden).strip()
    made = re.sub("<p>(\ue000\\d+\ue001)</p>", r"\1", made)  # a formula by itself is a block
    return re.sub("\ue000(\\d+)\ue001", lambda m: formulas[int(m[1])], made)


def kept(lesson: Lesson) -> dict[str, Any]:
    """What is kept of a lesson."""
    manual_seed(0)  # the same last digits whatever was drawn before
    opened = lesson.open()
    scene = opened.one(Scene)
    scene.check()
    texts = sorted({text for part in opened.parts for say in says(part) for text in say})
    return {
        "html": {text: rendered(text) for text in texts if MARKUP.search(text)},
        "scene": scene.encode(),
        "exercises": {e.id: exercises.kept(e, scene) for e in opened.of(Exercise)},
        "figures": [repr(figure) for close in opened.of(Close) for figure in close.figures()],
    }


def alike(a: Any, b: Any) -> bool:
    """Whether kept data say the same: another machine may round the last digit otherwise."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, str) and isinstance(b, str):
        numbers = [[float(n) for n in NUMBER.findall(text)] for text in (a, b)]
        return NUMBER.sub("#", a) == NUMBER.sub("#", b) and alike(*numbers)
    if isinstance(a, bool | None) or isinstance(b, bool | None):
        return a is b
    return math.isclose(a, b, rel_tol=1e-2, abs_tol=2)


def text_of(data: Any) -> str:
    """As it stands in the file: an entry a line, so that a change shows as one."""
    entries = {k: json.dumps(v, ensure_ascii=False, separators=(",", ":")) for k, v in data.items()}
    return "{\n" + ",\n".join(f'"{name}": {entry}' for name, entry in entries.items()) + "\n}\n"


# --- the font -------------------------------------------------------------------------------------

# Letters and signs of formulas: Latin, Greek, arrows, operators, and letters of mathematics in
# italics, bold, script and double-struck, which browsers take for <mi>.
LETTERS = "20-7E A0-B7 D7 F7 131 237 300-308 30A 30C 332 338 370-3FF 2010-2026 2032-2034 2044 2057 \
2061-2064 2070-208E 20D7 20DB 210B-2112 2115 211A-211D 2124 2190-2195 219D 21A6 21D0-21D5 \
2200-22A5 22C5-22C6 22EE-22F1 2308-230B 23B4-23B5 23DC-23E1 27E8-27E9 27F5-27FA 2A7D-2A7E 1D400-1D467 \
1D49C-1D4CF 1D538-1D56B 1D6A4-1D71B 1D7CE-1D7E1"


def write_font(path: Path) -> None:
    """A subset of STIX Two Math, which keeps its table of mathematics, as woff2."""
    from fontTools import subset

    (folder,) = importlib.util.find_spec("ziamath").submodule_search_locations
    font = subset.load_font(f"{folder}/fonts/STIXTwoMath-Regular.ttf", subset.Options())
    options = subset.Options(
        flavor="woff2", layout_features=["ssty", "dtls", "flac"], hinting=False
    )
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 7, 13, 14]
    cut = subset.Subsetter(options)
    ends = [[int(end, 16) for end in span.split("-")] for span in LETTERS.split()]
    cut.populate(unicodes=[n for span in ends for n in range(span[0], span[-1] + 1)])
    cut.subset(font)
    font.flavor = "woff2"
    subset.save_font(font, str(path), options)
    print(f"{path}: {path.stat().st_size:,} bytes")


def main() -> int:
    """Write or compare; 1 if something kept is not what would be written."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("number", type=int, nargs="?")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--font", action="store_true")
    args = parser.parse_args()
    if args.font:
        write_font(KEPT / FONT)
        return 0
    chosen = [find(args.number)] if args.number is not None else lessons()
    code = 0
    for lesson in chosen:
        path, new = KEPT / f"{lesson.number:02}.json", json.loads(text_of(kept(lesson)))
        if not args.check:
            path.write_text(text_of(new), "utf-8")
            print(f"{path}: {path.stat().st_size:,} bytes")
        elif not alike(json.loads(path.read_text("utf-8")), new):
            print(f"{path} is not current: tools/make_pages.py {lesson.number}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
