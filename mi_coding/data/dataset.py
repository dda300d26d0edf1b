"""What every source returns: splits of images, in memory or still encoded, and ways to read them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mi_coding.data.images import LazyImages, decode_all


class Split(NamedTuple):
    """Examples of one split.

    Attributes:
        images: uint8[n, H, W, C], or float32[n, H, W, C] with intensities in [0, 1]; or `LazyImages`, which are decoded
            when they are asked for.
        labels: int32[n], the class of each image, or None where the source has no labels.
    """

    images: np.ndarray | LazyImages
    labels: np.ndarray | None


class Dataset(NamedTuple):
    """Three splits that share no image. Codes are trained on one, regularisers chosen on another, results read on the
    third."""

    name: str
    train: Split
    validation: Split
    test: Split


def num_examples(split: Split) -> int:
    """How many examples a split has, those that cannot be read included.

    >>> num_examples(Split(np.zeros((3, 2, 2, 1), np.uint8), None))
    3
    """
    return len(split.images)


def take(split: Split, indices: np.ndarray) -> Split:
    """Some examples of a split, in memory. Images that cannot be read are left out together with their labels.

    >>> take(Split(np.zeros((3, 2, 2, 1), np.uint8), np.array([5, 6, 7])), np.array([2, 0])).labels.tolist()
    [7, 5]
    """
    labels = None if split.labels is None else split.labels[indices]
    if isinstance(split.images, np.ndarray):
        return Split(split.images[indices], labels)
    images, readable = decode_all(split.images, indices)
    return Split(images, None if labels is None else labels[readable])


def blocks(split: Split, size: int) -> Iterator[Split]:
    """The whole split in order, at most `size` examples at a time, for data that memory does not hold.

    >>> [len(part.images) for part in blocks(Split(np.zeros((5, 2, 2, 1), np.uint8), None), 2)]
    [2, 2, 1]
    """
    for start in range(0, num_examples(split), size):
        yield take(split, np.arange(start, min(start + size, num_examples(split))))
