"""Data sets: the same arguments give the same arrays, and nothing leaks from the validation part."""

import gzip
import hashlib
import json
import math
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest

import minireg as mr
from minireg import datasets
from minireg.cli import main as cli
from minireg.datasets import TABLE, Dataset, arrays, flip_labels, from_arrays, load, read_idx
from minireg.files import column
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
        "Dataset(digits: 1258 training (0 labels flipped), 539 validation, 64 features, 10 classes) "
        "(64, 64)\n"
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
    np.testing.assert_allclose(datasets._scaled("demo", (), x, x, True).train, 0, atol=1e-9)


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


# --- data of one's own ------------------------------------------------------------------------------

BITS = {  # SHA-256 of what load has always returned, first digits
    ("digits", 0.2, None, True): "116035404cdc",
    ("digits", 0.0, 0.5, False): "e3f28ed4e1fe",
    ("breast_cancer", 0.2, None, True): "23bf59edb6f5",
    ("breast_cancer", 0.0, 0.5, False): "39ce93f4bbe4",
    ("wine", 0.2, None, True): "1f93b23201e9",
    ("wine", 0.0, 0.5, False): "bdff62686720",
    ("iris", 0.2, None, True): "6a89c0ebe1ad",
    ("iris", 0.0, 0.5, False): "175d35173d39",
    ("diabetes", 0.0, None, True): "4f1033f6ae34",
    ("diabetes", 0.0, 0.5, False): "2b9434fd4fe3",
}


def checksum(data: Dataset) -> str:
    found = hashlib.sha256()
    for a in (*data.train, *data.validation, data.y_true):
        found.update(f"{a.dtype} {a.shape}".encode() + a.tobytes())
    return found.hexdigest()[:12]


@pytest.mark.parametrize("case", BITS)
def test_the_bits_of_what_ships(case):
    name, noise, validation, standardize = case
    assert checksum(load(name, noise, validation, standardize)) == BITS[case]


@pytest.mark.parametrize("name", SHIPPED)
def test_from_arrays_makes_what_load_returns(name):
    noise = 0.2 if name in LABELLED else 0.0
    own = from_arrays(*arrays(name), noise=noise, seed=1)
    for a, b in zip(parts(own), parts(load(name, noise, seed=1)), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    assert own.task == TABLE[name][0]


def test_classes_have_the_names_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.datasets")
    for name in ("iris", "breast_cancer"):
        assert load(name).class_names == tuple(getattr(sklearn, f"load_{name}")().target_names)
    assert load("fashion-mnist").class_names == ("T-shirt/top", "Trouser", "Pullover")
    assert load("digits").class_names == tuple("0123456789")
    assert load("diabetes").class_names == ()


rng = np.random.default_rng(0)
X, SIDES = rng.normal(size=(40, 3)), np.arange(40) % 2


def frame():
    return pytest.importorskip("pandas").DataFrame(X, columns=["p", "q", "r"])


FORMS = {
    "lists": (lambda: X.tolist(), lambda: SIDES.tolist()),
    "a frame": (frame, lambda: pytest.importorskip("pandas").Series(SIDES)),
    "a mapping": (lambda: dict(zip("pqr", X.T, strict=True)), lambda: SIDES[:, None]),
    "torch": tuple(lambda a=a: pytest.importorskip("torch").tensor(a) for a in (X, SIDES)),
    "Tensors": (lambda: mr.tensor(X), lambda: mr.tensor(SIDES)),
    "Fortran's order": (lambda: np.asfortranarray(X), lambda: SIDES.astype(np.uint8)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_the_same_numbers_gives_the_same_data(form):
    x, y = (make() for make in FORMS[form])
    got, expected = from_arrays(x, y, noise=0.1), from_arrays(X, SIDES, noise=0.1)
    for a, b in zip(parts(got), parts(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert a.dtype == b.dtype
    assert got.feature_names == (("p", "q", "r") if "a " in form else ("x0", "x1", "x2"))
    assert from_arrays(x, y, feature_names="abc").feature_names == ("a", "b", "c")


LABELS = {
    "texts": [["no", "yes"][i] for i in SIDES],
    "bools": SIDES == 1,
    "integers": SIDES * 7 - 3,
    "integers of a torch tensor": SIDES.astype(np.int16),
}


@pytest.mark.parametrize("kind", LABELS)
def test_label_k_stands_for_its_name(kind):
    given = LABELS[kind]
    data = from_arrays(X, given, validation=[*range(10)], standardize=False)
    for got, rows in ((data.y_train, range(10, 40)), (data.y_validation, range(10))):
        assert [data.class_names[k] for k in got] == [str(given[i]) for i in rows]
        assert got.dtype == np.int64
    assert data.classes == 2


def test_labels_are_numbered_in_their_own_order():
    ten = np.arange(40) % 11
    assert from_arrays(X, ten).class_names == tuple(map(str, range(11)))  # not "0", "1", "10", "2"
    assert from_arrays(X, ten.astype(float), task="classification").classes == 11


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (SIDES * 1.0, "regression"),
        (np.arange(40) // 2, "classification"),
        (np.arange(40), "regression"),
        (np.arange(400) % 20, "classification"),
        (np.arange(400) % 21, "regression"),
        (SIDES == 1, "classification"),
        ([*"ab"] * 20, "classification"),
        (X[:, :2], "regression"),
    ],
)
def test_the_task_follows_from_the_target(y, task):
    x = np.ones((len(y), 1))
    rows = np.arange(0, len(y), 2)[:3]
    data = from_arrays(x, y, validation=rows)
    assert data.task == task
    assert ("classes" in repr(data), "regression" in repr(data)) == (
        task == "classification",
        task == "regression",
    )


def test_a_target_of_several_numbers():
    data = from_arrays(X, X[:, :2] * 5 + 1)
    assert data.y_train.shape == (28, 2)
    np.testing.assert_allclose(data.y_train, data.x_train[:, :2], atol=1e-6)
    assert data.flipped.shape == (28,)
    assert not data.flipped.any()


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e8])
def test_standardising_is_exact_to_float32(offset):
    """Far from 0, too, where a deviation in float32 would be lost."""
    column = [int(v) for v in np.random.default_rng(1).integers(-1000, 1000, 30)]
    data = from_arrays(np.array(column)[:, None] + offset, SIDES[:30], validation=[0, 1])
    used = [Fraction(v) for v in column[2:]]
    mean = sum(used) / len(used)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in used) / len(used))
    expected = [float(v - mean) / deviation for v in used]
    np.testing.assert_allclose(data.x_train[:, 0], expected, rtol=1e-6, atol=1e-7)


def test_images_keep_their_shape_and_are_scaled_as_a_whole():
    x = rng.integers(0, 256, (40, 5, 4)).astype(np.uint8)
    data = from_arrays(x, SIDES, validation=[0, 1])
    assert data.x_train.shape == (38, 5, 4)
    assert data.feature_names == ()
    assert "5×4 features" in repr(data)
    reference = x[2:].astype(float)
    np.testing.assert_allclose(
        data.x_validation, (x[:2] - reference.mean()) / reference.std(), rtol=1e-5
    )
    np.testing.assert_array_equal(from_arrays(x, SIDES, standardize=False).x_train.max(), x.max())


def test_columns_of_texts_are_coded_on_the_training_part():
    colour = ["red", "blue", "red", "green", "blue", "violet"]
    x = {"age": [1, 2, 3, 4, 5, 6], "colour": colour, "tall": [True, False] * 3}
    data = from_arrays(x, [0, 1, 0, 1, 0, 1], validation=[4, 5])
    assert data.feature_names == ("age", "colour=blue", "colour=green", "colour=red", "tall")
    assert data.x_train[:, 1:4].tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert data.x_validation[:, 1:4].tolist() == [[1, 0, 0], [0, 0, 0]]  # violet: not seen
    assert data.groups == ((0,), (1, 2, 3), (4,))
    lasso = mr.penalties.GroupLasso(1.0, groups=data.groups, scale="none")
    w = np.array([[1.0, 2.0, 0.0, 0.0, 4.0]])
    assert lasso.value(w) == pytest.approx(7.0)
    np.testing.assert_allclose(data.x_train[:, 4], [1, -1, 1, -1])  # a bool is a number


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_new_rows_are_standardised_by_the_scales_that_are_kept(offset):
    """The law: (raw − mean)/deviation is what the data set holds, for every part and the target."""
    x = {"age": X[:, 0] * 7 + offset, "colour": [*"ab"] * 20, "same": np.full(40, 3.0)}
    for y in (X[:, 1] * 5 + offset, X[:, 1:] * 5 + offset):
        data, rows = from_arrays(x, y, validation=[*range(10)]), np.arange(10, 40)
        assert [*data.scales] == ["age", "same"]
        for place, name in ((0, "age"), (3, "same")):
            mean, deviation = data.scales[name]
            raw = np.asarray(x[name])
            for got, part in ((data.x_train, rows), (data.x_validation, np.arange(10))):
                np.testing.assert_allclose(
                    got[:, place], (raw[part] - mean) / deviation, rtol=1e-6, atol=1e-7
                )
        outputs = y.reshape(40, -1)
        assert [*data.target_scales] == (["y"] if y.ndim == 1 else ["y0", "y1"])
        for k, (mean, deviation) in enumerate(data.target_scales.values()):
            expected = (outputs[:10, k] - mean) / deviation
            np.testing.assert_allclose(data.y_validation[:, k], expected, rtol=1e-6, atol=1e-7)
    image = from_arrays(X.reshape(40, 1, 3), SIDES)
    assert [*image.scales] == [""]
    for data in (from_arrays(x, SIDES), from_arrays(x, y, standardize=False)):
        assert not data.target_scales
    assert not data.scales


def test_what_one_part_lacks_and_what_is_constant_is_named():
    colour = ["red", "blue", "red", "blue", "red", "violet"]
    x = {"age": range(6), "colour": colour, "same": [2.5] * 6, "word": ["x"] * 6}
    data = from_arrays(x, [*"aabbaa"], validation=[4, 5])
    assert data.notes == (
        "no training row has 'violet' in column 'colour'",
        "constant: 'same', 'word'",
        "no validation row of class 'b'",
    )
    assert repr(data).endswith(f"2 classes; {'; '.join(data.notes)})")
    assert data.absent(data.y_train) == []
    assert from_arrays(X, np.ones(40)).notes == ("constant: 'y'",)
    assert from_arrays(X, SIDES).notes == load("digits").notes == ()


def test_the_validation_part_as_a_pair_or_by_rows():
    rows = [7, 3, 11]
    rest = np.setdiff1d(np.arange(40), rows)
    by_rows = from_arrays(X, SIDES, validation=rows)
    as_pair = from_arrays(X[rest], SIDES[rest], validation=(X[rows], SIDES[rows]))
    for a, b in zip(parts(by_rows), parts(as_pair), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    np.testing.assert_array_equal(by_rows.y_validation, SIDES[rows])


INTEGERS = np.array([0, 1, 2, 3] * 10)


@pytest.mark.parametrize(
    ("y", "held", "task"),
    [
        (np.arange(15), np.arange(15), "regression"),  # together each would come twice
        (INTEGERS, INTEGERS[:4], "classification"),
        (INTEGERS.astype(np.uint64), INTEGERS, "classification"),  # together they are floats
        (INTEGERS, INTEGERS > 0, "classification"),
        (INTEGERS * 1.0, INTEGERS, "regression"),
    ],
)
def test_the_training_part_alone_decides_the_task(y, held, task):
    x, pair = X[: len(y)], (X[: len(held)], held)
    assert from_arrays(x, y, validation=pair).task == from_arrays(x, y).task == task


@pytest.mark.parametrize(
    ("y", "held"), [(SIDES, SIDES * 1.0), (SIDES, SIDES + 0.5), (SIDES == 1, SIDES)]
)
def test_the_validation_target_is_of_the_dtype_of_y(y, held):
    message = rf"validation has a target of {held.dtype}, expected {y.dtype} as in y; make them one"
    with pytest.raises(ValueError, match=f"^datasets.from_arrays: {message}"):
        from_arrays(X, y, validation=(X, held))


def bfloat16(a):
    return pytest.importorskip("torch").tensor(a).bfloat16()


def sparse(a):
    return pytest.importorskip("torch").tensor(a).to_sparse()


def scipy_sparse(a):
    return pytest.importorskip("scipy.sparse").csr_array(a)


def with_gradient(a):
    return pytest.importorskip("torch").tensor(a, requires_grad=True)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (bfloat16, r"is bfloat16, which NumPy lacks; pass x\.float\(\)"),
        (sparse, r"is sparse, a Tensor; pass x\.to_dense\(\)"),
        (scipy_sparse, r"is sparse, a csr_array; pass .* x\.toarray\(\)"),
        (with_gradient, r".* tensor\.detach\(\)\.numpy\(\)|.*pass \.detach\(\)"),
    ],
)
def test_tensors_that_numpy_cannot_hold(change, advice):
    """Each part says its name and what to call."""
    places = {
        "x": lambda: from_arrays(change(X), SIDES),
        "column 'a'": lambda: from_arrays({"a": change(X[:, 0])}, SIDES),
        "y": lambda: from_arrays(X, change(X[:, 0])),
        "y ": lambda: from_arrays(X, change(X[:, :2])),
        "validation: x": lambda: from_arrays(X, SIDES, validation=(change(X), SIDES)),
        "validation: y": lambda: from_arrays(X, X[:, 0], validation=(X, change(X[:, 0]))),
    }
    for part, make in places.items():
        with pytest.raises(
            TypeError, match=f"^datasets.from_arrays: {part.strip()}:? (?:{advice})"
        ):
            make()


def test_decimals_are_numbers():
    numbers = [Decimal(i) / 4 for i in range(40)]
    same = [float(v) for v in numbers]
    for a, b in zip(
        parts(from_arrays({"a": numbers}, numbers)),
        parts(from_arrays({"a": same}, same)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b, strict=True)


def test_a_column_keeps_what_is_missing_for_the_message():
    pandas = pytest.importorskip("pandas")
    for given in (
        pandas.Series([1, None], dtype="Int64"),
        pandas.Series([1.0, np.nan], dtype=object),
        [1, None],
        [Decimal(1), None],
        [Decimal(1), Decimal("NaN")],
        [Decimal(1), Decimal("sNaN")],
    ):
        np.testing.assert_array_equal(column("demo", "c", given), [1, np.nan])
    for given in (pandas.Series(["a", None]), pandas.Categorical(["a", None]), ["a", np.nan]):
        assert column("demo", "c", given).tolist() == ["a", None]


@pytest.mark.parametrize(
    "kinds", [[8001, 3011], ["8001", "3011"], [0.5, 2.0], [True, False], ["5%", "1%"]]
)
def test_a_column_of_categories_is_one_whatever_they_are(kinds):
    """Those that are numbers were taken for numbers, or refused as numbers in texts."""
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame({"zip": pandas.Categorical([*kinds] * 20), "n": X[:, 0]})
    found = from_arrays(x, SIDES)
    assert found.feature_names == (*(f"zip={kind}" for kind in sorted(map(str, kinds))), "n")
    np.testing.assert_array_equal(found.x_train[:, :2].sum(axis=1), 1)
    x.loc[3, "zip"] = np.nan
    with pytest.raises(ValueError, match=r"row 3, column 'zip' \(missing\)"):
        from_arrays(x, SIDES)


@pytest.mark.parametrize("label", [2.0**63, -1e19, 1e300])
def test_labels_beyond_integers_are_not_one_class(label):
    y = np.where(SIDES == 1, label, 2 * label)
    with pytest.raises(ValueError, match="must be texts, bools or integers below 2⁶³, got "):
        from_arrays(X, y, task="classification")


HOLES = X.copy()
HOLES[5, 1], HOLES[3, 2], HOLES[3, 0], HOLES[9, 0] = np.nan, np.inf, -np.inf, np.nan
DATES = ["2026-01-02", "2026-02-03"] * 20
DAYS = ["31.12.2025", "1.1.2026 08:00"] * 20
MOSTLY = ["1.5", "2", "?", "4"] * 10

# what is given, the error, and what its message says
WRONG = {
    "rows": (lambda: from_arrays(X, SIDES[1:]), ValueError, "x has 40 rows and y 39"),
    "other rows": (
        lambda: from_arrays(frame(), FORMS["a frame"][1]()[::-1]),
        ValueError,
        r"x and y have different indices, 0 and 39 in row 0; .* y.loc\[x.index\]",
    ),
    "no rows": (
        lambda: from_arrays(X[:0], []),
        ValueError,
        "x has 0 rows and y 0; expected equal numbers, > 0",
    ),
    "one axis": (
        lambda: from_arrays(X[:, 0], SIDES),
        ValueError,
        r"x must be \(n, features\).*\[:, None\]",
    ),
    "columns of two lengths": (
        lambda: from_arrays({"a": [1], "b": [1, 2]}, [0, 1]),
        ValueError,
        "x has 1 or 2 rows and y 2",
    ),
    "complex": (
        lambda: from_arrays(X * 1j, SIDES),
        TypeError,
        r"real numbers, got complex128; give \.real",
    ),
    "a complex target": (
        lambda: from_arrays(X, X[:, :2] * 1j, task="regression"),
        TypeError,
        r"y must be real numbers, got complex128",
    ),
    "no columns": (lambda: from_arrays({}, SIDES), ValueError, "got 0 names for 0 columns"),
    "names": (
        lambda: from_arrays(X, SIDES, feature_names="ab"),
        ValueError,
        "got 2 names for 3 columns",
    ),
    "a name twice": (
        lambda: from_arrays(X, SIDES, feature_names="aba"),
        ValueError,
        "got 'a' twice",
    ),
    "names of pixels": (
        lambda: from_arrays(X[:, None], SIDES, feature_names="abc"),
        ValueError,
        "pixels have no feature_names",
    ),
    "holes": (
        lambda: from_arrays(HOLES, SIDES),
        ValueError,
        r"4 values are missing or infinite: row 3, column 'x0' \(-inf\); row 3, column 'x2' \(inf\); "
        r"row 5, column 'x1' \(missing\); …; take such rows out",
    ),
    "a hole in a frame": (
        lambda: from_arrays({"a": X[:, 0], "b": [None, *"ab" * 19, "c"]}, SIDES),
        ValueError,
        r"1 value is .*: row 0, column 'b' \(missing\)",
    ),
    "a hole in an image": (
        lambda: from_arrays(HOLES[:, None], SIDES),
        ValueError,
        r"row 3, pixel \(0, 0\) \(-inf\)",
    ),
    "a hole in the target": (
        lambda: from_arrays(X, HOLES[:, 1]),
        ValueError,
        r"row 5, column 'y' \(missing\)",
    ),
    "a hole in the validation part": (
        lambda: from_arrays(X, SIDES, validation=(HOLES, SIDES)),
        ValueError,
        "row 3 of validation, column 'x0'",
    ),
    "a mask": (lambda: from_arrays(X, np.ma.masked_array(SIDES, SIDES)), TypeError, "y is masked"),
    "dates": (
        lambda: from_arrays({"d": np.array(DATES, "M8[D]")}, SIDES),
        TypeError,
        r"'d' holds dates \(datetime64\[D\]\); make them numbers",
    ),
    "dates as texts": (
        lambda: from_arrays({"d": DATES}, SIDES),
        ValueError,
        "'d' holds dates, '2026-01-02' in row 0; make",
    ),
    "days": (
        lambda: from_arrays({"d": DAYS}, SIDES),
        ValueError,
        "'d' holds dates, '31.12.2025' in row 0; make",
    ),
    "commas": (
        lambda: from_arrays({"d": ["3,14", "-1.000,5"] * 20}, SIDES),
        ValueError,
        "numbers with a comma, thousands or a sign, '3,14' in row 0; write 3.14",
    ),
    "numbers as texts": (
        lambda: from_arrays({"d": ["1", "2.5"] * 20}, SIDES),
        ValueError,
        "'d' holds numbers as texts, '1' in row 0; convert",
    ),
    "mostly numbers": (
        lambda: from_arrays({"d": MOSTLY}, SIDES),
        ValueError,
        r"holds numbers, but also '\?' in row 2 \(10 of 40 are none\)",
    ),
    "mixed": (
        lambda: from_arrays({"d": ["a", 2] * 20}, SIDES),
        TypeError,
        r"'d' mixes texts with numbers \(2\)",
    ),
    "objects": (
        lambda: from_arrays({"d": [{}] * 40}, SIDES),
        TypeError,
        r"got \{\} in row 0, a dict",
    ),
    "bytes": (
        lambda: from_arrays(X, [b"a", b"\xe9"] * 20),
        ValueError,
        r"y has bytes that are no UTF-8, b'\\xe9' in row 1; make them texts",
    ),
    "an integer beyond": (
        lambda: from_arrays({"d": [1, 10**400] * 20}, SIDES),
        ValueError,
        "'d' has a number beyond float64, 10000000000000000000… in row 1; give",
    ),
    "a name that codes another": (
        lambda: from_arrays({"c": ["red", "blue"] * 20, "c=red": SIDES}, SIDES),
        ValueError,
        "each column must have a name of its own, got 'c=red' twice; rename one",
    ),
    "names of rows": (
        lambda: from_arrays({"d": [f"n{i}" for i in range(40)]}, SIDES),
        ValueError,
        r"'d' has 28 different texts in 28 rows, such as 'n\d+'.*Drop the column",
    ),
    "too many kinds": (
        lambda: from_arrays(
            {"d": [f"n{i % 201}" for i in range(2010)]}, [0, 1] * 1005, validation=[0]
        ),
        ValueError,
        "has 201 different texts in 2,009 rows",
    ),
    "one class": (
        lambda: from_arrays(X, ["a"] * 40),
        ValueError,
        "'y' has one class only, a; expected two",
    ),
    "a rare class": (
        lambda: from_arrays(X, [*"ab" * 19, "c", "d"], validation=[38, 39]),
        ValueError,
        r"no training row is of class 'c' \(nor of 1 more\).*held out, row 38 first; drop or merge",
    ),
    "a new class": (
        lambda: from_arrays(X, [*"ab"] * 20, validation=(X[:2], ["a", "z"])),
        ValueError,
        "of class 'z': all of them are held out, row 1 of validation",
    ),
    "fractions as labels": (
        lambda: from_arrays(X, SIDES + 0.5, task="classification"),
        ValueError,
        r"labels must be texts, bools or integers below 2⁶³, got 0\.5 in row 0",
    ),
    "one-hot": (
        lambda: from_arrays(X, np.eye(2)[SIDES], task="classification"),
        ValueError,
        r"labels must be \(n,\), got \(40, 2\); of one-hot y\.argmax",
    ),
    "texts in a regression": (
        lambda: from_arrays(X, [*"ab"] * 20, task="regression"),
        ValueError,
        "a regression needs numbers, got 'a' in row 0 of the target 'y'; take task",
    ),
    "noise on numbers": (
        lambda: from_arrays(X, X[:, 0], noise=0.1),
        ValueError,
        "noise flips labels, but 'data' is a regression",
    ),
    "task": (
        lambda: from_arrays(X, SIDES, task="ranking"),
        ValueError,
        "task must be 'classification', 'regression' or None, got 'ranking'",
    ),
    "share": (
        lambda: from_arrays(X, SIDES, validation="0.3"),
        ValueError,
        r"validation must be in \(0, 1\), got '0\.3'",
    ),
    "mask of rows": (
        lambda: from_arrays(X, SIDES, validation=SIDES == 1),
        ValueError,
        r"np\.flatnonzero\(mask\)",
    ),
    "a pair as a list": (
        lambda: from_arrays(X, SIDES, validation=[X, SIDES]),
        ValueError,
        r"or of arrays a tuple \(x, y\), got \[array",
    ),
    "a row twice": (
        lambda: from_arrays(X, SIDES, validation=[3, 3]),
        ValueError,
        r"different rows of 0 … 39, and not all, got row 3 twice",
    ),
    "a row beyond": (lambda: from_arrays(X, SIDES, validation=[3, 40]), ValueError, "got row 40"),
    "all rows": (
        lambda: from_arrays(X, SIDES, validation=range(40)),
        ValueError,
        "and not all, got 40 rows",
    ),
    "three parts": (
        lambda: from_arrays(X, SIDES, validation=(X, SIDES, X)),
        ValueError,
        r"a pair \(x, y\), got 3 parts",
    ),
    "other columns": (
        lambda: from_arrays({"a": SIDES}, SIDES, validation=({"b": SIDES}, SIDES)),
        ValueError,
        "validation lacks column 'a', unlike x",
    ),
    "a column fewer": (
        lambda: from_arrays({"a": SIDES, "b": SIDES}, SIDES, validation=({"a": SIDES}, SIDES)),
        ValueError,
        "validation lacks column 'b', unlike x",
    ),
    "a column more": (
        lambda: from_arrays(X[:, :2], SIDES, validation=(X, SIDES)),
        ValueError,
        "validation has column 'x2', unlike x",
    ),
    "other order": (
        lambda: from_arrays(
            {"a": SIDES, "b": SIDES}, SIDES, validation=({"b": SIDES, "a": SIDES}, SIDES)
        ),
        ValueError,
        r"validation has columns b of numbers \(1,\), expected columns a",
    ),
    "other pixels": (
        lambda: from_arrays(X[:, None], SIDES, validation=(X[:, :, None], SIDES)),
        ValueError,
        r"has images of numbers \(3, 1\), expected images of numbers \(1, 3\)",
    ),
    "another target": (
        lambda: from_arrays(X, SIDES, validation=(X, [*"ab"] * 20)),
        ValueError,
        "has target y of texts, expected target y of numbers",
    ),
    "beyond float32": (
        lambda: from_arrays(X * 1e39, SIDES, standardize=False),
        ValueError,
        r"the value -?\d\.\d+e\+3\d of 'x0' is beyond float32",
    ),
    "beyond float64": (
        lambda: from_arrays(X * 1e200, SIDES),
        ValueError,
        "or its square beyond float64; give the column another unit",
    ),
    "too close": (
        lambda: from_arrays([[0, 2**60 + i] for i in range(40)], SIDES),
        ValueError,
        r"the value \d{19} of 'x1' lies so close to the others that float64 loses",
    ),
    "a target too close": (
        lambda: from_arrays(X, [2**60 + i for i in range(40)]),
        ValueError,
        r"the value \d{19} of 'y' lies so close to the others",
    ),
    "pixels too close": (
        lambda: from_arrays(2**60 + np.arange(160).reshape(40, 2, 2), SIDES),
        ValueError,
        r"the value \d{19} lies so close to the others",
    ),
    "too small to square": (
        lambda: from_arrays(X * 1e-200, SIDES),
        ValueError,
        "or its square beyond float64; give the column another unit",
    ),
    "a target beyond": (
        lambda: from_arrays(X, X[:, :2] * 1e200),
        ValueError,
        "of 'y0' is beyond float32",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_from_arrays_says_what_is_wrong(what):
    make, error, message = WRONG[what]
    with pytest.raises(error, match=f"^datasets.from_arrays: .*{message}"):
        make()


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32])
def test_what_is_standardised_has_mean_0_and_deviation_1_or_is_refused(dtype):
    """The law, for columns from 1 to 10^18, in steps from 1 to the whole: of no column is so much lost to
    rounding, in silence, that one sees it.
    """
    labels = np.arange(1000) % 2
    for size in range(0, 19, 2):
        for step in range(0, size + 1, 2):
            column = (10**size + 10**step * np.arange(1, 1001)).astype(dtype)[:, None]
            spread = int(np.ptp(column.astype(object)))
            if 0 < spread < 10 ** (size - 12):
                with pytest.raises(ValueError, match="of 'x0' lies so close to the others"):
                    from_arrays(column, labels)
                continue
            x = from_arrays(column, labels).x_train.astype(np.float64)
            assert abs(x.mean()) < 0.01
            assert abs(x.std() - bool(spread)) < 0.01  # float32 had lost it all before


def test_a_deviation_is_summed_in_float64():
    years = (2000 + np.arange(300_000) % 20)[:, None].astype(np.float32)
    assert from_arrays(years, years % 2 == 0).x_train.std() == pytest.approx(1, abs=1e-3)


# --- refusals ---------------------------------------------------------------------------------------

REFUSED = {
    "name": ({"name": "tulips"}, "name must be 'digits', .* or 'fashion-mnist', got 'tulips'"),
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
    with pytest.raises(ValueError, match=r"^datasets.arrays: name must be 'digits'"):
        arrays("x")


def test_repr_of_a_dataset():
    assert repr(load("digits", 0.2)) == (
        "Dataset(digits: 1258 training (252 labels flipped), 539 validation, 64 features, 10 classes)"
    )
