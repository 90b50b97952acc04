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
    from minireg.course.claims import breaks, holds
    from minireg.course.parts import (
        Answer,
        Appendix,
        Close,
        Code,
        Goal,
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


@app.cell(hide_code=True)
def _():
    Title(
        Say("What does weight decay forget?", "权重衰减忘掉了什么？"),
        lead=Say(
            "Ten weights θ learn to predict the course of diabetes. In each step, of rate η, the data "
            "push them, and weight decay shrinks them: the penalty ½λ‖θ‖² pulls towards 0.",
            "用十个权重 θ 预测糖尿病的病情。每一步（学习率为 η）里，数据推动权重，"
            "衰减则使它缩小：惩罚 ½λ‖θ‖² 把它拉向 0。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "You halve η and double λ, so that ηλ stays. Does training end at the same place?",
            "学习率 η 减半，衰减系数 λ 加倍，乘积 ηλ 不变。训练最终会停在同一处吗？",
        ),
        (
            Answer(
                Say("Yes, the product decides", "会，起决定作用的是乘积"),
                Say(
                    "No: each λ has its own resting place. What the product fixes is the dashed line, "
                    "a bound on how slowly the start is forgotten.",
                    "并非如此：λ 不同，两次训练会合的高度就不同。"
                    "乘积决定的只是虚线，也就是初值至少忘得多快。",
                ),
            ),
            Answer(
                Say("No, nearer to 0", "不会，离 0 更近"),
                Say(
                    "So it is. The runs meet where penalty and data pull equally hard, and a larger λ "
                    "moves that place towards 0. Now halve η alone: the place stays.",
                    "正是这样。两次训练会合之处，惩罚与数据的拉力相等；λ 越大，那里离 0 越近。"
                    "再试试只把 η 减半：会合处不变。",
                ),
                right=True,
            ),
            Answer(
                Say("No, farther from 0", "不会，离 0 更远"),
                Say(
                    "Nearer, in fact: a step shrinks the weights as much as before, for ηλ is the same. "
                    "But the data push only half as far.",
                    "其实是更近：ηλ 不变，每步的收缩与原来一样，而数据每步的推动只剩一半。",
                ),
            ),
        ),
        asks=Say(
            "What did you see: what moves with λ, and what with η alone?",
            "你看到了什么：改变 λ 时什么在动？只改变 η 时呢？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        (0.1, 0.2, 0.5, 1, 2, 5),
        start=1,
        label="λ",
        choices={
            "whole": "η = 0.02/λ",
            "half": Say("half: η = 0.01/λ", "减半：η = 0.01/λ"),
        },
        broken=Say("the sign of decay", "把衰减项的符号取反"),
        caption=Say("λ = {lam:g}, η = {eta:g}. {said}", "λ = {lam:g}，η = {eta:g}。{said}"),
        alt=Say(
            "Two runs, one from weights of length 2 and one from 0, meet at the same length, which "
            "moves with λ but not with η; the curve (1 − ηλ)ᵗ falls to 0 whatever λ is. The distance "
            "between the two runs falls at least as fast as that curve.",
            "两次训练，一次从长度 2 出发，一次从 0 出发，最后会合在同一长度；这个长度随 λ 移动，"
            "却不随 η 移动。曲线 (1 − ηλ)ᵗ 不管 λ 是多少都降到 0。两次训练所得权重之间的距离"
            "至少下降得同样快。",
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
                "**The start fades.** Subtract two runs: $d=\\theta-\\theta'$. On a convex loss, with "
                "steps that are not too large, the data only bring them closer: at most "
                "$(1-\\eta\\lambda)^t$ of their distance is left.\n\n"
                r"$$d_{t+1} = \color{penalty}{(1-\eta\lambda)\,d_t} "
                r"- \color{data}{\eta\,(\nabla L(\theta_t)-\nabla L(\theta'_t))}$$",
                "**初值的影响逐步消退**。把两次训练的权重 $\\theta$ 与 $\\theta'$ 相减，记差为 $d$。"
                "损失为凸且 $\\eta$ 足够小时，"
                "数据项只会缩小两者的距离：它至多剩下 $(1-\\eta\\lambda)^t$。\n\n"
                r"$$d_{t+1} = \color{penalty}{(1-\eta\lambda)\,d_t} "
                r"- \color{data}{\eta\,(\nabla L(\theta_t)-\nabla L(\theta'_t))}$$",
            ),
            Say(
                "**They rest** where penalty and data pull equally hard. There is no $\\eta$ in it: "
                "[halve η](#choice=half), and the place stays; [take λ = 5](#lam=5), and it moves.\n\n"
                r"$$\color{penalty}{\lambda\,\theta^*} = \color{data}{-\nabla L(\theta^*)}$$",
                "**停下来**时，惩罚与数据的拉力大小相等、方向相反。式中没有 $\\eta$："
                "[把 η 减半](#choice=half)，停的位置不变；[取 λ = 5](#lam=5)，位置就变了。\n\n"
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
        "for lr, strength in ((0.2, 0.5), (0.1, 1.0), (0.1, 0.5)):\n"
        "    end = train(start(2), lr, strength)[-1]\n"
        "    print(f'η = {lr}, λ = {strength}: length {np.linalg.norm(end):.4f}')",
        Say(
            "442 patients, ten measurements each; `start(2)` are ten random weights of length 2. Of the "
            "three lines that it prints, the first and the last share λ, the first two share ηλ.",
            "442 位患者，每人十项测量；`start(2)` 是长度为 2 的十个随机权重。输出的第一、三行 λ 相同，"
            "第一、二行 ηλ 相同。改几个数再运行。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C24", "C26", "C105"), also=("C23", "C25", "C104"))
    return


@app.function(hide_code=True)
def left_over(lr, strength, steps):
    """The share of the start that is left after these steps."""
    left = 1.0
    for _ in range(steps):
        left = ...
    return left


@app.cell(hide_code=True)
def _():
    Write(
        "left_over",
        Say(
            "The data are silent: ∇L = 0. Complete the line with `...`: which share of the start is "
            "left after `steps` steps?",
            "假设没有数据梯度（∇L = 0）。补全 `...` 处：`steps` 步之后，初值还剩几分之几？",
        ),
        left_over,
        each_step,
        cases=[(0.1, 0.5, 20), (0.2, 0.3, 7), (0.5, 3.0, 3)],
        limits={
            Say("No step, nothing forgotten: 1 must come out.", "一步不走，什么也没忘，应得 1。"): (
                0.1,
                0.5,
                0,
            ),
            Say("λ = 0: nothing is forgotten, 1 must come out.", "λ = 0 时什么也不忘，应得 1。"): (
                0.1,
                0.0,
                20,
            ),
            Say(
                "ηλ = 1: one step forgets everything, 0 must come out.",
                "ηλ = 1 时，一步就全部遗忘，应得 0。",
            ): (0.5, 2.0, 1),
        },
        mistakes={
            Say(
                "Shrinking compounds: each step takes its share of what the last one left, not of "
                "the start.",
                "收缩是逐步相乘的：每一步减去的是当前剩余量的一个固定比例，而不是初值的。",
            ): lambda lr, strength, steps: 1 - lr * strength * steps,
            Say(
                "The gradient of ½λ‖θ‖² is λθ, without a 2.", "½λ‖θ‖² 的梯度是 λθ，没有 2。"
            ): lambda lr, strength, steps: (1 - 2 * lr * strength) ** steps,
            Say(
                "That is the share that is lost, not the one that is left.",
                "这是失去的比例，不是剩下的比例。",
            ): lambda lr, strength, steps: 1 - (1 - lr * strength) ** steps,
            Say(
                "That is the limit of many tiny steps. These are not tiny: with ηλ = 1.5 the sign "
                "flips at each step.",
                "这是步长趋于 0 时的极限，而这里步长不小：ηλ = 1.5 时每一步都会变号。",
            ): lambda lr, strength, steps: np.exp(-lr * strength * steps),
            Say(
                "With this sign the weights grow: decay subtracts ηλθ.",
                "这个符号会让权重增长：衰减是减去 ηλθ。",
            ): lambda lr, strength, steps: (1 + lr * strength) ** steps,
            Say(
                "A step subtracts the share ηλ; it does not leave ηλ.",
                "每一步减去的是 ηλ，剩下的是 1 − ηλ。",
            ): lambda lr, strength, steps: (lr * strength) ** steps,
            Say(
                "The share that is taken is ηλ, not λ: a step is η times the gradient λθ.",
                "收缩的比例不是 λ，而是 ηλ：每一步减去的是 η 乘以惩罚的梯度 λθ。",
            ): lambda lr, strength, steps: (1 - strength) ** steps,
            Say(
                "The loop already repeats it `steps` times; with the power you take steps² steps.",
                "循环已经重复了 `steps` 次；再取幂，就成了 steps² 步。",
            ): lambda lr, strength, steps: (1 - lr * strength) ** steps**2,
            Say(
                "Half too little: the slope of ½λθ² is λθ, without a ½.",
                "少了一半：½λθ² 的导数是 λθ，没有 ½。",
            ): lambda lr, strength, steps: (1 - lr * strength / 2) ** steps,
            Say(
                "η and λ act together: one factor, 1 − ηλ.",
                "η 与 λ 一起起作用：只有一个因子 1 − ηλ。",
            ): lambda lr, strength, steps: ((1 - lr) * (1 - strength)) ** steps,
        },
        why=Say(
            "each step multiplies what is left by 1 − ηλ, so this is (1 − ηλ)ᵗ.",
            "每一步都把剩余部分乘以 1 − ηλ，因此结果就是 (1 − ηλ)ᵗ。",
        ),
        hints=(
            Say(
                "Without data a step is θ ← θ − ηλθ. Factor out θ.",
                "没有数据梯度时，每步为 θ ← θ − ηλθ，提取公因子 θ。",
            ),
            Say(
                "So one step multiplies what is left by 1 − ηλ.", "因此每步把剩余部分乘以 1 − ηλ。"
            ),
        ),
    )
    return


@app.function(hide_code=True)
def each_step(lr, strength, steps):
    """The share of the start that is left after these steps."""
    left = 1.0
    for _ in range(steps):
        left = (1 - lr * strength) * left
    return left


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
            "λ = 0.5 and η = 0.04. The penalty stands in the objective, where its share can be read "
            "off. The run should end at length 0.445, but ends at 0.388. Its ledger books who moved the "
            "weights in the first step. Which line is wrong?",
            "λ = 0.5，η = 0.04。惩罚写在目标函数里，便于单独读出它的作用。权重的长度本应停在 0.445，"
            "实际却停在 0.388。账本记录了第一步中各项使权重改变了多少。哪一行错了？",
        ),
        train_with_a_fault,
        first_step,
        "SGD(",
        why=Say(
            "Yes: the penalty is in the objective already, and `weight_decay=` adds λθ once more. The ledger "
            "shows both, equally large; the run minimises the loss + λ‖θ‖². Take it out here.",
            "对：目标函数里已经有惩罚，`weight_decay=` 又加了一次 λθ。账本里两者并列，大小相等；"
            "这次训练实际上最小化的是“损失 + λ‖θ‖²”。把它从这里去掉。",
        ),
        others={
            "Objective(": Say(
                "This line asks for ½λ‖θ‖² once, as it should: the row l2. But another row takes "
                "just as much: who asks for that?",
                "这一行加入一次 ½λ‖θ‖²，没有错，对应账本里的 l2。"
                "可账本里另有一行，大小相同：它是在哪里加入的？",
            ),
            "assign": Say(
                "The start is forgotten: another one would end at the same place.",
                "初值会被忘掉：换一个初值，仍停在同一处。",
            ),
            "trajectory": Say(
                "More steps do not help: after 300 less than 0.3 % of the start is left.",
                "多走几步没有用：300 步之后，初值只剩不到 0.3%。",
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
            "Without a penalty (λ = 0) the weights of least squares have the length 0.85. Set the "
            "control to the smallest λ that leaves less than 40 % of it.",
            "没有惩罚（λ = 0）时，最小二乘的权重长度是 0.85。"
            "找出使长度降到它的 40% 以下的最小 λ，把滑块拨到那里。",
        ),
        lambda lam, broken, **_: lam == 2 and not broken,
        why=Say(
            "Yes: {rest:.2f} is {percent:.0f} % of 0.85. Now choose the other η: the place stays, only the "
            "way there changes.",
            "对：{rest:.2f} 是 0.85 的 {percent:.0f}%。再换另一个 η：终点不变，变的只是途中的快慢。",
        ),
        others={
            Say(
                "With the wrong sign the weights rest nowhere. Mend it first.",
                "符号取反时权重不会停下来。先改正它。",
            ): lambda broken, **_: broken,
            Say(
                "{percent:.0f} %: that is less than 40 %, but a smaller λ does it too.",
                "现在的长度是 0.85 的 {percent:.0f}%，已低于 40%，但更小的 λ 也能做到。",
            ): lambda share, **_: share < 0.4,
            Say(
                "{percent:.0f} %: not below 40 % yet. λ has to pull harder.",
                "现在的长度是 0.85 的 {percent:.0f}%，还没有低于 40%，需要更大的 λ。",
            ): lambda share, **_: share >= 0.4,
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "Lesson 1 asked what a doubled λ does to a weight. Take λ from 1 to 2 here, and let the ten "
            "weights come to rest. What is left of each?",
            "第 1 课问过：λ 加倍时权重会怎样。这里把 λ 从 1 改为 2，待十个权重停下，各自还剩多少？",
        ),
        lesson=1,
        answers=(
            Answer(
                Say("A half, as λ is twice as large", "一半，因为 λ 是原来的两倍"),
                Say(
                    "λθ* = −∇L(θ*): would all halve, the left side would stay as it is. But ∇L changes as "
                    "the weights do; what is left here lies between −0.39 and 1.46.",
                    "λθ* = −∇L(θ*)：若全部减半，左边就不变；可权重变了，∇L 也跟着变。"
                    "实际剩下的比例在 −0.39 与 1.46 之间。",
                ),
            ),
            Answer(
                Say("Each keeps the same share, more than a half", "各剩同一比例，多于一半"),
                Say(
                    "So it would be if the loss bent alike in all directions. It does not: one weight keeps "
                    "51 % of itself, another 96 %.",
                    "只有损失在各个方向上弯曲程度相同时才会这样。这里并不相同："
                    "有一个剩下 51%，另一个剩下 96%。",
                ),
            ),
            Answer(
                Say(
                    "It differs; a weight may grow, or change its sign",
                    "各不相同，有的会变大，有的会变号",
                ),
                Say(
                    "Yes: measurements that say nearly the same share their weight anew. One grows to "
                    "1.46 times, one goes from one side of 0 to the other. All ten together do get shorter.",
                    "对：几项测量说的几乎是同一件事，会重新分配权重。有一个变为 1.46 倍，有一个越过了 0。"
                    "十个合起来（范数）确实变短了。",
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
                "Of the distance between two starts at most (1 − ηλ)ᵗ is left, if the loss is convex and "
                "η(β + 2λ) ≤ 2, β its largest curvature.",
                "若损失为凸且 η(β + 2λ) ≤ 2（β 为最大曲率），两个初值之间的距离至多剩下 (1 − ηλ)ᵗ。",
            ),
            Say(
                "The data are not forgotten: training rests where λθ* = −∇L(θ*), at 0 only if the data "
                "do not pull there.",
                "数据不会被忘掉：训练停在 λθ* = −∇L(θ*) 之处；只有当 ∇L(0) = 0 时，θ* 才等于 0。",
            ),
            Say(
                "So there ηλ bounds how slowly the start fades, and where descent with full batches "
                "comes to rest is up to λ, not to η.",
                "因此在这些条件下，ηλ 决定初值至少忘得多快；"
                "全批量梯度下降停在哪里，则只取决于 λ，与 η 无关。",
            ),
        ),
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
            "of the two stays: with full batches a cosine schedule ends at the same place as a constant "
            "rate, unless $\\sum\\eta_t$ is too small to get there. With minibatches noise keeps the "
            "weights at a distance from it, which falls with the rate.",
            "学习率为 $\\eta_t$ 时，第 $t$ 步的收缩因子是 $1-\\eta_t\\lambda$，初值大约剩下 "
            "$e^{-\\lambda\\sum\\eta_t}$。到了后期 $\\eta_t$ 很小，每步的衰减也很小；"
            "可数据项的更新也按同一个 $\\eta_t$ 减小。两者的平衡不变："
            "全批量时，余弦调度与恒定学习率停在同一处，除非 "
            "$\\sum\\eta_t$ 太小，来不及走到那里。"
            "小批量训练时，噪声使权重与这个终点之间始终有一段距离；学习率越小，距离越小。",
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
def picture(lam, choice, broken=False):
    """The lengths of two runs and the distance between them, beside (1 − ηλ)ᵗ."""
    product, steps = {"whole": 0.02, "half": 0.01}[choice], 400
    eta, some = product / lam, np.linspace(0, steps, 81) if broken else np.geomspace(1, 401, 60) - 1
    t = np.unique(some.round()).astype(int)
    runs = [(train_wrong if broken else train)(start(length), eta, lam, steps) for length in (2, 0)]
    high, low = (np.linalg.norm(run, axis=1) for run in runs)
    apart = np.linalg.norm(runs[0] - runs[1], axis=1)
    fading, size = 2 * (1 - product) ** np.arange(steps + 1), np.linalg.norm(rest(lam))
    role, axes = (
        "broken" if broken else "result",
        {"x": (0, steps), "y": (0, 11 if broken else 2.2)},
    )
    textbook = Say("textbook: 2·(1 − ηλ)ᵗ", "教材：2·(1 − ηλ)ᵗ")
    left = Panel(
        Say("length of the weights", "权重的长度（范数）"), **axes, xlabel=Say("step", "步数")
    )
    if not broken:
        left.hline(size, Say("‖θ*‖: penalty and data balance", "‖θ*‖：惩罚与数据的拉力平衡"))
    left.line(t, fading[t], "textbook", label=textbook)
    two = Say("started at 2", "从 2 出发")
    left.line(t, high[t], role, label=two if broken else "")
    if not broken:
        left.text(45, 1.8, two, role)
    left.line(t, low[t], role, label=Say("started at 0", "从 0 出发"))
    right = Panel(
        Say("distance between the two runs", "两次训练所得权重之间的距离"),
        **axes,
        xlabel=Say("step", "步数"),
    )
    right.line(t, fading[t], "textbook", label=Say("bound: 2·(1 − ηλ)ᵗ", "上界：2·(1 − ηλ)ᵗ"))
    right.line(t, apart[t], role, label=Say("measured", "实测"))
    said = Say(
        f"Both runs rest at length {size:.2f}; 2(1 − ηλ)ᵗ ends at {fading[-1]:.2f}.",
        f"两次训练的权重长度都停在 {size:.2f}；2(1 − ηλ)ᵗ 则降到 {fading[-1]:.2f}。",
    )
    if broken:
        said = Say(
            f"Each step multiplies by 1 + ηλ, and nothing rests: after {steps} steps the lengths are "
            f"{high[-1]:.0f} and {low[-1]:.0f}.",
            f"每一步乘以 1 + ηλ，权重停不下来：{steps} 步之后，从 2 出发的长度为 {high[-1]:.0f}，"
            f"从 0 出发的为 {low[-1]:.0f}。",
        )
    percent = 100 * size / np.linalg.norm(rest(0))
    return Frame(left, right, eta=eta, said=said, high=high[-1], low=low[-1], rest=size,
                 share=percent / 100, percent=percent)  # fmt: skip


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    runs = {s: [train(start(length), 0.02 / s, s) for length in (2, 0)] for s in (0.1, 5.0)}
    left = [np.linalg.norm(a - b, axis=1) / 2 / 0.98 ** np.arange(301) for a, b in runs.values()]
    x, _ = patients()
    steepest = np.linalg.eigvalsh(2 * x.T @ x / len(x))[-1]
    over = [train(start(length), 0.25, 0.1)[-1] for length in (2, 0)]
    shown = [np.linalg.norm(train(start(2), lr, s)[-1]) for lr, s in ((0.2, 0.5), (0.1, 0.5))]
    ends = [train(start(1), lr, 0.5, steps)[-1] for lr, steps in ((0.2, 300), (0.1, 600))]
    sizes = [np.linalg.norm(rest(strength)) for strength in (0, 0.1, 0.5, 1.0, 5.0)]
    kept = rest(2) / rest(1)
    faulty = np.linalg.norm(train_with_a_fault(start(2), 0.04, 0.5)[-1])
    return [
        holds(
            "two starts: distance left/(1 − ηλ)ᵗ, its largest, t ≥ 1",
            np.max([ratio[1:] for ratio in left]),
            at_most=1,
        ),
        holds("η(β + 2λ), its largest in the picture", 0.02 * (steepest / 0.1 + 2), at_most=2),
        breaks(
            "the same ratio where η(β + 2λ) = 2.06",
            np.linalg.norm(over[0] - over[1]) / 2 / (1 - 0.025) ** 300,
            at_least=1e6,
        ),
        holds(
            "same λ, two rates, as the code prints: difference of the lengths",
            abs(shown[0] - shown[1]),
            at_most=5e-5,
        ),
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
        holds(
            "λ from 1 to 2: what a weight keeps, least", kept.min(), at_least=-0.395, at_most=-0.385
        ),
        holds("the same, most", kept.max(), at_least=1.455, at_most=1.465),
        holds("the same, two of them", abs(kept[[5, 7]] - [0.51, 0.96]).max(), at_most=0.005),
        holds("penalty twice, λ = 0.5: ‖θ_T‖", faulty, at_least=0.3875, at_most=0.3885),
    ]


if __name__ == "__main__":
    app.run()
