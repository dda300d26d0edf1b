"""Films before decoding: what a source of films has to provide."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class UnusableFilmError(Exception):
    """A film that cannot be decoded; the message is the reason, for the line that counts films left out."""


class VideoOptions(NamedTuple):
    """How the films of a source are decoded and split.

    The gap decides which films are too short, and how far apart the splits of one film are.
    """

    gap: float = 0.0  # seconds from x to y; 0 where no pairs of frames are drawn
    frame_rate: float = 0.0  # maximum number of frames per second; 0 keeps all
    cache_dir: str = ""  # folder for decoded films; "" for the user's cache


PutFrame = Callable[[float, np.ndarray], None]  # takes seconds since the first frame, and uint8[H, W, C]


class Extent(NamedTuple):
    """Size of a film once it is decoded: at most `num_frames` frames, each uint8 of shape (H, W, C)."""

    num_frames: int
    shape: tuple[int, int, int]


class EncodedFilm(ABC):
    """One film before decoding."""

    name: str  # shown to the user
    label: int | None = None  # its class, None where it has none; known once it has been decoded

    @abstractmethod
    def identity(self) -> list[Any]:
        """Plain values that change whenever the film changes: part of the cache key."""

    @abstractmethod
    def extent(self, frame_rate: float) -> Extent:
        """Size after decoding at no more than `frame_rate` frames per second, 0 for all.

        Raises:
            UnusableFilmError: if the film has no frame.
        """

    @abstractmethod
    def decode(self, put: PutFrame, *, frame_rate: float, threads: int) -> tuple[float, str | None]:
        """Calls `put` for every frame, in order.

        Args:
            frame_rate: maximum number of frames per second: those shown at times 0, 1/frame_rate, …; 0 for all.
            threads: number of threads that decode.
        Returns:
            The time in seconds at which the last frame stops being shown, and a description of what is wrong with the
            film, or None.
        Raises:
            UnusableFilmError: where no frame can be used.
        """


class EncodedFilms(NamedTuple):
    """The films of a source."""

    name: str  # of the data set
    films: Sequence[EncodedFilm]  # all of them, in a fixed order
    splits: Sequence[str] | None = None  # "train", "validation" or "test" for each, where the source defines splits
    class_names: list[str] | None = None  # by label, where they are known
    group: str = ""  # pattern of the names of films that stay in one split; "" for none
