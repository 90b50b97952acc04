"""What did you believe when you typed λ?

For everybody who types a number for λ. Afterwards you can say which belief about the weights it stands
for, what units and the number of samples make of it, and what an exact zero under L1 says.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 9: what did you believe when you typed λ?")

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
        Predict,
        Recall,
        Title,
        Told,
        Why,
        Write,
    )
    from minireg.pictures import Frame, Panel, Say, Scene

    NOISE = 62  # σ, in points: what is left of the progression when BMI has explained what it can
    BELIEF = {"gauss": mr.implicit.Gaussian(3), "laplace": mr.implicit.Laplace(3 / 2**0.5)}


@app.cell(hide_code=True)
def _():
    Title(
        Say("What did you believe when you typed λ?", "写下 λ 的时候，你相信了什么？"),
        lead=Say(
            "By how many points θ does diabetes progress per kg/m² of body mass index (BMI)? What you "
            "believe before you see n patients, 0 give or take 3, is a penalty of strength λ. Patients "
            "scatter about θ·BMI by σ = 62 points.",
            "体重指数（BMI）每高 1 kg/m²，糖尿病的病情指标高出多少点（记作 θ）？"
            "看到 n 位患者的数据之前，你相信它大约是 0 ± 3：这就是一个强度为 λ 的惩罚。"
            "各位患者围绕 θ·BMI 散布，标准差 σ = 62 点。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "BMI now comes in g/m²: all its numbers × 1000. λ stays. What becomes of the predictions?",
            "BMI 改以 g/m² 计，数值都乘以 1000，λ 不变。模型的预测会怎样？",
        ),
        (
            Answer(
                Say("They stay as they were", "和原来一样"),
                Say(
                    "Least squares would do that. But the weight is now a thousandth of what it was, and "
                    "its penalty a millionth: the orange curve is flat, and the data decide alone.",
                    "最小二乘才会如此。现在权重缩小为千分之一，惩罚缩小为百万分之一："
                    "橙线变平，一切由数据说了算。",
                ),
            ),
            Answer(
                Say("As if there were no penalty", "就像没有惩罚一样"),
                Say(
                    "Yes: the orange curve goes flat. ±3 points per g/m² is ±3000 per kg/m²: with the same "
                    "number λ you believe next to nothing.",
                    "对：橙线变平了。每 g/m² ±3 点，就是每 kg/m² ±3000 点："
                    "同一个数 λ，此时几乎什么信念也没有表达。",
                ),
                right=True,
            ),
            Answer(
                Say("All nearly the mean", "都接近平均值"),
                Say(
                    "The other way round: that takes large weights. In g/m² a weight is a thousandth of "
                    "what it was, too small for the penalty to bite; the orange curve goes flat.",
                    "正相反：那需要权重的数值变大。以 g/m² 计，权重只有原来的千分之一，"
                    "小到惩罚几乎不起作用；橙线变平了。",
                ),
            ),
        ),
        asks=Say(
            "Break it: what did you see of the orange curve, and where did the red one go?",
            "勾选“故意弄错”：橙线怎样了？红线移到了哪里？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "n",
        (2, 5, 10, 20, 50, 100, 200, 442),
        start=10,
        label=Say("patients n", "患者数 n"),
        choices={
            "gauss": Say("Gauss", "高斯"),
            "laplace": Say("Laplace", "拉普拉斯"),
        },
        broken=Say("g/m², same λ", "改用 g/m²，λ 不变"),
        caption=Say(
            "λ = {lam:g}. The data alone: {data:.1f}. Training: {said}. Mean of the posterior: {mean:.2f}.",
            "λ = {lam:g}。单看数据：{data:.1f}；训练得到：{said}；后验均值：{mean:.2f}。",
        ),
        alt=Say(
            "Left, over θ, a belief around 0 in orange, the likelihood of n patients in blue and the "
            "posterior in green between them. Right, their negative logarithms: two costs and their sum, "
            "which is least where the posterior is highest. With more patients the blue curve narrows and "
            "the green one goes to it; the orange one stays. A Laplace belief holds the peak at exactly 0 "
            "up to ten patients, but not the mean. In g/m² the orange curve is flat.",
            "左图横轴为 θ：橙线是 0 附近的先验，蓝线是 n 位患者的似然，绿线是介于两者之间的后验。"
            "右图是它们的负对数：两项代价及其和，和的最低处就是后验的最高处。患者越多，蓝线越窄，"
            "绿线向它靠拢，橙线不动。拉普拉斯先验下，患者不超过十位时峰恰好停在 0，均值却不在 0。"
            "改用 g/m² 后橙线变平。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Bayes** multiplies belief and data, and −log makes that a sum: penalty and loss. "
                "Training finds its minimum, the most probable θ.\n\n"
                r"$$-\log p(\theta\mid y) = \color{data}{\sum_i\frac{(y_i-\theta x_i)^2}{2\sigma^2}}"
                r"\ \color{penalty}{-\log p(\theta)} + \text{const}$$",
                "**贝叶斯公式**把先验与数据相乘；取负对数，乘积变成和：惩罚加损失。"
                "训练找到的是它的最小点，即最可能的 θ。\n\n"
                r"$$-\log p(\theta\mid y) = \color{data}{\sum_i\frac{(y_i-\theta x_i)^2}{2\sigma^2}}"
                r"\ \color{penalty}{-\log p(\theta)} + \text{常数}$$",
            ),
            Say(
                "**Which belief?** The [bell](#choice=gauss) costs a square: L2. The "
                "[pointed one](#choice=laplace) costs $\\left|\\theta\\right|$: L1, and its kink can "
                "hold the minimum at 0.\n\n"
                r"$$\color{penalty}{\frac{\theta^2}{2\tau^2}} \quad\text{or}\quad "
                r"\color{penalty}{\frac{\left|\theta\right|}{b}}$$",
                "**怎样的先验**？[钟形](#choice=gauss)的代价是平方，即 L2；[尖顶](#choice=laplace)的代价是 "
                "$\\left|\\theta\\right|$，即 L1，它的尖点能把最小点留在 0。\n\n"
                r"$$\color{penalty}{\frac{\theta^2}{2\tau^2}} \quad\text{或}\quad "
                r"\color{penalty}{\frac{\left|\theta\right|}{b}}$$",
            ),
            Say(
                "**What a number λ says.** The sum grows with n, the belief does not. So with a *mean* "
                "square λ falls as 1/n, until the [data decide](#n=442). And τ has a unit: "
                "[another unit](#n=10&broken), another belief.\n\n"
                r"$$\color{penalty}{\lambda} = \frac{2\sigma^2}{n\,\color{penalty}{\tau^2}}$$",
                "**λ 这个数说了什么**？平方和随 n 增大，先验却不变；所以损失取*平均*时，λ 按 1/n 减小，"
                "直到[数据说了算](#n=442)。而且 τ 有单位：[换了单位](#n=10&broken)，就是另一种先验。\n\n"
                r"$$\color{penalty}{\lambda} = \frac{2\sigma^2}{n\,\color{penalty}{\tau^2}}$$",
            ),
        )
    )
    return


@app.function
def trained(prior, n):
    """θ after training on n patients with the penalty that this belief stands for."""
    x, y = patients(n)
    model = mr.nn.Linear(1, 1, bias=False, dtype=np.float64)
    mr.solve(model, mr.nn.MSELoss(), prior.penalty(n, noise=62), x, y[:, None])
    return model.weight.item()


@app.cell(hide_code=True)
def _():
    Code(
        trained,
        "for prior in (mr.implicit.Gaussian(std=3), mr.implicit.Laplace(scale=3 / 2**0.5)):\n"
        "    for n in (10, 442):\n"
        "        found = prior.posterior(*patients(n), noise=62)\n"
        "        print(prior.penalty(n, noise=62), trained(prior, n), *found.mode, *found.mean)",
        Say(
            "Each line prints the penalty, what training finds, the most probable θ and the mean θ. "
            "`patients(n)` are the first n; σ = 62 is taken as known. A Laplace belief of scale b has the "
            "standard deviation √2·b: 3/√2 also means give or take 3.",
            "每行依次是惩罚、训练的结果、最可能的 θ、θ 的均值。`patients(n)` 是前 n 位患者；"
            "σ = 62 视为已知。尺度为 b 的拉普拉斯分布标准差为 √2·b，所以取 3/√2，同样表示 0 ± 3。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C118", "C120", "C124"), also=("C119", "C125"))
    return


@app.function(hide_code=True)
def strength(noise, std, n):
    """λ of ½λθ² beside the loss ½·mean((y − θx)²)."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "strength",
        Say(
            "Another convention: the loss is ½·mean((y − θx)²), *with* a half, the penalty ½λθ². Which λ "
            "says θ ~ N(0, τ²)? `noise` is σ, `std` is τ.",
            "换一种约定：损失是 ½·mean((y − θx)²)，*带* ½；惩罚是 ½λθ²。"
            "λ 取多少，才相当于先验 θ ~ N(0, τ²)？`noise` 是 σ，`std` 是 τ。",
        ),
        strength,
        of_half_mean,
        cases=[(62.0, 3.0, 10), (0.7, 0.1, 442), (2.0, 5.0, 50)],
        limits={
            Say(
                "One patient: mean and sum are the same.",
                "只有一位患者时，平均就是总和。",
            ): (2.0, 5.0, 1),
        },
        mistakes={
            Say(
                "That belongs to the *sum* ½Σ(y − θx)². The mean is n times smaller, so the belief must "
                "be divided by n as well.",
                "这对应*总和* ½Σ(y − θx)²。平均是它的 1/n，先验那一项也要除以 n。",
            ): lambda noise, std, n: noise**2 / std**2,
            Say(
                "Upside down: a narrow belief (small τ) must cost more, and noisy data must count less.",
                "弄反了：先验越窄（τ 越小），惩罚应越大；数据噪声越大，分量应越轻。",
            ): lambda noise, std, n: std**2 / noise**2,
            Say(
                "Upside down: a narrow belief (small τ) must cost more, and noisy data must count less. "
                "The 1/n is right.",
                "弄反了：先验越窄（τ 越小），惩罚应越大；数据噪声越大，分量应越轻。1/n 是对的。",
            ): lambda noise, std, n: std**2 / noise**2 / n,
            Say(
                "Without σ this assumes noise of size 1: Σ(y − θx)² is divided by 2σ², and to get rid of "
                "that, multiply the belief's cost by σ² too.",
                "没有 σ，等于假定噪声为 1：Σ(y − θx)² 的分母是 2σ²，要去掉它，先验的代价也要乘以 σ²。",
            ): lambda noise, std, n: 1 / std**2,
            Say(
                "The belief is divided by n, as it should. But without σ this assumes noise of size 1: "
                "multiply by σ² too.",
                "除以 n 是对的。但没有 σ，等于假定噪声为 1：还要乘以 σ²。",
            ): lambda noise, std, n: 1 / std**2 / n,
            Say(
                "Squares: both costs hold σ and τ squared, as does −log of a Gaussian. And divide by n, "
                "for the loss is a mean.",
                "要平方：高斯密度的负对数里，σ 与 τ 都以平方出现。而且损失取平均，还要除以 n。",
            ): lambda noise, std, n: noise / std,
            Say(
                "Squares: both costs hold σ and τ squared, as does −log of a Gaussian.",
                "要平方：高斯密度的负对数里，σ 与 τ 都以平方出现。",
            ): lambda noise, std, n: noise / std / n,
            Say(
                "That is for the mean square *without* a half. With the half the loss is half as large, "
                "and so is λ.",
                "这是*不带* ½ 的均方所对应的。带 ½ 时损失小一半，λ 也小一半。",
            ): lambda noise, std, n: 2 * noise**2 / std**2 / n,
            Say(
                "That is for the *sum* of squares, without a half. The mean is n times smaller, and the half "
                "halves it.",
                "这是不带 ½ 的平方*和*所对应的。平均是它的 1/n，带 ½ 又小一半。",
            ): lambda noise, std, n: 2 * noise**2 / std**2,
            Say(
                "Half too little: loss and penalty both have their ½ here, so no 2 is left over.",
                "少了一半：这里损失与惩罚各带一个 ½，不会多出 2 来。",
            ): lambda noise, std, n: noise**2 / std**2 / n / 2,
            Say(
                "Multiplied by n, the belief would grow with the data. It must lose: divide by n.",
                "乘以 n，先验就随数据增强了。它应当减弱：要除以 n。",
            ): lambda noise, std, n: n * noise**2 / std**2,
            Say(
                "τ belongs squared: −log of N(0, τ²) is θ²/(2τ²).",
                "τ 要平方：N(0, τ²) 的负对数是 θ²/(2τ²)。",
            ): lambda noise, std, n: noise**2 / std / n,
            Say(
                "σ belongs squared: the loss is divided by σ², not by σ.",
                "σ 要平方：损失除以的是 σ²，而不是 σ。",
            ): lambda noise, std, n: noise / std**2 / n,
            Say(
                "The width of the posterior goes as 1/√n; but costs are sums over patients, so λ goes "
                "as 1/n.",
                "与 1/√n 成正比的是后验的宽度；代价是对患者求和，所以 λ 与 1/n 成正比。",
            ): lambda noise, std, n: noise**2 / std**2 / n**0.5,
        },
        why=Say(
            "times σ²/n the first cost is ½·mean((y − θx)²), and the belief's ½θ²/τ² is ½(σ²/nτ²)θ².",
            "乘以 σ²/n，第一项就是 ½·mean((y − θx)²)，先验的 ½θ²/τ² 就成了 ½(σ²/nτ²)θ²。",
        ),
        hints=(
            Say(
                "−log of the posterior is Σ(y − θx)²/(2σ²) + θ²/(2τ²). By what must you multiply it, so "
                "that the first part becomes ½·mean((y − θx)²)?",
                "后验的负对数是 Σ(y − θx)²/(2σ²) + θ²/(2τ²)。乘以什么，前一项就成了 ½·mean((y − θx)²)？",
            ),
            Say("By σ²/n. What does the second part become?", "乘以 σ²/n。这时后一项成了什么？"),
        ),
    )
    return


@app.function(hide_code=True)
def of_half_mean(noise, std, n):
    """λ of ½λθ² beside the loss ½·mean((y − θx)²)."""
    return noise**2 / (n * std**2)


@app.function(hide_code=True)
def left_out(scale=0.02):
    """Meant to say which of ten measurements L1 leaves out."""
    x, y = standardized()
    prior = mr.implicit.Laplace(scale)
    found = prior.posterior(x, y, noise=0.7)
    weights = found.mean
    return weights, weights == 0


@app.function(hide_code=True)
def beside_training():
    """The weights of :func:`left_out`, beside those of training with the same belief."""
    names = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
    weights, zero = left_out()
    found = fit(*standardized(), mr.implicit.Laplace(0.02).penalty(442, noise=0.7))
    rows = [f"{name:<8}{a:9.4f}{b:12.4f}" for name, a, b in zip(names, weights, found, strict=True)]
    count = f"{'== 0':<8}{zero.sum():9d}{(found == 0).sum():12d}"
    return "\n".join([f"{'':8}{'weights':>9}{'trained':>12}", *rows, count])


@app.cell(hide_code=True)
def _():
    Hunt(
        "hunt",
        Say(
            "“L1 is a Laplace belief, and such beliefs are sparse.” This program asks the belief which of "
            "ten measurements L1 leaves out: none, it says. Beside it, training with the penalty of the "
            "same belief leaves out five. Which line is wrong?",
            "“L1 就是拉普拉斯先验，这种先验是稀疏的。”下面的程序想由先验得知十项测量中 L1 会舍弃哪些，"
            "结果是一项也没有。旁边是用同一先验的惩罚训练的结果：舍弃了五项。哪一行错了？",
        ),
        left_out,
        beside_training,
        "found.mean",
        why=Say(
            "Yes: training finds the most probable weights, `found.mode`, and only there zeros are exact. "
            "The mean weighs all weights by their probability, and a single point has none. Nor are "
            "draws sparse: of 100,000 from this prior not one is 0.",
            "对：训练找到的是最可能的权重 `found.mode`，只有其中的权重才会恰好为 0。"
            "均值是所有可能的权重按概率的平均，而单独一点的概率为零。"
            "抽样也不稀疏：从这个先验抽 10 万次，没有一次是 0。",
        ),
        others={
            "Laplace(": Say(
                "This is the belief of L1, with the same scale that training used.",
                "这正是 L1 的先验，尺度与训练所用的相同。",
            ),
            "posterior(": Say(
                "The posterior is right, and σ = 0.7 is what training assumed too. It gives a mode, a mean "
                "and an error. Which of them does training find?",
                "后验没有算错，σ = 0.7 也与训练一致。它给出众数、均值和误差。训练找到的是哪一个？",
            ),
            "standardized": Say(
                "The same data as in training; without standardising no common scale would make sense.",
                "数据与训练所用的相同；不标准化，公共的尺度就没有意义。",
            ),
            "== 0": Say(
                "An exact zero is what L1 gives, so the comparison is fair. A tolerance would call small "
                "weights zero, and no two readers would choose the same. Why is none exactly 0 here?",
                "L1 给出的权重正是恰好为 0，这样比较没有错。放宽到“接近 0”，"
                "只会把小权重也算作 0，界限也因人而异。为什么这里没有一个恰好为 0？",
            ),
            "": Say(
                "This only names what is asked. Which number stands for the weights?",
                "这里只是写明要什么。权重取的是哪个数？",
            ),
        },
    )
    return


@app.function(hide_code=True)
def rescaled(l2, l1, alpha):
    """The strengths of L2 and of L1 that belong to alpha·x."""
    return ..., ...


@app.cell(hide_code=True)
def _():
    Write(
        "rescaled",
        Say(
            "Mend the unit: all inputs are multiplied by `alpha` (1000 for g/m²). One fit used L2 of "
            "strength `l2`, another L1 of strength `l1`. Which two strengths predict as before?",
            "补偿单位的变化：所有输入都乘以了 `alpha`（改用 g/m² 时是 1000）。"
            "一个模型用强度为 `l2` 的 L2，另一个用强度为 `l1` 的 L1。各改为多大的强度，预测才不变？",
        ),
        rescaled,
        by_units,
        cases=[(85.4, 362.0, 1000.0), (0.2, 0.3, 10.0), (1.5, 0.4, 0.5)],
        mistakes={
            Say(
                "Right for L1. But L2 squares the weight: a thousandth of the weight costs a millionth.",
                "对 L1 是对的。但 L2 把权重平方：权重变为千分之一，代价就变为百万分之一。",
            ): lambda l2, l1, alpha: (alpha * l2, alpha * l1),
            Say(
                "The wrong way: weights get smaller as inputs grow, so the same belief needs a larger λ.",
                "方向反了：输入变大，权重变小，要保持同样的先验，λ 应更大。",
            ): lambda l2, l1, alpha: (l2 / alpha**2, l1 / alpha),
            Say(
                "The wrong way: weights get smaller as inputs grow, so the same belief needs a larger λ. "
                "And L2 squares the weight.",
                "方向反了：输入变大，权重变小，要保持同样的先验，λ 应更大。而且 L2 把权重平方。",
            ): lambda l2, l1, alpha: (l2 / alpha, l1 / alpha),
            Say(
                "The wrong way, and with one α too many for L1, which does not square the weight.",
                "方向反了；而且 L1 多了一个 α：它并不把权重平方。",
            ): lambda l2, l1, alpha: (l2 / alpha**2, l1 / alpha**2),
            Say(
                "That is “break it” above: with the same λ the belief is α times as wide, and the fit "
                "moves towards the data.",
                "这就是上面的“故意弄错”：λ 不变，先验宽了 α 倍，拟合就偏向数据。",
            ): lambda l2, l1, alpha: (l2, l1),
            Say(
                "Right for L2. But L1 does not square the weight: only one α comes out.",
                "对 L2 是对的。但 L1 不把权重平方：只提出一个 α。",
            ): lambda l2, l1, alpha: (alpha**2 * l2, alpha**2 * l1),
            Say(
                "The other way round: it is L2 that squares the weight.",
                "两者弄反了：把权重平方的是 L2。",
            ): lambda l2, l1, alpha: (alpha * l2, alpha**2 * l1),
            Say(
                "Right for L2. But L1 does feel the unit: the weight is 1/α of what it was, and so is its "
                "cost.",
                "对 L2 是对的。但 L1 也受单位影响：权重变为 1/α，代价也变为 1/α。",
            ): lambda l2, l1, alpha: (alpha**2 * l2, l1),
            Say(
                "Right for L1. But for L2 the wrong way: the weight gets smaller, its square even more so, "
                "and λ has to make up for that.",
                "对 L1 是对的。但 L2 的方向反了：权重变小，平方更小，要靠 λ 补回来。",
            ): lambda l2, l1, alpha: (l2 / alpha**2, alpha * l1),
            Say(
                "Right for L1. But L2 does feel the unit, and more so: the square of the weight is 1/α² of "
                "what it was.",
                "对 L1 是对的。但 L2 也受单位影响，而且更甚：权重的平方变为 1/α²。",
            ): lambda l2, l1, alpha: (l2, alpha * l1),
            Say(
                "Right for L2. But for L1 the wrong way: its cost is 1/α of what it was, and λ has to make "
                "up for that.",
                "对 L2 是对的。但 L1 的方向反了：代价变为 1/α，要靠 λ 补回来。",
            ): lambda l2, l1, alpha: (alpha**2 * l2, l1 / alpha),
            Say(
                "The results change places: first the strength of L2, then that of L1.",
                "两个结果的次序反了：先写 L2 的强度，再写 L1 的。",
            ): lambda l2, l1, alpha: (alpha * l1, alpha**2 * l2),
        },
        why=Say(
            "the new weight is v = θ/α; ½α²λv² = ½λθ² and αλ|v| = λ|θ|: the same costs as before.",
            "新权重是 v = θ/α；½α²λv² = ½λθ²，αλ|v| = λ|θ|，代价与原来相同。",
        ),
        hints=(
            Say(
                "For the same predictions the new weight is v = θ/α. What do ½λv² and λ|v| cost then?",
                "预测不变，新权重就是 v = θ/α。这时 ½λv² 与 λ|v| 的代价是多少？",
            ),
            Say(
                "L2 costs 1/α² of before, L1 costs 1/α of before. Make up for it.",
                "L2 的代价变为原来的 1/α²，L1 的变为 1/α。用 λ 补回来。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def by_units(l2, l1, alpha):
    """The strengths of L2 and of L1 that belong to alpha·x."""
    return alpha**2 * l2, alpha * l1


@app.cell(hide_code=True)
def _():
    Recall(
        "twice",
        Say(
            "Lesson 7 gave L1 the same column twice. Now BMI stands in the table twice, in kg/m² and in "
            "g/m², and nothing is standardized. Which of the two does L1 keep?",
            "第 7 课把同一列给了 L1 两次。现在表里的 BMI 也有两列，一列以 kg/m² 计，一列以 g/m² 计，"
            "都没有标准化。L1 会留下哪一列？",
        ),
        lesson=7,
        answers=(
            Answer(
                Say("One of them, by chance", "随机留下一列"),
                Say(
                    "No chance is in it, not even in lesson 7: there all splits cost the same, and start "
                    "and solver decided. Here they do not cost the same. Which is cheaper?",
                    "没有随机，第 7 课里也没有：那里怎样分代价都相同，由起点和求解算法决定。"
                    "这里代价却不同。哪一种更便宜？",
                ),
            ),
            Answer(
                Say("Any split is as good", "怎样分都一样好"),
                Say(
                    "In lesson 7, yes: standardized, both columns were the same. Here one point of θ costs "
                    "λ in kg/m², but only λ/1000 in g/m².",
                    "第 7 课里是这样：标准化之后两列完全相同。而这里，同样的效应，"
                    "用 kg/m² 的权重要付 λ，用 g/m² 的只要付 λ/1000。",
                ),
            ),
            Answer(
                Say("The one in g/m²", "以 g/m² 计的那一列"),
                Say(
                    "Yes: its weight does the same work at a thousandth of the size, and L1 charges by "
                    "size. The other weight is exactly 0. A unit decided, not the data.",
                    "对：它的权重只需千分之一的大小就起同样的作用，而 L1 按大小收费。"
                    "另一个权重恰好为 0。决定去留的是单位，不是数据。",
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
                "A penalty is −log of a belief; training finds the weights where the posterior is highest.",
                "惩罚就是先验的负对数；训练找到的是后验概率最大的权重。",
            ),
            Say(
                "A number λ is no belief by itself: beside a mean loss it depends on n, and for inputs × α "
                "L2 needs α²λ, L1 αλ.",
                "单凭 λ 这个数，说不出先验是什么：损失取平均时它还与 n 有关；"
                "输入乘以 α，L2 要用 α²λ，L1 要用 αλ。",
            ),
            Say(
                "Exact zeros belong to the most probable point; mean and draws have none.",
                "恰好为 0 的只是最可能的那个点；后验均值和抽出的样本都不会恰好为 0。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("And what does the weight decay of a network believe?", "网络的权重衰减相信什么？"),
        Say(
            "Cross entropy is a mean of n negative log likelihoods, without σ, so "
            "$\\tau = 1/\\sqrt{n\\lambda}$. `weight_decay=5e-4` of SGD on 50,000 pictures says: each "
            "weight is 0, give or take 0.2. On 500 pictures the same number says: give or take 2. Of "
            "AdamW's decay no such thing can be said: it is not the gradient of a penalty (lesson 10). "
            "And who chooses λ by validation does not believe beforehand: the data choose the width of "
            "the belief.",
            "交叉熵是 n 个负对数似然的平均，不含 σ，所以 $\\tau = 1/\\sqrt{n\\lambda}$。"
            "用 SGD 在 50000 张图片上训练，`weight_decay=5e-4` 就是说：每个权重都在 0 附近，± 0.2 左右。"
            "同一个数用在 500 张图片上，就成了 ± 2 左右。AdamW 的衰减不能这样解释："
            "它不是某个惩罚的梯度（第 10 课）。若用验证集选 λ，那就不是事先的信念，"
            "而是由数据来选先验的宽度。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def patients(n):
    """BMI in kg/m² (n, 1) and progression (n,) of the first n of 442 shuffled patients, both centred."""
    x, y = mr.datasets.arrays("diabetes")
    some = np.random.default_rng(2).permutation(442)[:n]
    return (x[:, 2:3] - x[:, 2].mean())[some], (y - y.mean())[some]


@app.function(hide_code=True)
def standardized():
    """442 patients × 10 measurements (442, 10) and the progression (442,), all standardized."""
    x, y = mr.datasets.arrays("diabetes")
    return (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()


@app.function(hide_code=True)
def fit(x, y, penalty):
    """The weights of training with this penalty."""
    model = mr.nn.Linear(x.shape[1], 1, bias=False, dtype=np.float64)
    model.weight.assign(0.0)
    mr.solve(model, mr.nn.MSELoss(), penalty, x, y[:, None])
    return model.weight.numpy()[0]


@app.function(hide_code=True)
def picture(n, choice, broken=False):
    """Belief, likelihood and posterior of θ, and their negative logarithms."""
    prior, unit = BELIEF[choice], 1000 if broken else 1
    x, y = patients(n)
    found = prior.posterior(unit * x, y, NOISE)
    best, mode, mean = (
        unit * v[0] for v in (x.T @ y / (unit * np.sum(x**2)), found.mode, found.mean)
    )

    def costs(theta):
        w = np.atleast_1d(theta) / unit
        belief = [prior.log_density(np.zeros(1)) - prior.log_density(v) for v in w[:, None]]
        return np.array(belief), (theta - best) ** 2 * np.sum(x**2) / (2 * NOISE**2)

    theta = np.linspace(-10, 20, 151)
    belief, loss = costs(theta)
    least, high = sum(costs(mode))[0], sum(costs(mean))[0]
    axes = {"x": (-10, 20), "xlabel": Say("θ, points per kg/m²", "θ（每 kg/m² 的点数）")}
    left = Panel(
        Say("plausibility of each θ, peak = 1", "各个 θ 的可信程度（峰值 = 1）"),
        y=(0, 1.15),
        **axes,
    )
    right = Panel(
        Say("−log of it, up to a constant: costs", "取负对数（不计常数）：代价"), y=(0, 8), **axes
    )
    role = "broken" if broken else "result"
    wide = 6 if broken else 2.5  # the red line lies on the blue one
    likely, both = np.exp(-loss), np.exp(least - belief - loss)
    left.line(theta, np.exp(-belief), "penalty").line(theta, likely, "data", width=wide)
    left.line(theta, both, role)
    left.dots([mean], [np.exp(least - high)], role, hollow=True, size=7, label=Say("mean", "均值"))
    left.dots([mode], [1], role, size=5, label=Say("most probable", "最可能"))
    start = (-6.5, 1.07) if broken else (theta[np.exp(-belief) > 0.5][0] - 2.2, 0.5)
    left.text(*start, Say("belief", "先验"), "penalty")
    left.text(min(theta[likely > 0.8][-1] + 1.6, 18.4), 0.8, Say("data", "数据"), "data")
    left.text(theta[both > 0.3][-1] + 1.6, 0.3, Say("both", "后验"), role)
    right.line(theta, belief, "penalty", label=Say("penalty", "惩罚"))
    right.line(theta, loss, "data", label=Say("loss", "损失"), width=wide)
    right.line(theta, belief + loss, role, label=Say("sum", "两者之和"))
    right.dots([mode], [least], role, size=5, label=Say("training", "训练"))
    said = Say("exactly 0", "恰好为 0") if mode == 0 else f"{mode:.2f}"
    lam = float(f"{prior.penalty(n, NOISE).strength:.3g}")
    return Frame(left, right, lam=lam, data=best, said=said, mode=mode, mean=mean)


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    every = [(prior, n, *patients(n)) for prior in BELIEF.values() for n in (2, 10, 442)]
    found = [prior.posterior(x, y, NOISE) for prior, _, x, y in every]
    off = [abs(trained(p, n) - f.mode[0]) for (p, n, *_), f in zip(every, found, strict=True)]
    flat = [picture(n, choice, True).numbers for choice in BELIEF for n in (2, 10, 442)]
    pinned = [picture(n, "laplace").numbers["mode"] for n in (2, 5, 10, 20)]
    x, y = patients(442)
    rest = y - x[:, 0] * found[2].mode
    change = [
        abs(1000 * fit(1000 * x, y, p(1000**k * 8.0)) - fit(x, y, p(8.0))).max()
        for k, p in ((1, mr.penalties.L1), (2, mr.penalties.L2))
    ]
    twice = fit(np.c_[x, 1000 * x], y, mr.penalties.L1(8.0))
    weights, zero = left_out()
    exact = (fit(*standardized(), mr.implicit.Laplace(0.02).penalty(442, noise=0.7)) == 0).sum()
    draws = np.random.default_rng(0).laplace(0, 0.02, 100_000)
    nets = [mr.implicit.Gaussian(t).penalty(n).strength for t, n in ((0.2, 50_000), (2, 500))]
    return [
        holds("training: |θ − most probable θ|", max(off), at_most=1e-5),
        holds("σ: what BMI leaves unexplained", rest.std(), at_least=61.5, at_most=62.5),
        holds("g/m², same λ: |θ/least squares − 1|",
              max(abs(f["mode"] / f["data"] - 1) for f in flat), at_most=0.01),
        holds("Laplace: |most probable θ| up to 10 patients", np.abs(pinned[:3]).max(), at_most=0),
        breaks("with 20", pinned[3], at_least=2),
        breaks("posterior mean with 10", picture(10, "laplace").numbers["mean"], at_least=2),
        holds("g/m², αλ and α²λ: change of θ", max(change), at_most=1e-4),
        holds("BMI twice under L1: |weight in kg/m²|", abs(twice[0]), at_most=0),
        holds("its weight in g/m², per kg/m²", 1000 * twice[1], at_least=10),
        breaks("posterior mean of ten weights: zeros", zero.sum(), at_most=0),
        breaks("|smallest of them|, in standard errors of sampling", abs(weights).min() / 6e-4, at_least=2),
        holds("training: zeros", exact, at_least=5, at_most=5),
        breaks("zeros among 10⁵ draws", (draws == 0).sum(), at_most=0),
        holds("weight decay of the appendix / 5e-4 − 1", max(abs(np.array(nets) / 5e-4 - 1)),
              at_most=1e-12),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
