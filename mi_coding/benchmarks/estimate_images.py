"""Three ratios that must be found whatever the truth, on noisy views of digits.

x and y are two views of one image, each with noise of its own; only the first rows of y are shown. Where no row is
shown, y is noise. As there are finitely many images, the information of two views is known.

Source: the tests of arXiv:1910.06222 section 6.2.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import logsumexp

from mi_coding import data
from mi_coding.estimate import estimate_mi

IMAGE_NOISE = 0.7
"""Standard deviation of the noise of a view; pixels are from 0 to 1. Two views then share 1.75 nats."""

_Views = tuple[np.ndarray, np.ndarray]


def measure(*, samples: int, shown: Sequence[int], effort: str, report: Callable[[list[dict]], None]) -> list[dict]:
    """One row for each test, with the estimate and the truth in nats, and both as ratios to those of the whole images.

    Args:
        samples: pairs of views.
        shown: rows of y that are shown, of 8; the last must be 8.
        report: called with all rows so far after each estimate.
    """
    images = data.load("digits").train.examples
    images = np.asarray(images, np.float64).reshape(len(images), -1) / images.max()
    rows = []
    for name, (views, truth) in _cases(images, samples, shown).items():
        found = estimate_mi(*views, effort=effort)
        rows.append({"test": name, "nats": found.nats, "truth": truth, "method": found.method})
        report(rows)
    (whole,) = (row for row in rows if row["test"] == "8 of 8 rows")
    return [row | {"ratio": row["nats"] / whole["nats"], "true ratio": row["truth"] / whole["truth"]} for row in rows]


def _cases(images: np.ndarray, samples: int, shown: Sequence[int]) -> dict[str, tuple[_Views, float]]:
    """Name → a pair of views and their information: fewer and fewer rows, data processing, and additivity."""

    def views(seed, rows=8):
        rng = np.random.default_rng(seed)
        chosen = images[rng.integers(len(images), size=samples)]
        x, y = (IMAGE_NOISE * rng.normal(size=chosen.shape) for _ in range(2))
        return x + chosen, (y + chosen)[:, : 8 * rows] if rows else y

    (x, y), (other_x, other_y) = views(0), views(1)
    exact = {rows: _shared_by_views(images, x, y[:, : 8 * rows]) if rows else 0.0 for rows in shown}
    cases = {f"{rows} of 8 rows": (views(0, rows), exact[rows]) for rows in shown}
    twice = np.concatenate([x, x], 1), np.concatenate([y, y[:, :32]], 1)
    both = np.concatenate([x, other_x], 1), np.concatenate([y, other_y], 1)
    return cases | {"data processing": (twice, exact[8]), "additivity": (both, 2 * exact[8])}


def _shared_by_views(images: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """I(x; y) in nats, the mean of the exact log density ratio over the pairs, where the first pixels are shown."""

    def log_likelihood(views):
        pixels = images[:, : views.shape[1]]
        return (views @ pixels.T - 0.5 * np.sum(pixels**2, axis=1)) / IMAGE_NOISE**2

    a, b = log_likelihood(x), log_likelihood(y)
    ratio = logsumexp(a + b, axis=1) - logsumexp(a, axis=1) - logsumexp(b, axis=1)
    return float(np.mean(ratio)) + math.log(len(images))
