"""Each fault of tools/faults.py, planted in memory, is noticed by claims and by lessons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from support.faults import FAULTS, plant

from minireg.course import lessons as course
from minireg.course.claims import Claim, Figure, load
from minireg.course.parts import Told

ALL = load()


def brief(claim: Claim) -> Claim:
    """The claim, measured no further than to its first figure out of range."""

    def measure() -> Iterator[Figure]:
        for figure in claim.measure():
            yield figure
            if not figure.passed:
                return

    return replace(claim, measure=measure)


def unnoticed(ids: Iterable[str]) -> list[str]:
    """What the claims give that hold all the same."""
    results = [brief(ALL[i])() for i in ids]
    assert results
    return [str(result) for result in results if result]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_noticed_by_all_its_claims(name, monkeypatch):
    """That tests find it, too, is for the tool to say."""
    plant(monkeypatch, FAULTS[name])
    assert not unnoticed(FAULTS[name].claims.split())


# --- lessons --------------------------------------------------------------------------------------


def told(lesson: course.Lesson) -> set[str]:
    """The claims that a lesson tells, and so measures."""
    return {i for part in lesson.open().of(Told) for i in (*part.ids, *part.also)}


TAUGHT = [name for name, fault in FAULTS.items() if fault.file.startswith(("penalties", "optim"))]


def test_a_fault_of_penalties_or_optimizers_is_told_of_by_a_lesson():
    """Each of these claims notices it (above), and a lesson fails if one of its claims does (below)."""
    lessons = {one.number: told(one) for one in course.lessons()}
    found = {
        name: {n: sorted(ids & {*FAULTS[name].claims.split()}) for n, ids in lessons.items()}
        for name in TAUGHT
    }
    for name, by in found.items():
        print(f"{name}  {FAULTS[name].what} → { {n: ids for n, ids in by.items() if ids} }")
    assert [name for name, by in found.items() if not any(by.values())] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_lesson_fails_under_a_fault_of_what_it_tells(number, monkeypatch):
    lesson = course.find(number)
    name = next(n for n in TAUGHT if told(lesson) & {*FAULTS[n].claims.split()})
    plant(monkeypatch, FAULTS[name])
    with pytest.raises((AssertionError, RuntimeWarning)):  # a solver that no longer converges warns
        course.run(lesson)
