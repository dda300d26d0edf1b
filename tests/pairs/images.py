"""Images for the tests of augmentations: lopsided, so that an exchange of axes, channels or neighbours shows."""

import jax
import jax.numpy as jnp
import numpy as np


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
