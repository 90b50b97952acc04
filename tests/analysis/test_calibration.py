"""calibration_error: against the definition, bin by bin, and what it should be of known classifiers."""

import numpy as np
import pytest

import minireg as mr


def by_definition(p, y, bins):
    """(share, |accuracy − confidence|) of each bin that holds a sample, as the paper's sum has it."""
    confidence, guess, found = p.max(axis=1), p.argmax(axis=1), []
    for k in range(bins):
        here = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        if here.any():
            gap = abs((guess == y)[here].mean() - confidence[here].mean())
            found.append((here.mean(), gap))
    return np.array(found).T


def drawn(n=200, classes=5, spread=2.0, seed=0):
    """Probabilities and labels that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    z = spread * rng.normal(size=(n, classes))
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rng.integers(0, classes, n)


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 100])
@pytest.mark.parametrize("seed", range(5))
def test_the_definition(bins, seed):
    p, y = drawn(seed=seed)
    share, gap = by_definition(p, y, bins)
    assert share.sum() == pytest.approx(1)
    expected = {"l1": share @ gap, "l2": np.sqrt(share @ gap**2), "max": gap.max()}
    for norm, value in expected.items():
        assert mr.calibration_error(p, y, bins, norm) == pytest.approx(value, rel=1e-12)
    assert mr.calibration_error(p, y, bins) <= mr.calibration_error(p, y, bins, "l2")
    assert mr.calibration_error(p, y, bins, "l2") <= mr.calibration_error(p, y, bins, "max")


def test_one_bin_is_confidence_less_accuracy():
    p, y = drawn()
    over = p.max(axis=1).mean() - (p.argmax(axis=1) == y).mean()
    assert over > 0
    assert mr.calibration_error(p, y, bins=1) == pytest.approx(over, rel=1e-12)


def test_finer_bins_see_more():
    """Each of 2b bins lies in one of b, and |Σ| ≤ Σ|·|."""
    p, y = drawn()
    errors = [mr.calibration_error(p, y, bins) for bins in (1, 2, 4, 8, 16, 32)]
    assert (np.diff(errors) >= -1e-15).all()


def test_labels_drawn_from_the_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    p, _ = drawn(20_000)
    y = (rng.random((len(p), 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    assert mr.calibration_error(p, y) < 0.01
    sharper = p**2 / (p**2).sum(axis=1, keepdims=True)
    assert mr.calibration_error(sharper, y) > 0.1


def test_known_classifiers():
    certain = np.eye(3)[[0, 1, 2, 0]]
    assert mr.calibration_error(certain, [0, 1, 2, 0]) == 0
    assert mr.calibration_error(certain, [1, 2, 0, 1]) == 1
    assert mr.calibration_error(certain, [0, 1, 0, 1]) == 0.5
    flat = np.full((4, 2), 0.5)
    assert mr.calibration_error(flat, [0, 1, 0, 1]) == 0


def test_a_bin_has_its_upper_end():
    """Confidences of exactly k/bins, and one of 1, which is no bin of its own."""
    for confidence, other in ((0.6, 0.5), (0.8, 0.7), (1.0, 0.9)):
        p = np.array([[confidence, 1 - confidence], [other, 1 - other]])
        one = mr.calibration_error(p, [1, 0], bins=5)
        assert one == pytest.approx(abs(0.5 - (confidence + other) / 2))  # both in one bin


def test_whatever_holds_numbers():
    p, y = drawn(20)
    expected = mr.calibration_error(p, y)
    single = p.astype(np.float32)
    for a, b in (
        (p.tolist(), y.tolist()),
        (mr.tensor(p), mr.tensor(y)),
        (single, y.astype(np.uint8)),
    ):
        found = mr.calibration_error(a, b)
        assert isinstance(found, float)
        assert found == pytest.approx(expected, rel=1e-5)
    z = mr.tensor(np.log(p), requires_grad=True)
    assert mr.calibration_error(mr.nn.functional.softmax(z), y) == pytest.approx(expected)


P, Y = drawn(6)
MISUSE = {
    "logits": (lambda: mr.calibration_error(np.log(P), Y), "≥ 0 with sum 1.*softmax"),
    "logits within 0 and 1": (lambda: mr.calibration_error(0.5 * P, Y), "≥ 0 with sum 1.*softmax"),
    "NaN": (lambda: mr.calibration_error(np.nan * P, Y), "≥ 0 with sum 1"),
    "no samples": (lambda: mr.calibration_error(P[:0], Y[:0]), "there must be one"),
    "of one class": (lambda: mr.calibration_error(P.max(axis=1), Y), r"probabilities of shape \(6,\) and"),
    "lengths": (lambda: mr.calibration_error(P, Y[1:]), r"shape \(6, 5\) and labels of shape \(5,\)"),
    "a label too many": (lambda: mr.calibration_error(P, Y + 5), "integers in 0 … C − 1"),
    "bins": (lambda: mr.calibration_error(P, Y, 0), "bins must be an integer ≥ 1, got 0"),
    "norm": (lambda: mr.calibration_error(P, Y, norm="l3"), "norm must be .*'max'.*got 'l3'"),
}  # fmt: skip


@pytest.mark.parametrize("label", MISUSE)
def test_misuse(label):
    call, message = MISUSE[label]
    with pytest.raises(ValueError, match=f"calibration_error: .*{message}"):
        call()
