r"""Hidden regularizers made explicit: what noise, norms, few steps and finite steps add to a loss.

Nobody writes these terms down, yet training follows them: the penalty that dropout is on average, the
parts of a gradient that BatchNorm takes away, the shrinkage that stopping early does and the
ridge that does the same, the slope that a finite step adds, the solution that gradient descent
prefers among many, and the prior for which a penalty stands. (Label smoothing is a row of its own
in an :class:`~minireg.Objective` and its ledger.)

Linear algebra is done where the array lives; what solves or samples works on the host in float64.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from ..backend import Array, as_array, move, of
from ..engine import grad
from ..messages import check_option, describe
from ..mode import enable_grad
from ..nn.losses import Loss
from ..nn.module import Module, Parameter
from ..objective import Objective
from ..ops.table import HALF, array_of
from ..penalties import L1, L2
from ..penalties.base import Penalty
from ..penalties.spectral import rank_tolerance, svd
from ..random import Stream
from ..tensor import Tensor
from .curvature import Closure, Estimate, Hessian, Operator, Params, Space, eigenvalues
from .solver import solve

CHAINS = 20  # of a Gibbs sampler, whose spread is the error of their mean


def _check_positive(owner: str, **values: Any) -> None:
    for name, value in values.items():
        if not isinstance(value, int | float | np.number) or not 0 < value < math.inf:
            raise ValueError(f"{owner}: {name} must be a finite number > 0, got {value!r}")


def _numbers(x: Any, name: str = "x") -> Array:
    """A floating array as it is; integers, and what first becomes an array here, in float64."""
    if isinstance(x, int | float | list | tuple):
        x = np.asarray(x, np.float64)
    x = as_array(x, name)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def _host(x: Any) -> Array:
    """x on the host in float64."""
    return move(_numbers(x), "numpy").astype(np.float64, copy=False)


def _data(owner: str, x: Any, y: Any) -> tuple[Array, Array]:
    """x (N, d) and y (N,) on the host."""
    x, y = _host(x), _host(y)
    if x.ndim != 2 or y.shape != x.shape[:1] or not x.size:
        raise ValueError(f"{owner}: got x {x.shape} and y {y.shape}, expected (N, d) and (N,)")
    return x, y


# --- dropout ---------------------------------------------------------------------------------------


def dropout_penalty(weight: Any, x: Any, p: float, curvature: Any = 2.0) -> Any:
    r"""What dropout of the inputs x adds on average to the loss of x wᵀ (claims C75–C78).

    .. math:: \tfrac12\,\tfrac{p}{1-p}\sum_j w_j^2\,\tfrac1N\sum_i c_i x_{ij}^2

    A ridge with a strength of its own for each feature. p is the probability of *dropping*, kept
    inputs grow by 1/(1 − p).

    Parameters
    ----------
    weight : (in,), or (out, in), for which it is the mean over the outputs, as MSELoss takes it.
    x : (N, in); arrays or Tensors, and with a Tensor the result is differentiable.
    curvature : second derivative c of a sample's loss in its prediction, one or (N,): 2 for
        the squared error, 1 for half of it, σ(1 − σ) for the logistic loss. Where it is constant
        this is E[loss] − loss exactly, otherwise its second order in w (Wager et al. 2013).

    >>> w, x = np.array([1.0, -2.0]), np.array([[1.0, 1.0], [3.0, 1.0]])
    >>> float(dropout_penalty(w, x, p=0.5))
    9.0
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout_penalty: p is the chance of dropping, in [0, 1); got {p!r}")
    weight, x, curvature = (
        a if isinstance(a, Tensor | int | float) else _numbers(a) for a in (weight, x, curvature)
    )
    if x.ndim != 2 or weight.ndim not in (1, 2) or weight.shape[-1] != x.shape[1]:
        raise ValueError(
            f"dropout_penalty: got a weight {weight.shape} and x {x.shape}, expected (in,) or "
            "(out, in), and (N, in)"
        )
    strength = (curvature * (x * x).T).mean(axis=-1) * (p / (1 - p))
    return (weight * weight * strength).sum() * (0.5 / (weight.size // x.shape[1]))


class DropoutEffect(NamedTuple):
    """E[loss with dropout] − loss without: value, and gradients by parameter name.

    ``value.error`` and ``errors`` are standard errors, 0 where all masks were enumerated.
    """

    value: Estimate
    gradients: dict[str, Array]
    errors: dict[str, Array]
    masks: int
    exact: bool


class _Masks:
    """In place of a layer's Stream: hands out one given mask after the other, the same for all rows.

    Without ``bits`` the masks drop and scale nothing, and the units are only counted.
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
    """Inside, the layers drop; what BatchNorm follows meanwhile is put back."""
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
    closure : of no arguments, returns the loss of the model on a batch, a mean (or sum) over rows.
    model : its Dropout layers drop, whatever mode it is in; all else stays in the mode it is in.
    draws, seed : masks drawn where they are not enumerated, from streams of their own.
    max_units : up to so many units (elements of a row that are dropped) all 2ⁿ masks are enumerated.

    The mean of a loss that adds up over rows, each with a mask of its own, is the mean over one mask
    shared by all rows: exact enumeration needs 2ⁿ runs, not 2ⁿᴺ. BatchNorm in training couples
    the rows, so there masks are drawn. Raises ``ValueError`` if the loss passes no nn.Dropout.

    >>> import minireg as mr
    >>> model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 1, bias=False)).double()
    >>> _ = model[1].weight.assign([[1.0, -2.0]]); x = mr.tensor(np.array([[1.0, 1.0], [3.0, 1.0]]))
    >>> found = dropout_effect(lambda: (model(x) ** 2).mean(), model)
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
                f"dropout_effect: the closure met none of the model's {len(layers)} nn.Dropout layers "
                "with p > 0; return the loss of this model"
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
    gradients, bars = (dict(zip(names, space.split(flat), strict=True))
                       for flat in (first / count, errors))  # fmt: skip
    return DropoutEffect(mean, gradients, bars, count, exact)


# --- normalisation ---------------------------------------------------------------------------------


class NormGradient(NamedTuple):
    """The terms of a normalisation's input gradient, each shaped like x; they add up to ``total``.

    ``variance`` is what comes through s, which for RMSNorm is the root of the mean square;
    RMSNorm subtracts no mean, so there ``mean`` is 0.
    """

    direct: Array
    mean: Array
    variance: Array

    @property
    def total(self) -> Array:
        """The sum of the three, which is what autograd computes."""
        return self.direct + self.mean + self.variance


def _through(
    x: Array, g: Array, weight: Any, axes: tuple[int, ...], eps: float, center: bool = True
) -> NormGradient:
    """The terms for statistics over ``axes``; ``weight`` broadcasts to x. Halves are summed as floats."""
    if x.dtype == HALF:
        wide = _through(x.astype(np.float32), g, weight, axes, eps, center)
        return NormGradient(*(part.astype(HALF) for part in wide))
    centered = x - x.mean(axis=axes, keepdims=True) if center else x
    s = np.sqrt(np.square(centered).mean(axis=axes, keepdims=True) + eps)
    unit = centered / s
    direct = g / s if weight is None else g / s * weight
    mean = np.zeros_like(direct)
    if center:
        mean -= direct.mean(axis=axes, keepdims=True)
    return NormGradient(direct, mean, -unit * (direct * unit).mean(axis=axes, keepdims=True))


def batchnorm_gradient(x: Any, g: Any, weight: Any = None, eps: float = 1e-5) -> NormGradient:
    r"""The gradient g at BatchNorm's output, taken to its input x: three terms (claim C19).

    .. math:: \tfrac{\gamma}{s} g \;-\; \tfrac{\gamma}{s}\langle g\rangle
        \;-\; \tfrac{\gamma}{s}\hat x\langle g\hat x\rangle
        = \tfrac{\gamma}{s}\bigl(I - \tfrac1N 11^\top - \tfrac1N \hat x\hat x^\top\bigr)g

    directly, through the batch's mean, and through its variance; s = √(σ² + ε), x̂ = (x − μ)/s, ⟨·⟩
    over all axes but 1 of x (N, C) or (N, C, …), ``weight`` γ (C,). At ε = 0 the bracket is the
    orthogonal projection that removes g's parts along 1 and x̂: shifting and scaling the
    batch does not move the output. With ε, x̂ itself passes, shrunk by ε/(σ² + ε).

    >>> x, g = np.array([[1.0], [3.0], [1.0], [3.0]]), np.array([[1.0], [2.0], [3.0], [6.0]])
    >>> found = batchnorm_gradient(x, g, eps=0.0)
    >>> [part.ravel() for part in found]
    [array([1., 2., 3., 6.]), array([-3., -3., -3., -3.]), array([ 1., -1.,  1., -1.])]
    >>> found.total.ravel()
    array([-1., -2.,  1.,  2.])
    """
    x, g = _numbers(x, "x"), _numbers(g, "g")
    if x.ndim < 2 or x.shape != g.shape:
        raise ValueError(
            f"batchnorm_gradient: got x {x.shape} and g {g.shape}, expected both (N, C) or (N, C, …)"
        )
    gamma = None if weight is None else _numbers(weight, "weight").reshape(-1, *(1,) * (x.ndim - 2))
    return _through(x, g, gamma, (0, *range(2, x.ndim)), eps)


def _along(
    owner: str, x: Any, g: Any, weight: Any, axis: int | tuple[int, ...]
) -> tuple[Array, Array, Any, tuple[int, ...]]:
    """The arguments of a normalisation over features, checked; weight as it broadcasts to x."""
    x, g = _numbers(x, "x"), _numbers(g, "g")
    axes = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim, "axis")
    if x.shape != g.shape or not axes:
        raise ValueError(
            f"{owner}: got x {x.shape}, g {g.shape} and axis={axis!r}, expected x and g of one "
            "shape, and one axis or more"
        )
    sizes = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    if weight is not None:
        weight = _numbers(weight, "weight")
        if weight.shape != (expected := tuple(x.shape[i] for i in sorted(axes))):
            raise ValueError(f"{owner}: got a weight {weight.shape}, expected {expected}")
        weight = weight.reshape(sizes)
    return x, g, weight, axes


def layernorm_gradient(
    x: Any, g: Any, weight: Any = None, eps: float = 1e-5, axis: int | tuple[int, ...] = -1
) -> NormGradient:
    r"""The gradient g at LayerNorm's output, taken to its input x: three terms (claim C14).

    .. math:: \tfrac1s u \;-\; \tfrac1s\langle u\rangle \;-\; \tfrac1s\hat x\langle u\hat x\rangle,
        \qquad u = \gamma g

    BatchNorm's, with ⟨·⟩ over the features ``axis`` of each sample in place of the batch: the
    samples have nothing to do with each other, and γ, one a feature, stays inside ⟨·⟩. ``weight``
    is γ, of the sizes of x along ``axis``, or None.

    >>> x, g = np.array([[1.0, 3.0, 1.0, 3.0]]), np.array([[1.0, 2.0, 3.0, 6.0]])
    >>> found = layernorm_gradient(x, g, eps=0.0)
    >>> [*map(np.ravel, found)]
    [array([1., 2., 3., 6.]), array([-3., -3., -3., -3.]), array([ 1., -1.,  1., -1.])]
    """
    x, g, weight, axes = _along("layernorm_gradient", x, g, weight, axis)
    return _through(x, g, weight, axes, eps)


def rmsnorm_gradient(
    x: Any, g: Any, weight: Any = None, eps: float | None = None, axis: int | tuple[int, ...] = -1
) -> NormGradient:
    r"""The gradient g at RMSNorm's output, taken to its input x: two terms (claim C15).

    .. math:: \tfrac1s u \;-\; \tfrac1s\hat x\langle u\hat x\rangle, \qquad u = \gamma g,\;
        s = \sqrt{\langle x^2\rangle + \varepsilon},\; \hat x = x/s

    LayerNorm's without the term through the mean, as no mean is subtracted: a shift of x moves the
    output, only its scale (at ε = 0) does not. ε None is the resolution of x's dtype, as for the layer.

    >>> found = rmsnorm_gradient(np.array([[3.0, 4.0]]), np.array([[12.5, 0.0]]), eps=0.0)
    >>> [(part * 12.5**0.5).ravel().round(9) for part in found]
    [array([12.5,  0. ]), array([0., 0.]), array([-4.5, -6. ])]
    """
    x, g, weight, axes = _along("rmsnorm_gradient", x, g, weight, axis)
    if eps is None:
        eps = float(np.finfo(np.float32 if x.dtype == HALF else x.dtype).eps)
    return _through(x, g, weight, axes, eps, center=False)


NORMS = (nn.BatchNorm, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


def _of_layer(layer: Any, x: Array, g: Array) -> NormGradient:
    """The terms of a layer at its input x and the gradient g at its output."""
    weight = None if layer.weight is None else array_of(layer.weight)
    if isinstance(layer, nn.BatchNorm):
        if layer.training or layer.running_var is None:
            return batchnorm_gradient(x, g, weight, layer.eps)
        gain = (layer.running_var.data + layer.eps) ** -0.5  # constants: nothing flows through them
        direct = g * (gain if weight is None else gain * weight).reshape(-1, *(1,) * (x.ndim - 2))
        return NormGradient(direct, np.zeros_like(direct), np.zeros_like(direct))
    if isinstance(layer, nn.GroupNorm):
        n, channels, *rest = x.shape
        inner = (layer.num_groups, channels // layer.num_groups)
        shape = (n, *inner, *rest)
        gamma = None if weight is None else weight.reshape(*inner, *(1,) * len(rest))
        axes = tuple(range(2, len(shape)))
        parts = _through(x.reshape(shape), g.reshape(shape), gamma, axes, layer.eps)
        return NormGradient(*(part.reshape(x.shape) for part in parts))
    formula = rmsnorm_gradient if isinstance(layer, nn.RMSNorm) else layernorm_gradient
    return formula(x, g, weight, layer.eps, tuple(range(-len(layer.normalized_shape), 0)))


def norm_gradient(
    model: Module, name: str, x: Any, loss: Callable[[Tensor], Tensor]
) -> NormGradient:
    """What a normalisation inside a model does to the gradient that passes it, term by term.

    Runs ``loss(model(x))`` and splits the gradient that arrives at the output of the layer
    ``name`` on its way to the layer's input: BatchNorm (1d, 2d), LayerNorm, RMSNorm or GroupNorm. In
    evaluation BatchNorm's statistics are constants, and all is direct.

    Works on a copy of the model that shares the weights: running statistics, gradients, modes and
    random streams stay as they are, and dropout draws the mask that it would draw next. Raises
    ``ValueError`` for a name that is none of a normalisation, for one that runs not once, and for a
    loss that is no scalar or does not depend on it.

    >>> import minireg as mr
    >>> mr.manual_seed(0); x = np.random.default_rng(0).normal(size=(8, 2))
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3), nn.Linear(3, 1)).double()
    >>> found = norm_gradient(model, "1", x, lambda y: (y**2).mean())
    >>> found.total.shape, bool(abs(found.total.sum(axis=0)).max() < 1e-12)  # no shift passes
    ((8, 3), True)
    """
    if not callable(loss) or isinstance(loss, Loss | Objective):
        raise TypeError(
            f"norm_gradient: loss must be a function of the model's output, got {loss!r:.60}; write "
            "lambda y: criterion(y, target)"
        )
    own = [t for m in model.modules() for t in vars(m).values() if isinstance(t, Tensor)]
    held = {id(t): t for t in own if isinstance(t, Parameter) or t._node is not None}
    model = copy.deepcopy(model, held)  # weights are only read, and results cannot be copied
    modules, calls = dict(model.named_modules()), []
    layer = modules.get(name)
    if not isinstance(layer, NORMS):
        norms = ", ".join(repr(n) for n, m in modules.items() if isinstance(m, NORMS)) or "none"
        found = "no module of the model" if layer is None else f"a {type(layer).__name__}"
        raise ValueError(
            f"norm_gradient: {name!r} is {found}, expected the name of a normalisation; "
            f"this model has: {norms}"
        )
    plain = layer.forward

    def watched(x: Any) -> Any:
        """The layer, with a 0 added to its output that asks for the gradient there."""
        y = plain(x)
        calls.append((array_of(x), Tensor(np.zeros_like(array_of(y)), requires_grad=True)))
        return y + calls[-1][1]

    layer.forward = watched  # type: ignore[method-assign]
    with enable_grad():
        value = loss(model(x if isinstance(x, Tensor) else Tensor(as_array(x, "norm_gradient: x"))))
    if len(calls) != 1:
        raise ValueError(f"norm_gradient: {name!r} ran {len(calls)} times, expected once")
    if not isinstance(value, Tensor) or value.size != 1:
        raise ValueError(
            f"norm_gradient: loss returned {describe(value)}, expected a Tensor of one element; "
            "reduce it (.sum(), .mean())"
        )
    arrived = grad(value, calls[0][1], allow_unused=True)[0] if value.requires_grad else None
    if arrived is None:
        raise ValueError(f"norm_gradient: the loss does not depend on the output of {name!r}")
    return _of_layer(layer, calls[0][0], arrived.data)


def tangential(w: Any, g: Any, axis: Any = None) -> Any:
    """g without its part along w: g − w⟨w, g⟩/‖w‖², vectors along ``axis`` (default: all of w).

    A gradient of a scale-invariant function is its own tangential part (Euler), so each step across
    makes w longer: ‖w − ηg‖² = ‖w‖² + η²‖g‖² (claim C127). A vector 0 has no direction: g stays.
    After BatchNorm, each row of a weight (out, in) is invariant: ``axis=1``.

    >>> tangential(np.array([3.0, 4.0]), np.array([1.0, 0.0]))
    array([ 0.64, -0.48])
    """
    square = (w * w).sum(axis=axis, keepdims=True)
    return g - w * (
        (w * g).sum(axis=axis, keepdims=True) / np.where(array_of(square) > 0, square, 1)
    )


def effective_lr(weight: Any, lr: float, axis: Any = None) -> Any:
    """η/‖w‖²: the learning rate of a scale-invariant weight's direction (claims C26, C127).

    f(w) = f(w/‖w‖) has the gradient ∇f(w/‖w‖)/‖w‖, so that a step turns w by η/‖w‖² times what the
    unit vector's gradient says: decay, which shortens w, raises it.

    ``weight`` is an array or a Tensor (norm along ``axis``, default: of all), or a Module: then of
    its invariant weights, by name. Those are the weights that a Sequential follows
    directly by a BatchNorm (invariant in training), or, where they have no bias, by a LayerNorm,
    RMSNorm or GroupNorm; a normalisation's ε makes the invariance approximate. Raises ``ValueError`` for a
    model that has none: pass the weights themselves.

    >>> effective_lr(np.array([3.0, 4.0]), lr=0.5)
    np.float64(0.02)
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm(2), nn.Linear(2, 1))
    >>> [*effective_lr(model, lr=0.5)]
    ['0.weight']
    """
    _check_positive("effective_lr", lr=lr)
    if not isinstance(weight, Module):
        return lr / np.square(_numbers(weight, "weight")).sum(axis=axis)
    found = {
        f"{prefix}.{name}.weight".lstrip("."): effective_lr(layer.weight, lr)
        for prefix, block in weight.named_modules()
        if isinstance(block, nn.Sequential)
        for (name, layer), (_, norm) in pairwise(block.named_children())
        if isinstance(layer, nn.Linear | nn.Conv2d) and isinstance(layer.weight, Parameter)
        if isinstance(norm, nn.BatchNorm)
        or (layer.bias is None and isinstance(norm, nn.LayerNorm | nn.RMSNorm | nn.GroupNorm))
    }
    if not found:
        raise ValueError(
            "effective_lr: no weight of the model is directly followed by a normalisation in a "
            "Sequential; pass the weight itself"
        )
    return found


# --- few steps, finite steps -----------------------------------------------------------------------


def early_stopping_filter(eigenvalues: Array, lr: float, steps: int) -> Array:
    """1 − (1 − ημ)ᵀ: how much of each mode T steps of gradient descent from 0 have learnt (claim C107).

    μ are the eigenvalues of the loss's Hessian, the loss is quadratic: in its eigenvectors w_T is
    the minimiser times the filter (from another start, so is w_T − w₀). Beyond ημ = 2 it diverges.

    >>> early_stopping_filter(np.array([0.0, 1.0, 5.0]), lr=0.1, steps=2)
    array([0.  , 0.19, 0.75])
    """
    _check_positive("early_stopping_filter", lr=lr)
    check_option("early_stopping_filter", 1, steps=steps)
    z = lr * _numbers(eigenvalues, "eigenvalues")
    # Near 0 the difference of two numbers near 1 would lose its digits; what diverges may overflow.
    with np.errstate(over="ignore"):
        small = -np.expm1(steps * np.log1p(-np.minimum(z, 0.5)))
        return np.where(z < 0.5, small, 1 - (1 - z) ** steps)


def ridge_filter(eigenvalues: Array, strength: float) -> Array:
    """μ/(μ + λ): how much of each mode the L2 penalty ½λ‖w‖² leaves; 0 where μ = 0 (claim C107).

    μ are the eigenvalues of the data loss's Hessian, as for :func:`early_stopping_filter`.

    >>> ridge_filter(np.array([0.0, 1.0, 4.0]), strength=1.0)
    array([0. , 0.5, 0.8])
    """
    if not strength >= 0:
        raise ValueError(f"ridge_filter: strength must be ≥ 0, got {strength!r}")
    eigenvalues = _numbers(eigenvalues, "eigenvalues")
    return np.where(
        eigenvalues == 0, 0, eigenvalues / np.where(eigenvalues == 0, 1, eigenvalues + strength)
    )


def equivalent_strength(eigenvalues: Array, lr: float, steps: int) -> Array:
    """The λ for which ridge leaves of each mode what T steps learn of it (claims C107, C108).

    μ(1 − ημ)ᵀ/(1 − (1 − ημ)ᵀ): 1/(ηT) for modes with ημT ≪ 1, and falling exponentially for stiff
    ones, so no single λ does what stopping does. (Where ημ > 1 overshoots it may be negative or infinite.)

    >>> equivalent_strength(np.array([0.0, 1.0, 10.0]), lr=0.1, steps=2).round(4)
    array([5.    , 4.2632, 0.    ])
    """
    eigenvalues = _numbers(eigenvalues, "eigenvalues")
    learnt = early_stopping_filter(eigenvalues, lr, steps)
    flat, unlearnt, lost = eigenvalues == 0, learnt == 0, np.isinf(learnt)
    with np.errstate(over="ignore"):
        ratio = (1 - lr * eigenvalues) ** steps / np.where(unlearnt | lost, 1, learnt)
    left = eigenvalues * np.where(lost, -1, ratio)
    return np.where(flat, 1 / (lr * steps), np.where(unlearnt, np.inf, left))


class StoppingSpectrum(NamedTuple):
    """Of each direction ``vectors[:, i]`` of the parameters (n, k): what a run of T steps made of it.

    ``eigenvalues`` μ of the Hessian, ascending; ``learnt``, the part of the way to the minimum
    that T steps should have gone; ``strength``, the λ of the ridge that leaves as much; and
    ``measured``, the part that this run has gone, or None if its start was not given.
    """

    eigenvalues: Array
    learnt: Array
    strength: Array
    measured: Array | None
    vectors: Array


def early_stopping_spectrum(
    closure: Closure | Operator, params: Params = (), *, lr: float, steps: int, k: int = 10,
    start: Any = None,
) -> StoppingSpectrum:  # fmt: skip
    """What stopping after ``steps`` has held back in a fitted model, direction by direction (C107, C108).

    Takes the ``k`` largest eigenvalues of the Hessian at the parameters as they are (``closure``,
    ``params`` or an operator as in :mod:`minireg.analysis.curvature`), by products alone where
    there are many parameters, and gives :func:`early_stopping_filter` and :func:`equivalent_strength`.

    ``start`` are the parameters before the run, as a Module (a deep copy), a list of arrays or a
    flat array (``ValueError`` if it shares the parameters' memory); with it the part of the way that
    was really gone is measured too: moved against moved plus what Newton's step would still go,
    vᵢ·(w − w₀) / vᵢ·(w − w₀ − ∇L/μᵢ). After a ``fit`` that stopped early the steps
    are ``history.best_epoch`` times the batches of an epoch.

    Exact for a quadratic loss under full-batch gradient descent at a constant ``lr`` without momentum,
    where learnt and measured agree. Elsewhere it is the quadratic at the fit, and only near
    a minimum a good one: momentum m goes about 1/(1 − m) as fast, a schedule acts like its mean rate,
    Adam has a filter of its own, and along a negative μ there is no minimum to be held back from.

    >>> import minireg as mr
    >>> w = mr.tensor(np.zeros(2), requires_grad=True)
    >>> loss = lambda: 0.5 * (w[0] - 1) ** 2 + 5 * (w[1] - 1) ** 2
    >>> for _ in range(3): _ = w.assign(w.data - 0.05 * mr.grad(loss(), w)[0].data)
    >>> found = early_stopping_spectrum(loss, w, lr=0.05, steps=3, start=np.zeros(2))
    >>> found.eigenvalues, found.learnt.round(4), found.measured.round(4)
    (array([ 1., 10.]), array([0.1426, 0.875 ]), array([0.1426, 0.875 ]))
    """
    operator = closure if isinstance(closure, Operator) else Hessian(closure, params)
    if start is not None and not isinstance(operator, Hessian):
        raise ValueError(
            "early_stopping_spectrum: start needs a Hessian, whose gradient says how far it still is "
            f"to the minimum, got a {type(operator).__name__}; leave start out"
        )
    k = min(k, operator.size)
    mu, vectors = eigenvalues(operator, k=k, vectors=True)
    measured = None
    if isinstance(operator, Hessian) and start is not None:
        origin = [p.data for p in Space(start).params] if isinstance(start, Module) else start
        here = [p.data for p in operator.params]
        given = [array_of(a) for a in (origin if isinstance(origin, list | tuple) else [origin])]
        if any(type(a) is type(p) and np.shares_memory(a, p) for a in given for p in here):
            raise ValueError(
                "early_stopping_spectrum: start shares memory with the parameters, so it has moved "
                "with them; pass a copy from before the run, copy.deepcopy(model) or "
                "[p.numpy().copy() for p in params]"
            )
        zeros = [np.zeros_like(p) for p in here]
        slope = [z if g is None else g.data for z, g in zip(zeros, operator.gradients, strict=True)]
        moved = (operator.join(here) - operator.flat(origin)) @ vectors
        whole = moved - operator.join(slope) @ vectors / np.where(mu == 0, np.nan, mu)
        measured = moved / np.where(whole == 0, np.nan, whole)
    filters = early_stopping_filter(mu, lr, steps), equivalent_strength(mu, lr, steps)
    return StoppingSpectrum(mu, *filters, measured, vectors)


def step_penalty(closure: Closure, params: Params, lr: float) -> Tensor:
    r"""(η/4)‖∇L‖²: what gradient descent's finite step adds to the loss it follows (claim C101).

    Descent with rate η stays within O(η²) of the gradient flow of :math:`L + \tfrac\eta4\|\nabla L\|^2`,
    and only O(η) of L's own (Barrett & Dherin 2021): it prefers flat slopes. Returns a scalar
    Tensor, whose gradient :math:`\tfrac\eta2 H\nabla L` autograd finds, or ``curvature.hvp``.

    ``closure`` and ``params`` as in :mod:`minireg.analysis.curvature`.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> value = step_penalty(lambda: (w * w).sum(), w, lr=0.1)
    >>> round(value.item(), 6), mr.grad(value, w)[0].numpy().round(6)
    (0.5, array([0.2, 0.4], dtype=float32))
    """
    _check_positive("step_penalty", lr=lr)
    gradients = [g for g in Hessian(closure, params).gradients if g is not None]
    square: Tensor = sum((g * g).sum() for g in gradients)
    return square * (lr / 4)


# --- what is chosen among many ---------------------------------------------------------------------


class MaxMargin(NamedTuple):
    """Unit ``direction`` (d,), its geometric ``margin``, and the indices of the ``support`` vectors."""

    direction: Array
    margin: float
    support: Array


def max_margin(x: Any, y: Any) -> MaxMargin:
    """The hyperplane through the origin farthest from all points: where logistic descent heads (C121).

    On separable data the norm of unpenalised logistic regression grows like log t while its direction
    tends to this one (Soudry et al. 2018). x is (N, d), labels y are −1 and 1. For a bias that is
    trained like a weight append a column of ones to x.

    min ‖w‖ over yᵢxᵢ·w ≥ 1 is a least-distance problem, solved to rounding by non-negative least squares
    (Lawson & Hanson 1974, ch. 23). Raises ``ValueError`` for other labels and for data that are not
    separable through the origin, ``ImportError`` without SciPy.

    >>> found = max_margin([[3.0, 1.0], [-1.0, 3.0], [-1.0, -5.0]], [1, 1, -1])
    >>> found.direction.round(4), round(found.margin, 4), found.support
    (array([0.4472, 0.8944]), 2.2361, array([0, 1]))
    """
    try:
        from scipy.optimize import nnls
    except ImportError as error:
        raise ImportError("max_margin needs SciPy: pip install 'minireg[lessons]'") from error
    x, y = _data("max_margin", x, y)
    if not np.isin(y, (-1, 1)).all():
        raise ValueError(
            f"max_margin: labels must be -1 and 1, got {np.unique(y)[:4]}; map them first"
        )
    size = float(np.abs(x).max()) or 1.0
    points = x * (y[:, None] / size)
    goal = np.append(np.zeros(x.shape[1]), 1.0)
    support = np.flatnonzero(nnls(np.vstack([points.T, np.ones(len(y))]), goal)[0])
    w = np.linalg.lstsq(points[support], np.ones(len(support)), rcond=None)[0]
    if not (points @ w).min() >= 1 - 1e-6:
        raise ValueError(
            "max_margin: no hyperplane through the origin separates the two classes; append a column "
            "of ones to x for one that need not pass through it"
        )
    norm = float(np.linalg.norm(w))
    return MaxMargin(w / norm, size / norm, support)


def angle(u: Any, v: Any) -> float:
    """The angle between two arrays as vectors, in degrees, accurate for small ones (Kahan).

    >>> round(angle([1.0, 0.0], [1.0, 1.0]), 10)
    45.0
    """
    u, v = _host(u).reshape(-1), _host(v).reshape(-1)
    if u.shape != v.shape or not u.any() or not v.any():
        raise ValueError(f"angle: got {u.size} and {v.size} elements, expected as many, not all 0")
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    return math.degrees(2 * math.atan2(np.linalg.norm(u - v), np.linalg.norm(u + v)))


def nearest_interpolant(x: Any, y: Any, start: Any = None) -> Array:
    """start + X⁺(y − X·start): the interpolant nearest to start, where descent ends (claim C123).

    Of least squares on x (N, d), y (N,) or (N, k), by gradient descent from ``start``, 0 by default: the
    steps stay in the row space. Without an interpolant it is the least-squares solution nearest to start.

    >>> nearest_interpolant([[1.0, 1.0]], [2.0]).round(12)
    array([1., 1.])
    >>> nearest_interpolant([[1.0, 1.0]], [2.0], start=[3.0, 1.0]).round(12) + 0.0
    array([2., 0.])
    """
    x, y = _host(x), _host(y)
    if x.ndim != 2 or y.shape[:1] != x.shape[:1]:
        raise ValueError(
            f"nearest_interpolant: got x {x.shape} and y {y.shape}, expected (N, d) and (N, …)"
        )
    origin = np.zeros((x.shape[1], *y.shape[1:])) if start is None else _host(start)
    return origin + np.linalg.lstsq(x, y - x @ origin, rcond=None)[0]


# --- capacity --------------------------------------------------------------------------------------


def degrees_of_freedom(x: Any, strength: float) -> float:
    """Σ μ/(μ + λ), μ the eigenvalues of XᵀX/N: what ridge leaves of a linear model (claim C06).

    The trace of the hat matrix, from rank(X) at λ = 0 down to 0, of ridge with the *half* mean squared
    error, ‖y − Xw‖²/2N + ½λ‖w‖². ``nn.MSELoss`` has no half: for it pass half the strength of ``L2``.

    >>> round(degrees_of_freedom(np.diag([1.0, 2.0]), strength=0.5), 4)
    1.3
    """
    x = _numbers(x)
    s = svd(x)[1]
    mu = np.where(s > rank_tolerance(x, s), s * s / len(x), 0)
    return float(ridge_filter(mu, strength).sum())


def stable_rank(w: Any) -> float:
    """‖W‖_F²/‖W‖₂², at most the rank and blind to tiny singular values; 0 of W = 0 (claim C98).

    Axes behind the first count as one, as for the weight of a convolution.

    >>> stable_rank(np.diag([2.0, 1.0]))
    1.25
    """
    s = svd(_numbers(w, "w"))[1]
    return float(((s / (s.max() or 1.0)) ** 2).sum())


def effective_rank(w: Any) -> float:
    """exp of the entropy of σ/Σσ: the rank if all singular values are equal (Roy & Vetterli 2007).

    0 of W = 0; axes behind the first count as one.

    >>> round(effective_rank(np.diag([3.0, 3.0, 0.0])), 10)
    2.0
    """
    s = svd(_numbers(w, "w"))[1]
    share = s / (s.sum() or 1.0)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum()
    return float(np.exp(entropy)) if s.any() else 0.0


# --- priors ----------------------------------------------------------------------------------------


class Posterior(NamedTuple):
    """The posterior's ``mode`` (MAP) and ``mean``, (d,), and the mean's standard ``error``."""

    mode: Array
    mean: Array
    error: Array


@dataclass(frozen=True)
class Gaussian:
    """Each weight ~ N(0, std²), independently: what L2 stands for (claims C118, C119).

    >>> prior = Gaussian(std=2.0)
    >>> prior.penalty(n=100), prior.penalty(n=100, noise=3.0)
    (L2(0.0025): ½λ‖w‖², L2(0.045): ½λ‖w‖²)
    """

    std: float

    def __post_init__(self) -> None:
        _check_positive("Gaussian", std=self.std)

    def log_density(self, w: Any) -> Any:
        """log p(w), summed over the weights; differentiable for a Tensor."""
        return -0.5 * np.square(w / self.std).sum() - w.size * math.log(
            self.std * math.sqrt(math.tau)
        )

    def penalty(self, n: int, noise: float | None = None) -> Penalty:
        """L2 so that loss + penalty is the negative log posterior, up to a factor and a constant.

        For a loss that is the mean of n negative log likelihoods (cross entropy) λ = 1/(n·std²); for
        MSELoss and Gaussian noise of standard deviation ``noise`` λ = 2·noise²/(n·std²).
        """
        return L2(_per_loss(n, noise) / self.std**2)

    def posterior(self, x: Any, y: Any, noise: float = 1.0) -> Posterior:
        """Of w in y = Xw + N(0, noise²): mode and mean are the same, ridge's solution.

        >>> Gaussian(1.0).posterior([[1.0], [1.0]], [2.0, 4.0]).mean
        array([2.])
        """
        x, y = _data("posterior", x, y)
        _check_positive("posterior", noise=noise)
        ridge = np.eye(x.shape[1]) * (noise / self.std) ** 2
        mean = np.linalg.solve(x.T @ x + ridge, x.T @ y)
        return Posterior(mean, mean, np.zeros_like(mean))


@dataclass(frozen=True)
class Laplace:
    """Each weight has the density exp(−|w|/scale)/(2·scale): what L1 stands for (claims C118, C120).

    >>> Laplace(scale=0.5).penalty(n=100)
    L1(0.02): λ‖w‖₁
    """

    scale: float

    def __post_init__(self) -> None:
        _check_positive("Laplace", scale=self.scale)

    def log_density(self, w: Any) -> Any:
        """log p(w), summed over the weights; differentiable for a Tensor."""
        return -np.abs(w / self.scale).sum() - w.size * math.log(2 * self.scale)

    def penalty(self, n: int, noise: float | None = None) -> Penalty:
        """L1, with λ = 1/(n·scale), or 2·noise²/(n·scale) for MSELoss, as for the Gaussian."""
        return L1(_per_loss(n, noise) / self.scale)

    def posterior(
        self, x: Any, y: Any, noise: float = 1.0, *, draws: int = 500, seed: int = 0
    ) -> Posterior:
        """Of w in y = Xw + N(0, noise²): the mode has exact zeros, the mean has none (claim C120).

        The mode by :func:`minireg.solve`. The mean in closed form if the columns of x are orthogonal
        (Pericchi & Smith 1992), otherwise by Gibbs sampling in 20 independent chains of ``draws``
        each, after as many to forget the start (Park & Casella 2008); ``error`` comes from their spread.

        >>> found = Laplace(1.0).posterior(np.eye(2), [0.5, 3.0])
        >>> found.mode, found.mean.round(3)
        (array([0., 2.]), array([0.241, 2.026]))
        """
        x, y = _data("posterior", x, y)
        _check_positive("posterior", noise=noise)
        check_option("posterior", 1, draws=draws)
        stream, pull, gram = Stream("posterior", seed), x.T @ y, x.T @ x
        model = nn.Linear(x.shape[1], 1, bias=False, dtype=np.float64, generator=stream)
        tol = 1e-11 * float(np.abs(pull).max() / len(x)) or 1e-10
        found = solve(model, nn.MSELoss(), self.penalty(len(x), noise), x, y[:, None], tol=tol)
        if not found.converged:
            raise RuntimeError(
                f"posterior: the mode's certificate is still {found.certificate:.1e} after {found.steps} "
                "steps; bring the columns of x to one scale"
            )
        size = np.diag(gram)
        if size.min() > 0 and np.abs(gram - np.diag(size)).max() <= 1e-14 * size.max():
            mean = _shrunk(pull / size, noise / np.sqrt(size), self.scale)
            return Posterior(model.weight.numpy()[0], mean, np.zeros_like(mean))
        means = self._gibbs(gram / noise**2, pull / noise**2, draws, stream)
        error = means.std(axis=0) / math.sqrt(CHAINS - 1)
        return Posterior(model.weight.numpy()[0], means.mean(axis=0), error)

    def _gibbs(self, gram: Array, pull: Array, draws: int, stream: Stream) -> Array:
        """Means of independent chains (CHAINS, d): |w| is the cost of a Gaussian of random variance τ²."""
        total = np.zeros((CHAINS, len(pull)))
        inverse = total + self.scale**-2  # 1/τ²
        for step in range(2 * draws):
            precision = gram + inverse[:, :, None] * np.eye(len(pull))
            mean = np.linalg.solve(precision, pull[:, None])
            root = np.linalg.cholesky(precision).transpose(0, 2, 1)
            w = (mean + np.linalg.solve(root, stream.normal(mean.shape)))[..., 0]
            total += mean[..., 0] * (step >= draws)  # less noisy than w
            inverse = _inverse_gaussian(self.scale, w, stream)
        return total / draws


def _per_loss(n: int, noise: float | None) -> float:
    check_option("penalty", 1, n=n)
    _check_positive("penalty", noise=1.0 if noise is None else noise)
    return 1 / n if noise is None else 2 * noise**2 / n


def _inverse_gaussian(scale: float, w: Array, stream: Stream) -> Array:
    """1/τ² given w: inverse Gaussian of mean 1/(scale·|w|), shape 1/scale² (Michael et al. 1976)."""
    mean = 1 / (scale * np.abs(w))
    t = mean * scale**2 * stream.normal(w.shape) ** 2 / 2
    low = mean / (1 + t + np.sqrt(t * (2 + t)))
    return np.where(stream.uniform(0, 1, w.shape) * (mean + low) <= mean, low, mean * (mean / low))


def _shrunk(w: Array, std: Array, scale: float) -> Array:
    """Posterior mean of a weight whose likelihood is N(w, std²); tanh → clip would be the mode."""
    try:
        from scipy.special import erfcx
    except ImportError as error:
        raise ImportError("posterior needs SciPy: pip install 'minireg[lessons]'") from error
    threshold, width = std**2 / scale, std * math.sqrt(2)
    odds = np.log(erfcx((threshold - w) / width)) - np.log(erfcx((threshold + w) / width))
    return w - threshold * np.tanh(odds / 2)
