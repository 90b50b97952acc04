"""For a lecture on L1, L2 and AdamW: the figures behind four slides, the same with every run.

    python examples/lecturer.py

With pictures: ``minireg lesson 5``, ``3`` and ``10``; a plan by the minute is in docs/teaching.md.
"""

from functools import partial

import numpy as np

import minireg as mr
from minireg.tables import Column, Table

data = mr.datasets.load("diabetes", seed=1)
x, y = (a.astype(np.float64) for a in data.train)


def trained(optimizer_of, penalty=None, via="gradient"):
    """A linear model and its ledger after 80 epochs."""
    mr.manual_seed(0)
    model = mr.nn.Linear(x.shape[1], 1)
    optimizer = optimizer_of(model.parameters())
    terms = {"penalty": mr.Term(penalty, via=via)} if penalty else {}
    ledger = mr.Ledger(optimizer, model, accumulate=True)  # all steps of an epoch together
    objective = mr.Objective(mr.nn.MSELoss(), terms)
    mr.fit(model, objective, optimizer, (x, y), epochs=80, batch_size=len(x), ledger=ledger)
    return model, ledger


sgd = partial(mr.optim.SGD, lr=0.1)
# Slide 1: L1 makes zeros, L2 makes small. Only the prox makes them exact.
runs = {
    "L2": trained(sgd, mr.penalties.L2(0.3)),
    "L1 by its subgradient": trained(sgd, mr.penalties.L1(0.3)),
    "L1 by its prox": trained(sgd, mr.penalties.L1(0.3), via="prox"),
}
sizes = {name: abs(model.weight.numpy()) for name, (model, _) in runs.items()}
rows = [(name, int((w == 0).sum()), float(w.max())) for name, w in sizes.items()]
print(Table(["penalty", Column("zeros", "d"), Column("largest |w|", "")], rows), "\n")
zeros = dict(row[:2] for row in rows)
assert zeros["L2"] == zeros["L1 by its subgradient"] == 0 < zeros["L1 by its prox"]

# Slide 2: the lasso's path: which measurement comes in when.
path = mr.path(mr.nn.Linear(10, 1, bias=False), mr.nn.MSELoss(), mr.penalties.L1(1.0), x, y, 12)
print("non-zero weights as λ falls:", path.nonzero, "\n")  # path.draw() is the picture
assert (path.nonzero[0], path.nonzero[-1]) == (0, 10)

# Slide 3: who moved the weights, epoch by epoch: the data make them grow, the penalty holds them.
_, ledger = runs["L2"]
rows = [[row[c] for c in ("epoch", "growth/data", "growth/penalty")] for row in ledger.history]
columns = [Column("epoch", "d"), Column("data", "+.2%"), Column("L2", "+.2%")]
print(Table(columns, [rows[i] for i in (0, 4, 19, 79)], title="growth of ‖w‖ by"), "\n")
assert abs(rows[-1][1] + rows[-1][2]) < 1e-3  # in the end they balance

# Slide 4: under Adam an L2 term decays each weight at a rate of its own; AdamW decays all alike.
_, ledger = trained(partial(mr.optim.Adam, lr=1e-2), mr.penalties.L2(0.3))
rates = ledger.last["weight"].effective_decay("penalty")
print(f"decay of a step under Adam with L2: {rates.min():.1e} … {rates.max():.1e}; AdamW: one rate")
assert rates.max() > 2 * rates.min()
