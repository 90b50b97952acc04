"""mr.jacobian: its laws, hand-made derivatives, what does not depend, and misuse."""

import numpy as np
import pytest
from support.arrays import draw

import minireg as mr
from minireg import nn


def by_differences(fn, x, eps=1e-6):
    """∂fn/∂x from values alone."""
    rows = []
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = eps
        ahead, behind = (fn(mr.Tensor(x + sign * e)).numpy() for sign in (1, -1))
        rows.append((ahead - behind) / (2 * eps))
    return np.moveaxis(np.array(rows), 0, -1).reshape(*rows[0].shape, *x.shape)


def network():
    mr.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2)).double()


FUNCTIONS = {
    "elementwise": (mr.exp, (3,)),
    "one number": (lambda x: (x * x).sum(), (2, 3)),
    "of one number": (lambda x: x * mr.tensor(np.arange(3.0)), ()),
    "more out than in": (lambda x: mr.outer(x, x), (3,)),
    "a view": (lambda x: x.T[1:], (2, 3)),
    "a module": (network(), (5, 3)),
    "batch norm": (nn.BatchNorm(3).double(), (4, 3)),
}


@pytest.mark.parametrize("label", FUNCTIONS)
def test_it_is_the_matrix_of_differences(label):
    fn, shape = FUNCTIONS[label]
    x = draw(*shape)
    found = mr.jacobian(fn, x)
    assert isinstance(found, mr.Tensor)
    assert not found.requires_grad
    np.testing.assert_allclose(found.numpy(), by_differences(fn, x), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("label", FUNCTIONS)
def test_a_weighted_sum_of_rows_is_the_gradient(label):
    """vᵀJ is what one backward pass computes."""
    fn, shape = FUNCTIONS[label]
    x = mr.Tensor(draw(*shape), requires_grad=True)
    y = fn(x)
    v = draw(*y.shape, seed=1)
    (g,) = mr.grad(y, x, v)
    rows = mr.jacobian(fn, x).numpy()
    np.testing.assert_allclose(np.tensordot(v, rows, v.ndim), g.numpy(), rtol=1e-12, atol=1e-14)


def test_the_jacobian_of_a_product_is_the_matrix():
    a = draw(2, 3)
    np.testing.assert_array_equal(mr.jacobian(lambda x: a @ x, draw(3)).numpy(), a)


def test_the_chain_rule_multiplies():
    inner, outer, x = lambda x: mr.tanh(x) * x.sum(), lambda y: mr.outer(y, y).ravel(), draw(3)
    whole = mr.jacobian(lambda x: outer(inner(x)), x).numpy()
    parts = mr.jacobian(outer, inner(mr.Tensor(x))).numpy() @ mr.jacobian(inner, x).numpy()
    np.testing.assert_allclose(whole, parts, rtol=1e-12)


def test_of_a_gradient_it_is_the_hessian():
    x = mr.Tensor(draw(4), requires_grad=True)
    f = lambda x: (x**3).sum() + mr.exp(x[0] * x[1])
    hessian = mr.jacobian(lambda x: mr.jacobian(f, x, create_graph=True), x).numpy()
    np.testing.assert_array_equal(hessian, hessian.T)
    np.testing.assert_allclose(hessian, mr.curvature.hessian(lambda: f(x), x), rtol=1e-13)


def test_several_inputs_and_outputs():
    a, b = draw(3), draw(3, seed=1)
    by_a, by_b = mr.jacobian(lambda a, b: a * b, (a, b))
    np.testing.assert_array_equal(by_a.numpy(), np.diag(b))
    np.testing.assert_array_equal(by_b.numpy(), np.diag(a))
    (alone,) = mr.jacobian(mr.exp, (a,))
    np.testing.assert_array_equal(alone.numpy(), mr.jacobian(mr.exp, a).numpy())
    total, size = mr.jacobian(lambda a: (a.sum(), a * a), a)
    np.testing.assert_array_equal(total.numpy(), np.ones(3))
    np.testing.assert_array_equal(size.numpy(), np.diag(2 * a))
    found = mr.jacobian(lambda a, b: (a.sum(), b.sum()), (a, b))
    assert [[float(part.numpy().sum()) for part in row] for row in found] == [[3, 0], [0, 3]]


def test_what_has_no_influence_has_zeros():
    x = draw(2, 3)
    for fn in (
        lambda x: mr.tensor(np.ones(4)),
        lambda x: x.argmax(axis=0),
        lambda x: x.detach()[0],
    ):
        found = mr.jacobian(fn, x)
        assert found.dtype == x.dtype
        assert found.shape[-2:] == x.shape
        assert not found.numpy().any()
    assert mr.jacobian(lambda x: x[:0], x).shape == (0, 3, 2, 3)
    assert mr.jacobian(lambda x: x.sum(axis=1), np.ones((2, 0))).shape == (2, 2, 0)


def test_the_same_tensor_twice_is_two_inputs():
    x = mr.Tensor(draw(3), requires_grad=True)
    first, second = mr.jacobian(lambda a, b: a * b * b, (x, x))
    np.testing.assert_allclose(first.numpy(), np.diag(x.numpy() ** 2))
    np.testing.assert_allclose(second.numpy(), np.diag(2 * x.numpy() ** 2))


def test_what_the_function_reads_elsewhere_is_constant():
    x = mr.Tensor(draw(3), requires_grad=True)
    for create_graph in (False, True):
        found = mr.jacobian(lambda a: a * x, x, create_graph).numpy()
        np.testing.assert_array_equal(found, np.diag(x.numpy()))


def test_nothing_else_changes():
    model, x = network(), mr.Tensor(draw(2, 3), requires_grad=True)
    before = x.numpy().copy()
    with mr.no_grad():
        found = mr.jacobian(model, x)
    assert x.grad is None
    assert all(p.grad is None for p in model.parameters())
    np.testing.assert_array_equal(x.numpy(), before)
    assert found.numpy().any()


def test_a_recorded_jacobian_leads_on_to_x_and_to_what_the_function_reads():
    """½‖J‖² of a product: J = diag(w), so the derivative is w at w and 0 at x."""
    w, x = (mr.Tensor(draw(3, seed=s), requires_grad=True) for s in (0, 1))
    found = mr.jacobian(lambda x: w * x, x, create_graph=True)
    at_w, at_x = mr.grad(0.5 * (found * found).sum(), (w, x), allow_unused=True)
    np.testing.assert_array_equal(at_w.numpy(), w.numpy())
    assert at_x is None or not at_x.numpy().any()
    cube = mr.jacobian(lambda x: x**3, x, create_graph=True)
    (slope,) = mr.grad(cube.sum(), x)
    np.testing.assert_allclose(slope.numpy(), 6 * x.numpy())


def test_dtypes_and_layouts():
    for dtype in (np.float16, np.float32, np.float64):
        x = np.asfortranarray(np.ones((2, 3), dtype))
        assert mr.jacobian(mr.exp, x).dtype == dtype
    x = np.asfortranarray(draw(2, 3))
    np.testing.assert_array_equal(
        mr.jacobian(lambda x: x.T, x).numpy().sum((0, 1)), np.ones((2, 3))
    )
    assert mr.jacobian(lambda x: 2 * x, 1.5).item() == 2


MISUSE = {
    "a result": (lambda: mr.jacobian(mr.tensor(1.0), mr.tensor(1.0)), "fn must be a function of Ten.*Tensor"),
    "an array": (lambda: mr.jacobian(lambda x: x.numpy(), [1.0]), "fn must return a Tensor.*ndarray"),
    "nothing": (lambda: mr.jacobian(lambda x: None, [1.0]), "fn must return a Tensor.*None"),
    "integers": (lambda: mr.jacobian(mr.exp, [1, 2]), "dtype int64, expected a floating type"),
    "words": (lambda: mr.jacobian(mr.exp, ["a"]), "jacobian: x must be numbers"),
}  # fmt: skip


@pytest.mark.parametrize("label", MISUSE)
def test_misuse(label):
    call, message = MISUSE[label]
    with pytest.raises(TypeError, match=message):
        call()
