"""site: the pages of the course, in a folder for any web server or shown by this machine.

Beside the pages lie the font of their formulas and, where Python runs in the browser, a worker and
the folder ``python``: Pyodide, NumPy and this package.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..checkpoint import replacing
from ..pictures import Say, Scene
from . import book, catalogue, playground, questions
from .claims import HERE, LESSONS, WRONG, load
from .lessons import Lesson, lessons
from .pages import FONT, KEPT, QUESTION, TITLE, asset, page, shell, stored
from .parts import Exercise, Recall, Title

MARK = "site.json"  # what a site consists of: by it the next one knows what it may replace
LOCK, START = "pyodide-lock.json", "pyodide.mjs"
KNOWN = tomllib.loads(asset("course/pyodide.toml"))
#: What the file that starts Pyodide says: its version, which of late the lock does not, other files.
VERSION = re.compile(r'="(\d+\.\d+\.\d+)"')
NAMED = re.compile(r"\b(?:pyodide\.asm\.\w+|python_stdlib\.zip)\b")

Make = Callable[[str, int], str]

#: Pages beside the lessons: file name → what makes it, given where Python is and the bytes it loads.
PAGES: dict[str, Make] = {
    **catalogue.PAGES, "playground.html": playground.page, "questions.html": questions.page,
    "book.html": book.page,
}  # fmt: skip
LINKS = {  # what the index calls them
    "questions.html": Say("ten questions, before and after", "十道题，学前学后各一次"),
    "playground.html": Say("playground", "实验场"),
    "claims.html": Say("all claims, searchable", "全部论断（可检索）"),
    "texts.html": Say("the texts, place by place", "教材逐节对照"),
    "errata.html": Say("errata of the texts", "教材勘误"),
    "glossary.html": Say("glossary", "术语表"),
    "book.html": Say("all lessons as a book, to print", "全书（可打印）"),
}


class SiteError(Exception):
    """What stands against a site: files that are lacking, altered, foreign or not to be written."""


# --- pages ----------------------------------------------------------------------------------------


def index(python: str = "", size: int = 0) -> str:
    """The page that leads to all others: a card a lesson, with its picture in small."""
    claims = [*load().values()]
    wrong = sum(claim.verdict in WRONG for claim in claims)
    lead = Say(
        f"Five texts make {len(claims)} statements about it: each is a program here, its figure is "
        f"measured, and {wrong} are corrected. A wrong answer of yours is recognised by being run, and "
        "many of the things to break are bugs that real frameworks have shipped.",
        f"五篇教材就此给出 {len(claims)} 条论断；这里每一条都写成程序，数字都经过实测，其中 {wrong} "
        "条得到更正。你的答案会实际运行，错在哪里由运行结果指出；让你“故意弄错”的地方，许多是真实框架发布的版本里有过的缺陷。",
    )
    links = " · ".join(
        f'<a href="{name}">{LINKS[name].html()}</a>' for name in LINKS if name in PAGES
    )
    cards = "".join(map(_card, lessons()))
    body = (
        f'<h1>{QUESTION.html()}</h1><p id="lead">{lead.html()}</p>'
        f'<p id="links">{links}</p><ol class="cards">{cards}</ol>'
    )
    style, script = asset("course/index.css"), asset("course/index.js")
    place = Say("the course", "课程")
    return shell(TITLE, body, {}, python, size, place=place, style=style, script=script)


def _card(lesson: Lesson) -> str:
    """Number, question and picture of a lesson, and room for what its reader has done."""
    opened = lesson.open()
    ids = [e.id for e in opened.of(Exercise) if not isinstance(e, Recall)]
    scene = opened.one(Scene).html(stored(lesson)["scene"], small=True)
    return (
        f'<li class="card" data-lesson="{lesson.number}" data-exercises="{" ".join(ids)}">'
        f'<h2><span class="number">{lesson.number}</span> '
        f'<a href="{lesson.page}">{opened.one(Title).question.html()}</a></h2>'
        f'{scene}<p class="progress small" hidden></p></li>'
    )


def pages(chosen: Iterable[Lesson]) -> dict[str, Make]:
    """All pages: file name → what makes it, of these lessons."""
    return {"index.html": index, **{one.page: partial(page, one) for one in chosen}, **PAGES}


def served(path: str) -> tuple[str, bytes] | None:
    """What :mod:`minireg.course.serve` shows under a path: a page, or the font."""
    if path == FONT:
        return "font/woff2", (KEPT / FONT).read_bytes()
    make = pages(lessons()).get(path or "index.html")
    return ("text/html; charset=utf-8", make("server", 0).encode()) if make else None


# --- Python ---------------------------------------------------------------------------------------


class Runtime(NamedTuple):
    """Pyodide with NumPy: name → content, what release it is, and the files that nothing vouches for."""

    files: dict[str, bytes]
    release: str
    unverified: list[str]


def runtime(folder: Path) -> Runtime:
    """What a folder of Pyodide holds of Python and NumPy, whatever its release calls the files.

    Packages are verified by the lock that lies beside them, all else by the hashes of the release
    that is known. ``SiteError`` names the files that are lacking, or one that is not what it should be.
    """
    files = _read(folder, [LOCK, START])
    start = files[START].decode(errors="replace")
    try:
        lock = json.loads(files[LOCK])
        info, packages, wanted = lock["info"], lock["packages"], ["numpy"]
        for name in wanted:  # which grows
            wanted += [other for other in packages[name]["depends"] if other not in wanted]
        vouched = {packages[name]["file_name"]: packages[name]["sha256"] for name in wanted}
        versions = [v for v in (info.get("version"), *VERSION.findall(start)[:1]) if v]
        release = f"{(versions or [info['abi_version']])[0]} with Python {info['python']}"
    except (ValueError, KeyError, TypeError) as error:
        raise SiteError(
            f"{folder / LOCK} is no lock of Pyodide with NumPy: {error!r:.200}"
        ) from error
    if strange := [name for name in vouched if Path(name).name != name]:
        raise SiteError(f"{folder / LOCK} names what is no file beside it: {', '.join(strange)}")
    files |= _read(folder, [*sorted({*NAMED.findall(start)}), *vouched])
    if KNOWN["version"] in versions:
        vouched |= KNOWN["sha256"]
    for name, expected in vouched.items():
        got = hashlib.sha256(files.get(name, b"")).hexdigest()
        if got != expected:
            raise SiteError(
                f"{folder / name} is not that of Pyodide {release}: expected SHA-256 {expected}, got {got}"
            )
    return Runtime(files, release, sorted({*files} - {*vouched}))


def _read(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Files of a folder; those that it lacks are all named."""
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise SiteError(
            f"{folder} lacks {', '.join(absent)}: it must hold a release of Pyodide with its NumPy, as the "
            f"folder pyodide in {KNOWN['from']} does"
        )
    return {name: (folder / name).read_bytes() for name in names}


def package() -> bytes:
    """This package with its lessons as a zip, as a wheel holds them, without what pages keep."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for root, inside in ((HERE, "minireg"), (LESSONS, "minireg/lessons")):
            for file in sorted(root.rglob("*")):
                name = f"{inside}/{file.relative_to(root).as_posix()}"
                skipped = "__pycache__" in name or "lessons/pages/" in name
                if file.is_file() and not skipped and name not in archive.namelist():
                    entry = zipfile.ZipInfo(name)  # without a time: the same zip each time
                    archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


# --- a site ---------------------------------------------------------------------------------------


class Written(NamedTuple):
    """What :func:`site` has written: name → bytes, and the Python in it."""

    files: dict[str, int]
    python: Runtime | None


def site(folder: Path, chosen: Iterable[Lesson], python: Path | None = None) -> Written:
    """Write pages for any web server into a folder, which is made; a site that is there is replaced.

    Parameters
    ----------
    python : a folder with Pyodide and its NumPy (https://github.com/pyodide/pyodide/releases), which
        is copied beside the pages; without it they have no Python.

    ``SiteError`` for what :func:`runtime` finds, for files in ``folder`` that are not of a site, and
    for what cannot be written.
    """
    found = None if python is None else runtime(python)
    old = _old(folder)  # before the work begins
    contents = {FONT: (KEPT / FONT).read_bytes()}
    size = 0
    if found:
        contents |= {f"python/{name}": content for name, content in found.files.items()}
        contents["python/minireg.zip"] = package()
        size = sum(map(len, contents.values())) - len(contents[FONT])
        contents["worker.js"] = asset("course/worker.js").encode()
    for name, make in pages(chosen).items():
        contents[name] = make("worker" if found else "", size).encode()
    files = {name: len(content) for name, content in contents.items()}
    try:
        _write(folder / MARK, json.dumps({"minireg": {**old, **files}}, indent=1).encode())
        for name in old.keys() - files.keys():
            (folder / name).unlink()
        for name, content in contents.items():
            _write(folder / name, content)
        _write(folder / MARK, json.dumps({"minireg": files}, indent=1).encode())
    except OSError as error:
        where = error.filename or folder
        raise SiteError(f"cannot write {where}: {error.strerror or error}") from error
    return Written(files, found)


def _old(folder: Path) -> dict[str, int]:
    """The files of a site that was written into a folder; ``SiteError`` if there are others, unless
    their names begin with a dot.
    """
    try:
        ours = dict(json.loads((folder / MARK).read_text("utf-8"))["minireg"])
    except OSError:  # no list: then nothing there is ours
        ours = {}
    except (ValueError, KeyError, TypeError):
        raise SiteError(
            f"{folder / MARK} is not of a site of minireg: choose another folder"
        ) from None
    here: dict[str, int] = {}
    for root, _, files in os.walk(folder):
        names = [Path(root, file).relative_to(folder).as_posix() for file in files]
        strange = [n for n in names if n not in {*ours, MARK} and not Path(n).name.startswith(".")]
        if strange:  # the first are enough: the folder may be the whole disk
            raise SiteError(
                f"{folder} holds what is not of a site of minireg: {', '.join(sorted(strange)[:3])}; "
                "choose another folder"
            )
        here |= {name: ours[name] for name in names if name in ours}
    return here


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise SiteError(f"cannot write {path}: {error.strerror or error}") from error
