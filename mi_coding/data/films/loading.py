"""Decoded films in splits, as a list of all frames, and as a sample that fits in memory.

Films are split whole, or, where there are few, a part of each goes into each split.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mi_coding.data.account import Account
from mi_coding.data.cuts import cut, groups_by_name
from mi_coding.data.dataset import Dataset, Listing, Say, Split, first_names, take
from mi_coding.data.films.cache import DecodedFilms, decode_films
from mi_coding.data.films.encoded import EncodedFilms, VideoOptions
from mi_coding.data.films.frames import FilmTable, Frames
from mi_coding.data.images import ImageSpec
from mi_coding.errors import InputError, Setting

MIN_WHOLE_FILMS = 10  # from which on whole films are held out; of fewer, a part of each film
_TOLERANCE = 1e-3  # of the times of frames, relative to the duration of a frame
_NAMES = ("train", "validation", "test")
_SHARES = (0.7, 0.1, 0.2)
_MAX_ROUNDS = 4  # a long film is cut in rounds: its end alone may not be representative
_GAPS_PER_ROUND = 6  # each of the three parts has no pairs in its last gap, and one gap follows it
_MIN_GAPS = _GAPS_PER_ROUND - 1  # no gap follows the last part
_MIN_FILMS = 2  # per split of whole films: films are distractors of each other


class Parts(NamedTuple):
    """Frames start … stop − 1 of some films: indices of the films, and positions within each film."""

    films: np.ndarray
    start: np.ndarray
    stop: np.ndarray


class FilmSplits(NamedTuple):
    """Three splits that share no frame."""

    parts: list[Parts]  # of the train, the validation and the test split
    how: str  # a short description of how they were made
    too_short: list[str]  # films left out, because not every split would have two of their frames a gap apart


def decode_source(films: EncodedFilms, spec: ImageSpec, options: VideoOptions, warn: Say, log: Say) -> DecodedFilms:
    """Decodes the films of a source, see `decode_films`; warns of those that are left out or incomplete."""
    decoded = decode_films(films.films, spec, options, log)
    for note in decoded.notes:
        warn(note)
    return decoded


def film_dataset(films: EncodedFilms, decoded: DecodedFilms, gap: float, warn: Say, log: Say) -> Dataset:
    """Decoded films in splits, see `split_films`, their frames in a file; warns of films that do not suit the gap."""
    names = None if films.splits is None else [films.splits[k] for k in decoded.films]
    account = _account(films, decoded)
    groups = groups_by_name(decoded.table.names, films.group, account)
    made = split_films(decoded.table, gap, splits=names, labels=decoded.labels, groups=groups)
    _warn_of_gap(decoded.table, made, gap, warn)
    log(f"{len(decoded.table.names) - len(made.too_short):,} film(s): {made.how}")
    account.leave_out("too short for the gap", made.too_short)
    return Dataset(films.name, *(_split(decoded, part, made.how) for part in made.parts), films.class_names, account)


def film_listing(films: EncodedFilms, decoded: DecodedFilms) -> Listing:
    """All frames in a file, in the order in which they are shown, film after film."""
    count = decoded.table.count
    split = _split(decoded, Parts(np.arange(len(count)), np.zeros_like(count), count))
    return Listing(split, films.class_names, _account(films, decoded))


def _account(films: EncodedFilms, decoded: DecodedFilms) -> Account:
    """The films that a source has, and those that cannot be decoded."""
    account, decodable = Account("films", len(films.films)), set(decoded.films.tolist())
    account.leave_out("cannot be decoded", [film.name for k, film in enumerate(films.films) if k not in decodable])
    return account


def _split(decoded: DecodedFilms, parts: Parts, how: str = "") -> Split:
    table, kept = decoded.table._replace(how=how).part(*parts)
    labels = None if decoded.labels is None else np.repeat(decoded.labels[parts.films], table.count)
    return Split(Frames(decoded.frames_file, kept, table), labels, films=table)


def _warn_of_gap(table: FilmTable, made: FilmSplits, gap: float, warn: Say) -> None:
    if made.too_short:
        count = f"{len(made.too_short):,} of {len(table.names):,} film(s)"
        warn(f"{count} are too short for a gap of {gap:g} s and are left out: {first_names(made.too_short)}")
    frame = float(np.median(table.seconds / table.count))
    if 0 < gap < frame * (1 - _TOLERANCE):
        found = f"a gap of {gap:g} s is shorter than the {frame:.3f} s for which a frame is shown"
        meaning = "x and y are often the same frame, and the bound says little"
        warn(f"{found}: {meaning}; raise {Setting('pairs.gap')}")


def sample_films(split: Split, max_frames: int, gap: float) -> Split:
    """A fixed sample of the films of a split, with about `max_frames` frames in all, in memory.

    A film contributes its beginning: at most a tenth of `max_frames`, or as many frames as pairs `gap` seconds apart
    need.
    """
    table = split.films
    times = [table.times[first : first + count] for first, count in zip(table.first, table.count, strict=True)]
    needed = [np.searchsorted(shown, shown[0] + 4 * gap) for shown in times]
    counts = np.minimum(table.count, np.maximum(max_frames // 10, needed))
    order = np.random.default_rng(0).permutation(len(counts))
    chosen = np.sort(order[: 1 + np.searchsorted(np.cumsum(counts[order]), max_frames)])
    part, kept = table.part(chosen, np.zeros_like(chosen), counts[chosen])
    return take(split, kept)._replace(films=part)


def split_films(
    table: FilmTable,
    gap: float,
    *,
    splits: Sequence[str] | None = None,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> FilmSplits:
    """Splits films for pairs of frames a gap apart.

    Ten or more films are split whole: 70 % train, 10 % validation, 20 % test, stratified by class where there are
    classes. Fewer are each cut in time, in up to four rounds of a train, a validation and a test part. Parts are a gap
    apart, and have these shares of the moments that have a frame one gap later in the same part.

    Args:
        gap: seconds from x to y; 0 where no pairs of frames are drawn.
        splits: name of the split of each film, where the source defines splits; a missing validation split is cut from
            the train split.
        labels: int[n], the class of each film.
        groups: int[n], numbers of films that stay in one split, so that films are split whole however few; or None.
    Raises:
        InputError: where no film, or too few, are longer than the gap, or have too few frames to be cut.
    """
    usable = np.flatnonzero(table.seconds > gap)
    _check_any(table, usable, gap, num_gaps=1)
    if splits is None and len(usable) < MIN_WHOLE_FILMS and groups is None:
        return _split_in_time(table, gap)
    if splits is not None:
        parts, how = _source_splits(np.asarray(splits), usable, labels), "whole films, as the data set splits them"
    else:
        of_usable = _select(labels, usable), len(usable), (_SHARES[2], _SHARES[1]), _select(groups, usable)
        test, validation, train = cut(*of_usable)
        parts, how = [usable[chosen] for chosen in (train, validation, test)], "whole films, 70 : 10 : 20"
    for name, chosen in zip(_NAMES, parts, strict=True):
        if len(chosen) < _MIN_FILMS:
            few = f"{len(chosen)} film(s) longer than {gap:g} s for {name}; expected at least {_MIN_FILMS}"
            raise InputError(f"{few}: add films or choose a shorter ", Setting("pairs.gap"))
    whole = [Parts(chosen, np.zeros(len(chosen), int), table.count[chosen]) for chosen in parts]
    return FilmSplits(whole, how, _names_of_others(table, usable))


def _names_of_others(table: FilmTable, usable: np.ndarray) -> list[str]:
    return [table.names[k] for k in np.setdiff1d(np.arange(len(table.names)), usable)]


def _check_any(table: FilmTable, usable: np.ndarray, gap: float, num_gaps: int) -> None:
    """Raises an error that names the largest gap that would work, unless a film lasts more than `num_gaps` gaps."""
    if len(usable):
        return
    longest, name = float(table.seconds.max()), table.names[table.seconds.argmax()]
    found = f"={gap:g} s: the longest of {len(table.names)} film(s), {name}, lasts {longest:.2f} s"
    if num_gaps > 1:
        cut_each = f"fewer than {MIN_WHOLE_FILMS} films are each cut into three parts a gap apart"
        found += f", and {cut_each}, which takes more than {num_gaps} gaps"
    raise InputError(Setting("pairs.gap"), f"{found}; expected a gap below {longest / num_gaps:.2f} s")


def _source_splits(splits: np.ndarray, usable: np.ndarray, labels: np.ndarray | None) -> list[np.ndarray]:
    train, validation, test = (usable[splits[usable] == name] for name in _NAMES)
    if not len(validation):
        chosen, rest = cut(_select(labels, train), len(train), (_SHARES[1],))
        train, validation = train[rest], train[chosen]
    return [train, validation, test]


def _split_in_time(table: FilmTable, gap: float) -> FilmSplits:
    films = np.flatnonzero(table.seconds > _MIN_GAPS * gap)
    _check_any(table, films, gap, num_gaps=_MIN_GAPS)
    pieces: dict[str, list[tuple[int, int, int]]] = {name: [] for name in _NAMES}
    for film in films.tolist():
        for name, start, stop in _cut_film(table, film, gap):
            if start < stop:
                pieces[name].append((film, start, stop))
    if not all(pieces.values()):
        few = f"each of {len(films)} film(s), such as {table.names[films[0]]}, has too few frames to be cut in three"
        remedy = f"expected longer films, or {MIN_WHOLE_FILMS} of them, which are then split whole"
        raise InputError(f"{few} for a gap of {gap:g} s; {remedy}")
    parts = [Parts(*np.array(pieces[name]).T) for name in _NAMES]
    how = f"each film cut in time, 70 : 10 : 20, {gap:g} s apart"
    return FilmSplits(parts, how, _names_of_others(table, films))


def _cut_film(table: FilmTable, film: int, gap: float) -> list[tuple[str, int, int]]:
    """(split, first frame, frame after the last), in order of time; the last part extends to the end of the film."""
    times = table.times[table.first[film] : table.first[film] + table.count[film]] - table.starts[film]
    seconds = float(table.seconds[film])
    rounds = int(np.clip(seconds / (2 * _GAPS_PER_ROUND * gap), 1, _MAX_ROUNDS)) if gap else _MAX_ROUNDS
    moments, begin = (seconds + gap) / rounds - _GAPS_PER_ROUND * gap, 0.0
    pieces = []
    for name, share in [*zip(_NAMES, _SHARES, strict=True)] * rounds:
        end = begin + share * moments + gap
        pieces.append((name, *np.searchsorted(times, (begin, end)).tolist()))
        begin = end + gap
    name, start, _ = pieces[-1]
    return [*pieces[:-1], (name, start, len(times))]


def _select(labels: np.ndarray | None, chosen: np.ndarray) -> np.ndarray | None:
    return None if labels is None else labels[chosen]
