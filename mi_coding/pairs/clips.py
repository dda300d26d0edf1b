"""Clips in which one image moves, as sequences of all their frames."""

from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp

from mi_coding.options import Positive, Range, option
from mi_coding.pairs.base import SequenceSampler
from mi_coding.pairs.moving import LARGEST_WINDOW, MovingImages


@dataclass(frozen=True, eq=False)
class Clips(SequenceSampler, MovingImages):
    """Whole clips: x is float32[T, window, window, C], which holds every pair, and y is ().

    >>> clips = Clips(window=16, seconds=0.8, frame_rate=10.0)
    >>> clips.view(jax.random.key(0), jnp.ones((8, 8, 1))).shape
    (8, 16, 16, 1)
    """

    window: Annotated[int, Range(above=0, most=LARGEST_WINDOW)] = option("pairs.window", 10, "pixels, side of a frame")
    seconds: Positive = option("pairs.clip_seconds", 1.6, "seconds, length of a clip")
    frame_rate: Positive = option("pairs.frame_rate", 5.0, "frames per second")

    def view(self, key: jax.Array, image: jax.Array) -> jax.Array:
        start_key, direction_key = jax.random.split(key)
        return self.frames(start_key, direction_key, image, jnp.arange(self.num_frames))
