"""Why does a penalty make descent faster, and to where?

For everybody who adds a penalty so that training goes faster. Afterwards you can say which directions
it makes faster, by how much, and what they pay for it.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 4: why does a penalty make descent faster?")

with app.setup(hide_code=True):
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

    STRENGTHS, LAST = (0, 0.02, 0.1, 0.2, 0.5, 2, 20), 3300


@app.cell(hide_code=True)
def _():
    Title(
        Say(
            "Why does a penalty make descent faster, and to where?",
            "惩罚为什么\u200b使梯度下降\u200b更快，又把终点移到哪里？",
        ),
        lead=Say(
            "Ten weights θ predict the course of diabetes. Gradient descent, at its best rate η, runs "
            "down J = L + ½λ‖θ‖² to the lowest point, its goal. For L alone, the mean square error, that "
            "would be least squares.",
            "用十个权重 θ 预测糖尿病的病情。梯度下降以最佳学习率 η 最小化 J = L + ½λ‖θ‖²，"
            "终点是 J 的最小点。若只有均方误差 L，终点就是最小二乘解。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "λ = 0.02 is a tiny penalty, yet it more than halves the steps of descent. "
            "How far does the goal move?",
            "λ = 0.02 是很小的惩罚，却使梯度下降的步数减少一半以上。终点移动了多远？",
        ),
        (
            Answer(
                Say("Not at all, it is reached sooner", "没有动，只是更快到达"),
                Say(
                    "Fewer steps, because J is another bowl than L; and another bowl has another lowest "
                    "point. This one is 42 % of the length of least squares away.",
                    "步数变少，是因为 J 与 L 是两只不同的碗；碗不同，碗底也就不同。"
                    "这里两者相距最小二乘解长度的 42%。",
                ),
            ),
            Answer(
                Say("By about 1 %", "约 1%"),
                Say(
                    "λ is nothing beside the largest curvature, 8.05. But it is more than the smallest, "
                    "0.017, and along that axis lies most of the solution.",
                    "与最大的曲率 8.05 相比，λ 微不足道；可它比最小的曲率 0.017 还大，"
                    "而解的大部分恰好沿着那条轴。",
                ),
            ),
            Answer(
                Say("By about 40 %", "约 40%"),
                Say(
                    "So it is. Along the flattest axis J is 2.2 times as curved as L: descent is faster "
                    "there, and only 1/2.2 of that part is left. It was the largest of the ten.",
                    "正是这样。沿最平坦的轴，J 的曲率是 L 的 2.2 倍：下降在那里变快了，"
                    "而那个分量也只剩 1/2.2。它本是十个分量里最大的。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: which bar moves far to the right, and what happens to its height?",
            "你看到了什么：哪一根竖条向右移得最远？它的高度怎样变化？",
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
        choices={
            "plain": Say("plain descent", "普通梯度下降"),
            "momentum": Say("with momentum", "加动量"),
        },
        broken=Say("the rate of λ = 0", "沿用 λ = 0 的学习率"),
        caption=Say("λ = {lam:g}, κ = {kappa:.3g}. {said}", "λ = {lam:g}，κ = {kappa:.3g}。{said}"),
        alt=Say(
            "Ten bars on an axis of curvature, their heights the parts of the solution. As λ grows, the "
            "bars at small curvatures slide right and become shorter, and the whole comb becomes "
            "narrower. Beside it the distance to the goal falls ever faster, while the distance to least "
            "squares stays where it is after a few steps.",
            "曲率轴上有十根竖条，高度是解的各个分量。λ 增大时，小曲率处的竖条向右滑动并且变短，"
            "整把梳子变窄。旁边，到终点的距离下降得越来越快，到最小二乘解的距离却在几步之后就不再减小。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**The flattest axis is the slowest.** A step multiplies the error along an axis by "
                "$1-\\eta(\\mu+\\lambda)$. The most curved one bounds $\\eta$, so the flattest takes a "
                "number of steps that grows as\n\n"
                r"$$\kappa = \frac{\color{data}{\mu_1}+\color{penalty}{\lambda}}"
                r"{\color{data}{\mu_{10}}+\color{penalty}{\lambda}}$$",
                "**最平坦的轴最慢**。每一步把某条轴上的误差乘以 $1-\\eta(\\mu+\\lambda)$。"
                "曲率最大的轴限制了 $\\eta$，于是最平坦的轴所需的步数随下式增长：\n\n"
                r"$$\kappa = \frac{\color{data}{\mu_1}+\color{penalty}{\lambda}}"
                r"{\color{data}{\mu_{10}}+\color{penalty}{\lambda}}$$",
            ),
            Say(
                "**λ is added to all ten alike.** Beside 8.05 [λ = 0.02](#lam=0.02) is nothing; 0.017 it "
                "more than doubles. So κ falls to less than half, and the steps with it.",
                "**十个曲率都加上同一个 λ**。[λ = 0.02](#lam=0.02) 与 8.05 相比微不足道，"
                "却使 0.017 变成两倍多。κ 因此降到不足一半，步数也是。",
            ),
            Say(
                "**The goal is divided by the same number.** Where J is $k$ times as curved as L, $1/k$ "
                "of the part is left. [Momentum](#choice=momentum) needs fewer steps, too, and moves "
                "nothing, though at small λ it overshoots first.\n\n"
                r"$$\color{result}{c} = \frac{\color{data}{\mu}}"
                r"{\color{data}{\mu}+\color{penalty}{\lambda}}\,\color{data}{c_0}"
                r" = \frac1k\,\color{data}{c_0}$$",
                "**终点的分量也除以同一个数**。J 的曲率是 L 的 $k$ 倍之处，分量就只剩 $1/k$。"
                "[动量](#choice=momentum)同样减少步数，却不移动终点；λ 小时，它起初会冲过头。\n\n"
                r"$$\color{result}{c} = \frac{\color{data}{\mu}}"
                r"{\color{data}{\mu}+\color{penalty}{\lambda}}\,\color{data}{c_0}"
                r" = \frac1k\,\color{data}{c_0}$$",
            ),
        )
    )
    return


@app.function
def race(strength):
    """κ of J, the steps to its minimum, and how far that is from least squares."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(np.zeros((1, 10)))
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(strength)})
    value = lambda: objective(model, *patients()).total
    low, top = mr.curvature.eigenvalues(value, model, k=2, which="BE")
    optimizer = mr.optim.SGD(model.parameters(), lr=2 / (low + top))
    steps = int(7 * top / low)  # enough: what is left falls as exp(−2t/κ)
    run = mr.trajectory(model, objective, optimizer, *patients(), steps)
    goal, free = rest(strength), rest(0)
    left = np.linalg.norm(run - goal, axis=1) / np.linalg.norm(goal)
    moved = np.linalg.norm(goal - free) / np.linalg.norm(free)
    return top / low, (left > 1e-6).sum(), moved


@app.cell(hide_code=True)
def _():
    Code(
        race,
        "for strength in (0.1, 0.2, 2):\n"
        "    kappa, steps, moved = race(strength)\n"
        "    print(f'λ = {strength}: κ {kappa:.1f}, {steps} steps, {moved:.0%} away')",
        Say(
            "`eigenvalues` asks only for products of the Hessian with vectors, so it measures any "
            "network, too. (The claims below take ½L: their λ = 1 is 2 here.)",
            "`eigenvalues` 只需要 Hessian 与向量的乘积，因此任何网络都能这样测量。"
            "（下面的论断用的是 ½L：那里的 λ = 1 相当于这里的 2。）",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C73", "C74"), also=("C70", "C71", "C72"))
    return


@app.function(hide_code=True)
def condition(top, low, lam):
    """κ of J; L has the curvatures low … top, all positive."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "condition",
        Say(
            "The curvatures of L lie between `low` > 0 and `top`. What is the condition number κ of "
            "J = L + ½λ‖θ‖², its largest curvature over its smallest?",
            "L 的曲率在 `low` > 0 与 `top` 之间。求 J = L + ½λ‖θ‖² 的条件数 κ，即最大曲率与最小曲率之比。",
        ),
        condition,
        largest_over_smallest,
        cases=[(8.0, 0.5, 0.25), (100.0, 1.0, 3.0), (6.0, 2.0, 1.5)],
        limits={
            Say("λ = 0: J is L, with its κ = top/low.", "λ = 0 时 J 就是 L，κ = top/low。"): (
                9.0,
                0.5,
                np.float64(0),
            ),
            Say(
                "All curvatures alike: a round bowl, κ = 1, whatever λ is.",
                "所有曲率都相同时，碗是圆的，无论 λ 多大，κ = 1。",
            ): (2.0, 2.0, 0.5),
        },
        mistakes={
            Say(
                "λ is added to every curvature, to the largest, too.",
                "每个曲率都加上 λ，最大的也不例外。",
            ): lambda top, low, lam: top / (low + lam),
            Say(
                "The slope of ½λθ² is λθ, so its curvature is λ, not 2λ.",
                "½λθ² 的导数是 λθ，所以曲率是 λ，不是 2λ。",
            ): lambda top, low, lam: (top + 2 * lam) / (low + 2 * lam),
            Say(
                "That is κ of L. The penalty bends J as well, equally in all directions.",
                "这是 L 的 κ。惩罚也使 J 弯曲，而且各个方向相同。",
            ): lambda top, low, lam: top / low,
            Say(
                "Upside down: the largest curvature stands above the line, and κ is never below 1.",
                "颠倒了：分子是最大的曲率，κ 不会小于 1。",
            ): lambda top, low, lam: (low + lam) / (top + lam),
            Say(
                "With λ on the largest only κ would rise. It is the smallest that gains most by it.",
                "只加在最大的曲率上，κ 反而变大。最小的曲率也加上 λ，而且相对增加得最多。",
            ): lambda top, low, lam: (top + lam) / low,
            Say(
                "With this sign a penalty would flatten the bowl; at λ = low it would have no bottom.",
                "按这个符号，惩罚会把碗压平；λ = low 时碗就没有底了。",
            ): lambda top, low, lam: (top - lam) / (low - lam),
            Say(
                "Python divides first: both sums need brackets.",
                "Python 先算除法：两个和都要加括号。",
            ): lambda top, low, lam: top + lam / low + lam,
            Say(
                "The root belongs to the axes of a contour, and to the steps of momentum. κ has none.",
                "根号属于等高线的轴比，也属于动量的步数；κ 本身没有根号。",
            ): lambda top, low, lam: ((top + lam) / (low + lam)) ** 0.5,
            Say(
                "That compares what is left of the two parts, μ/(μ + λ). κ compares curvatures, μ + λ.",
                "这是比较两个分量保留的比例 μ/(μ + λ)；κ 比较的是曲率 μ + λ。",
            ): lambda top, low, lam: top / (top + lam) / (low / (low + lam)),
            Say(
                "Curvatures add up, as L and the penalty do: λ joins each of them, not their ratio.",
                "L 与惩罚相加，曲率也相加：λ 加在每个曲率上，而不是加在比值上。",
            ): lambda top, low, lam: top / low + lam,
            Say(
                "κ does fall, but not by 1 + λ: λ is added to the curvatures, and has their unit.",
                "κ 的确下降，但不是除以 1 + λ：λ 与曲率单位相同，是加在曲率上的。",
            ): lambda top, low, lam: top / low / (1 + lam),
            Say(
                "The curvature of ½λθ² is λ: differentiated twice, the square loses its ½.",
                "½λθ² 的曲率是 λ：平方求导两次，½ 就消去了。",
            ): lambda top, low, lam: (top + lam / 2) / (low + lam / 2),
            Say(
                "Curvatures are not squared: they are second derivatives already.",
                "曲率不要再平方：它本来就是二阶导数。",
            ): lambda top, low, lam: ((top + lam) / (low + lam)) ** 2,
        },
        hints=(
            Say(
                "Along each axis the curvature of ½μθ² + ½λθ² is its second derivative.",
                "沿每条轴，½μθ² + ½λθ² 的曲率就是它的二阶导数。",
            ),
            Say("So `top` and `low` both gain λ.", "因此 `top` 与 `low` 都加上 λ。"),
        ),
        why=Say(
            "both ends rise by λ; that hardly matters to the large one, and much to the small one. So κ "
            "falls, and tends to 1.",
            "两端都增加 λ：对大的影响很小，对小的影响很大，所以 κ 下降，并趋于 1。",
        ),
    )
    return


@app.function(hide_code=True)
def largest_over_smallest(top, low, lam):
    """κ of J; L has the curvatures low … top, all positive."""
    return (top + lam) / (low + lam)


@app.function(hide_code=True)
def enough(curvatures):
    """The smallest λ ≥ 0 with which J bends downwards nowhere."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "enough",
        Say(
            "Another loss is rugged: somewhere it bends downwards. `curvatures` holds its curvature at many "
            "places, such as −17.9 … 18.1. Which is the smallest λ ≥ 0 with which J = L + ½λθ² bends "
            "downwards at none of them?",
            "另一个损失起伏不平，有些地方向下弯。数组 `curvatures` 是它在许多地方的曲率，例如从 −17.9 "
            "到 18.1。要使 J = L + ½λθ² 在这些地方都不向下弯，最小的 λ ≥ 0 是多少？",
        ),
        enough,
        lift,
        cases=[
            (np.array([3.0, -17.9, 0.1, 18.1]),),
            (np.array([-0.5, 7.0, -2.0, 1.0, -0.25]),),
            (np.array([-3.0, -1.0]),),
        ],
        limits={
            Say(
                "Nothing bends downwards here: λ = 0 will do.",
                "这里没有向下弯的地方，λ = 0 就够了。",
            ): (np.array([4.0, 0.2, 5.0]),),
        },
        mistakes={
            Say(
                "The most curved valley is no obstacle. λ must lift the most negative curvature to 0.",
                "弯得最厉害的谷并不碍事。λ 要把最负的曲率抬到 0。",
            ): lambda curvatures: curvatures.max(),
            Say(
                "The lowest curvature itself: where it is −17.9, such a λ would reward large weights, and "
                "bend J down even more. It takes the opposite number, and never less than 0.",
                "这是最低的曲率本身：它是 −17.9 时，这样的 λ 成了对大权重的奖励，会使 J 更加向下弯。"
                "应取它的相反数，并且不小于 0。",
            ): lambda curvatures: curvatures.min(),
            Say(
                "That is the index at which the lowest curvature stands, not the curvature.",
                "这是最低曲率所在的下标，不是曲率本身。",
            ): lambda curvatures: np.argmin(curvatures),
            Say(
                "That is the share of places that bend downwards. How deep the worst one bends decides.",
                "这是向下弯的地方所占的比例。起决定作用的是最差的一处弯得有多厉害。",
            ): lambda curvatures: (curvatures < 0).mean(),
            Say(
                "That lifts the lowest curvature as high as the highest was. 0 is high enough.",
                "这是把最低的曲率抬到了原来最高的位置。抬到 0 就够了。",
            ): lambda curvatures: np.ptp(curvatures),
            Say(
                "Right where something bends downwards. Where nothing does, λ cannot be negative.",
                "有地方向下弯时是对的；没有时，λ 不能取负数。",
            ): lambda curvatures: -curvatures.min(),
            Say(
                "Right where something bends downwards. Where nothing does, no λ is needed.",
                "有地方向下弯时是对的；没有时，不需要 λ。",
            ): lambda curvatures: abs(curvatures.min()),
            Say(
                "The size alone does not matter: a place that bends upwards needs no λ.",
                "只看绝对值不行：向上弯的地方不需要 λ。",
            ): lambda curvatures: abs(curvatures).max(),
            Say(
                "The places need not share λ: each one gets all of it.",
                "各处不必分摊 λ：每一处都得到整个 λ。",
            ): lambda curvatures: -np.minimum(curvatures, 0).sum(),
            Say(
                "The average may be positive while J still bends downwards somewhere: the worst place "
                "decides.",
                "平均为正时，J 仍可能在某处向下弯：起决定作用的是最差的一处。",
            ): lambda curvatures: max(0.0, -curvatures.mean()),
            Say(
                "½λθ² has the curvature λ: half the number lifts only half as high.",
                "½λθ² 的曲率就是 λ：只取一半，也只抬高一半。",
            ): lambda curvatures: max(0.0, -curvatures.min()) / 2,
            Say(
                "½λθ² has the curvature λ, so twice the number is more than needed.",
                "½λθ² 的曲率就是 λ，取两倍就多了。",
            ): lambda curvatures: 2 * max(0.0, -curvatures.min()),
            Say(
                "This lifts the place that bends downwards least. The others still do.",
                "这只够抬起向下弯得最轻的一处，其余各处仍然向下弯。",
            ): lambda curvatures: -max(curvatures[curvatures < 0], default=0.0),
            Say(
                "That counts the places. How deep the worst one bends is what decides.",
                "这是在数有几处向下弯。起决定作用的是最差的一处弯得有多厉害。",
            ): lambda curvatures: (curvatures < 0).sum(),
            Say(
                "That is the sign alone: a λ of 1 lifts by 1, however deep it bends.",
                "这只考虑了正负号：λ = 1 只抬高 1，不管弯得多厉害。",
            ): lambda curvatures: float((curvatures < 0).any()),
        },
        hints=(
            Say(
                "λ is added to each of them: the smallest becomes `curvatures.min() + λ`.",
                "每个曲率都加上 λ：最小的变为 `curvatures.min() + λ`。",
            ),
            Say("And λ is never below 0: `max(0, …)`.", "而且 λ 不能小于 0：`max(0, …)`。"),
        ),
        why=Say(
            "at λ = 17.9 the rippled loss, which the first card above measures, has one minimum left. But "
            "its largest curvature is now 36: twice what it was, not smoother.",
            "上面第一张卡片所测的起伏的损失，在 λ = 17.9 时只剩一个最小点；"
            "可最大的曲率也升到了 36，是原来的两倍，并没有更平滑。",
        ),
    )
    return


@app.function(hide_code=True)
def lift(curvatures):
    """The smallest λ ≥ 0 with which J bends downwards nowhere."""
    return max(0.0, -curvatures.min())


@app.cell(hide_code=True)
def _():
    Goal(
        "both",
        Say(
            "You want a goal less than 20 % away from least squares, and fewer than 400 steps to it. Set "
            "the picture so that it has both.",
            "终点与最小二乘解相距不到 20%，并且不到 400 步就走到。把图调到两者兼得的状态。",
        ),
        lambda steps, percent, **_: steps < 400 and percent < 20,
        hints=(
            Say(
                "Try every λ of plain descent: is there one that has both?",
                "先试遍普通梯度下降的每个 λ：有没有两者兼得的？",
            ),
            Say(
                "λ is not the only thing in the picture that changes the steps.",
                "图中能改变步数的，不只是 λ。",
            ),
        ),
        why=Say(
            "Yes: {steps} steps to least squares itself. Who wants speed takes momentum; λ is there to "
            "choose the goal.",
            "对：{steps} 步就走到最小二乘解本身。要快就用动量；λ 是用来选择终点的。",
        ),
        others={
            Say(
                "The rate belongs to λ = 0. Take the best one for each λ first.",
                "这是 λ = 0 时的学习率。先换回每个 λ 各自的最佳学习率。",
            ): lambda lam, broken, **_: broken and lam > 0,
            Say(
                "The goal is where it should be, but {steps} steps are too many. What makes them fewer "
                "without moving it?",
                "终点没有动，但 {steps} 步太多。怎样才能减少步数而不移动终点？",
            ): lambda steps, percent, **_: percent < 20 and steps >= 400,
            Say(
                "{steps} steps, and {percent:.0f} % away: neither. A larger λ mends the one and spoils the "
                "other.",
                "{steps} 步，相距 {percent:.0f}%：两样都不行。加大 λ，一样变好，另一样变差。",
            ): lambda steps, percent, **_: percent >= 20 and steps >= 400,
            Say(
                "{steps} steps will do, but the goal is {percent:.0f} % away. A smaller λ?",
                "{steps} 步，够快了；但终点相距 {percent:.0f}%。λ 再小一点呢？",
            ): lambda steps, percent, **_: percent >= 20 and steps < 400,
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "Lesson 3 asked whether a weight can cross 0 as λ grows. Now suppose that the ten measurements "
            "were uncorrelated. Which weights can cross 0?",
            "第 3 课问过：λ 增大时，权重会不会越过 0。现在设想十项测量彼此不相关，哪些权重会越过 0？",
        ),
        3,
        (
            Answer(
                Say("Any of them, as in lesson 3", "都有可能，和第 3 课一样"),
                Say(
                    "There a weight was a mixture of two parts, of which one shrank faster. Without "
                    "correlation each weight is one part: nothing to mix.",
                    "那里的权重由两个分量混合而成，其中一个缩得更快。不相关时，每个权重就是一个分量，"
                    "没有什么可混合的。",
                ),
            ),
            Answer(
                Say("None of them", "都不会"),
                Say(
                    "Yes: the axes of the weights are the eigen-axes now, and along these μ/(μ + λ) is left, "
                    "which is never negative.",
                    "对：这时权重轴就是特征轴；沿特征轴保留的比例是 μ/(μ + λ)，它不会为负。",
                ),
                right=True,
            ),
            Answer(
                Say("Only those of small curvature", "只有曲率小的那些"),
                Say(
                    "There are none: of standardized, uncorrelated measurements all ten curvatures are 2. "
                    "And where one is small, μ/(μ + λ) comes near 0 and does not cross it.",
                    "这里没有曲率小的：测量标准化且互不相关时，十个曲率都是 2。"
                    "即使曲率小，μ/(μ + λ) 也只是接近 0，不会越过它。",
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
                "The penalty adds λ to every curvature. If all were positive, κ falls, and with it the "
                "steps: as κ at the best rate, as √κ with the best momentum.",
                "惩罚给每个曲率都加上 λ。若原来的曲率全为正，κ 就下降，步数也随之减少："
                "用最佳学习率时正比于 κ，加最佳动量时正比于 √κ。",
            ),
            Say(
                "On a quadratic L, an axis that becomes k times as curved keeps 1/k of its part: what "
                "descent gains there in speed, the goal loses in length.",
                "若 L 是二次函数，曲率变为 k 倍的轴，下降的速度约为 k 倍，终点的分量却只剩 1/k。",
            ),
            Say(
                "The largest curvature rises, too: a larger λ needs a smaller rate. For speed alone there "
                "is momentum.",
                "最大的曲率也在增加：λ 变大，学习率就要变小。如果只求快，可以用动量。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("42 % away: does it matter?", "相距 42%，要紧吗？"),
        Say(
            "The loss hardly notices: at λ = 0.02 L is 0.2 % above its minimum, and the predictions "
            "change by 5 % of their length. The goal moves along the axis that L does not care about. "
            "Whether it matters depends on what the weights are for: to predict these patients it does "
            "not, to read a meaning into a weight it does. And for new patients a moved goal may be the "
            "better one: that is what λ is chosen by.",
            "损失几乎察觉不到：λ = 0.02 时，L 只比最小值高 0.2%，预测向量的改变也只有其长度的 5%。"
            "终点是沿着 L 几乎不变的那条轴移动的。要不要紧，取决于权重拿来做什么：预测这些患者，不要紧；"
            "解读某个权重的含义，就要紧。而对新的患者，移动后的终点或许更好：λ 正是据此选择的。",
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
def rest(strength):
    """The goal: the minimum of J, by the normal equations."""
    x, y = patients()
    hessian, b = 2 * x.T @ x / len(x), 2 * x.T @ y[:, 0] / len(x)
    return np.linalg.solve(hessian + strength * np.eye(10), b)


@app.function(hide_code=True)
def spectrum():
    """The ten curvatures of L, ascending, their axes, and the part of least squares along each."""
    x, _ = patients()
    mu, axes = np.linalg.eigh(2 * x.T @ x / len(x))
    return mu, axes, rest(0) @ axes


@app.function(hide_code=True)
def descend(strength, choice, tuned):
    """The ten parts after each step from 0, at the best rate for λ = ``tuned``, until they are there."""
    mu, _, free = spectrum()
    low, top = (mu + tuned)[[0, -1]] ** 0.5
    rate, keep = 2 / (low**2 + top**2), 0.0
    if choice == "momentum":  # the best of both, by Polyak
        rate, keep = 4 / (low + top) ** 2, ((top - low) / (top + low)) ** 2
    goal, run, speed = free * mu / (mu + strength), [np.zeros(10)], np.zeros(10)
    while len(run) <= LAST and 1e-6 < np.linalg.norm(run[-1] - goal) / np.linalg.norm(goal) < 1e12:
        speed = keep * speed + (mu + strength) * (run[-1] - goal)
        run.append(run[-1] - rate * speed)
    return np.array(run), goal


@app.function(hide_code=True)
def picture(lam, choice, broken=False):
    """Curvatures and parts of the solution; beside them what is left of the way, step by step."""
    (mu, _, free), role = spectrum(), "broken" if broken else "result"
    (run, goal), size = descend(lam, choice, 0 if broken else lam), np.linalg.norm(free)
    none, kappa = np.full(10, np.nan), (mu[-1] + lam) / (mu[0] + lam)
    left = Panel(
        Say("ten parts of the solution, by curvature", "解的十个分量，按曲率排列"),
        x=(0.01, 40), y=(0, 0.88), log="x", xlabel=Say("curvature of the axis", "该轴的曲率"),
    )  # fmt: skip
    comb = lambda at, high: (np.c_[at, at, none].ravel(), np.c_[0 * high, abs(high), none].ravel())
    left.line(*comb(mu, free), "data", width=7)
    left.line(*comb(mu + lam, goal), "result", width=3.5)
    left.arrow(mu[0], abs(free[0]), lam, abs(goal[0]) - abs(free[0]), "penalty", width=2)
    left.line(mu[[0, -1]], [0.82, 0.82], "reference", width=1.5)
    left.line(mu[[0, -1]] + lam, [0.77, 0.77], "ink", width=1.5)
    left.text(18, 0.82, "λ = 0", "reference").text(18, 0.7, f"κ = {kappa:.3g}")
    left.text(1.9 * (mu[0] + lam), 0.12 + 0.5 * abs(goal[0]), Say("goal", "终点"), "result")
    left.text(0.03, 0.64, Say("least squares", "最小二乘解"), "data")
    right = Panel(
        Say("distance still to go, as a share", "剩下的距离（比例）"),
        x=(0, LAST), y=(1e-6, 10), log="y", xlabel=Say("step", "步数"),
    )  # fmt: skip
    plain, _ = descend(0, "plain", 0)
    t = np.linspace(0, len(plain) - 1, 40).astype(int)
    right.line(
        t,
        np.linalg.norm(plain[t] - free, axis=1) / size,
        "reference",
        label=Say("λ = 0, plain", "λ = 0，普通"),
    )
    t = np.linspace(0, len(run) - 1, 40).astype(int)
    there, off = (np.linalg.norm(run[t] - end, axis=1) for end in (goal, free))
    ends = np.r_[off, off[-1]] / size
    right.line(np.r_[t, LAST], ends, "data", label=Say("to least squares", "到最小二乘解"))
    right.line(t, there / np.linalg.norm(goal), role, label=Say("to the goal", "到终点"))
    percent, steps = 100 * np.linalg.norm(goal - free) / size, len(run) - 1
    grown = np.divide(*np.linalg.norm(run[[-1, -2]] - goal, axis=1))
    said = Say(
        f"The goal is reached in {steps} steps, and lies {percent:.0f} % away from least squares.",
        f"{steps} 步到达终点。终点与最小二乘解的距离，是后者长度的 {percent:.0f}%。",
    )
    if grown > 1:
        said = Say(
            f"The rate is too large for the most curved axis: each step multiplies the error by {grown:.4g}.",
            f"对曲率最大的轴来说，这个学习率太大：每一步使误差变为 {grown:.4g} 倍。",
        )
    return Frame(left, right, kappa=kappa, steps=steps, percent=percent, grown=grown, said=said)


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    x, y = patients()
    mu, axes, free = spectrum()
    near = lambda text, value, said, unit: holds(
        text, value, at_least=said - unit / 2, at_most=said + unit / 2
    )
    steps = {s: len(descend(s, "plain", s)[0]) - 1 for s in STRENGTHS}
    away = {s: 100 * np.linalg.norm(rest(s) - rest(0)) / np.linalg.norm(rest(0)) for s in STRENGTHS}
    quick = descend(0, "momentum", 0)[0]
    fast, over = len(quick) - 1, np.linalg.norm(quick - free, axis=1).max() / np.linalg.norm(free)
    kappa, reached, moved = race(0.2)
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(np.zeros((1, 10)))
    low, top = (mu[[0, -1]] + 0.2) ** 0.5
    optimizer = mr.optim.SGD(
        model.parameters(), 4 / (low + top) ** 2, momentum=((top - low) / (top + low)) ** 2
    )
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(0.2)})
    run = mr.trajectory(model, objective, optimizer, x, y, 50)
    loss = lambda w: ((x @ w - y[:, 0]) ** 2).mean()
    guess, held = x @ rest(0), x @ rest(0.02)
    apart = x @ axes / (x @ axes).std(0)  # ten uncorrelated measurements, standardized
    bowl, pull = 2 * apart.T @ apart / len(x), 2 * apart.T @ y[:, 0] / len(x)
    path = [np.linalg.solve(bowl + s * np.eye(10), pull) * free for s in STRENGTHS]
    t = np.linspace(-40, 40, 40_001)
    slope = 0.1 * (t - 3) - 3 * np.sin(6 * t) + 17.9 * t
    curvature = 0.1 - 18 * np.cos(6 * t)
    wild = picture(0.02, "plain", broken=True).numbers["grown"]
    both = min(max(steps[s] / 400, away[s] / 20) for s in STRENGTHS)
    return [
        near("largest curvature", mu[-1], 8.05, 0.01),
        near("smallest curvature", mu[0], 0.017, 0.001),
        holds("κ at λ = 0.02 over that at 0", (1 + 0.02 / mu[-1]) / (1 + 0.02 / mu[0]), at_most=0.5),
        holds("steps at λ = 0.02 over those at 0", steps[0.02] / steps[0], at_most=0.5),
        near("the goal has moved by, %", away[0.02], 42, 1),
        near("flattest axis: J as curved as L, times", (mu[0] + 0.02) / mu[0], 2.2, 0.1),
        holds("flattest axis: its rank among the parts", abs(free).argmax(), at_most=0),
        holds("|race − picture|: steps at λ = 0.2", abs(reached - steps[0.2]), at_most=0),
        holds("… %", abs(100 * moved - away[0.2]), at_most=1e-9),
        holds("… κ", abs(kappa - (mu[-1] + 0.2) / (mu[0] + 0.2)), at_most=1e-9),
        holds("|run − picture| with momentum", abs(run @ axes - descend(0.2, "momentum", 0.2)[0][:51]).max(),
              at_most=1e-9),
        holds("steps with momentum, λ = 0", fast, at_most=399),
        holds("its distance at the most, over that at the start", over, at_least=1.01),
        breaks("λ of plain descent, nearest to both: times too much", both, at_least=1.2),
        breaks("rate of λ = 0 at λ = 0.02: growth a step", wild, at_least=1),
        near("L at λ = 0.02 above its minimum, %", 100 * (loss(rest(0.02)) / loss(rest(0)) - 1), 0.2, 0.1),
        near("predictions changed by, %", 100 * np.linalg.norm(held - guess) / np.linalg.norm(guess), 5, 1),
        holds("uncorrelated: weight × least squares, its least", np.min(path), at_least=0),
        holds("… |its curvatures − 2|", abs(bowl - 2 * np.eye(10)).max(), at_most=1e-9),
        near("ripples: smallest curvature", curvature.min(), -17.9, 1e-3),
        near("largest", curvature.max(), 18.1, 1e-3),
        near("largest at λ = 17.9", curvature.max() + 17.9, 36, 0.1),
        near("minima at λ = 17.9", ((slope[:-1] < 0) & (slope[1:] >= 0)).sum(), 1, 0),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
