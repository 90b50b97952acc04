// The fused ops as CUDA kernels, one section a family. The launchers in fused.py put before this
// file `#define` lines, which choose a section and give its constants, and `using T = ...;`:
//
//   ROW_KERNELS         WIDTH, VECTOR, GROUP   LayerNorm, RMSNorm, softmax cross entropy
//   CHANNEL_KERNELS     PLACES                 BatchNorm
//   TARGET_KERNELS                             labels as distributions over the classes
//   DROPOUT_KERNELS                            masks
//   ACTIVATION_KERNELS  SLOPE                  the gradient of an activation
//   SQUARE_KERNELS      ARGUMENTS, BODY        the norm that clips: what adds up the squares
//   CLIP_KERNELS                               the norm that clips: the factor
//
// THREADS is the size of a block everywhere. It is plain C++17 except for CUDA's own words.

#ifdef ROW_KERNELS

// Rows of WIDTH numbers. GROUP threads share a row and a block takes THREADS / GROUP rows at a
// time; a thread keeps its EACH numbers in registers, so that a row is read once. All threads of
// a block go round the loop over rows equally often: barriers and shuffles always meet.
constexpr int PACKS = (WIDTH + GROUP * VECTOR - 1) / (GROUP * VECTOR), EACH = PACKS * VECTOR;
constexpr int ROWS = THREADS / GROUP;

struct alignas(VECTOR * sizeof(T)) Pack { T item[VECTOR]; };  // one load of up to 128 bits

__device__ int column(int i) {
    return (i / VECTOR * GROUP + threadIdx.x % GROUP) * VECTOR + i % VECTOR;
}
__device__ bool inside(int i) { return column(i) < WIDTH; }
__device__ int own_row() { return threadIdx.x / GROUP; }

__device__ void load(T (&part)[EACH], const T* matrix, int row, bool live) {
#pragma unroll
    for (int k = 0; k < EACH; k += VECTOR) {
        Pack pack = {};
        if (live && inside(k))
            pack = *reinterpret_cast<const Pack*>(matrix + row * WIDTH + column(k));
#pragma unroll
        for (int v = 0; v < VECTOR; v++) part[k + v] = pack.item[v];
    }
}

__device__ void store(T* matrix, int row, const T (&part)[EACH], bool live) {
#pragma unroll
    for (int k = 0; k < EACH; k += VECTOR) {
        Pack pack;
#pragma unroll
        for (int v = 0; v < VECTOR; v++) pack.item[v] = part[k + v];
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

#endif  // ROW_KERNELS

#ifdef CHANNEL_KERNELS

// x is (N, channels, PLACES). A block takes LANES channels, and of the N PLACES numbers of each the
// stretch that blockIdx.y says: with PLACES = 1 neighbours in memory are channels, otherwise places.
constexpr int LANES = PLACES == 1 ? 32 : 1, WORKERS = THREADS / LANES;

__device__ int channel() { return blockIdx.x * LANES + threadIdx.x % LANES; }
__device__ int start(int count, int part) {
    return min((count + gridDim.y - 1) / gridDim.y * part, unsigned(count));
}
__device__ int index(int m, int channels) {
    return (m / PLACES * channels + channel()) * PLACES + m % PLACES;
}

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
    if (threadIdx.x < LANES && channel() < channels)
        partial[blockIdx.y * channels + channel()] = mine;
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

#endif  // CHANNEL_KERNELS

#ifdef TARGET_KERNELS

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
    if (c == 0)
        counts[row] = 0 <= label && label < classes ? kept * (weight ? weight[label] : 1) : 0;
}

#endif  // TARGET_KERNELS

#ifdef DROPOUT_KERNELS

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

#endif  // DROPOUT_KERNELS

#ifdef ACTIVATION_KERNELS

__device__ T sigmoid(T x) {
    const T e = exp(-fabs(x));
    return (x >= 0 ? 1 : e) / (1 + e);
}
__device__ T relu_slope(T x) { return x > 0; }
__device__ T tanh_slope(T x) { return 1 - tanh(x) * tanh(x); }
__device__ T sigmoid_slope(T x) { return sigmoid(x) * sigmoid(-x); }
__device__ T silu_slope(T x) { return sigmoid(x) * (1 + x * sigmoid(-x)); }

extern "C" __global__ void __launch_bounds__(THREADS) activation_backward(
    T* dx, const T* g, const T* x, int size) {
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < size) dx[i] = g[i] * SLOPE(x[i]);
}

#endif  // ACTIVATION_KERNELS

__device__ T over_block(T value) {  // for thread 0. To be called once in a kernel.
    __shared__ T all[THREADS];
    all[threadIdx.x] = value;
    for (int half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) all[threadIdx.x] += all[threadIdx.x + half];
    }
    return all[0];
}

#ifdef SQUARE_KERNELS

// Of many arrays together; a table lists their stretches as (how many, addresses). What is added up
// for an element is recorded (minireg.gpu.trace), as it may be the gradient with a penalty's.
extern "C" __global__ void __launch_bounds__(THREADS) squares(
    T* partial, long long size, ARGUMENTS) {
    T total_ = 0;
#pragma unroll 4
    for (long long i = blockIdx.x * THREADS + threadIdx.x; i < size; i += gridDim.x * THREADS) {
        BODY
    }
    total_ = over_block(total_);
    if (threadIdx.x == 0) partial[blockIdx.x] = total_;
}

#endif  // SQUARE_KERNELS

#ifdef CLIP_KERNELS

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

#endif  // CLIP_KERNELS
