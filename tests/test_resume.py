"""fit(checkpoint=…), fit(resume=…): interrupted and resumed is as if nothing had come between."""

import copy
import inspect
import io
import json
import math
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import device

import minireg as mr
from minireg import checkpoint, nn, optim, penalties, progress, training
from minireg.optim import lr_scheduler as schedules
from minireg.penalties import L1, L2, Coefficient, ElasticNet, scaled
from minireg.progress import Progress

pytest.importorskip("safetensors")
# what many of these tests do on purpose
pytestmark = [
    pytest.mark.filterwarnings("ignore:fit. checkpoint. .* holds an earlier training"),
    pytest.mark.filterwarnings("ignore:fit. resume. train is an iterable"),
]

N, C, EPOCHS, UPDATES = 30, 3, 5, 4  # 4 updates an epoch


@cache
def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels that follow the inputs, of which some are wrong."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 4)).astype(np.float32)
    y = x[:, :C].argmax(axis=1)
    wrong = rng.random(N) < 0.2
    return x, np.where(wrong, rng.integers(0, C, N), y)


def mlp(*hidden: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), *(hidden or [nn.ReLU()]), nn.Linear(8, C))


class OwnDropout(nn.Module):
    """Draws each mask from a new stream of the global seed."""

    def forward(self, input):
        return nn.functional.dropout(input, 0.5, self.training)


def spectral() -> nn.Module:
    model = mlp()
    nn.utils.spectral_norm(model[0])
    return model


class Uncertain(nn.Module):
    """A loss of one's own, whose weight is trained and whose running mean and noise are its own."""

    def __init__(self, weight=0.0):
        super().__init__()
        self.log_scale, self.mean = nn.Parameter(np.float32(weight)), mr.tensor(0.0)
        self.streams = {"noise": [mr.random.Stream("noise")]}

    def forward(self, output, target):
        loss = nn.functional.cross_entropy(output, target)
        self.mean.assign(0.9 * self.mean.numpy() + 0.1 * loss.item())
        noise = float(self.streams["noise"][0].normal((1,))[0])
        return (loss - 0.1 * self.mean.item()) * mr.exp(-self.log_scale) + self.log_scale * (
            1 + noise
        )


ENDS = {"l1": mr.Term(L1(1e-2), via="prox"), "l2": L2(1e-2)}


def rising(t):
    return 1e-3 * t


def falling(t):
    return 1e-2 / (1 + t)


WARM = {
    "l2": L2(Coefficient(rising)),
    "both": mr.Term(ElasticNet(Coefficient(falling), 1e-3), via="prox"),
}


def warm() -> dict:
    return copy.deepcopy(WARM)


def added_prox(parameters, penalty):
    optimizer = optim.SGD(parameters, 0.1, momentum=0.5)
    optimizer.add_prox(parameters, penalty)
    return optimizer


# label: what differs from plain SGD of the small network
CASES = {
    "momentum": {"optimizer": lambda p: optim.SGD(p, 0.1, momentum=0.9)},
    "nesterov": {"optimizer": lambda p: optim.SGD(p, 0.1, 0.9, nesterov=True, weight_decay=0.01)},
    "Adam": {"optimizer": lambda p: optim.Adam(p, 0.02, amsgrad=True)},
    "AdamW": {"optimizer": lambda p: optim.AdamW(p, 0.02, weight_decay=0.1), "penalties": lambda: ENDS},
    "RMSprop": {"optimizer": lambda p: optim.RMSprop(p, 0.01, momentum=0.5, centered=True)},
    "SGLD": {"optimizer": lambda p: optim.SGLD(p, 0.01, temperature=0.1)},
    "FISTA": {"optimizer": lambda p: optim.ProximalGradient(p, 0.1, L1(0.01), accelerated=True)},
    "a rate of NumPy": {"optimizer": lambda p: optim.Adam(p, np.float64(0.02))},
    "dropout": {"model": lambda: mlp(nn.ReLU(), nn.Dropout(0.5))},
    "dropout of a function": {"model": lambda: mlp(nn.ReLU(), OwnDropout())},
    "dropout, measured": {"model": lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(4, C)),
                          "dropout_draws": 3},
    "BatchNorm": {"model": lambda: mlp(nn.BatchNorm(8), nn.ReLU())},
    "spectral norm": {"model": spectral},
    "power iteration": {"model": lambda: nn.Sequential(nn.Linear(4, 40), nn.Tanh(), nn.Linear(40, 40)),
                        "penalties": lambda: {"norm": penalties.SpectralNorm(0.3)}},
    "a loss that is trained": {"loss": Uncertain, "optimizer": lambda p: optim.Adam(p, 0.05)},
    "float64": {"model": lambda: mlp().double()},
    "clipping": {"clip_norm": 0.1},
    "cosine": {"scheduler": lambda o: schedules.CosineAnnealingLR(o, 10)},
    "one cycle": {"optimizer": lambda p: optim.Adam(p, 0.02),
                  "scheduler": lambda o: schedules.OneCycleLR(o, 0.1, EPOCHS * UPDATES)},
    "in sequence": {"scheduler": lambda o: schedules.SequentialLR(
        o, [schedules.LinearLR(o, total_iters=2), schedules.StepLR(o, 1)], [2])},
    "on a plateau": {"scheduler": lambda o: schedules.ReduceLROnPlateau(o, patience=0, factor=0.5)},
    "early stopping": {"optimizer": lambda p: optim.SGD(p, 1.0), "early_stopping": 2},
    "strengths that change": {"penalties": warm},
    "the optimizer's own that change": {
        "penalties": warm, "optimizer": lambda p: optim.ProximalGradient(
            p, 0.1, scaled(L1(Coefficient(rising)), 2.0), accelerated=True)},
    "a prox of one's own": {"optimizer": lambda p: added_prox(
        p, ElasticNet(Coefficient(falling), 0.01))},
    "ledger": {"ledger": True, "penalties": lambda: ENDS,
               "optimizer": lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01)},
    "ledger of each step": {"ledger": "last", "penalties": lambda: ENDS, "clip_norm": 0.1,
                            "optimizer": lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01)},
    "ledger of RMSprop": {"ledger": True, "penalties": warm,
                          "optimizer": lambda p: optim.RMSprop(p, 0.01, momentum=0.5)},
    "ledger of FISTA": {"ledger": True,
                        "optimizer": lambda p: optim.ProximalGradient(p, 0.1, L1(0.01), accelerated=True)},
    "hostile": {"model": lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(4, C)), "early_stopping": 2,
                "optimizer": lambda p: optim.SGD(p, 0.1, 0.9)},
    "all of it": {"ledger": True, "penalties": warm, "early_stopping": 2, "clip_norm": 0.5,
                  "model": lambda: mlp(nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.3)),
                  "optimizer": lambda p: optim.AdamW(p, 0.05, weight_decay=0.1),
                  "scheduler": lambda o: schedules.ReduceLROnPlateau(o, patience=0)},
}  # fmt: skip


class Run:
    """A training of a case, its parts made anew."""

    def __init__(self, label: str, seed: int = 0) -> None:
        mr.manual_seed(seed)
        self.history = mr.History()
        case = {"model": mlp, "optimizer": lambda p: optim.SGD(p, 0.1), "penalties": dict} | CASES[
            label
        ]
        self.model = case["model"]()
        loss = case.get("loss", nn.CrossEntropyLoss)()
        self.optimizer = case["optimizer"]([*self.model.parameters(), *loss.parameters()])
        self.objective = mr.Objective(loss, case["penalties"]())
        stop, ledger = case.get("early_stopping"), case.get("ledger")
        self.options = {
            "scheduler": case["scheduler"](self.optimizer) if "scheduler" in case else None,
            "early_stopping": optim.EarlyStopping(stop) if stop else None,
            "ledger": mr.Ledger(self.optimizer, accumulate=ledger is True) if ledger else None,
            "clip_norm": case.get("clip_norm"),
            "dropout_draws": case.get("dropout_draws", 0),
        }

    def fit(self, epochs: int = EPOCHS, **options: object) -> "Run":
        parts = self.model, self.objective, self.optimizer, data(), data(1)
        how = {"epochs": epochs, "batch_size": 8, "progress": False} | self.options | options
        self.history = mr.fit(*parts, **how)
        return self

    def ends(self) -> object:
        """All that a training leaves, bit for bit, except the time it took."""
        parts = [
            self.optimizer,
            *(self.options[n] for n in ("scheduler", "early_stopping", "ledger")),
        ]
        rows = [
            {c: float(v) for c, v in row.items() if c != "seconds"} for row in self.history.rows
        ]
        about = rows, self.history.stopped, self.history.best_epoch
        about += (self.objective.loss.state_dict(),)
        states = [part.state_dict() for part in parts if part is not None]
        return bits([self.model.state_dict(), *states, about])


def bits(value: object) -> object:
    """Nested states as what == compares bit for bit."""
    if isinstance(value, dict):
        return {key: bits(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [bits(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.str, value.shape, value.tobytes()
    return repr(value)


X0, X1 = np.zeros(3), np.ones(3)


class EndedError(Exception):
    pass


@contextmanager
def full_disk(monkeypatch, after=6):
    """Inside, only so many files take their place."""
    replace, calls = os.replace, []

    def full(source, target):
        calls.append(target)
        if len(calls) > after:
            raise OSError("No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        yield


def interrupted(patch: pytest.MonkeyPatch, run: Run, **options: object) -> None:
    """Train until the first checkpoint has been written that is not that of the start."""
    save = Progress.save

    def last(self, path):
        save(self, path)
        if self.steps > start:
            raise EndedError

    resume = options.get("resume")
    start = checkpoint.read_tree("test", resume)["epoch"]["steps"] if resume else 0
    with patch.context() as patched:
        patched.setattr(Progress, "save", last)
        with pytest.raises(EndedError):
            run.fit(**options)


# --- the same as if nothing had come between --------------------------------------------------------


@pytest.mark.parametrize("label", CASES)
def test_interrupted_and_resumed_is_uninterrupted(label, tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    whole = Run(label).fit()
    expected, done = whole.ends(), len(whole.history) * UPDATES
    rng = np.random.default_rng(len(label))
    for step in (int(rng.integers(1, UPDATES)), int(rng.integers(UPDATES, done))):
        interrupted(monkeypatch, Run(label), checkpoint=path, every=step)
        again = Run(label, seed=7).fit(resume=path)  # other weights and streams, until it resumes
        assert again.ends() == expected, f"interrupted after {step} updates"


@pytest.mark.parametrize("label", CASES)
def test_ended_between_the_last_update_and_the_end_of_an_epoch(label, tmp_path):
    """By a hook, or Ctrl-C while it is evaluated: a ledger's record lost what that update did."""
    path, whole = tmp_path / "run.safetensors", Run(label).fit()
    Run(label).fit(checkpoint=path, on_step=lambda step, *given: step == UPDATES)
    assert Run(label, seed=7).fit(resume=path).ends() == whole.ends()


def test_interrupted_after_every_single_update(tmp_path, monkeypatch):
    path, whole = tmp_path / "run.safetensors", Run("all of it").fit()
    for k in range(len(whole.history) * UPDATES):
        run, resume = Run("all of it", seed=k), path if k else None
        interrupted(monkeypatch, run, checkpoint=path, every=1, resume=resume)
        assert checkpoint.read_tree("test", path)["epoch"]["steps"] == k + 1
    assert Run("all of it", seed=99).fit(resume=path).ends() == whole.ends()


def warmed(seed: int = 0, other: type = schedules.LinearLR) -> Run:
    """Of two schedules of the optimizer fit steps one, a hook the other."""
    run = Run("cosine", seed)
    warm = other(run.optimizer, 0.1, total_iters=9)
    run.options["on_step"] = lambda *given: warm.step()
    return run


def test_a_schedule_that_a_hook_steps_goes_on(tmp_path, monkeypatch):
    """It began anew, and the rate was that of a warm-up in the midst of the training."""
    path, whole = tmp_path / "run.safetensors", warmed().fit()
    for step in (3, 2 * UPDATES):
        interrupted(monkeypatch, warmed(), checkpoint=path, every=step)
        assert warmed(seed=7).fit(resume=path).ends() == whole.ends()
    told = "the scheduler: CosineAnnealingLR, LinearLR there, CosineAnnealingLR{} here"
    for one, more in ((Run("cosine"), ""), (warmed(other=schedules.ConstantLR), ", ConstantLR")):
        with pytest.raises(ValueError, match=told.format(more)):
            one.fit(resume=path)


@pytest.mark.parametrize("ledger", [False, True])
@pytest.mark.parametrize(("make", "options"), [
    (optim.Adam, {"amsgrad": True}), (optim.RMSprop, {"centered": True}),
    (optim.RMSprop, {"momentum": 0.9}), (optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (optim.SGD, {"momentum": 0.9, "dampening": 0.5}), (optim.ProximalGradient, {"accelerated": True}),
])  # fmt: skip
def test_an_option_that_a_hook_sets_begins_as_without_the_break(make, options, ledger, tmp_path):
    """The checkpoint of that epoch could not be read: it lacked what the next step begins."""
    path = tmp_path / "run.safetensors"

    def started(seed=0):
        run = Run("momentum", seed)
        run.optimizer = make(run.model.parameters(), lr=0.02)
        run.options["ledger"] = mr.Ledger(run.optimizer, accumulate=True) if ledger else None
        change = lambda row: row["epoch"] == 2 and run.optimizer.param_groups[0].update(options)
        run.options["on_epoch"] = lambda row, model: change(row)
        return run

    whole = started().fit()
    started().fit(2, checkpoint=path)
    assert started(seed=7).fit(resume=path).ends() == whole.ends()


def test_checkpoints_change_nothing(tmp_path):
    expected = Run("all of it").fit().ends()
    for every in (None, 3):
        run = Run("all of it").fit(checkpoint=tmp_path / "run.safetensors", every=every)
        assert run.ends() == expected


def test_ctrl_c_within_an_update(tmp_path, monkeypatch):
    """What fit returns then is half an update; the checkpoint is whole."""
    path, run, step = tmp_path / "run.safetensors", Run("all of it"), optim.Optimizer._walk
    walked = []

    def tired(self, update, factor):
        walked.append(update)
        if len(walked) == 45:  # of six parameters the third
            raise KeyboardInterrupt
        step(self, update, factor)

    with monkeypatch.context() as patch:
        patch.setattr(optim.Optimizer, "_walk", tired)
        assert run.fit(checkpoint=path, every=1).history.stopped == "interrupted"
    assert checkpoint.read_tree("test", path)["epoch"]["steps"] == 7
    assert Run("all of it", seed=7).fit(resume=path).ends() == Run("all of it").fit().ends()


def test_what_has_ended_can_be_read_and_go_on(tmp_path):
    path = tmp_path / "run.safetensors"
    short = Run("momentum").fit(3, checkpoint=path)
    assert Run("momentum", seed=7).fit(3, resume=path).ends() == short.ends()
    assert Run("momentum", seed=7).fit(EPOCHS, resume=path).ends() == Run("momentum").fit().ends()
    stopped = Run("early stopping").fit(50, checkpoint=path)
    assert stopped.history.stopped == "early stopping"
    assert Run("early stopping", seed=7).fit(50, resume=path).ends() == stopped.ends()


def test_when_they_are_written(tmp_path, monkeypatch):
    written, path = [], tmp_path / "run.safetensors"
    monkeypatch.setattr(Progress, "save", lambda self, path: written.append(self.steps))
    for every, expected in {
        None: [0, 4, 8, 12],
        5: [0, 5, 10, 12],
        6: [0, 6, 12],
        99: [0, 12],
    }.items():
        written.clear()
        Run("momentum").fit(3, checkpoint=path, every=every)
        assert written == expected


def test_writing_takes_a_share_of_the_time(tmp_path, monkeypatch):
    """An epoch takes 4 seconds, a second an update, and writing takes 1, except at first: a third."""
    now, written, write = [0.0], [], progress.write_tree

    def slow(owner, path, tree):
        now[0] += 1 if written else 0.25
        written.append(tree["epoch"]["steps"])

    def second(self, *args, **options):
        now[0] += 1
        return step(self, *args, **options)

    step, clock = optim.Optimizer.step, SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(optim.Optimizer, "step", second)
    monkeypatch.setattr(progress, "write_tree", slow)
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(training, "time", clock)
    path = tmp_path / "run.safetensors"
    for every, expected in {0.1: [0, 4, 16, 20], 0.25: [0, 4, 8, 12, 16, 20]}.items():
        written.clear()
        Run("momentum").fit(checkpoint=path, every=every)
        assert written == expected
    monkeypatch.setattr(progress, "write_tree", write)
    Run("momentum").fit(1, checkpoint=path, every=0.5)
    assert Run("momentum").fit(resume=path, checkpoint=path, every=0.5).ends() == (
        Run("momentum").fit().ends()
    )
    for wrong in (0.0, 1.0, 2.5, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"every must be in \(0, 1\)"):
            Run("momentum").fit(checkpoint=path, every=wrong)


def test_the_one_before_is_kept(tmp_path):
    path = tmp_path / "run.safetensors"
    Run("momentum").fit(2, checkpoint=path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "run.previous.safetensors",
        "run.safetensors",
    ]
    before = checkpoint.previous(path)
    assert [checkpoint.read_tree("test", p)["epoch"]["steps"] for p in (before, path)] == [4, 8]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"the one before is '.*run\.previous\.safetensors'"):
        Run("momentum").fit(resume=path)
    assert Run("momentum").fit(resume=before).ends() == Run("momentum").fit().ends()


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refuse(*names):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    test_the_one_before_is_kept(tmp_path)


def test_weights_can_be_taken_out_of_a_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    run = Run("BatchNorm").fit(1, checkpoint=path)
    state = {
        n.removeprefix("model/"): a for n, a in mr.load(path).items() if n.startswith("model/")
    }
    assert bits(state) == bits(run.model.state_dict())


# --- iterables ----------------------------------------------------------------------------------------


class Anew:
    """The data in batches of a fixed order; nobody knows how many there are."""

    def __iter__(self):
        x, y = data()
        for stop in range(8, N + 8, 8):
            yield x[stop - 8 : stop], y[stop - 8 : stop]


def fed(run: Run, given: object, epochs: int = EPOCHS, **options: object) -> Run:
    parts = run.model, run.objective, run.optimizer, given, data(1)
    run.history = mr.fit(*parts, epochs=epochs, progress=False, **run.options, **options)
    return run


@pytest.mark.parametrize("label", ["dropout", "one cycle", "strengths that change", "all of it"])
@pytest.mark.parametrize("given", [list, Anew], ids=["known", "unknown"])
def test_an_iterable_goes_on_at_the_end_of_an_epoch(label, given, tmp_path):
    path, make = tmp_path / "run.safetensors", (lambda: given(Anew()) if given is list else given())
    whole, steps = fed(Run(label), make()), []
    halt = lambda step, *others: steps.append(step) or step == 2 * UPDATES + 3
    assert fed(Run(label), make(), checkpoint=path, on_step=halt).history.stopped == "hook"
    assert checkpoint.read_tree("test", path)["epoch"]["steps"] == 2 * UPDATES
    go = lambda step, *others: steps.append(step)
    again = fed(Run(label, seed=7), make(), resume=path, on_step=go)
    assert again.ends() == whole.ends()
    first = [*range(1, 2 * UPDATES + 4)]
    assert steps == [*first, *range(2 * UPDATES + 1, len(whole.history) * UPDATES + 1)]


def test_a_list_of_other_batches_is_refused(tmp_path):
    """It was taken, as an iterable of which nothing is known."""
    path, batches = tmp_path / "run.safetensors", [*Anew()]
    fed(Run("momentum"), batches, 1, checkpoint=path)
    x, y = batches[1]
    others = {"x": [x + np.float32(1e-6), y], "y": [x, y[::-1]]}
    for part, batch in others.items():
        with pytest.raises(
            ValueError, match=f"{part} of train: 4 batches .* there, 4 batches .* here"
        ):
            fed(Run("momentum"), [batches[0], batch, *batches[2:]], resume=path)
    with pytest.raises(ValueError, match=r"x of train: 4 batches .* there, 3 batches .* here"):
        fed(Run("momentum"), batches[:3], resume=path)
    with pytest.raises(ValueError, match=r"x of train: 4 batches .* there, an iterable here"):
        fed(Run("momentum"), Anew(), resume=path)


def test_when_those_of_an_iterable_are_written(tmp_path, monkeypatch):
    written, path = [], tmp_path / "run.safetensors"
    monkeypatch.setattr(Progress, "save", lambda self, path: written.append(self.steps))
    for every, expected in {1: [0, 4, 8, 12], 4: [0, 4, 8, 12], 5: [0, 8, 12], 99: [0, 12]}.items():
        written.clear()
        with pytest.warns(UserWarning, match="goes on from the end of an epoch only") as told:
            fed(Run("momentum"), Anew(), 3, checkpoint=path, every=every)
        assert written == expected
        assert len(told) == 1
    written.clear()
    fed(Run("momentum"), Anew(), 3, checkpoint=path)
    assert written == [0, 4, 8, 12]


def test_a_pair_does_not_go_on_as_an_iterable(tmp_path):
    path = tmp_path / "run.safetensors"
    Run("momentum").fit(1, checkpoint=path)
    with pytest.raises(ValueError, match="batch_size: 8 there, None here"):
        fed(Run("momentum"), Anew(), resume=path)


def test_classes_are_in_checkpoints(tmp_path):
    x, y = data()
    path, run, words = (
        tmp_path / "run.safetensors",
        Run("momentum"),
        np.array(["cat", "dog", "eel"]),
    )

    def trained(labels: np.ndarray, epochs: int = 2, **options: object) -> mr.History:
        parts = run.model, run.objective, run.optimizer, (x, labels)
        return mr.fit(*parts, epochs=epochs, progress=False, **options)

    trained(words[y], checkpoint=path)
    assert checkpoint.read_tree("test", path)["classes"] == ["cat", "dog", "eel"]
    assert trained(words[y], resume=path).classes == ("cat", "dog", "eel")
    with pytest.raises(ValueError, match=r"classes: \('cat', 'dog', 'eel'\) there, \(\) here"):
        trained(y, resume=path)
    bools = [(x, y == 1)]
    parts = run.model, run.objective, run.optimizer, bools
    for options in (
        {"checkpoint": path},
        {"resume": path},
    ):  # the second time not one batch is trained on
        assert mr.fit(*parts, epochs=1, progress=False, **options).classes == (False, True)


# --- refusals ---------------------------------------------------------------------------------------

OTHER = {
    "the model: ": lambda run: setattr(run, "model", mlp(nn.Tanh())),
    "the trained parameters: ": lambda run: run.model[0].weight.requires_grad_(False),
    "the loss: ": lambda run: setattr(run.objective, "loss", nn.CrossEntropyLoss(label_smoothing=0.1)),
    "the strengths: L1.strength = 0.01 there, L1.strength = 0.5": lambda run: setattr(
        run.objective.terms["l1"].penalty, "strength", 0.5),
    "the penalties: l2: L2(center=None": lambda run: setattr(
        run.objective.terms["l2"].penalty, "center", 0.5),
    "where they act: ": lambda run: setattr(run, "objective", mr.Objective(
        nn.CrossEntropyLoss(), {"l1": mr.Term(L1(1e-2), via="prox"), "l2": (L2(1e-2), "0.*")})),
    "the optimizer: AdamW None there, Adam None here": lambda run: setattr(
        run, "optimizer", optim.Adam(run.model.parameters())),
    "the optimizer: AdamW None there, AdamW NonNegative() here": lambda run: run.optimizer.add_prox(
        run.model.parameters(), penalties.NonNegative()),
    "the strengths: nothing there, L1.strength = 0.1 here": lambda run: run.optimizer.add_prox(
        run.model.parameters(), L1(0.1)),
    "the scheduler: ": lambda run: run.options.update(scheduler=schedules.StepLR(run.optimizer, 2)),
    "early stopping: ": lambda run: run.options.update(early_stopping=optim.EarlyStopping(3)),
    "the ledger: ": lambda run: run.options.update(ledger=mr.Ledger(run.optimizer)),
    "batch_size: 8 there, 9 here": lambda run: run.options.update(batch_size=9),
    "seed: 0 there, 1 here": lambda run: run.options.update(seed=1),
    "clip_norm: None there, 1.0 here": lambda run: run.options.update(clip_norm=1.0),
    "x of w: nothing there, ": lambda run: run.options.update(watch={"w": data(2)}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:fit. the optimizer holds other parameters")
@pytest.mark.parametrize("words", OTHER)
def test_another_training_is_named_and_nothing_changes(words, tmp_path):
    path = tmp_path / "run.safetensors"
    Run("AdamW").fit(1, checkpoint=path)
    run = Run("AdamW", seed=7)
    OTHER[words](run)
    if words == "the model: ":
        run.optimizer = optim.AdamW(run.model.parameters(), 0.02, weight_decay=0.1)
    before = run.ends()
    with pytest.raises(ValueError, match="is no checkpoint of this training: ") as raised:
        run.fit(resume=path)
    assert f"training: {words}" in str(raised.value)
    assert run.ends() == before


def test_what_cannot_be_kept_is_said_at_once(tmp_path, monkeypatch):
    run, path = Run("momentum"), tmp_path / "run.safetensors"
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        run.fit(checkpoint="run.npz")
    with pytest.raises(ValueError, match=r"^fit: checkpoint: 'a\.pt' must end in \.safetensors$"):
        run.fit(checkpoint="a.pt")
    with pytest.raises(ValueError, match="every must be an integer ≥ 1"):
        run.fit(checkpoint=path, every=0)
    with pytest.raises(ValueError, match="say where, checkpoint=PATH"):
        run.fit(every=3)
    with pytest.raises(FileNotFoundError, match="fit: resume: no file"):
        run.fit(resume=path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        run.fit(checkpoint=tmp_path / "nowhere" / "run.safetensors")
    with pytest.raises(TypeError, match=r"cannot hold a/1, a set"):
        checkpoint.write_tree("test", path, {"a": [1, {2}]})
    drawn = Run("dropout")
    drawn.model[2].generator._rng["cupy"] = None
    with pytest.raises(NotImplementedError, match=r"the stream '2\.generator' has drawn on a GPU"):
        drawn.fit(checkpoint=path)
    assert not path.exists()


def linked(folder: Path, how: str) -> Path:
    """A name that leads to another folder, or to another name in this one."""
    (folder / "big").mkdir()
    path = folder / "run.safetensors"
    path.symlink_to({"relative": "big/data.safetensors", "here": "data.safetensors",
                     "absolute": folder / "big" / "data.safetensors"}[how])  # fmt: skip
    return path


@pytest.mark.parametrize("how", ["relative", "absolute", "here"])
def test_a_link_stays_one_and_both_files_can_be_read(how, tmp_path, monkeypatch):
    path = linked(tmp_path, how)
    for every in (1, 3):  # the file is made, then replaced
        Run("momentum").fit(2, checkpoint=path, every=every)
        steps = [
            checkpoint.read_tree("test", p)["epoch"]["steps"]
            for p in (path, checkpoint.previous(path))
        ]
        assert steps == [8, {1: 7, 3: 6}[every]]
        assert path.is_symlink()
        assert checkpoint.previous(path) == path.resolve().with_stem("data.previous")
        assert not checkpoint.previous(path).is_symlink()
    interrupted(monkeypatch, Run("momentum"), checkpoint=path, every=3)
    assert Run("momentum", seed=7).fit(resume=path).ends() == Run("momentum").fit().ends()
    with full_disk(monkeypatch), pytest.raises(OSError, match="No space left"):
        Run("momentum").fit(checkpoint=path, every=1)
    assert Run("momentum", seed=7).fit(resume=path).ends() == Run("momentum").fit().ends()
    path.resolve().write_bytes(b"")
    with pytest.raises(ValueError, match=r"the one before is '.*data\.previous\.safetensors'"):
        Run("momentum").fit(resume=path)


def test_a_checkpoint_of_another_version_says_so(tmp_path):
    path = tmp_path / "run.safetensors"
    Run("momentum").fit(1, checkpoint=path)
    tree = checkpoint.read_tree("test", path)
    for number in ({}, {"format": 99}):
        checkpoint.write_tree(
            "test", path, {k: v for k, v in tree.items() if k != "format"} | number
        )
        with pytest.raises(ValueError, match=r"its format is (None|99), expected 1: of another"):
            Run("momentum").fit(2, resume=path)


def test_fewer_epochs_than_were_done_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    Run("momentum").fit(3, checkpoint=path)
    with pytest.raises(ValueError, match="it has done 3 epochs, epochs=2 is all of them"):
        Run("momentum").fit(2, resume=path)
    interrupted(monkeypatch, Run("momentum"), checkpoint=path, every=6)
    with pytest.raises(ValueError, match="it has done 1 epochs and part of the next, epochs=1"):
        Run("momentum").fit(1, resume=path)


def test_an_earlier_training_is_not_replaced_in_silence(tmp_path):
    path = tmp_path / "run.safetensors"
    Run("momentum").fit(1, checkpoint=path)
    with pytest.warns(
        UserWarning, match="holds an earlier training, which this one replaces; to go"
    ):
        Run("momentum").fit(1, checkpoint=path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Run("momentum").fit(2, checkpoint=path, resume=path)


def test_a_shuffling_iterable_is_not_resumed_in_silence(tmp_path):
    path = tmp_path / "run.safetensors"
    fed(Run("momentum"), Anew(), 2, checkpoint=path)
    with pytest.warns(
        UserWarning, match="there were 4 passes, to train and to evaluate, in 2 epochs"
    ):
        fed(Run("momentum"), Anew(), 3, resume=path)
    fed(Run("momentum"), list(Anew()), 2, checkpoint=path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fed(Run("momentum"), list(Anew()), 3, resume=path)


def test_a_full_disk_ends_the_training_and_leaves_a_checkpoint(tmp_path, monkeypatch):
    path, run = tmp_path / "run.safetensors", Run("momentum")
    with full_disk(monkeypatch), pytest.raises(OSError, match="No space left"):
        run.fit(checkpoint=path, every=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "run.previous.safetensors",
        "run.safetensors",
    ]
    assert Run("momentum", seed=7).fit(resume=path).ends() == Run("momentum").fit().ends()


# --- a law: no option of a loss or a penalty can be another ---------------------------------------


def arrays_of(make) -> list[str]:
    """The arguments of the constructor that were given arrays or lists."""
    made = make()
    held = {n: getattr(made, n, None) for n in inspect.signature(type(made)).parameters}
    return [n for n, v in held.items() if isinstance(v, np.ndarray | list | tuple | mr.Tensor)]


def other(value: object) -> object:
    """The same array in shape and dtype, but for one number."""
    if isinstance(value, mr.Tensor):
        return mr.tensor(other(value.data))
    if isinstance(value, np.ndarray):
        changed = value.copy()
        changed.flat[-1] += 1
        return changed
    return type(value)(reversed(value))


WITH_ARRAYS = {
    f"{name} {i} {argument}": (make, argument)
    for table in ({n: [partial(m, "numpy") for m in ms] for n, ms in device.PENALTIES.items()},
                  {n: [partial(m, "numpy") for m, _ in ms] for n, ms in device.LOSSES.items()})
    for name, makes in table.items() for i, make in enumerate(makes) for argument in arrays_of(make)
}  # fmt: skip


@pytest.mark.parametrize("label", WITH_ARRAYS)
def test_another_array_is_another_loss_or_penalty(label):
    make, argument = WITH_ARRAYS[label]
    made, same, changed = make(), make(), make()
    vars(changed)[argument] = other(getattr(changed, argument))
    assert progress._held(made) == progress._held(same) != progress._held(changed)


def test_there_are_such_arrays():
    names = {label.split()[0] + "." + label.split()[2] for label in WITH_ARRAYS}
    assert names >= {
        "L2.center", "L2.weight", "Quadratic.matrix", "Quadratic.center", "SLOPE.weights",
        "CrossEntropyLoss.weight", "BCEWithLogitsLoss.pos_weight",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "i"), [*device.PENALTY_CASES])
def test_a_penalty_is_the_same_after_use(name, i):
    make = partial(device.PENALTIES[name][i], "numpy")
    used = make()
    w = mr.tensor(device.W, requires_grad=True)
    used(w).backward()
    with suppress(NotImplementedError):
        used.prox(device.W, 0.1)
    assert progress._held(used) == progress._held(make())


def test_functions_and_what_rules_enclose_are_told_apart():
    from_rule = [penalties.translated(L1(0.1), center) for center in (np.zeros(3), np.ones(3))]
    groups = [penalties.GroupLasso(0.1, groups=g) for g in ([[0, 1], [2]], [[0, 2], [1]])]
    axes = [penalties.MaxNorm(0.1, axis=axis) for axis in (0, 1)]
    plain = [penalties.scaled(L1(0.1), factor) for factor in (2.0, 3.0)]
    box = [penalties.Box(0.0, high) for high in (np.ones(2), np.full(2, 2.0))]
    warm = [
        L2(Coefficient(f), center=c) for f, c in ((math.sqrt, X0), (math.exp, X0), (math.exp, X1))
    ]

    class Own:
        def __init__(self, k):
            self.k = k

        def loss(self, output, target):
            return self.k * ((output - target) ** 2).mean()

        __call__ = loss

    kept = [Own(1), Own(2), Own(1).loss, Own(2).loss]
    own = [
        nn.functional.mse_loss,
        nn.functional.l1_loss,
        partial(nn.functional.l1_loss, reduction="sum"),
    ]
    for different in (from_rule, plain, box, groups, axes, warm, kept, own):
        texts = [progress._held(d) for d in different]
        assert len({*texts}) == len(texts), texts


# --- copies ------------------------------------------------------------------------------------------

# what draws from the global seed takes turns with its copies
COPIED = [label for label in CASES if label != "dropout of a function"]


def copied_backwards(run):
    """The last part first: what leads to another may be copied before it, or after."""
    twin = copy.copy(run)
    vars(twin).update(copy.deepcopy([*vars(run).items()][::-1]))
    return twin


@pytest.mark.parametrize("label", COPIED)
def test_copied_and_pickled_parts_go_on(label):
    """With a SpectralNorm they went on differently: the vectors it follows were left behind."""
    run = Run(label).fit(2)
    twins = copy.deepcopy(run), pickle.loads(pickle.dumps(run)), copied_backwards(run)
    expected = run.ends()
    assert all(twin.ends() == expected for twin in twins)
    run.fit(2)
    for twin in twins:
        assert twin.ends() == expected  # a copy is apart
        assert twin.fit(2).ends() == run.ends()
    if run.options["ledger"]:
        assert bits(dict(twins[1].options["ledger"].last["0.weight"])) == bits(
            dict(run.options["ledger"].last["0.weight"])
        )


def test_early_stopping_goes_on_where_it_was():
    one, two, model = optim.EarlyStopping(2), optim.EarlyStopping(2), mlp()
    one.update(0.5, model)
    one.update(0.6, model)
    two.load_state_dict(one.state_dict())
    assert [s.update(0.7, model) for s in (one, two)] == [True, True]
    assert two.best == 0.5
    two._weights["0.weight"][:] = 0
    assert (one._weights["0.weight"] != 0).any()


@pytest.mark.parametrize("change", [
    {"best": "x"}, {"looks": -1}, {"best_look": 9}, {"_weights": 3}, {"_warned": None}, {"more": 1},
    {"best": True}, {"looks": 0.5},
])  # fmt: skip
def test_early_stopping_refuses_another_state(change):
    stop = optim.EarlyStopping()
    with pytest.raises(ValueError, match=r"^EarlyStopping.load_state_dict: "):
        stop.load_state_dict(stop.state_dict() | change)
    with pytest.raises(TypeError, match=r"^EarlyStopping.load_state_dict: "):
        stop.load_state_dict(3)


def test_a_ledger_refuses_the_state_of_other_parameters():
    run, other = Run("ledger").fit(1), Run("ledger")
    ledger, state = other.options["ledger"], run.options["ledger"].state_dict()
    before = bits(ledger.state_dict())
    wrong = [
        {"names": {9: "0.weight"}}, {"momenta": {0: ({"data": np.zeros(3)}, 1.0)}}, {"steps": -1},
        {"since": {"nobody": (0.0, 0.0, {})}}, {"history": [{"step": "x"}]}, {"decays": {0: (1.0,)}},
        {"since": {"0.weight": (np.zeros((8, 4)), np.zeros(2), {})}}, {"more": 1},
    ]  # fmt: skip
    for change in wrong:
        with pytest.raises(ValueError, match=r"^Ledger.load_state_dict: "):
            ledger.load_state_dict(state | change)
        assert bits(ledger.state_dict()) == before
    ledger.load_state_dict(state)
    assert bits(ledger.state_dict()) == bits(state)
    assert repr(ledger.whole) == repr(run.options["ledger"].whole)


def test_new_streams_go_on_where_they_were():
    mr.manual_seed(3)
    mr.random.Stream("a").normal((1,))
    state = mr.random.seeds_state()
    expected = mr.random.Stream("a").normal((3,))
    mr.manual_seed(4)
    mr.random.load_seeds(state)
    assert (mr.random.Stream("a").normal((3,)) == expected).all()
    for wrong in (None, {}, {"root": -1, "children": {}}, {"root": 0, "children": {"a": "x"}}):
        with pytest.raises(ValueError, match=r"load_seeds|manual_seed"):
            mr.random.load_seeds(wrong)
    mr.manual_seed(0)


def test_half_a_state_of_a_stream_is_not_taken():
    stream = mr.random.Stream("a", seed=1)
    before, other = stream.state, mr.random.Stream("a", seed=2).state
    for wrong in (other | {"has_uint32": "x"}, other | {"bit_generator": "MT19937"}, {}, None):
        with pytest.raises(ValueError, match=r"Stream\('a', seed=1\): no state of a stream"):
            stream.state = wrong
        assert bits(stream.state) == bits(before)


# --- histories ---------------------------------------------------------------------------------------


def test_a_history_comes_back_from_json(tmp_path):
    path = tmp_path / "history.json"
    history = Run("early stopping").fit(50).history
    history.rows[0]["gap"] = math.inf
    history.to_json(path)
    again = mr.History.from_json(path)
    assert (again.stopped, again.best_epoch) == (history.stopped, history.best_epoch)
    assert math.isnan(again.rows[0].pop("gap"))
    del history.rows[0]["gap"]
    assert again.rows == history.rows
    mr.History().to_json(path)
    assert mr.History.from_json(path) == mr.History()


def test_rows_of_ones_own_come_back_from_json(tmp_path):
    """Columns that the first row lacks were left out, and NumPy's numbers were none."""
    path = tmp_path / "history.json"
    rows = [{"epoch": 1, "a": np.float32(0.5)}, {"epoch": np.int64(2), "b": 2.0}]
    history = mr.History(rows)
    history.to_json(path)
    found = mr.History.from_json(path)
    assert bits(found.rows) == bits([{"epoch": 1, "a": 0.5, "b": math.nan},
                                     {"epoch": 2, "a": math.nan, "b": 2.0}])  # fmt: skip
    assert bits(found["b"]) == bits(history["b"]) == bits([math.nan, 2.0])
    with pytest.raises(KeyError, match=r"no column 'c', expected one of \['epoch', 'a', 'b'\]"):
        history["c"]


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"columns": {"a": [1], "b": []}, "stopped": "", "best_epoch": null}',
    '{"columns": {"a": ["x"]}, "stopped": "", "best_epoch": null}', '{"columns": 3}', "\xff",
    '{"columns": {"a": [true]}, "stopped": "", "best_epoch": null}', "[" * 100_000,
    '{"columns": {"a": [1]}, "stopped": "", "best_epoch": "x"}',
])  # fmt: skip
def test_json_that_is_no_history_is_named(text, tmp_path):
    path = tmp_path / "history.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"history\.json' holds no history as to_json writes it"):
        mr.History.from_json(path)
    with pytest.raises(FileNotFoundError, match=r"History\.from_json: no file"):
        mr.History.from_json(tmp_path / "nowhere.json")


# --- files that are damaged, foreign or hostile -----------------------------------------------------


class Touch:
    """What a pickle does when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def header_of(good: bytes) -> tuple[dict, bytes]:
    n = struct.unpack("<Q", good[:8])[0]
    return json.loads(good[8 : 8 + n]), good[8 + n :]


def with_header(header: object, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def damaged(good: bytes, marker: Path) -> dict[str, bytes]:
    """500 files that are no longer the good one."""
    rng, found = np.random.default_rng(0), {}
    for i in range(220):
        bad = bytearray(good)
        at, bit = rng.integers(len(bad)), int(rng.integers(8))
        bad[at] ^= 1 << bit
        found[f"bit {bit} of byte {at}, {i}"] = bytes(bad)
    header_end = 8 + struct.unpack("<Q", good[:8])[0]
    for i in range(100):  # most of the file is header
        bad = bytearray(good)
        at = int(rng.integers(header_end, len(bad)))
        bad[at] ^= 1 << int(rng.integers(8))
        found[f"a bit of the data, byte {at}, {i}"] = bytes(bad)
    for i in range(80):
        found[f"cut, {i}"] = good[: rng.integers(len(good))]
    for length in (
        0,
        1,
        7,
        2**31,
        2**40,
        2**63,
        2**64 - 1,
        len(good),
        len(good) - 8,
        header_end - 9,
    ):
        found[f"a header of {length} bytes"] = struct.pack("<Q", length) + good[8:]
    header, body = header_of(good)
    names = [name for name in header if name != "__metadata__"]

    def changed(label: str, change) -> None:
        other = copy.deepcopy(header)
        change(other)
        found[label] = with_header(other, body)

    for i in range(30):
        one, other = (names[k] for k in rng.choice(len(names), 2, replace=False))
        for key in ("dtype", "shape", "data_offsets"):
            if header[one][key] != header[other][key]:
                swap = lambda h: h[one].update({key: header[other][key]}) or h[other].update(  # noqa: B023
                    {key: header[one][key]})  # fmt: skip # noqa: B023
                changed(f"{key} of {one} and {other}, {i}", swap)
        if header[one]["dtype"] == "F32":
            for dtype in ("I32", "BF16", "F64", "U32", "F8_E4M3", "pickle"):
                changed(f"{one} as {dtype}", lambda h: h[one].update(dtype=dtype))  # noqa: B023
    meta = header["__metadata__"]
    for key, text in meta.items():
        for label, new in {
            "NaN": "NaN",
            "empty": "",
            "Infinity": text.replace("0", "NaN"),
            "deep": "[" * 9999,
        }.items():
            if new != text:
                changed(f"{key} {label}", lambda h: h["__metadata__"].update({key: new}))  # noqa: B023
        changed(f"without {key}", lambda h: h["__metadata__"].pop(key))  # noqa: B023
    changed("a foreign key", lambda h: h["__metadata__"].update(code="import os"))
    changed("metadata of numbers", lambda h: h.update(__metadata__={"a": 1}))
    changed(
        "a foreign array",
        lambda h: h.update(x={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
    )
    changed("no metadata", lambda h: h.pop("__metadata__"))
    text = json.dumps(header).encode()
    entry = json.dumps({names[0]: header[names[0]]})[1:-1].encode()
    found["a name twice"] = with_header(b"{" + entry + b", " + text[1:], body)
    found["metadata twice"] = with_header(text[:-1] + b', "__metadata__": {}}', body)
    found["other spaces"] = with_header(header, body)
    found["a deep header"] = with_header(b"[" * 100_000, body)
    found["a header of NaN"] = with_header(b'{"a": NaN}', body)
    found["more at the end"] = good + b"\0"
    found["nothing"] = b""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Touch(marker)))
    found["a zip file"] = file.getvalue()
    found["a pickle"] = pickle.dumps(Touch(marker))
    found["a pickle as header"] = with_header(pickle.dumps(Touch(marker)), body)
    file = io.BytesIO()
    np.savez(file, objects=np.array([Touch(marker)], object))
    found["an .npz of objects"] = file.getvalue()
    return dict(list(found.items())[-500:])


def test_500_damaged_files_are_refused_and_change_nothing(tmp_path):
    path, marker = tmp_path / "run.safetensors", tmp_path / "ran"
    Run("hostile").fit(1, checkpoint=path, every=3)
    good, run = path.read_bytes(), Run("hostile", seed=7)
    before, files = run.ends(), damaged(good, marker)
    checkpoint.previous(path).unlink()
    assert len(files) == 500
    assert good not in files.values()
    accepted, unnamed = [], []
    for label, content in files.items():
        path.write_bytes(content)
        try:
            run.fit(resume=path)
        except ValueError as error:
            if not str(error).startswith(f"fit: resume: {str(path)!r} is damaged or no "):
                unnamed.append((label, error))
        else:
            accepted.append(label)
    assert (accepted, unnamed, run.ends() == before, marker.exists()) == ([], [], True, False)
    path.write_bytes(good)
    assert run.fit(resume=path).ends() == Run("hostile").fit().ends()


def places(value: object, at: tuple = ()) -> list[tuple]:
    """Where in a tree there is something, from the root on."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        return [at]
    return [at, *(place for key, v in items for place in places(v, (*at, key)))]


def replaced(value: object, at: tuple, new: object) -> object:
    if not at:
        return new
    items = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    items[at[0]] = replaced(items[at[0]], at[1:], new)
    return items if isinstance(value, dict) else type(value)(items.values())


ODD = [None, "x", -1, 10**30, math.nan, [], {}, {"a": 1}, np.zeros(7), np.full((3, 8), "x")]


def test_a_forged_tree_with_checksums_is_refused_or_fits(tmp_path, monkeypatch):
    """Every place of it with something odd in it: never another error, never half of it taken."""
    path, run = tmp_path / "run.safetensors", Run("all of it", seed=7)
    Run("all of it").fit(1, checkpoint=path, every=3)
    tree, rng = checkpoint.read_tree("test", path), np.random.default_rng(0)
    spots, refused = [p for p in places(tree) if p], 0
    before, start = run.ends(), copy.deepcopy(run)
    for k in rng.permutation(len(spots))[:150]:
        forged = replaced(tree, spots[k], ODD[rng.integers(len(ODD) - 1)])
        monkeypatch.setattr("minireg.progress.read_tree", lambda owner, path: forged)  # noqa: B023
        try:
            run.fit(1, resume=path)
        except ValueError as error:
            assert "is no checkpoint of this training: " in str(error)  # noqa: PT017
            assert run.ends() == before, spots[k]
            refused += 1
        else:
            run = copy.deepcopy(start)
    assert refused > 100


def test_an_array_of_text_is_in_no_file(tmp_path):
    with pytest.raises(TypeError, match="must be numbers"):
        checkpoint.write_tree("test", tmp_path / "a.safetensors", {"a": ODD[-1]})


# --- killed -----------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from minireg import checkpoint
from test_resume import Run

path, rng, kills, ends = Path(sys.argv[1]), np.random.default_rng(0), 0, 0
expected = Run("all of it").fit().ends()

def child():
    resume = path if path.exists() else None
    run = Run("all of it", seed=int(rng.integers(100)) if resume else 0)
    run.fit(checkpoint=path, every=1, resume=resume)
    os._exit(0 if run.ends() == expected else 1)

while kills < 100:
    if not (pid := os.fork()):
        child()
    time.sleep(rng.uniform(0, 0.12))
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        kills += 1
        for there in (path, checkpoint.previous(path)):
            if there.exists():
                checkpoint.read_tree("killed", there)
    else:
        assert os.WEXITSTATUS(status) == 0, "another end"
        ends += 1
        path.unlink()
while path.exists() or not ends:
    if not (pid := os.fork()):
        child()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "another end"
    ends += 1
    path.unlink()
print(kills, ends)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_100_random_moments(tmp_path):
    """Every file can be read, and who goes on each time ends as who was never killed."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run.safetensors")]
    folders = [Path(mr.__file__).parents[1], Path(__file__).parent]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kills, ends = map(int, done.stdout.split())
    print(done.stdout)
    assert kills == 100
    assert ends > 0
