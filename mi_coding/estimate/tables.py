"""Information of two discrete arrays: counted, and corrected for the bias of counting."""

from itertools import chain, product

import jax
import jax.numpy as jnp
import numpy as np

from mi_coding.estimate.crossfit import READOUTS
from mi_coding.estimate.folds import Folds

STRENGTHS = tuple(2.0**power for power in range(-5, 16))
"""Candidate strengths of a prior, in pairs that it is worth."""

DISCOUNTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Candidate discounts, subtracted from each count."""

PAIRS_PER_CELL = 20
"""Least average number of pairs per cell of the table for counting to be trusted."""


def suits(codes_x: np.ndarray | None, codes_y: np.ndarray | None) -> bool:
    """Whether both arrays are discrete and the table of their values is well filled."""
    if codes_x is None or codes_y is None:
        return False
    return PAIRS_PER_CELL * (codes_x.max() + 1) * (codes_y.max() + 1) <= len(codes_x)


def local_information(codes_x: np.ndarray, codes_y: np.ndarray) -> np.ndarray:
    """float64[n]: ln of observed over expected count of each pair's cell, minus the bias of their mean.

    >>> coin = np.arange(1000) % 2
    >>> round(float(local_information(coin, coin).mean()), 4)  # ln 2, and 1/2n for the one count that was free
    0.6936

    Source: plug-in estimate with the correction of Miller and Madow, (cells − Kx − Ky + 1)/2n over filled cells.
    """
    table = _count(codes_x, codes_y)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    filled = table > 0
    bias = (filled.sum() - filled.any(1).sum() - filled.any(0).sum() + 1) / (2 * len(codes_x))
    return np.log((table / np.maximum(expected, 1e-300))[codes_x, codes_y]) - bias


def shrunk_information(
    codes_x: np.ndarray, codes_y: np.ndarray, stretches: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, str]:
    """float64[n] twice, the log ratio of each pair when left out of the counts and when counted; the method in words.

    Where rows depend on each other, a pair is left out with its whole stretch, int[n].

    For tables whose cells are rarely filled: the law of one side given a value of the other combines its counts, each
    minus a discount, with a prior that is distributed as that side is, worth `strength` pairs and all that was
    discounted. The direction, strength and discount are those that predict each pair best from all the others. The
    entropy of the predicted side is counted, with the correction of Miller and Madow.

    >>> rng = np.random.default_rng(0)
    >>> left_out, counted, _ = shrunk_information(*rng.integers(0, 100, (2, 1000)))  # independent
    >>> round(float(left_out.mean() + counted.mean()) / 2, 2), bool(left_out.mean() < counted.mean())
    (0.0, True)

    Source: the law is that of a Pitman–Yor process, Teh, ACL 2006 (P06-1124), chosen by leave-one-out likelihood.
    """
    likeliest, best = -np.inf, ()
    stretches = np.arange(len(codes_x)) if stretches is None else stretches
    own_size = np.bincount(stretches)[stretches]
    for given, told, names in ((codes_x, codes_y, "y given x"), (codes_y, codes_x, "x given y")):
        of_given, of_told = (np.bincount(side)[side] for side in (given, told))
        pairs = _count_pairs(given, told)
        sides = _numbered(given, told), given, told
        own_pairs, own_given, own_told = (_count_pairs(stretches, side) for side in sides)
        kinds = np.bincount(given, 1 / pairs)[given]  # distinct values of the other side that each was seen with
        alone = np.where(own_pairs == pairs, 1 / pairs, 0.0)  # of these, in no other stretch
        own = _numbered(stretches, given)
        own_kinds = np.bincount(own, alone)[own]
        share = of_told / len(told)
        others = (of_told - own_told + 0.5) / (len(told) - own_size + 0.5 * told.max())
        entropy = -np.log(share) + told.max() / (2 * len(told))
        for strength, discount in product(STRENGTHS, DISCOUNTS):

            def predicted(count, total, seen, share, strength=strength, discount=discount):
                prior = (strength + discount * seen) * share
                return np.log((np.maximum(count - discount, 0) + prior) / (total + strength))

            left_out = entropy + predicted(pairs - own_pairs, of_given - own_given, kinds - own_kinds, others)
            if (likelihood := left_out.mean()) > likeliest:
                likeliest = likelihood
                counted = entropy + predicted(pairs, of_given, kinds, share)
                best = left_out, counted, f"{names}, strength {strength:g}, discount {discount:g}"
    left_out, counted, how = best
    shape = f"{codes_x.max() + 1:,} × {codes_y.max() + 1:,}"
    return left_out, counted, f"counts of {shape} values, shrunk to independence ({how})"


def entropy(codes: np.ndarray) -> float:
    """Entropy of a discrete side in nats: counted, with the correction of Miller and Madow.

    >>> round(entropy(np.arange(1000) % 2), 4)  # ln 2, and 1/2n
    0.6936
    """
    counts = np.bincount(codes)
    shares = counts[counts > 0] / len(codes)
    return float(-np.sum(shares * np.log(shares)) + (len(shares) - 1) / (2 * len(codes)))


def count_statistic(codes_x: np.ndarray, codes_y: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """float64[1 + permutations]: the counted information of the observed pairs, and of those of each draw."""
    marginal = np.bincount(codes_x), np.bincount(codes_y)
    expected = np.log(marginal[0])[codes_x].sum() + np.log(marginal[1])[codes_y].sum()
    draws = chain([codes_y], (codes_y[order] for order in orders))
    return np.array([np.log(_count_pairs(codes_x, other)).sum() - expected for other in draws]) / len(codes_x)


def _count_pairs(codes_x: np.ndarray, codes_y: np.ndarray) -> np.ndarray:
    """int64[n]: how many pairs are equal to each pair, itself included."""
    number = _numbered(codes_x, codes_y)
    return np.bincount(number)[number]


def _numbered(codes_x: np.ndarray, codes_y: np.ndarray) -> np.ndarray:
    """int64[n]: a number for each distinct pair."""
    both = codes_x.astype(np.int64) * (int(codes_y.max()) + 1) + codes_y
    return np.unique(both, return_inverse=True)[1].ravel()


def heldout_bounds(codes_x: np.ndarray, codes_y: np.ndarray, folds: Folds) -> dict[str, np.ndarray]:
    """Every read-out of a table counted on the training rows of each fold; float32[F] each, on its first test block.

    Half a pair is added to every cell, so that none is impossible; only the cells of test rows are computed.
    """
    (num_x, num_y), found = (int(codes.max()) + 1 for codes in (codes_x, codes_y)), []
    for train, test in zip(folds.train, folds.test[:, 0], strict=True):
        (own_x, x, rows), (own_y, y, columns) = (_of_test(codes, train, test) for codes in (codes_x, codes_y))
        both = (x >= 0) & (y >= 0)
        table = _count(x[both], y[both], (len(rows), len(columns))) + 0.5
        expected = np.outer(rows + 0.5 * num_y, columns + 0.5 * num_x) / (len(train) + 0.5 * num_x * num_y)
        found.append(_read(jnp.float32(np.log(table / expected)[own_x][:, own_y])))
    return {name: np.array([values[name] for values in found]) for name in READOUTS}


def _of_test(codes: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The index among the values of test rows of each test row, and of each training row, −1 for none; and how often
    each value occurs in training rows."""
    values, own = np.unique(codes[test], return_inverse=True)
    place = np.full(codes.max() + 1, -1)
    place[values] = np.arange(len(values))
    return own.ravel(), place[codes[train]], np.bincount(codes[train], minlength=len(place))[values]


_read = jax.jit(lambda scores: {name: readout(scores) for name, readout in READOUTS.items()})


def _count(codes_x: np.ndarray, codes_y: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    table = np.zeros(shape or (codes_x.max() + 1, codes_y.max() + 1))
    np.add.at(table, (codes_x, codes_y), 1)
    return table
