"""The faults of tools/faults.py, planted in memory."""

from __future__ import annotations

import importlib
import inspect
import runpy
from operator import attrgetter
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

FAULTS = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "faults.py"))["FAULTS"]


def functions(source: str, name: str) -> dict[str, CodeType]:
    """The code of all functions and methods by qualified name."""
    found, left = {}, [compile(source, name, "exec")]
    while left:
        for code in left.pop().co_consts:
            if isinstance(code, CodeType) and code.co_flags & inspect.CO_OPTIMIZED:
                found[code.co_qualname] = code
            elif isinstance(code, CodeType):  # the body of a class
                left.append(code)
    return found


def plant(patch: pytest.MonkeyPatch, fault: Any) -> None:
    """Give functions that are there already the code that they have with the fault in their file."""
    module = importlib.import_module(f"minireg.{fault.file[:-3].replace('/', '.')}")
    sound = functions(Path(module.__file__).read_text(encoding="utf-8"), module.__file__)
    for name, code in functions(fault.planted(), module.__file__).items():
        if code != sound[name]:
            function = attrgetter(name)(module)
            patch.setattr(inspect.unwrap(function), "__code__", code)
