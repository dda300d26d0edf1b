"""The columns of the two arrays: ranks, normal scores, and features for a network."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from mi_coding.errors import InputError
from mi_coding.estimate.inputs import Table

MOST_DENSE = 128
"""Columns beyond which this many principal components are used instead; also the largest number of indicators."""

LEAST_COMPONENT = 1e-6
"""Standard deviation of a principal component, relative to the first, below which it is rounding noise."""

FEW_VALUES = 32
"""A column of at most this many distinct values is also given to the network as indicators of them."""

LEAST_ATOM = 0.01
"""Least share of the rows for a repeated value to be an atom, which the network is given as an indicator."""


MOST_BY_RADIUS = 64
"""Number of columns up to which each is also given multiplied by the radius of its row."""

MOST_VALUED = 16
"""Number of columns up to which the values are kept: with more, mixtures have too many covariances to fit."""


class Columns(NamedTuple):
    """One of the two arrays, ready for estimation.

    Attributes:
        scores: float64[n, d], normal scores of every column; ties are broken at random. The noise that breaks ties is
            independent of everything, and the rank determines the value, so this changes no information.
        features: float32[n, e], inputs of a network: the scores, the values on a bounded scale, indicators, and the
            scores times the radius of their row.
        codes: int[n], the index of each row among the distinct rows, if the whole array is discrete; else None.
        is_nominal: whether no column has an order.
        values: float64[n, d], the columns as they are, centred on the median, in units of the interquartile range;
            None for more than `MOST_VALUED`.
        wide: float32[n, D], normal scores of all columns where there are more than `MOST_DENSE`, of which the other
            attributes are principal components; `wide.narrowed` puts what it selects in their place, and None
            here. None for fewer columns.
    """

    scores: np.ndarray
    features: np.ndarray
    codes: np.ndarray | None
    is_nominal: bool = False
    values: np.ndarray | None = None
    wide: np.ndarray | None = None


def check_pair(x: Table, y: Table, name_y: str = "y") -> None:
    """Rejects arrays whose mutual information is infinite: a continuous column that occurs in both.

    Raises:
        InputError: in one line.
    """
    if not (np.issubdtype(x.array.dtype, np.floating) and np.issubdtype(y.array.dtype, np.floating)):
        return
    for i, column in enumerate(x.array.T):
        same = np.flatnonzero(np.all(column[:, None] == y.array, axis=0))
        if len(same) and len(np.unique(column)) > len(column) // 2:
            equal = x.array.shape == y.array.shape and np.array_equal(x.array, y.array)
            what = "x equals y" if equal else f"column {x.names[i]} of x is in {name_y}"
            same = f" (column {y.names[same[0]]})"
            raise InputError(f"{what}{same}: the information of continuous values is then infinite")


def warnings(x: Table, y: Table) -> list[str]:
    """Properties of the arrays that make an estimate unreliable, one sentence each."""
    count = len(x.array)
    found = [f"only {count:,} pairs: more would narrow the interval"] if count < 500 else []
    for name, table in (("x", x), ("y", y)):
        width = table.array.shape[1]
        if width > MOST_DENSE:
            kept = "only the columns and combinations most informative about the other side were used"
            found.append(f"{name} has {width:,} columns: {kept}, and others may add to that")
    return found


def prepare(table: Table, rng: np.random.Generator) -> Columns:
    """Scores, features and codes of a validated table.

    Args:
        rng: breaks ties.
    """
    array, nominal, wide = table.array, table.nominal, None
    if array.shape[1] > MOST_DENSE:
        wide = scores_of(array, rng).astype(np.float32)
        array = _principal(bounded(array.astype(np.float64)))
        nominal = np.zeros(array.shape[1], bool)
    else:
        kept = _without_copies(array)
        array, nominal = array[:, kept], nominal[kept]
    scores = scores_of(array, rng)
    is_discrete = array.dtype.kind == "i" or all(len(np.unique(column)) <= FEW_VALUES for column in array.T)
    parts = [scores, bounded(array.astype(np.float64)), _indicators(array, nominal)]
    if 2 <= array.shape[1] <= MOST_BY_RADIUS and not is_discrete:
        parts.append(_by_radius(scores))
    shown = standard(*parts)
    codes = np.unique(array, axis=0, return_inverse=True)[1].ravel() if is_discrete else None
    return Columns(scores, shown, codes, bool(nominal.all()), _values(array), wide)


def from_scores(array: np.ndarray, rng: np.random.Generator) -> Columns:
    """The `Columns` of float[n, k] that was derived from other columns."""
    scores = scores_of(array, rng)
    return Columns(scores, standard(scores, bounded(array.astype(np.float64))), None, values=_values(array))


def _values(array: np.ndarray) -> np.ndarray | None:
    return in_quartiles(array.astype(np.float64)) if array.shape[1] <= MOST_VALUED else None


def standard(*parts: np.ndarray) -> np.ndarray:
    """float32[n, e]: all parts side by side, each column of mean 0 and standard deviation 1."""
    joined = np.concatenate(parts, axis=1)
    joined = joined - joined.mean(0)
    return (joined / np.maximum(joined.std(0), 1e-9)).astype(np.float32)


def _indicators(array: np.ndarray, nominal: np.ndarray) -> np.ndarray:
    """bool[n, k], k ≤ `MOST_DENSE`: indicators of frequent values, the most frequent first.

    Columns with few values and nominal ones contribute all their values; the others only their atoms, the values that
    at least `LEAST_ATOM` of the rows have.
    """
    found = []
    for column, has_no_order in zip(array.T, nominal, strict=True):
        values, counts = np.unique(column, return_counts=True)
        if len(values) > FEW_VALUES and not has_no_order:
            atoms = counts >= max(LEAST_ATOM * len(column), 10)
            values, counts = values[atoms], counts[atoms]
        found += [(count, column, value) for value, count in zip(values, counts, strict=True)]
    found = sorted(found, key=lambda one: -one[0])[:MOST_DENSE]
    return np.stack([column == value for _, column, value in found], 1) if found else np.zeros((len(array), 0), bool)


def _by_radius(scores: np.ndarray) -> np.ndarray:
    """float64[n, d]: the scores times the logarithm of their row's distance from the centre. What turns or stretches
    with that distance, as spirals and common volatilities do, is nearly linear in them, and takes fewer rows to learn.
    """
    radius = np.log1p(np.sum(scores**2, axis=1, keepdims=True))
    return scores * (radius - radius.mean())


def scores_of(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float64[n, d]: the normal scores of every column."""
    return np.stack([normal_scores(column, rng) for column in array.T], axis=1)


def normal_scores(column: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The normal quantile of every value's rank, ties in random order.

    >>> normal_scores(np.array([3.0, 1.0, 7.0]), np.random.default_rng(0)).round(3).tolist()
    [0.0, -0.967, 0.967]
    """
    return ndtri((ranks(column, rng) + 0.5) / len(column))


def ranks(column: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int[n]: the rank of every value from 0, ties in random order."""
    return np.argsort(np.lexsort((rng.random(len(column)), column)))  # of a permutation: its inverse


def in_quartiles(array: np.ndarray) -> np.ndarray:
    """Values centred on the median, in units of the interquartile range; float64[n, d]."""
    array = np.ldexp(array, -np.frexp(np.abs(array).max(0))[1])  # exact, and differences of the largest stay finite
    low, middle, high = np.quantile(array, [0.25, 0.5, 0.75], axis=0)
    return (array - middle) / np.where(high > low, high - low, 1)


def bounded(array: np.ndarray) -> np.ndarray:
    """Values centred on the median, in units of the interquartile range, heavy tails compressed; float64[n, d]."""
    drawn_in = np.arcsinh(1.35 * in_quartiles(array))
    return (drawn_in - drawn_in.mean(0)) / np.maximum(drawn_in.std(0), 1e-9)


def _principal(array: np.ndarray) -> np.ndarray:
    """float64[n, k]: the leading principal components, at most MOST_DENSE, without those that are rounding noise."""
    from sklearn.utils.extmath import randomized_svd  # a second to import

    array = array - array.mean(0)
    left, values, _ = randomized_svd(array, MOST_DENSE, random_state=0)
    return (left * values)[:, values > LEAST_COMPONENT * values[0]]


def _without_copies(array: np.ndarray) -> list[int]:
    """The columns that order the rows as no earlier column does, forwards or in reverse: a copy of a column, or a
    monotone map of it, adds no information, but would count twice in every distance and add a weight to learn."""
    kept = {}
    for i, column in enumerate(array.T):
        rank = np.unique(column, return_inverse=True)[1]
        kept.setdefault(min(rank.tobytes(), (rank.max() - rank).tobytes()), i)
    return list(kept.values())
