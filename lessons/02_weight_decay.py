"""What does weight decay forget?

For everybody who sets a learning rate and a weight decay. Afterwards you can say what each of the two
decides, and what a training run still remembers of where it started.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 2: what does weight decay forget?")

with app.setup(hide_code=True):
    import numpy as np

    import minireg as mr
    from minireg.course.claims import holds
    from minireg.course.parts import (
        Answer,
        Appendix,
        Close,
        Code,
        Goal,
        Hunt,
        Keep,
        Predict,
        Title,
        Told,
        Why,
        Write,
    )
    from minireg.pictures import Frame, Panel, Say, Scene


@app.cell(hide_code=True)
def _():
    Title(Say("What does weight decay forget?", "权重衰减忘掉了什么？"))
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "You halve the learning rate η and double λ: the product ηλ stays. "
            "Does training end at the same place?",
            "学习率 η 减半，λ 加倍，乘积 ηλ 不变。训练会停在同一个地方吗？",
        ),
        (
            Answer(
                Say("Yes, the product decides", "会，起决定作用的是乘积"),
                Say(
                    "The product decides how fast the start is forgotten: the right-hand picture "
                    "hardly changes. Where the runs meet on the left changes all the time.",
                    "乘积决定起点被遗忘的快慢：右图几乎不变。而左图中两条线会合的高度一直在变。",
                ),
            ),
            Answer(
                Say("No, nearer to 0", "不会，离 0 更近"),
                Say(
                    "The runs meet where penalty and data pull equally hard. A larger λ moves that "
                    "place towards 0; η has no say in it.",
                    "两次训练会合之处，惩罚与数据的拉力恰好相等。λ 越大，这个位置离 0 越近；"
                    "η 对此没有发言权。",
                ),
                right=True,
            ),
            Answer(
                Say("No, farther from 0", "不会，离 0 更远"),
                Say(
                    "A smaller η does shrink less in each step, but the data push less in each step "
                    "too. What remains is the larger λ, and that pulls harder towards 0.",
                    "η 小了，每步收缩得少，可数据每步也推得少。剩下的只有更大的 λ，它把权重更用力地拉向 0。",
                ),
            ),
        ),
        asks=Say(
            "What did you see: which lines moved with λ, and which could not?",
            "你看到了什么：λ 变动时，哪些线动了，哪些线动不了？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        (0.1, 0.2, 0.5, 1, 2, 5),
        start=0.2,
        label="λ",
        broken=Say("decay with the wrong sign", "衰减的符号弄反了"),
        caption=Say(
            "λ = {lam:g} and η = {eta:g}, so that ηλ = 0.02. After 300 steps the two runs have the "
            "lengths {high:.2f} and {low:.2f}; (1 − ηλ)ᵗ would leave 0.00 of both.",
            "λ = {lam:g}，η = {eta:g}，于是 ηλ = 0.02。300 步之后，两次训练的长度为 {high:.2f} 与 {low:.2f}；"
            "按 (1 − ηλ)ᵗ，两者都只剩 0.00。",
        ),
        alt=Say(
            "Two runs, one from weights of length 2 and one from 0, meet at the same length, which "
            "moves with λ; the curve (1 − ηλ)ᵗ falls to 0 whatever λ is. The distance between the two "
            "runs falls at least as fast as that curve.",
            "两次训练，一次从长度 2 出发，一次从 0 出发，最后会合在同一长度，这个长度随 λ 移动；"
            "曲线 (1 − ηλ)ᵗ 则不管 λ 是多少都降到 0。两次训练之间的距离至少下降得同样快。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**A step** shrinks the weights, then lets the data push:\n\n"
                r"$$\theta_{t+1} = \color{penalty}{(1-\eta\lambda)\,\theta_t} "
                r"- \color{data}{\eta\,\nabla L(\theta_t)}$$",
                "**一步**之内，先收缩权重，再由数据推动：\n\n"
                r"$$\theta_{t+1} = \color{penalty}{(1-\eta\lambda)\,\theta_t} "
                r"- \color{data}{\eta\,\nabla L(\theta_t)}$$",
            ),
            Say(
                "**All steps together.** The start fades. The pushes of the data do not: there is a "
                "fresh one in every step.\n\n"
                r"$$\theta_T = \color{penalty}{(1-\eta\lambda)^T\,\theta_0} "
                r"- \color{data}{\eta\sum_{t<T}(1-\eta\lambda)^{T-1-t}\,\nabla L(\theta_t)}$$",
                "**所有步合起来**：起点逐渐消退，数据的推动却不会，因为每一步都有新的推动。\n\n"
                r"$$\theta_T = \color{penalty}{(1-\eta\lambda)^T\,\theta_0} "
                r"- \color{data}{\eta\sum_{t<T}(1-\eta\lambda)^{T-1-t}\,\nabla L(\theta_t)}$$",
            ),
            Say(
                "**It rests** where both pull equally hard. There is no $\\eta$ in it: compare "
                "[λ = 0.1](#lam=0.1) with [λ = 5](#lam=5).\n\n"
                r"$$\color{penalty}{\lambda\,\theta^*} = \color{data}{-\nabla L(\theta^*)}$$",
                "**停下来**的地方，两个拉力相等。式中没有 $\\eta$：比较 [λ = 0.1](#lam=0.1) 与 "
                "[λ = 5](#lam=5)。\n\n"
                r"$$\color{penalty}{\lambda\,\theta^*} = \color{data}{-\nabla L(\theta^*)}$$",
            ),
        )
    )
    return


@app.function
def train(w0, lr, strength, steps=300):
    """The ten weights after each step of gradient descent, (steps + 1, 10)."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(w0)
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(strength)})
    optimizer = mr.optim.SGD(model.parameters(), lr)
    return mr.trajectory(model, objective, optimizer, *patients(), steps)


@app.cell(hide_code=True)
def _():
    Code(
        train,
        "for lr, strength in ((0.2, 0.1), (0.1, 0.2), (0.1, 0.1)):\n"
        "    end = train(start(2), lr, strength)[-1]\n"
        "    print(f'η = {lr}, λ = {strength}: ends at length {np.linalg.norm(end):.4f}')",
        Say(
            "442 diabetes patients, ten measurements each. The first and the last line share λ, the "
            "first two share ηλ. Change the numbers and run it.",
            "442 位糖尿病患者，每人十项测量。第一行与第三行的 λ 相同，前两行的 ηλ 相同。改改数字再运行。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C24", "C26", "C105"), also=("C23", "C25", "C104"))
    return


@app.function(hide_code=True)
def left_over(lr, strength, steps):
    """The share of the start that is left after these steps, when the data are silent."""
    left = 1.0
    for _ in range(steps):
        left = ...
    return left


@app.cell(hide_code=True)
def _():
    Write(
        "left_over",
        Say(
            "The data are silent: ∇L = 0. Complete the one line: which share of the start is left "
            "after `steps` steps?",
            "数据沉默：∇L = 0。补全那一行：`steps` 步之后，起点还剩多大的份额？",
        ),
        left_over,
        lambda lr, strength, steps: (1 - lr * strength) ** steps,
        cases=[(0.1, 0.5, 20), (0.2, 0.3, 7), (0.5, 3.0, 3)],
        limits={
            Say(
                "No step, nothing forgotten: 1 must come out.", "一步不走，什么也没忘：结果应为 1。"
            ): (
                0.1,
                0.5,
                0,
            ),
            Say(
                "λ = 0: nothing is forgotten, 1 must come out.", "λ = 0 时什么也不忘：结果应为 1。"
            ): (
                0.1,
                0.0,
                20,
            ),
            Say(
                "ηλ = 1: one step forgets everything, 0 must come out.",
                "ηλ = 1 时一步就全忘：结果应为 0。",
            ): (0.5, 2.0, 1),
        },
        mistakes={
            Say(
                "Shrinking compounds: each step takes its share of what the last one left, not of "
                "the start.",
                "收缩是逐步相乘的：每一步拿走的是上一步剩下的一份，而不是起点的一份。",
            ): lambda lr, strength, steps: 1 - lr * strength * steps,
            Say(
                "The gradient of ½λ‖θ‖² is λθ, without a 2.", "½λ‖θ‖² 的梯度是 λθ，没有 2。"
            ): lambda lr, strength, steps: (1 - 2 * lr * strength) ** steps,
            Say(
                "That is the share that is lost, not the one that is left.",
                "这是失去的份额，不是剩下的份额。",
            ): lambda lr, strength, steps: 1 - (1 - lr * strength) ** steps,
            Say(
                "That is the limit of many tiny steps. These are not tiny: with ηλ = 1.5 the sign "
                "flips at each step.",
                "这是步子无限小时的极限。这里的步子不小：ηλ = 1.5 时每一步都会变号。",
            ): lambda lr, strength, steps: np.exp(-lr * strength * steps),
            Say(
                "With this sign the weights grow: decay subtracts ηλθ.",
                "这个符号会让权重增长：衰减是减去 ηλθ。",
            ): lambda lr, strength, steps: (1 + lr * strength) ** steps,
            Say(
                "A step subtracts the share ηλ; it does not leave ηλ.",
                "一步减去的份额是 ηλ，而不是剩下 ηλ。",
            ): lambda lr, strength, steps: (lr * strength) ** steps,
            Say(
                "λ alone does not shrink: the step is η times the gradient λθ.",
                "单靠 λ 不会收缩：一步是 η 乘以梯度 λθ。",
            ): lambda lr, strength, steps: (1 - strength) ** steps,
        },
        hints=(
            Say(
                "Without data a step is θ ← θ − ηλθ. Take θ out of it.",
                "没有数据时，一步是 θ ← θ − ηλθ。把 θ 提出来。",
            ),
            Say("So one step multiplies what is left by 1 − ηλ.", "所以一步把剩下的乘以 1 − ηλ。"),
        ),
    )
    return


@app.function(hide_code=True)
def train_with_a_fault(w0, lr, strength, steps=300):
    """Meant to minimise the loss + ½λ‖θ‖²; ends too near to 0."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(w0)
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(strength)})
    optimizer = mr.optim.SGD(model.parameters(), lr, weight_decay=strength)
    return mr.trajectory(model, objective, optimizer, *patients(), steps)


@app.function(hide_code=True)
def first_step():
    """The ledger of one step of the program with the fault."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(start(2))
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(0.5)})
    optimizer = mr.optim.SGD(model.parameters(), 0.04, weight_decay=0.5)
    ledger = mr.Ledger(optimizer)
    mr.trajectory(model, objective, optimizer, *patients(), 1)
    return ledger.last.table("layer")


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "This run should end at length 0.445 and ends at 0.388. The ledger of its first step "
            "lists who moved the weights. Which line is wrong?",
            "这次训练本应停在长度 0.445，却停在 0.388。账本记下了第一步里是谁移动了权重。哪一行错了？",
        ),
        train_with_a_fault,
        first_step,
        "SGD(",
        why=Say(
            "Yes: the penalty is in the loss already, and `weight_decay=` adds λθ once more. The ledger "
            "shows both, equally large; the run minimises the loss + λ‖θ‖². Leave one of them out.",
            "对：损失里已经有惩罚，`weight_decay=` 又加了一次 λθ。账本里两者并列，大小相等；"
            "这次训练实际在最小化损失 + λ‖θ‖²。去掉其中之一即可。",
        ),
        others={
            "Objective(": Say(
                "This line asks for ½λ‖θ‖² once, as it should. But the ledger has two rows that "
                "shrink: who asks for the second?",
                "这一行要求了一次 ½λ‖θ‖²，没有错。可是账本里有两行在收缩：另一行是谁要求的？",
            ),
            "assign": Say(
                "The start is forgotten: another one would end at the same place.",
                "起点会被忘掉：换一个起点，仍停在同一处。",
            ),
            "trajectory": Say(
                "More steps do not help: after 300 less than 0.3 % of the start is left.",
                "多走几步没有用：300 步之后，起点只剩不到 0.3%。",
            ),
            "": Say(
                "Nothing here acts on the size of the weights. Which rows of the ledger do?",
                "这里没有什么会改变权重的大小。账本里哪几行会？",
            ),
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Goal(
        "goal",
        Say(
            "Without a penalty these weights would have the length 0.85. Set the control to the "
            "smallest λ that more than halves it.",
            "没有惩罚时，这些权重的长度是 0.85。把滑块拨到能使它减少一半以上的最小的 λ。",
        ),
        lambda lam, share, broken, **_: lam == 1 and not broken,
        why=Say(
            "Yes: {rest:.2f}, {percent:.0f} % of it. And η did not matter: it went down as λ went up.",
            "对：{rest:.2f}，是它的 {percent:.0f}%。而 η 无关紧要：λ 上升时它在下降。",
        ),
        others={
            Say(
                "With the wrong sign the weights rest nowhere. Mend it first.",
                "符号弄反时权重不会停下来。先改正它。",
            ): lambda broken, **_: broken,
            Say(
                "{percent:.0f} %: that is less than half, but a smaller λ does it too.",
                "{percent:.0f}%：已不到一半，但更小的 λ 也能做到。",
            ): lambda share, **_: share < 0.5,
            Say(
                "{percent:.0f} %: not half yet. λ has to pull harder.",
                "{percent:.0f}%：还没有减半。λ 要拉得更用力些。",
            ): lambda share, **_: share >= 0.5,
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Keep(
        (
            Say(
                "Weight decay forgets the start: of the difference between two starts at most "
                "(1 − ηλ)ᵀ is left after T steps, if the loss is convex and η is small enough.",
                "权重衰减忘掉的是起点：损失为凸且 η 足够小时，T 步之后，两个起点之间的差别"
                "最多剩下 (1 − ηλ)ᵀ。",
            ),
            Say(
                "It does not forget the data: training rests where λθ* = −∇L(θ*), and that is not 0.",
                "它忘不掉数据：训练停在 λθ* = −∇L(θ*) 之处，那里不是 0。",
            ),
            Say(
                "The product ηλ decides how fast, λ alone decides where.",
                "乘积 ηλ 决定多快，λ 单独决定停在哪里。",
            ),
        ),
        following=10,
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And with a schedule?", "学习率衰减时呢？"),
        Say(
            "With rates $\\eta_t$ step $t$ shrinks by $1-\\eta_t\\lambda$, and about "
            "$e^{-\\lambda\\sum\\eta_t}$ is left of the start. Towards the end $\\eta_t$ is small, and so "
            "is the decay of a step; but the step of the data shrinks by the same $\\eta_t$. The balance "
            "of the two stays as it was: a cosine schedule ends at the same place as a constant rate. "
            "All that can go wrong is that $\\sum\\eta_t$ is too small to get there.",
            "学习率为 $\\eta_t$ 时，第 $t$ 步的收缩因子是 $1-\\eta_t\\lambda$，起点大约剩下 "
            "$e^{-\\lambda\\sum\\eta_t}$。到了后期 $\\eta_t$ 很小，每步的衰减也很小；可数据的一步也按同一个 "
            "$\\eta_t$ 缩小。两者的平衡不变：余弦调度与恒定学习率停在同一处。唯一可能出的问题是 "
            "$\\sum\\eta_t$ 太小，走不到那里。",
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
def start(length):
    """The same ten random weights, scaled to this length."""
    w = np.random.default_rng(0).standard_normal((1, 10))
    return length * w / np.linalg.norm(w)


@app.function(hide_code=True)
def rest(strength):
    """Where it ends: the θ at which λθ = −∇L(θ), by the normal equations."""
    x, y = patients()
    hessian, b = 2 * x.T @ x / len(x), 2 * x.T @ y[:, 0] / len(x)
    return np.linalg.solve(hessian + strength * np.eye(10), b)


@app.class_definition(hide_code=True)
class WrongSign(mr.penalties.L2):
    """A planted fault: decay that lets weights grow. Chainer once shipped it (chainer/chainer#261)."""

    def gradient(self, w):
        """−λw in place of λw."""
        return -super().gradient(w)


@app.function(hide_code=True)
def train_wrong(w0, lr, strength, steps=300):
    """:func:`train` with the wrong sign."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(w0)
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": WrongSign(strength)})
    optimizer = mr.optim.SGD(model.parameters(), lr)
    return mr.trajectory(model, objective, optimizer, *patients(), steps)


@app.function(hide_code=True)
def picture(lam, broken=False):
    """The lengths of two runs and the distance between them, beside (1 − ηλ)ᵗ."""
    eta, steps = 0.02 / lam, 300
    t = np.arange(steps + 1)
    runs = [(train_wrong if broken else train)(start(length), eta, lam, steps) for length in (2, 0)]
    high, low = (np.linalg.norm(run, axis=1) for run in runs)
    apart = np.linalg.norm(runs[0] - runs[1], axis=1)
    fading, size = 2 * (1 - eta * lam) ** t, np.linalg.norm(rest(lam))
    some, role = slice(None, None, 5), "broken" if broken else "result"
    left = Panel(
        Say("length of the weights", "权重的长度"), x=(0, 300), y=(0, 2.2), xlabel=Say("step", "步")
    )
    left.hline(size, label=Say("‖θ*‖: the pulls are equal", "‖θ*‖：两个拉力相等"))
    left.line(
        t[some], fading[some], "textbook", label=Say("textbook: 2·(1 − ηλ)ᵗ", "教科书：2·(1 − ηλ)ᵗ")
    )
    left.line(t[some], high[some], role, label=Say("started at 2", "从 2 出发"))
    left.line(t[some], low[some], role, label=Say("started at 0", "从 0 出发"))
    right = Panel(
        Say("distance between the two runs", "两次训练之间的距离"),
        x=(0, 300),
        y=(0, 2.2),
        xlabel=Say("step", "步"),
    )
    right.line(
        t[some], fading[some], "textbook", label=Say("textbook: 2·(1 − ηλ)ᵗ", "教科书：2·(1 − ηλ)ᵗ")
    )
    right.line(t[some], apart[some], role, label=Say("measured", "实测"))
    free = np.linalg.norm(rest(0))
    return Frame(
        left,
        right,
        eta=eta,
        high=high[-1],
        low=low[-1],
        rest=size,
        share=size / free,
        percent=100 * size / free,
    )


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    runs = {s: [train(start(length), 0.02 / s, s) for length in (2, 0)] for s in (0.1, 5.0)}
    left = [np.linalg.norm(a - b, axis=1) / 2 / 0.98 ** np.arange(301) for a, b in runs.values()]
    ends = [train(start(1), lr, 0.5, steps)[-1] for lr, steps in ((0.2, 300), (0.1, 600))]
    sizes = [np.linalg.norm(rest(strength)) for strength in (0, 0.1, 0.5, 1.0, 5.0)]
    faulty = np.linalg.norm(train_with_a_fault(start(2), 0.04, 0.5)[-1])
    return [
        holds("two starts: distance left/(1 − ηλ)ᵗ, its largest", np.max(left), at_most=1 + 1e-12),
        holds(
            "from θ₀ = 0: ‖θ_T‖/‖θ*‖",
            np.linalg.norm(runs[0.1][1][-1]) / sizes[1],
            at_least=0.99,
            at_most=1.01,
        ),
        holds("same λ, half the rate: ‖Δθ_T‖", np.linalg.norm(ends[0] - ends[1]), at_most=1e-10),
        holds("same ηλ, λ × 50: ratio of the ‖θ*‖", sizes[4] / sizes[1], at_most=0.5),
        holds("‖θ‖ of least squares", sizes[0], at_least=0.8455, at_most=0.8555),
        holds("‖θ*‖ at λ = 0.5", sizes[2], at_least=0.4445, at_most=0.4455),
        holds("penalty twice, λ = 0.5: ‖θ_T‖", faulty, at_least=0.3875, at_most=0.3885),
    ]


if __name__ == "__main__":
    app.run()
