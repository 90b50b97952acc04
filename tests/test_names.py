"""Public names stay: what once could be written ``mr.….name`` still can.

support/public_names.txt holds ``mr.__all__`` and, of each public module found through it, its
``__all__`` (or else the public names it defines), all under the path by which a user reaches them, as
they were before the package was divided into the rooms of test_house.py (commit 3afb38f). A name is
taken out only when it is withdrawn.
"""

import inspect
from operator import attrgetter
from pathlib import Path

import pytest
from support.lists import complete, exact

import minireg as mr

NAMES = (Path(__file__).parent / "support" / "public_names.txt").read_text("utf-8").split()


def missing(names):
    """The names that no longer lead anywhere."""
    gone = []
    for name in names:
        try:
            attrgetter(name.removeprefix("minireg."))(mr)
        except AttributeError:
            gone.append(name)
    return gone


def test_every_public_name_is_still_there():
    assert len(NAMES) == len(set(NAMES)) > 400
    assert not missing(NAMES)


@pytest.mark.parametrize("name", ["minireg.nn.Linea", "minireg.typo", "minireg.nn.Linear.typo"])
def test_a_name_that_is_gone_is_told(name):
    assert missing(["minireg.nn.Linear", name, "minireg.exp"]) == [name]


def test_all_of_today_is_in_the_list():
    """Who adds a name enters it there."""
    complete("tests/support/public_names.txt", NAMES, {f"minireg.{name}" for name in mr.__all__})


@pytest.mark.parametrize("holds", [complete, exact])
def test_a_table_that_lacks_a_row_says_what_to_do(holds):
    holds("ROWS in tests/x.py", ["a", len], ["a", len])
    with pytest.raises(
        AssertionError, match=r"^add a row to ROWS in tests/x.py for \['b', 'len'\]"
    ):
        holds("ROWS in tests/x.py", ["a", "c"], ["a", "b", len])


def test_a_row_for_nothing_public_is_told_where_the_table_is_to_be_exact():
    complete("ROWS", ["a", "b"], ["a"])
    with pytest.raises(AssertionError, match=r"^take out of ROWS, .*: \['b'\]"):
        exact("ROWS", ["a", "b"], ["a"])


MODULES = [
    name for name in NAMES if inspect.ismodule(attrgetter(name.removeprefix("minireg."))(mr))
]


@pytest.mark.parametrize("name", MODULES)
def test_dir_shows_what_a_module_offers_and_nothing_else(name):
    module = attrgetter(name.removeprefix("minireg."))(mr)
    shown = set(dir(module))
    assert shown
    assert not {n for n in shown if n.startswith("_")}
    assert not shown & {"np", "Any", "annotations", "math", "Callable", "dataclass"}
    assert shown >= {n.rpartition(".")[2] for n in NAMES if n.rpartition(".")[0] == name}


def test_dir_of_the_package_shows_its_public_names():
    assert dir(mr) == sorted(mr.__all__)


# --- what help() and editors find -------------------------------------------------------------------

CALLABLE = {
    name: f
    for name in NAMES
    if callable(f := attrgetter(name.removeprefix("minireg."))(mr)) and not inspect.ismodule(f)
}


@pytest.mark.parametrize("name", CALLABLE)
def test_a_public_name_has_an_example(name):
    text = inspect.getdoc(CALLABLE[name]) or ""
    assert ">>> " in text
    assert text.partition("\n")[0].strip(), "its first line says what it gives"


def arguments():
    """(name, annotation) of all arguments of public functions, classes and their methods."""
    for name, f in CALLABLE.items():
        own = vars(f).items() if inspect.isclass(f) and f.__module__.startswith("minireg") else ()
        methods = [m for n, m in own if inspect.isfunction(m) and (n[0] != "_" or n == "__init__")]
        for function in {inspect.unwrap(g) for g in ([f] if not inspect.isclass(f) else methods)}:
            try:
                parameters = inspect.signature(function).parameters
            except ValueError:
                continue
            yield from (
                (f"{name}: {n}", p.annotation) for n, p in parameters.items() if n != "self"
            )


def test_few_arguments_may_be_anything():
    found = list(arguments())
    loose = [name for name, kind in found if kind in ("Any", inspect.Parameter.empty)]
    assert len(found) > 1000
    assert len(loose) <= 50, loose
