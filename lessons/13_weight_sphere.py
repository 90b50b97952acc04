"""What does decay do when size does not matter?

For everybody who decays weights that stand before a normalisation. Afterwards you can say why such
weights grow by themselves, what decay does to them instead, and how far a step turns them.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium", app_title="Lesson 13: what does decay do when size does not matter?"
)

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
        Say("What does decay do when size does not matter?", "尺度不起作用时，权重衰减在做什么？"),
        lead=Say(
            "One unit, w·x of ten measurements, then BatchNorm (no γ, β), predicts the course of diabetes. "
            "SGD (η = 0.1, batches of 16) decays w by λ; g is the gradient by w, and a step turns w by φ.",
            "一个单元由十项测量 x 算出 w·x，再经过 BatchNorm（不带 γ 与 β），预测糖尿病的病情。"
            "用 SGD 训练 w：批量为 16，学习率 η = 0.1，权重衰减系数为 λ。g 是损失对 w 的梯度，"
            "φ 是一步使 w 转过的角度。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "Only the direction of w matters. Its decay λ becomes four times as large. What changes?",
            "只有 w 的方向起作用。把它的衰减 λ 改为四倍，什么会变？",
        ),
        (
            Answer(
                Say("The outputs get smaller", "输出变小"),
                Say(
                    "w does get shorter, but BatchNorm divides by the deviation of w·x, which shrinks "
                    "alike: the outputs keep the size 1.",
                    "w 确实变短了；但 BatchNorm 除以 w·x 的标准差，而它也同样变小：输出的大小仍为 1。",
                ),
            ),
            Answer(
                Say("Nothing, in effect", "实际上什么也不变"),
                Say(
                    "The outputs keep their size. But a shorter w has a larger gradient, and is turned "
                    "farther by it: each step turns w about twice as far.",
                    "输出的大小确实不变。"
                    "但 w 越短，梯度越大，也越容易被转动：每一步转过的角度约为原来的两倍。",
                ),
            ),
            Answer(
                Say("Each step turns w farther", "每一步把 w 转得更远"),
                Say(
                    "So it is: about twice as far. Decay does not make the function smaller; it makes "
                    "its direction move faster, as a larger rate would.",
                    "正是这样，约为两倍。衰减并没有缩小函数，而是让 w 的方向变得更快，就像提高了学习率。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: what becomes of the circle, and of the angle φ, as λ grows?",
            "你看到了什么：λ 变大时，圆怎样变？角 φ 怎样变？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        (0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6),
        start=0.4,
        label="λ",
        broken=Say("BatchNorm's ε = 0.01, too large", "BatchNorm 的 ε = 0.01，太大"),
        caption=Say(
            "λ = {lam:g}: from step 100 on a step turns w by {turn:.1f}° (root mean square). {said} "
            "Size of the outputs: {out:.2f}.",
            "λ = {lam:g}：第 100 步之后，每一步使 w 转过 {turn:.1f}°（均方根）。{said}"
            "输出的大小：{out:.2f}。",
        ),
        alt=Say(
            "Left, one step: decay shortens the arrow w, then the gradient, at a right angle to it, brings "
            "it back to its length in another direction. Right, the tip of w step by step: it spirals onto "
            "a circle. A larger λ makes the circle smaller and the steps around it longer. At λ = 0 the "
            "spiral never closes, and turns ever more slowly. Broken, the gradient is not at a right angle.",
            "左图：一步之内，衰减先缩短箭头 w，与它垂直的梯度再使它恢复原来的长度，但方向变了。"
            "右图：w 的箭头末端逐步的位置，它旋到一个圆上。λ 越大，圆越小，每一步沿圆转得越远。"
            "λ = 0 时，螺线永不闭合，转得越来越慢。故意弄错时，梯度不再与 w 垂直。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Length does not count** (scale invariance): L(αw) = L(w), α > 0. So g has no part along "
                "w, and doubles where w is half as long:\n\n"
                r"$$\color{data}{g} \bot w, \qquad "
                r"\color{data}{g(\alpha w)} = \frac{\color{data}{g(w)}}{\alpha}$$",
                "**长度不起作用**（尺度不变性）：α > 0 时 L(αw) = L(w)。所以损失沿 w 的斜率为零；"
                "w 的长度减半，g 就加倍：\n\n"
                r"$$\color{data}{g} \bot w, \qquad "
                r"\color{data}{g(\alpha w)} = \frac{\color{data}{g(w)}}{\alpha}$$",
            ),
            Say(
                "**Pythagoras**: a step at a right angle lengthens w. Without decay w [only "
                "grows](#lam=0), and turns less and less. Decay shortens it:\n\n"
                r"$$\|w_{t+1}\|^2 = \color{penalty}{(1-\eta\lambda)^2\|w_t\|^2} "
                r"+ \color{data}{\eta^2\|g\|^2}$$",
                "**勾股定理**：垂直方向的一步使 w 变长。没有衰减时，w [只增不减](#lam=0)，转得越来越慢。"
                "衰减则使它变短：\n\n"
                r"$$\|w_{t+1}\|^2 = \color{penalty}{(1-\eta\lambda)^2\|w_t\|^2} "
                r"+ \color{data}{\eta^2\|g\|^2}$$",
            ),
            Say(
                "**In balance** the two cancel, and ηλ alone shapes the triangle. From [λ = 0.4](#lam=0.4) "
                "to [four times that](#lam=1.6), φ about doubles. [With a large ε](#lam=1.6&broken) the size "
                "counts again.\n\n"
                r"$$\cos\color{result}{\varphi} = 1-\eta\lambda, \qquad "
                r"\color{result}{\varphi} \approx \sqrt{2\eta\lambda}$$",
                "**平衡时**两者相抵，三角形的形状只由 ηλ 决定。"
                "λ 从 [0.4](#lam=0.4) 变为[它的四倍](#lam=1.6)，φ 约加倍。"
                "[ε 太大](#lam=1.6&broken)时，大小又起作用了。\n\n"
                r"$$\cos\color{result}{\varphi} = 1-\eta\lambda, \qquad "
                r"\color{result}{\varphi} \approx \sqrt{2\eta\lambda}$$",
            ),
        )
    )
    return


@app.function
def train(strength, lr=0.1, eps=0.0, steps=400, length=0.8):
    """The weights before each step, and the gradients: (2, steps, 10)."""
    linear = mr.nn.Linear(10, 1, bias=False)
    norm = mr.nn.BatchNorm(1, eps=eps, affine=False)
    model, loss = mr.nn.Sequential(linear, norm).double(), mr.nn.MSELoss()
    linear.weight.assign(start(length))
    optimizer = mr.optim.SGD(model.parameters(), lr, weight_decay=strength)
    (x, y), rng, rows = patients(), np.random.default_rng(0), []
    for _ in range(steps):
        batch = rng.integers(0, 442, 16)
        optimizer.zero_grad()
        loss(model(x[batch]), y[batch]).backward()
        rows.append(np.vstack([linear.weight.numpy(), linear.weight.grad.numpy()]))
        optimizer.step()
    return np.swapaxes(rows, 0, 1)


@app.cell(hide_code=True)
def _():
    Code(
        train,
        "for strength in (0.1, 0.4, 1.6):\n"
        "    w, g = train(strength)\n"
        "    print(f'λ = {strength}: g ⊥ w {abs(w[-1] @ g[-1]) < 1e-9}, φ = {turn(w):.1f}°')",
        Say(
            "`start(0.8)` are ten random weights of length 0.8; `turn(w)` is the root mean square of the "
            "angles from the 100th step on.",
            "`start(0.8)` 是长度为 0.8 的十个随机权重；`turn(w)` 是第 100 步之后各步转角的均方根。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C21", "C20", "C128"), also=("C18", "C126", "C127", "C129"))
    return


@app.function(hide_code=True)
def squared(length, lr, slope):
    """‖w‖² after w ← w − ηg; before it ‖w‖ was length, ‖g‖ is slope."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "squared",
        Say(
            "BatchNorm follows (ε = 0), no decay: w ← w − ηg. Before the step ‖w‖ is `length`, ‖g‖ is "
            "`slope`. What is ‖w‖² afterwards?",
            "后面是 BatchNorm（ε = 0），没有衰减：w ← w − ηg。这一步之前 ‖w‖ 是 `length`，‖g‖ 是 `slope`。"
            "这一步之后 ‖w‖² 是多少？",
        ),
        squared,
        lambda length, lr, slope: length**2 + (lr * slope) ** 2,
        cases=[(2.0, 0.1, 5.0), (0.5, 0.3, 2.0), (1.5, 2.0, 0.25)],
        limits={
            Say(
                "No gradient, no step: length² must come out.", "梯度为 0 时不动，应得 length²。"
            ): (
                1.5,
                0.2,
                0.0,
            ),
            Say(
                "From 3 one goes 4 at a right angle: the square of the distance from 0 is 25.",
                "从距 0 为 3 处垂直走 4：到 0 的距离的平方是 25。",
            ): (3.0, 0.5, 8.0),
        },
        mistakes={
            Say(
                "So it would be if g pointed along w. But there the loss has no slope: g is at a right "
                "angle, and its square is added.",
                "只有 g 与 w 同向时才这样。可损失沿 w 没有斜率：g 与 w 垂直，应加上它的平方。",
            ): lambda length, lr, slope: (length - lr * slope) ** 2,
            Say(
                "So it would be if g pointed against w, along its line. It is at a right angle.",
                "只有 g 与 w 反向时才这样。g 其实与 w 垂直。",
            ): lambda length, lr, slope: (length + lr * slope) ** 2,
            Say(
                "The square of a side at a right angle is added, whether the step has a minus or not: w only "
                "grows.",
                "无论这一步是加还是减，直角边的平方都是加上去：w 只会变长。",
            ): lambda length, lr, slope: length**2 - (lr * slope) ** 2,
            Say(
                "That subtracts lengths, as if w and g lay on one line, and it is not a square. They are at "
                "a right angle: Pythagoras.",
                "这是把长度相减，仿佛 w 与 g 在一条直线上，而且也没有平方。它们互相垂直：用勾股定理。",
            ): lambda length, lr, slope: length - lr * slope,
            Say(
                "That is the length, by Pythagoras. Asked is its square: leave the root out.",
                "勾股定理用对了，但这是长度。要求的是它的平方，不必开方。",
            ): lambda length, lr, slope: (length**2 + (lr * slope) ** 2) ** 0.5,
            Say(
                "The step is ηg, so its square has η², too.",
                "这一步是 ηg，它的平方里 η 也要平方。",
            ): lambda length, lr, slope: length**2 + lr * slope**2,
            Say(
                "The step is ηg: its length is squared, all of it.",
                "这一步是 ηg：要把它的整个长度平方。",
            ): lambda length, lr, slope: length**2 + lr * slope,
            Say(
                "The step is η‖g‖ long, not ‖g‖.",
                "这一步的长度是 η‖g‖，不是 ‖g‖。",
            ): lambda length, lr, slope: length**2 + slope**2,
            Say(
                "To first order in η, yes: nothing lengthens w. But what is left over, η²‖g‖², adds up, "
                "step by step.",
                "只看 η 的一次项，w 确实不变长。可是余下的 η²‖g‖² 会逐步累积。",
            ): lambda length, lr, slope: length**2,
            Say(
                "The product 2η⟨w, g⟩ is 0, as g is at a right angle to w; only η²‖g‖² stays.",
                "g 与 w 垂直，所以乘积项 2η⟨w, g⟩ 为 0；只剩下 η²‖g‖²。",
            ): lambda length, lr, slope: length**2 - 2 * lr * length * slope,
            Say(
                "Two things: at a right angle the square of the step is added, and η is squared, too.",
                "有两处：垂直的一步，平方应当加上；η 也要平方。",
            ): lambda length, lr, slope: length**2 - lr * slope**2,
            Say(
                "Lengths add up along one line only. w and g are at a right angle: add the squares.",
                "只有在一条直线上，长度才能直接相加。w 与 g 互相垂直：应把平方相加。",
            ): lambda length, lr, slope: length + lr * slope,
            Say(
                "This is how much ‖w‖² grows. Asked is ‖w‖² afterwards.",
                "这是 ‖w‖² 的增量。要求的是这一步之后的 ‖w‖²。",
            ): lambda length, lr, slope: (lr * slope) ** 2,
            Say(
                "`length` is ‖w‖, not yet its square.",
                "`length` 是 ‖w‖，还没有平方。",
            ): lambda length, lr, slope: length + (lr * slope) ** 2,
            Say(
                "This squares once too often: the sum of the two squares is all.",
                "多平方了一次：两条直角边的平方和就是答案。",
            ): lambda length, lr, slope: (length**2 + (lr * slope) ** 2) ** 2,
        },
        why=Say(
            "the gradient is at a right angle to w, so this is Pythagoras. Without decay w can only grow.",
            "g 与 w 垂直，这就是勾股定理。没有衰减时，w 只会变长。",
        ),
        hints=(
            Say(
                "The loss does not change along w. At which angle to w does g stand?",
                "损失沿 w 不变。那么 g 与 w 成多大的角？",
            ),
            Say(
                "w and the step −ηg are the two sides at a right angle; the new w is the third side.",
                "w 与这一步 −ηg 是两条直角边，新的 w 是斜边。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def turned(w, lr):
    """Meant to turn w as SGD does; the result has length 1."""
    length = np.linalg.norm(w)
    u = w / length
    g = slope(u)
    rate = lr / length
    u = u - rate * g
    return u / np.linalg.norm(u)


@app.function(hide_code=True)
def slope(w):
    """The gradient of the loss over all patients at the weight w, ε = 0."""
    leaf = mr.tensor(w, requires_grad=True)
    x, y = patients()
    F = mr.nn.functional
    out = F.batch_norm(F.linear(x, leaf), training=True, eps=0.0)
    return mr.grad(mr.nn.MSELoss()(out, y), leaf)[0].numpy()


@app.function(hide_code=True)
def compared(lr=0.01):
    """How far SGD turns w, and how far the program with the fault does, at four lengths of w."""
    rows = ["length of w   SGD turns it   the program"]
    for length in (0.5, 1, 2, 4):
        w = start(length)
        ours, theirs = (
            angles(np.vstack([w, new]))[0] for new in (w - lr * slope(w), turned(w, lr))
        )
        rows.append(f"{length:11}{ours:14.4f}°{theirs:12.4f}°")
    return "\n".join(rows)


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "The program turns w as SGD does (no decay, ε = 0), but keeps the length 1. `slope(u)` is the "
            "gradient of the loss at u. The table has the angles of one step from weights of the same "
            "direction. Which line is wrong?",
            "这个程序本应像 SGD 那样转动 w（没有衰减，ε = 0），但让长度保持为 1。"
            "`slope(u)` 是损失在 u 处的梯度。表中是从同一方向、不同长度的 w 出发，一步转过的角度。"
            "哪一行错了？",
        ),
        turned,
        compared,
        "rate = ",
        why=Say(
            "Yes: from w/2 SGD turns about four times as far, as g is twice as large and moves a w half as "
            "long. So the effective rate is η/‖w‖²: `lr / length**2`.",
            "对：w 的长度减半，SGD 转过的角度就约为四倍，因为 g 加倍，而被它移动的 w 只有一半长。"
            "所以有效学习率是 η/‖w‖²：`lr / length**2`。",
        ),
        others={
            "length = ": Say(
                "The length is right. Is it used often enough, though?",
                "长度没有算错。可是用够了吗？",
            ),
            "u = w": Say(
                "Rescaling w to length 1 leaves the function as it is. In the table the program is right "
                "where w has the length 1, and only there.",
                "把 w 缩放到长度 1，函数不变。从表中看，程序只在 w 的长度为 1 时是对的。",
            ),
            "slope": Say(
                "This gradient is right: at length 1 it is ‖w‖ times the one at w. The rate has to make up "
                "for that.",
                "这个梯度没有错：长度为 1 时，它是 w 处梯度的 ‖w‖ 倍。这一点要由学习率来弥补。",
            ),
            "u - rate": Say(
                "A step of SGD, with the rate that it is given. Is the rate right?",
                "这就是 SGD 的一步，用的是给定的学习率。学习率对吗？",
            ),
            "return": Say(
                "Dividing by the length does not turn anything.",
                "除以长度并不改变方向。",
            ),
            "": Say(
                "Nothing is computed here. By which factor do the two columns differ?",
                "这里没有计算。两列相差几倍？",
            ),
        },
        hints=(
            Say(
                "Of a w twice as long: how far does SGD turn it, how far does the program?",
                "w 变为两倍长时，SGD 转过的角度变为几分之几？程序呢？",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def balance(lr, strength):
    """The angle φ, in radians, of a step that leaves ‖w‖ as it was; ε = 0."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "balance",
        Say(
            "A step w ← (1 − ηλ)w − ηg leaves ‖w‖ as it was. By which angle φ, in radians, has it turned w? "
            "Exactly, not only for small ηλ. (`lr` is η, `strength` is λ.)",
            "一步 w ← (1 − ηλ)w − ηg 之后，‖w‖ 与原来一样。它使 w 转过了多大的角 φ（弧度）？"
            "要精确值，不只是 ηλ 很小时的近似。（`lr` 是 η，`strength` 是 λ。）",
        ),
        balance,
        lambda lr, strength: np.arccos(1 - lr * strength),
        cases=[(0.1, 0.5), (0.2, 3.0), (0.5, 0.9)],
        limits={
            Say(
                "λ = 0: only g = 0 leaves the length as it was, and nothing turns.",
                "λ = 0 时，只有 g = 0 才能使长度不变，角度为 0。",
            ): (0.1, 0.0),
            Say(
                "ηλ = 1: decay takes all of w, and what is left stands at a right angle: π/2.",
                "ηλ = 1 时，w 全部衰减掉，剩下的与它垂直：π/2。",
            ): (0.5, 2.0),
        },
        mistakes={
            Say(
                "Nearly: that is φ for small ηλ. Exactly, the triangle has the hypotenuse ‖w‖ and, beside "
                "φ, the side (1 − ηλ)‖w‖.",
                "很接近：这是 ηλ 很小时的 φ。要得到精确值，看三角形：斜边是 ‖w‖，φ 的邻边是 (1 − ηλ)‖w‖。",
            ): lambda lr, strength: (2 * lr * strength) ** 0.5,
            Say(
                "ηλ is the share of the length that decay takes. The gradient has to turn w much farther "
                "to give it back: at a right angle it lengthens w only a little.",
                "ηλ 是衰减掉的长度比例。要补回它，梯度得把 w 转得远得多：垂直的一步只能使 w 稍微变长。",
            ): lambda lr, strength: lr * strength,
            Say(
                "2ηλ is about the share that ‖w‖² loses. The angle is about its square root.",
                "2ηλ 约是 ‖w‖² 损失的比例。角度约等于它的平方根。",
            ): lambda lr, strength: 2 * lr * strength,
            Say(
                "A root belongs there, but of 2ηλ: ‖w‖² loses twice the share that ‖w‖ loses. And exactly "
                "it is an arccosine.",
                "确实要开方，但应是 2ηλ 的平方根：‖w‖² 损失的比例是 ‖w‖ 的两倍。而且精确值是一个反余弦。",
            ): lambda lr, strength: (lr * strength) ** 0.5,
            Say(
                "This is cos φ. Take the arccosine.",
                "这是 cos φ，还要取反余弦。",
            ): lambda lr, strength: 1 - lr * strength,
            Say(
                "The angle is right, but in degrees: leave them as radians.",
                "角度是对的，但单位是度。应当用弧度。",
            ): lambda lr, strength: np.degrees(np.arccos(1 - lr * strength)),
            Say(
                "This is sin φ, the length of ηg by that of w. Take the angle itself.",
                "这是 sin φ，即 ηg 与 w 的长度之比。还要求出角度本身。",
            ): lambda lr, strength: (1 - (1 - lr * strength) ** 2) ** 0.5,
            Say(
                "1 − ηλ is the cosine already; φ is its arccosine.",
                "1 − ηλ 已经是余弦，φ 是它的反余弦。",
            ): lambda lr, strength: np.cos(1 - lr * strength),
            Say(
                "Right at ηλ = 0 and 1, but φ is not proportional to ηλ: it starts as √(2ηλ).",
                "ηλ = 0 和 1 时对了，但 φ 并不与 ηλ 成正比：起初它像 √(2ηλ) 那样增大。",
            ): lambda lr, strength: lr * strength * np.pi / 2,
            Say(
                "ηλ‖w‖ lies along w, so it is not opposite φ. There stands ηg, at a right angle to w.",
                "ηλ‖w‖ 在 w 的方向上，不是 φ 的对边。对边是与 w 垂直的 ηg。",
            ): lambda lr, strength: np.arctan(lr * strength),
            Say(
                "This is tan φ. Take the angle itself.",
                "这是 tan φ。还要求出角度本身。",
            ): lambda lr, strength: np.divide(
                (1 - (1 - lr * strength) ** 2) ** 0.5, 1 - lr * strength
            ),
            Say(
                "What is left beside φ is (1 − ηλ)‖w‖, not ηλ‖w‖: that is what decay takes.",
                "φ 的邻边是剩下的 (1 − ηλ)‖w‖，不是衰减掉的 ηλ‖w‖。",
            ): lambda lr, strength: np.arccos(lr * strength),
            Say(
                "(1 − ηλ)‖w‖ stands beside φ, not opposite: cosine, not sine.",
                "(1 − ηλ)‖w‖ 是 φ 的邻边，不是对边：用余弦，不用正弦。",
            ): lambda lr, strength: np.arcsin(1 - lr * strength),
            Say(
                "ηλ‖w‖ lies along w, not opposite φ. Opposite stands ηg, and (1 − ηλ)‖w‖ beside it.",
                "ηλ‖w‖ 在 w 的方向上，不是 φ 的对边。对边是 ηg，邻边是 (1 − ηλ)‖w‖。",
            ): lambda lr, strength: np.arcsin(lr * strength),
            Say(
                "The side beside φ is (1 − ηλ)‖w‖ and the hypotenuse ‖w‖: no square.",
                "φ 的邻边是 (1 − ηλ)‖w‖，斜边是 ‖w‖：不用平方。",
            ): lambda lr, strength: np.arccos((1 - lr * strength) ** 2),
            Say(
                "The decay of weights is ηλ here, without a 2.",
                "这里权重衰减的比例是 ηλ，没有 2。",
            ): lambda lr, strength: np.arccos(np.clip(1 - 2 * lr * strength, -1, 1)),
            Say(
                "A step decays by ηλ, not by λ: η multiplies it, as it does g.",
                "一步的衰减是 ηλ，不是 λ：η 既乘梯度，也乘衰减。",
            ): lambda lr, strength: np.arccos(np.clip(1 - strength, -1, 1)),
            Say(
                "√(2ηλ) is nearly φ already. No tangent is needed: cos φ is known.",
                "√(2ηλ) 本身已接近 φ。不必取反正切：cos φ 是已知的。",
            ): lambda lr, strength: np.arctan((2 * lr * strength) ** 0.5),
        },
        why=Say(
            "the hypotenuse is ‖w‖, the side beside φ is (1 − ηλ)‖w‖. For small ηλ, 1 − cos φ ≈ φ²/2, so "
            "φ ≈ √(2ηλ).",
            "斜边是 ‖w‖，φ 的邻边是 (1 − ηλ)‖w‖。ηλ 很小时 1 − cos φ ≈ φ²/2，所以 φ ≈ √(2ηλ)。",
        ),
        hints=(
            Say(
                "Look at the left picture: which angle is the right one, and how long is the hypotenuse?",
                "看左图：直角在哪里？斜边有多长？",
            ),
            Say(
                "The new w is the hypotenuse, as long as the old one; decay leaves (1 − ηλ)‖w‖ beside φ.",
                "新的 w 是斜边，与原来一样长；衰减之后剩下的 (1 − ηλ)‖w‖ 是 φ 的邻边。",
            ),
            Say("`np.arccos` gives radians.", "`np.arccos` 的结果是弧度。"),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "Lesson 2 halved η and doubled λ, and training came to rest nearer to 0. Do the same here, "
            "before BatchNorm (ε = 0): η = 0.05 and λ = 1.6, in place of 0.1 and 0.8. What comes of it in "
            "the long run?",
            "第 2 课把 η 减半、λ 加倍，训练就停在离 0 更近的地方。在这里（BatchNorm 之前，ε = 0）也这样做："
            "η 由 0.1 改为 0.05，λ 由 0.8 改为 1.6。长期来看会怎样？",
        ),
        2,
        (
            Answer(
                Say("A smaller function: w ends nearer to 0", "函数变小：w 离 0 更近"),
                Say(
                    "w is nearer to 0, by the factor √2. But here the length is not the function: the "
                    "outputs keep the size 1. In lesson 2 no BatchNorm took it out.",
                    "w 确实离 0 更近，只有原来的 1/√2。可是在这里，长度不影响函数：输出的大小仍为 1。"
                    "第 2 课没有 BatchNorm 来消去长度。",
                ),
            ),
            Answer(
                Say("Each step turns w half as far", "每一步转过的角度减半"),
                Say(
                    "So it would be at the same length. But the length gives way: w gets shorter by √2, "
                    "and η/‖w‖² becomes what it was.",
                    "长度不变时才这样。可是长度会变：w 缩短到 1/√2，η/‖w‖² 又回到原来的值。",
                ),
            ),
            Answer(
                Say("As before; only w is shorter", "一切照旧，只是 w 变短"),
                Say(
                    "Yes: with w shorter by √2, g is longer by √2 and ηg shorter by √2. Every step is the "
                    "same triangle, drawn smaller. In lesson 2 λ alone set the resting place; here ηλ "
                    "alone sets the turn.",
                    "对：w 缩短到 1/√2，g 就增大到 √2 倍，ηg 则缩小到 1/√2。"
                    "每一步仍是同样的三角形，只是画小了。"
                    "第 2 课里，停在哪里只取决于 λ；在这里，转多少只取决于 ηλ。",
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
                "Before BatchNorm only the direction of w counts: g is at a right angle to w and goes as "
                "1/‖w‖, so SGD turns w with the effective learning rate η/‖w‖².",
                "在 BatchNorm 之前只有 w 的方向起作用：g 与 w 垂直，与 1/‖w‖ 成正比；"
                "因此 SGD 以有效学习率 η/‖w‖² 转动 w。",
            ),
            Say(
                "Gradients lengthen w, decay shortens it: in balance φ ≈ √(2ηλ).",
                "梯度使 w 变长，衰减使它变短；平衡时 φ ≈ √(2ηλ)。",
            ),
            Say(
                "There decay is no penalty on the function but sets how fast it moves, as long as ε is "
                "small beside the variance of w·x.",
                "这时衰减并不惩罚函数，而是决定它变动的快慢；前提是 ε 远小于 w·x 的方差。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("How do ten dimensions lie flat?", "十维怎样摊平？"),
        Say(
            "0, $w_t$ and $w_{t+1}$ are the corners of a triangle. The right panel lays these triangles side "
            "by side on the page, like a fan: each length and each angle is true. What it does not show is "
            "that the steps also turn back: in ten dimensions $w$ does not go round and round, but wanders "
            "about the best direction. The farther a step turns, the farther off it wanders: the mean loss "
            "over all patients from step 100 on is 0.59 at $\\lambda = 0.05$ and 0.71 at "
            "$\\lambda = 1.6$. The left panel is a mean step: the means of $\\|w\\|^2$, of "
            "$\\eta\\langle w, g\\rangle$ and of $\\eta^2\\|g\\|^2$ from step 100 on.",
            "0、$w_t$ 与 $w_{t+1}$ 是一个三角形的三个顶点。右图把这些三角形像扇面那样逐个摊平在纸上："
            "每个长度、每个角度都是真实的。它没有显示的是，各步也会往回转：在十维空间里，$w$ 并不是绕圈，"
            "而是在最佳方向附近徘徊。每一步转得越远，徘徊得也越远：第 100 步之后，全体患者上的平均损失，"
            "$\\lambda = 0.05$ 时是 0.59，$\\lambda = 1.6$ 时是 0.71。左图是平均的一步："
            "取第 100 步之后 $\\|w\\|^2$、$\\eta\\langle w, g\\rangle$ 与 $\\eta^2\\|g\\|^2$ 的平均值。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def patients():
    """442 patients × 10 measurements, each of mean 0 and length 1; the progression, standardized."""
    x, y = mr.datasets.arrays("diabetes")
    x = x - x.mean(0)
    return x / np.linalg.norm(x, axis=0), ((y - y.mean()) / y.std())[:, None]


@app.function(hide_code=True)
def start(length):
    """The same ten random weights, scaled to this length."""
    w = np.random.default_rng(0).standard_normal((1, 10))
    return length * w / np.linalg.norm(w)


@app.function(hide_code=True)
def angles(w):
    """The angle between successive rows, in degrees."""
    u = w / np.linalg.norm(w, axis=1, keepdims=True)
    return np.degrees(2 * np.arcsin(np.linalg.norm(np.diff(u, axis=0), axis=1) / 2))


@app.function(hide_code=True)
def turn(w):
    """The root mean square of the angles from the 100th step on."""
    return np.sqrt(np.mean(angles(w[100:]) ** 2))


@app.function(hide_code=True)
@cache
def run(strength, eps=0.0):
    """:func:`train`, kept."""
    return train(strength, eps=eps)


@app.function(hide_code=True)
def spread(w, eps):
    """The deviation of the outputs over all patients, its mean over these weights."""
    outputs = mr.nn.functional.batch_norm(patients()[0] @ w.T, training=True, eps=eps)
    return outputs.std(0).mean()


@app.function(hide_code=True)
def mean_step(w, g, lr=0.1):
    """A step in units of ‖w‖, by its mean squares: how far along −w the gradient moves, how far across."""
    square = np.mean(np.sum(w**2, 1))
    along = lr * np.mean(np.sum(w * g, 1)) / square
    return along, np.sqrt(lr**2 * np.mean(np.sum(g**2, 1)) / square - along**2)


@app.function(hide_code=True)
def circle(w, g, strength, lr=0.1):
    """The length at which decay and growth cancel, from the gradients that a w of length 1 would have."""
    g1 = np.mean(np.sum(w**2, 1) * np.sum(g**2, 1))
    return (lr * g1 / (strength * (2 - lr * strength))) ** 0.25


@app.function(hide_code=True)
def picture(lam, broken=False):
    """One step, the length of w as 1; and the first 60 steps, laid flat."""
    w, g = run(lam, 0.01 if broken else 0.0)
    late, shrunk, role = (w[100:], g[100:]), 1 - 0.1 * lam, "broken" if broken else "result"
    along, across = mean_step(*late)
    tip, around = (shrunk - along, across), np.linspace(0, 2 * np.pi, 121)
    step = Panel(
        Say("one step, the length of w as 1", "一步（以 w 的长度为 1）"),
        x=(-0.05, 1.33), y=(-0.13, 0.63), xticks={}, yticks={}, height=None,
    )  # fmt: skip
    arc = np.linspace(-0.3, 1.2, 61)
    step.line(np.cos(arc), np.sin(arc), "reference", width=1.5)
    step.line([0, 1], [0, 0], "ink", width=2.5)
    phi = np.linspace(0, np.arctan2(tip[1], tip[0]), 21)
    step.line(0.3 * np.cos(phi), 0.3 * np.sin(phi), role, width=1.5)
    step.text(0.42 * np.cos(phi[10]), 0.42 * np.sin(phi[10]), "φ", role)
    if not broken:
        d = min(0.035, across / 2)
        step.line([shrunk - d, shrunk - d, shrunk], [0, d, d], "ink", width=1)
    step.arrow(0, 0, 1, 0, "ink", label="w")
    step.arrow(1, 0, -0.1 * lam, 0, "penalty", width=4)
    step.text(1 - 0.05 * lam if lam else np.nan, 0, Say("decay", "衰减"), "penalty")
    step.arrow(0, 0, *tip, role, label=Say("w after the step", "一步之后的 w"))
    step.arrow(shrunk, 0, tip[0] - shrunk, tip[1], "data", label="−ηg", width=4)
    r, way = np.linalg.norm(w[:61], axis=1), np.radians(np.r_[0, np.cumsum(angles(w[:61]))])
    tips = Panel(
        Say("the tip of w, 60 steps, laid flat", "w 的末端：60 步，逐步摊平"),
        x=(-2.15, 2.15), y=(-1.19, 1.19), xticks={}, yticks={}, height=None,
    )  # fmt: skip
    tips.line(r * np.cos(way), r * np.sin(way), role, width=1)
    if not broken:
        radius = circle(*late, lam) if lam else np.nan
        tips.line(radius * np.cos(around), radius * np.sin(around), "textbook", width=2,
                  label=Say("balance", "平衡"))  # fmt: skip
    tips.dots(r * np.cos(way), r * np.sin(way), role, size=2.5)
    tips.arrow(0, 0, r[-1] * np.cos(way[-1]), r[-1] * np.sin(way[-1]), "ink", label="w")
    tips.text(r[0], 0, Say("start", "起点"))
    size, degrees = np.sqrt(np.mean(np.sum(late[0] ** 2, 1))), np.degrees(np.arccos(shrunk))
    said = Say(
        f"If ‖w‖ stood exactly still, it would be arccos(1 − ηλ) = {degrees:.1f}°.",
        f"若 ‖w‖ 完全不变，则为 arccos(1 − ηλ) = {degrees:.1f}°。",
    )
    if not lam:
        said = Say(
            "There is no balance: w only grows, and turns less and less.",
            "没有平衡：w 只增不减，转得越来越慢。",
        )
    if broken:
        cosines = np.sum(w * g, 1) / np.linalg.norm(w, axis=1) / np.linalg.norm(g, axis=1)
        off = np.degrees(abs(np.arcsin(cosines[100:]))).mean()
        said = Say(
            f"g misses the right angle by {off:.0f}° on average.",
            f"g 平均偏离直角 {off:.0f}°。",
        )
    return Frame(step, tips, said=said, turn=turn(w), out=spread(late[0], 0.01 if broken else 0),
                 size=size)  # fmt: skip


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def loss(w):
    """The loss over all patients, its mean over these weights."""
    x, y = patients()
    out = x @ w.T
    return np.mean((out / out.std(0) - y) ** 2)


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    runs = {s: run(s) for s in (0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)}
    size = lambda w: np.sqrt(np.mean(np.sum(w[100:] ** 2, 1)))
    cosines = [np.sum(w * g, 1) / np.linalg.norm(w, axis=1) / np.linalg.norm(g, axis=1)
               for w, g in runs.values()]  # fmt: skip
    free, g = runs[0]
    squares, turns = np.sum(free**2, 1), angles(free)
    off = np.diff(squares) / (0.01 * np.sum(g[:-1] ** 2, 1)) - 1
    phi = [turn(w) / np.degrees(np.arccos(1 - 0.1 * s)) for s, (w, _) in runs.items() if s]
    round_ = [size(w) / circle(w[100:], g[100:], s) for s, (w, g) in runs.items() if s]
    other, _ = train(1.6, lr=0.05)
    same, _ = train(1.6, lr=0.05, length=0.8 / 2**0.5)
    tilted = {s: run(s, 0.01) for s in (0.05, 1.6)}
    sizes = [spread(w[100:], 0.01) for w, _ in tilted.values()]
    w = start(2.0)
    step = lambda a, new: angles(np.vstack([a, new]))[0]
    sgd = [step(v, v - 1e-4 * slope(v)) for v in (w, w / 2)]
    return [
        holds("ε = 0: largest |cos(w, g)|", max(abs(c).max() for c in cosines), at_most=1e-9),
        holds("no decay: |growth of ‖w‖²/η²‖g‖² − 1|", abs(off).max(), at_most=1e-9),
        holds("no decay: turn of the last 100 steps / of the first 100",
              turns[-100:].mean() / turns[:100].mean(), at_most=0.5),
        holds("‖w‖ from step 200 to 400, no decay", (squares[-1] / squares[200]) ** 0.5, at_least=1.1),
        holds("φ/arccos(1 − ηλ), λ > 0, least", min(phi), at_least=0.95),
        holds("the same, most", max(phi), at_most=1.02),
        holds("‖w‖/(where it balances), λ > 0, least", min(round_), at_least=0.98),
        holds("the same, most", max(round_), at_most=1.06),
        holds("φ at λ = 0.8 / at λ = 0.2", turn(runs[0.8][0]) / turn(runs[0.2][0]),
              at_least=1.95, at_most=2.05),
        holds("φ at λ = 1.6 / at λ = 0.4", turn(runs[1.6][0]) / turn(runs[0.4][0]),
              at_least=1.95, at_most=2.05),
        holds("|size of the outputs − 1|",
              max(abs(spread(w, 0) - 1) for w, _ in runs.values()), at_most=1e-9),
        holds("angle of an SGD step from w/2 / from w", sgd[1] / sgd[0], at_least=3.99, at_most=4.01),
        breaks("the program with the fault, from w of length 2 / SGD",
               step(w, turned(w, 1e-4)) / sgd[0], at_least=1.99, at_most=2.01),
        holds("η/2, 2λ: φ / before", turn(other) / turn(runs[0.8][0]), at_least=0.98, at_most=1.02),
        holds("‖w‖ / before, times √2", size(other) / size(runs[0.8][0]) * 2**0.5,
              at_least=0.98, at_most=1.02),
        holds("from w₀/√2: |√2·w_t − before|, 100 steps",
              abs(2**0.5 * same - runs[0.8][0])[:100].max(), at_most=1e-6),
        holds("λ = 0.8, steps 100 to 399: all turns / the angle between first and last",
              angles(runs[0.8][0][100:]).sum() / angles(runs[0.8][0][[100, -1]])[0], at_least=50),
        breaks("ε = 0.01: outputs at λ = 1.6 / at λ = 0.05", sizes[1] / sizes[0], at_most=0.5),
        holds("loss over all patients, λ = 0.05", loss(runs[0.05][0][100:]),
              at_least=0.585, at_most=0.595),
        holds("the same, λ = 1.6", loss(runs[1.6][0][100:]), at_least=0.705, at_most=0.715),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
