"""``minireg report``: draw the report of runs again, of several folders on one page.

what is shown
  What minireg train has kept in a run folder, as it drew it: figures, curves, shares, who moved
  the weights. Of several folders all runs are compared on one page, each under the path of its
  folder. Of a run that was interrupted there is what it had; minireg train --resume goes on.

examples
  minireg report runs/wine-20261129-130901
  minireg report runs/* --out all.html

exit code
  0 drawn, 1 a folder holds no run or is damaged, or the page cannot be written, 2 a wrong flag
"""

from __future__ import annotations

import argparse
from functools import partial

from ..inspect import report
from . import common
from .common import MissingError, UsageError
from .folder import Kept, whole
from .train import LABELS, about


def declare(commands: common.Commands) -> None:
    """Declare the command."""
    short = "draw the report of runs again, of several on one page"
    parser = common.declare(commands, "report", draw, short, __doc__)
    add = parser.add_argument
    add("run", type=common.folder, nargs="+", metavar="RUN", help="a folder of minireg train")
    about = "where the page is written; default report.html in the folder, if it is one"
    add("--out", type=common.folder, metavar="FILE", help=about)


def draw(args: argparse.Namespace) -> int:
    """``minireg report``."""
    folders = [*{path.resolve(): path for path in args.run}.values()]
    if args.out is None and len(folders) > 1:
        raise UsageError("of several folders there is one page; say where, --out FILE")
    common.need(matplotlib="viz", safetensors="io")
    found = {path: Kept.of(path) for path in folders}
    for path, kept in found.items():
        if not kept.runs:
            raise MissingError(f"no run has ended in {path}; go on: minireg train --resume {path}")
    runs, options = found[folders[0]].runs, about(found[folders[0]].settings)
    if len(found) > 1:
        runs = {
            f"{p}: {label}": run for p, kept in found.items() for label, run in kept.runs.items()
        }
        commands = "\n".join(kept.settings.command for kept in found.values())
        options = {"title": f"minireg report: {len(found)} folders", "command": commands}
    if left := [str(p) for p, kept in found.items() if not all(map(kept.ended, LABELS))]:
        options["note"] = f"Not finished: {', '.join(left)}; go on with minireg train --resume."
    out = args.out or folders[0] / "report.html"
    try:
        whole(partial(report, runs=runs, **options))(out)
    except OSError as error:
        raise MissingError(f"cannot write {out}: {error.strerror or error}") from error
    print(f"written to {out}")
    return 0
