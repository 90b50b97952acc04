"""Who wins, the data or the penalty?

For everybody who adds a penalty to a loss. Afterwards you can say where training comes to rest, why
twice the λ does not halve the weights, and what a λ means without its ½.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 1: who wins, the data or the penalty?")

with app.setup(hide_code=True):
    from functools import cache

    import numpy as np

    import minireg as mr
    from minireg.course.claims import breaks, corrects, holds
    from minireg.course.parts import (
        Answer,
        Appendix,
        Close,
        Code,
        Hunt,
        Keep,
        Predict,
        Recall,
        Title,
        Told,
        Why,
        Write,
    )
    from minireg.pictures import Frame, Panel, Say, Scene


@app.cell(hide_code=True)
def _():
    Title(
        Say("Who wins, the data or the penalty?", "谁说了算，数据还是惩罚？"),
        lead=Say(
            "Ten weights θ predict the course of diabetes. The data pull at each with −∂L/∂θ, down their "
            "loss L; the penalty ½λ‖θ‖² pulls with λθ, towards 0.",
            "用十个权重 θ 预测糖尿病的病情。数据以 −∂L/∂θ 拉每个权重，使损失 L 减小；"
            "惩罚 ½λ‖θ‖² 以 λθ 把它拉向 0。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say("You double λ. How much is left of each weight?", "λ 加倍，每个权重还剩多少？"),
        (
            Answer(
                Say("Half of it", "都剩一半"),
                Say(
                    "Twice λ is twice the pull on a weight that stays put. It gives way, and the data pull "
                    "it back the harder: from λ = 1.6 to 3.2 bmi keeps 75 %.",
                    "权重若留在原处，λ 加倍，惩罚的拉力才加倍。可是权重会退让，数据的拉力便随之增大："
                    "λ 从 1.6 到 3.2，bmi 还剩 75%。",
                ),
            ),
            Answer(
                Say("More than half of each", "都剩一半以上"),
                Say(
                    "Of most, since the data pull back the harder. But from λ = 1.6 to 3.2 only 26 % of s2 "
                    "is left.",
                    "多数权重如此，因为数据的拉力也增大了。但 λ 从 1.6 到 3.2，s2 只剩 26%。",
                ),
            ),
            Answer(
                Say("That depends on the weight", "各个权重不同"),
                Say(
                    "So it does: from λ = 1.6 to 3.2 s4 keeps 91 %, sex 54 %, s2 26 %, and age even grows. "
                    "How hard the data pull at one weight depends on where all ten are.",
                    "正是这样：λ 从 1.6 到 3.2，s4 还剩 91%，sex 剩 54%，s2 剩 26%，age 反而变大。"
                    "数据对某个权重的拉力，与十个权重各在哪里都有关。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: what do the two arrows of a row do when λ doubles?",
            "你看到了什么：λ 加倍时，同一行的两个箭头怎样变？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        (0, 0.2, 0.4, 0.8, 1.6, 3.2),
        start=1.6,
        label="λ",
        choices={
            "rest": Say("at rest", "静止时"),
            "held": Say("held at least squares", "固定在最小二乘解"),
        },
        broken=Say("forget the ½", "漏掉 ½"),
        caption=Say("λ = {lam:g}. {said}", "λ = {lam:g}。{said}"),
        alt=Say(
            "A row for each weight, which is a bead on a wire. At rest a blue arrow of the data and an "
            "orange one of the penalty pull at it in opposite directions, equally long. With λ both grow, "
            "and most beads draw near to 0. Held at least squares the beads have orange arrows only.",
            "每行一个权重，像穿在线上的珠子。静止时，数据的蓝色箭头与惩罚的橙色箭头方向相反，长度相等。"
            "λ 增大，两者都变长，多数珠子向 0 靠近。固定在最小二乘解时，珠子上只有橙色箭头。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Neither wins.** Where J = L + ½λ‖θ‖² is lowest, it has no slope: the two pulls "
                "cancel. [Held at least squares](#choice=held), where $L$ is lowest, only the penalty "
                "pulls; held at 0, only the data would.\n\n"
                r"$$\color{data}{-\nabla L(\theta^*)} = \color{penalty}{\lambda\theta^*}$$",
                "**谁也赢不了**。在 J = L + ½λ‖θ‖² 的最低点，它对每个权重的偏导数都是 0："
                "两个拉力互相抵消。[固定在最小二乘解](#choice=held)（$L$ 的最低点），"
                "只有惩罚在拉；固定在 0，就只有数据在拉。\n\n"
                r"$$\color{data}{-\nabla L(\theta^*)} = \color{penalty}{\lambda\theta^*}$$",
            ),
            Say(
                "**Why not half?** The data pull a weight to $a$ with stiffness $h$, the harder the "
                "farther it is. Alone, each would keep 69 % from $λ = 1.6$ to $3.2$: here all have "
                "$h = 2$. But as the other nine move, so does its $a$.\n\n"
                r"$$\color{data}{h\,(a-\theta^*)} = \color{penalty}{\lambda\,\theta^*}$$",
                "**为什么不是一半**？数据以劲度系数 $h$ 把一个权重拉向 $a$：离 $a$ 越远，拉力越大。"
                "这里每个权重都有 $h = 2$，若单独存在，$λ$ 从 $1.6$ 到 $3.2$ 都剩 69%。"
                "但其余九个权重一动，$a$ 也跟着动。\n\n"
                r"$$\color{data}{h\,(a-\theta^*)} = \color{penalty}{\lambda\,\theta^*}$$",
            ),
            Say(
                "**And the ½?** Without it the penalty pulls twice as hard. [Forget "
                "it](#choice=rest&lam=1.6&broken), and the weights rest where $λ = 3.2$ would put them.\n\n"
                r"$$\nabla\,\tfrac12\lambda\|\theta\|^2 = \color{penalty}{\lambda\theta},"
                r"\qquad \nabla\,\lambda\|\theta\|^2 = \color{penalty}{2\lambda\theta}$$",
                "**那个 ½ 呢**？没有它，惩罚的拉力加倍。[漏掉它](#choice=rest&lam=1.6&broken)，"
                "权重就停在 $λ = 3.2$ 对应的位置。\n\n"
                r"$$\nabla\,\tfrac12\lambda\|\theta\|^2 = \color{penalty}{\lambda\theta},"
                r"\qquad \nabla\,\lambda\|\theta\|^2 = \color{penalty}{2\lambda\theta}$$",
            ),
        )
    )
    return


@app.function
def pulls(penalty, held=None):
    """The ten weights, at rest or held, and how data and penalty pull at each."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    if held is None:
        mr.solve(model, mr.nn.MSELoss(), penalty, *patients())
    else:
        model.weight.assign(held[None])
    terms = mr.Objective(mr.nn.MSELoss(), {"l2": penalty})(model, *patients())
    terms.backward()
    data, back = (-terms.gradients[name]["weight"].numpy()[0] for name in ("data", "l2"))
    return model.weight.numpy()[0], data, back


@app.cell(hide_code=True)
def _():
    Code(
        pulls,
        "names = mr.datasets.load('diabetes').feature_names\n"
        "for name, *row in zip(names, *pulls(mr.penalties.L2(1.6))):\n"
        "    print('{:>3}: θ = {:+.4f}, data {:+.4f}, penalty {:+.4f}'.format(name, *row))",
        Say(
            "`Objective` keeps the slopes of its terms apart. With `mr.penalties.L1(0.2)` the pulls cancel "
            "as well, except at weights that are exactly 0: see lesson 5.",
            "`Objective` 把各项的梯度分开保存。换成 `mr.penalties.L1(0.2)`，两个拉力也互相抵消，"
            "只有恰好为 0 的权重例外：见第 5 课。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C27", "C02", "C31"), also=("C01", "C22", "C28"))
    return


@app.cell(hide_code=True)
def _():
    Write(
        "rest",
        Say(
            "One weight alone: the loss ½h(θ − a)² and the penalty ½λθ². Where does it come to rest?",
            "只有一个权重：损失为 ½h(θ − a)²，惩罚为 ½λθ²。它停在哪里？",
        ),
        rest,
        between,
        cases=[(2.0, 3.0, 0.5), (0.5, -1.5, 2.0), (4.0, 0.8, 3.0)],
        limits={
            Say(
                "For λ → 0 nothing pulls to 0, a must come out.",
                "λ → 0 时没有什么把 θ 拉向 0，应得 a。",
            ): (
                2.0,
                3.0,
                1e-13,
            ),
            Say("For h → 0 the data let go, 0 must come out.", "h → 0 时数据松手，应得 0。"): (
                1e-14,
                3.0,
                0.5,
            ),
            Say(
                "For h → ∞ the data do not give way, a must come out.",
                "h → ∞ 时数据寸步不让，应得 a。",
            ): (1e13, 3.0, 0.5),
        },
        mistakes={
            Say(
                "That is right for h = 1 only: how stiffly the data hold the weight is missing.",
                "只在 h = 1 时正确：没有计入劲度系数 h。",
            ): lambda h, a, lam: a / (1 + lam),
            Say(
                "λ is a force on a weight of 1, not a distance: the pull is λθ, and it fades as θ nears 0.",
                "λ 不是一段距离：拉力是 λθ，θ 越近 0，拉力越小。",
            ): lambda h, a, lam: a - lam,
            Say(
                "That would be a pull of λ everywhere. The pull of ½λθ² is λθ: it fades as θ nears 0.",
                "这相当于拉力处处是 λ。而 ½λθ² 的拉力是 λθ：θ 越近 0，拉力越小。",
            ): lambda h, a, lam: a - lam / h,
            Say(
                "With ha the data pull at 0. But the weight does not get there, and nearer to a they pull "
                "less: h(a − θ).",
                "ha 是数据在 θ = 0 处的拉力。权重到不了那里；离 a 越近，数据的拉力 h(a − θ) 越小。",
            ): lambda h, a, lam: h * a / lam,
            Say(
                "That is a single step of rate 1 from a. Nothing rests there: the data begin to pull back.",
                "这只是从 a 出发、学习率为 1 的一步。它不会停在那里：数据开始往回拉了。",
            ): lambda h, a, lam: a * (1 - lam),
            Say(
                "This takes the pull of the penalty at a, λa, and keeps it. But it is λθ, and θ is smaller.",
                "这是一直用惩罚在 a 处的拉力 λa。其实拉力是 λθ，而 θ 已经变小。",
            ): lambda h, a, lam: a - lam * a / h,
            Say(
                "That is how far it goes away from a. Asked is where it rests.",
                "这是它离开 a 的距离。要的是它停在哪里。",
            ): lambda h, a, lam: lam * a / (h + lam),
            Say(
                "The penalty counts twice here: the pulls are h(a − θ) and λθ, neither with a 2 or a ½.",
                "惩罚在这里算了两倍：两个拉力是 h(a − θ) 与 λθ，都没有 2 或 ½。",
            ): lambda h, a, lam: h * a / (h + 2 * lam),
            Say(
                "The penalty counts half here: the pulls are h(a − θ) and λθ, neither with a 2 or a ½.",
                "惩罚在这里只算了一半：两个拉力是 h(a − θ) 与 λθ，都没有 2 或 ½。",
            ): lambda h, a, lam: h * a / (h + lam / 2),
            Say(
                "The pull of the data is h(a − θ): h multiplies a too.",
                "数据的拉力是 h(a − θ)：a 也要乘以 h。",
            ): lambda h, a, lam: a / (h + lam),
            Say(
                "That is how hard both pull there. Asked is where: divide it by λ.",
                "这是两者在那里的拉力。要的是位置：再除以 λ。",
            ): lambda h, a, lam: lam * h * a / (h + lam),
            Say(
                "That is where λ|θ| would rest, whose pull is the same everywhere. The one of ½λθ² is λθ.",
                "这是惩罚 λ|θ| 时停的位置，它的拉力处处一样。½λθ² 的拉力是 λθ。",
            ): lambda h, a, lam: np.sign(a) * max(abs(a) - lam / h, 0),
            Say(
                "The sign of λ: the two pull in opposite directions, h(a − θ) = λθ.",
                "λ 的符号反了：两个拉力方向相反，h(a − θ) = λθ。",
            ): lambda h, a, lam: h * a / (h - lam),
            Say(
                "This is near for λ ≪ h only. Set the pulls equal, h(a − θ) = λθ: that needs no exponential.",
                "只在 λ ≪ h 时近似成立。令两个拉力相等，h(a − θ) = λθ：用不着指数。",
            ): lambda h, a, lam: a * np.exp(-lam / h),
            Say(
                "Halfway is right for λ = h only.", "只有 λ = h 时才停在正中间。"
            ): lambda h, a, lam: a / 2,
        },
        why=Say(
            "it lies between a and 0, weighed by h and λ. Twice λ leaves half only where λ ≫ h.",
            "结果是 a 与 0 以 h、λ 为权的加权平均。只有 λ ≫ h 时，λ 加倍才剩一半。",
        ),
        hints=(
            Say(
                "The data pull with h(a − θ), the penalty with λθ the other way.",
                "数据的拉力是 h(a − θ)，惩罚的拉力是 λθ，方向相反。",
            ),
            Say("Set them equal, and collect θ on one side.", "令两者相等，把 θ 移到同一边。"),
        ),
    )
    return


@app.function(hide_code=True)
def rest(h, a, lam):
    """Where ½h(θ − a)² + ½λθ² is lowest."""
    return ...


@app.function(hide_code=True)
def between(h, a, lam):
    """Where ½h(θ − a)² + ½λθ² is lowest."""
    return h * a / (h + lam)


@app.cell(hide_code=True)
def _():
    Write(
        "slope",
        Say(
            "Write the slope of the penalty along each weight: of ½λ‖w‖² if `half`, else of λ‖w‖².",
            "写出惩罚对每个权重的偏导数：`half` 为真时是 ½λ‖w‖² 的，否则是 λ‖w‖² 的。",
        ),
        slope,
        by_convention,
        cases=[
            (np.array([3.0, -0.5, 2.0, -1.0]), 0.4, True),
            (np.array([3.0, -0.5, 2.0, -1.0]), 0.4, False),
            (np.array([-2.0, 1.5]), 1.5, True),
            (np.array([-2.0, 1.5]), 1.5, False),
        ],
        limits={
            Say(
                "λ = 0: there is no penalty, every slope is 0.", "λ = 0 时没有惩罚，偏导数都是 0。"
            ): (
                np.array([3.0, -0.5]),
                0.0,
                False,
            ),
        },
        mistakes={
            Say(
                "2λw is right without the ½. With it, the ½ takes the 2 away.",
                "没有 ½ 时才是 2λw。有 ½ 时，2 被它消去。",
            ): lambda w, lam, half: 2 * lam * w,
            Say(
                "λw is right with the ½. Without it, the 2 of the derivative stays.",
                "有 ½ 时才是 λw。没有 ½ 时，求导得到的 2 还在。",
            ): lambda w, lam, half: lam * w,
            Say(
                "The two cases are exchanged: the ½ makes the pull weaker.",
                "两种情形弄反了：有 ½ 时拉力小。",
            ): lambda w, lam, half: (2 if half else 1) * lam * w,
            Say(
                "That is the penalty itself, weight by weight. Asked is its slope: λw² rises by 2λw.",
                "这是惩罚本身在各权重上的值。要的是偏导数：λw² 的导数是 2λw。",
            ): lambda w, lam, half: (0.5 if half else 1) * lam * w**2,
            Say(
                "That is λw², no slope: the derivative of w² is 2w.",
                "这是 λw²，不是偏导数：w² 的导数是 2w。",
            ): lambda w, lam, half: lam * w**2,
            Say(
                "λ|w| is never negative. Left of 0 the penalty falls as w grows: keep the sign of w.",
                "λ|w| 从不为负。在 0 的左边，w 增大时惩罚减小：要保留 w 的符号。",
            ): lambda w, lam, half: lam * np.abs(w),
            Say(
                "The size is right. Left of 0 the penalty falls as w grows: keep the sign of w.",
                "大小对了。在 0 的左边，w 增大时惩罚减小：要保留 w 的符号。",
            ): lambda w, lam, half: (1 if half else 2) * lam * np.abs(w),
            Say(
                "The ½ counts twice here: the derivative of ½w² is w.",
                "½ 用了两次：½w² 的导数就是 w。",
            ): lambda w, lam, half: (0.5 if half else 1) * lam * w,
            Say(
                "½λw forgets the 2 that the derivative of w² brings.",
                "½λw 忘了 w² 求导得到的 2。",
            ): lambda w, lam, half: 0.5 * lam * w,
            Say(
                "Without the ½ this is right. With it, ½·2 is 1.",
                "没有 ½ 时是对的。有 ½ 时，½·2 等于 1。",
            ): lambda w, lam, half: (0.5 if half else 2) * lam * w,
            Say(
                "That is the slope of λ|w|: the same for large weights and small. That of w² grows with w.",
                "这是 λ|w| 的导数，权重大小都一样；而 w² 的导数随 w 增大。",
            ): lambda w, lam, half: lam * np.sign(w),
            Say(
                "That is the pull, which points downhill. The slope has the other sign.",
                "这是拉力，指向下坡方向。偏导数的符号与它相反。",
            ): lambda w, lam, half: -(1 if half else 2) * lam * w,
            Say(
                "Without the ½ there is a penalty too, twice as steep.",
                "没有 ½ 时也有惩罚，而且陡一倍。",
            ): lambda w, lam, half: half * lam * w,
            Say(
                "Without the ½ there is a penalty too; and with it, ½·2 is 1.",
                "没有 ½ 时也有惩罚；有 ½ 时，½·2 等于 1。",
            ): lambda w, lam, half: half * 2 * lam * w,
            Say(
                "λ is missing: a larger price is a steeper slope.", "少了 λ：λ 越大，坡越陡。"
            ): lambda w, lam, half: (1 if half else 2) * w,
        },
        why=Say(
            "so λ‖w‖² at λ is ½λ‖w‖² at 2λ: a λ says nothing without its convention.",
            "所以 λ‖w‖² 取 λ，就是 ½λ‖w‖² 取 2λ：不说明约定，λ 的数值就没有意义。",
        ),
        hints=(
            Say(
                "‖w‖² is the sum of all w². Along one weight only its own w² changes.",
                "‖w‖² 是所有 w² 之和。对一个权重求偏导数，只有它自己的 w² 在变。",
            ),
            Say("The derivative of w² is 2w.", "w² 的导数是 2w。"),
        ),
    )
    return


@app.function(hide_code=True)
def slope(w, lam, half):
    """The slope of ½λ‖w‖², or of λ‖w‖², along each weight."""
    return ...


@app.function(hide_code=True)
def by_convention(w, lam, half):
    """The slope of ½λ‖w‖², or of λ‖w‖², along each weight."""
    return lam * w if half else 2 * lam * w


@app.function(hide_code=True)
def percent_a_step(theta=10.0, lr=0.01, lam=0.1):
    """By how many per cent one step shrinks θ; the penalty is λθ²."""
    slope = 2 * lam * theta
    after = theta - lr * slope
    share = theta - after
    return 100 * share


@app.function(hide_code=True)
def one_step():
    """What the program says, and the ledger of the step; the data are silent."""
    model = mr.nn.Linear(1, 1, bias=False, dtype=np.float64)
    model.weight.assign([[10.0]])
    optimizer = mr.optim.SGD(model.parameters(), lr=0.01)
    ledger = mr.Ledger(optimizer)
    penalty = mr.penalties.scaled(mr.penalties.L2(0.1), 2)
    mr.trajectory(
        model, mr.Objective(mr.nn.MSELoss(), {"l2": penalty}), optimizer, [[0.0]], [[0.0]], 1
    )
    return f"percent_a_step() = {percent_a_step():.1f}\n\n{ledger.last.table('layer')}"


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "An example in one of the texts as a program: θ = 10, η = 0.01, λ = 0.1, the data silent. It "
            "says that a step takes 2 % of the weight. The ledger of this step says something else. Which "
            "line is wrong?",
            "把文中的一个算例写成程序：θ = 10，η = 0.01，λ = 0.1，数据的梯度为 0。"
            "它说一步使权重缩小 2%。这一步的账本却不这么说。哪一行错了？",
        ),
        percent_a_step,
        one_step,
        "share =",
        why=Say(
            "Yes: 0.02 is the distance that θ = 10 moves, no share of it. `share = 1 - after / theta` gives "
            "2ηλ = 0.2 %, for every θ.",
            "对：0.02 是 θ = 10 移动的距离，不是比例。改成 `share = 1 - after / theta`，"
            "得到 2ηλ = 0.2%，与 θ 无关。",
        ),
        others={
            "slope =": Say(
                "The slope of λθ² is 2λθ = 2, as it stands here. Without the 2 a step would take "
                "0.1 %, and the program would say 1 %.",
                "λθ² 的导数是 2λθ = 2，没有错。如果少了 2，一步缩小 0.1%，程序则会说 1%。",
            ),
            "after =": Say(
                "The step is η times the slope, 0.02: the ledger agrees, see ‖Δ‖.",
                "一步移动 η 乘以导数，即 0.02：账本的 ‖Δ‖ 也是这样。",
            ),
            "def ": Say(
                "These are the numbers of the example. Look at what is done with them.",
                "这些就是算例里的数。看看后面怎样用它们。",
            ),
            "": Say(
                "Per cent are hundredths: right. But hundredths of what?",
                "百分比就是百分之几：没错。可是，是什么的百分之几？",
            ),
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "Lesson 0 asked what all slopes cost. The ten weights become ten million, and a penalty joins "
            "the loss: how often must a program walk back through its computation?",
            "第 0 课问过求全部偏导数的计算量。现在十个权重变成一千万个，损失又加上惩罚："
            "程序要沿计算过程反向走几趟？",
        ),
        lesson=0,
        answers=(
            Answer(
                Say("Once for each weight", "每个权重一趟"),
                Say(
                    "No: one walk leaves a slope in every box that it passes, and all weights are among "
                    "them. More weights make the walk longer, not more walks.",
                    "不对：走一趟，就在经过的每个方框里留下梯度，所有权重都在其中。"
                    "权重更多，一趟的计算量更大，但还是一趟。",
                ),
            ),
            Answer(
                Say("Twice: for the data, and for the penalty", "两趟：数据一趟，惩罚一趟"),
                Say(
                    "No: both end in one number, J. A walk that begins there goes down both branches, and "
                    "in each weight what arrives adds up. (Two walks would keep them apart, as the picture "
                    "does.)",
                    "不对：两者都汇成一个数 J。从 J 出发的一趟会走遍两条支路，到达同一个权重的梯度相加。"
                    "（分开走两趟，可以像图中那样把两者分开。）",
                ),
            ),
            Answer(
                Say("Once", "一趟"),
                Say(
                    "Yes. Data and penalty end in one number, and one walk back from it passes every "
                    "box. Where two slopes arrive, they add.",
                    "对。数据与惩罚汇成一个数，从它反向走一趟就经过每个方框。两份梯度到达同一处时相加。",
                ),
                right=True,
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Keep(
        (
            Say(
                "Neither wins: training rests where their pulls cancel, at every weight.",
                "谁也赢不了：训练停在两个拉力互相抵消的地方，每个权重都如此。",
            ),
            Say(
                "Alone, a weight that the data hold with stiffness h goes from a to ha/(h + λ); in company "
                "a moves as the others do.",
                "只有一个权重时，数据的劲度为 h，它从 a 退到 ha/(h + λ)；与其他权重一起时，a 还随它们移动。",
            ),
            Say(
                "λ‖θ‖² pulls twice as hard as ½λ‖θ‖²: before you borrow a λ, look for the ½.",
                "λ‖θ‖² 的拉力是 ½λ‖θ‖² 的两倍：借用别人的 λ 之前，先问有没有那个 ½。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("What are the ten measurements?", "这十项测量是什么？"),
        Say(
            "Age, sex, body mass index (bmi) and mean blood pressure (bp), and six of the blood: s1 total "
            "cholesterol, s2 and s3 the cholesterol in lipoproteins of low and of high density, s4 the "
            "ratio s1/s3, s5 a logarithm of the triglycerides, s6 blood sugar. All are scaled to mean 0 "
            "and standard deviation 1, and so is what is predicted, the progression of the disease within "
            "a year. In all lessons they have these names and this order.",
            "年龄（age）、性别（sex）、体重指数（bmi）、平均血压（bp），以及六项血液指标：s1 总胆固醇，"
            "s2 低密度脂蛋白胆固醇，s3 高密度脂蛋白胆固醇，s4 为 s1 与 s3 之比，s5 甘油三酯（取对数），"
            "s6 血糖。各项都化为均值 0、标准差 1；要预测的一年后病情进展也是如此。"
            "整门课程都用这些名称和这个顺序。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("Why does s1 leave its place so soon?", "s1 为什么这么早就离开原处？"),
        Say(
            "s1 and s2 say nearly the same (their correlation is 0.90). Least squares gives one "
            "−0.49 and the other 0.29, two large weights that nearly cancel. To take something away from "
            "both costs the data next to nothing: along this direction they are not stiff. So λ = 0.2 is "
            "enough to take almost 90 % of s1, while bmi loses 6 %. Which directions are stiff is the "
            "subject of lesson 3.",
            "s1 与 s2 说的几乎是同一件事（相关系数 0.90）。最小二乘给一个 −0.49，给另一个 0.29："
            "两个较大的权重几乎互相抵消。把两者同时减小，损失几乎不变：沿这个方向，数据的劲度很小。"
            "所以 λ = 0.2 就使 s1 减小近 90%，而 bmi 只减小 6%。哪些方向劲度大、哪些劲度小，见第 3 课。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def patients():
    """442 patients × 10 measurements and the progression of the disease, all standardized."""
    x, y = mr.datasets.arrays("diabetes")
    return (x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None]


@app.function(hide_code=True)
@cache
def at_rest(lam):
    """What :func:`pulls` says of ½λ‖θ‖²."""
    return pulls(mr.penalties.L2(lam))


@app.function(hide_code=True)
def picture(lam, choice, broken=False):
    """A bead for each weight, pulled by the data and, towards 0, by the penalty."""
    (best, *_), (meant, *_), held = at_rest(0), at_rest(lam), choice == "held"
    penalty = mr.penalties.scaled(mr.penalties.L2(lam), 2 if broken else 1)
    weights, data, back = pulls(penalty, best) if held else at_rest((1 + broken) * lam)
    names, rows = mr.datasets.load("diabetes").feature_names, np.arange(10)
    wrong = broken and lam > 0  # without a penalty there is no ½ to forget
    role = "broken" if wrong else "penalty"
    chinese = ("年龄 age", "性别 sex", "体重指数 bmi", "血压 bp", *names[4:])
    panel = Panel(
        Say("ten weights, and what pulls at them", "十个权重，以及拉它们的力"),
        x=(-0.56, 0.56), y=(9.7, -0.7), yticks=dict(enumerate(map(Say, names, chinese))), height=270,
        xlabel=Say("weight θ (length of an arrow: 0.3 × pull)", "权重 θ（箭头长度：0.3 × 拉力）"),
    )  # fmt: skip
    panel.vline(0).dots(best, rows, "reference", size=4, hollow=True)
    data = data.round(6)  # what rounding leaves where the data do not pull has no direction
    for pull, of in ((data, "data"), (back, role)):
        panel.arrow(weights + 0.016 * np.sign(pull), rows, 0.3 * pull, 0, of)
    if broken and not held:
        panel.dots(meant, rows, "result", hollow=True)
    own = "broken" if wrong else "ink" if held else "result"
    panel.dots(weights, rows, own, hollow=broken)
    at = 2.5 if lam else np.nan  # unseen where nothing pulls
    panel.text(-0.25, at, Say("penalty", "惩罚"), role)
    panel.text(0.46, at, Say("data: 0", "数据：0") if held else Say("data", "数据"), "data")
    if not held:
        panel.text(-0.37, at + 1, Say("least squares", "最小二乘解"), "reference")
    size = abs(back[2])
    return Frame(panel, said=said(lam, held, broken, size), pull=size)


@app.function(hide_code=True)
def said(lam, held, broken, size):
    """The sentence of a state of the picture; ``size`` is the pull of the penalty at bmi."""
    if not lam:
        return Say("There is no penalty: nothing pulls at least squares.",
                   "没有惩罚；在最小二乘解处，数据也没有拉力。")  # fmt: skip
    if held:
        twice = Say("2λθ, without the ½", "2λθ（没有 ½）") if broken else Say("λθ", "λθ")
        return Say(
            f"Here the data do not pull, the penalty does, by {twice.en}: at bmi by {size:.2f}.",
            f"在这里数据没有拉力，惩罚的拉力是 {twice.zh}：bmi 一行是 {size:.2f}。",
        )
    if broken:
        return Say(
            f"The penalty pulls by 2λθ: all rest where λ = {2 * lam:g} would put them, away from "
            "the green circles.",
            f"惩罚的拉力成了 2λθ：权重停在 λ = {2 * lam:g} 对应的位置，而不在绿圈处。",
        )
    return Say(
        f"At every weight the two pulls cancel: at bmi each is {size:.2f}.",
        f"每个权重上两个拉力都互相抵消：bmi 一行各为 {size:.2f}。",
    )


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    x, y = patients()
    hessian, b = 2 * x.T @ x / len(x), 2 * x.T @ y[:, 0] / len(x)
    ridge = {s: np.linalg.solve(hessian + s * np.eye(10), b) for s in (0.0, 0.2, 1.6, 3.2)}
    name = mr.datasets.load("diabetes").feature_names.index
    kept = lambda a, b, row: 100 * ridge[b][name(row)] / ridge[a][name(row)]
    whole, halved = at_rest(1.6), pulls(mr.penalties.scaled(mr.penalties.L2(1.6), 2))
    lasso = pulls(mr.penalties.L1(0.2))
    sums = abs(lasso[1] + lasso[2])
    pair = np.corrcoef(x[:, name("s1")], x[:, name("s2")])[0, 1]
    within = lambda what, value, goal, off=0.5: holds(
        what, value, at_least=goal - off, at_most=goal + off
    )
    return [
        holds("λ = 1.6: |data + penalty|, the largest", abs(whole[1] + whole[2]).max(), at_most=1e-9),
        holds("L1(0.2) in its place, weights that are not 0", sums[lasso[0] != 0].max(), at_most=1e-9),
        breaks("weights that are 0: the smallest", sums[lasso[0] == 0].min(), at_least=0.01),
        holds("|θ − normal equations|", abs(whole[0] - ridge[1.6]).max(), at_most=1e-8),
        holds("held at least squares: |pull of the data|",
              abs(pulls(mr.penalties.L2(1.6), ridge[0.0])[1]).max(), at_most=1e-9),
        breaks("½ forgotten, λ = 1.6: ‖Δθ‖/‖θ‖",
               np.linalg.norm(halved[0] - whole[0]) / np.linalg.norm(whole[0]), at_least=0.1),
        corrects("its |θ − θ at ½·3.2‖θ‖²|", abs(halved[0] - ridge[3.2]).max(), at_most=1e-8),
        *(within(f"λ from 1.6 to 3.2: % left of {row}", kept(1.6, 3.2, row), goal)
          for row, goal in {"bmi": 75, "s4": 91, "sex": 54, "s2": 26}.items()),
        holds("of age", kept(1.6, 3.2, "age"), at_least=101),
        within("stiffness of each alone, the least", hessian.diagonal().min(), 2, 1e-9),
        within("and the most", hessian.diagonal().max(), 2, 1e-9),
        within("% left of each alone", 100 * (2 + 1.6) / (2 + 3.2), 69),
        holds("of the ten more than half is left of", sum(np.abs(ridge[3.2]) > np.abs(ridge[1.6]) / 2),
              at_least=6),
        within("s1 at least squares", ridge[0.0][name("s1")], -0.49, 0.005),
        within("s2 at least squares", ridge[0.0][name("s2")], 0.29, 0.005),
        within("their correlation", pair, 0.9, 0.005),
        holds("λ = 0.2: % left of s1", kept(0.0, 0.2, "s1"), at_least=10, at_most=12),
        within("of bmi", kept(0.0, 0.2, "bmi"), 94),
        within("the example: % that the program says", percent_a_step(), 2, 1e-9),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
