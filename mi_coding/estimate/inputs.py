"""What may be passed as an array of pairs: NumPy, JAX, pandas, polars, SciPy sparse; of numbers, symbols or dates."""

import datetime
import numbers
from typing import Any, NamedTuple

import numpy as np

from mi_coding.errors import InputError

FEWEST, MOST_COLUMNS = 50, 10_000
"""Rows below which no interval is valid; columns beyond which a dense covariance does not fit in memory."""

MOST_SPARSE = 10**8
"""Most elements of a sparse matrix that is converted to a dense one."""

MISSING = ("error", "drop")
"""What `missing` may be."""

_FEWEST_NUMBERS, _MOST_OTHERS = 32, 2  # different strings: fewer numbers, or more others, may be names of classes


class Table(NamedTuple):
    """One of the arrays, validated.

    Attributes:
        array: float64 or int64 [n, d]; symbols are encoded by their index in sorted order.
        nominal: bool[d], columns whose values have no order: strings, booleans and categories.
        names: of the columns.
        missing: bool[n], rows with a missing value; the array holds a meaningless number in its place.
        index: the row index of a table that has one; else None.
    """

    array: np.ndarray
    nominal: np.ndarray
    names: tuple[str, ...]
    missing: np.ndarray
    index: Any = None

    def take(self, rows: np.ndarray) -> "Table":
        """The table of these rows."""
        return self._replace(array=self.array[rows], missing=self.missing[rows])

    def beside(self, other: "Table") -> "Table":
        """Both tables side by side."""
        array = np.concatenate([self.array, other.array], axis=1)
        nominal = np.concatenate([self.nominal, other.nominal])
        return Table(array, nominal, self.names + other.names, self.missing | other.missing, self.index)


def read_tables(arrays: dict[str, object], missing: str) -> tuple[dict[str, Table], np.ndarray, list[str]]:
    """The tables of arrays by name, all of the same rows; bool[n], which rows were kept; and warnings.

    Args:
        arrays: by the name that messages use for them.
        missing: "error", or "drop" to leave out the rows in which any array lacks a value.
    Raises:
        InputError: for what cannot be estimated from, in one line.
    """
    if missing not in MISSING:
        raise InputError(f"missing={missing!r} is unknown; expected one of {', '.join(map(repr, MISSING))}")
    tables = {name: read(name, values) for name, values in arrays.items()}
    (first, one), *others = tables.items()
    for name, table in others:
        if len(table.array) != len(one.array):
            counts = f"{first} has {len(one.array)} rows and {name} has {len(table.array)}"
            raise InputError(f"{counts}; row i of both must be one pair")
        if one.index is not None and table.index is not None and not one.index.equals(table.index):
            alike = sorted(map(str, one.index)) == sorted(map(str, table.index))
            what = "the same labels in another order" if alike else "other labels"
            raise InputError(f"the index of {name} has {what} than that of {first}; align them, or pass .to_numpy()")
    is_missing = np.any([table.missing for table in tables.values()], axis=0)
    warnings = []
    if is_missing.any():
        if missing == "error":
            counts = (
                f"{name} in {table.missing.sum():,} rows" for name, table in tables.items() if table.missing.any()
            )
            raise InputError(f"values are missing: {', '.join(counts)}; pass missing='drop', or fill them")
        warnings = [f"{is_missing.sum():,} of {len(is_missing):,} rows have missing values and were left out"]
        tables = {name: table.take(~is_missing) for name, table in tables.items()}
    for name, table in tables.items():
        _check(name, table)
    return tables, ~is_missing, warnings


def read(name: str, values: object) -> Table:
    """One array as a table; only its form is checked.

    >>> read("x", np.array(["b", "a"] * 30)).array[:3].ravel().tolist()
    [1, 0, 1]

    Raises:
        InputError: for anything but an array [n] or [n, d] of numbers, symbols or dates, or images or sequences of
            numbers.
    """
    if isinstance(values, Table):  # derived from other tables, which know their nominal columns
        return values
    if hasattr(values, "iloc"):  # pandas
        return _read_frame(name, values)
    if hasattr(values, "get_columns") or hasattr(values, "to_physical"):  # polars
        return _read_polars(name, values)
    if hasattr(values, "toarray"):  # SciPy sparse
        if np.prod(values.shape) > MOST_SPARSE:
            shape = " × ".join(f"{side:,}" for side in values.shape)
            raise InputError(f"{name} is sparse, of {shape}, which does not fit in memory; reduce it first")
        values = values.toarray()
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    try:
        array = np.asarray(np.ma.getdata(values) if mask is not None else values)
        if isinstance(values, list | tuple) and array.dtype.kind in "US":  # numbers beside text are text there
            array = np.array(values, object)
    except ValueError as error:  # rows of several lengths
        raise InputError(f"{name} is not an array: {str(error).splitlines()[0]}") from error
    if not 1 <= array.ndim <= 4 or array.size == 0:
        expected = "[n], [n, d], or for images and sequences [n, h, w] or [n, h, w, c], one row for each pair"
        raise InputError(f"{name} has shape {array.shape}; expected {expected}")
    array = array.reshape(len(array), -1)
    _check_width(name, array.shape[1])
    names = tuple(map(str, range(array.shape[1]))) if array.shape[1] > 1 else (name,)
    if array.dtype == object or array.dtype.kind in "USMm":
        columns = [_column(name, column) for column in array.T]
        table = _joined(columns, names)
    else:
        if array.dtype.kind == "V" and "float" in str(array.dtype):  # bfloat16 and its like
            array = array.astype(np.float32)
        if array.dtype.kind not in "iufb":
            raise InputError(f"{name} has dtype {array.dtype}; expected floats, integers, booleans, strings or dates")
        nominal = np.full(array.shape[1], array.dtype.kind == "b")
        is_missing = np.isnan(array).any(axis=1) if array.dtype.kind == "f" else np.zeros(len(array), bool)
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
        table = Table(array, nominal, names, is_missing)
    if mask is not None:
        table = table._replace(missing=table.missing | mask.reshape(len(array), -1).any(axis=1))
    return table


def _read_frame(name: str, values: Any) -> Table:
    frame = values.to_frame() if values.ndim == 1 else values
    if not len(frame) or not frame.shape[1]:
        raise InputError(f"{name} has shape {frame.shape}; expected at least a row and a column")
    _check_width(name, frame.shape[1])
    columns = []
    for label, (_, column) in zip(frame.columns, frame.items(), strict=True):
        is_missing = column.isna().to_numpy()
        if hasattr(column, "cat"):
            found = column.cat.codes.to_numpy().astype(np.int64), True
        elif column.dtype.kind in "OUS" or str(column.dtype).startswith("str"):
            found = _column(f"{name}[{label!r}]", column.to_numpy(object))[:2]
        elif column.dtype.kind in "Mm":
            found = column.to_numpy(f"{column.dtype.kind}8[ns]").astype(np.int64), False
        else:  # also nullable ones
            kind = column.dtype.kind
            if kind not in "iufb":
                raise InputError(f"{name}[{label!r}] has dtype {column.dtype}; expected numbers, symbols or dates")
            whole = kind in "iub"
            floats = column.to_numpy(np.float64, na_value=np.nan)
            found = (np.nan_to_num(floats).astype(np.int64) if whole else floats), kind == "b"
        columns.append((*found, is_missing))
    names = tuple(str(name if label is None else label) for label in frame.columns)
    return _joined(columns, names)._replace(index=frame.index)


def _read_polars(name: str, values: Any) -> Table:
    series = values.get_columns() if hasattr(values, "get_columns") else [values]
    _check_width(name, len(series))
    columns = []
    for one in series:
        is_missing, kind = one.is_null().to_numpy(), str(one.dtype)
        if kind.startswith(("Int", "UInt")):
            found = one.fill_null(0).to_numpy().astype(np.int64), False
        elif kind.startswith("Float"):
            found = one.fill_null(float("nan")).to_numpy().astype(np.float64), False
        else:
            found = _column(f"{name}[{one.name!r}]", np.array(one.to_list(), object))[:2]
        columns.append((*found, is_missing))
    return _joined(columns, tuple(one.name or name for one in series))


def _column(name: str, column: np.ndarray) -> tuple[np.ndarray, bool, np.ndarray]:
    """Values, whether they are nominal, and which are missing, of a column of strings, dates or objects."""
    if column.dtype.kind in "Mm":
        return column.astype(f"{column.dtype.kind}8[ns]").astype(np.int64), False, np.isnat(column)
    if column.dtype.kind in "US":
        _check_symbols(name, column)
        return np.unique(column, return_inverse=True)[1].ravel(), True, np.zeros(len(column), bool)
    is_missing = np.array(list(map(is_absent, column)))
    present = column[~is_missing]
    kinds = {_kind(value) for value in present}
    if len(kinds) > 1 or not kinds <= {"numbers", "symbols", "dates"}:
        found = ", ".join(sorted({type(value).__name__ for value in present}))
        raise InputError(f"{name} is an array of objects ({found}); expected numbers, booleans or strings of one type")
    if kinds == {"symbols"}:
        _check_symbols(name, present)
        found = np.zeros(len(column), np.int64)
        found[~is_missing] = np.unique(present.astype(str), return_inverse=True)[1].ravel()
        return found, True, is_missing
    if kinds == {"dates"}:
        found = np.zeros(len(column), np.int64)
        found[~is_missing] = present.astype("M8[ns]").astype(np.int64)
        return found, False, is_missing
    found = np.full(len(column), np.nan)
    found[~is_missing] = present.astype(np.float64)
    return found, False, is_missing


def is_absent(value: object) -> bool:
    """Whether a value stands for none: None, NaN, NaT or pandas' NA.

    >>> list(map(is_absent, [None, float("nan"), "nan", [1, 2]]))
    [True, True, False, False]
    """
    if isinstance(value, list | tuple | dict | np.ndarray):
        return False
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def _check_symbols(name: str, column: np.ndarray) -> None:
    """Raises InputError for strings that are numbers, but for one or two of them, or but for their decimal commas."""
    symbols = set(map(str, column.tolist()))
    as_numbers = [one for one in symbols if is_number(one.replace(",", "."))]
    other = next((one for one in sorted(symbols) if not is_number(one)), None)
    if other is not None and len(as_numbers) >= max(_FEWEST_NUMBERS, len(symbols) - _MOST_OTHERS):
        found = f"{name} has strings of which {len(as_numbers):,} of {len(symbols):,} are numbers, and {other[:80]!r}"
        raise InputError(f"{found} is none; expected numbers, NaN where they are missing, or a category for symbols")


def is_number(text: str) -> bool:
    """Whether a text is a number, as `float` reads it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _kind(value: object) -> str:
    if isinstance(value, (str, bytes, bool, np.bool_)):
        return "symbols"
    if isinstance(value, (datetime.date, np.datetime64)):
        return "dates"
    return "numbers" if isinstance(value, numbers.Real) else type(value).__name__


def _joined(columns: list[tuple[np.ndarray, bool, np.ndarray]], names: tuple[str, ...]) -> Table:
    values, nominal, is_missing = zip(*columns, strict=True)
    missing = np.any(is_missing, axis=0)
    if all(column.dtype.kind == "i" for column in values):
        return Table(np.stack(values, axis=1), np.array(nominal), names, missing)
    array = np.stack([column.astype(np.float64) for column in values], axis=1)
    return Table(array, np.array(nominal), names, missing | np.isnan(array).any(axis=1))


def _check_width(name: str, count: int) -> None:
    if count > MOST_COLUMNS:
        most = f"more than {MOST_COLUMNS:,}; reduce them first (PCA, an encoder)"
        raise InputError(f"{name} has {count:,} columns, {most}")


def _check(name: str, table: Table) -> None:
    """Raises InputError for too few rows, infinite values and constant columns."""
    array = table.array
    if len(array) < FEWEST:
        left = " without missing values" if table.missing.size and len(array) == 0 else ""
        raise InputError(
            f"{name} has {len(array)} rows{left}; at least {FEWEST} pairs are needed, and thousands are better"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        wrong = ~np.isfinite(array)
        where = listed([table.names[i] for i in np.flatnonzero(wrong.any(axis=0))])
        raise InputError(f"{name} has {wrong.sum():,} infinite values in columns {where}; drop or replace those rows")
    constant = np.flatnonzero(np.all(array == array[:1], axis=0))
    if len(constant):
        where = listed([table.names[i] for i in constant])
        raise InputError(f"{name} has constant columns, which carry no information: {where}; leave them out")


def listed(names: list[str]) -> str:
    """The first eight of some names."""
    shown = ", ".join(map(str, names[:8]))
    return shown if len(names) <= 8 else f"{shown}, … ({len(names)} in all)"
