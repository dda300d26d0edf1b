"""Pairs of frames of a clip in which one image moves."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from mi_coding.errors import InputError, Setting
from mi_coding.options import Positive, option
from mi_coding.pairs.augmentations.compose import as_float
from mi_coding.pairs.moving import MovingImages, draw, draw_anywhere, free_space


@dataclass(frozen=True, eq=False)
class Frames(MovingImages):
    """Two frames of one clip, a gap apart.

    Their view is a single frame, in which the image neither turns nor grows nor fades. Where one frame represents the
    image, it shows the image in its middle.

    >>> x, y = Frames(window=16).pair(jax.random.key(0), jnp.ones((8, 8, 1)))
    >>> x.shape, y.shape
    ((16, 16, 1), (16, 16, 1))
    """

    gap: Positive = option("pairs.gap", 1.0, "seconds from x to y, rounded to whole frames")

    def __post_init__(self) -> None:
        super().__post_init__()
        gap = Setting("pairs.gap", self.gap)
        if self.gap_frames < 1:
            least = f"at {self.frame_rate} frames/s; expected at least {1 / self.frame_rate:g}"
            raise InputError(gap, f" is less than half a frame {least}")
        if self.gap_frames >= self.num_frames:
            longest = (self.num_frames - 1) / self.frame_rate
            hint = f"expected at most {longest:g}" if self.num_frames > 1 else "make the clip longer"
            clip = f"{self.seconds} s ({self.num_frames} frame(s) at {self.frame_rate}/s)"
            raise InputError(gap, f" s is longer than a clip of {clip}; {hint}")

    @property
    def gap_frames(self) -> int:
        """Frames from x to y."""
        return round(self.gap * self.frame_rate)

    def pair(self, key: jax.Array, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        start_key, direction_key, time_key = jax.random.split(key, 3)
        first = jax.random.randint(time_key, (), 0, self.num_frames - self.gap_frames)
        numbers = jnp.stack([first, first + self.gap_frames])
        return tuple(self.frames(start_key, direction_key, image, numbers))

    def view(self, key: jax.Array, image: jax.Array) -> jax.Array:
        # Probes need the image as it is, anywhere: a path that bounces between walls keeps a uniform place uniform.
        return draw_anywhere(key, image, self.window)

    def still(self, image: jax.Array) -> jax.Array:
        # On whole pixels: half a pixel aside would blur it.
        return draw(as_float(image), jnp.floor(free_space(self.window, image) / 2), self.window)

    def describe(self) -> str:
        return f"two frames of one clip of a moving image{self.swings}, {self.gap:g} s apart"
