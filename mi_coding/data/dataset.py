"""What every source returns: splits of examples, in memory or still encoded, and ways to read them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mi_coding.data.films import FilmTable, Frames
from mi_coding.data.images import LazyImages, decode_all


class Split(NamedTuple):
    """Examples of one split.

    Attributes:
        examples: uint8[n, H, W, C], or float32[n, H, W, C] with intensities in [0, 1]; or `LazyImages`, which are
            decoded when they are asked for.
        labels: int32[n], the class of each example, or None where the source has no labels.
        names: what a person knows each example by, such as the path of its file; None where they have none, and for
            `LazyImages`, which know them.
        films: where examples are frames of films, which of them follow one another and when; else None.
    """

    examples: np.ndarray | LazyImages | Frames
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


def num_examples(split: Split) -> int:
    """How many examples a split has, those that cannot be read included.

    >>> num_examples(Split(np.zeros((3, 2, 2, 1), np.uint8), None))
    3
    """
    return len(split.examples)


def take(split: Split, indices: np.ndarray) -> Split:
    """Some examples of a split, in memory, with their names. Images that cannot be read are left out.

    >>> take(Split(np.zeros((3, 2, 2, 1), np.uint8), np.array([5, 6, 7])), np.array([2, 0])).labels.tolist()
    [7, 5]
    """
    if isinstance(split.examples, np.ndarray):
        examples, name = split.examples[indices], split.names and split.names.__getitem__
    else:
        examples, readable = decode_all(split.examples, indices)
        indices, name = indices[readable], split.examples.name
    labels = None if split.labels is None else split.labels[indices]
    return Split(examples, labels, [name(i) for i in indices.tolist()] if name else None)


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
