"""Blur, edges, noise and masks against scipy, scikit-image and explicit sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from images import assert_uniform, image, many, point, sigma_of, unit
from scipy import ndimage

from mi_coding.pairs.augmentations import filters, masking

PHOTO = image(19, 23)


@pytest.mark.parametrize(("sigma", "radius"), [(0.1, 1), (1.0, 3), (2.0, 11), (5.0, 18), (1.0, 0)])
def test_blur_is_an_explicit_convolution_of_the_mirrored_image(sigma, radius):
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    expected = unit(PHOTO)
    for axis in (0, 1):
        width = [(radius, radius) if axis == a else (0, 0) for a in range(3)]
        padded = np.pad(expected, width, mode="reflect")
        expected = np.apply_along_axis(lambda line, t=taps: np.convolve(line, t, mode="valid"), axis, padded)
    result = filters.blur(jnp.asarray(PHOTO), sigma, radius)
    np.testing.assert_allclose(result, expected, atol=2e-6)
    peer = ndimage.gaussian_filter(unit(PHOTO), (sigma, sigma, 0), mode="mirror", radius=(radius, radius, 0))
    np.testing.assert_allclose(result, peer, atol=2e-6)


def test_blur_keeps_constants_and_spreads_a_point():
    constant = jnp.full((9, 12, 3), 0.7)
    np.testing.assert_allclose(filters.blur(constant, 1.5, 4), constant, atol=1e-6)
    point = jnp.zeros((21, 21, 1)).at[10, 10].set(1)
    spread = np.asarray(filters.blur(point, 1.5, 8))[..., 0]
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert (spread * (np.arange(21) - 10) ** 2).sum() == pytest.approx(1.5**2, rel=1e-3)


@pytest.mark.parametrize(("options", "low", "high"), [({}, 0.1, 2.0), ({"sigma": (0.5, 1.5)}, 0.5, 1.5)])
def test_a_random_blur_has_a_sigma_that_is_uniform_in_its_range(options, low, high):
    assert_uniform(sigma_of(many(filters.gaussian_blur(**options), point(31), 1000)), low, high)


def test_a_kernel_is_a_tenth_of_the_height():
    point = np.zeros((224, 30, 1), np.float32)
    point[112, 15] = 1
    spread = filters.gaussian_blur(sigma=(1e3, 1e3))(jax.random.key(0), jnp.asarray(point))
    assert np.count_nonzero(np.asarray(spread).sum((1, 2)) > 1e-6) == 23  # 22, made odd


def test_blur_wider_than_the_image_is_refused():
    with pytest.raises(ValueError, match="blur of radius 5"):
        filters.gaussian_blur()(jax.random.key(0), jnp.zeros((100, 5, 3)))


@pytest.mark.parametrize("channels", [1, 3])
def test_edges_are_the_sobel_magnitude_of_scipy_and_scikit_image(channels):
    pixels = image(19, 23, channels)
    result = np.asarray(filters.sobel(jnp.asarray(pixels)))
    planes = np.moveaxis(unit(pixels), -1, 0)
    expected = [
        np.sqrt(sum((ndimage.sobel(plane, axis, mode="nearest") / 4) ** 2 for axis in (0, 1)) / 2) for plane in planes
    ]
    np.testing.assert_allclose(result, np.stack(expected, -1), atol=2e-6)
    peer = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    np.testing.assert_allclose(result, np.stack([peer.sobel(plane) for plane in planes], -1), atol=2e-6)


def test_noise_has_its_deviation_and_is_independent_everywhere():
    noise = many(filters.gaussian_noise(sigma=0.05), np.full((16, 16, 3), 0.5, np.float32), 200) - 0.5
    assert noise.std() == pytest.approx(0.05, rel=0.01)
    assert abs(noise.mean()) < 4 * 0.05 / noise.size**0.5
    for axis in range(4):
        first, second = (np.take(noise, i, axis).ravel() for i in (0, 1))
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / len(first) ** 0.5


@pytest.mark.parametrize("shape", [(32, 32), (20, 41)])
def test_cutout_masks_a_square_of_its_size_wholly_inside_the_image(shape):
    results = many(masking.cutout(side=(0.25, 0.5), fill=1.0), np.zeros((*shape, 3), np.float32), 1000)
    assert set(np.unique(results)) == {0.0, 1.0}
    masks = results.min(-1)
    np.testing.assert_array_equal(masks, results.max(-1))
    heights, widths = masks.any(2).sum(1), masks.any(1).sum(1)
    np.testing.assert_array_equal(heights, widths)
    np.testing.assert_array_equal(masks.sum((1, 2)), heights * widths)
    assert (heights.min(), heights.max()) == (round(min(shape) / 4), min(shape) // 2)
    assert heights.mean() == pytest.approx(0.375 * min(shape), abs=4 * 0.25 * min(shape) / 12**0.5 / 1000**0.5)
    centre = np.stack([(masks.any(a) * np.arange(n)).sum(1) for a, n in ((2, shape[0]), (1, shape[1]))], 1)
    corners = centre / heights[:, None] - (heights[:, None] - 1) / 2
    places = np.array(shape) - heights[:, None] + 1
    within = np.random.default_rng(0).random(corners.shape)  # of a pixel: whole numbers become a continuous law
    for share in ((corners + within) / places).T:
        assert_uniform(share, 0, 1)


def test_cutout_of_no_side_and_of_the_whole():
    x = unit(PHOTO)
    np.testing.assert_allclose(many(masking.cutout(side=(0, 0)), PHOTO, 5), x[None].repeat(5, 0), atol=1e-6)
    square = image(8, 8)
    assert (many(masking.cutout(side=(1, 1), fill=0.25), square, 5) == 0.25).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: filters.gaussian_blur(sigma=(0.0, 1.0)),
        lambda: filters.gaussian_blur(kernel=-0.1),
        lambda: filters.gaussian_noise(sigma=-1.0),
        lambda: masking.cutout(side=(0.5, 1.5)),
        lambda: masking.cutout(fill=2.0),
    ],
)
def test_numbers_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()
