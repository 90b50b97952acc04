"""on_step and on_epoch: what they see and when, what they may change, how they end a training."""

import re
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from support import arrays

import minireg as mr
from minireg import nn, optim
from minireg import training as fitting
from minireg.checkpoint import read_tree
from minireg.optim import lr_scheduler as schedules
from minireg.penalties import L1, L2
from minireg.random import Stream

N, C, UPDATES = 30, 3, 4
X = arrays.draw(N, 4, dtype=np.float32)
Y = X[:, :C].argmax(axis=1)
DOCS = Path(__file__).parents[1] / "docs"


class Training:
    """A small training; its parts can be looked at while it runs."""

    def __init__(self, seed: int = 0) -> None:
        mr.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, C))
        self.l2, self.l1 = L2(1e-2), L1(1e-3)
        self.objective = mr.Objective(
            nn.CrossEntropyLoss(), {"l2": self.l2, "l1": mr.Term(self.l1, via="prox")}
        )
        self.optimizer = optim.SGD(self.model.parameters(), 0.1, momentum=0.9)

    def fit(self, **options) -> mr.History:
        options = {"epochs": 4, "batch_size": 8, "progress": False} | options
        return mr.fit(self.model, self.objective, self.optimizer, (X, Y), **options)

    def weights(self) -> list[bytes]:
        return [p.data.tobytes() for p in self.model.parameters()]


def without_time(history: mr.History) -> list[dict]:
    return [{c: v for c, v in row.items() if c != "seconds"} for row in history.rows]


# --- when, and with what --------------------------------------------------------------------------


def test_hooks_that_only_look_change_nothing():
    plain, looked = Training(), Training()
    a = plain.fit()
    b = looked.fit(on_step=lambda *given: None, on_epoch=lambda *given: [None, True])
    assert plain.weights() == looked.weights()
    assert without_time(a) == without_time(b)
    assert a.stopped == b.stopped == "epochs"


def test_an_epoch_is_told_when_all_of_it_is_done():
    training, seen = Training(), []
    ledger = mr.Ledger(training.optimizer, training.model)
    scheduler = schedules.StepLR(training.optimizer, 1, gamma=0.5)
    stop = optim.EarlyStopping(9, monitor="train_loss")

    def on_epoch(row, model):
        assert model is training.model
        seen.append(row)
        assert len(ledger.history) == len(seen)
        assert scheduler.optimizer.param_groups[0]["lr"] == row["lr"] / 2  # that of the next epoch
        assert stop.best == min(r["train_loss"] for r in seen)
        row["mine"] = 1.0  # nobody else sees it

    history = training.fit(
        on_epoch=on_epoch, ledger=ledger, scheduler=scheduler, early_stopping=stop
    )
    assert [{c: v for c, v in row.items() if c != "mine"} for row in seen] == history.rows


def test_a_step_is_told_with_its_terms():
    training, seen = Training(), []

    def on_step(step, terms, model):
        assert model is training.model
        figures = {name: value.item() for name, value in terms.items()}
        assert figures["l2"] > 0  # the value before the step, though weights have changed since
        seen.append((step, figures, training.optimizer.param_groups[0]["lr"]))

    one = schedules.OneCycleLR(training.optimizer, 0.1, 4 * UPDATES)
    history = training.fit(on_step=on_step, scheduler=one)
    assert [step for step, *_ in seen] == [*range(1, 4 * UPDATES + 1)]
    rates = [lr for *_, lr in seen]  # after the scheduler: that of the next step
    assert rates[UPDATES - 2 :: UPDATES] == history["lr"]
    for name in ("data", "l2", "l1"):
        assert [f[name] for _, f, _ in seen][::UPDATES] == pytest.approx(history[f"value/{name}"])


@pytest.mark.parametrize("answer", [1, "yes", [True], 0, False, None, np.array([True])])
def test_only_true_ends_a_training(answer):
    history = Training().fit(on_epoch=lambda *given: answer, on_step=lambda *given: answer)
    assert (len(history), history.stopped) == (4, "epochs")


@pytest.mark.parametrize("true", [True, np.True_])
def test_true_ends_it(true):
    history = Training().fit(on_epoch=lambda row, model: true if row["epoch"] == 2 else None)
    assert (len(history), history.stopped) == (2, "hook")
    training = Training()
    history = training.fit(on_step=lambda step, *given: true if step == 10 else None)
    assert (len(history), history.stopped) == (2, "hook")  # an epoch under way has no row
    assert "stopped: hook" in repr(history)


def test_what_stopped_early_says_so_though_a_hook_agrees():
    stop = optim.EarlyStopping(1, min_delta=1e9, monitor="train_loss")
    history = Training().fit(early_stopping=stop, on_epoch=lambda row, model: row["epoch"] == 2)
    assert history.stopped == "early stopping"


def test_early_stopping_puts_back_the_best_weights_after_a_hook_ends_it():
    training, states = Training(), []
    stop = optim.EarlyStopping(9, monitor="train_loss")

    def on_epoch(row, model):
        states.append(training.weights())
        model[0].weight.assign(5.0)
        return row["epoch"] == 2

    history = training.fit(early_stopping=stop, on_epoch=on_epoch)
    assert training.weights() == states[history.best_epoch - 1]


@pytest.mark.parametrize("hook", ["on_step", "on_epoch"])
def test_an_error_in_a_hook_keeps_the_epochs(hook):
    def fails(first, *given):
        if (first if hook == "on_step" else first["epoch"] * UPDATES) == 2 * UPDATES:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        Training().fit(**{hook: fails})
    history = raised.value.history
    assert (len(history), history.stopped) == (1 if hook == "on_step" else 2, "error")


def test_what_is_no_function_is_told():
    with pytest.raises(TypeError, match="fit: on_epoch must be a function, got 'print'"):
        Training().fit(on_epoch="print")


# --- what they change -----------------------------------------------------------------------------


def test_rates_strengths_and_weights_that_a_hook_sets_count_from_the_next_update():
    training, rates = Training(), []

    def on_epoch(row, model):
        rates.append(row["lr"])
        training.optimizer.param_groups[0]["lr"] = 0.05 / row["epoch"]
        training.l1.strength = 100.0
        training.l2.strength = 0.5 * row["epoch"]

    history = training.fit(on_epoch=on_epoch)
    assert rates == [0.1, 0.05, 0.025, 0.05 / 3]
    assert history["zeros"][0] < history["zeros"][1] == history["weights"][1]
    values = []
    training = Training()

    def on_step(step, terms, model):
        values.append(terms["l2"].item())
        if step == 2:
            training.l2.strength *= 4
            before = sum((p.data**2).sum() for p in model.parameters() if p.kind == "weight")
            values.append(0.5 * training.l2.strength * before)

    training.fit(epochs=1, on_step=on_step)
    assert values[3] == pytest.approx(values[2])  # of the third step: the new strength


# --- resumed --------------------------------------------------------------------------------------


def changing(training: Training, calls: list, until: int = 99):
    """A hook that changes rates and strengths for good at some epochs."""

    def on_epoch(row, model):
        calls.append(row["epoch"])
        if row["epoch"] == 2:
            training.optimizer.param_groups[0]["lr"] *= 0.5
            training.l2.strength, training.l1.strength = 0.3, 1e-2
        return row["epoch"] == until

    return on_epoch


def test_resumed_each_epoch_is_told_once_and_what_hooks_changed_stays(tmp_path, monkeypatch):
    pytest.importorskip("safetensors")
    path, whole, calls, steps = tmp_path / "run.safetensors", Training(), [], []
    expected = whole.fit(epochs=5, on_epoch=changing(whole, []))
    first = Training()
    halt = lambda step, *given: steps.append(step) or step == 3 * UPDATES + 2
    stopped = first.fit(epochs=5, checkpoint=path, on_step=halt, on_epoch=changing(first, calls))
    assert (stopped.stopped, len(stopped)) == ("hook", 3)
    again = Training(seed=7)
    note = lambda step, *given: steps.append(step)
    found = again.fit(epochs=5, resume=path, on_step=note, on_epoch=changing(again, calls))
    assert calls == [1, 2, 3, 4, 5]
    assert steps == [*range(1, 5 * UPDATES + 1)]
    assert again.weights() == whole.weights()
    assert without_time(found) == without_time(expected)
    assert (again.l2.strength, again.l1.strength) == (0.3, 1e-2)


@pytest.mark.parametrize("at", [1, 2 * UPDATES, 2 * UPDATES + 3, "epoch"])
def test_what_a_hook_ended_goes_on(at, tmp_path):
    """Whichever hook it was, at the end of an epoch, too."""
    pytest.importorskip("safetensors")
    path, whole, first, again = tmp_path / "run.safetensors", *(Training(s) for s in (0, 0, 7))
    one = lambda t: schedules.OneCycleLR(t.optimizer, 0.1, 4 * UPDATES)
    expected = whole.fit(scheduler=one(whole))
    ends = {"on_step": lambda step, *given: step == at} if at != "epoch" else {
        "on_epoch": lambda row, model: row["epoch"] == 3}  # fmt: skip
    assert first.fit(checkpoint=path, scheduler=one(first), **ends).stopped == "hook"
    found = again.fit(resume=path, scheduler=one(again))
    assert again.weights() == whole.weights()
    assert without_time(found) == without_time(expected)
    assert found.stopped == "epochs"


@pytest.mark.parametrize("each", ["on_epoch", "on_step"])
def test_a_term_that_a_hook_adds_acts_from_the_next_update(each):
    """It was a KeyError 'new'."""
    training, at = Training(), 1 if each == "on_epoch" else UPDATES

    def add(first, *given):
        if (first if each == "on_step" else first["epoch"]) == at:
            training.objective.terms["new"] = mr.Term(L2(0.1))

    history = training.fit(**{each: add})
    assert np.isnan(history["norm/new"]).tolist() == [True, False, False, False]
    assert history["norm/new"][1] > 0


@pytest.mark.parametrize("via", ["gradient", "prox"])
@pytest.mark.parametrize("each", ["epoch", "step"])
def test_what_a_hook_changes_in_the_model_stays_when_resumed(each, via, tmp_path):
    """A dropout that is annealed, a layer that is thawed: kept, as rates and strengths are."""
    pytest.importorskip("safetensors")
    path = tmp_path / "run.safetensors"

    def started(seed):
        training = Training(seed)
        terms = {"l2": mr.Term(training.l2, via=via)}
        training.objective = mr.Objective(nn.CrossEntropyLoss(), terms)
        training.model[0].requires_grad_(False)
        return training

    def on_epoch(row, model):
        model[2].p = 0.3 / row["epoch"]
        model[0].requires_grad_(row["epoch"] >= 2 and each == "epoch")

    def on_step(step, terms, model):
        model[0].requires_grad_(step % 3 == 0)

    hooks = {"on_epoch": on_epoch, **({"on_step": on_step} if each == "step" else {})}
    whole, first, again = (started(s) for s in (0, 0, 7))
    expected = whole.fit(epochs=6, **hooks)
    first.fit(epochs=3, checkpoint=path, **hooks)
    found = again.fit(epochs=6, resume=path, **hooks)
    assert again.weights() == whole.weights()
    assert without_time(found) == without_time(expected)
    assert again.model[2].p == whole.model[2].p == pytest.approx(0.05)


CHANGED = {
    "the loss": (lambda t: setattr(t.objective.loss, "label_smoothing", 0.2),
                 r"the loss: .*label_smoothing=0\.2.* there, .*label_smoothing=0\.0"),
    "weights of classes": (lambda t: setattr(t.objective.loss, "weight", np.ones(C)), "the loss: "),
    "patience": (lambda t: setattr(t.stop, "patience", 7), "early stopping: "),
}  # fmt: skip


@pytest.mark.parametrize("label", CHANGED)
def test_what_no_checkpoint_keeps_is_refused_until_it_is_given(label, tmp_path):
    pytest.importorskip("safetensors")
    path, (change, words) = tmp_path / "run.safetensors", CHANGED[label]

    def trained(seed, changed=False, **options):
        training = Training(seed)
        training.stop = optim.EarlyStopping(9, monitor="train_loss")
        if changed:
            change(training)
        training.fit(early_stopping=training.stop, **options)
        return training

    first = Training()
    first.stop = optim.EarlyStopping(9, monitor="train_loss")
    tell = lambda row, model: change(first) if row["epoch"] == 2 else None
    first.fit(checkpoint=path, epochs=3, early_stopping=first.stop, on_epoch=tell)
    with pytest.raises(ValueError, match=words):
        trained(7, resume=path)
    again = trained(7, changed=True, resume=path)
    whole = Training()
    whole.stop = optim.EarlyStopping(9, monitor="train_loss")
    tell = lambda row, model: change(whole) if row["epoch"] == 2 else None
    whole.fit(early_stopping=whole.stop, on_epoch=tell)
    assert again.weights() == whole.weights()


# --- Ctrl-C ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["update", "hook", "evaluation", "between", "last"])
@pytest.mark.parametrize("passing", [False, True])
def test_ctrl_c_waits_for_a_whole_update_and_is_kept(moment, passing, tmp_path, monkeypatch):
    pytest.importorskip("safetensors")
    path, whole, again = tmp_path / "run.safetensors", Training(), Training(seed=7)
    expected, first, updates = whole.fit(), Training(), []
    places = {"update": (optim.Optimizer, "step"), "evaluation": (fitting, "figures"),
              "between": (Stream, "permutation"), "last": (fitting, "_check_losses")}  # fmt: skip

    def pressed(step, of):
        def then(*args, **options):
            updates.append(1)
            if len(updates) == of:
                signal.raise_signal(signal.SIGINT)
            return step(*args, **options)

        return then

    options = {}
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch, fitting.passing_interrupts() if passing else nullcontext():
        if moment == "hook":
            options["on_step"] = pressed(lambda *given: None, 6)
        else:
            owner, name = places[moment]
            of = {"update": 6, "last": 4}.get(moment, 2)
            patch.setattr(owner, name, pressed(getattr(owner, name), of))
        if passing:
            with pytest.raises(KeyboardInterrupt):
                first.fit(checkpoint=path, every=99, **options)
        else:
            assert first.fit(checkpoint=path, every=99, **options).stopped == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before
    done = read_tree("test", path)["epoch"]["steps"]
    assert done == {"update": 6, "hook": 6, "evaluation": 8, "between": 4, "last": 16}[moment]
    found = again.fit(resume=path)
    assert again.weights() == whole.weights()
    assert without_time(found) == without_time(expected)


def test_a_second_ctrl_c_ends_an_update_at_once(tmp_path, monkeypatch):
    pytest.importorskip("safetensors")
    path, training, calls = tmp_path / "run.safetensors", Training(), []

    def tired(self, *args, **options):
        calls.append(1)
        if len(calls) == 6:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return step(self, *args, **options)

    step = optim.Optimizer.step
    monkeypatch.setattr(optim.Optimizer, "step", tired)
    assert training.fit(checkpoint=path).stopped == "interrupted"
    assert read_tree("test", path)["epoch"]["steps"] == UPDATES  # the last whole file


# --- recipes --------------------------------------------------------------------------------------


def recipes() -> dict[str, str]:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    return dict(re.findall(r"## (.*?)\n.*?```python\n(.*?)```", text, re.DOTALL))


def run_recipe(name: str, tmp_path, **known) -> None:
    """Run a recipe as it is printed, with a model and its data at hand."""
    training = Training()
    model, objective, optimizer = training.model, training.objective, training.optimizer
    code = recipes()[name]
    assert len([line for line in code.splitlines() if line]) <= 5  # three, an import, and an end
    exec(code, {"mr": mr, "model": model, "objective": objective, "optimizer": optimizer,
                "data": (X, Y), **known})  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # TensorBoard's own
def test_the_recipe_for_tensorboard(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.chdir(tmp_path)
    run_recipe("TensorBoard", tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(tmp_path / "runs" / "tensorboard"), {"tensors": 0}).Reload()
    assert {"train_loss", "norm/l2", "zeros"} <= {*read.Tags()["scalars"]} | {
        *read.Tags()["tensors"]
    }
    points = read.Tensors("train_loss")
    values = [float(p.tensor_proto.float_val[0]) for p in points]
    history = Training().fit(epochs=20, batch_size=None)
    assert [p.step for p in points] == [*range(1, 21)]
    np.testing.assert_allclose(values, history["train_loss"], rtol=1e-5)


class Recorder:
    """What stands for a module that logs: it notes what it is told."""

    def __init__(self):
        self.rows = []

    def init(self, **options): ...

    def log(self, row):
        self.rows.append(row)

    def log_metrics(self, row, step):
        assert all(isinstance(v, int | float) for v in row.values())
        self.rows.append(row)


@pytest.mark.parametrize(("name", "module"), [("Weights & Biases", "wandb"), ("MLflow", "mlflow")])
def test_the_recipes_for_others_hand_over_each_row(name, module, tmp_path, monkeypatch):
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, module, recorder)
    run_recipe(name, tmp_path)
    assert [row["epoch"] for row in recorder.rows] == [*range(1, 21)]


def test_the_recipes_that_watch_and_stop(tmp_path, capsys):
    run_recipe("A line an epoch, and an end", tmp_path)
    assert capsys.readouterr().out.startswith("1 ")
