"""Second derivatives from some of the inputs: a result keeps its dependence on all of them."""

import numpy as np
import pytest

import minireg as mr
from minireg.nn import functional as F  # noqa: N812


def test_a_gradient_at_one_input_still_depends_on_the_others():
    x = mr.tensor(np.ones((2, 3)), requires_grad=True)
    w = mr.tensor(np.ones((1, 3)), requires_grad=True)
    (gw,) = mr.grad((F.linear(x, w) ** 2).sum(), w, create_graph=True)
    (gx,) = mr.grad(gw.sum(), x)
    assert np.array_equal(gx.numpy(), np.full((2, 3), 12.0))


@pytest.mark.parametrize(
    "layer", [mr.nn.Linear(2, 3), mr.nn.LayerNorm(2), mr.nn.GELU("tanh")], ids=str
)
def test_a_fused_result_may_be_the_target(layer):
    h = layer.to(np.float64)(mr.tensor(np.array([[1.0, 2.0]]), requires_grad=True))
    (g,) = mr.grad((h * h).sum(), h, create_graph=True)
    assert np.array_equal(g.numpy(), 2 * h.numpy())
