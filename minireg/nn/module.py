"""Module: a tree of parameters, buffers and sub-modules.

The attributes of a module *are* its registry: a :class:`Parameter` is trained, any other
Tensor is a buffer (running statistics), a Module is a child. Names are attribute paths
in the order of assignment, as in PyTorch: ``"0.weight"``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from ..backend import Array, move
from ..tensor import Tensor, next_seq, tensor

Kind = Literal["weight", "bias", "norm"]


class Parameter(Tensor):
    """A leaf that requires a gradient and belongs to a module.

    ``kind`` says what it is for: ``"weight"``, ``"bias"``, or ``"norm"`` (scale and shift
    of a normalisation). Penalties apply to weights only, unless told otherwise.

    >>> Parameter([1.0, 2.0]).kind
    'weight'
    """

    __slots__ = ("kind",)
    kind: Kind

    def __init__(self, data: Any, requires_grad: bool = True, kind: Kind = "weight") -> None:
        super().__init__(tensor(data).data, requires_grad)
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.data, self.requires_grad, self.kind)


class Module:
    """Base class of layers, models and losses: define ``forward``, assign attributes.

    >>> class Scale(Module):
    ...     def __init__(self): self.factor = Parameter([2.0])
    ...     def forward(self, x): return x * self.factor
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training = True
    formula = ""

    def forward(self, *inputs: Any) -> Any:
        """Compute the module's output; defined by each subclass."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *inputs: Any) -> Any:
        """``forward`` of the inputs."""
        return self.forward(*inputs)

    # --- the tree ------------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module under ``prefix`` and everything below it."""
        yield prefix, self
        for name, child in vars(self).items():
            if isinstance(child, Module):
                yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor):
                    yield f"{prefix}.{name}" if prefix else name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name, parameter) pairs, each shared parameter once, in order of assignment."""
        seen: set[Tensor] = set()
        for name, value in self._named_tensors():
            if isinstance(value, Parameter) and value not in seen:
                seen.add(value)
                yield name, value

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) pairs of what is kept but not trained."""
        return ((n, t) for n, t in self._named_tensors() if not isinstance(t, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """The parameters, each shared one once."""
        return (p for _, p in self.named_parameters())

    # --- modes and moves ---------------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        """Training (or, with ``False``, evaluation) mode here and below; returns itself."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Evaluation mode: dropout is off, BatchNorm uses its running statistics."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients (they become None)."""
        for p in self.parameters():
            p.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Unfreeze (or freeze) every parameter; returns itself."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def to(self, target: Any) -> Module:
        """Move to a backend (``"cupy"``) or convert floating tensors to a dtype, in place.

        >>> from minireg import nn
        >>> nn.Linear(2, 2).to(np.float64).weight.dtype
        dtype('float64')
        """
        for _, t in self._named_tensors():
            t.data = self._moved(t.data, target)
            t.grad = None if t.grad is None else Tensor(self._moved(t.grad.data, target))
            t._seq = next_seq()
        return self

    @staticmethod
    def _moved(array: Array, target: Any) -> Array:
        try:
            dtype = np.dtype(target)
        except TypeError:  # not a dtype, so the name of a backend
            return move(array, target)
        return array.astype(dtype) if array.dtype.kind == "f" else array

    # --- state -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by name, on the backend they live on."""
        return {name: t.data.copy() for name, t in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Overwrite parameters and buffers in place from ``state``.

        Raises ``KeyError`` for missing or unexpected names (unless ``strict=False``) and
        ``ValueError`` for a shape that differs.
        """
        own = dict(self._named_tensors())
        missing, extra = own.keys() - state.keys(), state.keys() - own.keys()
        if strict and (missing or extra):
            near = {n: difflib.get_close_matches(n, own, 1) for n in sorted(extra)}
            hints = "".join(f"; did {n!r} mean {m[0]!r}?" for n, m in near.items() if m)
            raise KeyError(
                f"load_state_dict: missing {sorted(missing)}, unexpected {sorted(extra)}{hints}"
            )
        for name in own.keys() & state.keys():
            new = state[name].data if isinstance(state[name], Tensor) else state[name]
            if tuple(new.shape) != own[name].shape:
                raise ValueError(
                    f"load_state_dict: {name!r} has shape {own[name].shape}, got {tuple(new.shape)}"
                )
        for name in own.keys() & state.keys():
            new = state[name].data if isinstance(state[name], Tensor) else state[name]
            own[name].assign(move(new, own[name].backend))

    # --- looks ---------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr."""
        return ""

    def __repr__(self) -> str:
        head = f"{type(self).__name__}({self.extra_repr()})"
        head += f"  {self.formula}" if self.formula else ""
        children = [(n, m) for n, m in vars(self).items() if isinstance(m, Module)]
        lines = [f"({n}) {line}" for n, m in children for line in [repr(m).replace("\n", "\n  ")]]
        return "\n  ".join([head, *lines])


class Sequential(Module):
    """Modules applied one after the other.

    >>> from minireg import nn
    >>> nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    Sequential()
      (0) Linear(4, 3)  y = x Wᵀ + b
      (1) ReLU()  y = max(x, 0)
    """

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: argument {i} is {module!r}, expected a Module")
            setattr(self, str(i), module)

    def forward(self, x: Any) -> Any:
        """The last module of … of the first, of x."""
        for module in self:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (m for m in vars(self).values() if isinstance(m, Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, i: int) -> Module:
        return list(self)[i]
