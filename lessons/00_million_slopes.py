"""How does a computer get a million slopes at once?

For everybody who can read Python and has met a derivative. Afterwards you can write reverse-mode
automatic differentiation yourself, and say where the slope of a penalty meets the one of the data.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium", app_title="Lesson 0: how does a computer get a million slopes at once?"
)

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
        Title,
        Why,
        Write,
    )
    from minireg.pictures import Frame, Panel, Say, Scene


@app.cell(hide_code=True)
def _():
    Title(
        Say(
            "How does a computer get a million slopes at once?",
            "计算机怎样一次\u200b求出一百万个\u200b偏导数？",
        )
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "A loss depends on a million weights. How much work is its slope along every one of them?",
            "损失函数有一百万个权重。求它对每个权重的偏导数（沿这个权重的斜率），需要多大的计算量？",
        ),
        (
            Answer(
                Say("A million runs, one a weight", "一百万次计算，每个权重一次"),
                Say(
                    "No. Nudging the weights one by one does cost that: each run teaches one slope. "
                    "The walk back left a slope at every box, and passed each box once.",
                    "不对。逐个微调权重确实要这么多次：算一遍只能得到一个偏导数。而反向传播走一趟，"
                    "就在每个方框里都留下了梯度，每个方框只经过一次。",
                ),
            ),
            Answer(
                Say("One run a layer", "每层计算一次"),
                Say(
                    "No. The walk does not start anew: what a box hands back is all that the boxes "
                    "before it need. However many there are, they lie on the same walk.",
                    "不对。不必每层从头再来：每个方框传回的，正是前一个方框所需的全部；"
                    "无论多少层，一趟即可完成。",
                ),
            ),
            Answer(
                Say(
                    "Once forward and once back, however many weights",
                    "前向、反向各一次，与权重的个数无关",
                ),
                Say(
                    "Yes. On the walk back an arrow costs one multiplication and one addition, and at "
                    "most two arrows lead into a box.",
                    "对，计算次数是常数。反向时每个箭头只需一次乘法、一次加法，"
                    "而通向一个方框的箭头最多两个。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: how often did the walk pass each box, and how often did something arrive "
            "in w?",
            "你看到了什么：每个方框经过了几次，梯度送到 w 几次？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Scene(
        picture,
        "step",
        (0, 1, 2, 3, 4, 5),
        start=0,
        label=Say("steps of backpropagation", "反向传播的步数"),
        broken=Say("what arrives overwrites", "后到的覆盖先到的"),
        caption=Say(
            "{sums}. Slopes found: {found:g} of 8. In w, □ is the penalty's, ○ the data's.",
            "{sums}。8 个梯度已求出 {found:g} 个。w 处：□ 为来自惩罚的部分，○ 为来自数据的部分。",
        ),
        alt=Say(
            "Boxes joined by arrows: the weight w leads to J on two ways, one through the data and one "
            "through the penalty. Step by step the arrows turn round and bring slopes back from J. Two "
            "arrive in w, −6 from the data and 2 from the penalty; they add up to −4.",
            "方框由箭头相连：权重 w 有两条路通向 J，一条经过数据，一条经过惩罚。箭头一步一步掉转方向，"
            "把梯度从 J 传回来。有两个到达 w：数据的 −6 和惩罚的 2，相加得 −4。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**One arrow.** Any box $v$ is made from another, $u$. The slope of $J$ along $u$ is the "
                "one along $v$, times the local slope:\n\n"
                r"$$\bar u = \bar v\,\frac{\partial v}{\partial u},"
                r"\qquad \bar u \text{ short for } \frac{\partial J}{\partial u}$$",
                "**一个箭头**：任一方框 $v$ 由另一方框 $u$ 算出。"
                "$J$ 对 $u$ 的梯度，等于对 $v$ 的梯度乘以局部导数：\n\n"
                r"$$\bar u = \bar v\,\frac{\partial v}{\partial u},"
                r"\qquad \bar u \text{ 表示 } \frac{\partial J}{\partial u}$$",
            ),
            Say(
                "**Two arrows.** The weight is used twice, so it moves $J$ on two ways. What arrives adds "
                "up ([break it](#step=5&broken): one of them is lost):\n\n"
                r"$$\bar w = \color{data}{\bar p\,x} + \color{penalty}{\bar q\,w} "
                r"= \color{data}{-6} + \color{penalty}{2} = \color{result}{-4}$$",
                "**两个箭头**：权重被用了两次，于是通过两条路影响 $J$。到达的梯度相加"
                "（[故意弄错](#step=5&broken)：其中一个就丢了）：\n\n"
                r"$$\bar w = \color{data}{\bar p\,x} + \color{penalty}{\bar q\,w} "
                r"= \color{data}{-6} + \color{penalty}{2} = \color{result}{-4}$$",
            ),
            Say(
                "**All arrows**, from the last box to the first: that is backpropagation. When a box has "
                "its turn, all that used it have had theirs: its slope is complete, and one visit is "
                "enough.\n\n"
                r"$$\text{multiplications} = \text{arrows} \le 2\cdot\text{boxes}$$",
                "**所有箭头**，从最后一个方框到第一个，这就是反向传播。轮到某个方框时，"
                "所有用到它的方框都已处理完：它的梯度已经完整，经过一次就够了。\n\n"
                r"$$\text{乘法次数} = \text{箭头数} \le 2\times\text{方框数}$$",
            ),
        )
    )
    return


@app.class_definition
class Number:
    """A number that writes on a tape what it was made from, with the local slopes."""

    def __init__(self, value, tape, *made_from):
        self.value, self.tape, self.made_from = value, tape, made_from
        self.slope = 0.0
        tape.append(self)

    def __add__(self, b):
        return Number(self.value + b.value, self.tape, (self, 1.0), (b, 1.0))

    def __mul__(self, b):
        return Number(self.value * b.value, self.tape, (self, b.value), (b, self.value))

    def walk_back(self):
        self.slope = 1.0
        for result in reversed(self.tape):
            for part, local in result.made_from:
                part.slope += local * result.slope


@app.cell(hide_code=True)
def _():
    Code(
        Number,
        "tape = []\n"
        "w, x = (Number(v, tape) for v in np.random.default_rng(0).normal(size=(2, 10**6)))\n"
        "minus_y, half = Number(-7.0, tape), Number(0.5, tape)\n"
        "total = lambda a: Number(a.value.sum(), tape, (a, 1.0))\n"
        "r = total(w * x) + minus_y\n"
        "J = r * r + half * total(w * w)\n"
        "J.walk_back()\n"
        "print(f'{w.slope.size:,} slopes, {len(tape)} boxes: {w.slope}')",
        Say(
            "This is all of it; `value` may be a number or an array. Below it has a million weights, and "
            "a tape of 12 boxes. Its slopes are minireg's, to the last bit.",
            "这就是全部；`value` 可以是一个数，也可以是数组，`slope` 存的是梯度。下面用它处理一百万个权重，"
            "记录带（tape）上只有 12 个方框。得到的梯度与 minireg 的逐位相同。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Write(
        "division",
        Say(
            "A new kind of box: c = a/b. The slope along c is g. What does it hand to a, and what to b?",
            "一种新的方框：c = a/b，J 对 c 的梯度为 g。它应分别向 a、b 传回多少？",
        ),
        division,
        lambda g, a, b: (g / b, -g * a / b**2),
        cases=[(1.0, 3.0, 2.0), (-0.5, 1.5, -4.0), (2.0, -1.0, 0.5)],
        limits={
            Say(
                "Around a = 0, b = 1, c moves as a does and b does nothing: (g, 0) must come out.",
                "在 a = 0、b = 1 附近，a 变多少 c 就变多少，b 不起作用：结果应为 (g, 0)。",
            ): (3.0, 1e-13, 1.0),
            Say(
                "With g = 0, J does not depend on c: (0, 0) must come out.",
                "g = 0 时 J 不依赖于 c：结果应为 (0, 0)。",
            ): (0.0, 3.0, 2.0),
        },
        mistakes={
            Say(
                "The second has the wrong sign: a larger b makes c smaller.",
                "第二个的符号反了：b 变大，c 变小。",
            ): lambda g, a, b: (g / b, g * a / b**2),
            Say(
                "The second needs b²: the slope of 1/b is −1/b².",
                "第二个要除以 b²：1/b 的导数是 −1/b²。",
            ): lambda g, a, b: (g / b, -g * a / b),
            Say(
                "The slope of 1/b is −1/b²; a stays as a factor.",
                "1/b 的导数是 −1/b²；还要乘上因子 a。",
            ): lambda g, a, b: (g / b, -g / b**2),
            Say(
                "These are the local slopes. Multiply by g, the slope that comes from behind.",
                "这是局部导数。还要乘上从后面传来的梯度 g。",
            ): lambda g, a, b: (1 / b, -a / b**2),
            Say("Swap them: a comes first.", "两个弄反了：先是 a。"): lambda g, a, b: (
                -g * a / b**2,
                g / b,
            ),
            Say(
                "That is the rule of a product. c = a/b is a times 1/b.",
                "这是乘法的规则。c = a/b 是 a 乘以 1/b。",
            ): lambda g, a, b: (g * b, g * a),
            Say(
                "`/ b * b` divides and multiplies again: write `/ b**2`.",
                "`/ b * b` 除了又乘回来：应写成 `/ b**2`。",
            ): lambda g, a, b: (g / b, -g * a / b * b),
            Say(
                "You added them. Return two numbers, with a comma between.",
                "你把两个加在一起了。应返回两个数，中间用逗号。",
            ): lambda g, a, b: g / b - g * a / b**2,
            Say(
                "That is b/a: the roles are exchanged.",
                "这是 b/a：两个角色对调了。",
            ): lambda g, a, b: (-g * b / a**2, g / a),
        },
        hints=(
            Say(
                "Hold b still: what is the slope of a/b along a? Then hold a still.",
                "先固定 b：a/b 对 a 的导数是多少？再固定 a。",
            ),
            Say(
                "The local slopes are 1/b and −a/b². Each is multiplied by g.",
                "局部导数是 1/b 和 −a/b²，各乘以 g。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def division(g, a, b):
    """What c = a/b hands to a and to b; the slope along c is g."""
    return ...


@app.cell(hide_code=True)
def _():
    Order(
        "walk",
        Say(
            "The same walk without a class. The tape lists the boxes of the picture in the order in "
            "which they were made, each with its arrows and their local slopes. Put the lines in order; "
            "three do not belong.",
            "同样是反向遍历，这次不用类。`tape` 按产生的先后列出图中的方框，每个方框带着它的箭头和局部导数。"
            "把这几行排好，其中三行是多余的。",
        ),
        lines={
            "slope = dict.fromkeys(names, 0.0)": Say(
                "Nothing has arrived yet, and `+=` needs something to add to.",
                "还没有任何梯度到达，而 `+=` 需要有个数可加。",
            ),
            "slope['J'] = 1.0": Say(
                "The walk begins at J: along itself its slope is 1.",
                "从 J 出发：J 对自身的导数是 1。",
            ),
            "for box, arrows in reversed(tape):": Say(
                "Backwards: a box comes after all that used it.",
                "逆序遍历：用到某个方框的，都先于它处理完。",
            ),
            "    for part, local in arrows:": Say(
                "Every arrow that leads into the box.", "通向这个方框的每一个箭头。"
            ),
            "        slope[part] += local * slope[box]": Say(
                "Times the local slope, and added to what has arrived before.",
                "乘以局部导数，再加到先到的上面。",
            ),
        },
        distractors={
            "        slope[part] = local * slope[box]": Say(
                "This overwrites what has arrived before: w would keep −6 and lose the penalty's 2. "
                "PyTorch once did it where an index occurs twice (pytorch/pytorch#1528).",
                "这会覆盖先到的梯度：w 只留下 −6，惩罚的 2 就丢了。PyTorch 曾在同一个下标出现两次时"
                "犯过这个错（pytorch/pytorch#1528）。",
            ),
            "for box, arrows in tape:": Say(
                "Forwards, p has its turn while its slope is still 0, and 0 is all that w and x get.",
                "顺序遍历时，轮到 p，它的梯度还是 0，w 和 x 得到的就只有 0。",
            ),
            "        slope[box] += local * slope[part]": Say(
                "This hands slopes from the inputs to the result: the wrong way along the arrow.",
                "这是把梯度从输入传给结果：方向反了。",
            ),
        },
        given=written,
        result="[slope['w'], slope['x'], slope['y']]",
        hints=(
            Say(
                "At w two arrows arrive. Which line lets both of them count?",
                "有两个箭头到达 w。哪一行把两份都计入？",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def train(model, optimizer, lam, steps):
    """Meant to fit y with small weights."""
    loss, penalty = mr.nn.MSELoss(), mr.penalties.L2(lam)
    x, y = patients()
    for _ in range(steps):
        loss(model(x), y).backward()
        optimizer.zero_grad()
        penalty.value(model.weight).backward()
        optimizer.step()


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "η = 0.1, λ = 0.5. Every `backward` adds slopes to the weights, every step uses them. The loss "
            "should reach 0.50 and stops at 1.00. The ledger tells what moved the weights in the first "
            "step; *growth* is the change of their length. Which line is wrong?",
            "学习率 η = 0.1，惩罚系数 λ = 0.5。每个 `backward` 都把梯度累加到权重上，每次更新再使用这些梯度。"
            "损失本应降到 0.50，却停在 1.00。下面是第一步的账本（记录每一步里各项使权重改变了多少），"
            "growth 一列是权重长度的变化。哪一行错了？",
        ),
        train,
        first_step,
        "zero_grad",
        why=Say(
            "Yes: it wipes out what the data have just handed to the weights. The ledger shows what is "
            "left: −5.0 % is −ηλ, the penalty alone. It belongs before the first `backward`, where it wipes "
            "out the slopes of the last step.",
            "对：它清掉了数据刚刚传给权重的梯度。账本显示了剩下的部分：−5.0% 正是 −ηλ，只有惩罚在起作用。"
            "它应放在第一个 `backward` 之前，用来清掉上一步的梯度。",
        ),
        others={
            "loss(model": Say(
                "This line hands the slopes of the data to the weights, as it should. But do they last "
                "until the step?",
                "这一行把数据的梯度传给权重，没有错。可是这些梯度能保留到更新那一步吗？",
            ),
            "penalty.value": Say(
                "This line adds the slope of the penalty, λw; −5.0 % is what it does. Where is the other "
                "slope?",
                "这一行加上惩罚的梯度 λw；−5.0% 就是它造成的。另一份梯度到哪里去了？",
            ),
            "step()": Say(
                "The step uses what it finds. What does it find?",
                "更新时用的是当时存着的梯度。那时还剩什么？",
            ),
            "": Say(
                "Nothing here touches a slope. Follow the two `backward`: what is left of each?",
                "这一行不涉及梯度。跟着两个 `backward` 看：各自的梯度还剩下什么？",
            ),
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Keep(
        (
            Say(
                "Backpropagation hands a slope from a result to what it was made from, times the local "
                "slope: once forward and once back, however many weights.",
                "反向传播把梯度从结果传给算出它的那些数，每次乘以局部导数："
                "不管有多少权重，前向、反向各一次就够。",
            ),
            Say(
                "What is used twice gets two slopes, and they add.",
                "被用了两次的数会得到两份梯度，它们相加。",
            ),
            Say(
                "So data and penalty meet in every weight; from their sum alone nobody can tell them apart.",
                "所以数据与惩罚在每个权重处汇合；只看它们的和，谁也分不清哪份是谁的。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("Why a tape, and not from box to box?", "为什么要用记录带，而不是逐个方框直接往回传？"),
        Say(
            "Each box could hand a slope on as soon as it arrives. That is right, and hopeless: it walks "
            "every *path*, and paths multiply. Ten times `y = y + y` are ten boxes, and 2,047 visits. On "
            "the tape a result stands after what it was made from. Read backwards, every slope is "
            "complete before it is handed on.",
            "每个方框也可以一收到梯度就往回传。结果正确，代价却高得不可行：它走遍每一条*路径*，"
            "而路径会成倍增加。十次 `y = y + y` 只有十个方框，却要访问 2,047 次。在记录带上，"
            "结果总排在算出它的数之后。逆序读取，每个梯度在传出去之前都已经完整。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("What does a whole engine have besides?", "完整的引擎还有什么？"),
        Say(
            "`Number` can do numbers, and arrays of one shape. For a product of matrices the local slope "
            "becomes a *rule*, which takes the gradient of the result to that of an input: for $Y = AB$ it "
            "is $\\bar A = \\bar Y B^\\top$. And in `(64, 16) + (16,)` the second array is used 64 times, "
            "so what arrives there is a sum of 64: forward broadcasts, backward sums. `minireg ops` lists "
            "all rules; `Objective` keeps the slopes of data and penalty apart before they meet.",
            "`Number` 能处理数，以及形状相同的数组。对矩阵乘积，局部导数变成一条*规则*，"
            "把结果的梯度变成输入的梯度：对 $Y = AB$，就是 $\\bar A = \\bar Y B^\\top$。"
            "而在 `(64, 16) + (16,)` 里，第二个数组被用了 64 次，到达那里的是 64 份之和："
            "前向是广播，反向是求和。`minireg ops` 列出所有规则；"
            "`Objective` 在数据的梯度与惩罚的梯度相遇之前，把它们分开保存。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def graph():
    """The numbers of J = (w·x − y)² + ½w² by their names."""
    tape = []
    w, x, y = (Number(v, tape) for v in (2.0, 3.0, 7.0))
    p = w * x
    r = Number(p.value - y.value, tape, (p, 1.0), (y, -1.0))
    d = Number(r.value**2, tape, (r, 2 * r.value))
    q = Number(w.value**2 / 2, tape, (w, w.value))
    return dict(zip("wxyprdqJ", (w, x, y, p, r, d, q, d + q), strict=True))


@app.function(hide_code=True)
def written():
    """The tape of the picture as plain data."""
    names = {number: name for name, number in graph().items()}
    arrows = {
        name: [(names[part], local) for part, local in n.made_from] for n, name in names.items()
    }
    return {"names": "wxyprdqJ", "tape": [(name, arrows[name]) for name in "prdqJ"]}


@app.function(hide_code=True)
def overwrite(J):
    """Number.walk_back with a planted fault, = in place of +=.

    PyTorch once shipped it for an index that occurs twice (pytorch/pytorch#1528).
    """
    J.slope = 1.0
    for result in reversed(J.tape):
        for part, local in result.made_from:
            part.slope = local * result.slope


@app.function(hide_code=True)
def box(name):
    """Where a box stands, and half its width and height."""
    places = {"w": (60, 140), "x": (60, 232), "p": (160, 232), "r": (255, 232), "y": (255, 140),
              "d": (352, 232), "q": (222, 48), "J": (352, 140)}  # fmt: skip
    return *places[name], *((56, 39) if name == "w" else (36, 26))


@app.function(hide_code=True)
def rim(name, other):
    """Where the way from one box to another leaves it."""
    x, y, a, b = box(name)
    u, v, *_ = box(other)
    part = 1 / max(abs(u - x) / a, abs(v - y) / b)
    return np.array([x + part * (u - x), y + part * (v - y)])


@app.function(hide_code=True)
def outline(panel, x, y, a, b, role, width, corners=4):
    """A rectangle, or with many corners a ring."""
    turn = np.pi * (0.25 + 2 * np.arange(corners + 1) / corners)
    reach = np.sqrt(2) if corners == 4 else 1
    panel.line(x + reach * a * np.cos(turn), y + reach * b * np.sin(turn), role, width=width)


@app.function(hide_code=True)
def sign(value):
    """A number with a true minus."""
    return f"{value:g}".replace("-", "−")


@app.function(hide_code=True)
def products(hands, slope):
    """What a box hands on, in words; ``hands`` are its arrows and their local slopes."""
    factors = {"qw": "w", "dr": "2r", "pw": "x", "px": "w", "ry": "(−1)"}
    sums = {
        part: f"{sign(slope)} · {factors.get(name + part, '1')} = {sign(local * slope)}"
        for (name, part), local in hands.items()
    }
    return Say(
        "Handed back: " + ", ".join(f"{product} to {part}" for part, product in sums.items()),
        "传回：" + "，".join(f"{product} 给 {part}" for part, product in sums.items()),
    )


@app.function(hide_code=True)
def picture(step, broken=False):
    """The graph after so many steps back: the arrows that were walked have turned round."""
    numbers = graph()
    names = {number: name for name, number in numbers.items()}
    J = numbers["J"]
    walked = J.tape[len(J.tape) - step :]
    J.tape = walked
    overwrite(J) if broken else J.walk_back()
    arrows = {names[n] + names[part]: local for n in names for part, local in n.made_from}
    back = {a: arrows[a] * numbers[a[0]].slope for a in arrows if numbers[a[0]] in walked}
    waiting = {part for _, part in arrows.keys() - back}
    reached = {"J"}.union(part for _, part in back)
    slope = {n: sign(numbers[n].slope) if n in reached else "?" for n in numbers}
    way = lambda name: "ink" if name == "J" else "penalty" if "q" in name else "data"
    here, fault = [*map(names.get, walked)][:1], "broken" if broken else "result"
    panel = Panel(
        Say("each box: its value, and the slope of J", "每个方框：左为数值，右为 J 对它的梯度"),
        x=(0, 400), y=(0, 266), xticks={}, yticks={}, height=None,
    )  # fmt: skip
    for n in numbers:
        role = "broken" if broken and n == "w" else "ink" if [n] == here else "reference"
        outline(panel, *box(n), role, 1.3 if role == "reference" else 2.8)
    for n, part in arrows:
        ends = rim(n, part), rim(part, n)
        start, end = ends if n + part in back else ends[::-1]
        panel.arrow(*start, *(end - start), way(n + part), width=3.5 if n + part in back else 1.2)
    made = {"p": "p = w·x", "r": "r = p − y", "d": "d = r²", "q": "q = ½w²", "J": "J = d + q"}
    for n in "xyprdqJ":
        x, y, *_ = box(n)
        panel.text(x, y + 12, made.get(n, n)).text(x - 17, y - 10, sign(numbers[n].value))
        panel.text(x + 14, y - 10, slope[n], way(n))
    x, y, *_ = box("w")
    panel.text(x, y + 26, f"w = {sign(numbers['w'].value)}")
    for arrow, at, corners in (("qw", x - 30, 4), ("pw", x + 27, 24)):
        outline(panel, at, y, *((14, 12) if corners == 4 else (17, 17)), way(arrow), 1.8, corners)
        panel.text(at, y, sign(back[arrow]) if arrow in back else "?", way(arrow))
    so_far = "w" in reached & waiting
    words = Say("so far {}", "暂为 {}") if so_far else Say("slope {}", "梯度 {}")
    panel.text(x, y - 26, Say(*(text.format(slope["w"]) for text in words)), fault)
    if broken:
        strike = np.array([-1, -0.45, np.nan, 0.45, 1]) * (1 if "pw" in back else np.nan)
        panel.line(x - 30 + 17 * strike, y + 13 * strike, "broken", width=3)  # beside the number
        panel.text(x, 84, Say("slope = new", "梯度 = 新到的"), "broken")
    else:
        panel.text(x - 4, y, "+")
        panel.text(x, 84, Say("slope += new", "梯度 += 新到的"), "reference")
    panel.text(206, 186, Say("data", "数据"), "data")
    panel.text(222, 11, Say("penalty", "惩罚"), "penalty")
    sums = Say("Backpropagation has not begun", "反向传播尚未开始")
    for n in here:
        sums = products({a: local for a, local in arrows.items() if a[0] == n}, numbers[n].slope)
    found = len(reached - waiting)
    if broken and "pw" in back:
        found -= 1
        sums = Say(f"{sums.en}; the 2 of the penalty is lost", f"{sums.zh}；惩罚的 2 丢了")
    return Frame(panel, sums=sums, found=found, slope=numbers["w"].slope)


@app.function(hide_code=True)
def patients():
    """442 patients × 10 measurements and the progression of the disease, all standardized."""
    x, y = mr.datasets.arrays("diabetes")
    return (x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None]


@app.function(hide_code=True)
def linear():
    """Ten random weights of length 1, and descent with η = 0.1."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    w = np.random.default_rng(0).standard_normal((1, 10))
    model.weight.assign(w / np.linalg.norm(w))
    return model, mr.optim.SGD(model.parameters(), 0.1)


@app.function(hide_code=True)
def first_step():
    """The ledger of one step of the program with the fault."""
    model, optimizer = linear()
    ledger = mr.Ledger(optimizer)
    train(model, optimizer, 0.5, 1)
    return ledger.last.table("layer")


# --- figures ----------------------------------------------------------------------------------------


@app.function(hide_code=True)
def a_million():
    """Slopes of (Σwx − 7)² + ½Σw² along a million weights, and the tape: by Number and by minireg."""
    data, tape = np.random.default_rng(0).normal(size=(2, 10**6)), []
    w, x, minus_y, half = (Number(v, tape) for v in (*data, -7.0, 0.5))
    total = lambda a: Number(a.value.sum(), tape, (a, 1.0))
    r = total(w * x) + minus_y
    (r * r + half * total(w * w)).walk_back()
    weights = mr.tensor(data[0], requires_grad=True)
    error = (weights * data[1]).sum() - 7.0
    (error * error + 0.5 * (weights * weights).sum()).backward()
    return w.slope, weights.grad.data, tape


@app.function(hide_code=True)
def visits(number):
    """Visits of a walk from box to box: one for each path."""
    return 1 + sum(visits(part) for part, _ in number.made_from)


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    slopes, theirs, tape = a_million()
    y = Number(1.0, [])
    for _ in range(10):
        y = y + y
    x, target = patients()
    loss = lambda model: mr.nn.MSELoss()(model(x), target).item()
    (right, descent), (wrong, optimizer) = linear(), linear()
    before = loss(wrong)
    train(wrong, optimizer, 0.5, 300)
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(0.5)})
    mr.trajectory(right, objective, descent, x, target, 300)
    return [
        holds("slopes of one walk", slopes.size, at_least=10**6, at_most=10**6),
        holds("of them differ from minireg's in any bit", int((slopes != theirs).sum()), at_most=0),
        holds("boxes on that tape", len(tape), at_least=12, at_most=12),
        holds("arrows into a box, most", max(len(n.made_from) for n in tape), at_most=2),
        holds("slope of w in the picture", picture(5).numbers["slope"], at_least=-4, at_most=-4),
        holds("broken", picture(5, True).numbers["slope"], at_least=-6, at_most=-6),
        holds("ten doublings from box to box: visits", visits(y), at_least=2047, at_most=2047),
        holds("hunt: loss at the start", before, at_least=2.005, at_most=2.015),
        holds("after 300 steps", loss(wrong), at_least=0.995, at_most=1.005),
        holds("mended", loss(right), at_least=0.495, at_most=0.505),
    ]


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


if __name__ == "__main__":
    app.run()
