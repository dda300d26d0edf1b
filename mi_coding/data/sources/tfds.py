"""`tfds:NAME`: data sets prepared by TensorFlow Datasets as array_record, read at random access without TensorFlow."""

from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.cuts import check_counts, cut
from mi_coding.data.dataset import Dataset, Listing, Split, concatenate
from mi_coding.data.films.encoded import EncodedFilms
from mi_coding.data.films.tfds import list_films
from mi_coding.data.images import ImageSpec, LazyImages
from mi_coding.data.sources.base import Source, one_line
from mi_coding.data.sources.folder import SPLIT_OF
from mi_coding.data.tfds_builder import describe_images, how_to_prepare, open_builder, quiet
from mi_coding.errors import InputError

_BATCH_RECORDS, _BATCH_BYTES = 4096, 2**26  # limits of one read call
_MAX_KEPT_BYTES = 2**30  # encoded images of a split kept in memory; above, each is read on demand
_MAX_KEPT_BYTES_LISTED = 2**26  # the same where each image is read once: reading one small record outlasts decoding it

_Keys = tuple[str, str | None]  # names of the features with the image and with the class; None for no class


class Tfds(Source):
    """The data set called NAME, NAME/CONFIG or NAME:VERSION, from where TFDS looks for it (TFDS_DATA_DIR).

    Labels are those of the only class label, or of the one called "label". A data set with videos has films as
    examples; see `films.tfds`.
    """

    scheme = "tfds"
    example = "tfds:fashion_mnist"

    def describe_unread(self) -> tuple[tuple[int | None, ...], int]:
        return describe_images(self.setting, self.argument)

    def load(self, spec: ImageSpec) -> Dataset | EncodedFilms:
        """The three splits, still encoded.

        The test split is `test`, or `validation` where there is no `test` or its labels are hidden, as -1. A missing
        validation split is cut from the train split, a tenth of each class. Images whose labels are hidden, in `train`
        or in splits such as `unlabelled`, are trained on; splits of other names are left out.
        """
        builder = open_builder(self.setting, self.argument)
        if (films := _films(self, builder, spec)) is not None:
            return films
        keys = _keys(self, builder.info.features)
        splits = {name: info.num_examples for name, info in builder.info.splits.items() if info.num_examples}
        held_out = [name for name in ("test", "validation") if name in splits]
        if "train" not in splits or not held_out:
            raise InputError(f"{self} has splits {', '.join(sorted(splits))}; expected train, and test or validation")
        read = partial(_read, self, builder, keys=keys, max_kept_bytes=_MAX_KEPT_BYTES)
        account = Account("images", sum(splits.values()))
        train, *parts = [read(name) for name in ("train", *held_out)]
        hidden = [part.name for part in parts if not part.is_labelled]
        if len(hidden) == len(parts) or (train.labels is not None and not len(train.known)):
            which = " and ".join(hidden) if len(hidden) == len(parts) else "train"
            raise InputError(f"{self} has hidden labels (-1) in {which}; expected labels to train and to test")
        parts = [part for part in parts if part.is_labelled]
        others = [name for name in splits if name not in ("train", *held_out)]
        unlabelled = [name for name in others if _is_unlabelled(self, builder, name, keys)]
        for name in [*hidden, *(name for name in others if name not in unlabelled)]:
            why = "whose labels are hidden" if name in hidden else "which is none of train, validation and test"
            account.leave_out(f"of split {name}, {why}", [f"{name}[{i}]" for i in range(splits[name])])
        return self._dataset(builder, (train, *parts), [read(name) for name in unlabelled], spec, account)

    def _dataset(
        self,
        builder: Any,
        read: tuple["_SplitRecords", ...],
        unlabelled: list["_SplitRecords"],
        spec: ImageSpec,
        account: Account,
    ) -> Dataset:
        """The three splits from `read`: train, test and perhaps validation; unlabelled images are trained on, too."""
        train, test, *validations = read
        if validations:
            in_train, in_validation = train.shuffled(), validations[0].shuffled()
        else:
            known = train.known
            labels = None if train.labels is None else train.labels[known]
            in_validation, in_train = (known[part] for part in cut(labels, len(known), (0.1,)))
            in_train = np.concatenate([in_train, np.setdiff1d(np.arange(len(train.records)), known)])
            account.note("a tenth of each class of train is held out to validate")
        validation = validations[0] if validations else train
        chosen = (in_train, in_validation, test.shuffled())
        check_counts(str(self), [len(positions) for positions in chosen])
        splits = [part.at(rows, spec) for part, rows in zip((train, validation, test), chosen, strict=True)]
        if hidden := len(train.records) - len(train.known):
            account.note(f"{hidden:,} images of train are trained on without labels")
        for part in unlabelled:
            account.note(f"{len(part.records):,} images of {part.name} are trained on without labels")
            splits[0] = concatenate([splits[0], part.hidden().at(part.shuffled(), spec)], spec)
        return Dataset(self.argument, *splits, _class_names(builder), account)

    def list_all(self, spec: ImageSpec) -> Listing | EncodedFilms:
        """All records of all splits, still encoded, in the order they were prepared, with names such as train[17]."""
        builder = open_builder(self.setting, self.argument)
        if (films := _films(self, builder, spec)) is not None:
            return films
        keys = _keys(self, builder.info.features)
        names = [name for name, info in builder.info.splits.items() if info.num_examples]
        read = [_read(self, builder, name, keys=keys, max_kept_bytes=_MAX_KEPT_BYTES_LISTED) for name in names]
        parts = [records.at(np.arange(len(records.records)), spec) for records in read]
        return Listing(concatenate(parts, spec), _class_names(builder))


class TfdsImages(LazyImages):
    """Images of some records of one split."""

    def __init__(self, split: "_SplitRecords", positions: np.ndarray, spec: ImageSpec):
        self._split, self._positions = split, positions
        super().__init__(len(positions), spec)

    def __getstate__(self) -> dict[str, Any]:
        # Worker processes read records themselves: a copy of the kept images in each of them would fill the memory.
        return self.__dict__ | {"_split": self._split._replace(kept=None, labels=None)}

    def name(self, i: int) -> str:
        return f"{self._split.name}[{self._positions[i]}]"

    def encoded(self, i: int) -> bytes:
        position, kept = int(self._positions[i]), self._split.kept
        return kept[position] if kept is not None else self._split.records[position][self._split.image_key]


class _SplitRecords(NamedTuple):
    """All records of one split."""

    name: str
    records: Any  # random access to them; images are still encoded
    image_key: str  # name of the feature with the image
    kept: list[bytes] | None  # their encoded images, None where they are too large to keep
    labels: np.ndarray | None  # int32[n], or None where there are none

    @property
    def is_labelled(self) -> bool:
        """Whether no label is hidden."""
        return len(self.known) == len(self.records)

    @property
    def known(self) -> np.ndarray:
        """Positions of the records whose label is known, or of all where there are no labels."""
        return np.arange(len(self.records)) if self.labels is None else np.flatnonzero(self.labels >= 0)

    def hidden(self) -> Self:
        """These records with hidden labels, where they have labels."""
        return self if self.labels is None else self._replace(labels=np.full_like(self.labels, -1))

    def shuffled(self) -> np.ndarray:
        return cut(None, len(self.records), ())[0]

    def at(self, positions: np.ndarray, spec: ImageSpec) -> Split:
        """The images and labels at some positions."""
        return Split(TfdsImages(self, positions, spec), None if self.labels is None else self.labels[positions])


def _films(source: Tfds, builder: Any, spec: ImageSpec) -> EncodedFilms | None:
    """The films of a data set that has videos; None for a data set of images."""
    videos = _of_kind(builder.info.features, "Video")
    if not videos:
        return None
    video = _one_of(videos, "video")
    if video is None:
        raise InputError(f"{source} has videos {', '.join(sorted(videos))}; expected one, or one called 'video'")
    keys = (video, _label_key(builder.info.features))
    return list_films(source.argument, builder, keys, partial(_records, source, builder, video), spec)


def _keys(source: Tfds, features: Any) -> _Keys:
    images = _of_kind(features, "Image")
    image = _one_of(images, "image")
    if image is None:
        found = f"images {', '.join(sorted(images))}" if images else f"features {', '.join(sorted(features.keys()))}"
        raise InputError(f"{source} has {found}; expected one image feature, or one called 'image'")
    if features[image].np_dtype != np.uint8:
        raise InputError(f"{source} has images of {np.dtype(features[image].np_dtype)}; expected uint8")
    return image, _label_key(features)


def _class_names(builder: Any) -> list[str] | None:
    key = _label_key(builder.info.features)
    return builder.info.features[key].names if key else None


def _label_key(features: Any) -> str | None:
    return _one_of(_of_kind(features, "ClassLabel"), "label")


def _of_kind(features: Any, kind: str) -> list[str]:
    """Names of the features of a class of `tfds.features`."""
    import tensorflow_datasets as tfds

    return [key for key, feature in features.items() if isinstance(feature, getattr(tfds.features, kind))]


def _one_of(keys: list[str], preferred: str) -> str | None:
    """The preferred key or the only one; None where neither is there."""
    return preferred if preferred in keys else keys[0] if len(keys) == 1 else None


def _unchanged(frames: np.ndarray) -> np.ndarray:
    return frames


def _records(source: Tfds, builder: Any, key: str, split: str) -> Any:
    """Random access to the records of a split, with feature `key` still encoded."""
    import tensorflow_datasets as tfds

    as_stored = tfds.decode.SkipDecoding()
    as_stored.decode_batch_example_np = _unchanged  # films need it, and TFDS 4.9.10 does not have it
    try:
        with quiet():
            return builder.as_data_source(split=split, decoders={key: as_stored}, file_format="array_record")
    except (NotImplementedError, ValueError):  # prepared as tfrecord, which has no random access
        convert = f"tfds convert_format --dataset_version_dir={builder.data_path} --out_file_format=array_record"
        remedy = f"convert it with: pip install tensorflow apache-beam mlcroissant && {convert}"
        raise InputError(f"{source} in {builder.data_path} is not array_record; {remedy}") from None


def _read(source: Tfds, builder: Any, split: str, *, keys: _Keys, max_kept_bytes: int) -> _SplitRecords:
    records, info = _records(source, builder, keys[0], split), builder.info.splits[split]
    batch_size = min(_BATCH_RECORDS, max(1, _BATCH_BYTES * len(records) // max(1, info.num_bytes)))
    try:
        kept, labels = _read_all(records, keys, batch_size, max_kept_bytes)
    except RuntimeError as error:  # of array_record: a file is missing or broken
        remedy = f"remove {builder.data_path} and prepare it with: {how_to_prepare(builder)}"
        raise InputError(f"{source} cannot be read: {one_line(error)}; {remedy}") from None
    return _SplitRecords(split, records, keys[0], kept, labels)


def _is_unlabelled(source: Tfds, builder: Any, split: str, keys: _Keys) -> bool:
    """Whether a split is for training without labels, by its name or the first of its labels."""
    image, label = keys
    if SPLIT_OF.get(split.lower()) == "unlabelled":
        return True
    return label is not None and int(_records(source, builder, image, split)[0][label]) < 0


def _read_all(
    records: Any, keys: _Keys, batch_size: int, max_kept_bytes: int
) -> tuple[list[bytes] | None, np.ndarray | None]:
    """The encoded images, None where they are too large to keep, and the labels, None where there are none."""
    image, label = keys
    kept, labels, size = [], [], 0
    for start in range(0, len(records), batch_size):
        batch = records.__getitems__(list(range(start, min(start + batch_size, len(records)))))
        labels += [record[label] for record in batch] if label else []
        size += sum(len(record[image]) for record in batch)
        if size > max_kept_bytes:
            kept = None
            if not label:
                break
        if kept is not None:
            kept += [record[image] for record in batch]
    return kept, np.array(labels, np.int32) if label else None
