"""get_params and set_params: what a penalty was made with, as scikit-learn's estimators have it."""

import copy
import pickle

import numpy as np
import pytest
from support.arrays import draw
from support.device import PENALTIES

import minireg as mr
from minireg.penalties import (
    L1,
    L2,
    SLOPE,
    Box,
    Coefficient,
    Composed,
    ElasticNet,
    GroupLasso,
    L1Ball,
    MaxNorm,
    PathNorm,
    Penalty,
    Quadratic,
    SparseGroupLasso,
    Strength,
    conjugate,
    plus_quadratic,
    scaled,
    translated,
)

SHIPPED = {f"{n} {i}": make("numpy") for n, row in PENALTIES.items() for i, make in enumerate(row)}
MADE_BY_CALL = {n: p for n, p in SHIPPED.items() if not isinstance(p, Composed)}
RULES = {
    "scaled": lambda p: scaled(p, 2.0, 3.0),
    "translated": lambda p: translated(p, 0.5),
    "plus_quadratic": lambda p: plus_quadratic(p, 0.3),
    "twice": lambda p: scaled(translated(p, 0.5), 2.0),
}
W = draw(4, 3)


def found(penalty, w=W):
    """Value, gradient and prox, where it has them."""
    answers = []
    for ask in (penalty.value, penalty.gradient, lambda v: penalty.prox(v, 0.5)):
        try:
            answers.append(ask(w))
        except NotImplementedError:
            answers.append(None)
    return answers


def same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def equal(a, b):
    """The same penalty by another object."""
    assert a is not b
    assert type(a) is type(b)
    assert repr(a) == repr(b)
    assert (a.separable, a.shapes, a.text) == (b.separable, b.shapes, b.text)
    w = W if not isinstance(a, PathNorm) else draw(3, 3)
    same(found(a, w), found(b, w))


# --- laws over all that is shipped ----------------------------------------------------------------


@pytest.mark.parametrize("name", MADE_BY_CALL)
def test_the_class_called_with_its_parameters_makes_an_equal_one(name):
    penalty = MADE_BY_CALL[name]
    equal(penalty, type(penalty)(**penalty.get_params()))


@pytest.mark.parametrize("name", SHIPPED)
def test_parameters_set_to_themselves_change_nothing(name):
    penalty, before = copy.deepcopy(SHIPPED[name]), found(SHIPPED[name])
    assert penalty.set_params(**penalty.get_params()) is penalty
    same(found(penalty), before)


@pytest.mark.parametrize("name", [n for n in SHIPPED if "strength" in str(SHIPPED[n].get_params())])
def test_another_strength_is_that_of_one_made_with_it(name):
    penalty = copy.deepcopy(SHIPPED[name])
    (key,) = [k for k in penalty.get_params() if k.endswith("strength")]
    penalty.set_params(**{key: 0.7})
    assert penalty.get_params()[key] == 0.7
    if name in MADE_BY_CALL:
        equal(penalty, type(penalty)(**SHIPPED[name].get_params() | {key: 0.7}))
    else:
        assert found(penalty)[0] != found(SHIPPED[name])[0]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_copy_is_equal_and_apart(name):
    penalty = SHIPPED[name]
    before, twin = found(penalty), copy.deepcopy(penalty)
    same(found(twin), before)
    for key, value in twin.get_params().items():
        if isinstance(value, float) and key.endswith(("strength", "radius", "l1")):
            twin.set_params(**{key: 2 * value + 1})
            assert penalty.get_params()[key] == value
    same(found(penalty), before)


@pytest.mark.parametrize("name", SHIPPED)
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    penalty = SHIPPED[name]
    with pytest.raises(ValueError, match=r"typo.*expected some of"):
        penalty.set_params(typo=1.0)


# --- what is validated, and what is derived from arguments ----------------------------------------


@pytest.mark.parametrize(
    ("penalty", "params", "error"),
    [
        (L1(0.5), {"strength": -1.0}, ValueError),
        (ElasticNet(0.5, 0.5), {"l1": 2.0, "l2": float("nan")}, ValueError),
        (GroupLasso(0.5), {"scale": "half"}, ValueError),
        (GroupLasso(0.5, axis=0), {"groups": [[0, 1]]}, ValueError),
        (MaxNorm(1.0), {"axis": "rows"}, TypeError),
        (L2(0.5), {"strength": 1.0, "weight": [-1.0]}, ValueError),
    ],
)
def test_a_refused_argument_changes_nothing(penalty, params, error):
    before = penalty.get_params()
    with pytest.raises(error):
        penalty.set_params(**params)
    assert penalty.get_params() == before


def test_what_follows_from_an_argument_follows_it():
    penalty = GroupLasso(0.5).set_params(axis=0, scale="none")
    equal(penalty, GroupLasso(0.5, axis=0, scale="none"))
    assert GroupLasso(0.5).set_params(groups=[[0, 2], [1]]).get_params()["groups"] == [[0, 2], [1]]
    assert not L2(0.5).set_params(center=1.0).separable
    assert SparseGroupLasso(0.5, 0.1, axis=None).get_params()["axis"] is None
    assert L1Ball(1.0).get_params() == {"radius": 1.0}


def test_a_scheduled_strength_is_its_coefficient():
    warm = Coefficient(lambda t: 0.1 * t)
    penalty = ElasticNet(warm, 0.5)
    assert penalty.get_params() == {"l1": warm, "l2": 0.5}
    assert penalty.set_params(l2=1.0).coefficients() == [warm]
    assert penalty.set_params(l1=0.25).coefficients() == []
    assert scaled(L1(warm)).get_params() == {"inner__strength": warm}


def test_arrays_are_copied_again():
    center = np.ones(3)
    penalty = L2(0.5, center=center)
    twin = L2(**penalty.get_params())
    assert twin.center is not penalty.center


# --- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_follows_its_inner_penalty(rule):
    penalty = copy.deepcopy(RULES[rule](L1(0.5)))
    (key,) = penalty.get_params()
    assert penalty.get_params(deep=False) == {}
    penalty.set_params(**{key: 0.125})
    same(found(penalty), found(RULES[rule](L1(0.125))))
    assert repr(penalty) == repr(RULES[rule](L1(0.125)))


def test_the_copy_of_a_conjugate_has_its_own_penalty():
    penalty = conjugate(L1(0.5))
    twin = copy.deepcopy(penalty).set_params(inner__strength=0.25)
    np.testing.assert_array_equal(twin.prox(W, 1.0), np.clip(W, -0.25, 0.25))
    np.testing.assert_array_equal(penalty.prox(W, 1.0), np.clip(W, -0.5, 0.5))


def test_the_schedule_of_a_copied_rule_is_the_copy_s():
    penalty = copy.deepcopy(scaled(L1(Coefficient(lambda t: float(t)))))
    for coefficient in penalty.coefficients():
        coefficient.step()
    assert penalty.value(np.ones(2)) == 2.0


def test_a_rule_keeps_what_it_was_made_with():
    with pytest.raises(ValueError, match=r"\['factor'\], expected some of \['inner__strength'\]"):
        scaled(L1(0.5)).set_params(factor=2.0)


# --- strengths that change, within penalties within penalties -----------------------------------------


class Sum(Penalty):
    def __init__(self, first, *others):
        self.first, self.others = first, others

    def value(self, w):
        return sum(penalty.value(w) for penalty in (self.first, *self.others))


SCHEDULED = [n for n, p in MADE_BY_CALL.items() if {"strength", "radius"} & p.get_params().keys()]


@pytest.mark.parametrize("name", SCHEDULED)
def test_an_update_moves_the_strengths_within_a_penalty(name):
    key = "strength" if "strength" in MADE_BY_CALL[name].get_params() else "radius"
    made, coefficients = [], []
    for start in (1.0, 2.0):
        coefficients.append(Coefficient(lambda t, start=start: start + t))
        params = MADE_BY_CALL[name].get_params() | {key: coefficients[-1]}
        made.append(type(MADE_BY_CALL[name])(**params))
    for own in (Sum(*made), Sum(L1(0.5), *made), Sum(Sum(made[0]), made[1]), Sum(*made, made[0])):
        before = [c.updates for c in coefficients]
        assert sorted(map(float, own.coefficients())) == [float(c) for c in coefficients]
        mr.Objective(mr.nn.MSELoss(), {"own": own}).step()
        assert [c.updates for c in coefficients] == [n + 1 for n in before]


# --- a penalty of one's own -----------------------------------------------------------------------


class Ridge(Penalty):
    strength = Strength()

    def __init__(self, strength, power=2):
        self.strength, self.power = strength, power

    def value(self, w):
        return self.strength * (w**self.power).sum()


class Forgetful(Penalty):
    def __init__(self, lam):
        self._lam = lam


def test_a_penalty_of_one_s_own_has_parameters_too():
    assert Ridge(0.5).get_params() == {"strength": 0.5, "power": 2}
    assert Ridge(0.5).set_params(power=4).value(2 * np.ones(1)) == 8
    with pytest.raises(
        AttributeError, match=r"'lam' is not kept; in __init__ write self.lam = lam"
    ):
        Forgetful(1.0).get_params()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("twin", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_rule_is_copied_and_pickled_with_a_penalty_of_its_own(rule, twin):
    made = scaled(RULES[rule](L1(0.3)), 2.0)
    other, v = twin(made), np.array([1.0, -2.0])
    np.testing.assert_array_equal(other.prox(v, 0.5), made.prox(v, 0.5))
    assert repr(other) == repr(made)
    (key,) = made.get_params()
    other.set_params(**{key: 0.9})
    assert (other.prox(v, 0.5) != made.prox(v, 0.5)).any()
    assert made.get_params() == {key: 0.3}


@pytest.mark.parametrize(
    "make",
    [
        lambda c: Box(c, c),
        lambda c: L2(1e300, center=c),
        lambda c: translated(L1(50.0), c),
        lambda c: plus_quadratic(L1(0.0), 1e300, c),
        lambda c: L2(1.0, weight=c),
        lambda c: Quadratic(1e300, [[1.0]], center=c),
        lambda c: Quadratic(1.0, c),
        lambda c: SLOPE(1.0, c[0]),
    ],
)
def test_a_list_is_kept_in_float64(make):
    v = np.full((1, 1), 0.5)
    np.testing.assert_array_equal(make([[0.1]]).prox(v, 1.0), make(np.array([[0.1]])).prox(v, 1.0))
