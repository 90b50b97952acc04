"""Every public name runs on the stand-in for a GPU, or says here why it belongs to the host.

``RUNS`` holds what the tables of ``support/device.py`` (ops, layers, losses, penalties,
optimizers) do not. What was run is measured, not listed: a public function or method that
nothing here reaches fails, and so does an excuse that is no longer true.
"""

import importlib
import inspect
import json
import math
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from types import CodeType
from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw, host, place
from support.device import (
    LAYER_CASES,
    LEDGERED,
    LINALG,
    LOSS_CASES,
    OPS,
    OPTIMIZER_CASES,
    OPTIMIZERS,
    PENALTY_CASES,
    SAMPLES,
    VALUES_ONLY,
    derivatives,
    entries,
    run_layer,
    run_linalg,
    run_loss,
    run_optimizer,
    run_penalty,
    run_values,
    train,
    train_on_images,
    train_with_ledger,
)
from support.functions import CASES, run_composed
from support.gpu import on_gpu
from support.lists import exact
from support.strict import count_syncs
from support.updates import formula

import minireg as mr
from minireg import backend as backends
from minireg import constrained, curvature, implicit, nn, optim, penalties
from minireg.cli import main as cli
from minireg.nn import functional as F  # noqa: N812
from minireg.nn import init
from minireg.ops import COMPOSED, iterations
from minireg.optim import lr_scheduler as schedules


@pytest.fixture(autouse=True)
def _registered():
    with strict.registered():
        yield


Run = Callable[[str], list[Any]]
RUNS: dict[str, Run] = {}
WAITS: set[str] = set()
"""The runs whose results are numbers on the host: they have to wait for the device."""


def runs(name: str, waits: bool = False) -> Callable[[Run], Run]:
    def enter(run: Run) -> Run:
        RUNS[name] = run
        if waits:
            WAITS.add(name)
        return run

    return enter


def made(home: str, make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    mr.manual_seed(seed)
    with mr.use_backend(home):
        return make()


def mlp(home: str) -> nn.Module:
    return made(home, lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double())


def at(home: str, *shape: int, seed: int = 0) -> Any:
    return place(draw(*shape, seed=seed), home)


def leaf(home: str, *shape: int, seed: int = 0) -> mr.Tensor:
    return mr.Tensor(at(home, *shape, seed=seed), requires_grad=True)


LABELS = np.arange(16) % 3
X16 = draw(16, 4)
LOSS = nn.CrossEntropyLoss(label_smoothing=0.1)


# --- tensors, modules, functions ------------------------------------------------------------------


@runs("Tensor", waits=True)
def _tensor(home):
    x = leaf(home, 2, 3)
    y = (x * 2).retain_grad()
    remove = y.register_hook(lambda g: g * 1.5)
    y.sum().backward()
    remove()
    z = mr.tensor([1.0, 2.0], backend=home, dtype=np.float64).requires_grad_()
    z.detach().assign(3.0)
    gradient = z.grad
    mr.engine.backward((z * z).sum())
    assert (x.sum().item(), int(x.size)) == (float(x.sum()), 6)
    with mr.no_grad(), mr.enable_grad(), mr.use_backend(home):
        assert mr.is_grad_enabled()
        assert mr.get_backend() == home == mr.tensor(1.0).backend
        mr.set_backend(home)
    twice = mr.op("twice", lambda x: x + x, lambda g, y, x: g + g)
    assert mr.ops.TABLE.pop("twice").differentiable
    return [x.grad, y.grad, z.grad, gradient, twice(x), mr.linalg.vector_norm(x, ord=3), x.reshape(-1),
            x.T, x.numpy().tolist(), x.ndim,
            x.to("numpy").to(home), x.backend == home, x.is_leaf]  # fmt: skip


@runs("jacobian")
def _jacobian(home):
    x = leaf(home, 2, 3)
    found = mr.jacobian(lambda a: (mr.tanh(a) * a.sum(), a[:0]), x)
    recorded = mr.jacobian(mr.exp, x, create_graph=True)
    return [*found, recorded, *mr.grad((recorded * recorded).sum(), x)]


@runs("Module")
def _module(home):
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)).to(home)
    model.apply(lambda m: isinstance(m, nn.Linear) and init.ones_(m.weight))
    model.append(nn.ModuleList([nn.ReLU()])[0])
    mr.manual_seed(0)
    init.normal_(model[1].weight)
    model.requires_grad_(False).requires_grad_().float().double()
    model.zero_grad()
    state = model.state_dict()
    model.load_state_dict({name: 2 * a for name, a in state.items()})
    nn.utils.parametrizations.weight_norm(model[0])
    assert nn.utils.is_parametrized(model[0])
    nn.utils.remove_parametrizations(model[0], "weight")
    repr(model)
    return [*state.values(), *model.parameters(), model(mr.Tensor(at(home, 2, 4)))]


@runs("functional")
def _functional(home):
    x, w = mr.Tensor(at(home, 5, 4)), mr.Tensor(at(home, 4))
    return [
        F.layer_norm(x, 4, w, w), F.rms_norm(x, 4, w), F.group_norm(x, 2, w, w), F.softmax(x),
        F.log_softmax(x, 0),
        F.batch_norm(x, weight=w, bias=w, training=True), F.dropout(x, 0.0), F.gelu(x), F.softplus(x, 2.0),
        F.dropout(x, 1.0), F.linear(x.data, at(home, 3, 4)), F.embedding(place(np.array([1, 0]), home), x),
    ]  # fmt: skip


WEIGHTS = {"dirac_": (4, 2, 3, 3), "calculate_gain": None}
ARGUMENTS = {"constant_": (0.5,), "uniform_": (-1.0, 1.0), "calculate_gain": ("relu",)}


@runs("init")
def _init(home):
    found = []
    for name in init.__all__:
        shape, extra = WEIGHTS.get(name, (4, 3)), ARGUMENTS.get(name, ())
        mr.manual_seed(0)
        before = () if shape is None else (mr.Tensor(at(home, *shape)),)
        found.append(getattr(init, name)(*before, *extra))
    return found


# --- training -------------------------------------------------------------------------------------

SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "LambdaLR": lambda o: schedules.LambdaLR(o, lambda k: 0.9**k),
    "StepLR": lambda o: schedules.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: schedules.MultiStepLR(o, [1, 3], 0.5),
    "ExponentialLR": lambda o: schedules.ExponentialLR(o, 0.9),
    "ConstantLR": lambda o: schedules.ConstantLR(o, 0.5, 2),
    "LinearLR": lambda o: schedules.LinearLR(o, 0.5, 1.0, 3),
    "PolynomialLR": lambda o: schedules.PolynomialLR(o, 4),
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, 4),
    "CosineAnnealingWarmRestarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 2),
    "OneCycleLR": lambda o: schedules.OneCycleLR(o, 0.2, 6),
    "ReduceLROnPlateau": lambda o: schedules.ReduceLROnPlateau(o, patience=0),
    "SequentialLR": lambda o: schedules.SequentialLR(
        o,
        [
            schedules.ConstantLR(o, 0.5, 2),
            schedules.CosineAnnealingLR(o, 3),
            schedules.StepLR(o, 2),
        ],
        [1, 3],
    ),
}


def schedule(name: str, home: str) -> list[Any]:
    """Five steps; halfway everything is saved and loaded into new objects."""
    w = leaf(home, 3)
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    rates = SCHEDULES[name](optimizer)
    seen = []
    for k in range(5):
        w.grad = mr.Tensor(at(home, 3, seed=k))
        optimizer.step()
        rates.step(*[1.0] * (name == "ReduceLROnPlateau"))
        seen.append(rates.get_last_lr())
        if k == 2:
            saved, state = optimizer.state_dict(), rates.state_dict()
            optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
            rates = SCHEDULES[name](optimizer)
            optimizer.load_state_dict(saved)
            rates.load_state_dict(state)
    repr(rates)
    return [w, *seen]


for _name in SCHEDULES:
    RUNS[_name] = partial(schedule, _name)


def test_every_schedule_runs_here():
    found = {
        n
        for n, c in vars(schedules).items()
        if isinstance(c, type) and issubclass(c, schedules.LRScheduler)
    }
    exact(
        "SCHEDULES in tests/gpu/test_surface.py", SCHEDULES, found - {"LRScheduler", "ClosedForm"}
    )


@runs("formulas of the optimizers")
def _formulas(home):
    """The readable specification stays in plain NumPy, so it runs on the device as well."""
    found = []
    for name, options in OPTIMIZERS.items():
        w = leaf(home, 4, 3)
        optimizer = getattr(optim, name)([w], lr=0.1, **options[0])
        state = dict.fromkeys(("exp_avg", "exp_avg_sq", "square_avg"), np.zeros_like(w.data)) | {
            "step": 0
        }
        extra = {"noise": at(home, 4, 3, seed=2)} if name == "SGLD" else {}
        found.append(
            formula(
                optimizer, w.data, at(home, 4, 3, seed=1), state | extra, optimizer.param_groups[0]
            )
        )
    return found


@runs("SGLD")
def _langevin(home):
    """Its noise differs from backend to backend, so only that it is loaded is compared."""
    w, v = leaf(home, 40, 50), leaf(home, 40, 50)
    optimizer, other = optim.SGLD([w], lr=0.1, seed=1), optim.SGLD([v], lr=0.1, seed=2)
    for p in (w, v):
        p.grad = mr.Tensor(np.zeros_like(p.data))
    optimizer.step()
    v.assign(w)
    other.load_state_dict(optimizer.state_dict())
    for o in (optimizer, other):
        o.step()
    return [(w - v) * 0]


@runs("fit", waits=True)
def _fit(home):
    """Data from the host, early stopping, a schedule, clipping, a ledger, a warm-up; then batches."""
    model = made(
        home, lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.ReLU(), nn.Linear(5, 3))
    )
    warm_up = penalties.Coefficient(lambda t: 1e-2 * min(1, t / 4))
    objective = mr.Objective(LOSS, {
        "l2": penalties.L2(warm_up), "l1": mr.Term(penalties.ElasticNet(1e-3, 1e-3), via="prox"),
    })  # fmt: skip
    objective.table(model)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    ledger = mr.Ledger(optimizer, accumulate=True)
    history = mr.fit(
        model, objective, optimizer, (X16, LABELS), (X16, LABELS), epochs=3, batch_size=8, progress=False,
        early_stopping=optim.EarlyStopping(1), clip_norm=1.0, ledger=ledger,
        scheduler=schedules.ExponentialLR(optimizer, 0.9),
    )  # fmt: skip
    assert len(objective.chosen("l2")) == 2
    columns = {k: v for k, v in history.to_dict()["columns"].items() if k != "seconds"}
    assert history.terms == ["data", "smoothing", "l2", "l1"]
    pair = place(X16.astype(np.float32), home), place(LABELS, home)
    figures = mr.evaluate(model, objective, pair)
    path = mr.trajectory(model, objective, optimizer, X16, LABELS, 3)
    rows = slice(9), slice(9, None)
    fed = mr.fit(
        model, objective, optimizer, [(X16[i], np.array(["a", "b", "c"])[LABELS[i]]) for i in rows],
        [(place(X16[i], home), place(LABELS[i], home)) for i in rows], classes=["a", "b", "c"],
        epochs=2, progress=False, on_step=lambda step, terms, model: terms["l2"].item() < 0,
    )  # fmt: skip
    assert fed["train_accuracy"] == fed["validation_accuracy"]
    figures = [figures["loss"], history.last["gap"], fed["train_loss"], fed["validation_loss"]]
    return [*model.parameters(), *columns.values(), *figures, path]


@runs("Ledger", waits=True)
def _ledger(home, tmp=None):
    model = made(home, lambda: nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)))
    optimizer = optim.AdamW(optim.decay_groups(model, 0.01), lr=1e-2)
    assert optimizer.decay_of(model[0].weight) == 0.01
    objective = mr.Objective(LOSS, {"l2": penalties.L2(1e-2)})
    ledger = mr.Ledger(optimizer, model, accumulate=True)
    model[1].weight.register_hook(lambda g: g * 0.5)
    for _ in range(2):
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.zero_grad()
        objective(model, mr.tensor(X16, np.float32, backend=home), place(LABELS, home)).backward()
        optim.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    record = ledger.record(epoch=1)
    ledger.close()
    books, row = ledger.last, ledger.last["0.weight"]
    assert "residual" in books.table("layer") + repr(ledger)
    names, cosines = books.alignment()
    assert [*books.layers()] == ["0", "1"]
    return [
        row.effective_decay("l2"), row.of("data"), row.total, row.actual, *row.radial(("l2", "fresh")),
        row.residual,
        cosines.tolist(), books.residual, *record.values(), *ledger.columns().values(), len(names),
    ]  # fmt: skip


def options(home: str, folder: Any) -> list[str]:
    return ["train", "--dataset", "wine", "--hidden", "8", "--epochs", "2", "--norm", "batch", "--l1", "1e-3",
            "--clip-norm", "1", "--no-progress", "--backend", home, "--dropout", "0",
            "--out", str(folder / home)]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tables", "json"])
def test_train_from_the_command_line(form, tmp_path, capsys):
    for package in ("sklearn", "rich", "matplotlib"):
        pytest.importorskip(package)
    shown = {}
    for home in ("numpy", "cupy"):
        with strict.registered("cupy"):
            extra = ["--json", "--no-report"] if form == "json" else []
            assert cli.main(options(home, tmp_path) + extra) == 0
            assert cli.main(["info"]) == 0
        shown[home] = capsys.readouterr().out
    histories = [
        json.loads((tmp_path / home / "history.json").read_text())["runs"] for home in shown
    ]
    for label in ("plain", "regularized"):
        a, b = (h[label]["columns"] for h in histories)
        assert a.keys() == b.keys()
        for column in a.keys() - {"seconds"}:
            np.testing.assert_allclose(a[column], b[column], rtol=1e-4, atol=1e-6, err_msg=column)
        x, y = (mr.load(tmp_path / home / f"weights-{label}.npz") for home in shown)
        for name in x:
            np.testing.assert_allclose(x[name], y[name], rtol=1e-4, atol=1e-6)
    assert "backend cupy: ready" in shown["cupy"]
    assert (tmp_path / "cupy" / "report.html").exists() == (form == "tables")


@on_gpu
def test_train_from_the_command_line_on_a_device(tmp_path, capsys):
    for package in ("sklearn", "rich", "matplotlib"):
        pytest.importorskip(package)
    for home in ("numpy", "cupy"):
        assert cli.main(options(home, tmp_path)) == 0
    ours, theirs = (
        json.loads((tmp_path / home / "history.json").read_text())["runs"]["regularized"]["columns"]
        for home in ("numpy", "cupy")
    )
    np.testing.assert_allclose(ours["train_loss"], theirs["train_loss"], rtol=1e-2)


def test_checkpoints(tmp_path):
    for suffix in ("npz", *["safetensors"] * (importlib.util.find_spec("safetensors") is not None)):
        model = mlp("strict")
        mr.save(tmp_path / f"w.{suffix}", model)
        state = mr.load(tmp_path / f"w.{suffix}")
        other = mlp("strict").apply(lambda m: isinstance(m, nn.Linear) and init.zeros_(m.weight))
        other.load_state_dict(state)  # from the host to where the model is
        assert {p.backend for p in other.parameters()} == {"strict"}
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            np.testing.assert_array_equal(p.numpy(), q.numpy())


def test_a_training_goes_on(tmp_path):
    """From its checkpoint, as if nothing had come between."""
    if importlib.util.find_spec("safetensors") is None:
        pytest.skip("safetensors, which holds checkpoints, is not installed")

    def trained(epochs, **how):
        mr.manual_seed(0)
        model = mlp("strict")
        objective = mr.Objective(
            LOSS, {"l2": penalties.L2(penalties.Coefficient(lambda t: 0.01 * t))}
        )
        optimizer = optim.AdamW(model.parameters(), lr=0.01)
        mr.fit(
            model, objective, optimizer, (X16, LABELS), (X16, LABELS), epochs=epochs, batch_size=8,
            progress=False, ledger=mr.Ledger(optimizer), early_stopping=optim.EarlyStopping(9), **how,
        )  # fmt: skip
        assert {p.backend for p in model.parameters()} == {"strict"}
        return [p.numpy() for p in model.parameters()]

    path = tmp_path / "run.safetensors"
    trained(2, checkpoint=path, every=1)
    for p, q in zip(trained(4, resume=path), trained(4), strict=True):
        np.testing.assert_array_equal(p, q)


def _swept(l2: float, seed: int, home: str = "numpy") -> float:
    w = mr.tensor([3.0], requires_grad=True, backend=home)
    optimizer = optim.SGD([w], lr=0.1)
    (penalties.L2(l2)(w) + (w * w).sum()).backward()
    optimizer.step()
    return w.item() + seed


@runs("sweep", waits=True)
def _sweep(home):
    found = mr.sweep(partial(_swept, home=home), {"l2": [0.1, 1.0]}, seeds=[0, 1])
    chosen = found.one_standard_error("value")["l2"]
    return [found["value"], found.best("value")["l2"], found.summary("value"), chosen]


@runs("solve", waits=True)
def _solve(home):
    """The data where the model is, or on the host."""
    x, y = draw(20, 3), draw(20, 1, seed=1)
    found = []
    for there, dtype in ((home, np.float64), ("numpy", np.float64), (home, np.float32)):
        model = made(home, lambda dtype=dtype: nn.Linear(3, 1).to(dtype))
        solution = mr.solve(
            model, nn.MSELoss(), penalties.L1(0.1), place(x, there), mr.Tensor(place(y, there))
        )
        found += [solution.certificate < 1e-9, solution.value, *model.parameters()]
    path = mr.path(
        model, nn.MSELoss(), penalties.L1(0.0), place(x, home), place(y, home), 3, tol=1e-8
    )
    repr(path)
    return [*found, path.strengths.tolist(), path.nonzero.tolist()]


@runs("checks", waits=True)
def _checks(home):
    x = leaf(home, 2, 3)
    report = mr.gradcheck(lambda x: (x.exp() * x).sum(), x)
    second = mr.gradgradcheck(lambda x: (x * x * x).sum(), x)
    with mr.detect_anomaly(), np.errstate(divide="ignore"), pytest.raises(FloatingPointError):
        mr.log(x * 0)
    assert report.worst is not None
    return [report.verdict, second.verdict]


# --- penalties ------------------------------------------------------------------------------------


class Smooth(penalties.Penalty):
    """Only a value: everything else is derived."""

    strength = penalties.Strength()

    def __init__(self, strength):
        self.strength = strength

    def value(self, w):
        return self.strength * np.square(w * w).sum()


class Soft(Smooth):
    """A value and a prox: the certificate is derived from it."""

    def value(self, w):
        return self.strength * np.abs(w).sum()

    def prox(self, v, step):
        return penalties.soft_threshold(v, step * self.strength)


@runs("penalties")
def _penalties(home):
    w, g, chain = at(home, 4, 3), at(home, 4, 3, seed=1), [leaf(home, 4, 3), leaf(home, 3, 4)]
    smooth, soft, ball = Smooth(0.1), Soft(0.1), penalties.conjugate(penalties.L1(0.1))
    raised = penalties.scaled(penalties.L1(penalties.Coefficient(lambda t: 0.1 + t)), 2.0)
    for coefficient in raised.coefficients():
        coefficient.step()
    total = g.copy()
    for penalty in (
        smooth,
        raised,
        penalties.ElasticNet(0.1, 0.2),
        penalties.L2(0.1),
        penalties.L1(0.1),
    ):
        penalty.add_gradient(w, total)
    for part in penalties.SparseGroupLasso(0.1, 0.2).parts().values():
        part.add_gradient(w, total)
    net, rows = made(home, lambda: nn.Linear(3, 2).double()), mr.Tensor(at(home, 4, 3))
    terms = penalties.L2.from_fisher(net, nn.MSELoss(), rows, at(home, 4, 2), 0.5)
    return [
        *(term.weight for term, _ in terms.values()),
        smooth.gradient(w), smooth.subdiff_distance(w, g), soft.gradient(w), soft.subdiff_distance(w, g),
        ball.prox(w, 0.5), raised.value(w), total, penalties.PathNorm(0.1).over(chain),
        penalties.L2.from_sklearn(1.0, 20).value(w), penalties.L1.from_sklearn(1.0).value(w),
        penalties.ElasticNet.from_sklearn(1.0, 0.5).value(w), penalties.L1Ball(0.1).norm(w),
    ]  # fmt: skip


@runs("spectral norm, warm")
def _warm(home):
    """After its first look at a weight the power iteration follows it without waiting."""
    w, penalty, found = leaf(home, 6, 5), penalties.SpectralNorm(0.1, method="svd"), []
    for k in range(3):
        w.grad = None
        penalty(w).backward()
        found.append(w.grad)
        w.assign(w.data + 1e-3 * at(home, 6, 5, seed=k))
    return found


@runs("power iteration of a block")
def _block(home):
    a, noise = at(home, 9, 6), 0.1 * at(home, 6, seed=2)
    basis = iterations.orthonormal(at(home, 6, 3, seed=1))
    squares, image, v = iterations.ritz(a @ basis, basis)
    found = iterations.block_power(a, squares, image, v, 3)
    iterations.scatter(v, noise)
    return [squares, *map(np.abs, found), v.T @ v]


@runs("constrained", waits=True)
def _constrained(home):
    w = at(home, 4, 3)
    ball = constrained.SublevelSet(penalties.L1(1.0), 2.0)
    held = ball.prox(w, 1.0)
    residuals = constrained.kkt(at(home, 4, 3, seed=1), mr.Tensor(w), penalties.L1(1.0), 0.3, 2.0)
    model = made(home, lambda: nn.Linear(2, 1, bias=False).double())
    x, y = place(draw(12, 2), home), place(draw(12, 1, seed=1), home)
    problem = constrained.Problem(model, nn.MSELoss(), penalties.L2(1.0), x, y)
    repr(ball)
    return [
        held, ball.value(held), ball.norm(held), ball.subdiff_distance(held, w), *residuals,
        problem.budget_of(0.3),
        problem.strength_of(0.02), problem.shadow_price(0.02), max(problem.kkt(0.3, 0.02)), model.weight,
    ]  # fmt: skip


# --- looking inside -------------------------------------------------------------------------------


def bowl(home: str) -> tuple[Callable[[], mr.Tensor], list[mr.Tensor]]:
    w, b = leaf(home, 2, 3), leaf(home, 3, seed=1)
    return lambda: (mr.tanh(w) * (w + b) ** 2).sum(), [w, b]


@runs("curvature", waits=True)
def _curvature(home):
    closure, params = bowl(home)
    v, w = at(home, 9, seed=2), params[0]
    matrix = curvature.Hessian(closure, params)
    half = curvature.GaussNewton(lambda: mr.tanh(w), lambda z: (z * z).sum(), [w])
    density = curvature.spectral_density(matrix, probes=2, steps=4)
    return [
        matrix @ v, matrix @ host(v), curvature.hvp(closure, params, v), curvature.hessian(matrix),
        half @ v[:6],
        half.dense(), curvature.gauss_newton_product(lambda: mr.tanh(w), lambda z: (z * z).sum(), [w], v[:6]),
        *map(np.abs, curvature.eigenvalues(matrix, k=3, which="BE", vectors=True)), curvature.trace(matrix),
        curvature.condition_number(matrix), density.nodes.tolist(), density.density.tolist(),
        curvature.random_direction(params), curvature.sharpness(closure, params),
        curvature.line(closure, params, v, [0.0, 1.0]).tolist(),
        curvature.plane(closure, params, (v, v), [0.0, 1.0], [0.0]).tolist(),
    ]  # fmt: skip


@runs("curvature, Lanczos", waits=True)
def _lanczos(home):
    """Above the size where the matrix is made whole."""
    scales, w = np.linspace(1.0, 9.0, 90), leaf(home, 90)
    closure = lambda: 0.5 * (mr.Tensor(place(scales, home)) * w * w).sum()
    found = curvature.eigenvalues(closure, w, k=2, which="BE")
    values, vectors = curvature.eigenvalues(closure, w, k=2, which="SA", vectors=True)
    return [found, values, np.abs(vectors), curvature.condition_number(closure, w)]


@runs("implicit, where the array lives")
def _implicit(home):
    w, x = at(home, 5, 3), at(home, 5, 3, seed=1)
    parts = implicit.batchnorm_gradient(w, x, weight=at(home, 3))
    make = lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.GroupNorm(2, 4)).double()
    model = made(home, make)
    inside = (implicit.norm_gradient(model, n, x, lambda y: (y**3).sum()).total for n in "12")
    return [
        *implicit.layernorm_gradient(w, x, at(home, 3)), *implicit.rmsnorm_gradient(w, x), *inside,
        implicit.dropout_penalty(w, x, 0.5), *parts, parts.total, implicit.tangential(w, x, axis=0),
        implicit.effective_lr(w, 0.1), implicit.early_stopping_filter(w * w, 0.1, 3),
        implicit.ridge_filter(w * w, 0.5), implicit.equivalent_strength(w * w, 0.1, 3),
        implicit.Gaussian(2.0).log_density(w), implicit.Laplace(2.0).log_density(w),
        implicit.Gaussian(2.0).penalty(5).value(w), implicit.Laplace(2.0).penalty(5).value(w),
    ]  # fmt: skip


@runs("implicit, on the host", waits=True)
def _implicit_host(home):
    x, y, w = at(home, 8, 3), place(np.where(X16[:8, 0] > 0, 1, -1), home), at(home, 3)
    separable = place(X16[:8, :3] + 3 * host(y)[:, None], home)
    model = made(
        home, lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 1), nn.BatchNorm(1)).double()
    ).eval()
    effect = implicit.dropout_effect(lambda: (model(mr.Tensor(x)) ** 2).mean(), model)
    drawn = implicit.dropout_effect(
        lambda: (model(mr.Tensor(x)) ** 2).mean(), model, draws=2, max_units=0
    )
    assert math.isfinite(drawn.value)
    closure, params = bowl(home)
    start = [p.data * 0.5 for p in params]
    run = implicit.early_stopping_spectrum(closure, params, lr=0.01, steps=5, start=start)
    margin = implicit.max_margin(separable, y)
    known = (
        implicit.Gaussian(1.0).posterior(x, x[:, 0]),
        implicit.Laplace(1.0).posterior(x, x[:, 0], draws=3),
    )
    return [
        effect.value, *effect.gradients.values(), implicit.step_penalty(closure, params, 0.1), margin.margin,
        implicit.angle(w, w + 1), implicit.nearest_interpolant(x, y).tolist(),
        implicit.degrees_of_freedom(x, 0.1),
        implicit.stable_rank(x), implicit.effective_rank(x), *(p.mean.tolist() for p in known),
        run.eigenvalues, run.learnt, run.measured, run.strength,
    ]  # fmt: skip


@runs("lipschitz", waits=True)
def _lipschitz(home):
    model = mlp(home)
    x, y = at(home, 6, 4), place(np.array([0, 1, 2, 0, 1, 2]), home)
    truth = place(host(model(mr.Tensor(x))).argmax(axis=1), home)
    pooled = made(home, lambda: nn.AvgPool2d(2))
    found = [mr.lipschitz_bound(model), mr.lipschitz_lower(model, x), mr.certified_radius(model, x).tolist(),
             mr.pgd_attack(model, LOSS, x, y, 0.5, steps=3), mr.path_norm(model),
             mr.calibration_error(nn.functional.softmax(model(mr.Tensor(x))), y),
             mr.attack_radius(model, LOSS, x, truth, rounds=3, steps=2).tolist(),
             mr.analysis.lipschitz.operator_norm(pooled, (1, 4, 4))]  # fmt: skip
    return [*found, *mr.rescale(model, 0, [1.0, 2.0, 3.0, 4.0, 5.0]).parameters()]


@runs("draw", waits=True)
def _draw(home):
    pytest.importorskip("graphviz")
    w = leaf(home, 2)
    w.grad = mr.Tensor(at(home, 2))
    return [len(mr.draw((w * w).sum(), {"w": w}).source.splitlines())]


# --- each is the same on both ---------------------------------------------------------------------


def same(a: Any, b: Any, home: str, rtol: float) -> None:
    """What is an array on the host is one on ``home``, with the same dtype, shape and values."""
    a, b = (v.data if isinstance(v, mr.Tensor) else v for v in (a, b))
    if isinstance(a, np.ndarray | np.generic) and not isinstance(a, float):
        assert backends.of(b).name == home, f"left its backend: {type(b)}"
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
    if isinstance(a, str | None):
        assert a == b
    elif isinstance(a, list) and a and isinstance(a[0], dict):
        for x, y in zip(a, b, strict=True):
            same([*x.values()], [*y.values()], home, rtol)
    else:
        size = float(np.max(np.abs(a), initial=0, where=np.isfinite(a)))
        np.testing.assert_allclose(host(b), a, rtol=rtol, atol=rtol * (1e-3 + size), equal_nan=True)


def compare(name: str, home: str, rtol: float) -> strict.Syncs:
    expected = RUNS[name]("numpy")
    with count_syncs() as syncs:
        got = RUNS[name](home)
    for a, b in zip(expected, got, strict=True):
        same(a, b, home, rtol)
    return syncs


@pytest.mark.parametrize("name", RUNS)
def test_is_the_same_as_on_the_host(name):
    syncs = compare(name, "strict", 1e-5)
    assert bool(syncs) == (name in WAITS), syncs[:5]


@on_gpu
@pytest.mark.parametrize("name", RUNS)
def test_is_the_same_on_a_device(name):
    compare(name, "cupy", 1e-4)


# --- and nothing public is left out ---------------------------------------------------------------

HOST = {
    "course": "claims and lessons, run on the host",
    "cli": "prints; `minireg train` runs above",
    "sklearn": "estimators of host arrays; what they call runs above",
    "datasets": "reads files into host arrays; fit moves them",
    "files": "columns of host arrays and files; what is on a GPU is fetched",
    "messages": "texts",
    "inspect.report": "a page about histories; written by `minireg train` above",
    "inspect.charts": "pictures of histories",
    "inspect.run": "figures of histories",
    "pictures": "drawn on the host, from host arrays",
    "tables": "texts",
    "check.ops": "checks an op on host arrays",
    "ops.iterations.settled": "looks at values, so it is asked on the host only",
    "gpu.step.Update": "a protocol; optim.pipeline.Update runs",
    "ops.samples": "draws the arguments of tests on the host",
    "check.penalties": "checks a penalty on host arrays",
    "backend.register": "how a backend comes to be",
    "gpu.trace": "CUDA source, checked by its own tests",
    "gpu.fused": "CUDA source, checked by its own tests",
    "gpu.step.squares": "CUDA source, checked by its own tests",
    "gpu.step.recorded": "CUDA source, checked by its own tests",
    "gpu.step.source": "CUDA source, checked by its own tests",
    "objective.Implied": "the form of what statistics take; they run above",
    "backend.has_kernel": "marks a function when the package is imported",
    "check.report": "reports of checks of host arrays",
    "optim.pipeline.Optimizer.kernel_source": "CUDA source, checked by its own tests",
    "checkpoint": "files; test_checkpoints and test_a_training_goes_on above",
    "progress": "test_a_training_goes_on above",
    **dict.fromkeys(
        [
            "random.seeds_state",
            "random.load_seeds",
            "inspect.ledger.Ledger.state_dict",
            "inspect.ledger.Ledger.load_state_dict",
            "optim.early_stopping.EarlyStopping.state_dict",
            "optim.early_stopping.EarlyStopping.load_state_dict",
            "batches.Pair.description",
            "batches.Batches.description",
        ],
        "of a checkpoint; test_a_training_goes_on above",
    ),
    "inspect.ledger.Ledger.to_csv": "writes figures that record fetched",
    "inspect.ledger.Ledger.to_parquet": "writes figures that record fetched",
    "nn.module.Module.forward": "raises: a subclass defines it",
    "penalties.constraints.Constraint.normal_distance": "raises: a subclass defines it",
    "ops.table.answers_for": "enters a function into the table when the package is imported",
    "optim.lr_scheduler.ClosedForm.multiplier": "raises: a subclass defines it",
    "optim.lr_scheduler.LRScheduler.rate": "raises: a subclass defines it",
    "optim.lr_scheduler.LRScheduler.step": "asks a rule that a subclass defines",
    "penalties.base.Penalty.value": "raises: a subclass defines it",
    "penalties.constraints.Ball.norm": "raises: a subclass defines it",
    "penalties.constraints.Constraint.outside": "raises: a subclass defines it",
    "analysis.solver.RegularizationPath.draw": "a picture of host arrays",
    "random.Stream.bits": "drawn on the host",
    "penalties.nonconvex.Folded.slope": "raises: a subclass defines it",
    "inspect.history.History.from_json": "reads a file",
    "inspect.history.History.to_json": "writes a file",
    "inspect.history.History.from_dict": "figures of JSON",
    "inspect.history.finite": "figures for JSON",
    "inspect.history.rows_of": "figures of JSON",
    "inspect.kept": "a run in a file, from which it comes to the host; test_kept saves one on the stand-in",
    "sweep.Halving": "chooses by figures of the host",
    "sweep.Sweep.load": "reads a file",
    "sweep.Sweep.to_dict": "figures for JSON",
    "sweep.Sweep.to_json": "writes a file",
    "sweep.plain": "figures for JSON",
    "sweep.experiment_of": "names what a store holds",
    "trials": "a file of figures",
    "workers.inner": "names what a store holds",
    "workers.digest": "names what a store holds",
    "workers.message": "an error as text",
    "workers.versions": "asked of processes",
}
TEXTS = {
    "extra_repr",
    "parameters_text",
    "formula",
    "text",
    "to_sklearn",
    "get_params",
    "set_params",
}  # of objects that run above


def code_of(f: Any) -> CodeType | None:
    """The code that runs when it is called or read."""
    f = f.fget if isinstance(f, property) else getattr(f, "func", getattr(f, "__func__", f))
    is_op = getattr(f, "__code__", None) is mr.exp.__code__  # which wraps its signature
    return getattr(inspect.unwrap(f) if callable(f) and not is_op else f, "__code__", None)


def public() -> Iterator[tuple[str, CodeType]]:
    """Public functions, methods and properties of the package by qualified name; no ops."""
    op = mr.exp.__code__  # every op has this code; test_backends asks the table instead
    for module in pkgutil.walk_packages(mr.__path__, "minireg."):
        if module.name.endswith(("__main__", "signatures")):  # which nobody calls
            continue
        found = importlib.import_module(module.name)
        short = module.name.removeprefix("minireg.")
        for name, value in vars(found).items():
            if name.startswith("_") or getattr(value, "__module__", "") != module.name:
                continue
            own = {name: value}
            if isinstance(value, type):
                own = {f"{name}.{k}": v for k, v in vars(value).items() if not k.startswith("_")}
            for label, f in own.items():
                code = code_of(f)
                known = isinstance(f, property | cached_property | classmethod | staticmethod)
                if code not in (None, op) and (known or inspect.isroutine(f) or callable(f)):
                    yield f"{short}.{label}", code


def excused(name: str) -> str | None:
    return next((key for key in HOST if name == key or name.startswith(f"{key}.")), None)


def everything() -> None:
    """All that this file and the tables of the others run, on the stand-in."""
    for run in RUNS.values():
        run("strict")
    for p in SAMPLES:
        name, i = p.values
        sample = list(OPS[name].samples(np.random.default_rng(0)))[i]
        derivatives(OPS[name], sample, "strict")
    for name in VALUES_ONLY:
        run_values(name, "strict")
    for name, i in LAYER_CASES:
        run_layer(name, i, True, "strict")
    for runner, table in ((run_loss, LOSS_CASES), (run_penalty, PENALTY_CASES),
                          (run_optimizer, OPTIMIZER_CASES)):  # fmt: skip
        for name, i in table:
            runner(name, i, "strict")
    for name in LINALG:
        run_linalg(name, "strict")
    for name in COMPOSED.keys() & CASES.keys():
        run_composed(name, "strict")
    train("strict", 0.3)
    train("strict", via="prox", attribute=False, within=True)
    train_on_images("strict")
    for name in LEDGERED:
        entries(train_with_ledger(name, "strict"))
    for norm in (1.0, math.inf):
        w = leaf("strict", 3)
        w.grad = mr.Tensor(at("strict", 3))
        optim.clip_grad_norm_([w], 0.1, norm)
        optim.clip_grad_value_([w], 0.1)


@pytest.mark.slow
def test_nothing_public_is_left_out():
    ran: set[CodeType] = set()
    tracing = sys.gettrace()
    sys.settrace(lambda frame, *_: ran.add(frame.f_code))  # None: not line by line
    try:
        everything()
    finally:
        sys.settrace(tracing)
    names = dict(public())
    assert len(names) > 400
    texts = {name for name in names if name.rpartition(".")[2] in TEXTS}
    missing = [
        n for n, code in names.items() if code not in ran and excused(n) is None and n not in texts
    ]
    assert not missing, f"never run on the stand-in, and no reason given in HOST: {missing}"
    unneeded = [
        key
        for key in HOST
        if not any(excused(n) == key and code not in ran for n, code in names.items())
    ]
    assert not unneeded, f"excuses that are no longer true: {unneeded}"


def test_names_of_the_package_are_functions_ops_or_modules_seen_here():
    """Whatever ``minireg`` exports is reached by :func:`public`, or is an op, an alias or a module."""
    seen = {id(f) for f in (*COMPOSED.values(), *(e.function for e in OPS.values()))}
    modules = {m.name for m in pkgutil.walk_packages(mr.__path__, "minireg.")}
    for name in mr.__all__:
        value = getattr(mr, name)
        home = getattr(value, "__module__", None) or value.__name__
        assert id(value) in seen or home in modules or value.__name__ in modules, name


# --- what must be installed -----------------------------------------------------------------------

ONLY_NUMPY = """
import sys
ALLOWED = {"numpy", "cupy", "cupyx", "cupy_backends", "fastrlock", "cuda", "minireg"}
ALLOWED |= sys.stdlib_module_names
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ImportError(f"{name} is not installed")
sys.meta_path.insert(0, Refuse())
import importlib, pkgutil
import minireg as mr, numpy as np
for module in pkgutil.walk_packages(mr.__path__, "minireg."):
    if not module.name.endswith(("__main__", "minireg.sklearn")):  # the last by name only
        importlib.import_module(module.name)
try:
    import minireg.sklearn
except ImportError as error:
    assert "pip install 'minireg[sklearn]'" in str(error)
mr.manual_seed(0)
nn, x, y = mr.nn, np.eye(3, dtype=np.float32), np.array([0, 1, 0])
model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(4, 2))
objective = mr.Objective(mr.nn.CrossEntropyLoss(label_smoothing=0.1), {"l2": mr.penalties.L2(1e-3)})
optimizer = mr.optim.AdamW(model.parameters())
history = mr.fit(model, objective, optimizer, (x, y), epochs=2, ledger=mr.Ledger(optimizer))
mr.curvature.eigenvalues(lambda: objective(model.eval(), mr.tensor(x), y).total, model)
try:
    print(len(history), mr.backend.get("cupy").name)
except (ImportError, RuntimeError) as error:
    print(len(history), error)
"""


def test_runs_with_only_numpy_and_cupy_installed():
    done = subprocess.run(
        [sys.executable, "-c", ONLY_NUMPY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cupy" in done.stdout.lower()
