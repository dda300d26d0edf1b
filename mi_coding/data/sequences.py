"""Sequences as arrays: float32[n, T, C], where shorter ones end in NaN, which is padding and never data."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mi_coding.errors import InputError


def padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    """float32[n, T, C] of n sequences [t, C], T the longest t; the rest of a shorter one is NaN.

    >>> padded([np.ones((1, 1)), np.zeros((2, 1))])[:, :, 0].tolist()
    [[1.0, nan], [0.0, 0.0]]
    """
    longest = max(map(len, parts), default=0)
    sequences = np.full((len(parts), longest, *parts[0].shape[1:]), np.nan, np.float32)
    for row, part in enumerate(parts):
        sequences[row, : len(part)] = part
    return sequences


def lengths_of(sequences: np.ndarray) -> np.ndarray:
    """int64[n]: number of samples of each sequence in float[n, T, …] before its padding.

    >>> lengths_of(padded([np.ones((1, 1)), np.zeros((2, 1))])).tolist()
    [1, 2]

    Raises:
        ValueError: where there is NaN or infinity before the last sample of a sequence.
    """
    flat = sequences.reshape(*sequences.shape[:2], -1)
    is_padding = np.isnan(flat).all(axis=2)
    lengths = sequences.shape[1] - np.cumprod(is_padding[:, ::-1], axis=1, dtype=np.int64).sum(axis=1)
    numbers = np.arange(sequences.shape[1]) < lengths[:, None]
    wrong = (numbers & ~np.isfinite(flat).all(axis=2)).sum(axis=1)
    if wrong.any():
        row, count = int(wrong.argmax()), int(np.count_nonzero(wrong))
        found = f"{count:,} of {len(sequences):,} sequences have NaN or infinity before their end, such as row {row}"
        raise ValueError(f"{found}; NaN is padding, allowed only at the end")
    return lengths


def as_sequences(path: Path, array: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """float32[n, T, C], padded with NaN, from an array [n, T, C] or [n, T]; `path` is the file that it is from.

    Args:
        lengths: int[n], samples of each sequence, if the array has more; None if NaN at the end is padding. For an
            array [sum of lengths, C] or [sum of lengths] of concatenated sequences, their lengths.
    Raises:
        InputError: for any other shape, or lengths that do not fit it.
    """
    sequences = array.astype(np.float32, copy=False)
    if lengths is not None:
        sequences = _by_lengths(path, sequences, lengths)
    sequences = sequences[:, :, None] if sequences.ndim == 2 else sequences
    if sequences.ndim != 3:
        raise InputError(f"{path}: sequences has shape {sequences.shape}; expected (n, T, C) or (n, T)")
    try:
        lengths_of(sequences)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return sequences


def _by_lengths(path: Path, array: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The sequences with NaN after their lengths."""
    if lengths.ndim != 1 or not np.issubdtype(lengths.dtype, np.integer) or (lengths < 0).any():
        raise InputError(f"{path}: lengths is {lengths.dtype}{list(lengths.shape)}; expected whole numbers from 0 on")
    if array.ndim < 3 and len(array) == lengths.sum() != len(lengths):  # one after another
        flat = array.reshape(len(array), -1)
        return padded(np.split(flat, np.cumsum(lengths)[:-1]))
    if len(lengths) != len(array):
        found = f"{len(lengths):,} lengths, whose sum is {lengths.sum():,}, for {len(array):,} sequences"
        raise InputError(f"{path} has {found}; expected a length for each, or sequences one after another")
    if (longest := int(lengths.max(initial=0))) > array.shape[1]:
        found = f"a length of {longest:,} in row {int(lengths.argmax())}"
        raise InputError(f"{path} has {found}; expected at most the {array.shape[1]:,} samples that each row has")
    after = np.arange(array.shape[1]) >= lengths[:, None]
    return np.where(after.reshape(*after.shape, *[1] * (array.ndim - 2)), np.float32(np.nan), array)
