"""mr.jacobian against ``torch.autograd.functional.jacobian``: numbers, and the form of the result."""

import numpy as np
import pytest
from support.arrays import draw

import minireg as mr

torch = pytest.importorskip("torch")


# label: (function of a library and of its tensors, shapes of the inputs)
CASES = {
    "softmax": (lambda lib, x: lib.exp(x) / lib.exp(x).sum(1, keepdims=True), [(2, 3)]),
    "scalar": (lambda lib, x: lib.sum(x * x), [(3,)]),
    "of a scalar": (lambda lib, x: x * x, [()]),
    "two inputs": (lambda lib, a, b: a @ b, [(2, 3), (3, 2)]),
    "one in a tuple": (lambda lib, a: lib.tanh(a), [(3,)]),
    "two outputs": (lambda lib, x: (lib.sin(x), x.sum()), [(4,)]),
    "both": (lambda lib, a, b: (a * b, lib.exp(a)), [(3,), (3,)]),
}


def flat(found):
    """The nested tuples as one list of arrays, and their form."""
    if isinstance(found, tuple):
        parts = [flat(part) for part in found]
        return [a for arrays, _ in parts for a in arrays], tuple(form for _, form in parts)
    return [found.detach().numpy()], found.ndim


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("label", CASES)
def test_same_as_torch(label, create_graph):
    fn, shapes = CASES[label]
    arrays = tuple(draw(*shape, seed=k) for k, shape in enumerate(shapes))
    ours, theirs = (
        [make(a) for a in arrays]
        for make in (
            lambda a: mr.Tensor(a, requires_grad=True),
            lambda a: torch.tensor(a, requires_grad=True),
        )
    )
    one = len(arrays) == 1 and label != "one in a tuple"
    mine = mr.jacobian(lambda *x: fn(mr, *x), ours[0] if one else tuple(ours), create_graph)
    other = torch.autograd.functional.jacobian(
        lambda *x: fn(torch, *x), theirs[0] if one else tuple(theirs), create_graph
    )
    (got, form), (expected, form_of_torch) = flat(mine), flat(other)
    assert form == form_of_torch
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    if create_graph:  # and the derivative of what was recorded
        total, of_torch = (
            sum(
                (part * part).sum()
                for row in rows
                for part in (row if isinstance(row, tuple) else (row,))
            )
            for rows in ((m if isinstance(m, tuple) else (m,)) for m in (mine, other))
        )
        at_ours = mr.grad(total, ours, allow_unused=True)
        at_theirs = torch.autograd.grad(of_torch, theirs, allow_unused=True)
        for a, b in zip(at_ours, at_theirs, strict=True):
            a = 0.0 if a is None else a.numpy()
            np.testing.assert_allclose(a, 0.0 if b is None else b.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["Linear", "LayerNorm"])
def test_modules_alike(kind):
    mr.manual_seed(0)
    sizes = (3, 2) if kind == "Linear" else (3,)
    mine, other = (getattr(lib.nn, kind)(*sizes).double() for lib in (mr, torch))
    with torch.no_grad():
        for name, p in other.named_parameters():
            p.copy_(torch.tensor(dict(mine.named_parameters())[name].numpy()))
    x = draw(4, 3)
    expected = torch.autograd.functional.jacobian(other, torch.tensor(x))
    np.testing.assert_allclose(
        mr.jacobian(mine, x).numpy(), expected.numpy(), rtol=1e-12, atol=1e-14
    )
