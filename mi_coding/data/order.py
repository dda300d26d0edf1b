"""Which examples a batch consists of: a pure function of the seed and the number of the batch."""

from typing import NamedTuple

import grain
import numpy as np


class Order(NamedTuple):
    """Which examples a batch consists of.

    Attributes:
        num_examples: n.
        batch_size: B, examples per batch.
        seed: at least 0.
        distinct: see `StreamSpec`.
        group_size: number of consecutive rows of a batch that are drawn from one group.
        groups: int64[k + 1], edges of the groups among the n positions; None to draw every row from all of them.
    """

    num_examples: int
    batch_size: int
    seed: int
    distinct: bool
    group_size: int = 1
    groups: np.ndarray | None = None

    def positions(self, batch: int, rows: range) -> np.ndarray:
        """int64[len(rows)]: positions of the examples of some rows of one batch."""
        return self._shuffled(batch, rows) if self.distinct else self._drawn(batch, rows)

    def _drawn(self, batch: int, rows: range) -> np.ndarray:
        """Independent draws with replacement."""
        rng = np.random.default_rng((self.seed, batch))
        draws = rng.integers(self.num_examples, size=self.batch_size)
        if self.groups is not None:
            draws = self._within_groups(rng, draws)
        return draws[rows.start : rows.stop]

    def _within_groups(self, rng: np.random.Generator, draws: np.ndarray) -> np.ndarray:
        """Draws all rows anew, each within the group that the first of its rows has drawn."""
        group = np.searchsorted(self.groups, draws[:: self.group_size], side="right") - 1
        return rng.integers(*(np.repeat(self.groups[group + side], self.group_size) for side in (0, 1)))

    def _shuffled(self, batch: int, rows: range) -> np.ndarray:
        """A permutation for each epoch, evaluated only where it is needed."""
        epoch, place = divmod(batch, self.num_examples // self.batch_size)
        # grain's own shuffle adds the epoch to the seed: the second epoch of seed 0 would be the first of seed 1.
        seed = int(np.random.SeedSequence((self.seed, epoch)).generate_state(1)[0])
        last, first = self.num_examples - 1, place * self.batch_size
        shuffled = (grain.experimental.index_shuffle(first + row, max_index=last, seed=seed, rounds=4) for row in rows)
        return np.fromiter(shuffled, np.int64, len(rows))
