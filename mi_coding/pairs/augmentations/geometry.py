"""Geometry: crop and resize, flip, translation, rotation.

Images are uint8 or float[H, W, C], and become float32 of the same shape unless another is named. Rows and columns are
resampled by two small matrix products, with the flip folded into the columns. Only a rotation mixes rows with columns
and has to gather pixels.
"""

import math

import jax
import jax.numpy as jnp

from mi_coding.pairs.augmentations.compose import Augmentation, as_float, check_probability, check_range

ATTEMPTS = 10
"""Boxes that are drawn before the central one is taken, as in torchvision."""


def crop_and_resize(
    image: jax.Array, box: jax.Array, shape: tuple[int, int], flip: jax.Array | bool = False
) -> jax.Array:
    """float32[*shape, C]: the part of the image in a box by antialiased bilinear interpolation, perhaps mirrored.

    Nothing outside the box is seen, so the result is that of cropping first and resizing afterwards.

    >>> image = jnp.array([[[0.0], [0.25], [0.5], [1.0]]])
    >>> crop_and_resize(image, jnp.array([0, 1, 1, 2]), (1, 2), flip=True).ravel().tolist()
    [0.5, 0.25]

    Args:
        box: real[4]: top, left, height, width in pixels; inside the image, at least 1 pixel high and wide.
        shape: rows and columns of the result.
    Source: Pillow's Image.resize with BILINEAR; torchvision's resize with antialias=True.
    """
    image = as_float(image)
    rows = _resampling(shape[0], image.shape[0], box[0], box[2])
    columns = _resampling(shape[1], image.shape[1], box[1], box[3], flip)
    return separable(rows, image, columns)


def resize(image: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The whole image in another size by antialiased bilinear interpolation; in its own size it stays as it is.

    >>> resize(jnp.array([[[0.0], [1.0]]]), (1, 1)).item()
    0.5
    """
    image = as_float(image)
    if image.shape[:2] == shape:
        return image
    return crop_and_resize(image, jnp.array([0, 0, *image.shape[:2]]), shape)


def random_box(
    u: jax.Array, shape: tuple[int, int], *, area: tuple[float, float], aspect: tuple[float, float]
) -> jax.Array:
    """float32[4]: top, left, height, width in pixels of a random box; area, logarithm of aspect and place are uniform.

    Ten areas and aspects are drawn and the first that fits is taken; if none fits, the largest central box whose aspect
    is allowed. Sides and places are whole pixels.

    >>> random_box(jnp.full(22, 0.5), (32, 32), area=(0.25, 0.25), aspect=(1, 1)).tolist()
    [8.0, 8.0, 16.0, 16.0]

    Args:
        u: float32[22], independent and uniform in [0, 1).
        shape: rows and columns of the image.
        area, aspect: see `random_resized_crop`.
    Source: torchvision's RandomResizedCrop.get_params; arXiv:2002.05709 appendix A.
    """
    rows, columns = shape
    areas = rows * columns * (area[0] + (area[1] - area[0]) * u[:ATTEMPTS])
    low, high = math.log(aspect[0]), math.log(aspect[1])
    aspects = jnp.exp(low + (high - low) * u[ATTEMPTS : 2 * ATTEMPTS])
    heights, widths = jnp.round(jnp.sqrt(areas / aspects)), jnp.round(jnp.sqrt(areas * aspects))
    fits = (heights >= 1) & (heights <= rows) & (widths >= 1) & (widths <= columns)
    first = jnp.argmax(fits) == jnp.arange(ATTEMPTS)
    sides = jnp.stack([jnp.sum(jnp.where(first, heights, 0)), jnp.sum(jnp.where(first, widths, 0))])
    within = jnp.array([rows, columns], jnp.float32)
    corner = jnp.floor(u[2 * ATTEMPTS :] * (within - sides + 1))
    central = jnp.array([min(rows, max(1, round(columns / aspect[0]))), min(columns, max(1, round(rows * aspect[1])))])
    central_box = jnp.concatenate([jnp.floor((within - central) / 2), central])
    return jnp.where(jnp.any(fits), jnp.concatenate([corner, sides]), central_box)


def random_resized_crop(
    *,
    size: int | None = None,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
    flip: float = 0.5,
) -> Augmentation:
    """Crops a random box, resizes it, and mirrors it with probability `flip`; see `random_box`.

    >>> jax.jit(random_resized_crop(size=24))(jax.random.key(0), jnp.ones((32, 40, 3))).shape
    (24, 24, 3)

    Args:
        size: side of the square result, not above either side of the image; None keeps the image's height and width.
        area: lowest and highest share of the image's area, in (0, 1].
        aspect: lowest and highest width over height, > 0.
        flip: probability of a mirror image.
    Raises:
        ValueError: for invalid ranges or probabilities and, when called, for a size above the image's.
    """
    check_range("area", area, 1e-6, 1)
    check_range("aspect", aspect, 1e-6)
    check_probability("flip", flip)
    if size is not None and size < 1:
        raise ValueError(f"crop of size {size}; expected at least 1 pixel")

    def crop(key: jax.Array, image: jax.Array) -> jax.Array:
        shape = image.shape[:2] if size is None else (size, size)
        if size is not None and size > min(image.shape[:2]):
            raise ValueError(
                f"crop of size {size} is larger than the image of {image.shape[0]} × {image.shape[1]} pixels; "
                f"ask for at most {min(image.shape[:2])}, or resize the images first"
            )
        u = jax.random.uniform(key, (2 * ATTEMPTS + 3,))
        box = random_box(u[:-1], image.shape[:2], area=area, aspect=aspect)
        return crop_and_resize(image, box, shape, u[-1] < flip)

    return crop


def horizontal_flip() -> Augmentation:
    """The augmentation that exchanges left and right, every time; `sometimes(0.5, …)` makes it random.

    >>> horizontal_flip()(jax.random.key(0), jnp.array([[[0.0], [1.0]]])).ravel().tolist()
    [1.0, 0.0]
    """
    return lambda key, image: as_float(image)[:, ::-1]


def translate(image: jax.Array, shift: jax.Array) -> jax.Array:
    """Moves the image by real[2] pixels, down and to the right; black comes in from outside.

    >>> translate(jnp.ones((1, 3, 1)), jnp.array([0.0, 1.25])).ravel().tolist()
    [0.0, 0.75, 1.0]
    """
    image = as_float(image)
    rows, columns = (overlap(side, side, by) for side, by in zip(image.shape[:2], shift, strict=True))
    return separable(rows, image, columns)


def translation(*, fraction: float = 0.125) -> Augmentation:
    """Moves the image in each direction by up to ± `fraction` of its side, uniformly.

    >>> jax.jit(translation(fraction=0.0))(jax.random.key(0), jnp.ones((2, 2, 1))).sum().item()
    4.0

    Raises:
        ValueError: unless 0 <= fraction <= 1.
    """
    check_probability("fraction", fraction)

    def move(key: jax.Array, image: jax.Array) -> jax.Array:
        sides = jnp.array(image.shape[:2])
        return translate(image, sides * fraction * jax.random.uniform(key, (2,), minval=-1))

    return move


def rotate(image: jax.Array, degrees: jax.Array | float) -> jax.Array:
    """Turns the image about its centre, counter-clockwise, by bilinear interpolation; black comes in from outside.

    >>> jax.jit(rotate)(jnp.array([[[0.0], [0.25]], [[0.5], [1.0]]]), 90.0)[..., 0].round(5).tolist()
    [[0.25, 1.0], [0.0, 0.5]]

    Source: skimage.transform.rotate.
    """
    image = as_float(image)
    rows, columns = image.shape[:2]
    sine, cosine = jnp.sin(jnp.deg2rad(degrees)), jnp.cos(jnp.deg2rad(degrees))
    down, right = jnp.arange(rows)[:, None] - (rows - 1) / 2, jnp.arange(columns)[None, :] - (columns - 1) / 2
    row = cosine * down + sine * right + (rows - 1) / 2
    column = cosine * right - sine * down + (columns - 1) / 2
    return jnp.clip(read_at(image, row, column), 0, 1)  # against rounding


def read_at(image: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """float32[…, C]: an image float32[H, W, C] at real-valued places, by bilinear interpolation; outside it is black.

    >>> read_at(jnp.array([[[0.0], [1.0]]]), jnp.zeros(3), jnp.array([0.25, 1.5, 9.0])).ravel().tolist()
    [0.25, 0.5, 0.0]
    """
    top, left = jnp.floor(row), jnp.floor(column)
    below, beside = (row - top)[..., None], (column - left)[..., None]
    framed = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))  # what lies outside

    def at(i: jax.Array, j: jax.Array) -> jax.Array:
        i, j = (jnp.clip(x + 1, 0, side + 1).astype(jnp.int32) for x, side in zip((i, j), image.shape, strict=False))
        return framed[i, j]

    upper = (1 - beside) * at(top, left) + beside * at(top, left + 1)
    lower = (1 - beside) * at(top + 1, left) + beside * at(top + 1, left + 1)
    return (1 - below) * upper + below * lower


def rotation(*, degrees: float = 15.0) -> Augmentation:
    """Turns the image by up to ± `degrees`, uniformly; see `rotate`.

    >>> jax.jit(rotation(degrees=0.0))(jax.random.key(0), jnp.ones((2, 2, 1))).sum().item()
    4.0

    Raises:
        ValueError: unless 0 <= degrees <= 180.
    """
    if not 0 <= degrees <= 180:
        raise ValueError(f"degrees = {degrees}; expected 0 to 180")
    return lambda key, image: rotate(image, degrees * jax.random.uniform(key, minval=-1))


def _resampling(
    size: int, length: int, start: jax.Array, extent: jax.Array, flip: jax.Array | bool = False
) -> jax.Array:
    """float32[size, length]: weights of `length` pixels in each of the `size` that show [start, start + extent)."""
    scale = extent / size
    places = jnp.arange(size)
    centres = start + (jnp.where(flip, size - 1 - places, places) + 0.5) * scale
    pixels = jnp.arange(length) + 0.5
    distances = jnp.abs(pixels[None, :] - centres[:, None]) / jnp.maximum(scale, 1)
    is_inside = (pixels > start) & (pixels < start + extent)
    weights = jnp.where(is_inside, jnp.maximum(0, 1 - distances), 0)
    return weights / jnp.sum(weights, axis=1, keepdims=True)


def separable(rows: jax.Array, image: jax.Array, columns: jax.Array) -> jax.Array:
    """rows @ image @ columnsᵀ for each channel, float32[h, w, C] in [0, 1].

    Matrix products are what every kind of device does best; reading pixel by pixel is what it does worst.

    >>> separable(jnp.eye(2), jnp.arange(4.0).reshape(2, 2, 1) / 4, jnp.array([[0.5, 0.5]])).ravel().tolist()
    [0.125, 0.625]

    Args:
        rows: float32[h, H]; its rows are weights that sum to at most one.
        image: float32[H, W, C] in [0, 1].
        columns: float32[w, W], as `rows`.
    """
    highest = jax.lax.Precision.HIGHEST  # by default a GPU rounds float32 to 11 bits, a TPU to 8
    # Weights sum to one but for rounding, which must not lead out of [0, 1].
    return jnp.clip(jnp.einsum("vh,hwc,uw->vuc", rows, image, columns, precision=highest), 0, 1)


def overlap(window: int, size: int, shift: jax.Array) -> jax.Array:
    """float32[window, size]: the share of image pixel j that falls on window pixel i, shifted by `shift` pixels."""
    return jnp.maximum(0, 1 - jnp.abs(jnp.arange(window)[:, None] - jnp.arange(size)[None, :] - shift))
