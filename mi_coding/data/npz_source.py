"""Arrays of one's own in one .npz file: given pairs, images or sequences, perhaps with labels."""

import zipfile
from pathlib import Path

import numpy as np

from mi_coding.data.cuts import check_counts, cut
from mi_coding.data.dataset import Arrays, Dataset, Listing, Split, halves, take
from mi_coding.data.images import Form
from mi_coding.errors import InputError

_SHARES = (0.2, 0.1)  # of the test and the validation split
_EXAMPLES = ("x", "y", "images", "sequences")
_EXPECTED = "x and y (given pairs), images or sequences; and perhaps labels"


def load(argument: str, form: Form = Form()) -> Dataset:  # noqa: B008 (a tuple: nobody can change it)
    """The arrays of a file: 70 % of each class to train, 10 % to validate, 20 % to test.

    An example whose label is hidden, −1, is trained on, and no result is read from it.

    Args:
        argument: path of a .npz file. It holds either x and y, given pairs whose rows belong together: uint8 or
            float[n, …]; or images: uint8[n, H, W, C] or floats in [0, 1], C = 1 or 3, or [n, H, W]; or sequences:
            float[n, T, C] or [n, T]. With any of them, perhaps labels: int[n], at least 0, or −1 where hidden.
        form: 0, or what the images are already: they are taken as they are.
    Raises:
        InputError: for a file that is none, or arrays that are missing, do not fit together, or are not finite.
    """
    split, _ = list_all(argument, form)
    count = len(split.names)
    known = np.arange(count) if split.labels is None else np.flatnonzero(split.labels >= 0)
    test, validation, train = cut(None if split.labels is None else split.labels[known], len(known), _SHARES)
    hidden = np.setdiff1d(np.arange(count), known)
    chosen = (np.concatenate([known[train], hidden]), known[validation], known[test])
    check_counts(f"npz:{argument}", [len(part) for part in chosen])
    return Dataset(Path(argument).stem, *(take(split, part) for part in chosen))


def list_all(argument: str, form: Form = Form()) -> Listing:  # noqa: B008
    """All examples of a file in their order, called such as pairs.npz[17]; see `load`."""
    path = Path(argument).expanduser()
    arrays = _read(path, argument)
    examples, labels = _examples(path, arrays, form), arrays.get("labels")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise InputError(f"{path} has arrays of different lengths: {told}; expected one row an example in each")
    names = [f"{path.name}[{row}]" for row in range(len(halves(examples)[0]))]
    return Listing(Split(examples, _labels(path, labels), names))


def _read(path: Path, argument: str) -> dict[str, np.ndarray]:
    """The arrays that mean something here, by name."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"config.data.source='npz:{argument}' {what}; expected a .npz file")
    with path.open("rb") as opened:  # by us: of a file that is torn np.load would leave it open
        try:
            file = np.load(opened, allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} cannot be read: {_one_line(error)}; expected a .npz file of np.savez") from None
        if isinstance(file, np.ndarray):
            raise InputError(f"{path} is a single array; expected a .npz file with arrays {_EXPECTED}")
        with file:
            return {name: _array(path, file, name) for name in _chosen(path, set(file.files))}


def _chosen(path: Path, there: set[str]) -> list[str]:
    """Which arrays to read: x and y, or images, or sequences; and labels."""
    kinds = [names for names in (["x", "y"], ["images"], ["sequences"]) if there.issuperset(names)]
    if len(kinds) != 1 or there & set(_EXAMPLES) != set(kinds[0]):
        raise InputError(f"{path} has arrays {', '.join(sorted(there)) or 'of no name'}; expected {_EXPECTED}")
    return [*kinds[0], *(["labels"] if "labels" in there else [])]


def _array(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    try:
        array = file[name]
    except ValueError as error:
        what = "holds Python objects" if "allow_pickle" in str(error) else f"cannot be read: {_one_line(error)}"
        raise InputError(f"{path}: array {name} {what}; expected an array of numbers") from None
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: array {name} is broken: {_one_line(error)}; write the file again") from None
    return array if name == "labels" else _numbers(path, name, array)


def _numbers(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """uint8 or finite float32, [n, …]."""
    if array.ndim < 2 or 0 in array.shape[1:]:
        raise InputError(f"{path}: {name} has shape {array.shape}; expected one row an example: (n, …)")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{path}: {name} is of {array.dtype}; expected uint8 or floats, such as {name}.astype('f4')")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    missing = array.size - np.count_nonzero(np.isfinite(array))
    if missing:
        raise InputError(f"{path}: {missing:,} of {array.size:,} values of {name} are NaN or infinite in float32")
    return array


def _examples(path: Path, arrays: dict[str, np.ndarray], form: Form) -> Arrays:
    if "images" in arrays:
        return _images(path, arrays["images"], form)
    if form != Form():
        raise InputError(
            f"{path} holds no images to resize; given config.data.image_size={form.image_size} and "
            f"channels={form.channels}, expected 0 for both"
        )
    if "sequences" in arrays:
        sequences = arrays["sequences"].astype(np.float32, copy=False)
        sequences = sequences[:, :, None] if sequences.ndim == 2 else sequences
        if sequences.ndim != 3:
            raise InputError(f"{path}: sequences has shape {sequences.shape}; expected (n, T, C) or (n, T)")
        return sequences
    return arrays["x"], arrays["y"]


def _images(path: Path, images: np.ndarray, form: Form) -> np.ndarray:
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise InputError(f"{path}: images has shape {images.shape}; expected (n, H, W, C), C = 1 or 3, or (n, H, W)")
    if images.dtype != np.uint8 and images.size and not 0 <= images.min() <= images.max() <= 1:
        raise InputError(
            f"{path}: images has floats from {images.min():g} to {images.max():g}; expected uint8, or floats in [0, 1]"
        )
    height, width, channels = images.shape[1:]
    wanted = (form.image_size or height, form.image_size or width, form.channels or channels)
    if wanted != (height, width, channels):
        raise InputError(
            f"{path} has images of {height} × {width} with {channels} channel(s), which are taken as they are; given "
            f"config.data.image_size={form.image_size} and channels={form.channels}, expected 0 for both"
        )
    return images


def _labels(path: Path, labels: np.ndarray | None) -> np.ndarray | None:
    """int32[n]; None where there are none, or all are hidden."""
    if labels is None:
        return None
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{path}: labels is {labels.dtype}{list(labels.shape)}; expected whole numbers, one a row")
    if labels.size and not -1 <= labels.min() <= labels.max() < 2**31:
        raise InputError(
            f"{path}: labels run from {labels.min()} to {labels.max()}; expected classes from 0 on, or -1 where hidden"
        )
    return None if (labels < 0).all() else labels.astype(np.int32)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
