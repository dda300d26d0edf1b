"""Images for the tests of augmentations: lopsided, so that an exchange of axes, channels or neighbours shows."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import kstest


def image(rows=32, columns=32, channels=3, seed=0):
    """uint8, smooth gradients that differ in every direction and channel, and noise upon them."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[:rows, :columns]
    ramp = np.stack([(3 + c) * down / rows + (7 - 2 * c) * right / columns for c in range(channels)], -1) / 10
    return (255 * np.clip(0.8 * ramp + 0.3 * rng.random(ramp.shape), 0, 1)).round().astype(np.uint8)


def unit(pixels):
    """The same as float64 in [0, 1]."""
    return np.asarray(pixels, np.float64) / 255


def many(augmentation, pixels, count, seed=0):
    """float64[count, h, w, C]: one image modified by `count` keys."""
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(jax.jit(jax.vmap(augmentation, in_axes=(0, None)))(keys, jnp.asarray(pixels)), np.float64)


def assert_uniform(values, low, high, *, error=1e-3):
    """Refuses values that are not drawn uniformly from a range; each may be wrong by `error`.

    A range that is shifted or stretched by a tenth shows: 1.63 / √n is what the distance of the laws exceeds by chance
    once in a hundred, and keys are fixed.
    """
    assert low - error <= values.min() <= values.max() <= high + error
    if high > low:
        assert kstest(values, "uniform", (low, high - low)).statistic < 1.63 / len(values) ** 0.5
        assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / 12**0.5 / len(values) ** 0.5


def jitter_of(augmentation, count):
    """Factors of brightness, contrast and saturation and the turn of the hue, float64[4, count], of `count` keys.

    Three images are modified by the same keys: brightness alone changes a flat grey; contrast, too, two greys; and the
    distance between the largest and the smallest channel of a flat colour is multiplied by all three factors, in any
    order, whatever the hue. They are so dark and pale that nothing is cut off.
    """
    grey = np.full((4, 4, 3), 0.3, np.float32)
    two = grey + np.float32([0.01, 0.01, -0.01, -0.01])[:, None, None]
    colour = grey - np.float32([0.0, 0.02, 0.03])
    flat, steps, turned = (many(augmentation, pixels, count) for pixels in (grey, two, colour))
    brightness = flat.mean((1, 2, 3)) / 0.3
    contrast = np.ptp(steps, axis=(1, 2, 3)) / 0.02 / brightness
    saturation = np.ptp(turned[:, 0, 0], axis=1) / 0.03 / (brightness * contrast)
    hues = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in turned[:, 0, 0]])
    turn = (hues - colorsys.rgb_to_hsv(*colour[0, 0])[0] + 0.5) % 1 - 0.5
    return np.stack([brightness, contrast, saturation, turn])


def point(side):
    """One white pixel in the middle of a black square."""
    return np.float32(np.arange(side**2) == side**2 // 2).reshape(side, side, 1)


def sigma_of(blurred):
    """Standard deviation of the Gaussians that blurred a point: neighbours in a row differ by exp(−1 / 2σ²)."""
    middle = blurred.shape[1] // 2
    beside = blurred[:, middle, middle + 1, 0] / blurred[:, middle, middle, 0]
    return np.sqrt(-0.5 / np.log(beside))
