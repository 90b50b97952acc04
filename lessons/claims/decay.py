"""The L2 penalty and weight decay: what they do to a weight in one step, and in the end.

L2 is ½λ‖θ‖², with the gradient λθ; 004 (C27, C28) takes λ‖θ‖², with 2λθ. The loss is a mean over
samples, the squared error without a half. η is the learning rate, g = ∇L₀ the gradient of the
data loss, T the number of steps, μ the momentum; in C30 ρ is a correlation and κ an eigenvalue.
"""

from collections.abc import Iterator, Sequence

import numpy as np

import minireg as mr
from minireg.course.claims import Figure, breaks, claim, corrects, holds
from minireg.inspect.ledger import Row
from minireg.objective import Terms

from ._data import diabetes, far, fitted, here, host, ridge


def linear(weight: np.ndarray) -> mr.nn.Linear:
    """A linear model of one output, without bias, that starts from these weights."""
    model = mr.nn.Linear(weight.size, 1, bias=False, dtype=np.float64)
    model.weight.assign(weight.reshape(1, -1))
    return model


def data_gradient(w: np.ndarray) -> np.ndarray:
    """The gradient of the mean squared error on diabetes, 2Xᵀ(Xw − y)/n."""
    x, y = diabetes()
    return 2 * x.T @ (x @ w - y) / len(y)


def regress(
    model: mr.nn.Module,
    optimizer: mr.optim.Optimizer,
    steps: int,
    strength: float = 0.0,
    data: bool = True,
) -> Terms:
    """Steps on all of diabetes with an L2 penalty; without ``data`` their loss is 0."""
    x, y = diabetes()
    x, y = (here(a if data else 0 * a) for a in (x, y[:, None]))
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": mr.penalties.L2(strength)})
    for _ in range(steps):
        optimizer.zero_grad()
        terms = objective(model, x, y)
        terms.backward()
        optimizer.step()
    return terms


def one_step(penalty: mr.penalties.Penalty, lr: float, weight: Sequence[float]) -> Row:
    """The ledger of one step of SGD on nothing but the penalty."""
    w = np.array(weight)
    model = linear(w)
    optimizer = mr.optim.SGD(model.parameters(), lr)
    ledger = mr.Ledger(optimizer)
    objective = mr.Objective(mr.nn.MSELoss(), {"penalty": penalty})
    objective(model, here(np.zeros((1, w.size))), here(np.zeros((1, 1)))).backward()
    optimizer.step()
    return ledger.last["weight"]


@claim(
    "C22", "TRUE", "000 引理 10.17; 001 eq. 9.3.7, §9.3.2; 002 §L2惩罚; 003 §最简单的约束",
    "Gradient of the L2 penalty (L2正则化的梯度)",
    "(λ/2)‖θ‖² has the gradient λθ, which adds to the gradient of the data loss.",
)  # fmt: skip
def l2_gradient() -> Iterator[Figure]:
    """∂/∂θⱼ ½λ Σ θₖ² = λθⱼ; a derivative of a sum is the sum of the derivatives.

    >>> P.L2(0.5).gradient(np.array([3.0, -4.0]))
    array([ 1.5, -2. ])
    """
    penalty, rng = mr.penalties.L2(0.3), np.random.default_rng(0)
    w = mr.tensor(here(rng.standard_normal((5, 4))), requires_grad=True)
    (gradient,) = mr.grad(penalty.value(w), w)
    yield holds("|autograd − λθ|", far(gradient, 0.3 * w.data), at_most=1e-12)
    yield holds("|closed form − λθ|", far(penalty.gradient(w.data), 0.3 * w.data), at_most=1e-12)
    along, h = here(rng.standard_normal((5, 4))), 1e-4
    slope = (penalty.value(w.data + h * along) - penalty.value(w.data - h * along)) / (2 * h)
    yield holds(
        "|central difference − ⟨λθ, u⟩|", abs(slope - 0.3 * np.sum(w.data * along)), at_most=1e-9
    )
    model = linear(rng.standard_normal(10))
    before = model.weight.numpy()[0].copy()
    regress(model, mr.optim.SGD(model.parameters(), lr=0.0), 1, strength=0.3)
    expected = data_gradient(before) + 0.3 * before
    yield holds("|∇J − (∇L₀ + λθ)|, diabetes", far(model.weight.grad, expected), at_most=1e-12)


@claim(
    "C23", "TRUE",
    "000 §梯度下降中的权重衰减效应; 001 eq. 9.3.8, eq. 9.3.9; 003 §动态二重奏; 004 §怎么个惩罚法 (1 − 2ηλ)",
    "Weight decay as a factor (权重衰减)",
    "A gradient step on L₀ + (λ/2)‖θ‖² is θ ← (1 − ηλ)θ − η∇L₀(θ).",
)  # fmt: skip
def decay_factor() -> Iterator[Figure]:
    """θ − η(∇L₀(θ) + λθ) = (1 − ηλ)θ − η∇L₀(θ), the same number by the distributive law.

    >>> w = mr.tensor([2.0], requires_grad=True); w.grad = mr.tensor([1.0])
    >>> mr.optim.SGD([w], lr=0.5, weight_decay=0.5).step(); w.item()  # (1 − ηλ)·2 − η·1
    1.0
    """
    lr, strength, w = 0.1, 0.3, np.random.default_rng(0).standard_normal(10)
    penalised, decayed = linear(w), linear(w)
    regress(penalised, mr.optim.SGD(penalised.parameters(), lr), 100, strength)
    regress(decayed, mr.optim.SGD(decayed.parameters(), lr, weight_decay=strength), 100)
    for _ in range(100):
        w = (1 - lr * strength) * w - lr * data_gradient(w)
    off = far(penalised.weight, w)
    yield holds("|SGD on L₀ + ½λ‖θ‖² − the factor form|, 100 steps", off, at_most=1e-13)
    off = far(decayed.weight, w)
    yield holds("|SGD(weight_decay=λ) − the factor form|", off, at_most=1e-13)
    row = one_step(mr.penalties.L2(strength), lr, [5.0, -0.1, 2.0])
    shrink = host(row.effective_decay("penalty"))
    yield holds(
        "|shrink of each weight in the ledger − ηλ|", abs(shrink - 0.03).max(), at_most=1e-15
    )


@claim(
    "C24", "IMPRECISE", "000 定理 10.10; 001 定理 9.3.1",
    "Exponential decay of the norm (权重衰减的收缩效应)",
    "If ηλ < 1, each update shrinks θ in proportion, and ‖θ_T‖ ≈ (1 − ηλ)ᵀ‖θ₀‖.",
    corrected="What fades so is the part of θ₀ alone: θ_T = (1 − ηλ)ᵀθ₀ − ηΣ(1 − ηλ)ᵀ⁻¹⁻ᵗ∇L₀(θ_t). The "
    "norm may grow, and settles where λθ = −∇L₀; the formula holds if the data gradient is 0.",
)  # fmt: skip
def norm_decay() -> Iterator[Figure]:
    """Unroll θ_{t+1} = aθ_t − ηg_t with a = 1 − ηλ: θ_T = aᵀθ₀ − ηΣ_t aᵀ⁻¹⁻ᵗ g_t. The second part does
    not fade: it tends to θ* with λθ* = −∇L₀(θ*), which is not 0 unless ∇L₀(0) is.

    >>> w = mr.tensor([0.0], requires_grad=True); opt = mr.optim.SGD([w], lr=0.5, weight_decay=1.0)
    >>> for _ in range(50): w.grad = mr.tensor(w.data - 3); opt.step()
    >>> w.item()  # from 0 it grows, to where λθ = 3 − θ
    1.5
    """
    lr, strength, steps = 0.1, 0.02, 1000
    a = 1 - lr * strength
    start = np.random.default_rng(0).standard_normal(10)
    for size in (0.01, 10.0):
        w0 = size * start / np.linalg.norm(start)
        model = linear(w0)
        regress(model, mr.optim.SGD(model.parameters(), lr), steps, strength)
        ratio = np.linalg.norm(model.weight.numpy()) / (a**steps * size)
        away = {"at_least": 100} if size < 1 else {"at_most": 0.5}
        yield breaks(f"‖θ_T‖ / (1 − ηλ)ᵀ‖θ₀‖ from ‖θ₀‖ = {size:g}, diabetes", ratio, **away)
    w, pulled = w0, 0.0
    for _ in range(steps):
        g = data_gradient(w)
        w, pulled = a * w - lr * g, a * pulled + g
    off = far(model.weight, a**steps * w0 - lr * pulled)
    yield corrects("|θ_T − the unrolled sum|", off, at_most=1e-12)
    free = linear(w0)
    regress(free, mr.optim.SGD(free.parameters(), lr), steps, strength, data=False)
    ratio = np.linalg.norm(free.weight.numpy()) / (a**steps * 10)
    yield corrects("|ratio − 1| without a data gradient", abs(ratio - 1), at_most=1e-12)


@claim(
    "C25", "TRUE-WITH-CONDITIONS", "000 定理 10.10; 001 定理 9.3.1",
    "The shrink is uniform (均匀收缩)",
    "The factor 1 − ηλ is the same for all coordinates, and shrinks if ηλ < 1.",
    corrected="The same for all under SGD, not under Adam with L2. It shrinks if and only if 0 < ηλ < 2: "
    "beyond 1 every sign flips at each step, beyond 2 θ grows.",
)  # fmt: skip
def uniform_shrink() -> Iterator[Figure]:
    """Without a data gradient θⱼ ← (1 − ηλ)θⱼ: one number for all j, and |1 − ηλ| < 1 ⇔ 0 < ηλ < 2.
    Adam divides each λθⱼ by its own √v̂ⱼ, at the first step λ|θⱼ|, so all move by η: by the share η/|θⱼ|.

    >>> w = mr.tensor([3.0, 0.5], requires_grad=True); w.grad = mr.tensor([0.0, 0.0])
    >>> mr.optim.Adam([w], lr=0.1, weight_decay=1.0).step(); w.numpy().round(4)  # the same amount, not share
    array([2.9, 0.4], dtype=float32)
    """
    w = np.array([3.0, -1.0, 0.5, 0.01])
    spread = 0.0
    for product, factor in ((0.5, 0.5), (1.5, -0.5), (2.5, -1.5)):
        row = one_step(mr.penalties.L2(1.0), product, w)
        ratio = host(row.after)[0] / w
        spread = max(spread, np.ptp(ratio))
        yield holds(
            f"θ₁/θ₀ at ηλ = {product}",
            ratio.mean(),
            at_least=factor - 1e-15,
            at_most=factor + 1e-15,
        )
    yield holds("largest difference between coordinates", spread, at_most=1e-15)
    model = linear(w)
    adam = mr.optim.Adam(model.parameters(), lr=0.001, weight_decay=1.0)
    model.weight.grad = mr.tensor(here(np.zeros((1, 4))))
    adam.step()
    shrink = 1 - model.weight.numpy()[0] / w
    ratio = shrink.max() / shrink.min()
    yield breaks("Adam: largest shrink / smallest", ratio, at_least=299, at_most=301)
    yield holds("Adam: |shrink · |θⱼ|/η − 1|", abs(shrink * abs(w) / 0.001 - 1).max(), at_most=1e-5)


@claim(
    "C26", "IMPRECISE", "000 注记 10.7; 001 §9.3.2; 003 §动态二重奏",
    "The product of rate and strength (学习率与正则化强度的乘积)",
    "What acts is the product ηλ, in practice usually treated as one hyper-parameter.",
    corrected="ηλ is how much decay forgets in a step; where full-batch descent on a convex loss comes to "
    "rest depends on λ alone. The product is the one knob for weights before a BatchNorm (ε = 0), whose "
    "scale does not count: (η, λ, w₀) → (cη, λ/c, √c·w₀) keeps all directions.",
)  # fmt: skip
def product() -> Iterator[Figure]:
    """The limit solves ∇L₀(θ) + λθ = 0: no η in it. If L₀(cw) = L₀(w), then ∇L₀(√c·w) = ∇L₀(w)/√c, so the
    step from √c·w with cη and λ/c leads to (1 − ηλ)√c·w − cη∇L₀(w)/√c = √c·((1 − ηλ)w − η∇L₀(w)), which
    is √c times where the step from w leads.

    >>> argmin = lambda lam: P.L2(lam).prox(np.array([3.0]), 1.0)  # of ½(θ − 3)² + ½λθ², for any η
    >>> argmin(0.5), argmin(2.0)
    (array([2.]), array([1.]))
    """
    ends = {}
    for lr, strength in ((0.2, 0.4), (0.05, 1.6), (0.05, 0.4)):
        model = linear(np.zeros(10))
        regress(model, mr.optim.SGD(model.parameters(), lr), 1100, strength)
        ends[lr, strength] = model.weight.numpy()[0]
    reference = ends[0.2, 0.4]
    size = np.linalg.norm(reference)
    off = np.linalg.norm(ends[0.05, 1.6] - reference) / size
    yield breaks("‖Δθ*‖/‖θ*‖ at equal ηλ, λ × 4", off, at_least=0.2)
    off = np.linalg.norm(ends[0.05, 0.4] - reference) / size
    yield corrects("‖Δθ*‖/‖θ*‖ at equal λ, η/4", off, at_most=1e-8)

    def direction(c: float, start: float) -> np.ndarray:
        norm = mr.nn.BatchNorm(1, eps=0.0, affine=False, dtype=np.float64)
        layer = linear(start * np.random.default_rng(0).standard_normal(10))
        model = mr.nn.Sequential(layer, norm)
        regress(model, mr.optim.SGD(model.parameters(), lr=0.1 * c), 40, strength=0.1 / c)
        w = layer.weight.numpy()
        return w / np.linalg.norm(w)

    u = direction(1, start=1)
    off = abs(direction(4, 2) - u).max()
    yield corrects("before BatchNorm: |Δ direction| at (4η, λ/4, 2w₀)", off, at_most=1e-12)
    yield breaks("|Δ direction| at (4η, λ/4, w₀)", abs(direction(4, 1) - u).max(), at_least=1e-3)


@claim(
    "C27", "FALSE AS STATED", "004 §举个例子",
    "A worked example (往回拉2%)",
    "With η = 0.01, λ = 0.1 and the penalty λ‖θ‖², a step pulls a weight back by 2 %.",
    corrected="It pulls back by 2ηλ = 0.2 %; 2 % needs λ = 1. What is 0.02 is the pull on θ = 10: it becomes "
    "9.98.",
)  # fmt: skip
def worked_example() -> Iterator[Figure]:
    """One step of SGD on λ‖θ‖² is θ − η·2λθ = (1 − 2ηλ)θ, and 2·0.01·0.1 = 0.002.

    >>> w = mr.tensor([10.0], requires_grad=True); w.grad = mr.tensor(2 * 0.1 * w.data)  # 2λθ
    >>> mr.optim.SGD([w], lr=0.01).step(); round(w.item(), 4)
    9.98
    """
    after = one_step(mr.penalties.scaled(mr.penalties.L2(0.1), 2), 0.01, [10.0]).after.item()
    pulled = 1 - after / 10
    yield breaks("share of 2 % that is reached", pulled / 0.02, at_most=0.5)
    yield corrects("|pull − 0.2 %|", abs(pulled - 0.002), at_most=1e-15)
    yield corrects("θ = 10 after the step", after, at_least=9.98 - 1e-14, at_most=9.98 + 1e-14)


@claim(
    "C28", "TRUE", "004 §举个例子; 002 §L2惩罚; 003 §最简单的约束",
    "Large weights are pulled hard, small ones hardly (大权重惩罚更重)",
    "The pull grows with the weight: strong on θ = 100, next to nothing on θ = 0.01.",
)  # fmt: skip
def pull_by_size() -> Iterator[Figure]:
    """A step on λ‖θ‖² pulls by 2ηλθ, proportional to θ: the share 2ηλ is the same for all. A step on
    λ‖θ‖₁ pulls by ηλ·sign θ, the same for all: as a share it is hardest on the small ones.

    >>> 0.01 * 2 * P.L2(0.1).gradient(np.array([100.0, 0.01]))  # η·2λθ
    array([2.e-01, 2.e-05])
    """
    w = np.array([100.0, 10.0, 0.01])
    l2 = one_step(mr.penalties.scaled(mr.penalties.L2(0.1), 2), 0.01, w)
    pull = -host(l2["penalty", "fresh"])[0]
    yield holds(
        "pull on 100 / pull on 0.01", pull[0] / pull[2], at_least=1e4 - 1e-8, at_most=1e4 + 1e-8
    )
    yield holds("|pull − 2ηλθ|, η = 0.01, λ = 0.1", abs(pull - 0.002 * w).max(), at_most=1e-15)
    shares = host(l2.effective_decay("penalty"))
    yield holds("|share of the weight − 0.2 %|", abs(shares - 0.002).max(), at_most=1e-15)
    l1 = one_step(mr.penalties.L1(0.1), 0.01, w)
    yield holds("L1: largest pull − smallest", np.ptp(host(l1["penalty", "fresh"])), at_most=1e-15)


@claim(
    "C29", "TRUE-WITH-CONDITIONS",
    "000 §10.3.1; 001 §9.3.2; 002 §L2惩罚, §正则化在现代优化器中的实现机制; 003 §引言",
    "L2 and weight decay are one thing (L2正则化 = 权重衰减)",
    "The L2 penalty is also called weight decay: in theory the two are equivalent, implementations differ.",
    corrected="Under plain SGD, if decay acts on θ_t: (1 − ηλ)θ_t − ηg. Shrinking after the step, as the "
    "prose of 《参数范数惩罚》 has it, differs by η²λg; with momentum or Adam the two differ in first "
    "order of λ.",
)  # fmt: skip
def l2_is_decay() -> Iterator[Figure]:
    """SGD: C23. After the step: (1 − ηλ)(θ − ηg) = (1 − ηλ)θ − ηg + η²λg. Momentum carries μλθ₀ over to the
    second step, decay does not: from rest they differ by ημλθ₀ then. Adam's first step is η·sign(g + λθ): a
    small λ has no effect on it, while decay takes ηλθ.

    >>> ends = []
    >>> for opt in (mr.optim.Adam, mr.optim.AdamW):
    ...     w = mr.tensor([2.0], requires_grad=True); w.grad = mr.tensor([1.0])
    ...     opt([w], lr=0.1, weight_decay=0.5).step(); ends.append(round(w.item(), 4))
    >>> ends
    [1.9, 1.8]
    """
    lr, strength, w0 = 0.1, 0.05, np.random.default_rng(0).standard_normal(10)
    g = data_gradient(w0)

    def end(optimizer: type, l2: float, steps: int = 1, **options: float) -> np.ndarray:
        model = linear(w0)
        regress(model, optimizer(model.parameters(), lr=lr, **options), steps, l2)
        return model.weight.numpy()[0]

    before = (1 - lr * strength) * w0 - lr * g
    after = (1 - lr * strength) * (w0 - lr * g)
    coupled = end(mr.optim.SGD, strength)
    yield holds("SGD: |L2 − decay of θ_t|", abs(coupled - before).max(), at_most=1e-14)
    exactly = {"at_least": 1 - 1e-10, "at_most": 1 + 1e-10}
    off = np.linalg.norm(after - coupled) / (lr**2 * strength * np.linalg.norm(g))
    yield breaks("SGD: ‖L2 − decay after the step‖ / η²λ‖g‖", off, **exactly)
    momentum = end(mr.optim.SGD, strength, steps=2, momentum=0.9)
    decayed = end(mr.optim.SGD, 0.0, steps=2, momentum=0.9, weight_decay=strength, decoupled=True)
    off = np.linalg.norm(momentum - decayed) / (0.9 * lr * strength * np.linalg.norm(w0))
    yield breaks("momentum 0.9, two steps: ‖L2 − decay‖ / ημλ‖θ₀‖", off, **exactly)
    adam, adamw = end(mr.optim.Adam, strength), end(mr.optim.AdamW, 0.0, weight_decay=strength)
    off = np.linalg.norm(adam - adamw) / (lr * strength * np.linalg.norm(w0))
    yield breaks("one step: ‖Adam with L2 − AdamW‖ / ηλ‖θ₀‖", off, at_least=0.999, at_most=1.001)


@claim(
    "C30", "TRUE-WITH-CONDITIONS", "002 §L2惩罚, §弹性网络",
    "L2 spreads weight (分散权重)",
    "L2 prefers many small weights: it spreads the effect over correlated features.",
    corrected="Evenly over copies of a feature. Of two with correlation ρ, one being the target, the weights "
    "differ by κ/(κ + λ) with κ = 2(1 − ρ): nearly even only for λ ≫ κ; for λ → 0 that one has all.",
)  # fmt: skip
def spreading() -> Iterator[Figure]:
    """At a fixed sum Σ wⱼ² is least for equal wⱼ, and of copies of a feature only the sum counts.
    Standardised x₁, x₂ with correlation ρ have the Hessian 2[[1, ρ], [ρ, 1]], with the eigenvalue
    κ = 2(1 − ρ) for w₁ − w₂; y = x₁ has w₁ − w₂ = 1, of which ridge leaves κ/(κ + λ).

    >>> x, model = np.ones((4, 2)), mr.nn.Linear(2, 1, bias=False, dtype=np.float64)
    >>> _ = mr.solve(model, mr.nn.MSELoss(), P.L2(2.0), x, np.full((4, 1), 3.0))
    >>> model.weight.numpy().round(4)  # a feature and its copy
    array([[1., 1.]])
    """
    x, y = diabetes()
    copies = np.repeat(x[:, 2:3], 4, axis=1)
    equal = fitted(copies, y, mr.penalties.L2(0.02), tol=1e-12)
    yield holds("spread of the weights of 4 copies", np.ptp(equal), at_most=1e-8)
    one = fitted(x[:, 2:3], y, mr.penalties.L2(0.02 / 4)).item()  # ½λΣ(s/4)² = ½(λ/4)s²
    yield holds("|their sum − one feature at λ/4|", abs(equal.sum() - one), at_most=1e-8)
    pair = np.linalg.qr(x[:, 2:4])[0] * np.sqrt(len(y))  # mean square 1, correlation 0
    rho = 0.9
    pair[:, 1] = rho * pair[:, 0] + np.sqrt(1 - rho**2) * pair[:, 1]
    for strength, limits in ((1e-3, {"at_least": 0.9}), (10.0, {"at_most": 0.05})):
        w = fitted(pair, pair[:, 0], mr.penalties.L2(strength))
        kind = breaks if strength < 1 else holds
        yield kind(f"w₁ − w₂ at ρ = 0.9, λ = {strength:g}", w[0] - w[1], **limits)
        off = abs(w[0] - w[1] - mr.implicit.ridge_filter(np.array(2 * (1 - rho)), strength))
        yield holds("|w₁ − w₂ − κ/(κ + λ)|", off, at_most=1e-8)


@claim(
    "C31", "TRUE", "003 §最简单的约束; 004 §损失函数优化目标就变成了两难",
    "The solution is a compromise (折衷解)",
    "At the optimum the pull of the penalty balances the pull of the data: λθ* = −∇L_data(θ*).",
)  # fmt: skip
def compromise() -> Iterator[Figure]:
    """At a minimum of a differentiable J = L + ½λ‖θ‖² the gradient ∇L + λθ is 0: equal and opposite.

    >>> model = mr.nn.Linear(1, 1, bias=False, dtype=np.float64)
    >>> _ = mr.solve(model, mr.nn.MSELoss(), P.L2(2.0), [[1.0]], [[3.0]])
    >>> w = model.weight.item(); round(2 * w, 4), round(-2 * (w - 3), 4)  # λθ*, −∇L
    (3.0, 3.0)
    """
    model = linear(ridge(*diabetes(), strength=0.2))
    optimizer = mr.optim.SGD(model.parameters(), lr=0.1)
    ledger = mr.Ledger(optimizer)
    shares = regress(model, optimizer, 1, strength=0.2).gradients
    data, penalty = shares["data"]["weight"].numpy(), shares["l2"]["weight"].numpy()
    yield holds("|∇L + λθ*|, ridge on diabetes", abs(data + penalty).max(), at_most=1e-13)
    ratio = np.linalg.norm(penalty) / np.linalg.norm(data)
    yield holds("|‖λθ*‖/‖∇L‖ − 1|", abs(ratio - 1), at_most=1e-12)
    row = ledger.last["weight"]
    yield holds(
        "length of the data's row in the ledger",
        np.linalg.norm(host(row["data", "fresh"])),
        at_least=1e-3,
    )
    yield holds("largest change of a weight in that step", abs(row.actual).max(), at_most=1e-13)
