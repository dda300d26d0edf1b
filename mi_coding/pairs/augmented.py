"""Pairs of two random augmentations of one image, as a preset or a list of steps describes them."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import jax

from mi_coding.errors import InputError, Setting
from mi_coding.options import Each, NotNegative, OneOf, Probability, Range, option
from mi_coding.pairs.augmentations import PRESETS, augmented, composition
from mi_coding.pairs.base import PairSampler, Shape

CUSTOM = "custom"
"""The preset that is a list of steps in `pairs.steps`."""

_LARGEST_SIDE = 2**13
_NEUTRAL = {"size": 0, "order": "random", "steps": ()}
"""Values of options that a preset does not have; 0.0 for the others."""


@dataclass(frozen=True, eq=False)
class Augmentations(PairSampler):
    """Independent random augmentations of one image, two or more; their view is the image itself.

    An option that is left out has the value that the paper of the preset gives it; one that the preset does not have
    must be 0.

    >>> Augmentations(preset="simclr_cifar10").strength, Augmentations(preset="gray28").mask
    (0.5, 0.5)
    """

    preset: Annotated[str, OneOf((*PRESETS, CUSTOM))] = option("pairs.preset", "simclr_cifar10", "which augmentations")
    size: Annotated[int, Range(least=0, most=_LARGEST_SIDE)] = option(
        "pairs.size", None, "pixels, side of x and y; 0 for the images' own"
    )
    strength: NotNegative = option(
        "pairs.strength", None, "colour jitter is brightness, contrast and saturation 0.8, hue 0.2, times this"
    )
    min_area: NotNegative = option("pairs.min_area", None, "smallest share of the image that a crop shows")
    max_area: NotNegative = option("pairs.max_area", None, "largest share of the image that a crop shows")
    flip: Probability = option("pairs.flip", None, "probability of a horizontal flip")
    jitter: Probability = option("pairs.jitter", None, "probability of colour jitter")
    gray: Probability = option("pairs.gray", None, "probability of conversion to grey (simclr presets)")
    blur: Probability = option("pairs.blur", None, "probability of Gaussian blur (simclr_imagenet)")
    mask: Probability = option("pairs.mask", None, "probability of a masked square (gray28)")
    order: str = option("pairs.order", None, "order of the four parts of the jitter: random or fixed")
    steps: tuple = option("pairs.steps", None, "for preset custom, such as ({'name': 'rotation', 'degrees': 20.0},)")

    num_views: Annotated[int, Range(least=2, most=64)] = option(
        "pairs.views", 2, "V, an even number; every two of the V views of an image are a pair, and the loss is the mean"
    )

    num_small: Annotated[int, Range(least=0, most=64)] = option(
        "pairs.small_views",
        0,
        "W, an even number of smaller crops besides the V; each is a pair with each of the V",
    )
    small_size: Annotated[int, Range(least=0, most=_LARGEST_SIDE)] = option(
        "pairs.small_size", 0, "pixels, side of a smaller crop; required where there are any"
    )
    small_areas: Annotated[tuple, Each(float, Range(above=0, most=1), "(0.05, 0.3)")] = option(
        "pairs.small_areas", (0.05, 0.3), "smallest and largest share of the image that a smaller crop shows"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, count in (("pairs.views", self.num_views), ("pairs.small_views", self.num_small)):
            if count % 2:
                raise InputError(Setting(key, count), f" is odd; expected {count - 1} or {count + 1}")
        self._check_small_views()
        takes = _parameters(self.preset)
        for name in _MODIFICATIONS:
            if getattr(self, name) is None:
                value = takes.get(name)
                object.__setattr__(self, name, _NEUTRAL.get(name, 0.0) if value is None else value)
        self._check_preset_has(takes)
        if self.preset == CUSTOM and not self.steps:
            hint = " needs config.pairs.steps, such as ({'name': 'rotation'},)"
            raise InputError(Setting("pairs.preset", CUSTOM), hint)
        values = {name: getattr(self, name) for name in _MODIFICATIONS if name in takes} | {"size": self.size or None}
        try:
            made = augmented(composition(self.steps)) if self.preset == CUSTOM else PRESETS[self.preset](**values)
            small = PRESETS[self.preset](**values | self._of_small()) if self.num_small else None
        except (ValueError, TypeError) as error:
            raise InputError(Setting("pairs"), f": {' '.join(str(error).split())}") from None
        object.__setattr__(self, "_functions", made)
        object.__setattr__(self, "small", small)

    def _check_small_views(self) -> None:
        if not self.num_small:
            return
        if self.preset == CUSTOM:
            hint = f" goes with a preset, whose crops are made smaller, and not {CUSTOM!r}; expected 0"
            raise InputError(Setting("pairs.small_views", self.num_small), hint)
        if not self.small_size:
            hint = " needs their size in pixels, smaller than the images, in "
            raise InputError(Setting("pairs.small_views", self.num_small), hint, Setting("pairs.small_size"))
        if len(self.small_areas) != 2:
            found = Setting("pairs.small_areas", self.small_areas)
            raise InputError(found, "; expected the smallest and the largest share, such as (0.05, 0.3)")

    def _of_small(self) -> dict[str, Any]:
        """The options of a smaller crop that replace those of the others."""
        return {"size": self.small_size, "min_area": self.small_areas[0], "max_area": self.small_areas[1]}

    def pair(self, key: jax.Array, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self._functions.pair(key, image)

    def view(self, key: jax.Array, image: jax.Array) -> jax.Array:
        return self._functions.view(key, image)

    def describe(self) -> str:
        count = "two" if self.num_views == 2 else f"two of {self.num_views}"
        small = f", and {self.num_small} smaller ones of {self.small_size} pixels" if self.num_small else ""
        return f"{count} random augmentations of one image, preset {self.preset}{small}"

    def encoded_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        found = super().encoded_shapes(shapes)
        return [*found, (self.small_size, self.small_size, *found[0][2:])] if self.num_small else found

    def check_examples(self, source: str, shapes: Sequence[Shape], split: Any) -> None:
        super().check_examples(source, shapes, split)
        side = min(shapes[0][:2])
        if self.num_small and self.small_size > side:
            found = f" is larger than images of {side} pixels; expected at most {side}"
            raise InputError(Setting("pairs.small_size", self.small_size), found)

    def _check_preset_has(self, takes: dict[str, Any]) -> None:
        has = (*takes, "order")  # an order with nothing to put in order does no harm
        strange = [name for name in _MODIFICATIONS if name not in has and getattr(self, name)]
        if strange:
            others = ", ".join(f"{name}={getattr(self, name)!r}" for name in strange)
            neutral = "()" if strange == ["steps"] else "0"
            raise InputError(
                Setting("pairs.preset", self.preset),
                f" has no {others}; set {'it' if len(strange) == 1 else 'them'} to {neutral} or choose another of "
                f"{', '.join(PRESETS)}, {CUSTOM}",
            )


_MODIFICATIONS = (
    "size",
    "strength",
    "min_area",
    "max_area",
    "flip",
    "jitter",
    "gray",
    "blur",
    "mask",
    "order",
    "steps",
)


def _parameters(preset: str) -> dict[str, Any]:
    """Options that a preset has, with the values of its paper; None where it leaves the image as it is.

    >>> list(_parameters("gray28"))
    ['size', 'strength', 'min_area', 'max_area', 'flip', 'jitter', 'mask', 'order']
    """
    if preset == CUSTOM:
        return {"steps": None}  # a step that crops has a size of its own
    signature = inspect.signature(PRESETS[preset]).parameters
    return {name: signature[name].default for name in _MODIFICATIONS if name in signature}
