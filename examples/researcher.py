"""A penalty of your own on data of your own: written, checked, trained, compared.

python examples/researcher.py
"""

import tempfile
from pathlib import Path

import numpy as np

import minireg as mr


class ReverseHuber(mr.penalties.Penalty):
    """λ Σ |w| up to 1, then (w² + 1)/2: L1 for small weights, ridge for large ones."""

    strength = mr.penalties.Strength()

    def __init__(self, strength):
        self.strength = strength

    def value(self, w):
        """λ Σ |w|, or (w² + 1)/2 beyond 1."""
        return self.strength * np.where(np.abs(w) <= 1, np.abs(w), (w * w + 1) / 2).sum()

    def prox(self, v, step):
        """The soft threshold up to 1 + tλ, v/(1 + tλ) beyond."""
        k = step * self.strength
        return np.where(np.abs(v) <= 1 + k, np.sign(v) * np.maximum(np.abs(v) - k, 0), v / (1 + k))


report = mr.check_penalty(ReverseHuber(0.5))  # value, prox, gradients, search, every optimizer
assert report, report

# A table as one has it: numbers, a column of texts, the target; here most columns mean nothing.
rng = np.random.default_rng(0)
lines = [",".join(["area", "city", *(f"noise{i}" for i in range(9)), "price"])]
for city in rng.choice(["Bern", "Graz", "Lyon"], 300):
    area, *noise = rng.uniform(30, 150), *rng.normal(size=9)
    price = 4 * area + 90 * (city == "Lyon") + rng.normal(0, 20)
    lines.append(",".join(map(str, [area, city, *noise, price])))
with tempfile.TemporaryDirectory() as folder:
    (file := Path(folder) / "homes.csv").write_text("\n".join(lines), encoding="utf-8")
    print(data := mr.datasets.read(file, "price", seed=1))

zeros = {}  # λ → features whose weight its prox has made exactly 0
for strength in (0.0, 0.01, 0.03, 0.1, 0.3):
    mr.manual_seed(0)
    model = mr.nn.Linear(data.x_train.shape[1], 1)
    objective = mr.Objective(mr.nn.MSELoss(), {"own": mr.Term(ReverseHuber(strength), via="prox")})
    sgd = mr.optim.SGD(model.parameters(), lr=0.05)
    history = mr.fit(model, objective, sgd, data.train, data.validation, epochs=40)
    loss = history.last["validation_loss"]
    zeros[strength] = {data.feature_names[i] for i in np.flatnonzero(model.weight.numpy()[0] == 0)}
    print(f"λ = {strength:4}: validation loss {loss:.4f}, {len(zeros[strength]):2} weights are 0")
kept = {*data.feature_names} - zeros[0.1]
print("kept at λ = 0.1:", *sorted(kept))
assert {"area", "city=Lyon"} <= kept
assert len(zeros[0.1]) > 7 > 0 == len(zeros[0.0])
