"""The battery: the largest figure counts, faults and exceptions are findings, nothing is not ok."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from minireg.check.report import NOT_APPLICABLE, OK, SEVERITY, WRONG, Check, Finding, Report, run


@dataclass(frozen=True, repr=False)
class Found(Report):
    findings: tuple[Finding, ...]


def raising(error):
    def ask(case):
        yield 0.0
        raise error

    return ask


# what a check yields of a case → (its verdict, its figure) under a limit of 1
ANSWERS = {
    "below": (lambda case: [0.25, -3.0, 0.5], OK, 0.5),
    "the limit itself": (lambda case: [1.0], OK, 1.0),
    "one above": (lambda case: [0.0, 2.0, 0.5], WRONG, 2.0),
    "NaN among others": (lambda case: [0.0, float("nan"), 0.5], WRONG, float("inf")),
    "nothing": (lambda case: [], OK, 0.0),
    "a fault": (lambda case: [0.0, "it is upside down"], WRONG, None),
    "an exception": (raising(ZeroDivisionError("by 0")), WRONG, float("inf")),
    "an excuse": (raising(NotImplementedError("has no prox")), NOT_APPLICABLE, None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_check_answers_with_its_largest_figure_or_its_faults(name):
    ask, verdict, figure = ANSWERS[name]
    (found,) = run({name: Check(ask, 1.0, "what it says")}, None, excuse=NotImplementedError)
    assert (found.check, found.verdict, found.figure) == (name, verdict, figure)
    notes = {
        "a fault": "it is upside down",
        "an exception": "ZeroDivisionError: by 0",
        "an excuse": "has no prox",
    }
    assert found.note == notes.get(name, "what it says")


def test_without_an_excuse_every_exception_is_wrong():
    (found,) = run({"a": Check(raising(NotImplementedError("not yet")))}, None)
    assert (found.verdict, found.note) == (WRONG, "NotImplementedError: not yet")


def test_every_fault_is_a_finding_and_later_checks_are_asked_all_the_same():
    battery = {
        "first": Check(lambda case: ["left", "right"]),
        "second": Check(lambda case: [case], 3.0, lambda case: f"asked of {case}"),
    }
    assert [(f.check, f.note) for f in run(battery, 2)] == [
        ("first", "left"),
        ("first", "right"),
        ("second", "asked of 2"),
    ]


@pytest.mark.parametrize("most", range(len(SEVERITY)))
def test_a_report_is_as_good_as_its_worst_finding(most):
    report = Found(tuple(Finding("a", verdict) for verdict in SEVERITY[: most + 1][::-1]))
    assert report.verdict == SEVERITY[most]
    assert bool(report) == (SEVERITY[most] not in (WRONG, NOT_APPLICABLE))


def test_a_report_of_nothing_is_not_ok():
    assert not Found(())
