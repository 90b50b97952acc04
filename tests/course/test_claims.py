"""Every claim of the source texts is measured, and what it measures is this framework."""

import doctest
import inspect
import json
import multiprocessing
import os
import random
import re
import runpy
import signal
import subprocess
import sys
from functools import cache, partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from support import strict
from support.faults import FAULTS, plant
from support.few import slow_unless
from support.gpu import on_gpu

import minireg as mr
from minireg.cli import course
from minireg.cli import main as cli
from minireg.course import claims
from minireg.course.claims import Claim, breaks, claim, corrects, holds, load, reports, select
from minireg.course.lessons import lessons

ALL, ROOT = load(), Path(__file__).parents[2]


@cache
def measured(name, home="numpy"):
    """The claim's result on a backend, measured once; its figures lie in their ranges."""
    with mr.use_backend(home):
        result = ALL[name]()
    assert result, f"\n{result}"
    return result


SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def numbers(text):
    """The numbers in a text, 3·10⁻⁸ and 10⁵ among them, each with half a unit of its last digit."""
    plain = re.sub(
        r"(·?)10([⁻⁰¹²³⁴-⁹]+)",
        lambda m: ("" if m[1] else "1") + "e" + m[2].translate(SUPERSCRIPT),
        text,
    )
    for digits, power in re.findall(r"(\d*\.?\d+)(?:e(-?\d+))?", plain):
        scale = 10.0 ** int(power or 0)
        decimals = len(digits.partition(".")[2])
        yield float(digits) * scale, 0.5 * 10.0**-decimals * scale


def forms(figure):
    """How a sentence may give a figure: as it is, what is missing to 1, each also in per cent."""
    value = 10**figure.value if "log₁₀" in figure.what else abs(figure.value)
    return [value, abs(1 - value), 100 * value, 100 * abs(1 - value)]


def unmeasured(c, figures):
    """Numbers in what is said against a claim that were not measured, and that it was not given."""
    values = [value for figure in figures for value in forms(figure)]
    texts = [c.statement, c.corrected, inspect.getsource(c.measure), *(f.what for f in figures)]
    given = [x for x, _ in numbers(" ".join(texts))]
    for said in filter(None, (c.seems, c.refutation)):
        for x, half in numbers(said.en):  # a training ends a little elsewhere on another machine
            if x not in given and all(abs(x - v) > max(half, 0.05 * x) for v in values):
                yield x


def takes(name):
    """Seconds that its figures took when they were recorded."""
    return claims.measured()[name].seconds


@pytest.mark.parametrize("name", slow_unless(lambda name: takes(name) < 0.3, ALL))
def test_claim(name):
    """It holds, and what is on record is what it measures, as is what is said against it."""
    found, stored = measured(name), claims.measured()[name]
    assert stored, f"{stored}\npython tools/make_measured.py"
    assert [f._replace(value=0) for f in stored.figures] == [
        f._replace(value=0) for f in found.figures
    ], "python tools/make_measured.py"
    assert not [*unmeasured(ALL[name], found.figures)], "in lessons/claims/words.toml"


def test_the_record_has_every_claim_as_the_tool_writes_it():
    text = runpy.run_path(str(ROOT / "tools" / "make_measured.py"))["text"]
    stored = claims.measured()
    assert [*stored] == [*ALL]
    assert text(stored) == (claims.LESSONS / "claims" / "measured.json").read_text("utf-8")


@pytest.mark.slow
def test_processes_measure_what_one_does():
    chosen = select("decay")
    one, two = (list(claims.measure_all(chosen, jobs)) for jobs in (1, 2))
    assert [r.claim for r in two] == chosen
    for a, b in zip(one, two, strict=True):
        assert [f.what for f in a.figures] == [f.what for f in b.figures]
        values = [[f.value for f in r.figures] for r in (a, b)]
        np.testing.assert_allclose(*values, rtol=1e-6, atol=1e-12)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_whoever_stops_early_ends_the_processes():
    running = claims.measure_all(select("decay"), jobs=2)
    next(running)
    assert len(multiprocessing.active_children()) == 2
    running.close()
    assert not multiprocessing.active_children()


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False], ids=["the terminal's group", "one process"])
def test_ctrl_c_ends_all_processes_without_a_traceback(whole):
    command = [sys.executable, "-m", "minireg", "claims", "--jobs", "2", "--explain"]
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # in the background it is ignored
    with subprocess.Popen(command, env=env, text=True, start_new_session=True, preexec_fn=heard,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout.readline().startswith("C01")
        (os.killpg if whole else os.kill)(process.pid, signal.SIGINT)
        _, said = process.communicate()  # until the last of them has let go of the pipe
    assert (process.returncode, said) == (130, "minireg claims: interrupted\n")


@on_gpu
@pytest.mark.parametrize("name", ALL)
def test_claim_on_a_device(name):
    measured(name, "cupy")


BRIEF = [name for name in ALL if takes(name) < 0.5]  # others take seconds there
TOPIC = attrgetter("topic")
DRAW = random.Random(268)  # which draws none that takes seconds there
DRAWN = {  # a claim of each topic
    DRAW.choice([c.id for c in claims if c.id in BRIEF])
    for _, claims in groupby(sorted(ALL.values(), key=TOPIC), TOPIC)
}


@pytest.mark.parametrize("name", slow_unless(DRAWN.__contains__, BRIEF))
def test_claim_where_models_live_elsewhere(name):
    with strict.registered():
        measured(name, "strict")


def test_a_figure_is_plain_numbers_whatever_it_was_given():
    figure = holds("ratio", np.float32(1), at_least=np.float64(0), at_most=np.float64(2))
    assert json.loads(json.dumps([*figure, figure.passed])) == [
        "holds",
        "ratio",
        1.0,
        2.0,
        0.0,
        True,
    ]


# --- the collection ----------------------------------------------------------------------------------


def test_every_claim_is_there_with_its_source_and_its_derivation():
    assert list(ALL) == [f"C{i:02}" for i in range(1, 136)]
    for c in ALL.values():
        assert re.match(r"00[0-4] ", c.source), c
        assert re.search(r"[\u4e00-\u9fff]", c.title), f"{c}: the Chinese term is missing"
        assert len(c.derivation) > 40, f"{c}: no derivation"
        assert len(c.conventions) > 40, f"{c}: its file says nothing of halves, means and letters"


@pytest.mark.parametrize("name", ALL)
def test_what_a_claim_gives_to_try_is_so(name, capsys):
    names = {}
    exec(claims.IMPORTS, names)
    mr.manual_seed(0)
    example = doctest.DocTestParser().get_doctest(ALL[name].example, names, name, None, 0)
    assert example.examples
    assert not doctest.DocTestRunner().run(example).failed, capsys.readouterr().out


def test_figures_do_not_depend_on_what_ran_before():
    quick = [
        c for t in ("decay", "sparsity") for c in select(t) if claims.measured()[c.id].seconds < 0.2
    ]
    assert len(quick) > 10
    first = {c.id: measured(c.id).figures for c in quick}
    assert first == {c.id: c().figures for c in reversed(quick)}


# --- what is said of it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_claim_is_said_in_two_languages(name):
    c = ALL[name]
    assert c.certainty in claims.CERTAINTIES
    assert re.search(r"[\u4e00-\u9fff]", c.title_zh)
    assert re.search(r"[\u4e00-\u9fff]", c.statement_zh)
    assert bool(c.corrected_zh) == bool(c.corrected)
    for said in (c.seems, c.refutation):
        assert (said is not None) == (c.verdict in claims.WRONG)
        assert said is None or (said.en and said.zh)


# --- what a claim is --------------------------------------------------------------------------------------


@pytest.fixture
def scratch(monkeypatch):
    """A collection of claims that nobody else sees."""
    monkeypatch.setattr(claims, "CLAIMS", {})


def enter(*figures, verdict="TRUE", corrected="", error=None):
    @claim("C9", verdict, "000 §1", "a title (词)", "what it says", corrected)
    def program():
        """Because."""
        yield from figures
        if error:
            raise error

    return program()


@pytest.mark.usefixtures("scratch")
def test_a_claim_passes_when_all_its_figures_lie_in_their_ranges():
    assert enter(holds("a", 1.0, at_most=1), reports("b", 7))
    assert not enter(holds("a", 1.0, at_most=1), holds("b", 2.0, at_least=3))
    assert not enter(holds("a", float("nan"), at_most=1))
    assert not enter(), "what measures nothing passes nothing"
    result = enter(holds("a", 1, at_most=2), error=ValueError("no"))
    assert (bool(result), result.error, len(result.figures)) == (False, "ValueError: no", 1)
    assert "FAILED: ValueError: no" in str(result)


@pytest.mark.usefixtures("scratch")
def test_a_wrong_statement_needs_counterexample_and_correction():
    with pytest.raises(ValueError, match="needs a corrected statement"):
        enter(verdict="IMPRECISE")
    half = enter(breaks("a", 1, at_least=0), verdict="IMPRECISE", corrected="so")
    assert not half
    assert "counterexample and a correction" in half.error
    assert enter(breaks("a", 1, at_least=0), corrects("b", 0, at_most=1),
                 verdict="FALSE AS STATED", corrected="so")  # fmt: skip
    with pytest.raises(ValueError, match="verdict 'MAYBE' is none of"):
        enter(verdict="MAYBE")


@pytest.mark.usefixtures("scratch")
def test_a_new_claim_is_told_that_it_needs_words():
    with pytest.raises(LookupError, match=r"^claim C9: .*words.toml has no table \[C9\]"):
        enter(holds("a", 1)).to_dict()


@pytest.mark.usefixtures("scratch")
def test_two_claims_cannot_have_one_id():
    enter(holds("a", 1))
    with pytest.raises(ValueError, match=r"claim C9 is at .* and at"):
        claim("C9", "TRUE", "000 §1", "t", "s")(lambda: iter(()))


def test_figures_show_value_and_range():
    shown = [holds("e", 0.25, at_most=1), holds("e", 2, at_least=1), holds("e", 3, at_most=3, at_least=3),
             holds("e", 5, at_most=6, at_least=4), reports("e", 1e-9), holds("e", 9, at_most=1)]  # fmt: skip
    assert [f"{f!r}" for f in shown] == [
        "e: 0.25 (≤ 1)", "e: 2 (≥ 1)", "e: 3 (exactly 3)", "e: 5 (4 to 6)", "e: 1e-09", "e: 9 (≤ 1) FAILED",
    ]  # fmt: skip


class Interrupts(mr.nn.Module):
    def forward(self, x):
        raise KeyboardInterrupt


def cut_short():
    model = mr.nn.Sequential(mr.nn.Linear(1, 1), Interrupts())
    optimizer = mr.optim.SGD(model.parameters(), 0.1)
    mr.fit(model, mr.nn.MSELoss(), optimizer, (np.ones((4, 1)), np.ones((4, 1))), epochs=1)


@pytest.mark.usefixtures("scratch")
def test_ctrl_c_in_a_training_is_no_verdict_on_the_claim(capsys, monkeypatch):
    """fit returned what it had, the claim was judged by it, and the next one began."""

    @claim("C9", "TRUE", "000 §1", "a title (词)", "what it says")
    def program():
        """Because."""
        cut_short()
        yield holds("what only a whole training shows", 0, at_most=1)

    with pytest.raises(KeyboardInterrupt):
        program()
    monkeypatch.setattr(course, "select", lambda topic, ids, find: [program, program])
    code, out = run(capsys)
    assert (code, out.out, out.err) == (130, "", "minireg claims: interrupted\n")
    cut_short()  # by itself, fit gives back what it has


# --- the command -----------------------------------------------------------------------------------------


def run(capsys, *flags):
    code = cli.main(["claims", *flags])
    return code, capsys.readouterr()


def test_the_command_prints_a_table(capsys):
    code, out = run(capsys, "--id", "C22", "c27")
    assert code == 0
    assert re.search(r"C22 .*C27 .*2 claims: 1 true, 1 false as stated", out.out, re.S)


def test_the_command_explains(capsys):
    code, out = run(capsys, "--id", "C27", "--explain")
    assert code == 0
    for part in ("004 §举个例子", "the text says", "why it seems right", "against it", "也会被拉回 2%",
                 "certainty\n  exact identity", "corrected", "because", "measured", "decay.py:",
                 "conventions\n  L2 is ½λ‖θ‖²", "try it\n  >>> import numpy", "9.98\n"):  # fmt: skip
        assert part in out.out
    assert "lesson\n  minireg lesson 1\n" in out.out
    assert "lesson\n  minireg lesson 2\n" in run(capsys, "--id", "C23", "--explain")[1].out


def test_the_command_prints_json(capsys, monkeypatch):
    stored = claims.measured()  # a fresh run is what test_claim compares it with
    monkeypatch.setattr(Claim, "__call__", lambda self: stored[self.id])
    code, out = run(capsys, "--topic", "decay", "--json")
    found = json.loads(out.out)
    assert code == 0
    assert [c["id"] for c in found] == [f"C{i}" for i in range(22, 32)]
    assert {
        "id", "source", "statement", "verdict", "passed", "measured", "seconds", "certainty",
        "statement_zh", "corrected_zh",
    } <= found[0].keys()  # fmt: skip
    assert found[5]["seems"].keys() == {"en", "zh"}
    assert found[0]["seems"] is None
    assert all(isinstance(v, float) for c in found for v in c["measured"].values())


def test_the_command_prints_the_errata(capsys):
    code, out = run(capsys, "--id", "C22", "C27", "--errata")
    assert code == 0
    assert "C27" in out.out
    assert "C22" not in out.out
    assert "- Against it:\n  - share of 2 % that is reached: 0.1 (≤ 0.5)" in out.out


def test_the_page_of_errata_is_the_one_the_claims_make():
    """Statements and corrections; the figures on it are those of one machine."""
    page = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
    figures = r"(?m)^  - .*\n|^- What is true of it:\n"
    empty = claims.errata(claims.Result(c, (), 0.0) for c in ALL.values())
    assert re.sub(figures, "", page) == re.sub(figures, "", empty), (
        "minireg claims --errata > docs/errata.md"
    )


def test_the_readme_counts_the_verdicts():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    wrong = [sum(c.verdict == verdict for c in ALL.values()) for verdict in claims.WRONG]
    assert f"make {len(ALL)} claims." in readme
    assert f"{wrong[0]} are imprecise and {wrong[1]} false as stated" in " ".join(readme.split())
    chinese = (ROOT / "README.zh.md").read_text(encoding="utf-8")
    assert f"共有 {len(ALL)} 条论断" in chinese
    assert f"{wrong[0]} 条不准确，{wrong[1]} 条照原文不成立" in chinese
    assert f"{len(lessons())} 节短课" in chinese


def test_a_claim_that_fails_is_exit_code_1(capsys, monkeypatch):
    plant(monkeypatch, FAULTS["M44"])
    code, out = run(capsys, "--id", "C47")
    assert code == 1
    assert "FAILED" in out.out


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["--id", "C999"], "no claim 'C999'; there are C01 to "), (["--id", "x"], "no claim 'x'"),
     (["--topic", "x"], "no topic 'x'; there are objective, "),
     (["--id", "C01", "C23", "--topic", "decay"], "no claim C01 in topic decay; it is in objective"),
     (["--explian"], "minireg claims: unrecognized arguments: --explian; did you mean --explain?"),
     (["--json", "--errata"], "not allowed with")],
)  # fmt: skip
def test_a_wrong_flag_is_exit_code_2(capsys, flags, message):
    with pytest.raises(SystemExit) as stop:
        cli.main(["claims", *flags])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("place", ["定理10.10", "定理 10.10"])
def test_claims_are_found_by_their_place_in_a_text_however_it_is_spaced(place):
    found = {c.id for c in select(find=place)}
    assert found == {c.id for there in (claims.by_place()["000"]["定理 10.10"],) for c in there}


def test_claims_are_found_by_a_word_of_either_language_and_within_a_topic():
    assert "C39" in {c.id for c in select(find="adamw")}
    assert {c.id for c in select(find="权重衰减")}
    assert {c.topic for c in select("decay", find="L2")} == {"decay"}
    with pytest.raises(LookupError, match="no claim has 'zzz'"):
        select(find="zzz")
