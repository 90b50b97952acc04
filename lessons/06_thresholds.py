"""Soft, hard, linear: which gate is which?

For everybody who has chosen between L1 and L2. Afterwards you can say what each penalty does to a single
weight, and why at one threshold "hard" is no sparser than "soft".
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 6: soft, hard, linear: which gate is which?")

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


@app.cell(hide_code=True)
def _():
    Title(
        Say(
            "Soft, hard, linear: which gate is which?",
            "软、硬、线性：哪种惩罚\u200b对应\u200b哪道门？",
        ),
        lead=Say(
            "A scanned digit is a sum of 64 waves. Each coefficient v passes a gate: out comes the θ that "
            "makes ½(θ − v)² + penalty least. L1, L2 and ‖θ‖ have λ = t; ℓ0's λ is such that its "
            "threshold is t, too.",
            "一个手写数字是 64 个波的叠加。每个系数 v 都要过一道门，出来的是使“½(θ − v)² + 惩罚”最小的 θ。"
            "L1、L2 与 ‖θ‖ 取 λ = t；ℓ0 的 λ 则取适当的值，使阈值也等于 t。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "L1's gate is called soft, ℓ0's hard. At one threshold, which sets more coefficients to 0?",
            "L1 的门叫软阈值，ℓ0 的门叫硬阈值。阈值相同时，哪一个把更多的系数置为 0？",
        ),
        (
            Answer(
                Say("Hard", "硬阈值"),
                Say(
                    "It sounds like it, and a text says so. But both ask one question: is |v| above t? "
                    "They differ in what they do to those that pass.",
                    "听上去是这样，教材也这么写。但两者只问同一个问题：|v| 是否超过 t？"
                    "不同的是怎样处理通过的系数。",
                ),
            ),
            Answer(
                Say("Soft", "软阈值"),
                Say(
                    "It takes more ink, but not more coefficients: those that pass are made smaller by t, "
                    "so the digit is paler. None of them becomes 0.",
                    "它让笔画更淡，但没有多去掉系数：通过的系数，绝对值都减小了 t，所以数字变淡；"
                    "其中没有一个变成 0。",
                ),
            ),
            Answer(
                Say("Both the same", "一样多"),
                Say(
                    "Yes, and even the same ones: those with |v| ≤ t. What passes, ℓ0 leaves as it is, "
                    "and L1 makes smaller by t.",
                    "对，而且是同一批：|v| ≤ t 的那些。通过的系数，ℓ0 原样保留，L1 则使其绝对值都减小 t。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: what changes from L1 to ℓ0, and what does not?",
            "你看到了什么：从 L1 换到 ℓ0，什么变了，什么没变？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "t",
        (0.2, 0.35, 0.5, 0.7, 1, 1.4, 2, 4),
        start=0.35,
        label="t",
        choices={"l1": "L1", "l0": "ℓ0", "l2": "L2", "norm": "‖θ‖"},
        broken=Say("shift by t first", "先平移 t"),
        caption=Say(
            "Left: {kept:.0f} of 64 coefficients; the largest, {before:.2f}, becomes {after:.2f}.",
            "64 个系数中剩下 {kept:.0f} 个；其中最大的由 {before:.2f} 变为 {after:.2f}。",
        ),
        alt=Say(
            "Left, each coefficient before and after the gate. L1 sets those up to t to 0 and makes the "
            "others smaller by t; ℓ0 sets the same ones to 0 and leaves the others; L2 and the norm "
            "make all smaller by a factor, and the norm sets all to 0 once t is above their length. "
            "Right, the table of the 64 coefficients and the digit, before and after.",
            "左图：每个系数过门之前与之后。L1 把绝对值不超过 t 的置为 0，其余的绝对值减小 t；ℓ0 "
            "把同一批置为 0，"
            "其余不动；L2 与范数把所有系数乘以同一个因子，而 t 一旦超过它们的长度，范数就把全部置为 0。"
            "右图：64 个系数的表和数字本身，过门之前与之后。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**A gate** weighs the way from v against the penalty. It makes least\n\n"
                r"$$\color{data}{\tfrac12(\theta-v)^2} + \color{penalty}{\lambda\,\Omega(\theta)}$$",
                "**一道门**在离 v 的远近与惩罚之间权衡，使下式最小：\n\n"
                r"$$\color{data}{\tfrac12(\theta-v)^2} + \color{penalty}{\lambda\,\Omega(\theta)}$$",
            ),
            Say(
                "**Slopes cancel** where it is least. [L2](#choice=l2)'s grows with θ: all shrink by a "
                "factor. [L1](#choice=l1)'s is λ everywhere: all move by λ, at most to 0.\n\n"
                r"$$\color{data}{\theta-v} + \color{penalty}{\lambda\theta} = 0 \qquad "
                r"\color{data}{\theta-v} + \color{penalty}{\lambda\,\mathrm{sign}\,\theta} = 0$$",
                "**最小处斜率相抵**。[L2](#choice=l2) 的斜率与 θ 成正比：系数都按同一比例缩小。"
                "[L1](#choice=l1) 的斜率大小处处是 λ：系数都移动 λ，到 0 为止。\n\n"
                r"$$\color{data}{\theta-v} + \color{penalty}{\lambda\theta} = 0 \qquad "
                r"\color{data}{\theta-v} + \color{penalty}{\lambda\,\mathrm{sign}\,\theta} = 0$$",
            ),
            Say(
                "**A count has no slope.** With [ℓ0](#choice=l0) compare prices: to keep v costs "
                "$\\color{penalty}{\\lambda}$, to set it to 0 costs $\\color{data}{\\tfrac12v^2}$. The "
                "[norm](#choice=norm), not squared, asks once for all 64: if "
                "[λ > ‖v‖](#choice=norm&t=4), all are 0.",
                "**计数没有斜率**。对 [ℓ0](#choice=l0) 只能比较代价：保留 v 的代价是 "
                "$\\color{penalty}{\\lambda}$，置为 0 的代价是 $\\color{data}{\\tfrac12v^2}$。"
                "不带平方的[范数](#choice=norm)对 64 个系数只问一次："
                "[λ > ‖v‖](#choice=norm&t=4) 时全部为 0。",
            ),
        )
    )
    return


@app.function
def through(penalty, digit):
    """The 64 coefficients before and after the gate, and the digit that is left."""
    w = waves()
    before = w @ digit @ w.T
    after = penalty.prox(before, step=1.0)
    return before, after, w.T @ after @ w


@app.cell(hide_code=True)
def _():
    Code(
        through,
        "P, t = mr.penalties, 0.35\n"
        "for penalty in P.L1(t), P.L0(t**2 / 2), P.L2(t), P.FrobeniusNorm(t):\n"
        "    before, after, left = through(penalty, a_zero())\n"
        "    print(f'{penalty}: {np.count_nonzero(after)} left, {after.max():.2f}')",
        Say(
            "A penalty's gate is its `prox`, the proximal operator; `waves()` is an orthogonal matrix, "
            "JPEG's waves; `a_zero()` the first of 1,797 digits, 8\u00a0×\u00a08 pixels.",
            "惩罚的门就是它的 `prox`，即近端算子；`waves()` 是由 JPEG 所用的波组成的正交矩阵；"
            "`a_zero()` 是 1797 个手写数字中的第一个，8\u00a0×\u00a08 像素。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C48", "C49", "C54"), also=("C07", "C51", "C53", "C55"))
    return


@app.function(hide_code=True)
def threshold(lam, step):
    """The largest |v| that a proximal step of ℓ0 sets to 0."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "threshold",
        Say(
            "A proximal step of rate η weighs ½(θ − v)² + ηλ·[θ ≠ 0], where [θ ≠ 0] is 1 or 0. Up to "
            "which |v| does it give 0?",
            "学习率为 η 的近端步最小化 ½(θ − v)² + ηλ·[θ ≠ 0]，其中 [θ ≠ 0] 取 1 或 0。"
            "|v| 不超过多少时，结果是 0？",
        ),
        threshold,
        at_equal_price,
        cases=[(0.5, 1.0), (2.0, 0.1), (3.0, 0.5)],
        limits={
            Say(
                "ηλ = 2: to keep v = 2 costs 2, to give it up costs ½·2² = 2. So 2 must come out.",
                "ηλ = 2：保留 v = 2 的代价是 2，放弃它的代价是 ½·2² = 2，所以应得 2。",
            ): (2.0, 1.0),
        },
        mistakes={
            Say(
                "That is the threshold of L1. Here ηλ is a price, and v is none: what it costs to give "
                "up v is ½v².",
                "这是 L1 的阈值。这里 ηλ 是代价，而 v 不是：放弃 v 的代价是 ½v²。",
            ): lambda lam, step: step * lam,
            Say(
                "That is v² where both prices are equal. Its root is missing.",
                "这是两种代价相等时的 v²，还没有开平方。",
            ): lambda lam, step: 2 * step * lam,
            Say(
                "To give up v costs ½v², not v²: the ½ is lost.",
                "放弃 v 的代价是 ½v²，不是 v²：漏了 ½。",
            ): lambda lam, step: np.sqrt(step * lam),
            Say(
                "In a step of rate η a weight that is kept costs ηλ, not λ.",
                "学习率为 η 的一步里，保留一个权重的代价是 ηλ，不是 λ。",
            ): lambda lam, step: np.sqrt(2 * lam),
            Say(
                "This is √(2η²λ). η belongs to the price ηλ: under the root it stands once, beside λ.",
                "这等于 √(2η²λ)。η 是代价 ηλ 的一部分：在根号里与 λ 相乘，只出现一次。",
            ): lambda lam, step: step * np.sqrt(2 * lam),
            Say(
                "½v² = ηλ: the ½ goes to the other side as a 2.",
                "由 ½v² = ηλ 解出 v² 时，½ 移到右边变成 2。",
            ): lambda lam, step: np.sqrt(step * lam / 2),
            Say(
                "½v² = ηλ: the ½ goes to the other side as a 2, and the root is missing.",
                "由 ½v² = ηλ 解出 v² 时，½ 移到右边变成 2；而且还没有开平方。",
            ): lambda lam, step: step * lam / 2,
            Say(
                "η alone is no price: what is kept costs ηλ. And what is given up costs ½v², not v.",
                "只有 η 还不是代价：保留的代价是 ηλ；而放弃的代价是 ½v²，不是 v。",
            ): lambda lam, step: step,
            Say(
                "This is the way back: the price at which the threshold would be ηλ.",
                "这是反过来的：阈值等于 ηλ 时，代价应是多少。",
            ): lambda lam, step: (step * lam) ** 2 / 2,
            Say(
                "A larger rate makes what is kept dearer, not cheaper: the price is η times λ.",
                "学习率越大，保留一个权重越贵，而不是越便宜：代价是 η 乘以 λ。",
            ): lambda lam, step: np.sqrt(2 * lam / step),
            Say(
                "That is the threshold of L1 with η = 1. Here λ is a price: compare ηλ with ½v².",
                "这是 η = 1 时 L1 的阈值。这里 λ 是代价：请比较 ηλ 与 ½v²。",
            ): lambda lam, step: lam,
            Say(
                "The price is ηλ, and what it is compared with is ½v²: under the root η and a 2 are "
                "missing.",
                "代价是 ηλ，与它比较的是 ½v²：根号里少了 η 和 2。",
            ): lambda lam, step: np.sqrt(lam),
            Say(
                "That is v² where both prices are equal if η = 1. Here the price is ηλ, and the root is "
                "missing.",
                "这是 η = 1 时两种代价相等的 v²。这里的代价是 ηλ，而且还没有开平方。",
            ): lambda lam, step: 2 * lam,
        },
        why=Say(
            "both prices are equal at ½v² = ηλ. L1's threshold is ηλ: at the same ηλ below 2 hard is the "
            "sparser one, above 2 soft is.",
            "½v² = ηλ 时两种代价相等。L1 的阈值是 ηλ：同一个 ηλ，小于 2 时硬阈值更稀疏，"
            "大于 2 时软阈值更稀疏。",
        ),
        hints=(
            Say(
                "Only two θ can be best: v itself, and 0. What does each cost?",
                "最好的 θ 只可能是 v 或 0。代价各是多少？",
            ),
            Say(
                "v costs ηλ, 0 costs ½v². Where are they equal?",
                "取 v 的代价是 ηλ，取 0 的代价是 ½v²。何时相等？",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def at_equal_price(lam, step):
    """The largest |v| that a proximal step of ℓ0 sets to 0."""
    return np.sqrt(2 * step * lam)


@app.cell(hide_code=True)
def _():
    Goal(
        "recipe",
        Say(
            "A text moves v by t towards 0, then takes the soft threshold at t. See its gate: break L1 at "
            "t = 0.5. Then mend it, and find the t at which L1 has this very gate.",
            "有一份教材先把 v 朝 0 平移 t，再以 t 取软阈值。先看它的门：选 L1 和 t = 0.5，勾选“故意弄错”。"
            "然后改回来，找出 t 等于多少时，L1 的门与它完全一样。",
        ),
        lambda t, choice, broken, **_: choice == "l1" and t == 1 and not broken,
        why=Say(
            "Yes: the shift takes 0.5, the soft threshold takes 0.5 again. The recipe is soft(v, 2t): "
            "{kept:.0f} of 64 are left where L1 at 0.5 leaves 7.",
            "对：平移减去 0.5，软阈值又减去 0.5。这个做法就是 soft(v, 2t)："
            "只剩 {kept:.0f} 个，而 t = 0.5 的 L1 剩下 7 个。",
        ),
        others={
            Say(
                "This is the recipe. Note where its gate leaves 0 and where {before:.2f} goes; then mend it.",
                "这就是那个做法。记住它的门从哪里离开 0、{before:.2f} 变成了多少，然后改回来。",
            ): lambda t, choice, broken, **_: broken and choice == "l1" and t == 0.5,
            Say(
                "This is broken. It is the unbroken gate that has to be found.",
                "现在仍是弄错的状态。要找的是正确的门。",
            ): lambda broken, **_: broken,
            Say(
                "Another penalty makes a gate of another shape. The recipe's has the shape of L1's.",
                "换了惩罚，门的形状就不同。那个做法的门与 L1 的形状相同。",
            ): lambda choice, **_: choice != "l1",
            Say(
                "Not at the same t: here {kept:.0f} are left, and {before:.2f} becomes {after:.2f}. With "
                "the recipe it was less.",
                "不是同一个 t：这里剩下 {kept:.0f} 个，{before:.2f} 变为 {after:.2f}；那个做法留下的更少。",
            ): lambda t, **_: t == 0.5,
            Say(
                "This gate leaves 0 at {t:g}, too early: the recipe takes away more.",
                "这道门在 {t:g} 处就离开 0，太早了：那个做法减去的更多。",
            ): lambda t, **_: t < 1,
            Say(
                "This gate leaves 0 at {t:g}, too late: the recipe takes away less.",
                "这道门到 {t:g} 处才离开 0，太晚了：那个做法减去的没有这么多。",
            ): lambda t, **_: t > 1,
        },
    )
    return


@app.function(hide_code=True)
def shrink(v, lam, step):
    """The θ at which ½(θ − v)² + ηλθ² is least."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "shrink",
        Say(
            "Some texts write the penalty as λθ², without the ½. Which θ does a proximal step of rate η "
            "make of v?",
            "有的教材把惩罚写成 λθ²，没有 ½。学习率为 η 的近端步把 v 变成哪个 θ？",
        ),
        shrink,
        at_slope_zero,
        cases=[(3.0, 0.5, 0.2), (-1.5, 0.3, 2.0), (0.2, 2.0, 0.5)],
        limits={
            Say(
                "η near 0: there is hardly a step, and v must come out.",
                "η 接近 0：几乎没有更新，应得 v。",
            ): (3.0, 0.5, 1e-12),
            Say("2ηλ = 3: a quarter of v must come out.", "2ηλ = 3：应得 v 的四分之一。"): (
                4.0,
                3.0,
                0.5,
            ),
            Say(
                "However strong the penalty: θ comes near to 0, and never to the other side of it.",
                "惩罚再强，θ 也只是接近 0，不会越到 0 的另一边。",
            ): (2.0, 50.0, 1.0),
        },
        mistakes={
            Say(
                "That is the gate of ½λθ². Without the ½ the slope is 2λθ.",
                "这是 ½λθ² 的门。没有 ½，斜率就是 2λθ。",
            ): lambda v, lam, step: v / (1 + step * lam),
            Say(
                "That is a gradient step: it takes the slope at v. A proximal step takes it at θ, where "
                "it arrives: θ = v − 2ηλθ.",
                "这是梯度步：它取 v 处的斜率。近端步取的是到达点 θ 处的斜率：θ = v − 2ηλθ。",
            ): lambda v, lam, step: (1 - 2 * step * lam) * v,
            Say(
                "That is a gradient step of ½λθ². The slope of λθ² is 2λθ, and a proximal step takes it "
                "at θ, not at v.",
                "这是 ½λθ² 的梯度步。λθ² 的斜率是 2λθ，而且近端步取 θ 处的斜率，不是 v 处的。",
            ): lambda v, lam, step: (1 - step * lam) * v,
            Say(
                "To subtract the same from each is what L1 does. The slope 2λθ falls as θ falls.",
                "每个都减去同样的量，那是 L1。2λθ 这个斜率会随 θ 一起变小。",
            ): lambda v, lam, step: v - step * lam,
            Say(
                "Subtracting a constant is L1's way. The slope is 2λθ: a θ is missing.",
                "减去一个常数是 L1 的做法。斜率是 2λθ：漏了 θ。",
            ): lambda v, lam, step: v - 2 * step * lam,
            Say(
                "That is the soft threshold, the gate of L1. A square has a slope of 0 at 0 and sets "
                "nothing to 0.",
                "这是软阈值，是 L1 的门。平方在 0 处斜率为 0，不会把任何数置为 0。",
            ): lambda v, lam, step: np.sign(v) * np.maximum(abs(v) - step * lam, 0),
            Say(
                "Without η: a step of rate η weighs ηλθ².",
                "少了 η：学习率为 η 的一步里，惩罚是 ηλθ²。",
            ): lambda v, lam, step: v / (1 + 2 * lam),
            Say(
                "λ is missing: the slope of ηλθ² is 2ηλθ.",
                "漏了 λ：ηλθ² 的斜率是 2ηλθ。",
            ): lambda v, lam, step: v / (1 + 2 * step),
            Say(
                "There is no ½ in λθ², and its slope has a 2: 2ηλθ.",
                "λθ² 里没有 ½，求导还多出 2：斜率是 2ηλθ。",
            ): lambda v, lam, step: v / (1 + 0.5 * step * lam),
            Say(
                "The slope of ½(θ − v)² is θ − v: its ½ takes the 2 away. So in place of the first 2 "
                "stands a 1.",
                "½(θ − v)² 的斜率是 θ − v：½ 与 2 相消。所以第一个 2 应为 1。",
            ): lambda v, lam, step: v / (2 + 2 * step * lam),
            Say(
                "The 2 belongs to ηλ: in θ − v + 2ηλθ = 0 the first θ stands alone.",
                "2 应与 ηλ 相乘：θ − v + 2ηλθ = 0 中，第一个 θ 没有系数。",
            ): lambda v, lam, step: v / (2 + step * lam),
            Say(
                "Both η and the 2 are missing: the slope of ηλθ² is 2ηλθ.",
                "η 和 2 都漏了：ηλθ² 的斜率是 2ηλθ。",
            ): lambda v, lam, step: v / (1 + lam),
            Say(
                "That is the way back: which v is made into this θ. Solve θ − v + 2ηλθ = 0 for θ.",
                "这是反过来的：由 θ 求 v。请从 θ − v + 2ηλθ = 0 解出 θ。",
            ): lambda v, lam, step: (1 + 2 * step * lam) * v,
            Say(
                "That is what is taken away from v, not what is left of it.",
                "这是从 v 中减去的部分，不是剩下的部分。",
            ): lambda v, lam, step: 2 * step * lam * v / (1 + 2 * step * lam),
            Say(
                "The sign: θ − v + 2ηλθ = 0 has both θ on the same side.",
                "符号错了：θ − v + 2ηλθ = 0 中，两个 θ 在同一边。",
            ): lambda v, lam, step: v / (1 - 2 * step * lam),
            Say(
                "The first term is lost: the slope of ½(θ − v)² is θ − v, so θ occurs twice.",
                "漏了第一项：½(θ − v)² 的斜率是 θ − v，所以 θ 出现两次。",
            ): lambda v, lam, step: v / (2 * step * lam),
            Say(
                "That is a gradient step of ½λθ² with η = 1: the slope at v, not at θ. Here η and a 2 "
                "belong to it, too.",
                "这是 η = 1 时 ½λθ² 的梯度步，取的是 v 处而不是 θ 处的斜率。这里还要有 η 和 2。",
            ): lambda v, lam, step: (1 - lam) * v,
            Say(
                "That is a gradient step with η = 1: it takes the slope at v. Here it is taken at θ, and "
                "η times.",
                "这是 η = 1 时的梯度步，取的是 v 处的斜率。这里要取 θ 处的，再乘以 η。",
            ): lambda v, lam, step: (1 - 2 * lam) * v,
            Say(
                "To subtract λ from each is what L1 does, with η = 1. The slope here is 2ηλθ: it falls "
                "as θ falls.",
                "每个都减去 λ，那是 η = 1 时的 L1。这里的斜率是 2ηλθ，会随 θ 一起变小。",
            ): lambda v, lam, step: v - lam,
            Say(
                "That is the hard threshold, the gate of ℓ0. A square leaves no v as it is, and sets none "
                "to 0.",
                "这是硬阈值，是 ℓ0 的门。平方不会让任何 v 原样通过，也不会把它置为 0。",
            ): lambda v, lam, step: np.where(abs(v) > np.sqrt(2 * step * lam), v, 0),
            Say(
                "That is where many tiny gradient steps lead. One proximal step divides.",
                "这是许多极小的梯度步的结果。一个近端步是做除法。",
            ): lambda v, lam, step: v * np.exp(-2 * step * lam),
            Say(
                "That is the soft threshold, the gate of L1: it subtracts the same from each. The slope "
                "of a square falls with θ.",
                "这是软阈值，是 L1 的门：每个都减去同样的量。平方的斜率则随 θ 变小。",
            ): lambda v, lam, step: np.sign(v) * np.maximum(abs(v) - 2 * step * lam, 0),
        },
        why=Say(
            "θ − v + 2ηλθ = 0. All are divided by the same number, and none becomes 0.",
            "θ − v + 2ηλθ = 0。所有的数都除以同一个数，没有一个变成 0。",
        ),
        hints=(
            Say(
                "At the minimum the slope is 0. What is the slope of each of the two terms?",
                "最小点处斜率为 0。两项的斜率各是什么？",
            ),
            Say("θ − v + 2ηλθ = 0. Factor out θ.", "θ − v + 2ηλθ = 0，提取公因子 θ。"),
        ),
    )
    return


@app.function(hide_code=True)
def at_slope_zero(v, lam, step):
    """The θ at which ½(θ − v)² + ηλθ² is least."""
    return v / (1 + 2 * step * lam)


@app.cell(hide_code=True)
def _():
    Recall(
        "again",
        Say(
            "Proximal steps have solved a lasso: 6 of 10 weights are exactly 0. From there 100 subgradient "
            "steps follow, θ ← θ − η(g + λ sign θ), with sign 0 = 0. How many are exactly 0 then?",
            "近端步已经解出一个 Lasso：10 个权重中有 6 个恰好为 0。从这里接着走 100 步次梯度下降："
            "θ ← θ − η(g + λ sign θ)，约定 sign 0 = 0。之后还有几个恰好为 0？",
        ),
        lesson=5,
        answers=(
            Answer(
                Say("6, for the solution is left alone", "6 个，已是最优解，不会再动"),
                Say(
                    "At 0 the step is −ηg, and g is not 0 there: the gradient of the data is only smaller "
                    "than λ. The first step already leaves 0.",
                    "在 0 处这一步是 −ηg，而那里的 g 并不为 0：数据的梯度只是小于 λ。第一步就离开了 0。",
                ),
            ),
            Answer(
                Say("More, for L1 goes on pulling", "更多，L1 还在继续拉"),
                Say(
                    "It pulls by ηλ at a time, with the sign that θ had: a small θ is thrown over 0, not "
                    "onto it. To stop there takes a gate.",
                    "它每次拉动 ηλ，方向由 θ 的符号定：很小的 θ 会被抛过 0，而不是落在 0 上。"
                    "要停在 0，需要一道门。",
                ),
            ),
            Answer(
                Say("None", "一个也没有"),
                Say(
                    "So it is. With sign 0 = 0 nothing holds a weight at 0 against g. The six hover about "
                    "0 by less than 2ηλ; only the soft threshold puts them back.",
                    "正是如此。约定 sign 0 = 0 时，没有什么能抵住 g，把权重留在 0。"
                    "那六个权重在 0 附近来回，幅度小于 2ηλ；要回到 0，得靠软阈值。",
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
                "L1 sets |v| ≤ λ to 0 and takes λ from the rest (soft); ℓ0 sets |v| ≤ √(2λ) to 0 and takes "
                "nothing from the rest (hard); ½λθ² divides by 1 + λ (linear).",
                "L1 把 |v| ≤ λ 置为 0，其余的绝对值减小 λ（软）；ℓ0 把 |v| ≤ √(2λ) 置为 0，其余不动（硬）；"
                "½λθ² 把一切都除以 1 + λ（线性）。",
            ),
            Say(
                "At one threshold soft and hard keep the same entries. At one λ hard is sparser below "
                "λ = 2, and soft above.",
                "阈值相同，软、硬留下的是同一批。若 λ 相同，则 λ < 2 时硬阈值更稀疏，"
                "λ > 2 时软阈值更稀疏。",
            ),
            Say(
                "A norm that is not squared has a threshold for the whole vector: λ‖θ‖ sets all entries "
                "to 0, or none.",
                "不带平方的范数，阈值是对整个向量的：λ‖θ‖ 要么把所有分量一起置为 0，要么一个也不置为 0。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("If hard takes nothing away, why use soft?", "硬阈值什么也不减，为什么还用软阈值？"),
        Say(
            "Because a count is not convex. Start proximal descent on the diabetes data from 60 random "
            "places. With the soft threshold all of them end with the same weights at 0. With the hard one "
            "they end with about 40 different sets: a weight once at 0 stays there unless a single step "
            "lifts it over the threshold. And hard jumps: a coefficient a little above $t$ is kept whole, "
            "one a little below is lost, so that a little noise in $v$ changes the result by $t$. Soft is "
            "continuous; its price is the bias of $\\lambda$.",
            "因为计数不是凸的。在糖尿病数据上从 60 个随机初值出发作近端下降：用软阈值，"
            "最后为 0 的总是同一批权重；用硬阈值，会得到约 40 种不同的结果："
            "权重一旦为 0 就留在那里，除非某一步使它一下子越过阈值。"
            "硬阈值还有跳跃：系数略大于 $t$ 就全部保留，略小于 $t$ 就全部丢掉，"
            "$v$ 里的一点噪声就会使结果相差 $t$。软阈值是连续的，代价是 $\\lambda$ 这么大的偏差。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def a_zero():
    """The first of the scanned digits, 8 × 8, from 0 (paper) to 1 (ink)."""
    return mr.datasets.arrays("digits")[0][0].reshape(8, 8) / 16


@app.function(hide_code=True)
def waves():
    """The discrete cosine transform of 8 numbers."""
    k = np.arange(8)
    w = np.cos(np.pi * np.outer(k, 2 * k + 1) / 16) / 2
    w[0] /= 2**0.5
    return w


@app.function(hide_code=True)
def gate(choice, t):
    """The penalty whose gate t sets."""
    P = mr.penalties
    return {"l1": P.L1(t), "l0": P.L0(t**2 / 2), "l2": P.L2(t), "norm": P.FrobeniusNorm(t)}[choice]


@app.class_definition(hide_code=True)
class ShiftFirst:
    """A planted fault: what a text does before the gate (claim C51)."""

    def __init__(self, penalty, t):
        self.penalty, self.t = penalty, t

    def prox(self, v, step):
        """The gate, of what has been moved towards 0 by t."""
        return self.penalty.prox(v - np.sign(v) * self.t, step)


@app.function(hide_code=True)
def corners(t):
    """Between these all gates are straight."""
    e = 1e-6
    at = [-2 * t - e, -2 * t + e, -t - e, -t + e, -e, e, t - e, t + e, 2 * t - e, 2 * t + e]
    return np.array([-9, *at, 9])


@app.function(hide_code=True)
def curve(penalty, choice, x):
    """What becomes of x; under the norm as of the coefficients, for their common length counts."""
    if choice != "norm":
        return penalty.prox(x, 1.0)
    before, after, _ = through(penalty, a_zero())
    slope, shift = np.polyfit(before[before > 0], after[before > 0], 1)
    return slope * x + shift * np.sign(x)


@app.function(hide_code=True)
def picture(t, choice, broken=False):
    """A gate with all coefficients on it; coefficients and digit before and after."""
    meant = gate(choice, t)
    penalty, role = (ShiftFirst(meant, t), "broken") if broken else (meant, "result")
    before, after, digit = through(penalty, a_zero())
    names = {"l1": Say("soft", "软"), "l0": Say("hard", "硬"), "l2": Say("linear", "线性"),
             "norm": Say("by length", "按长度")}  # fmt: skip
    formula = {"l1": "λΣ|θ|", "l0": "λ·#{θ ≠ 0}", "l2": "½λΣθ²", "norm": "λ‖θ‖"}[choice]
    texts = {"l1": (gate("l0", t), Say("a textbook: hard", "教材：硬")),
             "l2": (gate("l1", t), Say("a textbook: soft", "教材：软"))}  # fmt: skip
    left = Panel(
        Say(
            f"{'shifted by t, then' if broken else '64 coefficients'} in the gate of {formula}",
            f"64 个系数{'先平移 t，再' * broken}通过 {formula} 的门",
        ),
        x=(-1.6, 2.6), y=(-1.6, 2.6), height=240,
        xlabel=Say("before: v", "之前：v"), ylabel=Say("after: θ", "之后：θ"),
    )  # fmt: skip
    left.line([-9, 9], [-9, 9], "reference", width=1.5, label=Say("unchanged", "不变"))
    x = corners(t)
    if broken:
        left.line(x, curve(meant, choice, x), "reference", label=Say("meant", "本应如此"))
    elif choice in texts:
        text, words = texts[choice]
        left.line(x, text.prox(x, 1.0), "textbook", label=words)
    left.line(x, curve(penalty, choice, x), "broken" if broken else "penalty", label=names[choice])
    left.dots(before.ravel(), after.ravel(), role, size=3.5)
    boards = Panel(
        Say("the coefficients, and their digit", "系数，以及它们叠加成的图像"),
        x=(0, 21), y=(17.6, 0), height=252,
        xticks={4: Say("before", "之前"), 16: Say("after", "之后")},
        yticks={4: Say("waves", "波"), 13.6: Say("digit", "图像")},
    )  # fmt: skip
    boards.heat(abs(before) ** 0.5, 1, "data", box=(0, 8, 0, 8))
    boards.heat(abs(after) ** 0.5, 1, role, box=(12, 20, 0, 8))
    boards.heat(a_zero(), 1, "ink", box=(0, 8, 9.6, 17.6))
    boards.heat(np.maximum(digit, 0), 1, "ink", box=(12, 20, 9.6, 17.6))
    across, down = 8 * np.array([[0, 1, 1, 0, 0], [0, 0, 1, 1, 0]])
    for x0, y0 in np.ndindex(2, 2):  # frames of the boards
        boards.line(12 * x0 + across, 9.6 * y0 + down, "reference", width=1)
    kept, most = np.count_nonzero(after), np.unravel_index(before.argmax(), before.shape)
    return Frame(left, boards, kept=kept, before=before[most], after=after[most])


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def supports(penalty):
    """With how many sets of weights proximal descent from 60 starts ends on the diabetes data."""
    x, y = mr.datasets.arrays("diabetes")
    x, y = mr.tensor((x - x.mean(0)) / x.std(0)), mr.tensor((y - y.mean()) / y.std())
    w = mr.nn.Parameter(np.random.default_rng(0).standard_normal((60, 10)))
    optimizer = mr.optim.ProximalGradient([w], lr=0.12, penalty=penalty)
    for _ in range(500):
        optimizer.zero_grad()
        ((w @ x.T - y) ** 2).mean(axis=1).sum().backward()
        optimizer.step()
    return len(np.unique(w.numpy() != 0, axis=0))


@app.function(hide_code=True)
def lasso_and_on():
    """Zeros of 10 of a lasso's solution, and after 100 subgradient steps; how far these go off 0/(2ηλ)."""
    x, y = mr.datasets.arrays("diabetes")
    x, y = (x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None]
    model, penalty = mr.nn.Linear(10, 1, bias=False, dtype=np.float64), mr.penalties.L1(0.2)
    mr.solve(model, mr.nn.MSELoss(), penalty, x, y)
    start = model.weight.numpy()[0].copy()
    objective = mr.Objective(mr.nn.MSELoss(), {"l1": penalty})
    end = mr.trajectory(model, objective, mr.optim.SGD(model.parameters(), 0.01), x, y, 100)[-1]
    off = abs(end.ravel()[start == 0]).max() / (2 * 0.01 * 0.2)
    return (start == 0).sum(), (end == 0).sum(), off


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    before, soft, _ = through(gate("l1", 0.35), a_zero())
    hard = through(gate("l0", 0.35), a_zero())[1]
    recipe = through(ShiftFirst(gate("l1", 0.5), 0.5), a_zero())[1]
    zeros, later, off = lasso_and_on()
    return [
        holds(
            "coefficients that L1 leaves at t = 0.35",
            np.count_nonzero(soft),
            at_least=10,
            at_most=10,
        ),
        holds(
            "coefficients that only one of L1 and ℓ0 leaves",
            ((soft != 0) != (hard != 0)).sum(),
            at_most=0,
        ),
        holds(
            "|what L1 takes from these − t|",
            abs(abs(before - soft)[soft != 0] - 0.35).max(),
            at_most=1e-12,
        ),
        holds("what ℓ0 takes from these", abs(before - hard)[hard != 0].max(), at_most=0),
        holds(
            "|the recipe at 0.5 − L1 at 1|",
            abs(recipe - through(gate("l1", 1), a_zero())[1]).max(),
            at_most=1e-14,
        ),
        holds(
            "coefficients that L1 leaves at t = 0.5",
            np.count_nonzero(through(gate("l1", 0.5), a_zero())[1]),
            at_least=7,
            at_most=7,
        ),
        holds("digits", len(mr.datasets.arrays("digits")[0]), at_least=1797, at_most=1797),
        holds("lasso of the last question: zeros of 10", zeros, at_least=6, at_most=6),
        breaks("zeros after 100 subgradient steps", later, at_most=0),
        holds("the six then: |θ|/(2ηλ), at most", off, at_most=1),
        holds("sets that 60 starts end with, soft", supports(mr.penalties.L1(0.2)), at_most=1),
        holds(
            "sets that 60 starts end with, hard",
            supports(mr.penalties.L0(0.02)),
            at_least=36,
            at_most=44,
        ),
    ]


if __name__ == "__main__":
    app.run()
