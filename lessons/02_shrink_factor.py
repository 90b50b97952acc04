"""The shrink factor 1 − ηλ: what it forgets, what it keeps.

For everybody who sets a learning rate and a weight decay. Afterwards you can say what each of the two
decides, and what a training run still remembers of where it started.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 2: the shrink factor")

with app.setup(hide_code=True):
    from functools import partial

    import marimo as mo
    import numpy as np
    from sklearn.datasets import load_diabetes

    import minireg as mr
    from minireg.course.claims import holds
    from minireg.course.lessons import (
        BLUE,
        GREEN,
        INK,
        ORANGE,
        Judgement,
        closing,
        compare,
        drawing,
        grid,
        judge,
        measure,
    )
    from minireg.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR
    from minireg.tables import Column, Table


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    # 2 · The shrink factor $1-\eta\lambda$

    *For everybody who sets a learning rate and a weight decay.* Afterwards you can say what each of
    the two decides, and what a training run still remembers of where it started.

    With the penalty $\tfrac{\lambda}{2}\|\theta\|^2$ a gradient step of rate $\eta$ can be written
    in two ways:

    $$\theta_{t+1} = \theta_t - \eta\bigl(\nabla L(\theta_t) + \lambda\theta_t\bigr)
    \;=\; \underbrace{(1-\eta\lambda)}_{\text{shrink factor}}\,\theta_t \;-\; \eta\,\nabla L(\theta_t).$$

    The right-hand side is called weight decay (权重衰减): first every weight shrinks, then the data
    have their say. Two texts (000 定理 10.10, 001 定理 9.3.1) conclude that the norm decays
    exponentially,

    $$\|\theta_T\| \approx (1-\eta\lambda)^T\,\|\theta_0\|.$$

    Is that so? We take 442 diabetes patients, ten measurements each, and follow the norm.
    """)
    return


@app.function
def diabetes():
    """442 patients × 10 measurements and the progression of the disease, all standardized."""
    x, y = load_diabetes(return_X_y=True, scaled=False)
    x, y = ((a - a.mean(0)) / a.std(0) for a in (x, y))
    return x, y[:, None]


@app.function
def start(norm):
    """The same ten random weights, scaled to this norm."""
    w = np.random.default_rng(0).standard_normal((1, 10))
    return norm * w / np.linalg.norm(w)


@app.function
def train(w0, lr, strength, steps=300, penalty=mr.penalties.L2, schedule=None, data=True):
    """Gradient descent on mean squared error + ½λ‖θ‖² from w0; all iterates, (steps + 1, 10)."""
    x, y = (a if data else 0 * a for a in diabetes())
    model = mr.nn.Linear(10, 1, bias=False, dtype=np.float64)
    model.weight.assign(w0)
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": penalty(strength)})
    optimizer = mr.optim.SGD(model.parameters(), lr)
    scheduler = schedule(optimizer) if schedule else None
    path = [model.weight.data[0].copy()]
    for _ in range(steps):
        optimizer.zero_grad()
        objective(model, x, y).backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        path.append(model.weight.data[0].copy())
    return np.array(path)


@app.function
def limit(strength):
    """Where it ends: the θ at which λθ = −∇L(θ), by the normal equations."""
    x, y = diabetes()
    hessian, b = 2 * x.T @ x / len(x), 2 * x.T @ y[:, 0] / len(x)
    return np.linalg.solve(hessian + strength * np.eye(10), b)


@app.class_definition
class WrongSign(mr.penalties.L2):
    """A planted fault: decay that lets weights grow. Chainer once shipped it (chainer/chainer#261)."""

    def gradient(self, w):
        """−λw in place of λw."""
        return -super().gradient(w)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## The picture

    Left: the norm, from three starting points. Dashed is what the theorem predicts. Right: how far
    two runs are apart that differ only in where they started.

    **Move the slider.** It changes $\lambda$ and sets $\eta = 0.02/\lambda$, so that the product
    stays $\eta\lambda = 0.02$. The dashed lines cannot move. The solid ones do.
    """)
    return


@app.function(hide_code=True)
def picture(strength, penalty=mr.penalties.L2, product=0.02, steps=300):
    """Norms, and the distance between two runs, against the step, beside what (1 − ηλ)ᵗ predicts."""
    lr, t = product / strength, np.arange(steps + 1)
    factor = (1 - product) ** t
    paths = {norm: train(start(norm), lr, strength, steps, penalty) for norm in (10, 0.1, 0)}
    figure, (left, right) = drawing(2, size=(11, 4.4))
    for (norm, path), colour, width in zip(
        paths.items(), (ORANGE, BLUE, GREEN), (2, 5, 2), strict=True
    ):
        norms = np.linalg.norm(path, axis=1)
        left.plot(t, norms, color=colour, linewidth=width, label=f"‖θ₀‖ = {norm:g}")
        if norm:
            left.plot(t, factor * norm, color=colour, linestyle="--", linewidth=1.5)
    size = np.linalg.norm(limit(strength))
    left.axhline(size, color=INK, linewidth=0.8, linestyle=":")
    left.text(steps, size * 1.3, f"‖θ*‖ = {size:.2f}", ha="right", color=INK)
    left.plot([], [], color=INK, linestyle="--", label="(1 − ηλ)ᵗ‖θ₀‖")
    left.set(title="the norm does not follow (1 − ηλ)ᵗ …", ylabel="‖θ‖", ylim=(2e-4, 40))
    left.legend(frameon=False, loc="lower left")
    apart = np.linalg.norm(paths[10] - paths[0], axis=1) / 10
    right.plot(t, apart, color=ORANGE, linewidth=2, label="measured")
    right.plot(t, factor, color=INK, linestyle="--", label="(1 − ηλ)ᵗ")
    right.set(
        title="… but the memory of the start fades at least as fast",
        ylabel="distance of two runs / at the start",
        ylim=(2e-4, 4),
    )
    right.legend(frameon=False, loc="upper right")
    for ax in (left, right):
        ax.set(xlabel=f"step t,  η = {lr:g},  λ = {strength:g}", yscale="log")
    return figure


@app.cell(hide_code=True)
def _():
    strength = mo.ui.slider(
        steps=[0.1, 0.2, 0.5, 1, 2, 5],
        value=0.2,
        label="λ (with η = 0.02/λ)",
        show_value=True,
        full_width=True,
    )
    fault = mo.ui.switch(label="break it: decay with the wrong sign")
    return fault, strength


@app.cell(hide_code=True)
def _(fault, strength):
    _penalty = WrongSign if fault.value else mr.penalties.L2
    mo.vstack([
        mo.hstack([strength, fault], widths=[3, 2], align="center"),
        picture(strength.value, _penalty),
    ])  # fmt: skip
    return


@app.cell(hide_code=True)
def _(fault):
    _report = mr.check_penalty((WrongSign if fault.value else mr.penalties.L2)(0.1), trials=5)
    _wrong = [f"{f.check} ({f.note})" for f in _report.findings if f.verdict == "wrong"]
    Judgement(
        f"**minireg's own check finds {len(_wrong)} things wrong**, the first: {_wrong[0]}. In training "
        "nothing raises: only directions in which the data loss hardly curves run away, slowly at "
        "first, so the loss is the last to tell you."
        if _wrong else f"**{len(_report.findings)} checks of the penalty, none wrong.** Now switch "
        "“break it” on above.",
        right=not _wrong,
    )  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What it forgets, what it keeps

    Unroll the recursion, with $a = 1-\eta\lambda$:

    $$\theta_T = \underbrace{a^T\,\theta_0}_{\text{forgotten}}
    \;-\; \eta\sum_{t=0}^{T-1} a^{T-1-t}\,\nabla L(\theta_t).$$

    The theorem keeps the first part and drops the second. But it is the second that stays: it is a
    *moving average of gradients*, and it settles where penalty and data pull equally hard,
    $\lambda\theta^* = -\nabla L(\theta^*)$. From $\theta_0=0$ the prediction is 0 for ever; the run
    reaches the same $\theta^*$ as the others. So

    - **$\eta\lambda$ is the rate of forgetting**: after $T$ steps at most $(1-\eta\lambda)^T$ is
      left of the difference between two starts (for a convex loss and a small enough $\eta$);
    - **$\lambda$ alone decides where you end**: there is no $\eta$ in
      $\lambda\theta^* = -\nabla L(\theta^*)$.

    Twice the rate with half the $\lambda$ is therefore *not* the same training, as 000 注记 10.7
    would have it (学习率与正则化强度的乘积). It forgets as fast, and ends elsewhere.

    ## And with a schedule?

    With rates $\eta_t$ the factor of step $t$ is $1-\eta_t\lambda$, and
    $\prod_t(1-\eta_t\lambda)\approx e^{-\lambda\sum_t\eta_t}$ is left of the start. 003 §动态二重奏 adds
    that decay hardly acts in the end (后期几乎不起作用), because $\eta_t$ is small. But the step of the
    data shrinks by the same $\eta_t$: **the balance of forces does not change.** All that can go
    wrong is that $\sum\eta_t$ is too small to get there.
    """)
    return


@app.function
def schedules(lr=0.2, strength=0.5, steps=300):
    """Three schedules: what is left of the start, how far the end is from the limit, the balance there."""
    x, y = diabetes()
    kinds = {"constant": None, "cosine": partial(CosineAnnealingLR, T_max=steps),
             "× 0.8 a step": partial(ExponentialLR, gamma=0.8)}  # fmt: skip
    rows = []
    for name, schedule in kinds.items():
        left = np.linalg.norm(
            train(start(1), lr, strength, steps, schedule=schedule, data=False)[-1]
        )
        w = train(start(1), lr, strength, steps, schedule=schedule)[-1]
        pull = 2 * x.T @ (x @ w - y[:, 0]) / len(x)
        balance = strength * np.linalg.norm(w) / np.linalg.norm(pull)
        away = np.linalg.norm(w - limit(strength))
        rows.append((name, left, away, balance))
    head = [
        "schedule",
        Column("left of θ₀, without data", ".1e"),
        Column("distance to θ\\*", ".1e"),
        Column("‖λθ‖ / ‖∇L‖ in the end", ".3f"),
    ]
    return Table(head, rows)


@app.cell
def _():
    grid(schedules())
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What the texts say

    Each row is a program in `lessons/claims` that has just run (`minireg claims --id C24
    --explain`).
    """)
    return


@app.cell(hide_code=True)
def _():
    results = measure("C23", "C24", "C25", "C26", "C104", "C105")
    compare(results)
    return (results,)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Exercises

    Edit the function; the box below says what is wrong with it. The penalty is
    $\tfrac{\lambda}{2}\|\theta\|^2$ throughout.

    **1.** No data gradient. Which share of $\theta_0$ is left after `steps` steps?
    """)
    return


@app.function
def left_over(lr, strength, steps):
    """The share of θ₀ that is left after so many steps without data."""
    return ...


@app.function(hide_code=True)
def check_left_over(answer):
    """What is wrong with :func:`left_over`."""
    cases = [(0.1, 0.5, 20), (0.5, 3.0, 3)]
    return judge(answer, lambda lr, s, steps: (1 - lr * s) ** steps, cases, {
        "That is the share that is lost.": lambda lr, s, steps: 1 - (1 - lr * s) ** steps,
        "The factor is 1 − ηλ: did you forget the ½ of the penalty?":
            lambda lr, s, steps: (1 - 2 * lr * s) ** steps,
        "Shrinking compounds: each step takes its share of what the last one left.":
            lambda lr, s, steps: 1 - lr * s * steps,
        "That is the limit of many small steps, and these are not small: with ηλ = 1.5 the sign flips.":
            lambda lr, s, steps: np.exp(-lr * s * steps),
    })  # fmt: skip


@app.cell(hide_code=True)
def _():
    check_left_over(left_over)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **2.** After how many steps is half of the start forgotten? (A real number; $0<\eta\lambda<1$.)
    """)
    return


@app.function
def half_life(lr, strength):
    """The number of steps T with (1 − ηλ)ᵀ = ½."""
    return ...


@app.function(hide_code=True)
def check_half_life(answer):
    """What is wrong with :func:`half_life`."""
    return judge(answer, lambda lr, s: np.log(0.5) / np.log(1 - lr * s), [(0.1, 0.01), (0.5, 1.0)], {
        "Good for small ηλ only. At ηλ = ½ half is gone after exactly one step.":
            lambda lr, s: np.log(2) / (lr * s),
        "Shrinking compounds; that would be right if each step took a share of θ₀.":
            lambda lr, s: 0.5 / (lr * s),
        "A number of steps is positive: log ½ and log(1 − ηλ) are both negative.":
            lambda lr, s: np.log(2) / np.log(1 - lr * s),
        "That is the inverse, half-lives a step.": lambda lr, s: np.log(1 - lr * s) / np.log(0.5),
    })  # fmt: skip


@app.cell(hide_code=True)
def _():
    check_half_life(half_life)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **3.** The data loss is $L(\theta)=\tfrac12\theta^\top H\theta - b^\top\theta$. Where does
    gradient descent with rate `lr` and the penalty end? (`np.linalg.solve(A, b)` solves
    $A\theta=b$.)
    """)
    return


@app.function
def end_point(hessian, b, lr, strength):
    """The limit θ* of gradient descent on ½θᵀHθ − bᵀθ + ½λ‖θ‖²."""
    return ...


@app.function(hide_code=True)
def check_end_point(answer):
    """What is wrong with :func:`end_point`."""
    solve, one = np.linalg.solve, np.eye(2)
    cases = [
        (np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0]), lr, 0.3) for lr in (0.1, 0.4)
    ]
    return judge(answer, lambda H, b, lr, s: solve(H + s * one, b), cases, {
        "Your limit depends on η. At the end the step is 0 whatever η: only the forces count.":
            lambda H, b, lr, s: solve(H + lr * s * one, b),
        "The gradient of ½λ‖θ‖² is λθ, without a 2.": lambda H, b, lr, s: solve(H + 2 * s * one, b),
        "That is the limit without the penalty.": lambda H, b, lr, s: solve(H, b),
        "That shrinks the unpenalised solution evenly. But flat directions of the loss give way more.":
            lambda H, b, lr, s: solve(H, b) / (1 + s),
        "The penalty pulls towards 0, so λ is added to the curvature.":
            lambda H, b, lr, s: solve(H - s * one, b),
    })  # fmt: skip


@app.cell(hide_code=True)
def _():
    check_end_point(end_point)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Claimed, measured
    """)
    return


@app.cell(hide_code=True)
def _(results):
    _runs = {s: [train(start(norm), 0.02 / s, s) for norm in (10, 0)] for s in (0.1, 5.0)}
    _left = [np.linalg.norm(a - b, axis=1) / 10 / 0.98 ** np.arange(301) for a, b in _runs.values()]
    _ends = [train(start(1), lr, 0.5, steps)[-1] for lr, steps in ((0.2, 300), (0.1, 600))]
    _sizes = [np.linalg.norm(limit(strength)) for strength in (0.1, 5.0)]
    closing(results, [
        holds("two starts: distance left/(1 − ηλ)ᵗ, its largest", np.max(_left), at_most=1 + 1e-12),
        holds("from θ₀ = 0: ‖θ_T‖/‖θ*‖", np.linalg.norm(_runs[0.1][1][-1]) / _sizes[0],
              at_least=0.99, at_most=1.01),
        holds("same λ, half the rate: ‖Δθ_T‖", np.linalg.norm(_ends[0] - _ends[1]), at_most=1e-10),
        holds("same ηλ, λ × 50: ratio of the ‖θ*‖", _sizes[1] / _sizes[0], at_most=0.5),
    ])  # fmt: skip
    return


if __name__ == "__main__":
    app.run()
