"""`folder:PATH`: image or sound files below a folder, with or without class folders and folders for the splits."""

import os
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.cuts import SHARES, check_counts, cut, groups_by_name
from mi_coding.data.dataset import Dataset, Listing, Split
from mi_coding.data.files import IMAGES, SOUNDS, Files, subfolders
from mi_coding.data.images import ImageSpec, LazyImages
from mi_coding.data.sounds import look_at
from mi_coding.data.sources.base import Source
from mi_coding.errors import InputError, Setting

_SPLIT_NAMES = {  # usual names of the splits, in any case
    "train": ("train", "training", "trainset"),
    "validation": ("val", "valid", "validation", "validate", "dev"),
    "test": ("test", "testing", "testset", "heldout", "held_out", "eval", "evaluation"),
    "unlabelled": ("unlabelled", "unlabeled", "unsup", "unsupervised", "extra_unlabelled"),
}
SPLIT_OF = {name: split for split, names in _SPLIT_NAMES.items() for name in names}
_FEW = 0.1  # share of the images in class folders up to which images beside these are left out


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
    """The images below a folder, whose path is the argument; or its sound files, if it has no images.

    Folders such as `train` and `test`, and perhaps `val` and `unlabelled`, in any case and by their usual synonyms, are
    the splits; with `train` and `val` alone, as ImageNet is unpacked, `val` is the test split. A missing validation
    split is cut from the train split, a tenth of each class. Images of `unlabelled` are trained on, too, with hidden
    labels, −1. Without such folders all images are split, of each class 70 % train, 10 % validation, 20 % test. The
    first folder below a split is the class of an image; without such folders, or with one alone, there are no labels.

    `layout` says what the folders below PATH are: "splits", "classes", or "flat" for neither; "auto" takes them for
    splits where train and another are there, or nothing but splits; train alone is cut like a folder without splits.
    What they were taken for is noted in the account, as are files that are not images, empty folders, and images that
    lie beside the folders.

    The same holds for sound files, which are sequences in memory, see `data.sounds`.
    """

    scheme = "folder"
    example = "folder:/path/to/images"
    needs_size_to_stream = True
    takes_layout = True
    groups_are = "a pattern of paths"

    def load(self, spec: ImageSpec) -> Dataset:
        """The three splits: images still encoded, sounds in memory."""
        root = self._root()
        files = _files(root)
        account, folders = files.account, self._splits(root, files)
        unlabelled = None
        if folders is None:
            scanned = _scan(root, root, files, self.layout)
            test, validation, train = scanned.cut(*SHARES, group=self.group, account=account)
            splits = [train, validation, test]
        else:
            unlabelled = folders.pop("unlabelled", None)
            splits = _splits_of_folders(root, folders, files, self.layout, self.group)
        check_counts(str(root), [len(part.names) for part in splits])
        class_names = splits[0].class_names
        if unlabelled is not None:
            splits[0] = splits[0].with_unlabelled(_scan(root, unlabelled, files, "flat"), account)
        _note_layout(root, folders, class_names, account)
        made = _made(splits, root, class_names, spec, files)
        return Dataset(root.resolve().name, *made, class_names or None, account)

    def list_all(self, spec: ImageSpec) -> Listing:
        """All images, still encoded, in the order of their paths: split after split, class after class.

        Splits and classes are those of `load`; but any split may be missing, and unless each of them has class folders
        there are no labels.
        """
        root = self._root()
        files = _files(root)
        folders = self._splits(root, files)
        if folders is None:
            parts = [_scan(root, root, files, self.layout)]
        else:
            parts = [
                _scan(root, folder, files, "flat").hidden()
                if split == "unlabelled"
                else _scan(root, folder, files, self.layout)
                for split, folder in sorted(folders.items(), key=lambda item: item[1])
            ]
        classes = None
        if all(part.classes is not None for part in parts):
            classes = [name for part in parts for name in part.classes]
        whole = _Files(root, [name for part in parts for name in part.names], classes)
        _note_layout(root, folders, whole.class_names, files.account)
        (split,) = _made([whole], root, whole.class_names, spec, files)
        return Listing(split, None if split.labels is None else whole.class_names, files.account)

    def _root(self) -> Path:
        root = Path(self.argument).expanduser()
        if not root.is_dir():
            state = "is a file" if root.exists() else "does not exist"
            raise InputError(self.setting, f" {state}; expected a folder with images")
        return root

    def _splits(self, root: Path, files: Files) -> dict[str, Path] | None:
        """Split → its folder; None where the folders below the root are no splits."""
        folders = [folder for folder in subfolders(root) if files.are_below(folder)]
        found = [(SPLIT_OF[folder.name.lower()], folder) for folder in folders if folder.name.lower() in SPLIT_OF]
        kinds = {split for split, _ in found}
        is_split = {"train"} < kinds - {"unlabelled"} or (len(found) == len(folders) and kinds)
        if self.layout == "auto" and found and not is_split:
            _check_classes_like_splits([folder for _, folder in found], folders, files)
        if self.layout in ("classes", "flat") or (self.layout == "auto" and not is_split):
            return None
        if not found:
            raise InputError(self.setting, " has no folder train; expected folders such as train and test")
        for split in kinds:
            if len(same := [folder.name for of, folder in found if of == split]) > 1:
                raise InputError(f"{root} has both {' and '.join(same)}; expected one folder for {split}")
        _leave_out_beside([folder for _, folder in found], root, files)
        return dict(found)


class _Files(NamedTuple):
    """Image files below one folder.

    Names are strings, since pickling a million `Path`s for a worker process would take minutes.
    """

    folder: Path
    names: list[str]  # paths relative to the root of the source
    classes: list[str | None] | None  # class folder of each file, None where hidden; None where there are no classes

    @property
    def class_names(self) -> list[str]:
        return sorted(set(self.classes or ()) - {None})

    def labels(self, class_names: list[str]) -> np.ndarray | None:
        """int32[n], positions among `class_names`, −1 where hidden; None where these are fewer than two."""
        ids = {name: number for number, name in enumerate(class_names)} | {None: -1}
        return np.array([ids[name] for name in self.classes], np.int32) if len(class_names) > 1 else None

    def cut(self, *shares: float, group: str, account: Account) -> list[Self]:
        groups = groups_by_name(self.names, group, account)
        parts = cut(self.labels(self.class_names), len(self.names), shares, groups)
        return [self._at(part.tolist()) for part in parts]

    def shuffled(self) -> Self:
        return self._at(cut(None, len(self.names), ())[0].tolist())

    def with_unlabelled(self, others: Self, account: Account) -> Self:
        """These files and others whose labels are hidden."""
        account.note(f"{len(others.names):,} images of {others.folder.name} are trained on without labels")
        classes = None if self.classes is None else [*self.classes, *others.hidden().classes]
        return self._replace(names=[*self.names, *others.names], classes=classes).shuffled()

    def hidden(self) -> Self:
        """These files with hidden labels."""
        return self._replace(classes=[None] * len(self.names))

    def among(self, names: list[str]) -> Self:
        """The files among these that have one of some names."""
        chosen = set(names)
        return self._at([i for i, name in enumerate(self.names) if name in chosen])

    def _at(self, positions: list[int]) -> Self:
        classes = None if self.classes is None else [self.classes[i] for i in positions]
        return self._replace(names=[self.names[i] for i in positions], classes=classes)


def _files(root: Path) -> Files:
    """How the files of a folder are found: images, or sounds if there are some and no images."""
    images, sounds = (Files(kind, Account(f"{kind.noun}s")) for kind in (IMAGES, SOUNDS))
    return sounds if not images.are_below(root) and sounds.are_below(root) else images


def _made(parts: list[_Files], root: Path, class_names: list[str], spec: ImageSpec, files: Files) -> list[Split]:
    """A split of each part: images still encoded, or sounds in memory, all brought to one rate."""
    if files.kind is IMAGES:
        return [Split(FolderImages(root, part.names, spec), part.labels(class_names)) for part in parts]
    if spec.image_size:
        raise InputError(
            Setting("data.image_size", spec.image_size), f" is for images; {root} holds sound files: use 0"
        )
    names = [name for part in parts for name in part.names]
    sounds, readable = look_at(root, names, spec.channels, files.account)
    kept = [part.among(readable) for part in parts]
    return [Split(sounds.read(part.names), part.labels(class_names), part.names) for part in kept]


def _splits_of_folders(root: Path, folders: dict[str, Path], files: Files, layout: str, group: str) -> list[_Files]:
    """Files of train, validation and test; notes which are cut from others."""
    if "train" not in folders:
        found = f"{root} has a folder named {next(iter(folders.values())).name} but none named train"
        raise InputError(f"{found}; expected train and test, or only classes or images, ", *_AS_CLASSES)
    ordered = [folders[split] for split in ("train", "validation", "test") if split in folders]
    if len({folder.resolve() for folder in ordered}) < len(ordered):
        raise InputError(f"{root} has splits that are links to one folder; expected splits that share no image")
    account, scanned = files.account, [_scan(root, folder, files, layout) for folder in ordered]
    _check_classes(*scanned)
    if len(scanned) == 1:
        test, validation, train = scanned[0].cut(*SHARES, group=group, account=account)
        account.note(f"{ordered[0].name} is cut at random, 70 : 10 : 20 of each class: no other split was found")
        return [train, validation, test]
    train, *others = (part.shuffled() for part in scanned)
    if len(others) == 1:
        validation, train = train.cut(SHARES[1], group=group, account=account)
        account.note(f"a tenth of each class of {ordered[0].name} is held out to validate, {ordered[1].name} to test")
        others.insert(0, validation)
    elif group:
        raise InputError(Setting("data.group", group), f" is for splits cut at random; {root} has three of its own")
    return [train, *others]


def _check_classes_like_splits(found: list[Path], folders: list[Path], files: Files) -> None:
    """Raises InputError where a class that is named like a split has folders inside, as splits do."""
    other = next(folder.name for folder in folders if folder not in found)
    for folder in found:
        if any(map(files.are_below, subfolders(folder))):
            both = f"{folder} has subfolders, as splits do, but lies beside {other}, which is not a split; expected "
            splits, classes = (Setting("data.layout", layout, flag=True) for layout in ("splits", "classes"))
            raise InputError(both, splits, " or ", classes)


def _leave_out_beside(splits: list[Path], root: Path, files: Files) -> None:
    """Counts what lies in a folder beside its splits."""
    others = {folder.name: files.below(folder) for folder in subfolders(root) if folder not in splits}
    if named := [name for name, found in others.items() if found]:
        files.account.note(f"folders beside the splits are left out: {', '.join(named)}")
    beside = [os.path.join(name, file) for name, found in others.items() for file in found]
    files.leave_out("beside the splits", files.inside(root) + beside)


_AS_CLASSES = ("or ", Setting("data.layout", "classes", flag=True), " where these are classes")


def _check_classes(train: _Files, *others: _Files) -> None:
    """Raises InputError unless all splits have class folders, those of the train split, or none has."""
    for part in others:
        if (part.classes is None) != (train.classes is None):
            with_labels, without = (train, part) if part.classes is None else (part, train)
            found = f"{without.folder} has no class folders and {with_labels.folder} has"
            remedy = "sort the images into class folders, or move them out"
            raise InputError(f"{found}; expected labels in every split or in none: {remedy}")
        if unknown := sorted(set(part.class_names) - set(train.class_names)):
            found = f"class {unknown[0]!r} of {part.folder} is not in {train.folder}"
            raise InputError(f"{found}; expected the classes of training: rename or remove the folder")


def _scan(root: Path, folder: Path, files: Files, layout: str = "auto") -> _Files:
    """All files of a kind below a folder, sorted; what is left out is counted."""
    account, kind, flat = files.account, files.kind, layout == "flat"
    folders = [] if flat else subfolders(folder)
    below = {one.name: files.below(one) for one in folders}
    below = {name: found for name, found in below.items() if found}
    loose = files.below(folder) if flat else files.inside(folder)
    if not loose and not below:
        counts = sorted(account.left_out.items(), key=lambda item: -item[1].count)
        found = "".join(f"{left.count:,} {reason}; " for reason, left in counts[:3])
        raise InputError(f"{folder} holds no {kind.noun}; {found and 'found '}{found}expected {kind.readers}")
    start = os.path.relpath(folder, root)
    prefix = "" if start == "." else start
    if below and loose:
        _check_few_beside(folder, loose, sum(map(len, below.values())), layout)
        files.leave_out("beside the class folders", [os.path.join(prefix, name) for name in loose])
        loose = []
    if empty := [one.name for one in folders if one.name not in below]:
        account.note(f"{len(empty):,} folders without {kind.noun}s are left out: {', '.join(empty[:3])}")
    names = [os.path.join(prefix, name, file) for name in sorted(below) for file in below[name]]
    names = names or [os.path.join(prefix, name) for name in loose]
    account.found += len(names)
    return _Files(folder, names, [name for name in sorted(below) for _ in below[name]] if below else None)


def _check_few_beside(folder: Path, loose: list[str], num_inside: int, layout: str) -> None:
    """Raises InputError where it is not clear whether images are beside class folders, or folders beside images."""
    if layout == "auto" and len(loose) > max(1, _FEW * num_inside):
        beside = f"{len(loose):,} image(s) such as {loose[0]} lie beside the class folders of {folder}; expected "
        classes, flat = (Setting("data.layout", layout, flag=True) for layout in ("classes", "flat"))
        raise InputError(beside, classes, ", which leaves them out, or ", flat, ", which takes all")


def _note_layout(root: Path, folders: dict[str, Path] | None, class_names: list[str], account: Account) -> None:
    """Notes what the folders were taken for."""
    if folders is not None:
        named = ", ".join(f"{folder.name} ({split})" for split, folder in folders.items())
        account.note(f"the folders below {root.name} are interpreted as splits: {named}")
    if class_names:
        shown = ", ".join(class_names[:5]) + (", …" if len(class_names) > 5 else "")
        account.note(f"class folders: {len(class_names):,} ({shown})")
