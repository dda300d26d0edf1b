"""How the rows of the arrays depend on each other, and so how they may be split, exchanged and averaged.

Held-out rows must not be neighbours of training rows, a null draw must preserve the dependence within x and within y,
and the standard error of a mean must count what is independent. Each kind does these three; a new one is a `Rows`.
"""

import heapq
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import rankdata

from mi_coding.errors import InputError
from mi_coding.estimate.folds import MOST_SCORED, Folds, in_blocks, make_folds, most_scored
from mi_coding.estimate.inputs import is_absent

FEWEST_GROUPS = 10
"""Fewest groups by which rows can be held out, or errors be measured."""

_FEWEST_ALIKE = 5
"""Fewest groups of similar sizes that are exchanged with each other."""

_APART = 4
"""Length of a stretch of a series in units of its memory: most rows of one are unrelated to all other stretches."""

NUM_BLOCKS = 20
"""Parts of a series whose means are taken as independent, where its memory is shorter than a part."""

NO_MEMORY = 0.1
"""Correlation below which two moments of a series are taken as unrelated."""

DEPENDENT = 0.1
"""Correlation of successive rows, beyond its noise, above which both arrays are suspected to be series."""

MOST_COPIES, FEW_COPIES, MOST_ALONE = 20, 4, 0.9
"""Rows as which one observation may have been entered, at most and on average; and the least share of values, atoms
aside, that occur only once in a continuous column."""


class Rows(ABC):
    """What may be assumed of the rows of two arrays.

    Attributes:
        are_independent: whether each row is a draw of its own.
        test_critics: whether the test of independence may use the scores of each fold's held-out pairs.
        stretches: int[n], the stretch of each row, outside of which few rows depend on it; None for single rows.
    """

    are_independent = False
    test_critics = True
    stretches: np.ndarray | None = None

    @abstractmethod
    def folds(self, num_folds: int, rng: np.random.Generator) -> Folds:
        """Splits whose parts do not depend on each other."""

    @abstractmethod
    def exchanged(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """int[m]: positions in `rows` int[m] of the y that each x is paired with in one draw under independence."""

    @abstractmethod
    def error_of_mean(self, values: np.ndarray, least: float = 0.0) -> float:
        """The standard error of the mean of float[n]; NaN is ignored, and `least` is a lower limit of the deviation."""


@dataclass(frozen=True)
class Independent(Rows):
    """Each row is a draw of its own; `count` of them."""

    count: int
    are_independent = True

    def folds(self, num_folds, rng):
        return make_folds(self.count, num_folds, rng)

    def exchanged(self, rows, rng):
        return rng.permutation(len(rows))

    def error_of_mean(self, values, least=0.0):
        values = values[np.isfinite(values)]
        return max(float(values.std()), least) / math.sqrt(len(values))


@dataclass(frozen=True, eq=False)
class Grouped(Rows):
    """Rows of one group depend on each other, as several visits of one patient do; `number` int[n] is the group."""

    number: np.ndarray

    def folds(self, num_folds, rng):
        order = rng.permutation(self.number.max() + 1)[self.number]  # groups in random order
        rows = np.lexsort((rng.random(len(order)), order))
        fold = _folds_of(np.bincount(order), num_folds)[order[rows]]
        parts = []
        for one in np.unique(fold):
            test, rest = rows[fold == one], np.concatenate([rows[fold > one], rows[fold < one]])
            groups = order[rest]
            cut = np.flatnonzero(np.diff(groups, prepend=groups[:1]))  # where the next group begins
            num_valid = cut[np.searchsorted(cut, max(len(rest) // 8, 4)).clip(max=len(cut) - 1)]
            parts.append((rest[num_valid:], rest[:num_valid], test))
        return _even(parts, len(self.number), rng)

    def exchanged(self, rows, rng):
        number = self.number[rows]
        place = np.unique(number, return_inverse=True)[1]  # among the groups of these rows, of which there may be few
        kind = _alike(np.bincount(place))[place]
        own = np.lexsort((number, kind))
        other = np.lexsort((number, rng.permutation(self.number.max() + 1)[number], kind))  # whole groups exchanged
        found = np.empty(len(rows), int)
        found[own] = other
        return found

    @property
    def stretches(self):
        return self.number

    def error_of_mean(self, values, least=0.0):
        finite = np.isfinite(values)
        count = finite.sum()
        mean = values[finite].mean()
        totals = np.bincount(self.number[finite], values[finite] - mean)
        sizes = np.bincount(self.number[finite])
        clusters = np.count_nonzero(sizes)
        error = math.sqrt(np.sum(totals**2) * clusters / max(clusters - 1, 1)) / count
        return max(error, least / math.sqrt(clusters))


@dataclass(frozen=True)
class Series(Rows):
    """Rows follow one another in time, `count` of them, and are unrelated after `memory` steps."""

    count: int
    memory: int

    @property
    def test_critics(self):
        # A circular shift joins the end of a fold to its beginning, a break that the observed pairs do not have: in a
        # fold of few independent stretches the mean score varies less under shifts than under independence, and p would
        # be too small.
        return self.memory * NUM_BLOCKS <= self.count

    def folds(self, num_folds, rng):
        edges = np.arange(num_folds + 1) * self.count // num_folds
        gap = min(self.memory, self.count // (4 * num_folds))  # between training rows and scored ones
        parts = []
        for first, last in pairwise(edges):
            after, before = np.arange(last + gap, self.count), np.arange(0, first - gap)
            rest = np.concatenate([after, before])
            middle, num_valid = len(rest) // 2, max(len(rest) // 8, 4)
            valid = rest[middle : middle + num_valid]
            train = np.concatenate([rest[: max(middle - gap, 0)], rest[middle + num_valid + gap :]])
            parts.append((rng.permutation(train), valid, np.arange(first, last)))
        return _even(parts, self.count, rng)

    @property
    def stretches(self):
        return np.arange(self.count) // (_APART * max(self.memory, 1))

    def exchanged(self, rows, rng):
        shift = rng.integers(len(rows))  # small ones, too: shifts form a group, which makes the test exact
        in_time = np.argsort(rows, kind="stable")
        found = np.empty(len(rows), int)
        found[in_time] = np.roll(in_time, -shift)  # a circle, so that every y is used once
        return found

    def error_of_mean(self, values, least=0.0):
        finite = values[np.isfinite(values)]
        parts = int(np.clip(len(finite) // max(self.memory, 1), 4, NUM_BLOCKS))
        means = np.array([part.mean() for part in np.array_split(finite, parts)])
        return max(float(means.std(ddof=1)) / math.sqrt(parts), least / math.sqrt(len(finite) / max(self.memory, 1)))


def _folds_of(sizes: np.ndarray, num_folds: int) -> np.ndarray:
    """The fold of each group: the largest first, and each in the fold that has the fewest rows so far.

    >>> _folds_of(np.array([1, 1, 5, 1, 1]), 3).tolist()
    [1, 2, 0, 1, 2]
    """
    fold, filled = np.empty(len(sizes), int), [(0, number) for number in range(num_folds)]  # a heap
    for group in np.argsort(-sizes, kind="stable"):
        count, number = filled[0]
        fold[group] = number
        heapq.heapreplace(filled, (count + int(sizes[group]), number))
    return fold


def _alike(sizes: np.ndarray) -> np.ndarray:
    """For each group the number of a kind, whose groups have similar sizes and are exchanged with each other alone.

    What groups add to a statistic varies under an exchange as it does under independence only where a group of x meets
    one of y of its size. A kind has at least `_FEWEST_ALIKE` groups, unless their sizes differ by more than a factor 2.

    >>> _alike(np.array([1, 1, 1, 50, 1, 1, 9, 12])).tolist()
    [0, 0, 0, 2, 0, 0, 1, 1]
    """
    distinct, place, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    kinds, kind, members, smallest = np.empty(len(distinct), int), 0, 0, distinct[0]
    for number, (size, count) in enumerate(zip(distinct.tolist(), counts.tolist(), strict=True)):
        if members >= _FEWEST_ALIKE or size > 2 * smallest:
            kind, members, smallest = kind + 1, 0, size
        kinds[number], members = kind, members + count
    return kinds[place]


def _even(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], count: int, rng: np.random.Generator) -> Folds:
    """Folds cut to equal sizes, the smallest of each part; where rows are left out, the others are evenly spaced."""
    sizes = [min(len(fold[i]) for fold in parts) for i in range(3)]
    sizes[1] = min(sizes[1], MOST_SCORED)

    def stacked(i):
        return np.stack([fold[i][np.linspace(0, len(fold[i]) - 1, sizes[i]).astype(int)] for fold in parts])

    train, valid, test = map(stacked, range(3))
    most = min(most_scored(count), sizes[0])
    test = np.stack([in_blocks(rows, most) for rows in test])
    return Folds(train, valid, test, np.stack([rng.permutation(row)[: test.shape[2]] for row in train]))


def kept_rows(kind: object, kept: np.ndarray) -> object:
    """`rows` of `estimate_mi` after rows were dropped: an array of groups [n] is reduced to the rows that stay."""
    if isinstance(kind, str) or np.shape(kind) != kept.shape:
        return kind
    return np.asarray(kind)[kept]


def rows_of(kind: object, x: np.ndarray, y: np.ndarray) -> tuple[Rows, list[str]]:
    """The `Rows` that `rows` of `estimate_mi` names, for float[n, d] and float[n, e]; and warnings, one sentence each.

    Args:
        kind: "independent", "series" or an array [n] of groups.
    Raises:
        InputError: for any other kind, and for groups by which rows cannot be held out.
    """
    count = len(x)
    if isinstance(kind, str):
        if kind not in ROWS:
            raise InputError(f"rows={kind!r} is unknown; expected {', '.join(map(repr, ROWS))} or an array of groups")
        return ROWS[kind](x, y)
    groups = np.asarray(kind)
    if groups.shape != (count,):
        expected = f"'independent', 'series' or one group for each of {count:,} rows"
        raise InputError(f"rows has shape {groups.shape}; expected {expected}")
    if absent := sum(map(is_absent, groups.tolist())):
        found = f"rows names no group for {absent:,} of {count:,} rows"
        raise InputError(f"{found}; expected one for each: leave these rows out, or give each a group of its own")
    if groups.dtype.kind not in "iuUSb":
        groups = groups.astype(str)
    number = np.unique(groups, return_inverse=True)[1].ravel()
    sizes = np.bincount(number)
    if len(sizes) < FEWEST_GROUPS or sizes.max() > count // 5:
        found = f"rows has {len(sizes):,} groups, the largest with {sizes.max():,} of {count:,} rows"
        raise InputError(f"{found}; expected at least {FEWEST_GROUPS}, none larger than a fifth of the rows")
    return Grouped(number), []


def _series(x: np.ndarray, y: np.ndarray) -> tuple[Rows, list[str]]:
    found = Series(len(x), memory_of(x, y))
    if found.test_critics:
        return found, []
    some = f"both series stay correlated over about {found.memory:,} of {found.count:,} rows"
    few = (
        "there are few independent stretches, so the interval may be too narrow, and p is computed without the critics"
    )
    return found, [f"{some}: {few}"]


def _independent(x: np.ndarray, y: np.ndarray) -> tuple[Rows, list[str]]:
    number = entered_twice(x, y)
    if number is not None:
        copies = len(x) - (number.max() + 1)
        told = f"{copies:,} of {len(x):,} pairs are exact copies of others: copies are kept together in one fold, and "
        return Grouped(number), [f"{told}count as one observation in the interval"]
    found = [successive_correlation(side) for side in (x, y)]
    if min(found) < DEPENDENT + 4 / math.sqrt(len(x)):
        return Independent(len(x)), []
    told = f"successive rows depend on each other: lag-1 correlation {found[0]:.2f} of x and {found[1]:.2f} of y"
    told += ", so the interval and p may be wrong; pass rows='series', or shuffle the rows if their order means nothing"
    return Independent(len(x)), [told]


ROWS = {"independent": _independent, "series": _series}
"""Values of `rows` of `estimate_mi`, apart from groups → the function that makes the `Rows` of two arrays."""


def successive_correlation(columns: np.ndarray) -> float:
    """The largest absolute correlation of the ranks of a column of float[n, d] with those of the same one row later.

    >>> round(successive_correlation(np.arange(100.0)[:, None]), 2)
    0.97
    """
    return float(np.abs(_autocorrelations(columns, 1)[1]).max())


def memory_of(x: np.ndarray, y: np.ndarray) -> int:
    """Rows after which x and y no longer both resemble their past: twice the first lag at which the product of their
    autocorrelations, each the largest over columns, is below `NO_MEMORY`; at most an eighth of the rows."""
    most = len(x) // 8
    a, b = (np.abs(_autocorrelations(side, most)).max(axis=1) for side in (x, y))
    below = np.flatnonzero(a * b < NO_MEMORY)
    return int(min(2 * below[0] if len(below) else most, most))


def _autocorrelations(columns: np.ndarray, most: int) -> np.ndarray:
    """float[most + 1, d]: of the ranks of each column, at lags 0, 1, …"""
    ranks = rankdata(columns, axis=0)
    ranks -= ranks.mean(axis=0)
    length = 2 ** (2 * len(ranks) - 1).bit_length()
    power = np.abs(np.fft.rfft(ranks, length, axis=0)) ** 2
    found = np.fft.irfft(power, length, axis=0)[: most + 1]
    return found / np.maximum(found[:1], 1e-12)


def entered_twice(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """int[n]: the number of each row's observation, where some were entered more than once; else None.

    A value of a continuous column does not occur twice by chance. So rows that are equal in all columns are copies of
    one observation where they share such a value; where all that repeats are atoms, values that many rows have, such as
    the zeros of a count, or where columns are discrete, equal rows are separate draws that happen to be equal.

    >>> x = np.random.default_rng(0).normal(size=(40, 1))
    >>> number = entered_twice(np.concatenate([x, x[:3]]), np.ones((43, 1)))
    >>> int(number.max()) + 1, bool(number[0] == number[40])
    (40, True)
    >>> entered_twice(x.round(), np.ones((40, 1))) is None
    True
    """
    both = np.concatenate([x, y], axis=1)
    _, first, number, counts = np.unique(both, axis=0, return_index=True, return_inverse=True, return_counts=True)
    number = number.ravel()
    copied = (counts > 1) & (counts <= MOST_COPIES)
    if not copied.any():
        return None
    shares = np.zeros(len(first), bool)  # whether it shares a value of a continuous column only with its copies
    for column in both.T:
        codes = np.unique(column, return_inverse=True)[1].ravel()
        values = np.bincount(codes)[codes[first]]
        alone = np.bincount(codes[first])[codes[first]] == 1
        no_atom = values <= MOST_COPIES
        is_fine = FEW_COPIES * no_atom.sum() >= counts[no_atom].sum()  # else it has few values, each many times
        if no_atom.any() and is_fine and alone[no_atom].mean() >= MOST_ALONE:
            shares |= alone & no_atom
    own = copied & shares
    if not own.any():
        return None
    alone = np.flatnonzero(~own[number])
    found = np.where(own[number], number, 0)
    found[alone] = len(first) + np.arange(len(alone))
    return np.unique(found, return_inverse=True)[1].ravel()
