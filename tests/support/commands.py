"""Command lines for tests: what is common to several, and what one of them has otherwise."""

from __future__ import annotations


def over(common: list[str], *flags: object) -> list[str]:
    """A command, without those of its flags that others replace: none may come twice.

    >>> over(["train", "--epochs", "2", "--json"], "--epochs", 9)
    ['train', '--json', '--epochs', '9']
    """
    own = [*map(str, flags)]
    kept, flag = [], ""
    for word in common:
        flag = word if word.startswith("--") else flag
        if flag not in own:
            kept.append(word)
    return [*kept, *own]
