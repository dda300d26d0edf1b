"""Encoded images: decoded, brought to one size, and told apart from files that are none."""

import io
import os
import struct
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mi_coding.errors import InputError

_GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N")
_UNSCALED_MODES = ("I", "F")  # 32 bits, of which no file says what is white
_ORIENTATION = 0x0112  # EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow 13 said of 80,000 damaged files, and the kinds of error that they belong to.
_BROKEN = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
_AT_A_TIME = 256  # images that one thread decodes, at most, before it asks for more


class Form(NamedTuple):
    """What images are brought to.

    Attributes:
        image_size: pixels; the shorter side is resized to it and the square in the middle is cut out. 0 keeps the size.
        channels: 1 or 3 converts to grey or colour; 0 keeps what an image has.
    """

    image_size: int = 0
    channels: int = 0


class LazyImages(ABC):
    """Images that stay encoded until one is asked for; can be sent to other processes.

    All have one shape. The first that can be read decides it, unless a form does.

    Attributes:
        shape: (n, H, W, C).
        dtype: uint8.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, count: int, form: Form):
        """A source calls this once its files are known."""
        self._count, self._form = count, form
        first = next((i for i in range(count) if self._decode(i) is not None), None)
        if first is None:
            raise InputError(
                f"none of {count} images can be decoded, such as {self.name(0)}; expected PNG, JPEG or like"
            )
        self._first, self.shape = first, (count, *self._decode(first).shape)

    def __len__(self) -> int:
        return self._count

    def read(self, i: int) -> np.ndarray | None:
        """uint8[H, W, C], or None where the file cannot be decoded.

        Raises:
            InputError: for an image of another size or with other channels than the rest.
        """
        image = self._decode(i)
        if image is not None:
            _check_alike(self.name(i), image.shape, self.name(self._first), self.shape[1:])
        return image

    def check_like(self, other: "LazyImages") -> None:
        """Refuses images of another shape than those of another split.

        Raises:
            InputError: naming one image of each.
        """
        _check_alike(self.name(self._first), self.shape[1:], other.name(other._first), other.shape[1:])

    @abstractmethod
    def name(self, i: int) -> str:
        """What a person knows image i by."""

    @abstractmethod
    def encoded(self, i: int) -> Path | bytes:
        """The file of image i, or what stands in it."""

    def _decode(self, i: int) -> np.ndarray | None:
        return decode(self.encoded(i), self._form)


class JoinedImages(LazyImages):
    """The images of several sources, one behind the other."""

    def __init__(self, parts: list[LazyImages], form: Form):
        """All parts are brought to one form."""
        self._parts, self._ends = parts, np.cumsum([len(part) for part in parts])
        super().__init__(int(self._ends[-1]), form)

    def name(self, i: int) -> str:
        """What its own source calls it."""
        part, i = self._place(i)
        return part.name(i)

    def encoded(self, i: int) -> Path | bytes:
        """As in its own source."""
        part, i = self._place(i)
        return part.encoded(i)

    def _place(self, i: int) -> tuple[LazyImages, int]:
        number = int(np.searchsorted(self._ends, i, side="right"))
        return self._parts[number], i - (int(self._ends[number - 1]) if number else 0)


def decode(encoded: Path | bytes, form: Form) -> np.ndarray | None:
    """uint8[H, W, C] of an image file; None where it is none, is truncated or otherwise broken.

    The orientation that a camera noted is obeyed, transparency is dropped, 16 bits become 8, and of a film the first
    picture counts. Pixels of 32 bits count as broken: no file says which of their values is white.

    >>> decode(b"not an image", Form()) is None
    True
    """
    try:
        with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            if image.mode in _UNSCALED_MODES:
                return None
            if form.image_size:
                image.draft(None, (2 * form.image_size,) * 2)  # a large JPEG is decoded at a fraction of its size
            channels = form.channels or (1 if image.mode in _GREY_MODES else 3)
            pixels = _resize(_convert(_upright(image), channels), form.image_size)
    except _BROKEN:
        return None
    array = np.asarray(pixels)
    return array[:, :, None] if channels == 1 else array


def resize_floats(images: np.ndarray, form: Form) -> np.ndarray:
    """float32[n, h, w, c] in [0, 1] of float32[n, H, W, 1], brought to a form as `decode` does.

    >>> resize_floats(np.ones((2, 8, 8, 1), np.float32), Form(image_size=4, channels=3)).shape
    (2, 4, 4, 3)
    """
    if form.image_size:
        one = [np.asarray(_resize(Image.fromarray(image[:, :, 0]), form.image_size)) for image in images]
        images = np.clip(np.stack(one), 0, 1)[..., None]
    return np.repeat(images, form.channels or 1, axis=-1)


def decode_all(images: LazyImages, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decodes some images with all cores.

    Returns:
        uint8[m, H, W, C], those that can be read in the order asked for, and bool[len(indices)], which these are.
    Raises:
        InputError: for images of several sizes or kinds.
    """
    decoded = np.zeros((len(indices), *images.shape[1:]), np.uint8)
    readable = np.zeros(len(indices), bool)

    cores = os.cpu_count() or 1
    at_a_time = min(_AT_A_TIME, max(1, len(indices) // (4 * cores)))

    def decode_some(start: int) -> None:
        for place in range(start, min(start + at_a_time, len(indices))):
            image = images.read(int(indices[place]))
            if image is not None:
                decoded[place], readable[place] = image, True

    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(decode_some, range(0, len(indices), at_a_time)))  # the list raises what a thread raised
    return decoded if readable.all() else decoded[readable], readable


def _check_alike(name: str, shape: tuple[int, ...], other: str, expected: tuple[int, ...]) -> None:
    (height, width, channels), (other_height, other_width, other_channels) = shape, expected
    if channels != other_channels:
        kind = {1: "grey", 3: "colour"}
        raise InputError(
            f"{name} is {kind[channels]} and {other} is {kind[other_channels]}; expected one kind: "
            "--config.data.channels=3 makes all of them colour, 1 grey"
        )
    if shape != expected:
        size = min(other_height, other_width)
        raise InputError(
            f"{name} has {height} × {width} pixels and {other} has {other_height} × {other_width}; "
            f"expected one size: --config.data.image_size={size} resizes and crops all of them to it"
        )


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # first: a TIFF is turned by this, and a PNG may note its orientation behind its pixels
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION))
    return image if turn is None else image.transpose(turn)


def _convert(image: Image.Image, channels: int) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to another mode Pillow would warn
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _resize(image: Image.Image, size: int) -> Image.Image:
    if not size:
        return image
    width, height = image.size
    scale = size / min(width, height)
    resized = (max(size, round(width * scale)), max(size, round(height * scale)))
    if resized != image.size:
        image = image.resize(resized, Image.Resampling.BILINEAR)
    left, top = (resized[0] - size) // 2, (resized[1] - size) // 2
    return image.crop((left, top, left + size, top + size))
