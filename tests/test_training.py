"""fit: deterministic, honest in its columns, and it ends well however it ends."""

import gc
import json
import sys
import tracemalloc
from functools import partial

import numpy as np
import pytest
from support import arrays

import minireg as mr
from minireg import nn, optim
from minireg.penalties import L1, L2

N, C = 30, 3
draw = partial(arrays.draw, dtype=np.float32)


def labelled(n: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = draw(n, 4, seed=seed)
    return x, x[:, :C].argmax(axis=1)


def mlp(dropout: float = 0.2) -> nn.Sequential:
    hidden = nn.BatchNorm(8), nn.ReLU(), nn.Dropout(dropout)
    return nn.Sequential(nn.Linear(4, 8), *hidden, nn.Linear(8, C))


def run(model: nn.Module | None = None, seed: int = 0, **options) -> tuple[nn.Module, mr.History]:
    """Train the small network, or a given one, on small data, for a few epochs."""
    mr.manual_seed(seed)
    model = model or mlp()
    objective = options.pop("objective", mr.Objective(nn.CrossEntropyLoss(), {"l2": L2(1e-2)}))
    optimizer = options.pop("optimizer", None) or optim.Adam(model.parameters(), lr=0.01)
    options = {"train": labelled(), "validation": labelled(12, seed=1), "epochs": 4, "batch_size": 8,
               "progress": False, **options}  # fmt: skip
    return model, mr.fit(model, objective, optimizer, **options)


def same_state(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)


class Snapshots(optim.EarlyStopping):
    """Early stopping that keeps the state of every epoch."""

    def __init__(self, **options):
        super().__init__(**options)
        self.states = []

    def update(self, value, model=None):
        self.states.append(model.state_dict())
        return super().update(value, model)


class Fails(nn.Module):
    """Passes its input on, but raises at a given call in training mode."""

    def __init__(self, error: type[BaseException], call: int):
        self.error, self.call, self.calls = error, call, 0

    def forward(self, x):
        self.calls += self.training
        if self.calls == self.call:
            raise self.error
        return x


# --- history --------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run():
    (first, a), (second, b), (third, c) = (run(seed=s) for s in (0, 0, 1))
    assert same_state(first.state_dict(), second.state_dict())
    for column in a.rows[0].keys() - {"seconds"}:
        assert a[column] == b[column]
    assert not same_state(first.state_dict(), third.state_dict())
    assert a["train_loss"] != c["train_loss"]


def test_the_seed_of_fit_is_that_of_the_order():
    model = mlp(dropout=0.0)
    state = model.state_dict()
    figures = []
    for seed in (0, 0, 1):
        model = mlp(dropout=0.0)
        model.load_state_dict(state)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        options = {"epochs": 2, "batch_size": 8, "seed": seed, "progress": False}
        history = mr.fit(model, nn.CrossEntropyLoss(), optimizer, labelled(), **options)
        figures.append(history["train_loss"])
    assert figures[0] == figures[1] != figures[2]


COLUMNS = [
    "epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "gap",
    "accuracy_gap", "zeros", "weights", "value/data", "norm/data", "share/data", "cosine/data",
    "value/l2", "norm/l2", "share/l2", "cosine/l2", "seconds",
]  # fmt: skip


def test_history_has_these_columns():
    _, history = run()
    assert sorted(history.rows[0]) == sorted(COLUMNS)
    assert history.terms == ["data", "l2"]
    assert len(history) == 4
    assert history["epoch"] == [1, 2, 3, 4]
    assert all(np.isfinite(history[c]).all() for c in COLUMNS)
    column = {c: np.array(history[c]) for c in COLUMNS}
    for gap, high, low in (
        ("gap", "validation_loss", "train_loss"),
        ("accuracy_gap", "train_accuracy", "validation_accuracy"),
    ):
        np.testing.assert_allclose(column[gap], column[high] - column[low])
    np.testing.assert_allclose(column["share/data"] + column["share/l2"], 1)


def test_what_is_watched_has_columns_and_changes_nothing():
    parts = {"test": labelled(20, seed=2), "wrong": (X, 2 - Y)}
    model, history = run(watch=parts)
    assert {*history.rows[0]} - {*COLUMNS} == {
        f"{n}_{k}" for n in parts for k in ("loss", "accuracy")
    }
    for name, pair in parts.items():
        figures = mr.evaluate(model, nn.CrossEntropyLoss(), pair)
        assert figures == {k: history.last[f"{name}_{k}"] for k in figures}
    assert same_state(model.state_dict(), run()[0].state_dict())


def test_regression_without_validation_has_fewer_columns():
    x = draw(N, 4)
    _, history = run(nn.Linear(4, 1), train=(x, x[:, :1]), validation=None, objective=nn.MSELoss())
    missing = {c for c in COLUMNS if "accuracy" in c or "validation" in c or "l2" in c} | {"gap"}
    assert sorted(history.rows[0]) == sorted({*COLUMNS} - missing)


def test_integer_targets_of_a_regression_have_no_accuracy():
    data = draw(N, 4), np.arange(N)[:, None]
    _, history = run(nn.Linear(4, 1), train=data, validation=None, objective=nn.MSELoss())
    assert "train_accuracy" not in history.rows[0]


@pytest.mark.parametrize(
    ("loss", "ignored"),
    [
        (nn.CrossEntropyLoss(), -100),
        (nn.CrossEntropyLoss(ignore_index=3), 3),
        (nn.functional.cross_entropy, -100),
    ],
)
def test_an_ignored_label_is_neither_right_nor_wrong(loss, ignored):
    model, x = nn.Sequential(), np.eye(5) * 9
    y = np.array([0, 1, 2, ignored, ignored])
    assert mr.evaluate(model, loss, (x, y))["accuracy"] == 1.0
    assert mr.evaluate(model, loss, (x[::-1], y))["accuracy"] == 1 / 3
    with np.errstate(invalid="ignore"):
        assert np.isnan(mr.evaluate(model, loss, (x, np.full(5, ignored)))["accuracy"])


def test_the_last_row_describes_the_model():
    model, history = run()
    loss = nn.CrossEntropyLoss()
    assert mr.evaluate(model, loss, labelled())["loss"] == history.last["train_loss"]
    figures = mr.evaluate(model, loss, labelled(12, seed=1))
    assert figures == {
        "loss": history.last["validation_loss"], "accuracy": history.last["validation_accuracy"],
    }  # fmt: skip


def test_the_loss_of_the_history_is_the_bare_data_loss():
    """Without smoothing, penalties and dropout, so that runs compare."""
    smoothed = mr.Objective(nn.CrossEntropyLoss(label_smoothing=0.3), {"l2": L2(1.0)})
    model, history = run(objective=smoothed, epochs=1)
    assert (
        history.last["train_loss"] == mr.evaluate(model, nn.CrossEntropyLoss(), labelled())["loss"]
    )


def test_evaluation_leaves_modes_and_statistics_alone():
    model = mlp()
    before = model.state_dict()
    for mode in (True, False):
        mr.evaluate(model.train(mode), nn.CrossEntropyLoss(), labelled())
        assert {m.training for _, m in model.named_modules()} == {mode}
    assert same_state(model.state_dict(), before)


def test_zeros_count_exact_zeros_of_weights():
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l1": (L1(100.0), None, "prox")})
    model, history = run(objective=objective)
    weights = np.concatenate([p.data.ravel() for p in model.parameters() if p.kind == "weight"])
    assert history.last["weights"] == weights.size == 4 * 8 + 8 * C
    assert history.last["zeros"] == (weights == 0).sum() > 10


def test_history_as_json(tmp_path):
    _, history = run()
    history.to_json(tmp_path / "history.json")
    read = json.loads((tmp_path / "history.json").read_text())
    assert read == history.to_dict()
    assert read["stopped"] == "epochs"
    assert read["columns"]["train_loss"] == history["train_loss"]


def test_a_figure_that_is_not_finite_is_null_in_json(tmp_path):
    mr.History([{"epoch": 1, "validation_loss": float("nan"), "gap": float("-inf")}]).to_json(
        tmp_path / "history.json"
    )
    text = (tmp_path / "history.json").read_text()
    columns = json.loads(text, parse_constant=pytest.fail)["columns"]
    assert columns == {"epoch": [1], "validation_loss": [None], "gap": [None]}


def test_a_missing_column_lists_the_others():
    _, history = run(epochs=1)
    with pytest.raises(KeyError, match=r"no column 'val_loss', expected one of \['epoch', 'lr'"):
        history["val_loss"]


def test_an_empty_history_can_be_looked_at():
    history = mr.History(stopped="interrupted")
    assert repr(history) == "History(no epoch finished, stopped: interrupted)"
    assert history["train_loss"] == history.terms == []
    assert history.to_dict()["columns"] == {}
    with pytest.raises(IndexError, match="no epoch has finished, it was stopped by interrupted"):
        history.last


def test_repr_of_a_history():
    _, history = run(epochs=2)
    loss, validation = history.last["train_loss"], history.last["validation_loss"]
    assert repr(history) == (
        f"History(2 epochs, stopped: epochs, train_loss={loss:.4g}, validation_loss={validation:.4g})"
    )


# --- early stopping -------------------------------------------------------------------------------


def overfit(stopping: optim.EarlyStopping, epochs: int = 60) -> tuple[nn.Module, mr.History]:
    """Random labels: the validation loss soon grows."""
    rng = np.random.default_rng(0)
    train, validation = ((draw(N, 4, seed=s), rng.integers(0, C, N)) for s in (0, 1))
    options = {"train": train, "validation": validation, "epochs": epochs}
    return run(mlp(0.0), early_stopping=stopping, **options)


@pytest.mark.parametrize("monitor", ["validation_loss", "validation_accuracy", "gap"])
def test_early_stopping_restores_exactly_the_best_epoch(monitor):
    stopping = Snapshots(patience=5, monitor=monitor)
    model, history = overfit(stopping)
    assert history.stopped == "early stopping"
    pick = np.argmax if monitor == "validation_accuracy" else np.argmin
    best = int(pick(history[monitor])) + 1
    assert (history.best_epoch, len(history)) == (best, best + 5)
    assert same_state(model.state_dict(), stopping.states[best - 1])
    assert history.last is history.rows[best - 1]
    assert not same_state(model.state_dict(), stopping.states[-1])


def test_the_best_weights_come_back_when_the_epochs_end_first():
    stopping = Snapshots(patience=50)
    model, history = overfit(stopping, epochs=20)
    assert history.stopped == "epochs"
    assert history.best_epoch < 20
    assert same_state(model.state_dict(), stopping.states[history.best_epoch - 1])


def test_early_stopping_may_leave_the_last_weights():
    stopping = Snapshots(patience=5, restore_best=False)
    model, history = overfit(stopping)
    assert history.best_epoch is None
    assert same_state(model.state_dict(), stopping.states[-1])
    assert history.last is history.rows[-1]


def test_early_stopping_starts_afresh_with_each_run():
    stopping = optim.EarlyStopping(patience=3)
    overfit(stopping)
    model, history = run(epochs=2, early_stopping=stopping)
    assert len(history) == 2
    assert history.best_epoch in (1, 2)
    assert history.last["validation_loss"] == mr.evaluate(
        model, nn.CrossEntropyLoss(), labelled(12, seed=1)
    )["loss"]  # fmt: skip


def test_the_accuracy_of_a_regression_is_refused_before_the_first_epoch():
    """Integers as targets are no labels for a loss of ours that takes none."""
    model = nn.Linear(4, 1)
    sgd = optim.SGD(model.parameters(), 0.1)
    x, y = labelled()
    stop = optim.EarlyStopping(monitor="validation_accuracy")
    with pytest.raises(
        ValueError, match="early stopping on 'validation_accuracy', expected one of"
    ):
        mr.fit(model, nn.MSELoss(), sgd, (x[:, :4], y), (x[:, :4], y), early_stopping=stop)
    plateau = mr.optim.lr_scheduler.ReduceLROnPlateau(sgd, monitor="train_accuracy")
    with pytest.raises(ValueError, match="the scheduler on 'train_accuracy', expected one of"):
        mr.fit(model, nn.MSELoss(), sgd, (x[:, :4], y), scheduler=plateau)


@pytest.mark.parametrize("monitor", ["norm/l2", "seconds", "lr"])
def test_any_column_can_be_monitored(monitor):
    _, history = run(early_stopping=optim.EarlyStopping(patience=9, monitor=monitor))
    assert history.best_epoch == int(np.argmin(history[monitor])) + 1


def test_law_what_may_be_monitored_is_what_the_history_has():
    """ "value/l2x" was noticed after an epoch."""
    loss, dropped = (
        nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda: nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, C)),
    )
    options = {"epochs": 1, "dropout_draws": 2, "watch": {"own": (X, Y)}}
    options["objective"] = mr.Objective(loss, {"l2": L2(1e-3)})
    _, history = run(dropped(), **options)
    assert {"value/smoothing", "cosine/dropout", "own_accuracy"} <= history.last.keys()
    for column in history.last:
        run(dropped(), **options, early_stopping=optim.EarlyStopping(monitor=column))
        for wrong in (f"{column}x", f"x{column}"):
            with pytest.raises(ValueError, match=f"early stopping on '{wrong}', expected one of"):
                run(dropped(), **options, early_stopping=optim.EarlyStopping(monitor=wrong))
    for wrong in ("value", "value/", "value/dropout", "norm/smoothing"):
        with pytest.raises(ValueError, match="expected one of"):
            run(early_stopping=optim.EarlyStopping(monitor=wrong))


def test_a_monitor_that_is_no_column_is_told():
    with pytest.raises((KeyError, ValueError), match="'val_loss', expected one of"):
        run(early_stopping=optim.EarlyStopping(monitor="val_loss"))


def test_weights_that_were_not_kept_cannot_be_restored():
    stop = optim.EarlyStopping()
    stop.update(mr.tensor(1.0))
    assert type(stop.best) is float
    with pytest.raises(
        RuntimeError, match=r"no weights were kept; pass the model, update\(value, model\)"
    ):
        stop.restore(nn.Linear(1, 1))


def test_a_monitor_is_looked_up_before_the_first_epoch():
    model = nn.Linear(4, 1)
    before = model.state_dict()
    stopping = optim.EarlyStopping(monitor="validation_accuracy")
    data = draw(N, 4), draw(N, 1)
    with pytest.raises(
        ValueError, match=r"early stopping on 'validation_accuracy', expected one of"
    ):
        run(model, train=data, validation=data, objective=nn.MSELoss(), early_stopping=stopping)
    assert same_state(model.state_dict(), before)


def test_early_stopping_on_validation_needs_validation_data():
    with pytest.raises(ValueError, match="on 'validation_loss' needs validation data"):
        run(validation=None, early_stopping=optim.EarlyStopping())
    _, history = run(validation=None, early_stopping=optim.EarlyStopping(monitor="train_loss"))
    assert history.best_epoch


# --- other ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "epochs"), [(1, 0), (4, 0), (9, 2), (12, 2)])
def test_an_interrupt_returns_what_there_is(call, epochs):
    """Four batches an epoch: the ninth training call is the first of epoch 3."""
    model = nn.Sequential(nn.Linear(4, C), Fails(KeyboardInterrupt, call))
    _, history = run(model)
    assert (history.stopped, len(history)) == ("interrupted", epochs)


def test_an_interrupt_restores_the_best_weights():
    stopping = Snapshots(patience=50)
    model = nn.Sequential(nn.Linear(4, C), Fails(KeyboardInterrupt, 10))
    _, history = run(model, early_stopping=stopping)
    assert history.stopped == "interrupted"
    assert same_state(model.state_dict(), stopping.states[history.best_epoch - 1])


def test_other_errors_pass_through():
    with pytest.raises(ZeroDivisionError):
        run(nn.Sequential(nn.Linear(4, C), Fails(ZeroDivisionError, 9)))


class Grows(nn.Module):
    """A weight of which the training loss is not finite from a given training call on."""

    def __init__(self, call: int):
        self.call, self.calls, self.w = call, 0, nn.Parameter(np.ones((4, C), np.float32))

    def forward(self, x):
        self.calls += self.training
        return x @ self.w * (np.nan if self.calls >= self.call else 1.0)


def test_defect_14_a_divergence_keeps_the_finished_epochs_and_the_best_weights():
    stopping = Snapshots(patience=50)
    model = Grows(call=10)  # of four a epoch
    with pytest.raises(
        FloatingPointError, match="the training loss is nan after epoch 3"
    ) as raised:
        run(model, early_stopping=stopping, optimizer=optim.SGD(model.parameters(), 0.1))
    history = raised.value.history
    assert (history.stopped, len(history)) == ("error", 2)
    assert same_state(model.state_dict(), stopping.states[history.best_epoch - 1])
    assert np.isfinite(model.w.data).all()


def test_any_error_keeps_the_finished_epochs():
    with pytest.raises(ZeroDivisionError) as raised:
        run(nn.Sequential(nn.Linear(4, C), Fails(ZeroDivisionError, 9)))
    assert len(raised.value.history) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_says_so(bad):
    model = nn.Linear(4, C)
    model.weight.data[0, 0] = bad
    message = (
        r"fit: the training loss is (nan|inf) after epoch 1; lower the learning rate or the str"
    )
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=message):
        run(model)


# --- data -----------------------------------------------------------------------------------------


class Sizes(nn.Module):
    """Remembers how many samples each training batch had."""

    def __init__(self):
        self.seen = []

    def forward(self, x):
        if self.training:
            self.seen.append(len(x))
        return x


# (samples, batch size) → sizes of the batches
BATCHES = {
    (9, 3): [3, 3, 3],
    (10, 4): [4, 4, 2],
    (9, 4): [4, 5],  # one left over joins the batch before it
    (3, 100): [3],
    (1, 4): [1],
    (3, 1): [1, 1, 1],  # but a batch size of one is meant
}


@pytest.mark.parametrize(("n", "size"), BATCHES)
def test_sizes_of_batches(n, size):
    model = nn.Sequential(nn.Linear(4, C), Sizes())
    run(model, train=labelled(n), validation=None, batch_size=size, epochs=1)
    assert model[1].seen == BATCHES[n, size]


def test_batch_norm_never_sees_a_single_sample():
    model, history = run(train=labelled(17), batch_size=4)
    assert len(history) == 4
    assert model[1].num_batches_tracked.item() == 4 * 4


def test_every_sample_is_used_once_an_epoch():
    class Seen(nn.Module):
        def __init__(self):
            self.rows = []

        def forward(self, x):
            if self.training:
                self.rows.append(x.data[:, 0])
            return x

    model = nn.Sequential(Seen(), nn.Linear(4, C))
    x, y = labelled()
    run(model, train=(x, y), epochs=2)
    first, second = np.split(np.concatenate(model[0].rows), 2)
    np.testing.assert_array_equal(np.sort(first), np.sort(x[:, 0]))
    np.testing.assert_array_equal(np.sort(second), np.sort(x[:, 0]))
    assert (first != second).any()


@pytest.mark.parametrize(
    "kind", ["float64", "float16", "tensor", "list", "integers", "pandas", "torch"]
)
def test_the_model_keeps_its_dtype_whatever_the_data(kind):
    class Dtypes(nn.Module):
        def __init__(self):
            self.seen = set()

        def forward(self, x):
            self.seen.add(x.dtype.name)
            return x

    x, y = labelled()
    data = {
        "float64": (x.astype(np.float64), y),
        "float16": (x.astype(np.float16), y),
        "tensor": (mr.Tensor(x.astype(np.float64)), mr.Tensor(y)),
        "list": (x.tolist(), y.tolist()),
        "integers": (np.round(9 * x).astype(np.int64), y),
    }
    if kind == "pandas":
        pandas = pytest.importorskip("pandas")
        data[kind] = pandas.DataFrame(x), pandas.Series(y)
    if kind == "torch":
        torch = pytest.importorskip("torch")
        data[kind] = torch.from_numpy(x), torch.from_numpy(y)
    model = nn.Sequential(Dtypes(), mlp(), Dtypes())
    _, history = run(model, train=data[kind], validation=data[kind])
    assert "train_accuracy" in history.rows[0]
    assert {a.dtype.name for a in model.state_dict().values()} == {"float32", "int64"}
    assert model[2].seen == {"float32"}


@pytest.mark.parametrize("kind", ["int64", "uint8"])
def test_an_embedding_gets_its_integers(kind):
    """The table learns which of its rows mean which class, for training and validation alike."""
    x = (np.arange(40).reshape(20, 2) % 6).astype(kind)
    model = nn.Sequential(nn.Embedding(6, 4), nn.Flatten(), nn.Linear(8, 2))
    options = {"train": (x, x[:, 0] // 2 % 2), "objective": nn.CrossEntropyLoss(), "epochs": 30}
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    _, history = run(model, optimizer=optimizer, **options, validation=(x[:6], x[:6, 0] // 2 % 2))
    assert history["validation_accuracy"][-1] == history["train_accuracy"][-1] == 1.0


def test_fit_leaves_its_data_alone():
    train, validation = labelled(), labelled(12, seed=1)
    kept = [a.copy() for a in (*train, *validation)]
    for a in (*train, *validation):
        a.flags.writeable = False
    run(train=train, validation=validation)
    for a, b in zip((*train, *validation), kept, strict=True):
        np.testing.assert_array_equal(a, b)


X, Y = labelled()
# label: (options, error, message)
REFUSED = {
    "not a pair": ({"train": X}, TypeError, r"must be a pair \(x, y\) or an iterable of .*, got ndarray"),
    "a triple": ({"validation": (X, Y, Y)}, TypeError, "fit: validation must be a pair"),
    "watched": ({"watch": {"train": (X, Y)}}, ValueError, "names in watch must be .*, got 'train'"),
    "watched as a term": ({"watch": {"value/q": (X, Y)}}, ValueError, "without '/', .* got 'value/q'"),
    "watched by number": ({"watch": {3: (X, Y)}}, ValueError, "names in watch must be text without '/'"),
    "watched lengths": ({"watch": {"a": (X, Y[1:])}}, ValueError, r"watch\['a'\] has 30 inputs and 29"),
    "lengths": ({"train": (X, Y[:-1])}, ValueError, "fit: train has 30 inputs and 29 targets"),
    "empty": ({"validation": (X[:0], Y[:0])}, ValueError, "validation has 0 inputs and 0 targets"),
    "epochs": ({"epochs": 0}, ValueError, "fit: epochs must be an integer ≥ 1, got 0"),
    "epochs as float": ({"epochs": 2.0}, ValueError, r"epochs must be an integer ≥ 1, got 2\.0"),
    "batch size": ({"batch_size": -8}, ValueError, "fit: batch_size must be an integer ≥ 1, got -8"),
    "labels": ({"train": (X, Y + 1)}, ValueError, "label 3 is outside 0 … 2"),
    "features": ({"train": (X[:, :3], Y)}, ValueError, r"linear: got input of shape \(8, 3\), expected"),
    "clip": ({"clip_norm": -1.0}, ValueError, r"fit: clip_norm must be in \(0, inf\], got -1\.0"),
    "no step at all": ({"clip_norm": 0}, ValueError, r"fit: clip_norm must be in \(0, inf\], got 0"),
    "words": ({"validation": (X.astype(str), Y)}, TypeError, "fit: x of validation must be numbers"),
    "numbers": ({"train": (1.0, 2.0)}, ValueError, "fit: train has 0 inputs and 0 targets"),
    "an optimizer's class": ({"optimizer": optim.SGD}, TypeError, "optimizer must be of type Optimizer"),
    "patience": ({"early_stopping": 3}, TypeError, "early_stopping must be of type EarlyStopping, got 3"),
    "a scheduler's class": (
        {"scheduler": optim.lr_scheduler.StepLR}, TypeError, "scheduler must be of type LRScheduler"),
}  # fmt: skip


@pytest.mark.parametrize("label", REFUSED)
def test_fit_says_what_it_expected(label):
    options, error, message = REFUSED[label]
    with pytest.raises(error, match=message):
        run(**options)


def taught(**options) -> mr.History:
    """A linear model and SGD, or what is given instead."""
    model = options.pop("model", None) or nn.Linear(4, C)
    optimizer = options.pop("optimizer", None) or optim.SGD(model.parameters(), 0.1)
    options = {"epochs": 2, "progress": False} | options
    return mr.fit(model, nn.CrossEntropyLoss(), optimizer, (X, Y), **options)


def watched(change) -> dict[str, object]:
    """A model, its optimizer and a ledger, of which one is of another model."""
    model, other = nn.Linear(4, C), nn.Linear(4, C)
    mine, others = (optim.SGD(m.parameters(), 0.1) for m in (model, other))
    ledger = {
        "of another optimizer": lambda: mr.Ledger(others),
        "of another model": lambda: mr.Ledger(mine, other),
        "closed": lambda: (ledger := mr.Ledger(mine)).close() or ledger,
        "replaced": lambda: (mr.Ledger(mine), mr.Ledger(mine))[0],
    }[change]()
    return {"model": model, "optimizer": mine, "ledger": ledger}


# what trained nothing, or booked nothing, without a word: (options, message)
NOTHING = {
    "an optimizer of another model": (
        lambda: {"optimizer": optim.Adam(nn.Linear(4, C).parameters())},
        r"holds none of the model's trainable parameters .* make it from model\.parameters\(\)"),
    "a frozen model": (
        lambda: {"model": nn.Linear(4, C).requires_grad_(False)},
        r"nothing to train, the model is frozen; call model\.requires_grad_\(\)"),
    "a model without parameters": (
        lambda: {"model": nn.ReLU(), "optimizer": optim.SGD(nn.Linear(4, C).parameters())},
        "nothing to train, the model has no parameters"),
    "a ledger of another optimizer": (
        lambda: watched("of another optimizer"), "the ledger does not watch this optimizer"),
    "a ledger of another model": (
        lambda: watched("of another model"), "the ledger was made for another model"),
    "a closed ledger": (lambda: watched("closed"), "the ledger does not watch this optimizer"),
    "a replaced ledger": (lambda: watched("replaced"), "the ledger does not watch this optimizer"),
    "a scheduler of another optimizer": (
        lambda: {"scheduler": optim.lr_scheduler.StepLR(optim.SGD(nn.Linear(4, C).parameters()), 1)},
        "the scheduler belongs to another optimizer"),
    "an unknown monitor of the scheduler": (
        lambda: {"model": (m := nn.Linear(4, C)), "optimizer": (o := optim.SGD(m.parameters())),
                 "scheduler": optim.lr_scheduler.ReduceLROnPlateau(o, monitor="val_loss")},
        "fit: the scheduler on 'val_loss', expected one of"),
}  # fmt: skip


@pytest.mark.parametrize("label", NOTHING)
def test_defect_5_what_would_train_or_book_nothing_is_refused(label):
    options, message = NOTHING[label]
    with pytest.raises(ValueError, match=message):
        taught(**options())


def test_a_layer_replaced_after_its_optimizer_was_made_is_told():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, C))
    optimizer = optim.SGD(model.parameters(), 0.1)
    model[1] = nn.Linear(4, C)
    with pytest.warns(UserWarning, match=r"lacks \['1\.weight', '1\.bias'\].* layer replaced"):
        taught(model=model, optimizer=optimizer)
    taught(model=model, optimizer=optim.SGD(model[1].parameters(), 0.1))  # a head alone is a choice


def test_images_for_a_linear_model_get_a_hint():
    images = draw(6, 3, 3, 4)
    with pytest.raises(ValueError, match="cross_entropy") as raised:
        run(nn.Linear(4, C), train=(images, np.arange(6) % C), validation=None)
    assert (
        "fit: in epoch 1, trained on x (6, 3, 3, 4) float32, y (6,) int64"
        in raised.value.__notes__[0]
    )
    assert "put nn.Flatten() before it" in raised.value.__notes__[0]


def test_a_validation_loss_that_is_not_finite_is_told_once():
    """NaN in targets is for losses of one's own, which may know what to do with it."""
    own = lambda output, y: nn.functional.mse_loss(output, y)
    x, y = draw(N, 4), draw(N, 1)
    bad = np.where(np.arange(N)[:, None] == 3, np.nan, y)
    with pytest.warns(UserWarning, match="fit: validation_loss is nan after epoch 1") as told:
        _, history = run(nn.Linear(4, 1), train=(x, y), validation=(x, bad), objective=own)
    assert len(told) == 1
    assert np.isnan(history["validation_loss"]).all()
    with pytest.raises(FloatingPointError, match="the targets of the training data hold NaN"):
        run(nn.Linear(4, 1), train=(x, bad), validation=None, objective=own)


def test_defect_23_a_nan_that_stops_early_is_told_once():
    stop = optim.EarlyStopping(patience=2)
    with pytest.warns(UserWarning, match="EarlyStopping: validation_loss is nan at look 2") as told:
        assert [stop.update(v) for v in (1.0, float("nan"), float("nan"))] == [False, False, True]
    assert len(told) == 1
    stop.reset()
    with pytest.warns(UserWarning, match="nan at look 1"):
        stop.update(float("nan"))


# --- pipeline -------------------------------------------------------------------------------------


def test_a_loss_stands_for_an_objective():
    loss = nn.CrossEntropyLoss()
    a, b = (run(objective=goal)[1] for goal in (loss, mr.Objective(loss)))
    assert a["train_loss"] == b["train_loss"]


def test_clipping_bounds_the_step():
    model = nn.Linear(4, C)
    before = model.state_dict()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    run(model, optimizer=optimizer, epochs=1, batch_size=N, clip_norm=1e-3)
    after = model.state_dict()
    moved = np.sqrt(sum(((after[k] - before[k]) ** 2).sum() for k in before))
    assert moved == pytest.approx(1e-3, rel=1e-2)


def test_prox_terms_are_attached_by_fit_for_every_model():
    """One objective may serve run after run."""
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l1": (L1(1e3), None, "prox")})
    for _ in range(2):
        model, _ = run(objective=objective)
        assert all((p.data == 0).all() for p in model.parameters() if p.kind == "weight")


def test_a_cell_run_again_with_the_same_optimizer_applies_its_own_prox_only():
    """Not twice the prox after the second run of a notebook's cell, and none after a bare loss."""
    model = nn.Linear(3, 1, bias=False, dtype=np.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    data = np.eye(3), np.zeros((3, 1))
    for strength, moved in ((0.2, 0.02), (0.2, 0.02), (0.5, 0.05), (None, 0.0)):
        terms = strength and {"l1": (L1(strength), None, "prox")}
        model.weight.assign(1.0)
        still = lambda out, y: (out * 0.0).sum()
        mr.fit(model, mr.Objective(still, terms), optimizer, data, epochs=1, progress=False)
        np.testing.assert_allclose(model.weight.data, 1.0 - moved)


# --- progress -------------------------------------------------------------------------------------


def without_rich(monkeypatch):
    for part in ("console", "progress"):
        monkeypatch.setitem(sys.modules, f"rich.{part}", None)


def test_progress_without_rich_names_the_extra(monkeypatch):
    without_rich(monkeypatch)
    with pytest.raises(ImportError, match=r"progress=True needs rich: .*minireg\[cli\]"):
        run(progress=True)


@pytest.mark.parametrize("progress", [None, False])
def test_without_rich_fit_is_silent(monkeypatch, capfd, progress):
    without_rich(monkeypatch)
    assert len(run(progress=progress)[1]) == 4
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_stderr(capfd):
    pytest.importorskip("rich")
    run(progress=True, label="hello")
    out, err = capfd.readouterr()
    assert out == ""
    assert "hello" in err
    assert "4/4" in err
    assert "val acc" in err


def test_no_bar_when_stderr_is_no_terminal(capfd):
    run(progress=None)
    assert capfd.readouterr() == ("", "")


# --- memory ---------------------------------------------------------------------------------------


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
def test_thousands_of_steps_do_not_grow_memory(no_gc):
    """With the garbage collector off: every node is freed by its reference count.

    Many steps are counted in objects and blocks, which costs nothing; 200 of them in bytes.
    """
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    terms = {"l2": L2(1e-3), "l1": (L1(1e-3), None, "prox")}
    objective = mr.Objective(nn.CrossEntropyLoss(), terms).bind(model).attach(optimizer)
    x, y = mr.Tensor(draw(4, 3)), np.array([0, 1, 0, 1])

    def steps(n):
        for i in range(n):
            optimizer.zero_grad()
            objective(model, x, y).backward(attribute=i % 50 == 0)
            optim.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    steps(1000)  # what is cached is cached
    objects, blocks = len(gc.get_objects()), sys.getallocatedblocks()
    steps(10_000)
    assert len(gc.get_objects()) - objects < 100
    # CPython keeps up to 2,000 freed tuples of a length; a block a step would be 10,000
    assert sys.getallocatedblocks() - blocks < 2500
    tracemalloc.start()
    try:
        steps(100)
        before = tracemalloc.get_traced_memory()[0]
        steps(200)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown * 50 < 2**20
