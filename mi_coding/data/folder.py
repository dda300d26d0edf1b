"""Images in a folder: class subfolders or none at all, with or without splits of their own."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mi_coding.data.cuts import cut
from mi_coding.data.dataset import Dataset, Split
from mi_coding.data.images import Form, LazyImages
from mi_coding.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
_VALIDATION = ("val", "validation")
_SHARES = (0.2, 0.1)  # of the test and the validation split, where the folder has no splits


class _Files(NamedTuple):
    """Image files below one folder, sorted, each with the class folder it lies in; None for all where there is none."""

    folder: Path
    paths: list[Path]
    classes: list[str] | None


class FolderImages(LazyImages):
    """Images in files."""

    def __init__(self, root: Path, paths: list[Path], form: Form):
        """Files are called by their path from `root`."""
        self._root, self._paths = root, paths
        super().__init__(len(paths), form)

    def name(self, i: int) -> str:
        """The path from the root of the source."""
        return str(self._paths[i].relative_to(self._root))

    def encoded(self, i: int) -> Path:
        """The file."""
        return self._paths[i]


def load(argument: str, form: Form) -> Dataset:
    """The images below a folder, still encoded.

    With folders `train` and `test`, and perhaps `val`, these are the splits; with `train` and `val` alone, as ImageNet
    is unpacked, `val` is the test split. A validation split that is missing is cut from training, a tenth of each
    class. Without a folder `train` all images are cut, of each class 70 % to train, 10 % to validate, 20 % to test.
    The first folder below a split is an image's class; without such folders there are no labels.

    Args:
        argument: path of the folder.
        form: what the images are brought to.
    Raises:
        InputError: for a folder that is none, is empty, or whose classes do not fit together.
    """
    root = Path(argument).expanduser()
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise InputError(f"config.data.source='folder:{argument}' {what}; expected a folder with images")
    splits = _own_splits(root) if (root / "train").is_dir() else _cut_splits(_scan(root))
    if any(len(paths) < 2 for paths, _ in splits):
        sizes = ", ".join(str(len(paths)) for paths, _ in splits)
        raise InputError(
            f"{root} has too few images: {sizes} to train, validate and test; expected at least 2 for each"
        )
    return Dataset(root.resolve().name, *(Split(FolderImages(root, paths, form), labels) for paths, labels in splits))


def _own_splits(root: Path) -> list[tuple[list[Path], np.ndarray | None]]:
    validation = next((root / name for name in _VALIDATION if (root / name).is_dir()), None)
    test = root / "test" if (root / "test").is_dir() else validation
    if test is None:
        raise InputError(f"{root} has a folder train and no test; expected train and test, or train and val")
    parts = [_scan(root / "train"), _scan(test)]
    if validation not in (None, test):
        parts.insert(1, _scan(validation))
    ids = _class_ids(parts)
    read = [_shuffled(part, ids) for part in parts]
    if len(read) == 2:
        paths, labels = read[0]
        held, rest = cut(labels, len(paths), (0.1,))
        read[:1] = [_pick(paths, labels, rest), _pick(paths, labels, held)]
    return read


def _cut_splits(files: _Files) -> list[tuple[list[Path], np.ndarray | None]]:
    labels = _labels(files, _class_ids([files]))
    test, validation, train = cut(labels, len(files.paths), _SHARES)
    return [_pick(files.paths, labels, chosen) for chosen in (train, validation, test)]


def _shuffled(files: _Files, ids: dict[str, int] | None) -> tuple[list[Path], np.ndarray | None]:
    return _pick(files.paths, _labels(files, ids), cut(None, len(files.paths), ())[0])


def _pick(paths: list[Path], labels: np.ndarray | None, chosen: np.ndarray) -> tuple[list[Path], np.ndarray | None]:
    return [paths[i] for i in chosen], None if labels is None else labels[chosen]


def _labels(files: _Files, ids: dict[str, int] | None) -> np.ndarray | None:
    return None if ids is None else np.array([ids[name] for name in files.classes], np.int32)


def _class_ids(parts: list[_Files]) -> dict[str, int] | None:
    """Class → number, from the training split, which comes first."""
    train, *others = parts
    for part in others:
        if (part.classes is None) != (train.classes is None):
            with_labels, without = (train, part) if part.classes is None else (part, train)
            raise InputError(
                f"{without.folder} has no class folders and {with_labels.folder} has; expected labels in every split "
                "or in none"
            )
        unknown = sorted(set(part.classes or ()) - set(train.classes or ()))
        if unknown:
            raise InputError(
                f"class {unknown[0]!r} of {part.folder} is none of {train.folder}; expected the classes of training"
            )
    return None if train.classes is None else {name: i for i, name in enumerate(sorted(set(train.classes)))}


def _scan(folder: Path) -> _Files:
    """All image files below a folder.

    Raises:
        InputError: where there is none, a class has none, or images lie beside class folders.
    """
    loose = _images_in(folder)
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    below = {entry.name: _images_below(entry) for entry in classes}
    if not loose and not any(below.values()):
        raise InputError(f"{folder} holds no image; expected files ending in {', '.join(SUFFIXES)}")
    if not classes:
        return _Files(folder, loose, None)
    if loose:
        raise InputError(
            f"{len(loose)} image(s) such as {loose[0].name} lie beside the class folders of {folder}; expected all "
            "images inside class folders, or no such folders"
        )
    empty = [name for name, paths in below.items() if not paths]
    if empty:
        raise InputError(f"class folder {folder / empty[0]} holds no image; add images or remove the folder")
    return _Files(
        folder,
        [path for paths in below.values() for path in paths],
        [name for name, paths in below.items() for _ in paths],
    )


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _is_image(path.name) and path.is_file())


def _images_below(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent) / name for name in names if _is_image(name)]
    return sorted(found)


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
