"""The report: self-contained, well-formed, its figures those of the histories."""

import dataclasses
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import minireg as mr
from minireg import nn, penalties
from minireg.inspect import Run, overview, report
from minireg.inspect.charts import cosines, looks_of, matrices, movers
from minireg.inspect.ledger import Ledger, ledger_table
from minireg.inspect.run import _in_rows, comparison_table, headline, incomparable, once, term_table
from minireg.pictures.plots import histogram
from minireg.tables import WORDS

pytest.importorskip("matplotlib", reason="the report draws with matplotlib (extra viz)")

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Parses strictly: every tag closed in order; collects what the tests look at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.refs: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.rows: dict[str, list[str]] = {}
        self.headings: list[str] = []
        self.charts: list[str] = []
        self.texts: dict[str, list[str]] = {}  # heading or other tag -> the texts in it
        self._cells: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self._attributes(tag, attrs)
        if tag == "tr":
            self._cells = []
        if tag in ("td", "th"):
            self._cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._attributes(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()
        if tag == "tr":
            self.rows[self._cells[0]] = self._cells[1:]

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self._cells[-1] += data
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data.strip())

    def _attributes(self, tag, attrs):
        for name, value in attrs:
            self.attributes.append((tag, name, value))
            if name == "id":
                self.ids.append(value)
            if name.endswith("href") and value.startswith("#"):
                self.refs.append(value[1:])
            self.refs += re.findall(r"url\(#([^)]+)\)", value or "")
            if name == "aria-label":
                self.charts.append(value)

    def figures(self, row: str) -> list[float]:
        cells = (re.match(r"[+−]?[\d.]+(e[−]?\d+)?", cell) for cell in self.rows[row])
        return [float(cell[0].replace("−", "-")) for cell in cells if cell]

    def section(self, heading: str) -> str:
        return self.source.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0]


def train(
    terms=None, *, dropout=0.0, smoothing=0.0, epochs=3, label="", booked=False, **options
) -> Run:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 6)).astype(np.float32), rng.integers(0, 3, 90)
    mr.manual_seed(0)
    drop = [nn.Dropout(dropout)] if dropout else []
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), *drop, nn.Linear(16, 3))
    objective = mr.Objective(nn.CrossEntropyLoss(label_smoothing=smoothing), terms)
    optimizer = mr.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    data = (x[:60], y[:60]), (x[60:], y[60:])
    ledger = Ledger(optimizer, accumulate=True) if booked else None
    history = mr.fit(
        model, objective, optimizer, *data, epochs=epochs, ledger=ledger, progress=False, **options
    )
    return Run(history, model, objective.assignments(), ledger)


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    terms = {"l2": penalties.L2(1e-2), "l1": mr.Term(penalties.L1(0.02), via="prox")}
    return {"plain": train(), "regularized": train(terms, dropout=0.3, smoothing=0.1)}


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory) -> Page:
    settings = {"noise": 0.2, "hidden": [16]}
    path = tmp_path_factory.mktemp("report") / "report.html"
    returned = report(
        str(path), runs, title="Two runs", settings=settings, command="train --noise 0.2"
    )
    assert returned == path
    return Page(path)


def synthetic(accuracy: float | None = None, **columns: float) -> Run:
    row = {"epoch": 1, "seconds": 0.1, "train_loss": 0.5, "zeros": 0, "weights": 9} | columns
    if accuracy is not None:
        row |= {
            "train_accuracy": 1.0,
            "validation_accuracy": accuracy,
            "accuracy_gap": 1 - accuracy,
        }
    return Run(mr.History([row]))


# --- inputs that no unit looks at ------------------------------------------------------------------


def test_an_input_is_unseen_exactly_if_no_answer_depends_on_it(tmp_path):
    """The law: for random patterns of zero columns, by moving each input."""
    rng = np.random.default_rng(0)
    names = tuple("abcde")
    for gone in (rng.random(5) < 0.5 for _ in range(5)):
        model = nn.Sequential(nn.Flatten(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
        model[1].weight.data[:, gone] = 0.0
        model[3].weight.data[:, 1] = 0.0  # a unit that nobody looks at is no input
        run = Run(mr.History(), model, features=names)
        x = rng.normal(size=(1, 5))
        moved = [np.abs(model(x + e).numpy() - model(x).numpy()).max() for e in np.eye(5)]
        expected = [name for name, move in zip(names, moved, strict=True) if move == 0]
        assert run.unseen == expected
        run.save(tmp_path / "run-a.safetensors")
        assert Run.load(tmp_path)["a"].unseen == expected
        assert Run(mr.History(), model).unseen == [f"input {names.index(n)}" for n in expected]
        page = Page(report(tmp_path / "r.html", {"one": run}))
        assert ("Inputs that no unit looks at" in page.texts["h2"]) == bool(expected)
        if expected:
            assert page.rows["one"] == [str(len(expected)), ", ".join(expected)]
    assert Run(mr.History()).unseen == []
    assert Run(mr.History(), nn.Sequential(nn.Conv2d(1, 2, 1))).unseen == []


# --- the page stands alone --------------------------------------------------------------------


def test_nothing_is_fetched(page):
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<img|<iframe", page.source, re.I)
    for _, name, value in page.attributes:
        assert not name.startswith("on"), name
        if name in ("src", "srcset", "action", "data") or name.endswith("href"):
            assert value.startswith("#"), (name, value)
    assert not set(re.findall(r"url\((?!#)", page.source))


def test_ids_are_unique_and_references_resolve(page):
    assert len(page.ids) == len(set(page.ids))
    assert page.refs
    assert set(page.refs) <= set(page.ids)


def test_ink_follows_the_theme(page):
    svgs = "".join(re.findall(r"<svg.*?</svg>", page.source, re.S))
    assert "var(--ink)" in svgs
    assert not re.search(r"#(1f2328|d5dae0|ffffff|000000)\b|\bblack\b", svgs)
    assert "prefers-color-scheme: dark" in page.source
    assert "@media print" in page.source


def test_same_runs_give_the_same_bytes_whatever_the_users_style(runs, page, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        settings = {"noise": 0.2, "hidden": [16]}
        command = "train --noise 0.2"
        path = report(
            tmp_path / "r.html", runs, title="Two runs", settings=settings, command=command
        )
        assert dict(matplotlib.rcParams) == before
    assert path.read_text(encoding="utf-8") == page.source


def test_pyplot_is_never_imported_and_matplotlib_late():
    code = """if True:
        import sys, minireg.inspect as inspect, minireg as mr
        assert "matplotlib" not in sys.modules
        inspect.overview({"a": inspect.Run(mr.History())})
        assert "matplotlib.pyplot" not in sys.modules"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


# --- its figures are the histories' ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "scale"),
    [
        ("training loss", "train_loss", 1),
        ("validation loss", "validation_loss", 1),
        ("gap (validation − training)", "gap", 1),
        ("training accuracy", "train_accuracy", 100),
        ("validation accuracy", "validation_accuracy", 100),
        ("accuracy gap (training − validation)", "accuracy_gap", 100),
    ],
)
def test_results(runs, page, row, column, scale):
    rows = [moment for run in runs.values() for moment in run.moments.values()]
    expected = [moment[column] * scale for moment in rows]
    assert page.figures(row) == pytest.approx(expected, abs=0.051 if scale == 100 else 5.1e-4)


def test_results_of_zeros_and_epochs(runs, page):
    shares, best = [], []
    for run in runs.values():
        weights = [p.data.ravel() for p in run.model.parameters() if p.kind == "weight"]
        shares.append(100 * float(np.mean(np.concatenate(weights) == 0)))
        best.append(1 + int(np.argmax(run.history["validation_accuracy"])))
    assert shares[1] > 1 > shares[0]
    ends, bests = slice(0, None, 2), slice(1, None, 2)
    assert page.rows[""] == [f"{n}, {when}" for n in runs for when in ("end", "best")]
    assert page.figures("epoch")[ends] == [3, 3]
    assert page.figures("epoch")[bests] == best
    zeros = page.figures("weights that are exactly 0")
    assert zeros[ends] == pytest.approx(shares, abs=0.051)


def test_each_term_with_its_figures(runs, page):
    for label, run in runs.items():
        for term in run.history.terms:
            *cells, via = page.rows[f"{label}: {term}"]
            assert via == ("prox" if term == "l1" else "gradient")
            last = run.history.last
            expected = [last[f"{k}/{term}"] for k in ("value", "norm", "share", "cosine")]
            expected[2] *= 100
            found = page.figures(f"{label}: {term}")
            assert found == pytest.approx(expected, abs=0.051, rel=0.1)
            assert len(cells) == 4
    assert {"data", "smoothing", "l2", "l1"} == {*runs["regularized"].history.terms}


def test_assignments_settings_and_command(runs, page):
    for row in runs["regularized"].assignments:
        assert row.parameter in page.rows
    assert page.rows["0.weight"][1:3] == ["weight", "l2 (gradient), l1 (prox)"]
    assert "plain: penalties on 0 of 4 parameters" in page.texts["summary"]
    assert page.rows["noise"] == ["0.2"]
    assert page.rows["hidden"] == ["[16]"]
    assert "<pre>train <span>--noise</span> 0.2</pre>" in page.source
    assert page.texts["h1"] == ["Two runs"]


def test_every_chart_is_there_and_explained(page):
    kinds = {"loss", "accuracy", "gradient norm"}
    expected = {f"{kind}: {label}" for kind in kinds for label in ("plain", "regularized")}
    expected |= {"share: regularized", "cosine: regularized"}  # plain has the data term only
    expected |= {"weights: 0.weight (16 × 6)", "weights: 2.weight / 3.weight (3 × 16)"}
    assert expected == set(page.charts)
    assert len(page.texts["h2"]) == 11
    assert all(re.match(r"<p>\w", page.section(h)) for h in page.texts["h2"])


def test_a_word_is_explained_where_it_stands_and_nowhere_else(page, tmp_path):
    words = lambda page, part: re.findall("<dt>(.+?)</dt>", page.section(part))
    assert words(page, "In figures") == ["end", "best", "gap"]
    run = booked()
    history = mr.History(run.history.rows, "early stopping", best_epoch=2)
    early = Page(report(tmp_path / "r.html", {"a": dataclasses.replace(run, history=history)}))
    assert words(early, "In figures") == ["restored", "gap"]
    moved = words(early, "Who moved the weights")
    assert moved == ["‖Δ‖", "share", "growth", "clip", "prox", "residual"]
    assert not words(early, "Loss")
    sections = re.findall("<section>(.+?)</section>", early.source, re.S)
    assert not [text for text in sections if re.search(r"<d[dt]>\s*<|<p>\s*<|\n: ", text)]


def test_a_term_has_one_colour_everywhere(runs, page):
    colours = {term: colour for term, (colour, *_) in looks_of(runs)[1].items()}
    assert len(set(colours.values())) == 4
    for heading in ("Share of each term in the gradient", "Strength of each term"):
        assert all(colour in page.section(heading) for colour in colours.values())
    direction = page.section("Direction of each term")
    assert colours["data"] not in direction  # always 1: not drawn
    assert all(colours[t] in direction for t in ("smoothing", "l2", "l1"))


def test_exact_zeros_are_counted_apart(tmp_path):
    model = nn.Linear(10, 10, bias=False)
    model.weight.data[...] = 0.5
    model.weight.data[:4] = 0.0
    weights = Page(report(tmp_path / "r.html", {"a": Run(mr.History(), model)})).section("Weights")
    assert "40.0%" in weights
    figure = overview({"a": Run(mr.History(), model)})
    bars, others = figure.subfigs[2].axes
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.4])
    drawn = others.patches[-1].get_data()
    assert drawn.values.sum() == pytest.approx(0.6)
    assert drawn.values[len(drawn.values) // 2] == 0  # around 0 there are none of the exact zeros
    assert others.get_yscale() == "linear"


@pytest.mark.parametrize("size", [1, 40, 4000])
def test_few_weights_lie_in_few_bins_of_which_one_is_around_0(size):
    from matplotlib.figure import Figure

    found = {"a": np.random.default_rng(0).normal(size=(size, 1))}
    axes = histogram(Figure(), found, looks_of({"a": Run(mr.History())})[0])
    drawn = axes.patches[-1].get_data()
    assert len(drawn.values) % 2 == 1
    assert len(drawn.values) <= min(61, np.sqrt(size) + 5)
    np.testing.assert_allclose(drawn.edges, -drawn.edges[::-1], atol=1e-12)
    assert drawn.values.sum() == pytest.approx(1)


def test_matrices_are_paired_by_shape(runs):
    pairs = matrices(runs)  # dropout moved the second Linear from 2 to 3
    assert list(pairs) == ["0.weight (16 × 6)", "2.weight / 3.weight (3 × 16)"]
    assert all(list(found) == ["plain", "regularized"] for found in pairs.values())
    shallow = Run(mr.History(), nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 16)))
    deep = Run(mr.History(), nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16)))
    found = matrices({"a": shallow, "b": deep})
    assert [len(group) for group in found.values()] == [1, 2, 1]


def test_panels_share_their_scale_and_shares_fill_it(runs, tmp_path):
    small, large = synthetic(validation_loss=0.5, gap=0.0), synthetic(validation_loss=9.0, gap=8.5)
    loss = Page(report(tmp_path / "r.html", {"small": small, "large": large})).section("Loss")
    ticks = [re.findall(r">(\d+)</text>", svg) for svg in loss.split("</svg>")[:2]]
    assert ticks[0] == ticks[1]
    assert {"2", "8"} < set(ticks[0])
    axes = overview(runs).subfigs[1].axes[0]
    top = axes.collections[-1].get_paths()[0].vertices[:, 1].max()
    assert axes.get_ylim() == (0, 1)
    assert top == pytest.approx(1)


def test_the_axis_of_a_single_epoch_has_a_single_tick():
    accuracy, shares, _ = overview({"a": train({"l2": penalties.L2(1e-2)}, epochs=1)}).subfigs
    assert list(accuracy.axes[0].get_xticks()) == list(shares.axes[0].get_xticks()) == [1]
    data, l2 = (fill.get_paths()[0].get_extents() for fill in shares.axes[0].collections)
    assert (data.x0, data.x1, l2.x0, l2.x1) == (0.5, 1.5, 0.5, 1.5)
    assert (data.y0, l2.y1) == pytest.approx((0, 1))


def test_a_gradient_of_0_has_no_direction():
    from matplotlib.figure import Figure

    rows = [{"epoch": e, "value/data": 1.0, "value/l2": 1.0, "norm/data": 1.0, "norm/l2": e - 1.0,
             "cosine/data": 1.0, "cosine/l2": (e - 1) / 4} for e in (1, 2, 3)]  # fmt: skip
    run = Run(mr.History(rows))
    drawn = cosines(Figure(), run, looks_of({"a": run})[1]).get_lines()
    assert len(drawn) == 2  # the axis and l2
    np.testing.assert_array_equal(drawn[1].get_ydata(), [np.nan, 0.25, 0.5])


# --- the ledger -------------------------------------------------------------------------------------


def booked(epochs: int = 4, name: str = "l2") -> Run:
    terms = {name: penalties.L2(1e-2), "l1": mr.Term(penalties.L1(0.02), via="prox")}
    return train(terms, smoothing=0.1, epochs=epochs, booked=True, clip_norm=0.3)


@pytest.mark.slow
def test_who_moved_the_weights_are_the_ledgers_figures(tmp_path):
    run = booked()
    page = Page(report(tmp_path / "r.html", {"plain": train(), "on": run}))
    entries = run.ledger.whole.summary()
    assert [e["entry"] for e in entries] == [
        "data", "smoothing", "l2", "data clip", "smoothing clip", "l2 clip", "l1 prox",
    ]  # fmt: skip
    for e in entries:
        found = page.figures(f"on: {e['entry']}")  # the last table with this row
        expected = [e["length"], 100 * e["share"], 100 * e["growth"]]
        assert found == pytest.approx(expected, abs=0.051)
    (residual,) = page.figures("on: residual of the books")
    assert residual == pytest.approx(run.ledger.whole.residual, rel=0.06)
    figures = page.section("Who moved the weights").partition("<table")[2]
    assert "-" not in re.sub(r"<[^>]*>", "", figures)  # true minus signs
    assert "plain: residual of the books" not in page.rows


def test_who_moved_each_layer_is_drawn_to_100_percent():
    from matplotlib.figure import Figure

    run = booked()
    columns = run.ledger.columns()
    for layer in ("0", "2"):
        head = f"{layer}/share/"
        shares = {c.removeprefix(head): v for c, v in columns.items() if c.startswith(head)}
        looks = looks_of({"a": run})[1]
        axes = movers(Figure(), (run, shares), looks)
        up, down = axes.collections[: len(shares)], axes.collections[len(shares) :]
        top = np.array([v.get_paths()[0].get_extents().y1 for v in up]).max()
        bottom = np.array([v.get_paths()[0].get_extents().y0 for v in down]).min()
        stacked = np.nan_to_num(list(shares.values()))  # NaN: nothing was clipped
        assert top == pytest.approx(np.maximum(stacked, 0).sum(0).max())
        assert bottom == pytest.approx(np.minimum(stacked, 0).sum(0).min())
        np.testing.assert_allclose(stacked.sum(0), 1, atol=1e-3)
        ticks = [axes.yaxis.get_major_formatter()(v, 0) for v in (-0.5, 0, 1)]
        assert ticks == ["−50 %", "0 %", "100 %"]


@pytest.mark.slow
def test_an_entry_has_the_colour_of_its_term(tmp_path):
    run = booked()
    page = Page(report(tmp_path / "r.html", {"a": run}))
    assert {"share: a: layer 0", "share: a: layer 2"} < set(page.charts)
    colours = {name: colour for name, (colour, *_) in looks_of({"a": run})[1].items()}
    assert list(colours) == ["data", "smoothing", "l2", "l1"]
    assert len(set(colours.values())) == 4
    layers = page.section("Who moved each layer")
    assert all(colour in layers for colour in colours.values())
    for entry in ("data", "smoothing", "l2", "data clip", "l2 clip", "l1 prox"):
        assert f"> {entry}<" in layers


def test_each_way_that_a_term_acts_is_hatched_in_the_colour_of_the_term():
    from matplotlib.colors import to_rgba
    from matplotlib.figure import Figure

    run = train(
        {"en": mr.Term(penalties.ElasticNet(0.01, 0.02), via="prox"), "l2": penalties.L2(0.01)},
        epochs=2, booked=True, clip_norm=0.01,
    )  # fmt: skip
    looks = looks_of({"a": run})[1]
    entries = ["data", "l2", "l2 clip", "en.l1 prox", "en.l2 prox"]
    shares = {entry: [0.2, 0.2] for entry in entries}
    axes = movers(Figure(), (run, shares), looks)
    drawn = [(tuple(f.get_facecolor()[0]), f.get_hatch()) for f in axes.collections[:5]]
    of = {term: to_rgba(colour) for term, (colour, *_) in looks.items()}
    assert drawn == [
        (of["data"], ""), (of["l2"], ""), (of["l2"], "xx"), (of["en.l1"], "//"), (of["en.l2"], "//")
    ]  # fmt: skip
    assert {*entries} <= {" ".join(key) for key in run.ledger.whole.entries()}


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2])
def test_the_ledger_of_one_layer_and_few_epochs(tmp_path, epochs):
    mr.manual_seed(0)
    model = nn.Linear(6, 3)
    optimizer = mr.optim.SGD(model.parameters(), 0.1)
    ledger = Ledger(optimizer, accumulate=True)
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(0, 3, 40)
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": penalties.L2(0.1)})
    history = mr.fit(
        model, objective, optimizer, data, epochs=epochs, ledger=ledger, progress=False
    )
    page = both(tmp_path, {"a": Run(history, model, objective.assignments(), ledger)})
    assert "share: a: layer model" in page.charts
    assert len(page.figures("a: l2")) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accumulate", "name"),
    [(False, "l2"), (False, "a/share/b"), (True, "a/share/b"), (True, "two words prox")],
)
def test_a_ledger_as_documented_and_any_name_of_a_term(tmp_path, accumulate, name):
    """Reliability 4: no look was found for entries of one step, nor for this name."""
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3))
    optimizer = mr.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    ledger = Ledger(optimizer, accumulate=accumulate)
    objective = mr.Objective(nn.CrossEntropyLoss(), {name: penalties.L2(0.1)})
    data = np.eye(3, dtype=np.float32), np.arange(3)
    history = mr.fit(
        model, objective, optimizer, data, epochs=2, batch_size=1, ledger=ledger, progress=False
    )
    run = Run(history, model, objective.assignments(), ledger)
    page = Page(report(tmp_path / "r.html", {"a": run}))
    assert [c for c in page.charts if "layer" in c] == ["share: a: layer 0"]
    looks = looks_of({"a": run})[1]
    assert list(looks) == ["data", name]
    section = page.section("Who moved each layer")
    for entry in ledger.last.entries() if not accumulate else ledger.whole.entries():
        assert f"> {' '.join(entry)}<" in section
        assert looks[entry[0]][0] in section
    who = "a" if accumulate else "a, last step"
    figures = page.figures(f"{who}: {name}{'' if accumulate else ' fresh'}")
    assert len(figures) == 3


def test_signs_of_the_tables_have_words_for_a_poor_terminal():
    run = booked()
    tables = term_table(run), ledger_table(run.ledger.whole), comparison_table({"a": run})
    names = "".join(name for table in tables for name in table.names)
    assert "Δ" in names
    assert not [sign for sign in names if ord(sign) > 127 and ord(sign) not in WORDS]


@pytest.mark.slow
def test_names_in_the_ledger_are_escaped(tmp_path):
    name = "_<b>$x$ & \"'"
    page = both(tmp_path, {"<i>": booked(2, name)})
    assert "<b>" not in page.source
    assert "<i>" not in page.source
    assert f"<i>: {name}" in page.rows
    assert page.section("Who moved each layer").count("_&lt;b&gt;$x$ &amp;") >= 2


def test_an_open_ledger_without_an_epoch_is_left_out(tmp_path):
    optimizer = mr.optim.SGD(nn.Linear(2, 2).parameters(), 0.1)
    empty = Run(mr.History(), ledger=Ledger(optimizer, accumulate=True))
    page = both(tmp_path, {"a": empty})
    assert not [h for h in page.texts["h2"] if "Who moved" in h]


# --- the headline --------------------------------------------------------------------------------


def test_headline_compares_accuracy():
    a = synthetic(0.90, validation_loss=0.7)
    b = synthetic(0.85, validation_loss=0.6)
    text = (
        "“a” ends with a validation accuracy of 90.0\xa0%, 5.0\xa0points more than “b” (85.0\xa0%)."
    )
    assert headline({"b": b, "a": a}) == text
    better = dataclasses.replace(b, history=mr.History([{**b.last, "validation_accuracy": 0.99}]))
    assert headline({"b": better, "a": a}).startswith("“b” ends with a validation accuracy of 99.0")


def test_headline_of_losses_where_less_is_better():
    a, b = synthetic(validation_loss=0.7), synthetic(validation_loss=0.6)
    text = "“b” ends with a validation loss of 0.600, 0.100 less than “a” (0.700)."
    assert headline({"a": a, "b": b}) == text
    assert headline({"a": synthetic()}) == "“a” ends with a training loss of 0.500."


def curve(*accuracies: float, losses: tuple[float, ...], part: str = "test", **options) -> Run:
    """A run whose test accuracy and validation loss are these, epoch by epoch."""
    rows = [{"epoch": i, "seconds": 1.0, "train_loss": 0.1, "validation_loss": loss,
             "validation_accuracy": 1 - loss, f"{part}_accuracy": accuracy} | options
            for i, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True), 1)]  # fmt: skip
    return Run(mr.History(rows))


def test_the_headline_is_fair_to_early_stopping():
    """The best epoch is chosen by the validation data, and judged by the test data."""
    on = curve(0.8, 0.9, losses=(0.5, 0.4))
    below = curve(0.70, 0.88, 0.95, 0.80, losses=(0.5, 0.2, 0.3, 0.9))
    assert headline({"plain": below, "on": on}) == (
        "“on” ends with a test accuracy of 90.0\xa0%, 10.0\xa0points more than “plain” (80.0\xa0%). "
        "Stopped at its best epoch (2), “plain” has 88.0\xa0%, 2.0\xa0points less."
    )
    above = curve(0.70, 0.90, 0.80, losses=(0.5, 0.2, 0.9))
    end = "“plain” has 90.0\xa0%, just as much; early stopping alone does as well."
    assert headline({"plain": above, "on": on}).endswith(end)
    two = headline({"plain": below, "other": above, "on": on})
    assert "Stopped at its best epoch (2), “other” has 90.0" in two


def test_early_stopping_alone_is_said_of_a_run_without_regularizers_and_by_how_much():
    plain, peak = train(), curve(0.70, 0.95, 0.80, losses=(0.5, 0.2, 0.9))
    end = "Stopped at its best epoch (2), “a” has 95.0\xa0%, 5.0\xa0points more"
    alone = "; early stopping alone does better."
    for model, ledger, way in (
        (plain.model, None, alone),
        (None, None, alone),
        (nn.Sequential(nn.Dropout(0.0)), None, alone),
        (nn.Sequential(nn.Dropout(0.5)), None, "."),
        (plain.model, train({"l2": penalties.L2(0.1)}, booked=True).ledger, "."),
    ):
        a = dataclasses.replace(peak, model=model, ledger=ledger)
        assert headline({"a": a, "b": curve(0.9, losses=(0.2,))}).endswith(end + way)
    pulled = {"norm/data": 1.0, "norm/l2": 0.1, "value/data": 1.0, "value/l2": 1.0}
    on = curve(0.70, 0.90, 0.80, losses=(0.5, 0.2, 0.9), **pulled)
    assert headline({"on": on, "b": curve(0.9, losses=(0.2,))}).endswith(
        "Stopped at its best epoch (2), “on” has 90.0\xa0%, just as much."
    )


def test_the_best_epoch_is_the_first_of_the_highest_accuracy_or_of_the_lowest_loss():
    rows = [{"epoch": i, "validation_loss": loss} for i, loss in enumerate((0.3, 0.1, 0.2, 0.1), 1)]
    assert Run(mr.History(rows)).best_epoch == 2
    for row, accuracy in zip(rows, (0.5, 0.6, 0.8, 0.8), strict=True):
        row["validation_accuracy"] = accuracy
    assert Run(mr.History(rows)).best_epoch == 3
    assert Run(mr.History(rows, best_epoch=1)).best_epoch == 1
    rows[0]["validation_accuracy"] = float("nan")
    assert Run(mr.History(rows[:1])).best_epoch is None


def on(place: str, run: Run, **data) -> Run:
    """The run, measured on the rows of this name."""
    about = {"sums": {"x_validation": place, "y_validation": place, "x_train": repr(data)}} | data
    return dataclasses.replace(run, data=about)


def test_only_runs_of_the_same_rows_are_ranked(tmp_path):
    """The law: of any runs, no sentence compares two that were measured on different rows."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        where = {label: str(rng.integers(3)) for label in "abcdef"}
        runs = {n: on(rows, curve(rng.random(), losses=(0.1,))) for n, rows in where.items()}
        text = headline(runs)
        for sentence in text.split(". "):
            assert len({where[label] for label in re.findall("“(.)”", sentence)}) <= 1
        several = len({*where.values()}) > 1
        assert (incomparable(runs) in text and several) == bool(incomparable(runs))
    same = {
        "a": on("x", curve(0.9, losses=(0.1,)), rows={"training": 3}),
        "b": on("x", curve(0.8, losses=(0.1,))),
    }
    assert not incomparable(same)
    assert "10.0\xa0points more than “b”" in headline(same)
    other = same | {"c": on("y", curve(0.5, losses=(0.1,)))}
    page = Page(report(tmp_path / "r.html", other))
    assert any(text.startswith(incomparable(other)) for text in page.texts["p"])
    assert headline(other).endswith("“c” ends with a test accuracy of 50.0\xa0%.")


def test_the_same_training_counts_once_and_no_other_does():
    """The law: what the headline says of runs is what it says without the copies, after a sentence that
    names these.
    """
    a, b = curve(0.5, 0.9, 0.8, losses=(0.5, 0.2, 0.9)), curve(0.7, losses=(0.1,))
    runs = {"a": on("x", a), "b": on("x", b)}
    later = [row | {"seconds": 7.0} for row in a.history.rows]  # the clock is no figure
    copies = {
        f"copy {i}": on("x", dataclasses.replace(a, history=mr.History(later))) for i in range(3)
    }
    said = "Counted once, being the same training, figure for figure: “a” = “copy 0” and 2 more. "
    assert headline(runs | copies) == said + headline(runs)
    assert once(copies | runs)[0].keys() == {"copy 0", "b"}
    nearly = [*a.history.rows[:-1], a.history.rows[-1] | {"test_loss": 0.5}]
    others = [on("y", a), a, on("x", dataclasses.replace(a, history=mr.History(nearly))),
              on("x", Run(mr.History())), on("x", Run(mr.History()))]  # fmt: skip
    every = runs | dict(zip("cdefg", others, strict=True))
    assert once(every) == (every, "")
    strange = on("x", curve(0.5, losses=(float("nan"),)))  # is not equal to itself
    assert once({"a": strange, "b": strange})[0].keys() == {"a"}


def seeds(count: int, **kinds) -> dict[str, Run]:
    """Folders of runs under the same names, each folder measured on rows of its own."""
    return {
        f"runs/{i}: {name}": on(f"seed {i}", make(i), rows={"test": 100})
        for i in range(count)
        for name, make in kinds.items()
    }


@pytest.mark.parametrize("count", [2, 5, 10])
def test_runs_of_other_seeds_are_told_together(count):
    """The law, against means and signs by hand: as many sentences as of one seed, and in each a run is
    compared with those of its own rows.
    """
    rng = np.random.default_rng(count)
    plain, best, on = rng.integers(80, 90, (3, count)) / 100
    on[0] = plain[0]
    runs = seeds(
        count,
        plain=lambda i: curve(0.5, best[i], plain[i], losses=(0.5, 0.2, 0.9)),
        on=lambda i: curve(on[i], losses=(0.1,)),
    )
    percent = lambda x: f"{x:.1%}".replace("%", "\xa0%")
    found = headline(runs)
    winner, loser = ("on", "plain") if on.mean() > plain.mean() else ("plain", "on")
    ends = {"on": on, "plain": plain}
    low, high, mean = (percent(f(ends[winner])) for f in (np.min, np.max, np.mean))
    spread = low if low == high else f"{low} to {high}"
    first = f"On {count} held-out parts of the data, “{winner}” ends with a mean test accuracy of {mean} "
    assert found.startswith(f"{first}({spread}), ")
    signs = np.sign(ends[winner] - ends[loser])
    sides = {"more": (signs > 0).sum(), "the same": (signs == 0).sum(), "less": (signs < 0).sum()}
    told = ", ".join(f"{side} on {n}" for side, n in sides.items() if n)
    assert f"“{loser}” ({percent(ends[loser].mean())}): {told} of {count}." in found
    if winner == "on":
        assert f"Stopped at its best epoch (2), “plain” has {percent(best.mean())}, " in found
    assert len(found.split(". ")) == 1 + (winner == "on")
    assert found.count("“") <= 3


def test_means_of_the_same_figures_in_another_order_are_the_same():
    figures = np.array([0.1, 0.2, 0.3])
    assert figures.mean() != figures[::-1].mean()
    runs = seeds(
        3,
        a=lambda i: curve(figures[i], losses=(0.1,)),
        b=lambda i: curve(figures[2 - i], losses=(0.1,)),
    )
    assert ", the same as “" in headline(runs)


def test_runs_of_other_data_or_of_the_same_rows_are_not_told_together():
    kinds = {"a": lambda i: curve(0.9, losses=(0.1,)), "b": lambda i: curve(0.8, losses=(0.1,))}
    runs = seeds(2, **kinds)
    assert not headline(runs).startswith("Not all runs")
    assert not incomparable(runs)
    for change in ({"name": "wine"}, {"file": "homes.csv"}, {"rows": {"test": 50}}):
        other = {
            label: dataclasses.replace(run, data={**run.data, **(change if "1:" in label else {})})
            for label, run in runs.items()
        }
        assert "“runs/0: a” ends with a test accuracy of 90.0\xa0%" in headline(other)
        assert "“runs/1: a” ends with" in headline(other)
    again = seeds(1, **kinds)
    twice = again | {label.replace("0", "9"): run for label, run in again.items()}
    assert "“runs/0: a” ends" in headline(twice)
    lost = runs | {"runs/1: b": dataclasses.replace(runs["runs/1: b"], history=mr.History())}
    assert "more than “runs/0: b”" in headline(lost)  # one without an epoch takes no other along


def test_of_many_rows_only_the_best_are_told_and_the_rest_as_a_whole():
    """Where labels say no kind: a sentence for each set of rows, and one for all wrong labels."""
    counts = {"wrong_accuracy": 0.5, "true_accuracy": 0.25, "train_accuracy": 1.0}
    run = dataclasses.replace(curve(0.9, losses=(0.1,), **counts), wrong=8)
    runs = {f"seed {i}": on(f"seed {i}", run) for i in range(7)}
    text = headline(runs)
    assert text.endswith(
        "Each of 7 runs has learnt 4 of 8 wrong training labels by heart and answers 2 of them with the "
        "true one."
    )
    assert len(text.split(". ")) == 1 + 7 + 1


def test_endings_and_wrong_labels_of_other_seeds_are_spans():
    def make(i):
        share = {"wrong_accuracy": i / 4, "true_accuracy": 1 - i / 4, "train_accuracy": 1.0}
        run = curve(*[0.9] * (3 + i), losses=(0.1,) * (3 + i), **share)
        stopped = {"stopped": "early stopping", "best_epoch": 1 + i} if i else {}
        history = mr.History(run.history.rows, **stopped)
        return dataclasses.replace(run, history=history, wrong=4)

    assert headline(seeds(3, plain=make)).endswith(
        "“plain” has learnt 0 to 2 of 4 wrong training labels by heart and answers 2 to 4 of them with "
        "the true one. 2 of 3 runs of “plain” ended after 4 to 5 epochs (early stopping), with the weights "
        "of epoch 2 to 3."
    )


@pytest.mark.parametrize(
    ("one", "other", "rows", "said"),
    [
        (28, 27, 30, "3.3\xa0points more than “b” (90.0\xa0%): 1 of 30 rows, which may be chance."),
        (270, 240, 300, "10.0\xa0points more than “b” (80.0\xa0%): 30 of 300 rows."),
        (27, 27, 30, "the same as “b” (90.0\xa0%)."),
    ],
)
def test_a_difference_of_accuracies_is_told_in_rows(one, other, rows, said):
    runs = {
        n: on("x", curve(right / rows, losses=(loss,)), rows={"test": rows})
        for n, right, loss in (("a", one, 0.1), ("b", other, 0.2))
    }
    assert headline(runs).endswith(f"%, {said}")


def test_what_may_be_chance_is_at_most_two_standard_errors_of_independent_answers():
    """Against drawn answers of two networks that are equally good: it is said 19 times of 20."""
    rng, rows = np.random.default_rng(0), 200
    for share in (0.5, 0.9):
        drawn = rng.binomial(rows, share, (1000, 2)) / rows
        told = (_in_rows(a, b, rows) for a, b in drawn[..., None])
        doubted = [not text or text.endswith("chance") for text in told]
        assert 0.92 < np.mean(doubted) < 0.98


def test_the_losses_of_a_standardised_target_have_a_unit(tmp_path):
    y = np.random.default_rng(0).normal(7, 1.5, 40)
    data = mr.datasets.from_arrays(np.arange(40.0)[:, None], y, validation=range(10))
    mean, deviation = data.target_scales["y"]
    answers = nn.Linear(1, 1)(mr.tensor(data.x_validation)).numpy()
    run = synthetic(test_loss=float(np.mean((answers - data.y_validation) ** 2)))
    run = dataclasses.replace(run, data={"target_scales": data.target_scales})
    assert headline({"a": run}).endswith(
        f"Losses are in units of the target's variance; its standard deviation is {deviation:.3f} (y)."
    )
    page = Page(report(tmp_path / "r.html", {"a": run, "b": synthetic(test_loss=1.0)}))
    expected = np.sqrt(np.mean((mean + deviation * answers.ravel() - y[:10]) ** 2))
    assert page.figures("test error in the target's unit") == pytest.approx([expected], rel=0.01)
    run.save(tmp_path / "run-a.safetensors")
    assert Run.load(tmp_path)["a"].data["target_scales"] == data.target_scales


def test_early_stopping_and_losses():
    rows = [
        {"epoch": i, "seconds": 1.0, "validation_loss": loss} for i, loss in ((1, 0.3), (2, 0.8))
    ]
    plain = Run(mr.History(rows))
    text = headline({"plain": plain, "on": synthetic(validation_loss=0.25)})
    assert text.endswith("Stopped at its best epoch (1), “plain” has 0.300, 0.050 more.")
    text = headline({"plain": plain, "on": synthetic(validation_loss=0.30)})
    assert text.endswith("“plain” has 0.300, just as much; early stopping alone does as well.")


def test_wrong_labels_learnt_by_heart_are_counted(tmp_path):
    def of(wrong: float, true: float) -> Run:
        run = curve(
            0.9,
            0.9,
            losses=(0.1, 0.2),
            train_accuracy=1.0,
            wrong_accuracy=wrong,
            true_accuracy=true,
        )
        return dataclasses.replace(run, wrong=252)

    runs = {"plain": of(1.0, 0.0), "on": of(56 / 252, 191 / 252)}
    assert headline(runs).endswith(
        "“plain” has learnt 252 of 252 wrong training labels by heart and answers 0 of them with the "
        "true one, “on” 56 of 252, and 191."
    )
    page = Page(report(tmp_path / "r.html", runs))
    assert page.rows["wrong labels learnt by heart"] == ["252 of 252"] * 2 + ["56 of 252"] * 2
    assert page.rows["… answered with the true label"] == ["0 of 252"] * 2 + ["191 of 252"] * 2
    assert {"wrong labels: plain", "wrong labels: on"} < {*page.charts}
    assert "… answered with the true label" not in str(
        comparison_table({"a": curve(0.9, losses=(0.1,))})
    )


def test_the_figures_of_the_best_epoch_are_its_own():
    table = comparison_table({"a": curve(0.7, 0.9, 0.8, losses=(0.5, 0.2, 0.9))})
    assert [*table.names] == ["", "a, end", "a, best"]
    figures = {name: cells for name, *cells in table.texts}
    assert figures["test accuracy"] == ["80.0\xa0%", "90.0\xa0%"]
    assert figures["validation loss"] == ["0.900", "0.200"]
    assert figures["seconds"] == ["3.0", "2.0"]
    assert figures["epoch"] == ["3", "2"]


def test_headline_of_a_tie_and_of_nan():
    assert "the same as “b” (90.0\xa0%)" in headline({"a": synthetic(0.9), "b": synthetic(0.9)})
    lost = synthetic(validation_loss=float("nan"))
    text = headline({"lost": lost, "a": synthetic(validation_loss=0.7)})
    assert text == "“a” ends with a validation loss of 0.700."


def test_headline_tells_how_a_run_ended():
    run = synthetic(0.9)
    interrupted = Run(mr.History(run.history.rows, stopped="interrupted"))
    assert headline({"a": interrupted}).endswith("“a” ended after 1 epoch (interrupted).")
    early = Run(mr.History(run.history.rows * 4, stopped="early stopping", best_epoch=2))
    end = "“a” ended after 4 epochs (early stopping), with the weights of epoch 2."
    assert headline({"a": early}).endswith(end)
    none = headline({"a": Run(mr.History(stopped="interrupted"))})
    assert none == "There is no epoch to compare. “a” ended after 0 epochs (interrupted)."


# --- edges -----------------------------------------------------------------------------------------


def both(path: Path, runs: dict[str, Run], **options) -> Page:
    page = Page(report(path / "r.html", runs, **options))
    overview(runs).savefig(path / "overview.png", dpi=30)
    return page


def test_restored_weights_give_their_own_epochs_figures(tmp_path):
    run = train({"l2": penalties.L2(1e-2)}, epochs=4)
    history = mr.History(run.history.rows, "early stopping", best_epoch=2)
    page = both(tmp_path, {"a": dataclasses.replace(run, history=history)})
    assert page.figures("training loss") == pytest.approx([history["train_loss"][1]], abs=5.1e-4)
    assert page.rows[""] == ["a, restored"]
    assert page.rows["epoch"] == ["2"]
    assert page.figures("a: l2")[0] == pytest.approx(history["value/l2"][1], abs=5.1e-4)


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_single_short_run(tmp_path, epochs):
    page = both(tmp_path, {"only": train({"l2": penalties.L2(1e-2)}, epochs=epochs)})
    assert page.figures("epoch")[0] == epochs
    assert "share: only" in page.charts


@pytest.mark.slow
def test_interrupted_before_the_first_epoch(runs, tmp_path):
    never = Run(mr.History(stopped="interrupted"), nn.Linear(6, 16))
    page = both(tmp_path, {"never": never, **runs})
    assert page.rows["training loss"][0] == "–"
    assert "loss: never" not in page.charts
    alone = both(tmp_path, {"never": Run(mr.History())})
    assert not alone.charts
    assert alone.texts["h2"] == ["In figures"]


def test_regression_without_model(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 3))
    model = nn.Linear(3, 1)
    optimizer = mr.optim.SGD(model.parameters(), 0.1)
    data = x, x.sum(axis=1, keepdims=True)
    history = mr.fit(model, nn.MSELoss(), optimizer, data, data, epochs=2, progress=False)
    page = both(tmp_path, {"linear": Run(history)})
    assert "validation accuracy" not in page.rows
    assert "Accuracy" not in page.texts["h2"]
    assert "Weights" not in page.texts["h2"]
    assert page.rows["linear: data"][-1] == "gradient"
    unseen = mr.fit(model, nn.MSELoss(), optimizer, data, epochs=2, progress=False)
    page = both(tmp_path, {"linear": Run(unseen, model)})
    assert "gap (validation − training)" not in page.rows
    assert page.rows[""] == ["linear, end"]


def test_huge_figures_stay_short():
    rows = comparison_table({"a": synthetic(validation_loss=-1.25e13, gap=1e5)}).texts
    assert ["validation loss", "−1.2e+13"] in rows
    assert ["gap (validation − training)", "+100000.000"] in rows


def test_figures_that_are_not_finite(tmp_path):
    row = synthetic(validation_loss=float("nan"), gap=float("nan")).last
    model = nn.Linear(2, 2)
    model.weight.data[0] = np.inf, np.nan
    page = both(tmp_path, {"a": Run(mr.History([row, {**row, "epoch": 2}]), model)})
    assert page.rows["validation loss"] == ["nan"]
    dead = nn.Linear(2, 2)
    dead.weight.data[...] = 0.0
    assert "100.0%" in both(tmp_path, {"a": Run(mr.History(), dead)}).section("Weights")


def test_everything_from_outside_is_escaped(tmp_path):
    evil = "<script>alert('&\"')</script>"
    run = train({"l2" + evil: penalties.L2(1e-2)}, epochs=2)
    run.assignments[0] = dataclasses.replace(run.assignments[0], why=evil)
    options = {"title": evil, "settings": {evil: evil}, "command": f"run {evil}"}
    page = both(tmp_path, {evil: run}, **options)
    assert "<script" not in page.source
    assert page.rows[evil] == [evil]
    assert f"{evil}: l2{evil}" in page.rows
    assert page.texts["title"] == [evil]
    assert f"loss: {evil}" in page.charts


@pytest.mark.slow
def test_names_that_mean_something_to_others(tmp_path):
    names = ["$\\frac{", "_hidden", "%s {0} \\1", "x" * 60]
    run = train(dict.fromkeys(names, penalties.L2(1e-2)), epochs=2)
    page = both(tmp_path, {"a": Run(run.history), "_b$^$": run})
    assert all(name in page.section("Strength of each term") for name in names)
    assert "_b$^$" in page.section("Weights")


def test_letters_that_the_font_lacks(tmp_path):
    page = Page(
        report(tmp_path / "r.html", {"正则化": train({"权重衰减": penalties.L2(1e-2)}, epochs=2)})
    )
    assert "权重衰减" in page.section("Share of each term in the gradient")


@pytest.mark.slow
def test_many_runs_and_terms(tmp_path):
    run = train({f"term{i}": penalties.L2(1e-3) for i in range(9)}, epochs=2)
    assert len(set(looks_of({"a": run})[1].values())) == 7  # looks repeat, but never that of data
    page = both(tmp_path, {"a": run} | {f"run {i}": Run(mr.History(), run.model) for i in range(7)})
    assert len(page.rows["epoch"]) == 8 + ("best" in run.moments)


@pytest.mark.slow
def test_a_term_of_strength_0_is_not_drawn(tmp_path):
    run = train({"off": penalties.L2(0.0)}, epochs=2)
    page = both(tmp_path, {"a": run})
    assert run.active == ["data"]
    assert page.rows["a: off"][1:] == ["0.000", "0.0\xa0%", "–", "gradient"]
    assert "share: a" not in page.charts


@pytest.mark.parametrize(
    "function", [lambda path, runs: report(path, runs), lambda _, r: overview(r)]
)
def test_errors(function, tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    for wrong in ({}, {"a": mr.History()}, {1: Run(mr.History())}):
        with pytest.raises(TypeError, match="runs must map"):
            function(path, wrong)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'minireg[viz]'")):
        function(path, {"a": Run(mr.History())})
    assert not path.exists()
