"""What must not change an estimate: the seed, which array is called x, the order, the scale and the shape of columns.

Information is invariant under all of these, the estimate to within its interval.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from mi_coding.estimate import estimate_mi
from mi_coding.pairs.populations import Population

_Arrays = tuple[np.ndarray, np.ndarray]


def cases(x: np.ndarray, y: np.ndarray, seeds: int) -> dict[str, tuple[_Arrays, int]]:
    """Name → arrays that share the same information, and the seed of their estimate; the first is as they are.

    >>> list(cases(np.zeros((3, 2)), np.ones((3, 1)), 2))
    ['seed 0', 'seed 1', 'x and y exchanged', 'columns permuted', 'columns scaled', 'columns bent']
    """
    rng = np.random.default_rng(0)
    orders = [rng.permutation(side.shape[1]) for side in (x, y)]
    scales = [10.0 ** rng.uniform(-6, 6, side.shape[1]) for side in (x, y)]
    others = {
        "x and y exchanged": (y, x),
        "columns permuted": (x[:, orders[0]], y[:, orders[1]]),
        "columns scaled": (x * scales[0] - 3 * scales[0], y * scales[1]),
        "columns bent": (np.arctan(x), np.cbrt(y)),
    }
    by_seed = {f"seed {seed}": ((x, y), seed) for seed in range(seeds)}
    return by_seed | {name: (arrays, 0) for name, arrays in others.items()}


def measure(
    laws: Sequence[Population], *, samples: int, effort: str, seeds: int, report: Callable[[list[dict]], None]
) -> dict:
    """One row for each law and case, with its distance from the first case, in half-widths of the first interval."""
    rows = []
    for law in laws:
        x, y = (np.asarray(side, np.float64) for side in law.sample(jax.random.key(1000), samples))
        first = None
        for name, (arrays, seed) in cases(x, y, seeds).items():
            found = estimate_mi(*arrays, seed=seed, effort=effort)
            first = first or found
            away = abs(found.nats - first.nats) / ((first.interval[1] - first.interval[0]) / 2)
            low, high = found.interval
            row = {"population": law.name, "case": name, "truth": law.mutual_information, "nats": found.nats}
            rows.append(row | {"low": low, "high": high, "half-widths away": away})
            report(rows)
    distances = [row["half-widths away"] for row in rows]
    return {"runs": len(rows), "outside": sum(d > 1 for d in distances), "farthest": max(distances), "rows": rows}
