"""What do three norms do to a photograph?

For everybody who penalises a matrix and not a list of numbers. Afterwards you can say what the Frobenius,
the nuclear and the spectral norm do to singular values, and which of them lowers the rank.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 16: what do three norms do to a photograph?")

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

    MARKED = (1, 2, 3, 5, 8, 13, 21, 34, 50)  # patterns at which the spectral norm has a dot


@app.cell(hide_code=True)
def _():
    Title(
        Say("What do three norms do to a photograph?", "三种范数会把一张照片\u200b变成什么样？"),
        lead=Say(
            "A photo Y of 64 × 64 pixels is a sum of 64 patterns, a column times a row each. Their "
            "strengths are its *singular values* σ₁ ≥ σ₂ ≥ …; how many are not 0 is its *rank*. What a "
            "penalty leaves is the W that makes ½‖W − Y‖² + penalty least (‖·‖²: the sum of all squared "
            "entries).",
            "一张 64 × 64 像素的照片 Y 是 64 个图案之和，每个图案是一列乘以一行。各图案的强度就是"
            "**奇异值** σ₁ ≥ σ₂ ≥ …，其中不为 0 的个数叫作**秩**。"
            "惩罚留下的，是使“½‖W − Y‖² + 惩罚”最小的 W（‖·‖² 是全部元素的平方和）。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Predict(
        Say(
            "Three penalties on the strengths σ. Which one makes some of them exactly 0?",
            "对强度 σ 有三种惩罚。哪一种会使其中一些恰好变为 0？",
        ),
        (
            Answer(
                Say("½λΣσ²: large ones cost most", "½λΣσ²：大的代价最高"),
                Say(
                    "It pulls with λσ: the weaker a pattern, the less. All keep the same share of their "
                    "strength. The photo darkens, and no pattern is lost.",
                    "它的拉力是 λσ：图案越弱，拉力越小。各图案的强度都保留同样的比例："
                    "照片变暗，图案却一个也没有丢。",
                ),
            ),
            Answer(
                Say("λΣσ: all cost alike", "λΣσ：单价相同"),
                Say(
                    "Yes: it pulls with λ at each, however weak, so all up to λ are gone. At λ = 4 two "
                    "of 64 patterns are left, and the tower is a tartan.",
                    "对：不论图案多弱，拉力都是 λ，所以不超过 λ 的都没有了。λ = 4 时 64 个图案只剩两个，"
                    "楼阁成了格子布。",
                ),
                right=True,
            ),
            Answer(
                Say("λσ₁: one after another goes", "λσ₁：一个接一个去掉"),
                Say(
                    "It lowers σ₁ until σ₁ meets σ₂; then both fall together, and so on. None gets to 0 "
                    "before all are equal.",
                    "它压低 σ₁，直到与 σ₂ 相等，然后两个一起下降，如此继续。"
                    "在全部相等之前，没有一个会到 0。",
                ),
            ),
        ),
        asks=Say(
            "What did you see: which photo loses light, and which loses detail?",
            "你看到了什么：哪张照片失去亮度？哪张失去细节？",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    scene = Scene(
        picture,
        "lam",
        (1, 2, 4, 8, 16, 32),
        start=4,
        label="λ",
        broken=Say("cut at λ, as a text has it", "照一份教材，截到 λ"),
        caption=Say(
            "σ₁ = 36.1 and σ₂ = 7.9 become: Frobenius\u00a0{frobenius}; spectral\u00a0{spectral}; "
            "nuclear\u00a0{nuclear}.",
            "σ₁ = 36.1 与 σ₂ = 7.9 变为：Frobenius\u00a0范\u2060数\u00a0{frobenius}；"
            "谱\u2060范\u2060数\u00a0{spectral}；核\u2060范\u2060数\u00a0{nuclear}。",
        ),
        alt=Say(
            "Left, the singular values of a photograph, from the largest, and of what three penalties "
            "leave of it, on logarithmic axes. The Frobenius norm moves the whole curve down. The nuclear "
            "norm takes the same from each, so that the curve breaks off where they are up to λ. The "
            "spectral norm, as dots, lowers only the top. Right, the photograph of a tower and three "
            "others: dark, a few stripes, and nearly the same. Broken, the curve is cut at λ: that "
            "photograph keeps the detail and loses the light.",
            "左图（对数坐标）：照片的奇异值从大到小，以及三种惩罚留下的奇异值。Frobenius 范数使整条曲线下移；"
            "核范数从每个奇异值减去同样的量，不超过 λ 的全部消失，曲线在那里中断；"
            "谱范数（圆点）只压低最上端。右图：一张楼阁的照片和三张结果：一张很暗，一张只剩几道条纹，一张几乎没变。"
            "故意弄错时，曲线在 λ 处被截平：照片保留细节，失去亮度。",
        ),
    )
    scene  # noqa: B018
    return (scene,)


@app.cell(hide_code=True)
def _():
    Why(
        (
            Say(
                "**The patterns stay.** Each norm sees W's singular values only: "
                r"$\|W\|_F^2=\sum\sigma_k^2$ (Frobenius), $\|W\|_*=\sum\sigma_k$ (nuclear), "
                r"$\|W\|_2=\sigma_1$ (spectral, the most that W stretches). The best W keeps Y's "
                "patterns, in other strengths.",
                r"**图案不变**。三种范数都只看 W 的奇异值：$\|W\|_F^2=\sum\sigma_k^2$（Frobenius 范数），"
                r"$\|W\|_*=\sum\sigma_k$（核范数），$\|W\|_2=\sigma_1$（谱范数，即最大的伸缩倍数）。"
                "最优的 W 仍由 Y 的图案组成，只是强度不同。",
            ),
            Say(
                "**What a strength loses** is the slope of its penalty. Frobenius "
                r"($\tfrac\lambda2\|W\|_F^2$) takes the same share of each, nuclear the same amount, "
                "at most all:\n\n"
                r"$$\color{data}{\sigma_k(Y)} - \color{result}{\sigma_k(W)} = "
                r"\color{penalty}{\lambda\,\sigma_k(W)} \quad\text{or}\quad \color{penalty}{\lambda}$$"
                "\n\nSpectral takes λ from the first. [At λ = 32](#lam=32) it has met the second, and they "
                "share.",
                "**强度失去多少**，等于惩罚的斜率。Frobenius 范数（"
                r"$\tfrac\lambda2\|W\|_F^2$）从各强度拿走同样的比例，核范数拿走同样的量，至多拿光："
                "\n\n"
                r"$$\color{data}{\sigma_k(Y)} - \color{result}{\sigma_k(W)} = "
                r"\color{penalty}{\lambda\,\sigma_k(W)} \quad\text{或}\quad \color{penalty}{\lambda}$$"
                "\n\n谱范数只从第一个拿走 λ。[λ = 32 时](#lam=32)，它已降到与第二个相等，于是两个分摊。",
            ),
            Say(
                "**Cut at λ** is what the nuclear norm takes away: Y − W has the singular values "
                "min(σ, λ). [Keep that](#lam=4&broken), and you see what should have gone.",
                "**截到 λ** 的恰是核范数拿走的部分：Y − W 的奇异值是 min(σ, λ)。"
                "[若把它留下](#lam=4&broken)，看到的就是本该去掉的东西。",
            ),
        )
    )
    return


@app.function
def left(penalty, photo):
    """The W at which ½‖W − Y‖² + penalty is least, and its singular values."""
    w = penalty.prox(photo, step=1.0)
    return w, np.linalg.svd(w, compute_uv=False)


@app.cell(hide_code=True)
def _():
    Code(
        left,
        "P, photo = mr.penalties, mr.datasets.photo()\n"
        "for penalty in P.L2(4.0), P.NuclearNorm(4.0), P.SpectralNorm(4.0):\n"
        "    w, s = left(penalty, photo)\n"
        "    print(penalty, s[:3].round(2), 'rank', np.linalg.matrix_rank(w))",
        Say(
            "On a matrix, `L2` is half the squared Frobenius norm. Each `prox` takes the photo apart and "
            "puts it together again with other strengths.",
            "对矩阵而言，`L2` 就是 Frobenius 范数平方的一半。每个 `prox` 都先把照片拆成图案，"
            "改变强度，再重新合成。",
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    Told(("C96", "C93", "C86"), also=("C85", "C92", "C94", "C95", "C97", "C98"))
    return


@app.function(hide_code=True)
def threshold(u, s, vt, lam):
    """The W at which ½‖W − Y‖² + λ‖W‖_* is least; Y = (u * s) @ vt."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "threshold",
        Say(
            "`u, s, vt = np.linalg.svd(Y)` are the patterns of Y and their strengths: Y = `(u * s) @ vt`. "
            "Which W does the nuclear norm of strength λ leave?",
            "`u, s, vt = np.linalg.svd(Y)` 给出 Y 的图案与强度：Y = `(u * s) @ vt`。"
            "强度为 λ 的核范数留下哪个 W？",
        ),
        threshold,
        weaker,
        cases=[
            (*turned((3.0, 1.2), 0.6, 0.8), 0.5),
            (*turned((4.0, 0.9), 0.8, -0.6), 1.5),
            (*turned((2.5, 2.0, 0.3), 0.28, 0.96), 0.7),
        ],
        limits={
            Say("λ = 0: nothing is taken, Y must come out.", "λ = 0：什么也不拿走，应得 Y。"): (
                *turned((3.0, 1.0), 0.6, 0.8),
                0.0,
            ),
            Say(
                "Both strengths are at most λ: nothing is left, 0 must come out.",
                "两个强度都不超过 λ：什么也不剩，应得 0。",
            ): (*turned((2.0, 1.0), 0.8, 0.6), 2.0),
        },
        mistakes={
            Say(
                "That is what the penalty takes away, Y − W. A text bounds W like this; what is bounded by "
                "λ is what is gone.",
                "这是惩罚拿走的部分 Y − W。有一份教材说 W 的奇异值以 λ 为界；其实以 λ 为界的是拿走的部分。",
            ): lambda u, s, vt, lam: (u * np.minimum(s, lam)) @ vt,
            Say(
                "What is above λ stays as it was: the hard threshold. The nuclear norm pulls at the "
                "strong ones as well; each of them loses λ.",
                "大于 λ 的强度原样保留，这是硬阈值。核范数对强的同样有拉力，它们也各失去 λ。",
            ): lambda u, s, vt, lam: (u * (s * (s > lam))) @ vt,
            Say(
                "What is λ or above stays as it was: the hard threshold. The nuclear norm pulls at the "
                "strong ones as well; each of them loses λ.",
                "不小于 λ 的强度原样保留，这是硬阈值。核范数对强的同样有拉力，它们也各失去 λ。",
            ): lambda u, s, vt, lam: (u * (s * (s >= lam))) @ vt,
            Say(
                "What is at most λ should be gone. With |s − λ| the weak patterns get the stronger, the "
                "weaker they were.",
                "不超过 λ 的应当消失。取 |s − λ|，弱的图案反而越弱变得越强。",
            ): lambda u, s, vt, lam: (u * abs(s - lam)) @ vt,
            Say(
                "This takes λ from every pixel. It has to be taken from the strength of every pattern.",
                "这是从每个像素减去 λ。应当从每个图案的强度减去。",
            ): lambda u, s, vt, lam: (u * s) @ vt - lam,
            Say(
                "That is what the spectral norm leaves: it takes λ in all, from the largest. The nuclear "
                "norm takes λ from each.",
                "这是谱范数留下的：它一共只拿走 λ，从最大的拿起。核范数从每个图案都拿走 λ。",
            ): lambda u, s, vt, lam: mr.penalties.SpectralNorm(lam).prox((u * s) @ vt, 1.0),
            Say(
                "A strength below λ gets negative here: its pattern comes back inverted. That is the "
                "gradient step Y − λUVᵀ; it must stop at 0.",
                "小于 λ 的强度在这里变成负数：图案反了相又回来。这是梯度步 Y − λUVᵀ；应当停在 0。",
            ): lambda u, s, vt, lam: (u * (s - lam)) @ vt,
            Say(
                "This pulls at the pixels, as L1 does. The nuclear norm pulls at the strengths of the "
                "patterns.",
                "这是对像素作软阈值，是 L1 的做法。核范数拉的是图案的强度。",
            ): lambda u, s, vt, lam: mr.penalties.soft_threshold((u * s) @ vt, lam),
            Say(
                "The same share of each: that is L2, the squared Frobenius norm. The nuclear norm takes the "
                "same amount.",
                "从各强度拿走同样的比例，那是 L2，即 Frobenius 范数的平方。核范数拿走的是同样的量。",
            ): lambda u, s, vt, lam: (u * s) @ vt / (1 + lam),
            Say(
                "A share of each is taken, so nothing becomes 0. The nuclear norm takes λ from each, "
                "whatever its strength.",
                "这是按比例拿走，所以没有一个变成 0。核范数不论强弱，都拿走 λ。",
            ): lambda u, s, vt, lam: (1 - lam) * (u * s) @ vt,
            Say(
                "This takes λ from the strongest pattern alone, as the spectral norm does. The nuclear "
                "norm takes it from each.",
                "这只从最强的图案拿走 λ，是谱范数的做法。核范数从每个图案都拿走 λ。",
            ): lambda u, s, vt, lam: (u * np.append(np.maximum(s[:1] - lam, 0), s[1:])) @ vt,
            Say(
                "λ is taken twice: ½‖W − Y‖² has the slope W − Y, without a 2.",
                "λ 拿走了两次：½‖W − Y‖² 的梯度是 W − Y，没有 2。",
            ): lambda u, s, vt, lam: (u * np.maximum(s - 2 * lam, 0)) @ vt,
            Say(
                "Half of λ would be right for ‖W − Y‖² without the ½.",
                "只拿走 λ/2，对应的是没有 ½ 的 ‖W − Y‖²。",
            ): lambda u, s, vt, lam: (u * np.maximum(s - lam / 2, 0)) @ vt,
            Say(
                "The strengths are right. Put the patterns together again: `(u * …) @ vt`.",
                "强度对了。还要把图案重新合成：`(u * …) @ vt`。",
            ): lambda u, s, vt, lam: np.maximum(s - lam, 0),
            Say(
                "The strengths are right, but these are other patterns: u and vt are missing.",
                "强度对了，图案却换了：还缺 u 和 vt。",
            ): lambda u, s, vt, lam: np.diag(np.maximum(s - lam, 0)),
            Say(
                "NumPy's `svd` returns Vᵀ already: its rows belong to the strengths. Do not turn it again.",
                "NumPy 的 `svd` 返回的已经是 Vᵀ，与各强度对应的是它的行，不要再转置。",
            ): lambda u, s, vt, lam: (u * np.maximum(s - lam, 0)) @ vt.T,
            Say(
                "The transpose does not belong there: the columns of u are those of the patterns.",
                "不该转置：u 的列就是各图案的列。",
            ): lambda u, s, vt, lam: (u * np.maximum(s - lam, 0)).T @ vt,
            Say(
                "This scales the rows of u. A pattern's column is a column of u: `u * …` scales those.",
                "这样缩放的是 u 的行。每个图案的列是 u 的一列：`u * …` 缩放的才是列。",
            ): lambda u, s, vt, lam: (u * np.maximum(s - lam, 0)[:, None]) @ vt,
            Say(
                "After the product the columns are those of the photo. Scale those of u, before `@`.",
                "相乘之后，列已是照片的列。应在 `@` 之前缩放 u 的列。",
            ): lambda u, s, vt, lam: (u @ vt) * np.maximum(s - lam, 0),
            Say(
                "Of which patterns are left, nothing but their signs: all have the strength 1.",
                "留下的图案选对了，强度却都成了 1。",
            ): lambda u, s, vt, lam: (u * (s > lam)) @ vt,
        },
        why=Say(
            "the soft threshold of lesson 5, on singular values.",
            "这就是第 5 课的软阈值，只是作用在奇异值上。",
        ),
        hints=(
            Say(
                "What becomes of each strength? It loses λ, at most all of it.",
                "每个强度变成多少？它失去 λ，至多失去全部。",
            ),
            Say(
                "`np.maximum(s - lam, 0)`, in place of `s` in `(u * s) @ vt`.",
                "用 `np.maximum(s - lam, 0)` 代替 `(u * s) @ vt` 中的 `s`。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def weaker(u, s, vt, lam):
    """The W at which ½‖W − Y‖² + λ‖W‖_* is least; Y = (u * s) @ vt."""
    return (u * np.maximum(s - lam, 0)) @ vt


@app.function(hide_code=True)
def step_with_a_fault(photo, lam, lr):
    """Meant: one gradient step on the nuclear norm alone."""
    w = mr.nn.Parameter(photo.copy())
    optimizer = mr.optim.SGD([w], lr)
    penalty = lam * mr.linalg.norm(w)
    penalty.backward()
    optimizer.step()
    return w.numpy()


@app.function(hide_code=True)
def losses():
    """What the step with the fault takes from some of the singular values."""
    photo, row = mr.datasets.photo(), "{:7}  {:7.3f}  {:7.3f}  {:7.4f}"
    before, after = map(strengths, (photo, step_with_a_fault(photo, 2.0, 0.1)))
    lost = before - after
    rows = [row.format(k + 1, before[k], after[k], lost[k]) for k in (0, 1, 2, 3, 9)]
    return "\n".join(["pattern   before    after     lost", *rows])


@app.cell(hide_code=True)
def _():
    Hunt(
        "share",
        Say(
            "λ = 2 and η = 0.1: a gradient step on λ times the nuclear norm should take ηλ = 0.2 from "
            "every singular value above 0.2 of the photo. The table says what it took. Which line is wrong?",
            "λ = 2，η = 0.1：在核范数的 λ 倍上走一个梯度步，应从照片每个大于 0.2 的奇异值拿走 ηλ = 0.2。"
            "表中是实际拿走的量。哪一行错了？",
        ),
        step_with_a_fault,
        losses,
        "norm(w",
        why=Say(
            "Yes: of a matrix, `norm` is the Frobenius norm unless told otherwise. All lose the same share, "
            "0.53 %, so lost grows with σ. The nuclear norm is `mr.linalg.norm(w, 'nuc')`.",
            "对：对矩阵而言，`norm` 默认是 Frobenius 范数。各奇异值失去同样的比例 0.53%，"
            "所以失去的量与 σ 成正比。核范数应写成 `mr.linalg.norm(w, 'nuc')`。",
        ),
        others={
            "SGD": Say(
                "Plain SGD moves w by η times the gradient, the same η for all patterns. But the losses "
                "differ from pattern to pattern.",
                "不带动量的 SGD 使 w 移动 η 乘以梯度，对所有图案 η 都相同。可表中各图案失去的量不同。",
            ),
            "backward": Say(
                "It computes the gradient of what is in `penalty`, and does so rightly. Is the right norm "
                "in there?",
                "它求的是 `penalty` 的梯度，求得没有错。可 `penalty` 里是要的那个范数吗？",
            ),
            "": Say(
                "Here nothing decides how the loss depends on the strength. Divide the last column by "
                "the first.",
                "这一行不影响失去的量怎样随强度变化。用最后一列除以第一列看看。",
            ),
        },
        hints=(
            Say(
                "Divide lost by before, in each row.",
                "每一行都用失去的量（lost）除以原来的值（before）。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def least(w):
    """How small ½(‖A‖² + ‖B‖²) can be, over all A and B with AB = W."""
    return ...


@app.cell(hide_code=True)
def _():
    Write(
        "least",
        Say(
            "A layer W is written as a product, W = AB, and ½(‖A‖² + ‖B‖²), the L2 of both factors, is "
            "penalised. How small can this be for a given W? (‖A‖² is the sum of all squared entries, "
            "and A may have as many columns as it likes.)",
            "把一层的 W 写成乘积 W = AB，惩罚两个因子的 L2：½(‖A‖² + ‖B‖²)。给定 W，它最小是多少？"
            "（‖A‖² 是全部元素的平方和，A 要多少列都可以。）",
        ),
        least,
        both_alike,
        cases=[
            (np.array([[3.0, 0.0], [0.0, -2.0]]),),
            (np.array([[1.0, 2.0], [2.0, 1.0]]),),
            (np.array([[0.8, 0.6, 0.0], [-1.2, 1.6, 0.0]]),),
            (np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 2.0]]),),
        ],
        limits={
            Say(
                "One entry, 9: a column and a row of length 3 make it, for ½(9 + 9). So 9 must come out.",
                "只有一个元素 9：由长度为 3 的一列和一行相乘而成，代价是 ½(9 + 9)，应得 9。",
            ): (np.array([[0.0, 9.0], [0.0, 0.0]]),),
            Say(
                "Two patterns of strength 1, as this only turns the plane: 2 must come out.",
                "这只是平面的一个旋转，两个图案的强度都是 1，应得 2。",
            ): (np.array([[0.6, -0.8], [0.8, 0.6]]),),
        },
        mistakes={
            Say(
                "That is the square of the Frobenius norm. A pattern of strength σ is made of two factors of "
                "length √σ: their squares are σ, not σ².",
                "这是 Frobenius 范数的平方。强度为 σ 的图案由两个长度为 √σ 的因子相乘而成："
                "它们的平方是 σ，不是 σ²。",
            ): lambda w: (w**2).sum(),
            Say(
                "That is the L2 of W itself. A pattern of strength σ takes two factors of length "
                "√σ, which cost ½(σ + σ).",
                "这是 W 本身的 L2。强度为 σ 的图案由两个长度为 √σ 的因子构成，代价是 ½(σ + σ)。",
            ): lambda w: (w**2).sum() / 2,
            Say(
                "Twice too much: with the ½ each of the two factors costs ½σ.",
                "多了一倍：有 ½ 在，两个因子各花 ½σ。",
            ): lambda w: 2 * np.linalg.norm(w, "nuc"),
            Say(
                "That is one factor's part, ½σ. The other one costs as much.",
                "这只是一个因子的代价 ½σ，另一个也要这么多。",
            ): lambda w: np.linalg.norm(w, "nuc") / 2,
            Say(
                "That is the mean of the strengths. Each pattern is paid for: they add up.",
                "这是强度的平均。每个图案都要付代价：应当相加。",
            ): lambda w: np.linalg.svd(w, compute_uv=False).mean(),
            Say(
                "That is the rank: each pattern would cost 1. A strong one takes longer factors.",
                "这是秩，相当于每个图案的代价都是 1。强的图案需要更长的因子。",
            ): np.linalg.matrix_rank,
            Say(
                "That is the strongest pattern's cost. All the others have to be paid for as well.",
                "这只是最强图案的代价，其余的图案也要付。",
            ): lambda w: np.linalg.norm(w, 2),
            Say(
                "That is the length of W, the Frobenius norm. The patterns are paid for one by one: their "
                "strengths add up, not their squares.",
                "这是 W 的长度，即 Frobenius 范数。图案是逐个付代价的：相加的是强度，不是强度的平方。",
            ): lambda w: np.linalg.norm(w),
            Say(
                "Strengths are not multiplied here: each pattern has its own price, and prices add up.",
                "强度在这里不是相乘：每个图案各有代价，代价相加。",
            ): lambda w: np.linalg.svd(w, compute_uv=False).prod(),
            Say(
                "√σ is the length of a factor. What is paid is its square.",
                "√σ 是一个因子的长度，代价是它的平方。",
            ): lambda w: np.sqrt(np.linalg.svd(w, compute_uv=False)).sum(),
            Say(
                "That is the price of A = W and B = 1. Any split of the strength gives the same W; an even "
                "one is cheapest.",
                "这是取 A = W、B = I 的代价。强度怎样分给两个因子都得到同一个 W，平分最省。",
            ): lambda w: ((w**2).sum() + w.shape[1]) / 2,
            Say(
                "The sum of all |entries| changes when W is turned, the cost does not: turn A with it.",
                "各元素绝对值之和会随 W 的旋转而变，代价却不变：让 A 一起旋转就行。",
            ): lambda w: abs(w).sum(),
            Say(
                "The sum of the diagonal can be 0 or less. Of a symmetric matrix without negative "
                "eigenvalues it would be right.",
                "对角元之和可以是 0 甚至更小。只有对称且没有负特征值的矩阵，它才是对的。",
            ): lambda w: np.trace(w),
            Say(
                "Half the strongest pattern: both factors cost ½σ, and all patterns have to be paid for.",
                "这是最强图案的一半：两个因子各花 ½σ，而且每个图案都要付。",
            ): lambda w: np.linalg.norm(w, 2) / 2,
        },
        why=Say(
            "this is the nuclear norm. So L2 on two factors can lower the rank of their product, which L2 "
            "on W itself does not.",
            "这就是核范数。所以对两个因子用 L2，能降低乘积的秩；对 W 本身用 L2 则不能。",
        ),
        hints=(
            Say(
                "One number w = ab: for which a is ½(a² + b²) least? At a = b = √w: it is w.",
                "先看一个数 w = ab：a 取多少时 ½(a² + b²) 最小？a = b = √w，最小值是 w。",
            ),
            Say(
                "Split each pattern like that, √σ to either side, and add up.",
                "每个图案都这样分，两边各得 √σ，再加起来。",
            ),
        ),
    )
    return


@app.function(hide_code=True)
def both_alike(w):
    """How small ½(‖A‖² + ‖B‖²) can be, over all A and B with AB = W."""
    return np.linalg.svd(w, compute_uv=False).sum()


@app.cell(hide_code=True)
def _():
    Recall(
        "again",
        Say(
            "At λ = 4 the nuclear norm leaves rank 2: 62 singular values are 0. Now start from the photo and "
            "take 1,000 gradient steps of rate 0.1 on ½‖W − Y‖² + 4 × nuclear norm. How many are exactly 0?",
            "λ = 4 时核范数使秩降到 2：有 62 个奇异值为 0。现在从照片出发，在“½‖W − Y‖² + 4 × 核范数”上"
            "以学习率 0.1 走 1000 个梯度步。恰好为 0 的有几个？",
        ),
        5,
        (
            Answer(
                Say("62: a singular value cannot fall below 0", "62 个：奇异值不可能小于 0"),
                Say(
                    "The value cannot, but its pattern can change sign. That is how it jumps over 0: the "
                    "step pulls with λ, however little is left. In the last 100 steps they still hop, as "
                    "high as 0.69.",
                    "奇异值不能为负，图案却可以变号，它就是这样跳过 0 的：不管还剩多少，"
                    "这一步的拉力总是 λ。最后 100 步里它们仍在跳，最大到 0.69。",
                ),
            ),
            Answer(
                Say("None", "一个也没有"),
                Say(
                    "Yes, for the reason of lesson 5: the pull is λ however near 0, so a step goes past it. "
                    "The 62 hop, below 2ηλ = 0.8, and the rank stays 64. One proximal step of rate 1 "
                    "lands on rank 2.",
                    "对，理由与第 5 课相同：离 0 再近，拉力也是 λ，一步就越过去了。"
                    "那 62 个在 2ηλ = 0.8 以下来回跳，秩始终是 64。而学习率为 1 的近端步，一步就到秩 2。",
                ),
                right=True,
            ),
            Answer(
                Say("62, if the rate is small enough", "学习率足够小时，62 个"),
                Say(
                    "A tenth of the rate makes hops of a tenth: below 0.08. Small is not 0, and the rank "
                    "stays 64.",
                    "学习率减到十分之一，跳幅也减到十分之一：小于 0.08。小不等于 0，秩仍是 64。",
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
                "Added to ½‖W − Y‖², L2 (½λ times the squared Frobenius norm) divides every singular value "
                "by 1 + λ: all fade alike, the rank stays.",
                "加在 ½‖W − Y‖² 上时，L2（Frobenius 范数平方的 ½λ 倍）把每个奇异值都除以 1 + λ："
                "一齐变弱，秩不变。",
            ),
            Say(
                "The nuclear norm, added there, takes λ from each, at most all: those up to λ are gone, the "
                "rank falls; the others may be as large as they like.",
                "同样加上核范数，则从每个奇异值拿走 λ，至多拿光：不超过 λ 的都消失，秩下降；"
                "剩下的可以任意大。",
            ),
            Say(
                "The spectral norm lowers the largest alone, until it meets the next; from then on they "
                "fall together.",
                "谱范数只压低最大的一个，直到与下一个相等，此后一起下降。",
            ),
        )
    )
    return


@app.cell(hide_code=True)
def _():
    Appendix(
        Say("Can the nuclear norm fill in what is hidden?", "核范数能补出被遮住的像素吗？"),
        Say(
            "Hide half of the pixels and make ½ the sum of $(W_{ij}-Y_{ij})^2$ over the others + "
            "$0.2\\,\\|W\\|_*$ least: fill the holes with $W$, take one proximal step, again and again. "
            "After 300 rounds the hidden pixels are wrong by 15 % of their size; the mean of the visible "
            "ones in their place would be wrong by 48 %. With L2 every hidden pixel becomes 0, for it looks "
            "at each entry by itself. A pattern ties the pixels of a row and of a column together: that is "
            "what is used here.",
            "遮住一半像素，对其余像素使“$(W_{ij}-Y_{ij})^2$ 之和的一半加 $0.2\\,\\|W\\|_*$”最小："
            "用 $W$ 填上空洞，走一个近端步，如此反复。300 轮之后，被遮像素的误差是其大小的 15%；"
            "若都填上可见像素的平均值，误差是 48%。用 L2 时，被遮的像素全部变成 0，"
            "因为它只逐个看元素；而一个图案把同一行、同一列的像素联系在一起，这里用的正是这种联系。",
        ),
    )
    return


# --- how the picture is made ----------------------------------------------------------------------


@app.function(hide_code=True)
def turned(strengths, c, s):
    """An SVD of these strengths, its patterns turned by angles of this cosine and sine."""
    u = np.eye(len(strengths))
    u[:2, :2] = [[c, -s], [s, c]]
    return u, np.array(strengths), (u @ u).round(4)


@app.function(hide_code=True)
def strengths(w):
    """The singular values, 0 where they are rounding."""
    s = np.linalg.svd(w, compute_uv=False)
    return np.where(s > 1e-9, s, 0)


@app.function(hide_code=True)
def cut(photo, lam):
    """A planted fault, from a text on the nuclear norm (claim C96): no singular value above λ."""
    u, s, vt = np.linalg.svd(photo)
    return (u * np.minimum(s, lam)) @ vt


@app.function(hide_code=True)
def two(w):
    """The two largest singular values, in words."""
    one, other = strengths(w)[:2]
    return Say(f"{one:.1f}\u00a0and\u00a0{other:.1f}", f"{one:.1f}\u00a0与\u00a0{other:.1f}")


@app.function(hide_code=True)
def picture(lam, broken=False):
    """The singular values of a photograph and of what three penalties leave; all four as pictures."""
    photo, P = mr.datasets.photo(), mr.penalties
    best = [left(kind(lam), photo)[0] for kind in (P.L2, P.NuclearNorm, P.SpectralNorm)]
    shown = [photo, *best]
    names = [Say("photo", "照片"), Say("Frobenius", "Frobenius"), Say("nuclear", "核范数"),
             Say("spectral", "谱范数")]  # fmt: skip
    roles = ["data", "result", "result", "result"]
    frobenius, nuclear, spectral = map(two, best)
    if broken:
        shown[2], names[2], roles[2] = cut(photo, lam), Say("cut at λ", "截到 λ"), "broken"
        wrong = two(shown[2])
        nuclear = Say(f"{nuclear.en}, not {wrong.en}", f"{nuclear.zh}，而不是 {wrong.zh}")
    curves = Panel(
        Say("the 64 singular values", "64 个奇异值"),
        x=(0.9, 72), y=(0.05, 60), log="xy", height=296,
        xlabel=Say("k-th pattern", "第 k 个图案"), xticks={k: str(k) for k in (1, 2, 5, 10, 20, 64)},
    )  # fmt: skip
    boards = Panel(
        Say("the photo, and what is left of it", "照片，以及它剩下的部分"),
        x=(-0.3, 2.4), y=(2.32, -0.17), height=None, xticks={}, yticks={},
    )  # fmt: skip
    curves.hline(lam, Say("a text: σ ≤ λ", "一份教材：σ ≤ λ"), "textbook")
    for at, (w, name, role) in enumerate(zip(shown, names, roles, strict=True)):
        σ, x, y = strengths(w), 1.1 * (at % 2), 1.3 * (at // 2)
        if name.en == "spectral":  # as dots: past the first it lies on the photo's curve
            curves.dots(np.array(MARKED), σ[np.array(MARKED) - 1], role, size=4, label=name)
        else:
            curves.line(range(1, 65), σ, role, label=name, width=2.5 if at else 7)
        boards.image(np.round(47 * np.clip(w, 0, 1)) / 47, box=(x, x + 1, y, y + 1))  # 48 shades
        rank = np.count_nonzero(σ)
        boards.text(
            x + 0.5, y - 0.09, Say(f"{name.en}: rank {rank}", f"{name.zh}：秩 {rank}"), role
        )
    return Frame(curves, boards, frobenius=frobenius, nuclear=nuclear, spectral=spectral)


@app.cell(hide_code=True)
def _():
    Close(figures)
    return


@app.function(hide_code=True)
def descend(lr, steps=1000, last=100):
    """The singular values in the last of so many gradient steps under the nuclear norm, λ = 4."""
    photo, penalty = mr.datasets.photo(), mr.penalties.NuclearNorm(4.0)
    w, found = photo.copy(), []
    for t in range(steps):
        w = w - lr * (w - photo + penalty.gradient(w))
        if t >= steps - last:
            found.append(np.linalg.svd(w, compute_uv=False))
    return np.array(found)


@app.function(hide_code=True)
def filled(penalty, rounds=300):
    """How wrong the hidden half of the pixels is, relative to their size: filled in, and by the mean."""
    photo = mr.datasets.photo()
    seen = np.random.default_rng(0).random(photo.shape) < 0.5
    w = np.zeros_like(photo)
    for _ in range(rounds):
        w = penalty.prox(np.where(seen, photo, w), 1.0)
    size = np.linalg.norm(photo[~seen])
    return [np.linalg.norm((a - photo)[~seen]) / size for a in (w, photo[seen].mean())]


@app.function(hide_code=True)
def figures():
    """What the lesson says beyond its texts."""
    photo, P = mr.datasets.photo(), mr.penalties
    s = strengths(photo)
    kinds = P.L2, P.NuclearNorm, P.SpectralNorm
    four = [strengths(left(kind(4.0), photo)[0]) for kind in kinds]
    far = strengths(left(P.SpectralNorm(32.0), photo)[0])
    gone = strengths(photo - left(P.NuclearNorm(4.0), photo)[0])
    lost = s - strengths(step_with_a_fault(photo, 2.0, 0.1))
    hops, fine = descend(0.1), descend(0.01)
    (error, mean), (blind, _) = filled(P.NuclearNorm(0.2)), filled(P.L2(0.2))
    return [
        holds("σ₁ of the photo", s[0], at_least=36.05, at_most=36.15),
        holds("σ₂", s[1], at_least=7.85, at_most=7.95),
        holds("rank of the photo, under Frobenius and spectral norm, λ = 4, least",
              min(map(np.count_nonzero, (s, four[0], four[2]))), at_least=64),
        holds("rank under the nuclear norm", np.count_nonzero(four[1]), at_least=2, at_most=2),
        breaks("σ₁/λ there, said to be at most 1", four[1][0] / 4, at_least=8),
        holds("|σ(Y − W) − min(σ, λ)| there", abs(gone - np.minimum(s, 4)).max(), at_most=1e-12),
        holds("|share that Frobenius keeps − 1/(1 + λ)|", abs(four[0] / s - 0.2).max(), at_most=1e-9),
        holds("spectral norm, λ = 32: σ₁ − σ₂", far[0] - far[1], at_most=1e-12),
        holds("and what it takes from the others", abs(far[2:] - s[2:]).max(), at_most=1e-12),
        holds("step with the fault: share of σ lost, in %", 100 * lost[0] / s[0], at_least=0.525,
              at_most=0.535),
        holds("and how much these shares differ", np.ptp(lost / s) / (lost / s).mean(), at_most=1e-6),
        holds("gradient steps, η = 0.1: the 62, largest of the last 100", hops[:, 2:].max(),
              at_least=0.685, at_most=0.695),
        holds("η = 0.01", fine[:, 2:].max(), at_most=0.08),
        breaks("exact zeros among them", (hops == 0).sum() + (fine == 0).sum(), at_most=0),
        holds("half of the pixels hidden: error", error, at_least=0.145, at_most=0.155),
        holds("with the mean", mean, at_least=0.475, at_most=0.485),
        holds("with L2", blind, at_least=1, at_most=1),
    ]  # fmt: skip


if __name__ == "__main__":
    app.run()
