"""Codes on disk, row by row: .npz, .parquet or .csv, in the memory of a few rows, atomically."""

import csv
import importlib.util
import os
import re
import shutil
import tempfile
import zipfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from mi_coding.reporting.files import write_atomically

_ROW_GROUP = 8192  # rows of a parquet file that are written together
_COPIED_BYTES = 2**24  # at a time
_LONGEST_SPLIT = len("validation")


class Columns(NamedTuple):
    """What a file of codes holds."""

    dim: int  # D, numbers in a code
    dtype: str  # of the codes, such as "float32"
    with_labels: bool
    class_names: Sequence[str] | None  # what label 0, 1, … stands for
    longest_name: int  # characters of the longest name of an example
    more: Mapping[str, str] = MappingProxyType({})  # name → type of further columns, "float32" or "string"


class CodesFile(AbstractContextManager):
    """A file that is written row by row, and appears under its name once it is complete.

    Where the `with` block ends in an error nothing is left behind, and a file that existed before stays.
    """

    def __init__(self, path: Path, columns: Columns):
        """Opens a temporary file in the folder of `path`; an OSError where that is missing or cannot be written."""
        self.path, self.columns, self.num_rows = path, columns, 0
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # a rename cannot cross disks
        self._temporary.touch()

    def write(
        self,
        codes: np.ndarray,
        names: Sequence[str],
        labels: np.ndarray | None,
        more: Mapping[str, Sequence[Any]] = MappingProxyType({}),
    ) -> None:
        """Appends rows: codes [m, D] with a name, a label and the values of further columns each."""
        columns = {"path": names, "codes": np.ascontiguousarray(codes, self.columns.dtype)}
        if self.columns.with_labels:
            columns["label"] = labels
        if (class_names := self.columns.class_names) is not None:
            columns["class"] = [class_names[label] if label >= 0 else "" for label in labels.tolist()]
        self._append(columns | dict(more))
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
    """Arrays `codes`, `paths` and, if there are any, `labels` and `class_names`, which np.load reads without pickle.

    The number of rows is known only at the end, but is written at the beginning of an array: until then the rows are
    kept in temporary files.
    """

    def __init__(self, path: Path, columns: Columns):
        super().__init__(path, columns)
        self._types = {"codes": np.dtype(columns.dtype), "paths": np.dtype(f"<U{max(1, columns.longest_name)}")}
        if columns.with_labels:
            self._types["labels"] = np.dtype(np.int32)
        widths = {"float32": "float32", "string": f"<U{max(_LONGEST_SPLIT, columns.longest_name)}"}
        self._types |= {name: np.dtype(widths[kind]) for name, kind in columns.more.items()}
        self._rows = {name: tempfile.TemporaryFile(dir=path.parent) for name in self._types}  # noqa: SIM115 (see _close)

    def _append(self, columns: dict[str, Any]) -> None:
        for name, dtype in self._types.items():
            column = {"paths": "path", "labels": "label"}.get(name, name)
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
    """Columns `path`, `codes` (a list of D numbers) and, if there are any, `label` and `class`."""

    def __init__(self, path: Path, columns: Columns):
        import pyarrow
        from pyarrow import parquet

        super().__init__(path, columns)
        self._arrow = pyarrow
        number = pyarrow.from_numpy_dtype(np.dtype(columns.dtype))
        fields = [("path", pyarrow.string()), ("codes", pyarrow.list_(number, columns.dim))]
        fields += [("label", pyarrow.int32())] if columns.with_labels else []
        fields += [("class", pyarrow.string())] if columns.class_names is not None else []
        fields += [(name, getattr(pyarrow, kind)()) for name, kind in columns.more.items()]
        self._schema = pyarrow.schema(fields)
        self._writer = parquet.ParquetWriter(self._temporary, self._schema)
        self._waiting: list[Any] = []

    def _append(self, columns: dict[str, Any]) -> None:
        codes, schema = columns.pop("codes"), self._schema
        texts = ["path", *(name for name, kind in self.columns.more.items() if kind == "string")]
        columns |= {name: map(_as_text, columns[name]) for name in texts}
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
    """A header line, then path, label, class and z0, z1, …; nine digits, which restore a float32 exactly."""

    def __init__(self, path: Path, columns: Columns):
        super().__init__(path, columns)
        self._file = self._temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        self._lines = csv.writer(self._file, lineterminator="\n")
        labels = ["label"] * columns.with_labels + ["class"] * (columns.class_names is not None)
        self._lines.writerow(["path", *labels, *columns.more, *(f"z{i}" for i in range(columns.dim))])
        self._form = "%.9g" if np.issubdtype(columns.dtype, np.floating) else "%d"

    def _append(self, columns: dict[str, Any]) -> None:
        codes = columns.pop("codes").tolist()
        for *first, code in zip(*columns.values(), codes, strict=True):
            self._lines.writerow([*first, *(self._form % value for value in code)])

    def _close(self, *, complete: bool) -> None:
        self._file.close()


_EMBEDDINGS = re.compile(r"embeddings \{\n.*?\n\}\n", re.DOTALL)
"""One file of codes in the config of the projector, which may have several in a folder."""


class _Tsv(CodesFile):
    """What the TensorBoard projector loads: the codes, the other columns in .metadata.tsv beside them, and a config.

    Metadata of a single column has no header line, as the projector requires.
    """

    def __init__(self, path: Path, columns: Columns):
        super().__init__(path, columns)
        self._beside = self._temporary.with_suffix(".metadata")
        self._metadata_path = path.with_suffix(".metadata.tsv")
        self._codes, self._metadata = (
            one.open("w", encoding="utf-8", errors="surrogateescape", newline="")
            for one in (self._temporary, self._beside)
        )
        names = [
            "path",
            *["label"] * columns.with_labels,
            *["class"] * (columns.class_names is not None),
            *columns.more,
        ]
        if len(names) > 1:
            self._metadata.write("\t".join(names) + "\n")
        self._form = "%.9g" if np.issubdtype(columns.dtype, np.floating) else "%d"

    def _append(self, columns: dict[str, Any]) -> None:
        for code in columns.pop("codes").tolist():
            self._codes.write("\t".join(self._form % value for value in code) + "\n")
        for row in zip(*columns.values(), strict=True):
            self._metadata.write("\t".join(" ".join(str(cell).split()) for cell in row) + "\n")

    def _close(self, *, complete: bool) -> None:
        self._codes.close()
        self._metadata.close()
        if not complete:
            self._beside.unlink(missing_ok=True)
            return
        os.replace(self._beside, self._metadata_path)
        paths = f'tensor_path: "{self.path.name}"\n  metadata_path: "{self._metadata_path.name}"'
        own = f'embeddings {{\n  tensor_name: "{self.path.stem}"\n  {paths}\n}}\n'
        config = self.path.with_name("projector_config.pbtxt")
        before = config.read_text(encoding="utf-8") if config.is_file() else ""
        others = [one for one in _EMBEDDINGS.findall(before) if f'tensor_path: "{self.path.name}"' not in one]
        write_atomically(config, "".join([*others, own]))


def _as_text(name: str) -> str:
    """The name of a file as text; on Linux it may contain bytes that are not valid text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


CODES_FILES: dict[str, type[CodesFile]] = {".npz": _Npz, ".parquet": _Parquet, ".csv": _Csv, ".tsv": _Tsv}
"""File ending → the class that writes it."""


def check_output_path(path: Path) -> str | None:
    """Why codes cannot be written to a file, in one line; None where they can. Nothing is written.

    >>> check_output_path(Path("codes.txt"))
    '--output=codes.txt ends in .txt; expected .npz, .parquet, .csv, .tsv'
    """
    if path.suffix not in CODES_FILES:
        ending = f"ends in {path.suffix}" if path.suffix else "has no ending"
        return f"--output={path} {ending}; expected {', '.join(CODES_FILES)}"
    if path.is_dir():
        return f"--output={path} is a folder; expected a file, such as {path / 'codes.npz'}"
    if not path.absolute().parent.is_dir():
        return f"--output={path} lies in {path.parent}, which is not a folder; make it first"
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        return f"--output={path} lies in {path.parent}, which cannot be written to"
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        return f"--output={path} needs pyarrow; pip install 'mi_coding[parquet]', or choose .npz or .csv"
    return None
