"""A test of independence that needs no critic: exact for any sample size, by permuting y."""

import math

import numpy as np

NUM_WAVES = 32
"""Random cosines for each array, which detect nonlinear dependence."""


def permutation_p_value(x: np.ndarray, y: np.ndarray, *, permutations: int, rng: np.random.Generator) -> float:
    """The probability, under independence, of a dependence at least as strong as the one seen.

    Two statistics are taken, the squared covariances of the scores and those of random cosines of them, each in units
    of its spread over permutations; the larger counts. Observed and permuted values go through the same formula, so
    the p-value is uniform under independence (a multiple of 1/(permutations + 1)).

    Args:
        x: float[n, dx], normal scores.
        y: float[n, dy], normal scores.
        permutations: how many; the smallest p-value is 1/(permutations + 1).
        rng: of the permutations and the cosines.
    Source: random features of HSIC, arXiv:1606.07892 section 3; exactness of permutation tests, Lehmann and Romano,
        Testing Statistical Hypotheses, theorem 15.2.1.
    """
    a, b = (_standard(np.concatenate([side, _waves(side, rng)], axis=1)) for side in (x, y))
    orders = [np.arange(len(x))] + [rng.permutation(len(x)) for _ in range(permutations)]
    squares = ((a.T @ b[order]) ** 2 for order in orders)
    straight, split = np.s_[: x.shape[1], : y.shape[1]], np.s_[x.shape[1] :, y.shape[1] :]
    seen = np.array([[square[straight].sum(), square[split].sum()] for square in squares])
    strength = ((seen - seen.mean(0)) / np.maximum(seen.std(0), np.finfo(float).tiny)).max(1)
    return float(np.mean(strength >= strength[0]))


def _waves(side: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float[n, NUM_WAVES + 1]: cosines whose wavelength suits the typical distance of two rows, and the distance from
    the centre, which alone detects common tails."""
    directions = rng.normal(size=(side.shape[1], NUM_WAVES)) / math.sqrt(side.shape[1])
    waves = np.cos(side @ directions + rng.uniform(0, 2 * math.pi, NUM_WAVES))
    return np.concatenate([waves, np.log1p(np.sum(side**2, axis=1, keepdims=True))], axis=1)


def _standard(features: np.ndarray) -> np.ndarray:
    features = features - features.mean(0)
    return (features / np.maximum(features.std(0), 1e-9)).astype(np.float32)
