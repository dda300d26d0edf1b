"""Sequences as pictures, so that a report can show them as it shows images."""

import math

import numpy as np

_WIDEST = 8  # a picture that is taller than this many times its width is broken into lines


def as_pictures(sequences: np.ndarray) -> np.ndarray:
    """float32[n, H, W, C] in 0 … 1: a signal as one row a step, a clip as its frames from left to right.

    >>> as_pictures(np.zeros((2, 8, 8, 1))).shape, as_pictures(np.zeros((2, 50, 160))).shape
    ((2, 8, 8, 1), (2, 50, 160, 1))
    >>> as_pictures(np.zeros((2, 100))).shape, as_pictures(np.zeros((2, 5, 16, 16, 1))).shape
    ((2, 10, 10, 1), (2, 16, 80, 1))

    Args:
        sequences: float[n, T, …]. The least of all values becomes black and the greatest white. Steps of few numbers
            are written one behind the other, in lines.
    """
    sequences = np.asarray(sequences, np.float32)
    least, most = sequences.min(), sequences.max()
    sequences = (sequences - least) / max(most - least, 1e-12)
    count, steps = sequences.shape[:2]
    if sequences.ndim == 5 and sequences.shape[-1] in (1, 3):
        return np.concatenate(np.moveaxis(sequences, 1, 0), axis=2)
    rows = sequences.reshape(count, steps, -1)
    if steps > _WIDEST * rows.shape[2]:
        numbers = rows.reshape(count, -1)
        width = math.ceil(math.sqrt(numbers.shape[1]))
        rows = np.pad(numbers, ((0, 0), (0, -numbers.shape[1] % width))).reshape(count, -1, width)
    return rows[..., None]
