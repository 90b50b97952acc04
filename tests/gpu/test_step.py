"""What a training step costs a GPU: no waiting at all, and so many kernels.

Counted on the stand-in of ``strict.py``. That the counters count is tested by planting, in
the package, what they are there to find.
"""

from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw
from support.device import OPTIMIZER_CASES, OPTIMIZERS
from support.gpu import HOME, on_gpu
from support.strict import count_launches, count_syncs, kernel, xp

import minireg as mr
from minireg import nn, optim, penalties
from minireg.nn import functional as F  # noqa: N812


@pytest.fixture(autouse=True)
def _registered():
    with strict.registered():
        yield


TERMS = {
    "l2": penalties.L2(penalties.Coefficient(lambda t: 1e-3 / (1 + t))),
    "l1": mr.Term(penalties.L1(1e-4), via="prox"),
    "group": (penalties.GroupLasso(1e-3), "0.weight"),
    "spectral": (penalties.SpectralNorm(1e-2), "4.weight"),
}


class Step:
    """One training step with everything in it; call it again and again."""

    def __init__(
        self, optimizer: str = "AdamW", attribute: bool = True, ledger: bool = False, home: str = "strict",
        **options: Any,
    ) -> None:  # fmt: skip
        mr.manual_seed(0)
        with mr.use_backend(home):
            self.model = nn.Sequential(
                nn.Linear(6, 8), nn.BatchNorm(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
            )
        self.x = mr.tensor(draw(16, 6), np.float32, backend=home)
        self.y = mr.tensor(np.arange(16) % 3, backend=home)
        self.objective = mr.Objective(nn.CrossEntropyLoss(label_smoothing=0.1), TERMS)
        self.optimizer = getattr(optim, optimizer)(self.model.parameters(), lr=1e-2, **options)
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 10)
        self.objective.bind(self.model).attach(self.optimizer)
        self.ledger = mr.Ledger(self.optimizer, accumulate=True) if ledger else None
        self.attribute = attribute

    def __call__(self) -> mr.Tensor:
        self.optimizer.zero_grad()
        terms = self.objective(self.model, self.x, self.y)
        terms.backward(self.attribute)
        total = terms.total
        optim.clip_grad_norm_(self.model.parameters(), 0.5)
        self.optimizer.step()
        self.objective.step()
        self.schedule.step()
        return total


WAYS = {"plain": (False, False), "by term": (True, False), "ledger": (True, True)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "i"), OPTIMIZER_CASES)
def test_a_step_waits_for_nothing(name, i, way):
    step = Step(name, *WAYS[way], **OPTIMIZERS[name][i])
    step()  # the spectral norm looks at its weight for the first time
    with count_syncs() as syncs:
        totals = [step() for _ in range(2)]
    assert not syncs
    assert all(np.isfinite(total.item()) for total in totals)
    if step.ledger is not None:
        assert step.ledger.whole.residual < 1e-4
        assert step.ledger.last.residual < 1e-4


def test_a_first_step_waits_for_nothing_either():
    """A decomposition is asked for its factors; nothing looks at them."""
    with count_syncs() as syncs:
        Step()()
    assert not syncs


@on_gpu
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "i"), OPTIMIZER_CASES)
def test_a_step_on_a_device(name, i, way):
    step = Step(name, *WAYS[way], home=HOME, **OPTIMIZERS[name][i])
    assert all(np.isfinite(step().item()) for _ in range(3))
    assert step.ledger is None or step.ledger.last.residual < 1e-4


# --- planted leaks --------------------------------------------------------------------------------

L2, L1 = penalties.L2, penalties.L1


def _clip_by_number(parameters: Any, max_norm: float) -> None:
    norm = sum(float((p.grad.data**2).sum()) for p in parameters) ** 0.5
    for p in parameters:
        p.grad.data[...] *= min(1.0, max_norm / norm)


def _leaky_dropout(x: Any, p: float, training: bool, generator: Any) -> Any:
    mask = (generator.uniform(0, 1, x.shape) > x.data.get()).astype(np.float32)
    return x * mr.Tensor(xp.asarray(mask))


LEAKS: dict[str, tuple[Any, str, Any, str]] = {
    "np.asarray of a device array": (
        L2, "gradient", lambda self, w, out=None: self.strength * np.asarray(w), "implicit conversion"),
    "np.array of them": (
        L1, "prox", lambda self, v, step: np.array([v, v])[0], "implicit conversion"),
    "an array made on the host": (
        L2, "value", lambda self, w: (np.ones(w.shape) * w).sum(), "unsupported"),
    "a keyword that CuPy lacks": (
        L1, "value", lambda self, w: np.sum(np.abs(w), where=True), r"CuPy has no sum\(where"),
    "a function that CuPy lacks": (
        L1, "value", lambda self, w: np.vecdot(w, w).sum(), "CuPy has no vecdot"),
    "reduce of a ufunc": (
        L1, "value", lambda self, w: np.add.reduce(np.abs(w).reshape(-1)), "all returned NotImplemented"),
    "float()": (optim, "clip_grad_norm_", _clip_by_number, "float()"),
    "if": (
        L2, "gradient", lambda self, w, out=None: self.strength * w if (w != 0).any() else w, "bool()"),
    "item()": (
        L2, "value", lambda self, w: 0.5 * (w * w).sum() * (1 + 0 * w.sum().item()), "item()"),
    "get()": (F, "dropout", _leaky_dropout, "get()"),
    "a mask as index": (
        L1, "prox", lambda self, v, step: v.__setitem__(v > 1, 1.0) or v, "boolean index"),
    "nonzero": (
        L1, "value", lambda self, w: np.abs(w).sum() + 0 * np.flatnonzero(w).sum(), "flatnonzero"),
}  # fmt: skip
REFUSED = ("implicit conversion", "unsupported", "CuPy has no", "all returned NotImplemented")


@pytest.mark.parametrize("leak", LEAKS)
def test_planted_leak_is_caught(leak, monkeypatch):
    owner, name, planted, sign = LEAKS[leak]
    step = Step(attribute=False)
    step()
    monkeypatch.setattr(owner, name, planted)
    if sign.startswith(REFUSED):
        with pytest.raises(TypeError, match=sign):
            step()
        return
    with count_syncs() as syncs:
        step()
    assert {s.partition(" at ")[0] for s in syncs} == {sign}


# --- launches -------------------------------------------------------------------------------------

X, Y = draw(4, 6), draw(4, 6, seed=1)
LAUNCHES: dict[str, tuple[Any, dict[str, int]]] = {
    "ufunc": (lambda x, y: np.exp(x) + y, {"exp": 1, "add": 1}),
    "into": (lambda x, y: np.add(x, y, out=x), {"add": 1}),
    "in place": (lambda x, y: x.__imul__(2.0), {"multiply": 1}),
    "views": (lambda x, y: (x.T, x[0], x.reshape(6, 4), x.reshape(-1)[::2], np.expand_dims(x, 0),
                            np.broadcast_to(x, (2, 4, 6)), np.moveaxis(x, 0, 1), np.split(x, 2),
                            x.astype(x.dtype, copy=False)), {}),
    "a reshape that copies": (lambda x, y: x.T.reshape(-1), {"reshape": 1}),
    "copies": (lambda x, y: (x.copy(), x.astype(np.float32), xp.asarray(X)),
               {"copy": 1, "astype": 1, "copy to the device": 1}),
    "reductions": (lambda x, y: (x.sum(axis=0), np.mean(x), x.max(), x.var()),
                   {"sum": 1, "mean": 1, "max": 1, "var": 2}),
    "matmul": (lambda x, y: x @ y.T, {"matmul": 1}),
    "made": (lambda x, y: (np.zeros_like(x), xp.arange(3), np.empty_like(x), xp.empty((2,))),
             {"zeros_like": 1, "arange": 1}),
    "indexed": (lambda x, y: (x[xp.asarray([0, 1])], x.__setitem__(0, 1.0), xp.add.at(x, 0, 1.0)),
                {"copy to the device": 1, "take": 1, "assign": 1, "add.at": 1}),
    "joined": (lambda x, y: np.concatenate([x, y, x]), {"concatenate": 3}),
    "drawn": (lambda x, y: xp.random.default_rng(0).random((3,)), {"random": 1}),
    "chosen": (lambda x, y: np.where(x > 0, x, y), {"greater": 1, "where": 1}),
}  # fmt: skip


@pytest.mark.parametrize("what", LAUNCHES)
def test_launches_are_counted(what):
    run, expected = LAUNCHES[what]
    x, y = xp.asarray(X), xp.asarray(Y)
    with count_launches() as launches:
        run(x, y)
    assert launches == expected


def test_a_fused_kernel_counts_as_what_it_is():
    x = xp.asarray(X)
    with count_launches() as launches:
        with kernel("norm", launches=2):
            with kernel("inner"):
                x -= x.mean()
            x /= np.sqrt((x * x).mean())
        x + 1
    assert launches == {"norm": 2, "add": 1}
    with count_launches() as launches:
        pass
    assert not launches
