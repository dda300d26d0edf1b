"""A look at some images of a source: what is white in them, and what of them is altered when they are decoded."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mi_coding.data.images import BROKEN, DEEP_MODES, LazyImages, open_image

MOST_LOOKED_AT = 256  # images, evenly spaced over all splits
_OF_16_BITS = ";16"  # in Pillow's name for how the values of a file become those of a mode


class Look(NamedTuple):
    """What was found in one image; see `Glance`."""

    is_deep: bool = False
    largest: float = 0.0
    is_below: bool = False
    is_no_number: bool = False
    is_transparent: bool = False
    is_narrowed: bool = False


class Glance(NamedTuple):
    """What was found in some images.

    Attributes:
        looked_at: how many images these are.
        deep: how many of them have grey values of more than 8 bits.
        largest: of these values.
        below, no_numbers: how many have values below 0, and values that are no finite numbers.
        transparent: how many may have transparent pixels.
        narrowed: how many have colours of 16 bits, of which Pillow reads the upper 8.
    """

    looked_at: int
    deep: int
    largest: float
    below: int
    no_numbers: int
    transparent: int
    narrowed: int

    def notes(self) -> list[str]:
        """What is altered, a line each with its count; but for what is white."""
        altered = {
            "have values below 0, which are black": self.below,
            "have values that are no numbers, which are black": self.no_numbers,
            "may have transparent pixels, which are shown on white": self.transparent,
        }
        return [f"{count:,} of {self.looked_at:,} images looked at {what}" for what, count in altered.items() if count]

    def warnings(self) -> list[str]:
        """What is lost, and what to do about it."""
        found = f"{self.narrowed:,} of {self.looked_at:,} images looked at have colours of 16 bits"
        remedy = "where their range is smaller, store them as 8 bits scaled by it, or one file a colour"
        return [f"{found}, of which Pillow reads the upper 8: {remedy}"] if self.narrowed else []


def look_at(parts: Sequence[LazyImages]) -> Glance:
    """Looks at some images of all splits; only those of more than 8 bits are decoded, and broken ones are passed by."""
    ends = np.cumsum([len(part) for part in parts])
    some = np.unique(np.linspace(0, ends[-1] - 1, MOST_LOOKED_AT).astype(int))
    of = np.searchsorted(ends, some, side="right")
    chosen = [(parts[k], int(i - (ends[k - 1] if k else 0))) for k, i in zip(of, some, strict=True)]
    looks = [_look(part, i) for part, i in chosen]
    deep = [look for look in looks if look.is_deep]
    return Glance(
        len(looks),
        len(deep),
        max((look.largest for look in deep), default=0.0),
        sum(look.is_below for look in looks),
        sum(look.is_no_number for look in looks),
        sum(look.is_transparent for look in looks),
        sum(look.is_narrowed for look in looks),
    )


def _look(part: LazyImages, i: int) -> Look:
    try:
        with open_image(part.encoded(i)) as image:
            if image.mode not in DEEP_MODES:
                narrowed = _OF_16_BITS in str(image.tile)
                return Look(is_transparent=image.has_transparency_data, is_narrowed=narrowed)
            values = np.asarray(image)
    except BROKEN:
        return Look()
    finite = values[np.isfinite(values)]
    largest, least = (float(finite.max()), float(finite.min())) if finite.size else (0.0, 0.0)
    return Look(True, largest, least < 0, finite.size < values.size)
