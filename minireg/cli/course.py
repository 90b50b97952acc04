"""``minireg claims``, ``lesson``, ``play`` and ``site``: what the source texts say, measured and taught."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from .. import backend
from ..course import lessons as shelf
from ..course import notebook
from ..course.claims import VERDICTS, Result, errata, measure_all, select
from ..course.serve import serving
from ..course.site import KNOWN, SiteError, served
from ..course.site import site as write_site
from ..tables import Cell, Column, Table
from . import common
from .common import MissingError, UsageError, in_range

COLOURS = dict(zip(map(str, VERDICTS), ("green", "cyan", "yellow", "red", "magenta"), strict=True))


def declare(commands: common.Commands) -> None:
    """Declare the commands."""
    short = "what the source texts claim, each claim measured by a program"
    parser = common.declare(commands, "claims", claims, short, claims.__doc__)
    add = parser.add_argument
    add("--topic", metavar="NAME", help="only the claims of one file of lessons/claims")
    add("--id", nargs="+", default=[], metavar="C1", help="only these claims")
    about = (
        "only claims at this place of the texts, or with these words: 定理10.10, 权重衰减, dropout"
    )
    add("--find", default="", metavar="TEXT", help=about)
    about = "where the models live that are measured; default numpy"
    add("--backend", choices=("numpy", "cupy"), default="numpy", help=about)
    about = "in so many processes; default: one for each core if there are many claims, on a GPU 1"
    add("--jobs", type=in_range(1, whole=True), metavar="N", help=about)
    add("--no-progress", action="store_true", help="no progress bar")
    add = parser.add_mutually_exclusive_group().add_argument
    about = "also the statement in full, its derivation and where the program is"
    add("--explain", action="store_true", help=about)
    add("--json", action="store_true", help="print a list of JSON objects")
    add("--errata", action="store_true", help="print the corrections to the texts as Markdown")
    short = "the lessons: list them, open one in the browser, run them"
    group = common.declare(commands, "lesson", lesson, short, lesson.__doc__)
    add = group.add_argument
    add("number", type=in_range(0, whole=True), nargs="?", metavar="N", help="which lesson")
    _serves(group)
    add = group.add_mutually_exclusive_group().add_argument
    add("--run", action="store_true", help="measure what it claims, without a browser")
    add("--script", action="store_true", help="print its code as plain Python")
    add("--edit", action="store_true", help="open a copy of it in this folder with marimo")
    about = "write it as a Jupyter notebook; without N all of them, into the folder PATH"
    add("--notebook", type=common.folder, metavar="PATH", help=about)
    about = "the language of the notebook; default en"
    group.add_argument("--lang", choices=("en", "zh"), default="en", help=about)
    short = "two networks trained live, and what moves them"
    _serves(common.declare(commands, "play", play, short, play.__doc__))
    short = "the course as a folder for any web server"
    parser = common.declare(commands, "site", site, short, site.__doc__)
    parser.add_argument("folder", type=common.folder, metavar="DIR", help="where it is written")
    about = "a folder with Pyodide and its NumPy, with which readers run Python in their browser"
    parser.add_argument("--python", type=common.folder, metavar="FOLDER", help=about)


def _serves(parser: argparse.ArgumentParser) -> None:
    """What is asked of whoever opens a page."""
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    port, about = in_range(0, 65536, whole=True), "where it is served; default: one that is free"
    parser.add_argument("--port", type=port, default=0, metavar="P", help=about)


def claims(args: argparse.Namespace) -> int:
    """``minireg claims``: measure the claims of the source texts.

    what is shown
      What the source texts say about regularization, claim by claim, each measured by a
      program in lessons/claims: the statement, the verdict on it, a figure that supports it,
      and the time. A statement that is false or imprecise has a counterexample and a
      correction, both measured.

    examples
      minireg claims                                 all of them
      minireg claims --topic decay
      minireg claims --find 定理10.10                 what stands there, in either language
      minireg claims --id C39 --explain              why, conventions, figures, lines to try
      minireg claims --errata > errata.md            the corrections, as a page
      minireg claims --backend cupy                  the same measured on a GPU
      minireg claims --json | jq '.[] | select(.passed | not)'

    exit code
      0 every figure lies in its range, 1 one does not, 2 no such claim, topic or flag
    """
    common.need(rich="cli")
    common.need_backend(args.backend)
    from rich.progress import track

    try:
        chosen = select(args.topic, args.id, args.find)
    except LookupError as error:
        raise UsageError(error.args[0]) from error
    results, stderr = [], common.console(stderr=True)
    silent = args.no_progress or not stderr.is_terminal
    # to start a process costs as much as some ten claims; on a GPU they would take turns
    worth = min(_cores(), len(chosen) // 10) if args.backend == "numpy" else 1
    with backend.use_backend(args.backend):
        measuring = measure_all(chosen, args.jobs or max(worth, 1))
        bar = {"console": stderr, "transient": True, "disable": silent}
        for result in track(measuring, "measuring", total=len(chosen), **bar):
            results.append(result)
            if args.explain:
                print(result.explain(), end="\n\n")
    if args.json:
        print(json.dumps([r.to_dict() for r in results], indent=1))  # ASCII: fits every stdout
    elif args.errata:
        print(errata(results), end="")
    elif not args.explain:
        common.console().print(_table(results))
    return 0 if all(results) else 1


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _table(results: Sequence[Result]) -> Table:
    """One line per claim with its first figure; for one that failed, all that is wrong."""
    rows = []
    for r in results:
        c, wrong = r.claim, [f"{f!r}" for f in r.figures if not f.passed]
        wrong += [r.error] if r.error else []
        measured = Cell("\n".join(wrong), "bold red") if wrong else Cell(f"{r.figures[0]!r}")
        verdict = Cell(c.verdict.lower(), COLOURS[c.verdict])
        rows.append((c.id, c.statement, verdict, measured, r.seconds))
    found = [r.claim.verdict for r in results]
    counts = ", ".join(f"{found.count(v)} {v.lower()}" for v in VERDICTS if v in found)
    passed = sum(map(bool, results))
    says, seconds = Column("the texts say", spare=2), Column("seconds", ".2f", spare=1)
    title = "claims of the source texts, measured"
    outcome = f"{passed} as the verdict says, {len(results) - passed} not"
    many = "claim" if len(results) == 1 else "claims"
    note = f"{len(results)} {many}: {counts}\n{outcome}; {sum(r.seconds for r in results):.1f} s"
    return Table(["", says, "verdict", "measured", seconds], rows, title, note)


def lesson(args: argparse.Namespace) -> int:
    """``minireg lesson``: list, open or run the lessons.

    what happens
      Without a number the lessons are listed. With one, its page opens in the browser, served to
      this machine alone; Python beside it checks the exercises. What you answer is kept in
      MINIREG_HOME (default: ~/.local/share/minireg). Ctrl-C ends it. With --run a lesson runs
      here and prints what it claims and measured. With --edit it is copied into this folder and
      opened with marimo; a copy that is already there is opened as you left it. With --notebook it is
      written for Jupyter: the picture to draw, cells for the answers and cells that judge them.

    examples
      minireg lesson                                 which there are, and their claims
      minireg lesson 2
      minireg lesson 2 --no-browser --port 8000      on another machine, behind a tunnel
      minireg lesson 2 --run
      minireg lesson 2 --script > decay.py
      minireg lesson --run                           all of them
      minireg lesson 2 --notebook decay.ipynb
      minireg lesson --notebook class --lang zh      all of them, in Chinese, into a folder

    exit code
      0 done, 1 a lesson claims what is not so, or something is missing, 2 no such lesson
    """
    try:
        chosen = shelf.lessons() if args.number is None else [shelf.find(args.number)]
    except LookupError as error:
        raise UsageError(f"{error.args[0]}\n{shelf.table(shelf.lessons())}") from error
    if args.run:
        return _run(chosen)
    if args.notebook:
        return _notebooks(chosen, args)
    if args.number is None:
        if args.script or args.edit:
            raise UsageError("which lesson? as in: minireg lesson 2 --script")
        print(shelf.table(chosen))
        return 0
    (one,) = chosen
    if args.script:
        print(one.script(), end="")
        return 0
    return _edit(one) if args.edit else _open(one.page, args)


def play(args: argparse.Namespace) -> int:
    """``minireg play``: train two small networks in the browser and see what moves them.

    what happens
      A page opens, served to this machine alone. Two networks learn the same points from the same
      start, one plain and one with the penalties that you choose; the ledger of each step is drawn
      as arrows, cause by cause, that close on the step. λ can be changed while it trains, a step be
      taken in slow motion, and all of it be printed as a program. Ctrl-C ends it.

    examples
      minireg play
      minireg play --no-browser --port 8000          on another machine, behind a tunnel

    exit code
      0 done, 1 the port is taken
    """
    return _open("playground.html", args)


def _open(page: str, args: argparse.Namespace) -> int:
    """Show a page until Ctrl-C."""
    try:
        with serving(served, args.port) as server:
            url = server.url(page)
            said = url if args.no_browser else f"{url}\nCtrl-C ends it"
            if not args.no_browser:  # in a thread: a browser in the terminal waits for the page
                threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()
            server.run(lambda: print(said, flush=True))
    except OSError as error:
        raise MissingError(f"cannot serve on port {args.port}: {error.strerror}") from error
    return 0


def _edit(one: shelf.Lesson) -> int:
    """Open the reader's copy with marimo."""
    common.need(marimo="lessons")
    try:
        path, new = shelf.working_copy(one, Path.cwd())
    except ValueError as error:
        raise MissingError(str(error)) from error
    except OSError as error:
        raise MissingError(f"cannot copy the lesson into {Path.cwd()}: {error}") from error
    print(f"{'copied to' if new else 'opening your copy'} {path}; Ctrl-C ends it", flush=True)
    return shelf.edit(path)


def _notebooks(chosen: Sequence[shelf.Lesson], args: argparse.Namespace) -> int:
    """Write lessons for Jupyter: one to a file, all to a folder."""
    common.need(nbformat="lessons")
    target, one = args.notebook, args.number is not None
    if one and target.is_dir():
        file = target / f"{args.number:02}.ipynb"
        raise UsageError(f"{target} is a folder: name a file in it, as in --notebook {file}")
    for lesson in chosen:
        path = target if one else target / f"{lesson.path.stem}.ipynb"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            notebook.write(lesson, path, args.lang)
        except FileExistsError as error:
            there = f"{error.filename} is there already, perhaps with your work: move it first"
            raise MissingError(there) from None
        except OSError as error:
            raise MissingError(f"cannot write {path}: {error.strerror}") from error
        print(path)
    return 0


def _run(chosen: Sequence[shelf.Lesson]) -> int:
    """Run lessons here; after an error in one the others are run all the same."""
    code = 0
    for one in chosen:
        print(f"{one}\n")
        try:
            shelf.run(one)
        except Exception as error:  # the lesson's
            code = 1
            print(f"FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        print()
    return code


def site(args: argparse.Namespace) -> int:
    """``minireg site``: write the course as a folder for any web server.

    what is written
      index.html, a page a lesson, and the font of their formulas.
      claims.html   all claims, to search          texts.html      the five texts, place by place
      errata.html   what the texts have wrong      questions.html  ten, for before and after the course
      glossary.html                                playground.html two networks trained side by side
      book.html     all lessons on one page, to print
      Nothing is fetched from elsewhere, so that it works under any address and without a network.
      A site that is in DIR already is replaced; a folder that holds anything else is refused, but
      for files whose names begin with a dot.

    with --python
      Readers run code and have their exercises judged in the browser. FOLDER is a release of
      Pyodide (https://github.com/pyodide/pyodide/releases, or its core and the wheel of NumPy);
      pyodide-lock.json says which files are taken, and they are verified before they are copied.
      The one that the course is tested with is 0.27.7:
      https://github.com/pyodide/pyodide/releases/download/0.27.7/pyodide-0.27.7.tar.bz2

    examples
      minireg site course
      minireg site course --python pyodide
      python -m http.server --directory course       to look at it: http://localhost:8000/

    exit code
      0 done, 1 DIR cannot be written or is not a site's, or a file of Python is not what it
      should be, 2 a wrong flag
    """
    try:
        written = write_site(args.folder, shelf.lessons(), args.python)
    except SiteError as error:
        raise MissingError(str(error)) from error
    sizes, python = written.files, written.python
    many = f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB"
    print(f"{many} written to {args.folder}: {', '.join(n for n in sizes if n.endswith('.html'))}")
    warning = (
        "without --python nothing can be run on these pages; minireg lesson N shows one with Python"
    )
    if python:
        share = sum(size for name, size in sizes.items() if name.startswith("python/")) / 1e6
        print(f"Python for the browser, {share:.1f} MB of it: Pyodide {python.release}")
        names = ", ".join(python.unverified)
        warning = names and f"not verified, as this is not Pyodide {KNOWN['version']}: {names}"
    print(f"to look at it: python -m http.server --directory {shlex.quote(str(args.folder))}")
    if warning:
        print(f"minireg site: warning: {warning}", file=sys.stderr)
    return 0
