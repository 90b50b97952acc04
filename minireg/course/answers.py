"""answers: what Python says to a page: a function checked, lines run, a claim measured.

The same requests and replies in three places: the page's worker calls :func:`answer` in the
browser; ``python -m minireg.course.answers`` answers JSON, a line each, for
:mod:`minireg.course.serve`.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ..pictures import Say
from .claims import select
from .judge import Printed, check, explain, seen
from .lessons import Opened, find
from .play import DIVERGED, Play, script, show

#: Seconds after which whoever asked ends Python and starts it anew.
LIMITS = {"check": 5, "run": 20, "measure": 120, "play": 20}
CODE = "<answer>"  # as the judge calls it

Hear = Callable[[str], object]


class Heard(Printed):
    """What code prints, told at once: who ends it midway has that much."""

    def __init__(self, hear: Hear) -> None:
        super().__init__()
        self.hear = hear

    def write(self, text: str) -> int:
        """Keep and tell what there is room for."""
        kept = self.tell()
        size = super().write(text)
        if new := self.getvalue()[kept:]:
            self.hear(new)
        return size


def answer(request: Mapping[str, Any], hear: Hear = len) -> dict[str, Any]:
    """The reply to a request of a page; ``error`` in it says what went wrong.

    ``hear`` is called with what lines print, while they run.

    ========================================  ====================================================
    ``{"do": "check", "lesson", "exercise",   :func:`minireg.course.judge.check`
    "code"}``
    ``{"do": "run", "lesson", "code"}``       ``{"printed", "error", "said": {"en", "zh"}}``
    ``{"do": "measure", "claim"}``            :meth:`minireg.course.claims.Result.to_dict`
    ``{"do": "play", "config", "steps",       :func:`minireg.course.play.show`
    "scope", "stage", "all"}``
    ========================================  ====================================================

    >>> answer({"do": "run", "code": "print(2 * 3)"})["printed"].strip()
    '6'
    """
    todo = DO.get(str(request.get("do")))
    if todo is None:
        return {"error": f"a page may ask to {', '.join(DO)}, got {request.get('do')!r}"}
    try:
        return todo(request, hear)
    except Exception as error:  # no such lesson, exercise or claim; a page has to hear of it
        return {"error": f"{type(error).__name__}: {error}"}


def _check(request: Mapping[str, Any], _: Hear) -> dict[str, Any]:
    """Judge what the reader has written."""
    return check(_opened(request["lesson"]).parts, request["exercise"], request["code"])


def _run(request: Mapping[str, Any], hear: Hear) -> dict[str, Any]:
    """Run lines of the reader's; the value of the last is shown as in an interactive session."""
    opened = _opened(request["lesson"]) if "lesson" in request else Opened((), {})
    names = seen(opened.names, opened.parts)
    code, error, said = request["code"], "", Say("", "")
    with contextlib.redirect_stdout(Heard(hear)) as printed:
        try:
            tree = ast.parse(code, CODE)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, CODE, "exec"), names)
            if isinstance(last, ast.Expr):
                sys.displayhook(eval(compile(ast.Expression(last.value), CODE, "eval"), names))
        except BaseException as problem:  # the code is the reader's; SystemExit too
            error = "".join(traceback.format_exception_only(problem)[-1:]).strip()
            said = explain(problem, code, names)
    return {"printed": printed.getvalue(), "error": error, "said": said._asdict()}


def _measure(request: Mapping[str, Any], _: Hear) -> dict[str, Any]:
    """Measure a claim now."""
    (claim,) = select(ids=[request["claim"]])
    return claim().to_dict()


PLAYED: dict[str, Play] = {}  # what playgrounds train, by the page: a second tab has its own
MOST = 8  # of them are kept; a reader has no more open


def _play(request: Mapping[str, Any], _: Hear) -> dict[str, Any]:
    """Train a while, and show what comes of it; or say it as a program."""
    chosen, page = request["config"], str(request.get("page", ""))
    play = PLAYED.pop(page, None) or Play(chosen)
    PLAYED[page] = play  # the last asked for is the last
    if len(PLAYED) > MOST:
        del PLAYED[next(iter(PLAYED))]
    play.change(chosen)
    if request.get("script"):
        return {"script": script(chosen, play.done, play.changed)._asdict()}
    if request.get("restart"):
        play.restart()
    play.steps(max(int(request["steps"]), not play.done))
    shown = show(play, request["scope"], request["stage"], request["all"] or play.diverged)
    if play.diverged:
        said = DIVERGED.format(step=play.done)
        shown |= {"error": said.en, "said": said._asdict()}
    return shown


@cache
def _opened(number: int) -> Opened:
    return find(number).open()


DO: dict[str, Callable[[Mapping[str, Any], Hear], dict[str, Any]]] = {
    "check": _check,
    "run": _run,
    "measure": _measure,
    "play": _play,
}


def main() -> None:
    """Answer JSON from stdin, a line each, on stdout, until stdin ends; before a reply stand lines
    ``{"heard": text}`` with what was printed.

    Stdin is read in a thread of its own, so that the process ends with whoever asked even while a
    loop of the reader's never does; a clock ends it if not even that thread gets its turn.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what code prints past sys.stdout is no reply
    requests, sys.stdin = sys.stdin, io.StringIO()  # input() of the reader's shall take none
    asked: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in requests:
            asked.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()

    def send(reply: Mapping[str, Any]) -> None:
        print(json.dumps(reply), file=replies, flush=True)

    send({})  # ready
    while True:
        request = json.loads(asked.get())
        clock(LIMITS.get(request.get("do"), 0))
        reply = answer(request, lambda text: send({"heard": text}))
        clock(0)
        send(reply)


def clock(seconds: float) -> None:
    """End this process if it is still busy a while after its limit; 0 stops the clock.

    The signal's default action needs no Python, so it ends a long call into C too.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds and seconds + 5)


if __name__ == "__main__":
    main()
