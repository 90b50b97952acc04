"""The Hessian of a network, whole and block by block, against PyTorch's and differences.

PyTorch's double backward is the oracle: ``torch.func.hessian`` of 2.13, forward over reverse, gives
matrices for LayerNorm and BatchNorm that are not even symmetric (by 0.2 and 0.6 here).
"""

import numpy as np
import pytest

import minireg as mr
from minireg import nn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script")  # within torch.func

# label: layers between Linear(3, 4) and Linear(4, 3), in both libraries
BETWEEN = {
    "tanh": lambda lib: [lib.nn.Tanh()],
    "LayerNorm": lambda lib: [lib.nn.LayerNorm(4), lib.nn.Tanh()],
    "RMSNorm": lambda lib: [lib.nn.RMSNorm(4, eps=1e-5), lib.nn.SiLU()],
    "BatchNorm": lambda lib: [
        getattr(lib.nn, "BatchNorm" if lib is mr else "BatchNorm1d")(4),
        lib.nn.GELU(),
    ],
}
X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.array([0, 1, 2, 1, 0, 2])


def network(lib, between):
    return lib.nn.Sequential(
        lib.nn.Linear(3, 4), *BETWEEN[between](lib), lib.nn.Linear(4, 3)
    ).double()


def twins(between, hessian):
    """(parameters, closure) of mine, and the Hessian that PyTorch finds, by names."""
    mr.manual_seed(0)
    mine, theirs = network(mr, between), network(torch, between)
    mr_parameters = dict(mine.named_parameters())
    rng = np.random.default_rng(1)
    for p in mr_parameters.values():
        p.assign(p.data + 0.3 * rng.normal(size=p.shape))  # also scales, shifts and biases
    given = {n: torch.tensor(p.numpy()) for n, p in mr_parameters.items()}
    buffers = dict(theirs.named_buffers())

    def loss(*parameters):
        with_running = dict(zip(given, parameters, strict=True))
        with_running |= {k: v.clone() for k, v in buffers.items()}
        z = torch.func.functional_call(theirs, with_running, (torch.tensor(X),))
        return torch.nn.functional.cross_entropy(z, torch.tensor(Y), label_smoothing=0.1)

    closure = nn.CrossEntropyLoss(label_smoothing=0.1)
    found = hessian(loss, tuple(given.values()))
    blocks = {a: dict(zip(given, row, strict=True)) for a, row in zip(given, found, strict=True)}
    return mr_parameters, lambda: closure(mine(mr.Tensor(X)), Y), blocks


def double_backward(loss, parameters):
    return torch.autograd.functional.hessian(loss, parameters)


def forward_over_reverse(loss, parameters):
    return torch.func.hessian(loss, argnums=tuple(range(len(parameters))))(*parameters)


def flat(blocks, rows, columns, parameters):
    return np.block([
        [blocks[a][b].numpy().reshape(parameters[a].size, parameters[b].size) for b in columns]
        for a in rows
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("between", "hessian"),
    [*((b, double_backward) for b in BETWEEN), ("tanh", forward_over_reverse),
     ("RMSNorm", forward_over_reverse)],
)  # fmt: skip
def test_hessian_whole_and_of_some_parameters(between, hessian):
    parameters, closure, blocks = twins(between, hessian)
    names = list(parameters)
    whole = mr.curvature.hessian(closure, list(parameters.values()))
    np.testing.assert_allclose(whole, flat(blocks, names, names, parameters), atol=1e-12)
    assert np.abs(flat(blocks, names[:1], names[-1:], parameters)).max() > 1e-3  # they do mix
    for some in ([names[0]], [names[0], names[-2]], names[::2]):
        found = mr.curvature.hessian(closure, [parameters[n] for n in some])
        np.testing.assert_allclose(found, flat(blocks, some, some, parameters), atol=1e-12)


@pytest.mark.parametrize("between", BETWEEN)
def test_each_block_asked_by_itself(between):
    """First a gradient for one parameter only, then that of its elements for another one."""
    parameters, closure, blocks = twins(between, double_backward)
    for a, p in parameters.items():
        (g,) = mr.grad(closure(), p, create_graph=True)
        for b, q in parameters.items():
            rows = []
            for k in range(p.size):
                (row,) = mr.grad(g.reshape(-1)[k], q, retain_graph=True, allow_unused=True)
                rows.append(np.zeros(q.size) if row is None else row.numpy().reshape(-1))
            expected = blocks[a][b].numpy().reshape(p.size, q.size)
            np.testing.assert_allclose(rows, expected, atol=1e-12, err_msg=f"{a} × {b}")


@pytest.mark.parametrize("between", BETWEEN)
def test_hessian_is_the_difference_of_gradients(between):
    parameters, closure, _ = twins(between, lambda loss, given: [given] * len(given))
    space = list(parameters.values())
    whole, h, k = mr.curvature.hessian(closure, space), 1e-5, 0

    def gradient():
        return np.concatenate([g.numpy().reshape(-1) for g in mr.grad(closure(), space)])

    for p in space:
        for i in np.ndindex(p.shape):
            start, ends = p.data[i], []
            for step in (h, -h):
                p.data[i] = start + step
                ends.append(gradient())
            p.data[i] = start
            np.testing.assert_allclose(whole[k], (ends[0] - ends[1]) / (2 * h), atol=1e-8)
            k += 1
