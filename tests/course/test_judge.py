"""The judge: what is said of an answer is true, specific, in both languages, and an error is none."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
from support.wrong_answers import CODE, FORMULAS, Formula

from minireg.course import diagnosis
from minireg.course import judge as judging
from minireg.course.diagnosis import (
    FIRST,
    PATIENCE,
    THEN,
    Asked,
    Both,
    defined,
    diagnose,
    say,
    written,
)
from minireg.course.judge import check, judge, seen, source, submitted
from minireg.course.lessons import lessons
from minireg.course.parts import Code, Recall, Write
from minireg.pictures import Say, Scene

TEXT = tomllib.loads(Path(diagnosis.__file__).with_name("judge.toml").read_text("utf-8"))


def asked(formula: Formula, **fields) -> Write:
    """The exercise of a formula, with a stub and nothing else."""
    space = {"np": np}
    exec(f"def {formula.signature}:\n    return ...", space)
    name = formula.signature.partition("(")[0]
    return Write(name, Say("", ""), space[name], formula.right, formula.cases, **fields)


ANSWERS = [(formula, body) for formula in FORMULAS for body in formula.wrong]


def ids(value) -> str:
    return value.signature.partition("(")[0] if isinstance(value, Formula) else value[:60]


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", FORMULAS, ids=ids)
def test_the_right_answer_is_right_and_the_stub_is_not_tried(formula):
    exercise = asked(formula, why=Say("So it is.", "就是这样。"))
    verdict = judge(formula.right, exercise)
    assert verdict.right
    assert verdict.level == "bit"
    assert verdict.said.en.endswith("So it is.")
    assert verdict.said.zh.endswith("就是这样。")
    verdict = judge(exercise.stub, exercise)
    assert (verdict.right, verdict.tried) == (False, False)


@pytest.mark.parametrize(("formula", "body"), ANSWERS, ids=ids)
def test_a_wrong_answer_is_told_what_is_true(formula, body):
    """Its numbers, in both languages; and what is said holds at places where nobody asked before."""
    exercise = asked(formula)
    verdict = submitted(f"def {formula.signature}:\n    {body}", exercise)
    assert not verdict.right
    assert verdict.tried
    assert f"`{exercise.id}(" in verdict.said.en
    codes = [set(re.findall("`[^`]+`", text)) for text in verdict.said]
    assert codes[0] == codes[1]
    LEVELS[formula.signature, body] = verdict.level

    names = re.findall(r"\w+", formula.signature)[1:]
    answer = defined(f"def answer({', '.join(names)}):\n    {body}", "answer", {"np": np})
    until = float("inf")
    both = Both(Asked(answer, until, 0), Asked(formula.right, until, 0), formula.cases, names)
    for rule in FIRST + THEN if verdict.level == "diagnosis" and both.rows else ():
        with np.errstate(all="ignore"):
            if said := [one for one in rule(both) if one.en in verdict.said.en]:
                elsewhere = set(rule(both.elsewhere(seed=7, many=40, by=0.6)))
                assert elsewhere.issuperset(said[:1])


LEVELS: dict[tuple[str, str], str] = {}


def test_of_plausible_wrong_answers_nearly_all_get_a_reason():
    for formula, body in ANSWERS:
        if (formula.signature, body) not in LEVELS:  # this test alone
            test_a_wrong_answer_is_told_what_is_true(formula, body)
    said = len(LEVELS) - [*LEVELS.values()].count("numbers")
    print(f"{said} of {len(LEVELS)} plausible wrong answers get a reason")
    assert len(LEVELS) > 100
    assert said >= 0.95 * len(LEVELS)


@pytest.mark.slow
def test_formulas_of_others_are_never_said_to_be_right():
    """Every formula as an answer to every other of as many arguments."""
    pairs = [
        (one, other)
        for one in FORMULAS
        for other in FORMULAS
        if one is not other
        and len(one.cases[0]) == len(other.cases[0])
        and "freedom" not in other.signature  # of one number it is the filter
    ]
    assert len(pairs) > 50
    for one, other in pairs:
        verdict = judge(other.right, asked(one))
        assert not verdict.right, (one.signature, other.signature, verdict)


def test_answers_may_print_and_change_their_arguments():
    def shrink(w, lam):
        w *= 1 - lam
        print(w)
        return w

    cases = [(np.array([1.0, 2.0]), 0.1), (np.array([3.0]), 0.5)]
    exercise = Write("shrink", Say("", ""), shrink, lambda w, lam: (1 - lam) * w, cases)
    assert judge(shrink, exercise).right
    assert cases[0][0].tolist() == [1, 2]


def test_a_slow_answer_gets_its_numbers(monkeypatch):
    """Diagnosis asks hundreds of times; an answer that takes long is spared that."""
    monkeypatch.setattr(diagnosis, "PATIENCE", -1.0)
    assert PATIENCE > 0
    formula = FORMULAS[0]
    verdict = judge(
        lambda lr, strength, steps: 1 - formula.right(lr, strength, steps), asked(formula)
    )
    assert verdict.level == "numbers"
    assert "expected" in verdict.said.en


# --- order: limits, mistakes, diagnosis, numbers --------------------------------------------------

EXERCISE = asked(
    FORMULAS[0],
    limits={Say("No step: all is left.", "一步不走：全都留下。"): (0.1, 0.5, 0)},
    mistakes={
        Say("That is lost.", "这是失去的。"): lambda lr, lam, t: 1 - (1 - lr * lam) ** t,
        Say("Compounds.", "逐步相乘。"): lambda lr, lam, t: 1 - lr * lam * t,
    },
)


@pytest.mark.parametrize(
    ("body", "level", "said"),
    [
        ("(1 - lr * strength) ** steps", "bit", "Right, to the last bit"),
        ("np.exp(steps * np.log(1 - lr * strength + 0j)).real", "rounding", "up to rounding"),
        (
            "1 - (1 - lr * strength) ** steps",
            "mistake",
            "0, expected 1. No step: all is left. That",
        ),
        ("1 - lr * strength * steps", "mistake", "expected 0.358486. Compounds."),
        ("0 * (1 - lr * strength) ** steps", "limit", "gives 0, expected 1. No step: all is left."),
        (
            "(1 - 3 * lr * strength) ** steps",
            "diagnosis",
            "Line 2, `3 * lr`: a part of it does not",
        ),
        ("0.9 + 0 * lr * strength * steps", "limit", "Yours is 0.9 whatever the arguments are."),
    ],
)
def test_the_first_that_has_something_to_say_speaks(body, level, said):
    verdict = submitted(f"def left_over(lr, strength, steps):\n    return {body}", EXERCISE)
    assert verdict.level == level
    assert said in verdict.said.en


# --- each rule ------------------------------------------------------------------------------------

V, W = np.array([2.0, -0.3, 0.1, -1.5]), np.array([0.9, -0.2, 0.4])
M, S = np.array([[1.0, 2.0, 0.5], [3.0, 4.0, -1.0]]), np.array([[2.0, 0.5], [0.5, 1.0]])
SAID = [  # what is right, what is given, arguments, what is said
    (lambda a, b: a * (1 + b), lambda a, b: a, [(2.0, 3.0), (0.5, 1.5)], "`b` = 0: as if"),
    (lambda a, b: a / b, lambda a, b: b / a, [(2.0, 3.0), (0.5, -1.5)], "one over"),
    (lambda a, b: a - b, lambda a, b: b - a, [(2.0, 3.0), (0.5, -1.5)], "sign is wrong"),
    (lambda a: a**2, lambda a: a**4, [(2.0,), (0.5,)], "the square of"),
    (lambda a: np.exp(a), lambda a: a, [(2.0,), (0.5,)], "the logarithm of"),
    (lambda a: a * 3.3, lambda a: a * 3.3 // 1, [(2.0,), (0.5,)], "whole number"),
    (lambda a: np.pi * a, lambda a: a, [(2.0,), (0.5,)], "`1/π` times"),
    (lambda a: np.sin(a), lambda a: np.sin(np.deg2rad(a)), [(1.0,), (0.5,)], "`a·π/180`"),
    (lambda w: w.mean(), lambda w: w.sum(), [(V,), (W,)], "`len(w)` times"),
    (lambda w, a: a * w, lambda w, a: a * w + 1, [(V, 2.0), (W, 0.5)], "too large by `1`"),
    (lambda w, a: a * w + w, lambda w, a: a * w, [(V, 2.0), (W, 0.5)], "too small by `w`"),
    (lambda a, b, c: a * b**c, lambda a, b, c: b * a**c, [(2.0, 3.0, 1.5), (0.5, 2.5, 3.0)],
     "`a` and `b` are exchanged"),
    (lambda a, b: a * b / (a + b), lambda a, b: b, [(2.0, 3.0), (0.5, 1.5)], "a very large `a`"),
    (lambda a, b: a / (a + b), lambda a, b: 1.0, [(2.0, 3.0), (0.5, 1.5)], "Yours is 1 whatever"),
    (lambda a, b, c: 2 * a**2 / b**2 / c, lambda a, b, c: 42.7, [(2.0, 3.0, 5), (0.5, 1.5, 9)],
     "Yours is 42.7 whatever the arguments are."),
    (lambda w, half: w / 2 if half else w, lambda w, half: w / 3, [(2.0, True), (0.5, False)],
     "does not change with `half`"),
    (lambda w: np.sort(w), lambda w: np.sort(w)[::-1], [(V,), (W,)], "reverse order"),
    (lambda m: m @ m.T, lambda m: np.diag(np.diag(m @ m.T)), [(M,), (M + 1,)], "The diagonal is right"),
    (lambda w: np.cumsum(w), lambda w: np.append(np.cumsum(w)[:-1], 0), [(W,), (W + 1,)],
     "except in entry 2"),
    (lambda m: m.T, lambda m: m.T[::-1, ::-1].T.reshape(m.T.shape), [(M,), (2 * M,)], "gives"),
    (lambda s: s @ s, lambda s: s.T * s, [(S,), (S + 1,)], "gives"),
    (lambda m: m * 2, lambda m: m.T * 2, [(M,), (M + 1,)], "rows and columns are exchanged"),
    (lambda m: m.mean(0), lambda m: m.mean(1), [(M,), (M + 1,)], "for each row of `m`, expected"),
    (lambda w: w, lambda w: w[:, None], [(V,), (W,)], "their shape is not"),
    (lambda w: w, lambda w: w[:, None] - w, [(V,), (W,)], "table of all pairs"),
    (lambda w: w, lambda w: w[1:], [(V,), (W,)], "The shape is 3, expected 4"),
    (lambda w: w @ w, lambda w: w * w, [(V,), (W,)], "wanted: their sum"),
    (lambda w: 2 * w, lambda w: np.max(2 * w), [(V,), (W,)], "One number, where 4 are wanted"),
    (lambda a: (a, 2 * a), lambda a: a, [(2.0,), (0.5,)], "Expected 2 results"),
    (lambda a: (a, 2 * a), lambda a: (a, a), [(2.0,), (0.5,)], "Result 1 is right; result 2 is not."),
    (lambda a: np.maximum(a, 0), lambda a: a, [(2.0,), (-0.5,)], "0 is right"),
    (lambda a: np.abs(a), lambda a: a, [(2.0,), (-0.5,)], "but for the sign"),
    (lambda a, b: np.maximum(a, b), lambda a, b: a, [(2.0, 1.0), (-1.5, -0.5)], "Right where `a > b`"),
    (lambda a: np.log1p(a), lambda a: a - a**2 / 2, [(2.0,), (0.5,)], "for small `a` only"),
    (lambda a: a * np.log(2), lambda a: a * 0.693, [(2.0,), (0.5,)], "times the right answer"),
    (lambda a, b: a + np.sin(b), lambda a, b: a + np.cos(a), [(2.0, 1.0), (0.5, 3.0)],
     "does not change with `b`"),
    (lambda a, b: np.sqrt(2 * a * b), lambda a, b: b, [(0.5, 1.0), (2.0, 0.1), (3.0, 0.5)],
     "does not change with `a`"),
    (lambda a, b: a * b, lambda a, b: a, [(2.0, 3.0), (0.5, 1.5)], "`b` is always 1"),
    (lambda w: np.exp(w) / np.exp(w).sum(), lambda w: np.exp(w) / np.exp(w).max(), [(V,), (W,)],
     "add up to 1"),
    (lambda a: a, lambda a: a + 1e-6 * np.random.default_rng().random(), [(2.0,), (0.5,)],
     "two different results"),
    (lambda a: np.sqrt(a), lambda a: np.sqrt(-a), [(2.0,), (0.5,)], "It is no number"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "given", "cases", "said"), SAID)
def test_what_each_rule_says(right, given, cases, said):
    exercise = Write("f", Say("", ""), given, right, cases)
    verdict = judge(given, exercise)
    assert not verdict.right
    assert said in verdict.said.en


def test_that_many_answers_agree_at_zero_is_not_told_as_a_condition():
    cases = [(3.8, 0.5), (1.5, 4.0), (0.7, np.float64(0)), (np.float64(0), 0.5)]
    right = lambda mu, lam: mu / (mu + lam)
    for given in (lambda mu, lam: 1 - lam, lambda mu, lam: max(mu - lam, 0.0)):
        verdict = judge(given, Write("f", Say("", ""), given, right, cases))
        assert "Right where" not in verdict.said.en


def test_a_condition_does_not_rest_on_a_place_where_there_is_nothing():
    """Where all of x is 0 these agree with the right answer, and nowhere else."""
    cases = [
        (np.array([[1.0, 3.0], [2.0, -1.0], [0.5, 2.0]]), 0.8),
        (np.array([[0.2, -5.0, 1.0], [1.5, 4.0, 2.0]]), 0.4),
        (np.zeros((3, 2)), 0.7),
    ]
    right = lambda x, p: (1 - p) / p * (x**2).mean(0)
    for given in (
        lambda x, p: p * (x**2).mean(0),
        lambda x, p: (x**2).mean(0) / p**2,
        lambda x, p: p / (1 - p) * x.var(0),
    ):
        verdict = judge(given, Write("f", Say("", ""), given, right, cases))
        assert "Right where" not in verdict.said.en


def test_a_size_is_not_compared_with_a_length():
    """That ‖x‖ > 2 is needed here has nothing to do with the two columns of x."""
    right, given = lambda x: max(np.linalg.norm(x), 2.0), lambda x: np.linalg.norm(x)
    cases = [(np.array([[1.0, 3.0], [2.0, -1.0]]),), (np.array([[0.2, -1.0], [1.5, 0.4]]),)]
    verdict = judge(given, Write("f", Say("", ""), given, right, cases))
    assert "shape" not in verdict.said.en


@pytest.mark.parametrize(
    "body",
    ["np.argmin(w)", "(w < 0).mean()", "len(w)", "float(w[0] < 0)", "w.size - (w < 0).sum()"],
)
def test_what_changes_with_an_argument_now_and_then_is_not_said_not_to(body):
    """A place, a count or a share stays the same where the numbers move but a little."""
    limits = {Say("None is negative.", "没有负数。"): (np.array([4.0, 0.2, 5.0]),)}
    cases = [(np.array([3.0, -9.0, 0.1]),), (np.array([-0.5, 7.0, -2.0, 1.0]),)]
    right = lambda w: max(0.0, -w.min())
    space = {"np": np}
    exec("def f(w):\n    return ...", space)
    exercise = Write("f", Say("", ""), space["f"], right, cases, limits=limits)
    verdict = submitted(f"def f(w):\n    return {body}", exercise)
    assert "not change" not in verdict.said.en
    assert "whatever" not in verdict.said.en


@pytest.mark.parametrize("tiny", ["1e-6", "1e-9", "1e-10"])
def test_a_tiny_term_too_many_is_no_matter_of_brackets(tiny):
    """Inside a bracket it would be right within the tolerance: that is no advice."""
    limits = {Say("None is negative.", "没有负数。"): (np.array([4.0, 0.2, 5.0]),)}
    cases = [(np.array([3.0, -17.9, 0.1]),), (np.array([-0.5, 7.0, -2.0, 1.0]),)]
    space = {"np": np}
    exec("def f(w):\n    return ...", space)
    exercise = Write(
        "f", Say("", ""), space["f"], lambda w: max(0.0, -w.min()), cases, limits=limits
    )
    verdict = submitted(f"def f(w):\n    return max(0.0, -w.min()) + {tiny}", exercise)
    assert f"too large by `{float(tiny):g}`: a term too many" in verdict.said.en


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("a + b / c", "Line 2, `a + b / c`: the terms are right, the brackets are not."),
        ("(a * b) / c", "Line 2, `a * b`: another operator"),
        ("(a + b) / np.sqrt(3 * c)", ""),
        ("min(3, a + b) / c", "Line 2, `min(3, a + b)`: `min` does not belong there"),
        ("(a + np.cbrt(b)) / c", "Line 2, `np.cbrt(b)`: `np.cbrt` does not belong there"),
        ("c / (a + b) - 0", "one over"),
        ("(2 + b) / c", "Line 2, `2 + b`: something else belongs in the place of `2`"),
        ("(a * c + b) / c", "Line 2, `a * c`: a part of it does not belong there"),
        ("(a + b) / (3 + c)", "Line 2, `3 + c`: a part of it does not belong there"),
    ],
)
def test_where_one_change_makes_it_right(body, said):
    space = {"np": np}
    exec("def f(a, b, c):\n    return ...", space)
    cases = [(2.0, 3.0, 0.7), (0.5, 1.5, 1.9)]
    exercise = Write("f", Say("", ""), space["f"], lambda a, b, c: (a + b) / c, cases)
    verdict = submitted(f"def f(a, b, c):\n    return {body}", exercise)
    assert said in verdict.said.en


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("(a**2).sum() / (len(a) - 1)", "Line 2, `len(a) - 1`: `- 1` does not belong there."),
        ("(a**2).sum() / (a.size + 1)", "Line 2, `a.size + 1`: `+ 1` does not belong there."),
        ("(a**2).sum() / (1 + len(a))", "Line 2, `1 + len(a)`: `1 +` does not belong there."),
    ],
)
def test_an_operator_that_does_nothing_is_no_advice(body, said):
    """`* 1` in place of `- 1` would be right, too; but the 1 is what is too much."""
    exercise = one_of((V,), (W,), right=lambda a: (a**2).mean())
    verdict = submitted(f"def f(a):\n    return {body}", exercise)
    assert said in verdict.said.en


def test_the_larger_of_two_is_not_the_largest_along_an_axis(monkeypatch):
    monkeypatch.setattr(diagnosis, "PATIENCE", 60.0)  # however busy the machine is
    length = lambda a: np.linalg.norm(a, axis=1, keepdims=True)
    right = lambda a, b: np.maximum(length(a) - b, 0) * a / length(a)
    exercise = one_of((M, 3.0), (S, 0.9), (np.array([[3.0, 4.0], [0.3, 0.4]]), 1.0), right=right)
    code = "def f(a, b):\n    n = np.linalg.norm(a, axis=1, keepdims=True)\n    return {} * a / n"
    said = submitted(code.format("np.max(n - b, 0)"), exercise).said.en
    assert "Line 3, `np.max(n - b, 0)`: the second argument of `np.max` is an axis." in said


HALVED = [
    ("(2 * a * b)**1/2", "Line 2: `**1/2` is `**1`, divided by 2: `**` comes before `/`. Write `**(1/2)`."),
    ("np.sqrt(2 * a) * b ** 1 / 2", "Write `**(1 / 2)`."),
    ("(2 * a * b)**-1/2", "`**-1/2` is `**-1`, divided by 2"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "said"), HALVED)
def test_a_root_that_is_a_half_is_told_before_the_mistake_that_it_comes_to(body, said):
    exercise = one_of((0.5, 1.0), (2.0, 0.1), right=lambda a, b: np.sqrt(2 * a * b))
    exercise = replace(exercise, mistakes={Say("Of L1.", "L1 的。"): lambda a, b: a * b})
    verdict = submitted(f"def f(a, b):\n    return {body}", exercise)
    assert said in verdict.said.en
    assert "L1" not in verdict.said.en
    assert "L1" in submitted("def f(a, b):\n    return a * b", exercise).said.en
    assert (
        "divided" not in submitted("def f(a, b):\n    return a**3/2 + b**(1/2)", exercise).said.en
    )


@pytest.mark.parametrize("zero", [np.float64(0), 0.0], ids=["NumPy", "Python"])
@pytest.mark.parametrize(
    ("body", "said"),
    [("(a + b) / a", "Turn it round"), ("a / a + b", "the brackets are not"), ("1 + b / a**2", "")],
)
def test_a_division_by_zero_hides_no_reason(body, said, zero, monkeypatch):
    monkeypatch.setattr(diagnosis, "PATIENCE", 60.0)  # however busy the machine is
    exercise = one_of((3.8, 0.5), (0.2, 0.5), (1.5, 4.0), right=lambda a, b: a / (a + b))
    exercise = replace(exercise, limits={Say("μ = 0: nothing.", "μ = 0：没有。"): (zero, 0.5)})
    verdict = submitted(f"def f(a, b):\n    return {body}", exercise)
    assert verdict.said.en.startswith("`f(0, 0.5)`")
    there = {float: "it divides by 0", np.float64: "μ = 0: nothing"}[type(zero)]
    assert there in verdict.said.en
    assert said in verdict.said.en


def test_a_square_of_the_right_answer_is_no_factor():
    exercise = one_of((3.8, 0.5), (0.2, 0.7), (1.5, 4.0), right=lambda a, b: a / (a + b))
    assert "square" not in submitted("def f(a, b):\n    return a / (a + b)**2", exercise).said.en


def test_a_change_inside_a_loop_is_found():
    code = (
        "def left_over(lr, strength, steps):\n    left = 1.0\n    for _ in range(steps):\n"
        "        left = left * (1 + lr * strength * left)\n    return left"
    )
    assert "Line 4" not in submitted(code, asked(FORMULAS[0])).said.en  # two changes
    code = code.replace(" * left)", ")").replace("1 +", "2 -")
    assert "Line 4, `2 - lr * strength`" in submitted(code, asked(FORMULAS[0])).said.en


def test_a_loop_that_forgets_what_it_had_is_said():
    code = (
        "def left_over(lr, strength, steps):\n    left = 1.0\n    for _ in range(steps):\n"
        "        left = 1 - lr * strength\n    return left"
    )
    assert "The loop in line 3 sets `left` anew" in submitted(code, EXERCISE).said.en
    assert "anew" not in submitted(code.replace("= 1 - ", "-= "), EXERCISE).said.en


LOOP = (
    "def left_over(lr, strength, steps):\n    left = 1.0\n    for _ in range({}):\n"
    "        {}\n    return left"
)


@pytest.mark.parametrize(
    ("many", "body", "said"),
    [
        ("steps", "return left * (1 - lr * strength)", "Line 4: `return` stands inside the loop"),
        ("steps", "left == left * (1 - lr * strength)", "`==` only compares"),
        ("1, steps", "left *= 1 - lr * strength", "with `steps − 1` in place of `steps`"),
        ("steps + 1", "left *= 1 - lr * strength", "with `steps + 1` in place of `steps`"),
        ("steps", "left *= (1 - lr * strength)**steps", "with `steps²` in place of `steps`"),
    ],
)
def test_what_a_loop_does_otherwise_than_it_seems(many, body, said):
    """At 0 steps too, where a loop that is one short does as much as the right one."""
    limits = {Say("No step: all is left.", "一步不走：全都留下。"): (0.1, 0.5, 0)}
    verdict = submitted(LOOP.format(many, body), asked(FORMULAS[0], limits=limits))
    assert said in verdict.said.en


def one_of(*cases, right):
    """An exercise about a function ``f`` of what the cases hold."""
    space = {"np": np}
    exec(f"def f({', '.join('abcd'[: len(cases[0])])}):\n    return ...", space)
    return Write("f", Say("", ""), space["f"], right, [*cases])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return [a + b, a * b]", "wanted: the last of yours"),
        ("return [a * b, a + b]", "wanted: the first of yours"),
        ("return [a * b]", "without the brackets `[ ]`"),
        ("return [a * b / 2, a * b / 2]", "wanted: their sum"),
        ("return [a, b]", "2 numbers, where a single one is wanted"),  # at (2, 2) their sum is right
        ("out = []\n    for k in range(int(b)):\n        out.append(a)\n    return out", "numbers, where"),
        ("return a.slope", "`a` is a plain number here"),
        ("return np.sqrt(-1 - a**2)", "gives nan, expected"),
        ("return (a, ...)", "Replace the `...`"),
        ("return [[...], 1]", "Replace the `...`"),
        ("return a / (b - 0.5)", "`f(2, 0.5)` does not run; expected 1. Line 2: it divides by 0."),
        ("return input()", "use the arguments"),
        ("return np.ones(10**15)", "more memory"),
        ("return 'x' * 90", "xxx…`, which is no number"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_number_is_true_of_it(body, said):
    exercise = one_of((2.0, 2.0), (2.0, 0.5), (-3.0, 1.5), (1e-12, 4.0), right=lambda a, b: a * b)
    assert said in submitted(f"def f(a, b):\n    {body}", exercise).said.en


def test_an_argument_that_is_no_whole_number_is_no_place_in_an_array():
    w = np.array([3.0, -0.5, 2.0])
    right = lambda w, lam, half: lam * w if half else 2 * lam * w
    cases = [(w, 0.4, True), (w, 0.4, False), (w[:2], 0.0, False)]
    written = Write("slope", Say("", ""), lambda w, lam, half: ..., right, cases)
    said = judge(lambda w, lam, half: 2 * half * lam * w, written).said.en
    assert "entry" not in said


def test_a_call_is_shown_as_it_was_made():
    exercise = one_of((1e-12, 3), (0.1 + 0.2, 2), right=lambda a, b: a + b + 1)
    said = submitted("def f(a, b):\n    return a + b", exercise).said.en
    assert said.startswith("`f(1e-12, 3)` gives 3, expected 4.")


def test_an_error_of_the_judge_leaves_the_numbers(monkeypatch):
    monkeypatch.setattr(judging, "diagnose", None)
    verdict = judge(lambda *args: 7.0, EXERCISE)
    assert verdict.level in ("numbers", "limit")
    assert "gives 7" in verdict.said.en


def test_of_several_results_it_is_said_which_is_meant():
    exercise = one_of((2.0, 3.0), (0.5, 1.5), right=lambda a, b: (a + b, a * b))
    verdict = submitted("def f(a, b):\n    return a + b, a * b**2", exercise)
    said = "Result 1 is right; result 2 is not. Result 2 is `b` times the right answer."
    assert verdict.said.en.endswith(said)
    verdict = submitted(
        "def f(a, b):\n    return (a + b) * b, a", exercise
    )  # not both are b times it
    assert verdict.said.en.endswith(" Result 1 is `b` times the right answer.")
    assert "第 1 个结果是正确答案的 `b` 倍。" in verdict.said.zh


def test_a_name_that_is_not_there_is_answered_by_those_that_are():
    space = {"np": np}
    lesson = (
        "def data(): ...\ndef train(): data()\ndef answer(a): return abs(a)\ndef f(a): return ..."
    )
    exec(lesson, space)
    exercise = Write("f", Say("", ""), space["f"], space["answer"], [(1.0,)])
    shown = [Code(space["train"], "answer = train()", Say("", ""))]
    verdict = submitted("def f(a):\n    return thing", exercise, shown)
    assert verdict.said.en.endswith("there is no `thing`. There are `a`, `np`, `train`, `data`.")
    assert "名称 `thing` 未定义。可用的有 `a`、`np`、`train`、`data`。" in verdict.said.zh
    assert (
        "there is no `answer`"
        in submitted("def f(a):\n    return answer(a)", exercise, shown).said.en
    )


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: str(lesson.number))
def test_what_a_lesson_lends_to_its_readers_holds_no_answer_and_no_picture(lesson):
    opened = lesson.open()
    code, *exercises = opened.one(Code), *opened.of(Write)
    lent = seen(opened.names, opened.parts, *(e.stub.__code__ for e in exercises))
    functions = {v for v in lent.values() if callable(v)}
    needed = opened.names["np"], opened.names["mr"], code.function
    assert {*map(id, needed)} <= {*map(id, lent.values())}
    told = re.findall(r"`(\w+)\(", code.says.en)
    assert {name for name in told if name in opened.names} <= lent.keys()
    for exercise in exercises:
        assert not functions & {exercise.right, *exercise.mistakes.values()}
    assert not functions & {scene.picture for scene in opened.of(Scene)}


def test_while_loops_are_left_alone():
    code = (
        "def left_over(lr, strength, steps):\n    left, t = 1.0, 0\n    while t < steps:\n"
        "        left, t = left * (2 - lr * strength), t + 1\n    return left"
    )
    verdict = submitted(code, asked(FORMULAS[0]))
    assert verdict.tried
    assert "Line" not in verdict.said.en


def test_products_read_as_one_would_write_them():
    assert written(2.0, {}) == "2"
    assert written(-0.5, {"w": 1.0}) == "−w/2"
    assert written(1.0, {"a": -2.0, "b": 3.0}) == "b³/a²"
    assert written(np.sqrt(2), {"a": 0.5}) == "√2·√a"
    assert written(0.37123412, {}) == "0.371234"


# --- what does not run ----------------------------------------------------------------------------

PLAIN = [
    ("expected a colon", "a colon"), ("a bracket", "never closed"), ("a power", "a power is `**`"),
    ("no return", "start the line that holds the result with `return`"), ("print", "`print` only shows"),
    ("near", "Did you mean `strength`?"), ("math", "`math` is not imported"),
    ("two names", "an operator (times is `*`)"), ("exp", "write `np.exp`"),
    ("indentation", "the indentation is off"), ("call", "taken for a function"),
    ("arguments", "keep the line `def left_over(lr, strength, steps):`"),
    ("name", "There is no function `left_over`"), ("minus", "only looks like a minus"),
    ("number and name", "a number stands directly before a name"),
    ("lambda", "`lambda` is a word of Python"), ("loop", "the indentation is off"),
    ("before", "`left` is used before it has a value"), ("near name", "Did you mean `steps`?"),
    ("numpy", "there is no `np.exponential`"), ("text", "no number and no array"),
]  # fmt: skip


def test_what_looks_the_same_is_shown_where_it_differs():
    def f(w):
        return ...

    cases = [(np.arange(9.0),), (np.arange(3.0),)]
    wrong = judge(
        lambda w: (w, np.where(w == 7, 0, w)), Write("f", Say("", ""), f, lambda w: (w, w), cases)
    )
    assert wrong.said.en.startswith("`f([0, 1, …])[1][7]` gives 0, expected 7.")
    nearly = judge(lambda w: w.sum() * (1 + 1e-8), Write("f", Say("", ""), f, np.sum, cases))
    assert nearly.said.en.startswith("`f([0, 1, …])` gives 36.00000036, expected 36.")


def test_a_letter_that_is_not_latin_stays_as_it_is():
    said = Say("λ alone does not shrink.", "单靠 λ 不会收缩。")
    mistakes = {said: lambda lr, strength, steps: (1 - strength) ** steps}
    verdict = judge(next(iter(mistakes.values())), asked(FORMULAS[0], mistakes=mistakes))
    assert verdict.said.en.endswith(said.en)


@pytest.mark.parametrize(
    ("code", "said"), [*zip(CODE, [s for _, s in PLAIN], strict=True)], ids=[n for n, _ in PLAIN]
)
def test_what_does_not_run_is_said_in_plain_words(code, said):
    verdict = submitted(code, asked(FORMULAS[0]))
    assert not verdict.right
    assert verdict.tried
    assert said in verdict.said.en
    assert re.search("[一-鿿]", verdict.said.zh)
    assert "Error" not in verdict.said.en


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / (steps - steps)", "it divides by 0"),
        ("return (lr，strength)", "`，` is a full-width character"),
        ("return lr²", "A power is written `**`"),
        ("return lr × strength", "times is `*`"),
        ("return lr + strength)", "closing bracket too many"),
        ("return 'a", "a quotation mark is missing"),
        ("if lr = 1:\n        return 1", "a comparison is `==`"),
        ("return left_over(lr, strength, steps)", "calls itself without end"),
        ("return [1, 2][5]", "no such entry"),
        ("return lr[0]", "a single number has no entries"),
        ("return np.ones(3) + np.ones(2)", "do not fit entry by entry"),
        ("return np.ones((2, 3)) @ np.ones(2)", "want as many columns on the left"),
        ("return lr @ strength", "not work between `float` and `float`"),
        ("return np.linalg.inv(np.zeros((2, 2)))", "singular"),
        ("return np.linalg.inv(np.ones((2, 3)))", "must be square"),
        ("import kitchen\n    return kitchen.exp(lr)", "there is no `kitchen` here"),
        (
            "return np.float64(2) ** 2 if max(np.ones(2), 0) else 1",
            "want one number and got an array",
        ),
        ("return None + 1", "one of the values is `None`"),
        ("return float(np.ones(2))", "a function for one number got an array"),
        ("return left + 1", "There are `lr`, `strength`, `steps`, `np`"),
        ("raise KeyError('x')", "KeyError"),
        ("exit()", "ends Python itself"),
        ("if steps == 20:\n        return 1.0", "some way through the function ends"),
        ("return left * ...", "is no `left`"),
        ("return lr * ...", "Replace the `...`"),
        ("pass", "Replace the `...`"),
        ("return None", "gives nothing back"),
        ("return {}", "no number and no array"),
    ],
)
def test_errors_are_said_in_plain_words(body, said):
    verdict = submitted(f"def left_over(lr, strength, steps):\n    {body}", asked(FORMULAS[0]))
    assert said.lower() in verdict.said.en.lower()
    assert re.search("[一-鿿]", verdict.said.zh)


def test_the_line_of_an_error_is_the_readers():
    code = (
        "\ndef left_over(lr, strength, steps):\n    left = 1\n    left = left / 0\n    return left"
    )
    assert "Line 4: it divides by 0" in submitted(code, asked(FORMULAS[0])).said.en


def test_an_error_at_a_limit_is_said_there():
    code = "def left_over(lr, strength, steps):\n    return (1 - lr * strength) ** steps / steps * steps"
    assert "`left_over(0.1, 0.5, 0)` does not run" in submitted(code, EXERCISE).said.en


# --- what the page asks for -----------------------------------------------------------------------


def test_check_replies_in_plain_data():
    code = "def left_over(lr, strength, steps):\n    print('x' * 20000)\n    return lr"
    reply = check([None, EXERCISE], "left_over", code)
    assert (reply["right"], reply["tried"]) == (False, True)
    assert set(reply["said"]) == {"en", "zh"}
    assert reply["printed"] == "x" * 10_000 + "\n… and more"


def test_what_an_answer_prints_where_only_diagnosis_asks_is_not_shown():
    """Once for each case and limit, whatever is found out about it."""
    body = "\n    print(lr)\n    return 0.9 * (1 - lr * strength) ** steps"
    reply = check([EXERCISE], "left_over", f"def left_over(lr, strength, steps):{body}")
    cases = [*EXERCISE.cases, *EXERCISE.limits.values()]
    assert reply["level"] == "limit"
    assert "times the right answer" in reply["said"]["en"]
    assert reply["printed"].split() == [str(case[0]) for case in cases]


def test_check_names_what_there_is():
    recall = Recall("again", Say("", ""), 1, ())
    with pytest.raises(LookupError, match="no exercise 'again' to write; there are left_over"):
        check([recall, EXERCISE], "again", "")
    with pytest.raises(LookupError, match="there are none"):
        check([], "left_over", "")


def test_an_answer_has_the_namespace_of_the_lesson_and_leaves_it_alone():
    space = EXERCISE.stub.__globals__
    before = dict(space)
    code = "np2 = np\ndef left_over(lr, strength, steps):\n    global np\n    np = 1\n    return np2.exp(0)"
    submitted(code, EXERCISE)
    assert space == before


def test_the_text_of_a_function_is_its_own():
    def undecorated(a, b=1):
        """What it does."""
        return a + b

    halve = lambda a, b: a / 2 + b

    assert source(undecorated, "shown").splitlines()[0] == "def shown(a, b=1):"
    assert source(halve, "halve") == "def halve(a, b):\n    return a / 2 + b"
    with pytest.raises(OSError, match=r"source|text"):
        source(FunctionType(compile("1", "<nowhere>", "eval"), {}))


# --- the sentences --------------------------------------------------------------------------------


def test_a_sentence_begins_with_a_capital_and_a_formula_as_it_is_written():
    said = (
        "that is lost.",
        "a filter.",
        "k = 0: none.",
        "a = 0.",
        "f(x) = x.",
        "cos(kt) is.",
        "λ = 0.",
    )
    assert judging.joined(None, *(Say(text, text) for text in said)) == Say(
        "That is lost. A filter. k = 0: none. a = 0. f(x) = x. cos(kt) is. λ = 0.", "".join(said)
    )


def test_every_sentence_is_there_in_both_languages_with_the_same_values():
    sentences = [both for kind in TEXT if kind != "errors" for both in TEXT[kind].values()]
    sentences += [[entry["en"], entry["zh"]] for entry in TEXT["errors"]]
    assert len(sentences) > 100
    for en, zh in sentences:
        assert set(re.findall(r"\{\w*\}", en)) == set(re.findall(r"\{\w*\}", zh)), en
        assert re.search("[一-鿿]", zh), zh
        assert not re.search("[一-鿿]", en), en


def test_every_sentence_is_said_somewhere():
    """A key is written out, or is made of an entry of a table."""
    code = "".join(
        Path(diagnosis.__file__).with_name(f"{name}.py").read_text("utf-8")
        for name in ("judge", "diagnosis")
    )
    strings = {n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant)}
    for kind in TEXT:
        for name in TEXT[kind] if kind != "errors" else ():
            assert {name, f"{kind}.{name}"} & strings, f"{kind}.{name}"


def test_values_are_filled_in():
    assert say("product.factor", product="2").en == "Yours is `2` times the right answer."
    assert inspect.signature(diagnose).parameters
