"""Decoded films as a data set, as a list of all frames, and as a sample that fits in memory."""

from collections.abc import Callable

import numpy as np

from mi_coding.data.dataset import Dataset, Listing, Split, first_names, num_examples, take
from mi_coding.data.films.cache import DecodedFilms, decode_films
from mi_coding.data.films.encoded import EncodedFilms, VideoOptions
from mi_coding.data.films.frames import Frames
from mi_coding.data.films.splits import FilmSplits, Parts, split_films
from mi_coding.data.images import ImageSpec
from mi_coding.data.placement import is_kept_in_memory
from mi_coding.errors import Setting

_TOLERANCE = 1e-3  # of the times of frames, relative to the duration of a frame


class FilmReader:
    """Decodes the films of a source, once it is known what their frames shall be.

    Args:
        spec: size and channels of the frames.
        options: gap, frame rate and cache.
        warn: called with one line about films that are left out, are incomplete, or do not suit the gap.
        log: called with one line about the space on disk, before films are decoded, and one about the splits.
    """

    def __init__(self, spec: ImageSpec, options: VideoOptions, warn: Callable[[str], None], log: Callable[[str], None]):
        self._spec, self._options, self._warn, self._log = spec, options, warn, log

    def dataset(self, films: EncodedFilms, placement: str) -> Dataset:
        """Decoded films in splits, their frames in memory or in a file, by `placement`.

        Raises:
            InputError: where films cannot be decoded or split.
        """
        decoded = self._decode(films)
        names = None if films.splits is None else [films.splits[k] for k in decoded.films]
        made = split_films(decoded.table, self._options.gap, splits=names, labels=decoded.labels)
        self._report(decoded, made)
        splits = [_split(decoded, made.how, part) for part in made.parts]
        if is_kept_in_memory(splits, placement):
            splits = [take(split, np.arange(num_examples(split)))._replace(films=split.films) for split in splits]
        return Dataset(films.name, *splits)

    def listing(self, films: EncodedFilms) -> Listing:
        """All frames in a file, in the order in which they are shown, film after film.

        Raises:
            InputError: where films cannot be decoded.
        """
        decoded = self._decode(films)
        table = decoded.table
        every = np.arange(len(table.times))
        labels = None if decoded.labels is None else decoded.labels[table.segment_of(every)]
        return Listing(Split(Frames(decoded.frames_file, every, table), labels, films=table), films.class_names)

    def _decode(self, films: EncodedFilms) -> DecodedFilms:
        decoded = decode_films(films.films, self._spec, self._options, self._log)
        for note in decoded.notes:
            self._warn(note)
        return decoded

    def _report(self, decoded: DecodedFilms, made: FilmSplits) -> None:
        table, gap = decoded.table, self._options.gap
        if made.too_short:
            self._warn(
                f"{len(made.too_short):,} of {len(table.names):,} film(s) are too short for a gap of {gap:g} s and are "
                f"left out: {first_names(made.too_short)}"
            )
        frame = float(np.median(table.seconds / table.count))
        if 0 < gap < frame * (1 - _TOLERANCE):
            self._warn(
                f"a gap of {gap:g} s is shorter than the {frame:.3f} s for which a frame is shown: x and y are often "
                f"the same frame, and the bound says little; raise {Setting('pairs.gap')}"
            )
        self._log(f"{len(table.names) - len(made.too_short):,} film(s): {made.how}")


def _split(decoded: DecodedFilms, how: str, part: Parts) -> Split:
    table, kept = decoded.table._replace(how=how).part(*part)
    labels = None
    if decoded.labels is not None:
        labels = decoded.labels[part.films][table.segment_of(np.arange(len(kept)))]
    return Split(Frames(decoded.frames_file, kept, table), labels, films=table)


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
