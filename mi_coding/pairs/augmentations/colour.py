"""Colour: brightness, contrast, saturation, hue, grayscale, solarize, as Pillow and torchvision define them.

Every function takes an image uint8 or float[H, W, C] and returns float32[H, W, C] in [0, 1]. A factor is at least 0,
and 1 changes nothing. For an image with one channel, brightness and contrast mean the same as for three, and
saturation, hue and grayscale leave it as it is.

Pixels are handled as planes, one array [H, W] per channel: a loop over an innermost axis of three numbers is what a CPU
does worst.
"""

import jax
import jax.numpy as jnp
from jax import lax

from mi_coding.pairs.augmentations.compose import Augmentation, as_float

Planes = tuple[jax.Array, ...]


def adjust_brightness(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """Every value times `factor`, cut off at 1: a blend with black.

    >>> adjust_brightness(jnp.full((1, 1, 1), 0.25), 2.0).item()
    0.5

    Source: Pillow's ImageEnhance.Brightness.
    """
    return _stack(_blend(_planes(image), _brightness(factor)))


def adjust_contrast(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """A blend of the image with the mean of its grey values; one mean for all channels, as in Pillow and torchvision.

    >>> adjust_contrast(jnp.array([[[0.25], [0.75]]]), 0.0).ravel().tolist()
    [0.5, 0.5]

    Source: Pillow's ImageEnhance.Contrast (which rounds the mean to a byte; here it is not rounded).
    """
    return _stack(_blend(_planes(image), _contrast(factor)))


def adjust_saturation(image: jax.Array, factor: jax.Array | float) -> jax.Array:
    """A blend of every pixel with its own grey value: 0 is grayscale.

    >>> adjust_saturation(jnp.array([[[1.0, 0.0, 0.0]]]), 0.0).ravel().round(3).tolist()
    [0.299..., 0.299..., 0.299...]

    Source: Pillow's ImageEnhance.Color.
    """
    return _stack(_blend(_planes(image), _saturation(factor)))


def adjust_hue(image: jax.Array, turn: jax.Array | float) -> jax.Array:
    """Turns the hue of the hexagonal HSV model by `turn` of the circle, any real number; value and saturation stay.

    >>> jax.jit(adjust_hue)(jnp.array([[[1.0, 0.0, 0.0]]]), 1 / 3).ravel().round(5).tolist()
    [0.0, 1.0, 0.0]

    Source: colorsys.rgb_to_hsv and hsv_to_rgb; torchvision's adjust_hue.
    """
    return _stack(_turn_hue(_planes(image), turn))


def adjust_all(
    image: jax.Array, factors: jax.Array, turn: jax.Array | float, places: jax.Array | None = None
) -> jax.Array:
    """Brightness, contrast, saturation and hue in the order of their places in a queue.

    >>> queue = jnp.array([0.3, 0.2, 0.1, 0.4])  # saturation, contrast, brightness, hue
    >>> jax.jit(adjust_all)(jnp.full((1, 1, 3), 0.25), jnp.array([2.0, 1.0, 1.0]), 0.0, queue).ravel().tolist()
    [0.5, 0.5, 0.5]

    Args:
        factors: real[3], of brightness, contrast and saturation.
        turn: of the hue.
        places: real[4], the place of each in the queue, all different; None: in the order named.
    """
    planes = _planes(image)
    blends = jnp.stack([_brightness(factors[0]), _contrast(factors[1]), _saturation(factors[2])])
    if places is None:
        return _stack(_turn_hue(_blend_all(planes, blends), turn))
    # The hue, costly to compute, is turned once: all three blends are applied both before and after it, and those on
    # the wrong side of it change nothing.
    blends, is_before = blends[jnp.argsort(places[:3])], (jnp.sort(places[:3]) < places[3])[:, None]
    keep = _brightness(1.0)
    planes = _turn_hue(_blend_all(planes, jnp.where(is_before, blends, keep)), turn)
    return _stack(_blend_all(planes, jnp.where(is_before, keep, blends)))


def adjust_solarize(image: jax.Array, threshold: float = 0.5) -> jax.Array:
    """Inverts the values from `threshold` on.

    >>> adjust_solarize(jnp.array([[[0.25], [0.75]]])).ravel().tolist()
    [0.25, 0.25]

    Source: Pillow's ImageOps.solarize; arXiv:2006.07733 (BYOL), table 6.
    """
    image = as_float(image)
    return jnp.where(image < threshold, image, 1 - image)


def to_gray(image: jax.Array) -> jax.Array:
    """The luma 0.299 R + 0.587 G + 0.114 B (ITU-R 601) in each of the three channels.

    >>> to_gray(jnp.array([[[0.0, 1.0, 0.0]]])).ravel().round(3).tolist()
    [0.587..., 0.587..., 0.587...]
    """
    planes = _planes(image)
    return _stack((jnp.minimum(_luma(planes), 1),) * len(planes))  # the weights sum to one but for rounding


def colour_jitter(
    *,
    brightness: float = 0.8,
    contrast: float = 0.8,
    saturation: float = 0.8,
    hue: float = 0.2,
    order: str = "random",
) -> Augmentation:
    """All four adjustments by random amounts, with values clipped to [0, 1] after each of them.

    Brightness, contrast and saturation are multiplied by 1 ± their strength (not below 0), the hue is turned by up to
    ± `hue` of the circle, all uniformly. The order is "random", as in torchvision and the code of SimCLR, or the
    "fixed" one of the pseudo-code in its appendix A: brightness, contrast, saturation, hue.

    >>> nothing = colour_jitter(brightness=0, contrast=0, saturation=0, hue=0)
    >>> jax.jit(nothing)(jax.random.key(0), jnp.full((1, 1, 1), 0.25)).item()
    0.25

    Args:
        brightness, contrast, saturation: >= 0, half the width of the range of the factor.
        hue: 0 to 0.5, a fraction of the circle.
    Raises:
        ValueError: for a strength outside its range or another order.
    Source: arXiv:2002.05709 appendix A; torchvision.transforms.ColorJitter.
    """
    strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    for name, strength in strengths.items():
        if not strength >= 0:
            raise ValueError(f"{name} = {strength}; expected a strength of at least 0")
    if not 0 <= hue <= 0.5:
        raise ValueError(f"hue = {hue}; expected a fraction of the circle from 0 to 0.5")
    if order not in ("random", "fixed"):
        raise ValueError(f'order = {order!r}; expected "random" or "fixed"')

    def jitter(key: jax.Array, image: jax.Array) -> jax.Array:
        u = jax.random.uniform(key, (8,))
        factors = [_factor(each, strength) for each, strength in zip(u[:3], strengths.values(), strict=True)]
        return adjust_all(image, jnp.stack(factors), hue * (2 * u[3] - 1), u[4:] if order == "random" else None)

    return jitter


def grayscale() -> Augmentation:
    """The augmentation that removes the colour, see `to_gray`."""
    return lambda key, image: to_gray(image)


def solarize(*, threshold: float = 0.5) -> Augmentation:
    """The augmentation that inverts what is bright, see `adjust_solarize`."""
    return lambda key, image: adjust_solarize(image, threshold)


def _factor(u: jax.Array, strength: float) -> jax.Array:
    """Uniform in 1 ± strength, but not below 0, for u uniform in [0, 1)."""
    lowest = max(0, 1 - strength)
    return lowest + (1 + strength - lowest) * u


def _brightness(factor: jax.Array | float) -> jax.Array:
    """A blend, float32[3]: the weights of a value itself, of its pixel's grey, and of the mean grey."""
    return jnp.stack([jnp.asarray(factor, jnp.float32), jnp.float32(0), jnp.float32(0)])


def _contrast(factor: jax.Array | float) -> jax.Array:
    return jnp.stack([jnp.asarray(factor, jnp.float32), jnp.float32(0), jnp.float32(1) - factor])


def _saturation(factor: jax.Array | float) -> jax.Array:
    return jnp.stack([jnp.asarray(factor, jnp.float32), jnp.float32(1) - factor, jnp.float32(0)])


def _blend(planes: Planes, blend: jax.Array) -> Planes:
    grey = _luma(planes)
    shared = blend[1] * grey + blend[2] * jnp.mean(grey)
    if len(planes) == 1:  # its own grey value: what saturation takes from it, it gives back
        return (jnp.clip((blend[0] + blend[1]) * grey + blend[2] * jnp.mean(grey), 0, 1),)
    return tuple(jnp.clip(blend[0] * plane + shared, 0, 1) for plane in planes)


def _blend_all(planes: Planes, blends: jax.Array) -> Planes:
    """Applies the blends in turn. A scan, not a loop: unrolled, XLA fuses them and computes each three times over."""
    return lax.scan(lambda carry, blend: (_blend(carry, blend), None), planes, blends)[0]


def _turn_hue(planes: Planes, turn: jax.Array | float) -> Planes:
    """A turn of the hue by way of HSV and back, without branches.

    A channel of hue h, counted in sixths of the circle, is value − chroma · clip(min(k, 4 − k), 0, 1) with k = n + h
    mod 6 and n = 5, 3, 1 for red, green, blue.
    """
    if len(planes) == 1:
        return planes
    red, green, blue = planes
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    scale = 1 / jnp.where(chroma > 0, chroma, 1)  # grey has any hue
    sixths = jnp.where(
        value == red,
        (green - blue) * scale,
        jnp.where(value == green, (blue - red) * scale + 2, (red - green) * scale + 4),
    )
    sixths += 6 * turn

    def channel(n: float) -> jax.Array:
        k = sixths + n
        k -= 6 * jnp.floor(k / 6)
        return value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)

    return channel(5.0), channel(3.0), channel(1.0)


def _luma(planes: Planes) -> jax.Array:
    if len(planes) == 1:
        return planes[0]
    return 0.299 * planes[0] + 0.587 * planes[1] + 0.114 * planes[2]


def _planes(image: jax.Array) -> Planes:
    image = as_float(image)
    return tuple(image[..., channel] for channel in range(image.shape[-1]))


def _stack(planes: Planes) -> jax.Array:
    return jnp.stack(planes, axis=-1)
