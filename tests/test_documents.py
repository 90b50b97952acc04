"""What the pages for contributors say is so: rooms, imports, counts, the printed kernel, and paths;
and README says the same in both languages."""

import ast
import contextlib
import io
import keyword
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {
    name: (ROOT / name).read_text("utf-8") for name in ("CONTRIBUTING.md", "docs/architecture.md")
}
ARCHITECTURE = PAGES["docs/architecture.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(language: str = "") -> list[str]:
    """The code blocks of the page in a language."""
    return [text for found, text in FENCE.findall(ARCHITECTURE) if found == language]


def test_the_tree_shows_every_room():
    tree = re.findall(r"^  (\w+(?:\.py|/))  ", blocks()[0], re.M)
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "minireg").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert sorted(tree) == sorted(rooms - {"__init__.py", "__main__.py"})


def test_the_order_of_imports_is_that_of_the_house():
    house = (ROOT / "tests" / "test_house.py").read_text("utf-8")
    (order,) = re.findall(r'^ORDER = """(.*?)"""', house, re.M | re.S)
    assert blocks()[1].split() == order.split()


def test_the_printed_kernel_is_what_the_code_prints():
    (program,) = (text for text in blocks("python") if "kernel_source" in text)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    assert blocks("c") == [printed.getvalue()]


def test_the_counts_of_a_step_are_about_so():
    """To a third, so that a small change of the code leaves the page alone."""
    walk = runpy.run_path(str(ROOT / "tools" / "walk.py"))["walk"]
    rows = dict(re.findall(r"^\| (.+?) \| (\d+) \| \d+ \| \d+ \|", ARCHITECTURE, re.M))
    found = {part: len(calls) for part, calls in walk()}
    assert rows.keys() == found.keys(), "run python tools/walk.py and take its table"
    off = {part: (rows[part], n) for part, n in found.items() if abs(int(rows[part]) - n) > n / 3}
    assert not off, "run python tools/walk.py and take its table"


def test_a_step_walks_through_few_files():
    """What a reader has to open: twelve files for a forward, eight for a step."""
    walk = runpy.run_path(str(ROOT / "tools" / "walk.py"))["walk"]
    files = {part: {file for file, _ in calls} for part, calls in walk()}
    assert len(files) == 7
    for part, opened in files.items():
        assert len(opened) <= (12 if part.startswith("forward") else 9), (part, opened)
    assert max(len(opened) for part, opened in files.items() if part.startswith("step")) <= 8


def names(text: str) -> set[str]:
    """What Python source calls by a name, outside of comments and strings."""
    return {
        getattr(node, field)
        for node in ast.walk(ast.parse(text))
        for field in ("id", "attr", "name", "arg", "module")
        if isinstance(getattr(node, field, None), str)
    }


def test_every_word_that_is_a_name_is_in_the_code():
    files = [*(ROOT / "minireg").rglob("*.py")]
    known = {path.stem for path in files} | {path.parent.name for path in files}
    known = known.union(*(names(path.read_text("utf-8")) for path in files))
    rows = re.findall(r"^\| .* \|$", ARCHITECTURE.partition("## Words")[2], re.M)
    said = {name for row in rows for code in re.findall(r"`([^`]+)`", row)
            for name in re.findall(r"[A-Za-z_]\w*", code)}  # fmt: skip
    assert len(said) > 30
    lost = sorted(name for name in said - known if not keyword.iskeyword(name))
    assert not lost, f"the words of docs/architecture.md have names that the code lacks: {lost}"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page):
    text = PAGES[page]
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert not [link for link in links if not ((ROOT / page).parent / link).exists()]
    paths = re.findall(r"`([\w/.]+/[\w.]*\.(?:py|pyi|cu|md|txt|gz))`", text)
    assert paths
    missing = [
        p
        for p in paths
        if "NN_" not in p and not ((ROOT / p).exists() or (ROOT / "minireg" / p).exists())
    ]
    assert not missing


def test_every_test_that_contributing_names_is_there():
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", PAGES["CONTRIBUTING.md"])
    assert named
    assert not [name for name in named if f"def {name}(" not in tests]


def test_every_table_that_contributing_names_is_there():
    paths = r"`[\w/.]+\.py`"
    said = (
        rf"`(_?[A-Z]+(?:_[A-Z]+)*)`\s(?:in\s|of\s|\()({paths}(?:(?:,|\sand|\sand\sin)\s{paths})*)"
    )
    named = [
        (name, path)
        for name, found in re.findall(said, PAGES["CONTRIBUTING.md"])
        for path in re.findall(r"[\w/.]+\.py", found)
    ]
    assert len(named) > 25
    missing = [
        (name, path)
        for name, path in named
        if not re.search(rf"^{name}\b.* = ", (ROOT / path).read_text("utf-8"), re.M)
    ]
    assert not missing


# --- README in two languages ----------------------------------------------------------------------

#: What has to be the same in both, and how a text gives it.
ALIKE = {
    "code": lambda text: [
        (language, [re.sub(r"\s+# .*", "", line) for line in code.splitlines()])
        for language, code in FENCE.findall(text)
    ],
    "levels of headings": lambda text: re.findall(r"^#+(?= )", FENCE.sub("", text), re.M),
    "pictures": lambda text: re.findall(r"!\[[^]]{9,}\]\((.+?)\)", text),
    "links": lambda text: [
        link for link in re.findall(r"(?<!!)\[[^]]+\]\((.+?)\)", text) if "README" not in link
    ],
    "names in code": lambda text: [
        word for name in re.findall(r"`([^`]+)`", FENCE.sub("", text)) for word in name.split()
    ],
    "numbers of tables": lambda text: [
        re.findall(r"\d+(?:\.\d+)?", row) for row in re.findall(r"^\|.*\|$", text, re.M)
    ],
    "cells of tables": lambda text: [
        len(re.findall(r"(?<!\\)\|", row)) for row in re.findall(r"^\|.*\|$", text, re.M)
    ],
}


@pytest.fixture(scope="module")
def readmes():
    return [(ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md")]


@pytest.mark.parametrize("what", ALIKE)
def test_readme_has_the_same_in_both_languages(readmes, what):
    """Code without its comments, and in the order of the text; doctests of both are run."""
    english, chinese = map(ALIKE[what], readmes)
    assert english
    assert chinese == english


def test_readme_leads_to_its_other_language_in_its_first_lines(readmes):
    english, chinese = (text.splitlines()[:4] for text in readmes)
    assert "[中文](README.zh.md)" in english
    assert "[English](README.md)" in chinese


def test_readme_is_chinese_as_it_is_written(readmes):
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", FENCE.sub("", readmes[1]))
    han = "[\u4e00-\u9fff]"
    assert not re.findall(rf"{han}[,;:!?]|[，。；：、（][，。；：、]", text)
    assert not re.findall(rf"{han}[A-Za-z0-9]|[A-Za-z0-9]{han}", text)
