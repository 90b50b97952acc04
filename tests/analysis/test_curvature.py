"""Curvature: products against differences, spectra against dense matrices, surfaces put back."""

import itertools
import sys

import numpy as np
import pytest
from support import strict
from support.arrays import draw
from support.few import slow_unless

import minireg as mr
from minireg import curvature as c
from minireg import nn
from minireg.ops import iterations


def mlp(dtype=np.float64):
    """(model, objective closure) of an MLP with BatchNorm and label smoothing, 3 classes."""
    mr.manual_seed(0)
    layers = nn.Linear(4, 9), nn.BatchNorm(9), nn.Tanh(), nn.Linear(9, 3)
    model = nn.Sequential(*layers).to(dtype)
    x, y = mr.tensor(draw(20, 4).astype(dtype)), np.arange(20) % 3
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    return model, lambda: loss(model(x), y)


def quadratic(matrix, home="numpy"):
    """(w, closure ½wᵀAw), w of A's dtype."""
    start = draw(len(matrix), seed=5).astype(matrix.dtype)
    w, a = mr.tensor(start, backend=home).requires_grad_(), mr.tensor(matrix, backend=home)
    return w, lambda: 0.5 * (w * (a @ w)).sum()


def symmetric(values, seed=3):
    """A matrix with these eigenvalues."""
    q = np.linalg.qr(draw(len(values), len(values), seed=seed))[0]
    return (q * np.asarray(values)) @ q.T


def differences(closure, params, step=1e-5):
    """The Hessian by central differences of first-order gradients."""
    columns = []
    for p in params:
        for i in np.ndindex(p.shape):
            sides = []
            for sign in (1, -1):
                before = p.data[i]
                p.data[i] = before + sign * step
                found = mr.grad(closure(), params)
                sides.append(np.concatenate([g.numpy().ravel() for g in found]))
                p.data[i] = before
            columns.append((sides[0] - sides[1]) / (2 * step))
    return np.array(columns)


def close(a, b, rtol):
    assert np.abs(a - b).max() <= rtol * np.abs(b).max(), np.abs(a - b).max() / np.abs(b).max()


# --- products -------------------------------------------------------------------------------------


def test_hessian_and_products_agree_with_differences():
    model, closure = mlp()
    params = list(model.parameters())
    expected = differences(closure, params)
    dense = c.hessian(closure, model)
    assert (dense == dense.T).all()
    close(dense, expected, 1e-6)
    v = draw(len(dense))
    close(c.hvp(closure, model, v), expected @ v, 1e-6)


def test_a_product_comes_back_as_its_vector_came():
    model, closure = mlp()
    v = draw(93)
    shapes = [p.shape for p in model.parameters()]
    ends = np.cumsum([np.prod(s, dtype=int) for s in shapes])[:-1]
    parts = [a.reshape(s) for a, s in zip(np.split(v, ends), shapes, strict=True)]
    flat = c.hvp(closure, model, v)
    listed = c.hvp(closure, list(model.parameters()), parts)
    assert isinstance(listed, list)
    assert [a.shape for a in listed] == shapes
    assert (np.concatenate([a.ravel() for a in listed]) == flat).all()
    tensors = c.hvp(closure, model, [mr.tensor(a) for a in parts])
    assert all((a == b).all() for a, b in zip(listed, tensors, strict=True))
    w = mr.tensor(draw(2, 3), requires_grad=True)
    assert c.hvp(lambda: (w**3).sum(), w, np.ones((2, 3))).shape == (2, 3)


def test_an_operator_records_once_and_gradients_stay_alone():
    calls = []
    model, closure = mlp()
    operator = c.Hessian(lambda: calls.append(1) or closure(), model)
    u, v = draw(2, operator.size)
    np.testing.assert_allclose(
        operator @ (2 * u + v), 2 * (operator @ u) + operator @ v, atol=1e-12
    )
    assert c.trace(operator, probes=3) == c.trace(closure, model, 3)
    assert len(calls) == 1
    assert all(p.grad is None for p in model.parameters())


def test_an_operator_notices_that_the_parameters_changed():
    w, closure = quadratic(np.eye(3))
    operator = c.Hessian(lambda: (w**3).sum() + closure(), w)
    w.assign(1.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        operator @ np.ones(3)


@pytest.mark.parametrize("strength", [1e-4, 0.3, 20.0])
def test_l2_shifts_every_eigenvalue_by_its_strength(strength):
    """Claim C70."""
    model, closure = mlp()
    penalty = mr.penalties.L2(strength)
    both = lambda: closure() + penalty.over(model.parameters())
    plain, shifted = (np.linalg.eigvalsh(c.hessian(f, model)) for f in (closure, both))
    np.testing.assert_allclose(shifted - plain, strength, rtol=0, atol=1e-10)
    v = draw(len(plain))
    change = c.hvp(both, model, v) - c.hvp(closure, model, v)
    np.testing.assert_allclose(change, strength * v, rtol=0, atol=1e-10)
    for which in ("SA", "LA"):
        before, after = (c.eigenvalues(f, model, 2, which) for f in (closure, both))
        np.testing.assert_allclose(after - before, strength, rtol=0, atol=1e-10)


def test_spectral_norm_does_not_lift_the_hessian():
    """Claim C86: the spectral norm is flat along W itself, and in 7 directions of 12."""
    w = mr.tensor(draw(4, 3), requires_grad=True)
    found = c.hessian(lambda: mr.linalg.norm(w, 2), w)
    values = np.linalg.eigvalsh(found)
    assert (np.abs(values) < 1e-10).sum() == 7
    assert (values > -1e-10).all()
    np.testing.assert_allclose(c.hvp(lambda: mr.linalg.norm(w, 2), w, w.numpy()), 0, atol=1e-12)


def test_parameters_without_influence_have_zeros():
    a, b, unused = (mr.tensor(draw(2, seed=i), requires_grad=True) for i in range(3))
    found = c.hessian(lambda: (a**2).sum() + b.sum(), [a, unused, b])
    np.testing.assert_array_equal(found, np.diag([2.0, 2, 0, 0, 0, 0]))
    assert (c.hessian(lambda: a.sum(), [a]) == 0).all()  # the gradient is a constant


def test_frozen_parameters_are_left_out_of_a_module():
    model, closure = mlp()
    whole = c.hessian(closure, model)
    for p in model[0].parameters():
        p.requires_grad_(False)
    np.testing.assert_allclose(c.hessian(closure, model), whole[45:, 45:], atol=1e-14)
    with pytest.raises(ValueError, match=r"Parameter\(9, 4\) float64.*Module, whose frozen"):
        c.hvp(closure, list(model.parameters()), draw(93))


@pytest.mark.parametrize("which", ["SA", "LA", "BE"])
def test_float32_stays_float32(which):
    model, closure = mlp(np.float32)
    exact = c.hessian(*reversed(mlp()))
    assert c.hessian(closure, model).dtype == np.float32
    close(c.hessian(closure, model), exact, 1e-5)
    assert c.hvp(closure, model, np.ones(93)).dtype == np.float32
    found, vectors = c.eigenvalues(closure, model, 2, which, vectors=True)
    assert found.dtype == vectors.dtype == np.float32
    ends = np.linalg.eigvalsh(exact)[{"SA": [0, 1], "LA": [-2, -1], "BE": [0, -1]}[which]]
    np.testing.assert_allclose(found, ends, rtol=0, atol=1e-5 * np.abs(ends).max() + 1e-6)
    assert c.random_direction(model).dtype == np.float32


# --- Gauss–Newton ---------------------------------------------------------------------------------

LOSSES = {"mse": nn.MSELoss(), "cross entropy": nn.CrossEntropyLoss(label_smoothing=0.1)}


@pytest.mark.parametrize("loss", LOSSES)
def test_gauss_newton_is_the_hessian_of_a_linear_model(loss):
    mr.manual_seed(0)
    model, x = nn.Linear(4, 3).to(np.float64), mr.tensor(draw(20, 4))
    y = np.arange(20) % 3 if loss != "mse" else mr.tensor(draw(20, 3, seed=1))
    data = lambda z: LOSSES[loss](z, y)
    gauss = c.hessian(c.GaussNewton(lambda: model(x), data, model))
    close(gauss, c.hessian(lambda: data(model(x)), model), 1e-12)
    v = draw(15)
    close(c.gauss_newton_product(lambda: model(x), data, model, v), gauss @ v, 1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_gauss_newton_is_jacobian_times_hessian_of_the_loss(loss):
    model, _ = mlp()
    x, params = mr.tensor(draw(20, 4)), list(model.parameters())
    y = np.arange(20) % 3 if loss != "mse" else mr.tensor(draw(20, 3, seed=1))
    z = mr.tensor(model(x).numpy(), requires_grad=True)
    rows = [mr.grad(model(x)[i, j], params) for i in range(20) for j in range(3)]
    jacobian = np.array([np.concatenate([g.numpy().ravel() for g in row]) for row in rows])
    expected = jacobian.T @ c.hessian(lambda: LOSSES[loss](z, y), z) @ jacobian
    found = c.hessian(c.GaussNewton(lambda: model(x), lambda z: LOSSES[loss](z, y), model))
    close(found, expected, 1e-12)
    assert np.linalg.eigvalsh(found)[0] > -1e-12


# --- spectra --------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["SA", "LA", "BE"])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_lanczos_agrees_with_the_dense_spectrum(k, which):
    model, closure = mlp()
    exact = np.linalg.eigvalsh(c.hessian(closure, model))
    low = {"SA": k, "LA": 0, "BE": k // 2}[which]
    expected = np.concatenate([exact[:low], exact[len(exact) - k + low :]])
    found, vectors = c.eigenvalues(closure, model, k, which, vectors=True)
    assert vectors.shape == (93, k)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    for value, v in zip(found, vectors.T, strict=True):
        assert np.linalg.norm(c.hvp(closure, model, v) - value * v) <= 1e-7 * np.abs(exact).max()


@pytest.mark.parametrize(("k", "which"), [(3, "BE"), (8, "BE"), (1, "SA"), (8, "LA"), (1, "LA")])
def test_small_problems_are_solved_densely(k, which):
    spectrum = np.arange(-2.0, 6)
    w, closure = quadratic(symmetric(spectrum))
    low = {"SA": k, "LA": 0, "BE": k // 2}[which]
    expected = np.concatenate([spectrum[:low], spectrum[8 - k + low :]])
    np.testing.assert_allclose(c.eigenvalues(closure, w, k, which), expected, atol=1e-12)


SPECTRA = {
    "zero": [0] * 40, "identity": [1] * 40, "minus identity": [-1] * 40, "rank 1": [0] * 39 + [3],
    "minus rank 1": [-3] + [0] * 39, "rank 5": [0] * 35 + [1, 2, 3, 4, 5], "two values": [1] * 20 + [2] * 20,
    "three values": [-1] * 20 + [0] * 10 + [3] * 10, "outlier": [1] * 39 + [1e4],
    "outlier and spread": [*np.linspace(0, 1, 39), 1e4], "spread": np.cos(np.linspace(-np.pi, 0, 80)),
}  # fmt: skip


CHOICES = [False, True], [np.float32, np.float64], ["numpy", "strict"]
HALF = slow_unless(  # for each spectrum every two choices meet; the other half is slow
    lambda *at: sum(c.index(i) for c, i in zip(CHOICES, at, strict=True)) % 2 == 0,
    itertools.product(*CHOICES),
)


@pytest.mark.parametrize(("turned", "dtype", "home"), HALF)
@pytest.mark.parametrize("label", SPECTRA)
def test_lanczos_finds_eigenvectors_of_every_spectrum(label, turned, dtype, home):
    """Few distinct eigenvalues end the Krylov space early; all copies are found nonetheless."""
    spectrum = np.array(SPECTRA[label], float)
    matrix = (symmetric(spectrum) if turned else np.diag(spectrum)).astype(dtype)
    size, bound = np.abs(spectrum).max() or 1, max(1e-8, 8 * np.finfo(dtype).eps)
    if dtype == np.float32 and home == "numpy":
        bound *= 30  # ARPACK's own rounding
    with strict.registered():
        w, closure = quadratic(matrix, home)
        operator = c.Hessian(closure, w)
        for which, k in (("LA", 1), ("SA", 2), ("BE", 3)):
            found = c.eigenvalues(operator, None, k, which, vectors=True)
            values, vectors = (a if home == "numpy" else a.get() for a in found)
            low = {"SA": k, "LA": 0, "BE": k // 2}[which]
            expected = np.concatenate([spectrum[:low], spectrum[len(spectrum) - k + low :]])
            np.testing.assert_allclose(values, expected, rtol=0, atol=bound * size)
            residual = np.linalg.norm(matrix.astype(float) @ vectors - values * vectors, axis=0)
            assert residual.max() <= bound * size
            for part in (vectors[:, :low], vectors[:, low:]):  # of an end, orthonormal
                np.testing.assert_allclose(part.T @ part, np.eye(part.shape[1]), atol=10 * bound)


def test_the_null_space_of_a_low_rank_matrix_is_found_whole():
    w, closure = quadratic(np.diag([0.0] * 200 + [*np.geomspace(0.03, 8, 50)]))
    np.testing.assert_allclose(c.eigenvalues(closure, w, 3, "SA"), 0, atol=1e-12)


def test_a_small_eigenvalue_beside_large_ones():
    spectrum = np.concatenate([[1e-4], np.linspace(1, 1e3, 79)])
    w, closure = quadratic(symmetric(spectrum))
    assert c.eigenvalues(closure, w, 1, "SA")[0] == pytest.approx(1e-4, rel=1e-6)
    assert c.condition_number(closure, w) == pytest.approx(1e7, rel=1e-6)


@pytest.mark.parametrize("n", [2, 90])
def test_condition_number(n):
    """Claim C71: (μ₁+λ)/(μ_d+λ); no condition number where H is indefinite."""
    spectrum = np.linspace(1, 10, n)
    for shift, expected in [(0, 10), (1, 5.5), (90, 100 / 91), (-2, -8), (-11, 0.1)]:
        w, closure = quadratic(symmetric(spectrum + shift))
        assert c.condition_number(closure, w) == pytest.approx(expected, rel=1e-9)
    for dtype in (np.float32, np.float64):
        w, closure = quadratic(symmetric(spectrum - 1).astype(dtype))
        assert c.condition_number(closure, w) == np.inf


def test_indefinite_condition_explodes_at_the_strength_that_cancels():
    """Claim C71's counterexample: spectrum (10, −1) under λ = .99."""
    w, closure = quadratic(symmetric([10.0, -1.0]))
    found = [
        c.condition_number(lambda s=s: closure() + mr.penalties.L2(s)(w), w) for s in (0, 0.99, 2)
    ]
    np.testing.assert_allclose(found, [-10, -1099, 12], rtol=1e-9)


@pytest.mark.slow
def test_trace_is_within_its_error_bar():
    model, closure = mlp()
    exact = np.trace(c.hessian(closure, model))
    inside = 0
    for seed in range(40):
        found = c.trace(closure, model, 30, seed=seed)
        assert abs(found - exact) < 5 * found.error
        inside += abs(found - exact) < 2 * found.error
    assert inside >= 34
    h = c.hessian(closure, model)
    deviation = (2 * ((h**2).sum() - (np.diag(h) ** 2).sum()) / 2000) ** 0.5
    assert c.trace(closure, model, 2000).error == pytest.approx(deviation, rel=0.1)


def test_trace_of_a_diagonal_is_exact():
    w = mr.tensor(draw(30), requires_grad=True)
    found = c.trace(lambda: (w**3).sum(), w, 2)
    assert found == pytest.approx(6 * w.numpy().sum(), rel=1e-14)
    assert found.error < 1e-12
    assert c.trace(lambda: (w**3).sum(), w, 1).error == np.inf


@pytest.mark.slow
def test_spectral_density_has_the_moments_of_the_hessian():
    model, closure = mlp()
    h, n = c.hessian(closure, model), 93
    found = c.spectral_density(closure, model, 100, 40)
    assert np.trapezoid(found.density, found.grid) == pytest.approx(1, abs=1e-8)
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    for power, exact in (1, np.trace(h) / n), (2, (h**2).sum() / n):
        draws = 100 * (found.weights * found.nodes**power).reshape(100, 40).sum(axis=1)
        assert abs(draws.mean() - exact) < 3 * draws.std() / 10
    # the same probes give the same moments to rounding
    assert found.weights @ found.nodes == pytest.approx(c.trace(closure, model, 100) / n, rel=1e-10)
    ends = np.linalg.eigvalsh(h)[[0, -1]]
    np.testing.assert_allclose([found.nodes.min(), found.nodes.max()], ends, atol=1e-9)


def test_spectral_density_stops_at_an_invariant_subspace():
    w, closure = quadratic(symmetric([1.0] * 30 + [4.0] * 10))
    found = c.spectral_density(closure, w, 4, 40)
    assert len(found.nodes) == 8
    np.testing.assert_allclose(np.sort(found.nodes), [1] * 4 + [4] * 4, rtol=1e-12)
    for matrix, at in ((np.eye(5), 1), (np.zeros((5, 5)), 0)):
        w, closure = quadratic(matrix)
        one = c.spectral_density(closure, w, 3)
        np.testing.assert_allclose(one.nodes, at, atol=1e-14)
        assert np.trapezoid(one.density, one.grid) == pytest.approx(1, abs=1e-8)


def test_spectral_density_of_a_known_spectrum():
    spectrum = np.array([1.0] * 20 + [4.0] * 20)
    w, closure = quadratic(np.diag(spectrum))  # ±1 probes weigh a diagonal's eigenvalues evenly
    found = c.spectral_density(closure, w, 2, width=0.2, points=400)
    bells = [
        np.exp(-0.5 * ((found.grid - at) / 0.2) ** 2) / (0.2 * (2 * np.pi) ** 0.5) for at in (1, 4)
    ]
    np.testing.assert_allclose(found.density, 0.5 * (bells[0] + bells[1]), atol=1e-12)


# --- the loss surface -----------------------------------------------------------------------------


def test_line_and_plane_are_the_loss_there_and_leave_the_parameters_alone():
    model, closure = mlp()
    arrays = [p.data for p in model.parameters()]
    copies = [a.copy() for a in arrays]
    terms = closure()  # recorded before, still good afterwards
    u, v = (c.random_direction(model, seed=s) for s in (0, 1))
    a, b = [-0.5, 0.0, 2.0], [0.0, 1.0]
    found = c.plane(closure, model, (u, v), a, b)
    assert found.shape == (3, 2)
    assert found[1, 0] == terms.item()
    np.testing.assert_array_equal(c.line(closure, model, u, a), found[:, 0])
    assert all(p.data is x for p, x in zip(model.parameters(), arrays, strict=True))
    assert all((x == y).all() for x, y in zip(arrays, copies, strict=True))
    terms.backward()
    for p, part in zip(model.parameters(), c.Space(model).split(2.0 * u + 1.0 * v), strict=True):
        p.assign(p.data + part)
    assert closure().item() == found[2, 1]


def test_parameters_are_put_back_after_an_error():
    w, closure = quadratic(np.eye(3))
    before, calls = w.data, []

    def fails():
        calls.append(w.numpy().copy())
        return closure() if len(calls) < 2 else 1 / 0

    with pytest.raises(ZeroDivisionError):
        c.line(fails, w, np.ones(3), [1, 2, 3])
    assert w.data is before
    np.testing.assert_array_equal(calls[1] - calls[0], 1)


def test_directions_are_as_long_as_their_filters():
    mr.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm(4), nn.Flatten(), nn.Linear(4, 2))
    for p in model.parameters():
        p.assign(p.data + 0.1)
    flat = c.random_direction(model)
    for p, part in zip(model.parameters(), c.Space(model).split(flat), strict=True):
        if p.kind == "weight":
            sizes = [np.linalg.norm(a.reshape(len(a), -1), axis=1) for a in (part, p.data)]
            np.testing.assert_allclose(*sizes, rtol=1e-5)
        else:
            assert (part == 0).all()
    assert (flat == c.random_direction(model)).all()
    assert not (flat == c.random_direction(model, seed=1)).all()
    assert np.linalg.norm(c.random_direction(model, False)) == pytest.approx(1, rel=1e-6)


def test_sharpness_of_a_quadratic():
    matrix = symmetric(np.linspace(1, 9, 40))
    w, closure = quadratic(matrix)
    found = c.sharpness(closure, w, 0.3, False, directions=4000)
    assert abs(found - 0.3**2 / 2 * 5) < 4 * found.error
    assert found.error < 0.01
    relative = c.sharpness(closure, w, 0.3, directions=2, seed=7)
    length = np.linalg.norm(w.numpy())
    assert 1 < relative / (0.3**2 / 2 * length**2) < 9


def test_curvature_depends_on_the_parametrisation_but_filter_normalised_sharpness_does_not():
    """Claim C74: rescaling ReLU layers keeps the function and moves the top eigenvalue."""
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3)).to(np.float64)
    x, y = mr.tensor(draw(30, 4)), np.arange(30) % 3
    closure = lambda: nn.functional.cross_entropy(model(x), y)
    tops, rises, values = [], [], []
    for factor in (1, 1 / 30, 900):  # in all 1, 1/30 and 30
        model[0].weight.assign(model[0].weight.data * factor)
        model[2].weight.assign(model[2].weight.data / factor)
        values.append(closure().item())
        tops.append(float(c.eigenvalues(closure, model)[0]))
        rises.append(c.sharpness(closure, model, 0.1))
    np.testing.assert_allclose(values, values[0], rtol=1e-12)
    assert max(tops) > 25 * min(tops)
    np.testing.assert_allclose(rises, rises[0], rtol=1e-9)
    assert rises[0] > 0


# --- elsewhere, and misuse ------------------------------------------------------------------------


def test_everything_but_lanczos_runs_on_a_strict_device():
    found = {}
    with strict.registered():
        for home in ("numpy", "strict"):
            w = mr.tensor(draw(2, 3), backend=home).requires_grad_()
            b = mr.tensor(draw(3, seed=1), backend=home).requires_grad_()
            closure = lambda w=w, b=b: (mr.tanh(w) * (w + b) ** 2).sum()
            v = mr.tensor(draw(9, seed=2), backend=home).data
            host = lambda a: a if isinstance(a, np.ndarray) else a.get()
            operator = c.Hessian(closure, [w, b])
            arrays = [
                operator @ v, operator @ host(v), c.hessian(operator),
                c.eigenvalues(operator, k=3, which="BE"),
                c.random_direction([w, b]), c.random_direction([w, b], False),
                c.gauss_newton_product(lambda w=w: mr.tanh(w), lambda z: (z * z).sum(), [w], [w.data])[0],
            ]  # fmt: skip
            assert home == "numpy" or all(isinstance(a, strict.StrictArray) for a in arrays)
            numbers = [
                c.trace(operator), c.condition_number(operator), c.sharpness(closure, [w, b]),
                *c.spectral_density(operator, probes=2), c.line(closure, [w, b], v, [0.0, 1.0]),
            ]  # fmt: skip
            found[home] = [*map(host, arrays), *numbers]
    for a, b in zip(found["numpy"], found["strict"], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("home", ["numpy", "strict"])
def test_lanczos_needs_neither_scipy_nor_cupyx(home, monkeypatch):
    with strict.registered():
        for name in ("scipy", "scipy.sparse.linalg", "cupyx.scipy.sparse.linalg"):
            monkeypatch.setitem(sys.modules, name, None)
        w, closure = quadratic(np.eye(90), home)
        assert float(c.eigenvalues(closure, w)[0]) == pytest.approx(1)


@pytest.mark.parametrize(("k", "which"), [(1, "LA"), (4, "SA"), (3, "BE")])
def test_lanczos_agrees_with_scipy(k, which):
    eigsh = pytest.importorskip("scipy.sparse.linalg").eigsh
    matrix = symmetric(np.cos(np.linspace(-np.pi, 0, 200)))
    w, closure = quadratic(matrix)
    found = c.eigenvalues(closure, w, k, which)
    np.testing.assert_allclose(found, np.sort(eigsh(matrix, k, which=which)[0]), atol=1e-12)


@pytest.mark.parametrize("home", ["numpy", "strict"])
def test_lanczos_that_does_not_converge_says_what_to_do(home, monkeypatch):
    monkeypatch.setattr(iterations, "RESTARTS", 1)
    with strict.registered():
        w, closure = quadratic(np.diag(SPECTRA["spread"]), home)
        with pytest.raises(RuntimeError, match=r"did not reach tol=1e-07.*'SA'; pass a larger tol"):
            c.eigenvalues(closure, w, which="SA", tol=1e-7)
        found = c.eigenvalues(closure, w, which="SA", tol=0.1)
        assert float(found[0]) == pytest.approx(-1, abs=0.01)


W = mr.tensor(draw(6), requires_grad=True)
OTHER = mr.tensor(draw(3, 2), requires_grad=True)
SQUARE = lambda: (W * W).sum()

MISUSE = {
    "not scalar": (lambda: c.hvp(lambda: W * 2, W, draw(6)), ValueError, r"Tensor\(6,\).*one element"),
    "no Tensor": (lambda: c.trace(lambda: 3.0, W), TypeError, r"returned 3\.0.*\.total"),
    "not depending": (lambda: c.hessian(lambda: SQUARE() * 2, OTHER), ValueError, "none of the param"),
    "not recorded": (lambda: c.hessian(lambda: SQUARE().detach(), W), ValueError, "outside no_grad"),
    "output not depending": (
        lambda: c.GaussNewton(lambda: W.detach(), lambda z: z.sum(), W), RuntimeError, "does not depend"),
    "wrong length": (lambda: c.hvp(SQUARE, W, draw(5)), ValueError, r"shape \(5,\).*6 elements"),
    "wrong shapes": (
        lambda: c.hvp(SQUARE, [W, OTHER], [draw(6), draw(2, 3)]), ValueError, r"\(2, 3\)\].*\(3, 2\)\]"),
    "wrong count": (lambda: c.hvp(SQUARE, [W, OTHER], [draw(6)]), ValueError, r"\[\(6,\)\], expected"),
    "wrong direction": (lambda: c.line(SQUARE, W, draw(7), [0]), ValueError, "6 elements"),
    "no params": (lambda: c.eigenvalues(SQUARE), ValueError, "params hold nothing"),
    "params of arrays": (lambda: c.trace(SQUARE, [draw(2)]), ValueError, r"ndarray\(2,\).*expected Tensors"),
    "frozen": (lambda: c.trace(SQUARE, [W.detach()]), ValueError, r"Tensor\(6,\).*require a gradient"),
    "too large": (lambda: c.hessian(SQUARE, W, max_size=5), ValueError, "36 elements; pass max_size=6"),
    "which": (lambda: c.eigenvalues(SQUARE, W, 1, "LM"), ValueError, "'LM', expected k in 1 … 6 and"),
    "k too large": (lambda: c.eigenvalues(SQUARE, W, 7), ValueError, "k=7"),
    "k too small": (lambda: c.eigenvalues(SQUARE, W, 0), ValueError, "k=0"),
    "probes": (lambda: c.trace(SQUARE, W, 0), ValueError, "trace: probes must be an integer ≥ 1"),
    "steps": (lambda: c.spectral_density(SQUARE, W, steps=0), ValueError, "steps must be"),
    "width": (lambda: c.spectral_density(SQUARE, W, width=0), ValueError, "width must be a finite"),
    "directions": (lambda: c.sharpness(SQUARE, W, directions=0), ValueError, "directions must be"),
}  # fmt: skip


@pytest.mark.parametrize("label", MISUSE)
def test_misuse_is_explained(label):
    call, kind, message = MISUSE[label]
    with pytest.raises(kind, match=message):
        call()
