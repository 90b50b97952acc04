"""Data sets from files: every format gives the same data, and what is wrong is named with its place."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minireg as mr
from minireg.datasets import Dataset, from_arrays, read
from minireg.files import parsed, read_columns

ROWS = 20
COLUMNS = {
    "age": np.arange(ROWS) * 1.5 + 20,
    "colour": np.array(["red", "blue"] * (ROWS // 2)),
    "tall": np.arange(ROWS) % 3 == 0,
    "kind": np.array(["no", "yes"])[np.arange(ROWS) % 2],
}


def write_csv(path: Path, delimiter: str = ",", encoding: str = "utf-8", end: str = "\n") -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
        writer.writerow(COLUMNS)
        writer.writerows(zip(*(a.tolist() for a in COLUMNS.values()), strict=True))


def write_parquet(path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(COLUMNS), path)


FORMATS = {
    "comma": ("d.csv", write_csv),
    "semicolon": ("d.csv", lambda path: write_csv(path, ";")),
    "bar": ("d.csv", lambda path: write_csv(path, "|")),
    "tab in a .tsv": ("d.tsv", lambda path: write_csv(path, "\t")),
    "tab": ("d.csv", lambda path: write_csv(path, "\t")),
    "with a mark of its encoding": ("d.csv", lambda path: write_csv(path, encoding="utf-8-sig")),
    "Windows": ("D.CSV", lambda path: write_csv(path, end="\r\n")),
    "npz": ("d.npz", lambda path: np.savez(path, **COLUMNS)),
    "parquet": ("d.parquet", write_parquet),
}


def same(a: Dataset, b: Dataset) -> None:
    for part in ("x_train", "y_train", "x_validation", "y_validation", "y_true"):
        np.testing.assert_array_equal(getattr(a, part), getattr(b, part), strict=True)
    for part in ("task", "feature_names", "class_names", "groups", "classes"):
        assert getattr(a, part) == getattr(b, part)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_data_of_the_arrays(form, tmp_path):
    name, write = FORMATS[form]
    write(tmp_path / name)
    x = {k: v for k, v in COLUMNS.items() if k != "kind"}
    for target in ("kind", 3, -1, "-1"):
        got = read(tmp_path / name, target, noise=0.2, validation=0.25, seed=3)
        same(got, from_arrays(x, COLUMNS["kind"], noise=0.2, validation=0.25, seed=3))
    assert repr(got) == (
        "Dataset(d: 15 training (3 labels flipped), 5 validation, 4 features, 2 classes)".replace(
            "(d:", f"({Path(name).stem}:"
        )
    )
    assert got.feature_names == ("age", "colour=blue", "colour=red", "tall")
    assert read(str(tmp_path / name), "age", standardize=False).task == "regression"


def test_arrays_of_several_axes_in_an_npz(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y)
    same(read(tmp_path / "a.npz", "y"), from_arrays(x, y))
    np.savez(tmp_path / "a.npz", image=x[:, None], y=y)
    same(read(tmp_path / "a.npz", "y"), from_arrays(x[:, None], y))
    np.savez(tmp_path / "a.npz", x=x, age=x[:, 0], y=y)
    assert read(tmp_path / "a.npz", "y").feature_names == ("x0", "x1", "x2", "age")
    np.savez(tmp_path / "a.npz", x=x, y=x[:, :2])
    assert read(tmp_path / "a.npz", "y").y_train.shape == (14, 2)


def test_a_parquet_file_of_a_data_frame(tmp_path):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({
        "size": pandas.array([1, 2] * 10, dtype="Int64"),
        "colour": pandas.Categorical(["red", "blue"] * 10),
        "kind": ["a", "b"] * 10,
    })  # fmt: skip
    frame.to_parquet(tmp_path / "a.parquet")
    data = read(tmp_path / "a.parquet", "kind")
    assert data.feature_names == ("size", "colour=blue", "colour=red")
    same(data, from_arrays(frame[["size", "colour"]], frame["kind"]))


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame,
        lambda frame: frame[frame["size"] > 2],
        lambda frame: frame.iloc[[9, 0, 3, 4, 8, 1]],
        lambda frame: frame.set_index("name"),
        lambda frame: frame.set_index(["name", "size"]),
        lambda frame: frame.set_index("name").rename_axis("weight"),  # as a column is called
    ],
    ids=[
        "a range",
        "a range that begins later",
        "filtered",
        "named",
        "of two",
        "named as a column",
    ],
)
def test_a_parquet_file_gives_the_data_of_its_frame(change, tmp_path):
    """Its index is no column, there as here."""
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({
        "size": np.arange(10), "weight": np.arange(10) * 1.5, "kind": [*"ab"] * 5,
        "name": [f"n{i // 2}" for i in range(10)],
    })  # fmt: skip
    frame = change(frame)
    frame.to_parquet(tmp_path / "a.parquet")
    x = frame.drop(columns="kind")
    got = read(tmp_path / "a.parquet", "kind", validation=[0])
    same(got, from_arrays(x, frame["kind"], validation=[0]))
    assert {name.partition("=")[0] for name in got.feature_names} == {*x.columns}


def test_a_name_twice_in_a_parquet_file(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        pyarrow.table([[1], [2], [3]], names=["a", "a", "y"]), tmp_path / "d.parquet"
    )
    with pytest.raises(
        ValueError, match=r"^datasets.read: d.parquet: each column .* got 'a' twice"
    ):
        read(tmp_path / "d.parquet", "y")


def test_lines_of_spaces_are_blank(tmp_path):
    (tmp_path / "a.csv").write_text("  \na,y\n1,p\n   \n2,q\n \t\n", encoding="utf-8")
    columns = read_columns("demo", tmp_path / "a.csv", "y")
    assert columns.y.tolist() == ["p", "q"]
    assert [columns.where(i) for i in range(2)] == ["line 3", "line 5"]


@pytest.mark.parametrize("names", ["2019,2020,2022", "0,1,2", "-1,0,1", "a,7,b", "a,b,c"])
def test_integers_that_rise_are_names(names, tmp_path):
    (tmp_path / "a.csv").write_text(f"{names},y\n1,2,3,p\n2,3,4,q\n3,4,5,p\n", encoding="utf-8")
    data = read(tmp_path / "a.csv", "y", validation=[2])
    assert data.feature_names == (*names.split(","),)


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_separator_that_excel_names_is_taken(delimiter, tmp_path):
    write_csv(tmp_path / "d.csv", delimiter)
    expected = read(tmp_path / "d.csv", "kind")
    text = (tmp_path / "d.csv").read_text("utf-8")
    (tmp_path / "d.csv").write_text(f"sep={delimiter}\n{text}", "utf-8")
    same(read(tmp_path / "d.csv", "kind"), expected)
    assert read_columns("demo", tmp_path / "d.csv", "kind").where(0) == "line 3"


@pytest.mark.parametrize("numbers", [["0", "10"], ["0.5", "00.5"], ["123456789012345", "1e300"]])
def test_digits_are_numbers_unless_they_are_codes(numbers):
    assert parsed(numbers).tolist() == [*map(float, numbers)]


def test_codes_are_classes_if_that_is_said(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(BASE.replace("no", "01").replace("yes", "02"), encoding="utf-8")
    assert read(path, "y", task="classification").class_names == ("01", "02")


def test_a_target_that_is_the_index_of_a_frame(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pytest.importorskip("pandas").DataFrame({"a": [1.0, 2.0], "b": [1, 2]})
    frame.set_index("b").to_parquet(tmp_path / "d.parquet")
    with pytest.raises(ValueError, match=r"no column 'b'.*reset_index\(\) makes columns of it"):
        read(tmp_path / "d.parquet", "b")


def test_cells_as_csv_may_hold_them(tmp_path):
    path = tmp_path / "a.csv"
    text = 'a , b,y\n\n1 ,"x, ""y""\nz",p\n 2e1,w,q\n\n3, w ,p\n-4.,w,q\n'
    path.write_text(text, encoding="utf-8")
    columns = read_columns("demo", path, "y")
    assert [names for names, _ in columns.blocks] == [("a",), ("b",)]
    assert columns.blocks[0][1].ravel().tolist() == [1, 20, 3, -4]
    assert columns.blocks[1][1].tolist() == ['x, "y"\nz', "w", "w", "w"]
    assert [columns.where(i) for i in range(4)] == ["line 3", "line 5", "line 7", "line 8"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_are_read_as_they_were_written(numbers):
    np.testing.assert_array_equal(parsed([repr(v) for v in numbers]), numbers)


@settings(max_examples=30)
@given(st.lists(st.text().filter(lambda t: t == t.strip()), min_size=1))
def test_any_text_is_read_or_missing(texts):
    """A column that is no number keeps every text as it is."""
    column = parsed([*texts, "word"])
    assert len(column) == len(texts) + 1
    assert column.dtype == object
    for found, text in zip(column, texts, strict=False):
        assert found == text or (found is None and text.casefold() in mr.files.MISSING)


BASE = "a,c,y\n" + "".join(
    f"{i},{'red' if i % 2 else 'blue'},{'no' if i % 3 else 'yes'}\n" for i in range(20)
)

# what the file holds, the target, and what is said after "datasets.read: "
WRONG = {
    "empty": ("", "y", "d.csv is empty; expected a line of names"),
    "blank lines": ("\n\n", "y", "d.csv is empty"),
    "only names": ("a,y\n", "y", r"d.csv has a line of names, \['a', 'y'\], and no rows"),
    "no names": ("5.1,3.5,0\n1,2,1\n", "y", "d.csv, line 1 must name the columns, got the numbers"),
    "a row for names": (
        "5.1,3.5,1.4,0.2,setosa\n4.9,3.0,1.4,0.2,setosa\n",
        4,
        r"line 1 must name the columns, but looks like a row: \['5.1', '3.5', '1.4', '0.2'\] stand above",
    ),
    "a row with few numbers": (
        "39,State,77516,Bachelors,13,<=50K\n50,Self,83311,Masters,13,<=50K\n",
        5,
        r"but looks like a row: \['39', '77516', '13'\] stand above numbers; put a line of names before",
    ),
    "equal numbers for names": ("0,0,a\n1,2,b\n", 2, "called '0'; .* if that is a row"),
    "a name that codes another": (
        "c,c=red,y\n" + "red,1,p\nblue,2,q\n" * 10,
        "y",
        "d.csv: each column must have a name of its own, got 'c=red' twice; rename one",
    ),
    "a name twice": ("a,a,y\n1,2,3\n", "y", "d.csv, line 1: two columns are called 'a'"),
    "no name": (",a,y\n0,1,2\n", "y", "d.csv, line 1: column 1 of 3 has no name.*index=False"),
    "too short": (
        BASE + "1,2\n",
        "y",
        "d.csv, line 22 has 2 cells, expected 3 as in line 1; quote",
    ),
    "too long": ("a;y\n\n1;2\n1;2;3\n", "y", 'd.csv, line 4 has 3 cells, .*, as "a;b"'),
    "an open quote": ('a,y\n1,2\n"1,2\n', "y", "d.csv, line 3: unexpected end of data"),
    "a quote within": ('a,y\n"1"2,2\n', "y", "d.csv, line 2: .*expected after"),
    "Latin-1": (BASE.replace("red", "é", 1).encode("latin-1"), "y", "d.csv, line 3 is no UTF-8"),
    "UTF-16": (BASE.encode("utf-16"), "y", "d.csv is UTF-16, as .*; save the file as UTF-8"),
    "UTF-16 without its mark": (BASE.encode("utf-16-le"), "y", "d.csv, line 1 has a NUL.*as UTF-8"),
    "a NUL": (BASE.replace("red", "r\0d", 1), "y", "d.csv, line 3 has a NUL, which no text has"),
    "only the target": ("y\n1\n2\n", "y", "d.csv has no column beside the target 'y'"),
    "a text beyond": (BASE, "-4", r"d.csv has no column '-4'; it has \['a', 'c', 'y'\]"),
    "another target": (BASE, "x", r"d.csv has no column 'x'; it has \['a', 'c', 'y'\]"),
    "a near miss": (
        BASE.replace("y\n", "Quality\n", 1),
        "qualty",
        "'qualty'; did you mean 'Quality'",
    ),
    "a place beyond": (BASE, 3, "d.csv has no column 3; it has"),
    "a bool": (BASE, True, "d.csv has no column True"),
    "missing": (
        BASE.replace("5,", "NA,", 1).replace("\n7,red", "\n ,null"),
        "y",
        r"d.csv: 3 values are missing or infinite: line 7, column 'a' \(missing\); line 9, column 'a' "
        r"\(missing\); line 9, column 'c' \(missing\); take such rows out or fill in a number or word "
        r"\(in pandas df.dropna\(\)",
    ),
    "missing target": (BASE.replace("no", "", 1), "y", r"line 3, column 'y' \(missing\)"),
    "infinite": (BASE.replace("5,", "-inf,", 1), "y", r"line 7, column 'a' \(-inf\)"),
    "a mark for missing": (
        BASE.replace("5,", "?,", 1),
        "y",
        r"column 'a' holds numbers, but also '\?' in line 7 \(1 of 20 are none\)",
    ),
    "dates": (BASE.replace("red", "2026-01-31").replace("blue", "2026-02-01"), "y",
              "column 'c' holds dates, '2026-02-01' in line 2"),
    "dates as target": (
        BASE.replace("no", "2026-01-31").replace("yes", "1.2.2026"),
        "y",
        "d.csv: the target 'y' holds dates, '1.2.2026' in line 2",
    ),
    "commas": (BASE.replace(",", ";").replace("red", "3,14").replace("blue", "2,7"), "y",
               "column 'c' has numbers with a comma, thousands or a sign, '2,7' in line 2"),
    "commas and numbers": (
        "a;y\n" + "3;p\n1,5;q\n" * 10, "y",
        "column 'a' has numbers with a comma, thousands or a sign, '1,5' in line 3; write 3.14.*decimal"),
    "commas, numbers, and a mark": (
        "a;y\n" + "3;p\n1,5;q\n" * 10 + "?;p\n", "y",
        r"column 'a' holds numbers, but also '\?' in line 22 \(1 of 21"),
    "commas and numbers in the target": (
        "a;y\n" + "3;4\n2;1,5\n" * 10, "y", "the target 'y' has numbers with a comma"),
    **{f"signs {signs}": (
        "a;y\n" + "".join(f"{s};{'pq'[i % 2]}\n" for i, s in enumerate(signs * 5)), "y",
        rf"column 'a' has numbers with .* or a sign, '{first}' in line [23]; write 3.14, 1000 and -5")
       for signs, first in ((("5%", "10 %", "2.5%"), "5%"), (("-$10", "$5", "1000"), "-.10"),
                            (("3", "−10", "−2,5"), "−10"), (("5 €", "1.000.000 €"), "5 €"))},
    "mostly signs": (
        "a;y\n" + "5%;p\n−1;q\n" * 10 + "?;p\n", "y",
        r"column 'a' holds numbers, but also '\?' in line 22 \(1 of 21"),
    "thousands": ("a;y\n" + "1.000.000;p\n12;q\n" * 10, "y", "thousands or a sign, '1.000.000' in line 2"),
    "codes": (BASE.replace("red", "01234").replace("blue", "12345"), "y",
              r"'c' holds digits that are no number, '01234' in line 3 \(a 0 before .*put a letter"),
    "codes with a hole": (BASE.replace("red", "01234").replace("blue", "7", 9).replace("blue", ""), "y",
                          r"line 20, column 'c' \(missing\)"),
    "codes as the target": (BASE.replace("no", "01").replace("yes", "02"), "y", "target 'y' holds digits"),
    "long codes": (BASE.replace("red", "9007199254740993").replace("blue", "1"), "y",
                   "'c' holds digits that are no number, '9007199254740993' in line 3"),
    "dates of digits": (BASE.replace("red", "20240131").replace("blue", "20231201"), "y",
                        "'c' holds dates, '20231201' in line 2; make them numbers"),
    "a place below Excel's line": ("sep=;\na;y\n1;2\n1;2;3\n", "y",
                                   "line 4 has 3 cells, expected 2 as in line 2"),
    "an ID": ("id,y\n" + "".join(f"p{i},{i % 2}\n" for i in range(30)), "y",
              "column 'id' has 21 different texts in 21 rows.*Drop the column"),
    "one class": (BASE.replace("yes", "no"), "y", "the target 'y' has one class only, no"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_csv_is_refused_with_its_place(what, tmp_path):
    content, target, message = WRONG[what]
    path = tmp_path / "d.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"^datasets.read: .*{message}"):
        read(path, target)


def test_a_target_of_texts_is_no_regression(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(BASE, encoding="utf-8")
    with pytest.raises(ValueError, match="needs numbers, got 'yes' in line 2 of the target 'y'"):
        read(path, "y", task="regression")
    path.write_text(BASE.replace("yes", "1").replace("no", "2").replace("2\n", "x\n", 1))
    with pytest.raises(ValueError, match=r"'y' holds numbers, but also 'x' in line 3 \(1 of 20"):
        read(path, "y")
    given_task = read(path, "y", task="classification", validation=[0])
    assert given_task.class_names == ("1", "2", "x")


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"x": np.ones((3, 2)), "y": np.arange(4)}, ValueError, "of one length, > 0, got {'x': 3"),
        ({"x": np.array(1.0), "y": np.array(2)}, ValueError, "of one length, > 0, got {'x': 0"),
        (
            {"x": np.array([{}, {}]), "y": np.arange(2)},
            ValueError,
            "is damaged or no .npz .*Object",
        ),
        ({"x": np.ones((2, 3, 3)), "a": np.ones(2), "y": [0, 1]}, ValueError, "has images beside"),
        ({"x": np.array(["2026-01-01"] * 2, "M8[D]"), "y": [0, 1]}, TypeError, "'x' holds dates"),
        ({"x": np.ones((2, 2)) * 1j, "y": [0, 1]}, TypeError, "'x' must be real numbers"),
        (
            {"x": np.ones((9, 2)), "x0": np.ones(9), "y": [0, 1, 0] * 3},
            ValueError,
            "'x0' twice; rename",
        ),
        (
            {"x": np.array([b"a", b"\xe9"]), "y": [0, 1]},
            ValueError,
            r"'x' has bytes that are no UTF-8, b'\\xe9' in row 1; .*decode\('latin-1'\)",
        ),
    ],
)
def test_an_npz_is_refused(arrays, error, message, tmp_path):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(error, match=f"^datasets.read: d.npz.*{message}"):
        read(tmp_path / "d.npz", "y")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"words"])
@pytest.mark.parametrize("name", ["d.npz", "d.parquet"])
def test_what_is_no_such_file(name, content, tmp_path):
    if name == "d.parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^datasets.read: {name} is damaged or no "):
        read(tmp_path / name, "y")


def test_no_pickle_is_opened(tmp_path):
    class Loud:
        def __reduce__(self):
            return (exec, ("raise SystemExit('code of the file was run')",))

    np.savez(tmp_path / "d.npz", x=np.array([Loud(), Loud()], object), y=np.arange(2))
    with pytest.raises(ValueError, match=r"no \.npz file of plain arrays: Object arrays"):
        read(tmp_path / "d.npz", "y")


def test_where_there_is_no_file(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for name in ("none.csv", "folder.csv"):
        with pytest.raises(FileNotFoundError, match=f"^datasets.read: no file '.*{name}'"):
            read(tmp_path / name, "y")
    with pytest.raises(
        ValueError, match=r"'a.xlsx' must end in .csv, .tsv, .npz, .parquet; pandas'"
    ):
        read("a.xlsx", "y")


@pytest.mark.parametrize(
    ("path", "target", "message"),
    [
        (
            None,
            "y",
            "path must be a str or Path, got a NoneType; datasets.from_arrays takes arrays",
        ),
        (b"a.csv", "y", "path must be a str or Path, got a bytes"),
        (COLUMNS, "y", "path must be a str or Path, got a dict"),
        ("a.csv", None, "target must be a column's name or place, got None"),
        ("a.csv", ["y"], r"target must be a column's name or place, got \['y'\]"),
    ],
)
def test_what_is_no_path_and_no_target(path, target, message):
    with pytest.raises(TypeError, match=f"^datasets.read: {message}"):
        read(path, target)


def test_parquet_names_its_extra(tmp_path, monkeypatch):
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    message = r"^datasets.read: d.parquet needs pyarrow: pip install 'minireg\[data\]'$"
    with pytest.raises(ImportError, match=message):
        read(tmp_path / "d.parquet", "y")


def test_a_file_is_split_by_share_or_rows(tmp_path):
    write_csv(tmp_path / "d.csv")
    assert len(read(tmp_path / "d.csv", "kind", validation=[4, 7]).x_validation) == 2
    with pytest.raises(ValueError, match=r"^datasets.read: d.csv: validation must be a share"):
        read(tmp_path / "d.csv", "kind", validation=(COLUMNS, COLUMNS["kind"]))


def test_what_was_read_trains(tmp_path):
    write_csv(tmp_path / "d.csv")
    data = read(tmp_path / "d.csv", "kind")
    mr.manual_seed(0)
    model = mr.nn.Linear(data.x_train.shape[1], data.classes)
    sgd = mr.optim.SGD(model.parameters(), lr=0.5)
    terms = {"groups": mr.Term(mr.penalties.GroupLasso(0.01, axis=0), via="prox")}
    objective = mr.Objective(mr.nn.CrossEntropyLoss(), terms)
    history = mr.fit(model, objective, sgd, data.train, data.validation, epochs=30)
    assert history.last["validation_accuracy"] == 1  # the colour alone says the kind
