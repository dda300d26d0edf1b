"""Series: what the past of one tells about another, over lags, and beyond what the other's own past tells."""

import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from mi_coding.errors import InputError
from mi_coding.estimate import fast
from mi_coding.estimate.estimator import estimate_mi
from mi_coding.estimate.inputs import Table, read_tables
from mi_coding.estimate.result import MIEstimate
from mi_coding.estimate.rows import Series, memory_of
from mi_coding.estimate.streams import stream


@dataclass(frozen=True, eq=False)
class LagScan:
    """Information that x some rows earlier shares with y, for each lag.

    Attributes:
        lags: int[m].
        nats: float64[m], ≥ 0.
        low, high: float64[m], 95 % intervals; their widths count a stretch of dependent rows as one.
        p_values: float64[m], of independence, by circular shifts, corrected for all lags together.
    """

    lags: np.ndarray
    nats: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_values: np.ndarray

    @property
    def best(self) -> int:
        """The lag with the most information."""
        return int(self.lags[np.argmax(self.nats)])

    def plot(self) -> Any:
        """Information over lags: a matplotlib Figure."""
        from mi_coding.reporting.plots import lags  # matplotlib is slow to import

        return lags(self.lags, self.nats, self.low, self.high, "I(x some rows before; y)")


def transfer_entropy(
    x: object, y: object, *, lags: int = 1, seed: int = 0, effort: str = "default", missing: str = "error"
) -> MIEstimate:
    """What the past of x tells about y beyond what the past of y tells: I(y_t; x_{t−1…t−L} | y_{t−1…t−L}), in nats.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=600)
    >>> y = np.roll(x, 1) + 0.5 * rng.normal(size=600)  # y follows x one row later
    >>> transfer_entropy(x, y, effort="quick").nats > transfer_entropy(y, x, effort="quick").nats + 0.5
    True

    Args:
        x, y: [n] or [n, d], rows in temporal order, equally spaced.
        lags: L ≥ 1, rows of the past.
        seed, effort, missing: see `estimate_mi`; where a row is left out, its neighbours become adjacent.
    Raises:
        ValueError: (an `InputError`) for what cannot be estimated from, in one line.
    Source: Schreiber, Phys. Rev. Lett. 85:461 (2000).
    """
    if not isinstance(lags, numbers.Integral) or lags < 1:
        raise InputError(f"lags={lags!r}; expected a whole number ≥ 1")
    tables, _, _ = read_tables({"x": x, "y": y}, missing)
    count = len(tables["x"].array)
    if lags > count // 4:
        raise InputError(f"lags={lags} of {count:,} rows; expected at most a quarter of them")
    past_x, past_y = (_past(tables[name], int(lags)) for name in ("x", "y"))
    now = tables["y"].take(np.arange(lags, count))
    return estimate_mi(now, past_x, given=past_y, rows="series", seed=seed, effort=effort)


def lag_scan(
    x: object, y: object, *, lags: Iterable[int] = range(21), seed: int = 0, permutations: int = 199
) -> LagScan:
    """How much x some rows earlier shares with y, for each of several lags; fast, for two series of one column each.

    >>> x = np.random.default_rng(0).normal(size=1000)
    >>> lag_scan(x, np.roll(x, 3) + 0.1 * np.sin(np.arange(1000))).best
    3

    Args:
        x, y: [n], rows in temporal order, equally spaced.
        lags: rows by which x precedes y; negative where it follows y.
        seed: of the shifts.
        permutations: the number of circular shifts from which p is computed.
    Raises:
        ValueError: (an `InputError`) for what cannot be estimated from, in one line.
    """
    lags = np.array(sorted(set(lags)))
    tables, _, _ = read_tables({"x": x, "y": y}, "error")
    for name, table in tables.items():
        if table.array.shape[1] != 1:
            raise InputError(f"{name} has {table.array.shape[1]} columns; expected one series")
    a, b = (table.array[:, 0] for table in tables.values())
    count = len(a)
    if not len(lags) or lags.dtype.kind != "i" or np.abs(lags).max() > count // 4:
        raise InputError(f"lags={lags.tolist()}; expected whole numbers of at most a quarter of {count:,} rows")
    rows = Series(count, memory_of(a[:, None], b[:, None]))
    rng = stream(seed, "shifts")
    shifts = [0, *rng.integers(1, count, permutations)]
    cells = [fast.cells_of(table.array[:, 0], nominal=bool(table.nominal[0])) for table in tables.values()]
    found = [[_shifted(*cells, int(lag), int(shift)) for lag in lags] for shift in shifts]
    most = np.array([max(one.nats for one in row) for row in found])
    nats = np.array([one.nats for one in found[0]])
    widening = np.sqrt(max(rows.memory, 1))
    low, high = np.array([one._replace(error=one.error * widening).interval for one in found[0]]).T
    p_values = np.array([np.mean(np.append(most[1:], value) >= value) for value in nats])
    return LagScan(lags, np.maximum(nats, 0), low, high, p_values)


def _shifted(x: fast.Cells, y: fast.Cells, lag: int, shift: int) -> fast.Fast:
    first, last = max(lag, 0), len(y.codes[0]) + min(lag, 0)
    moved = [np.roll(codes, lag + shift)[first:last] for codes in x.codes]
    return fast.information(x._replace(codes=tuple(moved)), y._replace(codes=tuple(c[first:last] for c in y.codes)))


def _past(table: Table, lags: int) -> Table:
    """[n − L, L·d]: the L rows before each row from number L on."""
    each = (table.take(np.arange(lags - back, len(table.array) - back)) for back in range(1, lags + 1))
    return reduce(Table.beside, each)._replace(index=None)
