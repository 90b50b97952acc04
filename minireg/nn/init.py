"""Starting values, in place, with PyTorch's names and distributions.

Each function overwrites a Tensor, of any dtype and backend, and returns it. Random numbers
come from ``generator``, a :class:`~minireg.random.Stream`, or for None from a new one that
follows :func:`minireg.manual_seed`; they are drawn on the host, so they are the same on every
backend.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ..backend import move
from ..messages import check_kind, check_option, within
from ..random import Stream, stream_of
from ..tensor import Tensor

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_",
    "ones_", "orthogonal_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip


def _shape(tensor: Tensor) -> tuple[int, ...]:
    check_kind("nn.init", Tensor, "pass what is to be overwritten", tensor=tensor)
    return tensor.shape


def _fill(tensor: Tensor, values: ArrayLike) -> Tensor:
    _shape(tensor)
    return tensor.assign(move(np.asarray(values, tensor.dtype), tensor.backend))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element ``val``, a number; as PyTorch's. ``TypeError`` for what is no Tensor.

    >>> import minireg as mr
    >>> constant_(mr.tensor([1.0, 2.0]), 0.5)
    Tensor([0.5, 0.5], dtype=float32)
    """
    return _fill(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0; as PyTorch's. ``TypeError`` for what is no Tensor.

    >>> import minireg as mr
    >>> zeros_(mr.tensor([5.0]))
    Tensor([0.], dtype=float32)
    """
    return _fill(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1; as PyTorch's. ``TypeError`` for what is no Tensor.

    >>> import minireg as mr
    >>> ones_(mr.tensor([5.0]))
    Tensor([1.], dtype=float32)
    """
    return _fill(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """The identity, as PyTorch's: ones on the diagonal of a matrix, zeros elsewhere.

    Raises ``ValueError`` for a tensor that has not two axes.

    >>> import minireg as mr
    >>> eye_(mr.tensor([[1.0, 2.0]]))
    Tensor([[1., 0.]], dtype=float32)
    """
    if len(_shape(tensor)) != 2:
        raise ValueError(f"eye_: got a tensor of shape {tensor.shape}, expected a matrix")
    rows, columns = tensor.shape
    return _fill(tensor, np.eye(rows, columns))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that passes its channels through: ones at the centre of window (c, c).

    As PyTorch's. For weights (out, in/groups, …) with 1, 2 or 3 spatial axes; of each group it
    passes min(out/groups, in/groups) channels.

    Raises ``ValueError`` for other numbers of axes, and unless ``groups`` ≥ 1 divide out.

    >>> import minireg as mr
    >>> dirac_(mr.tensor([[[1.0, 2.0, 3.0]]]))
    Tensor([[[0., 1., 0.]]], dtype=float32)
    """
    if len(_shape(tensor)) not in (3, 4, 5) or not within(1, groups) or len(tensor) % groups:
        raise ValueError(
            f"dirac_: got a tensor of shape {tensor.shape} for {groups} groups, expected (out, "
            "in/groups, …) with 3 to 5 axes and out divisible by groups"
        )
    out, taken, *window = tensor.shape
    values = np.zeros((groups, out // groups, taken, *window))
    passed = np.arange(min(out // groups, taken))
    centre: Any = (slice(None), passed, passed, *(n // 2 for n in window))
    values[centre] = 1
    return _fill(tensor, values.reshape(tensor.shape))


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Stream | None = None
) -> Tensor:
    """Independent uniform numbers in [a, b); as PyTorch's.

    Raises ``ValueError`` unless a ≤ b, ``TypeError`` for a ``generator`` that is no Stream.

    >>> import minireg as mr
    >>> float(uniform_(mr.tensor([9.0]), 2.0, 3.0).numpy()[0]) // 1
    2.0
    """
    if not a <= b:
        raise ValueError(f"uniform_: got the interval [{a}, {b}), expected a ≤ b")
    return _fill(tensor, stream_of(generator, "init").uniform(a, b, _shape(tensor)))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Stream | None = None
) -> Tensor:
    """Independent normal numbers with this mean and standard deviation ≥ 0; as PyTorch's.

    Raises ``ValueError`` for a negative ``std``, ``TypeError`` for a ``generator`` that is no
    Stream.

    >>> import minireg as mr
    >>> normal_(mr.tensor([9.0]), mean=3.0, std=0.0)
    Tensor([3.], dtype=float32)
    """
    check_option("normal_", "[0, inf)", std=std)
    return _fill(tensor, mean + std * stream_of(generator, "init").normal(_shape(tensor)))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Stream | None = None,
) -> Tensor:
    """Independent normal numbers under the condition that they lie in [a, b]; as PyTorch's.

    Drawn by rejection: from the normal distribution where [a, b] holds more than 60 % of it, else
    from the uniform one.

    Parameters
    ----------
    mean, std : of the normal distribution before the condition; std > 0.
    a, b : the ends, a ≤ b.
    generator : a :class:`~minireg.random.Stream`, or None.

    Raises ``ValueError`` unless a ≤ b and std > 0.

    >>> import minireg as mr
    >>> bool((trunc_normal_(mr.tensor([9.0] * 50), std=5.0).abs() <= 2).all())
    True
    """
    check_option("trunc_normal_", "(0, inf)", std=std)
    if not a <= b:
        raise ValueError(f"trunc_normal_: got the interval [{a}, {b}], expected a ≤ b")
    stream, low, high = stream_of(generator, "init"), (a - mean) / std, (b - mean) / std
    mass = math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))
    peak = min(max(low, 0.0), high)  # where the density is largest
    values, missing = np.empty(n := math.prod(_shape(tensor))), np.arange(n)
    while missing.size:
        shape = missing.shape
        if mass > 0.6:
            drawn = stream.normal(shape)
            fits = (drawn >= low) & (drawn <= high)
        else:
            drawn = stream.uniform(low, high, shape)
            fits = stream.uniform(0, 1, shape) < np.exp((peak**2 - drawn**2) / 2)
        values[missing[fits]] = drawn[fits]
        missing = missing[~fits]
    return _fill(tensor, np.clip(mean + std * values, a, b).reshape(tensor.shape))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Stream | None = None) -> Tensor:
    """A uniformly random matrix with orthonormal rows or columns, times ``gain``; as PyTorch's.

    The tensor is the matrix (first axis, product of the others); the shorter of its sides is
    orthonormal. From the QR decomposition of a normal matrix, with the signs of R's diagonal
    made positive (Saxe, McClelland and Ganguli 2013).

    Raises ``ValueError`` for fewer than 2 axes.

    >>> import minireg as mr
    >>> q = orthogonal_(mr.tensor([[0.0, 0.0], [0.0, 0.0]])).numpy()
    >>> bool(np.allclose(q @ q.T, np.eye(2), atol=1e-6))
    True
    """
    (columns, _), rows = _fans("orthogonal_", tensor), len(tensor)
    normal = stream_of(generator, "init").normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diagonal(r))
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


# --- scaled to the layer -------------------------------------------------------------------------


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights make up for a nonlinearity; PyTorch's table.

    1 for "linear", "conv1d" … "conv_transpose3d" and "sigmoid"; 5/3 for "tanh", √2 for "relu",
    √(2/(1 + s²)) for "leaky_relu" of slope s = ``param`` (None is 0.01), 3/4 for "selu".

    Raises ``ValueError`` for another name.

    >>> calculate_gain("relu")
    1.4142135623730951
    """
    slope = 0.01 if param is None else param
    linear = ["linear", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))]
    gains = dict.fromkeys([*linear, "sigmoid"], 1.0)
    gains |= {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    gains["leaky_relu"] = math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: got {nonlinearity!r}, expected one of {sorted(gains)}")
    return gains[nonlinearity]


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """(inputs of each output, outputs of each input) of a weight (out, in, …)."""
    if len(_shape(tensor)) < 2:
        raise ValueError(f"{name}: got a tensor of shape {tensor.shape}, expected 2 axes or more")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _xavier(name: str, tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2 / max(sum(_fans(name, tensor)), 1))


def _kaiming(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    check_option(name, ("fan_in", "fan_out"), mode=mode)
    fan = _fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Stream | None = None) -> Tensor:
    """Uniform in ±√3·s with the s of :func:`xavier_normal_`; as PyTorch's.

    Glorot and Bengio (2010). ``gain`` is :func:`calculate_gain` of the nonlinearity. Raises
    ``ValueError`` for fewer than 2 axes.

    >>> import minireg as mr
    >>> bool(xavier_uniform_(mr.tensor([[9.0] * 5])).abs().max() <= 1)
    True
    """
    bound = math.sqrt(3) * _xavier("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Stream | None = None) -> Tensor:
    """Normal with standard deviation s = gain·√(2/(fan_in + fan_out)); as PyTorch's.

    Glorot and Bengio (2010). Of a weight (out, in, …) fan_in is in times the window's size,
    fan_out is out times it; ``gain`` is :func:`calculate_gain` of the nonlinearity. Raises
    ``ValueError`` for fewer than 2 axes.

    >>> import minireg as mr
    >>> xavier_normal_(mr.tensor([[9.0, 9.0]])).shape
    (1, 2)
    """
    return normal_(tensor, 0.0, _xavier("xavier_normal_", tensor, gain), generator)


Mode = Literal["fan_in", "fan_out"]


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Stream | None = None,
) -> Tensor:
    """Uniform in ±√3·s with the s of :func:`kaiming_normal_`; as PyTorch's.

    He et al. (2015). The parameters and errors (``ValueError``) are those of
    :func:`kaiming_normal_`.

    >>> import minireg as mr
    >>> bool(kaiming_uniform_(mr.tensor([[9.0] * 6])).abs().max() <= 1)
    True
    """
    bound = math.sqrt(3) * _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Stream | None = None,
) -> Tensor:
    """Normal with standard deviation s = gain/√fan; as PyTorch's (He et al. 2015).

    Parameters
    ----------
    tensor : a weight (out, in, …).
    a : slope of "leaky_relu" for negative numbers.
    mode : "fan_in", in times the window's size, keeps the size of activations through a layer;
        "fan_out", out times it, that of gradients.
    nonlinearity : a name of :func:`calculate_gain`.
    generator : a :class:`~minireg.random.Stream`, or None.

    Raises ``ValueError`` for fewer than 2 axes and for another mode or nonlinearity.

    >>> import minireg as mr
    >>> kaiming_normal_(mr.tensor([[9.0, 9.0]]), nonlinearity="relu").shape
    (1, 2)
    """
    s = _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, s, generator)
