"""Loading of examples by one string: `load` for splits, `list_all` for all examples in order."""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import numpy as np

from mi_coding.data.account import Account, class_counts
from mi_coding.data.copies import copies_in
from mi_coding.data.dataset import (
    Dataset,
    Listing,
    Say,
    Split,
    describe_examples,
    evenly_spaced,
    in_memory,
    names,
    num_examples,
    take,
)
from mi_coding.data.films.encoded import EncodedFilms, VideoOptions
from mi_coding.data.films.loading import decode_source, film_dataset, film_listing
from mi_coding.data.glance import MOST_LOOKED_AT, look_at
from mi_coding.data.images import ImageSpec, white_of
from mi_coding.data.sources import Source, open_source
from mi_coding.data.unreadable import check_readable
from mi_coding.errors import InputError, Setting

PLACEMENTS = ("auto", "memory", "stream")  # whether decoded images stay in memory or are streamed
MAX_IMAGE_SIZE = 2**13
CHANNELS = (0, 1, 3)
MEMORY_BYTES = 4 * 2**30  # size of the decoded images of all splits up to which "auto" keeps them in memory
_DEFAULT_VIDEO = VideoOptions()


class ImageOptions(TypedDict, total=False):
    """How images are converted, and how a folder of them is interpreted.

    Attributes:
        image_size, channels: see `ImageSpec`; 0, the default, keeps those of the images, which must then all be equal.
        white: value that is white in images of more than 8 bits; 0, the default, for the largest number of as many bits
            as the values in a sample of them need, or 1 if none exceeds 1.
        layout: what the folders of `folder:` are: "splits", "classes", "flat" for neither, or "auto", see `Folder`.
        group: what examples that must stay in one split have in common, such as a patient: a regular expression for
            paths, or the name of an array or a column; for splits that are cut here. "" for none.
    """

    image_size: int
    channels: int
    white: float
    layout: str
    group: str


def load(
    source: str | Source,
    *,
    placement: str = "auto",
    video: VideoOptions = _DEFAULT_VIDEO,
    warn: Say = lambda line: None,
    log: Say = print,
    **images: Unpack[ImageOptions],
) -> Dataset:
    """Loads the examples of a source such as `digits`, split into train, validation and test.

    >>> digits = load("digits")
    >>> digits.test.examples.shape, digits.test.examples.dtype
    ((397, 8, 8, 1), dtype('float32'))

    Args:
        source: `digits`, `tfds:NAME` (also NAME/CONFIG and NAME:VERSION), `folder:PATH`, `npz:PATH`,
            `video:GLOB`, `parquet:PATH` or `webdataset:GLOB`; or an opened one.
        placement: "memory" decodes every image now; "stream" leaves images encoded; "auto" decides by their size. The
            digits and arrays are always in memory. Films are always decoded into a file, from which frames are read.
        video: how films are decoded and split.
        warn: called with one line about files that cannot be decoded, which are left out.
        log: called with one line about the size on disk before films are decoded, and one about their splits.
        images: see `ImageOptions`.
    Raises:
        InputError: for an unknown source, and for data that is missing, broken or inconsistent.
    """
    layout, group = images.pop("layout", "auto"), images.pop("group", "")
    opened = source if isinstance(source, Source) else open_source(source, layout, group)
    spec = _image_spec(**images)
    if placement not in PLACEMENTS:
        raise InputError(Setting("data.placement", placement), f" is unknown; expected one of {', '.join(PLACEMENTS)}")
    loaded = opened.load(spec)
    if isinstance(loaded, Dataset):
        loaded = loaded._replace(account=loaded.account or _account_of_all(*loaded.splits))
        _settle_white(loaded.splits, spec, loaded.account, warn)
    dataset = _splits(opened, loaded, spec, placement, video, warn, log)
    return _completed(dataset)


def _splits(
    opened: Source,
    loaded: Dataset | EncodedFilms,
    spec: ImageSpec,
    placement: str,
    video: VideoOptions,
    warn: Say,
    log: Say,
) -> Dataset:
    """The splits that a source has loaded, with films and small images decoded."""
    if isinstance(loaded, EncodedFilms):
        decoded = decode_source(loaded, spec, video, warn, log)
        dataset = film_dataset(loaded, decoded, video.gap, warn, log)
        return _decode_all(dataset, warn) if _fits_in_memory(dataset, placement) else dataset
    if in_memory(loaded.train):
        return loaded
    for split in (loaded.validation, loaded.test):
        split.examples.check_like(loaded.train.examples)
    if _fits_in_memory(loaded, placement):
        return _decode_all(loaded, warn)
    if opened.needs_size_to_stream and not (spec.image_size and spec.channels):
        size = f"{opened} takes {_num_bytes(loaded) / 2**30:,.1f} GiB decoded"
        needed = Setting("data.image_size", flag=True), " and ", Setting("data.channels", flag=True)
        unchecked = f"{size} and is streamed, so its images are not checked beforehand; expected "
        raise InputError(unchecked, *needed, ", such as 224 and 3")
    return loaded


def list_all(
    source: str,
    *,
    video: VideoOptions = _DEFAULT_VIDEO,
    warn: Say = lambda line: None,
    log: Say = print,
    **images: Unpack[ImageOptions],
) -> Listing:
    """Lists all examples of a source in its order, without splits; images stay encoded.

    Films are decoded into a file; the examples are all frames in the order in which they are shown, film after film.

    >>> split, class_names, _ = list_all("digits")
    >>> len(split.examples), split.labels[:5].tolist(), class_names[3]
    (1797, [0, 1, 2, 3, 4], '3')

    Args, Raises: see `load`.
    """
    opened = open_source(source, images.pop("layout", "auto"), images.pop("group", ""))
    spec = _image_spec(**images)
    listed = opened.list_all(spec)
    if isinstance(listed, EncodedFilms):
        listed = film_listing(listed, decode_source(listed, spec, video, warn, log))
    else:
        listed = listed._replace(account=listed.account or _account_of_all(listed.split))
        _settle_white([listed.split], spec, listed.account, warn)
    listed.account.facts |= facts_of(listed.split, listed.class_names)
    return listed


def _account_of_all(*splits: Split) -> Account:
    """The account of a source that has left nothing out."""
    return Account("examples", sum(map(num_examples, splits)))


def _completed(dataset: Dataset) -> Dataset:
    """The data set with the copies across its splits, and with the facts that the user may check in its account."""
    train, account = dataset.train, dataset.account
    account.facts |= facts_of_splits(dataset)
    others = {"validation": dataset.validation, "test": dataset.test}
    lines, copies = copies_in(train, others)
    for line in lines:
        account.note(line)
    return dataset._replace(copies=copies)


def facts_of_splits(dataset: Dataset) -> dict[str, Any]:
    """How many examples each split has, and the facts about the train split, see `facts_of`."""
    counts = {name: num_examples(getattr(dataset, name)) for name in ("train", "validation", "test")}
    return counts | facts_of(dataset.train, dataset.class_names)


def facts_of(split: Split, class_names: list[str] | None) -> dict[str, Any]:
    """Sizes, channels, levels and classes of examples; for films, their number, seconds, frames and frame rate."""
    described = describe_examples(split)
    facts: dict[str, Any] = {"shape": " and ".join(" × ".join(map(str, half["shape"])) for half in described)}
    if (films := split.films) is not None:
        rate = float(np.median(films.count / np.maximum(films.seconds, 1e-9)))
        facts |= {"films": len(set(films.names)), "seconds": round(float(films.seconds.sum()), 1)}
        facts |= {"frames": int(films.count.sum()), "frame_rate": round(rate, 2)}
    if len(described) == 1 and len(described[0]["shape"]) == 2 and (lengths := split.lengths) is not None:
        shortest, longest = int(lengths.min(initial=lengths.max(initial=0))), int(lengths.max(initial=0))
        facts |= {"samples": f"{shortest:,} to {longest:,}"} if shortest < longest else {}
    if len(described) == 1 and (levels := _num_levels(split)):
        facts["levels"] = levels
    if split.labels is not None:
        facts |= {"classes": len(set(split.labels[split.labels >= 0].tolist()))}
        facts |= {"class_counts": class_counts(split.labels, class_names)}
    return facts


def _num_levels(split: Split) -> int:
    """Number of distinct pixel values in a sample of uint8 images; 0 where values are floats."""
    if split.examples.dtype != np.uint8:
        return 0
    return len(np.unique(take(split, evenly_spaced(num_examples(split), MOST_LOOKED_AT)).examples))


_FEWEST_LEVELS = 64  # of images of more than 8 bits; if there are fewer, white is probably another value


def _settle_white(splits: Sequence[Split], spec: ImageSpec, account: Account, warn: Say) -> None:
    """Chooses one white for encoded images of more than 8 bits in all splits; reports it, and what is altered."""
    if in_memory(splits[0]):
        return
    parts = [split.examples for split in splits]
    glance = look_at(parts)
    for line in glance.warnings():
        warn(line)
    for line in glance.notes():
        account.note(line)
    if glance.largest is None:
        if spec.white:
            unused = "is for images of more than 8 bits, and none of those looked at is one"
            account.note(f"white {spec.white:,.5g} {unused}")
        return
    white = spec.white or white_of(glance.largest)
    for part in parts:
        part.settle_white(white)
    found = f"images of more than 8 bits have values up to {glance.largest:,.5g}; {white:,.5g} is white"
    account.note(found)
    account.facts["white"] = white
    levels = _num_levels(splits[0])
    if levels < _FEWEST_LEVELS:
        warn(f"{found}, so they have {levels} levels of grey; expected {_FEWEST_LEVELS}: set {Setting('data.white')}")


def _image_spec(image_size: int = 0, channels: int = 0, white: float = 0.0) -> ImageSpec:
    if not 0 <= image_size <= MAX_IMAGE_SIZE:
        expected = f"; expected at least 0 and at most {MAX_IMAGE_SIZE:,}"
        raise InputError(Setting("data.image_size", image_size), expected)
    if channels not in CHANNELS:
        raise InputError(Setting("data.channels", channels), f"; expected one of {', '.join(map(str, CHANNELS))}")
    if not 0 <= white < np.inf:
        raise InputError(Setting("data.white", white), "; expected the value of white, or 0 to choose it from the data")
    return ImageSpec(image_size, channels, white)


def _num_bytes(dataset: Dataset) -> int:
    """Bytes of the images of all splits once they are decoded to uint8."""
    return int(sum(np.prod(split.examples.shape, dtype=np.int64) for split in dataset.splits))


def _fits_in_memory(dataset: Dataset, placement: str) -> bool:
    return placement == "memory" or (placement == "auto" and _num_bytes(dataset) <= MEMORY_BYTES)


def _decode_all(dataset: Dataset, warn: Say) -> Dataset:
    """Decodes every image; files that cannot be decoded are left out, counted and named."""
    splits = [take(split, np.arange(num_examples(split)))._replace(films=split.films) for split in dataset.splits]
    parts = zip(dataset.splits, splits, strict=True)
    unreadable = [name for split, decoded in parts for name in _missing(split, decoded)]
    check_readable(unreadable, sum(map(num_examples, dataset.splits)), warn)
    dataset.account.leave_out("cannot be decoded", unreadable)
    train, validation, test = splits
    return dataset._replace(train=train, validation=validation, test=test)


def _missing(split: Split, decoded: Split) -> list[str]:
    """Names of the images of a split that are not among the decoded ones, with the reason where they are too large."""
    if num_examples(split) == num_examples(decoded):
        return []
    found = set(decoded.names)
    return [split.examples.described(i) for i, name in enumerate(names(split)) if name not in found]
