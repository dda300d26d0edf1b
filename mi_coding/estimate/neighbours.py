"""Information from the distances of nearest neighbours: no model, for few dimensions."""

from collections.abc import Sequence

import numpy as np
from scipy.special import digamma

from mi_coding.estimate.cores import on_both_cores

FEW, MORE = 3, 8
"""Numbers of neighbours: few give low bias and high variance. The difference between the two reveals the bias."""

MOST_PARTS, FEWEST_ROWS, DIVISIONS = 10, 100, 5
"""For the scatter of an estimate over parts of the rows: most parts, fewest rows in each, and random divisions."""

MANY_ROWS, MANY_PARTS, FEW_DIVISIONS = 20_000, 40, 1
"""Rows from which more parts and fewer divisions are used, which is as informative in less time."""


def extrapolated(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """float64[n]: `local_information`, extrapolated to zero neighbours, as its bias grows with their number; and the
    correction in nats.

    The bias of a smooth density in two dimensions is linear in the number of neighbours; in more, it grows more slowly,
    so that the correction is too small rather than too large.
    """
    few, more = local_information(x, y, neighbours=(FEW, MORE))
    moved = FEW / (MORE - FEW) * float(few.mean() - more.mean())
    return few + moved, moved


def bias(moved: float, num_rows: int) -> float:
    """Nats by which nearest neighbours may be wrong for any number of rows: the difference of few and more neighbours.

    For few rows sampling noise is larger, and 0 is returned.

    Args:
        moved: the correction that `extrapolated` has made.
        num_rows: n.
    """
    return abs(moved) * (MORE - FEW) / FEW if num_rows >= MANY_ROWS else 0.0


def standard_errors(x: np.ndarray, y: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Standard errors of the mean of `extrapolated`, and of its excess over the mean of `other`; nats.

    Rows share neighbours, so their contributions are not independent, and the deviation over them is too small (half
    to two thirds, in one dimension). Estimates from parts of the rows are independent; their variance falls as the
    number of rows grows.

    Args:
        x: float[n, dx], without ties.
        y: float[n, dy], without ties.
        other: float[n], the contribution of each row by another method; NaN where it has none.
        rng: of the parts.
    Source: Holmes and Nemenman, Phys. Rev. E 100, 022404 (2019), arXiv:1903.09280.
    """
    most, divisions = (MOST_PARTS, DIVISIONS) if len(x) < MANY_ROWS else (MANY_PARTS, FEW_DIVISIONS)
    num_parts = int(np.clip(len(x) // FEWEST_ROWS, 2, most))
    parts = [part for _ in range(divisions) for part in np.array_split(rng.permutation(len(x)), num_parts)]

    def means_of(rows):
        return extrapolated(x[rows], y[rows])[0].mean(), np.nanmean(other[rows])

    means = np.array(on_both_cores(means_of, parts)).reshape(divisions, num_parts, 2)
    near, others = np.moveaxis(means, 2, 0)
    variances = [one.var(axis=1, ddof=1) for one in (near, near - others)]
    error, of_difference = np.sqrt(np.mean(variances, axis=1) / num_parts)
    return float(error), float(of_difference)


def local_information(x: np.ndarray, y: np.ndarray, *, neighbours: Sequence[int]) -> list[np.ndarray]:
    """float64[n] for each number of neighbours: the contributions of each pair to the first estimator of Kraskov,
    Stögbauer and Grassberger, which is their mean.

    Args:
        x: float[n, dx], without ties.
        y: float[n, dy], without ties.
        neighbours: several k; few give low bias and high variance.
    Source: arXiv:cond-mat/0305641 equation 8.
    """
    from sklearn.neighbors import KDTree  # a second to import

    joint = np.concatenate([x, y], axis=1)
    far = KDTree(joint, metric="chebyshev").query(joint, max(neighbours) + 1)[0]
    sides = [(KDTree(side, metric="chebyshev"), side) for side in (x, y)]

    def local(k: int) -> np.ndarray:
        reach = np.nextafter(far[:, k], 0)  # only what lies strictly nearer is counted
        inside = [tree.query_radius(side, reach, count_only=True) for tree, side in sides]
        return digamma(k) + digamma(len(x)) - digamma(inside[0]) - digamma(inside[1])

    return [local(k) for k in neighbours]
