"""Which frames of which film follow one another; decoded frames, and pairs of frames a gap apart, at random access."""

from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

_TICKS = 1_000_000  # per second


class FilmTable(NamedTuple):
    """Segments of films: runs of consecutive frames, shown at times in seconds since the first frame of the film."""

    names: list[str]  # of the film of each of the n segments; segments of one film are adjacent
    first: np.ndarray  # int64[n], index of the first frame of each segment; its frames have consecutive indices
    count: np.ndarray  # int64[n], number of frames of each segment
    times: np.ndarray  # float64[F], when each frame is first shown
    ends: np.ndarray  # float64[n], when the last frame of each segment stops being shown
    how: str = ""  # a short description of how the films were split; "" before that

    @property
    def starts(self) -> np.ndarray:
        """float64[n]: time at which the first frame of each segment is first shown."""
        return self.times[self.first]

    @property
    def seconds(self) -> np.ndarray:
        """float64[n]: duration of each segment."""
        return self.ends - self.starts

    @property
    def film(self) -> np.ndarray:
        """int64[n]: index of the film of each segment, counted from 0."""
        changes = [name != before for name, before in zip(self.names[1:], self.names[:-1], strict=True)]
        return np.concatenate([[0], np.cumsum(changes, dtype=np.int64)])

    def segment_of(self, frame: Any) -> Any:
        """Index of the segment of each frame, given the indices of frames."""
        return np.searchsorted(self.first, frame, side="right") - 1

    def part(self, segments: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[Self, np.ndarray]:
        """Frames start … stop − 1 of some segments, counted within each.

        Returns:
            The table of these frames, and int64[F'], their indices in this table.
        """
        kept = np.concatenate([self.first[k] + np.arange(a, b) for k, a, b in zip(segments, start, stop, strict=True)])
        count = stop - start
        following = self.first[segments] + stop  # the frame whose display ends the part, where there is one
        is_to_end = stop == self.count[segments]
        ends = np.where(is_to_end, self.ends[segments], self.times[np.minimum(following, len(self.times) - 1)])
        first = np.cumsum(count) - count
        names = [self.names[k] for k in segments]
        return type(self)(names, first, count, self.times[kept], ends, self.how), kept


def shown_at(table: FilmTable, segment: int, time: float) -> int:
    """Index of the frame of a segment that is shown at `time`, in seconds since the first frame of its film.

    >>> times = np.array([0.0, 0.5, 2.0])  # the middle frame is shown for 1.5 seconds
    >>> table = FilmTable(["a.mp4"], np.array([0]), np.array([3]), times, np.array([2.5]))
    >>> [shown_at(table, 0, time) for time in (0.0, 0.49, 1.9, 2.0)]
    [0, 0, 1, 2]
    """
    first, count = int(table.first[segment]), int(table.count[segment])
    place = int(np.searchsorted(table.times[first : first + count], time, side="right")) - 1
    return first + max(place, 0)


class Frames:
    """Frames in a file, of `shape` (F, H, W, C), read on demand; can be pickled for other processes."""

    dtype = np.dtype(np.uint8)

    def __init__(self, file: Path, positions: np.ndarray, table: FilmTable):
        """Frame i is entry `positions[i]` of the .npy file `file`, and row i of `table.times`."""
        self._file, self._positions, self._table = file, positions, table
        self.shape = (len(positions), *self._stored.shape[1:])

    @cached_property
    def _stored(self) -> np.ndarray:
        return np.load(self._file, mmap_mode="r")

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map would contain the whole file.
        return {name: value for name, value in self.__dict__.items() if name != "_stored"}

    def __len__(self) -> int:
        return len(self._positions)

    def read(self, i: int) -> np.ndarray:
        """uint8[H, W, C]."""
        return self._stored[self._positions[i]]

    def name(self, i: int) -> str:
        """Such as clips/a.mp4 at 1.240 s."""
        return f"{self._table.names[self._table.segment_of(i)]} at {self._table.times[i]:.3f} s"


class FramePairs:
    """All pairs of frames of one segment that are shown a gap apart, as examples uint8[2, H, W, C] for a stream.

    A pair is identified by the moment of its first frame. Moments are numbered in microseconds, segment after segment.

    Attributes:
        shape: (number of moments, 2, H, W, C).
        groups: int64[k + 1], first moment of each of the k films, and the end of the last film.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, frames: Frames, table: FilmTable, gap: float):
        """`gap` is in seconds."""
        self._frames, self._table, self._gap = frames, table, gap
        moments = np.maximum(np.floor((table.seconds - gap) * _TICKS), 0).astype(np.int64)
        self._edges = np.concatenate([[0], np.cumsum(moments)])
        first_segments = np.flatnonzero(np.diff(table.film, prepend=-1))
        self.groups = self._edges[[*first_segments, len(moments)]]
        self.shape = (int(self._edges[-1]), 2, *frames.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, i: int) -> np.ndarray:
        """The frame shown at moment i, and the frame shown one gap later."""
        segment = self._segment(i)
        time = self._table.starts[segment] + (i - self._edges[segment]) / _TICKS
        return np.stack([self._frames.read(shown_at(self._table, segment, t)) for t in (time, time + self._gap)])

    def name(self, i: int) -> str:
        """The name of the film."""
        return self._table.names[self._segment(i)]

    def _segment(self, i: int) -> int:
        return int(np.searchsorted(self._edges, i, side="right")) - 1
