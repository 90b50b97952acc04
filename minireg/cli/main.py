"""The command line: ``minireg train``, ``sweep``, ``compare``, ``report``, ``check-penalty``, ``claims``,
``lesson``, ``play``, ``site``, ``ops``, ``info``.

Exit codes: 0 done, 1 something is missing, failed or found wrong, 2 a wrong flag or value,
130 Ctrl-C.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import sys
from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..tables import WORDS
from . import check, compare, course, info, report, sweep, train
from .common import MissingError, Parser, UsageError, printing


def parser() -> Parser:
    """The parser of all commands; each file declares its own."""
    found = Parser(prog="minireg", description="See what each regularizer does to a gradient.")
    found.add_argument("--version", action="version", version=f"minireg {__version__}")
    commands = found.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for group in (train, sweep, compare, report, check, course, info):
        group.declare(commands)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``minireg`` command; returns the exit code."""
    _open_streams()
    command, problem, code = "minireg", "", 0
    try:
        try:
            args = parser().parse_args(argv)
            if args.command is None:
                parser().print_help()
                return 0
            command = f"minireg {args.command}"
            return int(args.execute(args))
        finally:
            with printing():  # what stdout still holds
                pass
    except BrokenPipeError:  # the reader went away: nothing more to say
        return 0
    except UsageError as error:
        parser().exit(2, f"{command}: {error} (see {command} --help)\n")
    except KeyboardInterrupt as error:
        problem, code = f"interrupted{error}", 130
    except OSError as error:
        problem, code = f"{error.filename or 'output'}: {error.strerror or error}", 1
    except MissingError as error:
        problem, code = " ".join(str(error).splitlines()), 1
    with contextlib.suppress(OSError):
        print(f"{command}: {problem}", file=sys.stderr)
    return code


def _open_streams() -> None:
    """Make stdout and stderr fit to print on: there, and with words for what their encoding lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # started without one
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="minireg")  # a λ that the encoding lacks is no traceback


def _in_words(error: Any) -> tuple[str, int]:
    """What takes the place of signs that an encoding lacks."""
    words = error.object[error.start : error.end].translate(WORDS)
    return words.encode("ascii", "replace").decode(), error.end


codecs.register_error("minireg", _in_words)


if __name__ == "__main__":
    sys.exit(main())
