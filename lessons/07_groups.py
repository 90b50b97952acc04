"""Two features say the same. Which one is kept?

For everybody who reads a sparse model as a list of what matters. Afterwards you can say which of two
twins L1, the elastic net and the group lasso keep, and when nothing but the solver decides.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="medium", app_title="Lesson 7: two features say the same. Which one is kept?"
)

with app.setup(hide_code=True):
    from functools import cache

    import numpy as np

    import minireg as mr
    from minireg.course.claims import holds
    from minireg.course.parts import (
        Answer,
        Appendix,
        Close,
        Code,
        Goal,
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

    STRENGTHS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1)
    ROWS = {  # of the board; the three that measure the size come first
        0: Say("radius", "半径"),
        2: Say("perimeter", "周长"),
        3: Say("area", "面积"),
        7: Say("concave points", "凹点数"),
        6: Say("concavity", "凹度"),
        5: Say("compactness", "紧致度"),
        1: Say("texture", "纹理"),
        4: Say("smoothness", "光滑度"),
        8: Say("symmetry", "对称性"),
        9: Say("fractal dimension", "分形维数"),
    }


@app.cell(hide_code=True)
def _():
    Title(
        Say(
            "Two features say the same. Which one is kept?",
            "两个特征\u200b说的是\u200b同一件事，会留下哪一个？",
        ),
        lead=Say(
            "A linear model tells malignant tumours from benign ones by thirty standardized numbers: mean, "
            "error and worst value of ten measurements. A penalty of strength λ acts on its weights.",
            "线性模型用三十个标准化的数区分恶性与良性肿瘤：十项测量，每项取均值、标准误和最差值。"
            "λ 是惩罚的强度。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "Give L1 the same column twice, in mm and in inches. How does it share the weight?",
            "把同一列给 L1 两次，一次以毫米计，一次以英寸计。它会怎样分配权重？",
        ),
        (
            Answer(
                Say("All to one, by chance", "全给其中一列，给哪列是随机的"),
                Say(
                    "No chance is in it. The green line of L1 is flat: all splits cost the same. Which of "
                    "them comes out, the start and the solver decide; run it again, and it is the same.",
                    "这里没有随机。L1 的绿线是平的：怎样分，代价都一样。"
                    "最后得到哪一种，由起点和求解算法决定；原样再运行一次，结果不变。",
                ),
            ),
            Answer(
                Say("Half to each", "各得一半"),
                Say(
                    "The elastic net does that, its green curve is lowest at one half. The line of L1 is "
                    "flat: half and half is as good as any other split, and no better.",
                    "弹性网络才是这样，它的绿线在正中最低。L1 的绿线是平的：各得一半并不比别的分法更好。",
                ),
            ),
            Answer(
                Say("It does not care", "怎样分都行"),
                Say(
                    "Yes, the green line is flat. Loss and L1 see only the sum of the two weights; where "
                    "a run ends, its start and the solver decide.",
                    "对，绿线是平的。损失和 L1 都只看得见两个权重之和；"
                    "训练停在哪里，由起点和求解算法决定。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see: under which penalties is the green line flat?",
            "你看到了什么：在哪些惩罚下绿线是平的？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        STRENGTHS,
        start=0.2,
        label="λ",
        choices={
            "l1": "L1",
            "net": Say("elastic net", "弹性网络"),
            "group": Say("group lasso", "组 Lasso"),
        },
        broken=Say("leave out the roots", "漏掉根号"),
        caption=Say(
            "{cells} weights in {rows} rows are not 0. Worst radius has {radius:.2f}, perimeter "
            "{perimeter:.2f}.{said}",
            "不为 0 的权重有 {cells} 个，分布在 {rows} 行。权重：最差半径 {radius:.2f}，最差周长 "
            "{perimeter:.2f}。{said}",
        ),
        alt=Say(
            "Left, a board of ten measurements by mean, error and worst. L1 leaves single cells, the group "
            "lasso whole rows, the elastic net some of each. Right, the cost of splitting one weight "
            "between the worst radius and a twin. With the same column in inches: flat under L1, lowest "
            "at one half under the others. With the perimeter: L1 mostly keeps one, the elastic net both.",
            "左图：十项测量乘以均值、标准误、最差值的方格。L1 留下零散的格子，组 Lasso 留下整行，"
            "弹性网络介于两者之间。右图：一个权重由最差半径与另一列分担的代价。另一列是以英寸计的同一列："
            "L1 下是平的，其余惩罚在正中最低。另一列是周长：L1 多半只留一个，弹性网络两个都留。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Equal columns** $z$: the data see the sum of the two weights. So does [L1](#choice=l1), "
                "as long as none is negative: a tie.\n\n"
                r"$$\color{data}{\theta_1 z+\theta_2 z = (\theta_1+\theta_2)\,z}, \quad "
                r"\color{penalty}{\left|\theta_1\right|+\left|\theta_2\right| = "
                r"\left|\theta_1+\theta_2\right|}$$",
                "**两列都是** $z$ 时，数据只看得见两个权重之和。[L1](#choice=l1) 也是如此"
                "（只要两个权重都不为负）：怎样分都一样。\n\n"
                r"$$\color{data}{\theta_1 z+\theta_2 z = (\theta_1+\theta_2)\,z}, \quad "
                r"\color{penalty}{\left|\theta_1\right|+\left|\theta_2\right| = "
                r"\left|\theta_1+\theta_2\right|}$$",
            ),
            Say(
                "**Squares break the tie**: of the same sum they are least for equal parts. So the "
                "[elastic net](#choice=net), L1 + ¼‖θ‖² here, keeps twins together.\n\n"
                r"$$\color{penalty}{\theta_1^2+\theta_2^2 = \tfrac12(\theta_1+\theta_2)^2 + "
                r"\tfrac12(\theta_1-\theta_2)^2}$$",
                "**平方打破僵局**：两个权重之和一定时，平分的平方和最小。"
                "所以[弹性网络](#choice=net)（这里是 L1 加 ¼‖θ‖²）把两个都留下。\n\n"
                r"$$\color{penalty}{\theta_1^2+\theta_2^2 = \tfrac12(\theta_1+\theta_2)^2 + "
                r"\tfrac12(\theta_1-\theta_2)^2}$$",
            ),
            Say(
                "**The root of the squares** of a row has a kink at 0, but only for the row as a whole: "
                "all its cells live, or [none](#choice=group). A row $v$ after a step of rate η becomes"
                "\n\n"
                r"$$\color{result}{w} = \max\Bigl(0,\ 1-\frac{\color{penalty}{\eta\lambda\sqrt3}}"
                r"{\|v\|}\Bigr)\,v$$",
                "**一行的平方和再开方**，在 0 处有尖点，但只对整行而言：这一行要么全部留下，"
                "要么[全部为 0](#choice=group)。学习率为 η 的一步之后，行 $v$ 变为\n\n"
                r"$$\color{result}{w} = \max\Bigl(0,\ 1-\frac{\color{penalty}{\eta\lambda\sqrt3}}"
                r"{\|v\|}\Bigr)\,v$$",
            ),
        )
    )
    return


@app.function
def twins(penalty, start):
    """The weights of the worst radius in mm and in inches, if they start here."""
    x, y = tumours()
    x = np.c_[x, x[:, 20]]  # column 20 once more
    model = mr.nn.Linear(31, 1, bias=False, dtype=np.float64)
    w = np.zeros((1, 31))
    w[0, [20, 30]] = start
    model.weight.assign(w)
    mr.solve(model, mr.nn.MSELoss(), penalty, x, y, tol=1e-4)
    return model.weight.numpy()[0, [20, 30]]


@app.cell(hide_code=True)
def _():
    Code(
        twins,
        "for penalty in (mr.penalties.L1(0.2), mr.penalties.ElasticNet(0.2, 0.5)):\n"
        "    for start in ((1, 0), (0, 1)):\n"
        "        print(type(penalty).__name__, start, twins(penalty, start).round(3))",
        Say(
            "569 tumours; `start` is where the two weights begin. Under L1 two starts lead to two ends "
            "of the same cost, under the elastic net to one. Try (0, 0).",
            "569 例肿瘤；`start` 是两个权重的初值。L1 从两个起点出发，停在两处，代价却相同；"
            "弹性网络停在同一处。再试试 (0, 0)。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C59", "C57", "C62"), also=("C58", "C60", "C61"))
    return


@app.function(hide_code=True)
def shrink_rows(v, k):
    """Each row of v, shortened by k as a whole."""
    length = np.linalg.norm(v, axis=1, keepdims=True)
    return ... * v / length


@app.cell(hide_code=True)
def _():
    Write(
        "shrink_rows",
        Say(
            "The gate of the group lasso: each row of `v` keeps its direction and is shortened by `k`; "
            "a row that is not longer than `k` becomes 0. No row comes in as 0. Complete it.",
            "组 Lasso 的门：`v` 的每一行方向不变，长度减少 `k`；不超过 `k` 的行变为 0。"
            "输入没有全零的行。补全它。",
        ),
        shrink_rows,
        by_length,
        cases=[
            (np.array([[3.0, 4.0], [0.3, 0.4]]), 1.0),
            (np.array([[1.0, -0.2, 2.0], [0.4, 0.1, -0.3], [-2.0, 1.0, 0.5]]), 0.8),
            (np.array([[0.5, 0.5, 0.5, 0.5], [0.1, -0.9, 0.2, 0.3]]), 0.6),
        ],
        limits={
            Say("With k = 0 all stays as it is.", "k = 0 时一切不变。"): (
                np.array([[3.0, 4.0], [0.3, -0.4]]),
                0.0,
            ),
            Say(
                "A row shorter than k is 0 as a whole.",
                "长度小于 k 的行，整行为 0。",
            ): (np.array([[0.3, -0.4, 0.1]]), 0.8),
            Say(
                "Rows of one entry: a group of one is plain L1, the soft threshold.",
                "每行只有一个数：一个数自成一组，就是普通的 L1，即软阈值。",
            ): (np.array([[2.0], [-1.5], [0.2]]), 0.5),
        },
        mistakes={
            Say(
                "This is L1: each entry is shortened by itself, and single entries die inside rows that "
                "live. All entries of a row share one factor, which depends on the row's length.",
                "这是 L1：每个数各自缩短，留下的行里也会出现个别的 0。"
                "同一行的数共用一个因子，它只取决于行的长度。",
            ): lambda v, k: np.sign(v) * np.maximum(np.abs(v) - k, 0),
            Say(
                "Without the maximum the factor of a short row is negative: the row turns round instead "
                "of becoming 0.",
                "不与 0 取最大值，短的行，因子为负：整行会反向，而不是变为 0。",
            ): lambda v, k: (1 - k / np.linalg.norm(v, axis=1, keepdims=True)) * v,
            Say(
                "Divide by the length, do not multiply: like this long rows die and short ones live.",
                "应除以长度，而不是乘以长度：这样反倒是长的行消失，短的行留下。",
            ): lambda v, k: np.maximum(0, 1 - k * np.linalg.norm(v, axis=1, keepdims=True)) * v,
            Say(
                "Divided by the square of the length, a row loses k/‖v‖ of its length, not k: long rows "
                "lose too little, and short ones die for ‖v‖² below k.",
                "除以长度的平方，行的长度减少的是 k/‖v‖，而不是 k：长的行减得太少，"
                "短的行则在 ‖v‖² 低于 k 时才消失。",
            ): lambda v, k: np.maximum(0, 1 - k / np.square(v).sum(1, keepdims=True)) * v,
            Say(
                "This is the new length, max(0, ‖v‖ − k), times v. v is itself ‖v‖ long: divide by it, so "
                "that only the direction is left.",
                "这是新的长度 max(0, ‖v‖ − k) 再乘以 v。v 自己的长度是 ‖v‖：要先除以它，只留下方向。",
            ): lambda v, k: np.maximum(0, np.linalg.norm(v, axis=1, keepdims=True) - k) * v,
            Say(
                "This factor belongs to v. Here it meets v/‖v‖, which has length 1: what is wanted is the "
                "new length, never below 0.",
                "这是 v 的因子；而这里乘的是长度为 1 的 v/‖v‖：要填的是新的长度，并且不小于 0。",
            ): lambda v, k: (
                np.maximum(0, 1 - k / np.linalg.norm(v, axis=1, keepdims=True))
                * v
                / np.linalg.norm(v, axis=1, keepdims=True)
            ),
            Say(
                "The short rows turn round, and the factor belongs to v, not to v/‖v‖: what is wanted is "
                "the new length, never below 0.",
                "短的行会反向；而且这是 v 的因子，不是 v/‖v‖ 的：要填的是新的长度，并且不小于 0。",
            ): lambda v, k: (
                (1 - k / np.linalg.norm(v, axis=1, keepdims=True))
                * v
                / np.linalg.norm(v, axis=1, keepdims=True)
            ),
            Say(
                "Like this the longer a row is, the sooner it dies; and v/‖v‖ has length 1, so that the "
                "new length itself is wanted here.",
                "这样行越长越先消失；而且 v/‖v‖ 的长度为 1，要填的就是新的长度。",
            ): lambda v, k: (
                np.maximum(0, 1 - k * np.linalg.norm(v, axis=1, keepdims=True))
                * v
                / np.linalg.norm(v, axis=1, keepdims=True)
            ),
            Say(
                "All rows now have the length k. They should lose k, down to 0.",
                "这样每一行的长度都成了 k。应当减少 k，直到 0 为止。",
            ): lambda v, k: k * v / np.linalg.norm(v, axis=1, keepdims=True),
            Say(
                "Which rows live is right; but those that do have the length 1 now, not ‖v‖ − k.",
                "留下哪些行是对的；但留下的行长度都成了 1，而不是 ‖v‖ − k。",
            ): lambda v, k: (
                (np.linalg.norm(v, axis=1, keepdims=True) > k)
                * v
                / np.linalg.norm(v, axis=1, keepdims=True)
            ),
            Say(
                "A row shorter than k would be there again, k − ‖v‖ long. Below the threshold it is 0.",
                "比 k 短的行又会冒出来，长度为 k − ‖v‖。低于阈值就应为 0。",
            ): lambda v, k: (
                np.abs(np.linalg.norm(v, axis=1, keepdims=True) - k)
                * v
                / np.linalg.norm(v, axis=1, keepdims=True)
            ),
            Say(
                "The sign alone is no direction: every entry gets the whole new length. The direction is "
                "v/‖v‖.",
                "只有符号不成方向：每个数都得到了整个新长度。方向是 v/‖v‖。",
            ): lambda v, k: (
                np.sign(v) * np.maximum(np.linalg.norm(v, axis=1, keepdims=True) - k, 0)
            ),
            Say(
                "Entry by entry, and the negative ones are lost. What is shortened by k is the length of "
                "the row.",
                "这是逐个数减去 k，负的数还丢了。应缩短 k 的是整行的长度。",
            ): lambda v, k: np.maximum(v - k, 0) * v / np.linalg.norm(v, axis=1, keepdims=True),
            Say(
                "This is the gate of squares, ½k‖v‖²: it shrinks all rows alike, and none becomes 0. So "
                "it acts when the root is left out.",
                "这是平方 ½k‖v‖² 的门：所有行按同一比例缩小，没有一行变为 0。漏掉根号就是这样。",
            ): lambda v, k: v / (1 + k),
            Say(
                "This is the gate of k‖v‖², without the root: it shrinks all rows alike, and none "
                "becomes 0.",
                "这是不开方的 k‖v‖² 的门：所有行按同一比例缩小，没有一行变为 0。",
            ): lambda v, k: v / (1 + 2 * k),
            Say(
                "A hard threshold: what is longer than k stays as it is. Here it has to get shorter by k.",
                "这是硬阈值：长度超过 k 的行原样保留。而这里它要缩短 k。",
            ): lambda v, k: (np.linalg.norm(v, axis=1, keepdims=True) > k) * v,
            Say(
                "These are the lengths of columns. Here a group is a row: axis=1.",
                "这是各列的长度。这里一行为一组：axis=1。",
            ): lambda v, k: np.maximum(0, 1 - k / np.linalg.norm(v, axis=0, keepdims=True)) * v,
            Say(
                "This is one length for the whole table: all rows would live or die together.",
                "这是整张表的长度：所有的行会同时留下或同时为 0。",
            ): lambda v, k: np.maximum(0, 1 - k / np.linalg.norm(v)) * v,
            Say(
                "That threshold is too high: the √ of the group's size is in k already.",
                "阈值太大了：组大小的平方根已经包含在 k 里。",
            ): lambda v, k: (
                np.maximum(0, 1 - k * v.shape[1] ** 0.5 / np.linalg.norm(v, axis=1, keepdims=True))
                * v
            ),
            Say(
                "This is the sum of the sizes |v|, the length in L1. The length of a row is the root of "
                "its squares; it is in `length`.",
                "这是各数绝对值之和，即 L1 意义下的长度。行的长度是平方和的平方根，就在 `length` 里。",
            ): lambda v, k: np.maximum(0, 1 - k / np.abs(v).sum(1, keepdims=True)) * v,
            Say(
                "That is the largest of all rows (in `np.max(…, 0)` the 0 is an axis): each row gets the "
                "length of the longest. Row by row it is `np.maximum`.",
                "这是各行中的最大值（`np.max(…, 0)` 里的 0 是轴）：每行都得到最长一行的长度。"
                "逐行与 0 取大用 `np.maximum`。",
            ): lambda v, k: (
                np.max(np.linalg.norm(v, axis=1, keepdims=True) - k, 0)
                * v
                / np.linalg.norm(v, axis=1, keepdims=True)
            ),
            Say(
                "Upside down: like this short rows live and long ones die.",
                "弄反了：这样短的行留下，长的行消失。",
            ): lambda v, k: (
                np.maximum(0, 1 - np.linalg.norm(v, axis=1, keepdims=True) / max(k, 1e-300)) * v
            ),
        },
        why=Say(
            "all entries of a row share the factor max(0, 1 − k/‖v‖), so they become 0 together or not "
            "at all.",
            "同一行的数共用因子 max(0, 1 − k/‖v‖)，所以要么一起变为 0，要么都不为 0。",
        ),
        hints=(
            Say(
                "`v / length` has the length 1. By what must it be multiplied to be ‖v‖ − k long?",
                "`v / length` 的长度为 1。乘上什么，长度才是 ‖v‖ − k？",
            ),
            Say(
                "By ‖v‖ − k itself; and by 0 where that is negative: `np.maximum`.",
                "乘上 ‖v‖ − k 本身；它为负时乘 0：用 `np.maximum`。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def by_length(v, k):
    """Each row of v, shortened by k as a whole."""
    length = np.linalg.norm(v, axis=1, keepdims=True)
    return np.maximum(length - k, 0) * v / length


@app.cell(hide_code=True)
def _():
    Order(
        "net_step",
        Say(
            "A step of the elastic net as the text writes it, $\\lambda_1\\|\\theta\\|_1 + "
            "\\lambda_2\\|\\theta\\|^2$, without a half. Put it together: `lr` is η, `l1` and `l2` are "
            "the two λ.",
            "教材把弹性网络写作 $\\lambda_1\\|\\theta\\|_1 + \\lambda_2\\|\\theta\\|^2$，没有 ½。"
            "拼出它的一步；`lr` 即 η，`l1`、`l2` 即两个 λ。",
        ),
        lines={
            "v = w - lr * g": Say(
                "First the data's step; the gate of the penalty comes after it.",
                "先走数据的一步，再过惩罚的门。",
            ),
            "size = np.abs(v)": Say(
                "The gate acts on the size and leaves the sign.", "门只改变大小，不改变符号。"
            ),
            "size -= lr * l1": Say(
                "L1 takes the same amount ηλ₁ from each, before anything is divided: divided first, v "
                "would be smaller, and too many weights would fall below the threshold.",
                "L1 从每个权重减去同样多的 ηλ₁，并且要在除法之前：若先除，v 变小，"
                "落到阈值以下的权重就太多了。",
            ),
            "size = np.maximum(size, 0)": Say(
                "Whoever had less than the threshold is now exactly 0.",
                "原来低于阈值的，现在恰好为 0。",
            ),
            "size /= 1 + 2 * lr * l2": Say(
                "The slope of λ₂θ² is 2λ₂θ, hence the 2. Divide after the threshold: divided first, too "
                "many weights fall below it.",
                "λ₂θ² 的导数是 2λ₂θ，所以有 2。除法在减去阈值之后：若先除，落到阈值以下的权重就太多了。",
            ),
            "w = np.sign(v) * size": Say("The sign comes back.", "恢复符号。"),
        },
        distractors={
            "size /= 1 + lr * l2": Say(
                "This belongs to ½λ₂‖θ‖², with a half. The text has none: the slope is 2λ₂θ.",
                "这对应带 ½ 的 ½λ₂‖θ‖²。教材没有 ½：导数是 2λ₂θ。",
            ),
            "size -= l1": Say(
                "Without η the threshold does not fit the step: with small steps it would kill every "
                "weight.",
                "少了 η，阈值与学习率就不相称：学习率很小时，它会把所有权重都变成 0。",
            ),
            "v -= lr * l1 * np.sign(w)": Say(
                "A step along the subgradient of L1: it jumps across 0 and never stops there.",
                "这是沿 L1 的次梯度走一步：它会越过 0，而不会停在 0。",
            ),
        },
        given=lambda: {
            "np": np,
            "w": np.array([1.0, -0.3, 0.35, -2.0]),
            "g": np.array([-0.4, -0.2, 0.1, 0.5]),
            "lr": 0.5,
            "l1": 0.6,
            "l2": 0.4,
        },
        result="w",
    )
    return


@app.cell(hide_code=True)
def _():
    Goal(
        "goal",
        Say(
            "Each row is a measurement that somebody has to take. Set the picture to the largest λ at "
            "which three rows are left whole and all others are blank.",
            "每一行是一项需要有人去做的测量。把画面调到这样的状态：恰好三行完整留下，其余各行全空；"
            "λ 取满足这一点的最大值。",
        ),
        lambda lam, choice, broken, **_: choice == "group" and lam == 0.3 and not broken,
        why=Say(
            "Yes: {cells:.0f} weights in {rows:.0f} whole rows. Under L1 the same λ leaves as many rows, "
            "but they are full of holes, and you would still have to take those measurements.",
            "对：{rows:.0f} 个整行，共 {cells:.0f} 个权重。同一个 λ 下 L1 也剩三行，但行里有许多空缺，"
            "而那三项测量一项也省不了。",
        ),
        others={
            Say(
                "Without the roots no cell is ever blank. Mend it first.",
                "漏掉根号时，没有一格会变空。先改正它。",
            ): lambda broken, **_: broken,
            Say(
                "{cells:.0f} cells in {rows:.0f} rows: this penalty decides cell by cell and leaves holes "
                "in the rows. Which one decides by rows?",
                "{rows:.0f} 行里剩 {cells:.0f} 格：这个惩罚逐格决定去留，行里留有空缺。哪一个是按行决定的？",
            ): lambda choice, **_: choice != "group",
            Say(
                "Three whole rows; but a larger λ leaves three as well.",
                "三个整行，没错；但更大的 λ 也留下三行。",
            ): lambda rows, **_: rows == 3,
            Say(
                "{rows:.0f} rows are left: too many. λ has to be larger.",
                "还剩 {rows:.0f} 行，太多。λ 要再大一些。",
            ): lambda rows, **_: rows > 3,
            Say(
                "{rows:.0f} rows are left: too few. λ has to be smaller.",
                "只剩 {rows:.0f} 行，太少。λ 要小一些。",
            ): lambda rows, **_: rows < 3,
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "gates",
        Say(
            "Thirty numbers go through a soft gate, and 8 come out that are not 0. A hard gate has the same "
            "threshold. How many does it leave?",
            "三十个数通过软阈值，有 8 个不为 0。换成阈值相同的硬阈值，会有几个不为 0？",
        ),
        lesson=6,
        answers=(
            Answer(
                Say("More than 8", "多于 8 个"),
                Say(
                    "A hard gate does not shrink what it lets through, but it lets through the same "
                    "numbers: those above the threshold. It is bolder, not denser.",
                    "硬阈值不缩小通过的数，但通过的还是那些绝对值超过阈值的数。数值更大，个数不变。",
                ),
            ),
            Answer(
                Say("The same 8", "同样的 8 个"),
                Say(
                    "Yes: both ask whether |v| is above the threshold. They differ in what they make of "
                    "the 8: soft takes the threshold from each, hard leaves them as they are.",
                    "对：两者都只问 |v| 是否超过阈值。不同的是怎样处理这 8 个：软阈值从每个数减去阈值，"
                    "硬阈值原样保留。",
                ),
                right=True,
            ),
            Answer(
                Say("Fewer than 8", "少于 8 个"),
                Say(
                    "Hard sounds stricter, but both gates close at the same size |v|. Soft even makes the "
                    "survivors smaller, without making any more of them 0.",
                    "“硬”听起来更严，但两者都在同一个 |v| 处关上。软阈值倒是把留下的数变小，"
                    "只是并不因此多出 0。",
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
                "Of equal columns L1 prefers none: start and solver decide, not chance.",
                "两列完全相同时，L1 没有偏好：起决定作用的是起点和求解算法，而不是随机。",
            ),
            Say(
                "A square breaks the tie: the elastic net gives equal columns equal weights.",
                "加上平方，最优的分法就只剩一种：弹性网络给相同的列相同的权重。",
            ),
            Say(
                "The group lasso keeps or drops whole groups; row or column, you say which.",
                "组 Lasso 要么整组保留，要么整组舍弃；以行还是列为一组，由你指定。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And if they are only nearly the same?", "如果只是几乎相同呢？"),
        Say(
            "Worst radius and worst perimeter have the correlation 0.994. Under L1 the black line has one "
            "lowest point, the dot. From λ = 0.05 to 0.5 the radius alone is kept, at "
            "[λ = 0.8](#lam=0.8&choice=l1) both, the perimeter with a tenth of the weight, at "
            "[λ = 1](#lam=1&choice=l1) the perimeter alone. What "
            "the other weights leave over changes with λ, and with it the twin that explains it better. "
            "Write $s$ and $t$ for the sum and the difference of the two weights. The data fix $s$ well "
            "and $t$ badly; L1 shrinks $s$ and leaves $t$ alone as long as $|t| < s$. Both are kept "
            "exactly if the size of the least squares $\\hat t$, the others held, is smaller than the "
            "shrunk $\\hat s$.",
            "最差半径与最差周长的相关系数是 0.994。L1 下黑线只有一个最低点，即黑点处。"
            "λ 从 0.05 到 0.5，只留半径；[λ = 0.8](#lam=0.8&choice=l1) 时两个都留，周长占十分之一；"
            "[λ = 1](#lam=1&choice=l1) 时只留周长。其余权重没有解释掉的部分随 λ 而变，"
            "哪一个特征解释得更好也就随之而变。记两个权重之和为 $s$，差为 $t$。数据把 $s$ 定得很准，"
            "把 $t$ 定得很粗；只要 $|t| < s$，L1 就只缩小 $s$，不动 $t$。固定其余权重，"
            "当且仅当最小二乘的 $\\hat t$ 的绝对值小于收缩后的 $\\hat s$ 时，两个都留下。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def tumours():
    """569 tumours × 30 measurements and whether they are malignant, all standardized."""
    x, y = mr.datasets.arrays("breast_cancer")
    return (x - x.mean(0)) / x.std(0), -((y - y.mean()) / y.std())[:, None]


@app.function(hide_code=True)
def penalty(choice, lam, broken=False, groups=mr.datasets.GROUPS["breast_cancer"]):
    """The penalty of a picture; broken, the lengths are squared: no root (wenwei202/caffe#36)."""
    if broken:  # λΣw², λΣw² + ¼‖w‖², λ√3 Σ‖w_g‖²
        extra = {"l1": 2 * lam, "net": 2 * lam + 0.5, "group": 2 * 3**0.5 * lam}
        return mr.penalties.L2(extra[choice])
    return {
        "l1": mr.penalties.L1(lam),
        "net": mr.penalties.ElasticNet(lam, 0.5),
        "group": mr.penalties.GroupLasso(lam, groups=groups),
    }[choice]


@app.function(hide_code=True)
@cache
def fitted(choice, broken=False):
    """λ → the thirty weights (30,), each λ started from the one above it."""
    model = mr.nn.Linear(30, 1, bias=False, dtype=np.float64)
    model.weight.assign(0.0)
    found = {}
    for lam in reversed(STRENGTHS):
        mr.solve(model, mr.nn.MSELoss(), penalty(choice, lam, broken), *tumours(), tol=1e-6)
        found[lam] = model.weight.numpy()[0].copy()
    return found


@app.function(hide_code=True)
def costs(w, twin, choice, lam, broken=False):
    """Loss and penalty, less the least, as the weight of radius and perimeter moves to a twin.

    Column 20 is the worst radius, 22 the worst perimeter, 30 the worst radius once more.
    """
    x, y = tumours()
    x = np.c_[x, x[:, 20]]
    groups = ((0, 10, 20, 30), *mr.datasets.GROUPS["breast_cancer"][1:])
    w, both = np.r_[w, 0.0], w[20] + w[22]
    found = []
    for share in np.linspace(0, 1, 21):
        w[22] = 0.0
        w[20], w[twin] = (1 - share) * both, share * both
        found.append(
            ((x @ w - y[:, 0]) ** 2).mean() + penalty(choice, lam, broken, groups).value(w)
        )
    return np.array(found) - min(found)


@app.function(hide_code=True)
def picture(lam, choice, broken=False):
    """The board of weights, and the cost of moving weight from the worst radius to a twin."""
    w = fitted(choice, broken)[lam]
    board = w.reshape(3, 10)[:, [*ROWS]].T
    role = "broken" if broken else "result"
    left = Panel(
        Say("sizes of the weights (blank: exactly 0)", "权重的大小（空白：恰好为 0）"),
        (0, 3),
        (10, 0),
        height=230,
        xticks={
            0.5: Say("mean", "均值"),
            1.5: Say("error", "标准误"),
            2.5: Say("worst", "最差值"),
        },
        yticks={k + 0.5: name for k, name in enumerate(ROWS.values())},
    )
    shade = np.where(board == 0, 0, 0.2 + 0.8 * np.abs(board) / 0.36)
    left.heat(shade[::-1], 1, role)
    rules = [(0, 3, k, k) for k in range(11)] + [(k, k, 0, 10) for k in range(4)]
    ends = np.array([(*rule, np.nan, np.nan) for rule in rules])
    left.line(ends[:, [0, 1, 4]].ravel(), ends[:, [2, 3, 5]].ravel(), "reference", width=0.5)
    share, same, near = (
        np.linspace(0, 1, 21),
        *(1000 * costs(w, twin, choice, lam, broken) for twin in (30, 22)),
    )
    right = Panel(
        Say("one weight, split between radius and a twin", "一个权重，由半径与另一列分担"),
        (0, 1),
        (-1.6, 8),
        yticks={k: str(k) for k in (0, 2, 4, 6, 8)},
        height=206,
        xlabel=Say("share of the twin", "另一列的份额"),
        ylabel=Say("1000 × (loss + penalty − the least)", "1000 ×（损失 + 惩罚 − 最小值）"),
    )
    right.line(
        share,
        same,
        role,
        label=Say("twin: radius in inches", "另一列：以英寸计的半径"),
        width=4,
    )
    right.line(share, near, "ink", label=Say("twin: perimeter", "另一列：周长"))
    right.dots(share[[near.argmin()]], [0], "ink")
    squares = {"l1": "λΣθ²", "net": "λΣθ² + ¼‖θ‖²", "group": "λ√3 Σ‖v‖²"}[choice]
    size, root = ("‖v‖", "√(Σθ²)") if choice == "group" else ("|θ|", "√(θ²)")
    said = Say(
        f" {size} = {root}: without the root {squares} is left.",
        f"{size} = {root}，漏掉根号就成了 {squares}。",
    )
    return Frame(
        left,
        right,
        said=said if broken else Say("", ""),
        cells=int((w != 0).sum()),
        rows=int((board != 0).any(1).sum()),
        radius=w[20],
        perimeter=w[22],
    )


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    x, y = tumours()
    l1, net, group = (fitted(choice) for choice in ("l1", "net", "group"))
    flat = [costs(w, 30, "l1", lam).max() for lam, w in l1.items()]
    halves = [costs(w, 30, "net", lam).argmin() for lam, w in net.items()]
    halves += [costs(w, 30, "group", lam).argmin() for lam, w in group.items() if w[20]]
    starts = ((1, 0), (0, 1), (0, 0))
    ends = {choice: [twins(penalty(choice, 0.2), s) for s in starts] for choice in ("l1", "net")}
    spread = {choice: np.ptp(end, axis=0)[0] for choice, end in ends.items()}
    sums = np.ptp(np.sum(ends["l1"], axis=1))
    tenth = l1[0.8][22] / l1[0.8][[20, 22]].sum()
    both = {lam: (w[[20, 22]] > 0).tolist() for lam, w in l1.items()}
    expected = {lam: [lam < 1, lam > 0.5] for lam in STRENGTHS}
    p, q = (x[:, 20] + x[:, 22]) / 2, (x[:, 20] - x[:, 22]) / 2
    wrong = 0
    for lam, w in l1.items():
        rest = y[:, 0] - x @ w + x[:, [20, 22]] @ w[[20, 22]]
        s, t = (p @ rest - len(y) * lam / 2) / (p @ p), q @ rest / (q @ q)
        wrong += all(both[lam]) != (abs(t) < s)
    rows = {lam: (w.reshape(3, 10) != 0).sum(0) for lam, w in group.items()}
    three = [int((rows[lam] == 3).sum()) for lam in (0.2, 0.3, 0.5)]
    broken = [w for choice in ("l1", "net", "group") for w in fitted(choice, True).values()]
    return [
        holds("L1, equal columns: cost of the worst split", max(flat), at_most=1e-12),
        holds("the others: |cheapest share − 1/2|", max(abs(k - 10) for k in halves), at_most=0),
        holds("L1, λ = 0.2, three starts: spread of a weight", spread["l1"], at_least=0.25),
        holds("spread of the sum", sums, at_most=1e-3),
        holds("elastic net: spread of a weight", spread["net"], at_most=5e-4),
        holds("correlation of worst radius and perimeter", np.corrcoef(x.T)[20, 22],
              at_least=0.9935, at_most=0.9945),
        holds("λ at which L1 keeps others than is said", sum(both[k] != expected[k] for k in both),
              at_most=0),
        holds("L1, λ = 0.8: share of the perimeter", tenth, at_least=0.095, at_most=0.105),
        holds("λ with (keeps both) ≠ (|t̂| < ŝ)", wrong, at_most=0),
        holds("whole rows of the group lasso at λ = 0.2 and 0.3", min(three[:2]), at_least=3, at_most=3),
        holds("at λ = 0.5", three[2], at_most=2),
        holds("rows with holes", sum(((n > 0) & (n < 3)).sum() for n in rows.values()), at_most=0),
        holds("L1, λ = 0.3: rows", (l1[0.3].reshape(3, 10) != 0).any(0).sum(), at_least=3, at_most=3),
        holds("without the roots: zeros", sum((w == 0).sum() for w in broken), at_most=0),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
