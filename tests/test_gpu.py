"""NumPy and CuPy agree on a real device: ops in value and derivatives, layers, losses, training.

Skipped, with the reason, where there is no CUDA device; the stand-in of ``strict.py``
runs the same cases in ``test_backends.py`` everywhere.
"""

from typing import Any

import numpy as np
import pytest
import test_backends as cases
import test_linalg as linalg_cases

import minireg as mr
from minireg import backend as backends
from minireg.ops import TABLE

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
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-4}


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


# The vectors of svd and eigh may have the other sign; test_linalg compares what does not depend
# on it.
@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: d.__name__)
@pytest.mark.parametrize(
    ("name", "i"), [p for p in cases.SAMPLES if p.values[0] not in ("svd", "eigh")]
)
def test_op(name, i, dtype):
    entry = TABLE[name]
    sample = list(entry.samples(np.random.default_rng(0)))[i]
    agree(lambda home: cases.derivatives(entry, sample, home, dtype), TOLERANCE[dtype])


@pytest.mark.parametrize("name", linalg_cases.ON_DEVICE)
def test_linalg(name):
    agree(lambda home: linalg_cases.run(name, home), 1e-9)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("name", "i"), cases.LAYER_CASES)
def test_layer(name, i, training):
    agree(lambda home: cases.run_layer(name, i, training, home), 1e-4)


@pytest.mark.parametrize(("name", "i"), cases.LOSS_CASES)
def test_loss(name, i):
    agree(lambda home: cases.run_loss(name, i, home), 1e-4)


@pytest.mark.parametrize("what", sorted(cases.REFUSED.keys() - STRICTER))
def test_cupy_refuses_what_the_stand_in_refuses(what):
    xp = backends.get(HOME).xp
    with pytest.raises((TypeError, ValueError, AttributeError)):
        cases.REFUSED[what](xp.asarray(cases.draw(2, 3)), xp)


@pytest.mark.parametrize(("name", "i"), cases.PENALTY_CASES)
def test_penalty(name, i):
    agree(lambda home: cases.run_penalty(name, i, home), 1e-4)


@pytest.mark.parametrize(("name", "i"), cases.OPTIMIZER_CASES)
def test_optimizer(name, i):
    agree(lambda home: cases.run_optimizer(name, i, home), 1e-4)


@pytest.mark.parametrize(("attribute", "via"), cases.TRAINING)
def test_training_steps(attribute, via):
    agree(lambda home: cases.train(home, 0.0, attribute, via), 1e-4)


def test_training_with_dropout_stays_on_the_device():
    results = cases.train(HOME, 0.3)
    assert {backends.of(r.data if isinstance(r, mr.Tensor) else r).name for r in results} == {HOME}
    assert all(np.isfinite(cases.host(r)).all() for r in results)
