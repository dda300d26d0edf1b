"""A test of independence: exact for independent rows, whatever their number, by exchanging the rows of y."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from mi_coding.estimate.columns import standard

NUM_WAVES = 32
"""Random cosines for each array, which detect nonlinear dependence."""

LEAST_VARIANCE = 0.02
"""Least variance of a principal component, relative to the largest, that is tested for covariance: ranks and values of
a column are nearly the same."""


def p_value_of(statistics: Sequence[np.ndarray]) -> float:
    """The probability, under independence, of a dependence at least as strong as the one seen.

    Observed and exchanged pairs went through the same formulas, so the p-value is uniform under independence (a
    multiple of 1/(permutations + 1)). The strongest of all statistics counts, each in units of its spread.

    >>> p_value_of([np.array([9.0, 1.0, 2.0, 3.0])])
    0.25

    Args:
        statistics: float[1 + permutations] each: of the pairs as they are, and of draws under independence.
    Source: exactness of permutation tests, Lehmann and Romano, Testing Statistical Hypotheses, theorem 15.2.1.
    """
    seen = np.stack(statistics, axis=1).astype(np.float64)
    strength = ((seen - seen.mean(0)) / np.maximum(seen.std(0), np.finfo(float).tiny)).max(1)
    return float(np.mean(strength >= strength[0]))


def covariance_statistics(
    x: np.ndarray, y: np.ndarray, orders: Iterable[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """float[1 + permutations] twice: squared covariances of the columns, and of random cosines of them.

    They need no critic, so nothing can be memorised.

    Args:
        x: float[n, dx], features of the columns, such as their normal scores.
        y: float[n, dy], the same of the other array.
        orders: int[n] for each draw, which rows of y the rows of x are paired with.
        rng: of the cosines.
    Source: random features of HSIC, arXiv:1606.07892 section 3.
    """
    waves = [standard(_waves(side, rng)) for side in (x, y)]
    pairs = [tuple(map(_components, (x, y))), waves]
    seen = [[np.sum((one.T @ other) ** 2) for one, other in pairs]]
    seen += [[np.sum((one.T @ other[order]) ** 2) for one, other in pairs] for order in orders]
    return tuple(np.array(seen).T)


def _components(side: np.ndarray) -> np.ndarray:
    """float32[n, k]: the principal components of the standardised columns, without those of hardly any variance. These
    add as little to the sum of squared covariances, which an orthogonal transformation leaves as it is."""
    side = standard(side)
    values, vectors = np.linalg.eigh(side.T @ side / len(side))
    return side @ vectors[:, values >= LEAST_VARIANCE * values[-1]]


def _waves(side: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float[n, NUM_WAVES + 1]: cosines whose wavelength suits the typical distance of two rows, and the distance from
    the centre, which alone detects common tails."""
    directions = rng.normal(size=(side.shape[1], NUM_WAVES)) / math.sqrt(side.shape[1])
    waves = np.cos(side @ directions + rng.uniform(0, 2 * math.pi, NUM_WAVES))
    return np.concatenate([waves, np.log1p(np.sum(side**2, axis=1, keepdims=True))], axis=1)
