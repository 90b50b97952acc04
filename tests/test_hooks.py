"""on_step and on_epoch: what they see and when, what they may change, how they end a training."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from support import arrays

import minireg as mr
from minireg import nn, optim
from minireg.optim import lr_scheduler as schedules
from minireg.penalties import L1, L2

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
    stopped = first.fit(
        epochs=5, checkpoint=path, every=1, on_step=halt, on_epoch=changing(first, calls)
    )
    assert (stopped.stopped, len(stopped)) == ("hook", 3)
    again = Training(seed=7)
    note = lambda step, *given: steps.append(step)
    found = again.fit(epochs=5, resume=path, on_step=note, on_epoch=changing(again, calls))
    assert calls == [1, 2, 3, 4, 5]
    assert steps == [*range(1, 3 * UPDATES + 3), *range(3 * UPDATES + 2, 5 * UPDATES + 1)]
    assert again.weights() == whole.weights()
    assert without_time(found) == without_time(expected)
    assert (again.l2.strength, again.l1.strength) == (0.3, 1e-2)


def test_a_training_that_a_hook_ended_stays_ended(tmp_path):
    pytest.importorskip("safetensors")
    path, first, calls = tmp_path / "run.safetensors", Training(), []
    first.fit(checkpoint=path, on_epoch=changing(first, [], until=3))
    again = Training(seed=7)
    history = again.fit(resume=path, on_epoch=changing(again, calls))
    assert (len(history), history.stopped, calls) == (3, "hook", [])
    assert again.weights() == first.weights()


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
