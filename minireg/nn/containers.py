"""Modules that hold modules: a list, and a chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from .module import Module


class ModuleList(Module):
    """Modules in a list, registered under the names "0", "1", …; as PyTorch's.

    It has no ``forward``: the module that holds it calls them as it likes. ``len``, ``for``,
    ``layers[i]``, ``layers[i] = module`` and slices, which are lists again, work as a list's.
    ``modules`` is any iterable of them. Raises ``TypeError`` for an item that is no Module.

    >>> from minireg import nn
    >>> layers = nn.ModuleList([nn.Linear(2, 2)])
    >>> layers.append(nn.ReLU()); len(layers)
    ModuleList()
      (0) Linear(2, 2)  y = x Wᵀ + b
      (1) ReLU()  y = max(x, 0)
    2
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end; returns itself. ``TypeError`` for anything else."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; returns itself. ``TypeError`` for an item that is no Module."""
        if isinstance(modules, Module) and not isinstance(modules, ModuleList):
            raise TypeError(
                f"{type(self).__name__}: expected modules in a list, got {type(modules).__name__} alone"
            )
        for i, module in enumerate(modules, len(self)):
            self._put(str(i), module)
        return self

    def _put(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            fix = ""
            if isinstance(module, list | tuple):
                fix = "; write * before the list"
            elif isinstance(module, type):
                fix = f"; write {module.__name__}(…)"
            elif callable(module):
                fix = "; make it the forward of a class, or take its layer, as nn.ReLU() for relu"
            raise TypeError(
                f"{type(self).__name__}: argument {name} is {module!r:.80}, expected a Module{fix}"
            )
        setattr(self, name, module)

    def __iter__(self) -> Iterator[Any]:
        return self.children()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, i: int | slice) -> Any:  # so that model[0].weight passes type checkers
        found = list(self)[i]
        return type(self)().extend(found) if isinstance(found, list) else found

    def __setitem__(self, i: int, module: Module) -> None:
        name, _ = list(self.named_children())[i]
        self._put(name, module)


class Sequential(ModuleList):
    """Modules applied one after the other, as PyTorch's; also a list of them (:class:`ModuleList`).

    Takes what the first one takes, gives what the last one gives; without modules it is the
    identity. Raises ``TypeError`` for an argument that is no Module.

    >>> from minireg import nn
    >>> nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    Sequential()
      (0) Linear(4, 3)  y = x Wᵀ + b
      (1) ReLU()  y = max(x, 0)
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, input: Any, *others: Any) -> Any:
        """Last module ∘ … ∘ first module of the one input; ``TypeError`` for several."""
        if others:
            raise TypeError(
                f"Sequential: got {1 + len(others)} inputs, expected one, which goes from module to "
                "module; for more write a Module with a forward of its own"
            )
        output = input
        for module in self:
            output = module(output)
        return output
