"""Which films, or which parts of them, are trained on and which are held out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mi_coding.data.cuts import cut
from mi_coding.data.films import FilmTable
from mi_coding.errors import InputError

MANY = 10
"""Films from which on whole films are held out; of fewer, a part of each film."""

_NAMES = ("train", "validation", "test")
_SHARES = (0.7, 0.1, 0.2)
_ROUNDS = 4  # in which a film is cut, where it is long enough: the end of a film alone may be another world
_GAPS_EACH_ROUND = (
    6  # that a film loses: each of three parts has no moments in its last gap, and one gap lies behind it
)
_GAPS = _GAPS_EACH_ROUND - 1  # nothing lies behind the last part
_FEWEST = 2  # whole films of a split, where films are distractors of each other


class Parts(NamedTuple):
    """Frames start … stop − 1 of some films: numbers of the films, and counts within each."""

    films: np.ndarray
    start: np.ndarray
    stop: np.ndarray


class FilmSplits(NamedTuple):
    """Three splits that share no frame.

    Attributes:
        parts: of the train, the validation and the test split.
        how: how they were made, in a few words.
        too_short: names of the films that are left out, since they have no two frames a gap apart in every split.
    """

    parts: list[Parts]
    how: str
    too_short: list[str]


def split_films(
    table: FilmTable, gap: float, *, splits: Sequence[str] | None = None, labels: np.ndarray | None = None
) -> FilmSplits:
    """Splits films for pairs of frames a gap apart.

    Ten or more are split whole: 70 % to train, 10 % to validate, 20 % to test, of each class where there are classes.
    Fewer are each cut in time, in up to four rounds of a part to train, one to validate and one to test. Parts lie a
    gap apart, and have these shares of the moments that have a frame one gap later in the same part.

    Args:
        table: all films.
        gap: seconds from x to y; 0 for whoever wants no pairs of frames.
        splits: names of the split of each film, where the source has them; a validation split that is missing is cut
            from training.
        labels: int[n], the class of each film.
    Raises:
        InputError: where no film, or too few, are longer than the gap, or have too few frames to be cut.
    """
    usable = np.flatnonzero(table.seconds > gap)
    _check_any(table, usable, gap, factor=1)
    if splits is not None:
        parts, how = _own_splits(np.asarray(splits), usable, labels), "whole films, as the data set splits them"
    elif len(usable) >= MANY:
        test, validation, train = cut(_of(labels, usable), len(usable), (_SHARES[2], _SHARES[1]))
        parts, how = [usable[chosen] for chosen in (train, validation, test)], "whole films, 70 : 10 : 20"
    else:
        usable = np.flatnonzero(table.seconds > _GAPS * gap)
        _check_any(table, usable, gap, factor=_GAPS)
        how = f"each film cut in time, 70 : 10 : 20, {gap:g} s apart"
        return FilmSplits(_cut_in_time(table, usable, gap), how, _others(table, usable))
    for name, chosen in zip(_NAMES, parts, strict=True):
        if len(chosen) < _FEWEST:
            raise InputError(
                f"{len(chosen)} film(s) longer than {gap:g} s to {name}; expected at least {_FEWEST}: add films or "
                "choose a shorter config.pairs.gap"
            )
    whole = [Parts(chosen, np.zeros(len(chosen), int), table.count[chosen]) for chosen in parts]
    return FilmSplits(whole, how, _others(table, usable))


def _others(table: FilmTable, usable: np.ndarray) -> list[str]:
    return [table.names[k] for k in np.setdiff1d(np.arange(len(table.names)), usable)]


def _check_any(table: FilmTable, usable: np.ndarray, gap: float, factor: int) -> None:
    if len(usable):
        return
    longest, name = float(table.seconds.max()), table.names[table.seconds.argmax()]
    cuts = (
        f", and fewer than {MANY} films are each cut into three parts a gap apart, which takes more than {factor} gaps"
    )
    raise InputError(
        f"config.pairs.gap={gap:g} s: the longest of {len(table.names)} film(s), {name}, lasts {longest:.2f} s"
        f"{cuts if factor > 1 else ''}; expected a gap below {longest / factor:.2f} s"
    )


def _own_splits(splits: np.ndarray, usable: np.ndarray, labels: np.ndarray | None) -> list[np.ndarray]:
    train, validation, test = (usable[splits[usable] == name] for name in _NAMES)
    if not len(validation):
        chosen, rest = cut(_of(labels, train), len(train), (_SHARES[1],))
        train, validation = train[rest], train[chosen]
    return [train, validation, test]


def _cut_in_time(table: FilmTable, films: np.ndarray, gap: float) -> list[Parts]:
    pieces: dict[str, list[tuple[int, int, int]]] = {name: [] for name in _NAMES}
    for film in films.tolist():
        times = table.times[table.first[film] : table.first[film] + table.count[film]] - table.starts[film]
        seconds = float(table.seconds[film])
        rounds = int(np.clip(seconds / (2 * _GAPS_EACH_ROUND * gap), 1, _ROUNDS)) if gap else _ROUNDS
        moments, begin = (seconds + gap) / rounds - _GAPS_EACH_ROUND * gap, 0.0
        for name, share in [*zip(_NAMES, _SHARES, strict=True)] * rounds:
            end = begin + share * moments + gap
            pieces[name].append((film, *np.searchsorted(times, (begin, end)).tolist()))
            begin = end + gap
        film, start, _ = pieces[_NAMES[-1]][-1]
        pieces[_NAMES[-1]][-1] = (film, start, len(times))
    with_frames = {name: [piece for piece in pieces[name] if piece[1] < piece[2]] for name in _NAMES}
    if not all(with_frames.values()):
        raise InputError(
            f"a film of {len(films)} such as {table.names[films[0]]} has too few frames to be cut in three parts for a "
            f"gap of {gap:g} s; expected longer films, or {MANY} of them, which are then split whole"
        )
    return [Parts(*np.array(with_frames[name]).T) for name in _NAMES]


def _of(labels: np.ndarray | None, chosen: np.ndarray) -> np.ndarray | None:
    return None if labels is None else labels[chosen]
