"""What the presets draw by default: probabilities and ranges are those of the papers, each seen in what it changes."""

import numpy as np
import pytest
from images import assert_uniform, image, jitter_of, many, point, sigma_of, unit

from mi_coding.pairs.augmentations import PRESETS

# arXiv:2002.05709 appendix A and B.9. Brightness, contrast, saturation, hue.
STRENGTHS = {
    "simclr_imagenet": (0.8, 0.8, 0.8, 0.2),
    "simclr_cifar10": (0.4, 0.4, 0.4, 0.1),
    "gray28": (0.4, 0.4, 0.0, 0.0),
}
SMALLEST_CROP = {"simclr_imagenet": 0.08, "simclr_cifar10": 0.08, "gray28": 0.25}
OTHERS = {"simclr_imagenet": ("gray", "blur"), "simclr_cifar10": ("gray",), "gray28": ("mask",)}


def half(name, **options):
    """One half of a pair, of which only the named steps are as they are by default; None takes the default."""
    never = dict.fromkeys(("flip", "jitter", *OTHERS[name]), 0.0) | {"min_area": 1.0}  # of a square, all is seen
    chosen = {key: value for key, value in (never | options).items() if value is not None}
    kind = PRESETS[name](size=None, **chosen)
    return lambda key, image: kind.pair(key, image)[0]


def assert_happens(happened, p):
    """Within four standard errors."""
    assert abs(happened.mean() - p) < 4 * (p * (1 - p) / len(happened)) ** 0.5


@pytest.mark.parametrize("name", PRESETS)
def test_jitter_of_a_preset_has_the_published_strengths(name):
    drawn = jitter_of(half(name, jitter=1.0), 1000)
    for values, middle, strength in zip(drawn, (1, 1, 1, 0), STRENGTHS[name], strict=True):
        assert_uniform(values, middle - strength, middle + strength, error=0.01)  # of float32, in a pale colour


@pytest.mark.parametrize("name", PRESETS)
def test_jitter_happens_four_times_of_five(name):
    level = np.full((4, 4, 3), 0.5, np.float32)
    assert_happens(np.abs(many(half(name, jitter=None), level, 1000) - 0.5).max((1, 2, 3)) > 1e-5, 0.8)


@pytest.mark.parametrize("name", PRESETS)
def test_every_other_image_is_mirrored(name):
    photo = image(8, 8)
    results = many(half(name, flip=None), photo, 1000)
    is_flipped = np.abs(results - unit(photo)[:, ::-1]).max((1, 2, 3)) < 1e-5
    assert (is_flipped | (np.abs(results - unit(photo)).max((1, 2, 3)) < 1e-5)).all()
    assert_happens(is_flipped, 0.5)


@pytest.mark.parametrize("name", ["simclr_imagenet", "simclr_cifar10"])
def test_colour_is_taken_away_one_time_of_five(name):
    colour = np.full((4, 4, 3), [0.6, 0.3, 0.2], np.float32)
    assert_happens(np.ptp(many(half(name, gray=None), colour, 1000), axis=-1).max((1, 2)) < 1e-5, 0.2)


def test_every_other_image_is_blurred_by_a_tenth_to_two_pixels():
    sigma = sigma_of(many(half("simclr_imagenet", blur=None), point(31), 1000) + 1e-300)
    is_blurred = sigma > 0.05  # of none, ln(1e-300) makes 0.03
    assert_happens(is_blurred, 0.5)
    assert_uniform(sigma[is_blurred], 0.1, 2.0)


def test_a_square_is_masked_in_every_other_image():
    level = np.full((100, 100, 1), 0.5, np.float32)
    sides = (many(half("gray28", mask=None), level, 400)[..., 0] == 0).any(2).sum(1) / 100
    is_masked = sides > 0
    assert_happens(is_masked, 0.5)
    assert_uniform(sides[is_masked], 0.2, 0.4, error=0.005)  # whole pixels


@pytest.mark.parametrize("name", PRESETS)
def test_a_crop_shows_the_published_share_of_the_image(name):
    down, right = np.float32(np.mgrid[:64, :64] / 64)
    ramps = np.stack([down, right, right], axis=-1)
    crops = many(half(name, min_area=None), ramps, 500)
    height = 4 * (crops[:, 40, 32, 0] - crops[:, 24, 32, 0])  # a quarter of the rows apart
    width = 4 * (crops[:, 32, 40, 1] - crops[:, 32, 24, 1])
    smallest, largest = (extreme(height * width) for extreme in (np.min, np.max))
    assert smallest == pytest.approx(SMALLEST_CROP[name], abs=0.015)  # whole pixels
    assert largest > 0.95
    assert np.quantile(width / height, [0, 1]) == pytest.approx([3 / 4, 4 / 3], rel=0.06)
