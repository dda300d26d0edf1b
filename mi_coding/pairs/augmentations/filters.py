"""Filters of images uint8 or float[H, W, C] → float32[H, W, C]: Gaussian blur, Sobel edges, Gaussian noise."""

import jax
import jax.numpy as jnp

from mi_coding.pairs.augmentations.compose import Augmentation, as_float, check_range
from mi_coding.pairs.augmentations.geometry import separable


def blur(image: jax.Array, sigma: jax.Array | float, radius: int) -> jax.Array:
    """Convolution with a Gaussian, cut off at `radius` pixels and summing to one; the image is mirrored at its border.

    >>> blur(jnp.zeros((3, 3, 1)).at[1, 1].set(1), 1e9, 1)[..., 0].round(2)  # of one ninth, the corners see four
    Array([[0.44, 0.22, 0.44],
           [0.22, 0.11, 0.22],
           [0.44, 0.22, 0.44]], dtype=float32)

    Args:
        sigma: standard deviation in pixels, > 0.
        radius: pixels on each side of the centre; 0 changes nothing.
    Raises:
        ValueError: unless 0 <= radius < both sides of the image.
    Source: torchvision's gaussian_blur.
    """
    image = as_float(image)
    if not 0 <= radius < min(image.shape[:2]):
        raise ValueError(
            f"blur of radius {radius} for an image of shape {image.shape}; expected at least 0 and less than its sides"
        )
    rows, columns = (_blurring(side, sigma, radius) for side in image.shape[:2])
    return separable(rows, image, columns)


def gaussian_blur(*, sigma: tuple[float, float] = (0.1, 2.0), kernel: float = 0.1) -> Augmentation:
    """Blurs with a standard deviation drawn uniformly from `sigma`, in pixels, and a kernel of 2·radius + 1 pixels.

    >>> gaussian_blur()(jax.random.key(0), jnp.ones((32, 32, 3))).shape
    (32, 32, 3)

    Args:
        sigma: lowest and highest standard deviation in pixels, > 0.
        kernel: size of the kernel as a share of the image's height; its half, rounded down, is the radius.
    Raises:
        ValueError: for an invalid range or a kernel outside [0, 1].
    Source: arXiv:2002.05709 appendix A; google-research/simclr, data_util.py.
    """
    check_range("sigma", sigma, 1e-6)
    if not 0 <= kernel <= 1:
        raise ValueError(f"kernel = {kernel}; expected a share of the image's height from 0 to 1")

    def blurred(key: jax.Array, image: jax.Array) -> jax.Array:
        width = jax.random.uniform(key, minval=sigma[0], maxval=sigma[1])
        return blur(image, width, int(kernel * image.shape[0]) // 2)

    return blurred


def sobel(image: jax.Array) -> jax.Array:
    """How steep each channel is at each pixel, 0 to 0.79: the root mean square of both Sobel derivatives.

    The derivatives are divided by 4, so that a step from 0 to 1 has derivative 1, and the border repeats its pixels.

    >>> sobel(jnp.array([[[0.0], [0.0], [1.0], [1.0]]])).ravel().round(3).tolist()
    [0.0, 0.707..., 0.707..., 0.0]

    Source: skimage.filters.sobel.
    """
    image = as_float(image)
    rows, columns = image.shape[:2]
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    at = lambda i, j: padded[i : i + rows, j : j + columns]  # noqa: E731
    vertical = (at(2, 0) + 2 * at(2, 1) + at(2, 2) - at(0, 0) - 2 * at(0, 1) - at(0, 2)) / 4
    horizontal = (at(0, 2) + 2 * at(1, 2) + at(2, 2) - at(0, 0) - 2 * at(1, 0) - at(2, 0)) / 4
    return jnp.sqrt((vertical**2 + horizontal**2) / 2)


def edges() -> Augmentation:
    """The augmentation that shows edges only, see `sobel`."""
    return lambda key, image: sobel(image)


def gaussian_noise(*, sigma: float = 0.1) -> Augmentation:
    """Adds independent Gaussian noise to every value and clips the result to [0, 1].

    >>> gaussian_noise(sigma=0.0)(jax.random.key(0), jnp.full((1, 1, 1), 0.5)).item()
    0.5

    Raises:
        ValueError: if `sigma`, the standard deviation, is negative.
    """
    if not sigma >= 0:
        raise ValueError(f"sigma = {sigma}; expected a standard deviation of at least 0")

    def noisy(key: jax.Array, image: jax.Array) -> jax.Array:
        image = as_float(image)
        return jnp.clip(image + sigma * jax.random.normal(key, image.shape), 0, 1)

    return noisy


def _blurring(side: int, sigma: jax.Array | float, radius: int) -> jax.Array:
    """float32[side, side]: the weight of pixel j in the blurred pixel i, its mirror images beyond the borders included.

    As a matrix, the blur is a product like any resampling; written as a sum of shifted images inside a longer chain,
    XLA computed everything before the blur once for every shift, and took twice as long.
    """
    i, j = jnp.arange(side)[:, None], jnp.arange(side)[None, :]

    def weight(distance: jax.Array) -> jax.Array:
        return jnp.where(jnp.abs(distance) <= radius, jnp.exp(-0.5 * (distance / sigma) ** 2), 0)

    # The pixels of the border are their own mirror images and count once.
    before, behind = jnp.where(j > 0, weight(i + j), 0), jnp.where(j < side - 1, weight(2 * (side - 1) - i - j), 0)
    weights = weight(i - j) + before + behind
    return weights / jnp.sum(weights, axis=1, keepdims=True)
