r"""The constrained view of a penalty: a budget C on Ω(w) in place of a price λ.

Penalised, :math:`\min_w L(w) + \lambda\Omega(w)`; constrained, :math:`\min_w L(w)` subject to
:math:`\Omega(w) \le C`. For a convex loss and penalty the same w solves both when C = Ω(w*(λ)), and
λ is the shadow price −dL*/dC of the budget (claims C113–C116). Ω is the given penalty including its
strength: ``L2(1.0)`` is ½‖w‖², ``L2(2.0)`` is ‖w‖², ``L1(1.0)`` is ‖w‖₁.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..backend import Array
from ..messages import check_option, describe
from ..nn.module import Module
from ..objective import AnyLoss, Selector
from ..ops.arrays import length
from ..ops.table import array_of
from ..penalties import L2, Formula, Penalty, scaled
from ..penalties.constraints import Ball
from ..tensor import Tensor
from .solver import Composite, Solution

_Curve = Callable[[float], float]


class KKT(NamedTuple):
    """The four Karush–Kuhn–Tucker residuals (claim C115), all 0 at a solution: ``max(kkt) <= tol``.

    A named tuple (``AttributeError`` on assignment).

    Attributes
    ----------
    stationarity : the distance of −∇L to λ∂Ω(w).
    primal_feasibility : max(Ω(w) − C, 0).
    dual_feasibility : max(−λ, 0).
    complementary_slackness : |λ(Ω(w) − C)|.

    >>> import minireg as mr
    >>> max(mr.constrained.KKT(0.0, 1e-12, 0.0, 0.0)) < 1e-10
    True
    """

    stationarity: float
    primal_feasibility: float
    dual_feasibility: float
    complementary_slackness: float


def kkt(
    gradient: Array | Tensor, w: Array | Tensor, penalty: Penalty, multiplier: float, budget: float
) -> KKT:
    """How far w and λ are from solving min L subject to Ω(w) ≤ C, as :class:`KKT` (claim C115).

    Parameters
    ----------
    gradient, w : ∇L(w) and w, arrays or Tensors of one shape.
    penalty : Ω, with its ``subdiff_distance``.
    multiplier, budget : λ, of either sign, and C, finite.

    ``ValueError`` for unequal shapes and numbers that are not finite.

    >>> import minireg as mr
    >>> w = np.array([2.0, 0.0])  # solves min ½‖w − (3, −½)‖² subject to ‖w‖₁ ≤ 2
    >>> l1 = mr.penalties.L1(1.0)
    >>> mr.constrained.kkt(w - [3.0, -0.5], w, l1, multiplier=1.0, budget=2.0) == (0, 0, 0, 0)
    True
    """
    g, w = array_of(gradient), array_of(w)
    if g.shape != w.shape:
        raise ValueError(
            f"kkt: got a gradient {describe(g)} for w {describe(w)}, expected equal shapes; "
            "pass the gradient of the loss at w"
        )
    if not (math.isfinite(multiplier) and math.isfinite(budget)):
        raise ValueError(
            f"kkt: got multiplier={multiplier!r}, budget={budget!r}, expected finite numbers"
        )
    sign = -1 if multiplier < 0 else 1  # −g to λ∂Ω is as far as g to −λ∂Ω
    over = float(penalty.value(w)) - budget
    distance = _times(penalty, abs(multiplier)).subdiff_distance
    return KKT(
        float(distance(w, sign * g)),  # type: ignore[arg-type]  # an array by now
        max(over, 0.0),
        max(-float(multiplier), 0.0),
        abs(multiplier * over),
    )


class SublevelSet(Ball):
    """The constraint Ω(w) ≤ C for any convex penalty with a prox (claims C113, C114).

    Parameters
    ----------
    penalty : Ω, including its strength.
    budget : C > 0.

    The projection of v is the prox of tΩ with the t ≥ 0 that meets the budget; the search for t
    reads values, so a GPU has to wait. ``ValueError`` unless C > 0 and Ω is convex, and by ``prox``
    if no w is found that meets the budget.

    >>> import minireg as mr
    >>> ball = mr.constrained.SublevelSet(mr.penalties.L1(1.0), 2.0)
    >>> ball.prox(np.array([3.0, -0.5]), step=1.0).round(9).tolist()
    [2.0, 0.0]
    """

    formula = Formula(
        r"[\Omega(w) \le C]", "0", r"\mathrm{prox}_{t\Omega}(v),\ t \ge 0 \perp \Omega \le C"
    )
    text = "Ω(w) ≤ C"

    def __init__(self, penalty: Penalty, budget: float) -> None:
        if not penalty.convex:
            raise ValueError(
                f"SublevelSet: {penalty!r} is not convex, so no prox of it is the projection; "
                "take a convex penalty, for example L1"
            )
        check_option("SublevelSet", "(0, inf)", budget=budget)
        super().__init__(budget)
        self.penalty, self.shapes = penalty, penalty.shapes

    def norm(self, w: Array) -> Any:
        """Ω(w), the left side of the constraint."""
        return self.penalty.value(w)

    def _over(self, v: Array) -> _Curve:
        return lambda t: float(self.norm(self.penalty.prox(v, t))) / self.radius - 1

    def prox(self, v: Array, step: Any) -> Array:
        """The point within the budget nearest to v; ``step`` has no effect."""
        tol = 16 * float(np.finfo(v.dtype).eps)
        for _ in range(2):  # from far outside the first round leaves rounding of v's size
            over = self._over(v)
            if over(0.0) <= tol:
                break
            v = self.penalty.prox(v, _crossing(over, tol))
        return v

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """‖w − P(w − tg)‖/t for a short t, at most the distance of −g to the normal cone.

        It is 0 where that distance is 0, ‖g‖ inside the set, and on the boundary of a ball the
        distance to 1 %.
        """
        size = length(g)
        if not size or not self._on_sphere(w):
            return size
        t = 1e-2 * length(w) / size
        return length(w - self.prox(w - t * g, t)) / t

    def parameters_text(self) -> str:
        """The penalty and the budget, as the repr shows them."""
        return f"{self.penalty.text}, {self.radius:g}"


class Problem:
    """The penalised and the constrained problem of a model, solved (claims C01, C113–C116).

    Parameters
    ----------
    model, loss, penalty, x, y, tol, max_steps : as for :func:`minireg.solve`, errors too.
    on : must choose one parameter (``ValueError``), by default the weight.

    Solutions are global for a convex loss and penalty. Each solve starts from the model's
    parameters and leaves its solution there (rounded, if the model is not in float64);
    ``RuntimeError`` if it does not reach ``tol``.

    >>> import minireg as mr
    >>> mr.manual_seed(0); model = mr.nn.Linear(1, 1, bias=False).to(np.float64)
    >>> x = np.ones((1, 1)); loss, ridge = mr.nn.MSELoss(), mr.penalties.L2(1.0)
    >>> problem = Problem(model, loss, ridge, x, 3 * x)
    >>> round(problem.budget_of(1.0), 9), round(problem.strength_of(2.0), 9)  # 2(3 − w) = λw
    (2.0, 1.0)
    >>> round(problem.shadow_price(2.0), 6), max(problem.kkt(1.0, 2.0)) < 1e-9
    (1.0, True)
    """

    def __init__(
        self,
        model: Module,
        loss: AnyLoss,
        penalty: Penalty,
        x: ArrayLike,
        y: ArrayLike,
        *,
        on: Selector = None,
        tol: float = 1e-10,
        max_steps: int = 20_000,
    ) -> None:
        self._solver = Composite(model, loss, penalty, x, y, on)
        self.penalty, self.tol, self.max_steps = penalty, tol, max_steps
        if len(self._solver.penalised) != 1:
            raise ValueError(
                f"constrained.Problem: on={on!r} chooses {len(self._solver.penalised)} parameters, "
                "expected one, which the budget is for; name it, for example on='0.weight'"
            )
        (self.w,) = self._solver.penalised

    def _solve(self, penalty: Penalty) -> Solution:
        self._solver.penalty = penalty
        solution = self._solver.solve(self.tol, self.max_steps)
        if not solution.converged:
            raise RuntimeError(
                f"constrained.Problem: with {penalty!r} the solve ended after {solution.steps} "
                f"steps {solution.certificate:.1e} from stationary, expected {self.tol:g}; raise "
                "max_steps or tol, or scale the features alike"
            )
        return solution

    def penalised(self, strength: float) -> Solution:
        """Minimise L + λΩ; ``ValueError`` unless λ ≥ 0."""
        check_option("penalised", "[0, inf)", strength=strength)
        return self._solve(_times(self.penalty, strength))

    def constrained(self, budget: float) -> Solution:
        """Minimise L subject to Ω(w) ≤ C by projection; its ``value`` is L*(C).

        ``ValueError`` unless C > 0.
        """
        check_option("constrained", "(0, inf)", budget=budget)
        return self._solve(SublevelSet(self.penalty, budget))

    def kkt(self, multiplier: float, budget: float) -> KKT:
        """The residuals of :func:`kkt` at the model's present parameters, with its errors."""
        with self._solver.in_float64():
            g = self._solver.gradient()[self.w]
            return kkt(g, self.w, self.penalty, multiplier, budget)

    def budget_of(self, strength: float) -> float:
        """Ω(w*(λ)): the budget with the same solution as the penalty of strength λ ≥ 0."""
        with self._solver.in_float64():
            self.penalised(strength)
            return float(self.penalty.value(self.w.data))

    def strength_of(self, budget: float) -> float:
        """The λ with Ω(w*(λ)) = C, 0 where the budget does not bind.

        Ω(w*(λ)) never increases in λ (claim C01), so λ is found by bracketing. ``ValueError``
        unless C > 0, and if Ω jumps over C: no penalty reaches such a budget (claim C115).
        """
        check_option("strength_of", "(0, inf)", budget=budget)
        over: _Curve = lambda strength: self.budget_of(strength) / budget - 1
        if over(0.0) <= 1e-10:
            return 0.0
        strength = _crossing(over, 1e-10)
        if abs(gap := over(strength)) > 1e-6:
            raise ValueError(
                f"strength_of: Ω(w*(λ)) jumps over budget={budget!r} at λ = {strength:.6g}, "
                f"to {budget * (1 + gap):.6g}; where the loss is not convex only constrained() "
                "gets there"
            )
        return strength

    def shadow_price(self, budget: float, step: float = 1e-4) -> float:
        """−dL*/dC: how fast the loss falls with the budget, by a central difference (claim C116).

        ``step`` is relative to C. Both sides are solved with the constraint, never with a
        penalty, so equality with :meth:`strength_of` is a result. ``ValueError`` unless C > 0
        and 0 < step < 1.
        """
        check_option("shadow_price", "(0, 1)", step=step)
        check_option("shadow_price", "(0, inf)", budget=budget)
        h = step * budget
        low = self.constrained(budget - h).value
        high = self.constrained(budget + h).value
        self.constrained(budget)  # last, so that the model keeps this solution
        return (low - high) / (2 * h)


def _times(penalty: Penalty, strength: float) -> Penalty:
    return scaled(penalty, strength) if strength else L2(0.0)


def _crossing(f: _Curve, tol: float) -> float:
    """t ≥ 0 where a non-increasing f falls through 0, to tol: regula falsi (Illinois)."""
    lo, hi, low, high = 0.0, 1.0, f(0.0), f(1.0)
    while high > 0:
        lo, hi, low = hi, 4 * hi, high
        if hi > 1e30:
            raise ValueError(
                "constrained: no w found within the budget, Ω stays above it; raise it"
            )
        high = f(hi)
    side, t = 0, hi
    while hi - lo > 4e-15 * max(hi, 1e-12):
        t = hi - high * (hi - lo) / (high - low)
        value = f(t)
        if abs(value) <= tol:
            break
        if value > 0:  # the end that stays a second time counts half, so that it moves next
            lo, low, high, side = t, value, high / (1 + (side > 0)), 1
        else:
            hi, high, low, side = t, value, low / (1 + (side < 0)), -1
    return t
