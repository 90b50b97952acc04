"""Which penalty is dropout?

For everybody who has put a Dropout layer somewhere. Afterwards you can write down the penalty that it
is on average, say whose weights it makes expensive, and where it stops being an L2.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 14: which penalty is dropout?")

with app.setup(hide_code=True):
    from functools import cache

    import numpy as np

    import minireg as mr
    from minireg.course.claims import breaks, holds
    from minireg.course.parts import (
        Answer,
        Appendix,
        Close,
        Code,
        Hunt,
        Keep,
        Order,
        Predict,
        Recall,
        Title,
        Told,
        Why,
        Write,
    )
    from minireg.pictures import Frame, Panel, Say, Scene

    SQUARE = mr.nn.MSELoss(reduction="none")
    LOGISTIC = mr.nn.BCEWithLogitsLoss(reduction="none")


@app.cell(hide_code=True)
def _():
    Title(
        Say("Which penalty is dropout?", "Dropout 是哪一种惩罚？"),
        lead=Say(
            "Weights w predict the course of diabetes from ten measurements x (s1–s6: six blood values), "
            "with their means subtracted. Dropout keeps each with chance p, as x/p, and else hides it. On "
            "average that is a penalty Σλⱼwⱼ².",
            "用权重 w 由十项测量值 x（s1–s6 为六项血清指标；均已减去均值）预测糖尿病的病情。"
            "Dropout 以概率 p 保留每项测量值，并把它除以 p，否则置零。平均而言，这相当于一个惩罚 Σλⱼwⱼ²。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "All ten measurements are hidden equally often. Which λⱼ is largest?",
            "十项测量值被置零的机会相同。哪一个 λⱼ 最大？",
        ),
        (
            Answer(
                Say("None: all are equal", "没有最大的，它们都相等"),
                Say(
                    "The chances are equal, not the harm: to hide xⱼ moves the prediction by wⱼxⱼ, so what "
                    "varies much costs much. In the patients' units the largest λⱼ is 4,800 times the "
                    "smallest. Standardized, all vary alike; only then they are equal.",
                    "机会相同，影响却不同：把 xⱼ 置零会使预测值移动 wⱼxⱼ，所以变动越大的测量值代价越高。"
                    "按原始单位，最大的 λⱼ 是最小的 4800 倍。标准化之后，各项的变动一样大，"
                    "只有这时它们才相等。",
                ),
            ),
            Answer(
                Say("That of the largest weight", "权重最大的那一项"),
                Say(
                    "It costs much because w² is large, not because λⱼ is: λⱼ knows the column xⱼ only. The "
                    "largest weight here, the one of s5, has nearly the lowest bar.",
                    "它代价高，是因为 w² 大，而不是 λⱼ 大：λⱼ 只由 xⱼ 这一列决定。"
                    "这里最大的权重属于 s5，它的柱子却几乎是最矮的。",
                ),
            ),
            Answer(
                Say("That of the numbers that vary most", "数值变动最大的那一项"),
                Say(
                    "Yes: λⱼ is (1 − p)/p times the mean of xⱼ², whatever the weight. Every measurement has "
                    "a price of its own, which the data set.",
                    "对：λⱼ 等于 (1 − p)/p 乘以 xⱼ² 的平均，与权重无关。"
                    "每项测量值各有自己的系数，由数据决定。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: how do the ten bars move with p, and with the units?",
            "你看到了什么：p 改变时，十根柱子怎样变？换了单位呢？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "p",
        (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        start=0.6,
        label=Say("p (keep)", "保留概率 p"),
        choices={
            "own": Say("raw units", "原始单位"),
            "standard": Say("standardized", "标准化"),
            "logistic": Say("logistic", "逻辑损失"),
        },
        broken=Say("nn.Dropout(p)", "写成 nn.Dropout(p)"),
        caption=Say(
            "Without dropout the loss is {plain:.2f}, with it {mean:.2f} on average over all {masks:,} "
            "masks. {said}",
            "不用 Dropout，损失为 {plain:.2f}；用了之后，对全部 {masks:g} 种掩码平均为 {mean:.2f}。{said}",
        ),
        alt=Say(
            "Left, the loss of fixed weights under 200 random masks: a cloud of dots, most of them "
            "above the loss without dropout; how many lie beyond the top edge is written there. Their "
            "mean lies above it by exactly the penalty. With smaller p the cloud rises and widens. "
            "Right, the λ of each of ten weights as bars on a logarithmic axis, the measured ones as "
            "dots on their tops, and above them all a dashed line, the one λ of the textbook. "
            "Standardized, the bars are equally high. Under the logistic loss, what dropout adds "
            "against the length of the weights: a parabola at first, then far below it. Broken, cloud "
            "and dots are too high or too low.",
            "左图：权重固定，200 个随机掩码下的损失，散点大多在不用 Dropout 的损失之上，"
            "超出上边缘的写明个数；其平均恰好高出一个惩罚。p 越小，散点越高、越散。"
            "右图：十个权重各自的 λ，画成对数轴上的柱子，"
            "实测值是柱顶上的点；教材的单一 λ 是高过所有柱子的虚线。标准化之后，柱子一样高。"
            "换成逻辑损失，右图是 Dropout 所加的量随权重长度的变化：起初是抛物线，后来远低于它。"
            "故意弄错时，散点和实测点过高或过低。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**It scatters.** A measurement that is kept counts as $x_j/p$. So on average the prediction "
                "$\\hat y$ is what it was; but it has got a variance.\n\n"
                r"$$\mathrm{Var}\,\hat y = \color{penalty}{\frac{1-p}{p}\sum_j w_j^2\,x_j^2}$$",
                "**预测值在波动**。保留下来的测量值按 $x_j/p$ 计算，所以预测值 $\\hat y$ 的平均不变，"
                "只是有了方差。\n\n"
                r"$$\mathrm{Var}\,\hat y = \color{penalty}{\frac{1-p}{p}\sum_j w_j^2\,x_j^2}$$",
            ),
            Say(
                "**A mean square** grows by the variance. Averaged over patients, ⟨ ⟩, this is a ridge "
                "with a price for each feature. [Standardized](#choice=standard) all are "
                "equal; the textbook's is their sum.\n\n"
                r"$$\color{result}{\mathrm{E}\,L} = \color{data}{L_0} + "
                r"\color{penalty}{\sum_j\lambda_j w_j^2},"
                r"\qquad \color{penalty}{\lambda_j = \frac{1-p}{p}\,\langle x_j^2\rangle}$$",
                "**平方误差的平均**随之增大，增量正是方差。再对患者取平均（记作 ⟨ ⟩），"
                "就得到逐个特征的岭惩罚。"
                "[标准化](#choice=standard)之后，各个 λⱼ 相等；教材的 λ 则是它们之和。\n\n"
                r"$$\color{result}{\mathrm{E}\,L} = \color{data}{L_0} + "
                r"\color{penalty}{\sum_j\lambda_j w_j^2},"
                r"\qquad \color{penalty}{\lambda_j = \frac{1-p}{p}\,\langle x_j^2\rangle}$$",
            ),
            Say(
                "**Another loss** feels the variance by its curvature, which is 2 for the square. "
                "[The logistic one](#choice=logistic) has $\\sigma(1-\\sigma)$ at its logit $z$: next to "
                "nothing where it is sure.\n\n"
                r"$$\color{result}{\mathrm{E}\,L} - \color{data}{L_0} \approx "
                r"\color{penalty}{\tfrac12\,\langle\sigma(1-\sigma)\,\mathrm{Var}\,z\rangle}$$",
                "**换一种损失**，方差的影响取决于它的曲率；平方的曲率是 2。"
                "[逻辑损失](#choice=logistic)在 logit $z$ 处的曲率是 $\\sigma(1-\\sigma)$："
                "模型有把握的地方，它几乎为零。\n\n"
                r"$$\color{result}{\mathrm{E}\,L} - \color{data}{L_0} \approx "
                r"\color{penalty}{\tfrac12\,\langle\sigma(1-\sigma)\,\mathrm{Var}\,z\rangle}$$",
            ),
        )
    )
    return


@app.function
def added(x, y, w, p):
    """What dropout adds on average, to the loss and to its gradient, by all masks."""
    drop = mr.nn.Dropout(1 - p)  # it wants the chance of dropping
    model = mr.nn.Sequential(drop, mr.nn.Linear(len(w), 1, bias=False)).double()
    model[1].weight.assign(w[None])
    effect = mr.implicit.dropout_effect(lambda: mr.nn.MSELoss()(model(x), y), model)
    return effect.value, effect.gradients["1.weight"][0]


@app.cell(hide_code=True)
def _():
    Code(
        added,
        "x, y, w = patients('own')\n"
        "for p in (0.5, 0.8):\n"
        "    value, slope = added(x, y, w, p)\n"
        "    print(f'p = {p}:', value, mr.implicit.dropout_penalty(w, x, 1 - p))\n"
        "    print(*(slope / (2 * w)).round(2))",
        Say(
            "Beware: in the texts p *keeps*, in `nn.Dropout(p)` it *drops*. Printed are the penalty by all "
            "1,024 masks, by the formula, and the λⱼ. A layer draws a mask for each patient: the same mean, "
            "less scatter.",
            "注意：在教材里 p 是*保留*的概率，在 `nn.Dropout(p)` 里是*丢弃*的概率。"
            "输出依次是由全部 1024 种掩码算出的惩罚、由公式算出的惩罚，以及各个 λⱼ。"
            "实际的层对每位患者各取一个掩码：平均相同，波动更小。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C75", "C76", "C77"), also=("C78", "C79"))
    return


@app.function(hide_code=True)
def prices(x, p):
    """One λ for each column of x."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "prices",
        Say(
            "`x` has a row for each patient and a column for each measurement; `p` is the chance to "
            "*keep*. Return all λⱼ for the mean square error.",
            "`x` 每行是一位患者，每列是一项测量值；`p` 是*保留*的概率。损失为均方误差，返回全部 λⱼ。",
        ),
        prices,
        of_columns,
        cases=[
            (np.array([[1.0, 3.0], [2.0, -1.0], [0.5, 2.0]]), 0.8),
            (np.array([[0.2, -5.0, 1.0], [1.5, 4.0, 2.0]]), 0.4),
            (np.array([[3.0, 0.1], [-2.0, 0.4], [1.0, -0.3], [2.0, 0.5]]), 0.5),
        ],
        limits={
            Say(
                "Nothing is hidden at p = 1: every λⱼ is 0.",
                "p = 1 时什么也不丢弃，每个 λⱼ 都是 0。",
            ): (np.array([[1.0, 2.0], [3.0, -1.0], [2.0, 0.5]]), np.float64(1.0)),
            Say(
                "Where all numbers are 0, nobody notices what is hidden: every λⱼ is 0.",
                "测量值全是 0 时，丢弃与否毫无影响，每个 λⱼ 都是 0。",
            ): (np.zeros((3, 2)), 0.7),
        },
        mistakes={
            Say(
                "Without x² all features pay alike. But to hide a large number moves the prediction more: "
                "multiply by the mean of xⱼ².",
                "没有 x²，所有特征的系数就都一样。可是丢弃大的数，预测变动也大：还要乘以 xⱼ² 的平均。",
            ): lambda x, p: np.full(x.shape[1], (1 - p) / p),
            Say(
                "Without x² this is one number for all. But to hide a large number moves the prediction "
                "more: multiply by the mean of each xⱼ².",
                "没有 x²，就成了共用的一个数。可是丢弃大的数，预测变动也大：还要乘以各个 xⱼ² 的平均。",
            ): lambda x, p: (1 - p) / p,
            Say(
                "That is one number for all, and keep and drop are exchanged: it would grow as less is "
                "hidden. Multiply (1 − p)/p by the mean of each xⱼ².",
                "这是共用的一个数，而且保留与丢弃弄反了：这样丢弃得越少，惩罚反而越大。"
                "应取 (1 − p)/p，再乘以各个 xⱼ² 的平均。",
            ): lambda x, p: p / np.float64(1 - p),
            Say(
                "Keep and drop are exchanged: p/(1 − p) is right if p is the chance of dropping. It would "
                "grow as less is hidden.",
                "保留与丢弃弄反了：p 是丢弃的概率时，才是 p/(1 − p)。这样丢弃得越少，惩罚反而越大。",
            ): lambda x, p: (x**2).mean(0) * (p / np.float64(1 - p)),
            Say(
                "That is one number, ‖x‖²/N times (1 − p)/p, as the textbook has it: the sum of all λⱼ. "
                "Each weight would pay for the columns of all.",
                "这是一个数，即教材的 (1 − p)/p 乘以 ‖x‖²/N，也就是所有 λⱼ 之和。"
                "这样每个权重都在替所有的列付账。",
            ): lambda x, p: (1 - p) / p * (x**2).sum() / len(x),
            Say(
                "Each of them is now the sum of all λⱼ, as the textbook has it. A weight pays for its own "
                "column only: take the mean down each column.",
                "这里每一个都成了所有 λⱼ 之和，教材正是这样写的。权重只替自己的那一列付账："
                "应当逐列取平均。",
            ): lambda x, p: np.full(x.shape[1], (1 - p) / p * (x**2).sum() / len(x)),
            Say(
                "That is one number: the mean over patients *and* measurements. Keep the columns apart: "
                "`.mean(0)`.",
                "这是一个数：对患者*和*测量值都取了平均。各列要分开：`.mean(0)`。",
            ): lambda x, p: (1 - p) / p * (x**2).mean(),
            Say(
                "Summed over the patients. The loss is a mean, so take the mean of xⱼ².",
                "这里对患者求了和。损失是平均，所以 xⱼ² 也要取平均。",
            ): lambda x, p: (1 - p) / p * (x**2).sum(0),
            Say(
                "That is a number for each patient. A price belongs to a weight: take the mean over the "
                "rows, `.mean(0)`.",
                "这是每位患者一个数。系数属于权重：应对各行取平均，`.mean(0)`。",
            ): lambda x, p: (1 - p) / p * (x**2).mean(1),
            Say(
                "The sum of a patient's squares, a number for each patient. A price belongs to a weight: "
                "take the mean over the rows, `.mean(0)`.",
                "这是每位患者各项的平方和，每位患者一个数。系数属于权重：应对各行取平均，`.mean(0)`。",
            ): lambda x, p: (1 - p) / p * (x**2).sum(1),
            Say(
                "Dropout hides x itself, not its distance from the mean: take the mean of xⱼ². The variance "
                "is the same only for columns of mean 0.",
                "Dropout 丢弃的是 x 本身，不是它与平均的差：应取 xⱼ² 的平均。"
                "只有平均为 0 的列，方差才与它相同。",
            ): lambda x, p: (1 - p) / p * x.var(0),
            Say(
                "That divides by N − 1, and is measured from the mean. Dropout hides x itself: take the mean "
                "of xⱼ².",
                "这里除以的是 N − 1，而且是相对平均值算的。Dropout 丢弃的是 x 本身：应取 xⱼ² 的平均。",
            ): lambda x, p: (1 - p) / p * x.var(0, ddof=1),
            Say(
                "Square first, then take the mean: the square of a mean of sizes is too small.",
                "先平方，再取平均：先对 |xⱼ| 取平均再平方，就偏小了。",
            ): lambda x, p: (1 - p) / p * np.abs(x).mean(0) ** 2,
            Say(
                "Square first, then take the mean: large values of both signs would cancel.",
                "先平方，再取平均：否则正负相反的大数会互相抵消。",
            ): lambda x, p: (1 - p) / p * x.mean(0) ** 2,
            Say(
                "The square is missing: a variance goes as xⱼ².",
                "漏了平方：方差与 xⱼ² 成正比。",
            ): lambda x, p: (1 - p) / p * x.mean(0),
            Say(
                "The size of xⱼ comes in squared: a variance goes as xⱼ².",
                "xⱼ 的大小要平方：方差与 xⱼ² 成正比。",
            ): lambda x, p: (1 - p) / p * np.abs(x).mean(0),
            Say(
                "That is a root too many: a variance goes as xⱼ², not as its length.",
                "多开了一次方：方差与 xⱼ² 成正比。",
            ): lambda x, p: (1 - p) / p * np.sqrt((x**2).mean(0)),
            Say(
                "That is the length of each column, a root too many: take the mean of its squares.",
                "这是每一列的长度，多开了一次方：应取平方的平均。",
            ): lambda x, p: (1 - p) / p * np.linalg.norm(x, axis=0),
            Say(
                "The standard deviation is a root too many, and measured from the mean. Dropout hides x "
                "itself: take the mean of xⱼ².",
                "标准差多开了一次方，而且是相对平均值算的。Dropout 丢弃的是 x 本身：应取 xⱼ² 的平均。",
            ): lambda x, p: (1 - p) / p * x.std(0),
            Say(
                "That is 2λⱼ, which stands before wⱼ in the gradient. Asked is the λⱼ of Σλⱼwⱼ².",
                "这是 2λⱼ，即梯度中 wⱼ 前面的数。要求的是 Σλⱼwⱼ² 中的 λⱼ。",
            ): lambda x, p: 2 * (1 - p) / p * (x**2).mean(0),
            Say(
                "Half too little: that would be for half the square error. Here it has no ½.",
                "少了一半：平方误差带 ½ 时才是这样，这里没有 ½。",
            ): lambda x, p: (1 - p) / p * (x**2).mean(0) / 2,
            Say(
                "That is the variance of a mask. But what is kept is divided by p, and the variance by p².",
                "这是掩码的方差。可保留下来的要除以 p，方差就要除以 p²。",
            ): lambda x, p: p * (1 - p) * (x**2).mean(0),
            Say(
                "The variance of a mask is p(1 − p); divided by p² it is (1 − p)/p. You divided by p once.",
                "掩码的方差是 p(1 − p)，除以 p² 得 (1 − p)/p。你只除了一次 p。",
            ): lambda x, p: (1 - p) * (x**2).mean(0),
            Say(
                "1/p is the mean square of m/p. The variance is that minus the square of its mean, 1.",
                "1/p 是 m/p 的平方的平均。方差还要减去平均的平方，即减去 1。",
            ): lambda x, p: (x**2).mean(0) / p,
            Say(
                "That p is the mean of m²; it grows as less is hidden. Wanted is the variance of m/p.",
                "p 是 m² 的平均，丢弃越少它越大。要的是 m/p 的方差。",
            ): lambda x, p: p * (x**2).mean(0),
            Say(
                "One p too many below: p(1 − p)/p² is (1 − p)/p.",
                "分母多了一个 p：p(1 − p)/p² 等于 (1 − p)/p。",
            ): lambda x, p: (1 - p) / p**2 * (x**2).mean(0),
            Say(
                "That is how far it scatters, the standard deviation. The square error feels the variance, "
                "(1 − p)/p.",
                "这是波动的幅度，即标准差。影响平方误差的是方差，即 (1 − p)/p。",
            ): lambda x, p: np.sqrt((1 - p) / p) * (x**2).mean(0),
        },
        why=Say(
            "the variance of m/p, m being 1 or 0, is p(1 − p)/p² = (1 − p)/p; times wⱼ²xⱼ², then the mean "
            "over patients.",
            "m 取 1 或 0，m/p 的方差是 p(1 − p)/p² = (1 − p)/p；乘以 wⱼ²xⱼ²，再对患者取平均。",
        ),
        hints=(
            Say(
                "A single xⱼ counts as xⱼm/p, where m is 1 with chance p, else 0. What is its variance?",
                "一个 xⱼ 按 xⱼm/p 计算，m 以概率 p 取 1，否则取 0。它的方差是多少？",
            ),
            Say(
                "m has the variance p(1 − p). Then take the mean over the rows: `.mean(0)`.",
                "m 的方差是 p(1 − p)。再对各行取平均：`.mean(0)`。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def of_columns(x, p):
    """One λ for each column of x."""
    return (1 - p) / p * (x**2).mean(axis=0)


@app.cell(hide_code=True)
def _():
    Order(
        "without_dice",
        Say(
            "Dropout without dice: put together descent on the mean square error that feels on average what "
            "dropout does, but never hides anything. `x` is (N, 10), p the chance to keep, `lr` the rate. "
            "Four lines do not belong.",
            "不掷骰子的 Dropout：拼出均方误差的梯度下降，它什么也不丢弃，受到的却是 Dropout 的平均作用。"
            "`x` 的形状是 (N, 10)，p 是保留概率，`lr` 是学习率。有四行是多余的。",
        ),
        lines={
            "lam = (1 - p) / p * (x**2).mean(0)": Say(
                "A price for each column. It does not depend on w, so once is enough.",
                "每列一个系数，与 w 无关，所以算一次就够。",
            ),
            "w = np.zeros(10)": Say("The start.", "起点。"),
            "for _ in range(50):": Say("Step after step.", "一步接一步。"),
            "    r = x @ w - y": Say(
                "The errors without dropout, at the present w.", "不用 Dropout 的误差，取当前的 w。"
            ),
            "    g = 2 * x.T @ r / N": Say("The gradient of L₀.", "L₀ 的梯度。"),
            "    g = g + 2 * lam * w": Say(
                "Plus that of Σλⱼwⱼ²: the square gives the 2.",
                "加上 Σλⱼwⱼ² 的梯度：平方求导得出 2。",
            ),
            "    w = w - lr * g": Say(
                "A step against both together.", "沿两者之和的反方向走一步。"
            ),
        },
        distractors={
            "    g = g + lam * w": Say(
                "That is half of it, as the textbook has it. λⱼwⱼ is the slope of ½λⱼwⱼ²; but dropout adds "
                "λⱼwⱼ² to the square error.",
                "这只有一半，教材正是这样写的。λⱼwⱼ 是 ½λⱼwⱼ² 的梯度，而 Dropout 给平方误差加上的是 λⱼwⱼ²。",
            ),
            "lam = (1 - p) / p * (x**2).sum() / N": Say(
                "The sum over all columns makes each weight pay for the columns of all: ten times too much "
                "here.",
                "对所有列求和，就让每个权重替所有的列付账：在这里大了十倍。",
            ),
            "lam = p / (1 - p) * (x**2).mean(0)": Say(
                "That is right if p is the chance of dropping. Here p keeps.",
                "若 p 是丢弃的概率，这样才对。这里 p 是保留的概率。",
            ),
            "    r = x @ (w * (rng.random(10) < p) / p) - y": Say(
                "Here are the dice. And with the penalty besides, the same noise would be paid for twice.",
                "骰子在这里。而且再加上惩罚，同样的噪声就罚了两次。",
            ),
        },
        given=by_hand,
        result="w",
        hints=(
            Say(
                "On average dropout's loss is L₀ + Σλⱼwⱼ². What is the gradient of that?",
                "平均而言，Dropout 的损失是 L₀ + Σλⱼwⱼ²。它的梯度是什么？",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def added_to_logistic(w, p=0.6):
    """Meant to say about how much dropout adds to the logistic loss."""
    x, _ = tumours()
    odds = (1 - p) / p
    variance = odds * (x**2 @ w**2)
    curvature = 1 / 4
    return np.mean(0.5 * curvature * variance)


@app.function(hide_code=True)
def beside_masks():
    """What dropout adds by :func:`added_to_logistic`, and by all masks, for weights of four lengths."""
    w = trained() / np.linalg.norm(trained())
    rows = [f"{'‖w‖':>6}{'all masks':>12}{'program':>10}"]
    for size in (0.05, 0.5, 1, 2):
        true = excess(LOGISTIC, *tumours(), size * w, 0.6)
        rows.append(f"{size:>6g}{true:>12.5f}{added_to_logistic(size * w):>10.5f}")
    return "\n".join(rows)


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "What does dropout add to the loss of a logistic regression (tumours, eight measurements, z = "
            "wᵀx)? This program is right for tiny weights, and far too high for weights as training finds "
            "them. Which line is wrong?",
            "Dropout 给逻辑回归的损失加上了多少（肿瘤数据，八项测量值，z = wᵀx）？权重很小时，"
            "这个程序是对的；权重大到训练所得的程度，它就高出许多。哪一行错了？",
        ),
        added_to_logistic,
        beside_masks,
        "1 / 4",
        why=Say(
            "Yes: ¼ is the curvature at z = 0, its largest. It is σ(1 − σ) at each tumour's own z, and near "
            "0 where the model is sure: `s = mr.sigmoid(x @ w)`, `curvature = s * (1 - s)`. At length 2 this "
            "gives 0.047 in place of 0.333; all masks say 0.053.",
            "对：¼ 是 z = 0 处的曲率，也是最大值。在每个肿瘤自己的 z 处，曲率是 σ(1 − σ)，"
            "模型有把握的地方接近 0：`s = mr.sigmoid(x @ w)`，`curvature = s * (1 - s)`。"
            "长度为 2 时，这样得 0.047，而不是 0.333；全部掩码给出 0.053。",
        ),
        others={
            "odds =": Say(
                "p keeps here, so this is right; p/(1 − p) would be off for tiny weights, too.",
                "这里 p 是保留的概率，所以没有错；若写成 p/(1 − p)，权重很小时也不会对。",
            ),
            "variance =": Say(
                "That is the variance of each logit, exactly, at every length: z is linear in w.",
                "这正是每个 logit 的方差，不论长度都精确成立：z 对 w 是线性的。",
            ),
            "0.5 *": Say(
                "The ½ is Taylor's, and the mean is over tumours. Without ½ and curvature this would be the "
                "penalty of the square error: too high at every length.",
                "½ 来自泰勒展开，平均是对肿瘤取的。若没有 ½ 和曲率，就是平方误差的惩罚：不论长度都过高。",
            ),
            "": Say(
                "Nothing here depends on how large the weights are. What does, and should, and is not there?",
                "这里与权重的大小无关。有什么本应随权重而变，程序里却没有？",
            ),
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "In lesson 9 BMI came in g/m², all its numbers × 1000; the L2 penalty kept its λ, and hardly "
            "penalised it any more. Now dropout stands in place of L2, and p stays. The weights come to rest "
            "where the mean loss is least. What becomes of the predictions?",
            "第 9 课里，BMI 改以 g/m² 计，数值都乘以 1000；L2 惩罚的 λ 不变，就几乎不再惩罚它。"
            "现在用 Dropout 代替 L2，p 不变，权重停在平均损失最小的地方。模型的预测会怎样？",
        ),
        lesson=9,
        answers=(
            Answer(
                Say("As if BMI had no penalty", "BMI 就像没有受到惩罚"),
                Say(
                    "That is what a λ does that somebody typed. Nobody typed this one: it is (1 − p)/p times "
                    "the mean of x², and x has grown.",
                    "人为写下的 λ 才会这样。这个 λ 却没有人写："
                    "它等于 (1 − p)/p 乘以 x² 的平均，而 x 变大了。",
                ),
            ),
            Answer(
                Say("As if BMI were not there", "BMI 就像不存在"),
                Say(
                    "Its λ is now 10⁶ times as large, true. But for the same effect a thousandth of the "
                    "weight is enough, and that costs a millionth.",
                    "它的 λ 确实变为 10⁶ 倍。但要起同样的作用，权重只需原来的千分之一，代价是百万分之一。",
                ),
            ),
            Answer(
                Say("They stay as they were", "和原来一样"),
                Say(
                    "Yes: λ grows by 10⁶, w² falls by 10⁶. Dropout has no unit: it hides a measurement, "
                    "however written. In the picture, too, the units move the right side only.",
                    "对：λ 变为 10⁶ 倍，w² 变为 10⁻⁶ 倍。Dropout 没有单位："
                    "不论测量值怎样写，被丢弃的都是它。图中也是这样，换单位时只有右图在变。",
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
                "Dropout of the inputs adds Σλⱼwⱼ² to the mean square error of a linear model, on average "
                "and exactly.",
                "对线性模型的输入作 Dropout，平均而言，给均方误差加上的恰好是 Σλⱼwⱼ²。",
            ),
            Say(
                "Each feature has its own λⱼ = ((1 − p)/p)·mean xⱼ², where p keeps; each weight feels "
                "2λⱼwⱼ.",
                "每个特征各有自己的 λⱼ，即 (1 − p)/p 乘以 xⱼ² 的平均（p 为保留概率）；"
                "它在梯度中加上 2λⱼwⱼ。",
            ),
            Say(
                "Another loss brings in its own curvature: under the logistic one, the penalty is quadratic "
                "for small weights only.",
                "换一种损失，还要计入它的曲率：对逻辑损失，只有权重很小时，惩罚才是二次的。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And within a network?", "放在网络里呢？"),
        Say(
            "Before the last layer $v$ of a network dropout hides hidden units $h_k$. For the square error "
            "it then adds $\\frac{1-p}{p}\\sum_k v_k^2\\,\\langle h_k^2\\rangle$: again a ridge, whose "
            "prices the layers before make. They may lower a price by a small $h_k$, but then $v_k$ has to "
            "grow. With ReLU, the first layer times 4 and $v$ divided by 4 make the same network, which pays "
            "dropout the same, but L2 another sum: so dropout is no L2 on all weights. Nor is its mean all "
            "that it does: its gradients scatter from step to step. Whether it helps is a question to data "
            "(the last claim above).",
            "在网络的末层 $v$ 之前作 Dropout，丢弃的是隐藏单元 $h_k$。对平方误差，它加上 "
            "$\\frac{1-p}{p}\\sum_k v_k^2\\,\\langle h_k^2\\rangle$：仍是岭惩罚，但系数由前面各层产生。"
            "它们可以使 $h_k$ 变小来压低系数，可这样 $v_k$ 就得变大。激活函数是 ReLU 时，"
            "第一层乘以 4，$v$ 除以 4，还是同一个网络，Dropout 的惩罚也相同，L2 却变了。"
            "所以它不是加在所有权重上的任何一种 L2。而且 Dropout 的作用不只是平均：每一步的梯度都在波动。"
            "它是否有用，要由数据来回答（见上面最后一条论断）。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def patients(units):
    """Ten measurements (442, 10), less their means; the progression; least squares (10,)."""
    x, y = mr.datasets.arrays("diabetes")
    x, y = x - x.mean(0), (y - y.mean()) / y.std()
    x = x / x.std(0) if units == "standard" else x
    return x, y[:, None], np.linalg.lstsq(x, y, rcond=None)[0]


@app.function(hide_code=True)
def tumours():
    """Eight measurements of 569 tumours (569, 8), standardized, and whether each is benign."""
    x, y = mr.datasets.arrays("breast_cancer")
    x = x[:, :8]
    return (x - x.mean(0)) / x.std(0), y[:, None].astype(float)


@app.function(hide_code=True)
@cache
def trained():
    """The eight weights of a logistic regression with a little L2."""
    model = mr.nn.Linear(8, 1, bias=False, dtype=np.float64)
    model.weight.assign(0.0)
    mr.solve(model, mr.nn.BCEWithLogitsLoss(), mr.penalties.L2(0.01), *tumours())
    return model.weight.numpy()[0]


@app.function(hide_code=True)
def by_mask(loss, x, y, w, masks):
    """The mean loss under each mask, one for all rows; to hide an input is to hide its weight."""
    outputs = mr.nn.functional.linear(x, masks * w)
    return loss(outputs, np.broadcast_to(y, outputs.shape)).mean(axis=0)


@app.function(hide_code=True)
def excess(loss, x, y, w, p):
    """What dropout adds to the loss on average over all masks, weighed by their chances."""
    bits = np.indices((2,) * len(w)).reshape(len(w), -1).T
    chance = np.prod(np.where(bits, p, 1 - p), axis=1)
    plain = by_mask(loss, x, y, w, np.ones((1, len(w)))).sum()
    return by_mask(loss, x, y, w, bits / p) @ chance - plain


@app.function(hide_code=True)
def measured(x, y, w, p):
    """The λⱼ of all masks: what dropout adds to the gradient, over 2wⱼ."""
    v = mr.tensor(w, requires_grad=True)
    return mr.grad(excess(SQUARE, x, y, v, p), [v])[0].numpy() / (2 * w)


@app.function(hide_code=True)
def by_hand():
    """What a program of dropout without dice begins with."""
    (x, y, _), rng = patients("standard"), np.random.default_rng(0)
    return {"np": np, "rng": rng, "x": x, "y": y[:, 0], "N": len(x), "p": 0.8, "lr": 0.1}


@app.function(hide_code=True)
def picture(p, choice, broken=False):
    """The loss of fixed weights under many masks; the price of each, or what a longer w pays."""
    logistic, keep, role = choice == "logistic", p, "result"
    if broken:
        keep, role = 1 - p, "broken"
    loss, (x, y, w) = (
        (LOGISTIC, (*tumours(), trained())) if logistic else (SQUARE, patients(choice))
    )
    s, odds = mr.sigmoid(x @ w), (1 - p) / p
    bend = s * (1 - s) if logistic else 2.0
    penalty = float(mr.implicit.dropout_penalty(w, x, 1 - p, bend))
    bits = np.random.default_rng(0).random((200, len(w))) < keep
    plain = float(by_mask(loss, x, y, w, np.ones((1, len(w))))[0])
    more = float(excess(loss, x, y, w, keep))
    top, name = (0.8, Say("penalty", "惩罚")) if logistic else (3.6, "Σλⱼwⱼ²")
    left = Panel(
        Say("loss of the trained weights", "训练所得的权重的损失")
        if logistic
        else Say("loss of least squares", "最小二乘解的损失"),
        x=(0, 330), y=(0, top), xticks={},
        xlabel=Say("200 masks, each for all tumours", "200 个掩码，每个用于全体肿瘤")
        if logistic
        else Say("200 masks, each for all patients", "200 个掩码，每个用于全体患者"),
    )  # fmt: skip
    losses = by_mask(loss, x, y, w, bits / keep)
    left.dots(np.arange(1, 201), losses, role, size=3)
    beyond = np.sum(losses > top)
    more_above = Say(f"{beyond} more above", f"上方还有 {beyond} 个")
    left.text(265 if beyond else np.nan, 0.8 * top, more_above, role)
    left.line([0, 330], [plain] * 2, "data").line([0, 330], [plain + more] * 2, role)
    left.line([230, 330], [plain] * 2, "data", label=Say("without dropout", "不用 Dropout"))
    left.line([290, 330], [plain + more] * 2, role, label=Say("mean", "平均"))
    left.arrow(215, plain, 0, penalty, "penalty", label=name)
    right = (bent if logistic else each)(p, keep, x, y, w, role)
    if broken:
        times = more / float(excess(loss, x, y, w, p))
        said = Say(
            f"nn.Dropout({p:g}) keeps {1 - p:.1f}, not {p:g}: what it adds is {times:.2g} times what was "
            "meant.",
            f"nn.Dropout({p:g}) 保留的概率是 {1 - p:.1f}，不是 {p:g}：所加的量是应加的 {times:.2g} 倍。",
        )
        if p == 0.5:
            said = Say("At p = 0.5 the fault does not show.", "p = 0.5 时，这个错误看不出来。")
    elif logistic:
        l2 = float(mr.implicit.dropout_penalty(w, x, 1 - p, curvature=0.25))
        said = Say(
            f"It adds {more:.2f}; the L2 that fits tiny weights would add {l2:.2f}.",
            f"它加上了 {more:.2f}；适合极小权重的那个 L2 则会加上 {l2:.2f}。",
        )
    else:
        prices = odds * (x**2).mean(0)
        low, high, total = (
            f"{float(f'{v:.3g}'):g}" for v in (prices.min(), prices.max(), prices.sum())
        )
        said = Say(
            f"The λⱼ lie between {low} and {high}; the textbook's one λ is their sum.",
            f"各个 λⱼ 在 {low} 与 {high} 之间；教材的单一 λ 是它们之和。",
        )
        if choice == "standard":
            said = Say(
                f"All λⱼ are {low}; the textbook's one λ, {total}, is the sum of all ten.",
                f"各个 λⱼ 都是 {low}；教材的单一 λ 是 {total}，即十个之和。",
            )
    return Frame(left, right, plain=plain, mean=plain + more, masks=2 ** len(w), said=said)


@app.function(hide_code=True)
def each(p, keep, x, y, w, role):
    """The λ of each weight: by the formula, measured, and the textbook's."""
    prices, names = (1 - p) / p * (x**2).mean(0), mr.datasets.load("diabetes").feature_names
    chinese = ["年龄", "性别", "BMI", "血压", *names[4:]]
    panel = Panel(
        Say("λⱼ of each weight", "各个权重的 λⱼ"),
        x=(-0.7, 9.7), y=(1e-2, 3e4), log="y", xticks=dict(enumerate(map(Say, names, chinese))),
    )  # fmt: skip
    panel.bars(range(10), prices, "penalty", width=0.7)
    panel.dots(range(10), measured(x, y, w, keep), role, size=5, label=Say("measured", "实测"))
    return panel.hline(prices.sum(), Say("textbook: one λ for all", "教材：共用一个 λ"), "textbook")


@app.function(hide_code=True)
def bent(p, keep, x, y, w, role):
    """What dropout adds, for longer and longer weights of this direction."""
    size, lengths = np.linalg.norm(w), np.linspace(0, 4, 17)
    l2, own, true = [], [], []
    for v in lengths[:, None] * w / size:
        s = mr.sigmoid(x @ v)
        l2.append(mr.implicit.dropout_penalty(v, x, 1 - p, 0.25))
        own.append(mr.implicit.dropout_penalty(v, x, 1 - p, s * (1 - s)))
        true.append(excess(LOGISTIC, x, y, v, keep))
    panel = Panel(
        Say("what dropout adds to the loss", "Dropout 给损失加上的量"),
        x=(0, 4), y=(0, 0.4), xlabel=Say("length of the weights", "权重的长度"),
    )  # fmt: skip
    panel.vline(size, Say("as trained", "训练所得"))
    panel.line(lengths, l2, "textbook", label=Say("if it were an L2", "若是 L2"))
    panel.line(lengths, own, "penalty", label=Say("formula", "公式"))
    return panel.dots(lengths, true, role, size=4, label=Say("measured", "实测"))


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def resting(x, y, price):
    """The weights at which the mean square error + Σ price·w² is least."""
    return np.linalg.solve(x.T @ x / len(x) + np.diag(price), x.T @ y / len(x))


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    x, y, w = patients("own")
    moment, names = (x**2).mean(0), mr.datasets.load("diabetes").feature_names
    off = [
        np.abs(measured(*patients(units), p) / of_columns(patients(units)[0], p) - 1).max()
        for units in ("own", "standard") for p in (0.3, 0.6, 0.8)
    ]  # fmt: skip
    value, slope = added(x, y, w, 0.6)
    losses = [excess(SQUARE, *patients(units), 0.6) for units in ("own", "standard")]
    z, _, _ = patients("standard")
    grams = x * np.where(np.arange(10) == 2, 1000, 1)
    calm = [v @ resting(v, y, of_columns(v, 0.6)) for v in (x, grams)]
    typed = grams @ resting(grams, y, of_columns(x, 0.6))
    without = x @ resting(x, y, of_columns(x, 0.6) * (np.arange(10) != 2))
    direction = trained() / np.linalg.norm(trained())
    tiny, long = (
        [added_to_logistic(v), excess(LOGISTIC, *tumours(), v, 0.6)]
        for v in (0.05 * direction, 2 * direction)
    )
    s = mr.sigmoid(tumours()[0] @ (2 * direction))
    mended = mr.implicit.dropout_penalty(2 * direction, tumours()[0], 0.4, s * (1 - s))
    first, last = mr.nn.Linear(8, 6), mr.nn.Linear(6, 1, bias=False)
    net = mr.nn.Sequential(first, mr.nn.ReLU(), mr.nn.Dropout(0.4), last).double()
    hidden = mr.relu(first(tumours()[0])).numpy()
    found = mr.implicit.dropout_effect(
        lambda: mr.nn.MSELoss()(net(tumours()[0]), tumours()[1]), net
    )
    return [
        holds("λⱼ, patients' units: largest/smallest", moment.max() / moment.min(),
              at_least=4750, at_most=4850),
        holds("the largest weight is that of s5", names[np.abs(w).argmax()] == "s5", at_least=1),
        holds("how many λⱼ are below its own", (moment < moment[8]).sum(), at_least=1, at_most=1),
        holds("|λⱼ by all masks/by the formula − 1|", max(off), at_most=1e-9),
        holds("nn.Dropout: |penalty by all masks/by the formula − 1|",
              abs(float(value) / mr.implicit.dropout_penalty(w, x, 0.4) - 1), at_most=1e-9),
        holds("and its λⱼ", np.abs(slope / (2 * w) / of_columns(x, 0.6) - 1).max(), at_most=1e-9),
        breaks("standardized: the textbook's λ over each λⱼ", (z**2).sum() / len(z) / (z**2).mean(0).max(),
               at_least=9.999, at_most=10.001),
        holds("|penalty in patients' units/standardized − 1|", abs(losses[0] / losses[1] - 1), at_most=1e-9),
        holds("BMI × 1000 under dropout: change of the predictions", np.abs(calm[1] - calm[0]).max(),
              at_most=1e-9),
        holds("under the λⱼ of before: from those without its penalty", np.abs(typed - without).max(),
              at_most=1e-4),
        holds("logistic, ‖w‖ = 0.05: |with curvature ¼/by all masks − 1|", abs(tiny[0] / tiny[1] - 1),
              at_most=0.02),
        holds("‖w‖ = 2: with curvature ¼", long[0], at_least=0.3325, at_most=0.3335),
        holds("by all masks", long[1], at_least=0.0525, at_most=0.0535),
        holds("with σ(1 − σ)", mended, at_least=0.0465, at_most=0.0475),
        holds("ReLU net: |penalty by all masks/by the formula − 1|",
              abs(float(found.value) / (2 / 3 * last.weight.numpy()[0] ** 2 @ (hidden**2).mean(0)) - 1),
              at_most=1e-9),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
