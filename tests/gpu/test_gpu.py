"""NumPy and CuPy agree on a real device: everything that runs on the stand-in runs here.

The cases are those of ``test_backends.py``, ``test_arrays.py``, ``test_linalg.py``,
``test_surface.py``, ``test_step.py`` and ``test_claims.py``, whose runs take the name of a
backend. Skipped, with the reason, where there is no CUDA device.
"""

import json
from typing import Any

import numpy as np
import pytest
import test_arrays
import test_backends as cases
import test_claims
import test_linalg as linalg_cases
import test_step as steps
import test_surface as surface
import test_trace as kernel_cases

import minireg as mr
from minireg import backend as backends
from minireg.cli import main as cli
from minireg.ops import COMPOSED, TABLE

HOME = "cupy"


def reason() -> str:
    try:
        backends.get(HOME)
    except (ImportError, RuntimeError) as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(reason()), reason=reason())]

# The stand-in is stricter: CuPy copies a host index to the device each time it is used.
STRICTER = {"host index", "list index", "xp.at with host index"}
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-4}  # of results, relative to their size
by_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: d.__name__)


def agree(run: Any, tolerance: float) -> None:
    """``run(home)`` gives the same on both, relative to the size of each array."""
    for a, b in zip(run("numpy"), run(HOME), strict=True):
        a, b = (v.data if isinstance(v, mr.Tensor) else v for v in (a, b))
        assert (a is None) == (b is None)
        if a is not None:
            assert backends.of(b).name == HOME
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            size = np.abs(a).max() if a.size else 1
            np.testing.assert_allclose(
                cases.host(b), a, rtol=tolerance, atol=tolerance * (1 + size)
            )


# --- ops ------------------------------------------------------------------------------------------


# The vectors of svd and eigh may have the other sign; test_linalg compares what does not depend
# on it.
@by_dtype
@pytest.mark.parametrize(
    ("name", "i"), [p for p in cases.SAMPLES if p.values[0] not in ("svd", "eigh")]
)
def test_op(name, i, dtype):
    entry = TABLE[name]
    sample = list(entry.samples(np.random.default_rng(0)))[i]
    agree(lambda home: cases.derivatives(entry, sample, home, dtype), TOLERANCE[dtype])


@pytest.mark.parametrize("name", cases.VALUES_ONLY)
def test_op_without_gradient(name):
    agree(lambda home: cases.run_values(name, home), 0)


@pytest.mark.parametrize("name", sorted(COMPOSED.keys() & test_arrays.CASES.keys()))
def test_composed_function(name):
    assert test_arrays.run_composed(name, HOME, 1e-12) > 2


@pytest.mark.parametrize("name", linalg_cases.ON_DEVICE)
def test_linalg(name):
    agree(lambda home: linalg_cases.run(name, home), 1e-9)


# --- layers, losses, penalties, optimizers --------------------------------------------------------


@by_dtype
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("name", "i"), cases.LAYER_CASES)
def test_layer(name, i, training, dtype):
    agree(lambda home: cases.run_layer(name, i, training, home, dtype), TOLERANCE[dtype])


@by_dtype
@pytest.mark.parametrize(("name", "i"), cases.LOSS_CASES)
def test_loss(name, i, dtype):
    agree(lambda home: cases.run_loss(name, i, home, dtype), TOLERANCE[dtype])


@by_dtype
@pytest.mark.parametrize(("name", "i"), cases.PENALTY_CASES)
def test_penalty(name, i, dtype):
    agree(lambda home: cases.run_penalty(name, i, home, dtype), TOLERANCE[dtype])


@by_dtype
@pytest.mark.parametrize(("name", "i"), cases.OPTIMIZER_CASES)
def test_optimizer(name, i, dtype):
    agree(lambda home: cases.run_optimizer(name, i, home, dtype), TOLERANCE[dtype])


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, np.inf])
def test_clipping(norm_type):
    agree(lambda home: cases.clipped(home, 0.1, norm_type), 1e-6)


# --- steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", kernel_cases.LAUNCHED)
def test_update_kernel(label):
    agree(lambda home: kernel_cases.passes(label, home), 1e-10)


@pytest.mark.parametrize(("scene", "label"), kernel_cases.SCENERY)
def test_arrays_come_and_go(scene, label):
    agree(lambda home: kernel_cases.play(scene, label, home), 1e-9)


@by_dtype
@pytest.mark.parametrize(("attribute", "via", "within"), cases.TRAINING)
def test_training_steps(attribute, via, within, dtype):
    agree(lambda home: cases.train(home, 0.0, attribute, via, within, dtype), TOLERANCE[dtype])


def test_training_with_dropout_stays_on_the_device():
    results = cases.train(HOME, 0.3)
    assert {backends.of(r.data if isinstance(r, mr.Tensor) else r).name for r in results} == {HOME}
    assert all(np.isfinite(cases.host(r)).all() for r in results)


@by_dtype
@pytest.mark.parametrize("name", cases.LEDGERED)
def test_training_with_a_ledger(name, dtype):
    agree(lambda home: cases.entries(cases.train_with_ledger(name, home, dtype)), TOLERANCE[dtype])


@by_dtype
def test_training_on_images(dtype):
    agree(lambda home: cases.train_on_images(home, dtype), 10 * TOLERANCE[dtype])


@pytest.mark.parametrize("way", steps.WAYS)
@pytest.mark.parametrize(("name", "i"), cases.OPTIMIZER_CASES)
def test_whole_step(name, i, way):
    step = steps.Step(name, *steps.WAYS[way], home=HOME, **cases.OPTIMIZERS[name][i])
    assert all(np.isfinite(step().item()) for _ in range(3))
    assert step.ledger is None or step.ledger.last.residual < 1e-4


# --- everything else that is public ---------------------------------------------------------------


@pytest.mark.parametrize("name", surface.RUNS)
def test_public_name(name):
    surface.compare(name, HOME, 1e-4)


@pytest.mark.parametrize("name", test_claims.ALL)
def test_claim(name):
    test_claims.measured(name, HOME)


def test_train_from_the_command_line(tmp_path, capsys):
    for package in ("sklearn", "rich", "matplotlib"):
        pytest.importorskip(package)
    for home in ("numpy", HOME):
        assert cli.main(surface.options(home, tmp_path)) == 0
    ours, theirs = (
        json.loads((tmp_path / home / "history.json").read_text())["runs"]["regularized"]["columns"]
        for home in ("numpy", HOME)
    )
    np.testing.assert_allclose(ours["train_loss"], theirs["train_loss"], rtol=1e-2)


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", sorted(cases.REFUSED.keys() - STRICTER))
def test_cupy_refuses_what_the_stand_in_refuses(what):
    xp = backends.get(HOME).xp
    with pytest.raises((TypeError, ValueError, AttributeError)):
        cases.REFUSED[what](xp.asarray(cases.draw(2, 3)), xp)


@pytest.mark.parametrize("op", cases.MIXED)
def test_mixing_says_what_to_write(op):
    cases.check_mixing(op, HOME)
