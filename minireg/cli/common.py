"""What the commands share: their parser, types of arguments, errors, and the terminal."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .. import backend


class UsageError(Exception):
    """A wrong flag or value: exit code 2."""


class MissingError(Exception):
    """Something the command needs is not installed or not usable, or failed: exit code 1."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line that names the command, and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print one line and leave."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, except that the command's parser reports unknown arguments itself."""
        self._given: list[argparse.Action] = []
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flag = next((word for word in unknown if word.startswith("-")), "").partition("=")[0]
            hint = near(flag, self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse, except that an unknown command is told of one that is near."""
        if action.dest == "command" and action.choices and value not in action.choices:
            self.error(f"there is no command {value!r}{near(value, action.choices)}")
        super()._check_value(action, value)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """As argparse, except that no value of a flag is lost to a later one."""
        if type(action) is argparse._StoreAction and action.option_strings:
            if action in self._given:
                raise argparse.ArgumentError(action, "given twice")
            self._given.append(action)
        return super()._get_values(action, arg_strings)

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse, except that errors of writing to stdout are raised."""
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Parser]  # generic in the stubs only
Command = Callable[[argparse.Namespace], int]  # runs with the arguments, gives the exit code


def declare(commands: Commands, name: str, run: Command, short: str, about: str | None) -> Parser:
    """Add a command. ``about`` is a docstring: what its first line says after the colon describes
    the command, the rest ends its --help.
    """
    first, _, epilog = inspect.cleandoc(about or "").partition("\n\n")
    described = first.partition(": ")[2]
    parser = commands.add_parser(
        name,
        help=short,
        description=described[:1].upper() + described[1:],
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(execute=run)
    return parser


def near(word: str, names: Iterable[str]) -> str:
    """The hint to a name that is meant, perhaps, or "".

    >>> near("l1", ["L1", "L2"]), near("check", ["check-penalty"]), near("x", ["L1"])
    ('; did you mean L1?', '; did you mean check-penalty?', '')
    """
    lower = {name.lower(): name for name in names}
    hits = difflib.get_close_matches(word.lower(), lower, 1, 0.5)
    return f"; did you mean {lower[hits[0]]}?" if hits else ""


def flag(name: str) -> str:
    """The flag of a setting.

    >>> flag("label_smoothing")
    '--label-smoothing'
    """
    return f"--{name.replace('_', '-')}"


def flags(parser: Any, about: Any) -> Callable[..., Any]:
    """``add_argument`` of a parser or group. The help of a flag is what the docstring of ``about``, a
    function or a class, says of its name, filled in with ``words``.
    """
    found = re.findall(r"^(\w+) : (.+(?:\n    .+)*)", inspect.getdoc(about) or "", re.M)
    said = {name: " ".join(text.split()) for name, text in found}

    def add(name: str, words: Mapping[str, str] = {}, **options: Any) -> None:
        text = said.get(name.lstrip("-").replace("-", "_"), "").format_map(words)
        parser.add_argument(name, help=text, **options)

    return add


def in_range(low: float, high: float = float("inf"), whole: bool = False) -> Callable[[str], float]:
    """An argparse type: a number in [low, high)."""
    kind = "a whole number" if whole else "a number"
    bound = f"≥ {low:g}" if high == float("inf") else f"in [{low:g}, {high:g})"

    def convert(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {kind} {bound}, got {text!r}") from None
        if value == float("inf"):
            raise argparse.ArgumentTypeError(f"must be finite, got {text}")
        if not low <= value < high:
            raise argparse.ArgumentTypeError(f"must be {bound}, got {text}")
        return value

    return convert


def folder(text: str) -> Path:
    """An argparse type: a path that names something."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"expected a folder, got {text!r}")
    return Path(text)


def need(**packages: str) -> None:
    """``MissingError`` unless the packages are there; each comes with an extra of minireg."""
    for package, extra in packages.items():
        if importlib.util.find_spec(package) is None:
            raise MissingError(
                f"needs {package}: pip install 'minireg[{extra}]' (or 'minireg[all]')"
            )


def need_backend(*names: str) -> None:
    """``MissingError`` unless these backends and that of MINIREG_BACKEND can be used."""
    try:
        for name in (backend.get_backend(), *names):
            backend.get(name)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise MissingError(str(error)) from error


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """What is printed inside is written out, or lost if its reader went away; other errors are raised."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:  # what stdout still holds would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def console(**options: Any) -> Any:
    """The terminal of rich; ``BrokenPipeError`` when its reader has ended."""
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Terminal(**options)


def terminal(**options: Any) -> Any:
    """:func:`console`, or None without rich and where the stream is no terminal."""
    found = console(**options) if importlib.util.find_spec("rich") else None
    return found if found and found.is_terminal else None
