"""Does ridge shrink every coefficient?

For everybody who has read a meaning into the sign of a coefficient. Afterwards you can say what ridge
shrinks and by how much, and why a single weight may grow, or change its sign, on the way to 0.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 3: does ridge shrink every coefficient?")

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

    STRENGTHS = (0, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
    AXES = {"raw": np.eye(2), "eigen": np.array([[1, 1], [1, -1]]) / 2**0.5}


@app.cell(hide_code=True)
def _():
    Title(
        Say("Does ridge shrink every coefficient?", "岭回归会让\u200b每个系数\u200b都变小吗？"),
        lead=Say(
            "Two weights θ, of total cholesterol and of LDL, its largest part, predict the course of "
            "diabetes. Ridge minimises J = L + ½λ‖θ‖²: the mean square error L, and a pull to 0 of "
            "strength λ.",
            "用总胆固醇和其中占比最大的低密度脂蛋白胆固醇（LDL）预测糖尿病的病情，θ 是这两项的权重。"
            "岭回归最小化 J = L + ½λ‖θ‖²：L 是均方误差；惩罚项把权重拉向 0，强度为 λ。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "Ridge pulls both weights to 0, harder as λ grows. Can one of them cross 0?",
            "岭回归把两个权重都拉向 0，λ 越大，拉力越大。会不会有一个权重越过 0？",
        ),
        (
            Answer(
                Say("No, each only shrinks", "不会，每个都只会变小"),
                Say(
                    "What only shrinks are the parts along the eigen-axes of the loss. A weight is a "
                    "sum of such parts, and they do not shrink equally: LDL crosses 0.",
                    "只会变小的，是沿损失的特征轴的那些分量。一个权重由几个分量相加而成，"
                    "而它们缩小的比例各不相同：LDL 就越过了 0。",
                ),
            ),
            Answer(
                Say("Yes, and change its sign", "会，而且会变号"),
                Say(
                    "So it is: LDL is negative without a penalty, and positive from λ = 0.2 on. In the "
                    "eigen-axes nothing crosses 0: the same point, seen along other axes.",
                    "正是这样：不加惩罚时 LDL 的权重为负，从 λ = 0.2 起为正。换成特征轴，"
                    "就没有一个分量越过 0：点还是同一个点，只是换了坐标轴。",
                ),
                right=True,
            ),
            Answer(
                Say("Only when training overshoots", "只有训练步子太大、冲过头时才会"),
                Say(
                    "There are no steps here: each point is the exact minimum of J. It is the minimum "
                    "itself in which LDL crosses 0.",
                    "这里没有迭代：每一点都是 J 的精确最小点。让 LDL 越过 0 的，是最小点本身。",
                ),
            ),
        ),
        asks=Say(
            "What did you see: which of the two weights crosses 0? And in the eigen-axes?",
            "你看到了什么：两个权重中，哪一个越过 0？换成特征轴呢？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        STRENGTHS,
        start=0.5,
        label="λ",
        choices={
            "raw": Say("weights", "权重轴"),
            "eigen": Say("eigen-axes", "特征轴"),
        },
        broken=Say("penalise the intercept", "连截距也惩罚"),
        caption=Say(
            "λ = {lam:g}: {first} {a:.3f} → {c:.3f}, {second} {b:.3f} → {d:.3f}. {said}",
            "λ = {lam:g}：{first} {a:.3f} → {c:.3f}，{second} {b:.3f} → {d:.3f}。{said}",
        ),
        alt=Say(
            "A plane of two weights with elliptic contours of J. Their centre runs from the least "
            "squares solution to 0 along a bent thread as λ grows, and the ellipses become rounder. Its "
            "shadow on the axis of LDL begins below 0 and ends above; its shadows on the eigen-axes "
            "only come nearer to 0. Beside it, these coordinates against λ.",
            "两个权重的平面，其中有 J 的椭圆等高线。λ 增大时，椭圆的中心沿一条弯线从最小二乘解走向 0，"
            "椭圆也越来越圆。中心在 LDL 轴上的投影从 0 的下方移到上方；在两条特征轴上的投影则始终向 0 靠近。"
            "旁边是这些坐标随 λ 的变化。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**Along an eigen-axis** L is a parabola of curvature $\\mu$, least at $c_0$. The two "
                "pulls balance, and [every part shrinks](#choice=eigen):\n\n"
                r"$$\color{penalty}{\lambda\,c} = \color{data}{\mu\,(c_0-c)}"
                r"\quad\Rightarrow\quad c = \frac{\color{data}{\mu}}"
                r"{\color{data}{\mu}+\color{penalty}{\lambda}}\,c_0$$",
                "**沿一条特征轴**，L 是曲率为 $\\mu$ 的抛物线，最小点在 $c_0$。两个拉力平衡，"
                "于是[每个分量都变小](#choice=eigen)：\n\n"
                r"$$\color{penalty}{\lambda\,c} = \color{data}{\mu\,(c_0-c)}"
                r"\quad\Rightarrow\quad c = \frac{\color{data}{\mu}}"
                r"{\color{data}{\mu}+\color{penalty}{\lambda}}\,c_0$$",
            ),
            Say(
                "**The flat axis loses most.** The two measurements rise and fall together, so the data "
                "settle the sum ($\\mu=3.79$), hardly the difference ($\\mu=0.21$). At "
                "[λ = 0.2](#lam=0.2) the sum keeps 95 %, the difference 51 %.",
                "**最平坦的轴缩得最多**。两项测量值同升同降，数据能定准的是“和”（$\\mu=3.79$），"
                "“差”却几乎定不下来（$\\mu=0.21$）。[λ = 0.2](#lam=0.2) 时，“和”保留 95%，“差”只保留 51%。",
            ),
            Say(
                "**A weight mixes both.** LDL is sum minus difference; the difference shrinks faster, "
                "and the rest [turns positive](#lam=0.2&choice=raw):\n\n"
                r"$$\theta_{\text{LDL}} = (c_{\text{sum}} - c_{\text{diff}})/\sqrt2$$",
                "**一个权重是两者的混合**。LDL 的权重是“和”减去“差”；“差”缩得更快，"
                "剩下的就[变成正数](#lam=0.2&choice=raw)：\n\n"
                r"$$\theta_{\text{LDL}} = (c_{\text{和}} - c_{\text{差}})/\sqrt2$$",
            ),
        )
    )
    return


@app.function
def ridge(x, y, strength):
    """The weights that minimise the mean square error + ½λ‖θ‖²."""
    model = mr.nn.Linear(x.shape[1], 1, dtype=np.float64)
    mr.solve(model, mr.nn.MSELoss(), mr.penalties.L2(strength), x, y)
    return model.weight.numpy()[0]


@app.cell(hide_code=True)
def _():
    Code(
        ridge,
        "x, y = patients()\n"
        "free, held = ridge(x, y, 0.0), ridge(x, y, 0.2)\n"
        "worse = (abs(held) > abs(free)) | (held * free < 0)\n"
        "print(worse.sum(), 'of ten weights grow or change sign')\n"
        "mu, axes = np.linalg.eigh(2 * x.T @ x / len(x))\n"
        "print('kept of each part:', (held @ axes / (free @ axes)).round(3))\n"
        "print('μ/(μ + λ):        ', mr.implicit.ridge_filter(mu, 0.2).round(3))",
        Say(
            "All ten measurements of 442 patients, standardized: four weights grow or change sign, and "
            "all ten parts shrink as the formula says.",
            "442 位患者的全部十项测量，已标准化：有四个权重变大或变号，而十个分量全都变小，与公式一致。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C64", "C68"), also=("C30", "C63", "C65", "C66", "C67", "C69"))
    return


@app.function(hide_code=True)
def kept(mu, lam):
    """The share that ridge leaves along an axis of curvature μ."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "kept",
        Say(
            "Along an eigen-axis L is ½μ(c − c₀)², and ridge adds ½λc². Which share of c₀ is left?",
            "沿一条特征轴 L = ½μ(c − c₀)²，岭回归加上 ½λc²。c₀ 还剩几分之几？",
        ),
        kept,
        share,
        cases=[(3.8, 0.5), (0.2, 0.5), (1.5, 4.0)],
        limits={
            Say("λ = 0: no penalty, all is left.", "λ = 0 时没有惩罚，应全部保留，得 1。"): (
                0.7,
                np.float64(0),
            ),
            Say(
                "μ near 0: the data hardly pull along this axis, next to nothing is left.",
                "μ 接近 0 时，数据在这条轴上几乎没有拉力，应几乎一点不剩。",
            ): (1e-13, 0.5),
            Say(
                "μ = λ: the two pull equally hard, and the minimum lies half way.",
                "μ = λ 时，数据与惩罚势均力敌，最小点在正中间，应得一半。",
            ): (np.float64(3), np.float64(3)),
        },
        mistakes={
            Say(
                "That is the share for μ = 1. The steeper the data's parabola, the more is left.",
                "这只是 μ = 1 时的比例。数据的抛物线越陡，保留得越多。",
            ): lambda mu, lam: 1 / (1 + lam),
            Say(
                "That is the share that is lost.", "这是失去的比例，不是剩下的比例。"
            ): lambda mu, lam: lam / (mu + lam),
            Say(
                "That is what is left of the square c₀², or of the variance. The part itself takes the "
                "factor once.",
                "这是平方 c₀²（或方差）保留的比例；分量本身只乘一次这个因子。",
            ): lambda mu, lam: (mu / (mu + lam)) ** 2,
            Say(
                "True for tiny λ only. At λ > μ it turns negative: along an eigen-axis nothing crosses 0.",
                "只在 λ 很小时近似成立。λ > μ 时它成了负数，而沿特征轴，没有一个分量会越过 0。",
            ): lambda mu, lam: 1 - lam / mu,
            Say(
                "The slope of ½λc² is λc, that of ½μ(c − c₀)² is μ(c − c₀): λ counts as much as μ, "
                "not twice.",
                "½λc² 的导数是 λc，½μ(c − c₀)² 的导数是 μ(c − c₀)：λ 与 μ 分量相同，不该乘以 2。",
            ): lambda mu, lam: mu / (mu + 2 * lam),
            Say(
                "Both squares have their ½, and both slopes lose it: λ counts as much as μ, not half.",
                "两个平方都带 ½，求导后都消去：λ 与 μ 分量相同，不该减半。",
            ): lambda mu, lam: 2 * mu / (2 * mu + lam),
            Say(
                "The data's pull at 0 is μc₀: μ is missing above the line.",
                "数据在 0 处的拉力是 μc₀：分子里少了 μ。",
            ): lambda mu, lam: 1 / (mu + lam),
            Say(
                "The wrong way round: a share lies between 0 and 1. The data's pull, μ, goes above, both "
                "pulls go below.",
                "分子与分母颠倒了：比例在 0 与 1 之间。分子是数据的拉力 μ，分母是两个拉力之和。",
            ): lambda mu, lam: (mu + lam) / mu,
            Say(
                "This is 1 + λ, and a share is at most 1. If λ is meant to stand below the line, the sum "
                "there needs brackets.",
                "这等于 1 + λ，而比例不会超过 1。如果 λ 本应在分母里，分母的和要加括号。",
            ): lambda mu, lam: mu / mu + lam,
            Say(
                "That is how the two pulls compare, and it grows with λ. What is left gets less.",
                "这是两个拉力之比，随 λ 增大；而剩下的应当越来越少。",
            ): lambda mu, lam: lam / mu,
            Say(
                "The sum below the line is not squared: μ(c₀ − c) = λc has each curvature once.",
                "分母中的和不必平方：μ(c₀ − c) = λc 里，每个曲率只出现一次。",
            ): lambda mu, lam: mu / (mu + lam) ** 2,
            Say(
                "Upside down: then the flattest axis would keep most. It is λ/μ that counts.",
                "颠倒了：这样一来，最平坦的轴反而保留最多。起作用的是 λ/μ。",
            ): lambda mu, lam: 1 / (1 + lam * mu),
            Say(
                "The root belongs to the axes of a contour. The balance of the two slopes has none.",
                "开平方的是等高线的轴长；两个导数的平衡里没有根号。",
            ): lambda mu, lam: np.sqrt(mu / (mu + lam)),
            Say(
                "That takes μc₀ for the data's pull. It is μ(c₀ − c): as c comes back to c₀, it fades.",
                "这等于把数据的拉力当作 μc₀。其实它是 μ(c₀ − c)：c 越接近 c₀，它越小。",
            ): lambda mu, lam: mu / lam,
            Say(
                "That is one small step from c₀, without the data's answer: the farther c goes, the "
                "harder they pull back.",
                "这只是从 c₀ 出发的一小步，没有算上数据的拉力：c 离 c₀ 越远，数据的拉力越大。",
            ): lambda mu, lam: 1 - lam,
            Say(
                "That would be soft thresholding, a gate of L1: it takes λ/μ off, whatever c₀ is. Ridge "
                "multiplies, and never reaches 0.",
                "这像是 L1 的软阈值：减去固定的量，可以减到 0。岭回归是乘以一个比例，不会到 0。",
            ): lambda mu, lam: np.maximum(1 - lam / mu, 0),
            Say(
                "Curvatures are not squared: the slopes λc and μ(c − c₀) are linear in them.",
                "曲率不要平方：导数 λc 与 μ(c − c₀) 都与曲率成正比。",
            ): lambda mu, lam: mu**2 / (mu**2 + lam**2),
            Say(
                "The two slopes add up to 0. With this sign the penalty would push c away from 0.",
                "两个导数相加为 0。按这个符号，惩罚就会把 c 推离 0。",
            ): lambda mu, lam: mu / (mu - lam),
            Say(
                "Exponentials belong to shrinking step by step. Here it is a balance: no steps, no powers.",
                "指数来自逐步收缩；这里只是一个平衡，没有步数，也没有幂。",
            ): lambda mu, lam: np.exp(-lam / mu),
        },
        hints=(
            Say(
                "At the minimum the slope is 0: μ(c − c₀) + λc = 0.",
                "最小点处导数为 0：μ(c − c₀) + λc = 0。",
            ),
            Say("Solve for c, and divide by c₀.", "解出 c，再除以 c₀。"),
        ),
        why=Say(
            "μ(c − c₀) + λc = 0 at c = μ/(μ + λ)·c₀. Between 0 and 1 for every μ: in its eigen-axes "
            "nothing grows and nothing crosses 0.",
            "由 μ(c − c₀) + λc = 0 得 c = μ/(μ + λ)·c₀。无论 μ 多大，它都在 0 与 1 之间："
            "在特征轴上，没有一个分量变大，也没有一个越过 0。",
        ),
    )
    return


@app.function(hide_code=True)
def share(mu, lam):
    """The share that ridge leaves along an axis of curvature μ."""
    return mu / (mu + lam)


@app.cell(hide_code=True)
def _():
    Goal(
        "rounder",
        Say(
            "L has the curvatures μ₁ = 3.79 and μ₂ = 0.21, and its contours are 4.3 times as long as "
            "wide. Set the smallest λ that makes those of J less than twice as long as wide.",
            "L 的曲率是 μ₁ = 3.79 和 μ₂ = 0.21，其等高线的长轴是短轴的 4.3 倍。"
            "找出使 J 的等高线长短轴之比小于 2 的最小的 λ，把滑块拨到那里。",
        ),
        lambda lam, broken, **_: lam == 1 and not broken,
        hints=(
            Say("λ is added to both curvatures.", "两个曲率都加上了 λ。"),
            Say(
                "On a contour ½(μ + λ)c² is the same along both axes: how does c go with μ + λ?",
                "在一条等高线上，两轴方向的 ½(μ + λ)c² 相等：c 与 μ + λ 是什么关系？",
            ),
        ),
        why=Say(
            "Yes: √((3.79 + 1)/(0.21 + 1)) = {ratio:.2f}. All contours have this shape, the small ones "
            "near the centre and the large ones far away.",
            "对：√((3.79 + 1)/(0.21 + 1)) = {ratio:.2f}。所有等高线都是这个形状：离中心近的小椭圆、"
            "离中心远的大椭圆全都一样。",
        ),
        others={
            Say(
                "With a penalised intercept it is another bowl. Mend it first.",
                "连截距也惩罚，就不是原来的碗了。先改正它。",
            ): lambda broken, **_: broken,
            Say(
                "Without λ it is √(μ₁/μ₂) = {ratio:.2f}. If you found 0.23, you divided the short axis "
                "by the long one: where J is steep, a contour is narrow.",
                "没有 λ 时是 √(μ₁/μ₂) = {ratio:.2f}。如果你算得 0.23，那是用短轴除以了长轴："
                "J 越陡，等高线越窄。",
            ): lambda lam, **_: lam == 0,
            Say(
                "Here the curvatures differ by a factor below 2. The axes go as their roots, so a "
                "smaller λ does it.",
                "在这里，小于 2 的是曲率之比。轴长之比是它的平方根，所以更小的 λ 就够了。",
            ): lambda lam, **_: lam == 5,
            Say(
                "{ratio:.2f}: not below 2 yet.", "现在是 {ratio:.2f}，还没有小于 2。"
            ): lambda ratio, **_: ratio >= 2,
            Say(
                "{ratio:.2f} is below 2, but a smaller λ does it, too.",
                "{ratio:.2f} 已小于 2，但更小的 λ 也能做到。",
            ): lambda ratio, **_: ratio < 2,
        },
    )
    return


@app.cell(hide_code=True)
def _():
    Order(
        "by_hand",
        Say(
            "Put together ridge for the mean square error + ½λ‖w‖², with an intercept b that is not "
            "penalised. x has n rows and d columns, as measured.",
            "拼出岭回归：最小化均方误差 + ½λ‖w‖²，截距 b 不受惩罚。x 有 n 行 d 列，是未经处理的测量值。",
        ),
        lines={
            "x_mean, y_mean = x.mean(0), y.mean()": Say(
                "Kept before they are subtracted: b needs them.", "减去之前先存下来：求 b 要用。"
            ),
            "x, y = x - x_mean, y - y_mean": Say(
                "After centring the best intercept is 0, so w can be found alone.",
                "中心化之后，最优的截距是 0，于是可以单独求 w。",
            ),
            "h = 2 * x.T @ x / n": Say(
                "The curvature of the mean square error.", "均方误差的曲率（Hessian）。"
            ),
            "w = np.linalg.solve(h + lam * np.eye(d), 2 * x.T @ y / n)": Say(
                "Where 2xᵀ(xw − y)/n + λw = 0.", "使 2xᵀ(xw − y)/n + λw = 0 的 w。"
            ),
            "b = y_mean - x_mean @ w": Say(
                "At the mean of x the prediction is the mean of y, whatever λ is.",
                "无论 λ 多大，在 x 的均值处，预测都等于 y 的均值。",
            ),
        },
        distractors={
            "h = 2 * x.T @ x": Say(
                "The curvature of the sum, n times as large: beside it λ counts for nearly nothing.",
                "这是平方和的曲率，大了 n 倍：与它相比，λ 几乎不起作用。",
            ),
            "w = np.linalg.solve(h + lam / n * np.eye(d), 2 * x.T @ y / n)": Say(
                "The mean has its 1/n in h already. λ is not divided: the penalty is no mean over patients.",
                "平均的 1/n 已经在 h 里了。λ 不必再除：惩罚不是对患者取的平均。",
            ),
            "x = np.c_[x, np.ones(n)]": Say(
                "A column of ones makes the intercept a weight like the others, and it is penalised with "
                "them: the mean prediction sinks.",
                "加一列 1，截距就成了普通的权重，也跟着受惩罚：预测的均值会下沉。",
            ),
            "b = y_mean": Say(
                "Right only if every column of x has the mean 0 as measured.",
                "只有当 x 的各列本来均值就是 0 时才对。",
            ),
        },
        given=given,
        result="w, b",
    )
    return


@app.function(hide_code=True)
def given():
    """Values for the program to put in order."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 3)) + [1, 2, 3]
    return {
        "np": np, "x": x, "y": rng.standard_normal(30) + 4, "n": 30, "d": 3, "lam": 0.5,
    }  # fmt: skip


@app.cell(hide_code=True)
def _():
    Recall(
        "recall",
        Say(
            "On the loss of lesson 2, descent with η = 0.02 and λ = 2 has come to rest. Another run takes "
            "η = 0.08 and λ = 0.5, from the same start. Where does it rest?",
            "仍是第 2 课的损失：梯度下降用 η = 0.02、λ = 2，直到停下来；再从同一初值出发，"
            "改用 η = 0.08、λ = 0.5。这一次停在哪里？",
        ),
        2,
        (
            Answer(
                Say("At the same place: ηλ is the same", "同一处：ηλ 相同"),
                Say(
                    "ηλ = 0.04 both times: that bounds how slowly the start is forgotten. But the place "
                    "of rest, λθ* = −∇L(θ*), has only λ in it.",
                    "两次 ηλ 都是 0.04，它决定的是初值至少忘得多快。而停的位置 λθ* = −∇L(θ*) 里只有 λ。",
                ),
            ),
            Answer(
                Say("Farther from 0", "离 0 更远"),
                Say(
                    "Yes: a weaker pull to 0, μ/(μ + 0.5) of each part is left in place of μ/(μ + 2). The "
                    "larger steps change only how soon it gets there.",
                    "对：拉向 0 的力变弱了，每个分量保留的比例由 μ/(μ + 2) 增至 μ/(μ + 0.5)。"
                    "步子变大，只改变走到那里要多久。",
                ),
                right=True,
            ),
            Answer(
                Say("Nearer to 0: larger steps decay more", "离 0 更近：步子大，衰减也大"),
                Say(
                    "A step takes ηλ = 4 % of the weights, as before. But the data now push four "
                    "times as far.",
                    "每一步仍然减去权重的 ηλ = 4%，而数据每步的推动是原来的四倍。",
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
                "Along an eigen-axis of curvature μ ridge keeps the share μ/(μ + λ): every such part "
                "shrinks, the flattest most, and so does the length of θ.",
                "沿曲率为 μ 的特征轴，岭回归保留 μ/(μ + λ)：每个分量都变小，最平坦的轴缩得最多；"
                "θ 的长度也变小。",
            ),
            Say(
                "A single weight is a sum of such parts: it may grow or change its sign. Among correlated "
                "features a sign is no finding.",
                "单个权重是这些分量之和，可能变大，也可能变号。特征彼此相关时，系数的符号不足为凭。",
            ),
            Say(
                "If L is quadratic, all contours of J have one shape, near and far, with the axis ratio "
                "√((μ₁ + λ)/(μ₂ + λ)).",
                "若 L 是二次函数，J 的等高线无论远近都是同一形状，轴比为 √((μ₁ + λ)/(μ₂ + λ))。",
            ),
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("Why not penalise the intercept?", "为什么不惩罚截距？"),
        Say(
            "Then the mean of all predictions is pulled to 0, at λ = 5 from 152.1 to 141.9. As measured, "
            "both columns are far from 0, at 5.5 and 3.8 standard deviations: the weights can stand in "
            "for the intercept, and the sum of the two nearly doubles, from 0.14 to 0.26. The eigen-axes "
            "of this bowl are those of three parameters. With centred columns the weights would not "
            "notice, but the mean would sink to 43.5.",
            "那样一来，全部预测的均值也被拉向 0：λ = 5 时从 152.1 降到 141.9。两列测量值都离 0 很远，"
            "分别为 5.5 和 3.8 个标准差，权重便可以代替截距：两者的“和”分量从 0.14 增至 0.26，几乎翻倍。"
            "这时碗的特征轴是三个参数的特征轴。若各列已中心化，权重不受影响，但均值会降到 43.5。",
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
def measured():
    """Total cholesterol, LDL and the progression, each in its standard deviations, not centred."""
    x, y = mr.datasets.arrays("diabetes")
    return (x / x.std(0))[:, 4:6], (y / y.std())[:, None]


@app.function(hide_code=True)
def bowl(strengths, broken=False):
    """For each λ, with the intercept at its best: curvatures of J, its minimum, the mean prediction."""
    x, y = measured()
    z = np.c_[x, np.ones(len(x))]
    h = 2 * z.T @ z / len(z) + np.multiply.outer(strengths, np.diag([1, 1, broken]))
    best = np.linalg.solve(h, 2 * z.T @ y / len(z))[..., 0]
    curved = h[..., :2, :2] - h[..., :2, 2:] * h[..., 2:, :2] / h[..., 2:, 2:]
    return curved, best[..., :2], best @ z.mean(0) * mr.datasets.arrays("diabetes")[1].std()


@app.function(hide_code=True)
def place(strength):
    """Where λ stands on its axis: as its logarithm, but with a place for 0."""
    return np.arcsinh(50 * np.asarray(strength))


@app.function(hide_code=True)
def thread(broken=False):
    """Many λ from 0 on, and the minimum of J at each."""
    strengths = np.sinh(np.linspace(0, place(1000), 121)) / 50
    return strengths, bowl(strengths, broken)[1]


@app.function(hide_code=True)
def picture(lam, choice, broken=False):
    """The plane of two weights with its axes, and the coordinates along these against λ."""
    role = "broken" if broken else "result"
    (curved, centre, mean), start, (strengths, path) = bowl(lam, broken), bowl(0)[1], thread(broken)
    axes, ends = AXES[choice], {"raw": (0.3, 0.17), "eigen": (0.24, 0.3)}[choice]
    names = {
        "raw": (Say("total cholesterol", "总胆固醇"), Say("LDL", "LDL")),
        "eigen": (Say("sum", "和"), Say("difference", "差")),
    }[choice]
    left = Panel(
        Say("two weights, and contours of J", "两个权重与 J 的等高线"),
        x=(-0.09, 0.38), y=(-0.2, 0.195), xticks={}, yticks={}, height=None,
    )  # fmt: skip
    (mu, v), turn = np.linalg.eigh(curved), np.linspace(0, 2 * np.pi, 73)
    ring = (mu[0] / mu) ** 0.5 * np.c_[np.cos(turn), np.sin(turn)] @ (v * np.sign(v[0])).T
    for size in (0.05, 0.1, 0.15, 0.2):
        left.line(*(centre + size * ring).T, "reference", width=1)
    for axis, name, end in zip(axes, names, ends, strict=True):
        left.line(*np.outer([-1, 1], axis).T, "ink", width=1)
        left.text(*(end * axis), name)
    left.text(-0.02, -0.02, "0")
    for point, own in ((start, "data"), (centre, role)):
        for axis in axes:
            foot = point @ axis * axis
            left.line(*np.array([point, foot]).T, own, width=1)
            left.dots(*foot[:, None], own, size=4.5, hollow=own == "data")
    right = Panel(
        Say("the coordinates on the two axes", "在两条轴上的坐标"),
        x=(0, place(5)), y=(-0.13, 0.36), xlabel="λ", height=300,
        xticks={float(place(s)): f"{s:g}" for s in STRENGTHS},
    )  # fmt: skip
    right.hline(0, role="ink").vline(place(lam))
    if broken:
        left.line(
            *thread()[1].T, "textbook", width=1.5, label=Say("intercept free", "截距不受惩罚")
        )
    left.line(*path.T, role, label=Say("ridge", "岭回归"))
    left.dots(*start[:, None], "data", size=6, label=Say("least squares", "最小二乘"))
    left.dots(*centre[:, None], role, size=6).handle(*centre)
    for axis, name in zip(axes, names, strict=True):
        if broken:
            right.line(place(strengths), thread()[1] @ axis, "textbook", width=1.5)
        right.line(place(strengths), path @ axis, role, label=name)
        right.dots([0], [start @ axis], "data", size=6)
        right.dots(place([lam]), [centre @ axis], role, size=6)
    (a, b), (c, d) = start @ axes.T, centre @ axes.T
    if broken:
        said = Say(
            f"Mean prediction {mean:.1f}, of the data 152.1.",
            f"预测的均值 {mean:.1f}，数据的均值 152.1。",
        )
    elif choice == "eigen":
        said = Say(
            f"Left: {100 * c / a:.0f} % and {100 * d / b:.0f} %.",
            f"分别剩下 {100 * c / a:.0f}% 和 {100 * d / b:.0f}%。",
        )
    elif d > 0:
        said = Say("LDL changed its sign.", "LDL 的权重变了号。")
    else:
        said = Say("LDL is negative.", "LDL 的权重为负。")
    return Frame(left, right, first=names[0], second=names[1], a=a, b=b, c=c, d=d, said=said,
                 ratio=(mu[1] / mu[0]) ** 0.5, mean=mean)  # fmt: skip


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    x, y = patients()
    free, held = ridge(x, y, 0.0), ridge(x, y, 0.2)
    mu, axes = np.linalg.eigh(2 * x.T @ x / len(x))
    kept_of_each = held @ axes / (free @ axes)
    pair = ridge(x[:, 4:6], y, 0.5)
    both = mr.nn.Linear(2, 1, dtype=np.float64)  # the fault: the intercept is penalised, too
    mr.solve(both, mr.nn.MSELoss(), mr.penalties.L2(5.0), *measured(), on="*")
    curved, best, mean = bowl(0)
    steep, flat = np.linalg.eigvalsh(curved)[::-1]
    first, one = (AXES["eigen"][0] @ w for w in (best, bowl(5, broken=True)[1]))
    crossed = bowl(STRENGTHS)[1][:, 1]
    axis_ratio = lambda s: ((steep + s) / (flat + s)) ** 0.5
    parts = mr.datasets.arrays("diabetes")[0][:, 4:6].mean(0)
    centred = mr.datasets.arrays("diabetes")[1].mean() * 2 / (2 + 5)
    return [
        holds("correlation of the two", np.corrcoef(x[:, 4], x[:, 5])[0, 1], at_least=0.89),
        holds("share of LDL in the mean total cholesterol", parts[1] / parts[0], at_least=0.5),
        holds("|picture − mr.solve|, λ = 0.5", abs(pair - bowl(0.5)[1]).max(), at_most=1e-9),
        holds("the same with the fault, λ = 5",
              abs(both.weight.numpy()[0] - bowl(5, broken=True)[1]).max(), at_most=1e-9),
        breaks("weight of LDL, its largest at λ ≤ 0.1", crossed[:3].max(), at_most=0),
        breaks("its least at λ ≥ 0.2", crossed[3:].min(), at_least=0),
        breaks("of ten weights, grown or of another sign, λ = 0.2",
               ((abs(held) > abs(free)) | (held * free < 0)).sum(), at_least=4, at_most=4),
        holds("|kept of each of ten parts − μ/(μ + λ)|",
              abs(kept_of_each - mr.implicit.ridge_filter(mu, 0.2)).max(), at_most=1e-6),
        holds("μ of the sum", steep, at_least=3.785, at_most=3.795),
        holds("μ of the difference", flat, at_least=0.205, at_most=0.215),
        holds("kept of the sum at λ = 0.2, %", 100 * steep / (steep + 0.2), at_least=94.5, at_most=95.5),
        holds("of the difference", 100 * flat / (flat + 0.2), at_least=50.5, at_most=51.5),
        holds("axis ratio of L", axis_ratio(0), at_least=4.25, at_most=4.35),
        holds("of J at λ = 0.5", axis_ratio(0.5), at_least=2),
        holds("at λ = 1", axis_ratio(1), at_most=2),
        holds("curvatures at λ = 2: their ratio", axis_ratio(2) ** 2, at_least=2),
        holds("at λ = 5", axis_ratio(5) ** 2, at_most=2),
        holds("mean of the data", mean, at_least=152.05, at_most=152.15),
        breaks("intercept penalised, λ = 5: mean", bowl(5, True)[2], at_least=141.85, at_most=141.95),
        breaks("the sum before", first, at_least=0.135, at_most=0.145),
        breaks("and with it", one, at_least=0.255, at_most=0.265),
        *(holds("its column's mean, in standard deviations", m, at_least=v - 0.05, at_most=v + 0.05)
          for m, v in zip(measured()[0].mean(0), (5.5, 3.8), strict=True)),
        holds("ten weights: ‖θ‖ at λ = 0.5 over that at λ = 2",
              np.linalg.norm(ridge(x, y, 0.5)) / np.linalg.norm(ridge(x, y, 2.0)), at_least=1.1),
        breaks("columns centred: mean", centred, at_least=43.45, at_most=43.55),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
