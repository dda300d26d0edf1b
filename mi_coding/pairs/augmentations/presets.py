"""Presets: pairs of two random augmentations of one image, as papers draw them."""

from collections.abc import Callable

import jax

from mi_coding.pairs.augmentations.colour import colour_jitter, grayscale
from mi_coding.pairs.augmentations.compose import Augmentation, chain, sometimes
from mi_coding.pairs.augmentations.filters import gaussian_blur
from mi_coding.pairs.augmentations.geometry import random_resized_crop, resize
from mi_coding.pairs.augmentations.masking import cutout
from mi_coding.pairs.sampling import PairFunctions


def augmented(augmentation: Augmentation, *, size: int | None = None) -> PairFunctions:
    """Pairs of two independent augmentations of one image; their view is the image itself as floats, in their size.

    >>> pairs = augmented(lambda key, image: image * jax.random.uniform(key))
    >>> x, y = pairs.pair(jax.random.key(0), jnp.ones((1, 1, 1)))
    >>> bool(x != y), pairs.view(jax.random.key(0), jnp.ones((1, 1, 1))).item()
    (True, 1.0)

    Args:
        augmentation: how one half is made.
        size: side of the square view; None for the height and width that the augmentations have.
    """

    def pair(key: jax.Array, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        # One program for both halves: half of what two would cost to compile.
        both = jax.vmap(augmentation, in_axes=(0, None))(jax.random.split(key), image)
        return both[0], both[1]

    def view(key: jax.Array, image: jax.Array) -> jax.Array:
        shape = jax.eval_shape(augmentation, key, image).shape[:2] if size is None else (size, size)
        return resize(image, shape)

    return PairFunctions(pair, view)


def simclr_imagenet(
    *,
    size: int | None = 224,
    strength: float = 1.0,
    min_area: float = 0.08,
    max_area: float = 1.0,
    flip: float = 0.5,
    jitter: float = 0.8,
    gray: float = 0.2,
    blur: float = 0.5,
    order: str = "random",
) -> PairFunctions:
    """SimCLR on ImageNet: crop and resize with flip, colour jitter, grayscale, blur, in this order.

    >>> x, y = jax.jit(simclr_imagenet(size=24).pair)(jax.random.key(0), jnp.ones((32, 40, 3), jnp.uint8))
    >>> x.shape, y.shape
    ((24, 24, 3), (24, 24, 3))

    Args:
        size: side of the square that the encoder sees, in pixels; None keeps the image's height and width.
        strength: of the colour jitter: brightness, contrast and saturation 0.8, hue 0.2, times this.
        min_area, max_area: lowest and highest share of the image that a crop shows.
        flip, jitter, gray, blur: probabilities.
        order: of the jitter, "random" as in the paper's code, "fixed" as in its appendix; see `colour_jitter`.
    Source: arXiv:2002.05709 appendix A; its crops are bicubic and its blur sees zeros outside, here they are bilinear
        and mirrored, as in torchvision.
    """
    crop = random_resized_crop(size=size, area=(min_area, max_area), flip=flip)
    steps = (crop, *_distortion(strength, jitter, gray, order), sometimes(blur, gaussian_blur()))
    return augmented(chain(*steps), size=size)


def simclr_cifar10(
    *,
    size: int | None = None,
    strength: float = 0.5,
    min_area: float = 0.08,
    max_area: float = 1.0,
    flip: float = 0.5,
    jitter: float = 0.8,
    gray: float = 0.2,
    order: str = "random",
) -> PairFunctions:
    """SimCLR on CIFAR-10: crop and resize with flip, colour jitter of half the strength, grayscale, and no blur.

    >>> x, y = jax.jit(simclr_cifar10().pair)(jax.random.key(0), jnp.ones((32, 32, 3)))
    >>> x.shape, y.shape
    ((32, 32, 3), (32, 32, 3))

    Args: see `simclr_imagenet`.
    Source: arXiv:2002.05709 appendix B.9.
    """
    crop = random_resized_crop(size=size, area=(min_area, max_area), flip=flip)
    return augmented(chain(crop, *_distortion(strength, jitter, gray, order)), size=size)


def gray28(
    *,
    size: int | None = None,
    strength: float = 0.5,
    min_area: float = 0.25,
    max_area: float = 1.0,
    flip: float = 0.5,
    jitter: float = 0.8,
    mask: float = 0.5,
    order: str = "random",
) -> PairFunctions:
    """For small images of one channel, such as Fashion-MNIST: crop and resize with flip, jitter, a square masked.

    Shape is all such an image has, so crops are larger than SimCLR's, and brightness and contrast are all that colour
    jitter can change.

    >>> x, y = jax.jit(gray28().pair)(jax.random.key(0), jnp.ones((28, 28, 1)))
    >>> x.shape, y.shape
    ((28, 28, 1), (28, 28, 1))

    Args:
        size, strength, min_area, max_area, order: see `simclr_imagenet`.
        flip, jitter, mask: probabilities; 0 for `flip` where left and right mean something, as in digits.
    """
    crop = random_resized_crop(size=size, area=(min_area, max_area), flip=flip)
    colour = colour_jitter(brightness=0.8 * strength, contrast=0.8 * strength, saturation=0, hue=0, order=order)
    return augmented(chain(crop, sometimes(jitter, colour), sometimes(mask, cutout(side=(0.2, 0.4)))), size=size)


PRESETS: dict[str, Callable[..., PairFunctions]] = {
    "simclr_imagenet": simclr_imagenet,
    "simclr_cifar10": simclr_cifar10,
    "gray28": gray28,
}
"""Name in a config → function of strengths and probabilities."""


def _distortion(strength: float, jitter: float, gray: float, order: str) -> tuple[Augmentation, Augmentation]:
    """SimCLR's colour distortion: jitter and grayscale, each with its probability."""
    tone = 0.8 * strength
    colour = colour_jitter(brightness=tone, contrast=tone, saturation=tone, hue=0.2 * strength, order=order)
    return sometimes(jitter, colour), sometimes(gray, grayscale())
