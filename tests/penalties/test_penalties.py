"""Penalties: gradient, prox and certificate as laws, then scikit-learn's solutions."""

import itertools
import math
import tracemalloc
from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support import strict
from support.arrays import draw
from support.few import slow_unless
from support.own import OwnHuber

import minireg as mr
from minireg import nn, optim, penalties
from minireg.penalties import (
    L0,
    L1,
    L2,
    SLOPE,
    Box,
    Coefficient,
    ElasticNet,
    FrobeniusNorm,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    Orthogonality,
    PathNorm,
    Penalty,
    Quadratic,
    Simplex,
    SparseGroupLasso,
    SpectralBall,
    SpectralNorm,
    plus_quadratic,
    scaled,
    soft_threshold,
    translated,
)

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

seeded = settings(max_examples=40, derandomize=True, deadline=None)  # for each penalty
numbers = st.floats(-5, 5, width=32)  # coarse, so that ties and zeros happen
points = arrays(np.float64, SHAPE, elements=numbers)
strengths = st.floats(0, 3, width=32)
steps = st.floats(2**-7, 4, width=32)


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


def test_a_list_is_a_weight():
    w = mr.tensor([3.0, -4.0], requires_grad=True)
    assert penalties.L1(2.0)([3.0, -4.0]) == 14
    penalties.L1(2.0)([w, w]).backward()
    np.testing.assert_array_equal(w.grad.numpy(), [4.0, -4.0])


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


def chain_of_weights():
    return [draw(4, 3), draw(2, 4, seed=1), draw(3, 2, seed=2)]


def test_path_norm_is_the_sum_over_paths():
    a, b, c = chain_of_weights()
    paths = itertools.product(range(3), range(4), range(2), range(3))
    total = sum((a[j, i] * b[k, j] * c[o, k]) ** 2 for i, j, k, o in paths)
    assert PathNorm(0.7).value(a, b, c) == pytest.approx(0.7 * total, rel=1e-12)


@pytest.mark.parametrize("create_graph", [False, True], ids=["closed form", "autograd"])
def test_gradient_of_the_path_norm_equals_central_differences(create_graph):
    penalty, weights, eps = PathNorm(0.7), chain_of_weights(), 1e-6
    leaves = [mr.Tensor(w, requires_grad=True) for w in weights]
    found = mr.grad(penalty(*leaves), leaves, create_graph=create_graph)
    for k, (g, closed) in enumerate(zip(found, penalty.gradient(*weights), strict=True)):
        np.testing.assert_allclose(g.numpy(), closed, rtol=1e-12)
        for i in np.ndindex(closed.shape):
            ends = []
            for step in (eps, -eps):
                moved = [w.copy() for w in weights]
                moved[k][i] += step
                ends.append(penalty.value(*moved))
            assert closed[i] == pytest.approx((ends[0] - ends[1]) / (2 * eps), rel=1e-7, abs=1e-7)


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


# --- prox of groups, matrices and balls: the duality gap certifies the minimum --------------------


def length(x, axis=None):
    return np.sqrt((x * x).sum(axis=axis))


def singular(w):
    return np.linalg.svd(w, compute_uv=False)


def matrix(q, change):
    """q with its singular values changed."""
    u, s, vt = np.linalg.svd(q, full_matrices=False)
    return (u * change(s)) @ vt


def shorter(q, bound, axis=None):
    """q, scaled down where its length exceeds the bound."""
    return q * np.minimum(
        1, bound / np.maximum(np.sqrt((q * q).sum(axis=axis, keepdims=True)), 1e-300)
    )


def into_l1(s, r):
    """Any point of the L1 ball that is s where s is inside: scaled down."""
    return s * min(1, r / max(np.abs(s).sum(), 1e-300))


def boxed_and_shorter(q, box, bound):
    inside = np.clip(q, -box, box)
    return inside + shorter(q - inside, bound, 1)


FALLING = np.linspace(2, 0, 12)


def sorted_sizes(q):
    return -np.sort(-np.abs(q).reshape(-1))


MEMBERS = [[0, 5, 2], [7, 1], [10]]


def by_members(q, bounds):
    out = np.zeros_like(q).reshape(-1)
    for m, bound in zip(MEMBERS, bounds, strict=True):
        out[m] = shorter(q.reshape(-1)[m], bound)
    return out.reshape(q.shape)


# label: (penalty of strength s, Ω(u), a point of s times the dual ball near q)
NORMS = {
    "GroupLasso rows": (
        lambda s: GroupLasso(s), lambda u: 3**0.5 * length(u, 1).sum(),
        lambda q, s: shorter(q, 3**0.5 * s, 1)),
    "GroupLasso columns, unscaled": (
        lambda s: GroupLasso(s, axis=0, scale="none"), lambda u: length(u, 0).sum(),
        lambda q, s: shorter(q, s, 0)),
    "GroupLasso groups": (
        lambda s: GroupLasso(s, groups=MEMBERS),
        lambda u: sum(len(m) ** 0.5 * length(u.reshape(-1)[m]) for m in MEMBERS),
        lambda q, s: by_members(q, [s * len(m) ** 0.5 for m in MEMBERS])),
    "SparseGroupLasso": (
        lambda s: SparseGroupLasso(s, 0.5 * s, scale="none"),
        lambda u: length(u, 1).sum() + 0.5 * np.abs(u).sum(), lambda q, s: boxed_and_shorter(q, 0.5 * s, s)),
    "FrobeniusNorm": (FrobeniusNorm, length, shorter),
    "L1": (L1, lambda u: np.abs(u).sum(), lambda q, s: np.clip(q, -s, s)),
    "SLOPE": (
        lambda s: SLOPE(s, FALLING), lambda u: (FALLING * sorted_sizes(u)).sum(),
        lambda q, s: q * min(1, s / max(np.max(sorted_sizes(q).cumsum() / FALLING.cumsum()), 1e-300))),
    "SpectralNorm": (
        SpectralNorm, lambda u: singular(u).max(), lambda q, s: matrix(q, lambda x: into_l1(x, s))),
    "NuclearNorm": (
        NuclearNorm, lambda u: singular(u).sum(), lambda q, s: matrix(q, lambda x: np.minimum(x, s))),
}  # fmt: skip
# label: (ball of radius r, its norm, the dual norm)
BALLS = {
    "L2Ball": (L2Ball, length, length),
    "L1Ball": (L1Ball, lambda u: np.abs(u).sum(), lambda q: np.abs(q).max()),
    "MaxNorm": (MaxNorm, lambda u: length(u, 1).max(), lambda q: length(q, 1).sum()),
    "MaxNorm columns": (
        lambda r: MaxNorm(r, axis=0), lambda u: length(u, 0).max(), lambda q: length(q, 0).sum()),
    "SpectralBall": (SpectralBall, lambda u: singular(u).max(), lambda q: singular(q).sum()),
    "Box": (lambda r: Box(-r, r), lambda u: np.abs(u).max(), lambda q: np.abs(q).sum()),
}  # fmt: skip


def drawn_points(n, seed=0):
    """(v (4, 3), strength or radius, step): low rank, ties, zeros, equal singular values, too."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        v = rng.normal(size=(4, 3)) * rng.uniform(0.1, 2)
        if i % 5 == 1:
            v = np.outer(v[:, 0], v[0])
        if i % 5 == 2:
            v = np.round(v)
        if i % 5 == 3:
            v[rng.integers(4)] = v[:, rng.integers(3)] = 0
        if i % 5 == 4:
            v = matrix(v, lambda s: np.where(rng.uniform(size=3) < 0.7, s.max(), s))
        yield v, float(10 ** rng.uniform(-1.5, 0.8)), float(10 ** rng.uniform(-2, 0.3))


@pytest.mark.parametrize("label", NORMS)
def test_prox_of_a_norm_minimises_by_duality(label):
    """½‖u − u*‖² ≤ φ(u) − φ* ≤ φ(u) − dual value, so a gap of 5e-13 is a distance of 1e-6.

    The dual of ½‖u − v‖² + tλΩ(u) is ⟨v, q⟩ − ½‖q‖² over the dual ball, Ω°(q) ≤ tλ; the gap is
    written without the numbers that cancel.
    """
    make, omega, into_dual_ball = NORMS[label]
    worst, zeros = 0.0, 0
    for v, strength, step in drawn_points(1000):
        u = make(strength).prox(v, step)
        q = into_dual_ball(v - u, step * strength)
        gap = 0.5 * ((v - u - q) ** 2).sum() + step * strength * omega(u) - (u * q).sum()
        worst = max(worst, gap)
        zeros += not u.any()
    assert (2 * max(worst, 0)) ** 0.5 < 1e-6
    assert label == "GroupLasso groups" or 10 < zeros < 990


@pytest.mark.parametrize("label", NORMS)
def test_gradient_of_a_norm_is_a_subgradient_also_at_ties(label):
    """That is a point q of the dual ball with ⟨q, w⟩ = λΩ(w); of length 0 at 0."""
    make, omega, into_dual_ball = NORMS[label]
    for w, strength, _ in drawn_points(200):
        q = make(strength).gradient(w)
        np.testing.assert_allclose(into_dual_ball(q, strength), q, rtol=0, atol=1e-12 * strength)
        assert (q * w).sum() == pytest.approx(strength * omega(w), rel=1e-12)
    assert not make(1.0).gradient(np.zeros((4, 3))).any()


@pytest.mark.parametrize("label", BALLS)
def test_projection_is_the_nearest_point_by_duality(label):
    """The dual of ½‖u − v‖² over ‖u‖ ≤ r is ⟨v, q⟩ − ½‖q‖² − r‖q‖°."""
    make, norm, dual_norm = BALLS[label]
    worst, inside = 0.0, 0
    for v, radius, step in drawn_points(1000):
        u = make(radius).prox(v, step)
        q = v - u
        assert norm(u) <= radius * (1 + 1e-12)
        worst = max(worst, radius * dual_norm(q) - (u * q).sum())
        inside += np.abs(q).max() < 1e-12
    assert (2 * max(worst, 0)) ** 0.5 < 1e-6
    assert 50 < inside < 950


def test_hard_threshold_takes_the_better_of_zero_and_staying():
    for v, strength, step in drawn_points(1000):
        u = L0(strength).prox(v, step)
        assert ((u == 0) | (u == v)).all()
        reached = 0.5 * (u - v) ** 2 + step * strength * (u != 0)
        assert (reached <= np.minimum(0.5 * v * v, step * strength) + 1e-15).all()
        assert L0(strength).subdiff_distance(u, (u - v) / step) == 0


@pytest.mark.parametrize(
    ("penalty", "omega"),
    [(plus_quadratic(NuclearNorm(0.4), 0.5), lambda u: 0.4 * singular(u).sum() + 0.25 * (u * u).sum()),
     (translated(GroupLasso(0.4), np.ones((4, 3))), lambda u: 0.4 * 3**0.5 * length(u - 1, 1).sum()),
     (scaled(L1(0.4), 2.0, -3.0), lambda u: 2.4 * np.abs(u).sum())],
    ids=["plus_quadratic", "translated", "scaled"],
)  # fmt: skip
def test_composed_prox_is_below_its_neighbours(penalty, omega):
    """No point nearby is better, to second order; the rules themselves are in test_penalty_check."""
    rng = np.random.default_rng(0)
    for v, _, step in drawn_points(1000):
        u = penalty.prox(v, step)
        lowest = 0.5 * ((u - v) ** 2).sum() + step * omega(u)
        for size in (1e-5, 1e-2, 1.0):
            z = u + size * rng.normal(size=v.shape)
            # strong convexity: φ(z) ≥ φ(u*) + ½‖z − u*‖²
            excess = 0.5 * ((z - v) ** 2).sum() + step * omega(z) - lowest
            assert excess >= 0.5 * ((z - u) ** 2).sum() - 1e-12 * max(1, lowest)


# --- a matrix between the weights -----------------------------------------------------------------


def differences(order, n=12):
    d = np.diff(np.eye(n), order, axis=0)
    return d.T @ d


@pytest.mark.parametrize("center", [None, draw(4, 3, seed=5)], ids=["", "center"])
@pytest.mark.parametrize("matrix", [differences(1), differences(2), np.cov(draw(12, 40))],
                         ids=["differences", "bending", "covariance"])  # fmt: skip
def test_a_quadratic_is_l2_with_weights_in_the_basis_of_its_eigenvectors(matrix, center):
    values, basis = np.linalg.eigh(matrix)
    turn = lambda w: (basis.T @ w.reshape(-1)).reshape(w.shape)
    back = lambda w: (basis @ w.reshape(-1)).reshape(w.shape)
    weight = np.maximum(values, 0).reshape(4, 3)
    for w, strength, step in drawn_points(50):
        one = Quadratic(strength, matrix, center)
        other = L2(strength, None if center is None else turn(center), weight)
        assert one.value(w) == pytest.approx(other.value(turn(w)), rel=1e-11, abs=1e-12)
        for got, expected in (
            (one.gradient(w), other.gradient(turn(w))),
            (one.prox(w, step), other.prox(turn(w), step)),
        ):
            np.testing.assert_allclose(got, back(expected), rtol=0, atol=1e-11 * (1 + strength))


def test_squared_differences():
    w = draw(4, 3)
    rough = (np.diff(w.reshape(-1)) ** 2).sum()
    assert Quadratic(2.0, differences(1)).value(w) == pytest.approx(rough, rel=1e-13)


def test_what_a_quadratic_does_not_measure_is_free():
    """Second differences of a straight line are 0, so neither the gradient nor the prox bends it."""
    line, penalty = np.linspace(-1, 3, 12), Quadratic(1e3, differences(2))
    assert abs(penalty.gradient(line)).max() < 1e-11
    np.testing.assert_allclose(penalty.prox(line, 1.0), line, rtol=1e-10)


def test_a_quadratic_takes_whatever_holds_numbers_and_keeps_no_view_of_it():
    given = np.eye(2, dtype=np.float32)
    for matrix in (given, [[1, 0], [0, 1]], [[1.0, 0.0], [0.0, 1.0]], mr.tensor(given), given > 0):
        penalty, w = Quadratic(0.5, matrix), np.array([2.0, -4.0], np.float16)
        for dtype in (np.float16, np.float32, np.float64):
            at = w.astype(dtype)
            for found in (penalty.gradient(at), 2 * at - 3 * penalty.prox(at, 1.0) + 0.5 * at):
                assert found.dtype == dtype
            np.testing.assert_allclose(penalty.prox(at, 1.0), at / 1.5, rtol=1e-3)
    given[:] = 7
    assert Quadratic(0.5, np.eye(2)).value(w) == penalty.value(w) == 5


def test_rounding_of_a_matrix_is_no_mistake():
    """A Gram matrix of rank 2 in float32 has eigenvalues just below 0."""
    x = draw(2, 12).astype(np.float32)
    gram = x.T @ x + 1e-8 * draw(12, 12).astype(np.float32)
    assert (gram != gram.T).any()
    penalty, w = Quadratic(1.0, gram), draw(12)
    np.testing.assert_array_equal(penalty.matrix, penalty.matrix.T)
    assert penalty.value(w) == pytest.approx(0.5 * ((x @ w) ** 2).sum(), rel=1e-5)


# --- near orthogonal ------------------------------------------------------------------------------


def test_prox_of_orthogonality_is_the_global_minimum_of_each_singular_value():
    """½(s − σ)² + tλ(s² − 1)² on a fine grid, on both sides of 4tλ = 1, where 0 becomes a maximum."""
    grid = np.linspace(0, 4, 40_001)
    for k in (0.0, 1e-3, 0.1, 0.25, 0.2500001, 0.5, 3.0, 1e3):
        for size in (0.0, 1e-6, 0.3, 1.0, 1.5, 3.9):
            (s,) = np.abs(Orthogonality(k).prox(np.array([size]), 1.0))
            best = grid[np.argmin(0.5 * (grid - size) ** 2 + k * (grid**2 - 1) ** 2)]
            assert abs(s - best) < 1e-2 if k == 0.25 and size < 1e-2 else abs(s - best) <= 1e-4


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 3, 2, 2), (4,)])
def test_orthogonality_is_0_at_orthonormal_rows_or_columns_and_nowhere_else(shape):
    penalty, w = Orthogonality(0.7), draw(*shape)
    near = matrix(w.reshape(len(w) if w.ndim > 1 else 1, -1), np.ones_like).reshape(shape)
    assert penalty.value(near) < 1e-28
    assert np.abs(penalty.gradient(near)).max() < 1e-13
    sizes = singular(w.reshape(len(w) if w.ndim > 1 else 1, -1))
    assert penalty.value(w) == pytest.approx(0.7 * ((sizes**2 - 1) ** 2).sum(), rel=1e-12)


def test_a_wide_matrix_has_the_gradient_of_the_tall_formula():
    w = draw(3, 5)
    whole = 4 * 0.7 * w @ (w.T @ w - np.eye(5))
    np.testing.assert_allclose(Orthogonality(0.7).gradient(w), whole, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(
        Orthogonality(0.7).gradient(w.T), Orthogonality(0.7).gradient(w).T
    )


# --- a simplex ------------------------------------------------------------------------------------


def test_projection_on_the_simplex_is_the_nearest_point():
    """v − u leads away from every corner r·e_i, so from the whole simplex (variational inequality)."""
    for v, radius, step in drawn_points(500):
        u = Simplex(radius).prox(v, step)
        assert (u >= 0).all()
        assert u.sum() == pytest.approx(radius, rel=1e-12)
        off = v - u
        assert radius * off.max() - (off * u).sum() <= 1e-12 * (1 + np.abs(v).max()) * (1 + radius)
        assert Simplex(radius).value(u) == 0


def test_projection_on_the_simplex_is_the_best_of_all_supports():
    rng = np.random.default_rng(1)
    for v in (*rng.normal(size=(30, 5)), np.zeros(5), np.ones(5), np.arange(5.0)):
        best, found = np.inf, v
        for kept in itertools.product([0.0, 1.0], repeat=5):
            if count := sum(kept):
                u = np.array(kept) * (v - (v @ kept - 1.5) / count)  # Σu = 1.5 on these elements
                if (u >= 0).all() and (far := ((u - v) ** 2).sum()) < best:
                    best, found = far, u
        np.testing.assert_allclose(Simplex(1.5).prox(v, 1.0), found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_simplex_far_away_and_one_that_is_a_point(dtype):
    far = Simplex().prox((1e3 + np.array([0.25, 0.0, -9.0])).astype(dtype), 1.0)
    assert far.dtype == dtype
    assert far.sum() == pytest.approx(1, abs=1e-3 if dtype == np.float16 else 1e-6)
    assert far[2] == 0
    assert not Simplex(0.0).prox(draw(4).astype(dtype), 1.0).any()
    assert Simplex(0.0).subdiff_distance(np.zeros(4, dtype), draw(4).astype(dtype)) == 0


def test_a_simplex_by_hand():
    simplex = Simplex(2.0)
    for outside in ([1.0, 0.5, 0.0], [3.0, -1.0, 0.0], [2.0, 0.0, 0.1], [np.inf, 0.0, 0.0]):
        assert simplex.value(np.array(outside)) == np.inf
    corner, edge = np.array([2.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])
    assert simplex.subdiff_distance(corner, np.array([-1.0, 0.0, 5.0])) == 0
    assert simplex.subdiff_distance(corner, np.array([1.0, -1.0, 5.0])) == pytest.approx(2**0.5)
    assert simplex.subdiff_distance(edge, np.array([3.0, 3.0, 3.0])) == 0
    assert simplex.subdiff_distance(edge, np.array([3.0, 1.0, 3.0])) == pytest.approx(2**0.5)
    assert repr(simplex) == "Simplex(2): w ≥ 0, Σw = r"
    assert repr(NonNegative()) == "NonNegative(): w ≥ 0"


# --- a box ----------------------------------------------------------------------------------------


def test_a_box_by_hand():
    low, high = np.array([-1.0, 0.0, -np.inf]), np.array([1.0, np.inf, 2.0])
    box, inside = Box(low, high), np.array([0.5, 3.0, -9.0])
    assert box.value(inside) == 0
    for outside in ([1.5, 3.0, -9.0], [0.5, -0.1, -9.0], [0.5, 3.0, 2.1], [np.inf, 0.0, 0.0]):
        assert box.value(np.array(outside)) == np.inf
    assert box.prox(np.array([3.0, -2.0, 7.0]), 0.1).tolist() == [1.0, 0.0, 2.0]
    corner = np.array([1.0, 0.0, 2.0])
    assert box.subdiff_distance(corner, np.array([-3.0, 4.0, -1.0])) == 0  # all push outwards
    assert box.subdiff_distance(corner, np.array([3.0, -4.0, -1.0])) == 5
    assert box.subdiff_distance(inside, np.array([0.0, 3.0, 4.0])) == 5  # inside, all is owed
    assert repr(Box(-1, 0.5)) == "Box(-1, 0.5): low ≤ w ≤ high"
    assert repr(box) == "Box(…, …): low ≤ w ≤ high"


def test_a_closed_box_leaves_no_choice():
    box, point = Box(CENTER, CENTER), draw(*SHAPE)
    np.testing.assert_array_equal(box.prox(point, 1.0), CENTER)
    assert box.subdiff_distance(CENTER, point) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_weight_at_a_bound_that_its_dtype_does_not_hold_is_inside(dtype):
    box = Box(-0.1, np.float64(0.1))
    end = box.prox(np.array([-1.0, 1.0], dtype), 1.0)
    assert end.dtype == dtype
    assert box.value(end) == 0
    assert box.subdiff_distance(end, np.array([1.0, -1.0], dtype)) == 0


# --- a step for each element ----------------------------------------------------------------------

# label: (penalty, λΩ(u) of a row)
ELEMENTWISE = {
    "L1": (L1(0.6), lambda u: 0.6 * np.abs(u).sum(axis=-1)),
    "L2": (L2(0.6), lambda u: 0.3 * (u * u).sum(axis=-1)),
    "ElasticNet": (ElasticNet(0.4, 0.7), lambda u: 0.4 * np.abs(u).sum(-1) + 0.35 * (u * u).sum(-1)),
    "GroupLasso": (GroupLasso(0.6, scale="none"), lambda u: 0.6 * length(u, -1)),
    "GroupLasso, scaled": (GroupLasso(0.6), lambda u: 0.6 * 2**0.5 * length(u, -1)),
    "SparseGroupLasso": (
        SparseGroupLasso(0.5, 0.3, scale="none"), lambda u: 0.5 * length(u, -1) + 0.3 * np.abs(u).sum(-1)),
    "FrobeniusNorm": (FrobeniusNorm(0.6), lambda u: 0.6 * length(u, -1)),
}  # fmt: skip
every_elementwise = pytest.mark.parametrize("label", ELEMENTWISE)


@every_elementwise
def test_a_step_for_each_element_minimises_by_brute_force(label):
    """Two dimensions: a grid that closes in on the minimum of Σ ½(u − v)²/step + λΩ(u)."""
    penalty, omega = ELEMENTWISE[label]
    rng = np.random.default_rng(0)
    for _ in range(60):
        v, step = rng.normal(size=(1, 2)) * 2, rng.uniform(0.1, 3, (1, 2))

        def phi(u, v=v, step=step):
            return 0.5 * ((u - v) ** 2 / step).sum(axis=-1) + omega(u)

        u = penalty.prox(v, step)
        best, size = np.zeros(2), 8.0
        for _ in range(18):
            ticks = size * np.linspace(-1, 1, 21)
            around = best + np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
            around = np.concatenate([around, around * [0, 1], around * [1, 0], [[0, 0]]])
            best, size = around[phi(around).argmin()], size * 0.4
        np.testing.assert_allclose(u[0], best, atol=2e-6)
        assert phi(u)[0] <= phi(best[None])[0] + 1e-14


@every_elementwise
@seeded
@given(v=points, step=steps)
def test_equal_steps_are_one_step(label, v, step):
    penalty = ELEMENTWISE[label][0]
    equal = penalty.prox(v, np.full_like(v, step))
    np.testing.assert_allclose(equal, penalty.prox(v, step), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("label", ["GroupLasso", "SparseGroupLasso", "FrobeniusNorm"])
def test_a_group_is_all_zero_or_not_at_all(label):
    """It is 0 exactly where Σ (v/(step·λ))² ≤ 1 (after the soft threshold of l1)."""
    penalty = ELEMENTWISE[label][0]
    rng, counts = np.random.default_rng(0), [0, 0]
    for _ in range(300):
        v, step = rng.normal(size=(1, 4)), 10 ** rng.uniform(0, 1, (1, 4))
        u = penalty.prox(v, step)
        left = soft_threshold(v, step * getattr(penalty, "l1", 0.0))
        dead = ((left / (step * penalty.strength)) ** 2).sum() <= 1
        assert u.any() != dead
        counts[int(dead)] += 1
    assert min(counts) > 30


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_steps_solve_the_same_equation(dtype):
    """u = v·ν/(ν + k) with ν = ‖u‖, for steps from 1e-12 to 1e6 side by side in a group."""
    rng = np.random.default_rng(0)
    tolerance = {"rtol": 1e-4 if dtype == np.float32 else 1e-9, "atol": 1e-30}
    penalty = GroupLasso(1.0, scale="none")
    for exponents in itertools.product((-12, -6, 0, 6), repeat=3):
        for size in (1e-3, 1.0, 100.0):
            v = (size * rng.normal(size=(1, 3))).astype(dtype)
            step = (10.0 ** np.array([exponents])).astype(dtype)
            u = penalty.prox(v, step)
            assert u.dtype == dtype
            ratio = v.astype(float) / step
            if (ratio**2).sum() <= 1:
                np.testing.assert_array_equal(u, 0)
                continue
            nu = length(u.astype(float))
            assert nu > 0
            np.testing.assert_allclose(u, v * (nu / (nu + step.astype(float))), **tolerance)


@every_elementwise
def test_zeros_and_single_elements(label):
    penalty = ELEMENTWISE[label][0]
    assert (penalty.prox(np.zeros((3, 2)), np.ones((3, 2))) == 0).all()
    v, step = draw(6, 1), np.abs(draw(6, 1, seed=1))
    alone = {
        "L2": v / (1 + 0.6 * step),
        "ElasticNet": soft_threshold(v, 0.4 * step) / (1 + 0.7 * step),
    }
    cut = {"SparseGroupLasso": 0.8}.get(label, 0.6)
    if label != "FrobeniusNorm":  # one group, whatever the shape
        expected = alone.get(label, soft_threshold(v, cut * step))
        np.testing.assert_allclose(penalty.prox(v, step), expected, atol=1e-12)
    still = penalty.prox(draw(3, 2), np.zeros((3, 2)))  # a rate of 0, as a warm-up starts
    np.testing.assert_allclose(still, draw(3, 2), rtol=1e-14)


def test_an_element_with_step_zero_stays():
    u = GroupLasso(1.0, scale="none").prox(np.array([[1.0, 1e-3]]), np.array([[0.0, 5.0]]))
    np.testing.assert_allclose(u, [[1.0, 1e-3 / 6]], rtol=1e-7)


def convex_problem():
    x = draw(60, 6)
    y = x @ np.array([[2.0, 0, -1, 0, 0, 0.5], [1.0, 0, 1, 0, 0, 0], [0, 0, -2.0, 0, 0, 1]]).T
    return mr.Tensor(x), mr.Tensor(y + 0.1 * draw(60, 3, seed=1))


def descend(optimizer, w, steps, until, penalty):
    """The certificate after training on all data."""
    x, y = convex_problem()
    for i in range(steps + 1):
        optimizer.zero_grad()
        (0.5 * nn.functional.mse_loss(x @ w.swapaxes(0, 1), y)).backward()
        if i % 100 == 0 and (found := penalty.subdiff_distance(w.data, w.grad.data)) <= until:
            break
        optimizer.step()
    return found


ADAPTIVE = {
    "proximal gradient": lambda p: optim.ProximalGradient(p, lr=0.3, accelerated=True),
    "Adam": lambda p: optim.Adam(p, lr=0.03),
    "amsgrad": lambda p: optim.Adam(p, lr=0.03, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.03, weight_decay=0.0),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.03),
    "RMSprop, momentum": lambda p: optim.RMSprop(p, lr=0.03, alpha=0.95, momentum=0.5),
}
SPARSE = {"L1": L1(0.2), "ElasticNet": ElasticNet(0.2, 0.1), "GroupLasso": GroupLasso(0.2, axis=0)}


@cache
def end(label, optimizer):
    """Where an optimizer with the prox of a penalty ends."""
    w = mr.Tensor(0.1 * draw(3, 6, seed=2), requires_grad=True)
    made = ADAPTIVE[optimizer]([w])
    made.add_prox([w], SPARSE[label])
    assert descend(made, w, 4000, 1e-12, SPARSE[label]) <= 1e-12
    return w.data


@pytest.mark.parametrize("label", SPARSE)
@pytest.mark.parametrize("optimizer", slow_unless({"Adam"}.__contains__, [*ADAPTIVE][1:]))
def test_adaptive_steps_with_prox_end_where_proximal_gradient_does(optimizer, label):
    reached, expected = end(label, optimizer), end(label, "proximal gradient")
    np.testing.assert_array_equal(reached == 0, expected == 0)
    assert 3 <= (expected == 0).sum() < 18
    np.testing.assert_allclose(reached, expected, atol=1e-11)


@pytest.mark.parametrize("penalty", [SpectralNorm(0.2), NuclearNorm(0.2)], ids=repr)
@pytest.mark.parametrize("optimizer", [*ADAPTIVE][1:])
def test_matrix_norms_have_no_prox_in_an_adaptive_metric(optimizer, penalty):
    w = mr.Tensor(draw(3, 6), requires_grad=True)
    message = (
        r"has no prox with a step for each element.*SGD or ProximalGradient, or via='gradient'"
    )
    with pytest.raises(NotImplementedError, match=message):
        ADAPTIVE[optimizer]([w]).add_prox([w], penalty)


@pytest.mark.parametrize("penalty", [SpectralNorm(0.5), NuclearNorm(0.2)], ids=repr)
@pytest.mark.parametrize("options", [{"lr": 0.3}, {"lr": 0.05, "momentum": 0.9}], ids=str)
def test_matrix_norms_via_prox_under_sgd(options, penalty):
    w = mr.Tensor(draw(3, 6, seed=2), requires_grad=True)
    optimizer = optim.SGD([w], **options)
    optimizer.add_prox([w], penalty)
    assert descend(optimizer, w, 3000, 1e-9, penalty) <= 1e-9


# --- certificates ---------------------------------------------------------------------------------


@every_penalty
@seeded
@given(w=points, g=points, strength=strengths)
def test_subdiff_distance_is_a_distance(label, w, g, strength):
    """0 for −g in the subdifferential, and never further than to the chosen subgradient."""
    penalty = PENALTIES[label](strength)
    to_one = np.linalg.norm(g + penalty.gradient(w))
    assert 0 <= penalty.subdiff_distance(w, g) <= to_one + 1e-12
    g = penalty.gradient(w)
    assert penalty.subdiff_distance(w, -g) <= 1e-15 * np.linalg.norm(g)  # l1 + l2·w is rounded


@pytest.mark.parametrize("far", [1.0, 1e2, 1e4])
@pytest.mark.parametrize("label", [*NORMS, *BALLS])
def test_the_certificate_around_a_far_center_is_0_at_the_prox(label, far):
    """Of the nuclear norm it was 0.98: rounding of the centre counted as rank."""
    penalty = (NORMS[label] if label in NORMS else BALLS[label])[0](0.5)
    for seed in range(20):
        center = far * draw(4, 3, seed=seed)
        moved = translated(penalty, center)
        v = center + draw(4, 3, seed=seed + 100)
        u = moved.prox(v, 1.0)
        assert moved.subdiff_distance(u, u - v) < 1e-8


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


# --- how the source texts write them ---------------------------------------------------------------

# label: (penalty for λ = 0.7, the texts' formula, its gradient)
TEXTS = {
    "½λ‖θ‖²": (L2(0.7), lambda w: 0.35 * (w * w).sum(), lambda w: 0.7 * w),
    "λ‖θ‖²": (L2(2 * 0.7), lambda w: 0.7 * (w * w).sum(), lambda w: 2 * 0.7 * w),
    "λ₁‖θ‖₁ + λ₂‖θ‖²": (
        ElasticNet(0.7, 2 * 0.3), lambda w: 0.7 * np.abs(w).sum() + 0.3 * (w * w).sum(),
        lambda w: 0.7 * np.sign(w) + 0.6 * w),
    "λ Σ_i ‖what leaves input i‖": (
        GroupLasso(0.7, axis=0, scale="none"), lambda w: 0.7 * sum(length(w[:, i]) for i in range(3)),
        lambda w: 0.7 * w / length(w, 0)),
}  # fmt: skip


@pytest.mark.parametrize("label", TEXTS)
def test_a_formula_of_the_texts(label):
    penalty, value, gradient = TEXTS[label]
    w = draw(*SHAPE)
    assert penalty.value(w) == pytest.approx(value(w), rel=1e-14)
    np.testing.assert_allclose(penalty.gradient(w), gradient(w), rtol=1e-14)


def test_beside_a_summed_half_squared_loss_lambda_is_two_lambda_over_n():
    x, y, strength = draw(20, 3), draw(20, 1, seed=1), 0.7
    ridge = np.linalg.solve(x.T @ x + strength * np.eye(3), x.T @ y)
    model = nn.Linear(3, 1, bias=False, dtype=np.float64)
    mr.solve(model, nn.MSELoss(), L2(2 * strength / len(x)), x, y)
    np.testing.assert_allclose(model.weight.data.T, ridge, atol=1e-9)


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


@pytest.mark.parametrize("step", [-1.0, -1e-300, math.nan, math.inf, np.float32(-1), None, "1"])
def test_a_prox_with_a_step_that_is_none_is_refused(step):
    class Own(L1):
        def prox(self, v, step):
            return v

    for penalty in (
        L2(0.1),
        Own(0.1),
        SparseGroupLasso(0.1, 0.1),
        L1Ball(1.0),
        scaled(L1(0.1), 2.0),
    ):
        with pytest.raises(ValueError, match=r"prox: step must be finite and ≥ 0, got"):
            penalty.prox(np.ones(SHAPE), step)
        penalty.prox(np.ones(SHAPE), 0)
        if penalty.elementwise_step:
            penalty.prox(np.ones(SHAPE), np.zeros(SHAPE))


@pytest.mark.parametrize("weight", [-1.0, [1.0, -1e-9], math.nan, mr.Tensor(np.array([1.0, -1.0]))])
def test_a_negative_weight_of_l2_is_refused(weight):
    with pytest.raises(ValueError, match=r"L2: weight must be (finite and ≥ 0|numbers), got"):
        L2(0.1, weight=weight)


def test_center_and_weight_are_what_as_array_takes():
    w = np.ones(2, np.float32)
    given = L2(0.5, center=[3.0, 1.0], weight=[2, 0])
    np.testing.assert_array_equal(given.gradient(w), [-2, 0])
    assert given.gradient(w).dtype == np.float32
    np.testing.assert_array_equal(translated(L1(1.0), [3, 1]).gradient(w), [-1, 0])


@pytest.mark.parametrize("view", ["weight", "detach", "numpy", "data"])
@pytest.mark.parametrize("make", [
    lambda c: L2(1.0, center=c), lambda c: L2(1.0, np.ones(SHAPE), weight=c),
    lambda c: translated(L1(1.0), c), lambda c: plus_quadratic(L1(1.0), 1.0, center=c),
], ids=["center", "weight", "translated", "plus_quadratic"])  # fmt: skip
def test_an_array_that_a_penalty_is_given_does_not_move_with_the_weight(make, view):
    """L2(center=model.weight) pulled towards the weight itself: it had no effect, in silence."""
    w = mr.Tensor(np.abs(draw(*SHAPE)), requires_grad=True)
    given = {"weight": w, "detach": w.detach(), "numpy": w.numpy(), "data": w.data}
    penalty, expected = make(given[view]), make(w.data.copy())
    w.assign(w.data + 1 + draw(*SHAPE, seed=1))  # in place, as a step does
    np.testing.assert_array_equal(penalty.gradient(w.data), expected.gradient(w.data))
    assert penalty.value(w.data) == expected.value(w.data)


# --- strengths that change ------------------------------------------------------------------------


def test_a_coefficient_is_a_strength():
    rise = Coefficient(lambda t: 0.5 * t)
    penalty, w = L1(rise), draw(*SHAPE)
    for t in range(4):
        assert repr(rise) == f"Coefficient({0.5 * t:g} after {t} updates)"
        assert penalty.strength == 0.5 * t
        assert repr(penalty) == f"L1({0.5 * t:g}): λ‖w‖₁"
        assert penalty.value(w) == L1(0.5 * t).value(w)
        np.testing.assert_array_equal(penalty.prox(w, 0.1), L1(0.5 * t).prox(w, 0.1))
        rise.step()


@pytest.mark.parametrize("make", [L1, L2, GroupLasso, MaxNorm, lambda c: ElasticNet(0.1, c)])
@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_bad_value_of_a_schedule_raises_when_it_occurs(make, bad):
    falling = Coefficient(lambda t: 1.0 if t < 2 else bad)
    penalty = make(falling)
    for _ in range(2):
        penalty.prox(draw(*SHAPE), 0.1)
        falling.step()
    message = r"must be a finite number ≥ 0, got Coefficient\(.* after 2 updates\)"
    with pytest.raises(ValueError, match=message):
        penalty.prox(draw(*SHAPE), 0.1)
    with pytest.raises(ValueError, match="must be a finite number ≥ 0"):
        make(Coefficient(lambda t: bad))


@pytest.mark.parametrize("make", [
    lambda p: translated(p, CENTER), lambda p: scaled(p, 2.0), lambda p: plus_quadratic(p, 0.5),
    lambda p: scaled(translated(p, CENTER), argument=3.0),
])  # fmt: skip
def test_a_composed_penalty_knows_its_coefficients(make):
    rise = Coefficient(lambda t: 0.5 * t)
    assert make(L1(rise)).coefficients() == [rise]


SUMS = {
    "ElasticNet": (lambda c: ElasticNet(0.2, c), ["l1", "l2"]),
    "SparseGroupLasso": (lambda c: SparseGroupLasso(c, 0.2), ["l1", "group"]),
    "SparseGroupLasso of groups": (
        lambda c: SparseGroupLasso(c, 0.2, groups=[[0, 5], [3]], scale="none"), ["l1", "group"]),
}  # fmt: skip


@pytest.mark.parametrize("label", SUMS)
def test_parts_follow_the_strengths_and_take_steps_for_each_element(label):
    """That values and gradients add up and prox follows prox is checked by check_penalty."""
    make, names = SUMS[label]
    rise = Coefficient(lambda t: 0.3 * t)
    penalty, parts, v = make(rise), make(rise).parts(), draw(*SHAPE)
    assert list(parts) == names
    for step in (0.7, np.abs(draw(*SHAPE, seed=1))):
        one, two = parts.values()
        np.testing.assert_array_equal(two.prox(one.prox(v, step), step), penalty.prox(v, step))
        rise.step()


def test_other_penalties_have_no_parts():
    class Own(ElasticNet):
        """Its formulas may be others."""

    assert L1(0.1).parts() == Own(0.1, 0.2).parts() == plus_quadratic(L1(0.1), 0.5).parts() == {}


# --- extremes ---------------------------------------------------------------------------------------

EXTREME = {
    "L2": L2(0.7), "L2, center, weight": L2(0.7, CENTER, WEIGHT), "L1": L1(0.7), "L0": L0(0.5),
    "ElasticNet": ElasticNet(0.4, 0.6), "GroupLasso": GroupLasso(0.5),
    "GroupLasso columns": GroupLasso(0.5, axis=0, scale="none"),
    "GroupLasso groups": GroupLasso(0.5, groups=[[0, 5, 2], [1]]),
    "SparseGroupLasso": SparseGroupLasso(0.3, 0.4), "FrobeniusNorm": FrobeniusNorm(0.8),
    "SpectralNorm": SpectralNorm(0.9), "NuclearNorm": NuclearNorm(0.6), "L2Ball": L2Ball(1.2),
    "L1Ball": L1Ball(1.5), "MaxNorm": MaxNorm(0.7), "SpectralBall": SpectralBall(0.9),
    "translated": translated(L1(0.4), CENTER), "scaled": scaled(GroupLasso(0.5), 2.0, -1.5),
}  # fmt: skip


@pytest.mark.parametrize("label", EXTREME)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_large_and_small_weights_give_what_float64_gives(label, dtype):
    """From 1e-30 to 1e30 (float16: 1e-6 to 1e4); a length below 4e-23 may count as 0."""
    penalty = EXTREME[label]
    if dtype == np.float16 and label in ("SpectralNorm", "NuclearNorm", "SpectralBall"):
        with pytest.raises(TypeError, match="need float32 or float64, got float16"):
            penalty.prox(draw(*SHAPE).astype(dtype), 0.3)
        return
    asked = {
        "value": penalty.value, "gradient": penalty.gradient, "prox": lambda w: penalty.prox(w, 0.3),
        "metric": lambda w: penalty.prox(w, np.full_like(w, 0.3)),
        "distance": lambda w: penalty.subdiff_distance(w, w / 2), "max": penalty.max_strength,
    }  # fmt: skip
    if not penalty.elementwise_step:
        del asked["metric"]
    kind = np.finfo(dtype)
    for exponent in range(-6, 5) if dtype == np.float16 else range(-30, 31, 4):
        w = (draw(*SHAPE) * 10.0**exponent).astype(dtype)
        for name, ask in asked.items():
            with np.errstate(over="ignore", under="ignore"):  # ‖w‖² may be too large
                try:
                    found, exact = np.asarray(ask(w)), np.asarray(ask(w.astype(np.float64)))
                except NotImplementedError:
                    continue
                rounded = exact.astype(dtype)
            assert found.dtype == dtype
            if name in ("gradient", "distance") and np.abs(w).max() < 1e-22:
                assert np.isfinite(found).all()
                continue
            scale = np.abs(exact).max()
            if np.isinf(rounded).any():
                np.testing.assert_array_equal(np.isinf(found), np.isinf(rounded))
            elif name == "value" and scale > 0.1 * float(kind.max):
                continue  # the half of a sum that is too large
            else:
                limit = 16 * float(kind.eps) * scale + max(
                    1e-22, 4 * float(kind.tiny) * (dtype == np.float16)
                )
                assert np.abs(found - exact).max() <= limit, (name, exponent)


def test_a_group_that_is_longer_than_the_root_of_the_largest_float32_is_shortened():
    v = np.full((1, 4), 1e25, np.float32)
    np.testing.assert_array_equal(GroupLasso(1.0).prox(v, 1.0), v)
    np.testing.assert_allclose(FrobeniusNorm(2.0).gradient(v), 1.0, rtol=1e-6)
    np.testing.assert_allclose(L2Ball(2.0).prox(v, 1.0), 1.0, rtol=1e-6)
    assert FrobeniusNorm(1.0).value(v) == np.float32(2e25)


def test_far_outside_the_l1_ball_rounding_is_of_the_radius():
    v = np.array([1e8 + 8, 1e8, -1e7], np.float32)
    np.testing.assert_allclose(L1Ball(10.0).prox(v, 1.0), [9, 1, 0], rtol=1e-6)


def test_inside_its_ball_a_weight_stays_to_the_bit():
    w = draw(*SHAPE).astype(np.float32)
    for ball in (L2Ball(9.0), L1Ball(30.0), MaxNorm(9.0), SpectralBall(9.0)):
        np.testing.assert_array_equal(ball.prox(w, 1.0), w)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (), (5,), (1, 1), (2, 3, 2)])
@pytest.mark.parametrize("label", EXTREME)
def test_arrays_of_any_shape(label, shape):
    penalty = EXTREME[label]
    if "center" in label or label == "translated" or "groups" in label:
        return  # these name elements
    if len(shape) < 2 and label in ("GroupLasso", "SparseGroupLasso", "MaxNorm", "scaled"):
        with pytest.raises(ValueError, match=r"got axis=\(1,\) for a weight of shape"):
            penalty.value(np.ones(shape))
        return
    if len(shape) < 1 and "columns" in label:
        return
    w = draw(*shape)
    t = mr.Tensor(w, requires_grad=True)
    value = penalty(t)
    if value.requires_grad:
        value.backward()
        np.testing.assert_allclose(t.grad.numpy(), penalty.gradient(w), atol=1e-12)
    assert np.shape(penalty.value(w)) == value.shape == ()
    assert penalty.gradient(w).shape == penalty.prox(w, 0.1).shape == shape
    assert np.isfinite(penalty.prox(w, 0.1)).all()
    assert np.isfinite(penalty.subdiff_distance(w, w)) == np.isfinite(penalty.value(w))
    with suppress(NotImplementedError):
        assert penalty.max_strength(w) >= 0


@pytest.mark.parametrize("label", ["SpectralNorm", "NuclearNorm", "SpectralBall"])
def test_svd_of_nan_says_that_it_is_nan(label):
    penalty, w = EXTREME[label], np.full(SHAPE, np.nan)
    tensor = mr.Tensor(w, requires_grad=True)
    for call in (
        penalty.value,
        penalty.gradient,
        lambda w: penalty.prox(w, 0.1),
        lambda w: penalty(tensor),
    ):
        if label == "SpectralBall" and call == penalty.gradient:
            continue  # 0 everywhere
        with pytest.raises(np.linalg.LinAlgError, match="singular values: the weight holds NaN"):
            call(w)


# --- added in place -------------------------------------------------------------------------------

SEPARABLE = {
    "L2": L2(0.3), "L1": L1(0.3), "ElasticNet": ElasticNet(0.3, 0.4),
    "L2, center": L2(0.3, center=0.5), "GroupLasso": GroupLasso(0.3),
}  # fmt: skip
LARGE = (300, 200)  # several blocks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label", SEPARABLE)
def test_the_gradient_in_place_is_the_formula(label, dtype):
    penalty, w, total = SEPARABLE[label], draw(*LARGE).astype(dtype), draw(*LARGE, seed=1)
    total = total.astype(dtype)
    expected, kept = total + penalty.gradient(w), w.copy()
    assert penalty.add_gradient(w, total) is total
    if label == "ElasticNet":  # added in two parts: one rounding more
        np.testing.assert_allclose(total, expected, rtol=0, atol=4 * np.finfo(dtype).eps)
    else:
        np.testing.assert_array_equal(total, expected)
    np.testing.assert_array_equal(w, kept)
    assert total.dtype == dtype


class Summed(Penalty):
    """A sum, whose gradient adds one part to the other in place."""

    separable = True

    def __init__(self, *parts):
        self.inner = parts

    def value(self, w):
        return sum(p.value(w) for p in self.inner)

    def gradient(self, w, out=None):
        first, *rest = self.inner
        total = first.gradient(w, out=out)
        for part in rest:
            part.add_gradient(w, total)
        return total


@pytest.mark.parametrize("shape", [(), (2,), LARGE, (200, 300)], ids=str)
def test_a_gradient_within_a_gradient_has_room_of_its_own(shape):
    """Both were given the same buffer: of L2 + L1 at (2, -4) came (1, -1)."""
    penalty = Summed(L2(0.5), Summed(L1(0.5), Summed(L2(0.2), L1(0.1))), L1(0.3))
    w, total = draw(*shape), draw(*shape, seed=1)
    expected = total + 0.7 * w + 0.9 * np.sign(w)
    np.testing.assert_allclose(penalty.add_gradient(w, total), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("label", SEPARABLE)
@pytest.mark.parametrize("shape", [LARGE, (0, 3), (200, 300)], ids=str)
def test_the_value_by_blocks_is_the_value(label, shape):
    w = draw(*shape).T  # not contiguous
    for a in (w, np.ascontiguousarray(w)):
        value = SEPARABLE[label](mr.Tensor(a)).item()
        assert value == pytest.approx(SEPARABLE[label].value(a), rel=1e-12)


def test_a_subclass_is_taken_whole():
    class Raised(L1):
        def value(self, w):
            return super().value(w) + 2

        def gradient(self, w):
            return 2 * super().gradient(w)

    class Moved(L2):
        def value(self, w):
            return super().value(w) + 2

    w, total = draw(*LARGE), np.zeros(LARGE)
    assert Raised(0.3)(mr.Tensor(w)).item() == L1(0.3).value(w) + 2
    assert Moved(0.3)(mr.Tensor(w)).item() == L2(0.3).value(w) + 2
    np.testing.assert_array_equal(Raised(0.3).add_gradient(w, total), 0.6 * np.sign(w))


def network(dtype=np.float64):
    mr.manual_seed(0)
    return nn.Sequential(nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 3)).to(dtype)


def batch(dtype=np.float64):
    return mr.Tensor(draw(4, 200).astype(dtype)), np.array([0, 1, 2, 1])


@pytest.mark.parametrize("earlier", [False, True])
def test_without_shares_the_gradient_is_the_same(earlier):
    objective = mr.Objective(nn.CrossEntropyLoss(), dict(SEPARABLE))
    found = []
    for attribute in (True, False):
        model = network()
        for _ in range(1 + earlier):
            objective(model, *batch()).backward(attribute=attribute)
        found.append([p.grad.numpy() for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("label", ["L2", "L1", "ElasticNet"])
def test_a_step_makes_no_array_of_a_weights_size(label):
    """Beside what the loss makes, value and gradient take existing buffers and small blocks."""
    peaks = []
    for terms in ({}, {"penalty": SEPARABLE[label], "again": L2(0.1)}):
        model, objective = network(np.float32), mr.Objective(nn.CrossEntropyLoss(), terms)
        x, y = batch(np.float32)
        objective(model, x, y).backward(attribute=False)  # keeps the scratch
        model.zero_grad()
        tracemalloc.start()
        try:
            values = objective(model, x, y)
            forward = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            values.backward(attribute=False)
            peaks.append((forward, tracemalloc.get_traced_memory()[1]))
        finally:
            tracemalloc.stop()
    size = model[0].weight.data.nbytes
    assert peaks[0][1] > size  # the loss's own gradient is seen
    assert peaks[1][1] - peaks[0][1] < size / 8
    assert peaks[1][0] - peaks[0][0] < 2 * 16384 * 4 + size / 8


def test_shares_are_never_overwritten():
    model, objective = (
        network(),
        mr.Objective(nn.CrossEntropyLoss(), {"l2": L2(0.3), "l1": L1(0.2)}),
    )
    terms = objective(model, *batch())
    terms.backward()
    shares = {
        (t, n): g.numpy().copy() for t, part in terms.gradients.items() for n, g in part.items()
    }
    for attribute in (True, False):
        model[0].weight.data *= 2
        objective(model, *batch()).backward(attribute=attribute)
    for (term, name), share in shares.items():
        np.testing.assert_array_equal(terms.gradients[term][name].numpy(), share)


def test_a_gradient_that_someone_holds_stays():
    """Also of a parameter that the loss does not reach."""
    objective = mr.Objective(nn.CrossEntropyLoss(), {"l2": L2(0.3), "l1": (L1(0.2), "*.weight")})

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(200, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.used(x)

    net = Net().to(np.float64)
    objective(net, *batch()).backward(attribute=False)
    w = net.spare.weight
    once, held = L2(0.3).gradient(w.data) + L1(0.2).gradient(w.data), w.grad
    np.testing.assert_allclose(held.numpy(), once, rtol=1e-15)
    before = held.numpy().copy()
    objective(net, *batch()).backward(attribute=False)
    np.testing.assert_array_equal(held.numpy(), before)
    np.testing.assert_allclose(w.grad.numpy(), 2 * once, rtol=1e-15)


def test_a_hook_sees_the_whole_gradient():
    model, objective = network(), mr.Objective(nn.CrossEntropyLoss(), {"l2": L2(0.3)})
    objective(model, *batch()).backward(attribute=False)
    expected, seen = model[0].weight.grad.numpy(), []
    model.zero_grad()
    model[0].weight.register_hook(lambda g: seen.append(g.numpy().copy()))
    objective(model, *batch()).backward(attribute=False)
    np.testing.assert_allclose(seen[0], expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(model[0].weight.grad.numpy(), expected, rtol=1e-12, atol=1e-15)


def test_frozen_weights_and_frozen_losses():
    model, objective = network(), mr.Objective(nn.CrossEntropyLoss(), {"l2": L2(0.3)})
    objective.bind(model)
    model[0].weight.requires_grad_(False)  # after the assignment
    objective(model, *batch()).backward(attribute=False)
    assert model[0].weight.grad is None
    assert model[2].weight.grad is not None

    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(draw(3, 3))

        def forward(self, x):
            return mr.Tensor(np.zeros((4, 3)))

    only = Constant()
    with pytest.warns(UserWarning, match="the penalties alone train"):
        objective(only, *batch()).backward(attribute=False)
    np.testing.assert_array_equal(only.w.grad.numpy(), 0.3 * only.w.data)


@pytest.mark.parametrize("kind", [GroupLasso, lambda *a, **kw: SparseGroupLasso(*a, 0.1, **kw)])
def test_what_explicit_groups_need_on_a_device_is_copied_once(kind):
    penalty = kind(0.3, groups=[[0, 5, 2], [7, 1]])

    def everything(w):
        penalty(mr.Tensor(w, requires_grad=True)).backward()
        return [penalty.value(w), penalty.gradient(w), penalty.prox(w, 0.1), penalty.max_strength(w),
                penalty.subdiff_distance(w, w)]  # fmt: skip

    with strict.registered():
        for dtype in (np.float32, np.float64):
            host = draw(3, 4).astype(dtype)
            w, expected = strict.xp.asarray(host), everything(host)
            for call in range(2):
                with strict.count_launches() as launches:
                    found = everything(w)
                assert (launches["copy to the device"] == 0) == (call == 1)
                for a, b in zip(expected, found, strict=True):
                    assert b.dtype == dtype  # lengths are summed in float64 there
                    np.testing.assert_allclose(b.get(), a, rtol=4 * np.finfo(dtype).eps)


# --- certificates know their own rounding ---------------------------------------------------------


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_certificate_that_follows_from_a_prox_is_not_rounding(unit):
    w = unit * draw(200) * 3
    penalty = scaled(OwnHuber(0.7), argument=1 / unit)
    slope = penalty.gradient(w)
    assert penalty.subdiff_distance(w, -slope) < 1e-12 * np.linalg.norm(slope)
    assert penalty.subdiff_distance(w, slope) == pytest.approx(2 * np.linalg.norm(slope), rel=0.01)


@pytest.mark.parametrize("make", [Simplex, L1Ball])
def test_what_the_projection_leaves_by_rounding_is_no_interior(make):
    ball = make(1.0)
    for seed in range(300):
        v = 3 * draw(5, seed=seed) + 1
        w = ball.prox(v, 1.0)
        nearly = np.where(w == 0, np.copysign(1e-16, v) if make is L1Ball else 1e-16, w)
        for u in (w, nearly):
            assert ball.subdiff_distance(u, w - v) < 1e-13


def test_l0_of_strength_0_is_no_penalty():
    w, g = np.array([0.0, 2.0]), np.array([3.0, -4.0])
    assert L0(0.0).subdiff_distance(w, g) == 5
    assert L0(1e-9).subdiff_distance(w, g) == 4
