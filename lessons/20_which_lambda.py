"""Which λ should you choose?

For everybody who has to type a number for λ. Afterwards you can say which figure to choose it by, which two
not, how sure the choice is, and what L2 does to the shape of a function.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 20: which λ should you choose?")

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

    STRENGTHS = (1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1, 10)
    NAMES = ("10⁻⁶", "10⁻⁴", "0.001", "0.01", "0.1", "1", "10")
    DRAW = (
        1305  # of 5,000: curves without bumps, and roughness that rises in sight (see the appendix)
    )


@app.cell(hide_code=True)
def _():
    Title(
        Say("Which λ should you choose?", "该选哪个 λ？"),
        lead=Say(
            "A polynomial of degree 12, with 13 weights θ, is fitted to 15 noisy *training* points: it "
            "makes L + ½λ‖θ‖² least, L being their mean squared error. Another 30 points, the "
            "*validation set*, are kept apart. Validation minus training loss is the *gap*.",
            "用一个 12 次多项式（13 个权重 θ）拟合 15 个带噪声的**训练**点：使 L + ½λ‖θ‖² 最小，"
            "L 是这些点的均方误差。另有 30 个点留着不用来训练，称为**验证集**。"
            "验证损失减去训练损失，叫作**差距**。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "Which λ will predict the 30 other points best?",
            "哪个 λ 对另外 30 个点预测得最好？",
        ),
        (
            Answer(
                Say("10⁻⁶: least training loss", "10⁻⁶：训练损失最小"),
                Say(
                    "Its mean squared error is least on the training points, 0.022, and 0.98 on the others: "
                    "45 times as much. What it has learnt from the former is mostly their noise.",
                    "训练点上的均方误差最小，为 0.022；另外那些点上却是 0.98，是前者的 45 倍。"
                    "它从训练点学到的，多半是噪声。",
                ),
            ),
            Answer(
                Say("0.001: close, yet calm", "0.001：贴近数据，又不乱摆"),
                Say(
                    "Yes: its validation loss is 0.16, a sixth of that at 10⁻⁶. The training "
                    "loss could not say so, it only "
                    "rises. And the gap here is 72 % of that loss: the best λ keeps one.",
                    "对：验证损失为 0.16，是 10⁻⁶ 处的六分之一。训练损失说不出这一点，它只会随 λ 上升。"
                    "再看这里的差距：占验证损失的 72%。最好的 λ 也留有差距。",
                ),
                right=True,
            ),
            Answer(
                Say("1: smoothest of the three", "1：三者中最平滑"),
                Say(
                    "Smooth it is, but it misses even the points it has seen: 0.44 of its validation loss of "
                    "0.49 is training loss. That is three times the least.",
                    "平滑是平滑，可是连见过的点也拟合不好：验证损失 0.49 中有 0.44 是训练损失。"
                    "这是最小误差的三倍。",
                ),
            ),
        ),
        asks=Say(
            "Have you chosen? Now *validation too*: at which λ is the gap narrowest, and would you "
            "take it?",
            "选好了吗？再选“加上验证”：差距在哪个 λ 最小？你会选它吗？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        STRENGTHS,
        start=1e-6,
        label="λ",
        choices={
            "train": Say("training only", "只看训练"),
            "both": Say("validation too", "加上验证"),
        },
        broken=Say("choose wrongly", "按错误的指标来选"),
        caption=Say("λ = {name}: {said}", "λ = {name}：{said}"),
        alt=Say(
            "Left, over seven λ, the training loss: it rises all the way. With “validation too” the "
            "validation loss above it: it falls, is flat from 10⁻⁴ to 0.01, and rises; the gap between "
            "the two narrows from each of the seven λ to the next. Right, the points and the "
            "polynomial at this λ: a snake at the "
            "smallest, then a wave, at last a straight line at 0. Broken, the training loss chooses the "
            "snake, the gap the straight line.",
            "左图：训练损失随七个 λ 一路上升。选“加上验证”，其上方出现验证损失：先降，在 10⁻⁴ 到 "
            "0.01 之间平坦，再升；两者之间的差距在这七个 λ 处依次缩小。右图：数据点，以及这个 λ "
            "的多项式：λ 最小"
            "时像蛇一样摆动，然后是一个波，最后成为贴着 0 的直线。故意弄错时，训练损失选中那条蛇，"
            "差距选中那条直线。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Training loss** would choose [the smallest λ](#lam=0.001&choice=train&broken). New "
                "points cost more. For new noise (variance $\\sigma^2$) at the same $n$ places the "
                "gap is on average\n\n"
                r"$$\color{reference}{\text{gap}}=\frac{2\sigma^2}{n}\sum_k\frac{\mu_k}{\mu_k+\lambda}$$"
                "\n\nwith the curvatures $\\mu_k$ of L: 0.10 at 10⁻⁶. (The 30 points lie elsewhere, far from "
                "the snake: 0.96.) The gap would choose "
                "[the largest](#lam=0.001&choice=both&broken). The sum of both is least in between.",
                "**训练损失**会选[最小的 λ](#lam=0.001&choice=train&broken)。新的点误差更大。"
                "若在同样的 $n$ 个位置重新取方差为 $\\sigma^2$ 的噪声，差距平均为\n\n"
                r"$$\color{reference}{\text{差距}}=\frac{2\sigma^2}{n}\sum_k\frac{\mu_k}{\mu_k+\lambda}$$"
                "\n\n$\\mu_k$ 是 L 的曲率；10⁻⁶ 处为 0.10。（验证点在别的位置，"
                "蛇形曲线在那里偏得多，差距是 0.96。）"
                "差距会选[最大的 λ](#lam=0.001&choice=both&broken)。"
                "两者之和在中间最小。",
            ),
            Say(
                "**How sure?** $\\text{std}(e)/\\sqrt{30}$ is the *standard error* of the mean of "
                "30 squared errors $e$. "
                "10⁻⁴ to 0.01 are within one of the least: the optimum is flat. Take "
                "[the largest of them](#lam=0.01&choice=both).",
                "**有多大把握？** $\\text{std}(e)/\\sqrt{30}$ 是 30 个平方误差 $e$ 的平均值的**标准误**。"
                "从 10⁻⁴ 到 0.01，与最小值相差都不到一倍标准误：最优点附近是平的。"
                "取[其中最大的](#lam=0.01&choice=both)。",
            ),
            Say(
                "**Shorter is not smoother.** From [0.001](#lam=0.001&choice=both) to "
                "[0.01](#lam=0.01&choice=both) ‖θ‖² falls, and the *roughness*\n\n"
                r"$$\color{result}{\int (f″)^2=\theta^\top R\,\theta}$$"
                "\n\nrises from 438 to 1,090. What has to fall with λ is what is penalised.",
                "**更短不等于更平滑**。从 [0.001](#lam=0.001&choice=both) 到 "
                "[0.01](#lam=0.01&choice=both)，‖θ‖² 减小，**粗糙度**\n\n"
                r"$$\color{result}{\int (f″)^2=\theta^\top R\,\theta}$$"
                "\n\n却从 438 升到 1090。随 λ 必定下降的，只有被惩罚的那个量。",
            ),
        )
    )
    return


@app.function
def losses(x, y, x_val, y_val, strengths):
    """Training loss, validation loss and its standard error at each λ."""
    model = mr.nn.Linear(x.shape[1], 1, bias=False, dtype=float)
    path = mr.path(model, mr.nn.MSELoss(), mr.penalties.L2(1.0), x, y, strengths)
    theta = path.parameters["weight"][:, 0]
    train = np.mean((theta @ x.T - y[:, 0]) ** 2, axis=1)
    errors = (theta @ x_val.T - y_val[:, 0]) ** 2
    return train, errors.mean(axis=1), errors.std(axis=1, ddof=1) / len(x_val) ** 0.5


@app.cell(hide_code=True)
def _():
    Code(
        losses,
        "data, strengths = split(), (1, 0.1, 0.01, 0.001)\n"
        "for lam, *row in zip(strengths, *losses(*data, strengths)):\n"
        "    free = mr.implicit.degrees_of_freedom(data[0], lam / 2)\n"
        "    print(lam, np.round(row, 3), f'{free:.1f} of 13 weights free')",
        Say(
            "`degrees_of_freedom` is the sum in the formula. It is written for half of the mean squared "
            "error, hence λ/2.",
            "`degrees_of_freedom` 就是公式中的那个和。它是按“均方误差的一半”定义的，所以传入 λ/2。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C05", "C131"), also=("C03", "C04", "C06", "C08", "C132"))
    return


@app.function(hide_code=True)
def free(mu, lam):
    """How many weights ridge leaves free; mu has a curvature for each axis."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "free",
        Say(
            "Along an axis of curvature μ ridge keeps the share μ/(μ + λ) of what the data want "
            "(lesson 3). How many weights are free in all? This is the *effective capacity*.",
            "沿曲率为 μ 的轴，岭回归保留数据所要求的 μ/(μ + λ)（第 3 课）。"
            "总共还有多少个权重是自由的？这个数叫作**有效容量**。",
        ),
        free,
        capacity,
        cases=[
            (np.array([4.0, 1.0, 0.25]), 0.5),
            (np.array([2.0, 0.3]), 1.5),
            (np.array([3.0, 0.8, 0.05, 0.01]), 0.1),
        ],
        limits={
            Say("λ = 0: all three weights are free, 3.", "λ = 0：三个权重全都自由，应得 3。"): (
                np.array([2.0, 0.5, 0.1]),
                0.0,
            ),
            Say(
                "Four axes with μ = λ: each keeps one half, 2 in all.",
                "四条轴都有 μ = λ：各保留一半，总共 2。",
            ): (np.full(4, 0.5), 0.5),
            Say(
                "μ = 0: the data say nothing along the second axis, it counts for 0. In all 0.5.",
                "第二条轴 μ = 0：数据对它毫无要求，只算 0。总共 0.5。",
            ): (np.array([1.0, 0.0]), 1.0),
        },
        mistakes={
            Say(
                "That is what the penalty takes, Σ λ/(μ + λ). Free is what it leaves.",
                "这是惩罚拿走的 Σ λ/(μ + λ)。自由的是它留下的部分。",
            ): lambda mu, lam: np.sum(lam / (mu + lam)),
            Say(
                "μ is missing above: 1/(μ + λ) has the unit of one over a curvature and counts nothing.",
                "分子漏了 μ：1/(μ + λ) 的单位是曲率的倒数，并不计数。",
            ): lambda mu, lam: np.sum(1 / (mu + lam)),
            Say(
                "All weights: that is right without a penalty. With one, each counts in part.",
                "这是全部权重的个数，没有惩罚时才对。有惩罚，每个只算一部分。",
            ): lambda mu, lam: float(len(mu)),
            Say(
                "That counts the axes on which the data say anything, the rank. It does not fall with λ.",
                "这是数据有所要求的轴的条数，即秩，它不随 λ 减小。",
            ): lambda mu, lam: float(np.count_nonzero(mu)),
            Say(
                "That is the mean share of an axis. Free in all: their sum.",
                "这是每条轴平均保留的比例。总数应是它们之和。",
            ): lambda mu, lam: np.mean(mu / (mu + lam)),
            Say(
                "Each axis has a share of its own: first divide, then sum.",
                "每条轴各有自己的比例：先除，再求和。",
            ): lambda mu, lam: np.sum(mu) / (np.sum(mu) + lam),
            Say(
                "That treats all axes like one of mean curvature. Steep ones keep more, flat ones less.",
                "这是把每条轴都当作平均曲率来算。其实陡的轴保留得多，平坦的轴保留得少。",
            ): lambda mu, lam: len(mu) * np.mean(mu) / (np.mean(mu) + lam),
            Say(
                "Squared shares: they say how much noise gets into the predictions. Freedom is "
                "the sum of the "
                "shares.",
                "比例平方之和说的是有多少噪声进入预测。自由的个数是比例本身之和。",
            ): lambda mu, lam: np.sum((mu / (mu + lam)) ** 2),
            Say(
                "These are the shares, one an axis. Sum them.", "这是各轴的比例。还要求和。"
            ): lambda mu, lam: mu / (mu + lam),
            Say(
                "Twice the λ: ½λ‖θ‖² has the curvature λ, not 2λ.",
                "λ 多算了一倍：½λ‖θ‖² 的曲率是 λ，不是 2λ。",
            ): lambda mu, lam: np.sum(mu / (mu + 2 * lam)),
            Say(
                "Half the λ: as μ are curvatures of the loss, the penalty's is λ. (λ/2 belongs to those of "
                "half the loss.)",
                "λ 少了一半：μ 是损失的曲率，惩罚的曲率就是 λ。（λ/2 配的是“损失的一半”的曲率。）",
            ): lambda mu, lam: np.sum(mu / (mu + lam / 2)),
            Say(
                "A count of the axes with μ > λ: not far off, but it jumps. Ridge cuts off none of them, "
                "each counts in part.",
                "这是 μ > λ 的轴的条数：相差不远，却是跳变的。岭回归不切断任何一条轴，每条都算一部分。",
            ): lambda mu, lam: float(np.sum(mu > lam)),
            Say(
                "A count of the steep axes: not far off, but it jumps. Ridge cuts off none of them, "
                "each counts in part.",
                "这是较陡的轴的条数：相差不远，却是跳变的。岭回归不切断任何一条轴，每条都算一部分。",
            ): lambda mu, lam: float(np.sum(mu >= lam)),
            Say(
                "That holds where all μ are 1. A flat axis keeps less.",
                "只有所有 μ 都为 1 时才对。平坦的轴保留得少。",
            ): lambda mu, lam: len(mu) / (1 + lam),
            Say(
                "The wrong way round: here steep axes keep less. It is λ/μ that counts, not λμ.",
                "反了：这样越陡的轴保留越少。起作用的是 λ/μ，不是 λμ。",
            ): lambda mu, lam: np.sum(1 / (1 + lam * mu)),
            Say(
                "Right for tiny λ only; where λ > μ an axis would count less than nothing.",
                "只在 λ 极小时近似成立；λ > μ 的轴竟会算成负数。",
            ): lambda mu, lam: np.sum(1 - lam / mu),
            Say(
                "Right for huge λ only; at λ = 0 it is infinite, and there are only so many weights.",
                "只在 λ 极大时近似成立；λ → 0 时会趋于无穷，而权重只有那么多。",
            ): lambda mu, lam: np.sum(mu) / lam,
            Say(
                "Upside down: (μ + λ)/μ is above 1. No axis counts for more than one weight.",
                "分子分母颠倒了：(μ + λ)/μ 大于 1，而一条轴至多算一个权重。",
            ): lambda mu, lam: np.sum((mu + lam) / mu),
            Say(
                "A product would be 0 as soon as one axis is shut. Freedoms add.",
                "若是连乘，只要有一条轴被压到 0，结果就是 0。自由的个数应当相加。",
            ): lambda mu, lam: np.prod(mu / (mu + lam)),
            Say(
                "That is the freest axis alone. Sum over all.",
                "这只是保留最多的一条轴。应当对所有轴求和。",
            ): lambda mu, lam: np.max(mu / (mu + lam)),
            Say(
                "μ is a curvature already, the square of a singular value: no root.",
                "μ 已经是曲率，即奇异值的平方，不必开方。",
            ): lambda mu, lam: np.sum(np.sqrt(mu) / (np.sqrt(mu) + lam)),
            Say(
                "μ is a curvature already, the square of a singular value: do not square it again.",
                "μ 已经是曲率，即奇异值的平方，不要再平方。",
            ): lambda mu, lam: np.sum(mu**2 / (mu**2 + lam)),
            Say(
                "λ is not taken from the curvature, as by a soft threshold: it divides the share.",
                "这是从曲率中减去 λ 的软阈值。λ 不是减去，而是出现在比例的分母里。",
            ): lambda mu, lam: np.sum(np.maximum(mu - lam, 0)),
            Say(
                "No squares: at the minimum the pulls balance, μ(a − c) = λc, and neither is squared.",
                "不必平方：最小点处两边的拉力相等，μ(a − c) = λc，都没有平方。",
            ): lambda mu, lam: np.sum(mu**2 / (mu**2 + lam**2)),
            Say(
                "It has the right ends, but at μ = λ it leaves 0.37 of an axis. Ridge leaves one half.",
                "两端都对，但 μ = λ 时它只保留 0.37，岭回归保留一半。",
            ): lambda mu, lam: np.sum(np.exp(-lam / mu)),
            Say(
                "That is descent stopped at the time 1/λ (lesson 18): at μ = λ it has reached 0.63, ridge "
                "one half.",
                "这是在时刻 1/λ 早停的梯度下降（第 18 课）：μ = λ 时它已走到 0.63，岭回归是一半。",
            ): lambda mu, lam: np.sum(1 - np.exp(-mu / lam)),
        },
        hints=(
            Say(
                "Which share does the first axis keep, which the second?",
                "第一条轴保留几分之几？第二条呢？",
            ),
            Say(
                "One axis counts for its share. Sum them.",
                "一条轴保留几分之几，就算几分之几个。求和。",
            ),
        ),
        why=Say(
            "a dial that λ turns without steps, from the rank of the data to 0. In the picture: "
            "8.3 at 10⁻⁶, 4.4 at 0.01, 0.35 at 10.",
            "λ 连续地转动这个旋钮，从数据的秩一直到 0。图中：10⁻⁶ 处为 8.3，0.01 处为 4.4，10 处为 0.35。",
        ),
    )
    return


@app.function(hide_code=True)
def capacity(mu, lam):
    """How many weights ridge leaves free; mu has a curvature for each axis."""
    return np.sum(mu / (mu + lam))


@app.function(hide_code=True)
def largest(strengths, errors):
    """Meant: the largest λ within one standard error of the least validation loss."""
    means = errors.mean(axis=1)
    best = means.argmin()
    error = errors[best].std(ddof=1)
    limit = means[best] + error
    return strengths[means <= limit].max(), limit


@app.function(hide_code=True)
def chosen():
    """What the rule with the fault chooses in the picture, and what it chooses from."""
    errors = squares(STRENGTHS)[1]
    rows = [f"{lam:<6g} {e.mean():8.3f}" for lam, e in zip(STRENGTHS, errors, strict=True)]
    found, limit = largest(np.array(STRENGTHS), errors)
    return "\n".join(
        ["λ      validation loss", *rows, "", f"limit {limit:.3f}, chosen λ = {found:g}"]
    )


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "Among λ whose validation loss is within one standard error of the least, take the largest: the "
            "*one-standard-error rule*. `errors` has a row of 30 squared errors for each λ. In "
            "the picture it should choose "
            "0.01, and this program takes 0.1. Which line is wrong?",
            "在验证损失与最小值相差不超过一倍标准误的 λ 中，取最大的：这叫**一倍标准误规则**。"
            "`errors` 的每一行是一个 λ "
            "的 30 个平方误差。按图中的数据应选 0.01，这个程序却选了 0.1。哪一行错了？",
        ),
        largest,
        chosen,
        "std(ddof=1)",
        why=Say(
            "Yes: that is how far single errors scatter. The mean of 30 scatters √30 times less: "
            "`/ errors.shape[1] ** 0.5` is missing. Then the limit is 0.195, and 0.01 is chosen.",
            "对：这是单个误差的离散程度。30 个误差的平均值，离散程度小 √30 倍："
            "漏了 `/ errors.shape[1] ** 0.5`。改正后上限为 0.195，选出的是 0.01。",
        ),
        others={
            "mean(axis=1)": Say(
                "One mean for each λ, over its 30 points: the validation losses, as printed.",
                "对每个 λ 的 30 个点求平均，正是打印出来的验证损失。",
            ),
            "argmin": Say(
                "The rule does begin at the least validation loss. How far may it go from there?",
                "这条规则确实从验证损失最小处出发。从那里可以走多远？",
            ),
            "limit = ": Say(
                "One error above the least: right, if `error` is the right one.",
                "最小值加上一倍误差：只要 `error` 没错，这一行就对。",
            ),
            "return": Say(
                "The largest λ that keeps within the limit: so it should be. Is the limit right?",
                "在上限之内取最大的 λ，本该如此。上限对吗？",
            ),
            "": Say("Nothing is computed here.", "这一行没有计算什么。"),
        },
        hints=(
            Say(
                "The limit is 0.347, more than twice the least loss. What is as uncertain as that?",
                "上限是 0.347，是最小损失的两倍多。不确定到这种程度的是什么？",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def kept(k, lam):
    """The share of aₖ that is left of the wave aₖ cos(kt)."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "kept",
        Say(
            "Penalise roughness itself. The data are waves, y = Σ aₖ cos(kt) over a full turn, and "
            "f is to make the mean of (f − y)² + λ·(the mean of f″²) least. Which share of aₖ is "
            "left in f?",
            "惩罚粗糙度本身。数据是一圈上的波，y = Σ aₖ cos(kt)；f 使“(f − y)² 的平均值 + λ × f″² 的平均值”"
            "最小。f 中留下 aₖ 的几分之几？",
        ),
        kept,
        damped,
        cases=[(2, 0.05), (3, 0.004), (5, 0.001)],
        limits={
            Say("λ = 0: nothing is damped, 1.", "λ = 0：没有衰减，应得 1。"): (3, np.float64(0)),
            Say("k = 0: a constant does not bend, 1.", "k = 0：常数没有弯曲，应得 1。"): (
                np.float64(0),
                0.2,
            ),
        },
        mistakes={
            Say(
                "That is L2, the mean of f² in place of f″²: all waves lose the same share, noise or not.",
                "这是惩罚 f² 而不是 f″² 的 L2：所有的波都按同一比例减小，不管是不是噪声。",
            ): lambda k, lam: 1 / (1 + lam),
            Say(
                "That is for the slope f′. Each derivative brings a k, and there are two; then the square.",
                "这是惩罚斜率 f′ 的结果。每求一次导多一个 k，这里求两次，然后再平方。",
            ): lambda k, lam: 1 / (1 + lam * k**2),
            Say(
                "Two derivatives bring k², and the square makes k⁴ of it.",
                "求两次导得 k²，平方之后是 k⁴。",
            ): lambda k, lam: 1 / (1 + lam * k),
            Say(
                "Not k³: f″ brings k², its square k⁴.", "不是 k³：f″ 带来 k²，平方是 k⁴。"
            ): lambda k, lam: 1 / (1 + lam * k**3),
            Say(
                "Squared once too often: f″ brings k², its square k⁴.",
                "多平方了一次：f″ 带来 k²，平方是 k⁴。",
            ): lambda k, lam: 1 / (1 + lam * k**8),
            Say("That is what is lost.", "这是失去的部分。"): lambda k, lam: (
                lam * k**4 / (1 + lam * k**4)
            ),
            Say(
                "A factor 2 too much: neither term has a ½, and both means of cos² are the same.",
                "多了因子 2：两项都没有 ½，cos² 的平均值也相同。",
            ): lambda k, lam: 1 / (1 + 2 * lam * k**4),
            Say(
                "A factor ½ too much: the mean of cos² is ½ in both terms and cancels.",
                "多了因子 ½：两项中 cos² 的平均值都是 ½，已经约去。",
            ): lambda k, lam: 1 / (1 + lam * k**4 / 2),
            Say(
                "Right for small λk⁴ only: beyond 1 the wave would come back inverted.",
                "只在 λk⁴ 很小时近似成立：超过 1，波就会反相。",
            ): lambda k, lam: 1 - lam * k**4,
            Say(
                "That is what flowing down the penalty for a time λ leaves. At the minimum the data pull, "
                "too.",
                "这是沿惩罚项的梯度流走一段时间 λ 的结果。在最小点，数据也在拉。",
            ): lambda k, lam: np.exp(-lam * k**4),
            Say("λ is not raised to a power.", "λ 不取幂。"): lambda k, lam: (
                1 / (1 + (lam * k) ** 4)
            ),
            Say("λ is not squared.", "λ 不平方。"): lambda k, lam: 1 / (1 + lam**2 * k**4),
            Say(
                "The penalty alone, as if the data did not pull: the 1 is missing.",
                "只算了惩罚，好像数据不拉似的：漏了 1。",
            ): lambda k, lam: 1 / (lam * k**4),
            Say(
                "The wrong way round: this damps long waves. Short ones bend most.",
                "反了：这样衰减的是长波。弯得最厉害的是短波。",
            ): lambda k, lam: k**4 / (k**4 + lam),
            Say("Upside down: more than 1 is left.", "颠倒了：留下的竟比 1 多。"): lambda k, lam: (
                1 + lam * k**4
            ),
            Say("λ is missing.", "漏了 λ。"): lambda k, lam: 1 / (1 + k**4),
            Say(
                "That is the share of the energy, aₖ². Asked is that of aₖ.",
                "这是能量 aₖ² 的比例。问的是 aₖ 的比例。",
            ): lambda k, lam: 1 / (1 + lam * k**4) ** 2,
            Say(
                "(cos kt)″ is −k² cos kt, but it is squared: the sign is gone.",
                "(cos kt)″ = −k² cos kt，但平方之后没有负号。",
            ): lambda k, lam: 1 / (1 - lam * k**4),
            Say(
                "The factor k(k − 1) belongs to tᵏ. (cos kt)″ is −k² cos kt.",
                "k(k − 1) 是 tᵏ 求导的结果。(cos kt)″ = −k² cos kt。",
            ): lambda k, lam: 1 / (1 + lam * (k * (k - 1)) ** 2),
            Say(
                "No root: each term is a parabola in the coefficient c, and where its slopes cancel there "
                "is none.",
                "不必开方：两项都是系数 c 的二次函数，令导数之和为 0，不出现根号。",
            ): lambda k, lam: 1 / (1 + lam * k**4) ** 0.5,
            Say(
                "That is heat flowing for a time λ, which is driven by f″ once. Here f″ is squared, and the "
                "data pull, too.",
                "这是热流动一段时间 λ 的结果，其中 f″ 只出现一次。这里 f″ 要平方，数据也在拉。",
            ): lambda k, lam: np.exp(-lam * k**2),
            Say(
                "f″ is squared in the penalty: k⁴, and its minus is gone.",
                "惩罚里的 f″ 是平方的：应是 k⁴，负号也没有了。",
            ): lambda k, lam: 1 / (1 - lam * k**2),
            Say(
                "The wrong way round, and f″ squared brings k⁴: short waves bend most and keep least.",
                "反了，而且 f″ 的平方带来的是 k⁴：短波弯得最厉害，留下的最少。",
            ): lambda k, lam: k**2 / (k**2 + lam),
        },
        hints=(
            Say(
                "Waves of different k do not mix: take f = c cos(kt) alone. What is f″?",
                "不同 k 的波互不影响：只看 f = c cos(kt)。f″ 是什么？",
            ),
            Say(
                "Make (c − a)² + λk⁴c² least: the slope is 0.",
                "使 (c − a)² + λk⁴c² 最小：导数为 0。",
            ),
        ),
        why=Say(
            "a filter: λ = 0.001 keeps 98 % of wave 2 and 9 % of wave 10. Plain L2 would keep the same "
            "share of both. What is lowered is what you penalise.",
            "这是一个滤波器：λ = 0.001 时，第 2 个波留下 98%，第 10 个波只留 9%。"
            "普通的 L2 对两者保留同样的比例。惩罚什么，压低的就是什么。",
        ),
    )
    return


@app.function(hide_code=True)
def damped(k, lam):
    """The share of aₖ that is left of the wave aₖ cos(kt)."""
    return 1 / (1 + lam * k**4)


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "The same polynomial without a penalty: descent from 0 with η = 0.1 has its least "
            "validation loss after 5,724 steps. And with η = 0.2?",
            "还是这个多项式，不加惩罚：梯度下降从 0 出发，η = 0.1，验证损失在第 5724 步最小。"
            "若 η = 0.2 呢？",
        ),
        18,
        (
            Answer(
                Say("After about as many steps", "步数差不多"),
                Say(
                    "Each step goes twice as far, so the same place is reached in half the steps.",
                    "每一步走两倍远，到同一个地方只需一半的步数。",
                ),
            ),
            Answer(
                Say("After about twice as many", "步数约为两倍"),
                Say(
                    "The other way round: what counts is ηT. Longer steps need fewer.",
                    "反了：起作用的是 ηT。步子大，步数就少。",
                ),
            ),
            Answer(
                Say("After about half as many", "步数约为一半"),
                Say(
                    "Yes: 2,862. ηT counts, and 1/(ηT) = 0.0017 is near the best λ, 0.001. T, too, "
                    "is chosen by the validation loss.",
                    "对：2862 步。起作用的是 ηT，而 1/(ηT) = 0.0017 接近最好的 λ = 0.001。"
                    "T 同样要靠验证损失来选。",
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
                "Choose λ by the validation loss. The training loss would choose the smallest λ, the gap, "
                "on average, the largest; where the optimum is flat, take the largest λ within "
                "one standard error.",
                "按验证损失选 λ。只看训练损失会选最小的 λ，只看差距，平均而言会选最大的 λ；最优点附近平坦时，"
                "取一倍标准误之内最大的 λ。",
            ),
            Say(
                "λ is a dial of capacity. L2 makes the weights short; whether the function gets smoother "
                "has to be measured, or roughness itself penalised.",
                "λ 是容量的旋钮。L2 使权重变短；函数是否更平滑，要实际测量，或者直接惩罚粗糙度。",
            ),
            Say(
                "And from the whole course: write down what is made least, see where data and penalty "
                "balance, and let new data have the last word.",
                "整门课归结为一句话：写清楚要使什么最小，看数据与惩罚在哪里平衡，最后由新数据说了算。",
            ),
        )
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("Is it always like this? And for networks?", "总是这样吗？神经网络呢？"),
        Say(
            "**No.** The points are sin 3t with noise of 0.3, t at random in [−1, 1]; this draw was "
            "chosen among 5,000 because its curves are clear and its roughness rises. In 1,000 others the "
            "roughness rose from 0.001 to 0.01 in 235. The smallest gap was at λ = 10 in 505 and at 0.001 "
            "to 1 in 451, for a measured gap scatters and may be negative; on average it falls. At the best "
            "λ it made up 53 % of the validation loss (median), not 72 %. That λ was 0.001 or 0.01 in 724. "
            "Chosen by the smallest gap, the curve misses sin 3t by a mean square of 0.44 (median; the line "
            "f = 0 by 0.52), by the validation loss 0.065, by the one-standard-error rule 0.070.\n\n"
            "**The rule** is a convention, not a test: the errors at two λ belong to the same 30 points, and "
            "by their differences the data cannot tell 0.1 from 0.001, either (0.050, with a standard error "
            "of 0.060). It went to a larger λ in 407 draws, and to a rougher curve in 64. It "
            "does not predict "
            "better; it gives the model of less capacity, for little.\n\n"
            "**Roughness** is ∫f″² over [−1, 1], and so $R_{jk} = \\int (t^j)″(t^k)″$. "
            "`mr.penalties.Quadratic(lam, R)` penalises it; then it falls at every step of λ.\n\n"
            "**For networks**, whose trainings differ by their seeds, `mr.sweep(train, {'lam': strengths}, "
            "seeds=range(5))` repeats each, and `.best('validation_loss')` compares the means. "
            "If you have few data, exchange the roles of training and validation points in turn "
            "(cross-validation). Whatever chose λ cannot judge it: the last word needs points that "
            "nobody has "
            "looked at, the *test set*.",
            "**不是**。这些点是 sin 3t 加上标准差为 0.3 的噪声，t 在 [−1, 1] 内随机取；"
            "之所以用这一组，是因为在 5000 组中它的曲线较为清楚，粗糙度的上升也看得见。"
            "在另外 1000 组中，粗糙度从 0.001 到 0.01 上升的有 235 组；差距最小处在 λ = 10 的有 505 组，"
            "在 0.001 到 1 的有 451 组：测得的差距有起伏，甚至可以为负，只有平均起来才一路缩小。"
            "在最好的 λ 处，差距占验证损失的 53%（中位数），不是 72%。"
            "最好的 λ 是 0.001 或 0.01 的有 724 组。与 sin 3t 的均方偏差（中位数）："
            "按差距最小来选是 0.44（直线 f = 0 为 0.52），按验证损失选是 0.065，"
            "按一倍标准误规则是 0.070。\n\n"
            "**这条规则**是约定，不是检验：两个 λ 的误差来自同样的 30 个点，就逐点之差来看，"
            "数据也分不出 0.1 与 0.001（相差 0.050，标准误 0.060）。它在 407 组中选了更大的 λ，"
            "其中 64 组的曲线更粗糙。它并不预测得更准，而是以很小的代价换来容量更小的模型。\n\n"
            "**粗糙度**是 [−1, 1] 上的 ∫f″²，所以 $R_{jk} = \\int (t^j)″(t^k)″$。"
            "用 `mr.penalties.Quadratic(lam, R)` 惩罚它，它就随 λ 步步下降。\n\n"
            "**神经网络**的训练结果随随机种子而变：`mr.sweep(train, {'lam': strengths}, seeds=range(5))` "
            "把每个 λ 重复几次，`.best('validation_loss')` 比较平均值。数据少时，"
            "可以让各部分数据轮流充当验证集"
            "（交叉验证）。用来选 λ 的数据不能再用来评判它：最后要靠谁也没看过的数据，即**测试集**。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def drawn(draw, many=30):
    """Points of sin 3t with noise: t and y of 15 to train on, and of others to validate."""
    rng, found = np.random.default_rng(draw), []
    for n in (15, many):
        t = np.sort(rng.uniform(-1, 1, n))
        found += [t, np.sin(3 * t) + 0.3 * rng.standard_normal(n)]
    return found


@app.function(hide_code=True)
def powers(t):
    """1, t … t¹², a row for each t."""
    return np.vander(t, 13, increasing=True)


@app.function(hide_code=True)
def split():
    """x and y of training and validation, as a model takes them."""
    t, y, t_val, y_val = drawn(DRAW)
    return powers(t), y[:, None], powers(t_val), y_val[:, None]


@app.function(hide_code=True)
def ridge(x, y, lam):
    """The minimiser of mean (xθ − y)² + ½λ‖θ‖², by least squares with 13 more rows."""
    rows = np.vstack([x * (2 / len(x)) ** 0.5, np.eye(13) * lam**0.5])
    return np.linalg.lstsq(rows, np.r_[y * (2 / len(x)) ** 0.5, np.zeros(13)], rcond=None)[0]


@app.function(hide_code=True)
def squares(strengths, draw=DRAW):
    """θ at each λ, its squared errors on the validation points, and its training loss."""
    t, y, t_val, y_val = drawn(draw)
    theta = np.array([ridge(powers(t), y, lam) for lam in strengths])
    train = np.mean((theta @ powers(t).T - y) ** 2, axis=1)
    return theta, (theta @ powers(t_val).T - y_val) ** 2, train


@app.function(hide_code=True)
@cache
def bending():
    """R of ∫f″² = θᵀRθ over [−1, 1]."""
    second = np.polynomial.polynomial.polyder(np.eye(13), 2)  # column j: the coefficients of (tʲ)″
    nodes, weights = np.polynomial.legendre.leggauss(12)
    bends = np.vander(nodes, 11, increasing=True) @ second
    return bends.T @ (weights[:, None] * bends)


@app.function(hide_code=True)
def roughness(theta):
    """∫f″² of each row of weights."""
    return np.einsum("...i,ij,...j", theta, bending(), theta)


@app.function(hide_code=True)
@cache
def curves():
    """λ, training and validation loss between the seven λ, too."""
    strengths = np.geomspace(STRENGTHS[0], STRENGTHS[-1], 129)
    _, errors, train = squares(strengths)
    return strengths, train, errors.mean(axis=1)


@app.function(hide_code=True)
def picture(lam, choice, broken=False):
    """Losses over λ, the gap between them shaded; and the polynomial at this λ."""
    at, all_seen = STRENGTHS.index(lam), choice == "both"
    theta, errors, train = squares(STRENGTHS)
    val, (t, y, t_val, y_val), grid = errors.mean(axis=1), drawn(DRAW), np.linspace(-1, 1, 241)
    gap, bent = val - train, roughness(theta)
    left = Panel(
        Say("mean squared error", "均方误差"),
        x=(5e-7, 10), y=(0, 1.05), log="x", xlabel="λ", height=300,
        xticks=dict(zip(STRENGTHS[::2], NAMES[::2], strict=True)),
    )  # fmt: skip
    right = Panel(
        Say("the polynomial at this λ", "这个 λ 的多项式"),
        x=(-1, 1),
        y=(-2, 2),
        xlabel="t",
        height=300,
    )
    between, low, high = curves()
    if all_seen:
        limit = val.min() + errors[val.argmin()].std(ddof=1) / errors.shape[1] ** 0.5
        left.band(between, low, high, "reference").text(3e-6, 0.45, Say("gap", "差距"), "reference")
        left.hline(limit, Say("least + 1 standard error", "最小值 + 1 倍标准误"))
        left.line(between, high, "ink", label=Say("validation loss", "验证损失"))
        left.dots(STRENGTHS, val, "ink", size=4, hollow=True)
    left.line(between, low, "data", label=Say("training loss", "训练损失"))
    left.dots(STRENGTHS, train, "data", size=4)
    worst = int(gap.argmin() if all_seen else train.argmin())
    if broken:
        what = Say("smallest gap", "差距最小") if all_seen else Say("least", "最小")
        left.dots([STRENGTHS[worst]], train[[worst]], "broken", size=9, label=what)
    if all_seen:
        left.dots([lam], val[[at]], "ink", size=7)
        right.dots(t_val, y_val, "ink", size=4, hollow=True, label=Say("validation", "验证"))
    left.dots([lam], train[[at]], "data", size=7).handle(lam, train[at])
    right.line(grid, powers(grid) @ theta[at], "result", width=3)
    if broken:
        right.line(grid, powers(grid) @ theta[worst], "broken", label=f"λ = {NAMES[worst]}")
    right.dots(t, y, "data", size=5, label=Say("training", "训练"))
    rough, snake = (f"{float(f'{v:.3g}'):,.0f}" if v >= 10 else f"{v:.2g}" for v in bent[[at, 0]])
    if broken and all_seen:
        times = val[worst] / val.min()
        said = Say(
            f"the smallest gap chooses 10, where the validation loss is {times:.1f} times the least.",
            f"按差距最小，会选 10，那里的验证损失是最小值的 {times:.1f} 倍。",
        )
    elif broken:
        said = Say(
            f"the least training loss chooses 10⁻⁶; the roughness there is {snake}.",
            f"按训练损失最小，会选 10⁻⁶，那里的粗糙度是 {snake.replace(',', '')}。",
        )
    elif all_seen:
        said = Say(
            f"training\u00a0{train[at]:.3f} + gap\u00a0{gap[at]:.3f} = validation\u00a0{val[at]:.3f}; "
            f"roughness\u00a0{rough}.",
            f"训练\u00a0{train[at]:.3f} + 差距\u00a0{gap[at]:.3f} = 验证\u00a0{val[at]:.3f}；"
            f"粗糙度\u00a0{rough.replace(',', '')}。",
        )
    else:
        said = Say(
            f"training loss {train[at]:.3f}; roughness {rough}.",
            f"训练损失 {train[at]:.3f}；粗糙度 {rough.replace(',', '')}。",
        )
    return Frame(
        left, right, name=NAMES[at], said=said, train=train[at], val=val[at], rough=bent[at]
    )


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def draws(many=1000):
    """Of other draws: what each rule chooses, how far its curve is from sin 3t, and the gaps."""
    t = np.random.default_rng(99).uniform(-1, 1, 4000)
    x, found = powers(t), []
    for draw in range(many):
        theta, errors, train = squares(STRENGTHS, draw)
        val, off = errors.mean(axis=1), np.mean((theta @ x.T - np.sin(3 * t)) ** 2, axis=1)
        best = val.argmin()
        one = np.flatnonzero(val <= val[best] + errors[best].std(ddof=1) / 30**0.5).max()
        gap = (val - train).argmin()
        bent = roughness(theta)
        rougher, rises = one > best and bent[one] > bent[best], bent[3] > bent[2]
        share = 1 - train[best] / val[best]
        row = best, one, rougher, off[best], off[one], off[gap], gap, rises, share, *(val - train)
        found.append(row)
    return np.array(found)


@app.function(hide_code=True)
def stopped(lr, most=200_000):
    """After how many steps of descent from 0 without a penalty the validation loss is least."""
    x, y, x_val, y_val = split()
    mu, v = np.linalg.eigh(2 * x.T @ x / len(x))
    mu, end = np.maximum(mu, 1e-12), v.T @ (2 * x.T @ y[:, 0] / len(x))
    steps = np.arange(1, most + 1)
    gone = -np.expm1(np.outer(steps, np.log1p(-lr * mu))) / mu
    return steps[np.mean((gone * end @ (x_val @ v).T - y_val[:, 0]) ** 2, axis=1).argmin()]


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    theta, errors, train = squares(STRENGTHS)
    val, rough = errors.mean(axis=1), roughness(theta)
    gap, size = val - train, np.sum(theta**2, axis=1)
    error, paired = errors[2].std(ddof=1) / 30**0.5, errors[4] - errors[2]
    x, y, x_val, y_val = split()
    solved = losses(x, y, x_val, y_val, (1, 0.1, 0.01, 0.001))
    free = [mr.implicit.degrees_of_freedom(x, lam / 2) for lam in STRENGTHS]
    mu = 2 * np.linalg.eigvalsh(x.T @ x / 15)
    wrong, limit = largest(np.array(STRENGTHS), errors)
    # the roughness itself as the penalty: along R's eigenvectors each weight has its own λ
    values, vectors = np.linalg.eigh(bending())
    rows = lambda s: np.vstack(
        [x @ vectors * (2 / 15) ** 0.5, np.diag((s * values.clip(0)) ** 0.5)]
    )
    right = np.r_[y[:, 0] * (2 / 15) ** 0.5, np.zeros(13)]
    bent = [vectors @ np.linalg.lstsq(rows(s), right, rcond=None)[0] for s in STRENGTHS]
    smooth = mr.penalties.Quadratic(STRENGTHS[2], bending())
    pull = smooth.gradient(bent[2]) + 2 * x.T @ (x @ bent[2] - y[:, 0]) / 15
    many = draws()
    early = {lr: stopped(lr) for lr in (0.1, 0.2)}
    t = np.arange(64) * 2 * np.pi / 64
    basis = np.cos(np.outer(t, (2, 10)))
    waves = mr.penalties.L2(
        0.002, weight=np.array([2.0, 10.0]) ** 4 / 2
    )  # λ·mean f″² = ½·2λ·Σ½k⁴c²
    model = mr.nn.Linear(2, 1, bias=False, dtype=float)
    mr.solve(model, mr.nn.MSELoss(), waves, basis, basis.sum(axis=1, keepdims=True))
    filtered = model.weight.numpy()[0]
    near = lambda name, value, said, by: holds(name, value, at_least=said - by, at_most=said + by)
    return [
        holds("|mr.path − the picture's losses|",
              max(abs(solved[0] - train[5:1:-1]).max(), abs(solved[1] - val[5:1:-1]).max()), at_most=1e-6),
        near("|Σ μ/(μ + λ) − degrees_of_freedom|",
             max(abs(capacity(mu, s) - f) for s, f in zip(STRENGTHS, free, strict=True)), 0, 1e-6),
        near("free at 10⁻⁶", free[0], 8.3, 0.05),
        near("free at 0.01", free[3], 4.4, 0.05),
        near("free at 10", free[6], 0.35, 0.005),
        holds("training loss over the seven λ: least rise", np.diff(train).min(), at_least=0),
        holds("best λ", STRENGTHS[val.argmin()], at_least=0.001, at_most=0.001),
        near("training loss at 10⁻⁶", train[0], 0.022, 5e-4),
        near("validation loss there", val[0], 0.98, 0.01),
        near("over the training loss", val[0] / train[0], 45, 0.5),
        near("validation loss at 0.001", val[2], 0.16, 0.005),
        near("over that at 10⁻⁶", val[2] / val[0], 1 / 6, 0.01),
        breaks("the gap there: share of the validation loss", gap[2] / val[2], at_least=0.715, at_most=0.725),
        near("gap at 10⁻⁶", gap[0], 0.96, 0.005),
        near("by the formula, at the same places", 2 * 0.3**2 / 15 * free[0], 0.1, 0.005),
        near("training loss at 1", train[5], 0.44, 0.005),
        near("validation loss at 1", val[5], 0.49, 0.005),
        near("over the least", val[5] / val[2], 3, 0.1),
        holds("gap over the seven λ: largest rise", np.diff(gap).max(), at_most=0),
        holds("λ of the smallest gap", STRENGTHS[gap.argmin()], at_least=10, at_most=10),
        breaks("validation loss there over the least", val[6] / val[2], at_least=4.5),
        near("λ within one standard error: the smallest", min(np.array(STRENGTHS)[val <= val[2] + error]),
             1e-4, 0),
        near("the largest", max(np.array(STRENGTHS)[val <= val[2] + error]), 0.01, 0),
        near("limit of the rule", val[2] + error, 0.195, 5e-4),
        breaks("with the deviation of single errors: limit", limit, at_least=0.347, at_most=0.348),
        breaks("and λ", wrong, at_least=0.1, at_most=0.1),
        holds("‖θ‖² at 0.01 over that at 0.001", size[3] / size[2], at_most=0.4),
        near("roughness at 0.001", rough[2], 438, 0.5),
        breaks("roughness at 0.01", rough[3], at_least=1085, at_most=1095),
        corrects("roughness penalised: its largest rise over the seven λ", np.diff(roughness(bent)).max(),
                 at_most=0),
        corrects("|gradient of loss + Quadratic there|", abs(pull).max(), at_most=1e-9),
        near("waves: share left of k = 2", filtered[0], 0.98, 0.005),
        near("of k = 10", filtered[1], 0.09, 0.002),
        holds("|kept − filtered|", max(abs(filtered - [damped(2, 0.001), damped(10, 0.001)])), at_most=1e-8),
        near("η = 0.1: steps to the least validation loss", early[0.1], 5724, 5),
        near("η = 0.2", early[0.2], 2862, 5),
        near("1/(ηT)", 1 / (0.1 * early[0.1]), 0.0017, 5e-5),
        near("1,000 draws: best λ 0.001 or 0.01", np.isin(many[:, 0], (2, 3)).sum(), 724, 2),
        near("the rule chose a larger λ", np.sum(many[:, 1] > many[:, 0]), 407, 2),
        near("and was rougher there", many[:, 2].sum(), 64, 2),
        breaks("by the smallest gap: median distance to sin 3t", np.median(many[:, 5]), at_least=0.435,
               at_most=0.445),
        near("smallest gap at λ = 10", np.sum(many[:, 6] == 6), 505, 2),
        near("at 0.001 to 1", np.isin(many[:, 6], (2, 3, 4, 5)).sum(), 451, 2),
        holds("least gap of all", many[:, 9:].min(), at_most=-0.01),
        holds("mean gap over the seven λ: largest rise", np.diff(many[:, 9:].mean(axis=0)).max(), at_most=0),
        near("gap at the best λ: median share of the validation loss", np.median(many[:, 8]), 0.53, 0.005),
        near("rougher at 0.01 than at 0.001", np.sum(many[:, 7]), 235, 2),
        near("this draw: validation loss at 0.1 − at 0.001", paired.mean(), 0.05, 5e-4),
        near("its standard error", paired.std(ddof=1) / 30**0.5, 0.06, 5e-4),
        near("of f = 0", 0.5 - np.sin(6) / 12, 0.52, 0.005),
        near("by the validation loss", np.median(many[:, 3]), 0.065, 5e-4),
        near("by the rule", np.median(many[:, 4]), 0.07, 5e-4),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
