"""Second derivatives from some of the inputs, against PyTorch: the law, and what it is for.

The law of test_second_order.py for every op, composed function, loss and layer; then the uses
that rest on it: penalties on input gradients, mixed blocks of a Hessian, hypergradients, and
differential equations.
"""

from functools import partial

import numpy as np
import pytest
from against import close, host, torch, twin
from drawn import Draw
from test_drawn_torch import FUNCTIONS, Case
from test_nn_torch import FIRST_ORDER_ONLY, LAYERS, nn, tnn, twins

import minireg as mr
from minireg.op_check import Places, at_some_places

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


# --- what it is for -------------------------------------------------------------------------------


class Ours:
    nn, tanh, grad, square = nn, mr.tanh, staticmethod(mr.grad), mr.square
    adam = mr.optim.Adam

    @staticmethod
    def tensor(a, requires_grad=False):
        return mr.Tensor(np.array(a), requires_grad=requires_grad)


class Theirs:
    nn, tanh, grad, square = tnn, torch.tanh, staticmethod(torch.autograd.grad), torch.square
    adam = torch.optim.Adam
    tensor = staticmethod(twin)


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def both(build, use):
    """What ``use(library, model)`` gives for a model and its twin, array by array."""
    models = twins(build(nn), build(tnn))
    for lib, model in zip((Ours, Theirs), models, strict=True):
        yield [host(a) for a in use(lib, model)]


def same_numbers(build, use, tolerance=1e-9):
    ours, theirs = both(build, use)
    assert len(ours) == len(theirs) > 0
    for got, want in zip(ours, theirs, strict=True):
        close(got, want, tolerance)
    return ours


def mlp(lib):
    return lib.Sequential(
        lib.Linear(3, 5),
        lib.LayerNorm(5),
        lib.Tanh(),
        lib.Linear(5, 4),
        lib.GELU(),
        lib.Linear(4, 1),
    )


def test_a_gradient_penalty_of_a_critic():
    """WGAN-GP: (‖∂ critic/∂x‖ − 1)² between real and generated points."""

    def use(lib, critic):
        real, fake, mix = (lib.tensor(draw(6, 3, seed=k)) for k in range(3))
        share = 1 / (1 + lib.square(mix[:, :1]))
        x = share * real + (1 - share) * fake
        x = lib.tensor(host(x), True)
        (slope,) = lib.grad(critic(x).sum(), x, create_graph=True)
        penalty = (((slope * slope).sum(1) ** 0.5 - 1) ** 2).mean()
        loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
        loss.backward()
        return [loss.detach(), *(p.grad for p in critic.parameters() if p.grad is not None)]

    assert len(same_numbers(mlp, use)) == 9  # every parameter has its gradient


def test_double_backpropagation():
    """‖∂y/∂x‖² of a model with LayerNorm, and its gradient at the parameters and at x."""

    def use(lib, model):
        x = lib.tensor(draw(4, 3), True)
        (slope,) = lib.grad(model(x).sum(), x, create_graph=True)
        penalty = (slope * slope).sum()
        parameters = list(model.parameters())
        found = lib.grad(penalty, [x, *parameters], allow_unused=True)
        return [penalty.detach(), *(g for g in found if g is not None)]

    assert len(same_numbers(mlp, use)) == 9  # of the last bias there is none


def test_a_mixed_block_of_the_hessian():
    """∂²L/∂W₁∂W₃ row by row, from either side."""

    def build(lib):
        return lib.Sequential(lib.Linear(2, 3), lib.Tanh(), lib.Linear(3, 2))

    def block(lib, model, outer, inner):
        x, y = lib.tensor(draw(5, 2)), lib.tensor(draw(5, 2, seed=1))
        parameters = dict(model.named_parameters())
        w, v = parameters[outer], parameters[inner]
        (g,) = lib.grad(((model(x) - y) ** 2).mean(), w, create_graph=True)
        rows = [lib.grad(e, v, retain_graph=True)[0] for e in g.reshape(-1)]
        return [np.stack([host(row).ravel() for row in rows])]

    names = "0.weight", "2.weight"
    (one,) = same_numbers(build, lambda lib, model: block(lib, model, *names))
    (other,) = same_numbers(build, lambda lib, model: block(lib, model, *names[::-1]))
    close(one, other.T, 1e-10)
    assert np.abs(one).max() > 1e-2


def test_a_hypergradient_through_unrolled_steps():
    """d validation loss / d log λ after five steps of gradient descent on loss + λ/2·‖w‖²."""

    def use(lib, _, power=-1.0, derivative=True):
        x, y, x_val, y_val = (lib.tensor(draw(6, n, seed=k)) for k, n in enumerate((3, 1, 3, 1)))
        log, w = lib.tensor(np.array(power), True), lib.tensor(draw(1, 3, seed=5), True)
        linear = mr.nn.functional.linear if lib is Ours else tnn.functional.linear
        for _ in range(5):
            loss = ((linear(x, w) - y) ** 2).mean() + 10**log / 2 * (w * w).sum()
            (g,) = lib.grad(loss, w, create_graph=True)
            w = w - 0.1 * g
        loss = ((linear(x_val, w) - y_val) ** 2).mean()
        return [loss.detach(), *(lib.grad(loss, log) if derivative else ())]

    _, slope = same_numbers(lambda lib: lib.Identity(), use)
    ahead, behind = (use(Ours, None, -1.0 + h, False)[0].item() for h in (1e-5, -1e-5))
    close(slope, (ahead - behind) / 2e-5, 1e-8)


def test_a_differential_equation():
    """u″ = −u with u(0) = 0 and u′(0) = 1, fitted by a network at 24 points of [0, π]: the sine."""

    def build(lib):
        return lib.Sequential(
            lib.Linear(1, 12), lib.Tanh(), lib.Linear(12, 12), lib.Tanh(), lib.Linear(12, 1)
        )

    start = [0.7 * draw(*p.shape, seed=k) for k, p in enumerate(build(nn).parameters())]

    def use(lib, model):
        for p, value in zip(model.parameters(), start, strict=True):
            p.data = lib.tensor(value).data
        points = np.linspace(0, np.pi, 24)[:, None]
        x = lib.tensor(points, True)
        optimizer = lib.adam(model.parameters(), lr=0.02)
        losses = []
        for step in range(400):
            if step == 300:
                optimizer.param_groups[0]["lr"] = 0.002
            optimizer.zero_grad()
            u = model(x)
            (slope,) = lib.grad(u.sum(), x, create_graph=True)
            (bend,) = lib.grad(slope.sum(), x, create_graph=True)
            loss = lib.square(bend + u).mean() + lib.square(u[0, 0]) + lib.square(slope[0, 0] - 1)
            loss.backward()
            optimizer.step()
            losses.append(host(loss.detach()))
        error = np.abs(host(model(x).detach()) - np.sin(points)).max()
        return [np.array(losses[:50]), error]

    (losses, error), (their_losses, their_error) = both(build, use)
    close(losses, their_losses, 1e-8)
    assert max(error, their_error) < 0.01
