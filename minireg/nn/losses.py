r"""Losses: the data terms of an objective.

A cross entropy, with class weights, ignored labels, label smoothing or probability
targets, is :math:`-\sum_c q_c\log p_c` against a target distribution q that carries all
of these options; so one fused op serves them all. A loss that contains a regularizer
says so in ``parts``: cross entropy with smoothing ε is "data" plus "smoothing".

Each loss is a function of (input, target, options) and a module that keeps the options, both
with PyTorch's names. ``input`` is the model's output, x in formulas; classes lie on axis 1.
Kinks follow the table of ops: |·|′(0) = 0, and a hinge has gradient 0 where it is exactly met.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import fields
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from ..backend import NUMPY, as_array, has_kernel, of
from ..messages import Limit, check_option
from ..ops import fused
from ..ops.elementwise import relu, softplus
from ..ops.table import array_like, array_of, wide
from ..tensor import Tensor
from .module import AnyArray, Options

Reduction = Literal["mean", "sum", "none"]
KLReduction = Literal["mean", "sum", "none", "batchmean"]
REDUCTIONS, KL_REDUCTIONS = get_args(Reduction), get_args(KLReduction)

_LIMITS: dict[str, Limit] = {
    "label_smoothing": "[0, 1]", "beta": "[0, inf)", "margin": "[0, inf)", "p": (1, 2),
    "ignore_index": int,
}  # fmt: skip


# --- what the losses share ------------------------------------------------------------------


def _check(owner: str, reductions: tuple[str, ...] = REDUCTIONS, **options: Any) -> None:
    """Raise ``ValueError`` for an option out of its range."""
    for name, limit in {**_LIMITS, "reduction": reductions}.items():
        if name in options:
            check_option(owner, limit, **{name: options[name]})


def floating(name: str, **arrays: AnyArray) -> None:
    """``ValueError`` for integers, which NumPy would promote to float64."""
    for what, a in arrays.items():
        if a.dtype.kind != "f":
            raise ValueError(
                f"{name}: got {what} of dtype {a.dtype}, expected a floating type; convert it with "
                ".astype('float32')"
            )


def _pair(name: str, x: Any, target: Any, **options: Any) -> tuple[Any, Any]:
    """x and target in x's dtype, after a check of the options.

    Targets may be integers, or one number for all of x. Other shapes must agree:
    broadcasting would let (N, 1) against (N,) pass unnoticed.
    """
    _check(name, **options)
    x = array_like(x, f"{name}: input")
    target = array_like(target, f"{name}: target", x.dtype)
    if target.dtype.kind in "iub":
        target = array_of(target).astype(x.dtype)
    floating(name, input=x, target=target)
    if target.ndim == 0 < x.ndim:
        target = np.broadcast_to(target, x.shape)
    if x.shape != target.shape:
        raise ValueError(
            f"{name}: got input of shape {x.shape} and target of shape {target.shape}, expected equal "
            "shapes; reshape one of them"
        )
    return x, target


def _factor(name: str, what: str, factor: Any, x: Any) -> Any:
    """A constant in x's dtype; it must broadcast to x's shape."""
    factor = _weights(name, what, factor)
    pairs = zip(factor.shape[::-1], x.shape[::-1], strict=False)
    if len(factor.shape) > x.ndim or any(n not in (1, m) for n, m in pairs):
        raise ValueError(
            f"{name}: got {what} of shape {factor.shape}, expected one that broadcasts to {x.shape}"
        )
    return factor.astype(x.dtype)


def _weights(name: str, what: str, weights: Any) -> Any:
    """``weights`` as an array; ``ValueError`` for a negative one (not on a GPU: it would wait)."""
    found = as_array(weights, f"{name}: {what}", np.float64)
    if of(found) is NUMPY and (found < 0).any():
        raise ValueError(f"{name}: {what} must be ≥ 0, got {found.min()}")
    return found


_warned: set[str] = set()


def _suspect(name: str, z: Any, rows: bool) -> None:
    """Warn once if logits are probabilities beyond doubt; never ask a GPU, which would wait."""
    a = array_of(z)
    if type(a) is not np.ndarray or name in _warned or a.size < 2:
        return
    if not all(0 <= a.item(i) <= 1 for i in (0, a.size - 1)):  # nearly always: no pass over all
        return
    low, high = a.min(), a.max()
    if low < 0 or high > 1 or (low == 0 and high == 1 and ((a == 0) | (a == 1)).all()):
        return
    if rows:
        certain = a.ndim == 2 and len(a) > 1 < a.shape[1] and abs(a.sum(axis=1) - 1).max() < 1e-3
    else:
        certain = a.size >= 16 and high - low > 0.5
    if certain:
        _warned.add(name)
        makes, signs = ("softmax", ", rows sum to 1") if rows else ("sigmoid", "")
        warnings.warn(
            f"{name}: the logits look like probabilities (all in [0, 1]{signs}); it applies the {makes} "
            "itself, so leave out the model's (said once)",
            stacklevel=4,
        )


def _reduce(loss: Any, reduction: str, divisor: Any = None) -> Any:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.mean() if divisor is None else fused.per(loss, divisor)


# --- labels as a target distribution ---------------------------------------------------------


def _classes_last(name: str, x: Any) -> Any:
    x = array_like(x, f"{name}: logits")
    floating(name, logits=x)
    if x.ndim == 0:
        raise ValueError(f"{name}: got scalar logits, expected (C,), (N, C) or (N, C, …)")
    return np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def _labels(
    name: str, z: Any, target: Any, ignore_index: int | None = None, instead: str = ""
) -> Any:
    """The labels as an array, for z with classes last; ``ValueError`` if they are none for it."""
    labels, classes = as_array(target, f"{name}: target"), z.shape[-1]
    if labels.shape != z.shape[:-1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: got targets of shape {labels.shape} and dtype {labels.dtype} for logits of "
            f"shape {z.shape} (classes last); expected integer labels of shape {z.shape[:-1]}{instead}"
        )
    if of(labels) is NUMPY and labels.size:  # on a GPU the check would wait for the device
        wrong = labels[~_ignored(labels, ignore_index) & ((labels < 0) | (labels >= classes))]
        if wrong.size:
            unless = "" if ignore_index is None else f" and is not ignore_index={ignore_index}"
            raise ValueError(
                f"{name}: label {int(wrong[0])} is outside 0 … {classes - 1} ({classes} classes){unless}"
            )
    return labels


def _ignored(labels: Any, ignore_index: int | None) -> Any:
    return np.zeros_like(labels, dtype=bool) if ignore_index is None else labels == ignore_index


def _one_hot(classes: int, labels: Any, ignore_index: int | None = None) -> tuple[Any, Any]:
    """(which class each label chooses, which labels count), with classes last."""
    kept = np.expand_dims(~_ignored(labels, ignore_index), -1)
    # an ignored label (it may be a class) chooses nothing: its row of q is 0
    return (np.expand_dims(labels, -1) == of(labels).xp.arange(classes)) & kept, kept


def _class_weight(name: str, z: Any, weight: Any) -> Any:
    if weight is None:
        return None
    weight = _weights(name, "weight", weight)
    if weight.shape != z.shape[-1:]:
        raise ValueError(
            f"{name}: got weight of shape {weight.shape}, expected {z.shape[-1:]}, one a class (other "
            "options go by keyword)"
        )
    return weight.astype(z.dtype)


def _smoothed(q: Any, kept: Any, w: Any, label_smoothing: float) -> tuple[Any, Any]:
    """(q hard, q smoothed), both weighted; ``kept`` is 0 where a row does not count."""
    hard = q if w is None else q * w
    if not label_smoothing:
        return hard, hard
    soft = q * (1 - label_smoothing) + kept * (label_smoothing / q.shape[-1])
    return hard, soft if w is None else soft * w


@has_kernel("targets")
def _of_labels(
    labels: Any, w: Any, *, dtype: Any, classes: int, ignore_index: int, label_smoothing: float
) -> tuple[Any, Any, Any]:
    """(q hard, q smoothed, Σ q hard) of integer labels, with classes last."""
    q, kept = (a.astype(dtype) for a in _one_hot(classes, labels, ignore_index))
    hard, soft = _smoothed(q, kept, w, label_smoothing)
    return hard, soft, wide(hard).sum()


def _distribution(
    logits: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float
) -> tuple[Any, Any, Any, Any]:
    """(logits, q hard, q smoothed, divisor of the mean), all with classes last."""
    name, logits = "cross_entropy", array_like(logits, "cross_entropy: logits")
    z = _classes_last(name, logits)
    w = _class_weight(name, z, weight)
    target = array_like(target, "cross_entropy: target", z.dtype)
    _suspect(name, z, rows=True)
    if target.dtype.kind != "f":
        instead = " or floating probabilities of the logits' shape"
        labels = _labels(name, z, target, ignore_index, instead)
        options = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
        return z, *_of_labels(labels, w, dtype=z.dtype, classes=z.shape[-1], **options)
    if target.shape != logits.shape:
        raise ValueError(
            f"{name}: got probability targets of shape {target.shape} for logits of shape "
            f"{logits.shape}; expected the same shape, or labels as integers "
            "(.astype(int)), none of them missing"
        )
    hard, soft = _smoothed(_classes_last(name, target), 1.0, w, label_smoothing)
    return z, hard, soft, max(math.prod(z.shape[:-1]), 1)


def _cost(q: Any, log_p: Any) -> Any:
    """−q·log p with 0·log 0 = 0: a class of no weight costs nothing."""
    return -(q * np.where(q == 0, 0, log_p))


# --- the losses as functions --------------------------------------------------------------------


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    r"""Softmax cross entropy :math:`-\sum_c q_c \log p_c`, p = softmax(input), as PyTorch's.

    Parameters
    ----------
    input : logits (C,), (N, C) or (N, C, …), floating.
    target : integer labels in 0 … C − 1 (the logits' shape without C), or probabilities q of
        the logits' shape.
    weight : (C,) one factor ≥ 0 per class; the mean divides by the sum of the labels' weights.
    ignore_index : label whose rows cost nothing and do not count in the mean.
    reduction : "mean", "sum" or "none" (one value per label).
    label_smoothing : ε in [0, 1]; q = (1 − ε)·one-hot + ε/C (claim C80).

    Raises ``ValueError`` for shapes that do not fit, labels and options out of range and
    negative weights (labels and weights on a GPU are not checked); ``TypeError`` for what is
    not numbers. Warns once if the logits are plainly probabilities.

    >>> round(float(cross_entropy(np.zeros((1, 4)), np.array([2]))), 4)
    1.3863
    """
    _check("cross_entropy", reduction=reduction, label_smoothing=label_smoothing)
    _check("cross_entropy", ignore_index=ignore_index)
    z, _, soft, divisor = _distribution(input, target, weight, ignore_index, label_smoothing)
    return _reduce(fused.cross_entropy(z, soft), reduction, divisor)


def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Any:
    """Negative log-likelihood −w_y·x_y of the label y, for log-probabilities x, as PyTorch's.

    Of ``log_softmax(logits)`` it is :func:`cross_entropy`.

    Parameters
    ----------
    input : log-probabilities x (C,), (N, C) or (N, C, …), floating.
    target : integer labels in 0 … C − 1, the input's shape without C.
    weight, ignore_index, reduction : as of :func:`cross_entropy`.

    Raises ``ValueError`` as :func:`cross_entropy`.

    >>> float(nll_loss(np.array([[-1.0, -2.0, -3.0]]), np.array([1])))
    2.0
    """
    _check("nll_loss", reduction=reduction, ignore_index=ignore_index)
    z = _classes_last("nll_loss", input)
    chosen, _ = _one_hot(z.shape[-1], _labels("nll_loss", z, target, ignore_index), ignore_index)
    q, w = chosen.astype(z.dtype), _class_weight("nll_loss", z, weight)
    q = q if w is None else q * w
    return _reduce(_cost(q, z).sum(axis=-1), reduction, wide(q).sum())


def mse_loss(input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean") -> Any:
    """The squared error (x − target)², as PyTorch's.

    Parameters
    ----------
    input : x, of any shape, floating.
    target : of the same shape, or one number for all; integers are converted.
    reduction : "mean" over all elements, "sum" or "none" (the input's shape).

    Raises ``ValueError`` for other shapes, so (N, 1) against (N,) does not broadcast to
    (N, N), for an input of integers, and for another reduction.

    >>> float(mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    x, y = _pair("mse_loss", input, target, reduction=reduction)
    return _reduce(np.square(x - y), reduction)


def l1_loss(input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean") -> Any:
    """The absolute error |x − target|, its gradient 0 where they are equal, as PyTorch's.

    Parameters and errors (``ValueError``) are those of :func:`mse_loss`.

    >>> float(l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    x, y = _pair("l1_loss", input, target, reduction=reduction)
    return _reduce(np.abs(x - y), reduction)


def smooth_l1_loss(
    input: ArrayLike, target: ArrayLike, reduction: Reduction = "mean", beta: float = 1.0
) -> Any:
    """½d²/β where |d| < β and |d| − ½β elsewhere, d = x − target, as PyTorch's.

    Huber's loss (1964) divided by β; β = 0 is :func:`l1_loss`. ``beta`` is β ≥ 0; the other
    parameters and errors (``ValueError``) are those of :func:`mse_loss`.

    >>> smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    x, y = _pair("smooth_l1_loss", input, target, reduction=reduction, beta=beta)
    d = x - y
    if beta == 0:
        return _reduce(np.abs(d), reduction)
    c = np.clip(d, -beta, beta)
    return _reduce(c * (d - 0.5 * c) / beta, reduction)


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> Any:
    """−w·(c·t·log σ(x) + (1 − t)·log(1 − σ(x))) for logits x and targets t, as PyTorch's.

    Written with softplus(x) = −log(1 − σ(x)), which keeps its relative precision however
    large x is.

    Parameters
    ----------
    input : logits x of any shape, floating.
    target : t in [0, 1] of the same shape, or one number for all.
    weight : w ≥ 0, a factor for each element, broadcast to the logits' shape; None for 1.
    reduction : "mean" over all elements, "sum" or "none" (the logits' shape).
    pos_weight : c ≥ 0, a factor for the positive share, usually (C,) for logits (N, C); None
        for 1.

    Raises ``ValueError`` for shapes that do not fit, an input of integers, a negative weight
    (not checked on a GPU) and another reduction. Warns once if the logits are plainly
    probabilities.

    >>> round(float(binary_cross_entropy_with_logits(np.zeros(2), np.array([0.0, 1.0]))), 4)
    0.6931
    """
    name = "binary_cross_entropy_with_logits"
    x, t = _pair(name, input, target, reduction=reduction)
    _suspect(name, x, rows=False)
    positive = t if pos_weight is None else t * _factor(name, "pos_weight", pos_weight, x)
    loss = positive * softplus(-x) + (1 - t) * softplus(x)
    return _reduce(loss if weight is None else loss * _factor(name, "weight", weight, x), reduction)


def kl_div(
    input: ArrayLike, target: ArrayLike, reduction: KLReduction = "mean", log_target: bool = False
) -> Any:
    """t·(log t − x), elementwise, for log-probabilities x and probabilities t, as PyTorch's.

    0·log 0 = 0, also where x is −∞.

    Parameters
    ----------
    input : log-probabilities x of any shape, floating.
    target : t of the same shape, or one number for all.
    reduction : "batchmean", the Kullback–Leibler divergence per sample: the sum over
        everything divided by the length of the first axis; "mean" over all elements, which
        divides by the classes, too; "sum"; or "none" (the input's shape).
    log_target : whether the target is log t.

    Raises ``ValueError`` for other shapes, an input of integers, and another reduction.

    >>> p = np.array([[0.5, 0.5]])
    >>> float(kl_div(np.log(p), p, reduction="batchmean"))
    0.0
    """
    _check("kl_div", KL_REDUCTIONS, reduction=reduction)
    x, t = _pair("kl_div", input, target)
    if log_target:
        loss = np.exp(t) * np.where(t == -np.inf, 0, t - x)
    else:
        loss = t * np.log(np.where(t == 0, 1, t)) + _cost(t, x)
    if reduction == "batchmean":
        return _reduce(loss, "mean", loss.shape[0] if loss.ndim else 1)
    return _reduce(loss, reduction)


def hinge_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    reduction: Reduction = "mean",
) -> Any:
    """The margin that is missing, to the power p: the loss of support vector machines.

    Binary: max(0, m − y·s)ᵖ for labels y = ±1. Multi-class: the mean over all C classes of
    max(0, m − s_y + s_c)ᵖ with 0 for c = y, as PyTorch's ``MultiMarginLoss`` (Weston and
    Watkins 1999). Where the margin is met exactly the gradient is 0.

    Parameters
    ----------
    input : scores s; multi-class (C,), (N, C) or (N, C, …), floating.
    target : labels ±1 (integers or floats) of the scores' shape, or integer labels in
        0 … C − 1 of that shape without C.
    p : 1 or 2, the squared hinge.
    margin : m ≥ 0.
    reduction : "mean", "sum" or "none" (one value per label).

    Raises ``ValueError`` for other labels and shapes, scores of integers, and options out of
    range.

    >>> hinge_loss(np.array([2.0, 0.25, -1.0]), np.array([1, 1, 1]), reduction="none")
    array([0.  , 0.75, 2.  ])
    """
    _check("hinge_loss", reduction=reduction, p=p, margin=margin)
    scores, y = array_like(input, "hinge_loss: scores"), as_array(target, "hinge_loss: target")
    if y.shape == scores.shape:
        floating("hinge_loss", scores=scores)
        if of(y) is NUMPY and not (np.abs(y) == 1).all():
            raise ValueError(
                f"hinge_loss: got targets {np.unique(y)[:5]} of the scores' shape {scores.shape}, "
                "expected labels -1 and 1; integer classes 0 … C - 1 need scores (N, C)"
            )
        missing = relu(margin - y.astype(scores.dtype) * scores)
        return _reduce(missing if p == 1 else np.square(missing), reduction)
    s = _classes_last("hinge_loss", scores)
    labels = _labels("hinge_loss", s, y, instead=", or labels ±1 of the scores' shape")
    chosen, _ = _one_hot(s.shape[-1], labels)
    right = np.where(chosen, s, 0).sum(axis=-1, keepdims=True)
    missing = np.where(chosen, 0, relu(margin - right + s))
    return _reduce((missing if p == 1 else np.square(missing)).mean(axis=-1), reduction)


# --- the losses as modules ----------------------------------------------------------------------


class Loss(Options):
    """Base of losses: ``loss(input, target)``, and its ``parts`` as named terms.

    A subclass annotates the options of its ``function``. Raises ``ValueError`` for an
    option out of its range when it is made, and the function's errors when it is called.
    """

    reductions: ClassVar[tuple[str, ...]] = REDUCTIONS

    def __post_init__(self) -> None:
        owner = type(self).__name__
        _check(owner, self.reductions, **self.options())
        for what in ("weight", "pos_weight"):
            given = getattr(self, what, None)
            if given is not None:
                found = _weights(owner, what, given)
                setattr(self, what, given if isinstance(given, Tensor) else found)

    def parts(self, input: ArrayLike, target: ArrayLike) -> dict[str, Any]:
        """The loss as named terms that sum to it: "data", and a regularizer that it contains.

        >>> from minireg import nn, tensor
        >>> nn.MSELoss().parts(tensor([1.0]), tensor([3.0]))["data"].item()
        4.0
        """
        return {"data": self(input, target)}

    def extra_repr(self) -> str:
        """The options that are not the default; arrays as …."""
        defaults = {f.name: repr(f.default) for f in fields(self)}
        texts = {
            name: repr(value) if isinstance(value, str | int | float | None) else "…"
            for name, value in self.options().items()
        }
        return ", ".join(f"{name}={text}" for name, text in texts.items() if text != defaults[name])


class CrossEntropyLoss(Loss, function=cross_entropy):
    """Softmax cross entropy −Σ q log p, :func:`cross_entropy` as a module; as PyTorch's.

    Called with logits (C,), (N, C) or (N, C, …) and integer labels (their shape without C) or
    probabilities (their shape), it gives a number, or one per label.

    Parameters
    ----------
    weight : (C,) one factor ≥ 0 per class, or None for 1.
    ignore_index : label whose rows cost nothing and do not count in the mean.
    reduction : "mean", "sum" or "none".
    label_smoothing : ε in [0, 1], q = (1 − ε)·one-hot + ε/C (claims C80, C82).

    Raises ``ValueError`` for options out of range, and when called for shapes that do not fit
    and labels out of range.

    >>> from minireg import nn, tensor
    >>> loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    >>> list(loss.parts(tensor([[2.0, 0.0]]), tensor([0])))
    ['data', 'smoothing']
    """

    weight: ArrayLike | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    label_smoothing: float = 0.0

    formula = "−Σ q log softmax(z), q = (1 − ε)·onehot + ε/C"

    def parts(self, input: ArrayLike, target: ArrayLike) -> dict[str, Any]:
        """ "data": the loss at ε = 0; "smoothing": what ε adds, −Σ (q_ε − q₀) log p.

        The logit gradient of the second is ε(q₀ − 1/C), whatever the logits are.
        """
        options = self.options()
        reduction = options.pop("reduction")
        z, hard, soft, divisor = _distribution(input, target, **options)
        parts = {"data": _reduce(fused.cross_entropy(z, hard), reduction, divisor)}
        if self.label_smoothing:
            parts["smoothing"] = _reduce(fused.cross_entropy(z, soft - hard), reduction, divisor)
        return parts


class NLLLoss(Loss, function=nll_loss):
    """−w_y·x_y of the label y, :func:`nll_loss` as a module; as PyTorch's.

    Called with log-probabilities (C,), (N, C) or (N, C, …) and integer labels (their shape
    without C), it gives a number, or one per label.

    Parameters
    ----------
    weight, ignore_index, reduction : as of :class:`CrossEntropyLoss`.

    Raises ``ValueError`` as :class:`CrossEntropyLoss`.

    >>> from minireg import nn, tensor
    >>> nn.NLLLoss()(tensor([[-1.0, -2.0]]), tensor([1])).item()
    2.0
    """

    weight: ArrayLike | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"

    formula = "−w_y x_y"


class MSELoss(Loss, function=mse_loss):
    """The squared error (x − target)², :func:`mse_loss` as a module; as PyTorch's.

    Called with an input and a target of the same shape (or one number as target), it gives a
    number, or for ``reduction="none"`` that shape.

    Parameters
    ----------
    reduction : "mean" over all elements, "sum" or "none".

    Raises ``ValueError`` for another reduction, and when called for other shapes and an input
    of integers.

    >>> from minireg import nn, tensor
    >>> nn.MSELoss()(tensor([1.0, 2.0]), tensor([1.0, 4.0])).item()
    2.0
    """

    reduction: Reduction = "mean"

    formula = "(x − y)²"


class L1Loss(Loss, function=l1_loss):
    """The absolute error |x − target|, :func:`l1_loss` as a module; as PyTorch's.

    Inputs, ``reduction`` and errors (``ValueError``) are those of :class:`MSELoss`.

    >>> from minireg import nn, tensor
    >>> nn.L1Loss()(tensor([1.0, 2.0]), tensor([1.0, 4.0])).item()
    1.0
    """

    reduction: Reduction = "mean"

    formula = "|x − y|"


class SmoothL1Loss(Loss, function=smooth_l1_loss):
    """½d²/β where |d| < β, |d| − ½β elsewhere: :func:`smooth_l1_loss` as a module; as PyTorch's.

    d = x − target. Inputs and errors (``ValueError``) are those of :class:`MSELoss`.

    Parameters
    ----------
    reduction : "mean" over all elements, "sum" or "none".
    beta : β ≥ 0; 0 is :class:`L1Loss`.

    >>> from minireg import nn, tensor
    >>> nn.SmoothL1Loss(beta=2.0)(tensor([1.0]), tensor([4.0])).item()
    2.0
    """

    reduction: Reduction = "mean"
    beta: float = 1.0

    formula = "½d²/β if |d| < β, else |d| − ½β;  d = x − y"


class BCEWithLogitsLoss(Loss, function=binary_cross_entropy_with_logits):
    """Binary cross entropy of logits and targets in [0, 1] of their shape; as PyTorch's.

    :func:`binary_cross_entropy_with_logits` as a module: gives a number, or for
    ``reduction="none"`` that shape.

    Parameters
    ----------
    weight : a factor ≥ 0 for each element, broadcast to the logits' shape; None for 1.
    reduction : "mean" over all elements, "sum" or "none".
    pos_weight : a factor ≥ 0 for the positive share, usually (C,); None for 1.

    Raises ``ValueError`` for options out of range, and when called for shapes that do not fit.

    >>> from minireg import nn, tensor
    >>> round(nn.BCEWithLogitsLoss()(tensor([0.0]), tensor([1.0])).item(), 4)
    0.6931
    """

    weight: ArrayLike | None = None
    reduction: Reduction = "mean"
    pos_weight: ArrayLike | None = None

    formula = "−w (c t log σ(x) + (1 − t) log(1 − σ(x)))"


class KLDivLoss(Loss, function=kl_div):
    """t·(log t − x) for log-probabilities x and probabilities t, :func:`kl_div` as a module.

    As PyTorch's: gives a number, or for ``reduction="none"`` the shape of both.

    Parameters
    ----------
    reduction : "batchmean" (the divergence per sample), "mean" over all elements, "sum" or
        "none".
    log_target : whether the target is log t.

    Raises ``ValueError`` for another reduction, and when called for other shapes.

    >>> from minireg import nn, tensor
    >>> nn.KLDivLoss(reduction="batchmean")(tensor([[0.0]]), tensor([[1.0]])).item()
    0.0
    """

    reduction: KLReduction = "mean"
    log_target: bool = False

    formula = "t (log t − x)"
    reductions = KL_REDUCTIONS


class HingeLoss(Loss, function=hinge_loss):
    """The margin that is missing, to the power p, :func:`hinge_loss` as a module.

    Called with scores and labels ±1 of their shape, or with scores (N, C, …) and integer
    labels, as PyTorch's ``MultiMarginLoss``; gives a number, or one per label.

    Parameters
    ----------
    p : 1 or 2, the squared hinge.
    margin : m ≥ 0.
    reduction : "mean", "sum" or "none".

    Raises ``ValueError`` for options out of range, and when called for other labels and shapes.

    >>> from minireg import nn, tensor
    >>> nn.HingeLoss()(tensor([2.0, 0.5]), tensor([1, -1])).item()
    0.75
    """

    p: int = 1
    margin: float = 1.0
    reduction: Reduction = "mean"

    formula = "max(0, m − y s)ᵖ, or Σ_{c≠y} max(0, m − s_y + s_c)ᵖ/C"


# --- targets of a regression ---------------------------------------------------------------------


def as_column(loss: Any, output: Any, target: Any) -> Any:
    """Targets (N,) of outputs (N, 1) as (N, 1) for a loss of ours, unless it takes labels.

    ``ValueError`` for a function of one's own: NumPy would make (N, N) of (N, 1) − (N,).
    """
    shape = getattr(target, "shape", None)
    if not shape or getattr(output, "shape", None) != (*shape, 1) or len(shape) > 1:
        return target
    if not isinstance(loss, Loss) and shape != (1,):
        raise ValueError(
            f"the loss {getattr(loss, '__name__', type(loss).__name__)} of one's own gets outputs "
            f"{output.shape} and targets {shape}, of which NumPy makes {shape * 2}; give the targets as a "
            "column, y[:, None]"
        )
    return target if isinstance(loss, CrossEntropyLoss | NLLLoss) else target.reshape(-1, 1)
