"""Encoded images: decoding to one size and number of channels, and recognising files that are not images."""

import io
import os
import struct
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.Image import DecompressionBombError, Transpose

from mi_coding.errors import InputError, Setting

_GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N")
_UNSCALED_MODES = ("I", "F")  # 32 bits, with no known value for white
_ORIENTATION = 0x0112  # EXIF
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# What Pillow 13 raised for 80,000 damaged files, and the base classes of these errors.
_BROKEN = (OSError, ValueError, TypeError, LookupError, SyntaxError, EOFError, struct.error, DecompressionBombError)
_MAX_CHUNK = 256  # images that one thread decodes in a row


class ImageSpec(NamedTuple):
    """Size and channels of decoded images."""

    image_size: int = 0  # pixels; the shorter side is resized to it, the central square is cropped; 0 keeps the size
    channels: int = 0  # 1 or 3 converts to grey or colour; 0 keeps the channels


class LazyImages(ABC):
    """Images that are decoded on demand; can be pickled for other processes. `shape` is (n, H, W, C).

    All have one shape: that of the spec or, where it keeps sizes or channels, of the first image that can be decoded.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, count: int, spec: ImageSpec):
        """Decodes the first image; `encoded` and `name` must work before this is called."""
        self._count, self._spec = count, spec
        first = next((i for i in range(count) if self._decode(i) is not None), None)
        if first is None:
            none = f"none of {count} images can be decoded, such as {self.name(0)}"
            raise InputError(f"{none}; expected PNG, JPEG or like")
        self._first, self.shape = first, (count, *self._decode(first).shape)

    def __len__(self) -> int:
        return self._count

    def read(self, i: int) -> np.ndarray | None:
        """uint8[H, W, C], or None where the file cannot be decoded; InputError for another shape than of the rest."""
        image = self._decode(i)
        if image is not None:
            _check_same_shape(self.name(i), image.shape, self.name(self._first), self.shape[1:])
        return image

    def check_like(self, other: "LazyImages") -> None:
        """Raises InputError, naming one image of each, unless images have the shape of those of another split."""
        _check_same_shape(self.name(self._first), self.shape[1:], other.name(other._first), other.shape[1:])

    @abstractmethod
    def name(self, i: int) -> str:
        """The name of image i for the user, such as its path."""

    @abstractmethod
    def encoded(self, i: int) -> Path | bytes:
        """The file of image i, or its content."""

    def _decode(self, i: int) -> np.ndarray | None:
        return decode(self.encoded(i), self._spec)


class JoinedImages(LazyImages):
    """The concatenation of several sets of images."""

    def __init__(self, parts: list[LazyImages], spec: ImageSpec):
        self._parts, self._ends = parts, np.cumsum([len(part) for part in parts])
        super().__init__(int(self._ends[-1]), spec)

    def name(self, i: int) -> str:
        part, i = self._place(i)
        return part.name(i)

    def encoded(self, i: int) -> Path | bytes:
        part, i = self._place(i)
        return part.encoded(i)

    def _place(self, i: int) -> tuple[LazyImages, int]:
        number = int(np.searchsorted(self._ends, i, side="right"))
        return self._parts[number], i - (int(self._ends[number - 1]) if number else 0)


def decode(encoded: Path | bytes, spec: ImageSpec) -> np.ndarray | None:
    """Decodes an image file to uint8[H, W, C]; returns None where it is not an image, is truncated or broken.

    EXIF orientation is applied, transparency is dropped, 16 bits become 8, and of an animation the first frame is
    decoded. Pixels of 32 bits count as broken, since no value is known to be white.

    >>> decode(b"not an image", ImageSpec()) is None
    True
    """
    try:
        with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            if image.mode in _UNSCALED_MODES:
                return None
            if spec.image_size:
                image.draft(None, (2 * spec.image_size,) * 2)  # a large JPEG is decoded at a fraction of its size
            channels = spec.channels or (1 if image.mode in _GREY_MODES else 3)
            pixels = _resize(_convert(_upright(image), channels), spec.image_size)
    except _BROKEN:
        return None
    array = np.asarray(pixels)
    return array[:, :, None] if channels == 1 else array


def resize_floats(images: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Resizes float32[n, H, W, 1] in [0, 1] to float32[n, h, w, c], in the way of `decode`.

    >>> resize_floats(np.ones((2, 8, 8, 1), np.float32), ImageSpec(image_size=4, channels=3)).shape
    (2, 4, 4, 3)
    """
    if spec.image_size:
        resized = [np.asarray(_resize(Image.fromarray(image[:, :, 0]), spec.image_size)) for image in images]
        images = np.clip(np.stack(resized), 0, 1)[..., None]
    return np.repeat(images, spec.channels or 1, axis=-1)


def decode_all(images: LazyImages, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decodes some images on all cores.

    Returns:
        uint8[m, H, W, C], the images that can be decoded, in the order of `indices`, and bool[len(indices)], which of
        them these are.
    """
    decoded = np.zeros((len(indices), *images.shape[1:]), np.uint8)
    readable = np.zeros(len(indices), bool)
    cores = os.cpu_count() or 1
    chunk = min(_MAX_CHUNK, max(1, len(indices) // (4 * cores)))

    def decode_chunk(start: int) -> None:
        for place in range(start, min(start + chunk, len(indices))):
            image = images.read(int(indices[place]))
            if image is not None:
                decoded[place], readable[place] = image, True

    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(decode_chunk, range(0, len(indices), chunk)))  # the list raises what a thread raised
    return decoded if readable.all() else decoded[readable], readable


def _check_same_shape(name: str, shape: tuple[int, ...], other: str, expected: tuple[int, ...]) -> None:
    (height, width, channels), (other_height, other_width, other_channels) = shape, expected
    if channels != other_channels:
        kind = {1: "grey", 3: "colour"}
        differ = f"{name} is {kind[channels]} and {other} is {kind[other_channels]}; expected one kind: "
        raise InputError(differ, Setting("data.channels", 3, flag=True), " makes all of them colour, 1 grey")
    if shape != expected:
        sizes = f"{name} has {height} × {width} pixels and {other} has {other_height} × {other_width}"
        remedy = Setting("data.image_size", min(other_height, other_width), flag=True)
        raise InputError(f"{sizes}; expected one size: ", remedy, " resizes and crops all of them to it")


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # first: a TIFF is rotated by this, and a PNG may have its orientation after its pixels
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION))
    return image if turn is None else image.transpose(turn)


def _convert(image: Image.Image, channels: int) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns about a direct conversion to another mode
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
