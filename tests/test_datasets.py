"""Data sets: the same arguments give the same arrays, and nothing leaks from the validation part."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest

import minireg as mr
from minireg import datasets
from minireg.cli import main as cli
from minireg.datasets import TABLE, Dataset, arrays, flip_labels, load, read_idx
from minireg.random import Stream

PARTS = {"train": 40, "t10k": 11}  # images of a small stand-in for Fashion-MNIST


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


def images(part: str) -> np.ndarray:
    x = np.random.default_rng(len(part)).integers(0, 256, (PARTS[part], 3, 4))
    x[:, 0, 0] = 0  # a corner that is always empty
    return x


def write(folder: Path, pack: bool = False) -> Path:
    """The four files, as they are or packed."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, n in PARTS.items():
        for name, a in {"images-idx3": images(part), "labels-idx1": np.arange(n) % 3}.items():
            path, content = folder / f"{part}-{name}-ubyte", idx(a)
            if pack:
                path, content = path.with_name(path.name + ".gz"), gzip.compress(content)
            path.write_bytes(content)
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """MINIREG_DATA with a small Fashion-MNIST; no packaged one."""
    monkeypatch.setenv("MINIREG_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "PACKAGED", tmp_path / "nowhere")
    return write(tmp_path / "fashion-mnist")


every_set = pytest.mark.parametrize("name", TABLE)
LABELLED = [name for name, (task, _) in TABLE.items() if task == "classification"]
every_labelled_set = pytest.mark.parametrize("name", LABELLED)


def parts(data: Dataset) -> list[np.ndarray]:
    return [*data.train, *data.validation, data.flipped]


# --- what ships -----------------------------------------------------------------------------------

SHIPPED = [name for name in TABLE if name != "fashion-mnist"]


def test_what_ships_is_what_scikit_learn_has():
    pytest.importorskip("sklearn")
    pytest.importorskip("PIL", reason="scikit-learn reads its photograph with Pillow")
    made = run_path(str(Path(__file__).parents[1] / "tools" / "make_datasets.py"))["made"]()
    with np.load(datasets.SHIPPED) as file:
        assert [*file] == [*made], "python tools/make_datasets.py"
        photo = file["photo"].astype(int) - made.pop("photo")
        assert np.abs(photo).max() <= 1  # versions of the JPEG library round differently
        for name, a in made.items():
            np.testing.assert_array_equal(file[name], a, strict=True, err_msg=name)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_arrays_are_those_of_scikit_learn(name):
    loader = getattr(pytest.importorskip("sklearn.datasets"), f"load_{name}")
    options = {"scaled": False} if name == "diabetes" else {}
    for a, b in zip(arrays(name), loader(return_X_y=True, **options), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_the_notice_names_everything_that_ships():
    notice = (datasets.SHIPPED.parent / "NOTICE.md").read_text(encoding="utf-8")
    with np.load(datasets.SHIPPED) as file:
        for name in {key.partition(".")[0] for key in file}:
            assert f"| `{name}` |" in notice
    assert "BSD 3-Clause License" in notice
    assert "CC BY 2.0" in notice


def test_numpy_is_enough():
    """The package and its data, where nothing else can be imported."""
    code = (
        "import sys; from importlib.abc import MetaPathFinder\n"
        "class Refuse(MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.partition('.')[0] not in {'minireg', 'numpy', *sys.stdlib_module_names}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import minireg as mr; print(mr.datasets.load('digits'), mr.datasets.photo().shape)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == (
        "Dataset(digits: 1258 training (0 labels flipped), 539 validation, 64 features) (64, 64)\n"
    ), found.stderr


def test_the_photograph_is_grey_values():
    image = datasets.photo()
    assert (image.shape, image.dtype) == ((64, 64), np.float64)
    assert 0 <= image.min() < 0.1
    assert 0.9 < image.max() <= 1


def test_groups_hold_mean_error_and_worst_of_one_measurement():
    data = load("breast_cancer")
    assert sorted(i for group in data.groups for i in group) == [*range(30)]
    for mean, error, worst in data.groups:
        measured = data.feature_names[mean].removeprefix("mean ")
        assert data.feature_names[error] == f"{measured} error"
        assert data.feature_names[worst] == f"worst {measured}"
    lasso = mr.penalties.GroupLasso(0.1, groups=data.groups)
    w = np.zeros((1, 30))
    w[0, [*data.groups[0]]] = 1, 2, 2
    assert lasso.value(w) == pytest.approx(0.1 * np.sqrt(3) * 3)
    assert load("wine").groups == ()


# --- what comes back ------------------------------------------------------------------------------


@every_set
def test_the_same_arguments_give_the_same_arrays(name):
    noise = 0.2 if name in LABELLED else 0.0
    for a, b in zip(parts(load(name, noise)), parts(load(name, noise)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (load(name, validation=0.3, seed=1).x_train != load(name, validation=0.3).x_train).any()


@every_set
@pytest.mark.parametrize("validation", [0.1, 0.3, 0.5])
def test_sizes_dtypes_and_names(name, validation):
    data, (x, _) = load(name, validation=validation), arrays(name)
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
    data, (x, y) = load(name, standardize=False), arrays(name)
    together = np.concatenate([data.x_train, data.x_validation])
    targets = np.concatenate([data.y_train, data.y_validation]).reshape(-1)
    rows = np.column_stack([together, targets]).astype(np.float32)
    expected = np.column_stack([x, y]).astype(np.float32)
    order = np.lexsort(rows.T), np.lexsort(expected.T)
    np.testing.assert_array_equal(rows[order[0]], expected[order[1]])


# --- Fashion-MNIST from IDX files -------------------------------------------------------------------


@pytest.mark.parametrize("pack", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0,)])
def test_an_idx_file_is_read(tmp_path, shape, pack):
    a = np.random.default_rng(0).integers(0, 256, shape)
    path = tmp_path / ("a.gz" if pack else "a")
    path.write_bytes(gzip.compress(idx(a)) if pack else idx(a))
    np.testing.assert_array_equal(read_idx(path), a)


GARBAGE = {
    "empty": ("a", b"", "begins with nothing, expected 00 00 08"),
    "other": ("a", b"PK\x03\x04....", "begins with 50 4b 03 04"),
    "floats": ("a", bytes([0, 0, 13, 1, 0, 0, 0, 0]), "begins with 00 00 0d 01"),
    "cut header": ("a", bytes([0, 0, 8, 3, 0, 0, 0, 1]), "begins with 00 00 08 03"),
    "cut": ("a", idx(np.zeros((3, 4)))[:-1], r"holds 11 bytes, expected 12 for the shape \(3, 4\)"),
    "too long": ("a", idx(np.zeros(3)) + b"x", "holds 4 bytes, expected 3"),
    "no gzip": ("a.gz", idx(np.zeros(3)), "is no whole gzip file"),
    "cut gzip": ("a.gz", gzip.compress(idx(np.zeros(3)))[:-4], "is no whole gzip file"),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_no_idx_file(tmp_path, what):
    name, content, message = GARBAGE[what]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^read_idx: .*{message}"):
        read_idx(tmp_path / name)


def test_its_own_test_part_is_the_validation_part():
    data = load("fashion-mnist", standardize=False)
    for got, part in ((data.train, "train"), (data.validation, "t10k")):
        np.testing.assert_array_equal(got[0], images(part).reshape(PARTS[part], -1))
        np.testing.assert_array_equal(got[1], np.arange(PARTS[part]) % 3)
    assert data.feature_names[:5] == (
        "pixel_0_0",
        "pixel_0_1",
        "pixel_0_2",
        "pixel_0_3",
        "pixel_1_0",
    )
    assert len(load("fashion-mnist", validation=0.5).x_validation) == round(sum(PARTS.values()) / 2)


def test_where_the_files_are_looked_for(folder, tmp_path, monkeypatch):
    expected = load("fashion-mnist").x_train
    for f in folder.iterdir():
        f.rename(tmp_path / f.name)  # MINIREG_DATA itself
    np.testing.assert_array_equal(load("fashion-mnist").x_train, expected)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()  # not all four
    monkeypatch.setattr(datasets, "PACKAGED", tmp_path / "share")
    write(tmp_path / "share" / "fashion-mnist", pack=True)
    np.testing.assert_array_equal(load("fashion-mnist").x_train, expected)
    monkeypatch.delenv("MINIREG_DATA")
    np.testing.assert_array_equal(load("fashion-mnist").x_train, expected)


def test_without_the_files_it_says_how_to_get_them(folder, monkeypatch):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        FileNotFoundError, match=f"apt-get install dataset-fashion-mnist; .*now '{folder.parent}'"
    ):
        load("fashion-mnist")
    monkeypatch.delenv("MINIREG_DATA")
    with pytest.raises(
        FileNotFoundError, match=r"train-images-idx3-ubyte, .* variable MINIREG_DATA$"
    ):
        load("fashion-mnist")


@pytest.mark.parametrize(("file", "array", "message"), [
    ("train-labels-idx1-ubyte", np.zeros(39), r"images \(40, 3, 4\) for labels \(39,\)"),
    ("t10k-labels-idx1-ubyte", np.zeros((11, 1)), r"images \(11, 3, 4\) for labels \(11, 1\)"),
    ("t10k-images-idx3-ubyte", np.zeros((11, 4, 3)), r"images \(11, 4, 3\) .* expected \(n, 3, 4\)"),
    ("train-images-idx3-ubyte", np.zeros((40, 12)), r"images \(40, 12\) for labels \(40,\)"),
])  # fmt: skip
def test_files_that_do_not_fit_together(folder, file, array, message):
    (folder / file).write_bytes(idx(array))
    with pytest.raises(ValueError, match=message):
        load("fashion-mnist")


def test_the_real_files_where_the_package_is_installed(monkeypatch):
    monkeypatch.undo()
    if not (datasets.PACKAGED / "fashion-mnist").exists():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    data = load("fashion-mnist", standardize=False)
    assert (data.x_train.shape, data.x_validation.shape) == ((60_000, 784), (10_000, 784))
    assert (np.bincount(data.y_train) == 6000).all()
    assert (np.bincount(data.y_validation) == 1000).all()


def train_options(out: Path) -> list[str]:
    return ["train", "--dataset", "fashion-mnist", "--hidden", "5", "--epochs", "1", "--no-report",
            "--json", "--no-progress", "--out", str(out)]  # fmt: skip


def test_train_from_the_command_line(folder, tmp_path, capsys):
    pytest.importorskip("rich")
    assert cli.main(train_options(tmp_path / "run")) == 0
    assert json.loads(capsys.readouterr().out)["runs"]["plain"]["weights"] == 12 * 5 + 5 * 3
    (folder / "train-images-idx3-ubyte").unlink()
    assert cli.main(train_options(tmp_path / "run")) == 1
    assert "apt-get install dataset-fashion-mnist" in capsys.readouterr().err


# --- points in the plane ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", datasets.SHAPES)
def test_planar_points_are_two_classes_of_equal_size(name):
    x, y = datasets.planar(name, 200, 0.1)
    assert (x.shape, x.dtype, y.dtype) == ((200, 2), np.float64, np.int64)
    assert y.sum() == 100
    assert 0.3 < np.abs(x).mean() < 1.5
    assert np.abs(x).max() < 2.2
    again, _ = datasets.planar(name, 200, 0.1)
    other, _ = datasets.planar(name, 200, 0.1, seed=1)
    np.testing.assert_array_equal(x, again)
    assert (x != other).any()
    apart = x[y == 0].mean(0) - x[y == 1].mean(0)
    straight = ((x @ apart > x.mean(0) @ apart) == (y == 0)).mean()
    assert (straight > 0.97) == (name == "gaussians")  # the others need a bent line


def test_planar_points_without_noise_lie_on_their_curves():
    x, y = datasets.planar("circles", 50, 0)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 0.5, 1))


@pytest.mark.parametrize("given", [("moon",), ("moons", 1), ("moons", 10, -1)])
def test_planar_says_what_is_wrong(given):
    with pytest.raises(ValueError, match=r"datasets\.planar: (name|n|spread) must be"):
        datasets.planar(*given)


# --- standardisation ------------------------------------------------------------------------------


@every_set
def test_training_features_have_mean_zero_and_deviation_one(name):
    data = load(name)
    x = data.x_train.astype(np.float64)
    varies = x.std(axis=0) > 0
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(axis=0)[varies], 1, rtol=1e-5)
    assert (x[:, ~varies] == 0).all()
    assert (~varies).any() == (name in ("digits", "fashion-mnist"))  # corners are always empty


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
    np.testing.assert_array_equal(noisy.y_true, clean.y_train)
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
    "name": ({"name": "tulips"}, r"unknown data set 'tulips', expected one of \['breast_cancer', 'diabetes'"),
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


def test_arrays_says_what_it_expected():
    with pytest.raises(
        ValueError, match=r"^datasets.arrays: unknown data set 'x', expected one of"
    ):
        arrays("x")


def test_repr_of_a_dataset():
    assert repr(load("digits", 0.2)) == (
        "Dataset(digits: 1258 training (252 labels flipped), 539 validation, 64 features)"
    )
