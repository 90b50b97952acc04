"""Is stopping early a penalty?

For everybody who has stopped a training when the validation loss no longer fell. Afterwards you can say
which penalty that resembles, where the two part, and what clipping does to a penalty.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 18: is stopping early a penalty?")

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

    STEPS = (1, 3, 10, 30, 100, 300, 1000)
    RATE, LAM, LIMIT = 0.05, 0.3, 1.0
    LEAST = 0.02  # the shortest gradient that the picture shows
    FLAT, STEEP = 1, 8  # two of the ten eigen-axes, those that the plane shows


@app.cell(hide_code=True)
def _():
    Title(
        Say("Is stopping early a penalty?", "早停是一种惩罚吗？"),
        lead=Say(
            "*Early stopping* ends descent after T steps of rate η = 0.05, far from the minimum of the loss "
            "L. Ridge goes to the very minimum, but of L + ½λ‖θ‖². Ten weights θ predict diabetes; all "
            "start at 0.",
            "**早停**让梯度下降在 T 步之后停下，离损失 L 的最小点还远；学习率 η = 0.05。"
            "岭回归则一直走到最小点，不过是 L + ½λ‖θ‖² 的最小点。这里用十个权重 θ 预测糖尿病的病情，"
            "全部从 0 出发。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "T steps end near ridge of some λ. T steps of half the rate η end near ridge of …",
            "走 T 步停下，终点接近某个 λ 的岭回归解。学习率 η 减半、仍走 T 步，终点接近哪个 λ 的岭回归解？",
        ),
        (
            Answer(
                Say("the same λ: about 1/T", "同一个 λ：约为 1/T"),
                Say(
                    "Half the rate goes half as far in T steps, so it has to resemble a stronger pull to 0. "
                    "Leave η out, and ridge is somewhere else: break it.",
                    "学习率减半，T 步只走一半的路，相当于更强地拉向 0。漏掉 η，岭回归的解就在别处："
                    "故意弄错，看看便知。",
                ),
            ),
            Answer(
                Say("about twice that λ", "约两倍的 λ"),
                Say(
                    "Yes: what counts is ηT, and λ = 1/(ηT) is near; at the T of the slider the best λ grows "
                    "1.3 to 2.5 times. Near only: for no λ do the two agree.",
                    "对：起作用的是 ηT，λ = 1/(ηT) 与之接近；在滑块的各个 T 处，最好的 λ 增至 1.3 到 2.5 倍。"
                    "但只是接近：没有哪一个 λ 能使两者相同。",
                ),
                right=True,
            ),
            Answer(
                Say("about half that λ", "约一半的 λ"),
                Say(
                    "The shorter the run, the nearer to 0 it ends. Ridge does that with a larger λ.",
                    "走得越短，终点离 0 越近。岭回归要做到这一点，λ 得更大。",
                ),
            ),
        ),
        asks=Say(
            "What did you see: with λ = 1/(ηT), do the two ever agree? Where least?",
            "你看到了什么：取 λ = 1/(ηT)，两者可曾一致？在哪里相差最大？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "T",
        STEPS,
        start=10,
        label="T",
        choices={
            "stop": Say("stopping", "早停"),
            "clip": Say("clipping in step T", "第 T 步的裁剪"),
        },
        broken=Say("leave one thing out", "漏掉一项"),
        caption=Say("T = {T:g}: {said}", "T = {T:g}：{said}"),
        alt=Say(
            "Left, over the curvature of an axis, the share of the way to the minimum that T steps have "
            "gone, and the share that ridge keeps: two curves that rise from 0 to 1 and move left together "
            "as T grows, never the same. Right, the same for two axes: both begin at 0 and "
            "end at the minimum, descent along a more bent route. Broken, ridge lies far ahead. The other "
            "choice shows lengths: clipping lowers loss and penalty by the same factor, and their shares "
            "stay; broken, the penalty alone is not lowered and gains.",
            "左图：横轴是各特征轴的曲率，两条曲线分别是 T 步走过的比例和岭回归保留的比例，都从 0 升到 1，"
            "T 增大时一起左移，却不重合。右图：其中两条轴上的路线，都从 0 到最小点，梯度下降的路线更弯。"
            "故意弄错时，岭回归的解远远跑在前面。另一选项显示长度：裁剪使损失与惩罚的梯度按同一因子缩短，"
            "份额不变；故意弄错时，只有惩罚不缩短，份额变大。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Each step** multiplies the distance to the minimum along an axis of curvature "
                "$\\mu$ by $1-\\eta\\mu$. Gone is, beside what ridge keeps (lesson 3):\n\n"
                r"$$\color{result}{1-(1-\eta\mu)^T} \quad\text{and}\quad "
                r"\color{penalty}{\mu/(\mu+\lambda)}$$",
                "**每一步**都把沿曲率 $\\mu$ 的轴到最小点的距离乘以 $1-\\eta\\mu$。"
                "走过的比例，与岭回归保留的比例（第 3 课）：\n\n"
                r"$$\color{result}{1-(1-\eta\mu)^T} \quad\text{与}\quad "
                r"\color{penalty}{\mu/(\mu+\lambda)}$$",
            ),
            Say(
                "**Where μ is small** these are ηTμ and μ/λ: alike at λ = 1/(ηT), [not at 1/T]"
                "(#choice=stop&T=10&broken). Where μ is large, what is left shrinks "
                "exponentially with descent, with ridge only like λ/μ. [No λ](#choice=stop&T=30) mends that.",
                "**μ 小时**，两者约为 ηTμ 与 μ/λ：λ = 1/(ηT) 时相同，[1/T 则不然]"
                "(#choice=stop&T=10&broken)。μ 大时，余下的路在梯度下降中按指数缩短，"
                "在岭回归中只像 λ/μ 那样缩短；[换哪个 λ](#choice=stop&T=30) 都补不上。",
            ),
            Say(
                "**Clipping** is no penalty either. It shortens a long gradient g to length C, "
                "[both parts](#choice=clip&T=10) by one factor:\n\n"
                r"$$\tfrac{C}{\|g\|}\,(\color{data}{\nabla L}+\color{penalty}{\lambda\theta})$$"
                "\n\nTheir shares stay. A decay [added after it](#choice=clip&T=10&broken) gains.",
                "**裁剪**也不是惩罚。它把过长的梯度 g 缩短到长度 C，"
                "[两部分](#choice=clip&T=10)乘同一个因子：\n\n"
                r"$$\tfrac{C}{\|g\|}\,(\color{data}{\nabla L}+\color{penalty}{\lambda\theta})$$"
                "\n\n各自的份额不变。[裁剪之后才加](#choice=clip&T=10&broken)的衰减，份额反而变大。",
            ),
        )
    )
    return


@app.function
def both(x, y, lr, steps):
    """Where descent from 0 is after so many steps, and ridge with λ = 1/(ηT)."""
    model, loss = mr.nn.Linear(x.shape[1], 1, bias=False, dtype=float), mr.nn.MSELoss()
    model.weight.assign(np.zeros((1, x.shape[1])))
    optimizer = mr.optim.SGD(model.parameters(), lr)
    stopped = mr.trajectory(model, loss, optimizer, x, y, steps)[-1]
    mr.solve(model, loss, mr.penalties.L2(1 / (lr * steps)), x, y)
    return stopped, model.weight.numpy()[0]


@app.cell(hide_code=True)
def _():
    Code(
        both,
        "(x, y), norm = patients(), np.linalg.norm\n"
        "for lr, steps in (0.05, 30), (0.025, 60), (0.025, 30):\n"
        "    stopped, ridge = both(x, y, lr, steps)\n"
        "    print(lr, steps, f'‖θ‖ = {norm(stopped):.3f}, apart {norm(stopped - ridge):.3f}')\n"
        "mu = np.linalg.eigvalsh(2 * x.T @ x / len(x))\n"
        "print('λ of each axis:', mr.implicit.equivalent_strength(mu, 0.05, 30).round(3))",
        Say(
            "Half the rate with twice the steps ends nearly at the same place; with the same steps nearer to "
            "0. The last line has the λ that each axis would need.",
            "学习率减半、步数加倍，终点几乎不变；步数不变，终点离 0 更近。最后一行是每条轴各自需要的 λ。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C108", "C111", "C107"), also=("C106", "C109", "C110", "C112"))
    return


@app.function(hide_code=True)
def learnt(mu, lr, T):
    """The share of the way that T steps go, along an axis of curvature μ."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "learnt",
        Say(
            "Along an eigen-axis L = ½μ(c − c₀)². Descent starts at c = 0 with the rate `lr`. Which share "
            "of the way to c₀ has it gone after T steps?",
            "沿一条特征轴 L = ½μ(c − c₀)²。梯度下降从 c = 0 出发，学习率为 `lr`。"
            "T 步之后，它走过了到 c₀ 的路的几分之几？",
        ),
        learnt,
        gone,
        cases=[(2.0, 0.1, 5), (0.5, 0.3, 8), (3.0, 0.25, 2)],
        limits={
            Say("T = 0: no step, nothing is gone, 0.", "T = 0：一步没走，应得 0。"): (2.0, 0.1, 0),
            Say(
                "μ = 0: L is flat along this axis, nothing moves, 0.",
                "μ = 0：L 沿这条轴是平的，不会移动，应得 0。",
            ): (0.0, 0.2, 4),
            Say(
                "ημ = 1: the first step lands on the minimum, 1.",
                "ημ = 1：第一步就落在最小点上，应得 1。",
            ): (2.0, 0.5, 3),
        },
        mistakes={
            Say("That is the share still to go.", "这是还没走的比例。"): lambda mu, lr, T: (
                (1 - lr * mu) ** T
            ),
            Say(
                "η is missing: a step is ημ of the way that is left, not μ.",
                "漏了 η：每一步走的是余下路程的 ημ，不是 μ。",
            ): lambda mu, lr, T: 1 - np.exp(-mu * T),
            Say(
                "That is for infinitely small steps. Each of T real steps multiplies the rest by 1 − ημ, "
                "which is less than exp(−ημ).",
                "这是步长无穷小的极限。实际的每一步把余下的路乘以 1 − ημ，它小于 exp(−ημ)。",
            ): lambda mu, lr, T: 1 - np.exp(-lr * mu * T),
            Say(
                "That is what ridge with λ = 1/(ηT) leaves to go. Descent multiplies the rest by 1 − ημ, T "
                "times.",
                "这是 λ = 1/(ηT) 的岭回归还没走的比例。梯度下降是把余下的路乘以 1 − ημ，乘 T 次。",
            ): lambda mu, lr, T: 1 / (1 + lr * mu * T),
            Say(
                "That is ridge with λ = 1/(ηT): one long step in place of T short ones, and it never gets "
                "there.",
                "这是 λ = 1/(ηT) 的岭回归：以一大步代替 T 小步，而且永远走不到。",
            ): lambda mu, lr, T: lr * mu * T / (1 + lr * mu * T),
            Say(
                "That is ridge with λ = 1/T, as a text has it. Descent takes T steps, and how long they are "
                "depends on η.",
                "这是一份教材所说的 λ = 1/T 的岭回归。梯度下降走 T 步，每步多长取决于 η。",
            ): lambda mu, lr, T: mu * T / (1 + mu * T),
            Say(
                "Only the first step goes ημ of the whole way. Each later one goes ημ of what is left.",
                "只有第一步走全程的 ημ；以后每一步走的是余下路程的 ημ。",
            ): lambda mu, lr, T: lr * mu * T,
            Say(
                "η is missing: the step is η times the slope μ(c − c₀).",
                "漏了 η：一步等于 η 乘以导数 μ(c − c₀)。",
            ): lambda mu, lr, T: 1 - (1 - mu) ** T,
            Say(
                "μ is missing: on a steep axis a step goes farther.",
                "漏了 μ：轴越陡，一步走得越远。",
            ): lambda mu, lr, T: 1 - (1 - lr) ** T,
            Say(
                "μ is missing, and that is for infinitely small steps: each real one multiplies the rest by "
                "1 − ημ.",
                "漏了 μ；而且这是步长无穷小的极限，实际的每一步把余下的路乘以 1 − ημ。",
            ): lambda mu, lr, T: 1 - np.exp(-lr * T),
            Say(
                "The slope of ½μ(c − c₀)² is μ(c − c₀): the ½ takes care of the 2.",
                "½μ(c − c₀)² 的导数是 μ(c − c₀)：2 已被 ½ 消去。",
            ): lambda mu, lr, T: 1 - (1 - 2 * lr * mu) ** T,
            Say(
                "The distance to c₀ shrinks: 1 − ημ, not 1 + ημ.",
                "到 c₀ 的距离在缩短：因子是 1 − ημ，不是 1 + ημ。",
            ): lambda mu, lr, T: 1 - (1 + lr * mu) ** T,
            Say(
                "Those are implicit steps, which take the slope where they arrive. Descent takes it where it "
                "is: the rest is multiplied by 1 − ημ.",
                "这是隐式步，用的是到达处的导数。梯度下降用的是出发处的导数：余下的路乘以 1 − ημ。",
            ): lambda mu, lr, T: 1 - (1 + lr * mu) ** -T,
            Say(
                "That is the share by which L has fallen: it goes with the square of the distance.",
                "这是 L 下降的比例，它随距离的平方而变。",
            ): lambda mu, lr, T: 1 - (1 - lr * mu) ** (2 * T),
            Say(
                "That is one step: the way is not cut in T parts. T steps multiply the rest T times.",
                "这只是一步。T 步要把余下的路连乘 T 次。",
            ): lambda mu, lr, T: lr * mu,
            Say(
                "One step too few: after T steps the factor 1 − ημ stands there T times.",
                "少了一步：T 步之后，因子 1 − ημ 出现 T 次。",
            ): lambda mu, lr, T: 1 - (1 - lr * mu) ** (T - 1.0),
            Say(
                "T times the factor is not T factors: it is a power.",
                "“因子乘以 T”不是“T 个因子相乘”：应当是幂。",
            ): lambda mu, lr, T: 1 - (1 - lr * mu) * T,
            Say(
                "After a step not ημ is left but 1 − ημ.", "一步之后余下的不是 ημ，而是 1 − ημ。"
            ): lambda mu, lr, T: 1 - (lr * mu) ** T,
            Say(
                "What is left is multiplied by 1 − ημ, which is positive here; with the other sign it "
                "changes sides at each step.",
                "余下的路每步乘以 1 − ημ，这里是正数；符号反了，就会每步换到另一侧。",
            ): lambda mu, lr, T: 1 - (lr * mu - 1) ** T,
            Say(
                "Without brackets around 1 − ημ only ημ is raised to the power T.",
                "1 − ημ 没有加括号，只有 ημ 被取了 T 次幂。",
            ): lambda mu, lr, T: 1 - (1 - (lr * mu) ** T),
        },
        hints=(
            Say("A step: c becomes c − ημ(c − c₀).", "一步：c 变为 c − ημ(c − c₀)。"),
            Say(
                "What becomes of c − c₀? It is multiplied by 1 − ημ.",
                "c − c₀ 变成什么？它被乘以 1 − ημ。",
            ),
        ),
        why=Say(
            "of the way (1 − ημ)ᵀ is left. On steep axes that is gone after a few steps, on flat ones hardly "
            "anything has happened yet.",
            "余下的路是 (1 − ημ)ᵀ。陡的轴几步就走完，平坦的轴几乎还没动。",
        ),
    )
    return


@app.function(hide_code=True)
def gone(mu, lr, T):
    """The share of the way that T steps go, along an axis of curvature μ."""
    return 1 - (1 - lr * mu) ** T


@app.function(hide_code=True)
def alike(mu, lr, T):
    """The λ for which ridge keeps the share that T steps have gone."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "alike",
        Say(
            "For a single axis of curvature μ one λ makes ridge keep just what T steps have gone. Which?",
            "单看一条曲率为 μ 的轴，有一个 λ 使岭回归保留的比例恰好等于 T 步走过的比例。是哪个？",
        ),
        alike,
        own,
        cases=[(2.0, 0.1, 5), (0.5, 0.3, 8), (3.0, 0.25, 2)],
        limits={
            Say(
                "ημ = 1: the minimum is reached in one step, as without a penalty: λ = 0.",
                "ημ = 1：一步就到最小点，和没有惩罚一样：λ = 0。",
            ): (np.float64(2), 0.5, 3),
            Say(
                "T = 1: of the way ημ is gone, μ/(μ + λ) = ημ: here 4 − 2 = 2.",
                "T = 1：走过 ημ，即 μ/(μ + λ) = ημ：这里是 4 − 2 = 2。",
            ): (2.0, 0.25, 1),
        },
        mistakes={
            Say(
                "So a text has it. η is missing, and every axis would have the same λ.",
                "一份教材是这样写的。漏了 η；而且这样各条轴的 λ 都相同了。",
            ): lambda mu, lr, T: 1 / T,
            Say(
                "Right for flat axes only, where ημT is small. A steep one needs much less.",
                "只对平坦的轴（ημT 很小时）近似成立。陡的轴所需的 λ 小得多。",
            ): lambda mu, lr, T: 1 / (lr * T),
            Say(
                "The ½ is in ½λ‖θ‖² already, so a text's 1/(2T) stands for λ = 1/T. η is missing, and every "
                "axis would have the same λ.",
                "½ 已经在 ½λ‖θ‖² 里，教材的 1/(2T) 对应 λ = 1/T。而且漏了 η；这样各条轴的 λ 都相同了。",
            ): lambda mu, lr, T: 1 / (2 * T),
            Say(
                "The ½ is in ½λ‖θ‖² already: 1/(ηT), and that for flat axes only.",
                "½ 已经在 ½λ‖θ‖² 里，应为 1/(ηT)；而且那也只对平坦的轴近似成立。",
            ): lambda mu, lr, T: 1 / (2 * lr * T),
            Say(
                "For a flat axis λ is 1/(ηT), without μ: small shares ηTμ and μ/λ have μ in common.",
                "对平坦的轴，λ 约为 1/(ηT)，没有 μ：比例很小时是 ηTμ 与 μ/λ，μ 是公因子。",
            ): lambda mu, lr, T: 1 / (lr * mu * T),
            Say(
                "μ is missing: the share μ/(μ + λ) depends on λ/μ, so λ is μ times that.",
                "漏了 μ：μ/(μ + λ) 只取决于 λ/μ，所以 λ 要再乘 μ。",
            ): lambda mu, lr, T: (1 - lr * mu) ** T / (1 - (1 - lr * mu) ** T),
            Say(
                "The wrong way round: λ would grow with T. What is left stands above, what is gone below.",
                "颠倒了：这样 λ 会随 T 增大。分子是余下的比例，分母是走过的比例。",
            ): lambda mu, lr, T: mu * (1 - (1 - lr * mu) ** T) / (1 - lr * mu) ** T,
            Say(
                "That is μ + λ: μ has to be subtracted.", "这是 μ + λ，还要减去 μ。"
            ): lambda mu, lr, T: mu / (1 - (1 - lr * mu) ** T),
            Say(
                "λ/(μ + λ) is what is left; λ itself is more: divide by what is gone.",
                "余下的比例是 λ/(μ + λ)；λ 本身更大：还要除以走过的比例。",
            ): lambda mu, lr, T: mu * (1 - lr * mu) ** T,
            Say(
                "That is what is left to go, λ/(μ + λ). Solve for λ.",
                "这是余下的比例 λ/(μ + λ)。由它解出 λ。",
            ): lambda mu, lr, T: (1 - lr * mu) ** T,
            Say(
                "That is what is gone, μ/(μ + λ). Solve for λ.",
                "这是走过的比例 μ/(μ + λ)。由它解出 λ。",
            ): lambda mu, lr, T: 1 - (1 - lr * mu) ** T,
            Say(
                "That is (μ + λ)/μ, one over what is gone: subtract 1, then multiply by μ.",
                "这是 (μ + λ)/μ，即走过的比例的倒数：先减 1，再乘 μ。",
            ): lambda mu, lr, T: 1 / (1 - (1 - lr * mu) ** T),
            Say(
                "The sign: with g for the share gone, μ/(μ + λ) = g gives λ = μ(1 − g)/g, positive.",
                "符号反了：记走过的比例为 g，由 μ/(μ + λ) = g 得 λ = μ(1 − g)/g，是正数。",
            ): lambda mu, lr, T: mu - mu / (1 - (1 - lr * mu) ** T),
            Say(
                "Right for infinitely small steps. Here a step leaves 1 − ημ, not exp(−ημ).",
                "这是步长无穷小的极限。这里每一步余下 1 − ημ，不是 exp(−ημ)。",
            ): lambda mu, lr, T: mu / np.expm1(lr * mu * T),
            Say(
                "That solves 1/(1 + λμ) = g, the share gone. Ridge keeps μ/(μ + λ): a steep axis keeps "
                "more, not less.",
                "这是由 1/(1 + λμ) = g 解出的，g 是走过的比例。岭回归保留 μ/(μ + λ)：轴越陡，保留越多，"
                "而不是越少。",
            ): lambda mu, lr, T: (1 - lr * mu) ** T / (1 - (1 - lr * mu) ** T) / mu,
        },
        hints=(
            Say(
                "Ridge keeps μ/(μ + λ). Set it equal to the share gone, 1 − (1 − ημ)ᵀ.",
                "岭回归保留 μ/(μ + λ)。令它等于走过的比例 1 − (1 − ημ)ᵀ。",
            ),
            Say(
                "With g for the share gone: μ = g(μ + λ). Solve for λ.",
                "记走过的比例为 g：μ = g(μ + λ)。解出 λ。",
            ),
        ),
        why=Say(
            "about 1/(ηT) for flat axes and next to nothing for steep ones. So no single λ does what "
            "stopping does.",
            "平坦的轴约为 1/(ηT)，陡的轴几乎为 0。所以没有哪一个 λ 与早停效果相同。",
        ),
    )
    return


@app.function(hide_code=True)
def own(mu, lr, T):
    """The λ for which ridge keeps the share that T steps have gone."""
    gone = 1 - (1 - lr * mu) ** T
    return mu * (1 - gone) / gone


@app.function(hide_code=True)
def step_with_a_fault(model, x, y, lam, C):
    """Meant: a step on loss + ½λ‖θ‖², the whole gradient clipped to C."""
    objective = mr.Objective(mr.nn.MSELoss())
    optimizer = mr.optim.SGD(model.parameters(), lr=0.05, weight_decay=lam)
    ledger = mr.Ledger(optimizer, model)
    optimizer.zero_grad()
    objective(model, x, y).backward()
    mr.optim.clip_grad_norm_(model.parameters(), C)
    optimizer.step()
    return ledger.last


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "With C = 1 and η = 0.05 no step should be longer than 0.05, and clipping should shorten data "
            "and L2 by one factor. In the ledger of one step, λ = 0.3, a row “clip” is what clipping took "
            "back. Which line of the program is wrong?",
            "C = 1、η = 0.05 时，一步不该长于 0.05；裁剪时，L2 应与数据按同一因子缩短。"
            "下面是一步的账本（λ = 0.3），clip 一行是裁剪收回的部分。程序的哪一行错了？",
        ),
        step_with_a_fault,
        lambda: step_with_a_fault(wild(), *patients(), LAM, LIMIT).table(),
        "weight_decay=",
        why=Say(
            "Yes: this decay is added in `optimizer.step()`, after the clip, so it has no row clip. The "
            'penalty belongs into the objective: `{"l2": mr.penalties.L2(lam)}`.',
            "对：这个衰减是在 `optimizer.step()` 里、裁剪之后才加上的，所以账本中没有它的 clip 一行。"
            '惩罚应写进目标函数：`{"l2": mr.penalties.L2(lam)}`。',
        ),
        others={
            "clip_grad_norm_": Say(
                "It multiplies all that is in the gradient by C/‖g‖. That divides no term by C and leaves "
                "every share as it was. Is the penalty in there?",
                "它把梯度里的一切都乘以 C/‖g‖：既不是把某一项除以 C，也不改变任何一项的份额。"
                "可惩罚在梯度里吗？",
            ),
            "Objective": Say(
                "An objective without a penalty is complete in itself. But where does this program have λ?",
                "目标函数可以不含惩罚。可这个程序把 λ 放在了哪里？",
            ),
            "backward": Say(
                "It puts into the gradient what is in the objective. What is missing there comes from "
                "another line.",
                "目标函数里有什么，它就把什么放进梯度。缺的那一项来自别的行。",
            ),
            "optimizer.step": Say(
                "It does what it was told when it was made.", "它只是照创建时的设定去做。"
            ),
            "Ledger": Say(
                "The ledger only watches: its residual is rounding.",
                "账本只作记录：residual 只是舍入误差。",
            ),
            "": Say(
                "Here nothing of λ is decided. Which entry has no row clip?",
                "这一行与 λ 无关。账本中哪一项没有 clip 一行？",
            ),
        },
        hints=(
            Say(
                "Two entries are fresh in this step. How many of them are clipped?",
                "这一步有两项 fresh。其中几项被裁剪了？",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "Lesson 3's two weights, centred: least squares has LDL at −0.08. Descent (η = 0.05, no "
            "penalty) starts at 0, and along each eigen-axis it only comes nearer. LDL after 10 steps?",
            "第 3 课的两个权重（数据已中心化）：最小二乘解中 LDL 为 −0.08。不加惩罚，梯度下降从 0 出发"
            "（η = 0.05），沿每条特征轴都一路靠近终点。10 步之后，LDL 的权重如何？",
        ),
        3,
        (
            Answer(
                Say("Negative, but nearer to 0", "负的，但离 0 更近"),
                Say(
                    "So it would be if both parts had gone the same share of the way. The steep one, the "
                    "sum, is far ahead.",
                    "若两个分量走过的比例相同，就会是这样。可是陡的那个（“和”）远远走在前面。",
                ),
            ),
            Answer(
                Say("Positive", "正的"),
                Say(
                    "Yes: +0.07. LDL is sum minus difference; the sum is learnt first, and only later the "
                    "difference takes it below 0. Few steps do what a large λ did.",
                    "对：+0.07。LDL 是“和”减“差”；先学到“和”，以后“差”才把它拉到 0 以下。"
                    "步数少，与 λ 大是同样的效果。",
                ),
                right=True,
            ),
            Answer(
                Say("Below −0.08: it overshoots", "小于 −0.08：冲过了头"),
                Say(
                    "Overshooting takes ημ > 1; here it is 0.19 at most.",
                    "要 ημ > 1 才会冲过头；这里最大也只有 0.19。",
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
                "T steps along an axis of curvature μ go 1 − (1 − ημ)ᵀ of the way: steep axes are learnt "
                "first, as with ridge.",
                "沿曲率为 μ 的轴，T 步走过 1 − (1 − ημ)ᵀ：先学到陡的轴，这与岭回归相同。",
            ),
            Say(
                "Stopping resembles ridge of λ = 1/(ηT), with η, and is never equal to it: each axis has a "
                "λ of its own. When to stop is for the validation loss to say.",
                "早停近似于 λ = 1/(ηT) 的岭回归（不可漏掉 η），却不等于它：每条轴各有自己的 λ。"
                "何时停止，要看验证损失。",
            ),
            Say(
                "Clipping shortens data and penalty alike: shares stay, and, with all data in each step, "
                "the minimum. A decay added after it gains.",
                "梯度裁剪把数据与惩罚的梯度按同一因子缩短：份额不变，最小点也不变（每一步都用全部数据时）。"
                "裁剪之后才加的衰减相对变强。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("How is T found, and what is clipped?", "T 怎样确定？裁剪的是什么？"),
        Say(
            "By data that are not trained on. `mr.optim.EarlyStopping(patience=10)` waits ten epochs for a "
            "better validation loss; `mr.fit` then puts the best weights back. In the picture of one axis: "
            "a longer run has less bias, since more of the way is gone, and more variance, since along a "
            "flat axis it is mostly the noise of the data that is learnt last. The other picture is a "
            "descent on L + ½λ‖θ‖², λ = 0.3, from random weights; every gradient is clipped to C = 1.",
            "靠没有参与训练的数据。`mr.optim.EarlyStopping(patience=10)` 在验证损失连续十轮没有改善时停止，"
            "`mr.fit` 随后放回最好的权重。从一条轴来看：走得越久，偏差越小，因为走过的路更多；方差越大，"
            "因为平坦的轴最后才学到，而那里学到的多是数据的噪声。另一幅图是从随机权重出发、"
            "在 L + ½λ‖θ‖² 上的梯度下降，λ = 0.3，每个梯度都裁剪到 C = 1。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
@cache
def patients():
    """442 patients × 10 measurements and the progression of the disease, all standardized."""
    x, y = mr.datasets.arrays("diabetes")
    return (x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None]


@app.function(hide_code=True)
@cache
def axes():
    """Curvatures of the loss, the eigen-axes as columns, and the least squares solution along them."""
    x, y = patients()
    mu, v = np.linalg.eigh(2 * x.T @ x / len(x))
    return mu, v, np.linalg.lstsq(x, y[:, 0])[0] @ v


@app.function(hide_code=True)
def wild():
    """A linear model with random weights, where the gradient is long."""
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(np.random.default_rng(0).standard_normal((1, 10)))
    return model


@app.function(hide_code=True)
@cache
def descent(clipped=False):
    """The weights before each step: from 0 on the loss, or from random ones with L2 and clipping."""
    model, loss = wild(), mr.nn.MSELoss()
    if not clipped:
        model.weight.assign(np.zeros((1, 10)))
    objective = mr.Objective(loss, {"l2": mr.penalties.L2(LAM)} if clipped else {})
    optimizer = mr.optim.SGD(model.parameters(), RATE)
    clip = LIMIT if clipped else None
    return mr.trajectory(model, objective, optimizer, *patients(), max(STEPS), clip_norm=clip)


@app.function(hide_code=True)
def apart(T, strength):
    """How far ridge is from where T steps lead, as a share of the latter's length."""
    mu, v, best = axes()
    end = descent()[T] @ v
    ridges = np.multiply.outer(np.ones_like(strength), best) * (mu / (mu + np.c_[strength]))
    return np.linalg.norm(end - ridges, axis=1) / np.linalg.norm(end)


@app.function(hide_code=True)
def picture(T, choice, broken=False):
    """Shares of the way to the minimum; or the gradient of step T before and after clipping."""
    return stopping(T, broken) if choice == "stop" else clipping(T, broken)


@app.function(hide_code=True)
def stopping(T, broken):
    """What T steps learn along each axis, and what ridge keeps."""
    (mu, v, best), wide, two = axes(), np.geomspace(0.01, 10, 121), [FLAT, STEEP]
    steps, ridge = mr.implicit.early_stopping_filter, mr.implicit.ridge_filter
    learnt, lam, wrong = descent()[T] @ v / best, 1 / (RATE * T), 1 / T
    percent = {0: "0", 0.5: Say("50 %", "50%"), 1: Say("100 %", "100%")}
    left = Panel(
        Say("share of the way to the minimum", "走过的比例（到最小点的路）"),
        x=(0.01, 10), y=(0, 1.04), log="x", yticks=percent, height=255,
        xlabel=Say("curvature μ of the axis", "轴的曲率 μ"),
    )  # fmt: skip
    right = Panel(
        Say("two of the axes", "其中两条轴"), x=(0, 1.04), y=(0, 1.04), xticks=percent, yticks=percent,
        height=255, xlabel=Say("flat, μ = 0.16", "平坦的轴，μ = 0.16"),
        ylabel=Say("steep, μ = 2.98", "陡的轴，μ = 2.98"),
    )  # fmt: skip
    times = np.unique(np.geomspace(1, 3000, 90).astype(int))
    strengths = np.geomspace(1e4, 1e-4, 121)
    route = np.array([[0, 0], *(steps(mu[two], RATE, int(t)) for t in times)])
    bent = np.array([ridge(mu[two], s) for s in strengths])
    right.line(*route.T, "result", label=Say("descent", "梯度下降"))
    right.line(*bent.T, "penalty", label=Say("ridge", "岭回归"))
    right.dots([1], [1], "data", size=6, label=Say("minimum of L", "L 的最小点"))
    left.line(wide, steps(wide, RATE, T), "result", label=Say("T steps", "T 步"))
    left.line(
        wide, ridge(wide, lam), "penalty", label=Say("ridge, λ = 1/(ηT)", "岭回归，λ = 1/(ηT)")
    )
    right.dots(*ridge(mu[two], lam)[:, None], "penalty", size=6)
    left.dots(mu, ridge(mu, lam), "penalty")
    if broken:
        left.line(wide, ridge(wide, wrong), "broken", label=Say("λ = 1/T", "λ = 1/T"))
        left.dots(mu, ridge(mu, wrong), "broken")
        right.dots(*ridge(mu[two], wrong)[:, None], "broken", size=6)
    left.dots(mu, learnt, "result")
    right.dots(*learnt[two][:, None], "result", size=6).handle(*learnt[two])
    off, least = (
        apart(T, wrong if broken else lam)[0],
        apart(T, np.geomspace(0.01, 2, 400) * lam).min(),
    )
    if broken:
        said = Say(
            f"η is left out, λ = 1/T = {wrong:.3g}: the weights are {off:.0%} apart.".replace(
                "%", " %"
            ),
            f"漏掉 η，取 λ = 1/T = {wrong:.3g}：两组权重相差 {off:.0%}。",
        )
    else:
        said = Say(
            f"at λ = 1/(ηT) = {lam:.3g} the weights are {off:.1%} apart; the best λ of all leaves "
            f"{least:.1%}.".replace("%", " %"),
            f"取 λ = 1/(ηT) = {lam:.3g}，两组权重相差 {off:.1%}；即使换成最好的 λ，也还差 {least:.1%}。",
        )
    return Frame(left, right, said=said, off=off, least=least)


@app.function(hide_code=True)
def clipping(T, broken):
    """Length and share of the two parts of the gradient in step T, before and after clipping."""
    x, y = patients()
    w = descent(clipped=True)[T - 1]
    data, pull = 2 * x.T @ (x @ w - y[:, 0]) / len(x), LAM * w
    norm = np.linalg.norm(data if broken else data + pull)
    factor = min(1, LIMIT / norm)
    after = [factor * data, pull if broken else factor * pull]
    lengths = np.array([[*map(np.linalg.norm, g)] for g in ((data, pull), after)])
    whole = [np.linalg.norm(data + pull), np.linalg.norm(sum(after))]
    share, role = lengths[:, 1] / lengths.sum(1), "broken" if broken else "penalty"
    ends = {0: Say("before clipping", "裁剪前"), 1: Say("after", "裁剪后")}
    left = Panel(
        Say("lengths", "长度"), x=(-0.35, 1.35), y=(LEAST, 10), log="y", xticks=ends, height=255,
    )  # fmt: skip
    left.hline(LIMIT, "C")
    seen = [size if size > LEAST else np.nan for size in whole]  # below the axes there is no label
    left.line([0, 1], seen, "ink", width=1.5, label=Say("whole gradient", "整个梯度"))
    left.line([0, 1], lengths[:, 0], "data", label=Say("of the loss, ∇L", "损失的 ∇L"))
    left.line([0, 1], lengths[:, 1], role, label=Say("of L2, λθ", "L2 的 λθ"))
    left.dots([0, 1], lengths[:, 0], "data", size=6).dots([0, 1], lengths[:, 1], role, size=6)
    right = Panel(
        Say("shares of the two parts", "两部分的份额"), x=(-0.6, 1.6), y=(0, 1), xticks=ends, height=255,
        yticks={0: "0", 0.5: Say("50 %", "50%"), 1: Say("100 %", "100%")},
    )  # fmt: skip
    for at, own in ((0, "penalty"), (1, role)):
        right.bars([at], [1], own, width=0.7).bars([at], [1 - share[at]], "data", width=0.72)
    before, now = (f"{100 * s:.1f}" for s in share)
    if whole[0] < LEAST:
        said = Say(
            f"near the minimum the two parts cancel, and nothing is clipped. L2's share: {before} %.",
            f"在最小点附近，两部分几乎抵消，没有裁剪。L2 的份额：{before}%。",
        )
    elif factor == 1:
        what = Say("∇L", "∇L ") if broken else Say("the gradient", "梯度")
        said = Say(
            f"{what.en} is shorter than C, so nothing is clipped. L2's share: {before} %.",
            f"{what.zh}比 C 短，没有裁剪。L2 的份额：{before}%。",
        )
    elif broken:
        said = Say(
            f"only ∇L is clipped, and L2 comes after it. L2's share: {before} % → {now} %.",
            f"只裁剪 ∇L，L2 在裁剪之后才加上。L2 的份额：{before}% → {now}%。",
        )
    else:
        said = Say(
            f"the gradient's length {norm:.2f} is cut to C = 1. L2's share: {before} % → {now} %.",
            f"梯度的长度由 {norm:.2f} 裁到 C = 1。L2 的份额：{before}% → {now}%。",
        )
    return Frame(left, right, said=said, before=share[0], after=share[1])


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    (x, y), (mu, v, best) = patients(), axes()
    near = both(x, y, RATE, 30)[1]
    lengths = [
        np.linalg.norm(both(x, y, lr, T)[0]) for lr, T in ((0.05, 30), (0.025, 60), (0.025, 30))
    ]
    shares = [descent()[T] @ v / best - gone(mu, RATE, T) for T in STEPS]
    strengths = np.geomspace(1e-3, 100, 2000)
    ridges = best * (mu / (mu + strengths[:, None]))

    def nearest(lr, T):
        off = ridges - best * gone(mu, lr, T)
        return strengths[np.linalg.norm(off, axis=1).argmin()]

    grown = [nearest(RATE / 2, T) / nearest(RATE, T) for T in STEPS]
    offs = np.array([apart(T, 1 / (RATE * T))[0] for T in STEPS])
    two = mr.nn.Linear(2, 1, bias=False, dtype=np.float64)
    two.weight.assign(np.zeros((1, 2)))
    optimizer = mr.optim.SGD(two.parameters(), RATE)
    ldl = mr.trajectory(two, mr.nn.MSELoss(), optimizer, x[:, 4:6], y, 3000)[:, 1]
    steep = np.linalg.eigvalsh(2 * x[:, 4:6].T @ x[:, 4:6] / len(x))[-1]
    model = wild()
    optimizer = mr.optim.SGD(model.parameters(), RATE)
    ledger = mr.Ledger(optimizer, model)
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(LAM)})
    objective(model, x, y).backward()
    mr.optim.clip_grad_norm_(model.parameters(), LIMIT)
    optimizer.step()
    row = ledger.last["weight"]
    size = lambda term, *kinds: np.linalg.norm(sum(row[term, kind] for kind in kinds))
    ratios = [size("l2", *k) / size("data", *k) for k in (("fresh",), ("fresh", "clip"))]
    mine = clipping(1, False).numbers["before"]
    faulty = step_with_a_fault(wild(), x, y, LAM, LIMIT)["weight"]
    return [
        holds("|share learnt − (1 − (1 − ημ)ᵀ)|, ten axes, all T", np.abs(shares).max(), at_most=1e-9),
        holds("|mr.solve − the picture's ridge|",
              abs(near @ v - best * mu / (mu + 1 / (30 * RATE))).max(), at_most=1e-6),
        breaks("θ_T and ridge, λ = 1/(ηT): nearest of all T", offs.min(), at_least=0.04),
        breaks("the best of all λ, nearest of all T",
               min(stopping(T, False).numbers["least"] for T in STEPS), at_least=0.005),
        holds("half the rate: the best λ grows, least of all T", min(grown), at_least=1.25, at_most=1.35),
        holds("most", max(grown), at_least=2.45, at_most=2.55),
        holds("half the rate, twice the steps: length over that before", lengths[1] / lengths[0],
              at_least=0.99, at_most=1.01),
        holds("half the rate, the same steps", lengths[2] / lengths[0], at_most=0.95),
        holds("μ of the flat axis", mu[FLAT], at_least=0.155, at_most=0.165),
        holds("μ of the steep axis", mu[STEEP], at_least=2.975, at_most=2.985),
        holds("two weights: LDL after 10 steps", ldl[10], at_least=0.065, at_most=0.075),
        holds("at the end", ldl[-1], at_least=-0.085, at_most=-0.075),
        holds("its steep axis: ημ", RATE * steep, at_least=0.185, at_most=0.195),
        holds("step 1: |L2/data clipped over not − 1|", abs(ratios[1] / ratios[0] - 1), at_most=1e-12),
        holds("|share in the picture − the ledger's|", abs(mine - ratios[0] / (1 + ratios[0])),
              at_most=1e-12),
        breaks("the step with the fault: its length", np.linalg.norm(faulty.actual), at_least=0.051),
        holds("the right step's", np.linalg.norm(row.actual), at_most=0.05),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
