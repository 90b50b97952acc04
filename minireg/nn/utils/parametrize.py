"""Attributes computed from trained tensors: the mechanism behind spectral and weight norm.

A parametrized attribute is computed on every access, ``layer.weight`` = f(originals), by a
chain of modules. The originals are what optimizers, penalties and state dicts see, under
PyTorch's names: ``parametrizations.weight.original``.
"""

from __future__ import annotations

from typing import Any, TypeVar

from ...messages import check_kind
from ...mode import no_grad
from ...tensor import Tensor
from ..containers import ModuleList
from ..module import Module, Parameter

M = TypeVar("M", bound=Module)


class ParametrizationList(ModuleList):
    """The originals of one attribute, and the modules that turn them into it, as in PyTorch.

    Called without inputs it gives the attribute: the first module takes the originals, each
    other one the result of the one before. It stands at ``module.parametrizations.NAME``, made
    by :func:`register_parametrization`.

    Attributes
    ----------
    kind : the ``kind`` of the attribute (:class:`~minireg.nn.Parameter`); None for a buffer.

    >>> from minireg import nn
    >>> layer = nn.utils.weight_norm(nn.Linear(3, 2))
    >>> [original.shape for original in layer.parametrizations.weight.originals()]
    [(2, 1), (2, 3)]

    Raises ``TypeError`` for an item that is no Module.
    """

    kind: Any = None

    def originals(self) -> list[Tensor]:
        """The tensors from which the attribute is computed, in order."""
        return [t for t in vars(self).values() if isinstance(t, Tensor)]

    def forward(self) -> Tensor:
        """The attribute, computed now."""
        first, *rest = self
        value: Tensor = first(*self.originals())
        for step in rest:
            value = step(value)
        return value


def tensor_of(module: Module, name: str) -> Tensor:
    """``module.name``, which :func:`register_parametrization` is to compute.

    Raises ``ValueError``, which lists the tensors there are, if it is none; ``TypeError`` for what is
    no Module.

    >>> from minireg import nn
    >>> tensor_of(nn.Linear(3, 2), "bias").shape
    (2,)
    """
    check_kind("parametrization", Module, module=module)
    found = getattr(module, name, None)
    if not isinstance(found, Tensor):
        has = sorted(n for n, _ in module.named_parameters() if "." not in n)
        raise ValueError(f"{type(module).__name__} has no tensor {name!r}, but {has}")
    return found


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the attribute ``tensor_name`` (None: any) is computed, as PyTorch's function.

    A name that the module lacks raises nothing: it gives False.

    >>> from minireg import nn
    >>> is_parametrized(nn.utils.weight_norm(nn.Linear(2, 2)), "weight")
    True
    """
    if tensor_name is None:
        return "parametrizations" in vars(module)
    return module._computes(tensor_name) is not None


def register_parametrization(module: M, tensor_name: str, parametrization: Module) -> M:
    """Compute ``module.tensor_name`` by ``parametrization`` from now on; returns the module.

    As PyTorch's function of that name. A second parametrization takes the result of the first.

    Parameters
    ----------
    module : the module that has the tensor.
    tensor_name : the attribute, a Parameter or a buffer.
    parametrization : ``parametrization(original)`` gives the attribute. It may have a method
        ``right_inverse`` that maps the present value to the original, or to a tuple of
        several; without one the present value is the original.

    Raises ``ValueError`` where there is no such tensor, where the shape or dtype would change,
    and for a ``right_inverse`` of several originals after another parametrization.

    >>> from minireg import nn
    >>> class Positive(nn.Module):
    ...     def forward(self, w): return w.exp()
    ...     def right_inverse(self, w): return w.log()
    >>> layer = nn.Linear(1, 1, bias=False); nn.init.constant_(layer.weight, 3.0) is layer.weight
    True
    >>> register_parametrization(layer, "weight", Positive()).weight.numpy().round(4)
    array([[3.]], dtype=float32)
    """
    before, chain = tensor_of(module, tensor_name), module._computes(tensor_name)
    parametrization.train(module.training)
    inverse = getattr(parametrization, "right_inverse", lambda value: value)
    with no_grad():
        found = inverse(before)
        originals = found if isinstance(found, tuple) else (found,)
        after = parametrization(*originals)
    if (after.shape, after.dtype) != (before.shape, before.dtype):
        raise ValueError(
            f"register_parametrization: {tensor_name!r} of shape {before.shape} and dtype "
            f"{before.dtype} would become {after.shape} {after.dtype}; keep both"
        )
    if not isinstance(chain, ParametrizationList):
        chain = ParametrizationList()
        chain.kind = getattr(before, "kind", "weight")
        for i, value in enumerate(originals):
            name = f"original{i}" if isinstance(found, tuple) else "original"
            if isinstance(before, Parameter) and not isinstance(value, Parameter):
                value = Parameter(value, before.requires_grad, before.kind)  # trained as before
            setattr(chain, name, value)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.parametrizations = Module()
        setattr(module.parametrizations, tensor_name, chain)
    elif isinstance(found, tuple):
        raise ValueError(
            f"register_parametrization: {tensor_name!r} is parametrized already, so it cannot be "
            "split into several originals; register this parametrization first"
        )
    chain.append(parametrization)
    return module


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Make ``module.tensor_name`` a plain tensor again; returns the module.

    As PyTorch's function of that name. A single original stays the same object, so an
    optimizer that has it goes on. (In training mode, reading a spectral norm's value advances
    its power iteration, as any access does.)

    Parameters
    ----------
    module : the module that has the attribute.
    tensor_name : the parametrized attribute.
    leave_parametrized : whether it keeps its present value (the default) or gets its original
        back.

    Raises ``ValueError`` where nothing is parametrized, and for ``leave_parametrized=False``
    with several originals.

    >>> from minireg import nn
    >>> layer = nn.utils.spectral_norm(nn.Linear(2, 2))
    >>> [name for name, _ in remove_parametrizations(layer, "weight").named_parameters()]
    ['bias', 'weight']
    """
    if not isinstance(chain := module._computes(tensor_name), ParametrizationList):
        raise ValueError(
            f"remove_parametrizations: {tensor_name!r} of {type(module).__name__} is not parametrized"
        )
    plain, *others = chain.originals()
    if others and not leave_parametrized:
        raise ValueError(
            f"remove_parametrizations: {tensor_name!r} has {1 + len(others)} originals, so it can "
            "only keep its present value (leave_parametrized=True)"
        )
    if leave_parametrized:
        with no_grad():
            value = chain()
        plain = Parameter(value, plain.requires_grad, chain.kind) if others else plain.assign(value)
    delattr(module.parametrizations, tensor_name)
    if not any(module.parametrizations.children()):
        del module.parametrizations
    setattr(module, tensor_name, plain)
    return module
