"""Run.save and Run.load: a run from a file shows what the run itself showed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from support import strict

import minireg as mr
from minireg import checkpoint, nn
from minireg.inspect import kept
from minireg.penalties import L1, L2
from minireg.random import Stream, seeds_state

pytest.importorskip("safetensors")


@cache
def runs() -> dict[str, mr.Run]:
    """A plain run and one with all there is to keep; the second stopped early and is in float64."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    found = {}
    for label in ("plain", "regularized"):
        mr.manual_seed(3)
        on = label == "regularized"
        layers = [
            nn.Linear(4, 8),
            nn.BatchNorm(8),
            nn.ReLU(),
            nn.Dropout(0.5 * on),
            nn.Linear(8, 3),
        ]
        model = nn.Sequential(*layers)
        terms = {"l2": L2(1e-2), "l1": mr.Term(L1(1e-2), on="0.*", via="prox")} if on else {}
        objective = mr.Objective(nn.CrossEntropyLoss(), terms)
        if on:
            model.double()
        optimizer = mr.optim.SGD(mr.optim.decay_groups(model, 0.1 * on), 0.1, 0.9)
        ledger = mr.Ledger(optimizer, accumulate=True) if on else None
        stop = mr.optim.EarlyStopping(3) if on else None
        history = mr.fit(
            model, objective, optimizer, (x[:30], y[:30]), (x[30:], y[30:]), epochs=12, ledger=ledger,
            early_stopping=stop, watch={"wrong": (x[:5], y[:5]), "true": (x[:5], y[5:10])}, progress=False,
        )  # fmt: skip
        found[label] = mr.Run(history, model, objective.assignments(), ledger, 5 * on)
    return found


def saved(folder, runs):
    for label, run in runs.items():
        run.save(folder / f"run-{label}.safetensors")
    return mr.Run.load(folder)


# --- what is kept ---------------------------------------------------------------------------------


def test_all_of_a_run_comes_back(tmp_path):
    assert runs()["regularized"].history.best_epoch is not None
    again = saved(tmp_path, runs())
    assert [*again] == ["plain", "regularized"]
    for label, run in runs().items():
        other = again[label]
        assert (other.history, other.wrong, other.assignments) == (
            run.history, run.wrong, run.assignments,
        )  # fmt: skip
        assert repr(other.model) == repr(run.model)
        mine, theirs = run.model.state_dict(), other.model.state_dict()
        assert {n: (a.dtype, a.tobytes()) for n, a in mine.items()} == {
            n: (a.dtype, a.tobytes()) for n, a in theirs.items()
        }
    assert again["plain"].ledger is None
    mine, theirs = runs()["regularized"].ledger, again["regularized"].ledger
    assert (mine.columns(), mine.steps, mine.accumulate) == (
        theirs.columns(), theirs.steps, theirs.accumulate,
    )  # fmt: skip
    assert mine.whole.table("parameter") == theirs.whole.table("parameter")
    for name, row in mine.whole.items():
        assert {k: a.tobytes() for k, a in row.items()} == {
            k: a.tobytes() for k, a in theirs.whole[name].items()
        }


def test_saved_again_it_is_the_same_file(tmp_path):
    again = saved(tmp_path, runs())
    first = {p.name: trees(p) for p in tmp_path.iterdir()}
    saved(tmp_path, again)
    assert {p.name: trees(p) for p in tmp_path.iterdir()} == first


def trees(path):
    """Of a file its tree and its arrays as bytes; the library puts metadata in any order."""
    arrays = {n: (a.shape, a.dtype, a.tobytes()) for n, a in mr.load(path).items()}
    return repr(checkpoint.read_tree("test", path)), arrays


@pytest.mark.slow
def test_the_page_is_the_same_byte_for_byte(tmp_path):
    pytest.importorskip("matplotlib")
    about = {"title": "t", "settings": {"l2": "0.01"}, "command": "again", "note": "n"}
    one = mr.report(tmp_path / "one.html", runs(), **about).read_bytes()
    other = mr.report(tmp_path / "other.html", saved(tmp_path, runs()), **about).read_bytes()
    assert one == other
    for part in (b"Who moved each layer", b"Weights", b"What is regularized", b"wrong"):
        assert part in one


@pytest.mark.parametrize("accumulate", [False, True])
def test_a_ledger_that_booked_nothing_yet(accumulate, tmp_path):
    model = nn.Sequential(nn.Linear(2, 1))
    ledger = mr.Ledger(mr.optim.SGD(model.parameters(), lr=0.1), accumulate=accumulate)
    run = saved(tmp_path, {"a": mr.Run(mr.History(), model, ledger=ledger)})["a"]
    assert (run.ledger.steps, run.ledger.whole, run.ledger.history) == (0, {}, [])
    assert run.ledger.accumulate == accumulate


def test_a_run_without_a_model_and_with_figures_that_json_lacks(tmp_path):
    row = {"epoch": 1, "train_loss": float("inf"), "gap": float("-inf")}
    run = saved(tmp_path, {"a": mr.Run(mr.History([row], "interrupted"))})["a"]
    assert run == mr.Run(mr.History([row], "interrupted"))
    saved(tmp_path, {"a": mr.Run(mr.History([{"epoch": 1, "gap": float("nan")}]))})
    assert np.isnan(mr.Run.load(tmp_path)["a"].history["gap"][0])


def test_a_run_of_the_stand_in_comes_back_on_the_host(tmp_path):
    with strict.registered():
        model = nn.Sequential(nn.Linear(2, 1)).to("strict")
        ledger = mr.Ledger(mr.optim.SGD(model.parameters(), lr=0.1), accumulate=True)
        goal = mr.Objective(nn.MSELoss(), {"l2": L2(0.1)})
        history = mr.fit(model, goal, ledger.optimizer, (np.eye(2), np.ones((2, 1))), epochs=2,
                         ledger=ledger, progress=False)  # fmt: skip
        mr.Run(history, model, goal.assignments(), ledger).save(tmp_path / "run-a.safetensors")
        weight = model[0].weight.numpy()
    run = mr.Run.load(tmp_path)["a"]
    assert {p.backend for p in run.model.parameters()} == {"numpy"}
    assert (run.model[0].weight.numpy() == weight).all()
    assert run.ledger.columns() == ledger.columns()
    assert [*run.ledger.whole] == ["0.weight", "0.bias"]


def test_it_needs_no_matplotlib_and_names_the_extra_for_the_rest(tmp_path, monkeypatch):
    saved(tmp_path, {"a": mr.Run(mr.History())})
    monkeypatch.setattr(importlib.util, "find_spec", None)
    assert mr.Run.load(tmp_path)

    def missing(*args):
        raise ImportError(".safetensors files need safetensors: pip install 'minireg[io]'")

    monkeypatch.setattr(checkpoint, "needed", missing)
    with pytest.raises(ImportError, match="'minireg\\[io\\]'"):
        mr.Run.load(tmp_path)


# --- models in words --------------------------------------------------------------------------------

LAYERS = [
    nn.Linear(2, 3, bias=False), nn.Conv2d(2, 4, 3, padding=1, groups=2, bias=False),
    nn.MaxPool2d(2), nn.AvgPool2d((2, 1)), nn.Flatten(), nn.Embedding(3, 4, padding_idx=0),
    nn.BatchNorm(3, eps=1e-3, momentum=None), nn.BatchNorm(3, affine=False), nn.LayerNorm((2, 3)),
    nn.RMSNorm(4), nn.RMSNorm(4, eps=1e-6), nn.GroupNorm(2, 4), nn.Dropout(0.3), nn.Identity(),
    nn.ReLU(), nn.LeakyReLU(0.3), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Tanh(), nn.Sigmoid(),
    nn.Softplus(), nn.Softmax(1), nn.LogSoftmax(-1), nn.Sequential(nn.Linear(1, 1), nn.Sequential()),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_every_layer_is_made_again_from_its_words(layer):
    model = nn.Sequential(layer)
    tree = kept.model_state("test", model)
    again = kept.model_of(tree)
    assert repr(again) == repr(model)
    assert [type(m) for m in again.modules()] == [type(m) for m in model.modules()]
    for name, a in model.state_dict().items():
        assert (again.state_dict()[name] == a).all()


def test_no_stream_of_random_numbers_moves():
    mr.manual_seed(5)
    nn.Linear(2, 2)
    before = seeds_state()
    kept.rebuilt(["Linear(4, 3)", "Dropout(p=0.5)"])
    assert seeds_state() == before
    assert Stream("init").normal((1,)) is not None


class Mine(nn.Linear):
    pass


@pytest.mark.parametrize(
    "model", [nn.Sequential(Mine(2, 1)), Mine(2, 1), nn.Sequential(nn.ModuleList([nn.ReLU()]))],
)  # fmt: skip
def test_a_model_that_words_do_not_make_again(model, tmp_path):
    path = tmp_path / "run-a.safetensors"
    with pytest.raises(TypeError, match="must be a Sequential of minireg's layers, got"):
        mr.Run(mr.History(), model).save(path)
    assert not path.exists()


HOSTILE = [
    "__import__('os').system('touch owned')", "Linear(__import__('os'), 1)", "Linear(*[1, 2])",
    "Linear(1 + 1, 2)", "functional(1)", "utils()", "Module", "Parameter(1)", "CrossEntropyLoss",
    "nn.Linear(1, 2)", "(lambda: 0)()", "Linear(2", "", "\0", "x = 1", "Linear(2, 1)\nLinear(2, 1)",
    "(" * 5000, {"a": 1}, 3, None, ["Linear(2, 1)", 3], "Linear(-1, 2)", "Linear(2, 1, **{'bias': 0})",
]  # fmt: skip


@pytest.mark.parametrize("layers", HOSTILE, ids=lambda layers: repr(layers)[:30])
def test_words_are_read_and_never_run(layers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run-a.safetensors"
    mr.Run(mr.History(), nn.Sequential(nn.Linear(2, 1))).save(path)
    tree = checkpoint.read_tree("test", path)
    tree["model"]["layers"] = layers
    checkpoint.write_tree("test", path, tree, keep=False)
    seeds = seeds_state()
    with pytest.raises(ValueError, match=r"Run\.load: .*run-a\.safetensors' holds no run: "):
        mr.Run.load(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert seeds_state() == seeds


# --- what is wrong is named -------------------------------------------------------------------------


def test_a_name_under_which_no_run_is_found_is_refused(tmp_path):
    """It was written, and load did not see it."""
    for name in ("best.safetensors", "arun-a.safetensors", "run.safetensors"):
        with pytest.raises(ValueError, match=r"must be FOLDER/run-\*\.safetensors, as load"):
            mr.Run(mr.History()).save(tmp_path / name)
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        mr.Run(mr.History()).save(tmp_path / "run-a.npz")
    assert not [*tmp_path.iterdir()]


def test_where_there_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^Run\.load: there is no folder '.*nowhere'$"):
        mr.Run.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"^Run\.load: no run has ended in '"):
        mr.Run.load(tmp_path)


def forged(tree: dict, key: str) -> object:
    """A tree with one thing wrong."""
    changes = {
        "format": 2, "wrong": -1, "assignments": [("w", (1,))], "ledger": {"accumulate": True},
        "history": {"columns": {"epoch": [1, "x"]}, "stopped": "epochs", "best_epoch": None},
        "model": {**tree["model"], "state": {}},
    }  # fmt: skip
    return {**tree, key: changes[key]}


SAYS = {
    "format": "its format is 2, expected 1: of another version of minireg; read it",
    "wrong": "wrong must be an integer ≥ 0",
    "assignments": "missing 4 required positional arguments|missing",
    "ledger": "KeyError",
    "history": "not numbers: \\['epoch'\\]",
    "model": "0\\.weight",
}


@pytest.mark.parametrize("key", SAYS)
def test_a_forged_part_is_named(key, tmp_path):
    path = tmp_path / "run-a.safetensors"
    runs()["regularized"].save(path)
    tree = checkpoint.read_tree("test", path)
    for wrong in (forged(tree, key), {k: v for k, v in tree.items() if k != key}):
        checkpoint.write_tree("test", path, wrong, keep=False)
        says = SAYS[key] if key in wrong else f"KeyError\\('{key}'\\)"
        with pytest.raises(ValueError, match=f"run-a.safetensors' holds no run: .*({says})"):
            mr.Run.load(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "run-a.safetensors"
    runs()["plain"].save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 30):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"run-a\.safetensors"):
            mr.Run.load(tmp_path)
    path.write_bytes(whole[:-7])
    with pytest.raises(ValueError, match=r"run-a\.safetensors"):
        mr.Run.load(tmp_path)


def test_a_wrong_model_in_the_run_changes_nothing_on_disk(tmp_path):
    run = saved(tmp_path, {"a": runs()["plain"]})["a"]
    first = (tmp_path / "run-a.safetensors").read_bytes()
    with pytest.raises(TypeError):
        replace(run, model=Mine(2, 1)).save(tmp_path / "run-a.safetensors")
    assert (tmp_path / "run-a.safetensors").read_bytes() == first
