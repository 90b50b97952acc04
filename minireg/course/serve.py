"""serve: pages on this machine, for its user alone, with Python beside them.

:class:`Server` shows files and takes requests on 127.0.0.1; :class:`Python` runs what a reader
wrote in a process of its own; :class:`Answers` keeps it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ..checkpoint import replacing
from .answers import LIMITS
from .claims import HERE

File = tuple[str, bytes]  # content type, content
MOST = 1_000_000  # bytes of a request
POLICY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Server(ThreadingHTTPServer):
    """Files and requests on 127.0.0.1.

    Parameters
    ----------
    file : path → its type and content, or None if there is none; without a token, it is no secret.
    ask : name → function of a request (plain data) that gives a reply; ``POST /name`` calls it for
        pages that know the token.
    port : by default one that is free. ``OSError`` if it is taken.

    A page gets the token in the address that :meth:`url` gives, and sends it in a header. A request
    under another name than this machine's, as DNS rebinding makes it, or from another page is
    refused (403).
    """

    daemon_threads = True

    def __init__(
        self,
        file: Callable[[str], File | None],
        ask: Mapping[str, Callable[[Any], Any]],
        port: int = 0,
    ) -> None:
        self.token = secrets.token_urlsafe(16)
        self.file, self.ask = file, ask
        super().__init__(("127.0.0.1", port), Handler)

    def url(self, path: str) -> str:
        """The address of a page, with the token."""
        return f"http://127.0.0.1:{self.server_port}/{path}?token={self.token}"

    def run(self, begun: Callable[[], object]) -> None:
        """Serve until Ctrl-C, or until the process is asked to end or its terminal closes.

        ``begun`` is called first, when a signal would already end it.
        """

        def stop(*_: Any) -> None:
            raise KeyboardInterrupt

        ends = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
        before = [signal.signal(end, stop) for end in ends]
        try:
            with self, contextlib.suppress(KeyboardInterrupt):
                begun()
                self.serve_forever()
        finally:
            for end, handler in zip(ends, before, strict=True):
                signal.signal(end, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader who went away is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One request to a :class:`Server`."""

    server: Server
    timeout = 60
    wbufsize = -1  # a reply goes in one piece: its end would wait until its head is confirmed

    def do_GET(self) -> None:
        """Send a file."""
        if self._foreign():
            return
        found = self.server.file(self.path.partition("?")[0].lstrip("/"))
        self._send(200, *found) if found else self._fail(404, "there is no such page")

    def do_POST(self) -> None:
        """Answer a request."""
        if self._foreign():
            return
        if not secrets.compare_digest(self.headers.get("X-Token", ""), self.server.token):
            self._fail(403, "open the address that minireg printed: it holds the key")
            return
        ask = self.server.ask.get(self.path.lstrip("/"))
        if ask is None:
            self._fail(404, "nobody answers this")
            return
        try:
            size = int(self.headers.get("Content-Length", "0"))
            if not 0 <= size <= MOST:
                raise ValueError(f"a request has at most {MOST:,} bytes, got {size:,}")
            request = json.loads(self.rfile.read(size) or "null")
        except ValueError as error:
            self._fail(400, str(error))
            return
        self._json(200, ask(request))

    def _foreign(self) -> bool:
        """Refuse what was asked under another name or by another page."""
        port = self.server.server_port
        own = [f"127.0.0.1:{port}", f"localhost:{port}"]
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host in own and origin in (None, f"http://{host}"):
            return False
        self._fail(403, "only pages of this server may ask")
        return True

    def _fail(self, code: int, why: str) -> None:
        self._json(code, {"error": why})

    def _json(self, code: int, reply: Any) -> None:
        self._send(code, "application/json", json.dumps(reply).encode())

    def _send(self, code: int, kind: str, content: bytes) -> None:
        self.send_response(code)
        for name, value in {**POLICY, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is the reader's."""


class Python:
    """Python in a process of its own, which answers one request after the other.

    It is killed when a request takes longer than its limit or :meth:`stop` is called, and started
    again. Use it as a context: at the end of the block it ends, and it ends by itself when this
    process is killed.
    """

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.process: subprocess.Popen[str] | None = None
        self.killed = False

    def __enter__(self) -> Python:
        threading.Thread(target=self.ask, daemon=True).start()  # ready when the first reader asks
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        with self.turn:
            self._close()

    def ask(self, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Its reply; ``{"stopped": True, "printed": text}`` if it was killed.

        Without a request it is only started.
        """
        with self.turn:
            if self.process is None or self.process.poll() is not None:
                self._start()
            if request is None or self.process is None:
                return {}
            self.killed = False
            clock = threading.Timer(LIMITS.get(str(request.get("do")), 5), self.stop)
            clock.start()
            with contextlib.suppress(OSError):  # it has died: then it says nothing
                print(json.dumps(request), file=self.process.stdin, flush=True)
            printed = ""
            for line in self.process.stdout or ():
                if not line.endswith("\n"):  # killed while it wrote
                    break
                reply = dict(json.loads(line))
                if "heard" not in reply:
                    clock.cancel()
                    return reply
                printed += reply["heard"]
            clock.cancel()
            code = self.process.wait()
            self._start()
            if self.killed:
                return {"stopped": True, "printed": printed}
            return {
                "error": f"Python ended by itself (exit code {code}) and has been started again"
            }

    def stop(self, _: object = None) -> None:
        """Kill it; whoever waits for a reply is told."""
        self.killed = True
        if process := self.process:
            process.kill()
            process.wait()

    def _start(self) -> None:
        self._close()
        # The same package as here, and nothing from the reader's folder (-P).
        path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "minireg.course.answers"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, encoding="utf-8",
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
        if self.process.stdout:
            self.process.stdout.readline()  # ready

    def _close(self) -> None:
        """Close the pipes of a process that has ended."""
        if self.process is not None:
            with contextlib.suppress(OSError):  # it died with a request unread
                self.process.communicate()


class Answers:
    """What the reader answered, in a JSON file: key → plain data.

    The file is written beside and renamed, and read before each change, so that neither a crash nor
    a second page loses anything; what a newer version wrote there stays. One that is no JSON is put
    aside under another name.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.turn = path, threading.Lock()

    def __call__(self, change: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All answers, after those in ``change`` have been replaced."""
        with self.turn:
            found = self._read()
            if change:
                found.update(change)
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(self.path) as temporary:
                    temporary.write_text(json.dumps(found, ensure_ascii=False, indent=1), "utf-8")
            return found

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.path.read_text("utf-8")))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError):
            self.path.replace(self.path.with_suffix(".broken.json"))
            return {}


def home() -> Path:
    """The user's folder of minireg: ``MINIREG_HOME``, or where programs keep their data."""
    if given := os.environ.get("MINIREG_HOME"):
        return Path(given)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "minireg"


@contextlib.contextmanager
def serving(file: Callable[[str], File | None], port: int = 0) -> Iterator[Server]:
    """A server of pages with Python and the reader's answers beside it: ``ask``, ``stop``, ``keep``."""
    with Python() as python:
        keep = Answers(home() / "answers.json")
        yield Server(file, {"ask": python.ask, "stop": python.stop, "keep": keep}, port)
