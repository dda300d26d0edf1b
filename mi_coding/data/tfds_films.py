"""Films of TensorFlow Datasets, such as moving_mnist and ucf101: records of images that follow one another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np

from mi_coding.data.films import EncodedFilm, EncodedFilms, Extent, NoFilmError
from mi_coding.data.images import Form, decode

FRAME_RATE = 25.0
"""Frames a second: records keep no times. UCF101 has 25; elsewhere a gap in seconds counts frames of 0.04 s."""


class TfdsFilm(EncodedFilm):
    """The frames of one record."""

    def __init__(self, split: str, number: int, source: Any, keys: tuple[str, str | None], where: str, form: Form):
        """Record `number` of `source`, with frames under the first key and perhaps a class under the second."""
        self.name, self._number, self._source = f"{split}[{number}]", number, source
        self._video_key, self._label_key, self._where, self._form = *keys, where, form

    def identity(self) -> list[Any]:
        """Where the data set lies, which names its version, the split with its size, and the number."""
        return [self._where, self.name, len(self._source)]

    def extent(self, frame_rate: float) -> Extent:
        """Reads the record and decodes its first frame."""
        frames = self._source[self._number][self._video_key]
        first = next((image for image in (decode(frame, self._form) for frame in frames) if image is not None), None)
        if first is None:
            raise NoFilmError("it has no frame that can be decoded")
        most = int(len(frames) / FRAME_RATE * frame_rate) + 2 if frame_rate else len(frames)
        return Extent(min(most, len(frames)), first.shape)

    def decode(
        self, put: Callable[[float, np.ndarray], None], *, frame_rate: float, threads: int
    ) -> tuple[float, str | None]:
        """See `EncodedFilm`; of a lower rate, the frames that are shown at its times."""
        record, lost = self._source[self._number], 0
        frames = record[self._video_key]
        self.label = int(record[self._label_key]) if self._label_key else None
        end = len(frames) / FRAME_RATE
        for number in _shown(len(frames), frame_rate):
            image = decode(frames[number], self._form)
            if image is None:
                lost += 1
            else:
                put(number / FRAME_RATE, image)
        return end, f"has {lost} frame(s) that cannot be decoded" if lost else None


def load(
    argument: str, builder: Any, keys: tuple[str, str | None], read: Callable[[str], Any], form: Form
) -> EncodedFilms:
    """The films of a data set, with its splits where it has one to train and one to test.

    Args:
        argument: name of the data set.
        builder: of TFDS.
        keys: features that have the frames and, or None, the class.
        read: name of a split → random access to its records, frames still encoded.
        form: what frames are brought to.
    """
    names = list(builder.info.splits)
    held = [name for name in ("test", "validation") if name in names]
    own = {"train": "train", held[0]: "test"} if "train" in names and held else {}
    if len(held) == 2:
        own["validation"] = "validation"
    films, splits = [], []
    for name in own or names:
        source = read(name)
        films += [TfdsFilm(name, i, source, keys, str(builder.data_path), form) for i in range(len(source))]
        splits += [own.get(name)] * len(source)
    class_names = builder.info.features[keys[1]].names if keys[1] else None
    return EncodedFilms(argument, films, splits if own else None, class_names)


def _shown(count: int, frame_rate: float) -> np.ndarray:
    """Numbers of the frames that are shown at times 0, 1/frame_rate, …; all of them for 0."""
    if not frame_rate:
        return np.arange(count)
    times = np.arange(0, count / FRAME_RATE, 1 / frame_rate)
    return np.unique(np.minimum(np.floor(times * FRAME_RATE + 1e-6).astype(int), count - 1))


@contextmanager
def known_without_tensorflow() -> Iterator[None]:
    """Makes video features of TFDS work where TensorFlow is not installed.

    TFDS 4.9.10 asks TensorFlow what dtype uint8 is, for nothing else, whenever it makes a video feature.
    """
    from tensorflow_datasets.core.features import video_feature

    if find_spec("tensorflow") is not None:
        yield
        return
    before, video_feature.tf = video_feature.tf, SimpleNamespace(dtypes=SimpleNamespace(as_dtype=np.dtype))
    try:
        import tensorflow_datasets.video  # noqa: F401, so that the names of its data sets are known

        yield
    finally:
        video_feature.tf = before
