"""The closed form that everything else corrects: the information of a Gaussian or Student-t copula."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, ndtr, stdtrit

from mi_coding.critics import EllipticalRatio

DEGREES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, math.inf)
"""Degrees of freedom to choose from, by likelihood; infinitely many make the Gaussian copula."""

NEARLY_GAUSSIAN = 1e7
"""Degrees that stand for infinitely many, so that one formula in float32 serves both."""

LEAST_SPREAD = 1e-6
"""Share of every column's variance that is taken to be independent of the other columns."""

ROUNDS = 8
"""Rounds of expectation and maximisation for a dispersion matrix: the last moves it by less than its error."""


class Copula(NamedTuple):
    """An elliptical law of normal scores that are mapped to Student-t margins.

    Attributes:
        degrees: of freedom; math.inf for the Gaussian.
        dispersion: float64[dx + dy, dx + dy], unit diagonal.
        dim_x: how many coordinates are x.
    """

    degrees: float
    dispersion: np.ndarray
    dim_x: int


def fit(scores_x: np.ndarray, scores_y: np.ndarray, degrees: float | None = None) -> Copula:
    """The maximum-likelihood copula of two arrays of normal scores; with `degrees` of freedom, if they are known."""
    joint, best = np.concatenate([scores_x, scores_y], axis=1), None
    for tried in DEGREES[::-1] if degrees is None else [degrees]:
        margins = margins_of(joint, tried)
        dispersion = dispersion_of(margins, tried)
        alone = np.sum(_log_law(margins**2, 0.0, 1, tried), axis=1)
        likelihood = float(np.mean(log_density(margins, dispersion, tried) - alone))
        if best is not None and likelihood < best[0]:
            break  # the likelihood has one peak in the degrees
        best = likelihood, Copula(tried, dispersion, scores_x.shape[1])
    return best[1]


def margins_of(scores: np.ndarray, degrees: float) -> np.ndarray:
    """Normal scores moved to Student-t quantiles of the same rank."""
    return scores if math.isinf(degrees) else stdtrit(degrees, ndtr(scores))


def dispersion_of(margins: np.ndarray, degrees: float) -> np.ndarray:
    """The maximum-likelihood dispersion with unit diagonal; Kent and Tyler's fixed point for the t law."""
    found, dim = np.atleast_2d(np.corrcoef(margins.T)), margins.shape[1]
    if math.isinf(degrees):
        return _regular(found)
    for _ in range(ROUNDS):
        squares = _squares(margins, _regular(found))
        weights = (degrees + dim) / (degrees + squares)
        found = (margins * weights[:, None]).T @ margins / len(margins)
    scale = np.sqrt(np.diag(found))
    return _regular(found / np.outer(scale, scale))


def _regular(dispersion: np.ndarray) -> np.ndarray:
    """The dispersion made invertible, even where one column is a copy or a sum of others."""
    return (1 - LEAST_SPREAD) * dispersion + LEAST_SPREAD * np.eye(len(dispersion))


def log_density(margins: np.ndarray, dispersion: np.ndarray, degrees: float) -> np.ndarray:
    """float64[n]: the log density of the t law with that dispersion, or of the Gaussian."""
    return _log_law(_squares(margins, dispersion), np.linalg.slogdet(dispersion)[1], margins.shape[1], degrees)


def _log_law(squares: np.ndarray, log_det: float, dim: int, degrees: float) -> np.ndarray:
    """The log density in `dim` dimensions at these squared distances from the centre."""
    if math.isinf(degrees):
        return -0.5 * (squares + log_det + dim * math.log(2 * math.pi))
    front = gammaln((degrees + dim) / 2) - gammaln(degrees / 2) - dim / 2 * math.log(degrees * math.pi)
    return front - 0.5 * log_det - (degrees + dim) / 2 * np.log1p(squares / degrees)


def ratio_parts(copula: Copula, scores_x: np.ndarray, scores_y: np.ndarray) -> tuple[EllipticalRatio, EllipticalRatio]:
    """The log density ratio as `mi_coding.critics.elliptical_scores` takes it, float32."""
    x, y = (margins_of(scores, copula.degrees) for scores in (scores_x, scores_y))
    split, degrees, dim = copula.dim_x, min(copula.degrees, NEARLY_GAUSSIAN), len(copula.dispersion)
    precision = np.linalg.inv(copula.dispersion)
    blocks = copula.dispersion[:split, :split], copula.dispersion[split:, split:]
    constant = _front(degrees, dim) + _front(degrees, 0) - _front(degrees, split) - _front(degrees, dim - split)
    constant -= 0.5 * (np.linalg.slogdet(copula.dispersion)[1] - sum(np.linalg.slogdet(b)[1] for b in blocks))

    def part(values, block, own, cross, shared):
        squares = np.einsum("ni,ij,nj->n", values, own, values)
        gain = 0.5 * (degrees + len(block)) * np.log1p(_squares(values, block) / degrees) + shared
        return EllipticalRatio(*(a.astype(np.float32) for a in (cross, squares, gain)))

    # Between whitened values: for nearly equal columns the precision is huge, and float32 would lose the difference.
    roots = [np.linalg.cholesky(block) for block in blocks]
    white_x, white_y = (np.linalg.solve(root, side.T).T for root, side in zip(roots, (x, y), strict=True))
    cross_x = 2 * white_x @ (roots[0].T @ precision[:split, split:] @ roots[1])
    return (
        part(x, blocks[0], precision[:split, :split], cross_x, constant),
        part(y, blocks[1], precision[split:, split:], white_y, 0.0),
    )


def _front(degrees: float, dims: int) -> float:
    """The term of a t law's log density that depends on the dimension, without the factor of the degrees alone."""
    return float(gammaln((degrees + dims) / 2)) if degrees < NEARLY_GAUSSIAN else dims / 2 * math.log(degrees / 2)


def _squares(margins: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    return np.sum(margins * np.linalg.solve(dispersion, margins.T).T, axis=1)
