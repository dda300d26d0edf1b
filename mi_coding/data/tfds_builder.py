"""Data sets of TensorFlow Datasets: the builder of one that is prepared, and how to prepare one that is not."""

import difflib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from mi_coding.data.films.tfds import videos_without_tensorflow
from mi_coding.errors import InputError, Setting


@contextmanager
def quiet() -> Iterator[None]:
    """Suppresses what TFDS prints about folders, OpenCV, and builders that need TensorFlow."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def open_builder(setting: Setting, argument: str) -> Any:
    """The builder of a data set that is prepared.

    Args:
        setting: the option that names it, for messages.
        argument: NAME, NAME/CONFIG or NAME:VERSION.
    Raises:
        InputError: where TFDS does not know it, or it is not prepared.
    """
    builder = _find_builder(setting, argument)
    with quiet():
        is_prepared = builder.is_prepared()
    if not is_prepared:
        remedy = f"prepare it with: {how_to_prepare(builder)}; or set TFDS_DATA_DIR to where it is"
        raise InputError(setting, f" is not in {builder.data_path}; {remedy}")
    return builder


def describe_images(setting: Setting, argument: str) -> tuple[tuple[int | None, ...], int]:
    """Shape [H, W, C] of the images of a data set, prepared or not, with None for what varies; and number of classes.

    Args:
        setting, argument: as for `open_builder`.
    Raises:
        InputError: where TFDS does not know it, or it has no images.
    """
    features = _find_builder(setting, argument).info.features
    shapes = [tuple(one.shape) for one in features.values() if len(one.shape or ()) == 3]
    if not shapes:
        raise InputError(setting, f" has no images, only {', '.join(features)}; expected a data set of images")
    label = features["label"] if "label" in features else None  # noqa: SIM401  a FeaturesDict has no `get`
    return shapes[0], getattr(label, "num_classes", None) or 0


def _find_builder(setting: Setting, argument: str) -> Any:
    with quiet():
        import tensorflow_datasets as tfds  # slow to import

        try:
            with videos_without_tensorflow():
                # TFDS reads TFDS_DATA_DIR only once, when it is imported.
                builder = tfds.builder(argument, data_dir=os.environ.get("TFDS_DATA_DIR") or None)
                _ = builder.info.features
        except Exception as error:  # builders are code of many authors
            known = tfds.list_builders(with_community_datasets=False)
            raise InputError(setting, _why_no_builder(argument, known, error)) from None
    return builder


def _why_no_builder(argument: str, known: list[str], error: Exception) -> str:
    name = argument.partition("/")[0].partition(":")[0]
    if name in known:
        return f" cannot be opened: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean 'tfds:{near[0]}'?" if near else "see tensorflow.org/datasets/catalog"
    return f" is not a data set that TFDS knows; {hint}"


def how_to_prepare(builder: Any) -> str:
    """A command that needs only TensorFlow: with TFDS 4.9.10, `tfds build` also needs Apache Beam and mlcroissant."""
    name = builder.info.full_name.rpartition("/")[0] if builder.builder_config else builder.name
    where = f"data_dir='{builder.data_dir_root}', file_format='array_record'"
    prepare = f"import tensorflow_datasets as tfds; tfds.builder('{name}', {where}).download_and_prepare()"
    return f'pip install tensorflow && python -c "{prepare}"'
