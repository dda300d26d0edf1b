"""Masking: a square of the image is painted over."""

import jax
import jax.numpy as jnp

from mi_coding.pairs.augmentations.compose import Augmentation, as_float, check_probability, check_range


def erase(image: jax.Array, box: jax.Array, fill: float = 0.0) -> jax.Array:
    """The image as float32, with a box painted over.

    >>> erase(jnp.ones((1, 4, 1)), jnp.array([0, 1, 1, 2])).ravel().tolist()
    [1.0, 0.0, 0.0, 1.0]

    Args:
        box: real[4]: top, left, height, width in whole pixels.
        fill: what it is painted with, 0 to 1.
    """
    image = as_float(image)
    row, column = jnp.arange(image.shape[0])[:, None], jnp.arange(image.shape[1])[None, :]
    is_inside = (row >= box[0]) & (row < box[0] + box[2]) & (column >= box[1]) & (column < box[1] + box[3])
    return jnp.where(is_inside[..., None], fill, image)


def cutout(*, side: tuple[float, float] = (0.25, 0.5), fill: float = 0.0) -> Augmentation:
    """Paints over a square that lies inside the image, at a place and of a size drawn uniformly.

    >>> cutout(side=(0.5, 0.5))(jax.random.key(0), jnp.ones((4, 4, 1))).sum().item()
    12.0

    Args:
        side: lowest and highest side, as a share of the image's shorter side; rounded to whole pixels.
        fill: what it is painted with, 0 to 1.
    Raises:
        ValueError: for shares outside [0, 1] or a fill outside [0, 1].
    Source: arXiv:1708.04552, but that the square never leaves the image.
    """
    check_range("side", side, 0, 1)
    check_probability("fill", fill)

    def cut(key: jax.Array, image: jax.Array) -> jax.Array:
        u = jax.random.uniform(key, (3,))
        length = jnp.round(min(image.shape[:2]) * (side[0] + (side[1] - side[0]) * u[0]))
        corner = jnp.floor(u[1:] * (jnp.array(image.shape[:2]) - length + 1))
        return erase(image, jnp.concatenate([corner, jnp.stack([length, length])]), fill)

    return cut
