"""Modules that hold modules: a list, and a chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .module import Module


class ModuleList(Module):
    """Modules in a list; what to do with them is up to the ``forward`` around it.

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

    def append(self, module: Module) -> ModuleList:
        """Add a module at the end; returns itself."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add modules at the end; returns itself."""
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

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, i: int | slice) -> Any:
        found = list(self)[i]
        return type(self)().extend(found) if isinstance(found, list) else found

    def __setitem__(self, i: int, module: Module) -> None:
        name, _ = list(self.named_children())[i]
        self._put(name, module)


class Sequential(ModuleList):
    """Modules applied one after the other.

    >>> from minireg import nn
    >>> nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    Sequential()
      (0) Linear(4, 3)  y = x Wᵀ + b
      (1) ReLU()  y = max(x, 0)
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, *inputs: Any) -> Any:
        """The last module of … of the first, of x."""
        if len(inputs) != 1:
            raise TypeError(
                f"Sequential: got {len(inputs)} inputs, expected one, which goes from module to module; "
                "for more write a Module with a forward of its own"
            )
        (x,) = inputs
        for module in self:
            x = module(x)
        return x
