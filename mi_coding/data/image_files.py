"""Files below a folder: which of them are images, and how many others there are."""

import os
from collections.abc import Iterator
from pathlib import Path

from mi_coding.data.account import Account
from mi_coding.data.images import is_image_file

# Folders that archives, file servers and file systems leave, beside hidden ones.
_NOT_DATA = ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found")
_HIDDEN = "hidden or of the system"  # the reason for which these are left out


def leave_out(account: Account, reason: str, names: list[str]) -> None:
    """Counts files that are found and left out."""
    account.found += len(names)
    account.leave_out(reason, names)


def subfolders(folder: Path) -> list[Path]:
    """The folders that may hold data, sorted."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and _may_be_data(entry.name))


def _may_be_data(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NOT_DATA


def images_in(folder: Path, account: Account) -> list[str]:
    """Names of the images that lie in a folder itself, sorted."""
    found = []
    for entry in folder.iterdir():
        if not entry.is_dir():
            found += [entry.name] if _is_image(str(folder), entry.name, account) else []
        elif not _may_be_data(entry.name):
            leave_out(account, _HIDDEN, _files_below(entry))
    return sorted(found)


def _files_below(folder: Path) -> list[str]:
    return [os.path.join(folder.name, name) for _, _, names in os.walk(folder) for name in names]


def holds_image(folder: Path) -> bool:
    """Whether there is an image below a folder."""
    return any(True for _ in _walk(folder, Account()))


def images_below(folder: Path, account: Account) -> list[str]:
    """Sorted paths relative to `folder`, see `_walk`."""
    return sorted(_walk(folder, account))


def _walk(folder: Path, account: Account) -> Iterator[str]:
    """Paths of images relative to `folder`; symbolic links are followed, and no folder is visited twice."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in folders:
            if not _may_be_data(name):
                leave_out(account, _HIDDEN, _files_below(Path(parent, name)))
        folders[:] = sorted(name for name in folders if _may_be_data(name))
        start = os.path.relpath(parent, folder)
        images = (name for name in names if _is_image(parent, name, account))
        yield from (name if start == "." else os.path.join(start, name) for name in images)


def _is_image(parent: str, name: str, account: Account) -> bool:
    """Whether a file is an image; others are counted by their suffix, and hidden ones together.

    Folders hold millions of files, so names stay text here: a `Path` for each would take most of the time.
    """
    is_hidden = name.startswith(".")
    if not is_hidden and is_image_file(os.path.join(parent, name)):
        return True
    leave_out(account, _HIDDEN if is_hidden else f"not an image, {Path(name).suffix.lower() or 'no suffix'}", [name])
    return False
