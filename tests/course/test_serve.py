"""Pages served on this machine: who may ask, Python that can be stopped, answers that stay."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

import minireg
from minireg.course import answers, serve
from minireg.course.answers import answer
from minireg.course.serve import Answers, Python, Server, home

ROOT = Path(minireg.__file__).parents[1]


# --- who may ask ----------------------------------------------------------------------------------


@pytest.fixture
def server():
    pages = {"02.html": ("text/html", b"<title>two</title>")}
    with Server(pages.get, {"echo": lambda request: {"got": request}}) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def call(server, method, path, body=None, **headers):
    """Status and content; headers may replace Host, which http.client would set by itself."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    content = b"" if body is None else body
    sent = {"Host": f"127.0.0.1:{server.server_port}", "Content-Length": str(len(content))}
    for name, value in (sent | {k.replace("_", "-"): v for k, v in headers.items()}).items():
        connection.putheader(name, value)
    connection.endheaders(content)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, text, response.headers


def test_a_page_is_shown_and_a_request_answered(server):
    status, text, headers = call(server, "GET", "/02.html?token=any")
    assert (status, text) == (200, b"<title>two</title>")
    assert headers["Content-Type"] == "text/html"
    assert headers["Referrer-Policy"] == "no-referrer"  # the address holds the token
    assert server.url("02.html").endswith(f"/02.html?token={server.token}")
    own = f"http://127.0.0.1:{server.server_port}"
    status, text, _ = call(server, "POST", "/echo", b"[1]", X_Token=server.token, Origin=own)
    assert (status, json.loads(text)) == (200, {"got": [1]})


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "", "127.0.0.1:1"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_name_for_this_machine_is_refused(server, method, host):
    """DNS rebinding: a foreign name that leads here."""
    path = {"GET": "/02.html", "POST": "/echo"}[method]
    status, text, _ = call(server, method, path, b"1", Host=host, X_Token=server.token)
    assert status == 403
    assert b"two" not in text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_page_is_refused(server, method, origin):
    path = {"GET": "/02.html", "POST": "/echo"}[method]
    assert call(server, method, path, b"1", Origin=origin, X_Token=server.token)[0] == 403


@pytest.mark.parametrize("token", [{}, {"X_Token": ""}, {"X_Token": "wrong"}])
def test_without_the_token_nothing_is_answered(server, token):
    status, text, _ = call(server, "POST", "/echo", b"1", **token)
    assert (status, json.loads(text)["error"][:16]) == (403, "open the address")


@pytest.mark.parametrize(
    ("path", "body", "length", "status"),
    [("/none", b"1", None, 404), ("/echo", b"{", None, 400), ("/echo", b"", "99999999", 400),
     ("/echo", b"", "-1", 400), ("/echo", b"", "x", 400)],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_said_so(server, path, body, length, status):
    headers = {"Content_Length": length} if length else {}
    found, text, _ = call(server, "POST", path, body, X_Token=server.token, **headers)
    assert found == status
    assert json.loads(text)["error"]


def test_what_is_no_page_is_404(server):
    for path in ("/", "/../../etc/passwd", "/03.html", "//evil.example/02.html"):
        assert call(server, "GET", path)[0] == 404


def test_it_listens_to_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"


# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "printed", "error", "said"),
    [
        ("print(1)\n2 + 2", "1\n4\n", "", ""),
        ("None", "", "", ""),
        ("x = 1", "", "", ""),
        ("", "", "", ""),
        ("x = 1\n1 / 0", "", "ZeroDivisionError: division by zero", "line 2: it divides by 0."),
        ("def f():\n    return y\n\nf()", "", "NameError: name 'y' is not defined", "line 2: "),
        ("x = (", "", "SyntaxError: '(' was never closed", "line 1: "),
        ("exit()", "", "SystemExit", "line 1: "),
    ],
)
def test_lines_are_run(code, printed, error, said):
    found = answer({"do": "run", "code": code})
    assert found["printed"] == printed
    assert found["error"].startswith(error)
    assert found["said"]["en"].startswith(said)
    assert bool(found["said"]["zh"]) == bool(error)


def test_a_function_is_judged_in_its_lesson():
    code = "def left_over(lr, strength, steps):\n    return (1 - lr * strength) ** steps"
    request = {"do": "check", "lesson": 2, "exercise": "left_over", "code": code}
    assert answer(request)["right"]
    wrong = answer(request | {"code": code.replace("1 -", "1 +")})
    assert (wrong["right"], wrong["tried"]) == (False, True)
    assert "decay subtracts" in wrong["said"]["en"]
    assert "no exercise 'none'" in answer(request | {"exercise": "none"})["error"]


def test_printing_without_end_is_cut():
    printed = answer({"do": "run", "code": "for i in range(100_000): print(i)"})["printed"]
    assert printed.endswith("\n… and more")
    assert len(printed) < 11_000
    assert printed.startswith("0\n1\n2\n")
    heard: list[str] = []
    request = {"do": "run", "code": "for i in range(100_000): print(i)"}
    assert answer(request, heard.append)["printed"] == "".join(heard) == printed


def test_a_claim_is_measured_and_an_unknown_request_is_said():
    found = answer({"do": "measure", "claim": "C23"})
    assert found["passed"]
    assert found["figures"]
    assert "no claim 'C999'" in answer({"do": "measure", "claim": "C999"})["error"]
    assert "may ask to" in answer({"do": "destroy"})["error"]
    assert "no lesson 99" in answer({"do": "run", "lesson": 99, "code": "1"})["error"]


# --- Python in a process of its own ---------------------------------------------------------------


def run(python, code):
    return python.ask({"do": "run", "code": code})


def test_it_answers_and_keeps_its_own_stdin_and_stdout():
    with Python() as python:
        assert run(python, "1 + 1")["printed"] == "2\n"
        assert run(python, "input()")["error"].startswith("EOFError")
        assert run(python, "import os; os.write(1, b'no reply')")["printed"] == "8\n"
        assert (
            run(python, "import minireg; minireg.__file__")["printed"].strip("'\n")
            == minireg.__file__
        )
    assert python.process.returncode != 0


def test_an_endless_loop_is_ended_and_the_next_request_answered(monkeypatch):
    monkeypatch.setitem(answers.LIMITS, "run", 0.5)
    with Python() as python:
        assert run(python, "print(1)\nwhile True: pass") == {"stopped": True, "printed": "1\n"}
        monkeypatch.setitem(answers.LIMITS, "run", 20)
        assert run(python, "6 * 7")["printed"] == "42\n"


@pytest.mark.slow
def test_a_request_can_be_stopped_and_a_crash_is_said():
    with Python() as python:
        python.ask()
        threading.Timer(0.3, python.stop).start()
        assert run(python, "while True: pass") == {"stopped": True, "printed": ""}
        assert "exit code 3" in run(python, "import os; os._exit(3)")["error"]
        assert run(python, "'again'")["printed"] == "'again'\n"
        python.stop()  # while nothing runs
        assert run(python, "'and again'")["printed"] == "'and again'\n"


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


PARENT = """\
import sys, threading, time
from minireg.course.serve import Python
python = Python()
python.ask()
print(python.process.pid, flush=True)
threading.Thread(target=python.ask, args=[{"do": "run", "code": sys.argv[1]}], daemon=True).start()
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(99)"])
def test_a_killed_server_leaves_no_python(code, patience):
    command = [sys.executable, "-c", PARENT, code]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as parent:
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    patience(lambda: not alive(child))


@pytest.fixture
def patience():
    """Wait until something holds, at most ten seconds."""

    def until(condition):
        stop = threading.Event()
        for _ in range(200):
            if condition():
                return
            stop.wait(0.05)
        raise AssertionError("it did not come about within 10 s")

    return until


SERVER = """\
from minireg.course.serve import serving
with serving({"a": ("text/plain", b"a")}.get) as server:
    python = server.ask["ask"].__self__
    python.ask()
    server.run(lambda: print(python.process.pid, server.url("a"), flush=True))
print("ended")
"""


@contextmanager
def started():
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SERVER]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, env=env, **pipes) as process:
        try:
            child, url = process.stdout.readline().split()
            yield process, int(child), url
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_it_stops_cleanly(end, patience):
    with started() as (process, child, url):
        assert url.startswith("http://127.0.0.1:")
        process.send_signal(getattr(signal, end))
        said = process.communicate(timeout=20)[0]
    assert (process.returncode, said) == (0, "ended\n")
    patience(lambda: not alive(child))


# --- answers --------------------------------------------------------------------------------------


def test_answers_stay_and_what_is_unknown_too(tmp_path):
    path = tmp_path / "deep" / "answers.json"
    keep = Answers(path)
    assert keep() == {}
    assert not path.parent.exists()
    keep({"2/left_over": {"code": "λ", "tries": 1}})
    assert Answers(path)({"9/of_a_newer_version": [1]}) == {
        "2/left_over": {"code": "λ", "tries": 1}, "9/of_a_newer_version": [1],
    }  # fmt: skip
    keep({"2/left_over": None})
    assert json.loads(path.read_text("utf-8")) == {"2/left_over": None, "9/of_a_newer_version": [1]}
    assert [p.name for p in path.parent.iterdir()] == ["answers.json"]


def test_two_pages_at_once_lose_nothing(tmp_path):
    keep = Answers(tmp_path / "answers.json")
    threads = [
        threading.Thread(target=lambda k=k: [keep({f"{k}/{i}": i}) for i in range(20)])
        for k in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keep()) == 40


@pytest.mark.parametrize("text", ["{", "3", "null", "\udcff"])
def test_a_file_that_is_no_json_is_put_aside(text, tmp_path):
    path = tmp_path / "answers.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    keep = Answers(path)
    assert keep({"2/a": 1}) == {"2/a": 1}
    assert (tmp_path / "answers.broken.json").read_bytes() == text.encode(
        "utf-8", "surrogateescape"
    )


def test_where_they_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIREG_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("MINIREG_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert home() == tmp_path / "data" / "minireg"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(serve.Path, "home", lambda: tmp_path)
    assert home() == tmp_path / ".local" / "share" / "minireg"
