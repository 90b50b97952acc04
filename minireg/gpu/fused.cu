// The fused ops as CUDA kernels, one section a family. The launchers in fused.py put `#define`
// lines in front of this file, which choose a section and give its constants, and
// `using T = float;` or double:
//
//   section             constants              kernels
//   ROW_KERNELS         WIDTH, VECTOR, GROUP   norm_forward, norm_backward, norm_sums,
//                                              entropy_forward, entropy_backward
//   CHANNEL_KERNELS     PLACES                 batch_moments, batch_forward, batch_sums,
//                                              batch_backward
//   TARGET_KERNELS                             targets
//   DROPOUT_KERNELS                            dropout_mask
//   ACTIVATION_KERNELS  SLOPE                  activation_backward
//   SQUARE_KERNELS      ARGUMENTS, BODY        squares
//   CLIP_KERNELS                               clip_factor
//
// THREADS is the number of threads in a block; it is 256 unless a launch says otherwise. Arrays
// are contiguous. A pointer that may be null says what null means. An argument marked "out" is
// written, all others are only read. Apart from CUDA's own words this is plain C++17; its layout
// is clang-format's (see .clang-format).

#ifdef ROW_KERNELS

// Matrices of `rows` rows of WIDTH numbers each.
//
// GROUP threads share a row, so a block takes ROWS = THREADS / GROUP rows at a time. A thread holds
// EACH numbers of its row in registers, in PACKS packs of VECTOR neighbours, so a row is read once.
// Launch: about as many blocks as the device holds at once; they walk over all rows in a loop. All
// threads of a block pass through this loop equally often, so barriers and shuffles always meet;
// a thread whose row lies beyond the last one (`live` is false) computes with zeros.
//   WIDTH <= 256: THREADS = 256, GROUP a power of 2 up to 32 (a warp or a part of one)
//   WIDTH >  256: THREADS = GROUP = 32 ceil(WIDTH / 256), up to 1024 (a block a row)
constexpr int PACKS = (WIDTH + GROUP * VECTOR - 1) / (GROUP * VECTOR), EACH = PACKS * VECTOR;
constexpr int ROWS = THREADS / GROUP;

// One load or store of up to 128 bits.
struct alignas(VECTOR * sizeof(T)) Pack {
    T item[VECTOR];
};

// The column of this thread's number i, whether there is such a column, and which of the block's
// rows the thread works on.
__device__ int column(int i) {
    return (i / VECTOR * GROUP + threadIdx.x % GROUP) * VECTOR + i % VECTOR;
}
__device__ bool inside(int i) { return column(i) < WIDTH; }
__device__ int own_row() { return threadIdx.x / GROUP; }

// This thread's numbers of a row; 0 beyond its end, and where the row is not live.
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

// What load does, for a vector of WIDTH parameters; `otherwise` if it is null. It reads number by
// number, since a parameter may begin at any address.
__device__ void load_parameter(T (&part)[EACH], const T* vector, T otherwise) {
#pragma unroll
    for (int i = 0; i < EACH; i++) part[i] = vector && inside(i) ? vector[column(i)] : otherwise;
}

struct Sum {
    static __device__ T of(T a, T b) { return a + b; }
};
struct Max {
    static __device__ T of(T a, T b) { return a > b ? a : b; }
};

// The sum or the maximum of the values of all threads of a row; each of these threads gets it.
template <class Of> __device__ T over_row(T value) {
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

// LayerNorm, or RMSNorm without `center`: of each row
//
//   y = (x - mean) * inverse * weight + bias,   inverse = 1 / sqrt(mean of (x - mean)^2 + eps)
extern "C" __global__ void __launch_bounds__(THREADS) norm_forward(
    T* y,             // out (rows, WIDTH)
    T* mean,          // out (rows): 0 without `center`
    T* inverse,       // out (rows)
    const T* x,       // (rows, WIDTH)
    const T* weight,  // (WIDTH), null for 1
    const T* bias,    // (WIDTH), null for 0
    T eps,
    int center,  // whether the mean is subtracted
    int rows) {
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

// The gradients of norm_forward. With u = g * weight and unit = (x - mean) * inverse, of each row
//
//   dx = (u - mean of u - unit * mean of (u * unit)) * inverse     (no mean of u without `center`)
//
// and of each block what its rows add to dweight = sum of g * unit and to dbias = sum of g over the
// rows; norm_sums adds up the blocks. Launch: as norm_forward.
extern "C" __global__ void __launch_bounds__(THREADS) norm_backward(
    T* dx,             // out (rows, WIDTH), null if it is not wanted
    T* partial,        // out (blocks, 2, WIDTH): each block's dweight and dbias, null if not wanted
    const T* g,        // (rows, WIDTH): the gradient of y
    const T* x,        // (rows, WIDTH)
    const T* mean,     // (rows), from norm_forward
    const T* inverse,  // (rows), from norm_forward
    const T* weight,   // (WIDTH), null for 1
    int center,        // whether the mean was subtracted
    int rows) {
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
    if constexpr (ROWS > 1) {  // the block's rows are added up one by one, always in this order
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

// dweight (blockIdx.y = 0) and dbias (blockIdx.y = 1) from the parts that the blocks of
// norm_backward have left. A block sums 32 columns: each of its 32 warps every 32nd part, then warp
// 0 the sums of the warps. Launch: ceil(WIDTH / 32) by 2 blocks of 1024 threads.
extern "C" __global__ void __launch_bounds__(1024) norm_sums(
    T* dweight,        // out (WIDTH), null if it is not wanted
    T* dbias,          // out (WIDTH), null if it is not wanted
    const T* partial,  // (parts, 2, WIDTH), from norm_backward
    int parts) {
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

// Cross entropy of softmax(logits) against a target distribution q, of each row
//
//   cost = -sum of q * log p,   log p = logits - top - log_total
//
// with top the largest logit and log_total = log of the sum of exp(logits - top). What is saved
// serves entropy_backward, so that p need not be stored. Launch: as norm_forward.
extern "C" __global__ void __launch_bounds__(THREADS) entropy_forward(
    T* cost,          // out (rows)
    T* saved,         // out (rows, 3): top, log_total, sum of q
    const T* logits,  // (rows, WIDTH)
    const T* target,  // (rows, WIDTH): q, which need not sum to 1
    int rows) {
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

// The gradients of entropy_forward, of each row
//
//   dlogits = g * (p * sum of q - q),   dtarget = -g * log p
//
// Launch: as norm_forward.
extern "C" __global__ void __launch_bounds__(THREADS) entropy_backward(
    T* dlogits,       // out (rows, WIDTH), null if it is not wanted
    T* dtarget,       // out (rows, WIDTH), null if it is not wanted
    const T* g,       // (rows), or one number for all rows: the gradient of cost
    int apart,        // 1, or 0 where g is one number
    const T* logits,  // (rows, WIDTH)
    const T* target,  // (rows, WIDTH)
    const T* saved,   // (rows, 3), from entropy_forward
    int rows) {
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

// BatchNorm of x, an array (N, channels, PLACES): of each channel all count = N * PLACES numbers.
//
// A block takes LANES channels (blockIdx.x says which) and of their numbers one stretch (blockIdx.y
// says which); WORKERS threads share a channel. Neighbours in memory are channels where PLACES = 1
// and places otherwise, and neighbouring threads read neighbours.
// Launch: ceil(channels / LANES) by as many stretches as fill the device, THREADS threads. Where
// there are several, a kernel before (batch_moments, batch_sums) leaves a partial result of each
// stretch, (stretches, channels) of them; where there is one, `partial` is null and it is computed
// on the spot.
constexpr int LANES = PLACES == 1 ? 32 : 1, WORKERS = THREADS / LANES;

// The channel of this thread, where a stretch begins, and where number m of the channel lies.
__device__ int channel() { return blockIdx.x * LANES + threadIdx.x % LANES; }
__device__ int start(int count, int part) {
    return min((count + gridDim.y - 1) / gridDim.y * part, unsigned(count));
}
__device__ int index(int m, int channels) {
    return (m / PLACES * channels + channel()) * PLACES + m % PLACES;
}

// How many numbers, their mean, and the sum of squared distances from it. Two such are merged by
// the rule of Chan, Golub and LeVeque, in which nothing cancels.
struct Moments {
    T n, mean, squares;
    __device__ void merge(Moments other) {
        if (other.n == 0) return;
        const T share = other.n / (n + other.n), apart = other.mean - mean;
        mean += apart * share;
        squares += other.squares + apart * apart * n * share;
        n += other.n;
    }
};

// The sums of g and of g * unit.
struct Sums {
    T g, g_unit;
    __device__ void merge(Sums other) { g += other.g, g_unit += other.g_unit; }
};

// Merged over the workers of each channel; each of them gets the result. A kernel may call it once.
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

// The result of this block's stretch, stored; and those of all stretches, merged.
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

// This thread's part of the moments of its stretch.
__device__ Moments moments(const T* x, int count, int channels) {
    Moments mine = {};
    const int end = channel() < channels ? start(count, blockIdx.y + 1) : 0;
#pragma unroll 4
    for (int m = start(count, blockIdx.y) + threadIdx.x / LANES; m < end; m += WORKERS)
        mine.merge({1, x[index(m, channels)], 0});
    return mine;
}

// The moments of each stretch of each channel, for batch_forward.
extern "C" __global__ void __launch_bounds__(THREADS) batch_moments(
    Moments* partial,  // out (stretches, channels)
    const T* x,        // (N, channels, PLACES)
    int count,         // N * PLACES
    int channels) {
    keep(partial, moments(x, count, channels), channels);
}

// BatchNorm in training: of each channel, over the batch and all places,
//
//   y = (x - mean) * inverse * weight + bias,   inverse = 1 / sqrt(variance + eps)
//   new_mean = keep * old_mean + momentum * mean, and the same of the unbiased variance
extern "C" __global__ void __launch_bounds__(THREADS) batch_forward(
    T* y,                    // out (N, channels, PLACES)
    T* mean,                 // out (channels)
    T* variance,             // out (channels): divided by count; null if it is not wanted
    T* inverse,              // out (channels)
    T* new_mean,             // out (channels): the running mean; null without running statistics
    T* new_variance,         // out (channels)
    const T* old_mean,       // (channels): the running mean before
    const T* old_variance,   // (channels)
    T keep,                  // 1 - momentum
    T momentum,              // of the running statistics
    const Moments* partial,  // (stretches, channels), from batch_moments; null: one stretch
    const T* x,              // (N, channels, PLACES)
    const T* weight,         // (channels), null for 1
    const T* bias,           // (channels), null for 0
    T eps,
    int count,  // N * PLACES
    int channels) {
    const int c = channel();
    const Moments all =
        partial ? over_stretches(partial, channels) : over_workers(moments(x, count, channels));
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
        if (new_mean) {  // the running variance is an unbiased one
            new_mean[c] = keep * old_mean[c] + momentum * all.mean;
            new_variance[c] = keep * old_variance[c] + momentum * (all.squares / (count - 1));
        }
    }
}

// This thread's part of the sums of its stretch.
__device__ Sums sums(
    const T* g, const T* x, const T* mean, const T* inverse,  // as in batch_backward
    int count, int channels) {
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

// The sums of each stretch of each channel, for batch_backward.
extern "C" __global__ void __launch_bounds__(THREADS) batch_sums(
    Sums* partial,     // out (stretches, channels)
    const T* g,        // (N, channels, PLACES): the gradient of y
    const T* x,        // (N, channels, PLACES)
    const T* mean,     // (channels), from batch_forward
    const T* inverse,  // (channels), from batch_forward
    int count,         // N * PLACES
    int channels) {
    keep(partial, sums(g, x, mean, inverse, count, channels), channels);
}

// The gradients of batch_forward. With unit = (x - mean) * inverse, of each channel
//
//   dx = (g - mean of g - unit * mean of (g * unit)) * weight * inverse
//   dweight = sum of g * unit,   dbias = sum of g
//
// The three terms of dx are the direct one, that through the mean, and that through the variance.
extern "C" __global__ void __launch_bounds__(THREADS) batch_backward(
    T* dx,                // out (N, channels, PLACES), null if it is not wanted
    T* dweight,           // out (channels), null if it is not wanted
    T* dbias,             // out (channels), null if it is not wanted
    const Sums* partial,  // (stretches, channels), from batch_sums; null: one stretch
    const T* g,           // (N, channels, PLACES): the gradient of y
    const T* x,           // (N, channels, PLACES)
    const T* mean,        // (channels), from batch_forward
    const T* inverse,     // (channels), from batch_forward
    const T* weight,      // (channels), null for 1
    int count,            // N * PLACES
    int channels) {
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

// Integer labels as distributions over the classes. With 1 at the label's class and 0 elsewhere,
//
//   hard = weight * one_hot,   soft = weight * (own_share * one_hot + every_share)
//
// and zeros in the row of an ignored label; counts is the weight of the label's class, or 0.
// Launch: a thread for each element of `hard`, ceil(size / THREADS) blocks.
extern "C" __global__ void __launch_bounds__(THREADS) targets(
    T* hard,                  // out (rows, classes)
    T* soft,                  // out (rows, classes): smoothed; null if it is not wanted
    T* counts,                // out (rows)
    const long long* labels,  // (rows)
    const T* weight,          // (classes), null for 1
    long long ignored,        // the label that does not count
    T own_share,              // 1 - smoothing
    T every_share,            // smoothing / classes
    int classes,
    int size) {  // rows * classes
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

// Philox 4x32-10 (Salmon et al. 2011): four random words that depend on a counter and a key alone.
struct Words {
    unsigned word[4];
};

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

// A mask that is 0 with probability cut / 2^32 and `scale` otherwise.
//
// A thread draws four numbers; they lie THREADS apart, so that a warp stores neighbours.
// Launch: ceil(size / (4 * THREADS)) blocks.
extern "C" __global__ void __launch_bounds__(THREADS) dropout_mask(
    T* mask,  // out (size)
    int size,
    unsigned long long key,  // of this mask: another key, other numbers
    unsigned cut,            // words below it drop their element
    T scale) {               // 1 / (1 - p)
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

// The derivatives of the activations; SLOPE names one of them.
__device__ T relu_slope(T x) { return x > 0; }
__device__ T tanh_slope(T x) { return 1 - tanh(x) * tanh(x); }
__device__ T sigmoid_slope(T x) { return sigmoid(x) * sigmoid(-x); }
__device__ T silu_slope(T x) { return sigmoid(x) * (1 + x * sigmoid(-x)); }

// dx = g * SLOPE(x). Launch: a thread for each element, ceil(size / THREADS) blocks.
extern "C" __global__ void __launch_bounds__(THREADS) activation_backward(
    T* dx,       // out (size)
    const T* g,  // (size): the gradient of the activation's result
    const T* x,  // (size): its input
    int size) {
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < size) dx[i] = g[i] * SLOPE(x[i]);
}

#endif  // ACTIVATION_KERNELS

// The sum of the values of all threads of the block, for thread 0. A kernel may call it once.
__device__ T over_block(T value) {
    __shared__ T all[THREADS];
    all[threadIdx.x] = value;
    for (int half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) all[threadIdx.x] += all[threadIdx.x + half];
    }
    return all[0];
}

#ifdef SQUARE_KERNELS

// The sum of squares of many arrays together, a part for each block.
//
// Squared is the gradient with those of the penalties that are yet to be added to it, so BODY, what
// is done at place i, is recorded from the penalties' own NumPy code (minireg.gpu.trace); it adds
// to total_. Launch: ceil(size / (16 * THREADS)) blocks, or as many as the device holds at once.
extern "C" __global__ void __launch_bounds__(THREADS) squares(
    T* partial,      // out (blocks)
    long long size,  // of i: the elements of one array, or of all stretches that a table lists
    ARGUMENTS) {     // addresses of one set of arrays, or of the table; then numbers
    T total_ = 0;    // BODY knows it by this name
#pragma unroll 4
    for (long long i = blockIdx.x * THREADS + threadIdx.x; i < size; i += gridDim.x * THREADS) {
        BODY
    }
    total_ = over_block(total_);
    if (threadIdx.x == 0) partial[blockIdx.x] = total_;
}

#endif  // SQUARE_KERNELS

#ifdef CLIP_KERNELS

// norm = sqrt(sum of partial), factor = min(1, max_norm / (norm + 1e-6)). Launch: one block.
extern "C" __global__ void __launch_bounds__(THREADS) clip_factor(
    T* norm,           // out: one number
    T* factor,         // out: one number, which the gradients are multiplied by
    const T* partial,  // (parts), from squares
    int parts,         // the blocks of all launches of squares
    T max_norm) {
    T sum = 0;
    for (int k = threadIdx.x; k < parts; k += THREADS) sum += partial[k];
    sum = over_block(sum);
    if (threadIdx.x > 0) return;
    *norm = sqrt(sum);
    const T f = max_norm / (*norm + T(1e-6));
    *factor = f > 1 ? 1 : f;
}

#endif  // CLIP_KERNELS
