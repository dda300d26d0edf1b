"""Which examples of one split are in another, too? Results on copies of training examples are training results."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mi_coding.data.dataset import Split, blocks, evenly_spaced, first_names, in_memory, names, num_examples

NEAR = 0.999  # correlation of the thumbnails of two images above which they are near-copies
_LEAST_OF_PIXELS = 0.98  # correlation of their pixels that is needed, too; lower, since one may be compressed
MOST_ALIKE = 0.5  # share of a film's frames that are near-copies of another film's, above which it is a cut of it
_LEAST_VALUES = 64  # in an example: two short vectors are often equal without being copies
_SIDE = 8  # pixels, of the thumbnails by which near-copies are found
_MOST_PRODUCTS = 10**10  # of thumbnails; above that, fewer held-out images are compared, and no frames of films
_AT_ONCE = 512
_FLAT = 1e-3  # standard deviation of pixels in [0, 1] below which an image shows nothing to compare


Rows = list[tuple[int, int]]  # positions of a held-out example and of the training example that it copies


class NearCopies(NamedTuple):
    """Held-out images that are near-copies of training images."""

    rows: Rows
    looked_at: int  # how many held-out images were compared


def copies_in(train: Split, others: dict[str, Split]) -> tuple[list[str], dict[str, Rows]]:
    """Lines on copies of training examples in other splits, one per kind, with count and first names; and their rows.

    `others` is name → split, such as "test"; the second result is name → rows of copies and near-copies of examples.
    """
    if not in_memory(train) and train.films is None:
        return ["copies across splits were not looked for: images are decoded as they are streamed"], {}
    splits = list(others.values())
    if train.films is not None and num_examples(train) * max(map(num_examples, splits)) > _MOST_PRODUCTS:
        return [f"films cut from one another were not looked for among {num_examples(train):,} training frames"], {}
    found = zip(others, copies_of(train, splits), near_copies_of(train, splits), film_cuts(train, splits), strict=True)
    lines, rows = [], {}
    for name, copies, near, cuts in found:
        other = others[name]
        if copies:
            what = "example(s) are copies of training examples, byte for byte"
            lines.append(_line(name, what, _named(train, other, copies)))
        if near.rows:
            some = "" if near.looked_at == num_examples(other) else f" of {near.looked_at:,} looked at"
            what = f"example(s){some} are near copies of training examples (thumbnails correlate by > {NEAR:g})"
            lines.append(_line(name, what, _named(train, other, near.rows)))
        if cuts:
            lines.append(_line(name, "film(s) show what a training film shows, for more than half their frames", cuts))
        rows[name] = copies + near.rows
    return lines, rows


def _line(name: str, what: str, pairs: list[tuple[str, str]]) -> str:
    return f"{len(pairs):,} {name} {what}: {first_names([f'{copy} = {original}' for copy, original in pairs])}"


def copies_of(train: Split, others: Sequence[Split]) -> list[Rows]:
    """For each of the other splits, its rows that copy training examples, byte for byte, and the rows of the latter.

    Only single examples in memory are compared, of at least 64 numbers each.

    >>> images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype(np.uint8)
    >>> copies_of(Split(images[:3], None), [Split(images[2:], None)])
    [[(0, 2)]]
    """
    if not isinstance(train.examples, np.ndarray) or np.prod(train.examples.shape[1:]) < _LEAST_VALUES:
        return [[] for _ in others]
    known: dict[int, int] = {}  # hash of an example → the first that has it
    for i, example in enumerate(train.examples):
        known.setdefault(_hash(example), i)
    return [_copies(train, known, other) for other in others]


def near_copies_of(train: Split, others: Sequence[Split]) -> list[NearCopies]:
    """For each of the other splits, its images whose thumbnails correlate with those of training images by over 0.999.

    Examples are photos that were saved again, or made brighter; exact copies, byte for byte, are not counted. Only
    images in memory are compared; films have `film_cuts`.

    >>> images = np.random.default_rng(0).uniform(0.2, 0.8, (4, 8, 8, 1)).astype(np.float32)
    >>> near_copies_of(Split(images[:3], None), [Split(images[2:] * 0.9, None)])[0].rows
    [(0, 2)]
    """
    if train.films is not None or not _are_images(train.examples):
        return [NearCopies([], 0) for _ in others]
    known = _thumbnails(train.examples)
    return [_near_copies(train, known, other) for other in others]


def film_cuts(train: Split, others: Sequence[Split]) -> list[list[tuple[str, str]]]:
    """For each of the other splits, its films with more than half of their frames near-copies of one training film's.

    Frames are compared by their thumbnails. Parts of one film, by its name, do not count as copies of one another.
    """
    if train.films is None:
        return [[] for _ in others]
    known, owner = _all_thumbnails(train), _owners(train)
    return [list(_cuts(known, owner, train.films.names, other)) for other in others]


def _are_images(examples: object) -> bool:
    return isinstance(examples, np.ndarray) and examples.ndim == 4 and np.prod(examples.shape[1:]) >= _LEAST_VALUES


def _copies(train: Split, known: dict[int, int], other: Split) -> Rows:
    hashes = map(_hash, other.examples)
    found = [(i, known[hashed]) for i, hashed in enumerate(hashes) if hashed in known]
    return [(i, j) for i, j in found if _are_equal(other.examples[i], train.examples[j])]


def _are_equal(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether examples are the same; sequences shorter than the longest end in NaN."""
    return np.array_equal(one, other, equal_nan=np.issubdtype(one.dtype, np.floating))


def _near_copies(train: Split, known: np.ndarray, other: Split) -> NearCopies:
    count = num_examples(other)
    looked_at = evenly_spaced(count, max(1, min(count, _MOST_PRODUCTS // max(len(known), 1))))
    nearest, cosine = _nearest(_thumbnails(other.examples[looked_at]), known)
    found = []
    for i, j in zip(looked_at[cosine > NEAR].tolist(), nearest[cosine > NEAR].tolist(), strict=True):
        copy, original = other.examples[i], train.examples[j]
        pixels = _centred(np.stack([copy, original]).reshape(2, -1))
        if pixels[0] @ pixels[1] > _LEAST_OF_PIXELS and not np.array_equal(copy, original):
            found.append((i, j))
    return NearCopies(found, len(looked_at))


def _cuts(known: np.ndarray, owner: np.ndarray, of_train: list[str], other: Split) -> Iterator[tuple[str, str]]:
    thumbnails, owners = _all_thumbnails(other), _owners(other)
    segments = np.array(of_train)
    for name in dict.fromkeys(other.films.names):
        own = np.isin(owners, np.flatnonzero(np.array(other.films.names) == name))
        allowed = np.flatnonzero(segments[owner] != name)
        if not len(allowed):
            continue
        nearest, cosine = _nearest(thumbnails[own], known[allowed])
        films, counts = np.unique(segments[owner[allowed[nearest[cosine > NEAR]]]], return_counts=True)
        if len(films) and counts.max() > MOST_ALIKE * own.sum():
            yield name, str(films[counts.argmax()])


def _owners(split: Split) -> np.ndarray:
    """int64[F]: the segment of each frame."""
    return np.repeat(np.arange(len(split.films.count)), split.films.count)


def _all_thumbnails(split: Split) -> np.ndarray:
    if isinstance(split.examples, np.ndarray):
        return _thumbnails(split.examples)
    return np.concatenate([_thumbnails(part.examples) for part in blocks(split, _AT_ONCE)])


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """float32[n, d]: pixels of thumbnails, all channels, with mean 0 and norm 1; zeros for flat images."""
    parts = [_centred(_shrunk(images[i : i + _AT_ONCE])) for i in range(0, len(images), _AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def _shrunk(images: np.ndarray) -> np.ndarray:
    """float32[n, d]: means over a grid of at most 8 × 8 cells."""
    scale = np.float32(255 if images.dtype == np.uint8 else 1)
    small = images.astype(np.float32) / scale
    for axis in (1, 2):
        size = small.shape[axis]
        edges = np.linspace(0, size, min(size, _SIDE) + 1).astype(int)
        small = np.add.reduceat(small, edges[:-1], axis=axis)
        shape = [-1 if a == axis else 1 for a in range(4)]
        small /= np.diff(edges).reshape(shape)
    return small.reshape(len(small), -1)


def _centred(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float32) / (255 if rows.dtype == np.uint8 else 1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    is_flat = length < _FLAT * np.sqrt(rows.shape[1])
    return np.where(is_flat, 0, rows / np.where(is_flat, 1, length))


def _nearest(queries: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position of the nearest known row for each query, and its cosine."""
    best, cosines = [], []
    for start in range(0, len(queries), _AT_ONCE):
        products = queries[start : start + _AT_ONCE] @ known.T
        best.append(products.argmax(axis=1))
        cosines.append(products.max(axis=1))
    return np.concatenate(best) if best else np.zeros(0, int), np.concatenate(cosines) if cosines else np.zeros(0)


def _named(train: Split, other: Split, found: Rows) -> list[tuple[str, str]]:
    of_train, of_other = list(names(train)), list(names(other))
    return [(of_other[i], of_train[j]) for i, j in found]


def _hash(example: np.ndarray) -> int:
    return hash(example.tobytes())
