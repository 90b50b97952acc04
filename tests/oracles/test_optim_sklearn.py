"""Accelerated proximal gradient against scikit-learn's coordinate descent on the diabetes data."""

from typing import Any

import numpy as np
import pytest

import minireg as mr
from minireg import nn, optim
from minireg.penalties import L1, ElasticNet, Penalty

linear_model = pytest.importorskip("sklearn.linear_model")
CERTIFICATE = 1e-8

# label: (penalty, scikit-learn's estimator of the same objective, at least how much sooner)
PROBLEMS: dict[str, tuple[Penalty, Any, float]] = {
    "lasso": (L1(0.05), linear_model.Lasso(alpha=0.05), 2.5),
    "faint lasso": (L1(1e-3), linear_model.Lasso(alpha=1e-3), 10),
    "elastic net": (ElasticNet(0.02, 1e-3), linear_model.ElasticNet(0.021, l1_ratio=0.02 / 0.021), 3),
}  # fmt: skip


@pytest.fixture(scope="module")
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    bunch = pytest.importorskip("sklearn.datasets").load_diabetes()
    return tuple((a - a.mean(axis=0)) / a.std(axis=0) for a in (bunch.data, bunch.target))


def solve(data: Any, penalty: Penalty, accelerated: bool, via: str = "penalty") -> tuple[Any, int]:
    """(coefficients, steps) once the certificate holds, by the ordinary training loop."""
    x, y = data
    model = nn.Linear(x.shape[1], 1, bias=False, dtype=np.float64)
    model.weight.assign(0.0)
    terms = {} if via == "penalty" else {"penalty": (penalty, None, via)}
    rate = len(y) / np.linalg.norm(x, 2) ** 2  # 1/L of ½·mean square
    optimizer = optim.ProximalGradient(
        model.parameters(), rate, penalty if via == "penalty" else None, accelerated
    )
    objective = mr.Objective(HalfMSE(), terms).bind(model).attach(optimizer)
    for step in range(100_000):
        state = optimizer.state.get(model.weight, {})
        w = state.get("x", model.weight.data)
        gradient = (x @ w[0] - y) @ x / len(y)
        if penalty.subdiff_distance(w[0], gradient) < CERTIFICATE:
            return w[0].copy(), step
        optimizer.zero_grad()
        objective(model, mr.Tensor(x), y[:, None]).backward()
        optimizer.step()
    raise AssertionError("no certificate")


class HalfMSE(nn.MSELoss):
    """scikit-learn's scaling."""

    def forward(self, output: Any, target: Any) -> Any:
        return 0.5 * super().forward(output, target)


@pytest.mark.slow
@pytest.mark.parametrize("via", ["penalty", "prox"])
@pytest.mark.parametrize("label", PROBLEMS)
def test_accelerated_steps_find_the_coefficients_of_sklearn_sooner(label, via, diabetes):
    """51, 168 and 74 steps instead of 141, 2577 and 265."""
    penalty, estimator, sooner = PROBLEMS[label]
    estimator.set_params(fit_intercept=False, tol=1e-14, max_iter=100_000)
    expected = estimator.fit(*diabetes).coef_
    found, steps = solve(diabetes, penalty, True, via)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found == 0, expected == 0)
    slow, plain = solve(diabetes, penalty, False, via)
    np.testing.assert_allclose(slow, expected, rtol=0, atol=1e-6)
    assert plain > sooner * steps, f"{plain} plain steps, {steps} accelerated"
