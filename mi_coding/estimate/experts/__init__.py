"""Critics that are fitted whole, beside the networks: one file a kind, and an entry in `EXPERTS`.

Each scores every x of some rows with every y of them; held-out pairs decide how much it counts in a fold.
"""

from collections.abc import Sequence

import numpy as np

from mi_coding.estimate.columns import Columns
from mi_coding.estimate.experts.classifiers import Classifiers
from mi_coding.estimate.experts.gaussian_mixture import GaussianMixtures
from mi_coding.estimate.folds import Folds, Matrices

EXPERTS = {"Gaussian mixture": GaussianMixtures, "classifiers": Classifiers}
"""In words → the kind. `suits(x, y)` says whether it can score such columns; an instance is fitted to rows."""


def suited(x: Columns, y: Columns) -> list[str]:
    """The experts that can score such columns."""
    return [name for name, kind in EXPERTS.items() if kind.suits(x, y)]


def score_folds(names: list[str], sides: Sequence[tuple[Columns, Columns]], folds: Folds, seed: int) -> Matrices:
    """Fits the named experts to the training rows of each fold, and scores the others and as many of these.

    Args:
        sides: x and y of each fold, which of many columns may choose others.
    """
    parts: list[list[list[np.ndarray]]] = [[], [], []]
    experts = [EXPERTS[name](seed) for name in names]
    for side, train, *others in zip(sides, *folds, strict=True):
        for expert in experts:
            expert.fit(*side, train, others[0])
        for part, rows in zip(parts, others, strict=True):
            part.append([expert.scores(*side, rows) for expert in experts])
    shapes = [
        (len(part), len(names), rows.shape[1], rows.shape[1]) for part, rows in zip(parts, folds[1:], strict=True)
    ]
    return Matrices(*(np.array(part, np.float32).reshape(shape) for part, shape in zip(parts, shapes, strict=True)))
