"""``minireg check-penalty``: run the battery of checks on a penalty of yours.

what is checked
  value, closed-form gradient, autograd and central differences agree; the subgradient
  inequality; the prox minimises (against search), is optimal, firmly non-expansive and
  the gradient of the Moreau envelope, scales with strength and step; certificates are 0
  where they should be; dtypes; and under every optimizer a step makes the penalty
  smaller. What a penalty does not define does not apply (n/a). Each check measures
  one figure; it is ok up to its limit.

a penalty of your own, in huber.py
  import minireg as mr

  class Huber(mr.penalties.Penalty):
      strength = mr.penalties.Strength()

      def __init__(self, strength):
          self.strength = strength

      def value(self, w):
          size = mr.abs(w)
          return self.strength * mr.where(size < 1, 0.5 * w * w, size - 0.5).sum()

examples
  minireg check-penalty huber.py:Huber --strength 0.3
  minireg check-penalty huber.py:Huber --shape 8 2 5
  minireg check-penalty minireg.penalties:GroupLasso

exit code
  0 nothing is wrong, 1 something is wrong or cannot be loaded, 2 a wrong flag
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

from ..check.penalties import PenaltyReport, check_penalty
from ..penalties import Penalty
from ..tables import Cell, Column, Table
from . import common
from .common import MissingError, UsageError, flags, in_range

COLOURS = {"ok": "green", "wrong": "bold red", "n/a": "dim"}


def declare(commands: common.Commands) -> None:
    """Declare the command."""
    short = "do value, gradient, prox and certificates of a penalty fit together?"
    parser = common.declare(commands, "check-penalty", check, short, __doc__)
    add, count = flags(parser, check), in_range(1, whole=True)
    add("penalty", metavar="WHERE:NAME")
    add("--strength", type=in_range(1e-12), default=0.5, metavar="λ")
    add("--shape", type=count, nargs="+", metavar="N")
    add("--trials", type=count, default=20, metavar="N")


def check(args: argparse.Namespace) -> int:
    """``minireg check-penalty``.

    Attributes
    ----------
    penalty : a module or a file, and a penalty in it: an instance, or a class that takes its strength
    strength : what a class is made with; default 0.5
    shape : of the weight; default: the one the penalty names, mostly 4 3
    trials : random points per check, in addition to those at kinks; default 20
    """
    where, _, name = args.penalty.rpartition(":")
    if not where or not name:
        raise UsageError(
            f"expected WHERE:NAME, such as minireg.penalties:L2 or my.py:Huber, got {args.penalty!r}"
        )
    common.need_backend()
    penalty = _penalty(where, name, args.strength)
    shape = tuple(args.shape) if args.shape else None
    try:
        report = check_penalty(penalty, shape, trials=args.trials)
    except ValueError as error:  # it is 0 everywhere
        raise MissingError(str(error)) from error
    if (terminal := common.terminal()) is None:
        print(report)
    else:
        terminal.print(_table(report, narrow=terminal.width < 100))
    return 0 if report else 1


def _penalty(where: str, name: str, strength: float) -> Penalty:
    """The penalty of a name, made if it is a class."""
    found = getattr(_module(where), name, None)
    if found is None:
        raise MissingError(f"{where} has no {name!r}")
    if callable(found) and not isinstance(found, Penalty):
        try:
            found = found(strength)
        except Exception as error:  # the class is the user's
            raise MissingError(
                f"{name}({strength:g}) cannot be made: {error}; make an instance in a file of yours "
                "and give its name"
            ) from error
    if not isinstance(found, Penalty):
        raise MissingError(f"{where}:{name} is no penalty but {found!r:.60}")
    return found


def _module(where: str) -> Any:
    """A module by name, or the file of one."""
    path = Path(where)
    try:
        if path.suffix == ".py":
            sys.path.insert(0, str(path.resolve().parent))  # as python FILE does
            spec = importlib.util.spec_from_file_location(path.stem, where)
            module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
            sys.modules.setdefault(path.stem, module)  # where dataclasses look
            spec.loader.exec_module(module)  # type: ignore[union-attr]
            return module
        sys.path.insert(0, "")  # as python -m does
        return importlib.import_module(where)
    except Exception as error:  # the code is the user's
        raise MissingError(f"cannot load {where!r}: {type(error).__name__}: {error}") from error


def _table(report: PenaltyReport, narrow: bool) -> Table:
    """One line per check, cut at the right margin; what is wrong is never cut."""
    rows = []
    for f in report.findings:
        wrong = f.verdict == "wrong"
        name = f"{f.check}\n  {f.note}" if wrong and narrow else f.check
        limit = None if f.figure is None else f.limit
        verdict = Cell(f.verdict, COLOURS[f.verdict])
        row = (name, f.figure, limit, verdict, Cell(f.note, cut=not wrong))
        rows.append(row[: 4 if narrow else 5])
    head: list[Column | str] = [
        Column("check", whole=not narrow),
        Column("measured", ".1e"),
        Column("limit", ".0e", spare=1),
        "verdict",
        "what was compared",
    ]
    verdicts = [f.verdict for f in report.findings]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in COLOURS)
    summary = counts if report or "wrong" in verdicts else "nothing applied"
    return Table(head[: 4 if narrow else 5], rows, report.penalty, summary)
