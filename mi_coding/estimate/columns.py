"""The columns of the two arrays: validation, ranks, normal scores, and features for a network."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from mi_coding.errors import InputError

FEWEST, MOST_COLUMNS = 50, 10_000
"""Rows below which no interval is valid; columns beyond which a dense covariance does not fit in memory."""

MOST_DENSE = 128
"""Columns beyond which this many principal components are used instead; and the most indicators of values."""

LEAST_COMPONENT = 1e-6
"""Standard deviation of a principal component, relative to the first, below which it is rounding noise."""

FEW_VALUES = 32
"""A column of at most this many distinct values is also given to the network as indicators of them."""


class Columns(NamedTuple):
    """One of the two arrays, ready for estimation.

    Attributes:
        scores: float64[n, d], normal scores of every column; ties are broken at random. The noise that breaks ties is
            independent of everything, and the rank determines the value, so this changes no information.
        features: float32[n, e], inputs of a network: the scores, the values on a bounded scale, and indicators.
        codes: int[n], which of the distinct rows each row is, if the whole array is discrete; else None.
    """

    scores: np.ndarray
    features: np.ndarray
    codes: np.ndarray | None


def check(name: str, values: object) -> np.ndarray:
    """The array as [n, d], of floats or of int64 (symbols become their number in sorted order).

    Raises:
        InputError: for what cannot be estimated from, in one line.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of several lengths
        raise InputError(f"{name} is not an array: {str(error).splitlines()[0]}") from error
    if array.dtype == object:
        raise InputError(f"{name} is an array of objects; expected numbers, booleans or strings, all of one type")
    if array.ndim not in (1, 2) or array.size == 0:
        raise InputError(f"{name} has shape {array.shape}; expected [n] or [n, d], one row for each pair")
    array = array.reshape(len(array), -1)
    if array.shape[1] > MOST_COLUMNS:
        raise InputError(
            f"{name} has {array.shape[1]:,} columns, more than {MOST_COLUMNS:,}; reduce them first (PCA, an encoder)"
        )
    if len(array) < FEWEST:
        raise InputError(f"{name} has {len(array)} rows; at least {FEWEST} pairs are needed, and thousands are better")
    if array.dtype.kind in "USb":
        array = np.stack([np.unique(column, return_inverse=True)[1] for column in array.T], axis=1)
    elif array.dtype.kind not in "iuf":
        raise InputError(f"{name} has dtype {array.dtype}; expected floats, integers, booleans or strings")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        wrong = ~np.isfinite(array)
        raise InputError(
            f"{name} has {wrong.sum():,} NaN or infinite values in columns {_listed(np.flatnonzero(wrong.any(0)))}; "
            "drop or fill those rows"
        )
    constant = np.flatnonzero(np.all(array == array[:1], axis=0))
    if len(constant):
        raise InputError(
            f"{name} has constant columns, which carry no information: {_listed(constant)}; leave them out"
        )
    return array.astype(np.float64) if array.dtype.kind == "f" else array.astype(np.int64)


def check_pair(x: np.ndarray, y: np.ndarray, name_y: str = "y") -> None:
    """Refuses arrays whose rows do not match, and those whose information is infinite.

    Raises:
        InputError: in one line.
    """
    if len(x) != len(y):
        raise InputError(f"x has {len(x)} rows and {name_y} has {len(y)}; row i of both must be one pair")
    if np.issubdtype(x.dtype, np.floating) and np.issubdtype(y.dtype, np.floating):
        for i, column in enumerate(x.T):
            same = np.flatnonzero(np.all(column[:, None] == y, axis=0))
            if len(same) and len(np.unique(column)) > len(column) // 2:
                what = (
                    "x equals y" if x.shape == y.shape and np.array_equal(x, y) else f"column {i} of x is in {name_y}"
                )
                raise InputError(f"{what} (column {same[0]}): the information of continuous values is then infinite")
    _check_copies(x, y)


def _check_copies(x: np.ndarray, y: np.ndarray) -> None:
    """Refuses duplicated data: copies of a pair on both sides of a split would be memorised."""
    n = len(x)
    both, *sides = (len(np.unique(a, axis=0)) for a in (np.concatenate([x, y], axis=1), x, y))
    if n - both > n // 100 and min(sides) > n // 10 and n - both > 0.9 * (n - max(sides)):
        raise InputError(
            f"{n - both:,} of {n:,} pairs are exact copies of others and would cross the folds; keep one of each "
            "(numpy.unique(…, axis=0) of both arrays side by side)"
        )


def warnings(x: np.ndarray, y: np.ndarray) -> list[str]:
    """Properties of the arrays that make an estimate unreliable, one sentence each."""
    found = [f"only {len(x):,} pairs: more would narrow the interval"] if len(x) < 500 else []
    for name, array in (("x", x), ("y", y)):
        if array.shape[1] > MOST_DENSE:
            found.append(f"{name} has {array.shape[1]:,} columns, of which {MOST_DENSE} principal components were used")
    return found


def prepare(array: np.ndarray, rng: np.random.Generator) -> Columns:
    """Scores, features and codes of a validated array."""
    array = _principal(bounded(array.astype(np.float64))) if array.shape[1] > MOST_DENSE else _without_copies(array)
    few = [(column, values) for column in array.T if len(values := np.unique(column)) <= FEW_VALUES]
    scores = np.stack([normal_scores(column, rng) for column in array.T], axis=1)
    shown = [scores, bounded(array.astype(np.float64))]
    if sum(len(values) for _, values in few) <= MOST_DENSE:
        shown += [column[:, None] == values for column, values in few]
    shown = np.concatenate(shown, axis=1)
    shown = (shown - shown.mean(0)) / np.maximum(shown.std(0), 1e-9)
    codes = None
    if array.dtype.kind == "i" or len(few) == array.shape[1]:
        codes = np.unique(array, axis=0, return_inverse=True)[1].ravel()
    return Columns(scores, shown.astype(np.float32), codes)


def normal_scores(column: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The normal quantile of every value's rank, ties in random order.

    >>> normal_scores(np.array([3.0, 1.0, 7.0]), np.random.default_rng(0)).round(3).tolist()
    [0.0, -0.967, 0.967]
    """
    return ndtri((ranks(column, rng) + 0.5) / len(column))


def ranks(column: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int[n]: the rank of every value from 0, ties in random order."""
    return np.argsort(np.lexsort((rng.random(len(column)), column)))  # of a permutation: its inverse


def bounded(array: np.ndarray) -> np.ndarray:
    """Values centred on the median, in units of the interquartile range, heavy tails compressed; float64[n, d]."""
    array = np.ldexp(array, -np.frexp(np.abs(array).max(0))[1])  # exact, and differences of the largest stay finite
    low, middle, high = np.quantile(array, [0.25, 0.5, 0.75], axis=0)
    spread = np.where(high > low, high - low, 1)
    drawn_in = np.arcsinh(1.35 * (array - middle) / spread)
    return (drawn_in - drawn_in.mean(0)) / np.maximum(drawn_in.std(0), 1e-9)


def _principal(array: np.ndarray) -> np.ndarray:
    """float64[n, k]: the leading principal components, at most MOST_DENSE, without those that are rounding noise."""
    from sklearn.utils.extmath import randomized_svd  # a second to import

    array = array - array.mean(0)
    left, values, _ = randomized_svd(array, MOST_DENSE, random_state=0)
    return (left * values)[:, values > LEAST_COMPONENT * values[0]]


def _without_copies(array: np.ndarray) -> np.ndarray:
    """The columns whose order of the rows, or its reverse, is new: a copy of a column, or a monotone map of it, adds no
    information, but would count twice in every distance and add a weight to learn."""
    kept = {}
    for i, column in enumerate(array.T):
        rank = np.unique(column, return_inverse=True)[1]
        kept.setdefault(min(rank.tobytes(), (rank.max() - rank).tobytes()), i)
    return array[:, list(kept.values())]


def _listed(columns: np.ndarray) -> str:
    shown = ", ".join(map(str, columns[:8]))
    return shown if len(columns) <= 8 else f"{shown}, … ({len(columns)} in all)"
