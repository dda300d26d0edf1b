"""The splits of cross-fitting: the rows that each fold trains on, validates on and scores, and their order."""

import math
from typing import NamedTuple

import numpy as np

FEW_ROWS = 10_000
"""Rows beyond which batches and networks grow with the root of the factor of excess, and the number of steps with that
root to the power of 0.75: those that take all steps finish in two minutes with 100,000 rows."""

MOST_SCORED, MOST_SCORED_ALONE = 2000, 3000
"""Most rows of a score matrix, whose memory and time grow quadratically: where all folds are scored together, and
where one is scored at a time, see `MOST_TOGETHER`."""

MOST_TOGETHER = 20_000
"""Rows up to which all folds are trained together; beyond, one after the other, as memory would grow with both."""

FEWEST_ROUNDS = 3
"""Fewest passes over the data, however much of it there is."""


class Folds(NamedTuple):
    """Rows of each of F splits; no row is in two of its three parts.

    Attributes:
        train: int[F, m], trained on.
        valid: int[F, v], which decide when training stops and how experts are weighted.
        test: int[F, B, t], held out and scored, in B blocks; no row is scored in two folds. A fold of more than
            `MOST_SCORED` rows has several blocks, and a row may be in two of them, so that all have the same size.
        seen: int[F, t], a part of `train` that is scored as well.
    """

    train: np.ndarray
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
        batch: pairs per step.
        learning_rate: at its peak.
    """

    width: int
    depth: int
    rank: int
    steps: int
    batch: int
    learning_rate: float

    def grown(self, num_rows: int) -> "Training":
        """The training for `num_rows` rows; widths and batches grow by doubling, so that few programs are compiled.

        >>> Training(64, 3, 24, 800, 256, 3e-3).grown(100_000)
        Training(width=128, depth=3, rank=48, steps=1897, batch=512, learning_rate=0.003)
        """
        growth = max(math.sqrt(num_rows / FEW_ROWS), 1.0)
        double = 2 ** int(math.log2(growth))
        steps = int(self.steps * growth**0.75)
        return self._replace(width=self.width * double, rank=self.rank * double, steps=steps, batch=self.batch * double)


def make_folds(n: int, num_folds: int, rng: np.random.Generator) -> Folds:
    """Splits n rows at random into the given number of folds."""
    order, size = rng.permutation(n), n // num_folds
    tests = order[: size * num_folds].reshape(num_folds, size)
    rest = np.stack([np.setdiff1d(order, test, assume_unique=True) for test in tests])
    rest = np.stack([row[rng.permutation(len(row))] for row in rest])
    num_valid = max(len(rest[0]) // 8, 4)
    most = most_scored(n)
    train, tests = rest[:, num_valid:], np.stack([in_blocks(test, most) for test in tests])
    return Folds(train, rest[:, :num_valid][:, :MOST_SCORED], tests, train[:, : tests.shape[2]])


def most_scored(num_rows: int) -> int:
    """Most rows of a score matrix of test pairs: the more rows, the less their finite number distorts."""
    return MOST_SCORED if num_rows <= MOST_TOGETHER else MOST_SCORED_ALONE


def in_blocks(rows: np.ndarray, most: int) -> np.ndarray:
    """int[B, t], t ≤ most: blocks of the same size that together cover all rows, each spread evenly over them.

    >>> in_blocks(np.arange(7), 3).tolist()
    [[0, 2, 4], [1, 3, 5], [2, 4, 6]]
    """
    size = min(len(rows), most)
    num_blocks = -(-len(rows) // size)
    places = [np.linspace(first, len(rows) - num_blocks + first, size) for first in range(num_blocks)]
    return rows[np.array(places).astype(int)]


def make_orders(num_train: int, how: Training, rng: np.random.Generator) -> np.ndarray:
    """int[rounds, steps, batch]: for every round through the data, which of a fold's `train` rows each step sees.

    All folds and experts may share them: their rows are in different orders already.
    """
    per_round = max(num_train // how.batch, 1)
    rounds = max(how.steps // per_round, FEWEST_ROUNDS)
    orders = np.stack([rng.permutation(num_train)[: per_round * how.batch] for _ in range(rounds)])
    return orders.reshape(rounds, per_round, -1)
