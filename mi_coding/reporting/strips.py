"""Images, and sequences as images, as tiles of a figure in rows and columns."""

import math
from collections.abc import Sequence

import numpy as np

from mi_coding.reporting.figure import FAINT, MARGIN, MUTED, ORANGE, SMALL, TITLE, WIDTH, Axes, Figure, blank, heading

_WIDEST = 8  # a picture that is taller than this many times its width is broken into lines
TILE = 0.93  # width of an image as a share of its place, so that neighbours do not touch


def pair_strip(
    x: np.ndarray,
    y: np.ndarray,
    *,
    title: str,
    originals: np.ndarray | None = None,
    captions: Sequence[str] | None = None,
    names: tuple[str, str] = ("x", "y"),
) -> Figure:
    """Pairs as the encoder sees them: x above, its y below, and above both the image they were made of.

    Args:
        x, y: uint8, or float[n, H, W, C] in 0..1, C = 1 or 3; values outside are clipped; y[i] belongs to x[i].
        names: the labels of the row of x and of that of y, at most six letters each.
        originals, captions: images [n, h, w, C] of any size, and up to three short lines under each pair, or None.
    Raises:
        ValueError: for arrays that are not images of one shape, or another number of originals.
    """
    x, y = as_images(x), as_images(y)
    if x.shape != y.shape or (originals is not None and len(originals) != len(x)):
        shapes = f"x of shape {x.shape} and y of shape {y.shape}"
        raise ValueError(f"{shapes}: expected one shape [n, H, W, C], and n images")
    rows = dict(zip(names, (x, y), strict=True))
    if originals is not None:
        rows = {"image": as_images(originals)} | rows
    heights = [aspect(images) for images in rows.values()]
    left = 0.35 if max(map(len, rows)) == 1 else 0.6
    height = sum(heights) + 0.08 * (len(rows) - 1) + (0.62 if captions else 0)
    figure, axes = tile_canvas(columns=len(x) + left, rows=height, header=0.36)
    top = 0.0
    for name, images in rows.items():
        middle = top + aspect(images) / 2
        axes.text(left / 2 - 0.03, middle, name, fontsize=TITLE, color=MUTED, style="italic", ha="center", va="center")
        for column, image in enumerate(images):
            draw_tile(axes, image, left + column, top)
        top += aspect(images) + 0.08
    for column, caption in enumerate(captions or ()):
        draw_caption(axes, caption, left + column, top - 0.04, other=False)
    heading(figure, title)
    return figure


def contact_sheet(images: np.ndarray, captions: Sequence[str], *, title: str, columns: int = 10) -> Figure:
    """Images side by side in rows, each with a caption under it.

    Args:
        images: uint8, or float[n, H, W, C] in 0..1, C = 1 or 3.
        captions: one short line for each, or "".
    """
    images = as_images(images)
    columns = min(columns, len(images))
    pitch = aspect(images) + (0.25 if any(captions) else 0.08)
    figure, axes = tile_canvas(columns=columns, rows=-(-len(images) // columns) * pitch, header=0.36)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(number, columns)
        draw_tile(axes, image, column, row * pitch)
        draw_caption(axes, caption, column, row * pitch + aspect(images), other=False)
    heading(figure, title)
    return figure


def are_images(examples: np.ndarray) -> bool:
    """Whether these can be shown: [n, H, W, C] with one or three channels.

    >>> are_images(np.zeros((2, 8, 8, 1))), are_images(np.zeros((2, 8)))
    (True, False)
    """
    return np.ndim(examples) == 4 and np.shape(examples)[-1] in (1, 3)


def as_images(images: np.ndarray) -> np.ndarray:
    """float[n, H, W, 3] in 0..1; bytes are divided by 255."""
    images = np.asarray(images)
    images = np.asarray(images, np.float32) / (255 if images.dtype == np.uint8 else 1)
    if not are_images(images):
        raise ValueError(f"images of shape {images.shape}: expected [n, H, W, C] with C = 1 or 3")
    return np.repeat(np.clip(images, 0, 1), 3 // images.shape[-1], axis=-1)


def as_bytes(images: np.ndarray) -> np.ndarray:
    """uint8[n, H, W, 3] of what `as_images` takes."""
    return np.rint(255 * as_images(images)).astype(np.uint8)


def as_pictures(sequences: np.ndarray) -> np.ndarray:
    """float32[n, H, W, C] in 0 … 1: a signal as one row per step, a clip as its frames from left to right.

    Over all of float[n, T, …] the smallest value becomes black and the largest white. Steps of few numbers are laid out
    one after the other, in lines.

    >>> as_pictures(np.zeros((2, 8, 8, 1))).shape, as_pictures(np.zeros((2, 50, 160))).shape
    ((2, 8, 8, 1), (2, 50, 160, 1))
    >>> as_pictures(np.zeros((2, 100))).shape, as_pictures(np.zeros((2, 5, 16, 16, 1))).shape
    ((2, 10, 10, 1), (2, 16, 80, 1))
    """
    sequences = np.asarray(sequences, np.float32)
    least, most = sequences.min(), sequences.max()
    sequences = (sequences - least) / max(most - least, 1e-12)
    count, steps = sequences.shape[:2]
    if sequences.ndim == 5 and sequences.shape[-1] in (1, 3):
        return np.concatenate(np.moveaxis(sequences, 1, 0), axis=2)
    rows = sequences.reshape(count, steps, -1)
    if steps > _WIDEST * rows.shape[2]:
        numbers = rows.reshape(count, -1)
        width = math.ceil(math.sqrt(numbers.shape[1]))
        rows = np.pad(numbers, ((0, 0), (0, -numbers.shape[1] % width))).reshape(count, -1, width)
    return rows[..., None]


def aspect(images: np.ndarray) -> float:
    """Height over width."""
    return images.shape[1] / images.shape[2]


def tile_canvas(*, columns: float, rows: float, header: float) -> tuple[Figure, Axes]:
    """Axes whose unit is the width of a tile, y downwards; the header, in inches, is left free above."""
    inches = min((WIDTH - 2 * MARGIN) / columns, 1.6)
    height = rows * inches + header + MARGIN
    figure = blank(height)
    axes = figure.add_axes((MARGIN / WIDTH, MARGIN / height, columns * inches / WIDTH, rows * inches / height))
    axes.set_axis_off()
    axes.set(xlim=(0, columns), ylim=(rows, 0), autoscale_on=False)
    return figure, axes


def draw_tile(axes: Axes, image: np.ndarray, left: float, top: float, *, frame: str | None = None) -> None:
    """One image with a thin outline, or a strong frame of the given colour."""
    from matplotlib.patches import Rectangle

    width, height = TILE, TILE * image.shape[0] / image.shape[1]
    axes.imshow(image, extent=(left, left + width, top + height, top), aspect="auto", interpolation="nearest")
    colour, thickness = (FAINT, 0.5) if frame is None else (frame, 2.0)
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=thickness))


def draw_caption(axes: Axes, text: str, left: float, top: float, *, other: bool) -> None:
    """A line under a tile at this place, in the colour of frames where `other`."""
    place = {"ha": "center", "va": "top", "parse_math": False}  # a $ in a file name must not begin a formula
    axes.text(left + TILE / 2, top, text, fontsize=SMALL - 1.5, color=ORANGE if other else MUTED, **place)
