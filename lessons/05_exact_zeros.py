"""Why does L1 give exact zeros, and gradient descent never?

For everybody who wants weights that are 0 and not merely small. Afterwards you can say which weights
a penalty sets to 0, why plain gradient steps miss them, and which step does not.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium", app_title="Lesson 5: why does L1 give exact zeros, and gradient descent never?"
)

with app.setup(hide_code=True):
    import numpy as np

    import minireg as mr
    from minireg.course.claims import breaks, holds
    from minireg.course.parts import (
        Answer,
        Appendix,
        Close,
        Code,
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


@app.cell(hide_code=True)
def _():
    Title(
        Say(
            "Why does L1 give exact zeros, and gradient descent never?",
            "L1 为何使权重恰好为 0，梯度下降\u200b却永远做不到？",
        ),
        lead=Say(
            "Ten weights θ predict the course of diabetes under the penalty λΣ|θⱼ|, by gradient steps of "
            "rate η or by *proximal* ones: the data move a weight, then it is pulled by ηλ towards 0, at "
            "most to 0.",
            "用十个权重 θ 预测糖尿病的病情，惩罚为 λΣ|θⱼ|，学习率为 η。训练可以走梯度步，也可以走**近端步**："
            "近端步先由数据移动权重，再把它向 0 拉近 ηλ，至多拉到 0。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "At λ = 0.8 eight of the best weights are 0. How many are, after 10,000 gradient steps?",
            "λ = 0.8 时，最优的十个权重中有八个为 0。走 10000 个梯度步之后，恰好为 0 的有几个？",
        ),
        (
            Answer(
                Say("Eight", "八个"),
                Say(
                    "None. However small the weight, the penalty moves it by ηλ, and the data push as "
                    "well: it jumps over 0, and back. More steps are more jumps.",
                    "一个也没有。无论权重多小，惩罚总要移动它 ηλ，数据也在推它：它越过 0，再跳回来。"
                    "步数再多，也只是多跳几次。",
                ),
            ),
            Answer(
                Say("None", "没有"),
                Say(
                    "So it is, after 60 steps as after 10,000: the weights hop around 0 for ever. Only the "
                    "step that stops at 0 lands there; blood pressure does from λ = 0.8 on.",
                    "正是这样，60 步与 10000 步之后都如此：权重一直在 0 附近来回跳动。"
                    "只有到 0 就停的那一步才会落在 0 上；血压的权重从 λ = 0.8 开始落在 0 上。",
                ),
                right=True,
            ),
            Answer(
                Say("Eight, if η is small enough", "η 足够小时是八个"),
                Say(
                    "A smaller η makes smaller hops, within about 2ηλ of 0, and no zero. With η = 0.001 "
                    "there is none either.",
                    "η 越小，跳得越小（离 0 至多约 2ηλ），但仍得不到零。η = 0.001 时同样一个也没有。",
                ),
            ),
        ),
        asks=Say(
            "What did you see: which of the two lines comes to lie on 0, and from which λ on?",
            "你看到了什么：两条线中哪一条最后落在 0 上？从哪个 λ 开始？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        (0.1, 0.2, 0.3, 0.5, 0.8, 1.2),
        start=0.8,
        label="λ",
        choices={"l1": "L1: λ|θ|", "l2": "L2: ½λθ²"},
        broken=Say("the proximal step forgets η", "近端步漏乘了 η"),
        caption=Say(
            "η = 0.1. {said} Of the ten best weights {least} are 0; after 60 proximal steps {prox} are, "
            "after 60 gradient steps {descent}.",
            "η = 0.1。{said}十个最优权重中有 {least} 个为 0；走 60 步之后恰好为 0 的：近端步 {prox} 个，"
            "梯度步 {descent} 个。",
        ),
        alt=Say(
            "Left, what it costs to move a weight away from 0, a V, and what the data gain by it, a curve. "
            "Where the curve lies below the V the weight stays at 0. Right, the weight step by step: with "
            "proximal steps it comes to lie on 0, with gradient steps it jumps over 0 for ever.",
            "左图：把一个权重移离 0 的代价是一个 V 形，数据由此得到的收益是一条曲线；曲线处处低于 V 时，"
            "权重留在 0。右图：这个权重逐步的变化。用近端步，它落在 0 上；用梯度步，它一直在 0 两侧来回跳。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Leaving 0** costs λ per unit, in either direction, and brings the slope of the loss "
                "there, $|g|$. On a convex loss the weight stays if it does not pay: for an "
                "interval of slopes. [At λ = 0.5](#choice=l1&lam=0.5) it just pays.\n\n"
                r"$$\theta^*=0 \quad\Longleftrightarrow\quad "
                r"\color{data}{|g|} \le \color{penalty}{\lambda}$$",
                "**离开 0**，无论朝哪边，每移动一单位，要付出代价 λ，收益是损失在那里的斜率大小 "
                "$|g|$。损失为凸时，"
                "只要代价不低于收益，权重就留在 0：满足条件的斜率是一整个区间。"
                "[λ = 0.5 时](#choice=l1&lam=0.5)，离开刚好划算。\n\n"
                r"$$\theta^*=0 \quad\Longleftrightarrow\quad "
                r"\color{data}{|g|} \le \color{penalty}{\lambda}$$",
            ),
            Say(
                "**L2** is flat at 0: the first bit of the way is free, and "
                "[any slope pays](#choice=l2&lam=1.2). Its proximal step divides $v$ by "
                "$1 + \\eta\\lambda$.\n\n"
                r"$$\theta^*=0 \quad\Longleftrightarrow\quad \color{data}{g} = 0$$",
                "**L2** 在 0 处是平的：最初的一小段不要代价，"
                "[只要斜率不为 0 就划算](#choice=l2&lam=1.2)。它的近端步是把 $v$ 除以 "
                "$1 + \\eta\\lambda$。\n\n"
                r"$$\theta^*=0 \quad\Longleftrightarrow\quad \color{data}{g} = 0$$",
            ),
            Say(
                "**To land** on 0, a step has to stop there. A gradient step, η(λ ± |g|) long near 0, "
                "does not; the proximal one pulls $v$ by $\\eta\\lambda$, at most to 0. "
                "[Pull by λ](#choice=l1&lam=0.2&broken), and you solve another problem.\n\n"
                r"$$v = \theta - \color{data}{\eta g}, \qquad "
                r"\theta \leftarrow v - \color{penalty}{\eta\lambda}\,\mathrm{sign}(v)"
                r" \;\text{ or }\; 0$$",
                "**要落在** 0 上，就得在 0 处停下。梯度步在 0 附近总要移动 η(λ ± |g|)，不会停；"
                "近端步把 $v$ 向 0 拉近 $\\eta\\lambda$，"
                "至多拉到 0。若[向 0 拉近 λ](#choice=l1&lam=0.2&broken)，解的就是另一个问题。\n\n"
                r"$$v = \theta - \color{data}{\eta g}, \qquad "
                r"\theta \leftarrow v - \color{penalty}{\eta\lambda}\,\mathrm{sign}(v)"
                r" \;\text{ 或 }\; 0$$",
            ),
        )
    )
    return


@app.function
def train(penalty, via, lr=0.1, steps=60):
    """The ten weights after each step, the penalty taken as "gradient" or "prox"."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(least_squares())
    objective = mr.Objective(mr.nn.MSELoss(), {"penalty": mr.Term(penalty, via=via)})
    optimizer = mr.optim.SGD(model.parameters(), lr)
    return mr.trajectory(model, objective, optimizer, *patients(), steps)


@app.cell(hide_code=True)
def _():
    Code(
        train,
        "for via in ('gradient', 'prox'):\n"
        "    end = train(mr.penalties.L1(0.8), via)[-1]\n"
        "    print(f'{via}: {(end == 0).sum()} zeros', end.round(3))",
        Say(
            "The word `via` decides which of the picture's two lines you get.",
            "得到图中哪一条线，只由 `via` 这一个词决定。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C45", "C50", "C47"), also=("C43", "C44", "C46", "C52", "C56"))
    return


@app.cell(hide_code=True)
def _():
    Write(
        "pull",
        Say(
            "The data have moved the weights to v. Complete the proximal step: pull each by k = ηλ towards "
            "0, and no further than 0.",
            "数据已把权重移到 v。补全近端步：把每个权重向 0 拉近 k = ηλ，但到 0 为止。",
        ),
        pull,
        pulled,
        cases=[
            (np.array([3.0, -0.4, -2.0]), 0.5),
            (np.array([0.9, 0.1, -1.5, -0.3]), 0.2),
            (np.array([-4.0, 2.5, 0.7]), 1.0),
        ],
        limits={
            Say(
                "All of these lie within k of 0: each must stop at 0.",
                "这些权重离 0 都不到 k，都应停在 0。",
            ): (np.array([0.3, -0.2, 0.45]), 0.5),
            Say("With k = 0 nothing pulls: v must come out.", "k = 0 时没有拉力，应得 v。"): (
                np.array([1.5, -0.2, -3.0]),
                0.0,
            ),
            Say(
                "0 stays 0, and what is exactly k away comes to 0.",
                "0 仍是 0；离 0 恰好为 k 的，也应到 0。",
            ): (np.array([0.0, 0.5]), 0.5),
        },
        mistakes={
            Say(
                "A weight within k of 0 is pulled beyond it, to the other side: that is how the gradient "
                "step jumps over 0. It must stop there.",
                "离 0 不到 k 的权重被拉过了头，到了另一侧：梯度步正是这样跳过 0 的。应当停在 0。",
            ): lambda v, k: np.sign(v) * (abs(v) - k),
            Say(
                "This moves every weight downwards; a negative one has to go up to come nearer to 0.",
                "这样每个权重都变小；可负的权重要变大，才会靠近 0。",
            ): lambda v, k: v - k,
            Say(
                "The small ones stop at 0, as they should; but a large negative one has to move up, by + k.",
                "小的停在 0，没有错；可是大的负权重应当变大，要加 k。",
            ): lambda v, k: (v - k) * (abs(v) > k),
            Say(
                "What lies beyond k stays as it was: the hard threshold. L1 charges those weights too, so "
                "they are pulled by k as well.",
                "大于 k 的权重原样保留，这是硬阈值。L1 对它们同样收费，所以它们也要拉近 k。",
            ): lambda v, k: v * (abs(v) > k),
            Say(
                "What lies at k or beyond stays as it was: the hard threshold. L1 charges those weights "
                "too, so they are pulled by k as well.",
                "不小于 k 的权重原样保留，这是硬阈值。L1 对它们同样收费，所以它们也要拉近 k。",
            ): lambda v, k: v * (abs(v) >= k),
            Say(
                "That is k twice: 2ηλ solves the problem with 2λ.",
                "k 用了两次：2ηλ 解的是强度为 2λ 的问题。",
            ): lambda v, k: np.sign(v) * np.maximum(abs(v) - 2 * k, 0),
            Say(
                "The size is right, the sign is lost: give each weight the sign of v again.",
                "大小对了，符号丢了：还要把 v 的符号还给每个权重。",
            ): lambda v, k: np.maximum(abs(v) - k, 0),
            Say(
                "Every negative weight becomes 0, however large: shorten |v|, then restore the sign.",
                "负的权重不论多大都成了 0：应当缩短它的大小 |v|，再还给它符号。",
            ): lambda v, k: np.maximum(v - k, 0),
            Say(
                "This is what the step takes away, at most k. Asked is what is left of v.",
                "这是这一步拿走的部分，至多为 k。要求的是 v 剩下的部分。",
            ): lambda v, k: np.clip(v, -k, k),
            Say(
                "This is the proximal step of L2: it takes a share, so nothing ever becomes 0.",
                "这是 L2 的近端步：它按比例缩小，所以没有一个权重会变成 0。",
            ): lambda v, k: v / (1 + k),
            Say(
                "A share of each weight is L2's way. L1 pulls the large and the small by the same k.",
                "按比例缩小是 L2 的做法。L1 对大的、小的权重都拉近同样的 k。",
            ): lambda v, k: (1 - k) * v,
            Say(
                "The size is right already, max(|v| − k, 0); what it lacks is the sign of v, not v.",
                "大小 max(|v| − k, 0) 已经对了，缺的是 v 的符号，而不是 v。",
            ): lambda v, k: v * np.maximum(abs(v) - k, 0),
            Say(
                "The length of the whole vector decides here (group lasso). Each weight has its own |v|.",
                "这里由整个向量的长度决定（组 Lasso）。每个权重应看它自己的 |v|。",
            ): lambda v, k: v * max(1 - k / np.linalg.norm(v), 0),
        },
        why=Say(
            "this is the soft threshold, `mr.penalties.soft_threshold`.",
            "这就是软阈值 `mr.penalties.soft_threshold`。",
        ),
        hints=(
            Say("Pull at the size |v|; it may not fall below 0.", "缩短大小 |v|，但不能小于 0。"),
            Say("`np.maximum(a, 0)`, then the sign again.", "`np.maximum(a, 0)`，再乘回符号。"),
        ),
    )
    return


@app.function(hide_code=True)
def pull(v, k):
    """The weights v, each k nearer to 0, and no further than 0."""
    return ...


@app.function(hide_code=True)
def pulled(v, k):
    """The weights v, each k nearer to 0, and no further than 0."""
    return np.sign(v) * np.maximum(abs(v) - k, 0)


@app.cell(hide_code=True)
def _():
    Write(
        "nearest",
        Say(
            "A weight stands at 0, where the loss has slope g. Every g + λγ with −1 ≤ γ ≤ 1 is a subgradient "
            "of loss + λ|θ| there. Return the one nearest to 0: it is 0 if the weight should stay.",
            "一个权重在 0 处，损失在那里的斜率为 g。对 −1 ≤ γ ≤ 1，"
            "每个 g + λγ 都是“损失 + λ|θ|”在该处的次梯度。返回其中离 0 最近的一个："
            "权重应当留下时，它就是 0。",
        ),
        nearest,
        shortest,
        cases=[(0.9, 0.5), (-1.2, 0.3), (0.2, 0.6), (-2.0, 1.5)],
        limits={
            Say(
                "|g| < λ: 0 is among them (γ = −g/λ), so 0 must come out.",
                "|g| < λ 时，0 就在其中（取 γ = −g/λ），应得 0。",
            ): (-0.3, 0.5),
            Say(
                "|g| = λ: 0 is the end of the interval, so 0 must come out.",
                "|g| = λ 时，0 是区间的端点，应得 0。",
            ): (0.5, 0.5),
            Say(
                "g = 0: the loss is flat there, so 0 must come out.",
                "g = 0 时，损失在那里是平的，应得 0。",
            ): (0.0, 0.4),
            Say("With almost no λ only g is left.", "λ 几乎为 0 时，只剩下 g。"): (0.4, 1e-13),
        },
        mistakes={
            Say(
                "That is γ = 0, the choice of autograd. By it the weight leaves whenever g ≠ 0, even if λ "
                "is larger.",
                "这是 γ = 0，即自动微分的选择。照它走，只要 g ≠ 0 权重就会离开，哪怕 λ 更大。",
            ): lambda g, lam: g,
            Say(
                "γ = 1 is one end of the interval: nearest only if g ≤ −λ.",
                "γ = 1 是区间的一端：只有 g ≤ −λ 时它才最近。",
            ): lambda g, lam: g + lam,
            Say(
                "γ = −1 is one end of the interval: nearest only if g ≥ λ.",
                "γ = −1 是区间的一端：只有 g ≥ λ 时它才最近。",
            ): lambda g, lam: g - lam,
            Say(
                "0 is among them only if |g| ≤ λ. Otherwise the weight has to leave.",
                "只有 |g| ≤ λ 时 0 才在其中；否则权重必须离开。",
            ): lambda g, lam: 0.0,
            Say(
                "That is how far it is from 0; its sign, the one of g, is missing.",
                "这是它到 0 的距离；还缺符号，即 g 的符号。",
            ): lambda g, lam: max(abs(g) - lam, 0),
            Say(
                "Where |g| < λ this is an end of the interval beyond 0. γ may also lie between the ends.",
                "|g| < λ 时，这是区间越过 0 的那一端。γ 也可以取中间的值。",
            ): lambda g, lam: np.sign(g) * (abs(g) - lam),
            Say("That is the farthest from 0.", "这是离 0 最远的一个。"): lambda g, lam: (
                g + lam * np.sign(g)
            ),
            Say(
                "Right where the weight stays. Where it leaves, λ still takes its part of the slope.",
                "权重留下时没错；它离开时，λ 仍要抵去斜率的一部分。",
            ): lambda g, lam: g * (abs(g) > lam),
            Say(
                "Right for |g| < λ. From there on λ still takes its part of the slope.",
                "|g| < λ 时没错；不小于 λ 时，λ 仍要抵去斜率的一部分。",
            ): lambda g, lam: g * (abs(g) >= lam),
            Say(
                "That is the way down. Asked is the slope, which points up.",
                "这是下降的方向。要求的是斜率，它指向上升的方向。",
            ): lambda g, lam: -np.sign(g) * max(abs(g) - lam, 0),
            Say(
                "That is γ itself. The subgradient is g + λγ.",
                "这是 γ 本身。次梯度是 g + λγ。",
            ): lambda g, lam: np.clip(-g / lam, -1, 1),
            Say(
                "That is −λγ, what λ takes off the slope. Asked is what is left of g.",
                "这是 −λγ，即 λ 从斜率中抵去的部分。要求的是 g 剩下的部分。",
            ): lambda g, lam: np.clip(g, -lam, lam),
            Say(
                "That γ makes the slope 0, but γ may only lie between −1 and 1. Asked is g + λγ.",
                "这是使斜率为 0 的 γ，可 γ 只能在 −1 与 1 之间。要求的是 g + λγ。",
            ): lambda g, lam: -g / lam,
            Say(
                "Right for g ≥ 0. For g < −λ the end next to 0 is g + λ.",
                "g ≥ 0 时没错。g < −λ 时，靠近 0 的一端是 g + λ。",
            ): lambda g, lam: (g - lam) * (abs(g) > lam),
            Say(
                "Right for g ≤ 0. For g > λ the end next to 0 is g − λ.",
                "g ≤ 0 时没错。g > λ 时，靠近 0 的一端是 g − λ。",
            ): lambda g, lam: (g + lam) * (abs(g) > lam),
            Say(
                "A negative slope is left out: for g < −λ the nearest is g + λ, below 0.",
                "漏了负的斜率：g < −λ 时，最近的是 g + λ，它小于 0。",
            ): lambda g, lam: max(g - lam, 0),
            Say(
                "This has size λ however steep the loss is. The slopes are g + λγ.",
                "不论损失的斜率多大，这里的大小总是 λ。这些斜率是 g + λγ。",
            ): lambda g, lam: lam * np.sign(g),
        },
        why=Say(
            "this is the soft threshold of the first exercise, at λ in place of ηλ. So the proximal step "
            "rests exactly where this slope is 0.",
            "这就是第一题的软阈值，只是阈值为 λ 而不是 ηλ。所以近端步正好停在这个斜率为 0 的地方。",
        ),
        hints=(
            Say(
                "The slopes fill the interval from g − λ to g + λ. Is 0 in it?",
                "这些斜率填满从 g − λ 到 g + λ 的区间。0 在里面吗？",
            ),
            Say(
                "If not, the end on the side of 0 is nearest: |g| − λ with the sign of g.",
                "若不在，靠近 0 的一端最近：大小为 |g| − λ，符号与 g 相同。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def nearest(g, lam):
    """Of the slopes g + λγ with −1 ≤ γ ≤ 1 the one nearest to 0."""
    return ...


@app.function(hide_code=True)
def shortest(g, lam):
    """Of the slopes g + λγ with −1 ≤ γ ≤ 1 the one nearest to 0."""
    return np.sign(g) * max(abs(g) - lam, 0)


@app.cell(hide_code=True)
def _():
    Order(
        "lasso",
        Say(
            "The lasso by hand: loss ‖xw − y‖²/N, λ half of the least that sets all weights to 0. "
            "Given are `lr` = 0.1 and `soft`, the soft threshold, which is `pull` of the first exercise. "
            "Put the lines in order; four do not belong.",
            "自己动手写 Lasso：损失为 ‖xw − y‖²/N，λ 取使全部权重为 0 的最小值的一半。"
            "已给出 `lr` = 0.1 和软阈值 `soft`，后者就是第一题的 `pull`。把这几行排好，其中四行是多余的。",
        ),
        lines={
            "most = abs(2 * x.T @ y / N).max()": Say(
                "The steepest slope of the loss at w = 0. With λ at least this large, leaving pays for none.",
                "损失在 w = 0 处最陡的斜率。λ 不小于它时，哪个权重离开都不划算。",
            ),
            "lam = most / 2": Say("Half of it: some leave.", "取一半：有些权重会离开。"),
            "w = np.zeros(10)": Say("All start at 0.", "全部从 0 出发。"),
            "for _ in range(60):": Say("Each pass is one proximal step.", "每一轮是一个近端步。"),
            "    g = 2 * x.T @ (x @ w - y) / N": Say(
                "The slope of the loss alone, where w is now.", "只取损失的梯度，在当前的 w 处。"
            ),
            "    w = soft(w - lr * g, lr * lam)": Say(
                "First the data move w, then the soft threshold pulls it by ηλ.",
                "先由数据移动 w，再用软阈值把它向 0 拉近 ηλ。",
            ),
        },
        distractors={
            "most = abs(x.T @ y / N).max()": Say(
                "The 2 is missing: the slope of u² is 2u. This is half of what it takes.",
                "少了 2：平方求导会多出因子 2。这只有所需的一半。",
            ),
            "most = abs(2 * x.T @ y).max()": Say(
                "Without N this is the slope of the summed loss, 442 times too large here.",
                "没有除以 N，这是损失之和的梯度，在这里是所需的 442 倍。",
            ),
            "most = np.linalg.norm(2 * x.T @ y / N)": Say(
                "Each weight decides for itself, so the largest slope counts, not the length of all ten.",
                "每个权重各自决定去留，所以要看最大的斜率，而不是十个斜率合成的长度。",
            ),
            "    w = soft(w - lr * g, lam)": Say(
                "Without the rate it solves the problem with λ/η, ten times as strong here "
                "(glm-tools/pyglmnet#383).",
                "没有乘学习率，解的就是强度为 λ/η 的问题，在这里强了十倍（glm-tools/pyglmnet#383）。",
            ),
        },
        given=by_hand,
        result="w",
        hints=(
            Say(
                "At w = 0 the gradient of the loss is −2xᵀy/N.",
                "w = 0 处，损失的梯度是 −2xᵀy/N。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "again",
        Say(
            "The L2 penalty on the ten weights of lesson 1 falls from λ = 3 to λ = 1. What do they do?",
            "第 1 课的十个权重上，L2 惩罚从 λ = 3 降到 λ = 1。它们会怎样变化？",
        ),
        1,
        (
            Answer(
                Say("Each becomes three times as large", "每个都变成三倍"),
                Say(
                    "Only if the data pulled as hard there. They pull less, the nearer a weight comes to "
                    "its best: bmi grows by 49 %.",
                    "只有数据的拉力始终不变才会这样。权重越靠近数据的最优位置，拉力越弱："
                    "bmi 只增大了 49%。",
                ),
            ),
            Answer(
                Say("All grow by the same factor", "都按同一个倍数增大"),
                Say(
                    "The data hold some firmly and others hardly, and the ten are coupled: s4 grows by 10 %, "
                    "s1 changes its sign.",
                    "有的权重被数据牢牢拉住，有的几乎没有，十个权重又互相牵连："
                    "s4 只增大 10%，s1 变了符号。",
                ),
            ),
            Answer(
                Say("Each goes its own way", "各有各的变化"),
                Say(
                    "Yes: bmi grows by 49 %, s4 by 10 %, age falls to 61 %, and s1 changes its sign. Each "
                    "rests where its own two pulls balance.",
                    "对：bmi 增大 49%，s4 增大 10%，age 减到 61%，s1 变了符号。"
                    "每个权重停在它自己的两股拉力平衡之处。",
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
                "L1 keeps a weight at exactly 0 if the size of a convex loss's slope there is at most λ; "
                "with L2 the slope would have to be 0.",
                "损失为凸时，只要它在 0 处斜率的大小不超过 λ，L1 就让权重恰好为 0；L2 则要求斜率等于 0。",
            ),
            Say(
                "Gradient steps jump over 0, in hops of up to about 2ηλ; a smaller η makes them smaller, "
                "not zero.",
                "梯度步会跳过 0，每次至多约跳 2ηλ；η 越小跳得越小，但不会得到零。",
            ),
            Say(
                "A proximal step lands on 0: first the data, then the soft threshold, at ηλ.",
                "近端步会落在 0 上：先走数据的一步，再取软阈值，阈值是 ηλ。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And with smaller and smaller steps, or Adam?", "让步长越来越小，或者换成 Adam 呢？"),
        Say(
            "At $\\lambda = 0.8$ let the rate fall as $\\eta_t = 0.1/\\sqrt{t+1}$ and gradient steps "
            "converge: after 3,000 of them the eight weights that should be 0 are below 0.003. None is "
            "0. To count zeros you would have to say what is small enough, and the count would depend on "
            "when you stopped. 1,000 steps of Adam with $\\eta = 0.01$ leave the eight below 0.004, and "
            "again none at 0. After 60 proximal steps there is nothing to decide.",
            "若让学习率逐渐减小，取 $\\eta_t = 0.1/\\sqrt{t+1}$，$\\lambda = 0.8$，梯度步就会收敛："
            "走 3000 步之后，八个应当为 0 的权重都小于 0.003，却没有一个等于 0。"
            "要数出零的个数，就得规定多小算 0，而结果又取决于何时停下。"
            "用 Adam 以 $\\eta = 0.01$ 走 1000 步，这八个都小于 0.004，同样没有一个等于 0。"
            "走 60 个近端步之后，就没有什么需要规定的了。",
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
def least_squares():
    """The best ten weights without a penalty, (1, 10)."""
    return np.linalg.lstsq(*patients(), rcond=None)[0].T


@app.function(hide_code=True)
def by_hand():
    """What a program of the lasso begins with."""
    x, y = patients()
    return {
        "np": np,
        "x": x,
        "y": y[:, 0],
        "N": len(x),
        "lr": 0.1,
        "soft": mr.penalties.soft_threshold,
    }


@app.function(hide_code=True)
def best(penalty):
    """The ten weights that minimise the loss plus the penalty."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    mr.solve(model, mr.nn.MSELoss(), penalty, *patients())
    return model.weight.numpy()[0]


@app.function(hide_code=True)
def slope(w):
    """The gradient of the loss."""
    x, y = patients()
    return 2 * x.T @ (x @ w - y[:, 0]) / len(x)


@app.function(hide_code=True)
def forgetful(penalty):
    """A planted fault: the prox forgets the rate. pyglmnet once shipped it (glm-tools/pyglmnet#383)."""

    class Forgetful(type(penalty)):
        def prox(self, v, step):
            return super().prox(v, 1.0)

    return Forgetful(penalty.strength)


@app.function(hide_code=True)
def picture(lam, choice, broken=False):
    """What it costs and gains to leave 0, for one weight; that weight, step by step."""
    kind, j, lr = {"l1": mr.penalties.L1, "l2": mr.penalties.L2}[choice], 3, 0.1
    penalty = kind(lam)
    w = best(penalty)
    least, rest, w[j] = int((w == 0).sum()), w[j], 0
    g = -slope(w)[j]
    theta = np.linspace(-0.3, 0.4, 141)
    gain = g * theta - theta**2  # a standardized measurement: the loss has curvature 2
    cost = lambda by: np.array([by.value(t) for t in theta[:, None]])
    runs = {
        via: train(forgetful(penalty) if broken else penalty, via) for via in ("gradient", "prox")
    }
    role, text = ("broken" if broken else "result"), "λ|θ|" if choice == "l1" else "½λθ²"
    left = Panel(
        Say("one weight leaves 0, the rest at their best", "一个权重离开 0，其余取最优值"),
        x=(-0.15, 0.3), y=(-0.05, 0.15), xlabel=Say("weight θ of blood pressure", "血压的权重 θ"),
    )  # fmt: skip
    left.line(theta, cost(penalty), "penalty", label=Say(f"cost: {text}", f"代价：{text}"))
    if broken:
        left.line(theta, cost(kind(lam / lr)), "broken", label=Say("charged", "实收"))
    left.line(theta, gain, "data", label=Say("gain: drop in loss", "收益：损失的下降"))
    left.dots([rest], [g * rest - rest**2], "result", size=6, label=Say("best", "最优"))
    right = Panel(
        Say("the weight of blood pressure in training", "训练中血压的权重"),
        x=(0, 60), y=(-0.26, 0.32), xlabel=Say("step", "步数"),
    )  # fmt: skip
    if choice == "l1":
        right.band([0, 60], [-2 * lr * lam] * 2, [2 * lr * lam] * 2, "penalty", label="±2ηλ")
    run = {via: path[:, j] for via, path in runs.items()}
    right.line(range(61), run["gradient"], "ink", width=1.5).line(range(61), run["prox"], role)
    low, high = min(run["prox"][-1], run["gradient"][35:].min()), run["gradient"][35:].max()
    right.text(47, high + 0.03, Say("gradient steps", "梯度步"), "ink")
    right.text(47, low - 0.03, Say("proximal steps", "近端步"), role)
    zeros = {via: int((path[-1] == 0).sum()) for via, path in runs.items()}
    end, goal = (f"{w:.2f}" if w else "0" for w in (run["prox"][-1], rest))
    price = Say(f"{lam:g}", f"{lam:g}") if choice == "l1" else Say("nothing", "0")
    said = Say(
        f"Leaving 0 brings {g:.2f} per unit at first and costs {price.en}: best is {goal}.",
        f"离开 0，起初每单位收益 {g:.2f}，代价 {price.zh}：最优值是 {goal}。",
    )
    if broken:
        said = Say(
            f"Charged is λ/η = {lam / lr:g}, not λ: the weight ends at {end}, best is {goal}.",
            f"实际收取的是 λ/η = {lam / lr:g}，而不是 λ：权重停在 {end}，最优值是 {goal}。",
        )
    return Frame(
        left, right, said=said, least=least, prox=zeros["prox"], descent=zeros["gradient"], slope=g
    )


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def approaching():
    """Where gradient steps end: of a falling rate after 3,000, and of Adam after 1,000."""
    ends = []
    for kind, lr, steps, fade in ((mr.optim.SGD, 0.1, 3000, -0.5), (mr.optim.Adam, 0.01, 1000, 0)):
        model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
        model.weight.assign(least_squares())
        objective = mr.Objective(mr.nn.MSELoss(), {"l1": mr.penalties.L1(0.8)})
        optimizer = kind(model.parameters(), lr)
        rate = mr.optim.lr_scheduler.LambdaLR(optimizer, lambda t, fade=fade: (1 + t) ** fade)
        run = mr.trajectory(model, objective, optimizer, *patients(), steps, scheduler=rate)
        ends.append(run[-1])
    return ends


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    runs = {via: train(mr.penalties.L1(0.8), via) for via in ("gradient", "prox")}
    long, fine = (
        train(mr.penalties.L1(0.8), "gradient", lr, n) for lr, n in ((0.1, 10_000), (1e-3, 3_000))
    )
    dead = best(mr.penalties.L1(0.8)) == 0
    hops = [abs(run[-500:, dead]).max() / (lr * 0.8) for run, lr in ((long, 0.1), (fine, 1e-3))]
    wrong = train(forgetful(mr.penalties.L1(0.02)), "prox", steps=300)[-1]
    ridge = best(mr.penalties.L2(1.0)) / best(mr.penalties.L2(3.0))
    fading, adam = approaching()
    count = lambda w: (w == 0).sum()
    return [
        holds("zeros of ten at the minimum, λ = 0.8", dead.sum(), at_least=8, at_most=8),
        holds("after 60 proximal steps", count(runs["prox"][-1]), at_least=8, at_most=8),
        breaks("after 60 gradient steps", count(runs["gradient"][-1]), at_most=0),
        holds("blood pressure by 60 proximal steps, λ = 0.8", abs(runs["prox"][-1, 3]), at_most=0),
        holds("and λ = 0.5", train(mr.penalties.L1(0.5), "prox")[-1, 3], at_least=0.01),
        breaks("in all of 10,000 gradient steps", count(long), at_most=0),
        breaks("η = 0.001, in all of 3,000", count(fine), at_most=0),
        holds("|θ|/(ηλ) where 0 is best, η = 0.1 and 0.001", max(hops), at_least=1, at_most=2.2),
        breaks("threshold λ, off the minimum for λ = 0.02",
               np.linalg.norm(wrong - best(mr.penalties.L1(0.02))), at_least=0.05),
        holds("and off the one for λ/η", np.linalg.norm(wrong - best(mr.penalties.L1(0.2))), at_most=1e-6),
        holds("λ that sets all to 0: |‖∇L(0)‖_∞ − ‖2xᵀy/N‖_∞|",
              abs(mr.penalties.L1(1.0).max_strength(slope(np.zeros(10))) - 1.1729), at_most=1e-4),
        holds("η_t falling: |θ| where 0 is best", abs(fading[dead]).max(), at_most=0.003),
        holds("Adam: |θ| where 0 is best", abs(adam[dead]).max(), at_most=0.004),
        breaks("their zeros", count(fading) + count(adam), at_most=0),
        holds("L2, λ = 3 → 1: bmi", ridge[2], at_least=1.485, at_most=1.495),
        holds("s4", ridge[7], at_least=1.095, at_most=1.105),
        holds("age", ridge[0], at_least=0.605, at_most=0.615),
        holds("s1", ridge[4], at_most=0),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
