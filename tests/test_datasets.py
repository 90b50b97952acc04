"""Data sets: the same arguments give the same arrays, and nothing leaks from the validation part."""

import importlib

import numpy as np
import pytest

from minireg import datasets
from minireg.backend import Stream
from minireg.datasets import TABLE, Dataset, flip_labels, load

pytest.importorskip("sklearn")

every_set = pytest.mark.parametrize("name", TABLE)
LABELLED = [name for name, (_, task, _) in TABLE.items() if task == "classification"]
every_labelled_set = pytest.mark.parametrize("name", LABELLED)


def arrays(data: Dataset) -> list[np.ndarray]:
    return [*data.train, *data.validation, data.flipped]


def raw(name: str) -> tuple[np.ndarray, np.ndarray]:
    bunch = getattr(importlib.import_module("sklearn.datasets"), TABLE[name][0])()
    return bunch.data, bunch.target


# --- what comes back ------------------------------------------------------------------------------


@every_set
def test_the_same_arguments_give_the_same_arrays(name):
    noise = 0.2 if name in LABELLED else 0.0
    for a, b in zip(arrays(load(name, noise)), arrays(load(name, noise)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (load(name, seed=1).x_train != load(name).x_train).any()


@every_set
@pytest.mark.parametrize("validation", [0.1, 0.3, 0.5])
def test_sizes_dtypes_and_names(name, validation):
    data, (x, _) = load(name, validation=validation), raw(name)
    held = round(validation * len(x))
    assert (len(data.x_validation), len(data.x_train)) == (held, len(x) - held)
    assert data.x_train.shape[1] == data.x_validation.shape[1] == len(data.feature_names)
    assert data.x_train.dtype == data.x_validation.dtype == np.float32
    if data.task == "classification":
        assert data.y_train.dtype == data.y_validation.dtype == np.int64
        assert data.y_train.shape == (len(data.x_train),)
        assert set(data.y_train) == set(range(data.classes))
    else:
        assert data.y_train.dtype == data.y_validation.dtype == np.float32
        assert data.y_train.shape == (len(data.x_train), 1)
        assert data.classes == 0


@every_set
def test_the_split_is_a_partition(name):
    data, (x, y) = load(name, standardize=False), raw(name)
    together = np.concatenate([data.x_train, data.x_validation])
    targets = np.concatenate([data.y_train, data.y_validation]).reshape(-1)
    rows = np.column_stack([together, targets]).astype(np.float32)
    expected = np.column_stack([x, y]).astype(np.float32)
    order = np.lexsort(rows.T), np.lexsort(expected.T)
    np.testing.assert_array_equal(rows[order[0]], expected[order[1]])


# --- standardisation ------------------------------------------------------------------------------


@every_set
def test_training_features_have_mean_zero_and_deviation_one(name):
    data = load(name)
    x = data.x_train.astype(np.float64)
    varies = x.std(axis=0) > 0
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(axis=0)[varies], 1, rtol=1e-5)
    assert (x[:, ~varies] == 0).all()
    assert (~varies).any() == (name == "digits")  # the corners of the images are always empty


@every_set
def test_the_validation_part_does_not_leak(name):
    """Its statistics play no part: the training arrays say how all of it was scaled."""
    plain, scaled = load(name, standardize=False), load(name)
    x = plain.x_train.astype(float)
    mean, deviation = x.mean(axis=0), np.where(x.std(axis=0) == 0, 1, x.std(axis=0))
    for got, x in ((scaled.x_train, plain.x_train), (scaled.x_validation, plain.x_validation)):
        np.testing.assert_allclose(got, (x - mean) / deviation, atol=1e-4)
    assert (np.abs(scaled.x_validation.mean(axis=0)) > 1e-3).any()


def test_a_regression_target_is_scaled_by_its_training_part():
    plain, scaled = load("diabetes", standardize=False), load("diabetes")
    y = plain.y_train.astype(float)
    for got, target in ((scaled.y_train, y), (scaled.y_validation, plain.y_validation)):
        np.testing.assert_allclose(got, (target - y.mean()) / y.std(), atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e6])
def test_a_constant_feature_becomes_zero(value):
    """Its deviation is 0 up to rounding, which must not be blown up to 1."""
    x = np.full((7, 1), value)
    np.testing.assert_allclose(datasets._standardized(x, x), 0, atol=1e-9)


# --- label noise ------------------------------------------------------------------------------------


@every_labelled_set
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2, 0.5, 0.99])
def test_exactly_the_asked_share_of_labels_is_flipped(name, noise):
    clean, noisy = load(name), load(name, noise)
    assert noisy.flipped.sum() == round(noise * len(clean.y_train))
    np.testing.assert_array_equal(noisy.flipped, noisy.y_train != clean.y_train)
    assert 0 <= noisy.y_train.min() <= noisy.y_train.max() < clean.classes


@every_labelled_set
def test_noise_touches_training_labels_only(name):
    clean, noisy = load(name), load(name, 0.5)
    np.testing.assert_array_equal(clean.x_train, noisy.x_train)
    for a, b in zip(clean.validation, noisy.validation, strict=True):
        np.testing.assert_array_equal(a, b)


def test_noise_is_spread_evenly_over_the_other_classes():
    n, classes = 60_000, 4
    y = np.repeat(np.arange(classes), n // classes)
    noisy, flipped = flip_labels(y, 0.5, classes, Stream("noise", seed=0))
    assert flipped.sum() == n // 2
    counts = np.zeros((classes, classes))
    np.add.at(counts, (y[flipped], noisy[flipped]), 1)
    assert (np.diag(counts) == 0).all()
    each = n / 2 / classes / (classes - 1)
    assert np.abs(counts[~np.eye(classes, dtype=bool)] - each).max() < 5 * np.sqrt(each)


def test_flipping_leaves_its_input_alone():
    y = np.zeros(10, int)
    flip_labels(y, 0.5, 3, Stream("noise", seed=0))
    assert (y == 0).all()


# --- refusals ---------------------------------------------------------------------------------------

REFUSED = {
    "name": ({"name": "iris"}, r"unknown data set 'iris', expected one of \['breast_cancer', 'diabetes'"),
    "noise": ({"name": "wine", "noise": 1.0}, r"noise must be in \[0, 1\), got 1.0"),
    "negative noise": ({"name": "wine", "noise": -0.1}, r"noise must be in \[0, 1\), got -0.1"),
    "noise on numbers": ({"name": "diabetes", "noise": 0.1}, "'diabetes' is a regression"),
    "validation": ({"name": "wine", "validation": 0.0}, r"validation must be in \(0, 1\), got 0.0"),
    "all validation": ({"name": "wine", "validation": 1}, r"validation must be in \(0, 1\), got 1"),
    "too little": ({"name": "wine", "validation": 1e-3}, "leaves a part of 'wine' empty"),
    "too much": ({"name": "wine", "validation": 0.999}, "leaves a part of 'wine' empty"),
}  # fmt: skip


@pytest.mark.parametrize("label", REFUSED)
def test_load_says_what_it_expected(label):
    options, message = REFUSED[label]
    with pytest.raises(ValueError, match=f"^datasets.load: .*{message}"):
        load(**options)


def test_without_sklearn_the_extra_is_named(monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ImportError, match=r"scikit-learn: pip install 'minireg\[lessons\]'"):
        load("wine")


def test_repr_of_a_dataset():
    assert repr(load("digits", 0.2)) == (
        "Dataset(digits: 1258 training (252 labels flipped), 539 validation, 64 features)"
    )
