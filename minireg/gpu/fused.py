r"""The fused ops as CUDA kernels: faster twins of the rules in :mod:`minireg.ops.fused`.

A twin takes the arguments of a fused op's value and returns (result, backward), where
``backward(g, needs)`` launches the kernels of the way back; for a dtype, size or layout that
no kernel covers it returns None, and the NumPy rule runs on the GPU array instead. Twins of
what has no way back (targets, masks, the norm that clips) return just the results. The
kernels are compiled when they are first used, for the dtype and width at hand, so a loop
over a row has a known length. Sums never use atomics: equal inputs give equal bits.

The sources are plain C++17 but for CUDA's own words, and the launchers ask nothing of CuPy
but to launch: the tests run both on the CPU.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Array, of
from ..ops.table import Needs
from .trace import FLOATS, Kernel

if TYPE_CHECKING:
    from ..ops.fused import Running

# Each family is preceded by `using T = …;` and its constants (see `specialized`).

ROWS = r"""
// Rows of WIDTH numbers. GROUP threads share a row and a block takes THREADS / GROUP rows at a
// time; a thread keeps its EACH numbers in registers, so that a row is read once. All threads of
// a block go round the loop over rows equally often: barriers and shuffles always meet.
constexpr int PACKS = (WIDTH + GROUP * V - 1) / (GROUP * V), EACH = PACKS * V;
constexpr int ROWS = THREADS / GROUP;

struct alignas(V * sizeof(T)) Pack { T item[V]; };  // one load of up to 128 bits

__device__ int column(int i) { return (i / V * GROUP + threadIdx.x % GROUP) * V + i % V; }
__device__ bool inside(int i) { return column(i) < WIDTH; }
__device__ int own_row() { return threadIdx.x / GROUP; }

__device__ void load(T (&part)[EACH], const T* matrix, int row, bool live) {
#pragma unroll
    for (int k = 0; k < EACH; k += V) {
        Pack pack = {};
        if (live && inside(k))
            pack = *reinterpret_cast<const Pack*>(matrix + row * WIDTH + column(k));
#pragma unroll
        for (int v = 0; v < V; v++) part[k + v] = pack.item[v];
    }
}

__device__ void store(T* matrix, int row, const T (&part)[EACH], bool live) {
#pragma unroll
    for (int k = 0; k < EACH; k += V) {
        Pack pack;
#pragma unroll
        for (int v = 0; v < V; v++) pack.item[v] = part[k + v];
        if (live && inside(k)) *reinterpret_cast<Pack*>(matrix + row * WIDTH + column(k)) = pack;
    }
}

// One by one: parameters are views into a buffer of many, so they may lie anywhere.
__device__ void load_parameter(T (&part)[EACH], const T* vector, T otherwise) {
#pragma unroll
    for (int i = 0; i < EACH; i++) part[i] = vector && inside(i) ? vector[column(i)] : otherwise;
}

struct Sum { static __device__ T of(T a, T b) { return a + b; } };
struct Max { static __device__ T of(T a, T b) { return a > b ? a : b; } };

template <class Of> __device__ T over_row(T value) {  // every thread of the row gets the result
#pragma unroll
    for (int apart = (GROUP < 32 ? GROUP : 32) / 2; apart; apart /= 2)
        value = Of::of(value, __shfl_xor_sync(0xffffffff, value, apart));
    if constexpr (GROUP > 32) {
        __shared__ T warps[(GROUP + 31) / 32];
        __syncthreads();  // what the last call left has been read
        if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
        __syncthreads();
        value = warps[0];
#pragma unroll
        for (int w = 1; w < GROUP / 32; w++) value = Of::of(value, warps[w]);
    }
    return value;
}

extern "C" __global__ void __launch_bounds__(THREADS) norm_forward(
    T* y, T* mean, T* inverse, const T* x, const T* weight, const T* bias,
    T eps, int center, int rows) {
    T w[EACH], b[EACH], unit[EACH];
    load_parameter(w, weight, 1);
    load_parameter(b, bias, 0);
    for (int first = blockIdx.x * ROWS; first < rows; first += gridDim.x * ROWS) {
        const int row = first + own_row();
        const bool live = row < rows;
        load(unit, x, row, live);
        T m = 0, squares = 0;
        if (center) {
#pragma unroll
            for (int i = 0; i < EACH; i++) m += unit[i];
            m = over_row<Sum>(m) / WIDTH;
        }
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            unit[i] -= m;
            if (inside(i)) squares += unit[i] * unit[i];
        }
        const T s = 1 / sqrt(over_row<Sum>(squares) / WIDTH + eps);
#pragma unroll
        for (int i = 0; i < EACH; i++) unit[i] = unit[i] * s * w[i] + b[i];
        store(y, row, unit, live);
        if (live && threadIdx.x % GROUP == 0) {
            mean[row] = m;
            inverse[row] = s;
        }
    }
}

// dx, and what this block's rows add to the gradients of weight and bias.
extern "C" __global__ void __launch_bounds__(THREADS) norm_backward(
    T* dx, T* partial, const T* g, const T* x, const T* mean, const T* inverse, const T* weight,
    int center, int rows) {
    T w[EACH], dweight[EACH] = {}, dbias[EACH] = {}, u[EACH], unit[EACH];
    load_parameter(w, weight, 1);
    for (int first = blockIdx.x * ROWS; first < rows; first += gridDim.x * ROWS) {
        const int row = first + own_row();
        const bool live = row < rows;
        load(u, g, row, live);
        load(unit, x, row, live);
        const T m = live ? mean[row] : 0, s = live ? inverse[row] : 0;
        T through_mean = 0, through_variance = 0;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            unit[i] = (unit[i] - m) * s;
            dweight[i] += u[i] * unit[i];
            dbias[i] += u[i];
            u[i] *= w[i];
            through_mean += u[i];
            through_variance += u[i] * unit[i];
        }
        if (dx) {
            through_mean = center ? over_row<Sum>(through_mean) / WIDTH : 0;
            through_variance = over_row<Sum>(through_variance) / WIDTH;
#pragma unroll
            for (int i = 0; i < EACH; i++)
                u[i] = (u[i] - through_mean - unit[i] * through_variance) * s;
            store(dx, row, u, live);
        }
    }
    if (!partial) return;
    if constexpr (ROWS > 1) {  // the groups of a block add up in turn, always in the same order
        __shared__ T sums[2][ROWS > 1 ? WIDTH : 1];
        for (int turn = 0; turn < ROWS; turn++) {
            if (turn == own_row()) {
#pragma unroll
                for (int i = 0; i < EACH; i++) {
                    if (!inside(i)) continue;
                    dweight[i] = sums[0][column(i)] = dweight[i] + (turn ? sums[0][column(i)] : 0);
                    dbias[i] = sums[1][column(i)] = dbias[i] + (turn ? sums[1][column(i)] : 0);
                }
            }
            __syncthreads();
        }
    }
    const bool last = own_row() == ROWS - 1;
    store(partial, 2 * blockIdx.x, dweight, last);
    store(partial, 2 * blockIdx.x + 1, dbias, last);
}

// The blocks' shares summed: 32 columns a block, of weight (blockIdx.y = 0) or bias.
extern "C" __global__ void __launch_bounds__(1024) norm_sums(
    T* dweight, T* dbias, const T* partial, int parts) {
    __shared__ T sums[32][32];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, c = blockIdx.x * 32 + lane;
    T* out = blockIdx.y ? dbias : dweight;
    T sum = 0;
    if (c < WIDTH)
        for (int k = warp; k < parts; k += 32) sum += partial[(2 * k + blockIdx.y) * WIDTH + c];
    sums[warp][lane] = sum;
    __syncthreads();
    if (!out || warp > 0 || c >= WIDTH) return;
    for (int w = 1; w < 32; w++) sum += sums[w][lane];
    out[c] = sum;
}

// Of each row: the cost, and (maximum, log of the sum, sum of q), from which p is worked out again.
extern "C" __global__ void __launch_bounds__(THREADS) entropy_forward(
    T* cost, T* saved, const T* logits, const T* target, int rows) {
    T log_p[EACH], q[EACH];
    for (int first = blockIdx.x * ROWS; first < rows; first += gridDim.x * ROWS) {
        const int row = first + own_row();
        const bool live = row < rows;
        load(log_p, logits, row, live);
        load(q, target, row, live);
        T top = live ? logits[row * WIDTH] : 0, total = 0, asked = 0, sum = 0;
#pragma unroll
        for (int i = 0; i < EACH; i++)
            if (live && inside(i)) top = Max::of(top, log_p[i]);
        top = over_row<Max>(top);
#pragma unroll
        for (int i = 0; i < EACH; i++)
            if (inside(i)) total += exp(log_p[i] -= top);
        const T log_total = log(over_row<Sum>(total));
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            log_p[i] -= log_total;
            asked += q[i];
            if (inside(i) && !(q[i] == 0 && log_p[i] <= 0)) sum += q[i] * log_p[i];  // 0 log 0 = 0
        }
        asked = over_row<Sum>(asked);
        sum = over_row<Sum>(sum);
        if (live && threadIdx.x % GROUP == 0) {
            cost[row] = -sum;
            saved[3 * row] = top;
            saved[3 * row + 1] = log_total;
            saved[3 * row + 2] = asked;
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) entropy_backward(
    T* dlogits, T* dtarget, const T* g, int apart, const T* logits, const T* target,
    const T* saved, int rows) {
    T log_p[EACH], q[EACH];
    for (int first = blockIdx.x * ROWS; first < rows; first += gridDim.x * ROWS) {
        const int row = first + own_row();
        const bool live = row < rows;
        load(log_p, logits, row, live);
        load(q, target, row, live);
        const T scale = live ? g[row * apart] : 0, asked = live ? saved[3 * row + 2] : 0;
        const T top = live ? saved[3 * row] : 0, log_total = live ? saved[3 * row + 1] : 0;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            log_p[i] = log_p[i] - top - log_total;
            q[i] = (exp(log_p[i]) * asked - q[i]) * scale;
            log_p[i] *= -scale;
        }
        if (dlogits) store(dlogits, row, q, live);
        if (dtarget) store(dtarget, row, log_p, live);
    }
}
"""

CHANNELS = r"""
// x is (N, channels, S). A block takes LANES channels, and of their N S numbers each the stretch
// that blockIdx.y says: with S = 1 neighbours in memory are channels, otherwise places.
constexpr int LANES = S == 1 ? 32 : 1, WORKERS = THREADS / LANES;

__device__ int channel() { return blockIdx.x * LANES + threadIdx.x % LANES; }
__device__ int start(int count, int part) {
    return min((count + gridDim.y - 1) / gridDim.y * part, unsigned(count));
}
__device__ int index(int m, int channels) { return (m / S * channels + channel()) * S + m % S; }

struct Moments {  // merged by the rule of Chan, Golub and LeVeque: nothing cancels
    T n, mean, squares;
    __device__ void merge(Moments other) {
        if (other.n == 0) return;
        const T share = other.n / (n + other.n), apart = other.mean - mean;
        mean += apart * share;
        squares += other.squares + apart * apart * n * share;
        n += other.n;
    }
};
struct Sums {
    T g, g_unit;
    __device__ void merge(Sums other) { g += other.g, g_unit += other.g_unit; }
};

// Merged over the workers of each channel, for all of them. To be called once in a kernel.
template <class M> __device__ M over_workers(M mine) {
    __shared__ M all[THREADS];
    all[threadIdx.x] = mine;
    for (int half = WORKERS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half * LANES) all[threadIdx.x].merge(all[threadIdx.x + half * LANES]);
    }
    __syncthreads();
    return all[threadIdx.x % LANES];
}

template <class M> __device__ void keep(M* partial, M mine, int channels) {
    mine = over_workers(mine);
    if (threadIdx.x < LANES && channel() < channels) partial[blockIdx.y * channels + channel()] = mine;
}

template <class M> __device__ M over_stretches(const M* partial, int channels) {
    M mine = {};
    if (channel() < channels)
        for (int k = threadIdx.x / LANES; k < gridDim.y; k += WORKERS)
            mine.merge(partial[k * channels + channel()]);
    return over_workers(mine);
}

__device__ Moments moments(const T* x, int count, int channels) {
    Moments mine = {};
    const int end = channel() < channels ? start(count, blockIdx.y + 1) : 0;
#pragma unroll 4
    for (int m = start(count, blockIdx.y) + threadIdx.x / LANES; m < end; m += WORKERS)
        mine.merge({1, x[index(m, channels)], 0});
    return mine;
}

// A channel in one stretch needs no partial results, and no kernel before the one that uses them.
extern "C" __global__ void __launch_bounds__(THREADS) batch_moments(
    Moments* partial, const T* x, int count, int channels) {
    keep(partial, moments(x, count, channels), channels);
}

extern "C" __global__ void __launch_bounds__(THREADS) batch_forward(
    T* y, T* mean, T* variance, T* inverse, T* new_mean, T* new_variance, const T* old_mean,
    const T* old_variance, T keep, T momentum, const Moments* partial, const T* x, const T* weight,
    const T* bias, T eps, int count, int channels) {
    const int c = channel();
    const Moments all = partial ? over_stretches(partial, channels)
                                : over_workers(moments(x, count, channels));
    if (c >= channels) return;
    const T s = 1 / sqrt(all.squares / count + eps);
    const T w = weight ? weight[c] : 1, b = bias ? bias[c] : 0;
    const int end = start(count, blockIdx.y + 1);
#pragma unroll 4
    for (int m = start(count, blockIdx.y) + threadIdx.x / LANES; m < end; m += WORKERS)
        y[index(m, channels)] = (x[index(m, channels)] - all.mean) * s * w + b;
    if (blockIdx.y == 0 && threadIdx.x < LANES) {
        mean[c] = all.mean;
        inverse[c] = s;
        if (variance) variance[c] = all.squares / count;
        if (new_mean) {  // the running ones; the batch's variance counts unbiased there
            new_mean[c] = keep * old_mean[c] + momentum * all.mean;
            new_variance[c] = keep * old_variance[c] + momentum * (all.squares / (count - 1));
        }
    }
}

__device__ Sums sums(
    const T* g, const T* x, const T* mean, const T* inverse, int count, int channels) {
    Sums mine = {};
    const bool live = channel() < channels;
    const T at = live ? mean[channel()] : 0, s = live ? inverse[channel()] : 0;
    const int end = live ? start(count, blockIdx.y + 1) : 0;
#pragma unroll 4
    for (int m = start(count, blockIdx.y) + threadIdx.x / LANES; m < end; m += WORKERS) {
        const T here = g[index(m, channels)];
        mine.merge({here, here * ((x[index(m, channels)] - at) * s)});
    }
    return mine;
}

extern "C" __global__ void __launch_bounds__(THREADS) batch_sums(
    Sums* partial, const T* g, const T* x, const T* mean, const T* inverse, int count,
    int channels) {
    keep(partial, sums(g, x, mean, inverse, count, channels), channels);
}

// dx with its three terms: direct, through the mean, through the variance.
extern "C" __global__ void __launch_bounds__(THREADS) batch_backward(
    T* dx, T* dweight, T* dbias, const Sums* partial, const T* g, const T* x, const T* mean,
    const T* inverse, const T* weight, int count, int channels) {
    const int c = channel();
    const Sums all = partial ? over_stretches(partial, channels)
                             : over_workers(sums(g, x, mean, inverse, count, channels));
    if (c >= channels) return;
    const T at = mean[c], s = inverse[c], scale = weight ? weight[c] * s : s;
    const int end = dx ? start(count, blockIdx.y + 1) : 0;
#pragma unroll 4
    for (int m = start(count, blockIdx.y) + threadIdx.x / LANES; m < end; m += WORKERS) {
        const int i = index(m, channels);
        const T unit = (x[i] - at) * s;
        dx[i] = (g[i] - all.g / count - unit * (all.g_unit / count)) * scale;
    }
    if (blockIdx.y == 0 && threadIdx.x < LANES) {
        if (dweight) dweight[c] = all.g_unit;
        if (dbias) dbias[c] = all.g;
    }
}
"""

TARGETS = r"""
// Integer labels as distributions over the classes, hard and smoothed; what each row counts.
extern "C" __global__ void __launch_bounds__(THREADS) targets(
    T* hard, T* soft, T* counts, const long long* labels, const T* weight, long long ignored,
    T own_share, T every_share, int classes, int size) {
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= size) return;
    const int row = i / classes, c = i % classes;
    const long long label = labels[row];
    const T kept = label != ignored, own = label == c ? kept : 0, w = weight ? weight[c] : 1;
    hard[i] = own * w;
    if (soft) soft[i] = (own * own_share + kept * every_share) * w;
    if (c == 0) counts[row] = 0 <= label && label < classes ? kept * (weight ? weight[label] : 1) : 0;
}
"""

DROPOUT = r"""
// Philox 4x32-10 (Salmon et al. 2011): four words that follow from a counter and a key alone.
struct Words { unsigned word[4]; };

__device__ unsigned high(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }

__device__ Words philox(unsigned long long counter, unsigned long long key) {
    unsigned a = counter, b = counter >> 32, c = 0, d = 0, k = key, l = key >> 32;
    for (int round = 0; round < 10; round++, k += 0x9E3779B9, l += 0xBB67AE85) {
        const unsigned ha = high(0xD2511F53, a), la = 0xD2511F53 * a;
        const unsigned hc = high(0xCD9E8D57, c), lc = 0xCD9E8D57 * c;
        a = hc ^ b ^ k, b = lc, c = ha ^ d ^ l, d = la;
    }
    return {{a, b, c, d}};
}

// A thread's four numbers lie THREADS apart, so that a warp's stores lie side by side.
extern "C" __global__ void __launch_bounds__(THREADS) dropout_mask(
    T* mask, int size, unsigned long long key, unsigned cut, T scale) {
    const Words drawn = philox(blockIdx.x * THREADS + threadIdx.x, key);
    for (int k = 0; k < 4; k++) {
        const int i = (blockIdx.x * 4 + k) * THREADS + threadIdx.x;
        if (i < size) mask[i] = drawn.word[k] < cut ? 0 : scale;
    }
}
"""

ACTIVATED = r"""
__device__ T sigmoid(T x) {
    const T e = exp(-fabs(x));
    return (x >= 0 ? 1 : e) / (1 + e);
}
__device__ T slope(T x) { return @slope; }

extern "C" __global__ void __launch_bounds__(THREADS) activation_backward(
    T* dx, const T* g, const T* x, int size) {
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < size) dx[i] = g[i] * slope(x[i]);
}
"""
SLOPES = {
    "relu": "x > 0",
    "tanh": "1 - tanh(x) * tanh(x)",
    "sigmoid": "sigmoid(x) * sigmoid(-x)",
    "silu": "sigmoid(x) * (1 + x * sigmoid(-x))",
}

BLOCK_SUM = r"""
__device__ T over_block(T value) {  // for thread 0. To be called once in a kernel.
    __shared__ T all[THREADS];
    all[threadIdx.x] = value;
    for (int half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) all[threadIdx.x] += all[threadIdx.x + half];
    }
    return all[0];
}
"""

SQUARES = (
    BLOCK_SUM
    + r"""
// Of many arrays together; a table lists their stretches as (how many, addresses). What is added up
// for an element is recorded (minireg.gpu.trace), as it may be the gradient with a penalty's.
extern "C" __global__ void __launch_bounds__(THREADS) squares(
    T* partial, long long size, @arguments) {
    T total_ = 0;
#pragma unroll 4
    for (long long i = blockIdx.x * THREADS + threadIdx.x; i < size; i += gridDim.x * THREADS) {
@body
    }
    total_ = over_block(total_);
    if (threadIdx.x == 0) partial[blockIdx.x] = total_;
}
"""
)

CLIP = (
    BLOCK_SUM
    + r"""
extern "C" __global__ void __launch_bounds__(THREADS) clip_factor(
    T* norm, T* factor, const T* partial, int parts, T max_norm) {
    T sum = 0;
    for (int k = threadIdx.x; k < parts; k += THREADS) sum += partial[k];
    sum = over_block(sum);
    if (threadIdx.x > 0) return;
    *norm = sqrt(sum);
    const T f = max_norm / (*norm + T(1e-6));
    *factor = f > 1 ? 1 : f;
}
"""
)

# --- compiling and launching --------------------------------------------------------------------

THREADS = 256
_NULL = np.uintp(0)  # what CuPy makes of None depends on its version


@cache
def specialized(text: str, dtype: Any, **constants: int) -> str:
    """A family's source for one dtype and its constants.

    >>> specialized("T x[WIDTH];", np.dtype("f4"), WIDTH=3).splitlines()
    ['using T = float;', 'constexpr int WIDTH = 3;', 'T x[WIDTH];']
    """
    given = "".join(f"constexpr int {name} = {n};\n" for name, n in constants.items())
    return f"using T = {FLOATS[dtype]};\n{given}{text}"


@cache
def activated(activation: str, dtype: Any) -> str:
    """The source of an activation's way back."""
    text = ACTIVATED.replace("@slope", SLOPES[activation])
    return specialized(text, dtype, THREADS=THREADS)


@cache
def _compiled(source: str, name: str) -> Any:
    cupy = importlib.import_module("cupy")
    return cupy.RawKernel(source, name, options=("--std=c++17",))


def launch(source: str, name: str, grid: tuple[int, ...], threads: int, *arguments: Any) -> None:
    """Start a kernel; None is a null pointer, a Python integer an ``int``."""
    given = (_NULL if a is None else np.int32(a) if isinstance(a, int) else a for a in arguments)
    _compiled(source, name)(grid, (threads,), tuple(given))


def _processors() -> int:
    runtime = importlib.import_module("cupy").cuda.runtime
    return int(
        runtime.deviceGetAttribute(runtime.cudaDevAttrMultiProcessorCount, runtime.getDevice())
    )


def _covered(x: Array, *others: Array | None) -> bool:
    """Dtype, layout and size are such that the kernels can read the arrays; they count in ints."""
    return (
        x.dtype in FLOATS
        and 0 < x.size <= 2**30
        and all(v.dtype == x.dtype and v.flags.c_contiguous for v in (x, *others) if v is not None)
    )


def _empty(like: Array, shape: tuple[int, ...], dtype: Any = None) -> Array:
    return of(like).xp.empty(shape, dtype or like.dtype)  # CuPy's empty_like knows no shape ()


def _gradient(g: Array, x: Array) -> Array:
    """An incoming gradient as the kernels read it; it may be a broadcast scalar."""
    return of(x).xp.ascontiguousarray(g, dtype=x.dtype)


def _pack(width: int, *arrays: Array) -> int:
    """How many numbers of a row a thread may read at once: 128 bits, if rows begin at such."""
    address, size = of(arrays[0]).address, arrays[0].itemsize
    aligned = address is not None and not any(address(a) % 16 for a in arrays)
    return 16 // size if aligned and width * size % 16 == 0 else 1


def _rows(count: int, width: int, dtype: Any, pack: int) -> tuple[str, int, int]:
    """(source, blocks, threads) for ``count`` rows of ``width``."""
    if width <= 256:  # at most a warp a row, or as many lanes as there are packs
        threads, group = THREADS, min(32, 1 << (-(-width // pack) - 1).bit_length())
    else:  # a block a row, eight numbers a thread: more would not fit its registers
        threads = group = 32 * -(-width // 256)
    source = specialized(ROWS, dtype, WIDTH=width, V=pack, GROUP=group, THREADS=threads)
    resident = _processors() * 1024 // threads  # about one wave of blocks walks over all rows
    return source, min(-(-count * group // threads), resident), threads


# --- the twins -----------------------------------------------------------------------------------

Backward = Callable[[Array, Needs], tuple[Array | None, ...]]
MAX_WIDTH = 8192  # of a row that a block of 1024 threads keeps in registers


def normalize(
    x: Array, weight: Array | None = None, bias: Array | None = None, *, axes: tuple[int, ...],
    eps: float, center: bool = True, running: Running | None = None,
) -> tuple[Array, Backward] | None:  # fmt: skip
    """Twin of ``fused.normalize`` for rows (the last axes) and channels (all axes but 1)."""
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
    source = specialized(CHANNELS, x.dtype, S=places, THREADS=THREADS)
    # Enough stretches to fill the device, but at least 16 numbers for each thread.
    strips = -(-channels // lanes)
    most = max(1, _processors() * 2048 // THREADS // strips)
    grid = strips, min(most, -(-count * lanes // (16 * THREADS)))
    shape = (1, channels, *(1,) * (x.ndim - 2))
    y, (mean, inverse) = np.empty_like(x), (_empty(x, shape) for _ in range(2))
    partial = _empty(x, (grid[1], channels, 3)) if grid[1] > 1 else None
    in_kernel = running is not None and _moves(running, x)  # else they follow by array operations
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
    """Whether the kernel that normalizes x can move the running statistics, too."""
    both = running.mean, running.variance
    number = isinstance(running.momentum, int | float)
    return number and all(type(v) is type(x) for v in both) and _covered(x, *both)


def _wanted(needs: Needs, *inputs: Array | None) -> list[Array | None]:
    """An array for the gradient of each input that needs one."""
    return [np.empty_like(v) if i in needs else None for i, v in enumerate(inputs)]


def cross_entropy(logits: Array, target: Array) -> tuple[Array, Backward] | None:
    """Twin of ``fused.cross_entropy``."""
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
        apart = int(any(g.strides))  # a mean sends every row the same number
        g = _gradient(g, logits) if apart else g.astype(logits.dtype, copy=False)
        launch(source, "entropy_backward", (blocks,), threads, *found, g, apart, logits, target,
               saved, count)  # fmt: skip
        return tuple(found)

    return cost, backward


def targets(
    labels: Array, weight: Array | None = None, *, dtype: Any, classes: int, ignore_index: int,
    label_smoothing: float,
) -> tuple[Array, Array, Array] | None:  # fmt: skip
    """Twin of what :mod:`minireg.nn.losses` makes of labels: (q hard, q smoothed, Σ q hard)."""
    size = labels.size * classes
    if dtype not in FLOATS or not 0 < size <= 2**30:
        return None
    if weight is not None and not (weight.dtype == dtype and weight.flags.c_contiguous):
        return None
    labels = labels.astype(np.int64, order="C", copy=False)
    counts = np.empty_like(labels, dtype=dtype)
    hard = _empty(labels, (*labels.shape, classes), dtype=dtype)
    soft = np.empty_like(hard) if label_smoothing else None
    launch(specialized(TARGETS, dtype, THREADS=THREADS), "targets", (-(-size // THREADS),), THREADS,
           hard, soft, counts, labels, weight, np.int64(ignore_index), dtype.type(1 - label_smoothing),
           dtype.type(label_smoothing / classes), classes, size)  # fmt: skip
    return hard, hard if soft is None else soft, counts.sum()


def slope(x: Array, g: Array, *, activation: str) -> Array | None:
    """ȳ·φ′(x), the rule of an activation."""
    if not _covered(x):
        return None
    g, dx = _gradient(g, x), np.empty_like(x)
    source, blocks = activated(activation, x.dtype), -(-x.size // THREADS)
    launch(source, "activation_backward", (blocks,), THREADS, dx, g, x, x.size)
    return dx


def dropout_mask(p: float, like: Array, key: int) -> Array | None:
    """0 with probability p, else 1/(1 − p), from a key of 64 bits; p counts in 2⁻³²."""
    if not _covered(like):
        return None
    cut = min(round(p * 2**32), 2**32 - 1)
    mask = np.empty_like(like)
    launch(specialized(DROPOUT, like.dtype, THREADS=THREADS), "dropout_mask",
           (-(-like.size // (4 * THREADS)),), THREADS, mask, like.size, np.uint64(key),
           np.uint32(cut), like.dtype.type(2**32 / (2**32 - cut)))  # fmt: skip
    return mask


def clip_factor(
    sets: Sequence[tuple[Kernel, Sequence[Sequence[Array]]]], max_norm: float
) -> tuple[Array, Array]:
    """(norm, factor) of :func:`minireg.optim.clip.clip_factor` from what adds up the squares.

    Each of the sets is a kernel with a total, and the rows of arrays that it walks over.
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
    source = specialized(CLIP, x.dtype, THREADS=THREADS)
    launch(source, "clip_factor", (1,), THREADS, norm, factor, partial, ends[-1],
           x.dtype.type(max_norm))  # fmt: skip
    return norm, factor


def squares(kernel: Kernel, rows: int) -> str:
    """The source that sums up what a kernel with a total adds to it."""
    return _squares(kernel.source(rows), kernel.parameters(rows), kernel.dtype)


@cache
def _squares(body: str, parameters: str, dtype: str) -> str:
    arguments = parameters.replace("raw uint64 ", "const unsigned long long* ")
    arguments = arguments.replace("uint64 ", "unsigned long long ").replace(f"{dtype} ", "T ")
    text = SQUARES.replace("@body", body).replace("@arguments", arguments)
    return specialized(text, np.dtype(dtype), THREADS=THREADS)


KERNELS: Mapping[str, Callable[..., Any]] = {
    "normalize": normalize, "targets": targets, "cross_entropy": cross_entropy, "slope": slope,
    "dropout_mask": dropout_mask, "clip_factor": clip_factor,
}  # fmt: skip
