"""Random programs against PyTorch: the first of those that tools/fuzz.py runs by the thousand."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools"))
pytest.importorskip("torch")

import fuzz

PROGRAMS, AT_A_TIME = 200, 50


@pytest.mark.filterwarnings("ignore")  # PyTorch's, of graphs that refer to themselves
@pytest.mark.parametrize("first", range(0, PROGRAMS, AT_A_TIME))
def test_programs_find_what_torch_finds(first):
    kinds = []
    for program, outcome, who in fuzz.fuzz(0, range(first, first + AT_A_TIME)):
        assert who in fuzz.EXPLAINED, f"{program}\n{outcome}\n=> {who}"
        kinds.append(outcome.kind)
    assert kinds.count("same") > 0.8 * AT_A_TIME


@pytest.mark.filterwarnings("ignore")
def test_a_replay_that_forgets_inputs_is_found_and_shown(forgetful_replay):
    found = (found for found in fuzz.fuzz(0, range(PROGRAMS)) if found[2])
    program, outcome, who = next(found)
    assert outcome.label.split()[1:3] == ["gradient", "2"]
    assert who == "minireg is wrong"
    assert len(program.rounds[-1].statements) <= 5, program
