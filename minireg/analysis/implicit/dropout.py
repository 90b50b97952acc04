"""What dropout is on average: a penalty, in closed form or over the masks of a whole model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ... import nn
from ...backend import Array, of
from ...engine import grad
from ...messages import check_option
from ...nn.module import Module
from ...operators import Closure, Space
from ...random import Stream
from ...tensor import Tensor
from ..curvature import Estimate
from ..inputs import floating


def dropout_penalty(weight: ArrayLike, x: ArrayLike, p: float, curvature: ArrayLike = 2.0) -> Any:
    r"""What dropout of the inputs x adds on average to the loss of x wᵀ (claims C75–C78).

    .. math:: \tfrac12\,\tfrac{p}{1-p}\sum_j w_j^2\,\tfrac1N\sum_i c_i x_{ij}^2

    A ridge whose strength differs by feature. Returns a scalar, a Tensor if an argument is one,
    and then differentiable.

    Parameters
    ----------
    weight : (in,), or (out, in), for which it is the mean over the outputs, as MSELoss takes it.
    x : inputs (N, in).
    p : the probability of *dropping*, in [0, 1); kept inputs grow by 1/(1 − p).
    curvature : second derivative c of a sample's loss in its prediction, one or (N,): 2 for
        the squared error, 1 for half of it, σ(1 − σ) for the logistic loss. Where it is constant
        this is E[loss] − loss exactly, otherwise its second order in w (Wager et al. 2013).

    ``ValueError`` for other shapes and p.

    >>> import minireg as mr
    >>> w, x = np.array([1.0, -2.0]), np.array([[1.0, 1.0], [3.0, 1.0]])
    >>> float(mr.implicit.dropout_penalty(w, x, p=0.5))
    9.0
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout_penalty: p is the chance of dropping, in [0, 1); got {p!r}")
    w, inputs = (a if isinstance(a, Tensor) else floating(a) for a in (weight, x))
    c = curvature if isinstance(curvature, Tensor | int | float) else floating(curvature)
    if inputs.ndim != 2 or w.ndim not in (1, 2) or w.shape[-1] != inputs.shape[1]:
        raise ValueError(
            f"dropout_penalty: got a weight {w.shape} and x {inputs.shape}, expected (in,) or "
            "(out, in), and (N, in)"
        )
    strength = (c * (inputs * inputs).T).mean(axis=-1) * (p / (1 - p))
    return (w * w * strength).sum() * (0.5 / (w.size // inputs.shape[1]))


class DropoutEffect(NamedTuple):
    """E[loss with dropout] − loss without, as :func:`dropout_effect` returns it.

    A named tuple (``AttributeError`` on assignment).

    Attributes
    ----------
    value : the difference, an :class:`~minireg.curvature.Estimate` with its standard ``error``.
    gradients : its gradient by parameter name, arrays shaped like the parameters.
    errors : their standard errors, 0 where all masks were enumerated.
    masks : how many masks were run.
    exact : whether these were all.

    >>> import minireg as mr
    >>> model, x = mr.nn.Sequential(mr.nn.Dropout(0.5), mr.nn.Linear(2, 1)), mr.tensor([[1.0, 2.0]])
    >>> effect = mr.implicit.dropout_effect(lambda: (model(x) ** 2).sum(), model)
    >>> effect.masks, effect.exact, sorted(effect.gradients)
    (4, True, ['1.bias', '1.weight'])
    """

    value: Estimate
    gradients: dict[str, Array]
    errors: dict[str, Array]
    masks: int
    exact: bool


class _Masks:
    """In place of a layer's Stream: gives the bits of one mask in order, the same for all rows.

    Without ``bits`` nothing is dropped or scaled, and the units are only counted.
    """

    def __init__(self, bits: Array | None = None) -> None:
        self.bits, self.units, self.chance = bits, 0, 1.0

    def dropout_mask(self, p: float, like: Array) -> Array:
        shape = like.shape[1:] if like.ndim > 1 else like.shape
        start, self.units = self.units, self.units + math.prod(shape)
        if self.bits is None:
            return np.ones_like(like)
        keep = self.bits[start : self.units]
        self.chance *= float(np.prod(np.where(keep, 1 - p, p)))
        scale = 1 / (1 - p) if p < 1 else 0.0
        return of(like).xp.asarray(keep.reshape(shape) * scale, dtype=like.dtype)


@contextmanager
def _dropping(model: Module, layers: list[nn.Dropout]) -> Iterator[None]:
    """Inside, the layers drop; afterwards they and the model's buffers are as before."""
    held = [(m, m.training, m.generator) for m in layers]
    buffers = [(t, t.data.copy()) for _, t in model.named_buffers()]
    try:
        for m in layers:
            m.training = True
        yield
    finally:
        for m, training, generator in held:
            m.training, m.generator = training, generator
        for t, values in buffers:
            t.assign(values)


def dropout_effect(
    closure: Closure, model: Module, draws: int = 1000, *, max_units: int = 12, seed: int = 0
) -> DropoutEffect:
    """The penalty that a model's Dropout layers are on average, and its gradient (claims C75–C78).

    Parameters
    ----------
    closure : of no arguments, returns the loss of the model on a batch, a mean (or sum) over rows:
        a scalar Tensor.
    model : its Dropout layers drop also in evaluation mode; the other layers keep their mode.
    draws : number of masks, ≥ 1, where not all are tried.
    max_units : all 2ⁿ masks are tried if n, the number of units (elements of a row that may be
        dropped), is at most this.
    seed : of the masks.

    Returns a :class:`DropoutEffect`. A loss that adds up over rows has the same mean whether each
    row draws a mask or all rows share one: exact enumeration needs 2ⁿ runs, not 2ⁿᴺ. BatchNorm in
    training mode couples the rows, so there masks are drawn. ``ValueError`` for draws < 1, for a
    model whose parameters are all frozen, and if the loss passes no ``nn.Dropout``.

    >>> import minireg as mr
    >>> nn = mr.nn; model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 1, bias=False)).double()
    >>> _ = model[1].weight.assign([[1.0, -2.0]]); x = mr.tensor(np.array([[1.0, 1.0], [3.0, 1.0]]))
    >>> found = mr.implicit.dropout_effect(lambda: (model(x) ** 2).mean(), model)
    >>> found.value, found.gradients["1.weight"]
    (9 ± 0, array([[10., -4.]]))
    """
    check_option("dropout_effect", 1, draws=draws)
    layers = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    coupled = any(isinstance(m, nn.BatchNorm) and m.training for m in model.modules())
    space, stream = Space(model), Stream("dropout effect", seed)

    def run(source: Any) -> tuple[float, Array]:
        for m in layers:
            m.generator = source
        loss = closure()
        pairs = zip(grad(loss, space.params, allow_unused=True), space.params, strict=True)
        parts = [np.zeros_like(p.data) if g is None else g.data for g, p in pairs]
        return loss.item(), space.join(parts)

    with _dropping(model, layers):
        plain = _Masks()
        loss, gradient = run(plain)
        if not plain.units:
            raise ValueError(
                f"dropout_effect: the closure met none of the model's {len(layers)} nn.Dropout "
                "layers with p > 0; return the loss of this model"
            )
        exact = plain.units <= max_units and not coupled
        count, weight = 2**plain.units if exact else draws, 1.0
        values, first, second = [], 0 * gradient, 0 * gradient
        for k in range(count):
            source = _Masks(k >> np.arange(plain.units) & 1) if exact else stream
            value, found = run(source)
            if isinstance(source, _Masks):
                weight = source.chance * count
            values.append(weight * (value - loss))
            first += weight * (found - gradient)
            second += (found - gradient) ** 2
    mean = Estimate(values)
    variance = np.maximum(second / count - (first / count) ** 2, 0)
    errors = np.sqrt(variance / (count - 1 or math.nan))
    if exact:
        mean.error, errors = 0.0, 0 * errors
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    gradients = dict(zip(names, space.split(first / count), strict=True))
    bars = dict(zip(names, space.split(errors), strict=True))
    return DropoutEffect(mean, gradients, bars, count, exact)
