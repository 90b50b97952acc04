"""Module: a tree of parameters, buffers and sub-modules.

The attributes of a module *are* its registry: a :class:`Parameter` is trained, any other
Tensor is a buffer (running statistics), a Module is a child. Names are attribute paths
in the order of assignment, as in PyTorch: ``"0.weight"``.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, dataclass_transform, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..backend import Array, as_array, get, get_backend, move
from ..messages import check_mapping, check_option, missing
from ..random import Stream, stream_of
from ..tensor import Tensor, next_seq, tensor

AnyArray = Tensor | Array  # with a shape and a dtype, unlike what is ArrayLike
MaybeArray = AnyArray | None
Kind = Literal["weight", "bias", "norm"]


class Parameter(Tensor):
    """A Tensor that a module trains, as PyTorch's: a leaf that requires a gradient.

    Parameters
    ----------
    data : the numbers it starts from: a list, array or Tensor, whose memory is shared.
    requires_grad : whether it is trained; False freezes it.
    kind : what it is for: "weight", "bias" or "norm" (scale and shift of a normalisation).
        A penalty of :class:`minireg.Objective` applies to weights unless it names others.

    Raises ``TypeError`` for data that is not numbers, and for integers that require a gradient;
    ``ValueError`` for another kind.

    >>> from minireg import nn
    >>> nn.Parameter([1.0, 2.0]).kind
    'weight'
    """

    __slots__ = ("kind",)
    kind: Kind

    def __init__(self, data: ArrayLike, requires_grad: bool = True, kind: Kind = "weight") -> None:
        check_option("Parameter", get_args(Kind), kind=kind)
        super().__init__(tensor(data).data, requires_grad)
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.data, self.requires_grad, self.kind)


def parameter(values: Array, kind: Kind) -> Parameter:
    """A parameter that starts from ``values``, on the default backend."""
    return Parameter(move(values, get_backend()), kind=kind)


def weight_and_bias(
    shape: tuple[int, ...], bias: bool, dtype: DTypeLike, generator: Stream | None
) -> tuple[Parameter, Parameter | None]:
    """W (out, …) and b (out,) or None, both uniform in ±1/√fan_in as PyTorch's layers start."""
    stream, bound = stream_of(generator, "init"), prod(shape[1:]) ** -0.5
    weight = parameter(stream.uniform(-bound, bound, shape).astype(dtype), "weight")
    if not bias:
        return weight, None
    return weight, parameter(stream.uniform(-bound, bound, shape[:1]).astype(dtype), "bias")


def loaded(name: str, t: Tensor, value: ArrayLike) -> Array:
    """``value`` as an array of t's shape, dtype and backend; an error if it cannot be one."""
    new = move(as_array(value, name), t.backend)
    one_is_bool = (new.dtype.kind == "b") != (t.dtype.kind == "b")
    if one_is_bool or not np.can_cast(new.dtype, t.dtype, "same_kind"):
        raise TypeError(f"{name} has dtype {t.dtype}, got {new.dtype}")
    if tuple(new.shape) != t.shape:
        raise ValueError(f"{name} has shape {t.shape}, got {tuple(new.shape)}")
    if not getattr(t.data.flags, "writeable", True):
        raise ValueError(f"{name} is a read-only array; give the module a copy")
    if new.dtype == t.dtype:
        return new
    with np.errstate(over="ignore", invalid="ignore"):
        cast = new.astype(t.dtype)
    same = np.isfinite(cast) == np.isfinite(new) if t.dtype.kind == "f" else cast == new
    if not same.all():
        raise ValueError(f"{name} holds a number beyond the range of {t.dtype}")
    return cast


def _hidden(root: Module) -> Iterator[tuple[str, str]]:
    """(name, what to do) of each attribute that looks trained but is no parameter."""
    known = {*root.modules(), *(p for _, p in root.named_parameters())}
    for prefix, module in root.named_modules():
        for name, value in vars(module).items():
            path = f"{prefix}.{name}" if prefix else name
            if isinstance(value, list | tuple | dict):
                items = value.values() if isinstance(value, dict) else value
                if any(isinstance(v, Module | Parameter) and v not in known for v in items):
                    kind = type(value).__name__
                    yield path, f"it is a {kind}; use nn.ModuleList, or attributes of their own"
            elif type(value) is Tensor and value.requires_grad and value.is_leaf:
                yield path, "it is a plain Tensor; make it an nn.Parameter"


def _mover(target: Any) -> Callable[[Array], Array]:
    """What :meth:`Module.to` does with each array."""
    dtype = None
    try:
        dtype = np.dtype(target)
    except TypeError:  # not a dtype, so the name of a backend
        if isinstance(target, str):
            name = get(target).name
            return lambda array: move(array, name)
    if target is None or dtype is None or dtype.kind != "f":
        raise TypeError(
            "Module.to: expected the name of a backend or a floating dtype, as np.float32, got "
            f"{target!r}; integers and complex numbers cannot be trained"
        )
    return lambda array: array.astype(dtype) if array.dtype.kind == "f" else array


class Module:
    """Base class of layers, models and losses, as PyTorch's: define ``forward``, assign attributes.

    What is assigned to an attribute is registered: a :class:`Parameter` is trained, another
    Tensor is a buffer, a Module is a child. ``super().__init__()`` need not be called.

    Attributes
    ----------
    training : whether it is in training mode (dropout drops, BatchNorm uses the batch).
    formula : the formula as one line, which the repr shows; a subclass sets it.

    Raises ``AttributeError`` for an attribute it lacks, and for setting a parametrized one.

    >>> from minireg import nn, tensor
    >>> class Scale(nn.Module):
    ...     def __init__(self): self.factor = nn.Parameter([2.0])
    ...     def forward(self, input): return input * self.factor
    >>> [name for name, _ in Scale().named_parameters()], Scale()(tensor([3.0])).item()
    (['factor'], 6.0)
    """

    training = True
    formula = ""
    parametrizations: Any  # what computes attributes, where there are any (minireg.nn.utils)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The module's output; each subclass defines it, with arguments of its choice.

        Raises ``NotImplementedError`` where none is defined.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """:meth:`forward` of the inputs."""
        return self.forward(*inputs, **named)

    # --- attributes that are computed (minireg.nn.utils) -----------------------------------

    def _computes(self, name: str) -> Module | None:
        """What computes the attribute ``name``, if it is parametrized."""
        computed = vars(self).get("parametrizations")
        found = vars(computed).get(name) if isinstance(computed, Module) else None
        return found if isinstance(found, Module) else None

    if not TYPE_CHECKING:  # to a type checker a misspelt name is an error

        def __getattr__(self, name: str) -> Any:
            if (compute := self._computes(name)) is not None:
                return compute()
            raise missing("model", f"{type(self).__name__!r} object", name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._computes(name) is not None:
            raise AttributeError(
                f"{type(self).__name__}.{name} is parametrized, so it cannot be set: assign to "
                f"parametrizations.{name}.original, or call nn.utils.remove_parametrizations first"
            )
        super().__setattr__(name, value)

    # --- the tree ------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) pairs of what is directly below, in order of assignment.

        >>> from minireg import nn
        >>> [name for name, _ in nn.Sequential(nn.Linear(2, 1), nn.ReLU()).named_children()]
        ['0', '1']
        """
        return ((name, m) for name, m in vars(self).items() if isinstance(m, Module))

    def children(self) -> Iterator[Module]:
        """The modules directly below, in order of assignment.

        >>> from minireg import nn
        >>> list(nn.Sequential(nn.Tanh(), nn.ReLU()).children())
        [Tanh()  y = tanh x, ReLU()  y = max(x, 0)]
        """
        return (m for _, m in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(name, module) pairs of this module, called ``prefix``, and of everything below it.

        A shared module comes once per name.

        >>> from minireg import nn
        >>> [name for name, _ in nn.Sequential(nn.ReLU()).named_modules("net")]
        ['net', 'net.0']
        """
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This module and everything below it, each shared one once.

        >>> from minireg import nn
        >>> [type(module).__name__ for module in nn.Sequential(nn.Tanh(), nn.ReLU()).modules()]
        ['Sequential', 'Tanh', 'ReLU']
        """
        return iter(dict.fromkeys(m for _, m in self.named_modules()))

    def apply(self, function: Callable[[Module], object]) -> Self:
        """Call ``function`` on every module below, then on this one; returns itself.

        What the function returns is ignored.

        >>> from minireg import nn
        >>> def start(m): isinstance(m, nn.Linear) and nn.init.zeros_(m.weight)
        >>> nn.Sequential(nn.Linear(2, 1)).apply(start)[0].weight.numpy()
        array([[0., 0.]], dtype=float32)
        """
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor) and value._node is None:
                    yield f"{prefix}.{name}" if prefix else name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, parameter) pairs, each shared parameter once, in order of assignment.

        >>> from minireg import nn
        >>> [name for name, _ in nn.Sequential(nn.Linear(2, 1)).named_parameters()]
        ['0.weight', '0.bias']
        """
        seen: set[Tensor] = set()
        for name, value in self._named_tensors():
            if isinstance(value, Parameter) and value not in seen:
                seen.add(value)
                yield name, value

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) pairs of what is kept but not trained, as running statistics.

        >>> from minireg import nn
        >>> [name for name, _ in nn.BatchNorm(2).named_buffers()]
        ['running_mean', 'running_var', 'num_batches_tracked']
        """
        return ((n, t) for n, t in self._named_tensors() if not isinstance(t, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """The parameters, each shared one once; what an optimizer takes.

        Warns of what looks like one but is none: modules and parameters in a list, tuple or dict
        that are no attribute themselves, and Tensors that require a gradient.

        >>> from minireg import nn
        >>> [p.shape for p in nn.Linear(3, 2).parameters()]
        [(2, 3), (2,)]
        """
        for name, fix in _hidden(self):
            warnings.warn(f"{type(self).__name__}.{name} is not trained: {fix}", stacklevel=2)
        return (p for _, p in self.named_parameters())

    # --- modes and moves ---------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Training (or, with ``mode=False``, evaluation) mode here and below; returns itself.

        >>> from minireg import nn
        >>> nn.Sequential(nn.Dropout(0.5)).train(False)[0].training
        False
        """
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Evaluation mode here and below; returns itself.

        Dropout is off and BatchNorm uses its running statistics.

        >>> from minireg import nn
        >>> nn.Dropout(0.5).eval().training
        False
        """
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters: ``grad`` becomes None.

        >>> from minireg import nn, tensor
        >>> layer = nn.Linear(2, 1)
        >>> layer(tensor([1.0, 2.0])).sum().backward()
        >>> layer.zero_grad(); layer.weight.grad is None
        True
        """
        for _, p in self.named_parameters():
            p.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Unfreeze (or, with False, freeze) every parameter; returns itself.

        >>> from minireg import nn
        >>> nn.Linear(2, 1).requires_grad_(False).weight.requires_grad
        False
        """
        for _, p in self.named_parameters():
            p.requires_grad_(requires_grad)
        return self

    def to(self, target: DTypeLike) -> Self:
        """Move to a backend, or convert to a floating dtype, in place; returns itself.

        ``target`` is the name of a backend ("numpy", "cupy") or a floating dtype, to which
        integers and booleans are not converted. Gradients go along. Raises ``TypeError`` for
        another dtype, ``ValueError`` for an unknown name, ``ImportError`` or ``RuntimeError``
        for a backend that is not installed or finds no GPU.

        >>> from minireg import nn
        >>> nn.Linear(2, 2).to(np.float64).weight.dtype
        dtype('float64')
        """
        moved = _mover(target)
        new = [  # all of them before any changes: memory may end on the way
            (t, moved(t.data), None if t.grad is None else Tensor(moved(t.grad.data)))
            for t in dict.fromkeys(t for _, t in self._named_tensors())
        ]
        for t, data, grad in new:
            t.data, t.grad, t._seq = data, grad, next_seq()
        return self

    def float(self) -> Self:
        """Convert floating tensors to float32, in place; returns itself. As :meth:`to`."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Convert floating tensors to float64, in place; returns itself. As :meth:`to`.

        >>> from minireg import nn
        >>> nn.Linear(2, 1).double().weight.dtype
        dtype('float64')
        """
        return self.to(np.float64)

    # --- state -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by name, arrays of the backend they live on.

        >>> from minireg import nn
        >>> {name: a.shape for name, a in nn.Linear(3, 2).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        return {name: t.data.copy() for name, t in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, ArrayLike], strict: bool = True) -> None:
        """Overwrite parameters and buffers in place, all of them or none.

        Parameters
        ----------
        state : names and their values, as :meth:`state_dict` gives them.
        strict : whether the names must be exactly the module's; if not, others are ignored and
            what is missing stays as it is.

        Before anything changes raises ``TypeError`` for what is no mapping of names to numbers of
        the same kind, ``KeyError`` for missing or unexpected names (unless ``strict=False``), and
        ``ValueError`` for a shape that differs, a number beyond the dtype's range, or an array
        that cannot be written to.

        >>> from minireg import nn
        >>> one, other = nn.Linear(2, 1), nn.Linear(2, 1)
        >>> other.load_state_dict(one.state_dict())
        >>> bool((other.weight == one.weight).all())
        True
        """
        check_mapping("load_state_dict", "state", state, "model.state_dict()")
        tensors = dict(self._named_tensors())
        missing = [n for n in tensors if n not in state]
        extra = [n for n in state if n not in tensors]
        if strict and (missing or extra):
            near = {n: difflib.get_close_matches(str(n), tensors, 1) for n in extra}
            hints = "".join(f"; did {n!r} mean {m[0]!r}?" for n, m in near.items() if m)
            raise KeyError(f"load_state_dict: missing {missing}, unexpected {extra}{hints}")
        new = {
            name: loaded(f"load_state_dict: {name!r}", t, state[name])
            for name, t in tensors.items()
            if name in state
        }
        first: dict[Tensor, str] = {}
        for name, array in new.items():
            other = first.setdefault(tensors[name], name)
            if other != name and not np.array_equal(new[other], array, equal_nan=True):
                raise ValueError(
                    f"load_state_dict: {other!r} and {name!r} are one tensor here, got two that differ"
                )
        for t, name in first.items():
            t.assign(new[name])

    # --- the repr ------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr; a subclass may override it."""
        return ""

    def __repr__(self) -> str:
        head = f"{type(self).__name__}({self.extra_repr()})"
        head += f"  {self.formula}" if self.formula else ""
        lines = [f"({n}) " + repr(m).replace("\n", "\n  ") for n, m in self.named_children()]
        return "\n  ".join([head, *lines])


@dataclass_transform(eq_default=False)
@dataclass(eq=False, repr=False)
class Options(Module):
    """Base of modules that hold nothing but the options of a ``function``.

    Each subclass is a dataclass: what it annotates are the options, with their defaults. Its
    function is named in the class's first line: ``class Square(Options, function=np.square)``.
    """

    function: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, function: Callable[..., Any] | None = None) -> None:
        dataclass(eq=False, repr=False)(cls)
        if function is not None:
            cls.function = staticmethod(function)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The function of the inputs, with the module's options."""
        return type(self).function(*inputs, **named, **self.options())

    def options(self) -> dict[str, Any]:
        """The options by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options().items())
