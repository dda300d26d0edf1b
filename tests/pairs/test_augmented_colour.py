"""Colour against Pillow, colorsys and the published formulas, written out in float64."""

import colorsys
from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from images import assert_uniform, image, jitter_of, many, unit
from PIL import Image, ImageEnhance, ImageOps

from mi_coding.pairs.augmentations import colour

FACTORS = [0.0, 0.3, 1.0, 1.7]
LUMA = np.array([0.299, 0.587, 0.114])
PHOTO = image(24, 36)
ADJUST_ALL, ADJUST_HUE = jax.jit(colour.adjust_all), jax.jit(colour.adjust_hue)


def blend(one, other, factor):
    """torchvision's _blend."""
    return np.clip(factor * one + (1 - factor) * other, 0, 1)


def brightness(x, factor):
    return blend(x, 0, factor)


def contrast(x, factor):
    return blend(x, (x @ LUMA).mean(), factor)


def saturation(x, factor):
    return blend(x, (x @ LUMA)[..., None], factor)


def hue(x, turn):
    shifted = []
    for pixel in x.reshape(-1, 3):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        shifted.append(colorsys.hsv_to_rgb((h + turn) % 1, s, v))
    return np.array(shifted).reshape(x.shape)


ADJUSTMENTS = {
    "brightness": (colour.adjust_brightness, brightness, ImageEnhance.Brightness),
    "contrast": (colour.adjust_contrast, contrast, ImageEnhance.Contrast),
    "saturation": (colour.adjust_saturation, saturation, ImageEnhance.Color),
}


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_an_adjustment_agrees_with_its_formula_and_with_pillow(name, factor):
    ours, formula, pillow = ADJUSTMENTS[name]
    result = np.asarray(ours(jnp.asarray(PHOTO), factor))
    np.testing.assert_allclose(result, formula(unit(PHOTO), factor), atol=2e-6)
    # Pillow rounds or cuts to bytes the grey value (half a step and, of an image, its mean) and the result.
    peer = unit(pillow(Image.fromarray(PHOTO)).enhance(factor))
    assert np.abs(result - peer).max() <= 2.1 / 255


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.0, 0.2, 1 / 3, 2.75])
def test_hue_agrees_with_colorsys(turn):
    colours = np.array(np.meshgrid(*[[0, 40, 128, 255]] * 3), np.uint8).reshape(3, 8, 8).transpose(1, 2, 0)
    for pixels in (PHOTO, colours):  # all ties between channels are among the colours
        result = ADJUST_HUE(jnp.asarray(pixels), turn)
        np.testing.assert_allclose(result, hue(unit(pixels), turn), atol=5e-6)


def test_hue_keeps_value_and_chroma_and_grey_as_they_are():
    x, result = unit(PHOTO), np.asarray(ADJUST_HUE(jnp.asarray(PHOTO), 0.37))
    np.testing.assert_allclose(result.max(-1), x.max(-1), atol=1e-6)
    np.testing.assert_allclose(result.min(-1), x.min(-1), atol=1e-6)
    grey = np.linspace(0, 1, 5, dtype=np.float32)[:, None, None] * np.ones((1, 1, 3), np.float32)
    np.testing.assert_array_equal(ADJUST_HUE(jnp.asarray(grey), 0.37), grey)


def test_gray_is_the_luma_of_pillow_in_three_channels():
    result = np.asarray(colour.to_gray(jnp.asarray(PHOTO)))
    np.testing.assert_allclose(result, np.repeat((unit(PHOTO) @ LUMA)[..., None], 3, -1), atol=1e-6)
    assert np.abs(result[..., 0] - unit(Image.fromarray(PHOTO).convert("L"))).max() <= 1 / 255


@pytest.mark.parametrize("threshold", [0, 100, 256])
def test_solarize_is_that_of_pillow(threshold):
    peer = unit(ImageOps.solarize(Image.fromarray(PHOTO), threshold))
    np.testing.assert_allclose(colour.adjust_solarize(jnp.asarray(PHOTO), threshold / 255), peer, atol=1e-6)


@pytest.mark.parametrize("order", permutations(["brightness", "contrast", "saturation", "hue"]), ids="-".join)
def test_adjustments_follow_each_other_in_the_order_of_the_queue(order):
    amounts = {"brightness": 1.6, "contrast": 1.5, "saturation": 1.8, "hue": 0.15}
    formulas = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
    expected = unit(PHOTO)
    for name in order:
        expected = formulas[name](expected, amounts[name])
    places = jnp.array([0.1 + 0.2 * order.index(name) for name in amounts])
    result = ADJUST_ALL(jnp.asarray(PHOTO), jnp.array([1.6, 1.5, 1.8]), 0.15, places)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    if order == tuple(amounts):
        named = ADJUST_ALL(jnp.asarray(PHOTO), jnp.array([1.6, 1.5, 1.8]), 0.15)
        np.testing.assert_allclose(named, expected, atol=1e-5)


def test_a_random_order_is_seldom_the_fixed_one():
    options = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}
    drawn, fixed = (many(colour.colour_jitter(**options, order=order), PHOTO, 600) for order in ("random", "fixed"))
    same = np.mean(np.abs(drawn - fixed).max((1, 2, 3)) < 1e-4)
    assert 0.02 < same < 0.25  # 1 in 24, and those orders that by chance give the same


@pytest.mark.parametrize("order", ["random", "fixed"])
def test_every_strength_of_jitter_is_half_the_width_of_its_range(order):
    strengths = {"brightness": 0.8, "contrast": 0.5, "saturation": 0.3, "hue": 0.2}
    drawn = jitter_of(colour.colour_jitter(**strengths, order=order), 2000)
    for values, middle, strength in zip(drawn, (1, 1, 1, 0), strengths.values(), strict=True):
        assert_uniform(values, middle - strength, middle + strength, error=0.005)  # of float32, in a pale colour
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 4 / 2000**0.5  # each draws a number of its own


def test_factors_of_jitter_are_never_negative():
    pixel = np.full((1, 1, 3), 0.25, np.float32)
    strong = many(colour.colour_jitter(brightness=3.0, contrast=0, saturation=0, hue=0), pixel, 500)
    assert strong.min() >= 0
    assert_uniform(strong[strong < 1] / 0.25, 0, 4)  # the rest is cut off


def test_jitter_of_no_strength_changes_nothing():
    none = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    np.testing.assert_allclose(many(colour.colour_jitter(**none), PHOTO, 5), unit(PHOTO)[None].repeat(5, 0), atol=1e-6)


def test_one_channel_has_neither_saturation_nor_hue():
    pixels = image(9, 7, channels=1)
    x, device = unit(pixels), jnp.asarray(pixels)
    np.testing.assert_allclose(colour.adjust_brightness(device, 1.4), np.clip(1.4 * x, 0, 1), atol=1e-6)
    np.testing.assert_allclose(colour.adjust_contrast(device, 0.4), 0.4 * x + 0.6 * x.mean(), atol=1e-6)
    for same in (colour.adjust_saturation(device, 0.2), colour.adjust_hue(device, 0.3), colour.to_gray(device)):
        np.testing.assert_allclose(same, x, atol=1e-6)
    turned = ADJUST_ALL(device, jnp.array([1.0, 1.0, 0.1]), 0.3, jnp.array([0.4, 0.3, 0.2, 0.1]))
    np.testing.assert_allclose(turned, x, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"brightness": -0.1}, "brightness = -0.1"),
        ({"saturation": float("nan")}, "saturation = nan"),
        ({"hue": 0.6}, "hue = 0.6"),
        ({"order": "alphabetical"}, "alphabetical"),
    ],
)
def test_a_strength_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        colour.colour_jitter(**options)


def test_gradients_of_jitter_are_finite_on_grey_and_on_colour():
    jitter = colour.colour_jitter()
    total = lambda x: jnp.sum(jitter(jax.random.key(0), x))  # noqa: E731
    for pixels in (jnp.full((4, 4, 3), 0.5), jnp.asarray(unit(PHOTO), jnp.float32)):
        assert np.isfinite(jax.jit(jax.grad(total))(pixels)).all()
