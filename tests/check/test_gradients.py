"""The checkers are checked: planted wrong rules, kinks, noise, and misuse."""

from __future__ import annotations

import dataclasses
import importlib.util

import numpy as np
import pytest

import minireg as mr
from minireg.check.gradients import KINK, OK, PRECISION, WRONG, gradcheck, gradgradcheck

CHECKS = {"order 1": gradcheck, "order 2": gradgradcheck}


def raw(x):
    """What a rule must not do: take the array out of the graph."""
    return x.data if isinstance(x, mr.Tensor) else x


def wrong_exp(factor=1.001):
    return mr.op("wrong_exp", lambda x: np.exp(x), lambda g, y, x: g * y * factor)


def wrong_product():
    return mr.op(
        "wrong_product",
        lambda a, b: a * b,
        lambda g, y, a, b: g * b,
        lambda g, y, a, b: g * a * 1.001,
    )


# --- right functions pass --------------------------------------------------------------------

SMOOTH = {
    "polynomial": lambda x: x**3 - 2 * x,
    "network": lambda x: mr.tanh(x @ x.T).sum(axis=0),
    "logsumexp": lambda x: mr.logsumexp(x, axis=1),
    "scalar": lambda x: (x * x).mean(),
    "fused": lambda x: mr.ops.fused.linear(x, x * 2.0),
    "two outputs": lambda x: (mr.sin(x), mr.cos(x).sum()),
    "reuses its input": lambda x: x * x + x.exp() * x,
    "constant": lambda x: x * 0.0 + 1.0,
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("order", CHECKS)
@pytest.mark.parametrize("directional", [False, True])
def test_right_gradients_are_ok(name, order, directional, rng):
    report = CHECKS[order](SMOOTH[name], rng.normal(size=(3, 4)), directional=directional)
    assert report
    assert report.verdict == OK, report


@pytest.mark.parametrize("name", ["polynomial", "network", "scalar", "two outputs", "constant"])
@pytest.mark.parametrize("order", CHECKS)
def test_the_complex_step_agrees_to_the_last_digits(name, order, rng):
    report = CHECKS[order](
        SMOOTH[name], rng.normal(size=(3, 4)), method="complex", rtol=1e-14, atol=1e-14
    )
    assert report.verdict == OK, report


def test_extremes_of_scale_are_ok(rng):
    """Units do not matter, nor do extrema, flat points or strong curvature."""
    x = rng.normal(size=4)
    for fn, point in [
        (lambda x: 1e-12 * (x**2).sum(), x),
        (lambda x: 1e12 * (x**2).sum(), x),
        (lambda x: (x**2).sum(), 1e8 * x),
        (lambda x: (x**2).sum(), 0 * x),
        (lambda x: (x**3).sum(), 0 * x),
        (lambda x: mr.sin(1e5 * x), x),
        (lambda x: 1.0 / x, np.array([1e-3, 1e3])),
    ]:
        report = gradcheck(fn, point)
        assert report.verdict == OK, report
        assert report.worst.numeric == pytest.approx(report.worst.analytic, rel=1e-7, abs=1e-9)


def test_a_wave_too_short_for_any_step_is_not_called_wrong(rng):
    """A period of 6e-6: the smallest step still tells little, and the report says so."""
    report = gradcheck(lambda x: mr.sin(1e6 * x), rng.normal(size=4))
    assert report.verdict == PRECISION, report


# --- wrong rules are found -------------------------------------------------------------------


@pytest.mark.parametrize("method", ["central", "complex"])
@pytest.mark.parametrize("order", CHECKS)
@pytest.mark.parametrize("directional", [False, True])
def test_a_factor_of_1_001_is_found(method, order, directional, table, rng):
    x = rng.normal(size=(2, 3))
    report = CHECKS[order](wrong_exp(), x, method=method, directional=directional)
    assert report.verdict == WRONG
    assert not report
    assert report.worst.analytic == pytest.approx(1.001 * report.worst.numeric, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_a_factor_of_1_001_is_found_in_any_units(scale, table, rng):
    op = wrong_exp()
    assert gradcheck(lambda x: scale * op(x), rng.normal(size=3)).verdict == WRONG


def test_a_factor_of_1_001_is_found_in_large_inputs(table, rng):
    op = wrong_exp()
    for x in (rng.normal(size=1000), rng.normal(size=5000)):
        assert gradcheck(op, x).verdict == WRONG
        assert gradgradcheck(op, x).verdict == WRONG


def test_a_sign_error_is_found(table, rng):
    op = mr.op("wrong_cos", lambda x: np.cos(x), lambda g, y, x: g * mr.sin(x))
    report = gradcheck(op, rng.normal(size=3))
    assert report.verdict == WRONG
    assert report.worst.analytic == pytest.approx(-report.worst.numeric)


def test_only_the_wrong_input_is_blamed(table, rng):
    report = gradcheck(wrong_product(), (rng.normal(size=3), rng.normal(size=3)))
    assert [i.verdict for i in report.inputs] == [OK, WRONG]
    assert report.worst.argument == 1


def test_the_wrong_entry_is_named(table):
    """One wrong entry of the Jacobian: output and input index, both figures and both sides."""

    def rule(g, y, x):
        factor = np.ones((2, 3))
        factor[1, 2] = 1.01
        return g * factor * 2 * x

    square = mr.op("square_but_one", lambda x: x * x, rule)
    report = gradcheck(lambda weight: square(weight), np.arange(1.0, 7.0).reshape(2, 3))
    worst = report.worst
    assert (worst.argument, worst.name, worst.index) == (0, "weight", (1, 2))
    assert worst.output == (0, (1, 2))
    assert worst.analytic == pytest.approx(12.12)
    assert worst.numeric == pytest.approx(12)
    assert worst.left < worst.numeric < worst.right
    assert worst.left == pytest.approx(12, rel=1e-5)
    text = "d output 0[1, 2] / d weight[1, 2]: analytic 12.12, numeric 12, one-sided 11.99"
    assert text in str(report)
    assert repr(report) == str(report)


def test_the_worst_entry_is_the_one_that_is_furthest_off(table):
    factors = np.array([1.0, 1.01, 1.5, 1.01])
    op = mr.op("uneven", lambda x: x * 2, lambda g, y, x: g * 2 * factors)
    assert gradcheck(lambda x: op(x).sum(), np.ones(4)).worst.index == (2,)


def test_a_forgotten_sum_over_a_broadcast_axis_is_found(table, rng):
    """What an engine without unbroadcasting would do: hand on one row of the gradient."""
    op = mr.op(
        "add_bias",
        lambda x, b: x + b,
        lambda g, y, x, b: g,
        lambda g, y, x, b: g[0],
    )
    report = gradcheck(op, (rng.normal(size=(4, 3)), rng.normal(size=3)))
    assert [i.verdict for i in report.inputs] == [OK, WRONG]


def test_a_dropped_gradient_is_found(table, rng):
    x = rng.normal(size=3)
    report = gradcheck(lambda x: x.detach() * x, x)
    assert report.verdict == WRONG
    assert gradcheck(lambda x, y: x + y.detach(), (x, x)).worst.argument == 1
    silent = mr.op("silent", lambda x: x * 2, lambda g, y, x: None)
    assert gradcheck(silent, x).verdict == WRONG


@pytest.mark.parametrize("value", [np.abs, np.square])
def test_a_nan_gradient_is_wrong_only_where_it_is(value, table):
    bad = mr.op("bad", lambda x: value(x), lambda g, y, x: g * y / x * (1 + (value is np.square)))
    with np.errstate(invalid="ignore"):
        report = gradcheck(bad, np.array([1.0, 0.0]))
    assert report.verdict == WRONG
    assert report.worst.index == (1,)
    assert np.isnan(report.worst.analytic)


def test_a_rule_that_forgets_its_own_input_passes_once_and_fails_twice(table, rng):
    """First order right, but the rule hides from the graph what it depends on."""
    op = mr.op("stuck", lambda x: x**3, lambda g, y, x: g * (3 * raw(x) ** 2))
    x = rng.normal(size=(2, 2))
    assert gradcheck(op, x).verdict == OK
    for directional in (False, True):
        report = gradgradcheck(op, x, directional=directional)
        assert [i.verdict for i in report.inputs] == [WRONG, OK]
        assert [i.name for i in report.inputs] == ["x", "grad_output"]


@pytest.mark.parametrize("directional", [False, True])
def test_a_fused_op_is_held_to_its_definition(directional, table, rng):
    """The fast rule is right; the definition, which higher orders use, is off by 0.1 %."""
    op = mr.op(
        "fused_square",
        lambda x: (x * x, None),
        backward=lambda g, y, saved, needs, x: (g * 2 * x,),
        definition=lambda x: 1.001 * x * x,
    )
    x = rng.normal(size=3)
    assert gradcheck(op, x, directional=directional).verdict == OK
    assert gradgradcheck(op, x, directional=directional).verdict == WRONG


def test_a_wrong_output_among_many_is_found(table, rng):
    """More outputs than are weighed one by one: the random weighing still sees it."""
    op = wrong_exp()

    def fn(x):
        y = mr.concatenate([mr.exp(x), mr.sin(x), mr.cos(x)])
        return mr.concatenate([y, op(x[:1])])

    report = gradcheck(fn, rng.normal(size=40))
    assert report.verdict == WRONG
    assert report.worst.index == (0,)
    assert report.worst.output is None


def test_many_outputs_are_not_weighed_evenly(table, rng):
    """Summed, the entries of a softmax are constant, and no wrong rule would show."""

    def softmax(x):
        e = np.exp(x - x.max())
        return e / e.sum()

    def rule(g, y, x):
        return 1.001 * y * (g - (g * y).sum())

    op = mr.op("wrong_softmax", softmax, rule)
    assert gradcheck(op, rng.normal(size=100)).verdict == WRONG


# --- kinks -----------------------------------------------------------------------------------

KINKS = {
    "abs": (mr.abs, [0.0, 1.0]),
    "relu": (mr.relu, [0.0, 1.0, -1.0]),
    "leaky_relu": (mr.leaky_relu, [0.0, 2.0]),
    "maximum": (lambda x: mr.maximum(x, 1.0), [1.0, 0.0]),
    "max": (lambda x: mr.max(x), [2.0, 2.0, 1.0]),
    "min": (lambda x: mr.min(x), [2.0, 0.0, 0.0]),
    "clip": (lambda x: mr.clip(x, -1.0, 1.0), [1.0, 0.5, -1.0]),
    "norm": (lambda x: mr.std(x), [1.0, 1.0]),
    "elastic net": (lambda w: (0.1 * mr.abs(w) + 0.5 * w * w).sum(), [0.0, 1.0]),
    "bent both ways": (lambda x: (mr.relu(x), -mr.relu(x)), [0.0]),
    "bent twice, weighed": (lambda x: mr.concatenate([mr.abs(x), mr.relu(x)] * 40), [0.0, 1.0]),
    "a hair away": (mr.abs, [1e-7, 1.0]),
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("directional", [False, True])
def test_a_subgradient_at_a_kink_is_accepted_and_said(name, directional):
    fn, x = KINKS[name]
    report = gradcheck(fn, np.array(x), directional=directional)
    assert report
    assert report.verdict == KINK, report


def test_a_kink_shows_both_sides():
    worst = gradcheck(mr.relu, np.array([0.0, 3.0])).worst
    assert (worst.analytic, worst.numeric, worst.left, worst.right) == (0.0, 0.5, 0.0, 1.0)
    assert worst.index == (0,)


@pytest.mark.parametrize("slope", [-0.01, 1.01])
@pytest.mark.parametrize("x", [0.0, 1e-7, -1e-7])
def test_outside_the_subdifferential_is_wrong(slope, x, table):
    op = mr.op(
        "wrong_relu",
        lambda x: np.maximum(x, 0),
        lambda g, y, x: np.where(x > 1e-6, g, np.where(x < -1e-6, 0, g * slope)),
    )
    assert gradcheck(op, np.array([x, 1.0, -1.0])).verdict == WRONG


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_any_value_inside_the_subdifferential_is_accepted(slope, table):
    op = mr.op(
        "some_relu",
        lambda x: np.maximum(x, 0),
        lambda g, y, x: np.where(x > 0, g, np.where(x < 0, 0, g * slope)),
    )
    assert gradcheck(op, np.array([0.0, 1.0, -1.0])).verdict == KINK


def test_differently_bent_outputs_do_not_cancel():
    """Weighed together, slopes −w₁ … w₁ + w₂ need not include the gradient 0."""
    for seed in range(10):
        report = gradcheck(
            lambda x: mr.concatenate([mr.abs(x)] + [mr.relu(x)] * 79), np.zeros(1), seed=seed
        )
        assert report.verdict == KINK, report


def test_a_kink_does_not_excuse_a_wrong_entry_elsewhere(table):
    op = mr.op("wrong_abs", np.absolute, lambda g, y, x: g * np.sign(x) * 1.001)
    report = gradcheck(op, np.array([0.0, 2.0]))
    assert report.verdict == WRONG
    assert report.worst.index == (1,)


@pytest.mark.parametrize("x", [3e-6, -1e-5, 1e-4])
def test_a_kink_that_shorter_steps_avoid_is_none(x):
    assert gradcheck(mr.abs, np.array([x, 1.0])).verdict == OK


def test_curvature_is_not_a_kink():
    """The one-sided slopes differ wherever fn is curved; only a kink keeps the difference."""
    assert gradcheck(lambda x: 1e4 * x * x, np.array([0.0, 1e-3])).verdict == OK
    op = gradcheck(lambda x: mr.softplus(1e3 * x), np.array([0.0]))
    assert op.verdict == OK, op


# --- rounding noise --------------------------------------------------------------------------


def single(fn):
    """fn computed in float32 on its way."""
    return lambda x: fn(x.astype(np.float32)).astype(np.float64)


@pytest.mark.parametrize("fn", [mr.exp, mr.tanh, lambda x: mr.logsumexp(x)])
def test_float32_inside_is_reported_as_precision(fn, rng):
    report = gradcheck(single(fn), rng.normal(size=6))
    assert report
    assert report.verdict == PRECISION, report


def test_values_that_fit_a_narrower_type_are_reported_as_precision(rng):
    """Along 1 + x/1000 no difference shows that the values are rounded; their type does."""
    assert gradcheck(single(lambda x: 1.0 + 1e-3 * x), rng.normal(size=6)).verdict == PRECISION
    half = gradcheck(lambda x: mr.exp(x.astype(np.float16)), rng.normal(size=6))
    assert half.verdict == PRECISION, half


def test_float32_deep_inside_is_reported_as_precision():
    """The values are float64 again, so only their differences show the noise."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        report = gradcheck(
            lambda x, w: mr.tanh(0.37 * single(mr.exp)(x @ w).sum(axis=-1)),
            (rng.normal(size=(4, 3)), rng.normal(size=(3, 4)) / 3),
        )
        assert report.verdict == PRECISION, report


def test_noise_does_not_excuse_a_wrong_rule(table, rng):
    """The steps grow until the noise is small, and then 1 % shows."""
    op = wrong_exp(1.01)
    assert gradcheck(single(op), rng.normal(size=6)).verdict == WRONG


def test_noise_does_not_hide_a_kink():
    assert gradcheck(single(mr.abs), np.array([0.0])).verdict == KINK
    for slope in (0.3, 0.7, 1.1):  # the gradient is an end of the interval
        fn = single(lambda x, slope=slope: mr.relu(x) + slope * x + 1.0)
        assert gradcheck(fn, np.zeros(1)).verdict == KINK, gradcheck(fn, np.zeros(1))


@pytest.mark.slow
def test_kinks_nearby_do_not_turn_noise_into_an_error():
    """float32 forces long steps, and a network of relus bends within them."""

    def network(x, w1, w2):
        return mr.logsumexp(mr.relu(x @ w1) @ w2, axis=-1)

    for seed in range(8):
        rng = np.random.default_rng(seed)
        shapes = (2, 6), (6, 20), (20, 3)
        args = [rng.normal(size=s) for s in shapes]
        for directional in (False, True):
            report = gradcheck(
                lambda *xs: network(*(x.astype(np.float32) for x in xs)).astype(np.float64),
                tuple(args),
                directional=directional,
            )
            assert report.verdict == PRECISION, report


def test_round_numbers_are_not_taken_for_noise(table, rng):
    """Constants fit any type; they must not blur what stands beside them."""
    op = wrong_exp()
    x = rng.normal(size=40)
    for constant in (x[:3] * 0, np.zeros(80)):  # weighed one by one, and all together
        fn = lambda x, c=constant: (op(x), mr.tensor(c) + 1.0)
        assert gradcheck(fn, x).verdict == WRONG


def test_small_kinks_show_beside_large_slopes(rng):
    def bent(jump, slope, bend):
        return lambda x: jump * mr.relu(x) + slope * x + bend * mr.exp(x)

    for jump, slope, bend in rng.normal(size=(30, 3)).tolist():
        assert gradcheck(bent(0.001 * jump, slope, bend), 0.0).verdict == KINK
        assert gradcheck(single(bent(jump, slope, bend)), 0.0).verdict == KINK


def test_tolerances_are_configurable(rng):
    x = rng.normal(size=3)
    off = mr.exp
    assert gradcheck(off, x, rtol=1e-9).verdict in (OK, PRECISION)
    assert gradcheck(lambda x: off(x) + x.detach() * 1e-5, x, rtol=1e-3).verdict == OK
    assert gradcheck(lambda x: off(x) + x.detach() * 1e-5, x).verdict == WRONG
    assert gradcheck(lambda x: off(x) + x.detach() * 1e-5, x, atol=1e-4).verdict == OK
    for eps in (1e-4, 1e-3):
        worst = gradcheck(lambda x: x**2, 1.0, eps=eps).worst
        assert worst.right - worst.left == pytest.approx(2 * eps)


# --- what is checked and what is said --------------------------------------------------------


def test_casts_are_noted(rng):
    x = rng.normal(size=3).astype(np.float32)
    report = gradcheck(lambda w: w * w, x)
    assert report.verdict == OK
    assert report.notes == ("w was cast from float32 to float64",)
    assert "note: w was cast from float32 to float64" in str(report)
    assert gradgradcheck(lambda w: w * w, x).notes == report.notes
    assert gradcheck(lambda w: w * w, x.astype(np.float64)).notes == ()


def test_fixed_inputs_are_noted_and_passed_on(rng):
    seen = []

    def fn(x, w, n, flag):
        seen.append((w, n, flag))
        return mr.where(flag, x**n, x * w)

    w, flag = mr.tensor(rng.normal(size=3)), np.array([True, False, True])
    report = gradcheck(fn, (rng.normal(size=3), w, 3, flag))
    assert report.verdict == OK
    assert [i.name for i in report.inputs] == ["x"]
    assert [n.partition(" was ")[0] for n in report.notes] == ["w", "n", "flag"]
    assert all(args[0] is w and args[1] == 3 and args[2] is flag for args in seen)


def test_python_floats_scalars_and_empty_arrays():
    assert gradcheck(lambda x: x**2, 3.0).worst.analytic == pytest.approx(6)
    assert gradcheck(lambda x: x**2, np.float32(3)).verdict == OK
    empty = gradcheck(lambda x, y: (x.sum(), y), (np.zeros(0), np.ones(2)))
    assert empty.verdict == OK
    assert empty.inputs[0].worst is None
    assert "x: ok (0 entries)" in str(empty)


def test_inputs_and_their_grad_stay_as_they_are(rng):
    w = mr.tensor(rng.normal(size=3), requires_grad=True)
    before = w.numpy().copy()
    gradcheck(mr.exp, w)
    gradgradcheck(mr.exp, w)
    assert w.grad is None
    np.testing.assert_array_equal(w.numpy(), before)


def test_large_inputs_are_checked_along_directions(rng):
    big, small = rng.normal(size=3000), rng.normal(size=3)
    report = gradcheck(lambda a, b: (a * a).sum() * b, (big, small))
    assert [i.compared for i in report.inputs] == [
        "8 random directions in 3000 entries",
        "3 entries",
    ]
    assert report.verdict == OK
    assert report.inputs[0].worst.index is None
    assert "along a random direction" in str(report.inputs[0])


def test_calls_inside_no_grad_and_functions_that_take_gradients_themselves(rng):
    """A gradient penalty differentiates inside fn; the checks record in any case."""

    def penalty(x):
        (g,) = mr.grad(mr.tanh(x).sum(), x, create_graph=True)
        return (g * g).sum()

    with mr.no_grad():
        assert gradcheck(penalty, rng.normal(size=3)).verdict == OK
        assert gradgradcheck(penalty, rng.normal(size=3)).verdict == OK


def test_the_same_seed_gives_the_same_report(rng):
    x = rng.normal(size=3000)
    reports = [gradcheck(lambda x: mr.exp(x).sum(), x, seed=s) for s in (1, 1, 2)]
    assert reports[0] == reports[1]
    assert reports[0] != reports[2]


def test_reports_are_frozen(rng):
    report = gradcheck(mr.exp, rng.normal(size=2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.notes = ()


def test_the_complex_step_falls_back_to_differences_at_a_kink():
    assert gradcheck(mr.relu, np.array([0.0, 1.0]), method="complex").verdict == KINK


def test_the_complex_step_sees_float32_inside(rng):
    narrow = mr.op("narrow", lambda x: x * np.float32(1 / 3), lambda g, y, x: g / 3)
    try:
        assert gradcheck(narrow, rng.normal(size=2), method="complex").verdict == PRECISION
    finally:
        del mr.ops.TABLE["narrow"]


# --- misuse ----------------------------------------------------------------------------------


def flaky(calls=[0]):  # noqa: B006  (the shared list is the point)
    def fn(x):
        calls[0] += 1
        return x * calls[0]

    return fn


X = np.array([0.5, 1.0])
MISUSE = {
    "not a function": ((3, X), {}, TypeError, "fn must be callable, got int"),
    "a list": ((mr.exp, [1.0]), {}, TypeError, "x is a list, expected a Tensor or an array"),
    "an unnamed list": ((lambda *xs: xs[0], [1.0]), {}, TypeError, "input 0 is a list, expected"),
    "a string": ((lambda x, how: x, (X, "sum")), {}, TypeError, "how is a str.*lambda"),
    "nothing to check": ((mr.exp, np.arange(3)), {}, ValueError, "nothing to check"),
    "no inputs": ((lambda: mr.tensor(1.0), ()), {}, ValueError, "nothing to check"),
    "empty inputs": ((mr.exp, np.zeros((0, 3))), {}, ValueError, "every input is empty"),
    "empty outputs": ((lambda x: x[:0], np.ones(3)), {}, ValueError, "fn returned empty arrays"),
    "infinite tolerance": ((mr.exp, np.ones(3)), {"atol": np.inf}, ValueError, "atol must.*got inf"),
    "no gradient wanted": ((mr.exp, mr.tensor(X)), {}, ValueError, "requires_grad=True"),
    "complex input": ((mr.exp, X + 1j), {}, TypeError, "complex128, expected real"),
    "no Tensor": ((lambda x: x.numpy() * 2, X), {}, TypeError, "fn returned ndarray, expected"),
    "integers": ((lambda x: x > 0, X), {}, TypeError, "fn returned a Tensor of bool"),
    "no output": ((lambda x: (), X), {}, TypeError, "empty tuple"),
    "complex output": ((lambda x: x * 1j, X), {}, TypeError, "returned complex numbers"),
    "not repeatable": ((flaky(), X), {}, ValueError, "not repeatable, two calls differ by 1"),
    "infinite": ((lambda x: 1 / (x - 1), X), {}, ValueError, "not finite at the inputs"),
    "at an edge": ((mr.sqrt, X - 0.5), {}, ValueError, "not finite within 7.6e-06 of.*smaller eps"),
    "method": ((mr.exp, X), {"method": "forward"}, ValueError, "must be 'central' or 'complex'"),
    "eps": ((mr.exp, X), {"eps": 0.0}, ValueError, "eps must be a finite number > 0, got 0.0"),
    "rtol": ((mr.exp, X), {"rtol": -1.0}, ValueError, "rtol must be a finite number ≥ 0, got -1.0"),
    "refuses complex": ((mr.erf, X), {"method": "complex"}, TypeError, "cannot take complex"),
    "not analytic": ((mr.abs, X), {"method": "complex"}, ValueError, "not analytic.*'central'"),
    "partly analytic": (
        (lambda x: x * x + mr.abs(x), X), {"method": "complex"}, ValueError, "not analytic",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSE)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_misuse_raises_and_says_what_to_do(name):
    args, options, kind, message = MISUSE[name]
    with pytest.raises(kind, match=f"gradcheck: .*{message}"):
        gradcheck(*args, **options)


def test_misuse_of_gradgradcheck_names_it():
    with pytest.raises(TypeError, match="gradgradcheck: fn returned ndarray"):
        gradgradcheck(lambda x: x.numpy(), X)
    with pytest.raises(ValueError, match="gradgradcheck: nothing to check"):
        gradgradcheck(mr.exp, np.arange(3))


# --- the guard against silent skips ----------------------------------------------------------


def test_required_oracles_may_not_be_missing(pytestconfig, monkeypatch):
    (conftest,) = [
        p
        for p in pytestconfig.pluginmanager.get_plugins()
        if getattr(p, "leaves_no_trace", None) is not None
    ]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("MINIREG_REQUIRE_ORACLES", raising=False)
    conftest.pytest_configure(pytestconfig)
    monkeypatch.setenv("MINIREG_REQUIRE_ORACLES", "1")
    with pytest.raises(pytest.UsageError, match="torch"):
        conftest.pytest_configure(pytestconfig)
