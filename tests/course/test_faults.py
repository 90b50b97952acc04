"""Each fault of tools/faults.py, planted in memory, is noticed by claims and by lessons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from support.faults import FAULTS, plant

from minireg.course import lessons as course
from minireg.course.claims import Claim, Figure, load, measured
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


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_noticed(name, monkeypatch):
    """By the quickest of the claims that tools/faults.py names."""
    plant(monkeypatch, FAULTS[name])
    seconds = {i: measured()[i].seconds for i in FAULTS[name].claims.split()}
    assert not unnoticed([min(seconds, key=seconds.get)])


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
REACHED = [
    (name, lesson)
    for lesson in course.lessons()
    for name in TAUGHT
    if told(lesson) & {*FAULTS[name].claims.split()}
]
WAITING = sorted({*TAUGHT} - {name for name, _ in REACHED})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "lesson"), REACHED, ids=lambda v: str(getattr(v, "number", v)))
def test_a_lesson_notices_the_fault_of_what_it_tells(name, lesson, monkeypatch, capsys):
    """Its script fails, and these of its claims are why (-rP)."""
    plant(monkeypatch, FAULTS[name])
    results = course.measure(*told(lesson))
    with pytest.raises(AssertionError):  # as course.run ends, whatever its own figures are
        course.settle(results)
    claims = sorted(r.claim.id for r in results if not r)
    capsys.readouterr()
    print(f"{name}  {FAULTS[name].what} → lesson {lesson.number}: {' '.join(claims)}")
    assert claims
    assert {*claims} >= told(lesson) & {*FAULTS[name].claims.split()}


@pytest.mark.slow
def test_faults_wait_for_lessons_to_come():
    print(f"no lesson tells of {len(WAITING)} of {len(TAUGHT)} faults yet: {' '.join(WAITING)}")
    assert len(course.lessons()) < 21 or not WAITING
