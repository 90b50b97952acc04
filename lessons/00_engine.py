"""Build the engine: from a number to a tensor in under 100 lines.

For everybody who can read Python and has met a derivative. Afterwards you can write reverse-mode
automatic differentiation yourself, and say what each line of minireg's engine is for.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Lesson 0: build the engine")

with app.setup(hide_code=True):
    from functools import partial

    import marimo as mo
    import numpy as np
    from matplotlib.patches import FancyBboxPatch

    import minireg as mr
    from minireg.course.claims import holds
    from minireg.course.lessons import (
        BLUE,
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
    # 0 · Build the engine

    *For everybody who can read Python and has met a derivative.* Afterwards you can write
    reverse-mode automatic differentiation (自动微分) yourself, and say what each line of minireg's
    engine is for.

    Training needs the slope of a loss $J$ along every parameter: millions of slopes of one number.
    The chain rule gives them all in one walk **backwards**. If $y$ is made from $x$, then

    $$\bar x \mathrel{+}= \bar y\,\frac{\partial y}{\partial x},
    \qquad\text{where } \bar x \text{ stands for } \frac{\partial J}{\partial x}.$$

    Read it aloud: *the slope at the input grows by the slope at the result, times the local slope.*
    We write this down three times: for a number, for a tape, for a tensor.

    ## 1. A number that remembers

    Each result keeps what it was made from, with the local slope towards it.
    """)
    return


@app.class_definition
class Number:
    """A number that remembers what it was made from, and the slope towards it.

    >>> a = Number(3.0)
    >>> (a * a + a).backward()
    >>> a.slope
    7.0
    """

    visits = 0

    def __init__(self, value, parents=()):
        self.value, self.parents, self.slope = value, parents, 0.0

    def __add__(self, other):
        return Number(self.value + other.value, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        return Number(self.value * other.value, [(self, other.value), (other, self.value)])

    def backward(self, slope=1.0):
        Number.visits += 1
        self.slope += slope
        for parent, local in self.parents:
            parent.backward(slope * local)


@app.function
def visits_of_doubling(times):
    """How many calls ``backward`` takes for y ← y + y, so many times.

    >>> visits_of_doubling(3)
    15
    """
    y, before = Number(1.0), Number.visits
    for _ in range(times):
        y = y + y
    y.backward()
    return Number.visits - before


@app.cell(hide_code=True)
def _():
    mo.md(rf"""
    This is right, and hopeless. It walks **every path**, and paths multiply: ten times `y = y + y`
    are ten results, but `backward` was called {visits_of_doubling(10):,} times. Two changes cure
    it.

    ## 2. A tape

    Write each operation on a list, the tape, as it happens. A result always stands after what it
    was made from. So if you read the tape backwards, the slope of a result is complete before it is
    handed on: **one visit a line**.

    ## 3. A tensor

    An entry of the tape may as well be an array. An operation is then one line: its value, and for
    each input a rule that takes the gradient `g` $=\bar y$ of the result to that of the input.
    """)
    return


@app.function
def op(value, *rules):
    """A method that computes the value and writes (result, inputs, their arrays, rules) on the tape."""

    def method(self, *others):
        inputs = (self, *others)
        raw = [x.data if isinstance(x, type(self)) else x for x in inputs]
        result = type(self)(value(*raw), self.tape)
        self.tape.append((result, inputs, raw, rules))
        return result

    return method


@app.class_definition
class Tensor:
    """An array on a tape; ``grad`` is its gradient once :func:`backward` has come by."""

    def __init__(self, data, tape):
        self.data, self.tape, self.grad = np.asarray(data), tape, None

    __add__ = op(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
    __sub__ = op(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
    __mul__ = op(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
    __matmul__ = op(np.matmul, lambda g, y, a, b: g @ b.T, lambda g, y, a, b: a.T @ g)
    square = op(np.square, lambda g, y, x: g * (2 * x))
    relu = op(lambda x: np.maximum(x, 0), lambda g, y, x: g * (y > 0))
    sum = op(np.sum, lambda g, y, x: g)
    mean = op(np.mean, lambda g, y, x: g / x.size)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    One thing arrays add: **broadcasting**. In `(64, 16) + (16,)` the second is used 64 times, so
    its gradient is the sum of 64. Forward stretches, backward sums; and the other way round for
    `sum`.
    """)
    return


@app.function
def fit(g, shape):
    """Make a gradient fit its input: sum where NumPy had stretched, stretch where it had summed.

    >>> fit(np.ones((64, 16)), (16,))[0], fit(np.ones((64, 16)), (64, 1)).shape
    (np.float64(64.0), (64, 1))
    """
    more = g.ndim - len(shape)
    axes = [i for i in range(g.ndim) if i < more or shape[i - more] == 1 != g.shape[i]]
    g = g.sum(axis=tuple(axes), keepdims=True)
    return np.broadcast_to(g.reshape(g.shape[max(more, 0) :]), shape)


@app.function
def backward(y, lines=None, add=np.add):
    """Read the tape backwards (so many lines of it): each result hands its gradient to its inputs."""
    y.grad = np.ones_like(y.data)
    for result, inputs, raw, rules in y.tape[::-1][:lines]:
        if result.grad is None:
            continue
        for x, rule in zip(inputs, rules, strict=True):
            if isinstance(x, Tensor):
                g = fit(rule(result.grad, result.data, *raw), x.data.shape)
                x.grad = g if x.grad is None else add(x.grad, g)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    That is the engine.

    ## The picture

    A weight $w$ meets one data point, with an L2 penalty (L2正则化):
    $J = \tfrac12(wx + b - y)^2 + \tfrac12\lambda w^2$. Its tape has eight lines. **Move the
    slider** to walk it back, line by line. Blue is the value, orange the gradient. Watch $w$: **two
    gradients arrive, one from the data and one from the penalty, and they add up.** All of minireg
    is about telling these two apart.
    """)
    return


@app.function(hide_code=True)
def walk(lines, add=np.add):
    """The tape of ½(wx + b − y)² + ½λw², so many lines of it walked back; tensors by name."""
    tape = []
    start = {"w": 1.5, "x": 2.0, "b": -1.0, "y": 1.0}
    w, x, b, y = (Tensor(value, tape) for value in start.values())
    p = w * x
    q = p + b
    r = q - y
    s = r.square()
    d = s * 0.5
    n = w.square()
    o = n * 0.25
    J = d + o
    backward(J, lines, add)
    tensors = w, x, b, y, p, q, r, s, d, n, o, J
    return dict(zip("wxbypqrsdnoJ", tensors, strict=True))


@app.function(hide_code=True)
def picture(lines, add=np.add):
    """The graph as it is after so many lines of the tape, walked from its end."""
    labels = {"p": "p = w·x", "q": "q = p + b", "r": "r = q − y", "s": "s = r²", "d": "data = ½s",
              "n": "n = w²", "o": "penalty = ½λn", "J": "J = data + penalty"}  # fmt: skip
    places = {"w": (0, 1), "x": (0, 2), "b": (1, 3), "y": (2, 3), "p": (1, 2), "q": (2, 2), "r": (3, 2),
              "s": (4, 2), "d": (5, 2), "n": (2, 0), "o": (4, 0), "J": (5, 1)}  # fmt: skip
    tensors = walk(lines, add)
    names = {tensor: name for name, tensor in tensors.items()}
    tape = tensors["J"].tape
    active = names[tape[-lines][0]] if lines else "J"
    figure, (ax,) = drawing(size=(11, 4.6), subplot_kw={"xlim": (-0.5, 5.6), "ylim": (-0.4, 3.4)})
    ax.axis("off")
    boxes = {}
    for name, (x, y) in places.items():
        now = {"edgecolor": ORANGE, "linewidth": 2.5} if name == active else {"edgecolor": SOFT}
        half = 0.31 + 0.016 * max(len(labels.get(name, name)) - 7, 0)
        style = "round,pad=0,rounding_size=0.06"
        box = FancyBboxPatch((x - half, y - 0.33), 2 * half, 0.66, style, facecolor="white", **now)
        boxes[name] = ax.add_patch(box)
        grad = tensors[name].grad
        texts = (
            labels.get(name, name),
            f"{tensors[name].data:g}",
            "–" if grad is None else f"{grad:g}",
        )
        for text, colour, up in zip(texts, (INK, BLUE, ORANGE), (0.2, 0, -0.2), strict=True):
            ax.text(x, y + up, text, ha="center", va="center", fontsize=10.5, color=colour)
    for result, inputs, raw, rules in tape:
        for parent, rule in zip(inputs, rules, strict=True):
            if not isinstance(parent, Tensor):
                continue
            ends = names[parent], names[result]
            look = {"color": SOFT, "linewidth": 1}
            if lines and ends[1] == active:
                ends, look = ends[::-1], {"color": ORANGE, "linewidth": 2.5}
                (x0, y0), (x1, y1) = (places[name] for name in ends)
                handed = f"{rule(result.grad, result.data, *raw):+g}"
                ax.text((x0 + x1) / 2, (y0 + y1) / 2 + 0.13, handed, color=ORANGE, fontsize=12,
                        ha="center", weight="bold")  # fmt: skip
            ax.annotate("", places[ends[1]], places[ends[0]], arrowprops={
                "arrowstyle": "-|>", "patchA": boxes[ends[0]], "patchB": boxes[ends[1]],
                "shrinkA": 2, "shrinkB": 2, **look,
            })  # fmt: skip
    return figure


@app.cell(hide_code=True)
def _():
    lines = mo.ui.slider(
        steps=list(range(9)),
        value=8,
        label="lines of the tape walked back",
        show_value=True,
        full_width=True,
    )
    overwrite = mo.ui.switch(label="break it: `x.grad = g` instead of adding")
    return lines, overwrite


@app.cell(hide_code=True)
def _(lines, overwrite):
    mo.vstack(
        [
            mo.hstack([lines, overwrite], widths=[3, 2], align="center"),
            picture(lines.value, (lambda old, new: new) if overwrite.value else np.add),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    The engine of minireg is this one, grown up. So they can be compared without mercy: the same
    network, the same data, and the gradients have to agree **to the last bit** of float64. That
    works because both do the same operations in the same order; rounding depends on nothing else.
    """)
    return


@app.function
def objective(x, y, W1, b1, W2, b2):
    """Mean squared error of a network with one hidden layer, plus ½·0.1·‖W‖²; in either engine."""
    error = (x @ W1 + b1).relu() @ W2 + b2 - y
    penalty = W1.square().sum() + W2.square().sum()
    return error.square().mean() + penalty * 0.05


@app.function
def ours(*arrays, add=np.add):
    """Loss and all gradients, those of the data included, by the engine above."""
    tape = []
    tensors = [Tensor(array, tape) for array in arrays]
    loss = objective(*tensors)
    backward(loss, add=add)
    return loss.data, [t.grad for t in tensors]


@app.function
def theirs(*arrays):
    """The same by minireg."""
    tensors = [mr.tensor(array, requires_grad=True) for array in arrays]
    loss = objective(*tensors)
    loss.backward()
    return loss.data, [t.grad.data for t in tensors]


@app.function(hide_code=True)
def fused(*arrays):
    """The same by minireg's layers, which do several operations at once."""
    x, y, W1, b1, W2, b2 = tensors = [mr.tensor(array, requires_grad=True) for array in arrays]
    hidden = mr.nn.functional.linear(x, W1.T, b1).relu()
    output = mr.nn.functional.linear(hidden, W2.T, b2)
    penalty = mr.penalties.L2(0.1)
    loss = mr.nn.functional.mse_loss(output, y) + penalty.value(W1) + penalty.value(W2)
    loss.backward()
    return loss.data, [t.grad.data for t in tensors]


@app.function
def train(engine, steps=20, seed=0):
    """Losses and gradients of gradient descent on 64 points of a sine, by one of the engines."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape) for shape in ((3, 16), (16,), (16, 1), (1,))]
    x = rng.normal(size=(64, 3))
    y = np.sin(2 * x[:, :1])
    losses, gradients = [], []
    for _ in range(steps):
        loss, found = engine(x, y, *weights)
        weights = [w - 0.05 * g for w, g in zip(weights, found[2:], strict=True)]
        losses.append(loss.item())
        gradients.append(np.concatenate([g.ravel() for g in found]))
    return np.array(losses), np.array(gradients)


@app.function(hide_code=True)
def differing(a, b):
    """How many numbers differ in any bit."""
    return int((a.view(np.int64) != b.view(np.int64)).sum())


@app.cell(hide_code=True)
def _(overwrite):
    _rule = (lambda old, new: new) if overwrite.value else np.add
    _, _mine = train(partial(ours, add=_rule))
    _, _reference = train(theirs)
    _off = differing(_mine, _reference)
    Judgement(
        f"**{_mine.size:,} gradients of 20 training steps, {_off:,} of them differ from minireg's.** "
        + ("The weights are used twice, in the network and in the penalty. Which of the two gradients "
           "survives is now an accident of the order. Training still runs, and nothing warns you."
           if overwrite.value else "Not a bit. Now switch “break it” on above."),
        right=not _off,
    )  # fmt: skip
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## What minireg adds

    | here | in minireg, and why |
    |:--|:--|
    | the tape keeps all arrays alive | results point to their inputs: drop the loss, and all is freed |
    | rules act on arrays | the **same line** also reads tensors, for derivatives of any order |
    | eight operations | a table with formula, kinks, cost and tests an entry: `minireg ops` |
    | one gradient a weight | `Objective` keeps **one a term**, `Ledger` what each of them did |
    | one operation at a time | fused layers beside their definitions: faster, and equal up to rounding |
    | wrong use goes unnoticed | in-place changes, freed graphs and shapes raise, and say what to do |
    | NumPy | NumPy or CuPy, by the type of the array |

    ## What the texts say

    The texts add the gradient of a penalty to that of the data. The engine shows why this is so
    easy: it is the `add` in `backward`.
    """)
    return


@app.cell(hide_code=True)
def _():
    results = measure("C22", "C02")
    compare(results)
    return (results,)


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Exercises

    Three rules for the table. Edit the function; the box below says what is wrong with it.

    **1. Division.** $y = a/b$. Return the pair $(\bar a, \bar b)$.
    """)
    return


@app.function
def division(g, a, b):
    """The gradients (ā, b̄) of y = a/b, given g = ȳ."""
    return ...


@app.function(hide_code=True)
def check_division(answer):
    """What is wrong with :func:`division`."""
    cases = [(1.0, 3.0, 2.0), (-0.5, 1.5, -4.0)]
    return judge(answer, lambda g, a, b: (g / b, -g * a / b**2), cases, {
        "The second has the wrong sign: a larger b makes y smaller.": lambda g, a, b: (g / b, g * a / b**2),
        "The second needs b²: ∂(a/b)/∂b = −a/b².": lambda g, a, b: (g / b, -g * a / b),
        "These are the local slopes. Multiply by g, the slope that comes from above.":
            lambda g, a, b: (1 / b, -a / b**2),
        "Swap them: ā comes first.": lambda g, a, b: (-g * a / b**2, g / b),
    })  # fmt: skip


@app.cell(hide_code=True)
def _():
    check_division(division)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **2. Sigmoid.** $y = 1/(1+e^{-x})$. Its rule needs only the result $y$, so the input need not be
    kept. Return $\bar x$.
    """)
    return


@app.function
def sigmoid_rule(g, y):
    """The gradient x̄ of y = 1/(1 + e⁻ˣ), given g = ȳ and the result y."""
    return ...


@app.function(hide_code=True)
def check_sigmoid_rule(answer):
    """What is wrong with :func:`sigmoid_rule`."""
    cases = [(1.0, 0.25), (np.array([2.0, -1.0]), np.array([0.5, 0.9]))]
    return judge(answer, lambda g, y: g * y * (1 - y), cases, {
        "That is the local slope. Multiply by g, the slope that comes from above.": lambda g, y: y * (1 - y),
        "That is the rule of tanh. The slope of a sigmoid is y(1 − y).": lambda g, y: g * (1 - y * y),
        "A factor is missing: near y = 1 the curve is flat, and the slope has to vanish.": lambda g, y: g * y,
        "A factor is missing: near y = 0 the curve is flat, and the slope has to vanish.":
            lambda g, y: g * (1 - y),
    })  # fmt: skip


@app.cell(hide_code=True)
def _():
    check_sigmoid_rule(sigmoid_rule)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    **3. Log-sum-exp**, the heart of cross entropy. $y = \log\sum_i e^{x_i}$ is one number, $x$ is a
    vector. Return the vector $\bar x$.
    """)
    return


@app.function
def logsumexp_rule(g, y, x):
    """The gradient x̄ of y = log Σ exp(xᵢ), given g = ȳ and the result y."""
    return ...


@app.function(hide_code=True)
def check_logsumexp_rule(answer):
    """What is wrong with :func:`logsumexp_rule`."""
    x = np.array([0.5, -1.0, 2.0])
    y = np.log(np.exp(x).sum())
    return judge(answer, lambda g, y, x: g * np.exp(x - y), [(1.0, y, x), (-3.0, y, x)], {
        "These have to sum to g: divide by Σ exp(xᵢ), which is exp(y).": lambda g, y, x: g * np.exp(x),
        "Divide by the sum Σ exp(xᵢ) = exp(y), not by its logarithm y.": lambda g, y, x: g * np.exp(x) / y,
        "That is the softmax, the local slope. Multiply by g.": lambda g, y, x: np.exp(x - y),
        "That is the share of each xᵢ in y. The slope is exp(xᵢ − y).": lambda g, y, x: g * x / y,
    })  # fmt: skip


@app.cell(hide_code=True)
def _():
    check_logsumexp_rule(logsumexp_rule)
    return


@app.cell(hide_code=True)
def _():
    mo.md(r"""
    ## Claimed, measured
    """)
    return


@app.cell(hide_code=True)
def _(results):
    _losses, _mine = train(ours)
    _, _reference = train(theirs)
    _, _layers = train(fused)
    _w = walk(lines=8)["w"]
    closing(results, [
        holds("gradients of 20 steps that differ from minireg's in any bit",
              differing(_mine, _reference), at_most=0),
        holds("largest |difference| from minireg's fused layers", abs(_mine - _layers).max(), at_most=1e-13),
        holds("loss after 20 steps / before", _losses[-1] / _losses[0], at_most=0.5),
        holds("|w̄ − (x·r + λw)| in the picture", abs(_w.grad - (2.0 * 1.0 + 0.5 * 1.5)), at_most=0),
        holds("calls of Number.backward for ten doublings", visits_of_doubling(10), at_least=2**11 - 1,
              at_most=2**11 - 1),
    ])  # fmt: skip
    return


if __name__ == "__main__":
    app.run()
