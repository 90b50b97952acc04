"""mr.linalg: against NumPy in value, and its derivatives where the textbook rules break down."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from support import strict
from support.arrays import draw
from support.device import LINALG, run_linalg
from support.strict import StrictArray

import minireg as mr
from minireg import linalg

Array = np.ndarray


def orthogonal(m: int, n: int | None = None, seed: int = 0) -> Array:
    """Orthonormal columns, or rows of a wide matrix."""
    n = m if n is None else n
    q = np.linalg.qr(draw(max(m, n), max(m, n), seed=seed))[0]
    return q[:m, :n].copy()


def of_values(m: int, n: int, *values: float) -> Array:
    """A matrix with these singular values."""
    k = len(values)
    return (orthogonal(m)[:, :k] * values) @ orthogonal(n, seed=1)[:k]


def gradient(function: Callable[[Any], Any], x: Array) -> Array:
    leaf = mr.Tensor(x, requires_grad=True)
    return mr.grad(function(leaf), leaf)[0].numpy()


def hessian_vector(function: Callable[[Any], Any], x: Array, v: Array) -> Array:
    leaf = mr.Tensor(x, requires_grad=True)
    (first,) = mr.grad(function(leaf), leaf, create_graph=True)
    return mr.grad((first * v).sum(), leaf)[0].numpy()


def norm(ord: Any) -> Callable[[Any], Any]:
    return lambda x: linalg.norm(x, ord)


def polar(x: Array) -> Array:
    """U Vᵀ over the singular values that are not 0."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return (u * (s > 1e-12)) @ vh


def near(a: Any, b: Any, tolerance: float) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


# --- the same as NumPy ----------------------------------------------------------------------------

ORDS = (None, "fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf, 0, 3, 0.5, "no such norm")
MATRICES = [
    (3, 3),
    (1, 1),
    (0, 0),
    (3, 2),
    (2, 3),
    (0, 3),
    (3, 0),
    (2, 3, 3),
    (0, 2, 2),
    (2, 0, 0),
    (2, 4, 3),
]
SQUARE = [shape for shape in MATRICES if shape[-1] == shape[-2]] + [(3,), (), (2, 3)]
POSITIVE = "positive definite"

# name → (arguments after the matrix, kind of matrix)
FUNCTIONS: dict[str, tuple[list[tuple[Any, ...]], Any]] = {
    "inv": ([()], POSITIVE), "det": ([()], None), "slogdet": ([()], None), "cholesky": ([()], POSITIVE),
    "eigh": ([()], POSITIVE), "eigvalsh": ([(), ("U",)], POSITIVE),
    "svd": ([(False,), (True, False)], None), "svdvals": ([()], None), "pinv": ([(), (1e-3,)], None),
    "matrix_power": ([(n,) for n in (0, 1, 2, 5, -1, -2)], POSITIVE),
    "cond": ([(p,) for p in (None, 2, -2, "fro", "nuc", 1, np.inf)], POSITIVE),
    "norm": ([(ord, axis) for ord in ORDS for axis in (None, -1, (-2, -1), (1, 0), (0, 0), 7)], None),
}  # fmt: skip


def outcome(function: Callable[..., Any], *args: Any, **kw: Any) -> Any:
    try:
        with np.errstate(divide="ignore"):  # 0 ** −1
            return function(*args, **kw)
    except (ValueError, TypeError, IndexError) as error:
        return error


def agree(got: Any, want: Any, dtype: Any) -> bool:
    if isinstance(got, Exception) or isinstance(want, Exception):
        return isinstance(got, Exception) and isinstance(want, Exception)
    if isinstance(want, tuple):
        return len(got) == len(want) and all(
            agree(g, w, dtype) for g, w in zip(got, want, strict=True)
        )
    got, want = np.asarray(got.data), np.asarray(want)
    rounding = 1e-4 if dtype == np.float32 else 1e-11
    close = np.allclose(got, want, rtol=rounding, atol=rounding)
    return (got.shape, got.dtype) == (want.shape, want.dtype) and close


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_numpy(name, dtype):
    """Value, shape and dtype, of empty matrices and stacks, too; float32 gradients of float32."""
    rests, kind = FUNCTIONS[name]
    numpy, wrong = getattr(np.linalg, name), []
    for shape, rest in product([*MATRICES, *SQUARE], rests):
        x = draw(*shape)
        if kind is POSITIVE and len(shape) > 1 and shape[-1] == shape[-2]:
            x = x @ x.swapaxes(-1, -2) + np.eye(shape[-1])
        if name == "cond" and 0 in shape:
            continue
        x = x.astype(dtype)
        want = outcome(numpy, x, *rest)
        leaf = mr.Tensor(x, requires_grad=True)
        for call in (getattr(linalg, name), numpy):
            got = outcome(call, leaf, *rest)
            if not agree(got, want, dtype):
                wrong.append(f"{name}{(shape, *rest)}: {got!r}, NumPy has {want!r}")
            elif not isinstance(got, Exception):
                parts = got if isinstance(got, tuple) else (got,)
                (g,) = mr.grad(sum((p * p).sum() for p in parts), leaf)
                assert (g.shape, g.dtype) == (x.shape, dtype)
                assert np.isfinite(g.numpy()).all()
    assert not wrong, "\n".join(wrong[:3])


@pytest.mark.parametrize("name", ["vector_norm", "matrix_norm", "norm"])
def test_norms_of_all_kinds_equal_numpy(name):
    for shape, ord, keepdims in product([(3,), (), (0,), *MATRICES], ORDS, (False, True)):
        x, kw = draw(*shape), {"ord": ord, "keepdims": keepdims}
        for axes in ({}, {"axis": 0}, {"axis": (0, 1)}) if name == "vector_norm" else ({},):
            want = outcome(getattr(np.linalg, name), x, **kw, **axes)
            for function in (getattr(linalg, name), getattr(np.linalg, name)):
                assert agree(outcome(function, mr.Tensor(x), **kw, **axes), want, np.float64), (
                    shape,
                    kw,
                )


@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (3,)), ((2, 3, 3), (3, 2)), ((3, 3), (4, 3, 1)),
     ((5, 1, 2, 2), (4, 2, 3)), ((0, 0), (0,)), ((0, 0), (0, 2)), ((2, 0, 0), (2, 0, 1)), ((3, 3), (2,)),
     ((2, 2, 2), (2, 2)), ((2, 3), (2,)), ((3, 3), (3, 0))],
)  # fmt: skip
def test_solve_equals_numpy(a, b):
    """A vector is what has one axis, as in NumPy 2; stacks broadcast."""
    x, y = draw(*a), draw(*b, seed=1)
    want = outcome(np.linalg.solve, x, y)
    inputs = [mr.Tensor(v, requires_grad=True) for v in (x, y)]
    got = outcome(linalg.solve, *inputs)
    assert agree(got, want, np.float64)
    assert agree(outcome(np.linalg.solve, *inputs), want, np.float64)
    if not isinstance(got, Exception):
        assert [g.shape for g in mr.grad(got.sum(), inputs)] == [a, b]


@pytest.mark.parametrize("ord", [None, 0, 1, 2, 3, np.inf])
def test_vector_norm_of_complex_numbers_is_that_of_their_moduli(ord):
    x = np.array([3.0 + 4.0j, 1.0j, 0.0])
    np.testing.assert_allclose(mr.linalg.norm(mr.tensor(x), ord).numpy(), np.linalg.norm(x, ord))


def test_integers_become_float64():
    x = mr.Tensor(np.array([[3, 0], [0, 4]]))
    for ord in (None, "nuc", 1, np.inf, 2):
        assert linalg.norm(x, ord).dtype == np.float64
    assert linalg.vector_norm(x, ord=1).item() == 7.0


def test_one_triangle_is_read_and_the_gradient_is_symmetric():
    a = draw(4, 4)
    a = a @ a.T + np.eye(4)
    for uplo, other in (("L", np.triu), ("U", np.tril)):
        odd = a + other(np.full((4, 4), 7.0), 1 if uplo == "L" else -1)
        near(linalg.eigvalsh(mr.Tensor(odd), uplo).numpy(), np.linalg.eigvalsh(a), 1e-12)
        near(linalg.eigh(mr.Tensor(odd), uplo).eigenvalues.numpy(), np.linalg.eigvalsh(a), 1e-12)
        got = linalg.cholesky(mr.Tensor(odd), upper=uplo == "U").numpy()
        near(got, np.linalg.cholesky(odd, upper=uplo == "U"), 1e-12)
    _, v = np.linalg.eigh(a)
    largest = gradient(lambda x: linalg.eigvalsh(x)[-1], a)
    near(largest, np.outer(v[:, -1], v[:, -1]), 1e-13)
    for function in (lambda x: linalg.cholesky(x).sum(), lambda x: (linalg.eigh(x)[1] ** 3).sum()):
        g = gradient(function, a)
        near(g, g.T, 1e-15)


# --- norms at their kinks -------------------------------------------------------------------------


@pytest.mark.parametrize("ord", [None, "fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (2, 3, 2)])
def test_gradient_of_every_matrix_norm_at_0_is_0(ord, shape):
    x = mr.Tensor(np.zeros(shape), requires_grad=True)
    y = linalg.norm(x, ord, (-2, -1)).sum()
    (g,) = mr.grad(y, x, create_graph=True)
    assert (g.numpy() == 0).all()
    assert mr.gradcheck(lambda x: linalg.norm(x, ord, (-2, -1)), np.zeros(shape))


@pytest.mark.parametrize("ord", [None, 2, 1, np.inf, -np.inf, 3, 1.5, 0.5, 0, -1])
def test_gradient_of_every_vector_norm_at_0_is_0(ord):
    with np.errstate(divide="ignore"):  # 0 ** −1
        assert (gradient(norm(ord), np.zeros(4)) == 0).all()
        assert (hessian_vector(norm(ord), np.zeros(4), np.ones(4)) == 0).all()


def test_entries_that_are_0_get_nothing_from_a_p_norm():
    for p in (0.5, 1.5, 3, 4):
        g = gradient(norm(p), np.array([0.0, 2.0, -1.0]))
        assert g[0] == 0
        assert np.isfinite(g).all()
    assert mr.gradcheck(norm(3), np.array([0.0, 2.0, -1.0])).verdict == "ok"


@pytest.mark.parametrize(
    ("ord", "x", "expected"),
    [
        (1, [[1.0, -2.0], [2.0, 1.0]], [[0.5, -0.5], [0.5, 0.5]]),
        (-1, [[1.0, -2.0], [2.0, 1.0]], [[0.5, -0.5], [0.5, 0.5]]),
        (np.inf, [[3.0, -1.0], [2.0, 2.0], [1.0, 1.0]], [[0.5, -0.5], [0.5, 0.5], [0.0, 0.0]]),
        (-np.inf, [[3.0, -1.0], [2.0, 1.0], [1.0, -2.0]], [[0.0, 0.0], [0.5, 0.5], [0.5, -0.5]]),
        (2, [[3.0, 0.0, 0.0], [0.0, -3.0, 0.0]], [[0.5, 0.0, 0.0], [0.0, -0.5, 0.0]]),
        (-2, [[3.0, 0.0, 0.0], [0.0, -3.0, 0.0]], [[0.5, 0.0, 0.0], [0.0, -0.5, 0.0]]),
        (-2, [[3.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
        (2, [[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]]),
    ],
)
def test_ties_of_matrix_norms_share_evenly(ord, x, expected):
    near(gradient(norm(ord), np.array(x)), expected, 1e-15)


@pytest.mark.parametrize("x", [orthogonal(5) * 1.7, orthogonal(5, 3), orthogonal(2, 4),
                               of_values(5, 4, 3.0, 3.0, 3.0, 1.0)])  # fmt: skip
def test_spectral_norm_at_a_repeated_largest_value(x):
    """U₁V₁ᵀ/r although LAPACK's equal values differ by rounding; it is in the subdifferential."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    top = s > s[0] - 1e-9
    near(gradient(norm(2), x), (u * top) @ vh / top.sum(), 1e-14)
    assert mr.gradcheck(norm(2), x).verdict == "kink: inside the subdifferential"


# --- the nuclear norm: right where values repeat and where they vanish ----------------------------

FULL_RANK = {
    "identity": np.eye(4), "orthogonal": orthogonal(5) * 1.7, "orthonormal columns": orthogonal(5, 3),
    "orthonormal rows": orthogonal(3, 5), "some equal": of_values(4, 4, 2.0, 2.0, 1.0, 1.0),
    "nearly equal": of_values(5, 4, 2.0, 2.0 + 1e-9, 1.0, 1.0 - 1e-13), "distinct": draw(4, 3),
    "stack": np.stack([np.eye(3), orthogonal(3), draw(3, 3)]),
}  # fmt: skip
DEFICIENT = {
    "rank 2": of_values(5, 4, 2.0, 2.0), "square": of_values(4, 4, 3.0, 1.0), "rank 1": of_values(3, 4, 1.0),
    "ones": np.ones((3, 3)),
}  # fmt: skip


def nuclear(x: Any) -> Any:
    return linalg.norm(x, "nuc", (-2, -1)).sum()


@pytest.mark.parametrize("which", FULL_RANK)
def test_nuclear_norm_of_full_rank(which):
    """Gradient U Vᵀ, and its derivative, which divides by sums of values only."""
    x = FULL_RANK[which]
    parts = x if x.ndim == 3 else [x]
    near(gradient(nuclear, x).reshape(-1, *x.shape[-2:]), [polar(part) for part in parts], 1e-14)
    assert mr.gradcheck(nuclear, x).verdict == "ok"
    assert mr.gradgradcheck(nuclear, x).verdict == "ok"


def test_hessian_of_the_nuclear_norm_at_an_orthogonal_matrix():
    """The closed form: half of V − W Vᵀ W."""
    w, v = orthogonal(5), draw(5, 5, seed=2)
    near(hessian_vector(norm("nuc"), w, v), (v - w @ v.T @ w) / 2, 1e-14)


@pytest.mark.parametrize("which", DEFICIENT)
def test_nuclear_norm_of_deficient_rank(which):
    """U_r V_rᵀ lies in the subdifferential; along matrices of the same rank it is smooth."""
    x = DEFICIENT[which]
    u, s, vh = np.linalg.svd(x)
    r = int((s > 1e-12).sum())
    near(gradient(nuclear, x), u[:, :r] @ vh[:r], 1e-14)
    assert mr.gradcheck(nuclear, x).verdict == "kink: inside the subdifferential"
    a, b = u[:, :r] * s[:r], vh[:r]

    def factored(a: Any, b: Any) -> Any:
        return nuclear(a @ b)

    assert mr.gradcheck(factored, (a, b)).verdict == "ok"
    v, h = draw(*a.shape, seed=3), 1e-5
    moved = (polar((a + h * v) @ b) - polar((a - h * v) @ b)) / (2 * h)
    near(hessian_vector(nuclear, x, v @ b), moved, 1e-8)


def test_nuclear_norm_of_nothing():
    assert (gradient(nuclear, np.zeros((3, 4))) == 0).all()
    assert (hessian_vector(nuclear, np.zeros((3, 4)), np.ones((3, 4))) == 0).all()
    assert gradient(nuclear, np.zeros((2, 0, 4))).shape == (2, 0, 4)


# --- svd and eigh where values repeat -------------------------------------------------------------


def side(matrix: Any) -> Any:
    return matrix @ matrix.swapaxes(-1, -2)


REPEATED = of_values(5, 4, 3.0, 3.0, 1.0, 1.0)
EQUAL_TREATMENT: dict[str, tuple[Callable[[Any], Any], Array]] = {
    "sum of squares": (lambda x: (linalg.svdvals(x) ** 2).sum(), REPEATED),
    "sum of cubes": (lambda x: (linalg.svd(x, False).S ** 3).sum(), REPEATED),
    "log-determinant": (lambda x: mr.log(linalg.svdvals(x)).sum(), orthogonal(4)),
    "U Vᵀ of the identity": (lambda x: (lambda u, s, vh: u @ vh)(*linalg.svd(x, False)), np.eye(4)),
    "U Vᵀ of orthogonal": (lambda x: (lambda u, s, vh: u @ vh)(*linalg.svd(x, False)), orthogonal(5, 3)),
    "U Vᵀ of wide": (lambda x: (lambda u, s, vh: u @ vh)(*linalg.svd(x, False)), orthogonal(3, 5)),
    "pairs of vectors": (lambda x: (lambda u, s, vh: u[:, :2] @ vh[:2])(*linalg.svd(x, False)), REPEATED),
    "left subspace": (lambda x: side(linalg.svd(x, False).U[:, :2]), REPEATED),
    "right subspace": (lambda x: side(linalg.svd(x, False).Vh[2:].T), REPEATED),
    "eigenvalues": (lambda x: (linalg.eigvalsh(side(x)) ** 3).sum(), REPEATED),
    "eigenspace": (lambda x: side(linalg.eigh(side(x)).eigenvectors[:, :3]), REPEATED),
    "eigenvalues of eigh": (lambda x: mr.exp(linalg.eigh(side(x)).eigenvalues).sum(), np.eye(3)),
}  # fmt: skip


@pytest.mark.parametrize("which", EQUAL_TREATMENT)
def test_functions_that_treat_equal_values_alike(which):
    function, x = EQUAL_TREATMENT[which]
    assert mr.gradcheck(function, x).verdict == "ok"


def test_what_the_vectors_of_equal_values_cannot_tell():
    """The documented limit: U σ Vᵀ is the matrix, but at equal values its parts do not say so."""

    def rebuilt(x: Any) -> Any:
        u, s, vh = linalg.svd(x, full_matrices=False)
        return (u * s) @ vh

    assert mr.gradcheck(rebuilt, draw(3, 3)).verdict == "ok"
    v = draw(3, 3)
    found = gradient(lambda x: (rebuilt(x) * v).sum(), np.eye(3))
    near(found, (v - v.T) / 2 + np.diag(np.diag(v)), 1e-14)


def test_second_derivatives_at_distinct_values():
    x = of_values(4, 3, 3.0, 2.0, 1.0)
    for function in (lambda x: linalg.svd(x, False).U ** 3, lambda x: linalg.svd(x, False).Vh ** 3,
                     lambda x: linalg.eigh(x.T @ x).eigenvectors ** 3):  # fmt: skip
        assert mr.gradgradcheck(function, x).verdict == "ok"


def test_full_matrices():
    wide, square = draw(2, 3), draw(3, 3)
    recorded = mr.Tensor(wide, requires_grad=True)
    with pytest.raises(ValueError, match=r"svd: .*\(2, 3\).*say full_matrices=False"):
        linalg.svd(recorded)
    assert linalg.svd(mr.Tensor(square, requires_grad=True)).U.requires_grad  # nothing is added
    with mr.no_grad():
        parts = linalg.svd(recorded)
    for got, also, want in zip(parts, linalg.svd(wide), np.linalg.svd(wide), strict=True):
        assert isinstance(got, mr.Tensor)
        np.testing.assert_array_equal(got.numpy(), want)
        np.testing.assert_array_equal(also, want)


# --- determinants ---------------------------------------------------------------------------------

SINGULAR = {
    "rank 3": of_values(4, 4, 3.0, 2.0, 1.0), "rank 3, equal": of_values(4, 4, 2.0, 2.0, 2.0),
    "rank 2": of_values(4, 4, 3.0, 2.0), "rank 1": of_values(4, 4, 3.0), "zero": np.zeros((4, 4)),
    "rank 1 of 2": np.ones((2, 2)), "zero of 2": np.zeros((2, 2)), "zero of 1": np.zeros((1, 1)),
    "rank 0 of 3": np.zeros((3, 3)), "regular": draw(4, 4), "identity": np.eye(5),
    "exact": np.diag([1.0, 2.0, 0.0]),
    "stack": np.stack([np.eye(3), np.ones((3, 3)), np.diag([1.0, 1.0, 0.0])]), "empty": np.zeros((0, 0)),
}  # fmt: skip


def cofactors(a: Array) -> Array:
    n = len(a)
    minors = [[np.delete(np.delete(a, i, 0), j, 1) for j in range(n)] for i in range(n)]
    return np.array([[(-1) ** (i + j) * np.linalg.det(m) for j, m in enumerate(row)]
                     for i, row in enumerate(minors)]).reshape(n, n)  # fmt: skip


@pytest.mark.parametrize("which", SINGULAR)
def test_determinant_of_singular_matrices(which):
    """Cofactors and their derivatives, whatever the rank, by either reading."""
    x = SINGULAR[which]
    want = np.stack([cofactors(a) for a in x]) if x.ndim == 3 else cofactors(x)
    near(gradient(lambda a: linalg.det(a).sum(), x), want, 1e-13)
    leaf = mr.Tensor(x, requires_grad=True)
    near(mr.grad(linalg.det(leaf).sum(), leaf, create_graph=True)[0].numpy(), want, 1e-13)
    if x.size:
        assert mr.gradcheck(linalg.det, x, atol=1e-7)
        assert mr.gradgradcheck(linalg.det, x, atol=1e-7)


def test_third_derivative_of_a_determinant():
    """det of 3×3 is a polynomial of degree 3: along a line its third derivative is 6 det V."""
    x, v = mr.Tensor(of_values(3, 3, 2.0), requires_grad=True), draw(3, 3)
    y = linalg.det(x)
    for _ in range(3):
        (g,) = mr.grad(y, x, create_graph=True)
        y = (g * v).sum()
    assert y.item() == pytest.approx(6 * np.linalg.det(v), rel=1e-12)


def test_sign_of_slogdet_has_no_gradient():
    a = mr.Tensor(draw(3, 3), requires_grad=True)
    sign, logabsdet = linalg.slogdet(a)
    assert (mr.grad(sign, a, retain_graph=True)[0].numpy() == 0).all()
    near(mr.grad(logabsdet, a)[0].numpy(), np.linalg.inv(a.numpy()).T, 1e-13)


# --- errors, and where it runs --------------------------------------------------------------------


LinAlgError = np.linalg.LinAlgError
ZERO, LINE, WIDE, CUBE = (mr.Tensor(np.zeros(shape)) for shape in ((2, 2), (3,), (2, 3), (2, 2, 2)))


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: linalg.inv(ZERO), LinAlgError, ["inv", "Singular", "Tensor(2, 2)"]),
        (lambda: linalg.inv(WIDE), LinAlgError, ["inv", "square", "Tensor(2, 3)"]),
        (lambda: linalg.solve(ZERO, np.ones(2)), LinAlgError, ["solve", "Singular"]),
        (lambda: linalg.cholesky(ZERO), LinAlgError, ["cholesky", "positive definite"]),
        (lambda: linalg.cholesky(WIDE), LinAlgError, ["cholesky", "(2, 3)", "square"]),
        (lambda: linalg.eigh(LINE), LinAlgError, ["eigh", "(3,)", "square"]),
        (lambda: linalg.eigvalsh(ZERO, "X"), ValueError, ["eigvalsh", "'X'", "'L' or 'U'"]),
        (lambda: linalg.matrix_power(WIDE, 2), LinAlgError, ["matrix_power", "(2, 3)", "square"]),
        (lambda: linalg.matrix_power(ZERO, 1.5), TypeError, ["float", "integer"]),
        (lambda: linalg.norm(ZERO, "bad"), ValueError, ["norm", "'bad'", "'nuc'"]),
        (lambda: linalg.norm(LINE, "nuc"), ValueError, ["norm", "'nuc'", "vectors"]),
        (lambda: linalg.norm(CUBE, 2), ValueError, ["norm", "(2, 2, 2)", "vector_norm"]),
        (lambda: linalg.norm(ZERO, axis=5), ValueError, ["norm", "axis 5"]),
        (lambda: linalg.svd(LINE), LinAlgError, ["svd", "1-dimensional"]),
    ],
)  # fmt: skip
def test_errors(call, kind, parts):
    with pytest.raises(kind) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


def test_a_singular_matrix_in_the_backward_pass_says_so():
    a = mr.Tensor(np.zeros((2, 2)), requires_grad=True)
    with pytest.raises(np.linalg.LinAlgError, match="inv: Singular matrix"):
        linalg.slogdet(a).logabsdet.backward()


@pytest.mark.parametrize("options", [{"rcond": 1e-3}, {"rtol": 1e-3}, {"hermitian": True}])
def test_each_option_of_pinv_has_its_gradient(options):
    u, s, _ = np.linalg.svd(draw(3, 3))
    a, weights = (u[:, :2] * s[:2]) @ u[:, :2].T, draw(3, 3, seed=1)
    x = mr.tensor(a, requires_grad=True)
    (linalg.pinv(x, **options) * weights).sum().backward()
    d = u[:, :2] @ draw(2, 2, seed=2)  # in the space of u: the rank stays
    d, step = d @ u[:, :2].T + u[:, :2] @ d.T, 1e-6  # and symmetric
    up, down = ((np.linalg.pinv(a + k * d, **options) * weights).sum() for k in (step, -step))
    np.testing.assert_allclose((x.grad.numpy() * d).sum(), (up - down) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("name", LINALG)
def test_runs_where_the_arrays_are(name):
    """On the stand-in for a GPU, forward and twice backward, without waiting for it."""
    expected = run_linalg(name, "numpy")
    with strict.registered(), strict.count_syncs() as syncs:
        got = run_linalg(name, "strict")
        assert not syncs
        for e, g in zip(expected, got, strict=True):
            assert isinstance(g.data, StrictArray)
            np.testing.assert_array_equal(g.data.get(), e.numpy())


RNG = np.random.default_rng(0)
MANY = 2000
STACKS: dict[str, Array] = {
    "generic": RNG.normal(size=(MANY, 4, 4)),
    "nearly diagonal": (RNG.uniform(-0.4, 0.4, (MANY, 4, 4)) / 5
                        + np.eye(4) * np.arange(1, 5))[..., RNG.permutation(4)],
    "whole numbers": RNG.integers(-1, 2, (MANY, 4, 4)).astype(float),
    "rank 2": RNG.normal(size=(MANY, 4, 2)) @ RNG.normal(size=(MANY, 2, 4)),
    "orthogonal": np.linalg.qr(RNG.normal(size=(MANY, 4, 4)))[0],
    "not square": RNG.normal(size=(MANY, 2, 8)),
}  # fmt: skip


def symmetric(x: Any) -> Any:
    return x[:, :2, :2] + x[:, :2, :2].swapaxes(1, 2)


DEGREE_1: dict[str, Callable[[Any], Any]] = {
    **{f"matrix norm {o}": lambda x, o=o: linalg.matrix_norm(x, ord=o) for o in ORDS[1:-4]},
    **{f"vector norm {p}": lambda x, p=p: linalg.vector_norm(x, axis=(1, 2), ord=p)
       for p in (2, 1, 3, 0.5, np.inf, -np.inf)},
    "svdvals": lambda x: (linalg.svdvals(x) * [1.0, 2.0, 3.0, 4.0][: min(x.shape[1:])]).sum(axis=-1),
    "eigvalsh": lambda x: (linalg.eigvalsh(symmetric(x)) * [1.0, 2.0]).sum(axis=-1),
    "max": lambda x: x.max(axis=(1, 2)), "min": lambda x: x.min(axis=(1, 2)),
    "median": lambda x: np.median(x, axis=(1, 2)), "std": lambda x: x.std(axis=(1, 2)),
    "sort": lambda x: (np.sort(x.reshape(MANY, -1)) * np.arange(16.0)).sum(axis=-1),
    "maximum": lambda x: np.maximum(x[:, 0], x[:, 1]).sum(axis=-1),
    "clip": lambda x: mr.clip(x[:, 0], -x[:, 1], x[:, 1]).sum(axis=-1),
}  # fmt: skip


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", DEGREE_1)
def test_no_gradient_is_lost_to_rounding(name, stack):
    """Euler: f(x) = <f'(x), x> of degree 1, kinks and ties included, of every one of thousands.

    A rule that looks for what it computes anew in what was computed before finds it nearly always.
    """
    x = mr.tensor(STACKS[stack], requires_grad=True)
    y = DEGREE_1[name](x)
    y.sum().backward()
    pull = (x.grad.numpy() * x.numpy()).sum(axis=(1, 2))
    np.testing.assert_allclose(pull, y.numpy(), rtol=1e-11, atol=1e-11)
