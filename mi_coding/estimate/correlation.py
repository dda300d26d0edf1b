"""Kernel canonical correlation: a few functions of x, and of y, that are most correlated with each other.

Where x and y were bent, mixed, rotated or rolled up, the leading canonical variables are simple again: for a Gaussian
pair seen through any two maps they are the straightened coordinates. A closed form can therefore start from them.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.linalg

from mi_coding.estimate.streams import stream

NUM_WAVES = 256
"""Random Fourier features of each side."""

WAVELENGTHS, RIDGES = (0.6, 1.2), (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""Candidates: wavelengths in units of the typical distance from the centre, ridges in units of variance.

A strong ridge favours large covariance over correlation: among many columns that each tell little, the leading
directions are found long before their correlations are.
"""


AT_ONCE = 20_000
"""Rows whose features are in memory at the same time."""


class Side(NamedTuple):
    """The random features of one array.

    Attributes:
        columns: float32[n, d], which count as features as well: what is linear already needs no learning.
        directions: float32[d, NUM_WAVES].
        phases: float32[NUM_WAVES].
        mean: float32[d + NUM_WAVES], of the features of the training rows.
    """

    columns: np.ndarray
    directions: np.ndarray
    phases: np.ndarray
    mean: np.ndarray

    def features(self, rows: np.ndarray | slice) -> np.ndarray:
        """float32[m, d + NUM_WAVES]: centred on the training rows."""
        columns = self.columns[rows]
        waves = np.float32(math.sqrt(2)) * np.cos(columns @ self.directions + self.phases)
        return np.concatenate([columns, waves], axis=1) - self.mean

    def codes(self, weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """float32[m, k]: combinations of the features of m rows."""
        return np.concatenate([self.features(part) @ weights for part in _parts(rows)])


class Canonical(NamedTuple):
    """The canonical variables of one wavelength and ridge.

    Attributes:
        choice: the (wavelength, ridge).
        sides: the random features of x, and of y.
        weights: float32[d + NUM_WAVES, k] of each side's features.
    """

    choice: tuple[float, float]
    sides: tuple[Side, Side]
    weights: tuple[np.ndarray, np.ndarray]

    def codes(self, rows: np.ndarray | None = None) -> list[np.ndarray]:
        """The codes of x and of y, float32[m, k] each, of m rows; None for all."""
        rows = np.arange(len(self.sides[0].columns)) if rows is None else rows
        return [side.codes(weights, rows) for side, weights in zip(self.sides, self.weights, strict=True)]


def canonical_variables(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, *, size: int, seed: int, choice: tuple[float, float] | None = None
) -> Iterator[Canonical]:
    """Yields the k ≤ size leading canonical variables for every (wavelength, ridge).

    Args:
        x: float[n, dx], columns of unit spread.
        y: float[n, dy].
        train: int[m], the rows that may be learned from.
        size: how many canonical variables.
        seed: of the random features.
        choice: the only (wavelength, ridge) to use; None for all.
    Source: kernel CCA with random features, Lopez-Paz et al., ICML 2014 (arXiv:1402.0119).
    """
    for wavelength in WAVELENGTHS if choice is None else [choice[0]]:
        streams = (stream(seed, f"waves of {name}") for name in "xy")
        a, b = (_side(half, train, wavelength, rng) for half, rng in zip((x, y), streams, strict=True))
        of_a, of_b, crossed = _covariances(a, b, train)
        of_a, of_b = np.linalg.eigh(of_a), np.linalg.eigh(of_b)
        for ridge in RIDGES if choice is None else [choice[1]]:
            white_a, white_b = _whitener(*of_a, ridge), _whitener(*of_b, ridge)
            left, right = _leading(white_a.T @ crossed @ white_b, size)
            yield Canonical((wavelength, ridge), (a, b), (white_a @ left, white_b @ right))


def _side(values: np.ndarray, train: np.ndarray, wavelength: float, rng: np.random.Generator) -> Side:
    values = values.astype(np.float32)  # whose cosines take an eighth of the time
    scale = wavelength * math.sqrt(np.mean(np.sum(values**2, axis=1)))
    directions = (rng.normal(size=(values.shape[1], NUM_WAVES)) / scale).astype(np.float32)
    phases = rng.uniform(0, 2 * math.pi, NUM_WAVES).astype(np.float32)
    side = Side(values, directions, phases, np.float32(0))
    total = sum(side.features(rows).sum(axis=0) for rows in _parts(train))
    return side._replace(mean=total / np.float32(len(train)))


def _covariances(a: Side, b: Side, train: np.ndarray) -> list[np.ndarray]:
    """Covariances of the features of a, of those of b, and between the two; float32."""
    found = [np.float32(0)] * 3
    for rows in _parts(train):
        of_a, of_b = a.features(rows), b.features(rows)
        found = [
            total + one.T @ other / len(train)
            for total, (one, other) in zip(found, ((of_a, of_a), (of_b, of_b), (of_a, of_b)), strict=True)
        ]
    return found


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[first : first + AT_ONCE] for first in range(0, len(rows), AT_ONCE)]


def _leading(matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """float32[d, k], float32[e, k]: the leading singular vectors, k ≤ size; from the eigenvectors of the square, as all
    of them would take ten times as long."""
    e = matrix.shape[1]
    _, right = scipy.linalg.eigh(matrix.T @ matrix, subset_by_index=(max(e - size, 0), e - 1))
    right = right[:, ::-1]
    left = matrix @ right
    return left / np.maximum(np.linalg.norm(left, axis=0), np.finfo(np.float32).tiny), right


def _whitener(values: np.ndarray, vectors: np.ndarray, ridge: float) -> np.ndarray:
    """float32[e, e]: columns that turn features into uncorrelated ones of unit variance, shrunk by the ridge.

    Args:
        values, vectors: the eigenvalues and eigenvectors of their covariance.
    """
    return vectors / np.sqrt(np.maximum(values, 0) + ridge)
