"""What does AdamW really minimise?

For everybody who trains with AdamW. Afterwards you can say where it ends, what its λ bounds, and when
it shrinks weights after all.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 11: what does AdamW really minimise?")

with app.setup(hide_code=True):
    import functools

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

    START, LAMBDAS = [[0.0, 0.6]], (1.5, 2, 2.5, 3, 4, 8)


@app.cell(hide_code=True)
def _():
    Title(
        Say("What does AdamW really minimise?", "AdamW 到底在最小化什么？"),
        lead=Say(
            "Two weights θ, of body mass index (bmi) and blood pressure, learn to predict the course of "
            "diabetes, in steps of rate η with decay λ. Every step sees all patients, so g, the gradient "
            "of the loss L, is exact.",
            "用体重指数（BMI）和血压预测糖尿病的病情，θ 是这两项的权重，学习率为 η，衰减系数为 λ。"
            "每一步都用全部患者，所以损失 L 的梯度 g 是精确的。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "SGD with L2 rests at ridge. Where does AdamW, with the same λ = 2?",
            "SGD 加 L2 停在岭回归解上。λ 同样取 2，AdamW 停在哪里？",
        ),
        (
            Answer(
                Say("At ridge, too", "也在岭回归解上"),
                Say(
                    "The shrink factor 1 − ηλ is the same, the end is not: SGD's step fades with g, "
                    "AdamW's keeps its size η until g is 0.",
                    "收缩因子 1 − ηλ 相同，终点却不同：SGD 的步子随 g 变小，"
                    "AdamW 的步子在 g 变为 0 之前，大小始终是 η。",
                ),
            ),
            Answer(
                Say("At least squares, as if λ were 0", "在最小二乘解上，就像 λ 等于 0"),
                Say(
                    "So it is, as long as the box holds least squares. From λ = 2.5 on it does not, and "
                    "the walls hold the weights.",
                    "正是这样，只要最小二乘解在框内。从 λ = 2.5 起它到了框外，权重就被框的边挡住。",
                ),
                right=True,
            ),
            Answer(
                Say("Between the two", "在两者之间"),
                Say(
                    "With small batches it may: AdamW divides by their noise. With exact gradients "
                    "λ shrinks nothing, until the box gets too small.",
                    "用小批量训练时才可能如此：AdamW 除以的数里有噪声。"
                    "梯度精确时，λ 毫无收缩作用，直到框变得太小。",
                ),
            ),
        ),
        asks=Say(
            "What did you see: where is AdamW's end while the box is large, and where when it is small?",
            "你看到了什么：框大的时候 AdamW 停在哪里？框小的时候呢？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        LAMBDAS,
        start=1.5,
        label="λ",
        broken=Say("the loss × 16, not scaled back", "损失乘了 16，忘了缩放回去"),
        caption=Say(
            "1/λ = {side:.3f}. AdamW ends at ({bmi:.3f}, {bp:.3f}), {said}",
            "1/λ = {side:.3f}。AdamW 停在 ({bmi:.3f}, {bp:.3f})，{said}",
        ),
        alt=Say(
            "Left, the plane of two weights with lines of equal loss, least squares, and the box "
            "‖θ‖∞ ≤ 1/λ. SGD and Adam with L2 end at ridge. AdamW ends at least squares while the box "
            "holds it; as the box closes, AdamW stays on its wall, then in its corner. With the loss "
            "times 16 the first two end nearer to least squares, AdamW where it did. Right, the two "
            "weights at the end against λ: under AdamW they are level until 1/λ reaches the larger one, "
            "under ridge they fall from the start.",
            "左图：两个权重的平面，上有等损失线、最小二乘解和方框 ‖θ‖∞ ≤ 1/λ。"
            "SGD 与 Adam 加 L2 都停在岭回归解上。最小二乘解在框内时，AdamW 停在它上面；"
            "框缩小，AdamW 先停在框的边上，再停在角上。"
            "损失乘以 16 时，前两者停在离最小二乘解更近的地方，AdamW 仍停在原处。"
            "右图：终点的两个权重随 λ 的变化。AdamW 下先是水平的，直到 1/λ 降到较大的那个权重；"
            "岭回归下从一开始就下降。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**A step** divides $g_j$ by its size. What is left is its sign (ε is tiny): the data pull "
                "by η, whether the loss is steep or flat, or [16 times larger](#lam=1.5&broken).\n\n"
                r"$$\Delta\theta_j = \color{data}{-\eta\,\frac{g_j}{|g_j|+\varepsilon}} "
                r"\;\color{penalty}{-\;\eta\lambda\,\theta_j}$$",
                "**每一步**都把 $g_j$ 除以它的大小，剩下的只是符号（ε 很小）：不论损失是陡是平，"
                "还是[放大到 16 倍](#lam=1.5&broken)，数据的拉力都是 η。\n\n"
                r"$$\Delta\theta_j = \color{data}{-\eta\,\frac{g_j}{|g_j|+\varepsilon}} "
                r"\;\color{penalty}{-\;\eta\lambda\,\theta_j}$$",
            ),
            Say(
                "**At rest** both cancel. The data pull by at most η, so the largest |θⱼ|, the infinity "
                "norm ‖θ‖∞, is at most 1/λ. Either $g_j$ is 0, up to ε, or [a wall](#lam=2.5) stops the "
                "weight. For a convex L this is\n\n"
                r"$$\color{data}{\min\,L(\theta)}\quad\text{within}\quad"
                r"\color{penalty}{\lVert\theta\rVert_\infty \le 1/\lambda}$$",
                "**停下来**时，两者抵消。数据的拉力至多为 η，所以最大的 |θⱼ|，即无穷范数 ‖θ‖∞，至多为 1/λ。"
                "要么 $g_j$ 为 0（略去 ε），要么权重被[框的边](#lam=2.5)挡住。L 为凸时，这就是\n\n"
                r"$$\color{data}{\min\,L(\theta)}\quad\text{满足}\quad"
                r"\color{penalty}{\lVert\theta\rVert_\infty \le 1/\lambda}$$",
            ),
            Say(
                "**Noise** changes that. In small batches the gradients vary by $s \\gg |g|$, and AdamW "
                "divides by about $s$. At rest it is ridge once more, with λs in place of λ:\n\n"
                r"$$\color{data}{-\,g/s} = \color{penalty}{\lambda\,\theta}$$",
                "**噪声**会改变这一点。小批量的梯度上下波动，幅度 $s \\gg |g|$，"
                "AdamW 除以的大约就是 $s$。停下来的地方又是岭回归解，只是 λ 换成了 λs：\n\n"
                r"$$\color{data}{-\,g/s} = \color{penalty}{\lambda\,\theta}$$",
            ),
        )
    )
    return


@app.function
def train(kind, strength, scale=1, steps=400, **options):
    """The two weights after each step, the loss multiplied by scale."""
    model = mr.nn.Linear(2, 1, bias=False, dtype=np.float64)
    model.weight.assign(START)
    mse = mr.nn.MSELoss()
    optimizer = kind(model.parameters(), lr=0.015, weight_decay=strength, **options)
    falling = mr.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss = lambda out, y: scale * mse(out, y)
    return mr.trajectory(model, loss, optimizer, *patients(), steps, scheduler=falling)


@app.cell(hide_code=True)
def _():
    Code(
        train,
        "for strength in (1.5, 2.5):\n"
        "    for kind, options in ((mr.optim.SGD, {}), (mr.optim.AdamW, {'betas': (0.8, 0.8)})):\n"
        "        print(kind.__name__, strength, train(kind, strength, **options)[-1].round(3))\n"
        "    print('box', strength, best_within(1 / strength).round(3))",
        Say(
            "`best_within` asks `mr.solve` for the least loss within `mr.penalties.Box`. With these `betas` "
            "AdamW soon forgets old gradients.",
            "`best_within` 用 `mr.solve` 求 `mr.penalties.Box` 之内损失最小的点。"
            "`betas` 取这两个值，AdamW 很快就忘掉旧的梯度。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C41", "C42"), also=("C40",))
    return


@app.function(hide_code=True)
def rest(a, h, lam):
    """Where AdamW ends on the loss ½h(θ − a)², with exact gradients."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "rest",
        Say(
            "One weight θ with the loss ½h(θ − a)², h > 0 and λ > 0, and exact gradients. Where does AdamW "
            "come to rest?",
            "只有一个权重 θ，损失为 ½h(θ − a)²（h > 0，λ > 0），梯度精确。AdamW 停在哪里？",
        ),
        rest,
        held,
        cases=[(0.4, 2.0, 1.5), (3.0, 0.5, 0.8), (-2.0, 1.6, 2.5), (-0.3, 4.0, 0.7)],
        limits={
            Say(
                "Hardly any λ: the box holds everything, so a must come out.",
                "λ 几乎为 0：什么都在框内，应得 a。",
            ): (2.0, 1.5, 1e-9),
            Say(
                "The data ask for far more than the box allows: the wall at 1/λ must come out.",
                "数据所求远在框外，应停在边上，即 1/λ。",
            ): (1e6, 3.0, 0.5),
        },
        mistakes={
            Say(
                "That is ridge, where the pull h(a − θ) equals λθ. AdamW divides the pull by its size: "
                "it does not weaken on the way to a, and λθ cannot stop it inside the box.",
                "这是岭回归解，在那里拉力 h(a − θ) 等于 λθ。AdamW 把拉力除以它自己的大小："
                "越靠近 a 它也不减弱，在框内 λθ 挡不住它。",
            ): lambda a, h, lam: h * a / (h + lam),
            Say(
                "That takes λ away from a: the soft threshold, the end under an L1 penalty if h = 1. AdamW "
                "takes nothing away inside the box.",
                "这是从 a 的大小里减去 λ，即软阈值，是 h = 1 时 L1 惩罚的终点。AdamW 在框内什么也不减。",
            ): lambda a, h, lam: np.sign(a) * max(abs(a) - lam, 0),
            Say(
                "That is the end under an L1 penalty λ|θ|, whose pull is λ everywhere. AdamW's decay is "
                "λθ, and inside the box it cannot stop a pull of full size.",
                "这是 L1 惩罚 λ|θ| 的终点，它的拉力处处为 λ。AdamW 的衰减是 λθ，在框内挡不住数据的拉力。",
            ): lambda a, h, lam: np.sign(a) * max(abs(a) - lam / h, 0),
            Say(
                "That is ridge for h = 1. AdamW's pull does not weaken on the way to a, and λθ cannot stop "
                "it inside the box.",
                "这是 h = 1 时的岭回归解。AdamW 的拉力靠近 a 时不减弱，在框内 λθ 挡不住它。",
            ): lambda a, h, lam: a / (1 + lam),
            Say(
                "A larger λ makes a smaller box: the walls stand at ±1/λ, where λ|θ| = 1.",
                "λ 越大框越小：边在 ±1/λ，那里 λ|θ| = 1。",
            ): lambda a, h, lam: np.clip(a, -lam, lam),
            Say(
                "The box has a wall below 0, too: a = −2 asks for more than −1/λ allows.",
                "0 的下方也有一条边：例如 a = −2 就越过了 −1/λ。",
            ): lambda a, h, lam: min(a, 1 / lam),
            Say(
                "Right inside the box. Beyond |θ| = 1/λ the decay λ|θ| is stronger than the data's pull, "
                "which is at most 1.",
                "在框内是对的。可一旦 |θ| > 1/λ，衰减 λ|θ| 就胜过数据的拉力，后者至多为 1。",
            ): lambda a, h, lam: a,
            Say(
                "That is the wall. Where a lies inside the box, the weight reaches a, the pull turns "
                "round, and it goes no further.",
                "这是框的边。a 若在框内，权重到了 a，拉力就反向，不会再往前走。",
            ): lambda a, h, lam: np.sign(a) / lam,
            Say(
                "The wall holds the weight, it does not send it back to 0.",
                "边把权重挡住，并不把它送回 0。",
            ): lambda a, h, lam: a * (abs(a) < 1 / lam),
            Say(
                "A larger h makes the pull stronger, but AdamW divides it by its size: the wall does not "
                "depend on h.",
                "h 越大拉力越强，可 AdamW 又把它除以自己的大小：边的位置与 h 无关。",
            ): lambda a, h, lam: np.clip(a, -h / lam, h / lam),
            Say(
                "The size is right; the sign, that of a, is lost.",
                "大小对了，缺的是符号，即 a 的符号。",
            ): lambda a, h, lam: min(abs(a), 1 / lam),
            Say(
                "With this, the weight is never nearer to 0 than the wall. The box lies between the walls.",
                "这样权重永远不会比边更靠近 0。框在两条边之间。",
            ): lambda a, h, lam: np.sign(a) * max(abs(a), 1 / lam),
            Say(
                "The pull of ½λθ² is λθ, without a ½: the walls stand where λ|θ| = 1.",
                "衰减是 λθ，没有 ½：边在 λ|θ| = 1 的地方。",
            ): lambda a, h, lam: np.clip(a, -2 / lam, 2 / lam),
            Say(
                "Half too near: the decay is λθ, without a 2. The walls stand where λ|θ| = 1.",
                "少了一半：衰减是 λθ，没有 2。边在 λ|θ| = 1 的地方。",
            ): lambda a, h, lam: np.clip(a, -0.5 / lam, 0.5 / lam),
            Say(
                "That bounds θ² by 1/λ. The bound is on |θ|, where λ|θ| = 1.",
                "这是以 1/λ 为 θ² 的界。应以它为 |θ| 的界：λ|θ| = 1。",
            ): lambda a, h, lam: np.clip(a, -(lam**-0.5), lam**-0.5),
        },
        why=Say(
            "The curvature h has cancelled. With several weights that depend on each other it is not each "
            "one clipped, but the best point of the box.",
            "曲率 h 被约掉了。几个权重互相牵连时，终点不是逐个截断，而是框内最好的点。",
        ),
        hints=(
            Say(
                "Away from a the data pull by 1 (times η), decay by λ|θ|. Which one wins at |θ| = 2/λ?",
                "离开 a 时，数据的拉力是 1（乘 η），衰减是 λ|θ|。在 |θ| = 2/λ 处哪个更强？",
            ),
            Say(
                "So it is a, cut at ±1/λ: `np.clip(a, low, high)`.",
                "所以是 a，在 ±1/λ 处截断：`np.clip(a, low, high)`。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def held(a, h, lam):
    """Where AdamW ends on the loss ½h(θ − a)², with exact gradients."""
    return np.clip(a, -1 / lam, 1 / lam)


@app.function(hide_code=True)
def halved(lr, weight_decay, gradients):
    """The share that is left; the weight_decay that leaves as much at lr / 2."""
    left = ...
    new = ...
    return left, new


@app.cell(hide_code=True)
def _():
    Write(
        "halved",
        Say(
            "Two runs of AdamW have different starts, but see the same gradients, one a step. Which share "
            "of their difference is left at the end, with its sign? Then the rate is halved, and the "
            "gradients stay: which `weight_decay` leaves the same share? (As in PyTorch a step decays by "
            "lr · weight_decay.)",
            "两次 AdamW 训练初值不同，每一步得到的梯度却相同。走完之后，两者之差还剩几分之几（带符号）？"
            "再把学习率减半，梯度不变：`weight_decay` 应取多少，才剩下同样的比例？"
            "（与 PyTorch 一样，每步的衰减是 lr · weight_decay。）",
        ),
        halved,
        kept,
        cases=[
            (0.1, 0.5, np.array([1.0, -2.0, 0.5, 3.0])),
            (0.2, 1.5, np.array([0.3, 0.7])),
            (0.4, 3.0, np.array([-1.0, 0.2, 4.0])),
        ],
        limits={
            Say(
                "ηλ = 1: one step takes all of the difference, so (0, 2λ) must come out.",
                "ηλ = 1 时，一步就把差全部消去，应得 (0, 2λ)。",
            ): (0.5, 2.0, np.array([0.8, -0.1])),
            Say(
                "λ = 0: nothing fades, (1, 0) must come out.", "λ = 0 时什么也不消退，应得 (1, 0)。"
            ): (
                0.3,
                0.0,
                np.array([1.2, 0.4, -0.6]),
            ),
        },
        mistakes=slips(),
        why=Say(
            "(1 − ηλ)ᵀ, whatever the gradients are. But twice the weight_decay halves the box as well: to "
            "forget as fast, AdamW minimises something else.",
            "就是 (1 − ηλ)ᵀ，与梯度无关。不过 weight_decay 加倍，框的边长也减半："
            "忘得一样快，最小化的却是另一个问题。",
        ),
        hints=(
            Say(
                "One step: θ ← (1 − ηλ)θ − u, with u from the gradients alone. Subtract the two runs.",
                "一步是 θ ← (1 − ηλ)θ − u，u 只由梯度决定。把两次训练相减。",
            ),
            Say(
                "Each step multiplies by 1 − lr · weight_decay. Keep that product.",
                "每步乘以 1 − lr · weight_decay。保持其中的乘积不变。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def slips():
    """What may go wrong with either number, and with both."""
    shares = {
        Say("The share is right.", "比例对了。"): lambda lr, wd, g: (1 - lr * wd) ** len(g),
        Say(
            "The share is the limit of many tiny steps; with ηλ = 1.2 the difference changes its sign "
            "at each step.",
            "比例取了步长趋于 0 时的极限；而 ηλ = 1.2 时，差在每一步都变号。",
        ): lambda lr, wd, g: np.exp(-lr * wd * len(g)),
        Say(
            "Both runs subtract the same step, made of the same gradients: it cancels from their "
            "difference, and of the share only the decay is left.",
            "两次训练减去的是由同样的梯度算出的同一个量，相减就消掉了：比例里只剩下衰减。",
        ): lambda lr, wd, g: (1 - lr * wd) ** len(g) - lr * np.sum(g),
        Say(
            "AdamW's decay is not multiplied by gradients: each step leaves 1 − ηλ, whatever g is.",
            "AdamW 的衰减并不乘以梯度：不论 g 是多少，每步剩下 1 − ηλ。",
        ): lambda lr, wd, g: np.prod(1 - lr * wd * g),
        Say(
            "Not even the size of the gradients is in the share: each step leaves 1 − ηλ.",
            "连梯度的大小也不在比例之中：每步剩下 1 − ηλ。",
        ): lambda lr, wd, g: np.prod(1 - lr * wd * np.abs(g)),
        Say(
            "Decay divided by the size of the gradients is Adam's with L2. AdamW's is not divided.",
            "把衰减除以梯度的大小，是 Adam 加 L2 的做法。AdamW 的衰减不除。",
        ): lambda lr, wd, g: np.prod(1 - lr * wd / np.abs(g)),
        Say(
            "Shrinking compounds: each step takes its share of what the last one left.",
            "收缩是逐步相乘的：每一步减去的是当前剩余量的一个比例。",
        ): lambda lr, wd, g: 1 - lr * wd * len(g),
        Say(
            "The share is that of one step. Each gradient is a step: there are `len(gradients)`.",
            "比例只算了一步。每个梯度是一步，共 `len(gradients)` 步。",
        ): lambda lr, wd, g: 1 - lr * wd,
        Say(
            "The share is the one that is lost, not the one that is left.",
            "算出的是失去的比例，不是剩下的比例。",
        ): lambda lr, wd, g: 1 - (1 - lr * wd) ** len(g),
        Say(
            "A step subtracts the share ηλ; it does not leave ηλ.",
            "每一步减去的是 ηλ，剩下的是 1 − ηλ。",
        ): lambda lr, wd, g: (lr * wd) ** len(g),
        Say(
            "The share lacks the rate: AdamW's decay is lr · weight_decay.",
            "比例漏了学习率：AdamW 每步的衰减是 lr · weight_decay。",
        ): lambda lr, wd, g: (1 - wd) ** len(g),
    }
    decays = {
        Say("The new weight_decay is right.", "新的 weight_decay 对了。"): 2,
        Say(
            "With half the rate the same weight_decay takes only half as much: the decay of a step is "
            "lr · weight_decay.",
            "学习率减半而 weight_decay 不变，衰减就只剩一半：每步的衰减是 lr · weight_decay。",
        ): 1,
        Say(
            "Half the rate and half the weight_decay make a quarter of their product, which is to stay.",
            "学习率与 weight_decay 都减半，乘积就只剩四分之一，而它应当不变。",
        ): 1 / 2,
        Say(
            "Four times the weight_decay is too much: its product with half the rate is to stay.",
            "weight_decay 取四倍太多了：它与减半的学习率的乘积应当不变。",
        ): 4,
    }  # fmt: skip
    wrong = {}
    for a, share in shares.items():
        for b, times in decays.items():
            both = lambda lr, wd, g, share=share, times=times: (share(lr, wd, g), times * wd)
            wrong[Say(f"{a.en} {b.en}", f"{a.zh}{b.zh}")] = both
    return dict([*wrong.items()][1:])  # the first is right


@app.function(hide_code=True)
def kept(lr, weight_decay, gradients):
    """The share that is left; the weight_decay that leaves as much at lr / 2."""
    left = (1 - lr * weight_decay) ** len(gradients)
    new = 2 * weight_decay
    return left, new


@app.cell(hide_code=True)
def _():
    Goal(
        "goal",
        Say(
            "Does decay make every weight smaller? Set λ to where AdamW ends with the largest weight of "
            "blood pressure.",
            "衰减会使每个权重都变小吗？把 λ 调到 AdamW 终点上血压的权重最大之处。",
        ),
        lambda lam, broken, **_: lam == 3 and not broken,
        why=Say(
            "Here it is: {bp:.2f}, where least squares has 0.25. The wall holds bmi at {bmi:.2f}, and as the "
            "two measurements are correlated, blood pressure explains part of what bmi no longer may.",
            "就是这里：{bp:.2f}，而最小二乘只有 0.25。框的边把 BMI 挡在 {bmi:.2f}；两项测量相关，"
            "BMI 不能再解释的，有一部分由血压来解释。",
        ),
        others={
            Say(
                "AdamW does not notice the fault, but take it out all the same.",
                "AdamW 并不受这个错误影响，不过还是先把它改正。",
            ): lambda broken, **_: broken,
            Say(
                "{bp:.2f}: the weight of least squares. The box does not touch it yet.",
                "{bp:.2f}：就是最小二乘的权重。框还没有碰到它。",
            ): lambda lam, **_: lam <= 2,
            Say(
                "{bp:.2f}: more than least squares has. Why? And is there more?",
                "{bp:.2f}：比最小二乘的权重大。为什么？还能更大吗？",
            ): lambda lam, **_: lam == 2.5,
            Say(
                "{bp:.2f}: here blood pressure has met its own wall, and the box only gets smaller.",
                "{bp:.2f}：这里血压也碰到了自己的边，λ 再大，框只会更小。",
            ): lambda lam, **_: lam > 3,
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "Lesson 10 asked which of two weights loses more to λ. A classifier of digits, its weights all "
            "±0.1, changes from Adam with L2 to AdamW; η and λ stay. Whose decay falls most?",
            "第 10 课问过：两个权重中哪个因 λ 而减小得更多。一个手写数字分类器，权重都是 ±0.1，"
            "从 Adam 加 L2 换成 AdamW，η 和 λ 不变。哪些权重的衰减降得最多？",
        ),
        lesson=10,
        answers=(
            Answer(
                Say(
                    "Of pixels inked in nearly all images",
                    "几乎每幅图像都有墨迹的像素的权重",
                ),
                Say(
                    "Their gradients are large, and Adam with L2 divided λθ by their size: they had lost "
                    "least, about 30·ηλ in the 20th step. AdamW takes ηλ; that is the smallest fall.",
                    "它们的梯度大，而 Adam 加 L2 把 λθ 除以梯度的大小：它们原来失去得最少，"
                    "第 20 步约为 30·ηλ。AdamW 减去 ηλ，它们降得最少。",
                ),
            ),
            Answer(
                Say("Of pixels that hardly ever are", "很少有墨迹的像素的权重"),
                Say(
                    "Yes: their gradients are small, so λθ was divided by little. They had lost "
                    "about 1,200·ηλ in the 20th step (the median, λ = 0.01), the others about 30·ηλ. AdamW "
                    "takes ηλ of each.",
                    "对：它们的梯度小，λθ 除以一个很小的数，原来第 20 步约失去 1200·ηλ"
                    "（中位数，λ = 0.01），前者约为 30·ηλ。AdamW 使每个权重都失去 ηλ。",
                ),
                right=True,
            ),
            Answer(
                Say("All alike", "都一样"),
                Say(
                    "Now all lose the same share, ηλ. Before they did not: Adam divided λθ by the size of "
                    "each weight's own gradients.",
                    "换了之后确实都失去同样的比例 ηλ。可原来并不相同：Adam 把 λθ 除以各自的梯度大小。",
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
                "With exact gradients AdamW makes a convex loss least within the box ‖θ‖∞ ≤ 1/λ. While "
                "that holds the best point, nothing is shrunk.",
                "梯度精确、损失为凸时，AdamW 在方框 ‖θ‖∞ ≤ 1/λ 之内使损失最小。"
                "最优点若在框内，就没有任何收缩。",
            ),
            Say(
                "The factor 1 − ηλ of a step is that of SGD, whatever the gradients or the loss's scale; "
                "the end is another.",
                "每步的收缩因子 1 − ηλ 与 SGD 相同，不受梯度和损失尺度的影响；终点却不同。",
            ),
            Say(
                "Noise of size s ≫ |g| turns the box into ridge with λs: the smaller the batches, the more "
                "is shrunk.",
                "大小为 s ≫ |g| 的噪声把方框变成强度为 λs 的岭回归：批越小，收缩越强。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And in practice: with minibatches, and β₂ = 0.999?", "实际训练：小批量，β₂ = 0.999？"),
        Say(
            "Two things keep AdamW away from the box's best point. **Noise.** At $\\lambda = 1.5$ the weight "
            "of bmi should be 0.49, and under ridge is 0.29. With batches of 64, 16, 4 and 1 patients it "
            "settles, on average, at 0.42, 0.37, 0.31 and 0.23: the smaller the batches, the more is "
            "shrunk, in the end more than by L2. Where $s_j$ is the measured size of the "
            "gradients of weight $j$, the $\\theta$ with $g_j + \\lambda s_j\\theta_j = 0$ says so to "
            "within 0.02. **Memory.** With the default $\\beta_2 = 0.999$, $\\hat v$ remembers the large "
            "gradients of the start, and acts like noise until they fade: after the picture's 400 steps the "
            "weight of bmi is at 0.41, after 3,000 at 0.46. In a long run with large batches the box is "
            "what counts; in a short or noisy one it is nearer to ridge.",
            "有两件事使 AdamW 到不了框内最好的点。**噪声**：$\\lambda = 1.5$ 时，BMI 的权重本应是 0.49，"
            "岭回归则为 0.29。批大小为 64、16、4、1 时，它平均停在 0.42、0.37、0.31、0.23："
            "批越小，收缩越强，批最小时比 L2 还强。"
            "记 $s_j$ 为权重 $j$ 的梯度实测的大小，满足 $g_j + \\lambda s_j\\theta_j = 0$ 的 $\\theta$ "
            "与这些数相差不到 0.02。**记忆**：默认的 $\\beta_2 = 0.999$ 使 $\\hat v$ 记住开头的大梯度，"
            "在它们淡去之前，作用与噪声相同：走完图中的 400 步，BMI 的权重在 0.41，走 3000 步之后在 0.46。"
            "训练长、批大时，起作用的是方框；训练短或噪声大时，更接近岭回归。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def patients():
    """442 patients: body mass index, blood pressure, and the progression of the disease, standardized."""
    x, y = mr.datasets.arrays("diabetes")
    x = x[:, 2:4]
    return (x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None]


@app.function(hide_code=True)
def best_within(side):
    """The weights of least loss in the box |θ| ≤ side."""
    model = mr.nn.Linear(2, 1, bias=False, dtype=np.float64)
    mr.solve(model, mr.nn.MSELoss(), mr.penalties.Box(-side, side), *patients())
    return model.weight.numpy()[0]


@app.function(hide_code=True)
def bowl():
    """H and b of the loss, whose gradient is Hθ − b."""
    x, y = patients()
    return 2 * x.T @ x / len(x), 2 * x.T @ y[:, 0] / len(x)


@app.function(hide_code=True)
def ridge(strength):
    """The weights that minimise the loss + ½ Σ strength·θ²."""
    h, b = bowl()
    return np.linalg.solve(h + np.diag(np.broadcast_to(strength, 2)), b)


@app.function(hide_code=True)
@functools.cache
def runs(lam, scale):
    """The paths of SGD and Adam with L2, and of AdamW."""
    fast = {"betas": (0.8, 0.8)}
    kinds = {mr.optim.SGD: {}, mr.optim.Adam: fast, mr.optim.AdamW: fast}
    return [train(kind, lam, scale, **options) for kind, options in kinds.items()]


@app.function(hide_code=True)
@functools.cache
def boxed(many=43):
    """Strengths from 0 to 8.4, and the weights of least loss in the box of each."""
    strengths = np.linspace(0, 8.4, many)
    return strengths, np.array([best_within(1 / max(v, 0.01)) for v in strengths])


@app.function(hide_code=True)
def picture(lam, broken=False):
    """Three paths in the plane of two weights, and their ends against λ."""
    (h, _), free, side, scale = bowl(), ridge(0), 1 / lam, 16 if broken else 1
    sgd, adam, adamw = runs(lam, scale)
    bmi, bp = end = adamw[-1]
    left = Panel(
        Say("two weights in training; the box |θⱼ| ≤ 1/λ", "训练中的两个权重与方框 |θⱼ| ≤ 1/λ"),
        x=(-0.35, 0.87), y=(-0.13, 0.68), height=None,
        xlabel=Say("weight of bmi", "BMI 的权重"), ylabel=Say("weight of blood pressure", "血压的权重"),
    )  # fmt: skip
    corners = side * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]).T
    left.fill(*corners, "penalty").line(*corners, "penalty", width=2)
    x, y = np.linspace(-0.35, 0.87, 61), np.linspace(-0.13, 0.68, 61)
    off = np.stack(np.meshgrid(x, y), -1) - free
    rise = np.einsum("...i,ij,...j", off, h / 2, off)
    left.contours(x, y, rise, (0.002, 0.01, 0.03, 0.07, 0.14, 0.25), "data")
    some = np.r_[:60:3, 60:401:10]
    roles = ["broken", "broken"] if broken else ["textbook", "reference"]
    left.line(*sgd[some].T, roles[0], label="SGD + L2", width=2)
    left.line(*adam[some].T, roles[1], label="Adam + L2", width=2)
    left.line(*adamw[some].T, "result", label="AdamW")
    left.dots(*free[:, None], "data", size=8, label=Say("least squares", "最小二乘"))
    left.dots(*ridge(lam)[:, None], "reference", size=7, hollow=True, label=Say("ridge", "岭回归"))
    left.dots(*end[:, None], "result", size=5)
    left.dots(*np.transpose(START), "ink", size=4, label=Say("start", "起点"))
    left.handle(side, -0.1).text(side, -0.1, Say("drag", "拖动"))
    strengths, best = boxed()
    shrunk = np.array([ridge(v) for v in strengths])
    ends = np.array([runs(v, scale)[2][-1] for v in LAMBDAS])
    right = Panel(
        Say("the two weights where training ends", "训练终点的两个权重"),
        x=(-3.8, 8.4), y=(0, 0.7), xticks={k: str(k) for k in range(0, 9, 2)}, xlabel="λ", height=236,
    )  # fmt: skip
    right.vline(lam)
    right.line(strengths[5:], 1 / strengths[5:], "penalty", width=5).text(
        5.3, 0.26, "1/λ", "penalty"
    )
    right.text(6, 0.035, Say("ridge", "岭回归"), "textbook")
    for j, name in enumerate((Say("bmi", "BMI"), Say("blood pressure", "血压"))):
        right.line(strengths, shrunk[:, j], "textbook", width=1.5)
        right.line(strengths, best[:, j], "result", width=1.5)
        right.dots(LAMBDAS, ends[:, j], "result", size=3)
        right.text(-1.95, free[j], name, "result")
    right.dots([lam, lam], adam[-1], "broken" if broken else "reference", size=5)
    right.dots([lam, lam], end, "result", size=6)
    l2 = "({:.3f}, {:.3f})".format(*adam[-1])
    if broken:
        said = Say(
            f"the same as without the fault. SGD and Adam with L2 end at {l2} now, nearer to least squares.",
            f"与没有这个错误时一样。SGD 与 Adam 加 L2 现在停在 {l2}，离最小二乘解近了。",
        )
    elif bmi < side - 0.005:
        said = Say(
            f"at least squares; SGD and Adam with L2 end at ridge, {l2}.",
            f"即最小二乘解；SGD 与 Adam 加 L2 停在岭回归解 {l2}。",
        )
    elif bp < side - 0.005:
        said = Say("at a wall: bmi is held at 1/λ.", "在框的边上：BMI 的权重被挡在 1/λ。")
    else:
        said = Say("in the corner: both are held at 1/λ.", "在框的角上：两个权重都被挡在 1/λ。")
    return Frame(left, right, said=said, side=side, bmi=bmi, bp=bp)


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def sampled(size, strength=1.5, steps=3000):
    """Where AdamW settles with batches of so many patients, and the size of its gradients there."""
    (x, y), rng, half = patients(), np.random.default_rng(0), steps // 2
    w, found = mr.nn.Parameter(np.array(START)), []
    optimizer = mr.optim.AdamW([w], lr=0.005, betas=(0.9, 0.9), weight_decay=strength)
    for _ in range(steps):
        some = rng.choice(len(x), size, replace=False)
        slope = 2 * (x[some] @ w.numpy().T - y[some]).T @ x[some] / size
        w.grad = mr.tensor(slope)
        optimizer.step()
        found.append((w.numpy()[0].copy(), slope[0] ** 2))
    end, square = np.mean(found[half:], axis=0)
    return end, square**0.5


@app.function(hide_code=True)
def digits_decay(kind, strength=0.01):
    """The share of each weight of a classifier of digits that λ takes in step 20, by ηλ; the pixels' ink."""
    (x, y), rng = mr.datasets.arrays("digits"), np.random.default_rng(0)
    model = mr.nn.Linear(64, 10, bias=False, dtype=np.float64)
    model.weight.assign(rng.choice([-0.1, 0.1], (10, 64)))
    loss, optimizer = (
        mr.nn.CrossEntropyLoss(),
        kind(model.parameters(), 1e-3, weight_decay=strength),
    )
    ledger = mr.Ledger(optimizer, model)
    for _ in range(20):
        batch = rng.choice(len(x), 64)
        optimizer.zero_grad()
        loss(model(x[batch] / 16), y[batch]).backward()
        optimizer.step()
    row = ledger.last["weight"]
    share = row.effective_decay("weight_decay") + row.effective_decay("decay")
    return share / (1e-3 * strength), (x > 0).mean(axis=0)


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    near = lambda name, value, said, by=0.005: holds(
        name, value, at_least=said - by, at_most=said + by
    )
    paths = {(lam, scale): runs(lam, scale) for lam in LAMBDAS for scale in (1, 16)}
    ends = {key: [path[-1] for path in three] for key, three in paths.items()}
    off = [abs(e[2] - best_within(1 / lam)).max() for (lam, _), e in ends.items()]
    l2 = [abs(w - ridge(lam / scale)).max() for (lam, scale), e in ends.items() for w in e[:2]]
    scaled = [abs(ends[lam, 1][2] - ends[lam, 16][2]).max() for lam in LAMBDAS]
    slow = {n: train(mr.optim.AdamW, 1.5, steps=n)[-1][0] for n in (400, 3000)}
    noisy = {size: sampled(size) for size in (64, 16, 4, 1)}
    (adam, ink), (adamw, _) = digits_decay(mr.optim.Adam), digits_decay(mr.optim.AdamW)
    rare, common = (ink > 0) & (ink < 0.05), ink > 0.9
    return [
        near("least squares: bmi", ridge(0)[0], 0.488, 5e-4),
        near("least squares: blood pressure", ridge(0)[1], 0.248, 5e-4),
        holds("AdamW: farthest from the best point of the box", max(off), at_most=5e-4),
        holds("SGD, Adam with L2: farthest from ridge, λ over the loss's scale", max(l2), at_most=1e-3),
        holds("loss × 16: farthest that AdamW's end moves", max(scaled), at_most=1e-4),
        breaks("AdamW to ridge, λ = 2", np.linalg.norm(ends[2, 1][2] - ridge(2)), at_least=0.2),
        near("ridge, λ = 1.5: bmi", ridge(1.5)[0], 0.29),
        *(near(f"β₂ = 0.999, λ = 1.5, {n} steps: bmi", slow[n], said)
          for n, said in ((400, 0.41), (3000, 0.46))),
        *(near(f"batches of {n}, λ = 1.5: bmi", noisy[n][0][0], said, 0.01)  # of one draw
          for n, said in ((64, 0.42), (16, 0.37), (4, 0.31), (1, 0.23))),
        holds("the same: farthest from g + λsθ = 0",
              max(abs(end - ridge(1.5 * s)).max() for end, s in noisy.values()), at_most=0.02),
        near("digits, Adam with L2: share/(ηλ), ink in less than 5 % of the images",
             np.median(adam[:, rare]), 1200, 50),
        near("the same, ink in more than 90 %", np.median(adam[:, common]), 30, 4),
        holds("digits, AdamW: |share/(ηλ) − 1|", abs(adamw - 1).max(), at_most=1e-10),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
