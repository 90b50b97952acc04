"""The drawn graph says what there is: every op, every leaf, and no gradient that is not there."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minireg as mr


def network():
    model = mr.nn.Sequential(mr.nn.Linear(3, 4), mr.nn.ReLU(), mr.nn.Linear(4, 2))
    loss = mr.nn.CrossEntropyLoss()(model(mr.tensor(np.ones((5, 3), np.float32))), np.zeros(5, int))
    return model, loss


def test_every_op_and_leaf_once_and_the_arrows_forward():
    model, loss = network()
    source = mr.draw(loss, model).source
    for name in ("0.weight", "0.bias", "2.weight", "2.bias"):
        assert source.count(name) == 1
    labels = re.findall(r'label="(\w+)\n', source) or re.findall(r'label="(\w+)\\n', source)
    assert labels.count("linear") == 2
    assert labels.count("relu") == 1
    ids = {m for line in source.splitlines() if "->" in line for m in re.findall(r"\d+", line)}
    nodes = set(re.findall(r"^\t(\d+) \[", source, re.MULTILINE))
    assert ids == nodes


def test_a_gradient_is_shown_once_it_is_there_and_never_as_zero():
    model, loss = network()
    assert mr.draw(loss, model).source.count("not computed yet") == 4
    loss.backward(retain_graph=True)
    after = mr.draw(loss, model).source
    assert "not computed yet" not in after
    assert after.count("‖gradient‖ = ") == 4


def test_a_freed_graph_is_told():
    model, loss = network()
    loss.backward()
    with pytest.raises(RuntimeError, match="draw before backward"):
        mr.draw(loss, model)


def test_a_long_chain_needs_no_recursion():
    x = y = mr.tensor(1.0, requires_grad=True)
    for _ in range(3000):
        y = y * 1.0
    assert mr.draw(y).source.count("mul") == 3000
    assert x.grad is None
