"""Films before decoding: what a source of films has to provide."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class UnusableFilmError(Exception):
    """A film that cannot be decoded; the message is the reason, for the line that counts films left out."""


class VideoOptions(NamedTuple):
    """How the films of a source are decoded and split.

    Attributes:
        gap: seconds from x to y; 0 where no pairs of frames are drawn. It decides which films are too short, and how
            far apart the splits of one film are.
        frame_rate: maximum number of frames per second; 0 keeps all.
        cache_dir: folder for decoded films; "" for the user's cache.
    """

    gap: float = 0.0
    frame_rate: float = 0.0
    cache_dir: str = ""


class Extent(NamedTuple):
    """Size of a film once it is decoded: at most `num_frames` frames, each uint8 of shape (H, W, C)."""

    num_frames: int
    shape: tuple[int, int, int]


class EncodedFilm(ABC):
    """One film before decoding.

    Attributes:
        name: shown to the user.
        label: its class, None where it has none; known once it has been decoded.
    """

    name: str
    label: int | None = None

    @abstractmethod
    def identity(self) -> list[Any]:
        """Plain values that change whenever the film changes: part of the cache key."""

    @abstractmethod
    def extent(self, frame_rate: float) -> Extent:
        """Size after decoding at no more than `frame_rate` frames per second, 0 for all.

        Raises:
            UnusableFilmError: where there is no frame.
        """

    @abstractmethod
    def decode(
        self, put: Callable[[float, np.ndarray], None], *, frame_rate: float, threads: int
    ) -> tuple[float, str | None]:
        """Calls `put(seconds since the first frame, uint8[H, W, C])` for every frame, in order.

        Args:
            frame_rate: maximum number of frames per second: those shown at times 0, 1/frame_rate, …; 0 for all.
            threads: number of decoding threads.
        Returns:
            The time in seconds at which the last frame stops being shown, and a description of what is wrong with the
            film, or None.
        Raises:
            UnusableFilmError: where no frame can be used.
        """


class EncodedFilms(NamedTuple):
    """The films of a source.

    Attributes:
        name: of the data set.
        films: all of them, in a fixed order.
        splits: name of the split ("train", "validation", "test") of each, where the source defines splits.
        class_names: class names by label, where they are known.
    """

    name: str
    films: Sequence[EncodedFilm]
    splits: Sequence[str] | None = None
    class_names: list[str] | None = None
