"""Matrix products and einsum, for every combination of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..backend import of
from ..messages import check_kind, describe
from .axes import size_along
from .elementwise import mul
from .samples import Shape, shaped
from .shapes import ravel, reshape, transpose
from .table import ArrayLike, answers_for, array_of, as_numpy, op


def _matmul_a(g: Any, y: Any, a: Any, b: Any) -> Any:
    b = as_numpy(b)
    if b.ndim == 1:
        return g * b if a.ndim == 1 else g[..., None] * b
    if a.ndim == 1:
        return (b @ g[..., None])[..., 0]
    return g @ b.swapaxes(-1, -2)


def _matmul_b(g: Any, y: Any, a: Any, b: Any) -> Any:
    a = as_numpy(a)
    if a.ndim == 1:
        return g * a if b.ndim == 1 else a[:, None] * g[..., None, :]
    if b.ndim == 1:
        return (a.swapaxes(-1, -2) @ g[..., None])[..., 0]
    return a.swapaxes(-1, -2) @ g


# fmt: off
matmul = op("matmul", np.matmul, _matmul_a, _matmul_b,
            formula=r"\bar A = \bar Y B^{\top},\quad \bar B = A^{\top}\bar Y", cost="mnk",
            samples=shaped((Shape(2, 3), Shape(3, 4)), (Shape(3), Shape(3)), (Shape(2, 3), Shape(3)),
                           (Shape(3), Shape(3, 2)), (Shape(2, 2, 3), Shape(3, 4)),
                           (Shape(3), Shape(2, 3, 4)), (Shape(2, 2, 3), Shape(3)),
                           (Shape(2, 1, 2, 3), Shape(3, 3, 2))))
# fmt: on


@answers_for(np.dot)
def dot(a: ArrayLike, b: ArrayLike) -> Any:
    """NumPy's ``dot``: sum over the last axis of ``a`` and the second to last of ``b``.

    As :func:`numpy.dot`; of a number the product. Raises ``ValueError`` where these axes differ.

    >>> import minireg as mr
    >>> mr.dot(mr.tensor([1.0, 2.0]), mr.tensor([3.0, 4.0])).item()
    11.0
    """
    a, b = as_numpy(a), as_numpy(b)
    if a.ndim == 0 or b.ndim == 0:
        return mul(a, b)
    if a.ndim <= 2 and b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, ([-1], [-1 if b.ndim == 1 else -2]))


@answers_for(np.inner)
def inner(a: ArrayLike, b: ArrayLike) -> Any:
    """Sum over the last axis of both.

    As :func:`numpy.inner`. Raises ``ValueError`` where the last axes differ.

    >>> import minireg as mr
    >>> mr.inner(mr.tensor([[1.0, 2.0]]), mr.tensor([3.0, 4.0]))
    Tensor([11.], dtype=float32)
    """
    a, b = as_numpy(a), as_numpy(b)
    return mul(a, b) if a.ndim == 0 or b.ndim == 0 else tensordot(a, b, ([-1], [-1]))


@answers_for(np.outer)
def outer(a: ArrayLike, b: ArrayLike) -> Any:
    """All products of an element of ``a`` (row) and one of ``b`` (column), both flattened.

    As :func:`numpy.outer`: (m,), (n,) → (m, n). Raises ``TypeError`` or ``ValueError`` for what
    is no array of numbers.

    >>> import minireg as mr
    >>> mr.outer(mr.tensor([1.0, 2.0]), mr.tensor([3.0, 4.0])).numpy().tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    return mul(np.reshape(a, (-1, 1)), ravel(b))


@answers_for(np.tensordot)
def tensordot(a: ArrayLike, b: ArrayLike, axes: int | Sequence[Any] = 2) -> Any:
    """Sum over the given axes of both: an integer (last of a, first of b) or two lists.

    As :func:`numpy.tensordot`. Raises ``ValueError`` where the axes differ in length or are not there.

    >>> import minireg as mr
    >>> mr.tensordot(mr.tensor([[1.0, 2.0]]), mr.tensor([3.0, 4.0]), 1)
    Tensor([11.], dtype=float32)
    """
    a, b = as_numpy(a), as_numpy(b)
    if isinstance(axes, int | np.integer):
        axes = (range(-axes, 0), range(axes))
    left, right = (
        normalize_axis_tuple(i, x.ndim, "tensordot") for i, x in zip(axes, (a, b), strict=True)
    )
    if [a.shape[i] for i in left] != [b.shape[i] for i in right]:
        raise ValueError(
            f"tensordot: axes {left} of shape {a.shape} and {right} of shape {b.shape} differ"
        )
    free_a = tuple(i for i in range(a.ndim) if i not in left)
    free_b = tuple(i for i in range(b.ndim) if i not in right)
    n, rows, columns = size_along(a, left), size_along(a, free_a), size_along(b, free_b)
    y = matmul(
        reshape(transpose(a, (*free_a, *left)), (rows, n)),
        reshape(transpose(b, (*right, *free_b)), (n, columns)),
    )
    return reshape(y, (*(a.shape[i] for i in free_a), *(b.shape[i] for i in free_b)))


# --- einsum --------------------------------------------------------------------------------------


def _explicit(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Subscripts with the output written out and '...' replaced by letters."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    spare = "".join(c for c in ascii_letters if c not in subscripts)
    named = [len(t.replace("...", "")) for t in terms]
    dots = [spare[len(spare) - n + k :] for n, k in zip(ndims, named, strict=True)]
    terms = [t.replace("...", d) for t, d in zip(terms, dots, strict=True)]
    widest, letters = max(dots, key=len), "".join(terms)
    if arrow:
        return terms, output.replace("...", widest)
    once = sorted(c for c in {*letters} - {*widest} if letters.count(c) == 1)
    return terms, widest + "".join(once)


def _einsum_rule(i: int, g: Any, y: Any, *operands: Any, subscripts: str, **_: Any) -> Any:
    """ē_i = einsum over the others and ȳ; lone letters broadcast, repeated ones sit on a diagonal."""
    terms, output = _explicit(subscripts, [x.ndim for x in operands])
    x, target = operands[i], ""
    factors = [g, *operands[:i], *operands[i + 1 :]]
    names = [output, *terms[:i], *terms[i + 1 :]]
    spare = iter(c for c in ascii_letters if c not in "".join(terms) + output)
    for axis, c in enumerate(terms[i]):
        if c in target:  # x_ii: the gradient lives on the diagonal
            d = next(spare)
            factors.append(of(array_of(x)).xp.eye(x.shape[axis], dtype=x.dtype))
            names.append(c + d)
            c = d
        target += c
    present = "".join(c for c in target if c in "".join(names))
    d = einsum(",".join(names) + "->" + present, *factors)
    return d.reshape(tuple(d.shape[present.index(c)] if c in present else 1 for c in target))


def _einsum_value(*operands: Any, subscripts: str, optimize: Any = None) -> Any:
    ordered = len(operands) > 2 if optimize is None else optimize
    return np.einsum(subscripts, *operands, optimize=ordered)


_SUBSCRIPTS = shaped(
    (Shape(2, 3), Shape(3, 4), {"subscripts": "ij,jk->ik"}),
    (Shape(3, 3), {"subscripts": "ii->i"}),
    (Shape(3, 3), {"subscripts": "ii"}),
    (Shape(2, 3), {"subscripts": "ij->j"}),
    (Shape(2, 3, 3), Shape(3), {"subscripts": "...ij,j"}),
    (Shape(2, 3), Shape(2, 3), Shape(3), {"subscripts": "ij,ij,j->i"}),
)
# fmt: off
_einsum = op("einsum", _einsum_value, each=_einsum_rule,
             formula=r"\bar x_i = \mathrm{einsum}(\bar y,\ x_{j\ne i})",
             cost=r"\prod_{\mathrm{letters}}", samples=_SUBSCRIPTS)
# fmt: on


@answers_for(np.einsum)
def einsum(subscripts: str, *operands: ArrayLike, optimize: bool | str | None = None) -> Any:
    """Einstein summation with repeated, lone and ``...`` subscripts.

    As :func:`numpy.einsum`; ``optimize`` is handed to it, and decides the order of the products
    (None: chosen for three operands and more). Raises ``ValueError`` where subscripts and shapes do
    not fit.

    >>> import minireg as mr
    >>> mr.einsum("ij,j->i", mr.tensor([[1.0, 2.0]]), mr.tensor([3.0, 4.0]))
    Tensor([11.], dtype=float32)
    """
    check_kind("einsum", str, "they come first, like 'ij,jk->ik'", subscripts=subscripts)
    named = subscripts.partition("->")[0].count(",") + 1
    if named != len(operands):
        got = ", ".join(map(describe, operands))
        raise ValueError(
            f"einsum: {subscripts!r} names {named} operands, got {len(operands)} ({got})"
        )
    return _einsum(*map(as_numpy, operands), subscripts=subscripts, optimize=optimize)
