"""Information of two discrete arrays with few values: counted, and corrected for having counted."""

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.estimate.crossfit import READOUTS
from mi_coding.estimate.folds import Folds

PAIRS_PER_CELL = 20
"""Pairs for every cell of the table, on average, from which on counting is trusted."""


def suits(codes_x: np.ndarray | None, codes_y: np.ndarray | None) -> bool:
    """Whether both arrays are discrete and the table of their values is well filled."""
    if codes_x is None or codes_y is None:
        return False
    return PAIRS_PER_CELL * (codes_x.max() + 1) * (codes_y.max() + 1) <= len(codes_x)


def local_information(codes_x: np.ndarray, codes_y: np.ndarray) -> np.ndarray:
    """float64[n]: ln of observed over expected count of each pair's cell, less the bias of their mean.

    >>> coin = np.arange(1000) % 2
    >>> round(float(local_information(coin, coin).mean()), 4)  # ln 2, and 1/2n for the one count that was free
    0.6936

    Source: plug-in estimate with the correction of Miller and Madow, (cells − Kx − Ky + 1)/2n over filled cells.
    """
    table = _count(codes_x, codes_y)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    filled = table > 0
    bias = (filled.sum() - filled.any(1).sum() - filled.any(0).sum() + 1) / (2 * len(codes_x))
    return np.log((table / np.maximum(expected, 1e-300))[codes_x, codes_y]) - bias


def heldout_bounds(codes_x: np.ndarray, codes_y: np.ndarray, folds: Folds) -> dict[str, np.ndarray]:
    """Every read-out, of a table counted on the other folds; float32[F] each."""
    shape, found = (codes_x.max() + 1, codes_y.max() + 1), []
    for train, test in zip(folds.train, folds.test, strict=True):
        table = _count(codes_x[train], codes_y[train], shape) + 0.5  # no cell may be impossible
        ratio = np.log(table * table.sum() / (table.sum(1, keepdims=True) * table.sum(0, keepdims=True)))
        found.append(_read(jnp.float32(ratio[codes_x[test]][:, codes_y[test]])))
    return {name: np.array([values[name] for values in found]) for name in READOUTS}


_read = jax.jit(lambda scores: {name: readout(scores) for name, readout in READOUTS.items()})


def _count(codes_x: np.ndarray, codes_y: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    table = np.zeros(shape or (codes_x.max() + 1, codes_y.max() + 1))
    np.add.at(table, (codes_x, codes_y), 1)
    return table
