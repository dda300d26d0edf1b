"""A look at some images of a source: which value is white in them, and what decoding them alters."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mi_coding.data.dataset import evenly_spaced
from mi_coding.data.images import BROKEN, DEEP_MODES, LazyImages, open_image

MOST_LOOKED_AT = 256  # images, evenly spaced over all splits
_OF_16_BITS = ";16"  # in Pillow's name of a raw mode, which maps the values of a file to those of a mode


class Look(NamedTuple):
    """What was found in one image."""

    is_deep: bool = False  # grey values of more than 8 bits
    largest: float = 0.0  # of these values
    is_below: bool = False  # some are below 0
    is_no_number: bool = False  # some are not finite numbers
    is_transparent: bool = False  # pixels may be transparent
    is_narrowed: bool = False  # colours of 16 bits, of which Pillow reads the upper 8


class Glance(NamedTuple):
    """What was found in some images."""

    looks: list[Look]

    @property
    def largest(self) -> float | None:
        """The largest of the values of more than 8 bits; None where no image has such values."""
        return max((look.largest for look in self.looks if look.is_deep), default=None)

    def notes(self) -> list[str]:
        """What is altered, except by the choice of white, one line each with its count."""
        altered = {
            "is_below": "have values below 0, which are black",
            "is_no_number": "have values that are not numbers, which are black",
            "is_transparent": "may have transparent pixels, which are shown on white",
        }
        return [f"{found} {what}" for field, what in altered.items() if (found := self._found(field))]

    def warnings(self) -> list[str]:
        """What is lost, and what to do about it."""
        remedy = "if their range is smaller, store them as 8 bits scaled by it, or one file per colour"
        narrowed = self._found("is_narrowed")
        return [f"{narrowed} have colours of 16 bits, of which Pillow reads the upper 8: {remedy}"] if narrowed else []

    def _found(self, field: str) -> str:
        count = sum(getattr(look, field) for look in self.looks)
        return f"{count:,} of {len(self.looks):,} images looked at" if count else ""


def look_at(parts: Sequence[LazyImages]) -> Glance:
    """Looks at some images of all splits; only those of more than 8 bits are decoded, and broken ones are skipped."""
    ends = np.cumsum([len(part) for part in parts])
    some = evenly_spaced(ends[-1], MOST_LOOKED_AT)
    of = np.searchsorted(ends, some, side="right")
    chosen = [(parts[k], int(i - (ends[k - 1] if k else 0))) for k, i in zip(of, some, strict=True)]
    return Glance([_look(part, i) for part, i in chosen])


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
