"""Mixtures of Gaussians, fitted to both arrays together: to their values, or to their normal scores."""

import math
import warnings
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from mi_coding.estimate.columns import MOST_VALUED, Columns
from mi_coding.estimate.crossfit import pick_loss
from mi_coding.estimate.start import MOST_CHOSEN_BY

NUMBERS = (4, 8, 16)
"""Components to choose from, by how well validation pairs are picked."""

SPACES = ("values", "scores")
"""Fields of `Columns` to choose from: the normal scores where tails are heavy, the values where they are not."""

FARTHEST = 1e3
"""Interquartile ranges from the median beyond which values are not modelled by Gaussians."""

LEAST_VARIANCE = 1e-6
"""Least variance of a component along any direction, in units of a column's."""


class GaussianMixtures:
    """ln p(x, y) − ln p(x) − ln p(y) of a mixture of Gaussians, whose margins are mixtures, too."""

    def __init__(self, seed: int):
        self._seed, self._choice = seed, None

    @staticmethod
    def suits(x: Columns, y: Columns) -> bool:
        """Whether neither side is discrete, and both have few columns."""
        return x.codes is None and y.codes is None and x.scores.shape[1] + y.scores.shape[1] <= MOST_VALUED

    def fit(self, x: Columns, y: Columns, train: np.ndarray, valid: np.ndarray) -> None:
        """Fits the mixture in the space, and with the number of components, that the first fold chose."""
        self._split = x.scores.shape[1]
        if self._choice is not None:
            self._mixture = self._fitted(x, y, train, *self._choice)
            return
        found, some = [], train[:MOST_CHOSEN_BY]
        for self._choice in product(SPACES, NUMBERS):
            if max(np.abs(getattr(side, self._choice[0])).max() for side in (x, y)) > FARTHEST:
                continue
            self._mixture = self._fitted(x, y, some, *self._choice)
            found.append((float(_loss(self.scores(x, y, valid))), self._choice, self._mixture))
        _, self._choice, self._mixture = min(found, key=lambda one: one[0])
        if len(some) < len(train):
            self._mixture = self._fitted(x, y, train, *self._choice)

    def scores(self, x: Columns, y: Columns, rows: np.ndarray) -> np.ndarray:
        """float32[m, m]: of every x of some rows with every y."""
        a, b = (getattr(side, self._choice[0])[rows] for side in (x, y))
        split, mixture = self._split, self._mixture
        pairs = np.full((len(a), len(b)), -np.inf, np.float32)
        for weight, mean, factor in zip(mixture.weights_, mixture.means_, mixture.precisions_cholesky_, strict=True):
            front = math.log(weight) + np.log(np.diag(factor)).sum() - 0.5 * len(mean) * math.log(2 * math.pi)
            white = ((a - mean[:split]) @ factor[:split], (b - mean[split:]) @ factor[split:])
            pairs = _with_component(pairs, np.float32(front), *(part.T.astype(np.float32) for part in white))
        return np.asarray(pairs) - self._margin(a, np.s_[:split])[:, None] - self._margin(b, np.s_[split:])

    def _margin(self, values: np.ndarray, part: slice) -> np.ndarray:
        """float32[m]: ln p of one side alone."""
        mixture, logs = self._mixture, []
        for weight, mean, covariance in zip(mixture.weights_, mixture.means_, mixture.covariances_, strict=True):
            away, block = values - mean[part], covariance[part, part]
            squares = np.sum(away * np.linalg.solve(block, away.T).T, axis=1)
            front = math.log(weight) - 0.5 * np.linalg.slogdet(2 * math.pi * block)[1]
            logs.append(front - 0.5 * squares)
        return logsumexp(logs, axis=0).astype(np.float32)

    def _fitted(self, x: Columns, y: Columns, train: np.ndarray, space: str, number: int):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture  # a second to import

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out pairs decide whether it is good
            mixture = GaussianMixture(number, reg_covar=LEAST_VARIANCE, max_iter=100, random_state=self._seed)
            return mixture.fit(np.concatenate([getattr(side, space)[train] for side in (x, y)], axis=1))


_loss = jax.jit(pick_loss)


@jax.jit
def _with_component(pairs: jax.Array, front: jax.Array, white_x: jax.Array, white_y: jax.Array) -> jax.Array:
    """float32[m, m]: ln of the sum of the densities so far and that of one more component.

    Args:
        white_x, white_y: float32[d, m], whose sum is standard normal for pairs of the component: it is squared after
            it is formed, as float32 would lose the difference of squares where x and y are nearly equal.
    """
    squares = sum((of_x[:, None] + of_y) ** 2 for of_x, of_y in zip(white_x, white_y, strict=True))
    return jnp.logaddexp(pairs, front - 0.5 * squares)
