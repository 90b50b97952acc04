"""The CUDA kernels: their sources compile, and run on the CPU they do what NumPy's rules do.

``cuda_on_cpu.hpp`` lets a C++ compiler read the sources; :class:`Emulated` arrays belong to
a backend whose kernels run that way, so that launchers and kernels are tested together, as
the engine calls them. On a GPU (``-m gpu``) the same cases run on CuPy.
"""

import ctypes
import functools
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw, host
from support.cuda_compiler import compile_cuda
from support.few import slow_unless
from support.gpu import MARKS
from support.lists import exact

import minireg as mr
from minireg import backend as backends
from minireg import nn
from minireg.gpu import fused as cuda
from minireg.gpu import step
from minireg.nn import losses
from minireg.ops import TABLE, fused
from minireg.optim import clip
from minireg.penalties.base import add_gradients
from minireg.random import Stream

SUPPORT = Path(__file__).parents[1] / "support"
HEADER = "cuda_on_cpu.hpp.gch"  # compiled once; a compiler that cannot use it reads the header
WIDTHS = [1, 2, 3, 16, 31, 32, 33, 100, 512, 1000, 1024, 1025, 4096, 8192]
FEW = slow_unless({1, 3, 33, 1024, 1025}.__contains__, WIDTHS)  # each is compiled
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-12}
by_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: d.__name__)

# --- sources compile -----------------------------------------------------------------------------


def sources() -> dict[str, str]:
    """The families at the sizes that take different branches, for both dtypes."""
    found = {}
    for dtype in map(np.dtype, TOLERANCE):
        for width, pack in itertools.product(
            (1, 16, 100, 1000, 1024, 1025, 8192), (1, 16 // dtype.itemsize)
        ):
            if width % pack == 0:
                found[f"rows {width} by {pack} {dtype}"] = cuda._rows(1, width, dtype, pack)[0]
        for places in (1, 49):
            text = cuda.specialized("CHANNEL_KERNELS", dtype, PLACES=places)
            found[f"channels of {places} {dtype}"] = text
        for name, section in {"targets": "TARGET", "clip": "CLIP", "mask": "DROPOUT"}.items():
            found[f"{name} {dtype}"] = cuda.specialized(f"{section}_KERNELS", dtype)
        both = mr.penalties.L1(0.1), mr.penalties.ElasticNet(0.2, 0.3)
        for name, penalties in {"squares": (), "squares with penalties": both}.items():
            for rows in (1, 2):
                kernel = step.squares(dtype, penalties)
                found[f"{name}, {rows} {dtype}"] = cuda.squares(kernel, rows)
        for name in cuda.SLOPES:
            slope = f"{name}_slope"
            found[f"{name} {dtype}"] = cuda.specialized("ACTIVATION_KERNELS", dtype, SLOPE=slope)
    return found


@pytest.fixture(autouse=True)
def one_processor(monkeypatch, request):
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setattr(cuda, "_processors", lambda: 1)  # few blocks: they go round their loops


NAMES = [f"{family} {np.dtype(d)}" for d in TOLERANCE for family in (
    *(f"rows {w} by 1" for w in (1, 16, 100, 1000, 1024, 1025, 8192)),
    *(f"rows {w} by {16 // np.dtype(d).itemsize}" for w in (16, 100, 1000, 1024, 8192)),
    "channels of 1", "channels of 49", "targets", "clip", "squares, 1", "squares, 2",
    "squares with penalties, 1", "squares with penalties, 2", "mask", *cuda.SLOPES)]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_source_compiles_without_a_warning(name):
    source = sources()[name]
    assert source.isascii()  # CuPy writes it to a file in the locale's encoding
    ptx, log = compile_cuda(source)
    assert name.endswith("float64") or ".f64" not in ptx
    assert not log.strip("\0\n "), log
    assert kernel_names(source) == re.findall(r"\.visible \.entry (\w+)\(", ptx)
    wide = {"rows 1024 by 4 float32": "v4.f32|v4.b32", "rows 1024 by 2 float64": "v2.f64|v2.b64"}
    if name in wide:
        assert re.search(rf"ld\.global\.({wide[name]})", ptx), "no load of 128 bits"


def test_every_family_is_compiled():
    exact("NAMES in tests/gpu/test_fused.py", NAMES, sources())


def test_every_kernel_says_above_it_what_it_does():
    text = (Path(cuda.__file__).parent / "fused.cu").read_text("ascii")
    kernels = re.findall(r"(.*)\nextern \"C\" __global__ void", text)
    assert len(kernels) == text.count("__global__") == 14
    assert all(line.startswith("// ") for line in kernels)
    assert max(map(len, text.splitlines())) <= 100


def test_cupy_has_what_the_launchers_ask_of_it():
    strict.require_cupy()
    kernel = cuda._compiled.__wrapped__(sources()["rows 16 by 4 float32"], "norm_forward")
    assert isinstance(kernel, strict.cupy.RawKernel)  # compiled when it is first called
    assert isinstance(strict.cupy.cuda.runtime.cudaDevAttrMultiProcessorCount, int)
    assert callable(strict.cupy.cuda.runtime.deviceGetAttribute)


def test_a_wrong_source_does_not_compile():
    with pytest.raises(AssertionError, match="unit"):
        compile_cuda(
            sources()["rows 16 by 4 float32"].replace(
                "T w[EACH], b[EACH], unit[EACH]", "T w[EACH], b[EACH]"
            )
        )


# --- running kernels on the CPU ------------------------------------------------------------------


class Emulated(np.ndarray):
    """A NumPy array whose fused ops go through the CUDA kernels."""

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__.endswith("_like") and kwargs.get("shape") in ((), 0):
            raise ValueError("CuPy takes an empty shape for none, and gives the prototype's")
        return super().__array_function__(func, types, args, kwargs)


class Making:
    """NumPy, but arrays that are made from nothing are emulated, too."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if name not in ("empty", "ones", "zeros"):
            return found
        return lambda *args, **kwargs: found(*args, **kwargs).view(Emulated).copy()


class OnCPU:
    """In place of ``cuda._compiled``: a source compiled as C++, its kernels run on the CPU."""

    def __init__(self, folder: Path, change: Callable[[str], str] = lambda source: source) -> None:
        self.folder, self.change, self.launched = folder, change, []

    def entry(self, source: str, name: str) -> Any:
        library = f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.so"
        if not (self.folder / HEADER).exists():
            self.compile(HEADER, "-x", "c++-header", str(SUPPORT / "cuda_on_cpu.hpp"))
        if not (self.folder / library).exists():
            entries = "\n".join(f"ENTRY({kernel})" for kernel in kernel_names(source))
            text = f'#include "cuda_on_cpu.hpp"\n{source}\n{entries}\n'
            headers = f"-I{self.folder}", f"-I{SUPPORT}"
            self.compile(library, *headers, "-shared", "-x", "c++", "-", text=text)
        entry = getattr(ctypes.CDLL(str(self.folder / library)), f"on_cpu_{name}")
        entry.restype = ctypes.c_bool
        return entry

    def compile(self, name: str, *options: str, text: str = "") -> None:
        """Into a file of the folder, which is there as a whole or not: other processes look, too."""
        compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            pytest.skip("no C++ compiler: the kernels cannot be run on the CPU")
        flags = "-std=c++17 -O1 -w -fPIC -fvisibility=hidden -U_FORTIFY_SOURCE"
        mine = self.folder / f"{name}.{os.getpid()}"
        command = [compiler, *flags.split(), *options, "-o", str(mine)]
        subprocess.run(command, input=text, text=True, check=True)
        mine.replace(self.folder / name)

    def __call__(self, source: str, name: str) -> Any:
        entry = self.entry(self.change(source), name)

        def kernel(grid: tuple[int, ...], threads: tuple[int], given: tuple[Any, ...]) -> None:
            self.launched.append(name)
            values = [np.uintp(a.ctypes.data) if isinstance(a, np.ndarray) else a for a in given]
            held = [np.array(v) for v in values]
            pointers = (ctypes.c_void_p * len(held))(*(v.ctypes.data for v in held))
            blocks = (ctypes.c_uint * 2)(*grid, *[1] * (2 - len(grid)))
            assert entry(blocks, threads[0], pointers), f"{name}: threads wait for ever"

        return kernel


def kernel_names(source: str) -> list[str]:
    """The kernels of the section that is chosen."""
    for section, text in re.findall(r"^#ifdef (\w+)$(.*?)^#endif", source, re.M | re.S):
        if f"#define {section}\n" not in source:
            source = source.replace(text, "")
    return re.findall(r"__global__ void (?:__launch_bounds__\(\w+\) )?(\w+)\(", source)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory):
    """A folder of compiled kernels, one for all processes of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kernels"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def emulator(monkeypatch, libraries):
    """A backend of :class:`Emulated` arrays; what runs its kernels."""
    run = OnCPU(libraries)
    backend = backends.Backend(
        "emulated", Making(), Emulated, np.array, lambda a: a.ctypes.data, cuda.KERNELS
    )
    monkeypatch.setitem(backends._BACKENDS, "emulated", backend)
    monkeypatch.setitem(backends.BY_TYPE, Emulated, backend)
    monkeypatch.setattr(cuda, "_compiled", run)
    return run


Place = Callable[[np.ndarray], Any]
on_gpu = pytest.param("cupy", marks=MARKS)


@pytest.fixture(params=["emulated", on_gpu])
def device(request) -> Place:
    """Puts a host array where the kernels are."""
    if request.param == "cupy":
        return backends.get("cupy").xp.asarray
    request.getfixturevalue("emulator")
    return emulate


def emulate(a: np.ndarray) -> Emulated:
    return a.view(Emulated).copy()  # which has its memory, as a fresh array has


def beside(a: np.ndarray, x: Any) -> Any:
    """The host array ``a``, whatever its dtype, where x lives."""
    return a.view(Emulated) if isinstance(x, Emulated) else backends.of(x).xp.asarray(a)


def agree(
    run: Callable[[Place], list[Any]], device: Place, dtype: Any = np.float64, slack: float = 1
) -> None:
    """``run`` gives on the device what NumPy's rules give in float64, NaN and inf included."""
    with np.errstate(all="ignore"):
        expected = run(lambda a: a.astype(np.float64))
    tolerance = TOLERANCE[dtype] * slack
    for a, b in zip(expected, run(device), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (b.dtype, b.shape) == (dtype, a.shape)
            size = np.abs(a[np.isfinite(a)]).max(initial=1)
            np.testing.assert_allclose(host(b), a, rtol=0, atol=tolerance * size)


def derive(op: Any, *inputs: Any, fixed: Any = (), **kw: Any) -> list[Any]:
    """Value and gradients of an op, the incoming gradient drawn."""
    leaves = [mr.Tensor(a, requires_grad=i not in fixed) for i, a in enumerate(inputs)]
    y = op(*leaves, **kw)
    y.backward(mr.Tensor(beside(draw(*y.shape, seed=9, dtype=y.dtype), y.data)))
    return [y.data, *(None if t.grad is None else t.grad.data for t in leaves)]


def batches(width: int) -> list[int]:
    return [1, 3] if width > 1024 else [1, 5, 67]


# --- rows: LayerNorm and RMSNorm -----------------------------------------------------------------


@by_dtype
@pytest.mark.parametrize("width", FEW)
@pytest.mark.parametrize("center", [True, False], ids=["layer", "rms"])
def test_rows(device, center, width, dtype):
    for rows in batches(width):
        arrays = [draw(rows, width, dtype=dtype) + 1, draw(width, seed=1, dtype=dtype)]
        arrays += [draw(width, seed=2, dtype=dtype)] * center
        keywords = {"axes": (-1,), "eps": 1e-2, "center": center}
        agree(lambda put, a=arrays, k=keywords: derive(fused.normalize, *map(put, a), **k),
              device, dtype)  # fmt: skip


@pytest.mark.parametrize("fixed", [(), (0,), (1, 2), (0, 1), (0, 2)], ids=str)
@pytest.mark.parametrize("shape", [(4, 3, 8), (2, 2, 2, 520)])
def test_rows_of_several_axes_and_what_is_not_needed(device, shape, fixed):
    weights = [draw(*shape[2:], seed=s) for s in (1, 2)]
    agree(
        lambda put: derive(fused.normalize, put(draw(*shape)), *map(put, weights), fixed=fixed,
                           axes=tuple(range(2 - len(shape), 0)), eps=1e-5),
        device,
    )  # fmt: skip


def test_rows_without_weight_and_far_from_zero(device):
    x = draw(9, 300, dtype=np.float32) + 1000  # the mean itself is good to 1e-4
    agree(lambda put: derive(fused.normalize, put(x), axes=(1,), eps=1e-5), device, np.float32, 50)


@pytest.mark.parametrize("width", [64, 2048])
def test_rows_and_weights_that_begin_anywhere(device, width):
    def run(put):
        x, flat = put(draw(3 * width + 1)), put(draw(2 * width + 1, seed=1))
        return derive(fused.normalize, x[1:].reshape(3, width), flat[1 : width + 1],
                      flat[width + 1 :], axes=(-1,), eps=1e-5)  # fmt: skip

    agree(run, device)


# --- channels: BatchNorm -------------------------------------------------------------------------


@by_dtype
@pytest.mark.parametrize(
    "shape",
    [(2, 1), (3, 2), (5, 33), (64, 100), (1000, 16), (4097, 3), (2, 8192), (1, 3, 2), (5, 3, 7, 7),
     (3, 2, 40, 50), (1, 2, 9001), (17, 40, 1)],
    ids=str,
)  # fmt: skip
def test_channels(device, shape, dtype):
    vector = (shape[1], *(1,) * (len(shape) - 2))
    weights = [draw(*vector, seed=s, dtype=dtype) for s in (1, 2)]
    axes = (0, *range(2, len(shape)))

    def run(put):
        x = put(draw(*shape, dtype=dtype) + 3)
        old = [put(draw(shape[1], seed=s, dtype=dtype)) for s in (3, 4)]
        running = fused.Running(*old, 0.1)
        found = derive(fused.normalize, x, *map(put, weights), axes=axes, eps=1e-2, running=running)
        return [*found, running.mean, running.variance, *old]  # the old ones stay as they are

    agree(run, device, dtype)


@pytest.mark.parametrize("what", ["momentum is an array", "another dtype", "with gaps"])
def test_running_statistics_that_the_kernel_leaves_to_array_operations(device, what):
    def run(put):
        both = [draw(10, seed=s) for s in (3, 4)]
        arrays = [put(a.astype(np.float32) if what == "another dtype" else a) for a in both]
        arrays = [a[::2] for a in arrays]
        if what != "with gaps":
            arrays = [a.copy() for a in arrays]
        array = what == "momentum is an array"
        running = fused.Running(*arrays, put(np.array(0.25)) if array else 0.25)
        y = fused.normalize(put(draw(8, 5)), axes=(0,), eps=1e-5, running=running)
        return [y, *(a.astype(np.float64) for a in (running.mean, running.variance))]

    agree(run, device, slack=1e6 if what == "another dtype" else 1)


@pytest.mark.parametrize("fixed", [(), (0,), (1, 2), (0, 1)], ids=str)
def test_channels_and_what_is_not_needed(device, fixed):
    agree(lambda put: derive(fused.normalize, put(draw(40, 5)), put(draw(5)), put(draw(5)), fixed=fixed,
                             axes=(0,), eps=1e-5), device)  # fmt: skip
    agree(lambda put: derive(fused.normalize, put(draw(40, 5)), axes=(0,), eps=1e-5), device)


def test_channels_far_from_zero(device):
    x = draw(700, 5, dtype=np.float32) + 1000  # E[x²] − E[x]² would lose all digits
    agree(lambda put: derive(fused.normalize, put(x), axes=(0,), eps=1e-5), device, np.float32, 50)


def test_batch_norm_layer_moves_its_statistics(device):
    def run(put):
        layer = nn.BatchNorm(6)
        for t in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
            t.data = put(t.data)
        y = [layer(mr.Tensor(put(draw(8, 6, 4, seed=s, dtype=np.float32)))) for s in (1, 2)][1]
        y.sum().backward()
        return [y.data, *(t.data for t in (layer.running_mean, layer.running_var))]

    agree(run, device, np.float32)


# --- softmax cross entropy -----------------------------------------------------------------------


@by_dtype
@pytest.mark.parametrize("width", FEW)
def test_cross_entropy(device, width, dtype):
    for rows in batches(width):
        z, q = 5 * draw(rows, width, dtype=dtype), abs(draw(rows, width, seed=1, dtype=dtype))
        q /= q.sum(axis=-1, keepdims=True)
        agree(lambda put, z=z, q=q: derive(fused.cross_entropy, put(z), put(q)),
              device, dtype)  # fmt: skip


@pytest.mark.parametrize("width", [5, 1030])
def test_cross_entropy_at_its_edges(device, width):
    z, q = draw(6, width) - 1e4, np.abs(draw(6, width, seed=1))  # no distributions: Σq matters
    q[0, :2], z[0, 1], z[1, 2], q[2] = 0, -np.inf, 1e3, 0
    z[3, 1], z[4, 0], z[5] = -np.inf, np.nan, -np.inf  # asked for; NaN; nothing can occur
    for fixed in ((), (0,), (1,)):
        agree(lambda put, fixed=fixed: derive(fused.cross_entropy, put(z), put(q), fixed=fixed),
              device)  # fmt: skip
    for logits in (draw(2, 3, 4, width), draw(width)):
        agree(lambda put, z=logits: derive(fused.cross_entropy, put(z), put(z**2)), device)


def test_cross_entropy_of_a_gradient_that_is_one_number(device):
    def run(put):
        leaves = [mr.Tensor(put(a), requires_grad=True) for a in (draw(6, 5), draw(6, 5) ** 2)]
        (3 * fused.cross_entropy(*leaves).mean()).backward()
        return [t.grad.data for t in leaves]

    agree(run, device)


# --- integer labels as distributions -------------------------------------------------------------

LABELS = {
    "plain": (np.array([0, 2, 1, 2]), {}),
    "smoothed": (np.array([0, 2, 1, 2]), {"label_smoothing": 0.1}),
    "weighted": (np.array([0, 2, 1, 2]), {"weight": np.array([0.5, 1, 3]), "label_smoothing": 0.3}),
    "some ignored": (np.array([0, -100, 1, -100]), {"weight": np.array([0.5, 1, 3])}),
    "a class ignored": (np.array([0, 2, 1, 1]), {"ignore_index": 1, "label_smoothing": 0.2}),
    "all ignored": (np.array([-1, -1, -1, -1]), {"ignore_index": -1, "label_smoothing": 0.2}),
    "small integers": (np.array([0, 2, 1, 2], np.uint8), {"label_smoothing": 0.1}),
    "with gaps": (np.array([0, 2, 1, 2, 2, 1, 0, 0])[::2], {"label_smoothing": 0.1}),
    "one": (np.array(2), {"label_smoothing": 0.1}),
    "places": (np.arange(24).reshape(4, 2, 3) % 3, {"label_smoothing": 0.5}),
}


@by_dtype
@pytest.mark.parametrize("name", LABELS)
def test_targets(device, name, dtype):
    labels, options = LABELS[name]
    shape = (*labels.shape[:1], 3, *labels.shape[1:])
    options = {"weight": None, "ignore_index": -100, "label_smoothing": 0.0, **options}

    def run(put):
        logits = mr.Tensor(put(draw(*shape, dtype=dtype)), requires_grad=True)
        target, weight = beside(labels, logits.data), options["weight"]
        given = {**options, "weight": weight if weight is None else put(weight.astype(dtype))}
        loss = nn.CrossEntropyLoss(**given)
        loss(logits, target).backward()
        parts = loss.parts(logits.data, target).values()
        return [*losses._distribution(logits.data, target, **given)[1:], logits.grad.data, *parts]

    with np.errstate(divide="ignore", invalid="ignore"):  # the mean of nothing
        agree(run, device, dtype)


# --- the norm that clips -------------------------------------------------------------------------


@by_dtype
@pytest.mark.parametrize(
    "shapes", [[(3,)], [(), (300, 7)], [(4096,), (4097,), (1,)], [(50_000,)] * 3], ids=str
)
@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e9])
def test_clip_factor(device, shapes, max_norm, dtype):
    def run(put):
        leaves = [mr.Tensor(put(np.zeros(s, dtype)), requires_grad=True) for s in shapes]
        for k, p in enumerate(leaves):
            p.grad = mr.Tensor(put(draw(*p.shape, seed=k, dtype=dtype)))
        return [t.data for t in clip.clip_factor(leaves, max_norm)]

    agree(run, device, dtype)


@by_dtype
def test_clip_factor_with_penalties_that_are_yet_to_be_added(device, dtype):
    """Of two kinds of parameters, a table each."""
    both = [mr.penalties.L1(0.3), mr.penalties.ElasticNet(0.2, 0.5)]

    def run(put):
        leaves = [mr.Tensor(put(draw(*s, seed=k, dtype=dtype)), requires_grad=True)
                  for k, s in enumerate([(70, 80), (9, 8), (5000,), (3,)])]  # fmt: skip
        for k, p in enumerate(leaves):
            (p * put(draw(*p.shape, seed=9 + k, dtype=dtype))).sum().backward()
        due = [(p.data, p.grad.data, both if p.ndim > 1 else ()) for p in leaves]
        if (found := step.clip_factor(due, 0.5)) is None:
            for w, g, penalties in due:
                add_gradients(penalties, w, g)
            found = [t.data for t in clip.clip_factor(leaves, 0.5)]
        return [*found]

    agree(run, device, dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clip_factor_of_what_is_not_finite(device, bad):
    w = mr.Tensor(device(np.zeros(5000)), requires_grad=True)
    w.grad = mr.Tensor(device(np.where(np.arange(5000) == 4500, bad, 1.0)))
    norm, factor = (host(t.data) for t in clip.clip_factor([w], 1.0))
    np.testing.assert_array_equal([norm, factor], [bad, 0 if bad == np.inf else np.nan])


# --- activations and dropout ------------------------------------------------------------------------


@by_dtype
@pytest.mark.parametrize("activation", cuda.SLOPES)
@pytest.mark.parametrize("size", [1, 255, 1000])
def test_slope_of_an_activation(device, size, activation, dtype):
    x = 4 * draw(size, dtype=dtype)
    x[0] = 0
    op = TABLE[activation].function
    agree(lambda put: derive(op, put(x)), device, dtype)
    edges = np.array([np.nan, -80, 80], dtype)
    agree(lambda put: derive(op, put(edges)), device, dtype)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x32-10 with Python's integers."""
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = q >> 32 ^ b ^ k, q % 2**32, p >> 32 ^ d ^ m, p % 2**32
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return [a, b, c, d]


def test_philox_is_philox():
    """Known answers of the generator's authors (Random123)."""
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox([2**32 - 1] * 4, [2**32 - 1] * 2) == [
        0x408F276D,
        0x41C83B0E,
        0xA20BC7C6,
        0x6D5451FD,
    ]


@by_dtype
@pytest.mark.parametrize("size", [1, 1023, 3000])
def test_mask_is_drawn_by_philox(device, size, dtype):
    key, p = 0x0123456789ABCDEF, 0.3
    stream = types.SimpleNamespace(bits=lambda: key)
    mask = host(cuda.dropout_mask(device(np.zeros(size, dtype)), p=p, stream=stream))
    for i in {0, 1, 255, 256, 300, 1022, 1023, 1024, 2900} & set(range(size)):
        block, word, thread = i // 1024, i % 1024 // 256, i % 256
        bits = philox([256 * block + thread, 0, 0, 0], [key % 2**32, key >> 32])[word]
        assert (mask[i] == 0) == (bits < round(p * 2**32)), i
    np.testing.assert_allclose(mask[mask > 0], 1 / 0.7, rtol=1e-6)


@pytest.mark.parametrize("p", [0.0, 1e-12, 0.25, 0.5, 1 - 1e-12, 1.0])
def test_mask_keeps_the_mean(device, p):
    stream = Stream("dropout", seed=1)
    mask = host(stream.dropout_mask(p, device(np.zeros((300, 100)))))
    cut = min(round(p * 2**32), 2**32 - 1)
    kept = mask[mask > 0]
    assert (kept * ((2**32 - cut) / 2**32) == 1).all()  # scale times chance to be kept
    assert abs((mask == 0).mean() - p) < 0.01


def test_mask_follows_the_stream(device):
    def masks(seed: int) -> list[np.ndarray]:
        stream = Stream("dropout", seed=seed)
        return [host(stream.dropout_mask(0.5, device(np.zeros(500, np.float32)))) for _ in "12"]

    first, again, other = masks(1), masks(1), masks(2)
    np.testing.assert_array_equal(first, again)
    assert 150 < (first[0] != first[1]).sum() < 350
    assert 150 < (first[0] != other[0]).sum() < 350
    saved, stream = Stream("dropout", seed=5), Stream("dropout", seed=1)
    stream.dropout_mask(0.5, device(np.zeros(500)))
    saved.state = stream.state  # a checkpoint goes on where the masks stood
    a, b = (host(s.dropout_mask(0.5, device(np.zeros(50)))) for s in (saved, stream))
    np.testing.assert_array_equal(a, b)


# --- which arguments a kernel takes --------------------------------------------------------------


def with_gradient(g: Any) -> mr.Tensor:
    t = mr.Tensor(np.zeros_like(g), requires_grad=True)
    t.grad = mr.Tensor(g)
    return t


NORM = {"axes": (-1,), "eps": 1e-5}
LAUNCHES: dict[str, tuple[Callable[[], list[Any]], list[str]]] = {
    "layer norm": (lambda: derive(fused.normalize, emulate(draw(4, 5)), emulate(draw(5)), **NORM),
                   ["norm_forward", "norm_backward", "norm_sums"]),
    "layer norm of data": (
        lambda: derive(fused.normalize, emulate(draw(4, 5)), **NORM),
        ["norm_forward", "norm_backward"]),
    "batch norm": (
        lambda: derive(fused.normalize, emulate(draw(4, 5)), emulate(draw(5)), axes=(0,), eps=1e-5),
        ["batch_forward", "batch_backward"]),
    "batch norm of many": (
        lambda: derive(fused.normalize, emulate(draw(999, 5)), emulate(draw(5)), axes=(0,), eps=1e-5),
        ["batch_moments", "batch_forward", "batch_sums", "batch_backward"]),
    "cross entropy": (lambda: derive(fused.cross_entropy, emulate(draw(4, 5)), emulate(draw(4, 5))),
                      ["entropy_forward", "entropy_backward"]),
    "labels": (
        lambda: nn.CrossEntropyLoss(label_smoothing=0.1)(emulate(draw(4, 5)), emulate(np.arange(4))),
        ["targets", "entropy_forward"]),
    "norm": (lambda: clip.clip_factor([with_gradient(emulate(draw(4, 5)))], 1.0),
             ["squares", "clip_factor"]),
    "activation": (lambda: derive(mr.relu, emulate(draw(4, 5))), ["activation_backward"]),
    "mask": (lambda: [Stream("dropout").dropout_mask(0.5, emulate(draw(4, 5)))], ["dropout_mask"]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAUNCHES)
def test_launches(emulator, name):
    run, names = LAUNCHES[name]
    run()
    assert emulator.launched == names


NOT_COVERED: dict[str, Callable[[Place], list[Any]]] = {
    "float16": lambda put: derive(fused.normalize, put(draw(4, 5).astype(np.float16)), **NORM),
    "strided": lambda put: derive(fused.normalize, put(draw(5, 4)).T, **NORM),
    "wide": lambda put: derive(fused.normalize, put(draw(2, 8193)), **NORM),
    "mixed dtypes": lambda put: derive(
        fused.normalize, put(draw(4, 5)), put(draw(5, dtype=np.float32)), **NORM
    ),
    "weight by group": lambda put: derive(
        fused.normalize, put(draw(2, 2, 3, 4)), put(draw(2, 3, 1)), axes=(2, 3), eps=1e-5
    ),
    "a weight for all": lambda put: derive(fused.normalize, put(draw(4, 5)), put(draw(1)), **NORM),
    "axes apart": lambda put: derive(fused.normalize, put(draw(2, 3, 4)), axes=(1,), eps=1e-5),
    "uncentred channels": lambda put: derive(
        fused.normalize, put(draw(4, 5)), axes=(0,), eps=1e-5, center=False
    ),
    "nothing": lambda put: derive(fused.normalize, put(draw(0, 5)), put(draw(5)), **NORM),
    "no rows": lambda put: derive(fused.cross_entropy, put(draw(0, 5)), put(draw(0, 5))),
    "many classes": lambda put: derive(
        fused.cross_entropy, put(draw(2, 8200)), put(draw(2, 8200) ** 2)
    ),
    "one target for all": lambda put: derive(fused.cross_entropy, put(draw(2, 5)), put(draw(5))),
    "a number as weight": lambda put: [
        fused.normalize(mr.Tensor(put(draw(2, 5))), 2.0, **NORM).data
    ],
    "a norm of half precision": lambda put: [
        t.data for t in clip.clip_factor([with_gradient(put(draw(5).astype(np.float16)))], 1.0)
    ],
    "a norm of a view": lambda put: [
        t.data for t in clip.clip_factor([with_gradient(put(draw(4, 5)).T)], 1.0)
    ],
    "another norm": lambda put: [
        t.data for t in clip.clip_factor([with_gradient(put(draw(4, 5)))], 1.0, 3.0)
    ],
    "no numbers": lambda put: derive(mr.relu, put(draw(0, 5))),
}


@pytest.mark.parametrize("name", NOT_COVERED)
def test_what_no_kernel_covers_goes_through_numpy(emulator, name):
    for a, b in zip(NOT_COVERED[name](np.copy), NOT_COVERED[name](emulate), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert not emulator.launched


def test_an_empty_or_half_mask_is_drawn_without_a_kernel(emulator):
    class Generator:
        def random(self, size: Any, dtype: Any) -> Any:
            return np.full(size, 0.75, dtype)

    stream = Stream("dropout", seed=1)
    stream._rng["emulated"] = Generator()
    for like in (np.zeros((0, 3)), np.zeros(4, np.float16)):
        mask = stream.dropout_mask(0.5, emulate(like))
        assert (mask.dtype, mask.shape) == (like.dtype, like.shape)
        assert (mask == 2).all()
    assert not emulator.launched


@pytest.mark.parametrize("loss", [lambda y: y.sum(), lambda y: (y.T**3).sum()],
                         ids=["one number for all", "transposed"])  # fmt: skip
@pytest.mark.parametrize("axes", [(0,), (1,)])
def test_incoming_gradients_of_any_layout(device, axes, loss):
    def run(put):
        leaves = [mr.Tensor(put(a), requires_grad=True) for a in (draw(6, 4), draw(4), draw(4))]
        loss(fused.normalize(*leaves, axes=axes, eps=1e-5)).backward()
        return [t.grad.data for t in leaves]

    agree(run, device)


@pytest.mark.parametrize("device", [on_gpu], indirect=True)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((300_000, 16), (1,)), ((20_000, 1000), (1,)), ((3000, 8192), (1,)), ((100_000, 64), (0,)),
     ((128, 64, 28, 28), (0, 2, 3))],
    ids=str,
)  # fmt: skip
def test_more_than_the_device_holds_at_once(device, shape, axes):
    vector = [n if a not in axes else 1 for a, n in enumerate(shape)] if 0 in axes else shape[1:]
    weights = [draw(*vector, seed=s, dtype=np.float32) for s in (1, 2)]
    x = draw(*shape, dtype=np.float32)
    agree(lambda put: derive(fused.normalize, put(x), *map(put, weights), axes=axes, eps=1e-5),
          device, np.float32, 10)  # fmt: skip
    if axes == (1,):
        q = np.full(shape, 1 / shape[1], np.float32)
        agree(lambda put: derive(fused.cross_entropy, put(x), put(q)), device, np.float32, 10)


@pytest.mark.parametrize("name", ["normalize", "cross_entropy", "relu"])
def test_derivatives_by_differences(device, name):
    """Kernels against finite differences, and their definitions twice."""
    rng = np.random.default_rng(0)
    for *arrays, last in (
        s if isinstance(s[-1], dict) else (*s, {}) for s in TABLE[name].samples(rng)
    ):
        inputs = tuple(mr.Tensor(device(a), requires_grad=True) for a in arrays)
        op = functools.partial(TABLE[name].function, **last)
        assert mr.gradcheck(op, inputs)
        assert mr.gradgradcheck(op, inputs)


def test_sums_are_the_same_in_every_run(device):
    arrays = [
        draw(300, 64, dtype=np.float32),
        *(draw(64, seed=s, dtype=np.float32) for s in (1, 2)),
    ]
    for axes in ((0,), (1,)):
        runs = [derive(fused.normalize, *map(device, arrays), axes=axes, eps=1e-5) for _ in "12"]
        for a, b in zip(*runs, strict=True):
            np.testing.assert_array_equal(host(a), host(b))


# --- planted faults ------------------------------------------------------------------------------

FAULTS: dict[str, tuple[str, str, Callable[[Place], None]]] = {
    "no variance term": (
        "- unit[i] * through_variance) * s", ") * s", lambda d: test_rows(d, True, 100, np.float64)),
    "no mean term": (
        "center ? over_row<Sum>(through_mean) / WIDTH : 0", "0",
        lambda d: test_rows(d, True, 100, np.float64)),
    "one too many": (
        "over_row<Sum>(squares) / WIDTH", "over_row<Sum>(squares) / (WIDTH + 1)",
        lambda d: test_rows(d, False, 1000, np.float64)),
    "the tail counts": (
        "if (inside(i)) squares", "squares", lambda d: test_rows(d, True, 33, np.float64)),
    "the tail is lost": (
        "(WIDTH + GROUP * VECTOR - 1) / (GROUP * VECTOR)", "WIDTH / (GROUP * VECTOR)",
        lambda d: test_rows(d, False, 1000, np.float64)),
    "the last rows are lost": (
        "first < rows; first += gridDim.x * ROWS", "first + ROWS <= rows; first += gridDim.x * ROWS",
        lambda d: test_rows(d, True, 100, np.float64)),
    "half a warp is summed": (
        "(GROUP < 32 ? GROUP : 32) / 2", "(GROUP < 32 ? GROUP : 32) / 4",
        lambda d: test_rows(d, True, 512, np.float64)),
    "no barrier before": (
        "__syncthreads();  // what the last call left has been read", "",
        lambda d: test_rows(d, True, 1025, np.float64)),
    "no barrier after": (
        "warps[threadIdx.x / 32] = value;\n        __syncthreads();", "warps[threadIdx.x / 32] = value;",
        lambda d: test_rows(d, True, 1025, np.float64)),
    "no turns": (
        "            }\n            __syncthreads();\n        }\n    }\n    const bool last",
        "            }\n        }\n    }\n    const bool last",
        lambda d: test_rows(d, True, 100, np.float64)),
    "no barrier in the last sum": (
        "sums[warp][lane] = sum;\n    __syncthreads();", "sums[warp][lane] = sum;",
        lambda d: test_rows(d, True, 16, np.float64)),
    "a barrier for some": (
        "value = warps[0];", "if (threadIdx.x < 32) __syncthreads();\nvalue = warps[0];",
        lambda d: test_rows(d, True, 1025, np.float64)),
    "the maximum is not subtracted": (
        "log_p[i] -= top", "log_p[i] -= 0", lambda d: test_cross_entropy_at_its_edges(d, 5)),
    "0 log 0": (
        "if (inside(i) && !(q[i] == 0 && log_p[i] <= 0))", "if (inside(i))",
        lambda d: test_cross_entropy_at_its_edges(d, 5)),
    "the targets sum to 1": (
        "exp(log_p[i]) * asked", "exp(log_p[i])", lambda d: test_cross_entropy_at_its_edges(d, 5)),
    "moments added, not merged": (
        "+ apart * apart * n * share", "", lambda d: test_channels(d, (64, 100), np.float64)),
    "only the first stretch": (
        "k < gridDim.y", "k < 1", lambda d: test_channels(d, (4097, 3), np.float64)),
    "channels miss their variance term": (
        "- unit * (all.g_unit / count)", "", lambda d: test_channels(d, (5, 3, 7, 7), np.float64)),
    "channels divide by all": (
        "all.squares / count + eps", "all.squares / (count * channels) + eps",
        lambda d: test_channels(d, (5, 3, 7, 7), np.float64)),
    "no barrier between halves": (
        "for (int half = WORKERS / 2; half; half /= 2) {\n        __syncthreads();",
        "for (int half = WORKERS / 2; half; half /= 2) {",
        lambda d: test_channels(d, (64, 100), np.float64)),
    "the batch's variance as it is": (
        "all.squares / (count - 1)", "all.squares / count",
        lambda d: test_channels(d, (5, 33), np.float64)),
    "an ignored label counts": (
        "kept * (weight ? weight[label] : 1) : 0", "(weight ? weight[label] : 1) : 0",
        lambda d: test_targets(d, "a class ignored", np.float64)),
    "an ignored label is smoothed": (
        "kept * every_share", "every_share", lambda d: test_targets(d, "a class ignored", np.float64)),
    "class weights before smoothing": (
        "(own * own_share + kept * every_share) * w", "own * own_share * w + kept * every_share",
        lambda d: test_targets(d, "weighted", np.float64)),
    "one gradient for all rows": (
        "g[row * apart]", "g[row]",
        lambda d: test_cross_entropy_of_a_gradient_that_is_one_number(d)),
    "the first stretch alone": (
        "i < size; i += gridDim.x * THREADS", "i < size; i = size",
        lambda d: test_clip_factor(d, [(50_000,)] * 3, 0.5, np.float64)),
    "the penalties are forgotten": (
        "(a2 * w_)", "(0 * w_)",
        lambda d: test_clip_factor_with_penalties_that_are_yet_to_be_added(d, np.float64)),
    "no barrier in the norm": (
        "for (int half = THREADS / 2; half; half /= 2) {\n        __syncthreads();",
        "for (int half = THREADS / 2; half; half /= 2) {",
        lambda d: test_clip_factor(d, [(50_000,)] * 3, 0.5, np.float64)),
    "relu at 0": ("x > 0", "x >= 0", lambda d: test_slope_of_an_activation(d, 255, "relu", np.float64)),
    "the gradient is forgotten": (
        "g[i] * SLOPE", "SLOPE", lambda d: test_slope_of_an_activation(d, 255, "tanh", np.float64)),
    "nine rounds": (
        "round < 10", "round < 9", lambda d: test_mask_is_drawn_by_philox(d, 3000, np.float64)),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(emulator, name):
    right, wrong, test = FAULTS[name]
    met = []

    def change(source: str) -> str:
        met.append(right in source)
        return source.replace(right, wrong)

    emulator.change = change
    with pytest.raises(AssertionError):
        test(emulate)
    assert any(met), "the line is no longer there"
