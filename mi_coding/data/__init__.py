"""Where examples come from. A source is one string: its scheme picks a reader from `SOURCES`, one file each."""

import difflib
from collections.abc import Callable

import numpy as np

from mi_coding.data import digits, folder, npz_source, tfds_source, video
from mi_coding.data.dataset import (
    Dataset,
    Listing,
    Split,
    blank,
    blocks,
    describe_examples,
    halves,
    in_memory,
    names,
    num_examples,
    one_half,
    sample_films,
    take,
)
from mi_coding.data.film_splits import split_films
from mi_coding.data.film_store import Store, some, stored
from mi_coding.data.films import EncodedFilms, FilmTable, FramePairs, Frames, Keeping
from mi_coding.data.images import Form, LazyImages
from mi_coding.data.ordered import Ordered
from mi_coding.data.stream import MAX_UNREADABLE, Batch, Stream, stream
from mi_coding.errors import InputError

__all__ = [
    "PLACEMENTS",
    "SOURCES",
    "Batch",
    "Dataset",
    "FilmTable",
    "FramePairs",
    "Keeping",
    "LazyImages",
    "Listing",
    "Ordered",
    "Split",
    "Stream",
    "blank",
    "blocks",
    "check_source",
    "describe_examples",
    "halves",
    "in_memory",
    "list_all",
    "load",
    "names",
    "num_examples",
    "one_half",
    "sample_films",
    "stream",
    "take",
]

SOURCES: dict[str, Callable[[str, Form], Dataset | EncodedFilms]] = {
    "digits": digits.load,
    "tfds": tfds_source.load,
    "folder": folder.load,
    "npz": npz_source.load,
    "video": video.load,
}
"""Scheme of `config.data.source` (what stands before the colon) to its reader, which takes what stands after it."""

LISTINGS: dict[str, Callable[[str, Form], Listing | EncodedFilms]] = {
    "digits": digits.list_all,
    "tfds": tfds_source.list_all,
    "folder": folder.list_all,
    "npz": npz_source.list_all,
    "video": video.load,
}
"""Scheme to what lists all examples, or films, of a source in their order."""

_SUCH_AS = {
    "tfds": "tfds:fashion_mnist",
    "folder": "folder:/path/to/images",
    "npz": "npz:/path/to/arrays.npz",
    "video": "video:clips/*.mp4",
}

PLACEMENTS = ("auto", "memory", "stream")
"""Names of `config.data.placement`."""

_ROUNDING = 1e-3  # of times, as a share of a frame

MEMORY_BYTES = 4 * 2**30
"""Decoded images of all splits that "auto" keeps in memory; more are streamed."""


def check_source(source: str) -> None:
    """Refuses a source whose scheme no reader knows, or that names nothing.

    >>> check_source("folder:/path/to/images")  # whether it is there only `load` can tell

    Raises:
        InputError: naming the schemes that exist and the nearest one.
    """
    scheme, _, argument = source.partition(":")
    if scheme not in SOURCES:
        near = difflib.get_close_matches(scheme, SOURCES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"config.data.source={source!r} is unknown; expected one of {', '.join(SOURCES)}{hint}")
    if scheme != "digits" and not argument:
        raise InputError(f"config.data.source={source!r} names nothing; expected such as {_SUCH_AS[scheme]!r}")
    if scheme == "digits" and source != "digits":
        raise InputError(f"config.data.source={source!r} names more than there is; expected 'digits'")


def load(
    source: str,
    *,
    image_size: int = 0,
    channels: int = 0,
    placement: str = "auto",
    keeping: Keeping = Keeping(),  # noqa: B008, a tuple of plain values
    warn: Callable[[str], None] = lambda message: None,
    tell: Callable[[str], None] = print,
) -> Dataset:
    """Reads the examples named by one string, such as `digits`, split into train, validation and test.

    >>> digits = load("digits")
    >>> digits.test.examples.shape, digits.test.examples.dtype
    ((397, 8, 8, 1), dtype('float32'))

    Args:
        source: `digits`, `tfds:NAME` (also NAME/CONFIG and NAME:VERSION), `folder:PATH`, `npz:PATH` or `video:GLOB`.
        image_size, channels: see `images.Form`; 0 keeps what the images have, which must then be one and the same.
        placement: "memory" decodes every image now; "stream" leaves them encoded; "auto" decides by their size. The
            digits and arrays are always in memory. Films are decoded into a file in any case, and frames read from it.
        keeping: how films are decoded and cut.
        warn: is told in one line of files that cannot be decoded, which are left out.
        tell: is told in one line what decoded films will take on disk, before they are written, and how they are split.
    Raises:
        InputError: for an unknown source, and for data that is not there, is broken, or does not fit together.
    """
    check_source(source)
    if placement not in PLACEMENTS:
        raise InputError(f"config.data.placement={placement!r} is unknown; expected one of {', '.join(PLACEMENTS)}")
    scheme, _, argument = source.partition(":")
    form = Form(image_size, channels)
    dataset = SOURCES[scheme](argument, form)
    if isinstance(dataset, EncodedFilms):
        return _films(dataset, form, placement, keeping, warn, tell)
    if in_memory(dataset.train):
        return dataset
    for split in (dataset.validation, dataset.test):
        split.examples.check_like(dataset.train.examples)
    size = sum(np.prod(split.examples.shape, dtype=np.int64) for split in dataset[1:])
    if placement == "memory" or (placement == "auto" and size <= MEMORY_BYTES):
        return _in_memory(dataset, warn)
    if scheme == "folder" and not (image_size and channels):
        raise InputError(
            f"{source} takes {size / 2**30:,.1f} GiB decoded and is streamed, so its images are not looked at "
            "beforehand; expected --config.data.image_size and --config.data.channels, such as 224 and 3"
        )
    return dataset


def list_all(
    source: str,
    *,
    image_size: int = 0,
    channels: int = 0,
    keeping: Keeping = Keeping(),  # noqa: B008, a tuple of plain values
    warn: Callable[[str], None] = lambda message: None,
    tell: Callable[[str], None] = print,
) -> Listing:
    """All examples of a source in the order of its files, not cut into splits; images stay encoded.

    Of films, which are decoded into a file, all frames in the order in which they are shown, one film after another.

    >>> split, class_names = list_all("digits")
    >>> len(split.examples), split.labels[:5].tolist(), class_names[3]
    (1797, [0, 1, 2, 3, 4], '3')

    Args: see `load`.
    Raises:
        InputError: see `load`.
    """
    check_source(source)
    scheme, _, argument = source.partition(":")
    form = Form(image_size, channels)
    listing = LISTINGS[scheme](argument, form)
    if not isinstance(listing, EncodedFilms):
        return listing
    store = _stored(listing, form, keeping, warn, tell)
    every = np.arange(len(store.table.times))
    labels = None if store.labels is None else store.labels[store.table.stretch_of(every)]
    return Listing(Split(Frames(store.frames, every, store.table), labels, films=store.table), listing.class_names)


def _stored(
    films: EncodedFilms, form: Form, keeping: Keeping, warn: Callable[[str], None], tell: Callable[[str], None]
) -> Store:
    store = stored(films.films, form, keeping, tell)
    for note in store.notes:
        warn(note)
    return store


def _films(
    films: EncodedFilms,
    form: Form,
    placement: str,
    keeping: Keeping,
    warn: Callable[[str], None],
    tell: Callable[[str], None],
) -> Dataset:
    """Films decoded and split; their frames are in memory where that is asked for or where they fit."""
    store = _stored(films, form, keeping, warn, tell)
    names = None if films.splits is None else [films.splits[k] for k in store.films]
    made = split_films(store.table, keeping.gap, splits=names, labels=store.labels)
    if made.too_short:
        warn(
            f"{len(made.too_short):,} of {len(store.table.names):,} film(s) are too short for a gap of "
            f"{keeping.gap:g} s and are left out: {some(made.too_short)}"
        )
    frame = float(np.median(store.table.seconds / store.table.count))
    if 0 < keeping.gap < frame * (1 - _ROUNDING):
        warn(
            f"a gap of {keeping.gap:g} s is shorter than the {frame:.3f} s for which a frame is shown: x and y are "
            "often the same frame, and the bound says little; raise config.pairs.gap"
        )
    tell(f"{len(store.table.names) - len(made.too_short):,} film(s): {made.how}")
    splits = []
    for part in made.parts:
        table, kept = store.table._replace(how=made.how).part(*part)
        frames = Frames(store.frames, kept, table)
        labels = None if store.labels is None else store.labels[part.films][table.stretch_of(np.arange(len(kept)))]
        splits.append(Split(frames, labels, films=table))
    size = sum(np.prod(split.examples.shape, dtype=np.int64) for split in splits)
    if placement == "memory" or (placement == "auto" and size <= MEMORY_BYTES):
        splits = [take(split, np.arange(num_examples(split)))._replace(films=split.films) for split in splits]
    return Dataset(films.name, *splits)


def _in_memory(dataset: Dataset, warn: Callable[[str], None]) -> Dataset:
    """Every image decoded; files that cannot be are left out, named and counted."""
    splits, unreadable, total = [], [], 0
    for split in dataset[1:]:
        splits.append(take(split, np.arange(num_examples(split))))
        read, names = set(splits[-1].names), map(split.examples.name, range(num_examples(split)))
        unreadable += [name for name in names if name not in read]
        total += num_examples(split)
    if unreadable:
        some = ", ".join(unreadable[:3]) + (", …" if len(unreadable) > 3 else "")
        told = f"{len(unreadable):,} of {total:,} images cannot be decoded: {some}"
        if len(unreadable) > MAX_UNREADABLE * total:
            raise InputError(
                f"{told}; that is {len(unreadable) / total:.1%}, more than {MAX_UNREADABLE:.0%}: repair or remove "
                "these files"
            )
        warn(f"{told}; left out")
    return Dataset(dataset.name, *splits)
