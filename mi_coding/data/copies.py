"""Which examples of one split stand in another, too? Results on copies of training examples are results of training."""

from collections.abc import Sequence

import numpy as np

from mi_coding.data.dataset import Split, names

_LEAST_VALUES = 64  # in an example: two short vectors are often equal without being copies


def copies_of(train: Split, others: Sequence[Split]) -> list[list[tuple[str, str]]]:
    """For each of the other splits the names of its copies of training examples, byte for byte, and of the originals.

    Only single examples in memory are compared, of at least 64 numbers each.

    >>> images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype(np.uint8)
    >>> copies_of(Split(images[:3], None), [Split(images[2:], None)])
    [[('[0]', '[2]')]]
    """
    if not isinstance(train.examples, np.ndarray) or np.prod(train.examples.shape[1:]) < _LEAST_VALUES:
        return [[] for _ in others]
    known: dict[int, int] = {}  # hash of an example → the first that has it
    for i, example in enumerate(train.examples):
        known.setdefault(_hash(example), i)
    return [_copies(train, known, other) for other in others]


def _copies(train: Split, known: dict[int, int], other: Split) -> list[tuple[str, str]]:
    hashes = map(_hash, other.examples)
    found = [(i, known[hashed]) for i, hashed in enumerate(hashes) if hashed in known]
    found = [(i, j) for i, j in found if np.array_equal(other.examples[i], train.examples[j])]
    if not found:
        return []
    of_train, of_other = list(names(train)), list(names(other))
    return [(of_other[i], of_train[j]) for i, j in found]


def _hash(example: np.ndarray) -> int:
    return hash(example.tobytes())
