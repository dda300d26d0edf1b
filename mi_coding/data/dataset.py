"""What every source returns."""

from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Examples of one split.

    Attributes:
        images: float32[n, H, W, C], intensities in [0, 1].
        labels: int32[n], the class of each image, or None where the source has no labels.
    """

    images: np.ndarray
    labels: np.ndarray | None


class Dataset(NamedTuple):
    """Three splits that share no image. Codes are trained on one, regularisers chosen on another, results read on the
    third."""

    name: str
    train: Split
    validation: Split
    test: Split
