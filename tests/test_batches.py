"""What fit takes: pairs and iterables, words as labels, targets (n,); how it evaluates in pieces."""

import datetime
import json
import subprocess
import sys
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support import arrays

import minireg as mr
from minireg import batches, nn, optim
from minireg.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from minireg.penalties import L1, L2

N, C = 30, 3
draw = partial(arrays.draw, dtype=np.float32)
X = draw(N, 4)
Y = X[:, :C].argmax(axis=1)
WORDS = np.array(["cat", "dog", "eel"])


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, C)
    )


def run(
    train: object = (X, Y), *, model=None, loss=None, **options
) -> tuple[nn.Module, mr.History]:
    """Train a small network, or a given one, for a few epochs."""
    mr.manual_seed(0)
    model = mlp() if model is None else model()
    objective = mr.Objective(loss or nn.CrossEntropyLoss(), {"l2": L2(1e-2)})
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    if scheduler := options.pop("scheduler", None):
        options["scheduler"] = scheduler(optimizer)
    options = {"epochs": 3, "progress": False} | options
    return model, mr.fit(model, objective, optimizer, train, **options)


def ends(result: tuple[nn.Module, mr.History]) -> object:
    """All that a training leaves, bit for bit, except the time it took."""
    model, history = result
    rows = [{c: v for c, v in row.items() if c != "seconds"} for row in history.rows]
    return [a.tobytes() for a in model.state_dict().values()], rows, history.stopped


def cut(x: object, y: object, *sizes: int) -> list[tuple]:
    stops = np.cumsum(sizes or (8, 8, 9, 5))
    return [(x[i:j], y[i:j]) for i, j in zip([0, *stops], stops, strict=False)]


class Anew:
    """Batches of which nobody knows how many there are."""

    def __init__(self, given: list) -> None:
        self.given, self.passes = given, 0

    def __iter__(self):
        self.passes += 1
        yield from self.given


class Dlpack:
    """An array of another library, by the protocol alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Like:
    """What only has ``__array__``."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


# --- iterables of batches -------------------------------------------------------------------------


def test_a_training_on_batches_is_the_loop_over_them():
    model, history = run(cut(X, Y))
    mr.manual_seed(0)
    other = mlp()
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": L2(1e-2)})
    optimizer = optim.Adam(other.parameters(), lr=0.01)
    for _ in range(3):
        for x, y in cut(X, Y):
            optimizer.zero_grad()
            objective(other, mr.tensor(x), y).backward()
            optimizer.step()
    for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    figures = mr.evaluate(model, nn.CrossEntropyLoss(), (X, Y))
    assert history.last["train_accuracy"] == figures["accuracy"]
    np.testing.assert_allclose(history.last["train_loss"], figures["loss"], rtol=1e-6)


def test_batches_in_the_order_of_a_pair_are_that_pair():
    """One batch of all samples; then an order is left, and no shuffling."""
    order = mr.random.Stream("shuffle", 0).permutation(N)
    one, other = run((X, Y), epochs=1, batch_size=N), run([(X[order], Y[order])], epochs=1)
    assert ends(one)[0] == ends(other)[0]


KINDS = ["list", "unknown length", "lists", "tensors", "float64", "dlpack", "like", "pandas", "torch",
         "loader"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_holds_the_batches_they_are_the_same(kind):
    x, y = X, Y
    if kind == "pandas":
        pandas = pytest.importorskip("pandas")
        x, y = pandas.DataFrame(X), pandas.Series(Y)
    if kind in ("torch", "loader"):
        torch = pytest.importorskip("torch")
        x, y = torch.from_numpy(X), torch.from_numpy(Y)
    if kind == "float64":
        x, y = X.astype(np.float64), Y.astype(np.uint8)
    given = cut(x, y, 8, 8, 8, 6)
    wrap = {"dlpack": Dlpack, "like": Like, "tensors": mr.tensor, "lists": lambda a: a.tolist()}
    if kind in wrap:
        given = [[wrap[kind](x), wrap[kind](y)] for x, y in given]
    if kind == "unknown length":
        given = Anew(given)
    if kind == "loader":
        data = torch.utils.data
        given = data.DataLoader(data.TensorDataset(x, y), batch_size=8)
    assert ends(run(given, validation=given)) == ends(
        run(cut(X, Y, 8, 8, 8, 6), validation=cut(X, Y, 8, 8, 8, 6))
    )


@pytest.mark.parametrize("kind", ["dlpack", "like", "pandas", "torch", "lists"])
def test_whatever_holds_a_pair_it_is_the_same(kind):
    wrap = {"dlpack": Dlpack, "like": Like, "lists": lambda a: a.tolist()}.get(kind)
    if kind == "pandas":
        pandas = pytest.importorskip("pandas")
        wrap = lambda a: (pandas.DataFrame if a.ndim == 2 else pandas.Series)(a)
    if kind == "torch":
        wrap = pytest.importorskip("torch").from_numpy
    assert ends(run((wrap(X), wrap(Y)))) == ends(run())


def test_a_list_of_two_arrays_is_a_pair_and_one_of_two_pairs_is_batches():
    assert ends(run([X, Y])) == ends(run())
    assert ends(run([[X, Y], [X, Y]], epochs=1)) == ends(run(Anew([(X, Y), (X, Y)]), epochs=1))


def test_a_shuffling_loader_trains():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    torch.manual_seed(0)
    loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)
    _, history = run(loader, validation=(X, Y), epochs=20)
    assert history["train_loss"][-1] < 0.7 * history["train_loss"][0]
    np.testing.assert_allclose(history["train_loss"], history["validation_loss"], rtol=1e-5)


def test_a_pass_to_train_and_one_to_evaluate():
    given = Anew(cut(X, Y))
    run(given)
    assert given.passes == 6


def test_a_generator_is_refused_before_it_is_asked():
    given = iter(cut(X, Y))
    with pytest.raises(
        TypeError, match=r"train is a list_iterator, which ends after one pass.*pass list\("
    ):
        run(given)
    assert len(list(given)) == 4
    with pytest.raises(TypeError, match="validation is a generator"):
        run(validation=(b for b in cut(X, Y)))


def test_what_does_not_begin_anew_is_told_and_the_epochs_are_kept():
    class Once(Anew):
        def __iter__(self):
            return super().__iter__() if self.passes < 4 else iter([])

    with pytest.raises(
        ValueError, match=r"train gave no batches; its __iter__ must start anew"
    ) as told:
        run(Once(cut(X, Y)))
    assert len(told.value.history) == 2


@pytest.mark.parametrize("option", ["batch_size", "seed"])
def test_an_iterable_has_its_own_batches_and_order(option):
    with pytest.raises(ValueError, match="batch_size= and seed= are of a pair"):
        run(cut(X, Y), **{option: 8})


@pytest.mark.parametrize("given", [cut(X, Y), Anew(cut(X, Y))], ids=["known", "unknown"])
def test_schedules_and_bars_go_with_batches(given, capfd):
    pytest.importorskip("rich")
    one = lambda o: OneCycleLR(o, 0.1, 12)
    _, history = run(given, scheduler=one, validation=given, watch={"again": given}, progress=True)
    assert history["lr"][-1] < 1e-3 < history["lr"][0]
    assert history["again_loss"] == history["validation_loss"] == history["train_loss"]
    assert "3/3" in capfd.readouterr().err
    stop = optim.EarlyStopping(1, monitor="validation_accuracy")
    plateau = lambda o: ReduceLROnPlateau(o, patience=0)
    _, history = run(given, scheduler=plateau, validation=given, early_stopping=stop, epochs=50)
    assert history.stopped == "early stopping"


class Twice:
    """A list that is no list."""

    def __iter__(self):
        return iter([(X, Y, Y)])


REFUSED = {
    "an array": (X, TypeError, "train must be a pair .* or an iterable of batches .*, got ndarray"),
    "a dictionary": ({"x": X}, TypeError, "train must be a pair .*, got dict"),
    "a function": (lambda: cut(X, Y), TypeError, "train must be a pair .*, got function"),
    "a triple": ((X, Y, Y), TypeError, "train must be a pair"),
    "arrays in a list": (
        [X, Y, Y],
        TypeError,
        r"batch 0 of train .*, got ndarray; .* train=\(x, y\)",
    ),
    "triples": (Twice(), TypeError, "batch 0 of train must be a pair .*, got tuple"),
    "no batches": ([], ValueError, "fit: train gave no batches"),
    "lengths": ([(X, Y), (X, Y[1:])], ValueError, "batch 1 of train has 30 inputs and 29 targets"),
    "an empty batch": ([(X[:0], Y[:0])], ValueError, "batch 0 of train has 0 inputs and 0 targets"),
    "samples": ([(X[0], Y[0])], ValueError, "batch 0 of train has 4 inputs and 0 targets"),
    "words": ([(X.astype(str), Y)], TypeError, "x of batch 0 of train must be numbers"),
    "a tuple of two batches": (
        ((X, Y), (X, Y)),
        TypeError,
        r"train is a tuple of two pairs .* write \[\(x, y\), \(x, y\)\] for two batches",
    ),
    "complex inputs": ((X + 1j, Y), TypeError, "x of train is complex64, .* takes real numbers"),
    "complex targets": ([(X, 1j * Y)], TypeError, "y of batch 0 of train is complex128"),
}


@pytest.mark.parametrize("label", REFUSED)
def test_what_is_no_batch_is_named(label):
    given, error, message = REFUSED[label]
    with pytest.raises(error, match=message):
        run(given)


# --- tables of mixed columns ----------------------------------------------------------------------


def test_a_frame_of_mixed_numbers_is_numbers():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"a": X[:, 0], "b": X[:, 1] > 0, "c": Y, "d": pandas.array(Y, "Int64")}
    )
    whole = np.stack([X[:, 0], X[:, 1] > 0, Y, Y], axis=1).astype(np.float32)
    assert frame.to_numpy().dtype == object
    assert ends(run((frame, pandas.Series(Y, dtype="Int64")))) == ends(run((whole, Y)))
    frame["d"] = frame["d"].mask(frame.index == 7)
    with pytest.raises(ValueError, match=r"x of train is nan in row 7, column 'd' \(1 of 30 rows"):
        run((frame, Y))
    frame["d"] = WORDS[Y]
    with pytest.raises(
        TypeError, match=r"x of train must be numbers, got '\w+' in row 0, column 'd'"
    ):
        run((frame, Y))


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["words", "objects", "list", "categories", "strings"])
def test_words_are_the_numbers_of_their_sorted_classes(kind, tmp_path):
    y = WORDS[Y]
    if kind in ("categories", "strings"):
        pandas = pytest.importorskip("pandas")
        y = pandas.Series(y, dtype="category" if kind == "categories" else "string")
    y = {"objects": WORDS.astype(object)[Y], "list": WORDS[Y].tolist()}.get(kind, y)
    model, history = run((X, y), validation=(X[:9], y[:9]), watch={"w": (X[9:], y[9:])})
    expected = run(validation=(X[:9], Y[:9]), watch={"w": (X[9:], Y[9:])})
    assert ends((model, history)) == ends(expected)
    assert history.classes == ("cat", "dog", "eel")
    assert expected[1].classes == ()
    history.to_json(tmp_path / "h.json")
    assert mr.History.from_json(tmp_path / "h.json").classes == history.classes
    assert json.loads((tmp_path / "h.json").read_text("utf-8"))["classes"] == ["cat", "dog", "eel"]


def test_classes_give_the_order():
    order = ["eel", "cat", "dog"]
    expected = ends(run((X, np.array([1, 2, 0])[Y])))
    _, history = found = run((X, WORDS[Y]), classes=order)
    assert ends(found) == expected
    assert history.classes == tuple(order)
    assert ends(run(cut(X, WORDS[Y], N), classes=order, epochs=1)) == ends(
        run(cut(X, np.array([1, 2, 0])[Y], N), epochs=1)
    )
    years = np.array([1999, 2007, 2024])
    assert ends(run((X, years[Y]), classes=[2024, 1999, 2007])) == expected
    assert ends(run((X, years[Y].astype(float)), classes=years[[2, 0, 1]])) == expected
    _, history = named = run((X, Y), classes=WORDS)  # numbers, and what they are called
    assert ends(named) == ends(run())
    assert history.classes == tuple(WORDS.tolist())


@pytest.mark.parametrize("kind", ["numpy", "torch", "objects", "list"])
def test_bools_are_0_and_1(kind):
    y = Y == 1
    given = {"objects": y.astype(object), "list": y.tolist()}.get(kind, y)
    if kind == "torch":
        given = pytest.importorskip("torch").from_numpy(y)
    two = partial(nn.Linear, 4, 2)
    _, history = found = run((X, given), model=two)
    assert ends(found) == ends(run((X, y.astype(int)), model=two))
    assert history.classes == (False, True)
    assert run([(X, given)], model=two)[1].classes == (False, True)
    assert run((X, np.ones(N, bool)), model=two)[1].classes == (False, True)
    for loss in (nn.BCEWithLogitsLoss(), nn.MSELoss()):
        one = {"model": partial(nn.Linear, 4, 1), "loss": loss}
        column = y.astype(np.float32)[:, None]
        assert ends(run((X, given), **one)) == ends(run((X, column), **one))


def test_two_words_are_0_and_1_for_a_loss_of_two():
    options = {"model": partial(nn.Linear, 4, 1), "loss": nn.BCEWithLogitsLoss()}
    spam = np.where(Y == 1, "spam", "ham")
    _, history = found = run((X, spam), **options)
    assert ends(found) == ends(run((X, (Y == 1).astype(np.float32)), **options))
    assert history.classes == ("ham", "spam")
    with pytest.raises(
        ValueError, match="the classes 'cat', 'dog', 'eel', and BCEWithLogitsLoss takes two"
    ):
        run((X, WORDS[Y]), **options)


MIXED = np.array(["a", 1] * 15, object)
LABELS = {
    "strange": ({"train": (X, WORDS[Y]), "validation": (X[:2], ["dog", "yak"])}, ValueError,
                "y of validation has the label 'yak' in row 1, .* none of the classes 'cat', 'dog', 'eel'"),
    "strange in a batch": ({"train": cut(X, WORDS[Y]), "classes": "xyz"[:2]}, TypeError, "names in order"),
    "not among classes": ({"train": cut(X, WORDS[Y]), "classes": ["cat", "dog"]}, ValueError,
                          r"y of batch \d of train has the label 'eel' in row \d"),
    "an iterable": ({"train": cut(X, WORDS[Y])}, ValueError,
                    "y of batch 0 of train has labels such as '.*; pass classes="),
    "validation alone": ({"validation": (X, WORDS[Y])}, ValueError,
                         "y of validation has labels such as .* pass classes="),
    "none": ({"train": (X, np.where(Y == 1, None, WORDS[Y]))}, ValueError,
             r"y of train has no label in row \d+ \(\d+ of 30 have none\)"),
    "no rows of words": ({"train": (X[:0], WORDS[:0])}, ValueError, "train has 0 inputs and 0 targets"),
    "no rows of objects": ({"train": (X[:0].astype(object), WORDS[:0].astype(object))}, ValueError,
                           "train has 0 inputs and 0 targets"),
    "words and numbers": ({"train": (X, MIXED)}, TypeError, "labels of several kinds, int, str"),
    "dates": ({"train": (X, [datetime.date(2020, 1, 1)] * N)}, TypeError, "got date"),
    "lists": ({"train": (X, [["a"], ["b", "c"]] * 15)}, ValueError, "lists of equal lengths"),
    "twice": ({"classes": ["a", "b", "a"]}, ValueError, "classes must be words or numbers, each once"),
    "a set": ({"classes": {"a", "b"}}, TypeError, "classes must be names in order, got {"),
    "more labels than names": ({"classes": ["cat", "dog"]}, ValueError,
        r"y of train has the label 2 in row \d+, and classes= names 'cat', 'dog', which are 0 to 1"),
    "more in a batch": ({"train": cut(X, Y - 1), "classes": WORDS}, ValueError,
        r"y of batch \d of train has the label -1 in row \d"),
    "no names": ({"classes": [None, "a"]}, ValueError, "classes must be words or numbers"),
}  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_labels_that_have_no_number_are_named(label):
    options, error, message = LABELS[label]
    with pytest.raises(error, match=message):
        run(**options)


def test_integers_are_no_codes_of_words_that_spell_numbers():
    """They were taken for the places of the words: 1 for "2", and all figures were wrong."""
    words = np.array(["1", "2", "3"])[Y]
    told = "the label 1 in row 0, which is none of the classes '1', '2', '3'; write '1', as with y.astype"
    for options in ({"classes": ["1", "2", "3"]}, {}):
        with pytest.raises(ValueError, match=told):
            run((X, words), validation=(X[:2], np.array([1, 2])), **options)
    codes = run((X, Y), validation=(X[:2], np.array([1, 2])), classes=["3", "4", "1"])
    assert ends(codes) == ends(run((X, Y), validation=(X[:2], np.array([1, 2]))))


def test_mixed_labels_have_numbers_once_classes_say_so():
    model = partial(nn.Linear, 4, 2)
    codes = np.array([1, 0] * 15)
    assert ends(run((X, MIXED), classes=[1, "a"], model=model)) == ends(
        run((X, codes), model=model)
    )


@pytest.mark.parametrize("index", [-100, 7])
def test_labels_that_are_ignored_need_no_name(index):
    y, years = np.where(np.arange(N) % 4 == 0, index, Y), np.array([1999, 2007, 2024])
    loss = nn.CrossEntropyLoss(ignore_index=index)
    expected = ends(run((X, y), loss=loss))
    assert ends(run((X, y), loss=loss, classes=WORDS)) == expected
    named = np.where(y == index, index, years[Y])
    assert ends(run((X, named), loss=loss, classes=years)) == expected
    mixed = [WORDS[label] if kept else index for label, kept in zip(Y, y != index, strict=True)]
    assert ends(run((X, mixed), loss=loss, classes=WORDS)) == expected


# --- what PyTorch has and NumPy lacks ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bfloat16", "sparse"])
def test_tensors_that_numpy_lacks_are_named(kind):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X)
    x = x.bfloat16() if kind == "bfloat16" else x.to_sparse()
    for train, part in (((x, Y), "x of train"), ([(x, Y)], "x of batch 0 of train")):
        with pytest.raises(
            TypeError, match=rf"fit: {part} .*x\.float\(\) of bfloat16, x\.to_dense"
        ):
            run(train)


# --- evaluate takes what fit takes ------------------------------------------------------------------


def test_an_evaluation_takes_one_pass_of_a_generator():
    model, loss = mlp(), nn.CrossEntropyLoss()
    expected = mr.evaluate(model, loss, cut(X, Y))
    assert mr.evaluate(model, loss, iter(cut(X, Y))) == expected
    with pytest.raises(ValueError, match="evaluate: data gave no batches"):
        mr.evaluate(model, loss, iter([]))


def test_evaluate_takes_what_fit_takes():
    model, history = run((X, WORDS[Y]))
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": L2(1.0)})
    found = mr.evaluate(model, objective, (X, Y))  # without the penalty
    assert found["loss"] == history.last["train_loss"]
    given = {"classes": history.classes}
    assert mr.evaluate(model, objective.loss, (X.tolist(), WORDS[Y]), **given) == found
    assert mr.evaluate(model, objective.loss, (X.astype(float), Y)) == found
    once = mr.evaluate(model, objective.loss, Anew(cut(X, WORDS[Y])), **given)
    np.testing.assert_allclose([*once.values()], [*found.values()], rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"evaluate: y of data has labels such as .* pass classes="
    ):
        mr.evaluate(model, objective, (X, WORDS[Y]))
    with pytest.raises(ValueError, match="evaluate: x of data is nan in row 7, column 2"):
        mr.evaluate(model, objective, (spoilt(X, (7, 2)), Y))
    with pytest.raises(TypeError, match="evaluate: data must be a pair"):
        mr.evaluate(model, objective, X)


# --- targets (n,) of outputs (n, 1) ---------------------------------------------------------------

FLAT = (X @ np.array([1.0, -2.0, 0.5, 3.0], np.float32)).astype(np.float32)
SIGNS = np.where(FLAT > 0, 1, -1)


@pytest.mark.parametrize(
    ("loss", "y"),
    [(nn.MSELoss(), FLAT), (nn.L1Loss(), FLAT), (nn.SmoothL1Loss(), FLAT), (nn.MSELoss(), Y),
     (nn.BCEWithLogitsLoss(), (FLAT > 0).astype(int)), (nn.HingeLoss(), SIGNS),
     (nn.HingeLoss(), SIGNS.astype(np.float32))],
)  # fmt: skip
def test_targets_n_are_the_column(loss, y):
    options = {"model": partial(nn.Linear, 4, 1), "loss": loss, "epochs": 2}
    flat = run((X, y), validation=(X[:9], y[:9]), **options)
    column = run((X, y[:, None]), validation=(X[:9], y[:9, None]), **options)
    assert ends(flat) == ends(column)
    model = flat[0]
    assert mr.evaluate(model, loss, (X, y)) == mr.evaluate(model, loss, (X, y[:, None]))
    starts = [nn.Linear(4, 1) for _ in range(2)]
    starts[1].load_state_dict(starts[0].state_dict())
    paths = [
        mr.trajectory(m, loss, optim.SGD(m.parameters(), 0.1), X, t, 5)
        for m, t in zip(starts, (y, y[:, None]), strict=True)
    ]
    np.testing.assert_array_equal(*paths)


def test_solve_and_path_take_targets_n():
    found = []
    for y in (FLAT, FLAT[:, None]):
        model = nn.Linear(4, 1)
        model.load_state_dict({k: np.zeros_like(a) for k, a in model.state_dict().items()})
        solution = mr.solve(model, nn.MSELoss(), L1(0.1), X, y)
        path = mr.path(model, nn.MSELoss(), L1(1.0), X, y, strengths=[0.5, 0.1])
        found.append(
            (
                solution.certificate,
                model.weight.data.tobytes(),
                path.parameters["weight"].tobytes(),
            )
        )
    assert found[0] == found[1]


def test_outputs_n_and_functions_of_ones_own_get_what_is_given():
    """Not the column: what NumPy would make of (N, 1) and (N,) is refused."""

    def own(output, y):
        return ((output - y) ** 2).mean()

    one = {"model": partial(nn.Linear, 4, 1), "epochs": 2}
    for train in ((X, FLAT), cut(X, FLAT)):
        with pytest.raises(
            ValueError, match=r"the loss own of one's own .* a column, y\[:, None\]"
        ):
            run(train, loss=own, **one)
    with pytest.raises(ValueError, match="a column"):
        mr.evaluate(nn.Linear(4, 1), own, (X, FLAT))
    column = X, FLAT[:, None]
    assert ends(run(column, loss=own, **one)) == ends(run(column, loss=nn.MSELoss(), **one))

    class Flat(nn.Linear):
        def forward(self, input):
            return super().forward(input)[:, 0]

    _, history = run((X, FLAT), model=lambda: Flat(4, 1), loss=nn.MSELoss())
    assert "train_accuracy" not in history.rows[0]
    with pytest.raises(ValueError, match=r"\(30, 2\) and target of shape \(30,\)"):
        run((X, FLAT), model=partial(nn.Linear, 4, 2), loss=nn.MSELoss(), batch_size=N)


# --- NaN and infinity -----------------------------------------------------------------------------


def spoilt(a: np.ndarray, place: tuple, value: float = np.nan) -> np.ndarray:
    b = np.array(a, dtype=float)
    b[place] = value
    return b


NOT_FINITE = {
    "x": ({"train": (spoilt(X, (7, 2)), Y)},
          r"fit: x of train is nan in row 7, column 2 \(1 of 30 rows .*leave such rows out, or impute"),
    "inf": ({"validation": (spoilt(X, (3, 0), -np.inf), Y)}, "x of validation is -inf in row 3, column 0"),
    "too large": ({"watch": {"w": (spoilt(X, (3, 0), 1e300), Y)}},
                  r"x of watch\['w'\] is inf in row 3, column 0 .* as float32"),
    "y": ({"train": (X, spoilt(FLAT, (4,))), "loss": nn.MSELoss(), "model": partial(nn.Linear, 4, 1)},
          "y of train is nan in row 4 "),
    "an image": ({"train": (spoilt(np.ones((N, 1, 3, 3)), (5, 0, 1, 2)), Y)},
                 r"x of train is nan in row 5 at \(0, 1, 2\)"),
    "a batch": ({"train": cut(spoilt(X, (9, 1)), Y)}, "x of batch 1 of train is nan in row 1, column 1"),
}  # fmt: skip


@pytest.mark.parametrize("label", NOT_FINITE)
def test_what_is_not_finite_is_named_by_place(label):
    options, message = NOT_FINITE[label]
    with pytest.raises(ValueError, match=message):
        run(**options)


def test_columns_and_rows_of_other_names_are_refused():
    """They were taken by their places: wrong figures, or targets of other rows, without a word."""
    pandas = pytest.importorskip("pandas")
    frame, y = pandas.DataFrame(X, columns=[*"abcd"]), pandas.Series(Y)
    told = "x of {} has the column 'b' where the training data have 'a'; .* x\\[train.columns\\]"
    for name in ("validation", r"watch\['other'\]", "batch 1 of train"):
        validation = (frame[[*"bacd"]], y) if name == "validation" else (frame, y)
        watch = {"other": (frame[[*"bacd"]], y)} if "watch" in name else {}
        train = [(frame, y), (frame[[*"bacd"]], y)] if "train" in name else (frame, y)
        with pytest.raises(ValueError, match=told.format(name)):
            run(train, validation=validation, watch=watch)
    with pytest.raises(ValueError, match=r"has the column 'nothing' where .* have 'd'"):
        run((frame, y), validation=(frame[[*"abc"]], y))
    expected = ends(run((X, Y), validation=(X, Y)))
    assert ends(run((frame, y), validation=(X, y))) == expected
    for validation in ((pandas.DataFrame(X), y), (frame, Y)):
        assert ends(run((frame, Y), validation=validation)) == expected
    told = "train: x and y have different indices, 0 and 29 in row 0; .* y.loc\\[x.index\\]"
    with pytest.raises(ValueError, match=told):
        run((frame, y[::-1]))
    for evaluated in (partial(mr.evaluate, mlp(), nn.CrossEntropyLoss()), run):
        with pytest.raises(ValueError, match="different indices"):
            evaluated((frame, y[::-1]))
    for x, t in ((frame[::-1], y[::-1]), (frame[::-1], y.to_numpy()[::-1])):
        assert ends(run((x, t))) == ends(run((X[::-1], Y[::-1])))


def test_a_column_is_named_as_the_frame_does():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(spoilt(X, (7, 2)), columns=["age", "height", "pulse", "sex"])
    with pytest.raises(ValueError, match="in row 7, column 'pulse'"):
        run((frame, Y))
    with pytest.raises(ValueError, match="x of batch 0 of train is nan in row 7, column 'pulse'"):
        run([(frame, Y)])


def test_large_numbers_whose_sum_is_not_finite_are_finite():
    batches.check_finite("test", np.full((4, 2), 3e38, np.float32))


# --- evaluation in pieces -------------------------------------------------------------------------

IMAGES = draw(N, C, 2)
ignored = np.where(np.arange(N) % 4 == 0, -100, Y)
ONE_HOT = np.eye(C, dtype=np.float32)[Y]
weight = np.array([0.5, 2.0, 1.0], np.float32)
LOSSES = {
    "cross entropy": (nn.CrossEntropyLoss(), X[:, :C], Y),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.2), X[:, :C], Y),
    "ignored": (nn.CrossEntropyLoss(), X[:, :C], ignored),
    "ignored first": (nn.CrossEntropyLoss(), X[:, :C], np.where(np.arange(N) < 12, -100, Y)),
    "weighted": (nn.CrossEntropyLoss(weight=weight), X[:, :C], Y),
    "weighted by a Tensor": (nn.CrossEntropyLoss(weight=mr.tensor(weight)), X[:, :C], ignored),
    "weighted and ignored": (nn.CrossEntropyLoss(weight=weight, ignore_index=1), X[:, :C], Y),
    "a sum": (nn.CrossEntropyLoss(weight=weight, reduction="sum"), X[:, :C], ignored),
    "probabilities": (nn.CrossEntropyLoss(weight=weight), X[:, :C], ONE_HOT),
    "places": (nn.CrossEntropyLoss(weight=weight), IMAGES, np.stack([Y, ignored], axis=1)),
    "likelihood": (nn.NLLLoss(weight=weight, ignore_index=2), X[:, :C], Y),
    "squares": (nn.MSELoss(), X, X[::-1].copy()),
    "a sum of squares": (nn.MSELoss(reduction="sum"), X, X[::-1].copy()),
    "differences": (nn.L1Loss(), IMAGES, IMAGES[::-1].copy()),
    "smooth": (nn.SmoothL1Loss(beta=0.5), X, X[::-1].copy()),
    "logits": (nn.BCEWithLogitsLoss(pos_weight=np.array([2.0, 1.0, 1.0])), X[:, :C], ONE_HOT),
    "divergence": (nn.KLDivLoss(), X[:, :C], ONE_HOT),
    "divergence a sample": (nn.KLDivLoss(reduction="batchmean"), X[:, :C], ONE_HOT),
    "margins": (nn.HingeLoss(), X[:, :C], Y),
    "a mean of one's own": (lambda o, y: ((o - y) ** 2).mean(), X, X[::-1].copy()),
    "a sum of one's own": (lambda o, y: ((o - y) ** 2).sum(), X, X[::-1].copy()),
    "a maximum": (lambda o, y: abs(o - y).max(), X, X[::-1].copy()),
}  # fmt: skip


class Own(nn.MSELoss):
    """Its mean is over samples only."""

    def __call__(self, input, target):
        return ((input - target) ** 2).sum(axis=1).mean()


@pytest.mark.parametrize("label", [*LOSSES, "a class of one's own"])
@pytest.mark.parametrize("size", [1, 4, 7, 16, 29])
def test_pieces_together_are_the_whole(label, size, monkeypatch):
    loss, x, y = LOSSES.get(label, (Own(), X, X[::-1].copy()))
    model, outputs = nn.Sequential(), mr.tensor(x)
    expected = loss.parts(outputs, y)["data"] if isinstance(loss, nn.Module) else loss(outputs, y)
    assert mr.evaluate(model, loss, (x, y))["loss"] == expected.item()  # one piece: the same bits
    whole = mr.evaluate(model, loss, (x, y), batch_size=N)
    monkeypatch.setattr(batches, "_LARGE", 1)
    found = mr.evaluate(model, loss, (x, y), batch_size=size)
    assert found.keys() == whole.keys()
    np.testing.assert_allclose(found["loss"], whole["loss"], rtol=2e-6)
    assert found.get("accuracy") == whole.get("accuracy")


def test_all_labels_ignored_in_every_piece_is_nan_as_in_one(monkeypatch):
    y = np.full(N, -100)
    monkeypatch.setattr(batches, "_LARGE", 1)
    found = mr.evaluate(nn.Sequential(), nn.CrossEntropyLoss(), (X[:, :C], y), batch_size=8)
    assert np.isnan([found["loss"], found["accuracy"]]).all()


def test_a_loss_that_is_no_number_is_told():
    with pytest.raises(ValueError, match=r"the loss must be a number, got shape \(30,\)"):
        mr.evaluate(nn.Sequential(), nn.CrossEntropyLoss(reduction="none"), (X[:, :C], Y))
    with pytest.raises(ValueError, match=r"the loss must be a number, got shape \(1,\)"):
        mr.evaluate(nn.Sequential(), nn.CrossEntropyLoss(reduction="none"), (X[:1, :C], Y[:1]))


def test_outputs_of_several_kinds_are_joined_or_refused(monkeypatch):
    class Two(nn.Module):
        def __init__(self, second):
            self.second = second

        def forward(self, x):
            return x, self.second(x)

    loss = lambda o, y: ((o[0] - y) ** 2).sum() + (o[1] ** 2).sum()
    whole = mr.evaluate(Two(lambda x: 2 * x), loss, (X, X + 1))
    monkeypatch.setattr(batches, "_LARGE", 1)
    pieces = mr.evaluate(Two(lambda x: 2 * x), loss, (X, X + 1), batch_size=8)
    np.testing.assert_allclose(pieces["loss"], whole["loss"], rtol=1e-6)
    with pytest.raises(ValueError, match="outputs for all samples at once; these cannot be joined"):
        mr.evaluate(Two(lambda x: x.sum()), loss, (X, X + 1), batch_size=8)


def test_several_outputs_have_no_accuracy():
    """The accuracy of a tuple was asked for after the updates of the first epoch."""

    class Two(nn.Module):
        def __init__(self):
            self.classes, self.copy = nn.Linear(4, C), nn.Linear(4, 4)

        def forward(self, x):
            return self.classes(x), self.copy(x)

    loss = lambda o, y: nn.functional.cross_entropy(o[0], y) + (o[1] ** 2).mean()
    _, history = run((X, Y), validation=(X, Y), model=Two, loss=loss)
    assert len(history) == 3
    assert not [c for c in history.last if "accuracy" in c]


def test_an_evaluation_leaves_each_module_in_its_mode():
    model = mlp()
    for training in (True, False):
        model.train(training)
        model[1].train(not training)
        mr.evaluate(model, nn.CrossEntropyLoss(), (X, Y))
        assert [m.training for m in model.modules()] == [training] * 2 + [not training] + [
            training
        ] * 3
    with pytest.raises(ZeroDivisionError):
        mr.evaluate(model, lambda o, y: 1 / 0, (X, Y))
    assert model[1].training


def test_fit_evaluates_in_pieces_what_is_large(monkeypatch):
    class Sizes(nn.Module):
        def __init__(self):
            self.seen = []

        def forward(self, x):
            if not self.training:
                self.seen.append(len(x))
            return x

    for large, expected in ((2**17, [30]), (8 * 10, [10, 10, 10]), (1, [7, 7, 7, 7, 2])):
        monkeypatch.setattr(batches, "_LARGE", large)
        model, _ = run(model=lambda: nn.Sequential(Sizes(), nn.Linear(4, 8), nn.Linear(8, C)),
                       batch_size=7, epochs=1)  # fmt: skip
        assert model[0].seen == expected


def convolutions() -> nn.Module:
    mr.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 10),
    )  # fmt: skip


NETWORKS = {
    "convolutions": (convolutions, (1, 28, 28), 32),
    "convolutions, small batches": (convolutions, (1, 28, 28), 8),
    "an embedding": (
        lambda: nn.Sequential(nn.Embedding(99, 64), nn.Flatten(), nn.Linear(8192, 10)),
        (128,),
        16,
    ),
    "wide": (lambda: nn.Sequential(nn.Linear(13, 4096), nn.ReLU(), nn.Linear(4096, 10)), (13,), 32),
}


@pytest.mark.parametrize("label", NETWORKS)
def test_an_evaluation_takes_no_more_memory_than_a_step(label):
    make, shape, size = NETWORKS[label]
    model, loss = make(), nn.CrossEntropyLoss()
    objective, optimizer = mr.Objective(loss), optim.Adam(model.parameters())
    x, y = draw(300, *shape), np.arange(300) % 10
    x = np.abs(9 * x).astype(int) if label == "an embedding" else x
    rows, peaks = slice(size), []

    def step():
        optimizer.zero_grad()
        objective(model, mr.tensor(x[rows]), y[rows]).backward()
        optimizer.step()

    step()
    tracemalloc.start()
    try:
        for work in (step, lambda: mr.evaluate(model, loss, (x, y), batch_size=size)):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            work()
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert peaks[1] <= 1.5 * peaks[0]


MEMORY = """
import resource, numpy as np, minireg as mr
from test_batches import convolutions
rng = np.random.default_rng(0)
x, y = rng.random((6000, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, 6000)
model = convolutions()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
before = peak()
mr.fit(model, mr.nn.CrossEntropyLoss(), mr.optim.Adam(model.parameters()), (x, y), epochs=1, progress=False)
print(before, peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in KiB is Linux's")
def test_thousands_of_images_fit_into_memory():
    """6,000 images take some 30 MB twice and a step's memory; evaluated at once they took 1.0 GB."""
    where = f"{Path(__file__).parent}:{Path(mr.__file__).parents[1]}"
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, env={"PYTHONPATH": where}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = map(float, done.stdout.split())
    assert after - before < 0.15
