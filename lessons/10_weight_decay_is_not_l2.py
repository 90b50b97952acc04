"""Weight decay is not L2: where λ enters, and what momentum and Adam make of it.

For everybody who has typed weight_decay=. Afterwards you can say what an optimizer does to a penalty, and
read it off the ledger of a single step.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 10: weight decay is not L2")

with app.setup(hide_code=True):
    import marimo as mo
    import numpy as np
    from sklearn.datasets import load_digits

    import minireg as mr
    from minireg.course.claims import holds
    from minireg.course.lessons import (
        BLUE,
        GREEN,
        INK,
        ORANGE,
        SOFT,
        Judgement,
        closing,
        compare,
        drawing,
        judge,
        measure,
    )


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 10 · Weight decay is not L2

    *For everybody who has typed* `weight_decay=`. Afterwards you can say what an optimizer does to
    a penalty, and read it off the ledger of a single step.

    For plain gradient descent the two names mean one thing (L2正则化 = 权重衰减):

    $$\theta - \eta\,(g + \lambda\theta) \;=\; (1-\eta\lambda)\,\theta - \eta\,g .$$

    Left, **L2**: $\lambda\theta$ is part of the gradient. Right, **decay**: the weights shrink,
    whatever the gradient does. The two agree because this optimizer does nothing to a gradient but
    multiply it by $\eta$. Adam does more: it averages ($m$), and it divides each weight's step by
    the size of its gradients ($\sqrt v$). Now it matters on which side of that division
    $\lambda\theta$ stands. Here are both places, in one function:
    """)
    return


@app.function
def adam(w, gradients, lr, l2=0.0, decay=0.0, betas=(0.9, 0.999), eps=1e-8):
    """Where Adam takes the weights w: ``l2`` enters the gradient, ``decay`` stands beside the step.

    >>> adam(np.array([2.0]), [np.array([0.5])], lr=0.1).round(6)
    array([1.9])
    """
    m = v = 0
    for t, g in enumerate(gradients, 1):
        g = g + l2 * w  # coupled: into the gradient, so into m and v
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        step = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        w = w - lr * (step + decay * w)  # decoupled: beside the step
    return w


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    `adam(…, l2=λ)` is Adam with an L2 penalty, `adam(…, decay=λ)` is AdamW (解耦权重衰减).

    ## The picture: the ledger of one step

    A linear classifier of handwritten digits has been trained for 20 steps, from weights of ±0.1.
    The 640 weights are sorted into eight groups by the pixel they look at, from the pixels that are
    always blank to those with the most ink. We open the books of the last step, and book **data**
    and **penalty** separately. That is exact: $m$ is a sum of past gradients, and both terms share
    one denominator.

    $$\Delta\theta = -\frac{\eta}{\sqrt{\hat v}+\epsilon}\,\hat m_{\text{data}}
                     -\frac{\eta}{\sqrt{\hat v}+\epsilon}\,\hat m_{\lambda\theta}$$

    Left: the two rows before the division. Right: after it. **Move the slider** and compare the
    orange squares on the right with the black marks, which are what decay would have done:
    $\eta\lambda|\theta|$.
    """)
    return


@app.function
def one_step(kind, l2=0.0, decay=0.0, reduction="mean", steps=20):
    """Train a classifier of digits; each term's averaged gradient, and the row of the last step."""
    images, labels = load_digits(return_X_y=True)
    images, rng = images / 16, np.random.default_rng(0)
    model = mr.nn.Linear(64, 10, bias=False, dtype=np.float64)
    model.weight.assign(rng.choice([-0.1, 0.1], (10, 64)))
    objective = mr.Objective(
        mr.nn.CrossEntropyLoss(reduction=reduction), {"l2": mr.penalties.L2(l2)}
    )
    optimizer = kind(model.parameters(), lr=1e-3, weight_decay=decay)
    ledger, average = mr.Ledger(optimizer), {"data": 0.0, "l2": 0.0}
    for _ in range(steps):
        batch = rng.choice(len(images), 64)
        optimizer.zero_grad()
        terms = objective(model, images[batch], labels[batch])
        terms.backward()
        for term in average:
            average[term] = 0.9 * average[term] + 0.1 * terms.gradients[term]["weight"].data
        optimizer.step()
    return {term: m / (1 - 0.9**steps) for term, m in average.items()}, ledger.last["weight"]


@app.function(hide_code=True)
def groups():
    """The 64 pixels in eight groups: those blank in all images, then sevenths by how much ink they hold."""
    ink = load_digits().data.mean(0)
    blank, inked = np.flatnonzero(ink == 0), np.argsort(ink)[(ink == 0).sum() :]
    return [blank, *np.array_split(inked, 7)]


@app.function(hide_code=True)
def picture(strength, reduction="mean"):
    """Data row and penalty row of one step of Adam with L2, before and after the division by √v̂."""
    before, row = one_step(mr.optim.Adam, l2=strength, reduction=reduction)
    after = {term: row.of(term) for term in before}
    decay = 1e-3 * strength * row.before
    seen = (before["data"] != 0) | np.isin(np.arange(64), groups()[0])
    typical = lambda a, some: [np.exp(np.log(abs(a[:, g][seen[:, g]])).mean()) for g in some]
    every, inked = groups(), groups()[1:]
    figure, (left, right) = drawing(2, size=(11, 4.6))
    place = np.arange(8)
    for ax, rows in ((left, before), (right, after)):
        penalty, data = typical(rows["l2"], every), [np.nan, *typical(rows["data"], inked)]
        ax.vlines(place, penalty, data, color=SOFT, linewidth=2)
        ax.plot(place, data, "o", color=BLUE, markersize=10, label="data")
        ax.plot(place, penalty, "s", color=ORANGE, markersize=9, label="penalty λθ")
        ax.set(yscale="log", xlabel=f"weights by the ink in their pixel  (λ = {strength:g})",
               xticks=place, xticklabels=["blank", "least", *[""] * 5, "most"])  # fmt: skip
        ax.grid(visible=False, axis="x")
    right.plot(
        place,
        typical(decay, every),
        "_",
        color=INK,
        markersize=18,
        markeredgewidth=3,
        label="decay would do ηλ|θ|",
    )
    right.axhline(1e-3, color=INK, linewidth=0.8, linestyle=":")
    right.text(7.2, 1.2e-3, "η", ha="right", va="bottom")
    left.set(
        title="before: the averaged gradients",
        ylabel="|gradient| (geometric mean of a group)",
        ylim=(2e-6, 20),
    )
    right.set(
        title="after ÷ √v̂: what moves the weights",
        ylabel="|change of the weight|",
        ylim=(2e-9, 0.02),
    )
    for ax in (left, right):
        ax.legend(frameon=False, loc="upper left", ncols=3, fontsize=9, columnspacing=1)
    return figure


@app.cell(hide_code=True)
def _():
    strength = mo.ui.slider(
        steps=[1e-4, 1e-3, 1e-2, 0.1, 1], value=1e-2, label="λ", full_width=True
    )
    summed = mo.ui.switch(label="break it: sum the loss over the batch of 64")
    return strength, summed


@app.cell(hide_code=True)
def _(strength, summed):
    mo.vstack([
        mo.hstack([strength, summed], widths=[3, 2], align="center"),
        picture(strength.value, "sum" if summed.value else "mean"),
    ])  # fmt: skip
    return


@app.function(hide_code=True)
def share_per_step(row, term):
    """By how much a term shrank the weights of inked pixels in a step, in units of ηλ|θ|: the median."""
    return np.median(row.effective_decay(term)[:, np.concatenate(groups()[1:])])


@app.cell(hide_code=True)
def _(summed):
    _η, _λ, _reduction = 1e-3, 1e-2, "sum" if summed.value else "mean"
    _, _l2 = one_step(mr.optim.Adam, l2=_λ, reduction=_reduction)
    _, _decay = one_step(mr.optim.AdamW, decay=_λ, reduction=_reduction)
    _of_l2 = share_per_step(_l2, "l2") / (_η * _λ)
    _of_decay = np.median(-_decay["decay",] / _decay.before) / (_η * _λ)
    Judgement(
        f"**At λ = 0.01 a step of Adam with L2 shrinks a weight by {_of_l2:.2g}·ηλ, one of AdamW by "
        f"{_of_decay:.2g}·ηλ.** "
        + ("The loss is 64 times larger now. Adam divides that out of the data's step, which is what it "
           "was; but the penalty is 64 times weaker. Nothing raises and the training looks the same: only "
           "the ledger shows it. A forgotten loss scale did just this (chainer/chainer#7335). AdamW does "
           "not care."
           if summed.value else "The second is what λ says. The first is up to the gradients. Now switch "
           "“break it” on."),
        right=not summed.value,
    )  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    Read three things off the picture.

    1. **In each pair, orange and blue keep their distance** from left to right: one denominator
       serves both. So the *relative* influence of the penalty is not weakened (相对影响被削弱, 000 引理
       10.19). At rest, where $\nabla L + \lambda\theta = 0$, Adam with L2 has exactly the L2
       solution.
    2. **What differs is the decay per step.** Right, the black marks are nearly level: decay takes
       the same share $\eta\lambda$ of each weight. The orange squares are not: weights with small
       gradients $s$ are pulled by $\eta\lambda|\theta|/s$, far harder.
    3. **Blank pixels.** No data, so $\hat m=\lambda\theta$ and $\sqrt{\hat v}=\lambda|\theta|$:
       $\lambda$ cancels. The pull is $\eta$ all along the slider: $\lambda=0.0001$ pulls as hard as
       $\lambda=1$ (as long as $\lambda|\theta|\gg\epsilon$).

    ## The size of the weight

    002 §L2正则化 vs 解耦权重衰减 blames Adam with L2 for a decay whose *effect* depends on the size of
    the weight (与权重大小相关). Effect can mean two things. Left, the pull itself: decay is meant to grow
    with the weight, and it is Adam with L2 that does not. Right, the share of itself that a weight
    loses: decay is meant to take the same share of all, and there the text is right.
    """)
    return


@app.function
def pulls(sizes, strength=0.1, noise=0.0, steps=20, lr=1e-3, **places):
    """How far weights of these sizes are pulled a step, on average over pairs of opposite noise."""
    half = noise * np.random.default_rng(0).standard_normal((steps, 1, 500))
    gradients = np.concatenate([half, -half], axis=-1) * np.ones((len(sizes), 1))
    w = np.tile(np.reshape(sizes, (-1, 1)), (1, 1000))
    return (w - adam(w, gradients, lr, **dict.fromkeys(places, strength))).mean(axis=1) / steps


@app.function(hide_code=True)
def pull_picture():
    """What a step takes from a weight against its size: the pull, and the share of the weight."""
    sizes = np.logspace(-1, 1, 9)
    figure, axes = drawing(2, size=(11, 4))
    for ax, unit, name in zip(axes, (1, sizes), ("pull", "share: pull/|θ|"), strict=True):
        for pull, mark, colour, label in (
            (pulls(sizes, decay=True), "o-", GREEN, "AdamW"),
            (pulls(sizes, l2=True, noise=10.0), "s-", BLUE, "Adam with L2, noise s = 10"),
            (pulls(sizes, l2=True), "^-", ORANGE, "Adam with L2, no data"),
        ):
            ax.loglog(sizes, pull / unit, mark, color=colour, label=label)
        ax.set(
            xlabel="size of the weight |θ|",
            ylabel=f"{name} of one step (η = 0.001, λ = 0.1)",
            ylim=(5e-7, 0.2),
        )
    axes[0].legend(frameon=False, fontsize=9)
    return figure


@app.cell(hide_code=True)
def _():
    pull_picture()
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Momentum alone is enough

    With momentum, $v \leftarrow \beta v + g$, the penalty is averaged along with the data
    (动量与正则化的交互). Both are amplified by the same $1/(1-\beta)$, so L2 still ends at its own minimum.
    Decay beside the step is *not* amplified, the data are: at rest $v = -\gamma\theta$ and
    $v = g/(1-\beta)$, hence

    $$\nabla L(\theta) + (1-\beta)\,\gamma\,\theta = 0 .$$

    With $\beta = 0.9$ a decoupled decay is ten times weaker than the L2 penalty of the same
    strength.
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What the texts say

    Each row is a program in `lessons/claims` that has just run (`minireg claims --id C39
    --explain`).
    """)
    return


@app.cell(hide_code=True)
def _():
    results = measure("C29", "C32", "C33", "C34", "C35", "C36", "C37", "C38", "C39")
    compare(results)
    return (results,)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Exercises

    Edit the function; the box below says what is wrong with it.

    **1.** No data gradient, $\epsilon=0$. Where does the *first* step of Adam with L2 take a
    weight?
    """)
    return


@app.function
def first_step(w, lr, strength):
    """The weight after one step of Adam on ½λw² alone."""
    return ...


@app.function(hide_code=True)
def check_first_step(answer):
    """What is wrong with :func:`first_step`."""
    cases = [(2.0, 0.1, 0.5), (-0.3, 0.01, 0.5)]
    return judge(answer, lambda w, lr, s: w - lr * np.sign(w), cases, {
        "That is SGD. Adam divides the gradient λθ by its own size.": lambda w, lr, s: (1 - lr * s) * w,
        "λ cancels, too: m̂ = λθ, √v̂ = λ|θ|.": lambda w, lr, s: w - lr * s * np.sign(w),
        "Negative weights are pulled up: towards 0.": lambda w, lr, s: w - lr,
        "It is a penalty: the pull is towards 0.": lambda w, lr, s: w + lr * np.sign(w),
    })  # fmt: skip


@app.cell(hide_code=True)
def _():
    check_first_step(first_step)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **2.** The data gradients of a weight are noise with mean 0 and standard deviation $s$. Which
    share of the weight does Adam with L2 take away a step? (Take
    $\hat m_{\lambda\theta}=\lambda\theta$, and $\hat v$ as the mean of $g^2$ with
    $g = \text{noise} + \lambda\theta$.)
    """)
    return


@app.function
def share_taken(w, s, lr, strength):
    """−Δθ/θ of the penalty in one step of Adam, for data gradients of size s."""
    return ...


@app.function(hide_code=True)
def check_share_taken(answer):
    """What is wrong with :func:`share_taken`."""
    cases = [(1.0, 0.5, 0.01, 0.2), (3.0, 0.1, 0.01, 2.0)]
    return judge(answer, lambda w, s, lr, λ: lr * λ / np.hypot(s, λ * w), cases, {
        "Right for s ≫ λ|θ| only: v̂ holds the penalty's own gradient, too.": lambda w, s, lr, λ: lr * λ / s,
        "Adam divides by √v̂, not by v̂.": lambda w, s, lr, λ: lr * λ / (s**2 + (λ * w) ** 2),
        "That is AdamW's share. L2 stands above the division by √v̂.": lambda w, s, lr, λ: lr * λ,
        "That is the pull. Divide by θ for the share.": lambda w, s, lr, λ: lr * λ * w / np.hypot(s, λ * w),
        "Sizes of independent parts add in squares: √(s² + λ²θ²).":
            lambda w, s, lr, λ: lr * λ / (s + λ * abs(w)),
    })  # fmt: skip


@app.cell(hide_code=True)
def _():
    check_share_taken(share_taken)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **3.** You replace L2 of strength $\lambda$ by decoupled decay under SGD with momentum,
    $v\leftarrow\beta v+g$. Which decay $\gamma$ ends at the same weights?
    """)
    return


@app.function
def matching_decay(strength, beta):
    """The decoupled decay that has the limit of L2 of this strength, under momentum beta."""
    return ...


@app.function(hide_code=True)
def check_matching_decay(answer):
    """What is wrong with :func:`matching_decay`."""
    return judge(answer, lambda λ, β: λ / (1 - β), [(0.1, 0.9), (0.3, 0.5)], {
        "Only without momentum. The data are amplified by 1/(1 − β), the decay is not.": lambda λ, β: λ,
        "The wrong way round: momentum makes a decoupled decay weaker, so it has to be larger.":
            lambda λ, β: λ * (1 - β),
        "β is the share that is carried over; the amplification is 1 + β + β² + … = 1/(1 − β).":
            lambda λ, β: λ / β,
        "Sum all of 1 + β + β² + …, not its first two terms.": lambda λ, β: λ * (1 + β),
    })  # fmt: skip


@app.cell(hide_code=True)
def _():
    check_matching_decay(matching_decay)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Claimed, measured
    """)
    return


@app.cell(hide_code=True)
def _(results):
    _rng, _off = np.random.default_rng(0), {}
    _start, _gradients = _rng.standard_normal(5), _rng.standard_normal((30, 5))
    for _kind, _place in ((mr.optim.Adam, "l2"), (mr.optim.AdamW, "decay")):
        _w = mr.nn.Parameter(_start.copy())
        _optimizer = _kind([_w], lr=0.1, weight_decay=0.3)
        for _g in _gradients:
            _w.grad = mr.tensor(_g)
            _optimizer.step()
        _off[_kind] = abs(_w.data - adam(_start, _gradients, 0.1, **{_place: 0.3})).max()
    _average, _row = one_step(mr.optim.Adam, l2=1e-2)
    _factor = _row.of("l2") / _average["l2"]
    _share = share_per_step(_row, "l2")
    _blank = {λ: one_step(mr.optim.Adam, l2=λ)[1].of("l2")[:, groups()[0]] for λ in (1e-4, 1.0)}
    _summed = one_step(mr.optim.Adam, l2=1e-2, reduction="sum")[1]
    closing(results, [
        holds("|adam(l2=λ) − mr.optim.Adam|, 30 steps", _off[mr.optim.Adam], at_most=1e-13),
        holds("|adam(decay=λ) − mr.optim.AdamW|, 30 steps", _off[mr.optim.AdamW], at_most=1e-13),
        holds("both rows have one factor: |difference|/η",
              abs(_row.of("data") - _factor * _average["data"]).max() / 1e-3, at_most=1e-9),
        holds("residual of its books", _row.residual, at_most=1e-14),
        *(holds(f"blank pixels: median |pull|/η, λ = {λ}", np.median(abs(_pull)) / 1e-3,
                at_least=0.9, at_most=1.1) for λ, _pull in _blank.items()),
        holds("decay/ηλ, median over inked pixels, Adam with L2", _share / 1e-5, at_least=10),
        holds("… over the same with the loss summed over 64", _share / share_per_step(_summed, "l2"),
              at_least=60, at_most=68),
    ])  # fmt: skip
    return


if __name__ == "__main__":
    app.run()
