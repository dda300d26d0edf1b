"""What sources of arrays have in common: what each array means, how it is checked, and how rows are cut into splits."""

from abc import abstractmethod
from pathlib import Path

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.cuts import SHARES, check_counts, cut, number_groups
from mi_coding.data.dataset import Arrays, Dataset, Listing, Split, evenly_spaced, halves, take
from mi_coding.data.images import ImageSpec, white_of
from mi_coding.data.sequences import as_sequences
from mi_coding.data.sources.base import Source
from mi_coding.errors import InputError, Setting

_SOME = 1000  # images that are checked for whole numbers
_MOST_ROUNDING = 0.01  # error in float32, relative to the standard deviation of a column
MEANING = {"values": "sequences"}
"""Alias of an array → its kind."""


class ArraySource(Source):
    """Arrays whose rows are examples: x and y, x alone, images, or sequences and perhaps lengths; perhaps labels."""

    @property
    @abstractmethod
    def title(self) -> Path:
        """The name of the arrays in messages and in names of examples."""

    @abstractmethod
    def arrays(self, account: Account) -> dict[str, np.ndarray]:
        """The arrays by kind, see `checked_numbers`, and "group" if there are groups; the account notes the others."""

    def load(self, spec: ImageSpec) -> Dataset:
        """The splits, in memory: of each class 70 % train, 10 % validation, 20 % test.

        Examples with a hidden label, −1, go to the train split. Images are never resized: `spec` is zeros, or what they
        already have.
        """
        (split, _, account), groups = self._listing(spec)
        chosen = cut_known(split.labels, len(split.names), groups)
        check_counts(str(self), [len(part) for part in chosen])
        return Dataset(self.title.stem, *(take(split, part) for part in chosen), account=account, is_exact=True)

    def list_all(self, spec: ImageSpec) -> Listing:
        """All examples in their order, with names such as pairs.npz[17]; see `load`."""
        return self._listing(spec)[0]

    def _listing(self, spec: ImageSpec) -> tuple[Listing, np.ndarray | None]:
        """All examples, and the group number of each; None for no groups."""
        path, account = self.title, Account()
        arrays = self.arrays(account)
        given = "pairs" if "y" in arrays else "rows"
        account.unit = next((name for name in ("images", "sequences") if name in arrays), given)
        examples, labels = _examples(path, arrays, spec, account), arrays.get("labels")
        parts = dict(zip("xy", examples, strict=True)) if isinstance(examples, tuple) else {account.unit: examples}
        counts = {name: len(part) for name, part in (parts | ({} if labels is None else {"labels": labels})).items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            raise InputError(f"{path} has arrays of different lengths: {listed}; row i of each must be one example")
        account.found = len(halves(examples)[0])
        names = [f"{path.name}[{row}]" for row in range(account.found)]
        groups = None if "group" not in arrays else number_groups(arrays["group"].tolist(), account)
        if groups is not None and len(groups) != account.found:
            rows = f" has {len(groups):,} rows of {account.found:,} examples; expected one each"
            raise InputError(Setting("data.group", self.group), rows)
        return Listing(Split(examples, checked_labels(path, labels), names), account=account), groups


def checked_numbers(path: Path | str, name: str, array: np.ndarray, account: Account) -> np.ndarray:
    """Checks and converts an array to uint8 or finite float32, [n, …]; NaN that may be padding is checked later."""
    is_sequences = MEANING.get(name, name) == "sequences"
    if (array.ndim < 2 and not is_sequences) or 0 in array.shape[1:]:
        raise InputError(f"{path}: {name} has shape {array.shape}; expected one row per example: (n, …)")
    if array.dtype == np.uint8:
        return array
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer) or array.dtype == bool):
        raise InputError(f"{path}: {name} is {array.dtype}; expected numbers, such as {name}.astype('f4')")
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32, copy=False)
    missing = array.size - np.count_nonzero(np.isfinite(numbers))
    if missing and not is_sequences:
        raise InputError(f"{path}: {missing:,} of {array.size:,} values of {name} are NaN or infinite in float32")
    if array.ndim == 2 and not is_sequences and len(array) and (rounded := _rounded_columns(array, numbers)):
        found = f"{len(rounded):,} column(s) of {name} lose the differences between their values in float32"
        account.note(f"{found}, such as column {rounded[0]}: subtract their mean before saving them")
    return numbers


def _rounded_columns(array: np.ndarray, numbers: np.ndarray) -> list[int]:
    """Columns whose rounding to float32 is more than a hundredth of their spread, as of times since 1970."""
    values = array.astype(np.float64, copy=False)
    return np.flatnonzero(np.abs(values - numbers).max(axis=0) > _MOST_ROUNDING * values.std(axis=0)).tolist()


def _examples(path: Path | str, arrays: dict[str, np.ndarray], spec: ImageSpec, account: Account) -> Arrays:
    if "images" in arrays:
        return _images(path, arrays["images"], spec, account)
    if spec.image_size or spec.channels:
        found = "x and y, given pairs" if "y" in arrays else " and ".join(name for name in arrays if name != "labels")
        hint = f" is for images; {path} holds {found}: expected 0, or an array called images"
        key = "image_size" if spec.image_size else "channels"
        raise InputError(Setting(f"data.{key}", getattr(spec, key)), hint)
    if "sequences" in arrays:
        return as_sequences(path, arrays["sequences"], arrays.get("lengths"))
    return (arrays["x"], arrays["y"]) if "y" in arrays else arrays["x"]


def _given(spec: ImageSpec) -> tuple[Setting | str, ...]:
    return Setting("data.image_size", spec.image_size), " and ", Setting("data.channels", spec.channels)


def _images(path: Path | str, images: np.ndarray, spec: ImageSpec, account: Account) -> np.ndarray:
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise InputError(f"{path}: images has shape {images.shape}; expected (n, H, W, C), C = 1 or 3, or (n, H, W)")
    images = by_white(path, images, spec.white, account)
    height, width, channels = images.shape[1:]
    if (spec.image_size or height, spec.image_size or width, spec.channels or channels) != (height, width, channels):
        found = f"{path} has images of {height} × {width} with {channels} channel(s), which are never resized"
        raise InputError(f"{found}; given ", *_given(spec), ", expected 0 for both")
    return images


_FEW_LEVELS = 32  # up to which the highest of whole numbers is itself white, as 16 is in scikit-learn's digits


def by_white(path: Path | str, images: np.ndarray, white: float, account: Account) -> np.ndarray:
    """Images as uint8, or as floats in [0, 1]: values are divided by what is white."""
    if images.dtype == np.uint8 or not images.size:
        return images
    lowest, highest = float(images.min()), float(images.max())
    if not white and lowest >= 0 and (highest > 1 and _are_whole(images)):
        white = highest if highest <= _FEW_LEVELS else white_of(highest)
    if white and lowest >= 0:
        account.facts["white"] = float(white)
        account.note(f"values of images are up to {highest:,.5g}; {white:,.5g} is white")
        return np.minimum(images / np.float32(white), 1)
    if lowest < 0 or highest > 1:
        found = f"{path}: images has floats from {lowest:g} to {highest:g}"
        expected = f"{found}; expected uint8, whole numbers from 0, or floats in [0, 1]"
        if lowest < 0:
            raise InputError(f"{expected}: add an offset first")
        raise InputError(f"{expected}: set ", Setting("data.white"), " to the value that is white")
    return images


def _are_whole(images: np.ndarray) -> bool:
    """Whether values are whole numbers, in an evenly spaced sample of the images."""
    some = images[evenly_spaced(len(images), _SOME)]
    return bool(np.all(some == np.round(some)))


def cut_known(
    labels: np.ndarray | None, count: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows for training, validation and testing, of each class in its shares; a hidden label, −1, is for training.

    >>> [len(part) for part in cut_known(np.array([0] * 10 + [-1] * 5), 15)]
    [11, 2, 2]
    """
    known = np.arange(count) if labels is None else np.flatnonzero(labels >= 0)
    labels, groups = (None if values is None else values[known] for values in (labels, groups))
    test, validation, train = cut(labels, len(known), SHARES, groups)
    return np.concatenate([known[train], np.setdiff1d(np.arange(count), known)]), known[validation], known[test]


def checked_labels(path: Path | str, labels: np.ndarray | None) -> np.ndarray | None:
    """int32[n]; None where there are none, or all are hidden."""
    if labels is None:
        return None
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{path}: labels is {labels.dtype}{list(labels.shape)}; expected whole numbers, one per row")
    if labels.size and not -1 <= labels.min() <= labels.max() < 2**31:
        found = f"labels run from {labels.min()} to {labels.max()}"
        raise InputError(f"{path}: {found}; expected classes from 0 on, or -1 where hidden")
    return None if (labels < 0).all() else labels.astype(np.int32)
