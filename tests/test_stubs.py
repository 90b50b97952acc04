"""What a type checker and an editor see: the stubs are current, right lines pass, wrong ones do not."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minireg as mr
from minireg.ops import signatures

ROOT = Path(__file__).parents[1]


def tool():
    """tools/make_stubs.py as a module."""
    spec = importlib.util.spec_from_file_location("make_stubs", ROOT / "tools" / "make_stubs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stubs_are_current():
    assert tool().main(["--check"]) == 0


@pytest.mark.slow
def test_a_stub_out_of_date_is_told_and_written_anew(tmp_path, monkeypatch, capsys):
    stubs = tool()
    for name in stubs.STUBS:
        text = (stubs.PACKAGE / name).read_text("utf-8")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("def exp(", "def expp("), "utf-8")
    for name in ("__init__.py", "tensor.py", "nn/functional.py"):
        shutil.copy(stubs.PACKAGE / name, tmp_path / name)
    monkeypatch.setattr(stubs, "PACKAGE", tmp_path)
    assert stubs.main(["--check"]) == 1
    assert "minireg/__init__.pyi: out of date" in capsys.readouterr().out
    assert stubs.main([]) == 0
    assert stubs.main(["--check"]) == 0


# --- what runs is what the stubs say ----------------------------------------------------------------


def test_every_array_function_has_a_signature():
    for name, function in mr.ops.PUBLIC.items():
        parameters = inspect.signature(function).parameters
        assert parameters, name
        assert "args" not in parameters, name
        assert re.search(r"^>>> ", inspect.getdoc(function), re.MULTILINE), name


def test_every_signature_belongs_to_an_op():
    described = {n for n, f in vars(signatures).items() if inspect.isfunction(f)}
    assert described <= mr.ops.TABLE.keys()


def test_help_shows_signature_and_first_sentence():
    text = subprocess.run(
        [sys.executable, "-c", "import minireg as mr; help(mr.exp)"],
        capture_output=True, text=True, check=True, env={**os.environ, "PAGER": "cat"},
    ).stdout  # fmt: skip
    assert "exp(x" in text
    assert "e to the power x." in text
    assert r"\bar x = \bar y\,y" in text


# --- a user's script under mypy and pyright ---------------------------------------------------------

HEAD = """# mypy: disable-error-code=type-arg
import numpy as np

import minireg as mr

x = mr.tensor([1.0])
print(np.pi)
"""
RIGHT = """
w: mr.Tensor = mr.tensor([1.0], requires_grad=True)
y: mr.Tensor = mr.exp(w)
z: mr.Tensor = mr.where(w > 0, w.exp().sum(axis=0), 1 - w @ w)
raw: np.ndarray = mr.maximum([1.0, 2.0], 0.0)
shape: tuple[int, ...] = w.T.shape
layer: mr.Tensor = mr.nn.Linear(2, 2).weight
norm: mr.Tensor = mr.sum(mr.concatenate([w, w]), axis=(0,), keepdims=True)
y.backward(retain_graph=True)
model: mr.nn.Module = mr.nn.Sequential(mr.nn.Linear(2, 2), mr.nn.ReLU())
loss: mr.Tensor = mr.nn.CrossEntropyLoss(label_smoothing=0.1)(w, w)
(dx,) = mr.grad(y, w, create_graph=True)
second: mr.Tensor = dx * 2
rows: mr.Tensor = mr.jacobian(mr.exp, [1.0, 2.0])
each: tuple[mr.Tensor, ...] = mr.jacobian(lambda a, b: a * b, (w, np.ones(1)))
maybe: mr.Tensor | None = mr.grad(y, w, allow_unused=True)[0]
spoken: mr.Tensor = mr.sum(w, dim=0, keepdim=True) + w.mean(dim=0)
named: mr.Tensor = mr.reshape(w, shape=(1, 1)) + mr.pad(w, [[1, 1]])
values: np.ndarray = mr.linalg.svd(np.eye(2)).S
vectors: mr.Tensor = mr.linalg.svd(mr.outer(w, w)).U
joined: mr.Tensor = mr.concatenate([w, np.ones(2)])
same: bool = mr.allclose(np.ones(2), np.ones(2))
total: float = mr.sum(np.ones(2))
active: mr.Tensor = mr.nn.functional.relu(mr.nn.functional.linear(w, w))
cost: mr.Tensor = mr.nn.functional.cross_entropy(w, np.ones(1))
firsts = [layer.weight for layer in mr.nn.Sequential(mr.nn.Linear(2, 2))]
schedule = mr.optim.lr_scheduler.StepLR(mr.optim.SGD([w], lr=0.1), step_size=3)
quiet = mr.no_grad()(len)
size: int = quiet([1])
"""

WRONG = """
mr.expp(x)
x.summ()
mr.nn.Linear(2, 2).weigth
mr.typo_of_a_name
mr.exp(x, 2, 3)
mr.sum(x, axs=0)
text: str = mr.exp(x)
mr.nn.Linear("2", 2)
mr.optim.SGD([x], lr="fast")
x.shape = (2,)
mr.nn.functional.relu(x, x, x)
mr.nn.functional.relu(x).foo
mr.optim.lr_scheduler.StepLR(mr.optim.SGD([x], lr=0.1), step_size="x")
mr.no_grad()(len)(1)
mr.linalg.svd(np.eye(2)).S.backward()
x.copied
"""


def script(path, lines):
    """Write the file; the line numbers of these lines."""
    path.write_text(HEAD + lines, "utf-8")
    first, n = HEAD.count("\n") + 2, len(lines.strip().splitlines())
    assert n >= 10
    return set(range(first, first + n))


def mypy(folder):
    """File and line of what mypy --strict reports."""
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-return-any", str(folder)]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "MYPYPATH": str(ROOT)}
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr
    found = re.findall(r"(right|wrong)\.py:(\d+): error", result.stdout)
    return {(name, int(n)) for name, n in found}


def pyright(folder):
    """File and line of what pyright reports."""
    pytest.importorskip("pyright")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    result = subprocess.run([*command, str(folder)], capture_output=True, text=True, cwd=ROOT)
    if not result.stdout.lstrip().startswith("{") and not os.environ.get("MINIREG_REQUIRE_ORACLES"):
        pytest.skip(f"pyright does not run here (it is a Node.js program): {result.stderr:.200}")
    found = json.loads(result.stdout)["generalDiagnostics"]
    return {(Path(d["file"]).stem, d["range"]["start"]["line"] + 1)
            for d in found if d["severity"] == "error"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_right_lines_pass_and_wrong_ones_are_reported(checker, tmp_path):
    script(tmp_path / "right.py", RIGHT)
    lines = script(tmp_path / "wrong.py", WRONG)
    assert checker(tmp_path) == {("wrong", n) for n in lines}


# --- keywords ---------------------------------------------------------------------------------------

DESCRIBED = [name for name, f in vars(signatures).items() if inspect.isfunction(f)]


@pytest.mark.parametrize("name", DESCRIBED)
def test_an_op_takes_its_arguments_by_the_names_in_its_signature(name):
    entry, parameters = mr.ops.TABLE[name], inspect.signature(getattr(signatures, name)).parameters
    args, options = entry.samples(np.random.default_rng(0))[0], {}
    if isinstance(args[-1], dict):
        *args, options = args
    names = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = dict(zip(names, args, strict=False))
    rest = args[len(named) :]  # of *shape and *axes
    wanted = entry.function(*args, **options)
    arrays = [n for n in named if parameters[n].annotation == "ArrayLike"]
    recorded = {n: mr.tensor(v) if n in arrays else v for n, v in named.items()}
    defaults = {
        n: p.default for n, p in parameters.items() if n not in named and p.default is not p.empty
    }
    for given in (named, recorded, defaults | named):
        got = entry.function(*rest, **given, **options) if not rest else wanted
        np.testing.assert_array_equal(np.asarray(got), np.asarray(wanted))


@pytest.mark.parametrize(
    ("call", "same"),
    [
        (lambda x: mr.sum(a=x), lambda x: mr.sum(x)),
        (lambda x: mr.sum(input=x, dim=0, keepdim=True), lambda x: mr.sum(x, 0, True)),
        (lambda x: mr.exp(input=x), lambda x: mr.exp(x)),
        (lambda x: mr.maximum(x, other=0.0), lambda x: mr.maximum(x, 0.0)),
        (lambda x: mr.sub(input=x, other=2 * x), lambda x: x - 2 * x),
        (lambda x: mr.where(condition=x > 0, x=x, y=0 * x), lambda x: mr.where(x > 0, x, 0 * x)),
        (lambda x: np.round(a=x), lambda x: mr.round(x)),
        (lambda x: mr.linalg.norm(x=x), lambda x: mr.linalg.norm(x)),
        (lambda x: mr.softmax(input=x, dim=0), lambda x: mr.softmax(x, 0)),
        (lambda x: mr.clip(a=x, min=0.0), lambda x: mr.clip(x, 0.0)),
        (lambda x: mr.sort(input=x, dim=0), lambda x: mr.sort(x, 0)),
        (lambda x: x.to(backend="numpy"), lambda x: x),
    ],
)
def test_words_of_numpy_and_of_pytorch_give_the_same_and_are_recorded(call, same):
    grads = []
    for f in (call, same):
        x = mr.tensor([1.0, -2.0, 3.0], requires_grad=True)
        y = f(x)
        y.sum().backward()
        grads.append((y.numpy(), x.grad.numpy()))
    np.testing.assert_array_equal(*(np.concatenate([y.ravel(), g]) for y, g in grads))


def test_a_tensor_as_an_option_is_refused():
    x = mr.tensor([1.0])
    with pytest.raises(TypeError, match="leaky_relu: an option got a Tensor"):
        mr.leaky_relu(x, negative_slope=mr.tensor([0.1]))
    with pytest.raises(TypeError, match=r"power: .*unexpected keyword"):
        mr.power(x, p=x)
