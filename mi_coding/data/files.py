"""Files below a folder: which of them are examples, and how many others there are."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mi_coding.data.account import Account
from mi_coding.data.images import is_image_file
from mi_coding.data.sounds import is_sound_file

# Folders that archives, file servers and file systems create, in addition to hidden ones.
_NOT_DATA = ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found")
_HIDDEN = "hidden or of the system"  # the reason for leaving these out


class FileKind(NamedTuple):
    """A kind of files that can be examples."""

    noun: str
    readers: str  # what is expected of them, for a message
    is_one: Callable[[str], bool]


IMAGES = FileKind("image", "files that Pillow reads, such as PNG or JPEG", is_image_file)
SOUNDS = FileKind("sound file", "files that libsndfile reads, such as WAV or FLAC", is_sound_file)


class Files(NamedTuple):
    """Finds files of one kind; others are counted in an account, by suffix, and hidden ones together."""

    kind: FileKind
    account: Account

    def leave_out(self, reason: str, names: list[str]) -> None:
        """Counts files that are found and left out."""
        self.account.found += len(names)
        self.account.leave_out(reason, names)

    def inside(self, folder: Path) -> list[str]:
        """Names of the files directly in a folder, sorted."""
        found = []
        for entry in folder.iterdir():
            if not entry.is_dir():
                found += [entry.name] if self._takes(str(folder), entry.name) else []
            elif not _may_be_data(entry.name):
                self.leave_out(_HIDDEN, _files_below(entry))
        return sorted(found)

    def below(self, folder: Path) -> list[str]:
        """Sorted paths relative to `folder`, see `_walk`."""
        return sorted(self._walk(folder))

    def are_below(self, folder: Path) -> bool:
        """Whether there is such a file below a folder; nothing is counted."""
        return any(True for _ in self._replace(account=Account())._walk(folder))

    def _walk(self, folder: Path) -> Iterator[str]:
        """Paths relative to `folder`; symbolic links are followed, and no folder is visited twice."""
        seen = set()
        for parent, folders, names in os.walk(folder, followlinks=True):
            real = os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            for name in folders:
                if not _may_be_data(name):
                    self.leave_out(_HIDDEN, _files_below(Path(parent, name)))
            folders[:] = sorted(name for name in folders if _may_be_data(name))
            start = os.path.relpath(parent, folder)
            taken = (name for name in names if self._takes(parent, name))
            yield from (name if start == "." else os.path.join(start, name) for name in taken)

    def _takes(self, parent: str, name: str) -> bool:
        """Whether a file is of this kind; if not, it is counted.

        Folders hold millions of files, so names stay text here: a `Path` for each would take most of the time.
        """
        is_hidden = name.startswith(".")
        if not is_hidden and self.kind.is_one(os.path.join(parent, name)):
            return True
        article = "an" if self.kind.noun[0] in "aeiou" else "a"
        other = f"not {article} {self.kind.noun}, {Path(name).suffix.lower() or 'no suffix'}"
        self.leave_out(_HIDDEN if is_hidden else other, [name])
        return False


def subfolders(folder: Path) -> list[Path]:
    """The folders that may hold data, sorted."""
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and _may_be_data(entry.name))


def _may_be_data(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NOT_DATA


def _files_below(folder: Path) -> list[str]:
    return [os.path.join(folder.name, name) for _, _, names in os.walk(folder) for name in names]
