"""Claims of the source texts as programs: what a text says, measured.

The claims are in ``lessons/claims``, one file per topic and one function per claim. Such a function
yields figures; each figure names what was measured and the range in which it has to lie:

* :func:`holds`: the statement, or its part that is true, holds;
* :func:`breaks`: a counterexample, where the statement as it stands fails;
* :func:`corrects`: the corrected statement holds;
* :func:`reports`: a figure without a range, where an experiment shows but does not prove.

``minireg claims`` runs them all. What they gave on one machine is in ``lessons/claims/measured.json``,
and what they say in Chinese, why a wrong one seems right and how certain a verdict is, in
``lessons/claims/words.toml``; what each figure is, in Chinese, in ``lessons/claims/figures_zh.toml``.
"""

from __future__ import annotations

import concurrent.futures as futures
import importlib.util
import inspect
import json
import math
import multiprocessing
import os
import re
import signal
import sys
import textwrap
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

from ..backend import get_backend, use_backend
from ..pictures import Say
from ..random import manual_seed
from ..training import passing_interrupts

VERDICTS = ("TRUE", "TRUE-WITH-CONDITIONS", "IMPRECISE", "FALSE AS STATED", "EMPIRICAL")
WRONG = ("IMPRECISE", "FALSE AS STATED")
CERTAINTIES = ("exact identity", "certificate", "statistical", "empirical")  # see words.toml
SOURCES = {
    "000": "chapter 10.3, 正则化对梯度与损失的影响",
    "001": "chapter 9.3, 正则化与归一化",
    "002": "an article on penalties of parameter norms, 参数范数惩罚",
    "003": "an article on L2 and weight decay, 权重衰减",
    "004": "notes on what regularization is, 正则化的本质",
}
ERRATA_HEAD = """\
statements that are imprecise or false as stated. Against each stands a counterexample, and for its
correction a measurement; beside a figure is the range that it has to lie in. Written by
`minireg claims --errata`, which measures all of it; `minireg claims --id C39 --explain` adds the
derivation, the conventions, lines to try and the place of the program. They stand in the order of
the texts, in their own numbering. The course shows why: `minireg lesson` says which lesson measures
which, and `minireg site` makes of these a page in two languages, where each can be measured again.
"""
ROLES = {
    "holds": "the statement, or what is true of it",
    "breaks": "where it fails",
    "corrects": "the corrected statement",
    "reports": "a figure without a range",
}
IMPORTS = "import numpy as np, minireg as mr; P, F = mr.penalties, mr.nn.functional"
HERE = Path(__file__).parents[1]
#: In a wheel the lessons are inside the package, in a checkout next to it.
LESSONS = HERE / "lessons" if (HERE / "lessons").is_dir() else HERE.parent / "lessons"


class Figure(NamedTuple):
    """One measured number, and the range in which it has to lie.

    Attributes
    ----------
    role : a key of :data:`ROLES`.
    what : what was measured.
    value : the number.
    at_most, at_least : the ends of the range, both included; by default there are none.

    >>> Figure("holds", "gradient of ½λ‖w‖² − λw", 2e-16, at_most=1e-12)
    gradient of ½λ‖w‖² − λw: 2e-16 (≤ 1e-12)
    """

    role: str
    what: str
    value: float
    at_most: float = math.inf
    at_least: float = -math.inf

    @property
    def passed(self) -> bool:
        """Whether the value lies in its range; NaN never does."""
        return self.at_least <= self.value <= self.at_most

    @property
    def tolerance(self) -> str:
        """The range as text."""
        low, high = self.at_least, self.at_most
        if low == high:
            return f"exactly {low:.4g}"
        if low > -math.inf and high < math.inf:
            return f"{low:.4g} to {high:.4g}"
        bound = f"≤ {high:.4g}" if high < math.inf else f"≥ {low:.4g}"
        return bound if math.isfinite(low) or math.isfinite(high) else ""

    def said(self, what_zh: str = "") -> Say:
        """It in both languages; what was measured is a formula where no Chinese is given.

        >>> Figure("holds", "|gap − 1|", 0.0, at_most=1e-9).said("|差距 − 1|").zh
        '|差距 − 1|：0（≤ 1e-09）'
        """
        tolerance = self.tolerance.replace("exactly", "恰为").replace(" to ", " 至 ")
        within = f"（{tolerance}）" if tolerance else ""
        return Say(repr(self), f"{what_zh or self.what}：{self.value:.4g}{within}")

    def __repr__(self) -> str:
        tolerance = f" ({self.tolerance})" if self.tolerance else ""
        return f"{self.what}: {self.value:.4g}{tolerance}{'' if self.passed else ' FAILED'}"


def _figure(
    role: str, what: str, value: Any, *, at_most: float = math.inf, at_least: float = -math.inf
) -> Figure:
    value = value.item() if hasattr(value, "item") else value
    return Figure(role, what, float(value), float(at_most), float(at_least))


holds = partial(_figure, "holds")
breaks = partial(_figure, "breaks")
corrects = partial(_figure, "corrects")
reports = partial(_figure, "reports")


@dataclass(frozen=True)
class Result:
    """What running a claim gave; true if every figure is in its range and there is one."""

    claim: Claim
    figures: tuple[Figure, ...]
    seconds: float
    error: str = ""

    @property
    def named(self) -> list[tuple[Figure, str]]:
        """Each figure and what it is in Chinese, "" for a formula."""
        return [*zip(self.figures, chain(self.claim.figures_zh, repeat("")), strict=False)]

    @property
    def passed(self) -> bool:
        """Whether something was measured and every figure lies in its range."""
        return bool(self.figures) and not self.error and all(f.passed for f in self.figures)

    def __bool__(self) -> bool:
        return self.passed

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, as ``minireg claims --json`` prints it."""
        c = self.claim
        return {
            "id": c.id, "topic": c.topic, "title": c.title, "source": c.source,
            "statement": c.statement, "verdict": c.verdict, "corrected": c.corrected,
            "certainty": c.certainty, "title_zh": c.title_zh, "statement_zh": c.statement_zh,
            "corrected_zh": c.corrected_zh, "seems": c.seems and c.seems._asdict(),
            "refutation": c.refutation and c.refutation._asdict(),
            "passed": self.passed, "measured": {f.what: f.value for f in self.figures},
            "figures": [{"role": f.role, "what": f.what, "value": f.value, "tolerance": f.tolerance,
                         "passed": f.passed} for f in self.figures],
            "lessons": c.lessons, "error": self.error, "seconds": round(self.seconds, 4),
        }  # fmt: skip

    def explain(self) -> str:
        """The claim, its correction and derivation, what was measured, and where its program is."""
        c = self.claim
        fill = partial(textwrap.fill, width=96)
        roles = "; ".join(f"{r}: {ROLES[r]}" for r in dict.fromkeys(f.role for f in self.figures))
        measured = [*self._lines(), fill(f"({roles})")] if roles else self._lines()
        parts = {
            "source": fill(c.source), "the text says": _both(Say(c.statement, c.statement_zh)),
            "why it seems right": _both(c.seems), "against it": _both(c.refutation),
            "corrected": _both(Say(c.corrected, c.corrected_zh)),
            "because": c.derivation, "conventions": c.conventions,
            "measured": "\n".join(measured), "certainty": c.certainty,
            "try it": f">>> {IMPORTS}\n{c.example}" if c.example else "",
            "lesson": " ".join(f"minireg lesson {number}" for number in c.lessons),
            "program": c.location,
        }  # fmt: skip
        said = [f"{n}\n{textwrap.indent(text, '  ')}" for n, text in parts.items() if text]
        return "\n".join([f"{c}", *said])

    def _lines(self) -> list[str]:
        lines = [f"{f.role:8} {f!r}" for f in self.figures]
        return [*lines, f"FAILED: {self.error}"] if self.error else lines

    def __str__(self) -> str:
        status = "passed" if self else "FAILED"
        lines = [f"  {line}" for line in self._lines()]
        return "\n".join([f"{self.claim} {status}, {self.seconds:.2f} s", *lines])


def _both(say: Say | None) -> str:
    """A text of :meth:`Result.explain`, a paragraph for each language."""
    return "\n".join(filter(None, [textwrap.fill(say.en, width=96), say.zh])) if say else ""


@dataclass(frozen=True)
class Claim:
    """A statement of the source texts with the program that measures it; call it to run it.

    Attributes
    ----------
    id : "C" and a number.
    verdict : one of :data:`VERDICTS`.
    source : the text's number in :data:`SOURCES` and its section.
    title, statement : a few words, and what the text says in our words.
    corrected : the statement that holds where that one does not, or needs conditions.
    measure : the program, which yields figures.

    ``ValueError`` for another verdict, and for a wrong statement that is not corrected.
    """

    id: str
    verdict: str
    source: str
    title: str
    statement: str
    corrected: str
    measure: Callable[[], Iterable[Figure]]

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"claim {self.id}: verdict {self.verdict!r} is none of {VERDICTS}")
        if self.verdict in WRONG and not self.corrected:
            raise ValueError(f"claim {self.id}: {self.verdict} needs a corrected statement")

    @property
    def topic(self) -> str:
        """The name of its file."""
        return self.measure.__module__.rpartition(".")[2]

    @property
    def derivation(self) -> str:
        """Why the verdict holds: the docstring of its program up to the example."""
        return (inspect.getdoc(self.measure) or "").partition(">>>")[0].rstrip()

    @property
    def example(self) -> str:
        """Lines of Python that show it with the public API, a doctest (see :data:`IMPORTS`)."""
        return "".join((inspect.getdoc(self.measure) or "").partition(">>>")[1:])

    @property
    def conventions(self) -> str:
        """Halves, means and letters: what the docstring of its file says after the first line."""
        return (inspect.getdoc(inspect.getmodule(self.measure)) or "").partition("\n\n")[2]

    @property
    def certainty(self) -> str:
        """What kind of evidence the verdict rests on, one of :data:`CERTAINTIES`."""
        return self._words["certainty"]

    @property
    def title_zh(self) -> str:
        """The title in Chinese."""
        return self._words["title_zh"]

    @property
    def statement_zh(self) -> str:
        """What the text says, in our words, in Chinese."""
        return self._words["statement_zh"]

    @property
    def corrected_zh(self) -> str:
        """The corrected statement in Chinese, empty where there is none."""
        return self._words.get("corrected_zh", "")

    @property
    def seems(self) -> Say | None:
        """Why a wrong statement seems right; None for others."""
        return self._said("seems")

    @property
    def refutation(self) -> Say | None:
        """What was measured against a wrong statement; None for others."""
        return self._said("refutation")

    @property
    def figures_zh(self) -> list[str]:
        """What its figures are, in Chinese, in their order; empty where they are not translated."""
        return list(_toml("figures_zh").get(self.id, []))

    @property
    def _words(self) -> dict[str, Any]:
        if self.id not in (words := _toml("words")):
            raise LookupError(
                f"claim {self.id}: lessons/claims/words.toml has no table [{self.id}]"
            )
        return dict(words[self.id])

    def _said(self, part: str) -> Say | None:
        said = self._words.get(part)
        return Say(**said) if said else None

    @property
    def lessons(self) -> list[int]:
        """The numbers of the lessons that measure it."""
        paths = sorted(LESSONS.glob("[0-9][0-9]_*.py"))
        return [int(p.name[:2]) for p in paths if f'"{self.id}"' in p.read_text("utf-8")]

    @property
    def location(self) -> str:
        """File and line of its program."""
        code = self.measure.__code__
        return f"{code.co_filename}:{code.co_firstlineno}"

    def __call__(self) -> Result:
        """Run the program; an error in it becomes the result's ``error``."""
        manual_seed(int(self.id[1:]))  # the same figures whatever ran before
        figures: list[Figure] = []
        start, error = time.perf_counter(), ""
        try:
            with passing_interrupts():  # a training cut short proves nothing
                figures.extend(self.measure())
        except Exception as problem:  # what was measured before it still counts
            error = f"{type(problem).__name__}: {problem}"
        roles = {f.role for f in figures}
        if not error and self.verdict in WRONG and not {"breaks", "corrects"} <= roles:
            error = "a wrong statement needs a counterexample and a correction, both measured"
        return Result(self, tuple(figures), time.perf_counter() - start, error)

    def __str__(self) -> str:
        return f"{self.id} [{self.verdict}] {self.title}"


CLAIMS: dict[str, Claim] = {}


def claim(
    id: str, verdict: str, source: str, title: str, statement: str, corrected: str = ""
) -> Callable[[Callable[[], Iterable[Figure]]], Claim]:
    """Enter a claim: decorates a generator of figures whose docstring derives the result.

    The docstring ends with an example, a doctest under :data:`IMPORTS`. Parameters and errors are
    those of :class:`Claim`; ``ValueError`` also if another program has the same ``id``.
    """

    def enter(measure: Callable[[], Iterable[Figure]]) -> Claim:
        entry = Claim(id, verdict, source, title, statement, corrected, measure)
        if (other := CLAIMS.get(id)) and other.location != entry.location:
            raise ValueError(f"claim {id} is at {other.location} and at {entry.location}")
        CLAIMS[id] = entry
        return entry

    return enter


def load() -> dict[str, Claim]:
    """All claims by ID, in order."""
    _lessons()
    for path in sorted((LESSONS / "claims").glob("[a-z]*.py")):
        importlib.import_module(f"minireg.lessons.claims.{path.stem}")
    return dict(sorted(CLAIMS.items(), key=lambda item: int(item[0][1:])))


@cache
def _toml(name: str) -> dict[str, Any]:
    """What a file beside the programs holds."""
    return tomllib.loads((LESSONS / "claims" / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def measured() -> dict[str, Result]:
    """What each claim gave when ``tools/make_measured.py`` last ran it, by ID, in order.

    Nothing is measured; the seconds are those of the machine that did.

    >>> measured()["C22"].figures[0]
    |autograd − λθ|: 0 (≤ 1e-12)
    """
    file = json.loads((LESSONS / "claims" / "measured.json").read_text(encoding="utf-8"))
    return {
        c.id: Result(c, tuple(map(_restored, file[c.id]["figures"])), file[c.id]["seconds"])
        for c in load().values()
        if c.id in file
    }


def _restored(stored: Sequence[Any]) -> Figure:
    role, what, value, high, low = stored
    return Figure(
        role, what, value, math.inf if high is None else high, -math.inf if low is None else low
    )


def measure_all(chosen: Sequence[Claim], jobs: int = 1) -> Iterator[Result]:
    """Run claims in so many processes (here, for 1); the results come in the order of the claims.

    Seeds do not depend on ``jobs``, so figures do by rounding at most. A process has one thread for
    its matrix products, which are small here, unless ``OMP_NUM_THREADS`` says otherwise. Whoever
    stops early, by Ctrl-C too, ends the processes.
    ``concurrent.futures.process.BrokenProcessPool`` if one is killed.
    """
    if jobs == 1:
        yield from (claim() for claim in chosen)
        return
    others = multiprocessing.active_children()
    context = multiprocessing.get_context("spawn")  # NumPy's threads do not survive a fork
    with futures.ProcessPoolExecutor(jobs, context, _interruptible) as pool:
        try:
            for claim, run in zip(chosen, _submitted(pool, chosen), strict=True):
                yield Result(claim, *run.result())
        except BaseException:  # GeneratorExit and KeyboardInterrupt, too
            for process in set(multiprocessing.active_children()) - set(others):
                process.terminate()
            raise


_Ran = tuple[tuple[Figure, ...], float, str]


def _submitted(
    pool: futures.ProcessPoolExecutor, chosen: Sequence[Claim]
) -> list[futures.Future[_Ran]]:
    """The runs of the claims, in processes that start with one thread each."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # what starts now reads it
    try:
        return [pool.submit(_run, claim.id, get_backend()) for claim in chosen]
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]


def _interruptible() -> None:
    """Ctrl-C reaches every process: these end without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _run(id: str, home: str) -> _Ran:
    """Figures, seconds and error of a claim: what can be sent to another process."""
    with use_backend(home):
        result = load()[id]()
    return result.figures, result.seconds, result.error


def _lessons() -> None:
    """Make ``minireg.lessons`` importable from a checkout, as it is from a wheel."""
    if "minireg.lessons" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "minireg.lessons", LESSONS / "__init__.py", submodule_search_locations=[str(LESSONS)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)


def select(topic: str | None = None, ids: Iterable[str] = (), find: str = "") -> list[Claim]:
    """The claims of a topic, or those with the IDs; of them those at a place of a text, or with these
    words, in either language. ``LookupError`` says what exists.

    >>> [claim.id for claim in select(find="定理10.10")]
    ['C08', 'C24', 'C25']
    """
    found = load()
    topics = dict.fromkeys(c.topic for c in found.values())
    if topic is not None and topic not in topics:
        raise LookupError(f"no topic {topic!r}; there are {', '.join(topics)}")
    wanted = [re.sub(r"^[cC]?0*(\d+)$", lambda m: f"C{int(m[1]):02}", i) for i in ids]
    for i in wanted:
        if i not in found:
            raise LookupError(f"no claim {i!r}; there are {next(iter(found))} to {[*found][-1]}")
        if topic not in (None, found[i].topic):
            raise LookupError(f"no claim {i} in topic {topic}; it is in {found[i].topic}")
    chosen = [c for c in found.values() if topic in (None, c.topic) and c.id in (wanted or found)]
    if not (words := _bare(find)):
        return chosen
    at = {
        c.id
        for there in by_place().values()
        for p, cs in there.items()
        if _bare(p) == words
        for c in cs
    }
    texts = {c.id: (c.title, c.title_zh, c.statement, c.statement_zh, c.source) for c in chosen}
    told = [c for c in chosen if any(words in _bare(text) for text in texts[c.id])]
    if not (chosen := [c for c in chosen if c.id in at] or told):
        raise LookupError(
            f"no claim has {find!r}; a place is written 定理10.10, a word dropout or 权重衰减"
        )
    return chosen


def _bare(text: str) -> str:
    """A text without spaces and capitals."""
    return "".join(text.split()).casefold()


def places(source: str) -> dict[str, str]:
    """Text → the place in it, of a claim's source.

    >>> places("003 §塑造景观; 000 引理 10.22")
    {'003': '§塑造景观', '000': '引理 10.22'}
    """
    found: dict[str, list[str]] = {}
    for part in re.split(r"; (?=00\d )", source):
        found.setdefault(part[:3], []).append(part[4:])
    return {text: "; ".join(said) for text, said in found.items()}


LATER = "after|comment|end|last|remark|second|view|证明"  # what stands behind the words of a place


def _at(said: str, place: str) -> int | None:
    """0 where a claim stands at a place, 1 where in its last words or behind it, else None.

    >>> _at("定理 10.10", "定理 10.10"), _at("定理 10.10, comment", "定理 10.10")
    (0, 1)
    >>> _at("定理 10.10", "定理 10.1")
    """
    one = rf"{re.escape(place)}(?!\.?\d)"
    if not re.search(one, said):
        return None
    return int(re.search(rf"after {one}|{one}(?! and)[^;§定引推表]*({LATER})", said) is not None)


def by_place() -> dict[str, dict[str, list[Claim]]]:
    """Text → its places in its own order → the claims that stand there, as the text has them.

    >>> [claim.id for claim in by_place()["000"]["定理 10.10"]]
    ['C24', 'C25', 'C08']
    """
    found = [(claim, places(claim.source)) for claim in load().values()]

    def there(text: str, place: str) -> list[Claim]:
        ranked = [(_at(where[text], place), claim) for claim, where in found if text in where]
        return [claim for rank in (0, 1) for at, claim in ranked if at == rank]

    return {
        text: {place: there(text, place) for place in known}
        for text, known in _toml("places").items()
    }


def wrong() -> dict[str, list[Claim]]:
    """Text → its imprecise and false claims in the order in which it has them."""
    return {
        text: [*{c.id: c for found in there.values() for c in found if c.verdict in WRONG}.values()]
        for text, there in by_place().items()
    }


def errata(results: Iterable[Result]) -> str:
    """The corrections to the texts, with what was measured, as a page in Markdown."""
    run = {r.claim.id: r for r in results}
    parts, told = [], set[str]()
    for text, claims in wrong().items():
        here = [c for c in claims if c.id in run]
        parts += [f"## {text}: {SOURCES[text]}\n"] if here else []
        for c in here:
            place = f"{c.verdict.capitalize()}. *{places(c.source)[text]}*"
            if c.id in told:
                parts.append(f"### {c.id} {c.title}, again\n\n{place}: see above.\n")
                continue
            told.add(c.id)
            shown = {
                role: "".join(f"  - {f!r}\n" for f in run[c.id].figures if f.role == role)
                for role in ("holds", "breaks", "corrects")
            }
            true = f"- What is true of it:\n{shown['holds']}" if shown["holds"] else ""
            parts.append(
                f"### {c.id} {c.title}\n\n{place}\n\n"
                f"- The text says: {c.statement}\n{true}- Against it:\n{shown['breaks']}"
                f"- Correct is: {c.corrected}\n- For it:\n{shown['corrects']}"
            )
    return "\n".join([f"# Errata of the source texts\n\n{len(told)} {ERRATA_HEAD}", *parts])
