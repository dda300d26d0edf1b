"""Data sets that TensorFlow Datasets has prepared as array_record, read at random access and without TensorFlow."""

import difflib
import io
import logging
import os
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import numpy as np

from mi_coding.data.cuts import cut
from mi_coding.data.dataset import Dataset, Split
from mi_coding.data.images import Form, LazyImages
from mi_coding.errors import InputError

_AT_A_TIME = 4096  # records read in one call
_KEPT_BYTES = 2**30  # encoded images of a split that stay in memory; more are read when they are asked for


class TfdsImages(LazyImages):
    """Images of some records of one split."""

    def __init__(self, split: str, source: Any, key: str, positions: np.ndarray, kept: list[bytes] | None, form: Form):
        """`source` gives records whose image, under `key`, is still encoded; `kept` has them all, or is None."""
        self._split, self._source, self._key, self._positions, self._kept = split, source, key, positions, kept
        super().__init__(len(positions), form)

    def name(self, i: int) -> str:
        """Such as train[17]."""
        return f"{self._split}[{self._positions[i]}]"

    def encoded(self, i: int) -> bytes:
        """The image's bytes as they were prepared."""
        position = int(self._positions[i])
        return self._kept[position] if self._kept is not None else self._source[position][self._key]


def load(argument: str, form: Form) -> Dataset:
    """The data set called NAME, NAME/CONFIG or NAME:VERSION, still encoded, from where TFDS looks (TFDS_DATA_DIR).

    The test split is `test`, or `validation` where there is none; a validation split that is missing is cut from
    training, a tenth of each class. Labels are those of its only class label, or the one called "label".

    Raises:
        InputError: for a name that TFDS does not know, data that is not there, with the command that prepares it, or
            data without images.
    """
    builder = _builder(argument)
    image_key, label_key = _feature_keys(argument, builder.info.features)
    splits = set(builder.info.splits)
    test = next((name for name in ("test", "validation") if name in splits), None)
    if "train" not in splits or test is None:
        raise InputError(
            f"tfds:{argument} has splits {', '.join(sorted(splits))}; expected train, and test or validation"
        )

    def read(split: str, positions: np.ndarray | None = None, shares: tuple[float, ...] = ()) -> list[Split]:
        source = _source(argument, builder, split, image_key)
        kept, labels = _read_all(source, image_key, label_key)
        parts = cut(labels if shares else None, len(source), shares) if positions is None else [positions]
        return [
            Split(TfdsImages(split, source, image_key, p, kept, form), None if labels is None else labels[p])
            for p in parts
        ]

    if test == "test" and "validation" in splits:
        (train,), (validation,) = read("train"), read("validation")
    else:
        validation, train = read("train", shares=(0.1,))
    return Dataset(argument, train, validation, *read(test))


def _builder(argument: str) -> Any:
    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS tells of every folder it looks at, and of OpenCV
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_datasets as tfds  # slow: only who reads such data waits for it
    try:
        # A builder that needs TensorFlow to be made says so at length before it fails.
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            # TFDS looks at TFDS_DATA_DIR once, when it is imported; here it counts when data is asked for.
            builder = tfds.builder(argument, data_dir=os.environ.get("TFDS_DATA_DIR"))
    except Exception as error:  # builders are code of many authors
        raise InputError(_why_no_builder(argument, tfds.list_builders(with_community_datasets=False), error)) from None
    if not builder.is_prepared():
        raise InputError(
            f"config.data.source='tfds:{argument}' is not in {builder.data_path}; {_how_to_prepare(builder)}"
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
    name = builder.info.full_name.rpartition("/")[0] if builder.builder_config else builder.name
    return (
        "prepare it with: pip install tensorflow && "
        f"tfds build {name} --file_format=array_record --data_dir={builder.data_dir_root}; "
        "or set TFDS_DATA_DIR to where it is"
    )


def _feature_keys(argument: str, features: Any) -> tuple[str, str | None]:
    import tensorflow_datasets as tfds

    items = dict(features.items()) if hasattr(features, "items") else {}
    images = [key for key, feature in items.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in items.items() if isinstance(feature, tfds.features.ClassLabel)]
    if not images or (len(images) > 1 and "image" not in images):
        found = f"images {', '.join(images)}" if images else f"features {', '.join(items)}"
        raise InputError(f"tfds:{argument} has {found}; expected one image feature, or one called 'image'")
    if items["image" if "image" in images else images[0]].np_dtype != np.uint8:
        raise InputError(f"tfds:{argument} has images of another type than uint8, which are not read")
    image = "image" if "image" in images else images[0]
    label = "label" if "label" in labels else labels[0] if len(labels) == 1 else None
    return image, label


def _source(argument: str, builder: Any, split: str, image_key: str) -> Any:
    import tensorflow_datasets as tfds

    try:
        return builder.as_data_source(split=split, decoders={image_key: tfds.decode.SkipDecoding()})
    except NotImplementedError:  # prepared as tfrecord, which has no random access
        raise InputError(
            f"tfds:{argument} in {builder.data_path} is not array_record; {_how_to_prepare(builder)}"
        ) from None


def _read_all(source: Any, image_key: str, label_key: str | None) -> tuple[list[bytes] | None, np.ndarray | None]:
    """The encoded images, None where they are too large to keep, and the labels, None where there are none."""
    kept, labels, size = [], [], 0
    for start in range(0, len(source), _AT_A_TIME):
        records = source.__getitems__(list(range(start, min(start + _AT_A_TIME, len(source)))))
        labels += [record[label_key] for record in records] if label_key else []
        size += sum(len(record[image_key]) for record in records)
        if size > _KEPT_BYTES:
            kept = None
            if not label_key:
                break
        if kept is not None:
            kept += [record[image_key] for record in records]
    return kept, np.array(labels, np.int32) if label_key else None
