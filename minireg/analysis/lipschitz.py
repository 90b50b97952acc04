"""How far outputs can move: Lipschitz bounds, certificates, attacks, and the rescaling of ReLU.

Everything is ℓ2 and about the model in evaluation mode. A model's constant K lies between
:func:`lipschitz_lower`, found by search, and :func:`lipschitz_bound`, a product over the layers;
a sample's robust radius lies between :func:`certified_radius` and :func:`attack_radius`. Bounds and
certificates are computed on a float64 copy on the host, attacks run on the model's backend.

All raise ``TypeError`` for what is no Module; bounds and certificates raise ``FloatingPointError``
for weights that are not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import nn
from ..backend import Array, move, of
from ..engine import grad, jacobian
from ..messages import check_option
from ..mode import enable_grad
from ..nn.module import Module
from ..nn.utils.parametrize import is_parametrized, remove_parametrizations
from ..objective import AnyLoss
from ..ops.iterations import largest_pairs
from ..penalties import PathNorm
from ..random import Stream
from ..tensor import Tensor, tensor
from .inputs import check_labels, exact, on_host

Shape = tuple[int, ...]
FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]


def _frozen(model: Module) -> Module:
    """A copy in evaluation mode that needs no gradient and has no parametrized weights."""
    if not isinstance(model, Module):
        raise TypeError(f"lipschitz: model must be a Module, got {model!r:.60}")
    copy = deepcopy(model).eval()
    for module in filter(is_parametrized, list(copy.modules())):
        for name, _ in list(module.parametrizations.named_children()):
            remove_parametrizations(module, name)
    return copy.requires_grad_(False)


def _in_float64(model: Module) -> Module:
    """The frozen copy on the host in float64; ``FloatingPointError`` unless weights are finite."""
    copy = _frozen(model).to("numpy").double()
    for name, p in copy.named_parameters():
        if not np.isfinite(p.data).all():
            raise FloatingPointError(
                f"lipschitz: {name!r} holds NaN or inf, so there is nothing to bound; look for "
                "where training diverged"
            )
    return copy


def _like(array: Array, like: Array) -> Array:
    """The array with the backend and dtype of ``like``."""
    return move(array, of(like).name).astype(like.dtype, copy=False)


def _on_model(model: Module, x: ArrayLike) -> Array:
    """x as an array on the model's backend, in its dtype."""
    data = exact(x, "lipschitz: x")
    return _like(data, next((p.data for p in model.parameters()), data))


def _lengths(x: FloatArray, norm: float = 2) -> FloatArray:
    """The norm of each sample."""
    found: FloatArray = np.linalg.norm(x.reshape(len(x), math.prod(x.shape[1:])), norm, axis=1)
    return found


# --- the table of constants -----------------------------------------------------------------------


def _known(module: Module, shape: Shape | None) -> Shape:
    if shape is None:
        raise ValueError(
            f"lipschitz_bound: the constant of {type(module).__name__} depends on the size of its "
            "input; pass input_shape, the shape of one sample, as (C, H, W)"
        )
    return shape


def operator_norm(module: Module, shape: Shape | None, tolerance: float = 1e-10) -> float:
    """Largest singular value of the linear part of an affine ``module`` on inputs of ``shape``.

    Lanczos iteration on KᵀKv = ∇½‖Kv‖², from autograd, in float64. It converges from below, in far
    fewer products than power iteration; it ends when the residual is at most ``tolerance``
    (relative), which is added so that the result is not too small. ``ValueError`` if ``shape``,
    that of one sample, is None.

    >>> operator_norm(nn.AvgPool2d(2), (1, 4, 4))
    0.5
    """
    f, x = _in_float64(module), Tensor(np.zeros((1, *_known(module, shape))))
    origin, stream = f(x), Stream("operator norm", seed=0)

    def gram(v: FloatArray) -> FloatArray:
        at = Tensor(v.reshape(x.shape), requires_grad=True)
        with enable_grad():
            y = f(at) - origin
            (g,) = grad((y * y).sum() / 2, at)
        return g.data.reshape(-1)

    draw = lambda: stream.normal((x.size,))
    (value,), _, (residual,) = largest_pairs(gram, draw, tol=tolerance, early=True)
    return math.sqrt(max(value + residual, 0.0))


def _gamma(module: Any) -> Any:
    return 1.0 if module.weight is None else np.abs(module.weight.data)


def _batch_norm(module: Any, shape: Shape | None) -> float:
    if module.running_var is None:
        raise ValueError(
            "lipschitz_bound: a BatchNorm without running statistics normalises by its batch, so a "
            "sample has no constant of its own; set track_running_stats=True"
        )
    return float((_gamma(module) / np.sqrt(module.running_var.data + module.eps)).max())


def _sample_norm(module: Any, shape: Shape | None) -> float:
    """max|γ|/√ε, approached where the centred input is 0."""
    eps = np.finfo(np.float64).eps if module.eps is None else module.eps
    return float(np.max(_gamma(module))) / math.sqrt(eps) if eps > 0 else math.inf


def _log_softmax(module: Any, shape: Shape | None) -> float:
    """√n for n classes: ‖I − 1pᵀ‖ = √n‖p‖ (an oblique projection) as p tends to a corner."""
    sizes = (0, *_known(module, shape))
    if module.dim % len(sizes) == 0:
        raise ValueError("lipschitz_bound: LogSoftmax over axis 0 mixes samples; choose dim ≥ 1")
    return math.sqrt(sizes[module.dim])


def _max_pool(module: Any, shape: Shape | None) -> float:
    """√(the largest number of windows that share an element)."""
    k, s, d = (np.broadcast_to(v, 2) for v in (module.kernel_size, module.stride, module.dilation))
    return math.sqrt((-(-k * np.gcd(s, d) // s)).prod())


def _sequential(module: Any, shape: Shape | None) -> float:
    factors = []
    for layer in module:
        factors.append(_constant(layer, shape))
        if shape is not None:
            with np.errstate(all="ignore"):  # only the shape counts
                shape = layer(Tensor(np.zeros((1, *shape)))).shape[1:]
    return math.prod(factors) if all(factors) else 0.0  # not 0·∞


# fmt: off
CONSTANTS: dict[type[Module], Callable[[Any, Shape | None], float]] = {
    **dict.fromkeys((nn.Dropout, nn.Flatten, nn.Identity, nn.ReLU, nn.Softplus, nn.Tanh),
                    lambda m, shape: 1.0),
    **dict.fromkeys((nn.Conv2d, nn.AvgPool2d), operator_norm),
    **dict.fromkeys((nn.LayerNorm, nn.RMSNorm, nn.GroupNorm), _sample_norm),
    nn.BatchNorm:  _batch_norm,
    nn.GELU:       lambda m, shape: {  # x Φ(x) is steepest at √2, its approximation nearby
        "none": (1 + math.erf(1)) / 2 + 1 / (math.e * math.sqrt(math.pi)),
        "tanh": 1.12899306866}[m.approximate],
    nn.LeakyReLU:  lambda m, shape: max(1.0, abs(m.negative_slope)),
    nn.Linear:     lambda m, shape: float(np.linalg.norm(m.weight.data, 2)),
    nn.LogSoftmax: _log_softmax,
    nn.MaxPool2d:  _max_pool,
    nn.Sequential: _sequential,
    nn.Sigmoid:    lambda m, shape: 0.25,
    nn.SiLU:       lambda m, shape: (1 + 1.199678640257734) / 2,  # (1 + u)/2 at 2u, u tanh u = 1
    nn.Softmax:    lambda m, shape: 0.5,  # uᵀ(diag p − ppᵀ)u is a variance: ≤ (max u − min u)²/4
}
# fmt: on


def _kind(module: Module) -> type[Module] | None:
    """The class of the table that a module computes as; None if its own code is another."""
    for kind in () if "forward" in vars(module) else type(module).__mro__:
        if kind in CONSTANTS:
            return kind
        if not {"forward", "__call__"}.isdisjoint(vars(kind)):
            break
    return None


def _constant(module: Module, shape: Shape | None) -> float:
    if kind := _kind(module):
        return CONSTANTS[kind](module, shape)
    name = type(module).__name__
    if "forward" in vars(module):
        raise TypeError(
            f"lipschitz_bound: no constant is known for a {name} whose own forward was assigned; "
            "define that forward in a subclass, and register its constant in "
            "minireg.analysis.lipschitz.CONSTANTS"
        )
    raise TypeError(
        f"lipschitz_bound: no constant is known for {name}, expected one of "
        f"{', '.join(sorted(kind.__name__ for kind in CONSTANTS))}; register one: "
        f"minireg.analysis.lipschitz.CONSTANTS[{name}] = lambda module, shape: …"
    )


# --- the bracket around K -------------------------------------------------------------------------


def lipschitz_bound(model: Module, input_shape: Sequence[int] | None = None) -> float:
    """Product of the ℓ2 Lipschitz constants of the layers: ‖f(a) − f(b)‖ ≤ bound·‖a − b‖.

    An upper bound on the model's constant in evaluation mode, often a loose one (claims C87, C88,
    C91).

    Parameters
    ----------
    model : a layer, or a Sequential of them.
    input_shape : that of one sample, such as (C, H, W); convolutions, average pooling and
        LogSoftmax need it.

    Exact for each layer alone: singular values of matrices and of convolutions as operators
    (:func:`operator_norm`; parametrized weights count as they are used), max|γ|/√(σ² + ε) for
    BatchNorm, the steepest slope of an activation (Sigmoid ¼, SiLU 1.0998, GELU 1.1289), ½ for
    Softmax, √n for LogSoftmax of n classes, and for MaxPool2d the root of the number of windows
    that share an element. LayerNorm, RMSNorm and GroupNorm are steepest where their input is
    constant, so only ε bounds them: max|γ|/√ε, ∞ without an ε.

    Raises ``TypeError`` for a module that is not in :data:`CONSTANTS`, to which others may be
    added, and ``ValueError`` where the input's shape is needed and for a BatchNorm without running
    statistics.

    >>> import minireg as mr
    >>> model = mr.nn.Sequential(mr.nn.Linear(2, 2, bias=False), mr.nn.Sigmoid())
    >>> _ = model[0].weight.assign(np.diag([3.0, 4.0]))
    >>> mr.lipschitz_bound(model)
    1.0
    """
    return _constant(_in_float64(model), None if input_shape is None else tuple(input_shape))


def _largest_slope(f: Module, a: FloatArray, b: FloatArray) -> float:
    """The largest ‖f(a) − f(b)‖/‖a − b‖ of pairs of samples that differ."""
    moved, apart = _lengths((f(Tensor(a)) - f(Tensor(b))).data), _lengths(a - b)
    return float((moved[apart > 0] / apart[apart > 0]).max(initial=0.0))


def lipschitz_lower(model: Module, x: ArrayLike, samples: int = 1000, seed: int = 0) -> float:
    """The largest slope ‖f(a) − f(b)‖/‖a − b‖ found around and between the samples of x.

    A lower bound on the model's constant K in evaluation mode (claim C88). Around a sample the pair
    lies along the first right singular vector of its Jacobian (one backward pass per output for all
    samples), 10⁻⁵ apart: this gives the Jacobian's norm to about 10 digits, and at kinks, where
    that norm is no bound, it is one.

    Parameters
    ----------
    x : inputs (N, …), N ≥ 1; ``ValueError`` for shapes that the model does not take.
    samples, seed : number ≥ 0 of random pairs of samples that are compared as well, and their seed.

    >>> import minireg as mr
    >>> round(mr.lipschitz_lower(mr.nn.Sigmoid(), np.zeros((1, 3))), 6)
    0.25
    """
    f, points = _in_float64(model), on_host(x)
    # a sample moves its own outputs only, so the sum over samples keeps each one's derivatives
    rows = jacobian(lambda t: f(t).reshape(len(points), -1).sum(axis=0), points).data
    rows = rows.reshape(*rows.shape[:2], -1).swapaxes(0, 1)
    first = np.linalg.svd(rows, full_matrices=False)[2][:, 0].reshape(points.shape)
    pairs = Stream("pairs", seed).uniform(0, len(points), (2, samples)).astype(np.int64)
    return max(
        _largest_slope(f, points - 5e-6 * first, points + 5e-6 * first),
        _largest_slope(f, points[pairs[0]], points[pairs[1]]),
    )


# --- the bracket around a sample's robust radius --------------------------------------------------


def certified_radius(
    model: Module, x: ArrayLike, labels: ArrayLike | None = None, pairwise: bool = False
) -> FloatArray:
    """For each sample an ℓ2 radius (N,) within which the prediction cannot change (C89, C90).

    The margin z_y − max z_j over √2·K, K the model's :func:`lipschitz_bound`: the difference of
    two logits is (e_y − e_j)ᵀf, and ‖e_y − e_j‖ = √2, the factor that "margin over K" lacks.

    Parameters
    ----------
    model, x : a classifier, and inputs (N, …) for which it returns logits (N, C ≥ 2).
    labels : integers (N,), by default the predictions; where these are wrong the radius is 0.
    pairwise : for a model that ends in a Linear layer, the least (z_y − z_j)/(K′‖w_y − w_j‖) with
        K′ of the layers before it, which is never smaller.

    ``ValueError`` for other logits and labels and for ``pairwise`` without that layer, otherwise
    the errors of :func:`lipschitz_bound`.

    >>> import minireg as mr
    >>> model = mr.nn.Linear(2, 2).to(np.float64)
    >>> _ = model.weight.assign(np.eye(2)), model.bias.assign(0.0)
    >>> mr.certified_radius(model, np.array([[3.0, 1.0]])).round(4)
    array([1.4142])
    """
    f, points = _in_float64(model), on_host(x)
    logits = f(Tensor(points)).data
    y = logits.argmax(axis=-1) if labels is None else tensor(labels).numpy()
    check_labels("certified_radius", logits, y)
    head = np.eye(logits.shape[1])
    if pairwise:
        layers: list[Any] = [*f.children()] if _kind(f) is nn.Sequential else [f]
        if not layers or _kind(layers[-1]) is not nn.Linear:
            raise ValueError(
                f"certified_radius: pairwise needs a Linear layer at the end, got {layers[-1:]}; "
                "leave it out"
            )
        f, head = nn.Sequential(*layers[:-1]), layers[-1].weight.data
    apart = np.stack([np.linalg.norm(head - row, axis=1) for row in head])
    gap = logits[np.arange(len(y)), y, None] - logits
    is_label = np.arange(len(head)) == y[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # equal rows keep their distance
        slope = np.where(apart > 0, _constant(f, points.shape[1:]) * apart, 0.0)[y]
        radius = np.where(gap > 0, gap / slope, 0.0)
    smallest: FloatArray = np.where(is_label, np.inf, radius).min(axis=1)
    return smallest


def pgd_attack(
    model: Module,
    loss: AnyLoss,
    x: ArrayLike,
    y: ArrayLike,
    radius: ArrayLike,
    steps: int = 40,
    step_size: float | None = None,
    norm: float = 2,
    seed: int = 0,
) -> Tensor:
    """x moved within ``radius`` so that the loss against y grows: projected gradient ascent.

    Parameters
    ----------
    model : attacked in evaluation mode, on its backend and in its dtype.
    loss : of (outputs, y), for example ``nn.CrossEntropyLoss()``.
    x, y : inputs (N, …) and their targets (N, …).
    radius : of the ball around each sample, ≥ 0, one or (N,).
    steps : number of steps, ≥ 1.
    step_size : their length in the ball's norm, by default 2.5·radius/steps.
    norm : of the ball, 2 or ``math.inf``.
    seed : of the start.

    Returns the moved inputs (N, …). Each step follows the gradient of each sample and then goes to
    the nearest point of the ball (Madry et al. 2018). The start is x plus a random thousandth of
    the radius, so that for a linear model the first step is the best one. Raises ``ValueError`` for
    a radius, steps or norm that are none of these.

    >>> import minireg as mr
    >>> x = np.array([[1.0, 0.0]])
    >>> moved = mr.pgd_attack(mr.nn.Identity(), mr.nn.MSELoss(), x, 0 * x, radius=0.5)
    >>> moved.shape, round(moved[0, 0].item(), 1)
    ((1, 2), 1.5)
    """
    check_option("pgd_attack", (2, math.inf), norm=norm)
    check_option("pgd_attack", 1, steps=steps)
    f, start = _frozen(model), _on_model(model, x)
    radii = on_host(radius)
    if radii.shape not in ((), (len(start),)) or not (radii >= 0).all():
        raise ValueError(f"pgd_attack: radius must be ≥ 0, one or {len(start)}, got {radius!r:.60}")
    ball = _like(radii.reshape(-1, *(1,) * (start.ndim - 1)), start)
    stride = 2.5 * ball / steps if step_size is None else step_size
    axes, tiny = tuple(range(1, start.ndim)), float(np.finfo(start.dtype).tiny)

    def length(d: Any) -> Any:
        return np.sqrt(np.square(d).sum(axis=axes, keepdims=True))

    def steepest(g: Any) -> Any:
        if norm != 2:
            return np.sign(g)
        g = g / np.maximum(np.abs(g).max(axis=axes, keepdims=True), tiny)  # squares underflow
        return g / np.maximum(length(g), tiny)

    def project(d: Any) -> Any:
        if norm != 2:
            return np.maximum(np.minimum(d, ball), -ball)
        return d * np.minimum(1, ball / np.maximum(length(d), tiny))

    moved = 1e-3 * ball * steepest(_like(Stream("attack", seed).normal(start.shape), start))
    target = move(tensor(y).data, of(start).name)
    for _ in range(steps):
        t = Tensor(start + moved, requires_grad=True)
        with enable_grad():
            (g,) = grad(loss(f(t), target).sum(), t)
        moved = project(moved + stride * steepest(g.data))
    return Tensor(start + moved)


def attack_radius(
    model: Module,
    loss: AnyLoss,
    x: ArrayLike,
    y: ArrayLike,
    largest: float | None = None,
    rounds: int = 20,
    steps: int = 40,
    norm: float = 2,
    seed: int = 0,
) -> FloatArray:
    """Lengths (N,) of the shortest perturbations found that change the predictions.

    An upper bound on the robust radius, so never below :func:`certified_radius` (claims C89, C90).
    From ``largest``/1000 on, the radius of :func:`pgd_attack` doubles until the prediction differs
    from the label; then it is bisected, for each sample separately. 0 where the prediction is wrong
    already, ∞ where nothing was found.

    Parameters
    ----------
    model, loss, steps, norm, seed : as for :func:`pgd_attack`, errors too.
    x, y : inputs (N, …) with logits (N, C ≥ 2), and labels (N,) in 0 … C − 1; ``ValueError``
        otherwise.
    largest : radius to search up to, by default twice the largest norm in x, which reaches from any
        sample to any other.
    rounds : number of attacks in all.

    >>> import minireg as mr
    >>> model = mr.nn.Linear(1, 2).to(np.float64)
    >>> _ = model.weight.assign([[1.0], [-1.0]]), model.bias.assign(0.0)
    >>> mr.attack_radius(model, mr.nn.CrossEntropyLoss(), [[3.0]], [0]).round(1)
    array([3.])
    """
    f, start = _frozen(model), _on_model(model, x)
    before, labels = on_host(start), tensor(y).numpy()
    largest = largest or 2 * float(_lengths(before, norm).max(initial=0.0)) or 1.0
    logits = f(Tensor(start)).numpy()
    check_labels("attack_radius", logits, labels)
    shortest = np.where(logits.argmax(axis=1) == labels, np.inf, 0.0)
    below, radius = np.zeros(len(labels)), np.full(len(labels), largest / 1000)
    for _ in range(rounds):
        moved = pgd_attack(f, loss, start, y, radius, steps, None, norm, seed)
        changed = f(moved).numpy().argmax(axis=1) != labels
        found = np.where(changed, _lengths(on_host(moved) - before, norm), np.inf)
        shortest, below = np.minimum(shortest, found), np.where(changed, below, radius)
        beyond = np.where(np.isinf(shortest), 3 * below, shortest)
        radius = np.minimum((below + beyond) / 2, largest)
    return shortest


# --- ReLU's rescaling -----------------------------------------------------------------------------


def path_norm(model: Module) -> float:
    """Σ over input–output paths of the product of squared weights, as :class:`PathNorm` has it.

    A complexity that :func:`rescale` does not change (claim C100). The weights must be a chain of
    matrices (out, in), ``ValueError`` otherwise; parametrized ones count as they are used.

    >>> import minireg as mr
    >>> model = mr.nn.Sequential(mr.nn.Linear(3, 2), mr.nn.ReLU())
    >>> _ = model[0].weight.assign(1.0)
    >>> mr.path_norm(model)
    6.0
    """
    return float(PathNorm(1.0).value(_in_float64(model)))


def _leaves(model: Module, prefix: str = "") -> list[tuple[str, Module]]:
    """The layers of nested Sequentials in order, with their names."""
    if _kind(model) is not nn.Sequential:
        return [(prefix, model)]
    return [
        leaf
        for name, child in model.named_children()
        for leaf in _leaves(child, f"{prefix}.{name}" if prefix else name)
    ]


_HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.Dropout, nn.Identity)


def rescale(model: Module, layer: str | int, factors: ArrayLike) -> Module:
    """Scale the units of a hidden Linear layer by ``factors`` > 0, in place; returns the model.

    The weights and bias of unit i are multiplied by c_i and its column in the next Linear layer is
    divided by c_i. As ReLU(cz) = c·ReLU(z) the function stays the same, and so does
    :func:`path_norm`; the L2 norm does not (claims C99, C100).

    Parameters
    ----------
    model : a Sequential, in which only ReLU, LeakyReLU, Dropout and Identity are between the two
        Linear layers.
    layer : the first of them, by its name in ``named_modules`` or its index.
    factors : c, finite and > 0, one or (units,).

    Raises ``ValueError`` for other layers and factors, and for weights that are parametrized or
    used twice.

    >>> import minireg as mr
    >>> model = mr.nn.Sequential(mr.nn.Linear(2, 3), mr.nn.ReLU(), mr.nn.Linear(3, 1))
    >>> x = mr.tensor(np.ones((1, 2))); before = model(x).item()
    >>> abs(mr.rescale(model, "0", [0.5, 2.0, 4.0])(x).item() - before) < 1e-6
    True
    """
    leaves: dict[str, Any] = dict(_leaves(model))
    if (name := str(layer)) not in leaves:
        raise ValueError(f"rescale: no layer {name!r}, expected one of {list(leaves)}")
    after = iter([*leaves.values()][[*leaves].index(name) + 1 :])
    one, two = leaves[name], next((m for m in after if _kind(m) not in _HOMOGENEOUS), None)
    if not two or {_kind(one), _kind(two)} != {nn.Linear}:
        raise ValueError(
            f"rescale: layer {name!r} is {one!r} and what comes after it, except ReLU, LeakyReLU, "
            f"Dropout and Identity, is {two!r}; expected two Linear layers"
        )
    bias = [] if one.bias is None else [one.bias]
    changed = [vars(one).get("weight"), vars(two).get("weight"), *bias]
    held = [t for _, t in model._named_tensors()]
    if any(sum(t is other for other in held) != 1 for t in changed):
        raise ValueError(
            f"rescale: layer {name!r} or the next has a weight that is parametrized or used twice; "
            "remove the parametrization or copy the layer"
        )
    c = on_host(factors)
    if c.shape not in ((), (one.out_features,)) or not (np.isfinite(c) & (c > 0)).all():
        raise ValueError(
            f"rescale: factors must be finite and > 0, one or {one.out_features}, got "
            f"{factors!r:.60}"
        )
    scale = _like(np.broadcast_to(c, one.out_features), one.weight.data)
    one.weight.assign(one.weight.data * scale[:, None])
    if one.bias is not None:
        one.bias.assign(one.bias.data * scale)
    two.weight.assign(two.weight.data / scale)
    return model
