"""What all checks share: verdicts, findings, and their report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OK, KINK, PRECISION, WRONG = "ok", "kink: inside the subdifferential", "precision", "wrong"
NOT_APPLICABLE = "n/a"
SEVERITY = (NOT_APPLICABLE, OK, KINK, PRECISION, WRONG)  # from harmless to serious


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check : its name.
    verdict : one of :data:`SEVERITY`.
    note : what was compared, what is wrong, or why the check does not apply.
    figure, limit : what was measured (None: nothing) and the most that it may be.
    """

    check: str
    verdict: str
    note: str = ""
    figure: float | None = None
    limit: float = 0.0


@dataclass(frozen=True)
class Check:
    """A law of a battery.

    Attributes
    ----------
    ask : yields figures for a case, of which the largest counts (NaN as infinity), or faults
        in words, each of which is a finding.
    limit : the most that the figures may be.
    says : what was compared, in a few words; or a function of the case that returns this.
    """

    ask: Callable[[Any], Iterable[float | str]]
    limit: float = 0.0
    says: str | Callable[[Any], str] = ""

    def findings(self, name: str, case: Any) -> list[Finding]:
        """What the law called ``name`` finds of a case."""
        answers = list(self.ask(case))
        faults = [Finding(name, WRONG, text) for text in answers if isinstance(text, str)]
        if faults:
            return faults
        figures = [float(a) for a in answers]
        figure = max((f if f == f else float("inf") for f in figures), default=0.0)
        note = self.says if isinstance(self.says, str) else self.says(case)
        return [Finding(name, OK if figure <= self.limit else WRONG, note, figure, self.limit)]


def run(
    battery: Mapping[str, Check], case: Any, excuse: type[Exception] | tuple[()] = ()
) -> list[Finding]:
    """What every check of a battery finds; where one does not apply it raises ``excuse``."""
    found: list[Finding] = []
    for name, check in battery.items():
        try:
            found += check.findings(name, case)
        except excuse as error:
            found.append(Finding(name, NOT_APPLICABLE, str(error)))
        except Exception as error:  # what is under test may raise anything
            text = f"{type(error).__name__}: {error}"
            found.append(Finding(name, WRONG, text, float("inf")))
    return found


class Report:
    """Findings and their verdict: true if something was checked and nothing is wrong."""

    findings: Sequence[Any]

    @property
    def verdict(self) -> str:
        """The most serious verdict of any finding."""
        found = (f.verdict for f in self.findings)
        return max(found, key=SEVERITY.index, default=NOT_APPLICABLE)

    def __bool__(self) -> bool:
        return self.verdict not in (NOT_APPLICABLE, WRONG)

    def __repr__(self) -> str:
        return str(self)
