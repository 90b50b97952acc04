"""NumPy and CuPy agree on a real device; ``test_backends.py`` runs the same cases on the stand-in.

Skipped, with the reason, where there is no CUDA device.
"""

import numpy as np
import pytest
from support.arrays import draw, host
from support.device import (
    LAYER_CASES,
    LEDGERED,
    LINALG,
    LOSS_CASES,
    MIXED,
    OPTIMIZER_CASES,
    PENALTY_CASES,
    REFUSED,
    SAMPLES,
    TRAINING,
    VALUES_ONLY,
    check_mixing,
    clipped,
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
from support.gpu import HOME, MARKS, TOLERANCE, agree, by_dtype

import minireg as mr
from minireg import backend as backends
from minireg.ops import COMPOSED, TABLE

pytestmark = MARKS

# The stand-in is stricter: CuPy copies a host index to the device each time it is used.
STRICTER = {"host index", "list index", "xp.at with host index"}

# --- ops ------------------------------------------------------------------------------------------


# The vectors of svd and eigh may have the other sign; test_linalg compares what does not depend
# on it.
@by_dtype
@pytest.mark.parametrize(("name", "i"), [p for p in SAMPLES if p.values[0] not in ("svd", "eigh")])
def test_op(name, i, dtype):
    entry = TABLE[name]
    sample = list(entry.samples(np.random.default_rng(0)))[i]
    agree(lambda home: derivatives(entry, sample, home, dtype), TOLERANCE[dtype])


@pytest.mark.parametrize("name", VALUES_ONLY)
def test_op_without_gradient(name):
    agree(lambda home: run_values(name, home), 0)


@pytest.mark.parametrize("name", sorted(COMPOSED.keys() & CASES.keys()))
def test_composed_function(name):
    assert run_composed(name, HOME, 1e-12) > 2


@pytest.mark.parametrize("name", LINALG)
def test_linalg(name):
    agree(lambda home: run_linalg(name, home), 1e-9)


# --- layers, losses, penalties, optimizers --------------------------------------------------------


@by_dtype
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("name", "i"), LAYER_CASES)
def test_layer(name, i, training, dtype):
    agree(lambda home: run_layer(name, i, training, home, dtype), TOLERANCE[dtype])


@by_dtype
@pytest.mark.parametrize(("name", "i"), LOSS_CASES)
def test_loss(name, i, dtype):
    agree(lambda home: run_loss(name, i, home, dtype), TOLERANCE[dtype])


@by_dtype
@pytest.mark.parametrize(("name", "i"), PENALTY_CASES)
def test_penalty(name, i, dtype):
    agree(lambda home: run_penalty(name, i, home, dtype), TOLERANCE[dtype])


@by_dtype
@pytest.mark.parametrize(("name", "i"), OPTIMIZER_CASES)
def test_optimizer(name, i, dtype):
    agree(lambda home: run_optimizer(name, i, home, dtype), TOLERANCE[dtype])


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, np.inf])
def test_clipping(norm_type):
    agree(lambda home: clipped(home, 0.1, norm_type), 1e-6)


# --- steps ----------------------------------------------------------------------------------------


@by_dtype
@pytest.mark.parametrize(("attribute", "via", "within"), TRAINING)
def test_training_steps(attribute, via, within, dtype):
    agree(lambda home: train(home, 0.0, attribute, via, within, dtype), TOLERANCE[dtype])


def test_training_with_dropout_stays_on_the_device():
    results = train(HOME, 0.3)
    assert {backends.of(r.data if isinstance(r, mr.Tensor) else r).name for r in results} == {HOME}
    assert all(np.isfinite(host(r)).all() for r in results)


@by_dtype
@pytest.mark.parametrize("name", LEDGERED)
def test_training_with_a_ledger(name, dtype):
    agree(lambda home: entries(train_with_ledger(name, home, dtype)), TOLERANCE[dtype])


@by_dtype
def test_training_on_images(dtype):
    agree(lambda home: train_on_images(home, dtype), 10 * TOLERANCE[dtype])


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", sorted(REFUSED.keys() - STRICTER))
def test_cupy_refuses_what_the_stand_in_refuses(what):
    xp = backends.get(HOME).xp
    with pytest.raises((TypeError, ValueError, AttributeError)):
        REFUSED[what](xp.asarray(draw(2, 3)), xp)


@pytest.mark.parametrize("op", MIXED)
def test_mixing_says_what_to_write(op):
    check_mixing(op, HOME)
