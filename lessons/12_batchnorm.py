"""What does BatchNorm do to a gradient?

For everybody who puts a normalisation between two layers. Afterwards you can say which part of a
gradient BatchNorm, LayerNorm and RMSNorm each take out, and why γ/σ is not the derivative.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 12: what does BatchNorm do to a gradient?")

with app.setup(hide_code=True):
    import copy
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

    UNIT, IMAGE = 2, 0  # of the board: the column, or the row, that the dots show


@app.cell(hide_code=True)
def _():
    Title(
        Say("What does BatchNorm do to a gradient?", "BatchNorm 对梯度做了什么？"),
        lead=Say(
            "A small net reads digits; batch normalisation (BatchNorm) brings each of its eight hidden units "
            "to mean 0 and variance 1. x are a unit's values in a batch of N images, μ and σ their mean and "
            "standard deviation, x̂ = (x − μ)/σ; g is the gradient of the loss by γx̂ + β.",
            "一个识别手写数字的小网络，用批归一化（BatchNorm）把八个隐藏单元各自化为零均值、单位方差。"
            "x 是一个单元在 N 张图像（一个批量）上的值，μ 和 σ 是它们的均值与标准差，x̂ = (x − μ)/σ；"
            "g 是损失对输出 γx̂ + β 的梯度。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "A batch holds two images. Which gradient passes BatchNorm and reaches the layer below?",
            "一个批量只有两张图像。穿过 BatchNorm、到达下面一层的梯度是什么？",
        ),
        (
            Answer(
                Say("γ/σ · g, as x is divided by σ", "γ/σ · g，因为 x 除以了 σ"),
                Say(
                    "So it would be if μ and σ were constants. But they move with x, and with two images "
                    "they move so that x̂ stays at ±1: nothing below can change it.",
                    "只有 μ 和 σ 是常数时才这样。可它们随 x 变动；只有两张图像时，"
                    "无论 x 怎么变，x̂ 都停在 ±1：下面的层什么也改变不了。",
                ),
            ),
            Answer(
                Say("γ/σ · g without its mean", "γ/σ · g 减去它的均值"),
                Say(
                    "The mean goes, but not it alone. A stretch of x leaves x̂ as it is, too; with two "
                    "images a shift and a stretch are all that can happen.",
                    "均值确实去掉了，但不止于此：把 x 拉伸，x̂ 同样不变。"
                    "而只有两张图像时，除了平移和拉伸，再没有别的变化。",
                ),
            ),
            Answer(
                Say("None at all", "完全没有"),
                Say(
                    "So it is: x̂ is ±1 whatever x is. In the picture the straight line meets both dots, "
                    "and only what it misses gets through.",
                    "正是这样：不管 x 是多少，x̂ 都是 ±1。图中的直线穿过两个点，"
                    "而能通过的只是直线没有碰到的部分。",
                ),
                right=True,
            ),
        ),
        asks=Say(
            "What did you see at N = 2? And what at RMSNorm: through which point does its line run?",
            "N = 2 时你看到了什么？换成 RMSNorm：它的直线过哪一点？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "n",
        (2, 3, 4, 6, 8, 16),
        start=4,
        label="N",
        choices={"batch": "BatchNorm", "layer": "LayerNorm", "rms": "RMSNorm"},
        broken=Say("factor only", "只乘因子"),
        caption=Say("N = {n:g}. {said}", "N = {n:g}。{said}"),
        alt=Say(
            "Left, a dot for each image: the value of one unit, and γ/σ·g. A straight line runs through "
            "the dots; what it misses is the gradient that gets through the norm. With two images it "
            "misses nothing. Right, a board of images and units with that gradient as shades: for "
            "BatchNorm and two images it is white. For LayerNorm and RMSNorm the dots are the eight units "
            "of one image, and do not depend on N; RMSNorm's line runs through 0. Broken, all of it gets "
            "through.",
            "左图：每张图像一个点，横坐标是一个单元的值，纵坐标是 γ/σ·g。一条直线拟合这些点，"
            "直线没有碰到的部分，就是穿过归一化的梯度。只有两张图像时，直线穿过两个点，什么也不剩。"
            "右图：图像与单元的表格，深浅表示这个梯度；BatchNorm 加两张图像时，整张表是白的。"
            "对 LayerNorm 与 RMSNorm，这些点是一张图像的八个单元，与 N 无关；RMSNorm 的直线过零点。"
            "故意弄错时，它全部通过。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Two moves change nothing above**: shift all x of a unit, or stretch them about μ. x̂ "
                "stays, and so does the loss:\n\n"
                r"$$\hat x = \frac{x-\mu}{\sigma}$$",
                "**有两种变动影响不到上面**：把一个单元的所有 x 平移，或以 μ 为中心拉伸。"
                "x̂ 不变，损失也不变：\n\n"
                r"$$\hat x = \frac{x-\mu}{\sigma}$$",
            ),
            Say(
                "**So the gradient has no part along either.** Together they span all straight lines "
                "a + bx; the part of g that the best line explains is taken out (⟨·⟩: mean over the "
                "batch):\n\n"
                r"$$\color{result}{\frac{\partial L}{\partial x}} = \frac{\gamma}{\sigma}"
                r"\bigl(\color{data}{g} - \langle g\rangle - \hat x\,\langle g\hat x\rangle\bigr)$$",
                "**所以梯度在这两个方向上没有分量**。这两个方向合起来就是 x 的全部一次函数 a + bx；"
                "g 中能由最佳直线拟合的部分都要去掉（⟨·⟩ 是在批量上的平均）：\n\n"
                r"$$\color{result}{\frac{\partial L}{\partial x}} = \frac{\gamma}{\sigma}"
                r"\bigl(\color{data}{g} - \langle g\rangle - \hat x\,\langle g\hat x\rangle\bigr)$$",
            ),
            Say(
                "**Of N directions N − 2 are left**: [none of two](#n=2&choice=batch), [most of "
                "16](#n=16&choice=batch). [LayerNorm](#choice=layer) does the same over one image's units; "
                "as each has its own γ, the line is fitted to γg. [RMSNorm](#choice=rms) subtracts "
                "no μ: a shift changes its output, only the stretch goes; the line runs through 0.",
                "**N 个方向只剩 N − 2 个**：[两张图像时一个不剩](#n=2&choice=batch)，"
                "[十六张时剩下绝大部分](#n=16&choice=batch)。[层归一化（LayerNorm）](#choice=layer)在一张图像的各个单元上"
                "做同样的事；各单元的 γ 不同，所以直线拟合的是 γg。"
                "[均方根归一化（RMSNorm）](#choice=rms)不减 μ：平移会改变输出，"
                "去掉的只有拉伸，所以直线过零点。",
            ),
        )
    )
    return


@app.function
def below(x, g):
    """The gradient below BatchNorm: by autograd, and by a straight line."""
    leaf = mr.tensor(x[:, None], requires_grad=True)
    y = mr.nn.BatchNorm(1, eps=0.0, dtype=np.float64)(leaf)
    (walked,) = mr.grad(y, leaf, mr.tensor(g[:, None]))
    slope, height = np.polyfit(x, g, 1)
    missed = g - (slope * x + height)
    return walked.numpy()[:, 0], missed / x.std()


@app.cell(hide_code=True)
def _():
    Code(
        below,
        "for n in (2, 4, 6):\n"
        "    for gradient in below(*unit(n)):\n"
        "        print(n, gradient.round(3) + 0.0)",
        Say(
            "`unit(n)` are the dots of the picture: x, and g with γ in it. Each pair of printed lines "
            "agrees, though only the first knows of BatchNorm.",
            "`unit(n)` 就是图中的点：x，以及已含 γ 的 g。输出每两行一组，组内两行相同，"
            "虽然第二行并不知道什么是 BatchNorm。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C19", "C15", "C10"), also=("C09", "C11", "C12", "C13", "C14", "C16", "C17", "C135"))
    return


@app.function(hide_code=True)
def under(x, g, gamma):
    """The gradient by x, where g is the one by γx̂ + β; ε = 0."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "under",
        Say(
            "`x` are one unit's values in a batch, `g` is the gradient of the loss by γx̂ + β. "
            "Complete the line with `...`: which gradient reaches x?",
            "`x` 是一个单元在一个批量上的值，`g` 是损失对 γx̂ + β 的梯度。"
            "补全 `...` 处：到达 x 的梯度是什么？",
        ),
        under,
        projected,
        cases=[
            (np.array([1.0, 2.0, 4.0, 9.0]), np.array([1.0, -1.0, 2.0, 0.5]), 1.5),
            (np.array([-0.5, 0.25, 3.0]), np.array([0.5, 2.0, -1.0]), -2.0),
            (np.array([0.1, 0.4, -0.2, 0.3, 0.9]), np.array([3.0, 0.0, 1.0, -2.0, 1.0]), 0.5),
        ],
        limits={
            Say(
                "All images have the same g: only a shift of x is asked for, and that moves nothing. 0 "
                "must come out.",
                "所有图像的 g 都相同：它要求的只是平移 x，而平移什么也改变不了。应得 0。",
            ): (np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 2.0]), 1.5),
            Say(
                "Here g goes as x − μ: only a stretch is asked for, and that moves nothing. 0 must come out.",
                "g 与 x − μ 成正比：它要求的只是拉伸 x，而拉伸什么也改变不了。应得 0。",
            ): (np.array([1.0, 2.0, 6.0]), np.array([-2.0, -1.0, 3.0]), 0.5),
        },
        mistakes={
            Say(
                "That is γ/σ·g: right in evaluation, where μ and σ are stored numbers. In training they "
                "move with x.",
                "这是 γ/σ·g：推理时正确，因为 μ 和 σ 是存好的数；训练时它们随 x 变动。",
            ): lambda x, g, gamma: gamma / x.std() * g,
            Say(
                "The mean is out, but σ depends on x as well: the part along x̂ has to go, too.",
                "均值去掉了，可是 σ 也依赖于 x：沿 x̂ 的分量也要去掉。",
            ): lambda x, g, gamma: gamma / x.std() * (g - g.mean()),
            Say(
                "The part along x̂ is out, but μ depends on x as well: the mean has to go, too.",
                "沿 x̂ 的分量去掉了，可是 μ 也依赖于 x：均值也要去掉。",
            ): lambda x, g, gamma: gamma / x.std() * (g - hat(x) * (g * hat(x)).mean()),
            Say(
                "The second mean is of g·x̂, not of g·x: with g the same for all images it would be ⟨g⟩μ, "
                "and something would pass.",
                "第二个平均是 g·x̂ 的，不是 g·x 的：否则所有图像的 g 相同时它等于 ⟨g⟩μ，就会有东西通过。",
            ): lambda x, g, gamma: gamma / x.std() * (g - g.mean() - hat(x) * (g * x).mean()),
            Say(
                "Here x stands where x̂ belongs, in front of the mean.",
                "平均值前面的因子应是 x̂，而不是 x。",
            ): lambda x, g, gamma: gamma / x.std() * (g - g.mean() - x * (g * hat(x)).mean()),
            Say(
                "Both times x̂ is meant, not x: only x̂ has mean 0 and variance 1.",
                "两处都应是 x̂，而不是 x：只有 x̂ 的均值为 0、方差为 1。",
            ): lambda x, g, gamma: gamma / x.std() * (g - g.mean() - x * (g * x).mean()),
            Say(
                "What stands for x̂ is x − μ: it lacks the division by σ, in both places.",
                "x − μ 还不是 x̂：两处都没有除以 σ。",
            ): lambda x, g, gamma: (
                gamma / x.std() * (g - g.mean() - (x - x.mean()) * (g * (x - x.mean())).mean())
            ),
            Say(
                "Sums, where means belong: μ and σ² are means over the batch, so each of x's N values "
                "moves them by 1/N only.",
                "这里应当用平均，而不是求和：μ 和 σ² 是批量上的平均，每个值对它们的影响只有 1/N。",
            ): lambda x, g, gamma: gamma / x.std() * (g - g.sum() - hat(x) * (g * hat(x)).sum()),
            Say(
                "The second is a sum, where a mean belongs: that of g·x̂ over the batch.",
                "第二处应是 g·x̂ 在批量上的平均，而不是求和。",
            ): lambda x, g, gamma: gamma / x.std() * (g - g.mean() - hat(x) * (g * hat(x)).sum()),
            Say(
                "The factor 1/σ is missing: x̂ moves by 1/σ for each unit of x.",
                "漏了因子 1/σ：x 每变一个单位，x̂ 变 1/σ。",
            ): lambda x, g, gamma: gamma * rest(x, g),
            Say(
                "γ is missing: the output is γx̂ + β.",
                "漏了 γ：输出是 γx̂ + β。",
            ): lambda x, g, gamma: rest(x, g) / x.std(),
            Say(
                "Both γ and 1/σ are missing.",
                "γ 和 1/σ 都漏了。",
            ): lambda x, g, gamma: rest(x, g),
            Say(
                "Divide by σ, do not multiply: the wider x is spread, the less a unit of it counts.",
                "应除以 σ，不是乘以 σ：x 越分散，它的一个单位作用越小。",
            ): lambda x, g, gamma: gamma * x.std() * rest(x, g),
            Say(
                "That divides by σ²; x̂ has σ below, not the variance.",
                "这样除的是 σ²；x̂ 的分母是 σ，不是方差。",
            ): lambda x, g, gamma: gamma / x.var() * rest(x, g),
            Say(
                "γ belongs above: the output is γx̂.",
                "γ 应在分子：输出是 γx̂。",
            ): lambda x, g, gamma: rest(x, g) / (gamma * x.std()),
            Say(
                "γ/σ multiplies the whole bracket, not g alone.",
                "γ/σ 要乘整个括号，而不只是 g。",
            ): lambda x, g, gamma: gamma / x.std() * g - g.mean() - hat(x) * (g * hat(x)).mean(),
            Say(
                "That is what is taken out. What is left reaches x.",
                "这是被去掉的部分。到达 x 的是剩下的部分。",
            ): lambda x, g, gamma: gamma / x.std() * (g - rest(x, g)),
            Say(
                "Both parts are to be subtracted; so they count twice.",
                "这两部分都应减去；现在它们反而算了两遍。",
            ): lambda x, g, gamma: gamma / x.std() * (2 * g - rest(x, g)),
            Say(
                "The part along x̂ has the wrong sign: subtract it.",
                "沿 x̂ 的分量符号反了：应当减去。",
            ): lambda x, g, gamma: gamma / x.std() * (g - g.mean() + hat(x) * (g * hat(x)).mean()),
            Say(
                "The factor x̂ is missing: the gradient through σ is larger, the farther x is from μ.",
                "漏了因子 x̂：x 离 μ 越远，经过 σ 的梯度越大。",
            ): lambda x, g, gamma: gamma / x.std() * (g - g.mean() - (g * hat(x)).mean()),
            Say(
                "N is too much: each of the three terms has to be divided by it, or sums become means.",
                "多乘了 N：三项都要除以 N，也就是把求和改为平均。",
            ): lambda x, g, gamma: len(x) * gamma / x.std() * rest(x, g),
            Say(
                "γ/σ is missing at the part along x̂: it multiplies the whole bracket.",
                "沿 x̂ 的分量漏了 γ/σ：它要乘整个括号。",
            ): lambda x, g, gamma: gamma / x.std() * (g - g.mean()) - hat(x) * (g * hat(x)).mean(),
            Say(
                "That is only the diagonal of ∂y/∂x. Each output depends on all x of the batch.",
                "这只用了 ∂y/∂x 的对角元。每个输出都依赖于批量中的所有 x。",
            ): lambda x, g, gamma: gamma / x.std() * g * (1 - (1 + hat(x) ** 2) / len(x)),
            Say(
                "Here σ is the one with the divisor N − 1; BatchNorm's has N: `x.std()`.",
                "这里的 σ 除以的是 N − 1；BatchNorm 除以 N：`x.std()`。",
            ): lambda x, g, gamma: sampled(x, g, gamma),
            Say(
                "`np.cov` divides by N − 1, `x.var()` by N.",
                "`np.cov` 除以 N − 1，`x.var()` 除以 N。",
            ): lambda x, g, gamma: (
                gamma / x.std() * (g - g.mean() - (x - x.mean()) * np.cov(x, g)[0, 1] / x.var())
            ),
            Say(
                "`np.linalg.norm(x - x.mean())` is √N·σ, not σ: a sum of squares, where the mean belongs.",
                "`np.linalg.norm(x - x.mean())` 是 √N·σ，不是 σ：应取平方的平均，它取的是平方和。",
            ): lambda x, g, gamma: (
                gamma
                / x.std()
                / len(x) ** 0.5
                * (g - g.mean() - hat(x) * (g * hat(x)).mean() / len(x))
            ),
            Say(
                "That is RMSNorm's gradient, which subtracts no mean.",
                "这是 RMSNorm 的梯度，它不减均值。",
            ): lambda x, g, gamma: gamma / rms(x) * (g - x / rms(x) ** 2 * (g * x).mean()),
            Say(
                "Here ε = 0: with an ε under the root, a little passes along x̂.",
                "这里 ε = 0；加上 ε，沿 x̂ 的分量就会通过一点。",
            ): lambda x, g, gamma: mr.implicit.batchnorm_gradient(
                x[:, None], g[:, None], [gamma]
            ).total[:, 0],
        },
        why=Say(
            "the gradient loses its mean, as a shift moves nothing, and its part along x̂, as a stretch moves "
            "nothing; the rest is scaled by γ/σ.",
            "平移不改变什么，所以 g 去掉均值；拉伸不改变什么，所以去掉沿 x̂ 的分量；其余的乘以 γ/σ。",
        ),
        hints=(
            Say(
                "Three terms in a bracket: directly, through μ, through σ. In front of it γ/σ.",
                "括号里有三项：直接的、经过 μ 的、经过 σ 的。括号前面是 γ/σ。",
            ),
            Say(
                "x̂ has mean 0 and mean square 1, so the part of g along it is x̂⟨g x̂⟩.",
                "x̂ 的均值为 0、平方的平均为 1，所以 g 沿 x̂ 的分量是 x̂⟨g x̂⟩。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def hat(x):
    """x̂: mean 0, variance 1."""
    return (x - x.mean()) / x.std()


@app.function(hide_code=True)
def rest(x, g):
    """What the best straight line over x misses of g."""
    return g - g.mean() - hat(x) * (g * hat(x)).mean()


@app.function(hide_code=True)
def rms(x):
    """The root of the mean square."""
    return (x**2).mean() ** 0.5


@app.function(hide_code=True)
def sampled(x, g, gamma):
    """With the standard deviation that has the divisor N − 1."""
    unit, sigma = (x - x.mean()) / x.std(ddof=1), x.std(ddof=1)
    return gamma / sigma * (g - g.mean() - unit * (g * unit).mean())


@app.function(hide_code=True)
def projected(x, g, gamma):
    """The gradient by x, where g is the one by γx̂ + β; ε = 0."""
    unit = (x - x.mean()) / x.std()
    return gamma / x.std() * (g - g.mean() - unit * (g * unit).mean())


@app.function(hide_code=True)
def normalise(x):
    """Meant to be BatchNorm in training, with γ = 1, β = 0 and ε = 0."""
    mean = x.mean(axis=0)
    variance = ((x - mean.detach()) ** 2).mean(axis=0)
    centred = x - mean.detach()
    return centred / variance**0.5


@app.function(hide_code=True)
def moves():
    """How the loss of the picture's unit reacts to moves of x: measured, and by autograd."""
    x, g = unit(16)
    leaf = mr.tensor(x[:, None], requires_grad=True)
    (walked,) = mr.grad(normalise(leaf), leaf, mr.tensor(g[:, None]))
    ways = {"x + t": np.ones(16), "x + t(x − μ)": x - x.mean(), "x₁ + t": np.eye(16)[0]}
    rows = ["x becomes      measured   by autograd"]
    for name, way in ways.items():
        ends = (x + t * way for t in (1e-5, -1e-5))
        high, low = (g @ normalise(mr.tensor(end[:, None])).numpy()[:, 0] for end in ends)
        measured, said = (high - low) / 2e-5, way @ walked.numpy()[:, 0]
        rows.append(f"{name:13}{round(measured, 3) + 0:10.3f}{round(said, 3) + 0:14.3f}")
    return "\n".join(rows)


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "`detach` makes a constant of a number: no gradient flows into it. What the program returns is "
            "right. The table has the slope of the loss by t, for three moves of x: measured with a small "
            "t, and by autograd through the program. Which line is wrong?",
            "`detach` 把一个数变成常数，梯度不再流入它。程序返回的值是对的。表中是 x 作三种变动时损失对 t "
            "的斜率：一列用很小的 t 量出，一列由程序的自动微分算出。哪一行错了？",
        ),
        normalise,
        moves,
        "centred = ",
        why=Say(
            "Yes: a shift of x takes the mean along, so it changes nothing. Here the mean stands still for "
            "the gradient, and the shift gets a slope. It should be `x - mean`.",
            "对：平移 x 时均值跟着动，所以什么也不变。可是在这里，对梯度来说均值是不动的，"
            "平移就有了斜率。应写成 `x - mean`。",
        ),
        others={
            "variance = ": Say(
                "This `detach` does no harm: Σ(x − m)² is least at m = μ, so its slope by m is 0, and no "
                "gradient is lost. The row of the stretch, x + t(x − μ), is right.",
                "这个 `detach` 无害：Σ(x − m)² 在 m = μ 处最小，对 m 的导数为 0，没有丢失梯度。"
                "表中拉伸那一行 x + t(x − μ) 是对的。",
            ),
            "mean = ": Say(
                "This line is right. Where it is used, does a gradient flow back into it?",
                "这一行没有错。可是在用到它的地方，梯度还流得回来吗？",
            ),
            "return": Say(
                "If the division lost a gradient, the row of the stretch would not be 0.",
                "如果除法这一步丢了梯度，拉伸那一行就不会是 0。",
            ),
            "": Say(
                "Nothing is computed here. Which of the moves has the wrong slope?",
                "这里没有计算。哪一种变动的斜率不对？",
            ),
        },
        hints=(
            Say(
                "A shift has no slope, but the gradient gives it one. Who takes care of the shift?",
                "平移没有斜率，梯度却给了它一个。由谁来抵消平移？",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def variance_after(variance, eps):
    """The variance of (x − μ)/√(σ² + ε); variance is σ²."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "variance_after",
        Say(
            "So that nothing is divided by 0, BatchNorm adds ε: x̂ = (x − μ)/√(σ² + ε). The x of a unit "
            "have the variance σ². What is the variance of x̂?",
            "为了不除以 0，BatchNorm 加上 ε：x̂ = (x − μ)/√(σ² + ε)。一个单元的 x 的方差是 σ²，"
            "x̂ 的方差是多少？",
        ),
        variance_after,
        lambda variance, eps: variance / (variance + eps),
        cases=[(4.0, 0.5), (0.25, 0.1), (1e-4, 1e-5)],
        limits={
            Say("ε = 0: the variance becomes 1.", "ε = 0 时方差变为 1。"): (3.0, 0.0),
            Say(
                "A unit that is the same for all images stays so: 0 must come out.",
                "一个单元对所有图像都相同，归一化之后仍然如此：应得 0。",
            ): (np.float64(0), 1e-3),
            Say(
                "σ² = ε: x is divided by √(2ε), and a variance of ε becomes ½.",
                "σ² = ε 时，x 除以 √(2ε)，方差由 ε 变为 ½。",
            ): (0.2, 0.2),
        },
        mistakes={
            Say(
                "Only for ε = 0. ε makes the divisor larger than σ, so less than 1 comes out.",
                "只有 ε = 0 时才对。ε 使分母大于 σ，所以结果小于 1。",
            ): lambda variance, eps: 1.0,
            Say(
                "That is the square of the divisor; the variance of x has to be divided by it.",
                "这是分母的平方；应当用 x 的方差除以它。",
            ): lambda variance, eps: variance + eps,
            Say(
                "That is the standard deviation of x̂. The variance is its square.",
                "这是 x̂ 的标准差，方差是它的平方。",
            ): lambda variance, eps: variance**0.5 / (variance + eps) ** 0.5,
            Say(
                "That is what is missing to 1.",
                "这是与 1 相差的部分。",
            ): lambda variance, eps: eps / (variance + eps),
            Say(
                "If x is divided by the root, its variance is divided by the square of it, σ² + ε.",
                "x 除以这个根，方差就除以它的平方，即 σ² + ε。",
            ): lambda variance, eps: variance / (variance + eps) ** 0.5,
            Say(
                "One square too many: the square of √(σ² + ε) is σ² + ε.",
                "多平方了一次：√(σ² + ε) 的平方是 σ² + ε。",
            ): lambda variance, eps: variance / (variance + eps) ** 2,
            Say(
                "ε is added to the variance, inside the root, not to σ.",
                "ε 加在根号里面的方差上，不是加在 σ 上。",
            ): lambda variance, eps: variance / (variance**0.5 + eps) ** 2,
            Say(
                "Upside down: the divisor is the larger one.",
                "上下颠倒了：分母是较大的那个。",
            ): lambda variance, eps: np.divide(variance + eps, variance),
            Say(
                "That is the square of the factor; the variance of x is missing.",
                "这是因子的平方，还要乘上 x 的方差。",
            ): lambda variance, eps: 1 / (variance + eps),
            Say(
                "The variance of a fraction is not its square again: σ²/(σ² + ε) is all.",
                "不必再平方：σ²/(σ² + ε) 已经是方差。",
            ): lambda variance, eps: (variance / (variance + eps)) ** 2,
            Say(
                "`variance` is σ² already: do not square it once more.",
                "`variance` 已经是 σ²，不要再平方。",
            ): lambda variance, eps: variance**2 / (variance**2 + eps),
        },
        why=Say(
            "a factor c multiplies a variance by c². What is missing to 1, ε/(σ² + ε), is the share of a "
            "gradient along x̂ that passes.",
            "乘以 c，方差就乘以 c²。与 1 相差的 ε/(σ² + ε)，正是沿 x̂ 的梯度得以通过的比例。",
        ),
        hints=(
            Say(
                "Subtracting μ leaves the variance as it is.",
                "减去 μ 不改变方差。",
            ),
            Say(
                "If x is divided by s, its variance is divided by s².",
                "x 除以 s，方差就除以 s²。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "Of 1,000 images, each output of a unit depends on all 1,000 of its inputs: ∂y/∂x is a matrix "
            "J of a million slopes. How often must one walk back, to know the gradient below BatchNorm?",
            "一个批量有 1000 张图像，一个单元的每个输出都依赖全部 1000 个输入："
            "∂y/∂x 是一个有一百万个导数的矩阵 J。要得到 BatchNorm 下面的梯度，需要反向走几趟？",
        ),
        0,
        (
            Answer(
                Say("A million times, once for each slope", "一百万趟，每个导数一趟"),
                Say(
                    "No single slope of J is asked for. A walk starts with g at all outputs and brings back "
                    "Jᵀg, the sums of all that they hand to each input.",
                    "并不需要 J 的每个元素。反向走一趟，从所有输出处的 g 出发，带回来的是 Jᵀg："
                    "各输出传给每个输入的量已经加在一起。",
                ),
            ),
            Answer(
                Say("A thousand times, once for each image", "一千趟，每张图像一趟"),
                Say(
                    "That is what J itself takes: `mr.jacobian` walks once for each output, with a 1 there. "
                    "Training does not need J but Jᵀg, and starts with g at all outputs at once.",
                    "这是求出 J 本身的代价：`mr.jacobian` 在每个输出处放一个 1，各走一趟。"
                    "训练要的不是 J，而是 Jᵀg：从所有输出处的 g 同时出发。",
                ),
            ),
            Answer(
                Say("Once", "一趟"),
                Say(
                    "Yes: what arrives in an input from many outputs adds up on the way. J is never made: "
                    "two means give the line, which is subtracted.",
                    "对：从许多输出到达同一输入的梯度，在途中就加起来了。J 从未求出："
                    "两个平均值给出直线，减去它就行了。",
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
                "In training, BatchNorm takes out of a gradient what a straight line over the unit's values "
                "explains, and multiplies the rest by γ/σ: N − 2 of N directions are left (ε = 0).",
                "训练时，BatchNorm 从梯度中去掉能用该单元取值的一条直线解释的部分，其余乘以 γ/σ："
                "N 个方向只剩 N − 2 个（ε = 0）。",
            ),
            Say(
                "γ/σ alone is right in evaluation, where μ and σ are stored numbers.",
                "只乘 γ/σ，仅在推理时正确：那时 μ 和 σ 是存好的数。",
            ),
            Say(
                "LayerNorm takes the line over the units of each sample, whatever the batch; RMSNorm's "
                "runs through 0, as RMSNorm ignores a stretch but not a shift.",
                "LayerNorm 的直线则在每个样本的各个单元上拟合，与批量无关；RMSNorm 的直线过零点，"
                "因为它不受拉伸影响，却受平移影响。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And with ε?", "有 ε 时呢？"),
        Say(
            "“None at all” is exact at $\\varepsilon = 0$. With the usual $\\varepsilon = 10^{-5}$ a "
            "gradient's part along $\\hat x$ passes, times $\\varepsilon/(\\sigma^2+\\varepsilon)$. Let the "
            "picture's net read the digits in 898 batches of two: in half of all cases, a unit on a "
            "batch, about 0.01 % or less of $\\gamma/\\sigma\\cdot g$ gets through. But where two images "
            "nearly agree, $\\sigma^2$ is no larger than ε: most of it passes, and is divided by as "
            "little as $\\sqrt\\varepsilon = 0.003$. One case of a hundred holds 99 % of all squared "
            "gradients. A batch of two does train the layer below, by rare kicks.",
            "“完全没有”在 $\\varepsilon = 0$ 时精确成立。取通常的 $\\varepsilon = 10^{-5}$，"
            "梯度沿 $\\hat x$ 的分量有 $\\varepsilon/(\\sigma^2+\\varepsilon)$ 的比例通过。"
            "让图中的网络以两张一批读完数字，共 898 批；一个单元在一个批量上算一例，半数的例子里，"
            "通过的至多约为 $\\gamma/\\sigma\\cdot g$ 的 0.01%。可是两张图像在某个单元上几乎相同时，"
            "$\\sigma^2$ 不比 ε 大：大部分都会通过，而且除数可以小到 $\\sqrt\\varepsilon = 0.003$。"
            "百分之一的例子占了全部梯度平方和的 99%。所以两张一批也能训练下面的层，"
            "只不过靠的是偶尔几次剧烈的更新。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("Why does y.sum() not test a BatchNorm?", "为什么用 y.sum() 检验不了 BatchNorm？"),
        Say(
            "The outputs of a unit sum to $N\\beta$, whatever x is. So the right gradient of `y.sum()` "
            "is 0, and it is 0, too, in a program that forgets the term of the variance. The relative "
            "difference of the two zeros, 1 in torch/nn#744, is that of rounding to rounding. "
            "`(y**2).sum()` is no better: with $\\beta = \\varepsilon = 0$ it has the gradient 0 in a "
            "program that forgets the mean, too. Test with a random $g$, or every output by itself.",
            "一个单元的输出之和恒为 $N\\beta$，与 x 无关。所以 `y.sum()` 的正确梯度是 0；"
            "而漏掉方差那一项的程序，得到的也是 0。这两个零的相对误差（torch/nn#744 中是 1）"
            "只是舍入误差与舍入误差之比。`(y**2).sum()` 也好不到哪里去："
            "$\\beta = \\varepsilon = 0$ 时，漏掉均值那一项的程序同样给出 0。应当用随机的 $g$ 来检验，"
            "或者逐个检验每个输出。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def digits():
    """1,797 images of 64 pixels from 0 to 1, and which digit each is."""
    x, y = mr.datasets.arrays("digits")
    return x / 16, y


@app.function(hide_code=True)
@cache
def net(choice):
    """A small net with this norm, after ten steps of training."""
    norm = {"batch": mr.nn.BatchNorm, "layer": mr.nn.LayerNorm, "rms": mr.nn.RMSNorm}[choice]
    mr.manual_seed(3)
    layers = mr.nn.Linear(64, 8), norm(8, eps=0.0), mr.nn.Tanh(), mr.nn.Linear(8, 10)
    model = mr.nn.Sequential(*layers).double()
    optimizer = mr.optim.Adam(model.parameters(), 0.02)
    mr.trajectory(model, mr.nn.CrossEntropyLoss(), optimizer, *digits(), 10)
    return model


@app.function(hide_code=True)
@cache
def board(n, choice):
    """Of n images and eight units the values at the norm, and the terms of the gradient there."""
    images, labels = (part[:n] for part in digits())
    loss = mr.nn.CrossEntropyLoss(reduction="sum")
    terms = mr.implicit.norm_gradient(net(choice), "1", images, lambda out: loss(out, labels))
    return net(choice)[0](mr.tensor(images)).numpy(), terms


@app.function(hide_code=True)
def unit(n):
    """Of the picture's unit the values of n images, and the gradient above, with γ in it."""
    x, terms = board(n, "batch")
    return x[:, UNIT], terms.direct[:, UNIT] * x[:, UNIT].std()


@app.function(hide_code=True)
def picture(n, choice, broken=False):
    """γ/σ·g against x, with the line that is taken out; and the gradient below of the whole board."""
    batch = choice == "batch"
    strip = (slice(None), UNIT) if batch else IMAGE
    x, terms = board(n, choice)
    at, told, left_over = x[strip], terms.direct[strip], terms.total[strip]
    taken = np.polyfit(at, told - left_over, 1)
    seen = board(16, choice)[0][strip], *([] if batch else [np.zeros(1)])
    low, high = np.min(np.concatenate(seen)), np.max(np.concatenate(seen))
    ends = np.array([low, high]) + (high - low) * np.array([-0.1, 0.1])
    steepest = [board(m, choice)[1].direct[strip] for m in (2, 3, 4, 6, 8, 16)]
    dots = Panel(
        Say("one unit, a dot for each image", "一个单元，每张图像一个点") if batch
        else Say("one image, a dot for each unit", "一张图像，每个单元一个点"),
        x=(ends[0], ends[1]),
        y=(1.25 * min(v.min() for v in steepest), 1.2 * max(v.max() for v in steepest)),
        xlabel=Say("value x", "值 x"), ylabel=Say("gradient", "梯度"), height=262,
    )  # fmt: skip
    dots.hline(0)
    if not batch:
        dots.vline(0)
    rest = np.full((16 if batch else 8) - len(at), 0.0)  # out of sight, till their images come
    a, b = np.r_[at, rest + 9 * ends[1]], np.r_[told, rest]
    stems = lambda start, end: (
        np.c_[a, a, a + np.nan].ravel(),
        np.c_[start, end, end + np.nan].ravel(),
    )
    text, line = "γ/RMS · g" if choice == "rms" else "γ/σ · g", np.polyval(taken, ends)
    name = (
        Say("line through 0", "过零点的直线") if choice == "rms" else Say("straight line", "直线")
    )
    if broken:
        dots.line(ends, line, "reference", label=name)
        dots.line(*stems(0 * b, b), "broken", width=5, label=text)
    else:
        dots.line(*stems(0 * b, b), "textbook", width=1.5, label=text)
        dots.line(ends, line, "ink", width=2, label=name)
        dots.line(*stems(np.r_[told - left_over, rest], b), "result", width=5)
        k = np.argmax(abs(left_over))
        middle = told[k] - left_over[k] / 2 if len(at) > 2 else np.nan  # of two, nothing is left
        dots.text(at[k], middle, Say("gets through", "通过的"), "result")
    dots.dots(a, b, "data")
    role, z = "broken" if broken else "result", np.zeros((16, 8))
    z[:n] = terms.direct if broken else terms.total
    below = Panel(
        Say("the gradient below, image by unit", "下面的梯度：图像 × 单元"),
        x=(-0.6, 8), y=(16, 0), yticks={}, xticks={k + 0.5: str(k + 1) for k in range(8)},
        xlabel=Say("unit", "单元"), height=280,
    )  # fmt: skip
    below.heat(
        z,
        np.quantile(abs(board(16, choice)[1].direct), 0.97),
        role,
        negative=role,
        box=(0, 8, 0, 16),
    )
    read = np.zeros((16, 9, 8))  # a digit for each image, and a gap
    read[:n, :8] = digits()[0][:n].reshape(n, 8, 8)
    below.heat(read.reshape(144, 8), 1, "ink", box=(-0.55, -0.1, 0, 16))
    for k in range(9):
        below.line([k, k], [0, n], "reference", width=1)
    for k in range(17):
        below.line([0, 8], [min(k, n)] * 2, "reference", width=1)
    x0, x1, y0, y1 = (UNIT, UNIT + 1, 0, n) if batch else (0, 8, IMAGE, IMAGE + 1)
    below.line([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], "ink", width=3)
    whole, part = np.linalg.norm(told), np.linalg.norm(left_over)
    percent = 100 * part / whole
    said = {
        "batch": Say(
            f"What the line explains is taken out: of the length of γ/σ · g {percent:.0f} % gets through.",
            f"直线解释的部分被去掉：按长度算，γ/σ · g 有 {percent:.0f}% 通过。",
        ),
        "layer": Say(
            f"For each image alone: here {percent:.0f} % gets through, whatever the rest of the batch.",
            f"每张图像各自处理：这里有 {percent:.0f}% 通过，与批量中的其他图像无关。",
        ),
        "rms": Say(
            f"No mean is subtracted, so the line runs through 0: {percent:.0f} % gets through.",
            f"没有减去均值，所以直线过零点：有 {percent:.0f}% 通过。",
        ),
    }[choice]
    if batch and n == 2:
        said = Say(
            "Two dots always lie on a line. Nothing gets through, in no unit.",
            "两个点总在一条直线上。任何单元都没有梯度通过。",
        )
    if broken:
        said = Say(
            f"As if x moved neither μ nor σ: length {whole:.2f} gets through, right is {part:.2f}.",
            f"仿佛 x 不会带动 μ 和 σ：通过的长度是 {whole:.2f}，正确的是 {part:.2f}。",
        )
        if choice == "rms":
            said = Say(
                f"As if x did not move the RMS: length {whole:.2f} gets through, right is {part:.2f}.",
                f"仿佛 x 不会带动 RMS：通过的长度是 {whole:.2f}，正确的是 {part:.2f}。",
            )
    return Frame(dots, below, said=said, percent=percent)


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def pairs():
    """Batches of two at ε = 10⁻⁵, for each batch and unit: the share that gets through, its square."""
    images, labels = (part[:1796].reshape(898, 2, -1) for part in digits())
    model, loss = copy.deepcopy(net("batch")), mr.nn.CrossEntropyLoss()
    model[1].eps = 1e-5
    terms = [
        mr.implicit.norm_gradient(model, "1", x, lambda out, y=y: loss(out, y))
        for x, y in zip(images, labels[..., 0], strict=True)
    ]
    size = lambda part: np.linalg.norm([getattr(t, part) for t in terms], axis=1).ravel()
    return size("total") / size("direct"), size("total") ** 2


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    whole = {n: board(n, "batch")[1] for n in (2, 16)}
    off = [abs(a - b).max() for a, b in (below(*unit(n)) for n in (2, 4, 6))]
    alone = [abs(board(16, k)[1].total[:2] - board(2, k)[1].total).max() for k in ("layer", "rms")]
    (x, terms), (u, flat) = board(16, "layer"), board(16, "rms")
    line = np.polyval(np.polyfit(x[IMAGE], terms.direct[IMAGE], 1), x[IMAGE])
    slope = u[IMAGE] @ flat.direct[IMAGE] / (u[IMAGE] @ u[IMAGE])
    x, g = unit(16)
    hand = mr.gradcheck(normalise, x[:, None])
    norm = mr.nn.BatchNorm(1, eps=0.0, dtype=np.float64)
    J = mr.jacobian(norm, x[:, None]).numpy()[:, 0, :, 0]
    norm.eps = 0.1
    (along,) = mr.grad(norm(leaf := mr.tensor(x[:, None], requires_grad=True)), leaf,
                       mr.tensor(hat(x)[:, None]))  # fmt: skip
    s = np.sqrt(x.var() + 0.1)
    shares, squares = pairs()
    one = np.ones(16)
    return [
        holds("two images: the gradient below, its largest", abs(whole[2].total).max(), at_most=1e-12),
        holds("γ/σ·g there", abs(whole[2].direct).max(), at_least=0.5),
        holds("|by autograd − by a straight line|", max(off), at_most=1e-12),
        holds("LayerNorm, RMSNorm: change with the rest of the batch", max(alone), at_most=1e-12),
        holds("|LayerNorm's gradient − what a line misses|",
              abs(terms.direct[IMAGE] - line - terms.total[IMAGE]).max(), at_most=1e-12),
        holds("|RMSNorm's − what a line through 0 misses|",
              abs(flat.direct[IMAGE] - slope * u[IMAGE] - flat.total[IMAGE]).max(), at_most=1e-12),
        holds("rank of J, 16 images", np.linalg.matrix_rank(J, tol=1e-9), at_least=14, at_most=14),
        holds("|Jᵀg − what one walk brings|", abs(J.T @ g - below(x, g)[0]).max(), at_most=1e-12),
        breaks("gradcheck of the program with the fault", bool(hand), at_most=0),
        holds("ε = 0.1: |share of x̂ that passes − ε/(σ² + ε)|",
              abs(along.numpy()[:, 0] * s / hat(x) - 0.1 / s**2).max(), at_most=1e-12),
        holds("batches of two, ε = 10⁻⁵: cases", shares.size, at_least=7184, at_most=7184),
        holds("the median share that gets through", np.median(shares), at_least=0.95e-4, at_most=1.1e-4),
        breaks("the largest", shares.max(), at_least=0.5),
        holds("what the largest 72 squares hold of all", np.sort(squares)[-72:].sum() / squares.sum(),
              at_least=0.985, at_most=0.995),
        breaks("y.sum(), without the term of the variance", abs(one - one.mean()).max(), at_most=0),
        breaks("(y²).sum(), without that of the mean",
               abs(2 * hat(x) - hat(x) * (2 * hat(x) ** 2).mean()).max(), at_most=1e-12),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
