"""What docs/pytorch.md calls silent runs without a word (warnings are errors here), what refused raises."""

import re
from pathlib import Path

import numpy as np
import pytest

import minireg as mr
from minireg import nn, optim
from minireg.nn import losses

PAGE = Path(__file__).parents[1] / "docs" / "pytorch.md"
LOGITS = np.array([[2.0, -1.0, 0.5], [1.5, 3.0, 0.1]], np.float32)
LABELS = np.array([0, 1])


def leaf():
    return mr.tensor(np.array([1.0, 2.0]), requires_grad=True)


def course(*steps, lr=0.1, change=None, **options):
    """½w² after each of so many steps of SGD."""
    w, found = leaf(), []
    optimizer = optim.SGD([w], lr, **options)
    if change is not None:
        optimizer.param_groups[0]["lr"] = change
    for _ in range(*steps):
        optimizer.zero_grad()
        loss = (w * w).sum() * 0.5
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return np.diff(found)


def no_zero_grad():
    w = leaf()
    for _ in range(3):
        (w * w).sum().backward()
    return (w.grad.data == 6 * w.data).all()


def no_eval():
    layer, x = nn.Dropout(0.5, seed=0), np.ones(50, np.float32)
    return (layer(x) != layer(x)).any()


def frozen():
    w = leaf().requires_grad_(False)
    optimizer, other = optim.SGD([w, v := leaf()], 0.1), v.data.copy()
    (w * v).sum().backward()
    optimizer.step()
    return (w.data == [1, 2]).all() and (v.data != other).all()


def nan_gradient():
    w = leaf()
    (w * np.nan).sum().backward()
    optim.SGD([w], 0.1).step()
    return np.isnan(w.data).all()


class Frozen(nn.BatchNorm):
    """As the page has it."""

    training = property(lambda self: False, lambda self, mode: None)


def moves(norm):
    """Whether a training moves the statistics of a layer in evaluation mode."""
    model = nn.Sequential(norm(3).eval())
    before = model[0].running_mean.numpy().copy()
    mr.fit(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()), (LOGITS, LABELS), epochs=1)
    return bool((model[0].running_mean.numpy() != before).any())


def nan_batch():
    layer = nn.BatchNorm(3)
    layer(mr.tensor(np.full((2, 3), np.nan, np.float32)))
    layer(mr.tensor(LOGITS))
    return np.isnan(layer.running_mean.data).all()


def watched_nan():
    optimizer = optim.SGD([leaf()], 0.1)
    schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    for _ in range(4):
        schedule.step(float("nan"))
    return optimizer.param_groups[0]["lr"] < 1e-3


def changed_data():
    w = leaf()
    loss = (w * w).sum()
    w.data[:] = 100
    loss.backward()
    return (w.grad.data == 200).all()


def softmax(x):
    return nn.functional.softmax(mr.tensor(x))


SILENT = {
    "forgetting `zero_grad`": no_zero_grad,
    "forgetting `eval()`": no_eval,
    "a frozen parameter in an optimizer": frozen,
    "a gradient that is NaN": nan_gradient,
    "`eval()` of one layer, to keep a BatchNorm's statistics": lambda: (
        moves(nn.BatchNorm) and not moves(Frozen)
    ),
    "NaN in a batch, BatchNorm": nan_batch,
    "momentum above 1": lambda: course(60, momentum=1.5)[-1] > 1e3,
    "dampening above 1": lambda: (course(5, momentum=0.9, dampening=5.0)[1:] > 0).all(),
    "a negative rate, set later": lambda: (course(5, change=-0.1) > 0).all(),
    "a schedule that watches NaN": watched_nan,
    "target distributions that sum to more than 1": lambda: np.isclose(
        nn.CrossEntropyLoss()(LOGITS, np.eye(3, dtype=np.float32)[LABELS] * 5),
        5 * nn.CrossEntropyLoss()(LOGITS, LABELS),
    ),
    "negative target probabilities": lambda: nn.CrossEntropyLoss()(LOGITS, -softmax(LOGITS)) < 0,
    "binary targets outside [0, 1]": lambda: nn.BCEWithLogitsLoss()(LOGITS + 9, LOGITS * 0 + 2) < 0,
    "logits given to `NLLLoss`": lambda: nn.NLLLoss()(LOGITS, LABELS) < 0,
    "probabilities given to `NLLLoss`": lambda: -1 <= nn.NLLLoss()(softmax(LOGITS), LABELS) < 0,
    "probabilities given to `KLDivLoss`": lambda: (
        nn.KLDivLoss(reduction="batchmean")(softmax(LOGITS), softmax(LOGITS)) < 0
    ),
    "`t.data` changed between forward and backward": changed_data,
}


class Hidden(nn.Module):
    """One layer in a list, and a tensor that is no parameter."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


WARNED = {
    "probabilities given to `CrossEntropyLoss` or `BCEWithLogitsLoss`": (
        lambda: nn.CrossEntropyLoss()(softmax(LOGITS), LABELS), "leave out the model's"),
    "layers in a Python list or dict": (
        lambda: [*Hidden(layers=[nn.Linear(1, 1)]).parameters()], "not trained: .* nn.ModuleList"),
    "a Tensor as attribute of a module": (
        lambda: [*Hidden(w=leaf()).parameters()], "not trained: .* nn.Parameter"),
    "a step when nothing has a gradient": (lambda: optim.SGD([leaf()], 0.1).step(), r"call backward\(\)"),
    "`weight_decay=` that reaches biases and norms": (
        lambda: optim.SGD(nn.Linear(1, 1).parameters(), 0.1, weight_decay=0.1), "decay_groups"),
}  # fmt: skip


def state_of_other_shapes():
    layers = nn.Linear(3, 2), nn.Linear(3, 3)
    first, second = (optim.Adam(layer.parameters()) for layer in layers)
    layers[0](mr.tensor(LOGITS)).sum().backward()
    first.step()
    second.load_state_dict(first.state_dict())


REFUSED = {
    "a negative ε of a layer that normalises": lambda: nn.RMSNorm(3, eps=-1.0),
    "momentum above 1 of a BatchNorm layer": lambda: nn.BatchNorm(3, momentum=2.0),
    "LayerNorm over nothing": lambda: nn.LayerNorm(0),
    "negative class weights": lambda: nn.CrossEntropyLoss(weight=[-1.0, 1.0, 1.0]),
    "integers in an optimizer": lambda: optim.SGD([mr.tensor([1, 2])], 0.1),
    "an optimizer's state of other shapes": state_of_other_shapes,
    "masked arrays as data": lambda: mr.tensor(np.ma.array([1.0, 2.0], mask=[0, 1])),
}


def mistakes(heading):
    """First column of the table under a heading of the page."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (.+?) \|", section, re.MULTILINE)[2:]


def test_the_page_lists_what_is_tested():
    assert mistakes("Silent, as in PyTorch") == [*SILENT]
    assert mistakes("Warned about, once") == [*WARNED]
    assert mistakes("Refused, where PyTorch is silent") == [*REFUSED]


@pytest.mark.parametrize("mistake", SILENT)
def test_is_silent_and_does_what_the_page_says(mistake):
    assert SILENT[mistake]()


@pytest.mark.parametrize("mistake", REFUSED)
def test_is_refused(mistake):
    with pytest.raises((ValueError, TypeError)):
        REFUSED[mistake]()


@pytest.mark.parametrize("mistake", WARNED)
def test_is_warned_about(mistake, monkeypatch):
    monkeypatch.setattr(losses, "_warned", set())  # as if nothing had been said in this process
    call, message = WARNED[mistake]
    with pytest.warns(UserWarning, match=message):
        call()
