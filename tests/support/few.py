"""Of many cases the fast part of the tests asks a few, and the slow part the others."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def slow_unless(fast: Callable[..., object], cases: Iterable[Any]) -> list[Any]:
    """The cases for ``pytest.mark.parametrize``; ``fast`` says of one, a tuple spread, whether it is asked
    in the fast part.
    """
    spread = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*each, marks=[pytest.mark.slow] * (not fast(*each))) for each in spread]
