"""A table says the same as text, as Markdown, as HTML and in a terminal of any width."""

import io
from html.parser import HTMLParser

import pytest

from minireg.tables import Cell, Column, Table, number

HEAD = [Column("term", whole=True), Column("share of all", "+.1%"), Column("kind", spare=1),
        Column("why it is so", spare=2)]  # fmt: skip
ROWS = [
    ("data", -0.25, "loss", "the mean over all examples of the batch"),
    ("l2", None, "a|b", "<w>"),
]
TABLE = Table(HEAD, ROWS, "who moves", "of the first batch")


def cells_of_html(text: str) -> list[list[str]]:
    found: list[list[str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag == "tr":
                found.append([])
            elif tag in ("td", "th"):
                found[-1].append("")

        def handle_data(self, data):
            found[-1][-1] += data

    Reader().feed(text)
    return found


def printed(table: Table, width: int) -> str:
    rich = pytest.importorskip("rich.console")
    console = rich.Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_every_form_has_every_cell():
    texts = [[c.name for c in HEAD], *TABLE.texts]
    html = [[cell.replace("−", "-").replace("\xa0", "") for cell in row]
            for row in cells_of_html(TABLE.html())]  # fmt: skip
    assert html == texts
    top, rules, *rows = TABLE.markdown().splitlines()
    assert rules == "| --- | --: | --- | --- |"
    assert [line.split(" | ") for line in (top[2:-2], rows[0][2:-2])] == texts[:2]
    lines = str(TABLE).splitlines()
    for line, row in zip(lines[1:-1], texts, strict=True):
        assert " ".join(line.split()) == " ".join(row)
    assert (lines[0], lines[-1]) == ("who moves", "of the first batch")
    wide = printed(TABLE, 200)
    assert all(text in wide for row in texts for text in row)
    assert "who moves" in wide
    assert "of the first batch" in wide


def test_text_stands_in_columns_and_figures_right():
    lines = str(Table(["a", Column("b", ".1f")], [("long", 1.0), ("x", 100.0)])).splitlines()
    assert lines == ["a         b", "long    1.0", "x     100.0"]
    assert str(Table(["", ""], [("a", "b")])) == "a  b"
    assert str(Table(["a", "b"], [])) == "a  b"


def test_figures_stay_whole_and_spare_columns_go_in_turn():
    left_out = []
    for width in range(24, 90):
        text = printed(TABLE, width)
        assert max(map(len, text.splitlines())) <= width
        assert "-25.0%" in text
        left_out.append(" ".join(text.partition("too narrow for: ")[2].split()))
        assert ("loss" in text) == ("kind" not in left_out[-1])
        assert ("<w>" in text) == ("why" not in left_out[-1])
    assert [*dict.fromkeys(left_out)] == ["kind, why it is so", "kind", ""]


def test_a_cell_may_be_cut_or_wrapped_and_has_a_style():
    words = "one two three four five six seven"
    assert "…" in printed(Table(["a"], [[Cell(words, cut=True)]]), 20)
    wrapped = printed(Table(["a"], [[Cell(words, "bold red")]]), 20)
    assert (
        wrapped.split() == ["a", "─" * 18, *words.split()] or words.split() == wrapped.split()[2:]
    )
    assert str(Table(["a"], [[Cell(words, "bold red")]])).splitlines() == ["a", words]


def test_a_terminal_loses_no_minus_whatever_its_encoding():
    text = printed(Table(["a − b", Column("c", "")], [("“x”\xa0−", "−1")]), 60)
    assert "a - b" in text
    assert '"x" -' in text
    assert "-1" in text


def test_numbers_show_what_there_is():
    assert [number(v) for v in (0, 1, 4e-4, 1e6, float("nan"))] == [
        "0.000", "1.000", "4.0e-04", "1.0e+06", "nan",
    ]  # fmt: skip
    assert [number(v) for v in (0.1, 0.0999, 0.0031, -0.0025, 5e-4)] == [
        "0.100", "0.0999", "0.0031", "-0.0025", "0.0005",
    ]  # fmt: skip
    assert number(0.02345, "+") == "+0.0234"
    assert number(None, ".1%") == "–"
    assert Table([Column("a", ".2f")], [["as it is"]]).texts == [["as it is"]]


def test_a_bar_does_not_end_a_cell_of_markdown():
    table = Table(["|x|"], [["a|b"], [r"a\|b"], ["|"]])
    assert table.markdown().splitlines() == [
        r"| \|x\| |", "| --- |", r"| a\|b |", r"| a\|b |", r"| \| |",
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [[], [[]], [[], []]])
def test_a_table_without_columns_has_every_form(rows):
    table = Table([], rows)
    assert table.html().count("<tr></tr>") == 1 + len(rows)
    assert len(table.markdown().splitlines()) == 2 + len(rows)
    assert not str(table).strip()


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"Table: a row must have 2 values, got 1: \['x'\]"):
        Table(["a", "b"], [("x",)])
