"""Penalties that treat every weight by itself: L2, L1, ElasticNet, L0."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..backend import Array
from ..engine import grad
from ..messages import check_kind, check_option
from ..nn.losses import as_column
from ..nn.module import Module
from ..ops.arrays import largest, length
from ..ops.table import array_of
from ..tensor import Tensor
from .base import Formula, Level, Penalty, Strength, Weight, constant, fitting, fixed


def soft_threshold(v: Array, threshold: float | Array) -> Array:
    """sign(v)·max(|v| − threshold, 0), element by element, the prox of L1 (claim C52).

    Parameters
    ----------
    v : array of any shape.
    threshold : ≥ 0 (not checked), a number or an array that broadcasts with v, ``ValueError`` if it
        does not.

    It is computed as v minus its clip to ±threshold.

    >>> soft_threshold(np.array([3.0, -0.5]), 1.0)
    array([2., 0.])
    """
    return v - np.clip(v, -threshold, threshold)


def _inverse(x: float) -> float:
    return 1 / x if x else math.inf


class L2(Penalty):
    """½λ‖w − center‖², optionally with a ``weight`` for each element (claims C02, C22).

    Its gradient λ(w − center) is weight decay under plain SGD only (claim C29).

    Most of the source texts write ½λ‖θ‖², too; where one writes λ‖θ‖², with gradient 2λθ, that is
    ``L2(2 * λ)``. A loss that they sum over n rows with a half, ½‖Xθ − y‖², is n/2 times MSELoss,
    so with it their λ, of this and of every other penalty, is 2λ/n here.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`.
    center : what the weights are drawn towards, a number or an array or Tensor of w's shape, copied. 0
        by default.
    weight : ≥ 0, as ``center``; for example a Fisher diagonal (:meth:`from_fisher`). 1 by default.

    ``ValueError`` for a negative strength or weight and, at a weight w, for one of another shape.

    >>> pen = L2(0.1); w = np.array([3.0, -4.0])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=10.0)
    (1.25, array([ 0.3, -0.4]), array([ 1.5, -2. ]))
    """

    formula = Formula(
        r"\tfrac{\lambda}{2}\lVert w - c\rVert^2", r"\lambda (w - c)",
        r"\frac{v + t\lambda c}{1 + t\lambda}",
    )  # fmt: skip
    prior = "Gaussian: w ~ N(center, 1/(nλ)) for n observations under the mean loss"
    text = "½λ‖w‖²"
    separable = elementwise_step = True
    strength: Strength = Strength()

    def __init__(
        self, strength: Level, center: ArrayLike | None = None, weight: ArrayLike | None = None
    ) -> None:
        self.strength = strength
        self.center, self.weight = fixed(center, "L2: center"), fixed(weight, "L2: weight")
        # (an array on a device is not checked: that would wait for it)
        host = isinstance(self.weight, np.ndarray | int | float | np.number)
        if host and not np.all((self.weight >= 0) & (self.weight < np.inf)):
            raise ValueError(f"L2: weight must be finite and ≥ 0, got {weight!r:.60}")
        self.separable = self.separable and center is None and weight is None
        if center is not None:
            self.text = "½λ‖w − c‖²"
        if weight is not None:
            value, *rest = self.formula
            rest = [f.replace(r"\lambda", r"\lambda a\,") for f in rest]
            self.formula = Formula(value.replace("^2", "_a^2"), *rest)  # a: the weight
            self.prior = self.prior.replace("(nλ)", "(nλ·weight)")
        shaped = [a.shape for a in (self.center, self.weight) if hasattr(a, "shape")]
        self.shapes = tuple(shaped[:1]) or self.shapes

    @classmethod
    def from_sklearn(cls, alpha: float, n: int) -> L2:
        """The penalty of scikit-learn's ``Ridge(alpha)`` with n observations, with MSELoss: λ = 2·alpha/n.

        MSELoss is the mean over outputs, too: of y (rows, outputs) n is rows · outputs. ``ValueError`` for
        n < 1 or a negative alpha.

        >>> L2.from_sklearn(5.0, n=100)
        L2(0.1): ½λ‖w‖²
        """
        check_option("L2.from_sklearn", 1, n=n)
        return cls(2 * alpha / n)

    def to_sklearn(self, n: int) -> dict[str, float]:
        """``alpha`` of Ridge (of y (rows, outputs) n is rows · outputs) and ``C`` of LogisticRegression.

        n is the number of observations. ``ValueError`` for an L2 with center or weight, which they lack.

        >>> L2(0.1).to_sklearn(n=100)
        {'alpha': 5.0, 'C': 0.1}
        """
        if self.center is not None or self.weight is not None:
            raise ValueError(
                f"L2.to_sklearn: no estimator there has a center or weight, got {self!r}"
            )
        return {"alpha": n * self.strength / 2, "C": _inverse(n * self.strength)}

    @classmethod
    def from_fisher(
        cls, model: Module, loss: Callable[[Any, Any], Tensor], x: Any, y: Any, strength: Level
    ) -> dict[str, tuple[L2, str]]:
        """Elastic weight consolidation: stay where an earlier task's loss is steep (Kirkpatrick et al. 2017).

        For :class:`minireg.Objective`, a term "fisher NAME" for each trainable parameter, biases too:
        ½λ Σ F(w − w*)² around the weights as they are, F being the diagonal of the empirical Fisher
        information, the mean over rows of the squared gradient of the loss of that row.

        Parameters
        ----------
        model : a Module that has learned (x, y), in the mode that it was judged in (``model.eval()``).
        loss : the negative log likelihood, for example ``nn.CrossEntropyLoss()``; a mean over rows.
        x, y : the rows of the earlier task, as model and loss take them, one by one; targets (N,) of a
            regression also stand for outputs (N, 1).
        strength : λ ≥ 0, a number or a :class:`Coefficient`; n_old/n_new weighs all rows alike.

        ``TypeError`` for what is no Module and for an Objective, ``ValueError`` for no rows, another number
        of targets and a model that is frozen.

        >>> import minireg as mr
        >>> model, loss = mr.nn.Linear(1, 1, dtype=np.float64), mr.nn.MSELoss()
        >>> _ = model.weight.assign(2.0), model.bias.assign(0.0)
        >>> x, y = np.array([[1.0], [2.0]]), np.array([[3.0], [3.0]])
        >>> objective = mr.Objective(loss, L2.from_fisher(model, loss, x, y, strength=0.5))
        >>> [(name, t.penalty.weight.round(2).tolist()) for name, t in objective.terms.items()]
        [('fisher weight', [[10.0]]), ('fisher bias', [4.0])]
        """
        check_kind("L2.from_fisher", Module, model=model)
        if hasattr(loss, "terms"):
            raise TypeError("L2.from_fisher: loss is an Objective; pass objective.loss")
        if not len(x) == len(y) > 0:
            raise ValueError(
                f"L2.from_fisher: got {len(x)} rows and {len(y)} targets, expected as many, at least 1"
            )
        named = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if not named:
            raise ValueError("L2.from_fisher: every parameter of the model is frozen")
        fisher = {n: np.zeros_like(p.data) for n, p in named.items()}
        for i in range(len(x)):
            output = model(x[i : i + 1])
            value = loss(output, as_column(loss, output, y[i : i + 1]))
            found = grad(value, list(named.values()), allow_unused=True)
            for total, g in zip(fisher.values(), found, strict=True):
                if g is not None:
                    total += np.square(g.data) / len(x)
        return {f"fisher {n}": (cls(strength, p, fisher[n]), n) for n, p in named.items()}

    def _offset(self, w: Any) -> Any:
        return w if self.center is None else w - fitting(self.center, w, "L2: center")

    def _factor(self, w: Any) -> Any:
        if self.weight is None:
            return self.strength
        return self.strength * fitting(self.weight, w, "L2: weight")

    def value(self, w: Weight) -> Any:
        """½λ Σ weight·(w − center)²."""
        off = self._offset(w)  # weight·off·off: no 0·∞ where off² overflows
        square = np.square(off)
        if self.weight is not None:
            square = fitting(self.weight, w, "L2: weight") * off * off
        return 0.5 * self.strength * square.sum()

    def gradient(self, w: Array, out: Array | None = None) -> Array:
        """λ·weight·(w − center)."""
        return np.multiply(self._factor(w), self._offset(w), out=out)

    def prox(self, v: Array, step: float | Array) -> Array:
        """(v + tλ·weight·center)/(1 + tλ·weight): a linear shrink, never exactly 0."""
        k = step * self._factor(v)
        if self.center is None:
            return v / (1 + k)
        return (v + k * fitting(self.center, v, "L2: center")) / (1 + k)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """‖g + λ·weight·(w − center)‖."""
        return length(g + self.gradient(w))

    def parameters_text(self) -> str:
        """λ, and center and weight if they are set."""
        given = [n for n in ("center", "weight") if getattr(self, n) is not None]
        return ", ".join([f"{self.strength:g}", *(f"{n}=…" for n in given)])


class L1(Penalty):
    """λ‖w‖₁ = λΣ|w|: exact zeros through its prox, the soft threshold (claims C43–C52, C56).

    ``gradient`` is the subgradient with sign(0) = 0; plain subgradient steps oscillate around zero and
    never reach it, the prox does.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    >>> pen = L1(0.5); w = np.array([3.0, -0.25])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=1.0)
    (1.625, array([ 0.5, -0.5]), array([2.5, 0. ]))
    """

    formula = Formula(
        r"\lambda\lVert w\rVert_1", r"\lambda\,\mathrm{sign}(w),\ \mathrm{sign}(0) = 0",
        r"\mathrm{sign}(v)\max(|v| - t\lambda, 0)",
    )  # fmt: skip
    prior = "Laplace: w ~ Laplace(0, 1/(nλ)) for n observations under the mean loss"
    text = "λ‖w‖₁"
    separable = elementwise_step = True
    strength: Strength = Strength()

    def __init__(self, strength: Level) -> None:
        self.strength = strength

    @classmethod
    def from_sklearn(cls, alpha: float) -> L1:
        """The penalty of scikit-learn's ``Lasso(alpha)``, with MSELoss: λ = 2·alpha.

        Twice, as its loss has a half; of y (rows, outputs) give ``alpha / outputs``, as MSELoss is the mean
        over outputs, too. ``ValueError`` for a negative alpha.

        >>> L1.from_sklearn(0.1)
        L1(0.2): λ‖w‖₁
        """
        return cls(2 * alpha)

    def to_sklearn(self, n: int) -> dict[str, float]:
        """``alpha`` of Lasso and ``C`` of LogisticRegression for n observations.

        >>> L1(0.2).to_sklearn(n=100)
        {'alpha': 0.1, 'C': 0.05}
        """
        return {"alpha": self.strength / 2, "C": _inverse(n * self.strength)}

    def value(self, w: Weight) -> Any:
        """λ Σ|w|."""
        return self.strength * np.abs(w).sum()

    def gradient(self, w: Array, out: Array | None = None) -> Array:
        """λ·sign(w), 0 at 0."""
        return np.multiply(self.strength, np.sign(w, out=out), out=out)

    def prox(self, v: Array, step: float | Array) -> Array:
        """Soft threshold at step·λ."""
        return soft_threshold(v, step * self.strength)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """‖·‖₂ of |g + λ sign w| where w ≠ 0, and of max(|g| − λ, 0) where w = 0."""
        return length(np.where(w == 0, soft_threshold(g, self.strength), g + self.gradient(w)))

    def max_strength(self, g: Array) -> Any:
        """max|g|."""
        return largest(np.abs(g))


class ElasticNet(Penalty):
    """l1·‖w‖₁ + ½·l2·‖w‖²: zeros by the first, grouping by the second (claim C58; Zou & Hastie 2005).

    The source text has no half, λ₁‖θ‖₁ + λ₂‖θ‖², so its λ₂ is ``l2 = 2 * λ₂``.

    Parameters
    ----------
    l1, l2 : the strengths λ₁ and λ₂ ≥ 0, numbers or :class:`Coefficient`; ``ValueError`` otherwise.

    >>> pen = ElasticNet(l1=0.5, l2=1.0); w = np.array([3.0, -0.25])
    >>> float(pen.value(w)), pen.gradient(w), pen.prox(w, step=1.0)
    (6.15625, array([ 3.5 , -0.75]), array([1.25, 0.  ]))
    """

    formula = Formula(
        r"\lambda_1\lVert w\rVert_1 + \tfrac{\lambda_2}{2}\lVert w\rVert^2",
        r"\lambda_1\,\mathrm{sign}(w) + \lambda_2 w",
        r"\frac{\mathrm{sign}(v)\max(|v| - t\lambda_1, 0)}{1 + t\lambda_2}",
    )
    prior = "product of a Laplace(0, 1/(n·l1)) and a Gaussian N(0, 1/(n·l2)), renormalised"
    text = "l1·‖w‖₁ + ½·l2·‖w‖²"
    separable = elementwise_step = True
    l1: Strength = Strength()
    l2: Strength = Strength()

    def __init__(self, l1: Level, l2: Level) -> None:
        self.l1, self.l2 = l1, l2

    @classmethod
    def from_sklearn(cls, alpha: float, l1_ratio: float = 0.5) -> ElasticNet:
        """The penalty of scikit-learn's ``ElasticNet(alpha, l1_ratio)``, with MSELoss.

        Both strengths are doubled, as its loss is *half* the mean squared error; of y (rows, outputs) give
        ``alpha / outputs``, as for :class:`L1`. ``ValueError`` for an ``l1_ratio`` outside [0, 1] or a
        negative alpha.

        >>> ElasticNet.from_sklearn(0.1, l1_ratio=0.25)
        ElasticNet(l1=0.05, l2=0.15): l1·‖w‖₁ + ½·l2·‖w‖²
        """
        check_option("ElasticNet.from_sklearn", "[0, 1]", l1_ratio=l1_ratio)
        return cls(2 * alpha * l1_ratio, 2 * alpha * (1 - l1_ratio))

    def to_sklearn(self, n: int) -> dict[str, float]:
        """``alpha``, ``l1_ratio`` of ElasticNet and ``C`` of LogisticRegression for n observations.

        >>> ElasticNet(0.05, 0.15).to_sklearn(n=100)
        {'alpha': 0.1, 'l1_ratio': 0.25, 'C': 0.05}
        """
        total = self.l1 + self.l2
        ratio = self.l1 / total if total else 1.0
        return {"alpha": total / 2, "l1_ratio": ratio, "C": _inverse(n * total)}

    def value(self, w: Weight) -> Any:
        """l1 Σ|w| + ½ l2 Σw²."""
        return self.l1 * np.abs(w).sum() + 0.5 * self.l2 * np.square(w).sum()

    def gradient(self, w: Array) -> Array:
        """l1·sign(w) + l2·w."""
        return self.l1 * np.sign(w) + self.l2 * w

    def parts(self) -> dict[str, Penalty]:
        """``l1`` and ``l2``."""
        # (vars gives a Coefficient itself, not its number)
        return {"l1": L1(vars(self)["l1"]), "l2": L2(vars(self)["l2"])}

    def add_gradient(self, w: Array, total: Array) -> Array:
        """``total += gradient(w)`` in place, one part after the other."""
        for part in self.parts().values():
            part.add_gradient(w, total)
        return total

    def prox(self, v: Array, step: float | Array) -> Array:
        """Soft threshold, then the linear shrink."""
        return soft_threshold(v, step * self.l1) / (1 + step * self.l2)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """The distance of L1, with the gradient of the L2 part added to g."""
        return L1(self.l1).subdiff_distance(w, g + self.l2 * w)

    def max_strength(self, g: Array) -> Any:
        """The smallest l1 at which w = 0 is optimal, for any l2: max|g|."""
        return largest(np.abs(g))


class L0(Penalty):
    """λ·#{w ≠ 0}, the number of non-zero weights: not convex, acts through its prox (claim C53).

    The prox is the hard threshold: weights that survive keep their value, without shrinkage, at the
    price of many local solutions.

    Parameters
    ----------
    strength : λ ≥ 0, a number or a :class:`Coefficient`; ``ValueError`` otherwise.

    ``NotImplementedError`` of ``max_strength``; a :class:`minireg.Term` with ``via="gradient"`` is a
    ``ValueError``.

    >>> pen = L0(0.5); v = np.array([3.0, 0.9])
    >>> float(pen.value(v)), pen.prox(v, step=1.0)
    (1.0, array([3., 0.]))
    """

    formula = Formula(
        r"\lambda\lVert w\rVert_0", r"0\ \text{(almost everywhere)}",
        r"v\,[\,|v| > \sqrt{2t\lambda}\,]",
    )  # fmt: skip
    prior = "spike and slab in the limit of a flat slab: each weight is 0 or free"
    text = "λ‖w‖₀"
    convex, elementwise_step, via = False, True, "prox"
    strength: Strength = Strength()

    def __init__(self, strength: Level) -> None:
        self.strength = strength

    def value(self, w: Weight) -> Any:
        """λ times the number of non-zero entries; a constant to autograd."""
        ones = np.abs(np.sign(array_of(w)))  # (of NaN NaN)
        return constant(self.strength * ones.sum(), w)

    def gradient(self, w: Array) -> Array:
        """0: the value is constant wherever it is differentiable."""
        return np.zeros_like(w)

    def prox(self, v: Array, step: float | Array) -> Array:
        """Hard threshold at √(2·step·λ); at the threshold itself both are optimal, 0 is chosen."""
        return np.where(np.abs(v) <= (2 * step * self.strength) ** 0.5, np.zeros_like(v), v)

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """‖g‖ over the non-zero entries: zeros are locally optimal whatever the gradient, if λ > 0."""
        return length(g * np.abs(np.sign(w))) if self.strength else length(g)
