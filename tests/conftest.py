"""Fixtures shared by all tests, and a guard against tests that leak global state."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import browser

import minireg as mr
from minireg import engine
from minireg.course.lessons import lessons
from minireg.course.site import site
from minireg.ops import table as ops_table


def pytest_configure(config: pytest.Config) -> None:
    """With MINIREG_REQUIRE_ORACLES=1 a missing oracle is an error instead of a skip."""
    if config.getoption("numprocesses", None):  # a process for each core: one thread is its share
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if os.environ.get("MINIREG_REQUIRE_ORACLES") == "1":
        config.option.doctest_ignore_import_errors = False
        oracles = ("torch", "sklearn", "skglm", "tensorboard")
        missing = [m for m in oracles if importlib.util.find_spec(m) is None]
        if missing:
            raise pytest.UsageError(
                f"MINIREG_REQUIRE_ORACLES=1 but {', '.join(missing)} cannot be imported"
            )


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look through it again."""
    gc.collect()
    gc.freeze()


class Tally(dict[str, list[list[float]]]):
    """Function → how far value, gradient and second derivative were off in each case that passed."""

    def __init__(self) -> None:
        self.wrong: set[str] = set()

    @contextmanager
    def comparing(self, name: str) -> Iterator[list[list[float]]]:
        """The cases of a function, which is wrong unless the block ends well."""
        self.wrong.add(name)
        yield self.setdefault(name, [])
        self.wrong.discard(name)

    def __repr__(self) -> str:
        cases = [off for passed in self.values() for off in passed]
        worst = np.max(cases, axis=0, initial=0)
        wrong = " ".join([f"{len(self.wrong)} mismatches", *sorted(self.wrong)])
        return (
            f"{len(cases):,} over {len(self)} functions, {wrong}; worst value {worst[0]:.0e}, "
            f"gradient {worst[1]:.0e}, second {worst[2]:.0e}"
        )


TALLY, NOT_RUN = pytest.StashKey[Tally](), pytest.StashKey[str]()
CHECKS = pytest.StashKey[Counter[bool]]()  # of second derivatives: how many were right, and wrong


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its count over."""
    tally = session.config.stash.get(TALLY, None)
    if tally is not None and hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = dict(tally), sorted(tally.wrong)
    if (checks := session.config.stash.get(CHECKS, None)) and hasattr(
        session.config, "workeroutput"
    ):
        session.config.workeroutput["checks"] = checks[True], checks[False]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The counts of the workers are joined."""
    if found := getattr(node, "workeroutput", {}).get("tally"):
        whole = node.config.stash.setdefault(TALLY, Tally())
        cases, wrong = found
        for name, passed in cases.items():
            whole.setdefault(name, []).extend(passed)
        whole.wrong.update(wrong)
    if found := getattr(node, "workeroutput", {}).get("checks"):
        right, wrong = found
        node.config.stash.setdefault(CHECKS, Counter()).update({True: right, False: wrong})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A report keeps keywords, among them the folder tests/gpu, but not which of them are marks."""
    report = yield
    report.needs_gpu = item.get_closest_marker("gpu") is not None
    return report


def _needs_gpu(test: Any) -> bool:
    """Of a report, or of an item that was deselected; False for a module skipped as a whole."""
    if isinstance(test, pytest.Item):
        return test.get_closest_marker("gpu") is not None
    return getattr(test, "needs_gpu", False)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How many drawn cases were compared with PyTorch, and how far off the worst was."""
    if TALLY in config.stash:
        terminalreporter.write_line(f"drawn oracle cases: {config.stash[TALLY]}")
    if CHECKS in config.stash:
        checks = config.stash[CHECKS]
        terminalreporter.write_line(
            f"second derivatives from some inputs: {checks.total():,} checks, {checks[False]} wrong"
        )
    gpu = {
        outcome: [t for t in terminalreporter.stats.get(outcome, ()) if _needs_gpu(t)]
        for outcome in ("skipped", "deselected")
    }
    if not_run := sum(map(len, gpu.values())):
        reason = gpu["skipped"][0].longrepr[2] if gpu["skipped"] else "deselected"
        config.stash[NOT_RUN] = (
            f"gpu tests not run: {not_run:,} ({reason.removeprefix('Skipped: ')})"
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line says what a run without a GPU leaves untested."""
    if NOT_RUN in config.stash:
        print(config.stash[NOT_RUN])


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """Where the tests against PyTorch count their drawn cases."""
    return pytestconfig.stash.setdefault(TALLY, Tally())


@pytest.fixture(scope="session")
def checks(pytestconfig: pytest.Config) -> Counter[bool]:
    """Where the law of second derivatives counts what it found right and wrong."""
    return pytestconfig.stash.setdefault(CHECKS, Counter())


@pytest.fixture(scope="session")
def runtime() -> Path:
    """The folder with Pyodide (``MINIREG_PYODIDE``)."""
    return browser.runtime()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a wheel, built once."""
    return browser.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def course_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the whole course without Python, written once: to look at, not to change."""
    folder = tmp_path_factory.mktemp("course")
    site(folder, lessons())
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window, for the tests of one file."""
    with browser.launched() as found:
        yield found


@pytest.fixture(scope="module")
def expect() -> Iterator[Any]:
    """Playwright's ``expect``, which waits as long as its clicks do: two cores are shared by all tests."""
    found = pytest.importorskip("playwright.sync_api").expect
    found.set_options(timeout=30_000)
    yield found
    found.set_options(timeout=5_000)


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


@pytest.fixture
def forgetful_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the past: a gradient through a fused op forgot the inputs it was not asked for."""

    def replay(node: Any, g: Any, asked: Any) -> Any:
        args, shadows = list(node.args), {}
        for i, p in asked:
            args[i] = shadows[i] = p.reshape(p.shape)
        value = node.op.definition(*args, **node.options)
        found = engine.backprop([value], [g], [*shadows.values()], True, True)
        return {i: found.get(shadow) for i, shadow in shadows.items()}

    monkeypatch.setattr(engine, "_replay", replay)


@pytest.fixture(autouse=True)
def leaves_no_trace() -> Iterator[None]:
    """A test must put back whatever global state it changes."""
    before = mr.is_grad_enabled(), mr.get_backend(), set(ops_table.TABLE)
    yield
    after = mr.is_grad_enabled(), mr.get_backend(), set(ops_table.TABLE)
    assert after == before, "recording mode, default backend or op table changed"
