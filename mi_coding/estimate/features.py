"""Every pair of columns of a table, and every column against a target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mi_coding.errors import InputError
from mi_coding.estimate import fast
from mi_coding.estimate.inputs import Table, read_tables
from mi_coding.estimate.result import DEVIATIONS

if TYPE_CHECKING:
    import pandas as pd

EFFORTS = ("fast", "quick", "default")
"""What `effort` may be: counts in cells, or that of `estimate_mi`."""


class FeatureRanking(tuple):
    """Scores float64[d] and p-values float64[d] of columns in their original order, as `SelectKBest` expects them.

    Attributes:
        table: a pandas DataFrame, one row per column, the best first: column, nats, low, high (95 %), p_value
            (corrected for the number of tests, Holm), rank, and score, by which the method ranks.
    """

    def __new__(cls, scores: np.ndarray, p_values: np.ndarray, table: "pd.DataFrame") -> "FeatureRanking":
        made = super().__new__(cls, (scores, p_values))
        made.table = table
        return made

    def __repr__(self) -> str:
        return self.table.to_string(index=False, float_format="{:.3f}".format)

    def _repr_html_(self) -> str:
        return self.table.to_html(index=False, float_format="{:.3f}".format)


@dataclass(frozen=True, eq=False)
class MIMatrix:
    """Information of every pair of columns of a table: pandas DataFrames with the column names on both axes.

    Attributes:
        nats: the estimates, ≥ 0; on the diagonal the entropy of a discrete column, NaN for a continuous one.
        low, high: 95 % intervals.
        p_values: of independence, corrected for as many tests as there are pairs (Holm).
        warnings: one sentence each.
    """

    nats: "pd.DataFrame"
    low: "pd.DataFrame"
    high: "pd.DataFrame"
    p_values: "pd.DataFrame"
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "\n".join([self.nats.round(3).to_string(), *(f"warning: {warning}" for warning in self.warnings)])

    def _repr_html_(self) -> str:
        return self.nats.to_html(float_format="{:.3f}".format, na_rep="")

    def plot(self) -> Any:
        """A heat map: a matplotlib Figure."""
        from mi_coding.reporting.plots import heat_map  # matplotlib is slow to import

        return heat_map(self.nats.to_numpy(), list(self.nats.columns), "mutual information, nats")


def mi_matrix(
    frame: object, *, effort: str = "fast", missing: str = "error", seed: int = 0, n_jobs: int = 1
) -> MIMatrix:
    """How much every pair of columns shares, with 95 % intervals and p-values corrected for many tests.

    >>> rng = np.random.default_rng(0)
    >>> x, noise = rng.normal(size=(2, 5000))
    >>> found = mi_matrix(np.stack([x, x**2 + 0.1 * noise, noise], axis=1))
    >>> bool(found.nats.loc["0", "1"] > 1), bool(found.p_values.loc["0", "2"] > 0.05)
    (True, True)

    Args:
        frame: [n, d], a DataFrame or an array, see `estimate_mi`.
        effort: "fast" counts in cells, a millisecond per pair; "quick" and "default" are those of `estimate_mi`.
        missing: "error", or "drop" to leave out the rows that lack a value in any column.
        seed: of `estimate_mi`.
        n_jobs: processes; −1 for one per core.
    Raises:
        ValueError: (an `InputError`) for what cannot be estimated from, in one line.
    """
    _check_effort(effort)
    pd = require_pandas("mi_matrix")
    tables, _, warnings = read_tables({"frame": frame}, missing)
    table = tables["frame"]
    count = table.array.shape[1]
    if count < 2:
        raise InputError(f"frame has {count} column; expected at least two")
    pairs = [(i, j) for i in range(count) for j in range(i)]
    sides = _sides(table)
    found = _estimates([(sides[i], sides[j]) for i, j in pairs], effort, seed, n_jobs)
    matrices = np.full((4, count, count), np.nan)
    corrected = holm(np.array([one.p_value for one in found]))
    for (i, j), one, p_value in zip(pairs, found, corrected, strict=True):
        matrices[:, i, j] = matrices[:, j, i] = [max(one.nats, 0), *one.interval, p_value]
    for i, (cells, _) in enumerate(sides):
        if cells.is_discrete:
            share = np.bincount(cells.codes[0]) / len(cells.codes[0])
            matrices[:3, i, i] = -np.sum(share * np.log(share))
    names = list(table.names)
    return MIMatrix(*(pd.DataFrame(one, names, names) for one in matrices), tuple(warnings))


def rank_features(
    X: object,
    y: object,
    *,
    method: str = "relevance",
    effort: str = "fast",
    missing: str = "error",
    seed: int = 0,
    n_jobs: int = 1,
) -> FeatureRanking:
    """Ranks columns by how much they tell about a target, by themselves or beside those already selected.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2000, 3))
    >>> found = rank_features(X, X[:, 1] > 0.3 * X[:, 2])
    >>> found.table["column"].tolist()[0], found[0].shape
    ('1', (3,))

    Usable as `sklearn.feature_selection.SelectKBest(score_func=mi_coding.rank_features)`, for classes and for numbers.

    Args:
        X: [n, d], a DataFrame or an array, see `estimate_mi`.
        y: [n], the target.
        method: "relevance", I(column; y); "mrmr", that minus its mean information with the columns already selected;
            or "cmim", the least that it tells about y given any one of them.
        effort: "fast" counts in cells; "quick" and "default" are those of `estimate_mi`, for the relevance alone.
        missing, seed, n_jobs: see `mi_matrix`.
    Raises:
        ValueError: (an `InputError`) for what cannot be estimated from, in one line.
    Source: mRMR, Peng et al., IEEE TPAMI 27:1226 (2005); CMIM, Fleuret, JMLR 5:1531 (2004).
    """
    _check_effort(effort)
    if method not in ORDERS:
        raise InputError(f"method={method!r} is unknown; expected one of {', '.join(map(repr, ORDERS))}")
    pd = require_pandas("rank_features")
    tables, _, _ = read_tables({"X": X, "y": y}, missing)
    table, target = tables["X"], tables["y"]
    if target.array.shape[1] != 1:
        raise InputError(f"y has {target.array.shape[1]} columns; expected one target")
    sides, (of_target,) = _sides(table), _sides(target)
    found = _estimates([(side, of_target) for side in sides], effort, seed, n_jobs)
    nats, corrected = np.array([one.nats for one in found]), holm(np.array([one.p_value for one in found]))
    low, high = np.array([one.interval for one in found]).T
    order, by = ORDERS[method](nats, [side.cells for side in sides], of_target.cells)
    rows = {
        "column": [table.names[i] for i in order],
        "nats": np.maximum(nats, 0)[order],
        "low": low[order],
        "high": high[order],
        "p_value": corrected[order],
        "rank": np.arange(1, len(order) + 1),
        "score": by[order],
    }
    # SelectKBest sorts by the scores, and a greedy selection need not follow the order of the scores it was made by.
    scores = by if (np.diff(by[order]) <= 0).all() else _descending(order)
    return FeatureRanking(scores, corrected, pd.DataFrame(rows))


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values corrected for the number of tests, however the tests depend on each other.

    >>> holm(np.array([0.01, 0.5, 0.02])).tolist()
    [0.03, 0.5, 0.04]

    Source: Holm, Scand. J. Statist. 6:65 (1979).
    """
    order = np.argsort(p_values)
    found = np.empty(len(p_values))
    found[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)), 1)
    return found


def _by_relevance(nats: np.ndarray, cells: Sequence[fast.Cells], target: fast.Cells) -> tuple[np.ndarray, np.ndarray]:
    return np.argsort(-nats, kind="stable"), nats


def _by_mrmr(nats: np.ndarray, cells: Sequence[fast.Cells], target: fast.Cells) -> tuple[np.ndarray, np.ndarray]:
    shared = np.zeros(len(nats))

    def add(chosen, rest):
        for i in rest:
            shared[i] += max(fast.information(cells[i], cells[chosen[-1]]).nats, 0)
        return nats[rest] - shared[rest] / len(chosen)

    return _greedy(nats, add)


def _by_cmim(nats: np.ndarray, cells: Sequence[fast.Cells], target: fast.Cells) -> tuple[np.ndarray, np.ndarray]:
    least = nats.copy()

    def add(chosen, rest):
        for i in rest:
            least[i] = min(least[i], fast.conditional_information(cells[i], target, cells[chosen[-1]]))
        return least[rest]

    return _greedy(nats, add)


def _greedy(nats: np.ndarray, add: Any) -> tuple[np.ndarray, np.ndarray]:
    """The order of a greedy selection, and the score with which each column was selected."""
    first = int(np.argmax(nats))
    chosen, by = [first], np.zeros(len(nats))
    by[first] = nats[first]
    while len(chosen) < len(nats):
        rest = np.setdiff1d(np.arange(len(nats)), chosen)
        scores = add(chosen, rest)
        best = int(np.argmax(scores))
        chosen.append(int(rest[best]))
        by[rest[best]] = scores[best]
    return np.array(chosen), by


ORDERS = {"relevance": _by_relevance, "mrmr": _by_mrmr, "cmim": _by_cmim}
"""Values of `method` of `rank_features` → a function that returns the order of columns, and their scores."""


def _descending(order: np.ndarray) -> np.ndarray:
    """float64[d]: d for the first of an order, d − 1 for the next, …"""
    found = np.empty(len(order))
    found[order] = np.arange(len(order), 0, -1)
    return found


class _Side(NamedTuple):
    """A column for the fast estimate, and for `estimate_mi`."""

    cells: fast.Cells
    column: np.ndarray


def _sides(table: Table) -> list[_Side]:
    columns = zip(table.array.T, table.nominal, strict=True)
    return [
        _Side(fast.cells_of(column, nominal=bool(has_no_order)), column.astype(str) if has_no_order else column)
        for column, has_no_order in columns
    ]


def _estimates(pairs: Sequence[tuple[_Side, _Side]], effort: str, seed: int, n_jobs: int) -> list[fast.Fast]:
    """The estimate of each pair of columns."""
    if effort == EFFORTS[0]:
        return _parallel(n_jobs, fast.information, [(a.cells, b.cells) for a, b in pairs])
    return _parallel(n_jobs, _whole, [(a.column, b.column, seed, effort) for a, b in pairs])


def _whole(x: np.ndarray, y: np.ndarray, seed: int, effort: str) -> fast.Fast:
    from mi_coding.estimate.estimator import estimate_mi

    found = estimate_mi(x, y, seed=seed, effort=effort)
    error = (found.interval[1] - found.nats) / DEVIATIONS  # the lower end is clipped at 0
    return fast.Fast(found.nats, error, found.p_value)


def _parallel(n_jobs: int, function: Any, arguments: Sequence[tuple]) -> list:
    if n_jobs == 1:
        return [function(*one) for one in arguments]
    from joblib import Parallel, delayed

    return Parallel(n_jobs=n_jobs, batch_size="auto")(delayed(function)(*one) for one in arguments)


def _check_effort(effort: str) -> None:
    if effort not in EFFORTS:
        raise InputError(f"effort={effort!r} is unknown; expected one of {', '.join(map(repr, EFFORTS))}")


def require_pandas(what: str) -> Any:
    """The module pandas; InputError where it is not installed."""
    try:
        import pandas
    except ImportError:
        raise InputError(f"{what} needs pandas, which is not installed: pip install pandas") from None
    return pandas
