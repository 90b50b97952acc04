"""Windows over images: against loops written out, and the laws that tie the functions together."""

import re
from itertools import product

import numpy as np
import pytest
from support.arrays import draw

import minireg as mr
from minireg import nn
from minireg.ops.convolution import fold, unfold

F = nn.functional


def windows(x, size, stride=(1, 1), padding=(0, 0), dilation=(1, 1), fill=0.0):
    """Every window of (N, C, H, W), taken one by one: {(i, j): (N, C, kh, kw)}."""
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)), constant_values=fill)
    span = [d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)]
    counts = [(n - w) // s + 1 for n, w, s in zip(x.shape[2:], span, stride, strict=True)]
    return {
        (i, j): x[:, :, i * stride[0] : i * stride[0] + span[0] : dilation[0],
                  j * stride[1] : j * stride[1] + span[1] : dilation[1]]
        for i, j in product(*map(range, counts))
    }  # fmt: skip


def collected(found: dict) -> np.ndarray:
    """{(i, j): (N, C)} as (N, C, H, W)."""
    height, width = (1 + max(place[axis] for place in found) for axis in (0, 1))
    rows = [np.stack([found[i, j] for j in range(width)], axis=-1) for i in range(height)]
    return np.stack(rows, axis=-2)


# --- the definition -------------------------------------------------------------------------------

GEOMETRIES = [
    {}, {"stride": (2, 1)}, {"padding": (1, 2)}, {"dilation": (2, 1)},
    {"stride": (3, 2), "padding": (2, 1), "dilation": (1, 2)},
]  # fmt: skip


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
def test_a_convolution_is_a_product_with_every_window(options, groups):
    x, w, b = draw(2, 4, 7, 6), draw(6, 4 // groups, 2, 3, seed=1), draw(6, seed=2)
    got = F.conv2d(x, w, b, **options, groups=groups)
    split = np.split(np.arange(4), groups), np.split(np.arange(6), groups)
    found = {
        place: np.concatenate(
            [np.einsum("ncij,ocij->no", under[:, c], w[o]) for c, o in zip(*split, strict=True)],
            axis=1,
        )
        for place, under in windows(x, (2, 3), **options).items()
    }
    np.testing.assert_allclose(got, collected(found) + b[:, None, None], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
def test_pooling_is_the_largest_or_the_mean_under_every_window(options):
    x = draw(2, 3, 9, 8)
    options = {"stride": (1, 1)} | options | ({"padding": (1, 1)} if "padding" in options else {})
    under = windows(x, (2, 3), **options, fill=-np.inf).items()
    largest = {place: w.max(axis=(2, 3)) for place, w in under}
    np.testing.assert_array_equal(F.max_pool2d(x, (2, 3), **options), collected(largest))
    if "dilation" not in options:
        mean = {place: w.mean(axis=(2, 3)) for place, w in windows(x, (2, 3), **options).items()}
        np.testing.assert_allclose(F.avg_pool2d(x, (2, 3), **options), collected(mean), rtol=1e-12)


def test_a_mean_without_its_padding_is_that_of_what_is_there():
    x = draw(2, 3, 6, 5)
    under = windows(x, (3, 2), (2, 2), (1, 1), fill=np.nan).items()
    mean = {place: np.nanmean(w, axis=(2, 3)) for place, w in under}
    got = F.avg_pool2d(x, (3, 2), 2, 1, count_include_pad=False)
    np.testing.assert_allclose(got, collected(mean), rtol=1e-12)


def test_ceil_mode_sees_every_pixel():
    """Windows that do not overlap: their maxima and sums are those of the whole image."""
    x = draw(1, 2, 7, 5)
    largest = F.max_pool2d(x, 3, ceil_mode=True)
    assert largest.shape == (1, 2, 3, 2)
    np.testing.assert_array_equal(largest.max(axis=(2, 3)), x.max(axis=(2, 3)))
    sums = F.avg_pool2d(x, 3, ceil_mode=True, divisor_override=1)
    np.testing.assert_allclose(sums.sum(axis=(2, 3)), x.sum(axis=(2, 3)), rtol=1e-12)
    np.testing.assert_allclose(F.avg_pool2d(np.ones((1, 1, 7, 5)), 3, ceil_mode=True), 1)


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", [((2, 3), (1, 1), (1, 1)), ((3, 2), (2, 3), (2, 1))])
def test_fold_is_the_transpose_of_unfold(geometry):
    size, stride, dilation = geometry
    x = draw(2, 8, 7, 3)
    y = unfold(x, size, stride, dilation)
    g = draw(*y.shape, seed=1)
    back = fold(g, x.shape[1:3], stride, dilation)
    np.testing.assert_allclose((y * g).sum(), (x * back).sum(), rtol=1e-12)
    covered = fold(np.ones(y.shape), x.shape[1:3], stride, dilation)  # how many windows see a pixel
    again = fold(y, x.shape[1:3], stride, dilation)
    np.testing.assert_allclose(again, x * covered, rtol=1e-12)


def test_unfolding_copies_nothing():
    x = draw(2, 8, 7, 3)
    assert np.shares_memory(unfold(x, (3, 3), (1, 1), (1, 1)), x)


def test_a_shifted_image_gives_a_shifted_result():
    x, w = draw(1, 2, 8, 8), draw(3, 2, 3, 3, seed=1)
    shifted = F.conv2d(np.roll(x, (1, 2), (2, 3)), w)
    np.testing.assert_allclose(shifted[..., 1:, 2:], F.conv2d(x, w)[..., :-1, :-2], rtol=1e-10)


def test_a_window_of_one_pixel_is_a_linear_layer_of_the_channels():
    x, w, b = draw(2, 3, 4, 5), draw(6, 3, seed=1), draw(6, seed=2)
    expected = np.moveaxis(F.linear(np.moveaxis(x, 1, -1), w, b), -1, 1)
    np.testing.assert_allclose(F.conv2d(x, w[..., None, None], b), expected, rtol=1e-12)


def test_a_delta_passes_the_image_through():
    layer = nn.Conv2d(3, 3, 3, padding="same", bias=False)
    nn.init.dirac_(layer.weight)
    x = draw(2, 3, 5, 4).astype(np.float32)
    np.testing.assert_array_equal(layer(x).data, x)


@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (2, 1), (3, 2), ((4, 5), (3, 1))])
def test_same_keeps_the_size(size, dilation):
    x = draw(2, 1, 7, 6).astype(np.float32)
    assert nn.Conv2d(1, 2, size, padding="same", dilation=dilation)(x).shape == (2, 2, 7, 6)


def test_same_puts_an_odd_pixel_of_padding_right_and_below():
    x = np.array([[[1.0, 2.0, 4.0]]])
    np.testing.assert_array_equal(F.conv2d(x, np.ones((1, 1, 1, 2)), padding="same"), [[[3, 6, 4]]])
    below = F.conv2d(x.reshape(1, 3, 1), np.ones((1, 1, 2, 1)), padding="same")
    np.testing.assert_array_equal(below.ravel(), [3, 6, 4])


def test_no_window_starts_in_the_padding_behind_the_image():
    x = draw(1, 4, 5)
    for pool in (F.max_pool2d, F.avg_pool2d):
        assert pool(x, 2, 3, 1, ceil_mode=True).shape == (1, 2, 2)  # the third would start at 5


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.conv2d(x, draw(4, 3, 2, 2, seed=1), draw(4, seed=2), padding=1),
        lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    ],
    ids=["conv2d", "max_pool2d", "avg_pool2d"],
)
def test_an_image_by_itself_is_a_batch_of_one(function):
    x = draw(3, 6, 5)
    np.testing.assert_array_equal(function(x), function(x[None])[0])
    t, batch = mr.Tensor(x, requires_grad=True), mr.Tensor(x[None], requires_grad=True)
    for inputs in (t, batch):
        (function(inputs) ** 2).sum().backward()
    np.testing.assert_array_equal(t.grad.data, batch.grad.data[0])


def test_memory_layout_makes_no_difference():
    """Results lie with the batch last; layers after one another see each other's layout."""
    x, w = draw(3, 2, 6, 5), draw(4, 2, 3, 3, seed=1)
    first = F.conv2d(x, w)
    for layout in (np.asfortranarray, lambda a: np.moveaxis(np.moveaxis(a, 0, -1).copy(), -1, 0)):
        np.testing.assert_allclose(F.conv2d(layout(x), layout(w)), first, rtol=1e-12)
        np.testing.assert_array_equal(F.max_pool2d(layout(x), 2), F.max_pool2d(x, 2))


def test_derivatives_of_order_one_and_two():
    x, w, b = draw(2, 2, 4, 5), draw(2, 1, 2, 3, seed=1), draw(2, seed=2)

    def network(x, w, b):
        return F.avg_pool2d(F.conv2d(x, w, b, (1, 2), 1, (2, 1), 2).tanh(), 2, 1)

    assert mr.gradcheck(network, (x, w, b))
    assert mr.gradgradcheck(network, (x, w, b))
    assert mr.gradcheck(lambda x: F.max_pool2d(x, 2, 1, 1), x)


# --- ties -----------------------------------------------------------------------------------------


def test_ties_share_the_gradient_evenly():
    x = mr.Tensor(
        np.array([[[2.0, 1.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 0.0]]]), requires_grad=True
    )
    F.max_pool2d(x, 2, 1).sum().backward()
    third = 1 / 3
    shares = [[third, 0, 0], [third + 1 / 2, third + 1 + 1 / 2 + 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(x.grad.data, [shares], rtol=1e-12)
    flat = mr.Tensor(np.zeros((1, 2, 2)), requires_grad=True)
    F.max_pool2d(flat, 2).sum().backward()
    np.testing.assert_array_equal(flat.grad.data, np.full((1, 2, 2), 1 / 4))


def test_padding_is_never_the_largest():
    x = mr.Tensor(np.full((1, 2, 2), -1e30), requires_grad=True)
    y = F.max_pool2d(x, 2, 2, 1)
    np.testing.assert_array_equal(y.data, x.data)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, np.ones((1, 2, 2)))


def test_integers_have_a_largest_element_too():
    x = np.arange(-8, 8).reshape(1, 4, 4)
    got = F.max_pool2d(x, 2, padding=1)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, [[[-8, -6, -5], [0, 2, 3], [4, 6, 7]]])


# --- looks and refusals ---------------------------------------------------------------------------


def test_layers_show_their_geometry():
    assert repr(nn.Conv2d(2, 4, 3)) == "Conv2d(2, 4, kernel_size=(3, 3))  y = W ⋆ x + b"
    layer = nn.Conv2d(2, 4, (3, 1), 2, "valid", (1, 2), groups=2, bias=False)
    assert repr(layer).startswith(
        "Conv2d(2, 4, kernel_size=(3, 1), stride=(2, 2), padding='valid', dilation=(1, 2), "
        "groups=2, bias=False)"
    )
    assert repr(nn.MaxPool2d(2, padding=1)).startswith(
        "MaxPool2d(kernel_size=2, stride=2, padding=1, dilation=1, ceil_mode=False)"
    )


def image(*shape):
    return mr.Tensor(np.zeros(shape, np.float32))


# (call, what it is told)
REFUSED = {
    "no channels": (lambda: nn.Conv2d(0, 1, 1), "Conv2d: in_channels must be an integer ≥ 1, got 0"),
    "no groups": (lambda: nn.Conv2d(1, 1, 1, groups=0), "groups must be an integer ≥ 1, got 0"),
    "inputs and groups": (lambda: nn.Conv2d(3, 4, 1, groups=2), "divisible by groups, got 3, 4 and 2"),
    "outputs and groups": (lambda: nn.Conv2d(4, 3, 1, groups=2), "divisible by groups, got 4, 3 and 2"),
    "kernel_size": (lambda: nn.Conv2d(1, 1, 0), "kernel_size must be an integer ≥ 1 or two of them, got 0"),
    "three sides": (lambda: nn.Conv2d(1, 1, (1, 2, 3)), "or two of them, got (1, 2, 3)"),
    "half a pixel": (lambda: nn.Conv2d(1, 1, 1.5), "or two of them, got 1.5"),
    "stride": (lambda: nn.Conv2d(1, 1, 1, stride=0), "Conv2d: stride must be an integer ≥ 1"),
    "dilation": (lambda: nn.Conv2d(1, 1, 1, dilation=(1, 0)), "Conv2d: dilation must be an integer ≥ 1"),
    "padding": (lambda: nn.Conv2d(1, 1, 1, padding=-1), "Conv2d: padding must be an integer ≥ 0"),
    "padding word": (lambda: nn.Conv2d(1, 1, 1, padding="full"), "'same' or 'valid', got 'full'"),
    "same, strided": (lambda: nn.Conv2d(1, 1, 1, 2, "same"), "padding='same' needs stride 1, got (2, 2)"),
    "channels": (lambda: nn.Conv2d(2, 1, 1)(image(1, 3, 4, 4)), "conv2d: got input of shape (1, 3, 4, 4)"),
    "a matrix": (lambda: nn.Conv2d(2, 1, 1)(image(4, 4)), "expected (N, C, H, W) or (C, H, W)"),
    "too small": (
        lambda: nn.Conv2d(1, 1, 3, dilation=2)(image(1, 1, 4, 9)),
        "conv2d: got input of shape (1, 1, 4, 9), too small for a window that spans (5, 5)",
    ),
    "weight": (lambda: F.conv2d(image(1, 2, 4, 4), image(1, 2, 3)), "and weight of shape (1, 2, 3)"),
    "weight and groups": (lambda: F.conv2d(image(1, 2, 4, 4), image(3, 1, 1, 1), groups=2), "for groups=2"),
    "bias": (
        lambda: F.conv2d(image(1, 2, 4, 4), image(3, 2, 1, 1), image(2)), "bias of shape (2,), expected (3,)",
    ),
    "max_pool2d of a matrix": (lambda: nn.MaxPool2d(2)(image(4, 4)), "max_pool2d: got input of shape (4, 4)"),
    "max_pool2d padding": (
        lambda: nn.MaxPool2d(3, padding=2)(image(1, 4, 4)), "at most half of kernel_size, got (2, 2)",
    ),
    "max_pool2d too small": (lambda: nn.MaxPool2d(5)(image(1, 4, 4)), "max_pool2d: got input of shape (1, 4"),
    "max_pool2d stride": (lambda: nn.MaxPool2d(2, 0)(image(1, 4, 4)), "max_pool2d: stride must be"),
    "max_pool2d dilation": (lambda: nn.MaxPool2d(2, dilation=0)(image(1, 4, 4)), "max_pool2d: dilation must"),
    "avg_pool2d of a matrix": (lambda: nn.AvgPool2d(2)(image(4, 4)), "avg_pool2d: got input of shape (4, 4)"),
    "avg_pool2d too small": (lambda: nn.AvgPool2d((1, 5))(image(1, 4, 4)), "avg_pool2d: got input of shape"),
    "avg_pool2d kernel": (lambda: nn.AvgPool2d("2")(image(1, 4, 4)), "avg_pool2d: kernel_size must be"),
    "avg_pool2d divisor": (
        lambda: nn.AvgPool2d(2, divisor_override=0)(image(1, 4, 4)), "divisor_override must not be 0",
    ),
    "fold": (
        lambda: fold(draw(1, 2, 2, 3, 3), (5, 4), (1, 1), (1, 1)),
        "fold: an image of (5, 4) does not have 3 × 3 windows of (2, 2)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("label", REFUSED)
def test_what_does_not_fit_is_told(label):
    call, message = REFUSED[label]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_the_indices_of_the_largest_are_not_returned():
    """PyTorch's fifth argument; so that nobody gets ceil_mode instead, that goes by name here."""
    with pytest.raises(TypeError, match="positional arguments"):
        nn.MaxPool2d(2, 2, 0, 1, True)
    with pytest.raises(TypeError, match="return_indices"):
        nn.MaxPool2d(2, return_indices=True)
