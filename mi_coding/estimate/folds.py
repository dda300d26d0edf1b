"""The splits of cross-fitting: the rows that each fold trains on, validates on and scores, and their order."""

from typing import NamedTuple

import numpy as np

MOST_SCORED = 2000
"""Rows of a score matrix; its memory and time grow with the square."""

FEWEST_ROUNDS = 3
"""Passes over the data, however much of it there is."""


class Folds(NamedTuple):
    """Rows of each of F splits; no row is in two of its three parts.

    Attributes:
        train: int[F, m], trained on.
        valid: int[F, v], which decide when training stops and which expert counts.
        test: int[F, t], held out and scored; no row is scored in two folds.
        seen: int[F, t], a part of `train` that is scored as well.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    seen: np.ndarray


class Matrices(NamedTuple):
    """Scores of experts beside the networks on the parts of all folds, nats; E may be 0.

    Attributes:
        valid: float32[F, E, v, v].
        test: float32[F, E, t, t].
        seen: float32[F, E, s, s].
    """

    valid: np.ndarray
    test: np.ndarray
    seen: np.ndarray


class Training(NamedTuple):
    """Size and length of training; see `EFFORTS` for the values in use.

    Attributes:
        width: of the hidden layers.
        depth: how many of them.
        rank: of the critic's inner product.
        steps: in all, for each fold.
        batch: pairs of a step.
        learning_rate: at its peak.
    """

    width: int
    depth: int
    rank: int
    steps: int
    batch: int
    learning_rate: float


def make_folds(n: int, num_folds: int, rng: np.random.Generator) -> Folds:
    """Splits n rows at random into the given number of folds."""
    order, size = rng.permutation(n), n // num_folds
    tests = order[: size * num_folds].reshape(num_folds, size)
    rest = np.stack([np.setdiff1d(order, test, assume_unique=True) for test in tests])
    rest = np.stack([row[rng.permutation(len(row))] for row in rest])
    num_valid = max(len(rest[0]) // 8, 4)
    train, scored = rest[:, num_valid:], min(size, MOST_SCORED)
    return Folds(train, rest[:, :num_valid][:, :MOST_SCORED], tests[:, :scored], train[:, :scored])


def make_orders(num_train: int, how: Training, rng: np.random.Generator) -> np.ndarray:
    """int[rounds, steps, batch]: for every round through the data, which of a fold's `train` rows each step sees.

    All folds and experts may share them: their rows are in different orders already.
    """
    per_round = max(num_train // how.batch, 1)
    rounds = max(how.steps // per_round, FEWEST_ROUNDS)
    orders = np.stack([rng.permutation(num_train)[: per_round * how.batch] for _ in range(rounds)])
    return orders.reshape(rounds, per_round, -1)
