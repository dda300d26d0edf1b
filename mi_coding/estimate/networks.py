"""The cross-fitted estimate by networks that correct closed forms, pooled with experts that are not networks."""

import math
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.estimate import experts, start
from mi_coding.estimate.columns import Columns
from mi_coding.estimate.cores import on_both_cores
from mi_coding.estimate.crossfit import READOUTS, UNANCHORED, Expert, PyTree, padded, score_folds, train_folds
from mi_coding.estimate.folds import Folds, Training
from mi_coding.estimate.result import Measured
from mi_coding.estimate.start import Start

HEADROOM = 4.5
"""Nats by which ln(rows of a score matrix) must exceed InfoNCE for rows and columns to be balanced accurately."""


class Networks(NamedTuple):
    """How the networks of one estimate are trained.

    Attributes:
        sides: x and y of each fold; of wide arrays, each fold may keep different columns.
        folds: the rows.
        orders: int[rounds, steps, batch], see `make_orders`.
        draws: int[F, B, 1 + permutations, t], which test rows of y those of x are paired with; first as observed.
        how: sizes of the networks and length of training.
        together: how many folds are trained at a time.
        initial: the networks of each fold before training, see `initial_params`.
        seed: of the canonical variables and of the experts that are not networks.
        program: of `compile_ahead`, which is awaited before the first training.
    """

    sides: Sequence[tuple[Columns, Columns]]
    folds: Folds
    orders: np.ndarray
    draws: np.ndarray
    how: Training
    together: int
    initial: PyTree
    seed: int
    program: Future


def cross_fitted(networks: Networks, names: Sequence[str], beside: Executor) -> Measured:
    """Estimates by networks; XLA compiles their programs while NumPy fits the closed forms that they start from."""
    folds, sides, seed = networks.folds, networks.sides, networks.seed
    starts = start.choose(*sides[0], folds.train[0], folds.valid[0], seed)
    infonce = math.log(folds.valid.shape[1]) - min(s.loss for s in starts)  # of the better closed form
    anchored = np.bool_(infonce > math.log(folds.test.shape[2]) - HEADROOM)
    fitted, parts = experts.fit_folds(names, sides, folds, seed), []
    for first in range(0, len(sides), networks.together):
        parts.append(_scored(networks, starts, fitted, anchored, np.s_[first : first + networks.together], beside))
    test, seen, bounds, null, shares, curve = (np.concatenate(part) for part in zip(*parts, strict=True))
    local = np.full(len(sides[0][0].scores), np.nan)
    local[folds.test.ravel()] = test.ravel()
    optimism = float(np.nanmean(seen - local[folds.seen]))  # of the same pairs, whose sampling noise cancels
    curve = np.nanmean(curve[:, np.isfinite(curve).any(0)], axis=0)
    method = [str(min(starts, key=lambda found: found.loss))]
    method += [f"{share:.0%} {name}" for name, share in zip(names, shares.mean(axis=0), strict=True) if share >= 0.05]
    scores = {"num_scored": folds.test.shape[2], "null": null.mean(axis=0), "curve": curve}
    of_folds = dict(zip(READOUTS, bounds.T, strict=True))
    return Measured(local + optimism / 2, optimism, of_folds, method=", ".join(method), **scores)


def _scored(
    networks: Networks,
    starts: tuple[Start, Start],
    fitted: Sequence[experts.Fitted],
    anchored: np.bool_,
    part: slice,
    beside: Executor,
) -> tuple[np.ndarray, ...]:
    """Scores of a part of the folds: float[F, B, t] of test pairs, float[F, t] of seen ones, float[F, readouts],
    float[F, 1 + permutations], shares float[F, E] and curves float[F, rounds]."""
    sides, folds, how = networks.sides, Folds(*(rows[part] for rows in networks.folds)), networks.how

    def scores(rows):
        return np.stack([one.scores(of_fold) for one, of_fold in zip(fitted[part], rows, strict=True)])

    blocks = [*folds.test.swapaxes(0, 1), folds.seen]
    of_others = beside.submit(scores, blocks[0])
    widths = start.widths(*sides[0])

    def started(side, rows):
        return [_alike(expert, **widths) for expert in start.follow(starts, *side, rows, networks.seed)]

    stacked = _stacked(on_both_cores(started, sides[part], folds.train))
    networks.program.result()
    initial = jax.tree.map(lambda weights: weights[part], networks.initial)
    trained = train_folds(initial, stacked, folds.train, folds.valid, networks.orders, scores(folds.valid), how=how)
    draws, found = networks.draws[part], []
    for number, rows in enumerate(blocks):
        is_test = np.bool_(number < folds.test.shape[1])
        inputs = rows, of_others.result(), draws[:, number if is_test else 0]
        if is_test:  # of one block ahead: all of them would fill the memory
            of_others = beside.submit(scores, blocks[number + 1])
        found.append(jax.device_get(score_folds(trained, stacked, *inputs, anchored, is_test, how=how)))
    *tests, seen = found
    bounds = np.mean([list(block.bounds.values()) for block in tests], axis=0).T
    # Where the difference from the closed form falls below the InfoNCE lower bound, the closed form is too inaccurate
    # to serve as a control variate.
    difference = np.stack([block.difference for block in tests], axis=1)
    holds = difference.mean(axis=(1, 2)) >= bounds[:, list(READOUTS).index("infonce")] - UNANCHORED
    local = np.stack([block.local for block in tests], axis=1)
    return (
        np.where(holds[:, None, None], difference, local),
        np.where(holds[:, None], seen.difference, seen.local),
        bounds,
        np.mean([block.null for block in tests], axis=0),
        np.asarray(trained.shares),
        np.asarray(trained.curve),
    )


def _alike(expert: Expert, features: int, cross: int) -> Expert:
    """An expert padded to these widths."""
    x, y = (padded(side, features) for side in (expert.x, expert.y))
    bases = [base._replace(cross=padded(base.cross, cross)) for base in (expert.base_x, expert.base_y)]
    return Expert(x, y, *bases, expert.degrees, expert.dim)


def _stacked(experts: list[list[Expert]]) -> Expert:
    """Both experts of each of F folds as one, with leading axes [F, 2]."""
    structure = jax.tree.structure(experts[0][0])
    arrays = [jax.tree.leaves(expert) for of_fold in experts for expert in of_fold]
    count = len(experts)
    experts.clear()
    stacked = []
    while arrays[0]:  # each is freed once it is stacked: all of them twice would fill the memory
        parts = np.stack([of_expert.pop(0) for of_expert in arrays])
        stacked.append(jnp.asarray(parts.reshape(count, 2, *parts.shape[1:])))
    return jax.tree.unflatten(structure, stacked)
