"""An exercise of each kind about weight decay, and a page that shows them all."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import minireg as mr
from minireg.course import exercises
from minireg.course.parts import (
    Answer,
    Exercise,
    Goal,
    Hunt,
    Order,
    Predict,
    Recall,
    Write,
)
from minireg.pictures import Frame, Panel, Say, Scene
from minireg.pictures.scene import script, style

COURSE = Path(exercises.__file__).parent


def picture(lam: float, broken: bool = False) -> Frame:
    """What is left of a weight after each of 20 steps."""
    steps = np.arange(21)
    left = (1 + 0.1 * lam if broken else 1 - 0.1 * lam) ** steps
    panel = Panel(Say("what is left", "剩下多少"), (0, 20), (0, 1.5), xlabel=Say("step", "步"))
    panel.line(steps, np.minimum(left, 1.5), "broken" if broken else "result")
    return Frame(panel, end=float(left[-1]))


SCENE = Scene(
    picture,
    "lam",
    (0.1, 0.5, 1, 2),
    label="λ",
    start=0.1,
    broken=Say("decay with the wrong sign", "衰减的符号弄反了"),
    caption=Say("After 20 steps {end:.2f} is left.", "20 步之后剩下 {end:.2f}。"),
    alt=Say("A curve that falls the faster the larger λ is.", "曲线下降，λ 越大下降越快。"),
)

CHOICES = Scene(
    lambda lam, choice, broken: picture(lam if choice == "all" else lam / 2, broken),
    "lam",
    (0.1, 0.5),
    label="λ",
    start=0.1,
    choices={"half": Say("half of λ", "一半 λ"), "all": Say("all of λ", "全部 λ")},
    broken=Say("decay with the wrong sign", "衰减的符号弄反了"),
    caption=Say("{end:.2f} is left.", "剩下 {end:.2f}。"),
    alt=Say("A curve that falls.", "一条下降的曲线。"),
)


def left_over(lr, strength, steps):
    """The share of the start that is left."""
    left = 1.0
    for _ in range(steps):
        left = ...
    return left


def left_over_right(lr, strength, steps):
    """The share of the start that is left."""
    left = 1.0
    for _ in range(steps):
        left = left * (1 - lr * strength)
    return left


WRITE = Write(
    "left_over",
    Say(
        "The data are silent. Complete the one line: which share of the start is left after these steps?",
        "数据沉默。补全那一行：这些步之后，起点还剩多大的份额？",
    ),
    left_over,
    left_over_right,
    [(0.1, 0.5, 20), (0.2, 0.3, 7), (0.5, 3.0, 3)],
    {Say("No step: all of it is left.", "一步不走：全都留下。"): (0.1, 0.5, 0)},
    {
        Say(
            "Shrinking compounds: each step takes its share of what the last one left.",
            "收缩是逐步相乘的：每一步拿走上一步剩下的一份。",
        ): lambda lr, strength, steps: 1 - lr * strength * steps,
        Say("That is the share that is lost.", "这是失去的份额。"): lambda lr, strength, steps: (
            1 - (1 - lr * strength) ** steps
        ),
    },
    hints=(
        Say("A step is θ ← θ − ηλθ. Take θ out of it.", "一步是 θ ← θ − ηλθ。把 θ 提出来。"),
        Say("So a step multiplies what is left by 1 − ηλ.", "所以一步把剩下的乘以 1 − ηλ。"),
    ),
    why=Say("Each step keeps the share 1 − ηλ of what is there.", "每一步都保留现有的 1 − ηλ。"),
)


def values():
    """Where a step of AdamW begins."""
    return {"w": np.array([1.0, -2.0]), "g": np.array([0.3, 0.1]), "m": np.zeros(2), "v": np.zeros(2),
            "lr": 0.1, "lam": 0.5, "np": np}  # fmt: skip


ORDER = Order(
    "adamw",
    Say("Put a first step of AdamW in order.", "把 AdamW 的第一步排好。"),
    {
        "m = 0.9 * m + 0.1 * g": Say("It is the mean of the gradients.", "它是梯度的平均。"),
        "v = 0.999 * v + 0.001 * g**2": Say(
            "It is the mean of their squares.", "它是梯度平方的平均。"
        ),
        "step = m / 0.1 / (np.sqrt(v / 0.001) + 1e-8)": Say(
            "Both means are too small at first: they are divided by 1 − β.",
            "起初两个平均偏小，要除以 1 − β。",
        ),
        "w = w - lr * (step + lam * w)": Say(
            "The decay stands beside the step, and is not divided by √v.",
            "衰减与步长并列，不除以 √v。",
        ),
    },
    {
        "g = g + lam * w": Say(
            "That is Adam with L2: the penalty would be divided by √v like the data.",
            "那是带 L2 的 Adam：惩罚会像数据一样除以 √v。",
        ),
        "w = w - lr * step / lam": Say("A strength multiplies.", "强度是乘上去的。"),
    },
    values,
    "w",
    hints=(Say("The means come first.", "先算平均。"),),
)


LINES = [*ORDER.lines]


def train(w, lr, strength):
    """Meant to minimise the loss + ½λ‖w‖²; ends too near to 0."""
    objective = {"l2": mr.penalties.L2(strength)}
    optimizer = {"lr": lr, "weight_decay": strength}

    return w, objective, optimizer


def evidence():
    """Two rows that shrink."""
    return mr.tables.Table(
        ("term", "moves"), [("data", 0.12), ("l2", -0.02), ("weight decay", -0.02)]
    )


HUNT = Hunt(
    "twice",
    Say("The ledger has one row too many. Which line is wrong?", "账本里多了一行。哪一行错了？"),
    train,
    evidence,
    "weight_decay",
    Say(
        "Yes: the penalty is there already, and `weight_decay` adds it once more.",
        "对：惩罚已经有了，`weight_decay` 又加了一次。",
    ),
    {
        "L2(": Say("It asks for the penalty once, as it should.", "它要求了一次惩罚，没有错。"),
        "": Say("Nothing here shrinks a weight.", "这里没有什么会收缩权重。"),
    },
)
GOAL = Goal(
    "half",
    Say(
        "Set λ to the smallest value that leaves less than half.", "把 λ 拨到剩下不到一半的最小值。"
    ),
    lambda lam, broken, **_: lam == 0.5 and not broken,
    Say("Yes, {end:.2f} is left.", "对，剩下 {end:.2f}。"),
    {
        Say(
            "With the wrong sign it grows: mend it.", "符号反了会增长：先改正。"
        ): lambda broken, **_: broken,
        Say(
            "{end:.2f} is left: a smaller λ does it too.", "剩下 {end:.2f}：更小的 λ 也行。"
        ): lambda end, **_: end < 0.5,
        Say("{end:.2f} is left: λ has to pull harder.", "剩下 {end:.2f}：λ 要更大。"): lambda **_: (
            True
        ),
    },
    hints=(Say("Look at the caption.", "看图注。"),),
)
CHOSEN = Goal(
    "whole",
    Say("Take all of λ, with the right sign.", "取全部 λ，符号不错。"),
    lambda choice, broken, **_: choice == "all" and not broken,
    Say("Yes.", "对。"),
    {Say("No.", "不对。"): lambda **_: True},
)
ANSWERS = (
    Answer(Say("half as large", "一半"), Say("The data pull back the more.", "数据会拉得更用力。")),
    Answer(
        Say("more than half", "大于一半"),
        Say("Only where the data are flat.", "只在数据平坦之处如此。"),
    ),
    Answer(
        Say("that depends on the weight", "要看是哪个权重"),
        Say("Yes: steep directions give way less.", "对：陡的方向让步较少。"),
        right=True,
    ),
)
RECALL = Recall(
    "once_more", Say("At double λ, each weight is …", "λ 加倍时，每个权重……"), 1, ANSWERS
)
PREDICT = Predict(
    Say("At double λ, is each weight half as large?", "λ 加倍时，每个权重是否减半？"),
    ANSWERS,
    Say("What did you see?", "你看到了什么？"),
)
ALL: tuple[Exercise, ...] = (WRITE, ORDER, HUNT, GOAL, RECALL)


def render(text: str) -> str:
    """Text in backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", text)


def write_page(
    folder: Path,
    python: bool = True,
    lang: str = "en",
    parts: tuple[Exercise, ...] = ALL,
    scene: Scene = SCENE,
) -> None:
    """All of them in ``index.html``; ``window.python`` is what they ask, ``window.kept`` the answers."""
    body = "".join(exercises.html(e, render, exercises.kept(e, scene)) for e in parts)
    widgets = (COURSE / "exercises.js").read_text("utf-8").replace("export function", "function")
    looks = style() + (COURSE / "exercises.css").read_text("utf-8")
    ask = "request => window.python(request)" if python else "null"
    (folder / "index.html").write_text(
        f"""<!doctype html><html lang="{lang}"><meta charset="utf-8"><title>Exercises</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>{looks}
html {{ background: var(--page); color: var(--ink) }}
body {{ max-width: 680px; margin: 1rem auto; padding: 0 1rem; font: 1.0625rem/1.6 system-ui, sans-serif }}
</style>{exercises.html(PREDICT, render)}{scene.html()}{body}
<script type="module">{script()}</script><script type="module">{widgets}
const store = {{ get: id => JSON.parse(localStorage.getItem(id)) ?? undefined,
  set: (id, value) => localStorage.setItem(id, JSON.stringify(value)) }};
exercises(document, {{ ask: {ask}, scene: document.querySelector("mr-scene"), store, lesson: 2 }});
document.documentElement.dataset.ready = "1";
</script>""",
        encoding="utf-8",
    )
