"""The one update pipeline, the same for every optimizer.

data gradient → + penalty gradients → clip → state (momentum, moments) → step
→ decoupled decay → prox or projection

The first three happen before ``step()``: :class:`~minireg.Objective` fills ``.grad`` with
the sum of the terms, ``clip_grad_norm_`` scales it. An optimizer defines ``_update``: the
state and the step for one block of elements, in place. ``formula`` is the same in plain
NumPy, the readable specification that the in-place passes are tested against.
On a GPU the same ``_update``, with what elementwise prox follows it, is recorded into one kernel
for all parameters that are treated alike (:mod:`minireg.kernels`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, blocks, is_array, move, of
from ..errors import check_option
from ..kernels import UNTRACEABLE, Kernel, Scalar, fits, trace
from ..penalties import Penalty
from ..tensor import Tensor, next_seq

_RANGES = {
    "lr": "[0, inf)", "momentum": "[0, inf)", "weight_decay": "[0, inf)", "eps": "[0, inf)",
    "temperature": "[0, inf)", "alpha": "[0, 1)",
}  # fmt: skip


Due = tuple[Tensor, Array, dict[str, Any]]  # a parameter, its gradient, its group


def _told(name: str, value: Any) -> Any:
    """An option whose numbers know their name."""
    if isinstance(value, tuple):
        return tuple(_told(f"{name}[{i}]", v) for i, v in enumerate(value))
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return Scalar(value, name) if number else value


class LinearStep(NamedTuple):
    """How a share g of the gradient moves θ: Δ = scale·(fresh·g + carried·m), m ← keep·m + gain·g.

    m is the share's part of the momentum; ``gain`` is None where there is none. ``scale`` may be
    a function that gives it when it is asked for.
    """

    scale: Any
    fresh: Any = 1.0
    carried: float = 0.0
    keep: float = 0.0
    gain: Any = None


class Optimizer:
    """Base class: parameter groups, state, and the pipeline of :meth:`step`.

    ``params`` is an iterable of Tensors or of dicts ``{"params": …, option: value}``, one
    a group. Groups live in ``param_groups``; per-parameter state in ``state``.
    """

    observer: Any = None  # a Ledger, told of every parameter's step
    buffer = ""  # the state that is linear in past gradients, if there is one
    elementwise = False  # whether every element has a step length of its own
    scratch = 1  # arrays of one block that _update may overwrite

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        self._prox: dict[Tensor, list[Penalty]] = {}
        self.scheduled = False  # whether a schedule has taken the rates as its base
        given: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        if not given:
            raise ValueError(f"{type(self).__name__}: got no parameters to optimize")
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add ``{"params": …}`` with options that override the defaults."""
        owner = type(self).__name__
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        known = {p for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor) or not p.is_leaf:
                raise TypeError(f"{owner}: expected leaf Tensors as parameters, got {p!r:.80}")
            if p in known:
                raise ValueError(f"{owner}: a parameter of shape {p.shape} is in two groups")
            known.add(p)
        unknown = group.keys() - self.defaults.keys() - {"params"}
        if unknown:
            raise ValueError(
                f"{owner}: unknown option {sorted(unknown)}, expected {sorted(self.defaults)}"
            )
        full = {**self.defaults, **group, "params": params}
        self._check(full)
        self.param_groups.append({**full, "initial_lr": full["lr"]})

    def _check(self, group: dict[str, Any]) -> None:
        """Raise ``ValueError`` for an option out of range."""
        owner = type(self).__name__
        for name, interval in _RANGES.items():
            if name in group:
                check_option(owner, name, group[name], interval)
        for i, beta in enumerate(group.get("betas", ())):
            check_option(owner, f"betas[{i}]", beta, "[0, 1)")

    def add_prox(self, params: Iterable[Tensor], penalty: Penalty) -> None:
        """Apply the penalty's prox to these parameters at the end of each step.

        The prox is as long as the step: where a constant gradient of 1 would move θ by t, it
        is ``penalty.prox(θ, t)``, so t is lr/(1 − μ) with momentum μ and lr/(√v̂ + ε), element
        by element, under Adam and RMSprop. The end point then minimises loss + penalty, as it
        does with the penalty's gradient; with ``prox(θ, lr)`` it would be loss + (1 − μ)·penalty.
        Asking twice for the same penalty and parameter changes nothing. Raises
        ``NotImplementedError`` where a step for each element meets a penalty that is no sum over
        elements and has no prox in that metric.
        """
        if self.elementwise and not penalty.elementwise_step:
            raise NotImplementedError(
                f"{type(self).__name__}: {penalty!r} has no prox with a step for each element, which "
                "this optimizer's step has; take SGD or ProximalGradient, or via='gradient'"
            )
        for p in params:
            known = self._prox.setdefault(p, [])
            if not any(penalty is other for other in known):
                known.append(penalty)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters (they become None)."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self, *, scale: Any = None) -> None:
        """One update of every parameter that has a gradient; frozen ones are never touched.

        ``scale``, a number or an array of one element, multiplies the gradients first, in place:
        with the factor of :func:`clip_factor` it is ``clip_grad_norm_`` within the step.
        """
        due, watch = list(self._due()), self.observer
        scale = scale.data if isinstance(scale, Tensor) else scale
        if getattr(scale, "size", 1) != 1:
            raise ValueError(
                f"{type(self).__name__}.step: scale must be a number or an array of one element, got "
                f"shape {scale.shape}; scale single gradients before the step"
            )
        scale = float(scale) if isinstance(scale, np.generic) else scale
        factor = cache(lambda dtype: scale.astype(dtype, copy=False) if is_array(scale) else scale)
        launched = {} if watch else self._launch(due, factor)
        for p, g, group in due:
            complete = launched.get(p)
            if complete is None and scale is not None:
                g *= factor(g.dtype)
            if watch:
                watch.before(p, group)
            if complete is None:
                self._step(p, -g if group.get("maximize") else g, group)
            for name, new in () if complete else self._after_step(p, group):
                if watch:
                    watch.also(p, name, new - p.data)
                p.data[...] = new
        self._join([p for p, _, group in due])
        for p, _, group in due:
            p._seq = next_seq()  # a graph that has read the old values will notice
            if watch:
                watch.after(p, group)

    def _due(self) -> Iterator[tuple[Tensor, Array, dict[str, Any]]]:
        """(parameter, gradient, group) of what a step updates."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.requires_grad:
                    yield p, p.grad.data, group

    def _after_step(self, p: Tensor, group: dict[str, Any]) -> Iterator[tuple[str, Array]]:
        """What follows the step of a parameter: a name for it, and the new values."""
        for penalty in self._prox.get(p, ()):
            yield "prox", penalty.prox(p.data, self._prox_step(p, group))

    def _join(self, params: list[Tensor]) -> None:
        """What a step does last, with all parameters together."""

    def _step(self, p: Tensor, g: Array, group: dict[str, Any]) -> None:
        arrays, first = self._arrays(p, g, group)
        update = self._update(self.state[p]["step"], first, group)
        for views in blocks(*arrays):
            update(*views, *(np.empty_like(views[0]) for _ in range(self.scratch)))

    def _arrays(self, p: Tensor, g: Array, group: dict[str, Any]) -> tuple[list[Array], bool]:
        """What an update, counted now, works on, and whether some of the states have been made."""
        state = self.state.setdefault(p, {"step": 0})
        state["step"] += 1
        names = self._states(group)
        missing = [name for name in names if name not in state]
        state |= {name: np.zeros_like(p.data) for name in missing}
        return [p.data, g, *(state[name] for name in names)], bool(missing)

    # --- one kernel for many parameters ----------------------------------------------------------

    def kernel_source(self) -> str:
        """The CUDA source of the next step: one kernel for all parameters that it treats alike.

        Alike are those of one group, dtype and age with the same penalties via prox. The source
        is made from the optimizer's own in-place passes and the penalties' own ``prox``; options
        and corrections are its arguments, so a schedule does not compile anew. Where arrays live
        on a GPU a step launches just this; the source can be printed anywhere.

        >>> import minireg as mr
        >>> w = mr.tensor([1.0], requires_grad=True)
        >>> print(mr.optim.SGD([w], lr=0.1).kernel_source().splitlines()[-1])
        *at_p_ = p_ - (g_ * a0);
        """
        alike = self._alike((p, p.data, g) for g in self.param_groups for p in g["params"])
        found = [self._kernel(*members[0], None)[0] for members in alike.values()]
        return "\n\n".join(f"// {self.text}\n{kernel}" for kernel in found if kernel)

    def _launch(self, due: Sequence[Due], factor: Callable[[Any], Any]) -> dict[Tensor, bool]:
        """Step what lives where kernels run, many parameters a launch; tells whose prox is done."""
        fit = [m for m in due if of(m[0].data).address is not None and self._fits(*m, factor)]
        if not fit or type(self)._step is not Optimizer._step:
            return {}
        memory = sorted((of(p.data).address(p.data), p.data.nbytes, k)  # type: ignore[misc]
                        for k, (p, _, _) in enumerate(fit))  # fmt: skip
        shared = {k for a, b in pairwise(memory) if b[0] < a[0] + a[1] for k in (a[2], b[2])}
        launched: dict[Tensor, bool] = {}
        for members in self._alike(m for k, m in enumerate(fit) if k not in shared).values():
            p, g, group = members[0]
            scale = factor(g.dtype)
            kernel, whole = self._kernel(p, g, group, scale)
            if kernel is not None:
                common = [scale] * kernel.common
                kernel.launch(of(g), [[*self._arrays(*member)[0], *common] for member in members])
                launched |= {p: whole for p, _, _ in members}
        return launched

    def _fits(
        self, p: Tensor, g: Array, group: dict[str, Any], factor: Callable[[Any], Any]
    ) -> bool:
        """Whether a kernel can take the parameter with all that belongs to its update."""
        state, scale = self.state.get(p, {}), factor(g.dtype)
        common = [scale] if is_array(scale) else []
        states = (state[n] for n in self._states(group) if n in state)
        return fits([p.data, g, *states, *common], len(common))

    def _stage(self, p: Tensor, group: dict[str, Any]) -> tuple[int, bool]:
        """The number of the parameter's next update, and whether it makes states."""
        state = self.state.get(p, {})
        return state.get("step", 0) + 1, any(n not in state for n in self._states(group))

    def _alike(self, due: Iterable[Due]) -> dict[Any, list[Due]]:
        """Parameters by what their step depends on."""
        alike: dict[Any, list[Due]] = {}
        for p, g, group in due:
            same = id(group), p.backend, p.dtype, *map(id, self._prox.get(p, ()))
            alike.setdefault((*self._stage(p, group), *same), []).append((p, g, group))
        return alike

    def _kernel(
        self, p: Tensor, g: Array, group: dict[str, Any], scale: Any
    ) -> tuple[Kernel | None, bool]:
        """The next update of a parameter as a kernel, and whether nothing is to follow it."""
        names, (step, first) = self._states(group), self._stage(p, group)
        known, age = {k: _told(k, v) for k, v in group.items()}, Scalar(step, "step")
        common = ["scale"] if is_array(scale) else []

        def update(p: Any, g: Any, *rest: Any) -> None:
            if scale is not None:
                g *= rest[-1] if common else Scalar(scale, "scale")
            rest = rest[: len(rest) - len(common)]
            upwards = -g if group.get("maximize") else g
            self._update(age, first, known)(p, upwards, *rest)  # type: ignore[arg-type]
            if penalties:  # how long their prox is follows from the states, which are symbols here
                twin = copy.copy(self)
                twin.state = {p: {"step": age, **dict(zip(names, rest, strict=False))}}
            for penalty in penalties:
                p[...] = penalty.prox(p, twin._prox_step(p, known))

        own = type(self)._after_step is Optimizer._after_step  # else something precedes the prox
        proxes = self._prox.get(p, []) if own else []
        arrays, kind = ("p", "g", *names, *common), (type(self).__name__, p.dtype.name)
        for penalties in (proxes, []):
            try:
                kernel = trace(*kind, arrays, update, self.scratch, len(common))
                return kernel, own and penalties == proxes
            except UNTRACEABLE:  # it needs more than one element: arrays will do
                continue
        return None, False

    def _prox_step(self, p: Tensor, group: dict[str, Any]) -> Any:
        """How far a constant gradient of 1 moves p in one step: so long is the prox."""
        return group["lr"]

    def momentum(self, p: Tensor) -> Array | None:
        """The momentum of a parameter, None while there is none."""
        return self.state.get(p, {}).get(self.buffer)

    def decays(self, group: dict[str, Any]) -> tuple[float, float]:
        """(coupled, decoupled) decay: what joins the gradient, what shrinks θ directly."""
        return group.get("weight_decay", 0.0), 0.0

    def linear(self, p: Tensor, group: dict[str, Any], first: bool) -> LinearStep:
        """The step just made, as a linear function of the gradient and of past ones.

        ``first`` says that there was no momentum before. The :class:`~minireg.Ledger` splits the
        step by terms with it.
        """
        return LinearStep(-group["lr"])

    def _states(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Names of the arrays kept for each parameter of the group, zero at first."""
        return ()

    def _update(self, step: int, first: bool, group: dict[str, Any]) -> Callable[..., None]:
        """A function that updates (p, g, *states, *scratch) in place; g is read only.

        ``first`` says that the states have just been made.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """State by parameter position, and the groups' options; copies, safe to keep."""
        params = [p for g in self.param_groups for p in g["params"]]
        return {
            "state": {
                i: {k: v if k == "step" else v.copy() for k, v in self.state[p].items()}
                for i, p in enumerate(params)
                if p in self.state
            },
            "param_groups": [
                {k: v for k, v in g.items() if k != "params"} for g in self.param_groups
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, onto parameters in the same order."""
        params = [p for g in self.param_groups for p in g["params"]]
        if len(state["param_groups"]) != len(self.param_groups) or any(
            int(i) >= len(params) for i in state["state"]
        ):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: got {len(state['param_groups'])} groups, "
                f"expected {len(self.param_groups)} with {len(params)} parameters in all"
            )
        for group, saved in zip(self.param_groups, state["param_groups"], strict=True):
            group.update(saved)
        self.scheduled = True  # the saved initial_lr is the base
        self.state = {
            params[int(i)]: {
                k: v if k == "step" else move(v.copy(), params[int(i)].backend)
                for k, v in s.items()
            }
            for i, s in state["state"].items()
        }

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in self.param_groups[0].items()
                            if k in self.defaults and v is not False)  # fmt: skip
        n = sum(p.size for g in self.param_groups for p in g["params"])
        return f"{type(self).__name__}({options}) on {n:,} numbers: {self.text}"

    text = ""
