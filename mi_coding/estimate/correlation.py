"""Kernel canonical correlation: few numbers of x, and of y, that are most correlated with each other.

Where x and y were bent, mixed, turned or rolled up, the leading canonical variables are again simple: for a Gaussian
pair behind any two maps they are the straightened coordinates. So they make good codes for a closed form to start from.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mi_coding.estimate.streams import stream

NUM_WAVES = 256
"""Random Fourier features of each side."""

WAVELENGTHS, RIDGES = (0.6, 1.2), (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)
"""What to choose from: lengths in units of the typical distance from the centre, ridges in units of variance.

A strong ridge looks for large covariance rather than correlation: of many columns that each say little, the leading
directions are found long before their correlations are.
"""


class Side(NamedTuple):
    """Features of one array, centred on the training rows, and the eigenvectors of their covariance there."""

    features: np.ndarray
    values: np.ndarray
    vectors: np.ndarray


def canonical_codes(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, *, size: int, seed: int, choice: tuple[float, float] | None = None
) -> Iterator[tuple[tuple[float, float], np.ndarray, np.ndarray]]:
    """For every (wavelength, ridge): that choice and codes of all rows, float32[n, k] each, k ≤ size.

    Args:
        x: float[n, dx], columns of unit spread.
        y: float[n, dy].
        train: int[m], the rows that may be learned from.
        size: how many canonical variables.
        seed: of the random features.
        choice: only this one.
    Source: kernel CCA with random features, Lopez-Paz et al., ICML 2014 (arXiv:1402.0119).
    """
    for wavelength in WAVELENGTHS if choice is None else [choice[0]]:
        streams = (stream(seed, f"waves of {name}") for name in "xy")
        a, b = (_side(half, train, wavelength, rng) for half, rng in zip((x, y), streams, strict=True))
        crossed = a.features[train].T @ b.features[train] / len(train)
        for ridge in RIDGES if choice is None else [choice[1]]:
            white_a, white_b = _whitener(a, ridge), _whitener(b, ridge)
            left, _, right = np.linalg.svd(white_a.T @ crossed @ white_b, full_matrices=False)
            codes = a.features @ (white_a @ left[:, :size]), b.features @ (white_b @ right[:size].T)
            yield (wavelength, ridge), *codes


def _side(values: np.ndarray, train: np.ndarray, wavelength: float, rng: np.random.Generator) -> Side:
    """The columns themselves beside the waves: what is straight already needs no learning."""
    values = values.astype(np.float32)  # whose cosines take an eighth of the time
    scale = wavelength * math.sqrt(np.mean(np.sum(values**2, axis=1)))
    directions = rng.normal(size=(values.shape[1], NUM_WAVES)) / scale
    waves = values @ directions.astype(np.float32) + rng.uniform(0, 2 * math.pi, NUM_WAVES).astype(np.float32)
    features = np.concatenate([values, np.float32(math.sqrt(2)) * np.cos(waves)], axis=1)
    features -= features[train].mean(0)
    return Side(features, *np.linalg.eigh(features[train].T @ features[train] / len(train)))


def _whitener(side: Side, ridge: float) -> np.ndarray:
    """float32[e, e]: columns that turn the features into uncorrelated ones of unit variance, shrunk by the ridge."""
    return side.vectors / np.sqrt(np.maximum(side.values, 0) + ridge)
