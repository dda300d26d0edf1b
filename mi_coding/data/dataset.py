"""Data sets: splits of examples, in memory or still encoded, and functions to read them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.films.frames import FilmTable, Frames
from mi_coding.data.images import ImageSpec, JoinedImages, LazyImages, decode_all
from mi_coding.data.sequences import lengths_of

Arrays = np.ndarray | tuple[np.ndarray, ...]
Say = Callable[[str], None]  # takes one line for the user


class Split(NamedTuple):
    """Examples of one split: uint8[n, H, W, C], or float32[n, H, W, C] with intensities in [0, 1]; or `LazyImages`,
    which are decoded on demand; or two arrays (x, y) of given pairs, each uint8 or float32[n, …]."""

    examples: Arrays | LazyImages | Frames
    labels: np.ndarray | None  # int32[n], the class of each example, or None where the source has no labels
    names: Sequence[str] | None = None  # for the user, such as paths; None where there are none, or examples have them
    films: FilmTable | None = None  # for frames of films, their order and times; else None

    @property
    def lengths(self) -> np.ndarray | None:
        """int64[n]: samples of each sequence before its padding, see `sequences.lengths_of`; None of anything else."""
        if not isinstance(self.examples, np.ndarray) or not np.issubdtype(self.examples.dtype, np.floating):
            return None
        return lengths_of(self.examples)


class Dataset(NamedTuple):
    """Three splits that share no image: codes are trained on the first, regularisers are chosen on the second, and
    results are computed on the third."""

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: list[str] | None = None  # by label, where they are known
    account: Account | None = None  # of what the source has and what is left out; `load` always fills it in
    copies: Mapping[str, list[tuple[int, int]]] = MappingProxyType({})  # split → its row, the training row copied
    is_exact: bool = False  # whether examples are the same numbers wherever they are read, not those of some decoder

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        """Train, validation and test."""
        return self.train, self.validation, self.test


class Listing(NamedTuple):
    """All examples of a source in its order, and class names by label, where they are known."""

    split: Split
    class_names: list[str] | None = None
    account: Account | None = None  # see `Dataset`; `list_all` always fills it in


def in_memory(split: Split) -> bool:
    """Whether examples are arrays, so that nothing needs to be decoded."""
    return isinstance(split.examples, (np.ndarray, tuple))


def halves(examples: Any) -> tuple[Any, ...]:
    """The arrays of some examples: one, or x and y of given pairs."""
    return examples if isinstance(examples, tuple) else (examples,)


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """int64[n], n ≤ most: evenly spaced positions among `count`, including the first and the last.

    >>> evenly_spaced(100, 3).tolist(), evenly_spaced(2, 3).tolist()
    ([0, 49, 99], [0, 1])
    """
    return np.unique(np.linspace(0, count - 1, most).astype(int))


def num_examples(split: Split) -> int:
    """Number of examples of a split, including those that cannot be decoded.

    >>> num_examples(Split(np.zeros((3, 2, 2, 1), np.uint8), None))
    3
    """
    return len(halves(split.examples)[0])


def take(split: Split, indices: np.ndarray) -> Split:
    """Some examples of a split, in memory, with their names; images that cannot be decoded are left out.

    >>> take(Split(np.zeros((3, 2, 2, 1), np.uint8), np.array([5, 6, 7])), np.array([2, 0])).labels.tolist()
    [7, 5]
    """
    if in_memory(split):
        examples = _join_halves(tuple(half[indices] for half in halves(split.examples)))
        name = split.names and split.names.__getitem__
    else:
        examples, readable = decode_all(split.examples, indices)
        indices, name = indices[readable], split.examples.name
    labels = None if split.labels is None else split.labels[indices]
    return Split(examples, labels, [name(i) for i in indices.tolist()] if name else None)


def names(split: Split) -> Iterator[str]:
    """Name of each example for the user; its row number where it has no name.

    >>> list(names(Split(np.zeros((2, 8, 8, 1), np.uint8), None)))
    ['[0]', '[1]']
    """
    rows = range(num_examples(split))
    if split.names is not None:
        return iter(split.names)
    return map("[{}]".format if in_memory(split) else split.examples.name, rows)


def one_half(split: Split, half: int) -> Split:
    """Given pairs reduced to x (0) or y (1); a split of single examples is returned unchanged."""
    return split._replace(examples=split.examples[half]) if isinstance(split.examples, tuple) else split


def describe_examples(split: Split) -> list[dict[str, Any]]:
    """Shape and dtype of one example, in plain values: of an image, or of x and of y.

    >>> describe_examples(Split(np.zeros((3, 8, 8, 1), np.uint8), None))
    [{'shape': [8, 8, 1], 'dtype': 'uint8'}]
    """
    return [{"shape": list(half.shape[1:]), "dtype": str(half.dtype)} for half in halves(split.examples)]


def dummy_examples(described: list[dict[str, Any]], count: int) -> Arrays:
    """`count` examples of zeros, of the shapes and dtypes of `describe_examples`.

    >>> dummy_examples([{"shape": [8, 8, 1], "dtype": "uint8"}], 2).shape
    (2, 8, 8, 1)
    """
    return _join_halves(tuple(np.zeros((count, *half["shape"]), half["dtype"]) for half in described))


def _join_halves(arrays: tuple[np.ndarray, ...]) -> Arrays:
    return arrays if len(arrays) > 1 else arrays[0]


def concatenate(splits: Sequence[Split], spec: ImageSpec) -> Split:
    """The examples of several splits, one after another; labels and names where all of them have some.

    The splits are all in memory or none; `spec` is the size and channels of images that are still encoded.

    >>> parts = [Split(np.zeros((n, 2, 2, 1), np.uint8), np.full(n, n)) for n in (1, 2)]
    >>> concatenate(parts, ImageSpec()).labels.tolist()
    [1, 2, 2]
    """
    if all(map(in_memory, splits)):
        parts = zip(*(halves(split.examples) for split in splits), strict=True)
        examples = _join_halves(tuple(np.concatenate(part) for part in parts))
    else:
        examples = JoinedImages([split.examples for split in splits], spec)
    labels = None if any(split.labels is None for split in splits) else np.concatenate([s.labels for s in splits])
    has_names = all(split.names is not None for split in splits)
    return Split(examples, labels, [name for split in splits for name in split.names] if has_names else None)


def first_names(names: Sequence[str]) -> str:
    """The first three names, for a message of limited length.

    >>> first_names(["a", "b", "c", "d"])
    'a, b, c, …'
    """
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def blocks(split: Split, size: int) -> Iterator[Split]:
    """The whole split in order, at most `size` examples at a time, for data larger than memory.

    >>> [len(part.examples) for part in blocks(Split(np.zeros((5, 2, 2, 1), np.uint8), None), 2)]
    [2, 2, 1]
    """
    for start in range(0, num_examples(split), size):
        yield take(split, np.arange(start, min(start + size, num_examples(split))))
