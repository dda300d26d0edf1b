"""Which config suits the user's data? Chosen by its kind, size and number of examples, and stated in one line."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mi_coding.data import CHANNELS, ImageSpec, Source, decode, open_source, pixels_of
from mi_coding.data.sources.python import FromPython
from mi_coding.errors import InputError

_CONFIGS = {"pairs": "cpc_arrays", "rows": "simclr_tables", "films": "cpc_video", "images": "simclr_photos"}
_FILMS = {"video": "films"}  # schemes of sources whose examples are no images
_SMALL_GREY = "simclr"  # for images like handwritten digits
_SMALL = 40  # pixels of the longer side up to which grey images have the recipe of digits
_OF_IMAGES = {"name": "convnet", "widths": (32, 64, 128)}  # the encoder of a half that is images, beside an "mlp"
_LEAST_SIDE, _LARGEST_SIDE = 16, 96  # pixels that images are brought to
_EPOCHS = {"pairs": 40}  # for few examples; pairs that are given, and not drawn anew, are soon memorised
_MOST_EPOCHS = 150  # for other kinds
_ON_CPU = {"images": {"encoder.name": "convnet", "encoder.widths": (64, 128, 256)}}  # a ResNet wants a GPU
_SIDE_ON_CPU, _SEEN_ON_CPU = 32, 45_000  # pixels, and images of that size that two cores learn from in 100 seconds
_SCORED_ON_CPU = 5_120  # pairs of each held-out bound, which take ten seconds to encode
_FEWEST_STEPS, _MOST_STEPS = 100, 1500
_LARGEST_BATCH, _SMALLEST_BATCH, _BATCH_OF_FILES = 256, 4, 128  # the last if the number of examples is unknown


class Given(NamedTuple):
    """The user's data: a source to read, and what is known of it."""

    source: Source
    kind: str  # a key of `_CONFIGS`
    count: int | None  # number of examples, if it is known before they are read
    are_images: bool = False
    side: int = 0  # pixels of the longer side of images
    channels: int = 0
    halves: tuple[tuple[int, ...], ...] = ()  # shapes of x and y of pairs


class Choice(NamedTuple):
    """A config with the overrides that suit the data, and the line that states them."""

    config: str
    overrides: dict[str, Any]
    line: str


def describe(x: Any, y: Any = None, labels: Any = None) -> Given:
    """The user's data, ready to be read.

    Args:
        x: images [n, H, W] or [n, H, W, C]; rows of a table [n, D]; a list of paths or of Pillow images; a source such
            as "folder:photos"; or with y, any numbers [n, …].
        y: numbers [n, …] paired with x row by row; None for images.
        labels: int[n], for the probes; −1 where hidden.
    Raises:
        InputError: for anything else.
    """
    labels = {} if labels is None else {"labels": np.asarray(labels)}
    if y is not None:
        if isinstance(x, str):
            hint = "; expected two arrays, or labels= for the classes of an array or a list"
            raise InputError(f"y is given with {x!r}, which is a source of its own{hint}")
        arrays = {name: _table(np.asarray(array)) for name, array in (("x", x), ("y", y))}
        shapes = tuple(array.shape[1:] for array in arrays.values())
        return Given(FromPython(given=arrays | labels), "pairs", len(arrays["x"]), halves=shapes)
    if isinstance(x, str):
        if labels:
            raise InputError(f"labels are given with {x!r}, which has its own; expected labels for arrays or lists")
        return _of_source(x)
    if isinstance(x, list | tuple) and x and all(isinstance(one, str | Path) for one in x):
        paths = tuple(Path(one).expanduser() for one in x)
        if labels and labels["labels"].shape != (len(paths),):
            found = f"labels of shape {labels['labels'].shape} for {len(paths):,} paths"
            raise InputError(f"{found}; expected one whole number each")
        if missing := [path for path in paths if not path.is_file()]:
            raise InputError(f"{len(missing):,} of {len(paths):,} paths are not files, such as {missing[0]}")
        first = next((image for path in paths if (image := decode(path, ImageSpec())) is not None), None)
        if first is None:
            raise InputError(f"none of {len(paths):,} files is an image, such as {paths[0]}")
        return Given(FromPython(given=labels, paths=paths), "images", len(paths), True, max(first.shape[:2]), 3)
    if isinstance(x, list | tuple) and x and all(isinstance(one, Image.Image) for one in x):
        side = min(_LARGEST_SIDE, max(_LEAST_SIDE, max(min(image.size) for image in x)))
        channels = 1 if all(image.mode in ("1", "L", "LA") for image in x) else 3
        x = np.stack([pixels_of(image, ImageSpec(side, channels)) for image in x])
    try:
        images = np.asarray(x)
    except ValueError:
        found = f"x is a {type(x).__name__} of {len(x)} whose parts have no common shape"
        raise InputError(f"{found}; expected fit(x, y) for given pairs, else one array or a list of images") from None
    if images.ndim == 2:
        return Given(FromPython(given={"x": images} | labels), "rows", len(images))
    if images.ndim not in (3, 4) or not len(images) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise InputError(
            f"x has shape {images.shape}; expected images [n, H, W] or [n, H, W, C], C = 1 or 3, a table [n, D], a "
            "list of paths or of Pillow images, a source such as 'folder:photos', or x and y"
        )
    channels = images.shape[3] if images.ndim == 4 else 1
    given = {"images": images} | labels
    return Given(FromPython(given=given), "images", len(images), True, max(images.shape[1:3]), channels)


def choose(given: Given, typed: Mapping[str, Any] = MappingProxyType({}), *, on_cpu: bool = False) -> Choice:
    """The config that comes with the package and suits the data, with its size, batch and steps; `typed` has priority.

    On a CPU colour images are made small and training takes about two minutes, as the line says.
    """
    config = _CONFIGS[given.kind]
    overrides: dict[str, Any] = {}
    is_small = 0 < given.side <= _SMALL and given.channels == 1
    if given.are_images:
        config = _SMALL_GREY if is_small else config
        size = min(_LARGEST_SIDE, max(_LEAST_SIDE, (given.side or _LARGEST_SIDE) // 8 * 8))
        overrides |= {"data.image_size": size, "data.channels": 1 if is_small else 3}
        if not is_small and size <= _SMALL:
            overrides["encoder.stem"] = "cifar"  # which keeps the detail of small images
    overrides |= _encoders(given.halves) if typed.keys().isdisjoint(("encoder.name", "encoder_y.name")) else {}
    is_slow = on_cpu and given.kind in _ON_CPU and not is_small
    if is_slow:
        side = typed.get("data.image_size", min(_SIDE_ON_CPU, overrides.get("data.image_size", _SIDE_ON_CPU)))
        overrides.pop("encoder.stem", None)
        overrides |= {"data.image_size": side, "data.channels": 3, "evaluation.num_pairs": _SCORED_ON_CPU}
        overrides |= {} if "encoder.name" in typed else _ON_CPU[given.kind]
    if given.count is not None or is_slow:
        batch = typed.get("batch_size", _BATCH_OF_FILES if given.count is None else _batch(given.count))
        epochs = _EPOCHS.get(given.kind, _MOST_EPOCHS)
        steps = _MOST_STEPS if given.count is None else epochs * given.count / batch
        most = _SEEN_ON_CPU * (_SIDE_ON_CPU / max(side, 1)) ** 2 / batch if is_slow else _MOST_STEPS
        steps = int(np.clip(steps, _FEWEST_STEPS, max(most, _FEWEST_STEPS)))
        warmup = min(100, typed.get("num_steps", steps) // 10)
        if typed.get("num_epochs"):  # training ends at the earlier of the two
            steps = 0
        overrides |= {"batch_size": batch, "num_steps": steps, "optimizer.warmup_steps": warmup}
    overrides |= typed
    told = ", ".join(f"{key} {value}" for key, value in overrides.items())
    count = "" if given.count is None else f" {given.count:,}"
    slow = "; sized for a CPU" if is_slow else ""
    return Choice(config, overrides, f"config {config} for{count} {given.kind}{f': {told}' if told else ''}{slow}")


def _encoders(halves: tuple[tuple[int, ...], ...]) -> dict[str, Any]:
    """Options by which halves of pairs that are images get an image encoder, and a half that is not an "mlp"."""
    are_images = [len(shape) == 3 and shape[2] in CHANNELS for shape in halves]
    if are_images == [False, True]:
        return {f"encoder_y.{option}": value for option, value in _OF_IMAGES.items()}
    if not any(are_images):
        return {}
    of_y = {} if all(are_images) else {"encoder_y.name": "mlp"}
    return {f"encoder.{option}": value for option, value in _OF_IMAGES.items()} | of_y


def _batch(count: int) -> int:
    """A power of two, at most about half the number of training examples."""
    most = max(_SMALLEST_BATCH, int(0.7 * count) // 2)
    return int(min(_LARGEST_BATCH, 2 ** int(np.log2(most))))


def _of_source(source: str) -> Given:
    opened = open_source(source)
    films = _FILMS.get(opened.scheme)
    return Given(opened, films or "images", None, films is None)


def _table(array: np.ndarray) -> np.ndarray:
    return array[:, None] if array.ndim == 1 else array
