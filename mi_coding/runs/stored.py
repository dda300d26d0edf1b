"""Codes that `embed` has written, and the search for those nearest to a query."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mi_coding.errors import InputError

_AT_ONCE = 2**26  # cosines in memory at a time


class StoredCodes(NamedTuple):
    """Codes of examples, in the order of their source."""

    codes: np.ndarray  # float32[n, D]
    names: np.ndarray  # of the examples, such as paths
    labels: np.ndarray | None = None


def read_codes(path: str | Path) -> StoredCodes:
    """Reads a .npz or .parquet file of `embed`.

    Raises:
        InputError: for a file that is missing, has no codes, or has codes of packed bits.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file; expected codes written by mi_coding.embed, .npz or .parquet")
    try:
        arrays = _parquet(path) if path.suffix == ".parquet" else dict(np.load(path, allow_pickle=False))
        found = StoredCodes(arrays["codes"], arrays["paths"], arrays.get("labels"))
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read: {reason}; expected codes written by mi_coding.embed") from None
    if found.codes.ndim != 2 or not np.issubdtype(found.codes.dtype, np.floating):
        raise InputError(f"{path} holds packed bits; expected numbers: embed with --layer=features")
    return found


def nearest_codes(queries: np.ndarray, codes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions int64[q, k] and cosines float32[q, k] of the codes nearest to each query, the nearest first.

    The search is exact, and k = min(count, n). A code of zeros has cosine 0 with all codes.

    >>> positions, cosines = nearest_codes(np.array([[1.0, 0.1]]), np.array([[0.0, 1.0], [3.0, 0.0]]), 2)
    >>> positions.tolist()
    [[1, 0]]
    """
    codes = codes.astype(np.float32, copy=False)
    lengths = np.sqrt(np.einsum("nd,nd->n", codes, codes))  # no normalised copy: it would double the memory
    scale = np.where(lengths > 0, 1 / np.maximum(lengths, np.finfo(np.float32).tiny), 0).astype(np.float32)
    queries = queries.astype(np.float32) / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-30)
    count = min(count, len(codes))
    at_once = max(1, _AT_ONCE // max(len(codes), 1))
    positions, cosines = [], []
    for start in range(0, len(queries), at_once):
        products = (queries[start : start + at_once] @ codes.T) * scale
        chosen = np.argpartition(-products, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(products, chosen, axis=1)
        order = np.lexsort((chosen, -found), axis=1)  # the first of equals
        positions.append(np.take_along_axis(chosen, order, axis=1))
        cosines.append(np.take_along_axis(found, order, axis=1))
    return np.concatenate(positions), np.concatenate(cosines)


def _parquet(path: Path) -> dict[str, np.ndarray]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{path} needs pyarrow; pip install 'mi_coding[parquet]'") from None
    table = pyarrow.parquet.read_table(path)
    chunks = table.column("codes").combine_chunks()  # lists of one length
    codes = chunks.values.to_numpy(zero_copy_only=False).reshape(len(table), -1)
    found = {"codes": codes, "paths": np.array(table.column("path").to_pylist())}
    return found | ({"labels": table.column("label").to_numpy()} if "label" in table.column_names else {})
