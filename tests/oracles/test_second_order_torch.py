"""Second derivatives from some of the inputs, against PyTorch.

The law of test_second_order.py for every op, composed function, loss and layer; what it is
for stands in test_applications_torch.py.
"""

from functools import partial

import numpy as np
import pytest
from support.against import host, torch, twin
from support.drawn import Draw
from support.twins.drawn import FUNCTIONS, Case
from support.twins.layers import FIRST_ORDER_ONLY, LAYERS, tnn, twins

import minireg as mr
from minireg import nn
from minireg.check.ops import Places, at_some_places

CASES = 3  # of each function


def law(ours, theirs, arrays):
    """What was compared, and whether it is the same."""
    leaves = [mr.Tensor(np.array(a), requires_grad=True) for a in arrays]
    places = Places(theirs, [twin(a) for a in arrays], torch.autograd.grad, torch.tensor)
    return at_some_places(Places(ours, leaves), places)


def drawn_case(name, seed):
    rng = np.random.default_rng(seed)
    return Case(name, Draw(lambda low, high: int(rng.integers(low, high + 1)), dims=3, side=3))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, checks):
    for seed in range(CASES):
        case = drawn_case(name, seed)
        for what, same in law(case.ours, case.theirs, case.arrays):
            checks[same] += 1
            assert same, f"{what}, {case!r}"


def of_parameters(layer):
    """A layer as a function of its input and its parameters."""
    paths = [name.rpartition(".") for name, _ in layer.named_parameters()]

    def function(x, *values):
        for (path, _, name), value in zip(paths, values, strict=True):
            owner = layer
            for part in filter(None, path.split(".")):
                owner = getattr(owner, part)
            object.__setattr__(owner, name, value)
        return layer(x)

    return function


def of_twin_parameters(layer):
    names = [name for name, _ in layer.named_parameters()]
    call = torch.func.functional_call
    return lambda x, *values: call(layer, dict(zip(names, values, strict=True)), x)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # a copy inside PyTorch
@pytest.mark.parametrize("label", [label for label in LAYERS if label not in FIRST_ORDER_ONLY])
def test_layers(label, checks):
    build, x = LAYERS[label]
    models = twins(build(nn), build(tnn))
    arrays = [host(p) for p in models[0].parameters()]
    ours, theirs = of_parameters(models[0]), of_twin_parameters(models[1])
    if isinstance(x, np.ndarray):  # of indices
        compared = law(partial(ours, x), partial(theirs, torch.tensor(x)), arrays)
    else:
        compared = law(ours, theirs, [np.random.default_rng(1).normal(size=x), *arrays])
    for what, same in compared:
        checks[same] += 1
        assert same, what
