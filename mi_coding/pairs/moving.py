"""Clips of a moving image: it moves through a window at a constant speed and bounces off its walls.

On its way it may swing: turn to either side, grow and shrink, fade and come back, each slowly and independently.

A clip is never stored. The place of the image at any time follows in closed form from a starting point and a velocity,
and a frame is drawn at that sub-pixel place on the device, so every step sees new clips at the cost of two small
matrix products.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.errors import InputError, Setting
from mi_coding.options import NotNegative, Positive, Probability, Range, option
from mi_coding.pairs.augmentations.compose import as_float
from mi_coding.pairs.augmentations.geometry import overlap, read_at
from mi_coding.pairs.base import PairSampler, Shape

LARGEST_WINDOW = 2**13
_MOST_FRAMES = 10**6


@dataclass(frozen=True, eq=False)
class MovingImages(PairSampler):
    """A population of clips, each of one image; the direction of its movement is uniform."""

    window: Annotated[int, Range(above=0, most=LARGEST_WINDOW)] = option("pairs.window", 16, "pixels, side of a frame")
    seconds: Positive = option("pairs.clip_seconds", 4.0, "seconds, length of a clip")
    frame_rate: Positive = option("pairs.frame_rate", 10.0, "frames per second")
    speed: NotNegative = option("pairs.speed", 8.0, "pixels per second, of the image in every clip")
    turn: Annotated[float, Range(least=0, most=180)] = option("pairs.turn", 0.0, "degrees it swings to either side")
    grow: NotNegative = option("pairs.grow", 0.0, "g: its size swings from 1/(1 + g) to 1 + g times its own")
    fade: Probability = option("pairs.fade", 0.0, "f: its brightness swings from 1 − f to 1")
    swing_seconds: Positive = option("pairs.swing_seconds", 4.0, "seconds, median period of a swing to and fro")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seconds * self.frame_rate > _MOST_FRAMES:
            rate = Setting("pairs.frame_rate", self.frame_rate)
            most = f" frames/s; expected at most {_MOST_FRAMES:,} frames"
            raise InputError(Setting("pairs.clip_seconds", self.seconds), " at ", rate, most)

    @property
    def num_frames(self) -> int:
        """Frames in a clip, at times 0, 1/frame_rate, … below its length."""
        return round(self.seconds * self.frame_rate)

    def check_examples(self, source: str, shapes: Sequence[Shape], split: Any) -> None:
        check_window(self.window, shapes)
        super().check_examples(source, shapes, split)

    @property
    def swings(self) -> str:
        """What the image does besides moving, in words; "" where it only moves."""
        does = [word for word, amount in (("turns", self.turn), ("grows", self.grow), ("fades", self.fade)) if amount]
        return f", in which it {', '.join(does)}" if does else ""

    def frames(self, start_key: jax.Array, direction_key: jax.Array, image: jax.Array, numbers: jax.Array) -> jax.Array:
        """float32[n, window, window, C]: the frames with these numbers of the clip that the two keys determine."""
        room = free_space(self.window, image)
        start = jax.random.uniform(start_key, (2,)) * room
        angle = jax.random.uniform(direction_key, maxval=2 * jnp.pi)
        velocity = self.speed * jnp.stack([jnp.sin(angle), jnp.cos(angle)])
        image, times = as_float(image), numbers / self.frame_rate
        if not self.swings:
            return jnp.stack([draw(image, bounce(start + velocity * time, room), self.window) for time in times])
        swings = _swings(jax.random.fold_in(direction_key, 1), self.swing_seconds)

        def frame(time: jax.Array) -> jax.Array:
            return draw_posed(image, bounce(start + velocity * time, room), self._pose(swings, time), self.window)

        return jax.vmap(frame)(times)

    def _pose(self, swings: tuple[jax.Array, jax.Array], time: jax.Array) -> "Pose":
        phases, rates = swings
        turned, grown, faded = jnp.sin(phases + rates * time)
        return Pose(self.turn * turned, (1 + self.grow) ** grown, 1 - self.fade * (1 + faded) / 2)


class Pose(NamedTuple):
    """How an image is shown: float32[] each.

    Attributes:
        degrees: the angle by which it is turned, counter-clockwise.
        size: the factor on its own size.
        brightness: the factor on its own brightness.
    """

    degrees: jax.Array
    size: jax.Array
    brightness: jax.Array


def _swings(key: jax.Array, seconds: float) -> tuple[jax.Array, jax.Array]:
    """Phases and rates, radians and radians per second, of the three swings of a clip: float32[3] each.

    Rates are log-normal, so that the swings of a clip differ in period, and the gap of a pair is a multiple of none of
    the periods.
    """
    phase_key, rate_key = jax.random.split(key)
    rates = 2 * jnp.pi / seconds * jnp.exp(0.5 * jax.random.normal(rate_key, (3,)))
    return jax.random.uniform(phase_key, (3,), maxval=2 * jnp.pi), rates


def check_window(window: int, shapes: Sequence[Shape]) -> None:
    """Raises InputError for a window that images of a shape do not fit into; given pairs are refused elsewhere."""
    height, width = (*shapes[0], 1)[:2]
    if len(shapes) == 1 and window < max(height, width):
        raise InputError(
            Setting("pairs.window", window),
            f" is smaller than the images of {height} × {width} pixels; expected at least {max(height, width)}",
        )


def bounce(position: jax.Array, room: jax.Array) -> jax.Array:
    """Folds a straight path back between the walls 0 and `room`: the place of something that bounces off them.

    >>> bounce(jnp.array([3.0, 9.0, 17.0, -1.0]), jnp.array(8.0)).tolist()
    [3.0, 7.0, 1.0, 1.0]
    """
    period = jnp.where(room > 0, 2 * room, 1)  # an image as large as the window stays where it is
    folded = jnp.mod(position, period)
    return jnp.where(room > 0, jnp.minimum(folded, period - folded), 0)


def draw_anywhere(key: jax.Array, image: jax.Array, window: int) -> jax.Array:
    """float32[window, window, C]: an image at a uniformly random place of a window that is at least as large."""
    return draw(as_float(image), jax.random.uniform(key, (2,)) * free_space(window, image), window)


def draw(image: jax.Array, position: jax.Array, window: int) -> jax.Array:
    """float32[window, window, C]: an image with its upper left corner at a real-valued place, on zeros.

    Each pixel of the image is spread over the four pixels of the window that it overlaps, as in bilinear interpolation,
    so a shift by half a pixel moves its centre of mass by half a pixel and keeps its sum.

    >>> draw(jnp.ones((1, 1, 1)), jnp.array([0.0, 1.25]), 3)[0, :, 0].tolist()
    [0.0, 0.75, 0.25]

    Args:
        image: float32[H, W, C].
        position: float32[2], row and column of its corner, in pixels.
        window: side of the square to draw on; the image must fit into it at this place, or is cut off.
    """
    rows, columns = (overlap(window, side, at) for side, at in zip(image.shape[:2], position, strict=True))
    return jnp.einsum("vh,hwc,uw->vuc", rows, image, columns)


def draw_posed(image: jax.Array, position: jax.Array, pose: Pose, window: int) -> jax.Array:
    """float32[window, window, C]: an image about the centre that it has at this place, see `draw`, in a pose.

    What swings out of the window is cut off.

    >>> still = Pose(jnp.float32(0), jnp.float32(1), jnp.float32(1))
    >>> draw_posed(jnp.ones((1, 1, 1)), jnp.array([0.0, 1.25]), still, 3)[0, :, 0].tolist()
    [0.0, 0.75, 0.25]
    """
    middle = [(side - 1) / 2 for side in image.shape[:2]]
    down, right = (jnp.arange(window) - at - half for at, half in zip(position, middle, strict=True))
    down, right = down[:, None] / pose.size, right[None, :] / pose.size
    sine, cosine = jnp.sin(jnp.deg2rad(pose.degrees)), jnp.cos(jnp.deg2rad(pose.degrees))
    row, column = cosine * down + sine * right + middle[0], cosine * right - sine * down + middle[1]
    return pose.brightness * read_at(image, row, column)


def free_space(window: int, image: jax.Array) -> jax.Array:
    """float32[2]: how far the image can move down and to the right, in pixels."""
    return jnp.array([window - image.shape[0], window - image.shape[1]], jnp.float32)
