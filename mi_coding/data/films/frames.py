"""Decoded frames, and pairs of frames a gap apart, at random access."""

from pathlib import Path
from typing import Any

import numpy as np

from mi_coding.data.films.table import FilmTable, shown_at

_TICKS = 1_000_000  # per second


class Frames:
    """Frames in a file, read on demand; can be pickled for other processes.

    Attributes:
        shape: (F, H, W, C).
        dtype: uint8.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, file: Path, positions: np.ndarray, table: FilmTable):
        """Frame i is entry `positions[i]` of the .npy file `file`, and row i of `table.times`."""
        self._file, self._positions, self._table = file, positions, table
        self._stored = np.load(file, mmap_mode="r")
        self.shape = (len(positions), *self._stored.shape[1:])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_stored": None}  # a pickled memory map would contain the whole file

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
        return f"{self._table.names[self._table.segment_of(i)]} at {self._table.times[i]:.3f} s"


class FramePairs:
    """All pairs of frames of one segment that are shown a gap apart, as examples uint8[2, H, W, C] for a stream.

    A pair is identified by the moment of its first frame. Moments are numbered in microseconds, segment after segment.

    Attributes:
        shape: (number of moments, 2, H, W, C).
        dtype: uint8.
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
        """Of the film."""
        return self._table.names[self._segment(i)]

    def _segment(self, i: int) -> int:
        return int(np.searchsorted(self._edges, i, side="right")) - 1
