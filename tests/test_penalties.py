"""Penalties: gradient, prox and certificate as laws, then scikit-learn's solutions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import minireg as mr
from minireg import nn, optim
from minireg.penalties import L1, L2, ElasticNet, soft_threshold

SHAPE = (2, 3)
CENTER = np.array([[0.5, -1.0, 0.0], [2.0, -0.25, 1.0]])
WEIGHT = np.array([[1.0, 0.0, 2.0], [0.5, 3.0, 1.0]])  # one entry is free

# label: strength → penalty
PENALTIES = {
    "L2": lambda s: L2(s),
    "L2, center": lambda s: L2(s, center=CENTER),
    "L2, weight": lambda s: L2(s, weight=WEIGHT),
    "L2, center, weight": lambda s: L2(s, center=mr.Tensor(CENTER), weight=mr.Tensor(WEIGHT)),
    "L1": lambda s: L1(s),
    "ElasticNet": lambda s: ElasticNet(s, 0.5 * s),
    "ElasticNet, l1 only": lambda s: ElasticNet(s, 0.0),
    "ElasticNet, l2 only": lambda s: ElasticNet(0.0, s),
}
every_penalty = pytest.mark.parametrize("label", PENALTIES)

seeded = settings(derandomize=True, deadline=None)
numbers = st.floats(-5, 5, width=32)  # coarse, so that ties and zeros happen
points = arrays(np.float64, SHAPE, elements=numbers)
strengths = st.floats(0, 3, width=32)
steps = st.floats(2**-7, 4, width=32)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# --- gradient: three ways -------------------------------------------------------------------------


@every_penalty
@pytest.mark.parametrize("create_graph", [False, True], ids=["closed form", "autograd"])
def test_gradient_equals_central_differences(label, create_graph):
    penalty, w, eps = PENALTIES[label](0.7), draw(*SHAPE), 1e-6
    t = mr.Tensor(w, requires_grad=True)
    (got,) = mr.grad(penalty(t), t, create_graph=create_graph)
    numeric = np.empty(SHAPE)
    for i in np.ndindex(SHAPE):
        e = np.zeros(SHAPE)
        e[i] = eps
        numeric[i] = (penalty.value(w + e) - penalty.value(w - e)) / (2 * eps)
    np.testing.assert_allclose(got.numpy(), numeric, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(got.numpy(), penalty.gradient(w), rtol=1e-14)


@every_penalty
def test_second_derivative_is_the_curvature(label):
    penalty, w, u = PENALTIES[label](0.7), draw(*SHAPE), draw(*SHAPE, seed=1)
    t = mr.Tensor(w, requires_grad=True)
    (g,) = mr.grad(penalty(t), t, create_graph=True)
    (curved,) = mr.grad((g * mr.Tensor(u)).sum(), t, allow_unused=True)
    ahead = penalty.gradient(w + 1e-6 * u) - penalty.gradient(w - 1e-6 * u)
    expected = 0 * u if curved is None else curved.numpy()
    np.testing.assert_allclose(expected, ahead / 2e-6, rtol=1e-7, atol=1e-7)


@every_penalty
def test_value_is_the_same_for_arrays_and_tensors(label):
    penalty, w = PENALTIES[label](0.7), draw(*SHAPE)
    value = penalty.value(w)
    assert penalty.value(mr.Tensor(w)).item() == value == penalty(mr.Tensor(w)).item()
    assert value == penalty(w)
    assert np.shape(value) == ()


@every_penalty
@seeded
@given(w=points, u=points, strength=strengths)
def test_subgradient_inequality(label, w, u, strength):
    penalty = PENALTIES[label](strength)
    below = penalty.value(w) + (penalty.gradient(w) * (u - w)).sum()
    assert penalty.value(u) >= below - 1e-10 * (1 + abs(below))


def test_gradient_at_the_kink_is_zero():
    assert (L1(2.0).gradient(np.array([0.0, -0.0])) == 0).all()
    assert (ElasticNet(2.0, 1.0).gradient(np.zeros(2)) == 0).all()


@every_penalty
def test_one_step_on_a_flat_loss_goes_towards_the_center(label):
    """The sign: the penalty's gradient is added, so a step against it shrinks."""
    penalty, w = PENALTIES[label](0.3), mr.Tensor(draw(*SHAPE), requires_grad=True)
    center = CENTER if "center" in label else 0 * CENTER
    moved = WEIGHT != 0 if "weight" in label else WEIGHT >= 0
    before = np.abs(w.numpy() - center)
    w.grad = mr.Tensor(penalty.gradient(w.numpy()))
    optim.SGD([w], lr=0.1).step()
    after = np.abs(w.numpy() - center)
    assert (after < before)[moved].all()
    assert (after == before)[~moved].all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label", ["L2", "L1", "ElasticNet"])
def test_dtype_stays(label, dtype):
    penalty = PENALTIES[label](0.3)
    w = draw(*SHAPE).astype(dtype)
    t = mr.Tensor(w, requires_grad=True)
    penalty(t).backward()
    for array in (penalty.gradient(w), penalty.prox(w, 0.1), penalty(t).data, t.grad.data):
        assert array.dtype == dtype


# --- prox -----------------------------------------------------------------------------------------


def objective_1d(label, strength, step, v):
    """u ↦ ½(u − v)² + step·λΩ(u), entry by entry, for v of shape (n, *SHAPE)."""
    smooth = {"L1": 0.0, "ElasticNet": 0.5, "ElasticNet, l1 only": 0.0}.get(label, 1.0)
    kinked = 0.0 if "L2" in label or "l2" in label else 1.0
    center = CENTER if "center" in label else 0.0
    weight = WEIGHT if "weight" in label else 1.0

    def function(u):
        omega = kinked * np.abs(u) + 0.5 * smooth * weight * (u - center) ** 2
        return 0.5 * (u - v) ** 2 + step * strength * omega

    return function


@every_penalty
def test_prox_minimises_by_brute_force(label):
    """1 920 one-dimensional problems a penalty, by ternary search and on a grid around the prox."""
    rng = np.random.default_rng(0)
    for strength, step in rng.uniform(0, [2, 3], (32, 2)):
        v = rng.uniform(-4, 4, (10, *SHAPE))
        function = objective_1d(label, strength, step, v)
        prox = np.stack([PENALTIES[label](strength).prox(row, step) for row in v])
        low, high = np.full_like(v, -8.0), np.full_like(v, 8.0)
        for _ in range(90):
            a, b = low + (high - low) / 3, high - (high - low) / 3
            left = function(a) < function(b)
            low, high = np.where(left, low, a), np.where(left, b, high)
        np.testing.assert_allclose(prox, (low + high) / 2, atol=1e-6)
        assert (function(prox) <= function((low + high) / 2) + 1e-14).all()
        for away in np.linspace(-1, 1, 41):
            assert (function(prox) <= function(prox + away) + 1e-14).all()


@every_penalty
@seeded
@given(u=points, v=points, strength=strengths, step=steps)
def test_prox_is_firmly_non_expansive(label, u, v, strength, step):
    penalty = PENALTIES[label](strength)
    d = penalty.prox(u, step) - penalty.prox(v, step)
    assert (d * d).sum() <= (d * (u - v)).sum() + 1e-10


@every_penalty
@seeded
@given(v=points, strength=strengths, step=steps)
def test_prox_step_is_a_subgradient_at_its_end(label, v, strength, step):
    """Moreau: u = prox(v) exactly when (v − u)/step lies in ∂(λΩ)(u)."""
    penalty = PENALTIES[label](strength)
    u = penalty.prox(v, step)
    assert penalty.subdiff_distance(u, (u - v) / step) <= 1e-12 * (1 + np.abs(v / step).max())


# The prox of the convex conjugate with step 1/t: what Moreau's identity adds to the prox.
CONJUGATES = {
    "L1": lambda z, t, s: np.clip(z, -s, s),
    "L2": lambda z, t, s: z * t * s / (t * s + 1),
    "L2, center": lambda z, t, s: (z - CENTER / t) * t * s / (t * s + 1),
    "ElasticNet": lambda z, t, s: np.clip(z, -s, s) + soft_threshold(z, s) * t * s / (t * s + 2),
}


@pytest.mark.parametrize("label", CONJUGATES)
@seeded
@given(v=points, strength=strengths, step=steps)
def test_moreau_decomposition(label, v, strength, step):
    own = PENALTIES[label](strength).prox(v, step)
    dual = step * CONJUGATES[label](v / step, step, strength)
    np.testing.assert_allclose(own + dual, v, atol=1e-12)


@pytest.mark.parametrize("penalty", [L1(0.5), ElasticNet(0.5, 2.0)], ids=repr)
def test_prox_makes_exact_zeros_up_to_the_threshold(penalty):
    v = np.array([-0.5, -0.25, 0.0, 0.25, 0.5, 0.5 + 2**-20])
    assert (penalty.prox(v, 1.0) != 0).tolist() == [False] * 5 + [True]


def test_soft_threshold_keeps_the_sign():
    assert soft_threshold(np.array([-3.0, -1.0, 2.0]), 1.5).tolist() == [-1.5, 0.0, 0.5]


@every_penalty
def test_zero_strength_is_the_identity(label):
    penalty, w = PENALTIES[label](0.0), draw(*SHAPE)
    assert penalty.value(w) == 0
    assert (penalty.gradient(w) == 0).all()
    np.testing.assert_array_equal(penalty.prox(w, 3.0), w)


@every_penalty
def test_arrays_come_back_fresh(label):
    """Neither gradient nor prox hands out (or writes to) the array it was given."""
    for strength in (0.0, 0.3):
        penalty, w = PENALTIES[label](strength), draw(*SHAPE)
        w.flags.writeable = False
        assert not np.shares_memory(penalty.gradient(w), w)
        assert not np.shares_memory(penalty.prox(w, 1.0), w)


# --- certificates ---------------------------------------------------------------------------------


@every_penalty
@seeded
@given(w=points, g=points, strength=strengths)
def test_subdiff_distance_is_a_distance(label, w, g, strength):
    """0 for −g in the subdifferential, and never further than to the chosen subgradient."""
    penalty = PENALTIES[label](strength)
    to_one = np.linalg.norm(g + penalty.gradient(w))
    assert 0 <= penalty.subdiff_distance(w, g) <= to_one + 1e-12
    assert penalty.subdiff_distance(w, -penalty.gradient(w)) == 0


# (w, g) with l1 = 0.5, l2 = 2 → distance
DISTANCES = [
    (L1(0.5), [0.0], [0.5], 0.0),
    (L1(0.5), [0.0], [0.75], 0.25),
    (L1(0.5), [0.0], [-0.75], 0.25),
    (L1(0.5), [1.0], [-0.5], 0.0),
    (L1(0.5), [1.0], [0.5], 1.0),
    (L1(0.5), [0.0, 1.0], [3.5, 3.5], 5.0),
    (L2(2.0), [1.0], [-2.0], 0.0),
    (L2(2.0), [0.0], [0.25], 0.25),
    (L2(2.0, center=np.array([1.0])), [1.0], [0.25], 0.25),
    (ElasticNet(0.5, 2.0), [0.0], [0.5], 0.0),
    (ElasticNet(0.5, 2.0), [1.0], [-2.5], 0.0),
    (ElasticNet(0.5, 2.0), [-1.0], [2.25], 0.25),
]  # fmt: skip


@pytest.mark.parametrize(("penalty", "w", "g", "expected"), DISTANCES)
def test_subdiff_distance_by_hand(penalty, w, g, expected):
    got = penalty.subdiff_distance(np.array(w), np.array(g))
    assert got == (expected if expected != 5.0 else pytest.approx(math.hypot(3.0, 4.0)))


@pytest.mark.parametrize("make", [L1, lambda s: ElasticNet(s, 0.3)], ids=["L1", "ElasticNet"])
@seeded
@given(g=points)
def test_max_strength_is_where_zero_becomes_optimal(make, g):
    zero, at = np.zeros(SHAPE), make(0.0).max_strength(g)
    assert make(float(at)).subdiff_distance(zero, g) == 0
    assert make(float(at) * 1.1).subdiff_distance(zero, g) == 0
    if at > 0:
        assert make(float(at) * 0.99).subdiff_distance(zero, g) > 0


def test_l2_has_no_max_strength():
    with pytest.raises(NotImplementedError, match="L2: no finite strength makes w = 0 optimal"):
        L2(1.0).max_strength(np.ones(2))


# --- stationary points: exact by hand, then scikit-learn's ----------------------------------------


def half_mse(x: mr.Tensor, y: np.ndarray, w: mr.Tensor) -> mr.Tensor:
    """(1/2n)‖y − Xw‖², scikit-learn's scaling."""
    return 0.5 * nn.functional.mse_loss(x @ w, mr.Tensor(y))


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [(L1(0.25), [1.75, 0.0, -0.75, 0.0]), (ElasticNet(0.25, 1.0), [0.875, 0.0, -0.375, 0.0]),
     (L2(1.0), [1.0, 0.125, -0.5, 0.0])],
    ids=repr,
)  # fmt: skip
def test_proximal_gradient_ends_exactly_at_the_stationary_point(penalty, expected):
    """Orthonormal features and numbers that floating point holds: the distance is 0, not small."""
    target = mr.Tensor(np.array([2.0, 0.25, -1.0, 0.0]))
    w = mr.Tensor(np.ones(4), requires_grad=True)
    optimizer = optim.ProximalGradient([w], lr=1.0, penalty=penalty)
    for _ in range(3):
        optimizer.zero_grad()
        (0.5 * ((w - target) ** 2).sum()).backward()
        optimizer.step()
    np.testing.assert_array_equal(w.numpy(), expected)
    assert penalty.subdiff_distance(w.numpy(), w.numpy() - target.numpy()) == 0


@pytest.fixture(scope="module")
def diabetes():
    pytest.importorskip("sklearn")
    data = mr.datasets.load("diabetes")
    return data.x_train.astype(float), data.y_train[:, 0].astype(float)


# label: (penalty, scikit-learn's estimator of the same objective)
SKLEARN = {
    "lasso 0.02": (L1(0.02), "Lasso", {"alpha": 0.02}),
    "lasso 0.2": (L1(0.2), "Lasso", {"alpha": 0.2}),
    "elastic net": (ElasticNet(0.04, 0.06), "ElasticNet", {"alpha": 0.1, "l1_ratio": 0.4}),
    "ridge": (L2(0.05), "Ridge", {"alpha": 0.05}),
}


@pytest.mark.parametrize("label", SKLEARN)
def test_proximal_gradient_finds_the_coefficients_of_sklearn(label, diabetes):
    from sklearn import linear_model

    penalty, name, options = SKLEARN[label]
    x, y = diabetes
    if name == "Ridge":
        options = {"alpha": options["alpha"] * len(y)}  # its loss is a sum
    else:
        options = {**options, "tol": 1e-14, "max_iter": 100_000}
    reference = getattr(linear_model, name)(fit_intercept=False, **options).fit(x, y).coef_

    features, w = mr.Tensor(x), mr.Tensor(np.zeros(x.shape[1]), requires_grad=True)
    rate = len(y) / np.linalg.norm(x, 2) ** 2  # 1/L
    optimizer = optim.ProximalGradient([w], lr=rate, penalty=penalty)
    distance = np.inf
    for i in range(20_000):
        optimizer.zero_grad()
        half_mse(features, y, w).backward()
        if i % 100 == 0:
            distance = penalty.subdiff_distance(w.numpy(), w.grad.numpy())
            if distance < 1e-13:
                break
        optimizer.step()
    assert distance < 1e-13
    np.testing.assert_allclose(w.numpy(), reference, atol=1e-6)
    assert ((w.numpy() == 0) == (np.abs(reference) < 1e-12)).all()
    assert (w.numpy() == 0).any() == (label != "ridge")


# --- how it reads, and what it refuses ------------------------------------------------------------

REPRS = {
    "L2(0.1): ½λ‖w‖²": L2(0.1),
    "L2(0.1, center=…): ½λ‖w − c‖²": L2(0.1, center=CENTER),
    "L2(0.1, center=…, weight=…): ½λ‖w − c‖²": L2(0.1, CENTER, WEIGHT),
    "L1(1e-05): λ‖w‖₁": L1(1e-5),
    "ElasticNet(l1=0.1, l2=2): l1·‖w‖₁ + ½·l2·‖w‖²": ElasticNet(0.1, 2),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr_of_a_penalty(text):
    assert repr(REPRS[text]) == text


@pytest.mark.parametrize("kind", [L2, L1, ElasticNet])
def test_formulas_are_balanced_latex(kind):
    assert kind.prior
    for text in kind.formula:
        assert text
        assert text.count("{") == text.count("}")
        assert text.count("(") == text.count(")")


BAD = [-1.0, -1e-300, math.nan, math.inf, "0.1", None]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("owner", "name", "make"),
    [("L2", "strength", L2), ("L1", "strength", L1), ("ElasticNet", "l1", lambda s: ElasticNet(s, 1)),
     ("ElasticNet", "l2", lambda s: ElasticNet(1, s))],
    ids=["L2", "L1", "l1", "l2"],
)  # fmt: skip
def test_bad_strength_is_named(owner, name, make, bad):
    with pytest.raises(ValueError, match="must be a finite number ≥ 0") as error:
        make(bad)
    assert str(error.value) == f"{owner}: {name} must be a finite number ≥ 0, got {bad!r}"


def test_numpy_strengths_are_numbers():
    assert L1(np.float32(0.5)).strength == L2(np.int64(2)).strength / 4 == 0.5
