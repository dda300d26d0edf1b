"""Films of TensorFlow Datasets, such as moving_mnist and ucf101: each record is a sequence of images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from mi_coding.data.films.encoded import EncodedFilm, EncodedFilms, Extent, PutFrame, UnusableFilmError
from mi_coding.data.images import ImageSpec, decode

FRAME_RATE = 25.0
"""Frames per second, since records have no times: that of UCF101. Elsewhere a frame counts as 0.04 s."""


class TfdsFilm(EncodedFilm):
    """The frames of one record."""

    def __init__(self, records: "_Records", number: int):
        self.name, self._records, self._number = f"{records.split}[{number}]", records, number

    def identity(self) -> list[Any]:
        """Path of the data set, which includes its version, split and number of the record, size of the split."""
        return [self._records.path, self.name, len(self._records.source)]

    def extent(self, frame_rate: float) -> Extent:
        """Reads the record and decodes its first frame."""
        frames, spec = self._records.source[self._number][self._records.video_key], self._records.spec
        first = next((image for image in (decode(frame, spec) for frame in frames) if image is not None), None)
        if first is None:
            raise UnusableFilmError("it has no frame that can be decoded")
        most = int(len(frames) / FRAME_RATE * frame_rate) + 2 if frame_rate else len(frames)
        return Extent(min(most, len(frames)), first.shape)

    def decode(self, put: PutFrame, *, frame_rate: float, threads: int) -> tuple[float, str | None]:
        record, lost = self._records.source[self._number], 0
        frames, label_key = record[self._records.video_key], self._records.label_key
        self.label = int(record[label_key]) if label_key else None
        for number in _shown(len(frames), frame_rate):
            image = decode(frames[number], self._records.spec)
            if image is None:
                lost += 1
            else:
                put(number / FRAME_RATE, image)
        return len(frames) / FRAME_RATE, f"has {lost} frame(s) that cannot be decoded" if lost else None


class _Records(NamedTuple):
    """The records of one split of a data set."""

    split: str
    source: Any  # random access to the records; frames are still encoded
    video_key: str
    label_key: str | None
    path: str  # of the data set
    spec: ImageSpec


def list_films(
    name: str, builder: Any, keys: tuple[str, str | None], read: Callable[[str], Any], spec: ImageSpec
) -> EncodedFilms:
    """The films of a data set, with its splits where it has a train split and one that is held out.

    `keys` are the names of the features with the frames and with the class, None for no class; `read` gives random
    access to the records of a split, frames still encoded.
    """
    names = list(builder.info.splits)
    held_out = [split for split in ("test", "validation") if split in names]
    roles = {"train": "train", held_out[0]: "test"} if "train" in names and held_out else {}
    if len(held_out) == 2:
        roles["validation"] = "validation"
    films, splits = [], []
    for split in roles or names:
        records = _Records(split, read(split), *keys, str(builder.data_path), spec)
        films += [TfdsFilm(records, i) for i in range(len(records.source))]
        splits += [roles.get(split)] * len(records.source)
    class_names = builder.info.features[keys[1]].names if keys[1] else None
    return EncodedFilms(name, films, splits if roles else None, class_names)


def _shown(count: int, frame_rate: float) -> np.ndarray:
    """Indices of the frames shown at times 0, 1/frame_rate, …; all of them for 0."""
    if not frame_rate:
        return np.arange(count)
    times = np.arange(0, count / FRAME_RATE, 1 / frame_rate)
    return np.unique(np.minimum(np.floor(times * FRAME_RATE + 1e-6).astype(int), count - 1))


@contextmanager
def videos_without_tensorflow() -> Iterator[None]:
    """Makes video features of TFDS work where TensorFlow is not installed.

    TFDS 4.9.10 needs TensorFlow for a video feature only to look up the dtype uint8.
    """
    from tensorflow_datasets.core.features import video_feature

    if find_spec("tensorflow") is not None:
        yield
        return
    before, video_feature.tf = video_feature.tf, SimpleNamespace(dtypes=SimpleNamespace(as_dtype=np.dtype))
    try:
        import tensorflow_datasets.video  # noqa: F401, registers the names of its data sets

        yield
    finally:
        video_feature.tf = before
