"""Data sets that TensorFlow Datasets has prepared as array_record, read at random access and without TensorFlow."""

import difflib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mi_coding.data import tfds_films
from mi_coding.data.cuts import check_counts, cut
from mi_coding.data.dataset import Dataset, Listing, Split
from mi_coding.data.films import EncodedFilms
from mi_coding.data.images import Form, JoinedImages, LazyImages
from mi_coding.errors import InputError

_AT_A_TIME, _BYTES_AT_A_TIME = 4096, 2**26  # records read in one call, at most, and what they take
_KEPT_BYTES = 2**30  # encoded images of a split that stay in memory; more are read when they are asked for
_KEPT_IN_ORDER = (
    2**26
)  # the same where each is read once: of small images, reading one record takes longer than decoding


class TfdsImages(LazyImages):
    """Images of some records of one split."""

    def __init__(self, split: str, source: Any, key: str, positions: np.ndarray, kept: list[bytes] | None, form: Form):
        """`source` gives records whose image, under `key`, is still encoded; `kept` has them all, or is None."""
        self._split, self._source, self._key, self._positions, self._kept = split, source, key, positions, kept
        super().__init__(len(positions), form)

    def __getstate__(self) -> dict[str, Any]:
        """Worker processes read records themselves: sent to each of them, the kept images would fill the memory."""
        return self.__dict__ | {"_kept": None}

    def name(self, i: int) -> str:
        """Such as train[17]."""
        return f"{self._split}[{self._positions[i]}]"

    def encoded(self, i: int) -> bytes:
        """The image's bytes as they were prepared."""
        position = int(self._positions[i])
        return self._kept[position] if self._kept is not None else self._source[position][self._key]


def load(argument: str, form: Form) -> Dataset | EncodedFilms:
    """The data set called NAME, NAME/CONFIG or NAME:VERSION, still encoded, from where TFDS looks (TFDS_DATA_DIR).

    The test split is `test`, or `validation` where there is none or where labels of `test` are kept secret, as -1; a
    validation split that is missing is cut from training, a tenth of each class. Labels are those of its only class
    label, or the one called "label". Of a data set with videos, its films; see `tfds_films`.

    Raises:
        InputError: for a name that TFDS does not know, data that is not there, with the command that prepares it, or
            data without images.
    """
    builder = _builder(argument)
    if (films := _films(argument, builder, form)) is not None:
        return films
    image_key, label_key = _feature_keys(argument, builder.info.features)

    def read(split: str) -> _Records:
        return _read(argument, builder, split, image_key, label_key)

    splits = set(builder.info.splits)
    held = [name for name in ("test", "validation") if name in splits]
    if "train" not in splits or not held:
        raise InputError(
            f"tfds:{argument} has splits {', '.join(sorted(splits))}; expected train, and test or validation"
        )
    train, *parts = [read(name) for name in ("train", *held)]
    parts = [part for part in parts if part.labelled]
    if not parts or not train.labelled:
        hidden = "train" if parts else " and ".join(held)
        raise InputError(f"tfds:{argument} has hidden labels (-1) in {hidden}; expected labels to train and to test")
    test = parts[0]
    if len(parts) == 2:
        validation, in_train, in_validation = parts[1], train.shuffled(), parts[1].shuffled()
    else:
        validation, (in_validation, in_train) = train, cut(train.labels, len(train.source), (0.1,))
    chosen = (in_train, in_validation, test.shuffled())
    check_counts(f"tfds:{argument}", [len(positions) for positions in chosen])
    pairs = zip((train, validation, test), chosen, strict=True)
    return Dataset(argument, *(records.at(positions, image_key, form) for records, positions in pairs))


def list_all(argument: str, form: Form) -> Listing | EncodedFilms:
    """All records of all splits, still encoded, in the order they were prepared, called such as train[17].

    Raises:
        InputError: see `load`.
    """
    builder = _builder(argument)
    if (films := _films(argument, builder, form)) is not None:
        return films
    image_key, label_key = _feature_keys(argument, builder.info.features)
    names = [name for name, info in builder.info.splits.items() if info.num_examples]
    records = [_read(argument, builder, name, image_key, label_key, most_kept=_KEPT_IN_ORDER) for name in names]
    parts = [part.at(np.arange(len(part.source)), image_key, form) for part in records]
    labels = None if label_key is None else np.concatenate([part.labels for part in parts])
    class_names = builder.info.features[label_key].names if label_key else None
    return Listing(Split(JoinedImages([part.examples for part in parts], form), labels), class_names)


def _films(argument: str, builder: Any, form: Form) -> EncodedFilms | None:
    """The films of a data set that has videos."""
    if (video_key := _video_key(argument, builder.info.features)) is None:
        return None
    keys = (video_key, _label_key(builder.info.features))
    return tfds_films.load(argument, builder, keys, partial(_source, argument, builder, video_key), form)


class _Records(NamedTuple):
    """All records of one split.

    Attributes:
        name: of the split.
        source: random access to them.
        kept: their encoded images, None where they are too large to keep.
        labels: int32[n], or None where there are none.
    """

    name: str
    source: Any
    kept: list[bytes] | None
    labels: np.ndarray | None

    @property
    def labelled(self) -> bool:
        return self.labels is None or not (self.labels < 0).any()

    def shuffled(self) -> np.ndarray:
        return cut(None, len(self.source), ())[0]

    def at(self, positions: np.ndarray, image_key: str, form: Form) -> Split:
        images = TfdsImages(self.name, self.source, image_key, positions, self.kept, form)
        return Split(images, None if self.labels is None else self.labels[positions])


@contextmanager
def _quiet() -> Iterator[None]:
    """TFDS tells of every folder it looks at, of OpenCV, and at length of a builder that needs TensorFlow."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _builder(argument: str) -> Any:
    with _quiet():
        import tensorflow_datasets as tfds  # slow: only who reads such data waits for it

        try:
            with tfds_films.known_without_tensorflow():
                # TFDS looks at TFDS_DATA_DIR once, when it is imported; here it counts when data is asked for.
                builder = tfds.builder(argument, data_dir=os.environ.get("TFDS_DATA_DIR") or None)
                _ = builder.info.features
        except Exception as error:  # builders are code of many authors
            known = tfds.list_builders(with_community_datasets=False)
            raise InputError(_why_no_builder(argument, known, error)) from None
        prepared = builder.is_prepared()
    if not prepared:
        raise InputError(
            f"config.data.source='tfds:{argument}' is not in {builder.data_path}; prepare it with: "
            f"{_how_to_prepare(builder)}; or set TFDS_DATA_DIR to where it is"
        )
    return builder


def _why_no_builder(argument: str, known: list[str], error: Exception) -> str:
    name = argument.partition("/")[0].partition(":")[0]
    if name in known:
        return f"config.data.source='tfds:{argument}' cannot be opened: {type(error).__name__}: {_one_line(error)}"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean 'tfds:{near[0]}'?" if near else "see tensorflow.org/datasets/catalog"
    return f"config.data.source='tfds:{argument}' is no data set that TFDS knows; {hint}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _how_to_prepare(builder: Any) -> str:
    """A command that needs TensorFlow alone: with TFDS 4.9.10, `tfds build` also needs Apache Beam and mlcroissant."""
    name = builder.info.full_name.rpartition("/")[0] if builder.builder_config else builder.name
    where = f"data_dir='{builder.data_dir_root}', file_format='array_record'"
    prepare = f"import tensorflow_datasets as tfds; tfds.builder('{name}', {where}).download_and_prepare()"
    return f'pip install tensorflow && python -c "{prepare}"'


def _feature_keys(argument: str, features: Any) -> tuple[str, str | None]:
    import tensorflow_datasets as tfds

    items = dict(features.items())
    images = [key for key, feature in items.items() if isinstance(feature, tfds.features.Image)]
    image = images[0] if len(images) == 1 else "image"
    if image not in images:
        found = f"images {', '.join(sorted(images))}" if images else f"features {', '.join(sorted(items))}"
        raise InputError(f"tfds:{argument} has {found}; expected one image feature, or one called 'image'")
    if items[image].np_dtype != np.uint8:
        raise InputError(f"tfds:{argument} has images of {np.dtype(items[image].np_dtype)}; expected uint8")
    return image, _label_key(features)


def _label_key(features: Any) -> str | None:
    import tensorflow_datasets as tfds

    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    return "label" if "label" in labels else labels[0] if len(labels) == 1 else None


def _video_key(argument: str, features: Any) -> str | None:
    """The feature with films; None in a data set of images."""
    import tensorflow_datasets as tfds

    videos = [key for key, feature in features.items() if isinstance(feature, tfds.features.Video)]
    if len(videos) > 1 and "video" not in videos:
        raise InputError(f"tfds:{argument} has videos {', '.join(sorted(videos))}; expected one, or one called 'video'")
    return ("video" if "video" in videos else videos[0]) if videos else None


def _unchanged(frames: np.ndarray) -> np.ndarray:
    return frames


def _source(argument: str, builder: Any, key: str, split: str) -> Any:
    """Random access to the records of a split, with what stands under `key` still encoded."""
    import tensorflow_datasets as tfds

    as_stored = tfds.decode.SkipDecoding()
    as_stored.decode_batch_example_np = _unchanged  # films need it, and TFDS 4.9.10 does not have it
    try:
        with _quiet():
            return builder.as_data_source(split=split, decoders={key: as_stored}, file_format="array_record")
    except (NotImplementedError, ValueError):  # prepared as tfrecord, which has no random access
        raise InputError(
            f"tfds:{argument} in {builder.data_path} is not array_record; convert it with: "
            "pip install tensorflow apache-beam mlcroissant && "
            f"tfds convert_format --dataset_version_dir={builder.data_path} --out_file_format=array_record"
        ) from None


def _read(
    argument: str, builder: Any, split: str, image_key: str, label_key: str | None, *, most_kept: int | None = None
) -> _Records:
    source, info = _source(argument, builder, image_key, split), builder.info.splits[split]
    at_a_time = min(_AT_A_TIME, max(1, _BYTES_AT_A_TIME * len(source) // max(1, info.num_bytes)))
    most_kept = _KEPT_BYTES if most_kept is None else most_kept
    try:
        kept, labels = _read_all(source, image_key, label_key, at_a_time, most_kept)
    except RuntimeError as error:  # of array_record: a file is missing or broken
        raise InputError(
            f"tfds:{argument} cannot be read: {_one_line(error)}; remove {builder.data_path} and prepare it with: "
            f"{_how_to_prepare(builder)}"
        ) from None
    return _Records(split, source, kept, labels)


def _read_all(
    source: Any, image_key: str, label_key: str | None, at_a_time: int, most_kept: int
) -> tuple[list[bytes] | None, np.ndarray | None]:
    """The encoded images, None where they are too large to keep, and the labels, None where there are none."""
    kept, labels, size = [], [], 0
    for start in range(0, len(source), at_a_time):
        records = source.__getitems__(list(range(start, min(start + at_a_time, len(source)))))
        labels += [record[label_key] for record in records] if label_key else []
        size += sum(len(record[image_key]) for record in records)
        if size > most_kept:
            kept = None
            if not label_key:
                break
        if kept is not None:
            kept += [record[image_key] for record in records]
    return kept, np.array(labels, np.int32) if label_key else None
