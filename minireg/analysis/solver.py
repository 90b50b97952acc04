"""solve and path: a penalised fit to its certificate, and a whole regularization path.

Both run FISTA with restart (:class:`minireg.optim.ProximalGradient`) on all data at once and
stop by the certificate: the distance of −∇loss to the penalty's subdifferential, together
with the gradient of what is not penalised. Where it is 0 the point is optimal, if the loss is
convex. All is computed in float64; a model of another dtype gets the solution, rounded, at the end.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..backend import Array, move
from ..engine import backprop, grad
from ..messages import check_option, needed
from ..mode import no_grad
from ..nn.losses import as_column
from ..nn.module import Module
from ..objective import AnyLoss, Objective, Selector, Term, coefficients
from ..operators import Hessian, magnitude
from ..ops.arrays import length
from ..ops.table import ratio
from ..optim import ProximalGradient
from ..penalties import Penalty
from ..random import Stream
from ..tensor import Tensor, next_seq
from .inputs import exact

EPS = float(np.finfo(np.float64).eps)
PROBES = 16  # random vectors that measure the size of a column
COARSE = 0.01  # of the gradient at 0: more than that is left undone


@dataclass(frozen=True)
class Solution:
    """How a :func:`solve` ended.

    Attributes
    ----------
    steps : how many were done.
    certificate : the distance from stationary, a gradient norm.
    value : loss plus penalty there.
    converged : whether ``certificate <= tol``.
    relative : the certificate of an element of the parameters over what the loss's gradient there may be
        at most with all parameters at 0, the largest of all elements.

    >>> import minireg as mr
    >>> x = np.eye(2); model = mr.nn.Linear(2, 1, bias=False).to(np.float64)
    >>> found = mr.solve(model, mr.nn.MSELoss(), mr.penalties.L2(1.0), x, x[:, :1])
    >>> round(found.value, 6)
    0.25
    """

    steps: int
    certificate: float
    value: float
    converged: bool
    relative: float


class Composite:
    """The loss of a model on all data plus a penalty, as functions of the parameters."""

    def __init__(
        self, model: Module, loss: AnyLoss, penalty: Penalty, x: Any, y: Any, on: Selector
    ) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"solve: model must be a Module, got {model!r:.60}")
        if not isinstance(penalty, Penalty):
            raise TypeError(
                f"solve: expected a Penalty, got {penalty!r:.60}; write penalties.L1(…)"
            )
        if found := coefficients([penalty]):
            raise ValueError(
                f"solve: got the strength {found[0]!r}, whose schedule nothing would move on; give a number"
            )
        self.model, self.loss, self.penalty = model, loss, penalty
        self.params = [p for p in model.parameters() if p.requires_grad]
        if not self.params:
            raise ValueError("solve: every parameter of the model is frozen")
        backend = self.params[0].backend
        inputs, targets = move(exact(x, "solve: x"), backend), move(exact(y, "solve: y"), backend)
        if inputs.shape[:1] == (0,):
            raise ValueError(f"solve: x has shape {inputs.shape}, expected at least one row")
        self.x = Tensor(inputs.astype(np.float64, copy=False))
        self.y = targets if targets.dtype.kind in "iu" else targets.astype(np.float64, copy=False)
        objective = Objective(loss, {"penalty": Term(penalty, on, via="prox")}).bind(model)
        self.penalised = dict.fromkeys(objective.chosen("penalty"))
        self.lr = 0.0  # not known yet
        self._bounds: list[Array] | None = None  # nor these
        with self.in_float64(), no_grad():
            first, again = float(self.data().sum()), float(self.data().sum())
            for p in self.penalised:
                penalty.value(p.data)  # NotImplementedError where there is none
        if abs(first - again) > 1e-6 * abs(first):
            raise ValueError(
                f"solve: the loss is random, got {first:.6g} and then {again:.6g} of the same "
                "weights; switch dropout off with model.eval()"
            )

    @contextmanager
    def in_float64(self) -> Iterator[None]:
        """Inside, the model is in float64; afterwards its arrays hold the result, rounded."""
        tensors = dict.fromkeys(t for _, t in self.model._named_tensors())
        held = {t: t.data for t in tensors if t.dtype.kind == "f" and t.dtype != np.float64}
        for t, array in held.items():
            t.data = array.astype(np.float64)
        try:
            yield
        finally:
            for p in self.params:
                p.grad = None
            for t, array in held.items():
                array[...] = t.data
                t.data, t._seq = array, next_seq()

    def data(self) -> Tensor:
        """The loss on all data."""
        output = self.model(self.x)
        return self.loss(output, as_column(self.loss, output, self.y))

    def gradient(self) -> dict[Tensor, Array]:
        """The gradient of the loss, by parameter."""
        value = self.data()
        found = backprop([value], [np.ones_like(value.data)], self.params)
        return {p: found[p] if p in found else np.zeros_like(p.data) for p in self.params}

    def value(self) -> float:
        """Loss plus penalty."""
        with no_grad():
            penalties = (float(self.penalty.value(p.data)) for p in self.penalised)
            return float(self.data()) + sum(penalties)

    def certificate(self, gradient: dict[Tensor, Array]) -> float:
        """How far from optimal: the distance of −gradient to the penalty's subdifferential."""
        return float(sum(d**2 for d in self.distances(gradient)) ** 0.5)

    def distances(self, gradient: dict[Tensor, Array]) -> list[float]:
        """The certificate of each parameter."""
        return [
            self._distance(p.data, g) if p in self.penalised else float(length(g))
            for p, g in gradient.items()
        ]

    def _distance(self, w: Array, g: Array) -> float:
        """Outside a constraint, where the extrapolation may be, that of the nearest point inside."""
        found = float(self.penalty.subdiff_distance(w, g))
        if found == np.inf:
            found = float(self.penalty.subdiff_distance(self.penalty.prox(w, 0.0), g))
        return found

    def relative(self, gradient: dict[Tensor, Array]) -> float:
        """The certificate over what the gradient may be at most at 0: the largest of an element.

        Of an element the certificate is what a step of the prox would move it, over the step; less than
        rounding does not count.
        """
        # (a prox that is not convex jumps after a step that is not small)
        t = self.lr if self.penalty.convex else 1e-9 * self.lr
        largest = 0.0
        for (p, g), scale in zip(gradient.items(), self._scales(), strict=True):
            w = p.data
            off = (w - self.penalty.prox(w - t * g, t)) / t if p in self.penalised else g
            noise = 10 * EPS * (np.abs(w) / t + scale)
            beyond = np.where(np.abs(off) > noise, np.abs(off), 0)
            largest = max(largest, float(ratio(beyond, scale).max()))
        return largest

    def _scales(self) -> list[Array]:
        """What each element of the gradient may be at most where all parameters are 0.

        By Cauchy and Schwarz it is ‖∂output/∂w‖·‖∂loss/∂output‖, and mean squares of products with random
        vectors measure the first: where the gradient happens to be small at 0, this is not.
        """
        if self._bounds is None:
            kept, rng = self._copies(), np.random.default_rng(0)
            for p in self.params:
                p.assign(0.0)
            with np.errstate(all="ignore"):
                output = self.model(self.x)
                value = self.loss(output, as_column(self.loss, output, self.y))
                (slope,) = grad(value.sum(), output)
                squares = [np.zeros_like(p.data) for p in self.params]
                for _ in range(PROBES):
                    probe = move(rng.standard_normal(output.shape), self.params[0].backend)
                    output = self.model(self.x)
                    found = backprop([output], [probe], self.params)
                    for p, total in zip(self.params, squares, strict=True):
                        if p in found:
                            total += np.square(found[p]) / PROBES
            self._bounds = [np.sqrt(a) * length(slope.data) for a in squares]
            self._assign(kept)
        return self._bounds

    def curvature(self) -> float:
        """The largest magnitude of an eigenvalue of the loss's Hessian here, by Lanczos."""
        hessian = Hessian(self.data, self.params)
        return magnitude(hessian, hessian.draw(Stream("curvature", seed=0)), steps=40)

    def _rounding(self, gradient: dict[Tensor, Array]) -> float:
        """What rounding in float64 may leave of a certificate."""
        sizes = sum(float(length(g)) + float(length(p.data)) / self.lr for p, g in gradient.items())
        return 10 * EPS * sizes

    def _copies(self) -> list[Array]:
        return [p.data.copy() for p in self.params]

    def _assign(self, arrays: list[Array]) -> None:
        for p, array in zip(self.params, arrays, strict=True):
            p.assign(array)

    def _project(self) -> None:
        """Back into a ball, outside of which the value is ∞: the extrapolation may have left it."""
        for w in self.penalised:
            w.assign(self.penalty.prox(w.data, 0.0))

    def _optimizer(self) -> ProximalGradient:
        optimizer = ProximalGradient(self.params, self.lr, accelerated=True)
        optimizer.add_prox(self.penalised, self.penalty)
        return optimizer

    def solve(self, tol: float, max_steps: int) -> Solution:
        """Minimise to the certificate, from where the parameters are."""
        with self.in_float64():
            return self._solve(tol, max_steps)

    def _solve(self, tol: float, max_steps: int) -> Solution:
        if not np.isfinite(float(self.data().sum())):
            raise FloatingPointError(
                "solve: the loss is not finite where it starts; look for NaN and inf in x, y and "
                "the model's parameters"
            )
        if not self.lr:
            self.lr = 1 / (1.01 * self.curvature() or 1.0)
        optimizer, best, kept = self._optimizer(), np.inf, self._copies()
        lowest, since = np.inf, 0
        for step in range(max_steps + 1):
            gradient = self.gradient()
            certificate = self.certificate(gradient)
            if certificate < lowest:
                lowest, since = certificate, step
            last = step == max_steps or (
                step - since >= 1000 and certificate <= self._rounding(gradient)
            )
            if certificate <= tol or last:
                self._project()
                certificate = self.certificate(self.gradient())
                if certificate <= tol or last:
                    break
            if step % 100 == 0:  # where the curvature has grown, the rate must fall
                ahead = self._copies()
                self._project()
                value = self.value()
                if not value <= best + 1e-6 * abs(best):
                    self.lr /= 2
                    optimizer = self._optimizer()
                    self._assign(kept)
                    continue
                if value <= best:
                    best, kept = value, self._copies()
                self._assign(ahead)
            for p, g in gradient.items():
                p.grad = Tensor(g)
            optimizer.step()
        relative = self.relative(self.gradient())
        return Solution(step, certificate, self.value(), certificate <= tol, relative)


def solve(
    model: Module,
    loss: AnyLoss,
    penalty: Penalty,
    x: ArrayLike,
    y: ArrayLike,
    *,
    on: Selector = None,
    tol: float = 1e-10,
    max_steps: int = 20_000,
) -> Solution:
    """Minimise ``loss`` on all of (x, y) plus ``penalty``, until a certificate says it is minimal.

    Parameters
    ----------
    model, loss : convex together for a global minimum, for example a Linear with MSELoss. A
        model in float32 gets the solution rounded; certificate and value are those in float64.
    penalty : a convex penalty with a prox.
    x, y : inputs (N, …) and targets (N, …), moved to the model's backend; targets (N,) of a regression
        also stand for the outputs (N, 1).
    on : the parameters that the penalty applies to, as for a :class:`~minireg.Term`; by default the
        weights.
    tol : ≥ 0; stop when the certificate, a gradient norm, is at most this. A ``RuntimeWarning``
        says if an element of a parameter is further from stationary than a hundredth of what it may be
        with all parameters at 0, as for a feature of size 1e-11.
    max_steps : ≥ 1; end after this many, or earlier when rounding in float64 hides all progress:
        then ``converged`` is False and a ``RuntimeWarning`` says how far it came.

    Returns a :class:`Solution`; the parameters are left in the model. FISTA with restart (Beck &
    Teboulle 2009; O'Donoghue & Candès 2015) with the step 1/L, L being the largest eigenvalue of
    the loss's Hessian, measured. Raises ``TypeError`` for what is no Module or no Penalty,
    ``ValueError`` for a model that is frozen, no rows, a loss that is random, a strength that is a
    :class:`~minireg.penalties.Coefficient`, and other options,
    ``NotImplementedError`` for a penalty without a prox or a value, ``FloatingPointError`` for a loss that is
    not finite.

    >>> import minireg as mr
    >>> mr.manual_seed(0); model = mr.nn.Linear(2, 1).to(np.float64)
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]); y = x[:, :1]
    >>> solution = mr.solve(model, mr.nn.MSELoss(), mr.penalties.L1(0.5), x, y)
    >>> solution.converged, model.weight.numpy().round(6)
    (True, array([[0.625, 0.   ]]))
    """
    _check("solve", tol, max_steps)
    solution = Composite(model, loss, penalty, x, y, on).solve(tol, max_steps)
    _warn_unless_converged("solve", [solution], tol)
    return solution


def _check(owner: str, tol: float, max_steps: int) -> None:
    check_option(owner, "[0, inf)", tol=tol)
    check_option(owner, 1, max_steps=max_steps)


def _warn_unless_converged(owner: str, solutions: list[Solution], tol: float) -> None:
    missed = [s for s in solutions if not s.converged]
    if missed:
        where = f"{len(missed)} of {len(solutions)} strengths ended" if owner == "path" else "ended"
        warnings.warn(
            f"{owner}: {where} up to {max(s.certificate for s in missed):.1e} from stationary "
            f"after {max(s.steps for s in missed)} steps, expected tol={tol:g}; bring features and "
            "targets to a size of about 1, or pass a larger max_steps or tol",
            RuntimeWarning,
            stacklevel=3,
        )
    coarse = max((s.relative for s in solutions if s.converged), default=0.0)
    if coarse > COARSE:
        warnings.warn(
            f"{owner}: tol={tol:g} is coarse for data of this size: an element of a parameter is "
            f"as far from stationary as {coarse:.1g} times the largest gradient it may have at 0; bring "
            "features and targets to a size of about 1, or pass a smaller tol",
            RuntimeWarning,
            stacklevel=3,
        )


@dataclass(frozen=True, repr=False)
class RegularizationPath:
    """A regularization path, as :func:`path` returns it.

    Attributes
    ----------
    strengths : (n,), as they were solved.
    parameters : name → array (n, *shape) in float64.
    solutions : a :class:`Solution` for each strength.

    >>> import minireg as mr
    >>> x = np.eye(2); model = mr.nn.Linear(2, 1, bias=False).to(np.float64)
    >>> found = mr.path(model, mr.nn.MSELoss(), mr.penalties.L1(0.0), x, x[:, :1], [1.0, 0.5])
    >>> found.parameters["weight"].round(6).tolist()
    [[[0.0, 0.0]], [[0.5, 0.0]]]
    """

    strengths: Array
    parameters: dict[str, Array]
    solutions: list[Solution]

    @property
    def nonzero(self) -> Array:
        """How many weights are not 0 at each strength (n,), biases left out."""
        weights = [a for name, a in self.parameters.items() if not name.endswith("bias")]
        return np.asarray(sum((a != 0).reshape(len(a), -1).sum(axis=1) for a in weights))

    def draw(self, path: str | Path | None = None, name: str | None = None) -> Any:
        """Plot one parameter (by default the first) against the strength; returns the figure.

        ``path`` also saves it, in the format of its suffix. ``ImportError`` without matplotlib,
        ``KeyError`` for an unknown ``name``.
        """
        what = "RegularizationPath.draw needs matplotlib"
        drawing = needed(what, "matplotlib.figure", "'minireg[viz]'")
        name = name or next(iter(self.parameters))
        figure = drawing.Figure(figsize=(7, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.strengths, self.parameters[name].reshape(len(self.strengths), -1), lw=1.2)
        axes.set(xscale="log", xlabel="strength λ", ylabel=name)
        axes.set_xlim(self.strengths.max(), self.strengths.min())
        axes.axhline(0, color="#1f2328", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        count = axes.twinx()
        count.step(self.strengths, self.nonzero, color="#7d8590", lw=1, ls="dashed", where="mid")
        count.set_ylabel("weights that are not 0 (dashed)")
        count.spines[["top"]].set_visible(False)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def __repr__(self) -> str:
        worst = max(s.certificate for s in self.solutions)
        missed = sum(not s.converged for s in self.solutions)
        return (
            f"RegularizationPath({len(self.strengths)} strengths from {self.strengths[0]:.3g} to "
            f"{self.strengths[-1]:.3g}, {self.nonzero[0]} to {self.nonzero[-1]} weights not 0, "
            f"{sum(s.steps for s in self.solutions):,} steps, certificates ≤ {worst:.1e}"
            f"{f', {missed} not converged' if missed else ''})"
        )


def path(
    model: Module,
    loss: AnyLoss,
    penalty: Penalty,
    x: ArrayLike,
    y: ArrayLike,
    strengths: int | Sequence[float] = 50,
    *,
    ratio: float = 1e-3,
    on: Selector = None,
    tol: float = 1e-10,
    max_steps: int = 20_000,
) -> RegularizationPath:
    """Solve for a whole range of strengths, each started from the solution before.

    Parameters
    ----------
    model, loss, x, y, on, tol, max_steps : as for :func:`solve`, errors too; the model keeps the
        last solution.
    penalty : its ``strength`` (``l1`` of an elastic net) is set to each strength in turn and put
        back at the end.
    strengths : values ≥ 0, or how many: spaced evenly in the logarithm from the smallest that
        leaves all weights at 0 (``penalty.max_strength``) down to ``ratio`` times that.
    ratio : in (0, 1].

    Returns a :class:`RegularizationPath`, as ``sklearn.linear_model.lasso_path`` does for one
    model (Friedman et al. 2010). Raises ``TypeError`` for a penalty without a strength,
    ``ValueError`` for other strengths and ratios, ``NotImplementedError`` for a number of strengths
    where no finite one leaves all weights at 0 (L2).

    >>> import minireg as mr
    >>> data = mr.datasets.load("diabetes"); model = mr.nn.Linear(10, 1).to(np.float64)
    >>> found = mr.path(model, mr.nn.MSELoss(), mr.penalties.L1(0.0), *data.train, strengths=5)
    >>> int(found.nonzero[0]), int(found.nonzero[-1])
    (0, 9)
    """
    _check("path", tol, max_steps)
    check_option("path", "(0, 1]", ratio=ratio)
    problem = Composite(model, loss, penalty, x, y, on)
    field = "strength" if hasattr(penalty, "strength") else "l1"
    if not hasattr(penalty, field):
        raise TypeError(f"path: {penalty!r} has no strength to vary")
    before = getattr(penalty, field)
    kept: dict[str, list[Array]] = {n: [] for n, p in model.named_parameters() if p.requires_grad}
    solutions = []
    try:
        if isinstance(strengths, int | np.integer):
            top = _largest(problem, field, tol, max_steps)
            values = top * np.logspace(0, np.log10(ratio), strengths)
        else:
            values = exact(strengths, "path: strengths").astype(float)
        if values.ndim != 1 or not values.size:
            raise ValueError(
                f"path: got strengths={strengths!r}, expected a count ≥ 1 or a list of values"
            )
        with problem.in_float64():
            for strength in values:
                setattr(penalty, field, float(strength))
                solutions.append(problem.solve(tol, max_steps))
                for name, p in model.named_parameters():
                    if name in kept:
                        kept[name].append(p.numpy().copy())
    finally:
        setattr(penalty, field, before)
    _warn_unless_converged("path", solutions, tol)
    return RegularizationPath(
        values, {name: np.stack(arrays) for name, arrays in kept.items()}, solutions
    )


FAR = 1e100  # a strength beyond every largest one


def _largest(problem: Composite, field: str, tol: float, max_steps: int) -> float:
    """The smallest strength at which all that is penalised is 0, with everything else fitted.

    A group penalty may leave elements of a weight unpenalised, so all parameters are fitted, at a
    strength that keeps the penalised ones at 0.
    """

    def largest() -> float:
        gradient = problem.gradient()
        return max(float(problem.penalty.max_strength(gradient[p])) for p in problem.penalised)

    with problem.in_float64():
        for p in problem.penalised:
            p.assign(0.0)
        try:
            largest()
        except NotImplementedError as error:
            raise NotImplementedError(f"path: {error}; pass strengths=[…] themselves") from error
        setattr(problem.penalty, field, FAR)
        problem.solve(tol, max_steps)
        problem.lr = 0.0
        return largest()
