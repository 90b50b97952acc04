"""Exercises: what an author may get wrong is found, and what is kept and shown is right."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from support.exercises import (
    ALL,
    ANSWERS,
    GOAL,
    HUNT,
    ORDER,
    PREDICT,
    RECALL,
    SCENE,
    WRITE,
    left_over_right,
    render,
)

from minireg.course.exercises import before, faults, html, kept, orders, outcome
from minireg.course.parts import Answer
from minireg.pictures import Say


@pytest.mark.parametrize("part", [*ALL, PREDICT], ids=lambda part: type(part).__name__)
def test_the_samples_have_no_fault(part):
    assert faults(part, SCENE) == []


ODD = Say("Never said.", "从不说。")
FAULTS = [
    (replace(WRITE, stub=left_over_right), "the stub is right already"),
    (replace(WRITE, cases=[(0.1, 0.5, 20), (0.1, 0.7, 3)], limits={}), "argument 1 is the same in all"),
    (replace(WRITE, mistakes={ODD: left_over_right}), "is not told 'Never said.'"),
    (
        replace(WRITE, mistakes={**WRITE.mistakes, ODD: next(iter(WRITE.mistakes.values()))}),
        "is not told 'Never said.' but",
    ),
    (replace(WRITE, limits={ODD: (0.1, 0.5, 1)}, mistakes={}), "no mistake breaks the limit"),
    (replace(ORDER, result="nothing"), "the program does not run"),
    (replace(ORDER, distractors={"v = v": ODD}), ""),
    (
        replace(ORDER, distractors={"v = 0.999 * v + 0.001 * g * g": ODD}),
        "'v = 0.999 * v + 0.001 * g * g' may stand in place of 'v = 0.999 * v + 0.001 * g**2'",
    ),
    (replace(ORDER, lines={f"x{i} = {i}": ODD for i in range(8)}), "8 lines, at most 7"),
    (replace(ORDER, lines=dict.fromkeys(["w = w + 1", "w = w - 1", "w = 2 * w"], ODD)), "6 orders are"),
    (replace(HUNT, fault="w"), "lines hold 'w', expected one"),
    (replace(HUNT, fault="nowhere"), "0 lines hold 'nowhere'"),
    (replace(HUNT, others={"L2(": ODD}), "says nothing of all the rest"),
    (replace(HUNT, others={"": ODD, "L7(": ODD}), "no line holds 'L7('"),
    (replace(HUNT, evidence=str), "there is no evidence"),
    (replace(GOAL, reached=lambda **_: False), "no state of the picture reaches it"),
    (replace(GOAL, reached=lambda lam, **_: lam == 0.1), "it is reached at the start"),
    (replace(GOAL, others={**GOAL.others, ODD: lambda **_: True}), "nowhere said: Never said."),
    (replace(RECALL, answers=ANSWERS[:2]), "not exactly one answer is right"),
    (replace(PREDICT, answers=(*ANSWERS, Answer(ODD, ODD, right=True))), "not exactly one answer"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "said"), FAULTS, ids=[said[:40] for _, said in FAULTS])
def test_what_an_author_gets_wrong_is_said(part, said):
    found = faults(part, SCENE)
    if said:
        assert any(said in fault for fault in found), found
        assert all(fault.startswith(getattr(part, "id", "predict") + ": ") for fault in found)


def test_a_reference_that_fails_its_own_limit_is_found():
    never = replace(WRITE, right=lambda lr, strength, steps: np.log(-1.0 - steps))
    assert "judged wrong" in faults(never)[0]


def test_a_mistake_may_divide_by_zero_at_a_limit():
    said, zero = Say("Divided by λ.", "除以了 λ。"), (0.1, np.float64(0), 20)
    there = replace(
        WRITE,
        mistakes={said: lambda lr, strength, steps: lr / strength},
        limits={Say("λ = 0: all is left.", "λ = 0 时全部保留。"): zero},
    )
    assert faults(there) == []


def test_a_goal_says_something_at_every_state():
    with pytest.raises(LookupError, match=r"goal 'half' says nothing at 0.1"):
        kept(replace(GOAL, others={}), SCENE)


# --- what is kept ---------------------------------------------------------------------------------


def test_lines_that_may_change_places_may_do_so():
    assert orders(ORDER) == [(0, 1, 2, 3), (1, 0, 2, 3)]
    assert before(ORDER) == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_each_run_of_a_program_begins_anew():
    lines = [*ORDER.lines]
    first, second = outcome(ORDER, lines), outcome(ORDER, lines)
    assert np.array_equal(first[0], second[0])
    assert outcome(ORDER, lines[::-1]) == []


def test_a_goal_is_kept_as_what_is_said_at_each_state():
    told = kept(GOAL, SCENE)
    assert len(told) == len(SCENE.states) == 8
    assert [right for right, *_ in told] == [False, True, *[False] * 6]
    assert told[1] == [True, "Yes, 0.36 is left.", "对，剩下 0.36。"]
    assert told[4][1] == "With the wrong sign it grows: mend it."


@pytest.mark.parametrize("part", ALL, ids=lambda part: part.id)
def test_what_is_kept_survives_json(part):
    found = kept(part, SCENE)
    assert html(part, render, json.loads(json.dumps(found))) == html(part, render, found)


# --- elements -------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [*ALL, PREDICT], ids=lambda part: type(part).__name__)
def test_elements_are_closed_and_in_both_languages(part):
    text = html(part, render, kept(part, SCENE))
    shown = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    for tag in ("section", "div", "span", "button", "li", "ol", "ul", "label", "fieldset", "pre"):
        assert len(re.findall(rf"<{tag}\b", shown)) == shown.count(f"</{tag}>"), tag
    assert shown.count('lang="en"') == shown.count('lang="zh"') > 0
    assert len(re.findall(r'id="([^"]+)"', text)) == len(set(re.findall(r'id="([^"]+)"', text)))


def test_lines_are_mixed_the_same_way_each_time():
    text = html(ORDER, render, [])
    mixed = [int(i) for i in re.findall(r'data-line="(\d)"', text)]
    assert sorted(mixed) == [*range(6)] != mixed
    assert html(ORDER, render, []) == text


def test_a_hunt_accuses_lines_of_code_only():
    text = html(HUNT, render, "the ledger")
    data = json.loads(re.search(r"json\">(.*?)</script>", text)[1])
    assert [said and said[0] for said in data["why"]] == [False, None, False, True, None, False]
    assert text.count('class="line"') == 4
    table = html(HUNT, render, "entry ‖Δ‖ l2 fresh")
    assert "how far it moved" in table  # what its words mean, of those that are there
    assert "by momentum" not in table
    assert "the ledger" in text
    assert data["why"][2][1][0] == "It asks for the penalty once, as it should."


def test_nothing_of_an_author_ends_the_script():
    bad = replace(HUNT, why=Say("</script><b>", "</script>"))
    assert html(bad, render, "").count("</script>") == 1
