"""Critics that are fitted as a whole, beside the networks: one file per kind, and an entry in `EXPERTS`.

Each scores every x of some rows with every y of these rows; held-out pairs decide its weight in a fold.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from mi_coding.estimate.columns import Columns
from mi_coding.estimate.experts.classifiers import Classifiers
from mi_coding.estimate.experts.gaussian_mixture import GaussianMixtures
from mi_coding.estimate.folds import Folds

EXPERTS = {"Gaussian mixture": GaussianMixtures, "classifiers": Classifiers}
"""Name in words → the kind. `suits(x, y)` returns whether it can score such columns; an instance is fitted to rows."""


def suited(x: Columns, y: Columns) -> list[str]:
    """The experts that can score such columns."""
    return [name for name, kind in EXPERTS.items() if kind.suits(x, y)]


class Fitted(NamedTuple):
    """Experts that are fitted to the training rows of one fold."""

    side: tuple[Columns, Columns]
    experts: list[Any]

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """float32[E, m, m]: of every x of some rows with every y, by each expert."""
        found = [np.asarray(expert.scores(*self.side, rows)) for expert in self.experts]
        return np.array(found, np.float32).reshape(len(found), len(rows), len(rows))


def fit_folds(names: list[str], sides: Sequence[tuple[Columns, Columns]], folds: Folds, seed: int) -> list[Fitted]:
    """Fits the named experts to the training rows of each fold.

    Args:
        sides: x and y of each fold; of wide arrays, each fold may keep different columns.
    """
    experts, fitted = [EXPERTS[name](seed) for name in names], []
    for side, train, valid in zip(sides, folds.train, folds.valid, strict=True):
        for expert in experts:
            expert.fit(*side, train, valid)
        fitted.append(Fitted(side, list(map(copy, experts))))  # what the first fold has chosen holds for all
    return fitted
