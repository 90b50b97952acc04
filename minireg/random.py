"""Named, seeded streams of random numbers: nothing draws from an unseeded source.

Layers, starting values and samplers take a :class:`Stream` as ``generator=``; whole runs, as
:func:`minireg.fit`, take an integer ``seed=``.
"""

from __future__ import annotations

import copy
import threading
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .backend import NUMPY, Array, Backend, has_kernel, of
from .messages import check_kind, check_option, within


class _Seeds(threading.local):
    """The seed that new streams follow, per thread: each draws what it would draw alone."""

    root = 0  # the main thread's, until a thread sets one of its own

    def __init__(self) -> None:
        self.children: dict[str, int] = {}


_seeds = _Seeds()


def manual_seed(seed: int) -> None:
    """Seed every stream that is made from now on in this thread, as ``torch.manual_seed``.

    ``seed`` is an integer ≥ 0; without this call it is 0. Threads that never called it follow
    the main thread. Streams that exist, as a Dropout's, go on unchanged. Raises ``ValueError``
    for a negative or another number.

    >>> manual_seed(1); a = Stream("init").normal((2,))
    >>> manual_seed(1); bool((a == Stream("init").normal((2,))).all())
    True
    """
    check_option("manual_seed", 0, seed=seed)
    _seeds.root = int(seed)
    _seeds.children.clear()
    if threading.current_thread() is threading.main_thread():
        _Seeds.root = int(seed)


def seeds_state() -> dict[str, Any]:
    """What :func:`load_seeds` takes: the seed that new streams follow in this thread, and how many came.

    >>> manual_seed(1); state = seeds_state(); one = Stream("init").normal((2,))
    >>> load_seeds(state); bool((Stream("init").normal((2,)) == one).all())
    True
    """
    return {"root": _seeds.root, "children": dict(_seeds.children)}


def load_seeds(state: Mapping[str, Any]) -> None:
    """New streams go on as after :func:`seeds_state`; ``ValueError`` for what it did not give."""
    children = state.get("children") if isinstance(state, Mapping) else None
    if not isinstance(children, Mapping) or not all(within(0, n) for n in children.values()):
        raise ValueError(f"load_seeds: expected seeds_state(), got {state!r:.60}")
    manual_seed(state.get("root"))  # type: ignore[arg-type]
    _seeds.children.update(children)


def stream_of(generator: Stream | None, name: str) -> Stream:
    """``generator``, or a new stream of that name for None; ``TypeError`` for anything else."""
    if generator is None:
        return Stream(name)
    if hasattr(generator, "dropout_mask"):
        return generator
    raise TypeError(
        f"{name}: generator must be a Stream or None, got {generator!r:.60}; as mr.random.Stream({name!r})"
    )


class Stream:
    """A named, seeded source of random numbers, as a ``torch.Generator``.

    Parameters
    ----------
    name : what it is for, as "init" or "dropout".
    seed : an integer ≥ 0, which alone decides the numbers. For None they follow from
        :func:`manual_seed`, the name, and how many streams of that name came before, so a model
        built twice from the same seed gets the same numbers.

    Raises ``TypeError`` for a name that is no text, ``ValueError`` for another seed.

    >>> import minireg as mr
    >>> stream = mr.random.Stream("noise", seed=3); stream
    Stream('noise', seed=3)
    >>> stream.normal((2,)).shape
    (2,)
    """

    def __init__(self, name: str, seed: int | None = None) -> None:
        check_kind("Stream", str, "say what it is for, Stream(name, seed)", name=name)
        self.name, self.seed = name, seed
        if seed is None:
            child = _seeds.children[name] = _seeds.children.get(name, -1) + 1
            self._entropy = [_seeds.root, zlib.crc32(name.encode()), child]
        else:
            check_option("Stream", 0, seed=seed)
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
        """The state of the draws on the host; assign it to continue from there.

        A GPU's generator does not show its state. ``ValueError`` for a state of another kind, which
        changes nothing.

        >>> stream = Stream("noise", seed=3)
        >>> before, first = stream.state, stream.normal((1,))
        >>> stream.state = before; bool(stream.normal((1,)) == first)
        True
        """
        return dict(self._on(NUMPY).bit_generator.state)

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        mine: Any = self._on(NUMPY).bit_generator
        trial = copy.deepcopy(mine)  # half of it would be taken before an error
        try:
            trial.state = state
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{self!r}: no state of a stream: {error!r}") from error
        mine.state = trial.state

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Standard normal float64 numbers of this shape, drawn on the host (equal on all backends).

        >>> Stream("noise", seed=3).normal((2, 3)).shape
        (2, 3)
        """
        return self._on(NUMPY).standard_normal(shape)

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> Array:
        """Uniform float64 numbers in [low, high), drawn on the host (equal on all backends).

        ``OverflowError`` for infinite bounds.

        >>> Stream("noise", seed=3).uniform(-1, 1, (2, 3)).shape
        (2, 3)
        """
        return self._on(NUMPY).uniform(low, high, shape)

    def permutation(self, n: int) -> Array:
        """A random order of 0 … n − 1, integers (n,) drawn on the host (equal on all backends).

        >>> sorted(Stream("order", seed=3).permutation(3).tolist())
        [0, 1, 2]
        """
        return self._on(NUMPY).permutation(n)

    def normal_like(self, like: Array) -> Array:
        """Standard normal numbers of the shape, dtype and backend of the array ``like``.

        >>> Stream("noise", seed=3).normal_like(np.zeros(2, np.float32)).dtype
        dtype('float32')
        """
        wide = np.float64 if like.dtype == np.float64 else np.float32
        drawn: Any = self._on(of(like)).standard_normal(like.shape, dtype=wide)
        return drawn.astype(like.dtype, copy=False)

    def dropout_mask(self, p: float, like: Array) -> Array:
        """0 with probability p, else 1/(1 − p): an array of ``like``'s shape, dtype and backend.

        On the CPU 16 random bits decide an element, so p is rounded to a multiple of 2⁻¹⁶, and
        the scale is the inverse of that probability of keeping: the mean is exactly 1. On a GPU
        32 bits decide, which a kernel computes from a key drawn on the host and the element's
        index.

        >>> sorted(set(Stream("mask", seed=3).dropout_mask(0.5, np.zeros(20)).tolist()))
        [0.0, 2.0]
        """
        if p >= 1:
            return np.zeros_like(like)
        return _mask(like, p=p, stream=self)

    def bits(self, words: int | None = None) -> Any:
        """``words`` integers of 64 random bits, drawn on the host; one number for None.

        >>> Stream("key", seed=3).bits(2).dtype
        dtype('uint64')
        """
        return self._on(NUMPY).bit_generator.random_raw(words)


@has_kernel("dropout_mask")
def _mask(like: Array, *, p: float, stream: Stream) -> Array:
    if of(like) is not NUMPY:
        drawn: Any = stream._on(of(like)).random(like.shape, dtype=np.float32)
        return (drawn >= p).astype(like.dtype) * (1 / (1 - p))
    cut = round(p * 65536)
    bits = stream.bits((like.size + 3) // 4).view(np.uint16)[: like.size]
    mask = np.greater_equal(bits, cut, dtype=None).astype(like.dtype)
    mask *= 65536 / (65536 - cut) if cut < 65536 else 0.0
    return mask.reshape(like.shape)
