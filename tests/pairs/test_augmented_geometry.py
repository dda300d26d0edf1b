"""Geometry against Pillow, scipy and scikit-image, and the law of the random box."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from images import assert_uniform, image, many, unit
from PIL import Image
from scipy import ndimage

from mi_coding.pairs.augmentations import as_float, geometry

PHOTO = image(33, 47)
CROP = jax.jit(geometry.crop_and_resize, static_argnums=2)
ROTATE = jax.jit(geometry.rotate)
TRANSLATE = jax.jit(geometry.translate)


def boxes(count, shape=(32, 48), area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)):
    """float64[count, 4], rows of top, left, height, width."""
    u = jax.random.uniform(jax.random.key(0), (count, 22))
    box = partial(geometry.random_box, shape=shape, area=area, aspect=aspect)
    return np.asarray(jax.jit(jax.vmap(box))(u), np.float64)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("box", [(0, 0, 33, 47), (5, 3, 20, 11), (30, 40, 3, 7), (7, 46, 26, 1)])
@pytest.mark.parametrize("shape", [(33, 47), (17, 17), (1, 64)])
def test_a_crop_is_what_pillow_makes_of_it(box, shape, flip):
    top, left, height, width = box
    result = CROP(jnp.asarray(PHOTO), jnp.array(box), shape, flip)
    part = unit(PHOTO)[top : top + height, left : left + width]
    planes = [
        Image.fromarray(part[..., c].astype(np.float32)).resize(shape[::-1], Image.Resampling.BILINEAR)
        for c in range(3)
    ]
    peer = np.stack([np.asarray(plane) for plane in planes], -1)
    np.testing.assert_allclose(result, peer[:, ::-1] if flip else peer, atol=1e-5)


def test_a_crop_sees_nothing_outside_its_box():
    pixels = np.zeros((20, 20, 1), np.float32)
    pixels[6:10, 4:9] = 1
    assert CROP(jnp.asarray(pixels), jnp.array([6, 4, 4, 5]), (13, 17)).min() == 1


def test_a_box_is_inside_the_image_and_has_whole_pixels():
    for shape in [(32, 48), (7, 5), (1, 1), (64, 3)]:
        drawn = boxes(2000, shape)
        top, left, height, width = drawn.T
        assert (drawn % 1 == 0).all()
        assert min(top.min(), left.min()) >= 0
        assert min(height.min(), width.min()) >= 1
        assert (top + height).max() <= shape[0]
        assert (left + width).max() <= shape[1]


def test_area_is_uniform_and_aspect_log_uniform_where_every_box_fits():
    _, _, height, width = boxes(20_000, (400, 400), area=(0.1, 0.5), aspect=(0.5, 2)).T
    share, aspect = height * width / 400**2, np.log2(width / height)
    for values, low, high in ((share, 0.1, 0.5), (aspect, -1, 1)):
        assert values.min() == pytest.approx(low, abs=0.01)
        assert values.max() == pytest.approx(high, abs=0.01)
        # Ten bins of 2,000: five standard errors are 212.
        assert np.abs(np.histogram(values, 10, (low, high))[0] - 2000).max() < 230
    assert abs(np.corrcoef(share, aspect)[0, 1]) < 0.03


def test_every_place_of_a_box_is_equally_likely():
    top, left, _, _ = boxes(10_000, (8, 8), area=(0.25, 0.25), aspect=(1, 1)).T  # 4 × 4, five places each way
    for places in (top, left):
        assert np.abs(np.bincount(places.astype(int), minlength=5) - 2000).max() < 5 * 40
    assert abs(np.corrcoef(top, left)[0, 1]) < 0.05


def test_a_box_has_the_law_of_torchvision():
    """Its loop in NumPy: ten tries, the first that fits."""
    rng, drawn = np.random.default_rng(0), []
    while len(drawn) < 20_000:
        area, aspect = 32 * 48 * rng.uniform(0.08, 1), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        width, height = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < width <= 48 and 0 < height <= 32:
            drawn.append((height, width))
    ours = boxes(20_000)[:, 2:]
    # Standard errors of means over 20,000 are below 0.06, of standard deviations below 0.04.
    np.testing.assert_allclose(ours.mean(0), np.mean(drawn, 0), atol=0.3)
    np.testing.assert_allclose(ours.std(0), np.std(drawn, 0), atol=0.2)


@pytest.mark.parametrize(("shape", "expected"), [((10, 100), [0, 43, 10, 13]), ((100, 10), [43, 0, 13, 10])])
def test_where_no_box_fits_the_central_one_of_allowed_aspect_is_taken(shape, expected):
    assert (boxes(50, shape, area=(1, 1)) == expected).all()


def test_flip_is_exact_and_as_frequent_as_asked():
    pixels = jnp.asarray(image(8, 8))
    whole = {"area": (1, 1), "aspect": (1, 1)}
    flipped = geometry.horizontal_flip()(jax.random.key(0), pixels)
    np.testing.assert_array_equal(flipped, as_float(pixels)[:, ::-1])
    for p in (0.0, 0.3, 1.0):
        crops = many(geometry.random_resized_crop(**whole, flip=p), pixels, 1000)
        is_flipped = np.abs(crops - unit(pixels)[:, ::-1]).max((1, 2, 3)) < 1e-6
        assert (is_flipped | (np.abs(crops - unit(pixels)).max((1, 2, 3)) < 1e-6)).all()
        assert is_flipped.mean() == pytest.approx(p, abs=4 * (p * (1 - p) / 1000) ** 0.5)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -5.0), (0.25, 1.5), (-2.75, 100.0)])
def test_translation_is_that_of_scipy(shift):
    peer = ndimage.shift(unit(PHOTO), (*shift, 0), order=1, mode="grid-constant")
    np.testing.assert_allclose(TRANSLATE(jnp.asarray(PHOTO), jnp.array(shift)), peer, atol=1e-5)


def test_translation_is_uniform_within_its_fraction_of_each_side():
    pixels = np.zeros((41, 81, 1), np.float32)
    pixels[20, 40] = 1
    moved = many(geometry.translation(fraction=0.25), pixels, 1000)[..., 0]
    places = np.stack([(moved * axis).sum((1, 2)) for axis in np.mgrid[:41, :81]]) - [[20], [40]]
    for place, side in zip(places, (41, 81), strict=True):
        assert_uniform(place, -0.25 * side, 0.25 * side)
    assert abs(np.corrcoef(places)[0, 1]) < 4 / 1000**0.5


@pytest.mark.parametrize("degrees", [0.0, 12.5, 90.0, -133.0, 180.0])
def test_rotation_is_that_of_scipy(degrees):
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    centre = (np.array(PHOTO.shape[:2]) - 1) / 2
    planes = [
        ndimage.affine_transform(plane, matrix, centre - matrix @ centre, order=1, mode="grid-constant")
        for plane in np.moveaxis(unit(PHOTO), -1, 0)
    ]
    result = ROTATE(jnp.asarray(PHOTO), degrees)
    # A place that rounding pushes over the border of the image by 1e-6 of a pixel moves a value by as much.
    np.testing.assert_allclose(result, np.stack(planes, -1), atol=3e-5)


@pytest.mark.parametrize("degrees", [12.5, 90.0, -133.0])
def test_rotation_is_that_of_scikit_image(degrees):
    transform = pytest.importorskip("skimage.transform", reason="scikit-image is not installed")
    peer = transform.rotate(unit(PHOTO), degrees, order=1, mode="constant")
    inside = np.s_[2:-2, 2:-2]
    result = np.asarray(ROTATE(jnp.asarray(PHOTO), degrees))
    np.testing.assert_allclose(result[inside], peer[inside], atol=1e-4)


def test_rotation_is_uniform_between_both_ways():
    pixels = np.zeros((41, 41, 1), np.float32)
    pixels[20, 38] = 1  # 18 pixels to the right of the centre
    turned = many(geometry.rotation(degrees=30.0), pixels, 1000)[..., 0]
    down, right = ((turned * axis).sum((1, 2)) / turned.sum((1, 2)) - 20 for axis in np.mgrid[:41, :41])
    assert_uniform(np.rad2deg(np.arctan2(-down, right)), -30, 30, error=0.5)  # a turned point is a square of pixels


def test_resizing_to_its_own_size_changes_no_bit():
    np.testing.assert_array_equal(geometry.resize(jnp.asarray(PHOTO), (33, 47)), as_float(jnp.asarray(PHOTO)))
    assert jax.eval_shape(partial(geometry.resize, shape=(20, 20)), jnp.asarray(PHOTO)).shape == (20, 20, 3)


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(
        ValueError, match=r"crop of size 34 is larger than the image of 33 × 47 pixels; ask for at most 33"
    ):
        geometry.random_resized_crop(size=34)(jax.random.key(0), jnp.asarray(PHOTO))


@pytest.mark.parametrize(
    "make",
    [
        lambda: geometry.random_resized_crop(flip=1.5),
        lambda: geometry.random_resized_crop(area=(0.0, 1.0)),
        lambda: geometry.random_resized_crop(area=(0.5, 1.2)),
        lambda: geometry.random_resized_crop(aspect=(2.0, 0.5)),
        lambda: geometry.random_resized_crop(size=0),
        lambda: geometry.translation(fraction=-0.1),
        lambda: geometry.rotation(degrees=270.0),
    ],
)
def test_numbers_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()
