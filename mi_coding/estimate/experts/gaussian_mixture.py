"""Mixtures of Gaussians, fitted to the normal scores of both arrays together."""

import math
import warnings

import numpy as np
from scipy.special import logsumexp

from mi_coding.estimate.columns import Columns

MOST_DIMENSIONS = 16
"""Columns of both sides together, beyond which there are too many covariances to fit."""

NUMBERS = (2, 4, 8)
"""Components to choose from, by how well validation pairs are picked."""

LEAST_VARIANCE = 1e-4
"""Of a component along any direction, in units of a column's variance."""


class GaussianMixtures:
    """ln p(x, y) − ln p(x) − ln p(y) of a mixture of Gaussians, whose margins are mixtures, too."""

    def __init__(self, seed: int):
        self._seed, self._number = seed, 0

    @staticmethod
    def suits(x: Columns, y: Columns) -> bool:
        """Whether neither side is discrete, and both have few columns."""
        return x.codes is None and y.codes is None and x.scores.shape[1] + y.scores.shape[1] <= MOST_DIMENSIONS

    def fit(self, x: Columns, y: Columns, train: np.ndarray, valid: np.ndarray) -> None:
        """Fits the mixture; of the number of components that the first fold chose."""
        joint, self._split = np.concatenate([x.scores, y.scores], axis=1)[train], x.scores.shape[1]
        if self._number:
            self._mixture = self._fitted(joint, self._number)
            return
        found = []
        for number in NUMBERS:
            self._mixture = self._fitted(joint, number)
            found.append((_loss(self.scores(x, y, valid)), number, self._mixture))
        _, self._number, self._mixture = min(found, key=lambda one: one[0])

    def scores(self, x: Columns, y: Columns, rows: np.ndarray) -> np.ndarray:
        """float32[m, m]: of every x of some rows with every y."""
        a, b = x.scores[rows], y.scores[rows]
        split, mixture = self._split, self._mixture
        pairs = -np.inf
        for weight, mean, precision, factor in zip(
            mixture.weights_, mixture.means_, mixture.precisions_, mixture.precisions_cholesky_, strict=True
        ):
            da, db = a - mean[:split], b - mean[split:]
            squares = np.einsum("ni,ij,nj->n", da, precision[:split, :split], da)[:, None]
            squares = squares + np.einsum("ni,ij,nj->n", db, precision[split:, split:], db)
            squares += 2 * da @ precision[:split, split:] @ db.T
            front = math.log(weight) + np.log(np.diag(factor)).sum() - 0.5 * len(mean) * math.log(2 * math.pi)
            pairs = np.logaddexp(pairs, (front - 0.5 * squares).astype(np.float32))
        return pairs - self._margin(a, np.s_[:split])[:, None] - self._margin(b, np.s_[split:])

    def _margin(self, values: np.ndarray, part: slice) -> np.ndarray:
        """float32[m]: ln p of one side alone."""
        mixture, logs = self._mixture, []
        for weight, mean, covariance in zip(mixture.weights_, mixture.means_, mixture.covariances_, strict=True):
            away, block = values - mean[part], covariance[part, part]
            squares = np.sum(away * np.linalg.solve(block, away.T).T, axis=1)
            front = math.log(weight) - 0.5 * np.linalg.slogdet(2 * math.pi * block)[1]
            logs.append(front - 0.5 * squares)
        return logsumexp(logs, axis=0).astype(np.float32)

    def _fitted(self, joint: np.ndarray, number: int):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture  # a second to import

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out pairs decide whether it is good
            mixture = GaussianMixture(number, reg_covar=LEAST_VARIANCE, max_iter=60, random_state=self._seed)
            return mixture.fit(joint)


def _loss(scores: np.ndarray) -> float:
    """Cross-entropy of picking the true y for each x and the true x for each y, the mean of both; nats."""
    true = np.diag(scores)
    return float(0.5 * sum(np.mean(logsumexp(scores, axis=axis) - true) for axis in (0, 1)))
