"""Tables in text files, as spreadsheets write them: .csv, and .tsv with tabs."""

import csv
from pathlib import Path

import numpy as np

from mi_coding.errors import InputError
from mi_coding.estimate.inputs import is_number

TABLES = {".csv": ",", ".tsv": "\t"}
"""File endings of tables → the delimiter between two cells."""


def read_table(path: Path) -> np.ndarray:
    """float64[n, D] of a table of numbers, or text [n, 1] of one column of text.

    A line of headings is left out: a first line with text where the next has numbers; one column of text must have it.

    Raises:
        InputError: for a file that cannot be read, rows of unequal length, empty cells, or text beside numbers.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _without_blank_lines(list(csv.reader(file, delimiter=TABLES[path.suffix.lower()])))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise InputError(
            f"{path} has rows of {' and '.join(map(str, sorted(lengths))) or 'no'} cells; expected rows of one length"
        )
    separators = {row[0].count(";") for row in rows}
    if lengths == {1} and len(separators) == 1 and separators != {0}:
        found = f"{path} has one cell in each line, such as {rows[0][0][:80]}"
        raise InputError(f"{found}; expected cells between commas, or between tabs in a .tsv")
    if len(rows) > 1 and not _numbers(rows[0]) and (_numbers(rows[1]) or len(rows[0]) == 1):
        rows = rows[1:]
    if empty := sum(not cell.strip() for row in rows for cell in row):
        raise InputError(f"{path} has {empty:,} empty cells; expected a value in each: remove these rows first")
    if all(map(_numbers, rows)):
        return np.array(rows, np.float64)
    if len(rows[0]) == 1:
        text = [cell for row in rows if not _numbers(row) for cell in row]
        if 2 * len(text) < len(rows):
            found = f"{path}: {len(text):,} of {len(rows):,} cells are no numbers, such as {text[0][:80]}"
            raise InputError(f"{found}; expected numbers in all: remove these rows first, or text in all")
        return np.array(rows)
    wrong = next(i for i, row in enumerate(rows) if not _numbers(row))
    raise InputError(f"{path}: {', '.join(rows[wrong])[:80]} holds text; expected numbers, or one column of text")


def _without_blank_lines(rows: list[list[str]]) -> list[list[str]]:
    """The rows without blank lines; but a blank line between the cells of a single column is an empty cell."""
    filled = [i for i, row in enumerate(rows) if row]
    if max(map(len, rows), default=0) > 1:
        return [rows[i] for i in filled]
    return [row or [""] for row in rows[filled[0] : filled[-1] + 1]] if filled else []


def _numbers(row: list[str]) -> bool:
    return all(map(is_number, row))
