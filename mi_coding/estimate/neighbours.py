"""Information from the distances of nearest neighbours: no model, for few dimensions."""

import numpy as np
from scipy.special import digamma


def local_information(x: np.ndarray, y: np.ndarray, *, neighbours: int = 3) -> np.ndarray:
    """float64[n]: what each pair adds to the Kraskov–Stögbauer–Grassberger estimate (their first), the mean of all.

    Args:
        x: float[n, dx], without ties.
        y: float[n, dy], without ties.
        neighbours: k; few make little bias and much variance.
    Source: arXiv:cond-mat/0305641 equation 8.
    """
    from sklearn.neighbors import KDTree  # a second to import

    joint = np.concatenate([x, y], axis=1)
    reach = KDTree(joint, metric="chebyshev").query(joint, neighbours + 1)[0][:, -1]
    reach = np.nextafter(reach, 0)  # only what lies strictly nearer is counted
    inside = [KDTree(side, metric="chebyshev").query_radius(side, reach, count_only=True) for side in (x, y)]
    return digamma(neighbours) + digamma(len(x)) - digamma(inside[0]) - digamma(inside[1])
