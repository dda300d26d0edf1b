"""Augmentations by name, so that a config can spell a composition of its own."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mi_coding.pairs.augmentations.colour import colour_jitter, grayscale, solarize
from mi_coding.pairs.augmentations.compose import Augmentation, chain, one_of, sometimes
from mi_coding.pairs.augmentations.filters import edges, gaussian_blur, gaussian_noise
from mi_coding.pairs.augmentations.geometry import horizontal_flip, random_resized_crop, rotation, translation
from mi_coding.pairs.augmentations.masking import cutout

AUGMENTATIONS: dict[str, Callable[..., Augmentation]] = {
    "random_resized_crop": random_resized_crop,
    "horizontal_flip": horizontal_flip,
    "translation": translation,
    "rotation": rotation,
    "colour_jitter": colour_jitter,
    "grayscale": grayscale,
    "solarize": solarize,
    "gaussian_blur": gaussian_blur,
    "edges": edges,
    "gaussian_noise": gaussian_noise,
    "cutout": cutout,
}
"""Name in a config → function of strengths that returns an augmentation."""


def composition(steps: Iterable[Mapping[str, Any]]) -> Augmentation:
    """The chain that a list of steps describes: each a name, optionally a probability `p`, and that name's options.

    The name "one_of" draws one of its own `steps`, each equally likely.

    >>> either = {"name": "one_of", "steps": [{"name": "rotation", "degrees": 30.0}, {"name": "cutout"}]}
    >>> steps = [{"name": "translation", "fraction": 0.1}, either, {"name": "edges", "p": 0.3}]
    >>> composition(steps)(jax.random.key(0), jnp.ones((8, 8, 1))).shape
    (8, 8, 1)

    Raises:
        ValueError: for a name that is not in the table, an option that it does not have, or a value out of its range.
    """
    return chain(*(_step(**step) for step in steps))


def _step(name: str = "", p: float = 1.0, **options: Any) -> Augmentation:
    makers = AUGMENTATIONS | {"one_of": lambda steps: one_of(*(_step(**step) for step in steps))}
    if name not in makers:
        raise ValueError(f"no augmentation is called {name!r}; expected one of {', '.join(makers)}")
    try:
        augmentation = makers[name](**options)
    except TypeError as error:
        raise ValueError(f"augmentation {name!r}: {error}") from None
    return augmentation if p == 1 else sometimes(p, augmentation)
