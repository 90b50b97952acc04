"""Is a budget the same as a price?

For everybody who has to choose between a limit on the weights and a penalty on them. Afterwards you can
turn one into the other, read a price off a slope, and say when a budget has no price.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 8: is a budget the same as a price?")

with app.setup(hide_code=True):
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

    BUDGETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)


@app.cell(hide_code=True)
def _():
    Title(
        Say("Is a budget the same as a price?", "预算和价格是一回事吗？"),
        lead=Say(
            "Two weights θ, of total cholesterol and of LDL, predict the course of diabetes, with the mean "
            "square error L. A budget C makes L least among all θ with ‖θ‖² ≤ C. A price λ makes "
            "L + λ‖θ‖² least.",
            "用总胆固醇和低密度脂蛋白胆固醇（LDL）预测糖尿病的病情，θ 是这两项的权重，损失 L 是均方误差。"
            "预算 C：在 ‖θ‖² ≤ C 的范围内使 L 最小。价格 λ：使 L + λ‖θ‖² 最小。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "A small budget leaves least squares outside. Is the best point within the budget the one "
            "nearest to it?",
            "预算小了，最小二乘解就在预算之外。预算之内最好的点，就是离它最近的那一点吗？",
        ),
        (
            Answer(
                Say("Yes, the nearest", "是，就是最近的一点"),
                Say(
                    "L does not measure with a ruler: it rises fast one way, slowly the other. At C = 0.01 "
                    "the nearest point has a negative weight of LDL, the best one a positive.",
                    "L 不是用尺子量距离的：它沿一个方向升得快，沿另一个方向升得慢。C = 0.01 时，"
                    "最近的点上 LDL 的权重为负，最好的点上却为正。",
                ),
            ),
            Answer(
                Say("No, another on the edge", "不是，是边界上的另一点"),
                Say(
                    "So it is: where an ellipse of equal loss touches the edge. The nearest point lies on a "
                    "larger ellipse, which crosses the edge.",
                    "正是这样：它在等损失的椭圆与边界相切之处。最近的点在更大的椭圆上，"
                    "那个椭圆穿过了边界。",
                ),
                right=True,
            ),
            Answer(
                Say("No, one inside", "不是，是内部的一点"),
                Say(
                    "Inside, one may still follow the pull of the data a little, and L falls. L has no "
                    "valley here but least squares; so the budget is used up.",
                    "在内部，总还可以顺着数据的拉力再走一点，L 就会下降。"
                    "这里 L 只有最小二乘解一个谷底，所以预算一定会用完。",
                ),
            ),
        ),
        asks=Say(
            "Break it at a small budget: how does each ellipse meet the edge?",
            "把预算调小，再勾选“故意弄错”：两个椭圆各以什么方式与预算的边界相遇？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "budget",
        BUDGETS,
        start=0.02,
        label="C",
        broken=Say("take the nearest point", "取最近的点"),
        caption=Say(
            "C = {budget:g}: L = {loss:.4f}. {said}", "C = {budget:g}：L = {loss:.4f}。{said}"
        ),
        alt=Say(
            "Left, the plane of two weights: a disk, which is the budget, and an ellipse of equal loss "
            "that touches it. Where they touch, the pulls of the data and of the price are opposite and "
            "equal. Broken, the point is the one of the disk nearest to least squares, where a larger "
            "ellipse crosses the edge. Right, the least loss against the budget: a falling curve, and its "
            "tangent, whose slope is −λ. As the budget grows the tangent becomes "
            "flat, and lies level once least squares is affordable.",
            "左图：两个权重的平面，圆盘是预算，一个等损失的椭圆与它相切。切点处，数据的拉力与价格的拉力"
            "大小相等、方向相反。故意弄错时，取的是圆盘中离最小二乘解最近的点，"
            "那里更大的椭圆穿过边界。右图：最小损失随预算下降的曲线及其切线，"
            "切线的斜率是 −λ。预算增大，切线变平；一旦买得起最小二乘解，切线就是水平的。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**On the edge** one may still move along it. So at the best point no pull along it is "
                "left: $-\\nabla L$ points straight out, as θ does, for some λ ≥ 0:\n\n"
                r"$$\color{data}{-\nabla L(\theta)} = \color{penalty}{2\lambda\,\theta}$$"
                "\n\n[At the nearest point](#budget=0.01&broken) it does not.",
                "**在边界上**仍可沿边界移动。所以在最好的点，拉力沿边界的分量已是 0："
                "$-\\nabla L$ 与 θ 同向，都垂直于边界指向外侧，也就是说，对某个 λ ≥ 0 有\n\n"
                r"$$\color{data}{-\nabla L(\theta)} = \color{penalty}{2\lambda\,\theta}$$"
                "\n\n在[最近的点](#budget=0.01&broken)就不是这样。",
            ),
            Say(
                "**The same equation** says that $L + \\lambda\\|\\theta\\|^2$ has no slope. If L is convex, "
                "this makes it least: the budget has a price.",
                "**同一个方程**也表示 $L + \\lambda\\|\\theta\\|^2$ 的梯度为 0。若 L 是凸函数，"
                "它就在这一点最小：预算于是有了价格。",
            ),
            Say(
                "**What λ is.** A little more budget, $dC$, saves $\\lambda\\,dC$ of the loss: the slope on "
                "the right is −λ. [Once least squares is affordable](#budget=0.1), more saves nothing.\n\n"
                r"$$\color{penalty}{\lambda} = -\frac{d\,\color{result}{L^*}}{dC}$$",
                "**λ 是什么**。预算稍增 $dC$，最小损失就降低 $\\lambda\\,dC$：右图曲线的斜率是 −λ。"
                "[一旦买得起最小二乘解](#budget=0.1)，再加预算也毫无用处。\n\n"
                r"$$\color{penalty}{\lambda} = -\frac{d\,\color{result}{L^*}}{dC}$$",
            ),
        )
    )
    return


@app.function
def compare(x, y, budget):
    """The weights within a budget, its price, and the weights trained at that price."""
    model = mr.nn.Linear(x.shape[1], 1, bias=False, dtype=np.float64)
    square = mr.penalties.L2(2.0)  # ‖θ‖², for L2(λ) is ½λ‖θ‖²
    problem = mr.constrained.Problem(model, mr.nn.MSELoss(), square, x, y)
    price = problem.shadow_price(budget)  # solves with three budgets, with no price
    within = model.weight.numpy()[0].copy()
    problem.penalised(price)
    return within, price, model.weight.numpy()[0]


@app.cell(hide_code=True)
def _():
    Code(
        compare,
        "for budget in (0.01, 0.02, 0.1):\n"
        "    within, price, priced = compare(*pair(), budget)\n"
        "    print(f'C = {budget}: λ = {price:.4f}', within.round(5), priced.round(5))",
        Say(
            "`pair()` are the two measurements of 442 patients; `patients()` are all ten. Try these "
            "with a budget of 0.3.",
            "`pair()` 是 442 位患者的这两项测量，`patients()` 是全部十项。换成十项，取预算 0.3 试试。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C114", "C115", "C116"), also=("C113", "C117"))
    return


@app.function(hide_code=True)
def price(g, theta):
    """The λ at which θ also minimises L + λ‖θ‖²."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "price",
        Say(
            "`theta` is the best point within a budget ‖θ‖² ≤ C, and `g` is ∇L there. Which price λ of "
            "‖θ‖² leads to the same point?",
            "`theta` 是预算 ‖θ‖² ≤ C 之内最好的点，`g` 是那里的 ∇L。‖θ‖² 的价格 λ 取多少，会得到同一点？",
        ),
        price,
        balanced,
        cases=[
            (np.array([-0.6, -1.2]), np.array([0.5, 1.0])),
            (np.array([-1.2, 0.8, -2.0]), np.array([0.3, -0.2, 0.5])),
            (np.array([0.3, -0.9]), np.array([-1.5, 4.5])),
        ],
        limits={
            Say(
                "Here ‖θ‖ = ½ and the data pull with 1: 1 = 2λ·½, so 1 must come out.",
                "这里 ‖θ‖ = ½，数据的拉力为 1：由 1 = 2λ·½，应得 1。",
            ): (np.array([-0.6, -0.8]), np.array([0.3, 0.4])),
            Say(
                "Least squares is affordable here: the data pull no more, and the price is 0.",
                "这里买得起最小二乘解：数据不再有拉力，价格为 0。",
            ): (np.zeros(2), np.array([0.6, -0.8])),
        },
        mistakes={
            Say(
                "‖θ‖² has the slope 2θ: the 2 is missing. This is the price of ½‖θ‖², the λ of "
                "`mr.penalties.L2`.",
                "‖θ‖² 的梯度是 2θ：漏了 2。这是 ½‖θ‖² 的价格，也就是 `mr.penalties.L2` 的 λ。",
            ): lambda g, theta: -(g @ theta) / (theta @ theta),
            Say(
                "A price below 0 would pay for large weights. −∇L points out of the ball, g points into it.",
                "价格为负，就成了奖励大权重。指向球外的是 −∇L，而 g 指向球内。",
            ): lambda g, theta: (g @ theta) / (2 * (theta @ theta)),
            Say(
                "The sign and the 2: the balance is −g = 2λθ.",
                "符号错了，也漏了 2：平衡式是 −g = 2λθ。",
            ): lambda g, theta: (g @ theta) / (theta @ theta),
            Say(
                "From −g = 2λθ, ‖g‖ = 2λ‖θ‖: divide by 2‖θ‖, a length, not by its square.",
                "由 −g = 2λθ 得 ‖g‖ = 2λ‖θ‖：应除以 2‖θ‖，是长度，不是长度的平方。",
            ): lambda g, theta: np.linalg.norm(g) / (theta @ theta),
            Say(
                "One length too many below: ‖g‖ = 2λ‖θ‖, without a square.",
                "分母多了一个长度：‖g‖ = 2λ‖θ‖，没有平方。",
            ): lambda g, theta: np.linalg.norm(g) / (2 * (theta @ theta)),
            Say(
                "That is how hard both pull, and the price of the length ‖θ‖. The slope of ‖θ‖² is 2θ: "
                "divide by 2‖θ‖.",
                "这是双方拉力的大小，也就是长度 ‖θ‖ 的价格。而 ‖θ‖² 的梯度是 2θ：还要除以 2‖θ‖。",
            ): lambda g, theta: np.linalg.norm(g),
            Say(
                "Half the pull is λ‖θ‖, since ‖g‖ = 2λ‖θ‖. A ‖θ‖ is still to be divided by.",
                "因为 ‖g‖ = 2λ‖θ‖，拉力的一半是 λ‖θ‖，还要除以 ‖θ‖。",
            ): lambda g, theta: np.linalg.norm(g) / 2,
            Say(
                "Each entry is the price, since g is parallel to θ. But it is one price for all weights: "
                "return one number.",
                "g 与 θ 平行，所以每个分量都已是这个价格。但所有权重共用一个价格：请返回一个数。",
            ): lambda g, theta: -g / (2 * theta),
            Say(
                "That is 2λ‖θ‖², since −g = 2λθ. Divide by 2‖θ‖².",
                "因为 −g = 2λθ，所以这是 2λ‖θ‖²。还要除以 2‖θ‖²。",
            ): lambda g, theta: -(g @ theta),
            Say(
                "That is λ‖θ‖², what the weights cost in all. Asked is the price of one unit.",
                "这是 λ‖θ‖²，即权重的总花费。要求的是每单位的价格。",
            ): lambda g, theta: -(g @ theta) / 2,
            Say(
                "The 2 belongs below: λ is half of ‖g‖/‖θ‖.",
                "2 应在分母：λ 是 ‖g‖/‖θ‖ 的一半。",
            ): lambda g, theta: -2 * (g @ theta) / (theta @ theta),
            Say(
                "Upside down: the harder the data pull, the higher the price.",
                "上下颠倒了：数据的拉力越大，价格应越高。",
            ): lambda g, theta: -2 * (theta @ theta) / (g @ theta),
            Say(
                "Upside down: this is 1/(4λ). Half of ‖g‖/‖θ‖ is asked, not of ‖θ‖/‖g‖.",
                "上下颠倒了：这是 1/(4λ)。要求的是 ‖g‖/‖θ‖ 的一半，而不是 ‖θ‖/‖g‖ 的一半。",
            ): lambda g, theta: -(theta @ theta) / (2 * (g @ theta)),
            Say(
                "Squares of lengths: this is 2λ². Divide ‖g‖ by 2‖θ‖.",
                "这是长度的平方之比，等于 2λ²。应当用 ‖g‖ 除以 2‖θ‖。",
            ): lambda g, theta: (g @ g) / (2 * (theta @ theta)),
            Say(
                "Squares of lengths: this is 4λ². Divide ‖g‖ by 2‖θ‖, without squares.",
                "这是长度的平方之比，等于 4λ²。应当用 ‖g‖ 除以 2‖θ‖，不要平方。",
            ): lambda g, theta: (g @ g) / (theta @ theta),
        },
        why=Say(
            "−g = 2λθ, multiplied by θ: λ = −g·θ/(2‖θ‖²). If least squares is affordable, "
            "g = 0, and so is λ.",
            "在 −g = 2λθ 两边点乘 θ，得 λ = −g·θ/(2‖θ‖²)。若买得起最小二乘解，则 g = 0，λ 也为 0。",
        ),
        hints=(
            Say("At that point −g = 2λθ, entry by entry.", "在那一点，各分量都满足 −g = 2λθ。"),
            Say(
                "Make one number of it: take the product with θ on both sides.",
                "把它变成一个数：两边同时点乘 θ。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def balanced(g, theta):
    """The λ at which θ also minimises L + λ‖θ‖²."""
    return -(g @ theta) / (2 * (theta @ theta))


@app.cell(hide_code=True)
def _():
    Order(
        "stay_within",
        Say(
            "Put together descent that stays within the budget ‖θ‖² ≤ C. It must hold for small budgets "
            "and for large ones. `slope(theta)` is ∇L, `length(theta)` is ‖θ‖, `eta` is the rate.",
            "拼出始终不超预算 ‖θ‖² ≤ C 的梯度下降。预算无论大小都要正确。"
            "`slope(theta)` 是 ∇L，`length(theta)` 是 ‖θ‖，`eta` 是学习率。",
        ),
        lines={
            "def within(C):": Say("A function of the budget.", "以预算为自变量的函数。"),
            "    theta = np.ones(2)": Say(
                "Any start will do: the loss is convex.", "从哪里出发都行：损失是凸的。"
            ),
            "    for _ in range(400):": Say(
                "Step after step. ‖θ‖ changes with each, so whatever is computed from θ belongs inside.",
                "一步接一步。每一步 ‖θ‖ 都会变，所以由 θ 算出的量都要放在循环里。",
            ),
            "        theta = theta - eta * slope(theta)": Say(
                "The data pull first, perhaps out of the ball.", "先由数据拉动，可能拉出球外。"
            ),
            "        reach = C**0.5 / length(theta)": Say(
                "‖θ‖² ≤ C is a ball of radius √C.", "‖θ‖² ≤ C 是半径为 √C 的球。"
            ),
            "        theta = theta * min(1, reach)": Say(
                "Back to the edge if it is outside; inside it stays. After the step, so that the last "
                "point is affordable.",
                "在球外就拉回边界，在球内则不动。放在更新之后，最后的点才不会超出预算。",
            ),
            "    return theta": Say("After the loop.", "循环结束之后。"),
        },
        distractors={
            "        theta = theta * reach": Say(
                "This lengthens a point inside, too: with a large budget it ends on the edge and not at "
                "least squares.",
                "这样连球内的点也会被拉长：预算很大时，结果会停在边界上，而不是最小二乘解。",
            ),
            "        reach = C / length(theta)": Say(
                "The budget is on ‖θ‖², the radius of its ball is √C. At C = 0.02 this one is seven times "
                "too small.",
                "预算限制的是 ‖θ‖²，球的半径是 √C。C = 0.02 时，这样取的半径只有 √C 的七分之一。",
            ),
            "        theta = np.clip(theta, -(C**0.5), C**0.5)": Say(
                "This bounds each weight by itself: a square, whose corners lie outside the ball. The "
                "budget is one for both.",
                "这是分别限制每个权重，范围成了正方形，四角在球外。预算是两个权重共用的。",
            ),
        },
        given=given,
        result="within(0.02), within(1.0)",
        hints=(
            Say(
                "A step may lead out of the ball. Then the nearest point of the ball is the same direction, "
                "shortened.",
                "一步可能走出球外。这时球内离它最近的点方向不变，只是缩短了。",
            ),
            Say(
                "Shorten only what is too long, and as the last thing in the loop.",
                "只缩短过长的，而且放在循环体的最后。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def given():
    """Values for the program to put in order."""
    x, y = pair()
    slope = lambda theta: 2 * x.T @ (x @ theta - y[:, 0]) / len(x)
    return {"np": np, "eta": 0.3, "slope": slope, "length": np.linalg.norm}


@app.function(hide_code=True)
def price_with_a_fault(C, h=1e-4):
    """Meant to say what each further unit of the budget C on ‖θ‖² saves."""
    x, y = pair()
    model = mr.nn.Linear(2, 1, bias=False, dtype=np.float64)
    radii = [(C - h) ** 0.5, (C + h) ** 0.5]
    balls = [mr.penalties.L2Ball(radius) for radius in radii]
    tight, wide = (mr.solve(model, mr.nn.MSELoss(), ball, x, y).value for ball in balls)
    return (tight - wide) / (radii[1] - radii[0])


@app.function(hide_code=True)
def prices():
    """What the program with the fault says, and the price by −∇L = 2λθ."""
    rows = ["   C   program        λ   program/λ"]
    for budget in (0.005, 0.01, 0.02, 0.04):
        said, right = price_with_a_fault(budget), balanced_at(budget)
        rows.append(f"{budget:.3f}  {said:7.4f}  {right:7.4f}  {said / right:8.3f}")
    return "\n".join(rows)


@app.cell(hide_code=True)
def _():
    Hunt(
        "shadow_price",
        Say(
            "The program solves with two budgets, a little below and above C, and compares the losses. "
            "Beside what it says stands λ from −∇L = 2λθ. The two should agree. Which line is wrong?",
            "程序用比 C 略小和略大的两个预算各解一次，再比较损失。它的结果旁边是由 −∇L = 2λθ 得到的 λ，"
            "两者本应相等。哪一行错了？",
        ),
        price_with_a_fault,
        prices,
        "return",
        why=Say(
            "Yes: this is what a unit of the radius √C saves, and it is 2√C times λ: 0.2 at C = 0.01. The "
            "budget is C, and the two differ by 2h: divide by that. A price has a unit.",
            "对：这是半径 √C 每增加一单位省下的损失，是 λ 的 2√C 倍，C = 0.01 时为 0.2 倍。"
            "预算是 C，两个预算相差 2h，应除以 2h。价格是有单位的。",
        ),
        others={
            "radii = ": Say(
                "Right: ‖θ‖² ≤ C is a ball of radius √C, and one budget lies on each side of C. From C to "
                "C + h alone, the slope would be one of a place h/2 further on.",
                "没有错：‖θ‖² ≤ C 是半径为 √C 的球，而且 C 的两边各取了一个预算。若只用 C 与 C + h，"
                "得到的就是再往前 h/2 处的斜率。",
            ),
            "balls = ": Say(
                "`L2Ball` wants a radius, and gets one.", "`L2Ball` 要的是半径，给的也是半径。"
            ),
            "tight, wide": Say(
                "The smaller budget has the larger loss, so tight − wide is positive, as a price is: the "
                "sign is right.",
                "预算小，损失大，所以 tight − wide 为正，价格也应为正：符号没有错。",
            ),
            "": Say(
                "Nothing here decides what the saving is divided by. Look at the last column: how does it "
                "depend on C?",
                "这一行不影响省下的损失除以什么。看最后一列：它怎样随 C 变化？",
            ),
        },
        hints=(
            Say(
                "From C = 0.01 to 0.04 the last column doubles.",
                "C 从 0.01 变到 0.04，最后一列加倍。",
            ),
            Say("It is 2√C, the slope of what by what?", "它等于 2√C。这是什么对什么的导数？"),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "On the ten measurements of lesson 4, descent on L + ½λ‖θ‖² with λ = 0.05, at its best "
            "rate, reaches its goal in a quarter of the steps. Somebody says: "
            "the same weights, only sooner. What does the budget say?",
            "用第 4 课的十项测量，在 L + ½λ‖θ‖²（λ = 0.05）上以最佳学习率做梯度下降，"
            "到达终点的步数只要四分之一。"
            "有人说：权重一样，只是更快。从预算来看呢？",
        ),
        4,
        (
            Answer(
                Say(
                    "The same weights: so small a λ binds nothing",
                    "权重一样：λ 这么小，约束不了什么",
                ),
                Say(
                    "Any price above 0 says that more budget would still lower L: the budget is used up. At "
                    "‖θ‖² = 0.30 it ends, and least squares costs 0.72.",
                    "只要价格大于 0，再多一点预算就还能降低 L，可见预算已经用完。"
                    "它停在 ‖θ‖² = 0.30，而最小二乘解要 0.72。",
                ),
            ),
            Answer(
                Say("Other weights, of less than half the ‖θ‖²", "权重不同，‖θ‖² 还不到一半"),
                Say(
                    "Yes: ‖θ‖² = 0.30 in place of 0.72, and 58 % of the length of least squares away. λ "
                    "makes the bowl rounder, κ falls from 470 to 121: hence the fewer steps. The same λ "
                    "moves the goal. L hardly noticed: 0.484 for 0.482.",
                    "对：‖θ‖² 由 0.72 降到 0.30，与最小二乘解的距离达其长度的 58%。λ 使碗更圆"
                    "（κ 由 470 降到 121），所以步数少；同一个 λ 也移动了终点。"
                    "L 几乎没有察觉：0.482 变为 0.484。",
                ),
                right=True,
            ),
            Answer(
                Say("Other weights, but more steps would mend it", "权重不同，但多走几步就一样了"),
                Say(
                    "It has arrived: there the pulls balance. More steps stay there; only a lower price "
                    "leads elsewhere.",
                    "它已经到达终点：那里两个拉力平衡。再多的步数也不会离开；只有降低价格，终点才会变。",
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
                "For a convex loss every budget ‖θ‖² ≤ C has a price λ of ‖θ‖² with the same solution, where "
                "−∇L = 2λθ; every price has its budget even without convexity.",
                "损失为凸时，每个预算 ‖θ‖² ≤ C 都有一个价格 λ，两者的解相同，满足 −∇L = 2λθ；"
                "反过来，即使不是凸的，每个价格也都有它的预算。",
            ),
            Say(
                "λ is what each further unit of budget saves, −dL*/dC: above 0 the budget is used up, and "
                "it is 0 if the free optimum is affordable.",
                "λ 就是预算每增加一单位省下的损失 −dL*/dC：它大于 0，预算就已用完；"
                "若买得起无约束最优解，它就是 0。",
            ),
            Say(
                "The best point within a budget is where a contour of L touches it, as a rule not the "
                "point nearest to the free optimum.",
                "预算之内最好的点，在 L 的等高线与边界相切之处，一般不是离无约束最优解最近的点。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("Which budgets have no price?", "什么样的预算没有价格？"),
        Say(
            "A price λ looks for the lowest line of slope −λ that meets the curve of $L^*$ on the right: "
            "it meets the axis $C = 0$ at the least value of $L + \\lambda\\|\\theta\\|^2$. If L is convex, "
            "so is the curve, and each of its points is touched by such a line. If L is not, the curve may "
            "bulge upwards, and a line from below passes under the bulge. A unit $\\sigma(8w-8)$ that is to "
            "give 1, with the mean square error, has such a bulge: the budget $w^2 \\le 1/4$ has the "
            "solution $w = 1/2$, but as the price falls the penalised solution jumps from below 0.1 "
            "to above 1.",
            "价格 λ 所做的，是在右图里找与 $L^*$ 曲线相遇的、斜率为 −λ 的最低直线："
            "它与轴 $C = 0$ 的交点，就是 $L + \\lambda\\|\\theta\\|^2$ 的最小值。L 为凸时，曲线也是凸的，"
            "每一点都有这样一条直线与它相切。L 不是凸函数时，曲线可能向上鼓起，"
            "直线就从鼓包下面经过。设单元 $\\sigma(8w-8)$ 的目标是 1，损失为均方误差，"
            "就有这样的鼓包：预算 $w^2 \\le 1/4$ 的解是 $w = 1/2$，"
            "但价格下降时，带惩罚的解从 0.1 以下一跃到 1 以上。",
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
def pair():
    """Of these, total cholesterol and LDL."""
    x, y = patients()
    return x[:, 4:6], y


@app.function(hide_code=True)
def bowl():
    """The Hessian of L, and the slope of L at 0, with the sign turned."""
    x, y = pair()
    return 2 * x.T @ x / len(x), 2 * x.T @ y[:, 0] / len(x)


@app.function(hide_code=True)
def loss(theta):
    """L at each θ of (…, 2)."""
    x, y = pair()
    return np.square(theta @ x.T - y[:, 0]).mean(-1)


@app.function(hide_code=True)
def priced(strengths):
    """For each λ where −∇L = 2λθ: the minimum of L + λ‖θ‖²."""
    h, b = bowl()
    shifted = h + np.multiply.outer(2 * np.asarray(strengths, float), np.eye(2))
    return np.linalg.solve(shifted, np.broadcast_to(b[:, None], (*shifted.shape[:-1], 1)))[..., 0]


@app.function(hide_code=True)
def balanced_at(budget):
    """The λ of a budget, by halving an interval; 0 if least squares is affordable."""
    low, high = 0.0, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if (priced(middle) ** 2).sum() > budget else (low, middle)
    return low


@app.function(hide_code=True)
def picture(budget, broken=False):
    """The plane of two weights with the budget, and the loss against the budget."""
    (h, b), free, lam = bowl(), priced(0), balanced_at(budget)
    best, near = priced(lam), free * min(1, (budget / (free @ free)) ** 0.5)
    point, role = (near, "broken") if broken else (best, "result")
    seen = near if broken else np.full(2, np.nan)  # the whole picture does not tell the answer
    slope = b - h @ point  # the pull of the data
    shown = slope @ point / (2 * point @ point) if broken else lam
    turn = np.linspace(0, 2 * np.pi, 73)
    circle, (mu, v) = np.c_[np.cos(turn), np.sin(turn)], np.linalg.eigh(h)
    reach = lambda p: ((p - free) @ h @ (p - free)) ** 0.5
    oval = lambda p: free + reach(p) * circle / mu**0.5 @ v.T
    edge = budget**0.5 * circle
    left = Panel(
        Say("two weights, and the budget", "两个权重与预算"),
        x=(-0.17, 0.4), y=(-0.26, 0.19), xticks={}, yticks={}, height=None,
    )  # fmt: skip
    left.fill(*edge.T, "penalty").line(*edge.T, "penalty", width=2)
    for axis, name, end in (
        ((1, 0), Say("total cholesterol", "总胆固醇"), 0.33), ((0, 1), Say("LDL", "LDL"), 0.17),
    ):  # fmt: skip
        left.line(*np.outer([-1, 1], axis).T, "ink", width=1)
        left.text(*(end * np.array(axis)), name)
    left.line(*oval(seen).T, "broken", width=1.5)
    left.line(*oval(best).T, "data" if not broken else "reference", width=2)
    left.line(*np.array([free, seen]).T, "textbook", width=1.5)
    left.dots(*free[:, None], "data", size=6, label=Say("least squares", "最小二乘"))
    left.dots(*best[:, None], "penalty", size=11, label=Say("at price λ", "价格 λ 下"), hollow=True)
    left.dots(*best[:, None], "result", size=6, label=Say("best within C", "预算 C 内最好"))
    left.dots(*seen[:, None], "broken", size=6, label=Say("nearest", "最近的点"))
    for way, own, name in ((slope, "data", "−∇L"), (-2 * shown * point, "penalty", "−2λθ")):
        left.arrow(*point, *(0.7 * way), own)
        far = 0.7 + 0.03 / max(np.linalg.norm(way), 0.03)
        left.text(
            *(point + far * way if np.linalg.norm(way) > 0.1 else (np.nan, np.nan)), name, own
        )
    grip = budget**0.5 * np.array([0.64, -0.768])
    left.handle(*grip).text(*grip, Say("drag", "拖动"))
    right = Panel(
        Say("loss L against the budget", "损失 L 随预算的变化"),
        x=(0, 0.11), y=(0.945, 1.002), xlabel=Say("budget C", "预算 C"), height=275,
    )  # fmt: skip
    path = priced(np.geomspace(1e3, 1e-6, 121))
    size = (path**2).sum(-1)
    straight = free * np.minimum(1, (size / (free @ free)) ** 0.5)[:, None]
    right.line(np.r_[size, 0.11], np.r_[loss(straight), loss(free)] + 0 * seen[0], "textbook", width=1.5,
               label=Say("nearest point", "最近的点"))  # fmt: skip
    right.line(
        np.r_[size, 0.11],
        np.r_[loss(path), loss(free)],
        "result",
        label=Say("best point", "最好的点"),
    )
    ends = np.array([0, 0.11])
    right.line(
        ends,
        loss(best) - lam * (ends - budget),
        "penalty",
        width=2,
        label=Say("slope −λ", "斜率 −λ"),
    )
    right.vline(budget)
    right.dots([budget], [loss(point)], role, size=6)
    if broken and lam > 0:
        said = Say(
            f"At the best point L is {loss(best):.4f}. At the nearest one the pulls do not cancel, "
            "whatever λ is: along the edge one is left.",
            f"最好的点上 L = {loss(best):.4f}。在最近的点，无论 λ 取多少，两个拉力都不能抵消："
            "沿边界的分量还剩着。",
        )
    elif lam > 0:
        said = Say(
            f"The pulls cancel at λ = {lam:.3f}; the curve falls by as much per unit of budget.",
            f"λ = {lam:.3f} 时两个拉力抵消；曲线在这里也正是每单位预算下降 {lam:.3f}。",
        )
    else:
        said = Say(
            "Least squares is affordable: nothing pulls, λ = 0, and more budget saves nothing.",
            "买得起最小二乘解：没有拉力，λ = 0，再加预算也省不下什么。",
        )
    return Frame(left, right, loss=loss(point), price=lam, said=said)


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    found = {budget: compare(*pair(), budget) for budget in (0.01, 0.02, 0.1)}
    off = [abs(within - priced).max() for within, _, priced in found.values()]
    at = [abs(price - balanced_at(budget)) for budget, (_, price, _) in found.items()]
    near = mr.penalties.L2Ball(0.1).prox(priced(0), 1.0)
    x, y = patients()
    within, ten, at_price = compare(x, y, 0.3)
    h, b = 2 * x.T @ x / len(x), 2 * x.T @ y[:, 0] / len(x)
    free, ridge = np.linalg.solve(h, b), np.linalg.solve(h + 0.05 * np.eye(10), b)
    curvature = np.linalg.eigvalsh(h)
    steps = [descent_steps(strength) for strength in (0.0, 0.05)]
    w = np.linspace(0, 2, 20_001)
    unit = (1 / (1 + np.exp(8 - 8 * w)) - 1) ** 2
    chosen = w[[(unit + lam * w**2).argmin() for lam in np.geomspace(1e-3, 10, 401)]]
    faulty = [price_with_a_fault(budget) / balanced_at(budget) for budget in (0.01, 0.04)]
    mean = lambda theta: np.square(x @ theta - y[:, 0]).mean()
    return [
        holds("two weights: |within C − at its price|", max(off), at_most=1e-8),
        holds("|shadow price − λ of the picture|", max(at), at_most=1e-6),
        holds("ten weights, C = 0.3: |within − at its price|", abs(within - at_price).max(), at_most=1e-7),
        holds("twice its price: the λ of lesson 4", 2 * ten, at_least=0.0495, at_most=0.0505),
        breaks("nearest point at C = 0.01: weight of LDL", near[1], at_most=0),
        holds("best point: weight of LDL", found[0.01][0][1], at_least=0),
        breaks("loss of the nearest over the best", loss(near) / loss(found[0.01][0]), at_least=1.01),
        holds("√C/C at C = 0.02", 0.02**-0.5, at_least=6.5, at_most=7.5),
        breaks("price by √C, over λ, C = 0.01", faulty[0], at_least=0.195, at_most=0.205),
        breaks("the same at C = 0.04", faulty[1], at_least=0.395, at_most=0.405),
        holds("ten weights, λ = 0.05: ‖θ‖²", ridge @ ridge, at_least=0.295, at_most=0.305),
        holds("least squares: ‖θ‖²", free @ free, at_least=0.715, at_most=0.725),
        holds("way between them, % of the length of least squares",
              100 * np.linalg.norm(ridge - free) / np.linalg.norm(free), at_least=57.5, at_most=58.5),
        holds("L there", mean(ridge), at_least=0.4835, at_most=0.4845),
        holds("L of least squares", mean(free), at_least=0.4815, at_most=0.4825),
        holds("κ without a penalty", curvature[-1] / curvature[0], at_least=469.5, at_most=470.5),
        holds("κ at λ = 0.05", (curvature[-1] + 0.05) / (curvature[0] + 0.05), at_least=120.5, at_most=121.5),
        holds("steps, of those without a penalty", steps[1] / steps[0], at_least=0.225, at_most=0.275),
        breaks("sigmoid unit: w(λ) below the jump, largest", chosen[chosen < 0.5].max(), at_most=0.1),
        breaks("above it, least", chosen[chosen > 0.5].min(), at_least=1),
        holds("best of w² ≤ ¼", w[w <= 0.5][unit[w <= 0.5].argmin()], at_least=0.5, at_most=0.5),
    ]  # fmt: skip


@app.function(hide_code=True)
def descent_steps(strength):
    """How many steps of the best size bring the ten weights from 0 to within 10⁻⁶ of their goal."""
    x, y = patients()
    mu, axes = np.linalg.eigh(2 * x.T @ x / len(x))
    goal = axes.T @ (2 * x.T @ y[:, 0] / len(x)) / (mu + strength)
    factor = 1 - 2 * (mu + strength) / (mu[0] + mu[-1] + 2 * strength)
    left = np.linalg.norm(goal * factor ** np.arange(4000)[:, None], axis=1)
    return int((left > 1e-6 * left[0]).sum())


if __name__ == "__main__":
    app.run()
