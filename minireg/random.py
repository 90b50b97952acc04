"""Named, seeded streams of random numbers: nothing draws from an unseeded source."""

from __future__ import annotations

import threading
import zlib
from typing import Any

import numpy as np

from .backend import NUMPY, Array, Backend, has_kernel, of
from .messages import check_option


class _Seeds(threading.local):
    """What streams follow, in each thread by itself: threads at work together draw what each would alone."""

    root = 0  # a thread's own, or of the main thread

    def __init__(self) -> None:
        self.children: dict[str, int] = {}


_seeds = _Seeds()


def manual_seed(seed: int) -> None:
    """Restart every stream created from now on in this thread from ``seed`` (an integer ≥ 0).

    Threads without a seed of their own follow the main thread's. Streams already held by a
    layer go on undisturbed. Without this call the seed is 0:
    nothing in minireg ever draws from an unseeded source.

    >>> manual_seed(1); a = Stream("init").normal((2,))
    >>> manual_seed(1); bool((a == Stream("init").normal((2,))).all())
    True
    """
    check_option("manual_seed", 0, seed=seed)
    _seeds.root = int(seed)
    _seeds.children.clear()
    if threading.current_thread() is threading.main_thread():
        _Seeds.root = int(seed)


def stream_of(generator: Any, name: str) -> Stream:
    """``generator``, or a fresh stream of that name for None; ``TypeError`` for anything else."""
    if generator is None:
        return Stream(name)
    if hasattr(generator, "dropout_mask"):
        return generator  # type: ignore[no-any-return]
    raise TypeError(
        f"{name}: generator must be a Stream or None, got {generator!r:.60}; make one with "
        f"mr.random.Stream({name!r}, seed)"
    )


class Stream:
    """A named, seeded source of random numbers, owned by whoever draws from it.

    With ``seed=None`` the seed follows from :func:`manual_seed`, the name, and how many
    streams of that name came before, so a model built twice gets the same numbers.

    >>> Stream("dropout", seed=3)
    Stream('dropout', seed=3)
    """

    def __init__(self, name: str, seed: int | None = None) -> None:
        if seed is not None:
            check_option("Stream", 0, seed=seed)
        self.name, self.seed = name, seed
        if seed is None:
            child = _seeds.children[name] = _seeds.children.get(name, -1) + 1
            self._entropy = [_seeds.root, zlib.crc32(name.encode()), child]
        else:
            self._entropy = [seed]
        self._rng: dict[str, np.random.Generator] = {}

    def __repr__(self) -> str:
        return f"Stream({self.name!r}, seed={self.seed})"

    def _on(self, backend: Backend) -> np.random.Generator:
        if backend.name not in self._rng:
            # SFC64 is NumPy's fastest bit generator; CuPy seeds from one integer.
            seeds, random = np.random.SeedSequence(self._entropy), backend.xp.random
            if backend is NUMPY:
                self._rng[backend.name] = random.Generator(random.SFC64(seeds))
            else:
                self._rng[backend.name] = random.default_rng(int(seeds.generate_state(1)[0]))
        return self._rng[backend.name]

    @property
    def state(self) -> dict[str, Any]:
        """Where the draws on the host stand; assign it to go on from there.

        A GPU's generator does not show its state.
        """
        return dict(self._on(NUMPY).bit_generator.state)

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._on(NUMPY).bit_generator.state = state

    def normal(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Standard normal float64 numbers, drawn on the host (equal on every backend)."""
        return self._on(NUMPY).standard_normal(shape)

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Uniform float64 numbers in [low, high), drawn on the host (equal on every backend)."""
        return self._on(NUMPY).uniform(low, high, shape)

    def permutation(self, n: int) -> np.ndarray[Any, Any]:
        """A random order of 0 … n−1, drawn on the host (equal on every backend)."""
        return self._on(NUMPY).permutation(n)

    def normal_like(self, like: Array) -> Array:
        """Standard normal numbers of the shape and dtype of ``like``, drawn where it lives."""
        wide = np.float64 if like.dtype == np.float64 else np.float32
        drawn: Array = self._on(of(like)).standard_normal(like.shape, dtype=wide)
        return drawn.astype(like.dtype, copy=False)

    def dropout_mask(self, p: float, like: Array) -> Array:
        """Array like ``like`` holding 0 (with probability p) or 1/(1−p), drawn where it lives.

        On the CPU 16 random bits decide an element, four elements a 64-bit draw, in a kernel
        32 bits that follow from a key drawn on the host and from the element's place; the
        scale is the inverse of the exact keep probability, so the mean stays exactly 1.
        """
        if p >= 1:
            return np.zeros_like(like)
        return _mask(like, p=p, stream=self)

    def bits(self, words: int | None = None) -> Any:
        """So many words of 64 random bits, drawn on the host; one as a number for None."""
        return self._on(NUMPY).bit_generator.random_raw(words)


@has_kernel("dropout_mask")
def _mask(like: Array, *, p: float, stream: Stream) -> Array:
    if of(like) is not NUMPY:
        keep = stream._on(of(like)).random(like.shape, dtype=np.float32) >= p
        return keep.astype(like.dtype) * (1 / (1 - p))
    cut = round(p * 65536)
    bits = stream.bits((like.size + 3) // 4).view(np.uint16)[: like.size]
    mask = np.greater_equal(bits, cut, dtype=None).astype(like.dtype)
    mask *= 65536 / (65536 - cut) if cut < 65536 else 0.0
    return mask.reshape(like.shape)
