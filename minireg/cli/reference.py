"""The reference page of the ops, written from the table of derivatives."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from ..ops import COMPOSED, TABLE, Op
from ..tables import Table

HEAD = """\
# Table of derivatives

Made from the code by `minireg ops > docs/ops.md`. $\\bar x$ is the gradient of $x$, $y$ the result
of the op. Where an input was broadcast, the engine sums its gradient back to its shape. The cost is
that of value and gradient, in the size $n$ of the largest array or the axes $m, n, k$ of matrices.
"""
HEADER = ("op", "gradient", "at kinks", "cost", "")


def _row(entry: Op) -> tuple[str, ...]:
    kind = "fused" if entry.definition is not None else ""
    gradient = f"${entry.formula}$" if entry.differentiable else f"none: ${entry.formula}$"
    gradient = gradient.replace("|", r"\vert ")  # a bar would end the cell
    return f"`{entry.name}`", gradient, entry.kink, f"$O({entry.cost})$", kind


def _summary(documented: Any) -> str:
    """The first line of a docstring, as Markdown."""
    return (documented.__doc__ or "").partition("\n")[0].replace("``", "`")


def _family(entry: Op) -> str:
    return entry.function.__module__


def reference() -> str:
    """Markdown page of every op, large families first: gradient, choice at kinks, cost, fused.

    Functions composed from ops follow, with their summaries.

    >>> print(reference().splitlines()[0])
    # Table of derivatives
    """
    page = [HEAD]
    for family, _ in Counter(map(_family, TABLE.values())).most_common():
        heading = _summary(sys.modules.get(family)).rstrip(".") or family
        rows = [_row(entry) for entry in TABLE.values() if _family(entry) == family]
        page += [f"## {heading}\n", Table(HEADER, rows).markdown() + "\n"]
    composed = [(f"`{name}`", _summary(f)) for name, f in COMPOSED.items()]
    page += ["## Composed of these\n", Table(("function", "what it gives"), composed).markdown()]
    return "\n".join(page) + "\n"
