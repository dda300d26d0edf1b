"""Pairs of frames: one image moves through a window at a constant speed and bounces off its walls.

A clip is never stored. Where the image is at a time follows in closed form from a starting point and a velocity, and a
frame is drawn at that sub-pixel place on the device, so every step sees new clips at the cost of two small products.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mi_coding.pairs.augmentations.compose import as_float
from mi_coding.pairs.sampling import PairKind


class Clips(NamedTuple):
    """A population of clips.

    Attributes:
        window: side of the square frame, in pixels.
        seconds: length of a clip.
        frame_rate: frames per second; the clip's frames are at times 0, 1/frame_rate, … below `seconds`.
        gap: seconds from x to y, rounded to whole frames.
        speed: pixels per second, the same in every clip; the direction is uniform.
    """

    window: int = 16
    seconds: float = 4.0
    frame_rate: float = 10.0
    gap: float = 1.0
    speed: float = 8.0

    @property
    def num_frames(self) -> int:
        """Frames in a clip."""
        return round(self.seconds * self.frame_rate)

    @property
    def gap_frames(self) -> int:
        """Frames from x to y."""
        return round(self.gap * self.frame_rate)


def frames(clips: Clips) -> PairKind:
    """Pairs of frames of one clip, `gap` seconds apart; their view is a single frame.

    Where one frame is to stand for the image, it shows the image in its middle.

    >>> kind = frames(Clips(window=16))
    >>> x, y = kind.pair(jax.random.key(0), jnp.ones((8, 8, 1)))
    >>> x.shape, y.shape
    ((16, 16, 1), (16, 16, 1))

    Raises:
        ValueError: unless the gap is at least one frame and the clip has frames that far apart.
    """
    if not 1 <= clips.gap_frames < clips.num_frames:
        raise ValueError(
            f"gap of {clips.gap} s is {clips.gap_frames} frame(s) in a clip of {clips.num_frames} frames at "
            f"{clips.frame_rate}/s; expected at least 1 and fewer than the clip has"
        )

    def pair(key: jax.Array, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        start_key, direction_key, time_key = jax.random.split(key, 3)
        first = jax.random.randint(time_key, (), 0, clips.num_frames - clips.gap_frames)
        numbers = jnp.stack([first, first + clips.gap_frames])
        x, y = _frames(clips, start_key, direction_key, image, numbers)
        return x, y

    def view(key: jax.Array, image: jax.Array) -> jax.Array:
        # A path that bounces between walls leaves a uniform place uniform, so this is the marginal law of x.
        return draw_anywhere(key, image, clips.window)

    def still(image: jax.Array) -> jax.Array:
        # On whole pixels: half a pixel aside would blur it.
        return draw(as_float(image), jnp.floor(_room(clips.window, image) / 2), clips.window)

    return PairKind(pair, view, still)


def whole_clips(clips: Clips) -> PairKind:
    """Clips as sequences of all their frames: x is float32[T, window, window, C], which holds every pair, and y is ().

    >>> kind = whole_clips(Clips(window=16, seconds=0.8))
    >>> kind.view(jax.random.key(0), jnp.ones((8, 8, 1))).shape
    (8, 16, 16, 1)
    """

    def view(key: jax.Array, image: jax.Array) -> jax.Array:
        start_key, direction_key = jax.random.split(key)
        return _frames(clips, start_key, direction_key, image, jnp.arange(clips.num_frames))

    return PairKind(lambda key, image: (view(key, image), ()), view)


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
    return draw(as_float(image), jax.random.uniform(key, (2,)) * _room(window, image), window)


def draw(image: jax.Array, position: jax.Array, window: int) -> jax.Array:
    """Draws an image with its upper left corner at a real-valued place, by bilinear interpolation.

    Each pixel of the image is spread over the four pixels of the window that it overlaps, so a shift by half a pixel
    moves its centre of mass by half a pixel and keeps its sum.

    >>> draw(jnp.ones((1, 1, 1)), jnp.array([0.0, 1.25]), 3)[0, :, 0].tolist()
    [0.0, 0.75, 0.25]

    Args:
        image: float32[H, W, C].
        position: float32[2], row and column of its corner, in pixels.
        window: side of the square to draw on; the image must fit into it at this place, or is cut off.
    Returns:
        float32[window, window, C], zero where the image is not.
    """
    rows = _overlap(window, image.shape[0], position[0])
    columns = _overlap(window, image.shape[1], position[1])
    return jnp.einsum("vh,hwc,uw->vuc", rows, image, columns)


def _frames(
    clips: Clips, start_key: jax.Array, direction_key: jax.Array, image: jax.Array, numbers: jax.Array
) -> jax.Array:
    """float32[n, window, window, C]: the frames with these numbers of the clip that two keys stand for."""
    room = _room(clips.window, image)
    start = jax.random.uniform(start_key, (2,)) * room
    angle = jax.random.uniform(direction_key, maxval=2 * jnp.pi)
    velocity = clips.speed * jnp.stack([jnp.sin(angle), jnp.cos(angle)])
    image = as_float(image)
    times = numbers / clips.frame_rate
    return jnp.stack([draw(image, bounce(start + velocity * time, room), clips.window) for time in times])


def _overlap(window: int, size: int, offset: jax.Array) -> jax.Array:
    """float32[window, size]: the share of image pixel j that falls on window pixel i, shifted by `offset`."""
    distance = jnp.arange(window)[:, None] - jnp.arange(size)[None, :] - offset
    return jnp.maximum(0, 1 - jnp.abs(distance))


def _room(window: int, image: jax.Array) -> jax.Array:
    """float32[2]: how far the image can move down and to the right, in pixels."""
    return jnp.array([window - image.shape[0], window - image.shape[1]], jnp.float32)
