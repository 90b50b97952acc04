"""What regularization costs: books by term, penalties against PyTorch and bare NumPy, and a
convolutional step against PyTorch eager on the same CPU, all float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import minireg as mr
from minireg import penalties

from .step import network
from .timing import Pair, side_by_side

SHAPES = (784, 512), (512, 512), (512, 10)
TERMS: dict[str, tuple[float, dict[str, penalties.Penalty]]] = {
    "data+l2+l1+group": (0.0, {
        "l2": penalties.L2(1e-3), "l1": penalties.L1(1e-4), "group": penalties.GroupLasso(1e-4)}),
    "data+smoothing+l2+l1": (0.1, {"l2": penalties.L2(1e-3), "l1": penalties.L1(1e-4)}),
}  # fmt: skip
"""Label smoothing and penalties by the name of the set."""


def _booked_step(terms: str, attribute: bool, **ledger: bool) -> Callable[[], None]:
    """The step of :mod:`.step` with penalties; with ``accumulate`` or without it under a Ledger."""
    rng = np.random.default_rng(0)
    x, y = mr.tensor(rng.normal(size=(128, 784)).astype(np.float32)), rng.integers(0, 10, 128)
    model, (smoothing, chosen) = network(mr.nn), TERMS[terms]
    optimizer = mr.optim.AdamW(model.parameters(), lr=1e-3)
    objective = mr.Objective(mr.nn.CrossEntropyLoss(label_smoothing=smoothing), chosen)
    if ledger:
        mr.Ledger(optimizer, **ledger)

    def run() -> None:
        optimizer.zero_grad()
        objective(model, x, y).backward(attribute=attribute)
        optimizer.step()

    return run


def _spectral_norm(shape: tuple[int, int]) -> tuple[Callable[[], None], Callable[[], None]]:
    """Value and gradient of ‖W‖₂ of a weight that moves a little before each call."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=shape).astype(np.float32) / np.float32(shape[0] ** 0.5)
    move = 1e-3 * w.std() * rng.normal(size=shape).astype(np.float32)
    ours, theirs = mr.tensor(w.copy(), requires_grad=True), torch.tensor(w, requires_grad=True)
    steps, penalty = (move, torch.tensor(move)), penalties.SpectralNorm(1.0)

    def run() -> None:
        ours.grad = None
        np.add(ours.data, steps[0], out=ours.data)
        np.negative(steps[0], out=steps[0])
        penalty(ours).backward()

    def peer() -> None:
        theirs.grad = None
        theirs.data.add_(steps[1])
        steps[1].neg_()
        torch.linalg.matrix_norm(theirs, 2).backward()

    return run, peer


def _elementwise() -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """A penalty's gradient added to one that is there, and the same passes into kept buffers."""
    w = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
    total, out = np.zeros_like(w), np.empty_like(w)

    def l2() -> None:
        np.multiply(w, 0.3, out=out)
        np.add(total, out, out=total)

    def l1() -> None:
        np.sign(w, out=out)
        np.multiply(out, 0.3, out=out)
        np.add(total, out, out=total)

    def elastic() -> None:
        l1()
        l2()

    return {
        "L2": (lambda: penalties.L2(0.3).add_gradient(w, total), l2),
        "L1": (lambda: penalties.L1(0.3).add_gradient(w, total), l1),
        "ElasticNet": (lambda: penalties.ElasticNet(0.3, 0.3).add_gradient(w, total), elastic),
    }


def _hessian() -> tuple[dict[str, Callable[[], object]], Callable[[], object]]:
    """Exact Hessian-vector products of the network of :mod:`.step`, and its gradient."""
    rng = np.random.default_rng(0)
    x, y = mr.tensor(rng.normal(size=(128, 784)).astype(np.float32)), rng.integers(0, 10, 128)
    model, loss = network(mr.nn), mr.nn.CrossEntropyLoss(label_smoothing=0.1)
    for layer in model:
        layer.train(not isinstance(layer, mr.nn.Dropout))
    params = list(model.parameters())
    v = [rng.normal(size=p.shape).astype(np.float32) for p in params]
    operator = mr.curvature.Hessian(lambda: loss(model(x), y), params)
    products: dict[str, Callable[[], object]] = {
        "hvp": lambda: mr.curvature.hvp(lambda: loss(model(x), y), params, v),
        "hvp, recorded once": lambda: operator @ v,
    }
    return products, lambda: mr.grad(loss(model(x), y), params)


def _convolution(library: Any, nn: Any, x: Any, y: Any) -> Callable[[], None]:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 10),
    )  # fmt: skip
    loss, optimizer = nn.CrossEntropyLoss(), library.optim.SGD(model.parameters(), lr=0.01)

    def run() -> None:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return run


def _show(pair: Pair, ours: str, theirs: str) -> float:
    print(f"{pair.name:28} {ours} {pair.ours * 1e3:7.3f} ms   {theirs} {pair.theirs * 1e3:7.3f} ms   "
          f"ratio {pair.ratio:.3g}")  # fmt: skip
    return pair.ratio


def run() -> dict[str, Any]:
    """Measure the four of them; returns the record of ratios."""
    record: dict[str, Any] = {"threads": torch.get_num_threads()}
    ways: dict[str, dict[str, bool]] = {
        "by term": {}, "Ledger": {"accumulate": False}, "Ledger, all steps": {"accumulate": True},
    }  # fmt: skip
    for terms in TERMS:
        print(f"one step of an MLP 784-512-512-10, {terms}")
        plain = _booked_step(terms, False)
        for way, options in ways.items():
            pair = side_by_side(way, _booked_step(terms, True, **options), plain, 10, 11)
            record[f"{terms}, {way}"] = _show(pair, "with  ", "without")
    print("value and gradient of ‖W‖₂, warm")
    for shape in SHAPES:
        name = "×".join(map(str, shape))
        pair = side_by_side(name, *_spectral_norm(shape), 2, 7, pause=0.05)
        record[f"SpectralNorm {name}"] = _show(pair, "minireg", "PyTorch")
    print("gradient of a penalty on 512×512, added in place")
    for name, (ours, theirs) in _elementwise().items():
        record[name] = _show(side_by_side(name, ours, theirs, 100, 11), "minireg", "NumPy  ")
    print("one exact Hessian-vector product of the MLP, BatchNorm and smoothing, batch 128")
    products, gradient = _hessian()
    for name, product in products.items():
        pair = side_by_side(name, product, gradient, 5, 11)
        record[name] = _show(pair, "product", "gradient")
    print("one step of a convolutional network 1×28×28, batch 32, SGD")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, 32)
    ours = _convolution(mr, mr.nn, mr.tensor(x), y)
    theirs = _convolution(torch, torch.nn, torch.tensor(x), torch.tensor(y))
    pair = side_by_side("convolutions", ours, theirs, 20, 11)
    record["convolutions"] = _show(pair, "minireg", "PyTorch")
    return record
