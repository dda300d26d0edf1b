"""`webdataset:GLOB`: images and labels in shards of uncompressed tar files, one key per example."""

import json
import os
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.cuts import groups_by_name
from mi_coding.data.dataset import Dataset, Listing, Split
from mi_coding.data.images import ImageSpec, LazyImages
from mi_coding.data.sources.base import Source, one_line
from mi_coding.data.sources.shards import cut_rows, find_shards, number_labels, splits_of
from mi_coding.errors import InputError

_IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
_LABEL_KEYS = ("label", "cls", "class")  # of a .json member


@dataclass
class _Index:
    """Where the image of each key is, and what its label is."""

    shards: list[Path]
    keys: list[str] = field(default_factory=list)
    places: list[tuple[int, int, int]] = field(default_factory=list)  # shard, offset and size in bytes
    labels: list[str | int | None] = field(default_factory=list)
    imageless: list[str] = field(default_factory=list)
    unknown: Counter = field(default_factory=Counter)  # by ending

    def scan(self, number: int) -> None:
        """Adds one shard."""
        path, found = self.shards[number], {}
        size = path.stat().st_size
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    tar.members = []  # else a million headers stay in memory
                    if not member.isfile():
                        continue
                    if member.offset_data + member.size > size:
                        raise tarfile.ReadError(f"ends within {member.name}")
                    folder, _, name = member.name.rpartition("/")
                    key, _, ending = name.partition(".")
                    found.setdefault(f"{folder}/{key}" if folder else key, {})[ending.lower()] = member
        except (tarfile.TarError, OSError) as error:
            problem = f"{path} cannot be read: {one_line(error)}; expected a whole tar file, not compressed"
            raise InputError(problem) from None
        for key, members in found.items():
            self._add(number, key, members)

    def _add(self, number: int, key: str, members: dict[str, tarfile.TarInfo]) -> None:
        image = next((members[ending] for ending in _IMAGES if ending in members), None)
        used = {"cls", "json"} | ({image.name.rpartition("/")[2].partition(".")[2].lower()} if image else set())
        self.unknown.update(ending for ending in members if ending not in used)
        if image is None:
            self.imageless.append(f"{self.shards[number].name}/{key}")
            return
        self.keys.append(key)
        self.places.append((number, image.offset_data, image.size))
        self.labels.append(_label(self.shards[number], members))


class TarImages(LazyImages):
    """Members of tar files; a file is open only while it is read, so that processes share nothing."""

    def __init__(self, shards: list[Path], keys: list[str], places: np.ndarray, spec: ImageSpec):
        self._shards, self._keys, self._places = shards, keys, places
        super().__init__(len(keys), spec)

    def name(self, i: int) -> str:
        return f"{self._shards[self._places[i, 0]].name}/{self._keys[i]}"

    def encoded(self, i: int) -> bytes:
        number, offset, size = self._places[i].tolist()
        return _pread(self._shards[number], offset, size)


class Webdataset(Source):
    """The examples of tar shards, whose path, folder or glob is the argument.

    Members with a common key, the path up to the name's first dot, are one example: an image (.jpg, .png, .webp …)
    and perhaps a label: .cls, or the entry label, cls or class of .json. The names of shards give the splits, such as
    train-000000.tar. Other members are counted in the account.
    """

    scheme = "webdataset"
    example = "webdataset:/path/to/train-*.tar"
    needs_size_to_stream = True
    groups_are = "a pattern of keys"

    def load(self, spec: ImageSpec) -> Dataset:
        """The three splits, still encoded."""
        index, labels, names, account = self._index()
        places = np.array(index.places, np.int64)
        groups = groups_by_name(index.keys, self.group, account)
        parts = cut_rows(self.setting, splits_of(index.shards), places[:, 0], labels, account, groups)
        made = (
            Split(
                TarImages(index.shards, [index.keys[i] for i in rows.tolist()], places[rows], spec),
                None if labels is None else labels[rows],
            )
            for rows in parts
        )
        return Dataset(index.shards[0].parent.resolve().name, *made, names, account)

    def list_all(self, spec: ImageSpec) -> Listing:
        """All images, still encoded, in the order of the shards and of their members."""
        index, labels, names, account = self._index()
        images = TarImages(index.shards, index.keys, np.array(index.places, np.int64), spec)
        return Listing(Split(images, labels), names, account)

    def _index(self) -> tuple[_Index, np.ndarray | None, list[str] | None, Account]:
        index = _Index(find_shards(self.setting, self.argument, ".tar"))
        for number in range(len(index.shards)):
            index.scan(number)
        if not index.keys:
            raise InputError(self.setting, f" holds no image; expected members such as {', '.join(_IMAGES[:4])}")
        account = Account("images", len(index.keys) + len(index.imageless))
        account.leave_out("without an image", index.imageless)
        if index.unknown:
            listed = ", ".join(f".{ending} ({count:,})" for ending, count in index.unknown.most_common(5))
            account.note(f"{index.unknown.total():,} members that are neither image nor label are left out: {listed}")
        return index, *number_labels(index.labels, account), account


def _label(shard: Path, members: dict[str, tarfile.TarInfo]) -> str | int | None:
    if "cls" in members:
        return _read(shard, members["cls"]).decode(errors="replace").strip() or None
    if "json" not in members:
        return None
    try:
        entries = json.loads(_read(shard, members["json"]))
    except ValueError as error:
        raise InputError(f"{shard}: {members['json'].name} is not JSON: {one_line(error)}") from None
    found = entries if isinstance(entries, dict) else {}
    label = next((found[key] for key in _LABEL_KEYS if key in found), None)
    return label if isinstance(label, str | int) else None


def _read(shard: Path, member: tarfile.TarInfo) -> bytes:
    return _pread(shard, member.offset_data, member.size)


def _pread(path: Path, offset: int, size: int) -> bytes:
    opened = os.open(path, os.O_RDONLY)
    try:
        return os.pread(opened, size, offset)
    finally:
        os.close(opened)
