// CUDA's words for a C++ compiler: a kernel's source runs on the CPU, block after block, with a
// fiber for each thread. A warp runs until it must wait for others, the first warp first in one
// block and the last in the next, so a missing barrier shows: some are far ahead of others.
// Threads that wait for ever are told.
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <memory>
#include <utility>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
using std::erfc, std::exp, std::fabs, std::log, std::sqrt, std::tanh;  // as for float in CUDA
static unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }

namespace cpu {
constexpr int STACK = 1 << 15;

struct Barrier {
    int arrived = 0, members = 0, round = 0;
    bool leave_open() {  // whether the last one that is awaited has come
        if (arrived < members) return false;
        arrived = 0;
        return ++round;
    }
};
struct Fiber {
    ucontext_t start;  // left for good at the first switch: setjmp asks nothing of the system
    jmp_buf here;
    dim3 index;
    bool started, done;
    std::unique_ptr<char[]> stack{new char[STACK]};
};

static dim3 grid, block, place;
static Fiber* running;
static jmp_buf scheduler;
static Barrier everyone, warps[32];
static char exchanged[32][32][8];
static bool moved;
static void (*body)(void**);
static void** arguments;

static void wait(Barrier& barrier) {
    const int round = barrier.round;
    barrier.arrived++;
    while (barrier.round == round && !barrier.leave_open())
        if (!_setjmp(running->here)) _longjmp(scheduler, 1);
    moved = true;
}

static void run_thread() {
    body(arguments);
    running->done = moved = true;
    _longjmp(scheduler, 1);
}

static void resume(Fiber& fiber) {
    running = &fiber;
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.here, 1);
    fiber.started = true;
    setcontext(&fiber.start);
}

static bool run_block() {  // false: threads wait at barriers that not all of them reach
    const int threads = block.x, count = (threads + 31) / 32;
    static std::unique_ptr<Fiber[]> fibers{new Fiber[1024]};
    everyone = {0, threads, 0};
    for (int t = 0; t < threads; t++) {
        Fiber& fiber = fibers[t];
        warps[t / 32] = {0, threads - t / 32 * 32 < 32 ? threads % 32 : 32, 0};
        fiber.index = {unsigned(t), 0, 0}, fiber.started = fiber.done = false;
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack.get();
        fiber.start.uc_stack.ss_size = STACK;
        makecontext(&fiber.start, run_thread, 0);
    }
    for (bool any = true; any;) {
        any = false;
        for (int w = 0; w < count; w++) {
            const int first = (place.x % 2 ? count - 1 - w : w) * 32;
            do {
                moved = false;
                for (int t = first; t < first + 32 && t < threads; t++)
                    if (!fibers[t].done) resume(fibers[t]);
                any |= moved;
            } while (moved);
        }
    }
    for (int t = 0; t < threads; t++)
        if (!fibers[t].done) return false;
    return true;
}

template <class... A, std::size_t... I>
void call(void (*kernel)(A...), void** given, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(given[I])...);
}

static bool launch(void (*kernel)(void**), const unsigned* blocks, unsigned threads, void** given) {
    body = kernel, arguments = given;
    grid = {blocks[0], blocks[1], 1}, block = {threads, 1, 1};
    for (place.y = 0; place.y < grid.y; place.y++)
        for (place.x = 0; place.x < grid.x; place.x++)
            if (!run_block()) return false;
    return true;
}
}  // namespace cpu

#define threadIdx (cpu::running->index)
#define blockIdx (cpu::place)
#define gridDim (cpu::grid)
#define blockDim (cpu::block)

static void __syncthreads() { cpu::wait(cpu::everyone); }

template <class T> T __shfl_xor_sync(unsigned, T value, int apart) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    *reinterpret_cast<T*>(cpu::exchanged[warp][lane]) = value;
    cpu::wait(cpu::warps[warp]);
    value = *reinterpret_cast<T*>(cpu::exchanged[warp][lane ^ apart]);
    cpu::wait(cpu::warps[warp]);
    return value;
}

template <class... A> static void unpack(void (*kernel)(A...), void** given) {
    cpu::call(kernel, given, std::index_sequence_for<A...>{});
}
// All else stays hidden: other libraries hold the same names for other types.
#define ENTRY(name)                                                                          \
    extern "C" __attribute__((visibility("default"))) bool on_cpu_##name(                    \
        const unsigned* blocks, unsigned threads, void** given) {                            \
        return cpu::launch([](void** all) { unpack(name, all); }, blocks, threads, given);   \
    }
