"""Which examples of one split stand in another, too? Results on copies of training examples are results of training."""

import numpy as np

from mi_coding.data.dataset import Split, in_memory, names

_LEAST_VALUES = 64  # in an example: two short vectors are often equal without being copies


def copies_of(train: Split, other: Split) -> list[tuple[str, str]]:
    """Names of the examples of a split that are equal to a training example byte for byte, and of that example.

    Only single examples in memory are compared, of at least 64 numbers each.

    >>> images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype(np.uint8)
    >>> copies_of(Split(images[:3], None), Split(images[2:], None))
    [('[0]', '[2]')]
    """
    if not (in_memory(train) and in_memory(other)) or isinstance(train.examples, tuple):
        return []
    if np.prod(train.examples.shape[1:]) < _LEAST_VALUES:
        return []
    known = {hash_of: i for i, hash_of in reversed(list(enumerate(map(_hash, train.examples))))}
    found = [(i, known[hash_of]) for i, hash_of in enumerate(map(_hash, other.examples)) if hash_of in known]
    found = [(i, j) for i, j in found if np.array_equal(other.examples[i], train.examples[j])]
    if not found:
        return []
    of_train, of_other = list(names(train)), list(names(other))
    return [(of_other[i], of_train[j]) for i, j in found]


def _hash(example: np.ndarray) -> int:
    return hash(example.tobytes())
