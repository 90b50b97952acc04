"""The L2 penalty and weight decay."""

from collections.abc import Iterator

import numpy as np

import minireg as mr
from minireg.claims import Figure, breaks, claim, corrects, holds


@claim(
    "C22", "TRUE", "000 引理 10.17; 001 eq. 9.3.7; 002 §L2惩罚; 003 §最简单的约束",
    "Gradient of the L2 penalty (L2正则化的梯度)",
    "(λ/2)‖θ‖² has the gradient λθ, which adds to the gradient of the data loss.",
)  # fmt: skip
def l2_gradient() -> Iterator[Figure]:
    """∂/∂θ_j ½λ Σ θ_k² = λθ_j; a derivative of a sum is the sum of the derivatives."""
    rng = np.random.default_rng(0)
    w = mr.tensor(rng.standard_normal((5, 4)), requires_grad=True)
    penalty = mr.penalties.L2(0.3)
    (gradient,) = mr.grad(penalty.value(w), [w])
    yield holds("|autograd − λθ|", abs(gradient.data - 0.3 * w.data).max(), at_most=1e-12)
    x, y = rng.standard_normal((20, 4)), rng.standard_normal((20, 5))
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": penalty})
    model = mr.nn.Linear(4, 5, bias=False, dtype=np.float64)
    terms = objective(model, mr.tensor(x), mr.tensor(y))
    terms.backward()
    shares = [share["weight"] for share in terms.gradients.values()]
    total = model.weight.grad.data
    yield holds("|total − Σ terms|", abs(total - sum(shares)).max(), at_most=1e-12)


@claim(
    "C27", "FALSE AS STATED", "004 §举个例子",
    "A worked example (往回拉2%)",
    "With η = 0.01, λ = 0.1 and the penalty λ‖θ‖², a step pulls a weight back by 2 %.",
    corrected="It pulls back by 2ηλ = 0.2 %; 2 % needs λ = 1.",
)  # fmt: skip
def worked_example() -> Iterator[Figure]:
    """One step of SGD on λ‖θ‖² is θ − η·2λθ = (1 − 2ηλ)θ, and 2·0.01·0.1 = 0.002."""
    w = mr.nn.Parameter(np.array([5.0]))
    optimizer = mr.optim.SGD([w], lr=0.01)
    (0.1 * (w * w)).sum().backward()
    optimizer.step()
    pulled = 1 - w.data[0] / 5
    yield breaks("share of 2 % that is reached", pulled / 0.02, at_most=0.5)
    yield corrects("|pull − 0.2 %|", abs(pulled - 0.002), at_most=1e-15)
