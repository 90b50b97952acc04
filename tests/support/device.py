"""Cases that run on any backend: each ``run`` takes the backend's name and returns arrays there.

``test_backends.py`` compares the stand-in for CuPy with NumPy, and CuPy where there is a GPU.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minireg as mr
from minireg import backend as backends
from minireg import linalg, nn, optim, penalties
from minireg.ops import TABLE

from .arrays import draw, place

# --- what a GPU refuses ---------------------------------------------------------------------------

REFUSED: dict[str, Callable[[Any, Any], Any]] = {
    "asarray": lambda x, xp: np.asarray(x),
    "array of arrays": lambda x, xp: np.array([x, x]),
    "array + host": lambda x, xp: x + np.ones(3),
    "host + array": lambda x, xp: np.ones(3) + x,
    "array + 0-d host": lambda x, xp: x + np.asarray(1.0),
    "host += array": lambda x, xp: np.ones((2, 3)).__iadd__(x),
    "array + list": lambda x, xp: np.add(x, [1.0, 2.0, 3.0]),
    "compare host": lambda x, xp: x > np.ones(3),
    "matmul host": lambda x, xp: x @ np.ones(3),
    "out= host": lambda x, xp: np.add(x, 1, out=np.ones((2, 3))),
    "concatenate host": lambda x, xp: np.concatenate([x, np.ones((1, 3))]),
    "where on host": lambda x, xp: np.where(np.ones((2, 3), bool), x, 0),
    "where of a bool": lambda x, xp: np.where(True, x, 0),
    "store into host": lambda x, xp: np.ones((2, 3)).__setitem__(..., x),
    "store host": lambda x, xp: x.__setitem__(0, np.ones(3)),
    "store list": lambda x, xp: x.__setitem__(0, [1.0, 2.0, 3.0]),
    "host index": lambda x, xp: x[np.array([0])],
    "list index": lambda x, xp: x[[0]],
    "np.add.at": lambda x, xp: np.add.at(x, 0, 1.0),
    "np.add.reduce": lambda x, xp: np.add.reduce(x),
    "xp of host": lambda x, xp: xp.exp(np.ones(3)),
    "xp.at with host": lambda x, xp: xp.add.at(x, 0, np.ones(3)),
    "xp.at with host index": lambda x, xp: xp.add.at(x, np.array([0]), x[:1]),
    "xp.at on int64": lambda x, xp: xp.add.at(xp.zeros(3, np.int64), xp.asarray([0]), 1),
    "block": lambda x, xp: np.block([[x]]),
    "vecdot": lambda x, xp: np.vecdot(x, x),
    "svdvals": lambda x, xp: np.linalg.svdvals(x),
    "sum where=": lambda x, xp: np.sum(x, where=True),
    "max initial=": lambda x, xp: x.max(initial=0.0),
    "add where=": lambda x, xp: np.add(x, 1, where=True),
    "as index": lambda x, xp: range(x.argmax()),
    "buffer": lambda x, xp: memoryview(x),
    "hash": lambda x, xp: hash(x),
    "long double": lambda x, xp: xp.asarray(np.ones(2, np.longdouble)),
}


# --- ops ------------------------------------------------------------------------------------------


def derivatives(entry: Any, sample: tuple[Any, ...], home: str, dtype: Any = None) -> list[Any]:
    """Value, gradients (plain and recorded) and second derivatives of an op at a sample."""
    *args, kw = sample if isinstance(sample[-1], dict) else (*sample, {})
    args = [place(a, home) for a in args]
    floats = [i for i, a in enumerate(args) if backends.is_array(a) and a.dtype.kind == "f"]
    for i in floats:
        args[i] = mr.tensor(args[i], dtype=dtype, requires_grad=True)
    inputs = [args[i] for i in floats]
    y = entry.function(*args, **kw)
    if not y.requires_grad:
        return [y]
    weights = mr.tensor(draw(*y.shape), dtype=y.dtype, backend=home)
    plain = mr.grad(y, inputs, weights, retain_graph=True, allow_unused=True)
    recorded = mr.grad(y, inputs, weights, create_graph=True, allow_unused=True)
    curved = [(g * g).sum() for g in recorded if g is not None and g.requires_grad]
    second = mr.grad(curved, inputs, allow_unused=True) if curved else ()
    return [y, *plain, *recorded, *second]


OPS = dict(TABLE)  # as the package fills it; other tests enter ops of their own

SAMPLES = [
    pytest.param(name, i, id=f"{name}-{i}")
    for name, entry in OPS.items()
    if entry.differentiable
    if entry.samples is not None and name != "to"
    for i in range(len(list(entry.samples(np.random.default_rng(0)))))
]

VALUES_ONLY: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
                    (draw(2, 3), draw(3, seed=1))),
    **dict.fromkeys(("logical_and", "logical_or", "bitwise_and", "bitwise_or"),
                    (draw(2, 3) > 0, draw(3, seed=1) > 0)),
    **dict.fromkeys(("logical_not", "invert"), (draw(2, 3) > 0,)),
    **dict.fromkeys(("isfinite", "isinf", "isnan"), (np.array([1.0, np.inf, np.nan]),)),
    **dict.fromkeys(("isclose", "allclose", "array_equal"), (draw(2, 3), draw(2, 3))),
    **dict.fromkeys(("any", "all"), (draw(2, 3) > 0, 1)),
    **dict.fromkeys(("argmax", "argsort"), (draw(2, 3), 1)),
    "argmin": (draw(2, 3),), "discretize": (draw(2, 3), "int64"),
}  # fmt: skip


def run_values(name: str, home: str) -> list[Any]:
    args = place(VALUES_ONLY[name], home)
    return [OPS[name].function(*(mr.Tensor(a) if backends.is_array(a) else a for a in args))]


MIXED: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda s, n: s + n,
    "mul": lambda s, n: n * s,
    "div": lambda s, n: n.data / s,
    "matmul": lambda s, n: s @ n.data,
    "maximum": lambda s, n: mr.maximum(n, s),
    "where": lambda s, n: mr.where(n > 0, s, 0.0),
    "concatenate": lambda s, n: mr.concatenate([s, n]),
    "linear": nn.functional.linear,
}


def check_mixing(op: str, home: str) -> None:
    s = mr.tensor(draw(2, 2), backend=home, requires_grad=True)
    with pytest.raises(TypeError, match=rf"^{op}: operands live on different backends") as caught:
        MIXED[op](s, mr.tensor(draw(2, 2)))
    for part in (f"(2, 2) float64 on {home}", "(2, 2) ", " on numpy", ".to('"):
        assert part in str(caught.value)


# --- layers and losses ----------------------------------------------------------------------------

IMAGES = draw(3, 4, 6, 5)

LAYERS: dict[str, list[tuple[Callable[[], Any], Any]]] = {
    "Linear": [
        (lambda: nn.Linear(4, 3), draw(5, 4)),
        (lambda: nn.Linear(4, 3, bias=False), draw(2, 5, 4)),
        (lambda: nn.utils.spectral_norm(nn.Linear(4, 3)), draw(5, 4)),
        (lambda: nn.utils.weight_norm(nn.Linear(4, 3)), draw(5, 4)),
    ],
    "Embedding": [
        (lambda: nn.Embedding(5, 3), np.array([[0, 4, 4], [1, 0, 2]])),
        (lambda: nn.Embedding(5, 3, padding_idx=0), np.array([0, 4, 4])),
    ],
    "Conv2d": [
        (lambda: nn.Conv2d(4, 6, 3, (1, 2), 1, (2, 1), groups=2), IMAGES),
        (lambda: nn.Conv2d(4, 2, (2, 3), padding="same", bias=False), IMAGES),
        (lambda: nn.utils.spectral_norm(nn.Conv2d(4, 2, 3)), IMAGES[0]),
    ],
    "MaxPool2d": [(lambda: nn.MaxPool2d(2), IMAGES),
                  (lambda: nn.MaxPool2d(3, 2, 1, 2, ceil_mode=True), IMAGES)],
    "AvgPool2d": [(lambda: nn.AvgPool2d(2), IMAGES), (lambda: nn.AvgPool2d(3, 2, 1, True, False), IMAGES)],
    "BatchNorm1d": [(lambda: nn.BatchNorm1d(4), draw(5, 4, 3))],
    "BatchNorm2d": [(lambda: nn.BatchNorm2d(4), IMAGES)],
    "GroupNorm": [(lambda: nn.GroupNorm(2, 4), IMAGES), (lambda: nn.GroupNorm(4, 4, affine=False), IMAGES)],
    "BatchNorm": [
        (lambda: nn.BatchNorm(4), draw(5, 4)),
        (lambda: nn.BatchNorm(3, momentum=None), draw(5, 3, 2, 2)),
        (lambda: nn.BatchNorm(4, affine=False, track_running_stats=False), draw(5, 4)),
    ],
    "LayerNorm": [(lambda: nn.LayerNorm(4), draw(5, 4)), (lambda: nn.LayerNorm((2, 4)), draw(3, 2, 4))],
    "RMSNorm": [(lambda: nn.RMSNorm(4), draw(5, 4))],
    "Dropout": [(lambda: nn.Dropout(0.0), draw(5, 4))],  # masks differ by backend
    "Flatten": [(lambda: nn.Flatten(), draw(5, 2, 3))],
    "Sequential": [(lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), draw(5, 4))],
    **{
        name: [(lambda name=name: getattr(nn, name)(), draw(5, 4))]
        for name in ("ReLU", "LeakyReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "Softplus", "Softmax",
                     "LogSoftmax", "Identity")
    },
}  # fmt: skip


def exported(base: type, module: Any = nn) -> set[str]:
    """Names of the public subclasses of ``base``, each class once."""
    found = (getattr(module, name) for name in module.__all__)
    return {c.__name__ for c in found if isinstance(c, type) and issubclass(c, base)}


def run_layer(name: str, i: int, training: bool, home: str, dtype: Any = np.float32) -> list[Any]:
    make, x = LAYERS[name][i]
    mr.manual_seed(0)
    with mr.use_backend(home):
        layer = make().to(dtype)
    layer.train(training)
    for _ in range(2):  # running statistics move
        t = mr.tensor(x, backend=home)
        t = t.astype(dtype).requires_grad_() if x.dtype.kind == "f" else t
        y = layer(t)
        (y * y).sum().backward()
    parameters = list(layer.parameters())
    buffers = [b for _, b in layer.named_buffers()]
    return [y, t.grad, *parameters, *(p.grad for p in parameters), *buffers]


LAYER_CASES = [(name, i) for name in LAYERS for i in range(len(LAYERS[name]))]

LABELS = np.array([0, 2, 1, -100, 2])

CLASS_WEIGHT = np.array([0.2, 0.3, 0.5], np.float32)

LOSSES: dict[str, list[tuple[Callable[[str], Any], Any]]] = {
    "CrossEntropyLoss": [
        (lambda home: nn.CrossEntropyLoss(), LABELS),
        (lambda home: nn.CrossEntropyLoss(label_smoothing=0.1), LABELS),
        (lambda home: nn.CrossEntropyLoss(label_smoothing=0.1, reduction="none"), LABELS),
        (
            lambda home: nn.CrossEntropyLoss(
                weight=mr.tensor(CLASS_WEIGHT, backend=home), label_smoothing=0.1
            ),
            LABELS,
        ),
        (lambda home: nn.CrossEntropyLoss(ignore_index=2, reduction="sum"), np.abs(LABELS) % 3),
        (lambda home: nn.CrossEntropyLoss(label_smoothing=0.2), np.full((5, 3), 1 / 3, np.float32)),
    ],
    "NLLLoss": [
        (lambda home: nn.NLLLoss(), LABELS),
        (lambda home: nn.NLLLoss(mr.tensor(CLASS_WEIGHT, backend=home), 2), np.abs(LABELS) % 3),
    ],
    **{
        name: [
            (lambda home, name=name, how=how: getattr(nn, name)(how), draw(5, 3).astype(np.float32))
            for how in ("mean", "sum", "none")
        ]
        for name in ("MSELoss", "L1Loss", "SmoothL1Loss")
    },
    "BCEWithLogitsLoss": [
        (lambda home: nn.BCEWithLogitsLoss(), np.full((5, 3), 0.25, np.float32)),
        (
            lambda home: nn.BCEWithLogitsLoss(
                weight=mr.tensor(CLASS_WEIGHT, backend=home),
                pos_weight=mr.tensor(CLASS_WEIGHT, backend=home),
            ),
            np.eye(3, dtype=np.float32)[np.abs(LABELS) % 3],
        ),
    ],
    "KLDivLoss": [
        (lambda home: nn.KLDivLoss("batchmean"), np.eye(3, dtype=np.float32)[np.abs(LABELS) % 3]),
        (lambda home: nn.KLDivLoss(log_target=True), np.full((5, 3), -1.0, np.float32)),
    ],
    "HingeLoss": [
        (lambda home: nn.HingeLoss(), np.abs(LABELS) % 3),
        (lambda home: nn.HingeLoss(2, 0.5, "none"), np.abs(LABELS) % 3),
        (lambda home: nn.HingeLoss(2), np.where(draw(5, 3) > 0, 1, -1)),
    ],
}

LOSS_CASES = [(name, i) for name in LOSSES for i in range(len(LOSSES[name]))]


def run_loss(name: str, i: int, home: str, dtype: Any = np.float32) -> list[Any]:
    make, target = LOSSES[name][i]
    loss = make(home)
    z = mr.tensor(draw(5, 3, seed=7), dtype=dtype, backend=home, requires_grad=True)
    y = mr.tensor(target, backend=home)
    whole = loss(z, y)
    parts = loss.parts(z, y)
    whole.sum().backward(retain_graph=True)
    shares = [mr.grad(part.sum(), z, retain_graph=True)[0] for part in parts.values()]
    return [whole, z.grad, *parts.values(), *shares]


# --- penalties ------------------------------------------------------------------------------------

W = np.where(draw(4, 3) > 1, 0.0, draw(4, 3)).astype(np.float32)  # with entries at the kink

PENALTIES: dict[str, list[Callable[[str], Any]]] = {
    "L2": [
        lambda home: penalties.L2(0.1),
        lambda home: penalties.L2(
            0.1, center=place(draw(4, 3, seed=1), home), weight=mr.tensor(np.abs(W), backend=home)
        ),
    ],
    "L1": [lambda home: penalties.L1(0.1)],
    "ElasticNet": [lambda home: penalties.ElasticNet(0.1, 0.2)],
    "L0": [lambda home: penalties.L0(0.1)],
    "GroupLasso": [
        lambda home: penalties.GroupLasso(0.1),
        lambda home: penalties.GroupLasso(0.1, axis=0, scale="none"),
        lambda home: penalties.GroupLasso(0.1, groups=[[0, 5, 2], [7, 1]]),
    ],
    "SparseGroupLasso": [lambda home: penalties.SparseGroupLasso(0.1, 0.2)],
    "FrobeniusNorm": [lambda home: penalties.FrobeniusNorm(0.1)],
    "SpectralNorm": [
        lambda home: penalties.SpectralNorm(0.1),
        lambda home: penalties.SpectralNorm(0.1, method="svd"),
    ],
    "NuclearNorm": [lambda home: penalties.NuclearNorm(0.1)],
    "PathNorm": [lambda home: penalties.PathNorm(0.1)],
    "L2Ball": [lambda home: penalties.L2Ball(0.8), lambda home: penalties.L2Ball(80.0)],
    "L1Ball": [lambda home: penalties.L1Ball(0.8)],
    "MaxNorm": [lambda home: penalties.MaxNorm(0.8)],
    "SpectralBall": [lambda home: penalties.SpectralBall(0.8)],
    "Box": [
        lambda home: penalties.Box(-0.8, 0.5),
        lambda home: penalties.Box(place(-np.abs(draw(4, 3, seed=1)), home), np.inf),
    ],
    "Quadratic": [
        lambda home: penalties.Quadratic(0.1, np.diag(np.arange(12.0))),
        lambda home: penalties.Quadratic(
            0.1, np.ones((12, 12)), center=place(draw(4, 3, seed=1), home)
        ),
    ],
    "MCP": [lambda home: penalties.MCP(0.1)],
    "SCAD": [lambda home: penalties.SCAD(0.1)],
    "NonNegative": [lambda home: penalties.NonNegative()],
    "Simplex": [lambda home: penalties.Simplex(1.5)],
    "LogSum": [
        lambda home: penalties.LogSum(0.1, eps=0.5),
        lambda home: penalties.LogSum(2.0, eps=0.5),
    ],
    "Orthogonality": [lambda home: penalties.Orthogonality(0.1)],
    "TotalVariation": [
        lambda home: penalties.TotalVariation(0.1),
        lambda home: penalties.TotalVariation(0.1, axis=0),
    ],
    "SLOPE": [lambda home: penalties.SLOPE(0.1, np.arange(12.0, 0, -1))],
    "Composed": [
        lambda home: penalties.scaled(penalties.L1(0.1), 2.0, 3.0),
        lambda home: penalties.translated(penalties.L1(0.1), place(draw(4, 3, seed=1), home)),
        lambda home: penalties.plus_quadratic(penalties.NuclearNorm(0.1), 0.3),
    ],
}

PENALTY_CASES = [(name, i) for name in PENALTIES for i in range(len(PENALTIES[name]))]


def run_penalty(name: str, i: int, home: str, dtype: Any = np.float32) -> list[Any]:
    penalty = PENALTIES[name][i](home)
    w, g = (place(a.astype(dtype), home) for a in (W, draw(4, 3, seed=2)))
    results = []
    for call in (
        lambda: penalty.value(w),
        lambda: penalty.gradient(w),
        lambda: penalty.prox(w, 0.5),
        lambda: penalty.subdiff_distance(w, g),
        lambda: penalty.max_strength(g),
    ):
        try:
            found = call()
            plain = home == "numpy" and not isinstance(found, tuple)
            results.append(np.asarray(found) if plain else found)
        except NotImplementedError:
            results.append(None)
    assert results[0] is not None
    t = mr.tensor(w, requires_grad=True)
    value = penalty(t)
    value.backward()
    (recorded,) = mr.grad(penalty(t), t, create_graph=True, allow_unused=True)
    if recorded is None:  # L0 and constraints are flat
        return [*results, value, t.grad]
    second = mr.grad((recorded * recorded).sum(), t, allow_unused=True)
    results = [a for r in results for a in (r if isinstance(r, tuple) else [r])]
    return [*results, value, t.grad, recorded, *second]


# --- optimizers and whole steps -------------------------------------------------------------------

OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"momentum": 0.9, "dampening": 0.5, "maximize": True},
        {"momentum": 0.9, "weight_decay": 0.1, "decoupled": True},
    ],
    "Adam": [{}, {"weight_decay": 0.1}, {"amsgrad": True}],
    "AdamW": [
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "decay_scale": "schedule", "amsgrad": True, "maximize": True},
    ],
    "RMSprop": [{}, {"momentum": 0.9, "weight_decay": 0.1}, {"centered": True, "maximize": True}],
    "SGLD": [{"temperature": 0.0, "weight_decay": 0.1}],  # noise differs by backend
    "ProximalGradient": [
        {"penalty": penalties.L1(0.5)},
        {"penalty": penalties.L2(0.5)},
        {"penalty": penalties.L1(0.5), "accelerated": True},
    ],
}

OPTIMIZER_CASES = [(name, i) for name in OPTIMIZERS for i in range(len(OPTIMIZERS[name]))]


def run_optimizer(name: str, i: int, home: str, dtype: Any = np.float32) -> list[Any]:
    shapes = ((4, 3), (3,), (), (150, 120))  # the last is updated in blocks on the CPU
    ps = [mr.tensor(draw(*s, seed=k), dtype=dtype, backend=home) for k, s in enumerate(shapes)]
    optimizer = getattr(optim, name)(
        [p.requires_grad_() for p in ps], lr=0.1, **OPTIMIZERS[name][i]
    )
    for step in range(3):
        for k, p in enumerate(ps):
            p.grad = mr.tensor(draw(*p.shape, seed=10 * step + k), dtype=dtype, backend=home)
        ps[1].grad = None if step == 1 else ps[1].grad
        optimizer.step()
    kept = [v for s in optimizer.state.values() for v in s.values() if backends.is_array(v)]
    saved = [v for s in optimizer.state_dict()["state"].values() for v in s.values()]
    return [*ps, *kept, *(v for v in saved if backends.is_array(v))]


def clipped(home: str, max_norm: float, norm_type: float) -> list[Any]:
    ps = [mr.tensor(draw(4, 3, seed=k), requires_grad=True, backend=home) for k in range(3)]
    for p in ps[:2]:
        p.grad = mr.tensor(draw(4, 3), dtype=np.float32, backend=home)
    return [optim.clip_grad_norm_(ps, max_norm, norm_type), *(p.grad for p in ps)]


def train(
    home: str, p: float = 0.0, attribute: bool = True, via: str = "gradient", within: bool = False,
    dtype: Any = np.float32,
) -> list[Any]:  # fmt: skip
    """Three whole steps of a small model; penalties and clipping before or ``within`` the update."""
    mr.manual_seed(0)
    with mr.use_backend(home):
        model = nn.Sequential(
            nn.Linear(6, 8, bias=False),  # before a BatchNorm its gradient is rounding noise
            nn.BatchNorm(8), nn.ReLU(), nn.Dropout(p), nn.Linear(8, 3),
        ).to(dtype)  # fmt: skip
    x = mr.tensor(draw(16, 6), dtype=dtype, backend=home)
    y = mr.tensor(np.arange(16) % 3, backend=home)
    objective = mr.Objective(
        nn.CrossEntropyLoss(label_smoothing=0.1),
        {"l2": penalties.L2(1e-2), "l1": (penalties.L1(1e-2), "0.weight", via)},
    )
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    objective.bind(model).attach(optimizer)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        terms = objective(model, x, y)
        terms.backward(attribute, defer=within and not attribute)
        seen += [terms.total, *terms.values()]
        seen += [g for share in terms.gradients.values() for g in share.values()]
        if within:
            optimizer.step(terms, max_norm=0.5)
        else:
            seen.append(optim.clip_grad_norm_(model.parameters(), 0.5))
            optimizer.step()
    parameters = list(model.parameters())
    states = [v for s in optimizer.state.values() for v in s.values() if backends.is_array(v)]
    return [*seen, *parameters, *(q.grad for q in parameters), *states,
            *(b for _, b in model.named_buffers())]  # fmt: skip


TRAINING = [
    (True, "gradient", False), (False, "gradient", False), (True, "prox", False),
    (False, "gradient", True), (False, "prox", True),
]  # fmt: skip

LEDGERED: dict[str, Callable[[Any], optim.Optimizer]] = {
    "AdamW": lambda p: optim.AdamW(p, 1e-2),
    "RMSprop": lambda p: optim.RMSprop(p, 1e-3, momentum=0.9),
    "nesterov": lambda p: optim.SGD(p, 1e-2, momentum=0.9, nesterov=True),
    "FISTA": lambda p: optim.ProximalGradient(p, 1e-2, accelerated=True),
}


def train_with_ledger(name: str, home: str, dtype: Any = np.float32) -> mr.Ledger:
    """Three steps under a ledger, whose entries are worked out where the arrays live."""
    mr.manual_seed(0)
    with mr.use_backend(home):
        model = nn.Linear(6, 3).to(dtype)
    objective = mr.Objective(
        nn.CrossEntropyLoss(label_smoothing=0.1),
        {"spectral": penalties.SpectralNorm(1e-2), "l1": mr.Term(penalties.L1(1e-3), via="prox"),
         "max": penalties.MaxNorm(0.5)},
    )  # fmt: skip
    optimizer = LEDGERED[name](model.parameters())
    objective.bind(model).attach(optimizer)
    ledger = mr.Ledger(optimizer, accumulate=True)
    x = mr.tensor(draw(16, 6), dtype=dtype, backend=home)
    y = mr.tensor(np.arange(16) % 3, backend=home)
    for _ in range(3):
        optimizer.zero_grad()
        objective(model, x, y).backward()
        optim.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    return ledger


def entries(ledger: mr.Ledger) -> list[Any]:
    rows = [*ledger.last.values(), *ledger.since.values()]
    return [a for row in rows for a in (row.total, row.actual, *row.values())]


def train_on_images(home: str, dtype: Any = np.float32) -> list[Any]:
    """Two steps of a convolutional network with everything in it."""
    mr.manual_seed(0)
    with mr.use_backend(home):
        model = nn.Sequential(
            nn.utils.spectral_norm(nn.Conv2d(4, 6, 3, padding="same")), nn.GroupNorm(2, 6),
            nn.LeakyReLU(), nn.MaxPool2d(2), nn.utils.weight_norm(nn.Conv2d(6, 4, 2, groups=2)),
            nn.BatchNorm2d(4), nn.GELU("tanh"), nn.AvgPool2d(2, padding=1, count_include_pad=False),
            nn.Flatten(), nn.Linear(8, 3),
        ).to(dtype)  # fmt: skip
    x = mr.tensor(IMAGES, dtype=dtype, backend=home)
    y = mr.tensor(np.arange(3), backend=home)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        loss.backward()
        optimizer.step()
    parameters = list(model.parameters())
    return [
        loss,
        *parameters,
        *(p.grad for p in parameters),
        *(b for _, b in model.named_buffers()),
    ]


# --- linear algebra -------------------------------------------------------------------------------


def projector(vectors: Any) -> Any:
    """What does not depend on the sign of a vector."""
    return vectors @ vectors.swapaxes(-1, -2)


LINALG: dict[str, Callable[[Any], Any]] = {
    "norm nuc": lambda x: linalg.norm(x, "nuc"), "norm 2": lambda x: linalg.norm(x, 2),
    "norm 3": lambda x: linalg.norm(x, 3, 0), "svdvals": linalg.svdvals, "eigvalsh": linalg.eigvalsh,
    "svd": lambda x: projector(linalg.svd(x[:, :2], full_matrices=False).U),
    "eigh": lambda x: projector(linalg.eigh(x).eigenvectors[:, :1]),
    "solve": lambda x: linalg.solve(x, x[0]), "cholesky": linalg.cholesky, "det": linalg.det,
    "slogdet": lambda x: linalg.slogdet(x).logabsdet, "cond": linalg.cond, "pinv": linalg.pinv,
    "matrix_power": lambda x: linalg.matrix_power(x, 3) + linalg.matrix_power(x, 0),
}  # fmt: skip


def run_linalg(name: str, home: str) -> list[Any]:
    """Value, gradient and a second derivative on that backend."""
    a = draw(3, 3)
    x = mr.tensor(a @ a.T + np.diag([1.0, 2.0, 3.0]), requires_grad=True, backend=home)
    y = LINALG[name](x)
    (g,) = mr.grad(y.sum(), x, create_graph=True)
    return [y, g, *mr.grad((g * g).sum(), x)]
