"""report: one HTML file that shows what regularization did to a training.

The file needs nothing but a browser: no script, no network; pictures are inline SVG. Its frame is
``report.html``, its looks ``report.css``, and what it says about each part ``report.md``.
:func:`minireg.inspect.overview` draws the same as one wide picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from ..objective import assignment_table
from ..pictures.plots import gallery, histogram, style
from ..tables import Table, stacked
from . import charts
from .ledger import Ledger, ledger_table
from .run import Runs, check_runs, comparison_table, headline, term_table, unseen_table


def _asset(name: str) -> str:
    """The text of a file in this folder."""
    return files("minireg.inspect").joinpath(name).read_text("utf-8")


def _about(name: str, shown: str) -> str:
    """How to read a part: a paragraph, and what those words mean that are shown."""
    text = escape(_asset("report.md")).partition(f"## {name}\n")[2].partition("\n## ")[0]
    first, *words = re.split(r"^(.+)\n: ", text.strip(), flags=re.MULTILINE)
    meant = zip(words[::2], words[1::2], strict=True)
    there = [one for one in meant if re.search(rf"(?<!\w){re.escape(one[0])}(?!\w)", shown)]
    terms = "".join(f"<dt>{word}</dt><dd>{text.strip()}</dd>" for word, text in there)
    return f"<p>{first.strip()}</p>" + f"<dl>{terms}</dl>" * bool(terms)


def _framed(table: Table) -> str:
    """A table that scrolls within the page; "" without rows."""
    return f"<div>{table.html()}</div>" if table.rows else ""


def _books(ledgers: Mapping[str, Ledger]) -> str:
    """The ledger over the whole training, entry by entry."""
    tables = {}
    for label, ledger in ledgers.items():
        total = ledger.whole
        books = total or ledger.last
        table = ledger_table(books)
        rows = [*table.rows, ("residual of the books", books.residual, None, None)]
        tables[label if total else f"{label}, last step"] = Table(table.columns, rows)
    return _framed(stacked(tables))


def _assignments(runs: Runs) -> str:
    """Which penalty acts on which parameter, for each run; folded if none does."""
    text = ""
    for label, run in runs.items():
        if count := len(run.assignments):
            some = sum(a.penalties != "–" for a in run.assignments)
            name = f"{escape(label)}: penalties on {some} of {count} parameters"
            table = _framed(assignment_table(run.assignments))
            opened = " open" if some else ""
            text += f"<details{opened}><summary>{name}</summary>{table}</details>"
    return text


def _parts(runs: Runs) -> Iterator[tuple[str, str]]:
    """(heading, HTML) of each part about the runs; the HTML is "" where there is nothing."""
    by_run, by_term = charts.looks_of(runs)
    active = {n: run for n, run in runs.items() if run.active}
    several = {n: run for n, run in active.items() if len(run.active) > 1}
    booked = {n: run.ledger for n, run in runs.items() if run.ledger and run.ledger.history}
    yield "In figures", _framed(comparison_table(runs))
    for what, lines in charts.LINES.items():
        shown = {n: {n: run} for n, run in runs.items() if any(map(run.column, lines))}
        curves = partial(charts.curves, what=what, looks=by_run)
        yield what.capitalize(), gallery(what, shown, curves, tied=True)
    for name, what, chosen, draw in (
        ("Share of each term in the gradient", "share", several, charts.shares),
        ("Strength of each term", "gradient norm", active, charts.norms),
        ("Direction of each term", "cosine", several, charts.cosines),
    ):
        yield name, gallery(what, chosen, partial(draw, looks=by_term), tied=True)
    terms = {n: term_table(run) for n, run in runs.items() if run.last}
    yield "The terms in figures", _framed(stacked(terms))
    yield "Who moved the weights", _books(booked)
    layers = {
        f"{n}: layer {layer}": (runs[n], runs[n].moved(f"{layer}/"))
        for n, ledger in booked.items()
        for layer in (ledger.whole or ledger.last).layers()
    }
    yield "Who moved each layer", gallery("share", layers, partial(charts.movers, looks=by_term))
    yield "Weights", gallery("weights", charts.matrices(runs), partial(histogram, looks=by_run))
    yield "Inputs that no unit looks at", _framed(unseen_table(runs))
    yield "What is regularized, and why", _assignments(runs)


def report(
    path: str | Path,
    runs: Runs,
    *,
    title: str = "Training report",
    settings: Mapping[str, object] | None = None,
    command: str | None = None,
    note: str = "",
) -> Path:
    """Write one self-contained HTML file about ``runs``; returns its path.

    Parameters
    ----------
    path : the file, replaced if it exists.
    runs : a :class:`Run` by label (text), one or more.
    title : the headline of the page.
    settings : shown as a table of names and values.
    command : the command line that makes the runs again.
    note : a line below the headline.

    ``TypeError`` unless ``runs`` maps labels to :class:`Run`, ``ImportError`` without matplotlib,
    ``OSError`` where the file cannot be written.

    >>> import tempfile; import minireg as mr
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> mr.report(path, {"plain": mr.Run(mr.History())}).read_text(encoding="utf-8")[:15]
    '<!doctype html>'
    """
    check_runs("report", runs)
    with style("report"):
        parts = [*_parts(runs)]
    parts.append(("Settings", _framed(Table(("setting", "value"), (settings or {}).items()))))
    again = re.sub(r"(?<!\S)--[\w-]+", r"<span>\g<0></span>", escape(command or ""))
    parts.append(("Again", again and f"<pre>{again}</pre>"))  # no flag is broken at its hyphens
    claim = escape(headline(runs))
    sections = [
        f"<section><h2>{name}</h2>{_about(name, claim + html)}{html}</section>"
        for name, html in parts
        if html
    ]
    page = Template(_asset("report.html")).substitute(
        style=_asset("report.css"),
        title=escape(title),
        claim=claim,
        body="".join([f"<p>{escape(note)}</p>", *sections] if note else sections),
    )
    Path(path).write_text(page, encoding="utf-8")
    return Path(path)
