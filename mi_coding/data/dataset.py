"""What every source returns: splits of examples, in memory or still encoded, and ways to read them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from mi_coding.data.films import FilmTable, Frames
from mi_coding.data.images import LazyImages, decode_all

Arrays = np.ndarray | tuple[np.ndarray, ...]


class Split(NamedTuple):
    """Examples of one split.

    Attributes:
        examples: uint8[n, H, W, C], or float32[n, H, W, C] with intensities in [0, 1]; or `LazyImages`, which are
            decoded when they are asked for; or two arrays (x, y) of given pairs, each uint8 or float32[n, …].
        labels: int32[n], the class of each example, or None where the source has no labels.
        names: what a person knows each example by, such as the path of its file; None where they have none, and for
            `LazyImages`, which know them.
        films: where examples are frames of films, which of them follow one another and when; else None.
    """

    examples: Arrays | LazyImages | Frames
    labels: np.ndarray | None
    names: Sequence[str] | None = None
    films: FilmTable | None = None


class Dataset(NamedTuple):
    """Three splits that share no image. Codes are trained on one, regularisers chosen on another, results read on the
    third."""

    name: str
    train: Split
    validation: Split
    test: Split


class Listing(NamedTuple):
    """All examples of a source, in the order of its files, and what the numbers of its labels stand for, if named."""

    split: Split
    class_names: list[str] | None = None


def in_memory(split: Split) -> bool:
    """Whether examples are arrays, and nothing needs to be decoded."""
    return isinstance(split.examples, (np.ndarray, tuple))


def halves(examples: Any) -> tuple[Any, ...]:
    """The arrays that examples are made of: one, or x and y of given pairs."""
    return examples if isinstance(examples, tuple) else (examples,)


def num_examples(split: Split) -> int:
    """How many examples a split has, those that cannot be read included.

    >>> num_examples(Split(np.zeros((3, 2, 2, 1), np.uint8), None))
    3
    """
    return len(halves(split.examples)[0])


def take(split: Split, indices: np.ndarray) -> Split:
    """Some examples of a split, in memory, with their names. Images that cannot be read are left out.

    >>> take(Split(np.zeros((3, 2, 2, 1), np.uint8), np.array([5, 6, 7])), np.array([2, 0])).labels.tolist()
    [7, 5]
    """
    if in_memory(split):
        examples = tuple(half[indices] for half in halves(split.examples))
        examples, name = _whole(examples), split.names and split.names.__getitem__
    else:
        examples, readable = decode_all(split.examples, indices)
        indices, name = indices[readable], split.examples.name
    labels = None if split.labels is None else split.labels[indices]
    return Split(examples, labels, [name(i) for i in indices.tolist()] if name else None)


def names(split: Split) -> Iterator[str]:
    """What a person knows each example by; its row where it has no name.

    >>> list(names(Split(np.zeros((2, 8, 8, 1), np.uint8), None)))
    ['[0]', '[1]']
    """
    rows = range(num_examples(split))
    if split.names is not None:
        return iter(split.names)
    return map("[{}]".format if in_memory(split) else split.examples.name, rows)


def one_half(split: Split, half: int) -> Split:
    """Of given pairs x (0) or y (1); a split of single examples as it is."""
    return split._replace(examples=split.examples[half]) if isinstance(split.examples, tuple) else split


def describe_examples(split: Split) -> list[dict[str, Any]]:
    """What one example looks like, in plain values: shape and dtype of an image, or of x and of y.

    >>> describe_examples(Split(np.zeros((3, 8, 8, 1), np.uint8), None))
    [{'shape': [8, 8, 1], 'dtype': 'uint8'}]
    """
    return [{"shape": list(half.shape[1:]), "dtype": str(half.dtype)} for half in halves(split.examples)]


def blank(described: list[dict[str, Any]], count: int) -> Arrays:
    """So many examples of zeros that look as described, for their shapes.

    >>> blank([{"shape": [8, 8, 1], "dtype": "uint8"}], 2).shape
    (2, 8, 8, 1)
    """
    return _whole(tuple(np.zeros((count, *half["shape"]), half["dtype"]) for half in described))


def _whole(arrays: tuple[np.ndarray, ...]) -> Arrays:
    return arrays if len(arrays) > 1 else arrays[0]


def sample_films(split: Split, most: int, gap: float) -> Split:
    """Some films of a split with their frames in memory: about `most` frames in all, the same for every run.

    Of each film the first part at most, a tenth of `most` frames or what has moments for pairs `gap` seconds apart.
    """
    table = split.films
    shown = [table.times[first : first + count] for first, count in zip(table.first, table.count, strict=True)]
    needed = [np.searchsorted(times, times[0] + 4 * gap) for times in shown]
    counts = np.minimum(table.count, np.maximum(most // 10, needed))
    order = np.random.default_rng(0).permutation(len(counts))
    chosen = np.sort(order[: 1 + np.searchsorted(np.cumsum(counts[order]), most)])
    part, kept = table.part(chosen, np.zeros_like(chosen), counts[chosen])
    return take(split, kept)._replace(films=part)


def blocks(split: Split, size: int) -> Iterator[Split]:
    """The whole split in order, at most `size` examples at a time, for data that memory does not hold.

    >>> [len(part.examples) for part in blocks(Split(np.zeros((5, 2, 2, 1), np.uint8), None), 2)]
    [2, 2, 1]
    """
    for start in range(0, num_examples(split), size):
        yield take(split, np.arange(start, min(start + size, num_examples(split))))
