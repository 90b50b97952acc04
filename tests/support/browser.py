"""What is tested in a real browser: the package's wheel, a folder served, Chromium, Python in it.

Every test of a page or of Pyodide goes through here, so that all skip for the same reasons, and
fail for them where nothing may be missing (``MINIREG_REQUIRE_ORACLES=1``). The fixtures ``wheel``,
``runtime`` and ``chromium`` of ``tests/conftest.py`` are these functions::

    @pytest.mark.slow
    def test_a_page(chromium, tmp_path):
        ...                                              # write a site into tmp_path
        with served(tmp_path) as url, visit(chromium, url) as page:
            assert page.title()                          # a playwright Page

``visit`` fails a test whose page asks for anything but its own files, writes to the console or
raises an error. :func:`write_python` makes a page with Python in a Web Worker, :func:`ask` runs
code there.
"""

from __future__ import annotations

import importlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"  # where Debian's package puts it
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
RUNTIME = (
    "pyodide.mjs pyodide.asm.js pyodide.asm.wasm python_stdlib.zip pyodide-lock.json numpy-*.whl"
)


def missing(what: str) -> NoReturn:
    """Skip a test for want of something, or fail it where all has to be there."""
    if os.environ.get("MINIREG_REQUIRE_ORACLES") == "1":
        pytest.fail(f"MINIREG_REQUIRE_ORACLES=1 but {what}", pytrace=False)
    pytest.skip(what)


def runtime() -> Path:
    """The folder with Pyodide's runtime, its lock file and the wheel of NumPy for it."""
    given = os.environ.get("MINIREG_PYODIDE")
    if not given:
        missing("MINIREG_PYODIDE names no folder with Pyodide (https://pyodide.org) and its NumPy")
    folder = Path(given).resolve()
    absent = [name for name in RUNTIME.split() if not any(folder.glob(name))]
    if absent:
        missing(f"MINIREG_PYODIDE={given} lacks {', '.join(absent)}")
    return folder


def build_wheel(folder: Path) -> Path:
    """The package of this checkout as pip would install it."""
    try:
        wheel = importlib.import_module("hatchling.builders.wheel")
    except ImportError:
        missing("hatchling, which builds the wheel, is not installed")
    (path,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(path)


@contextmanager
def background(server: Any) -> Iterator[None]:
    """A server of the package, answering while the block runs."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def launched() -> Iterator[Any]:
    """Chromium without a window: a playwright Browser.

    One module of tests at a time: while it is open, asyncio is running in this thread.
    """
    try:
        api = importlib.import_module("playwright.sync_api")
    except ImportError:
        missing("playwright is not installed")
    path = shutil.which("chromium") or CHROMIUM
    if not Path(path).exists():
        missing(f"there is no {CHROMIUM}; on Debian: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL under which a plain web server shows a folder."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:  # a test that fails shall not wait for ever
            server.shutdown()
            thread.join()


@contextmanager
def visit(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """A page, opened; ``options`` are those of ``Browser.new_context`` (viewport, locale …).

    Fails at the end if it asked for what is not its own, wrote to the console or had an error.
    """
    origin = "/".join(url.split("/")[:3])
    said: list[str] = []
    context = browser.new_context(**options)
    page = context.new_page()
    page.on("console", lambda message: said.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    own = (f"{origin}/", "data:", "blob:")
    page.on(
        "request",
        lambda r: None if r.url.startswith(own) else said.append(f"external request: {r.url}"),
    )
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert not said, said


WORKER = """\
import { loadPyodide } from "./python/pyodide.mjs";
const here = name => new URL(name, import.meta.url).href;
const started = (async () => {
  const [python, wheel] = await Promise.all([
    loadPyodide({ indexURL: here("./python/"), packages: ["numpy"] }),
    fetch(here("./minireg.whl")).then(response => response.arrayBuffer()),
  ]);
  python.FS.writeFile("/minireg.whl", new Uint8Array(wheel));
  python.runPython(`
import sys, zipfile
zipfile.ZipFile("/minireg.whl").extractall("/site")
sys.path.insert(0, "/site")`);
  return python;
})();
onmessage = async ({ data }) => {
  try { postMessage({ value: (await started).runPython(data) }); }
  catch (error) { postMessage({ error: String(error) }); }
};
"""
PAGE = """\
<!doctype html><title>Python</title><link rel=icon href=data:,><script>
const worker = new Worker("worker.mjs", { type: "module" });
const ask = code => new Promise((found, failed) => {
  worker.onmessage = ({ data }) => "error" in data ? failed(Error(data.error)) : found(data.value);
  worker.onerror = event => failed(Error(event.message || "the worker did not start"));
  worker.postMessage(code);
});
</script>
"""


def write_python(folder: Path, runtime: Path, wheel: Path) -> None:
    """A site that is Python in a Web Worker, with NumPy and the package; see :func:`ask`."""
    (folder / "python").symlink_to(runtime)
    (folder / "minireg.whl").symlink_to(wheel)
    (folder / "worker.mjs").write_text(WORKER, encoding="utf-8")
    (folder / "index.html").write_text(PAGE, encoding="utf-8")


def ask(page: Any, code: str) -> Any:
    """The value of the last line of code, run on a page of :func:`write_python`: a number, a text.

    What it raises is raised here as playwright's Error.
    """
    return page.evaluate("code => ask(code)", code)
