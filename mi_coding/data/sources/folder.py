"""`folder:PATH`: image files below a folder, with or without class folders and folders for the splits."""

import os
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from mi_coding.data.cuts import check_counts, cut
from mi_coding.data.dataset import Dataset, Listing, Split
from mi_coding.data.images import ImageSpec, LazyImages
from mi_coding.data.sources.base import Source
from mi_coding.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
_VALIDATION = ("val", "validation")
_HELD_OUT = ("test", *_VALIDATION)
_SHARES = (0.2, 0.1)  # test and validation, where the folder has no splits


class FolderImages(LazyImages):
    """Images in files, whose names are paths relative to `root`."""

    def __init__(self, root: Path, names: list[str], spec: ImageSpec):
        self._root, self._names = root, names
        super().__init__(len(names), spec)

    def name(self, i: int) -> str:
        return self._names[i]

    def encoded(self, i: int) -> Path:
        return self._root / self._names[i]


class Folder(Source):
    """The images below a folder, whose path is the argument.

    Folders `train` and `test`, and perhaps `val`, are the splits; with `train` and `val` alone, as ImageNet is
    unpacked, `val` is the test split. A missing validation split is cut from the train split, a tenth of each class.
    Without a folder `train` all images are split, of each class 70 % train, 10 % validation, 20 % test. The first
    folder below a split is the class of an image; without such folders, or with a single one, there are no labels.
    """

    scheme = "folder"
    example = "folder:/path/to/images"
    needs_size_to_stream = True

    def load(self, spec: ImageSpec) -> Dataset:
        """The three splits, still encoded."""
        root = self._root()
        held_out = [name for name in _HELD_OUT if (root / name).is_dir()]
        if (root / "train").is_dir():
            splits = _splits_of_folders(root, held_out)
        elif held_out:
            found = f"{root} has a folder {held_out[0]} and no folder train"
            raise InputError(f"{found}; expected train and test, or only classes or images")
        else:
            test, validation, train = _scan(root, root).cut(*_SHARES)
            splits = [train, validation, test]
        check_counts(str(root), [len(files.names) for files in splits])
        class_names = splits[0].class_names
        return Dataset(
            root.resolve().name, *(files.split(root, class_names, spec) for files in splits), class_names or None
        )

    def list_all(self, spec: ImageSpec) -> Listing:
        """All images, still encoded, in the order of their paths: split after split, class after class.

        Splits and classes are those of `load`; but any split may be missing, and unless each of them has class folders
        there are no labels.
        """
        root = self._root()
        splits = sorted(name for name in ("train", *_HELD_OUT) if (root / name).is_dir())
        parts = [_scan(root, root / name) for name in splits] or [_scan(root, root)]
        classes = None
        if all(part.classes is not None for part in parts):
            classes = [name for part in parts for name in part.classes]
        files = _Files(root, [name for part in parts for name in part.names], classes)
        split = files.split(root, files.class_names, spec)
        return Listing(split, None if split.labels is None else files.class_names)

    def _root(self) -> Path:
        root = Path(self.argument).expanduser()
        if not root.is_dir():
            state = "is a file" if root.exists() else "does not exist"
            raise InputError(self.setting, f" {state}; expected a folder with images")
        return root


class _Files(NamedTuple):
    """Image files below one folder.

    Names are strings, since to pickle a million `Path`s for a worker process would take minutes.
    """

    folder: Path
    names: list[str]  # paths relative to the root of the source
    classes: list[str] | None  # name of the class folder of each file; None where there are no class folders

    @property
    def class_names(self) -> list[str]:
        return sorted(set(self.classes or ()))

    def labels(self, class_names: list[str]) -> np.ndarray | None:
        """int32[n], positions among `class_names`; None where these are fewer than two."""
        ids = {name: number for number, name in enumerate(class_names)}
        return np.array([ids[name] for name in self.classes], np.int32) if len(ids) > 1 else None

    def split(self, root: Path, class_names: list[str], spec: ImageSpec) -> Split:
        return Split(FolderImages(root, self.names, spec), self.labels(class_names))

    def cut(self, *shares: float) -> list[Self]:
        parts = cut(self.labels(self.class_names), len(self.names), shares)
        return [self._at(part.tolist()) for part in parts]

    def shuffled(self) -> Self:
        return self._at(cut(None, len(self.names), ())[0].tolist())

    def _at(self, positions: list[int]) -> Self:
        classes = None if self.classes is None else [self.classes[i] for i in positions]
        return self._replace(names=[self.names[i] for i in positions], classes=classes)


def _splits_of_folders(root: Path, held: list[str]) -> list[_Files]:
    """Files of train, validation and test; `held` are the folders beside train."""
    if not held or set(_VALIDATION) <= set(held):
        given = f"both {' and '.join(_VALIDATION)}" if held else "a folder train and no test"
        raise InputError(f"{root} has {given}; expected train, test and perhaps val, or train and val")
    folders = [root / name for name in ("train", *reversed(held))]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"{root} has splits that are links to one folder; expected splits that share no image")
    scanned = [_scan(root, folder) for folder in folders]
    _check_classes(*scanned)
    train, *others = (files.shuffled() for files in scanned)
    if len(others) == 1:
        validation, train = train.cut(0.1)
        others.insert(0, validation)
    return [train, *others]


def _check_classes(train: _Files, *others: _Files) -> None:
    """Raises InputError unless all splits have class folders, those of the train split, or none has."""
    for part in others:
        if (part.classes is None) != (train.classes is None):
            with_labels, without = (train, part) if part.classes is None else (part, train)
            found = f"{without.folder} has no class folders and {with_labels.folder} has"
            remedy = "sort the images into class folders, or move them out"
            raise InputError(f"{found}; expected labels in every split or in none: {remedy}")
        if unknown := sorted(set(part.class_names) - set(train.class_names)):
            found = f"class {unknown[0]!r} of {part.folder} is none of {train.folder}"
            raise InputError(f"{found}; expected the classes of training: rename or remove the folder")


def _scan(root: Path, folder: Path) -> _Files:
    """All image files below a folder, sorted."""
    loose = sorted(entry.name for entry in folder.iterdir() if _is_image(entry.name) and not entry.is_dir())
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    below = {name: _images_below(folder / name) for name in classes}
    if not loose and not any(below.values()):
        raise InputError(f"{folder} holds no image; expected files ending in {', '.join(SUFFIXES)}")
    if loose and classes:
        found = f"{len(loose):,} image(s) such as {loose[0]} lie beside the class folders of {folder}"
        raise InputError(f"{found}; expected all images inside class folders, or no such folders")
    empty = [name for name in classes if not below[name]]
    if empty:
        raise InputError(f"class folder {folder / empty[0]} holds no image; add images or remove the folder")
    start = os.path.relpath(folder, root)
    names = [os.path.join(name, file) for name in classes for file in below[name]] or loose
    names = [name if start == "." else os.path.join(start, name) for name in names]
    return _Files(folder, names, [name for name in classes for _ in below[name]] if classes else None)


def _images_below(folder: Path) -> list[str]:
    """Paths relative to `folder`; symbolic links are followed, and no folder is visited twice."""
    found, seen = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        start = os.path.relpath(parent, folder)
        found += [name if start == "." else os.path.join(start, name) for name in names if _is_image(name)]
    return sorted(found)


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
