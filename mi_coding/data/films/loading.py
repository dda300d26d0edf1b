"""Decoded films as a data set, as a list of all frames, and as a sample that fits in memory."""

from collections.abc import Callable

import numpy as np

from mi_coding.data.dataset import Dataset, Listing, Split, first_names, take
from mi_coding.data.films.cache import DecodedFilms, decode_films
from mi_coding.data.films.encoded import EncodedFilms, VideoOptions
from mi_coding.data.films.frames import Frames
from mi_coding.data.films.splits import FilmSplits, Parts, split_films
from mi_coding.data.images import ImageSpec
from mi_coding.errors import Setting

_TOLERANCE = 1e-3  # of the times of frames, relative to the duration of a frame


def decode_source(
    films: EncodedFilms,
    spec: ImageSpec,
    options: VideoOptions,
    warn: Callable[[str], None],
    log: Callable[[str], None],
) -> DecodedFilms:
    """Decodes the films of a source, see `decode_films`; warns of those that are left out or incomplete."""
    decoded = decode_films(films.films, spec, options, log)
    for note in decoded.notes:
        warn(note)
    return decoded


def film_dataset(
    films: EncodedFilms,
    decoded: DecodedFilms,
    gap: float,
    warn: Callable[[str], None],
    log: Callable[[str], None],
) -> Dataset:
    """Decoded films in splits, their frames in a file.

    Args:
        films, decoded: of a source.
        gap: seconds from x to y; 0 where no pairs of frames are drawn.
        warn: called with one line about films that do not suit the gap.
        log: called with one line about the splits.
    Raises:
        InputError: where films cannot be split.
    """
    names = None if films.splits is None else [films.splits[k] for k in decoded.films]
    made = split_films(decoded.table, gap, splits=names, labels=decoded.labels)
    _warn_of_gap(decoded, made, gap, warn)
    log(f"{len(decoded.table.names) - len(made.too_short):,} film(s): {made.how}")
    return Dataset(films.name, *(_split(decoded, part, made.how) for part in made.parts))


def film_listing(films: EncodedFilms, decoded: DecodedFilms) -> Listing:
    """All frames in a file, in the order in which they are shown, film after film."""
    count = decoded.table.count
    return Listing(_split(decoded, Parts(np.arange(len(count)), np.zeros_like(count), count)), films.class_names)


def _split(decoded: DecodedFilms, parts: Parts, how: str = "") -> Split:
    table, kept = decoded.table._replace(how=how).part(*parts)
    labels = None if decoded.labels is None else np.repeat(decoded.labels[parts.films], table.count)
    return Split(Frames(decoded.frames_file, kept, table), labels, films=table)


def _warn_of_gap(decoded: DecodedFilms, made: FilmSplits, gap: float, warn: Callable[[str], None]) -> None:
    table = decoded.table
    if made.too_short:
        warn(
            f"{len(made.too_short):,} of {len(table.names):,} film(s) are too short for a gap of {gap:g} s and are "
            f"left out: {first_names(made.too_short)}"
        )
    frame = float(np.median(table.seconds / table.count))
    if 0 < gap < frame * (1 - _TOLERANCE):
        warn(
            f"a gap of {gap:g} s is shorter than the {frame:.3f} s for which a frame is shown: x and y are often the "
            f"same frame, and the bound says little; raise {Setting('pairs.gap')}"
        )


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
