"""SpectralNorm's power iteration against the SVD, its state, and PathNorm against its paths."""

import copy
import gc
import itertools
import pickle

import numpy as np
import pytest
from support import strict
from support.arrays import draw

import minireg as mr
from minireg import nn, penalties
from minireg.check.gradients import gradcheck
from minireg.ops.iterations import orthonormal
from minireg.penalties import NuclearNorm, PathNorm, SpectralBall, SpectralNorm

every_shape = pytest.mark.parametrize(
    "shape", [(4, 3), (3, 7), (1, 5), (5, 1), (1, 1), (2, 3, 2, 2)]
)


def weight(data, dtype=np.float64):
    return nn.Parameter(np.asarray(data, dtype))


def followed(penalty, w):
    """(value, gradient) by power iteration, as a training step takes them."""
    w.grad = None
    value = penalty(w)
    value.backward()
    return value.item(), w.grad.numpy()


def kept(penalty, w):
    return penalty.vectors[id(w)][1]


# --- against the SVD ------------------------------------------------------------------------------


SIZES = (4, 3), (3, 7), (1, 5), (5, 1), (1, 1), (2, 3, 2, 2), (60, 40), (40, 60), (8, 3, 5, 5)
every_size = pytest.mark.parametrize("shape", SIZES)


@every_size
def test_the_first_call_is_exact(shape):
    for seed in range(20):
        w, penalty = weight(draw(*shape, seed=seed)), SpectralNorm(0.7)
        value, gradient = followed(penalty, w)
        assert gradient.shape == shape
        assert value == pytest.approx(penalty.value(w.data), rel=1e-12)
        np.testing.assert_allclose(gradient, penalty.gradient(w.data), atol=1e-12)


@every_shape
def test_small_weights_are_exact_wherever_they_go(shape):
    """Their vectors are a basis: Rayleigh–Ritz is the whole eigenproblem."""
    penalty, w = SpectralNorm(0.7), weight(draw(*shape))
    for seed in range(20):
        w.assign(draw(*shape, seed=seed))
        value, gradient = followed(penalty, w)
        assert value == pytest.approx(penalty.value(w.data), rel=1e-12)
        np.testing.assert_allclose(gradient, penalty.gradient(w.data), atol=1e-10)


@every_size
def test_the_value_never_exceeds_the_norm(shape):
    """λ‖Wv‖ for a unit v is a lower bound, however few rounds there were."""
    penalty, w = SpectralNorm(0.7, iterations=1), weight(draw(*shape))
    for seed in range(30):
        w.assign(draw(*shape, seed=seed))
        assert penalty(w).item() <= penalty.value(w.data) * (1 + 1e-12)


@every_size
def test_what_is_followed_is_a_subgradient_up_to_the_error_of_the_value(shape):
    """‖u‖ = ‖v‖ = 1 and ⟨λuvᵀ, W⟩ = value: Ω(W') ≥ value + ⟨λuvᵀ, W' − W⟩ for any W'."""
    penalty, w = SpectralNorm(0.7, iterations=1), weight(draw(*shape))
    for seed in range(10):
        w.assign(draw(*shape, seed=seed))
        value, gradient = followed(penalty, w)
        singular = np.linalg.svd(gradient.reshape(shape[0], -1), compute_uv=False)
        assert singular[0] == pytest.approx(0.7, rel=1e-12)
        assert singular[1:].sum() < 1e-12
        assert (gradient * w.data).sum() == pytest.approx(value, rel=1e-12)
        for other in range(10):
            elsewhere = draw(*shape, seed=other)
            bound = value + (gradient * (elsewhere - w.data)).sum()
            assert penalty.value(elsewhere) >= bound - 1e-12


def test_it_tracks_a_weight_that_trains():
    """A plain power iteration loses σ₁ here: it overtakes its neighbours faster than v turns."""
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(80, 60), nn.ReLU(), nn.Linear(60, 10)).to(np.float64)
    w, penalty = model[0].weight, SpectralNorm(0.005)
    objective = mr.Objective(nn.CrossEntropyLoss(), {"spectral": penalty})
    optimizer = mr.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = draw(256, 80), np.random.default_rng(1).integers(0, 10, 256)
    seen = 0
    for _ in range(200):
        optimizer.zero_grad()
        terms = objective(model, x, y)
        terms.backward()
        exact, s = penalty.gradient(w.data), np.linalg.svd(w.data, compute_uv=False)
        assert terms["spectral"].item() == pytest.approx(
            penalty.value(w.data) + penalty.value(model[2].weight.data), rel=1e-4
        )
        if s[1] < 0.998 * s[0]:
            seen += 1
            pull = terms.gradients["spectral"]["0.weight"].numpy()
            assert (pull * exact).sum() > 0.9999 * penalty.strength**2
        optimizer.step()
    assert terms["data"].item() < 0.2
    assert seen > 50


@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-6, 1e-3])
def test_near_a_tie_it_stays_in_the_hull(apart):
    """u and v span the same direction of the nearly equal ones: λuvᵀ = λU₁TV₁ᵀ, T ⪰ 0, tr T = 1."""
    u, v = np.linalg.qr(draw(40, 30))[0], np.linalg.qr(draw(30, 30, seed=1))[0]
    s = np.r_[1 + apart, 1.0, 1.0, np.linspace(0.9, 0.1, 27)]
    penalty, w = SpectralNorm(0.7), weight((u * s) @ v.T)
    for seed in range(5):
        value, gradient = followed(penalty, w)
        assert value == pytest.approx(0.7 * (1 + apart), abs=0.7 * apart + 1e-5)
        inside = u[:, :3].T @ gradient @ v[:, :3]
        np.testing.assert_allclose(u[:, :3] @ inside @ v[:, :3].T, gradient, atol=1e-3)
        np.testing.assert_allclose(inside, inside.T, atol=1e-3)
        assert np.trace(inside) == pytest.approx(0.7, abs=1e-3)
        w.assign((u * s) @ v.T + 1e-6 * draw(40, 30, seed=seed))


def on_host(data):
    return np.array(data)


def on_device(data):
    return strict.xp.asarray(data)


every_home = pytest.mark.parametrize("home", [on_host, on_device])


def both(tracked, outside):
    return np.block([[tracked, np.zeros((30, 30))], [np.zeros((30, 30)), outside]])


@every_home
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_decoupled_from_the_vectors_is_seen_when_it_grows(home, dtype):
    """For block iterations an invariant subspace is the world: the value stayed at 2.2 of 15.7."""
    tracked, outside = draw(30, 30) / 10, draw(30, 30, seed=1) / 100
    with strict.registered():
        w, penalty = mr.Tensor(home(both(tracked, outside).astype(dtype)), True), SpectralNorm(1.0)
        penalty(w)
        for factor in [*np.geomspace(1, 100, 30), 1.0, 100.0]:
            now = both(tracked, factor * outside).astype(dtype)
            w.data, w.grad = home(now), None
            value = penalty(w)
            value.backward()
            assert value.item() > 0.95 * penalty.value(now), factor
        for _ in range(3):  # the jump is seen at once, and then settles
            w.grad = None
            value = penalty(w)
            value.backward()
        assert value.item() == pytest.approx(penalty.value(now), rel=1e-4)
        pull = w.grad.numpy()
        assert (pull * penalty.gradient(now)).sum() > 0.999
        assert np.abs(pull[:30, :30]).max() < 1e-2


def dirac():
    w = nn.Conv2d(24, 24, 3, bias=False).weight
    return nn.init.dirac_(w).numpy()


TIES = {
    "eye": lambda: np.eye(20),
    "orthogonal": lambda: np.linalg.qr(draw(32, 32))[0],
    "dirac": dirac,
}


@every_home
@pytest.mark.parametrize("name", TIES)
def test_descent_brings_down_every_one_of_many_equal_singular_values(name, home):
    """Of eye(20) the sixteen tracked went to 0, and the norm stayed at 1 with a gradient of 0."""
    with strict.registered():
        w, penalty = mr.Tensor(home(TIES[name]().astype(float)), True), SpectralNorm(1.0)
        for step in range(600):
            w.grad = None
            value = penalty(w)
            value.backward()
            now = w.numpy()
            assert step < 20 or value.item() > 0.97 * penalty.value(now)
            w.data = home(now - 0.05 * w.grad.numpy())
            if penalty.value(now) < 0.7:
                return
    raise AssertionError("the norm does not fall")


def test_after_a_jump_it_gets_there():
    penalty, w = SpectralNorm(1.0, iterations=1), weight(draw(300, 200))
    penalty(w)
    w.assign(draw(300, 200, seed=1))  # the largest vectors are now others
    off = [1 - penalty(w).item() / penalty.value(w.data) for _ in range(20)]
    assert off[0] > 1e-3
    assert off[-1] < 1e-4  # within the angle at which it rests


def test_more_iterations_are_nearer():
    off = []
    for n in (1, 2, 4):
        penalty, w = SpectralNorm(1.0, iterations=n), weight(draw(300, 200))
        penalty(w)
        w.assign(draw(300, 200, seed=1))
        off.append(penalty.value(w.data) - penalty(w).item())
    assert off[0] > off[1] > off[2] >= -1e-12


@every_shape
def test_method_svd_is_exact_and_keeps_nothing(shape):
    penalty, w = SpectralNorm(0.7, method="svd"), weight(draw(*shape))
    value, gradient = followed(penalty, w)
    assert value == penalty.value(w.data)
    np.testing.assert_array_equal(gradient, penalty.gradient(w.data))
    assert penalty.vectors == {}


@pytest.mark.parametrize("method", ["power", "svd"])
def test_create_graph_gives_the_exact_hessian_vector_product(method):
    penalty, w, u = SpectralNorm(0.7, method=method), weight(draw(4, 3)), draw(4, 3, seed=1)
    (g,) = mr.grad(penalty(w), w, create_graph=True)
    (product,) = mr.grad((g * mr.Tensor(u)).sum(), w)
    ahead, behind = (penalty.gradient(w.data + h * u) for h in (1e-6, -1e-6))
    np.testing.assert_allclose(product.numpy(), (ahead - behind) / 2e-6, atol=1e-8)


def test_zero_matrix_has_gradient_zero_and_wakes_up():
    """A vector that became 0 with the matrix would stay 0 for ever, and the penalty silent."""
    penalty, w = SpectralNorm(1.0), weight(np.zeros((4, 3)))
    for _ in range(3):
        value, gradient = followed(penalty, w)
        assert value == 0
        assert (gradient == 0).all()
    w.assign(draw(4, 3))
    for _ in range(200):
        value, gradient = followed(penalty, w)
    assert value == pytest.approx(penalty.value(w.data), rel=1e-10)
    w.assign(0.0)
    assert followed(penalty, w)[0] == 0
    w.assign(draw(4, 3, seed=1))
    assert followed(penalty, w)[0] > 0


@pytest.mark.parametrize("strength", [0.5, 10.0, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_has_gradient_zero_whatever_the_strength(dtype, strength):
    for shape in ((4, 3), (20, 30), (60, 40)):
        w, penalty = weight(np.zeros(shape), dtype), SpectralNorm(strength)
        for _ in range(2):
            value, gradient = followed(penalty, w)
            assert value == 0
            assert gradient.dtype == dtype
            assert (gradient == 0).all()


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-30, 1e-20, 1e-18, 1e-16, 1.0])
def test_no_weight_is_too_small_for_the_gradient(scale):
    """The length of the gradient is λ, also where σ₁² is 0 to float32; there it may be less."""
    for shape in ((4, 3), (20, 30), (60, 40)):
        w, penalty = weight(scale * draw(*shape), np.float32), SpectralNorm(10.0)
        for _ in range(2):
            size = np.linalg.norm(followed(penalty, w)[1].astype(float), 2)
            assert size <= 10 * (1 + 1e-3)
            assert scale < 1e-17 or size == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_float32_of_any_size(scale):
    penalty, w = SpectralNorm(0.5), weight(scale * draw(4, 3), np.float32)
    value = penalty(w)
    value.backward()
    assert value.dtype == w.grad.dtype == np.float32
    np.testing.assert_allclose(value.item(), penalty.value(w.data.astype(float)), rtol=1e-5)
    np.testing.assert_allclose(w.grad.numpy(), penalty.gradient(w.data.astype(float)), atol=1e-4)


def test_repeated_singular_values_make_no_nan():
    """pytorch/pytorch#194705: a derivative through the SVD divides by σ₁² − σ₂² = 0."""
    for penalty, expected in ((SpectralNorm(1.0), np.eye(3) / 3), (NuclearNorm(1.0), np.eye(3))):
        np.testing.assert_allclose(penalty.gradient(2 * np.eye(3)), expected, atol=1e-14)
    _, gradient = followed(SpectralNorm(1.0), weight(2 * np.eye(3)))
    assert np.linalg.svd(gradient, compute_uv=False) == pytest.approx([1, 0, 0], abs=1e-12)


def test_the_weight_of_a_convolution_is_out_by_the_rest():
    w = draw(2, 3, 2, 2)
    for kind in (SpectralNorm, NuclearNorm):
        flat, penalty = w.reshape(2, 12), kind(0.6)
        assert penalty.value(w) == penalty.value(flat)
        np.testing.assert_array_equal(penalty.gradient(w), penalty.gradient(flat).reshape(w.shape))
        np.testing.assert_array_equal(
            penalty.prox(w, 0.5), penalty.prox(flat, 0.5).reshape(w.shape)
        )
        np.testing.assert_allclose(
            penalty.subdiff_distance(w, w), penalty.subdiff_distance(flat, flat), rtol=1e-12
        )
    inside = SpectralBall(0.5).prox(w, 1.0)
    assert inside.shape == w.shape
    assert SpectralBall(0.5).value(inside) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dependent", [1.0, 1e-3, 1e-6, 1e-12, 0.0])
def test_nearly_dependent_columns_get_an_orthonormal_basis(dependent, dtype):
    """Columns of very different lengths, all but one near to the first."""
    x, eps = draw(60, 8), np.finfo(dtype).eps
    x[:, 1:7] = x[:, :1] + dependent * x[:, 1:7]
    x = (x * 10.0 ** np.arange(-4, 4)).astype(dtype)
    basis = orthonormal(x)
    assert basis.dtype == dtype
    rounding = 1e2 if dependent else 1e4  # it fills up what there is none of
    np.testing.assert_allclose(basis.T @ basis, np.eye(8), atol=rounding * eps)
    unit = x / np.linalg.norm(x, axis=0)
    assert np.abs(unit - basis @ (basis.T @ unit)).max() < 100 * eps


# --- on a GPU -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (40, 4, 3, 3)])
def test_on_a_device_it_follows_without_waiting(shape, dtype):
    """One round a call, without a look, is as near as as many as the host finds necessary."""
    flat, drift = (shape[0], -1), draw(*shape, seed=1)
    u, s, v = np.linalg.svd(draw(*shape).reshape(flat), full_matrices=False)
    start = ((u * s * np.linspace(1.5, 0.5, len(s))) @ v).reshape(shape)
    with strict.registered():
        w, penalty = mr.Tensor(strict.xp.asarray(start.astype(dtype)), True), SpectralNorm(0.7)
        with strict.count_syncs() as first:
            penalty(w).backward()
        assert [kind.partition(" at ")[0] for kind in first] == ["linalg.svd"]  # once in its life
        for k in range(1, 30):
            w.data, w.grad = strict.xp.asarray((start + 0.02 * k * drift).astype(dtype)), None
            with strict.count_syncs() as syncs, strict.count_launches() as launches:
                value = penalty(w)
                value.backward()
            assert not syncs
            assert {n: c for n, c in launches.items() if "linalg" in n} == {"linalg.eigh": 3}
            exact = w.data.get().astype(float)
            s = np.linalg.svd(exact.reshape(flat))[1]
            assert value.item() == pytest.approx(0.7 * s[0], rel=1e-4)
            if s[1] < 0.998 * s[0]:
                along = (w.grad.numpy() * penalty.gradient(exact)).sum()
                assert along > 0.9999 * penalty.strength**2


def test_on_a_device_a_small_weight_never_waits():
    with strict.registered(), strict.count_syncs() as syncs:
        for penalty in (SpectralNorm(0.7), SpectralNorm(0.7, method="svd"), NuclearNorm(0.7)):
            w = mr.Tensor(strict.xp.asarray(draw(32, 20)), requires_grad=True)
            for _ in range(2):
                penalty(w).backward()
                penalty.prox(w.data, 0.1)
                penalty.subdiff_distance(w.data, w.data)
    assert not syncs


DECOMPOSITIONS = {
    "eigh": np.linalg.eigh, "eigvalsh": np.linalg.eigvalsh, "svd": np.linalg.svd,
    "svd, thin": lambda x: np.linalg.svd(x, full_matrices=False),
}  # fmt: skip


@pytest.mark.parametrize("name", DECOMPOSITIONS)
def test_what_cusolver_does_partly_on_the_host_is_counted(name):
    for shape, waits in (((4, 4), 1), ((1, 4, 4), 0), ((2, 32, 32), 0), ((1, 33, 33), 1)):
        x = strict.xp.asarray(np.ones(shape))
        with strict.count_syncs() as syncs:
            DECOMPOSITIONS[name](x)
        assert len(syncs) == waits, shape


# --- its state ------------------------------------------------------------------------------------


def test_evaluation_never_advances():
    """pytorch/pytorch#8208: looking at the value must not change the next step."""
    penalty, w = SpectralNorm(1.0, iterations=1), weight(draw(60, 40))
    penalty(w)
    w.assign(draw(60, 40, seed=1))
    before = kept(penalty, w).copy()
    with mr.no_grad():
        values = {penalty(w).item() for _ in range(5)}
    penalty.value(w.data)
    penalty.gradient(w.data)
    assert len(values) == 1
    np.testing.assert_array_equal(kept(penalty, w), before)
    w.requires_grad_(False)
    penalty(w)
    np.testing.assert_array_equal(kept(penalty, w), before)


def test_evaluation_may_come_first():
    """pytorch/pytorch#51800: it was silently the norm along a random vector."""
    penalty, w = SpectralNorm(1.0), weight(draw(6, 5))
    with mr.no_grad():
        assert penalty(w).item() == pytest.approx(penalty.value(w.data), rel=1e-12)
    assert penalty.vectors == {}
    other = SpectralNorm(1.0)
    assert followed(penalty, w)[0] == followed(other, w)[0]


def test_an_evaluated_model_has_a_gradient():
    """pytorch/pytorch#12737: evaluation mode is about layers; recording is what counts."""
    model, penalty = nn.Linear(5, 6).to(np.float64).eval(), SpectralNorm(1.0)
    _, gradient = followed(penalty, model.weight)
    np.testing.assert_allclose(gradient, penalty.gradient(model.weight.data), atol=1e-6)


def test_an_earlier_graph_keeps_its_vectors():
    """pytorch/pytorch#62293: vectors that later calls overwrite spoil the earlier backward."""
    penalty, w = SpectralNorm(1.0, iterations=1), weight(draw(60, 40))
    penalty(w)
    w.assign(draw(60, 40, seed=1))
    first = penalty(w)
    (expected,) = mr.grad(first, w, retain_graph=True)
    for _ in range(5):
        penalty(w)
    (got,) = mr.grad(first, w)
    np.testing.assert_array_equal(got.numpy(), expected.numpy())


def test_weights_of_equal_shape_keep_separate_vectors():
    penalty, a, b = SpectralNorm(1.0), weight(draw(4, 3)), weight(draw(4, 3, seed=1))
    for _ in range(30):
        penalty(a)
        penalty(b)
    for w in (a, b):
        v = np.linalg.svd(w.data)[2][0]
        assert abs(kept(penalty, w)[:, 0] @ v) == pytest.approx(1, abs=1e-10)
    assert len(penalty.vectors) == 2


def test_it_is_a_function_of_the_weights_it_saw():
    def path():
        penalty, w = SpectralNorm(1.0), weight(draw(60, 40))
        for seed in range(4):
            w.assign(w.data + 0.1 * draw(60, 40, seed=seed))
            yield followed(penalty, w)

    for (a, g), (b, h) in zip(path(), path(), strict=True):
        assert a == b
        np.testing.assert_array_equal(g, h)


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (8, 3, 5, 5)])
def test_the_vectors_kept_are_the_short_ones(shape):
    penalty, w = SpectralNorm(1.0), weight(draw(*shape))
    penalty(w)
    short = min(shape[0], w.size // shape[0])
    assert kept(penalty, w).shape == (short, min(16, short))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_follows_the_copies_of_the_weights(duplicate):
    """Alone it starts afresh: its weights are no one's."""
    model = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 1)).to(np.float64)
    penalty = SpectralNorm(0.3, iterations=2)
    objective = mr.Objective(nn.MSELoss(), {"spectral": penalty})
    x, y = draw(8, 5), draw(8, 1)
    objective(model, x, y).backward()
    other = duplicate(penalty)
    assert other.vectors == {}
    assert (other.strength, other.iterations) == (0.3, 2)
    assert (repr(other), len(penalty.vectors)) == (repr(penalty), 2)
    twin, model_twin = duplicate((objective, model))
    values = [f(m, x, y)["spectral"].item() for f, m in ((objective, model), (twin, model_twin))]
    assert values[0] == values[1]
    copied = twin.terms["spectral"].penalty
    for layer, layer_twin in zip(model, model_twin, strict=True):
        ours, theirs = kept(penalty, layer.weight), kept(copied, layer_twin.weight)
        np.testing.assert_array_equal(ours, theirs)
        assert not np.shares_memory(ours, theirs)
    del twin, model_twin, layer_twin
    gc.collect()
    assert copied.vectors == {}


def test_freed_weights_leave_nothing():
    penalty, held = SpectralNorm(1.0), []
    for seed in range(50):
        held.append(weight(draw(4, 3, seed=seed)))
        penalty(held[-1])
    assert len(penalty.vectors) == 50
    del held[10:]
    gc.collect()
    assert len(penalty.vectors) == 10


@pytest.mark.parametrize(("dtype", "other"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_another_dtype_restarts(dtype, other):
    layer, penalty = nn.Linear(5, 6).to(dtype), SpectralNorm(1.0)
    for now in (dtype, other):
        layer.to(now)
        value = penalty(layer.weight)
        assert value.dtype == kept(penalty, layer.weight).dtype == now
        assert value.item() == pytest.approx(penalty.value(layer.weight.data), rel=1e-4)


@pytest.mark.parametrize("iterations", [0, -1, 1.0, None])
def test_bad_iterations_are_named(iterations):
    with pytest.raises(ValueError, match="SpectralNorm: iterations must be an integer ≥ 1, got"):
        SpectralNorm(1.0, iterations=iterations)


def test_a_bad_method_is_named():
    with pytest.raises(ValueError, match="method must be 'power' or 'svd', got 'qr'"):
        SpectralNorm(1.0, method="qr")


# --- PathNorm -------------------------------------------------------------------------------------

CHAINS = {
    "two": [(4, 3), (2, 4)], "three": [(3, 2), (4, 3), (2, 4)], "one": [(3, 5)],
    "narrow": [(1, 4), (3, 1), (1, 3), (2, 1)],
}  # fmt: skip
every_chain = pytest.mark.parametrize("chain", CHAINS)


def weights(chain):
    return [draw(*shape, seed=i) for i, shape in enumerate(CHAINS[chain])]


@every_chain
def test_path_norm_sums_over_all_paths(chain):
    ws = weights(chain)
    units = [ws[0].shape[1], *(len(w) for w in ws)]
    total = 0.0
    for path in itertools.product(*map(range, units)):
        along = [w[j, i] for w, i, j in zip(ws, path, path[1:], strict=False)]
        total += np.prod(along) ** 2
    assert PathNorm(0.3).value(*ws) == pytest.approx(0.3 * total, rel=1e-12)


@every_chain
def test_path_norm_gradient_three_ways(chain):
    ws, penalty = weights(chain), PathNorm(0.3)
    leaves = [weight(w) for w in ws]
    by_autograd = mr.grad(penalty.value(*leaves), leaves)
    by_op = mr.grad(penalty(*leaves), leaves)
    for a, b, c in zip(penalty.gradient(*ws), by_autograd, by_op, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-12)
        np.testing.assert_array_equal(a, c.numpy())
    assert gradcheck(lambda *ts: penalty(*ts), tuple(ws))
    assert penalty.subdiff_distance(ws, [-g for g in penalty.gradient(*ws)]) == 0


def test_rescaling_a_layer_or_a_relu_unit_changes_nothing():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to(np.float64)
    x, penalty = mr.Tensor(draw(8, 3)), PathNorm(1.0)
    value, output = penalty(model).item(), model(x).numpy()
    for factor in (5.0, np.array([0.1, 2.0, 30.0, 1.0])):
        first, second = model[0], model[2]
        first.weight.data *= np.reshape(factor, (-1, 1))
        first.bias.data *= factor
        second.weight.data /= factor
        np.testing.assert_allclose(model(x).numpy(), output, rtol=1e-10)
        assert penalty(model).item() == pytest.approx(value, rel=1e-12)
        assert mr.penalties.L2(1.0).over(p for p in model.parameters()).item() != value


def test_path_norm_as_a_term_takes_its_layers_in_order():
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Linear(2, 7)).to(
        np.float64
    )
    penalty, on = PathNorm(0.1), ["0.weight", "2.weight"]
    terms = mr.Objective(nn.MSELoss(), {"path": (penalty, on)})(model, draw(8, 3), draw(8, 7))
    terms.backward()
    ws = [model[0].weight.data, model[2].weight.data]
    assert terms["path"].item() == pytest.approx(penalty.value(*ws))
    assert sorted(terms.gradients["path"]) == on
    for name, g in zip(on, penalty.gradient(*ws), strict=True):
        np.testing.assert_allclose(terms.gradients["path"][name].numpy(), g, rtol=1e-12)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([(4, 3), (2, 3)], r"\(4, 3\) → \(2, 3\), expected a chain .* choose the layers with on="),
     ([(4, 3), (4,)], r"\(4, 3\) → \(4,\)"), ([(2, 3, 2, 2)], r"\(2, 3, 2, 2\)")],
)  # fmt: skip
def test_a_chain_that_does_not_fit_is_told(shapes, message):
    ws = [draw(*shape) for shape in shapes]
    with pytest.raises(ValueError, match=rf"PathNorm: got weights of shapes {message}"):
        PathNorm(1.0).value(*ws)


def test_path_norm_has_no_prox():
    with pytest.raises(NotImplementedError, match="PathNorm has no closed-form prox"):
        PathNorm(1.0).prox(draw(4, 3), 0.1)


def test_a_frozen_layer_stays_in_the_path_norm():
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    objective = mr.Objective(nn.MSELoss(), {"path": penalties.PathNorm(0.1)})
    x, y = mr.Tensor(np.ones((2, 4), np.float32)), np.ones((2, 2), np.float32)
    before = objective(model, x, y)["path"].item()
    model[2].weight.requires_grad_(False)
    terms = objective.bind(model)(model, x, y)
    assert terms["path"].item() == before
    terms.backward()
    assert model[2].weight.grad is None
    assert set(terms.gradients["path"]) == {"0.weight", "4.weight"}
