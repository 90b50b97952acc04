"""The launchers of ``fused.cu``: kernels that replace NumPy functions on a GPU.

Each launcher takes the arguments of the function that names it (:func:`minireg.backend.has_kernel`)
and returns the same result, or None for a dtype, size or layout that it does not cover. The launcher
of a fused op returns (result, ``backward(g, needs)``). Kernels are compiled when they are first used,
for one dtype and width, so that loops over a row have a known length. Sums never use atomics: equal
inputs give equal bits.

The launchers use CuPy only to compile and launch, so the tests run them on the CPU as well.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import KERNELS, Array, of
from ..ops.fused import Running
from ..ops.table import Needs
from ..random import Stream
from .trace import FLOATS, Kernel

# --- compiling and launching --------------------------------------------------------------------

THREADS = 256
SLOPES = ("relu", "tanh", "sigmoid", "silu")  # the activations whose gradient is a kernel
_SOURCE = (Path(__file__).parent / "fused.cu").read_text(encoding="ascii")
_NULL = np.uintp(0)  # what CuPy makes of None depends on its version


@cache
def specialized(section: str, dtype: np.dtype[Any], **constants: int | str) -> str:
    """The source ``fused.cu`` with one section, its dtype and its constants defined.

    >>> specialized("ROW_KERNELS", np.dtype("f4"), WIDTH=3).splitlines()[:4]
    ['#define ROW_KERNELS', '#define WIDTH 3', '#define THREADS 256', 'using T = float;']
    """
    given = {section: "", **constants}
    given.setdefault("THREADS", THREADS)
    defined = [f"#define {name} {text}".rstrip() for name, text in given.items()]
    return "\n".join([*defined, f"using T = {FLOATS[dtype]};", _SOURCE])


@cache
def _compiled(source: str, name: str) -> Any:
    cupy = importlib.import_module("cupy")
    return cupy.RawKernel(source, name, options=("--std=c++17",))


def launch(source: str, name: str, grid: tuple[int, ...], threads: int, *arguments: Any) -> None:
    """Launch a kernel; None is passed as a null pointer, a Python integer as an ``int``."""
    given = (_NULL if a is None else np.int32(a) if isinstance(a, int) else a for a in arguments)
    _compiled(source, name)(grid, (threads,), tuple(given))


def _processors() -> int:
    runtime = importlib.import_module("cupy").cuda.runtime
    return int(
        runtime.deviceGetAttribute(runtime.cudaDevAttrMultiProcessorCount, runtime.getDevice())
    )


def _covered(x: Array, *others: Array | None) -> bool:
    """Whether the kernels can read the arrays: dtype, contiguous, indices that fit an ``int``."""
    return (
        x.dtype in FLOATS
        and 0 < x.size <= 2**30
        and all(v.dtype == x.dtype and v.flags.c_contiguous for v in (x, *others) if v is not None)
    )


def _empty(like: Array, shape: tuple[int, ...], dtype: Any = None) -> Array:
    return of(like).xp.empty(shape, dtype or like.dtype)  # CuPy's empty_like knows no shape ()


def _gradient(g: Array, x: Array) -> Array:
    """A gradient as the kernels read it, contiguous; it may come as a broadcast scalar."""
    return of(x).xp.ascontiguousarray(g, dtype=x.dtype)


def _pack(width: int, *arrays: Array) -> int:
    """How many numbers a thread may read at once: 128 bits of them if all rows are aligned, else 1."""
    address, size = of(arrays[0]).address, arrays[0].itemsize
    aligned = address is not None and not any(address(a) % 16 for a in arrays)
    return 16 // size if aligned and width * size % 16 == 0 else 1


def _rows(count: int, width: int, dtype: Any, pack: int) -> tuple[str, int, int]:
    """(source, blocks, threads) for ``count`` rows of ``width``."""
    if width <= 256:  # at most a warp per row, no more lanes than packs
        threads, group = THREADS, min(32, 1 << (-(-width // pack) - 1).bit_length())
    else:  # a block per row, eight numbers per thread: more would not fit its registers
        threads = group = 32 * -(-width // 256)
    source = specialized(
        "ROW_KERNELS", dtype, WIDTH=width, VECTOR=pack, GROUP=group, THREADS=threads
    )
    resident = _processors() * 1024 // threads  # about one wave of blocks for all rows
    return source, min(-(-count * group // threads), resident), threads


# --- the launchers, by the function they replace --------------------------------------------------

Backward = Callable[[Array, Needs], tuple[Array | None, ...]]
MAX_WIDTH = 8192  # of a row that a block of 1024 threads keeps in registers


def normalize(
    x: Array, weight: Array | None = None, bias: Array | None = None, *, axes: tuple[int, ...],
    eps: float, center: bool = True, running: Running | None = None,
) -> tuple[Array, Backward] | None:  # fmt: skip
    """``ops.fused.normalize`` for rows (the last axes) and channels (all axes but 1)."""
    over = {a % x.ndim for a in axes}
    rest = set(range(x.ndim)) - over
    by_row = max(rest, default=-1) < min(over)
    kept = over if by_row else rest  # the axes that weight and bias belong to
    shape = tuple(n if a in kept else 1 for a, n in enumerate(x.shape))
    fits = all(v is None or (1,) * (x.ndim - v.ndim) + v.shape == shape for v in (weight, bias))
    if not fits or not _covered(x, weight, bias):
        return None
    if by_row and math.prod(shape) <= MAX_WIDTH and running is None:
        return _normalize_rows(x, weight, bias, math.prod(shape), eps, center)
    if rest == {1} and center:
        return _normalize_channels(x, weight, bias, eps, running)
    return None


def _normalize_rows(
    x: Array, weight: Array | None, bias: Array | None, width: int, eps: float, center: bool
) -> tuple[Array, Backward]:
    count = x.size // width
    y, (mean, inverse) = np.empty_like(x), (_empty(x, (count,)) for _ in range(2))
    source, blocks, threads = _rows(count, width, x.dtype, _pack(width, x))
    launch(source, "norm_forward", (blocks,), threads, y, mean, inverse, x, weight, bias,
           x.dtype.type(eps), int(center), count)  # fmt: skip

    def backward(g: Array, needs: Needs) -> tuple[Array | None, ...]:
        g = _gradient(g, x)
        source, blocks, threads = _rows(count, width, x.dtype, _pack(width, x, g))
        dx, dweight, dbias = _wanted(needs, x, weight, bias)
        partial = None
        if dweight is not None or dbias is not None:
            partial = _empty(x, (blocks, 2, width))
        launch(source, "norm_backward", (blocks,), threads, dx, partial, g, x, mean, inverse,
               weight, int(center), count)  # fmt: skip
        if partial is not None:
            launch(source, "norm_sums", (-(-width // 32), 2), 1024, dweight, dbias, partial, blocks)
        return dx, dweight, dbias

    return y, backward


def _normalize_channels(
    x: Array, weight: Array | None, bias: Array | None, eps: float, running: Running | None
) -> tuple[Array, Backward]:
    channels, places = x.shape[1], math.prod(x.shape[2:])
    count = x.size // channels
    lanes = 32 if places == 1 else 1
    source = specialized("CHANNEL_KERNELS", x.dtype, PLACES=places)
    # enough blocks to fill the device, but at least 16 numbers for each thread
    strips = -(-channels // lanes)
    most = max(1, _processors() * 2048 // THREADS // strips)
    grid = strips, min(most, -(-count * lanes // (16 * THREADS)))
    shape = (1, channels, *(1,) * (x.ndim - 2))
    y, (mean, inverse) = np.empty_like(x), (_empty(x, shape) for _ in range(2))
    partial = _empty(x, (grid[1], channels, 3)) if grid[1] > 1 else None
    in_kernel = running is not None and _moves(running, x)  # else array operations update them
    old = (running.mean, running.variance) if running and in_kernel else (None, None)
    new = [None if v is None else np.empty_like(v) for v in old]
    momentum = running.momentum if running and in_kernel else 0.0
    variance = np.empty_like(mean) if running and not in_kernel else None
    if partial is not None:
        launch(source, "batch_moments", grid, THREADS, partial, x, count, channels)
    launch(source, "batch_forward", grid, THREADS, y, mean, variance, inverse, *new, *old,
           x.dtype.type(1 - momentum), x.dtype.type(momentum), partial, x, weight, bias,
           x.dtype.type(eps), count, channels)  # fmt: skip
    if running and in_kernel:
        running.mean, running.variance = new
    elif running:
        running.follow(mean, variance, count)

    def backward(g: Array, needs: Needs) -> tuple[Array | None, ...]:
        g = _gradient(g, x)
        dx, dweight, dbias = _wanted(needs, x, weight, bias)
        partial = _empty(x, (grid[1], channels, 2)) if grid[1] > 1 else None
        if partial is not None:
            launch(source, "batch_sums", grid, THREADS, partial, g, x, mean, inverse, count,
                   channels)  # fmt: skip
        launch(source, "batch_backward", grid, THREADS, dx, dweight, dbias, partial, g, x, mean,
               inverse, weight, count, channels)  # fmt: skip
        return dx, dweight, dbias

    return y, backward


def _moves(running: Running, x: Array) -> bool:
    """Whether the kernel that normalizes x can update the running statistics as well."""
    both = running.mean, running.variance
    number = isinstance(running.momentum, int | float)
    return number and all(type(v) is type(x) for v in both) and _covered(x, *both)


def _wanted(needs: Needs, *inputs: Array | None) -> list[Array | None]:
    """For each input an empty array for its gradient, None where none is needed."""
    return [np.empty_like(v) if i in needs else None for i, v in enumerate(inputs)]


def cross_entropy(logits: Array, target: Array) -> tuple[Array, Backward] | None:
    """``ops.fused.cross_entropy`` of rows of up to MAX_WIDTH classes."""
    if logits.shape != target.shape or not _covered(logits, target):
        return None
    width = logits.shape[-1]
    if not 1 < width <= MAX_WIDTH:
        return None
    count = logits.size // width
    cost = _empty(logits, logits.shape[:-1])
    saved = _empty(logits, (count, 3))
    source, blocks, threads = _rows(count, width, logits.dtype, _pack(width, logits, target))
    launch(source, "entropy_forward", (blocks,), threads, cost, saved, logits, target, count)

    def backward(g: Array, needs: Needs) -> tuple[Array | None, ...]:
        found = _wanted(needs, logits, target)
        by_row = int(any(g.strides))  # 0 for a mean, whose gradient is one number for all rows
        g = _gradient(g, logits) if by_row else g.astype(logits.dtype, copy=False)
        launch(source, "entropy_backward", (blocks,), threads, *found, g, by_row, logits, target,
               saved, count)  # fmt: skip
        return tuple(found)

    return cost, backward


def targets(
    labels: Array, weight: Array | None = None, *, dtype: Any, classes: int, ignore_index: int,
    label_smoothing: float,
) -> tuple[Array, Array, Array] | None:  # fmt: skip
    """Labels as distributions, for :mod:`minireg.nn.losses`: (q hard, q smoothed, Σ q hard)."""
    size = labels.size * classes
    if dtype not in FLOATS or not 0 < size <= 2**30:
        return None
    if weight is not None and not (weight.dtype == dtype and weight.flags.c_contiguous):
        return None
    labels = labels.astype(np.int64, order="C", copy=False)
    counts = np.empty_like(labels, dtype=dtype)
    hard = _empty(labels, (*labels.shape, classes), dtype=dtype)
    soft = np.empty_like(hard) if label_smoothing else None
    launch(
        specialized("TARGET_KERNELS", dtype), "targets", (-(-size // THREADS),), THREADS,
        hard, soft, counts, labels, weight, np.int64(ignore_index),
        dtype.type(1 - label_smoothing), dtype.type(label_smoothing / classes), classes, size,
    )  # fmt: skip
    return hard, hard if soft is None else soft, counts.sum()


def activation_backward(activation: str, g: Array, y: Array, x: Array) -> Array | None:
    """ȳ·φ′(x), the rule of an activation."""
    if not _covered(x):
        return None
    g, dx = _gradient(g, x), np.empty_like(x)
    source = specialized("ACTIVATION_KERNELS", x.dtype, SLOPE=f"{activation}_slope")
    blocks = -(-x.size // THREADS)
    launch(source, "activation_backward", (blocks,), THREADS, dx, g, x, x.size)
    return dx


def dropout_mask(like: Array, *, p: float, stream: Stream) -> Array | None:
    """0 with probability p, else 1/(1 − p), from a key of 64 bits; p in steps of 2⁻³²."""
    if not _covered(like):
        return None
    cut = min(round(p * 2**32), 2**32 - 1)
    mask = np.empty_like(like)
    launch(
        specialized("DROPOUT_KERNELS", like.dtype), "dropout_mask", (-(-like.size // (4 * THREADS)),),
        THREADS, mask, like.size, np.uint64(stream.bits()), np.uint32(cut),
        like.dtype.type(2**32 / (2**32 - cut)),
    )  # fmt: skip
    return mask


def clip_factor(
    sets: Sequence[tuple[Kernel, Sequence[Sequence[Array]]]], max_norm: float
) -> tuple[Array, Array]:
    """(norm, factor) of :func:`minireg.optim.clip.clip_factor`, by a launch for each set and one more.

    A set is a kernel that adds squares to its ``total``, and the rows of arrays that it runs over.
    """
    x = sets[0][1][0][0]
    places = [kernel.places(of(x), rows) for kernel, rows in sets]
    blocks = [
        min(-(-size // (16 * THREADS)), _processors() * 2048 // THREADS) for _, size in places
    ]
    ends = [*accumulate(blocks)]
    partial = _empty(x, (ends[-1],))
    norm, factor = (_empty(x, ()) for _ in range(2))
    for (kernel, rows), (where, size), count, end in zip(sets, places, blocks, ends, strict=True):
        given = (np.uint64(at) if isinstance(at, int) else at for at in where)
        launch(squares(kernel, len(rows)), "squares", (count,), THREADS, partial[end - count : end],
               np.int64(size), *given, *map(x.dtype.type, kernel.numbers))  # fmt: skip
    source = specialized("CLIP_KERNELS", x.dtype)
    launch(source, "clip_factor", (1,), THREADS, norm, factor, partial, ends[-1],
           x.dtype.type(max_norm))  # fmt: skip
    return norm, factor


def squares(kernel: Kernel, rows: int) -> str:
    """The source that sums what a kernel adds to its ``total`` over all elements of ``rows`` rows."""
    return _squares(kernel.source(rows), kernel.parameters(rows), kernel.dtype)


@cache
def _squares(body: str, parameters: str, dtype: str) -> str:
    arguments = parameters.replace("raw uint64 ", "const unsigned long long* ")
    arguments = arguments.replace("uint64 ", "unsigned long long ").replace(f"{dtype} ", "T ")
    section, body = "SQUARE_KERNELS", body.replace("\n", " ")  # a macro is one line
    return specialized(section, np.dtype(dtype), ARGUMENTS=arguments, BODY=body)


for _kernel in (normalize, cross_entropy, targets, dropout_mask, clip_factor):
    KERNELS[_kernel.__name__] = _kernel
for _activation in SLOPES:
    KERNELS[f"{_activation}_backward"] = partial(activation_backward, _activation)
