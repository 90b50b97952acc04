"""What normalisations take out of a gradient, and what a weight's length means behind them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ... import nn
from ...backend import Array, as_array
from ...engine import grad
from ...messages import check_option, describe
from ...mode import enable_grad
from ...nn.losses import Loss
from ...nn.module import Module, Parameter
from ...objective import Objective
from ...ops.table import HALF, array_of
from ...tensor import Tensor
from ..inputs import floating


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
    """The terms for statistics over ``axes``; ``weight`` broadcasts to x; halves sum as floats."""
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
    x, g = floating(x, "x"), floating(g, "g")
    if x.ndim < 2 or x.shape != g.shape:
        raise ValueError(
            f"batchnorm_gradient: got x {x.shape} and g {g.shape}, expected both (N, C) or "
            "(N, C, …)"
        )
    gamma = None if weight is None else floating(weight, "weight").reshape(-1, *(1,) * (x.ndim - 2))
    return _through(x, g, gamma, (0, *range(2, x.ndim)), eps)


def _along(
    owner: str, x: Any, g: Any, weight: Any, axis: int | tuple[int, ...]
) -> tuple[Array, Array, Any, tuple[int, ...]]:
    """The arguments of a normalisation over features, checked; weight as it broadcasts to x."""
    x, g = floating(x, "x"), floating(g, "g")
    axes = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim, "axis")
    if x.shape != g.shape or not axes:
        raise ValueError(
            f"{owner}: got x {x.shape}, g {g.shape} and axis={axis!r}, expected x and g of one "
            "shape, and one axis or more"
        )
    sizes = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    if weight is not None:
        weight = floating(weight, "weight")
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
    output, only its scale (at ε = 0) does not. ε None is the resolution of x's dtype, as for the
    layer.

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
    ``name`` on its way to the layer's input: BatchNorm (1d, 2d), LayerNorm, RMSNorm or GroupNorm.
    In evaluation BatchNorm's statistics are constants, and all is direct.

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
            f"norm_gradient: loss must be a function of the model's output, got {loss!r:.60}; "
            "write lambda y: criterion(y, target)"
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
    RMSNorm or GroupNorm; a normalisation's ε makes the invariance approximate. Raises
    ``ValueError`` for a model that has none: pass the weights themselves.

    >>> effective_lr(np.array([3.0, 4.0]), lr=0.5)
    np.float64(0.02)
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm(2), nn.Linear(2, 1))
    >>> [*effective_lr(model, lr=0.5)]
    ['0.weight']
    """
    check_option("effective_lr", "(0, inf)", lr=lr)
    if not isinstance(weight, Module):
        return lr / np.square(floating(weight, "weight")).sum(axis=axis)
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
