"""Which solution does descent choose when nobody tells it?

For everybody who trains without a penalty. Afterwards you can say which of many solutions gradient
descent prefers, and what the start, the number of steps and their size have to do with it.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium",
    app_title="Lesson 19: which solution does descent choose when nobody tells it?",
)

with app.setup(hide_code=True):
    import functools
    import itertools

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

    STEPS, STRENGTH = (1, 10, 100, 1_000, 10_000, 100_000), 0.01


@app.cell(hide_code=True)
def _():
    Title(
        Say(
            "Which solution does descent choose when nobody tells it?",
            "没有惩罚时，梯度下降偏爱哪个解？",
        ),
        lead=Say(
            "Logistic regression tells two species of iris apart by two measurements x. Its weights θ "
            "start at 0 and take t steps of gradient descent. Countless lines θ·x = 0, all through the "
            "mean of the flowers, separate the species. Dashed: the widest street between them that is "
            "centred on that mean.",
            "逻辑回归用两项测量 x 区分两种鸢尾花。权重 θ 从 0 出发，做 t 步梯度下降。能把两种花分开、"
            "且通过所有花的均值点的直线 θ·x = 0 有无数条。虚线是以均值点为中心的最宽间隔带。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "After 1,000 steps every flower is on its side; the loss is 0.005. What do 99,000 more "
            "steps do?",
            "1000 步之后，每朵花都在正确的一侧，损失为 0.005。再走 99000 步，会怎样？",
        ),
        (
            Answer(
                Say("Hardly anything", "几乎没有变化"),
                Say(
                    "Small gradients, but many: θ goes on from length 8 to 20, and the line turns by 9°. "
                    "That the loss is almost 0 does not say that descent has arrived.",
                    "梯度虽小，步数却多：θ 的长度从 8 增到 20，直线又转了 9°。"
                    "损失接近 0，不等于已经走到了终点。",
                ),
            ),
            Answer(
                Say("θ grows, the line stays", "θ 变长，直线不动"),
                Say(
                    "θ does grow, for ever. But by then only the nearest flowers pull, and they turn the "
                    "line, from 12° off the widest street to 3°.",
                    "θ 确实一直在变长。可这时只有离直线最近的几朵花还在拉，它们使直线转动："
                    "与最宽的间隔带相差的角度从 12° 降到 3°。",
                ),
            ),
            Answer(
                Say("The line goes on turning", "直线继续转动"),
                Say(
                    "So it does: towards the widest street centred on the mean, ever more slowly. Nobody "
                    "asked for it. Now add L2: it stops, elsewhere.",
                    "正是这样：它朝以均值点为中心的最宽间隔带转去，越来越慢，而目标函数里并没有这个要求。"
                    "再加上 L2 看看：它会停下来，停在别处。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: when does the line stop turning, and when does θ stop growing?",
            "你看到了什么：直线什么时候不再转动？θ 什么时候不再变长？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "t",
        STEPS,
        start=1_000,
        label="t",
        choices={
            "none": Say("no penalty", "无惩罚"),
            "l2": Say("with L2, λ = 0.01", "加 L2，λ = 0.01"),
        },
        broken=Say("one label is wrong", "一朵花标错了类别"),
        caption=Say(
            "t = {t:,}: loss {loss:.2g}; θ is {length:.1f} long, its line {off:.1f}° off the widest street. "
            "{said}",
            "t = {t}：损失 {loss:.2g}；θ 的长度为 {length:.1f}，分界线与最宽间隔带相差 {off:.1f}°。{said}",
        ),
        alt=Say(
            "Left, a hundred flowers of two species by sepal and petal length, the line of the "
            "classifier, and, dashed, the widest street between them that is centred on their mean. With "
            "more steps the line turns into the middle of that street. Right, the plane of the two "
            "weights: θ moves away from 0, by a longer stretch with each ten times as many steps, "
            "towards a dashed ray at right angles to that street. With L2, or with one label wrong, it "
            "stops on the way.",
            "左图：两种花共一百朵，横轴为花萼长度，纵轴为花瓣长度；图中有分类器的分界线，"
            "虚线是能分开它们、以均值点为中心的最宽间隔带。步数增加，分界线转向间隔带的正中。"
            "右图：两个权重的平面。步数每增至十倍，θ 再远离 0 的一段就更长一些，"
            "并靠向一条虚线，它与最宽间隔带垂直。加上 L2，或标错一朵花，它就停在半路。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**A flower's pull** fades with its margin $m_i=y_i\\,\\theta\\cdot x_i$, where $y_i=\\pm1$ "
                "is its species. [At first](#t=1&choice=none) all pull; [when θ is long]"
                "(#t=100000&choice=none) only the nearest do. Their pull is along θ just where the "
                "street is widest.\n\n"
                r"$$\color{result}{\Delta\theta} = \eta\,"
                r"\color{data}{\frac1N\sum_i\frac{y_i\,x_i}{1+e^{m_i}}}$$",
                "**一朵花的拉力**随间隔 $m_i=y_i\\,\\theta\\cdot x_i$ 增大而减弱，$y_i=\\pm1$ 表示种类。"
                "[起初](#t=1&choice=none)每朵花都在拉；[θ 很长时](#t=100000&choice=none)，只剩最近的几朵。"
                "恰好在间隔带最宽时，它们的合力与 θ 同向。\n\n"
                r"$$\color{result}{\Delta\theta} = \eta\,"
                r"\color{data}{\frac1N\sum_i\frac{y_i\,x_i}{1+e^{m_i}}}$$",
            ),
            Say(
                "**A penalty** pulls back. [With L2](#t=100000&choice=l2) θ rests at a finite length, "
                "where farther flowers still pull: another line. [One wrong label]"
                "(#t=100000&choice=none&broken) makes it rest, too.\n\n"
                r"$$\color{data}{-\nabla L(\theta)} = \color{penalty}{\lambda\,\theta}$$",
                "**惩罚**向回拉。[加上 L2](#t=100000&choice=l2)，θ 停在有限的长度，"
                "那时远处的花仍在拉，所以是另一条直线。"
                "[标错一朵花](#t=100000&choice=none&broken)，它也会停下来。\n\n"
                r"$$\color{data}{-\nabla L(\theta)} = \color{penalty}{\lambda\,\theta}$$",
            ),
            Say(
                "**The step** chooses as well. Near a minimum of curvature $a$ it multiplies the distance "
                "$d$: descent settles there only if $\\eta<2/a$.\n\n"
                r"$$d_{t+1} = (1-\eta a)\,d_t$$",
                "**步长**也在挑选。在曲率为 $a$ 的极小点附近，每一步使距离 $d$ 乘以一个因子："
                "只有 $\\eta<2/a$ 才能在那里停下。\n\n"
                r"$$d_{t+1} = (1-\eta a)\,d_t$$",
            ),
        )
    )
    return


@app.function
def train(lam, steps):
    """The two weights after each step of descent from 0, (steps + 1, 2)."""
    model = mr.nn.Linear(2, 1, bias=False, dtype=np.float64)
    model.weight.assign(0.0)
    objective = mr.Objective(mr.nn.BCEWithLogitsLoss(), {"l2": mr.penalties.L2(lam)})
    sgd = mr.optim.SGD(model.parameters(), lr=1.0)
    return mr.trajectory(model, objective, sgd, *flowers(), steps)


@app.cell(hide_code=True)
def _():
    Code(
        train,
        "(x, y), angle = flowers(), mr.implicit.angle\n"
        "best = mr.implicit.max_margin(x, 2 * y[:, 0] - 1).direction\n"
        "for lam in (0, 0.01):\n"
        "    path = train(lam, 1000)\n"
        "    for t in (10, 100, 1000):\n"
        "        print(lam, t, np.linalg.norm(path[t]).round(2), f'{angle(path[t], best):.1f}°')",
        Say(
            "`max_margin` finds this street without descent. The model has no bias.",
            "`max_margin` 不用梯度下降，直接求出这条间隔带。模型没有偏置。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C102", "C103", "C101"), also=("C121", "C122", "C123", "C134"))
    return


@app.function(hide_code=True)
def end(x, y, start):
    """Where descent from start ends on mean((xθ − y)²)."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "nearest",
        Say(
            "Least squares with more weights than rows of x: many θ have xθ = y. Every gradient is a sum "
            "of rows of x. Descent begins at `start`, with small steps: which of these θ does it end at? "
            "(`np.linalg.pinv(x) @ r` is the shortest d with xd = r.)",
            "最小二乘，权重比 x 的行数多：满足 xθ = y 的 θ 有许多。每个梯度都是 x 各行的线性组合。"
            "梯度下降从 `start` 出发，步长很小：它停在其中的哪一个？"
            "（`np.linalg.pinv(x) @ r` 是满足 xd = r 的最短的 d。）",
        ),
        end,
        nearest,
        cases=[
            (
                np.array([[1.0, 2.0, 0.0, -1.0], [0.0, 1.0, 3.0, 1.0]]),
                np.array([2.0, -1.0]),
                np.array([1.0, 0.5, -2.0, 3.0]),
            ),
            (np.array([[1.0, 1.0]]), np.array([2.0]), np.array([3.0, 0.0])),
            (
                np.array([[2.0, -1.0, 0.5]]),
                np.array([-3.0]),
                np.array([-1.0, 2.0, 0.5]),
            ),
        ],
        limits={
            Say(
                "`start` solves xθ = y already: the gradient is 0, descent does not move, and `start` "
                "must come out.",
                "`start` 已经满足 xθ = y：梯度为 0，原地不动，应得 `start`。",
            ): (np.array([[1.0, 2.0]]), np.array([5.0]), np.array([3.0, 1.0])),
        },
        mistakes={
            Say(
                "That is the shortest solution, where descent ends from 0. But no step moves θ at right "
                "angles to the rows of x: what `start` has there is kept.",
                "这是最短的解，从 0 出发才会停在那里。可是没有一步会沿着与 x 各行都垂直的方向移动："
                "`start` 在这些方向上的分量原样保留。",
            ): lambda x, y, start: np.linalg.pinv(x) @ y,
            Say(
                "That overshoots: `start` explains x @ start of y already. Only the rest is still to be "
                "fitted.",
                "走过头了：y 之中的 x @ start 已由 `start` 解释，还要拟合的只是剩下的部分。",
            ): lambda x, y, start: start + np.linalg.pinv(x) @ y,
            Say(
                "The way is right, its sign is not: this doubles the residual.",
                "路程对了，方向反了：这样残差反而加倍。",
            ): lambda x, y, start: start - np.linalg.pinv(x) @ (y - x @ start),
            Say(
                "That is the way that descent goes. Where does it begin?",
                "这是走过的路程。它是从哪里开始走的？",
            ): lambda x, y, start: np.linalg.pinv(x) @ (y - x @ start),
            Say(
                "That keeps what x does not see, and fits 0 in place of y.",
                "这保留了 x 看不见的分量，却把 0 当作 y 来拟合。",
            ): lambda x, y, start: start - np.linalg.pinv(x) @ x @ start,
            Say(
                "The other way round: descent replaces what x sees of `start`, and keeps what x does "
                "not see.",
                "正好反了：`start` 之中 x 看得见的分量被替换，看不见的才保留。",
            ): lambda x, y, start: np.linalg.pinv(x) @ (y + x @ start),
            Say(
                "There xθ = y does not hold yet, so the gradient is not 0: descent moves on.",
                "那里 xθ = y 还不成立，梯度不为 0，还要往前走。",
            ): lambda x, y, start: start,
            Say(
                "Halfway between is no solution: at half the way half of the residual is left.",
                "走到一半还不是解：残差也还剩一半。",
            ): lambda x, y, start: start + np.linalg.pinv(x) @ (y - x @ start) / 2,
            Say(
                "With twice the way the residual comes back, with the other sign.",
                "路程加倍，残差又以相反的符号回来了。",
            ): lambda x, y, start: start + 2 * np.linalg.pinv(x) @ (y - x @ start),
            Say(
                "Halfway to the shortest solution: half of the residual is left, and half of what no step "
                "can change is gone.",
                "这是到最短解的一半路：残差还剩一半，本来哪一步都改变不了的分量，却丢了一半。",
            ): lambda x, y, start: (start + np.linalg.pinv(x) @ y) / 2,
            **single(),
        },
        why=Say(
            "it is the solution nearest to the start, and from 0 the shortest one. Adam divides each "
            "coordinate by its own number, leaves the span of the rows, and picks another.",
            "停在离起点最近的解；从 0 出发，就是最短的解。Adam 把各个分量除以不同的数，"
            "离开了各行张成的空间，挑中的是另一个解。",
        ),
        hints=(
            Say(
                "θ = start + d, where d is a combination of the rows of x. What must x @ d be?",
                "θ = start + d，d 是 x 各行的线性组合。x @ d 应等于什么？",
            ),
            Say(
                "x @ d = y − x @ start, and the shortest such d is a combination of the rows.",
                "x @ d = y − x @ start，而满足它的最短的 d 正是各行的线性组合。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def single():
    """One step in place of many, of each length that is likely."""
    wrong = {}
    for factor, mean in itertools.product((1, 2, 0.5, 0.2, 0.1, 0.01), (False, True)):
        long = f"{factor:g} xᵀ(y − xθ)".removeprefix("1 ") + "/N" * mean
        words = Say(
            f"That is one step, {long}, in the right direction, but xθ = y need not hold where it ends. Many "
            "small ones go on until it does.",
            f"这只是一步，即 {long}：方向对，但到达处 xθ = y 不一定成立。许多小步会一直走到它成立。",
        )
        wrong[words] = lambda x, y, start, f=factor, mean=mean: (
            start + f * x.T @ (y - x @ start) / (len(y) if mean else 1)
        )
    return wrong


@app.function(hide_code=True)
def nearest(x, y, start):
    """Where descent from start ends on mean((xθ − y)²)."""
    return start + np.linalg.pinv(x) @ (y - x @ start)


@app.function(hide_code=True)
def escape(steps=300):
    """Meant to leave the minimum at −1 (curvature 100) for that at 1 (curvature 1)."""
    w = mr.nn.Parameter(np.array([-1.05]))
    optimizer = mr.optim.SGD([w], lr=0.015)
    falling = mr.optim.lr_scheduler.PolynomialLR(optimizer, steps)
    path = [w.item()]
    for _ in range(steps):
        optimizer.zero_grad()
        sharp, flat = 50 * (w + 1) ** 2, 0.5 * (w - 1) ** 2
        mr.minimum(sharp, flat).sum().backward()
        optimizer.step()
        falling.step()
        path.append(w.item())
    return path


@app.function(hide_code=True)
def footprints():
    """The first steps of the program that does not get out, and its last."""
    path, shown = escape(), (0, 1, 2, 3, 4, 300)
    rows = [f"{t:4d}  {path[t]:9.5f}  {path[t] + 1:9.5f}" for t in shown]
    return "\n".join(["step          w      w + 1", *rows])


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "“As the rate falls to 0, descent finds the flat minimum.” The loss has two valleys, each a "
            "parabola, with a kink between them. This run ends in the sharp one. Which line keeps it "
            "there?",
            "“学习率降到 0，就会找到平坦的极小值。”损失有两个谷，都是抛物线，交界处是一个折角。"
            "这次训练停在尖锐的谷里。是哪一行把它留住的？",
        ),
        escape,
        footprints,
        "lr=0.015",
        why=Say(
            "Yes: at curvature 100 a step multiplies the distance by 1 − 100η = −0.5. It jumps across, but "
            "ends nearer. To be repelled takes η > 2/100; with 0.03 this run gets out. In a smooth valley "
            "even that may not do: it can circle, and fall back as η falls.",
            "对：曲率为 100 时，每步使距离乘以 1 − 100η = −0.5，虽然跳到对面，却更近了。"
            "要被弹开，须 η > 2/100；取 0.03，这次训练就能出去。"
            "若谷是光滑的，这也未必够：可能绕着极小点来回跳，η 减小后又落回去。",
        ),
        others={
            "falling": Say(
                "The falling rate is not what keeps it: held constant, 0.015 ends here, too; and 0.03, "
                "falling just like this, gets out.",
                "留住它的不是学习率的衰减：0.015 保持不变，也停在这里；而 0.03 同样衰减，却能出去。",
            ),
            "-1.05": Say(
                "It does begin in the sharp valley; the task is to leave it. Why does every step end "
                "nearer to −1?",
                "它确实从尖锐的谷里出发，任务正是离开那里。为什么每走一步都离 −1 更近？",
            ),
            "50 * (w + 1)": Say(
                "These are the two valleys as described: curvatures 100 and 1.",
                "这就是所说的两个谷：曲率分别为 100 和 1。",
            ),
            "minimum": Say(
                "The lower of two parabolas: two valleys with a kink between them, as it should be.",
                "取两条抛物线中较低的一条：两个谷，交界处是折角，没有错。",
            ),
            "range(steps)": Say(
                "More steps bring it nearer still to −1: see the last row.",
                "再多走几步，只会离 −1 更近：看最后一行。",
            ),
            "": Say(
                "This line does what it should. By which factor does w + 1 change in the first step, and "
                "what is that factor made of?",
                "这一行没有问题。第一步里 w + 1 乘了几？这个因子由什么决定？",
            ),
        },
        hints=(
            Say(
                "The first step multiplies w + 1 by −0.5, which is 1 − ηa. When would it grow?",
                "第一步使 w + 1 乘以 −0.5，即 1 − ηa。什么时候它才会变大？",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def noisy(lr, a, s):
    """The curvature up to which descent stays; the variance of θ in the long run."""
    sharpest = ...
    variance = ...
    return sharpest, variance


@app.cell(hide_code=True)
def _():
    Write(
        "noisy",
        Say(
            "The loss is ½aθ². (1) Without noise: below which curvature does descent with the rate `lr` "
            "come to rest at the minimum? (2) Now each gradient is aθ plus fresh noise of variance s²: "
            "what is the variance of θ in the long run?",
            "损失为 ½aθ²。（1）没有噪声：学习率为 `lr` 的梯度下降，曲率在多少以下才能停在极小点？"
            "（2）每个梯度都是 aθ 加上新的噪声，噪声的方差为 s²：长期来看，θ 的方差是多少？",
        ),
        noisy,
        scattered,
        cases=[(0.2, 1.5, 2.0), (0.5, 3.0, 0.5), (0.1, 8.0, 3.0)],
        limits={
            Say(
                "ηa = 1: a step lands on the minimum, so that is not yet too steep; and as it forgets θ "
                "altogether, it leaves −η times the noise, of variance η²s².",
                "ηa = 1：一步就到极小点，可见这还不算太陡；这一步把 θ 完全忘掉，"
                "只留下 −η 乘噪声，其方差为 η²s²。",
            ): (0.25, 4.0, 1.2),
        },
        mistakes=slips(),
        why=Say(
            "for small steps the variance is about T/a with T = ηs²/2, the temperature of SGD with this "
            "noise; without noise, s = 0, there is none. Langevin dynamics adds noise of variance 2ηT to "
            "each step: there T is chosen, whatever η is (as long as it is small).",
            "步长小时，方差约为 T/a，其中 T = ηs²/2 是带这种噪声的 SGD 的温度；"
            "没有噪声（s = 0），温度就是 0。"
            "朗之万动力学则在每一步加上方差为 2ηT 的噪声：T 由人选定，与 η 无关（只要 η 小）。",
        ),
        hints=(
            Say(
                "A step is θ ← (1 − ηa)θ − ηn, with n the noise. When is |1 − ηa| < 1?",
                "一步是 θ ← (1 − ηa)θ − ηn，n 是噪声。什么时候 |1 − ηa| < 1？",
            ),
            Say(
                "The variance V stays as it is: V = (1 − ηa)²V + η²s². Solve for V.",
                "方差 V 不再变化：V = (1 − ηa)²V + η²s²。解出 V。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def slips():
    """What may go wrong with either number, and with both."""
    curvatures = {
        Say("The curvature is right.", "曲率对了。"): lambda lr: 2 / lr,
        Say(
            "At the curvature 1/η a single step reaches the minimum. Above it the step jumps across, but "
            "ends nearer, until 1 − ηa = −1.",
            "曲率为 1/η 时，一步就到极小点。再大一些，会跳到对面，但离得更近，直到 1 − ηa = −1。",
        ): lambda lr: 1 / lr,
        Say(
            "The curvature is upside down: the larger the steps, the flatter must the valley be.",
            "曲率写颠倒了：步长越大，谷就得越平坦。",
        ): lambda lr: lr / 2,
        Say(
            "The curvature may be larger: at 1/(2η) a step still leaves half of the distance, on the "
            "same side.",
            "曲率还可以更大：在 1/(2η) 处，一步之后距离剩下一半，仍在同一侧。",
        ): lambda lr: 0.5 / lr,
    }
    variances = {
        Say("The variance is right.", "方差对了。"): lambda lr, a, s: (
            lr * s**2 / (a * (2 - lr * a))
        ),
        Say(
            "There is no η in this variance. But η multiplies the noise: larger steps scatter more.",
            "这个方差里没有 η。可噪声要乘以 η：步长越大，散得越开。",
        ): lambda lr, a, s: s**2 / a,
        Say(
            "This variance is the limit of small steps. Here they are not small: keep (ηa)².",
            "这是步长趋于 0 时的方差。这里步长不小，(ηa)² 不能略去。",
        ): lambda lr, a, s: lr * s**2 / (2 * a),
        Say(
            "A step multiplies θ by 1 − ηa, so the variance by (1 − ηa)², not by 1 − ηa.",
            "每一步使 θ 乘以 1 − ηa，方差就乘以 (1 − ηa)²，而不是 1 − ηa。",
        ): lambda lr, a, s: lr * s**2 / a,
        Say(
            "The variance is 0 without noise only. Here each step brings some.",
            "没有噪声，方差才为 0。这里每一步都带来噪声。",
        ): lambda lr, a, s: 0 * s,
        Say(
            "η²s² is the variance that one step adds. Some of what earlier steps added is still there.",
            "η²s² 是一步所加的方差。此前各步所加的，还有一部分留着。",
        ): lambda lr, a, s: lr**2 * s**2,
        Say(
            "The variance lacks a factor η: the noise enters as ηn, so with the variance η²s².",
            "方差少了一个因子 η：噪声以 ηn 进入，其方差为 η²s²。",
        ): lambda lr, a, s: s**2 / (a * (2 - lr * a)),
        Say(
            "The variance has a factor η too many: 1 − (1 − ηa)² = ηa(2 − ηa) takes one away.",
            "方差多了一个因子 η：1 − (1 − ηa)² = ηa(2 − ηa) 会约去一个。",
        ): lambda lr, a, s: lr**2 * s**2 / (a * (2 - lr * a)),
        Say(
            "The variance of the noise is s², not s.",
            "噪声的方差是 s²，不是 s。",
        ): lambda lr, a, s: lr * s / (a * (2 - lr * a)),
        Say(
            "The variance lacks the curvature in its denominator: 1 − (1 − ηa)² = ηa(2 − ηa).",
            "方差的分母里漏了曲率：1 − (1 − ηa)² = ηa(2 − ηa)。",
        ): lambda lr, a, s: lr * s**2 / (2 - lr * a),
        Say(
            "That is the standard deviation; asked for is its square.",
            "这是标准差，要求的是它的平方。",
        ): lambda lr, a, s: (lr * s**2 / (a * (2 - lr * a))) ** 0.5,
    }
    wrong = {}
    for p, bound in curvatures.items():
        for q, spread in variances.items():
            both = lambda lr, a, s, bound=bound, spread=spread: (bound(lr), spread(lr, a, s))
            wrong[Say(f"{p.en} {q.en}", f"{p.zh}{q.zh}")] = both
    return dict([*wrong.items()][1:])  # the first is right


@app.function(hide_code=True)
def scattered(lr, a, s):
    """The curvature up to which descent stays; the variance of θ in the long run."""
    sharpest = 2 / lr
    variance = lr * s**2 / (a * (2 - lr * a))
    return sharpest, variance


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "Lesson 11 asked where AdamW ends. There the loss had a lowest point; for these flowers it has "
            "none. AdamW with λ = 0.5 and exact gradients: where does θ end?",
            "第 11 课问过 AdamW 停在哪里。那里的损失有最低点，而这些花的损失没有。"
            "AdamW 取 λ = 0.5，梯度精确：θ 停在哪里？",
        ),
        lesson=11,
        answers=(
            Answer(
                Say("Nowhere: it grows as if λ were 0", "哪里也不停：一直变长，就像 λ 等于 0"),
                Say(
                    "Inside the box λ shrinks nothing, that is true. But the pull of the data on a weight "
                    "is at most η, that of decay ηλ|θⱼ|: at |θⱼ| = 2 the growing ends.",
                    "在框内 λ 毫无收缩作用，这没有错。可数据对一个权重的拉力至多为 η，"
                    "衰减的拉力是 ηλ|θⱼ|：到 |θⱼ| = 2 就不能再长了。",
                ),
            ),
            Answer(
                Say("Where gradient descent with L2, λ = 0.5, ends", "与 λ = 0.5 的 L2 停在同一处"),
                Say(
                    "That is at length 0.7: the data's pull has become as weak as λθ. AdamW divides "
                    "the pull by its size, so that it does not weaken.",
                    "那里的长度是 0.7：数据的拉力已减弱到与 λθ 相等。AdamW 把拉力除以它自己的大小，"
                    "所以拉力并不减弱。",
                ),
            ),
            Answer(
                Say("At a wall, its largest weight 2", "在框的边上，最大的权重为 2"),
                Say(
                    "Yes: the least loss within ‖θ‖∞ ≤ 1/λ. Away from a lowest point the loss always "
                    "falls somewhere, so only a wall can stop it: at (1.49, 2.00).",
                    "对：即 ‖θ‖∞ ≤ 1/λ 之内损失最小的点。没有最低点，损失总能再降，"
                    "只有框的边能挡住它：停在 (1.49, 2.00)。",
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
                "On separable data logistic descent never arrives: θ grows like log t, and its line turns "
                "into the widest street centred on 0, here the mean.",
                "数据可分时，逻辑回归的梯度下降永远走不到头：θ 的长度像 log t 一样增长，"
                "分界线转向以原点（这里是均值点）为中心的最宽间隔带。",
            ),
            Say(
                "Where least squares has many solutions, descent ends at the one nearest to its start: "
                "implicit regularization.",
                "最小二乘有许多解时，梯度下降停在离起点最近的那一个。"
                "算法自身的这种偏好，叫做隐式正则化。",
            ),
            Say(
                "Small steps stay in their valley: curvature a repels only if η > 2/a.",
                "步长小，就留在所处的谷里：只有 η > 2/a，曲率为 a 的极小点才会把迭代点弹开。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And with a schedule, or with a bias?", "学习率衰减时呢？带偏置时呢？"),
        Say(
            "**A schedule.** As the steps get smaller, gradient descent follows one curve, whose clock is "
            "$\\sum\\eta_t$. A schedule only runs that clock more slowly towards the end. Fifty units of "
            "it, in 500 steps of η = 0.1, or with η falling from 0.2 to 0, end 0.002 apart, where θ is "
            "3.6 long. Finite steps do add something: to first order they follow the flow of "
            "$L+\\frac\\eta4\\lVert\\nabla L\\rVert^2$, which avoids steep places. As η falls, this implicit "
            "penalty falls with it.\n\n"
            "**A bias** that is trained is one more weight, of an input that is always 1. Descent then "
            "tends to the widest street for $(x, 1)$. Here that is the widest of all between the species, "
            "wherever its middle: half its width is 0.38 in place of 0.28, and it is turned by 19° from the "
            "dashed one. In general the widest for $(x, 1)$ need not be the widest for $x$.\n\n"
            "**How slowly?** Ten times as many steps lengthen θ by about $\\ln 10$ over half the width of "
            "the street, in the end by 8.1; in the last decade of the picture it is 6.5. What θ picked up "
            "sideways, along the street, shrinks, too, from 2.1 at t = 100 to 1.0 at 10⁵, and tends to 0.5. "
            "Only then does the angle fall like $1/\\log t$; in the picture it falls faster, to about half "
            "with each ten times as many steps.",
            "**学习率衰减**：步长越小，梯度下降越接近同一条曲线，曲线上的时钟是 $\\sum\\eta_t$。"
            "衰减只是让时钟到后来走得慢一些。同样走 50 个单位：用 η = 0.1 走 500 步，"
            "或让 η 从 0.2 降到 0，终点只差 0.002，而 θ 长 3.6。有限的步长确实添了一点东西："
            "略去高阶小量，它沿着 $L+\\frac\\eta4\\lVert\\nabla L\\rVert^2$ 的流前进，避开陡峭的地方。"
            "η 减小，这个隐式的惩罚也随之减小。\n\n"
            "**偏置**若一同训练，就是多了一个权重，对应的输入恒为 1。梯度下降趋于 $(x, 1)$ 的最宽间隔带。"
            "这里，它就是不限定中心时两种花之间的最宽间隔带：宽度的一半是 0.38，而不是 0.28，"
            "方向与图中虚线相差 19°。一般说来，$(x, 1)$ 的最宽间隔带不一定是 $x$ 的最宽间隔带。\n\n"
            "**有多慢？** 步数每增至十倍，θ 的长度大约增加 $\\ln 10$ 除以间隔带宽度的一半，"
            "最终为 8.1；图中最后一段为 6.5。θ 在侧向（沿间隔带）得到的那部分也在变短："
            "从 t = 100 时的 2.1 到 10⁵ 时的 1.0，最终趋于 0.5。此后角度才像 $1/\\log t$ 那样减小；"
            "图中降得更快，步数每增至十倍，角度约减半。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def flowers():
    """Setosa (0) and versicolor (1) by sepal and petal length, standardized: (100, 2) and (100, 1)."""
    x, y = mr.datasets.arrays("iris")
    x = x[:100, [0, 2]]
    return (x - x.mean(0)) / x.std(0), (y[:100, None] == 1).astype(float)


@app.function(hide_code=True)
def signed(wrong=False):
    """The flowers and their labels ±1; the setosa farthest from the street may be given the wrong one."""
    x, y = flowers()
    y = 2 * y[:, 0] - 1
    far = np.argmax(y * (x @ widest().direction)) if wrong else 0
    y[far] *= -1 if wrong else 1
    return x, y, far


@app.function(hide_code=True)
@functools.cache
def widest():
    """The widest street through 0 between the two species."""
    x, y = flowers()
    return mr.implicit.max_margin(x, 2 * y[:, 0] - 1)


@app.function(hide_code=True)
@functools.cache
def walk(strength, wrong=False):
    """θ of :func:`train` after some of 100,000 steps, by number: its loop, without the graph."""
    x, y, _ = signed(wrong)
    pulls, theta, slope, found = y[:, None] * x, np.zeros(2), np.ones(2), {0: np.zeros(2)}
    marks = sorted({0, *STEPS, *np.geomspace(1, STEPS[-1], 61).round().astype(int).tolist()})
    for before, t in itertools.pairwise(marks):
        for _ in range(t - before if abs(slope).max() > 1e-13 else 0):  # else it rests
            slope = strength * theta - (1 / (1 + np.exp(pulls @ theta))) @ pulls / len(x)
            theta = theta - slope
        found[t] = theta
    return found


@app.function(hide_code=True)
def picture(t, choice, broken=False):
    """The line among the flowers, and θ in the plane of the two weights."""
    (x, y, far), best = signed(broken), widest()
    ways = {key: walk(v, broken) for key, v in (("none", 0), ("l2", STRENGTH))}
    way, free = ways[choice], walk(0)
    theta, role = way[t], "broken" if broken else "result"
    length, off = np.linalg.norm(theta), mr.implicit.angle(theta, best.direction)
    margins = y * (x @ theta)
    normal, ends = theta / length, np.array([-4.0, 4.0])
    along = lambda u, shift=0.0: (shift * u[0] - ends * u[1], shift * u[1] + ends * u[0])
    left = Panel(
        Say("a hundred flowers, and the line θ·x = 0", "一百朵花与直线 θ·x = 0"),
        x=(-2.1, 2.7), y=(-1.6, 1.8), height=None,
        xlabel=Say("sepal length (standardized)", "花萼长度（标准化）"),
        ylabel=Say("petal length (standardized)", "花瓣长度（标准化）"),
    )  # fmt: skip
    half = max(margins.min() / length, 0.0)
    (x0, y0), (x1, y1) = along(normal, -half), along(normal, half)
    left.fill(np.r_[x0, x1[::-1]], np.r_[y0, y1[::-1]], role)
    for shift in (-best.margin, best.margin):
        left.line(*along(best.direction, shift), "textbook", width=1.5)
    left.line(*along(normal), role, label="θ·x = 0", width=3)
    left.dots(*x[best.support].T, "ink", size=8, hollow=True)  # a ring around the nearest flowers
    left.dots(*x[:50].T, "data", size=4, hollow=True)
    left.dots(*x[50:].T, "data", size=4)
    if broken:
        left.dots(*x[[far]].T, "broken", size=6, label=Say("wrong label", "标错的花"))
    left.text(-1.2, -1.5, Say("setosa", "山鸢尾"), "data")
    left.text(1.2, 1.7, Say("versicolor", "变色鸢尾"), "data")
    left.text(1.95, 0.25, Say("widest street", "最宽的间隔带"), "textbook")
    right = Panel(
        Say("the plane of the two weights θ", "两个权重 θ 的平面"),
        x=(-19.5, 9), y=(-0.6, 19.6), height=None,
        xlabel=Say("weight of sepal length", "花萼长度的权重"),
        ylabel=Say("weight of petal length", "花瓣长度的权重"),
    )  # fmt: skip
    ray = np.array([0, 30])
    right.line(*np.outer(best.direction, ray), "textbook", width=2)
    right.text(-10.8, 4, Say("at right angles to the street", "与间隔带垂直"), "textbook")
    if choice == "l2" or broken:
        right.line(*np.array([*free.values()]).T, "reference", width=1.5,
                   label=Say("no penalty, right labels", "无惩罚，类别无误"))  # fmt: skip
    right.line(*np.array([*way.values()]).T, role, width=1.5)
    if choice == "none" and not broken:
        for k, n in enumerate(STEPS[1:], 1):
            right.text(way[n][0] + 1.6, way[n][1], f"t = 10{' ²³⁴⁵'[k - 1].strip()}", role)
    right.dots(*np.array([way[n] for n in STEPS]).T, role, size=3)
    right.arrow(0, 0, *theta, role, label="θ", width=3)
    missed = int((margins <= 0).sum())
    said = {
        0: Say("All flowers are on their side.", "每朵花都在正确的一侧。"),
        1: Say("1 flower is on the wrong side.", "有 1 朵花在错误的一侧。"),
    }.get(
        missed, Say(f"{missed} flowers are on the wrong side.", f"有 {missed} 朵花在错误的一侧。")
    )
    loss = float(np.log1p(np.exp(-margins)).mean())
    return Frame(left, right, loss=loss, length=length, off=off, said=said)


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def boxed(strength=0.5, steps=1500):
    """Where AdamW ends on the flowers, and the least loss within its box."""
    x, y = flowers()
    model, loss = mr.nn.Linear(2, 1, bias=False, dtype=np.float64), mr.nn.BCEWithLogitsLoss()
    model.weight.assign(0.0)
    fast = {"lr": 0.02, "betas": (0.8, 0.8), "weight_decay": strength}
    optimizer = mr.optim.AdamW(model.parameters(), **fast)
    falling = mr.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    end = mr.trajectory(model, loss, optimizer, x, y, steps, scheduler=falling)[-1]
    mr.solve(model, loss, mr.penalties.Box(-1 / strength, 1 / strength), x, y)
    return end, model.weight.numpy()[0]


@app.function(hide_code=True)
def clocked(falls, total=50, steps=500):
    """θ after so many steps whose rates sum to ``total``: all the same, or falling to 0."""
    model = mr.nn.Linear(2, 1, bias=False, dtype=np.float64)
    model.weight.assign(0.0)
    rate = 2 * total / (steps + 1) if falls else total / steps
    optimizer = mr.optim.SGD(model.parameters(), lr=rate)
    falling = mr.optim.lr_scheduler.PolynomialLR(optimizer, steps) if falls else None
    loss = mr.nn.BCEWithLogitsLoss()
    return mr.trajectory(model, loss, optimizer, *flowers(), steps, scheduler=falling)[-1]


@app.function(hide_code=True)
def valley(lr, falls, steps=300):
    """Where :func:`escape` ends with this rate."""
    w = mr.nn.Parameter(np.array([-1.05]))
    optimizer = mr.optim.SGD([w], lr)
    falling = mr.optim.lr_scheduler.PolynomialLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        mr.minimum(50 * (w + 1) ** 2, 0.5 * (w - 1) ** 2).sum().backward()
        optimizer.step()
        if falls:
            falling.step()
    return w.item()


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    near = lambda name, value, said, by: holds(name, value, at_least=said - by, at_most=said + by)
    free, best = walk(0), widest()
    length = {t: np.linalg.norm(free[t]) for t in STEPS}
    off = {t: mr.implicit.angle(free[t], best.direction) for t in STEPS}
    x, y, _ = signed()
    loss = {t: np.log1p(np.exp(-y * (x @ free[t]))).mean() for t in STEPS}
    plain, l2 = train(0, 1000), train(STRENGTH, 1000)
    path, loops = escape(), walk(STRENGTH)
    (adamw, corner), strong = boxed(), walk(0.5)[STEPS[-1]]
    constant, falling = clocked(False), clocked(True)
    rng, start = np.random.default_rng(0), np.array([1.0, 0.5, -2.0, 3.0])
    rows, goal = rng.standard_normal((2, 4)), rng.standard_normal(2)
    model = mr.nn.Linear(4, 1, bias=False, dtype=np.float64)
    model.weight.assign(start[None])
    sgd = mr.optim.SGD(model.parameters(), lr=0.1)
    end = mr.trajectory(model, mr.nn.MSELoss(), sgd, rows, goal[:, None], 2000)[-1]
    wrong = walk(0, True)
    shares = [off[10 * t] / off[t] for t in (100, 1_000, 10_000)]
    # In the end the two nearest flowers pull as their weights in the street's direction say.
    side, near_ones = best.direction[::-1] * (-1, 1), y[best.support, None] * x[best.support]
    one, other = np.linalg.solve(near_ones.T, best.direction)
    limit = abs(np.log(one / other) / ((near_ones[1] - near_ones[0]) @ side))
    bias = mr.implicit.max_margin(np.c_[x, np.ones(len(x))], y).direction
    wide = min(y * (x @ bias[:2] + bias[2])) / np.linalg.norm(bias[:2])
    turns = np.linspace(0, 2 * np.pi, 3601)
    heights = x @ [np.cos(turns), np.sin(turns)]
    tried = max(heights[y > 0].min(0) - heights[y < 0].max(0)) / 2
    return [
        holds("the picture's loop: |θ − θ of train|, 1,000 steps",
              max(abs(plain[-1] - free[1000]).max(), abs(l2[-1] - loops[1000]).max()), at_most=1e-12),
        holds("1,000 steps: least margin", (y * (x @ free[1000])).min(), at_least=0.01),
        near("1,000 steps: loss", loss[1000], 0.005, 5e-4),
        near("1,000 steps: length of θ", length[1000], 8, 0.5),
        near("100,000 steps: length of θ", length[100_000], 20, 0.5),
        near("1,000 steps: degrees off the widest street", off[1000], 12, 0.5),
        near("100,000 steps: the same", off[100_000], 3, 0.5),
        near("the turn between", off[1000] - off[100_000], 9, 0.5),
        near("growth in the last decade", length[100_000] - length[10_000], 6.5, 0.05),
        near("ln 10 over half the street", np.log(10) / best.margin, 8.1, 0.05),
        *(near(f"sideways at t = {t:,}", abs(free[t] @ side), goal, 0.05)
          for t, goal in {100: 2.1, 100_000: 1.0}.items()),
        near("its limit", limit, 0.5, 0.05),
        holds("least share of the angle left by ten times as many steps", min(shares), at_least=0.4),
        holds("most", max(shares), at_most=0.55),
        near("half of the street, centred on the mean", best.margin, 0.28, 0.005),
        near("of the widest with a bias", wide, 0.38, 0.005),
        near("of all, by trying directions", tried, wide, 1e-4),
        near("degrees between the two", mr.implicit.angle(bias[:2], best.direction), 19, 0.5),
        breaks("with L2: degrees off", mr.implicit.angle(loops[100_000], best.direction), at_least=20),
        holds("with L2: how far the last 90,000 steps move", abs(loops[100_000] - loops[10_000]).max(),
              at_most=1e-9),
        holds("a wrong label: the same", abs(wrong[100_000] - wrong[10_000]).max(), at_most=1e-9),
        holds("least squares: |end − nearest solution|", abs(end - nearest(rows, goal, start)).max(),
              at_most=1e-9),
        holds("two valleys, η = 0.015 → 0: |w + 1|", abs(path[-1] + 1), at_most=1e-9),
        near("its first step: factor of w + 1", (path[1] + 1) / (path[0] + 1), -0.5, 1e-9),
        holds("η = 0.015, kept: |w + 1|", abs(valley(0.015, False) + 1), at_most=1e-9),
        corrects("η = 0.03 → 0: w", valley(0.03, True), at_least=0.9, at_most=1.1),
        near("AdamW, λ = 0.5: first weight", adamw[0], 1.49, 0.005),
        near("AdamW, λ = 0.5: second weight", adamw[1], 2.00, 0.005),
        holds("AdamW: |end − best of the box|", abs(adamw - corner).max(), at_most=2e-3),
        near("L2, λ = 0.5: length", np.linalg.norm(strong), 0.7, 0.05),
        near("η = 0.1 to η → 0, the same Ση: distance", np.linalg.norm(constant - falling), 0.002, 5e-4),
        near("… length of θ there", np.linalg.norm(constant), 3.6, 0.05),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
