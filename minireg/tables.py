"""tables: one Table, written as plain text, as Markdown, as HTML or for a rich terminal.

A table is data: columns say how their cells are written, rows hold the values. Text and rich show
title and note; Markdown and HTML do not, as they become part of a page that has headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Rows = Iterable[Iterable[object]]

#: For terminals, whose encoding may lack typographic signs: a minus is never lost.
ASCII = str.maketrans({"−": "-", "\xa0": " ", "“": '"', "”": '"'})
#: Signs that the encoding of a stream lacks, in words.
WORDS = ASCII | str.maketrans({
    "λ": "lambda", "η": "eta", "μ": "mu", "σ": "sigma", "γ": "gamma", "ε": "epsilon", "π": "pi",
    "½": "1/2 ", "Δ": "Delta", "‖": "||", "²": "^2", "₀": "_0", "₁": "_1", "₂": "_2", "ᵀ": "^T", "√": "sqrt ",
    "Σ": "sum ", "Π": "product ", "≤": "<=", "≥": ">=", "×": "x", "·": "*", "–": "-", "…": "...",
})  # fmt: skip
WRAPPED = 12  # cells of text wrap down to columns of this width, or of their longest word


def number(value: float | None, spec: str = "") -> str:
    """A number as tables show it: by a format ``spec``, "–" for None.

    A ``spec`` without precision ("", "+", "%", "+%") gives three decimals (below 0.1 three
    significant digits, if these differ) or one of a percentage; and an exponent where these would
    all be 0. ``ValueError`` for a ``spec`` that Python does not know.

    >>> number(0.25), number(-2e-7), number(0.25, "+"), number(0.25, ".1%"), number(None)
    ('0.250', '-2.0e-07', '+0.250', '25.0%', '–')
    >>> number(0.0025), number(-0.01234), number(0.05)
    ('0.0025', '-0.0123', '0.050')
    >>> number(0.25, "%"), number(-4.1e-4, "+%"), number(-2e-7, "+%")
    ('25.0%', '-0.041%', '-2e-05%')
    """
    if value is None:
        return "–"
    if spec not in ("", "+", "%", "+%"):
        return f"{value:{spec}}"
    unit = "%" if "%" in spec else ""
    shown, decimals = (100 * value, 1) if unit else (value, 3)
    if not unit and 0.5e-3 <= abs(value) < 0.1 and round(value, 3) != float(f"{value:.3g}"):
        kind = ".3g"
    elif value == 0 or 0.5 * 10.0**-decimals <= abs(shown) < 1e6:
        kind = f".{decimals}f"
    else:
        kind = ".2g" if unit else ".1e"
    return f"{shown:{spec.strip('%')}{kind}}{unit}"


def typeset(figure: str) -> str:
    """A figure as it is printed: with a minus sign, and a space before the percent sign.

    >>> typeset("-2.5%")
    '−2.5\xa0%'
    """
    return re.sub(r"(?<=\d)%", "\xa0%", figure.replace("-", "−"))


@dataclass(frozen=True)
class Cell:
    """Text with a style for rich; ``cut``: at the right margin, instead of wrapped."""

    text: str
    style: str = ""
    cut: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False)
class Column:
    """The name of a column, and how its cells are written.

    Parameters
    ----------
    name : its heading.
    spec : a format (see :func:`number`), for a column of numbers: its cells are aligned right and
        never wrapped.
    whole : text is never wrapped.
    spare : if not 0, it is left out where a terminal is too narrow, the lowest first.
    """

    name: str
    spec: str | None = None
    whole: bool = False
    spare: int = 0

    @property
    def figures(self) -> bool:
        """Whether its cells are numbers."""
        return self.spec is not None

    @property
    def rigid(self) -> bool:
        """Whether its cells stay on one line."""
        return self.whole or self.figures

    def cell(self, value: object) -> Cell:
        """A value as it is shown; text stays as it is."""
        if isinstance(value, Cell):
            return value
        if self.spec is None or isinstance(value, str):
            return Cell(str(value))
        return Cell(number(value, self.spec))  # type: ignore[arg-type]


class Table:
    """Rows of values under named columns; ``str()`` is plain text.

    Parameters
    ----------
    head : the columns, each a :class:`Column` or, if its cells are text, its name.
    rows : iterables of a value per column; ``ValueError`` for another length.
    title, note : lines above and below.

    >>> table = Table(["term", Column("share", "+.1%")], [("data", 0.75), ("l2", -0.25)])
    >>> print(table)
    term   share
    data  +75.0%
    l2    -25.0%
    >>> print(table.markdown())
    | term | share |
    | --- | --: |
    | data | +75.0% |
    | l2 | -25.0% |
    """

    def __init__(
        self, head: Sequence[Column | str], rows: Rows, title: str = "", note: str = ""
    ) -> None:
        self.columns = [c if isinstance(c, Column) else Column(c) for c in head]
        self.title, self.note = title, note
        self.rows: list[list[Cell]] = []
        for row in rows:
            values = [*row]
            if len(values) != len(self.columns):
                raise ValueError(
                    f"Table: a row must have {len(self.columns)} values, got {len(values)}: "
                    f"{values!r:.80}"
                )
            self.rows.append([c.cell(v) for c, v in zip(self.columns, values, strict=True)])

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def texts(self) -> list[list[str]]:
        """The rows as text."""
        return [[cell.text for cell in row] for row in self.rows]

    def titled(self, title: str, note: str = "") -> Table:
        """The same rows with another title, and with ``note`` before the table's note."""
        notes = filter(None, (note, self.note))
        return Table(self.columns, self.rows, title, "\n".join(notes))

    def text(self) -> str:
        """Plain text; columns without any name have no line for it."""
        lines = [self.names, *self.texts] if any(self.names) else self.texts
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        found = [self.title] if self.title else []
        for line in lines:
            aligned = zip(self.columns, line, widths, strict=True)
            cells = [t.rjust(w) if column.figures else t.ljust(w) for column, t, w in aligned]
            found.append("  ".join(cells).rstrip())
        return "\n".join([*found, self.note] if self.note else found)

    __str__ = __repr__ = text

    def markdown(self) -> str:
        """A Markdown table; cells hold Markdown, in which bars are escaped."""
        rules = ["--:" if column.figures else "---" for column in self.columns]
        lines = [self.names, rules, *self.texts]
        cells = ([re.sub(r"(?<!\\)\|", r"\\|", text) for text in line] for line in lines)
        return "\n".join(f"| {' | '.join(line)} |" for line in cells)

    def html(self) -> str:
        """An HTML table: the first cell of a row is its heading, figures have a class."""
        kinds = [' class="figure"' if column.figures else "" for column in self.columns]
        named = zip(kinds, self.names, strict=True)
        top = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in named)
        body = []
        for row in self.texts:
            shown = zip(self.columns, row, strict=True)
            texts = [escape(typeset(text) if c.figures else text) for c, text in shown]
            cells = [f'<th scope="row">{text}</th>' for text in texts[:1]]
            cells += [f"<td{k}>{text}</td>" for k, text in zip(kinds[1:], texts[1:], strict=True)]
            body.append(f"<tr>{''.join(cells)}</tr>")
        return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table>"

    def rich(self, width: int) -> Any:
        """What rich prints in a terminal of ``width`` columns; ``ImportError`` without rich.

        Text wraps except in rigid columns: where these do not fit, spare columns are left out one
        by one, and the note says which.
        """
        from rich import box
        from rich.console import Group
        from rich.table import Table as Grid
        from rich.text import Text

        shown = self._fitting(width)
        gone = [c.name for c in self.columns if c not in shown]
        tight = sum(max(self._least(c), _width(c.name)) + 2 for c in shown) + 1 > width
        title: Any = {"title": Text(self.title), "title_justify": "left", "title_style": "bold"}
        grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), **title)
        for column in shown:
            name = column.name.replace(" ", "\n") if column.rigid and tight else column.name
            head, least = Text(name.translate(ASCII)), self._least(column)
            kept: Any = {"no_wrap": True, "min_width": least} if column.rigid else {}
            side: Any = "right" if column.figures else "left"
            grid.add_column(head, justify=side, overflow="fold", **kept)
        for row in self.rows:
            cells = [row[self.columns.index(column)] for column in shown]
            grid.add_row(*map(_painted, cells))
        notes = [self.note] if self.note else []
        if gone:
            notes.append(f"too narrow for: {', '.join(gone)}")
        return Group(grid, Text("\n".join(notes) + "\n", style="dim")) if notes else grid

    def __rich_console__(self, console: Any, options: Any) -> Any:
        """How rich's ``print`` shows it."""
        yield self.rich(options.max_width)

    def _least(self, column: Column) -> int:
        """How narrow a column may become."""
        cells = [row[self.columns.index(column)].text for row in self.rows]
        if column.rigid:
            return max(map(_width, [*cells, *column.name.split()]), default=1)
        words = [*" ".join(cells).split(), *column.name.split()]
        return min(WRAPPED, max(map(_width, words), default=1))

    def _fitting(self, width: int) -> list[Column]:
        """The columns that fit into a terminal."""
        shown = [*self.columns]
        for column in sorted((c for c in shown if c.spare), key=lambda c: c.spare):
            if sum(self._least(c) + 2 for c in shown) + 1 > width:
                shown.remove(column)
        return shown


def stacked(tables: Mapping[str, Table]) -> Table:
    """Tables of the same columns as one, with their names before the first cells.

    >>> print(stacked({"plain": Table(["term"], [["data"]]), "on": Table(["term"], [["l2"]])}))
    term
    plain: data
    on: l2
    """
    columns = [column for table in tables.values() for column in table.columns]
    rows = [(f"{label}: {row[0]}", *row[1:]) for label, t in tables.items() for row in t.rows]
    return Table(columns[: len(rows[0])] if rows else (), rows)


def _width(text: str) -> int:
    """The width of text in a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def _painted(cell: Cell) -> Any:
    """A cell as rich's text."""
    from rich.text import Text

    overflow: Any = "ellipsis" if cell.cut else "fold"
    return Text(cell.text.translate(ASCII), cell.style, no_wrap=cell.cut, overflow=overflow)
