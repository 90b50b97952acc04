"""Losses against PyTorch: value, gradients by both rules and second derivative within 1e-12 / 1e-8."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from support.against import close, host, same, torch, twin
from support.arrays import draw
from support.lists import exact
from support.twins.layers import LOSSES

import minireg as mr
from minireg import nn
from minireg.nn import losses

tnn = torch.nn
REDUCTIONS = ["mean", "sum", "none"]
C = 4


# --- integer labels and distributions over classes ------------------------------------------------

# logits → labels
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "(C,)": ((C,), ()),
    "(N, C)": ((5, C), (5,)),
    "(N, C, d1, d2)": ((3, C, 2, 3), (3, 2, 3)),
}


def target_for(shape: str, kind: str, ignored: int = -100) -> np.ndarray:
    """Labels, every third of them ``ignored``, or probabilities of the logits' shape."""
    rng = np.random.default_rng(2)
    if kind == "probability":
        rows = rng.dirichlet(np.ones(C), SHAPES[shape][1])
        return np.moveaxis(rows, -1, 1) if rows.ndim > 2 else rows
    labels = np.asarray(rng.integers(0, C, SHAPES[shape][1]))
    labels = np.asarray(np.where(labels == ignored, (labels + 1) % C, labels))
    labels.reshape(-1)[1::3] = ignored
    return labels


def pair(name: str, weight: np.ndarray | None, **options: Any) -> tuple[Any, Any]:
    return (
        getattr(nn, name)(weight, **options),
        getattr(tnn, name)(None if weight is None else twin(weight, False), **options),
    )


def class_weight(weighted: bool) -> np.ndarray | None:
    return np.random.default_rng(3).uniform(0.5, 2, C) if weighted else None


GRID = [*product([False, True], [-100, 1], [0.0, 0.1, 1.0], ["index", "probability"], REDUCTIONS,
                 SHAPES)]  # fmt: skip


@pytest.mark.parametrize(("weighted", "ignored", "smoothing", "kind", "reduction", "shape"), GRID)
def test_cross_entropy_equals_torch(weighted, ignored, smoothing, kind, reduction, shape):
    # among probabilities there is no label to ignore: PyTorch accepts a negative index only
    options = {"ignore_index": ignored if kind == "index" else -1, "reduction": reduction,
               "label_smoothing": smoothing}  # fmt: skip
    both = pair("CrossEntropyLoss", class_weight(weighted), **options)
    same(*both, [draw(*SHAPES[shape][0]), target_for(shape, kind, ignored)], first=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ignored", [-100, 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_nll_equals_torch(weighted, ignored, reduction, shape):
    both = pair("NLLLoss", class_weight(weighted), ignore_index=ignored, reduction=reduction)
    same(*both, [draw(*SHAPES[shape][0]), target_for(shape, "index", ignored)], first=1e-12)


# logits, labels
EXTREMES: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "logits of 1e4": (np.array([[1e4, 0.0, -1e4]]), np.array([1])),
    "a class that cannot occur": (np.array([[0.5, -np.inf, 1.0]]), np.array([0])),
    "certain": (np.array([[800.0, 0.0]]), np.array([0])),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label", EXTREMES)
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_extreme_logits_equal_torch(name, label, reduction):
    same(*pair(name, None, reduction=reduction), EXTREMES[label], second=None)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_mean_over_nothing_is_nan_as_in_torch(name):
    z, nothing = draw(2, 3), np.full(2, -100)
    ours, theirs = pair(name, None)
    with np.errstate(invalid="ignore"):  # NumPy says so, too
        assert np.isnan(float(ours(mr.Tensor(z), nothing)))
    assert theirs(twin(z), twin(nothing)).isnan()
    same(*pair(name, None, reduction="sum"), [z, nothing])


@pytest.mark.parametrize("shape", ["(C,)", "(N, C)"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("p", [1, 2])
def test_hinge_of_classes_equals_multi_margin_loss(p, margin, reduction, shape):
    options = {"p": p, "margin": margin, "reduction": reduction}
    labels = target_for(shape, "index", 0)
    z = draw(*SHAPES[shape][0])
    # PyTorch's loss has no second derivative: the formula has
    same(
        nn.HingeLoss(**options),
        tnn.MultiMarginLoss(**options),
        [z, labels],
        first=1e-12,
        second=None,
    )
    same(
        nn.HingeLoss(**options),
        lambda s, y: multi_margin(s, y, **options),
        [z, labels],
        first=1e-12,
    )


def reduced(loss: Any, reduction: str) -> Any:
    return loss if reduction == "none" else getattr(loss, reduction)()


def multi_margin(s: Any, y: Any, p: int, margin: float, reduction: str) -> Any:
    own = s.gather(-1, y[..., None])
    other = torch.ones_like(s).scatter(-1, y[..., None], 0)
    missing = ((margin - own + s).clamp(min=0) ** p * other).sum(-1) / s.shape[-1]
    return reduced(missing, reduction)


@pytest.mark.parametrize("shape", [(), (6,), (3, 4)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("p", [1, 2])
def test_hinge_of_signs_equals_its_formula(p, margin, reduction, shape):
    signs = np.asarray(np.where(draw(*shape, seed=1) > 0, 1, -1))

    def formula(s: Any, y: Any) -> Any:
        return reduced((margin - y * s).clamp(min=0) ** p, reduction)

    ours = nn.HingeLoss(p, margin, reduction)
    same(ours, formula, [draw(*shape), signs], first=1e-12)
    floats = ours(mr.Tensor(draw(*shape)), mr.Tensor(signs.astype(float)))
    np.testing.assert_array_equal(host(floats), host(ours(mr.Tensor(draw(*shape)), signs)))


# --- losses of two arrays of one shape --------------------------------------------------------------


def log_probabilities(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    z = draw(*shape, seed=seed)
    return np.asarray(z - np.log(np.exp(z).sum(axis=-1, keepdims=True)) if shape else -np.abs(z))


def fractions(*shape: int) -> np.ndarray:
    return np.asarray(np.random.default_rng(4).uniform(size=shape))


ELEMENTWISE = [(), (5,), (4, 1), (2, 3, 4)]
# loss: (options, both arrays for a shape)
PAIRED: dict[str, tuple[dict[str, list[Any]], Callable[[tuple[int, ...]], list[np.ndarray]]]] = {
    "MSELoss": ({"reduction": REDUCTIONS}, lambda s: [draw(*s), draw(*s, seed=1)]),
    "L1Loss": ({"reduction": REDUCTIONS}, lambda s: [draw(*s), draw(*s, seed=1)]),
    "SmoothL1Loss": ({"reduction": REDUCTIONS, "beta": [0.0, 0.3, 1.0, 5.0]},
                     lambda s: [draw(*s), draw(*s, seed=1)]),
    "BCEWithLogitsLoss": ({"reduction": REDUCTIONS}, lambda s: [3 * draw(*s), fractions(*s)]),
    "KLDivLoss": ({"reduction": [*REDUCTIONS, "batchmean"], "log_target": [False]},
                  lambda s: [log_probabilities(s), np.exp(log_probabilities(s, 1))]),
    "KLDivLoss, log": ({"reduction": [*REDUCTIONS, "batchmean"], "log_target": [True]},
                       lambda s: [log_probabilities(s), log_probabilities(s, 1)]),
}  # fmt: skip
CASES = [
    (label, dict(zip(options, values, strict=True)), shape)
    for label, (options, _) in PAIRED.items()
    for values in product(*options.values())
    for shape in ELEMENTWISE
]


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning")
@pytest.mark.parametrize(("label", "options", "shape"), CASES)
def test_loss_of_two_arrays_equals_torch(label, options, shape):
    ours, theirs = (getattr(lib, label.partition(",")[0])(**options) for lib in (nn, tnn))
    same(ours, theirs, map(np.asarray, PAIRED[label][1](shape)), first=1e-12)


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "SmoothL1Loss"])
def test_whole_numbers_are_regression_targets_as_in_torch(name):
    x, y = draw(6).astype(np.float32), np.arange(6)
    ours, theirs = getattr(nn, name)()(mr.Tensor(x), y), getattr(tnn, name)()(twin(x), twin(y))
    assert ours.dtype == host(theirs).dtype == np.float32
    close(ours, theirs, 1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, (5, C), (C,), (5, 1), ()], ids=str)
@pytest.mark.parametrize("pos_weight", [None, (C,), (1,)], ids=str)
def test_weights_of_binary_cross_entropy_equal_torch(weight, pos_weight, reduction):
    rng = np.random.default_rng(5)
    factors = {
        name: None if shape is None else np.asarray(rng.uniform(0.5, 3, shape))
        for name, shape in (("weight", weight), ("pos_weight", pos_weight))
    }
    ours = nn.BCEWithLogitsLoss(reduction=reduction, **factors)
    theirs = tnn.BCEWithLogitsLoss(
        reduction=reduction,
        **{k: None if f is None else twin(f, False) for k, f in factors.items()},
    )
    same(ours, theirs, [3 * draw(5, C), fractions(5, C)], first=1e-12)


# --- kinks and extremes -------------------------------------------------------------------------------

DIFFERENCES = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
KINKS: dict[str, tuple[Any, Any, list[np.ndarray]]] = {
    "L1Loss": (nn.L1Loss("none"), tnn.L1Loss(reduction="none"), [DIFFERENCES, np.zeros(7)]),
    "SmoothL1Loss": (nn.SmoothL1Loss("none"), tnn.SmoothL1Loss(reduction="none"),
                     [DIFFERENCES, np.zeros(7)]),
    "HingeLoss": (nn.HingeLoss(reduction="none"), tnn.MultiMarginLoss(reduction="none"),
                  [np.array([[1.0, 0.0, 0.5], [0.0, 0.0, 1.0]]), np.array([0, 2])]),
    "HingeLoss, p=2": (nn.HingeLoss(2, 1.0, "none"), tnn.MultiMarginLoss(2, reduction="none"),
                       [np.array([[1.0, 0.0, 0.5], [0.0, 0.0, 1.0]]), np.array([0, 2])]),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(), tnn.BCEWithLogitsLoss(),
                          [np.array([-800.0, -40.0, 0.0, 40.0, 800.0] * 2), np.repeat([0.0, 1.0], 5)]),
}  # fmt: skip


@pytest.mark.parametrize("label", KINKS)
def test_kink_equals_torch(label):
    ours, theirs, args = KINKS[label]
    same(ours, theirs, args, second=None)


def test_binary_cross_entropy_keeps_its_relative_precision():
    """A deliberate difference: PyTorch's x + softplus(−x) cancels for certain negatives."""
    x, t = np.array([-50.0, -40.0, -30.0]), np.zeros(3)
    np.testing.assert_allclose(nn.BCEWithLogitsLoss(reduction="none")(x, t), np.exp(x), rtol=1e-12)
    theirs = tnn.BCEWithLogitsLoss(reduction="none")(twin(x), twin(t))
    assert (abs(host(theirs) / np.exp(x) - 1) > 1e-4).all()


@pytest.mark.parametrize("log_target", [False, True])
def test_what_cannot_occur_costs_nothing(log_target):
    """A deliberate difference: 0·log 0 = 0 also where the model says −∞, which PyTorch makes NaN."""
    x, t = np.array([[-np.inf, -1.0, -2.0]]), np.array([[0.0, 0.25, 0.75]])
    with np.errstate(divide="ignore", invalid="ignore"):  # log 0, and −∞ − (−∞) on the way
        given = np.log(t) if log_target else t
        ours = mr.Tensor(x, requires_grad=True)
        loss = nn.KLDivLoss(reduction="none", log_target=log_target)(ours, given)
    loss.sum().backward()
    np.testing.assert_allclose(host(loss)[0, 1:], t[0, 1:] * (np.log(t[0, 1:]) - x[0, 1:]))
    assert host(loss)[0, 0] == 0
    np.testing.assert_allclose(ours.grad.numpy(), -t)
    theirs = tnn.KLDivLoss(reduction="none", log_target=log_target)(twin(x), twin(given))
    assert theirs[0, 0].isnan()


# --- nothing is left out --------------------------------------------------------------------------------

ORACLES = {
    "CrossEntropyLoss",
    "NLLLoss",
    "HingeLoss",
    *(label.partition(",")[0] for label in PAIRED),
}


def test_every_loss_has_an_oracle():
    kinds = {name: getattr(nn, name) for name in nn.__all__}
    public = {n for n, k in kinds.items() if isinstance(k, type) and issubclass(k, losses.Loss)}
    exact("PAIRED (or ORACLES) in tests/oracles/test_losses_torch.py", ORACLES, public)
    exact("LOSSES in tests/support/twins/layers.py", LOSSES.values(), public)
    functions = {
        name for name, f in vars(nn.functional).items()
        if name in nn.functional.__all__ and f.__module__ == losses.__name__
    }  # fmt: skip
    exact("LOSSES in tests/support/twins/layers.py", LOSSES, functions)


@pytest.mark.parametrize("name", LOSSES)
def test_a_module_is_its_function(name):
    assert getattr(nn, LOSSES[name]).function is getattr(nn.functional, name)
