"""Is L2 under Adam still weight decay?

For everybody who has typed weight_decay=. Afterwards you can say what an optimizer makes of a penalty,
and read it off the ledger of a single step.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 10: is L2 under Adam still weight decay?")

with app.setup(hide_code=True):
    import numpy as np

    import minireg as mr
    from minireg.course.claims import holds
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


@app.cell(hide_code=True)
def _():
    Title(
        Say("Is L2 under Adam still weight decay?", "Adam 中的 L2 还算\u200b权重衰减吗？"),
        lead=Say(
            "A step of rate η with the penalty ½λθ² was to take the share ηλ of each weight θ. "
            "Adam divides steps by the size of the gradients.",
            "带惩罚 ½λθ² 的一步（学习率为 η），本应使每个权重 θ 减小其 ηλ；"
            "而 Adam 会把更新量除以梯度的大小。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "Two weights are equally large; one has ten times smaller gradients. Which loses more to λ?",
            "两个权重大小相等，其中一个的梯度只有另一个的十分之一。哪个因 λ 而减小得更多？",
        ),
        (
            Answer(
                Say("Both alike", "两个一样多"),
                Say(
                    "No. So it is under SGD and AdamW: their bars do not move. Adam divides λθ by the "
                    "size of the weight's gradients, and those differ.",
                    "不对。SGD 和 AdamW 才是这样：它们的柱子纹丝不动。Adam 则把 λθ 除以各自的梯度大小，"
                    "而这两个权重的梯度大小并不相同。",
                ),
            ),
            Answer(
                Say("The one with large gradients", "梯度大的那个"),
                Say(
                    "No. Adam divides by the size of the gradients, and λθ is divided along with them: "
                    "the larger they are, the less of the weight it takes.",
                    "不对。Adam 把更新量除以梯度的大小，λθ 也跟着一起被除：梯度越大，权重衰减得越少。",
                ),
            ),
            Answer(
                Say("The one with small gradients", "梯度小的那个"),
                Say(
                    "Yes: λθ is divided by a smaller size. At 10 : 1 this one loses about 7 times as "
                    "much, not 10: that size contains the penalty's own gradient, too.",
                    "对：λθ 除以一个较小的数。不过比值为 10 时，失去的约为 7 倍，而不是 10 倍："
                    "因为除数里也含有惩罚自身的梯度。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: which bars moved, and where did they stop?",
            "你看到了什么：哪些柱子动了，停在哪里？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Scene(
        picture,
        "ratio",
        (1, 2, 5, 10, 20, 50, 100),
        start=10,
        label=Say("loud ÷ quiet", "两个梯度之比"),
        broken=Say("the loss summed over 64 samples", "损失对 64 个样本求和，忘了取平均"),
        caption=Say(
            "η = 0.01, λ = 0.1: in one step Adam + L2 takes {loud:.3f}\u00a0% of the loud weight and "
            "{quiet:.3f}\u00a0% of the quiet one, AdamW {adamw:.3f}\u00a0% of both "
            "(mean of 100 random pairs).",
            "学习率 η = 0.01，衰减系数 λ = 0.1：每步中，Adam + L2 使梯度大的权重减小 {loud:.3f}%，"
            "使梯度小的权重减小 {quiet:.3f}%；AdamW 使两者各减小 {adamw:.3f}%（100 对随机权重的平均）。",
        ),
        alt=Say(
            "Left, the sizes of the gradients of two weights, one loud, one quiet. Right, the share that "
            "each loses to λ in a step. Under SGD with L2 and under AdamW it is ηλ for both, whatever the "
            "gradients. Under Adam with L2 the quiet weight loses more the quieter it is, up to η/|θ|.",
            "左图：两个权重的梯度大小，一个大，一个小。右图：每步中各自因 λ 而失去的比例。"
            "SGD + L2 与 AdamW 不管梯度怎样都是 ηλ；Adam + L2 让梯度小的权重失去更多，"
            "梯度越小失去越多，直到 η/|θ|。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Adam divides** its step by the size of the gradients, and λθ with it. (⟨ ⟩ is "
                "Adam's running average; θ moves slowly, ε is left out.)\n\n"
                r"$$\Delta\theta = -\eta\,\frac{\color{data}{\langle g\rangle} + "
                r"\color{penalty}{\lambda\theta}}"
                r"{\sqrt{\langle(\color{data}{g} + \color{penalty}{\lambda\theta})^2\rangle}}$$",
                "**Adam 把更新量除以**梯度的大小，数据项和惩罚项都不例外。"
                "（⟨ ⟩ 表示 Adam 的滑动平均；设 θ 变化缓慢，略去 ε。）\n\n"
                r"$$\Delta\theta = -\eta\,\frac{\color{data}{\langle g\rangle} + "
                r"\color{penalty}{\lambda\theta}}"
                r"{\sqrt{\langle(\color{data}{g} + \color{penalty}{\lambda\theta})^2\rangle}}$$",
            ),
            Say(
                "**The share** that λ takes depends on the size $s$ of the data's gradients, here noise of "
                "mean zero. If they are [quiet](#ratio=100), λ cancels: η/|θ| remains.\n\n"
                r"$$-\frac{\Delta_\lambda\theta}{\theta} = \frac{\eta\,\color{penalty}{\lambda}}"
                r"{\sqrt{\color{data}{s^2} + \color{penalty}{\lambda^2\theta^2}}}$$",
                "**因 λ 而失去的比例**于是取决于数据梯度的大小 $s$（设为均值为零的噪声）。"
                "梯度[很小](#ratio=100)时，λ 被约掉，只剩 η/|θ|。\n\n"
                r"$$-\frac{\Delta_\lambda\theta}{\theta} = \frac{\eta\,\color{penalty}{\lambda}}"
                r"{\sqrt{\color{data}{s^2} + \color{penalty}{\lambda^2\theta^2}}}$$",
            ),
            Say(
                "**AdamW** does not divide the decay. It takes ηλ of every weight, even where "
                "[the loss is 64 times larger](#ratio=10&broken).\n\n"
                r"$$\Delta\theta = -\color{penalty}{\eta\lambda\theta} - \eta\,"
                r"\frac{\color{data}{\langle g\rangle}}{\sqrt{\color{data}{\langle g^2\rangle}}}$$",
                "**AdamW** 的收缩不经过这个除法：每个权重都按 ηλ 的比例收缩，"
                "[损失放大到 64 倍](#ratio=10&broken)也不变。\n\n"
                r"$$\Delta\theta = -\color{penalty}{\eta\lambda\theta} - \eta\,"
                r"\frac{\color{data}{\langle g\rangle}}{\sqrt{\color{data}{\langle g^2\rangle}}}$$",
            ),
        )
    )
    return


@app.function
def taken(kind, sizes, lr=0.01, strength=0.1, steps=200):
    """The share of a weight that λ takes in a step, by the size of its gradients."""
    rng, shares = np.random.default_rng(0), []
    w = mr.nn.Parameter(np.ones(sizes.shape))
    optimizer = kind([w], lr=lr, weight_decay=strength)
    ledger = mr.Ledger(optimizer)
    for _ in range(steps):
        w.assign(1.0)  # all stay equally large
        w.grad = mr.tensor(sizes * rng.standard_normal(sizes.shape))
        optimizer.step()
        row = ledger.last["parameter 0"]  # "weight_decay" is L2, "decay" is AdamW's
        shares.append(row.effective_decay("weight_decay") + row.effective_decay("decay"))
    return np.mean(shares[steps // 2 :], axis=0)


@app.cell(hide_code=True)
def _():
    Code(
        taken,
        "for kind in (mr.optim.SGD, mr.optim.Adam, mr.optim.AdamW):\n"
        "    print(kind.__name__, taken(kind, np.array([1.0, 0.1])))",
        Say(
            "One `weight_decay=`, three optimizers. The ledger says what it took.",
            "同一个 `weight_decay=`，三个优化器。账本（记录每一步里各项使权重改变了多少）"
            "给出它使权重减小的比例。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C37", "C38", "C39"), also=("C29", "C32", "C33", "C34", "C35", "C36", "C133"))
    return


@app.function(hide_code=True)
def share_taken(theta, s, lr, strength):
    """The share of θ that λ takes in a step of Adam."""
    root_v = ...
    return lr * strength / root_v


@app.cell(hide_code=True)
def _():
    Write(
        "share_taken",
        Say(
            "v̂ is the mean of g²; g is λθ plus noise of mean 0 and size s. Complete √v̂.",
            "Adam 的 v̂ 是 g² 的平均，这里 g 等于 λθ 加上均值为零、大小为 s 的噪声。补全 √v̂。",
        ),
        share_taken,
        lambda theta, s, lr, strength: lr * strength / np.hypot(s, strength * theta),
        cases=[(1.0, 0.5, 0.01, 0.2), (3.0, 0.1, 0.02, 2.0), (0.5, 2.0, 0.05, 0.4)],
        limits={
            Say(
                "Hardly any data: a full step η, the share η/|θ|, must come out, without λ.",
                "几乎没有数据：结果应为完整的一步 η，即比例 η/|θ|，与 λ 无关。",
            ): (2.0, 1e-12, 0.01, 0.3),
            Say(
                "With θ near 0 its penalty counts for nothing in v̂: ηλ/s must come out.",
                "θ 接近 0：惩罚在 v̂ 中不起作用，结果应为 ηλ/s。",
            ): (1e-12, 0.5, 0.01, 0.3),
        },
        mistakes={
            Say(
                "Right for loud gradients only: v̂ contains the penalty's own gradient, too.",
                "只在梯度大时成立：v̂ 中还有惩罚自己的梯度。",
            ): lambda theta, s, lr, strength: lr * strength / s,
            Say(
                "Right without data only: their gradients are in v̂, too.",
                "只在没有数据时成立：v̂ 中还有数据的梯度。",
            ): lambda theta, s, lr, strength: lr / np.abs(theta),
            Say(
                "This is v̂. Adam divides by its root.",
                "这是 v̂。Adam 除以的是它的平方根。",
            ): lambda theta, s, lr, strength: lr * strength / (s**2 + (strength * theta) ** 2),
            Say(
                "Noise and λθ do not add up in size: the noise is as often against λθ as with it. "
                "Their squares add up.",
                "噪声与 λθ 的大小不能直接相加：噪声与 λθ 反向和同向的机会一样多。相加的是它们的平方。",
            ): lambda theta, s, lr, strength: lr * strength / (s + strength * np.abs(theta)),
            Say(
                "Under the root stand squares: s² and (λθ)².",
                "根号下是平方：s² 和 (λθ)²。",
            ): lambda theta, s, lr, strength: lr * strength / np.sqrt(s + strength * theta),
            Say(
                "That is √v̂ itself; keep the last line.",
                "这是 √v̂ 本身；请保留最后一行。",
            ): lambda theta, s, lr, strength: np.hypot(s, strength * theta),
            Say(
                "This is AdamW's share: there λθ is not divided at all.",
                "这是 AdamW 的比例：在那里 λθ 根本没有被除。",
            ): lambda theta, s, lr, strength: lr * strength,
            Say(
                "The penalty's gradient is λθ, not θ.",
                "惩罚的梯度是 λθ，不是 θ。",
            ): lambda theta, s, lr, strength: lr * strength / np.hypot(s, theta),
            Say(
                "Square the whole of λθ: λ²θ².",
                "λθ 要整个平方：λ²θ²。",
            ): lambda theta, s, lr, strength: lr * strength / np.sqrt(s**2 + strength * theta**2),
        },
        hints=(
            Say(
                "g² = noise² + 2·noise·λθ + λ²θ². What is left of it on average?",
                "g² = 噪声² + 2·噪声·λθ + λ²θ²。取平均之后还剩什么？",
            ),
            Say(
                "The middle one averages to 0, the first to s². Take the root.",
                "中间一项平均为 0，第一项平均为 s²。再开平方。",
            ),
        ),
        why=Say(
            "Loud gradients, s ≫ λ|θ|, leave ηλ/s; quiet ones, s ≪ λ|θ|, leave η/|θ|. Where training has "
            "come to rest, the data's gradients have the mean −λθ, not 0, and the formula fails.",
            "梯度大，即 s ≫ λ|θ| 时，得到 ηλ/s；梯度小，即 s ≪ λ|θ| 时，得到 η/|θ|。"
            "训练停下来时，数据梯度的均值是 −λθ 而不是 0，这个公式就不成立了。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Order(
        "adamw",
        Say(
            "Put together a step of AdamW, long after the start: m and v need no correction. Decay "
            "takes its share of the weight as it was before the step.",
            "拼出 AdamW 的一步（设步数已很大，略去偏差修正）。衰减按更新之前的权重计算。",
        ),
        lines={
            "m = 0.9 * m + 0.1 * g": Say(
                "The averaged gradient, of the data alone.", "梯度的平均，只含数据。"
            ),
            "v = 0.999 * v + 0.001 * g**2": Say(
                "The averaged square, of the data alone: so the decay does not depend on it.",
                "平方的平均，只含数据：所以衰减与它无关。",
            ),
            "step = m / (v**0.5 + 1e-8)": Say(
                "Only the data's step is divided; the decay is not in it.",
                "只有数据的更新量要除；其中不含衰减。",
            ),
            "w = w - lr * strength * w": Say(
                "The share ηλ of the weight. After the step it would also take ηλ of the step.",
                "减去权重的 ηλ 倍。若放在更新之后，连这一步本身也会减小 ηλ 倍。",
            ),
            "w = w - lr * step": Say(
                "The data's step, from the weight that has decayed.",
                "在衰减后的权重上，再走数据的一步。",
            ),
        },
        distractors={
            "g = g + strength * w": Say(
                "This is Adam with L2: λθ gets into m and v and is divided.",
                "这是 Adam 加 L2：λθ 进入 m 和 v，也就被除了。",
            ),
            "w = w - strength * w": Say(
                "Without η a step takes λ of the weight, here 10 %, and a schedule no longer slows it.",
                "少了 η，每步减去权重的 λ 倍，这里是 10%，学习率调度也不再能使它变慢。",
            ),
            "step = m / (v + 1e-8)": Say(
                "Divided by v, not by its root, the step grows when the gradients shrink.",
                "除以 v 而不是 √v，梯度越小，更新量反而越大。",
            ),
        },
        given=lambda: {"w": 2.0, "g": 0.5, "m": 0.2, "v": 0.3, "lr": 0.1, "strength": 0.1},
        result="w",
    )
    return


@app.function(hide_code=True)
def train_with_a_fault(steps=20):
    """Meant to shrink every weight by 0.1 % a step."""
    x, y = mr.datasets.arrays("digits")
    x = (x / 16).astype("float32")
    mr.manual_seed(0)
    first = mr.nn.Linear(64, 32, bias=False)
    last = mr.nn.Linear(32, 10, bias=False)
    model = mr.nn.Sequential(first, mr.nn.ReLU(), last)
    loss = mr.nn.CrossEntropyLoss(reduction="mean")
    optimizer = mr.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1)
    ledger = mr.Ledger(optimizer, model)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()
    return ledger.last


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "Every weight should shrink by ηλ = 0.1 % a step. See growth in the ledger of step 20: "
            "which line is wrong?",
            "每个权重每步应收缩 ηλ = 0.1%。看第 20 步账本的 growth 一列：哪一行错了？",
        ),
        train_with_a_fault,
        lambda: train_with_a_fault().table("layer"),
        "optim.Adam(",
        why=Say(
            "Yes: the entry is called weight_decay, the gradient λθ, which went through Adam's division. "
            "It takes more than a fifth of layer 0 in this one step. With `mr.optim.AdamW` there is one "
            "entry, decay, and its growth is −0.1 % in both layers.",
            "对：这一项叫 weight_decay，是梯度 λθ，被 Adam 除过。仅这一步就使第 0 层权重缩短了五分之一以上。"
            "换成 `mr.optim.AdamW`，就只有 decay 一项，两层的 growth 都是 −0.1%。",
        ),
        others={
            "CrossEntropyLoss": Say(
                "The mean is right. A sum would weaken the decay here; but a decay that depends on the "
                "size of the loss is just what is wrong.",
                "取平均没有错。改成求和会削弱这里的衰减；但衰减竟随损失的大小而变，问题正在于此。",
            ),
            "Linear": Say(
                "Two layers, two sizes of gradients. That must not make a difference to a decay.",
                "两层，两种梯度大小。这本不该影响衰减。",
            ),
            "zero_grad": Say(
                "Gradients are cleared before each step, as they must be.",
                "每一步之前清空梯度，理应如此。",
            ),
            "Ledger": Say(
                "The ledger only watches. Its entries add up to what happened: see the residual.",
                "账本只作记录。各项之和就是实际发生的变化：看 residual。",
            ),
            "": Say(
                "This line knows nothing of λ. Which entry of the ledger shrinks, and who makes it?",
                "这一行与 λ 无关。账本中哪一项使权重收缩？它是哪一行造成的？",
            ),
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "In lesson 2 η was halved and λ doubled, and plain descent came to rest nearer to 0. "
            "Now Adam trains on the loss + ½λ‖θ‖², with full batches. Where does it rest?",
            "第 2 课里 η 减半、λ 加倍，普通梯度下降停在离 0 更近的地方。"
            "现在用 Adam 全批量训练“损失 + ½λ‖θ‖²”，它停在哪里？",
        ),
        lesson=2,
        answers=(
            Answer(
                Say(
                    "Where it did with the old λ: Adam cancels λ",
                    "与原来的 λ 相同：λ 被 Adam 约掉了",
                ),
                Say(
                    "λ cancels from a single step, and only where the data are silent. Rest is where all "
                    "gradients together are 0: there λ counts.",
                    "λ 只在单独一步里、而且只在没有数据梯度时才会被约掉。"
                    "停下来时，是全部梯度之和为 0：那里 λ 起作用。",
                ),
            ),
            Answer(
                Say(
                    "Where descent without Adam rests, nearer to 0", "与不用 Adam 时相同，离 0 更近"
                ),
                Say(
                    "Yes. Adam divides the sum of both gradients, and a sum of 0 stays 0: it changes the "
                    "way, not the rest, λθ* = −∇L(θ*). On lesson 2's patients both end at length 0.44 for "
                    "λ = 0.5, at 0.39 for λ = 1. It is the decay of AdamW that rests elsewhere.",
                    "对。Adam 除的是两项梯度之和，和为 0，除后还是 0：变的是途径，不是终点 "
                    "λθ* = −∇L(θ*)。用第 2 课的患者数据，λ = 0.5 时两者都停在长度 0.44，λ = 1 时都停在 0.39。"
                    "停在别处的是 AdamW 的衰减。",
                ),
                right=True,
            ),
            Answer(
                Say("Elsewhere: quiet weights are pulled harder", "在别处：梯度小的权重受拉更强"),
                Say(
                    "They are, in each step. But their data's gradient is divided by the same size, and "
                    "where both pulls are equal they stay equal.",
                    "每一步里确实如此。可它们的数据梯度也除以同一个数，两股拉力原来相等，除后仍相等。",
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
                "Under plain SGD, L2 and weight decay are one; under momentum or Adam, two.",
                "对普通 SGD，L2 与权重衰减是一回事；带动量或换成 Adam，就是两回事。",
            ),
            Say(
                "Where the data's gradients are noise of mean zero and size s, Adam with L2 takes about "
                "ηλ/√(s² + λ²θ²) of a weight per step: the quieter they are, the more.",
                "数据梯度是均值为零、大小为 s 的噪声时，Adam 加 L2 每步约减去权重的一个比例 ηλ/√(s² + λ²θ²)："
                "梯度越小，减去得越多。",
            ),
            Say(
                "AdamW takes ηλ of every weight, whatever its gradients or the loss's scale.",
                "AdamW 使每个权重都按 ηλ 的比例收缩，与梯度和损失的尺度无关。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And in a real network?", "真实的网络里呢？"),
        Say(
            "A linear classifier of handwritten digits, 20 steps on batches of 64, all weights ±0.1. Three "
            "pixels are blank in all images: their weights have no data gradient, and Adam with L2 pulls "
            "them by about η a step, at λ = 0.0001 as at λ = 1. The other weights lose 47·ηλ a step (the "
            "median, λ = 0.01), where decay would take ηλ. Sum the loss over the batch, and it is 0.74·ηλ: "
            "64 times less, while the training looks the same. Only the ledger shows it. A relative of "
            "this: the penalty is added before the loss scale of mixed precision is divided out "
            "(chainer/chainer#7335).",
            "手写数字的线性分类器，批大小 64，走 20 步，权重起初都是 ±0.1。有三个像素在所有图像里都是空白："
            "它们的权重没有数据梯度，Adam 加 L2 每步把它们拉动约 η，λ = 0.0001 与 λ = 1 时一样。"
            "其余权重每步减小 47·ηλ（中位数，λ = 0.01），而衰减本应只减去 ηλ。若损失对整批求和，"
            "则成了 0.74·ηλ：只有原来的约 1/64，训练看上去却毫无异样，只有账本看得出来。"
            "混合精度训练中有类似的情形：还没有撤销损失缩放（loss scaling），就先加上了惩罚"
            "（chainer/chainer#7335）。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And without Adam, with momentum?", "不用 Adam、只用动量呢？"),
        Say(
            "Momentum, $v \\leftarrow \\beta v + g$, is enough to tell the two apart. L2 is summed along "
            "with the data, both are amplified by $1/(1-\\beta)$, and training rests at the same place as "
            "without momentum. Decay beside the step is not amplified, the data are: at rest "
            "$v = -\\gamma\\theta$ and $v = g/(1-\\beta)$, hence "
            "$\\nabla L(\\theta) + (1-\\beta)\\,\\gamma\\,\\theta = 0$. With $\\beta = 0.9$ a decoupled "
            "decay is ten times weaker than an L2 penalty of the same strength.",
            "只要带动量 $v \\leftarrow \\beta v + g$，L2 与权重衰减就不再相同。"
            "L2 与数据一起累加，两者同样放大到 $1/(1-\\beta)$ 倍，训练停在与没有动量时相同的地方。"
            "放在更新之外的衰减没有被放大，数据却被放大了："
            "静止时 $v = -\\gamma\\theta$，$v = g/(1-\\beta)$，于是 "
            "$\\nabla L(\\theta) + (1-\\beta)\\,\\gamma\\,\\theta = 0$。$\\beta = 0.9$ 时，"
            "解耦的衰减只有同样强度的 L2 惩罚的十分之一。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def shares(ratio, scale=1):
    """The shares (loud, quiet) that a step takes, for each optimizer, the mean over 100 twins."""
    kinds = {"SGD + L2": mr.optim.SGD, "Adam + L2": mr.optim.Adam, "AdamW": mr.optim.AdamW}
    sizes = np.tile([scale, scale / ratio], (100, 1))
    return {name: taken(kind, sizes).mean(axis=0) for name, kind in kinds.items()}


@app.function(hide_code=True)
def picture(ratio, broken=False):
    """The gradients of two weights, and what a step of three optimizers takes of either."""
    scale = 64 if broken else 1
    loud, quiet = Say("loud", "梯度大"), Say("quiet", "梯度小")
    t, noise = np.arange(60), np.random.default_rng(0).standard_normal((2, 60))
    left = Panel(
        Say("|gradients| of two weights, both θ = 1", "两个权重的 |梯度|，θ 都等于 1"),
        x=(0, 59), y=(1e-5, 1e3), log="y", xlabel=Say("step", "步"),
    )  # fmt: skip
    for words, size, one, beside in zip(
        (loud, quiet), (scale, scale / ratio), noise, (6, 1 / 60), strict=True
    ):
        left.dots(t, np.abs(size * one), "data", size=3.5, hollow=words is quiet)
        left.text(30, size * beside, words, "data")
    left.hline(0.1, "λθ", "penalty")
    found, ticks = shares(ratio, scale), {}
    for k, name in enumerate(found):
        ticks |= {2.6 * k: Say("loud", "大"), 2.6 * k + 0.5: name, 2.6 * k + 1: Say("quiet", "小")}
    right = Panel(
        Say("share of a weight lost to λ in a step", "每步因 λ 而失去的权重比例"),
        x=(-0.6, 6.8), y=(0, 1.15), xticks=ticks, yticks={0: "0", 0.1: "0.1%", 0.5: "0.5%", 1: "1%"},
    )  # fmt: skip
    for k, (name, share) in enumerate(found.items()):
        role = "broken" if broken and name == "Adam + L2" else "penalty"
        right.bars([2.6 * k, 2.6 * k + 1], 100 * share, role)
    right.hline(0.1, Say("intended: ηλ", "应有的衰减：ηλ"), "textbook")
    right.hline(1, Say("a full step: η/|θ|", "完整一步：η/|θ|"))
    adam, adamw = 100 * found["Adam + L2"], 100 * found["AdamW"]
    return Frame(left, right, loud=adam[0], quiet=adam[1], adamw=adamw[0])


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def digits_step(kind, strength, reduction="mean"):
    """The ledger's row of step 20 of a linear classifier of digits, and its blank pixels."""
    (x, y), rng = mr.datasets.arrays("digits"), np.random.default_rng(0)
    model = mr.nn.Linear(64, 10, bias=False, dtype=np.float64)
    model.weight.assign(rng.choice([-0.1, 0.1], (10, 64)))
    loss = mr.nn.CrossEntropyLoss(reduction=reduction)
    optimizer = kind(model.parameters(), lr=1e-3, weight_decay=strength)
    ledger = mr.Ledger(optimizer, model)
    for _ in range(20):
        batch = rng.choice(len(x), 64)
        optimizer.zero_grad()
        loss(model(x[batch] / 16), y[batch]).backward()
        optimizer.step()
    return ledger.last["weight"], (x == 0).all(axis=0)


@app.function(hide_code=True)
def patients():
    """Lesson 2's: 442 patients × 10 measurements and the progression of the disease, standardized."""
    x, y = mr.datasets.arrays("diabetes")
    return (x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None]


@app.function(hide_code=True)
def rest(kind, strength, lr):
    """The length of the ten weights after 1,500 full batches of the loss + ½λ‖θ‖²."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(np.ones((1, 10)))
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(strength)})
    optimizer = kind(model.parameters(), lr)
    return np.linalg.norm(mr.trajectory(model, objective, optimizer, *patients(), 1500)[-1])


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    ratios = np.array([1, 2, 5, 10, 20, 50, 100])
    found = [shares(ratio) for ratio in ratios] + [shares(10, 64)]
    adam, adamw = (np.array([f[name] for f in found]) for name in ("Adam + L2", "AdamW"))
    predicted = 1e-3 / np.hypot(1 / ratios, 0.1)
    fault = train_with_a_fault()["0.weight"]
    rows = {s: digits_step(mr.optim.Adam, s) for s in (1e-4, 1e-2, 1.0)}
    _, blank = rows[1e-2]
    summed, _ = digits_step(mr.optim.Adam, 1e-2, "sum")
    inked = lambda row: np.median(row.effective_decay("weight_decay")[:, ~blank]) / 1e-5
    rests = {s: (rest(mr.optim.SGD, s, 0.1), rest(mr.optim.Adam, s, 0.01)) for s in (0.5, 1.0)}
    return [
        *(holds(f"patients, λ = {s:g}: ‖θ‖ at rest", sgd, at_least=low, at_most=low + 0.01)
          for (s, (sgd, _)), low in zip(rests.items(), (0.435, 0.385), strict=True)),
        holds("the same under Adam: largest difference", max(abs(a - b) for a, b in rests.values()),
              at_most=1e-4),
        holds("Adam + L2: |share/(ηλ/√(s² + λ²θ²)) − 1|",
              np.abs(adam[:-1, 1] / predicted - 1).max(), at_most=0.02),
        holds("the quiet weight's share over the loud one's, gradients 10 : 1",
              adam[3, 1] / adam[3, 0], at_least=6.8, at_most=7.3),
        holds("the same shares, whole over loss × 64", (adam[3] / adam[-1])[0],
              at_least=62, at_most=66),
        holds("AdamW: |share/(ηλ) − 1|, all of these", np.abs(adamw / 1e-3 - 1).max(), at_most=1e-12),
        holds("Adam for AdamW: growth of layer 0 by decay in step 20, %",
              -100 * np.vdot(fault.of("weight_decay"), fault.before) / np.vdot(fault.before, fault.before),
              at_least=20),
        holds("digits: blank pixels", blank.sum(), at_least=3, at_most=3),
        *(holds(f"digits: |pull| of blank pixels/η, λ = {s:g}",
                np.median(np.abs(row.of("weight_decay")[:, blank])) / 1e-3, at_least=0.9, at_most=1.1)
          for s, (row, _) in rows.items() if s != 1e-2),
        holds("digits: median share/(ηλ) of the others", inked(rows[1e-2][0]), at_least=46.5, at_most=47.5),
        holds("digits: the same, loss summed", inked(summed), at_least=0.735, at_most=0.745),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
