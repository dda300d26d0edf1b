"""Random, stratified cuts of a set of examples, the same in every run."""

import numpy as np

from mi_coding.errors import InputError

_SEED = 0  # the cut belongs to the data set: the seed of a run must not move images between splits
SHARES = (0.2, 0.1)  # test and validation, where a source has no splits
_MIN_EXAMPLES = 2  # of a split: a bound needs a distractor


def cut(labels: np.ndarray | None, count: int, shares: tuple[float, ...]) -> list[np.ndarray]:
    """Positions of disjoint parts with the given shares, and last the rest; each in a fixed random order.

    Parts are stratified by class. Rounding errors are carried over to the next class, so that a tenth of a thousand
    classes of four examples is still a tenth; and the rest has at least one example of every class.

    >>> validation, rest = cut(None, 20, (0.1,))
    >>> len(validation), len(rest)
    (2, 18)

    Args:
        labels: int[count], the class of each example, or None for no classes.
        count: number of examples.
        shares: of each part but the rest; a part has at least two examples, even where its share is less.
    """
    rng = np.random.default_rng(_SEED)
    labels = np.zeros(count, int) if labels is None else labels
    shares = np.maximum(shares, _MIN_EXAMPLES / max(count, 1))
    owed = np.zeros(len(shares))
    parts: list[list[np.ndarray]] = [[] for _ in (*shares, None)]
    order = np.argsort(labels, kind="stable")  # in one pass, since there may be thousands of classes
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        members = rng.permutation(members)
        owed += shares * len(members)
        sizes = np.round(owed).astype(int)
        owed -= sizes
        ends = np.minimum(np.cumsum(sizes), len(members) - 1)
        for part, chosen in zip(parts, np.split(members, ends), strict=True):
            part.append(chosen)
    return [rng.permutation(np.concatenate(part)) if part else np.empty(0, int) for part in parts]


def check_counts(source: str, counts: list[int]) -> None:
    """Raises InputError unless there are two train, validation and test examples each; `source` names the data.

    >>> check_counts("digits", [1250, 150, 397])
    """
    if min(counts) < _MIN_EXAMPLES:
        few = f"{source} has too few images: {', '.join(map(str, counts))} to train, validate and test"
        raise InputError(f"{few}; expected at least {_MIN_EXAMPLES} for each: add images")
