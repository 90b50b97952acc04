r"""Losses: the data terms of an objective.

A cross entropy, with class weights, ignored labels, label smoothing or probability
targets, is :math:`-\sum_c q_c\log p_c` against a target distribution q that carries all
of these options; so one fused op serves them all. A loss that contains a regularizer
says so in ``parts``: cross entropy with smoothing ε is "data" plus "smoothing".
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .backend import NUMPY, of
from .nn.module import Module
from .ops import fused
from .tensor import Tensor

Reduction = Literal["mean", "sum", "none"]


def _raw(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _distribution(
    logits: Any, target: Any, weight: Any, ignore_index: int, smoothing: float
) -> tuple[Any, Any, Any]:
    """(q hard, q smoothed, divisor of the mean), classes last, for logits with classes last."""
    classes, dtype = logits.shape[-1], logits.dtype
    w: Any = 1.0 if weight is None else _raw(weight).astype(dtype)
    if _raw(target).dtype.kind == "f":
        if target.shape != logits.shape:
            raise ValueError(
                f"cross_entropy: got probability targets of shape {target.shape} for logits of "
                f"shape {logits.shape} (classes last); expected the same shape"
            )
        hard = target * w
        soft = (target * (1 - smoothing) + smoothing / classes) * w if smoothing else hard
        return hard, soft, max(logits.size // classes, 1)
    labels = _raw(target)
    if labels.shape != logits.shape[:-1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"cross_entropy: got targets of shape {labels.shape} and dtype {labels.dtype} for logits "
            f"of shape {logits.shape} (classes last); expected integer labels of shape "
            f"{logits.shape[:-1]} or probabilities of the logits' shape"
        )
    kept = labels != ignore_index
    if of(labels) is NUMPY and labels.size:  # on a GPU the check would wait for the device
        wrong = labels[kept & ((labels < 0) | (labels >= classes))]
        if wrong.size:
            raise ValueError(
                f"cross_entropy: label {int(wrong[0])} is outside 0 … {classes - 1} "
                f"({classes} classes) and is not ignore_index={ignore_index}"
            )
    # an ignored label (it may be a class) chooses nothing: its row of q is 0
    chosen = (np.expand_dims(labels, -1) == of(labels).xp.arange(classes)) & np.expand_dims(
        kept, -1
    )
    hard = chosen.astype(dtype) * w
    divisor = hard.sum().astype(dtype) if weight is not None else chosen.sum().astype(dtype)
    if not smoothing:
        return hard, hard, divisor
    uniform = np.expand_dims(kept, -1).astype(dtype) * (w * (smoothing / classes))
    return hard, hard * (1 - smoothing) + uniform, divisor


def _classes_last(x: Any) -> Any:
    return np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def _reduce(loss: Any, reduction: str, divisor: Any) -> Any:
    if reduction == "none":
        return loss
    return loss.sum() / divisor if reduction == "mean" else loss.sum()


def _arguments(
    logits: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> tuple[Any, Any, Any, Any]:
    _check_reduction("cross_entropy", reduction)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], got {smoothing!r}")
    if logits.ndim == 0:
        raise ValueError("cross_entropy: got scalar logits, expected (C,), (N, C) or (N, C, …)")
    z = _classes_last(logits)
    q = _classes_last(target) if _raw(target).dtype.kind == "f" else target
    if weight is not None and weight.shape != (z.shape[-1],):
        raise ValueError(
            f"cross_entropy: got weight of shape {weight.shape}, expected ({z.shape[-1]},)"
        )
    return z, *_distribution(z, q, weight, ignore_index, smoothing)


def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    r"""Softmax cross entropy :math:`-\sum_c q_c \log p_c`, p = softmax(logits).

    Parameters
    ----------
    logits : (C,), (N, C) or (N, C, …).
    target : integer labels (the logits' shape without C), or probabilities of their shape.
    weight : (C,) one factor a class; the mean divides by the sum of the targets' weights.
    ignore_index : label whose rows cost nothing and do not count in the mean.
    reduction : "mean", "sum" or "none".
    label_smoothing : ε in [0, 1]; q = (1 − ε)·one-hot + ε/C (claim C80).

    Raises ``ValueError`` for shapes that do not fit and labels outside 0 … C − 1.

    >>> round(float(cross_entropy(np.zeros((1, 4)), np.array([2]))), 4)
    1.3863
    """
    args = _arguments(logits, target, weight, ignore_index, reduction, label_smoothing)
    z, _, soft, divisor = args
    return _reduce(fused.cross_entropy(z, soft), reduction, divisor)


def mse_loss(x: Any, target: Any, reduction: Reduction = "mean") -> Any:
    """Mean (or sum) of (x − target)²; shapes must agree, to catch (N, 1) against (N,).

    >>> float(mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    _check_reduction("mse_loss", reduction)
    if x.shape != target.shape:
        raise ValueError(
            f"mse_loss: got x of shape {x.shape} and target of shape {target.shape}, expected equal "
            "shapes; reshape one of them"
        )
    loss = np.square(x - target)
    return loss if reduction == "none" else (loss.mean() if reduction == "mean" else loss.sum())


class Loss(Module):
    """Base of losses: ``forward(output, target)``, and its ``parts`` as named terms."""

    def parts(self, output: Any, target: Any) -> dict[str, Any]:
        """The loss as named terms that sum to it; one called "data" unless it hides more."""
        return {"data": self(output, target)}


class CrossEntropyLoss(Loss):
    """:func:`cross_entropy` as a module.

    >>> from minireg import nn, tensor
    >>> loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    >>> list(loss.parts(tensor([[2.0, 0.0]]), tensor([0])))
    ['data', 'smoothing']
    """

    formula = "−Σ q log softmax(z), q = (1 − ε)·onehot + ε/C"

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        _check_reduction("CrossEntropyLoss", reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"CrossEntropyLoss: label_smoothing must be in [0, 1], got {label_smoothing!r}"
            )
        self.weight, self.ignore_index = weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def _options(self) -> tuple[Any, int, Any, float]:
        return self.weight, self.ignore_index, self.reduction, self.label_smoothing

    def forward(self, output: Any, target: Any) -> Any:
        """(N, C, …) logits and targets → scalar (or per-sample with reduction="none")."""
        return cross_entropy(output, target, *self._options())

    def parts(self, output: Any, target: Any) -> dict[str, Any]:
        """ "data": the loss at ε = 0; "smoothing": what ε adds, −Σ (q_ε − q₀) log p.

        The logit gradient of the second is ε(q₀ − 1/C), whatever the logits are.
        """
        z, hard, soft, divisor = _arguments(output, target, *self._options())
        parts = {"data": _reduce(fused.cross_entropy(z, hard), self.reduction, divisor)}
        if self.label_smoothing:
            extra = fused.cross_entropy(z, soft - hard)
            parts["smoothing"] = _reduce(extra, self.reduction, divisor)
        return parts

    def extra_repr(self) -> str:
        """ε and the reduction."""
        return f"label_smoothing={self.label_smoothing}, reduction={self.reduction!r}"


class MSELoss(Loss):
    """:func:`mse_loss` as a module.

    >>> from minireg import nn, tensor
    >>> nn.MSELoss()(tensor([1.0, 2.0]), tensor([1.0, 4.0])).item()
    2.0
    """

    formula = "mean (x − y)²"

    def __init__(self, reduction: Reduction = "mean") -> None:
        _check_reduction("MSELoss", reduction)
        self.reduction = reduction

    def forward(self, output: Any, target: Any) -> Any:
        """Equal shapes → scalar (or elementwise with reduction="none")."""
        return mse_loss(output, target, self.reduction)
