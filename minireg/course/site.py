"""site: the pages of the course, in a folder for any web server or shown by this machine.

Beside the pages lie the font of their formulas and, where Python runs in the browser, a worker and
the folder ``python``.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ..pictures import Say
from . import catalogue
from .claims import HERE, LESSONS
from .lessons import Lesson, lessons
from .pages import FONT, KEPT, page, shell
from .parts import Title

RUNTIME = "pyodide.mjs pyodide.asm.js pyodide.asm.wasm python_stdlib.zip pyodide-lock.json"

#: Pages beside the lessons: file name → what makes it, given where Python is and the bytes it loads.
PAGES: dict[str, Callable[[str, int], str]] = {**catalogue.PAGES}


def index(python: str = "", size: int = 0) -> str:
    """The page that leads to all others."""
    links = "".join(
        f'<li><a href="{one.page}">{one.open().one(Title).question.html()}</a></li>'
        for one in lessons()
    )
    title = Say("minireg: a course on regularization", "minireg：正则化课程")
    script = 'root.dataset.ready = "alone";'
    place = Say("all lessons", "全部课程")
    return shell(
        title,
        f"<h1>{title.html()}</h1><ol>{links}</ol>",
        {},
        python,
        size,
        place=place,
        script=script,
    )


def pages(chosen: Iterable[Lesson]) -> dict[str, Callable[[str, int], str]]:
    """All pages: file name → what makes it, of these lessons."""
    return {"index.html": index, **{one.page: partial(page, one) for one in chosen}, **PAGES}


def site(folder: Path, chosen: Iterable[Lesson], python: Path | None = None) -> None:
    """Write pages for any web server into a folder, which is made.

    Parameters
    ----------
    python : a folder with Pyodide and its NumPy (https://github.com/pyodide/pyodide/releases), which
        is copied beside the pages; without it they have no Python.

    ``FileNotFoundError`` names what that folder lacks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = 0
    if python is not None:
        runtime = folder / "python"
        runtime.mkdir(exist_ok=True)
        for name in [*RUNTIME.split(), "numpy-*.whl"]:
            found = sorted(python.glob(name))
            if not found:
                raise FileNotFoundError(
                    f"{python} lacks {name}: it must hold Pyodide and its NumPy"
                )
            shutil.copyfile(found[-1], runtime / found[-1].name)
        package(runtime / "minireg.zip")
        shutil.copyfile(HERE / "course" / "worker.js", folder / "worker.js")
        size = sum(file.stat().st_size for file in runtime.iterdir())
    shutil.copyfile(KEPT / FONT, folder / FONT)
    for name, make in pages(chosen).items():
        (folder / name).write_text(make("worker" if python else "", size), "utf-8")


def package(path: Path) -> None:
    """Write this package with its lessons as a zip, as a wheel holds them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for root, inside in ((HERE, "minireg"), (LESSONS, "minireg/lessons")):
            for file in sorted(root.rglob("*")):
                name = f"{inside}/{file.relative_to(root).as_posix()}"
                if file.is_file() and "__pycache__" not in name and name not in archive.namelist():
                    archive.write(file, name)


def served(path: str) -> tuple[str, bytes] | None:
    """What :mod:`minireg.course.serve` shows under a path: a page, or the font."""
    if path == FONT:
        return "font/woff2", (KEPT / FONT).read_bytes()
    make = pages(lessons()).get(path or "index.html")
    return ("text/html; charset=utf-8", make("server", 0).encode()) if make else None
