"""How sure may a network be?

For everybody who has seen a network say 99.9 % and be wrong. Afterwards you can say what label smoothing
asks for, how it pulls at a logit, where training stops, and how to see whether that is sure enough.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 15: how sure may a network be?")

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

    LEARNED, NEW = 47, 163  # a 4 among the hundred digits, and a 4 among the new ones


@app.cell(hide_code=True)
def _():
    Title(
        Say("How sure may a network be?", "网络可以有多自信？"),
        lead=Say(
            "A network has learned 100 handwritten digits: it gives each of K = 10 classes a logit z, of "
            "which softmax makes the probability p. Label smoothing spreads a share ε of each label over all "
            "classes alike.",
            "一个网络学会了 100 个手写数字：它给 K = 10 个类别各一个 logit z，再由 softmax 化为概率 p。"
            "标签平滑从每个标签中取出比例 ε，平均分给所有类别。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "A digit's true class already has p = 99.94 %. With ε = 0.1, where does the loss pull its logit?",
            "某个数字的正确类别已有 p = 99.94%。取 ε = 0.1，损失会把它的 logit 往哪边拉？",
        ),
        (
            Answer(
                Say("Up, but weakly", "向上，但很弱"),
                Say(
                    "That is what the data do, with 1 − p = 0.0006. Smoothing pulls down with 0.09, over a "
                    "hundred times as hard.",
                    "数据确实如此，拉力是 1 − p = 0.0006。可是平滑以 0.09 向下拉，是它的一百多倍。",
                ),
            ),
            Answer(
                Say("Nowhere: it is right", "不拉：它已经对了"),
                Say(
                    "The loss does not ask what is right, but for p = 0.91. Only there the pulls cancel.",
                    "损失问的不是对不对，它要的是 p = 0.91。只有在那里，两个拉力才互相抵消。",
                ),
            ),
            Answer(
                Say("Down", "向下"),
                Say(
                    "Yes: it asks for p = 0.91, so 99.94 % is too sure. The data hardly resist: they "
                    "pull up with 0.0006, smoothing down with 0.09.",
                    "对：损失要的是 p = 0.91，所以 99.94% 过于自信。数据几乎不再抵抗："
                    "它以 0.0006 向上拉，平滑以 0.09 向下拉。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: what becomes of the gap with ε, and what without?",
            "你看到了什么：有 ε 时，间隔怎样变化？没有呢？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "eps",
        (0, 0.02, 0.05, 0.1, 0.3),
        start=0.1,
        label="ε",
        choices={
            "learned": Say("a digit it learned", "学过的一个数字"),
            "new": Say("new digits", "新的数字"),
        },
        broken=Say("the text's −ε log pₖ", "换成教材的 −ε log pₖ"),
        caption=Say("{said}", "{said}"),
        alt=Say(
            "Left, a handwritten 4 and the ten probabilities that a network gives it after hard labels: 4 "
            "has nearly 1. Smoothing asks for less: an arrow points down. Right, the gap between the true "
            "logit and the others against the step: without smoothing it grows for ever, with smoothing it "
            "bends to a level that falls with ε. Under the text's penalty it grows for ever. For new digits: "
            "left, a 4 that the network takes for a 7, very sure without smoothing; right, six groups of "
            "digits, how often right against how sure: below the diagonal without smoothing, on it at ε = "
            "0.02, above it for more.",
            "左图：一个手写的 4，以及用硬标签训练后网络给出的十个概率，其中 4 的概率接近 1。"
            "平滑要求它小一些：箭头从柱顶向下。右图：正确类别的 logit 与其余类别之差随步数的变化："
            "没有平滑时不断增大；有平滑时趋于一个定值，ε 越大，定值越小。换成教材的惩罚项，"
            "间隔又不断增大。选“新的数字”时，左图是一个被网络认成 7 的 4，没有平滑时网络十分自信；"
            "右图把新数字分为六组，横轴是自信程度，纵轴是正确率：没有平滑时在对角线下方，"
            "ε = 0.02 时落在对角线上，ε 更大时在上方。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**The pull on a logit** is what the smoothed label $\\tilde q$ has more than $p$. At the "
                "true class $k$, where the label $q$ is 1, the data pull with $1-p$, which fades; smoothing "
                "with $-\\varepsilon(1-1/K)$, however sure the network: [ε = 0.3]"
                "(#eps=0.3&choice=learned).\n\n"
                r"$$-\frac{\partial L}{\partial z} = \color{data}{q-p} + "
                r"\color{penalty}{\varepsilon\,(\tfrac1K - q)} = \tilde q - p$$",
                "**logit 受到的拉力**，就是平滑后的标签 $\\tilde q$ 比 $p$ 多出的部分。在正确类别 $k$ 处，"
                "标签 $q$ 为 1，数据的拉力是 $1-p$，会逐渐消失；平滑的拉力是 $-\\varepsilon(1-1/K)$，"
                "与网络有多自信无关：[ε = 0.3](#eps=0.3&choice=learned)。\n\n"
                r"$$-\frac{\partial L}{\partial z} = \color{data}{q-p} + "
                r"\color{penalty}{\varepsilon\,(\tfrac1K - q)} = \tilde q - p$$",
            ),
            Say(
                "**They cancel** where $p=\\tilde q$. Logits differ by the logarithm of the ratio of their "
                "probabilities. So the gap to another class $j$ stops at\n\n"
                r"$$\color{result}{z_k - z_j} = \log\frac{1-\varepsilon+\varepsilon/K}{\varepsilon/K}$$",
                "**互相抵消**之处，$p=\\tilde q$。两个 logit 之差，等于两个概率之比的对数，"
                "所以与另一个类别 $j$ 的间隔停在\n\n"
                r"$$\color{result}{z_k - z_j} = \log\frac{1-\varepsilon+\varepsilon/K}{\varepsilon/K}$$",
            ),
            Say(
                "**Hard labels** ([ε = 0](#eps=0&choice=learned)) ask for $p=1$, which no finite logits "
                "give. [The text's penalty](#eps=0.1&choice=learned&broken) does not help: at the true class "
                "it is $\\varepsilon$ times the loss itself. It pulls *up*, with "
                "$\\varepsilon(1-p)$, and fades.",
                "**硬标签**（[ε = 0](#eps=0&choice=learned)）要的是 $p=1$，有限的 logit 都达不到。"
                "[教材的惩罚项](#eps=0.1&choice=learned&broken)无济于事：在正确类别上，"
                "它就是损失本身的 $\\varepsilon$ 倍，以 $\\varepsilon(1-p)$ *向上*拉，而且逐渐消失。",
            ),
        )
    )
    return


@app.function
def train(loss, steps=1000):
    """A network after these steps on 100 digits; its mean gap before each."""
    mr.manual_seed(0)
    model = mr.nn.Sequential(mr.nn.Linear(64, 32), mr.nn.ReLU(), mr.nn.Linear(32, 10))
    optimizer = mr.optim.SGD(model.parameters(), lr=0.3)
    x, y = hundred()
    gaps = []
    for _ in range(steps):
        z = model(x)
        gaps.append(gap(z.numpy(), y).mean())
        optimizer.zero_grad()
        loss(z, y).backward()
        optimizer.step()
    return model, gaps


@app.cell(hide_code=True)
def _():
    Code(
        train,
        "for eps in (0, 0.1):\n"
        "    loss = mr.nn.CrossEntropyLoss(label_smoothing=eps)\n"
        "    model, gaps = train(loss, 401)\n"
        "    print(f'ε = {eps}:', *(f'{gaps[t]:.2f}' for t in (50, 100, 200, 400)))",
        Say(
            "`gap` is the true logit less the mean of the other nine. Printed is its mean over the hundred "
            "digits after 50, 100, 200 and 400 steps.",
            "`gap` 是正确类别的 logit 减去其余九个的平均。输出的是走 50、100、200、400 步之后，"
            "它对一百个数字的平均。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C82", "C81", "C83"), also=("C80", "C84"))
    return


@app.function(hide_code=True)
def target(q, eps):
    """What label smoothing makes of the label q, a 1 among zeros."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "target",
        Say(
            "`q` is a label: an array with 1 at the true class, else 0. Return it smoothed: a share `eps` of "
            "it is spread over *all* classes.",
            "`q` 是一个标签：正确类别处为 1，其余为 0 的数组。返回平滑之后的标签："
            "从中取出比例 `eps`，平均分给*所有*类别。",
        ),
        target,
        spread,
        cases=[
            (np.array([0.0, 1.0, 0.0]), 0.1),
            (np.array([1.0, 0.0, 0.0, 0.0, 0.0]), 0.3),
            (np.array([0.0, 0.0, 0.0, 1.0]), 0.4),
        ],
        limits={
            Say("ε = 0: the label stays as it is.", "ε = 0 时，标签不变。"): (
                np.array([0.0, 1.0, 0.0, 0.0]),
                0.0,
            ),
            Say("ε = 1: all classes are alike, 1/K each.", "ε = 1 时，各类别相同，都是 1/K。"): (
                np.array([0.0, 0.0, 1.0, 0.0]),
                1.0,
            ),
        },
        mistakes={
            Say(
                "These add up to 1 − ε: what is taken from the true class must go somewhere.",
                "它们之和是 1 − ε：从正确类别取走的部分，应当分出去。",
            ): lambda q, eps: (1 - eps) * q,
            Say(
                "Here ε is spread over the other classes only. It goes to all K, and the true one gets its "
                "part back: 1 − ε + ε/K. (Yours is the same with ε·K/(K − 1) in place of ε.)",
                "这里只把 ε 分给了其余类别。应当分给全部 K 个，正确类别也拿回一份：1 − ε + ε/K。"
                "（你的写法相当于把 ε 换成 ε·K/(K − 1)。）",
            ): lambda q, eps: (1 - eps) * q + (1 - q) * eps / (len(q) - 1),
            Say(
                "These add up to 1 + ε: what is given to all must be taken from the label first.",
                "它们之和是 1 + ε：分给大家的部分，要先从标签中取出。",
            ): lambda q, eps: q + eps / len(q),
            Say(
                "Each class gets all of ε, so these add up to more than 1: ε is shared out, ε/K each.",
                "每个类别都得到了全部的 ε，总和超过 1：ε 是大家平分的，每个得 ε/K。",
            ): lambda q, eps: (1 - eps) * q + eps,
            Say(
                "These add up to 1 − ε/K: the true class is one of *all* classes and gets its ε/K, too.",
                "它们之和是 1 − ε/K：正确类别也在*所有*类别之中，同样得到 ε/K。",
            ): lambda q, eps: (1 - eps) * q + (1 - q) * eps / len(q),
            Say(
                "You give ε/(K − 1) to each of K classes: more than ε in all. Over K classes it is ε/K each.",
                "你给 K 个类别各分了 ε/(K − 1)，总共超过 ε。分给 K 个类别，每个应得 ε/K。",
            ): lambda q, eps: (1 - eps) * q + eps / (len(q) - 1),
            Say(
                "Each of the others gets all of ε, and the sum is more than 1. For K = 2 alone it would be "
                "a distribution.",
                "其余类别各得到全部的 ε，总和超过 1。只有 K = 2 时，这才是一个概率分布。",
            ): lambda q, eps: (1 - eps) * q + (1 - q) * eps,
            Say(
                "ε and 1 − ε are exchanged: ε is the share that is spread.",
                "ε 与 1 − ε 弄反了：分出去的比例是 ε。",
            ): lambda q, eps: eps * q + (1 - eps) / len(q),
            Say(
                "That is what is spread, ε/K each. The label itself is lost: 1 − ε of it stays.",
                "这只是分出去的部分，每个 ε/K。标签本身丢了：它还应保留比例 1 − ε。",
            ): lambda q, eps: np.full(len(q), eps / len(q)),
            Say(
                "You spread a whole label, 1/K each, not the share ε of one.",
                "你分出去的是整整一个标签，每个 1/K，而不是它的比例 ε。",
            ): lambda q, eps: (1 - eps) * q + 1 / len(q),
            Say(
                "The true class gets its ε/K twice: these add up to 1 + ε/K.",
                "正确类别拿了两次 ε/K：总和是 1 + ε/K。",
            ): lambda q, eps: (1 - eps + eps / len(q)) * q + eps / len(q),
            Say(
                "The true class gives up all of ε and gets ε/K back; you took ε/K from it.",
                "正确类别交出全部的 ε，再拿回 ε/K；你只从它那里取走了 ε/K。",
            ): lambda q, eps: np.where(q == 1, 1 - eps / len(q), eps / len(q)),
            Say(
                "K is the length of `q`: here it is not always 10.",
                "K 是 `q` 的长度，在这里不总是 10。",
            ): lambda q, eps: (1 - eps) * q + eps / 10,
            Say(
                "Nothing is taken from the label, and each class gets all of ε: these add up to 1 + Kε.",
                "没有从标签中取走什么，每个类别又得到全部的 ε：总和是 1 + Kε。",
            ): lambda q, eps: q + eps,
            Say(
                "What is spread is ε, not 1 − ε: ε/K to each class.",
                "分出去的是 ε，不是 1 − ε：每个类别得 ε/K。",
            ): lambda q, eps: (1 - eps) * (q + 1 / len(q)),
            Say(
                "A distribution, but another one: to add ε everywhere and divide by the sum leaves the label "
                "1/(1 + Kε), not 1 − ε.",
                "这是概率分布，却是另一个：处处加 ε 再除以总和，标签保留的是 1/(1 + Kε)，而不是 1 − ε。",
            ): lambda q, eps: (q + eps) / (1 + len(q) * eps),
            Say(
                "ε is taken from the label, not ε/K: these add up to more than 1.",
                "从标签中取走的是 ε，不是 ε/K：这样总和超过 1。",
            ): lambda q, eps: (1 - eps / len(q)) * q + eps / len(q),
            Say(
                "Right at the true class. But the others get ε/K each, too.",
                "正确类别处没错。但其余类别也各得 ε/K。",
            ): lambda q, eps: (1 - eps + eps / len(q)) * q,
        },
        why=Say(
            "(1 − ε)q + ε/K has the sum 1. At the true class it is 1 − ε + ε/K: past this p the pull on the "
            "logit changes its sign.",
            "(1 − ε)q + ε/K 的总和是 1。在正确类别处，它是 1 − ε + ε/K：p 超过它，logit 的拉力就变号。",
        ),
        hints=(
            Say(
                "1 − ε of the label stays: `(1 - eps) * q`.",
                "标签保留比例 1 − ε：`(1 - eps) * q`。",
            ),
            Say(
                "K is `len(q)`. What does each class get of ε?",
                "K 就是 `len(q)`。ε 中每个类别分到多少？",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def spread(q, eps):
    """What label smoothing makes of the label q, a 1 among zeros."""
    return (1 - eps) * q + eps / len(q)


@app.function(hide_code=True)
def at_rest(K, eps):
    """p of the true class; its logit less that of another class."""
    p = ...
    gap = ...
    return p, gap


@app.cell(hide_code=True)
def _():
    Write(
        "at_rest",
        Say(
            "Training has come to rest, at p = q̃ with `K` classes. Return the p of the true class, where the "
            "pull on its logit changes its sign, and the gap: its logit less that of another class.",
            "训练已经停下，p = q̃，共 `K` 个类别。返回正确类别的 p（它的 logit 所受的拉力在这里变号），"
            "以及间隔，即它的 logit 减去另一个类别的 logit。",
        ),
        at_rest,
        balanced,
        cases=[(10, 0.1), (3, 0.3), (5, 0.02)],
        limits={
            Say(
                "ε = 1: all classes are alike, p = 1/K and no gap.",
                "ε = 1 时，各类别相同：p = 1/K，间隔为 0。",
            ): (4, np.float64(1.0)),
        },
        mistakes={
            Say(
                "The gap is right. But the true class gets its part of ε back: p is 1 − ε + ε/K.",
                "间隔没错。但正确类别会拿回 ε 中的一份：p 是 1 − ε + ε/K。",
            ): lambda K, eps: (1 - eps, np.log(1 + K * (1 - eps) / eps)),
            Say(
                "The gap is right. But at p = 1 the data would not pull at all, and smoothing would, down.",
                "间隔没错。但在 p = 1 处，数据毫无拉力，平滑却仍向下拉。",
            ): lambda K, eps: (1.0, np.log(1 + K * (1 - eps) / eps)),
            Say(
                "Your p is right. log((1 − ε)/ε) would be for two classes, one with ε. Here another has ε/K, "
                "and the true one 1 − ε + ε/K.",
                "你的 p 没错。log((1 − ε)/ε) 适用于另一类占 ε 的两类情形。"
                "这里另一个类别占 ε/K，正确类别占 1 − ε + ε/K。",
            ): lambda K, eps: (1 - eps + eps / K, np.log((1 - eps) / eps)),
            Say(
                "The true class gets its part of ε back, 1 − ε + ε/K, and another class has ε/K, not all "
                "of ε.",
                "正确类别会拿回 ε 中的一份，即 1 − ε + ε/K；另一个类别占的是 ε/K，不是全部的 ε。",
            ): lambda K, eps: (1 - eps, np.log((1 - eps) / eps)),
            Say(
                "Your p is right, but in the gap its ε/K is lost: the ratio is 1 + K(1 − ε)/ε, with a 1.",
                "你的 p 没错，可间隔里漏了它的 ε/K：比值是 1 + K(1 − ε)/ε，有一个 1。",
            ): lambda K, eps: (1 - eps + eps / K, np.log(K * (1 - eps) / eps)),
            Say(
                "Both lack the part ε/K that the true class gets back: p is 1 − ε + ε/K, and the ratio "
                "1 + K(1 − ε)/ε.",
                "两者都漏了正确类别拿回的 ε/K：p 是 1 − ε + ε/K，比值是 1 + K(1 − ε)/ε。",
            ): lambda K, eps: (1 - eps, np.log(K * (1 - eps) / eps)),
            Say(
                "Here ε is spread over the other K − 1 classes. It goes to all K, the true one among them.",
                "这里把 ε 分给了其余 K − 1 个类别。应当分给全部 K 个，包括正确类别。",
            ): lambda K, eps: (1 - eps, np.log((1 - eps) * (K - 1) / np.float64(eps))),
            Say(
                "Your p is right. log(p/(1 − p)) compares it with all others together; a single one has ε/K.",
                "你的 p 没错。log(p/(1 − p)) 是与其余类别的总和相比；单独一个类别占 ε/K。",
            ): lambda K, eps: (1 - eps + eps / K, np.log((1 - eps + eps / K) / (eps - eps / K))),
            Say(
                "That is the difference of the probabilities. Logits differ by the logarithm of their ratio.",
                "这是概率之差。logit 之差是概率之比的对数。",
            ): lambda K, eps: (1 - eps + eps / K, 1 - eps),
            Say(
                "That is the ratio of the probabilities. The gap is its logarithm.",
                "这是概率之比。间隔是它的对数。",
            ): lambda K, eps: (1 - eps + eps / K, 1 + K * (1 - eps) / eps),
            Say(
                "That is the logarithm of p alone. The gap also takes away the other's, log(ε/K).",
                "这只是 p 的对数。间隔还要减去另一个类别的对数 log(ε/K)。",
            ): lambda K, eps: (1 - eps + eps / K, np.log(1 - eps + eps / K)),
            Say(
                "The gap has the wrong sign: the true class stands above the other.",
                "间隔的符号反了：正确类别在另一个类别之上。",
            ): lambda K, eps: (1 - eps + eps / K, -np.log(1 + K * (1 - eps) / eps)),
            Say(
                "Softmax is made with e: take the natural logarithm, `np.log`.",
                "softmax 以 e 为底：应取自然对数 `np.log`。",
            ): lambda K, eps: (1 - eps + eps / K, np.log10(1 + K * (1 - eps) / eps)),
            Say(
                "Softmax is made with e, not with 2: take the natural logarithm, `np.log`.",
                "softmax 以 e 为底，不是 2：应取自然对数 `np.log`。",
            ): lambda K, eps: (1 - eps + eps / K, np.log2(1 + K * (1 - eps) / eps)),
            Say(
                "Your p is right. Another class has ε/K, not all of ε.",
                "你的 p 没错。另一个类别占的是 ε/K，不是全部的 ε。",
            ): lambda K, eps: (1 - eps + eps / K, np.log((1 - eps + eps / K) / eps)),
            Say(
                "Your p is right. But log 1 − log(ε/K) is the gap of a class with p = 1; put in your p.",
                "你的 p 没错。但 log 1 − log(ε/K) 是 p = 1 时的间隔；应代入你的 p。",
            ): lambda K, eps: (1 - eps + eps / K, -np.log(eps / K)),
            Say(
                "Your p is right. For the gap take the logarithm of the ratio, which is 1 + K(1 − ε)/ε.",
                "你的 p 没错。间隔要取比值的对数，比值是 1 + K(1 − ε)/ε。",
            ): lambda K, eps: (1 - eps + eps / K, K * (1 - eps) / eps),
            Say(
                "Your p is right. The ratio stands upside down: (1 − ε) belongs above, ε below.",
                "你的 p 没错。比值上下颠倒了：(1 − ε) 应在上，ε 在下。",
            ): lambda K, eps: (1 - eps + eps / K, np.log(1 + K * eps / (1 - eps))),
            Say(
                "All of ε is taken from the true class, and ε/K is given back: p = 1 − ε + ε/K.",
                "从正确类别取走的是全部的 ε，再还给它 ε/K：p = 1 − ε + ε/K。",
            ): lambda K, eps: (1 - eps / K, np.log((1 - eps / K) / (eps / K))),
            Say(
                "The gap is right. But ε/K is given back to the true class, not taken once more: p is "
                "1 − ε + ε/K.",
                "间隔没错。但 ε/K 是还给正确类别的，不是再取走一次：p = 1 − ε + ε/K。",
            ): lambda K, eps: (1 - eps - eps / K, np.log(1 + K * (1 - eps) / eps)),
            Say(
                "The gap is right. But ε/K is the p of another class; the true one has 1 − ε more.",
                "间隔没错。但 ε/K 是另一个类别的 p；正确类别还要多 1 − ε。",
            ): lambda K, eps: (eps / K, np.log(1 + K * (1 - eps) / eps)),
            Say(
                "Both are right, in the wrong order: first p, then the gap.",
                "两个数都对，只是顺序反了：先 p，后间隔。",
            ): lambda K, eps: (np.log(1 + K * (1 - eps) / eps), 1 - eps + eps / K),
            Say(
                "That is what hard labels ask for. At p = 1 smoothing pulls down, and the data do not pull.",
                "这是硬标签的要求。在 p = 1 处，平滑向下拉，数据却没有拉力。",
            ): lambda K, eps: (1.0, np.inf),
        },
        why=Say(
            "at rest p = q̃: 1 − ε + ε/K against ε/K, and the logarithm of their ratio is the dashed line of "
            "the picture.",
            "停下时 p = q̃：1 − ε + ε/K 对 ε/K，两者之比的对数就是图中的虚线。",
        ),
        hints=(
            Say(
                "The first exercise says what p = q̃ is, at the true class and at another.",
                "第一题已给出 q̃ 在正确类别和另一个类别处的值。",
            ),
            Say(
                "p is e^z over a sum that all classes share, so z − z′ = log(p/p′).",
                "p 是 e^z 除以各类别共有的总和，所以 z − z′ = log(p/p′)。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def balanced(K, eps):
    """p of the true class; its logit less that of another class."""
    p = 1 - eps + eps / K
    gap = np.log(p / (eps / K))
    return p, gap


@app.cell(hide_code=True)
def _():
    Goal(
        "goal",
        Say(
            "How sure, then? A network that says 80 % should be right on 80 % of such digits. Choose “new "
            "digits” and set ε so that it is on the whole as sure as it is right, within 2 points.",
            "那么该多自信呢？网络说 80% 时，这样的数字应当有 80% 认对。选“新的数字”，"
            "调节 ε，使它总体上的自信程度与正确率相差不到 2 个百分点。",
        ),
        lambda choice, over, broken, **_: choice == "new" and abs(over) < 2 and not broken,
        why=Say(
            "Yes: sure of {sure:.0f} %, right on {right:.0f} %, and the six groups lie near the diagonal. "
            "So it is for these data; others want another ε.",
            "对：自信程度 {sure:.0f}%，正确率 {right:.0f}%，六组都落在对角线附近。"
            "这是对这些数据而言；换了数据，合适的 ε 也会不同。",
        ),
        others={
            Say(
                "Here the text's penalty is at work, and the network is {sure:.0f} % sure whatever ε. "
                "Mend it first.",
                "这里用的是教材的惩罚项，不论 ε 是多少，自信程度都是 {sure:.0f}%。先改正它。",
            ): lambda broken, **_: broken,
            Say(
                "That is one digit which it has learned. Choose “new digits”.",
                "这只是学过的一个数字。请选“新的数字”。",
            ): lambda choice, **_: choice == "learned",
            Say(
                "Too sure: it says {sure:.0f} % and is right on {right:.0f} %. The groups lie below the "
                "diagonal.",
                "过于自信：它说 {sure:.0f}%，正确率只有 {right:.0f}%。各组在对角线下方。",
            ): lambda over, **_: over > 0,
            Say(
                "Not sure enough: it says {sure:.0f} % and is right on {right:.0f} %. Too much "
                "is shared out: it hides what it knows.",
                "不够自信：它说 {sure:.0f}%，正确率却有 {right:.0f}%。分出去太多，网络知道的也不敢说了。",
            ): lambda over, **_: over < 0,
        },
        hints=(
            Say(
                "Groups below the diagonal are too sure, those above not sure enough.",
                "在对角线下方的组过于自信，在上方的不够自信。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "In lesson 1 λ doubled. Now ε does, from 0.05 to 0.1: smoothing pulls twice as hard at the true "
            "logit, wherever that is. What becomes of the gap, once training rests again?",
            "第 1 课里 λ 加倍。现在 ε 从 0.05 加倍到 0.1：不论正确类别的 logit 在哪里，"
            "平滑对它的拉力都加倍。重新停下之后，间隔会怎样？",
        ),
        lesson=1,
        answers=(
            Answer(
                Say("It halves", "减半"),
                Say(
                    "That would need a data pull like 1/gap. Theirs is 1 − p, about as e to minus the gap: "
                    "0.7 less doubles it. 86 % of the gap is left.",
                    "只有数据的拉力与间隔成反比时，才会减半。实际的拉力 1 − p 大致与 e 的“负间隔”次幂成正比："
                    "间隔减小 0.7，拉力就加倍。间隔还剩 86%。",
                ),
            ),
            Answer(
                Say("About 0.7 less, whatever it was", "减小约 0.7，与原来多大无关"),
                Say(
                    "Yes, from 5.25 to 4.51. To pull twice as hard the data need 1 − p doubled, and 1 − p "
                    "goes about as e to minus the gap: so the gap gives way by about log 2.",
                    "对，从 5.25 到 4.51。数据的拉力要加倍，1 − p 就要加倍，而 1 − p 大致与 e 的“负间隔”"
                    "次幂成正比：所以间隔约减小 log 2。",
                ),
                right=True,
            ),
            Answer(
                Say("It stays: there the data win", "不变：这里数据说了算"),
                Say(
                    "Nobody wins: the two cancel. Where one pulls harder the logit moves until the other "
                    "does, too; here a small move is enough.",
                    "谁也赢不了：两个拉力互相抵消。一方加大，logit 就移动，直到另一方也一样大；"
                    "这里只需移动一点。",
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
                "Hard labels ask for p = 1: the gap grows for ever, like log t.",
                "硬标签要求 p = 1，任何 logit 都达不到：间隔不断增大，大致如 log t。",
            ),
            Say(
                "Smoothing pulls the true logit down by ε(1 − 1/K), however sure; data and smoothing cancel "
                "at p = 1 − ε + ε/K.",
                "不论网络多自信，平滑都以 ε(1 − 1/K) 把正确类别的 logit 往下拉；"
                "它与数据在 p = 1 − ε + ε/K 处抵消。",
            ),
            Say(
                "On new data a network may be as sure as it is right: with too small an ε it is surer, with "
                "too large a one less sure.",
                "对新数据，网络的自信应与正确率相当：ε 太小则过于自信，太大则不够自信。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("What is the missing constant?", "少了的那个常数是什么？"),
        Say(
            "The cross entropy $H(q,p) = -\\sum_j q_j\\log p_j$ is linear in $q$. So with the smoothed label "
            "it is $(1-\\varepsilon)H(q,p) + \\varepsilon H(U,p)$, $U$ having $1/K$ everywhere. And "
            "$H(U,p) = \\mathrm{KL}(U\\|p) + \\log K$: the KL divergence says how far $p$ is from $U$, and "
            "is 0 only if they are equal. The constant $\\varepsilon\\log K$ pulls at nothing, but stands in "
            "every loss that is reported.",
            "交叉熵 $H(q,p) = -\\sum_j q_j\\log p_j$ 对 $q$ 是线性的，所以换成平滑后的标签，它就是 "
            "$(1-\\varepsilon)H(q,p) + \\varepsilon H(U,p)$，其中 $U$ 处处为 $1/K$。"
            "而 $H(U,p) = \\mathrm{KL}(U\\|p) + \\log K$：KL 散度衡量 $p$ 与 $U$ 相差多少，"
            "只有两者相同时为零。常数 $\\varepsilon\\log K$ 不产生任何拉力，却出现在每一个报告的损失值里。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("One number for the diagonal?", "用一个数衡量离对角线多远？"),
        Say(
            "`mr.calibration_error(p, y)` sorts the digits by confidence, the largest probability of each, "
            "into 15 intervals and averages the distances to the diagonal, weighted by the number of digits. "
            "It is 0.09 at ε = 0, 0.03 at ε = 0.02 and 0.30 at ε = 0.3, and with so few digits would hardly "
            "be 0 even for a network that is just as sure as it is right. The share of digits read rightly "
            "hardly changes, 84 to 86 %: smoothing changed how sure the network is, not how much it knows. "
            "So it is here; in another network (C84) that share rose by at least 4.5 points.",
            "`mr.calibration_error(p, y)` 按置信度（各个数字的最大概率）把数字分入 15 个区间，"
            "再对各区间到对角线的距离按个数加权平均。ε = 0 时是 0.09，ε = 0.02 时是 0.03，ε = 0.3 时是 0.30；"
            "数字这么少，即使自信与正确率完全相当的网络，也难以恰好得 0。正确率几乎不变，在 84% 到 86% 之间："
            "平滑改变的是网络有多自信，而不是它知道多少。这里如此；在另一个网络里（C84），"
            "正确率至少提高了 4.5 个百分点。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def hundred():
    """Ten training digits of each class (100, 64), and their classes."""
    digits = mr.datasets.load("digits")
    rows = np.concatenate([np.flatnonzero(digits.y_train == k)[:10] for k in range(10)])
    return digits.x_train[rows], digits.y_train[rows]


@app.function(hide_code=True)
def drawn(which):
    """A digit as it was written, (8, 8): 0 is ink."""
    raw = mr.datasets.load("digits", standardize=False)
    if which == "new":
        return 1 - raw.x_validation[NEW].reshape(8, 8) / 16
    return 1 - raw.x_train[np.flatnonzero(raw.y_train == 4)[LEARNED - 40]].reshape(8, 8) / 16


@app.function(hide_code=True)
def gap(z, y):
    """The true logit less the mean of the others, for each row."""
    true = np.take_along_axis(z, y[:, None], 1)[:, 0]
    return true - (z.sum(1) - true) / (z.shape[1] - 1)


@app.function(hide_code=True)
@cache
def trained(eps, broken=False):
    """The probabilities of the hundred and of the new digits, and the gaps, after 1,000 steps."""
    hard = mr.nn.CrossEntropyLoss()
    text = lambda z, y: (
        hard(z, y) + eps * hard(z, y)
    )  # of the true class −log pₖ is the loss itself
    model, gaps = train(text if broken else mr.nn.CrossEntropyLoss(label_smoothing=eps))
    p = [
        mr.nn.functional.softmax(model(mr.tensor(x))).numpy().astype(float)
        for x in (hundred()[0], mr.datasets.load("digits").x_validation)
    ]
    return *p, gaps


@app.function(hide_code=True)
def pulls(eps, broken=False):
    """How data and smoothing pull at the ten logits of the learned digit; trained with hard labels."""
    z, y = mr.tensor(np.log(trained(0)[0][LEARNED]), requires_grad=True), np.array(4)
    hard, smooth = mr.nn.CrossEntropyLoss(), mr.nn.CrossEntropyLoss(label_smoothing=eps)
    added = eps * hard(z, y) if broken else smooth(z, y) - hard(z, y)
    return [-mr.grad(part, [z])[0].numpy() for part in (hard(z, y), added)]


@app.function(hide_code=True)
def reliability(p, y, groups=6):
    """Digits sorted by confidence, in equal groups: how sure, and how often right."""
    order = np.array_split(np.argsort(p.max(1)), groups)
    return [(p.max(1)[rows].mean(), (p.argmax(1) == y)[rows].mean()) for rows in order]


@app.function(hide_code=True)
def picture(eps, choice, broken=False):
    """Ten probabilities of a digit; the gap in training, or how sure and how often right."""
    p, y = trained(eps, broken)[1], mr.datasets.load("digits").y_validation
    sure, right = 100 * p.max(1).mean(), 100 * (p.argmax(1) == y).mean()
    panels, said = (learned if choice == "learned" else unseen)(eps, broken, sure, right)
    return Frame(*panels, said=said, sure=sure, right=right, over=sure - right)


@app.function(hide_code=True)
def learned(eps, broken, sure, right):
    """The picture of a digit that was learned with hard labels, and of the gap in training."""
    classes, role = np.arange(10), "broken" if broken else "penalty"
    p, (data, smoothing) = trained(0)[0][LEARNED], pulls(eps, broken)
    q = np.eye(10)[4]
    left = Panel(
        Say("trained at ε = 0: what it says, what is asked", "用 ε = 0 训练后：它的判断与损失的要求"),
        x=(-0.6, 9.6), y=(0, 1.08), xlabel=Say("class", "类别"), height=200,
        xticks={k: str(k) for k in classes},
    )  # fmt: skip
    left.image(drawn("learned"), (-0.3, 2.9, 0.45, 0.95))
    left.bars(classes, p, "result", width=0.5)
    ticks = np.array([[k - 0.4, k + 0.4, np.nan] for k in classes]).ravel()
    asked = q if broken else q + smoothing
    left.line(ticks, np.repeat(asked, 3), role, width=3)
    left.arrow(classes + 0.45, q, 0, asked - q, role)
    left.text(6.2, p[4], Say("it says", "它说"), "result")
    left.text(6.2, asked[4] - 0.09, Say("asked", "要求"), role)
    right = Panel(
        Say("gap of the true logit, mean of 100 digits", "正确类别 logit 的间隔，100 个数字的平均"),
        x=(1, 1000), y=(0, 13), log="x", xlabel=Say("step", "步数"), height=200,
    )  # fmt: skip
    steps = np.unique(np.geomspace(1, 999, 60).astype(int))
    right.line(
        steps, np.array(trained(0)[2])[steps], "reference", label=Say("no smoothing", "不平滑")
    )
    level = np.log(1 + 10 * (1 - eps) / eps) if eps else np.nan
    right.line([1, 1000], [level] * 2, "textbook", label="p = q̃")
    right.line(steps, np.array(trained(eps)[2])[steps], "result", label=f"ε = {eps:g}")
    if broken:
        right.line(steps, np.array(trained(eps, True)[2])[steps], "broken", label="−ε log pₖ")
    up, down = data[4], abs(smoothing[4])
    if broken:
        said = Say(
            f"−ε log pₖ pulls this logit by {down:.4f}, and upwards. Trained so, the gap grows for ever.",
            f"−ε log pₖ 对这个 logit 的拉力是 {down:.4f}，而且向上。这样训练，间隔会不断增大。",
        )
    elif not eps:
        said = Say(
            f"{100 * p[4]:.2f} % sure, and the data still pull the logit up, by {up:.4f}. Nothing holds it: "
            "the gap grows for ever.",
            f"已有 {100 * p[4]:.2f}% 的把握，数据仍以 {up:.4f} 把 logit 往上拉，没有什么拦住它："
            "间隔不断增大。",
        )
    else:
        said = Say(
            f"It says {100 * p[4]:.2f} %, asked for are {100 * asked[4]:.1f} %: the data pull its logit up "
            f"by {up:.4f}, smoothing down by {down:.3f}. Trained so, the gap tends to "
            f"{level:.1f} (dashed).",
            f"它说 {100 * p[4]:.2f}%，要求的是 {100 * asked[4]:.1f}%：数据以 {up:.4f} 把 logit 往上拉，"
            f"平滑以 {down:.3f} 往下拉。这样训练，间隔趋于 {level:.1f}（虚线）。",
        )
    return (left, right), said


@app.function(hide_code=True)
def unseen(eps, broken, sure, right):
    """The picture of a new digit, and of all new digits: how sure, and how often right."""
    p, role, classes = trained(eps, broken)[1], "broken" if broken else "result", np.arange(10)
    left = Panel(
        Say("trained at this ε: what it says of a new 4", "用这个 ε 训练后：对一个新的 4 的判断"),
        x=(-0.6, 9.6), y=(0, 1.08), xlabel=Say("class", "类别"), height=200,
        xticks={k: str(k) for k in classes},
    )  # fmt: skip
    left.image(drawn("new"), (-0.3, 2.9, 0.45, 0.95))
    left.bars(classes, p[NEW], role, width=0.5)
    left.text(4, p[NEW, 4] + 0.06, Say("true", "正确"), "ink")
    groups = np.array(reliability(p, mr.datasets.load("digits").y_validation))
    chart = Panel(
        Say("539 new digits in six groups", "539 个新数字，分为六组"),
        x=(0, 1), y=(0.2, 1.03), height=200, ylabel=Say("share that is right", "正确率"),
        xlabel=Say("how sure (mean p of its answer)", "自信程度（所选类别的平均 p）"),
    )  # fmt: skip
    chart.line([0.2, 1], [0.2, 1], "reference", label=Say("as sure as right", "自信与正确率相当"))
    chart.dots(*groups.T, role, size=6)
    chart.text(0.84, 0.35, Say("too sure", "过于自信"), "reference")
    chart.text(0.25, 0.9, Say("not sure enough", "不够自信"), "reference")
    top, at = p[NEW].max(), p[NEW].argmax()
    said = Say(
        f"It calls this 4 a {at}, {100 * top:.1f} % sure. On all new digits it is {sure:.0f} % sure and "
        f"{right:.0f} % right.",
        f"它把这个 4 认作 {at}，有 {100 * top:.1f}% 的把握。对全部新数字，它的自信程度是 {sure:.0f}%，"
        f"正确率是 {right:.0f}%。",
    )
    return (left, chart), said


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    digits, strengths = mr.datasets.load("digits"), (0, 0.02, 0.05, 0.1, 0.3)
    within = lambda what, value, goal, off: holds(
        what, value, at_least=goal - off, at_most=goal + off
    )
    level = lambda eps, K=10: np.log(1 + K * (1 - eps) / eps)
    data, smoothing = pulls(0.1)
    p, y = {e: trained(e)[1] for e in strengths}, digits.y_validation
    sure = {e: p[e].max(1).mean() for e in strengths}
    right = {e: (p[e].argmax(1) == y).mean() for e in strengths}
    hard, text = trained(0)[2], trained(0.1, True)[2]
    grown = np.diff([hard[t] for t in (100, 200, 400, 800)])
    off = max(abs(trained(e)[2][-1] - level(e)) for e in (0.05, 0.1, 0.3))
    error = {e: mr.calibration_error(p[e], y) for e in (0, 0.02, 0.3)}
    return [
        within("the learned digit: % of its true class", 100 * trained(0)[0][LEARNED, 4], 99.94, 0.01),
        within("pull of the data there", data[4], 0.0006, 0.0001),
        within("of smoothing, ε = 0.1", smoothing[4], -0.09, 1e-9),
        holds("their ratio", -smoothing[4] / data[4], at_least=100),
        within("q̃ there", 1 + smoothing[4], 0.91, 1e-9),
        breaks("pull of the text's term", pulls(0.1, True)[1][4], at_least=0),
        breaks("gap under it over the one of hard labels", text[-1] / hard[-1], at_least=1),
        holds("hard labels: least growth of the gap per doubling of t", grown.min(), at_least=1),
        holds("ε = 0.05, 0.1, 0.3: |gap − level|", off, at_most=0.1),
        within("ε = 0: sure − right", sure[0] - right[0], 0.08, 0.01),
        holds("ε = 0.02: |sure − right|", abs(sure[0.02] - right[0.02]), at_most=0.02),
        holds("ε ≥ 0.05: right − sure", min(right[e] - sure[e] for e in strengths[2:]), at_least=0.05),
        holds("share right, the least", min(right.values()), at_least=0.835),
        holds("and the most", max(right.values()), at_most=0.865),
        *(within(f"calibration error at ε = {e}", error[e], goal, 0.01)
          for e, goal in {0: 0.09, 0.02: 0.03, 0.3: 0.3}.items()),
        within("ε from 0.05: level", level(0.05), 5.25, 0.005),
        within("to 0.1", level(0.1), 4.51, 0.005),
        within("left of it", level(0.1) / level(0.05), 0.86, 0.005),
        within("1 − p there, over that before a gap 0.7 smaller", np.exp(0.7), 2, 0.02),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
