"""Scenes that show every mark of a panel, as lessons use them, and a page of them."""

from __future__ import annotations

import numpy as np

from minireg.pictures import Frame, Panel, Say, Scene
from minireg.pictures.scene import script, style

T = np.arange(0, 301, 5)
NAMES = dict(enumerate(["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "glucose"]))


def decay(lam, broken=False):
    """Two runs from two starts, which forget where they began."""
    eta, sign = 0.02 / lam, -1 if broken else 1
    left_over = (1 - sign * 0.02) ** T
    goal = 1.2 / (1 + lam)
    ends = goal * (1 - left_over) if not broken else goal * (1 + 0.02 * T)
    left = Panel(
        Say("length of the weights", "权重的长度"), (0, 300), (0, 2.4), xlabel=Say("step", "步")
    )
    for start in (2, 0.1):
        role = "broken" if broken else "result"
        path = np.hypot(ends, start * left_over)
        left.line(T, path, role, label=Say(f"from {start:g}", f"从 {start:g} 出发"))
        if start == 2:
            left.line(
                T,
                2 * 0.98**T,
                "textbook",
                width=2,
                label=Say("the text: 2(1 − ηλ)ᵗ", "书上：2(1 − ηλ)ᵗ"),
            )
    left.hline(goal, "‖θ*‖")
    right = Panel(
        Say("distance between the two runs", "两次运行之间的距离"),
        (0, 300), (1e-3, 10), log="y", xlabel=Say("step", "步"),
    )  # fmt: skip
    right.line(T, 1.9 * left_over, "broken" if broken else "result", label=Say("measured", "实测"))
    right.line(T, 1.9 * 0.98**T, "textbook", width=2, label="(1 − ηλ)ᵗ")
    return Frame(left, right, end=float(np.hypot(ends, 2 * left_over)[-1]), eta=eta)


def balance(lam):
    """Beads between 0 and least squares: two arrows, equal and opposite."""
    best = np.array([-0.5, -8, 20, 15, -20, 8, -4, 6, 28, 3.0]) / 10
    held, rows = best / (1 + lam), np.arange(10)
    panel = Panel(
        Say("ten weights, and what pulls at them", "十个权重，以及拉它们的力"),
        (-2.6, 3.4), (9.6, -0.6), yticks=NAMES, xlabel=Say("weight", "权重"), height=330,
    )  # fmt: skip
    panel.vline(0)
    panel.dots(best, rows, "reference", size=4, label=Say("least squares", "最小二乘"))
    panel.arrow(held, rows - 0.2, 0.8 * (best - held), 0, "data", label=Say("data", "数据"))
    panel.arrow(held, rows + 0.2, -0.8 * (best - held), 0, "penalty", label=Say("penalty", "惩罚"))
    panel.dots(held, rows, "ink", size=5)
    side = Panel(Say("pull on bmi", "对 bmi 的拉力"), (0, 3), (-2, 2), height=330,
                 xticks={1: Say("data", "数据"), 2: Say("penalty", "惩罚")})  # fmt: skip
    pull = best[2] - held[2]
    side.bars([1], [pull], "data", width=0.6).bars([2], [-pull], "penalty", width=0.6)
    return Frame(panel, side, pull=pull)


def loss(a, b):
    """A valley in two weights, least at (1.4, 1)."""
    a, b = a - 1.4, b - 1.0
    return a**2 + 3 * b**2 - 1.5 * a * b


def budget(c, broken=False):
    """A ball of weights; the handle is where the loss is least on it."""
    grid = np.linspace(-1.5, 2.5, 41)
    turn = np.linspace(0, 2 * np.pi, 181)
    x, y = np.cos(turn), np.sin(turn)
    k = int(loss(c * x, c * y).argmin())
    spot = c * np.array([x[k], y[k]] if not broken else [0.814, 0.581])
    a, b = spot - (1.4, 1.0)
    plane = Panel(
        Say("loss over two weights", "两个权重上的损失"), (-1.5, 2.5), (-1.5, 2.5), height=None,
        xlabel="θ₁", ylabel="θ₂",
    )  # fmt: skip
    plane.contours(grid, grid, loss(grid[None], grid[:, None]), (0.1, 0.4, 1, 2, 4, 7, 11))
    plane.fill(c * x, c * y, "penalty")
    plane.line(c * x, c * y, "penalty", label=Say("budget", "预算"))
    plane.dots([1.4], [1.0], "data", label=Say("least loss", "损失最小处"))
    plane.arrow(*spot, 1.5 * b / 4 - a / 2, 1.5 * a / 4 - 1.5 * b, "data", label="−∇L")
    plane.dots([spot[0]], [spot[1]], "broken" if broken else "result", size=6).handle(*spot)
    budgets = np.linspace(0.05, 2, 60)
    least = loss(budgets[:, None] * x, budgets[:, None] * y).min(1)
    price = Panel(
        Say("least loss within the budget", "预算内的最小损失"), (0, 2), (0, 3), height=354,
        xlabel=Say("budget", "预算"),
    )  # fmt: skip
    price.line(budgets, least, "result", label=Say("least loss", "最小损失"))
    price.vline(c, Say("budget", "预算"), "penalty")
    price.dots([c], [np.interp(c, budgets, least)], "penalty", size=6)
    return Frame(plane, price, loss=float(loss(*spot)))


def board(lam, choice):
    """A board of weights, and a photograph, after their prox."""
    rng = np.random.default_rng(3)
    w = rng.standard_normal((10, 3)) * rng.uniform(0.2, 2, (10, 1))
    if choice == "l1":
        z = np.sign(w) * np.maximum(np.abs(w) - lam, 0)
    else:
        size = np.linalg.norm(w, axis=1, keepdims=True)
        z = w * np.maximum(1 - lam * 3**0.5 / size, 0)
    left = Panel(Say("thirty weights, ten groups", "三十个权重，十个组"), (0, 3), (10, 0), height=300,
                 xticks={0.5: Say("mean", "均值"), 1.5: Say("error", "误差"), 2.5: Say("worst", "最差")},
                 yticks={k + 0.5: name for k, name in NAMES.items()})  # fmt: skip
    left.heat(z, 2.5)
    smooth = np.add.outer(np.sin(np.linspace(0, 3, 40)), np.cos(np.linspace(0, 5, 40)))
    right = Panel(
        Say("a table of 1,600 numbers", "一张 1600 个数的表"), (0, 40), (0, 40), height=300
    )
    right.heat(np.sign(smooth) * np.maximum(np.abs(smooth) - lam / 2, 0), 2)
    grey = np.clip(0.5 + smooth / 4 + 0.2 * rng.standard_normal((40, 40)) / (1 + lam), 0, 1)
    third = Panel(
        Say("a photograph", "一张照片"), (0, 1), (0, 1), xticks={}, yticks={}, height=None
    )
    third.image(grey)
    return Frame(left, right, third, zeros=int((z == 0).sum()))


def cloud(p):
    """Many dots, a band, bars with names that need two lines, gaps."""
    rng = np.random.default_rng(0)
    x = np.linspace(0, 1, 400)
    y = np.sin(5 * x) + rng.standard_normal(400) * 0.6 * (1 - p)
    left = Panel(
        Say("dots, a band, a line with a gap", "点、带、有缺口的线"),
        (0, 1),
        (-2.5, 2.5),
        xlabel="x",
    )
    left.dots(x, y, "data", size=1.6, label=Say("400 patients", "400 位病人"))
    left.band(x[::10], np.sin(5 * x[::10]) - (1 - p), np.sin(5 * x[::10]) + (1 - p), "penalty",
              label=Say("band", "带"))  # fmt: skip
    fit = np.sin(5 * x[::8])
    fit[20:26] = np.nan
    left.line(x[::8], fit, "ink", label=Say("fit", "拟合"))
    right = Panel(Say("ten weights", "十个权重"), (-0.6, 9.6), (-4, 6), xticks=NAMES)
    values = np.array([1, -2, 5, 3, -3.5, 2, -1, 0.5, 4, 1.5])
    right.bars(range(10), values, "reference", width=0.8, label=Say("before", "之前"))
    right.bars(range(10), values * p, "result", width=0.45, label=Say("after", "之后"))
    right.dots(range(10), values * p**2, "penalty", size=4)
    right.text(5, -3, Say("words at a point", "一处的文字"))
    return Frame(left, right)


def film(value, choice, broken):
    """The heavy sample: two panels of three lines of sixty points."""
    x = np.linspace(0, 300, 60)
    panels = []
    for shift in (0.0, 0.7):
        panel = Panel("curves", (0, 300), (-1.2, 1.2))
        for k, role in enumerate(("data", "penalty", "result")):
            rate = (1 + k) * (1 + "abcd".index(choice)) / 150
            y = np.exp(-x * value / 900) * np.cos(x * rate + shift) * (-1 if broken else 1)
            panel.line(x, y + 0.1 * k, role, label=role)
        panels.append(panel)
    return Frame(*panels, end=float(value))


SCENES = {
    "decay": Scene(
        decay, "lam", (0.1, 0.2, 0.5, 1, 2, 5), label="λ", start=0.2,
        broken=Say("decay with the wrong sign", "衰减的符号弄反了"),
        caption=Say("At λ = {lam:g}, η = {eta:.3g} the run from 2 ends at length {end:.2f}.",
                    "λ = {lam:g}、η = {eta:.3g} 时，从 2 出发的运行终止于长度 {end:.2f}。"),
        alt=Say("Two runs end at the same length.", "两次运行终止于同一长度。"),
    ),
    "balance": Scene(
        balance, "lam", (0, 0.1, 0.3, 0.5, 1, 2, 5, 10), label="λ", start=0.5,
        caption=Say("Pull of the data {pull:.2f} = pull of the penalty {pull:.2f}.",
                    "数据的拉力 {pull:.2f} = 惩罚的拉力 {pull:.2f}。"),
        alt=Say("Ten beads, two arrows each.", "十颗珠子，各有两个箭头。"),
    ),
    "budget": Scene(
        budget, "c", (0.25, 0.5, 0.75, 1, 1.25, 1.5), label=Say("budget", "预算"), start=1,
        broken=Say("the nearest point", "最近的点"),
        caption=Say("The loss is {loss:.2f}.", "损失为 {loss:.2f}。"),
        alt=Say("A ball touches a contour.", "球与等高线相切。"),
    ),
    "board": Scene(
        board, "lam", (0.1, 0.3, 0.6, 1), label="λ", start=0.3,
        choices={"l1": "L1", "group": Say("group lasso", "组 lasso")},
        caption=Say("{choice}: {zeros} of 30 are exactly 0.", "{choice}：30 个中有 {zeros} 个恰为 0。"),
        alt=Say("Three tables.", "三张表。"),
    ),
    "cloud": Scene(
        cloud, "p", (0.2, 0.4, 0.6, 0.8, 1), label=Say("share kept", "保留比例"), start=0.6, unit=" ×",
        caption="p = {p:g}", alt=Say("Dots and bars.", "点与条。"),
    ),
}  # fmt: skip
FILM = Scene(
    film, "value", tuple(range(1, 10)), label="v", start=5, choices=dict.fromkeys("abcd", "choice"),
    broken="turned", caption="{end:g}", alt="curves",
)  # fmt: skip


def page(lang: str = "en", theme: str = "") -> str:
    """A page of all scenes, in this language; ``theme`` is fixed if it is given."""
    fixed = f' data-theme="{theme}"' if theme else ""
    body = "".join(
        f'<section id="{name}">{scene.html()}</section>' for name, scene in SCENES.items()
    )
    return (
        f'<!doctype html><html lang="{lang}"{fixed}><meta charset="utf-8"><title>gallery</title>'
        '<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{style()}body{{margin:0 auto;padding:16px;max-width:980px;background:var(--page)}}"
        f'section{{margin:0 0 3rem}}</style><body>{body}<script type="module">{script()}</script></html>'
    )
