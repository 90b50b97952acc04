"""The house: imports run one way and in no circle, and every room keeps to its lines of code."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "minireg"

# A room is a file, or a folder with all that is in it. It uses itself and the rooms before it.
ORDER = """
    backend messages tables pictures random mode tensor engine ops nn penalties gpu operators
    optim objective checkpoint check analysis inspect progress files datasets batches training trials
    workers sweep __init__ sklearn course cli __main__
"""


class Budget(NamedTuple):
    """The code lines of rooms that are read together: at most, and as they once were."""

    rooms: str
    most: int
    reviewed: int = 0  # when the house was reviewed (382df3c)
    before: int = 0  # when only the files had moved (f4e8e7e)


BUDGETS = {
    "reading path": Budget(
        "messages backend random mode tensor engine ops nn operators optim objective __init__",
        # 6,000 as planned, and signatures and types of what is public; 41 of jacobian; 3 for a loss
        # of one's own that would make (N, N) of (N, 1) and (N,); 2 for singular values of inf
        most=6346,
        reviewed=5081,
        before=6108,
    ),
    "of it, the engine": Budget("tensor engine mode", 500, 435, 581),  # 460, and jacobian
    # 950 as planned; Box and Quadratic came after it, 50 and 65 lines; then 332 for eight more
    # (MCP, SCAD, LogSum 101; SLOPE, TotalVariation 135; NonNegative, Simplex 37; Orthogonality 40)
    # and L2.from_fisher; 40 for get_params and set_params, which grid searches ask for; 7 for rules that
    # can be pickled; 52 that no number is wrong in silence: 16 integers, complex numbers, float16 and steps
    # in an array; 9 that outside a constraint nothing is stationary; 8 formula, prior and to_sklearn of a
    # weight; 6 which projections take a step for each element; 7 for the vectors of a power iteration, which
    # go with a copy, 4 for targets (n,) of from_fisher; the rest NaN, rounding, and arguments
    "penalties": Budget("penalties", 1507, 880, 1051),
    "gpu": Budget("gpu", 750, 1030, 1011),
    # 950 as planned; 32 laws of ops and penalties came after the plan, each with its planted fault
    # (the last: special points of an op), and float32 says where, what, and within what; 27 for weights
    # and steps of all sizes, and what rounding may leave there
    "check": Budget("check", 1157, 1081, 1262),
    # 1500 as planned; calibration_error came after it; 28 for the size of each column, beside which tol
    # is judged; 10 for certificates that are ∞ where the extrapolation left a constraint, and no rows
    "analysis": Budget("analysis", 1573, 1210, 1479),
    # 710 as planned; 49 for the state of a ledger, held to its parameters when it is loaded; 77 came from
    # training with History, which a run makes when it is loaded; 85 for runs in files, and models in
    # words; 11 for names of classes; 5 for a term that comes later than the first row; 24 for the inputs that
    # no unit looks at, by name; 7 for all columns of a history, and a run's file where it is looked for;
    # 30 for runs of other rows, which are not ranked, a difference in rows, what may be chance, and the
    # unit of a standardised target; 35 for runs of other seeds, which the headline tells together; 11 for
    # the same training in several runs, which counts once
    "inspect": Budget("inspect", 1042, 750, 892),
    # 900 as planned; trajectory came after it; 322 for checkpoints: 116 the file (a tree with arrays,
    # checksums, bfloat16, the one before), 157 what is kept and must be the same, 49 in fit; 77 went to
    # inspect with History; 538 for sweeps: 165 their store (values to the bit, SQLite's errors in words),
    # 135 Dask and what workers may lack, 45 halving, 193 the one-standard-error rule, JSON, and going on
    # from a store; 368 for what fit takes: 258 iterables, labels in words, and the place of what is not
    # finite; 70 evaluation in pieces; 40 hooks and classes; 33 a hook of sweeps, which go seed by seed,
    # what two experiments differ in, and workers that leave Ctrl-C to the sweep; 171 for nothing to be
    # lost or taken for the same: options that are arrays, what hooks change, Ctrl-C at a whole update,
    # labels without a name; 133 that sweeps do not mix up: 38 values and seeds told apart by what they
    # are, 45 functions by their code, here and on workers, 20 workers that are all gone, 30 arguments and
    # figures that are none; 50 for workers that end with a sweep that is killed, schedulers that are none,
    # vectors of a power iteration, and formats by number; 80 went when they were reviewed: one codec for
    # stores and checkpoints, means by NumPy, headers of .npz files left to it; 44 for what was lost or
    # mixed up in silence: 21 other schedules, a loss's parameters and streams in lists, kept, 12 columns
    # and words by their names, 11 batches in a list, modes, and monitors of a term; 10 for trials that are
    # damaged, which are computed again; 12 for an interrupt without the traceback of joblib's thread
    "runs": Budget("training batches checkpoint progress trials workers sweep", 2278, 510, 860),
    # 199 what ships and Fashion-MNIST's files; 156 data sets of one's own; 348 columns of arrays, frames
    # and files, more than half of it what cannot be trained on, and where that stands; 76 for what was
    # taken silently (a frame's index, a row for names, "1,5" beside "3", a name twice) or refused in
    # another library's words; 17 for rows of other names, columns of categories, and numbers with signs;
    # 29 for what was standardised by what, what a part lacks, codes that are no
    # numbers, and tables as spreadsheets write them; 8 for columns whose spacing float64 loses, and which
    # column or row of a validation part is at fault
    "data": Budget("files datasets", 841),
    # 250 as planned, and X in any unit; 37 for columns that hide others, parameters set together or not
    # at all, logits that are no probabilities, and what a loss must be; 15 for columns of any units, solved
    # in one size each, and targets whose squares vanish; 16 for misuse in the estimator's words, and log
    # probabilities; 27 for weights of classes, and classes whose rows all have weight 0
    "scikit-learn": Budget("sklearn", 346),
    # 1,500 as planned, and 2,100 for the format of the course: pictures took twice the 400 planned
    # (ten kinds of marks, labels that avoid each other, frames kept as differences); the judge and
    # the exercises took 800 more (rules that find wrong answers for which no author has written a
    # sentence, five kinds of exercises, and what their authors may get wrong); 100 for
    # what claims say in two languages, their figures on record, and processes that measure them; and
    # 70 for the page and its server (who may ask, and Python that can be stopped); 90 for what the
    # first readers missed: what was printed before a stop, indices, citations in both languages; 410
    # for the site (the index, any release of Pyodide, verified) and its claims, errata and glossary;
    # 640 for the playground, of which 180 are its choices in two languages and the program it prints,
    # and 75 came after its first use: the Lipschitz bound with its circles, a formula in both
    # languages for each number, what is said when training diverges, and lessons that lead into it;
    # 70 for the ten questions before and after the course; 60 for the texts place by place, and figures
    # in Chinese; 10 for a judge who tells no false condition; 585 for lessons on paper and in Jupyter:
    # 210 the book, 220 notebooks and what their cells call, 90 kept frames drawn without a browser (30
    # of them came from the tests), 65 that the page, the judge and the command share with them; 26 for
    # notebooks that measure in their own language, and a path that is no file for one; 60 for what the
    # playground left unsaid: which choices change nothing as the others are, how far its program is the
    # same, where a prox ends, what the maps' marks mean; 733 where 300 were
    # planned for data, penalties, runs and sweeps from the command line: 355 penalties, schedules and
    # optimizers as words (read without being evaluated, each error with what it takes, tried before the
    # training), 149 runs that are resumed and drawn again, 229 compare (curves in characters, run folders
    # as points); 21 for claims found by a place or a word; 367 for minireg sweep: 281 the command (flags
    # that do not go together, what a folder has, trials as plain data, a bar), 86 ablations and long
    # tables in compare; 125 for what users of train and report missed: the data in words, in files and
    # compared, a checkpoint that is damaged or finds no room, Ctrl-C again; 50 for runs of other data,
    # copies and figures that are not shared in compare, and means with the digits that tell them apart;
    # then 165 fewer, of flags that are told once and of what was said twice, and 55 for values of a penalty
    # in braces, flags that come twice, and points and pictures that fit; 30 for compare, which ranks no
    # other seeds or data and says what it leaves out, for trainings that diverge in the words of the
    # flags, and for signs that an encoding lacks; 2 for runs of a seed that are measured on other rows; 29
    # for sweeps: 11 seeds that leave a class untaught, said before the first trial, 7 brackets and values
    # in braces, 5 readers that went away, 6 what is damaged, and the way out of what is missing; 21 for a
    # report that names runs by the settings in which they differ, and a page that is HTML
    "front": Budget("cli course tables pictures __main__", 7297, 1033, 1208),
}

# Lines of JavaScript. 1,500 as planned; 90 came with the ten questions: what was answered, before and
# after, side by side, and the log that the reader may keep, export and delete; 20 with the playground's
# next picture, under way while this one is drawn, and the operands of the number under the pointer; 24
# with answers that outlast a reload and another tab, and are not deleted unasked; 21 with weights chosen
# by the keyboard, and pictures that carry their paper, step and choices along.
SCRIPTS = 1655

# --- imports --------------------------------------------------------------------------------------


class Import(NamedTuple):
    """A file of the package that uses another."""

    user: str
    used: str
    late: bool  # inside a function

    def __str__(self) -> str:
        package = self.user.partition(".")[0]
        return f"{self.user} → {self.used}".replace(f"{package}.", "")


def modules(package: Path) -> dict[str, Path]:
    """Dotted name → file; a folder's name stands for its ``__init__``."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def room(name: str) -> str:
    """The part of the house to which a file belongs."""
    return name.split(".")[1] if "." in name else "__init__"


@cache
def imports(package: Path) -> set[Import]:
    """All imports of the package's own files, wherever they stand."""
    files = modules(package)
    found = set()
    for user, path in files.items():
        folder = user if path.name == "__init__.py" else user.rpartition(".")[0]
        for node, late in nodes(ast.parse(path.read_text(encoding="utf-8"))):
            found |= {Import(user, used, late) for used in imported(node, folder, files)}
    return found


def nodes(node: ast.AST, late: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether it stands inside a function."""
    yield node, late
    late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from nodes(child, late)


def imported(node: ast.AST, folder: str, files: Container[str]) -> list[str]:
    """The files that ``import``, ``from … import`` or ``import_module("…")`` asks for."""
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        origin = absolute("." * node.level + (node.module or ""), folder)
        for alias in node.names:  # a file of that folder, or a name in its __init__
            name = f"{origin}.{alias.name}"
            names.append(name if name in files else origin)
    elif isinstance(node, ast.Call) and node.args:
        function = ast.unparse(node.func).rpartition(".")[2]
        if function in ("import_module", "__import__"):
            text = ast.unparse(node.args[0]).strip("f'\"")
            names = [absolute(text.replace("{__package__}", folder), folder)]
    return [name for name in names if name in files]


def absolute(name: str, folder: str) -> str:
    """What a name with leading dots means in a folder: one dot is the folder itself."""
    path = name.lstrip(".")
    for _ in range(len(name) - len(path) - 1):
        folder = folder.rpartition(".")[0]
    return path if path == name else f"{folder}.{path}".rstrip(".")


def upward(found: Iterable[Import]) -> list[Import]:
    """Imports of a room that stands further right."""
    place = {name: i for i, name in enumerate(ORDER.split())}
    return sorted(i for i in found if place[room(i.used)] > place[room(i.user)])


def circular(found: Iterable[Import]) -> list[Import]:
    """Imports that lead back to where they stand."""
    uses: dict[str, set[str]] = {}
    for user, used, _ in found:
        uses.setdefault(user, set()).add(used)

    def reach(name: str) -> set[str]:
        seen: set[str] = set()
        rest = {name}
        while rest:
            seen |= rest
            rest = set().union(*(uses.get(name, set()) for name in rest)) - seen
        return seen

    return sorted(i for i in found if i.user in reach(i.used))


def late(found: Iterable[Import]) -> list[Import]:
    """Imports inside a function."""
    return sorted(i for i in found if i.late)


# --- code lines -----------------------------------------------------------------------------------

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(text: str) -> int:
    """Lines that hold code: no blank line, no comment, no docstring."""
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            prose.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - prose)


def sizes(package: Path) -> Counter[str]:
    """Code lines of each room."""
    lines: Counter[str] = Counter()
    for name, path in modules(package).items():
        lines[room(name)] += code_lines(path.read_text(encoding="utf-8"))
    return lines


def used(lines: Counter[str], budget: Budget) -> int:
    """Code lines of all the rooms of a budget."""
    return sum(lines[name] for name in budget.rooms.split())


def exceeded(lines: Counter[str]) -> list[str]:
    """Budgets with more code lines than they may have."""
    return [name for name, budget in BUDGETS.items() if used(lines, budget) > budget.most]


def advice(lines: Counter[str]) -> str:
    """What to do about each budget that is exceeded."""
    return "\n".join(
        f"{name}: {used(lines, BUDGETS[name])} of at most {BUDGETS[name].most} code lines: "
        "shorten, or raise `most` in BUDGETS and say why"
        for name in exceeded(lines)
    )


def table(lines: Counter[str]) -> str:
    """Code lines by budget: at the review, before, today, at most."""
    rows = [("", "review", "before", "today", "most")]
    for name, budget in BUDGETS.items():
        rows.append((name, budget.reviewed, budget.before, used(lines, budget), budget.most))
    whole = [b for name, b in BUDGETS.items() if not name.startswith("of it")]
    old = sum(b.reviewed for b in whole), sum(b.before for b in whole)
    rows.append(("minireg", *old, lines.total(), sum(b.most for b in whole)))
    return "\n".join(f"{name:20}" + "".join(f"{n:>8}" for n in row) for name, *row in rows)


# --- the house ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [upward, circular, late])
def test_imports_run_one_way(rule):
    assert not [str(i) for i in rule(imports(PACKAGE))]


def test_every_room_keeps_to_its_code_lines():
    lines = sizes(PACKAGE)
    print(table(lines))
    assert not exceeded(lines), advice(lines)


def test_the_scripts_of_the_pages_keep_to_their_lines():
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.js")}
    print(lines)
    assert 0 < sum(lines.values()) <= SCRIPTS


def test_every_room_has_a_place_and_a_budget():
    rooms = {name for budget in BUDGETS.values() for name in budget.rooms.split()}
    assert rooms == {*ORDER.split()}
    assert sizes(PACKAGE).keys() <= rooms


def borrowed(text: str) -> list[str]:
    """Test modules that a file imports: what several need belongs in tests/support."""
    names: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return [name for name in names if name.rpartition(".")[2].startswith("test_")]


@pytest.mark.slow
def test_no_test_is_a_library():
    root = PACKAGE.parent
    found = {
        str(path.relative_to(root)): borrowed(path.read_text(encoding="utf-8"))
        for folder in ("tests", "tools", "benchmarks", "lessons")
        for path in sorted((root / folder).rglob("*.py"))
    }
    assert len(found) > 60
    assert not {path: names for path, names in found.items() if names}


def test_every_test_file_has_a_name_of_its_own():
    """Pytest imports them by their bare names."""
    names = Counter(path.name for path in (PACKAGE.parent / "tests").rglob("test_*.py"))
    assert names.total() > 50
    assert not [name for name, files in names.items() if files > 1]


# --- the rules find what they are to find ---------------------------------------------------------

# rule, the file at fault, what stands in it, what the rule says of it
OFFENCES = [
    (upward, "tensor.py", "from minireg.engine import run", ["tensor → engine"]),
    (upward, "tensor.py", "from minireg import engine", ["tensor → engine"]),
    (upward, "tensor.py", "from . import engine, backend", ["tensor → engine"]),
    (upward, "tensor.py", "import minireg.nn.layers", ["tensor → nn.layers"]),
    (upward, "tensor.py", "import minireg as mr", ["tensor → minireg"]),
    (upward, "nn/layers.py", "from ..optim import SGD", ["nn.layers → optim"]),
    (upward, "nn/layers.py", "from .functional import f\nfrom ..engine import run", []),
    (upward, "nn/layers.py", "if TYPE_CHECKING:\n    from ..optim import SGD",
     ["nn.layers → optim"]),
    (upward, "tensor.py", "def f():\n    from . import engine", ["tensor → engine"]),
    (upward, "tensor.py", "import_module('minireg.engine')", ["tensor → engine"]),
    (upward, "tensor.py", "importlib.import_module(f'{__package__}.engine')",
     ["tensor → engine"]),
    (upward, "tensor.py", "importlib.import_module('.engine', __package__)",
     ["tensor → engine"]),
    (circular, "engine.py", "from .backend import x", []),
    (circular, "backend.py", "from .engine import run",
     ["backend → engine", "engine → tensor", "tensor → backend"]),
    (circular, "nn/functional.py", "from .layers import ReLU",
     ["nn.functional → nn.layers", "nn.layers → nn.functional"]),
    (circular, "nn/functional.py", "from . import f",
     ["nn → nn.functional", "nn.functional → nn"]),
    (late, "optim.py", "from . import engine", []),
    (late, "optim.py", "def f():\n    from . import engine", ["optim → engine"]),
    (late, "optim.py", "class A:\n    def f(self):\n        import minireg.engine",
     ["optim → engine"]),
    (late, "optim.py", "f = lambda: import_module('minireg.engine')", ["optim → engine"]),
    (late, "optim.py", "def f():\n    import numpy", []),
]  # fmt: skip

SOUND = {
    "__init__.py": "from .nn import f",
    "backend.py": "import numpy",
    "tensor.py": "from .backend import x",
    "engine.py": "from .tensor import Tensor",
    "nn/__init__.py": "from .functional import f",
    "nn/functional.py": "from ..engine import run",
    "nn/layers.py": "from . import functional as F",
    "optim.py": "from .nn import f",
}


def build(root: Path, files: dict[str, str]) -> Path:
    """A package of these files."""
    for name, text in files.items():
        path = root / "minireg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root / "minireg"


@pytest.mark.parametrize("rule", [upward, circular, late])
def test_a_sound_house_passes(rule, tmp_path):
    found = imports(build(tmp_path, SOUND))
    assert len(found) == 7
    assert not rule(found)


@pytest.mark.parametrize(("rule", "file", "text", "said"), OFFENCES)
def test_an_offence_is_found_where_it_stands(rule, file, text, said, tmp_path):
    package = build(tmp_path, {**SOUND, file: f"{SOUND.get(file, '')}\n{text}\n"})
    assert [str(i) for i in rule(imports(package))] == said


@pytest.mark.parametrize(
    "line", ["import test_optim as cases", "from test_optim import make", "import tests.test_optim"]
)
def test_a_borrowed_test_is_found(line):
    assert borrowed("from support.arrays import draw") == []
    assert len(borrowed(f"def f():\n    {line}")) == 1


def test_code_lines_leave_out_blanks_comments_and_docstrings():
    text = '''"""Of the file,
in two lines."""

x = 1  # a comment beside code
# a comment


def f(
    a,
):
    """Of the function."""
    text = """no docstring:

    three lines"""
    return text
'''
    assert code_lines(text) == 1 + 3 + 3 + 1


def test_an_overfull_room_is_named(tmp_path):
    most = BUDGETS["check"].most
    full = {"check/gradients.py": "x = 1\n" * 9, "check/ops.py": "y = 2\n" * (most - 9)}
    assert not exceeded(sizes(build(tmp_path, full)))
    more = sizes(build(tmp_path, {**full, "check/report.py": "z = 3\n"}))
    assert exceeded(more) == ["check"]
    assert advice(more).startswith(f"check: {most + 1} of at most {most} code lines: shorten, or")
    assert f"{most + 1:>8}{most:>8}" in table(more)
