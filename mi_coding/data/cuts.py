"""How a split is cut off another: at random but always alike, and so that every class keeps its share."""

import numpy as np

_SEED = 0  # the cut is part of the data set: a run's seed must not move images between splits


def cut(labels: np.ndarray | None, count: int, shares: tuple[float, ...]) -> list[np.ndarray]:
    """Positions of disjoint parts with the given shares, and last of all the rest; each in a fixed shuffled order.

    >>> validation, rest = cut(None, 20, (0.1,))
    >>> len(validation), len(rest)
    (2, 18)

    Args:
        labels: int[count]; every class gives each part its share, rounded. None for no classes.
        count: how many examples there are.
        shares: of each part but the rest.
    """
    rng = np.random.default_rng(_SEED)
    labels = np.zeros(count, int) if labels is None else labels
    parts: list[list[np.ndarray]] = [[] for _ in (*shares, None)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        sizes = np.round(np.array(shares) * len(members)).astype(int)
        for part, chosen in zip(parts, np.split(members, np.cumsum(sizes)), strict=True):
            part.append(chosen)
    return [rng.permutation(np.concatenate(part)) for part in parts]
