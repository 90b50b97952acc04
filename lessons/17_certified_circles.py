"""How far may the input move before the answer changes?

For everybody who has read that small norms make a network robust. Afterwards you can say within which
radius a network's answer is proved, what an attack says from the other side, and what a penalty on the
spectral norms changes.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium", app_title="Lesson 17: how far may the input move before the answer changes?"
)

with app.setup(hide_code=True):
    from copy import deepcopy
    from functools import cache

    import numpy as np

    import minireg as mr
    from minireg.course.claims import breaks, holds
    from minireg.course.parts import (
        Answer,
        Appendix,
        Close,
        Code,
        Goal,
        Keep,
        Predict,
        Recall,
        Title,
        Told,
        Why,
        Write,
    )
    from minireg.pictures import Frame, Panel, Say, Scene

    STRENGTHS = (0, 0.003, 0.01, 0.03, 0.1, 0.3)
    THREE, MANY = 190, 200  # the new digit of the picture, and how many are attacked


@app.cell(hide_code=True)
def _():
    Title(
        Say(
            "How far may the input move before the answer changes?",
            "输入可以移动多远\u200b而答案不变？",
        ),
        lead=Say(
            "A network (W₁, ReLU, W₂) gives each of ten digits a score, its *logit*; the answer is the "
            "largest, the *margin* its lead. An *attack* seeks the nearest picture with another answer; a "
            "*certificate* proves that within some distance there is none.",
            "一个网络（W₁、ReLU、W₂）给十个数字各打一个分，叫作 **logit**；答案取分数最大者，"
            "它领先第二名的差叫作**间隔**。**攻击**寻找答案不同的、最近的图；"
            "**可证半径**是经过证明的距离：在它之内没有这样的图。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "No step of the input moves the logits more than K times as far. A penalty makes K a quarter. "
            "How far must an attack now move this 3?",
            "输入移动一段距离，logit 向量移动的距离至多是其 K 倍。一个惩罚使 K 降到四分之一。"
            "现在攻击要把这个 3 移动多远？",
        ),
        (
            Answer(
                Say("Four times as far", "四倍远"),
                Say(
                    "So it would be if the margin stayed. But the same weights make the margin: it falls as "
                    "well, and the answer changes where it did.",
                    "间隔若不变，就是这样。可是间隔也由这些权重产生，它同样变小了："
                    "答案改变的位置几乎没有动。",
                ),
            ),
            Answer(
                Say("About as far as before", "和以前差不多远"),
                Say(
                    "Yes: 0.60, where it was 0.61. What has grown is the radius that is proved, from 0.30 to "
                    "0.58. Before, the margin fell half as fast as the bound allows, now nearly as fast.",
                    "对：0.60，原来是 0.61。变大的是可证半径，从 0.30 到 0.58。"
                    "原来间隔下降的速度只有上界所容许的一半，现在几乎达到上界。",
                ),
                right=True,
            ),
            Answer(
                Say("A quarter as far", "四分之一远"),
                Say(
                    "The margin falls, but the slope falls with it. Halve all logits: both are halved, and "
                    "no picture is read otherwise than before.",
                    "间隔变小了，坡度也随之变小。把全部 logit 减半：两者都减半，没有一张图的答案会变。",
                ),
            ),
        ),
        asks=Say(
            "Take λ from 0 to 0.3 (or pull the ring on the green circle): what becomes of the thin lines, of "
            "the thick one, of the green circle?",
            "让 λ 从 0 增到 0.3（也可以拖动绿圆上的圆环）：细线、粗线和绿色的圆各有什么变化？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        STRENGTHS,
        start=0,
        label="λ",
        choices={"one": Say("this 3", "这个 3"), "many": Say("200 digits", "200 个数字")},
        broken=Say("take margin/K, as a text has it", "照一份教材，取间隔/K"),
        caption=Say("λ = {lam:g}, K = {K:.1f}: {said}", "λ = {lam:g}，K = {K:.1f}：{said}"),
        alt=Say(
            "Left, a plane of pictures around a 3, as a map: a blue line for each unit of margin, a thick "
            "one where the answer changes. A green circle, within which no answer changes, lies inside a "
            "black one, as far away as the nearest attack. As λ grows, the lines thin out, the thick one "
            "hardly moves and the green circle grows towards the black one. Right, the 3, the picture on "
            "the green circle, the attacked picture and what was added. Broken, a red circle crosses the "
            "thick line. The other choice shows how four quantities change with λ, and certified radii "
            "against attacks.",
            "左图：一个 3 周围的图像平面，画成等高线图：间隔每差 1 有一条蓝线，粗线是答案改变之处。"
            "绿色的圆内答案不变；它在黑色的圆里面，黑圆的半径是最近的攻击的距离。λ 增大时，蓝线变疏，"
            "粗线几乎不动，绿圆向黑圆扩大。右图：原图、绿圆上的图、攻击得到的图和加上的部分。"
            "故意弄错时，红圆越过了粗线。另一选项显示四个量随 λ 的变化，以及各数字的可证半径与攻击距离。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**A bound.** W stretches no step more than $\\|W\\|_2$ times (lesson 16), and ReLU none. "
                "So where the input moves by ε, the logits f move by at most\n\n"
                r"$$\color{penalty}{K}\varepsilon = \color{penalty}{\|W_1\|_2\,\|W_2\|_2}\;\varepsilon$$",
                "**上界**。W 把一步至多放大 $\\|W\\|_2$ 倍（第 16 课），ReLU 不放大。"
                "所以输入移动 ε 时，logit f 至多移动\n\n"
                r"$$\color{penalty}{K}\varepsilon = \color{penalty}{\|W_1\|_2\,\|W_2\|_2}\;\varepsilon$$",
            ),
            Say(
                "**A margin is a difference** of two logits. One may fall by $K\\varepsilon/\\sqrt2$ while "
                "the other rises by as much: together $\\sqrt2K\\varepsilon$. Proved is\n\n"
                r"$$\color{result}{r} = \frac{\color{data}{\text{margin}}}{\sqrt2\,\color{penalty}{K}}$$"
                "\n\n[Without √2](#lam=0.1&choice=one&broken) the circle crosses the thick line.",
                "**间隔是两个 logit 之差**。一个下降 $K\\varepsilon/\\sqrt2$，另一个同时上升这么多，"
                "合起来是 $\\sqrt2K\\varepsilon$。可证的是\n\n"
                r"$$\color{result}{r} = \frac{\color{data}{\text{间隔}}}{\sqrt2\,\color{penalty}{K}}$$"
                "\n\n[漏掉 √2](#lam=0.1&choice=one&broken)，圆就越过粗线。",
            ),
            Say(
                "**The penalty** $\\lambda(\\|W_1\\|_2 + \\|W_2\\|_2)$ lowers what is steepest until the "
                "next is as steep (lesson 16). [At λ = 0](#lam=0&choice=one) this margin falls half as "
                "fast as $\\sqrt2K$ allows, [at 0.1](#lam=0.1&choice=one) nearly so. The net is hardly "
                "safer, but now it is proved.",
                "**惩罚** $\\lambda(\\|W_1\\|_2 + \\|W_2\\|_2)$ 压低最陡的方向，直到与次陡的一样"
                "（第 16 课）。[λ = 0 时](#lam=0&choice=one)，这个间隔下降的速度只有 "
                "$\\sqrt2K$ 所容许的一半，[λ = 0.1 时](#lam=0.1&choice=one)几乎一样快。"
                "网络并没有安全多少，但如今有了证明。",
            ),
        )
    )
    return


@app.function
def trained(lam, x, y):
    """A network for digits, with λ times ‖W‖₂ of each layer in its loss."""
    mr.manual_seed(0)
    nn = mr.nn
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).double()
    penalty = mr.penalties.SpectralNorm(lam)
    objective = mr.Objective(nn.CrossEntropyLoss(), {"spectral": penalty})
    optimizer = mr.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    mr.trajectory(model, objective, optimizer, x, y, 400)
    return model


@app.cell(hide_code=True)
def _():
    Code(
        trained,
        "(x, y), (new, labels) = digits()\n"
        "model, loss = trained(0.1, x, y), mr.nn.CrossEntropyLoss()  # and with 0?\n"
        "sure = mr.certified_radius(model, new[:50], labels[:50])\n"
        "found = mr.attack_radius(model, loss, new[:50], labels[:50], rounds=14, steps=20)\n"
        "print(f'K = {mr.lipschitz_bound(model):.1f}, proved {np.median(sure):.2f},',\n"
        "      f'attacked {np.median(found):.2f}')",
        Say(
            "Medians of 50 new digits. The true distance is at least what is proved, at most what an attack "
            "has found.",
            "这是 50 个新数字的中位数。真正的距离不小于可证半径，也不大于攻击找到的距离。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C89", "C91"), also=("C87", "C88", "C90", "C99", "C100", "C130"))
    return


@app.function(hide_code=True)
def radius(z, y, K):
    """Within which distance no picture is read otherwise than as y."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "radius",
        Say(
            "`z` are a picture's logits, `y` is its class, and no step of length ε moves `z` by more than "
            "Kε. Up to which distance is the answer y certain? 0 if it is not even the answer here.",
            "`z` 是一张图的全部 logit，`y` 是它的类别；输入移动 ε，`z` 至多移动 Kε。"
            "答案在多远之内一定是 y？若此处的答案就不是 y，则为 0。",
        ),
        radius,
        certain,
        cases=[
            (np.array([2.0, 0.5, -1.0]), 0, 3.0),
            (np.array([0.3, 1.7, 2.9, -0.4]), 2, 1.5),
            (np.array([-1.2, 4.0, 0.7]), 1, 0.8),
            (np.array([1.0, 2.5, 0.2]), 0, 2.0),
        ],
        limits={
            Say(
                "f(x) = (x, −x)/√2 has K = 1. At x = 1 its margin is √2 and the boundary, x = 0, is 1 away: "
                "1 must come out.",
                "f(x) = (x, −x)/√2 的 K = 1。在 x = 1 处间隔为 √2，到分界 x = 0 的距离是 1：应得 1。",
            ): (np.array([0.5**0.5, -(0.5**0.5)]), 0, 1.0),
            Say(
                "Two logits are equal: the picture lies on the boundary, 0.",
                "两个 logit 相等：图就在分界上，应得 0。",
            ): (np.array([1.5, 1.5, 0.0]), 0, 2.0),
            Say(
                "The picture is read as another class: 0, not something negative.",
                "这张图被读作另一类：应得 0，不能是负数。",
            ): (np.array([0.0, 2.0, 1.0]), 0, 2.0),
        },
        mistakes={
            Say(
                "So a text has it. But z[y] can fall while the other one rises: their difference changes by "
                "up to √2Kε.",
                "一份教材是这样写的。可是 z[y] 下降时另一个可以同时上升：差的变化可达 √2Kε。",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).max(), 0) / K,
            Say(
                "Safe, but more careful than need be: z moves by Kε in all, so both cannot move by Kε at "
                "once. Each moves by Kε/√2.",
                "这样是安全的，却保守了：z 总共只移动 Kε，两个 logit 不可能同时各移动 Kε，最多各移动 Kε/√2。",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).max(), 0) / (2 * K),
            Say(
                "√2 belongs below: two logits change the difference more, so less is certain.",
                "√2 应在分母上：两个 logit 一起变，差变得更快，有把握的距离更小。",
            ): lambda z, y, K: 2**0.5 * max(z[y] - np.delete(z, y).max(), 0) / K,
            Say(
                "A steeper net is less certain: K belongs below.",
                "网络越陡，越没有把握：K 应在分母上。",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).max(), 0) * K,
            Say(
                "√2 is there, but a steeper net is less certain: K belongs below as well.",
                "√2 对了，但网络越陡越没有把握：K 也应在分母上。",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).max(), 0) / 2**0.5 * K,
            Say(
                "That is the margin, how far the logits must move. The input moves them K times √2 as fast.",
                "这是间隔，是 logit 要移动多远。输入移动一步，差至多变化 √2K 步。",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).max(), 0),
            Say(
                "K is missing: how fast do the logits follow the input?",
                "漏了 K：输入移动时，logit 变化多快？",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).max(), 0) / 2**0.5,
            Say(
                "Upside down: a large margin makes the radius large.",
                "颠倒了：间隔越大，半径越大。",
            ): lambda z, y, K: 2**0.5 * K / (z[y] - np.delete(z, y).max()),
            Say(
                "Where y is not the answer this is negative. Nothing is certain there: 0.",
                "答案不是 y 时，它是负数。那里没有任何把握：0。",
            ): lambda z, y, K: (z[y] - np.delete(z, y).max()) / (2**0.5 * K),
            Say(
                "Where the picture is read otherwise, |margin| says how far the wrong answer is safe. Of y "
                "nothing is certain: 0.",
                "这张图被读错时，|间隔| 说的是错误的答案有多稳。对 y 没有任何把握：0。",
            ): lambda z, y, K: abs(z[y] - np.delete(z, y).max()) / (2**0.5 * K),
            Say(
                "That is the distance for whichever answer is given. It must be y, or else 0.",
                "这是对网络自己的答案而言的距离。答案须是 y，否则为 0。",
            ): lambda z, y, K: (np.sort(z)[-1] - np.sort(z)[-2]) / (2**0.5 * K),
            Say(
                "The logit alone says nothing: add 1 to all and no answer changes. What is its lead?",
                "单看一个 logit 说明不了什么：全部加 1，答案一个也不变。它领先多少？",
            ): lambda z, y, K: max(z[y], 0) / (2**0.5 * K),
            Say(
                "The weakest rival is the last to overtake. The nearest one counts: the largest of "
                "the others.",
                "最弱的对手最后才会赶上。要看最近的一个：其余 logit 中最大的。",
            ): lambda z, y, K: max(z[y] - z.min(), 0) / (2**0.5 * K),
            Say(
                "The mean of the others overtakes nobody. One of them does, the largest.",
                "其余 logit 的平均值不会赶上谁，赶上的是其中最大的一个。",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).mean(), 0) / (2**0.5 * K),
            Say(
                "z[y] is among them: its lead over itself is 0. Take it out first, `np.delete(z, y)`.",
                "最大值里也包括 z[y]，它对自己的领先是 0。先把它去掉：`np.delete(z, y)`。",
            ): lambda z, y, K: max(z[y] - z.max(), 0) / (2**0.5 * K),
            Say(
                "Only two logits count, whatever the number of classes: √2, not its root.",
                "不论有多少类，起作用的只有两个 logit：是 √2，不是类别数的平方根。",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).max(), 0) / (len(z) ** 0.5 * K),
            Say(
                "K bounds the logits. Softmax has a slope of its own; leave it out, it changes no order.",
                "K 限制的是 logit。softmax 还有自己的坡度；不用它，它不改变次序。",
            ): lambda z, y, K: (
                max(np.exp(z)[y] - np.exp(np.delete(z, y)).max(), 0)
                / np.exp(z).sum()
                / (2**0.5 * K)
            ),
            Say(
                "√2 is right, but K stands outside the root.",
                "√2 对了，但 K 不在根号里。",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).max(), 0) / (2 * K) ** 0.5,
            Say(
                "Safe, but far too careful: both logits together change their difference by √2Kε, not 4Kε.",
                "这样是安全的，却过于保守：两个 logit 合起来，差至多变化 √2Kε，不是 4Kε。",
            ): lambda z, y, K: max(z[y] - np.delete(z, y).max(), 0) / (4 * K),
            Say(
                "A probability of 0.9 is no distance, and K bounds the logits. How far is z[y] ahead?",
                "概率 0.9 不是距离，K 限制的也是 logit。z[y] 领先多少？",
            ): lambda z, y, K: np.exp(z)[y] / np.exp(z).sum() / K,
            Say(
                "The whole spread from the best to the worst: the answer changes as soon as the second "
                "overtakes.",
                "这是最大与最小之差。第二名一赶上，答案就变了。",
            ): lambda z, y, K: (z.max() - z.min()) / K,
            Say(
                "The length of z says how far the logits are from 0. What counts is the lead of z[y].",
                "z 的长度说的是 logit 离 0 多远。起作用的是 z[y] 的领先。",
            ): lambda z, y, K: np.linalg.norm(z) / K,
        },
        why=Say(
            "the difference of two logits is √2·K-Lipschitz, and this is what `mr.certified_radius` returns.",
            "两个 logit 之差的 Lipschitz 常数至多是 √2·K；`mr.certified_radius` 返回的正是它。",
        ),
        hints=(
            Say(
                "The lead over the largest of the others, or 0: `max(z[y] - np.delete(z, y).max(), 0)`.",
                "领先其余最大者多少，不足则为 0：`max(z[y] - np.delete(z, y).max(), 0)`。",
            ),
            Say(
                "It is lost when one logit falls and another rises, by Kε/√2 each.",
                "一个 logit 下降、另一个上升，各 Kε/√2，领先就没有了。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def certain(z, y, K):
    """Within which distance no picture is read otherwise than as y."""
    return max(z[y] - np.delete(z, y).max(), 0) / (2**0.5 * K)


@app.cell(hide_code=True)
def _():
    Goal(
        "goal",
        Say(
            "Whoever tests margin/K on a net of λ = 0 may never see it fail. Break the picture, and set the "
            "smallest λ at which this 3 refutes it.",
            "只在 λ = 0 的网络上检验间隔/K，也许永远看不到它出错。勾选“照一份教材”，"
            "再找出使这个 3 成为反例的最小的 λ。",
        ),
        lambda lam, choice, broken, **_: broken and choice == "one" and lam == 0.01,
        why=Say(
            "Yes: an attack at {reach:.2f} lies within {text:.2f}. For smaller λ the margin falls so much "
            "slower than √2K allows that the missing √2 does not show.",
            "对：{reach:.2f} 处的攻击落在 {text:.2f} 之内。λ 更小时，间隔下降得比 √2K 所容许的慢得多，"
            "漏掉的 √2 显不出来。",
        ),
        others={
            Say(
                "Choose “this 3”.",
                "请选“这个 3”。",
            ): lambda choice, **_: choice != "one",
            Say(
                "The green circle is the proof with √2; nothing refutes it. Break the picture first.",
                "绿圆是带 √2 的证明，没有反例。先勾选“照一份教材”。",
            ): lambda broken, **_: not broken,
            Say(
                "margin/K is {text:.2f}, and the attack succeeds at {reach:.2f}: no refutation yet.",
                "间隔/K 是 {text:.2f}，攻击在 {reach:.2f} 处才成功：还不是反例。",
            ): lambda lam, **_: lam < 0.01,
            Say(
                "Refuted, {reach:.2f} is within {text:.2f}. But already at a smaller λ?",
                "{reach:.2f} 在 {text:.2f} 之内，是反例。但更小的 λ 是否已经如此？",
            ): lambda lam, **_: lam > 0.01,
        },
        hints=(
            Say(
                "Where does the red circle first get beyond the black one?",
                "红圆从哪个 λ 开始大于黑圆？",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def paths(w1, w2):
    """The path norm of x → W₂ ReLU(W₁x)."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "paths",
        Say(
            "In a net without biases multiply W₁ by 10 and W₂ by 1/10: the net is the same, L2 is not. What "
            "does not change is the *path norm*: on each path from an input through a hidden unit to an "
            "output multiply the two weights and square; add up. Two matrix operations do it.",
            "在没有偏置的网络中，W₁ 乘以 10、W₂ 除以 10，网络不变，L2 却变了。"
            "不变的是**路径范数**：沿每条从输入经隐藏单元到输出的路径，把两个权重相乘再平方，然后全部相加。不用循环就能算。",
        ),
        paths,
        all_paths,
        cases=[
            (np.array([[1.0, -2.0, 0.5], [0.3, 1.5, -1.0]]), np.array([[2.0, -1.0], [0.5, 3.0]])),
            (np.array([[0.5, -1.5], [2.0, 0.4], [-0.7, 1.1]]), np.array([[1.0, -0.6, 2.0]])),
        ],
        limits={
            Say(
                "A single path, of weights 3 and −2: (−6)² = 36.",
                "只有一条路径，权重为 3 和 −2：(−6)² = 36。",
            ): (np.array([[3.0]]), np.array([[-2.0]])),
            Say(
                "No path: what enters the one unit does not leave it, and from the other nothing enters. 0.",
                "一个单元只进不出，另一个只出不进：没有通路，应得 0。",
            ): (np.array([[3.0], [0.0]]), np.array([[0.0, 2.0]])),
            Say(
                "Two paths with the products 1 and −1. Each counts 1: 2. They do not cancel.",
                "两条路径的乘积是 1 和 −1，各计 1，共 2，并不抵消。",
            ): (np.array([[1.0], [1.0]]), np.array([[1.0, -1.0]])),
        },
        mistakes={
            Say(
                "With |w| in place of w²: that is another path norm, of absolute values. Here it is squares.",
                "这里用的是 |w|，得到的是绝对值的路径范数。题目要的是平方。",
            ): lambda w1, w2: (abs(w2) @ abs(w1)).sum(),
            Say(
                "The root is not asked for here.",
                "这里不取平方根。",
            ): lambda w1, w2: np.sqrt((w2**2 @ w1**2).sum()),
            Say(
                "Squares are missing: paths of opposite signs cancel.",
                "没有平方：符号相反的路径抵消了。",
            ): lambda w1, w2: (w2 @ w1).sum(),
            Say(
                "Squared too late: W₂W₁ has added up the hidden units already, and there paths cancel. "
                "Square each matrix first.",
                "平方得太晚：W₂W₁ 已经对隐藏单元求了和，路径在那里抵消。应先把两个矩阵各自平方。",
            ): lambda w1, w2: ((w2 @ w1) ** 2).sum(),
            Say(
                "The squared sum. Each path is squared by itself.",
                "这是和的平方。应是每条路径各自平方。",
            ): lambda w1, w2: (w2 @ w1).sum() ** 2,
            Say(
                "This joins each weight into a unit with weights out of other units, too. A path passes "
                "through one unit.",
                "这样把进入一个单元的权重与离开别的单元的权重也相乘了。一条路径只经过一个单元。",
            ): lambda w1, w2: (w1**2).sum() * (w2**2).sum(),
            Say(
                "That is L2's sum of squares, which changes when one layer is multiplied and the other "
                "divided.",
                "这是 L2 的平方和。一层放大、另一层缩小，它就变了。",
            ): lambda w1, w2: (w1**2).sum() + (w2**2).sum(),
            Say(
                "Half of that sum of squares is L2. Along a path weights are multiplied.",
                "这是 L2：平方和的一半。沿路径应是权重相乘。",
            ): lambda w1, w2: ((w1**2).sum() + (w2**2).sum()) / 2,
            Say(
                "That is the bound K. It stays when whole layers are rescaled, but not unit by unit.",
                "这是上界 K。整层缩放时它不变，逐个单元缩放时会变。",
            ): lambda w1, w2: np.linalg.norm(w1, 2) * np.linalg.norm(w2, 2),
            Say(
                "The squares are right. Now add up: over inputs and outputs as well.",
                "平方对了。还要对输入和输出求和。",
            ): lambda w1, w2: w2**2 @ w1**2,
            Say(
                "Added up over outputs only: one number for each input. Over the inputs as well.",
                "只对输出求了和，每个输入一个数。还要对输入求和。",
            ): lambda w1, w2: (w2**2 @ w1**2).sum(0),
            Say(
                "Added up over inputs only: one number for each output. Over the outputs as well.",
                "只对输入求了和，每个输出一个数。还要对输出求和。",
            ): lambda w1, w2: (w2**2 @ w1**2).sum(1),
            Say(
                "That is the largest sum between one input and one output. All ends count.",
                "这只是一对输入、输出之间最大的和。所有的输入和输出都要算。",
            ): lambda w1, w2: (w2**2 @ w1**2).max(),
            Say(
                "That is the mean over pairs of ends. What is asked for is the sum.",
                "这是平均值。题目要的是总和。",
            ): lambda w1, w2: (w2**2 @ w1**2).mean(),
            Say(
                "The inner weights are squared, the outer ones not.",
                "W₁ 平方了，W₂ 没有。",
            ): lambda w1, w2: (w2 @ w1**2).sum(),
            Say(
                "The outer weights are squared, the inner ones not.",
                "W₂ 平方了，W₁ 没有。",
            ): lambda w1, w2: (w2**2 @ w1).sum(),
            Say(
                "ReLU stays out of it: the path norm looks at the weights, negative ones too.",
                "这里不用 ReLU：路径范数只看权重，负的也算。",
            ): lambda w1, w2: (np.maximum(w2, 0) ** 2 @ np.maximum(w1, 0) ** 2).sum(),
            Say(
                "Half too little: there is no ½ in the path norm.",
                "少了一半：路径范数没有 ½。",
            ): lambda w1, w2: (w2**2 @ w1**2).sum() / 2,
            Say(
                "To the fourth power: the product is squared once.",
                "成了四次方：乘积只平方一次。",
            ): lambda w1, w2: (w2**4 @ w1**4).sum(),
            Say(
                "Squared too late, after the hidden units were summed.",
                "对隐藏单元求和之后才平方，太晚了。",
            ): lambda w1, w2: ((abs(w2) @ abs(w1)) ** 2).sum(),
            Say(
                "The length of W₂W₁: there paths through different hidden units have cancelled. Square each "
                "matrix first.",
                "这是 W₂W₁ 的长度：经过不同隐藏单元的路径已在那里抵消。应先把两个矩阵各自平方。",
            ): lambda w1, w2: np.linalg.norm(w2 @ w1),
            Say(
                "The lengths of two layers multiplied join weights of different units. A path passes through "
                "one unit.",
                "两层的长度相乘，把不同单元的权重也乘到了一起。一条路径只经过一个单元。",
            ): lambda w1, w2: np.linalg.norm(w1) * np.linalg.norm(w2),
        },
        why=Say(
            "a factor c into a unit and 1/c out of it cancel on each path through it. It is one forward pass "
            "of squared weights on ones, `mr.path_norm`.",
            "进入一个单元的因子 c 与离开它的 1/c，在经过它的每条路径上抵消。"
            "把权重平方，对全 1 的输入作一次前向计算就得到它，即 `mr.path_norm`。",
        ),
        hints=(
            Say(
                "A matrix product adds up over the hidden units. Of which matrices?",
                "矩阵乘积就是对隐藏单元求和。是哪两个矩阵？",
            ),
            Say("`w2**2 @ w1**2`, and then the sum.", "`w2**2 @ w1**2`，再求和。"),
        ),
    )
    return


@app.function(hide_code=True)
def all_paths(w1, w2):
    """The path norm of x → W₂ ReLU(W₁x)."""
    return (w2**2 @ w1**2).sum()


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "Lesson 8 had a budget; here each layer gets one, ‖W‖₂ ≤ 2.33. One net is trained freely, and in "
            "the end all larger singular values are cut to 2.33, the nearest weights allowed. Another is "
            "brought back after each step. How do they differ?",
            "第 8 课有预算；这里每层也有一个：‖W‖₂ ≤ 2.33。一个网络自由训练，最后把较大的奇异值都截到 2.33，"
            "也就是取预算之内最近的权重。另一个每走一步就拉回预算之内。两者有何不同？",
        ),
        8,
        (
            Answer(
                Say("Hardly: both use up the budget", "几乎没有：都用足了预算"),
                Say(
                    "Both do, and have the same K. But what is nearest in weights need not be good for the "
                    "loss: 0.56 against 0.12.",
                    "预算都用足了，K 也相同。但权重离得最近，损失不一定小：0.56 与 0.12。",
                ),
            ),
            Answer(
                Say(
                    "The cut one is worse in loss and in certainty",
                    "截出来的损失更大，可证半径也更小",
                ),
                Say(
                    "Yes: the nearest point is not the best. On new digits the cut net is right for 73 %, "
                    "the other for 92 %, and half of them are proved to 0.26, against 0.47.",
                    "对：最近的点不是最好的点。对新数字，截出来的网络正确率是 73%，另一个是 92%；"
                    "可证半径的中位数是 0.26 与 0.47。",
                ),
                right=True,
            ),
            Answer(
                Say("The cut one has less loss: it was free", "截出来的损失更小：它训练时不受限"),
                Say(
                    "Before the cut it had: 0.017. The cut does not ask the data, and the loss is 0.56; "
                    "within the budget descent finds 0.12.",
                    "截之前是这样：0.017。但截的时候不看数据，损失变成 0.56；在预算之内训练，能找到 0.12。",
                ),
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Keep(
        (
            Say(
                "Within margin/(√2K) the answer stays; K is the product of the layers' spectral norms. "
                "Without √2 nothing is proved.",
                "距离在间隔/(√2K) 之内，答案不变；K 是各层谱范数之积。漏掉 √2，就什么也证明不了。",
            ),
            Say(
                "An attack bounds the true distance from above, a certificate from below.",
                "对真正的距离，攻击给出上界，可证半径给出下界。",
            ),
            Say(
                "A small K alone is worth nothing: margin over K counts. A spectral penalty makes the proof "
                "sharp, and the net here only a little safer.",
                "K 小本身没有意义，要看间隔与 K 之比。谱范数惩罚使可证半径接近真实距离，"
                "网络本身在这里只稍微安全了一点。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("What is in the plane, and what of larger λ?", "平面是什么？λ 再大会怎样？"),
        Say(
            "The plane goes through the digit; to the right lies its attacked copy, upwards another class "
            "that is near. Each λ has its own net, and so its own plane. Distances are roots of summed "
            "squares of 64 pixels from 0 to 1; an attack may leave that range. The nearest attack is the "
            "shortest of nine, one towards each other class. One that follows cross-entropy is drawn to "
            "several at once: at λ = 0.3 it finds 0.74, where 0.65 is enough. The penalty works on the "
            "training of 1,200 digits, 400 full steps; attacked are digits that were not among them. K "
            "itself is sharp even at λ = 0: some step is stretched 0.98 K times, but not one that turns "
            "this 3. At λ = 0.5 the penalty wins: K is 0.02, and every picture gets the same answer. A "
            "small K, and all lost. Multiplying W₁ and its bias by α and dividing W₂ by α changes neither "
            "answers nor K nor these radii, but L2; so L2 tells apart nets that no input can. L2 lowers K "
            "as well, for ‖W‖₂ ≤ ‖W‖_F.",
            "平面经过原图；右方是攻击得到的图，上方是另一个较近的类别。每个 λ 有自己的网络，"
            "因而也有自己的平面。距离是 64 个像素（取值 0 到 1）之差的平方和的平方根；攻击可以超出这个范围。"
            "“最近的攻击”是朝其余九个类别各攻击一次后最短的那次。顺着交叉熵的攻击会同时偏向几个类别："
            "λ = 0.3 时它只找到 0.74，其实 0.65 就够了。"
            "训练用 1200 个数字，全批量走 400 步；攻击的是没有参加训练的数字。"
            "λ = 0 时 K 这个上界本身也很紧：沿某些方向，位移被放大到 0.98K 倍，只是这些方向不会让这个 3 "
            "变成别的数字。"
            "λ = 0.5 时惩罚占了上风：K 只有 0.02，所有的图都得到同一个答案。K 虽小，却什么也没有了。"
            "把 W₁ 连同偏置乘以 α、W₂ 除以 α，答案、K 和这些半径都不变，变的只有 L2；"
            "所以 L2 能区分的两个网络，任何输入都区分不了。L2 也会使 K 变小，因为 ‖W‖₂ ≤ ‖W‖_F。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
@cache
def digits():
    """1,200 digits to train on and 597 new ones, 64 grey values from 0 to 1 each, with their labels."""
    x, y = mr.datasets.arrays("digits")
    return (x[:1200] / 16, y[:1200]), (x[1200:] / 16, y[1200:])


@app.function(hide_code=True)
@cache
def net(lam):
    """:func:`trained`, kept."""
    return trained(lam, *digits()[0])


@app.function(hide_code=True)
def margins(model, x, y):
    """The logit of the class minus the largest other one, for each picture."""
    z, rows = model(mr.tensor(x)).numpy().copy(), np.arange(len(x))
    own = z[rows, y]
    z[rows, y] = -np.inf
    return own - z.max(1)


@app.function(hide_code=True)
def towards(c):
    """A loss that grows as class c overtakes the right one. (Cross-entropy mixes the classes.)"""
    return lambda z, y: (z[:, c] - z[np.arange(len(y)), y]).sum()


@app.function(hide_code=True)
@cache
def attacks(lam):
    """Of the first new digits: how far it is to each class, as found by an attack towards it."""
    x, y = (a[:MANY] for a in digits()[1])
    search = {"largest": 64.0, "rounds": 14, "steps": 10}  # from 0.064 on, to a thousandth
    return np.array([mr.attack_radius(net(lam), towards(c), x, y, **search) for c in range(10)])


@app.function(hide_code=True)
@cache
def attacked(lam):
    """Of the first new digits: margin, certified radius, and the distance of the nearest attack."""
    x, y = (a[:MANY] for a in digits()[1])
    return margins(net(lam), x, y), mr.certified_radius(net(lam), x, y), attacks(lam).min(axis=0)


@app.function(hide_code=True)
@cache
def plane(lam):
    """The 3, and two directions at right angles: to its attack, and to the next class."""
    x, y = (a[THREE : THREE + 1] for a in digits()[1])
    model, far = net(lam), attacks(lam)[:, THREE]
    first, second = far.argsort()[:2]
    u = (mr.pgd_attack(model, towards(first), x, y, far.min()).numpy() - x)[0]
    u /= np.linalg.norm(u)
    slopes = mr.jacobian(model, x).numpy().reshape(10, 64)
    v = slopes[second] - slopes[y[0]]
    v -= (v @ u) * u
    return x[0], u, v / np.linalg.norm(v)


@app.function(hide_code=True)
def answer(lam, x):
    """What the net reads."""
    return net(lam)(mr.tensor(x[None])).numpy()[0].argmax()


@app.function(hide_code=True)
def picture(lam, choice, broken=False):
    """The surroundings of one digit; or K, margins, radii and attacks of many."""
    return (one if choice == "one" else many)(lam, broken)


@app.function(hide_code=True)
def one(lam, broken):
    """A plane of pictures through the 3 and its attacked copy, three circles, and four pictures."""
    (m, sure, reach), K = (a[THREE] for a in attacked(lam)), mr.lipschitz_bound(net(lam))
    x, u, v = plane(lam)
    wide, high = np.linspace(-1.2, 1.2, 33), np.linspace(-0.85, 0.85, 25)
    grid = x + wide[None, :, None] * u + high[:, None, None] * v
    height = margins(net(lam), grid.reshape(-1, 64), np.full(grid[..., 0].size, 3))
    height = height.reshape(len(high), len(wide))
    around = np.linspace(0, 2 * np.pi, 121)
    left = Panel(
        Say("around this 3: a line per unit of margin", "这个 3 的周围：间隔每差 1 画一条线"),
        x=(-1.2, 1.2), y=(-0.85, 0.85), height=None,
        xticks={}, yticks={},
    )  # fmt: skip
    left.contours(wide, high, height, range(1, 40), "data")
    left.contours(wide, high, height, [0], "data", width=3.5)
    circle = lambda r: (r * np.cos(around), r * np.sin(around))
    left.line(*circle(reach), "ink", width=1.5, label=Say("nearest attack", "最近的攻击"))
    left.line(*circle(sure), "result", label=Say("proved", "可证"))
    if broken:
        left.line(*circle(m / K), "broken", label=Say("margin/K", "间隔/K"))
    there = answer(lam, grid[4, -4])
    left.text(0.95, -0.6, Say(f"read as {there}", f"读作 {there}"))
    left.text(-0.95, -0.6, Say("read as 3", "读作 3"), "data")
    left.dots([0], [0], "data", size=6)
    left.dots([reach], [0], "ink", size=5)
    left.handle(-sure, 0)
    spot, role = (m / K, "broken") if broken else (sure, "result")
    left.dots([spot], [0], role, size=5)
    at, far = x + spot * u, x + 1.001 * reach * u
    edge = Say("on the red edge", "红圆上") if broken else Say("on the green edge", "绿圆上")
    shown = [
        (x, Say("the digit", "原图"), answer(lam, x), "data"),
        (at, edge, answer(lam, at), role),
        (far, Say("attacked", "攻击后"), answer(lam, far), "ink"),
        (0.5 + reach * u, Say("what the attack added", "攻击加上的部分"), None, "ink"),
    ]
    right = Panel(
        Say("how the network reads them", "网络怎样读它们"), x=(-0.75, 3.05), y=(2.42, -0.26),
        height=None, xticks={}, yticks={},
    )  # fmt: skip
    for k, (image, name, read, tone) in enumerate(shown):
        a, b = 1.4 * (k % 2), 1.25 * (k // 2)
        right.image(image.reshape(8, 8), box=(a, a + 1, b, b + 1))
        reads = Say("", "") if read is None else Say(f": {read}", f"：{read}")
        right.text(a + 0.5, b - 0.1, Say(name.en + reads.en, name.zh + reads.zh), tone)
    wrong = answer(lam, at) != 3
    if not broken:
        said = Say(
            f"the margin is {m:.1f}, so no picture within {sure:.2f} is read otherwise. An attack "
            f"succeeds at {reach:.2f}.",
            f"间隔为 {m:.1f}，所以距离 {sure:.2f} 之内的图都读作 3。攻击在 {reach:.2f} 处成功。",
        )
    elif wrong:
        said = Say(
            f"margin/K is {m / K:.2f}, and already at {reach:.2f} a picture is read as {answer(lam, far)}.",
            f"间隔/K 是 {m / K:.2f}，而在 {reach:.2f} 处的图已被读作 {answer(lam, far)}。",
        )
    else:
        said = Say(
            f"margin/K is {m / K:.2f}. No proof, but the margin falls slowly here, and nothing happens.",
            f"间隔/K 是 {m / K:.2f}。它并不是证明，只是这里间隔下降得慢，没有出事。",
        )
    return Frame(left, right, said=said, K=K, sure=sure, reach=reach, text=m / K)


@app.function(hide_code=True)
def many(lam, broken):
    """How K, margin, certified radius and attack change with λ, and the last two for each digit."""
    found, at = {s: attacked(s) for s in STRENGTHS}, STRENGTHS.index(lam)
    (m, sure, reach), K = found[lam], mr.lipschitz_bound(net(lam))
    middle = np.array([[mr.lipschitz_bound(net(s)), *map(np.median, found[s])] for s in STRENGTHS])
    left = Panel(
        Say("medians, compared with λ = 0", "中位数，与 λ = 0 相比"), x=(-0.3, 5.3), y=(0.1, 4), log="y",
        height=250, xlabel="λ", xticks={k: f"{s:g}" for k, s in enumerate(STRENGTHS)},
        yticks={0.1: "0.1", 0.2: "0.2", 0.5: "0.5", 1: "1", 2: "2"},
    )  # fmt: skip
    names = (
        ("penalty", "K"),
        ("data", Say("margin", "间隔")),
        ("result", Say("proved", "可证半径")),
        ("ink", Say("nearest attack", "最近的攻击")),
    )
    left.hline(1)
    for (role, name), values in zip(names, (middle / middle[0]).T, strict=True):
        left.line(range(6), values, role, label=name)
        left.dots([at], [values[at]], role, size=6)
    right = Panel(
        Say(f"{MANY} new digits", f"{MANY} 个新数字"), x=(0, 1.35), y=(0, 1.6), height=240,
        xlabel=Say("distance of the nearest attack", "最近的攻击的距离"),
        ylabel=Say("margin/K", "间隔/K") if broken else Say("radius that is proved", "可证半径"),
    )  # fmt: skip
    radius = np.where(m > 0, m / K, 0) if broken else sure
    right.line([0, 1.35], [0, 1.35], "reference", label=Say("equal", "相等"))
    right.dots(reach, radius, "broken" if broken else "result", size=3)
    wrong = np.count_nonzero(radius > reach)
    off, misread = (np.median(reach), np.median(radius)), np.count_nonzero(m <= 0)
    if broken:
        said = Say(
            f"for {wrong} of {MANY} digits an attack succeeds within margin/K.",
            f"{MANY} 个数字中，有 {wrong} 个在间隔/K 之内就被攻击成功。",
        )
    else:
        said = Say(
            f"half of all {MANY} are proved up to {off[1]:.2f} or farther, and half fall to an attack within "
            f"{off[0]:.2f} ({misread} are misread from the start). None lies above the diagonal.",
            f"半数数字的可证半径不小于 {off[1]:.2f}；半数数字在 {off[0]:.2f} 之内就被攻破"
            f"（其中 {misread} 个原本就读错）。没有一个在对角线上方。",
        )
    return Frame(left, right, said=said, K=K, wrong=wrong, sure=off[1], reach=off[0],
                 text=np.median(m) / K)  # fmt: skip


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def within(budget):
    """Two nets whose layers have ‖W‖₂ ≤ budget: cut after training, and brought back after each step."""
    (x, y), nn, ball = digits()[0], mr.nn, mr.penalties.SpectralBall(budget)
    cut = deepcopy(net(0))
    for p in (cut[0].weight, cut[2].weight):
        p.assign(ball.prox(p.numpy(), 1.0))
    mr.manual_seed(0)
    kept = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).double()
    objective = mr.Objective(nn.CrossEntropyLoss(), {"budget": ball}).bind(kept)
    optimizer = mr.optim.SGD(kept.parameters(), 0.1, momentum=0.9)
    objective.attach(optimizer)
    mr.trajectory(kept, objective, optimizer, x, y, 400)
    return cut, kept


@app.function(hide_code=True)
def judged(model):
    """Loss in training, share of new digits that is right, median certified radius, and K."""
    (x, y), (new, labels) = digits()
    loss = mr.nn.CrossEntropyLoss()(model(mr.tensor(x)), y).item()
    right = (model(mr.tensor(new)).numpy().argmax(1) == labels).mean()
    sure = np.median(mr.certified_radius(model, new, labels))
    return np.array([loss, right, sure, mr.lipschitz_bound(model)])


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    near = lambda what, value, goal, off: holds(
        what, value, at_least=goal - off, at_most=goal + off
    )
    frames = {s: one(s, False).numbers for s in STRENGTHS}
    broken = {s: many(s, True).numbers["wrong"] for s in STRENGTHS}
    free, tight = frames[0], frames[0.1]
    exceeded = max(
        np.max(sure[m > 0] / found[m > 0]) for m, sure, found in map(attacked, STRENGTHS)
    )
    medians = np.array([np.median(attacked(s), axis=1) for s in STRENGTHS])
    cut, kept = map(judged, within(2.33))
    lost = trained(0.5, *digits()[0])
    scaled = deepcopy(net(0.1))
    scaled[0].weight.assign(3 * scaled[0].weight.data)
    scaled[0].bias.assign(3 * scaled[0].bias.data)
    scaled[2].weight.assign(scaled[2].weight.data / 3)
    new, labels = digits()[1]
    one_three = (a[THREE : THREE + 1] for a in (new, labels))
    (loose,) = mr.attack_radius(net(0.3), mr.nn.CrossEntropyLoss(), *one_three, 4.0, 16, 20)
    blind = lost(mr.tensor(new)).numpy().argmax(1)
    change = abs(
        mr.certified_radius(scaled, new, labels) - mr.certified_radius(net(0.1), new, labels)
    )
    halves = np.median(attacked(0)[2][:50]), np.median(attacked(0.1)[2][:50])
    return [
        near("K at λ = 0", free["K"], 23.2, 0.5),
        near("λ = 0: steepest step found, over K", mr.lipschitz_lower(net(0), new) / free["K"], 0.98, 0.02),
        near("its margin's fall to the attack, over √2K", free["sure"] / free["reach"], 0.5, 0.03),
        near("the same, λ = 0.1", tight["sure"] / tight["reach"], 0.96, 0.02),
        near("K at λ = 0.1, over K at λ = 0", tight["K"] / free["K"], 0.235, 0.02),
        near("this 3: attack at λ = 0", free["reach"], 0.61, 0.01),
        near("at λ = 0.1", tight["reach"], 0.60, 0.01),
        breaks("at λ = 0.3 along cross-entropy alone", loose, at_least=0.73, at_most=0.75),
        near("towards each class", frames[0.3]["reach"], 0.65, 0.01),
        near("proved at λ = 0", free["sure"], 0.30, 0.01),
        near("at λ = 0.1", tight["sure"], 0.58, 0.01),
        breaks("margin/K − attack, λ = 0.01", frames[0.01]["text"] - frames[0.01]["reach"], at_least=0.01),
        holds("the same, λ = 0.003", frames[0.003]["text"] - frames[0.003]["reach"], at_most=-0.01),
        holds("proved over attacked, digits that are read right, all λ", exceeded, at_most=1),
        breaks("attacks within margin/K at λ = 0.1, of 200", broken[0.1], at_least=150),
        holds("at λ = 0", broken[0], at_most=0),
        near("median proved, λ = 0.3 over λ = 0", medians[-1, 1] / medians[0, 1], 2.25, 0.15),
        near("median attack, λ = 0.3 over λ = 0", medians[-1, 2] / medians[0, 2], 1.12, 0.03),
        holds("median attack of 50, λ = 0.1 over λ = 0", halves[1] / halves[0], at_least=0.95, at_most=1.3),
        near("‖W‖₂ ≤ 2.33, cut: loss", cut[0], 0.56, 0.06),
        near("trained within: loss", kept[0], 0.12, 0.01),
        near("trained freely: loss", judged(net(0))[0], 0.017, 0.0025),
        near("cut: share right", cut[1], 0.73, 0.03),
        near("within: share right", kept[1], 0.92, 0.01),
        near("cut: median proved", cut[2], 0.26, 0.02),
        near("within: median proved", kept[2], 0.47, 0.02),
        holds("|their K: ratio − 1|", abs(cut[3] / kept[3] - 1), at_most=1e-9),
        near("λ = 0.5: K", mr.lipschitz_bound(lost), 0.02, 0.01),
        breaks("answers that it gives, of ten", len(np.unique(blind)), at_most=1),
        holds("3W₁, W₂/3: change of a radius", change.max(), at_most=1e-12),
        holds("|K after/before − 1|", abs(mr.lipschitz_bound(scaled) / tight["K"] - 1), at_most=1e-12),
        breaks("‖W₁‖² + ‖W₂‖² after/before", squares(scaled) / squares(net(0.1)), at_least=2),
    ]  # fmt: skip


@app.function(hide_code=True)
def squares(model):
    """The sum of squared weights of both layers."""
    return sum((model[k].weight.numpy() ** 2).sum() for k in (0, 2))


if __name__ == "__main__":
    app.run()
