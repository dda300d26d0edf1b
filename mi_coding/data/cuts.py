"""Random, stratified cuts of a set of examples into splits, the same in every run."""

import re
from collections.abc import Sequence

import numpy as np

from mi_coding.data.account import Account
from mi_coding.errors import InputError, Setting

_SEED = 0  # the cut belongs to the data set: the seed of a run must not move images between splits
SHARES = (0.2, 0.1)  # test and validation, where a source has no splits
_MIN_EXAMPLES = 2  # of a split: a bound needs a distractor


def cut(
    labels: np.ndarray | None, count: int, shares: tuple[float, ...], groups: np.ndarray | None = None
) -> list[np.ndarray]:
    """Positions of disjoint parts with the given shares, followed by the rest; each in a fixed random order.

    Parts are stratified by class. Rounding errors are carried over to the next class, so that a tenth of a thousand
    classes of four examples is still a tenth; and the rest has at least one example of every class.

    >>> validation, rest = cut(None, 20, (0.1,))
    >>> len(validation), len(rest)
    (2, 18)

    Args:
        labels: int[count], the class of each example, or None for no classes.
        count: number of examples.
        shares: of each part but the rest; a part has at least two examples, even where its share is less.
        groups: int[count], the group number of each example; a group is never divided. Shares are then of groups, and
            the class of a group is that of most of its examples.
    """
    if groups is not None:
        return _cut_groups(labels, groups, shares)
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


def _cut_groups(labels: np.ndarray | None, groups: np.ndarray, shares: tuple[float, ...]) -> list[np.ndarray]:
    numbers, group_of = np.unique(groups, return_inverse=True)
    of_groups = None
    if labels is not None:
        both, counts = np.unique(np.stack([group_of, labels]), axis=1, return_counts=True)
        order = np.argsort(counts, kind="stable")  # so that of each group the class of most examples is written last
        of_groups = np.zeros(len(numbers), int)
        of_groups[both[0, order]] = both[1, order]
    rng = np.random.default_rng(_SEED)
    chosen = cut(of_groups, len(numbers), shares)
    return [rng.permutation(np.flatnonzero(np.isin(group_of, part))) for part in chosen]


def groups_by_name(names: Sequence[str], pattern: str, account: Account) -> np.ndarray | None:
    """int[n]: one number for all names with the same match, one each for names without a match; None for no pattern.

    >>> account = Account()
    >>> groups_by_name(["a/p1_x.png", "b/p2_x.png", "b/p1_y.png", "c.png"], r"p(\\d+)", account).tolist()
    [0, 1, 0, 2]

    Args:
        pattern: a regular expression; the text matched by its first parentheses, or else by all of it, is the group.
        account: notes how many groups there are, and how many names do not match.
    Raises:
        InputError: if the pattern is not a valid regular expression, or matches no name.
    """
    if not pattern:
        return None
    try:
        found = [re.search(pattern, name) for name in names]
    except re.error as error:
        raise InputError(Setting("data.group", pattern), f" is not a regular expression: {error}") from None
    if not any(found):
        such = f" matches none of the names, such as {names[0]}" if names else " matches nothing"
        raise InputError(Setting("data.group", pattern), f"{such}; expected a pattern of what names of a group share")
    if alone := [name for name, match in zip(names, found, strict=True) if match is None]:
        account.note(f"{len(alone):,} names such as {alone[0]} do not match data.group: each is a group of its own")
    return number_groups([m.group(m.re.groups and 1) if m else (i,) for i, m in enumerate(found)], account)


def number_groups(values: Sequence, account: Account) -> np.ndarray:
    """int[n]: a number for each distinct value; the account notes how many there are."""
    numbers: dict = {}
    groups = np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)
    largest = np.bincount(groups).max(initial=0)
    account.note(f"{len(numbers):,} groups of up to {largest:,} examples, each in one split")
    return groups


def check_counts(source: str, counts: list[int]) -> None:
    """Raises InputError unless train, validation and test have at least two examples each; `source` names the data.

    >>> check_counts("digits", [1250, 150, 397])
    """
    if min(counts) < _MIN_EXAMPLES:
        few = f"{source} has too few examples: {', '.join(map(str, counts))} to train, validate and test"
        raise InputError(f"{few}; expected at least {_MIN_EXAMPLES} for each: add examples")
