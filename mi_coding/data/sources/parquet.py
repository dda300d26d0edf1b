"""`parquet:PATH`: images or arrays in Parquet files as Hugging Face datasets write them; `save_to_disk` folders."""

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.cuts import number_groups
from mi_coding.data.dataset import Arrays, Dataset, Listing, Split, take
from mi_coding.data.images import ImageSpec, LazyImages
from mi_coding.data.sequences import as_sequences, padded
from mi_coding.data.sources.base import Source, one_line
from mi_coding.data.sources.shards import cut_rows, find_shards, number_labels, splits_of
from mi_coding.errors import InputError, Setting

_IMAGE_NAMES = ("image", "img", "images", "picture", "jpg", "png", "webp", "path", "file", "file_name", "bytes")
_LABEL_NAMES = ("label", "labels", "class", "target", "cls")
_CACHE_BYTES = 2**26  # of row groups that a process keeps
_MOST_OPEN = 64  # files that a process keeps open


class Rows:
    """The rows of several files at random access: row groups are read on demand; can be pickled."""

    def __init__(self, shards: list[Path]):
        self.shards, self.groups = shards, []  # groups: shard and number in it
        counts = []
        self._forget()
        for shard, path in enumerate(shards):
            opened = self._opened(shard)
            self.schema = opened.schema if shard == 0 else self.schema
            if opened.schema.names != self.schema.names:
                raise InputError(f"{path} has different columns from {shards[0]}; expected the same in each")
            self.groups += [(shard, number) for number in range(len(opened.counts))]
            counts += opened.counts
        self.ends = np.cumsum(np.array(counts, np.int64)).tolist()  # a list: `bisect` is faster for one row than NumPy
        of_shards = np.bincount([shard for shard, _ in self.groups], counts, minlength=len(shards)).astype(int)
        self.first_of_shard = (np.cumsum(of_shards) - of_shards).tolist()
        self.shard_of_rows = np.repeat(np.array([shard for shard, _ in self.groups], np.int32), counts)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_kept", "_lock", "_opened")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _forget(self) -> None:
        self._kept, self._lock = OrderedDict(), threading.Lock()
        self._opened = lru_cache(_MOST_OPEN)(self._open)  # the metadata of a file's groups is read once

    def _open(self, shard: int) -> "_Shard":
        return self._guard(shard, lambda: _Shard.open(self.shards[shard]))

    def _guard(self, shard: int, read: Callable[[], Any]) -> Any:
        import pyarrow

        try:
            return read()
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{self.shards[shard]} cannot be read: {one_line(error)}; write it again") from None

    def place(self, row: int) -> tuple[int, int]:
        """The group of a row, and its place there."""
        group = bisect_right(self.ends, row)
        return group, row - (self.ends[group - 1] if group else 0)

    def column(self, group: int, name: str) -> Any:
        """One column of a group, from the cache if it is there."""
        with self._lock:  # two threads would read the same group twice
            if (group, name) not in self._kept:
                self._kept[group, name] = self._read(*self.groups[group], name)
                while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > _CACHE_BYTES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end((group, name))
            return self._kept[group, name]

    def whole(self, name: str) -> list:
        """All groups of a column; they are not cached."""
        return [self._read(shard, number, name) for shard, number in self.groups]

    def _read(self, shard: int, number: int, name: str) -> Any:
        opened = self._opened(shard)
        return self._guard(shard, lambda: opened.read(number, name))


class RowImages(LazyImages):
    """Images of one column: bytes, paths, or structs of both."""

    def __init__(self, rows: Rows, chosen: np.ndarray, column: str, spec: ImageSpec):
        self._rows, self._chosen, self.column = rows, chosen, column
        super().__init__(len(chosen), spec)

    def name(self, i: int) -> str:
        return row_name(self._rows, int(self._chosen[i]))

    def encoded(self, i: int) -> Path | bytes:
        group, place = self._rows.place(int(self._chosen[i]))
        value = self._rows.column(group, self.column)[place].as_py()
        if isinstance(value, dict):
            value = value["bytes"] if value.get("bytes") is not None else value.get("path")
        if isinstance(value, str):
            return self._rows.shards[self._rows.groups[group][0]].parent / value
        return value or b""


def row_name(rows: Rows, row: int) -> str:
    """The name of a row for the user: its file, and its place there."""
    shard = bisect_right(rows.first_of_shard, row) - 1
    return f"{rows.shards[shard].name}[{row - rows.first_of_shard[shard]}]"


class Parquet(Source):
    """The rows of a Parquet file, a folder or glob of them, or a folder of `save_to_disk`.

    Columns: an image as bytes, as a path relative to its file, or as {bytes, path}; or x and y; or sequences; and
    perhaps a label: int, class names in the schema, or text. Names of files and folders give the
    splits, such as train-00000-of-00002.parquet or data/test/0.parquet. Other columns are noted in the account.
    """

    scheme = "parquet"
    example = "parquet:/path/to/shards"
    needs_size_to_stream = True
    groups_are = "a column"

    def load(self, spec: ImageSpec) -> Dataset:
        """The three splits: images still encoded, arrays in memory."""
        rows, whole, names, account = self._read(spec)
        labels = whole.labels
        groups = self._groups(rows, account)
        parts = cut_rows(self.setting, splits_of(rows.shards), rows.shard_of_rows, labels, account, groups)
        if isinstance(whole.examples, RowImages):
            images = [RowImages(rows, part, whole.examples.column, spec) for part in parts]
            made = [
                Split(one, None if labels is None else labels[part]) for one, part in zip(images, parts, strict=True)
            ]
        else:
            made = [take(whole, part) for part in parts]
        return Dataset(Path(self.argument).name, *made, names, account)

    def list_all(self, spec: ImageSpec) -> Listing:
        """All rows in the order of the files."""
        _, whole, names, account = self._read(spec)
        return Listing(whole, names, account)

    def _read(self, spec: ImageSpec) -> tuple[Rows, Split, list[str] | None, Account]:
        _check_installed(self.setting)
        rows = Rows(self._shards())
        if not len(rows.ends) or not rows.ends[-1]:
            raise InputError(self.setting, " has no rows; expected one per example")
        count, columns = rows.ends[-1], rows.schema.names
        label = next((name for name in _LABEL_NAMES if name in columns), None)
        arrays = next((chosen for chosen in (["x", "y"], ["sequences"]) if set(chosen) <= set(columns)), None)
        image = None if arrays else _image_column(rows.schema)
        if not arrays and not image:
            found = f" has columns {', '.join(columns)}; expected an image, x and y, or sequences, optionally label"
            raise InputError(self.setting, found)
        account = Account("images" if image else "examples", count)
        if others := [name for name in columns if name not in (image, label, self.group, *(arrays or ()))]:
            account.note(f"columns left out: {', '.join(others)}")
        labels, names = _labels(rows, label, account)
        if image:
            return rows, Split(RowImages(rows, np.arange(count), image, spec), labels), names, account
        if spec.image_size or spec.channels:
            raise InputError(self.setting, " holds no images to resize; expected 0 for image_size and channels")
        row_names = [row_name(rows, row) for row in range(count)]
        return rows, Split(_arrays(rows, arrays), labels, row_names), names, account

    def _groups(self, rows: Rows, account: Account) -> np.ndarray | None:
        if not self.group:
            return None
        if self.group not in rows.schema.names:
            found = f" is not a column; expected one of {', '.join(rows.schema.names)}"
            raise InputError(Setting("data.group", self.group), found)
        values = [value for part in rows.whole(self.group) for value in part.to_pylist()]
        if missing := sum(value is None for value in values):
            account.note(f"{missing:,} rows have no {self.group}: each is a group of its own")
        return number_groups([(i,) if value is None else str(value) for i, value in enumerate(values)], account)

    def _shards(self) -> list[Path]:
        folder = Path(self.argument).expanduser()
        states = sorted([*folder.glob("state.json"), *folder.glob("*/state.json")]) if folder.is_dir() else []
        if not states:
            return find_shards(self.setting, self.argument, ".parquet")
        try:
            return [
                state.parent / file["filename"]
                for state in states
                for file in json.loads(state.read_text())["_data_files"]
            ]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{states[0]} lists no data files; expected a folder of save_to_disk") from None


def _check_installed(setting: Setting) -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise InputError(setting, " needs pyarrow; pip install 'mi_coding[parquet]'") from None


class _Shard(NamedTuple):
    """An opened file."""

    schema: Any
    counts: list[int]  # rows of each group
    read: Callable[[int, str], Any]  # (number of a group, name of a column) → the column

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens a Parquet file, or maps an Arrow file, whose groups are its batches."""
        import pyarrow
        import pyarrow.parquet

        if path.suffix == ".arrow":
            stream = pyarrow.ipc.open_stream(pyarrow.memory_map(str(path)))
            batches = list(stream)
            counts = [batch.num_rows for batch in batches]
            return cls(stream.schema, counts, lambda number, name: batches[number].column(name))
        file = pyarrow.parquet.ParquetFile(path)
        counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]

        def read(number: int, name: str) -> Any:
            return file.read_row_group(number, [name], use_threads=False).column(name)

        return cls(file.schema_arrow, counts, read)


def _image_column(schema: Any) -> str | None:
    import pyarrow.types as kinds

    def holds(kind: Any) -> bool:
        return kinds.is_binary(kind) or kinds.is_large_binary(kind) or (kinds.is_struct(kind) and is_pair(kind))

    def is_pair(kind: Any) -> bool:
        return kind.get_field_index("bytes") >= 0

    for name in _IMAGE_NAMES:
        if name in schema.names:
            kind = schema.field(name).type
            if holds(kind) or kinds.is_string(kind) or kinds.is_large_string(kind):
                return name
    others = [field.name for field in schema if holds(field.type)]
    return others[0] if len(others) == 1 else None


def _labels(rows: Rows, name: str | None, account: Account) -> tuple[np.ndarray | None, list[str] | None]:
    if name is None:
        return None, None
    found = [label for part in rows.whole(name) for label in part.to_pylist()]
    if wrong := [label for label in found if label is not None and not isinstance(label, int | str)]:
        raise InputError(f"{rows.shards[0]}: {name} holds {str(wrong[0])[:50]}; expected whole numbers or text")
    found = [None if label == -1 else label for label in found]  # how Hugging Face hides a label
    labels, names = number_labels(found, account)
    metadata = json.loads((rows.schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = metadata.get("info", {}).get("features", {}).get(name, {})
    return labels, names or (feature.get("names") if isinstance(feature, dict) else None)


def _arrays(rows: Rows, names: list[str]) -> Arrays:
    columns = [[value for part in rows.whole(name) for value in part.to_pylist()] for name in names]
    if len(names) == 1:
        return as_sequences(rows.shards[0], padded(_steps(rows, columns[0])))
    arrays = []
    for name, values in zip(names, columns, strict=True):
        array = _as_array(rows, name, values)
        if missing := array.size - np.count_nonzero(np.isfinite(array)):
            raise InputError(f"{rows.shards[0]}: {missing:,} of {array.size:,} values of {name} are NaN or infinite")
        arrays.append(array[:, None] if array.ndim == 1 else array)
    return tuple(arrays)


def _steps(rows: Rows, sequences: list) -> list[np.ndarray]:
    """float32[T, channels] of each row."""
    parts = [_as_array(rows, "sequences", value) for value in sequences]
    if wrong := [i for i, part in enumerate(parts) if part.ndim == 0 or not part.size]:
        found = f"{rows.shards[0]}: {len(wrong):,} of {len(parts):,} sequences are no list, or empty"
        raise InputError(f"{found}, such as row {wrong[0]}; expected the steps of one sequence in each row")
    parts = [part.reshape(len(part), -1) for part in parts]
    if differ := [i for i, part in enumerate(parts) if part.shape[1] != parts[0].shape[1]]:
        found = f"row {differ[0]} has {parts[differ[0]].shape[1]} channels and row 0 has {parts[0].shape[1]}"
        raise InputError(f"{rows.shards[0]}: {found}; expected as many in each of {len(parts):,} sequences")
    return parts


def _as_array(rows: Rows, name: str, values: list) -> np.ndarray:
    try:
        return np.array(values, np.float32)
    except (ValueError, TypeError) as error:
        found = f"{rows.shards[0]}: {name} is not an array: {one_line(error)}"
        raise InputError(f"{found}; expected numbers, equally many in each row") from None
