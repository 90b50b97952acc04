"""Regularization without a penalty: learning-rate schedules, early stopping, gradient clipping.

The squared error is a mean without a half (with one in C109), and L2 is ½λ‖θ‖². η is the learning
rate, η_t that of step t, T the number of steps (in C103 the temperature), μ an eigenvalue of the
data loss's Hessian, s² the variance of noise. Clipping is to the norm C, all tensors together; g
is the gradient of loss and penalty.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import minireg as mr
from minireg.course.claims import Figure, breaks, claim, corrects, holds, reports
from minireg.inspect.ledger import Key
from minireg.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LRScheduler,
    MultiStepLR,
    PolynomialLR,
)
from minireg.training import evaluate

from ._data import diabetes, digits, here, host, mlp, parameter

Loss = Callable[[mr.Tensor], mr.Tensor]
Schedule = Callable[[mr.optim.Optimizer], LRScheduler]


def descend(
    loss: Loss, start: np.ndarray, lr: float, steps: int,
    schedule: Schedule | None = None, clip: float | None = None, weight_decay: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Where gradient descent on ``loss`` is after so many steps."""
    w = parameter(start)
    optimizer = mr.optim.SGD([w], lr=lr, weight_decay=weight_decay)
    scheduler = schedule(optimizer) if schedule else None
    for _ in range(steps):
        optimizer.zero_grad()
        loss(w).backward()
        if clip:
            mr.optim.clip_grad_norm_([w], clip)
        optimizer.step()
        if scheduler:
            scheduler.step()
    return w.numpy()


def slope(loss: Loss, w: np.ndarray) -> np.ndarray:
    """The gradient of a loss at w."""
    at = parameter(w)
    return mr.grad(loss(at), [at])[0].numpy()


def squared(w: mr.Tensor) -> mr.Tensor:
    """Mean squared error on diabetes of the weights w (1, 10)."""
    x, y = map(here, diabetes())
    return mr.nn.functional.mse_loss(mr.nn.functional.linear(x, w), y[:, None])


def modes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of the Hessian of that loss, and its minimiser (1, 10)."""
    x, y = diabetes()
    return *np.linalg.eigh(2 * x.T @ x / len(x)), np.linalg.lstsq(x, y)[0][None]


def ridge(strength: float, center: np.ndarray | float = 0.0) -> np.ndarray:
    """The minimiser of that loss plus ½λ‖w − center‖²."""
    values, vectors, best = modes()
    kept = vectors * (values / (values + strength)) @ vectors.T
    return center + (best - center) @ kept


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖/‖a‖."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(a))


START = np.zeros((1, 10))

# --- schedules --------------------------------------------------------------------------------


def logistic(w: mr.Tensor) -> mr.Tensor:
    """Mean logistic loss on diabetes, the target being above average."""
    x, y = map(here, diabetes())
    return mr.nn.BCEWithLogitsLoss()(mr.nn.functional.linear(x, w), (y > 0)[:, None].astype(float))


def flow(loss: Loss, time: float) -> np.ndarray:
    """Where dw/dt = −∇loss(w) from 0 is at a time, by 50 Runge–Kutta steps of order 4."""
    pull, w, h = lambda w: -slope(loss, w[None])[0], START[0], time / 50
    for _ in range(50):
        a = pull(w)
        b = pull(w + h / 2 * a)
        c = pull(w + h / 2 * b)
        w = w + h / 6 * (a + 2 * b + 2 * c + pull(w + h * c))
    return w


@claim(
    "C101", "IMPRECISE", "000 引理 10.28, §学习率调度中的正则化效应",
    "Learning-rate decay is a penalty that changes with time (学习率衰减的隐式正则化)",
    "Letting η fall in gradient descent is like adding a time-dependent regularizer to the loss.",
    corrected="For small steps a schedule only changes the clock: where the path is depends on Ση. "
    "What finite steps add is (η/4)‖∇L‖², so decay takes an implicit penalty away.",
)  # fmt: skip
def schedule_as_penalty() -> Iterator[Figure]:
    """Descent is Euler's method for dθ/ds = −∇L(θ) in the clock s = Ση: as the steps get smaller, all
    schedules with the same sum end at the same point. A step of size η is θ − η∇L, the flow of
    L̃ = L + ηL₁ gives θ − η∇L̃ + ½η²∇²L∇L + O(η³); they agree to O(η³) if ∇L₁ = ½∇²L∇L, hence
    L₁ = ¼‖∇L‖². Over a fixed time the O(η²) of each step in L's own flow adds up to O(η).

    >>> w = mr.tensor(np.array([2.0]), requires_grad=True)
    >>> mr.implicit.step_penalty(lambda: (w**2).sum(), w, lr=0.1).item()  # (η/4)(2w)²
    0.4
    """
    time, total = 2.0, []
    for steps in (100, 400):
        constant = descend(logistic, START, time / steps, steps)
        linear = partial(PolynomialLR, total_iters=steps)
        decayed = descend(logistic, START, 2 * time / (steps + 1), steps, schedule=linear)
        total.append(apart(constant, decayed))
    yield breaks("constant to decayed η, equal Ση, 400 steps", total[1], at_most=1e-3)
    yield corrects("… with 100 steps over with 400", total[0] / total[1], at_least=3.5, at_most=4.5)
    plain, modified = [], []
    for steps in (20, 40):
        lr = time / steps
        end = descend(logistic, START, lr, steps)[0]

        def both(w: mr.Tensor, lr: float = lr) -> mr.Tensor:
            return logistic(w) + mr.implicit.step_penalty(lambda: logistic(w), [w], lr)

        plain.append(apart(end, flow(logistic, time)))
        modified.append(apart(end, flow(both, time)))
    first, second = plain[0] / plain[1], modified[0] / modified[1]
    yield corrects("distance to the flow of L: η over ½η", first, at_least=1.8, at_most=2.2)
    yield corrects("… of L + (η/4)‖∇L‖²: η over ½η", second, at_least=3.5, at_most=4.5)
    yield corrects("that distance over the first, ½η", modified[1] / plain[1], at_most=0.1)


def wells(
    w: mr.Tensor, smooth: bool = False, curvature: float = 100.0, lift: float = 0.0
) -> mr.Tensor:
    """Two minima: at −1, of this curvature, and at 1, of curvature 1 and higher by ``lift``.

    Of two parabolas the lower, with a kink between them; or their soft minimum, 87.6 where it is 100.
    """
    sharp, flat = curvature / 2 * (w + 1) ** 2, 0.5 * (w - 1) ** 2 + lift
    return (-mr.logaddexp(-sharp, -flat) if smooth else mr.minimum(sharp, flat)).sum()


@claim(
    "C102", "FALSE AS STATED", "000 引理 10.28",
    "As η_t → 0 descent tends to flatter minima (更平坦的极小值)",
    "When the learning rate goes to 0, optimisation tends to find flatter minima, which usually "
    "generalise better.",
    corrected="Small steps stay in the basin where they are: to leave a minimum of curvature a it takes "
    "η > 2/a, which repels. That is necessary, not sufficient. In a well that is an exact parabola up to a "
    "kink the iterate is thrown out; in a smooth one it may settle on a cycle around the minimum and, as "
    "η → 0, end in the sharp minimum after all.",
)  # fmt: skip
def small_steps_stay() -> Iterator[Figure]:
    """Near a minimum of curvature a a step multiplies the distance by 1 − ηa, which attracts if and
    only if ηa < 2. So η < 2/a, falling to 0 or not, does not leave it. For η > 2/a the distance grows
    until the loss is no parabola any more. At a kink that comes too late; where the curvature falls
    off smoothly, as in −log(e^(−p) + e^(−q)) of two parabolas, steps become shorter than 2/a asks for,
    and the iterate jumps to and fro between two points. As η falls they close in on the minimum.

    >>> w = mr.tensor(np.array([-1.05]), requires_grad=True); opt = mr.optim.SGD([w], lr=0.01)
    >>> for _ in range(100):
    ...     opt.zero_grad()
    ...     mr.minimum(50 * (w + 1) ** 2, 0.5 * (w - 1) ** 2).sum().backward()
    ...     opt.step()
    >>> w.item()  # η < 2/100: in the sharp minimum, at −1
    -1.0
    """

    def curvature(lr: float, decayed: bool = True, smooth: bool = False) -> float:
        """Where 300 steps from just beside the sharp minimum lead."""
        schedule = partial(PolynomialLR, total_iters=300) if decayed else None
        loss = partial(wells, smooth=smooth)
        w = parameter(descend(loss, [-1.05], lr, 300, schedule))
        return host(mr.curvature.eigenvalues(lambda: loss(w), w, k=1))[0]

    small = [curvature(lr, decayed) for lr in (0.001, 0.01) for decayed in (False, True)]
    yield breaks("final curvature, η = .001 and .01, → 0 or not", min(small), at_least=99.9)
    yield corrects("a kink: final curvature, η = .03 → 0", curvature(0.03), at_most=1.001)
    yield corrects("η = .99·2/100, kept", curvature(0.99 * 0.02, decayed=False), at_least=99.9)
    yield corrects("η = 1.03·2/100, kept", curvature(1.03 * 0.02, decayed=False), at_most=1.001)
    a = curvature(0.001, smooth=True)
    yield corrects("smooth: curvature a of the sharp minimum", a, at_least=87, at_most=88)
    ends = [curvature(factor * 2 / a, smooth=True) / a for factor in (1.03, 1.1, 1.25, 1.5)]
    what = "final curvature over a, η = 1.03 … 1.5·2/a → 0, the least"
    yield corrects(what, min(ends), at_least=0.999)


def variance(kind: Callable[..., mr.optim.Optimizer], lr: float, batch: int = 0) -> float:
    """The stationary variance of 4000 chains on ½θ², or on minibatches of ½(θ − y)², y ~ N(0, 1)."""
    rng = np.random.default_rng(0)
    w = parameter(rng.standard_normal(4000))
    optimizer = kind([w], lr=lr)
    squares = []
    for step in range(300):
        y = here(rng.standard_normal((batch, 4000)).mean(axis=0)) if batch else 0.0
        optimizer.zero_grad()
        (0.5 * (w - y) ** 2).sum().backward()
        optimizer.step()
        if step >= 150:
            squares.append((w.numpy() ** 2).mean())
    return float(np.mean(squares))


@claim(
    "C103", "FALSE AS STATED", "000 引理 10.28, the view in continuous time",
    "Gradient descent is a discretised Langevin dynamics, η its temperature (朗之万动力学, 温度)",
    "In continuous time gradient descent can be seen as discretised Langevin dynamics, whose "
    "“temperature” the learning rate controls.",
    corrected="Gradient descent has no noise, so temperature 0. SGD, with noise of variance s² in the "
    "gradient, has T ≈ ηs²/2, which falls as 1/batch. Langevin dynamics adds √(2ηT)·ξ; its T is a "
    "parameter, and η only the step.",
)  # fmt: skip
def temperature() -> Iterator[Figure]:
    """On ½aθ², θ ← (1 − ηa)θ + n with noise of variance v has the stationary variance V that solves
    V = (1 − ηa)²V + v: V = v/(ηa(2 − ηa)). SGD has v = η²s², so V = ηs²/(a(2 − ηa)); Langevin has
    v = 2ηT, so V = T/(a(1 − ½ηa)), the T/a of exp(−L/T) up to O(η); descent has v = 0. Here a = 1.

    >>> w = mr.tensor(np.zeros(4000), requires_grad=True)
    >>> opt = mr.optim.SGLD([w], lr=0.2, temperature=0.1, seed=0)
    >>> for _ in range(60): w.grad = mr.tensor(w.data); opt.step()
    >>> round(float(w.numpy().var()), 2)  # T/(1 − ½η)
    0.11
    """
    sgd, langevin = mr.optim.SGD, partial(mr.optim.SGLD, temperature=0.1)
    rates = np.array([0.2, 0.1, 0.05])
    yield breaks("variance of gradient descent, η = .2", variance(sgd, 0.2), at_most=1e-20)
    noisy = np.array([variance(sgd, lr, batch=1) for lr in rates])
    true = np.array([variance(langevin, lr) for lr in rates])
    off = abs(noisy * (2 - rates) / rates - 1).max()
    yield corrects("|SGD/(ηs²/(2 − η)) − 1|, 3 rates", off, at_most=0.03)
    off = abs(true * (1 - rates / 2) / 0.1 - 1).max()
    yield corrects("|Langevin/(T/(1 − ½η)) − 1|, 3 rates", off, at_most=0.03)
    yield breaks("Langevin's variance, η = .2 over η = .05", true[0] / true[2], at_most=1.2)
    ratio = noisy[1] / variance(sgd, 0.1, batch=4)
    yield corrects("SGD's variance, batch 1 over batch 4", ratio, at_least=3.8, at_most=4.2)


@claim(
    "C134", "TRUE-WITH-CONDITIONS", "000 §学习率调度中的正则化效应",
    "First a large rate, then a small one (探索与收敛)",
    "Early in training a larger learning rate lets the model explore different regions of the parameter "
    "space; later a smaller one makes it converge to a more stable solution.",
    corrected="A large rate explores if gradients are noisy, at the temperature ηs²/2 (C103), or if η > 2/a "
    "where the curvature is a (C102); else it stays in the basin where it is. The small rate ends the "
    "wandering. More stable is flatter, which need not be lower; and if η > 2/a everywhere, descent "
    "diverges.",
)  # fmt: skip
def explore_then_settle() -> Iterator[Figure]:
    """Noise of variance s² spreads the iterates by V = ηs²/(a(2 − ηa)) about a minimum. With a large η
    they cross the crest between two wells again and again, until it no longer matters where they
    began; the flat well is wider and holds more of them. With a small one they stay, and V ∝ η.
    ½(uv − 1)² needs no noise. Its minima, uv = 1, have the curvature u² + v², and small steps keep u² − v²;
    where u² + v² > 2/η they repel, and the curved valley leads to flatter ones.

    >>> ends = []
    >>> for first in (0.05, 0.3):  # the curvature at the start is about 9
    ...     w = mr.tensor([3.0, 0.3], requires_grad=True); opt = mr.optim.SGD([w], lr=first)
    ...     schedule = mr.optim.lr_scheduler.MultiStepLR(opt, [100], gamma=0.05 / first)
    ...     for _ in range(400):
    ...         opt.zero_grad(); (0.5 * (w[0] * w[1] - 1) ** 2).backward(); opt.step(); schedule.step()
    ...     ends.append(round(float((w.numpy() ** 2).sum()), 1))
    >>> ends  # u² + v²
    [9.1, 3.2]
    """
    starts = np.r_[np.linspace(-1.3, -0.7, 200), np.linspace(0, 2, 200)]
    crest, fall = -0.6, partial(MultiStepLR, milestones=[100], gamma=0.1)

    def noisy(
        lr: float, schedule: Schedule | None = None, s: float = 4.0, lift: float = 0.0
    ) -> np.ndarray:
        """Where 400 runs end, (2, 200): those from the sharp basin first."""
        rng = np.random.default_rng(0)

        def loss(w: mr.Tensor) -> mr.Tensor:
            noise = here(s * rng.standard_normal(len(starts)))
            return wells(w, smooth=True, curvature=16.0, lift=lift) + (noise * w).sum()

        return descend(loss, starts, lr, 300, schedule).reshape(2, -1)

    flat = lambda ends: (ends > crest).mean(axis=1)
    changed = lambda ends: abs(flat(ends) - [0, 1]).max()
    spread = lambda ends: (np.where(ends > crest, ends - 1, ends + 1) ** 2).mean() ** 0.5
    both = noisy(0.1, fall)
    yield holds("noise, η = .01: share that change basin", changed(noisy(0.01)), at_most=0.02)
    for share, start in zip(flat(both), ("sharp", "flat"), strict=True):
        what = f"η = .1, then .01: share in the flat basin, of those from the {start} one"
        yield holds(what, share, at_least=0.7, at_most=0.92)
    settled = spread(noisy(0.1)) / spread(both)
    yield holds("spread about the minima, η = .1 kept over then .01", settled, at_least=2)
    still = noisy(0.1, fall, s=0.0)
    yield breaks("without noise: share that change basin", changed(still), at_most=0)

    rng = np.random.default_rng(0)
    factors = np.stack([rng.uniform(2.7, 3.5, 300), rng.uniform(-0.5, 0.5, 300)])
    loss = lambda w: (0.5 * (w[0] * w[1] - 1) ** 2).sum()
    small, large = (descend(loss, factors, lr, 300, f) for lr, f in ((0.03, None), (0.3, fall)))
    off = max(abs(ends.prod(axis=0) - 1).max() for ends in (small, large))
    yield corrects("½(uv − 1)², η = .03, and η = .3, then .03: |uv − 1|", off, at_most=1e-3)
    small, large = ((ends**2).sum(axis=0) for ends in (small, large))
    yield corrects("its least final curvature at η = .03", small.min(), at_least=7)
    yield corrects("largest at η = .3, then .03, over 2/.3", large.max() * 0.15, at_most=1)
    yield corrects("the mean, over that at η = .03", large.mean() / small.mean(), at_most=0.5)
    share = flat(noisy(0.1, fall, lift=0.5)).min()
    yield corrects("noise, flat minimum 0.5 higher: share that end in it", share, at_least=0.6)
    size = abs(descend(wells, [-1.05], 2.1, 200)[0])
    yield corrects("log₁₀|θ|, η = 2.1 > 2/a in both wells", np.log10(size), at_least=6)


@claim(
    "C104", "TRUE", "003 §动态二重奏; 000 注记 10.7",
    "The strength of the decay in a step is η_t·λ (每步衰减)",
    "Under a schedule, step t shrinks the weights by the factor 1 − η_tλ.",
)  # fmt: skip
def decay_per_step() -> Iterator[Figure]:
    """θ − η_t(g + λθ) = (1 − η_tλ)θ − η_t g. Without g what is left of θ₀ is Π(1 − η_tλ), and as
    log(1 − u) = −u − ½u² − …, that is exp(−λΣη_t) up to a factor of about exp(−½λ²Ση_t²).

    >>> w = mr.tensor(np.array([1.0]), requires_grad=True); opt = mr.optim.SGD([w], lr=0.5, weight_decay=0.2)
    >>> schedule = mr.optim.lr_scheduler.ExponentialLR(opt, 0.5)
    >>> for _ in range(2): w.grad = mr.tensor(np.zeros(1)); opt.step(); schedule.step()
    >>> w.item()  # (1 − .1)(1 − .05)
    0.855
    """
    steps, lr, strength = 200, 0.2, 0.1
    schedule = partial(CosineAnnealingLR, T_max=steps)
    rates = lr / 2 * (1 + np.cos(np.pi * np.arange(steps) / steps))
    left = np.prod(1 - rates * strength)
    nothing = lambda w: 0.0 * w.sum()
    end = descend(nothing, [1.0], lr, steps, schedule, weight_decay=strength)[0]
    yield holds("SGD, cosine, no data: |θ_T/θ₀ − Π(1 − η_tλ)|", abs(end - left), at_most=1e-14)
    w = parameter(np.ones(1))
    adamw = mr.optim.AdamW([w], lr=lr, weight_decay=strength)
    scheduler = schedule(adamw)
    for _ in range(steps):
        adamw.zero_grad()
        nothing(w).backward()
        adamw.step()
        scheduler.step()
    yield holds("the same for AdamW", abs(w.numpy()[0] - left), at_most=1e-14)
    off = left / np.exp(-strength * rates.sum()) - 1
    yield holds("|Π(1 − η_tλ)/exp(−λΣη_t) − 1|", abs(off), at_most=0.02)


@claim(
    "C105", "IMPRECISE", "003 §动态二重奏",
    "With a decayed learning rate the penalty is weakened and in the end almost inactive (后期几乎不起作用)",
    "As η_t falls, so does the effective strength of L2; at the end it does almost nothing.",
    corrected="The data's step shrinks by the same η_t: with full batches the balance of forces and the "
    "limit, ridge(λ), stay, given that Ση_t is large enough. In the end the penalty is as "
    "strong as the data.",
)  # fmt: skip
def late_decay() -> Iterator[Figure]:
    """θ ← θ − η_t(∇L + λθ) has the same fixed point for every η_t, where ‖λθ‖ = ‖∇L‖. A mode of
    curvature μ approaches it by Π(1 − η_t(μ + λ)) ≈ exp(−(μ + λ)Ση_t), so Ση_t decides how near it
    gets. With minibatches the noise keeps θ at a distance ∝ √η (C103), which decay removes.

    >>> w = mr.tensor(np.array([0.0]), requires_grad=True); opt = mr.optim.SGD([w], lr=0.5, weight_decay=1.0)
    >>> schedule = mr.optim.lr_scheduler.CosineAnnealingLR(opt, 60)
    >>> for _ in range(60): w.grad = mr.tensor(w.data - 3); opt.step(); schedule.step()
    >>> w.item()  # where λθ = 3 − θ, with a falling rate as with a constant one
    1.5
    """
    steps, lr, strength = 1200, 0.2, 0.3
    end = partial(descend, squared, START, lr, steps, weight_decay=strength)
    cosine = end(partial(CosineAnnealingLR, T_max=steps))
    pull = host(mr.penalties.L2(strength).gradient(here(cosine)))
    balance = np.linalg.norm(pull) / np.linalg.norm(slope(squared, cosine))
    last = np.sin(np.pi / 2 / steps) ** 2
    yield breaks(
        f"‖λθ‖/‖∇L‖ when η is {last:.0e} of its start", balance, at_least=0.999, at_most=1.001
    )
    limits = [apart(ridge(strength), w) for w in (end(), cosine)]
    yield corrects("distance to ridge(λ), η constant or cosine", max(limits), at_most=1e-10)
    stopped = end(partial(ExponentialLR, gamma=0.8))
    yield corrects("… where Ση = 1 is too small", apart(ridge(strength), stopped), at_least=0.05)
    rng = np.random.default_rng(0)
    x, y = diabetes()

    def noisy(w: mr.Tensor) -> mr.Tensor:
        some = rng.integers(0, len(x), 16)
        outputs = mr.nn.functional.linear(here(x[some]), w)
        return mr.nn.functional.mse_loss(outputs, here(y[some, None]))

    ends = [descend(noisy, START, 0.05, steps, schedule, weight_decay=strength)
            for schedule in (None, partial(CosineAnnealingLR, T_max=steps))]  # fmt: skip
    kept, fallen = (apart(ridge(strength), w) for w in ends)
    yield corrects("minibatches: distance, cosine over constant η", fallen / kept, at_most=0.5)


# --- early stopping ---------------------------------------------------------------------------


@claim(
    "C106", "EMPIRICAL", "000 §早停作为正则化, 引理 10.29",
    "Stop when the validation loss no longer falls (早停)",
    "Ending the training at the minimum of the validation loss regularises without a change of the "
    "loss; when to stop is for validation data to say.",
)  # fmt: skip
def stop_early() -> Iterator[Figure]:
    """No theorem beyond C109: the net fits what generalises first, and the wrong labels later.
    A 64-128-10 ReLU net, Adam, 300 digits of which 40 % got random labels; up to 100 epochs or until
    10 bring no better validation loss, whose weights are put back. Worst of 3 seeds.

    >>> stop = mr.optim.EarlyStopping(patience=2)
    >>> [stop.update(v) for v in (1.0, 0.5, 0.6, 0.7)], stop.best
    ([False, False, False, True], 0.5)
    """
    data = [here(a) for a in digits(noise=0.4)]
    train, validation = data[:2], data[2:]

    def history(seed: int, stop: mr.optim.EarlyStopping | None) -> tuple[mr.History, float]:
        """Of a training, and the validation loss of the weights it ends with."""
        mr.manual_seed(seed)
        model, loss = mlp(), mr.nn.CrossEntropyLoss()
        adam = mr.optim.Adam(model.parameters(), lr=3e-3)
        found = mr.fit(model, loss, adam, train, validation, epochs=100, batch_size=100, seed=seed,
                       early_stopping=stop, progress=False)  # fmt: skip
        return found, evaluate(model, loss, validation)["loss"]

    ratios, off, epochs, waited = [], [], [], []
    for seed in range(3):
        stopped, best = history(seed, mr.optim.EarlyStopping(patience=10))
        full, last = history(seed, None)
        before = full["validation_loss"][: len(stopped)]
        ratios.append(best / last)
        off += [best - min(before), *np.subtract(stopped["validation_loss"], before)]
        epochs.append(stopped.best_epoch)
        waited.append(len(stopped) - 1 - np.argmin(stopped["validation_loss"]))
    yield holds("L_val where stopped over L_val at the end", max(ratios), at_most=0.92)
    yield holds("|L_val of the weights put back − smallest seen|", np.abs(off).max(), at_most=1e-7)
    off = abs(np.subtract(waited, 10)).max()
    yield holds("|epochs trained after it − the 10 of the patience|", off, at_most=0)
    yield reports("epoch of the smallest L_val", np.mean(epochs))


@claim(
    "C107", "IMPRECISE", "000 定理 10.20",
    "Stopping after T steps is L2 with λ ∝ 1/T (早停的正则化等价性)",
    "Early stopping after T steps is equivalent to an implicit penalty similar in form to weight decay, "
    "with λ about ∝ 1/T.",
    corrected="On a quadratic from θ₀, mode i stops where the ridge around θ₀ with "
    "λ_i = μ_i(1−ημ_i)ᵀ/(1−(1−ημ_i)ᵀ) ends: 1/(ηT) for flat modes, exponentially less for stiff ones. "
    "No single λ does it, yet λ = 1/(ηT) is near: for small steps the risk is at most 1.69 times ridge's.",
)  # fmt: skip
def stopping_as_ridge() -> Iterator[Figure]:
    """In an eigenvector of the Hessian, eigenvalue μ, a step multiplies the distance to θ* by 1 − ημ. From
    θ₀ = 0: θ_T = (1 − (1−ημ)ᵀ)θ*, and ridge has μ/(μ + λ)·θ*; solve for λ. With x = ημT and ημ → 0 the
    filters are 1 − e⁻ˣ and x/(1 + x) at λ = 1/(ηT). The bias has e⁻ˣ ≤ 1/(1 + x), and the variances
    are as the squares: the largest (1 − e⁻ˣ)(1 + x)/x is 1.2985, squared 1.686 (Ali et al. 2019). For
    large steps that fails: T = 1, ημ = 1 learns all, ridge half, so 4 times the variance.

    >>> mr.implicit.equivalent_strength(np.array([0.01, 1.0, 5.0]), lr=0.1, steps=10).round(4)
    array([0.9945, 0.5353, 0.0049])
    """
    values, vectors, best = modes()
    lr, steps = 0.02, 100
    end = descend(squared, START, lr, steps)
    strengths = mr.implicit.equivalent_strength(values, lr, steps)
    nearest = min(apart(end, ridge(s)) for s in np.geomspace(0.1, 10, 200) / (lr * steps))
    yield breaks("‖θ_T − ridge(λ)‖/‖θ_T‖, the best of all λ", nearest, at_least=0.05)
    spread = strengths[-1] / strengths[0]
    yield breaks("λ_i of the stiffest mode over that of the flattest", spread, at_most=1e-4)
    flat = strengths[0] * lr * steps
    yield corrects("λ_i·ηT of the flattest mode", flat, at_least=0.95, at_most=1)
    learnt = mr.implicit.early_stopping_filter(values, lr, steps)
    modewise = values / (values + strengths)
    off = [abs(end @ vectors - f * (best @ vectors)).max() for f in (learnt, modewise)]
    yield corrects("|θ_T − Σ μ_i/(μ_i + λ_i)·θ*_i|, |… filter|", max(off), at_most=1e-12)
    x = np.geomspace(1e-3, 1e2, 500)
    stop, l2 = mr.implicit.early_stopping_filter(x, 1e-4, 10_000), mr.implicit.ridge_filter(x, 1.0)
    ratio = ((stop / l2) ** 2).max()
    yield corrects("variance over ridge(1/(ηT))'s, small steps", ratio, at_most=1.69)


@claim(
    "C108", "FALSE AS STATED", "000 定理 10.20 证明思路",
    "θ_T minimises L₀ + (1/2T)‖θ − θ₀‖² (早停证明思路)",
    "After T steps of gradient descent θ_T can be seen as the minimiser of L₀(θ) + (1/2T)‖θ − θ₀‖².",
    corrected="The weight needs η: 1/(2ηT). Even then the minimiser is one implicit step of length ηT, "
    "with ημT/(1 + ημT) of each mode learnt, where T explicit steps learn 1 − (1−ημ)ᵀ.",
)  # fmt: skip
def stopping_as_prox() -> Iterator[Figure]:
    """The minimiser u has ∇L₀(u) + (u − θ₀)/(ηT) = 0, u = θ₀ − ηT∇L₀(u): backward Euler, the gradient
    being taken at the end. Descent takes it at T points before: θ_T = θ₀ − η Σ_t ∇L₀(θ_t). T = 1 on
    the Hessian diag(2, .1), ∇L₀(0) = −(1, 1), η = .3: descent (.3, .3), u = (.1875, .2913).

    >>> mu = np.array([2.0, 0.1])
    >>> mr.implicit.early_stopping_filter(mu, lr=0.3, steps=1)  # what a step of descent learns
    array([0.6 , 0.03])
    >>> mr.implicit.ridge_filter(mu, 1 / 0.3).round(4)  # the minimiser of L + ‖θ − θ₀‖²/(2·0.3)
    array([0.375 , 0.0291])
    """
    x, y = diabetes()
    start, lr, steps = np.random.default_rng(0).standard_normal((1, 10)) / 2, 0.02, 100
    end = descend(squared, start, lr, steps)

    def minimiser(x: np.ndarray, y: np.ndarray, strength: float, center: np.ndarray) -> np.ndarray:
        """Of the squared error plus ½·strength·‖w − center‖²."""
        model = mr.nn.Linear(x.shape[1], 1, bias=False, dtype=np.float64)
        model.weight.assign(center)
        penalty = mr.penalties.L2(strength, here(center))
        mr.solve(model, mr.nn.MSELoss(), penalty, x, y, tol=1e-12, max_steps=2000)
        return model.weight.numpy()

    text, scaled = (minimiser(x, y[:, None], 1 / t, start) for t in (steps, lr * steps))
    yield breaks("‖θ_T − argmin L₀ + (1/2T)‖θ − θ₀‖²‖/‖θ_T‖", apart(end, text), at_least=0.3)
    yield breaks("the same with 1/(2ηT)", apart(end, scaled), at_least=0.1)
    implicit = start - lr * steps * slope(squared, scaled)
    yield corrects("|that − (θ₀ − ηT∇L₀(that))|", abs(scaled - implicit).max(), at_most=1e-10)
    a = np.sqrt([2.0, 0.1])  # mean squares of a·w − 1/a: Hessian diag(2, .1), slope −(1, 1) at 0
    moved = descend(lambda w: ((here(a) * w - here(1 / a)) ** 2).mean(), np.zeros(2), 0.3, 1)
    prox = minimiser(np.diag(a), 1 / a[:, None], 1 / 0.3, np.zeros((1, 2)))
    yield corrects("one step: |descent − (.3, .3)|", abs(moved - 0.3).max(), at_most=1e-14)
    off = abs(prox - 0.3 / (1 + 0.3 * a**2)).max()
    yield corrects("|argmin − (.3/1.6, .3/1.03)|", off, at_most=1e-12)


@claim(
    "C109", "TRUE-WITH-CONDITIONS", "000 引理 10.29",
    "Early stopping trades bias for variance (偏差-方差权衡)",
    "Fewer steps give more bias and less variance.",
    corrected="Exactly and monotonically for least squares with fixed inputs, from a start that does not "
    "depend on the targets, with ημ ≤ 1 in every mode. Beyond, overshooting makes the variance fall again.",
)  # fmt: skip
def bias_and_variance() -> Iterator[Figure]:
    """y = Xw* + noise of variance s²: mode i of the least-squares solution has variance s²/(Nμ_i) about
    w*_i, and f_i = 1 − (1−ημ_i)ᵀ of the way to it is gone (half mean squares, μ of XᵀX/N). From 0:
    bias² = Σ (1−f_i)²w*_i², variance = s²/N Σ f_i²/μ_i. For 0 < ημ ≤ 1 f grows with T up to 1. With ημ
    = 1.5 it is 1.5 after one step and .75 after two.

    >>> learnt = lambda steps: mr.implicit.early_stopping_filter(np.array([0.5]), 0.2, steps)[0]
    >>> [(round(float((1 - learnt(t)) ** 2), 2), round(float(learnt(t) ** 2), 2)) for t in (1, 10, 50)]
    [(0.81, 0.01), (0.12, 0.42), (0.0, 0.99)]
    """
    n, s, lr = 30, 1.0, 0.2
    x, true = diabetes()[0][:n], np.random.default_rng(0).standard_normal(10) / 3
    y = np.column_stack([x @ true, s * np.eye(n)])  # θ_T is linear in y: the mean, and each noise
    values, vectors = np.linalg.eigh(x.T @ x / n)

    def theory(steps: int) -> tuple[float, float]:
        """(bias², variance) after so many steps."""
        f = mr.implicit.early_stopping_filter(values, lr, steps)
        return (((1 - f) * (true @ vectors)) ** 2).sum(), s**2 / n * (f**2 / values).sum()

    def half(w: mr.Tensor) -> mr.Tensor:
        """Half the mean squared error of each target, summed: each row of w descends by itself."""
        outputs = mr.nn.functional.linear(here(x), w)
        return mr.nn.functional.mse_loss(outputs, here(y), reduction="sum") / (2 * n)

    bias, variance = np.transpose([theory(steps) for steps in range(1, 2001)])
    yield holds("largest change of bias² by a step", np.diff(bias).max(), at_most=0)
    yield holds("smallest change of variance by a step", np.diff(variance).min(), at_least=0)
    off = []
    for steps in (5, 50, 500):
        mean, *noises = descend(half, np.zeros((1 + n, 10)), lr, steps)
        measured = ((mean - true) ** 2).sum(), np.square(noises).sum()
        off.append(abs(np.divide(measured, theory(steps)) - 1).max())
    yield holds("descent, T = 5, 50, 500: |bias², variance/formula − 1|", max(off), at_most=1e-10)
    risk = bias + variance
    yield holds("bias² + variance at the best T over T = 2000", risk.min() / risk[-1], at_most=0.9)
    first, second = (mr.implicit.early_stopping_filter(np.array(1.5), 1.0, t) for t in (1, 2))
    fallen = (second / first) ** 2
    yield breaks("ημ = 1.5: variance after 2 steps over after 1", fallen, at_most=0.3)


# --- clipping ---------------------------------------------------------------------------------


@claim(
    "C110", "TRUE-WITH-CONDITIONS", "000 §梯度裁剪与正则化的协同",
    "Clipping bounds the step and prevents instability (梯度裁剪)",
    "Clipping limits the norm of the gradient, which keeps training from becoming unstable.",
    corrected="Clipping by norm keeps the direction, by value it does not. It tames single huge "
    "gradients, not a rate that is too large near the optimum.",
)  # fmt: skip
def clipping() -> Iterator[Figure]:
    """min(1, C/‖g‖)·g has at most the norm C and g's direction, so a step is at most ηC long: a cliff
    does not throw θ away. Near a minimum ‖g‖ < C, clipping does nothing, and ημ > 2 repels as ever.

    >>> w = [mr.tensor([0.0], requires_grad=True) for _ in range(2)]
    >>> w[0].grad, w[1].grad = mr.tensor([30.0]), mr.tensor([40.0])
    >>> _ = mr.optim.clip_grad_norm_(w, 5.0); [round(p.grad.item(), 4) for p in w]
    [3.0, 4.0]
    """
    cliff = lambda w: ((w**20 - 0.5) ** 2).sum()
    wild = abs(descend(cliff, [1.15], 0.002, 1)[0])
    tamed = descend(cliff, [1.15], 0.002, 3000, clip=0.5)[0]
    yield holds("(θ²⁰ − ½)² from 1.15: |θ| after a step, unclipped", wild, at_least=1)
    off = abs(tamed - 0.5 ** (1 / 20))
    yield holds("… clipped, 3000 steps: |θ − 2^(−1/20)|", off, at_most=1e-9)
    steep = lambda w: (50 * w**2).sum()  # 100·η = 3 > 2
    lost = abs(descend(steep, [0.001], 0.03, 1000, clip=1.0)[0])
    yield breaks("50θ² from .001 with η = .03, clipped: |θ|", lost, at_least=0.005)
    g, cosines, lengths = np.random.default_rng(0).standard_normal(50), [], []
    w = [parameter(np.zeros(n)) for n in (20, 30)]
    for clip, limit in ((mr.optim.clip_grad_norm_, 1.0), (mr.optim.clip_grad_value_, 0.3)):
        for p, part in zip(w, np.split(g, [20]), strict=True):
            p.grad = mr.tensor(here(part.copy()))
        clip(w, limit)
        clipped = np.concatenate([p.grad.numpy() for p in w])
        lengths.append(np.linalg.norm(clipped))
        cosines.append(clipped @ g / np.linalg.norm(g) / lengths[-1])
    yield holds("two tensors to C = 1: |their joint norm − 1|", abs(lengths[0] - 1), at_most=1e-5)
    yield holds("clipped by norm: |cosine to g − 1|", abs(cosines[0] - 1), at_most=1e-12)
    yield breaks("clipped by value: cosine to g", cosines[1], at_most=0.95)


STRENGTH = 0.3


def step(
    scale: float, clip: float | None, kind: type, l2: float = 0.0, **options: float
) -> tuple[dict[str, np.ndarray], dict[Key, np.ndarray], np.ndarray]:
    """Gradients by term, entries of the ledger and the change in one step; targets times ``scale``.

    Each is one vector over the weights and the bias of a model of diabetes, clipped together.
    """
    x, y = diabetes()
    model = mr.nn.Linear(10, 1, dtype=np.float64)
    model.weight.assign(np.random.default_rng(0).standard_normal((1, 10)))
    model.bias.assign(-1.5)
    objective = mr.Objective(mr.nn.MSELoss(), {"l2": (mr.penalties.L2(l2), "*")})
    optimizer = kind([{"params": model.parameters(), **options}], lr=0.1)
    ledger = mr.Ledger(optimizer)
    terms = objective(model, here(x), here(scale * y[:, None]))
    terms.backward()
    if clip:
        mr.optim.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    flat = lambda of: np.concatenate([host(of(name)).ravel() for name in ("weight", "bias")])
    books, found = ledger.last, terms.gradients
    entries = {key: flat(lambda name, key=key: books[name][key]) for key in books.entries()}
    parts = {term: flat(lambda name, term=term: found[term][name]) for term in found}
    return parts, entries, flat(lambda name: books[name].actual)


def share(part: np.ndarray, whole: np.ndarray) -> float:
    """⟨part, whole⟩/‖whole‖²: the shares of the parts add up to 1."""
    return float((part * whole).sum() / (whole**2).sum())


@claim(
    "C111", "FALSE AS STATED", "000 定理 10.21",
    "Clipping weakens L2: λθ·g_clip/‖g‖² = λθ·g/(C‖g‖) (裁剪与正则化的交互)",
    "When the gradient g of loss and penalty is clipped to C, the penalty's relative contribution is "
    "λθ·g_clip/‖g‖² = λθ·g/(C‖g‖), and L2 has less effect.",
    corrected="The left side is C·λθ·g/‖g‖³; the right one is (‖g‖/C)² times as large. Clipping by norm "
    "scales both parts by C/‖g‖: the penalty's share of the clipped gradient is what it was.",
)  # fmt: skip
def clipped_share() -> Iterator[Figure]:
    """Put g_clip = Cg/‖g‖ into the left side: Cλθ·g/‖g‖³. The share before is λθ·g/‖g‖²; after, the
    parts being scaled by c = C/‖g‖, it is cλθ·cg/‖cg‖², the same. The printed right side is ‖g‖/C times
    the share without clipping, so by its own measure clipping would make L2 stronger.

    >>> model = mr.nn.Linear(1, 1, bias=False, dtype=np.float64); _ = model.weight.assign(2.0)
    >>> opt = mr.optim.SGD(model.parameters(), lr=1.0); ledger = mr.Ledger(opt)
    >>> objective = mr.Objective(mr.nn.MSELoss(), {"l2": P.L2(1.0)})
    >>> objective(model, np.array([[1.0]]), np.array([[-4.0]])).backward()
    >>> _ = mr.optim.clip_grad_norm_(model.parameters(), 7.0); opt.step()
    >>> {" ".join(k): round(float(v[0, 0]), 3) for k, v in ledger.last["weight"].items()}
    {'data fresh': -12.0, 'l2 fresh': -2.0, 'data clip': 6.0, 'l2 clip': 1.0}
    """
    limit, wrong, square, kept, size = 0.5, [], [], [], []
    for scale in (1, 10, 1000):
        parts, books, moved = step(scale, limit, mr.optim.SGD, STRENGTH)
        g, pull, clipped = sum(parts.values()), parts["l2"], -moved / 0.1
        left_of_l2 = -(books["l2", "fresh"] + books["l2", "clip"]) / 0.1
        norm = np.linalg.norm(g)
        left, right = (pull * clipped).sum() / norm**2, (pull * g).sum() / (limit * norm)
        wrong.append(right / left)
        square.append(right / left / (norm / limit) ** 2 - 1)
        kept.append(share(left_of_l2, clipped) / share(pull, g) - 1)
        size.append(np.linalg.norm(left_of_l2) / np.linalg.norm(pull) * norm / limit - 1)
    yield breaks("right side over left side, smallest of 3 scales", min(wrong), at_least=10)
    yield corrects("|that/(‖g‖/C)² − 1|", np.abs(square).max(), at_most=1e-5)
    yield corrects("|L2's share clipped/unclipped − 1|", np.abs(kept).max(), at_most=1e-10)
    yield holds("its size: |clipped/unclipped·‖g‖/C − 1|", np.abs(size).max(), at_most=1e-5)


@claim(
    "C112", "IMPRECISE", "000 推论 10.3 and the advice after it, §10.3.7",
    "Where gradients explode clipping weakens L2; raise λ to make up (梯度爆炸时的正则化削弱)",
    "When gradients explode, L2's share of the clipped gradient becomes small, so clipping weakens L2 "
    "and λ may have to be raised to make up for it.",
    corrected="L2's share falls because the data's gradient grows, clipped or not. If data and penalty "
    "are clipped together the minimum stays (with all data in each step), and a larger λ moves it. A "
    "decay that is added after clipping, as weight_decay= is, even gains under SGD.",
)  # fmt: skip
def clipping_and_decay() -> Iterator[Figure]:
    """g_clip = c·(∇L + λθ) with c > 0 vanishes where g does, so clipped descent has the fixed points of
    descent with a rate ηc ≤ η. A mean of clipped gradients of minibatches need not vanish there. A
    decay outside the clip has c∇L + λθ = 0, in effect λ/c; but Adam's step m̂/(√v̂ + ε) divides out a
    factor that all gradients have in common, its first step any factor.

    >>> w = mr.tensor([0.0], requires_grad=True); opt = mr.optim.SGD([w], lr=0.1)
    >>> for _ in range(800):
    ...     w.grad = mr.tensor(100 * (w.data - 2) + 100 * w.data)  # of data and of penalty
    ...     _ = mr.optim.clip_grad_norm_([w], 0.05); opt.step()
    >>> round(w.item(), 2)  # still where 2 − θ = θ
    1.0
    """
    limit, sgd = 0.05, mr.optim.SGD
    shares = [share(parts["l2"], sum(parts.values()))
              for parts, *_ in (step(scale, None, sgd, STRENGTH) for scale in (1, 1000))]  # fmt: skip
    fallen = shares[1] / shares[0]
    yield breaks("L2's share, targets × 1000 over × 1, no clipping", fallen, at_most=0.05)
    l2, goal = mr.penalties.L2(STRENGTH), ridge(STRENGTH)
    penalised = lambda w: squared(w) + l2.value(w)
    ends = [descend(penalised, START, 0.2, 1200, clip=c) for c in (limit, 0.5, 5.0)]
    off = max(apart(goal, w) for w in ends)
    yield corrects("clipped with C = .05, .5, 5: distance to ridge(λ)", off, at_most=1e-10)
    yield breaks("ridge(2λ) to ridge(λ)", apart(goal, ridge(2 * STRENGTH)), at_least=0.05)
    w, mean = parameter(goal), np.zeros_like(goal)
    for row, target in zip(*map(here, diabetes()), strict=True):
        w.grad = None
        ((mr.nn.functional.linear(row[None], w) - target) ** 2).sum().backward()
        w.grad += l2.gradient(w.data)
        mr.optim.clip_grad_norm_([w], limit)
        mean += w.grad.numpy() / len(diabetes()[1])
    bias = np.linalg.norm(mean) / limit
    yield corrects("each sample clipped: ‖mean clipped gradient‖/C there", bias, at_least=0.02)

    def gain(entry: Key, kind: type) -> float:
        """How much larger clipping makes the decay's part of a step relative to the rest."""
        clipped, free = (step(1, c, kind, weight_decay=STRENGTH)[1] for c in (limit, None))
        part = lambda entries: (
            np.linalg.norm(entries[entry]) / np.linalg.norm(sum(entries.values()) - entries[entry])
        )
        return part(clipped) / part(free)

    outside = gain(("weight_decay", "fresh"), sgd)
    yield corrects("SGD(weight_decay=): decay/data, clipped over not", outside, at_least=10)
    change = gain(("decay",), mr.optim.AdamW) - 1
    yield corrects("AdamW, first step: |the same − 1|", abs(change), at_most=1e-4)
