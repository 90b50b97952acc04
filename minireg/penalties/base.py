"""What a penalty is: value, gradient, prox, certificate, formula and prior.

A new penalty is a subclass with ``value`` and, if it has one, ``prox``; everything else follows from
them, and :func:`minireg.check_penalty` checks that they agree.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import getattr_static, signature
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from ..backend import NUMPY, Array, as_array, blocks, is_array, move, of, unscalar
from ..engine import grad
from ..messages import expected, within
from ..mode import enable_grad
from ..ops.arrays import length, like, widened
from ..ops.table import array_like, op, ratio
from ..tensor import Tensor

NUMBER = int | float | np.number
Weight = Array | Tensor  # what a penalty measures


class Formula(NamedTuple):
    r"""LaTeX of a penalty's value, gradient and proximal operator (Parikh & Boyd 2014).

    Parameters
    ----------
    value, gradient, prox : texts; ``TypeError`` if one is missing.

    >>> from minireg.penalties import L1
    >>> print(L1.formula.prox)
    \mathrm{sign}(v)\max(|v| - t\lambda, 0)
    """

    value: str
    gradient: str
    prox: str


# --- strengths -----------------------------------------------------------------------------------


class Coefficient:
    """A strength that changes while training: ``schedule(t)`` after t updates.

    Parameters
    ----------
    schedule : a function of the number of updates; its values are finite and ≥ 0. ``TypeError`` for
        anything but a function, ``ValueError`` for another value, when it is read.

    :func:`minireg.fit` counts the updates; in your own loop call ``objective.step(optimizer)`` after
    ``optimizer.step()``.

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


def checked_strength(owner: str, name: str, value: float | Coefficient) -> float:
    """The strength as a float; ``ValueError`` unless it is finite and ≥ 0."""
    number = float(value) if isinstance(value, Coefficient) else value
    if not within(limit := "[0, inf)", number):
        raise ValueError(f"{owner}: {name} must be {expected(limit)}, got {value!r}")
    return float(number)


Level = float | Coefficient  # what a strength may be set to


class Strength:
    """A strength as a class attribute: set to a number ≥ 0 or a :class:`Coefficient`, read as a float.

    ``ValueError`` for a number that is negative or not finite, and for anything else.

    >>> class Scaled(Penalty):
    ...     strength = Strength()
    ...     def __init__(self, strength): self.strength = strength
    >>> Scaled(0.5).strength
    0.5
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, penalty: Penalty, owner: type | None = None) -> float:
        value = penalty.__dict__[self.name]
        if isinstance(value, Coefficient):  # its number changes
            return checked_strength(type(penalty).__name__, self.name, value)
        return value

    def __set__(self, penalty: Penalty, value: Level) -> None:
        number = checked_strength(type(penalty).__name__, self.name, value)
        penalty.__dict__[self.name] = value if isinstance(value, Coefficient) else number


# --- the protocol --------------------------------------------------------------------------------


class Penalty:
    """λ·Ω(w), a regularizer that is added to the **mean** data loss.

    w is an array or a Tensor of any shape (of some penalties a matrix); the value is a scalar, gradient
    and prox have w's shape. A subclass defines ``value`` in operators and NumPy functions, so that it
    works on arrays and, differentiably, on Tensors, and usually ``prox``. A closed-form ``gradient``
    and the certificates ``subdiff_distance`` and ``max_strength`` replace what is derived here.

    Attributes
    ----------
    formula, text : LaTeX of value, gradient and prox; one line for reprs and tables.
    prior : the density that it stands for, ∝ exp(−n·λΩ(w)) with n observations.
    convex : whether Ω is convex.
    joint : whether it takes all weights of a term together, as :class:`PathNorm` does.
    separable : a sum of one function over all elements; then ``gradient`` takes ``out=``.
    elementwise_step : whether ``prox`` also takes an array of steps, which Adam and RMSprop need.
    euclidean : whether it ignores them, as a projection on a ball does.
    via : "gradient" or "prox", how a :class:`minireg.Term` acts by default.

    Every penalty raises ``ValueError`` for a strength or a step that is not finite and ≥ 0 and for steps
    in an array that it does not take, and ``NotImplementedError`` where it has no closed form (``prox``,
    ``max_strength``).

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
    joint: bool = False  # whether it takes all weights of a term together
    separable: bool = False  # a sum of one function over all elements; gradient takes out=
    elementwise_step: bool = False  # whether prox also takes a step for each element
    euclidean: bool = False  # whether prox then ignores them: a projection
    shapes: tuple[tuple[int, ...], ...] = ((4, 3),)  # examples of weights that it takes
    via: Literal["gradient", "prox"] = "gradient"  # the default of Term

    def __init_subclass__(cls) -> None:
        # both describe the formulas of this class, so a subclass does not inherit them
        cls.separable = vars(cls).get("separable", False)
        cls.parts = vars(cls).get("parts", Penalty.parts)  # type: ignore[method-assign]
        for name in _MEASURES & vars(cls).keys():
            setattr(cls, name, (_of_step if name == "prox" else _of_floats)(vars(cls)[name]))

    def value(self, w: Weight) -> Any:
        """λ·Ω(w): of an array a scalar, of a Tensor a differentiable scalar Tensor."""
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def gradient(self, w: Array) -> Array:
        """∇(λΩ)(w), an array of w's shape; at a kink one element of ∂(λΩ)(w). By default autograd's."""
        t = Tensor(w, requires_grad=True)
        with enable_grad():  # also within a backward pass, which records nothing itself
            (g,) = grad(self.value(t), t, allow_unused=True)
        return np.zeros_like(w) if g is None else g.data

    def add_gradient(self, w: Array, total: Array) -> Array:
        """``total += gradient(w)`` in place, returned; if ``separable``, without a new array of w's size.

        >>> from minireg.penalties import L2
        >>> L2(0.5).add_gradient(np.array([2.0, -4.0]), np.ones(2))
        array([ 2., -1.])
        """
        # (while a kernel is recorded w is a Symbol, which needs no buffer)
        if not (self.separable and is_array(w)):
            return np.add(total, self.gradient(w), out=total)
        buffer = _take_buffer(w)
        out = buffer[: w.size].reshape(w.shape)
        np.add(total, self.gradient(w, out=out), out=total)  # type: ignore[call-arg]
        if of(w) is NUMPY:
            vars(_kept)[w.dtype] = buffer
        return total

    def prox(self, v: Array, step: float | Array) -> Array:
        """argmin_u ½‖u − v‖² + step·λΩ(u), an array of v's shape.

        ``step`` is a finite number ≥ 0 (``ValueError``). With ``elementwise_step`` it may be an array of
        v's shape, the prox in the metric of its inverses: argmin_u Σ ½(u − v)²/step + λΩ(u).
        ``NotImplementedError`` without a closed form.
        """
        raise NotImplementedError(f"{type(self).__name__} has no closed-form prox")

    def subdiff_distance(self, w: Array, g: Array) -> Any:
        """Euclidean distance of −g to ∂(λΩ)(w), a scalar: 0 exactly where loss + λΩ is stationary.

        w and the loss's gradient g there are arrays of one shape. By default it is the limit of
        ‖w − prox(w − t·g, t)‖/t for t → 0, or ‖g + ∇(λΩ)(w)‖ without a prox.
        """
        # as t falls, the quotient of a convex Ω rises to its limit (Yosida's approximation); the
        # rounding of w rises, too, and is taken off
        size = length(w)
        t = (1e-3 if w.dtype == np.float64 else 1e-2) * ratio(size, length(g))
        # (on w's device: a number would wait for it)
        t = np.where((t > 0) & (t < np.inf), t, 1).astype(w.dtype)
        try:
            found = length((w - self.prox(w - t * g, t)) / t)
        except NotImplementedError:
            return length(g + self.gradient(w))
        for _ in range(10):
            t, before = np.maximum(t / 1000, float(np.finfo(w.dtype).tiny)), found
            off = length((w - self.prox(w - t * g, t)) / t)
            found = np.maximum(before, off - slack(w) * size / t)
            if of(w) is NUMPY and not found > 1.001 * before:  # (a device would have to wait)
                break
        return found

    def max_strength(self, g: Array) -> Any:
        """The smallest λ at which w = 0 is optimal, a scalar, from the loss's gradient g at 0.

        ``NotImplementedError`` where there is none.
        """
        raise NotImplementedError(f"{type(self).__name__}: no finite strength makes w = 0 optimal")

    def parts(self) -> dict[str, Penalty]:
        """The penalties that it is the sum of, by name; empty if it is no such sum.

        The prox of the sum is theirs one after the other, in this order.

        >>> from minireg.penalties import ElasticNet
        >>> ElasticNet(0.5, 1.0).parts()
        {'l1': L1(0.5): λ‖w‖₁, 'l2': L2(1): ½λ‖w‖²}
        """
        return {}

    # --- how it is used and shown ----------------------------------------------------------------

    def __call__(self, w: Weight) -> Any:
        """The value as :meth:`value` gives it, also of a list; backward is the closed-form gradient."""
        found: Any = array_like(w, type(self).__name__, np.float64)
        if not hasattr(w, "dtype") and found.dtype.kind == "i":  # (numbers that Python holds)
            found = found.astype(np.float64)
        return penalty_value(found, penalty=self)

    def over(self, parameters: Iterable[Tensor]) -> Any:
        """The value of a term: the sum over its parameters, None for no parameters."""
        parts = [self(p) for p in parameters]
        return sum(parts[1:], parts[0]) if parts else None

    def coefficients(self) -> list[Coefficient]:
        """Its strengths that are a :class:`Coefficient`, and those of penalties within it; each once."""
        values = (value for penalty in nested([self]) for value in vars(penalty).values())
        return [*dict.fromkeys(value for value in values if isinstance(value, Coefficient))]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What its constructor takes, by name, as it is now: the class called with it makes an equal one.

        A strength that changes is its :class:`Coefficient`. With ``deep`` also what belongs to a penalty
        inside, as ``inner__strength`` of a :class:`Composed`. ``AttributeError`` for an argument that a
        subclass does not keep under its name.

        >>> from minireg.penalties import GroupLasso
        >>> GroupLasso(0.1, axis=0).get_params()
        {'strength': 0.1, 'axis': 0, 'groups': None, 'scale': 'sqrt'}
        """
        return {name: self._argument(name) for name in signature(type(self)).parameters}

    def _argument(self, name: str) -> Any:
        if name not in vars(self):
            raise AttributeError(
                f"{type(self).__name__}.get_params: the argument {name!r} is not kept; in __init__ write "
                f"self.{name} = {name}"
            )
        return vars(self)[name]  # (a Coefficient itself, not its number)

    def set_params(self, **params: Any) -> Self:
        """Make it anew in place, with other arguments; returns itself.

        ``ValueError`` for an unknown name, and what the constructor raises; then nothing has changed.

        >>> from minireg.penalties import L1
        >>> L1(0.1).set_params(strength=0.5)
        L1(0.5): λ‖w‖₁
        """
        before = self.get_params(deep=False)
        if unknown := params.keys() - before.keys():
            raise ValueError(
                f"{type(self).__name__}.set_params: got {sorted(unknown)}, expected some of {[*before]}"
            )
        made = type(self)(**before | params)
        vars(self).clear()
        vars(self).update(vars(made))
        return self

    def __sklearn_clone__(self) -> Self:
        return copy.deepcopy(self)  # (calling the class would copy arrays, which clone refuses)

    def parameters_text(self) -> str:
        """The arguments in the repr: its strengths, or its numbers if it has none."""
        strengths = [n for n in vars(self) if isinstance(getattr_static(self, n), Strength)]
        names = strengths or [n for n, v in vars(self).items() if type(v) in (int, float)]
        if len(names) == 1:
            return f"{getattr(self, names[0]):g}"
        return ", ".join(f"{name}={getattr(self, name):g}" for name in names)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.parameters_text()}): {self.text}"


_MEASURES = {"value", "gradient", "prox", "subdiff_distance", "max_strength"}


def _floating(w: Any) -> Any:
    """w, float16 in float32; ``TypeError`` for integers, which overflow, and complex numbers."""
    kind = getattr(w, "dtype", np.dtype(float))  # (a kernel's Symbol has none)
    return w if kind.kind == "f" and kind != np.float16 else widened(w)


def _of_floats(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def checked(self: Penalty, *args: Any, **options: Any) -> Any:
        wide = [*map(_floating, args)]
        if method.__name__ == "value" and args and wide[0] is not args[0]:
            return like(method(self, *wide, **options), args[0])
        return method(self, *args, **options)

    return checked


def _of_step(prox: Callable[..., Array]) -> Callable[..., Array]:
    @wraps(prox)
    def checked(self: Penalty, v: Array, step: Any) -> Array:
        _floating(v)
        must = f"{type(self).__name__}.prox: step must be"
        if not self.elementwise_step and np.ndim(step):
            raise ValueError(f"{must} a single number, got an array of shape {np.shape(step)}")
        # (to look at steps on a device would wait for it; NaN is what a training that diverges has)
        bad = isinstance(step, str | None) or (isinstance(step, NUMBER) and not 0 <= step < np.inf)
        if bad or (isinstance(step, np.ndarray) and ((step < 0) | (step == np.inf)).any()):
            raise ValueError(f"{must} finite and ≥ 0, got {step!r:.60}")
        return prox(self, v, step)

    return checked


def nested(penalties: Iterable[Penalty]) -> list[Penalty]:
    """These penalties and those within them, as attributes or in lists and tuples, each once."""
    found = [*penalties]
    for penalty in found:  # which grows
        for value in vars(penalty).values():
            inner = value if isinstance(value, list | tuple) else [value]
            found += [p for p in inner if isinstance(p, Penalty) and all(p is not f for f in found)]
    return [*{id(penalty): penalty for penalty in found}.values()]


def add_gradients(penalties: Iterable[Penalty], w: Array, total: Array) -> None:
    """``total += Σ gradient(w)`` in place, one penalty after the other."""
    for penalty in penalties:
        penalty.add_gradient(w, total)


def fixed(x: ArrayLike | None, name: str) -> Any:
    """An argument as a penalty keeps it: a number or None as it is, anything else as a copied array.

    A copy, as the weight that it may be a view of changes in place; of lists in float64, whatever the
    weight will be. ``ValueError`` for NaN (on a device it is not looked for: that would wait).
    """
    given = x is None or isinstance(x, NUMBER)
    kept: Any = x if given else as_array(x, name, np.float64).copy()
    if isinstance(kept, np.ndarray | NUMBER) and np.isnan(kept).any():
        raise ValueError(f"{name} must be numbers, got NaN")
    return kept


def fitting(a: Array, w: Weight, name: str) -> Any:
    """``a`` in w's dtype; ``ValueError`` unless it broadcasts to w's shape."""
    if hasattr(a, "shape"):
        pairs = zip(a.shape[::-1], w.shape[::-1], strict=False)
        if a.ndim > w.ndim or any(n not in (1, m) for n, m in pairs):
            raise ValueError(f"{name} has shape {a.shape}, expected that of the weight, {w.shape}")
    return like(a, w)


def slack(w: Array) -> float:
    """How far beyond a bound, relative to it, still counts as inside: some rounding."""
    return 256 * float(np.finfo(w.dtype).eps)


Copies = dict[tuple[str, Any], Array]  # of an array, by backend and dtype


def followed(a: Array, w: Weight, copies: Copies) -> Array:
    """``a`` where w lives, in its dtype; kept in ``copies``, so that it moves there once."""
    raw = w.data if isinstance(w, Tensor) else w
    key = of(raw).name, raw.dtype
    if key not in copies:
        copies[key] = like(move(a, key[0]), raw)
    return copies[key]


def constant(value: Array, w: Weight) -> Any:
    """A value without a gradient: as it is, or as a Tensor outside the graph if w is a Tensor."""
    return Tensor(unscalar(value)) if isinstance(w, Tensor) else value


_kept = threading.local()  # vars(_kept): a dict in each thread, of a buffer by dtype


def _take_buffer(w: Array) -> Array:
    """A flat array of at least w's size; until it is put back, a nested gradient gets another one.

    On the CPU the largest so far is kept; CuPy's memory pool does that by itself.
    """
    if of(w) is not NUMPY:
        return np.empty_like(w, shape=w.size)
    kept = vars(_kept).pop(w.dtype, None)
    return kept if kept is not None and kept.size >= w.size else np.empty(w.size, w.dtype)


# --- the op "penalty" -----------------------------------------------------------------------------

# The closed form is the fast rule, the value in primitive ops its definition: the test that compares
# every fused op with its definition compares gradient with autograd. (The samples of that test are in
# samples.py, which imports the penalties.)


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
