"""What an augmentation is, and how several become one.

An augmentation is a pure function (key, image) → image of one image. It takes uint8 in [0, 255] or floats in [0, 1] and
returns float32 in [0, 1]; `jax.vmap` turns it into one of a batch. No branch depends on a random number: under `vmap`
both sides would be computed anyway, so each choice is a weight or a selection, and a batch needs no control flow.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]
"""(key, image uint8 or float[H, W, C]) → float32[h, w, C] in [0, 1]."""


def as_numbers(x: jax.Array) -> jax.Array:
    """float32 of the same shape: bytes are divided by 255, floats stay what they are.

    >>> as_numbers(jnp.array([51], jnp.uint8)).item() == jnp.float32(0.2)
    Array(True, dtype=bool)
    """
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x.astype(jnp.float32)


def as_float(image: jax.Array) -> jax.Array:
    """The image as float32 in [0, 1]: bytes are divided by 255, floats are taken to be in [0, 1] already.

    Raises:
        ValueError: unless it is [H, W, C] with 1 or 3 channels and no side of length zero, uint8 or floating.
    """
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or 0 in image.shape:
        raise ValueError(f"image of shape {image.shape}; expected [height, width, channels] with 1 or 3 channels")
    if image.dtype != jnp.uint8 and not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"image of {image.dtype}; expected uint8 in [0, 255] or floats in [0, 1]")
    return as_numbers(image)


def chain(*augmentations: Augmentation) -> Augmentation:
    """Applies augmentations in this order, each with a key of its own; with none, returns the image as float32.

    >>> twice = chain(lambda key, image: image / 2, lambda key, image: image / 2)
    >>> twice(jax.random.key(0), jnp.ones((1, 1, 1))).item()
    0.25
    """

    def chained(key: jax.Array, image: jax.Array) -> jax.Array:
        image = as_float(image)
        for step_key, augmentation in zip(jax.random.split(key, len(augmentations)), augmentations, strict=True):
            image = augmentation(step_key, image)
        return image

    return chained if augmentations else lambda key, image: as_float(image)


def sometimes(p: float, augmentation: Augmentation) -> Augmentation:
    """Applies the augmentation with probability `p`, or else returns the image; it must keep the image's size.

    >>> never = sometimes(0.0, lambda key, image: 1 - image)
    >>> never(jax.random.key(0), jnp.ones((1, 1, 1))).item()
    1.0

    Raises:
        ValueError: unless 0 <= p <= 1; when called, if the size changes.
    """
    check_probability("p", p)

    def maybe(key: jax.Array, image: jax.Array) -> jax.Array:
        image = as_float(image)
        choice_key, key = jax.random.split(key)
        changed = augmentation(key, image)
        _check_one_shape(changed, image)
        return jnp.where(jax.random.uniform(choice_key) < p, changed, image)

    return maybe


def one_of(*augmentations: Augmentation) -> Augmentation:
    """Applies one of them, each equally likely; all must give the same size. All are computed, as `vmap` would do.

    A random composition is a chain of choices: `chain(one_of(a, b, c), one_of(a, b, c))`.

    >>> either = one_of(lambda key, image: 0 * image, lambda key, image: 1 - image)
    >>> either(jax.random.key(0), jnp.ones((1, 1, 1))).item()
    0.0

    Raises:
        ValueError: for no augmentation; when called, if their sizes differ.
    """
    if not augmentations:
        raise ValueError("one_of() needs at least one augmentation to choose from")

    def chosen(key: jax.Array, image: jax.Array) -> jax.Array:
        choice_key, key = jax.random.split(key)
        choice = jax.random.randint(choice_key, (), 0, len(augmentations))
        image = as_float(image)
        results = [augmentation(key, image) for augmentation in augmentations]
        _check_one_shape(*results)
        return jax.lax.select_n(choice, *results)

    return chosen


def _check_one_shape(*images: jax.Array) -> None:
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ValueError(f"a choice between images of different shapes, {sorted(shapes)}; crop before it or after it")


def check_probability(name: str, p: float) -> None:
    """Raises ValueError unless 0 <= p <= 1."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name} = {p} is not a probability; expected 0 to 1")


def check_range(name: str, values: tuple[float, float], least: float, most: float = float("inf")) -> None:
    """Raises ValueError unless least <= values[0] <= values[1] <= most."""
    if len(values) != 2 or not least <= values[0] <= values[1] <= most:
        raise ValueError(
            f"{name} = {values}; expected (lowest, highest) with {least:g} <= lowest <= highest <= {most:g}"
        )
