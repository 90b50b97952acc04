"""Laws of every penalty: float32 beside float64, projections, and what is no weight."""

import numpy as np
import pytest
from support.few import slow_unless

import minireg as mr
from minireg.penalties import (
    L0,
    L1,
    L2,
    MCP,
    SCAD,
    SLOPE,
    Box,
    ElasticNet,
    FrobeniusNorm,
    GroupLasso,
    L1Ball,
    L2Ball,
    LogSum,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    Orthogonality,
    PathNorm,
    Quadratic,
    Simplex,
    SparseGroupLasso,
    SpectralBall,
    SpectralNorm,
    TotalVariation,
    conjugate,
    plus_quadratic,
    scaled,
    translated,
)

# label: size of the weights, a number of them → a penalty that does something to them
ELEMENTWISE = {
    "L2": lambda s, n: L2(0.3),
    "L2, center": lambda s, n: L2(0.3, center=s, weight=2.0),
    "L1": lambda s, n: L1(0.3 * s),
    "ElasticNet": lambda s, n: ElasticNet(0.3 * s, 0.2),
    "MCP": lambda s, n: MCP(0.3 * s),
    "SCAD": lambda s, n: SCAD(0.3 * s),
    "LogSum": lambda s, n: LogSum(0.3 * s**2, eps=s),
    "LogSum, weak": lambda s, n: LogSum(1e-3 * s**2, eps=30 * s),
    "SLOPE": lambda s, n: SLOPE(0.3 * s, np.linspace(1, 0, n)),
    "Box": lambda s, n: Box(-0.5 * s, 0.3 * s),
    "NonNegative": lambda s, n: NonNegative(),
}
GROUPED = {
    "GroupLasso": lambda s, n: GroupLasso(0.3 * s),
    "SparseGroupLasso": lambda s, n: SparseGroupLasso(0.3 * s, 0.2 * s),
    "FrobeniusNorm": lambda s, n: FrobeniusNorm(0.3 * s),
    "MaxNorm": lambda s, n: MaxNorm(0.5 * s),
    "L2Ball": lambda s, n: L2Ball(0.5 * s),
    "L1Ball": lambda s, n: L1Ball(0.5 * s),
    "L1Ball, large": lambda s, n: L1Ball(0.01 * s * n),
    "Simplex": lambda s, n: Simplex(0.5 * s),
    "TotalVariation": lambda s, n: TotalVariation(0.3 * s),
    "scaled": lambda s, n: scaled(L1(0.3 * s), argument=2.0),
    "translated": lambda s, n: translated(L1(0.3 * s), s),
    "plus_quadratic": lambda s, n: plus_quadratic(L1(0.3 * s), 0.2),
    "conjugate": lambda s, n: conjugate(L1(0.3 * s)),
}
SPECTRAL = {
    "SpectralNorm": lambda s, n: SpectralNorm(0.3 * s),
    "NuclearNorm": lambda s, n: NuclearNorm(0.3 * s),
    "SpectralBall": lambda s, n: SpectralBall(0.5 * s),
    "Orthogonality": lambda s, n: Orthogonality(0.3),
    "Quadratic": lambda s, n: Quadratic(0.3, np.eye(n)),
}
ALL = {**ELEMENTWISE, **GROUPED, **SPECTRAL, "L0": lambda s, n: L0(0.3 * s**2)}
CONSTRAINTS = [k for k in ALL if isinstance(ALL[k](1.0, 4), mr.penalties.constraints.Constraint)]
every = pytest.mark.parametrize("label", ALL)
every_constraint = pytest.mark.parametrize("label", CONSTRAINTS)


def drawn(kind, shape, size, seed=0):
    """Weights of about this size: all of one kind, or most of them 0."""
    rng = np.random.default_rng(seed)
    w = size * rng.standard_normal(shape)
    return w * (rng.uniform(size=shape) < 0.01) if kind == "sparse" else w


# --- float32 ---------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    "size", slow_unless({1e-6, 1.0, 1e6}.__contains__, [1e-6, 1e-2, 1.0, 1e3, 1e6])
)
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_the_prox_in_float32_is_that_in_float64_rounded(label, kind, size):
    if label == "L0":
        pytest.skip("it jumps")
    shape = (30, 20) if label in SPECTRAL else (300, 200)
    penalty, v = ALL[label](size, 600 if label in SPECTRAL else 60_000), drawn(kind, shape, size)
    v = v.astype(np.float32)
    exact = penalty.prox(v.astype(np.float64), 0.7)
    got = penalty.prox(v, 0.7)
    assert got.dtype == np.float32
    off = np.abs(got - exact).max() / size
    assert off < (3e-5 if label in SPECTRAL else 2e-6)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("make", [L1Ball, Simplex])
def test_a_projection_of_many_float32_has_the_radius(make, kind):
    v = drawn(kind, (512, 784), 1.0).astype(np.float32)
    for radius in (1.0, 100.0, 1000.0):
        found = make(radius).prox(v, 1.0)
        np.testing.assert_allclose(np.abs(found).sum(dtype=np.float64), radius, rtol=1e-6)


def test_a_weak_log_sum_shrinks_float32_as_float64():
    v = np.array([0.01, 0.02, -0.05, 3.0])
    for step in (1e-3, 1e-2):
        penalty = LogSum(1e-3, eps=10.0)
        exact = v - penalty.prox(v, step)
        single = v.astype(np.float32)
        moved = (single - penalty.prox(single, step)).astype(float)
        np.testing.assert_allclose(moved, exact, atol=6e-8 * 3, rtol=0.01)
        assert (moved[:2] > 0).all()


@pytest.mark.parametrize(("dtype", "large"), [(np.float64, 1e200), (np.float32, 1e20)])
def test_a_log_sum_leaves_large_weights(dtype, large):
    v = np.array([large, -large], dtype)
    for eps in (1e-3, 1.0, 1e3):
        np.testing.assert_array_equal(LogSum(1.0, eps).prox(v, 1.0), v)


def test_the_value_of_a_log_sum_of_small_weights_is_its_slope_there():
    w = np.full(100, 3e-8, np.float32)
    np.testing.assert_allclose(LogSum(1.0, 1.0).value(w), 3e-6, rtol=1e-6)


def test_orthogonality_of_huge_weights_is_a_cube_root():
    for k in (1e-3, 1.0, 1e3):
        found = Orthogonality(k / 4).prox(np.array([[1e20]]), 1.0)
        np.testing.assert_allclose(found, (1e20 / k) ** (1 / 3), rtol=1e-6)


@every
def test_float16_is_measured_in_float32(label):
    w = 60 * drawn("dense", (30, 20), 1.0)
    penalty = ALL[label](1.0, 600)
    if label == "conjugate":
        pytest.skip("has no value")
    w = w.astype(np.float16)
    exact = np.asarray(penalty.value(w.astype(np.float64)))
    with np.errstate(over="ignore"):
        half = penalty.value(w)
        assert half.dtype == np.float16
        np.testing.assert_allclose(half, exact.astype(np.float16), rtol=2e-3)


# --- units, steps and rules ------------------------------------------------------------------------

UNITLESS = [k for k in ALL if k not in ("L0", "LogSum", "LogSum, weak", "Orthogonality")]


@pytest.mark.parametrize("label", UNITLESS)
@pytest.mark.parametrize(
    ("dtype", "power"),
    [(np.float32, 100), (np.float32, -100), (np.float64, 660), (np.float64, -660)],
)
def test_weights_in_other_units_give_the_same(label, dtype, power):
    """From 1e-200 to 1e200: squares leave the range, the penalty does not."""
    unit = 2.0**power
    v, g = (drawn("dense", (4, 3), 1.0, seed) for seed in (0, 1))
    one, other = ALL[label](1.0, 12), ALL[label](unit, 12)

    def asked(penalty, unit, dtype):
        a, b = (dtype(unit) * x.astype(dtype) for x in (v, g))
        u = penalty.prox(a, 0.7)
        near = [penalty.subdiff_distance(u, (u - a) / dtype(0.7)), penalty.subdiff_distance(u, b)]
        return [u / dtype(unit), np.array(near) / unit]

    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = asked(other, unit, dtype)
    atol = 5e-5 if dtype == np.float32 else 1e-10
    for a, b in zip(found, asked(one, 1.0, np.float64), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol)


DERIVED = [k for k in ALL if ALL[k](1.0, 12).convex and k != "conjugate"]


@pytest.mark.parametrize("label", DERIVED)
@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e3])
def test_the_certificate_that_follows_from_the_prox_is_the_closed_form(label, strength):
    """Also at 0, and where some weights are 0 and others large."""
    penalty = ALL[label](strength, 12)
    for seed in range(5):
        v, g = drawn("dense", (4, 3), 1.0, seed), drawn("dense", (4, 3), 1.0, seed + 9)
        large = penalty.prox(v * np.where(np.arange(3) > 1, 1e3, 1e-2), 1.0)
        for w in (penalty.prox(0 * v, 1.0), penalty.prox(v, 1.0), large, 0 * v):
            closed = penalty.subdiff_distance(w, g)
            if np.isfinite(closed):  # (0 may be outside)
                found = mr.penalties.Penalty.subdiff_distance(penalty, w, g)
                np.testing.assert_allclose(found, closed, rtol=5e-3, atol=1e-5)


class Stiff(mr.penalties.Penalty):
    """½λ‖w‖², from its value and prox."""

    strength = mr.penalties.Strength()

    def __init__(self, strength):
        self.strength = strength

    def value(self, w):
        return 0.5 * self.strength * (w * w).sum()

    def prox(self, v, step):
        return v / (1 + step * self.strength)


@pytest.mark.parametrize("strength", [1e-12, 1.0, 1e12, 1e20])
@pytest.mark.parametrize("w", [0.0, 1.0, 1e-8])
@pytest.mark.parametrize("g", [0.0, 5.0])
def test_a_derived_certificate_knows_stiff_penalties(strength, w, g):
    found = Stiff(strength).subdiff_distance(np.array([w]), np.array([g]))
    np.testing.assert_allclose(found, g + strength * w, rtol=1e-3)


def test_zero_is_no_solution_of_a_stiff_penalty():
    model, x = mr.nn.Linear(3, 1, bias=False, dtype=np.float64), drawn("dense", (20, 3), 1.0)
    model.weight.assign(0.0)
    found = mr.solve(model, mr.nn.MSELoss(), Stiff(1e12), x, x.sum(axis=1, keepdims=True))
    assert found.converged
    slope = -2 * x.T @ x.sum(axis=1, keepdims=True) / 20
    np.testing.assert_allclose(model.weight.numpy(), -slope.T / 1e12, rtol=1e-6)


def test_what_has_diverged_has_no_certificate():
    for w, g in ((np.inf, 1.0), (1.0, np.inf), (np.nan, 1.0), (0.0, np.nan)):
        with np.errstate(invalid="ignore"):
            assert not np.isfinite(Stiff(1.0).subdiff_distance(np.array([w]), np.array([g])))


def test_a_conjugate_is_stationary_at_0_inside_the_dual_ball_only():
    ball = conjugate(FrobeniusNorm(0.4))
    assert ball.subdiff_distance(np.zeros(1), np.array([6.0])) == pytest.approx(6)


@every
def test_a_step_for_each_element_is_taken_or_refused(label):
    penalty, v = ALL[label](1.0, 12), drawn("dense", (4, 3), 1.0)
    steps = np.linspace(0.1, 1, 12).reshape(4, 3)
    if penalty.elementwise_step:
        assert np.isfinite(penalty.prox(v, steps)).all()
        return
    with pytest.raises(
        ValueError, match=r"prox: step must be a single number, got an array of shape \(4, 3\)"
    ):
        penalty.prox(v, steps)


@every
def test_no_step_is_infinite(label):
    penalty, v = ALL[label](1.0, 12), drawn("dense", (4, 3), 1.0)
    each = [np.full((4, 3), np.inf)] * penalty.elementwise_step
    for step in (np.inf, np.float32(np.inf), *each):
        with pytest.raises(ValueError, match="prox: step must be finite and ≥ 0, got"):
            penalty.prox(v, step)


RULES = {  # rule: the penalty by it, its value by its formula
    "scaled": (lambda p: scaled(p, 2.0, -3.0), lambda f, w: 2 * f(-3 * w)),
    "translated": (lambda p: translated(p, 0.5), lambda f, w: f(w - 0.5)),
    "plus_quadratic": (
        lambda p: plus_quadratic(p, 0.3, 0.5),
        lambda f, w: f(w) + 0.15 * np.square(w - 0.5).sum(),
    ),
}


@pytest.mark.parametrize("label", [*ALL, "PathNorm"])
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_the_value_of_its_formula(label, rule):
    make, formula = RULES[rule]
    penalty = PathNorm(1.0) if label == "PathNorm" else ALL[label](1.0, 12)
    if penalty.joint:
        with pytest.raises(
            ValueError, match=rf"{rule}: expected a penalty of one weight, got PathNorm"
        ):
            make(penalty)
        return
    weights = [drawn("dense", (4, 3), 0.3, seed) for seed in range(2)]
    try:
        expected = sum(formula(penalty.value, w) for w in weights)
    except NotImplementedError:
        pytest.skip("has no value")
    found = make(penalty).over([mr.Tensor(w) for w in weights])
    np.testing.assert_allclose(found.numpy(), expected)


# --- constraints -------------------------------------------------------------------------------------


@every_constraint
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_projection_stays_where_it_is(label, size, dtype):
    penalty = ALL[label](size, 60_000)
    shape = (30, 20) if label in SPECTRAL else (300, 200)
    eps = float(np.finfo(dtype).eps)
    for kind in ("dense", "sparse"):
        inside = penalty.prox(drawn(kind, shape, size).astype(dtype), 1.0)
        assert penalty.value(inside) == 0
        again = penalty.prox(inside, 1.0)
        np.testing.assert_allclose(again, inside, rtol=8 * eps, atol=64 * eps * size)
        if label not in ("Simplex", "Box", "NonNegative"):  # well inside nothing moves at all
            np.testing.assert_array_equal(penalty.prox(inside / 2, 1.0), inside / 2)


@every_constraint
def test_outside_a_constraint_nothing_is_stationary(label):
    penalty, w = ALL[label](1.0, 600), -10 * np.ones((30, 20))
    assert penalty.value(w) == np.inf
    assert penalty.subdiff_distance(w, 0 * w) == np.inf
    inside = penalty.prox(w, 1.0)
    assert penalty.subdiff_distance(inside, inside - w) < 1e-8


# --- what is no weight -------------------------------------------------------------------------------


def asked(penalty, w):
    """What a penalty says of w, by the name of the question."""
    questions = {
        "value": lambda: penalty.value(w),
        "call": lambda: penalty(w),
        "gradient": lambda: penalty.gradient(w),
        "prox": lambda: penalty.prox(w, 0.5),
        "certificate": lambda: penalty.subdiff_distance(w, np.ones(w.shape)),
        "max_strength": lambda: penalty.max_strength(w),
    }
    for name, question in questions.items():
        try:
            yield name, question()
        except Exception as error:  # which one, the law says
            yield name, error


@every
def test_nan_never_gives_a_clean_number(label):
    penalty, w = ALL[label](1.0, 6), np.array([[0.1, np.nan, 0.3], [0.2, 0.05, -0.1]])
    for name, found in asked(penalty, w):
        if isinstance(found, NotImplementedError | np.linalg.LinAlgError):
            continue
        assert not isinstance(found, Exception), (name, found)
        flat = name == "gradient" and (label == "L0" or label in CONSTRAINTS)
        assert flat or not np.isfinite(found).all(), name


@pytest.mark.parametrize("label", ["SpectralNorm", "NuclearNorm", "SpectralBall"])
def test_inf_has_no_singular_values(label):
    penalty, w = ALL[label](1.0, 6), np.array([[1.0, np.inf], [2.0, 3.0]])  # LAPACK says NaN here
    for name, found in asked(penalty, w):
        flat = name == "gradient" and label in CONSTRAINTS
        assert flat or isinstance(found, np.linalg.LinAlgError | NotImplementedError), name


@every
@pytest.mark.parametrize("dtype", [np.int8, np.int64, bool, complex])
def test_a_penalty_refuses_what_is_not_floating(label, dtype):
    if label == "conjugate":
        pytest.skip("has no value")
    for name, found in asked(ALL[label](1.0, 6), np.ones((2, 3), dtype)):
        if not isinstance(found, NotImplementedError):
            assert isinstance(found, TypeError), name
            assert "a penalty measures floating weights, got" in str(found)


def test_a_chain_refuses_integers_too():
    with pytest.raises(TypeError, match="a penalty measures floating weights, got int64"):
        PathNorm(1.0).value(np.ones((2, 3)), np.ones((1, 2), np.int64))


def test_numbers_in_a_list_are_floats():
    assert L2(1.0)([5_000_000_000]) == 1.25e19
    assert L1(1.0)([[1, -2], [3, 0]]) == 6
    assert L1(1.0)([0.5, -0.25]) == 0.75


# --- what is said of them ----------------------------------------------------------------------------


def test_formula_and_prior_are_those_of_the_options():
    assert "s_g" not in "".join([*GroupLasso(1.0, scale="none").formula])
    assert "s_g" not in GroupLasso(1.0, scale="none").prior
    assert "s_g" in GroupLasso(1.0).formula.value
    assert r"\rVert_a^2" in L2(1.0, weight=[1.0, 2.0]).formula.value
    assert r"\lambda a" in L2(1.0, weight=2.0).formula.gradient
    assert "nλ·weight" in L2(1.0, weight=2.0).prior
    assert L2(1.0, center=1.0).formula == L2.formula
    assert L2(0.1).to_sklearn(100) == {"alpha": 5.0, "C": 0.1}
    for penalty in (L2(0.1, center=1.0), L2(0.1, weight=[1.0, 9.0])):
        with pytest.raises(ValueError, match="no estimator there has a center or weight"):
            penalty.to_sklearn(100)


def test_the_conjugate_of_what_is_not_convex_is_refused():
    with pytest.raises(ValueError, match="conjugate: expected a convex penalty, got MCP"):
        conjugate(MCP(1.0))


def test_max_strength_knows_the_other_strength():
    g = np.array([[3.0, 4.5], [0.1, -0.2]])
    penalty = SparseGroupLasso(1.0, l1=0.5, scale="none")
    np.testing.assert_allclose(penalty.max_strength(g), np.hypot(2.5, 4.0))
    assert SparseGroupLasso(1.0, l1=5.0).max_strength(g) == 0
    with pytest.raises(NotImplementedError, match="max_strength has no rule for Composed"):
        scaled(L1(1.0), 2.0).max_strength(g)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: TotalVariation(1.0, axis=None),
            "TotalVariation: axis must be an integer, got None",
        ),
        (lambda: TotalVariation(1.0, axis=(0, 1)), "TotalVariation: axis must be an integer"),
        (lambda: GroupLasso(1.0, axis=True), "GroupLasso: axis must be an integer"),
        (lambda: SLOPE(1.0, [np.inf, 1.0]), "SLOPE: weights must be finite numbers"),
        (lambda: L2(1.0, center=[np.nan]), "L2: center must be numbers, got NaN"),
        (lambda: L2(1.0, center=np.nan), "L2: center must be numbers, got NaN"),
        (lambda: L2(1.0, weight=np.inf), "L2: weight must be finite"),
        (lambda: Quadratic(1.0, np.eye(1), center=[np.nan]), "Quadratic: center must be numbers"),
        (
            lambda: L1(1.0).prox(np.ones(2), np.array([-1.0, 1.0])),
            "L1.prox: step must be finite and ≥ 0",
        ),
    ],
)
def test_silly_arguments_are_refused(make, says):
    with pytest.raises((TypeError, ValueError), match=says):
        make()


def test_a_step_that_has_become_nan_stays_nan():
    """A training that diverges says so by its loss, not in the middle of a step."""
    assert np.isnan(L1(1.0).prox(np.ones(2), np.array([np.nan, 1.0]))[0])
