"""Codes on disk, row by row: .npz, .parquet or .csv, in the memory of a few rows, atomically."""

import csv
import importlib.util
import os
import shutil
import tempfile
import zipfile
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_ROW_GROUP = 8192  # rows of a parquet file that are written together
_COPIED_BYTES = 2**24  # at a time


class Columns(NamedTuple):
    """What a file of codes holds."""

    dim: int  # D, numbers in a code
    dtype: str  # of the codes, such as "float32"
    with_labels: bool
    class_names: Sequence[str] | None  # what label 0, 1, … stands for
    longest_name: int  # characters of the longest name of an example


class CodesFile(AbstractContextManager):
    """A file that grows by rows, and appears under its name once it is complete.

    Where the block ends in an error nothing is left behind, and a file that was there before stays.
    """

    def __init__(self, path: Path, columns: Columns):
        """Opens a temporary file in the folder of `path`; an OSError where that is missing or cannot be written."""
        self.path, self.columns, self.num_rows = path, columns, 0
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # a rename cannot cross disks
        self._temporary.touch()

    def write(self, codes: np.ndarray, names: Sequence[str], labels: np.ndarray | None) -> None:
        """Appends rows: codes [m, D] with a name and a label each."""
        columns = {"path": names, "codes": np.ascontiguousarray(codes, self.columns.dtype)}
        if self.columns.with_labels:
            columns["label"] = labels
        if (class_names := self.columns.class_names) is not None:
            columns["class"] = [class_names[label] if label >= 0 else "" for label in labels.tolist()]
        self._append(columns)
        self.num_rows += len(codes)

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            self._close(complete=kind is None)
            if kind is None:
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    @abstractmethod
    def _append(self, columns: dict[str, Any]) -> None: ...

    @abstractmethod
    def _close(self, *, complete: bool) -> None: ...


class _Npz(CodesFile):
    """Arrays `codes`, `paths` and, where there are, `labels` and `class_names`; what np.load reads without pickle.

    How many rows there are is known at the end, and stands at the beginning of an array: the rows wait in files of
    their own.
    """

    def __init__(self, path: Path, columns: Columns):
        super().__init__(path, columns)
        self._types = {"codes": np.dtype(columns.dtype), "paths": np.dtype(f"<U{max(1, columns.longest_name)}")}
        if columns.with_labels:
            self._types["labels"] = np.dtype(np.int32)
        self._rows = {name: tempfile.TemporaryFile(dir=path.parent) for name in self._types}  # noqa: SIM115 (see _close)

    def _append(self, columns: dict[str, Any]) -> None:
        for name, dtype in self._types.items():
            column = {"codes": "codes", "paths": "path", "labels": "label"}[name]
            self._rows[name].write(np.asarray(columns[column], dtype).tobytes())

    def _close(self, *, complete: bool) -> None:
        if complete:
            with zipfile.ZipFile(self._temporary, "w", zipfile.ZIP_STORED) as archive:
                for name, rows in self._rows.items():
                    self._write_array(archive, name, rows)
                if self.columns.class_names is not None:
                    with archive.open("class_names.npy", "w") as file:
                        np.lib.format.write_array(file, np.array(self.columns.class_names), allow_pickle=False)
        for rows in self._rows.values():
            rows.close()

    def _write_array(self, archive: zipfile.ZipFile, name: str, rows: Any) -> None:
        shape = (self.num_rows, self.columns.dim) if name == "codes" else (self.num_rows,)
        descr = np.lib.format.dtype_to_descr(self._types[name])
        with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_2_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
            rows.seek(0)
            shutil.copyfileobj(rows, file, _COPIED_BYTES)


class _Parquet(CodesFile):
    """Columns `path`, `codes` (a list of D numbers) and, where there are, `label` and `class`."""

    def __init__(self, path: Path, columns: Columns):
        import pyarrow
        from pyarrow import parquet

        super().__init__(path, columns)
        self._arrow = pyarrow
        number = pyarrow.from_numpy_dtype(np.dtype(columns.dtype))
        fields = [("path", pyarrow.string()), ("codes", pyarrow.list_(number, columns.dim))]
        fields += [("label", pyarrow.int32())] if columns.with_labels else []
        fields += [("class", pyarrow.string())] if columns.class_names is not None else []
        self._schema = pyarrow.schema(fields)
        self._writer = parquet.ParquetWriter(self._temporary, self._schema)
        self._waiting: list[Any] = []

    def _append(self, columns: dict[str, Any]) -> None:
        codes, schema = columns.pop("codes"), self._schema
        columns["path"] = map(_as_text, columns["path"])
        arrays = {name: self._arrow.array(column, schema.field(name).type) for name, column in columns.items()}
        arrays["codes"] = self._arrow.FixedSizeListArray.from_arrays(codes.ravel(), codes.shape[1])
        self._waiting.append(self._arrow.record_batch([arrays[name] for name in schema.names], schema=schema))
        if sum(map(len, self._waiting)) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._arrow.Table.from_batches(self._waiting, self._schema))
            self._waiting.clear()

    def _close(self, *, complete: bool) -> None:
        if complete:
            self._flush()
        self._writer.close()


class _Csv(CodesFile):
    """A line of names, then path, label, class and z0, z1, …; nine digits, which give back a float32 exactly."""

    def __init__(self, path: Path, columns: Columns):
        super().__init__(path, columns)
        self._file = self._temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        self._lines = csv.writer(self._file, lineterminator="\n")
        labels = ["label"] * columns.with_labels + ["class"] * (columns.class_names is not None)
        self._lines.writerow(["path", *labels, *(f"z{i}" for i in range(columns.dim))])
        self._form = "%.9g" if np.issubdtype(columns.dtype, np.floating) else "%d"

    def _append(self, columns: dict[str, Any]) -> None:
        codes = columns.pop("codes").tolist()
        for *first, code in zip(*columns.values(), codes, strict=True):
            self._lines.writerow([*first, *(self._form % value for value in code)])

    def _close(self, *, complete: bool) -> None:
        self._file.close()


def _as_text(name: str) -> str:
    """The name of a file, which on Linux may be no text at all, as text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


CODES_FILES: dict[str, type[CodesFile]] = {".npz": _Npz, ".parquet": _Parquet, ".csv": _Csv}  # how a file ends → writer


def check_output_path(path: Path) -> str | None:
    """Why codes cannot be written to a file, in one line; None where they can. Nothing is written.

    >>> check_output_path(Path("codes.txt"))
    '--output=codes.txt ends in .txt; expected .npz, .parquet, .csv'
    """
    if path.suffix not in CODES_FILES:
        ending = f"ends in {path.suffix}" if path.suffix else "has no ending"
        return f"--output={path} {ending}; expected {', '.join(CODES_FILES)}"
    if path.is_dir():
        return f"--output={path} is a folder; expected a file, such as {path / 'codes.npz'}"
    if not path.absolute().parent.is_dir():
        return f"--output={path} lies in {path.parent}, which is no folder; make it first"
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        return f"--output={path} lies in {path.parent}, which cannot be written to"
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        return f"--output={path} needs pyarrow; pip install 'mi_coding[parquet]', or choose .npz or .csv"
    return None
