"""What normalisations take out of a gradient, and what the length of a weight before them means."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

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

Axis = int | tuple[int, ...]


class NormGradient(NamedTuple):
    """The terms of a normalisation's input gradient, arrays shaped like x, whose sum is ``total``.

    A named tuple (``AttributeError`` on assignment); source: claims C14, C15, C19.

    Attributes
    ----------
    direct : γ/s·g, as if the statistics were constants.
    mean : what comes through the mean; 0 for RMSNorm, which subtracts none.
    variance : what comes through s, for RMSNorm the root of the mean square.

    >>> import minireg as mr
    >>> parts = mr.implicit.NormGradient(np.array([2.0]), np.array([-1.5]), np.array([0.25]))
    >>> parts.total
    array([0.75])
    """

    direct: Array
    mean: Array
    variance: Array

    @property
    def total(self) -> Array:
        """The sum of the three: the gradient at x, as autograd computes it."""
        return self.direct + self.mean + self.variance


def _through(
    x: Array, g: Array, weight: Any, axes: tuple[int, ...], eps: float, center: bool = True
) -> NormGradient:
    """Terms for statistics over ``axes``; ``weight`` broadcasts to x; float16 sums in float32."""
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


def batchnorm_gradient(
    x: ArrayLike, g: ArrayLike, weight: ArrayLike | None = None, eps: float = 1e-5
) -> NormGradient:
    r"""The gradient g at BatchNorm's output, taken to its input x: three terms (claim C19).

    .. math:: \tfrac{\gamma}{s} g \;-\; \tfrac{\gamma}{s}\langle g\rangle
        \;-\; \tfrac{\gamma}{s}\hat x\langle g\hat x\rangle
        = \tfrac{\gamma}{s}\bigl(I - \tfrac1N 11^\top - \tfrac1N \hat x\hat x^\top\bigr)g

    directly, through the batch's mean, and through its variance; s = √(σ² + ε), x̂ = (x − μ)/s, ⟨·⟩
    is the mean over all axes except 1. At ε = 0 the bracket is the orthogonal projection that
    removes g's parts along 1 and x̂: shifting and scaling the batch does not change the output.
    With ε, x̂ itself passes, shrunk by ε/(σ² + ε).

    Parameters
    ----------
    x, g : (N, C) or (N, C, …), of equal shapes; ``ValueError`` otherwise.
    weight : γ (C,), or None for 1.
    eps : ε.

    >>> import minireg as mr
    >>> x, g = np.array([[1.0], [3.0], [1.0], [3.0]]), np.array([[1.0], [2.0], [3.0], [6.0]])
    >>> found = mr.implicit.batchnorm_gradient(x, g, eps=0.0)
    >>> [part.ravel() for part in found]
    [array([1., 2., 3., 6.]), array([-3., -3., -3., -3.]), array([ 1., -1.,  1., -1.])]
    >>> found.total.ravel()
    array([-1., -2.,  1.,  2.])
    """
    at, output = floating(x, "x"), floating(g, "g")
    if at.ndim < 2 or at.shape != output.shape:
        raise ValueError(
            f"batchnorm_gradient: got x {at.shape} and g {output.shape}, expected both (N, C) or "
            "(N, C, …)"
        )
    gamma = None if weight is None else _per_channel(floating(weight, "weight"), at.ndim)
    return _through(at, output, gamma, (0, *range(2, at.ndim)), eps)


def _per_channel(values: Array, ndim: int) -> Array:
    """(C,) as it broadcasts to (N, C, …)."""
    return values.reshape(-1, *(1,) * (ndim - 2))


def _along(
    owner: str, x: Any, g: Any, weight: Any, axis: Axis
) -> tuple[Array, Array, Array | None, tuple[int, ...]]:
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
    x: ArrayLike, g: ArrayLike, weight: ArrayLike | None = None, eps: float = 1e-5, axis: Axis = -1
) -> NormGradient:
    r"""The gradient g at LayerNorm's output, taken to its input x: three terms (claim C14).

    .. math:: \tfrac1s u \;-\; \tfrac1s\langle u\rangle \;-\; \tfrac1s\hat x\langle u\hat x\rangle,
        \qquad u = \gamma g

    As for :func:`batchnorm_gradient`, with ⟨·⟩ the mean over the features of each sample instead of
    the batch: samples do not depend on each other, and γ, one per feature, stays inside ⟨·⟩.

    Parameters
    ----------
    x, g : of equal shapes (…).
    weight : γ, of the sizes of x along ``axis``, or None for 1.
    eps : ε.
    axis : of the features, one or several.

    ``ValueError`` for shapes that do not fit and for an axis that x does not have.

    >>> import minireg as mr
    >>> x, g = np.array([[1.0, 3.0, 1.0, 3.0]]), np.array([[1.0, 2.0, 3.0, 6.0]])
    >>> found = mr.implicit.layernorm_gradient(x, g, eps=0.0)
    >>> [*map(np.ravel, found)]
    [array([1., 2., 3., 6.]), array([-3., -3., -3., -3.]), array([ 1., -1.,  1., -1.])]
    """
    at, output, gamma, axes = _along("layernorm_gradient", x, g, weight, axis)
    return _through(at, output, gamma, axes, eps)


def rmsnorm_gradient(
    x: ArrayLike,
    g: ArrayLike,
    weight: ArrayLike | None = None,
    eps: float | None = None,
    axis: Axis = -1,
) -> NormGradient:
    r"""The gradient g at RMSNorm's output, taken to its input x: two terms (claim C15).

    .. math:: \tfrac1s u \;-\; \tfrac1s\hat x\langle u\hat x\rangle, \qquad u = \gamma g,\;
        s = \sqrt{\langle x^2\rangle + \varepsilon},\; \hat x = x/s

    As :func:`layernorm_gradient`, parameters and ``ValueError`` too, but no mean is subtracted, so
    the term through it is missing: a shift of x changes the output, its scale (at ε = 0) does not.
    ``eps`` None is the resolution of x's dtype, as for the layer.

    >>> import minireg as mr
    >>> found = mr.implicit.rmsnorm_gradient([[3.0, 4.0]], [[12.5, 0.0]], eps=0.0)
    >>> [(part * 12.5**0.5).ravel().round(9) for part in found]
    [array([12.5,  0. ]), array([0., 0.]), array([-4.5, -6. ])]
    """
    at, output, gamma, axes = _along("rmsnorm_gradient", x, g, weight, axis)
    if eps is None:
        eps = float(np.finfo(np.float32 if at.dtype == HALF else at.dtype).eps)
    return _through(at, output, gamma, axes, eps, center=False)


NORMS = (nn.BatchNorm, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


def _of_layer(layer: Any, x: Array, g: Array) -> NormGradient:
    """The terms of a layer at its input x and the gradient g at its output."""
    weight = None if layer.weight is None else array_of(layer.weight)
    if isinstance(layer, nn.BatchNorm):
        if layer.training or layer.running_var is None:
            return batchnorm_gradient(x, g, weight, layer.eps)
        gain = (layer.running_var.data + layer.eps) ** -0.5  # constants: nothing flows through them
        direct = g * _per_channel(gain if weight is None else gain * weight, x.ndim)
        return NormGradient(direct, np.zeros_like(direct), np.zeros_like(direct))
    if isinstance(layer, nn.GroupNorm):
        n, channels, *rest = x.shape
        inner = (layer.num_groups, channels // layer.num_groups)
        shape = (n, *inner, *rest)
        gamma = None if weight is None else weight.reshape(*inner, *(1,) * len(rest))
        axes = tuple(range(2, len(shape)))
        parts = _through(x.reshape(shape), g.reshape(shape), gamma, axes, layer.eps)
        return NormGradient(*(part.reshape(x.shape) for part in parts))
    axes = tuple(range(-len(layer.normalized_shape), 0))
    if isinstance(layer, nn.RMSNorm):
        return rmsnorm_gradient(x, g, weight, layer.eps, axes)
    return layernorm_gradient(x, g, weight, layer.eps, axes)


def norm_gradient(
    model: Module, name: str, x: ArrayLike, loss: Callable[[Tensor], Tensor]
) -> NormGradient:
    """What a normalisation inside a model does to the gradient that passes it, term by term.

    Runs ``loss(model(x))`` and splits the gradient at the layer's input (claims C14, C15, C19).

    Parameters
    ----------
    model, name : the model, and the name of one of its layers as in ``named_modules``: BatchNorm
        (1d, 2d), LayerNorm, RMSNorm or GroupNorm. In evaluation mode BatchNorm's statistics are
        constants, and all of the gradient is direct.
    x : the model's input, an array or a Tensor.
    loss : of the model's output, returns a scalar Tensor.

    Works on a copy of the model that shares the weights: running statistics, gradients, modes and
    random streams stay as they are, and dropout draws the mask that it would draw next. Raises
    ``TypeError`` for a loss of two arguments such as ``nn.MSELoss()``, and ``ValueError`` for a
    name that is no normalisation, for one that does not run exactly once, and for a loss that is no
    scalar or does not depend on it.

    >>> import minireg as mr
    >>> nn = mr.nn
    >>> mr.manual_seed(0); x = np.random.default_rng(0).normal(size=(8, 2))
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3), nn.Linear(3, 1)).double()
    >>> found = mr.implicit.norm_gradient(model, "1", x, lambda y: (y**2).mean())
    >>> found.total.shape, bool(abs(found.total.sum(axis=0)).max() < 1e-12)  # no shift passes
    ((8, 3), True)
    """
    if not callable(loss) or isinstance(loss, Loss | Objective):
        raise TypeError(
            f"norm_gradient: loss must be a function of the model's output, got {loss!r:.60}; "
            "write lambda y: criterion(y, target)"
        )
    tensors = [t for m in model.modules() for t in vars(m).values() if isinstance(t, Tensor)]
    shared = {id(t): t for t in tensors if isinstance(t, Parameter) or t._node is not None}
    model = copy.deepcopy(model, shared)  # weights are only read, and results cannot be copied
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

    def watched(input: Any) -> Any:
        """The layer, with a 0 added to its output whose gradient is the one that arrives there."""
        y = plain(input)
        calls.append((array_of(input), Tensor(np.zeros_like(array_of(y)), requires_grad=True)))
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


def tangential(w: Array | Tensor, g: Array | Tensor, axis: Axis | None = None) -> Any:
    """g without its part along w: g − w⟨w, g⟩/‖w‖².

    Parameters
    ----------
    w, g : arrays or Tensors of one shape, which the result has; ``ValueError`` for shapes that do
        not broadcast. A Tensor if one of them is.
    axis : that each vector lies along, by default all. Before a BatchNorm each row of a weight
        (out, in) is scale-invariant: ``axis=1``.

    The gradient of a scale-invariant function is tangential (Euler), so a step along it makes w
    longer: ‖w − ηg‖² = ‖w‖² + η²‖g‖² (claim C127). Where w is 0, all of g is left.

    >>> import minireg as mr
    >>> mr.implicit.tangential(np.array([3.0, 4.0]), np.array([1.0, 0.0]))
    array([ 0.64, -0.48])
    """
    square = (w * w).sum(axis=axis, keepdims=True)
    return g - w * (
        (w * g).sum(axis=axis, keepdims=True) / np.where(array_of(square) > 0, square, 1)
    )


def effective_lr(weight: Module | ArrayLike, lr: float, axis: Axis | None = None) -> Any:
    """η/‖w‖²: the learning rate of a scale-invariant weight's direction (claims C26, C127).

    f(w) = f(w/‖w‖) has the gradient ∇f(w/‖w‖)/‖w‖, so a step turns w by η/‖w‖² times the gradient
    at the unit vector: weight decay, which shortens w, raises it.

    Parameters
    ----------
    weight : an array or a Tensor; or a Module, for a dictionary by name of its scale-invariant
        weights: those of Linear and Conv2d layers that a Sequential follows directly by a BatchNorm
        (invariant in training mode), or, if they have no bias, by a LayerNorm, RMSNorm or
        GroupNorm. A normalisation's ε makes the invariance approximate.
    lr : η > 0.
    axis : that the norm is taken along, by default all; of one weight.

    Raises ``ValueError`` for another lr and for a model without such weights, ``TypeError`` for
    what is no array of numbers.

    >>> import minireg as mr
    >>> mr.implicit.effective_lr(np.array([3.0, 4.0]), lr=0.5)
    np.float64(0.02)
    >>> model = mr.nn.Sequential(mr.nn.Linear(2, 2), mr.nn.BatchNorm(2), mr.nn.Linear(2, 1))
    >>> [*mr.implicit.effective_lr(model, lr=0.5)]
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
