"""Films: frames with the times at which they are shown, decoded once into a file that is read at random access."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

_TICKS = 1_000_000  # a second


class NoFilmError(Exception):
    """Says why something is no film, for the line that counts what is left out."""


class Keeping(NamedTuple):
    """How a source's films are decoded and cut.

    Attributes:
        gap: seconds from x to y; 0 where nobody makes pairs of frames. It decides what is too short and how far apart
            the splits of one film lie.
        frame_rate: frames a second that are kept at most; 0 keeps all.
        cache_dir: the folder that decoded films are kept in; "" for the user's cache.
    """

    gap: float = 0.0
    frame_rate: float = 0.0
    cache_dir: str = ""


class Extent(NamedTuple):
    """What a film takes when it is decoded: so many frames at most, each uint8 of this shape (H, W, C)."""

    num_frames: int
    shape: tuple[int, int, int]


class EncodedFilm(ABC):
    """One film before it is decoded.

    Attributes:
        name: what a person knows it by.
        label: its class, None where it has none; known when it has been decoded.
    """

    name: str
    label: int | None = None

    @abstractmethod
    def identity(self) -> list[Any]:
        """Plain values that change when the film does; what was decoded before is found again by them."""

    @abstractmethod
    def extent(self, frame_rate: float) -> Extent:
        """How much there is to decode at `frame_rate` frames a second at most, 0 for all.

        Raises:
            NoFilmError: where there is nothing.
        """

    @abstractmethod
    def decode(
        self, put: Callable[[float, np.ndarray], None], *, frame_rate: float, threads: int
    ) -> tuple[float, str | None]:
        """Hands every frame to `put` (seconds since the first frame, uint8[H, W, C]), in order.

        Args:
            put: see above.
            frame_rate: frames a second at most: those shown at times 0, 1/frame_rate, …; 0 for all.
            threads: to decode with.
        Returns:
            When the last frame stops being shown, in seconds, and what is wrong with the film, if anything is.
        Raises:
            NoFilmError: where no frame can be used.
        """


class EncodedFilms(NamedTuple):
    """What a source of films returns.

    Attributes:
        name: of the data set.
        films: all of them, in a fixed order.
        splits: names of the split ("train", "validation", "test") of each, where the source has splits of its own.
        class_names: what the numbers of labels stand for, where that is known.
    """

    name: str
    films: Sequence[EncodedFilm]
    splits: Sequence[str] | None = None
    class_names: list[str] | None = None


class FilmTable(NamedTuple):
    """Stretches of films: which frames follow one another without a break, and when they are shown.

    Attributes:
        names: of the film of each of the n stretches; those of one film have consecutive numbers.
        first: int64[n], number of the first frame of each; the frames of one stretch have consecutive numbers.
        count: int64[n], how many there are.
        times: float64[F], when each frame begins to be shown, in seconds since the first frame of its film.
        ends: float64[n], when the last frame of each stops being shown.
        how: how the films were split, in a few words; "" before that.
    """

    names: list[str]
    first: np.ndarray
    count: np.ndarray
    times: np.ndarray
    ends: np.ndarray
    how: str = ""

    @property
    def starts(self) -> np.ndarray:
        """float64[n]: when the first frame of each begins to be shown."""
        return self.times[self.first]

    @property
    def seconds(self) -> np.ndarray:
        """float64[n]: how long each is."""
        return self.ends - self.starts

    @property
    def film(self) -> np.ndarray:
        """int64[n]: the number of the film of each, counted from 0."""
        changes = [name != before for name, before in zip(self.names[1:], self.names[:-1], strict=True)]
        return np.concatenate([[0], np.cumsum(changes, dtype=np.int64)])

    def stretch_of(self, frame: Any) -> Any:
        """The stretch that frames belong to, by their numbers."""
        return np.searchsorted(self.first, frame, side="right") - 1

    def part(self, films: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[Self, np.ndarray]:
        """Frames start … stop − 1 of some stretches, counted within each; and their numbers here, int64[F']."""
        kept = np.concatenate([self.first[k] + np.arange(a, b) for k, a, b in zip(films, start, stop, strict=True)])
        count = stop - start
        last = self.first[films] + stop  # the frame that ends the part by being shown, where there is one
        whole = stop == self.count[films]
        ends = np.where(whole, self.ends[films], self.times[np.minimum(last, len(self.times) - 1)])
        first = np.cumsum(count) - count
        return self._replace(
            names=[self.names[k] for k in films], first=first, count=count, times=self.times[kept], ends=ends
        ), kept


class Frames:
    """Frames in a file, read when they are asked for; can be sent to other processes.

    Attributes:
        shape: (F, H, W, C).
        dtype: uint8.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, file: Path, positions: np.ndarray, table: FilmTable):
        """Frame i is number `positions[i]` of the file, an .npy, and `table` says what it is."""
        self._file, self._positions, self._table = file, positions, table
        self._stored = np.load(file, mmap_mode="r")
        self.shape = (len(positions), *self._stored.shape[1:])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_stored": None}  # pickled, a memory map would become all that is in the file

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._stored = np.load(self._file, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._positions)

    def read(self, i: int) -> np.ndarray:
        """uint8[H, W, C]."""
        return self._stored[self._positions[i]]

    def name(self, i: int) -> str:
        """Such as clips/a.mp4 at 1.240 s."""
        return f"{self._table.names[self._table.stretch_of(i)]} at {self._table.times[i]:.3f} s"


class FramePairs:
    """All pairs of frames of one stretch that are shown a gap apart, as examples uint8[2, H, W, C] that a stream draws.

    Moments are numbered in millionths of a second, one stretch after the other.

    Attributes:
        shape: (moments, 2, H, W, C).
        dtype: uint8.
        groups: int64[k + 1], where the moments of each of k films begin, and the end of the last.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, frames: Frames, table: FilmTable, gap: float):
        """Pairs are `gap` seconds apart."""
        self._frames, self._table, self._gap = frames, table, gap
        moments = np.maximum(np.floor((table.seconds - gap) * _TICKS), 0).astype(np.int64)
        self._edges = np.concatenate([[0], np.cumsum(moments)])
        begins = np.flatnonzero(np.diff(table.film, prepend=-1))
        self.groups = self._edges[[*begins, len(moments)]]
        self.shape = (int(self._edges[-1]), 2, *frames.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, i: int) -> np.ndarray:
        """The frame shown at moment i, and the one shown a gap later."""
        stretch = self._stretch(i)
        time = self._table.starts[stretch] + (i - self._edges[stretch]) / _TICKS
        return np.stack([self._frames.read(shown_at(self._table, stretch, t)) for t in (time, time + self._gap)])

    def name(self, i: int) -> str:
        """Of the film."""
        return self._table.names[self._stretch(i)]

    def _stretch(self, i: int) -> int:
        return int(np.searchsorted(self._edges, i, side="right")) - 1


def shown_at(table: FilmTable, stretch: int, time: float) -> int:
    """Number of the frame of a stretch that is shown at a time, in seconds since the first frame of its film.

    >>> times = np.array([0.0, 0.5, 2.0])  # the middle frame is shown for a second and a half
    >>> table = FilmTable(["a.mp4"], np.array([0]), np.array([3]), times, np.array([2.5]))
    >>> [shown_at(table, 0, time) for time in (0.0, 0.49, 1.9, 2.0)]
    [0, 0, 1, 2]
    """
    first, count = int(table.first[stretch]), int(table.count[stretch])
    place = int(np.searchsorted(table.times[first : first + count], time, side="right")) - 1
    return first + max(place, 0)
