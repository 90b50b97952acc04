"""draw: the recorded graph as a picture (graphviz does the layout)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..messages import check_kind, needed
from ..nn.module import Module
from ..tensor import Tensor


def _state(t: Tensor) -> str:
    """The state of a leaf's gradient; a missing one is never shown as 0."""
    if not t.requires_grad:
        return "no gradient wanted"
    if t.grad is None:
        return "gradient: not computed yet"
    return f"‖gradient‖ = {float((t.grad.data**2).sum()) ** 0.5:.3g}"


def draw(output: Tensor, names: Module | Mapping[str, Tensor] | None = None) -> Any:
    """The graph that made ``output``, as a ``graphviz.Digraph``.

    Boxes are leaves (name, shape, dtype, gradient), ellipses are ops (``node.op``, see
    :func:`minireg.op`); arrows follow the forward pass. A notebook shows it; ``.source`` is DOT text
    and needs no ``dot`` program, ``.render("file", format="svg")`` does.

    Parameters
    ----------
    output : a Tensor of any shape, before its graph is freed.
    names : of leaves: a model, or Tensors by name.

    ``ImportError`` without graphviz, ``RuntimeError`` for a graph that backward has freed, ``TypeError``
    for anything but a Tensor.

    >>> import minireg as mr
    >>> w = mr.tensor([1.0, 2.0], requires_grad=True)
    >>> "not computed yet" in mr.draw((w * w).sum(), {"w": w}).source
    True
    """
    check_kind("draw", Tensor, "of an objective's terms take .total", output=output)
    graphviz = needed("draw needs graphviz", "graphviz", "'minireg[viz]'")
    named = names.named_parameters() if isinstance(names, Module) else (names or {}).items()
    labels = {t: name for name, t in named}
    font = {"fontname": "sans-serif", "fontsize": "11"}
    graph = graphviz.Digraph(graph_attr={"rankdir": "LR"}, node_attr=font | {"style": "filled"})
    seen, stack = {output}, [output]
    while stack:
        t = stack.pop()
        node, key = t._node, str(id(t))
        size = f"{'×'.join(map(str, t.shape)) or 'scalar'} {t.dtype}"
        if node is None:
            name = labels.get(t, type(t).__name__.lower())
            fill = "#fff3d6" if t.requires_grad else "#eeeeee"
            graph.node(key, f"{name}\n{size}\n{_state(t)}", shape="box", fillcolor=fill)
            continue
        if node.args is None:
            raise RuntimeError(
                f"draw: the graph was freed at {node.op.name!r}; draw before backward, or call "
                "backward(retain_graph=True)"
            )
        graph.node(key, f"{node.op.name}\n{size}", fillcolor="#d9ecff")
        for _, p in node.parents:
            graph.edge(str(id(p)), key)
            if p not in seen:
                seen.add(p)
                stack.append(p)
    return graph
