"""check_penalty: every shipped penalty passes, and every planted fault is caught where it should be."""

import copy

import numpy as np
import pytest
from support.few import slow_unless
from support.lists import complete, exact

from minireg import penalties
from minireg.check.penalties import CHECKS, KINKS, OPTIMIZERS, _Case, _rotated, check_penalty
from minireg.ops import TABLE
from minireg.ops.arrays import length
from minireg.penalties import (
    L0,
    L1,
    L2,
    Box,
    ElasticNet,
    FrobeniusNorm,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NuclearNorm,
    PathNorm,
    Penalty,
    Quadratic,
    SparseGroupLasso,
    SpectralBall,
    SpectralNorm,
    Strength,
    conjugate,
    plus_quadratic,
    scaled,
    soft_threshold,
    translated,
)
from minireg.penalties.base import constant
from minireg.penalties.constraints import Constraint
from minireg.tensor import Tensor

CENTER = np.random.default_rng(0).normal(size=(4, 3))
BENDS = np.diff(np.eye(12), 2, axis=0)  # second differences of a weight's 12 elements
SHIPPED = {
    "L2": L2(0.7), "L2, center, weight": L2(0.7, CENTER, np.abs(CENTER)), "L1": L1(0.7), "L0": L0(0.5),
    "ElasticNet": ElasticNet(0.4, 0.6), "GroupLasso rows": GroupLasso(0.5),
    "GroupLasso columns": GroupLasso(0.5, axis=0, scale="none"), "GroupLasso all": GroupLasso(0.3, axis=None),
    "GroupLasso groups": GroupLasso(0.5, groups=[[0, 5, 2], [7, 1]]),
    "SparseGroupLasso": SparseGroupLasso(0.3, 0.4), "FrobeniusNorm": FrobeniusNorm(0.8),
    "SpectralNorm": SpectralNorm(0.9), "NuclearNorm": NuclearNorm(0.6), "PathNorm": PathNorm(0.3),
    "L2Ball": L2Ball(1.2), "L1Ball": L1Ball(1.5), "MaxNorm": MaxNorm(0.7), "SpectralBall": SpectralBall(0.9),
    "Box": Box(-0.5, 0.8), "Box, one side": Box(0, np.inf), "Box, arrays": Box(-np.abs(CENTER), 0.6),
    "Quadratic": Quadratic(0.7, BENDS.T @ BENDS),
    "Quadratic, center": Quadratic(0.7, BENDS.T @ BENDS, CENTER),
    "MCP": penalties.MCP(0.5), "SCAD": penalties.SCAD(0.5, a=2.5),
    "LogSum": penalties.LogSum(0.3, eps=1), "Orthogonality": penalties.Orthogonality(0.3),
    "TotalVariation": penalties.TotalVariation(0.3),
    "TotalVariation, axis": penalties.TotalVariation(0.3, axis=0),
    "NonNegative": penalties.NonNegative(), "Simplex": penalties.Simplex(1.5),
    "SLOPE": penalties.SLOPE(0.3, np.arange(12, 0, -1)),
    "SLOPE, some free": penalties.SLOPE(0.3, np.repeat([2, 1, 0], 4)),
    "plus_quadratic": plus_quadratic(NuclearNorm(0.4), 0.5, CENTER),
    "translated": translated(L1(0.4), CENTER), "scaled": scaled(GroupLasso(0.5), 2.0, -1.5),
}  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_penalty_passes(name):
    report = check_penalty(SHIPPED[name], trials=10)
    assert report, report


def test_every_penalty_is_checked():
    """A new public penalty fails here until it has a row."""
    classes = {n for n in penalties.__all__ if isinstance(getattr(penalties, n), type)}
    kinds = {c for c in classes if issubclass(getattr(penalties, c), Penalty)} - {
        "Penalty",
        "Composed",
    }
    shipped = {type(p).__name__ for p in SHIPPED.values()} - {"Composed"}
    exact("SHIPPED in tests/check/test_penalty_check.py", shipped, kinds)


def test_every_penalty_with_a_gradient_is_a_sample_of_the_op(rng):
    """There the closed form is held to the derivatives of the value, of both orders."""
    kinds = [k for n in penalties.__all__ if isinstance(k := getattr(penalties, n), type)]
    smooth = {k for k in kinds if issubclass(k, Penalty) and k.via == "gradient"}
    tried = {type(options["penalty"]) for *_, options in TABLE["penalty"].samples(rng)}
    others = {Penalty, penalties.Composed, SpectralNorm}
    exact("SMOOTH in minireg/penalties/samples.py", tried & smooth, smooth - others)


def test_report_reads_as_a_table():
    report = check_penalty(L1(0.5), trials=3)
    lines = str(report).splitlines()
    assert lines[0] == "L1(0.5): λ‖w‖₁"
    assert lines[1].startswith("ok")
    assert len(lines) == 2 + len(CHECKS)
    assert report["prox: firm"].verdict == "ok"
    assert check_penalty(PathNorm(0.3), trials=3)["prox: brute force"].verdict == "n/a"


def test_a_note_says_what_was_asked_of_this_penalty():
    ridge, ball, moved = (
        check_penalty(p, trials=3) for p in (L2(0.5), L2Ball(1.2), translated(L2Ball(1.2), CENTER))
    )
    assert "P(Pv)" not in ridge["prox: identity"].note
    assert "step 0" in ridge["prox: identity"].note
    assert ball["prox: identity"].note == "P(Pv) = Pv"
    effect = "effect: SGD via prox"
    assert "of Ω" in ridge[effect].note
    assert "of the distance" in ball[effect].note
    assert ball[effect].note == moved[effect].note


def test_a_check_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(KeyError, match=r"no check 'nope', expected one of .*'value'"):
        check_penalty(L1(0.5), trials=1)["nope"]


def test_a_penalty_of_ten_lines_is_enough():
    report = check_penalty(Huber(0.5))
    assert report, report
    assert report["gradient = autograd"].figure == 0.0  # derived from value
    np.testing.assert_allclose(Huber(0.5).gradient(np.array([0.5, 3.0])), [0.25, 0.5])


# --- not convex, with strengths of any name -------------------------------------------------------


class SCAD(Penalty):
    """Fan & Li (2001), as somebody would write it: its λ is a threshold and multiplies nothing."""

    convex = False

    def __init__(self, lam, a=3.7):
        self.lam, self.a = lam, a

    def value(self, w):
        x, lam, a = np.abs(w), self.lam, self.a
        middle = (2 * a * lam * x - x * x - lam**2) / (2 * (a - 1))
        flat = lam**2 * (a + 1) / 2
        return np.where(x <= lam, lam * x, np.where(x <= a * lam, middle, flat)).sum()

    def prox(self, v, step):
        """For steps below a − 1 only."""
        x, lam, a = np.abs(v), self.lam, self.a
        middle = ((a - 1) * x - step * a * lam) / (a - 1 - step)
        near = np.maximum(x - step * lam, 0)
        return np.sign(v) * np.where(x <= (1 + step) * lam, near, np.where(x <= a * lam, middle, x))


class Undeclared(SCAD):
    """Somebody who does not know that there is something to declare."""

    convex = True


def test_a_penalty_that_is_not_convex_is_told_how_to_say_so():
    assert "convex = False" in str(check_penalty(Undeclared(0.5)))
    assert "convex = False" not in str(check_penalty(SCAD(0.5)))


class MCP(Penalty):
    """Zhang (2010)."""

    convex = False

    def __init__(self, alpha, gamma=3.0):
        self.alpha, self.gamma = alpha, gamma

    def value(self, w):
        x, alpha, gamma = np.abs(w), self.alpha, self.gamma
        return np.where(
            x <= gamma * alpha, alpha * x - x * x / (2 * gamma), gamma * alpha**2 / 2
        ).sum()

    def prox(self, v, step):
        """For steps below γ only."""
        near = soft_threshold(v, step * self.alpha) / (1 - step / self.gamma)
        return np.where(np.abs(v) <= self.gamma * self.alpha, near, v)


class NamedSCAD(SCAD):
    """Its λ is called strength, which promises nothing about the value either."""

    strength = Strength()
    lam = property(lambda self: self.strength)

    def __init__(self, strength, a=3.7):
        self.strength, self.a = strength, a


class NamedMCP(MCP):
    alpha = property(lambda self: self.strength)

    def __init__(self, strength, gamma=3.0):
        self.strength, self.gamma = strength, gamma


WEAKLY_CONVEX = {
    "SCAD": SCAD(0.5), "SCAD, small": SCAD(0.02), "SCAD, large": SCAD(2.0), "SCAD, bent": SCAD(0.3, a=2.1),
    "SCAD, named": NamedSCAD(0.5), "MCP": MCP(0.5), "MCP, bent": MCP(0.5, gamma=0.2),
    "MCP, named": NamedMCP(0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", WEAKLY_CONVEX)
def test_a_threshold_is_no_strength_that_multiplies(name):
    penalty = WEAKLY_CONVEX[name]
    report = check_penalty(penalty, trials=4)
    assert report, report
    assert report["prox: scaling"].verdict == "n/a"
    assert report["prox: brute force"].verdict == "ok"
    for check in ("prox: identity", "effect: SGD via gradient", "effect: momentum via prox"):
        assert report[check].verdict == "ok"


def test_a_repr_shows_the_numbers_under_any_name():
    assert repr(SCAD(0.5)) == "SCAD(lam=0.5, a=3.7): λΩ(w)"
    assert repr(NamedSCAD(0.5)) == "NamedSCAD(0.5): λΩ(w)"


def test_steps_stay_where_a_weakly_convex_prox_is_unique():
    for penalty, rho in ((SCAD(0.5), 1 / 2.7), (MCP(0.5, gamma=0.2), 5.0), (L0(0.5), 0.0)):
        found = _Case(penalty, [(4, 3)], 1, 0)
        assert found.weakness == pytest.approx(rho, abs=1e-4)
        assert found.longest == pytest.approx(min(2, 0.9 / rho) if rho else 2, rel=1e-3)


def test_strengths_are_found_under_any_name():
    class Weighted(Lasso):
        strength = property(lambda self: self.lam * self.share)

        def __init__(self):
            self.axis, self.share, self.lam, self.convex = 1, 0.25, 0.7, True

    case = _Case(Weighted(), [(4, 3)], 3, 0)
    assert case.strengths == ("share",)
    assert _Case(ElasticNet(0.2, 0.3), [(4, 3)], 3, 0).strengths == ("l1", "l2")
    assert _Case(SpectralNorm(0.2), [(4, 3)], 3, 0).strengths == ("strength",)
    assert _Case(NamedSCAD(0.2), [(4, 3)], 3, 0).strengths == ()
    without_step = spoilt(Weighted(), prox=lambda s, v, t: soft_threshold(v, s.strength))
    assert check_penalty(without_step, trials=2)["prox: scaling"].verdict == "wrong"


def test_right_penalties_of_other_kinds_pass():
    """Kinks on the axes, ties of sizes, sums of groups, and what is not 0 at 0."""

    class NonNegative(Constraint):
        def __init__(self):
            pass

        def value(self, w):
            raw = w.data if isinstance(w, Tensor) else w
            return constant(np.where((raw < 0).any(), np.inf, 0.0).astype(raw.dtype), w)

        def prox(self, v, step):
            return np.maximum(v, 0)

        def subdiff_distance(self, w, g):
            return length(np.where(w > 0, g, np.minimum(g, 0)))

    class LargestSize(Lasso):
        def value(self, w):
            return self.strength * np.abs(w).max()

        gradient = Penalty.gradient

        def prox(self, v, step):
            return v - L1Ball(step * self.strength).prox(v, 1.0)

        def subdiff_distance(self, w, g):
            return Penalty.subdiff_distance(self, w, g)

        def max_strength(self, g):
            return np.abs(g).sum()

    class Trimmed(Lasso):
        """All but the four largest."""

        convex, gradient, largest = False, Penalty.gradient, 4

        def value(self, w):
            sizes = np.sort(np.abs(w).reshape(-1))
            return self.strength * sizes[: sizes.size - self.largest].sum()

        def prox(self, v, step):
            u, kept = (
                soft_threshold(v, step * self.strength).reshape(-1),
                np.argsort(-np.abs(v), None),
            )
            u[kept[: self.largest]] = v.reshape(-1)[kept[: self.largest]]
            return u.reshape(v.shape)

        def subdiff_distance(self, w, g):
            return Penalty.subdiff_distance(self, w, g)

        def max_strength(self, g):
            raise NotImplementedError("never all 0")

    class Margin(Lasso):
        """It grows towards 0, and w = 0 is not its minimum."""

        def value(self, w):
            return self.strength * np.maximum(0, 1 - w).sum()

        gradient = Penalty.gradient

        def prox(self, v, step):
            return np.where(v < 1, np.minimum(v + step * self.strength, 1), v)

        def subdiff_distance(self, w, g):
            return Penalty.subdiff_distance(self, w, g)

        def max_strength(self, g):
            raise NotImplementedError("w = 0 is no minimum")

    for penalty in (NonNegative(), LargestSize(), Trimmed(), Margin()):
        report = check_penalty(penalty, trials=5)
        assert report, report


SIZES = [
    L1(1e-6), L1(1e4), L2(1e-8), L2(1e5), L2(0.3, 100 * CENTER), NuclearNorm(1e3), L0(1e-3),
    L2Ball(1e-3), L2Ball(0.0), L1Ball(0.0), MaxNorm(0.0), SpectralBall(0.0), ElasticNet(0.0, 0.6),
    Box(0.0, 0.0), Box(-1e-3, 1e3), Quadratic(1e-8, np.eye(12)), Quadratic(1e3, BENDS.T @ BENDS),
]  # fmt: skip


@pytest.mark.parametrize("penalty", SIZES, ids=repr)
def test_limits_follow_the_size_of_the_strength(penalty):
    report = check_penalty(penalty, trials=2)
    assert report, report


@pytest.mark.parametrize(
    "shape",
    [
        (),
        (1,),
        (5,),
        (1, 1),
        *(pytest.param(s, marks=pytest.mark.slow) for s in ((1, 7), (2, 3, 2, 2))),
    ],
)
def test_any_shape_can_be_asked(shape):
    for penalty in (
        ElasticNet(0.3, 0.2),
        L0(0.3),
        FrobeniusNorm(0.4),
        NuclearNorm(0.3),
        L2Ball(0.3),
    ):
        report = check_penalty(penalty, shape, trials=1)
        assert report, report


# --- nothing to check -----------------------------------------------------------------------------


@pytest.mark.parametrize("trials", [0, -1, 2.5])
def test_no_trials_are_not_vacuously_ok(trials):
    with pytest.raises(ValueError, match="check_penalty: trials must be an integer ≥ 1, got"):
        check_penalty(L1(0.5), trials=trials)


@pytest.mark.parametrize(
    "penalty", [L1(0.0), SCAD(0.0), GroupLasso(0.0), PathNorm(0.0), L2Ball(1e3)], ids=repr
)
def test_a_penalty_that_does_nothing_is_neither_ok_nor_wrong(penalty):
    with pytest.raises(ValueError, match="is 0 wherever it was tried, so there is nothing to che"):
        check_penalty(penalty)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2, 2), (5,), ()])
def test_points_at_kinks_are_among_the_trials(shape):
    points = {k: w for k, (w,) in zip(KINKS, _Case(L1(1.0), [shape], 1, 0).points(), strict=False)}
    assert len(points) == len(KINKS)
    assert all(w.shape == shape and np.isfinite(w).all() for w in points.values())
    assert not points["zero"].any()
    if len(shape) < 2:
        return
    flat = {k: w.reshape(len(w), -1) for k, w in points.items()}
    assert not flat["a row of zeros"][0].any()
    assert not flat["a column of zeros"][:, 0].any()
    assert 0 < (flat["zeros"] == 0).sum() < flat["zeros"].size
    assert (np.abs(flat["ties"]) == 1).all()
    for kink, count in {
        "equal singular values": min(flat["zero"].shape),
        "two equal singular values": 2,
    }.items():
        s = np.linalg.svd(flat[kink], compute_uv=False)
        assert (abs(s - s[0]) < 1e-12).sum() == count
    assert np.linalg.matrix_rank(flat["rank one"]) == 1


# --- planted faults ---------------------------------------------------------------------------


class Lasso(Penalty):
    """A right L1, to be spoilt."""

    strength = Strength()

    def __init__(self, strength=0.7):
        self.strength = strength

    def value(self, w):
        return self.strength * np.abs(w).sum()

    def gradient(self, w):
        return self.strength * np.sign(w)

    def prox(self, v, step):
        return soft_threshold(v, step * self.strength)

    def subdiff_distance(self, w, g):
        return L1(self.strength).subdiff_distance(w, g)

    def max_strength(self, g):
        return np.abs(g).max()


class Huber(Lasso):
    """λ Σ of w²/2 up to |w| = 1, |w| − ½ beyond; without a certificate of its own."""

    gradient, subdiff_distance = Penalty.gradient, Penalty.subdiff_distance
    max_strength = Penalty.max_strength

    def value(self, w):
        size = np.abs(w)
        return self.strength * np.where(size <= 1, 0.5 * w * w, size - 0.5).sum()

    def prox(self, v, step):
        k = step * self.strength
        return np.where(np.abs(v) <= 1 + k, v / (1 + k), soft_threshold(v, k))


def spoilt(right=None, **methods):
    """A right penalty (a Lasso) with other methods."""
    right = right or Lasso()
    penalty = copy.copy(right)
    penalty.__class__ = type("Spoilt", (type(right),), methods)
    return penalty


def _changes_its_input(self, v, step):
    v[...] = soft_threshold(v, step * self.strength)
    return v


def _not_pooled(self, v, step):
    rank = np.argsort(np.argsort(-np.abs(v)))
    return soft_threshold(v, step * self.strength * self.weights[rank])


def length_of_rows(w):
    return np.linalg.norm(w, axis=1, keepdims=True)


def _summed_over_ties(self, w):
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    return self.strength * (u * (s >= s[0] * (1 - 1e-12))) @ vt


# fault: (penalty, the check that must catch it)
FAULTS = {
    # the sign of weight decay: chainer/chainer#261
    "gradient with the wrong sign": (
        spoilt(gradient=lambda s, w: -s.strength * np.sign(w)), "gradient = autograd"),
    "gradient with the wrong sign, seen as an effect": (
        spoilt(gradient=lambda s, w: -s.strength * np.sign(w)), "effect: SGD via gradient"),
    # no effect at all: tinygrad/tinygrad#17708, aigamedev/scikit-neuralnetwork#197
    "gradient that does nothing": (
        spoilt(gradient=lambda s, w: 0 * w), "effect: Adam via gradient"),
    "prox that does nothing": (spoilt(prox=lambda s, v, t: v), "effect: momentum via prox"),
    "prox that does nothing, seen by search": (spoilt(prox=lambda s, v, t: v), "prox: brute force"),
    # the learning rate missing in the threshold: glm-tools/pyglmnet#383
    "prox without its step": (
        spoilt(prox=lambda s, v, t: soft_threshold(v, s.strength)), "prox: identity"),
    "prox without its step, seen by scaling": (
        spoilt(prox=lambda s, v, t: soft_threshold(v, s.strength)), "prox: scaling"),
    "prox without its strength": (spoilt(prox=lambda s, v, t: soft_threshold(v, t)), "prox: brute force"),
    # a group lasso that lost its root: wenwei202/caffe#36
    "group norm without the root": (
        spoilt(value=lambda s, w: s.strength * np.square(w).sum()), "gradient = differences"),
    # NaN at the kink: HIPS/autograd#151
    "gradient that is NaN at 0": (
        spoilt(gradient=lambda s, w: s.strength * np.where(w == 0, np.nan, np.sign(w))),
        "subgradient inequality"),
    "gradient off by 1e-4": (
        spoilt(gradient=lambda s, w: s.strength * 1.0001 * np.sign(w)), "gradient = autograd"),
    "gradient outside the subdifferential at 0": (
        spoilt(gradient=lambda s, w: s.strength * np.where(w == 0, 1.5, np.sign(w))),
        "subgradient inequality"),
    "hard threshold called convex": (
        spoilt(prox=lambda s, v, t: np.where(np.abs(v) > t * s.strength, v, 0)), "prox: firm"),
    "prox off by 1e-4": (
        spoilt(prox=lambda s, v, t: 1.0001 * soft_threshold(v, t * s.strength)), "prox: optimality"),
    "prox beyond its threshold": (
        spoilt(prox=lambda s, v, t: v - t * s.strength * np.sign(v)), "prox: firm"),
    "value that is not linear in its strength": (
        spoilt(value=lambda s, w: s.strength * np.abs(w).sum() + 0.1), "prox: identity"),
    "value that is no scalar": (spoilt(value=lambda s, w: s.strength * np.abs(w)), "value"),
    "value that needs arrays": (
        spoilt(value=lambda s, w: s.strength * np.abs(np.asarray(w)).sum()), "value"),
    "certificate that is always 0": (spoilt(subdiff_distance=lambda s, w, g: 0.0), "certificate: limit"),
    "certificate that is asked a whole step from 0": (
        spoilt(Huber(9.0), subdiff_distance=lambda s, w, g: length(
            w - s.prox(w - (t := 1e-3 * length(w) / length(g) or 1) * g, t)) / t), "certificate: limit"),
    "certificate with sign(0) = 0": (
        spoilt(subdiff_distance=lambda s, w, g: np.linalg.norm(g + s.gradient(w))), "certificate: 0"),
    "max_strength too small": (spoilt(max_strength=lambda s, g: 0.9 * np.abs(g).max()), "max_strength"),
    "max_strength too large": (spoilt(max_strength=lambda s, g: np.abs(g).sum()), "max_strength"),
    "prox in float64": (
        spoilt(prox=lambda s, v, t: soft_threshold(v.astype(np.float64), t * s.strength)), "float32"),
    "prox that changes its input": (spoilt(prox=_changes_its_input), "untouched"),
    "step for each element refused": (spoilt(elementwise_step=True, prox=lambda s, v, t: soft_threshold(
        v, float(np.mean(t)) * s.strength)), "prox: each its step"),
    "parts that leave one out": (
        spoilt(parts=lambda s: {"half": L1(s.strength / 2)}), "parts"),
    "parts in an order that is not the prox's": (
        spoilt(ElasticNet(0.4, 0.6), parts=lambda s: {"l2": L2(s.l2), "l1": L1(s.l1)}), "parts"),
    # each term by itself in the sources' formulas
    "L2 without its half": (
        spoilt(L2(0.7), value=lambda s, w: s.strength * np.square(w).sum()), "gradient = differences"),
    "L2's prox without its step": (
        spoilt(L2(0.7), prox=lambda s, v, t: v / (1 + s.strength)), "prox: brute force"),
    "L2's prox towards a center that it takes whole": (
        spoilt(L2(0.7, CENTER), prox=lambda s, v, t: (v + CENTER) / (1 + t * s.strength)),
        "prox: optimality"),
    "elastic net's prox shrinks twice": (
        spoilt(ElasticNet(0.4, 0.6), prox=lambda s, v, t: soft_threshold(v, t * s.l1) / (1 + 2 * t * s.l2)),
        "prox: brute force"),
    "group lasso's gradient without √|g|": (
        spoilt(GroupLasso(0.5), gradient=lambda s, w: GroupLasso(0.5, scale="none").gradient(w)),
        "gradient = autograd"),
    "nuclear norm's prox without its step": (
        spoilt(NuclearNorm(0.6), prox=lambda s, v, t: NuclearNorm(0.6).prox(v, 1.0)), "prox: brute force"),
    "path norm's gradient without its 2": (
        spoilt(PathNorm(0.3), gradient=lambda s, *w: tuple(g / 2 for g in PathNorm(0.3).gradient(*w))),
        "gradient = differences"),
    # right at almost every point
    "spectral norm's gradient as a sum over ties": (
        spoilt(SpectralNorm(0.9), gradient=_summed_over_ties), "subgradient inequality"),
    "group lasso's gradient that is NaN at a group of zeros": (
        spoilt(GroupLasso(0.5), gradient=lambda s, w: 0.5 * 3**0.5 * w / length_of_rows(w)),
        "subgradient inequality"),
    "a gradient that is NaN at 0, of what is not convex": (
        spoilt(SCAD(0.5), gradient=lambda s, w: Penalty.gradient(s, w) + 0 / w), "subgradient inequality"),
    "SCAD's prox without its middle": (
        spoilt(SCAD(0.5), prox=lambda s, v, t: np.where(np.abs(v) <= 1.85, soft_threshold(v, t * s.lam), v)),
        "prox: brute force"),
    "MCP's prox without its stretch": (
        spoilt(penalties.MCP(0.5), prox=lambda s, v, t: soft_threshold(v, t * s.strength)),
        "prox: brute force"),
    "MCP's gradient that does not fall": (
        spoilt(penalties.MCP(0.5), gradient=lambda s, w, out=None: s.strength * np.sign(w)),
        "gradient = autograd"),
    "log-sum's prox that is never 0 where it should jump": (
        spoilt(penalties.LogSum(0.5, eps=1), prox=lambda s, v, t: np.sign(v) * np.maximum(
            np.abs(v) - t * s.strength / (s.eps + np.abs(v)), 0)), "prox: brute force"),
    "log-sum's max_strength without its ε": (
        spoilt(penalties.LogSum(0.5, eps=3), max_strength=lambda s, g: np.abs(g).max()), "max_strength"),
    "orthogonality's gradient without its 4": (
        spoilt(penalties.Orthogonality(0.3), gradient=lambda s, w: 0.3 * w @ (w.T @ w - np.eye(3))),
        "gradient = autograd"),
    "orthogonality's prox that is a polar factor": (
        spoilt(penalties.Orthogonality(0.3), prox=lambda s, v, t: _rotated(v, np.ones_like)),
        "prox: brute force"),
    "total variation's prox that shrinks differences once": (
        spoilt(penalties.TotalVariation(0.3), prox=lambda s, v, t: v - t * s.gradient(v)),
        "prox: optimality"),
    "total variation's certificate that forgets the pieces": (
        spoilt(penalties.TotalVariation(0.3), subdiff_distance=lambda s, w, g: length(
            g + s.gradient(w))), "certificate: 0"),
    "a simplex that scales instead of projecting": (
        spoilt(penalties.Simplex(), prox=lambda s, v, t: (
            np.maximum(v, 1e-9) / np.maximum(v, 1e-9).sum())), "prox: firm"),
    "a simplex whose multiplier is for the positive weights only": (
        spoilt(penalties.Simplex(), subdiff_distance=lambda s, w, g: length(
            np.where(w > 0, g - g[w > 0].mean(), np.minimum(g - g[w > 0].mean(), 0)))),
        "certificate: limit"),
    "SLOPE's prox that is not pooled": (
        spoilt(penalties.SLOPE(0.3, np.arange(12, 0, -1)), prox=_not_pooled), "prox: brute force"),
    "SLOPE's largest weight for the smallest size": (
        spoilt(penalties.SLOPE(0.3, np.arange(12, 0, -1)), gradient=lambda s, w: (
            0.3 * (1.0 + np.argsort(np.argsort(-np.abs(w)))) * np.sign(w))), "gradient = autograd"),
    "a threshold with a constant in its value": (
        spoilt(NamedSCAD(0.5), value=lambda s, w: SCAD.value(s, w) + 0.1), "prox: identity"),
    # what a term does in its steps
    "a separable gradient added twice": (
        spoilt(L2(0.7), add_gradient=lambda s, w, total: np.add(
            total, 2 * s.strength * w, out=total)), "add_gradient"),
    "a mean that is called separable": (
        spoilt(separable=True, value=lambda s, w: s.strength * np.abs(w).mean(),
               gradient=lambda s, w, out=None: np.multiply(s.strength / w.size, np.sign(w), out=out)),
        "separable"),
    "a separable gradient of the whole": (
        spoilt(separable=True, gradient=lambda s, w, out=None: np.multiply(
            s.strength, np.sign(w - 0.1 * w.mean()), out=out)), "separable"),
    "a separable gradient that leaves out= as it is": (
        spoilt(L2(0.7), separable=True, gradient=lambda s, w, out=None: s.strength * w), "separable"),
    # of some sizes only
    "L2's gradient that is 0 for small weights": (
        spoilt(L2(0.7), gradient=lambda s, w, out=None: s.strength * np.where(np.abs(w) < 1e-3, 0, w)),
        "gradient = autograd"),
    "L2's gradient that is clipped": (
        spoilt(L2(0.7), gradient=lambda s, w, out=None: s.strength * np.clip(w, -5, 5)),
        "gradient = autograd"),
    "L1's gradient that is 0 for small weights": (
        spoilt(gradient=lambda s, w: s.strength * np.sign(w) * (np.abs(w) > 1e-3)),
        "gradient = differences"),
    "an exception": (spoilt(gradient=lambda s, w: w @ w @ w), "gradient = autograd"),
}  # fmt: skip


MOVED = {
    "translated": lambda b: translated(b, CENTER), "far": lambda b: translated(b, 10 * CENTER),
    "scaled": lambda b: scaled(b, 2.0, -1.5), "plus_quadratic": lambda b: plus_quadratic(b, 0.5, CENTER),
    "scaled, translated": lambda b: scaled(translated(b, CENTER), argument=2.0),
}  # fmt: skip


@pytest.mark.parametrize(
    "ball", [L2Ball(1.2), L1Ball(1.5), MaxNorm(0.7), SpectralBall(0.9), Box(-0.7, 0.6)],
    ids=lambda b: type(b).__name__,
)  # fmt: skip
@pytest.mark.parametrize(
    "rule", slow_unless({"translated", "scaled, translated"}.__contains__, MOVED)
)
def test_a_ball_that_was_moved_is_still_a_ball(rule, ball):
    """A step of 0 projects, so it is no identity outside; it was called wrong there."""
    report = check_penalty(MOVED[rule](ball), trials=3)
    assert report, report


def test_a_ball_that_is_never_reached_is_wrong():
    class Idle(Penalty):
        via = "prox"

        def value(self, w):
            return constant(
                np.where(np.abs(w.data if isinstance(w, Tensor) else w).max() > 1, np.inf, 0.0), w
            )

        def prox(self, v, step):
            return v

    report = check_penalty(Idle(), trials=3)
    assert report["effect: SGD via prox"].verdict == "wrong", report


@pytest.mark.parametrize("fault", slow_unless({*(*FAULTS,)[::3]}.__contains__, FAULTS))
def test_planted_fault_is_caught(fault):
    penalty, check = FAULTS[fault]
    with np.errstate(all="ignore"):
        report = check_penalty(penalty, trials=4)
    assert not report
    assert report[check].verdict == "wrong", report


def test_the_unspoilt_passes():
    assert check_penalty(Lasso()), check_penalty(Lasso())


def test_every_check_has_a_planted_fault():
    caught = {check for _, check in FAULTS.values()}
    effects = {f"effect: {name} via {via}" for name in OPTIMIZERS for via in ("gradient", "prox")}
    follows = {"prox: Moreau"}  # from optimality
    complete("FAULTS in tests/check/test_penalty_check.py", caught, set(CHECKS) - effects - follows)
    assert caught <= set(CHECKS)


def test_what_cannot_be_checked_is_said():
    class Nothing(Penalty):
        pass

    with pytest.raises(TypeError, match="Nothing does not define value"):
        check_penalty(Nothing())
    with pytest.raises(ValueError, match=r"a weight of shape \(0, 3\) has no elements"):
        check_penalty(L2(0.5), (0, 3))


ODD = {
    "a group lasso beside a stronger L1": (SparseGroupLasso(1.0, l1=5.0), {}),
    "a small threshold": (penalties.MCP(1e-6), {}), "and another": (penalties.SCAD(1e-6), {}),
    "a small ball": (L2Ball(1e-6), {}), "a small simplex": (penalties.Simplex(1e-6), {}),
    "a large simplex": (penalties.Simplex(100.0), {}),
    "one element": (penalties.Orthogonality(0.5), {"shape": (1, 1), "trials": 4}),
    "a small eps": (penalties.LogSum(1e-6, eps=1e-6), {}), "weak": (L0(1e-6), {}),
}  # fmt: skip


@pytest.mark.parametrize("label", ODD)
def test_a_right_penalty_of_odd_size_passes(label):
    penalty, options = ODD[label]
    report = check_penalty(penalty, **{"trials": 6, **options})
    assert report, report


class Long(L1):
    """Right for steps up to 3."""

    def prox(self, v, step):
        return super().prox(v, min(step, 3.0))


class Short(L1):
    """Right for steps from 0.01 on."""

    def prox(self, v, step):
        return super().prox(v, max(step, 0.01))


class Near(L1):
    """Right up to |w| = 40."""

    separable = False

    def gradient(self, w):
        return np.where(np.abs(w) > 40, 0, super().gradient(w))


@pytest.mark.parametrize("kind", [Long, Short, Near])
def test_what_is_right_at_some_sizes_only_is_found(kind):
    for seed in range(5):
        assert not check_penalty(kind(0.5), seed=seed)


def test_the_report_says_up_to_which_step_it_asked():
    note = check_penalty(penalties.MCP(0.5, gamma=3.0))["prox: brute force"].note
    assert "steps up to 2 < 1/ρ, Ω bends down by ρ ≈ 0.33" in note, note


def test_misuse():
    with pytest.raises(TypeError, match="expected a Penalty instance"):
        check_penalty(L1)


# --- identities -------------------------------------------------------------------------------


def points(n=50, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(4, 3)) * rng.uniform(0.3, 3), float(rng.uniform(0.05, 2)))
        for _ in range(n)
    ]


def diagonal(f):
    """A penalty of a vector as one of the diagonal matrix with it."""
    return lambda v, t: np.diag(f(np.diag(v), t))


IDENTITIES = {
    "groups of one = L1": (
        lambda v, t: GroupLasso(0.6, groups=[[i] for i in range(12)]).prox(v, t), L1(0.6).prox),
    "one group of all, unscaled = FrobeniusNorm": (
        GroupLasso(0.6, axis=None, scale="none").prox, FrobeniusNorm(0.6).prox),
    "elastic net with l2 = 0 is L1": (ElasticNet(0.6, 0.0).prox, L1(0.6).prox),
    "elastic net with l1 = 0 is L2": (ElasticNet(0.0, 0.6).prox, L2(0.6).prox),
    "elastic net is L1 plus a quadratic": (ElasticNet(0.4, 0.7).prox, plus_quadratic(L1(0.4), 0.7).prox),
    "sparse group without l1 = group": (SparseGroupLasso(0.6, 0.0).prox, GroupLasso(0.6).prox),
    "sparse group without group = L1": (SparseGroupLasso(0.0, 0.6).prox, L1(0.6).prox),
    "spectral norm of one row = its length": (
        lambda v, t: SpectralNorm(0.6).prox(v[:1], t), lambda v, t: FrobeniusNorm(0.6).prox(v[:1], t)),
    "nuclear norm of one column = its length": (
        lambda v, t: NuclearNorm(0.6).prox(v[:, :1], t), lambda v, t: FrobeniusNorm(0.6).prox(v[:, :1], t)),
    "scaling twice": (scaled(scaled(L1(0.3), 2.0), argument=-3.0).prox, L1(1.8).prox),
    "slope with equal weights = L1": (penalties.SLOPE(0.3, np.full(12, 2.0)).prox, L1(0.6).prox),
    "translating there and back": (translated(translated(L1(0.3), CENTER), -CENTER).prox, L1(0.3).prox),
    "a center is a translation": (L2(0.6, center=CENTER).prox, translated(L2(0.6), CENTER).prox),
    # conjugates: the dual ball, and a quadratic
    "conjugate of L1 = box": (conjugate(L1(0.6)).prox, Box(-0.6, 0.6).prox),
    "R = I is L2": (Quadratic(0.6, np.eye(12), CENTER).prox, L2(0.6, CENTER).prox),
    "R diagonal is L2 with weights": (
        Quadratic(0.6, np.diag(np.arange(12))).prox, L2(0.6, weight=np.arange(12.0).reshape(4, 3)).prox),
    "conjugate of group = dual balls": (conjugate(GroupLasso(0.6, scale="none")).prox, MaxNorm(0.6).prox),
    "conjugate of Frobenius = ball": (conjugate(FrobeniusNorm(0.6)).prox, L2Ball(0.6).prox),
    "conjugate of nuclear = spectral ball": (conjugate(NuclearNorm(0.6)).prox, SpectralBall(0.6).prox),
    "conjugate of the L1 ball": (
        lambda v, t: conjugate(L1Ball(0.6)).prox(v, t),
        lambda v, t: v - L1Ball(0.6 * t).prox(v, 1.0)),
    "conjugate of ½λ‖·‖² = ‖·‖²/2λ": (conjugate(L2(0.6)).prox, L2(1 / 0.6).prox),
    "conjugate of the conjugate": (conjugate(conjugate(GroupLasso(0.6))).prox, GroupLasso(0.6).prox),
}  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity(name):
    left, right = IDENTITIES[name]
    for v, t in points():
        np.testing.assert_allclose(left(v, t), right(v, t), rtol=0, atol=1e-10)


def test_matrix_norms_of_a_diagonal_are_norms_of_the_vector():
    for v, t in points(20):
        d = np.diag(v[:, 0])
        np.testing.assert_allclose(
            NuclearNorm(0.6).prox(d, t), np.diag(L1(0.6).prox(v[:, 0], t)), atol=1e-12
        )
        box = np.clip(v[:, 0], -0.6, 0.6)
        np.testing.assert_allclose(SpectralBall(0.6).prox(d, t), np.diag(box), atol=1e-12)
        assert abs(NuclearNorm(0.6).value(d) - L1(0.6).value(v[:, 0])) < 1e-12


def test_conjugate_has_no_value_and_says_so():
    with pytest.raises(NotImplementedError, match="its prox has"):
        conjugate(L1(1.0)).value(np.ones(3))
