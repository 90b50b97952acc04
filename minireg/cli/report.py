"""``minireg report``: draw the report of runs again, of several folders on one page.

what is shown
  What minireg train has kept in a run folder, as it drew it: figures, curves, shares, who moved
  the weights. Of several folders all runs are compared on one page, each named by the settings in
  which they differ, or, where these are the same, by its folder: runs of other seeds are told
  together. The same training, as plain at two λ, is shown once; runs of different data are not
  comparable, which is said. Of a training that Ctrl-C ended there are the epochs that it had
  finished; of one that was killed there is nothing yet, but what had ended before it.
  minireg train --resume goes on with both.

examples
  minireg report runs/wine-20261129-130901
  minireg report runs/* --out all.html

exit code
  0 drawn, 1 a folder holds no run or is damaged, or the page cannot be written, 2 a wrong flag
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from ..inspect import Run, report
from ..inspect.run import incomparable, once
from . import common
from .common import MissingError, UsageError, flag, flags
from .folder import Kept, said_of, whole
from .settings import REGULARIZERS
from .train import LABELS, about


def declare(commands: common.Commands) -> None:
    """Declare the command."""
    short = "draw the report of runs again, of several on one page"
    parser = common.declare(commands, "report", draw, short, __doc__)
    add = flags(parser, draw)
    add("run", type=common.folder, nargs="+", metavar="RUN")
    add("--out", type=common.folder, metavar="FILE")


def draw(args: argparse.Namespace) -> int:
    """``minireg report``.

    Attributes
    ----------
    run : a folder of minireg train
    out : where the page is written; default report.html in the folder, if it is one
    """
    folders = [*{path.resolve(): path for path in args.run}.values()]
    if args.out is None and len(folders) > 1:
        raise UsageError("of several folders there is one page; say where, --out FILE")
    if args.out and args.out.suffix.lower() not in ("", ".html", ".htm"):
        raise UsageError(f"--out: the page is HTML, got {args.out}; write {args.out.stem}.html")
    common.need(matplotlib="viz")
    found = {path: Kept.of(path) for path in folders}
    for path, kept in found.items():
        if not kept.runs:
            raise MissingError(f"no run has ended in {path}; go on: minireg train --resume {path}")
    out = args.out or folders[0] / "report.html"
    runs, options = found[folders[0]].runs, about(found[folders[0]])
    if len(found) > 1:
        runs, options = _of_several(found, out)
        if warning := incomparable(runs):
            print(f"minireg report: warning: {warning}", file=sys.stderr)
    if left := [str(p) for p, kept in found.items() if not all(map(kept.ended, LABELS))]:
        options["note"] += f" Not finished: {', '.join(left)}; go on with minireg train --resume."
    try:
        whole(partial(report, runs=runs, **options))(out)
    except OSError as error:
        raise MissingError(f"cannot write {out}: {error.strerror or error}") from error
    print(f"written to {out}")
    return 0


def _of_several(found: Mapping[Path, Kept], out: Path) -> tuple[dict[str, Run], dict[str, Any]]:
    """The runs of several folders by what sets them apart, and what the page says besides: their data, and
    the settings that differ.
    """
    commands = [kept.settings.command for kept in found.values()]
    commands.append(shlex.join(["minireg", "report", *map(str, found), "--out", str(out)]))
    texts = {path: kept.settings.texts for path, kept in found.items()}
    every = dict.fromkeys(name for of in texts.values() for name in of)
    differ = [n for n in every if len({repr(of.get(n)) for of in texts.values()}) > 1]
    runs = {f"{p}: {k}": run for p, kept in found.items() for k, run in kept.runs.items()}
    runs, same = once(runs)
    called: dict[str, str] = {}
    for path, of in texts.items():
        for label in LABELS:
            without = {"dataset", "data", "seed", *(REGULARIZERS if label == "plain" else ())}
            words = [(flag(n), *of[n]) for n in differ if n in of and n not in without]
            called[f"{path}: {label}"] = " ".join([label, *chain(*words)])
    names = Counter(called[label] for label in runs)
    full = {n: f"{n.rpartition(': ')[0]}: " * (names[called[n]] > 1) + called[n] for n in runs}
    data = dict.fromkeys(said_of(kept.data) for kept in found.values())
    return {full[n]: run for n, run in runs.items()}, {
        "title": f"minireg report: {len(found)} folders",
        "command": "\n".join(commands),
        "settings": {
            f"{n}, {p}": " ".join(of.get(n, "–")) for n in differ for p, of in texts.items()
        },
        "note": " ".join(filter(None, [*data, same])),
    }
