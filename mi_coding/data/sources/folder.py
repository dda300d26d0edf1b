"""`folder:PATH`: image files below a folder, with or without class folders and folders for the splits."""

import os
from pathlib import Path
from typing import NamedTuple

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


class _Files(NamedTuple):
    """Image files below one folder, sorted.

    Attributes:
        folder: that folder.
        names: paths relative to the root of the source; as strings, since to pickle a million `Path`s for a worker
            process would take minutes.
        classes: name of the class folder of each file; None where there are no class folders.
    """

    folder: Path
    names: list[str]
    classes: list[str] | None


class FolderImages(LazyImages):
    """Images in files."""

    def __init__(self, root: Path, names: list[str], spec: ImageSpec):
        """`names` are paths relative to `root`."""
        self._root, self._names = root, names
        super().__init__(len(names), spec)

    def name(self, i: int) -> str:
        """The path relative to the root of the source."""
        return self._names[i]

    def encoded(self, i: int) -> Path:
        """The file."""
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
        """The three splits, still encoded.

        Raises:
            InputError: for a folder that does not exist, is empty, or has different classes in different splits.
        """
        root = self._root()
        held_out = [name for name in _HELD_OUT if (root / name).is_dir()]
        if (root / "train").is_dir():
            splits = _splits_of_folders(root, held_out)
        elif held_out:
            raise InputError(
                f"{root} has a folder {held_out[0]} and no folder train; expected train and test, or only classes or "
                "images"
            )
        else:
            splits = _cut_splits(_scan(root, root))
        check_counts(str(root), [len(names) for names, _ in splits])
        parts = (Split(FolderImages(root, names, spec), labels) for names, labels in splits)
        return Dataset(root.resolve().name, *parts)

    def list_all(self, spec: ImageSpec) -> Listing:
        """All images, still encoded, in the order of their paths: split after split, class after class.

        Splits and classes are those of `load`; but any split may be missing, and unless each of them has class folders
        there are no labels.

        Raises:
            InputError: for a folder that does not exist, has no image, or has images beside class folders.
        """
        root = self._root()
        splits = sorted(name for name in ("train", *_HELD_OUT) if (root / name).is_dir())
        parts = [_scan(root, root / name) for name in splits] or [_scan(root, root)]
        split = Split(FolderImages(root, [name for part in parts for name in part.names], spec), None)
        if any(part.classes is None for part in parts):
            return Listing(split)
        classes = [name for part in parts for name in part.classes]
        class_names = sorted(set(classes))
        if len(class_names) < 2:
            return Listing(split)
        ids = {name: number for number, name in enumerate(class_names)}
        return Listing(split._replace(labels=np.array([ids[name] for name in classes], np.int32)), class_names)

    def _root(self) -> Path:
        root = Path(self.argument).expanduser()
        if not root.is_dir():
            state = "is a file" if root.exists() else "does not exist"
            raise InputError(self.setting, f" {state}; expected a folder with images")
        return root


def _splits_of_folders(root: Path, held: list[str]) -> list[tuple[list[str], np.ndarray | None]]:
    """Files and labels of train, validation and test; `held` are the folders beside train."""
    if not held or set(_VALIDATION) <= set(held):
        given = f"both {' and '.join(_VALIDATION)}" if held else "a folder train and no test"
        raise InputError(f"{root} has {given}; expected train, test and perhaps val, or train and val")
    folders = [root / name for name in ("train", *reversed(held))]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(f"{root} has splits that are links to one folder; expected splits that share no image")
    parts = [_scan(root, folder) for folder in folders]
    ids = _class_ids(parts)
    read = [_shuffled(part, ids) for part in parts]
    if len(read) == 2:
        names, labels = read[0]
        chosen, rest = cut(labels, len(names), (0.1,))
        read[:1] = [_pick(names, labels, rest), _pick(names, labels, chosen)]
    return read


def _cut_splits(files: _Files) -> list[tuple[list[str], np.ndarray | None]]:
    labels = _labels(files, _class_ids([files]))
    test, validation, train = cut(labels, len(files.names), _SHARES)
    return [_pick(files.names, labels, chosen) for chosen in (train, validation, test)]


def _shuffled(files: _Files, ids: dict[str, int] | None) -> tuple[list[str], np.ndarray | None]:
    return _pick(files.names, _labels(files, ids), cut(None, len(files.names), ())[0])


def _pick(names: list[str], labels: np.ndarray | None, chosen: np.ndarray) -> tuple[list[str], np.ndarray | None]:
    return [names[i] for i in chosen.tolist()], None if labels is None else labels[chosen]


def _labels(files: _Files, ids: dict[str, int] | None) -> np.ndarray | None:
    return None if ids is None else np.array([ids[name] for name in files.classes], np.int32)


def _class_ids(parts: list[_Files]) -> dict[str, int] | None:
    """Class → label, by the train split, which comes first; None for fewer than two classes."""
    train, *others = parts
    for part in others:
        if (part.classes is None) != (train.classes is None):
            with_labels, without = (train, part) if part.classes is None else (part, train)
            raise InputError(
                f"{without.folder} has no class folders and {with_labels.folder} has; expected labels in every split "
                "or in none: sort the images into class folders, or move them out"
            )
        unknown = sorted(set(part.classes or ()) - set(train.classes or ()))
        if unknown:
            raise InputError(
                f"class {unknown[0]!r} of {part.folder} is none of {train.folder}; expected the classes of training: "
                "rename or remove the folder"
            )
    known = sorted(set(train.classes or ()))
    return {name: i for i, name in enumerate(known)} if len(known) > 1 else None


def _scan(root: Path, folder: Path) -> _Files:
    """All image files below a folder.

    Raises:
        InputError: where there are none, a class has none, or images are beside class folders.
    """
    loose = sorted(entry.name for entry in folder.iterdir() if _is_image(entry.name) and not entry.is_dir())
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    below = {name: _images_below(folder / name) for name in classes}
    if not loose and not any(below.values()):
        raise InputError(f"{folder} holds no image; expected files ending in {', '.join(SUFFIXES)}")
    if loose and classes:
        raise InputError(
            f"{len(loose):,} image(s) such as {loose[0]} lie beside the class folders of {folder}; expected all "
            "images inside class folders, or no such folders"
        )
    empty = [name for name in classes if not below[name]]
    if empty:
        raise InputError(f"class folder {folder / empty[0]} holds no image; add images or remove the folder")
    names = [os.path.join(name, file) for name in classes for file in below[name]] or loose
    start = os.path.relpath(folder, root)
    return _Files(
        folder,
        names if start == "." else [os.path.join(start, name) for name in names],
        [name for name in classes for _ in below[name]] if classes else None,
    )


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
