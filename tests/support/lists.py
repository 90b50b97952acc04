"""What a test of a list says: which table wants a row, and which row stands for nothing public."""

from collections.abc import Iterable
from typing import Any


def _names(things: Iterable[Any]) -> list[str]:
    return sorted(getattr(thing, "__name__", str(thing)) for thing in things)


def complete(table: str, listed: Iterable[Any], public: Iterable[Any]) -> None:
    """Assert that everything public has a row in the table."""
    missing = _names(set(public) - set(listed))
    assert not missing, f"add a row to {table} for {missing}"


def exact(table: str, listed: Iterable[Any], public: Iterable[Any]) -> None:
    """Assert that everything public has a row in the table, and nothing else has."""
    listed, public = set(listed), set(public)
    complete(table, listed, public)
    others = _names(listed - public)
    assert not others, f"take out of {table}, as nothing public has the name: {others}"
