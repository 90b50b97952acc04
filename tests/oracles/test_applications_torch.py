"""What second derivatives are for: the same lines, run by minireg and by PyTorch from one start.

A gradient with respect to some inputs, differentiated with respect to others: penalties on input
gradients, mixed Hessian blocks, hypergradients, equations with derivatives of a network.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from support.against import close, torch, twin
from support.arrays import draw

import minireg as mr

OURS = SimpleNamespace(
    grad=mr.grad, nn=mr.nn, linear=mr.nn.functional.linear, optim=mr.optim, put=mr.Tensor
)
THEIRS = SimpleNamespace(
    grad=torch.autograd.grad, nn=torch.nn, linear=torch.nn.functional.linear, optim=torch.optim, put=twin
)  # fmt: skip


def pair(build):
    """The model that ``build`` makes of layers, here and in PyTorch with the same values."""
    mr.manual_seed(0)
    ours, theirs = build(mr.nn).double(), build(torch.nn).double()
    theirs.load_state_dict({name: twin(value, False) for name, value in ours.state_dict().items()})
    return ours, theirs


def agree(application, build, *arrays, tolerance=1e-10):
    """Call ``application(library, model, *leaves)`` on both sides; what it returns is equal and not 0."""
    found = [
        application(library, model, *(library.put(a, True) for a in arrays))
        for library, model in zip((OURS, THEIRS), pair(build), strict=True)
    ]
    for a, b in zip(*found, strict=True):
        close(a, b, tolerance)
        assert np.abs(a.numpy()).max() > 1e-6
    return found[0]


def test_gradient_penalty_of_a_wasserstein_critic():
    def critic(nn):
        return nn.Sequential(
            nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1)
        )

    def loss(lib, model, real, fake, t):
        between = t * real + (1 - t) * fake
        (g,) = lib.grad(model(between).sum(), between, create_graph=True)
        penalty = (((g**2).sum(axis=1) ** 0.5 - 1) ** 2).mean()
        total = model(fake).mean() - model(real).mean() + 10 * penalty
        total.backward()
        return [total.detach(), fake.grad, *(p.grad for p in [*model.parameters()][:-1])]

    agree(loss, critic, draw(5, 3), draw(5, 3, seed=1), np.linspace(0.1, 0.9, 5)[:, None])


@pytest.mark.parametrize("norm", ["LayerNorm", "RMSNorm", "BatchNorm1d"])
def test_double_backprop_through_a_normalisation(norm):
    def network(nn):
        return nn.Sequential(
            nn.Linear(4, 6), getattr(nn, norm)(6), nn.Tanh(), nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 2)
        )  # fmt: skip

    def slope(lib, model, x):
        (g,) = lib.grad((model(x) ** 2).sum(), x, create_graph=True)
        (g**2).mean().backward()
        reached = [p.grad for name, p in model.named_parameters() if name not in ("0.bias",)]
        return [x.grad, *reached]

    agree(slope, network, draw(7, 4))


def test_each_mixed_block_of_a_hessian():
    def network(nn):
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))

    def blocks(lib, model, x):
        labels = lib.put(np.arange(6) % 3, False)
        loss, found = lib.nn.CrossEntropyLoss()(model(x), labels), []
        leaves = [x, *model.parameters()]
        for i, a in enumerate(leaves):
            (first,) = lib.grad(loss, a, create_graph=True)
            along = (first * lib.put(draw(*first.shape, seed=i), False)).sum()
            found += [lib.grad(along, b, retain_graph=True)[0] for b in leaves]
        return found

    assert len(agree(blocks, network, draw(6, 3))) == 25


def test_hypergradient_through_five_steps_of_descent():
    """Of the loss on held-out data, by the strength of L2 and by the data that were trained on."""

    def start(nn):
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    x_train, y = draw(8, 3), draw(8, 1, seed=1)
    held_out = draw(6, 3, seed=2), draw(6, 1, seed=3)

    def validation(lib, model, log_strength, x):
        weights = [*model.parameters()]

        def loss(x, y):
            a, b, c, d = weights
            output = lib.linear(lib.linear(x, a, b).tanh(), c, d)
            return ((output - lib.put(y, False)) ** 2).mean()

        for _ in range(5):
            total = loss(x, y) + 0.5 * log_strength.exp() * sum((w**2).sum() for w in weights[::2])
            slopes = lib.grad(total, weights, create_graph=True)
            weights = [w - 0.3 * g for w, g in zip(weights, slopes, strict=True)]
        return loss(lib.put(held_out[0], False), held_out[1])

    def hypergradient(lib, model, *hyper):
        value = validation(lib, model, *hyper)
        return [value.detach(), *lib.grad(value, [*hyper, *model.parameters()])]

    found, h = agree(hypergradient, start, np.array(-2.0), x_train), 1e-5
    model, _ = pair(start)
    ends = [validation(OURS, model, mr.tensor(np.array(-2.0 + t)), mr.tensor(x_train)).item()
            for t in (h, -h)]  # fmt: skip
    close(found[1], (ends[0] - ends[1]) / (2 * h), 1e-6)


@pytest.mark.slow
def test_physics_informed_fit_of_a_differential_equation():
    """u″ = −u on [0, 2], u(0) = 0, u′(0) = 1: sin, from nothing but the equation."""

    def network(nn):
        return nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))

    def fitted(lib, model, x):
        optimizer = lib.optim.Adam(model.parameters(), 0.03)
        schedule = lib.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
        for _ in range(300):
            optimizer.zero_grad()
            u = model(x)
            (du,) = lib.grad(u.sum(), x, create_graph=True)
            (ddu,) = lib.grad(du.sum(), x, create_graph=True)
            loss = ((ddu + u) ** 2).mean() + u[0, 0] ** 2 + (du[0, 0] - 1) ** 2
            loss.backward()
            optimizer.step()
            schedule.step()
        return [model(x).detach()]

    x = np.linspace(0, 2, 20)[:, None]
    (u,) = agree(fitted, network, x, tolerance=1e-7)
    assert np.abs(u.numpy() - np.sin(x)).max() < 0.01
