"""Which frames of which film follow one another, and when each is shown."""

from typing import Any, NamedTuple, Self

import numpy as np


class FilmTable(NamedTuple):
    """Segments of films: runs of consecutive frames and the times at which they are shown.

    Attributes:
        names: of the film of each of the n segments; segments of one film are adjacent.
        first: int64[n], index of the first frame of each segment; the frames of a segment have consecutive indices.
        count: int64[n], number of frames of each segment.
        times: float64[F], time at which each frame is first shown, in seconds since the first frame of its film.
        ends: float64[n], time at which the last frame of each segment stops being shown.
        how: a short description of how the films were split; "" before that.
    """

    names: list[str]
    first: np.ndarray
    count: np.ndarray
    times: np.ndarray
    ends: np.ndarray
    how: str = ""

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
        return self._replace(
            names=[self.names[k] for k in segments], first=first, count=count, times=self.times[kept], ends=ends
        ), kept


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
