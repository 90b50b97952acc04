"""Every way to train ends on the device where it ends on the host, and waits for nothing there."""

import copy
import math
from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw
from support.few import slow_unless
from support.optimizers import make
from support.strict import count_syncs
from support.training import backward, data, network, step

import minireg as mr
from minireg import backend, nn, optim
from minireg.penalties import L1, L2, ElasticNet, GroupLasso

HOMES = ["numpy", "strict"]


@pytest.fixture(autouse=True)
def _registered():
    with strict.running():
        yield


# --- every way ends where it ended -----------------------------------------------------------------


def plain(model: Any, optimizer: Any, home: str) -> None:
    for seed in range(4):
        step(model, optimizer, home, seed)


def replaced_data(model: Any, optimizer: Any, home: str) -> None:
    w = model[0].weight
    old = w.data
    step(model, optimizer, home, 0)
    w.data = backend.move(draw(*w.shape, seed=5), home)
    old[...] = math.nan  # nobody's now, though it lies among the others
    for seed in range(3):
        model[3].bias.data = model[3].bias.data * 0.5
        step(model, optimizer, home, seed)


def freezing(model: Any, optimizer: Any, home: str) -> None:
    for k in (0, 3, 0):
        model[k].requires_grad_(False)
        before = [p.numpy().copy() for p in model[k].parameters()]
        for seed in range(2):
            step(model, optimizer, home, seed)
        for a, p in zip(before, model[k].parameters(), strict=True):
            np.testing.assert_array_equal(a, p.numpy())
        model.requires_grad_(True)


def sharing(model: Any, optimizer: Any, home: str) -> None:
    """One parameter in two layers, and two that share memory."""
    model[4].bias = model[3].bias
    plain(model, optimizer, home)
    model[1].weight.data = model[1].bias.data
    plain(model, optimizer, home)


def groups(model: Any, optimizer: Any, home: str) -> None:
    late = nn.Linear(3, 3).to(np.float64).to(home)
    wider = nn.Sequential(*model, late)
    optimizer.add_param_group({"params": late.parameters(), "lr": 0.3})
    plain(wider, optimizer, home)
    optimizer.param_groups[1]["lr"] = 0.01
    plain(wider, optimizer, home)


def parts_of_the_model(model: Any, optimizer: Any, home: str) -> None:
    """Backward passes that reach some parameters only, with and without forgetting."""
    for seed in range(3):
        backward(model, home, seed)
        model[0].zero_grad()
        model[0](data(home, seed)[0]).sum().backward()
        optimizer.step()


def moving(model: Any, optimizer: Any, home: str) -> None:
    plain(model, optimizer, home)
    state = copy.deepcopy(optimizer.state_dict())
    model.to("numpy").to(home)
    optimizer.load_state_dict(state)
    plain(model, optimizer, home)


def restoring(model: Any, optimizer: Any, home: str) -> None:
    states = model.state_dict(), copy.deepcopy(optimizer.state_dict())
    plain(model, optimizer, home)
    model.load_state_dict(states[0])
    optimizer.load_state_dict(states[1])
    plain(model, optimizer, home)


def another_optimizer(model: Any, optimizer: Any, home: str) -> None:
    other = optim.SGD(model[0].parameters(), lr=0.05, momentum=0.5)
    for _ in range(2):
        plain(model, optimizer, home)
        step(model, other, home, 3)


def clipped(model: Any, optimizer: Any, home: str) -> None:
    for seed in range(3):
        step(model, optimizer, home, seed, max_norm=0.1)


def ledger(model: Any, optimizer: Any, home: str) -> None:
    books = mr.Ledger(optimizer)
    plain(model, optimizer, home)
    assert books.last.residual < 1e-12
    books.close()
    plain(model, optimizer, home)


def penalized(model: Any, optimizer: Any, home: str) -> None:
    terms = {"l2": L2(0.1), "net": (ElasticNet(0.01, 0.02), "0.*"),
             "l1": (L1(0.05), "3.weight", "prox"), "group": GroupLasso(0.01)}  # fmt: skip
    objective = mr.Objective(nn.MSELoss(), terms).bind(model).attach(optimizer)
    for seed in range(3):
        optimizer.zero_grad()
        terms = objective(model, *data(home, seed))
        terms.backward(attribute=False, defer=True)
        optimizer.step(terms, max_norm=0.5)


SCENES = {f.__name__.replace("_", " "): f for f in (
    plain, replaced_data, freezing, sharing, groups, parts_of_the_model, moving, restoring,
    another_optimizer, clipped, ledger, penalized,
)}  # fmt: skip
LABELS = ["Adam, decay", "AdamW, amsgrad", "nesterov", "RMSprop, centered", "FISTA"]


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("label", slow_unless({"Adam, decay", "FISTA"}.__contains__, LABELS))
def test_every_scene_ends_where_it_ends_on_the_host(label, scene):
    ends = []
    for home in HOMES:
        model = network(home)
        optimizer = make(label, [*model.parameters()])
        with count_syncs() as syncs:
            SCENES[scene](model, optimizer, home)
        waits = [s for s in syncs if "get" not in str(s)]
        assert scene in ("ledger", "freezing") or home == "numpy" or not waits
        ends.append([t.numpy() for _, t in model._named_tensors()])
    for host, device in zip(*ends, strict=True):
        np.testing.assert_allclose(device, host, rtol=1e-9, atol=1e-12)
