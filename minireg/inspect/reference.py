"""The reference page of the ops, written from the table of derivatives."""

from __future__ import annotations

from ..ops import TABLE, Op

HEAD = """\
# Table of derivatives

Made from the code by `minireg ops > docs/ops.md`. $\\bar x$ is the gradient of $x$, $y$ the
result of the op. Where an input was broadcast, the engine sums its gradient back to its shape.
"""


def _row(entry: Op) -> str:
    kind = "fused" if entry.definition is not None else ""
    gradient = f"${entry.formula}$" if entry.differentiable else f"none: ${entry.formula}$"
    cells = (f"`{entry.name}`", gradient.replace("|", r"\lvert "), entry.kink, kind)
    return f"| {' | '.join(cells)} |"


def reference() -> str:
    """Markdown page of every op: name, formula of its gradient, choice at kinks, fused or not.

    >>> print(reference().splitlines()[0])
    # Table of derivatives
    """
    rows = ["| op | gradient | at kinks | |", "| --- | --- | --- | --- |"]
    return "\n".join([HEAD, *rows, *(_row(e) for e in TABLE.values())]) + "\n"
