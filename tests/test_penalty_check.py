"""check_penalty: every shipped penalty passes, and every planted fault is caught where it should be."""

import copy

import numpy as np
import pytest

from minireg import penalties
from minireg.penalties import (
    L0,
    L1,
    L2,
    ElasticNet,
    FrobeniusNorm,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NuclearNorm,
    PathNorm,
    Penalty,
    SparseGroupLasso,
    SpectralBall,
    SpectralNorm,
    Strength,
    conjugate,
    plus_quadratic,
    scaled,
    soft_threshold,
    translated,
)  # fmt: skip
from minireg.penalty_check import CHECKS, OPTIMIZERS, check_penalty

CENTER = np.random.default_rng(0).normal(size=(4, 3))
SHIPPED = {
    "L2": L2(0.7), "L2, center, weight": L2(0.7, CENTER, np.abs(CENTER)), "L1": L1(0.7), "L0": L0(0.5),
    "ElasticNet": ElasticNet(0.4, 0.6), "GroupLasso rows": GroupLasso(0.5),
    "GroupLasso columns": GroupLasso(0.5, axis=0, scale="none"), "GroupLasso all": GroupLasso(0.3, axis=None),
    "GroupLasso groups": GroupLasso(0.5, groups=[[0, 5, 2], [7, 1]]),
    "SparseGroupLasso": SparseGroupLasso(0.3, 0.4), "FrobeniusNorm": FrobeniusNorm(0.8),
    "SpectralNorm": SpectralNorm(0.9), "NuclearNorm": NuclearNorm(0.6), "PathNorm": PathNorm(0.3),
    "L2Ball": L2Ball(1.2), "L1Ball": L1Ball(1.5), "MaxNorm": MaxNorm(0.7), "SpectralBall": SpectralBall(0.9),
    "plus_quadratic": plus_quadratic(NuclearNorm(0.4), 0.5, CENTER),
    "translated": translated(L1(0.4), CENTER), "scaled": scaled(GroupLasso(0.5), 2.0, -1.5),
}  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_penalty_passes(name):
    report = check_penalty(SHIPPED[name])
    assert report, report


def test_every_penalty_is_checked():
    """A new public penalty fails here until it has a row."""
    classes = {n for n in penalties.__all__ if isinstance(getattr(penalties, n), type)}
    kinds = {c for c in classes if issubclass(getattr(penalties, c), Penalty)} - {
        "Penalty",
        "Composed",
    }
    assert kinds == {type(p).__name__ for p in SHIPPED.values()} - {"Composed"}


def test_report_reads_as_a_table():
    report = check_penalty(L1(0.5), trials=3)
    lines = str(report).splitlines()
    assert lines[0] == "L1(0.5): λ‖w‖₁"
    assert lines[1].startswith("ok")
    assert len(lines) == 2 + len(CHECKS)
    assert report["prox: firm"].verdict == "ok"
    assert check_penalty(PathNorm(0.3), trials=3)["prox: brute force"].verdict == "n/a"


def test_a_penalty_of_ten_lines_is_enough():
    class Huber(Penalty):
        """λ Σ of w²/2 up to |w| = 1, |w| − ½ beyond."""

        strength = Strength()

        def __init__(self, strength):
            self.strength = strength

        def value(self, w):
            size = np.abs(w)
            return self.strength * np.where(size <= 1, 0.5 * w * w, size - 0.5).sum()

        def prox(self, v, step):
            k = step * self.strength
            return np.where(np.abs(v) <= 1 + k, v / (1 + k), soft_threshold(v, k))

    report = check_penalty(Huber(0.5))
    assert report, report
    assert report["gradient = autograd"].figure == 0.0  # derived from value
    np.testing.assert_allclose(Huber(0.5).gradient(np.array([0.5, 3.0])), [0.25, 0.5])


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


def spoilt(right=None, **methods):
    """A right penalty (a Lasso) with other methods."""
    right = right or Lasso()
    penalty = copy.copy(right)
    penalty.__class__ = type("Spoilt", (type(right),), methods)
    return penalty


def _changes_its_input(self, v, step):
    v[...] = soft_threshold(v, step * self.strength)
    return v


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
    "an exception": (spoilt(gradient=lambda s, w: w @ w @ w), "gradient = autograd"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(fault):
    penalty, check = FAULTS[fault]
    with np.errstate(all="ignore"):
        report = check_penalty(penalty)
    assert not report
    assert report[check].verdict == "wrong", report


def test_the_unspoilt_passes():
    assert check_penalty(Lasso()), check_penalty(Lasso())


def test_every_check_has_a_planted_fault():
    caught = {check for _, check in FAULTS.values()}
    effects = {f"effect: {name} via {via}" for name in OPTIMIZERS for via in ("gradient", "prox")}
    assert set(CHECKS) - effects - caught <= {"prox: Moreau"}  # follows from optimality
    assert caught <= set(CHECKS)


def test_an_empty_penalty_is_not_ok():
    class Nothing(Penalty):
        pass

    assert not check_penalty(Nothing())


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
    "translating there and back": (translated(translated(L1(0.3), CENTER), -CENTER).prox, L1(0.3).prox),
    "a center is a translation": (L2(0.6, center=CENTER).prox, translated(L2(0.6), CENTER).prox),
    # conjugates: the dual ball, and a quadratic
    "conjugate of L1 = box": (conjugate(L1(0.6)).prox, lambda v, t: np.clip(v, -0.6, 0.6)),
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
