"""Loading of examples by one string: `load` for splits, `list_all` for all examples in order."""

from collections.abc import Callable

import numpy as np

from mi_coding.data.dataset import Dataset, Listing, first_names, in_memory, num_examples, take
from mi_coding.data.films.encoded import EncodedFilms, VideoOptions
from mi_coding.data.films.loading import FilmReader
from mi_coding.data.images import ImageSpec
from mi_coding.data.placement import check_placement, is_kept_in_memory, num_bytes
from mi_coding.data.sources import open_source
from mi_coding.data.stream import MAX_UNREADABLE
from mi_coding.errors import InputError, Setting

_DEFAULT_VIDEO = VideoOptions()


def _ignore(_message: str) -> None:
    """Default of `warn`."""


def check_source(source: str) -> None:
    """Checks that the scheme of a source is known and that its argument is given.

    >>> check_source("folder:/path/to/images")  # whether it exists is found out by `load`

    Raises:
        InputError: naming the known schemes and the nearest one.
    """
    open_source(source)


def load(
    source: str,
    *,
    image_size: int = 0,
    channels: int = 0,
    placement: str = "auto",
    video: VideoOptions = _DEFAULT_VIDEO,
    warn: Callable[[str], None] = _ignore,
    log: Callable[[str], None] = print,
) -> Dataset:
    """Loads the examples of a source such as `digits`, split into train, validation and test.

    >>> digits = load("digits")
    >>> digits.test.examples.shape, digits.test.examples.dtype
    ((397, 8, 8, 1), dtype('float32'))

    Args:
        source: `digits`, `tfds:NAME` (also NAME/CONFIG and NAME:VERSION), `folder:PATH`, `npz:PATH` or `video:GLOB`.
        image_size, channels: see `ImageSpec`; 0 keeps those of the images, which must then all be the same.
        placement: "memory" decodes every image now; "stream" leaves images encoded; "auto" decides by their size. The
            digits and arrays are always in memory. Films are always decoded into a file, from which frames are read.
        video: how films are decoded and split.
        warn: called with one line about files that cannot be decoded, which are left out.
        log: called with one line about the size on disk before films are decoded, and one about their splits.
    Raises:
        InputError: for an unknown source, and for data that is missing, broken or inconsistent.
    """
    opened, spec = open_source(source), ImageSpec(image_size, channels)
    check_placement(placement)
    dataset = opened.load(spec)
    if isinstance(dataset, EncodedFilms):
        return FilmReader(spec, video, warn, log).dataset(dataset, placement)
    if in_memory(dataset.train):
        return dataset
    for split in (dataset.validation, dataset.test):
        split.examples.check_like(dataset.train.examples)
    if is_kept_in_memory(dataset[1:], placement):
        return _decode_all(dataset, warn)
    if opened.needs_size_to_stream and not (image_size and channels):
        raise InputError(
            f"{source} takes {num_bytes(dataset[1:]) / 2**30:,.1f} GiB decoded and is streamed, so its images are not "
            "checked beforehand; expected ",
            Setting("data.image_size", flag=True),
            " and ",
            Setting("data.channels", flag=True),
            ", such as 224 and 3",
        )
    return dataset


def list_all(
    source: str,
    *,
    image_size: int = 0,
    channels: int = 0,
    video: VideoOptions = _DEFAULT_VIDEO,
    warn: Callable[[str], None] = _ignore,
    log: Callable[[str], None] = print,
) -> Listing:
    """Lists all examples of a source in its order, without splits; images stay encoded.

    Films are decoded into a file; the examples are all frames in the order in which they are shown, film after film.

    >>> split, class_names = list_all("digits")
    >>> len(split.examples), split.labels[:5].tolist(), class_names[3]
    (1797, [0, 1, 2, 3, 4], '3')

    Args: see `load`.
    Raises:
        InputError: see `load`.
    """
    spec = ImageSpec(image_size, channels)
    listing = open_source(source).list_all(spec)
    return FilmReader(spec, video, warn, log).listing(listing) if isinstance(listing, EncodedFilms) else listing


def _decode_all(dataset: Dataset, warn: Callable[[str], None]) -> Dataset:
    """Decodes every image; files that cannot be decoded are left out, counted and named."""
    splits, unreadable, total = [], [], 0
    for split in dataset[1:]:
        splits.append(take(split, np.arange(num_examples(split))))
        decoded, names = set(splits[-1].names), map(split.examples.name, range(num_examples(split)))
        unreadable += [name for name in names if name not in decoded]
        total += num_examples(split)
    if unreadable:
        message = f"{len(unreadable):,} of {total:,} images cannot be decoded: {first_names(unreadable)}"
        if len(unreadable) > MAX_UNREADABLE * total:
            raise InputError(
                f"{message}; that is {len(unreadable) / total:.1%}, more than {MAX_UNREADABLE:.0%}: repair or remove "
                "these files"
            )
        warn(f"{message}; left out")
    return Dataset(dataset.name, *splits)
