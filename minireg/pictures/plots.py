"""plots: charts in one style, drawn with matplotlib, and how a page holds them.

A chart is drawn into a canvas, a figure or a part of one, and its axes are returned. matplotlib is
an optional extra, imported when a chart is drawn; pyplot never is.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..backend import Array
from ..messages import needed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, FigureBase

Values = Sequence[float] | Array
Curves = Mapping[str, Values]  # label → its values

INK, GRID, PAGE = "#1f2328", "#d5dae0", "#ffffff"  # in a page these follow light or dark mode


class Look(NamedTuple):
    """Colour, line style and hatching of a run or term, the same in every chart."""

    colour: str
    dash: str = "solid"
    hatch: str = ""


RUN_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
RUN_LOOKS = [Look(colour) for colour in RUN_COLOURS]
# For each kind of colour blindness, grey and the first four terms differ pairwise (an OKLab distance
# of 0.14 or more; chosen by search); so do the dashes.
TERM_COLOURS = ("#e1961e", "#2da5ff", "#a51ed2", "#c32d0f", "#e85fa8", "#8b5a3c")
TERM_LOOKS = [*map(Look, TERM_COLOURS, 2 * ("dashed", "dotted", "dashdot"))]


@contextmanager
def style(owner: str) -> Iterator[None]:
    """Draw in the house style for all settings of the user.

    ``ImportError`` in the name of ``owner`` without matplotlib.
    """
    matplotlib = needed(f"{owner} draws with matplotlib", "matplotlib", "'minireg[viz]'")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rc_file(Path(__file__).with_name("plots.mplstyle"), use_default_template=False)
        yield


def figure(width: float, height: float, **options: Any) -> Figure:
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", **options)


def over_epochs(canvas: FigureBase, ylabel: str, epochs: int, percent: bool = False) -> Axes:
    """Axes with ticks at whole epochs; ``percent`` labels y as shares."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    axes, whole = canvas.subplots(), MaxNLocator(6, integer=True, steps=[1, 2, 5, 10])
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.xaxis.set_major_locator(whole if epochs > 1 else FixedLocator([1]))
    if percent:
        in_percent(axes.yaxis)
    return axes


def in_percent(axis: Axis) -> None:
    """Label an axis of shares."""
    axis.set_major_formatter(lambda v, _: f"{100 * v:g} %".replace("-", "−"))


def named(label: str) -> str:
    """A label for matplotlib, which hides those that begin with "_"."""
    return f" {label}"


def line(axes: Axes, x: Sequence[float], y: Values, look: Look, label: str) -> None:
    """A curve; a dot if it is one point."""
    marker = "o" if len(x) == 1 else ""
    axes.plot(x, y, color=look.colour, ls=look.dash, marker=marker, label=named(label))


def pair(
    axes: Axes, x: Sequence[float], curves: Curves, colour: str, gap: bool, best: int | None
) -> None:
    """Two curves of one colour, dashed and solid.

    ``gap`` shades what is between them; a dot is drawn at the ``best`` epoch, if there is one.
    """
    for (name, y), dash in zip(curves.items(), ("dashed", "solid"), strict=False):
        line(axes, x, y, Look(colour, dash), name)
    if len(curves) == 2:
        low, high = curves.values()
        if gap:
            axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        if best:
            spot = x[best - 1], high[best - 1]
            axes.plot(*spot, "o", color=colour, mec=PAGE, ms=8, clip_on=False)


def stack(axes: Axes, x: Sequence[float], parts: Mapping[str, tuple[Values, Look]]) -> None:
    """Bands above one another from 0 up, and what is negative from 0 down."""
    values = [np.nan_to_num(y) for y, _ in parts.values()]
    looks = [look for _, look in parts.values()]
    fills: Any = {"colors": [k.colour for k in looks], "hatch": [k.hatch for k in looks]}
    if len(x) == 1:  # one epoch has no width
        x, values = [x[0] - 0.5, x[0] + 0.5], [np.repeat(y, 2) for y in values]
    halves = {np.maximum: [named(label) for label in parts], np.minimum: []}
    for half, labels in halves.items():
        if labels or any((y < 0).any() for y in values):
            bands = [half(y, 0) for y in values]
            axes.stackplot(x, *bands, labels=labels, edgecolor=PAGE, lw=0.3, **fills)


def log_scale(axis: Axis) -> None:
    """Ticks at powers of ten, small ones at their triple."""
    axis.axes.set_yscale("log")
    axis.set_major_formatter(lambda v, _: f"{v:g}")
    axis.set_minor_formatter(lambda v, _: f"{v:g}" if f"{v:e}"[0] == "3" else "")


def histogram(canvas: FigureBase, found: Mapping[str, Array], looks: Mapping[str, Look]) -> Any:
    """The weights of each label: exact zeros as bars, and a histogram of the others."""
    bars, axes = canvas.subplots(1, 2, width_ratios=(2, 5))
    others = {n: w[np.isfinite(w) & (w != 0)] for n, w in found.items()}
    reach = max((float(np.abs(w).max()) for w in others.values() if w.size), default=1.0)
    turn = 90 if len(found) > 2 else 0
    # an odd number of bins, of which one is around 0; few for few weights, so that no bin holds only one
    bins = min(61, 2 * int(max((w.size for w in found.values()), default=1) ** 0.5 / 2) + 5)
    for i, (label, w) in enumerate(found.items()):
        zeros, colour = float((w == 0).mean()), looks[label].colour
        bars.bar(i, zeros, color=colour)
        bars.text(i, zeros + 0.02, f"{zeros:.1%}", ha="center", size="small", rotation=turn)
        height, edges = np.histogram(others[label], bins, (-reach, reach))
        axes.stairs(height / w.size, edges, color=colour, alpha=0.15, fill=True)
        axes.stairs(height / w.size, edges, color=colour, lw=1.4, label=named(label))
    bars.set(xlabel="exactly 0", xticks=[], xlim=(-0.8, len(found) - 0.2), ylim=(0, 1.2))
    bars.set(ylabel="share of all weights", yticks=(0, 0.5, 1))
    bars.spines.left.set_bounds(0, 1)
    axes.set(xlabel=f"weights that are not 0, in {bins} bins")
    axes.spines.left.set_position(("axes", 1))  # its scale is another than that of the bars
    axes.yaxis.tick_right()
    for side in (bars, axes):
        in_percent(side.yaxis)
    return axes


def legend(canvas: Figure, axes: Axes) -> Axes:
    """A legend below the axes, in as many columns as fit."""
    handles, labels = axes.get_legend_handles_labels()
    widths, available = [50 + 5.7 * len(label) for label in labels], 374.0  # points
    columns = len(labels) if sum(widths) < available else int(available / max(widths))
    canvas.legend(handles, labels, loc="outside lower center", ncols=max(columns, 1))
    return axes


def svg(figure: Figure, alt: str) -> str:
    """The figure as an inline SVG that takes its ink from the page."""
    buffer, about = io.StringIO(), dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():  # letters that matplotlib's font lacks: the browser has them
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(buffer, format="svg", transparent=True, metadata=about)
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", buffer.getvalue(), flags=re.DOTALL)
    box = text.partition('viewBox="')[2].partition('"')[0]
    text = text[text.index(">", text.index("<svg")) + 1 :].replace("'DejaVu Sans'", "system-ui")
    key = "f" + hashlib.sha256(alt.encode()).hexdigest()[:8]  # a page has one space of ids
    text = re.sub(r'( id="|url\(#|href="#)', rf"\1{key}-", text)
    for colour, role in {INK: "--ink", GRID: "--grid", PAGE: "--page"}.items():
        text = text.replace(colour, f"var({role})")
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(alt)}">{text}'


def gallery(
    what: str, shown: Mapping[str, Any], draw: Callable[[Figure, Any], Axes], tied: bool = False
) -> str:
    """HTML of a chart for each of ``shown`` under its name, side by side if the window is wide.

    ``draw(figure, one)`` draws one and returns its axes; ``tied`` gives all the same y limits.
    """
    figures = {name: figure(5.2, 3.2) for name in shown}
    axes = [legend(canvas, draw(canvas, shown[name])) for name, canvas in figures.items()]
    if tied and axes:
        low, high = zip(*(one.get_ylim() for one in axes), strict=True)
        for one in axes:
            one.set_ylim(min(low), max(high))
    parts = [
        f"<figure><figcaption>{escape(name)}</figcaption>{svg(canvas, f'{what}: {name}')}</figure>"
        for name, canvas in figures.items()
    ]
    return f"<div>{''.join(parts)}</div>" if parts else ""
