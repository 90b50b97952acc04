"""Log a training to TensorBoard, each term of the objective, without an adapter.

python examples/logging_.py [FOLDER]; then tensorboard --logdir FOLDER (by default runs/logging)
"""

import sys

import minireg as mr

try:
    from tensorboard.summary import Writer
except ImportError:
    sys.exit("this example needs TensorBoard: pip install tensorboard")

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/logging"
writer = Writer(folder)


def log(row, model):
    """A row is flat, names to numbers; True ends the training."""
    for name, value in row.items():
        writer.add_scalar(name, value, int(row["epoch"]))
    return row["zeros"] > row["weights"] / 2


mr.manual_seed(0)
data = mr.datasets.load("wine", noise=0.2)
model = mr.nn.Sequential(mr.nn.Linear(13, 32), mr.nn.ReLU(), mr.nn.Linear(32, 3))
terms = {"l2": mr.penalties.L2(1e-2), "l1": mr.Term(mr.penalties.L1(1e-2), via="prox")}
objective = mr.Objective(mr.nn.CrossEntropyLoss(), terms)
optimizer = mr.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
history = mr.fit(model, objective, optimizer, data.train, data.validation, on_epoch=log)
writer.close()
assert history.stopped == "hook", "half of the weights are zero before the epochs end"
print(f"{len(history)} epochs of {len(history.rows[0])} figures, until half of the weights were 0")
print("share of the gradient:", {t: round(history.last[f"share/{t}"], 2) for t in history.terms})
print(f"look at them: tensorboard --logdir {folder}")
