"""Arrays of many columns: each fold keeps the columns and the directions that predict the other side best.

Training rows choose them, and validation rows the ridge, so that no row of the held-out mean can flatter the choice.
"""

import numpy as np

from mi_coding.estimate.columns import Columns, from_scores, standard
from mi_coding.estimate.streams import stream

NUM_COLUMNS, NUM_DIRECTIONS = 32, 16
"""Columns that are kept as they are, and linear combinations of all columns beside them."""

NUM_WAVES = 32
"""Random cosines of the other side, so that a column with a nonlinear relation to it is detected."""

RIDGES = (1e-2, 1e-1, 1.0, 10.0)
"""Candidates in units of a column's variance; validation rows choose among them."""


def narrowed(x: Columns, y: Columns, train: np.ndarray, valid: np.ndarray, seed: int) -> tuple[Columns, Columns]:
    """Both sides with few columns: a wide side is reduced by what it tells about the other, any other side is kept."""
    return _reduced(x, y, train, valid, seed), _reduced(y, x, train, valid, seed)


def _reduced(side: Columns, other: Columns, train: np.ndarray, valid: np.ndarray, seed: int) -> Columns:
    if side.wide is None:
        return side
    targets = _targets(other, seed)
    straight = np.abs(_correlations(side.wide[train], targets[train])).max(axis=1)
    bent = np.abs(_correlations(side.wide[train] ** 2, targets[train])).max(axis=1)
    kept = np.argsort(-np.maximum(straight, bent), kind="stable")[:NUM_COLUMNS]
    chosen = np.concatenate([side.wide[:, kept], _directions(side.wide, targets, train, valid)], axis=1)
    return from_scores(chosen, stream(seed, "ties of directions"))


def _targets(side: Columns, seed: int) -> np.ndarray:
    """float32[n, e]: what is to be predicted of a side: its columns, or their principal components, and cosines."""
    shown = side.features
    waves = shown @ (
        stream(seed, "waves of targets").normal(size=(shown.shape[1], NUM_WAVES)) / np.sqrt(shown.shape[1])
    )
    shown = np.concatenate([shown, np.cos(waves + np.linspace(0, np.pi, NUM_WAVES))], axis=1)
    if side.wide is not None:
        shown = np.concatenate([shown, side.wide], axis=1)
    return standard(shown)


def _directions(wide: np.ndarray, targets: np.ndarray, train: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """float32[n, NUM_DIRECTIONS]: the leading directions of ridge regressions of the targets, of reduced rank."""
    inputs = wide[train] - wide[train].mean(axis=0)
    targets = targets[:, np.argsort(-np.abs(_correlations(inputs, targets[train])).max(axis=0))[: 4 * NUM_COLUMNS]]
    gram, crossed = inputs.T @ inputs / len(inputs), inputs.T @ targets[train] / len(inputs)
    found = []
    for ridge in RIDGES:
        weights = np.linalg.solve(gram + np.float32(ridge) * np.eye(len(gram), dtype=np.float32), crossed)
        _, _, turned = np.linalg.svd(weights.T @ crossed, hermitian=True)
        codes = wide @ (weights @ turned[:NUM_DIRECTIONS].T)
        seen = _correlations(codes[valid], targets[valid])
        found.append((float(np.sum(seen**2)), codes))
    return max(found, key=lambda one: one[0])[1]


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return standard(a).T @ standard(b) / len(a)
