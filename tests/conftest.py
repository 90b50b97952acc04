"""Fixtures shared by all tests, and a guard against tests that leak global state."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minireg as mr
from minireg.ops import table as ops_table


def pytest_configure(config: pytest.Config) -> None:
    """With MINIREG_REQUIRE_ORACLES=1 a missing oracle is an error instead of a skip."""
    if os.environ.get("MINIREG_REQUIRE_ORACLES") == "1":
        missing = [m for m in ("torch", "sklearn") if importlib.util.find_spec(m) is None]
        if missing:
            raise pytest.UsageError(
                f"MINIREG_REQUIRE_ORACLES=1 but {', '.join(missing)} cannot be imported"
            )


@pytest.fixture
def rng() -> np.random.Generator:
    """A random generator that is the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture
def table() -> Iterator[dict[str, Any]]:
    """The table of ops; what a test enters is taken out again."""
    ops, answers = dict(ops_table.TABLE), dict(ops_table.NUMPY)
    yield ops_table.TABLE
    for now, before in ((ops_table.TABLE, ops), (ops_table.NUMPY, answers)):
        now.clear()
        now.update(before)


@pytest.fixture(autouse=True)
def leaves_no_trace() -> Iterator[None]:
    """A test must put back whatever global state it changes."""
    before = mr.is_grad_enabled(), mr.get_backend(), set(ops_table.TABLE)
    yield
    after = mr.is_grad_enabled(), mr.get_backend(), set(ops_table.TABLE)
    assert after == before, "recording mode, default backend or op table changed"
