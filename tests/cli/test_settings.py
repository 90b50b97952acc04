"""Settings of a training from the command line: penalties, schedules, optimizers, own data."""

from __future__ import annotations

import argparse
import builtins
import inspect
import json
import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.commands import over

import minireg as mr
from minireg import datasets, optim
from minireg.cli import main as cli
from minireg.cli.common import MissingError, UsageError
from minireg.cli.settings import DERIVED, OPTIMIZERS, TrainSettings, add_flags
from minireg.cli.spelled import PENALTIES, SCHEDULES, Chosen, read
from minireg.cli.trial import prepared, train_one
from minireg.optim.lr_scheduler import ClosedForm

SMALL = ["train", "--dataset", "wine", "--hidden", "8", "--epochs", "2", "--no-progress"]
QUICK = [*SMALL, "--no-report", "--json"]

# a text of each penalty, and the penalty that it is
SPELLED = {
    "L0": ("L0(0.5)", mr.penalties.L0(0.5)),
    "L1": ("L1(strength = .5)", mr.penalties.L1(0.5)),
    "L2": ("L2(1, [[1.0]], None)", mr.penalties.L2(1, [[1.0]])),
    "MCP": ("MCP(1, gamma=+4)", mr.penalties.MCP(1, 4)),
    "SCAD": ("SCAD(1, 3.7)", mr.penalties.SCAD(1)),
    "SLOPE": ("SLOPE(1, [2, 1])", mr.penalties.SLOPE(1, [2, 1])),
    "Box": ("Box(-1, high=1e0)", mr.penalties.Box(-1, 1)),
    "ElasticNet": ("ElasticNet(0.1,0.2)", mr.penalties.ElasticNet(0.1, 0.2)),
    "FrobeniusNorm": ("FrobeniusNorm(1)", mr.penalties.FrobeniusNorm(1)),
    "GroupLasso": ("GroupLasso(1e-3, axis=(0, 1))", mr.penalties.GroupLasso(1e-3, axis=(0, 1))),
    "L1Ball": ("L1Ball(2)", mr.penalties.L1Ball(2)),
    "L2Ball": ("L2Ball(2)", mr.penalties.L2Ball(2)),
    "LogSum": ("LogSum(1, 1)", mr.penalties.LogSum(1, 1)),
    "MaxNorm": ("MaxNorm(1, axis=None)", mr.penalties.MaxNorm(1, axis=None)),
    "NonNegative": ("NonNegative()", mr.penalties.NonNegative()),
    "NuclearNorm": ("NuclearNorm(1)", mr.penalties.NuclearNorm(1)),
    "Orthogonality": ("Orthogonality(1)", mr.penalties.Orthogonality(1)),
    "PathNorm": ("PathNorm(1)", mr.penalties.PathNorm(1)),
    "Quadratic": ("Quadratic(1, [[2, 0], [0, 1]])", mr.penalties.Quadratic(1, [[2, 0], [0, 1]])),
    "Simplex": (" Simplex( ) ", mr.penalties.Simplex()),
    "SparseGroupLasso": (
        "SparseGroupLasso(1, 2, scale='none', groups=[[0, 1], [2]])",
        mr.penalties.SparseGroupLasso(1, 2, scale="none", groups=[[0, 1], [2]]),
    ),
    "SpectralBall": ("SpectralBall(1)", mr.penalties.SpectralBall(1)),
    "SpectralNorm": ("SpectralNorm(1, 'svd')", mr.penalties.SpectralNorm(1, "svd")),
    "TotalVariation": ("TotalVariation(1, axis=-1)", mr.penalties.TotalVariation(1)),
}  # fmt: skip


def parsed(*flags: str, several: bool = False) -> argparse.Namespace:
    """Flags as ``minireg train``, or a sweep, reads them."""
    if not several:
        return cli.parser().parse_args(["train", *flags])
    parser = argparse.ArgumentParser()
    add_flags(parser, several=True)
    return parser.parse_args(flags)


def made(*flags: str) -> TrainSettings:
    return TrainSettings.of(vars(parsed(*flags)))


def refused(capsys, *flags: str) -> str:
    """The one line of a command that is refused before anything is trained."""
    with pytest.raises(SystemExit) as stop:
        cli.main(over(QUICK, *flags))
    out, error = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert error.startswith("minireg train: ")
    assert error.endswith("(see minireg train --help)\n")
    assert error.count("\n") == 1
    return error


# --- laws ----------------------------------------------------------------------------------------

positive = st.floats(1e-9, 1e3)
texts = st.sampled_from([text for text, _ in SPELLED.values()])
names = st.sampled_from(["", "my = ", "Ω="])
# a penalty whose gradient is 0 acts via its prox only, one of all weights together via its gradient
chosen = st.tuples(names, texts, st.none() | st.just("prox")).flatmap(
    lambda drawn: st.builds(
        Chosen,
        penalty=st.just(drawn[0] + drawn[1]),
        on=st.none()
        | st.lists(st.sampled_from(["0.weight", "*.bias", "[0-9]*", "a b"]), min_size=1),
        via=st.just(None if drawn[1].startswith("PathNorm") else drawn[2]),
    )
)
own = st.fixed_dictionaries(
    {"data": st.sampled_from(["a.csv", "-x/my data.npz", "ü'\".parquet"])},
    optional={
        "target": st.sampled_from(["y", "-1", "-x", "a b"]),
        "task": st.sampled_from(["classification", "regression"]),
    },
)
shipped = st.fixed_dictionaries({}, optional={"dataset": st.sampled_from([*datasets.TABLE])})
others = st.fixed_dictionaries(
    {"optimizer": st.sampled_from([*OPTIMIZERS])},
    optional={
        "validation": st.floats(0.01, 0.99),
        "hidden": st.lists(st.integers(1, 999), min_size=1, max_size=3),
        "norm": st.sampled_from(["none", "batch", "layer", "rms"]),
        "l1": st.just(0.0) | positive,
        "l2": st.just(0.0) | positive,
        "l1_via": st.sampled_from(["prox", "gradient"]),
        "penalty": st.lists(chosen, max_size=3, unique_by=lambda c: c.name),
        "dropout": st.floats(0, 0.99),
        "lr": positive,
        "schedule": st.sampled_from(["none", "StepLR(20, gamma=0.5)", *DERIVED]),
        "epochs": st.integers(1, 999),
        "clip_norm": positive,
        "patience": st.integers(0, 9),
        "seed": st.integers(0, 10**12),
    },
)


@settings(max_examples=40, deadline=None)
@given(shipped | own, others)
def test_settings_come_back_from_json_and_from_their_command(data, rest):
    first = TrainSettings(**data, **rest)
    text = json.dumps(asdict(first), allow_nan=False)
    again = TrainSettings(**json.loads(text))
    assert again == first
    assert [*again.terms()] == [*first.terms()]
    assert repr(again.terms()) == repr(first.terms())
    words = shlex.split(first.command)
    assert words[:2] == ["minireg", "train"]
    assert made(*words[2:]) == first


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.text("L1(2)[],'\"=-*.\\ \nλ__x:{}", max_size=60))
def test_whatever_is_written_is_read_or_refused_in_one_line(text):
    for known in (PENALTIES, SCHEDULES):
        said = ""
        try:
            assert read(text, known).func in known.values()
        except ValueError as error:
            said = str(error)
        assert len(said.splitlines()) <= 1


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_can_be_spelled(name):
    text, expected = SPELLED[name]
    found = read(text, PENALTIES)()
    w = np.abs(np.linspace(-1.0, 1.0, 6)).reshape(3, 2) if name != "Quadratic" else np.ones(2)
    w = np.ones(2) if name == "SLOPE" else w
    w = np.ones(3) if name == "SparseGroupLasso" else w
    assert repr(found) == repr(expected)
    assert found.value(w) == expected.value(w)


def kinds(module, base: type) -> set[str]:
    """The names of a module's classes of a kind."""
    return {n for n, k in vars(module).items() if inspect.isclass(k) and issubclass(k, base)}


def test_the_names_to_spell_are_all_that_literals_can_make():
    every = kinds(mr.penalties, mr.penalties.Penalty)
    assert every - {*PENALTIES} == {"Penalty", "Composed"}
    assert PENALTIES.keys() == SPELLED.keys()
    every = kinds(optim.lr_scheduler, optim.lr_scheduler.LRScheduler)
    assert every - {*SCHEDULES} == {"LRScheduler", "ClosedForm", "LambdaLR", "SequentialLR"}


def test_the_optimizers_are_all_that_there_are():
    p = [mr.tensor([1.0], requires_grad=True)]
    found = {type(kind.make(p, 0.1, 0.0, 5)).__name__ for kind in OPTIMIZERS.values()}
    assert found == kinds(optim, optim.Optimizer) - {"Optimizer"}


@pytest.mark.parametrize("epochs", [1, 2, 7, 60])
@pytest.mark.parametrize("name", DERIVED)
def test_a_schedule_fits_the_epochs(name, epochs):
    """It never exceeds --lr, reaches it, and leaves no epoch without a rate; long ones end low."""
    p = [mr.tensor([1.0], requires_grad=True)]
    optimizer, updates = optim.SGD(p, lr=0.5), 3 * epochs
    found = TrainSettings(schedule=name, epochs=epochs, lr=0.5)
    schedule = found.scheduler(optimizer, updates)
    if not isinstance(schedule, ClosedForm):
        for _ in range(epochs):
            schedule.step(1.0)
        assert optimizer.param_groups[0]["lr"] < 0.5 or epochs < 10
        return
    rates = []
    for _ in range(updates if schedule.interval == "step" else epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert max(rates) <= 0.5 * (1 + 1e-12)
    assert min(rates) > 0
    if epochs > 2:
        assert max(rates) == pytest.approx(0.5, rel=1e-2 if name == "onecycle" else 1e-12)
    if epochs == 60:
        assert rates[-1] < 0.02


# --- penalties -----------------------------------------------------------------------------------

UNREAD = [
    "", " ", "L1", "1", "L1()", "L1(1)(2)", "L1.__class__", "L1.__class__(1)", "(L1)(-1)", "L1(1) or 2",
    "__import__('os').system('touch {marker}')", "L1(__import__('os').system('touch {marker}'))",
    "eval(\"open('{marker}', 'w')\")", "L1(open('{marker}', 'w'))", "L1(f'{open}')", "L1((lambda: 1)())",
    "L1([x for x in (1,)])", "L1(10**10**10)", "L1(2*3)", "L1(λ)", "L1(λ=1)", "L1(*[1])", "L1(**{{}})",
    "L1(strength=1, strength=2)", "L1(1, 2)", "L1(strength:=1)", "L1(1j)", "L1(b'1')", "L1('1')", "L1(True)",
    "L1(-'a')", "L1(--1)", "L1(-[1])",
    "L1(None)", "L1(...)", "L1(-1)", "L1(1e999)", "L1({{1: 2}})", "L1(1", "'L1(1)'", "\"L1(1)\"", "L1(1);1",
    "L1(1)\nL1(2)", "Penalty()", "Composed(L1(1), 'x', None, None)", "scaled(L1(1), 2)", "Strength()",
    "a.b=L1(1)", "a b=L1(1)", "=L1(1)", "x=", "x=y=L1(1)", "L1 (1) # no\n(", "L1(\x00)", "Ｌ１(-1)",
    "L1(" * 400, "L1(" + "[" * 900, "L1(" + "-" * 1900 + "1)", "L1(" + "9" * 1900 + "9)",
    "L1(" + " " * 9999 + "1)",
]  # fmt: skip


@pytest.mark.parametrize("text", UNREAD)
def test_what_is_no_penalty_is_refused_unevaluated(text, tmp_path, monkeypatch):
    marker = tmp_path / "marker"

    def run(*args, **options):
        raise AssertionError("evaluated")

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "eval", run)
        patch.setattr(builtins, "exec", run)
        with pytest.raises(ValueError, match=r".") as caught:
            Chosen(text.replace("{marker}", str(marker)).replace("{{", "{").replace("}}", "}"))
    assert len(str(caught.value)) < 600
    assert not marker.exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--penalty", "GrupLasso(1)"], "there is no 'GrupLasso'; did you mean GroupLasso?"),
        (["--penalty", "l1(1)"], "there is no 'l1'; did you mean L1?"),
        (["--penalty", "Ridge(1)"], "there is no 'Ridge'; the word help lists all"),
        (["--penalty", "LogSum(1)"],
         "'LogSum(1)': missing a required argument: 'eps'; write LogSum(strength, eps)"),
        (["--penalty", "GroupLasso(1, axs=0)"],
         "argument 'axs'; write GroupLasso(strength, axis=..., groups=None, scale='sqrt')"),
        (["--penalty", "L1(-1)"], "strength must be a finite number ≥ 0, got -1; write L1(strength)"),
        (["--penalty", "L1(2**9)"], "'2**9' in 'L1(2**9)' is no number, text, list"),
        (["--penalty", "'GroupLasso(1e-3,", "axis=0)'"], "in quotes (on Windows double ones)"),
        (["--on", "0.weight"], "--on: is about the --penalty before it: there is none"),
        (["--via", "prox", "--penalty", "L1(1)"], "--via: is about the --penalty before it"),
        (["--penalty", "L1(1)", "--via", "prox", "--via", "prox"], "--via: given twice for L1(1)"),
        (["--penalty", "L1(1)", "--via", "pox"], "--via: invalid choice: 'pox'"),
        (["--penalty", "L0(1)", "--via", "gradient"], "it is 0 almost everywhere"),
        (["--penalty", "data=L1(1)"], "'data' is the name of a loss term; choose another"),
        (["--penalty", "a=L1(1)", "--penalty", "a=L2(1)"], "two penalties are named 'a'"),
        # what the network settles, and still before the training
        (["--penalty", "L1(1)", "--on", "9.weight"],
         "'l1': on='9.weight' matches no parameter; near: 3.weight, 0.weight"),
        (["--penalty", "GroupLasso(1, axis=5)"], "expected axes that it has"),
        (["--penalty", "PathNorm(1)", "--via", "prox"], "a product of layers has no closed-form prox"),
        (["--penalty", "NuclearNorm(1)", "--via", "prox", "--optimizer", "adam"],
         "has no prox with a step for each element"),
        (["--penalty", "SLOPE(1, [2, 1])"], "got 2 weights, expected 104"),
    ],
)  # fmt: skip
def test_a_wrong_penalty_is_one_line_before_the_training(
    flags, says, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert says in refused(capsys, *flags)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [n for n in PENALTIES if "1" in SPELLED[n][0].partition("(")[2]])
def test_what_is_in_braces_is_what_is_written_out(name):
    """The law, with the first number of each penalty's text in braces."""
    text = re.sub(r"(?<=[(=,]) *([\d.+-]*\d[\d.e-]*)(?=[,)])", r"{\1}", SPELLED[name][0], count=1)
    found = Chosen(f"mine={text}")
    ((axis, (value,)),) = found.axes.items()
    assert axis.startswith("mine.")
    written = found.at({axis: value, "l2": 0})
    assert repr(written.term()) == repr(Chosen(SPELLED[name][0]).term())
    assert written.axes == {}
    assert written.name == "mine"


@pytest.mark.parametrize(
    "text",
    ["L1({})", "L1({1: 2})", "L1({[1]})", "L1({1, 'a'})", "L1({1, {2}})", "L2(1, [{1}])",
     "L1({open('x')})", "L1({2**9})", "L1({1, -2})"],
)  # fmt: skip
def test_what_braces_may_not_hold(text):
    with pytest.raises(ValueError, match=r"is no number, text, list|must be a finite number"):
        Chosen(text)


def test_train_takes_no_braces(capsys):
    says = "--penalty: braces are for minireg sweep, got L1({1, 2})"
    assert says in refused(capsys, "--penalty", "L1({1, 2})")
    with pytest.raises(SystemExit):
        cli.main(["sweep", "--help"])
    assert "of values in braces each is a point" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "flags", [["--data", "a.csv"], ["--seed", "1"], ["--hidden", "8"], ["--out", "a"]]
)
def test_a_flag_that_comes_twice_loses_no_value(flags, capsys):
    says = f"argument {flags[0]}: given twice"
    assert says in refused(capsys, *flags, f"{flags[0]}={flags[1]}")


def test_on_and_via_belong_to_the_penalty_before_them():
    flags = ["--penalty", "GroupLasso(1e-3, axis=0)", "--on", "0.weight", "2.*", "--via", "prox"]
    found = made(
        *flags, "--l2", "0.5", "--penalty", "L1(1)", "--penalty", "b=L1(2)", "--via", "prox"
    )
    terms = found.terms()
    assert [(n, t.on, t.via) for n, t in terms.items()] == [
        ("l2", None, "gradient"),
        ("grouplasso", ("0.weight", "2.*"), "prox"),
        ("l1", None, "gradient"),
        ("b", None, "prox"),
    ]
    assert terms["b"].penalty.strength == 2


def test_a_penalty_replaces_the_default_strengths_and_no_others():
    default, found = TrainSettings(), TrainSettings(penalty=[{"penalty": "L1(3)"}])
    assert (default.l1, default.l2) == (2e-4, 1e-3)
    assert (found.l1, found.l2) == (0, 0)
    assert found == replace(default, l1=0.0, l2=0.0, penalty=[Chosen("L1(3)")])
    both = TrainSettings(l1=0.5, penalty=[{"penalty": "L1(3)"}, {"penalty": "L1(4)"}])
    assert [(n, t.penalty.strength) for n, t in both.terms().items()] == [
        ("l1", 0.5), ("l1_2", 3), ("l1_3", 4),
    ]  # fmt: skip


def test_a_penalty_acts_where_and_as_it_is_told(tmp_path, capsys):
    flags = ["--penalty", "rows=GroupLasso(0.025, axis=1)", "--on", "0.weight", "--via", "prox"]
    args = over(SMALL, "--no-report", *flags, "--epochs", 20, "--out", tmp_path)
    assert cli.main(args) == 0
    shown = capsys.readouterr().out
    assert re.search(r"0\.weight .*rows \(prox\)", shown)
    assert "rows prox" in shown
    record = json.loads((tmp_path / "history.json").read_text("utf-8"))
    assert record["settings"]["penalty"] == [
        {"penalty": "rows=GroupLasso(0.025, axis=1)", "on": ["0.weight"], "via": "prox"}
    ]
    weights = mr.load(tmp_path / "weights-regularized.npz")["0.weight"]
    gone = (weights == 0).all(axis=1)
    assert 0 < gone.sum() < 8
    assert (weights[~gone] != 0).all()
    again = shlex.split(record["command"])[1:]
    assert cli.main([*again, "--no-report", "--no-progress", "--out", str(tmp_path / "b")]) == 0
    capsys.readouterr()
    other = json.loads((tmp_path / "b" / "history.json").read_text("utf-8"))
    for label, run in record["runs"].items():
        assert run["columns"]["test_loss"] == other["runs"][label]["columns"]["test_loss"]


def test_the_lists_name_all_that_can_be_spelled(capsys):
    shown = {}
    for flag, known in (("--penalty", PENALTIES), ("--schedule", SCHEDULES)):
        with pytest.raises(SystemExit) as stop:
            cli.main(["train", flag, "help"])
        shown[flag], error = capsys.readouterr()
        assert (stop.value.code, error) == (0, "")
        assert re.findall(r"^([A-Z]\w+)\(.*\): .*\S$", shown[flag], re.M) == [*known]
    assert re.findall(r"^([a-z]+): [A-Z]", shown["--schedule"], re.M) == [*DERIVED]
    line = "GroupLasso(strength, axis=..., groups=None, scale='sqrt'): λ Σ √|g|·‖w_g‖"
    assert line in shown["--penalty"].splitlines()


# --- optimizers and schedules --------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_with_its_own_rate(name):
    flags = ["--hidden", "8", "--epochs", "20", "--batch-size", "16", "--optimizer", name]
    rest = ["--noise", "0", "--dropout", "0", "--penalty", "L1(1e-3)", "--via", "prox"]
    ready, data = prepared(made("--dataset", "wine", *flags, *rest))
    history = train_one(ready, data, "regularized", progress=False).history
    assert history["train_loss"][-1] < 0.85 * history["train_loss"][0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_momentum_and_decay_are_refused_where_there_are_none(name):
    kind = OPTIMIZERS[name]
    for flags, there, says in (
        (
            ["--momentum", "0.5"],
            kind.momentum is not None,
            "--momentum is of sgd and rmsprop, and has",
        ),
        (["--weight-decay", "0.5"], kind.decays, f"--weight-decay: {name} has none of its own"),
    ):
        if there:
            made("--optimizer", name, *flags)
        else:
            with pytest.raises(UsageError, match=re.escape(says)):
                made("--optimizer", name, *flags)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cosin", "there is no 'cosin'; did you mean cosine?"),
        ("StepLr", "did you mean StepLR?"),
        ("StepLR", "lacks its arguments; write StepLR(step_size, gamma=0.1)"),
        ("StepLR(20, gama=0.5)", "'gama'; write StepLR(step_size, gamma=0.1)"),
        ("StepLR(0)", "StepLR: step_size must be an integer ≥ 1, got 0"),
        ("LambdaLR(1)", "there is no 'LambdaLR'"),
        ("__import__('os')", "there is no '__import__'"),
        (
            "ExponentialLR(1e200)",
            "--schedule ExponentialLR(1e200): the rate of epoch 2 is beyond float64",
        ),
        ("OneCycleLR(0.1, 3)", "OneCycleLR: step 4 of a cycle of total_steps=3"),
        ("ReduceLROnPlateau(monitor='x')", "the scheduler on 'x', expected one of"),
    ],
)
def test_a_wrong_schedule_is_one_line_before_the_training(text, says, capsys):
    assert says in refused(capsys, "--schedule", text)


@pytest.mark.parametrize("text", ["plateau", "onecycle", "StepLR(1, gamma=0.5)"])
def test_both_trainings_follow_the_schedule(text):
    ready, data = prepared(
        made("--dataset", "wine", "--hidden", "8", "--epochs", "3", "--schedule", text)
    )
    rates = [
        train_one(ready, data, label, False).history["lr"] for label in ("plain", "regularized")
    ]
    assert rates[0] == rates[1]
    if text.startswith("Step"):
        assert rates[0] == [0.02, 0.01, 0.005]


# --- own data ------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    """A file whose column "y" is read as labels, and "z" as numbers."""

    def read_file(path, target, *, task=None, validation=0.3, noise=0.0, standardize=True, seed=0):
        if not Path(path).is_file():
            raise FileNotFoundError(f"datasets.read: no file {str(path)!r}")
        if target not in ("y", "z"):
            raise ValueError(
                f"datasets.read: fruit.csv has no column {target!r}; it has ['y', 'z']"
            )
        wine = datasets.load("wine", noise, validation, seed=seed)
        found = replace(wine, name=Path(path).stem, task=task or "classification")
        if (task or target) in ("regression", "z"):
            parts = ("y_train", "y_validation", "y_true")
            y = {p: getattr(wine, p).astype(np.float32)[:, None] for p in parts}
            found = replace(found, task="regression", classes=0, **y)
        return found

    monkeypatch.setattr(datasets, "read", read_file, raising=False)
    path = tmp_path / "my fruit.csv"
    path.write_text("x,y,z\n1,2,3\n")
    return path


def test_a_file_of_ones_own(table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["train", "--data", table.name, "--target", "y", "--hidden", "8", "--epochs", "2"]
    assert cli.main([*args, "--no-report", "--no-progress", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    kept = found["settings"]
    assert (kept["noise"], kept["validation"], kept["label_smoothing"]) == (0.0, 0.3, 0.2)
    assert (kept["dataset"], kept["data"], kept["task"]) == (None, "my fruit.csv", "classification")
    assert Path(found["folder"]).name.startswith("my fruit-")


def test_what_the_task_decides_waits_for_the_data(table):
    flags = ["--data", str(table), "--target", "z"]
    first = made(*flags)
    assert (first.noise, first.label_smoothing, first.task) == (0.0, None, None)
    ready, data = prepared(first)
    assert (ready.label_smoothing, ready.task, data.task) == (0.0, "regression", "regression")
    assert ready == TrainSettings(**json.loads(json.dumps(asdict(ready))))
    assert prepared(ready)[0] == ready
    assert made(*flags, "--task", "regression").label_smoothing == 0.0
    with pytest.raises(
        UsageError, match=r"--label-smoothing is about labels, but .* is a regression"
    ):
        prepared(made(*flags, "--label-smoothing", "0.1"))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--data", "a.csv", "--dataset", "wine"], "--data a.csv and --dataset wine are two sets"),
        (["--target", "y"], "--target is about --data FILE, which is not given"),
        (["--task", "regression"], "--task is about --data FILE"),
        (["--data", "a.csv", "--task", "regression", "--noise", "0.1"], "--noise is about labels, but a.csv"),
    ],
)  # fmt: skip
def test_flags_about_data_that_contradict_each_other(flags, says):
    with pytest.raises(UsageError, match=says):
        made(*flags)


def test_what_cannot_be_read_is_said_by_the_library(table, capsys):
    with pytest.raises(
        UsageError, match=r"--data needs --target COLUMN: .*fruit.csv has \['y', 'z'\]"
    ):
        prepared(made("--data", str(table)))
    with pytest.raises(MissingError, match="has no column 'w'"):
        prepared(made("--data", str(table), "--target", "w"))
    assert cli.main(["train", "--data", "no.csv", "--target", "y"]) == 1
    assert capsys.readouterr().err == "minireg train: no file 'no.csv'\n"


OWN = [*(f"{i},{i % 7},{'xyz'[i % 3]}" for i in range(30))]


def error_of(capsys, path: Path, lines: list[str], *flags: str) -> str:
    """The one line of a command about a file of columns a, b, c, before it makes a folder."""
    path.write_text("\n".join(["a,b,c", *lines]) + "\n", encoding="utf-8")
    assert cli.main(["train", "--data", path.name, *flags, "--no-report", "--no-progress"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert not (path.parent / "runs").exists()
    return error


def test_errors_about_data_are_in_the_words_of_the_flags(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.csv"
    error = error_of(capsys, path, OWN, "--target", "c", "--task", "regression")
    assert error.endswith("; take --task classification\n")
    numbers = [f"{i},{i % 7},{i / 7}" for i in range(30)]
    error = error_of(capsys, path, numbers, "--target", "c", "--task", "classification")
    assert error.endswith("; take --task regression\n")
    error = error_of(capsys, path, OWN, "--target", "c", "--validation", "0.011")
    assert "--validation 0.011 leaves a part of 'own' empty" in error
    error = error_of(capsys, path, [*OWN[:2], "1,2,q"], "--target", "c", "--validation", "0.5")
    assert "by --validation or --seed\n" in error
    for word in ("datasets.", "task=", "validation=", "seed="):
        assert word not in error
    with pytest.raises(UsageError, match=r"needs --target COLUMN: own.csv has \['a', 'b', 'c'\]"):
        prepared(made("--data", "own.csv"))


def test_one_half_of_what_is_held_out_chooses_so_there_must_be_two_rows(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    flags = ["--target", "b", "--task", "regression", "--validation", "0.34"]
    error = error_of(capsys, tmp_path / "own.csv", OWN[:3], *flags)
    assert "at least 2 rows must be held out" in error
    assert "got 1 of 3: give more rows or a larger --validation" in error


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_regression_has_an_output_for_each_column_of_its_target(outputs, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 4))
    np.savez(tmp_path / "own.npz", x=x, y=x[:, :outputs])
    flags = ["--data", str(tmp_path / "own.npz"), "--target", "y", "--hidden", "8"]
    ready, data = prepared(made(*flags, "--penalty", "L1(1e-3)", "--epochs", "30"))
    for label in ("plain", "regularized"):
        run = train_one(ready, data, label, progress=False)
        assert run.model(data.x_train).shape == (28, outputs)
        predicted = run.model.eval()(data.x_train).numpy()
        loss = float(np.mean((predicted - data.y_train) ** 2))
        assert run.last["train_loss"] == pytest.approx(loss, rel=1e-5)
        assert loss < 0.9


def test_images_are_taken_apart(table, monkeypatch):
    wine = datasets.load("wine", 0.0)
    images = {p: getattr(wine, p)[:, :12].reshape(-1, 3, 4) for p in ("x_train", "x_validation")}
    monkeypatch.setattr(datasets, "read", lambda *args, **options: replace(wine, **images))
    ready, data = prepared(
        made("--data", "a.npz", "--target", "y", "--hidden", "8", "--epochs", "2")
    )
    run = train_one(ready, data, "plain", progress=False)
    assert run.model(data.x_validation).shape == (len(data.x_validation), 3)


# --- several values ------------------------------------------------------------------------------


def test_a_grid_is_what_has_several_values():
    flags = [
        "--l2",
        "1e-4",
        "1e-3",
        "--hidden",
        "8",
        "4",
        "--optimizer",
        "sgd",
        "adam",
        "--lr",
        "0.5",
    ]
    args = parsed(*flags, "--penalty", "L1(1)", several=True)
    grid = TrainSettings.grid(vars(args))
    assert grid == {"l2": [1e-4, 1e-3], "optimizer": ["sgd", "adam"]}
    assert [*grid] == ["l2", "optimizer"]
    found = TrainSettings.of(vars(args), {"l2": 1e-3, "optimizer": "adam"})
    assert found == TrainSettings(
        l2=1e-3, optimizer="adam", lr=0.5, hidden=[8, 4], penalty=[Chosen("L1(1)")]
    )
    swapped = parsed("--schedule", "none", "cosine", "--dropout", "0", "0.5", several=True)
    assert [*TrainSettings.grid(vars(swapped))] == ["schedule", "dropout"]
    assert TrainSettings.grid(vars(parsed("--l2", "0.1", several=True))) == {}


def test_a_value_twice_is_no_grid(capsys):
    with pytest.raises(SystemExit):
        parsed("--l2", "1e-3", "0.001", several=True)
    assert "--l2: 0.001 is given twice" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--l2", "1e-4", "1e-3"], ["--optimizer", "sgd", "adam"],
                                   ["--schedule", "cosine", "StepLR(2, 0.5)", "none"]])  # fmt: skip
def test_train_takes_one_value_and_names_the_sweep(words, capsys):
    flag, *values = words
    says = f"train takes one value of {flag}, got {len(values)}; minireg sweep compares several"
    assert says in refused(capsys, *words)
    says = f"train takes one value of {flag}, got 2; "  # the second is one too many
    assert says in refused(capsys, *(f"{flag}={value}" for value in values))


@pytest.mark.parametrize("width", [40, 80])
def test_the_help_of_the_flags_fits_the_terminal(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    shown = capsys.readouterr().out.partition("\ndata:")[2].partition("what happens")[0]
    assert max(map(len, shown.splitlines())) <= width
    assert "--l2 λ " in shown
    with pytest.raises(SystemExit):
        parsed("--help", several=True)
    assert "--l2 λ [λ ...]" in capsys.readouterr().out
