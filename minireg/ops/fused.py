"""Fused ops: a fast forward and backward beside the textbook definition.

Each has a ``value`` that returns (result, saved), a numeric ``backward`` for all inputs
at once, and a ``definition`` in other ops that ``create_graph`` differentiates instead.
The generated tests hold the pair together in value, gradient and second derivative. What is
marked ``kernel=True`` may run as a kernel on a GPU; the rules here are its specification.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .products import matmul
from .reductions import log_softmax
from .samples import Shape, shaped
from .shapes import transpose
from .table import HALF, Needs, op, wide

# --- linear: x Wᵀ + b ---------------------------------------------------------------------------


def _rows(x: Any) -> Any:
    """(…, n) as one matrix (rows, n); −1 would not do for empty arrays."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _linear(x: Any, w: Any, b: Any = None) -> tuple[Any, None]:
    if x.ndim > 2:  # one large product instead of a loop over the leading axes
        return _linear(_rows(x), w, b)[0].reshape(*x.shape[:-1], w.shape[0]), None
    y = x @ w.T
    if b is None:
        return y, None
    return (np.add(y, b, out=y) if y.dtype == b.dtype else y + b), None


def _linear_backward(
    g: Any, y: Any, saved: None, needs: Needs, x: Any, w: Any, b: Any = None
) -> tuple[Any, Any, Any]:
    flat, db = _rows(g), None
    if 2 in needs:  # a bias that is broadcast otherwise is the engine's to sum up
        db = flat.sum(axis=0) if b.shape == flat.shape[1:] else g
    return (
        (flat @ w).reshape(x.shape) if 0 in needs else None,
        flat.T @ _rows(x) if 1 in needs else None,
        db,
    )


def _linear_definition(x: Any, w: Any, b: Any = None) -> Any:
    y = matmul(x, transpose(w))
    return y if b is None else y + b


# fmt: off
linear = op("linear", _linear, backward=_linear_backward, definition=_linear_definition,
            formula=r"\bar x = \bar yW,\quad \bar W = \bar y^{\top}x,"
                    r"\quad \bar b = \textstyle\sum_n\bar y_n", cost="mnk",
            samples=shaped((Shape(5, 3), Shape(4, 3), Shape(4)), (Shape(2, 5, 3), Shape(4, 3)),
                           (Shape(3), Shape(4, 3), Shape(4))))
# fmt: on

# --- normalize: BatchNorm, LayerNorm and RMSNorm are one op ------------------------------------------


@dataclass
class Running:
    """Statistics that follow the batches': (1 − momentum)·old + momentum·batch (claim C13).

    ``mean`` and ``variance``, (C,), are replaced and never overwritten: a graph that was recorded
    in evaluation may hold the old ones. ``momentum`` is a number, or an array of one; what does not
    broadcast raises ``ValueError``.

    >>> running = Running(np.zeros(1), np.ones(1), 0.5); running.follow(np.ones(1), np.ones(1), 2)
    >>> running.mean, running.variance
    (array([0.5]), array([1.5]))
    """

    mean: Any
    variance: Any
    momentum: Any

    def follow(self, mean: Any, variance: Any, count: int) -> None:
        """Move towards a batch of ``count`` numbers a channel; its biased variance counts unbiased."""
        self.mean = self._moved(self.mean, mean)
        self.variance = self._moved(self.variance, variance * (count / (count - 1)))

    def _moved(self, old: Any, batch: Any) -> Any:
        moved = (1 - self.momentum) * old + self.momentum * batch.reshape(-1)
        return moved.astype(old.dtype, copy=False)


def _single(x: Any, *affine: Any) -> tuple[Any, bool]:
    """x, of half precision as single (squares of 256 overflow), and whether the result is half."""
    half = x.dtype == HALF and all(v is None or v.dtype == HALF for v in affine)
    return wide(x), half


def _normalize(
    x: Any, weight: Any = None, bias: Any = None, *, axes: tuple[int, ...], eps: float,
    center: bool = True, running: Running | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    x, half = _single(x, weight, bias)
    mean = x.mean(axis=axes, keepdims=True) if center else 0
    centered = x - mean if center else x
    variance = np.square(centered).mean(axis=axes, keepdims=True)
    if running is not None:
        running.follow(mean, variance, x.size // variance.size)
    inverse = 1 / np.sqrt(variance + eps)
    unit = np.multiply(centered, inverse, out=centered) if center else centered * inverse
    y = unit if weight is None else unit * weight
    if bias is not None:
        y = y + bias if y is unit or y.dtype != bias.dtype else np.add(y, bias, out=y)
    return y.astype(HALF) if half else y, (unit, inverse)


def _normalize_backward(
    g: Any, y: Any, saved: Any, needs: Needs, x: Any, weight: Any = None, bias: Any = None,
    *, axes: tuple[int, ...], center: bool = True, **_: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """x̄ = (direct − through the mean − through the variance) / s, with û = ȳ·weight:

    direct û; through the mean ⟨û⟩; through the variance x̂·⟨û x̂⟩, ⟨·⟩ over ``axes``.
    """
    unit, inverse = saved
    scaled = g * unit
    dx = None
    if 0 in needs:
        direct = g if weight is None else g * weight
        product = scaled if weight is None else scaled * weight
        through_variance = unit * product.mean(axis=axes, keepdims=True)
        dx = np.subtract(direct, through_variance, out=through_variance)
        if center:
            through_mean = direct.mean(axis=axes, keepdims=True)
            dx -= through_mean
        dx *= inverse
    return dx, scaled if 1 in needs else None, g


def _normalize_definition(
    x: Any, weight: Any = None, bias: Any = None, *, axes: tuple[int, ...], eps: float,
    center: bool = True, running: Any = None,
) -> Any:  # fmt: skip
    x, half = _single(x, weight, bias)
    centered = x - x.mean(axis=axes, keepdims=True) if center else x
    y = centered / ((centered * centered).mean(axis=axes, keepdims=True) + eps) ** 0.5
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y.astype(HALF) if half else y


_NORMS = shaped(
    (Shape(6, 3), Shape(3), Shape(3), {"axes": (0,), "eps": 1e-5}),
    (Shape(4, 3, 2), Shape(3, 1), Shape(3, 1), {"axes": (0, 2), "eps": 1e-5}),
    (Shape(2, 3, 5), Shape(5), Shape(5), {"axes": (-1,), "eps": 1e-5}),
    (Shape(4, 5), Shape(5), {"axes": (-1,), "eps": 1e-6, "center": False}),
    (Shape(4, 5), {"axes": (0,), "eps": 1e-3}),
)
_NORM_FORMULA = (
    r"\bar x = \tfrac1s(u - \langle u\rangle - \hat x\langle u\hat x\rangle)"
    r"\text{ with means over the batch (BatchNorm) or the features (LayerNorm)},\ "
    r"\bar x = \tfrac1s(u - \hat x\langle u\hat x\rangle)\text{ (RMSNorm)},\ u = "
    r"\gamma\bar y;\ \bar\gamma = \textstyle\sum\bar y\hat x,\ \bar\beta = \sum\bar y"
)
# fmt: off
normalize = op("normalize", _normalize,
               backward=_normalize_backward, definition=_normalize_definition,
               formula=_NORM_FORMULA, kernel=True, samples=_NORMS)
# fmt: on

# --- cross entropy against a target distribution -------------------------------------------------------


def _asked(target: Any, log_p: Any) -> Any:
    """0·log 0 = 0: a class that cannot occur (logit −∞) costs nothing when not asked for."""
    return np.where((target == 0) & (log_p == -np.inf), 0, log_p)


def _cross_entropy(logits: Any, target: Any) -> tuple[Any, Any]:
    log_p = logits - logits.max(axis=-1, keepdims=True)
    p = np.exp(log_p)
    total = wide(p).sum(axis=-1, keepdims=True)
    log_p -= np.log(total)
    p /= total
    return -(target * _asked(target, log_p)).sum(axis=-1), (p, log_p)


def _cross_entropy_backward(
    g: Any, y: Any, saved: Any, needs: Needs, logits: Any, target: Any
) -> tuple[Any, Any]:
    p, log_p = saved
    g = np.expand_dims(g, -1)
    d = (p * target.sum(axis=-1, keepdims=True) - target) * g if 0 in needs else None
    return d, -log_p * g if 1 in needs else None


def _cross_entropy_definition(logits: Any, target: Any) -> Any:
    return -(target * _asked(target, log_softmax(logits, axis=-1))).sum(axis=-1)


# fmt: off
cross_entropy = op("cross_entropy", _cross_entropy,
                   backward=_cross_entropy_backward, definition=_cross_entropy_definition,
                   formula=r"\bar z = \bar y\,(p\textstyle\sum_k q_k - q),"
                           r"\quad \bar q = -\bar y\log p", kernel=True,
                   samples=shaped((Shape(5, 3), Shape(5, 3)), (Shape(2, 4, 3), Shape(2, 4, 3))))
# fmt: on

# --- the mean of losses over what counts ---------------------------------------------------------------


def _per_rule(g: Any, y: Any, losses: Any, count: Any) -> Any:
    """ȳ/count; where nothing counts (count 0) every gradient is 0, not 0·∞."""
    g = wide(g)
    return g / np.maximum(count, math.sqrt(np.finfo(g.dtype).tiny))


# fmt: off
per = op("per", lambda x, count: (wide(x).sum() / count).astype(x.dtype, copy=False), _per_rule,
         formula=r"\bar x_i = \bar y/\max(n, \sqrt{\mathrm{tiny}})",
         samples=shaped((Shape(3, 4), 12), (Shape(5), 0.5), (Shape(), 3)))
# fmt: on
