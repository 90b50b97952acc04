"""What a penalty is: value, gradient, prox, certificate, formula and prior.

Your own penalty is a subclass with ``value`` and, if it has one, ``prox``; everything else
follows from them, and :func:`minireg.check_penalty` says whether they fit together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Literal, NamedTuple

import numpy as np

from ..backend import NUMPY, Array, as_array, blocks, is_array, of, unscalar
from ..engine import grad
from ..messages import expected, within
from ..mode import enable_grad
from ..ops.arrays import length, like
from ..ops.table import op
from ..tensor import Tensor

NUMBER = int | float | np.number


class Formula(NamedTuple):
    """LaTeX of a penalty's value, gradient and proximal operator."""

    value: str
    gradient: str
    prox: str


# --- strengths -----------------------------------------------------------------------------------


class Coefficient:
    """A strength that changes while training: ``schedule(t)`` after t updates.

    :func:`minireg.fit` counts the updates; in a loop of your own call
    ``objective.step()`` after ``optimizer.step()``.

    >>> from minireg.penalties import L1
    >>> warm_up = Coefficient(lambda t: 1e-3 * min(1, t / 100))
    >>> penalty = L1(warm_up); penalty.strength
    0.0
    >>> warm_up.step(); penalty.strength
    1e-05
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        if not callable(schedule):
            raise TypeError(
                "Coefficient: schedule must be a function of the updates so far, got "
                f"{schedule!r}; a strength that stays takes the number itself"
            )
        self.schedule, self.updates = schedule, 0

    def step(self) -> None:
        """Count one more update."""
        self.updates += 1

    def __float__(self) -> float:
        return float(self.schedule(self.updates))

    def __repr__(self) -> str:
        return f"Coefficient({float(self):g} after {self.updates} updates)"


def checked_strength(owner: str, name: str, value: Any) -> float:
    """The strength as a float; ``ValueError`` unless it is finite and ≥ 0."""
    number = float(value) if isinstance(value, Coefficient) else value
    if not within(limit := "[0, inf)", number):
        raise ValueError(f"{owner}: {name} must be {expected(limit)}, got {value!r}")
    return float(number)


class Strength:
    """An attribute that is set to a number ≥ 0 or a :class:`Coefficient` and reads as a float."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, penalty: Any, owner: type | None = None) -> float:
        value = penalty.__dict__[self.name]
        if isinstance(value, Coefficient):  # another number by now
            return checked_strength(type(penalty).__name__, self.name, value)
        return value  # type: ignore[no-any-return]

    def __set__(self, penalty: Any, value: Any) -> None:
        number = checked_strength(type(penalty).__name__, self.name, value)
        penalty.__dict__[self.name] = value if isinstance(value, Coefficient) else number


# --- the protocol --------------------------------------------------------------------------------


class Penalty:
    """λ·Ω(w), added to the **mean** data loss.

    A subclass defines ``value`` in operators and NumPy functions (so that it works on arrays
    and, differentiably, on Tensors) and usually ``prox``; the closed-form ``gradient`` and the
    certificates replace what is derived here.

    >>> class Ridge(Penalty):
    ...     strength = Strength()
    ...     def __init__(self, strength): self.strength = strength
    ...     def value(self, w): return 0.5 * self.strength * (w * w).sum()
    >>> Ridge(0.5).gradient(np.array([2.0, -4.0]))
    array([ 1., -2.])
    """

    formula = Formula(
        r"\lambda\Omega(w)", r"\nabla(\lambda\Omega)(w)",
        r"\arg\min_u \tfrac12\lVert u - v\rVert^2 + t\lambda\Omega(u)",
    )  # fmt: skip
    prior = "density ∝ exp(−n·λΩ(w)) for n observations under the mean loss"
    text = "λΩ(w)"  # one line for reprs and tables
    convex: bool = True
    joint: bool = False  # whether it needs all weights of a term together
    separable: bool = False  # one function summed over all elements; gradient takes out=
    elementwise_step: bool = False  # whether prox also takes a step for each element
    shapes: tuple[tuple[int, ...], ...] = ((4, 3),)  # of weights that it makes sense for
    via: Literal["gradient", "prox"] = "gradient"  # how a Term acts unless it says so

    def __init_subclass__(cls) -> None:
        # both are said of the formulas of this class, not of a child's
        cls.separable = vars(cls).get("separable", False)
        cls.parts = vars(cls).get("parts", Penalty.parts)  # type: ignore[method-assign]
        if "prox" in vars(cls):
            cls.prox = _with_checked_step(cls.prox)  # type: ignore[method-assign]

    def value(self, w: Any) -> Any:
        """λ·Ω(w): an array gives a scalar, a Tensor a differentiable scalar Tensor."""
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def gradient(self, w: Array) -> Array:
        """∇(λΩ)(w), same shape as w; one documented choice at kinks. By default, autograd's."""
        t = Tensor(w, requires_grad=True)
        with enable_grad():  # a backward pass, which asks for it, records nothing itself
            (g,) = grad(self.value(t), t, allow_unused=True)
        return np.zeros_like(w) if g is None else g.data

    def add_gradient(self, w: Array, total: Array) -> Array:
        """``total += gradient(w)`` in place; where ``separable``, without a new array of w's size.

        >>> from minireg.penalties import L2
        >>> L2(0.5).add_gradient(np.array([2.0, -4.0]), np.ones(2))
        array([ 2., -1.])
        """
        # (an element that is recorded for a kernel is no array, and needs no room)
        if not (self.separable and is_array(w)):
            return np.add(total, self.gradient(w), out=total)
        room = _room(w)
        out = room[: w.size].reshape(w.shape)
        np.add(total, self.gradient(w, out=out), out=total)  # type: ignore[call-arg]
        if of(w) is NUMPY:
            _held.buffers[w.dtype] = room
        return total

    def prox(self, v: Array, step: Any) -> Array:
        """argmin_u ½‖u − v‖² + step·λΩ(u), same shape as v; step is a number ≥ 0 (``ValueError``).

        With ``elementwise_step`` the step may be an array of v's shape: the prox in the
        metric of its inverses, argmin_u Σ ½(u − v)²/step + λΩ(u).
        """
        raise NotImplementedError(f"{type(self).__name__} has no closed-form prox")

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """Euclidean distance of −g to ∂(λΩ)(w); 0 exactly when w is stationary for loss + λΩ.

        By default the limit of ‖w − prox(w − t·g, t)‖/t for a small t, or ‖g + ∇(λΩ)(w)‖
        where there is no prox.
        """
        t = 1e-6 if w.dtype == np.float64 else 1e-3
        try:
            off = (w - self.prox(w - t * g, t)) / t
        except NotImplementedError:
            off = g + self.gradient(w)
        return length(off)

    def max_strength(self, g: Array) -> Any:
        """The smallest λ at which w = 0 is optimal, from the loss gradient ``g`` at 0."""
        raise NotImplementedError(f"{type(self).__name__}: no finite strength makes w = 0 optimal")

    def parts(self) -> dict[str, Penalty]:
        """What it is the sum of, by name, if its prox is theirs one after the other; else empty.

        >>> from minireg.penalties import ElasticNet
        >>> ElasticNet(0.5, 1.0).parts()
        {'l1': L1(0.5): λ‖w‖₁, 'l2': L2(1): ½λ‖w‖²}
        """
        return {}

    # --- how it is used and shown ----------------------------------------------------------------

    def __call__(self, w: Any) -> Any:
        """The value; on a Tensor its backward is the closed-form gradient."""
        return penalty_value(w, penalty=self)

    def over(self, parameters: Iterable[Tensor]) -> Any:
        """The value of a whole term: the sum over its parameters, or None without any."""
        parts = [self(p) for p in parameters]
        return sum(parts[1:], parts[0]) if parts else None

    def coefficients(self) -> list[Coefficient]:
        """Its strengths that change while training."""
        return [v for v in vars(self).values() if isinstance(v, Coefficient)]

    def parameters_text(self) -> str:
        """What stands between the parentheses of the repr: its strengths, or else its numbers."""
        found = {n: getattr(self, n) for n in vars(self) if isinstance(_field(self, n), Strength)}
        found = found or {n: v for n, v in vars(self).items() if type(v) in (int, float)}
        if len(found) == 1:
            return f"{next(iter(found.values())):g}"
        return ", ".join(f"{name}={value:g}" for name, value in found.items())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.parameters_text()}): {self.text}"


def _with_checked_step(prox: Callable[..., Array]) -> Callable[..., Array]:
    @wraps(prox)
    def checked(self: Penalty, v: Array, step: Any) -> Array:
        # (a step for each element is the optimizer's, and to look at it may wait for a device)
        if isinstance(step, str | None) or (isinstance(step, NUMBER) and not step >= 0):
            raise ValueError(f"{type(self).__name__}.prox: step must be ≥ 0, got {step!r}")
        return prox(self, v, step)

    return checked


def _field(penalty: Penalty, name: str) -> Any:
    return next((vars(c)[name] for c in type(penalty).__mro__ if name in vars(c)), None)


def add_gradients(penalties: Iterable[Penalty], w: Array, total: Array) -> None:
    """``total += Σ gradient(w)`` in place, one penalty after the other."""
    for penalty in penalties:
        penalty.add_gradient(w, total)


def fixed(x: Any, name: str) -> Any:
    """What a penalty keeps of an argument: numbers and None as they are, else an array of its own.

    It shares no memory: the weight that it was taken from goes on, in place.
    """
    return x if x is None or isinstance(x, NUMBER) else as_array(x, name).copy()


def fitting(a: Any, w: Any, name: str) -> Any:
    """``a`` in w's dtype; ``ValueError`` unless it broadcasts to w's shape."""
    if hasattr(a, "shape") and a.shape != w.shape:
        try:
            fits = np.broadcast_shapes(a.shape, w.shape) == w.shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(f"{name} has shape {a.shape}, expected that of the weight, {w.shape}")
    return like(a, w)


def constant(value: Any, w: Any) -> Any:
    """A value that is flat in w: an array, or a Tensor without a graph where w is one."""
    return Tensor(unscalar(value)) if isinstance(w, Tensor) else value


class _Held(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[Any, Array] = {}


_held = _Held()


def _room(w: Array) -> Array:
    """A flat array as large as w; until it is put back, a gradient within gets another.

    The largest asked for is kept; CuPy's memory pool does that by itself.
    """
    if of(w) is not NUMPY:
        return np.empty_like(w, shape=w.size)
    held = _held.buffers.pop(w.dtype, None)
    return held if held is not None and held.size >= w.size else np.empty(w.size, w.dtype)


# --- the op "penalty" -----------------------------------------------------------------------------

# The closed form is the fast rule, the value in primitive ops its definition: the same
# test that holds every fused op to its definition holds gradient to autograd. (What it is tried
# on is in samples.py, which knows the penalties there are.)


def _backward(g: Any, y: Any, saved: None, needs: set[int], *ws: Any, penalty: Penalty) -> Any:
    found = penalty.gradient(*ws)
    return tuple(g * d for d in (found if isinstance(found, tuple) else (found,)))


def _value(*ws: Any, penalty: Penalty) -> tuple[Any, None]:
    if not penalty.separable:
        return penalty.value(*ws), None
    first, *rest = (penalty.value(part) for (part,) in blocks(*ws))
    return sum(rest, first), None


penalty_value = op(
    "penalty",
    _value,
    backward=_backward,
    definition=lambda *ws, penalty: penalty.value(*ws),
    formula=r"\bar w = \bar y\,\nabla(\lambda\Omega)(w)",
)
