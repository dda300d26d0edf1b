"""How a split is cut off another: at random but always alike, and so that every class keeps its share."""

import numpy as np

from mi_coding.errors import InputError

_SEED = 0  # the cut is part of the data set: a run's seed must not move images between splits
_FEWEST = 2  # examples of a split: without a distractor there is no bound


def cut(labels: np.ndarray | None, count: int, shares: tuple[float, ...]) -> list[np.ndarray]:
    """Positions of disjoint parts with the given shares, and last of all the rest; each in a fixed shuffled order.

    Every class gives each part its share. What rounding takes from one class the next one gives, so that a thousand
    classes of four still make a tenth; and the rest keeps at least one example of every class.

    >>> validation, rest = cut(None, 20, (0.1,))
    >>> len(validation), len(rest)
    (2, 18)

    Args:
        labels: int[count], the class of each example, or None for no classes.
        count: how many examples there are.
        shares: of each part but the rest; a part gets two examples even where its share is less.
    """
    rng = np.random.default_rng(_SEED)
    labels = np.zeros(count, int) if labels is None else labels
    shares = np.maximum(shares, _FEWEST / max(count, 1))
    owed = np.zeros(len(shares))
    parts: list[list[np.ndarray]] = [[] for _ in (*shares, None)]
    for members in _by_class(labels):
        members = rng.permutation(members)
        owed += shares * len(members)
        sizes = np.round(owed).astype(int)
        owed -= sizes
        ends = np.minimum(np.cumsum(sizes), len(members) - 1)
        for part, chosen in zip(parts, np.split(members, ends), strict=True):
            part.append(chosen)
    return [rng.permutation(np.concatenate(part)) if part else np.empty(0, int) for part in parts]


def check_counts(source: str, counts: list[int]) -> None:
    """Refuses splits that are too small to say anything about.

    >>> check_counts("digits", [1250, 150, 397])

    Args:
        source: what the user calls the data.
        counts: of examples to train, validate and test.
    Raises:
        InputError: unless there are at least two of each.
    """
    if min(counts) < _FEWEST:
        raise InputError(
            f"{source} has too few images: {', '.join(map(str, counts))} to train, validate and test; "
            f"expected at least {_FEWEST} for each: add images"
        )


def _by_class(labels: np.ndarray) -> list[np.ndarray]:
    """Positions of each class, in the order of classes; one pass, for there may be thousands of them."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
